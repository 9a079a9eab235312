/* SPDX-License-Identifier: MIT
 *
 * scan_world: scans of real messages by one instance of a scanner, through a driver with real sockets and a clock that
 * can be put forward; and a server that can go wrong in every way, run by the same thread.
 */
#ifndef SMTPF_TESTS_SCAN_WORLD_H
#define SMTPF_TESTS_SCAN_WORLD_H

#include <check.h>
#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/scan.h>

enum { WORLD_SERVERS = 3, WORLD_CONNS = 600, WORLD_SCANS = 600 };

/* What a server does. */
enum fake_way {
  FAKE_CLAMD = 0, /* what clamd does: `EVIL` in a stream is found */
  FAKE_SILENT,    /* accepts, reads nothing, says nothing */
  FAKE_DEAF,      /* reads all, says nothing */
  FAKE_DIES,      /* reads `after` bytes, then closes */
  FAKE_DIES_ONCE, /* the same on its first connection; then it is a clamd */
  FAKE_HALF_LINE, /* half an answer, then closes */
  FAKE_GARBAGE,   /* `words` for an answer */
  FAKE_EARLY,     /* says OK at once, reads nothing */
  FAKE_LIMIT,     /* a stream longer than `after` is too large, said as clamd says it */
  FAKE_LATE,      /* an answer only when `gate` is open */
  FAKE_ONE_EACH,  /* closes after each answer, as clamd does without a session */
};

typedef struct fake_conn {
  int fd;
  uint64_t read, stream; /* bytes; of the stream */
  uint32_t chunk, scans, answered;
  int state, head_n, evil, over, done, by_fd, passed;
  unsigned char head[4];
  char word[32], tail[4];
  size_t word_n;
  int session;
} fake_conn;

typedef struct fake_server {
  int listener, tcp;
  char address[160];
  int way, gate;
  uint64_t after;
  const char *words;
  int accepted, open, most_open, streams;
  fake_conn conns[WORLD_CONNS];
} fake_server;

typedef struct outcome {
  int known; /* the answer is there */
  int status;
  char name[80], cause[40], detail[200];
  uint64_t seen;
  int scored;
  int32_t score;
} outcome;

typedef struct scan_world {
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_mem mem;
  long live, allocations, fail_at;
  uint64_t offset_ns; /* the clock is ahead by this */
  const char *user;   /* whose settings the scanner is to use; NULL: the site's */
  fake_server servers[WORLD_SERVERS];
  size_t n_servers;
  outcome outcomes[WORLD_SCANS];
  size_t n_outcomes;
  char log[8192]; /* `event name=value ...` lines */
  char folder[64];
} scan_world;

void scan_world_init(scan_world *w);
/* A server on a unix socket, or on TCP; it is in the instance's list. */
fake_server *scan_world_server(scan_world *w, int tcp, int way);
void scan_world_stop_server(fake_server *s); /* nobody listens, all connections are closed */
void scan_world_start_server(scan_world *w, fake_server *s);
void scan_world_set(scan_world *w, const char *option, const char *value);    /* of the instance */
void scan_world_append(scan_world *w, const char *option, const char *value); /* the same */
void scan_world_start(scan_world *w, const char *type);
void scan_world_end(scan_world *w); /* fails the test when anything is still held */

/* A session up to DATA; the message follows by scan_world_body(). */
smtpf_session *scan_world_session(scan_world *w);
void scan_world_body(scan_world *w, smtpf_session *s, const char *bytes, size_t n);
/* The end of the message; does not wait. */
void scan_world_finish(smtpf_session *s);
/* All of it at once, until there is an outcome. */
const outcome *scan_world_scan(scan_world *w, const char *bytes, size_t n);
void scan_world_turn(scan_world *w, int ms); /* driver and servers, once */
void fake_server_turn(fake_server *s);
int scan_world_until(scan_world *w, size_t outcomes, int ms); /* 0: it took longer */
void scan_world_advance(scan_world *w, int64_t ms);           /* the clock */
int scan_world_logged(const scan_world *w, const char *text); /* how often */
int scan_world_fds(void);                                     /* descriptors this process has open */

#endif
