/* SPDX-License-Identifier: MIT
 *
 * The c-ares port against real name servers on loopback: rbldnsd, and one of our own that lies, hides and cuts short.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "free_port.h"
#include "port/port.h"
#include "port_dns_server.h"
#include "port_fake.h"
#include "port_run.h"

enum { PATIENCE = 20000 }; /* ms after which a test gives up; none waits so long when all is well */

static dns_server ours, rbldnsd;
static smtpf_driver *driver;
static const smtpf_resolver *port;
static void *self;
static char servers[128];

static void start_servers(void)
{
  ours = dns_server_start();
  rbldnsd = dns_server_rbldnsd();
}

static void stop_servers(void)
{
  dns_server_stop(&ours);
  dns_server_stop(&rbldnsd);
}

/* A resolver that asks these servers. */
static void open_at(const char *list, int timeout_ms, int tries)
{
  smtpf_resolver_cares_options o = {sizeof o, list, timeout_ms, tries};
  driver = fake_new(NULL, 0);
  port = smtpf_resolver_cares();
  ck_assert_int_eq(port->start(&o, driver, &self), SMTPF_OK);
}

static void open_on(unsigned number, int timeout_ms, int tries)
{
  snprintf(servers, sizeof servers, "127.0.0.1:%u", number);
  open_at(servers, timeout_ms, tries);
}

static void done(void)
{
  port->stop(self);
  fake_free(driver);
}

static const fake_result *ask(int type, const char *name)
{
  fake_forget(driver);
  ck_assert_int_eq(port->query(self, 1, type, name), SMTPF_OK);
  ck_assert(fake_run(driver, 1, PATIENCE));
  ck_assert_int_eq(fake_op(driver, 1)->completions, 1);
  return fake_op(driver, 1);
}

static void expect_ip(const fake_result *a, size_t i, const char *ip)
{
  char out[SMTPF_IP_TEXT];
  ck_assert_int_eq(a->status, SMTPF_DNS_OK);
  ck_assert_uint_lt(i, a->count);
  smtpf_ip_format(&a->records[i].r.ip, out);
  ck_assert_str_eq(out, ip);
}

/* ---- rbldnsd -------------------------------------------------------------------------------------------- */

/* Opens a resolver on rbldnsd; 0 when there is none. */
static int open_rbldnsd(const char *test)
{
  if (rbldnsd.pid <= 0) {
    printf("SKIP %s: %s\n", test, rbldnsd.why);
    return 0;
  }
  open_on(rbldnsd.port, 1000, 4);
  return 1;
}

START_TEST(a_real_list)
{
  if (!open_rbldnsd("a_real_list"))
    return;
  const fake_result *a = ask(SMTPF_DNS_A, "1.2.0.192.BL.example");
  expect_ip(a, 0, "127.0.0.2");
  ck_assert_uint_eq(a->count, 1);
  ck_assert_uint_gt(a->ttl, 60);
  a = ask(SMTPF_DNS_TXT, "1.2.0.192.bl.example.");
  ck_assert_int_eq(a->status, SMTPF_DNS_OK);
  ck_assert_str_eq(a->records[0].text, "Listed, see http://bl.example/?192.0.2.1");
  a = ask(SMTPF_DNS_A, "7.2.0.192.bl.example");
  ck_assert_int_eq(a->status, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(a->ttl, 60); /* the last field of the SOA record */
  a = ask(SMTPF_DNS_MX, "zone.example");
  ck_assert_int_eq(a->status, SMTPF_DNS_OK);
  ck_assert_uint_eq(a->records[0].r.preference, 10);
  ck_assert_str_eq(a->records[0].text, "mx.zone.example");
  ck_assert_int_eq(ask(SMTPF_DNS_AAAA, "host.zone.example")->status, SMTPF_DNS_NODATA);
  ck_assert_int_eq(ask(SMTPF_DNS_A, "host.elsewhere.example")->status, SMTPF_DNS_SERVFAIL); /* REFUSED */
  done();
}
END_TEST

START_TEST(many_in_flight)
{
  enum { N = 2000 };
  char name[64];
  if (!open_rbldnsd("many_in_flight"))
    return;
  fake_forget(driver);
  for (unsigned i = 0; i < N; i++) {
    snprintf(name, sizeof name, "%u.%u.0.192.bl.example", i % 256, 2 + i / 256);
    ck_assert_int_eq(port->query(self, i + 1, SMTPF_DNS_A, name), SMTPF_OK);
  }
  ck_assert(fake_run(driver, N, PATIENCE));
  for (unsigned i = 0; i < N; i++) {
    const fake_result *a = fake_op(driver, i + 1);
    ck_assert_int_eq(a->completions, 1);
    ck_assert_int_eq(a->status, i < 256 && i != 7 ? SMTPF_DNS_OK : SMTPF_DNS_NXDOMAIN);
  }
  done();
}
END_TEST

START_TEST(the_second_server_helps)
{
  char list[160];
  if (!open_rbldnsd("the_second_server_helps"))
    return;
  done();
  snprintf(list, sizeof list, "127.0.0.1:%u,127.0.0.1:%u", ours.port,
           rbldnsd.port); /* ours does not answer this name */
  open_at(list, 100, 2);
  expect_ip(ask(SMTPF_DNS_A, "host.zone.example"), 0, "192.0.2.55");
  done();
}
END_TEST

/* ---- our own -------------------------------------------------------------------------------------------- */

START_TEST(silence_is_a_timeout)
{
  open_on(ours.port, 100, 2);
  uint64_t before = smtpf_driver_now(driver);
  const fake_result *a = ask(SMTPF_DNS_A, "silent.example");
  ck_assert_int_eq(a->status, SMTPF_DNS_TIMEOUT);
  ck_assert_uint_le(a->ttl, 10);
  ck_assert_uint_ge(smtpf_driver_now(driver) - before, 150000000u); /* two tries were made */
  done();
}
END_TEST

START_TEST(a_lost_datagram_is_sent_again)
{
  open_on(ours.port, 100, 4);
  expect_ip(ask(SMTPF_DNS_A, "second.example"), 0, "192.0.2.1");
  done();
}
END_TEST

START_TEST(nobody_there_is_a_failure)
{
  open_on(free_port(SOCK_DGRAM), 200, 2);
  int status = ask(SMTPF_DNS_A, "good.example")->status;
  ck_assert(status == SMTPF_DNS_SERVFAIL || status == SMTPF_DNS_TIMEOUT);
  done();
}
END_TEST

START_TEST(failures_are_never_denials)
{
  static const char *const names[] = {"garbage.example", "short.example", "servfail.example", "refused.example"};
  open_on(ours.port, 100, 2);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const fake_result *a = ask(SMTPF_DNS_A, names[i]);
    ck_assert(a->status == SMTPF_DNS_SERVFAIL || (i < 2 && a->status == SMTPF_DNS_TIMEOUT));
    ck_assert_uint_le(a->ttl, 10);
    ck_assert_uint_eq(a->count, 0);
  }
  done();
}
END_TEST

START_TEST(forged_answers_are_not_believed)
{
  open_on(ours.port, 500, 2);
  const fake_result *a = ask(SMTPF_DNS_A, "forged.example");
  if (a->status == SMTPF_DNS_OK) /* a version that gives up at a wrong question fails instead; none believes it */
    expect_ip(a, 0, "192.0.2.1");
  else
    ck_assert_int_ne(a->status, SMTPF_DNS_NXDOMAIN);
  done();
}
END_TEST

START_TEST(a_truncated_answer_comes_by_tcp)
{
  open_on(ours.port, 2000, 2);
  const fake_result *a = ask(SMTPF_DNS_A, "truncated.example");
  ck_assert_uint_eq(a->count, 100);
  expect_ip(a, 99, "192.0.2.1");
  done();
}
END_TEST

START_TEST(a_stop_completes_nothing)
{
  open_on(ours.port, 10000, 2);
  for (unsigned i = 0; i < 300; i++) /* more than are sent at once */
    ck_assert_int_eq(port->query(self, i + 1, SMTPF_DNS_A, "silent.example"), SMTPF_OK);
  port->cancel(self, 1);
  ck_assert(!fake_run(driver, 1, 50));
  port->stop(self);
  ck_assert_uint_eq(driver->completed, 0);
  fake_free(driver); /* nothing held, nothing watched */
}
END_TEST

START_TEST(the_last_timer_ends)
{
  open_on(ours.port, 100, 1);
  expect_ip(ask(SMTPF_DNS_A, "good.example"), 0, "192.0.2.1");
  fake_forget(driver);
  ck_assert(!fake_run(driver, 1, 300));
  for (size_t i = 0; i < FAKE_TIMERS; i++)
    ck_assert_uint_eq(driver->timers[i].token, 0); /* an idle resolver wakes nobody */
  done();
}
END_TEST

START_TEST(every_allocation_may_fail)
{
  open_on(ours.port, 500, 2);
  int failures = 0;
  for (long i = 1;; i++) {
    ck_assert_int_lt(i, 1000); /* it must get through some time: is the name server still there? */
    fake_forget(driver);
    driver->fail_at = driver->allocations + i;
    int r = port->query(self, 1, SMTPF_DNS_A, "good.example");
    ck_assert(r == SMTPF_OK || r == SMTPF_ENOMEM);
    if (r == SMTPF_OK)
      ck_assert(fake_run(driver, 1, PATIENCE));
    driver->fail_at = 0;
    if (r == SMTPF_OK && fake_op(driver, 1)->status == SMTPF_DNS_OK)
      break;
    ck_assert(r == SMTPF_ENOMEM || fake_op(driver, 1)->status == SMTPF_DNS_SERVFAIL);
    failures++;
  }
  ck_assert_int_ge(failures, 2); /* the request, the answer */
  done();
}
END_TEST

START_TEST(illegal_questions_are_not_asked)
{
  open_on(ours.port, 100, 1);
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, "a..b"), SMTPF_EINVAL);
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, "a\\.b"), SMTPF_EINVAL);
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, ""), SMTPF_EINVAL);
  ck_assert_int_eq(port->query(self, 1, 0, "good.example"), SMTPF_EINVAL);
  ck_assert_int_eq(port->query(self, 1, 65536, "good.example"), SMTPF_EINVAL);
  done();
}
END_TEST

START_TEST(options_of_the_policy)
{
  char first[32], second[32];
  snprintf(first, sizeof first, "127.0.0.1:%u", free_port(SOCK_DGRAM));
  snprintf(second, sizeof second, "127.0.0.1:%u", ours.port);
  const fake_option options[] = {
      {"resolver.servers", first}, {"resolver.servers", second}, {"resolver.timeout", "100"}, {"resolver.tries", "2"}};
  driver = fake_new(options, 4);
  port = smtpf_resolver_cares();
  ck_assert_int_eq(port->start(NULL, driver, &self), SMTPF_OK);
  expect_ip(ask(SMTPF_DNS_A, "good.example"), 0, "192.0.2.1");
  uint64_t before = smtpf_driver_now(driver);
  ck_assert_int_ne(ask(SMTPF_DNS_A, "silent.example")->status, SMTPF_DNS_OK);
  ck_assert_uint_lt(smtpf_driver_now(driver) - before, (uint64_t)PATIENCE * 1000000u);
  done();
}
END_TEST

START_TEST(servers_that_are_none)
{
  smtpf_resolver_cares_options o = {sizeof o, "not an address", 0, 0};
  driver = fake_new(NULL, 0);
  port = smtpf_resolver_cares();
  ck_assert_int_eq(port->start(&o, driver, &self), SMTPF_EINVAL);
  o.size = 4;
  ck_assert_int_eq(port->start(&o, driver, &self), SMTPF_EINVAL);
  fake_free(driver);
  driver = fake_new(NULL, 0);
  driver->fail_at = 1;
  o = (smtpf_resolver_cares_options){sizeof o, "[::1]:53,127.0.0.1", 0, 0};
  ck_assert_int_eq(port->start(&o, driver, &self), SMTPF_ENOMEM);
  ck_assert_int_eq(port->start(&o, driver, &self), SMTPF_OK);
  port->stop(self);
  ck_assert_int_eq(port->start(NULL, driver, &self), SMTPF_OK); /* the system's */
  done();
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: c-ares");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 60);
  tcase_add_unchecked_fixture(t, start_servers, stop_servers);
  tcase_add_test(t, a_real_list);
  tcase_add_test(t, many_in_flight);
  tcase_add_test(t, the_second_server_helps);
  tcase_add_test(t, silence_is_a_timeout);
  tcase_add_test(t, a_lost_datagram_is_sent_again);
  tcase_add_test(t, nobody_there_is_a_failure);
  tcase_add_test(t, failures_are_never_denials);
  tcase_add_test(t, forged_answers_are_not_believed);
  tcase_add_test(t, a_truncated_answer_comes_by_tcp);
  tcase_add_test(t, a_stop_completes_nothing);
  tcase_add_test(t, the_last_timer_ends);
  tcase_add_test(t, every_allocation_may_fail);
  tcase_add_test(t, illegal_questions_are_not_asked);
  tcase_add_test(t, options_of_the_policy);
  tcase_add_test(t, servers_that_are_none);
  suite_add_tcase(s, t);
  return port_run(s);
}
