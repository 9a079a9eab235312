/* SPDX-License-Identifier: MIT */
#ifndef SMTPF_TESTS_MATCH_SUITES_H
#define SMTPF_TESTS_MATCH_SUITES_H

#include <check.h>

Suite *match_set_suite(void);
Suite *match_property_suite(void);

#endif
