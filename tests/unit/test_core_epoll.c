/* SPDX-License-Identifier: MIT
 *
 * The driver on the real poller and the real clock: its descriptor becomes readable when there is something to do, and
 * only then. No test depends on how long something takes, only on that it happens.
 */
#include <poll.h>

#include "core_world.h"
#include "port/port.h"
#include "test_core.h"

static world W;

static int readable(int timeout_ms)
{
  struct pollfd p = {smtpf_driver_fd(W.driver), POLLIN, 0};
  return poll(&p, 1, timeout_ms) == 1;
}

static smtpf_session *pending(const char *timeout)
{
  world_init(&W);
  script *c = world_check(&W, "asks", SMTPF_HELO, 2);
  c->run = script_query;
  c->resume = script_done;
  world_set(&W, "check.timeout", timeout);
  W.ports.poller = smtpf_poller_epoll();
  W.ports.poller_shared = NULL;
  W.ports.clock = smtpf_clock_system();
  world_start(&W);
  W.hold = 1;
  smtpf_session *s = world_connected(&W, 0);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_PENDING);
  return s;
}

static void finish(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

START_TEST(a_deadline_wakes_the_host)
{
  smtpf_session *s = pending("30ms");
  int ready = 0;
  for (int i = 0; i < 100 && !ready; i++) { /* waking too early is allowed, not waking is not */
    ck_assert(readable(5000));
    ready = smtpf_driver_process(W.driver);
  }
  ck_assert_int_eq(ready, 1);
  ck_assert_ptr_eq(smtpf_driver_next(W.driver), s);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(world_stat(&W, "checks.timeout"), 1);
  (void)smtpf_driver_process(W.driver);
  ck_assert(!readable(0)); /* nothing is left to do */
  finish(s);
}
END_TEST

START_TEST(an_answer_from_outside_wakes_the_host)
{
  smtpf_session *s = pending("1m");
  ck_assert(!readable(0));
  world_dns(&W, 0, SMTPF_DNS_NXDOMAIN, 0);
  ck_assert(readable(5000));
  ck_assert_int_eq(smtpf_driver_process(W.driver), 1);
  ck_assert_ptr_eq(smtpf_driver_next(W.driver), s);
  finish(s);
}
END_TEST

/* What is ready and not yet fetched keeps the descriptor readable. */
START_TEST(who_is_ready_is_not_forgotten)
{
  smtpf_session *s = pending("1m");
  world_dns(&W, 0, SMTPF_DNS_NXDOMAIN, 0);
  ck_assert(readable(5000));
  ck_assert_int_eq(smtpf_driver_process(W.driver), 1);
  ck_assert(readable(5000));
  ck_assert_int_eq(smtpf_driver_process(W.driver), 1);
  ck_assert(readable(5000));
  ck_assert_ptr_eq(smtpf_driver_next(W.driver), s);
  ck_assert_int_eq(smtpf_driver_process(W.driver), 0);
  ck_assert(!readable(0));
  finish(s);
}
END_TEST

START_TEST(wake_wakes)
{
  smtpf_session *s = pending("1m");
  ck_assert_int_eq(smtpf_driver_wake(W.driver), SMTPF_OK);
  ck_assert(readable(5000));
  ck_assert_int_eq(smtpf_driver_process(W.driver), 0);
  ck_assert(!readable(0));
  ck_assert_int_eq(smtpf_session_wait(s, 20), SMTPF_ETIMEOUT);
  EXPECT_CODE(s, 0);
  finish(s);
}
END_TEST

TCase *epoll_cases(void)
{
  TCase *c = tcase_create("epoll");
  tcase_set_timeout(c, 60);
  tcase_add_test(c, a_deadline_wakes_the_host);
  tcase_add_test(c, an_answer_from_outside_wakes_the_host);
  tcase_add_test(c, who_is_ready_is_not_forgotten);
  tcase_add_test(c, wake_wakes);
  return c;
}
