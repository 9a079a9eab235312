/* SPDX-License-Identifier: MIT
 *
 * test_policy: src/policy, pure functions. No fakes are needed.
 */
#ifndef SMTPF_TESTS_TEST_POLICY_H
#define SMTPF_TESTS_TEST_POLICY_H

#include <check.h>

TCase *judge_cases(void);
TCase *ledger_cases(void);

#endif
