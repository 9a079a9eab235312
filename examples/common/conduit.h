/* SPDX-License-Identifier: MIT
 *
 * conduit: the socket of one connection, plain or, from some moment on, with TLS over it. For sockets that do not block
 * and are watched for both directions, by edge: who reads reads until EAGAIN; who was told EAGAIN when writing, or has
 * a conduit that waits, calls conduit_flush() when the socket is writable. The descriptor is the caller's.
 */
#ifndef COMMON_CONDUIT_H
#define COMMON_CONDUIT_H

#include <sys/types.h>

#include "tls.h"

enum { CONDUIT_ROOM = 32768 }; /* the least room for conduit_read() */

typedef struct conduit {
  int fd;
  tls *tls; /* NULL: plain */
} conduit;

/* From now on TLS: what is read and written next is the handshake; see tls_new(). 0, or -1: no memory. */
int conduit_start(conduit *c, tls_context *context, const char *name, int verify);
/* Frees what TLS holds. */
void conduit_free(conduit *c);

/* As recv(2): how many bytes; 0 at the end; -1 with errno: EAGAIN, EPROTO (TLS failed: conduit_why()), or another. A
 * handshake goes on by it, and is over when conduit_up() says so after EAGAIN. */
ssize_t conduit_read(conduit *c, char *room, size_t cap);
/* As send(2): how many bytes were taken, which may then still wait here; -1 with errno. */
ssize_t conduit_write(conduit *c, const char *p, size_t n);
/* Sends what waits. 1 when all went, 0 when some must wait, -1 when the connection is gone. */
int conduit_flush(conduit *c);
/* Says that no more will be written, as far as that can be said now. */
void conduit_finish(conduit *c);

/* 1 when bytes that were taken have not gone yet. */
int conduit_waits(const conduit *c);
/* 1 when it is plain, or its handshake is over. */
int conduit_up(const conduit *c);
/* Why TLS failed; empty when it did not. */
const char *conduit_why(const conduit *c);

#endif
