/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <stdio.h>

#include "host_options.h"

static void print_log(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  const policy_source *s = user;
  (void)level;
  flockfile(stderr);
  fprintf(stderr, "%s: %s", s->program, event);
  for (size_t i = 0; i < n; i++)
    fprintf(stderr, " %s=%.*s", fields[i].name, (int)fields[i].value.n, fields[i].value.p);
  fputc('\n', stderr);
  funlockfile(stderr);
}

static int configure(smtpf_config *cfg, const policy_source *s, smtpf_error *err)
{
  int r = host_options_add(cfg);
  smtpf_config_set_log(cfg, SMTPF_LOG_WARNING, print_log, (void *)(uintptr_t)s);
  if (r == SMTPF_OK && s->before)
    r = s->before(cfg, s->user, err);
  if (r == SMTPF_OK && s->file)
    r = smtpf_config_load(cfg, s->file, err);
  if (r == SMTPF_OK && s->after)
    r = s->after(cfg, s->user, err);
  return r;
}

smtpf_engine *policy_load(const policy_source *s)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  int r = smtpf_config_new(&cfg, NULL);
  if (r == SMTPF_OK)
    r = configure(cfg, s, &err);
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&engine, cfg, &err);
  if (r != SMTPF_OK && err.line)
    fprintf(stderr, "%s: %s:%d: %s\n", s->program, err.file, err.line, err.text);
  else if (r != SMTPF_OK)
    fprintf(stderr, "%s: %s\n", s->program, err.text[0] ? err.text : smtpf_strerror(r));
  smtpf_config_free(cfg);
  return engine;
}
