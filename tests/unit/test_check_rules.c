/* SPDX-License-Identifier: MIT
 *
 * early_talk, helo, delay: how a client behaves.
 */
#include "fake_check.h"

#include <string.h>

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
}

static void open_check(const smtpf_check *c)
{
  ck_assert_int_eq(fake_open(&t, c, NULL), SMTPF_OK);
  fake_client(&t, "192.0.2.1");
  fake_local(&t, "198.51.100.1");
}

/* ---- early_talk ------------------------------------------------------------------------------------ */

START_TEST(early_in_turn)
{
  open_check(&smtpf_check_early_talk);
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "in-turn");
  fake_run(&t, SMTPF_HELO);
  ck_assert_uint_eq(t.n, 0);
  fake_close(&t);
}
END_TEST

START_TEST(early_once)
{
  fake_set("early_talk.delay", "3s");
  open_check(&smtpf_check_early_talk);
  fake_run(&t, SMTPF_CONNECT);
  t.ev.early_talk = 1;
  fake_run(&t, SMTPF_MAIL);
  ck_only(&t, SMTPF_HIT, "early");
  ck_assert_int_eq(t.findings[0].score, 5000);
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_CONNECTION);
  ck_assert_int_eq(t.delay_ms, 3000);
  ck_assert_int_eq(t.facts[0].connection, 1);
  ck_assert_str_eq(t.findings[0].detail, "spoke out of turn");
  fake_run(&t, SMTPF_RCPT);
  ck_assert_uint_eq(t.n, 0);
  ck_assert_int_eq(t.delay_ms, 3000);
  fake_close(&t);
}
END_TEST

START_TEST(early_refuses)
{
  fake_set("early_talk.refuse", "true");
  fake_set("early_talk.score", "-1.5");
  open_check(&smtpf_check_early_talk);
  t.ev.early_talk = 1;
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_HIT, "early");
  ck_assert_int_eq(t.findings[0].score, -1500);
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_REFUSE | SMTPF_FINDING_CONNECTION);
  ck_assert_int_eq(t.findings[0].reply, 554);
  ck_assert_str_eq(t.findings[0].detail, "spoke before the banner");
  ck_assert_str_eq(t.findings[0].enhanced, "5.5.1");
  fake_close(&t);
}
END_TEST

START_TEST(early_own)
{
  fake_set("early_talk.delay", "3s");
  open_check(&smtpf_check_early_talk);
  t.ev.early_talk = t.ev.own = 1;
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_run(&t, SMTPF_RCPT);
  ck_assert_uint_eq(t.n, 0);
  ck_assert_int_eq(t.delay_ms, 0);
  fake_close(&t);
}
END_TEST

/* ---- helo ------------------------------------------------------------------------------------------ */

static const struct {
  const char *helo, *code;
} helos[] = {
    {"mail.example.org", "host-name"},
    {"MAIL.Example.ORG.", "host-name"},
    {"my_host.example.org", "host-name"}, /* tolerated */
    {"xn--mller-kva.example", "host-name"},
    {"mx.example.net", "impersonation"},
    {"MX.EXAMPLE.NET", "impersonation"},
    {"example.net", "impersonation"},
    {"sub.example.net", "host-name"},
    {"198.51.100.1", "impersonation"}, /* the address it connected to */
    {"[198.51.100.1]", "impersonation"},
    {"192.0.2.1", "bare-address"},
    {"203.0.113.77", "bare-address"},
    {"2001:db8::1", "bare-address"},
    {"[192.0.2.1]", "literal"},
    {"[IPv6:2001:db8::1]", "literal"},
    {"-mail.example.org", "syntax"},
    {"mail-.example.org", "syntax"},
    {"mail..example.org", "syntax"},
    {"mail example.org", "syntax"},
    {"mail!example.org", "syntax"},
    {"m\xc3\xbcller.example", "syntax"},
    {"", "syntax"},
    {"[not-an-address]", "syntax"},
    {"mailserver", "unqualified"},
};

static void helo_policy(const char *act)
{
  static const char *const rules[] = {"helo.impersonation", "helo.bare_address", "helo.literal", "helo.syntax",
                                      "helo.unqualified"};
  for (size_t i = 0; act && i < sizeof rules / sizeof rules[0]; i++)
    fake_set(rules[i], act);
  fake_set("hostnames", "mx.example.net");
  fake_set("hostnames", "example.net");
}

static void say(const char *helo)
{
  t.ev.greeting = SMTPF_GREET_EHLO;
  t.ev.helo = smtpf_str_of(helo);
  fake_run(&t, SMTPF_HELO);
}

START_TEST(helo_refused)
{
  const int clear = !strcmp(helos[_i].code, "host-name");

  helo_policy("refuse");
  open_check(&smtpf_check_helo);
  say(helos[_i].helo);
  ck_only(&t, clear ? SMTPF_CLEAR : SMTPF_HIT, helos[_i].code);
  ck_assert_uint_eq(t.findings[0].flags, clear ? 0 : SMTPF_FINDING_REFUSE);
  if (!clear) {
    ck_assert_int_eq(t.findings[0].reply, 550);
    ck_assert_str_eq(t.findings[0].enhanced, "5.7.1");
    ck_assert_str_eq(t.findings[0].detail, helos[_i].helo);
  }
  fake_close(&t);
}
END_TEST

START_TEST(helo_scored)
{
  helo_policy("score");
  open_check(&smtpf_check_helo);
  say(helos[_i].helo);
  ck_assert_str_eq(t.findings[0].code, helos[_i].code);
  ck_assert_uint_eq(t.findings[0].flags, 0);
  ck_assert(strcmp(helos[_i].code, "host-name") == 0 || t.findings[0].score > 0);
  fake_close(&t);
}
END_TEST

START_TEST(helo_switched_off)
{
  helo_policy("off");
  open_check(&smtpf_check_helo);
  say(helos[_i].helo);
  ck_only(&t, SMTPF_CLEAR, "host-name");
  fake_close(&t);
}
END_TEST

START_TEST(helo_exempt)
{
  helo_policy("refuse");
  open_check(&smtpf_check_helo);
  t.ev.own = _i == 0;
  t.ev.protocol = _i == 0 ? SMTPF_SMTP : SMTPF_LMTP;
  say("mx.example.net");
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_close(&t);
}
END_TEST

/* As it comes: one label alone is let through, the rest refused; without an address of ours a literal is a literal. */
START_TEST(helo_defaults)
{
  helo_policy(NULL);
  open_check(&smtpf_check_helo);
  say("mailserver");
  ck_only(&t, SMTPF_CLEAR, "host-name");
  say("[192.0.2.1]");
  ck_only(&t, SMTPF_HIT, "literal");
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_REFUSE);
  t.local.family = 0;
  say("[198.51.100.1]");
  ck_only(&t, SMTPF_HIT, "literal");
  t.ev.local = NULL;
  say("198.51.100.1");
  ck_only(&t, SMTPF_HIT, "bare-address");
  fake_close(&t);
}
END_TEST

/* A rule that is off does not hide the next one: our own address is still a bare address. */
START_TEST(helo_next_rule)
{
  helo_policy(NULL);
  fake_set("helo.impersonation", "off");
  open_check(&smtpf_check_helo);
  say("198.51.100.1");
  ck_only(&t, SMTPF_HIT, "bare-address");
  fake_close(&t);
}
END_TEST

/* ---- delay ----------------------------------------------------------------------------------------- */

START_TEST(delay_idle)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_delay, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
  fake_reset();
  fake_set("delay.on_hit", "5s");
  fake_set("delay.score", "off");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_delay, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

START_TEST(delay_stages)
{
  static const int stages[] = {SMTPF_CONNECT, SMTPF_HELO, SMTPF_MAIL, SMTPF_RCPT};

  fake_set("delay.connect", "1s");
  fake_set("delay.helo", "2s");
  fake_set("delay.mail", "3s");
  fake_set("delay.rcpt", "4s");
  open_check(&smtpf_check_delay);
  fake_sender(&t, "<a@example.org>");
  for (size_t i = 0; i < 4; i++) {
    fake_run(&t, stages[i]);
    ck_only(&t, SMTPF_CLEAR, "delayed");
    ck_assert_int_eq(t.delay_ms, 1000 * ((int64_t)i + 1));
    ck_assert_str_eq(t.findings[0].detail, "every client");
  }
  fake_close(&t);
}
END_TEST

/* One of them is enough to be awake. */
START_TEST(delay_alone)
{
  static const char *const options[] = {"delay.connect", "delay.helo", "delay.mail", "delay.rcpt", "delay.on_hit"};

  fake_set(options[_i], "1s");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_delay, NULL), SMTPF_OK);
  ck_assert_ptr_nonnull(t.self);
  fake_close(&t);
}
END_TEST

START_TEST(delay_suspects)
{
  fake_set("delay.on_hit", "5s");
  fake_set("delay.helo", "1s");
  fake_set("delay.rcpt", "8s");
  fake_set("delay.score", "2.5");
  open_check(&smtpf_check_delay);
  t.score = 2499;
  fake_run(&t, SMTPF_CONNECT);
  ck_assert_uint_eq(t.n, 0);
  ck_assert_int_eq(t.delay_ms, 0);
  t.score = 2500;
  fake_run(&t, SMTPF_CONNECT);
  ck_assert_int_eq(t.delay_ms, 5000);
  ck_assert_str_eq(t.findings[0].detail, "suspect");
  fake_run(&t, SMTPF_HELO); /* the longer one counts, they do not add up */
  ck_assert_int_eq(t.delay_ms, 5000);
  fake_run(&t, SMTPF_RCPT);
  ck_assert_int_eq(t.delay_ms, 8000);
  ck_assert_str_eq(t.findings[0].detail, "every client");
  fake_close(&t);
}
END_TEST

START_TEST(delay_exempt)
{
  static const char *const senders[] = {"<>", "<postmaster@example.org>", "<PostMaster@example.org>"};

  fake_set("delay.on_hit", "5s");
  fake_set("delay.mail", "5s");
  open_check(&smtpf_check_delay);
  t.score = 100000;
  for (size_t i = 0; i < 3; i++) {
    fake_sender(&t, senders[i]);
    fake_run(&t, SMTPF_MAIL);
    ck_assert_int_eq(t.delay_ms, 0);
    ck_assert_uint_eq(t.n, 0);
  }
  fake_sender(&t, "<postmaster2@example.org>");
  fake_run(&t, SMTPF_MAIL);
  ck_assert_int_eq(t.delay_ms, 5000);
  t.ev.own = 1;
  fake_run(&t, SMTPF_MAIL);
  ck_assert_int_eq(t.delay_ms, 0);
  fake_close(&t);
}
END_TEST

Suite *rules_suite(void)
{
  const int n = (int)(sizeof helos / sizeof helos[0]);
  Suite *s = suite_create("check_rules");
  TCase *c = tcase_create("rules");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, early_in_turn);
  tcase_add_test(c, early_once);
  tcase_add_test(c, early_refuses);
  tcase_add_test(c, early_own);
  tcase_add_loop_test(c, helo_refused, 0, n);
  tcase_add_loop_test(c, helo_scored, 0, n);
  tcase_add_loop_test(c, helo_switched_off, 0, n);
  tcase_add_loop_test(c, helo_exempt, 0, 2);
  tcase_add_test(c, helo_defaults);
  tcase_add_test(c, helo_next_rule);
  tcase_add_test(c, delay_idle);
  tcase_add_test(c, delay_stages);
  tcase_add_loop_test(c, delay_alone, 0, 5);
  tcase_add_test(c, delay_suspects);
  tcase_add_test(c, delay_exempt);
  suite_add_tcase(s, c);
  return s;
}
