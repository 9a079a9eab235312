/* SPDX-License-Identifier: MIT
 *
 * The unit tests of wire: the scan of messages, the server codec, its session, the client codec.
 */
#include <stdio.h>

#include "wire_suites.h"

void expect_with(const smtpf_smtpd_options *o, const char *in, size_t n, const char *want)
{
  static const int sizes[] = {FEED_WHOLE, 1, 7, 64, FEED_RANDOM};
  int bad = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *got = feed_log(o, in, n, sizes[i], &bad);
    if (strcmp(got, want) != 0)
      fprintf(stderr, "pieces of %d\nGOT\n%s\nWANT\n%s\n", sizes[i], got, want);
    ck_assert_str_eq(got, want);
    free(got);
  }
  ck_assert_int_eq(bad, 0);
}

void expect(const char *in, const char *want)
{
  smtpf_smtpd_options o = feed_options();
  expect_with(&o, in, strlen(in), want);
}

void expect_event(const char *line, const char *event)
{
  smtpf_smtpd_options o = feed_options();
  char in[4096], want[4096];
  int bad = 0;
  snprintf(in, sizeof in, "%s%s", GREET, line);
  snprintf(want, sizeof want, "%s%s\n", GREETED, event);
  for (int size = 0; size < 3; size++) {
    char *got = feed_log(&o, in, strlen(in), size, &bad);
    if (strncmp(got, want, strlen(want)) != 0)
      fprintf(stderr, "GOT\n%s\nWANT\n%s\n", got, want);
    ck_assert(strncmp(got, want, strlen(want)) == 0);
    free(got);
  }
}

int main(void)
{
  SRunner *r = srunner_create(NULL);
  srunner_add_suite(r, smtpf_suite_wire_bdat());
  srunner_add_suite(r, smtpf_suite_wire_chunks());
  srunner_add_suite(r, smtpf_suite_wire_codec());
  srunner_add_suite(r, smtpf_suite_wire_command());
  srunner_add_suite(r, smtpf_suite_wire_scan());
  srunner_add_suite(r, smtpf_suite_wire_session());
  srunner_add_suite(r, smtpf_suite_wire_smtpc());
  srunner_add_suite(r, smtpf_suite_wire_transfer());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
