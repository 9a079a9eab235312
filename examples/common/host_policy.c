/* SPDX-License-Identifier: MIT */
#include "host_policy.h"

#include <stdio.h>
#include <string.h>

#include "host_options.h"
#include "log.h"

int host_policy_fail(smtpf_error *err, int code, const host_policy *p, const char *what, const char *value,
                     const char *expected)
{
  *err = (smtpf_error){.size = sizeof *err, .code = code};
  if (p->file)
    snprintf(err->file, sizeof err->file, "%s", p->file);
  snprintf(err->text, sizeof err->text, "%s `%s`: expected %s", what, value, expected);
  return code;
}

static int apply_set(smtpf_config *cfg, const host_policy *p, const char *set, smtpf_error *err)
{
  char path[256];
  const char *eq = strchr(set, '=');
  const int more = eq && eq > set && eq[-1] == '+';
  if (!eq || (size_t)(eq - set) >= sizeof path)
    return host_policy_fail(err, SMTPF_EPARSE, p, "--set", set, "PATH=VALUE or PATH+=VALUE");
  memcpy(path, set, (size_t)(eq - set));
  path[eq - set - more] = 0;
  return more ? smtpf_config_append(cfg, path, eq + 1, err) : smtpf_config_set(cfg, path, eq + 1, err);
}

static int configure(smtpf_config *cfg, const host_policy *p, smtpf_error *err)
{
  int r = host_options_add(cfg);
  if (r != SMTPF_OK)
    return host_policy_fail(err, r, p, "options", "of host programs", smtpf_strerror(r));
  smtpf_config_set_log(cfg, SMTPF_LOG_WARNING, log_library, NULL);
  if (p->before)
    r = p->before(cfg, p->user, err);
  if (r == SMTPF_OK && p->file)
    r = smtpf_config_load(cfg, p->file, err);
  for (size_t i = 0; r == SMTPF_OK && i < p->sets; i++)
    r = apply_set(cfg, p, p->set[i], err);
  return r;
}

int host_policy_load(smtpf_engine **out, const host_policy *p, smtpf_error *err)
{
  smtpf_config *cfg = NULL;
  int r = smtpf_config_new(&cfg, NULL);
  if (r != SMTPF_OK)
    return host_policy_fail(err, r, p, "policy", p->file ? p->file : "", "memory");
  r = configure(cfg, p, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_new(out, cfg, err);
  smtpf_config_free(cfg);
  if (r != SMTPF_OK && !err->text[0])
    host_policy_fail(err, r, p, "policy", p->file ? p->file : "", smtpf_strerror(r));
  if (r != SMTPF_OK && !err->file[0] && p->file) /* an option that nobody has set, or the command line has */
    snprintf(err->file, sizeof err->file, p->sets ? "%s, or the command line" : "%s", p->file);
  return r;
}

smtpf_engine *host_policy_engine(const host_policy *p)
{
  smtpf_engine *engine = NULL;
  smtpf_error err = {.size = sizeof err};
  if (host_policy_load(&engine, p, &err) != SMTPF_OK)
    host_policy_complain(&err, "policy-failed");
  return engine;
}

void host_policy_complain(const smtpf_error *err, const char *event)
{
  char where[300];
  if (err->file[0])
    snprintf(where, sizeof where, err->line ? "%s:%d" : "%s", err->file, err->line);
  else
    snprintf(where, sizeof where, "(command line)");
  log_line(
      "error", event,
      (log_field[]){{"where", {where, strlen(where)}}, {"what", {err->text, strlen(err->text)}}, {NULL, {NULL, 0}}});
}

int64_t host_number(const smtpf_engine *e, const char *path, int64_t otherwise)
{
  int64_t v;
  return smtpf_engine_number(e, path, &v) == SMTPF_OK ? v : otherwise;
}

const char *host_string(const smtpf_engine *e, const char *path, size_t i)
{
  smtpf_str v;
  return smtpf_engine_option(e, path, i, &v) == SMTPF_OK && v.n ? v.p : NULL;
}

int host_choice(const smtpf_engine *e, const char *path, const char *const *words)
{
  const char *v = host_string(e, path, 0);
  for (int i = 0; v && words[i]; i++)
    if (!strcmp(v, words[i]))
      return i;
  return 0;
}
