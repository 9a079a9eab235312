/* SPDX-License-Identifier: MIT
 *
 * redis_world: the Redis store on the small driver of port_fake, before a server of its own.
 */
#ifndef SMTPF_TESTS_REDIS_WORLD_H
#define SMTPF_TESTS_REDIS_WORLD_H

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "port/port.h"
#include "port_fake.h"
#include "port_run.h"
#include "redis_server.h"

enum { OPTIONS = 16 };

static fake_option options[OPTIONS];
static size_t n_options;
static smtpf_driver *driver;
static void *self;

static inline int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void option(const char *path, const char *value)
{
  ck_assert_uint_lt(n_options, OPTIONS);
  options[n_options++] = (fake_option){path, value};
}

static inline void store_open(void)
{
  driver = fake_new(options, n_options);
  ck_assert_int_eq(smtpf_store_redis()->start(NULL, driver, &self), SMTPF_OK);
}

static inline void store_close(void)
{
  smtpf_store_redis()->stop(self);
  fake_free(driver);
}

static inline void run(int64_t ms)
{
  fake_run(driver, FAKE_OPS, ms);
}

static inline int status_of(int r, int64_t ms)
{
  if (r != SMTPF_OK)
    return r;
  if (!fake_run(driver, 1, ms))
    return 0;
  ck_assert_int_eq(fake_op(driver, 1)->completions, 1);
  return fake_op(driver, 1)->status;
}

static inline int get_bytes(smtpf_str key)
{
  fake_forget(driver);
  return status_of(smtpf_store_redis()->get(self, 1, key), 5000);
}

static inline int get_status(const char *key)
{
  return get_bytes(smtpf_str_of(key));
}

/* The value of a key as text, `-` when it is absent, `!` when that is not known. */
static inline const char *get(const char *key)
{
  static char text[4097];
  const int status = get_status(key);
  const fake_result *r = fake_op(driver, 1);
  if (status != SMTPF_STORE_FOUND)
    return status == SMTPF_STORE_ABSENT ? "-" : "!";
  snprintf(text, sizeof text, "%.*s", (int)r->value.n, r->value.p);
  return text;
}

static inline int64_t number(const char *key)
{
  ck_assert_int_eq(get_status(key), SMTPF_STORE_FOUND);
  const fake_result *r = fake_op(driver, 1);
  ck_assert_uint_eq(r->value.n, 8);
  uint64_t v = 0;
  for (size_t i = 8; i-- > 0;)
    v = v << 8 | (unsigned char)r->value.p[i];
  return (int64_t)v;
}

static inline smtpf_change change(int op, const char *key, const char *value)
{
  return (smtpf_change){sizeof(smtpf_change), op, smtpf_str_of(key), smtpf_str_of(value), 0};
}

/* Up to four numbers may be in use at once. */
static inline smtpf_change add(const char *key, int64_t v)
{
  static char rooms[4][8];
  static unsigned next;
  char *room = rooms[next++ % 4];
  for (size_t i = 0; i < 8; i++)
    room[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_change){sizeof(smtpf_change), SMTPF_CHANGE_ADD, smtpf_str_of(key), {room, 8}, 0};
}

static inline int commit(const smtpf_change *changes, size_t n)
{
  fake_forget(driver);
  return status_of(smtpf_store_redis()->commit(self, 1, changes, n), 5000);
}

static inline int one(smtpf_change c)
{
  return commit(&c, 1);
}

static inline int set(const char *key, const char *value)
{
  return one(change(SMTPF_CHANGE_SET, key, value));
}

/* Until an operation gets through again, at most so long. */
static inline int comes_back(int64_t ms)
{
  for (const int64_t end = now_ms() + ms; now_ms() < end; run(20))
    if (get_status("nothing") == SMTPF_STORE_ABSENT)
      return 1;
  return 0;
}

#endif
