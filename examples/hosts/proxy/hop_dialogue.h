/* SPDX-License-Identifier: MIT
 *
 * hop_dialogue: what is said to a server from its greeting on until it can be given mail. Bytes in, bytes out: it sends
 * nothing, waits for nothing, and tells nobody.
 *
 *     state      2xx                             else
 *     GREETING   EHLO --> EHLO                   give up
 *     EHLO       learn what it offers, *         HELO --> HELO; LMTP: give up
 *     HELO       it offers nothing, *            give up
 *     STARTTLS   handshake --> TLS               * in plain
 *     TLS        (once it is up) EHLO --> EHLO   (a reply is out of turn) give up
 *     XCLIENT    EHLO --> EHLO                   give up, or **
 *
 *     *: the first that holds
 *     TLS is to be, and is offered               STARTTLS --> STARTTLS
 *     TLS must be                                give up
 *     the policy's XCLIENT or XFORWARD is not    give up
 *     XCLIENT is wanted, and not said yet        XCLIENT --> XCLIENT
 *     else                                       --> READY
 *
 *     **: 5xx, but 50x, to XCLIENT or to EHLO and HELO behind it is what the server thinks of the client: refused. 50x
 *     says that it did not understand us, and 4xx that it cannot tell: neither is the client's affair.
 *
 * With LMTP EHLO is LHLO. What is next after a state is noted in the hop by the functions themselves.
 */
#ifndef PROXY_HOP_DIALOGUE_H
#define PROXY_HOP_DIALOGUE_H

#include "hop.h"

enum dialogue_next { DIALOGUE_SAY, DIALOGUE_HANDSHAKE, DIALOGUE_READY, DIALOGUE_REFUSED, DIALOGUE_GIVE_UP };

typedef struct dialogue_step {
  int next;
  const char *why; /* it is given up */
} dialogue_step;

/* What follows a reply; TLS that is up; a new client. `line` gets what is to be said. */
dialogue_step dialogue_heard(hop *h, const smtpf_smtpc_reply *r, text *line);
dialogue_step dialogue_secured(hop *h, text *line);
dialogue_step dialogue_identify(hop *h, text *line);
/* The client is to be told of before each transaction. */
int dialogue_uses_xclient(const hop *h);

#endif
