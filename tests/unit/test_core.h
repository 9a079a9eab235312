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

#endif
