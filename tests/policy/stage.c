/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"

static stage_world *world;
static uint64_t mono_ns;
static smtpf_config *config;
static smtpf_engine *engine;
static smtpf_driver *driver;
static smtpf_zone *zone; /* an empty one: nobody asks */

#define MUST(what)                                                                                                     \
  do {                                                                                                                 \
    if (!(what)) {                                                                                                     \
      printf("stage: does not hold: %s\n", #what);                                                                     \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

/* ---- clock, random, poller -------------------------------------------------------------------------------- */

static uint64_t mono(void *user)
{
  (void)user;
  return mono_ns += 1000;
}

static int64_t wall(void *user)
{
  (void)user;
  return world->wall_s;
}

static int fill(void *user, void *out, size_t n)
{
  (void)user;
  memset(out, 7, n);
  return SMTPF_OK;
}

static int start(void *shared, void **self)
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

static int sleep_for(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap)
{
  (void)self;
  (void)ready;
  (void)cap;
  mono_ns += timeout_ms > 0 ? (uint64_t)timeout_ms * 1000000u : 0;
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

static const smtpf_clock clock_port = {sizeof clock_port, NULL, mono, wall};
static const smtpf_random random_port = {sizeof random_port, NULL, fill};
static const smtpf_poller poller = {sizeof poller, "stage", start, set, arm, sleep_for, no_fd, no_fd, pid, stop};

/* ---- store ------------------------------------------------------------------------------------------------ */

static int store_start(void *shared, smtpf_driver *d, void **self)
{
  driver = d;
  *self = shared;
  return SMTPF_OK;
}

static stage_record *find(smtpf_str key)
{
  for (size_t i = 0; i < STAGE_RECORDS; i++) {
    stage_record *r = &world->records[i];
    if (r->n_key == key.n && memcmp(r->key, key.p, key.n) == 0)
      return r->expires && r->expires <= world->wall_s ? NULL : r;
  }
  return NULL;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  (void)self;
  if (world->store_down)
    return smtpf_op_store(driver, op, SMTPF_STORE_FAILED, (smtpf_str){0});
  const stage_record *r = find(key);
  return smtpf_op_store(driver, op, r ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT,
                        r ? (smtpf_str){r->value, r->n_value} : (smtpf_str){0});
}

static void put(const smtpf_change *c)
{
  stage_record *r = find(c->key);
  if (c->op == SMTPF_CHANGE_DELETE) {
    if (r)
      memset(r, 0, sizeof *r);
    return;
  }
  MUST(c->op == SMTPF_CHANGE_SET && c->key.n <= STAGE_KEY && c->value.n <= STAGE_VALUE);
  for (size_t i = 0; !r && i < STAGE_RECORDS; i++)
    r = world->records[i].n_key ? NULL : &world->records[i];
  MUST(r);
  memset(r, 0, sizeof *r);
  memcpy(r->key, c->key.p, c->key.n);
  memcpy(r->value, c->value.p, c->value.n);
  r->n_key = (uint32_t)c->key.n;
  r->n_value = (uint32_t)c->value.n;
  r->expires = c->expires;
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  (void)self;
  if (world->store_down)
    return smtpf_op_store(driver, op, SMTPF_STORE_FAILED, (smtpf_str){0});
  for (size_t i = 0; i < n; i++)
    put(&changes[i]);
  return smtpf_op_store(driver, op, SMTPF_STORE_DONE, (smtpf_str){0});
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

static const smtpf_store store = {sizeof store, "stage", store_start, get, commit, cancel, stop, NULL, NULL};

/* ---- checks ----------------------------------------------------------------------------------------------- */

static int check_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)policy;
  (void)err;
  *self = &world;
  return SMTPF_OK;
}

static int grey_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  const smtpf_finding f = {
      .size = sizeof f, .kind = SMTPF_HIT, .code = "early", .flags = SMTPF_FINDING_ELECTIVE, .reply = 451};
  return smtpf_task_report(t, &f);
}

static int scanner_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  const smtpf_finding down = {
      .size = sizeof down, .kind = SMTPF_UNKNOWN, .code = "down", .flags = SMTPF_FINDING_ELECTIVE, .reply = 451};
  const smtpf_finding spam = {.size = sizeof spam, .kind = SMTPF_HIT, .code = "spam", .score = 20000};
  if (world->scanner == SCANNER_CLEAN)
    return smtpf_task_clear(t, "clean");
  return smtpf_task_report(t, world->scanner == SCANNER_DOWN ? &down : &spam);
}

static const smtpf_check grey = {.size = sizeof grey,
                                 .name = "grey",
                                 .stages = SMTPF_RCPT,
                                 .open = check_open,
                                 .run = grey_run,
                                 .family = SMTPF_FAMILY_GREYLIST};
static const smtpf_check scanner = {.size = sizeof scanner,
                                    .name = "scanner",
                                    .stages = SMTPF_EOM,
                                    .tier = 3,
                                    .open = check_open,
                                    .run = scanner_run,
                                    .family = SMTPF_FAMILY_CONTENT};

/* ---- all together ----------------------------------------------------------------------------------------- */

static void option(const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  if (smtpf_config_set(config, path, value, &err) == SMTPF_OK)
    return;
  printf("stage: %s: %s\n", path, err.text);
  exit(1);
}

static void options(const stage_setting *s)
{
  static const char *const rows[][2] = {
      {"local_domains", "x.example"},
      {"profiles[\"strict\"].reject", "10"},
      {"profiles[\"strict\"].quarantine", "6"},
      {"profiles[\"strict\"].tag", "4"},
      {"profiles[\"mild\"].reject", "off"},
      {"profiles[\"mild\"].quarantine", "7"},
      {"profiles[\"mild\"].tag", "5"},
      {"profile", "mild"},
      {"recipients[\"a@x.example\"].profile", "strict"},
      {"budget.deferrals", "2"},
      {"budget.time", "10m"},
      {"budget.wait", "1m"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    option(rows[i][0], rows[i][1]);
  option("profiles[\"strict\"].greylist", s->greylist ? "true" : "false");
  option("lost_ack.enable", s->lost_ack ? "true" : "false");
}

void stage_open(const stage_setting *s, stage_world *w)
{
  size_t line;
  smtpf_error err = {.size = sizeof err};
  world = w;
  MUST(smtpf_zone_new(&zone, (smtpf_str){"", 0}, NULL, &line) == SMTPF_OK);
  MUST(smtpf_config_create(&config, NULL) == SMTPF_OK);
  MUST(smtpf_config_add_check(config, &grey) == SMTPF_OK);
  MUST(smtpf_config_add_check(config, &scanner) == SMTPF_OK);
  options(s);
  if (smtpf_engine_new(&engine, config, &err) != SMTPF_OK) {
    printf("stage: %s\n", err.text);
    exit(1);
  }
  const smtpf_ports ports = {.size = sizeof ports,
                             .clock = &clock_port,
                             .random = &random_port,
                             .poller = &poller,
                             .store = &store,
                             .resolver = smtpf_resolver_zone(),
                             .resolver_shared = zone};
  MUST(smtpf_driver_new(&driver, engine, &ports) == SMTPF_OK);
}

void stage_close(void)
{
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  smtpf_zone_free(zone);
}

smtpf_session *stage_session(const stage_setting *setting)
{
  const smtpf_session_options o = {sizeof o, setting->capabilities, setting->protocol, NULL};
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.1")};
  const int lmtp = setting->protocol == SMTPF_LMTP;
  smtpf_session *s = NULL;
  MUST(smtpf_session_new(&s, driver, &o) == SMTPF_OK);
  MUST(stage_code(s, smtpf_session_connect(s, &peer)) == 220);
  MUST(stage_code(s, smtpf_session_helo(s, lmtp ? SMTPF_GREET_LHLO : SMTPF_GREET_EHLO, SMTPF_LIT("client.example"))) ==
       250);
  return s;
}

int stage_code(smtpf_session *s, int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, 60000);
  MUST(r == SMTPF_OK);
  const smtpf_verdict *v = smtpf_session_verdict(s);
  MUST(v);
  return smtpf_verdict_code(v);
}
