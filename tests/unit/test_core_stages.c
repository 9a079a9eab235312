/* SPDX-License-Identifier: MIT
 *
 * The stages before DATA: what refuses early, what is held until RCPT, what RFC 5321 refuses by itself, and what is
 * forgotten when.
 */
#include <stdio.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

static void finish(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

/* A check that reports `finding` at `stage`, under a policy that refuses from `refuse` on. */
static void reports(int stage, const char *refuse, smtpf_finding finding)
{
  world_init(&W);
  script *c = world_check(&W, "finds", SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT, 0);
  c->run = script_report;
  c->at = stage;
  c->finding = finding;
  world_set(&W, "refuse.stage", refuse);
  world_start(&W);
}

static smtpf_session *connected_with(int code)
{
  smtpf_session *s = world_session(&W, 0, SMTPF_SMTP);
  ck_assert_int_eq(world_connect(s, "192.0.2.1"), SMTPF_OK);
  EXPECT_CODE(s, code);
  return s;
}

/* The first code that is no acceptance, and the stage it came at. */
static int refused_at(smtpf_session *s, int *code)
{
  ck_assert_int_eq(world_connect(s, "192.0.2.1"), SMTPF_OK);
  if ((*code = world_code(s)) >= 400)
    return SMTPF_CONNECT;
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  if ((*code = world_code(s)) >= 400)
    return SMTPF_HELO;
  ck_assert_int_eq(world_mail(s, "<a@b.example>"), SMTPF_OK);
  if ((*code = world_code(s)) >= 400)
    return SMTPF_MAIL;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  return (*code = world_code(s)) >= 400 ? SMTPF_RCPT : 0;
}

START_TEST(a_refusal_is_held_until_the_policy_lets_it_speak)
{
  static const int stages[] = {SMTPF_CONNECT, SMTPF_HELO, SMTPF_MAIL, SMTPF_RCPT};
  static const char *const words[] = {"connect", "helo", "mail", "rcpt"};
  for (int found = 0; found < 4; found++)
    for (int from = 0; from < 4; from++)
      for (int missing = 0; missing < 2; missing++) {
        int code;
        reports(stages[found], words[from], missing ? finding_missing() : finding_fact(571));
        smtpf_session *s = world_session(&W, 0, SMTPF_SMTP);
        const int expected = stages[found] > stages[from] ? stages[found] : stages[from];
        ck_assert_int_eq(refused_at(s, &code), expected);
        const int banner = expected == SMTPF_CONNECT;
        ck_assert_int_eq(code, missing ? (banner ? 421 : 450) : banner ? 554 : 571);
        const smtpf_verdict *v = smtpf_session_verdict(s);
        ck_assert_int_eq(smtpf_verdict_action(v), missing ? SMTPF_DEFER : SMTPF_REJECT);
        ck_assert_int_eq(smtpf_verdict_stage(v), expected);
        ck_assert_str_eq(smtpf_verdict_enhanced(v).p, missing ? "4.1.1" : "5.1.1");
        ck_assert_uint_eq(smtpf_verdict_evidence_count(v), 1);
        finish(s);
      }
}
END_TEST

START_TEST(own_clients_are_not_refused_early)
{
  reports(SMTPF_HELO, "helo", finding_hit(50000));
  W.checks[0].stages = SMTPF_HELO;
  smtpf_session *s = connected_with(220);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  EXPECT_CODE(s, 550);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 503); /* nobody has greeted */
  ck_assert_int_eq(smtpf_session_auth(s, SMTPF_LIT("PLAIN"), SMTPF_LIT("me")), SMTPF_OK);
  EXPECT_CODE(s, 235);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_str_eq(W.scripts[0].seen.identity.p, "me");
  ck_assert_int_eq(W.scripts[0].seen.own, 1);
  finish(s);
}
END_TEST

START_TEST(after_a_refused_connection_only_quit_is_served)
{
  reports(SMTPF_CONNECT, "connect", finding_fact(550));
  smtpf_session *s = connected_with(554);
  ck_assert_int_eq(smtpf_verdict_closes(smtpf_session_verdict(s)), 0);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  W.scripts[0].run = NULL;
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.2")};
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_OK);
  EXPECT_CODE(s, 220);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  W.scripts[0].run = script_report;
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_OK);
  EXPECT_CODE(s, 554);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK); /* the greeting was somebody else's */
  EXPECT_CODE(s, 503);
  ck_assert_int_eq(smtpf_session_quit(s), SMTPF_OK);
  EXPECT_CODE(s, 221);
  ck_assert_int_eq(smtpf_session_early_talk(s), SMTPF_ESTATE);
  finish(s);
}
END_TEST

START_TEST(early_talk_reaches_the_next_stage)
{
  reports(SMTPF_HELO, "rcpt", finding_hit(0));
  smtpf_session *s = connected_with(220);
  ck_assert_int_eq(smtpf_session_early_talk(s), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  ck_assert_int_eq(W.scripts[0].seen.early_talk, 1);
  ck_assert_str_eq(W.scripts[0].seen.client_text.p, "192.0.2.1");
  ck_assert_ptr_null(W.scripts[0].seen.sender);
  ck_assert_ptr_eq(smtpf_session_user(s), &W);
  ck_assert_uint_eq(strlen(smtpf_session_id(s)), 16);
  finish(s);
}
END_TEST

START_TEST(what_the_protocol_itself_refuses)
{
  static const struct {
    const char *path, *params;
    int rcpt, code;
  } rows[] = {
      {"a@b.example", "", 0, 501},
      {"<a@>", "", 0, 501},
      {"<postmaster>", "", 0, 501},
      {"<\xc3\xa9@b.example>", "", 0, 553},
      {"<\xc3\xa9@b.example>", "SMTPUTF8", 0, 250},
      {"<a@b.example>", "SIZE=x", 0, 501},
      {"<a@b.example>", "=", 0, 501},
      {"<a@b.example>", "FUTURE=yes", 0, 250},
      {"<>", "", 1, 501},
      {"<postmaster>", "", 1, 250},
      {"<Postmaster>", "NOTIFY=NEVER", 1, 250},
      {"<a@b.example>", "=", 1, 501},
      {"<\xc3\xa9@b.example>", "", 1, 553},
      {"a@b.example", "", 1, 501},
  };
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].rcpt)
      ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
    const smtpf_str path = smtpf_str_of(rows[i].path), params = smtpf_str_of(rows[i].params);
    ck_assert_int_eq(rows[i].rcpt ? smtpf_session_rcpt(s, path, params) : smtpf_session_mail(s, path, params),
                     SMTPF_OK);
    ck_assert_msg(world_code(s) == rows[i].code, "%s %s: %d", rows[i].path, rows[i].params, world_code(s));
    ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  }
  char longest[1100];
  memset(longest, 'a', sizeof longest);
  ck_assert_int_eq(smtpf_session_mail(s, (smtpf_str){longest, sizeof longest}, SMTPF_LIT("")), SMTPF_OK);
  EXPECT_CODE(s, 501);
  finish(s);
}
END_TEST

START_TEST(a_helo_that_is_wrong_changes_nothing)
{
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_helo(s, 0, SMTPF_LIT("x")), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT(" \t")), SMTPF_OK);
  EXPECT_CODE(s, 501);
  ck_assert_int_eq(smtpf_session_helo(s, SMTPF_GREET_LHLO, SMTPF_LIT("x")), SMTPF_OK);
  EXPECT_CODE(s, 500);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_helo(s, "other.example"), SMTPF_OK); /* a good one drops the transaction */
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  finish(s);
}
END_TEST

/* The greeting that was there is forgotten when the next one comes, whether there is memory for it or not. */
START_TEST(a_helo_without_memory_leaves_no_greeting)
{
  world_init(&W);
  world_set(&W, "memory.chunk", "0");
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  W.allocations = 0;
  W.fail_at = 1;
  ck_assert_int_eq(world_helo(s, "other.example"), SMTPF_OK);
  EXPECT_CODE(s, 451);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  ck_assert_uint_eq(world_stat(&W, "no-memory"), 1);
  finish(s);
}
END_TEST

START_TEST(tls_forgets_the_greeting)
{
  world_init(&W);
  script *c = world_check(&W, "looks", SMTPF_HELO, 0);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_starttls(s, SMTPF_LIT("TLSv1.3"), SMTPF_LIT("c")), SMTPF_OK);
  EXPECT_CODE(s, 220);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  ck_assert_int_eq(c->seen.tls, 1);
  finish(s);
}
END_TEST

/* RFC 3207 4.2: nothing that was learned before TLS counts after it. */
START_TEST(tls_forgets_who_authenticated)
{
  world_init(&W);
  script *c = world_check(&W, "looks", SMTPF_HELO, 0);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(smtpf_session_auth(s, SMTPF_LIT("PLAIN"), SMTPF_LIT("alice")), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  ck_assert_int_eq(c->seen.own, 1);
  ck_assert_int_eq(smtpf_session_starttls(s, SMTPF_LIT("TLSv1.3"), SMTPF_LIT("c")), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  ck_assert_int_eq(c->seen.own, 0);
  ck_assert_uint_eq(c->seen.identity.n, 0);
  ck_assert_int_eq(smtpf_session_rebind(s, &(smtpf_peer){.size = sizeof(smtpf_peer)}), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "c.example"), SMTPF_OK);
  ck_assert_int_eq(c->seen.tls, 0);
  finish(s);
}
END_TEST

START_TEST(a_disabled_check_does_not_run)
{
  world_init(&W);
  script *off = world_check(&W, "off", SMTPF_CONNECT, 0), *on = world_check(&W, "on", SMTPF_CONNECT, 0);
  for (size_t i = 0; i < 2; i++)
    ck_assert_int_eq(smtpf_config_add_check(W.cfg, &W.checks[i]), SMTPF_OK);
  world_append(&W, "check.disable", "off");
  world_start(&W);
  smtpf_session *s = connected_with(220);
  ck_assert_int_eq(off->runs, 0);
  ck_assert_int_eq(on->runs, 1);
  finish(s);
  world_init(&W);
  (void)world_check(&W, "needed", SMTPF_RCPT, 0);
  W.checks[0].failure = SMTPF_FINDING_DEFER;
  world_append(&W, "check.disable", "needed");
  ck_assert_int_eq(world_try_start(&W), SMTPF_EINVAL); /* this is how open relays are made */
  world_end(&W);
}
END_TEST

START_TEST(words)
{
  ck_assert_str_eq(smtpf_disposition_name(SMTPF_HANDED_OVER), "handed-over");
  ck_assert_str_eq(smtpf_disposition_name(0), "none");
  ck_assert_str_eq(smtpf_disposition_name(8), "none");
  ck_assert_str_eq(smtpf_disposition_name(-1), "none");
  ck_assert_str_eq(smtpf_dsn_name(SMTPF_DSN_HEADERS_ONLY), "headers-only");
  ck_assert_str_eq(smtpf_dsn_name(4), "none");
  ck_assert_str_eq(smtpf_stage_name(SMTPF_BODY), "body");
  ck_assert_str_eq(smtpf_stage_name(3), "none");
}
END_TEST

/* Structures of an older caller: nothing is written beyond what it knows. */
START_TEST(older_callers_get_what_they_know)
{
  reports(SMTPF_CONNECT, "connect", finding_hit(1000));
  smtpf_session *s = connected_with(220);
  smtpf_evidence_info info;
  memset(&info, 0x55, sizeof info);
  info.size = offsetof(smtpf_evidence_info, stage);
  ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(s), 0, &info), SMTPF_OK);
  ck_assert_uint_eq(info.size, offsetof(smtpf_evidence_info, stage));
  ck_assert_str_eq(info.check, "finds");
  ck_assert_int_eq(info.stage, 0x55555555);
  finish(s);
}
END_TEST

TCase *stage_cases(void)
{
  TCase *c = tcase_create("stages");
  tcase_add_test(c, a_refusal_is_held_until_the_policy_lets_it_speak);
  tcase_add_test(c, own_clients_are_not_refused_early);
  tcase_add_test(c, after_a_refused_connection_only_quit_is_served);
  tcase_add_test(c, early_talk_reaches_the_next_stage);
  tcase_add_test(c, what_the_protocol_itself_refuses);
  tcase_add_test(c, a_helo_that_is_wrong_changes_nothing);
  tcase_add_test(c, a_helo_without_memory_leaves_no_greeting);
  tcase_add_test(c, tls_forgets_the_greeting);
  tcase_add_test(c, tls_forgets_who_authenticated);
  tcase_add_test(c, a_disabled_check_does_not_run);
  tcase_add_test(c, words);
  tcase_add_test(c, older_callers_get_what_they_know);
  return c;
}
