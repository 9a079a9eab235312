/* SPDX-License-Identifier: MIT
 *
 * --lint: what keeps a policy from loading, and what it says that cannot be meant or that the host cannot keep.
 */
#include "replay.h"

struct lint {
  text *out;
  const char *policy;
};

static void print_warning(void *user, const char *file, int line, smtpf_str what)
{
  const struct lint *l = user;
  replay_format(l->out, "%s", file ? file : l->policy);
  if (line)
    replay_format(l->out, ":%d", line);
  text_cstr(l->out, ": ");
  text_add(l->out, what);
  text_char(l->out, '\n');
}

int replay_lint(text *out, const char *policy, unsigned capabilities)
{
  struct lint lint = {out, policy};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  smtpf_error err = {.size = sizeof err};
  int problems = 1, result = replay_config(&cfg, policy, NULL, NULL, NULL, &err);
  if (result == SMTPF_OK)
    result = smtpf_engine_new(&engine, cfg, &err);
  if (result == SMTPF_OK) {
    problems = smtpf_engine_lint(engine, capabilities, print_warning, &lint) != 0;
  } else {
    replay_error(out, policy, result, &err);
    text_char(out, '\n');
  }
  smtpf_engine_unref(engine);
  smtpf_config_free(cfg);
  return problems;
}
