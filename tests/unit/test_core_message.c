/* SPDX-License-Identifier: MIT
 *
 * Messages: what becomes of each copy, with one reply and with one for each recipient; commits; overrule; edits; and
 * each limit, hit once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

enum {
  COMMITS = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_REPORT_COMMIT,
  EACH = COMMITS | SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT,
};

static smtpf_recipient_info recipient(const smtpf_session *s, size_t i)
{
  smtpf_recipient_info info = {.size = sizeof info};
  ck_assert_int_eq(smtpf_verdict_recipient(smtpf_session_verdict(s), i, &info), SMTPF_OK);
  return info;
}

static void finish(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

static smtpf_session *two_recipients(unsigned capabilities)
{
  smtpf_session *s = world_greeted(&W, capabilities);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@X.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  return s;
}

/* ---- DATA ---- */

static int hit_and_missing(script *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_finding hit = finding_hit(6000), missing = finding_missing();
  (void)self;
  (void)ev;
  ck_assert_int_eq(smtpf_task_report(t, &hit), SMTPF_OK);
  return smtpf_task_report(t, &missing);
}

/* Promise L4: at DATA one recipient's profile refuses and the other cannot be judged: one reply must serve both. */
START_TEST(data_waits_where_one_recipient_does)
{
  world_init(&W);
  world_check(&W, "both", SMTPF_DATA, 0)->run = hit_and_missing;
  world_set(&W, "profiles[\"default\"].reject", "10");
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"a@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = two_recipients(COMMITS);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 450);
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  finish(s);
}
END_TEST

START_TEST(data_is_refused_only_when_nobody_would_take_it)
{
  world_init(&W);
  script *c = world_check(&W, "hit", SMTPF_DATA, 0);
  c->run = script_report;
  c->finding = finding_hit(6000);
  world_set(&W, "profiles[\"default\"].reject", "10");
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"a@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = two_recipients(COMMITS);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_DATA, 451), SMTPF_OK);
  /* Told again: what DATA found before does not count twice. */
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_uint_eq(smtpf_verdict_evidence_count(smtpf_session_verdict(s)), 1);
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 550);
  ck_assert_int_eq(recipient(s, 0).disposition, 0);
  finish(s);
}
END_TEST

/* ---- end of message and commit ---- */

START_TEST(nothing_is_final_before_commit)
{
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_taken(&W, COMMITS, "Subject: x\r\n\r\nbody\r\n");
  EXPECT_CODE(s, 250);
  ck_assert_str_eq(recipient(s, 0).address.p, "a@x.example");
  ck_assert_int_eq(recipient(s, 0).final, 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_ESTATE); /* not before the last commit */
  ck_assert_int_eq(smtpf_session_commit(s, 2, SMTPF_COMMIT_OK), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_session_commit(s, 0, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_commit(s, 0, 4), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(recipient(s, 0).final, 1);
  ck_assert_int_eq(recipient(s, 1).final, 0);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_EOM, 451), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_FAILED), SMTPF_OK);
  EXPECT_CODE(s, 451);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
  ck_assert_int_eq(world_disposition(s, 1), SMTPF_DEFERRED);
  ck_assert_int_eq(recipient(s, 1).dsn, SMTPF_DSN_NEVER);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_ESTATE);
  ck_assert_uint_eq(world_stat(&W, "recipients.delivered"), 1);
  ck_assert_uint_eq(world_stat(&W, "recipients.deferred"), 1);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  finish(s);
}
END_TEST

static int reply_of(int result)
{
  return result == SMTPF_COMMIT_OK ? 250 : result == SMTPF_COMMIT_FAILED ? 451 : 554;
}

/* Every pair of results, told one by one or, when alike, at once; with one reply and with two. */
START_TEST(commit_matrix)
{
  for (int each = 0; each < 2; each++)
    for (int a = SMTPF_COMMIT_OK; a <= SMTPF_COMMIT_REFUSED; a++)
      for (int b = SMTPF_COMMIT_OK; b <= SMTPF_COMMIT_REFUSED; b++) {
        world_init(&W);
        world_start(&W);
        smtpf_session *s = world_taken(&W, each ? EACH : COMMITS, "\r\nbody\r\n");
        if (a == b) {
          ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, a), SMTPF_OK);
        } else {
          ck_assert_int_eq(smtpf_session_commit(s, 1, b), SMTPF_OK);
          ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, a), SMTPF_OK); /* the one that is left */
        }
        const int ra = reply_of(a), rb = reply_of(b), any = ra == 451 || rb == 451 ? 451 : ra == 554 ? ra : rb;
        const int one_taken = ra == 250 || rb == 250;
        EXPECT_CODE(s, each && one_taken ? 250 : any);
        if (each) {
          ck_assert_int_eq(recipient(s, 0).reply_code, ra);
          ck_assert_int_eq(recipient(s, 1).reply_code, rb);
        }
        ck_assert_uint_eq(smtpf_verdict_recipient_count(smtpf_session_verdict(s)), 2);
        finish(s);
      }
}
END_TEST

/* The next hop's words are a recipient's own reply where the commit says the same, printable, and bounded. */
START_TEST(what_the_hop_says_is_told)
{
  char text[2000];
  memset(text, 'x', sizeof text);
  memcpy(text, "full\r\n\xff", 7);
  for (int each = 0; each < 2; each++) {
    world_init(&W);
    world_start(&W);
    smtpf_session *s = world_taken(&W, each ? EACH : COMMITS, "\r\nbody\r\n");
    const smtpf_str words = {text, sizeof text}, none = {"", 0};
    ck_assert_int_eq(smtpf_session_hop_reply(s, 0, 354, none, none), SMTPF_EINVAL);
    ck_assert_int_eq(smtpf_session_hop_reply(s, 0, 452, words, none), SMTPF_EINVAL);
    ck_assert_int_eq(smtpf_session_hop_reply(s, 2, 452, none, words), SMTPF_ENOTFOUND);
    ck_assert_int_eq(smtpf_session_hop_reply(s, 0, 452, SMTPF_LIT("4.2.2"), words), SMTPF_OK);
    ck_assert_int_eq(smtpf_session_hop_reply(s, 1, 250, none, SMTPF_LIT("queued")), SMTPF_OK);
    ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_FAILED), SMTPF_OK);
    ck_assert_int_eq(smtpf_session_hop_reply(s, 0, 452, none, words), SMTPF_ENOTFOUND);
    ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_REFUSED), SMTPF_OK);
    EXPECT_CODE(s, 451);
    if (each) {
      const smtpf_recipient_info a = recipient(s, 0);
      ck_assert(a.reply_code == 452 && smtpf_str_equal(a.enhanced, SMTPF_LIT("4.2.2")));
      ck_assert_uint_le(a.text.n, 512);
      ck_assert_uint_gt(a.text.n, 400);
      ck_assert_mem_eq(a.text.p, "full?\n?x", 8);
      ck_assert_int_eq(recipient(s, 1).reply_code, 554); /* it was committed as something else */
    }
    ck_assert_int_eq(smtpf_session_hop_reply(s, 0, 452, none, words), SMTPF_ESTATE);
    finish(s);
  }
}
END_TEST

START_TEST(without_commits_copies_are_handed_over)
{
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_taken(&W, SMTPF_CAN_SEE_BODY, "\r\n");
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_HANDED_OVER);
  ck_assert_int_eq(recipient(s, 0).final, 1);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_EOM, 554), SMTPF_OK);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_REJECTED);
  ck_assert_uint_eq(world_stat(&W, "recipients.rejected"), 2); /* exactly one each */
  ck_assert_uint_eq(world_stat(&W, "recipients.handed-over"), 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  finish(s);
}
END_TEST

START_TEST(what_was_promised_and_not_committed_is_logged)
{
  for (int how = 0; how < 2; how++) {
    world_init(&W);
    world_start(&W);
    smtpf_session *s = world_taken(&W, COMMITS, "\r\n");
    ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_OK);
    if (how) {
      ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
      ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
      ck_assert_ptr_null(smtpf_session_verdict(s));
      ck_assert_int_eq(smtpf_session_quit(s), SMTPF_ESTATE);
      ck_assert_uint_eq(world_stat(&W, "recipients.unclosed"), 1);
    }
    smtpf_session_free(s);
    ck_assert_uint_eq(world_stat(&W, "recipients.unclosed"), 1);
    ck_assert_ptr_nonnull(strstr(world_last_log(&W, "unclosed"), "to=b@x.example"));
    world_end(&W);
  }
}
END_TEST

/* ---- LMTP ---- */

static smtpf_session *lmtp(const char *message)
{
  smtpf_session *s = world_session(&W, EACH, SMTPF_LMTP);
  ck_assert_int_eq(world_connect(s, ""), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("x")), SMTPF_OK);
  EXPECT_CODE(s, 500);
  ck_assert_int_eq(world_helo(s, "client.example"), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_int_eq(world_body(s, message), SMTPF_OK);
  return s;
}

START_TEST(lmtp_answers_each_recipient)
{
  world_init(&W);
  script *c = world_check(&W, "content", SMTPF_EOM, 3);
  c->run = script_report;
  c->finding = finding_hit(8000);
  world_set(&W, "profiles[\"default\"].reject", "10");
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"b@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = lmtp("\r\n");
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(recipient(s, 0).disposition, SMTPF_TAGGED);
  ck_assert_int_eq(recipient(s, 0).reply_code, 250);
  ck_assert_int_eq(recipient(s, 1).disposition, SMTPF_REJECTED);
  ck_assert_int_eq(recipient(s, 1).reply_code, 550);
  ck_assert(smtpf_str_equal(recipient(s, 1).text, SMTPF_LIT("because of it")));
  ck_assert_int_eq(recipient(s, 1).final, 1);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 1);
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_OK), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_FAILED), SMTPF_OK);
  ck_assert_int_eq(recipient(s, 0).reply_code, 451);
  ck_assert_int_eq(recipient(s, 1).reply_code, 550);
  finish(s);
}
END_TEST

/* The host's own refusal takes the place of an acceptance, not of another refusal. */
START_TEST(an_overruled_message_leaves_refusals_as_they_are)
{
  world_init(&W);
  script *c = world_check(&W, "content", SMTPF_EOM, 3);
  c->run = script_report;
  c->finding = finding_hit(8000);
  world_set(&W, "profiles[\"default\"].reject", "10");
  world_set(&W, "profiles[\"strict\"].reject", "5");
  world_set(&W, "recipients[\"b@x.example\"].profile", "strict");
  world_start(&W);
  smtpf_session *s = lmtp("\r\n");
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_EOM, 451), SMTPF_OK);
  ck_assert_int_eq(recipient(s, 0).disposition, SMTPF_DEFERRED);
  ck_assert_int_eq(recipient(s, 1).disposition, SMTPF_REJECTED);
  finish(s);
}
END_TEST

START_TEST(lmtp_recipients_of_a_refused_message_hear_why)
{
  world_init(&W);
  world_set(&W, "limits.message", "1k");
  world_start(&W);
  char *big = malloc(2048);
  memset(big, 'x', 2047);
  big[2047] = '\0';
  smtpf_session *s = lmtp(big);
  free(big);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 552);
  ck_assert_int_eq(recipient(s, 1).reply_code, 552);
  ck_assert_str_eq(recipient(s, 1).enhanced.p, "5.3.4");
  finish(s);
}
END_TEST

/* ---- overrule ---- */

START_TEST(overrule_goes_back)
{
  world_init(&W);
  world_start(&W);
  smtpf_session *s = world_greeted(&W, COMMITS);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_HELO, 399), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_HELO, 600), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_MAIL, 550), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_session_overrule(s, 0, 550), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_HELO, 550), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_HELO, 550), SMTPF_ESTATE);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  ck_assert_int_eq(world_helo(s, "x.example"), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_MAIL, 451), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 503);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_RCPT, 550), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 554);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  ck_assert_uint_eq(smtpf_verdict_recipient_count(smtpf_session_verdict(s)), 1);
  ck_assert_str_eq(recipient(s, 0).address.p, "b@x.example");
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_DATA, 451), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(smtpf_session_overrule(s, SMTPF_EOM, 451), SMTPF_OK);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DEFERRED);
  ck_assert_uint_eq(world_stat(&W, "recipients.deferred"), 1);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  finish(s);
}
END_TEST

/* ---- edits ---- */

static smtpf_edit_info edit(const smtpf_session *s, size_t i)
{
  smtpf_edit_info e = {.size = sizeof e};
  ck_assert_int_eq(smtpf_verdict_edit(smtpf_session_verdict(s), i, &e), SMTPF_OK);
  return e;
}

START_TEST(every_foreign_mark_goes_and_ours_comes)
{
  enum { FOREIGN = 1500 };
  world_init(&W);
  script *c = world_check(&W, "content", SMTPF_EOM, 3);
  c->run = script_report;
  c->finding = finding_hit(6000);
  world_set(&W, "tag.header", "X-Mark");
  world_start(&W);
  smtpf_session *s = two_recipients(COMMITS);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  for (int i = 0; i < FOREIGN; i++)
    ck_assert_int_eq(world_body(s, i % 2 ? "x-mark: clean\r\n" : "X-MARK: a\r\n b\r\n"), SMTPF_OK);
  ck_assert_int_eq(world_body(s, "X-Marked: other\r\n\r\nX-Mark: body\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), FOREIGN + 1);
  for (int i = 0; i < FOREIGN; i++) {
    ck_assert_int_eq(edit(s, (size_t)i).op, SMTPF_EDIT_DELETE);
    ck_assert_int_eq(edit(s, (size_t)i).occurrence, FOREIGN - i);
  }
  const smtpf_edit_info mark = edit(s, FOREIGN);
  ck_assert_int_eq(mark.op, SMTPF_EDIT_PREPEND);
  ck_assert_str_eq(mark.name.p, "X-Mark");
  ck_assert_str_eq(mark.value.p, "tagged; score=6; content=listed");
  ck_assert_uint_eq(mark.recipient, (size_t)-1);
  smtpf_edit_info none = {.size = sizeof none};
  ck_assert_int_eq(smtpf_verdict_edit(smtpf_session_verdict(s), FOREIGN + 1, &none), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_OK);
  finish(s);
}
END_TEST

/* ---- limits, each once ---- */

static smtpf_session *limited(const char *path, const char *value)
{
  world_init(&W);
  world_set(&W, path, value);
  world_start(&W);
  return world_greeted(&W, COMMITS);
}

static void expect_limit(smtpf_session *s, int code, const char *name, int closes)
{
  const smtpf_verdict *v = smtpf_session_verdict(s);
  EXPECT_CODE(s, code);
  ck_assert_str_eq(smtpf_verdict_rule(v).p, name);
  ck_assert_ptr_nonnull(strstr(smtpf_verdict_text(v).p, name));
  ck_assert_int_eq(smtpf_verdict_closes(v), closes);
  if (closes)
    ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_ESTATE);
}

START_TEST(limits_of_the_session)
{
  smtpf_session *s = limited("limits.commands", "10");
  for (int i = 0; i < 9; i++) {
    ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("noop")), SMTPF_OK);
    EXPECT_CODE(s, 250);
  }
  ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_OK);
  expect_limit(s, 421, "limits.commands", 1);
  finish(s);

  s = limited("limits.session_time", "10s");
  W.now_ns += UINT64_C(10000) * 1000000;
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  W.now_ns += 1000000;
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  expect_limit(s, 421, "limits.session_time", 1);
  finish(s);

  s = limited("limits.transactions", "2");
  for (int i = 0; i < 2; i++) {
    ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
    EXPECT_CODE(s, 250);
    ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  }
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  expect_limit(s, 421, "limits.transactions", 1);
  finish(s);

  s = limited("limits.errors", "2");
  ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("WAT")), SMTPF_OK);
  EXPECT_CODE(s, 500);
  ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("EXPN")), SMTPF_OK);
  expect_limit(s, 421, "limits.errors", 1);
  finish(s);
}
END_TEST

START_TEST(limits_of_the_message)
{
  smtpf_session *s = limited("limits.recipients", "1");
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
  expect_limit(s, 452, "limits.recipients", 0);
  finish(s);

  s = limited("limits.message", "1k");
  ck_assert_int_eq(smtpf_session_mail(s, SMTPF_LIT("<>"), SMTPF_LIT("SIZE=1024 X=y")), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_mail(s, SMTPF_LIT("<>"), SMTPF_LIT("SIZE=1025")), SMTPF_OK);
  expect_limit(s, 552, "limits.message", 0);
  ck_assert_int_eq(smtpf_session_mail(s, SMTPF_LIT("<>"), SMTPF_LIT("SIZE=99999999999999999999")), SMTPF_OK);
  EXPECT_CODE(s, 501);
  finish(s);

  s = limited("limits.received", "3");
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  for (int i = 0; i < 4; i++)
    ck_assert_int_eq(world_body(s, "Received: x\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  expect_limit(s, 554, "limits.received", 0);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_REJECTED);
  finish(s);

  s = limited("limits.header", "1k");
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  for (int i = 0; i < 103; i++)
    ck_assert_int_eq(world_body(s, "X: 45678\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
  expect_limit(s, 552, "limits.header", 0);
  finish(s);
}
END_TEST

/* A message's answer stands, whatever the count of errors: the client must not send again what was refused for good. */
START_TEST(the_error_limit_does_not_replace_a_messages_answer)
{
  world_init(&W);
  script *c = world_check(&W, "content", SMTPF_EOM, 3);
  c->run = script_report;
  c->finding = finding_fact(554);
  world_set(&W, "limits.errors", "1");
  world_start(&W);
  smtpf_session *s = world_taken(&W, COMMITS, "\r\n");
  EXPECT_CODE(s, 554);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_REJECTED);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  expect_limit(s, 421, "limits.errors", 1);
  finish(s);
}
END_TEST

/* Where 421 does replace it, every copy is the client's to send again. */
START_TEST(a_violation_at_the_error_limit_defers_the_message)
{
  for (int last = 0; last < 2; last++) {
    world_init(&W);
    world_set(&W, "limits.errors", last ? "1" : "2");
    world_start(&W);
    smtpf_session *s = two_recipients(COMMITS);
    ck_assert_int_eq(smtpf_session_violation(s, 499, SMTPF_LIT("5.5.2"), SMTPF_LIT("x")), SMTPF_EINVAL);
    ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
    ck_assert_int_eq(smtpf_session_violation(s, 550, SMTPF_LIT("5.6.11"), SMTPF_LIT("bare LF")), SMTPF_OK);
    EXPECT_CODE(s, last ? 421 : 550);
    ck_assert_int_eq(world_disposition(s, 1), last ? SMTPF_DEFERRED : SMTPF_REJECTED);
    ck_assert_int_eq(smtpf_verdict_closes(smtpf_session_verdict(s)), last);
    finish(s);
  }
}
END_TEST

/* ---- counts ---- */

START_TEST(refused_recipients_are_counted_over_the_session)
{
  world_init(&W);
  script *c = world_check(&W, "counts", SMTPF_MAIL | SMTPF_RCPT, 0);
  world_start(&W);
  c->at = SMTPF_RCPT;
  smtpf_session *s = world_greeted(&W, COMMITS);
  for (int i = 0; i < 2; i++) {
    c->run = script_report;
    c->finding = finding_fact(550);
    ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, 550);
    c->finding = finding_missing();
    ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK);
    EXPECT_CODE(s, 450); /* not the client's fault: it does not count */
    ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
  }
  c->run = NULL;
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<c@x.example>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(c->seen.failed_recipients, 2);
  finish(s);
}
END_TEST

TCase *message_cases(void)
{
  TCase *c = tcase_create("message");
  tcase_add_test(c, data_waits_where_one_recipient_does);
  tcase_add_test(c, data_is_refused_only_when_nobody_would_take_it);
  tcase_add_test(c, nothing_is_final_before_commit);
  tcase_add_test(c, commit_matrix);
  tcase_add_test(c, what_the_hop_says_is_told);
  tcase_add_test(c, without_commits_copies_are_handed_over);
  tcase_add_test(c, what_was_promised_and_not_committed_is_logged);
  tcase_add_test(c, lmtp_answers_each_recipient);
  tcase_add_test(c, an_overruled_message_leaves_refusals_as_they_are);
  tcase_add_test(c, lmtp_recipients_of_a_refused_message_hear_why);
  tcase_add_test(c, overrule_goes_back);
  tcase_add_test(c, every_foreign_mark_goes_and_ours_comes);
  tcase_add_test(c, limits_of_the_session);
  tcase_add_test(c, limits_of_the_message);
  tcase_add_test(c, the_error_limit_does_not_replace_a_messages_answer);
  tcase_add_test(c, a_violation_at_the_error_limit_defers_the_message);
  tcase_add_test(c, refused_recipients_are_counted_over_the_session);
  return c;
}
