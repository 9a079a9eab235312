/* SPDX-License-Identifier: MIT */
#include "port_run.h"
#include "test_policy.h"

int main(void)
{
  Suite *s = suite_create("policy");
  suite_add_tcase(s, origin_cases());
  suite_add_tcase(s, judge_cases());
  suite_add_tcase(s, members_cases());
  suite_add_tcase(s, partition_cases());
  suite_add_tcase(s, ledger_cases());
  suite_add_tcase(s, budget_cases());
  suite_add_tcase(s, source_cases());
  return port_run(s);
}
