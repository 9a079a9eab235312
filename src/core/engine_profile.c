/* SPDX-License-Identifier: MIT
 *
 * Profiles: what was written becomes wishes that are whole. A profile begins as a copy of what it inherits from; what
 * it says itself replaces that, lists wholly.
 */
#include <string.h>

#include "base/error.h"
#include "base/str.h"
#include "engine.h"

enum { INHERIT_MAX = 16, WEIGHT_USUAL = 100 };

/* What a section is read into, and from whose point of view. */
typedef struct reader {
  smtpf_engine *e;
  const smtpf_config *cfg;
  const smtpf_section *s;
  int all; /* what the section does not say gets its default */
  smtpf_error *err;
} reader;

/* ---- inheritance -------------------------------------------------------------------------------------------- */

static const smtpf_section *named(const smtpf_engine *e, smtpf_str name)
{
  const smtpf_value *list = smtpf_tree_find(&e->tree, SMTPF_LIT("profiles"), NULL);
  return list ? smtpf_map_get(&list->by_key, name) : NULL;
}

static int check_inherit(const smtpf_engine *e, const smtpf_section *start, smtpf_error *err)
{
  const smtpf_section *s = start;
  for (int depth = 0; smtpf_section_has(s, "inherit"); depth++) {
    const smtpf_section *parent = named(e, smtpf_section_string(s, "inherit"));
    if (!parent)
      return smtpf_section_fail(s, "inherit", err, SMTPF_ENOTFOUND, "no such profile",
                                smtpf_section_string(s, "inherit"), NULL);
    if (depth == INHERIT_MAX)
      return smtpf_section_fail(start, "inherit", err, SMTPF_EINVAL, "inherits from itself, or too deep", start->key,
                                "at most 16 levels");
    s = parent;
  }
  return SMTPF_OK;
}

const smtpf_section *smtpf_engine_holder(const smtpf_engine *e, const smtpf_section *s, const char *name)
{
  const smtpf_section *last = s;
  while (s && !smtpf_section_has(s, name)) {
    last = s;
    if (smtpf_str_equal(s->list, SMTPF_LIT("recipients")))
      s = named(e, smtpf_section_string(s, "profile").n ? smtpf_section_string(s, "profile") : e->site->name);
    else
      s = smtpf_section_has(s, "inherit") ? named(e, smtpf_section_string(s, "inherit")) : NULL;
  }
  return s ? s : last;
}

/* ---- wishes ------------------------------------------------------------------------------------------------- */

static int says(const reader *r, const char *name)
{
  return r->all || smtpf_section_has(r->s, name);
}

static void read_numbers(const reader *r, smtpf_profile *p)
{
  const struct {
    const char *name;
    int32_t *score;
    uint8_t *word;
  } wishes[] = {
      {"reject", &p->reject, NULL},
      {"quarantine", &p->quarantine, NULL},
      {"tag", &p->tag, NULL},
      {"discard", &p->discard, NULL},
      {"reject_lists", NULL, &p->reject_lists},
      {"reject_content", NULL, &p->reject_content},
      {"greylist", NULL, &p->greylist},
      {"batv", NULL, &p->batv},
      {"null_sender", NULL, &p->null_sender},
      {"route", NULL, &p->route},
      {"fallback", NULL, &p->fallback},
      {"forward_failed", NULL, &p->forward_failed},
      {"bounces", NULL, &p->bounces},
  };
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
    if (!says(r, wishes[i].name))
      continue;
    const int64_t v = smtpf_section_number(r->s, wishes[i].name);
    if (wishes[i].score)
      *wishes[i].score = (int32_t)v;
    else
      *wishes[i].word = (uint8_t)v;
  }
}

static int read_scopes(const reader *r, smtpf_profile *p)
{
  const struct {
    const char *name;
    uint64_t *mask;
  } wishes[] = {{"only_from", &p->only_from}, {"forwarders", &p->forwarders}, {"lists", &p->lists}};
  int result = SMTPF_OK;
  for (size_t i = 0; result == SMTPF_OK && i < sizeof wishes / sizeof *wishes; i++)
    if (says(r, wishes[i].name))
      result = smtpf_engine_scope_mask(r->e, r->s, wishes[i].name, wishes[i].mask, r->err);
  return result;
}

static int read_address(const reader *r, const char *name, smtpf_str *out)
{
  smtpf_path path;
  if (!says(r, name))
    return SMTPF_OK;
  *out = smtpf_section_string(r->s, name);
  if (smtpf_section_has(r->s, name) && smtpf_mailbox_parse(*out, &path) != SMTPF_OK)
    return smtpf_section_fail(r->s, name, r->err, SMTPF_EPARSE, "not an address", *out, "`user@domain`");
  return SMTPF_OK;
}

static int read_entries(const reader *r, const char *name, const smtpf_str **out, size_t *n)
{
  const size_t count = smtpf_section_count(r->s, name);
  if (!says(r, name))
    return SMTPF_OK;
  smtpf_str *v = count ? smtpf_arena_alloc(&r->e->tree.arena, count * sizeof *v) : NULL;
  if (count && !v)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < count; i++) {
    const smtpf_str text = smtpf_section_string_at(r->s, name, i);
    if (!smtpf_engine_entry_sound(text))
      return smtpf_section_fail(r->s, name, r->err, SMTPF_EPARSE, "not an entry", text,
                                "`user@domain`, `@domain`, `user@`, an address or a network without host bits");
    int result = smtpf_engine_lower_copy(r->e, text, &v[i]);
    if (result != SMTPF_OK)
      return result;
  }
  *out = v;
  *n = count;
  return SMTPF_OK;
}

/* ---- weights ------------------------------------------------------------------------------------------------ */

/* A check by name, among those of the configuration; NULL when there is none. */
static const smtpf_check *find_check(const reader *r, smtpf_str name)
{
  for (size_t i = 0; i < r->cfg->n_checks; i++)
    if (smtpf_str_equal(smtpf_str_of(r->cfg->checks[i]->name), name))
      return r->cfg->checks[i];
  return NULL;
}

static int read_weight(const reader *r, const smtpf_section *weight, uint16_t *weights)
{
  const smtpf_check *check = find_check(r, weight->key);
  if (!check)
    return smtpf_section_fail(weight, "check", r->err, SMTPF_ENOTFOUND, "no such check", weight->key, NULL);
  /* Their findings are facts, or are missing: whoever silences them opens a relay. */
  if (check->failure & SMTPF_FINDING_DEFER)
    return smtpf_section_fail(weight, "check", r->err, SMTPF_EINVAL, "cannot be weighed", weight->key, NULL);
  for (size_t i = 0; i < r->e->n_checks; i++)
    if (r->e->checks[i].check == check)
      weights[i] = (uint16_t)smtpf_section_number(weight, "percent");
  return SMTPF_OK;
}

static int read_weights(const reader *r, smtpf_profile *p)
{
  const size_t count = smtpf_section_count(r->s, "weights");
  if (!count)
    return SMTPF_OK;
  uint16_t *weights = smtpf_arena_alloc(&r->e->tree.arena, (r->e->n_checks + 1) * sizeof *weights);
  if (!weights)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < r->e->n_checks; i++)
    weights[i] = WEIGHT_USUAL;
  int result = SMTPF_OK;
  for (size_t i = 0; result == SMTPF_OK && i < count; i++)
    result = read_weight(r, smtpf_section_at(r->s, "weights", i), weights);
  p->weights = weights;
  return result;
}

/* ---- one profile -------------------------------------------------------------------------------------------- */

static int read_wishes(const reader *r, smtpf_profile *p)
{
  read_numbers(r, p);
  if (says(r, "language"))
    p->language = smtpf_section_string(r->s, "language");
  int result = read_scopes(r, p);
  if (result == SMTPF_OK)
    result = read_address(r, "forward", &p->forward);
  if (result == SMTPF_OK)
    result = read_address(r, "forward_sender", &p->forward_sender);
  if (result == SMTPF_OK)
    result = read_entries(r, "allow", &p->allow, &p->n_allow);
  if (result == SMTPF_OK)
    result = read_entries(r, "deny", &p->deny, &p->n_deny);
  if (result == SMTPF_OK)
    result = read_weights(r, p);
  if (result == SMTPF_OK && !p->fallback)
    result = smtpf_section_fail(r->s, "fallback", r->err, SMTPF_EINVAL,
                                "mail that fails later, and about which no DSN may be sent, would have no owner",
                                SMTPF_LIT("none"), "quarantine or postmaster");
  return result;
}

int smtpf_engine_check_route(const smtpf_engine *e, const smtpf_profile *p, const smtpf_section *s, smtpf_error *err)
{
  if (p->route == SMTPF_WISH_MAILBOX || p->forward.n)
    return SMTPF_OK;
  const smtpf_section *at = smtpf_engine_holder(e, s, "route");
  return smtpf_section_fail(at, "route", err, SMTPF_EINVAL, "there is no address to forward to",
                            smtpf_section_string(at, "route"), "`forward` beside it");
}

/* Those it inherits from first; they have been checked for rings. */
static int freeze(smtpf_engine *e, const smtpf_config *cfg, smtpf_profile *p, smtpf_error *err)
{
  const smtpf_section *s = e->wishes[p - e->profiles];
  reader r = {e, cfg, s, !smtpf_section_has(s, "inherit"), err};
  if (p->name.p)
    return SMTPF_OK;
  if (!r.all) {
    smtpf_profile *parent = smtpf_map_get(&e->by_name, smtpf_section_string(s, "inherit"));
    int result = freeze(e, cfg, parent, err);
    if (result != SMTPF_OK)
      return result;
    *p = *parent;
    e->used[parent - e->profiles] = 1;
  }
  int result = read_wishes(&r, p);
  p->name = s->key;
  return result;
}

int smtpf_engine_derive(smtpf_engine *e, const smtpf_config *cfg, const smtpf_section *s, const smtpf_profile *base,
                        const smtpf_profile **out, smtpf_error *err)
{
  int own = 0;
  for (size_t i = 0; i < s->n; i++)
    own |= !smtpf_str_equal(s->v[i]->name, SMTPF_LIT("profile"));
  *out = base;
  e->used[base - e->profiles] = 1;
  if (!own)
    return SMTPF_OK;
  const reader r = {e, cfg, s, 0, err};
  smtpf_profile *p = &e->profiles[e->n_profiles];
  *p = *base;
  e->wishes[e->n_profiles++] = s;
  *out = p;
  return read_wishes(&r, p);
}

/* ---- all of them -------------------------------------------------------------------------------------------- */

/* Without any profile in the policy one named `default` is there, with the options' defaults. */
static int add_default(smtpf_engine *e)
{
  return smtpf_tree_set(&e->tree, SMTPF_LIT("profiles[\"default\"]"), SMTPF_LIT(""), 0, SMTPF_LIT(""), 0, NULL);
}

/* Room for the named ones and, behind them, for one of each recipient. */
static int make_room(smtpf_engine *e)
{
  const size_t named_ones = smtpf_section_count(e->tree.root, "profiles");
  const size_t room = named_ones + smtpf_section_count(e->tree.root, "recipients");
  e->profiles = smtpf_arena_alloc(&e->tree.arena, room * sizeof *e->profiles);
  e->wishes = smtpf_arena_alloc(&e->tree.arena, room * sizeof(const smtpf_section *));
  e->used = smtpf_arena_alloc(&e->tree.arena, named_ones);
  if (!e->profiles || !e->wishes || !e->used)
    return SMTPF_ENOMEM;
  e->n_named = e->n_profiles = named_ones;
  for (size_t i = 0; i < named_ones; i++) {
    e->wishes[i] = smtpf_section_at(e->tree.root, "profiles", i);
    int r = smtpf_map_set(&e->by_name, e->wishes[i]->key, &e->profiles[i]);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

int smtpf_engine_read_profiles(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  const smtpf_section *root = e->tree.root;
  int r = smtpf_section_count(root, "profiles") ? SMTPF_OK : add_default(e);
  if (r == SMTPF_OK)
    r = make_room(e);
  for (size_t i = 0; r == SMTPF_OK && i < e->n_named; i++)
    r = check_inherit(e, e->wishes[i], err);
  for (size_t i = 0; r == SMTPF_OK && i < e->n_named; i++)
    r = freeze(e, cfg, &e->profiles[i], err);
  if (r != SMTPF_OK)
    return r;
  const smtpf_str site = smtpf_section_string(root, "profile");
  e->site = smtpf_engine_profile(e, site);
  if (!e->site)
    return smtpf_section_fail(root, "profile", err, SMTPF_ENOTFOUND, "no such profile", site,
                              "the name of one of `profiles`; where `profile` is not set, `default`");
  e->used[e->site - e->profiles] = 1;
  return smtpf_engine_check_route(e, e->site, e->wishes[e->site - e->profiles], err);
}

const smtpf_profile *smtpf_engine_profile(const smtpf_engine *e, smtpf_str name)
{
  return smtpf_map_get(&e->by_name, name);
}
