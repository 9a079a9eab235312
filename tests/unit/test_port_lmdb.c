/* SPDX-License-Identifier: MIT
 *
 * The store on disk: the contract with a thread that writes and without, in both kinds of durability; and what only a
 * file has: restarts, several processes, a map that is full and one that grows, readers, formats.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "lmdb_world.h"
#include "port_run.h"

/* ---- restarts ------------------------------------------------------------------------------------- */

START_TEST(what_was_written_is_there_again)
{
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "b", "two");
  c.expires = contract_driver->wall + 10;
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
  reopen();
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_str_eq(contract_get("b"), "two");
  contract_driver->wall += 11;
  ck_assert_str_eq(contract_get("b"), "-");
  contract_close();
}
END_TEST

START_TEST(drivers_share_one_database)
{
  void *other;
  contract_open(&disk);
  smtpf_driver *d = fake_new(options, OPTIONS);
  ck_assert_int_eq(smtpf_store_lmdb()->start(NULL, d, &other), SMTPF_OK);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_int_eq(smtpf_store_lmdb()->get(other, 1, SMTPF_LIT("a")), SMTPF_OK);
  ck_assert_int_eq(fake_op(d, 1)->status, SMTPF_STORE_FOUND);
  contract_close();
  fake_forget(d);
  ck_assert_int_eq(smtpf_store_lmdb()->get(other, 1, SMTPF_LIT("a")), SMTPF_OK);
  ck_assert_int_eq(fake_op(d, 1)->status, SMTPF_STORE_FOUND);
  smtpf_store_lmdb()->stop(other);
  fake_free(d);
}
END_TEST

/* Nothing is lost of what is under way when its driver goes. */
START_TEST(stopping_waits)
{
  char key[8];
  contract_open(&disk);
  for (smtpf_op i = 1; i <= 100; i++) {
    snprintf(key, sizeof key, "k%d", (int)i);
    smtpf_change c = contract_change(SMTPF_CHANGE_SET, key, "v");
    ck_assert_int_eq(contract_port->commit(contract_self, i, &c, 1), SMTPF_OK);
  }
  reopen();
  ck_assert_str_eq(contract_get("k1"), "v");
  ck_assert_str_eq(contract_get("k100"), "v");
  contract_close();
}
END_TEST

/* ---- what is in the file -------------------------------------------------------------------------- */

/* Opens the database without the port, which must be closed. */
static MDB_env *raw(MDB_txn **txn, MDB_dbi *dbi)
{
  char path[128];
  MDB_env *env;
  snprintf(path, sizeof path, "%s/store.mdb", folder);
  ck_assert_int_eq(mdb_env_create(&env), 0);
  ck_assert_int_eq(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
  ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, txn), 0);
  ck_assert_int_eq(mdb_dbi_open(*txn, NULL, 0, dbi), 0);
  return env;
}

static size_t entries(void)
{
  MDB_txn *txn;
  MDB_dbi dbi;
  MDB_stat stat;
  MDB_env *env = raw(&txn, &dbi);
  ck_assert_int_eq(mdb_stat(txn, dbi, &stat), 0);
  mdb_txn_abort(txn);
  mdb_env_close(env);
  return stat.ms_entries;
}

/* Changes the format number; with `foreign` there is another record and no number at all. */
static void alter_format(int format, int foreign)
{
  MDB_txn *txn;
  MDB_dbi dbi;
  MDB_cursor *c;
  MDB_val k, v;
  unsigned char bytes[4] = {(unsigned char)format};
  MDB_env *env = raw(&txn, &dbi);
  ck_assert_int_eq(mdb_cursor_open(txn, dbi, &c), 0);
  ck_assert_int_eq(mdb_cursor_get(c, &k, &v, MDB_FIRST), 0);
  ck_assert_uint_gt(k.mv_size, SMTPF_KEY_MAX);
  v = (MDB_val){sizeof bytes, bytes};
  if (foreign)
    ck_assert_int_eq(mdb_cursor_del(c, 0), 0);
  if (foreign)
    k = (MDB_val){5, (void *)(uintptr_t) "hello"};
  ck_assert_int_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
  mdb_cursor_close(c);
  ck_assert_int_eq(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

static char why[256]; /* it was refused */

static void refused(void)
{
  void *self;
  smtpf_driver *d = fake_new(options, OPTIONS);
  ck_assert_int_eq(smtpf_store_lmdb()->start(NULL, d, &self), SMTPF_EIO);
  ck_assert_str_eq(d->log, "store-failed ");
  snprintf(why, sizeof why, "%s", d->cause);
  fake_free(d);
}

START_TEST(other_formats_are_refused)
{
  contract_open(&disk);
  contract_close();
  alter_format(2, 0);
  refused();
  ck_assert_ptr_nonnull(strstr(why, "newer version of this library: export it there"));
  alter_format(0, 0);
  refused();
  ck_assert_ptr_nonnull(strstr(why, "older version of this library: export it there"));
  alter_format(1, 0);
  contract_open(&disk);
  contract_close();
  alter_format(1, 1);
  refused();
  ck_assert_ptr_nonnull(strstr(why, "not a store of this library"));
}
END_TEST

START_TEST(a_folder_that_cannot_be_is_refused)
{
  char kept[sizeof folder];
  memcpy(kept, folder, sizeof kept);
  snprintf(folder, sizeof folder, "/proc/none");
  refused();
  memcpy(folder, kept, sizeof kept);
}
END_TEST

START_TEST(what_has_expired_leaves_the_file)
{
  char key[16];
  contract_open(&disk);
  for (int i = 0; i < 3000; i += 30) {
    smtpf_change all[30];
    char keys[30][16];
    for (int j = 0; j < 30; j++) {
      snprintf(keys[j], sizeof keys[0], "k%d", i + j);
      all[j] = contract_change(SMTPF_CHANGE_SET, keys[j], "v");
      all[j].expires = contract_driver->wall + (j < 29 ? 10 : 100000);
    }
    ck_assert_int_eq(contract_commit(all, 30), SMTPF_STORE_DONE);
  }
  contract_driver->wall += 11;
  for (int i = 0; i < 3000 && options[4].value[0] == 'i'; i++) { /* without a thread every so-manyth commit looks */
    snprintf(key, sizeof key, "x%d", i % 7);
    ck_assert_int_eq(contract_set(key, "x"), SMTPF_STORE_DONE);
  }
  for (int i = 0; i < 60 && options[4].value[0] == 't'; i++) {
    (void)contract_get("k29"); /* tells the time */
    fake_run(contract_driver, SIZE_MAX, 100);
  }
  ck_assert_str_eq(contract_get("k29"), "v");
  contract_close();
  ck_assert_uint_le(entries(), options[4].value[0] == 't' ? 101 : 2000);
  ck_assert_uint_ge(entries(), 101);
}
END_TEST

/* ---- the map -------------------------------------------------------------------------------------- */

START_TEST(the_map_grows)
{
  settings(MIB, 64 * MIB, 64);
  contract_open(&disk);
  ck_assert_int_eq(fill(0, 2000, 0), 2000);
  ck_assert(heard("store-grown"));
  ck_assert_uint_eq(strlen(contract_get("big0")), 4000);
  reopen(); /* with the small map again */
  ck_assert_uint_eq(strlen(contract_get("big1999")), 4000);
  ck_assert_int_eq(fill(2000, 500, 0), 500);
  contract_close();
}
END_TEST

START_TEST(a_full_map_fails_and_recovers)
{
  settings(2 * MIB, 2 * MIB, 64);
  contract_open(&disk);
  const int64_t expires = contract_driver->wall + 10;
  ck_assert_int_eq(contract_set("kept", "v"), SMTPF_STORE_DONE);
  const int n = fill(0, 2000, expires);
  ck_assert_int_gt(n, 50);
  ck_assert_int_lt(n, 1000);
  if (options[4].value[0] == 't')
    ck_assert(heard("store-unwritable"));
  ck_assert_str_eq(contract_get("kept"), "v");
  ck_assert_uint_eq(strlen(contract_get("big0")), 4000);
  ck_assert_int_eq(fill(5000, 1, 0), 0);
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_DELETE, "big0", "")), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("big0"), "-");
  contract_driver->wall += 11; /* all but one have expired */
  int made = 0;
  for (int i = 0; i < 200 && !made; i++) {
    (void)contract_get("kept");
    fake_run(contract_driver, SIZE_MAX, 50);
    made = fill(6000, 1, 0);
  }
  ck_assert_int_eq(made, 1);
  if (options[4].value[0] == 't')
    ck_assert(heard("store-recovered"));
  ck_assert_int_gt(fill(7000, 40, 0), 20);
  ck_assert_str_eq(contract_get("kept"), "v");
  contract_close();
}
END_TEST

/* ---- a full disk ---------------------------------------------------------------------------------- */

static void limit_files(rlim_t most)
{
  struct rlimit r;
  signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &r), 0);
  r.rlim_cur = most < r.rlim_max ? most : r.rlim_max;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

START_TEST(a_full_disk_fails_and_recovers)
{
  contract_open(&disk);
  ck_assert_int_eq(contract_set("kept", "v"), SMTPF_STORE_DONE);
  limit_files(MIB);
  const int n = fill(0, 1000, 0);
  ck_assert_int_gt(n, 20);
  ck_assert_int_lt(n, 900);
  ck_assert_int_eq(fill(2000, 1, 0), 0);
  ck_assert_str_eq(contract_get("kept"), "v");
  ck_assert_str_eq(contract_get("big2000"), "-");
  limit_files(RLIM_INFINITY);
  ck_assert_int_eq(fill(3000, 100, 0), 100);
  reopen();
  ck_assert_str_eq(contract_get("kept"), "v");
  for (int i = 0; i < n; i++) {
    char key[16];
    snprintf(key, sizeof key, "big%d", i);
    ck_assert_uint_eq(strlen(contract_get(key)), 4000);
  }
  contract_close();
}
END_TEST

/* ---- other processes ------------------------------------------------------------------------------ */

/* Runs a case in a child, which must not fail. It leaves alone what it inherited, which valgrind would call a leak at
 * its end: there it ends by a signal. */
static pid_t child(void (*body)(int), int arg)
{
  fflush(NULL);
  const pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (pid == 0) {
    body(arg);
    if (getenv("SMTPF_VALGRIND"))
      raise(SIGKILL);
    _exit(0);
  }
  return pid;
}

static void expect(pid_t pid)
{
  int status = -1;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  ck_assert_int_eq(status, getenv("SMTPF_VALGRIND") ? SIGKILL : 0);
}

static void uses_what_it_inherited(int arg)
{
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "child");
  (void)arg;
  if (contract_port->get(contract_self, 1, SMTPF_LIT("a")) != SMTPF_EFORK ||
      contract_port->commit(contract_self, 1, &c, 1) != SMTPF_EFORK ||
      contract_port->scan(contract_self, 1, SMTPF_LIT(""), 1) != SMTPF_EFORK)
    _exit(1);
  contract_port->stop(contract_self); /* and harms nobody */
  contract_open(&disk);
  if (strcmp(contract_get("a"), "parent") != 0 || contract_set("b", "child") != SMTPF_STORE_DONE)
    _exit(2);
  contract_close();
}

START_TEST(a_child_opens_its_own)
{
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "parent"), SMTPF_STORE_DONE);
  expect(child(uses_what_it_inherited, 0));
  ck_assert_str_eq(contract_get("b"), "child");
  ck_assert_int_eq(contract_set("c", "parent"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("c"), "parent");
  contract_close();
}
END_TEST

static void grows(int n)
{
  settings(MIB, 64 * MIB, 64);
  contract_open(&disk);
  if (fill(0, n, 0) != n)
    _exit(1);
  contract_close();
}

START_TEST(another_process_grows_the_map)
{
  settings(MIB, 64 * MIB, 64);
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  expect(child(grows, 1500));
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_uint_eq(strlen(contract_get("big1499")), 4000);
  expect(child(grows, 3000));
  ck_assert_int_eq(contract_set("b", "two"), SMTPF_STORE_DONE);
  expect(child(grows, 6000));
  fake_forget(contract_driver);
  ck_assert_int_eq(contract_port->scan(contract_self, 1, (smtpf_str){NULL, 0}, 2), SMTPF_OK);
  ck_assert(fake_run(contract_driver, 1, PATIENCE_MS));
  ck_assert_int_eq(fake_op(contract_driver, 1)->status, SMTPF_STORE_MORE);
  ck_assert(smtpf_str_equal(fake_op(contract_driver, 1)->stored[1].key, SMTPF_LIT("b")));
  contract_close();
}
END_TEST

static void counts(int n)
{
  contract_open(&disk);
  for (int i = 0; i < n; i++) {
    smtpf_change c[] = {contract_number("n", 1), contract_number("m", -1)};
    if (contract_commit(c, 2) != SMTPF_STORE_DONE)
      _exit(1);
  }
  contract_close();
}

START_TEST(four_processes_count)
{
  pid_t pids[4];
  for (int i = 0; i < 4; i++)
    pids[i] = child(counts, 100);
  for (int i = 0; i < 4; i++)
    expect(pids[i]);
  contract_open(&disk);
  ck_assert_int_eq(contract_get_number("n"), 400);
  ck_assert_int_eq(contract_get_number("m"), -400);
  contract_close();
}
END_TEST

/* ---- readers -------------------------------------------------------------------------------------- */

START_TEST(without_a_slot_nothing_is_found_out)
{
  enum { MOST = 40 };
  smtpf_driver *drivers[MOST];
  void *selves[MOST];
  int n = 0, status = SMTPF_STORE_ABSENT;
  settings(16 * MIB, 64 * MIB, 16);
  for (; n < MOST && status == SMTPF_STORE_ABSENT; n++) {
    drivers[n] = fake_new(options, OPTIONS);
    ck_assert_int_eq(smtpf_store_lmdb()->start(NULL, drivers[n], &selves[n]), SMTPF_OK);
    ck_assert_int_eq(smtpf_store_lmdb()->get(selves[n], 1, SMTPF_LIT("a")), SMTPF_OK);
    status = fake_op(drivers[n], 1)->status;
  }
  ck_assert_int_eq(status, SMTPF_STORE_FAILED);
  ck_assert_int_gt(n, 10);
  if (options[4].value[0] == 't') {
    fake_run(drivers[0], SIZE_MAX, 100);
    ck_assert_ptr_nonnull(strstr(drivers[0]->log, "store-unreadable"));
  }
  smtpf_store_lmdb()->stop(selves[0]);
  fake_free(drivers[0]);
  fake_forget(drivers[n - 1]);
  ck_assert_int_eq(smtpf_store_lmdb()->get(selves[n - 1], 1, SMTPF_LIT("a")), SMTPF_OK);
  ck_assert_int_eq(fake_op(drivers[n - 1], 1)->status, SMTPF_STORE_ABSENT);
  for (int i = 1; i < n; i++) {
    smtpf_store_lmdb()->stop(selves[i]);
    fake_free(drivers[i]);
  }
}
END_TEST

static void dies_reading(int fd)
{
  contract_open(&disk);
  if (strcmp(contract_get("a"), "one") != 0 || write(fd, "x", 1) != 1)
    _exit(1);
  pause();
}

START_TEST(slots_of_the_dead_are_taken_back)
{
  char byte;
  int pipes[2];
  settings(16 * MIB, 64 * MIB, 16);
  contract_open(&disk);
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  for (int i = 0; i < 40; i++) {
    ck_assert_int_eq(pipe(pipes), 0);
    const pid_t pid = child(dies_reading, pipes[1]);
    close(pipes[1]);
    ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipes[0]);
  }
  contract_close();
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------------- */

START_TEST(memory_that_ends)
{
  int failures = 0;
  for (long i = 1;; i++) {
    void *self = NULL;
    smtpf_driver *d = fake_new(options, OPTIONS);
    d->fail_at = i;
    int r = smtpf_store_lmdb()->start(NULL, d, &self);
    smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "one");
    if (r == SMTPF_OK)
      r = smtpf_store_lmdb()->commit(self, 1, &c, 1);
    if (r == SMTPF_OK) {
      ck_assert(fake_run(d, 1, PATIENCE_MS));
      ck_assert_int_eq(fake_op(d, 1)->status, SMTPF_STORE_DONE);
      r = smtpf_store_lmdb()->scan(self, 2, (smtpf_str){NULL, 0}, 10);
    }
    failures += r == SMTPF_ENOMEM;
    ck_assert(r == SMTPF_OK || r == SMTPF_ENOMEM);
    d->fail_at = 0;
    smtpf_store_lmdb()->stop(self);
    fake_free(d);
    if (r == SMTPF_OK)
      break;
  }
  ck_assert_int_ge(failures, 3);
}
END_TEST

/* ---- all together --------------------------------------------------------------------------------- */

static const contract_store kinds[] = {{smtpf_store_lmdb, options, OPTIONS, threaded, remove_folder},
                                       {smtpf_store_lmdb, options, OPTIONS, alone, remove_folder},
                                       {smtpf_store_lmdb, options, OPTIONS, batched, remove_folder}};

static void add(Suite *s, const char *name, void (*begin)(void))
{
  const TTest *const tests[] = {
      what_was_written_is_there_again,
      drivers_share_one_database,
      stopping_waits,
      other_formats_are_refused,
      what_has_expired_leaves_the_file,
      a_folder_that_cannot_be_is_refused,
      the_map_grows,
      a_full_map_fails_and_recovers,
      a_full_disk_fails_and_recovers,
      a_child_opens_its_own,
      another_process_grows_the_map,
      four_processes_count,
      memory_that_ends,
      without_a_slot_nothing_is_found_out,
      slots_of_the_dead_are_taken_back,
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
  Suite *s = suite_create("port: LMDB store");
  contract_add(s, &kinds[0]);
  contract_add(s, &kinds[1]);
  contract_add(s, &kinds[2]);
  add(s, "with a thread", threaded);
  add(s, "without a thread", alone);
  return port_run(s);
}
