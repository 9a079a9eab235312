/* SPDX-License-Identifier: MIT
 *
 * What a frozen policy knows of profiles, recipients, domains and networks.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine.h"

/* ---- profiles --------------------------------------------------------------------------------------- */

enum { INHERIT_MAX = 16 };

static const smtpf_section *profile_section(const smtpf_engine *e, smtpf_str name)
{
  const smtpf_value *list = smtpf_tree_find(&e->tree, SMTPF_LIT("profiles"), NULL);
  return list ? smtpf_map_get(&list->by_key, name) : NULL;
}

/* A threshold: the section's own, else what it inherits, else the default. */
static int32_t threshold(const smtpf_engine *e, const smtpf_section *s, const char *name)
{
  for (int depth = 0; s && depth <= INHERIT_MAX; depth++) {
    if (smtpf_section_has(s, name) || !smtpf_section_has(s, "inherit"))
      return (int32_t)smtpf_section_number(s, name);
    s = profile_section(e, smtpf_section_string(s, "inherit"));
  }
  return SMTPF_SCORE_OFF;
}

static int check_inherit(const smtpf_engine *e, const smtpf_section *start, smtpf_error *err)
{
  const smtpf_section *s = start;
  for (int depth = 0; smtpf_section_has(s, "inherit"); depth++) {
    const smtpf_section *parent = profile_section(e, smtpf_section_string(s, "inherit"));
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

/* Without any profile in the policy one named `default` is there, with the options' defaults. */
static int add_default(smtpf_engine *e)
{
  return smtpf_tree_set(&e->tree, SMTPF_LIT("profiles[\"default\"]"), SMTPF_LIT(""), 0, SMTPF_LIT(""), 0, NULL);
}

int smtpf_engine_read_profiles(smtpf_engine *e, smtpf_error *err)
{
  if (!smtpf_section_count(e->tree.root, "profiles")) {
    int r = add_default(e);
    if (r != SMTPF_OK)
      return r;
  }
  size_t n = smtpf_section_count(e->tree.root, "profiles");
  e->profiles = smtpf_mem_zalloc(&e->mem, n * sizeof *e->profiles);
  if (!e->profiles)
    return SMTPF_ENOMEM;
  for (; e->n_profiles < n; e->n_profiles++) {
    const smtpf_section *s = smtpf_section_at(e->tree.root, "profiles", e->n_profiles);
    int r = check_inherit(e, s, err);
    if (r != SMTPF_OK)
      return r;
    e->profiles[e->n_profiles] = (smtpf_profile){
        .name = s->key,
        .reject = threshold(e, s, "reject"),
        .quarantine = threshold(e, s, "quarantine"),
        .tag = threshold(e, s, "tag"),
    };
  }
  smtpf_str site = smtpf_section_string(e->tree.root, "profile");
  e->site = smtpf_engine_profile(e, site);
  if (!e->site)
    return smtpf_section_fail(e->tree.root, "profile", err, SMTPF_ENOTFOUND, "no such profile", site,
                              "the name of one of `profiles`");
  return SMTPF_OK;
}

const smtpf_profile *smtpf_engine_profile(const smtpf_engine *e, smtpf_str name)
{
  for (size_t i = 0; i < e->n_profiles; i++)
    if (smtpf_str_equal(e->profiles[i].name, name))
      return &e->profiles[i];
  return NULL;
}

/* ---- recipients ------------------------------------------------------------------------------------- */

enum { ADDRESS_MAX = 320 };

/* Mailboxes are compared without regard to case: two that differ by case alone are one here. */
static int lower(smtpf_str s, char *room, smtpf_str *out)
{
  if (s.n > ADDRESS_MAX)
    return SMTPF_ELIMIT;
  for (size_t i = 0; i < s.n; i++)
    room[i] = smtpf_lower(s.p[i]);
  *out = (smtpf_str){room, s.n};
  return SMTPF_OK;
}

static int is_pattern(smtpf_str address)
{
  smtpf_path path;
  if (address.n > 1 && address.p[0] == '@') {
    int form = smtpf_domain_form((smtpf_str){address.p + 1, address.n - 1});
    return form != SMTPF_DOMAIN_BAD && form != SMTPF_DOMAIN_BARE_ADDRESS;
  }
  return smtpf_mailbox_parse(address, &path) == SMTPF_OK;
}

int smtpf_engine_read_recipients(smtpf_engine *e, smtpf_error *err)
{
  size_t n = smtpf_section_count(e->tree.root, "recipients");
  for (size_t i = 0; i < n; i++) {
    const smtpf_section *s = smtpf_section_at(e->tree.root, "recipients", i);
    smtpf_str name = smtpf_section_string(s, "profile"), key;
    const smtpf_profile *profile = name.n ? smtpf_engine_profile(e, name) : e->site;
    char room[ADDRESS_MAX];
    if (!is_pattern(s->key) || lower(s->key, room, &key) != SMTPF_OK)
      return smtpf_section_fail(e->tree.root, "recipients", err, SMTPF_EPARSE, "not an address", s->key,
                                "`user@domain` or `@domain`");
    if (!profile)
      return smtpf_section_fail(s, "profile", err, SMTPF_ENOTFOUND, "no such profile", name, NULL);
    if (smtpf_map_get(&e->recipients, key))
      return smtpf_section_fail(e->tree.root, "recipients", err, SMTPF_EINVAL, "named twice", s->key, NULL);
    int r = smtpf_arena_copy(&e->tree.arena, key, &key);
    if (r == SMTPF_OK)
      r = smtpf_map_set(&e->recipients, key, (void *)(uintptr_t)profile);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

static smtpf_str domain_with_at(smtpf_str address)
{
  size_t at = address.n;
  while (at && address.p[at - 1] != '@')
    at--;
  return at ? (smtpf_str){address.p + at - 1, address.n - at + 1} : (smtpf_str){NULL, 0};
}

const smtpf_profile *smtpf_engine_recipient(const smtpf_engine *e, smtpf_str address)
{
  char room[ADDRESS_MAX], bare[ADDRESS_MAX];
  smtpf_str key;
  if (!e->recipients.n || lower(address, room, &key) != SMTPF_OK)
    return NULL;
  const smtpf_profile *p = smtpf_map_get(&e->recipients, key);
  smtpf_str domain = domain_with_at(key);
  const char *plus = !p && domain.p ? memchr(key.p, '+', (size_t)(domain.p - key.p)) : NULL;
  if (plus && plus > key.p) {
    size_t n = (size_t)(plus - key.p);
    memcpy(bare, key.p, n);
    memcpy(bare + n, domain.p, domain.n);
    p = smtpf_map_get(&e->recipients, (smtpf_str){bare, n + domain.n});
  }
  return p ? p : smtpf_map_get(&e->recipients, domain);
}

/* ---- places ------------------------------------------------------------------------------------------ */

static int read_domains(smtpf_engine *e, smtpf_error *err)
{
  for (size_t i = 0; i < smtpf_section_count(e->tree.root, "local_domains"); i++) {
    smtpf_str name = smtpf_section_string_at(e->tree.root, "local_domains", i), key;
    char room[ADDRESS_MAX];
    int form = smtpf_domain_form(name);
    if (form == SMTPF_DOMAIN_BAD || form == SMTPF_DOMAIN_BARE_ADDRESS || lower(name, room, &key) != SMTPF_OK)
      return smtpf_section_fail(e->tree.root, "local_domains", err, SMTPF_EPARSE, "not a domain", name,
                                "a name such as example.org");
    int r = smtpf_arena_copy(&e->tree.arena, key, &key);
    if (r == SMTPF_OK)
      r = smtpf_map_set(&e->local_domains, key, e);
    if (r != SMTPF_OK)
      return r;
  }
  return SMTPF_OK;
}

int smtpf_engine_read_places(smtpf_engine *e, smtpf_error *err)
{
  int r = smtpf_trie_new(&e->own_networks, &e->mem);
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(e->tree.root, "own_networks"); i++) {
    smtpf_str text = smtpf_section_string_at(e->tree.root, "own_networks", i);
    smtpf_prefix prefix;
    if (smtpf_prefix_parse(text, &prefix) != SMTPF_OK)
      return smtpf_section_fail(e->tree.root, "own_networks", err, SMTPF_EPARSE, "not a network", text,
                                "a prefix such as 192.0.2.0/24, without host bits");
    r = smtpf_trie_add(e->own_networks, &prefix, 1);
  }
  return r == SMTPF_OK ? read_domains(e, err) : r;
}

int smtpf_engine_is_local(const smtpf_engine *e, smtpf_str address)
{
  char room[ADDRESS_MAX];
  smtpf_str domain = domain_with_at(address);
  if (domain.n < 2 || lower((smtpf_str){domain.p + 1, domain.n - 1}, room, &domain) != SMTPF_OK)
    return 0;
  return smtpf_map_get(&e->local_domains, domain) != NULL;
}
