/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scan_world.h"

static scan_world *world; /* the check has no other way to it */

/* ---- memory, clock, log ----------------------------------------------------------------------------------------- */

static int fails(scan_world *w)
{
  return ++w->allocations == w->fail_at;
}

static void *mem_alloc(void *user, size_t n)
{
  scan_world *w = user;
  void *p = fails(w) ? NULL : malloc(n);
  w->live += p != NULL;
  return p;
}

static void *mem_realloc(void *user, void *old, size_t n)
{
  scan_world *w = user;
  void *p = fails(w) ? NULL : realloc(old, n);
  w->live += p && !old;
  return p;
}

static void mem_free(void *user, void *p)
{
  scan_world *w = user;
  w->live -= p != NULL;
  free(p);
}

static uint64_t real_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t mono_ns(void *user)
{
  return real_ns() + ((scan_world *)user)->offset_ns;
}

static int64_t wall_s(void *user)
{
  return (int64_t)(mono_ns(user) / 1000000000u) + 1700000000;
}

static void on_log(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  scan_world *w = user;
  char *p = w->log + strlen(w->log);
  const char *end = w->log + sizeof w->log;
  (void)level;
  p += snprintf(p, (size_t)(end - p), "%s", event);
  for (size_t i = 0; i < n && p < end; i++)
    p += snprintf(p, (size_t)(end - p), " %s=%.*s", fields[i].name, (int)fields[i].value.n, fields[i].value.p);
  if (p < end)
    snprintf(p, (size_t)(end - p), "\n");
}

int scan_world_logged(const scan_world *w, const char *text)
{
  int n = 0;
  for (const char *p = w->log; (p = strstr(p, text)) != NULL; p++)
    n++;
  return n;
}

int scan_world_fds(void)
{
  DIR *d = opendir("/proc/self/fd");
  int n = -1; /* the folder itself */
  while (readdir(d))
    n++;
  closedir(d);
  return n - 2;
}

/* ---- a check that has the message scanned ----------------------------------------------------------------------- */

static int run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_str user = {world->user ? world->user : "", world->user ? strlen(world->user) : 0};
  const smtpf_scan_request q = {.size = sizeof q, .scanner = SMTPF_LIT("one"), .event = ev, .user = user};
  (void)self;
  smtpf_task_patience(t, 3600000);
  return smtpf_task_scan(t, &q, 1) == SMTPF_OK ? SMTPF_PENDING : smtpf_task_unknown(t, "failed", (smtpf_str){"", 0});
}

static size_t feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  (void)self;
  (void)t;
  (void)bytes;
  return n;
}

static int finish(void *self, smtpf_task *t)
{
  (void)self;
  return smtpf_task_scan_finish(t, 1) == SMTPF_OK ? SMTPF_PENDING : SMTPF_OK;
}

static void copy(char *to, size_t room, smtpf_str from)
{
  snprintf(to, room, "%.*s", (int)from.n, from.p ? from.p : "");
}

static int resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  outcome *o = &world->outcomes[world->n_outcomes++];
  (void)self;
  memset(o, 0, sizeof *o);
  o->known = 1;
  o->status = a->scan->status;
  copy(o->name, sizeof o->name, a->scan->name);
  snprintf(o->cause, sizeof o->cause, "%s", a->scan->cause ? a->scan->cause : "");
  copy(o->detail, sizeof o->detail, a->scan->detail);
  o->seen = a->scan->seen;
  o->scored = a->scan->scored;
  o->score = a->scan->score;
  smtpf_task_seen(t, a->scan->seen);
  return SMTPF_OK;
}

static int open_check(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)policy;
  (void)err;
  *self = world;
  return SMTPF_OK;
}

static const smtpf_option rows[] = {
    {"scanners[name].servers", SMTPF_OPTION_STRINGS, NULL, 0, 32, NULL, ""},
    {"scanners[name].connections", SMTPF_OPTION_INT, "8", 1, 10000, NULL, ""},
    {"scanners[name].connect_timeout", SMTPF_OPTION_TIME, "2s", 1, 300000, NULL, ""},
    {"scanners[name].timeout", SMTPF_OPTION_TIME, "60s", 1, 3600000, NULL, ""},
};

/* It takes the place of the library's own, rows and all. */
static const smtpf_check check = {.size = sizeof check,
                                  .name = "scanner",
                                  .stages = SMTPF_BODY,
                                  .tier = 3,
                                  .options = rows,
                                  .n_options = sizeof rows / sizeof *rows,
                                  .open = open_check,
                                  .run = run,
                                  .resume = resume,
                                  .feed = feed,
                                  .finish = finish};

/* ---- the world -------------------------------------------------------------------------------------------------- */

static void set(scan_world *w, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_config_set(w->cfg, path, value, &err) == SMTPF_OK, "%s: %s", path, err.text);
}

void scan_world_init(scan_world *w)
{
  memset(w, 0, sizeof *w);
  world = w;
  w->mem = (smtpf_mem){sizeof w->mem, w, mem_alloc, mem_realloc, mem_free};
  snprintf(w->folder, sizeof w->folder, "/tmp/scan-world-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(w->folder));
  ck_assert_int_eq(smtpf_config_new(&w->cfg, &w->mem), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_check(w->cfg, &check), SMTPF_OK);
  smtpf_config_set_log(w->cfg, SMTPF_LOG_NOTICE, on_log, w);
  set(w, "local_domains", "x.example");
  set(w, "spool.path", w->folder);
}

void scan_world_set(scan_world *w, const char *option, const char *value)
{
  char path[200];
  snprintf(path, sizeof path, "scanners[\"one\"].%s", option);
  set(w, path, value);
}

void scan_world_append(scan_world *w, const char *option, const char *value)
{
  char path[200];
  smtpf_error err = {.size = sizeof err};
  snprintf(path, sizeof path, "scanners[\"one\"].%s", option);
  ck_assert_msg(smtpf_config_append(w->cfg, path, value, &err) == SMTPF_OK, "%s: %s", path, err.text);
}

void scan_world_start(scan_world *w, const char *type)
{
  smtpf_error err = {.size = sizeof err};
  const smtpf_clock clock = {sizeof clock, w, mono_ns, wall_s};
  static smtpf_clock kept;
  kept = clock;
  const smtpf_ports ports = {.size = sizeof ports, .clock = &kept};
  scan_world_set(w, "type", type);
  ck_assert_msg(smtpf_engine_new(&w->engine, w->cfg, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_driver_new(&w->driver, w->engine, &ports), SMTPF_OK);
}

void scan_world_end(scan_world *w)
{
  char command[100];
  for (size_t i = 0; i < w->n_servers; i++)
    scan_world_stop_server(&w->servers[i]);
  smtpf_driver_free(w->driver);
  smtpf_engine_unref(w->engine);
  smtpf_config_free(w->cfg);
  ck_assert_int_eq(w->live, 0);
  for (size_t i = 0; i < w->n_servers; i++) {
    snprintf(command, sizeof command, "%s/%zu", w->folder, i + 1);
    unlink(command);
  }
  ck_assert_int_eq(rmdir(w->folder), 0); /* nothing is left in the spool either */
  world = NULL;
}

smtpf_session *scan_world_session(scan_world *w)
{
  smtpf_session *s;
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.1")};
  const smtpf_session_options options = {.size = sizeof options, .capabilities = SMTPF_CAN_SEE_BODY};
  ck_assert_int_eq(smtpf_session_new(&s, w->driver, &options), SMTPF_OK);
  int r = smtpf_session_connect(s, &peer);
  ck_assert_int_eq(r == SMTPF_PENDING ? smtpf_session_wait(s, 5000) : r, SMTPF_OK);
  r = smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("client.example"));
  ck_assert_int_eq(r == SMTPF_PENDING ? smtpf_session_wait(s, 5000) : r, SMTPF_OK);
  r = smtpf_session_mail(s, SMTPF_LIT("<a@client.example>"), (smtpf_str){"", 0});
  ck_assert_int_eq(r == SMTPF_PENDING ? smtpf_session_wait(s, 5000) : r, SMTPF_OK);
  r = smtpf_session_rcpt(s, SMTPF_LIT("<b@x.example>"), (smtpf_str){"", 0});
  ck_assert_int_eq(r == SMTPF_PENDING ? smtpf_session_wait(s, 5000) : r, SMTPF_OK);
  r = smtpf_session_data(s);
  ck_assert_int_eq(r == SMTPF_PENDING ? smtpf_session_wait(s, 5000) : r, SMTPF_OK);
  return s;
}

void scan_world_body(scan_world *w, smtpf_session *s, const char *bytes, size_t n)
{
  while (n) {
    size_t took = 0;
    ck_assert_int_eq(smtpf_session_body(s, bytes, n, &took), SMTPF_OK);
    bytes += took;
    n -= took;
    if (n)
      scan_world_turn(w, 5);
  }
}

void scan_world_finish(smtpf_session *s)
{
  const int r = smtpf_session_eom(s);
  ck_assert_msg(r == SMTPF_OK || r == SMTPF_PENDING, "eom: %d", r);
}

void scan_world_turn(scan_world *w, int ms)
{
  struct pollfd p[1 + WORLD_SERVERS * 40] = {{smtpf_driver_fd(w->driver), POLLIN, 0}};
  nfds_t n = 1;
  for (size_t i = 0; i < w->n_servers; i++) {
    const fake_server *s = &w->servers[i];
    if (s->listener >= 0)
      p[n++] = (struct pollfd){s->listener, POLLIN, 0};
    for (size_t k = 0; k < 39 && s->way != FAKE_SILENT && s->way != FAKE_EARLY; k++)
      if (s->conns[k].fd >= 0)
        p[n++] = (struct pollfd){s->conns[k].fd, POLLIN, 0};
  }
  poll(p, n, ms);
  for (size_t i = 0; i < w->n_servers; i++)
    fake_server_turn(&w->servers[i]);
  smtpf_driver_process(w->driver);
}

int scan_world_until(scan_world *w, size_t outcomes, int ms)
{
  const uint64_t end = real_ns() + (uint64_t)ms * 1000000u;
  while (w->n_outcomes < outcomes && real_ns() < end)
    scan_world_turn(w, 20);
  return w->n_outcomes >= outcomes;
}

void scan_world_advance(scan_world *w, int64_t ms)
{
  w->offset_ns += (uint64_t)ms * 1000000u;
  smtpf_driver_process(w->driver);
}

const outcome *scan_world_scan(scan_world *w, const char *bytes, size_t n)
{
  const size_t before = w->n_outcomes;
  smtpf_session *s = scan_world_session(w);
  scan_world_body(w, s, bytes, n);
  scan_world_finish(s);
  ck_assert_msg(scan_world_until(w, before + 1, 20000), "no outcome");
  smtpf_session_free(s);
  return &w->outcomes[before];
}
