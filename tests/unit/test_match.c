/* SPDX-License-Identifier: MIT
 *
 * The unit tests of src/match.
 */
#include <stdlib.h>

#include "match_suites.h"

int main(void)
{
  SRunner *r = srunner_create(match_set_suite());
  srunner_add_suite(r, match_property_suite());
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
