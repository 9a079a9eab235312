/* SPDX-License-Identifier: MIT */
#include "zone.h"

#include "base/mem.h"
#include "base/str.h"
#include "name.h"

enum { MAX_ALIASES = 16 };

void smtpf_zone_free(smtpf_zone *zone)
{
  if (!zone)
    return;
  smtpf_map_free(&zone->nodes);
  smtpf_arena_clear(&zone->arena);
  smtpf_mem mem = zone->mem;
  smtpf_mem_free(&mem, zone);
}

/* Every ancestor gets a node of its own, so that `is there anything below` is one look-up. */
smtpf_zone_node *smtpf_zone_node_make(smtpf_zone *zone, smtpf_str name)
{
  smtpf_zone_node *node = smtpf_map_get(&zone->nodes, name);
  if (node)
    return node;
  smtpf_str kept;
  if (smtpf_arena_copy(&zone->arena, name, &kept) != SMTPF_OK)
    return NULL;
  smtpf_zone_node *made = NULL;
  for (smtpf_str at = kept; at.n && !smtpf_map_get(&zone->nodes, at); at = smtpf_dns_name_parent(at)) {
    node = smtpf_arena_alloc(&zone->arena, sizeof *node);
    if (!node || smtpf_map_set(&zone->nodes, at, node) != SMTPF_OK)
      return NULL;
    if (!made)
      made = node;
  }
  return made;
}

smtpf_zone_set *smtpf_zone_set_find(const smtpf_zone_node *node, int type)
{
  for (smtpf_zone_set *s = node->sets; s; s = s->next)
    if (s->type == type)
      return s;
  return NULL;
}

/* The node itself, or the wildcard of its closest encloser (RFC 4592 3.3.1). */
static const smtpf_zone_node *node_for(const smtpf_zone *zone, smtpf_str name)
{
  const smtpf_zone_node *node = smtpf_map_get(&zone->nodes, name);
  if (node)
    return node;
  smtpf_str encloser = smtpf_dns_name_parent(name);
  while (encloser.n && !smtpf_map_get(&zone->nodes, encloser))
    encloser = smtpf_dns_name_parent(encloser);
  char room[SMTPF_DNS_NAME_MAX + 1];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, encloser.n ? "*." : "*");
  smtpf_out_str(&o, encloser);
  return o.full ? NULL : smtpf_map_get(&zone->nodes, smtpf_out_done(&o));
}

void smtpf_zone_ask(const smtpf_zone *zone, int type, smtpf_str name, smtpf_dns_answer *out)
{
  uint32_t ttl = UINT32_MAX;
  for (int aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const smtpf_zone_node *node = node_for(zone, name);
    const smtpf_zone_set *set = NULL;
    if (node && !(set = smtpf_zone_set_find(node, type)) && !(set = smtpf_zone_set_find(node, SMTPF_DNS_CNAME)))
      set = smtpf_zone_set_find(node, SMTPF_ZONE_ANY);
    const uint32_t mine = set ? set->ttl : SMTPF_ZONE_TTL_NEGATIVE;
    ttl = mine < ttl ? mine : ttl;
    if (!set) {
      *out = (smtpf_dns_answer){sizeof *out, node ? SMTPF_DNS_NODATA : SMTPF_DNS_NXDOMAIN, ttl, 0, NULL};
      return;
    }
    if (set->type == type || set->status != SMTPF_DNS_OK) {
      *out = (smtpf_dns_answer){sizeof *out, set->status, ttl, set->count, set->records};
      return;
    }
    name = set->records[0].text;
  }
  *out = (smtpf_dns_answer){sizeof *out, SMTPF_DNS_SERVFAIL, SMTPF_ZONE_TTL_NEGATIVE, 0, NULL};
}
