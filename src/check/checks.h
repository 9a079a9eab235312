/* SPDX-License-Identifier: MIT
 *
 * check: the built-in checks, one examiner a file, each reading like the sentence of the manual that
 * describes it. A check may use include/smtpfilter/ext and libc's memory and string functions, nothing
 * else: tests/installcheck compiles every file of this room against the installed headers. It gathers
 * evidence and never decides.
 */
#ifndef SMTPF_CHECK_CHECKS_H
#define SMTPF_CHECK_CHECKS_H

#include <smtpfilter/ext/check.h>

/* In the order of their evidence. */
extern const smtpf_check *const smtpf_checks[];
extern const size_t smtpf_checks_count;

extern const smtpf_check smtpf_check_early_talk;
extern const smtpf_check smtpf_check_addrlist;
extern const smtpf_check smtpf_check_dnslist;
extern const smtpf_check smtpf_check_iprev;
extern const smtpf_check smtpf_check_helo;
extern const smtpf_check smtpf_check_null_sender;
extern const smtpf_check smtpf_check_relay;
extern const smtpf_check smtpf_check_recipient;
extern const smtpf_check smtpf_check_signed_address;
extern const smtpf_check smtpf_check_unsigned_bounce;
extern const smtpf_check smtpf_check_forward_target;
extern const smtpf_check smtpf_check_rules;
extern const smtpf_check smtpf_check_delay;
extern const smtpf_check smtpf_check_greylist;
extern const smtpf_check smtpf_check_virus;
extern const smtpf_check smtpf_check_scanner;
extern const smtpf_check smtpf_check_loop;
extern const smtpf_check smtpf_check_forwarder;
extern const smtpf_check smtpf_check_bounce;
extern const smtpf_check smtpf_check_sent_mark;
extern const smtpf_check smtpf_check_backscatter;

#endif
