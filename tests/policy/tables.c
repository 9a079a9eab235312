/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "tables.h"

/* ---- origin.h --------------------------------------------------------------------------------------- */

int table_origin(const smtpf_standing *client, const smtpf_profile *p)
{
  const struct {
    int holds, origin;
  } lines[] = {
      {client->own, SMTPF_ORIGIN_OWN},
      {client->open_relay, SMTPF_ORIGIN_STRANGER}, /* after own: the trust of the three below is lost */
      {(client->scopes & client->backup_mx) != 0, SMTPF_ORIGIN_BACKUP_MX},
      {(client->scopes & client->forwarders) != 0, SMTPF_ORIGIN_FORWARDER},
      {(client->scopes & p->forwarders) != 0, SMTPF_ORIGIN_FORWARDER},
      {(client->scopes & p->lists & ~client->other_list) != 0, SMTPF_ORIGIN_LIST},
      {1, SMTPF_ORIGIN_STRANGER},
  };
  size_t i = 0;
  while (!lines[i].holds)
    i++;
  return lines[i].origin;
}

int table_restricted(const smtpf_standing *client, const smtpf_profile *p, int null_sender)
{
  if (p->only_from == 0)
    return 0;
  if (null_sender && p->null_sender)
    return 0;
  return (client->scopes & p->only_from) == 0;
}

int table_may_refuse(int origin, int family, unsigned flags)
{
  if (origin == SMTPF_ORIGIN_OWN)
    return (flags & SMTPF_FINDING_OWN_TOO) != 0;
  return family == SMTPF_FAMILY_ENVELOPE || (flags & SMTPF_FINDING_ROUTE) || origin == SMTPF_ORIGIN_STRANGER;
}

/* ---- judge.h ---------------------------------------------------------------------------------------- */

typedef struct sums {
  int64_t score, refusable, most;
  const smtpf_evidence *fact, *missing, *elective, *unsure, *doubt, *barred, *heaviest, *target,
      *stays; /* the first of each */
  int unscanned, unknown;
} sums;

static void first(const smtpf_evidence **slot, const smtpf_evidence *e)
{
  if (!*slot)
    *slot = e;
}

/* "Not heard at all". */
static int is_deaf_to(const smtpf_will *w, const smtpf_evidence *e)
{
  const int of_client = e->stage == SMTPF_CONNECT || e->stage == SMTPF_HELO || (e->flags & SMTPF_FINDING_CONNECTION);
  const struct {
    int holds, deaf;
  } lines[] = {
      {(e->flags & SMTPF_FINDING_ROUTE) != 0, w->profile->route == SMTPF_WISH_MAILBOX},
      {e->family == SMTPF_FAMILY_BOUNCE, w->bounces != SMTPF_BOUNCES_SIGNED},
      {e->family == SMTPF_FAMILY_PROOF, w->bounces != SMTPF_BOUNCES_PROVEN},
      {e->family == SMTPF_FAMILY_LIST && of_client,
       w->origin == SMTPF_ORIGIN_BACKUP_MX || w->origin == SMTPF_ORIGIN_FORWARDER || w->origin == SMTPF_ORIGIN_LIST},
      {1, 0},
  };
  size_t i = 0;
  while (!lines[i].holds)
    i++;
  return lines[i].deaf;
}

static int is_declined(const smtpf_profile *p, int family)
{
  return (family == SMTPF_FAMILY_LIST && p->reject_lists == 0) ||
         (family == SMTPF_FAMILY_CONTENT && p->reject_content == 0);
}

static sums add_up(const smtpf_will *w, smtpf_view view)
{
  sums s = {0};
  for (size_t i = 0; i < view.n; i++) {
    const smtpf_evidence *e = view.v[i];
    const unsigned weight = smtpf_profile_weight(w->profile, e->position);
    const int hit = e->kind == SMTPF_HIT, unknown = e->kind == SMTPF_UNKNOWN;
    const int of_content =
        e->family == SMTPF_FAMILY_CONTENT || e->family == SMTPF_FAMILY_BOUNCE || e->family == SMTPF_FAMILY_PROOF;
    if (is_deaf_to(w, e))
      continue;
    if (e->flags & SMTPF_FINDING_ROUTE) {
      s.unknown |= unknown;
      if (hit)
        first(&s.stays, e);
      if (hit && (e->flags & SMTPF_FINDING_REFUSE) && w->profile->forward_failed != SMTPF_FAILED_MAILBOX &&
          table_may_refuse(w->origin, e->family, e->flags))
        first(&s.target, e);
      continue;
    }
    const int heard = weight > 0 || e->family == SMTPF_FAMILY_ENVELOPE;
    if (heard && hit && (e->flags & SMTPF_FINDING_REFUSE) && table_may_refuse(w->origin, e->family, e->flags))
      first(&s.fact, e);
    else if (heard && hit && (e->flags & SMTPF_FINDING_REFUSE) && of_content)
      first(&s.barred, e);
    if (heard && unknown && (e->flags & SMTPF_FINDING_DEFER))
      first(&s.missing, e);
    s.unknown |= heard && unknown;
    if (weight == 0)
      continue;
    if (unknown)
      s.unscanned |= e->family == SMTPF_FAMILY_LIST || of_content;
    const int meant = w->origin != SMTPF_ORIGIN_OWN || (unknown && (e->flags & SMTPF_FINDING_OWN_TOO));
    if (meant && (e->flags & SMTPF_FINDING_QUARANTINE))
      first(&s.unsure, e);
    if (meant && (e->flags & SMTPF_FINDING_TAG))
      first(&s.doubt, e);
    const int grey = e->family == SMTPF_FAMILY_GREYLIST;
    if (meant && (e->flags & SMTPF_FINDING_ELECTIVE) &&
        (!grey || (w->profile->greylist && w->origin == SMTPF_ORIGIN_STRANGER))) {
      first(&s.elective, e);
      if (unknown)
        first(&s.unsure, e);
    }
    if (unknown)
      continue;
    const int64_t weighed = (int64_t)e->score * weight / 100;
    s.score += weighed;
    if (weighed < 0 || !is_declined(w->profile, e->family))
      s.refusable += weighed;
    if (hit && weighed > s.most) {
      s.most = weighed;
      s.heaviest = e;
    }
  }
  return s;
}

/* Lines 10 to 13. */
static table_line kept(const smtpf_will *w, const sums *s, int unlawful_deny)
{
  const smtpf_profile *p = w->profile;
  const int instead = p->quarantine != SMTPF_SCORE_OFF ? SMTPF_ACT_QUARANTINE : SMTPF_ACT_TAG;
  const int unlawful_reject = p->reject != SMTPF_SCORE_OFF && s->refusable >= p->reject; /* else it were line 8 */
  if (s->unsure)
    return (table_line){.act = instead, .rule = SMTPF_RULE_SPENT, .cause = s->unsure};
  if (w->origin == SMTPF_ORIGIN_OWN) /* here because not knowing asks for it, and for that alone */
    return s->doubt ? (table_line){.act = SMTPF_ACT_TAG, .rule = SMTPF_RULE_SPENT, .cause = s->doubt}
                    : (table_line){.act = SMTPF_ACT_ACCEPT, .rule = SMTPF_RULE_ACCEPT};
  if (s->barred)
    return (table_line){.act = instead, .rule = SMTPF_RULE_BARRED, .cause = s->barred};
  if (unlawful_deny)
    return (table_line){.act = instead, .rule = SMTPF_RULE_DENY};
  if (unlawful_reject)
    return (table_line){.act = instead, .rule = SMTPF_RULE_REJECT, .threshold = p->reject, .cause = s->heaviest};
  if (p->quarantine != SMTPF_SCORE_OFF && s->score >= p->quarantine)
    return (table_line){
        .act = SMTPF_ACT_QUARANTINE, .rule = SMTPF_RULE_QUARANTINE, .threshold = p->quarantine, .cause = s->heaviest};
  if (s->doubt)
    return (table_line){.act = SMTPF_ACT_TAG, .rule = SMTPF_RULE_SPENT, .cause = s->doubt};
  if (p->tag != SMTPF_SCORE_OFF && s->score >= p->tag)
    return (table_line){.act = SMTPF_ACT_TAG, .rule = SMTPF_RULE_TAG, .threshold = p->tag, .cause = s->heaviest};
  return (table_line){.act = SMTPF_ACT_ACCEPT, .rule = SMTPF_RULE_ACCEPT};
}

static int goes_on(const smtpf_profile *p, const table_line *l, const sums *s)
{
  if (p->route == SMTPF_WISH_FORWARD)
    return l->definite == SMTPF_ACT_ACCEPT || (l->definite == SMTPF_ACT_TAG && !s->barred);
  return p->route == SMTPF_WISH_FORWARD_NONSPAM && l->definite == SMTPF_ACT_ACCEPT && !s->unscanned;
}

table_line table_judge(const smtpf_will *w, smtpf_view view)
{
  const smtpf_profile *p = w->profile;
  const sums s = add_up(w, view);
  const int stranger = w->origin == SMTPF_ORIGIN_STRANGER;
  const int drop = w->origin != SMTPF_ORIGIN_OWN && p->discard != SMTPF_SCORE_OFF && s.score >= p->discard;
  const int refuse = stranger && p->reject != SMTPF_SCORE_OFF && s.refusable >= p->reject;
  const struct {
    int holds, act, rule;
    const smtpf_evidence *cause;
    int32_t threshold;
  } lines[] = {
      {s.fact != NULL, SMTPF_ACT_REJECT, SMTPF_RULE_FACT, s.fact, 0},
      {w->restricted, SMTPF_ACT_REJECT, SMTPF_RULE_RESTRICTED, NULL, 0},
      {s.missing != NULL, SMTPF_ACT_DEFER, SMTPF_RULE_MISSING, s.missing, 0},
      {w->origin == SMTPF_ORIGIN_OWN && !s.elective && !s.unsure && !s.doubt, SMTPF_ACT_ACCEPT, SMTPF_RULE_OWN, NULL,
       0},
      {w->entry == SMTPF_ENTRY_ALLOW, SMTPF_ACT_ACCEPT, SMTPF_RULE_ALLOW, NULL, 0},
      {w->entry == SMTPF_ENTRY_DENY && stranger, SMTPF_ACT_REJECT, SMTPF_RULE_DENY, NULL, 0},
      {drop && !(refuse && p->reject >= p->discard), SMTPF_ACT_DISCARD, SMTPF_RULE_DISCARD, s.heaviest, p->discard},
      {refuse, SMTPF_ACT_REJECT, SMTPF_RULE_REJECT, s.heaviest, p->reject},
  };
  table_line l = {0};
  for (size_t i = 0; i < sizeof lines / sizeof *lines && !l.act; i++)
    if (lines[i].holds)
      l = (table_line){
          .act = lines[i].act, .rule = lines[i].rule, .cause = lines[i].cause, .threshold = lines[i].threshold};
  const int waits = !l.act && s.elective && w->budget == SMTPF_BUDGET_LEFT;
  if (!l.act)
    l = kept(w, &s, w->entry == SMTPF_ENTRY_DENY);
  l.definite = l.act;
  l.spent = l.rule == SMTPF_RULE_SPENT;
  l.unknown = s.unknown;
  l.score = (int32_t)s.score;
  l.forward = goes_on(p, &l, &s) && !l.spent;
  if (waits) {
    l.act = SMTPF_ACT_DEFER;
    l.rule = SMTPF_RULE_ELECTIVE;
    l.cause = s.elective;
  }
  if (!s.fact && s.target && (s.target->stage == SMTPF_RCPT || l.forward))
    l = (table_line){.act = SMTPF_ACT_REJECT,
                     .definite = SMTPF_ACT_REJECT,
                     .rule = SMTPF_RULE_FACT,
                     .cause = s.target,
                     .score = l.score,
                     .unknown = l.unknown,
                     .target = s.target};
  if (l.forward && s.stays) {
    l.forward = 0;
    l.stays = s.stays;
  }
  return l;
}

static size_t how_many(const smtpf_outcome *o, size_t n, int act, int definite)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += (definite ? o[i].definite : o[i].act) == act;
  return c;
}

/* The last four lines of the members' table, over acts or over definite ones. */
static int members_act(const smtpf_outcome *o, size_t n, int definite)
{
  size_t refuse = how_many(o, n, SMTPF_ACT_REJECT, definite);
  const size_t drop = how_many(o, n, SMTPF_ACT_DISCARD, definite), accept = how_many(o, n, SMTPF_ACT_ACCEPT, definite),
               tag = how_many(o, n, SMTPF_ACT_TAG, definite);
  if (drop == n)
    return SMTPF_ACT_DISCARD; /* all consented: a refusal is needed by nobody */
  for (size_t i = 0; i < n; i++)
    refuse += (definite ? o[i].definite : o[i].act) == SMTPF_ACT_DISCARD && o[i].refusable;
  if (refuse == n)
    return SMTPF_ACT_REJECT;
  if (accept + tag)
    return accept == n ? SMTPF_ACT_ACCEPT : SMTPF_ACT_TAG;
  return SMTPF_ACT_QUARANTINE;
}

table_line table_members(const smtpf_outcome *o, size_t n)
{
  int kept_out = 0, missing = 0, elective = 0;
  for (size_t i = 0; i < n; i++) {
    kept_out |= o[i].act == SMTPF_ACT_REJECT && (o[i].rule == SMTPF_RULE_FACT || o[i].rule == SMTPF_RULE_RESTRICTED);
    missing |= o[i].act == SMTPF_ACT_DEFER && o[i].rule != SMTPF_RULE_ELECTIVE;
    elective |= o[i].act == SMTPF_ACT_DEFER && o[i].rule == SMTPF_RULE_ELECTIVE;
  }
  table_line l = {0};
  if (kept_out)
    l.act = l.definite = SMTPF_ACT_REJECT;
  else if (missing)
    l.act = l.definite = SMTPF_ACT_DEFER;
  else {
    l.definite = members_act(o, n, 1);
    l.act = elective ? SMTPF_ACT_DEFER : l.definite;
  }
  int together = 1, refused = 1, goes = l.definite == SMTPF_ACT_ACCEPT || l.definite == SMTPF_ACT_TAG;
  for (size_t i = 0; i < n; i++) {
    together &= o[i].profile->forward.p == o[0].profile->forward.p && o[i].sender.p == o[0].sender.p;
    goes &= o[i].forward;
    refused &= o[i].target != NULL;
    if (o[i].rule == SMTPF_RULE_FACT)
      missing = -1;
    if (o[i].stays)
      first(&l.stays, o[i].stays);
  }
  goes &= together;
  if (refused && together && missing >= 0 && (goes || o[0].target->stage == SMTPF_RCPT)) {
    l.act = l.definite = SMTPF_ACT_REJECT;
    goes = 0;
  }
  l.forward = goes && !l.stays;
  l.stays = goes ? l.stays : NULL;
  return l;
}
