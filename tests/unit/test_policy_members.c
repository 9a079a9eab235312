/* SPDX-License-Identifier: MIT
 *
 * members: several wills behind one recipient, line by line of the table, in any order; who speaks for all.
 */
#include "policy/judge.h"
#include "test_policy.h"

static const smtpf_profile here = {.name = {"here", 4}}, there = {.name = {"there", 5}, .forward = {"a@b.example", 11}},
                           too = {.name = {"too", 3}, .forward = {"a@b.example", 11}},
                           away = {.name = {"away", 4}, .forward = {"c@d.example", 11}},
                           as = {.name = {"as", 2}, .forward = {"a@b.example", 11}, .forward_sender = {"s@x", 3}};

#define ACT(a, r)                                                                                                      \
  {                                                                                                                    \
    .act = SMTPF_ACT_##a, .rule = SMTPF_RULE_##r, .definite = SMTPF_ACT_##a, .profile = &here                          \
  }
#define PUT_OFF(d)                                                                                                     \
  {                                                                                                                    \
    .act = SMTPF_ACT_DEFER, .rule = SMTPF_RULE_ELECTIVE, .definite = SMTPF_ACT_##d, .profile = &here                   \
  }

START_TEST(line_by_line)
{
  const smtpf_outcome accept = ACT(ACCEPT, ACCEPT), tag = ACT(TAG, TAG), keep = ACT(QUARANTINE, QUARANTINE),
                      drop = ACT(DISCARD, DISCARD), refuse = ACT(REJECT, REJECT), fact = ACT(REJECT, FACT),
                      barred = ACT(REJECT, RESTRICTED), missing = ACT(DEFER, MISSING), later = PUT_OFF(ACCEPT),
                      later_kept = PUT_OFF(QUARANTINE);
  smtpf_outcome drop_strange = drop, refuse_strange = refuse;
  drop_strange.refusable = refuse_strange.refusable = 1;
  const struct {
    smtpf_outcome a, b;
    int act, rule, definite;
  } rows[] = {
      {accept, fact, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, SMTPF_ACT_REJECT},
      {missing, barred, SMTPF_ACT_REJECT, SMTPF_RULE_RESTRICTED, SMTPF_ACT_REJECT},
      {barred, fact, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, SMTPF_ACT_REJECT},
      {accept, missing, SMTPF_ACT_DEFER, SMTPF_RULE_MISSING, SMTPF_ACT_DEFER},
      {later, missing, SMTPF_ACT_DEFER, SMTPF_RULE_MISSING, SMTPF_ACT_DEFER},
      {later, accept, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_ACCEPT},
      {later, refuse, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_TAG},
      {later_kept, refuse, SMTPF_ACT_DEFER, SMTPF_RULE_ELECTIVE, SMTPF_ACT_QUARANTINE},
      {refuse, refuse, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, SMTPF_ACT_REJECT},
      {refuse_strange, drop_strange, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, SMTPF_ACT_REJECT},
      {refuse, drop, SMTPF_ACT_QUARANTINE, SMTPF_RULE_REJECT, SMTPF_ACT_QUARANTINE},
      {drop_strange, drop_strange, SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, SMTPF_ACT_DISCARD},
      {drop, drop, SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, SMTPF_ACT_DISCARD},
      {accept, accept, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, SMTPF_ACT_ACCEPT},
      {accept, tag, SMTPF_ACT_TAG, SMTPF_RULE_TAG, SMTPF_ACT_TAG},
      {accept, keep, SMTPF_ACT_TAG, SMTPF_RULE_QUARANTINE, SMTPF_ACT_TAG},
      {tag, refuse, SMTPF_ACT_TAG, SMTPF_RULE_REJECT, SMTPF_ACT_TAG},
      {keep, drop, SMTPF_ACT_QUARANTINE, SMTPF_RULE_DISCARD, SMTPF_ACT_QUARANTINE},
      {keep, refuse, SMTPF_ACT_QUARANTINE, SMTPF_RULE_REJECT, SMTPF_ACT_QUARANTINE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int turned = 0; turned < 2; turned++) {
      const smtpf_outcome v[] = {turned ? rows[i].b : rows[i].a, turned ? rows[i].a : rows[i].b};
      const smtpf_outcome o = smtpf_judge_members(v, 2);
      ck_assert_msg(o.act == rows[i].act && o.rule == rows[i].rule && o.definite == rows[i].definite,
                    "row %zu: act %d by %d, definite %d", i, o.act, o.rule, o.definite);
      const int speaks = o.rule == v[0].rule ? v[0].act : v[1].act;
      ck_assert_msg(o.joined == (speaks != o.act), "row %zu: joined %d", i, o.joined);
    }
}
END_TEST

START_TEST(what_is_said_of_all)
{
  static const smtpf_evidence why = {.code = "why"};
  smtpf_outcome v[] = {ACT(ACCEPT, ACCEPT), ACT(TAG, TAG), ACT(TAG, TAG)};
  v[0].refusable = v[2].refusable = 1;
  v[1].unknown = v[2].spent = 1;
  v[1].cause = &why;
  smtpf_outcome o = smtpf_judge_members(v, 3);
  ck_assert_int_eq(o.refusable, 0);
  ck_assert_int_eq(o.unknown, 1);
  ck_assert_int_eq(o.spent, 1);
  ck_assert_ptr_eq(o.cause, &why); /* the first of the strongest */
  v[1].refusable = 1;
  v[1].unknown = v[2].spent = 0;
  o = smtpf_judge_members(v, 3);
  ck_assert_int_eq(o.refusable, 1);
  ck_assert_int_eq(o.unknown, 0);
  ck_assert_int_eq(o.spent, 0);
  ck_assert_int_eq(smtpf_judge_members(v, 1).act, SMTPF_ACT_ACCEPT);
  const smtpf_outcome kept = ACT(QUARANTINE, QUARANTINE);
  v[2] = kept; /* the strongest speaks, wherever it stands */
  ck_assert_int_eq(smtpf_judge_members(v, 3).rule, SMTPF_RULE_QUARANTINE);
}
END_TEST

START_TEST(one_address_to_forward_to)
{
  const struct {
    const smtpf_profile *a, *b;
    int a_goes, b_goes, forward;
  } rows[] = {{&there, &too, 1, 1, 1}, {&there, &too, 1, 0, 0}, {&there, &too, 0, 1, 0}, {&there, &away, 1, 1, 0},
              {&there, &as, 1, 1, 0},  {&as, &as, 1, 1, 1},     {&here, &there, 0, 1, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_outcome v[] = {ACT(ACCEPT, ACCEPT), ACT(ACCEPT, ACCEPT)};
    v[0].profile = rows[i].a;
    v[1].profile = rows[i].b;
    v[0].sender = rows[i].a->forward_sender;
    v[1].sender = rows[i].b->forward_sender;
    v[0].forward = (uint8_t)rows[i].a_goes;
    v[1].forward = (uint8_t)rows[i].b_goes;
    ck_assert_msg(smtpf_judge_members(v, 2).forward == rows[i].forward, "row %zu", i);
    ck_assert_int_eq(smtpf_judge_members(v, 1).forward, v[0].forward); /* the other is none of its members */
  }
}
END_TEST

/* A target is all the members', or nobody's. */
START_TEST(one_target_that_refuses)
{
  static const smtpf_evidence early = {.stage = SMTPF_RCPT}, late = {.stage = SMTPF_EOM};
  const struct {
    const smtpf_profile *a, *b;
    int a_goes, b_goes;
    const smtpf_evidence *a_target, *b_target, *stays;
    int act, forward, says;
  } rows[] = {
      {&there, &too, 1, 1, &early, &early, &early, SMTPF_ACT_REJECT, 0, 0},
      {&there, &too, 0, 1, &early, &early, &early, SMTPF_ACT_REJECT, 0, 0},
      {&there, &too, 1, 1, &late, &late, &late, SMTPF_ACT_REJECT, 0, 0},
      {&there, &too, 1, 1, &early, &late, &late, SMTPF_ACT_REJECT, 0, 0},
      {&there, &too, 0, 1, &late, &late, &late, SMTPF_ACT_ACCEPT, 0, 0},  /* nothing goes there */
      {&there, &too, 1, 1, &early, NULL, &early, SMTPF_ACT_ACCEPT, 0, 1}, /* one would have it stay */
      {&there, &too, 1, 1, NULL, NULL, &late, SMTPF_ACT_ACCEPT, 0, 1},
      {&there, &away, 1, 1, &early, &early, &early, SMTPF_ACT_ACCEPT, 0, 0},
      {&there, &as, 1, 1, &late, &late, &late, SMTPF_ACT_ACCEPT, 0, 0},
      {&there, &here, 1, 0, &early, NULL, &early, SMTPF_ACT_ACCEPT, 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int turned = 0; turned < 2; turned++) {
      smtpf_outcome v[] = {ACT(ACCEPT, ACCEPT), ACT(ACCEPT, ACCEPT)}, *a = &v[turned], *b = &v[!turned];
      a->profile = rows[i].a;
      b->profile = rows[i].b;
      a->sender = rows[i].a->forward_sender;
      b->sender = rows[i].b->forward_sender;
      a->forward = (uint8_t)rows[i].a_goes;
      b->forward = (uint8_t)rows[i].b_goes;
      a->target = rows[i].a_target;
      b->target = rows[i].b_target;
      a->stays = rows[i].stays;
      const smtpf_outcome o = smtpf_judge_target(smtpf_judge_members(v, 2));
      ck_assert_msg(o.act == rows[i].act && o.forward == rows[i].forward, "row %zu: act %d, forward %d", i, o.act,
                    o.forward);
      ck_assert_ptr_eq(o.stays, rows[i].says ? rows[i].stays : NULL);
      ck_assert_ptr_eq(o.target, o.act == SMTPF_ACT_REJECT ? v[0].target : NULL); /* the first of several */
    }
  smtpf_outcome v[] = {ACT(ACCEPT, ACCEPT), ACT(TAG, TAG)};
  v[0].profile = v[1].profile = &there;
  v[0].forward = v[1].forward = 1;
  v[0].stays = &early;
  v[1].stays = &late; /* who speaks for all is another */
  ck_assert_ptr_eq(smtpf_judge_target(smtpf_judge_members(v, 2)).stays, &early);
}
END_TEST

TCase *members_cases(void)
{
  TCase *c = tcase_create("members");
  tcase_add_test(c, line_by_line);
  tcase_add_test(c, what_is_said_of_all);
  tcase_add_test(c, one_address_to_forward_to);
  tcase_add_test(c, one_target_that_refuses);
  return c;
}
