/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/host_options.h"
#include "greylist.h"

enum { AT_A_TIME = 500, PATIENCE_MS = 60000 };

int store_complain(const char *what)
{
  fprintf(stderr, "smtpf-greylist: %s\n", what);
  return FAILED;
}

/* ---- opening ----------------------------------------------------------------------------------------- */

static int load(smtpf_engine **out, const char *policy)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_config *cfg = NULL;
  int r = smtpf_config_new(&cfg, NULL);
  if (r == SMTPF_OK)
    r = host_options_add(cfg);
  if (r == SMTPF_OK)
    r = smtpf_config_load(cfg, policy, &err);
  if (r == SMTPF_OK)
    r = smtpf_engine_new(out, cfg, &err);
  smtpf_config_free(cfg);
  if (r != SMTPF_OK && err.line)
    fprintf(stderr, "smtpf-greylist: %s:%d: %s\n", err.file, err.line, err.text);
  else if (r != SMTPF_OK)
    fprintf(stderr, "smtpf-greylist: %s: %s\n", policy, err.text[0] ? err.text : smtpf_strerror(r));
  return r;
}

static int64_t seconds(const smtpf_engine *e, const char *path)
{
  int64_t ms = 0;
  (void)smtpf_engine_number(e, path, &ms);
  return ms / 1000;
}

int store_open(store *s, const char *policy)
{
  smtpf_str type = {"", 0};
  *s = (store){0};
  if (load(&s->engine, policy) != SMTPF_OK)
    return FAILED;
  if (smtpf_engine_option(s->engine, "store.type", 0, &type) == SMTPF_OK && type.n == 6 &&
      memcmp(type.p, "memory", 6) == 0)
    return store_complain("store.type is memory: a store that lives in the host's process cannot be looked at");
  const int r = smtpf_driver_new(&s->driver, s->engine, NULL);
  if (r != SMTPF_OK)
    return store_complain(smtpf_strerror(r));
  s->wait = seconds(s->engine, "greylist.wait");
  s->window = seconds(s->engine, "greylist.window");
  s->memory = seconds(s->engine, "greylist.memory");
  return 0;
}

void store_close(store *s)
{
  smtpf_driver_free(s->driver);
  smtpf_engine_unref(s->engine);
}

/* ---- waiting ----------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until *answered (1), or for so long. */
static int wait_for(store *s, const int *answered, int64_t ms)
{
  const int64_t until = now_ms() + ms;
  while (!*answered && now_ms() < until) {
    struct pollfd p = {.fd = smtpf_driver_fd(s->driver), .events = POLLIN};
    (void)poll(&p, 1, until - now_ms() < 1000 ? (int)(until - now_ms()) : 1000);
    if (smtpf_driver_process(s->driver) < 0)
      return 0;
  }
  return *answered;
}

void store_pause(store *s, long seconds)
{
  const int never = 0;
  (void)wait_for(s, &never, seconds * 1000);
}

typedef struct answer {
  int answered, status;
  text *room;
} answer;

static void take(void *user, int status, smtpf_str value)
{
  answer *a = user;
  a->answered = 1;
  a->status = status;
  if (a->room)
    text_add(a->room, value);
}

int store_get(store *s, smtpf_str key, text *room)
{
  static answer a; /* outlives an answer that is too late */
  a = (answer){.room = room};
  text_clear(room);
  if (smtpf_driver_get(s->driver, key, take, &a) != SMTPF_OK || !wait_for(s, &a.answered, PATIENCE_MS))
    return SMTPF_STORE_FAILED;
  return a.status;
}

int store_change(store *s, const smtpf_change *changes, size_t n)
{
  static answer a;
  a = (answer){0};
  if (smtpf_driver_commit(s->driver, changes, n, take, &a) != SMTPF_OK || !wait_for(s, &a.answered, PATIENCE_MS))
    return SMTPF_STORE_FAILED;
  return a.status;
}

/* ---- walking ----------------------------------------------------------------------------------------- */

typedef struct walk {
  store *store;
  store_fn fn;
  void *user;
  int answered, status, result;
  char cursor[64];
  size_t cursor_n;
} walk;

void store_progress(store *s, size_t n)
{
  struct timespec now;
  s->walked += n;
  if (!isatty(STDERR_FILENO))
    return;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!s->said_s)
    s->said_s = now.tv_sec;
  if (now.tv_sec == s->said_s)
    return;
  s->said_s = now.tv_sec;
  fprintf(stderr, "\r%llu records", (unsigned long long)s->walked);
}

void store_quiet(store *s)
{
  if (s->said_s && isatty(STDERR_FILENO))
    fputs("\r                          \r", stderr);
  s->said_s = 0;
}

static void take_records(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  walk *w = user;
  w->answered = 1;
  w->status = status;
  store_progress(w->store, n);
  for (size_t i = 0; i < n && !w->result; i++) {
    const int kind = smtpf_record_kind(records[i].value);
    if (kind == SMTPF_GREYLIST_TRIPLET || kind == SMTPF_GREYLIST_CLIENT)
      w->result = w->fn(w->user, &records[i]);
  }
  w->cursor_n = cursor.n < sizeof w->cursor ? cursor.n : sizeof w->cursor;
  if (w->cursor_n)
    memcpy(w->cursor, cursor.p, w->cursor_n);
}

int store_walk(store *s, store_fn fn, void *user)
{
  static walk w;
  w = (walk){.store = s, .fn = fn, .user = user, .status = SMTPF_STORE_MORE};
  while (w.status == SMTPF_STORE_MORE && !w.result) {
    const smtpf_str cursor = {w.cursor, w.cursor_n};
    w.answered = 0;
    const int r = smtpf_driver_scan(s->driver, cursor, AT_A_TIME, take_records, &w);
    if (r == SMTPF_EUNSUPPORTED)
      return store_complain("this store cannot be listed");
    if (r != SMTPF_OK || !wait_for(s, &w.answered, PATIENCE_MS) || w.status == SMTPF_STORE_FAILED)
      return store_complain("the store does not answer");
  }
  store_quiet(s);
  return w.result;
}
