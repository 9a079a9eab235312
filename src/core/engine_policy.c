/* SPDX-License-Identifier: MIT
 *
 * What a frozen policy knows of recipients, domains and networks.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine.h"

/* ---- recipients ------------------------------------------------------------------------------------- */

int smtpf_engine_lower(smtpf_str s, char room[SMTPF_ADDRESS_MAX], smtpf_str *out)
{
  if (s.n > SMTPF_ADDRESS_MAX)
    return SMTPF_ELIMIT;
  for (size_t i = 0; i < s.n; i++)
    room[i] = smtpf_lower(s.p[i]);
  *out = (smtpf_str){room, s.n};
  return SMTPF_OK;
}

int smtpf_engine_lower_copy(smtpf_engine *e, smtpf_str s, smtpf_str *out)
{
  char room[SMTPF_ADDRESS_MAX];
  int r = smtpf_engine_lower(s, room, &s);
  return r == SMTPF_OK ? smtpf_arena_copy(&e->tree.arena, s, out) : r;
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

static int read_recipient(smtpf_engine *e, const smtpf_config *cfg, const smtpf_section *s, smtpf_error *err)
{
  const smtpf_str name = smtpf_section_string(s, "profile");
  const smtpf_profile *profile = name.n ? smtpf_engine_profile(e, name) : e->site;
  smtpf_str key;
  if (!is_pattern(s->key) || s->key.n > SMTPF_ADDRESS_MAX)
    return smtpf_section_fail(s, "address", err, SMTPF_EPARSE, "not an address", s->key, "`user@domain` or `@domain`");
  if (!profile)
    return smtpf_section_fail(s, "profile", err, SMTPF_ENOTFOUND, "no such profile", name, NULL);
  int r = smtpf_engine_lower_copy(e, s->key, &key);
  if (r == SMTPF_OK && smtpf_map_get(&e->recipients, key))
    return smtpf_section_fail(s, "address", err, SMTPF_EINVAL, "named twice", s->key, NULL);
  if (r == SMTPF_OK)
    r = smtpf_engine_derive(e, cfg, s, profile, &profile, err);
  if (r == SMTPF_OK)
    r = smtpf_engine_check_route(e, profile, s, err);
  return r == SMTPF_OK ? smtpf_map_set(&e->recipients, key, (void *)(uintptr_t)profile) : r;
}

int smtpf_engine_read_recipients(smtpf_engine *e, const smtpf_config *cfg, smtpf_error *err)
{
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && i < smtpf_section_count(e->tree.root, "recipients"); i++)
    r = read_recipient(e, cfg, smtpf_section_at(e->tree.root, "recipients", i), err);
  /* What recipients inherit as a pattern stays at home where it has nowhere to go. */
  for (size_t i = 0; i < e->n_named; i++)
    if (!e->profiles[i].forward.n)
      e->profiles[i].route = SMTPF_WISH_MAILBOX;
  return r;
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
  char room[SMTPF_ADDRESS_MAX], bare[SMTPF_ADDRESS_MAX];
  smtpf_str key;
  if (!e->recipients.n || smtpf_engine_lower(address, room, &key) != SMTPF_OK)
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
    char room[SMTPF_ADDRESS_MAX];
    int form = smtpf_domain_form(name);
    if (form == SMTPF_DOMAIN_BAD || form == SMTPF_DOMAIN_BARE_ADDRESS ||
        smtpf_engine_lower(name, room, &key) != SMTPF_OK)
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
  char room[SMTPF_ADDRESS_MAX];
  smtpf_str domain = domain_with_at(address);
  if (domain.n < 2 || smtpf_engine_lower((smtpf_str){domain.p + 1, domain.n - 1}, room, &domain) != SMTPF_OK)
    return 0;
  return smtpf_map_get(&e->local_domains, domain) != NULL;
}

int smtpf_engine_is_srs_alone(const smtpf_engine *e, smtpf_str address)
{
  const smtpf_str domain = domain_with_at(address);
  return e->signing.srs_alone && domain.n > 1 &&
         smtpf_domain_equal((smtpf_str){domain.p + 1, domain.n - 1}, e->signing.srs.domain);
}
