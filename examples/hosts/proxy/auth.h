/* SPDX-License-Identifier: MIT
 *
 * auth: a client's AUTH (RFC 4954), put to the next hop: the exchange goes over a connection of its own, which ends
 * with it. The proxy keeps no secrets, and learns of the exchange only who it was about.
 */
#ifndef PROXY_AUTH_H
#define PROXY_AUTH_H

#include "client.h"

/* Takes AUTH, or a line of the exchange. The client is answered, or waits (WAIT_AUTH). */
void auth_command(client *c, const smtpf_smtpd_event *ev);
/* The next hop has said something, or will not. */
void auth_answered(client *c);
int auth_has_answer(const client *c);
/* The client is gone, or the exchange is over. */
void auth_end(client *c);

/* Called by the loop. */
void auth_event(item *it, uint32_t events);
void auth_sweep(loop *l);
void auth_bury(loop *l);

#endif
