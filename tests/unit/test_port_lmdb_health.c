/* SPDX-License-Identifier: MIT
 *
 * The health of the store on disk: alarms before map and readers' slots run out, an environment that must be opened
 * anew, counters.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "lmdb_world.h"
#include "port/lmdb/lmdb.h"
#include "port_run.h"

/* ---- alarms --------------------------------------------------------------------------------------- */

/* Twice: from 80 per cent on, from 90 per cent on; not for pages that are free again. */
START_TEST(it_warns_before_the_map_is_full)
{
  int i = 0, at[2];
  settings(2 * MIB, 4 * MIB, 64);
  contract_open(&disk);
  for (int k = 0; k < 2; k++) {
    for (contract_driver->log[0] = '\0'; !said("store-filling"); i++) {
      ck_assert_int_eq(fill(i, 1, 0), 1); /* before, not after */
      fake_run(contract_driver, SIZE_MAX, 1);
    }
    at[k] = i;
  }
  ck_assert_int_gt(at[0], 300); /* two pages each, and some of the tree: of 1024 pages */
  ck_assert_int_gt(at[1], at[0] + 20);
  ck_assert_int_eq(fill(i, 10, 0), 10);
  reopen();
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert(heard("store-filling")); /* by a process that comes later */
  contract_close();
}
END_TEST

START_TEST(it_warns_before_the_slots_run_out)
{
  enum { MOST = 14 };
  smtpf_driver *drivers[MOST];
  void *selves[MOST];
  settings(16 * MIB, 64 * MIB, 16);
  for (int n = 0; n < MOST; n++) {
    drivers[n] = fake_new(options, OPTIONS);
    ck_assert_int_eq(smtpf_store_lmdb()->start(NULL, drivers[n], &selves[n]), SMTPF_OK);
    ck_assert_int_eq(smtpf_store_lmdb()->get(selves[n], 1, SMTPF_LIT("a")), SMTPF_OK);
    ck_assert_int_eq(fake_op(drivers[n], 1)->status, SMTPF_STORE_ABSENT);
  }
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "one");
  ck_assert_int_eq(smtpf_store_lmdb()->commit(selves[1], 2, &c, 1), SMTPF_OK);
  const smtpf_driver *teller = drivers[options[4].value[0] == 't' ? 0 : 1]; /* without a thread: at once, who commits */
  for (int i = 0; i < 100 && teller == drivers[0] && !strstr(teller->log, "store-readers"); i++)
    fake_run(drivers[0], SIZE_MAX, 50);
  ck_assert_str_eq(teller->log, "store-readers ");
  ck_assert_str_eq(teller->cause, "14 of 16");
  for (int n = 0; n < MOST; n++) {
    smtpf_store_lmdb()->stop(selves[n]);
    fake_free(drivers[n]);
  }
}
END_TEST

/* ---- a new beginning ------------------------------------------------------------------------------ */

static uint64_t counted;

static void on_stat(void *user, const char *name, uint64_t value)
{
  if (strcmp(name, user) == 0)
    counted = value;
}

static uint64_t count_of(const char *name)
{
  counted = UINT64_MAX;
  contract_port->stats(contract_self, on_stat, (void *)(uintptr_t)name);
  ck_assert_uint_ne(counted, UINT64_MAX);
  return counted;
}

/* What LMDB says after a write it could not take back (MDB_PANIC): the environment is of no more use. */
static void break_it(void)
{
  atomic_store(&((smtpf_lmdb_driver *)contract_self)->env->broken, 1);
}

START_TEST(what_is_broken_is_opened_anew)
{
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_uint_eq(count_of("store.down"), 0);
  break_it();
  ck_assert_uint_eq(count_of("store.down"), 1);
  ck_assert_int_eq(contract_set("b", "two"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_str_eq(contract_get("b"), "two");
  ck_assert_uint_eq(count_of("store.reopened"), 1);
  ck_assert(heard("store-reopened"));
  contract_close();
}
END_TEST

static void spoil(int spoilt)
{
  char path[128], kept[128];
  snprintf(path, sizeof path, "%s/store.mdb", folder);
  snprintf(kept, sizeof kept, "%s/kept.mdb", folder);
  ck_assert_int_eq(spoilt ? rename(path, kept) : rename(kept, path), 0);
  const int fd = spoilt ? open(path, O_CREAT | O_WRONLY, 0600) : -1;
  for (int i = 0; i < 4096 && fd >= 0; i++)
    ck_assert_int_eq(write(fd, "no store", 8), 8);
  close(fd);
}

START_TEST(what_cannot_be_opened_anew_is_tried_less_and_less_often)
{
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  spoil(1);
  break_it();
  for (int i = 0; i < 200; i++) {
    ck_assert_int_eq(contract_set("b", "two"), SMTPF_STORE_FAILED);
    ck_assert_str_eq(contract_get("a"), "!");
  }
  ck_assert_uint_ge(count_of("store.failures"), 400);
  ck_assert_uint_le(count_of("store.reopened"), 10);
  ck_assert(heard("store-failed"));
  spoil(0);
  for (int i = 0; i < 400 && contract_set("b", "two") != SMTPF_STORE_DONE; i++)
    usleep(20000);
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_str_eq(contract_get("b"), "two");
  ck_assert(heard("store-recovered"));
  contract_close();
}
END_TEST

/* ---- counters ------------------------------------------------------------------------------------- */

START_TEST(it_counts)
{
  contract_open(&disk);
  for (int i = 0; i < 5; i++)
    ck_assert_int_eq(contract_set(i % 2 ? "a" : "b", "one"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_uint_eq(count_of("store.commits"), 5);
  ck_assert_uint_ge(count_of("store.batches"), 1);
  ck_assert_uint_le(count_of("store.batches"), 5);
  ck_assert_uint_eq(count_of("store.failures"), 0);
  ck_assert_uint_eq(count_of("store.records"), 2);
  ck_assert_uint_ge(count_of("store.map_used"), 3 * 4096);
  ck_assert_uint_eq(count_of("store.map_max"), 64 * MIB);
  ck_assert_uint_eq(count_of("store.readers_used"), 1);
  ck_assert_uint_eq(count_of("store.readers_max"), 64);
  contract_close();
}
END_TEST

START_TEST(what_is_not_there_is_deleted_without_a_write)
{
  const smtpf_change two[] = {contract_change(SMTPF_CHANGE_DELETE, "x", ""),
                              contract_change(SMTPF_CHANGE_DELETE, "a", "")};
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(two[0]), SMTPF_STORE_DONE);
  ck_assert_uint_eq(count_of("store.commits"), 1);
  ck_assert_int_eq(contract_commit(two, 2), SMTPF_STORE_DONE); /* one of them is there */
  ck_assert_uint_eq(count_of("store.commits"), 2);
  ck_assert_str_eq(contract_get("a"), "-");
  ck_assert_int_eq(contract_commit(two, 2), SMTPF_STORE_DONE);
  ck_assert_uint_eq(count_of("store.commits"), 2);
  contract_close();
}
END_TEST

static void add(Suite *s, const char *name, void (*begin)(void))
{
  const TTest *const tests[] = {
      it_warns_before_the_map_is_full,
      it_warns_before_the_slots_run_out,
      what_is_broken_is_opened_anew,
      what_cannot_be_opened_anew_is_tried_less_and_less_often,
      it_counts,
      what_is_not_there_is_deleted_without_a_write,
  };
  TCase *t = tcase_create(name);
  tcase_set_timeout(t, 180);
  tcase_add_checked_fixture(t, begin, remove_folder);
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
    tcase_add_test(t, tests[i]);
  suite_add_tcase(s, t);
}

int main(void)
{
  Suite *s = suite_create("port: health of the LMDB store");
  add(s, "with a thread", threaded);
  add(s, "without a thread", alone);
  add(s, "durability = batch", batched);
  return port_run(s);
}
