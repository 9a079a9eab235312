/* SPDX-License-Identifier: MIT
 *
 * host_options: the rows of the shipped host programs. Every program registers all of them, so that one policy
 * file serves smtpf-proxy, smtpf-replay and the rest.
 */
#ifndef COMMON_HOST_OPTIONS_H
#define COMMON_HOST_OPTIONS_H

#include <smtpfilter/config.h>
#include <smtpfilter/ext/check.h>

extern const smtpf_option host_options[];
extern const size_t host_options_count;

/* Registers them, before the policy is loaded. SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. */
int host_options_add(smtpf_config *cfg);

#endif
