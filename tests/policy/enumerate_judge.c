/* SPDX-License-Identifier: MIT
 *
 * One recipient's judgement, over every client, profile, entry, budget and find; and the members behind one recipient.
 */
#include <stdio.h>

#include "enumerate.h"

typedef struct one {
  const cast_client *client;
  const cast_scene *before, *after;
  cast_variant v;
  int null_sender;
  smtpf_will will;
} one;

static void failed(tally_sheet *sheet, const one *c, const smtpf_outcome *o, const char *broken)
{
  if (sheet_failed(sheet, broken))
    printf("  %s, to %.*s (entry %d, budget %d%s): %s; %s: %s by line %d, definite %s, score %d, forward %d\n",
           c->client->name, (int)c->v.profile->name.n, c->v.profile->name.p, c->v.entry, c->v.budget,
           c->null_sender ? ", null sender" : "", c->before->name, c->after->name, word_of_act(o->act), o->rule,
           word_of_act(o->definite), (int)o->score, o->forward);
}

static const char *as_the_table_says(const one *c, smtpf_view view, const smtpf_outcome *o)
{
  const table_line l = table_judge(&c->will, view);
  if (c->will.origin != table_origin(&c->client->standing, c->v.profile))
    return "table: origin";
  if (c->will.restricted != table_restricted(&c->client->standing, c->v.profile, c->null_sender))
    return "table: restricted";
  if (o->act != l.act)
    return "table: act";
  if (o->rule != l.rule)
    return "table: rule";
  if (o->definite != l.definite)
    return "table: definite";
  if (o->cause != l.cause)
    return "table: cause";
  if (o->score != l.score || o->threshold != l.threshold)
    return "table: score or threshold";
  if (o->target != l.target || o->stays != l.stays)
    return "table: target";
  if (o->unknown != l.unknown || o->spent != l.spent || o->profile != c->v.profile)
    return "table: what else is said";
  if (o->definite < SMTPF_ACT_DISCARD && o->forward != l.forward)
    return "table: forward";
  return NULL;
}

/* L4: what could not be found out neither refuses nor drops, and is no clear. */
static const char *unknown_is_unknown(const one *c, smtpf_view view, const smtpf_outcome *o)
{
  smtpf_evidence cleared[2 * FINDINGS];
  const smtpf_evidence *as_clear[2 * FINDINGS], *without[2 * FINDINGS];
  size_t n = 0;
  for (size_t i = 0; i < view.n; i++) {
    as_clear[i] = without[n] = view.v[i];
    if (view.v[i]->kind != SMTPF_UNKNOWN) {
      n++;
      continue;
    }
    cleared[i] = *view.v[i];
    cleared[i].kind = SMTPF_CLEAR;
    cleared[i].flags = 0;
    as_clear[i] = &cleared[i];
  }
  if (n == view.n)
    return o->unknown ? "L4: called unknown, and everything was found out" : NULL;
  const smtpf_outcome bare = smtpf_judge(&c->will, (smtpf_view){without, n});
  const smtpf_outcome clear = smtpf_judge(&c->will, (smtpf_view){as_clear, view.n});
  if (o->act == SMTPF_ACT_REJECT && bare.act != SMTPF_ACT_REJECT)
    return "L4: refused because of an unknown";
  if (o->act == SMTPF_ACT_DISCARD && bare.act != SMTPF_ACT_DISCARD)
    return "L3: discarded because of an unknown";
  if (o->act != SMTPF_ACT_DEFER && !clear.target && oracle_severity(o->act) < oracle_severity(clear.act))
    return "L4: an unknown is milder than a clear";
  if (o->forward && !clear.forward && clear.act != SMTPF_ACT_DEFER)
    return "L4: forwarded because of an unknown";
  return NULL;
}

/* What speaks for the mail does not harm it; for those who never discard, for whom acts are in one order. */
static const char *clear_helps(const one *c, smtpf_view view, const smtpf_outcome *o)
{
  if (c->v.profile->discard != SMTPF_SCORE_OFF)
    return NULL;
  static const smtpf_evidence good = {
      .check = "check", .code = "word", .position = CHECK_CLIENT, .kind = SMTPF_CLEAR, .score = -2500};
  const smtpf_evidence *with[2 * FINDINGS + 1];
  for (size_t i = 0; i < view.n; i++)
    with[i] = view.v[i];
  with[view.n] = &good;
  const smtpf_outcome better = smtpf_judge(&c->will, (smtpf_view){with, view.n + 1});
  if (better.target)
    return NULL; /* good enough to be forwarded, to who refuses it */
  return oracle_severity(better.act) > oracle_severity(o->act) ? "a clear made it worse" : NULL;
}

/* L2: what is known of the target, and nothing else, makes the difference. */
static const char *where_it_goes(const one *c, smtpf_view view, const smtpf_outcome *o)
{
  const smtpf_evidence *others[2 * FINDINGS];
  size_t n = 0;
  for (size_t i = 0; i < view.n; i++)
    if (!(view.v[i]->flags & SMTPF_FINDING_ROUTE))
      others[n++] = view.v[i];
  if (n == view.n)
    return NULL;
  const smtpf_outcome without = smtpf_judge(&c->will, (smtpf_view){others, n});
  return oracle_target(&c->will, view, o, &without);
}

static void judge_one(tally_sheet *sheet, one *c)
{
  const smtpf_evidence *room[2 * FINDINGS];
  const smtpf_view view = cast_view(c->before, c->after, room);
  c->will = cast_will(c->client, &c->v, c->null_sender);
  const smtpf_outcome o = smtpf_judge(&c->will, view);
  sheet->cases++;
  const char *broken = oracle_outcome(&c->will, view, &o);
  if (!broken)
    broken = as_the_table_says(c, view, &o);
  if (!broken)
    broken = unknown_is_unknown(c, view, &o);
  if (!broken)
    broken = where_it_goes(c, view, &o);
  if (!broken)
    broken = clear_helps(c, view, &o);
  if (broken)
    failed(sheet, c, &o, broken);
}

void enumerate_judge(tally_sheet *sheet)
{
  const size_t stride = sheet->quick / 5 + 1;
  size_t number = 0;
  one c;
  for (size_t client = 0; client < cast_n_clients; client++)
    for (size_t profile = 0; profile < cast_n_profiles; profile++)
      for (int bits = 0; bits < 18; bits++)
        for (size_t before = 0; before < cast_n_envelope; before++)
          for (size_t after = 0; after < cast_n_message; after++) {
            if (number++ % stride)
              continue;
            c = (one){&cast_clients[client],
                      &cast_envelope[before],
                      &cast_message[after],
                      {&cast_profiles[profile], "", (uint8_t)(bits / 2 % 3), (uint8_t)(bits / 6)},
                      bits % 2,
                      {0}};
            judge_one(sheet, &c);
          }
}

/* ---- members ---------------------------------------------------------------------------------------------- */

enum { MEMBER_CAST = 40 };

/* Outcomes that differ, of all that one client and one message make of all profiles. */
static size_t different(smtpf_outcome *out, const cast_client *client, const cast_scene *before,
                        const cast_scene *after)
{
  size_t n = 0;
  for (size_t p = 0; p < cast_n_profiles && n < MEMBER_CAST; p++) {
    const cast_variant v = {&cast_profiles[p], "", SMTPF_ENTRY_NONE, SMTPF_BUDGET_LEFT};
    const smtpf_will w = cast_will(client, &v, 0);
    const smtpf_evidence *room[2 * FINDINGS];
    const smtpf_summary known = smtpf_judge_summary(&w, cast_view(before, after, room));
    const smtpf_outcome o = smtpf_judge_by(&w, &known);
    size_t i = 0;
    while (i < n && (out[i].act != o.act || out[i].rule != o.rule || out[i].definite != o.definite ||
                     out[i].forward != o.forward || out[i].refusable != o.refusable || out[i].target != o.target ||
                     out[i].stays != o.stays))
      i++;
    if (i == n)
      out[n++] = o;
  }
  return n;
}

static void join(tally_sheet *sheet, const smtpf_outcome *o, size_t n)
{
  const smtpf_outcome got = smtpf_judge_target(smtpf_judge_members(o, n));
  const table_line want = table_members(o, n);
  const char *broken = NULL;
  sheet->cases++;
  if (got.act != want.act)
    broken = "table of members: act";
  else if (got.definite != want.definite)
    broken = "table of members: definite";
  else if (got.definite <= SMTPF_ACT_TAG && got.forward != want.forward)
    broken = "table of members: forward";
  else if (got.definite <= SMTPF_ACT_TAG && got.stays != want.stays)
    broken = "table of members: why it stays";
  smtpf_outcome one_by_one = o[0];
  for (size_t i = 1; i < n; i++)
    one_by_one = smtpf_judge_members((const smtpf_outcome[]){one_by_one, o[i]}, 2);
  one_by_one = smtpf_judge_target(one_by_one);
  if (!broken &&
      (one_by_one.act != got.act || one_by_one.definite != got.definite || one_by_one.forward != got.forward))
    broken = "members: one by one is not all at once";
  for (size_t i = 0; i < n && !broken; i++) {
    if (got.act == SMTPF_ACT_DISCARD && o[i].act != SMTPF_ACT_DISCARD)
      broken = "L3: discarded for a member who did not consent";
    if (got.act == SMTPF_ACT_REJECT && o[i].act == SMTPF_ACT_DISCARD && got.rule > SMTPF_RULE_MISSING &&
        !o[i].refusable)
      broken = "L5: refused for a member whose origin may not be refused";
    if (got.act == SMTPF_ACT_DISCARD && got.refusable && !o[i].refusable)
      broken = "L5: called refusable for all";
    if (!got.unknown && o[i].unknown)
      broken = "L4: what a member does not know is forgotten";
  }
  if (broken && sheet_failed(sheet, broken)) {
    for (size_t i = 0; i < n; i++)
      printf("  %s by line %d (definite %s, forward %d)", word_of_act(o[i].act), o[i].rule, word_of_act(o[i].definite),
             o[i].forward);
    printf(" -> %s by line %d, definite %s, forward %d\n", word_of_act(got.act), got.rule, word_of_act(got.definite),
           got.forward);
  }
}

void enumerate_members(tally_sheet *sheet)
{
  const size_t stride = sheet->quick / 5 + 1;
  smtpf_outcome o[MEMBER_CAST], v[3];
  for (size_t client = 0; client < cast_n_clients; client++)
    for (size_t before = 0; before < cast_n_envelope; before++)
      for (size_t after = 0; after < cast_n_message; after++) {
        const size_t n = different(o, &cast_clients[client], &cast_envelope[before], &cast_message[after]);
        for (size_t i = after % stride; i < n * n * n; i += stride) {
          v[0] = o[i / n / n];
          v[1] = o[i / n % n];
          v[2] = o[i % n];
          if (v[1].act == v[2].act)
            join(sheet, v, 2);
          join(sheet, v, 3);
        }
      }
}
