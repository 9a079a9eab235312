/* SPDX-License-Identifier: MIT
 *
 * callout_world: callouts over real sockets to servers on loopback that say what a test wants, run by the same thread;
 * the clock can be put forward.
 */
#ifndef SMTPF_TESTS_CALLOUT_WORLD_H
#define SMTPF_TESTS_CALLOUT_WORLD_H

#include <check.h>
#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/check.h>

enum { WORLD_SAYS = 8, WORLD_CONNS = 64, WORLD_ASKED = 64, WORLD_SERVERS = 2 };

typedef struct world_conn {
  int fd; /* -1: none */
  size_t step, n, out;
  const char *saying;
  char in[1024];
} world_conn;

/* What a server answers: first the banner, then a reply to each line. NULL: nothing more; "": it closes. */
typedef struct world_server {
  int listener; /* -1: nobody listens */
  const char *says[WORLD_SAYS];
  size_t bytes; /* at a time; 0: all at once */
  int accepted, open, most_open;
  char heard[2048]; /* all lines, ended by `|` */
  world_conn conns[WORLD_CONNS];
} world_server;

typedef struct world_answer {
  int known, status, code;
  char cause[40], text[600], enhanced[40];
} world_answer;

typedef struct world {
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_zone *zone;
  uint64_t offset_ns;
  unsigned port;
  long live, allocations, fail_at;     /* fail_at: the allocation that fails, from 1 */
  world_server servers[WORLD_SERVERS]; /* on 127.0.0.1 and 127.0.0.2, with one port */
  smtpf_session *sessions[WORLD_ASKED];
  world_answer answers[WORLD_ASKED];
  size_t n;
} world;

void world_init(world *w);
void world_set(world *w, const char *option, const char *value);
void world_start(world *w);
void world_end(world *w); /* fails the test when anything is still held */

/* A server that does as it should, or as these replies say: banner, EHLO, MAIL, RCPT, RSET, QUIT. */
void world_serve(world *w, size_t server, const char *const says[WORLD_SAYS]);
void world_close(world *w, size_t server); /* nobody listens any more, connections are closed */

size_t world_ask(world *w, const char *recipient); /* a question, and its number */
void world_leave(world *w, size_t question);       /* who asked is gone */
void world_turn(world *w);
int world_until(world *w, size_t answers, int ms); /* 0: it took longer */
void world_advance(world *w, int64_t ms);
const world_answer *world_answered(world *w, const char *recipient); /* asks, and waits for it */

#endif
