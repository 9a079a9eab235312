/* SPDX-License-Identifier: MIT
 *
 * Sessions: evidence and its scopes, facts, delays, limits, and what a client or a host may do at the wrong moment.
 */
#include <stdio.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

enum { USUAL = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT };

static smtpf_session *with_sender(world *w)
{
  smtpf_session *s = world_greeted(w, USUAL);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  return s;
}

static smtpf_evidence_info evidence(const smtpf_session *s, size_t i)
{
  smtpf_evidence_info info = {.size = sizeof info};
  ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(s), i, &info), SMTPF_OK);
  return info;
}

static size_t evidence_count(const smtpf_session *s)
{
  return smtpf_verdict_evidence_count(smtpf_session_verdict(s));
}

static void finish(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

/* ---- evidence ---- */

START_TEST(evidence_is_ordered_by_stage_and_declaration)
{
  world_init(&W);
  script *late = world_check(&W, "late", SMTPF_CONNECT | SMTPF_RCPT, 2);
  script *early = world_check(&W, "early", SMTPF_CONNECT | SMTPF_RCPT, 0);
  late->run = script_query;
  late->resume = script_done;
  early->run = script_report;
  early->finding = finding_hit(500);
  world_start(&W);
  smtpf_session *s = with_sender(&W);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(evidence_count(s), 4);
  const char *const names[] = {"late", "early", "late", "early"};
  for (size_t i = 0; i < 4; i++) {
    ck_assert_str_eq(evidence(s, i).check, names[i]);
    ck_assert_int_eq(evidence(s, i).stage, i < 2 ? SMTPF_CONNECT : SMTPF_RCPT);
  }
  smtpf_evidence_info none = {.size = sizeof none};
  ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(s), 4, &none), SMTPF_ENOTFOUND);
  finish(s);
}
END_TEST

START_TEST(the_score_a_check_sees_is_of_cheaper_tiers)
{
  world_init(&W);
  script *cheap = world_check(&W, "cheap", SMTPF_HELO, 0);
  script *beside = world_check(&W, "beside", SMTPF_HELO, 1);
  script *looks = world_check(&W, "looks", SMTPF_HELO, 1);
  script *dear = world_check(&W, "dear", SMTPF_HELO, 2);
  cheap->run = beside->run = looks->run = dear->run = script_report;
  cheap->finding = finding_hit(1000);
  beside->finding = finding_hit(2000);
  looks->finding = finding_hit(4000);
  dear->finding = finding_hit(0);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, USUAL);
  ck_assert_int_eq(cheap->last_score, 0);
  ck_assert_int_eq(beside->last_score, 1000);
  ck_assert_int_eq(looks->last_score, 1000); /* not what its neighbour happened to find first */
  ck_assert_int_eq(dear->last_score, 7000);
  finish(s);
}
END_TEST

#define ROUTE(more) (SMTPF_FINDING_ROUTE | (more))

static int reports_nonsense(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  ck_assert_int_eq(smtpf_task_report(t, &self->finding), SMTPF_EINVAL);
  return SMTPF_OK;
}

/* Promise L4: what makes no sense is unknown, not nothing. */
START_TEST(a_finding_that_makes_no_sense_is_unknown)
{
  const smtpf_finding nonsense[] = {
      {.size = 1, .kind = SMTPF_HIT, .code = "x"},
      {.size = sizeof(smtpf_finding), .kind = 0, .code = "x"},
      {.size = sizeof(smtpf_finding), .kind = 4, .code = "x"},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "x", .score = 1},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "x", .flags = SMTPF_FINDING_REFUSE},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_CLEAR, .code = "x", .flags = SMTPF_FINDING_REFUSE},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = SMTPF_FINDING_DEFER},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .reply = 550},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = SMTPF_FINDING_REFUSE, .reply = 450},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "x", .flags = SMTPF_FINDING_DEFER, .reply = 550},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = SMTPF_FINDING_ROUTE, .score = 1},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = ROUTE(SMTPF_FINDING_OPEN_RELAY)},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = ROUTE(SMTPF_FINDING_CONNECTION)},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_HIT, .code = "x", .flags = ROUTE(SMTPF_FINDING_ELECTIVE)},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "x", .flags = ROUTE(SMTPF_FINDING_DEFER)},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_UNKNOWN, .code = "x", .flags = ROUTE(SMTPF_FINDING_TAG)},
      {.size = sizeof(smtpf_finding), .kind = SMTPF_CLEAR, .code = "x", .flags = ROUTE(SMTPF_FINDING_REFUSE)},
  };
  for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
    world_init(&W);
    script *c = world_check(&W, "broken", SMTPF_RCPT, 0);
    c->run = reports_nonsense;
    c->finding = nonsense[i];
    world_start(&W);
    smtpf_session *s = with_sender(&W);
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, 250);
    ck_assert_uint_eq(evidence_count(s), 1);
    ck_assert_int_eq(evidence(s, 0).kind, SMTPF_UNKNOWN);
    ck_assert_str_eq(evidence(s, 0).code.p, "error");
    finish(s);
  }
}
END_TEST

/* Before there is a recipient nothing goes anywhere. */
START_TEST(a_target_belongs_to_a_recipient)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "x", .flags = ROUTE(SMTPF_FINDING_REFUSE)};
  world_init(&W);
  script *c = world_check(&W, "early", SMTPF_MAIL, 0);
  c->run = reports_nonsense;
  c->finding = f;
  world_start(&W);
  smtpf_session *s = with_sender(&W);
  ck_assert_str_eq(evidence(s, 0).code.p, "error");
  finish(s);
  static const struct {
    unsigned failure;
    uint32_t stages;
    int result;
  } rows[] = {{ROUTE(0), SMTPF_RCPT | SMTPF_EOM, SMTPF_OK},
              {ROUTE(0), SMTPF_RCPT | SMTPF_HELO, SMTPF_EINVAL},
              {ROUTE(SMTPF_FINDING_DEFER), SMTPF_RCPT, SMTPF_EINVAL}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&W);
    (void)world_check(&W, "target", rows[i].stages, 0);
    W.checks[0].failure = rows[i].failure;
    ck_assert_int_eq(world_try_start(&W), rows[i].result);
    world_end(&W);
  }
}
END_TEST

static int fails(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)t;
  (void)ev;
  return (int)self->finding.score;
}

START_TEST(a_check_that_fails_is_unknown)
{
  static const struct {
    int result, code;
    unsigned failure;
    const char *word;
  } rows[] = {{SMTPF_EIO, 250, 0, "error"},       {SMTPF_EIO, 451, SMTPF_FINDING_DEFER, "error"},
              {SMTPF_PENDING, 250, 0, "stalled"}, {SMTPF_PENDING, 451, SMTPF_FINDING_DEFER, "stalled"},
              {SMTPF_ENOMEM, 451, 0, NULL},       {12345, 250, 0, "error"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    world_init(&W);
    script *c = world_check(&W, "fails", SMTPF_RCPT, 0);
    W.checks[0].failure = rows[i].failure;
    c->run = fails;
    c->finding.score = rows[i].result;
    world_start(&W);
    smtpf_session *s = with_sender(&W);
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, rows[i].code);
    if (rows[i].word)
      ck_assert_str_eq(evidence(s, 0).code.p, rows[i].word);
    finish(s);
  }
  world_init(&W);
  (void)world_check(&W, "wrong", SMTPF_RCPT, 0);
  W.checks[0].failure = SMTPF_FINDING_REFUSE; /* an error may not refuse */
  ck_assert_int_eq(world_try_start(&W), SMTPF_EINVAL);
  world_end(&W);
}
END_TEST

static int report_of_connection(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  self->finding.flags = SMTPF_FINDING_CONNECTION;
  return smtpf_task_report(t, &self->finding);
}

START_TEST(a_finding_about_the_connection_outlives_the_recipient)
{
  world_init(&W);
  script *c = world_check(&W, "rude", SMTPF_RCPT, 0);
  c->run = report_of_connection;
  c->finding = finding_hit(6000);
  world_set(&W, "memory.chunk", "0");
  world_start(&W);
  smtpf_session *s = with_sender(&W);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250); /* a tag */
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 550); /* twice is too much */
  c->run = NULL;
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<c@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 550);
  ck_assert_uint_eq(evidence_count(s), 2);
  ck_assert_str_eq(evidence(s, 1).detail.p, "detail");
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.9")};
  ck_assert_int_eq(smtpf_session_rebind(s, &peer), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "other.example"), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<c@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(evidence_count(s), 0);
  finish(s);
}
END_TEST

/* ---- facts ---- */

static int sets_fact(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  return smtpf_task_fact_set(t, "fact", smtpf_str_of(self->finding.code), self->finding.reply);
}

static char fact_seen[64];

static int reads_fact(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  const smtpf_str f = smtpf_task_fact(t, "fact");
  snprintf(fact_seen, sizeof fact_seen, "%.*s", (int)f.n, f.p);
  return SMTPF_OK;
}

START_TEST(facts_live_as_long_as_their_scope)
{
  world_init(&W);
  script *c = world_check(&W, "sets", SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT, 0);
  world_check(&W, "reads", SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT, 1)->run = reads_fact;
  world_set(&W, "memory.chunk", "0");
  world_start(&W);
  c->run = sets_fact;
  c->finding.code = "of connect";
  c->finding.reply = 1;
  smtpf_session *s = world_connected(&W, USUAL);
  ck_assert_str_eq(fact_seen, "of connect");
  c->finding.code = "of helo";
  ck_assert_int_eq(world_helo(s, "one.example"), SMTPF_OK);
  ck_assert_str_eq(fact_seen, "of helo");
  c->run = NULL;
  ck_assert_int_eq(world_helo(s, "two.example"), SMTPF_OK);
  ck_assert_str_eq(fact_seen, "of connect"); /* the greeting's went with the greeting */
  c->run = sets_fact;
  c->finding.code = "of mail";
  c->finding.reply = 0;
  ck_assert_int_eq(world_mail(s, "<a@b.example>"), SMTPF_OK);
  ck_assert_str_eq(fact_seen, "of mail");
  c->finding.code = "of a recipient that is refused";
  ck_assert_int_eq(world_rcpt(s, "<a@>"), SMTPF_OK);
  EXPECT_CODE(s, 501);
  c->run = script_report;
  c->finding = finding_fact(550);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 550);
  c->run = sets_fact;
  c->finding = (smtpf_finding){.code = "of rcpt"};
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_str_eq(fact_seen, "of rcpt");
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  c->run = NULL;
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_str_eq(fact_seen, "of connect");
  finish(s);
}
END_TEST

static int sets_fact_and_refuses(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  ck_assert_int_eq(smtpf_task_fact_set(t, "fact", SMTPF_LIT("of the refused"), 0), SMTPF_OK);
  return smtpf_task_report(t, &self->finding);
}

/* What a refused recipient left goes with it: its memory is given back. */
START_TEST(a_refused_recipient_takes_its_facts_along)
{
  world_init(&W);
  world_check(&W, "reads", SMTPF_RCPT, 0)->run = reads_fact;
  script *c = world_check(&W, "refuses", SMTPF_RCPT, 1);
  world_set(&W, "memory.chunk", "0");
  world_start(&W);
  c->run = sets_fact_and_refuses;
  c->finding = finding_fact(550);
  smtpf_session *s = with_sender(&W);
  const size_t before = smtpf_session_memory(s);
  for (int i = 0; i < 3; i++) {
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, 550);
    ck_assert_str_eq(fact_seen, "");
  }
  c->run = NULL;
  ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_OK);
  ck_assert_uint_le(smtpf_session_memory(s), before + 64 * sizeof(void *)); /* the view may have grown */
  finish(s);
}
END_TEST

/* The host may tell its queue id whenever it has one, also beside a recipient that is refused. */
START_TEST(a_queue_id_outlives_a_refused_recipient)
{
  world_init(&W);
  script *c = world_check(&W, "refuses", SMTPF_RCPT, 0);
  world_set(&W, "memory.chunk", "0");
  world_start(&W);
  smtpf_session *s = world_greeted(&W, USUAL);
  ck_assert_int_eq(smtpf_session_queue_id(s, SMTPF_LIT("early")), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<a@b.example>"), SMTPF_OK);
  c->run = script_report;
  c->finding = finding_fact(550);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 550);
  ck_assert_ptr_nonnull(strstr(world_last_log(&W, "rcpt"), "queue_id=early"));
  ck_assert_int_eq(smtpf_session_queue_id(s, (smtpf_str){world_last_log(&W, "rcpt"), 64}), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_session_queue_id(s, SMTPF_LIT("4bXyZ")), SMTPF_OK);
  c->run = NULL;
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_ptr_nonnull(strstr(world_last_log(&W, "rcpt"), "queue_id=4bXyZ"));
  finish(s);
}
END_TEST

/* ---- the directory's word ---- */

static int looks_up_somebody_else(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  return smtpf_task_lookup(t, SMTPF_LIT("postmaster@elsewhere.example"), 1) == SMTPF_OK ? SMTPF_PENDING : SMTPF_EIO;
}

START_TEST(the_directory_names_the_recipients_profile)
{
  world_init(&W);
  script *c = world_check(&W, "lookup", SMTPF_RCPT, 1);
  script *hit = world_check(&W, "hit", SMTPF_RCPT, 2);
  world_set(&W, "profiles[\"default\"].reject", "10");
  world_set(&W, "profiles[\"strict\"].reject", "1");
  world_start(&W);
  hit->run = script_report;
  hit->finding = finding_hit(2000);
  c->resume = script_done;
  W.who.profile = SMTPF_LIT("strict");
  smtpf_session *s = with_sender(&W);
  c->run = looks_up_somebody_else;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  c->run = script_lookup;
  ck_assert_int_eq(world_rcpt(s, "<A@X.example>"), SMTPF_OK);
  EXPECT_CODE(s, 550);
  W.who.profile = SMTPF_LIT("no such");
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  W.port_error = SMTPF_EIO;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  finish(s);
}
END_TEST

/* ---- delays ---- */

static int delays(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  ck_assert_int_eq(smtpf_task_delay(t, 1), SMTPF_OK);
  return smtpf_task_delay(t, self->finding.score);
}

static int64_t delay_of(const smtpf_session *s)
{
  return smtpf_verdict_delay(smtpf_session_verdict(s));
}

START_TEST(delays_are_bounded_in_length_and_number)
{
  world_init(&W);
  script *c = world_check(&W, "delays", SMTPF_CONNECT | SMTPF_HELO | SMTPF_DATA, 0);
  world_set(&W, "delay.max", "5s");
  world_set(&W, "delay.sessions", "2");
  world_start(&W);
  c->run = delays;
  c->finding.score = 60000;
  smtpf_session *s[4];
  for (int i = 0; i < 4; i++)
    s[i] = world_connected(&W, i == 3 ? 0 : USUAL);
  ck_assert_int_eq(delay_of(s[0]), 5000);
  ck_assert_int_eq(delay_of(s[1]), 5000);
  ck_assert_int_eq(delay_of(s[2]), 0); /* two at a time */
  ck_assert_int_eq(delay_of(s[3]), 0); /* a host that cannot */
  ck_assert_int_eq(W.driver->delayed, 2);
  ck_assert_int_eq(smtpf_session_abort(s[1]), SMTPF_OK); /* a client that went is delayed no more */
  ck_assert_int_eq(W.driver->delayed, 1);
  W.now_ns += UINT64_C(5000) * 1000000; /* nor is one whose time is over, whether it says more or not */
  ck_assert_int_eq(smtpf_driver_process(W.driver), 0);
  ck_assert_int_eq(W.driver->delayed, 0);
  ck_assert_int_eq(world_helo(s[2], "x.example"), SMTPF_OK);
  ck_assert_int_eq(delay_of(s[2]), 5000);
  ck_assert_int_eq(smtpf_session_command(s[2], SMTPF_LIT("NOOP")), SMTPF_OK);
  ck_assert_int_eq(delay_of(s[2]), 0);
  ck_assert_int_eq(W.driver->delayed, 0);
  ck_assert_int_eq(world_helo(s[2], "x.example"), SMTPF_OK);
  ck_assert_int_eq(W.driver->delayed, 1);
  for (int i = 0; i < 4; i++)
    smtpf_session_free(s[i]);
  ck_assert_int_eq(W.driver->delayed, 0);
  ck_assert_uint_eq(world_stat(&W, "delays"), 4);
  world_end(&W);
}
END_TEST

static int delays_and_sleeps(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)ev;
  ck_assert_int_eq(smtpf_task_delay(t, 3000), SMTPF_OK);
  return script_sleep(self, t, ev);
}

START_TEST(a_delay_counts_from_the_beginning_of_the_stage)
{
  world_init(&W);
  script *c = world_check(&W, "delays", SMTPF_HELO, 0);
  c->run = delays_and_sleeps;
  c->resume = script_done;
  c->finding.score = 1000;
  world_start(&W);
  smtpf_session *s = world_connected(&W, USUAL);
  ck_assert_int_eq(world_helo(s, "x.example"), SMTPF_PENDING);
  ck_assert_int_eq(smtpf_session_wait(s, -1), SMTPF_OK);
  ck_assert_int_eq(delay_of(s), 2000);
  ck_assert_uint_eq(c->last_tag, 9);
  ck_assert_ptr_nonnull(strstr(world_last_log(&W, "helo"), "delay_ms=2000"));
  finish(s);
}
END_TEST

/* ---- the log ---- */

START_TEST(the_log_is_escaped_and_says_the_code_whatever_the_client_sends)
{
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_connected(&W, USUAL);
  char helo[1200], path[1000];
  memset(helo, 0x80, sizeof helo - 1);
  helo[sizeof helo - 1] = '\0';
  memcpy(helo, "a\r\nb\\", 5);
  ck_assert_int_eq(world_helo(s, helo), SMTPF_OK);
  EXPECT_CODE(s, 250);
  const int n = snprintf(path, sizeof path, "<");
  memset(path + n, 0, sizeof path - (size_t)n);
  for (size_t i = 1; i < 61; i += 2)
    memcpy(path + i, "\xc3\xa9", 2);
  memcpy(path + 61, "@x.example>", 11);
  ck_assert_int_eq(smtpf_session_mail(s, smtpf_str_of(path), SMTPF_LIT("SMTPUTF8")), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(smtpf_session_queue_id(s, (smtpf_str){helo, 63}), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, path), SMTPF_OK);
  EXPECT_CODE(s, 250);
  const char *line = world_last_log(&W, "rcpt");
  ck_assert_ptr_nonnull(strstr(line, "a\\x0d\\x0ab\\\\\\x80"));
  ck_assert_ptr_nonnull(strstr(line, " code=250 "));
  ck_assert_ptr_nonnull(strstr(line, " rule=accept"));
  for (const char *p = line; *p; p++)
    ck_assert(*p >= 0x20 && *p < 0x7f);
  finish(s);
}
END_TEST

/* A host that refuses recipients by itself must not run out of the transaction's memory for it. */
START_TEST(overruled_recipients_take_no_memory)
{
  char path[64];
  world_init(&W);
  world_set(&W, "limits.transaction_memory", "64k");
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  for (int i = 0; i < 3000; i++) {
    snprintf(path, sizeof path, "<user%d@x.example>", i);
    ck_assert_int_eq(world_rcpt(s, path), SMTPF_OK);
    EXPECT_CODE(s, 250);
    if (i % 500 != 0)
      ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_RCPT, 451), SMTPF_OK);
  }
  ck_assert_uint_eq(smtpf_verdict_recipient_count(smtpf_session_verdict(s)), 6);
  for (size_t i = 0; i < 6; i++) {
    smtpf_recipient_info info = {.size = sizeof info};
    ck_assert_int_eq(smtpf_verdict_recipient(smtpf_session_verdict(s), i, &info), SMTPF_OK);
    snprintf(path, sizeof path, "user%zu@x.example", i * 500);
    ck_assert(smtpf_str_equal(info.address, smtpf_str_of(path)));
  }
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

TCase *session_cases(void)
{
  TCase *c = tcase_create("session");
  tcase_add_test(c, evidence_is_ordered_by_stage_and_declaration);
  tcase_add_test(c, the_score_a_check_sees_is_of_cheaper_tiers);
  tcase_add_test(c, a_finding_that_makes_no_sense_is_unknown);
  tcase_add_test(c, a_target_belongs_to_a_recipient);
  tcase_add_test(c, a_check_that_fails_is_unknown);
  tcase_add_test(c, a_finding_about_the_connection_outlives_the_recipient);
  tcase_add_test(c, facts_live_as_long_as_their_scope);
  tcase_add_test(c, a_refused_recipient_takes_its_facts_along);
  tcase_add_test(c, a_queue_id_outlives_a_refused_recipient);
  tcase_add_test(c, the_directory_names_the_recipients_profile);
  tcase_add_test(c, delays_are_bounded_in_length_and_number);
  tcase_add_test(c, a_delay_counts_from_the_beginning_of_the_stage);
  tcase_add_test(c, the_log_is_escaped_and_says_the_code_whatever_the_client_sends);
  tcase_add_test(c, overruled_recipients_take_no_memory);
  return c;
}
