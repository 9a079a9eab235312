/* SPDX-License-Identifier: MIT
 *
 * judge: what one profile makes of the evidence.
 *
 *   in this order, the first that holds decides
 *   1  a fact that refuses by itself (HIT with REFUSE)                   -> reject, its reply
 *   2  own client, nothing missing                                       -> accept
 *   3  not an own client, and score >= reject                            -> reject
 *   4  an answer without which the mail cannot be taken (UNKNOWN, DEFER) -> defer, its reply
 *   5  score >= quarantine                                               -> quarantine
 *   6  score >= tag                                                      -> tag
 *   7                                                                    -> accept
 *
 * The score is the sum over hits and clears. Unknowns add nothing: alone they never refuse (promise L4).
 * For own clients (authenticated, own networks) a fact refuses only when it says so (OWN_TOO).
 */
#ifndef SMTPF_POLICY_JUDGE_H
#define SMTPF_POLICY_JUDGE_H

#include "evidence.h"
#include "profile.h"

enum smtpf_act {
  SMTPF_ACT_ACCEPT = 1,
  SMTPF_ACT_TAG,
  SMTPF_ACT_QUARANTINE,
  SMTPF_ACT_DEFER,
  SMTPF_ACT_REJECT,
};

/* Which line of the table decided. */
enum smtpf_rule {
  SMTPF_RULE_FACT = 1,
  SMTPF_RULE_OWN = 2,
  SMTPF_RULE_REJECT = 3,
  SMTPF_RULE_MISSING = 4,
  SMTPF_RULE_QUARANTINE = 5,
  SMTPF_RULE_TAG = 6,
  SMTPF_RULE_ACCEPT = 7,
};

typedef struct smtpf_outcome {
  int act;                     /* smtpf_act */
  int rule;                    /* smtpf_rule */
  int32_t score;               /* thousandths */
  int32_t threshold;           /* the profile's, where a score decided */
  const smtpf_evidence *cause; /* the finding that decided, or weighed most; NULL when there is none */
  const smtpf_profile *profile;
} smtpf_outcome;

smtpf_outcome smtpf_judge(const smtpf_profile *profile, int own, smtpf_view view);

/* The sum over hits and clears, saturating below SMTPF_SCORE_OFF, which is a threshold nothing reaches. */
int32_t smtpf_judge_score(smtpf_view view);

#endif
