/* SPDX-License-Identifier: MIT
 *
 * The epoll poller, the system's clock and random numbers.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/port.h"
#include "port_run.h"

static const smtpf_poller *port;
static void *self;

static void setup(void)
{
  port = smtpf_poller_epoll();
  ck_assert_int_eq(port->start(NULL, &self), SMTPF_OK);
}

static void teardown(void)
{
  port->stop(self);
}

/* Whether fd() itself is readable within so long: what a host's own loop sees. */
static int nested(int ms)
{
  struct pollfd p = {port->fd(self), POLLIN, 0};
  return poll(&p, 1, ms);
}

START_TEST(reads_and_writes_are_told_apart)
{
  int ends[2];
  smtpf_pollfd ready[4];
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(port->set(self, ends[0], SMTPF_FD_READ), SMTPF_OK);
  ck_assert_int_eq(port->wait(self, 0, ready, 4), 0);
  ck_assert_int_eq(port->set(self, ends[1], SMTPF_FD_WRITE), SMTPF_OK);
  ck_assert_int_eq(port->wait(self, 0, ready, 4), 1);
  ck_assert_int_eq(ready[0].fd, ends[1]);
  ck_assert_uint_eq(ready[0].events, SMTPF_FD_WRITE);
  ck_assert_int_eq(port->set(self, ends[1], 0), SMTPF_OK);
  ck_assert_int_eq(port->wait(self, 0, ready, 4), 0);
  ck_assert_int_eq(write(ends[1], "x", 1), 1);
  ck_assert_int_eq(nested(1000), 1);
  ck_assert_int_eq(port->wait(self, 0, ready, 4), 1);
  ck_assert_int_eq(ready[0].fd, ends[0]);
  ck_assert_uint_eq(ready[0].events, SMTPF_FD_READ);
  ck_assert_int_eq(port->wait(self, 0, ready, 4), 1); /* level-triggered: still there */
  close(ends[0]);
  ck_assert_int_eq(port->set(self, ends[0], 0), SMTPF_OK); /* its owner closed it first */
  close(ends[1]);
}
END_TEST

START_TEST(end_of_file_is_readable)
{
  int ends[2];
  smtpf_pollfd ready[1];
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(port->set(self, ends[0], SMTPF_FD_READ), SMTPF_OK);
  close(ends[1]);
  ck_assert_int_eq(port->wait(self, 1000, ready, 1), 1);
  ck_assert(ready[0].events & SMTPF_FD_READ);
  ck_assert_int_eq(port->set(self, ends[0], 0), SMTPF_OK);
  close(ends[0]);
}
END_TEST

START_TEST(events_can_be_changed)
{
  int ends[2];
  smtpf_pollfd ready[2];
  ck_assert_int_eq(pipe(ends), 0);
  ck_assert_int_eq(port->set(self, ends[1], SMTPF_FD_READ), SMTPF_OK);
  ck_assert_int_eq(port->wait(self, 0, ready, 2), 0);
  ck_assert_int_eq(port->set(self, ends[1], SMTPF_FD_READ | SMTPF_FD_WRITE), SMTPF_OK);
  ck_assert_int_eq(port->wait(self, 0, ready, 2), 1);
  ck_assert_int_eq(port->set(self, ends[1], 0), SMTPF_OK);
  ck_assert_int_eq(port->set(self, ends[1], 0), SMTPF_OK); /* twice is harmless */
  close(ends[0]);
  close(ends[1]);
}
END_TEST

START_TEST(a_bad_descriptor_is_an_error)
{
  ck_assert_int_eq(port->set(self, -1, SMTPF_FD_READ), SMTPF_EINVAL);
  int fd = dup(0);
  close(fd);
  ck_assert_int_eq(port->set(self, fd, SMTPF_FD_READ), SMTPF_EIO);
}
END_TEST

START_TEST(the_timer_makes_the_descriptor_readable)
{
  smtpf_pollfd ready[1];
  ck_assert_int_eq(nested(0), 0);
  ck_assert_int_eq(port->arm(self, 0), SMTPF_OK);
  ck_assert_int_eq(nested(1000), 1);
  ck_assert_int_eq(port->wait(self, 0, ready, 1), 0); /* ours, and drained */
  ck_assert_int_eq(nested(0), 0);
  ck_assert_int_eq(port->arm(self, 30), SMTPF_OK);
  ck_assert_int_eq(nested(0), 0);
  ck_assert_int_eq(nested(2000), 1);
  ck_assert_int_eq(port->arm(self, -1), SMTPF_OK); /* due, never looked at, and disarmed */
  ck_assert_int_eq(nested(0), 0);
  ck_assert_int_eq(port->arm(self, INT64_MAX), SMTPF_OK);
  ck_assert_int_eq(port->arm(self, -1), SMTPF_OK);
  ck_assert_int_eq(port->arm(self, -1), SMTPF_OK);
}
END_TEST

START_TEST(wait_ends_by_its_timeout)
{
  smtpf_pollfd ready[1];
  uint64_t before = smtpf_clock_system()->mono_ns(NULL);
  ck_assert_int_eq(port->wait(self, 20, ready, 1), 0);
  ck_assert_uint_ge(smtpf_clock_system()->mono_ns(NULL) - before, 19000000u);
}
END_TEST

START_TEST(no_descriptor_starves)
{
  enum { N = 6 };
  int ends[N][2], seen[N] = {0};
  for (int i = 0; i < N; i++) {
    ck_assert_int_eq(pipe(ends[i]), 0);
    ck_assert_int_eq(port->set(self, ends[i][1], SMTPF_FD_WRITE), SMTPF_OK);
  }
  for (int round = 0; round < 4 * N; round++) {
    smtpf_pollfd ready[1];
    ck_assert_int_eq(port->wake(self), SMTPF_OK);
    int n = port->wait(self, 0, ready, 1);
    ck_assert_int_ge(n, 0);
    for (int i = 0; n == 1 && i < N; i++)
      seen[i] += ready[0].fd == ends[i][1];
  }
  for (int i = 0; i < N; i++) {
    ck_assert_int_gt(seen[i], 0);
    close(ends[i][0]);
    close(ends[i][1]);
  }
}
END_TEST

static void *wake_many(void *user)
{
  for (int i = 0; i < 1000; i++)
    if (port->wake(user) != SMTPF_OK)
      return user;
  return NULL;
}

START_TEST(threads_may_wake)
{
  enum { N = 4 };
  pthread_t threads[N];
  smtpf_pollfd ready[1];
  void *bad;
  for (int i = 0; i < N; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, wake_many, self), 0);
  ck_assert_int_eq(nested(5000), 1);
  for (int i = 0; i < N; i++) {
    ck_assert_int_eq(pthread_join(threads[i], &bad), 0);
    ck_assert_ptr_null(bad);
  }
  ck_assert_int_eq(port->wait(self, 0, ready, 1), 0);
  ck_assert_int_eq(nested(0), 0); /* a thousand wakes are one event */
}
END_TEST

static void on_signal(int number)
{
  (void)number;
  port->wake(self);
}

START_TEST(a_signal_handler_may_wake)
{
  smtpf_pollfd ready[1];
  struct sigaction act, before;
  memset(&act, 0, sizeof act);
  act.sa_handler = on_signal;
  ck_assert_int_eq(sigaction(SIGUSR1, &act, &before), 0);
  errno = 12345;
  ck_assert_int_eq(raise(SIGUSR1), 0);
  ck_assert_int_eq(errno, 12345);
  ck_assert_int_eq(port->wait(self, 5000, ready, 1), 0);
  ck_assert_int_eq(nested(0), 0);
  sigaction(SIGUSR1, &before, NULL);
}
END_TEST

START_TEST(the_process_is_told)
{
  int status = -1;
  ck_assert_int_eq(port->pid(self), (int64_t)getpid());
  const pid_t child = fork();
  if (child == 0) /* what its parent knew does not count */
    _exit(port->pid(self) == (int64_t)getpid() ? 0 : 1);
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert_int_eq(status, 0);
  ck_assert_int_eq(port->pid(self), (int64_t)getpid());
}
END_TEST

START_TEST(clocks_go_forward)
{
  const smtpf_clock *clock = smtpf_clock_system();
  uint64_t a = clock->mono_ns(clock->user), b = clock->mono_ns(clock->user);
  ck_assert_uint_le(a, b);
  ck_assert_int_gt(clock->wall_s(clock->user), 1700000000);
}
END_TEST

START_TEST(random_bytes_differ)
{
  static unsigned char a[1000], b[1000];
  const smtpf_random *random = smtpf_random_system();
  ck_assert_int_eq(random->fill(random->user, a, sizeof a), SMTPF_OK);
  ck_assert_int_eq(random->fill(random->user, b, sizeof b), SMTPF_OK);
  ck_assert_int_ne(memcmp(a, b, 16), 0);
  ck_assert_int_ne(memcmp(a + 984, b + 984, 16), 0);
  ck_assert_int_eq(random->fill(random->user, a, 0), SMTPF_OK);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: poller, clock, random");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, reads_and_writes_are_told_apart);
  tcase_add_test(t, end_of_file_is_readable);
  tcase_add_test(t, events_can_be_changed);
  tcase_add_test(t, a_bad_descriptor_is_an_error);
  tcase_add_test(t, the_timer_makes_the_descriptor_readable);
  tcase_add_test(t, wait_ends_by_its_timeout);
  tcase_add_test(t, no_descriptor_starves);
  tcase_add_test(t, threads_may_wake);
  tcase_add_test(t, a_signal_handler_may_wake);
  tcase_add_test(t, the_process_is_told);
  tcase_add_test(t, clocks_go_forward);
  tcase_add_test(t, random_bytes_differ);
  suite_add_tcase(s, t);
  return port_run(s);
}
