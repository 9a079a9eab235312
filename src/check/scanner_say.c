/* SPDX-License-Identifier: MIT
 *
 * scanner_say: what a scanner's result is worth: findings in the order of the policy, whatever came first, and header
 * fields. Silence is never clean: a scan without a result, or one that has not looked at the whole message, is unknown.
 */
#include "scanner.h"

#define SHOWN_MAX 120 /* bytes of a name that others chose */
#define EDITS_MAX 64

/* ---- results -------------------------------------------------------------------------------------------- */

static int copy_edits(smtpf_task *t, smtpf_scan_result *r)
{
  const size_t n = r->n_edits < EDITS_MAX ? r->n_edits : EDITS_MAX;
  smtpf_scan_edit *edits = smtpf_task_alloc(t, (n + 1) * sizeof *edits);
  if (!edits)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < n; i++) {
    edits[i] = r->edits[i];
    edits[i].name = SMTPF_JOIN(t, r->edits[i].name);
    edits[i].value = SMTPF_JOIN(t, r->edits[i].value);
  }
  r->edits = edits;
  r->n_edits = n;
  return SMTPF_OK;
}

int scanner_keep(scanner_plan *plan, scanner_scan *scan, smtpf_task *t, const smtpf_scan_result *result)
{
  smtpf_scan_result *kept = smtpf_task_alloc(t, sizeof *kept);
  if (scan->phase != SCANNER_OPEN)
    return SMTPF_OK;
  scan->phase = SCANNER_ANSWERED;
  plan->open--;
  scan->result = kept;
  if (!kept)
    return SMTPF_ENOMEM;
  *kept = *result;
  kept->name = SMTPF_JOIN(t, result->name);
  kept->detail = SMTPF_JOIN(t, result->detail);
  if (scan->rules->edits)
    return copy_edits(t, kept);
  kept->n_edits = 0;
  return SMTPF_OK;
}

int scanner_give_up(scanner_plan *plan, scanner_scan *scan, smtpf_task *t, const char *cause)
{
  const smtpf_scan_result r = {.size = sizeof r, .status = SMTPF_SCAN_UNKNOWN, .cause = cause};
  return scanner_keep(plan, scan, t, &r);
}

/* ---- words ------------------------------------------------------------------------------------------------ */

/* Printable, one line, short. */
static smtpf_str shown(smtpf_task *t, smtpf_str s)
{
  smtpf_str out = {"", 0};
  char *p = smtpf_task_alloc(t, SHOWN_MAX + 1);
  for (; p && out.n < s.n && out.n < SHOWN_MAX; out.n++) {
    const char c = s.p[out.n];
    p[out.n] = c >= ' ' && c < 127 ? c : '?';
  }
  if (p)
    out.p = p;
  return out;
}

static smtpf_str number(smtpf_task *t, uint64_t n)
{
  char room[24];
  size_t at = sizeof room;
  do
    room[--at] = (char)('0' + n % 10);
  while (n /= 10);
  return SMTPF_JOIN(t, (smtpf_str){room + at, sizeof room - at});
}

/* Thousandths as `-2.5`. */
static smtpf_str decimal(smtpf_task *t, int32_t score)
{
  const uint32_t n = score < 0 ? 0u - (uint32_t)score : (uint32_t)score;
  char room[4] = {'.', (char)('0' + n / 100 % 10), (char)('0' + n / 10 % 10), (char)('0' + n % 10)};
  size_t len = sizeof room;
  while (len > 1 && room[len - 1] == '0')
    len--;
  return SMTPF_JOIN(t, score < 0 ? SMTPF_LIT("-") : SMTPF_LIT(""), number(t, n / 1000),
                    (smtpf_str){room, len > 1 ? len : 0});
}

/* ---- one scan --------------------------------------------------------------------------------------------- */

/* What is reported of a scan. */
typedef struct opinion {
  smtpf_finding finding;
  smtpf_str status; /* value of the result header */
} opinion;

static int32_t score_of(const scanner_rules *r, const smtpf_scan_result *result)
{
  const int64_t limit = 1000000000;
  if (!result->scored || r->use_score == SMTPF_SCORE_OFF)
    return result->status == SMTPF_SCAN_HIT ? r->score : 0;
  const int64_t score = (int64_t)result->score * r->use_score / 1000;
  return (int32_t)(score > limit ? limit : score < -limit ? -limit : score);
}

static smtpf_str why(smtpf_task *t, const scanner_rules *r, smtpf_str name)
{
  const smtpf_str what =
      r->virus ? SMTPF_LIT("the message carries malicious content") : SMTPF_LIT("the message looks like spam");
  return name.n ? SMTPF_JOIN(t, what, SMTPF_LIT(": "), name) : what;
}

static smtpf_str told(smtpf_task *t, const scanner_rules *r, smtpf_str what, smtpf_str more)
{
  return SMTPF_JOIN(t, r->name, what.n ? SMTPF_LIT(": ") : SMTPF_LIT(""), what,
                    more.n ? SMTPF_LIT(": ") : SMTPF_LIT(""), more);
}

static void say_score(opinion *o, smtpf_task *t, const scanner_rules *r, const smtpf_scan_result *result,
                      smtpf_str name)
{
  o->finding.score = score_of(r, result);
  if (o->finding.score > 0 || o->finding.flags)
    o->finding.text = why(t, r, name);
  if (result->scored)
    o->status = SMTPF_JOIN(t, o->status, SMTPF_LIT(" score="), decimal(t, result->score));
}

static void say_hit(opinion *o, smtpf_task *t, const scanner_rules *r, const smtpf_scan_result *result)
{
  const smtpf_str name = shown(t, result->name);
  o->finding.kind = SMTPF_HIT;
  o->finding.code = "found";
  o->finding.detail = told(t, r, name, result->detail);
  o->status = name.n ? SMTPF_JOIN(t, SMTPF_LIT("found "), name) : SMTPF_LIT("found");
  if (r->refuse) {
    o->finding.flags = SMTPF_FINDING_REFUSE | (r->own_too ? SMTPF_FINDING_OWN_TOO : 0u);
    o->finding.reply = 550;
    o->finding.enhanced = "5.7.1";
  }
  say_score(o, t, r, result, name);
}

/* How mail is treated that could not be judged. What is too large will be so again: it is not put off. */
static unsigned flags_of(const scanner_rules *r, int too_large)
{
  switch (r->on_unknown) {
  case SCANNER_DEFER: return too_large ? SMTPF_FINDING_QUARANTINE : SMTPF_FINDING_ELECTIVE;
  case SCANNER_TAG: return SMTPF_FINDING_TAG;
  case SCANNER_QUARANTINE: return SMTPF_FINDING_QUARANTINE;
  default: return 0;
  }
}

static void say_unknown(opinion *o, smtpf_task *t, const scanner_rules *r, const char *cause, smtpf_str detail)
{
  o->finding.kind = SMTPF_UNKNOWN;
  o->finding.code = cause && *cause ? cause : "unknown";
  o->finding.detail = told(t, r, detail, (smtpf_str){"", 0});
  o->finding.flags = flags_of(r, smtpf_str_equal_nocase(smtpf_str_of(o->finding.code), SMTPF_LIT("too-large")));
  if (o->finding.flags && r->own_too)
    o->finding.flags |= SMTPF_FINDING_OWN_TOO;
  o->status = SMTPF_JOIN(t, SMTPF_LIT("unknown "), smtpf_str_of(o->finding.code));
  if (o->finding.flags & SMTPF_FINDING_ELECTIVE) {
    o->finding.reply = 451;
    o->finding.enhanced = "4.3.0";
    o->finding.text = SMTPF_LIT("the message cannot be examined now, please send it again later");
  }
}

static opinion judge(smtpf_task *t, const scanner_scan *scan, uint64_t size)
{
  const smtpf_scan_result *result = scan->result;
  opinion o = {.finding = {.size = sizeof o.finding}, .status = {"", 0}};
  if (result->status == SMTPF_SCAN_HIT) {
    say_hit(&o, t, scan->rules, result);
  } else if (result->status != SMTPF_SCAN_CLEAN) {
    say_unknown(&o, t, scan->rules, result->cause, result->detail);
  } else if (result->seen < size) {
    say_unknown(&o, t, scan->rules, "partial",
                SMTPF_JOIN(t, SMTPF_LIT("clean, but of "), number(t, size), SMTPF_LIT(" bytes it has seen "),
                           number(t, result->seen)));
  } else {
    o.finding.kind = SMTPF_CLEAR;
    o.finding.code = "clean";
    o.finding.detail = told(t, scan->rules, result->detail, (smtpf_str){"", 0});
    o.status = SMTPF_LIT("clean");
    say_score(&o, t, scan->rules, result, (smtpf_str){"", 0});
    smtpf_task_seen(t, result->seen);
  }
  return o;
}

/* ---- header fields ------------------------------------------------------------------------------------------ */

/* An edit that cannot be made is left out: the message's fate does not hang on it. */
static int edit(smtpf_task *t, int op, smtpf_str name, smtpf_str value, int occurrence, size_t recipient)
{
  const int r = smtpf_task_edit(t, op, name, value, occurrence, recipient);
  return r == SMTPF_ENOMEM ? r : SMTPF_OK;
}

static int edits_for(smtpf_task *t, const scanner_scan *scan, const opinion *o, size_t recipient)
{
  const scanner_rules *r = scan->rules;
  int result = SMTPF_OK;
  if (r->header.n)
    result = edit(t, SMTPF_EDIT_PREPEND, r->header, o->status, 0, recipient);
  for (size_t i = 0; r->edits && i < scan->result->n_edits && result == SMTPF_OK; i++) {
    const smtpf_scan_edit *e = &scan->result->edits[i];
    result = edit(t, e->op, e->name, e->value, e->occurrence, recipient);
  }
  return result;
}

int scanner_sweep(const scanner_set *set, smtpf_task *t)
{
  int r = SMTPF_OK;
  for (size_t i = 0; i < set->n && r == SMTPF_OK; i++)
    if (set->list[i].sweep)
      r = edit(t, SMTPF_EDIT_DELETE, set->list[i].header, (smtpf_str){"", 0}, 0, 0);
  return r;
}

/* ---- all ------------------------------------------------------------------------------------------------------ */

int scanner_report(const scanner_plan *plan, smtpf_task *t, uint64_t size)
{
  int r = SMTPF_OK;
  for (size_t i = 0; i < plan->n; i++) {
    const scanner_scan *scan = &plan->scans[i];
    opinion o = judge(t, scan, size);
    for (size_t k = 0; r == SMTPF_OK && k < (scan->for_all ? 1 : scan->n_members); k++) {
      o.finding.recipient = scan->for_all ? 0 : scan->members[k];
      r = smtpf_task_report(t, &o.finding);
      if (r == SMTPF_OK)
        r = edits_for(t, scan, &o, o.finding.recipient);
    }
  }
  return r;
}
