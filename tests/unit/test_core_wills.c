/* SPDX-License-Identifier: MIT
 *
 * The step `budget`, at RCPT and at the end of the message, with a store that answers at once, late, wrongly or never;
 * the partition; a thousand recipients; who is overridden.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_store.h"
#include "test_core.h"

/* ---- the budget at RCPT ---------------------------------------------------------------------------------------------
 */

START_TEST(a_late_store_delays_the_reply_and_nothing_else)
{
  store_begin(0);
  greylist->run = script_report;
  world_start(&W);
  smtpf_session *s = store_mail();
  S.hold = 1;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_PENDING);
  ck_assert_ptr_null(smtpf_session_verdict(s));
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_EBUSY);
  ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_ETIMEOUT);
  store_answer(); /* nothing so far: now the charge is asked for */
  ck_assert_int_eq(store_process(), 0);
  ck_assert_uint_eq(S.commits, 1);
  ck_assert_ptr_null(smtpf_session_verdict(s)); /* not told before it is written */
  store_answer();
  ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_OK);
  EXPECT_CODE(s, 450);
  ck_assert_uint_eq(S.gets, 1);
  store_end(s);
}
END_TEST

/* Promise L7: a count that cannot be read, or not be written, is no count, and nobody is put off without one. */
START_TEST(a_store_that_fails_defers_nobody)
{
  const struct {
    int get, commit, late;
  } ways[] = {{1, 0, 0}, {2, 0, 0}, {0, 1, 0}, {0, 2, 0}, {1, 0, 1}, {0, 1, 1}};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    store_begin(0);
    greylist->run = script_report;
    world_start(&W);
    smtpf_session *s = store_mail();
    S.get_fails = ways[i].get;
    S.commit_fails = ways[i].commit;
    S.hold = ways[i].late;
    int r = world_rcpt(s, "<a@x.example>");
    ck_assert_int_eq(r, ways[i].late ? SMTPF_PENDING : SMTPF_OK);
    for (int turn = 0; turn < 3 && ways[i].late; turn++) {
      store_answer();
      store_process();
    }
    EXPECT_CODE(s, 250);
    ck_assert_uint_eq(S.commits, ways[i].get ? 0 : 1);
    store_end(s);
  }
}
END_TEST

START_TEST(a_store_that_never_answers_is_cut_off)
{
  for (int second = 0; second < 2; second++) { /* at the question, at the charge */
    store_begin(0);
    greylist->run = script_report;
    world_start(&W);
    smtpf_session *s = store_mail();
    S.hold = 1;
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_PENDING);
    if (second) {
      store_answer();
      store_process();
    }
    ck_assert_int_eq(smtpf_session_wait(s, -1), SMTPF_OK); /* check.timeout */
    EXPECT_CODE(s, 250);
    ck_assert_uint_eq(S.cancelled, 1);
    ck_assert_uint_eq(S.commits, (size_t)second);
    ck_assert_uint_eq(world_stat(&W, "checks.timeout"), 1);
    store_end(s);
  }
}
END_TEST

START_TEST(nonsense_in_the_record_is_no_budget)
{
  store_begin(0);
  greylist->run = script_report;
  world_start(&W);
  smtpf_session *s = store_mail();
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 450);
  ck_assert_uint_eq(S.n_records, 1);
  memset(S.records[0].value, 0xff, S.records[0].n);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  store_end(s);
}
END_TEST

/* ---- the budget at the end of the message
 * ----------------------------------------------------------------------------
 */

START_TEST(what_could_not_be_scanned_waits_only_by_the_budget)
{
  const struct {
    int get, commit, never, code, disposition;
  } ways[] = {{0, 0, 0, 451, SMTPF_DEFERRED},
              {1, 0, 0, 250, SMTPF_QUARANTINED},
              {0, 1, 0, 250, SMTPF_QUARANTINED},
              {0, 0, 1, 250, SMTPF_QUARANTINED}};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    store_begin(0);
    scanner->run = script_report;
    world_start(&W);
    smtpf_session *s = store_two();
    S.get_fails = ways[i].get;
    S.commit_fails = ways[i].commit;
    S.hold = ways[i].never;
    ck_assert_int_eq(store_wait(s, store_message(s, "\r\nx\r\n")), SMTPF_OK);
    EXPECT_CODE(s, ways[i].code);
    for (size_t k = 0; k < 2; k++)
      ck_assert_int_eq(world_disposition(s, k), ways[i].disposition);
    ck_assert_uint_eq(S.changes, ways[i].get || ways[i].never ? 0 : 2);
    store_end(s);
  }
}
END_TEST

static char *address(char room[32], int i)
{
  snprintf(room, 32, "<r%04d@x.example>", i);
  return room;
}

/* A thousand recipients put off at once: never more than a few questions in flight, and one change of them all. */
START_TEST(a_thousand_recipients_ask_a_few_at_a_time)
{
  enum { MANY = 1000 };
  for (int late = 0; late < 2; late++) {
    char room[32];
    store_begin(0);
    scanner->run = script_report;
    world_set(&W, "limits.recipients", "1000");
    world_set(&W, "limits.operations", late ? "7" : "64");
    world_start(&W);
    smtpf_session *s = store_mail();
    for (int i = 0; i < MANY; i++) {
      ck_assert_int_eq(world_rcpt(s, address(room, i)), SMTPF_OK);
      EXPECT_CODE(s, 250);
    }
    S.hold = late;
    int r = store_message(s, "\r\nx\r\n");
    ck_assert_int_eq(r, late ? SMTPF_PENDING : SMTPF_OK);
    for (int turn = 0; turn < MANY && !smtpf_session_verdict(s); turn++) {
      store_answer();
      store_process();
    }
    EXPECT_CODE(s, 451);
    ck_assert_uint_eq(S.gets, MANY);
    ck_assert_uint_eq(S.commits, 1);
    ck_assert_uint_eq(S.changes, MANY);
    if (late)
      ck_assert_uint_eq(S.most_open, 7);
    ck_assert_int_eq(world_disposition(s, MANY - 1), SMTPF_DEFERRED);
    store_end(s);
  }
}
END_TEST

/* ---- the partition --------------------------------------------------------------------------------------------------
 */

START_TEST(a_split_is_charged_and_counted)
{
  store_begin(0);
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"b@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = store_mail();
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_uint_eq(S.gets, 0); /* nobody asks for a budget that is not needed */
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 452);
  ck_assert_str_eq(smtpf_verdict_rule(smtpf_session_verdict(s)).p, "partition");
  ck_assert_uint_eq(S.commits, 1);
  ck_assert_uint_eq(world_stat(&W, "recipients.split"), 1);
  S.get_fails = 1;
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250); /* it rides along */
  ck_assert_uint_eq(smtpf_verdict_recipient_count(smtpf_session_verdict(s)), 2);
  store_end(s);
}
END_TEST

static int everybody_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_RECIPIENT;
}

static int profiles_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_PROFILE;
}

/* What may be found about one alone parts even those who wish the same, where one reply serves all. */
START_TEST(findings_about_one_alone)
{
  for (int i = 0; i < 3; i++) {
    store_begin(0);
    (void)world_check(&W, "reader", SMTPF_EOM, 3);
    W.checks[W.n_checks - 1].apart = i == 1 ? profiles_apart : i == 2 ? everybody_apart : NULL;
    world_start(&W);
    smtpf_session *s = store_mail();
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, i == 2 ? 452 : 250);
    store_end(s);
  }
}
END_TEST

/* Capabilities are the transaction's: a reply for each with PRDR, one for all without, in one session. */
START_TEST(a_reply_for_each_is_for_who_asks_for_it)
{
  store_begin(0);
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"b@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = world_greeted(&W, STORE_HOST | SMTPF_CAN_REPLY_PER_RCPT);
  for (int i = 0; i < 4; i++) {
    const int each = i % 2 == 0;
    ck_assert_int_eq(smtpf_session_mail(s, SMTPF_LIT("<f@x.example>"), each ? SMTPF_LIT("SIZE=9 prdr") : SMTPF_LIT("")),
                     SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, each ? 250 : 452);
    ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  }
  store_end(s);
}
END_TEST

static int asks_what_is_certain(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  self->last_tag = (uint32_t)(smtpf_task_certain(t, 0) << 0 | smtpf_task_certain(t, SMTPF_FINDING_ROUTE) << 1 |
                              smtpf_task_certain(t, SMTPF_FINDING_REFUSE) << 2);
  return SMTPF_OK;
}

/* Who always wants mail from somebody is not moved by what is found, but for where it would go. */
START_TEST(a_target_may_yet_change_what_is_certain)
{
  for (int forwards = 0; forwards < 2; forwards++) {
    store_begin(0);
    script *last = world_check(&W, "last", SMTPF_EOM, 3);
    last->run = asks_what_is_certain;
    world_append(&W, "profiles[\"default\"].allow", "from@client.example");
    world_set(&W, "profiles[\"default\"].forward", "me@elsewhere.example");
    world_set(&W, "profiles[\"default\"].route", forwards ? "forward" : "mailbox");
    world_start(&W);
    smtpf_session *s = store_mail();
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
    ck_assert_uint_eq(last->last_tag, forwards ? 1 : 3);
    store_end(s);
  }
}
END_TEST

/* ---- who is overridden ----------------------------------------------------------------------------------------------
 */

START_TEST(whose_wish_was_overridden_stands_in_header_and_log)
{
  for (int each = 0; each < 2; each++) {
    store_begin(0);
    scanner->run = script_report;
    scanner->finding = finding_hit(6000);
    world_set(&W, "profiles[\"strict\"].reject", "5");
    world_set(&W, "recipients[\"b@x.example\"].profile", "strict");
    world_set(&W, "budget.deferrals", "0");
    world_start(&W);
    smtpf_session *s = world_greeted(&W, STORE_HOST | (each ? SMTPF_CAN_EDIT_PER_RCPT : 0));
    ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
    ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
    EXPECT_CODE(s, 250);
    ck_assert_int_eq(store_recipient(s, 1).overridden, 1);
    ck_assert_int_eq(store_recipient(s, 1).wish, SMTPF_REJECTED);
    smtpf_edit_info e = {.size = sizeof e};
    const smtpf_verdict *v = smtpf_session_verdict(s);
    ck_assert_uint_eq(smtpf_verdict_edit_count(v), each ? 2 : 1);
    ck_assert_int_eq(smtpf_verdict_edit(v, each ? 1 : 0, &e), SMTPF_OK);
    ck_assert_ptr_nonnull(strstr(e.value.p, each ? "; wish=rejected" : "; overridden=2; id="));
    ck_assert_ptr_null(strstr(e.value.p, "@")); /* one address in a header tells the others who else was written to */
    ck_assert_uint_eq(e.recipient, each ? 1 : SIZE_MAX);
    const char *line = world_last_log(&W, "overridden");
    ck_assert_ptr_nonnull(strstr(line, "to=b@x.example"));
    ck_assert_ptr_nonnull(strstr(line, "wish=rejected disposition=tagged"));
    ck_assert_uint_eq(world_stat(&W, "recipients.overridden"), 1);
    store_end(s);
  }
}
END_TEST

TCase *will_cases(void)
{
  TCase *c = tcase_create("wills");
  tcase_set_timeout(c, 30);
  tcase_add_test(c, a_late_store_delays_the_reply_and_nothing_else);
  tcase_add_test(c, a_store_that_fails_defers_nobody);
  tcase_add_test(c, a_store_that_never_answers_is_cut_off);
  tcase_add_test(c, nonsense_in_the_record_is_no_budget);
  tcase_add_test(c, what_could_not_be_scanned_waits_only_by_the_budget);
  tcase_add_test(c, a_thousand_recipients_ask_a_few_at_a_time);
  tcase_add_test(c, a_split_is_charged_and_counted);
  tcase_add_test(c, a_reply_for_each_is_for_who_asks_for_it);
  tcase_add_test(c, findings_about_one_alone);
  tcase_add_test(c, a_target_may_yet_change_what_is_certain);
  tcase_add_test(c, whose_wish_was_overridden_stands_in_header_and_log);
  return c;
}
