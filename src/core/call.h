/* SPDX-License-Identifier: MIT
 *
 * call: operations of a program's or port's own, outside any session (ext/port.h): tools that list and merge what is
 * stored, questions to the DNS. Each is one operation with a callback; the slot goes back before the callback runs.
 */
#ifndef SMTPF_CORE_CALL_H
#define SMTPF_CORE_CALL_H

#include <smtpfilter/ext/port.h>

#include "op.h"

/* The store has answered. SMTPF_OK or SMTPF_ENOTFOUND. */
int smtpf_call_answered(smtpf_driver *d, smtpf_op op, int status, smtpf_str value);

/* The DNS has answered. */
void smtpf_call_dns(smtpf_driver *d, smtpf_op_slot *slot, const smtpf_dns_answer *answer);

#endif
