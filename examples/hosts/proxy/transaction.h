/* SPDX-License-Identifier: MIT
 *
 * transaction: one mail transaction between its two sides: what the client gave, what the next hop was told and
 * answered. Nothing is asked of the next hop before the first recipient is accepted by the policy.
 *
 *     RCPT accepted by policy --> [connect] [XCLIENT|XFORWARD] MAIL RCPT --> the hop's answer is ours
 *     end of message accepted --> quarantine, then DATA and the message  --> the hop's answer is ours
 *
 * When the hop's transaction is not the one that must be delivered (a recipient was dropped or quarantined, the
 * connection was lost meanwhile), it is reset and opened again from what is kept here.
 */
#ifndef PROXY_TRANSACTION_H
#define PROXY_TRANSACTION_H

#include "hop.h"
#include "identity.h"
#include "message.h"

struct client;

typedef struct recipient {
  uint32_t path, path_n, params, params_n; /* in transaction.strings */
  unsigned char disposition;               /* smtpf_disposition; 0 before end of message */
  unsigned at_hop : 1;                     /* accepted in the hop's open transaction */
  unsigned wanted : 1;                     /* to be delivered */
} recipient;

enum goal { GOAL_NONE, GOAL_RCPT, GOAL_REDIRECT, GOAL_DELIVER };

typedef struct transaction {
  struct client *client;
  loop *loop;
  settings *settings; /* the client's */
  text strings;
  uint32_t sender_n, params_n; /* at the front of strings: sender, then its parameters */
  recipient *rcpt;             /* those that were accepted, in order */
  size_t n, cap;
  recipient asked; /* the RCPT in question */
  spool spool;
  int spool_error; /* an errno */
  hop *hop;
  int goal;
  unsigned fresh : 1;        /* an idle connection has already failed us */
  unsigned mail_refused : 1; /* the hop refused MAIL; the answer is its reply */
  unsigned redirect_at_hop : 1;
  unsigned streaming : 1; /* the hop has said 354 and not yet answered the message */
  size_t asking;          /* index of the recipient whose RCPT is put anew */
  smtpf_str id;           /* of the message: the client's, while it is delivered */
  outgoing out;
  /* the answer to the client; code 0 while there is none */
  int code;
  int by_hop; /* it is the hop's own */
  char enhanced[12];
  text answer;
  char kept[576]; /* path of the copy in quarantine; empty for none */
} transaction;

/* A new transaction after an accepted MAIL. NULL without memory. */
transaction *transaction_new(struct client *c, smtpf_str sender, smtpf_str params);
void transaction_free(transaction *t);
/* Remembers a RCPT before it is judged, and forgets it when it was refused. */
void transaction_ask(transaction *t, smtpf_str path, smtpf_str params);
void transaction_unask(transaction *t);
/* Puts it to the next hop. The client is resumed when `code` is there. */
void transaction_rcpt(transaction *t);
/* It is accepted by both sides. 0 without memory. */
int transaction_keep_rcpt(transaction *t);
/* A piece of the message. */
void transaction_body(transaction *t, smtpf_str piece);
/* Acts on an accepting end-of-message verdict. The client is resumed when `code` is there; until then neither `v` nor
 * `id` may change. */
void transaction_deliver(transaction *t, const smtpf_verdict *v, smtpf_str id);

/* ---- called by hop.c ---- */
void transaction_hop_ready(transaction *t);
void transaction_hop_reply(transaction *t, int expect, const smtpf_smtpc_reply *r);
void transaction_hop_lost(transaction *t, const char *why, int reused);
void transaction_hop_writable(transaction *t);
void transaction_identity(const transaction *t, identity_of *who);

/* ---- between transaction.c and deliver.c ---- */
smtpf_str transaction_string(const transaction *t, uint32_t at, uint32_t n);
/* Sets the answer and resumes the client. */
void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words);
/* The same with the hop's own reply; `good`: a 2xx may be the answer. */
void transaction_finish_reply(transaction *t, const smtpf_smtpc_reply *r, int good);
/* Sends [XFORWARD] MAIL. 0 when the message cannot go there: finished. */
int transaction_send_mail(transaction *t);
int transaction_send_rcpt(transaction *t, smtpf_str path, smtpf_str params);
void transaction_step(transaction *t);
void deliver_step(transaction *t);
void deliver_reply(transaction *t, int expect, const smtpf_smtpc_reply *r);
void deliver_stream(transaction *t);

#endif
