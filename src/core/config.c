/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

int smtpf_config_create(smtpf_config **out, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_config *cfg = smtpf_mem_zalloc(&m, sizeof *cfg);
  if (!cfg)
    return SMTPF_ENOMEM;
  cfg->mem = m;
  smtpf_options_init(&cfg->options, &cfg->mem);
  int r = smtpf_tree_init(&cfg->tree, &cfg->mem, &cfg->options);
  if (r == SMTPF_OK)
    r = smtpf_options_add(&cfg->options, smtpf_core_options, smtpf_core_options_count);
  if (r == SMTPF_OK)
    *out = cfg;
  else
    smtpf_config_free(cfg);
  return r;
}

void smtpf_config_free(smtpf_config *cfg)
{
  if (!cfg)
    return;
  const smtpf_mem mem = cfg->mem;
  smtpf_tree_free(&cfg->tree);
  smtpf_options_free(&cfg->options);
  smtpf_mem_free(&mem, cfg->checks);
  smtpf_mem_free(&mem, cfg->scanners);
  smtpf_mem_free(&mem, cfg);
}

static size_t place_of(const smtpf_config *cfg, const char *name)
{
  size_t i = 0;
  while (i < cfg->n_checks && !smtpf_str_equal(smtpf_str_of(cfg->checks[i]->name), smtpf_str_of(name)))
    i++;
  return i;
}

int smtpf_config_add_check(smtpf_config *cfg, const smtpf_check *check)
{
  if (check->size < sizeof *check || !check->name || !check->run || (check->n_options && !check->options) ||
      (check->failure & ~(unsigned)(SMTPF_FINDING_DEFER | SMTPF_FINDING_ELECTIVE | SMTPF_FINDING_OWN_TOO |
                                    SMTPF_FINDING_QUARANTINE | SMTPF_FINDING_TAG | SMTPF_FINDING_ROUTE)))
    return SMTPF_EINVAL;
  if ((check->failure & SMTPF_FINDING_ROUTE) && (check->failure != SMTPF_FINDING_ROUTE || check->stages % SMTPF_RCPT))
    return SMTPF_EINVAL; /* before RCPT nothing goes anywhere */
  const size_t place = place_of(cfg, check->name);
  const smtpf_check *old = place < cfg->n_checks ? cfg->checks[place] : NULL;
  void *array = cfg->checks;
  int r = smtpf_mem_grow(&cfg->mem, &array, &cfg->cap_checks, cfg->n_checks + 1, sizeof *cfg->checks);
  cfg->checks = array;
  if (r != SMTPF_OK)
    return r;
  r = smtpf_options_replace(&cfg->options, old ? old->options : NULL, old ? old->n_options : 0, check->options,
                            check->n_options);
  if (r != SMTPF_OK)
    return r;
  cfg->checks[place] = check;
  if (!old)
    cfg->n_checks++;
  return SMTPF_OK;
}

int smtpf_config_add_options(smtpf_config *cfg, const smtpf_option *options, size_t n)
{
  return smtpf_options_add(&cfg->options, options, n);
}

int smtpf_config_set_at(smtpf_config *cfg, const char *path, const char *value, int append, const char *file, int line,
                        smtpf_error *err)
{
  int r = smtpf_tree_set(&cfg->tree, smtpf_str_of(path), smtpf_str_of(value), append, smtpf_str_of(file), line, err);
  return r == SMTPF_ENOMEM ? SMTPF_ERROR(err, r, file, line, smtpf_str_of(smtpf_strerror(r))) : r;
}

int smtpf_config_set(smtpf_config *cfg, const char *path, const char *value, smtpf_error *err)
{
  return smtpf_config_set_at(cfg, path, value, 0, NULL, 0, err);
}

int smtpf_config_append(smtpf_config *cfg, const char *path, const char *value, smtpf_error *err)
{
  return smtpf_config_set_at(cfg, path, value, 1, NULL, 0, err);
}

int smtpf_config_list_key(const smtpf_config *cfg, const char *list_path, smtpf_str *key)
{
  const smtpf_option *row = smtpf_tree_list(&cfg->tree, smtpf_str_of(list_path));
  if (!row)
    return SMTPF_ENOTFOUND;
  *key = smtpf_option_key(row);
  return SMTPF_OK;
}

void smtpf_config_each_option(const smtpf_config *cfg, smtpf_option_fn fn, void *user)
{
  for (size_t i = 0; i < cfg->options.n; i++) {
    const smtpf_option *row = cfg->options.v[i];
    const smtpf_option_info info = {sizeof info, row->path, smtpf_option_type_name(row), row->deflt, row->min,
                                    row->max,    row->doc};
    fn(user, &info);
  }
}

void smtpf_config_set_log(smtpf_config *cfg, int level, smtpf_log_fn fn, void *user)
{
  cfg->log_level = level;
  cfg->log = fn;
  cfg->log_user = user;
}
