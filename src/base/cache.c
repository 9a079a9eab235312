/* SPDX-License-Identifier: MIT */
#include "cache.h"

#include "mem.h"

void smtpf_cache_init(smtpf_cache *c, const smtpf_mem *mem, const uint64_t seed[2])
{
  c->mem = mem;
  smtpf_map_init(&c->map, mem, seed);
  smtpf_list_init(&c->by_use);
}

static void forget(smtpf_cache *c, smtpf_cached *e)
{
  smtpf_map_remove(&c->map, e->key);
  smtpf_list_remove(&e->by_use);
  smtpf_cache_release(c, e);
}

static smtpf_cached *oldest(const smtpf_cache *c)
{
  return SMTPF_OF(c->by_use.next, smtpf_cached, by_use);
}

void smtpf_cache_free(smtpf_cache *c)
{
  while (!smtpf_list_empty(&c->by_use))
    forget(c, oldest(c));
  smtpf_map_free(&c->map);
}

void smtpf_cached_init(smtpf_cached *e, smtpf_str key)
{
  *e = (smtpf_cached){.key = key, .refs = 1};
  smtpf_list_init(&e->by_use);
}

smtpf_cached *smtpf_cache_get(smtpf_cache *c, smtpf_str key, uint64_t now)
{
  smtpf_cached *e = smtpf_map_get(&c->map, key);
  if (e && e->expires <= now) {
    forget(c, e);
    return NULL;
  }
  if (!e)
    return NULL;
  smtpf_list_remove(&e->by_use);
  smtpf_list_append(&c->by_use, &e->by_use);
  e->refs++;
  return e;
}

void smtpf_cache_keep(smtpf_cache *c, smtpf_cached *e, uint64_t expires, size_t most)
{
  smtpf_cached *same = smtpf_map_get(&c->map, e->key);
  if (same)
    forget(c, same);
  while (c->map.n && c->map.n >= most)
    forget(c, oldest(c));
  if (!most || smtpf_map_set(&c->map, e->key, e) != SMTPF_OK)
    return;
  e->expires = expires;
  e->refs++;
  smtpf_list_append(&c->by_use, &e->by_use);
}

void smtpf_cache_release(smtpf_cache *c, smtpf_cached *e)
{
  if (e && --e->refs == 0)
    smtpf_mem_free(c->mem, e);
}
