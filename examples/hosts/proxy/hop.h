/* SPDX-License-Identifier: MIT
 *
 * hop: a connection to a server: bytes, TLS, deadlines. hop_dialogue says what is said on it until it can be given
 * mail; then it carries a transaction's commands in order. A connection to a forward's target is another such: it is
 * told nothing of the client, and never kept.
 */
#ifndef PROXY_HOP_H
#define PROXY_HOP_H

#include "identity.h"
#include "loop.h"

/* The table of hop_dialogue.h says what leads from one to the next. */
enum hop_state {
  HOP_CONNECTING = 1,
  HOP_GREETING,
  HOP_EHLO, /* or LHLO */
  HOP_HELO,
  HOP_STARTTLS,
  HOP_TLS, /* the handshake */
  HOP_XCLIENT,
  HOP_READY,
  HOP_DEAD
};

/* What a reply is to. */
enum hop_expect { EXPECT_XFORWARD = 1, EXPECT_MAIL, EXPECT_RCPT, EXPECT_DATA, EXPECT_FINAL, EXPECT_RSET };

/* How far a connection was when it was lost. */
enum hop_lost { LOST_NEW, LOST_READY, LOST_REUSED, LOST_TLS }; /* REUSED: it had served before; TLS: next without */

/* What whoever has a connection is told, with the number that they gave it, and is asked. */
typedef struct hop_owner {
  void (*ready)(void *owner, size_t leg);
  void (*reply)(void *owner, size_t leg, int expect, const smtpf_smtpc_reply *r);
  void (*lost)(void *owner, size_t leg, const char *why, int how);
  void (*refused)(void *owner, size_t leg, const smtpf_smtpc_reply *r); /* the client, for good; it is closed */
  void (*writable)(void *owner, size_t leg);
  void (*identity)(const void *owner, identity_of *who); /* of the client */
} hop_owner;

/* What a connection is for. */
typedef struct hop_for {
  const hop_owner *told;
  void *owner;
  size_t leg;       /* which of the owner's */
  route *route;     /* NULL: it leads to a target */
  server *server;   /* one of its */
  const char *name; /* of a target, in its certificate; NULL: its address */
} hop_for;

typedef struct hop {
  item item;
  ring link; /* in loop.hops, loop.pool or loop.dead_hops */
  loop *loop;
  settings *settings;
  hop_for is;
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
  unsigned plain : 1;      /* no TLS, whatever is offered */
  unsigned probing : 1;    /* its server was down; whether it still is, is not known yet */
} hop;

/* A new connection, which must be ready `within_ms`; then its owner is told. NULL, with errno, when there can be none.
 */
hop *hop_connect(loop *l, settings *s, const hop_for *is, const address *to, int64_t within_ms);
/* It has another owner, for another client. */
void hop_give(hop *h, const hop_for *is);
/* Sends commands and notes what replies they will have; `expects` is a string of hop_expect bytes, not empty. */
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
/* Closes without telling the owner: at once, or with QUIT where that can be said. */
void hop_close(hop *h);
void hop_leave(hop *h);

/* Called by the loop. */
void hop_event(hop *h, uint32_t events);
void hop_sweep(loop *l);
void hop_free(hop *h);

/* Learns what next hops offer before the first client comes: blocks up to `ms`. Those that do not answer are logged. */
void hop_probe(settings *s, int ms);

#endif
