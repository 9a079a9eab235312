/* SPDX-License-Identifier: MIT
 *
 * rules_judge: a rule hits when all of its conditions hold: one of its matches, every rule behind `all`, one behind
 * `any`, none behind `not`. What is not known stays so unless the rest decides: with clear < unknown < hit, all is the
 * least, any the greatest, not turns them round.
 */
#include "rules.h"

/* Findings of a message, and of one recipient, that name a rule each; what is beyond adds up in one more. */
enum { NAMED = 64, NAMED_LATE = 16 };

typedef struct judge {
  const rules_mail *mail;
  const rules_set *set;
  smtpf_task *task;
  int64_t now;
  uint8_t *rules; /* rules_state of each */
  int found;      /* something was reported */
} judge;

static uint8_t least(uint8_t a, uint8_t b)
{
  return a < b ? a : b;
}

static uint8_t greatest(uint8_t a, uint8_t b)
{
  return a > b ? a : b;
}

/* ---- states ----------------------------------------------------------------------------------------------- */

static uint8_t state_of_match(const judge *j, const rules_match *x, size_t recipient)
{
  const rules_target *t = &j->set->targets[x->target];
  const uint8_t state = x->place == RULES_RECIPIENT
                            ? (j->mail->by_recipient ? j->mail->by_recipient[recipient * t->n + x->index] : RULES_CLEAR)
                            : j->mail->matches[x - j->set->matches];
  const int partial = j->mail->partial >> x->place & 1;
  return state == RULES_CLEAR && partial ? RULES_UNKNOWN : state;
}

static uint8_t state_of_matches(const judge *j, const rules_rule *r, size_t recipient)
{
  uint8_t state = r->n_matches ? RULES_CLEAR : RULES_HIT;
  for (size_t i = 0; i < r->n_matches; i++)
    state = greatest(state, state_of_match(j, &j->set->matches[r->match + i], recipient));
  return state;
}

static uint8_t state_of_refs(const judge *j, const rules_rule *r)
{
  uint8_t all = RULES_HIT, any = RULES_CLEAR;
  int has_any = 0;
  for (size_t i = 0; i < r->n_refs; i++) {
    const rules_ref *ref = &j->set->refs[r->ref + i];
    const uint8_t state = j->rules[ref->target];
    switch (ref->word) {
    case RULES_ALL: all = least(all, state); break;
    case RULES_NOT: all = least(all, (uint8_t)(RULES_HIT - state)); break;
    default:
      any = greatest(any, state);
      has_any = 1;
      break;
    }
  }
  return has_any ? least(all, any) : all;
}

static uint8_t state_of(const judge *j, const rules_rule *r, size_t recipient)
{
  if (r->expires <= j->now)
    return RULES_CLEAR;
  return least(state_of_matches(j, r, recipient), state_of_refs(j, r));
}

static void judge_all(judge *j, int late, size_t recipient)
{
  for (size_t i = 0; i < j->set->n_rules; i++) {
    const uint32_t at = j->set->order[i];
    if (j->set->rules[at].late == late)
      j->rules[at] = state_of(j, &j->set->rules[at], recipient);
  }
}

/* Who is refused is told something. */
static const smtpf_str default_text = {"this looks like mail that nobody here wants", 43};

/* ---- evidence --------------------------------------------------------------------------------------------- */

static smtpf_str place_text(const judge *j, const rules_match *x)
{
  const smtpf_str word = smtpf_str_of(rules_place_word(x->place));
  return x->field.n ? SMTPF_JOIN(j->task, word, SMTPF_LIT(" "), x->field) : word;
}

/* `header Subject`: where its first match was; empty of one that only combines others. */
static smtpf_str where(const judge *j, const rules_rule *r, size_t recipient)
{
  for (size_t i = 0; i < r->n_matches; i++) {
    const rules_match *x = &j->set->matches[r->match + i];
    if (state_of_match(j, x, recipient) == RULES_HIT)
      return place_text(j, x);
  }
  return (smtpf_str){"", 0};
}

/* Its code is the rule's name. */
static int report_hit(judge *j, const rules_rule *r, size_t recipient, size_t told)
{
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = r->name.p, .score = r->score, .recipient = told};
  f.detail = where(j, r, recipient);
  f.text = r->text.n ? r->text : default_text;
  j->found = 1;
  return smtpf_task_report(j->task, &f);
}

/* The rules that were not named one by one. */
static int report_more(judge *j, size_t n, int64_t score, size_t told)
{
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_HIT, .code = "more", .text = default_text, .recipient = told};
  const int64_t most = SMTPF_SCORE_OFF - 1;
  char digits[20];
  size_t at = sizeof digits;
  if (!n)
    return SMTPF_OK;
  for (; n; n /= 10)
    digits[--at] = (char)('0' + n % 10);
  f.score = (int32_t)(score > most ? most : score < -most ? -most : score);
  f.detail = SMTPF_JOIN(j->task, (smtpf_str){digits + at, sizeof digits - at}, SMTPF_LIT(" rules more"));
  return smtpf_task_report(j->task, &f);
}

/* Rules that hit, in the order of the files; `counts`: late ones, but for those that hit for everybody. */
static int report(judge *j, int late, size_t recipient, size_t told, const uint32_t *counts, int everybody)
{
  const size_t named = late && !everybody ? NAMED_LATE : NAMED;
  size_t n = 0;
  int64_t rest = 0;
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < j->set->n_rules; i++) {
    const rules_rule *rule = &j->set->rules[i];
    if (rule->late != late || !rule->scored || j->rules[i] != RULES_HIT ||
        (counts && (counts[i] == j->mail->n_recipients) != everybody))
      continue;
    if (n++ < named)
      r = report_hit(j, rule, recipient, told);
    else
      rest += rule->score;
  }
  return r == SMTPF_OK && n > named ? report_more(j, n - named, rest, told) : r;
}

/* What differs from one recipient to the next. */
static int report_late(judge *j)
{
  const size_t n = j->mail->n_recipients;
  uint32_t *counts = j->set->n_late && n ? smtpf_task_alloc(j->task, j->set->n_rules * sizeof *counts) : NULL;
  int r = SMTPF_OK;
  if (!counts)
    return j->set->n_late && n ? SMTPF_ENOMEM : SMTPF_OK;
  for (size_t i = 0; i < n; i++) {
    judge_all(j, 1, i);
    for (size_t k = 0; k < j->set->n_rules; k++)
      counts[k] += j->set->rules[k].late && j->rules[k] == RULES_HIT;
  }
  r = report(j, 1, n - 1, 0, counts, 1); /* the last one's states are still there */
  for (size_t i = 0; r == SMTPF_OK && n > 1 && i < n; i++) {
    judge_all(j, 1, i);
    r = report(j, 1, i, i + 1, counts, 0);
  }
  return r;
}

/* ---- what is not known -------------------------------------------------------------------------------------- */

static int report_excess(judge *j, const rules_excess *x)
{
  const rules_match *match = &j->set->matches[x->match];
  const rules_rule *rule = &j->set->rules[match->rule];
  smtpf_finding f = {.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = "limit"};
  if (match->place != RULES_RECIPIENT && j->mail->matches[x->match] != RULES_UNKNOWN)
    return SMTPF_OK; /* it hit elsewhere */
  f.detail =
      SMTPF_JOIN(j->task, rule->name, SMTPF_LIT(" "), place_text(j, match), SMTPF_LIT(" "), smtpf_str_of(x->cause));
  j->found = 1;
  return smtpf_task_report(j->task, &f);
}

static int report_unknown(judge *j)
{
  int r = SMTPF_OK;
  size_t n = 0;
  for (const rules_excess *x = j->mail->excess; r == SMTPF_OK && x && n < NAMED; x = x->next, n++)
    r = report_excess(j, x);
  for (int place = 0; r == SMTPF_OK && place < RULES_PLACES; place++) {
    smtpf_finding f = {.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = "partial"};
    if (!(j->mail->partial & j->set->places & UINT32_C(1) << place))
      continue;
    f.detail = smtpf_str_of(rules_place_word(place));
    j->found = 1;
    r = smtpf_task_report(j->task, &f);
  }
  return r;
}

int rules_judge(const rules_mail *m)
{
  judge j = {.mail = m, .set = m->set, .task = m->task, .now = smtpf_task_event(m->task)->wall_s};
  int r;
  if (m->no_memory)
    return SMTPF_ENOMEM;
  j.rules = smtpf_task_alloc(j.task, j.set->n_rules + 1);
  if (!j.rules)
    return SMTPF_ENOMEM;
  judge_all(&j, 0, 0);
  r = report(&j, 0, 0, 0, NULL, 0);
  if (r == SMTPF_OK)
    r = report_late(&j);
  if (r == SMTPF_OK)
    r = report_unknown(&j);
  if (r != SMTPF_OK || j.found)
    return r;
  if ((r = smtpf_task_seen(j.task, m->bytes)) != SMTPF_OK)
    return r;
  return smtpf_task_clear(j.task, "no-match");
}
