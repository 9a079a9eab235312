/* SPDX-License-Identifier: MIT */
#include "fake_check.h"

#include <stdio.h>
#include <string.h>

#define REVERSE "25.2.0.192.in-addr.arpa"

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
}

static void connect_from(const char *client)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_iprev, NULL), SMTPF_OK);
  fake_client(&t, client);
  fake_run(&t, SMTPF_CONNECT);
}

START_TEST(passes)
{
  connect_from("192.0.2.25");
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "mail.example.org");
  FAKE_DNS(&t, SMTPF_DNS_A, "mail.example.org", "198.51.100.7", "192.0.2.25");
  ck_only(&t, SMTPF_CLEAR, "pass");
  ck_assert_str_eq(t.findings[0].detail, "mail.example.org");
  ck_assert_str_eq(t.facts[0].name, "iprev.name");
  ck_assert_str_eq(t.facts[0].value, "mail.example.org");
  ck_assert_int_eq(t.facts[0].connection, 1);
  fake_close(&t);
}
END_TEST

START_TEST(passes_ipv6)
{
  connect_from("2001:db8::1");
  FAKE_DNS(&t, SMTPF_DNS_PTR, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
           "mail.example.org");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 0);
  FAKE_DNS(&t, SMTPF_DNS_AAAA, "mail.example.org", "2001:db8::1");
  ck_only(&t, SMTPF_CLEAR, "pass");
  fake_close(&t);
}
END_TEST

/* The first name of the answer that agrees is kept, not the first that arrives. */
START_TEST(first_name_in_order)
{
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "a.example", "b.example", "c.example");
  FAKE_DNS(&t, SMTPF_DNS_A, "c.example", "192.0.2.25");
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_dns_fails(&t, SMTPF_DNS_A, "a.example", SMTPF_DNS_SERVFAIL);
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  FAKE_DNS(&t, SMTPF_DNS_A, "b.example", "192.0.2.25");
  ck_only(&t, SMTPF_CLEAR, "pass");
  ck_assert_str_eq(t.facts[0].value, "b.example");
  fake_close(&t);
}
END_TEST

/* The first name agrees: the others need not be waited for. */
START_TEST(no_waiting)
{
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "a.example", "b.example");
  FAKE_DNS(&t, SMTPF_DNS_A, "a.example", "192.0.2.25");
  ck_only(&t, SMTPF_CLEAR, "pass");
  fake_close(&t);
}
END_TEST

START_TEST(fails)
{
  fake_set("iprev.score_fail", "1.5");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "a.example", "b.example");
  FAKE_DNS(&t, SMTPF_DNS_A, "a.example", "192.0.2.26");
  fake_dns_fails(&t, SMTPF_DNS_A, "b.example", _i ? SMTPF_DNS_NODATA : SMTPF_DNS_NXDOMAIN);
  ck_only(&t, SMTPF_HIT, "fail");
  ck_assert_int_eq(t.findings[0].score, 1500);
  ck_assert_uint_eq(t.findings[0].flags, 0); /* never a refusal by itself */
  ck_assert_str_eq(t.findings[0].detail, "a.example");
  ck_assert_uint_eq(t.n_facts, 0);
  fake_close(&t);
}
END_TEST

START_TEST(permerror)
{
  fake_set("iprev.score_permerror", "0.5");
  connect_from("192.0.2.25");
  fake_dns_fails(&t, SMTPF_DNS_PTR, REVERSE, _i ? SMTPF_DNS_NODATA : SMTPF_DNS_NXDOMAIN);
  ck_only(&t, SMTPF_HIT, "permerror");
  ck_assert_int_eq(t.findings[0].score, 500);
  ck_assert_uint_eq(t.findings[0].flags, 0);
  fake_close(&t);
}
END_TEST

START_TEST(temperror)
{
  static const int status[] = {SMTPF_DNS_SERVFAIL, SMTPF_DNS_TIMEOUT, 99};

  fake_set("iprev.score_fail", "5");
  connect_from("192.0.2.25");
  fake_dns_fails(&t, SMTPF_DNS_PTR, REVERSE, status[_i]);
  ck_only(&t, SMTPF_UNKNOWN, "temperror");
  /* one name that fails for now leaves it open, whatever the others say */
  fake_run(&t, SMTPF_CONNECT);
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "a.example", "b.example");
  fake_dns_fails(&t, SMTPF_DNS_A, "a.example", status[_i]);
  FAKE_DNS(&t, SMTPF_DNS_A, "b.example", "192.0.2.26");
  ck_only(&t, SMTPF_UNKNOWN, "temperror");
  /* an answer without a name is no answer */
  fake_run(&t, SMTPF_CONNECT);
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "");
  ck_only(&t, SMTPF_UNKNOWN, "temperror");
  fake_close(&t);
}
END_TEST

START_TEST(bounded)
{
  const char *names[64];
  char room[64][20];

  for (size_t i = 0; i < 64; i++) {
    snprintf(room[i], sizeof room[i], "n%zu.example", i);
    names[i] = room[i];
  }
  connect_from("192.0.2.25");
  fake_dns(&t, SMTPF_DNS_PTR, REVERSE, SMTPF_DNS_OK, names, 64);
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 10);
  for (size_t i = 0; i < 10; i++)
    fake_dns_fails(&t, SMTPF_DNS_A, names[i], SMTPF_DNS_NXDOMAIN);
  ck_only(&t, SMTPF_HIT, "fail");
  fake_close(&t);
}
END_TEST

/* Names that are none are not looked up. */
START_TEST(bad_names)
{
  static const char *const names[] = {"192.0.2.25", "-x.example", "[192.0.2.25]", "a b.example"};

  connect_from("192.0.2.25");
  fake_dns(&t, SMTPF_DNS_PTR, REVERSE, SMTPF_DNS_OK, names, 4);
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 0);
  ck_only(&t, SMTPF_HIT, "fail");
  ck_assert_int_eq(t.findings[0].score, 0); /* as it comes: a data point */
  ck_assert_str_eq(t.findings[0].text, "");
  fake_close(&t);
}
END_TEST

/* Names that cannot be asked for are unknown, not against the client. */
START_TEST(too_many)
{
  connect_from("192.0.2.25");
  t.asked_max = 2;
  FAKE_DNS(&t, SMTPF_DNS_PTR, REVERSE, "a.example", "b.example");
  FAKE_DNS(&t, SMTPF_DNS_A, "a.example", "192.0.2.26");
  ck_only(&t, SMTPF_UNKNOWN, "temperror");
  fake_close(&t);
}
END_TEST

START_TEST(given_by_host)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_iprev, NULL), SMTPF_OK);
  fake_client(&t, "192.0.2.25");
  t.ev.rdns = SMTPF_LIT("mail.example.org");
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "pass");
  ck_assert_uint_eq(t.asked, 0);
  ck_assert_str_eq(t.facts[0].value, "mail.example.org");
  fake_close(&t);
}
END_TEST

START_TEST(exempt)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_iprev, NULL), SMTPF_OK);
  fake_run(&t, SMTPF_CONNECT); /* the host does not know the address */
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_client(&t, "192.0.2.25");
  t.ev.own = 1;
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_close(&t);
  fake_set("iprev.enable", "false");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_iprev, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

Suite *iprev_suite(void)
{
  Suite *s = suite_create("check_iprev");
  TCase *c = tcase_create("iprev");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, passes);
  tcase_add_test(c, passes_ipv6);
  tcase_add_test(c, first_name_in_order);
  tcase_add_test(c, no_waiting);
  tcase_add_loop_test(c, fails, 0, 2);
  tcase_add_loop_test(c, permerror, 0, 2);
  tcase_add_loop_test(c, temperror, 0, 3);
  tcase_add_test(c, bounded);
  tcase_add_test(c, bad_names);
  tcase_add_test(c, too_many);
  tcase_add_test(c, given_by_host);
  tcase_add_test(c, exempt);
  suite_add_tcase(s, c);
  return s;
}
