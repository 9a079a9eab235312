/* SPDX-License-Identifier: MIT
 *
 * Scopes: named sets of clients. A scope is a bit; what a client is in is a word of them, found without a loop over
 * scopes: one trie for all networks, one table for identities, one for names.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine.h"

enum { LENGTHS = 129 };

/* A network of a scope, until the trie is built. */
typedef struct net {
  struct net *next;
  smtpf_prefix prefix;
  uint64_t bit;
} net;

static const smtpf_section *scope_at(const smtpf_engine *e, size_t i)
{
  return smtpf_section_at(e->tree.root, "scopes", i);
}

/* ---- networks ----------------------------------------------------------------------------------------------- */

/* Parses all networks into rings by their length. *nets is the caller's to free. */
static int gather(const smtpf_engine *e, net *nets, net *heads[LENGTHS], smtpf_error *err)
{
  for (size_t i = 0; i < e->scopes.n; i++) {
    const smtpf_section *s = scope_at(e, i);
    for (size_t k = 0; k < smtpf_section_count(s, "networks"); k++, nets++) {
      const smtpf_str text = smtpf_section_string_at(s, "networks", k);
      if (smtpf_prefix_parse(text, &nets->prefix) != SMTPF_OK)
        return smtpf_section_fail(s, "networks", err, SMTPF_EPARSE, "not a network", text,
                                  "a prefix such as 192.0.2.0/24, without host bits");
      nets->bit = UINT64_C(1) << i;
      nets->next = heads[nets->prefix.len];
      heads[nets->prefix.len] = nets;
    }
  }
  return SMTPF_OK;
}

/* The shortest first: a prefix finds all scopes of those around it in the one that is next to it. */
static int plant(smtpf_engine *e, net *const heads[LENGTHS], uint64_t *masks)
{
  uint32_t n = 0, value = 0;
  smtpf_prefix match = {.len = 0};
  for (int len = 0; len < LENGTHS; len++)
    for (const net *p = heads[len]; p; p = p->next) {
      const int around = smtpf_trie_find(e->scopes.networks, &p->prefix.ip, &value, &match);
      if (around && match.len == len) {
        masks[value] |= p->bit;
        continue;
      }
      masks[n] = p->bit | (around ? masks[value] : 0);
      int r = smtpf_trie_add(e->scopes.networks, &p->prefix, n++);
      if (r != SMTPF_OK)
        return r;
    }
  return SMTPF_OK;
}

static int read_networks(smtpf_engine *e, smtpf_error *err)
{
  net *heads[LENGTHS] = {NULL};
  size_t n = 0;
  for (size_t i = 0; i < e->scopes.n; i++)
    n += smtpf_section_count(scope_at(e, i), "networks");
  if (!n)
    return SMTPF_OK;
  uint64_t *masks = smtpf_arena_alloc(&e->tree.arena, n * sizeof *masks);
  net *nets = smtpf_mem_zalloc(&e->mem, n * sizeof *nets);
  int r = masks && nets ? smtpf_trie_new(&e->scopes.networks, &e->mem) : SMTPF_ENOMEM;
  if (r == SMTPF_OK)
    r = gather(e, nets, heads, err);
  if (r == SMTPF_OK)
    r = plant(e, heads, masks);
  e->scopes.of_network = masks;
  smtpf_mem_free(&e->mem, nets);
  return r;
}

/* ---- words -------------------------------------------------------------------------------------------------- */

/* Adds a scope to what a word in lower case stands for. */
static int add_word(smtpf_engine *e, smtpf_map *map, smtpf_str word, uint64_t bit)
{
  uint64_t *mask = smtpf_map_get(map, word);
  if (!mask) {
    mask = smtpf_arena_alloc(&e->tree.arena, sizeof *mask);
    int r = mask ? smtpf_map_set(map, word, mask) : SMTPF_ENOMEM;
    if (r != SMTPF_OK)
      return r;
  }
  *mask |= bit;
  return SMTPF_OK;
}

static smtpf_str without_dot(smtpf_str name)
{
  return (smtpf_str){name.p, name.n && name.p[name.n - 1] == '.' ? name.n - 1 : name.n};
}

static int read_words(smtpf_engine *e, size_t i, const char *option, int domains, smtpf_map *map, smtpf_error *err)
{
  const smtpf_section *s = scope_at(e, i);
  int r = SMTPF_OK;
  for (size_t k = 0; r == SMTPF_OK && k < smtpf_section_count(s, option); k++) {
    smtpf_str text = smtpf_section_string_at(s, option, k), word;
    const int form = domains ? smtpf_domain_form(text) : SMTPF_DOMAIN_QUALIFIED;
    if (!text.n || text.n > SMTPF_ADDRESS_MAX || form == SMTPF_DOMAIN_BAD || form == SMTPF_DOMAIN_BARE_ADDRESS ||
        form == SMTPF_DOMAIN_LITERAL)
      return smtpf_section_fail(s, option, err, SMTPF_EPARSE, domains ? "not a domain" : "not an identity", text,
                                domains ? "a name such as example.org" : "a text of 1 to 320 bytes");
    r = smtpf_engine_lower_copy(e, domains ? without_dot(text) : text, &word);
    if (r == SMTPF_OK)
      r = add_word(e, map, word, UINT64_C(1) << i);
  }
  return r;
}

/* ---- all of them -------------------------------------------------------------------------------------------- */

int smtpf_engine_read_scopes(smtpf_engine *e, smtpf_error *err)
{
  const smtpf_section *root = e->tree.root;
  const size_t n = smtpf_section_count(root, "scopes");
  if (n > SMTPF_SCOPES_MAX) {
    const smtpf_section *beyond = scope_at(e, SMTPF_SCOPES_MAX);
    return smtpf_section_fail(beyond, "name", err, SMTPF_EINVAL, "one too many", beyond->key, "at most 64 scopes");
  }
  e->scopes.n = n;
  int r = read_networks(e, err);
  for (size_t i = 0; r == SMTPF_OK && i < n; i++) {
    if (smtpf_section_number(scope_at(e, i), "authenticated"))
      e->scopes.authenticated |= UINT64_C(1) << i;
    r = read_words(e, i, "identities", 0, &e->scopes.identities, err);
    if (r == SMTPF_OK)
      r = read_words(e, i, "names", 1, &e->scopes.names, err);
    if (r == SMTPF_OK)
      r = read_words(e, i, "helo", 1, &e->scopes.helos, err);
    if (r == SMTPF_OK)
      r = read_words(e, i, "list_ids", 0, &e->scopes.list_ids, err);
    if (smtpf_section_count(scope_at(e, i), "list_ids"))
      e->scopes.of_lists |= UINT64_C(1) << i;
  }
  if (r == SMTPF_OK)
    r = smtpf_engine_scope_mask(e, root, "backup_mx", &e->backup_mx, err);
  return r == SMTPF_OK ? smtpf_engine_scope_mask(e, root, "forwarders", &e->forwarders, err) : r;
}

int smtpf_engine_scope_mask(const smtpf_engine *e, const smtpf_section *s, const char *option, uint64_t *out,
                            smtpf_error *err)
{
  uint64_t mask = 0;
  for (size_t i = 0; i < smtpf_section_count(s, option); i++) {
    const smtpf_str name = smtpf_section_string_at(s, option, i);
    size_t k = 0;
    while (k < e->scopes.n && !smtpf_str_equal(scope_at(e, k)->key, name))
      k++;
    if (k == e->scopes.n)
      return smtpf_section_fail(s, option, err, SMTPF_ENOTFOUND, "no such scope", name, "names of `scopes`");
    mask |= UINT64_C(1) << k;
  }
  *out = mask;
  return SMTPF_OK;
}

/* ---- looking up --------------------------------------------------------------------------------------------- */

static uint64_t word_scopes(const smtpf_map *map, smtpf_str word)
{
  const uint64_t *mask = smtpf_map_get(map, word);
  return mask ? *mask : 0;
}

/* Of the name and of all domains above it. */
static uint64_t name_scopes(const smtpf_map *map, smtpf_str name)
{
  char room[SMTPF_ADDRESS_MAX];
  uint64_t mask = 0;
  if (!map->n || smtpf_engine_lower(without_dot(name), room, &name) != SMTPF_OK)
    return 0;
  while (name.n) {
    mask |= word_scopes(map, name);
    (void)smtpf_str_cut(&name, '.');
  }
  return mask;
}

uint64_t smtpf_engine_scopes(const smtpf_engine *e, const smtpf_ip *client, int authenticated, smtpf_str identity,
                             smtpf_str verified_name)
{
  char room[SMTPF_ADDRESS_MAX];
  uint64_t mask = 0;
  uint32_t value;
  if (e->scopes.networks && client && client->family && smtpf_trie_find(e->scopes.networks, client, &value, NULL))
    mask |= e->scopes.of_network[value];
  if (authenticated) {
    mask |= e->scopes.authenticated;
    if (e->scopes.identities.n && smtpf_engine_lower(identity, room, &identity) == SMTPF_OK)
      mask |= word_scopes(&e->scopes.identities, identity);
  }
  return mask | name_scopes(&e->scopes.names, verified_name);
}

uint64_t smtpf_engine_helo_scopes(const smtpf_engine *e, smtpf_str verified_helo)
{
  return name_scopes(&e->scopes.helos, verified_helo);
}

uint64_t smtpf_engine_list_scopes(const smtpf_engine *e, smtpf_str list_id)
{
  char room[SMTPF_ADDRESS_MAX];
  if (!e->scopes.of_lists || smtpf_engine_lower(list_id, room, &list_id) != SMTPF_OK)
    return 0;
  return word_scopes(&e->scopes.list_ids, list_id);
}

smtpf_str smtpf_engine_scope_name(const smtpf_engine *e, uint64_t scopes)
{
  size_t i = 0;
  while (i < e->scopes.n && !(scopes >> i & 1))
    i++;
  return i < e->scopes.n ? scope_at(e, i)->key : (smtpf_str){"", 0};
}
