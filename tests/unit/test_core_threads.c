/* SPDX-License-Identifier: MIT
 *
 * One engine, four threads, a driver each: references are taken and given back, sessions come and go, checks of one
 * `self` run everywhere at once. Under ThreadSanitizer this says that nothing mutable is shared.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <smtpfilter/ext/check.h>
#include <smtpfilter/smtpfilter.h>

#include "core/config.h"
#include "core/directory.h"
#include "core/driver.h"
#include "port_run.h"

enum { THREADS = 4, SESSIONS = 200 };

/* What one thread's ports are made of. */
typedef struct loop {
  smtpf_engine *engine;
  smtpf_driver *driver;
  uint64_t now_ns;
  smtpf_op asked;
  long taken, refused, wrong;
} loop;

static uint64_t mono(void *user)
{
  loop *l = user;
  return l->now_ns += 1000;
}

static int64_t wall(void *user)
{
  (void)user;
  return 1700000000;
}

static int fill(void *user, void *out, size_t n)
{
  memset(out, 1, n);
  (void)user;
  return SMTPF_OK;
}

static int start_poller(void *shared, void **self)
{
  *self = shared;
  return SMTPF_OK;
}

static int set(void *self, int fd, unsigned events)
{
  (void)self;
  (void)fd;
  (void)events;
  return SMTPF_OK;
}

static int arm(void *self, int64_t in_ms)
{
  (void)self;
  (void)in_ms;
  return SMTPF_OK;
}

/* The question that is open is answered while the driver sleeps. */
static int wait_ready(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap)
{
  loop *l = self;
  const smtpf_dns_record r = {.type = SMTPF_DNS_A, .ttl = 5, .ip = {4, {127, 0, 0, 2}}};
  const smtpf_dns_answer a = {sizeof a, SMTPF_DNS_OK, 5, 1, &r};
  (void)timeout_ms;
  (void)ready;
  (void)cap;
  l->now_ns += 1000000;
  if (l->asked)
    (void)smtpf_op_dns(l->driver, l->asked, &a);
  l->asked = 0;
  return 0;
}

static int no_fd(void *self)
{
  (void)self;
  return -1;
}

static int64_t pid(void *self)
{
  (void)self;
  return 1;
}

static void stop(void *self)
{
  (void)self;
}

static int start_port(void *shared, smtpf_driver *driver, void **self)
{
  (void)driver;
  *self = shared;
  return SMTPF_OK;
}

static int query(void *self, smtpf_op op, int type, const char *name)
{
  loop *l = self;
  (void)type;
  (void)name;
  l->asked = op;
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  loop *l = self;
  (void)key;
  return smtpf_op_store(l->driver, op, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  (void)changes;
  (void)n;
  return get(self, op, (smtpf_str){NULL, 0});
}

static const smtpf_poller poller = {sizeof poller, "none", start_poller, set, arm, wait_ready, no_fd, no_fd, pid, stop};
static const smtpf_resolver resolver = {sizeof resolver, "none", start_port, query, cancel, stop};
static const smtpf_store store = {sizeof store, "none", start_port, get, commit, cancel, stop, NULL, NULL};

/* ---- a check that all threads share ---------------------------------------------------------------------------------
 */

static int open_list(void **self, const smtpf_section *policy, smtpf_error *err)
{
  int64_t *score = malloc(sizeof *score);
  (void)err;
  if (!score)
    return SMTPF_ENOMEM;
  *score = smtpf_section_number(policy, "shared.score");
  *self = score;
  return SMTPF_OK;
}

static int run_list(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  const int r = smtpf_task_query(t, SMTPF_DNS_A, ev->recipient->domain, 1);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int resume_list(void *self, smtpf_task *t, const smtpf_answer *a)
{
  const int64_t *score = self;
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "listed", .score = (int32_t)*score};
  return a->dns->status == SMTPF_DNS_OK ? smtpf_task_report(t, &f) : smtpf_task_clear(t, "none");
}

static const smtpf_option rows[] = {{"shared.score", SMTPF_OPTION_SCORE, "3", 0, 100000, NULL, "Score of each hit."}};
static const smtpf_check shared = {.size = sizeof shared,
                                   .name = "shared",
                                   .stages = SMTPF_RCPT,
                                   .tier = 2,
                                   .options = rows,
                                   .n_options = 1,
                                   .open = open_list,
                                   .run = run_list,
                                   .resume = resume_list,
                                   .close = free};

/* ---- one thread ---- */

static int said(smtpf_session *s, int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, -1);
  return r == SMTPF_OK ? smtpf_verdict_code(smtpf_session_verdict(s)) : r;
}

static void converse(loop *l, int i)
{
  const smtpf_peer peer = {.size = sizeof peer, .address = i % 2 ? SMTPF_LIT("192.0.2.1") : SMTPF_LIT("198.51.100.1")};
  smtpf_session *s = NULL;
  size_t taken;
  if (smtpf_session_new(&s, l->driver, NULL) != SMTPF_OK) {
    l->wrong++;
    return;
  }
  l->wrong += said(s, smtpf_session_connect(s, &peer)) != 220;
  l->wrong += said(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("c.example"))) != 250;
  l->wrong += said(s, smtpf_session_mail(s, SMTPF_LIT("<a@c.example>"), SMTPF_LIT(""))) != 250;
  l->taken += said(s, smtpf_session_rcpt(s, SMTPF_LIT("<a@x.example>"), SMTPF_LIT(""))) == 250;
  l->refused += said(s, smtpf_session_rcpt(s, SMTPF_LIT("<strict@x.example>"), SMTPF_LIT(""))) == 550;
  l->wrong += said(s, smtpf_session_data(s)) != 354;
  l->wrong += smtpf_session_body(s, "A: b\r\n\r\nc\r\n", 11, &taken) != SMTPF_OK;
  l->wrong += said(s, smtpf_session_eom(s)) != 250;
  if (i % 3)
    l->wrong += said(s, smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK)) != 250;
  if (i % 5 == 0)
    smtpf_driver_set_engine(l->driver, l->engine);
  smtpf_session_free(s);
}

static void *work(void *arg)
{
  loop *l = arg;
  const smtpf_clock clock = {sizeof clock, l, mono, wall};
  const smtpf_random random = {sizeof random, l, fill};
  const smtpf_ports ports = {.size = sizeof ports,
                             .clock = &clock,
                             .random = &random,
                             .poller = &poller,
                             .poller_shared = l,
                             .resolver = &resolver,
                             .resolver_shared = l,
                             .directory = smtpf_directory_policy(),
                             .store = &store,
                             .store_shared = l};
  if (smtpf_driver_create(&l->driver, l->engine, &ports) != SMTPF_OK) {
    l->wrong++;
    return NULL;
  }
  for (int i = 0; i < SESSIONS; i++)
    converse(l, i);
  smtpf_driver_free(l->driver);
  smtpf_engine_unref(l->engine); /* whoever is last frees it */
  return NULL;
}

static void log_nowhere(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  (void)user;
  (void)level;
  (void)event;
  for (size_t i = 0; i < n; i++)
    (void)fields[i].value.n;
}

START_TEST(four_threads_share_one_engine)
{
  static loop loops[THREADS];
  pthread_t threads[THREADS];
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  memset(loops, 0, sizeof loops);
  ck_assert_int_eq(smtpf_config_create(&cfg, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_check(cfg, &shared), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_set(cfg, "profiles[\"default\"].reject", "10", NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_set(cfg, "profiles[\"strict\"].reject", "1", NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_set(cfg, "recipients[\"strict@x.example\"].profile", "strict", NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_append(cfg, "own_networks", "203.0.113.0/24", NULL), SMTPF_OK);
  smtpf_config_set_log(cfg, SMTPF_LOG_DEBUG, log_nowhere, NULL);
  ck_assert_int_eq(smtpf_engine_new(&engine, cfg, NULL), SMTPF_OK);
  smtpf_config_free(cfg);
  for (int i = 0; i < THREADS; i++) {
    loops[i] = (loop){.engine = smtpf_engine_ref(engine), .now_ns = 1000000000};
    ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &loops[i]), 0);
  }
  smtpf_engine_unref(engine);
  for (int i = 0; i < THREADS; i++) {
    ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(loops[i].wrong, 0);
    ck_assert_int_eq(loops[i].taken, SESSIONS);
    ck_assert_int_eq(loops[i].refused, SESSIONS);
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("core threads");
  TCase *c = tcase_create("threads");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, four_threads_share_one_engine);
  suite_add_tcase(s, c);
  return port_run(s);
}
