/* SPDX-License-Identifier: MIT
 *
 * map: a hash table from byte strings to pointers. Open addressing, keyed SipHash-2-4 so that a peer
 * cannot choose collisions. Keys are not copied: they must live as long as their entry.
 */
#ifndef SMTPF_BASE_MAP_H
#define SMTPF_BASE_MAP_H

#include <smtpfilter/types.h>

typedef struct smtpf_map_entry {
  smtpf_str key;
  uint64_t hash;
  void *value; /* never NULL in a used entry */
} smtpf_map_entry;

typedef struct smtpf_map {
  const smtpf_mem *mem;
  smtpf_map_entry *v;
  size_t n, cap; /* cap is 0 or a power of two */
  uint64_t seed[2];
} smtpf_map;

uint64_t smtpf_siphash(const uint64_t seed[2], const void *p, size_t n);

void smtpf_map_init(smtpf_map *m, const smtpf_mem *mem, const uint64_t seed[2]);
void smtpf_map_free(smtpf_map *m);
void *smtpf_map_get(const smtpf_map *m, smtpf_str key);      /* NULL when absent */
int smtpf_map_set(smtpf_map *m, smtpf_str key, void *value); /* replaces key and value; SMTPF_OK or SMTPF_ENOMEM */
void *smtpf_map_remove(smtpf_map *m, smtpf_str key);         /* the value, NULL when absent */
/* Walks: start with *i = 0; NULL at the end. The map must not change meanwhile. */
smtpf_map_entry *smtpf_map_next(const smtpf_map *m, size_t *i);

#endif
