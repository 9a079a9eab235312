/* SPDX-License-Identifier: MIT
 *
 * session: one SMTP connection. The files of this room:
 *
 *   session.c            the state x event table, life, beginning and ending an event
 *   stage_connect.c      connect, rebind, starttls, auth, helo
 *   stage_envelope.c     mail, rcpt
 *   stage_message.c      data, body
 *   stage_eom.c          end of message, commit
 *   stage_other.c        reset, command, violation, quit; abort, overrule, queue id
 *   evidence.c           scopes of evidence and facts; what is in view of a decision
 *   step*.c              what the core itself asks of store and journal before it decides
 *   will.c               what is known, as wills for the policy room
 *   edit.c edit_wish.c   header edits: our mark, what checks wish
 *   scan.c scanning.c content_reader.c   who reads the message while it comes: checks, scanners, the walker
 *   trace.c              which way the message has come
 *   rule.c               why, in words
 *   verdict.c            the answer, and its readers
 *   text_reply.c         the words of refusals
 *
 * Memory: three arenas. `connection` lives as long as the connection, `greeting` until the next HELO, `transaction`
 * until the next event after the message's final answer.
 */
#ifndef SMTPF_CORE_SESSION_H
#define SMTPF_CORE_SESSION_H

#include <smtpfilter/session.h>
#include <smtpfilter/verdict.h>

#include "base/arena.h"
#include "base/list.h"
#include "engine.h"
#include "policy/budget.h"
#include "policy/ledger.h"
#include "policy/partition.h"
#include "run.h"

enum smtpf_state {
  SMTPF_STATE_NEW = 0,   /* nothing told yet */
  SMTPF_STATE_REFUSED,   /* at connect: only QUIT is served */
  SMTPF_STATE_CONNECTED, /* before HELO */
  SMTPF_STATE_GREETED,   /* no transaction */
  SMTPF_STATE_MAIL,      /* a sender, no recipient */
  SMTPF_STATE_RCPT,      /* a sender and recipients */
  SMTPF_STATE_DATA,      /* the message is coming */
  SMTPF_STATE_EOM,       /* taken provisionally: commits are due */
  SMTPF_STATE_CLOSED,    /* over */
  SMTPF_STATES
};

enum smtpf_event_id {
  SMTPF_EV_CONNECT = 0,
  SMTPF_EV_REBIND,
  SMTPF_EV_STARTTLS,
  SMTPF_EV_AUTH,
  SMTPF_EV_HELO,
  SMTPF_EV_MAIL,
  SMTPF_EV_RCPT,
  SMTPF_EV_DATA,
  SMTPF_EV_BODY,
  SMTPF_EV_EOM,
  SMTPF_EV_COMMIT,
  SMTPF_EV_RESET,
  SMTPF_EV_COMMAND,
  SMTPF_EV_VIOLATION,
  SMTPF_EV_QUIT,
  SMTPF_EVENTS
};

/* Evidence of one scope, in order. */
typedef struct smtpf_scope {
  smtpf_evidence *first, *last;
} smtpf_scope;

/* A word one check left for others. */
typedef struct smtpf_fact {
  struct smtpf_fact *next;
  const char *name;
  smtpf_str value;
} smtpf_fact;

/* How a reply is put together. Strings live as long as the verdict. */
typedef struct smtpf_reply {
  int code;
  smtpf_str enhanced, text;
} smtpf_reply;

/* A change of the store that a check asks for, to be made when the mail is taken. */
typedef struct smtpf_settlement {
  struct smtpf_settlement *next;
  smtpf_change change;
} smtpf_settlement;

typedef struct smtpf_rcpt {
  smtpf_path path;
  smtpf_str written;   /* with brackets */
  smtpf_str address;   /* domain in lower case; behind a good signature of BATV the mailbox */
  smtpf_str canonical; /* what the directory calls it; the same without one */
  smtpf_str params;
  smtpf_str returns_to;          /* behind a good signature of SRS; else empty */
  uint8_t signature;             /* smtpf_signature */
  const smtpf_profile *profile;  /* of the address as written */
  const smtpf_profile **members; /* of the mailboxes behind it; none: its own */
  size_t n_members;
  smtpf_will *wills; /* one for each of them, and what is in view of it */
  smtpf_summary *summaries;
  size_t n_wills;
  uint8_t origin;         /* smtpf_origin */
  uint8_t delivered;      /* a Delivered-To field names it */
  uint8_t alike;          /* wishes the same as one that was accepted before, by the same evidence */
  smtpf_budget deferrals; /* as read last */
  uint8_t allowance;      /* smtpf_budget_state of them */
  smtpf_scope evidence;
  smtpf_settlement *settlements; /* when its copy is taken */
  smtpf_entry entry;
  smtpf_str reason;
  smtpf_reply own; /* where each has a reply: this one's refusal; code 0: none */
  smtpf_reply hop; /* likewise: what the next hop said of this copy; code 0: nothing */
} smtpf_rcpt;

typedef struct smtpf_edit {
  int op, occurrence;
  smtpf_str name, value;
  size_t recipient;
} smtpf_edit;

/* One that a check asks for. */
typedef struct smtpf_wished_edit {
  struct smtpf_wished_edit *next;
  smtpf_edit edit;
} smtpf_wished_edit;

struct smtpf_verdict {
  smtpf_session *session;
  smtpf_reply reply;
  smtpf_str rule;
  int64_t delay;
  size_t n_evidence; /* in the session's view */
  uint8_t action;    /* 0: no verdict */
  uint8_t closes;
  uint8_t stage;
  uint8_t recipients; /* 1: recipients belong to it */
};

/* What is kept of a message while it comes; in the transaction arena. */
struct smtpf_message;

struct smtpf_session {
  smtpf_driver *driver;
  smtpf_engine *engine;
  smtpf_link in_driver, in_queue, answered;
  struct smtpf_run *run;
  struct smtpf_tenure *tenure;
  struct smtpf_message_spool *spool;   /* NULL: no scanner reads the message */
  struct smtpf_content_reader *reader; /* NULL: no check asks for pieces */
  int spool_fd;                        /* the host's own file of the message; -1: none */
  struct smtpf_run *scan;              /* of the checks that read the message; NULL when there is none */
  uint64_t scan_at;                    /* bytes of the message that all of them have had */
  uint8_t body_waits;                  /* the host holds bytes until somebody can take them */
  void (*then)(smtpf_session *s);      /* what follows the step that runs (step.h) */
  void *user;
  unsigned capabilities; /* the host's */
  unsigned can;          /* of them, what holds for this transaction */
  uint8_t protocol, state, event, greeting;
  uint8_t pending;   /* an event waits for its verdict */
  uint8_t no_memory; /* something was lost in this event: it is answered 4xx */
  uint8_t own, early_talk, tls, smtputf8, delayed;
  uint8_t over; /* the transaction ends with the next event */
  int stage;    /* of the event in progress */
  int accepted; /* stage of the last accepted event, for overrule */
  smtpf_arena connection, greeting_arena, transaction;
  smtpf_scope of_connection, of_greeting, of_transaction;
  smtpf_fact *facts, *greeting_facts, *transaction_facts;
  smtpf_ip client, local;
  smtpf_str client_text, rdns, identity, helo;
  smtpf_path sender;
  smtpf_str sender_params;
  smtpf_str forward_sender;  /* the sender by SRS; empty: its own */
  smtpf_str signed_sender;   /* the sender by BATV; empty: its own */
  char queue_id[64];         /* the host's; empty */
  smtpf_rcpt **rcpts, *rcpt; /* accepted ones; the one being judged */
  size_t n_rcpts, cap_rcpts;
  size_t cap_before_rcpt;       /* room in `rcpts` */
  size_t failed_rcpts;          /* of this transaction, whatever the reason */
  size_t refused_rcpts;         /* of this session, for good */
  smtpf_arena_mark before_rcpt; /* where to go back when it is refused */
  smtpf_fact *facts_before_rcpt;
  smtpf_settlement *settlements; /* when some copy is taken */
  smtpf_settlement *notes;       /* before this event is answered */
  uint8_t rcpt_refused;
  struct smtpf_message *message;
  uint32_t commands, errors, transactions;
  uint64_t connected_ns, stage_ns;
  smtpf_timer delay_end;
  int64_t delay_asked;
  const smtpf_evidence **view;
  size_t n_view, cap_view;
  smtpf_edit *edits;
  size_t n_edits;
  smtpf_verdict verdict;
  char id[17];
};

/* ---- session.c ---------------------------------------------------------------------------------------------- */

/* smtpf_session_begin(): go on with the event. Any other result is the public call's. */
#define SMTPF_GO 2

int smtpf_session_begin(smtpf_session *s, int event);
int smtpf_session_end(smtpf_session *s, int result); /* leaves the driver; returns result */

/* Runs the stage's checks, then decides: the end of an event. */
int smtpf_session_examine(smtpf_session *s, int stage);
void smtpf_session_decide(smtpf_session *s);      /* all checks are done, or the step is */
int smtpf_session_result(const smtpf_session *s); /* SMTPF_PENDING while a step runs, else SMTPF_OK */

/* Forgets: the transaction; also the greeting; also everything known of the connection. */
void smtpf_session_drop_transaction(smtpf_session *s);
void smtpf_session_drop_greeting(smtpf_session *s);
void smtpf_session_drop_connection(smtpf_session *s);

/* Promised and not committed: logged and counted. */
void smtpf_session_report_unclosed(smtpf_session *s);

/* ---- stages: what to do when the checks are done ------------------------------------------------------------- */
void smtpf_connect_decide(smtpf_session *s);
void smtpf_helo_decide(smtpf_session *s);
void smtpf_mail_decide(smtpf_session *s);
void smtpf_rcpt_decide(smtpf_session *s);
void smtpf_data_decide(smtpf_session *s);
void smtpf_eom_decide(smtpf_session *s);

/* Refuses the message that is coming, or has come, for a reason of the protocol's. */
void smtpf_message_refuse(smtpf_session *s, smtpf_reply reply, smtpf_str rule);
/* The host's own refusal after end of message: every copy is `disposition`. */
void smtpf_session_close_message(smtpf_session *s, int disposition);
uint64_t smtpf_message_size(const struct smtpf_message *m);

/* ---- edit.c --------------------------------------------------------------------------------------------------- */

/* Takes what the tasks of a run wish to be edited, in the order of declaration. */
void smtpf_message_wish(smtpf_session *s, const struct smtpf_run *r);

/* Most edits that makes; makes them, in the room that is there. */
size_t smtpf_wish_most(const smtpf_session *s);
void smtpf_wish_edits(smtpf_session *s);

/* Whether fields of our mark's name that the message brought along go. */
int smtpf_message_marks_go(const smtpf_session *s);

/* Some host gets a copy to keep. */
int smtpf_rcpt_is_taken(const smtpf_rcpt *rcpt);

/* The header edits of an accepted message. SMTPF_OK or SMTPF_ENOMEM, with none. */
int smtpf_message_edit(smtpf_session *s);

/* ---- evidence.c ---------------------------------------------------------------------------------------------- */
smtpf_arena *smtpf_session_arena(smtpf_session *s, int stage);
void smtpf_session_event(smtpf_session *s, int stage, smtpf_event *out);
void smtpf_session_add_evidence(smtpf_session *s, smtpf_evidence *e);
int smtpf_session_fact_set(smtpf_session *s, const char *name, smtpf_str value, int connection);
smtpf_str smtpf_session_fact(const smtpf_session *s, const char *name);
int32_t smtpf_session_score_so_far(const smtpf_session *s, int tier);
/* Takes back what was found at `stage`, the latest of the scope: it is examined again. */
void smtpf_session_drop_evidence(smtpf_scope *scope, int stage);

/* Takes what a directory says of the recipient in progress: who is behind it, with which wishes (will.c). */
void smtpf_session_directory_says(smtpf_session *s, const smtpf_directory_answer *answer);

/* Behind what is in view: what the tiers cheaper than `tier` of the stage in progress have found about all and about
 * the accepted recipient of this number (from 1; 0: none). */
int smtpf_session_look_further(smtpf_session *s, int tier, size_t recipient, smtpf_view *out);

/* Puts into view: connection, greeting, transaction, and one recipient's evidence, or with `rcpt` NULL every
 * recipient's when `all`. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_session_look(smtpf_session *s, const smtpf_rcpt *rcpt, int all, smtpf_view *out);

/* ---- verdict.c ----------------------------------------------------------------------------------------------- */

/* Whether a reply of this code would be the last that the error limit allows: it becomes 421. */
int smtpf_session_ends_in_errors(const smtpf_session *s, int code);

/* Not delayed any more. */
void smtpf_session_end_delay(smtpf_session *s);

/* The event's verdict. Counts errors, closes the session on 421 and 221, asks for the delay, logs. */
void smtpf_session_answer(smtpf_session *s, smtpf_reply reply, smtpf_str rule);
#define SMTPF_ANSWER(s, code, enhanced, text, rule)                                                                    \
  smtpf_session_answer((s), (smtpf_reply){(code), SMTPF_LIT(enhanced), SMTPF_LIT(text)}, SMTPF_LIT(rule))

/* The one verdict that needs nothing: 451, or 421 where there is no 451. */
void smtpf_session_answer_no_memory(smtpf_session *s);

/* The rule for an outcome; memory from `a`, static words without. */
smtpf_str smtpf_outcome_rule(const smtpf_outcome *o, smtpf_arena *a);

/* ---- text_reply.c: words; see text.h --------------------------------------------------------------------------- */

/* The refusal an outcome leads to: about recipient `to` alone, or, NULL, to all that the message has. */
smtpf_reply smtpf_outcome_reply(smtpf_session *s, const smtpf_outcome *o, const smtpf_rcpt *to);

/* The final one, when copies that were accepted could not be kept: smtpf_act DEFER or REJECT. */
smtpf_reply smtpf_session_commit_reply(smtpf_session *s, int act);

/* Where each recipient has a reply: the refusals, by outcome or by what the host has reported. */
void smtpf_session_own_replies(smtpf_session *s);

/* ---- log.c ---------------------------------------------------------------------------------------------------- */
void smtpf_session_log_verdict(smtpf_session *s);
void smtpf_session_log_overridden(smtpf_session *s, const smtpf_rcpt *rcpt); /* whose wish could not be kept */
void smtpf_session_log(smtpf_session *s, int level, const char *event, const char *name, smtpf_str value);

#endif
