/* SPDX-License-Identifier: MIT
 *
 * ring: an intrusive ring; an empty one points to itself.
 */
#ifndef COMMON_RING_H
#define COMMON_RING_H

#include <stddef.h>

typedef struct ring {
  struct ring *next, *prev;
} ring;

#define RING_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void ring_init(ring *r)
{
  r->next = r->prev = r;
}
static inline int ring_empty(const ring *r)
{
  return r->next == r;
}
static inline void ring_append(ring *r, ring *item)
{
  item->next = r;
  item->prev = r->prev;
  r->prev->next = item;
  r->prev = item;
}
/* Takes an item out; harmless when it is in none. */
static inline void ring_remove(ring *item)
{
  item->prev->next = item->next;
  item->next->prev = item->prev;
  ring_init(item);
}

#endif
