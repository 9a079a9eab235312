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

/* Where a copy goes, and as whose: nowhere else and the sender's own where it stays. */
typedef struct destination {
  smtpf_str address, sender;
} destination;

static destination destination_of(const smtpf_outcome *o, int act)
{
  const int forwarded = o->forward && (act == SMTPF_ACT_ACCEPT || act == SMTPF_ACT_TAG);
  return forwarded ? (destination){o->profile->forward, o->sender} : (destination){{NULL, 0}, {NULL, 0}};
}

/* Whether the fates of two copies are decided by different servers, or in different transactions. */
static int part_ways(const destination *a, const destination *b)
{
  return !smtpf_str_equal(a->address, b->address) || !smtpf_str_equal(a->sender, b->sender);
}

int smtpf_compatible(const smtpf_outcome *a, const smtpf_outcome *b, unsigned capabilities)
{
  const int each = (capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0;
  const int x = within_reach(a->act, capabilities), y = within_reach(b->act, capabilities);
  if (is_refusal(x) || is_refusal(y))
    return each || x == y;
  if (x == SMTPF_ACT_DISCARD || y == SMTPF_ACT_DISCARD)
    return x == y || each || (capabilities & SMTPF_CAN_DROP_RCPT);
  const destination to = destination_of(a, x), too = destination_of(b, y);
  if ((capabilities & SMTPF_CAN_CUT_THROUGH) && !each && part_ways(&to, &too))
    return 0;
  if (!(capabilities & SMTPF_CAN_SENDER_PER_RCPT) && !smtpf_str_equal(to.sender, too.sender))
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
enum future { NOTHING, FACT, UNSCANNED, ELECTIVE, OF_CONTENT, MARK = OF_CONTENT, UNSURE, OF_SCANS };

static smtpf_summary add(const smtpf_will *will, const smtpf_summary *now, int64_t score, enum future future)
{
  static const smtpf_evidence content = {.family = SMTPF_FAMILY_CONTENT};
  smtpf_summary s = *now;
  s.score += score;
  s.refusable += score;
  if (future == FACT && smtpf_origin_may_refuse(will->origin, content.family, 0))
    s.fact = s.fact ? s.fact : &content;
  else if (future == FACT)
    s.barred = s.barred ? s.barred : &content;
  if (future >= UNSCANNED)
    s.unknown = s.unscanned = 1;
  if (will->origin == SMTPF_ORIGIN_OWN)
    return s; /* their clients take no 452 for an answer: should a scanner fail, the join decides */
  if (future == MARK && !s.tag)
    s.tag = &content;
  if ((future == UNSURE || future == ELECTIVE) && !s.unsure)
    s.unsure = &content;
  if (future == ELECTIVE && !s.elective)
    s.elective = &content;
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
  return smtpf_judge_target(joined);
}

smtpf_outcome smtpf_party_outcome(const smtpf_party *party)
{
  return outcome_of(party, 0, NOTHING);
}

/* Whether two wills count the same score for what will be found. */
static int count_alike(const smtpf_will *a, const smtpf_will *b)
{
  const smtpf_profile *p = a->profile, *q = b->profile;
  return a->bounces == b->bounces && p->weights == q->weights && p->reject_lists == q->reject_lists &&
         p->reject_content == q->reject_content;
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

/* Scores worth finding for a party: for each threshold of each member what reaches it and what just does not. In
 * between nothing changes, and a threshold that is off stands above all. Against `reject` stands only what may refuse.
 */
enum { THRESHOLDS = 4, FOR_EACH = 2 * THRESHOLDS };

static size_t count_trials(const smtpf_party *p)
{
  return p->n * FOR_EACH;
}

static int64_t trial(const smtpf_party *p, size_t number)
{
  const smtpf_profile *profile = p->wills[number / FOR_EACH].profile;
  const smtpf_summary *s = &p->summaries[number / FOR_EACH];
  const int64_t to_reach[THRESHOLDS] = {profile->reject - s->refusable, profile->discard - s->score,
                                        profile->quarantine - s->score, profile->tag - s->score};
  return to_reach[number / 2 % THRESHOLDS] - (int64_t)(number & 1);
}

/* Both find the same. */
static int joins_at(const smtpf_party *a, const smtpf_party *b, unsigned capabilities, enum future futures,
                    int64_t score)
{
  for (enum future f = NOTHING; f < futures; f++) {
    const smtpf_outcome x = outcome_of(a, score, f), y = outcome_of(b, score, f);
    if (!smtpf_compatible(&x, &y, capabilities))
      return 0;
  }
  return 1;
}

static int joins_where(const smtpf_party *turns, const smtpf_party *a, const smtpf_party *b, unsigned capabilities,
                       enum future futures)
{
  for (size_t i = 0; i < count_trials(turns); i++)
    if (!joins_at(a, b, capabilities, futures, trial(turns, i)))
      return 0;
  return 1;
}

/* Everything a party can come to: one outcome for each act and route, which is all that smtpf_compatible() looks at. */
enum { ROUTES = 2 };
typedef struct range {
  smtpf_outcome of[SMTPF_ACT_REJECT + 1][ROUTES]; /* act 0: never */
} range;

static range range_of(const smtpf_party *p, enum future futures)
{
  range r = {0};
  for (size_t i = 0; i < count_trials(p); i++)
    for (enum future f = NOTHING; f < futures; f++) {
      const smtpf_outcome o = outcome_of(p, trial(p, i), f);
      r.of[o.act][o.forward] = o;
    }
  return r;
}

static int fits_all(const smtpf_outcome *x, const range *r, unsigned capabilities)
{
  for (int act = SMTPF_ACT_ACCEPT; act <= SMTPF_ACT_REJECT; act++)
    for (int route = 0; route < ROUTES; route++)
      if (r->of[act][route].act && !smtpf_compatible(x, &r->of[act][route], capabilities))
        return 0;
  return 1;
}

static int joins_whatever_each_finds(const smtpf_party *a, const smtpf_party *b, unsigned capabilities,
                                     enum future futures)
{
  const range x = range_of(a, futures), y = range_of(b, futures);
  for (int act = SMTPF_ACT_ACCEPT; act <= SMTPF_ACT_REJECT; act++)
    for (int route = 0; route < ROUTES; route++)
      if (x.of[act][route].act && !fits_all(&x.of[act][route], &y, capabilities))
        return 0;
  return 1;
}

int smtpf_partition_joins(const smtpf_party *first, const smtpf_party *later, unsigned capabilities, int expect)
{
  const unsigned everything =
      SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT | SMTPF_CAN_SENDER_PER_RCPT;
  if ((capabilities & everything) == everything)
    return 1; /* nothing is the same for all */
  if (first->wills[0].origin == SMTPF_ORIGIN_OWN)
    capabilities &= ~(unsigned)SMTPF_CAN_CUT_THROUGH;
  if (expect == SMTPF_EXPECT_NOTHING) {
    const smtpf_outcome x = outcome_of(first, 0, NOTHING), y = outcome_of(later, 0, NOTHING);
    return smtpf_compatible(&x, &y, capabilities);
  }
  const enum future futures = expect == SMTPF_EXPECT_CONTENT ? OF_CONTENT : OF_SCANS;
  if (expect == SMTPF_EXPECT_APART || !all_count_alike(first, later))
    return joins_whatever_each_finds(first, later, capabilities, futures);
  return joins_where(first, first, later, capabilities, futures) &&
         joins_where(later, first, later, capabilities, futures);
}
