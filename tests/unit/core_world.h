/* SPDX-License-Identifier: MIT
 *
 * core_world: everything a driver touches, made of numbers. Time moves only when the poller waits or a test says so;
 * the resolver, the directory and the store answer at once, or when the test tells them to; checks do what a test
 * scripts; memory is counted, and the allocation of any number can be made to fail.
 */
#ifndef SMTPF_TESTS_CORE_WORLD_H
#define SMTPF_TESTS_CORE_WORLD_H

#include <check.h>
#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/check.h>

#include "base/str.h"
#include "core/config.h"
#include "core/driver.h"
#include "core/session.h"

enum { WORLD_ASKED = 256, WORLD_CHECKS = 8, WORLD_LINES = 64 };

/* One scripted check. `run` and `resume` may be NULL: then it reports nothing and is done. */
typedef struct script {
  int (*run)(struct script *self, smtpf_task *t, const smtpf_event *ev);
  int (*resume)(struct script *self, smtpf_task *t, const smtpf_answer *a);
  smtpf_finding finding; /* for the ready-made scripts below */
  int at;                /* stages at which it acts; 0 for all */
  int runs, resumes;
  uint32_t last_tag;
  int64_t last_score;
  smtpf_event seen; /* at the last run */
} script;

/* What a port was asked and has not answered. */
typedef struct asked {
  smtpf_op op;
  int type; /* DNS */
  char name[300];
} asked;

typedef struct world {
  uint64_t now_ns;
  int64_t wall, pid;
  long live, allocations, fail_at; /* fail_at: the allocation, from 1, that fails; 0 for none */
  long fail_from;                  /* that one and all after it */
  int hold;                        /* ports keep questions instead of answering at once */
  int port_error;                  /* what a port returns instead of taking a question */
  smtpf_dns_answer dns;            /* the answer given at once */
  smtpf_directory_answer who;
  int store_status;
  asked dns_asked[WORLD_ASKED], dir_asked[WORLD_ASKED], store_asked[WORLD_ASKED];
  size_t n_dns, n_dir, n_store, dns_total, cancelled;
  int64_t armed_ms;
  int arms, waits, wakes, zero_waits, sets, wait_error;
  void (*on_wait)(struct world *w, int64_t timeout_ms); /* something happens while the poller sleeps */
  int stops;
  smtpf_pollfd ready[4];
  int n_ready;
  script scripts[WORLD_CHECKS];
  smtpf_check checks[WORLD_CHECKS];
  size_t n_checks;
  smtpf_mem mem;
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_clock clock;
  smtpf_random random;
  smtpf_ports ports;
  int no_random;
  char log[WORLD_LINES][4096]; /* `event name=value ...` */
  int levels[WORLD_LINES];
  size_t lines;
  void *of_test;
} world;

void world_init(world *w);                                                  /* a configuration without checks */
script *world_check(world *w, const char *name, unsigned stages, int tier); /* before world_start() */
void world_set(world *w, const char *path, const char *value);
void world_append(world *w, const char *path, const char *value);
int world_try_start(world *w); /* engine and driver; the error */
void world_start(world *w);
void world_end(world *w); /* fails the test when something is still held */

smtpf_session *world_session(world *w, unsigned capabilities, int protocol);
smtpf_session *world_connected(world *w, unsigned capabilities); /* connected from 192.0.2.1 */
smtpf_session *world_greeted(world *w, unsigned capabilities);
int world_connect(smtpf_session *s, const char *address);
int world_helo(smtpf_session *s, const char *name);
int world_mail(smtpf_session *s, const char *path);
int world_rcpt(smtpf_session *s, const char *path);
int world_body(smtpf_session *s, const char *text);
smtpf_session *world_taken(world *w, unsigned capabilities,
                           const char *message); /* to a@ and b@, end of message said */

int world_code(const smtpf_session *s); /* 0 without a verdict */
int world_disposition(const smtpf_session *s, size_t i);
uint64_t world_stat(const world *w, const char *name);
const char *world_last_log(const world *w, const char *event); /* the last line of that event; "" without */

void world_dns(world *w, size_t i, int status, uint32_t ttl); /* answers question i, which stays in the list */
smtpf_op world_dns_op(const world *w, size_t i);

/* Ready-made scripts. */
int script_report(script *self, smtpf_task *t, const smtpf_event *ev); /* self->finding */
int script_query(script *self, smtpf_task *t, const smtpf_event *ev);  /* A of the HELO name or "x.example" */
int script_lookup(script *self, smtpf_task *t, const smtpf_event *ev); /* the recipient */
int script_sleep(script *self, smtpf_task *t, const smtpf_event *ev);  /* finding.score milliseconds */
int script_done(script *self, smtpf_task *t, const smtpf_answer *a);
int script_hit(script *self, smtpf_task *t, const smtpf_answer *a); /* DNS found: self->finding; else unknown */

/* A finding of each kind. */
smtpf_finding finding_hit(int32_t score);
smtpf_finding finding_fact(int reply);
smtpf_finding finding_missing(void);

/* Expectations that print both sides. */
#define EXPECT_CODE(s, code) ck_assert_int_eq(world_code(s), (code))

#endif
