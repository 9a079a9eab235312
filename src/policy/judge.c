/* SPDX-License-Identifier: MIT */
#include "judge.h"

int32_t smtpf_judge_score(smtpf_view view)
{
  int64_t sum = 0;
  for (size_t i = 0; i < view.n; i++)
    if (view.v[i]->kind == SMTPF_HIT || view.v[i]->kind == SMTPF_CLEAR)
      sum += view.v[i]->score;
  if (sum >= SMTPF_SCORE_OFF)
    return SMTPF_SCORE_OFF - 1;
  return sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

static const smtpf_evidence *first(smtpf_view view, int kind, unsigned flags)
{
  for (size_t i = 0; i < view.n; i++)
    if (view.v[i]->kind == kind && (view.v[i]->flags & flags) == flags)
      return view.v[i];
  return NULL;
}

static const smtpf_evidence *heaviest(smtpf_view view)
{
  const smtpf_evidence *best = NULL;
  for (size_t i = 0; i < view.n; i++)
    if (view.v[i]->kind == SMTPF_HIT && view.v[i]->score > (best ? best->score : 0))
      best = view.v[i];
  return best;
}

smtpf_outcome smtpf_judge(const smtpf_profile *profile, int own, smtpf_view view)
{
  const int32_t score = smtpf_judge_score(view);
  const smtpf_evidence *top = heaviest(view);
  const smtpf_evidence *fact = first(view, SMTPF_HIT, SMTPF_FINDING_REFUSE | (own ? SMTPF_FINDING_OWN_TOO : 0u));
  const smtpf_evidence *missing = first(view, SMTPF_UNKNOWN, SMTPF_FINDING_DEFER);

  const struct {
    int holds;
    smtpf_outcome outcome;
  } table[] = {
      {fact != NULL, {SMTPF_ACT_REJECT, SMTPF_RULE_FACT, score, 0, fact, profile}},
      {own && !missing, {SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, score, 0, NULL, profile}},
      {!own && score >= profile->reject, {SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, score, profile->reject, top, profile}},
      {missing != NULL, {SMTPF_ACT_DEFER, SMTPF_RULE_MISSING, score, 0, missing, profile}},
      {score >= profile->quarantine,
       {SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE, score, profile->quarantine, top, profile}},
      {score >= profile->tag, {SMTPF_ACT_TAG, SMTPF_RULE_TAG, score, profile->tag, top, profile}},
      {1, {SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, score, 0, NULL, profile}},
  };
  size_t i = 0;
  while (!table[i].holds)
    i++;
  return table[i].outcome;
}
