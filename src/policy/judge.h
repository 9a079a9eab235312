/* SPDX-License-Identifier: MIT
 *
 * judge: what one recipient's wishes make of the evidence.
 *
 *   in this order, the first that holds decides
 *   1  a fact that may refuse mail of this origin; one about the target
 *      of the forward where `forward_failed` is `refuse`: found at RCPT,
 *      when the copy may yet be forwarded, or later and it would be      -> reject, its reply
 *   2  restricted: `only_from` keeps this client out                     -> reject
 *   3  an answer without which the mail cannot be taken (UNKNOWN, DEFER) -> defer, its reply
 *   4  own client, unless an UNKNOWN that holds for own clients too
 *      (OWN_TOO) asks for something: then 9, 10 and 12 for it alone      -> accept
 *   5  personal allow entry                                              -> accept
 *   6  personal deny entry, and the origin may be refused                -> reject
 *   7  score >= discard, the recipient's consent                         -> discard, unless 8 holds and asks for more
 *   8  refusable score >= reject, and the origin may be refused          -> reject
 *   9  an elective deferral (ELECTIVE) and budget left                   -> defer, its reply
 *  10  what 9 would put off came from an UNKNOWN, budget spent; or an UNKNOWN
 *      that asks for it (QUARANTINE)                                     -> quarantine, or tag where that is off
 *  11  score >= quarantine, or a deny, a reject, or a fact about the
 *      content or a bounce that is not legal                             -> quarantine (11 is left out where the
 *                                                                           profile's quarantine is off)
 *  12  score >= tag, or what 11 would have taken; or an UNKNOWN that asks
 *      for it (TAG)                                                      -> tag
 *  13                                                                    -> accept
 *
 * 7 and 8: the greater of the two thresholds that are reached decides; reject when they are equal.
 * Not heard at all: what is about the target of a forward (ROUTE), by who keeps the mail in the mailbox; what bounces
 * cannot show, by who did not ask for it (`bounces`: family BOUNCE with `signed`, PROOF with `proven`); what lists say
 * of the client itself, by whom it passes mail on for (backup MX, forwarder, list).
 *
 * The score is the sum over hits and clears, each by the weight its check has for this recipient. A weight of 0
 * silences the check, but for facts and missing answers about the envelope: no wish makes a mailbox that does not exist
 * (promise L2). The refusable score leaves out what speaks against the mail and may not refuse it: positive scores of
 * lists without `reject_lists`, of content without `reject_content`. Unknowns add nothing: alone they never refuse
 * (promise L4). A greylist's deferral counts only with `greylist`, and only from strangers. A budget that is unreadable
 * counts as spent (promise L7).
 *
 * A copy that is taken is forwarded as its profile says: `forward-nonspam` only when it is accepted unmarked and no
 * list and no scanner left its answer out, and never when line 10 decided, or a fact that is not legal (promise L2: the
 * next hop would refuse it, and we would have to bounce it). A hit about the target that line 1 does not refuse for
 * suspends the forward: the copy stays in the mailbox, and the outcome says why.
 */
#ifndef SMTPF_POLICY_JUDGE_H
#define SMTPF_POLICY_JUDGE_H

#include "evidence.h"
#include "origin.h"
#include "profile.h"

enum smtpf_act {
  SMTPF_ACT_ACCEPT = 1,
  SMTPF_ACT_TAG,
  SMTPF_ACT_QUARANTINE,
  SMTPF_ACT_DISCARD,
  SMTPF_ACT_DEFER,
  SMTPF_ACT_REJECT,
};

/* Which line of the table decided. */
enum smtpf_rule {
  SMTPF_RULE_FACT = 1,
  SMTPF_RULE_RESTRICTED,
  SMTPF_RULE_MISSING,
  SMTPF_RULE_OWN,
  SMTPF_RULE_ALLOW,
  SMTPF_RULE_BARRED, /* 11, 12: a fact about the content or a bounce that is not legal */
  SMTPF_RULE_DENY,   /* also 11, 12: a deny that is not legal */
  SMTPF_RULE_DISCARD,
  SMTPF_RULE_REJECT, /* also 11, 12: a reject that is not legal */
  SMTPF_RULE_ELECTIVE,
  SMTPF_RULE_SPENT,
  SMTPF_RULE_QUARANTINE,
  SMTPF_RULE_TAG,
  SMTPF_RULE_ACCEPT,
};

/* Whether sender and recipient may be put off once more (budget.h). */
enum smtpf_budget_state { SMTPF_BUDGET_LEFT = 0, SMTPF_BUDGET_SPENT, SMTPF_BUDGET_UNREADABLE };

/* One will: a recipient's, or that of one member behind it. */
typedef struct smtpf_will {
  const smtpf_profile *profile;
  uint8_t origin;     /* smtpf_origin */
  uint8_t restricted; /* smtpf_origin_restricted() */
  uint8_t entry;      /* smtpf_entry_kind */
  uint8_t budget;     /* smtpf_budget_state */
  uint8_t bounces;    /* smtpf_profile_bounces: what this mail must show; ALL for what is no bounce */
  smtpf_str sender;   /* envelope sender of a forward, when it is another than the message's; else empty */
} smtpf_will;

typedef struct smtpf_outcome {
  uint8_t act;                 /* smtpf_act */
  uint8_t rule;                /* smtpf_rule */
  uint8_t definite;            /* DEFER by ELECTIVE: the act without it, as when the budget is spent; else `act` */
  uint8_t forward;             /* the copy goes to profile->forward; for DEFER: the definite one would */
  uint8_t refusable;           /* the origin may be refused: reject is a legal act for this copy */
  uint8_t unknown;             /* something could not be found out */
  uint8_t joined;              /* the act is not the one of the will that speaks: other members wish otherwise */
  uint8_t spent;               /* `definite` is by line 10 */
  int32_t score;               /* thousandths */
  int32_t threshold;           /* the profile's, where a score decided */
  const smtpf_evidence *cause; /* the finding that decided, or weighed most; NULL when there is none */
  const smtpf_profile *profile;
  smtpf_str sender;             /* the will's */
  const smtpf_evidence *target; /* the fact about the target that refuses (line 1); while it is open: that would */
  const smtpf_evidence *stays;  /* why the copy is not forwarded; while it is open: would not be; else NULL */
} smtpf_outcome;

/* What a view holds for one will: all that the table looks at. */
typedef struct smtpf_summary {
  int64_t score, refusable; /* sums, not yet clipped */
  int64_t heaviest;         /* score of `top` */
  const smtpf_evidence *fact, *missing, *elective, *top;
  const smtpf_evidence *unsure; /* an UNKNOWN that puts off electively, or asks for quarantine */
  const smtpf_evidence *barred; /* a fact about the content or a bounce that may not refuse mail of this origin */
  const smtpf_evidence *target; /* a fact about the target of the forward, which refuses if the copy may go there */
  const smtpf_evidence *stays;  /* a hit about it, of any kind */
  const smtpf_evidence *tag;    /* an UNKNOWN that asks for a mark */
  uint8_t unknown;              /* some finding is unknown */
  uint8_t unscanned;            /* a list's, a scanner's or a bounce's finding is */
} smtpf_summary;

smtpf_summary smtpf_judge_summary(const smtpf_will *will, smtpf_view view);
/* All of the table but what is about the target, which is left open: it is about the copy, of which members share one.
 */
smtpf_outcome smtpf_judge_by(const smtpf_will *will, const smtpf_summary *summary);

/* What is about the target, of an outcome or of the members' together. */
smtpf_outcome smtpf_judge_target(smtpf_outcome o);

/* All three. */
smtpf_outcome smtpf_judge(const smtpf_will *will, smtpf_view view);

/*
 * The wills of several members behind one recipient, as one: there is one copy and one reply.
 *
 *   some reject by fact or restriction          -> reject: whom a member keeps out does not come in through an alias
 *   some defer                                  -> defer; electively only when all deferring ones do
 *   all reject, or discard and may be refused   -> reject
 *   all discard                                 -> discard
 *   some accept or tag                          -> accept when all do, else tag: nothing is kept from who wants it
 *   else                                        -> quarantine
 *
 * A forward holds only when all members forward to the same address, and only then its target refuses: when it would
 * for all of them; else the copy stays.
 */
smtpf_outcome smtpf_judge_members(const smtpf_outcome *outcomes, size_t n);

/* A sum as a score, saturating below SMTPF_SCORE_OFF, which is a threshold nothing reaches. */
int32_t smtpf_judge_clip(int64_t sum);

#endif
