/* SPDX-License-Identifier: MIT
 *
 * target: where a forward goes when it goes inline: the servers of its domain, tried one after the other until one can
 * be spoken with. It is connected when the recipient is, and again when that connection was lost before the message.
 */
#ifndef PROXY_TARGET_H
#define PROXY_TARGET_H

#include "transaction.h"

typedef struct target target;

/* The leg to the servers of an address (no brackets), a new one when there is none yet. 0 without memory. */
int target_leg(transaction *t, smtpf_str forward, uint32_t *on);
/* The driver is gone, and will answer none of them. */
void target_forget_lookups(ring *all);
/* Frees; what is being looked up comes to nothing. NULL is accepted. */
void target_free(target *g);

/* The current leg's target is about to be needed: from now on its time runs. */
void target_begin(transaction *t);
/* A connection to its next server. 1 when there is one; else the transaction hears of it later, or has heard already
 * that there will be none. */
int target_connect(transaction *t);
/* There is a server that has not been tried, and time to try it. */
int target_has_more(const target *g);
/* A connection is ready, or has failed. */
void target_ready(transaction *t, size_t on);
void target_failed(transaction *t, size_t on, const char *why, int how);
/* The message may take so long; the time before it does not count. */
void target_streams(transaction *t);

/* What the current leg's target said, in words for the client: addresses that mail is forwarded to, and their domains,
 * are nobody's business. */
void target_anonymise(const transaction *t, smtpf_str said, text *out);

#endif
