/* SPDX-License-Identifier: MIT
 *
 * forward: where copies go to, and what the servers there have refused: written into the store (ext/target.h), read by
 * the check `forward_target` when equal mail comes.
 *
 *   recipient   one refusal is enough: the target does not exist
 *   spam        one is enough for mail of the same client's network and sender
 *   policy      counted; after `forward.suspend_after` the forward is suspended
 *
 * Each is forgotten after `forward.remember`. What suspends a forward is told to the log: its owner should know.
 */
#ifndef SMTPF_CORE_FORWARD_H
#define SMTPF_CORE_FORWARD_H

#include "session.h"

/* The host has said that the next hop refused this copy: remembered when that was a forward's target. */
void smtpf_forward_refused(smtpf_session *s, const smtpf_rcpt *rcpt);

/* Frees what is under way; nobody is told. */
void smtpf_forward_free(smtpf_driver *d);

#endif
