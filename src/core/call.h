/* SPDX-License-Identifier: MIT
 *
 * call: store operations of a program's own, outside any session (ext/port.h): tools that list and merge what is
 * stored. Each is one operation with a callback; the slot goes back before the callback runs.
 */
#ifndef SMTPF_CORE_CALL_H
#define SMTPF_CORE_CALL_H

#include <smtpfilter/ext/port.h>

/* The store has answered. SMTPF_OK or SMTPF_ENOTFOUND. */
int smtpf_call_answered(smtpf_driver *d, smtpf_op op, int status, smtpf_str value);

#endif
