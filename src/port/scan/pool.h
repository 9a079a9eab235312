/* SPDX-License-Identifier: MIT
 *
 * scan_pool: the common part of scanners that ask a server. Two storeys; a type uses both, or the lower one alone
 * (where a library of its own keeps the connections).
 *
 *   servers   scan_server.c  where they are, which one is asked next, which one is left alone for a while
 *   pool      scan_pool.c    connections, who waits for one, deadlines, another server when nothing was judged
 *
 * Everything belongs to one instance on one driver. It reads the rows `servers`, `timeout`, `connect_timeout` and
 * `connections` of the instance. What goes wrong is unknown(cause), never clean:
 *
 *   refused   no server let us in            closed    it went away before it answered
 *   timeout   it did not answer in time      garbage   it answered what is none
 *   down      all are left alone             busy      too many scans wait already
 *   too-large it takes no message so large   error     it says that it could not
 */
#ifndef SMTPF_PORT_SCAN_POOL_H
#define SMTPF_PORT_SCAN_POOL_H

#include <smtpfilter/ext/scan.h>

#include <sys/socket.h>

#include "base/list.h"

enum {
  SMTPF_SCAN_SERVERS = 32,
  SMTPF_SCAN_FAILURES = 3,        /* in a row, after which a server is left alone */
  SMTPF_SCAN_BACKOFF = 1000,      /* ms, the first time; doubled by each probe that fails */
  SMTPF_SCAN_BACKOFF_MAX = 60000, /* ms */
  SMTPF_SCAN_WAITING = 1000,      /* complete messages that may wait for a connection */
  SMTPF_SCAN_SAYS = 8192,         /* bytes of a protocol's own that may wait for the socket, and of an answer unread */
  SMTPF_SCAN_AGAIN = 20,          /* ms until a unix socket is asked again whose server's queue was full */
  SMTPF_SCAN_PATIENCE = 5000,     /* ms a connection waits for a client that says nothing */
};

/* The message's file, opened once more: with an offset of its own, for reading alone, close-on-exec. The caller's; -1.
 */
int smtpf_scan_file_again(int fd);

/* ---- servers ---------------------------------------------------------------------------------------------------- */

typedef struct smtpf_scan_server {
  struct sockaddr_storage address;
  socklen_t address_n;
  char text[128];     /* `unix:/path`, `192.0.2.1:3310`, `[2001:db8::1]:3310` */
  int local;          /* a unix socket */
  unsigned failures;  /* in a row */
  int open;           /* left alone */
  int probing;        /* but one scan is trying it */
  int64_t backoff_ms; /* how long, this time */
  uint64_t retry_at;  /* driver's nanoseconds */
  size_t busy;        /* scans under way */
} smtpf_scan_server;

typedef struct smtpf_scan_servers {
  smtpf_driver *driver;
  smtpf_str scanner; /* name of the instance, for the log */
  smtpf_scan_server v[SMTPF_SCAN_SERVERS];
  size_t n, next; /* where the search begins */
  size_t most;    /* scans under way with each; 0: no bound here. The pool's */
} smtpf_scan_servers;

/* `unix:/path`, `address`, `address:port`, `[address]:port`; literals alone. port 0: it must be there.
 * SMTPF_OK or SMTPF_EPARSE. */
int smtpf_scan_server_parse(smtpf_scan_server *out, smtpf_str text, unsigned port);
/* For a type's `check`: SMTPF_OK, or SMTPF_EINVAL with the place. `port`: where the policy names none. */
int smtpf_scan_servers_check(const smtpf_section *settings, unsigned port, smtpf_error *err);
/* For its `start`. `scanner` lives as long. SMTPF_OK or SMTPF_EINVAL. */
int smtpf_scan_servers_init(smtpf_scan_servers *s, smtpf_driver *driver, const smtpf_section *settings, unsigned port);

/* The server with the fewest scans under way, in turn where they are equal, that is not among `tried` (bit i: v[i]) and
 * not left alone, and has room; one whose time is over is tried by one scan at a time. It counts as busy until one of
 * the three below is called. NULL: none. */
smtpf_scan_server *smtpf_scan_server_choose(smtpf_scan_servers *s, uint32_t tried);
/* 1 when there are such, and none has room: it pays to wait. */
int smtpf_scan_servers_full(const smtpf_scan_servers *s, uint32_t tried);
/* It has answered. */
void smtpf_scan_server_good(smtpf_scan_servers *s, smtpf_scan_server *server);
/* It has failed: `cause` is a static word. After SMTPF_SCAN_FAILURES in a row it is left alone; the log is told. */
void smtpf_scan_server_bad(smtpf_scan_servers *s, smtpf_scan_server *server, const char *cause);
/* Nobody knows: the scan was given up. */
void smtpf_scan_server_leave(smtpf_scan_servers *s, smtpf_scan_server *server);
/* A scanner's `stats` whose `self` begins with its servers: `down.SERVER` of each. */
void smtpf_scan_servers_stats(void *servers, smtpf_stat_fn fn, void *user);
/* Its bit in `tried`. */
uint32_t smtpf_scan_server_bit(const smtpf_scan_servers *s, const smtpf_scan_server *server);

/* ---- the pool --------------------------------------------------------------------------------------------------- */

/*
 * A scan of a protocol begins with a smtpf_scan_talk. Its open, feed, finish and close call the four functions of the
 * same name below; the pool calls the protocol back when there is a connection and when bytes come. A message that is
 * still coming gets a connection only while less than half of them are in use, and loses it when the client is silent
 * for SMTPF_SCAN_PATIENCE: it is then taken from the spool, once it is complete. So slow clients hold up nobody.
 *
 *   open ----> connected ----> [feed ...] --> finish --> read ... --> smtpf_scan_talk_done()
 *                 ^                                         \-> smtpf_scan_talk_fail(): another server is tried,
 *                 \-- begin again, from byte 0 -----------------   from the beginning; when there is none: unknown
 */
typedef struct smtpf_scan_pool smtpf_scan_pool;
typedef struct smtpf_scan_talk smtpf_scan_talk;
typedef struct smtpf_scan_conn smtpf_scan_conn;

typedef struct smtpf_scan_protocol {
  /* There is a connection: the scan begins, or begins again; forget what came before. Say what comes before the
   * message. `fresh`: 0 when another scan has used it. SMTPF_OK, or anything else: no memory, it is unknown. */
  int (*connected)(smtpf_scan_talk *talk, int fresh);
  /* Bytes of the message; returns how many were taken, by smtpf_scan_talk_pass(). */
  size_t (*feed)(smtpf_scan_talk *talk, const char *bytes, size_t n);
  /* The message is complete: say what comes behind it. SMTPF_OK; SMTPF_PENDING: nothing was sent yet, and the message
   * is wanted from its first byte again; anything else as above. */
  int (*finish)(smtpf_scan_talk *talk);
  /* All that has come and was not consumed, at most SMTPF_SCAN_SAYS; `ended`: nothing more will come. Returns how much
   * was consumed; nothing consumed and no room left is garbage, ended and neither done nor failed is closed. After
   * smtpf_scan_talk_done() or _fail() the talk is gone: return 0 at once. */
  size_t (*read)(smtpf_scan_talk *talk, const char *bytes, size_t n, int ended);
} smtpf_scan_protocol;

/* The head of a protocol's scan. Zeroed before smtpf_scan_talk_open(). The pool's alone, but for what is marked. */
struct smtpf_scan_talk {
  smtpf_scan_pool *pool; /* read */
  smtpf_op op;           /* read */
  smtpf_scan_conn *conn; /* read: NULL without a connection */
  int complete;          /* read: finish was called for this connection: all of the message was passed */
  smtpf_link in;         /* those that wait */
  int state;
  int finished;      /* the library has called finish, at some time */
  int held;          /* smtpf_scan_talk_hold() */
  int hearing;       /* read is called */
  int blocked;       /* feed has said: not all */
  int wanted;        /* it has asked for a connection, complete */
  int stale;         /* times a kept connection turned out to be dead */
  uint64_t taken;    /* bytes since the beginning */
  uint32_t tried;    /* servers */
  const char *cause; /* of the last failure */
  char detail[160];
  int ticking;                             /* it is the servers whom we wait for */
  uint64_t since, left_ns;                 /* since when, and how long they may still take */
  uint64_t fed_at;                         /* when the client said something last */
  uint64_t bound_at, connect_by, again_at; /* since when it has the connection; connecting: until when, next try */
  smtpf_op timer;
  uint64_t timer_at;
};

/* One for each instance and driver. SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. `settings` lives as long. */
int smtpf_scan_pool_start(smtpf_scan_pool **out, smtpf_driver *driver, const smtpf_section *settings,
                          const smtpf_scan_protocol *protocol, unsigned port);
/* No talk is open. NULL is accepted. */
void smtpf_scan_pool_stop(smtpf_scan_pool *pool);
/* A scanner's `stats`, whose `self` is the pool. */
void smtpf_scan_pool_stats(void *pool, smtpf_stat_fn fn, void *user);
smtpf_driver *smtpf_scan_pool_driver(const smtpf_scan_pool *pool);

/* What the functions of smtpf_scanner call. The talk lies at the beginning of memory the type owns. */
int smtpf_scan_talk_open(smtpf_scan_talk *talk, smtpf_scan_pool *pool, smtpf_op op);
size_t smtpf_scan_talk_feed(smtpf_scan_talk *talk, const char *bytes, size_t n);
int smtpf_scan_talk_finish(smtpf_scan_talk *talk);
void smtpf_scan_talk_close(smtpf_scan_talk *talk); /* then the type frees it */

/* What a protocol calls from its functions. */

/* Bytes of its own, kept until they are sent. 1, or 0 when they are more than SMTPF_SCAN_SAYS: nothing was kept. */
int smtpf_scan_talk_say(smtpf_scan_talk *talk, const char *bytes, size_t n);
/* Bytes of the message, behind all that was said; returns how many are on their way. */
size_t smtpf_scan_talk_pass(smtpf_scan_talk *talk, const char *bytes, size_t n);
/* A descriptor beside the byte `with` (SCM_RIGHTS), behind all that was said. 1, or 0 when it cannot be. */
int smtpf_scan_talk_pass_fd(smtpf_scan_talk *talk, char with, int fd);
/* Nothing more will be said: half of the connection is closed once all is sent. */
void smtpf_scan_talk_last(smtpf_scan_talk *talk);
/* 1: the server must speak first, feed takes nothing meanwhile; 0: the message goes on (the core may feed inside; said
 * in `read`: when that has returned). */
void smtpf_scan_talk_hold(smtpf_scan_talk *talk, int held);
/* 1 when the message is complete and all of it has been sent: from here on an answer is about all of it. */
int smtpf_scan_talk_sent(const smtpf_scan_talk *talk);
/* 1 when what was passed has been sent, for protocols that tell the length: their server may answer before finish. */
int smtpf_scan_talk_drained(const smtpf_scan_talk *talk);
/* How many scans this connection has served, this one too. */
unsigned smtpf_scan_talk_uses(const smtpf_scan_talk *talk);
/* The server this talk is with; NULL without one. */
const smtpf_scan_server *smtpf_scan_talk_server(const smtpf_scan_talk *talk);

/* It is judged, or unknown for good: tells the library. `keep`: the connection can serve another scan. The talk may be
 * gone when this returns. `detail` is the server's name where the result has none. */
void smtpf_scan_talk_done(smtpf_scan_talk *talk, const smtpf_scan_result *result, int keep);
/* Nothing was judged. `blame`: it counts against the server. The talk may be gone when this returns. */
void smtpf_scan_talk_fail(smtpf_scan_talk *talk, const char *cause, smtpf_str detail, int blame);

/* Bytes written to this socket that are certainly unread: over a unix socket those the other side has not read, over
 * TCP those its kernel has not acknowledged. An answer acknowledges all that was read before it was given, so with some
 * left it was given too early. What lies in the other side's kernel over TCP nobody can tell from what was read. */
size_t smtpf_scan_fd_left(int fd);

#endif
