/* SPDX-License-Identifier: MIT
 *
 * http_server: a server for one test, on a port of 127.0.0.1 or a socket it chose, that answers requests as it is told
 * to. A child of this process, ended by pid; what it has seen lies in memory that both share.
 */
#ifndef SMTPF_TESTS_HTTP_SERVER_H
#define SMTPF_TESTS_HTTP_SERVER_H

#include <stddef.h>
#include <sys/types.h>

enum { HTTP_SEEN = 64 * 1024 };

enum http_manner {
  HTTP_ANSWERS,      /* `text` with a length, once the request is complete; the connection stays */
  HTTP_CLOSES,       /* the same, `Connection: close` */
  HTTP_HANGS_UP,     /* the same as HTTP_ANSWERS, but the next request of a connection is the last it reads */
  HTTP_SILENT,       /* reads, and never says anything */
  HTTP_DEAF,         /* reads nothing after the fields */
  HTTP_DIES_READING, /* closes in the middle of the request */
  HTTP_DIES_SAYING,  /* closes in the middle of its answer, whose length it has said */
  HTTP_CUTS,         /* closes in the middle of its answer, whose length it has not said */
  HTTP_EARLY,        /* answers when it has read the fields */
  HTTP_RAW,          /* `text` is all it says, and closes */
  HTTP_SLOW,         /* as HTTP_ANSWERS, 300 ms later */
};

typedef struct http_seen {
  int connections, requests; /* accepted; complete */
  size_t body;               /* bytes of the last complete one's body, decoded */
  unsigned sum;              /* of these */
  int chunked;
  size_t n;
  char fields[HTTP_SEEN]; /* of the last one */
} http_seen;

typedef struct http_server {
  pid_t pid;
  int port, status;
  int manner;
  const char *text;
  char path[64];    /* of its socket, instead of a port */
  char address[80]; /* as a policy names it */
  http_seen *seen;
} http_server;

/* `unix_socket`: 1 for a socket. `text` must live on. */
void http_start(http_server *s, int unix_socket, int manner, int status, const char *text);
/* At the same place again, in another manner. */
void http_restart(http_server *s, int manner, int status, const char *text);
/* Ends it; its place stays. */
void http_end(http_server *s);
void http_free(http_server *s);
/* The value of a field of the last request, its `nth` from 0; NULL for none. Valid until the next call. */
const char *http_field(const http_server *s, const char *name, int nth);
unsigned http_sum(const char *bytes, size_t n);

#endif
