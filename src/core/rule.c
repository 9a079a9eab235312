/* SPDX-License-Identifier: MIT
 *
 * Why, in words (promise L8): which line of the judge's table decided, by what finding, at which score, for whom.
 */
#include "base/str.h"
#include "session.h"

/* What is worth saying of a rule beside its name and the finding. */
enum { SCORE = 1, PROFILE = 2, TRUST = 4 };

static const struct {
  const char *word;
  unsigned says;
} rules[] = {
    [SMTPF_RULE_FACT] = {"fact", 0},
    [SMTPF_RULE_RESTRICTED] = {"restricted", PROFILE},
    [SMTPF_RULE_MISSING] = {"missing answer", 0},
    [SMTPF_RULE_OWN] = {"own client", 0},
    [SMTPF_RULE_ALLOW] = {"personal allow entry", 0},
    [SMTPF_RULE_BARRED] = {"fact", TRUST},
    [SMTPF_RULE_DENY] = {"personal deny entry", TRUST},
    [SMTPF_RULE_DISCARD] = {"discard", SCORE | PROFILE},
    [SMTPF_RULE_REJECT] = {"reject", SCORE | PROFILE | TRUST},
    [SMTPF_RULE_ELECTIVE] = {"deferral", 0},
    [SMTPF_RULE_SPENT] = {"no deferral left", 0},
    [SMTPF_RULE_QUARANTINE] = {"quarantine", SCORE | PROFILE},
    [SMTPF_RULE_TAG] = {"tag", SCORE | PROFILE},
    [SMTPF_RULE_ACCEPT] = {"accept", 0},
};

static void say(smtpf_out *out, const smtpf_outcome *o, unsigned says)
{
  if (o->cause) {
    smtpf_out_cstr(out, ": ");
    smtpf_out_cstr(out, o->cause->check);
    smtpf_out_char(out, ' ');
    smtpf_out_cstr(out, o->cause->code);
  }
  if (says & SCORE) {
    smtpf_out_cstr(out, "; score ");
    smtpf_out_milli(out, o->score);
    smtpf_out_cstr(out, " >= ");
    smtpf_out_milli(out, o->threshold);
  }
  if (says & PROFILE) {
    smtpf_out_cstr(out, ", profile ");
    smtpf_out_escaped(out, o->profile->name);
  }
  if ((says & TRUST) && !o->refusable)
    smtpf_out_cstr(out, "; not refused: a trusted client (promise L5)");
  if (o->stays) {
    smtpf_out_cstr(out, "; not forwarded: ");
    smtpf_out_cstr(out, o->stays->check);
    smtpf_out_char(out, ' ');
    smtpf_out_cstr(out, o->stays->code);
  }
  if (o->joined)
    smtpf_out_cstr(out, "; joined with the other mailboxes behind this recipient");
}

smtpf_str smtpf_outcome_rule(const smtpf_outcome *o, smtpf_arena *a)
{
  char room[256];
  smtpf_out out;
  const int spent = o->rule != SMTPF_RULE_SPENT || !o->cause || (o->cause->flags & SMTPF_FINDING_ELECTIVE);
  smtpf_str rule = spent ? smtpf_str_of(rules[o->rule].word) : SMTPF_LIT("not known");
  smtpf_out_init(&out, room, sizeof room);
  smtpf_out_str(&out, rule);
  say(&out, o, rules[o->rule].says);
  if (out.n > rule.n)
    (void)smtpf_arena_copy(a, smtpf_out_done(&out), &rule); /* without memory the word alone */
  return rule;
}
