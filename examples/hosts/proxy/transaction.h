/* SPDX-License-Identifier: MIT
 *
 * transaction: one mail transaction between its two sides: what the client gave, what the next hop was told and
 * answered. Nothing is asked of the next hop before the first recipient is accepted by the policy.
 *
 *     RCPT accepted by policy --> [connect] [XCLIENT|XFORWARD] MAIL RCPT --> the hop's answer is ours
 *     end of message accepted --> quarantine, then for each group of copies DATA and the message
 *                             --> the hop's answer to its own group decides about each copy
 *
 * What was put at RCPT is the hop's first transaction. When it is not the one that must be delivered (a recipient was
 * dropped, forwarded or quarantined, copies differ, the connection was lost meanwhile), it is reset and opened again
 * from what is kept here.
 *
 * There may be more servers than one: a leg for each next hop that recipients' domains lead to, and, with forwards
 * inline, for each target. One is spoken with at a time.
 */
#ifndef PROXY_TRANSACTION_H
#define PROXY_TRANSACTION_H

#include <string.h>

#include "envelope.h"
#include "hop.h"
#include "identity.h"
#include "message.h"

/* What whoever has a transaction is asked, and told: that `code` is there; a line for the log. */
typedef struct transaction_owner {
  void (*identity)(const void *owner, identity_of *who);
  void (*resume)(void *owner);
  void (*server_failed)(void *owner, const char *event, const char *at, const char *why);
  void (*failure)(void *owner, const char *what, const char *why);
} transaction_owner;

/* What a transaction is for. */
typedef struct transaction_for {
  const transaction_owner *told;
  void *owner;
  loop *loop;
  settings *settings;
  smtpf_session *session;
  int each; /* the client is answered for each recipient (LMTP, PRDR) */
} transaction_for;

/* Where a recipient's copy can go: a RCPT for each was or was not put to the hop. */
enum destination { TO_MAILBOX, TO_FORWARD, DESTINATIONS };

/* A string kept in transaction.strings. */
typedef struct kept {
  uint32_t at, n;
} kept;

/* One RCPT in the hop's open transaction. */
typedef struct seat {
  uint32_t place;       /* its number among those accepted, from 1; 0 for none */
  unsigned char asked;  /* put, and not answered yet */
  unsigned char silent; /* put with NOTIFY=NEVER */
} seat;

typedef struct recipient {
  kept path, params;
  kept mailbox;       /* what the next hop is told of it: the path, or what stands behind its signature */
  kept forward;       /* the address its mail may go to instead, with brackets */
  kept sender;        /* reverse-path for that, by what was known at RCPT */
  kept words;         /* what was said about its copy */
  uint32_t home, leg; /* that its mailbox is behind; that its forward goes by */
  seat seat[DESTINATIONS];
  uint32_t group;            /* 1 and on; 0: nothing is to be sent */
  uint16_t code;             /* the reply that decided about its copy; 0 when it was not the hop's */
  unsigned char disposition; /* smtpf_disposition; 0 before end of message */
  unsigned char dsn;         /* smtpf_dsn */
  unsigned char result;      /* smtpf_commit_result; 0 while it is not known */
  unsigned char origin;      /* smtpf_origin: who brings it */
  unsigned open : 1;         /* the session waits for its result */
  unsigned destination : 1;  /* where its copy goes */
  unsigned stays : 1;        /* the target refuses it, and who brings it must not be refused: to the mailbox */
  unsigned loud : 1;         /* a DSN that must not be may yet be sent: the hop could not be told */
  char enhanced[12];
} recipient;

/* Copies that leave as one: the same header edits, envelope sender and kind of destination. */
typedef struct group {
  size_t first; /* a member; its header edits are those of all */
  kept sender;  /* reverse-path with brackets */
  uint32_t leg;
  unsigned done : 1;
  unsigned quarantine : 1; /* goes to the quarantine address, instead of its members' */
  unsigned quiet : 1;      /* RET=HDRS */
  uint64_t edits;          /* a digest of the members' own header edits */
} group;

/* One server the mail goes to, and the transaction that is open there. */
typedef struct leg {
  hop *hop;
  struct target *target;     /* where it leads: a forward's, or */
  route *route;              /* a next hop's */
  uint32_t tried;            /* of its servers */
  int64_t until;             /* loop.now_ms: no server is tried later */
  uint32_t places;           /* RCPTs accepted in its open transaction */
  kept mail;                 /* reverse-path of its open transaction */
  unsigned mail_quiet : 1;   /* with RET=HDRS */
  unsigned mail_prdr : 1;    /* with PRDR */
  unsigned mail_refused : 1; /* MAIL was refused; the answer is its reply */
  unsigned stray : 1;        /* it has a RCPT of somebody who was refused after all */
  unsigned fresh : 1;        /* an idle connection has already failed us */
  unsigned streaming : 1;    /* it has said 354 and not yet answered the message */
} leg;

enum goal { GOAL_NONE, GOAL_RCPT, GOAL_DELIVER };
enum speaker { BY_PROXY, BY_HOP, BY_TARGET };

typedef struct transaction {
  const transaction_owner *told;
  void *owner;
  loop *loop;
  settings *settings; /* the client's */
  smtpf_session *session;
  text strings;
  kept sender, params;
  recipient *rcpt; /* those that were accepted, in order */
  size_t n, cap;
  recipient asked; /* the RCPT in question */
  spool spool;
  int64_t spooled; /* counted in shared.spooled */
  int spool_error; /* an errno */
  smtpf_str id;    /* of the message: the client's, while it is delivered */
  int goal;
  unsigned each : 1; /* the client is answered for each recipient (LMTP, PRDR) */

  /* the servers' side */
  leg *legs;         /* the first is that of domains without a route of their own */
  size_t n_legs, at; /* `at`: the one that is spoken with */

  /* after the end of the message */
  group *groups;
  size_t n_groups, current; /* `current`: index of the one being delivered */
  seat quarantine;          /* the quarantine address at its hop */
  uint32_t quarantine_leg;
  outgoing out;
  smtpf_transfer transfer;
  uint16_t *codes;       /* of the transfer */
  unsigned begun : 1;    /* a copy may be durable: even without its client this goes on to the end */
  unsigned differ : 1;   /* there is more than one fate to tell of */
  size_t loud;           /* copies whose DSN permission could not be told */
  char quarantined[576]; /* path of the copy in quarantine; empty for none */

  /* the answer to the client; code 0 while there is none */
  int code;
  int by; /* speaker */
  char enhanced[12];
  text answer;
} transaction;

/* A new transaction after an accepted MAIL. NULL without memory. */
transaction *transaction_new(const transaction_for *is, smtpf_str sender, smtpf_str params);
void transaction_free(transaction *t);
/* Remembers a RCPT before it is judged, and forgets it when it was refused. */
void transaction_ask(transaction *t, smtpf_str path, smtpf_str params);
void transaction_unask(transaction *t);
/* Puts it to the next hop, and then, where it has a `forward`, that to whom it goes. The client is resumed when `code`
 * is there. */
void transaction_rcpt(transaction *t, const smtpf_recipient_info *info);
/* It is accepted by both sides. 0 without memory. */
int transaction_keep_rcpt(transaction *t);
/* A piece of the message. */
void transaction_body(transaction *t, smtpf_str piece);
/* Acts on an accepting end-of-message verdict. The client is resumed when `code` is there: then each recipient that is
 * `open` has a `result`. Until then neither `v` nor `id` may change. */
void transaction_deliver(transaction *t, const smtpf_verdict *v, smtpf_str id);

/* ---- between transaction.c, legs.c, rcpt.c, target.c, copies.c, deliver.c and fates.c ---- */
/* The leg that is spoken with. */
static inline leg *transaction_leg(const transaction *t)
{
  return &t->legs[t->at];
}
static inline smtpf_str transaction_string(const transaction *t, kept k)
{
  return (smtpf_str){t->strings.p + k.at, k.n};
}
/* Keeps a string; with `brackets` as a path. After a failure transaction.strings.failed is set. */
kept transaction_keep(transaction *t, smtpf_str s, int brackets);
static inline int transaction_same_string(const transaction *t, kept a, kept b)
{
  return a.n == b.n && !memcmp(t->strings.p + a.at, t->strings.p + b.at, a.n);
}
/* The path is `bare` in brackets. */
static inline int transaction_path_is(const transaction *t, kept path, smtpf_str bare)
{
  return path.n == bare.n + 2 && !memcmp(t->strings.p + path.at + 1, bare.p, bare.n);
}
/* Sets the answer; resumes the client; both. */
void transaction_answer(transaction *t, int code, const char *enhanced, smtpf_str words, int by);
void transaction_end(transaction *t);
void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words, int by);
/* Send [XFORWARD] MAIL, and RCPT. 0 when the hop lacks an extension that the mail needs: `*missing` has it. */
int transaction_send_mail(transaction *t, kept sender, int quiet, unsigned *missing);
int transaction_send_rcpt(transaction *t, seat *s, smtpf_str path, smtpf_str params, int silent, unsigned *missing);
/* What a client is told of a missing extension. */
const char *transaction_missing(unsigned missing, smtpf_str *words);
/* legs.c: a transaction as the owner of its legs' connections. */
extern const hop_owner transaction_hop_owner;
/* A leg's open transaction is gone, with all that was put. */
void transaction_forget(transaction *t, size_t on);
/* The leg to the next hop of a path, or the one that a copy to a forward's address goes by; made when there is none
 * yet. 0 without memory. */
int transaction_hop_leg(transaction *t, smtpf_str path, uint32_t *on);
int transaction_forward_leg(transaction *t, smtpf_str forward, uint32_t *on);
/* A new one that leads nowhere yet. It moves the others. NULL without memory. */
leg *transaction_add_leg(transaction *t);
/* Takes the connection from a leg, which no longer needs it or has lost it. */
hop *transaction_unhop(transaction *t, size_t on);
/* Goes on with what is to be done, on another leg. */
void transaction_go(transaction *t, size_t on);
void transaction_step(transaction *t);
/* No server of the current leg's target can be reached, or (`never`) there will be none. */
void transaction_unreachable(transaction *t, int never);

/* rcpt.c: puts the recipient in question; takes what the leg's server says; there is no forward for it. */
void rcpt_step(transaction *t);
void rcpt_reply(transaction *t, int expect, const smtpf_smtpc_reply *r);
void rcpt_forward_refused(transaction *t);
/* The server will have nothing of this client. */
void rcpt_client_refused(transaction *t, const smtpf_smtpc_reply *r);
/* The leg that a copy to one of its destinations goes by. */
static inline size_t copies_leg(const recipient *r, int destination)
{
  return destination == TO_FORWARD ? r->leg : r->home;
}
/* copies.c: reads the verdict: what becomes of each copy, and which leave as one. 0, or an errno. */
int copies_sort(transaction *t, const smtpf_verdict *v);
/* Keeps what was said about copies. */
kept copies_words(transaction *t, smtpf_str words);
/* A copy's fate; the first one stands. Code 0: it was not the hop's. */
void copies_settle(recipient *r, int result, int code, const char *enhanced, kept words);
/* All that are still open, in one group or (0) in all. */
void copies_settle_rest(transaction *t, uint32_t of, int result, int code, const char *enhanced, smtpf_str words);
/* Whoever brought it would have to bounce it (promise L5). */
static inline int copies_must_stay(const recipient *r)
{
  return r->origin == SMTPF_ORIGIN_FORWARDER || r->origin == SMTPF_ORIGIN_BACKUP_MX || r->origin == SMTPF_ORIGIN_LIST;
}
/* The copy's way leads to a forward's target. */
static inline int copies_to_target(const transaction *t, const recipient *r)
{
  return t->legs[copies_leg(r, (int)r->destination)].target != NULL;
}
/* No copy can go by leg `on`: forwards that would have go to their next hops. 0 without memory. */
int copies_reroute(transaction *t, size_t on);
/* The target refuses it for good, which cannot be told: to the mailbox. 0 without memory. */
int copies_keep(transaction *t, size_t i);
/* The reply code that tells of a copy: the hop's, or one of ours. */
int copies_code(const recipient *r);
/* The answer that speaks for all: of a copy that failed, else of one that was refused, else of one that was taken. */
const recipient *copies_speaker(const transaction *t);

/* deliver.c: opens the hop's transaction as the current group needs it. */
void deliver_step(transaction *t);
/* Its number, as in recipient.group. */
static inline uint32_t deliver_current(const transaction *t)
{
  return (uint32_t)t->current + 1;
}
/* The message as it leaves: `first`: whose header edits; `of`: the group, 0 for the quarantine folder. 0, or an errno.
 */
int deliver_begin(transaction *t, outgoing *o, size_t first, uint32_t of, int quarantined);
int deliver_offers_dsn(const transaction *t);
int deliver_null_sender(const transaction *t, kept sender);
/* One reply serves all, and some copy failed: the client will come again with all of them. What the hop already owns
 * cannot be taken back, but nothing is added to it. */
void deliver_stop_if_failed(transaction *t);
/* Every copy of the current group has its fate: on to the next. */
void deliver_group_over(transaction *t);
/* The whole message fails for a reason of ours. */
void deliver_fail(transaction *t, int e);

/* fates.c: the hop's replies, and the connection's end. */
void deliver_reply(transaction *t, int expect, const smtpf_smtpc_reply *r);
void deliver_stream(transaction *t);
void deliver_lost(transaction *t, int began);
/* The current group's server will have nothing of this client. */
void deliver_client_refused(transaction *t, const smtpf_smtpc_reply *r);
/* The current group's target will never take mail. */
void deliver_refused(transaction *t);

#endif
