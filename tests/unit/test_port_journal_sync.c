/* SPDX-License-Identifier: MIT
 *
 * The journal as a port: promises that share a sync, disks that fail, several processes on one file.
 */
#include "journal_world.h"

#include <errno.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "port_fake.h"
#include "port_run.h"

static world w;
static smtpf_journal_log *log_;
static smtpf_driver *driver;
static const smtpf_journal *port;
static void *self;

/* A disk that does as it is told. */
static int writes, syncs, cuts, fail_write, fail_sync, fail_cut;

static ssize_t disk_write(int fd, const void *p, size_t n, off_t at)
{
  writes++;
  if (!fail_write)
    return pwrite(fd, p, n, at);
  errno = ENOSPC;
  return fail_write++ == 1 && n > 20 ? pwrite(fd, p, 20, at) : -1; /* a piece still fits */
}

static int disk_sync(int fd)
{
  syncs++;
  if (!fail_sync)
    return fdatasync(fd);
  errno = EIO;
  return -1;
}

static int disk_cut(int fd, off_t at)
{
  cuts++;
  errno = EIO;
  return fail_cut ? -1 : ftruncate(fd, at);
}

static const smtpf_journal_io disk = {disk_write, disk_sync, disk_cut};

static void setup(void)
{
  world_begin(&w);
  log_ = world_log(&w, 0);
  log_->io = &disk;
  driver = fake_new(NULL, 0);
  port = smtpf_journal_file();
  ck_assert_int_eq(port->start(log_, driver, &self), SMTPF_OK);
  writes = syncs = cuts = fail_write = fail_sync = fail_cut = 0;
}

static void teardown(void)
{
  port->stop(self);
  fake_free(driver);
  smtpf_journal_log_free(log_);
  world_end(&w);
}

static int promise(smtpf_op op, const char *message, const char *recipient)
{
  smtpf_promise p[] = {
      {sizeof *p, smtpf_str_of(message), SMTPF_LIT("a@example.org"), smtpf_str_of(recipient), 1, 5, {NULL, 0}},
      {sizeof *p, smtpf_str_of(message), SMTPF_LIT(""), SMTPF_LIT("second@x"), 3, 5, SMTPF_LIT("a key")}};
  return port->promise(self, op, p, 2);
}

static int result_of(smtpf_op op)
{
  ck_assert_int_eq(fake_op(driver, op)->completions, 1);
  return fake_op(driver, op)->status;
}

START_TEST(one_sync_for_a_turn)
{
  char name[16];
  for (smtpf_op op = 1; op <= 50; op++) {
    snprintf(name, sizeof name, "m%d", (int)op);
    ck_assert_int_eq(promise(op, name, "b@x"), SMTPF_OK);
    ck_assert_int_eq(fake_op(driver, op)->completions, 0);
  }
  ck_assert(fake_run(driver, 50, 5000));
  for (smtpf_op op = 1; op <= 50; op++)
    ck_assert_int_eq(result_of(op), SMTPF_OK);
  ck_assert(writes == 1 && syncs == 1);
  smtpf_journal_stats s = {.size = sizeof s};
  ck_assert_int_eq(smtpf_journal_log_read(log_, NULL, &s, NULL), SMTPF_OK);
  ck_assert_uint_eq(s.open, 100);
  ck_assert_int_eq(promise(51, "m51", "b@x"), SMTPF_OK); /* and the next turn another */
  ck_assert(fake_run(driver, 51, 5000));
  ck_assert_int_eq(syncs, 2);
}
END_TEST

START_TEST(cancelled_is_never_written)
{
  for (smtpf_op op = 1; op <= 3; op++)
    ck_assert_int_eq(promise(op, op == 1 ? "m1" : op == 2 ? "middle" : "m3", "b@x"), SMTPF_OK);
  port->cancel(self, 2);
  port->cancel(self, 77);
  ck_assert(fake_run(driver, 2, 5000));
  ck_assert_int_eq(fake_op(driver, 2)->completions, 0);
  ck_assert_str_eq(world_open(&w, log_, NULL), "m1>b@x m1>second@x m3>b@x m3>second@x ");
  for (smtpf_op op = 6; op <= 9; op++)
    ck_assert_int_eq(promise(op, op == 6 ? "a-longer-one" : op == 8 ? "m8" : "m", "b@x"), SMTPF_OK);
  port->cancel(self, 6);
  port->cancel(self, 8);
  ck_assert(fake_run(driver, 4, 5000));
  ck_assert_str_eq(world_open(&w, log_, NULL), "m1>b@x m1>second@x m3>b@x m3>second@x m>b@x m>second@x ");
  ck_assert_int_eq(promise(4, "alone", "b@x"), SMTPF_OK);
  port->cancel(self, 4);
  fake_run(driver, 5, 50);
  ck_assert_int_eq(syncs, 2);
  ck_assert_int_eq(promise(5, "m5", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 5, 5000));
  ck_assert_ptr_nonnull(strstr(world_open(&w, log_, NULL), "m5>b@x"));
}
END_TEST

START_TEST(refuses)
{
  smtpf_promise p = {sizeof p, SMTPF_LIT("m"), SMTPF_LIT(""), SMTPF_LIT("r\n"), 1, 5, {NULL, 0}};
  ck_assert_int_eq(port->promise(self, 1, &p, 1), SMTPF_EINVAL);
  ck_assert_int_eq(port->promise(self, 1, &p, 0), SMTPF_EINVAL);
  p.recipient = SMTPF_LIT("r");
  p.size--;
  ck_assert_int_eq(port->promise(self, 1, &p, 1), SMTPF_EINVAL);
  void *other = NULL;
  ck_assert_int_eq(port->start(NULL, driver, &other), SMTPF_EINVAL);
  smtpf_journal_log *reader = world_log(&w, SMTPF_JOURNAL_READ_ONLY);
  ck_assert_int_eq(port->start(reader, driver, &other), SMTPF_EINVAL);
  smtpf_journal_log_free(reader);
  ck_assert_int_eq(writes, 0);
}
END_TEST

/* Two sessions promise while the disk fails in one way; the file is what it was, and the next promise works. */
static void failing(int *fault)
{
  char before[WORLD_MAX], behind[WORLD_MAX];
  ck_assert_int_eq(promise(1, "m1", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 1, 5000));
  size_t n = world_bytes(&w, before);
  *fault = 1;
  ck_assert_int_eq(promise(2, "m2", "b@x"), SMTPF_OK);
  ck_assert_int_eq(promise(3, "m3", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 3, 5000));
  *fault = 0;
  ck_assert(result_of(2) == SMTPF_EIO && result_of(3) == SMTPF_EIO);
  ck_assert_int_eq(cuts, 1);
  ck_assert_uint_eq(world_bytes(&w, behind), n);
  ck_assert_mem_eq(before, behind, n);
  ck_assert_int_eq(promise(4, "m4", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 4, 5000));
  ck_assert_int_eq(result_of(4), SMTPF_OK);
  ck_assert_str_eq(world_open(&w, log_, NULL), "m1>b@x m1>second@x m4>b@x m4>second@x ");
}

START_TEST(full_disk)
{
  failing(&fail_write);
}
END_TEST

START_TEST(failing_sync)
{
  failing(&fail_sync);
}
END_TEST

/* Not even cut back: what is torn is cut off before the next promise. */
START_TEST(failing_cut)
{
  fail_write = fail_cut = 1;
  ck_assert_int_eq(promise(1, "m1", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 1, 5000));
  ck_assert_int_eq(result_of(1), SMTPF_EIO);
  smtpf_journal_stats s;
  ck_assert_str_eq(world_open(&w, log_, &s), "");
  ck_assert_uint_eq(s.torn, 20);
  fail_write = 0;
  ck_assert_int_eq(promise(2, "m2", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 2, 5000));
  ck_assert_int_eq(result_of(2), SMTPF_EIO); /* never behind a torn one */
  fail_cut = 0;
  ck_assert_int_eq(promise(3, "m3", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 3, 5000));
  ck_assert_int_eq(result_of(3), SMTPF_OK);
  ck_assert_str_eq(world_open(&w, log_, &s), "m3>b@x m3>second@x ");
  ck_assert(s.torn == 0 && s.damages == 0);
}
END_TEST

/* The kernel's own word: a file may not grow further. */
START_TEST(real_limit)
{
  struct rlimit was, small;
  struct stat st;
  ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  ck_assert(getrlimit(RLIMIT_FSIZE, &was) == 0 && stat(w.path, &st) == 0);
  small = was;
  small.rlim_cur = (rlim_t)st.st_size + 30;
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  ck_assert_int_eq(promise(1, "m1", "b@x"), SMTPF_OK);
  int came = fake_run(driver, 1, 5000);
  int settled = smtpf_journal_log_settle(log_, SMTPF_LIT("m1"), SMTPF_LIT("b@x"), SMTPF_DELIVERED);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
  ck_assert(came && result_of(1) == SMTPF_EIO && settled == SMTPF_EIO);
  ck_assert_int_eq(promise(2, "m2", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 2, 5000));
  ck_assert_int_eq(result_of(2), SMTPF_OK);
  ck_assert_str_eq(world_open(&w, log_, NULL), "m2>b@x m2>second@x ");
}
END_TEST

/* The lock is another's: the batch waits and grows, the loop goes on. */
START_TEST(waits_for_the_lock)
{
  int fd = open(w.path, O_RDWR);
  ck_assert_int_eq(flock(fd, LOCK_EX), 0);
  ck_assert_int_eq(promise(1, "m1", "b@x"), SMTPF_OK);
  ck_assert(!fake_run(driver, 1, 30));
  ck_assert_int_eq(promise(2, "m2", "b@x"), SMTPF_OK);
  ck_assert(!fake_run(driver, 1, 30));
  close(fd);
  ck_assert(fake_run(driver, 2, 5000));
  ck_assert(result_of(1) == SMTPF_OK && result_of(2) == SMTPF_OK && syncs == 1);
}
END_TEST

START_TEST(journal_removed)
{
  ck_assert_int_eq(unlink(w.path), 0);
  ck_assert_int_eq(promise(1, "m1", "b@x"), SMTPF_OK);
  ck_assert(fake_run(driver, 1, 5000));
  ck_assert_int_eq(result_of(1), SMTPF_EIO);
}
END_TEST

/* Every allocation fails once; nothing leaks, nothing is half written. */
START_TEST(no_memory)
{
  port->stop(self);
  self = NULL;
  for (long i = 1; i < 50; i++) {
    driver->fail_at = driver->allocations + i;
    int r = port->start(log_, driver, &self);
    if (r != SMTPF_OK) {
      ck_assert_int_eq(r, SMTPF_ENOMEM);
      self = NULL;
      continue;
    }
    fake_forget(driver);
    r = promise(1, "m1", "b@x");
    ck_assert(r == SMTPF_OK || r == SMTPF_ENOMEM);
    if (r == SMTPF_OK) {
      ck_assert(fake_run(driver, 1, 5000));
      ck_assert(result_of(1) == SMTPF_OK || result_of(1) == SMTPF_EIO);
    }
    int spent = driver->fail_at == 0;
    driver->fail_at = 0;
    port->stop(self);
    self = NULL;
    if (!spent) {
      ck_assert_int_gt(i, 3);
      ck_assert_str_eq(world_open(&w, log_, NULL), "m1>b@x m1>second@x ");
      return;
    }
  }
  ck_abort_msg("always another allocation");
}
END_TEST

/* Another process compacts without pause, with a log that was opened before the fork, while this one promises and
 * settles: what was promised and not settled is open in the end, once. */
START_TEST(compaction_races_an_appender)
{
  char name[16], expected[WORLD_TEXT];
  size_t n = 0;
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    int bad = 0;
    for (int i = 0; i < 100000 && !bad && getppid() != 1; i++)
      bad = smtpf_journal_log_compact(log_, 0, NULL) != SMTPF_OK || (poll(NULL, 0, 1), 0);
    _exit(bad);
  }
  for (smtpf_op op = 1; op <= 300; op++) {
    snprintf(name, sizeof name, "m%d", (int)op);
    ck_assert_int_eq(promise(op, name, "b@x"), SMTPF_OK);
    ck_assert(fake_run(driver, (size_t)op, 20000));
    ck_assert_int_eq(result_of(op), SMTPF_OK);
    world_settle(log_, name, "second@x");
    if (op % 3)
      world_settle(log_, name, "b@x");
    else
      n += (size_t)snprintf(expected + n, sizeof expected - n, "%s>b@x ", name);
  }
  int status = 0;
  pid_t ended = waitpid(child, &status, WNOHANG);
  if (ended == 0) {
    kill(child, SIGKILL); /* at any point: the file is whole, at most a new one is left beside it */
    ck_assert_int_eq(waitpid(child, &status, 0), child);
  }
  ck_assert_msg(ended == 0, "the compaction ended with %d", WEXITSTATUS(status));
  smtpf_journal_stats s;
  ck_assert_str_eq(world_open(&w, log_, &s), expected);
  ck_assert(s.damages == 0 && s.torn == 0);
  ck_assert_int_eq(smtpf_journal_log_compact(log_, 0, NULL), SMTPF_OK); /* clears what the killed one left */
  ck_assert_str_eq(world_open(&w, log_, &s), expected);
}
END_TEST

/* Four processes promise at the same time, one is killed. */
START_TEST(several_processes)
{
  enum { PROCESSES = 4, EACH = 40 };
  pid_t children[PROCESSES];
  for (int c = 0; c < PROCESSES; c++) {
    ck_assert_int_ge(children[c] = fork(), 0);
    if (children[c])
      continue;
    void *mine = NULL;
    if (port->start(log_, driver, &mine) != SMTPF_OK)
      _exit(1);
    for (int i = 0; i < EACH; i++) {
      char name[32];
      snprintf(name, sizeof name, "m%d.%d", c, i);
      smtpf_promise p = {sizeof p, smtpf_str_of(name), SMTPF_LIT("s"), SMTPF_LIT("r"), 1, 5, {NULL, 0}};
      if (port->promise(mine, (smtpf_op)i + 1, &p, 1) != SMTPF_OK || !fake_run(driver, (size_t)i + 1, 20000) ||
          result_of((smtpf_op)i + 1) != SMTPF_OK)
        _exit(2);
    }
    _exit(0);
  }
  int status;
  nanosleep(&(struct timespec){0, 20000000}, NULL);
  kill(children[0], SIGKILL);
  for (int c = 0; c < PROCESSES; c++) {
    ck_assert_int_eq(waitpid(children[c], &status, 0), children[c]);
    ck_assert(c == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  }
  smtpf_journal_stats s = {.size = sizeof s};
  ck_assert_int_eq(smtpf_journal_log_read(log_, NULL, &s, NULL), SMTPF_OK);
  ck_assert(s.open >= (PROCESSES - 1) * EACH && s.open <= PROCESSES * EACH && s.damages == 0);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("journal port");
  TCase *c = tcase_create("sync");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_set_timeout(c, 120);
  tcase_add_test(c, one_sync_for_a_turn);
  tcase_add_test(c, cancelled_is_never_written);
  tcase_add_test(c, refuses);
  tcase_add_test(c, full_disk);
  tcase_add_test(c, failing_sync);
  tcase_add_test(c, failing_cut);
  tcase_add_test(c, real_limit);
  tcase_add_test(c, waits_for_the_lock);
  tcase_add_test(c, journal_removed);
  tcase_add_test(c, no_memory);
  tcase_add_test(c, compaction_races_an_appender);
  tcase_add_test(c, several_processes);
  suite_add_tcase(s, c);
  return port_run(s);
}
