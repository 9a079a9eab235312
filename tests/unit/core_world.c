/* SPDX-License-Identifier: MIT */
#include "core_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory --------------------------------------------------------------------------------------------------------
 */

static int fails(world *w)
{
  const long n = ++w->allocations;
  return n == w->fail_at || (w->fail_from && n >= w->fail_from);
}

static void *count_alloc(void *user, size_t n)
{
  world *w = user;
  void *p = fails(w) ? NULL : malloc(n);
  w->live += p != NULL;
  return p;
}

static void *count_realloc(void *user, void *old, size_t n)
{
  world *w = user;
  void *p = fails(w) ? NULL : realloc(old, n);
  w->live += p && !old;
  return p;
}

static void count_free(void *user, void *p)
{
  world *w = user;
  w->live -= p != NULL;
  free(p);
}

/* ---- clock, random, poller ------------------------------------------------------------------------------------------
 */

static uint64_t mono(void *user)
{
  return ((world *)user)->now_ns;
}

static int64_t wall(void *user)
{
  const world *w = user;
  return w->wall + (int64_t)(w->now_ns / 1000000000u);
}

static int fill(void *user, void *out, size_t n)
{
  memset(out, 7, n);
  return ((world *)user)->no_random ? SMTPF_EIO : SMTPF_OK;
}

static int port_start(void *shared, void **self)
{
  *self = shared;
  return SMTPF_OK;
}

static int poll_set(void *self, int fd, unsigned events)
{
  world *w = self;
  (void)events;
  w->sets++;
  return fd < 0 ? SMTPF_EINVAL : SMTPF_OK;
}

static int poll_arm(void *self, int64_t in_ms)
{
  world *w = self;
  w->arms++;
  w->armed_ms = in_ms;
  return SMTPF_OK;
}

/* Sleeping takes as long as it was asked for, unless something happens meanwhile. */
static int poll_wait(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap)
{
  world *w = self;
  ck_assert_msg(++w->waits < 100000, "the driver turns for ever");
  w->zero_waits += timeout_ms == 0;
  if (w->on_wait)
    w->on_wait(w, timeout_ms);
  else if (timeout_ms > 0)
    w->now_ns += (uint64_t)timeout_ms * 1000000u;
  else if (timeout_ms < 0)
    ck_abort_msg("the driver would sleep for ever");
  if (w->wait_error)
    return w->wait_error;
  int n = 0;
  for (; n < w->n_ready && (size_t)n < cap; n++)
    ready[n] = w->ready[n];
  return n;
}

static int poll_fd(void *self)
{
  (void)self;
  return -1;
}

static int poll_wake(void *self)
{
  ((world *)self)->wakes++;
  return SMTPF_OK;
}

static int64_t poll_pid(void *self)
{
  return ((world *)self)->pid;
}

static void port_stop(void *self)
{
  ((world *)self)->stops++;
}

static const smtpf_poller poller = {sizeof poller, "world", port_start, poll_set, poll_arm,
                                    poll_wait,     poll_fd, poll_wake,  poll_pid, port_stop};

/* ---- resolver, directory, store ---- */

static int driver_start(void *shared, smtpf_driver *driver, void **self)
{
  ((world *)shared)->driver = driver;
  *self = shared;
  return SMTPF_OK;
}

static void keep(asked *list, size_t *n, smtpf_op op, int type, smtpf_str name)
{
  ck_assert_uint_lt(*n, WORLD_ASKED);
  asked *a = &list[(*n)++];
  a->op = op;
  a->type = type;
  snprintf(a->name, sizeof a->name, "%.*s", (int)name.n, name.p);
}

static int query(void *self, smtpf_op op, int type, const char *name)
{
  world *w = self;
  w->dns_total++;
  if (w->port_error)
    return w->port_error;
  if (!w->hold)
    return smtpf_op_dns(w->driver, op, &w->dns);
  keep(w->dns_asked, &w->n_dns, op, type, smtpf_str_of(name));
  return SMTPF_OK;
}

static int lookup(void *self, smtpf_op op, smtpf_str address)
{
  world *w = self;
  if (w->port_error)
    return w->port_error;
  if (!w->hold)
    return smtpf_op_directory(w->driver, op, &w->who);
  keep(w->dir_asked, &w->n_dir, op, 0, address);
  return SMTPF_OK;
}

static int store_get(void *self, smtpf_op op, smtpf_str key)
{
  world *w = self;
  if (w->port_error)
    return w->port_error;
  if (!w->hold)
    return smtpf_op_store(w->driver, op, w->store_status, SMTPF_LIT("value"));
  keep(w->store_asked, &w->n_store, op, 0, key);
  return SMTPF_OK;
}

static int store_commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  ck_assert_uint_gt(n, 0);
  return store_get(self, op, changes[0].key);
}

static void cancel(void *self, smtpf_op op)
{
  world *w = self;
  w->cancelled++;
  const smtpf_dns_answer late = {.size = sizeof late, .status = SMTPF_DNS_NXDOMAIN};
  ck_assert_int_eq(smtpf_op_dns(w->driver, op, &late), SMTPF_ENOTFOUND); /* it is over already */
}

static const smtpf_resolver resolver = {sizeof resolver, "world", driver_start, query, cancel, port_stop};
static const smtpf_directory directory = {sizeof directory, "world", driver_start, lookup, cancel, port_stop};
static const smtpf_store store = {sizeof store, "world",   driver_start, store_get, store_commit,
                                  cancel,       port_stop, NULL,         NULL};

void world_dns(world *w, size_t i, int status, uint32_t ttl)
{
  const smtpf_dns_record record = {
      .type = SMTPF_DNS_A, .ttl = ttl, .ip = {4, {127, 0, 0, 2}}, .text = SMTPF_LIT("text of it")};
  const smtpf_dns_answer a = {sizeof a, status, ttl, status == SMTPF_DNS_OK, &record};
  ck_assert_uint_lt(i, w->n_dns);
  ck_assert_int_eq(smtpf_op_dns(w->driver, w->dns_asked[i].op, &a), SMTPF_OK);
}

smtpf_op world_dns_op(const world *w, size_t i)
{
  ck_assert_uint_lt(i, w->n_dns);
  return w->dns_asked[i].op;
}

/* ---- checks ---- */

static world *opening; /* whose checks are being opened: `open` has no room for more */

#define OPEN(i)                                                                                                        \
  static int open_##i(void **self, const smtpf_section *policy, smtpf_error *err)                                      \
  {                                                                                                                    \
    (void)policy;                                                                                                      \
    (void)err;                                                                                                         \
    *self = &opening->scripts[i];                                                                                      \
    return SMTPF_OK;                                                                                                   \
  }
OPEN(0)
OPEN(1)
OPEN(2)
OPEN(3)
OPEN(4)
OPEN(5)
OPEN(6)
OPEN(7)
static int (*const opens[WORLD_CHECKS])(void **, const smtpf_section *, smtpf_error *) = {
    open_0, open_1, open_2, open_3, open_4, open_5, open_6, open_7};

static int run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  script *c = self;
  if (c->at && !(c->at & ev->stage))
    return SMTPF_OK;
  c->runs++;
  c->seen = *ev;
  return c->run ? c->run(c, t, ev) : SMTPF_OK;
}

static int resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  script *c = self;
  c->resumes++;
  c->last_tag = a->tag;
  return c->resume ? c->resume(c, t, a) : SMTPF_OK;
}

script *world_check(world *w, const char *name, unsigned stages, int tier)
{
  const size_t i = w->n_checks++;
  ck_assert_uint_lt(i, WORLD_CHECKS);
  w->checks[i] = (smtpf_check){.size = sizeof(smtpf_check),
                               .name = name,
                               .stages = stages,
                               .tier = tier,
                               .open = opens[i],
                               .run = run,
                               .resume = resume};
  w->scripts[i].finding.size = sizeof(smtpf_finding);
  return &w->scripts[i];
}

int script_report(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  self->last_score = smtpf_task_score(t);
  return smtpf_task_report(t, &self->finding);
}

int script_query(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  const int r = smtpf_task_query(t, SMTPF_DNS_A, ev->helo.n ? ev->helo : SMTPF_LIT("x.example"), 7);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

int script_lookup(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  const int r = smtpf_task_lookup(t, ev->recipient ? ev->recipient->address : SMTPF_LIT("x@x.example"), 8);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

int script_sleep(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  const int r = smtpf_task_timer(t, self->finding.score, 9);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

int script_done(script *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  (void)a;
  return smtpf_task_clear(t, "done");
}

int script_hit(script *self, smtpf_task *t, const smtpf_answer *a)
{
  if (a->dns && a->dns->status == SMTPF_DNS_OK)
    return smtpf_task_report(t, &self->finding);
  return smtpf_task_unknown(t, "failed", SMTPF_LIT("no answer"));
}

smtpf_finding finding_hit(int32_t score)
{
  return (smtpf_finding){.size = sizeof(smtpf_finding),
                         .kind = SMTPF_HIT,
                         .code = "listed",
                         .score = score,
                         .detail = SMTPF_LIT("detail"),
                         .text = SMTPF_LIT("because of it")};
}

smtpf_finding finding_fact(int reply)
{
  smtpf_finding f = finding_hit(0);
  f.flags = SMTPF_FINDING_REFUSE;
  f.reply = reply;
  f.enhanced = "5.1.1";
  return f;
}

smtpf_finding finding_missing(void)
{
  return (smtpf_finding){.size = sizeof(smtpf_finding),
                         .kind = SMTPF_UNKNOWN,
                         .code = "unavailable",
                         .flags = SMTPF_FINDING_DEFER,
                         .reply = 450,
                         .enhanced = "4.1.1",
                         .text = SMTPF_LIT("cannot say")};
}

/* ---- log ---- */

static void log_line(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  world *w = user;
  const size_t i = w->lines++ % WORLD_LINES;
  size_t at = (size_t)snprintf(w->log[i], sizeof w->log[i], "%s", event);
  w->levels[i] = level;
  for (size_t k = 0; k < n && at < sizeof w->log[i]; k++)
    at += (size_t)snprintf(w->log[i] + at, sizeof w->log[i] - at, " %s=%.*s", fields[k].name, (int)fields[k].value.n,
                           fields[k].value.p);
}

const char *world_last_log(const world *w, const char *event)
{
  const size_t n = strlen(event);
  for (size_t i = w->lines; i > 0 && i + WORLD_LINES > w->lines; i--) {
    const char *line = w->log[(i - 1) % WORLD_LINES];
    if (strncmp(line, event, n) == 0 && (line[n] == ' ' || !line[n]))
      return line;
  }
  return "";
}

/* ---- life ---- */

void world_init(world *w)
{
  memset(w, 0, sizeof *w);
  w->now_ns = 5000000000u;
  w->wall = 1700000000;
  w->pid = 1;
  w->mem = (smtpf_mem){sizeof w->mem, w, count_alloc, count_realloc, count_free};
  w->dns = (smtpf_dns_answer){.size = sizeof w->dns, .status = SMTPF_DNS_NXDOMAIN};
  w->who = (smtpf_directory_answer){.size = sizeof w->who, .status = SMTPF_DIRECTORY_EXISTS};
  w->store_status = SMTPF_STORE_FOUND;
  w->clock = (smtpf_clock){sizeof w->clock, w, mono, wall};
  w->random = (smtpf_random){sizeof w->random, w, fill};
  w->ports = (smtpf_ports){.size = sizeof w->ports,
                           .clock = &w->clock,
                           .random = &w->random,
                           .poller = &poller,
                           .poller_shared = w,
                           .resolver = &resolver,
                           .resolver_shared = w,
                           .directory = &directory,
                           .directory_shared = w,
                           .store = &store,
                           .store_shared = w};
  ck_assert_int_eq(smtpf_config_create(&w->cfg, &w->mem), SMTPF_OK);
  smtpf_config_set_log(w->cfg, SMTPF_LOG_DEBUG, log_line, w);
}

void world_set(world *w, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_config_set(w->cfg, path, value, &err) == SMTPF_OK, "%s: %s", path, err.text);
}

void world_append(world *w, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_config_append(w->cfg, path, value, &err) == SMTPF_OK, "%s: %s", path, err.text);
}

int world_try_start(world *w)
{
  smtpf_error err = {.size = sizeof err};
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < w->n_checks; i++)
    r = smtpf_config_add_check(w->cfg, &w->checks[i]);
  opening = w;
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&w->engine, w->cfg, &err);
  return r == SMTPF_OK ? smtpf_driver_create(&w->driver, w->engine, &w->ports) : r;
}

void world_start(world *w)
{
  ck_assert_int_eq(world_try_start(w), SMTPF_OK);
}

void world_end(world *w)
{
  smtpf_driver_free(w->driver);
  smtpf_engine_unref(w->engine);
  smtpf_config_free(w->cfg);
  ck_assert_int_eq(w->live, 0);
}

/* ---- sessions ---- */

smtpf_session *world_session(world *w, unsigned capabilities, int protocol)
{
  const smtpf_session_options o = {sizeof o, capabilities, protocol, w};
  smtpf_session *s = NULL;
  ck_assert_int_eq(smtpf_session_new(&s, w->driver, &o), SMTPF_OK);
  return s;
}

int world_connect(smtpf_session *s, const char *address)
{
  const smtpf_peer peer = {.size = sizeof peer, .address = smtpf_str_of(address)};
  return smtpf_session_connect(s, &peer);
}

int world_helo(smtpf_session *s, const char *name)
{
  const int lmtp = s->protocol == SMTPF_LMTP;
  return smtpf_session_helo(s, lmtp ? SMTPF_GREET_LHLO : SMTPF_GREET_EHLO, smtpf_str_of(name));
}

int world_mail(smtpf_session *s, const char *path)
{
  return smtpf_session_mail(s, smtpf_str_of(path), SMTPF_LIT(""));
}

int world_rcpt(smtpf_session *s, const char *path)
{
  return smtpf_session_rcpt(s, smtpf_str_of(path), SMTPF_LIT(""));
}

int world_body(smtpf_session *s, const char *text)
{
  size_t taken = 0;
  const int r = smtpf_session_body(s, text, strlen(text), &taken);
  ck_assert(r != SMTPF_OK || taken == strlen(text));
  return r;
}

smtpf_session *world_connected(world *w, unsigned capabilities)
{
  smtpf_session *s = world_session(w, capabilities, SMTPF_SMTP);
  ck_assert_int_eq(world_connect(s, "192.0.2.1"), SMTPF_OK);
  EXPECT_CODE(s, 220);
  return s;
}

smtpf_session *world_greeted(world *w, unsigned capabilities)
{
  smtpf_session *s = world_connected(w, capabilities);
  ck_assert_int_eq(world_helo(s, "client.example"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  return s;
}

smtpf_session *world_taken(world *w, unsigned capabilities, const char *message)
{
  smtpf_session *s = world_greeted(w, capabilities);
  const int each = (capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0; /* in SMTP: who asks for it */
  ck_assert_int_eq(smtpf_session_mail(s, SMTPF_LIT("<from@client.example>"), each ? SMTPF_LIT("PRDR") : SMTPF_LIT("")),
                   SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_int_eq(world_body(s, message), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  return s;
}

int world_code(const smtpf_session *s)
{
  const smtpf_verdict *v = smtpf_session_verdict(s);
  return v ? smtpf_verdict_code(v) : 0;
}

int world_disposition(const smtpf_session *s, size_t i)
{
  smtpf_recipient_info info = {.size = sizeof info};
  ck_assert_int_eq(smtpf_verdict_recipient(smtpf_session_verdict(s), i, &info), SMTPF_OK);
  return info.disposition;
}

struct wanted {
  const char *name;
  uint64_t value;
  int found;
};

static void find_stat(void *user, const char *name, uint64_t value)
{
  struct wanted *wanted = user;
  if (strcmp(name, wanted->name) == 0) {
    wanted->value = value;
    wanted->found = 1;
  }
}

uint64_t world_stat(const world *w, const char *name)
{
  struct wanted wanted = {name, 0, 0};
  smtpf_driver_stats(w->driver, find_stat, &wanted);
  ck_assert_msg(wanted.found, "no counter %s", name);
  return wanted.value;
}
