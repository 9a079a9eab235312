/* SPDX-License-Identifier: MIT */
#include "port_run.h"
#include "test_core.h"

int main(void)
{
  Suite *s = suite_create("core");
  suite_add_tcase(s, driver_cases());
  suite_add_tcase(s, session_cases());
  suite_add_tcase(s, message_cases());
  return port_run(s);
}
