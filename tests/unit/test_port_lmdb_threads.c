/* SPDX-License-Identifier: MIT
 *
 * The store on disk under four event loops at once, while its map grows beneath them: what each counted is there, and
 * under ThreadSanitizer nothing is touched by two that one alone may touch.
 */
#define _GNU_SOURCE
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

#include "port_run.h"

enum { THREADS = 4, ROUNDS = 60, AT_ONCE = 8, BIG = 3000, TURNS_MAX = 100000 };

static char folder[64];
static smtpf_engine *engine;

typedef struct loop {
  smtpf_driver *driver;
  int number;
  size_t answers, wrong;
  int64_t value;
} loop;

static void answered(void *user, int status, smtpf_str value)
{
  loop *l = user;
  uint64_t v = 0;
  l->answers++;
  l->wrong += status != SMTPF_STORE_DONE && status != SMTPF_STORE_FOUND;
  for (size_t i = value.n == 8 ? 8 : 0; i-- > 0;)
    v = v << 8 | (unsigned char)value.p[i];
  l->value = (int64_t)v;
}

static void scanned(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  loop *l = user;
  (void)records;
  (void)n;
  (void)cursor;
  l->answers++;
  l->wrong += status != SMTPF_STORE_DONE && status != SMTPF_STORE_MORE;
}

static void until(loop *l, size_t want)
{
  for (int i = 0; i < TURNS_MAX && l->answers < want; i++) {
    struct pollfd p = {smtpf_driver_fd(l->driver), POLLIN, 0};
    poll(&p, 1, 100);
    (void)smtpf_driver_process(l->driver);
  }
  l->wrong += l->answers < want;
}

static void once(loop *l, int round)
{
  static const char big[BIG], one[8] = {1};
  char key[16];
  const size_t before = l->answers;
  for (int i = 0; i < AT_ONCE; i++) {
    snprintf(key, sizeof key, "%d %d %d", l->number, round, i);
    const smtpf_change c[] = {{sizeof *c, SMTPF_CHANGE_ADD, {"sum", 3}, {one, 8}, 0},
                              {sizeof *c, SMTPF_CHANGE_SET, {key, strlen(key)}, {big, BIG}, 0}};
    l->wrong += smtpf_driver_commit(l->driver, c, 2, answered, l) != SMTPF_OK;
  }
  l->wrong += smtpf_driver_scan(l->driver, (smtpf_str){NULL, 0}, 10, scanned, l) != SMTPF_OK;
  until(l, before + AT_ONCE + 1);
  l->wrong += smtpf_driver_get(l->driver, (smtpf_str){key, strlen(key)}, answered, l) != SMTPF_OK;
  until(l, before + AT_ONCE + 2);
}

static void *run(void *user)
{
  loop *l = user;
  if (smtpf_driver_new(&l->driver, engine, NULL) != SMTPF_OK) {
    l->wrong++;
    return NULL;
  }
  for (int round = 0; round < ROUNDS; round++)
    once(l, round);
  smtpf_driver_free(l->driver);
  return NULL;
}

static void set(smtpf_config *cfg, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_config_set(cfg, path, value, &err) == SMTPF_OK, "%s: %s", path, err.text);
}

static void setup(void)
{
  smtpf_config *cfg;
  snprintf(folder, sizeof folder, "/tmp/smtpf-lmdb-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  set(cfg, "store.type", "lmdb");
  set(cfg, "store.path", folder);
  set(cfg, "store.map_size", "1m");
  set(cfg, "store.durability", "batch");
  set(cfg, "store.sync", "10ms");
  ck_assert_int_eq(smtpf_engine_new(&engine, cfg, NULL), SMTPF_OK);
  smtpf_config_free(cfg);
}

static void teardown(void)
{
  static const char *const names[] = {"store.mdb", "store.mdb-lock"};
  char path[128];
  smtpf_engine_unref(engine);
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  rmdir(folder);
}

START_TEST(four_loops_one_store)
{
  pthread_t threads[THREADS];
  loop loops[THREADS + 1] = {{.number = 0}};
  for (int i = 0; i < THREADS; i++) {
    loops[i].number = i;
    ck_assert_int_eq(pthread_create(&threads[i], NULL, run, &loops[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    ck_assert_uint_eq(loops[i].wrong, 0);
    ck_assert_uint_eq(loops[i].answers, ROUNDS * (AT_ONCE + 2));
  }
  loop *last = &loops[THREADS];
  ck_assert_int_eq(smtpf_driver_new(&last->driver, engine, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_get(last->driver, (smtpf_str){"sum", 3}, answered, last), SMTPF_OK);
  until(last, 1);
  smtpf_driver_free(last->driver);
  ck_assert_int_eq(last->value, THREADS * ROUNDS * AT_ONCE);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: LMDB store, threads");
  TCase *t = tcase_create("threads");
  tcase_set_timeout(t, 300);
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, four_loops_one_store);
  suite_add_tcase(s, t);
  return port_run(s);
}
