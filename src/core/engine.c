/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

static void read_limits(smtpf_engine *e)
{
  const smtpf_section *s = e->tree.root;
  const struct {
    const char *path;
    int64_t *to;
  } rows[] = {
      {"limits.message", &e->limits.message},
      {"limits.header", &e->limits.header},
      {"limits.received", &e->limits.received},
      {"limits.recipients", &e->limits.recipients},
      {"limits.commands", &e->limits.commands},
      {"limits.errors", &e->limits.errors},
      {"limits.transactions", &e->limits.transactions},
      {"limits.session_time", &e->limits.session_time},
      {"limits.connection_memory", &e->limits.connection_memory},
      {"limits.transaction_memory", &e->limits.transaction_memory},
      {"limits.operations", &e->limits.operations},
      {"memory.chunk", &e->limits.chunk},
      {"check.timeout", &e->limits.check_timeout},
      {"directory.timeout", &e->limits.directory_timeout},
      {"delay.max", &e->limits.delay_max},
      {"delay.sessions", &e->limits.delay_sessions},
      {"resolver.cache", &e->limits.cache},
      {"resolver.cache_max", &e->limits.cache_max},
      {"directory.cache", &e->limits.directory_cache},
      {"directory.members", &e->limits.directory_members},
      {"lost_ack.enable", &e->limits.lost_ack},
      {"lost_ack.memory", &e->limits.lost_ack_memory},
      {"partition.reply", &e->limits.partition_reply},
      {"loop.mark", &e->limits.loop_mark},
      {"received.hops", &e->limits.received_hops},
      {"spool.memory", &e->limits.spool_memory},
      {"spool.total", &e->limits.spool_total},
      {"budget.deferrals", &e->limits.budget.count},
      {"budget.time", &e->limits.budget.time_s},
      {"budget.wait", &e->limits.budget.wait_s},
      {"budget.memory", &e->limits.budget.memory_s},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    *rows[i].to = smtpf_section_number(s, rows[i].path);
  e->limits.budget.time_s /= 1000;
  e->limits.budget.wait_s /= 1000;
  e->limits.budget.memory_s /= 1000;
}

/* A bound that the policy sets is ours to keep, not the host's. */
static int sets_bounds(const smtpf_section *root)
{
  return smtpf_section_has(root, "limits.message") || smtpf_section_has(root, "limits.header") ||
         smtpf_section_has(root, "limits.received");
}

static int read_settings(smtpf_engine *e, smtpf_error *err)
{
  static const int stages[] = {SMTPF_CONNECT, SMTPF_HELO, SMTPF_MAIL, SMTPF_RCPT};
  const smtpf_section *s = e->tree.root;
  read_limits(e);
  e->refuse_stage = stages[smtpf_section_number(s, "refuse.stage")];
  e->reads = sets_bounds(s);
  e->directory_complete = smtpf_section_number(s, "directory.complete") != 0;
  e->spool_path = smtpf_section_string(s, "spool.path");
  e->tag_header = smtpf_section_string(s, "tag.header");
  e->tag_leaves = smtpf_section_number(s, "tag.foreign") != 0;
  for (size_t i = 0; i < e->tag_header.n; i++)
    if (e->tag_header.p[i] <= ' ' || e->tag_header.p[i] >= 0x7f || e->tag_header.p[i] == ':')
      return smtpf_section_fail(s, "tag.header", err, SMTPF_EINVAL, "not a field name", e->tag_header,
                                "letters, digits, hyphens");
  if (!e->tag_header.n)
    return smtpf_section_fail(s, "tag.header", err, SMTPF_EINVAL, "empty", e->tag_header, "a field name");
  int r = smtpf_engine_read_places(e, err);
  return r == SMTPF_OK ? smtpf_engine_read_scopes(e, err) : r;
}

static int disabled(const smtpf_engine *e, const char *name)
{
  for (size_t i = 0; i < smtpf_section_count(e->tree.root, "check.disable"); i++)
    if (smtpf_str_equal(smtpf_section_string_at(e->tree.root, "check.disable", i), smtpf_str_of(name)))
      return 1;
  return 0;
}

static int check_names(const smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  for (size_t i = 0; i < smtpf_section_count(e->tree.root, "check.disable"); i++) {
    smtpf_str name = smtpf_section_string_at(e->tree.root, "check.disable", i);
    size_t k = 0;
    while (k < cfg->n_checks && !smtpf_str_equal(smtpf_str_of(cfg->checks[k]->name), name))
      k++;
    if (k == cfg->n_checks)
      return smtpf_section_fail(e->tree.root, "check.disable", err, SMTPF_ENOTFOUND, "no such check", name, NULL);
    /* What mail must not be taken without cannot be switched off: this is how open relays are made. */
    if (cfg->checks[k]->failure & SMTPF_FINDING_DEFER)
      return smtpf_section_fail(e->tree.root, "check.disable", err, SMTPF_EINVAL, "cannot be switched off", name, NULL);
  }
  return SMTPF_OK;
}

static void note_apart(smtpf_engine *e, const smtpf_check *check, int apart)
{
  if (apart == SMTPF_APART_SOURCE)
    e->sources = 1;
  if (apart == SMTPF_APART_SOURCE || apart == SMTPF_APART_JOIN)
    return;
  e->apart = apart > e->apart ? apart : e->apart;
  e->awaits |= (check->stages & (SMTPF_DATA | SMTPF_BODY | SMTPF_EOM)) != 0;
}

static int reads_each(const smtpf_opened *o)
{
  return (o->check->stages & SMTPF_EOM) && !(o->check->reads && o->check->reads(o->self) == SMTPF_READS_TRUSTED);
}

static int open_checks(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  int r = check_names(e, cfg, err);
  if (r != SMTPF_OK || !cfg->n_checks)
    return r;
  e->checks = smtpf_mem_zalloc(&e->mem, cfg->n_checks * sizeof *e->checks);
  if (!e->checks)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < cfg->n_checks; i++) {
    smtpf_opened o = {.check = cfg->checks[i], .self = cfg->checks[i]->user};
    if (disabled(e, o.check->name))
      continue;
    if (o.check->open) {
      r = o.check->open(&o.self, e->tree.root, err);
      if (r != SMTPF_OK)
        return r;
      if (!o.self)
        continue; /* idle for this policy */
    }
    e->checks[e->n_checks++] = o;
    e->stages |= o.check->stages;
    e->reads |= reads_each(&o);
    note_apart(e, o.check, o.check->apart ? o.check->apart(o.self) : SMTPF_APART_NEVER);
    e->doubts |= (o.check->failure & (SMTPF_FINDING_QUARANTINE | SMTPF_FINDING_TAG)) != 0;
  }
  return SMTPF_OK;
}

static void destroy(smtpf_engine *e)
{
  const smtpf_mem mem = e->mem;
  for (size_t i = 0; i < e->n_checks; i++)
    if (e->checks[i].check->close)
      e->checks[i].check->close(e->checks[i].self);
  smtpf_mem_free(&mem, e->checks);
  smtpf_mem_free(&mem, e->scanners);
  smtpf_trie_free(e->own_networks);
  smtpf_trie_free(e->scopes.networks);
  smtpf_map_free(&e->scopes.identities);
  smtpf_map_free(&e->scopes.names);
  smtpf_map_free(&e->scopes.helos);
  smtpf_map_free(&e->scopes.list_ids);
  smtpf_map_free(&e->by_name);
  smtpf_map_free(&e->recipients);
  smtpf_map_free(&e->local_domains);
  smtpf_map_free(&e->signing.exempt);
  smtpf_tree_free(&e->tree);
  smtpf_options_free(&e->options);
  smtpf_mem_free(&mem, e);
}

/* A partition needs two wishes, a greylist one that asks for it, anything else a check that waits for the content. */
static int may_defer(const smtpf_engine *e)
{
  int greylist = 0;
  for (size_t i = 0; i < e->n_profiles; i++)
    greylist |= e->profiles[i].greylist;
  return greylist || e->n_profiles > 1 || e->awaits;
}

static int freeze(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  int r = smtpf_tree_init(&e->tree, &e->mem, &e->options);
  for (size_t i = 0; r == SMTPF_OK && i < cfg->options.n; i++)
    r = smtpf_options_add(&e->options, cfg->options.v[i], 1);
  if (r == SMTPF_OK)
    r = smtpf_tree_copy(&e->tree, &cfg->tree);
  if (r == SMTPF_OK)
    r = read_settings(e, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_read_signing(e, cfg, err);
  if (r == SMTPF_OK && cfg->ports)
    r = cfg->ports(e->tree.root, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_read_scanners(e, cfg, err);
  if (r == SMTPF_OK)
    r = open_checks(e, cfg, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_read_profiles(e, cfg, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_read_recipients(e, cfg, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_read_texts(e, err);
  e->may_defer = may_defer(e);
  return r;
}

int smtpf_engine_new(smtpf_engine **out, smtpf_config *cfg, smtpf_error *err)
{
  smtpf_engine *e = smtpf_mem_zalloc(&cfg->mem, sizeof *e);
  if (!e)
    return SMTPF_ERROR(err, SMTPF_ENOMEM, NULL, 0, smtpf_str_of(smtpf_strerror(SMTPF_ENOMEM)));
  atomic_init(&e->refs, 1);
  e->mem = cfg->mem;
  e->log = cfg->log;
  e->log_user = cfg->log_user;
  e->log_level = cfg->log_level;
  smtpf_options_init(&e->options, &e->mem);
  smtpf_map *const maps[] = {&e->recipients,   &e->local_domains, &e->by_name,         &e->scopes.identities,
                             &e->scopes.names, &e->scopes.helos,  &e->scopes.list_ids, &e->signing.exempt};
  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
    smtpf_map_init(maps[i], &e->mem, (const uint64_t[2]){1, 2});
  e->loaded_s = cfg->clock ? cfg->clock->wall_s(cfg->clock->user) : 0;
  int r = freeze(e, cfg, err);
  if (r == SMTPF_OK) {
    smtpf_engine_log_warnings(e);
    *out = e;
    return r;
  }
  destroy(e);
  return r == SMTPF_ENOMEM ? SMTPF_ERROR(err, r, NULL, 0, smtpf_str_of(smtpf_strerror(r))) : r;
}

smtpf_engine *smtpf_engine_ref(smtpf_engine *e)
{
  atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
  return e;
}

void smtpf_engine_unref(smtpf_engine *e)
{
  if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
    destroy(e);
}

unsigned smtpf_engine_needs(const smtpf_engine *e)
{
  unsigned needs = 0;
  for (size_t i = 0; i < e->n_profiles; i++) {
    if (e->profiles[i].quarantine != SMTPF_SCORE_OFF)
      needs |= SMTPF_CAN_QUARANTINE;
    if (e->profiles[i].tag != SMTPF_SCORE_OFF)
      needs |= SMTPF_CAN_EDIT;
  }
  return needs;
}

int smtpf_engine_option(const smtpf_engine *e, const char *path, size_t index, smtpf_str *out)
{
  const smtpf_option *row;
  const smtpf_value *v = smtpf_tree_find(&e->tree, smtpf_str_of(path), &row);
  if (v && v->row->type == SMTPF_OPTION_LIST && index < v->n)
    *out = v->sections[index]->key;
  else if (v && v->texts && index < v->n)
    *out = v->texts[index];
  else if (!v && row && row->deflt && index == 0)
    *out = smtpf_str_of(row->deflt);
  else
    return SMTPF_ENOTFOUND;
  return SMTPF_OK;
}

int smtpf_engine_number(const smtpf_engine *e, const char *path, int64_t *out)
{
  const smtpf_option *row;
  const smtpf_value *v = smtpf_tree_find(&e->tree, smtpf_str_of(path), &row);
  if (!row)
    return SMTPF_ENOTFOUND;
  if (row->type == SMTPF_OPTION_STRING || row->type == SMTPF_OPTION_STRINGS || row->type == SMTPF_OPTION_LIST)
    return SMTPF_EINVAL;
  if (v) {
    *out = v->number;
    return SMTPF_OK;
  }
  return row->deflt ? smtpf_option_parse(row, smtpf_str_of(row->deflt), out) : SMTPF_ENOTFOUND;
}
