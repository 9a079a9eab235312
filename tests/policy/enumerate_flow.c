/* SPDX-License-Identifier: MIT
 *
 * Whole conversations through the pure functions, as a host would have them: each recipient is judged at RCPT by what
 * is known then and held against those that were accepted; what is found later joins in; at the end of the message the
 * ledger decides over those that are left. Who was let in is served as if alone, unless its budget was spent.
 */
#include <smtpfilter/session.h>
#include <stdio.h>
#include <string.h>

#include "enumerate.h"

enum { TWO = 60, THREE = 12 };

/* Who takes part: the first THREE in messages to three, all in messages to two. */
static cast_variant variants[TWO];
static size_t n_variants;

/* One client, one find at RCPT, one later, one host: what comes of each variant. */
typedef struct scene {
  const cast_client *client;
  const cast_scene *before, *after;
  const cast_host *host;
  smtpf_will will[TWO];
  smtpf_summary known[TWO];   /* at RCPT */
  int let_in[TWO];            /* neither refused nor deferred there */
  uint8_t joins[TWO][TWO];    /* [first][later] */
  smtpf_outcome outcome[TWO]; /* at the end */
  smtpf_entry alone[TWO];     /* decided as if nobody else was there */
  int foreseeable;            /* what was found later is scores alone: what partition reckons with */
} scene;

static void variant(size_t profile, uint8_t entry, uint8_t budget)
{
  variants[n_variants++] = (cast_variant){&cast_profiles[profile], "", entry, budget};
}

static void make_variants(void)
{
  n_variants = 0;
  for (size_t p = 0; p < 6; p++) /* the six of the promise */
    variant(p, SMTPF_ENTRY_NONE, SMTPF_BUDGET_LEFT);
  variant(0, SMTPF_ENTRY_NONE, SMTPF_BUDGET_SPENT);
  variant(0, SMTPF_ENTRY_ALLOW, SMTPF_BUDGET_LEFT);
  variant(11, SMTPF_ENTRY_NONE, SMTPF_BUDGET_UNREADABLE);
  for (size_t p = 22; p < 24; p++) /* that need not stand each other: see partition.h */
    variant(p, SMTPF_ENTRY_NONE, SMTPF_BUDGET_LEFT);
  variant(14, SMTPF_ENTRY_NONE, SMTPF_BUDGET_LEFT);
  for (size_t p = 6; p < cast_n_profiles; p++)
    if (p != 14 && p != 22 && p != 23)
      variant(p, SMTPF_ENTRY_NONE, SMTPF_BUDGET_LEFT);
  for (size_t p = 1; p < 8; p++)
    variant(p, SMTPF_ENTRY_NONE, SMTPF_BUDGET_SPENT);
  for (size_t p = 1; p < 7; p++)
    variant(p, p & 1 ? SMTPF_ENTRY_ALLOW : SMTPF_ENTRY_DENY, SMTPF_BUDGET_LEFT);
}

static void print_entry(const smtpf_entry *b, const smtpf_entry *a)
{
  printf(" %s by line %d (definite %s, score %d) -> %s%s%s%s\n", word_of_act(b->outcome.act), b->outcome.rule,
         word_of_act(b->outcome.definite), (int)b->outcome.score, word_of_disposition(a->disposition),
         a->overridden ? ", overridden" : "", a->forward ? ", forwarded" : "", a->sender ? " as another" : "");
}

static void failed(tally_sheet *sheet, const scene *s, const size_t *who, const oracle_case *c, const char *broken)
{
  if (!sheet_failed(sheet, broken))
    return;
  printf("  %s; %s; %s; host %s -> %s\n", s->client->name, s->before->name, s->after->name, s->host->name,
         word_of_act(c->decision.act));
  for (size_t i = 0; i < c->n; i++) {
    const cast_variant *v = &variants[who[i]];
    printf("    %.*s (origin %d, entry %d, budget %d)", (int)v->profile->name.n, v->profile->name.p,
           s->will[who[i]].origin, v->entry, v->budget);
    print_entry(&c->before[i], &c->after[i]);
  }
}

/* The end of a message to `who`, of whom each was let in; `rode`: not all of them because partition said so. */
static void end_of_message(tally_sheet *sheet, const scene *s, const size_t *who, size_t n, int rode)
{
  oracle_case c;
  smtpf_entry *v[ORACLE_MOST] = {0};
  int waits = 0, fact = 0;
  c.n = n;
  c.capabilities = s->host->capabilities;
  c.null_sender = 0;
  for (size_t i = 0; i < n; i++) {
    c.before[i] = (smtpf_entry){.outcome = s->outcome[who[i]], .budget = variants[who[i]].budget};
    c.after[i] = c.before[i];
    v[i] = &c.after[i];
    waits |= c.before[i].outcome.act == SMTPF_ACT_DEFER;
    fact |= c.before[i].outcome.rule == SMTPF_RULE_FACT;
  }
  c.decision = smtpf_ledger_decide(v, n, c.capabilities, c.null_sender);
  const char *broken = oracle_ledger(&c);
  if (!broken)
    broken = table_ledger(&c);
  if (!broken && !rode && !waits && !fact && s->foreseeable && s->will[who[0]].origin != SMTPF_ORIGIN_OWN)
    broken = oracle_one_server(&c);
  for (size_t i = 0; i < n && !broken && !rode && !waits && !fact; i++)
    if (s->foreseeable)
      broken = oracle_alone(&c.after[i], &s->alone[who[i]]);
  if (broken)
    failed(sheet, s, who, &c, broken);
}

/* Each RCPT in turn. */
static void conversation(tally_sheet *sheet, const scene *s, const size_t *who, size_t n)
{
  size_t in[ORACLE_MOST], n_in = 0;
  int rode = 0;
  sheet->cases++;
  for (size_t i = 0; i < n; i++) {
    if (!s->let_in[who[i]])
      continue;
    int joins = 1;
    for (size_t j = 0; j < n_in; j++)
      joins &= s->joins[in[j]][who[i]];
    if (!joins && variants[who[i]].budget == SMTPF_BUDGET_LEFT) {
      sheet->split++;
      continue; /* 452 */
    }
    rode |= !joins;
    sheet->rode += !joins;
    in[n_in++] = who[i];
  }
  if (n_in)
    end_of_message(sheet, s, in, n_in, rode);
}

static void at_rcpt(scene *s)
{
  for (size_t i = 0; i < n_variants; i++) {
    const smtpf_evidence *room[2 * FINDINGS];
    s->will[i] = cast_will(s->client, &variants[i], 0);
    s->known[i] = smtpf_judge_summary(&s->will[i], cast_view(s->before, NULL, room));
    const smtpf_outcome o = smtpf_judge_target(smtpf_judge_by(&s->will[i], &s->known[i]));
    s->let_in[i] = o.act != SMTPF_ACT_REJECT && o.act != SMTPF_ACT_DEFER;
  }
}

static void class_of_each(scene *s, int expect)
{
  for (size_t i = 0; i < n_variants; i++)
    for (size_t j = 0; j < n_variants; j++) {
      const smtpf_party first = {&s->will[i], &s->known[i], 1}, later = {&s->will[j], &s->known[j], 1};
      s->joins[i][j] = (uint8_t)(smtpf_partition_joins(&first, &later, s->host->capabilities, expect) != 0);
    }
}

/* ---- partition: neither lets pass what may part, nor splits what cannot --------------------------------------- */

enum { SAID = 6, OF_CONTENT = 4, FUTURES = SAID * 2 * 47, ROUTES = 2 * (SMTPF_ACT_REJECT + 1) };

/* What each variant comes to in each future: a score of any size, alone or with what a scanner may say. */
static smtpf_outcome futures[TWO][FUTURES];

static void look_ahead(const scene *s)
{
  static const struct {
    int kind, flags;
  } more[SAID] = {{0, 0},
                  {SMTPF_HIT, SMTPF_FINDING_REFUSE},
                  {SMTPF_UNKNOWN, 0},
                  {SMTPF_UNKNOWN, SMTPF_FINDING_ELECTIVE},
                  {SMTPF_UNKNOWN, SMTPF_FINDING_TAG}, /* from here on: a scanner's alone */
                  {SMTPF_UNKNOWN, SMTPF_FINDING_QUARANTINE}};
  for (size_t f = 0; f < FUTURES; f++) {
    const int32_t score = ((int32_t)(f / SAID / 2) - 22) * 1000 - (int32_t)(f / SAID % 2);
    const cast_scene later = {"a future",
                              {{.check = "c", .kind = SMTPF_HIT, .position = CHECK_CLIENT, .score = score},
                               {.check = more[f % SAID].kind ? "s" : NULL,
                                .position = CHECK_SCANNER,
                                .family = SMTPF_FAMILY_CONTENT,
                                .kind = (uint8_t)more[f % SAID].kind,
                                .flags = (uint8_t)more[f % SAID].flags}}};
    for (size_t i = 0; i < n_variants; i++) {
      const smtpf_evidence *room[2 * FINDINGS];
      futures[i][f] = smtpf_judge(&s->will[i], cast_view(s->before, &later, room));
    }
  }
}

static int alike(const smtpf_profile *p, const smtpf_profile *q)
{
  return p->reject_content == q->reject_content && p->reject_lists == q->reject_lists;
}

/* What the host can do, for who can send again. */
static unsigned capabilities_for(const scene *s)
{
  const int own = s->client->standing.own;
  return own ? s->host->capabilities & ~(unsigned)SMTPF_CAN_CUT_THROUGH : s->host->capabilities;
}

/* Whether some future of the one parts it from some other of the other. */
static int parted_somehow(const scene *s, size_t i, size_t j, size_t said)
{
  const smtpf_outcome *of_i[ROUTES] = {0}, *of_j[ROUTES] = {0};
  for (size_t f = 0; f < FUTURES; f++) { /* one of each kind is enough */
    if (f % SAID >= said)
      continue;
    of_i[futures[i][f].act * 2 + futures[i][f].forward] = &futures[i][f];
    of_j[futures[j][f].act * 2 + futures[j][f].forward] = &futures[j][f];
  }
  for (size_t k = 0; k < ROUTES * ROUTES; k++)
    if (of_i[k / ROUTES] && of_j[k % ROUTES] && table_conflict(of_i[k / ROUTES], of_j[k % ROUTES], capabilities_for(s)))
      return 1;
  return 0;
}

static int parted_by_one_future(const scene *s, size_t i, size_t j, size_t said)
{
  int parted = 0;
  for (size_t f = 0; f < FUTURES; f++)
    parted |= f % SAID < said && table_conflict(&futures[i][f], &futures[j][f], capabilities_for(s));
  return parted;
}

/* Two that count alike may share a message exactly when no future parts them; others, and where each may be found
 * something else, when no two futures do. */
static const char *fair(const scene *s, size_t i, size_t j, size_t said, int apart)
{
  const smtpf_profile *p = variants[i].profile, *q = variants[j].profile;
  if (p->weights != q->weights || (apart && p->weights)) /* these futures are not all of theirs */
    return NULL;
  const int somehow = parted_somehow(s, i, j, said);
  const int parted = apart ? somehow : parted_by_one_future(s, i, j, said);
  if (parted && s->joins[i][j])
    return "partition: lets pass what may part";
  if (s->joins[i][j])
    return NULL;
  if (alike(p, q) || apart)
    return parted ? NULL : "partition: splits what nothing parts";
  return somehow ? NULL : "partition: splits what no two futures part";
}

static void check_partition(tally_sheet *sheet, const scene *s, size_t said, int apart)
{
  for (size_t i = 0; i < n_variants; i++)
    for (size_t j = 0; j < n_variants; j++) {
      sheet->cases++;
      const char *broken = fair(s, i, j, said, apart);
      if (!broken && s->joins[i][j] != s->joins[j][i])
        broken = "partition: depends on who was first";
      if (broken && sheet_failed(sheet, broken))
        printf("  %s; %s; host %s: %.*s (budget %d, entry %d), %.*s (budget %d, entry %d)\n", s->client->name,
               s->before->name, s->host->name, (int)variants[i].profile->name.n, variants[i].profile->name.p,
               variants[i].budget, variants[i].entry, (int)variants[j].profile->name.n, variants[j].profile->name.p,
               variants[j].budget, variants[j].entry);
    }
}

static void at_end(scene *s)
{
  s->foreseeable = 1;
  for (size_t i = 0; i < FINDINGS && s->after->found[i].check; i++)
    s->foreseeable &= s->after->found[i].kind != SMTPF_UNKNOWN && !s->after->found[i].flags;
  for (size_t i = 0; i < n_variants; i++) {
    const smtpf_evidence *room[2 * FINDINGS];
    s->outcome[i] = smtpf_judge(&s->will[i], cast_view(s->before, s->after, room));
    s->alone[i] = (smtpf_entry){.outcome = s->outcome[i], .budget = variants[i].budget};
    smtpf_entry *v = &s->alone[i];
    (void)smtpf_ledger_decide(&v, 1, s->host->capabilities, 0);
  }
}

static void messages(tally_sheet *sheet, const scene *s)
{
  size_t who[ORACLE_MOST];
  for (who[0] = 0; who[0] < n_variants; who[0]++) {
    conversation(sheet, s, who, 1);
    for (who[1] = 0; who[1] < n_variants; who[1]++) {
      if ((who[0] + who[1]) % (sheet->quick / 4 + 1) == 0)
        conversation(sheet, s, who, 2);
      for (who[2] = 0; who[0] < THREE && who[1] < THREE && who[2] < THREE; who[2]++)
        if ((who[0] * THREE * THREE + who[1] * THREE + who[2]) % sheet->quick == 0)
          conversation(sheet, s, who, 3);
    }
  }
}

void enumerate_flow(tally_sheet *sheet)
{
  static scene s;
  make_variants();
  for (size_t client = 0; client < cast_n_clients; client++)
    for (size_t before = 0; before < cast_n_envelope; before++) {
      s.client = &cast_clients[client];
      s.before = &cast_envelope[before];
      if ((client * 4 + before) % (sheet->quick / 2 + 1))
        continue;
      at_rcpt(&s);
      look_ahead(&s);
      for (size_t host = 0; host < cast_n_hosts; host++) {
        s.host = &cast_hosts[host];
        class_of_each(&s, SMTPF_EXPECT_CONTENT);
        check_partition(sheet, &s, OF_CONTENT, 0);
        class_of_each(&s, SMTPF_EXPECT_APART);
        check_partition(sheet, &s, SAID, 1);
        class_of_each(&s, SMTPF_EXPECT_SCANS);
        check_partition(sheet, &s, SAID, 0);
        for (size_t after = 0; after < cast_n_message; after++) {
          s.after = &cast_message[after];
          at_end(&s);
          messages(sheet, &s);
        }
      }
    }
}
