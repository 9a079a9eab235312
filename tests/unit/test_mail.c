/* SPDX-License-Identifier: MIT
 *
 * The unit tests of mail: addresses, decoders, domains, fields, header sections, IP addresses, MIME, replies, the
 * prefix trie.
 */
#include "suites.h"

int main(void)
{
  SRunner *r = srunner_create(NULL);
  srunner_add_suite(r, smtpf_suite_mail_address());
  srunner_add_suite(r, smtpf_suite_mail_decode());
  srunner_add_suite(r, smtpf_suite_mail_domain());
  srunner_add_suite(r, smtpf_suite_mail_field());
  srunner_add_suite(r, smtpf_suite_mail_header());
  srunner_add_suite(r, smtpf_suite_mail_ip());
  srunner_add_suite(r, smtpf_suite_mail_mime());
  srunner_add_suite(r, smtpf_suite_mail_reply());
  srunner_add_suite(r, smtpf_suite_mail_trie());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
