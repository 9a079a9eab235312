/* SPDX-License-Identifier: MIT
 *
 * list: an intrusive ring. A link belongs to whatever it is embedded in; an empty ring points to itself.
 */
#ifndef SMTPF_BASE_LIST_H
#define SMTPF_BASE_LIST_H

#include <stddef.h>

typedef struct smtpf_link {
  struct smtpf_link *next, *prev;
} smtpf_link;

#define SMTPF_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void smtpf_list_init(smtpf_link *ring)
{
  ring->next = ring->prev = ring;
}
static inline int smtpf_list_empty(const smtpf_link *ring)
{
  return ring->next == ring;
}
static inline void smtpf_list_append(smtpf_link *ring, smtpf_link *item)
{
  item->next = ring;
  item->prev = ring->prev;
  ring->prev->next = item;
  ring->prev = item;
}
/* Takes an item out of its ring; harmless when it is in none. */
static inline void smtpf_list_remove(smtpf_link *item)
{
  item->prev->next = item->next;
  item->next->prev = item->prev;
  smtpf_list_init(item);
}

#endif
