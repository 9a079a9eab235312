/* SPDX-License-Identifier: MIT */
#include "port_fake.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <smtpfilter/engine.h>

#include "port/port.h"

static int may(smtpf_driver *d)
{
  return ++d->allocations != d->fail_at;
}

static void *fake_alloc(void *user, size_t n)
{
  return may(user) ? malloc(n) : (((smtpf_driver *)user)->allocations--, ((smtpf_driver *)user)->fail_at = 0, NULL);
}

static void *fake_realloc(void *user, void *p, size_t n)
{
  smtpf_driver *d = user;
  if (!p)
    return fake_alloc(user, n);
  if (d->fail_at && d->allocations + 1 == d->fail_at) {
    d->fail_at = 0;
    return NULL;
  }
  return realloc(p, n);
}

static void fake_release(void *user, void *p)
{
  if (p)
    ((smtpf_driver *)user)->frees++;
  free(p);
}

smtpf_driver *fake_new(const fake_option *options, size_t n)
{
  smtpf_driver *d = calloc(1, sizeof *d);
  ck_assert_ptr_nonnull(d);
  d->mem = (smtpf_mem){sizeof d->mem, d, fake_alloc, fake_realloc, fake_release};
  d->wall = 1700000000;
  d->options = options;
  d->n_options = n;
  for (size_t i = 0; i < FAKE_WATCHES; i++)
    d->watches[i].fd = -1;
  return d;
}

void fake_forget(smtpf_driver *d)
{
  for (size_t i = 0; i < FAKE_OPS && d->completed; i++) {
    fake_result *r = &d->results[i];
    d->completed -= r->completions > 0;
    free(r->records);
    r->records = NULL;
    r->completions = r->status = 0;
    r->ttl = 0;
    r->count = 0;
    r->value.n = 0;
  }
}

void fake_free(smtpf_driver *d)
{
  ck_assert_int_eq(d->allocations, d->frees);
  ck_assert_uint_eq(fake_watched(d), 0);
  fake_forget(d);
  free(d);
}

const fake_result *fake_op(const smtpf_driver *d, smtpf_op op)
{
  ck_assert(op > 0 && op <= FAKE_OPS);
  return &d->results[op - 1];
}

size_t fake_watched(const smtpf_driver *d)
{
  size_t n = 0;
  for (size_t i = 0; i < FAKE_WATCHES; i++)
    n += d->watches[i].fd >= 0;
  return n;
}

/* ---- what ports call ---------------------------------------------------------------------------------- */

const smtpf_mem *smtpf_driver_mem(const smtpf_driver *d)
{
  return &d->mem;
}

int64_t smtpf_driver_wall(const smtpf_driver *d)
{
  return d->wall;
}

uint64_t smtpf_driver_now(const smtpf_driver *d)
{
  (void)d;
  return smtpf_clock_system()->mono_ns(NULL);
}

smtpf_engine *smtpf_driver_engine(const smtpf_driver *d)
{
  return (smtpf_engine *)(uintptr_t)d; /* opaque to ports: the options below know what it is */
}

int smtpf_engine_option(const smtpf_engine *engine, const char *path, size_t index, smtpf_str *out)
{
  const smtpf_driver *d = (const smtpf_driver *)(const void *)engine;
  for (size_t i = 0; i < d->n_options; i++)
    if (strcmp(d->options[i].path, path) == 0 && index-- == 0) {
      *out = (smtpf_str){d->options[i].value, strlen(d->options[i].value)};
      return SMTPF_OK;
    }
  return SMTPF_ENOTFOUND;
}

int smtpf_engine_number(const smtpf_engine *engine, const char *path, int64_t *out)
{
  smtpf_str text;
  if (smtpf_engine_option(engine, path, 0, &text) != SMTPF_OK)
    return SMTPF_ENOTFOUND;
  *out = strtoll(text.p, NULL, 10);
  return SMTPF_OK;
}

int smtpf_driver_watch(smtpf_driver *d, int fd, unsigned events, smtpf_watch_fn fn, void *user)
{
  size_t at = FAKE_WATCHES;
  for (size_t i = 0; i < FAKE_WATCHES; i++)
    if (d->watches[i].fd == fd || (d->watches[i].fd < 0 && at == FAKE_WATCHES))
      at = i;
  for (size_t i = 0; i < FAKE_WATCHES; i++)
    if (d->watches[i].fd == fd)
      at = i;
  ck_assert_uint_lt(at, FAKE_WATCHES);
  d->watches[at].fd = events ? fd : -1;
  d->watches[at].events = events;
  d->watches[at].fn = fn;
  d->watches[at].user = user;
  return SMTPF_OK;
}

int smtpf_driver_timer(smtpf_driver *d, int64_t in_ms, smtpf_timer_fn fn, void *user, smtpf_op *out)
{
  for (size_t i = 0; i < FAKE_TIMERS; i++)
    if (!d->timers[i].token) {
      d->timers[i].token = *out = ++d->last_timer;
      d->timers[i].at = smtpf_driver_now(d) + (uint64_t)in_ms * 1000000u;
      d->timers[i].fn = fn;
      d->timers[i].user = user;
      return SMTPF_OK;
    }
  return SMTPF_ENOMEM;
}

int smtpf_driver_timer_cancel(smtpf_driver *d, smtpf_op timer)
{
  for (size_t i = 0; i < FAKE_TIMERS; i++)
    if (timer && d->timers[i].token == timer) {
      d->timers[i].token = 0;
      return SMTPF_OK;
    }
  return SMTPF_ENOTFOUND;
}

static fake_result *complete(smtpf_driver *d, smtpf_op op, int status)
{
  ck_assert(op > 0 && op <= FAKE_OPS);
  fake_result *r = &d->results[op - 1];
  if (r->completions++ == 0)
    d->completed++;
  r->status = status;
  return r;
}

int smtpf_op_dns(smtpf_driver *d, smtpf_op op, const smtpf_dns_answer *answer)
{
  fake_result *r = complete(d, op, answer->status);
  ck_assert_uint_eq(answer->size, sizeof *answer);
  r->ttl = answer->ttl;
  r->count = answer->count;
  if (!answer->count)
    return SMTPF_OK;
  r->records = calloc(answer->count, sizeof *r->records);
  ck_assert_ptr_nonnull(r->records);
  for (size_t i = 0; i < answer->count; i++) {
    r->records[i].r = answer->records[i];
    size_t n = answer->records[i].text.n < FAKE_TEXT - 1 ? answer->records[i].text.n : FAKE_TEXT - 1;
    if (n)
      memcpy(r->records[i].text, answer->records[i].text.p, n);
  }
  return SMTPF_OK;
}

int smtpf_op_store(smtpf_driver *d, smtpf_op op, int status, smtpf_str value)
{
  fake_result *r = complete(d, op, status);
  ck_assert_uint_le(value.n, sizeof r->bytes);
  if (value.n)
    memcpy(r->bytes, value.p, value.n);
  r->value = (smtpf_str){r->bytes, value.n};
  return SMTPF_OK;
}

int smtpf_op_scan(smtpf_driver *d, smtpf_op op, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  fake_result *r = complete(d, op, status);
  char *at = r->page;
  ck_assert_uint_le(n, FAKE_STORED);
  for (size_t i = 0; i < n; i++) {
    ck_assert_uint_le(records[i].key.n + records[i].value.n, sizeof r->page - (size_t)(at - r->page));
    memcpy(at, records[i].key.p, records[i].key.n);
    if (records[i].value.n)
      memcpy(at + records[i].key.n, records[i].value.p, records[i].value.n);
    r->stored[i] = (smtpf_stored){
        records[i].size, {at, records[i].key.n}, {at + records[i].key.n, records[i].value.n}, records[i].expires};
    at += records[i].key.n + records[i].value.n;
  }
  ck_assert_uint_le(cursor.n, sizeof r->cursor);
  if (cursor.n)
    memcpy(r->cursor, cursor.p, cursor.n);
  r->n_stored = n;
  r->n_cursor = cursor.n;
  return SMTPF_OK;
}

/* Events, each followed by a space, and the last cause. */
void smtpf_driver_log(const smtpf_driver *driver, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  smtpf_driver *d = (smtpf_driver *)(uintptr_t)driver;
  (void)level;
  for (size_t i = 0; i < n; i++)
    if (strcmp(fields[i].name, "cause") == 0)
      snprintf(d->cause, sizeof d->cause, "%.*s", (int)fields[i].value.n, fields[i].value.p);
  const size_t used = strlen(d->log), more = strlen(event);
  if (used + more + 2 > sizeof d->log)
    return;
  memcpy(d->log + used, event, more);
  memcpy(d->log + used + more, " ", 2);
}

int smtpf_op_journal(smtpf_driver *d, smtpf_op op, int result)
{
  complete(d, op, result);
  return SMTPF_OK;
}

/* ---- a loop ------------------------------------------------------------------------------------------- */

/* A timer may set another. */
static int64_t fire(smtpf_driver *d)
{
  const uint64_t now = smtpf_driver_now(d);
  uint64_t next = now + 100000000u;
  for (size_t i = 0; i < FAKE_TIMERS; i++)
    if (d->timers[i].token && d->timers[i].at <= now) {
      d->timers[i].token = 0;
      d->timers[i].fn(d->timers[i].user);
    }
  for (size_t i = 0; i < FAKE_TIMERS; i++)
    if (d->timers[i].token && d->timers[i].at < next)
      next = d->timers[i].at;
  return next > now ? (int64_t)((next - now + 999999u) / 1000000u) : 0;
}

int fake_run(smtpf_driver *d, size_t completed, int64_t ms)
{
  uint64_t end = smtpf_driver_now(d) + (uint64_t)ms * 1000000u;
  while (d->completed < completed && smtpf_driver_now(d) < end) {
    struct pollfd set[FAKE_WATCHES];
    nfds_t n = 0;
    int64_t wait = fire(d);
    if (d->completed >= completed)
      break;
    const uint64_t now = smtpf_driver_now(d);
    const int64_t left = now < end ? (int64_t)((end - now + 999999u) / 1000000u) : 0;
    wait = wait < left ? wait : left;
    for (size_t i = 0; i < FAKE_WATCHES; i++)
      if (d->watches[i].fd >= 0)
        set[n++] = (struct pollfd){d->watches[i].fd,
                                   (short)((d->watches[i].events & SMTPF_FD_READ ? POLLIN : 0) |
                                           (d->watches[i].events & SMTPF_FD_WRITE ? POLLOUT : 0)),
                                   0};
    if (poll(set, n, (int)wait) <= 0)
      continue;
    for (nfds_t s = 0; s < n; s++)
      for (size_t i = 0; i < FAKE_WATCHES && set[s].revents; i++)
        if (d->watches[i].fd == set[s].fd) {
          unsigned ready = (set[s].revents & (POLLIN | POLLERR | POLLHUP) ? SMTPF_FD_READ : 0u) |
                           (set[s].revents & POLLOUT ? SMTPF_FD_WRITE : 0u);
          d->watches[i].fn(d->watches[i].user, set[s].fd, ready);
          break;
        }
  }
  return d->completed >= completed;
}
