/* SPDX-License-Identifier: MIT
 *
 * --lint: what a policy says that cannot be meant. It looks at the policy the way a check does: as a check that never
 * runs, whose open() is handed the whole of it.
 */
#include <string.h>

#include "replay.h"

struct lint {
  text *out;
  const char *policy;
  int problems;
};

static _Thread_local struct lint *current; /* open() has no user pointer of its own */

/* A problem at the place where `name` was set. */
static void problem(const smtpf_section *s, const char *name, smtpf_str profile, const char *what)
{
  smtpf_error at = {.size = sizeof at};
  smtpf_section_fail(s, name, &at, SMTPF_EINVAL, "", (smtpf_str){0}, "");
  replay_format(current->out, "%s", *at.file ? at.file : current->policy);
  if (at.line)
    replay_format(current->out, ":%d", at.line);
  text_cstr(current->out, ": profile ");
  text_add(current->out, profile);
  replay_format(current->out, ": %s\n", what);
  current->problems++;
}

static const smtpf_section *find_profile(const smtpf_section *policy, smtpf_str name)
{
  for (size_t i = 0, n = smtpf_section_count(policy, "profiles"); i < n; i++) {
    const smtpf_section *p = smtpf_section_at(policy, "profiles", i);
    smtpf_str own = smtpf_section_string(p, "name");
    if (own.n == name.n && (!name.n || memcmp(own.p, name.p, name.n) == 0))
      return p;
  }
  return NULL;
}

/* A threshold of a profile, or of those it inherits from. */
static int64_t threshold(const smtpf_section *policy, const smtpf_section *profile, const char *name)
{
  const smtpf_section *p = profile;
  for (int depth = 0; depth < 64 && p; depth++) {
    smtpf_str parent = smtpf_section_string(p, "inherit");
    if (smtpf_section_has(p, name) || !parent.n)
      return smtpf_section_number(p, name);
    p = find_profile(policy, parent);
  }
  return smtpf_section_number(profile, name);
}

static void look_at_profile(const smtpf_section *policy, const smtpf_section *p)
{
  smtpf_str name = smtpf_section_string(p, "name");
  int64_t reject = threshold(policy, p, "reject");
  int64_t quarantine = threshold(policy, p, "quarantine");
  int64_t tag = threshold(policy, p, "tag");
  if (quarantine != SMTPF_SCORE_OFF && quarantine >= reject)
    problem(p, smtpf_section_has(p, "quarantine") ? "quarantine" : "reject", name,
            "quarantine is not below reject: nothing will ever be quarantined");
  if (tag != SMTPF_SCORE_OFF && tag >= quarantine)
    problem(p, smtpf_section_has(p, "tag") ? "tag" : "quarantine", name,
            "tag is not below quarantine: nothing will ever be tagged");
  else if (tag != SMTPF_SCORE_OFF && tag >= reject)
    problem(p, smtpf_section_has(p, "tag") ? "tag" : "reject", name,
            "tag is not below reject: nothing will ever be tagged");
  if (reject <= 0)
    problem(p, "reject", name, "reject is not above 0: everything will be refused");
}

static int open_lint(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)err;
  *self = NULL; /* idle */
  for (size_t i = 0, n = smtpf_section_count(policy, "profiles"); i < n; i++)
    look_at_profile(policy, smtpf_section_at(policy, "profiles", i));
  return SMTPF_OK;
}

static int run_never(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  (void)ev;
  return SMTPF_OK;
}

static void close_nothing(void *self)
{
  (void)self;
}

int replay_lint(text *out, const char *policy)
{
  static const smtpf_check lint_check = {.size = sizeof lint_check,
                                         .name = "lint",
                                         .stages = SMTPF_CONNECT,
                                         .open = open_lint,
                                         .run = run_never,
                                         .close = close_nothing};
  struct lint lint = {out, policy, 0};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  smtpf_error err = {.size = sizeof err};
  current = &lint;
  int result = replay_config(&cfg, policy, NULL, NULL, NULL, &err);
  if (result == SMTPF_OK)
    result = smtpf_config_add_check(cfg, &lint_check);
  if (result == SMTPF_OK)
    result = smtpf_engine_new(&engine, cfg, &err);
  if (result != SMTPF_OK) {
    replay_error(out, policy, result, &err);
    text_char(out, '\n');
    lint.problems++;
  }
  smtpf_engine_unref(engine);
  smtpf_config_free(cfg);
  current = NULL;
  return lint.problems;
}
