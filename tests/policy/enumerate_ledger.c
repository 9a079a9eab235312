/* SPDX-License-Identifier: MIT
 *
 * The join, over outcomes made by hand: each act, by origins that may and may not be refused, forwarded or not, with
 * budget left, spent and unreadable, taken before or not; for the capability sets of all hosts, and for one and two
 * recipients for every set there could be.
 */
#include <smtpfilter/session.h>
#include <stdio.h>
#include <string.h>

#include "enumerate.h"

enum { KINDS = 64, SETS = 1 << 11 };

static smtpf_entry kinds[KINDS];
static size_t n_kinds;

static void kind(smtpf_outcome o, size_t profile, int budgets)
{
  if (!o.definite)
    o.definite = o.act;
  o.profile = &cast_profiles[profile];
  o.sender = o.profile->forward_sender;
  for (int b = 0; b < budgets; b++)
    kinds[n_kinds++] = (smtpf_entry){.outcome = o, .budget = (uint8_t)b};
}

enum { PLAIN = 0, FORWARD = 4, NONSPAM = 5, FORWARD_S1 = 11, NONSPAM_S1 = 12, FORWARD_S2 = 13, ELSEWHERE = 30 };

static void make_kinds(void)
{
#define BY(r) .rule = SMTPF_RULE_##r
#define ACT(a) .act = SMTPF_ACT_##a
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .refusable = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .refusable = 1, .score = 3000}, PLAIN, 1);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .forward = 1}, FORWARD, 1);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .forward = 1}, FORWARD_S1, 1);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .forward = 1}, NONSPAM_S1, 1);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .forward = 1}, NONSPAM, 1);
  kind((smtpf_outcome){ACT(ACCEPT), BY(ACCEPT), .forward = 1}, ELSEWHERE, 1);
  kind((smtpf_outcome){ACT(TAG), BY(TAG), .score = 4000, .refusable = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(TAG), BY(TAG), .score = 4000, .forward = 1}, FORWARD_S1, 1);
  kind((smtpf_outcome){ACT(TAG), BY(TAG), .score = 4000, .forward = 1}, FORWARD_S2, 1);
  kind((smtpf_outcome){ACT(QUARANTINE), BY(QUARANTINE), .score = 6000, .refusable = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(QUARANTINE), BY(SPENT), .unknown = 1, .spent = 1, .refusable = 1}, FORWARD, 1);
  kind((smtpf_outcome){ACT(QUARANTINE), BY(QUARANTINE), .forward = 1}, FORWARD_S2, 1);
  kind((smtpf_outcome){ACT(DISCARD), BY(DISCARD), .score = 15000, .refusable = 1}, 2, 2);
  kind((smtpf_outcome){ACT(DISCARD), BY(DISCARD), .score = 15000}, 2, 1);
  kind((smtpf_outcome){ACT(REJECT), BY(REJECT), .score = 10000, .refusable = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(REJECT), BY(FACT)}, FORWARD, 1);
  kind((smtpf_outcome){ACT(DEFER), BY(MISSING), .unknown = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(DEFER), BY(ELECTIVE), .definite = SMTPF_ACT_ACCEPT, .refusable = 1}, PLAIN, 3);
  kind((smtpf_outcome){ACT(DEFER), BY(ELECTIVE), .definite = SMTPF_ACT_ACCEPT, .forward = 1}, FORWARD_S1, 1);
  kind((smtpf_outcome){ACT(DEFER), BY(ELECTIVE), .definite = SMTPF_ACT_TAG, .unknown = 1, .spent = 1}, PLAIN, 2);
  kind((smtpf_outcome){ACT(DEFER), BY(ELECTIVE), .definite = SMTPF_ACT_QUARANTINE, .unknown = 1, .spent = 1}, FORWARD,
       3);
  smtpf_entry *known = &kinds[n_kinds++];
  *known = kinds[0];
  known->known = known->final = 1;
  known->disposition = SMTPF_DELIVERED;
#undef BY
#undef ACT
}

static void print_case(const oracle_case *c)
{
  printf("  capabilities %#x%s -> %s\n", c->capabilities, c->null_sender ? ", null sender" : "",
         word_of_act(c->decision.act));
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *b = &c->before[i], *a = &c->after[i];
    printf("    %s by line %d (definite %s, refusable %d, forward %d, budget %d%s) -> %s%s%s%s, dsn %d\n",
           word_of_act(b->outcome.act), b->outcome.rule, word_of_act(b->outcome.definite), b->outcome.refusable,
           b->outcome.forward, b->budget, b->known ? ", known" : "", word_of_disposition(a->disposition),
           a->overridden ? ", overridden" : "", a->forward ? ", forwarded" : "", a->sender ? " as another" : "",
           a->dsn);
  }
}

/* The order of the recipients changes nothing but who is quoted. */
static const char *whatever_the_order(const oracle_case *c)
{
  smtpf_entry turned[ORACLE_MOST], *v[ORACLE_MOST];
  for (size_t i = 0; i < c->n; i++) {
    turned[i] = c->before[(i + 1) % c->n];
    v[i] = &turned[i];
  }
  const smtpf_decision d = smtpf_ledger_decide(v, c->n, c->capabilities, c->null_sender);
  if (d.act != c->decision.act)
    return "the reply depends on the order of recipients";
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *a = &turned[i], *b = &c->after[(i + 1) % c->n];
    if (a->disposition != b->disposition || a->overridden != b->overridden || a->dsn != b->dsn ||
        a->forward != b->forward || a->sender != b->sender)
      return "a disposition depends on the order of recipients";
  }
  return NULL;
}

static const char *decided_by(const oracle_case *c)
{
  const smtpf_entry *e = &c->before[c->decision.cause];
  if (c->decision.act != SMTPF_ACT_ACCEPT && e->known)
    return "L8: the cause of the reply is a copy of another time";
  if (c->decision.act == SMTPF_ACT_DEFER && e->outcome.act != SMTPF_ACT_DEFER)
    return "L8: the cause of a deferral is no deferral";
  if (c->decision.act == SMTPF_ACT_REJECT && e->outcome.act != SMTPF_ACT_REJECT)
    return "L8: the cause of a refusal is no refusal";
  return NULL;
}

static void decide(tally_sheet *sheet, oracle_case *c)
{
  smtpf_entry *v[ORACLE_MOST] = {0};
  for (size_t i = 0; i < c->n; i++) {
    if (c->before[i].known && !(c->capabilities & SMTPF_CAN_REPORT_COMMIT))
      return; /* the memory of lost acknowledgements is for hosts that report */
    c->after[i] = c->before[i];
    v[i] = &c->after[i];
  }
  c->decision = smtpf_ledger_decide(v, c->n, c->capabilities, c->null_sender);
  sheet->cases++;
  const char *broken = oracle_ledger(c);
  if (!broken)
    broken = table_ledger(c);
  if (!broken)
    broken = decided_by(c);
  if (!broken && c->n > 1)
    broken = whatever_the_order(c);
  if (broken && sheet_failed(sheet, broken))
    print_case(c);
}

static void with_hosts(tally_sheet *sheet, oracle_case *c, int every_set)
{
  for (c->null_sender = 0; c->null_sender < 2; c->null_sender++) {
    for (size_t h = 0; h < cast_n_hosts; h++) {
      c->capabilities = cast_hosts[h].capabilities;
      decide(sheet, c);
    }
    for (unsigned set = 0; every_set && set < SETS; set++) {
      if (set & (SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_CUT_THROUGH))
        continue; /* nothing is decided by these */
      c->capabilities = set;
      decide(sheet, c);
    }
  }
}

/* The table of partition.h: any two, at every host there could be. */
static void two_in_one_message(tally_sheet *sheet, const smtpf_outcome *a, const smtpf_outcome *b)
{
  for (unsigned set = 0; set < SETS; set++) {
    if (set & (SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT))
      continue;
    sheet->cases++;
    if (smtpf_compatible(a, b, set) == table_conflict(a, b, set) && sheet_failed(sheet, "table of partition"))
      printf("  capabilities %#x: %s, forward %d; %s, forward %d\n", set, word_of_act(a->act), a->forward,
             word_of_act(b->act), b->forward);
  }
}

void enumerate_ledger(tally_sheet *sheet)
{
  oracle_case c;
  memset(&c, 0, sizeof c);
  n_kinds = 0;
  make_kinds();
  const size_t k = n_kinds;
  for (size_t i = 0; i < k; i++) {
    c.before[0] = kinds[i];
    c.n = 1;
    with_hosts(sheet, &c, 1);
    for (size_t j = 0; j < k; j++) {
      c.before[1] = kinds[j];
      two_in_one_message(sheet, &kinds[i].outcome, &kinds[j].outcome);
      c.n = 2;
      with_hosts(sheet, &c, 1);
      c.n = 3;
      for (size_t l = 0; l < k; l++) {
        c.before[2] = kinds[l];
        if ((i * k * k + j * k + l) % sheet->quick == 0)
          with_hosts(sheet, &c, 0);
      }
    }
  }
}
