/* SPDX-License-Identifier: MIT
 *
 * smtpf-policyd: Postfix's policy delegation. Uses the public headers alone. How the files hang together:
 *
 *     main ── common/server             the process: signals, sockets, policies, threads
 *       │     arguments, alone          options that postgrey has; what is done without a policy
 *       └─ connection                   Postfix's: bytes in, answers out; its way to another thread
 *            └─ request ── answer       what a request is to a session; what the verdict is to Postfix
 *                 └─ instance           messages that requests are about: a bounded number, each with its session
 *
 * Several threads: a message belongs to one of them, by the hash of its name, and who asks about it moves there. So the
 * session is found over whichever connection a request comes, there is no table for all and no lock on one, and what
 * is known of a message stays on one thread; what it costs is a descriptor that changes its epoll set once a message.
 */
#ifndef POLICYD_H
#define POLICYD_H

#include "../../common/server/server.h"

/* `policyd.decide`: at which of Postfix's states a message is decided as a whole. */
enum decide { DECIDE_DATA, DECIDE_END, DECIDE_NEVER };

typedef struct settings {
  server_settings base;
  enum decide decide;
  size_t instances; /* of each thread */
  int64_t keep_ms;  /* a message that nobody asks about */
  int64_t idle_ms;  /* a connection that asks nothing */
} settings;

enum { ITEM_CONNECTION = ITEM_OWN };

/* ---- messages ---------------------------------------------------------------------------------------- */

/* What a session has been told, in this order. */
enum step { NOTHING = 0, CONNECT, TLS, HELO, AUTH, MAIL, RCPT, DATA, MESSAGE };

/* A message that Postfix asks about, by its `instance`. */
typedef struct instance {
  struct instance *same, *older, *newer; /* in a bucket; by when it was last asked about */
  struct connection *at;                 /* that has asked about it last; NULL when that is closed */
  settings *settings;                    /* of its session */
  smtpf_session *session;
  enum step told;
  int asked;       /* a request about it is being answered */
  int ends;        /* the session has closed the connection: nothing more can be told to it */
  int incomplete;  /* Postfix took recipients that it did not ask about */
  size_t repeated; /* requests about the recipient before */
  size_t given;    /* how many of the verdict's actions have been answered */
  int64_t seen_ms;
  char name[128]; /* empty: of no use to a later request */
} instance;

enum { BUCKETS = 4096 };
typedef struct instance_table {
  instance *buckets[BUCKETS];
  instance *oldest, *newest;
  size_t n;
} instance_table;

/* ---- a thread, and its connections -------------------------------------------------------------------- */

typedef struct loop {
  server_loop base;
  ring connections, dead;
  ring leaving; /* to other threads, when nothing of this turn can point to them */
  pthread_mutex_t lock;
  ring arriving; /* from other threads: under the lock */
  instance_table instances;
} loop;

/* One connection of Postfix's: a request at a time. */
typedef struct connection {
  item item;
  ring link;   /* in one of the loop's rings */
  ring resume; /* in loop.base.resume */
  loop *loop;
  loop *home;      /* where it is to go; NULL: it stays */
  instance *about; /* what it has asked about last */
  smtpf_op delay;
  int64_t delay_ms;         /* the longest that a verdict has asked for since the request came */
  int64_t deadline;         /* of a next request */
  smtpf_delegation request; /* being answered; its strings lie in `in` */
  size_t taken;             /* bytes of it; 0: none is being answered */
  size_t n;
  uint8_t readable, hung_up, closing; /* there may be more to read, then the end; the end has been read */
  uint8_t woken, delayed;             /* the verdict is there; its delay is over */
  uint8_t dead;
  char in[SMTPF_DELEGATION_MAX];
} connection;

static inline loop *loop_of(server_loop *l)
{
  return (loop *)(void *)l;
}

/* Of new messages. */
static inline settings *loop_settings(const loop *l)
{
  return (settings *)(void *)l->base.settings;
}

/* ---- connection.c ---- */

void connection_new(loop *l, int fd);
void connection_close(connection *c);
void connection_free(connection *c);
void connection_event(connection *c, uint32_t events);
/* Goes on when the events of this turn have been dealt with. */
void connection_resume(connection *c);
void connection_go_on(connection *c);
void connection_send(connection *c, const char *bytes, size_t n);
/* Whether this thread is the one for a message of that name; when it is not, the connection is on its way there. */
int connection_is_home(connection *c, smtpf_str name);
void connection_sweep(loop *l);
/* Hands over who is on its way; takes those who have come. */
void connection_leave(loop *l);
void connection_arrive(loop *l);

/* ---- instance.c ---- */

/* Of a message's name. */
uint32_t instance_hash(smtpf_str name);
/* The message a connection's request is about, with its session. When it is not known: a new one, and `fresh` is set;
 * or NULL, as without memory, where it may not be new. Whatever else the connection has asked about before is over. */
instance *instance_of(connection *c, int may_be_new, int *fresh);
/* A session from the beginning, for what came again. 0: no memory. */
int instance_renew(loop *l, instance *i);
/* Its connection is closed: kept for another one, unless a request is being answered or none can find it. */
void instance_leave(instance *i);
/* Whether something is still to be decided about it. */
int instance_is_under_way(const instance *i);
void instance_free(loop *l, instance *i);
/* Those that nobody has asked about for too long. */
void instance_expire(loop *l);
void instance_free_all(loop *l);
/* What a session can be told to do, where messages are decided there. */
unsigned instance_capabilities(enum decide decide);

/* ---- request.c ---- */

/* Takes up whatever is whole, until something must be waited for. */
void request_next(connection *c);
/* What was waited for is there. */
void request_go_on(connection *c);

/* ---- answer.c ---- */

/* Has nothing to say about the request. */
void answer_dunno(connection *c);
/* The verdict's reply; or, when the message was accepted as a whole, the next of its actions. */
void answer_verdict(connection *c);
/* Tells what of an accepted message's verdict no answer could say. */
void answer_tell_lost(const instance *i);

/* ---- report.c ---- */

/* Counts and logs the verdict of what a session was told last for a request. */
void report_verdict(const connection *c, enum step step);
/* Something that no answer could say. */
void report_lost(const instance *i, const char *what, smtpf_str detail);

/* ---- arguments.c, alone.c ---- */

extern const server_argument arguments[];
int arguments_take(server_arguments *a, const char *name, const char *value);
/* host_policy_more: without a policy it does what postgrey does. */
int alone(smtpf_config *cfg, void *user, smtpf_error *err);

#endif
