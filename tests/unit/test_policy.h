/* SPDX-License-Identifier: MIT
 *
 * test_policy: src/policy, pure functions. No fakes are needed.
 */
#ifndef SMTPF_TESTS_TEST_POLICY_H
#define SMTPF_TESTS_TEST_POLICY_H

#include <check.h>

TCase *origin_cases(void);
TCase *judge_cases(void);
TCase *members_cases(void);
TCase *partition_cases(void);
TCase *ledger_cases(void);
TCase *budget_cases(void);
TCase *source_cases(void);

#endif
