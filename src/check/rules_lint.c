/* SPDX-License-Identifier: MIT
 *
 * rules_lint: rules that can never hit, that always do, that nobody would miss, that are over, that windows may hide.
 *
 * A rule needs every rule behind its `all`, and what those need; it needs that every rule behind its `not`, and behind
 * theirs, does not hit. What is needed both ways, or is over, or can itself never hit, makes it one that never hits.
 */
#include "rules.h"

enum { NEEDED = 1, UNWANTED = 2 };

typedef struct lint {
  const rules_set *set;
  int64_t now;
  smtpf_lint_fn say;
  void *user;
  uint8_t *never; /* rules that cannot hit */
  uint8_t *marks; /* of the rule being looked at: what it needs */
  uint32_t *stack;
  size_t depth;
} lint;

static void warn(const lint *l, const rules_rule *r, int line, const char *what, smtpf_str about)
{
  char room[256];
  const smtpf_str parts[] = {SMTPF_LIT("rule "), r->name, SMTPF_LIT(": "), smtpf_str_of(what), about};
  size_t n = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    for (size_t k = 0; k < parts[i].n && n < sizeof room - 1; k++)
      room[n++] = parts[i].p[k];
  room[n] = '\0';
  const smtpf_str file = l->set->files[r->file].name;
  l->say(l->user, file.p, line, (smtpf_str){room, n});
}

static int is_over(const lint *l, const rules_rule *r)
{
  return l->now && r->expires <= l->now;
}

/* Marks what a rule needs, and what those need. Each rule enters the stack at most once for each mark. */
static void need(lint *l, uint32_t at, uint8_t mark)
{
  if (l->marks[at] & mark)
    return;
  l->marks[at] |= mark;
  if (mark == NEEDED)
    l->stack[l->depth++] = at;
}

static void find_needs(lint *l, uint32_t at)
{
  const rules_set *s = l->set;
  memset(l->marks, 0, s->n_rules);
  need(l, at, NEEDED);
  while (l->depth) {
    const rules_rule *r = &s->rules[l->stack[--l->depth]];
    for (size_t i = 0; i < r->n_refs; i++) {
      const rules_ref *ref = &s->refs[r->ref + i];
      if (ref->word == RULES_ALL)
        need(l, ref->target, NEEDED);
      else if (ref->word == RULES_NOT)
        need(l, ref->target, UNWANTED);
    }
  }
}

/* `any` of which none can hit, or of which each is unwanted. */
static int has_no_choice(const lint *l, const rules_rule *r)
{
  size_t choices = 0, dead = 0;
  for (size_t i = 0; i < r->n_refs; i++) {
    const rules_ref *ref = &l->set->refs[r->ref + i];
    choices += ref->word == RULES_ANY;
    dead += ref->word == RULES_ANY && (l->never[ref->target] || (l->marks[ref->target] & UNWANTED));
  }
  return choices && dead == choices;
}

static int can_never(lint *l, uint32_t at)
{
  const rules_set *s = l->set;
  find_needs(l, at);
  for (uint32_t i = 0; i < s->n_rules; i++) {
    if (!(l->marks[i] & NEEDED))
      continue;
    if ((l->marks[i] & UNWANTED) || (i != at && l->never[i]) || is_over(l, &s->rules[i]) ||
        has_no_choice(l, &s->rules[i]))
      return 1;
  }
  return 0;
}

static void look_at_refs(const lint *l, const rules_rule *r)
{
  for (size_t i = 0; i < r->n_refs; i++) {
    const rules_ref *ref = &l->set->refs[r->ref + i];
    if (l->never[ref->target])
      warn(l, r, ref->line,
           ref->word == RULES_NOT   ? "what can never hit never hinders it: "
           : ref->word == RULES_ANY ? "this one can never hit: "
                                    : "it can never hit, for it needs ",
           l->set->rules[ref->target].name);
  }
}

/* Where text is matched in windows, and there is more than one. */
static int in_windows(const rules_set *s, int place)
{
  const uint64_t most = place == RULES_TEXT ? s->limits.text : place == RULES_BODY ? s->limits.body : 0;
  return most > s->limits.window.window;
}

static void look_at_matches(const lint *l, const rules_rule *r)
{
  for (size_t i = 0; i < r->n_matches; i++) {
    const rules_match *m = &l->set->matches[r->match + i];
    if (m->nothing)
      warn(l, r, m->line, "a pattern that matches no bytes at all, hence everything", (smtpf_str){NULL, 0});
    else if (in_windows(l->set, m->place) &&
             smtpf_patterns_reach(l->set->targets[m->target].patterns, m->index) > l->set->limits.window.overlap)
      warn(l, r, m->line, "a match may be longer than rules.overlap, and be missed; say how often at most, as in ",
           SMTPF_LIT("\\w{1,30}"));
  }
}

static void look_at(const lint *l, uint32_t at)
{
  const rules_set *s = l->set;
  const rules_rule *r = &s->rules[at];
  int told = 0;
  if (is_over(l, r)) {
    warn(l, r, r->line, "it has expired, and is off", (smtpf_str){NULL, 0});
    return;
  }
  for (size_t i = 0; i < r->n_refs; i++)
    told |= s->refs[r->ref + i].word == RULES_ALL && l->never[s->refs[r->ref + i].target];
  if (l->never[at] && !told)
    warn(l, r, r->line, "it can never hit: what it needs excludes itself", (smtpf_str){NULL, 0});
  look_at_refs(l, r);
  look_at_matches(l, r);
  if (!r->scored && !r->used)
    warn(l, r, r->line, "it has no score, and no rule refers to it", (smtpf_str){NULL, 0});
  if (r->text.n && !r->scored)
    warn(l, r, r->line, "it has a text and no score: nobody will see it", (smtpf_str){NULL, 0});
}

void rules_lint(const rules_set *s, int64_t now, smtpf_lint_fn say, void *user)
{
  lint l = {.set = s, .now = now, .say = say, .user = user};
  const smtpf_mem *mem = &s->mem;
  l.never = mem->alloc(mem->user, s->n_rules + 1);
  l.marks = mem->alloc(mem->user, s->n_rules + 1);
  l.stack = mem->alloc(mem->user, (s->n_rules + 1) * sizeof *l.stack);
  if (l.never && l.marks && l.stack) {
    memset(l.never, 0, s->n_rules + 1);
    for (size_t i = 0; i < s->n_rules; i++)
      if (s->rules[s->order[i]].n_refs || is_over(&l, &s->rules[s->order[i]]))
        l.never[s->order[i]] = (uint8_t)can_never(&l, s->order[i]);
    for (uint32_t i = 0; i < s->n_rules; i++)
      look_at(&l, i);
  }
  mem->free(mem->user, l.never);
  mem->free(mem->user, l.marks);
  mem->free(mem->user, l.stack);
}
