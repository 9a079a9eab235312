/* SPDX-License-Identifier: MIT */
#include "partition.h"

#include "base/str.h"

/* ---- two outcomes ---------------------------------------------------------------------------------------------------
 */

static int is_refusal(int act)
{
  return act == SMTPF_ACT_DEFER || act == SMTPF_ACT_REJECT;
}

/* What this host makes of an act for a message whose copies all wish it. */
static int within_reach(int act, unsigned capabilities)
{
  if (act == SMTPF_ACT_QUARANTINE && !(capabilities & (SMTPF_CAN_QUARANTINE | SMTPF_CAN_QUARANTINE_PER_RCPT)))
    act = SMTPF_ACT_TAG;
  if (act == SMTPF_ACT_TAG && !(capabilities & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT)))
    act = SMTPF_ACT_ACCEPT;
  return act;
}

static smtpf_str sender_of(const smtpf_outcome *o, int act)
{
  const int forwarded = o->forward && (act == SMTPF_ACT_ACCEPT || act == SMTPF_ACT_TAG);
  return forwarded ? o->profile->forward_sender : (smtpf_str){NULL, 0};
}

int smtpf_compatible(const smtpf_outcome *a, const smtpf_outcome *b, unsigned capabilities)
{
  const int each = (capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0;
  const int x = within_reach(a->act, capabilities), y = within_reach(b->act, capabilities);
  if (is_refusal(x) || is_refusal(y))
    return each || x == y;
  if (x == SMTPF_ACT_DISCARD || y == SMTPF_ACT_DISCARD)
    return x == y || each || (capabilities & SMTPF_CAN_DROP_RCPT);
  if (!(capabilities & SMTPF_CAN_SENDER_PER_RCPT) && !smtpf_str_equal(sender_of(a, x), sender_of(b, y)))
    return 0;
  if (x == y)
    return 1;
  if (x == SMTPF_ACT_QUARANTINE || y == SMTPF_ACT_QUARANTINE)
    return (capabilities & SMTPF_CAN_QUARANTINE_PER_RCPT) != 0;
  return (capabilities & SMTPF_CAN_EDIT_PER_RCPT) != 0;
}

/* ---- two recipients -------------------------------------------------------------------------------------------------
 */

/* What may yet be found, beside a score. */
enum future { NOTHING, FACT, UNSCANNED, ELECTIVE, FUTURES };

static smtpf_summary add(const smtpf_will *will, const smtpf_summary *now, int64_t score, enum future future)
{
  static const smtpf_evidence content = {.family = SMTPF_FAMILY_CONTENT};
  smtpf_summary s = *now;
  s.score += score;
  s.refusable += score;
  if (future == FACT && !s.fact && smtpf_origin_may_refuse(will->origin, content.family, 0))
    s.fact = &content;
  if (future == UNSCANNED || future == ELECTIVE)
    s.unknown = s.unscanned = 1;
  if (future == ELECTIVE) {
    s.elective = s.elective ? s.elective : &content;
    s.unsure = s.unsure ? s.unsure : &content;
  }
  return s;
}

/* The recipient's outcome when this is found; over all members, without memory for their outcomes. */
static smtpf_outcome outcome_of(const smtpf_party *p, int64_t score, enum future future)
{
  smtpf_outcome joined = {0};
  for (size_t i = 0; i < p->n; i++) {
    const smtpf_summary s = add(&p->wills[i], &p->summaries[i], score, future);
    const smtpf_outcome o = smtpf_judge_by(&p->wills[i], &s);
    joined = i ? smtpf_judge_members((const smtpf_outcome[]){joined, o}, 2) : o;
  }
  return joined;
}

smtpf_outcome smtpf_party_outcome(const smtpf_party *party)
{
  return outcome_of(party, 0, NOTHING);
}

/* Whether two wills count the same score for what will be found. */
static int count_alike(const smtpf_will *a, const smtpf_will *b)
{
  const smtpf_profile *p = a->profile, *q = b->profile;
  return p->weights == q->weights && p->reject_lists == q->reject_lists && p->reject_content == q->reject_content;
}

static int all_count_alike(const smtpf_party *a, const smtpf_party *b)
{
  for (size_t i = 0; i < a->n; i++)
    if (!count_alike(&a->wills[0], &a->wills[i]))
      return 0;
  for (size_t i = 0; i < b->n; i++)
    if (!count_alike(&a->wills[0], &b->wills[i]))
      return 0;
  return 1;
}

/* The scores at which some outcome of a party changes: each of eight for a member, by number. 1 when there is one. */
enum { EDGES = 8 };
static int edge(const smtpf_party *p, size_t number, int64_t *out)
{
  const smtpf_profile *profile = p->wills[number / EDGES].profile;
  const smtpf_summary *s = &p->summaries[number / EDGES];
  const int32_t thresholds[] = {profile->reject, profile->discard, profile->quarantine, profile->tag};
  const int32_t t = thresholds[number % 4];
  *out = t - (number % EDGES < 4 ? s->score : s->refusable);
  return t != SMTPF_SCORE_OFF;
}

static int joins_at(const smtpf_party *a, const smtpf_party *b, unsigned capabilities, int64_t score)
{
  for (enum future f = NOTHING; f < FUTURES; f++) {
    const smtpf_outcome x = outcome_of(a, score, f), y = outcome_of(b, score, f);
    if (!smtpf_compatible(&x, &y, capabilities))
      return 0;
  }
  return 1;
}

/* Both find the same: every interval of the score is tried, from its lower edge on, and what lies below all. */
static int joins_everywhere(const smtpf_party *a, const smtpf_party *b, unsigned capabilities)
{
  int64_t at, tried[2 * EDGES];
  size_t n = 0;
  for (size_t i = 0; i < (a->n + b->n) * EDGES; i++) {
    size_t known = 0;
    if (!(i < a->n * EDGES ? edge(a, i, &at) : edge(b, i - a->n * EDGES, &at)))
      continue;
    while (known < n && tried[known] != at)
      known++;
    if (known < n)
      continue;
    if (n < sizeof tried / sizeof *tried)
      tried[n++] = at;
    if (!joins_at(a, b, capabilities, at) || !joins_at(a, b, capabilities, at - 1))
      return 0;
  }
  return joins_at(a, b, capabilities, 0);
}

/* Everything a party can come to: one outcome for each act and route, which is all that smtpf_compatible() looks at. */
typedef struct range {
  smtpf_outcome seen[2 * (SMTPF_ACT_REJECT + 1)];
  size_t n;
} range;

static void range_add(range *r, const smtpf_outcome *o)
{
  for (size_t i = 0; i < r->n; i++)
    if (r->seen[i].act == o->act && r->seen[i].forward == o->forward)
      return;
  r->seen[r->n++] = *o;
}

static range range_of(const smtpf_party *p)
{
  range r = {.n = 0};
  int64_t at;
  for (size_t i = 0; i < p->n * EDGES * 2; i++)
    for (enum future f = NOTHING; f < FUTURES; f++) {
      if (!edge(p, i / 2, &at))
        continue;
      const smtpf_outcome o = outcome_of(p, at - (int64_t)(i % 2), f);
      range_add(&r, &o);
    }
  for (enum future f = NOTHING; f < FUTURES; f++) {
    const smtpf_outcome o = outcome_of(p, 0, f);
    range_add(&r, &o);
  }
  return r;
}

static int joins_whatever_each_finds(const smtpf_party *a, const smtpf_party *b, unsigned capabilities)
{
  const range x = range_of(a), y = range_of(b);
  for (size_t i = 0; i < x.n; i++)
    for (size_t j = 0; j < y.n; j++)
      if (!smtpf_compatible(&x.seen[i], &y.seen[j], capabilities))
        return 0;
  return 1;
}

int smtpf_partition_joins(const smtpf_party *first, const smtpf_party *later, unsigned capabilities, int settled)
{
  if (settled) {
    const smtpf_outcome x = outcome_of(first, 0, NOTHING), y = outcome_of(later, 0, NOTHING);
    return smtpf_compatible(&x, &y, capabilities);
  }
  return all_count_alike(first, later) ? joins_everywhere(first, later, capabilities)
                                       : joins_whatever_each_finds(first, later, capabilities);
}
