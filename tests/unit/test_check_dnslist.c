/* SPDX-License-Identifier: MIT */
#include "fake_check.h"

#include <stdio.h>
#include <string.h>

#define ZEN "25.2.0.192.zen.example"
#define BL "25.2.0.192.bl.example"
#define WL "25.2.0.192.wl.example"

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
}

static void connect_from(const char *client)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(fake_open(&t, &smtpf_check_dnslist, &err) == SMTPF_OK, "%s", err.text);
  fake_client(&t, client);
  fake_run(&t, SMTPF_CONNECT);
}

/* The policy of the manual's example. */
static void zen(void)
{
  fake_set("dnslists[zen.example].codes[127.0.0.2].score", "10");
  fake_set("dnslists[zen.example].codes[127.0.0.2].as", "known spammer");
  fake_set("dnslists[zen.example].codes[127.0.0.4-7].score", "8");
  fake_set("dnslists[zen.example].codes[127.0.0.4-7].as", "compromised host");
  fake_set("dnslists[zen.example].codes[127.0.0.10-11].score", "6");
  fake_set("dnslists[zen.example].codes[127.0.0.10-11].as", "residential range");
}

START_TEST(listed_with_text)
{
  zen();
  connect_from("192.0.2.25");
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_TXT, NULL), 0); /* only after an answer that counts */
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  FAKE_DNS(&t, SMTPF_DNS_TXT, ZEN, "https://zen.example/q");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 10000);
  ck_assert_uint_eq(t.findings[0].flags, 0);
  ck_assert_str_eq(t.findings[0].detail, "zen.example 127.0.0.2");
  ck_assert_str_eq(t.findings[0].text, "192.0.2.25 is listed by zen.example as known spammer: https://zen.example/q");
  fake_close(&t);
}
END_TEST

/* What was answered, what it is worth (-1: not listed). */
static const struct {
  const char *answers[4];
  int score;
} answers[] = {
    {{"127.0.0.2"}, 10},
    {{"127.0.0.3"}, -1},
    {{"127.0.0.4"}, 8},
    {{"127.0.0.7"}, 8},
    {{"127.0.0.8"}, -1},
    {{"127.0.0.9"}, -1},
    {{"127.0.0.10"}, 6},
    {{"127.0.0.11"}, 6},
    {{"127.0.0.12"}, -1},
    {{"127.0.1.2"}, -1},
    {{"127.0.0.4", "127.0.0.5", "127.0.0.6"}, 8}, /* one code, once */
    {{"127.0.0.11", "127.0.0.2"}, 16},            /* two codes add up */
    {{"127.0.0.2", "127.0.0.4", "127.0.0.10", "127.0.0.3"}, 24},
};

START_TEST(codes)
{
  const char *const *a = answers[_i].answers;
  size_t n = 0;

  while (n < 4 && a[n])
    n++;
  zen();
  fake_set("dnslists[zen.example].txt", "false");
  connect_from("192.0.2.25");
  fake_dns(&t, SMTPF_DNS_A, ZEN, SMTPF_DNS_OK, a, n);
  ck_only(&t, answers[_i].score < 0 ? SMTPF_CLEAR : SMTPF_HIT, answers[_i].score < 0 ? "not-listed" : "listed");
  ck_assert_int_eq(t.findings[0].score, answers[_i].score < 0 ? 0 : answers[_i].score * 1000);
  ck_assert_ptr_nonnull(strstr(t.findings[0].detail, a[0]));
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_TXT, NULL), 0);
  fake_close(&t);
}
END_TEST

/* Overlapping codes: the one farthest from zero takes the answer; `off` is as if it were not there. */
START_TEST(overlapping_codes)
{
  fake_set("dnslists[zen.example].txt", "false");
  fake_set("dnslists[zen.example].codes[127.0.0.0/8].score", "1");
  fake_set("dnslists[zen.example].codes[127.0.0.2-9].score", "-3");
  fake_set("dnslists[zen.example].codes[127.0.0.5].score", "off");
  fake_set("dnslists[zen.example].codes[127.0.0.6].score", "2");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.6", "127.0.0.5", "127.0.9.9");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, -2000);
  ck_assert_str_eq(t.findings[0].text, "");
  fake_close(&t);
}
END_TEST

/* Of two codes that weigh the same, the first in the policy names the answer; so with two answers. */
START_TEST(equal_codes)
{
  zen();
  fake_set("dnslists[zen.example].codes[127.0.0.0/24].score", "10");
  fake_set("dnslists[zen.example].codes[127.0.0.0/24].as", "something");
  fake_set("dnslists[zen.example].text", "x");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2", "127.0.0.20");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 20000);
  ck_assert_str_eq(t.findings[0].text, "192.0.2.25 is listed by zen.example as known spammer: x");
  fake_close(&t);
}
END_TEST

/* The sum stays a score. */
START_TEST(great_scores)
{
  fake_set("dnslists[zen.example].codes[127.0.0.2].score", "1000000");
  fake_set("dnslists[zen.example].codes[127.0.0.3].score", "1000000");
  fake_set("dnslists[zen.example].codes[127.0.0.4].score", "1000000");
  fake_set("dnslists[zen.example].txt", "false");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2", "127.0.0.3", "127.0.0.4");
  ck_assert_int_eq(t.findings[0].score, SMTPF_SCORE_OFF - 1);
  fake_close(&t);
}
END_TEST

/* Worth nothing: noted, and the client is told nothing. */
START_TEST(zero_score)
{
  fake_set("dnslists[zen.example].score", "0");
  fake_set("dnslists[zen.example].as", "zen");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_str_eq(t.findings[0].text, "");
  fake_close(&t);
}
END_TEST

/* What is no address record does not count, nor spoil the others. */
START_TEST(strange_records)
{
  fake_set("dnslists[zen.example].score", "1");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "::1", "127.0.0.2");
  fake_dns_fails(&t, SMTPF_DNS_TXT, ZEN, SMTPF_DNS_OK); /* without a record */
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_str_eq(t.findings[0].detail, "zen.example 127.0.0.2");
  ck_assert_str_eq(t.findings[0].text, "192.0.2.25 is listed by zen.example");
  fake_close(&t);
}
END_TEST

START_TEST(zone_with_dot)
{
  fake_set("dnslists[zen.example.].score", "1");
  connect_from("192.0.2.25");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, ZEN), 1);
  fake_close(&t);
}
END_TEST

/* A list whose only code is off asks for nothing, hence lists nobody. */
START_TEST(all_codes_off)
{
  fake_set("dnslists[zen.example].codes[127.0.0.2].score", "off");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  ck_only(&t, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
}
END_TEST

START_TEST(without_codes)
{
  fake_set("dnslists[zen.example].score", "7");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.77.0.1", "127.0.0.3");
  fake_dns_fails(&t, SMTPF_DNS_TXT, ZEN, SMTPF_DNS_SERVFAIL);
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 7000);
  ck_assert_str_eq(t.findings[0].text, "192.0.2.25 is listed by zen.example");
  ck_assert_str_eq(t.findings[0].detail, "zen.example 127.77.0.1 127.0.0.3");
  fake_close(&t);
}
END_TEST

/* Never listed: what public lists say when they refuse to answer, what dead zones and lying resolvers say. */
static const char *const bad[][3] = {
    {"127.255.255.254"},
    {"127.255.255.252"},
    {"127.255.255.255"},
    {"127.255.255.0"},
    {"192.0.2.1"},
    {"0.0.0.0"},
    {"126.255.255.255"},
    {"128.0.0.0"},
    {"127.0.0.2", "198.51.100.7"},
    {"127.255.255.254", "127.0.0.2"},
};

START_TEST(bad_answers)
{
  size_t n = 0;

  while (bad[_i][n])
    n++;
  fake_set("dnslists[zen.example].score", "7");
  fake_set("dnslists[bl.example].codes[127.0.0.0/9].score", "7");
  connect_from("192.0.2.25");
  fake_dns(&t, SMTPF_DNS_A, ZEN, SMTPF_DNS_OK, bad[_i], n);
  fake_dns(&t, SMTPF_DNS_A, BL, SMTPF_DNS_OK, bad[_i], n);
  ck_assert_uint_eq(t.n, 2);
  ck_finding(&t, 0, SMTPF_UNKNOWN, "bad-answer");
  ck_finding(&t, 1, SMTPF_UNKNOWN, "bad-answer");
  ck_assert_int_eq(t.status, SMTPF_OK);
  fake_close(&t);
}
END_TEST

static const struct {
  int status, kind;
  const char *code;
} failures[] = {
    {SMTPF_DNS_NXDOMAIN, SMTPF_CLEAR, "not-listed"},
    {SMTPF_DNS_NODATA, SMTPF_CLEAR, "not-listed"},
    {SMTPF_DNS_SERVFAIL, SMTPF_UNKNOWN, "servfail"},
    {SMTPF_DNS_TIMEOUT, SMTPF_UNKNOWN, "timeout"},
    {99, SMTPF_UNKNOWN, "servfail"},
    {SMTPF_DNS_OK, SMTPF_UNKNOWN, "bad-answer"}, /* without a record */
};

START_TEST(no_answers)
{
  zen();
  connect_from("192.0.2.25");
  fake_dns_fails(&t, SMTPF_DNS_A, ZEN, failures[_i].status);
  ck_only(&t, failures[_i].kind, failures[_i].code);
  ck_assert_ptr_nonnull(strstr(t.findings[0].detail, "zen.example"));
  fake_close(&t);
}
END_TEST

/* All are asked at once; findings come in the policy's order, whatever order the answers have. */
START_TEST(several_lists)
{
  fake_set("dnslists[zen.example].score", "7");
  fake_set("dnslists[zen.example].txt", "false");
  fake_set("dnslists[bl.example].score", "3");
  fake_set("dnslists[bl.example].text", "see https://bl.example/");
  fake_set("dnslists[wl.example].score", "-4");
  connect_from("192.0.2.25");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 3);
  FAKE_DNS(&t, SMTPF_DNS_A, WL, "127.0.10.3");
  ck_assert_uint_eq(t.n, 0);
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  ck_assert_uint_eq(t.n, 1);
  FAKE_DNS(&t, SMTPF_DNS_A, BL, "127.0.0.2");
  ck_assert_int_eq(t.status, SMTPF_OK);
  ck_assert_uint_eq(t.n, 3);
  ck_assert_str_eq(t.findings[0].detail, "zen.example 127.0.0.2");
  ck_assert_str_eq(t.findings[1].detail, "bl.example 127.0.0.2");
  ck_assert_str_eq(t.findings[1].text, "192.0.2.25 is listed by bl.example: see https://bl.example/");
  ck_assert_str_eq(t.findings[2].detail, "wl.example 127.0.10.3");
  ck_assert_int_eq(t.findings[2].score, -4000);
  ck_assert_str_eq(t.findings[2].text, "");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_TXT, NULL), 0); /* each of them has a reason not to ask */
  fake_close(&t);
}
END_TEST

START_TEST(deadlines)
{
  fake_set("dnslists[zen.example].timeout", "2s");
  fake_set("dnslists[bl.example].timeout", "3s");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  fake_timer(&t, 2000); /* waits for the text only: listed all the same */
  fake_timer(&t, 3000);
  ck_assert_int_eq(t.status, SMTPF_OK);
  ck_finding(&t, 0, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 5000);
  ck_finding(&t, 1, SMTPF_UNKNOWN, "timeout");
  ck_assert_uint_eq(t.n, 2);
  fake_close(&t);
}
END_TEST

/* What comes after a list's deadline changes nothing. */
START_TEST(late_answers)
{
  fake_set("dnslists[zen.example].timeout", "2s");
  fake_set("dnslists[bl.example].timeout", "3s");
  connect_from("192.0.2.25");
  fake_timer(&t, 2000);
  ck_assert_int_eq(FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2"), SMTPF_PENDING);
  fake_dns_fails(&t, SMTPF_DNS_A, BL, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(t.n, 2);
  ck_finding(&t, 0, SMTPF_UNKNOWN, "timeout");
  ck_finding(&t, 1, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
}
END_TEST

/* Nor does the deadline of a list that has answered. */
START_TEST(early_answers)
{
  fake_set("dnslists[zen.example].timeout", "3s");
  fake_set("dnslists[bl.example].timeout", "2s");
  connect_from("192.0.2.25");
  fake_dns_fails(&t, SMTPF_DNS_A, BL, SMTPF_DNS_NXDOMAIN);
  ck_assert_int_eq(fake_timer(&t, 2000), SMTPF_PENDING);
  fake_dns_fails(&t, SMTPF_DNS_A, ZEN, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(t.n, 2);
  ck_finding(&t, 1, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
}
END_TEST

START_TEST(hidden_zone)
{
  static const char *const txts[] = {"see https://zen.example/q", "Zone KEY123.zen.example says no",
                                     "see KEY123.zen.example"};

  fake_set("dnslists[key123.zen.example].as", "zen");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, "25.2.0.192.key123.zen.example", "127.0.0.2");
  FAKE_DNS(&t, SMTPF_DNS_TXT, "25.2.0.192.key123.zen.example", txts[_i]);
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_str_eq(t.findings[0].text,
                   _i ? "192.0.2.25 is listed by zen" : "192.0.2.25 is listed by zen: see https://zen.example/q");
  ck_assert_str_eq(t.findings[0].detail, "key123.zen.example 127.0.0.2");
  fake_close(&t);
}
END_TEST

START_TEST(long_text)
{
  char txt[300];

  memset(txt, 'x', sizeof txt);
  txt[299] = '\0';
  fake_set("dnslists[zen.example].score", "1");
  connect_from("192.0.2.25");
  FAKE_DNS(&t, SMTPF_DNS_A, ZEN, "127.0.0.2");
  FAKE_DNS(&t, SMTPF_DNS_TXT, ZEN, txt);
  ck_assert_uint_eq(strlen(t.findings[0].text), strlen("192.0.2.25 is listed by zen.example: ") + 200);
  fake_close(&t);
}
END_TEST

START_TEST(many_records)
{
  const char *a[64];
  for (size_t i = 0; i < 64; i++)
    a[i] = "127.0.0.2";
  zen();
  fake_set("dnslists[zen.example].txt", "false");
  connect_from("192.0.2.25");
  fake_dns(&t, SMTPF_DNS_A, ZEN, SMTPF_DNS_OK, a, 64);
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 10000);
  fake_close(&t);
}
END_TEST

START_TEST(ipv6)
{
  fake_set("dnslists[zen.example].score", "5");
  fake_set("dnslists[bl.example].ipv6", "false");
  connect_from("2001:db8::1");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 1);
  fake_dns_fails(&t, SMTPF_DNS_A, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example",
                 SMTPF_DNS_NXDOMAIN);
  ck_only(&t, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
}
END_TEST

START_TEST(exempt)
{
  zen();
  connect_from("127.0.0.2"); /* looked up as any other */
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, "2.0.0.127.zen.example"), 1);
  t.ev.own = 1;
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  t.ev.own = 0;
  t.client.family = 0;
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_close(&t);
}
END_TEST

/* More lists than may be asked at once: the rest is unknown, not clear. */
START_TEST(too_many)
{
  fake_set("dnslists[zen.example].score", "5");
  fake_set("dnslists[bl.example].score", "5");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_dnslist, NULL), SMTPF_OK);
  fake_client(&t, "192.0.2.25");
  t.asked_max = 3;
  fake_run(&t, SMTPF_CONNECT);
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_dns_fails(&t, SMTPF_DNS_A, ZEN, SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(t.n, 2);
  ck_finding(&t, 0, SMTPF_CLEAR, "not-listed");
  ck_finding(&t, 1, SMTPF_UNKNOWN, "not-asked");
  ck_assert_ptr_nonnull(strstr(t.findings[1].detail, smtpf_strerror(SMTPF_ELIMIT)));
  fake_close(&t);
}
END_TEST

static const char *const good_matches[] = {"127.0.0.2",        "127.0.0.0-255", "127.0.0.10-11",
                                           "127.0.2.0/24",     "127.0.0.0/9",   "127.0.0.7-7",
                                           "127.255.254.0/23", "127.0.0.0/8",   "127.0.0.1-20"};
static const char *const bad_matches[] = {
    "",          "127",         "127.0.0",         "127.0.0.256",    "127.0.0.7-4",     "127.0.0.4-256",
    "127.0.0.-", "127.0.0.4-",  "127.0.0.4-x",     "127.0.0.4-0007", "127.0.0.4/32-7",  "127.0.0.0/24-7",
    "10.0.0.1",  "128.0.0.0/8", "0.0.0.0/0",       "126.0.0.0/7",    "127.255.255.254", "127.255.255.0/24",
    "::1",       "127.0.0.1/8", "127.255.255.0-1", "127.0.0.4 -7",   "127.0.0.[4..7]",  "127.255.255.254/31",
    "126.0.0.2", "127.0.0.02",  "7f00:2::",
};

START_TEST(matches_taken)
{
  char path[100];

  snprintf(path, sizeof path, "dnslists[zen.example].codes[%s].score", good_matches[_i]);
  fake_set(path, "5");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_dnslist, NULL), SMTPF_OK);
  fake_close(&t);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

START_TEST(matches_refused)
{
  smtpf_error err = {.size = sizeof err};
  char path[100];

  if (strchr(bad_matches[_i], ']')) /* the fake's paths cannot say it */
    return;
  snprintf(path, sizeof path, "dnslists[zen.example].codes[%s].score", bad_matches[_i]);
  fake_set(path, "5");
  ck_assert_msg(fake_open(&t, &smtpf_check_dnslist, &err) == SMTPF_EPARSE, "%s was taken", bad_matches[_i]);
  ck_assert_ptr_nonnull(strstr(err.text, "127.0.0.4-7"));
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

START_TEST(bad_zones)
{
  static const char *const zones[] = {"", "a..b", "127.0.0.1", "-a.example", "a b"};
  char path[400], label[201];
  smtpf_error err = {.size = sizeof err};

  for (size_t i = 0; i < 200; i++)
    label[i] = i % 50 == 49 ? '.' : 'a';
  label[190] = '\0';
  snprintf(path, sizeof path, "dnslists[%s].score", _i < 5 ? zones[_i] : label);
  fake_set(path, "5");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_dnslist, &err), SMTPF_EPARSE);
  ck_assert_ptr_nonnull(strstr(err.text, "zone"));
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* 189 bytes, behind 64 of an IPv6 address, are the 253 of a domain name. */
START_TEST(long_zone)
{
  char path[400], label[190];

  for (size_t i = 0; i < 189; i++)
    label[i] = i % 50 == 49 ? '.' : 'a';
  label[189] = '\0';
  snprintf(path, sizeof path, "dnslists[%s].score", label);
  fake_set(path, "5");
  connect_from("2001:db8::1");
  ck_assert_int_eq(fake_asked(&t, SMTPF_DNS_A, NULL), 1);
  fake_close(&t);
}
END_TEST

START_TEST(idle)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_dnslist, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

Suite *dnslist_suite(void)
{
  Suite *s = suite_create("check_dnslist");
  TCase *c = tcase_create("dnslist");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, listed_with_text);
  tcase_add_loop_test(c, codes, 0, COUNT(answers));
  tcase_add_test(c, overlapping_codes);
  tcase_add_test(c, equal_codes);
  tcase_add_test(c, great_scores);
  tcase_add_test(c, zero_score);
  tcase_add_test(c, strange_records);
  tcase_add_test(c, zone_with_dot);
  tcase_add_test(c, all_codes_off);
  tcase_add_test(c, without_codes);
  tcase_add_loop_test(c, bad_answers, 0, COUNT(bad));
  tcase_add_loop_test(c, no_answers, 0, COUNT(failures));
  tcase_add_test(c, several_lists);
  tcase_add_test(c, deadlines);
  tcase_add_test(c, late_answers);
  tcase_add_test(c, early_answers);
  tcase_add_loop_test(c, hidden_zone, 0, 3);
  tcase_add_test(c, long_text);
  tcase_add_test(c, many_records);
  tcase_add_test(c, ipv6);
  tcase_add_test(c, exempt);
  tcase_add_test(c, too_many);
  tcase_add_loop_test(c, matches_taken, 0, COUNT(good_matches));
  tcase_add_loop_test(c, matches_refused, 0, COUNT(bad_matches));
  tcase_add_loop_test(c, bad_zones, 0, 6);
  tcase_add_test(c, long_zone);
  tcase_add_test(c, idle);
  suite_add_tcase(s, c);
  return s;
}
