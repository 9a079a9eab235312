/* SPDX-License-Identifier: MIT
 *
 * smtpf-policyd: Postfix's policy delegation, one event loop. Uses the public headers alone.
 *
 *   main.c      command line, policy, signals
 *   server.c    sockets and the loop
 *   instance.c  messages that requests are about: a bounded number, each with its session
 *   request.c   what a request is to a session
 *   answer.c    what a verdict is to Postfix
 */
#ifndef POLICYD_H
#define POLICYD_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

#include "../../common/metrics/metrics.h"

enum { LISTEN_MAX = 16 };

/* What epoll gives back: a listener, the driver, signals or a connection. */
enum kind { LISTENER, DRIVER, SIGNALS, CONNECTION };

typedef struct item {
  enum kind kind;
  int fd;
} item;

/* `policyd.decide`: at which of Postfix's states a message is decided as a whole. */
enum decide { DECIDE_DATA, DECIDE_END, DECIDE_NEVER };

/* What a session has been told, in this order. */
enum step { NOTHING = 0, CONNECT, TLS, HELO, AUTH, MAIL, RCPT, DATA, MESSAGE };

/* A message that Postfix asks about, by its `instance`. */
typedef struct instance {
  struct instance *same, *older, *newer; /* in a bucket; by when it was last asked about */
  struct connection *at;                 /* that has asked about it last; NULL when that is closed */
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
  size_t n, max;
  int64_t keep_ms;
  smtpf_op timer;
} instance_table;

typedef struct server {
  int epoll;
  smtpf_driver *driver;
  item driver_item, signals;
  item listeners[LISTEN_MAX];
  char paths[LISTEN_MAX][108]; /* of Unix sockets; empty */
  size_t n_listeners;
  struct connection *connections, *closed;
  struct arguments *arguments;
  enum decide decide;
  instance_table instances;
  metrics *all; /* NULL: nobody may ask */
  metrics_part *metrics;
  size_t open;
  int done;
} server;

/* One connection of Postfix's: a request at a time. */
typedef struct connection {
  item item;
  server *server;
  struct connection *next, *previous;
  instance *about; /* what it has asked about last */
  smtpf_op delay;
  int64_t delay_ms;         /* the longest that a verdict has asked for since the request came */
  smtpf_delegation request; /* being answered; its strings lie in `in` */
  size_t taken;             /* bytes of it; 0: none is being answered */
  size_t n;
  char in[SMTPF_DELEGATION_MAX];
  int dead;
} connection;

/* ---- server.c ---- */

int server_listen_unix(server *s, const char *path);
int server_listen_inet(server *s, const char *address); /* [HOST:]PORT */
int server_listen(server *s, smtpf_str where);          /* either, as `policyd.listen` has it */
int server_run(server *s);
void server_close(server *s);
void connection_send(connection *c, const char *bytes, size_t n);
void connection_close(connection *c);

/* ---- instance.c ---- */

/* The message a connection's request is about, with its session. When it is not known: a new one, and `fresh` is set;
 * or NULL, as without memory, where it may not be new. Whatever else the connection has asked about before is over. */
instance *instance_of(connection *c, int may_be_new, int *fresh);
/* A session from the beginning, for what came again. 0: no memory. */
int instance_renew(server *s, instance *i);
/* Its connection is closed: kept for another one, unless a request is being answered or none can find it. */
void instance_leave(instance *i);
void instance_free(server *s, instance *i);
void instance_free_all(server *s);

/* ---- request.c ---- */

/* Bytes have come, or an answer has gone: takes up whatever is whole. */
void request_next(connection *c);
/* The session's verdict is ready. */
void request_ready(void *user, smtpf_session *session);

/* ---- answer.c ---- */

/* Has nothing to say about the request. */
void answer_dunno(connection *c);
/* The verdict's reply; or, when the message was accepted as a whole, the next of its actions. */
void answer_verdict(connection *c);
/* Tells what of an accepted message's verdict no answer could say. */
void answer_tell_lost(const instance *i);

/* ---- main.c ---- */

/* A new policy on SIGHUP; the old one serves on when it is broken. */
void policy_reload(server *s);

#endif
