/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include "base/str.h"

/* ---- what a view holds ---------------------------------------------------------------------------------------- */

static void add_score(smtpf_summary *s, const smtpf_profile *p, const smtpf_evidence *e)
{
  const int64_t score = (int64_t)e->score * smtpf_profile_weight(p, e->position) / 100;
  const int declined =
      (e->family == SMTPF_FAMILY_LIST && !p->reject_lists) || (e->family == SMTPF_FAMILY_CONTENT && !p->reject_content);
  s->score += score;
  if (!declined || score < 0)
    s->refusable += score;
  if (e->kind == SMTPF_HIT && score > s->heaviest) {
    s->heaviest = score;
    s->top = e;
  }
}

static int is_of_bounces(const smtpf_evidence *e)
{
  return e->family == SMTPF_FAMILY_BOUNCE || e->family == SMTPF_FAMILY_PROOF;
}

/* Whether any of it counts. */
static int is_heard(const smtpf_will *will, const smtpf_evidence *e)
{
  if (e->flags & SMTPF_FINDING_ROUTE)
    return will->profile->route != SMTPF_WISH_MAILBOX;
  switch (e->family) {
  case SMTPF_FAMILY_ENVELOPE: return 1;
  case SMTPF_FAMILY_LIST:
    if (smtpf_origin_passes_on(will->origin) && smtpf_evidence_of_connection(e))
      return 0;
    break;
  case SMTPF_FAMILY_BOUNCE:
    if (will->bounces != SMTPF_BOUNCES_SIGNED)
      return 0;
    break;
  case SMTPF_FAMILY_PROOF:
    if (will->bounces != SMTPF_BOUNCES_PROVEN)
      return 0;
    break;
  default: break;
  }
  return smtpf_profile_weight(will->profile, e->position) > 0;
}

static void add_target(smtpf_summary *s, const smtpf_will *will, const smtpf_evidence *e)
{
  if (e->kind != SMTPF_HIT)
    return;
  if (!s->stays)
    s->stays = e;
  if (!s->target && (e->flags & SMTPF_FINDING_REFUSE) && will->profile->forward_failed == SMTPF_FAILED_REFUSE &&
      smtpf_origin_may_refuse(will->origin, e->family, e->flags))
    s->target = e;
}

static void add_fact(smtpf_summary *s, const smtpf_will *will, const smtpf_evidence *e)
{
  if (e->kind == SMTPF_HIT && (e->flags & SMTPF_FINDING_REFUSE)) {
    if (smtpf_origin_may_refuse(will->origin, e->family, e->flags))
      s->fact = s->fact ? s->fact : e;
    else if (e->family == SMTPF_FAMILY_CONTENT || is_of_bounces(e))
      s->barred = s->barred ? s->barred : e;
  }
  if (!s->missing && e->kind == SMTPF_UNKNOWN && (e->flags & SMTPF_FINDING_DEFER))
    s->missing = e;
}

/* Of own clients' mail only what is meant for it too. */
static int concerns(const smtpf_will *will, const smtpf_evidence *e)
{
  return will->origin != SMTPF_ORIGIN_OWN || (e->kind == SMTPF_UNKNOWN && (e->flags & SMTPF_FINDING_OWN_TOO));
}

/* What not knowing asks for. A greylist's deferral is for strangers, and for who asked for it. */
static void add_elective(smtpf_summary *s, const smtpf_will *will, const smtpf_evidence *e)
{
  if (!s->tag && (e->flags & SMTPF_FINDING_TAG))
    s->tag = e;
  if (!s->unsure && (e->flags & SMTPF_FINDING_QUARANTINE))
    s->unsure = e;
  if (!(e->flags & SMTPF_FINDING_ELECTIVE))
    return;
  if (e->family == SMTPF_FAMILY_GREYLIST && (!will->profile->greylist || will->origin != SMTPF_ORIGIN_STRANGER))
    return;
  if (!s->elective)
    s->elective = e;
  if (!s->unsure && e->kind == SMTPF_UNKNOWN)
    s->unsure = e;
}

smtpf_summary smtpf_judge_summary(const smtpf_will *will, smtpf_view view)
{
  smtpf_summary s = {0};
  for (size_t i = 0; i < view.n; i++) {
    const smtpf_evidence *e = view.v[i];
    if (!is_heard(will, e))
      continue;
    s.unknown |= e->kind == SMTPF_UNKNOWN;
    if (e->flags & SMTPF_FINDING_ROUTE) {
      add_target(&s, will, e);
      continue;
    }
    if (e->kind != SMTPF_UNKNOWN)
      add_score(&s, will->profile, e);
    else if (e->family == SMTPF_FAMILY_LIST || e->family == SMTPF_FAMILY_CONTENT || is_of_bounces(e))
      s.unscanned = 1;
    add_fact(&s, will, e);
    if (concerns(will, e))
      add_elective(&s, will, e);
  }
  return s;
}

/* ---- the table ----------------------------------------------------------------------------------------------------
 */

int32_t smtpf_judge_clip(int64_t sum)
{
  if (sum >= SMTPF_SCORE_OFF)
    return SMTPF_SCORE_OFF - 1;
  return sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

static int reached(int32_t score, int32_t threshold)
{
  return threshold != SMTPF_SCORE_OFF && score >= threshold;
}

/* The act of line 10, and of 11 and 12 for what may not be refused: quarantine, or tag where that is off. */
static int next_best(const smtpf_profile *p)
{
  return p->quarantine == SMTPF_SCORE_OFF ? SMTPF_ACT_TAG : SMTPF_ACT_QUARANTINE;
}

/* Lines 6 to 13 without 9: what becomes of the copy when nothing puts it off. Neither entries nor scores hold against
 * own clients. */
static smtpf_outcome definite(const smtpf_will *w, const smtpf_summary *s)
{
  const smtpf_profile *p = w->profile;
  const int32_t score = smtpf_judge_clip(s->score), refusable = smtpf_judge_clip(s->refusable);
  const int legal = smtpf_origin_may_reject(w->origin), own = w->origin == SMTPF_ORIGIN_OWN;
  const int deny = !own && w->entry == SMTPF_ENTRY_DENY, reject = !own && reached(refusable, p->reject);
  const int discard = !own && reached(score, p->discard) && !(reject && legal && p->reject >= p->discard);
  smtpf_outcome o = {.score = score, .cause = s->top, .profile = p};
  const struct {
    int holds, act, rule;
    int32_t threshold;
  } table[] = {
      {deny && legal, SMTPF_ACT_REJECT, SMTPF_RULE_DENY, 0},
      {discard, SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, p->discard},
      {reject && legal, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, p->reject},
      {s->unsure != NULL, next_best(p), SMTPF_RULE_SPENT, 0},
      {!own && s->barred, next_best(p), SMTPF_RULE_BARRED, 0},
      {deny, next_best(p), SMTPF_RULE_DENY, 0},
      {reject, next_best(p), SMTPF_RULE_REJECT, p->reject},
      {!own && reached(score, p->quarantine), SMTPF_ACT_QUARANTINE, SMTPF_RULE_QUARANTINE, p->quarantine},
      {s->tag != NULL, SMTPF_ACT_TAG, SMTPF_RULE_SPENT, 0},
      {!own && reached(score, p->tag), SMTPF_ACT_TAG, SMTPF_RULE_TAG, p->tag},
      {1, SMTPF_ACT_ACCEPT, SMTPF_RULE_ACCEPT, 0},
  };
  size_t i = 0;
  while (!table[i].holds)
    i++;
  o.act = (uint8_t)table[i].act;
  o.rule = (uint8_t)table[i].rule;
  o.threshold = table[i].threshold;
  if (o.rule == SMTPF_RULE_SPENT)
    o.cause = s->unsure ? s->unsure : s->tag;
  else if (o.rule == SMTPF_RULE_BARRED)
    o.cause = s->barred;
  else if (o.rule == SMTPF_RULE_DENY || o.rule == SMTPF_RULE_ACCEPT)
    o.cause = NULL;
  return o;
}

/* Line 9 stands behind what refuses, what discards, and what is never judged. */
static int may_wait(const smtpf_outcome *o)
{
  return o->rule > SMTPF_RULE_ALLOW && o->act != SMTPF_ACT_REJECT && o->act != SMTPF_ACT_DISCARD;
}

/* Whether the definite act sends the copy on. */
static int forwards(const smtpf_summary *s, const smtpf_outcome *o)
{
  switch (o->profile->route) {
  case SMTPF_WISH_FORWARD:
    return o->definite == SMTPF_ACT_ACCEPT || (o->definite == SMTPF_ACT_TAG && !o->spent && !s->barred);
  case SMTPF_WISH_FORWARD_NONSPAM: return o->definite == SMTPF_ACT_ACCEPT && !s->unscanned;
  default: return 0;
  }
}

smtpf_outcome smtpf_judge_by(const smtpf_will *w, const smtpf_summary *s)
{
  const smtpf_outcome plain = {.score = smtpf_judge_clip(s->score), .profile = w->profile};
  const struct {
    int holds, act, rule;
    const smtpf_evidence *cause;
  } table[] = {
      {s->fact != NULL, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, s->fact},
      {w->restricted, SMTPF_ACT_REJECT, SMTPF_RULE_RESTRICTED, NULL},
      {s->missing != NULL, SMTPF_ACT_DEFER, SMTPF_RULE_MISSING, s->missing},
      {w->origin == SMTPF_ORIGIN_OWN && !s->elective && !s->unsure && !s->tag, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, NULL},
      {w->entry == SMTPF_ENTRY_ALLOW, SMTPF_ACT_ACCEPT, SMTPF_RULE_ALLOW, NULL},
  };
  smtpf_outcome o = plain;
  size_t i = 0;
  while (i < sizeof table / sizeof *table && !table[i].holds)
    i++;
  if (i < sizeof table / sizeof *table) {
    o.act = (uint8_t)table[i].act;
    o.rule = (uint8_t)table[i].rule;
    o.cause = table[i].cause;
  } else {
    o = definite(w, s);
  }
  o.definite = o.act;
  o.spent = o.rule == SMTPF_RULE_SPENT;
  if (s->elective && w->budget == SMTPF_BUDGET_LEFT && may_wait(&o)) {
    o.act = SMTPF_ACT_DEFER;
    o.rule = SMTPF_RULE_ELECTIVE;
    o.cause = s->elective;
  }
  o.forward = (uint8_t)forwards(s, &o);
  o.refusable = (uint8_t)smtpf_origin_may_reject(w->origin);
  o.unknown = s->unknown;
  o.sender = w->sender;
  o.target = s->target;
  o.stays = s->stays;
  return o;
}

smtpf_outcome smtpf_judge_target(smtpf_outcome o)
{
  const int may_yet_go = o.target && o.target->stage <= SMTPF_RCPT;
  if (o.target && o.rule != SMTPF_RULE_FACT && (o.forward || may_yet_go)) {
    o.act = o.definite = SMTPF_ACT_REJECT;
    o.rule = SMTPF_RULE_FACT;
    o.cause = o.target;
    o.threshold = 0;
    o.forward = o.joined = o.spent = 0;
  } else {
    o.target = NULL;
  }
  if (o.forward && o.stays)
    o.forward = 0;
  else
    o.stays = NULL;
  return o;
}

smtpf_outcome smtpf_judge(const smtpf_will *will, smtpf_view view)
{
  const smtpf_summary s = smtpf_judge_summary(will, view);
  return smtpf_judge_target(smtpf_judge_by(will, &s));
}

/* ---- several wills behind one recipient ---------------------------------------------------------------------------
 */

static size_t count(const smtpf_outcome *o, size_t n, int act)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += o[i].definite == act;
  return c;
}

/* The definite act all can live with. */
static int common_act(const smtpf_outcome *o, size_t n)
{
  const size_t accept = count(o, n, SMTPF_ACT_ACCEPT), tag = count(o, n, SMTPF_ACT_TAG);
  size_t refused = count(o, n, SMTPF_ACT_REJECT);
  if (count(o, n, SMTPF_ACT_DISCARD) == n)
    return SMTPF_ACT_DISCARD;
  for (size_t i = 0; i < n; i++)
    refused += o[i].definite == SMTPF_ACT_DISCARD && o[i].refusable;
  if (refused == n)
    return SMTPF_ACT_REJECT;
  if (accept == n)
    return SMTPF_ACT_ACCEPT;
  return accept + tag ? SMTPF_ACT_TAG : SMTPF_ACT_QUARANTINE;
}

/* Who speaks for all: who keeps the client out, then who cannot be answered for now, then who is put off, then the
 * first of the strongest. */
static size_t speaker(const smtpf_outcome *o, size_t n)
{
  static const uint8_t first[] = {SMTPF_RULE_FACT, SMTPF_RULE_RESTRICTED, SMTPF_RULE_MISSING, SMTPF_RULE_ELECTIVE};
  size_t strongest = 0;
  for (size_t k = 0; k < sizeof first; k++)
    for (size_t i = 0; i < n; i++)
      if (o[i].rule == first[k])
        return i;
  for (size_t i = 1; i < n; i++)
    if (o[i].act > o[strongest].act)
      strongest = i;
  return strongest;
}

/* All to one address, as one sender. */
static int same_target(const smtpf_outcome *o, size_t n)
{
  size_t i = 0;
  while (i < n && smtpf_str_equal(o[i].profile->forward, o[0].profile->forward) &&
         smtpf_str_equal(o[i].sender, o[0].sender))
    i++;
  return i == n;
}

smtpf_outcome smtpf_judge_members(const smtpf_outcome *o, size_t n)
{
  const int together = same_target(o, n);
  smtpf_outcome all = o[speaker(o, n)];
  all.target = together ? o[0].target : NULL;
  all.stays = NULL;
  for (size_t i = 0; i < n; i++) {
    all.target = o[i].target ? all.target : NULL;
    all.stays = all.stays ? all.stays : o[i].stays;
    all.unknown |= o[i].unknown;
  }
  if (all.rule == SMTPF_RULE_FACT || all.rule == SMTPF_RULE_RESTRICTED || all.rule == SMTPF_RULE_MISSING)
    return all;
  all.definite = (uint8_t)common_act(o, n);
  if (all.rule != SMTPF_RULE_ELECTIVE) {
    all.joined |= all.act != all.definite;
    all.act = all.definite;
  }
  all.forward = (uint8_t)together;
  for (size_t i = 0; i < n; i++) {
    all.forward &= o[i].forward;
    all.refusable &= o[i].refusable;
    all.spent |= o[i].spent;
  }
  return all;
}
