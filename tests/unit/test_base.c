/* SPDX-License-Identifier: MIT
 *
 * The unit tests of base: memory, containers, strings.
 */
#include "suites.h"

int main(void)
{
  SRunner *r = srunner_create(NULL);
  srunner_add_suite(r, smtpf_suite_base_cache());
  srunner_add_suite(r, smtpf_suite_base_memory());
  srunner_add_suite(r, smtpf_suite_base_record());
  srunner_add_suite(r, smtpf_suite_base_str());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
