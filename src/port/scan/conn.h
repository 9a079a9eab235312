/* SPDX-License-Identifier: MIT
 *
 * scan_conn: one connection of a scan_pool. It knows of sockets alone: whose scan it serves, and what that wants, is
 * the pool's. Its memory stays until the pool goes; `serial` tells one use of it from the next.
 */
#ifndef SMTPF_PORT_SCAN_CONN_H
#define SMTPF_PORT_SCAN_CONN_H

#include "pool.h"

struct smtpf_scan_conn {
  smtpf_scan_pool *pool;
  smtpf_scan_server *server;
  smtpf_scan_talk *talk; /* NULL: idle, or closed */
  uint64_t serial;
  uint64_t idle_since;
  int fd; /* -1: closed */
  unsigned events;
  int connecting, again; /* again: the server's queue is full, connect(2) must be called once more */
  unsigned used;         /* by earlier scans */
  int heard;             /* something came for this scan */
  int last;              /* half is closed once all is sent */
  int shut;              /* it is */
  int deaf;              /* the other side takes nothing any more; it may still have said something */
  size_t n_out, n_in;
  char out[SMTPF_SCAN_SAYS], in[SMTPF_SCAN_SAYS];
};

/* Begins to connect to c->server. SMTPF_OK: it is connected, or `connecting`. SMTPF_ENOMEM: this process has no
 * descriptors or memory left; SMTPF_EIO: it cannot be. *why says so, in words. */
int smtpf_scan_conn_open(smtpf_scan_conn *c, const char **why);
/* Whether it is through by now: SMTPF_OK (look at `connecting`) or SMTPF_EIO. */
int smtpf_scan_conn_try(smtpf_scan_conn *c, const char **why);
void smtpf_scan_conn_close(smtpf_scan_conn *c);
/* What is to be heard of. `writable`: somebody wants to write more. */
void smtpf_scan_conn_watch(smtpf_scan_conn *c, int writable);
/* Sends what waits, then these bytes, in one call; returns how many of them are on their way. */
size_t smtpf_scan_conn_send(smtpf_scan_conn *c, const char *bytes, size_t n);
/* The same with a descriptor beside one byte. 1, or 0. */
int smtpf_scan_conn_send_fd(smtpf_scan_conn *c, char with, int fd);
/* Reads what there is room for. SMTPF_OK, SMTPF_PENDING (nothing there), SMTPF_EIO (the end). */
int smtpf_scan_conn_read(smtpf_scan_conn *c);
/* 1 when the other side has read all, as far as that can be known: see smtpf_scan_fd_left(). */
int smtpf_scan_conn_drained(const smtpf_scan_conn *c);

/* ---- the pool, for its two files --------------------------------------------------------------------------------- */

enum smtpf_scan_state {
  SMTPF_SCAN_SPOOLED, /* no connection: all is taken, none is sent */
  SMTPF_SCAN_WAITING_FOR_ONE,
  SMTPF_SCAN_OPENING,
  SMTPF_SCAN_TALKING,
  SMTPF_SCAN_OVER, /* the library knows */
};

/* What a use of a connection says of its server. */
enum smtpf_scan_end { SMTPF_SCAN_GOOD, SMTPF_SCAN_BAD, SMTPF_SCAN_LEFT };

struct smtpf_scan_pool {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  const smtpf_section *settings;
  const smtpf_scan_protocol *protocol;
  smtpf_scan_servers servers;
  int64_t timeout_ms, connect_ms;
  smtpf_scan_conn **conns; /* `most`, made when they are needed */
  size_t most, in_use;
  smtpf_link waiting; /* talks, oldest first */
  size_t n_waiting;
  int serving;
};

/* scan_pool.c: gives a talk a connection, OPENING or TALKING. 1, or 0: talk->cause says why. */
int smtpf_scan_pool_take(smtpf_scan_talk *t);
/* Takes it away. `keep`: it may serve another. The caller serves those that wait when it is done. */
void smtpf_scan_pool_give(smtpf_scan_talk *t, int end, int keep);
void smtpf_scan_pool_forget(smtpf_scan_pool *pool, const smtpf_scan_server *server); /* closes its idle ones */
void smtpf_scan_pool_serve(smtpf_scan_pool *pool);
void smtpf_scan_pool_event(void *conn, int fd, unsigned events);

/* scan_talk.c: it has a connection: says so to the protocol, when it is up. The talk may be gone when these return. */
void smtpf_scan_talk_begin(smtpf_scan_talk *t);
void smtpf_scan_talk_event(smtpf_scan_talk *t, unsigned events);
void smtpf_scan_talk_unknown(smtpf_scan_talk *t); /* by talk->cause */
void smtpf_scan_talk_note(smtpf_scan_talk *t, const char *cause, const smtpf_scan_server *server, smtpf_str detail);

#endif
