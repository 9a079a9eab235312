/* SPDX-License-Identifier: MIT
 *
 * smtpf-policyd: Postfix's policy delegation, one event loop. Uses the public headers alone.
 *
 *   main.c      command line, policy, signals
 *   server.c    sockets and the loop
 *   request.c   what a request is to a session, and the answer
 */
#ifndef POLICYD_H
#define POLICYD_H

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

enum { LISTEN_MAX = 16 };

/* What epoll gives back: a listener, the driver, signals or a connection. */
enum kind { LISTENER, DRIVER, SIGNALS, CONNECTION };

typedef struct item {
  enum kind kind;
  int fd;
} item;

typedef struct server {
  int epoll;
  smtpf_driver *driver;
  item driver_item, signals;
  item listeners[LISTEN_MAX];
  char paths[LISTEN_MAX][108]; /* of Unix sockets; empty */
  size_t n_listeners;
  struct connection *connections, *closed;
  struct arguments *arguments;
  int done;
} server;

/* One connection of Postfix's: a request at a time. */
typedef struct connection {
  item item;
  server *server;
  struct connection *next, *previous;
  smtpf_session *session;
  smtpf_op delay;
  smtpf_delegation request; /* being answered; its strings lie in `in` */
  size_t taken;             /* bytes of it; 0: none is being answered */
  int told;                 /* the last the session heard of */
  char instance[128];       /* the message the session is about */
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

/* ---- request.c ---- */

/* Bytes have come, or an answer has gone: takes up whatever is whole. */
void request_next(connection *c);
/* The session's verdict is ready. */
void request_ready(void *user, smtpf_session *session);
void request_forget(connection *c);

/* ---- main.c ---- */

/* A new policy on SIGHUP; the old one serves on when it is broken. */
void policy_reload(server *s);

#endif
