/* SPDX-License-Identifier: MIT
 *
 * port_run: the end of every main() here.
 */
#ifndef SMTPF_TESTS_PORT_RUN_H
#define SMTPF_TESTS_PORT_RUN_H

#include <check.h>
#include <stdlib.h>

static inline int port_run(Suite *s)
{
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
