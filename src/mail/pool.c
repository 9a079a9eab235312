/* SPDX-License-Identifier: MIT */
#include "mail/pool.h"

#include <string.h>

#include "base/mem.h"

/* Room comes in these sizes. The difference of any two neighbours is itself a size, so that the end an array no
 * longer needs can always be given back. */
static const uint16_t sizes[SMTPF_POOL_CLASSES] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256};

/* The smallest class that holds `count`. */
static unsigned class_of(unsigned count)
{
  unsigned c = 0;
  while (sizes[c] < count)
    c++;
  return c;
}

static int enlarge(smtpf_pool *pool, const smtpf_mem *mem, uint32_t want)
{
  if (want <= pool->cap)
    return SMTPF_OK;
  /* A quarter more: doubling would leave half of a large set's memory unused. */
  uint64_t cap = (uint64_t)want + want / 4 + 8;
  if (cap > UINT32_MAX || cap > SIZE_MAX / pool->elem)
    return SMTPF_ENOMEM;
  void *v = mem->realloc(mem->user, pool->v, (size_t)cap * pool->elem);
  if (!v)
    return SMTPF_ENOMEM;
  pool->v = v;
  pool->cap = (uint32_t)cap;
  return SMTPF_OK;
}

int smtpf_pool_init(smtpf_pool *pool, const smtpf_mem *mem, size_t elem, uint32_t reserved, uint32_t room)
{
  smtpf_pool p = {.elem = (uint32_t)elem, .used = reserved, .live = reserved};
  p.cap = room > reserved ? room : reserved;
  if (p.cap > SIZE_MAX / elem)
    return SMTPF_ENOMEM;
  p.v = smtpf_mem_alloc(mem, p.cap * elem);
  if (!p.v)
    return SMTPF_ENOMEM;
  memset(p.v, 0, reserved * elem);
  *pool = p;
  return SMTPF_OK;
}

void smtpf_pool_free(smtpf_pool *pool, const smtpf_mem *mem)
{
  smtpf_mem_free(mem, pool->v);
  *pool = (smtpf_pool){0};
}

/* A free array begins with the index of the next one of its class. */
static void give(smtpf_pool *pool, uint32_t base, unsigned class)
{
  memcpy(smtpf_pool_at(pool, base), &pool->free[class], sizeof(uint32_t));
  pool->free[class] = base;
  pool->live -= sizes[class];
}

/* An array of class `class`, 0 without memory. */
static uint32_t take(smtpf_pool *pool, const smtpf_mem *mem, unsigned class)
{
  uint32_t base = pool->free[class];
  if (base) {
    memcpy(&pool->free[class], smtpf_pool_at(pool, base), sizeof(uint32_t));
    pool->live += sizes[class];
    return base;
  }
  if (pool->used > UINT32_MAX - sizes[class] || enlarge(pool, mem, pool->used + sizes[class]) != SMTPF_OK)
    return 0;
  base = pool->used;
  pool->used += sizes[class];
  pool->live += sizes[class];
  return base;
}

int smtpf_pool_insert(smtpf_pool *pool, const smtpf_mem *mem, uint32_t *base, unsigned count, unsigned at,
                      const void *elem)
{
  const size_t size = pool->elem;
  const unsigned before = class_of(count), after = class_of(count + 1);
  uint32_t to = *base;
  if (count == 0 || before != after) {
    to = take(pool, mem, after);
    if (!to)
      return SMTPF_ENOMEM;
  }
  char *dst = smtpf_pool_at(pool, to);
  const char *src = count ? smtpf_pool_at(pool, *base) : dst;
  memmove(dst + (at + 1) * size, src + at * size, (count - at) * size);
  if (src != dst)
    memcpy(dst, src, at * size);
  memcpy(dst + at * size, elem, size);
  if (count && to != *base)
    give(pool, *base, before);
  *base = to;
  return SMTPF_OK;
}

void smtpf_pool_remove(smtpf_pool *pool, uint32_t base, unsigned count, unsigned at)
{
  const size_t size = pool->elem;
  char *v = smtpf_pool_at(pool, base);
  memmove(v + at * size, v + (at + 1) * size, (count - at - 1) * size);
  const unsigned before = class_of(count), after = class_of(count - 1);
  if (count == 1)
    give(pool, base, before);
  else if (before != after)
    give(pool, base + sizes[after], class_of((unsigned)(sizes[before] - sizes[after])));
}

void smtpf_pool_drop(smtpf_pool *pool, uint32_t base, unsigned count)
{
  if (count)
    give(pool, base, class_of(count));
}

int smtpf_pool_copy(smtpf_pool *pool, const smtpf_mem *mem, const smtpf_pool *from, uint32_t *base, unsigned count)
{
  if (!count)
    return SMTPF_OK;
  uint32_t to = take(pool, mem, class_of(count));
  if (!to)
    return SMTPF_ENOMEM;
  memcpy(smtpf_pool_at(pool, to), smtpf_pool_at(from, *base), (size_t)count * pool->elem);
  *base = to;
  return SMTPF_OK;
}
