/* SPDX-License-Identifier: MIT
 *
 * The zone text and the static resolver over it.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "port/dns/zone.h"
#include "port/port.h"
#include "port_fake.h"
#include "port_run.h"

static const char text[] = "; what the tests ask for\n"
                           "# both marks begin a comment\n"
                           "\n"
                           "host.example 300 A 192.0.2.1 ; the first\n"
                           "host.example. 60 IN A 192.0.2.2\n"
                           "HOST.example AAAA 2001:db8::1\r\n"
                           "mapped.example AAAA ::ffff:192.0.2.9\n"
                           "host.example TXT \"v=spf1 \" \"ip4:192.0.2.0/24 -all\"\n"
                           "quoted.example TXT \"a \\\"b\\\" \\\\ ; # \\065\\000c\"\n"
                           "bare.example TXT one two\n"
                           "empty.example TXT \"\"\n"
                           "example MX 20 b.example\n"
                           "example MX 10 A.example.\n"
                           "null.example MX 0 .\n"
                           "1.2.0.192.in-addr.arpa PTR Host.Example.\n"
                           "example NS ns.example\n"
                           "alias.example 30 CNAME host.example\n"
                           "dangling.example 30 CNAME nowhere.example\n"
                           "loop1.example CNAME loop2.example\n"
                           "loop2.example CNAME loop1.example\n"
                           "gone.example NXDOMAIN\n"
                           "slow.example A TIMEOUT\n"
                           "slow.example MX 10 host.example\n"
                           "broken.example 7 SERVFAIL\n"
                           "broken.example TXT \"works\"\n"
                           "nothing.example TXT NODATA\n"
                           "word.example TXT \"TIMEOUT\"\n"
                           "below.deep.down.example A 192.0.2.3\n"
                           "*.wild.example A 192.0.2.4\n"
                           "fixed.wild.example A 192.0.2.5\n"
                           "to.broken.example CNAME slow.example\n"
                           "last.example A 192.0.2.6";

static smtpf_driver *driver;
static smtpf_zone *zone;
static const smtpf_resolver *port;
static void *self;

static void setup(void)
{
  size_t line = 0;
  driver = fake_new(NULL, 0);
  ck_assert_int_eq(smtpf_zone_new(&zone, (smtpf_str){text, sizeof text - 1}, &driver->mem, &line), SMTPF_OK);
  port = smtpf_resolver_zone();
  ck_assert_int_eq(port->start(zone, driver, &self), SMTPF_OK);
}

static void teardown(void)
{
  port->stop(self);
  smtpf_zone_free(zone);
  fake_free(driver);
}

static const fake_result *ask(int type, const char *name)
{
  fake_forget(driver);
  ck_assert_int_eq(port->query(self, 1, type, name), SMTPF_OK);
  port->cancel(self, 1);
  ck_assert_int_eq(fake_op(driver, 1)->completions, 1);
  return fake_op(driver, 1);
}

static int status(int type, const char *name)
{
  return ask(type, name)->status;
}

static void expect_ip(const smtpf_dns_record *r, const char *ip)
{
  char out[SMTPF_IP_TEXT];
  smtpf_ip_format(&r->ip, out);
  ck_assert_str_eq(out, ip);
}

START_TEST(records_come_in_order_with_the_least_ttl)
{
  const fake_result *a = ask(SMTPF_DNS_A, "Host.EXAMPLE.");
  ck_assert_int_eq(a->status, SMTPF_DNS_OK);
  ck_assert_uint_eq(a->count, 2);
  ck_assert_uint_eq(a->ttl, 60);
  ck_assert_uint_eq(a->records[0].r.ttl, 300);
  expect_ip(&a->records[0].r, "192.0.2.1");
  expect_ip(&a->records[1].r, "192.0.2.2");
  a = ask(SMTPF_DNS_AAAA, "host.example");
  ck_assert_uint_eq(a->count, 1);
  ck_assert_uint_eq(a->ttl, 3600);
  expect_ip(&a->records[0].r, "2001:db8::1");
  a = ask(SMTPF_DNS_AAAA, "mapped.example");
  ck_assert_uint_eq(a->records[0].r.ip.family, 6);
  ck_assert_uint_eq(a->records[0].r.ip.bytes[11], 0xff);
  ck_assert_uint_eq(a->records[0].r.ip.bytes[15], 9);
}
END_TEST

START_TEST(strings_are_joined)
{
  ck_assert_str_eq(ask(SMTPF_DNS_TXT, "host.example")->records[0].text, "v=spf1 ip4:192.0.2.0/24 -all");
  ck_assert_str_eq(ask(SMTPF_DNS_TXT, "bare.example")->records[0].text, "onetwo");
  ck_assert_str_eq(ask(SMTPF_DNS_TXT, "word.example")->records[0].text, "TIMEOUT");
  ck_assert_uint_eq(ask(SMTPF_DNS_TXT, "empty.example")->records[0].r.text.n, 0);
  const fake_result *a = ask(SMTPF_DNS_TXT, "quoted.example");
  ck_assert_uint_eq(a->records[0].r.text.n, sizeof "a \"b\" \\ ; # A\0c" - 1);
  ck_assert_int_eq(memcmp(a->records[0].text, "a \"b\" \\ ; # A\0c", a->records[0].r.text.n), 0);
}
END_TEST

START_TEST(names_have_no_last_dot)
{
  const fake_result *a = ask(SMTPF_DNS_MX, "example");
  ck_assert_uint_eq(a->count, 2);
  ck_assert_uint_eq(a->records[0].r.preference, 20);
  ck_assert_str_eq(a->records[1].text, "a.example");
  ck_assert_str_eq(ask(SMTPF_DNS_PTR, "1.2.0.192.in-addr.arpa")->records[0].text, "host.example");
  ck_assert_str_eq(ask(SMTPF_DNS_NS, "example")->records[0].text, "ns.example");
  a = ask(SMTPF_DNS_MX, "null.example"); /* RFC 7505 */
  ck_assert_uint_eq(a->count, 1);
  ck_assert_uint_eq(a->records[0].r.text.n, 0);
}
END_TEST

START_TEST(aliases_are_followed)
{
  const fake_result *a = ask(SMTPF_DNS_A, "alias.example");
  ck_assert_uint_eq(a->count, 2);
  ck_assert_uint_eq(a->ttl, 30);
  a = ask(SMTPF_DNS_CNAME, "alias.example");
  ck_assert_uint_eq(a->count, 1);
  ck_assert_str_eq(a->records[0].text, "host.example");
  ck_assert_int_eq(status(SMTPF_DNS_PTR, "alias.example"), SMTPF_DNS_NODATA);
  a = ask(SMTPF_DNS_A, "dangling.example");
  ck_assert_int_eq(a->status, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(a->ttl, 30);
  ck_assert_int_eq(status(SMTPF_DNS_A, "loop1.example"), SMTPF_DNS_SERVFAIL);
  ck_assert_int_eq(status(SMTPF_DNS_A, "to.broken.example"), SMTPF_DNS_TIMEOUT);
}
END_TEST

START_TEST(what_is_not_there_is_told_apart)
{
  const fake_result *a = ask(SMTPF_DNS_A, "absent.example");
  ck_assert_int_eq(a->status, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(a->ttl, 60);
  ck_assert_uint_eq(a->count, 0);
  ck_assert_int_eq(status(SMTPF_DNS_MX, "host.example"), SMTPF_DNS_NODATA);
  ck_assert_int_eq(status(SMTPF_DNS_A, "down.example"), SMTPF_DNS_NODATA);      /* only below it */
  ck_assert_int_eq(status(SMTPF_DNS_A, "deep.down.example"), SMTPF_DNS_NODATA); /* only below it */
  ck_assert_int_eq(status(SMTPF_DNS_A, "eep.down.example"), SMTPF_DNS_NXDOMAIN);
  ck_assert_int_eq(status(99, "host.example"), SMTPF_DNS_NODATA);
}
END_TEST

START_TEST(a_status_is_as_given)
{
  ck_assert_int_eq(status(SMTPF_DNS_A, "gone.example"), SMTPF_DNS_NXDOMAIN);
  ck_assert_int_eq(status(SMTPF_DNS_A, "slow.example"), SMTPF_DNS_TIMEOUT);
  ck_assert_int_eq(status(SMTPF_DNS_MX, "slow.example"), SMTPF_DNS_OK);
  ck_assert_int_eq(status(SMTPF_DNS_TXT, "slow.example"), SMTPF_DNS_NODATA);
  ck_assert_int_eq(status(SMTPF_DNS_A, "broken.example"), SMTPF_DNS_SERVFAIL);
  ck_assert_uint_eq(ask(SMTPF_DNS_A, "broken.example")->ttl, 7);
  ck_assert_int_eq(status(SMTPF_DNS_TXT, "broken.example"), SMTPF_DNS_OK);
  ck_assert_int_eq(status(SMTPF_DNS_TXT, "nothing.example"), SMTPF_DNS_NODATA);
}
END_TEST

START_TEST(wildcards_follow_rfc_4592)
{
  expect_ip(&ask(SMTPF_DNS_A, "x.wild.example")->records[0].r, "192.0.2.4");
  expect_ip(&ask(SMTPF_DNS_A, "x.y.wild.example")->records[0].r, "192.0.2.4");
  expect_ip(&ask(SMTPF_DNS_A, "fixed.wild.example")->records[0].r, "192.0.2.5");
  ck_assert_int_eq(status(SMTPF_DNS_A, "x.fixed.wild.example"), SMTPF_DNS_NXDOMAIN);
  ck_assert_int_eq(status(SMTPF_DNS_A, "wild.example"), SMTPF_DNS_NODATA);
  ck_assert_int_eq(status(SMTPF_DNS_MX, "x.wild.example"), SMTPF_DNS_NODATA);
}
END_TEST

START_TEST(the_last_line_needs_no_newline)
{
  ck_assert_int_eq(status(SMTPF_DNS_A, "last.example"), SMTPF_DNS_OK);
}
END_TEST

START_TEST(illegal_names_are_not_asked)
{
  static const char *const bad[] = {"",
                                    ".",
                                    "a..b",
                                    ".a",
                                    "a b",
                                    "a\\b",
                                    "a\tb",
                                    "\xc3\xa4.example",
                                    "1234567890123456789012345678901234567890123456789012345678901234.example"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, bad[i]), SMTPF_EINVAL);
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, NULL), SMTPF_EINVAL);
  char name[256];
  memset(name, 'a', sizeof name);
  for (size_t i = 1; i < sizeof name; i += 2)
    name[i] = '.';
  name[254] = '\0'; /* 253 and the last dot */
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, name), SMTPF_OK);
  name[253] = 'a'; /* 254 */
  ck_assert_int_eq(port->query(self, 1, SMTPF_DNS_A, name), SMTPF_EINVAL);
  ck_assert_int_eq(port->start(NULL, driver, &self), SMTPF_EINVAL);
}
END_TEST

static const char *const faults[] = {
    "host",
    "host A",
    "host 300",
    "host 300 IN",
    "host 99999999999 A 192.0.2.1",
    "host BOGUS x",
    "host A 192.0.2.256",
    "host A 192.0.2.1 192.0.2.2",
    "host A 2001:db8::1",
    "host AAAA 192.0.2.1",
    "host A [192.0.2.1]",
    "host AAAA IPv6:2001:db8::1",
    "host MX mail.example",
    "host MX 65536 mail.example",
    "host MX 10",
    "host MX 10 a b",
    "host CNAME .",
    "host CNAME a\nhost CNAME b",
    "host CNAME \"a\"",
    "host NXDOMAIN A",
    "host A NXDOMAIN x",
    "host A TIMEOUT\nhost A 192.0.2.1",
    "host A 192.0.2.1\nhost A NODATA",
    "host TIMEOUT\nhost SERVFAIL",
    "host TXT \"open",
    "host TXT \"a\\",
    "host TXT \"\\999\"",
    "host TXT \"\\1\"",
    "host TXT a\"b\"",
    "host TXT \"a\"b",
    "\"host\" A 192.0.2.1",
    "ho\\st A 192.0.2.1",
    "a..b A 192.0.2.1",
    "$ORIGIN example.",
    "@ A 192.0.2.1 x",
};

START_TEST(faults_name_their_line)
{
  char room[256];
  smtpf_zone *bad = zone;
  size_t line = 0, expected = 3;
  for (const char *p = faults[_i]; *p; p++)
    expected += *p == '\n';
  snprintf(room, sizeof room, "; one\nfine A 192.0.2.1\n%s\nlater A 192.0.2.1\n", faults[_i]);
  ck_assert_int_eq(smtpf_zone_new(&bad, smtpf_str_of(room), NULL, &line), SMTPF_EPARSE);
  ck_assert_uint_eq(line, expected);
  ck_assert_ptr_eq(bad, zone); /* untouched */
}
END_TEST

START_TEST(an_empty_text_is_an_empty_zone)
{
  smtpf_zone *none;
  ck_assert_int_eq(smtpf_zone_new(&none, (smtpf_str){NULL, 0}, NULL, NULL), SMTPF_OK);
  smtpf_zone_free(none);
  ck_assert_int_eq(smtpf_zone_new(&none, smtpf_str_of(""), NULL, NULL), SMTPF_OK);
  smtpf_zone_free(none);
  smtpf_zone_free(NULL);
}
END_TEST

static void *ask_often(void *user)
{
  for (int i = 0; i < 2000; i++) {
    smtpf_dns_answer a = {.size = 0};
    smtpf_zone_ask(user, SMTPF_DNS_A, SMTPF_LIT("alias.example"), &a);
    if (a.status != SMTPF_DNS_OK || a.count != 2)
      return user;
    smtpf_zone_ask(user, SMTPF_DNS_A, SMTPF_LIT("x.y.wild.example"), &a);
    if (a.status != SMTPF_DNS_OK || a.count != 1)
      return user;
  }
  return NULL;
}

START_TEST(threads_share_a_zone)
{
  enum { N = 4 };
  pthread_t threads[N];
  void *bad;
  for (int i = 0; i < N; i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, zone), 0);
  for (int i = 0; i < N; i++) {
    ck_assert_int_eq(pthread_join(threads[i], &bad), 0);
    ck_assert_ptr_null(bad);
  }
}
END_TEST

START_TEST(every_allocation_may_fail)
{
  size_t line = 0, failures = 0;
  smtpf_zone *other = NULL;
  long before = driver->allocations;
  for (long i = 1; !other; i++) {
    driver->fail_at = driver->allocations + i;
    int r = smtpf_zone_new(&other, (smtpf_str){text, sizeof text - 1}, &driver->mem, &line);
    ck_assert(r == SMTPF_OK || r == SMTPF_ENOMEM);
    failures += r == SMTPF_ENOMEM;
  }
  ck_assert_uint_gt(failures, 3);
  ck_assert_int_gt(driver->allocations, before);
  driver->fail_at = 0;
  smtpf_zone_free(other);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: zone");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, records_come_in_order_with_the_least_ttl);
  tcase_add_test(t, strings_are_joined);
  tcase_add_test(t, names_have_no_last_dot);
  tcase_add_test(t, aliases_are_followed);
  tcase_add_test(t, what_is_not_there_is_told_apart);
  tcase_add_test(t, a_status_is_as_given);
  tcase_add_test(t, wildcards_follow_rfc_4592);
  tcase_add_test(t, the_last_line_needs_no_newline);
  tcase_add_test(t, illegal_names_are_not_asked);
  tcase_add_loop_test(t, faults_name_their_line, 0, (int)(sizeof faults / sizeof *faults));
  tcase_add_test(t, an_empty_text_is_an_empty_zone);
  tcase_add_test(t, threads_share_a_zone);
  tcase_add_test(t, every_allocation_may_fail);
  suite_add_tcase(s, t);
  return port_run(s);
}
