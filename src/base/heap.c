/* SPDX-License-Identifier: MIT */
#include "heap.h"

#include "mem.h"

void smtpf_heap_init(smtpf_heap *h, const smtpf_mem *mem)
{
  *h = (smtpf_heap){.mem = mem};
}

void smtpf_heap_free(smtpf_heap *h)
{
  smtpf_mem_free(h->mem, h->v);
  *h = (smtpf_heap){.mem = h->mem};
}

static void put(smtpf_heap *h, size_t i, smtpf_heap_node *node)
{
  h->v[i] = node;
  node->place = i + 1;
}

static void rise(smtpf_heap *h, size_t i, smtpf_heap_node *node)
{
  while (i && h->v[(i - 1) / 2]->at > node->at) {
    put(h, i, h->v[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  put(h, i, node);
}

static void sink(smtpf_heap *h, size_t i, smtpf_heap_node *node)
{
  for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
    if (child + 1 < h->n && h->v[child + 1]->at < h->v[child]->at)
      child++;
    if (h->v[child]->at >= node->at)
      break;
    put(h, i, h->v[child]);
  }
  put(h, i, node);
}

int smtpf_heap_add(smtpf_heap *h, smtpf_heap_node *node)
{
  void *v = h->v;
  int r = smtpf_mem_grow(h->mem, &v, &h->cap, h->n + 1, sizeof(smtpf_heap_node *));
  if (r != SMTPF_OK)
    return r;
  h->v = v;
  rise(h, h->n++, node);
  return SMTPF_OK;
}

void smtpf_heap_remove(smtpf_heap *h, smtpf_heap_node *node)
{
  if (!node->place)
    return;
  size_t i = node->place - 1;
  smtpf_heap_node *last = h->v[--h->n];
  node->place = 0;
  if (last == node)
    return;
  if (i && h->v[(i - 1) / 2]->at > last->at)
    rise(h, i, last);
  else
    sink(h, i, last);
}
