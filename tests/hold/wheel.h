/* SPDX-License-Identifier: MIT
 *
 * wheel: what is due at a time, in slots of ten milliseconds; as far ahead as the wheel is long.
 */
#ifndef SMTPF_HOLD_WHEEL_H
#define SMTPF_HOLD_WHEEL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WHEEL_SLOTS = 16384, WHEEL_MS = 10 };

typedef struct due {
  struct due *next, *prev; /* prev is NULL when it is in no slot */
} due;

typedef struct wheel {
  due slot[WHEEL_SLOTS];
  int64_t at; /* the slot that comes next */
} wheel;

static inline void wheel_init(wheel *w, int64_t now_ms)
{
  for (size_t i = 0; i < WHEEL_SLOTS; i++)
    w->slot[i].next = w->slot[i].prev = &w->slot[i];
  w->at = now_ms / WHEEL_MS;
}

static inline void wheel_remove(due *d)
{
  if (!d->prev)
    return;
  d->prev->next = d->next;
  d->next->prev = d->prev;
  d->next = d->prev = NULL;
}

static inline void wheel_add(wheel *w, due *d, int64_t due_ms)
{
  int64_t slot = due_ms / WHEEL_MS;
  if (slot < w->at)
    slot = w->at;
  if (slot >= w->at + WHEEL_SLOTS)
    slot = w->at + WHEEL_SLOTS - 1;
  due *head = &w->slot[slot % WHEEL_SLOTS];
  wheel_remove(d);
  d->next = head;
  d->prev = head->prev;
  head->prev->next = d;
  head->prev = d;
}

/* What has become due, one at a time; NULL when there is no more of it. */
static inline due *wheel_next(wheel *w, int64_t now_ms)
{
  for (; w->at <= now_ms / WHEEL_MS; w->at++) {
    due *head = &w->slot[w->at % WHEEL_SLOTS], *d = head->next;
    if (d != head) {
      wheel_remove(d);
      return d;
    }
  }
  return NULL;
}

#endif
