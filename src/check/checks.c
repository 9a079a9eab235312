/* SPDX-License-Identifier: MIT */
#include "checks.h"

/* Who the client is, how it behaves, what it asks for; behind them the delay, which looks at what the others
 * found, and the greylist, which puts off nothing that is certain. Then what looks at the message: the scanners, which
 * way it has come; and behind them all whether those who brought it deserve their trust. */
const smtpf_check *const smtpf_checks[] = {
    &smtpf_check_early_talk,  &smtpf_check_addrlist,       &smtpf_check_dnslist,         &smtpf_check_iprev,
    &smtpf_check_helo,        &smtpf_check_null_sender,    &smtpf_check_relay,           &smtpf_check_signed_address,
    &smtpf_check_recipient,   &smtpf_check_forward_target, &smtpf_check_unsigned_bounce, &smtpf_check_delay,
    &smtpf_check_greylist,    &smtpf_check_rules,          &smtpf_check_virus,           &smtpf_check_scanner,
    &smtpf_check_loop,        &smtpf_check_forwarder,      &smtpf_check_bounce,          &smtpf_check_sent_mark,
    &smtpf_check_backscatter,
};
const size_t smtpf_checks_count = sizeof smtpf_checks / sizeof smtpf_checks[0];
