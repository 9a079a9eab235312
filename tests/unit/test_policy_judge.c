/* SPDX-License-Identifier: MIT
 *
 * judge: each line of its table decides, in its order, and nothing that is unknown ever refuses.
 */
#include <check.h>
#include <stdlib.h>

#include "policy/judge.h"
#include "test_policy.h"

static const smtpf_profile usual = {.name = {"default", 7},
                                    .reject = 10000,
                                    .quarantine = 7000,
                                    .tag = 5000,
                                    .discard = SMTPF_SCORE_OFF,
                                    .reject_lists = 1,
                                    .reject_content = 1};
static const smtpf_profile never = {.name = {"never", 5},
                                    .reject = SMTPF_SCORE_OFF,
                                    .quarantine = SMTPF_SCORE_OFF,
                                    .tag = SMTPF_SCORE_OFF,
                                    .discard = SMTPF_SCORE_OFF};

static smtpf_evidence hit(int32_t score)
{
  return (smtpf_evidence){.check = "list", .code = "listed", .kind = SMTPF_HIT, .score = score};
}

static smtpf_evidence fact(unsigned flags)
{
  smtpf_evidence e = hit(0);
  e.flags = (uint16_t)(SMTPF_FINDING_REFUSE | flags);
  return e;
}

static smtpf_evidence unknown(unsigned flags)
{
  return (smtpf_evidence){.check = "scan", .code = "timeout", .kind = SMTPF_UNKNOWN, .flags = (uint16_t)flags};
}

static smtpf_evidence clear(int32_t score)
{
  return (smtpf_evidence){.check = "list", .code = "pass", .kind = SMTPF_CLEAR, .score = score};
}

static smtpf_outcome judge(const smtpf_profile *p, int own, const smtpf_evidence *list, size_t n)
{
  const smtpf_evidence *v[8];
  for (size_t i = 0; i < n; i++)
    v[i] = &list[i];
  const smtpf_will will = {.profile = p, .origin = own ? SMTPF_ORIGIN_OWN : SMTPF_ORIGIN_STRANGER};
  return smtpf_judge(&will, (smtpf_view){v, n});
}

static void expect(smtpf_outcome o, int act, int rule)
{
  ck_assert_int_eq(o.act, act);
  ck_assert_int_eq(o.rule, rule);
}

START_TEST(each_line_decides)
{
  expect(judge(&usual, 0, NULL, 0), SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(4999)}, 1), SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(5000)}, 1), SMTPF_ACT_TAG, SMTPF_RULE_TAG);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(6999)}, 1), SMTPF_ACT_TAG, SMTPF_RULE_TAG);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(7000)}, 1), SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(9999)}, 1), SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE);
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(10000)}, 1), SMTPF_ACT_REJECT, SMTPF_RULE_REJECT);
  expect(judge(&usual, 0, (smtpf_evidence[]){fact(0)}, 1), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  expect(judge(&usual, 0, (smtpf_evidence[]){unknown(SMTPF_FINDING_DEFER)}, 1), SMTPF_ACT_DEFER, SMTPF_RULE_MISSING);
  expect(judge(&usual, 1, (smtpf_evidence[]){hit(99000)}, 1), SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN);
}
END_TEST

/* Every line of the table, with the will that makes it decide: what is found is the same for all. */
START_TEST(lines_of_wills)
{
  const smtpf_evidence spam = hit(12000), some = hit(8000), down = unknown(SMTPF_FINDING_ELECTIVE);
  const smtpf_evidence keep = unknown(SMTPF_FINDING_QUARANTINE), mark = unknown(SMTPF_FINDING_TAG);
  const smtpf_evidence own_down = unknown(SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO);
  smtpf_evidence virus = fact(0);
  virus.family = SMTPF_FAMILY_CONTENT;
  smtpf_evidence early = hit(0);
  early.family = SMTPF_FAMILY_GREYLIST;
  early.flags = SMTPF_FINDING_ELECTIVE;
  smtpf_profile drop = usual, late = usual, keen = usual, open = usual;
  drop.discard = 11000; /* above reject: drops what is worse than what it refuses */
  late.discard = 9000;
  keen.greylist = 1;
  open.quarantine = SMTPF_SCORE_OFF;
  enum { STRANGER = SMTPF_ORIGIN_STRANGER, LIST = SMTPF_ORIGIN_LIST, OWN = SMTPF_ORIGIN_OWN };
  enum { LEFT = SMTPF_BUDGET_LEFT, SPENT = SMTPF_BUDGET_SPENT, UNREADABLE = SMTPF_BUDGET_UNREADABLE };
  const struct {
    const smtpf_profile *profile;
    uint8_t origin, restricted, entry, budget;
    const smtpf_evidence *e;
    int act, rule, definite;
  } lines[] = {
      {&usual, OWN, 1, 0, LEFT, &some, SMTPF_ACT_REJECT, SMTPF_RULE_RESTRICTED, SMTPF_ACT_REJECT},
      {&usual, OWN, 0, SMTPF_ENTRY_DENY, LEFT, &spam, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, SMTPF_ACT_ACCEPT},
      {&usual, STRANGER, 0, SMTPF_ENTRY_ALLOW, LEFT, &spam, SMTPF_ACT_ACCEPT, SMTPF_RULE_ALLOW, SMTPF_ACT_ACCEPT},
      {&usual, STRANGER, 0, SMTPF_ENTRY_DENY, LEFT, &some, SMTPF_ACT_REJECT, SMTPF_RULE_DENY, SMTPF_ACT_REJECT},
      {&usual, LIST, 0, SMTPF_ENTRY_DENY, LEFT, &some, SMTPF_ACT_QUARANTINE, SMTPF_RULE_DENY, SMTPF_ACT_QUARANTINE},
      {&open, LIST, 0, SMTPF_ENTRY_DENY, LEFT, &some, SMTPF_ACT_TAG, SMTPF_RULE_DENY, SMTPF_ACT_TAG},
      {&drop, STRANGER, 0, 0, LEFT, &spam, SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, SMTPF_ACT_DISCARD},
      {&late, STRANGER, 0, 0, LEFT, &spam, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, SMTPF_ACT_REJECT},
      {&late, LIST, 0, 0, LEFT, &spam, SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, SMTPF_ACT_DISCARD},
      {&usual, LIST, 0, 0, LEFT, &spam, SMTPF_ACT_QUARANTINE, SMTPF_RULE_REJECT, SMTPF_ACT_QUARANTINE},
      {&open, LIST, 0, 0, LEFT, &spam, SMTPF_ACT_TAG, SMTPF_RULE_REJECT, SMTPF_ACT_TAG},
      {&usual, STRANGER, 0, 0, LEFT, &down, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_QUARANTINE},
      {&usual, STRANGER, 0, 0, SPENT, &down, SMTPF_ACT_QUARANTINE, SMTPF_RULE_SPENT, SMTPF_ACT_QUARANTINE},
      {&usual, LIST, 0, 0, UNREADABLE, &down, SMTPF_ACT_QUARANTINE, SMTPF_RULE_SPENT, SMTPF_ACT_QUARANTINE},
      {&open, STRANGER, 0, 0, SPENT, &down, SMTPF_ACT_TAG, SMTPF_RULE_SPENT, SMTPF_ACT_TAG},
      {&usual, STRANGER, 0, 0, LEFT, &keep, SMTPF_ACT_QUARANTINE, SMTPF_RULE_SPENT, SMTPF_ACT_QUARANTINE},
      {&open, LIST, 0, 0, LEFT, &keep, SMTPF_ACT_TAG, SMTPF_RULE_SPENT, SMTPF_ACT_TAG},
      {&usual, STRANGER, 0, 0, SPENT, &mark, SMTPF_ACT_TAG, SMTPF_RULE_SPENT, SMTPF_ACT_TAG},
      {&usual, STRANGER, 0, SMTPF_ENTRY_ALLOW, LEFT, &keep, SMTPF_ACT_ACCEPT, SMTPF_RULE_ALLOW, SMTPF_ACT_ACCEPT},
      {&usual, OWN, 0, 0, LEFT, &down, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, SMTPF_ACT_ACCEPT},
      {&usual, OWN, 0, SMTPF_ENTRY_DENY, LEFT, &own_down, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_QUARANTINE},
      {&usual, OWN, 0, 0, SPENT, &own_down, SMTPF_ACT_QUARANTINE, SMTPF_RULE_SPENT, SMTPF_ACT_QUARANTINE},
      {&usual, LIST, 0, 0, LEFT, &virus, SMTPF_ACT_QUARANTINE, SMTPF_RULE_BARRED, SMTPF_ACT_QUARANTINE},
      {&open, LIST, 0, 0, LEFT, &virus, SMTPF_ACT_TAG, SMTPF_RULE_BARRED, SMTPF_ACT_TAG},
      {&usual, OWN, 0, 0, LEFT, &virus, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, SMTPF_ACT_ACCEPT},
      {&keen, STRANGER, 0, 0, LEFT, &early, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_ACCEPT},
      {&keen, STRANGER, 0, 0, SPENT, &early, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, SMTPF_ACT_ACCEPT},
      {&keen, LIST, 0, 0, LEFT, &early, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, SMTPF_ACT_ACCEPT},
      {&usual, STRANGER, 0, 0, LEFT, &early, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, SMTPF_ACT_ACCEPT},
      {&usual, STRANGER, 0, 0, LEFT, &some, SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE, SMTPF_ACT_QUARANTINE},
      {&open, STRANGER, 0, 0, LEFT, &some, SMTPF_ACT_TAG, SMTPF_RULE_TAG, SMTPF_ACT_TAG},
  };
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    const smtpf_will will = {.profile = lines[i].profile,
                             .origin = lines[i].origin,
                             .restricted = lines[i].restricted,
                             .entry = lines[i].entry,
                             .budget = lines[i].budget};
    const smtpf_outcome o = smtpf_judge(&will, (smtpf_view){&lines[i].e, 1});
    ck_assert_msg(o.act == lines[i].act && o.rule == lines[i].rule && o.definite == lines[i].definite,
                  "line %zu: act %d by %d, definite %d", i, o.act, o.rule, o.definite);
    ck_assert_int_eq(o.refusable, lines[i].origin == STRANGER);
    const int asks = lines[i].e == &down || lines[i].e == &keep || lines[i].e == &mark || lines[i].e == &own_down;
    ck_assert_int_eq(o.spent, asks && lines[i].rule != SMTPF_RULE_ALLOW && lines[i].rule != SMTPF_RULE_OWN);
    ck_assert_int_eq(o.unknown, asks);
  }
}
END_TEST

START_TEST(scores_are_clipped_below_off)
{
  ck_assert_int_eq(smtpf_judge_clip((int64_t)SMTPF_SCORE_OFF + 1), SMTPF_SCORE_OFF - 1);
  ck_assert_int_eq(smtpf_judge_clip(SMTPF_SCORE_OFF), SMTPF_SCORE_OFF - 1);
  ck_assert_int_eq(smtpf_judge_clip(SMTPF_SCORE_OFF - 1), SMTPF_SCORE_OFF - 1);
  ck_assert_int_eq(smtpf_judge_clip(SMTPF_SCORE_OFF - 2), SMTPF_SCORE_OFF - 2);
  ck_assert_int_eq(smtpf_judge_clip(INT32_MIN), INT32_MIN);
  ck_assert_int_eq(smtpf_judge_clip((int64_t)INT32_MIN - 1), INT32_MIN);
  ck_assert_int_eq(smtpf_judge_clip(INT64_MIN), INT32_MIN);
  ck_assert_int_eq(smtpf_judge_clip(-7), -7);
}
END_TEST

START_TEST(weights_and_families)
{
  const uint16_t half[] = {50}, none[] = {0};
  smtpf_profile p = usual;
  smtpf_evidence e[] = {hit(9000), clear(-1000)};
  p.weights = half;
  ck_assert_int_eq(judge(&p, 0, e, 2).score, 4000);
  p.weights = none;
  ck_assert_int_eq(judge(&p, 0, e, 2).score, 0);
  /* No weight makes a mailbox that does not exist. */
  const uint16_t least[] = {1};
  smtpf_evidence absent = fact(0);
  p.weights = least;
  expect(judge(&p, 0, &absent, 1), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  p.weights = none;
  expect(judge(&p, 0, &absent, 1), SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT);
  absent.family = SMTPF_FAMILY_ENVELOPE;
  expect(judge(&p, 0, &absent, 1), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  /* What may not refuse may still mark, and what speaks for the mail counts in both sums. */
  p = usual;
  p.reject_lists = 0;
  smtpf_evidence list[] = {hit(11000), hit(12000), clear(-3000)};
  list[0].family = SMTPF_FAMILY_LIST;
  expect(judge(&p, 0, list, 1), SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE);
  list[2].family = SMTPF_FAMILY_LIST;
  expect(judge(&p, 0, list, 2), SMTPF_ACT_REJECT, SMTPF_RULE_REJECT);
  expect(judge(&p, 0, list, 3), SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE);
}
END_TEST

START_TEST(the_order_of_the_lines)
{
  const smtpf_evidence missing = unknown(SMTPF_FINDING_DEFER);
  expect(judge(&usual, 0, (smtpf_evidence[]){missing, hit(10000)}, 2), SMTPF_ACT_DEFER, SMTPF_RULE_MISSING);
  expect(judge(&usual, 0, (smtpf_evidence[]){missing, hit(9999)}, 2), SMTPF_ACT_DEFER, SMTPF_RULE_MISSING);
  expect(judge(&usual, 0, (smtpf_evidence[]){missing, fact(0), hit(10000)}, 3), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  /* Own clients: facts only when they say so, scores never, what is missing still defers. */
  expect(judge(&usual, 1, (smtpf_evidence[]){fact(0)}, 1), SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN);
  expect(judge(&usual, 1, (smtpf_evidence[]){fact(SMTPF_FINDING_OWN_TOO)}, 1), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  expect(judge(&usual, 1, (smtpf_evidence[]){hit(99000), missing}, 2), SMTPF_ACT_DEFER, SMTPF_RULE_MISSING);
  expect(judge(&usual, 1, (smtpf_evidence[]){missing, fact(SMTPF_FINDING_OWN_TOO)}, 2), SMTPF_ACT_REJECT,
         SMTPF_RULE_FACT);
}
END_TEST

START_TEST(clears_count_and_unknowns_do_not)
{
  expect(judge(&usual, 0, (smtpf_evidence[]){hit(12000), clear(-3000)}, 2), SMTPF_ACT_QUARANTINE,
         SMTPF_RULE_QUARANTINE);
  const smtpf_outcome o = judge(&usual, 0, (smtpf_evidence[]){unknown(0), unknown(0), unknown(0)}, 3);
  expect(o, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT);
  ck_assert_int_eq(o.score, 0);
}
END_TEST

START_TEST(the_cause_is_named)
{
  const smtpf_evidence list[] = {hit(3000), hit(6000), hit(4000), unknown(0)};
  const smtpf_outcome o = judge(&usual, 0, list, 4);
  expect(o, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT);
  ck_assert_ptr_eq(o.cause, &list[1]);
  ck_assert_int_eq(o.score, 13000);
  ck_assert_int_eq(o.threshold, 10000);
  ck_assert_ptr_eq(o.profile, &usual);
  const smtpf_evidence facts[] = {hit(50000), fact(0), fact(0)};
  ck_assert_ptr_eq(judge(&usual, 0, facts, 3).cause, &facts[1]);
}
END_TEST

START_TEST(off_is_out_of_reach)
{
  const smtpf_evidence list[] = {hit(INT32_MAX), hit(INT32_MAX), hit(INT32_MAX)};
  expect(judge(&never, 0, list, 3), SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT);
  const smtpf_evidence low[] = {clear(INT32_MIN), clear(INT32_MIN)};
  ck_assert_int_eq(judge(&never, 0, low, 2).score, INT32_MIN);
}
END_TEST

/* Promise L4, over every multiset of up to four findings: without a hit there is no refusal. */
START_TEST(no_refusal_without_a_hit)
{
  const smtpf_evidence kinds[] = {clear(0), clear(-1000), unknown(0), unknown(SMTPF_FINDING_DEFER)};
  const smtpf_profile *const profiles[] = {&usual, &never};
  size_t cases = 0;
  for (unsigned code = 0; code < 4 * 4 * 4 * 4 * 5; code++) {
    smtpf_evidence list[4];
    int missing = 0;
    const size_t n = code / 256;
    for (size_t i = 0; i < n; i++) {
      const unsigned kind = (code >> (2 * i)) & 3;
      list[i] = kinds[kind];
      missing |= kind == 3;
    }
    for (size_t p = 0; p < 2; p++)
      for (int own = 0; own < 2; own++, cases++) {
        const smtpf_outcome o = judge(profiles[p], own, list, n);
        ck_assert_int_ne(o.act, SMTPF_ACT_REJECT);
        ck_assert_int_eq(o.act == SMTPF_ACT_DEFER, missing);
      }
  }
  ck_assert_uint_eq(cases, 4u * 4 * 4 * 4 * 5 * 4);
}
END_TEST

/* ---- where it goes, what bounces show, whom it is brought by ---- */

enum { ROUTE = SMTPF_FINDING_ROUTE, REFUSE = SMTPF_FINDING_REFUSE, OWN_TOO = SMTPF_FINDING_OWN_TOO };

static smtpf_evidence found(int family, int stage, int kind, int32_t score, unsigned flags)
{
  return (smtpf_evidence){.check = "check",
                          .code = "found",
                          .family = (uint8_t)family,
                          .stage = (uint8_t)stage,
                          .kind = (uint8_t)kind,
                          .score = score,
                          .flags = (uint16_t)flags};
}

START_TEST(a_target_that_refuses)
{
  smtpf_profile here = usual, goes = usual, stays = usual, ham;
  goes.route = SMTPF_WISH_FORWARD;
  goes.forward = (smtpf_str){"a@b.example", 11};
  stays = ham = goes;
  stays.forward_failed = SMTPF_FAILED_MAILBOX;
  ham.route = SMTPF_WISH_FORWARD_NONSPAM;
  const smtpf_evidence none = clear(0), spam = hit(5000),
                       early = found(SMTPF_FAMILY_ENVELOPE, SMTPF_RCPT, SMTPF_HIT, 0, ROUTE | REFUSE),
                       early_all = found(SMTPF_FAMILY_LIST, SMTPF_RCPT, SMTPF_HIT, 0, ROUTE | REFUSE | OWN_TOO),
                       late = found(SMTPF_FAMILY_CLIENT, SMTPF_EOM, SMTPF_HIT, 0, ROUTE | REFUSE),
                       doubt = found(SMTPF_FAMILY_CLIENT, SMTPF_RCPT, SMTPF_HIT, 0, ROUTE),
                       silent = found(SMTPF_FAMILY_CONTENT, SMTPF_RCPT, SMTPF_UNKNOWN, 0, ROUTE),
                       good = found(SMTPF_FAMILY_CLIENT, SMTPF_RCPT, SMTPF_CLEAR, 0, ROUTE);
  enum { STRANGER = SMTPF_ORIGIN_STRANGER, LIST = SMTPF_ORIGIN_LIST, OWN = SMTPF_ORIGIN_OWN };
  const struct {
    const smtpf_profile *p;
    int origin;
    const smtpf_evidence *target, *beside;
    int act, rule, forward, says; /* says: why it is not forwarded */
  } rows[] = {
      {&here, STRANGER, &early, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 0, 0},
      {&goes, STRANGER, &early, &none, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0},
      {&goes, LIST, &early, &none, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0},
      {&goes, OWN, &early, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, 0, 1},
      {&goes, OWN, &early_all, &none, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0},
      {&stays, STRANGER, &early_all, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 0, 1},
      {&ham, LIST, &early_all, &spam, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0}, /* it may yet turn out to be good */
      {&ham, STRANGER, &late, &none, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0},
      {&ham, STRANGER, &late, &spam, SMTPF_ACT_TAG, SMTPF_RULE_TAG, 0, 0}, /* it stays anyway */
      {&goes, STRANGER, &late, &spam, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0, 0},
      {&stays, STRANGER, &late, &spam, SMTPF_ACT_TAG, SMTPF_RULE_TAG, 0, 1},
      {&goes, STRANGER, &doubt, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 0, 1},
      {&goes, STRANGER, &silent, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1, 0},
      {&ham, STRANGER, &silent, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1, 0},
      {&ham, STRANGER, &good, &none, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const smtpf_evidence *v[] = {rows[i].target, rows[i].beside};
    const smtpf_will will = {.profile = rows[i].p, .origin = (uint8_t)rows[i].origin};
    const smtpf_outcome o = smtpf_judge(&will, (smtpf_view){v, 2});
    ck_assert_msg(o.act == rows[i].act && o.rule == rows[i].rule && o.forward == rows[i].forward, "row %zu: %d by %d",
                  i, o.act, o.rule);
    ck_assert_ptr_eq(o.stays, rows[i].says ? rows[i].target : NULL);
    ck_assert_ptr_eq(o.target, o.act == SMTPF_ACT_REJECT ? rows[i].target : NULL);
    ck_assert_int_eq(o.definite, o.act);
    ck_assert_int_eq(o.unknown, rows[i].target == &silent);
  }
}
END_TEST

/* A target does not refuse what another fact refuses, nor what is put off for now; it does what would be put off by
 * choice. */
START_TEST(a_target_beside_others)
{
  smtpf_profile goes = usual;
  goes.route = SMTPF_WISH_FORWARD;
  goes.forward = (smtpf_str){"a@b.example", 11};
  const smtpf_evidence late = found(SMTPF_FAMILY_CLIENT, SMTPF_DATA, SMTPF_HIT, 0, ROUTE | REFUSE),
                       early = found(SMTPF_FAMILY_CLIENT, SMTPF_RCPT, SMTPF_HIT, 0, ROUTE | REFUSE), virus = fact(0),
                       missing = unknown(SMTPF_FINDING_DEFER),
                       again = found(SMTPF_FAMILY_CLIENT, SMTPF_EOM, SMTPF_HIT, 8000, SMTPF_FINDING_ELECTIVE),
                       ham_again = found(SMTPF_FAMILY_CLIENT, SMTPF_EOM, SMTPF_HIT, 0, SMTPF_FINDING_ELECTIVE);
  smtpf_outcome o = judge(&goes, 0, (smtpf_evidence[]){early, virus}, 2);
  expect(o, SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  ck_assert_uint_eq(o.cause->flags, REFUSE);
  expect(judge(&goes, 0, (smtpf_evidence[]){late, missing}, 2), SMTPF_ACT_DEFER, SMTPF_RULE_MISSING);
  expect(judge(&goes, 0, (smtpf_evidence[]){early, missing}, 2), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  expect(judge(&goes, 0, (smtpf_evidence[]){late, ham_again}, 2), SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  expect(judge(&goes, 0, (smtpf_evidence[]){late, again}, 2), SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE); /* to be kept */
  o = judge(&goes, 0, (smtpf_evidence[]){early, hit(10000)}, 2);
  expect(o, SMTPF_ACT_REJECT, SMTPF_RULE_FACT);
  ck_assert_int_eq(o.threshold, 0);
  ck_assert_int_eq(o.score, 10000);
  /* The first of two speaks, and no weight silences it. */
  const uint16_t none[] = {0};
  goes.weights = none;
  const smtpf_evidence two[] = {early, late};
  ck_assert_ptr_eq(judge(&goes, 0, two, 2).cause, &two[0]);
}
END_TEST

START_TEST(what_bounces_show)
{
  const smtpf_evidence unsigned_one = found(SMTPF_FAMILY_BOUNCE, SMTPF_RCPT, SMTPF_HIT, 0, REFUSE),
                       unproven = found(SMTPF_FAMILY_PROOF, SMTPF_EOM, SMTPF_HIT, 0, REFUSE),
                       bad = found(SMTPF_FAMILY_PROOF, SMTPF_EOM, SMTPF_HIT, 5000, 0),
                       silent = found(SMTPF_FAMILY_BOUNCE, SMTPF_RCPT, SMTPF_UNKNOWN, 0, 0);
  enum { ALL = SMTPF_BOUNCES_ALL, SIGNED = SMTPF_BOUNCES_SIGNED, PROVEN = SMTPF_BOUNCES_PROVEN };
  enum { STRANGER = SMTPF_ORIGIN_STRANGER, LIST = SMTPF_ORIGIN_FORWARDER, OWN = SMTPF_ORIGIN_OWN };
  smtpf_profile ham = usual;
  ham.route = SMTPF_WISH_FORWARD_NONSPAM;
  const struct {
    int bounces, origin;
    const smtpf_evidence *e;
    int act, rule, forward;
  } rows[] = {
      {ALL, STRANGER, &unsigned_one, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1},
      {SIGNED, STRANGER, &unsigned_one, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0},
      {PROVEN, STRANGER, &unsigned_one, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1},
      {SIGNED, STRANGER, &unproven, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1},
      {PROVEN, STRANGER, &unproven, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, 0},
      {PROVEN, LIST, &unproven, SMTPF_ACT_QUARANTINE, SMTPF_RULE_BARRED, 0},
      {SIGNED, LIST, &unsigned_one, SMTPF_ACT_QUARANTINE, SMTPF_RULE_BARRED, 0},
      {PROVEN, OWN, &unproven, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, 1},
      {ALL, STRANGER, &bad, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1},
      {PROVEN, STRANGER, &bad, SMTPF_ACT_TAG, SMTPF_RULE_TAG, 0},
      {ALL, STRANGER, &silent, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 1},
      {SIGNED, STRANGER, &silent, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const smtpf_will will = {.profile = &ham, .origin = (uint8_t)rows[i].origin, .bounces = (uint8_t)rows[i].bounces};
    const smtpf_outcome o = smtpf_judge(&will, (smtpf_view){&rows[i].e, 1});
    ck_assert_msg(o.act == rows[i].act && o.rule == rows[i].rule && o.forward == rows[i].forward, "row %zu: %d by %d",
                  i, o.act, o.rule);
    ck_assert_int_eq(o.unknown, rows[i].e == &silent && rows[i].bounces == SIGNED);
  }
}
END_TEST

START_TEST(who_only_passes_it_on)
{
  const smtpf_evidence client = found(SMTPF_FAMILY_LIST, SMTPF_CONNECT, SMTPF_HIT, 8000, 0),
                       name = found(SMTPF_FAMILY_LIST, SMTPF_HELO, SMTPF_CLEAR, -2000, 0),
                       late = found(SMTPF_FAMILY_LIST, SMTPF_RCPT, SMTPF_HIT, 8000, SMTPF_FINDING_CONNECTION),
                       senders = found(SMTPF_FAMILY_LIST, SMTPF_MAIL, SMTPF_HIT, 8000, 0),
                       source = found(SMTPF_FAMILY_LIST, SMTPF_EOM, SMTPF_HIT, 8000, 0),
                       conduct = found(SMTPF_FAMILY_CLIENT, SMTPF_CONNECT, SMTPF_HIT, 8000, 0),
                       silent = found(SMTPF_FAMILY_LIST, SMTPF_CONNECT, SMTPF_UNKNOWN, 0, 0);
  const struct {
    const smtpf_evidence *e;
    int32_t of_stranger, of_trusted;
  } rows[] = {{&client, 8000, 0},    {&name, -2000, 0},      {&late, 8000, 0}, {&senders, 8000, 8000},
              {&source, 8000, 8000}, {&conduct, 8000, 8000}, {&silent, 0, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int origin = SMTPF_ORIGIN_OWN; origin <= SMTPF_ORIGIN_STRANGER; origin++) {
      const smtpf_will will = {.profile = &usual, .origin = (uint8_t)origin};
      const smtpf_outcome o = smtpf_judge(&will, (smtpf_view){&rows[i].e, 1});
      const int trusted = origin != SMTPF_ORIGIN_OWN && origin != SMTPF_ORIGIN_STRANGER;
      ck_assert_msg(o.score == (trusted ? rows[i].of_trusted : rows[i].of_stranger), "row %zu, origin %d", i, origin);
      ck_assert_int_eq(o.unknown, rows[i].e == &silent && !trusted);
    }
}
END_TEST

TCase *judge_cases(void)
{
  TCase *c = tcase_create("judge");
  tcase_add_test(c, each_line_decides);
  tcase_add_test(c, lines_of_wills);
  tcase_add_test(c, scores_are_clipped_below_off);
  tcase_add_test(c, weights_and_families);
  tcase_add_test(c, the_order_of_the_lines);
  tcase_add_test(c, clears_count_and_unknowns_do_not);
  tcase_add_test(c, the_cause_is_named);
  tcase_add_test(c, off_is_out_of_reach);
  tcase_add_test(c, no_refusal_without_a_hit);
  tcase_add_test(c, a_target_that_refuses);
  tcase_add_test(c, a_target_beside_others);
  tcase_add_test(c, what_bounces_show);
  tcase_add_test(c, who_only_passes_it_on);
  return c;
}
