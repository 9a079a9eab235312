/* SPDX-License-Identifier: MIT
 *
 * hop: a connection to the next hop: connect, greet, tell who the client is, then carry a transaction's commands in
 * order. An idle one is kept for the next transaction, but only while nothing on it was ever refused: a server that
 * counts errors must not count one client's against another. A connection to a forward's target is another such: it is
 * told nothing of the client, and never kept.
 */
#ifndef PROXY_HOP_H
#define PROXY_HOP_H

#include "loop.h"

enum hop_state {
  HOP_CONNECTING = 1,
  HOP_GREETING,
  HOP_EHLO,
  HOP_HELO,
  HOP_STARTTLS,
  HOP_TLS, /* the handshake */
  HOP_XCLIENT,
  HOP_READY,
  HOP_DEAD
}; /* EHLO: or LHLO */

/* What a reply is to. */
enum hop_expect { EXPECT_XFORWARD = 1, EXPECT_MAIL, EXPECT_RCPT, EXPECT_DATA, EXPECT_FINAL, EXPECT_RSET };

/* How far a connection was when it was lost. */
enum hop_lost { LOST_NEW, LOST_READY, LOST_REUSED, LOST_TLS }; /* REUSED: it had served before; TLS: next without */

struct transaction;

typedef struct hop {
  item item;
  ring link; /* in loop.hops, loop.pool or loop.dead_hops */
  loop *loop;
  settings *settings;
  route *route;              /* NULL: to a target */
  server *server;            /* one of its */
  const char *name;          /* of a target, in its certificate; NULL: its address */
  struct transaction *owner; /* NULL: idle, or on its way there */
  size_t leg;                /* which of the owner's */
  smtpf_smtpc *codec;
  int state;
  unsigned extensions, attributes; /* smtpf_extension bits; identity_attribute bits */
  unsigned char expect[16];
  unsigned expects;
  conduit wire;
  text out; /* what could not be given to it yet */
  size_t out_at;
  int64_t deadline, idle_since; /* loop.now_ms */
  int64_t until;                /* no deadline is later; 0 for none */
  int64_t messages;
  unsigned reused : 1;     /* came out of the pool */
  unsigned soiled : 1;     /* something was refused: not to be kept */
  unsigned mail_open : 1;  /* MAIL was sent */
  unsigned data_open : 1;  /* inside a message */
  unsigned identified : 1; /* XCLIENT told it who the client is */
  unsigned corked : 1;     /* commands are gathered */
  unsigned lmtp : 1;       /* what it speaks */
  unsigned target : 1;     /* of a forward: a stranger */
  unsigned plain : 1;      /* no TLS, whatever is offered */
  unsigned probing : 1;    /* its server was down; whether it still is, is not known yet */
} hop;

/* A connection for leg `on` of a transaction, to the first server of its route that has not been tried: an idle one
 * unless the leg wants a fresh one, else a new one. It may not be ready yet: transaction_hop_ready() follows. NULL when
 * there can be none. */
hop *hop_acquire(loop *l, struct transaction *owner, size_t on);
/* A new connection to a target, for leg `on` of the transaction; it must be ready `within_ms`. NULL when there can be
 * none. */
hop *hop_connect(loop *l, struct transaction *owner, size_t on, const address *to, int64_t within_ms);
/* The transaction needs it no more: keep it if it is clean, else take leave. */
void hop_release(hop *h);
/* Sends commands and notes what replies they will have; `expects` is a string of hop_expect bytes. */
void hop_send(hop *h, smtpf_str bytes, const char *expects);
/* What is sent between the two goes in one write. */
void hop_cork(hop *h);
void hop_uncork(hop *h);
/* Sends as much of a message as goes, from loop.out; what does not go is kept. 1 when all went. */
int hop_send_message(hop *h, size_t n);
/* Whether something waits to be sent. */
static inline int hop_waits(const hop *h)
{
  return h->out_at < h->out.n || conduit_waits(&h->wire);
}
/* Closes at once, without telling the owner. */
void hop_close(hop *h);

/* Called by the loop. */
void hop_event(hop *h, uint32_t events);
void hop_sweep(loop *l);
void hop_free(hop *h);

/* Learns what next hops offer before the first client comes: blocks up to `ms`. Those that do not answer are logged. */
void hop_probe(settings *s, int ms);

#endif
