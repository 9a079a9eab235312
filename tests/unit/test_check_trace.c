/* SPDX-License-Identifier: MIT
 *
 * What is asked at the end of a message about the way it came: lists about its sources, loops, forwarders that leak.
 */
#include "fake_check.h"

#include <stdio.h>
#include <string.h>

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
  fake_set("forwarders", "near");
}

static void open_check(const smtpf_check *check)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(fake_open(&t, check, &err) == SMTPF_OK, "%s", err.text);
  fake_client(&t, "198.51.100.80");
  t.ev.wall_s = 1000000;
}

/* ---- sources ------------------------------------------------------------------------------------------ */

START_TEST(each_source_is_asked_about_once)
{
  fake_set("dnslists[a.example].score", "3");
  fake_set("dnslists[a.example].txt", "false");
  fake_set("dnslists[b.example].score", "4");
  fake_set("dnslists[b.example].txt", "false");
  open_check(&smtpf_check_dnslist);
  t.ev.recipients = 4;
  t.sources[0] = t.sources[2] = "203.0.113.1";
  t.sources[1] = "2001:db8::1"; /* the fourth sees none */
  fake_run(&t, SMTPF_EOM);
  ck_assert_uint_eq(t.asked, 8); /* two lists, two sources, each a question and a timer */
  FAKE_DNS(&t, SMTPF_DNS_A, "1.113.0.203.b.example", "127.0.0.2");
  FAKE_DNS(&t, SMTPF_DNS_A, "1.113.0.203.a.example", "127.0.0.2");
  ck_assert_uint_eq(t.n, 2);
  fake_dns_fails(&t, SMTPF_DNS_A, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.a.example",
                 SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(t.n, 5);
  fake_dns_fails(&t, SMTPF_DNS_A, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.b.example",
                 SMTPF_DNS_SERVFAIL);
  ck_assert_int_eq(t.status, SMTPF_OK);
  const struct {
    int kind;
    size_t recipient;
    int32_t score;
  } are[] = {{SMTPF_HIT, 1, 3000}, {SMTPF_HIT, 3, 3000}, {SMTPF_CLEAR, 2, 0},
             {SMTPF_HIT, 1, 4000}, {SMTPF_HIT, 3, 4000}, {SMTPF_UNKNOWN, 2, 0}};
  ck_assert_uint_eq(t.n, sizeof are / sizeof *are);
  for (size_t i = 0; i < t.n; i++)
    ck_assert_msg(t.findings[i].kind == are[i].kind && t.findings[i].recipient == are[i].recipient &&
                      t.findings[i].score == are[i].score,
                  "finding %zu", i);
  ck_assert_str_eq(t.findings[0].detail, "a.example 127.0.0.2 source 203.0.113.1 behind 198.51.100.80");
  ck_assert_str_eq(t.findings[0].text, "203.0.113.1 is listed by a.example");
  fake_close(&t);
}
END_TEST

START_TEST(one_source_for_all_is_said_once)
{
  fake_set("dnslists[a.example].codes[127.0.0.3].score", "3");
  fake_set("dnslists[a.example].codes[127.0.0.3].open_relay", "true");
  fake_set("dnslists[a.example].txt", "false");
  open_check(&smtpf_check_dnslist);
  t.ev.recipients = 2;
  t.sources[0] = t.sources[1] = "203.0.113.1";
  fake_run(&t, SMTPF_EOM);
  FAKE_DNS(&t, SMTPF_DNS_A, "1.113.0.203.a.example", "127.0.0.3");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_uint_eq(t.findings[0].recipient, 0);
  ck_assert_uint_eq(t.findings[0].flags, 0); /* the source is no relay of ours: the client keeps its trust */
  fake_close(&t);
}
END_TEST

START_TEST(nobody_behind)
{
  fake_set("dnslists[a.example].score", "3");
  open_check(&smtpf_check_dnslist);
  t.ev.recipients = 2;
  fake_run(&t, SMTPF_EOM);
  ck_assert(t.status == SMTPF_OK && !t.n && !t.asked);
  fake_close(&t);
}
END_TEST

START_TEST(own_lists)
{
  fake_set("addrlists[a].entries", "203.0.113.0/24");
  fake_set("addrlists[a].refuse", "true");
  open_check(&smtpf_check_addrlist);
  t.ev.recipients = 2;
  t.sources[1] = "203.0.113.1";
  fake_run(&t, SMTPF_EOM);
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_uint_eq(t.findings[0].recipient, 2);
  ck_assert_uint_eq(t.findings[0].flags, 0); /* it refuses nothing */
  fake_close(&t);
}
END_TEST

/* ---- loops -------------------------------------------------------------------------------------------- */

START_TEST(loops)
{
  open_check(&smtpf_check_loop);
  t.ev.recipients = 2;
  t.recipients[0] = "a@example.net";
  t.recipients[1] = "b@example.net";
  t.trace = (smtpf_trace){.received = 100, .own = 10};
  fake_run(&t, SMTPF_EOM);
  ck_assert(t.status == SMTPF_OK && !t.n);
  t.delivered[1] = 1;
  fake_run(&t, SMTPF_EOM);
  ck_only(&t, SMTPF_HIT, "was-here");
  ck_assert(t.findings[0].recipient == 2 && (t.findings[0].flags & SMTPF_FINDING_ROUTE));
  ck_assert(!(t.findings[0].flags & SMTPF_FINDING_REFUSE));
  t.trace.own = 11;
  fake_run(&t, SMTPF_EOM);
  ck_only(&t, SMTPF_HIT, "own");
  t.trace.received = 101;
  fake_run(&t, SMTPF_EOM);
  ck_only(&t, SMTPF_HIT, "received");
  ck_assert_int_eq(t.findings[0].reply, 554);
  ck_assert_str_eq(t.findings[0].enhanced, "5.4.6");
  fake_close(&t);
}
END_TEST

/* ---- forwarders --------------------------------------------------------------------------------------- */

enum { NOW, BEFORE, TOLD, WRITTEN };

/* Messages and hits as the record of a window has them. */
static smtpf_str record(uint32_t messages, uint32_t hits)
{
  static char room[4][8];
  static size_t next;
  char *p = room[next++ % 4];
  for (size_t i = 0; i < 4; i++) {
    p[i] = (char)(unsigned char)(messages >> (8 * i));
    p[i + 4] = (char)(unsigned char)(hits >> (8 * i));
  }
  return (smtpf_str){p, 8};
}

static void store(uint32_t tag, smtpf_str value)
{
  fake_store(&t, tag, value.n ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, value);
}

static const smtpf_str none = {"", 0};

static void open_forwarder(int stage)
{
  fake_set("forwarder.least", "10");
  fake_set("forwarder.distrust", "true");
  open_check(&smtpf_check_forwarder);
  t.ev.recipients = 1;
  t.scopes[0] = "near";
  t.score = 4999;
  fake_run(&t, stage);
}

START_TEST(counts_and_tells_once)
{
  const struct {
    uint32_t messages, hits; /* before this one, which is a hit */
    int told, leaks;
  } rows[] = {{0, 0, 0, 0}, {8, 8, 0, 0},       {9, 1, 0, 0},     {9, 2, 0, 1},
              {9, 2, 1, 0}, {4999, 1000, 0, 1}, {4999, 999, 0, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    fresh();
    open_forwarder(SMTPF_EOM);
    t.score = 5000;
    fake_run(&t, SMTPF_EOM);
    store(NOW, rows[i].messages ? record(rows[i].messages, rows[i].hits) : none);
    store(BEFORE, none);
    store(TOLD, rows[i].told ? SMTPF_LIT("1") : none);
    ck_assert_int_eq(t.status, SMTPF_PENDING);
    ck_assert_int_eq(t.changes[0].op, SMTPF_CHANGE_ADD);
    ck_assert(memcmp(t.changes[0].value.p, record(1, 1).p, 8) == 0);
    fake_store(&t, WRITTEN, SMTPF_STORE_DONE, none);
    ck_assert_int_eq(t.status, SMTPF_OK);
    ck_assert_msg(t.n == (size_t)rows[i].leaks, "row %zu", i);
    if (t.n)
      ck_assert(t.findings[0].score == 0 && !t.findings[0].flags && strcmp(t.findings[0].code, "leaks") == 0);
    fake_close(&t);
  }
}
END_TEST

START_TEST(what_is_no_hit)
{
  open_forwarder(SMTPF_EOM);
  store(NOW, none);
  store(BEFORE, none);
  store(TOLD, none);
  ck_assert(memcmp(t.changes[0].value.p, record(1, 0).p, 8) == 0);
  fake_close(&t);
  open_forwarder(SMTPF_EOM);
  smtpf_task_fact_set(&t, "source.listed", SMTPF_LIT("203.0.113.1"), 0);
  fake_run(&t, SMTPF_EOM);
  store(TOLD, none);
  store(BEFORE, none);
  store(NOW, none);
  ck_assert(memcmp(t.changes[0].value.p, record(1, 1).p, 8) == 0);
  fake_close(&t);
}
END_TEST

START_TEST(trust_is_lost_by_either_window)
{
  const struct {
    smtpf_str now, before;
    int lost;
  } rows[] = {{none, none, 0},
              {none, record(10, 3), 1},
              {record(9, 0), record(10, 3), 1},
              {record(10, 2), record(10, 10), 0},
              {record(10, 3), none, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    open_forwarder(SMTPF_RCPT);
    store(NOW, rows[i].now);
    store(BEFORE, rows[i].before);
    ck_assert_int_eq(t.status, SMTPF_OK);
    ck_assert_msg(t.n == (size_t)rows[i].lost, "row %zu", i);
    ck_assert(!t.n || t.findings[0].flags == SMTPF_FINDING_OPEN_RELAY);
    fake_close(&t);
  }
}
END_TEST

START_TEST(a_store_that_fails_changes_nothing)
{
  for (uint32_t broken = NOW; broken <= BEFORE; broken++) {
    open_forwarder(SMTPF_RCPT);
    for (uint32_t tag = NOW; tag <= BEFORE; tag++)
      fake_store(&t, tag, tag == broken ? SMTPF_STORE_FAILED : SMTPF_STORE_FOUND, record(10, 10));
    ck_only(&t, SMTPF_UNKNOWN, "store");
    ck_assert_uint_eq(t.findings[0].flags, 0);
    fake_close(&t);
  }
  open_forwarder(SMTPF_EOM);
  store(NOW, none);
  store(BEFORE, none);
  store(TOLD, none);
  fake_store(&t, WRITTEN, SMTPF_STORE_FAILED, none);
  ck_only(&t, SMTPF_UNKNOWN, "store");
  fake_close(&t);
}
END_TEST

START_TEST(strangers_are_not_counted)
{
  open_forwarder(SMTPF_EOM);
  t.scopes[0] = NULL;
  fake_run(&t, SMTPF_EOM);
  ck_assert(t.status == SMTPF_OK && !t.asked && !t.n);
  fake_close(&t);
  fake_reset(); /* nobody trusts anybody */
  open_check(&smtpf_check_forwarder);
  ck_assert_ptr_null(t.self);
  fake_close(&t);
}
END_TEST

Suite *trace_suite(void)
{
  Suite *s = suite_create("check_trace");
  TCase *c = tcase_create("trace");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, each_source_is_asked_about_once);
  tcase_add_test(c, one_source_for_all_is_said_once);
  tcase_add_test(c, nobody_behind);
  tcase_add_test(c, own_lists);
  tcase_add_test(c, loops);
  tcase_add_test(c, counts_and_tells_once);
  tcase_add_test(c, what_is_no_hit);
  tcase_add_test(c, trust_is_lost_by_either_window);
  tcase_add_test(c, a_store_that_fails_changes_nothing);
  tcase_add_test(c, strangers_are_not_counted);
  suite_add_tcase(s, c);
  return s;
}
