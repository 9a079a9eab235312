/* SPDX-License-Identifier: MIT
 *
 * partition: what one message can carry at a host, row by row; and who is held against whom.
 */
#include "policy/partition.h"
#include "test_policy.h"

static const smtpf_profile plain = {.reject = 10000,
                                    .quarantine = 7000,
                                    .tag = 5000,
                                    .discard = SMTPF_SCORE_OFF,
                                    .reject_lists = 1,
                                    .reject_content = 1},
                           never = {.reject = SMTPF_SCORE_OFF,
                                    .quarantine = 7000,
                                    .tag = 5000,
                                    .discard = SMTPF_SCORE_OFF,
                                    .reject_lists = 1,
                                    .reject_content = 1},
                           away = {.reject = 10000,
                                   .quarantine = 7000,
                                   .tag = 5000,
                                   .discard = SMTPF_SCORE_OFF,
                                   .reject_lists = 1,
                                   .reject_content = 1,
                                   .route = SMTPF_WISH_FORWARD,
                                   .forward = {"a@b", 3},
                                   .forward_sender = {"s@x", 3}};
#define AS .sender = {"s@x", 3} /* what that makes of a will */

static smtpf_profile far; /* as `away`, to another address */

enum {
  EACH = SMTPF_CAN_REPLY_PER_RCPT,
  DROP = SMTPF_CAN_DROP_RCPT,
  EDITS = SMTPF_CAN_EDIT_PER_RCPT,
  SENDERS = SMTPF_CAN_SENDER_PER_RCPT,
  KEEPS = SMTPF_CAN_QUARANTINE_PER_RCPT,
  KEEP = SMTPF_CAN_QUARANTINE,
  EDIT = SMTPF_CAN_EDIT,
  CUT = SMTPF_CAN_CUT_THROUGH,
};

START_TEST(row_by_row)
{
  far = away;
  far.forward = (smtpf_str){"c@d", 3};
#define IS(a)                                                                                                          \
  {                                                                                                                    \
    .act = SMTPF_ACT_##a, .profile = &plain                                                                            \
  }
  const smtpf_outcome accept = IS(ACCEPT), tag = IS(TAG), keep = IS(QUARANTINE), drop = IS(DISCARD), defer = IS(DEFER),
                      refuse = IS(REJECT), sent = {.act = SMTPF_ACT_ACCEPT, .profile = &away, .forward = 1, AS},
                      marked = {.act = SMTPF_ACT_TAG, .profile = &away, .forward = 1, AS},
                      stays = {.act = SMTPF_ACT_ACCEPT, .profile = &away, AS},
                      elsewhere = {.act = SMTPF_ACT_ACCEPT, .profile = &far, .forward = 1, AS},
                      as_another = {.act = SMTPF_ACT_ACCEPT, .profile = &away, .forward = 1, .sender = {"t@x", 3}},
                      held = {.act = SMTPF_ACT_QUARANTINE, .profile = &away, .forward = 1, AS};
  const struct {
    smtpf_outcome a, b;
    unsigned can;
    int together;
  } rows[] = {
      {accept, refuse, EDIT | KEEP | DROP, 0},
      {accept, refuse, EACH, 1},
      {refuse, refuse, 0, 1},
      {accept, defer, EDIT | KEEP | DROP, 0},
      {accept, defer, EACH, 1},
      {defer, refuse, 0, 0},
      {accept, drop, EDIT, 0},
      {accept, drop, DROP, 1},
      {keep, drop, EACH | KEEP, 1},
      {drop, drop, 0, 1},
      {tag, drop, EDIT, 0},
      {drop, refuse, DROP, 0},
      {accept, tag, EDIT, 0},
      {accept, tag, EDITS, 1},
      {accept, tag, KEEP, 1},
      {tag, tag, EDIT, 1},
      {tag, keep, KEEP, 0},
      {tag, keep, KEEPS | EDIT, 1},
      {accept, keep, EDIT | KEEP, 0},
      {accept, keep, KEEPS, 1},
      {accept, keep, EDITS | KEEP, 0},
      {tag, keep, EDIT, 1},
      {accept, keep, 0, 1},
      {accept, keep, EDIT, 0},
      {accept, sent, EDIT, 0},
      {accept, sent, SENDERS, 1},
      {accept, stays, 0, 1},
      {sent, sent, 0, 1},
      {marked, sent, EDITS, 1},
      {marked, tag, EDIT, 0},
      {keep, held, KEEP, 1},
      {keep, sent, KEEPS, 0},
      {keep, sent, KEEPS | SENDERS, 1},
      {held, accept, KEEPS, 1},
      {held, sent, 0, 1},
      {tag, tag, EDITS, 1},
      {sent, sent, CUT, 1},
      {sent, marked, CUT | EDITS | SENDERS, 1},
      {sent, stays, CUT | SENDERS, 0}, /* two servers decide */
      {sent, accept, CUT | SENDERS, 0},
      {sent, accept, CUT | SENDERS | EACH, 1},
      {accept, stays, CUT, 1},
      {sent, elsewhere, SENDERS, 1},
      {sent, elsewhere, CUT | SENDERS, 0},
      {sent, elsewhere, CUT, 0},
      {sent, elsewhere, CUT | EACH, 1},
      {sent, as_another, CUT | SENDERS, 0}, /* two transactions */
      {sent, keep, CUT | SENDERS | KEEPS, 0},
      {sent, drop, CUT | DROP, 1}, /* nobody decides about what is dropped */
      {sent, refuse, CUT | EACH, 1},
      {refuse, refuse, CUT, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_msg(smtpf_compatible(&rows[i].a, &rows[i].b, rows[i].can) == rows[i].together, "row %zu", i);
    ck_assert_msg(smtpf_compatible(&rows[i].b, &rows[i].a, rows[i].can) == rows[i].together, "row %zu turned", i);
  }
}
END_TEST

static int joins(const smtpf_will *a, size_t n_a, const smtpf_will *b, size_t n_b, int64_t score, unsigned can,
                 int settled)
{
  smtpf_summary x[4] = {{0}}, y[4] = {{0}};
  for (size_t i = 0; i < n_a; i++)
    x[i].score = x[i].refusable = score;
  for (size_t i = 0; i < n_b; i++)
    y[i].score = y[i].refusable = score;
  const smtpf_party p = {a, x, n_a}, q = {b, y, n_b};
  const int forth = smtpf_partition_joins(&p, &q, can, settled);
  ck_assert_int_eq(forth, smtpf_partition_joins(&q, &p, can, settled));
  return forth;
}

START_TEST(what_may_come_and_what_is_known)
{
  const smtpf_will one = {.profile = &plain, .origin = SMTPF_ORIGIN_STRANGER},
                   other = {.profile = &never, .origin = SMTPF_ORIGIN_STRANGER};
  smtpf_profile declines = plain;
  declines.reject_content = 0;
  const smtpf_will third = {.profile = &declines, .origin = SMTPF_ORIGIN_STRANGER};
  const smtpf_will both[] = {one, other};
  ck_assert(joins(&one, 1, &one, 1, 0, EDIT, 0));
  ck_assert(!joins(&one, 1, &other, 1, 0, EDIT, 0)); /* one would refuse a score the other takes */
  ck_assert(joins(&one, 1, &other, 1, 0, EDIT, 1));  /* nothing more can be found */
  ck_assert(joins(&one, 1, &other, 1, 9999, EDIT, 1));
  ck_assert(!joins(&one, 1, &other, 1, 10000, EDIT, 1));
  ck_assert(joins(&one, 1, &other, 1, 0, EACH | EDITS | KEEPS, 0));
  ck_assert(!joins(&one, 1, &third, 1, 0, EDIT, 0)); /* counts differently: anything beside anything */
  ck_assert(joins(&third, 1, &third, 1, 0, EDIT, 0));
  ck_assert(joins(&one, 1, &third, 1, 0, EACH | EDITS | KEEPS | SENDERS, 0));
  ck_assert(joins(both, 2, both, 2, 0, EDIT, 0));
  ck_assert(!joins(both, 2, &one, 1, 0, EDIT, 0)); /* members never refuse what one of them wants */
  ck_assert(joins(both, 2, &one, 1, 0, EDIT, 1));
}
END_TEST

/* What is no score may part them too: a fact, an answer left out, a deferral. */
START_TEST(what_else_may_come)
{
  smtpf_profile quiet = {
      .reject = SMTPF_SCORE_OFF, .quarantine = SMTPF_SCORE_OFF, .tag = SMTPF_SCORE_OFF, .discard = SMTPF_SCORE_OFF};
  smtpf_profile nonspam = quiet;
  nonspam.route = SMTPF_WISH_FORWARD_NONSPAM;
  nonspam.forward = (smtpf_str){"a@b", 3};
  nonspam.forward_sender = (smtpf_str){"s@x", 3};
  smtpf_profile forward = nonspam;
  forward.route = SMTPF_WISH_FORWARD;
  const smtpf_will a = {.profile = &quiet, .origin = SMTPF_ORIGIN_STRANGER},
                   listed = {.profile = &quiet, .origin = SMTPF_ORIGIN_LIST},
                   allowed = {.profile = &quiet, .origin = SMTPF_ORIGIN_STRANGER, .entry = SMTPF_ENTRY_ALLOW},
                   own = {.profile = &quiet, .origin = SMTPF_ORIGIN_OWN},
                   strange = {.profile = &nonspam, .origin = SMTPF_ORIGIN_STRANGER, AS},
                   strange_too = {.profile = &forward, .origin = SMTPF_ORIGIN_STRANGER, AS},
                   goes = {.profile = &nonspam, .origin = SMTPF_ORIGIN_OWN, AS},
                   goes_too = {.profile = &forward, .origin = SMTPF_ORIGIN_OWN, AS};
  smtpf_will spent = a, spent_allowed = allowed;
  spent.budget = spent_allowed.budget = SMTPF_BUDGET_SPENT;
  ck_assert(joins(&a, 1, &a, 1, 0, EDIT, 0));
  ck_assert(!joins(&spent, 1, &spent_allowed, 1, 0, EDIT, 0)); /* an unknown past the budget marks one */
  ck_assert(!joins(&a, 1, &listed, 1, 0, EDIT, 0));            /* a fact refuses a stranger alone */
  ck_assert(!joins(&a, 1, &allowed, 1, 0, EDIT, 0));           /* an elective deferral: who is allowed does not wait */
  ck_assert(joins(&own, 1, &own, 1, 0, 0, 0));
  ck_assert(!joins(&goes, 1, &goes_too, 1, 0, 0, 0)); /* an answer left out keeps one here */
  ck_assert(!joins(&strange, 1, &strange_too, 1, 0, 0, 0));
  ck_assert(joins(&goes, 1, &goes_too, 1, 0, SENDERS, 0));
  ck_assert(joins(&goes, 1, &goes_too, 1, 0, SENDERS | CUT, 0)); /* their programs cannot send again */
  ck_assert(joins(&goes, 1, &own, 1, 0, SENDERS | CUT, 1));
  ck_assert(!joins(&strange, 1, &strange_too, 1, 0, SENDERS | CUT, 0));
  ck_assert(joins(&strange, 1, &strange, 1, 0, SENDERS | CUT, 0));
  ck_assert(!joins(&strange, 1, &a, 1, 0, SENDERS | CUT, 1));
  smtpf_will proven = a;
  proven.bounces = SMTPF_BOUNCES_PROVEN;
  ck_assert(!joins(&a, 1, &proven, 1, 0, EDIT, 0)); /* what is found of a bounce refuses one alone */
  ck_assert(joins(&proven, 1, &proven, 1, 0, EDIT, 0));
  ck_assert(joins(&a, 1, &proven, 1, 0, EDIT, 1));
}
END_TEST

/* Who would refuse is found at its own edge, by the score that may refuse, and among all members. */
START_TEST(who_counts_differently)
{
  smtpf_profile only = {.reject = 10000,
                        .quarantine = SMTPF_SCORE_OFF,
                        .tag = SMTPF_SCORE_OFF,
                        .discard = SMTPF_SCORE_OFF,
                        .reject_content = 1};
  smtpf_profile quiet = only, declines = only;
  quiet.reject = SMTPF_SCORE_OFF;
  declines.reject_content = 0;
  const smtpf_will keen = {.profile = &only, .origin = SMTPF_ORIGIN_STRANGER},
                   calm = {.profile = &quiet, .origin = SMTPF_ORIGIN_STRANGER};
  const smtpf_will members[] = {keen, {.profile = &declines, .origin = SMTPF_ORIGIN_STRANGER}};
  ck_assert(!joins(members, 2, &keen, 1, 0, EDIT, 0));
  ck_assert(joins(&keen, 1, &keen, 1, 0, EDIT, 0));
  const smtpf_summary listed = {.score = 6000, .refusable = 0};
  const smtpf_party p = {&keen, &listed, 1}, q = {&calm, &listed, 1};
  ck_assert(!smtpf_partition_joins(&p, &q, EDIT, 0));
  ck_assert(!smtpf_partition_joins(&q, &p, EDIT, 0));
  /* Each threshold, and each thing beside a score, may be what parts two that count differently. */
  smtpf_profile tags = quiet, keeps = quiet, drops = quiet, other = quiet;
  tags.tag = keeps.quarantine = drops.discard = 5000;
  other.reject_content = 0;
  smtpf_profile sends = other, sends_ham = quiet;
  sends.route = SMTPF_WISH_FORWARD;
  sends_ham.route = SMTPF_WISH_FORWARD_NONSPAM;
  sends.forward = sends_ham.forward = (smtpf_str){"a@b", 3};
  sends.forward_sender = sends_ham.forward_sender = (smtpf_str){"s@x", 3};
  const smtpf_will strangers[] = {{.profile = &other, .origin = SMTPF_ORIGIN_STRANGER},
                                  {.profile = &only, .origin = SMTPF_ORIGIN_STRANGER},
                                  {.profile = &tags, .origin = SMTPF_ORIGIN_STRANGER},
                                  {.profile = &keeps, .origin = SMTPF_ORIGIN_STRANGER},
                                  {.profile = &drops, .origin = SMTPF_ORIGIN_STRANGER},
                                  {.profile = &quiet, .origin = SMTPF_ORIGIN_LIST},
                                  {.profile = &quiet, .origin = SMTPF_ORIGIN_STRANGER, .entry = SMTPF_ENTRY_ALLOW}};
  for (size_t i = 1; i < sizeof strangers / sizeof *strangers; i++)
    ck_assert_msg(!joins(&strangers[0], 1, &strangers[i], 1, 0, EDIT | KEEP, 0), "stranger %zu", i);
  const smtpf_will own[] = {{.profile = &sends, .origin = SMTPF_ORIGIN_OWN, AS},
                            {.profile = &sends_ham, .origin = SMTPF_ORIGIN_OWN, AS},
                            {.profile = &other, .origin = SMTPF_ORIGIN_OWN},
                            {.profile = &quiet, .origin = SMTPF_ORIGIN_OWN}};
  ck_assert(!joins(&own[0], 1, &own[1], 1, 0, 0, 0));
  ck_assert(joins(&own[2], 1, &own[3], 1, 0, 0, 0));
  const smtpf_will one_by_one[] = {{.profile = &declines, .origin = SMTPF_ORIGIN_STRANGER}};
  const smtpf_party r = {one_by_one, &listed, 1};
  ck_assert(!smtpf_partition_joins(&r, &q, EDIT, 0));
}
END_TEST

START_TEST(outcome_of_a_party)
{
  const smtpf_will wills[] = {{.profile = &plain, .origin = SMTPF_ORIGIN_STRANGER},
                              {.profile = &never, .origin = SMTPF_ORIGIN_STRANGER}};
  const smtpf_summary known[] = {{.score = 12000, .refusable = 12000}, {.score = 4000, .refusable = 4000}};
  const smtpf_party one = {wills, known, 1}, two = {wills, known, 2};
  ck_assert_int_eq(smtpf_party_outcome(&one).act, SMTPF_ACT_REJECT);
  ck_assert_int_eq(smtpf_party_outcome(&two).act, SMTPF_ACT_TAG);
  ck_assert_int_eq(smtpf_party_outcome(&one).unknown, 0);
  const smtpf_summary nearly = {.score = 9999, .refusable = 9999}, there = {.score = 10000, .refusable = 10000};
  ck_assert_int_eq(smtpf_party_outcome(&(smtpf_party){wills, &nearly, 1}).act, SMTPF_ACT_QUARANTINE);
  ck_assert_int_eq(smtpf_party_outcome(&(smtpf_party){wills, &there, 1}).act, SMTPF_ACT_REJECT);
}
END_TEST

TCase *partition_cases(void)
{
  TCase *c = tcase_create("partition");
  tcase_add_test(c, row_by_row);
  tcase_add_test(c, what_may_come_and_what_is_known);
  tcase_add_test(c, what_else_may_come);
  tcase_add_test(c, who_counts_differently);
  tcase_add_test(c, outcome_of_a_party);
  return c;
}
