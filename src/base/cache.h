/* SPDX-License-Identifier: MIT
 *
 * cache: things that are found by a key, for some time, the least recently used forgotten first. Each is counted by who
 * holds it, the cache among them, and is one block of the allocator that begins with an smtpf_cached.
 */
#ifndef SMTPF_BASE_CACHE_H
#define SMTPF_BASE_CACHE_H

#include "list.h"
#include "map.h"

typedef struct smtpf_cached {
  smtpf_link by_use;
  smtpf_str key;    /* inside the block */
  uint64_t expires; /* in the caller's time */
  uint32_t refs;
} smtpf_cached;

typedef struct smtpf_cache {
  const smtpf_mem *mem;
  smtpf_map map;     /* key -> smtpf_cached */
  smtpf_link by_use; /* least recently used first */
} smtpf_cache;

void smtpf_cache_init(smtpf_cache *c, const smtpf_mem *mem, const uint64_t seed[2]);
void smtpf_cache_free(smtpf_cache *c);

/* A new thing becomes the caller's: one reference. */
void smtpf_cached_init(smtpf_cached *e, smtpf_str key);

/* What is kept under a key and has not expired, with a reference for the caller; NULL when there is none. */
smtpf_cached *smtpf_cache_get(smtpf_cache *c, smtpf_str key, uint64_t now);

/* Keeps it until `expires`, among at most `most` things; one of the same key goes. Without memory it is not kept. */
void smtpf_cache_keep(smtpf_cache *c, smtpf_cached *e, uint64_t expires, size_t most);

/* Gives a reference back; the last one frees. NULL is accepted. */
void smtpf_cache_release(smtpf_cache *c, smtpf_cached *e);

#endif
