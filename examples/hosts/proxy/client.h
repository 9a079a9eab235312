/* SPDX-License-Identifier: MIT
 *
 * client: one client connection: reads, lets the codec find events, tells them to the session, acts on verdicts,
 * answers. It waits for one thing at a time, and reads nothing while it waits.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "../../common/conduit.h"
#include "loop.h"
#include "peers.h"

struct transaction;
struct auth;

enum client_wait {
  WAIT_NONE,    /* for the client's next bytes */
  WAIT_VERDICT, /* of the session */
  WAIT_BODY,    /* until the session takes the rest of a piece */
  WAIT_DELAY,   /* that the verdict asked for */
  WAIT_HOP,     /* for the transaction's answer */
  WAIT_LINGER,  /* for the client to close, after our last word */
  WAIT_HEADER,  /* for a load balancer to say who the client is */
  WAIT_TLS,     /* for a handshake */
  WAIT_AUTH,    /* for the next hop's word in an exchange of AUTH */
};

/* What a verdict is about, beyond smtpf_smtpd_kind: what changes the client. 0 is the connection itself. */
enum { KIND_TLS_FIRST = 64 /* before the banner */, KIND_TLS, KIND_XCLIENT, KIND_LOGIN, KIND_AUTH };

typedef struct client {
  item item;
  conduit conduit;
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
  char *said_helo;                  /* what XCLIENT said of it, or NULL */
  char *login;                      /* who it is, by AUTH or XCLIENT; NULL: it has not said */
  struct auth *auth;                /* an exchange that is under way */
  char *held;                       /* input that came while it waited, or the rest of a piece of the body */
  size_t held_at, held_n, held_end; /* where unused input begins, how much there is, size of `held` */
  size_t rest_n;                    /* of a piece of the body that the session has not taken yet; lies before held_n */
  text out;                         /* replies that could not be sent yet */
  size_t out_at;
  int64_t deadline, message_until; /* loop.now_ms */
  smtpf_op delay;
  peer_key peer;
  unsigned port, local_port, messages;
  unsigned extensions;                      /* smtpf_extension bits that are offered */
  size_t commit_at;                         /* the recipient whose result is told to the session next */
  char address[46], local[46];              /* of the client, and of us as it sees us */
  char tls_protocol[16], tls_cipher[64];    /* of TLS that a load balancer has ended */
  char id[28];                              /* of the message at hand */
  unsigned char kind, verb, wait, greeting; /* smtpf_smtpd_kind or KIND, smtpf_verb, client_wait, smtpf_greeting */
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
  unsigned implicit_tls : 1; /* TLS is spoken from the first byte on */
  unsigned of_balancer : 1;  /* the load balancer's own: its address gives it no rights */
  unsigned tls_facts : 1;    /* TLS is up, and the session does not know it yet */
  unsigned secured : 1;      /* by TLS, as far as the session knows */
  unsigned told_login : 1;
  unsigned dead : 1;
} client;

/* Takes an accepted socket. */
void client_new(loop *l, int fd, const struct sockaddr *sa, peer_key peer, const address *at);
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
/* Says 421 to a client that has no open transaction, and is done with it once that has been read; with `now` to any. */
void client_dismiss(client *c, int now);
void client_free(client *c);

/* Whether a message with these parameters of MAIL is answered for each recipient: LMTP, PRDR. */
int client_answers_each(const client *c, smtpf_str params);
/* One log line about a server, or about anything else. */
void client_server_failed(client *c, const char *event, const char *at, const char *why);
void client_failure(client *c, const char *what, const char *why);

/* ---- arrive.c: before there is a session ---- */
/* There may be something to read for what it waits for: a header, a handshake. */
void client_arrive(client *c);
/* The handshake begins; WAIT_TLS. 0 without memory. */
int client_start_tls(client *c);
/* Who the client is, for the session. */
smtpf_peer client_peer(const client *c);

/* ---- extend.c: what changes who the client is ---- */
/* Takes a command that does, or that may not come yet. 0: it is none. */
int client_extend(client *c, const smtpf_smtpd_event *ev);
/* Tells the session that TLS is up. */
void client_tell_tls(client *c);
/* Acts on a verdict of these kinds. */
void client_changed(client *c);

/* ---- between client.c, arrive.c, extend.c and answer.c ---- */
void client_close(client *c);
/* Keeps input for later. */
void client_hold(client *c, const char *p, size_t n);
/* Sends the replies of this turn; 1 when some of what was sent has not gone. */
void client_flush(client *c);
int client_unsent(const client *c);
/* An event has been told to the session, with this result. */
void client_told(client *c, int result);
/* A reply of ours; the session's verdict as the reply. */
void client_answer_own(client *c, int code, smtpf_str enhanced, smtpf_str line);
void client_answer(client *c);
/* Nothing of transaction and greeting counts any more. */
void client_forget(client *c);
/* The verified name, from the verdict of a connection. */
void client_take_rdns(client *c);
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
/* Counts what became of the transaction's copies. */
void client_count_copies(client *c);

#endif
