/* SPDX-License-Identifier: MIT
 *
 * test_core: src/core in a world made of numbers (core_world.h).
 */
#ifndef SMTPF_TESTS_TEST_CORE_H
#define SMTPF_TESTS_TEST_CORE_H

#include <check.h>

TCase *driver_cases(void);
TCase *session_cases(void);
TCase *message_cases(void);
TCase *option_cases(void);
TCase *engine_cases(void);
TCase *profile_cases(void);
TCase *scope_cases(void);
TCase *lint_cases(void);
TCase *op_cases(void);
TCase *epoll_cases(void);
TCase *stage_cases(void);
TCase *oom_cases(void);
TCase *will_cases(void);
TCase *wants_cases(void);
TCase *commit_cases(void);
TCase *scan_cases(void);
TCase *scanning_cases(void);
TCase *nested_cases(void);

#endif
