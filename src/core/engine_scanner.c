/* SPDX-License-Identifier: MIT
 *
 * Types of scanners, and the instances that a policy names.
 */
#include "base/mem.h"
#include "base/str.h"
#include "engine.h"

static size_t place_of(const smtpf_config *cfg, smtpf_str name)
{
  size_t i = 0;
  while (i < cfg->n_scanners && !smtpf_str_equal(smtpf_str_of(cfg->scanners[i].scanner->name), name))
    i++;
  return i;
}

int smtpf_config_add_scanner(smtpf_config *cfg, const smtpf_scanner *type, void *shared)
{
  if (type->size < sizeof *type || !type->name || !type->start || !type->open || !type->feed || !type->finish ||
      !type->close || (type->n_options && !type->options))
    return SMTPF_EINVAL;
  const size_t place = place_of(cfg, smtpf_str_of(type->name));
  const smtpf_scanner *old = place < cfg->n_scanners ? cfg->scanners[place].scanner : NULL;
  void *array = cfg->scanners;
  int r = smtpf_mem_grow(&cfg->mem, &array, &cfg->cap_scanners, cfg->n_scanners + 1, sizeof *cfg->scanners);
  cfg->scanners = array;
  if (r != SMTPF_OK)
    return r;
  r = smtpf_options_replace(&cfg->options, old ? old->options : NULL, old ? old->n_options : 0, type->options,
                            type->n_options);
  if (r != SMTPF_OK)
    return r;
  cfg->scanners[place] = (smtpf_scanner_type){type, shared};
  if (!old)
    cfg->n_scanners++;
  return SMTPF_OK;
}

static int read_scanner(smtpf_scanner_entry *entry, const smtpf_config *cfg, const smtpf_section *s, smtpf_error *err)
{
  const smtpf_str type = smtpf_section_string(s, "type");
  const size_t place = place_of(cfg, type);
  if (place == cfg->n_scanners)
    return smtpf_section_fail(s, "type", err, SMTPF_ENOTFOUND, "no such type of scanner here", type, NULL);
  *entry = (smtpf_scanner_entry){cfg->scanners[place], s, s->key};
  return entry->type.scanner->check ? entry->type.scanner->check(s, err) : SMTPF_OK;
}

int smtpf_engine_read_scanners(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  const size_t n = smtpf_section_count(e->tree.root, "scanners");
  if (!n)
    return SMTPF_OK;
  e->scanners = smtpf_mem_zalloc(&e->mem, n * sizeof *e->scanners);
  if (!e->scanners)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < n; i++) {
    const int r = read_scanner(&e->scanners[i], cfg, smtpf_section_at(e->tree.root, "scanners", i), err);
    if (r != SMTPF_OK)
      return r;
    e->n_scanners++;
  }
  return SMTPF_OK;
}

size_t smtpf_engine_scanner(const smtpf_engine *e, smtpf_str name)
{
  for (size_t i = 0; i < e->n_scanners; i++)
    if (smtpf_str_equal(e->scanners[i].name, name))
      return i;
  return SIZE_MAX;
}
