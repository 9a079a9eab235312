/* SPDX-License-Identifier: MIT */
#include "port_run.h"
#include "test_core.h"

int main(void)
{
  Suite *s = suite_create("core");
  suite_add_tcase(s, driver_cases());
  suite_add_tcase(s, epoll_cases());
  suite_add_tcase(s, session_cases());
  suite_add_tcase(s, stage_cases());
  suite_add_tcase(s, message_cases());
  suite_add_tcase(s, option_cases());
  suite_add_tcase(s, engine_cases());
  suite_add_tcase(s, profile_cases());
  suite_add_tcase(s, scope_cases());
  suite_add_tcase(s, lint_cases());
  suite_add_tcase(s, op_cases());
  suite_add_tcase(s, oom_cases());
  suite_add_tcase(s, will_cases());
  suite_add_tcase(s, wants_cases());
  suite_add_tcase(s, commit_cases());
  suite_add_tcase(s, scan_cases());
  suite_add_tcase(s, scanning_cases());
  suite_add_tcase(s, nested_cases());
  return port_run(s);
}
