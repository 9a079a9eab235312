/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "world.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

void world_die(const char *format, ...)
{
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t mono(void *user)
{
  struct timespec t;
  (void)user;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t wall(void *user)
{
  return ((world *)user)->wall;
}

static void note(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  world *w = user;
  const size_t used = strlen(w->log);
  snprintf(w->log + used, sizeof w->log - used, "%s ", event);
  (void)level;
  (void)fields;
  (void)n;
}

static void set(smtpf_config *cfg, const char *option)
{
  char path[128];
  smtpf_error err = {.size = sizeof err};
  const char *value = strchr(option, '=');
  WORLD_MUST(value && (size_t)(value - option) < sizeof path);
  snprintf(path, sizeof path, "%.*s", (int)(value - option), option);
  const int is_list = strcmp(path, "local_domains") == 0 || strcmp(path, "check.disable") == 0 ||
                      strcmp(path, "store.redis.servers") == 0;
  if ((is_list ? smtpf_config_append : smtpf_config_set)(cfg, path, value + 1, &err) != SMTPF_OK)
    world_die("%s: %s", option, err.text);
}

void world_open(world *w, const world_options *options, int64_t at)
{
  smtpf_config *cfg;
  smtpf_error err = {.size = sizeof err};
  *w = (world){.wall = at};
  w->clock = (smtpf_clock){sizeof w->clock, w, mono, wall};
  WORLD_MUST(smtpf_config_new(&cfg, NULL) == SMTPF_OK);
  for (size_t i = 0; i < options->n; i++)
    set(cfg, options->text[i]);
  smtpf_config_set_log(cfg, SMTPF_LOG_NOTICE, note, w);
  if (smtpf_engine_new(&w->engine, cfg, &err) != SMTPF_OK)
    world_die("policy: %s", err.text);
  smtpf_config_free(cfg);
  world_restart(w);
}

void world_restart(world *w)
{
  const smtpf_ports ports = {.size = sizeof ports, .clock = &w->clock};
  smtpf_driver_free(w->driver);
  w->driver = NULL;
  if (smtpf_driver_new(&w->driver, w->engine, &ports) != SMTPF_OK)
    world_die("no driver: %s", w->log);
}

void world_close(world *w)
{
  smtpf_driver_free(w->driver);
  smtpf_engine_unref(w->engine);
}

void world_until(world *w, const size_t *count, size_t want)
{
  const uint64_t end = mono(NULL) + (uint64_t)PATIENCE_MS * 1000000u;
  while (*count < want) {
    struct pollfd p = {smtpf_driver_fd(w->driver), POLLIN, 0};
    if (mono(NULL) > end)
      world_die("no answer in a minute");
    poll(&p, 1, 1000);
    (void)smtpf_driver_process(w->driver);
  }
}

/* ---- one operation -------------------------------------------------------------------------------- */

typedef struct answer {
  size_t count;
  int status;
  char *room;
  size_t n;
} answer;

static void answered(void *user, int status, smtpf_str value)
{
  answer *a = user;
  a->count++;
  a->status = status;
  a->n = value.n;
  if (a->room && value.n)
    memcpy(a->room, value.p, value.n);
}

int world_get(world *w, smtpf_str key, char *room, size_t *n)
{
  answer a = {.room = room};
  WORLD_MUST(smtpf_driver_get(w->driver, key, answered, &a) == SMTPF_OK);
  world_until(w, &a.count, 1);
  *n = a.n;
  return a.status;
}

int world_commit(world *w, const smtpf_change *changes, size_t n)
{
  answer a = {0};
  WORLD_MUST(smtpf_driver_commit(w->driver, changes, n, answered, &a) == SMTPF_OK);
  world_until(w, &a.count, 1);
  return a.status;
}

int world_set(world *w, const char *key, smtpf_str value, int64_t expires)
{
  const smtpf_change c = {sizeof c, SMTPF_CHANGE_SET, {key, strlen(key)}, value, expires};
  return world_commit(w, &c, 1);
}

/* ---- folders -------------------------------------------------------------------------------------- */

void world_folder(char *room, size_t cap)
{
  const char *below = getenv("TMPDIR");
  snprintf(room, cap, "%s/smtpf-store-XXXXXX", below && *below ? below : "/tmp");
  WORLD_MUST(mkdtemp(room));
}

void world_remove(const char *folder)
{
  static const char *const names[] = {"store.mdb", "store.mdb-lock", "raw.mdb", "raw.mdb-lock"};
  char path[300];
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  rmdir(folder);
}
