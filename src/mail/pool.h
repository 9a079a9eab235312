/* SPDX-License-Identifier: MIT
 *
 * pool: many small arrays of equal elements in one piece of memory, named by 32-bit indices. An array grows and
 * shrinks by one element at a time; what it leaves behind is used again. Growing the pool moves it: keep indices, not
 * pointers.
 */
#ifndef SMTPF_MAIL_POOL_H
#define SMTPF_MAIL_POOL_H

#include <smtpfilter/types.h>

#define SMTPF_POOL_ARRAY_MAX 256 /* elements of one array */
#define SMTPF_POOL_CLASSES 16

typedef struct smtpf_pool {
  void *v;
  uint32_t elem;      /* bytes of an element, at least 4 */
  uint32_t used, cap; /* elements, free arrays among them */
  uint32_t live;      /* elements of arrays in use and reserved ones */
  uint32_t free[SMTPF_POOL_CLASSES];
} smtpf_pool;

/* `reserved` elements from 0 on belong to the caller; at least one, since index 0 stands for no array. They are zeroed.
 * There is room for `room` elements at once. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_pool_init(smtpf_pool *pool, const smtpf_mem *mem, size_t elem, uint32_t reserved, uint32_t room);
void smtpf_pool_free(smtpf_pool *pool, const smtpf_mem *mem);

static inline void *smtpf_pool_at(const smtpf_pool *pool, uint32_t index)
{
  return (char *)pool->v + (size_t)index * pool->elem;
}

/* Puts a copy of `elem` at place `at` of the array *base, which has `count` elements (0: *base is not looked at).
 * The array may move: *base is written. SMTPF_OK, or SMTPF_ENOMEM with nothing changed. */
int smtpf_pool_insert(smtpf_pool *pool, const smtpf_mem *mem, uint32_t *base, unsigned count, unsigned at,
                      const void *elem);

/* Takes place `at` out of an array of `count` elements. It stays where it is. */
void smtpf_pool_remove(smtpf_pool *pool, uint32_t base, unsigned count, unsigned at);

/* Gives back a whole array of `count` elements; none when `count` is 0. */
void smtpf_pool_drop(smtpf_pool *pool, uint32_t base, unsigned count);

/* Copies an array of `count` elements out of another pool of the same kind: *base, its place there, becomes its place
 * here. SMTPF_OK, or SMTPF_ENOMEM with *base as it was. */
int smtpf_pool_copy(smtpf_pool *pool, const smtpf_mem *mem, const smtpf_pool *from, uint32_t *base, unsigned count);

#endif
