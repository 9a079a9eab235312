/* SPDX-License-Identifier: MIT
 *
 * The unit tests of src/match.
 */
#include <stdio.h>
#include <stdlib.h>

#include "match_suites.h"

int main(void)
{
  if (getenv("SMTPF_VALGRIND")) { /* compiled patterns read whole vectors, past the end of what they use */
    puts("SKIP valgrind takes PCRE2's machine code for faults; the sanitizers look at src/match");
    return 77;
  }
  SRunner *r = srunner_create(match_set_suite());
  srunner_add_suite(r, match_property_suite());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
