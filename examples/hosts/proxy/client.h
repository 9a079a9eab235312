/* SPDX-License-Identifier: MIT
 *
 * client: one client connection: reads, lets the codec find events, tells them to the session, acts on verdicts,
 * answers. It waits for one thing at a time, and reads nothing while it waits.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "loop.h"
#include "peers.h"

struct transaction;

enum client_wait {
  WAIT_NONE,    /* for the client's next bytes */
  WAIT_VERDICT, /* of the session */
  WAIT_BODY,    /* until the session takes the rest of a piece */
  WAIT_DELAY,   /* that the verdict asked for */
  WAIT_HOP,     /* for the transaction's answer */
  WAIT_LINGER,  /* for the client to close, after our last word */
};

typedef struct client {
  item item;
  ring link;   /* in loop.clients or loop.dead_clients */
  ring resume; /* in loop.resume */
  loop *loop;
  settings *settings;
  smtpf_session *session;
  smtpf_smtpd *codec;
  struct transaction *tx;           /* after an accepted MAIL */
  struct transaction *offered;      /* of a MAIL that is being judged */
  char *helo, *offered_helo;        /* of the last HELO, of the one that is being judged; or NULL */
  char *rdns;                       /* verified client name, or NULL */
  char *held;                       /* input that came while it waited, or the rest of a piece of the body */
  size_t held_at, held_n, held_end; /* where unused input begins, how much there is, size of `held` */
  size_t rest_n;                    /* of a piece of the body that the session has not taken yet; lies before held_n */
  text out;                         /* replies that could not be sent yet */
  size_t out_at;
  int64_t deadline, message_until; /* loop.now_ms */
  smtpf_op delay;
  peer_key peer;
  unsigned port, messages;
  size_t commit_at; /* the recipient whose result is told to the session next */
  char address[46];
  char id[28];                              /* of the message at hand */
  unsigned char kind, verb, wait, greeting; /* smtpf_smtpd_kind (0: the connection itself), smtpf_verb, client_wait */
  unsigned delayed : 1;                     /* the verdict's delay is over */
  unsigned committed : 1;                   /* waiting for the verdict after commit */
  unsigned readable : 1;                    /* there may be something to read */
  unsigned hung_up : 1;                     /* the client sends no more */
  unsigned in_message : 1;                  /* between DATA and its end */
  unsigned partial : 1;                     /* a command line has begun */
  unsigned unasked : 1;                     /* the codec may have another event without more input */
  unsigned fatal : 1;                       /* a violation after which the connection must be closed */
  unsigned closing : 1;                     /* after what is to be sent */
  unsigned lmtp : 1;
  unsigned dead : 1;
} client;

/* Takes an accepted socket. */
void client_new(loop *l, int fd, const struct sockaddr *sa, peer_key peer, int lmtp);
void client_event(client *c, uint32_t events);
/* Goes on at the end of the turn. */
void client_resume(client *c);
/* Called by the loop for those that were put up for it. */
void client_go_on(client *c);
/* Called by the driver: a verdict is ready, or more of the body can be taken. */
void client_session_ready(client *c);
/* Deals with input, answers, sets the next deadline. */
void client_turn(client *c);
void client_sweep(loop *l);
/* Says 421 to a client that has no open transaction, and closes; with `now` to any. */
void client_dismiss(client *c, int now);
void client_free(client *c);

/* Whether a message with these parameters of MAIL is answered for each recipient: LMTP, PRDR. */
int client_answers_each(const client *c, smtpf_str params);
/* One log line about the next hop, or about storage. */
void client_hop_failed(client *c, const char *server, const char *why);
void client_target_failed(client *c, const char *server, const char *why);
void client_failure(client *c, const char *what, const char *why);

/* ---- between client.c and answer.c ---- */
/* Acts on what the codec found. */
void client_found(client *c, smtpf_smtpd_event *ev);
/* Acts on the session's verdict, which is there. */
void client_verdict(client *c);
/* Waits before the verdict is acted upon. 0 when there is no timer to be had. */
int client_delay(client *c, int64_t ms);
/* The transaction has its answer. */
void client_hop_answered(client *c);
/* Puts one line of ours before the close. */
void client_last_words(client *c, const char *line);
/* Room for one more reply in loop.replies, NULL when the client is gone; and how many bytes came into it. */
char *client_reply_room(client *c);
void client_replied(client *c, int n);
/* A reply of any length. */
void client_reply_long(client *c, const char *p, size_t n);
void client_log(client *c, const smtpf_verdict *v, int code);

#endif
