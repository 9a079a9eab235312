/* SPDX-License-Identifier: MIT
 *
 * heap: a binary heap of timers, least deadline first. Each node knows its place, so that it can be taken out
 * in O(log n). Nodes belong to the caller.
 */
#ifndef SMTPF_BASE_HEAP_H
#define SMTPF_BASE_HEAP_H

#include <smtpfilter/types.h>

typedef struct smtpf_heap_node {
  uint64_t at;  /* the order */
  size_t place; /* index in the heap + 1; 0 when not in it */
} smtpf_heap_node;

typedef struct smtpf_heap {
  const smtpf_mem *mem;
  smtpf_heap_node **v;
  size_t n, cap;
} smtpf_heap;

void smtpf_heap_init(smtpf_heap *h, const smtpf_mem *mem);
void smtpf_heap_free(smtpf_heap *h);
int smtpf_heap_add(smtpf_heap *h, smtpf_heap_node *node);     /* SMTPF_OK or SMTPF_ENOMEM */
void smtpf_heap_remove(smtpf_heap *h, smtpf_heap_node *node); /* nothing when it is not in */
static inline smtpf_heap_node *smtpf_heap_first(const smtpf_heap *h)
{
  return h->n ? h->v[0] : NULL;
}

#endif
