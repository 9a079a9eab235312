/* SPDX-License-Identifier: MIT
 *
 * Messages that can change nothing any more: which they are, and that their end is told without them. Marks from
 * outside that are left.
 */
#include <string.h>

#include "core_world.h"
#include "test_core.h"

enum { HOST = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT };

static world W;

static int only_trusted(const void *self)
{
  (void)self;
  return SMTPF_READS_TRUSTED;
}

static void begin(const char *const settings[][2])
{
  world_init(&W);
  world_set(&W, "profiles[\"default\"].tag", "off");
  for (; (*settings)[0]; settings++)
    world_set(&W, (*settings)[0], (*settings)[1]);
}

/* From 192.0.2.1 to a@ and b@, DATA said. */
static smtpf_session *at_data(unsigned capabilities)
{
  smtpf_session *s = world_greeted(&W, capabilities);
  ck_assert_int_eq(world_mail(s, "<f@x.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_wants_message(s), 1); /* not before DATA */
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  return s;
}

static void end(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

START_TEST(by_policy)
{
  static const struct {
    const char *settings[4][2];
    unsigned capabilities;
    int wanted;
  } rows[] = {
      {{{0}}, HOST, 0},
      {{{"profiles[\"default\"].tag", "5"}}, HOST, 1}, /* forged marks have to go */
      {{{"profiles[\"default\"].tag", "5"}}, SMTPF_CAN_SEE_BODY, 0},
      {{{"profiles[\"default\"].tag", "5"}, {"tag.foreign", "leave"}}, HOST, 0},
      {{{"profiles[\"default\"].quarantine", "5"}}, HOST, 1},
      {{{"profiles[\"default\"].quarantine", "5"}, {"tag.foreign", "leave"}}, HOST, 0},
      {{{"profiles[\"marked\"].tag", "5"}, {"recipients[\"b@x.example\"].profile", "marked"}}, HOST, 1},
      {{{"profiles[\"marked\"].tag", "5"}, {"recipients[\"c@x.example\"].profile", "marked"}}, HOST, 0},
      {{{"limits.message", "50m"}}, HOST, 1},
      {{{"limits.header", "256k"}}, HOST, 1},
      {{{"limits.received", "250"}}, HOST, 1},
      {{{"limits.recipients", "9"}}, HOST, 0},
      {{{"limits.message", "50m"}}, 0, 0}, /* such a host has nothing to hand over */
      {{{"lost_ack.enable", "true"}}, HOST | SMTPF_CAN_REPORT_COMMIT, 1},
      {{{"profiles[\"default\"].forward", "c@y.example"}, {"profiles[\"default\"].route", "forward"}}, HOST, 1},
      {{{"scopes[\"s\"].networks", "192.0.2.1"}, {"forwarders", "s"}}, HOST, 1},
      {{{"scopes[\"s\"].networks", "192.0.2.2"}, {"forwarders", "s"}}, HOST, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].settings);
    world_start(&W);
    smtpf_session *s = at_data(rows[i].capabilities | SMTPF_CAN_JOIN_ONLY);
    ck_assert_msg(smtpf_session_wants_message(s) == rows[i].wanted, "row %zu", i);
    end(s);
  }
}
END_TEST

static int edits(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  return smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT("X-Client"), SMTPF_LIT("seen"), 0, 0);
}

/* What is found or asked for at BODY without a look at the message is judged at its end, too. */
START_TEST(by_checks)
{
  static const struct {
    unsigned stage;
    int reads;
    int (*run)(script *, smtpf_task *, const smtpf_event *);
    int wanted;
  } rows[] = {{SMTPF_RCPT, 0, NULL, 0},          {SMTPF_EOM, 0, NULL, 1},
              {SMTPF_EOM, 1, NULL, 0},           {SMTPF_BODY, 0, NULL, 0},
              {SMTPF_BODY, 0, script_sleep, 1},  {SMTPF_BODY | SMTPF_EOM, 1, script_sleep, 1},
              {SMTPF_BODY, 0, script_report, 1}, {SMTPF_BODY, 0, edits, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin((const char *const[][2]){{NULL, NULL}});
    script *c = world_check(&W, "one", rows[i].stage, 0);
    W.checks[W.n_checks - 1].reads = rows[i].reads ? only_trusted : NULL;
    c->finding = finding_hit(60000);
    c->run = rows[i].run;
    world_start(&W);
    smtpf_session *s = at_data(HOST);
    ck_assert_msg(smtpf_session_wants_message(s) == rows[i].wanted, "row %zu", i);
    end(s);
  }
}
END_TEST

/* What was found so far: taken as it came, or not. */
START_TEST(by_outcome)
{
  static const struct {
    int32_t score;
    const char *wish;
    int wanted;
  } rows[] = {{4999, "profiles[\"default\"].discard", 0},    {5000, "profiles[\"default\"].discard", 1},
              {4999, "profiles[\"default\"].tag", 0},        {5000, "profiles[\"default\"].tag", 1},
              {4999, "profiles[\"default\"].quarantine", 0}, {5000, "profiles[\"default\"].quarantine", 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin((const char *const[][2]){{rows[i].wish, "5"}, {"tag.foreign", "leave"}, {NULL, NULL}});
    script *c = world_check(&W, "one", SMTPF_CONNECT, 0);
    c->finding = finding_hit(rows[i].score);
    c->run = script_report;
    world_start(&W);
    smtpf_session *s = at_data(HOST);
    ck_assert_msg(smtpf_session_wants_message(s) == rows[i].wanted, "row %zu", i);
    end(s);
  }
}
END_TEST

/* The question changes nothing: the verdict of DATA reads as before, and the end is that of a message. */
START_TEST(its_end_comes_without_it)
{
  smtpf_evidence_info e = {.size = sizeof e};
  begin((const char *const[][2]){{NULL, NULL}});
  script *c = world_check(&W, "one", SMTPF_CONNECT | SMTPF_RCPT, 0);
  c->finding = finding_hit(1000);
  c->run = script_report;
  world_start(&W);
  smtpf_session *s = at_data(HOST);
  ck_assert_uint_eq(smtpf_verdict_evidence_count(smtpf_session_verdict(s)), 3);
  for (int again = 0; again < 2; again++)
    ck_assert_int_eq(smtpf_session_wants_message(s), 0);
  ck_assert_uint_eq(smtpf_verdict_evidence_count(smtpf_session_verdict(s)), 3);
  for (size_t i = 0; i < 3; i++) {
    ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(s), i, &e), SMTPF_OK);
    ck_assert_int_eq(e.stage, i ? SMTPF_RCPT : SMTPF_CONNECT);
  }
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(world_stat(&W, "messages"), 1);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 0);
  for (size_t i = 0; i < 2; i++)
    ck_assert_int_eq(world_disposition(s, i), SMTPF_HANDED_OVER);
  ck_assert_int_eq(smtpf_session_wants_message(s), 1); /* it is over */
  ck_assert_int_eq(world_mail(s, "<f@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  end(s);
}
END_TEST

/* Who hands it over all the same gets it judged, and is asked no more. */
START_TEST(it_may_come_all_the_same)
{
  begin((const char *const[][2]){{NULL, NULL}});
  world_start(&W);
  smtpf_session *s = at_data(HOST);
  ck_assert_int_eq(smtpf_session_wants_message(s), 0);
  ck_assert_int_eq(world_body(s, "Subject: x\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_wants_message(s), 1);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 250);
  end(s);
}
END_TEST

/* Nobody knows what a failed allocation lost. */
START_TEST(without_memory_it_is_wanted)
{
  begin((const char *const[][2]){{NULL, NULL}});
  script *c = world_check(&W, "one", SMTPF_RCPT, 0);
  c->finding = finding_hit(1000);
  c->run = script_report;
  world_start(&W);
  smtpf_session *s = at_data(HOST);
  s->no_memory = 1;
  ck_assert_int_eq(smtpf_session_wants_message(s), 1);
  end(s);
}
END_TEST

/* Marks that came along stay in what is not marked here, and go from what is. */
START_TEST(foreign_marks)
{
  static const struct {
    const char *foreign;
    int32_t score;
    size_t edits;
  } rows[] = {{"remove", 0, 2}, {"remove", 5000, 3}, {"leave", 0, 0}, {"leave", 5000, 3}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin((const char *const[][2]){{"profiles[\"default\"].tag", "5"}, {"tag.foreign", rows[i].foreign}, {NULL, NULL}});
    script *c = world_check(&W, "one", SMTPF_EOM, 0);
    c->finding = finding_hit(rows[i].score);
    c->run = script_report;
    world_start(&W);
    smtpf_session *s = at_data(HOST);
    ck_assert_int_eq(world_body(s, "X-Smtpfilter: forged\r\nx-smtpfilter: forged\r\n\r\nx\r\n"), SMTPF_OK);
    ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
    ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), rows[i].edits);
    end(s);
  }
}
END_TEST

TCase *wants_cases(void)
{
  TCase *c = tcase_create("wants");
  tcase_add_test(c, by_policy);
  tcase_add_test(c, by_checks);
  tcase_add_test(c, by_outcome);
  tcase_add_test(c, its_end_comes_without_it);
  tcase_add_test(c, it_may_come_all_the_same);
  tcase_add_test(c, without_memory_it_is_wanted);
  tcase_add_test(c, foreign_marks);
  return c;
}
