/* SPDX-License-Identifier: MIT
 *
 * The steps around a message's last answer: known, promise, remember. A journal and a store that answer at once, late,
 * wrongly or never; sessions that go while one runs; no memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_store.h"
#include "test_core.h"

/* ---- the journal: promise L1 ----------------------------------------------------------------------------------------
 */

START_TEST(the_client_is_told_after_the_journal)
{
  store_begin(1);
  world_start(&W);
  smtpf_session *s = store_two();
  ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_queue_id(s, SMTPF_LIT("4F1A2")), SMTPF_OK);
  J.hold = 1;
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_OK);
  ck_assert_uint_eq(J.calls, 0); /* one entry for all, when all are durable */
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_OK), SMTPF_PENDING);
  ck_assert_ptr_null(smtpf_session_verdict(s));
  ck_assert_uint_eq(J.promises, 2);
  ck_assert_str_eq(J.message, "4F1A2");
  ck_assert_str_eq(J.recipient, "b@x.example");
  ck_assert_int_eq(J.disposition, SMTPF_DELIVERED);
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_OK), SMTPF_EBUSY);
  ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_ETIMEOUT);
  journal_answer(SMTPF_OK);
  ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_int_eq(store_recipient(s, 1).disposition, SMTPF_DELIVERED);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  EXPECT_CODE(s, 250);
  store_end(s);
}
END_TEST

static int told;

static void on_ready(void *user, smtpf_session *s)
{
  (void)user;
  told++;
  EXPECT_CODE(s, 250);
  smtpf_session_free(s); /* it may */
}

START_TEST(a_commit_can_be_told_by_callback)
{
  store_begin(1);
  world_start(&W);
  smtpf_session *s = store_two();
  ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
  smtpf_driver_set_ready(W.driver, on_ready, NULL);
  J.hold = 1;
  told = 0;
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_PENDING);
  ck_assert_str_ne(J.message, "");
  ck_assert_ptr_nonnull(strchr(J.message, '.')); /* no queue id: the session's, and which of its messages */
  journal_answer(SMTPF_OK);
  ck_assert_int_eq(told, 0); /* never inside another call */
  store_process();
  ck_assert_int_eq(told, 1);
  world_end(&W);
}
END_TEST

/* What is not in the journal is not told to be taken; what was refused is no promise. */
START_TEST(a_journal_that_fails_takes_back)
{
  for (int way = 0; way < 4; way++) {
    store_begin(1);
    world_start(&W);
    smtpf_session *s = store_two();
    ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
    J.fails = way == 0 ? 1 : way == 1 ? 2 : 0;
    J.hold = way >= 2;
    int r = smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK);
    if (way == 2)
      journal_answer(SMTPF_EIO);
    ck_assert_int_eq(store_wait(s, r), SMTPF_OK); /* way 3: check.timeout */
    EXPECT_CODE(s, 451);
    ck_assert_uint_eq(J.cancelled, way == 3);
    for (size_t i = 0; i < 2; i++) {
      ck_assert_int_eq(store_recipient(s, i).disposition, SMTPF_DEFERRED);
      ck_assert_int_eq(store_recipient(s, i).dsn, SMTPF_DSN_NEVER);
    }
    ck_assert_uint_eq(world_stat(&W, "recipients.deferred"), 2);
    ck_assert_uint_eq(world_stat(&W, "recipients.delivered"), 0);
    store_end(s);
  }
}
END_TEST

START_TEST(only_what_was_taken_is_promised)
{
  store_begin(1);
  world_start(&W);
  smtpf_session *s = store_two();
  ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_REFUSED), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_OK);
  EXPECT_CODE(s, 554);
  ck_assert_uint_eq(J.promises, 1);
  ck_assert_str_eq(J.recipient, "a@x.example");
  ck_assert_int_eq(world_mail(s, "<f@x.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(store_message(s, "\r\nx\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_FAILED), SMTPF_OK);
  EXPECT_CODE(s, 451);
  ck_assert_uint_eq(J.calls, 1); /* nothing to promise */
  store_end(s);
}
END_TEST

/* Promises that nobody would close, and memory of what nobody knows, are worse than none. */
START_TEST(hosts_that_cannot_commit_are_refused)
{
  for (int way = 0; way < 3; way++) {
    store_begin(way == 0);
    world_set(&W, "lost_ack.enable", way == 1 ? "true" : "false");
    world_start(&W);
    const smtpf_session_options o = {.size = sizeof o, .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT};
    smtpf_session *s = NULL;
    ck_assert_int_eq(smtpf_session_new(&s, W.driver, &o), way < 2 ? SMTPF_EUNSUPPORTED : SMTPF_OK);
    ck_assert_int_eq(s == NULL, way < 2);
    smtpf_session_free(s);
    ck_assert_int_eq(smtpf_session_new(&s, W.driver, NULL), SMTPF_OK); /* the default host commits */
    store_end(s);
  }
}
END_TEST

/* ---- lost acknowledgements ------------------------------------------------------------------------------------------
 */

static smtpf_session *sent(const char *text, int expected)
{
  smtpf_session *s = store_two();
  ck_assert_int_eq(store_wait(s, store_message(s, text)), SMTPF_OK);
  EXPECT_CODE(s, expected);
  return s;
}

START_TEST(a_copy_is_known_by_its_bytes_sender_and_recipient)
{
  store_begin(0);
  world_set(&W, "lost_ack.enable", "true");
  world_start(&W);
  smtpf_session *s = sent("\r\none\r\n", 250);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_commit(s, 1, SMTPF_COMMIT_FAILED), SMTPF_OK);
  EXPECT_CODE(s, 451);
  smtpf_session_free(s);
  s = sent("\r\none\r\n", 250);
  ck_assert_int_eq(store_recipient(s, 0).known, 1);
  ck_assert_int_eq(store_recipient(s, 0).final, 1);
  ck_assert_int_eq(store_recipient(s, 1).known, 0);
  ck_assert_int_eq(store_recipient(s, 1).final, 0);
  ck_assert_int_eq(smtpf_session_commit(s, 0, SMTPF_COMMIT_OK), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(world_stat(&W, "recipients.known"), 1);
  smtpf_session_free(s);
  s = sent("\r\none\r\n", 250); /* both are known: there is nothing to commit */
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_ESTATE);
  smtpf_session_free(s);
  s = sent("\r\none\r\n ", 250);
  ck_assert_int_eq(store_recipient(s, 0).known, 0);
  store_end(s);
}
END_TEST

/* Two mailboxes that differ only in case, where nobody says that they are one: each gets its own copy. */
START_TEST(another_mailbox_is_not_known)
{
  store_begin(0);
  world_set(&W, "lost_ack.enable", "true");
  world_start(&W);
  smtpf_session *s = store_mail();
  for (int turn = 0; turn < 3; turn++) {
    if (turn)
      ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
    ck_assert_int_eq(world_rcpt(s, turn == 1 ? "<Ann@x.example>" : "<ann@X.example>"), SMTPF_OK);
    ck_assert_int_eq(store_message(s, "\r\none\r\n"), SMTPF_OK);
    ck_assert_int_eq(store_recipient(s, 0).known, turn == 2);
    if (turn < 2)
      ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_OK);
  }
  store_end(s);
}
END_TEST

/* What cannot be read is not known: rather a second delivery than none. What cannot be written changes no answer. */
START_TEST(memory_that_fails_delivers_again)
{
  for (int way = 0; way < 4; way++) { /* read fails, read never comes, write fails, write never comes */
    store_begin(0);
    world_set(&W, "lost_ack.enable", "true");
    world_start(&W);
    smtpf_session *s = sent("\r\none\r\n", 250);
    S.commit_fails = way == 2;
    S.hold = way == 3;
    ck_assert_int_eq(store_wait(s, smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK)), SMTPF_OK);
    EXPECT_CODE(s, 250);
    ck_assert_int_eq(store_recipient(s, 0).disposition, SMTPF_DELIVERED);
    if (way == 2)
      ck_assert_str_ne(world_last_log(&W, "not-remembered"), "");
    smtpf_session_free(s);
    S.get_fails = way == 0;
    S.hold = way == 1;
    s = sent("\r\none\r\n", 250);
    ck_assert_int_eq(store_recipient(s, 0).known, way == 3); /* it had been written, only the answer did not come */
    store_end(s);
  }
}
END_TEST

/* Promise L7: a copy that is known has nothing to wait for; beside it a deferral is counted as everywhere. */
START_TEST(a_deferral_beside_a_known_copy_is_counted)
{
  store_begin(0);
  world_set(&W, "lost_ack.enable", "true");
  world_set(&W, "budget.deferrals", "1");
  world_start(&W);
  smtpf_session *s = store_mail();
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(store_message(s, "\r\none\r\n"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_OK);
  scanner->run = script_report;
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK); /* a@ is put off for another message: spent */
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(store_message(s, "\r\ntwo\r\n"), SMTPF_OK);
  EXPECT_CODE(s, 451);
  smtpf_session_free(s);
  for (int turn = 0; turn < 2; turn++) {
    s = sent("\r\none\r\n", turn ? 250 : 451); /* a@ is known, b@ put off, once */
    ck_assert_int_eq(store_recipient(s, 0).known, 1);
    ck_assert_int_eq(store_recipient(s, 1).disposition, turn ? SMTPF_QUARANTINED : SMTPF_DEFERRED);
    smtpf_session_free(s);
  }
  world_end(&W);
}
END_TEST

/* ---- sessions that go while a step runs
 * ------------------------------------------------------------------------------
 */

/* Leaves a session pending in the n-th step of a message's life. */
static smtpf_session *pending_in(int step)
{
  store_begin(1);
  world_set(&W, "lost_ack.enable", "true");
  greylist->run = step < 2 ? script_report : NULL;
  scanner->run = step == 3 ? script_report : NULL;
  world_start(&W);
  smtpf_session *s = store_mail();
  int r = SMTPF_OK;
  S.hold = step < 2;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), step < 2 ? SMTPF_PENDING : SMTPF_OK);
  if (step == 1) { /* the charge */
    store_answer();
    store_process();
  } else if (step >= 2) {
    S.hold = step == 2; /* known */
    if (step == 3) {    /* the budget, at the end of the message: after `known` */
      S.hold = 1;
      r = store_message(s, "\r\nx\r\n");
      ck_assert_int_eq(r, SMTPF_PENDING);
      store_answer();
      store_process();
      return s;
    }
    r = store_message(s, "\r\nx\r\n");
    if (step > 3) {
      J.hold = step == 4; /* promise */
      S.hold = step == 5; /* remember */
      r = smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK);
    }
    ck_assert_int_eq(r, SMTPF_PENDING);
  }
  return s;
}

START_TEST(a_session_may_go_in_every_step)
{
  for (int step = 0; step < 6; step++)
    for (int aborted = 0; aborted < 2; aborted++) {
      smtpf_session *s = pending_in(step);
      ck_assert_ptr_null(smtpf_session_verdict(s));
      if (aborted) {
        ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
        ck_assert_uint_eq(S.cancelled + J.cancelled, 1);
      }
      smtpf_session_free(s);
      ck_assert_uint_eq(S.cancelled, step != 4);
      ck_assert_uint_eq(J.cancelled, step == 4);
      for (size_t i = 0; i < S.n_held; i++) /* too late */
        ck_assert_int_eq(smtpf_op_store(W.driver, S.held[i].op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0}),
                         SMTPF_ENOTFOUND);
      store_process();
      world_end(&W);
    }
}
END_TEST

/* ---- what is noted
 * ---------------------------------------------------------------------------------------------------
 */

static int noting(script *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_change c = {.size = sizeof c,
                          .op = SMTPF_CHANGE_SET,
                          .key = SMTPF_LIT("seen-by-a-check-0123456789abcdef"),
                          .value = SMTPF_LIT("1"),
                          .expires = INT64_MAX};
  const smtpf_change bad = {.size = sizeof bad, .op = SMTPF_CHANGE_SET, .expires = INT64_MAX};
  ck_assert_int_eq(smtpf_task_note(t, &bad, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_note(t, &c, 1), SMTPF_OK);
  return self->finding.kind ? script_report(self, t, ev) : SMTPF_OK;
}

/* A deferral, its debt and what was seen are one commit, and nothing is said before it. */
START_TEST(what_is_noted_goes_with_the_debt)
{
  store_begin(0);
  greylist->run = noting;
  world_start(&W);
  smtpf_session *s = store_mail();
  S.hold = 1;
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_PENDING);
  ck_assert_uint_eq(S.commits, 0); /* the budget is read first */
  store_answer();
  store_process();
  ck_assert_uint_eq(S.commits, 1);
  ck_assert_uint_eq(S.changes, 2);
  ck_assert_ptr_null(smtpf_session_verdict(s));
  store_answer();
  store_process();
  EXPECT_CODE(s, 450);
  S.hold = 0;
  ck_assert_int_eq(world_rcpt(s, "<b@x.example>"), SMTPF_OK); /* the last one's notes are not written again */
  EXPECT_CODE(s, 450);
  ck_assert_uint_eq(S.commits, 2);
  ck_assert_uint_eq(S.changes, 4);
  store_end(s);
}
END_TEST

/* Neither is written, nobody is put off; a budget that cannot be read keeps nothing from being noted. */
START_TEST(what_cannot_be_noted_puts_nobody_off)
{
  for (int way = 0; way < 3; way++) {
    store_begin(0);
    greylist->run = noting;
    world_start(&W);
    smtpf_session *s = store_mail();
    S.commit_fails = way;
    S.get_fails = way == 0;
    ck_assert_int_eq(store_wait(s, world_rcpt(s, "<a@x.example>")), SMTPF_OK);
    EXPECT_CODE(s, 250);
    ck_assert_uint_eq(S.commits, 1);
    ck_assert_uint_eq(S.changes, way == 0 ? 1 : 2);
    ck_assert_uint_eq(S.n_records, way == 0);
    store_end(s);
  }
}
END_TEST

/* What was seen is written whatever the answer: taken, refused, put off by need. */
START_TEST(what_is_noted_is_written_whatever_the_answer)
{
  static const struct {
    int kind, code;
    unsigned flags;
  } rows[] = {{0, 250, 0}, {SMTPF_HIT, 550, SMTPF_FINDING_REFUSE}, {SMTPF_UNKNOWN, 451, SMTPF_FINDING_DEFER}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    store_begin(0);
    greylist->run = noting;
    greylist->finding.kind = rows[i].kind;
    greylist->finding.flags = rows[i].flags;
    greylist->finding.reply = rows[i].code > 250 ? rows[i].code : 0;
    world_start(&W);
    smtpf_session *s = store_mail();
    S.hold = 1;
    ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_PENDING);
    ck_assert_uint_eq(S.commits, 1);
    ck_assert_uint_eq(S.changes, 1);
    store_answer();
    store_process();
    EXPECT_CODE(s, rows[i].code);
    store_end(s);
  }
}
END_TEST

/* ---- no memory ------------------------------------------------------------------------------------------------------
 */

/* Each allocation between DATA and the last answer fails once: 250 is told only for what the journal has. */
START_TEST(without_memory_nothing_is_told_that_is_not_promised)
{
  long failed = 0;
  for (long at = 1;; at++) {
    store_begin(1);
    world_set(&W, "lost_ack.enable", "true");
    world_set(&W, "memory.chunk", "0");
    world_start(&W);
    smtpf_session *s = store_two();
    W.allocations = 0;
    W.fail_at = at;
    ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
    if (world_code(s) == 354) {
      ck_assert_int_eq(world_body(s, "\r\nx\r\n"), SMTPF_OK);
      ck_assert_int_eq(smtpf_session_eom(s), SMTPF_OK);
      if (world_code(s) == 250)
        ck_assert_int_eq(smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK), SMTPF_OK);
    }
    const int code = world_code(s);
    ck_assert_msg(code == 451 || (code == 250 && J.promises == 2), "allocation %ld: %d, %zu promises", at, code,
                  J.promises);
    failed += code == 451;
    const int all_done = W.allocations < at;
    store_end(s);
    if (all_done)
      break;
  }
  ck_assert_int_gt(failed, 5);
}
END_TEST

TCase *commit_cases(void)
{
  TCase *c = tcase_create("commits");
  tcase_set_timeout(c, 30);
  tcase_add_test(c, the_client_is_told_after_the_journal);
  tcase_add_test(c, a_commit_can_be_told_by_callback);
  tcase_add_test(c, a_journal_that_fails_takes_back);
  tcase_add_test(c, only_what_was_taken_is_promised);
  tcase_add_test(c, hosts_that_cannot_commit_are_refused);
  tcase_add_test(c, a_copy_is_known_by_its_bytes_sender_and_recipient);
  tcase_add_test(c, another_mailbox_is_not_known);
  tcase_add_test(c, memory_that_fails_delivers_again);
  tcase_add_test(c, a_deferral_beside_a_known_copy_is_counted);
  tcase_add_test(c, a_session_may_go_in_every_step);
  tcase_add_test(c, what_is_noted_goes_with_the_debt);
  tcase_add_test(c, what_cannot_be_noted_puts_nobody_off);
  tcase_add_test(c, what_is_noted_is_written_whatever_the_answer);
  tcase_add_test(c, without_memory_nothing_is_told_that_is_not_promised);
  return c;
}
