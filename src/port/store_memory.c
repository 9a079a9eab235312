/* SPDX-License-Identifier: MIT
 *
 * The store in memory, for tests and for hosts of one process. One for each driver; nothing outlives it.
 *
 * Bounded by `store.memory` bytes, keys, values and their upkeep counted. When a commit brings it over the bound,
 * records that have expired go first (least expiry first), then those that were used least recently; what the commit
 * itself wrote stays. A commit that alone is larger than the bound fails.
 *
 * All or none: a commit replaces records one after the other and keeps what it replaced; when a change cannot be
 * made the replaced ones are put back in reverse order, which needs no memory. Conventions every store follows: a
 * record whose `expires` lies before the wall second is absent; ADD saturates, and gives the record its own `expires`;
 * ADD to a record of another size than 8 bytes fails.
 */
#include <string.h>

#include <smtpfilter/engine.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "port.h"

enum {
  KEY_MAX = 64,
  VALUE_MAX = 4096,
  NUMBER = 8, /* bytes of a number */
  DEFAULT_BYTES = 16 * 1024 * 1024,
  UPKEEP = 2 * sizeof(smtpf_map_entry) + 2 * sizeof(void *), /* a record's share of map and heap */
};

typedef struct record {
  smtpf_heap_node expiry; /* in the heap when it expires at all */
  smtpf_link use;         /* in store.used, least recently used first */
  smtpf_str key;
  size_t n;     /* bytes of the value */
  char bytes[]; /* key, then value */
} record;

typedef struct store {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  smtpf_map map; /* key -> record */
  smtpf_heap expiring;
  smtpf_link used;
  size_t bytes, bound;
} store;

/* What one change did to the tables. */
typedef struct step {
  record *old; /* taken out, NULL for nothing */
  record *now; /* put in, NULL for nothing */
} step;

static smtpf_str value_of(const record *r)
{
  return (smtpf_str){r->bytes + r->key.n, r->n};
}

static size_t cost(const record *r)
{
  return sizeof *r + r->key.n + r->n + UPKEEP;
}

static int is_gone(const store *s, const record *r)
{
  return r->expiry.at != 0 && (int64_t)r->expiry.at < smtpf_driver_wall(s->driver);
}

/* ---- in and out of the tables --------------------------------------------------------------------- */

static void take_out(store *s, record *r)
{
  smtpf_map_remove(&s->map, r->key);
  smtpf_heap_remove(&s->expiring, &r->expiry);
  smtpf_list_remove(&r->use);
  s->bytes -= cost(r);
}

/* Cannot fail for a record that was in before: neither table ever shrinks. */
static int put_in(store *s, record *r)
{
  if (smtpf_map_set(&s->map, r->key, r) != SMTPF_OK)
    return SMTPF_ENOMEM;
  if (r->expiry.at && smtpf_heap_add(&s->expiring, &r->expiry) != SMTPF_OK) {
    smtpf_map_remove(&s->map, r->key);
    return SMTPF_ENOMEM;
  }
  smtpf_list_append(&s->used, &r->use);
  s->bytes += cost(r);
  return SMTPF_OK;
}

static void drop(store *s, record *r)
{
  take_out(s, r);
  smtpf_mem_free(s->mem, r);
}

/* The live record of a key. One that has expired is dropped at sight. */
static record *find(store *s, smtpf_str key)
{
  record *r = smtpf_map_get(&s->map, key);
  if (!r || !is_gone(s, r))
    return r;
  drop(s, r);
  return NULL;
}

static void evict(store *s)
{
  while (s->bytes > s->bound && s->map.n) {
    smtpf_heap_node *first = smtpf_heap_first(&s->expiring);
    record *r = first ? SMTPF_OF(first, record, expiry) : NULL;
    if (!r || !is_gone(s, r))
      r = SMTPF_OF(s->used.next, record, use);
    drop(s, r);
  }
}

/* ---- one change ----------------------------------------------------------------------------------- */

static int64_t number_of(smtpf_str v)
{
  uint64_t n = 0;
  for (size_t i = NUMBER; i-- > 0;)
    n = n << 8 | (unsigned char)v.p[i];
  return (int64_t)n;
}

static smtpf_str number_text(int64_t v, char out[NUMBER])
{
  for (size_t i = 0; i < NUMBER; i++)
    out[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_str){out, NUMBER};
}

static int64_t add(int64_t a, int64_t b)
{
  if (b > 0 && a > INT64_MAX - b)
    return INT64_MAX;
  if (b < 0 && a < INT64_MIN - b)
    return INT64_MIN;
  return a + b;
}

static record *make(const store *s, const smtpf_change *c, smtpf_str value)
{
  record *r = smtpf_mem_zalloc(s->mem, sizeof *r + c->key.n + value.n);
  if (!r)
    return NULL;
  memcpy(r->bytes, c->key.p, c->key.n);
  if (value.n)
    memcpy(r->bytes + c->key.n, value.p, value.n);
  r->key = (smtpf_str){r->bytes, c->key.n};
  r->n = value.n;
  r->expiry.at = c->expires > 0 ? (uint64_t)c->expires : c->expires ? 1 : 0;
  smtpf_list_init(&r->use);
  return r;
}

static int apply(store *s, const smtpf_change *c, step *out)
{
  record *old = find(s, c->key), *now = NULL;
  smtpf_str value = c->value;
  char number[NUMBER];
  if (old ? c->op == SMTPF_CHANGE_SET_IF_ABSENT : c->op == SMTPF_CHANGE_DELETE)
    return SMTPF_OK;
  if (c->op == SMTPF_CHANGE_ADD && old) {
    if (old->n != NUMBER)
      return SMTPF_EINVAL;
    value = number_text(add(number_of(value_of(old)), number_of(c->value)), number);
  }
  if (c->op != SMTPF_CHANGE_DELETE && !(now = make(s, c, value)))
    return SMTPF_ENOMEM;
  if (old)
    take_out(s, old);
  if (now && put_in(s, now) != SMTPF_OK) {
    if (old)
      (void)put_in(s, old);
    smtpf_mem_free(s->mem, now);
    return SMTPF_ENOMEM;
  }
  *out = (step){old, now};
  return SMTPF_OK;
}

static void undo(store *s, const step *steps, size_t n)
{
  while (n-- > 0) {
    if (steps[n].now)
      drop(s, steps[n].now);
    if (steps[n].old)
      (void)put_in(s, steps[n].old);
  }
}

/* ---- the port ------------------------------------------------------------------------------------- */

static int start(void *shared, smtpf_driver *driver, void **self)
{
  (void)shared;
  uint64_t seed[2];
  int64_t bound;
  if (smtpf_random_system()->fill(NULL, seed, sizeof seed) != SMTPF_OK)
    return SMTPF_EIO;
  store *s = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->driver = driver;
  s->mem = smtpf_driver_mem(driver);
  smtpf_map_init(&s->map, s->mem, seed);
  smtpf_heap_init(&s->expiring, s->mem);
  smtpf_list_init(&s->used);
  const smtpf_engine *engine = smtpf_driver_engine(driver);
  int set = engine && smtpf_engine_number(engine, "store.memory", &bound) == SMTPF_OK && bound > 0;
  s->bound = set ? (size_t)bound : DEFAULT_BYTES;
  *self = s;
  return SMTPF_OK;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  store *s = self;
  if (key.n == 0 || key.n > KEY_MAX)
    return SMTPF_EINVAL;
  record *r = find(s, key);
  if (!r) {
    smtpf_op_store(s->driver, op, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
    return SMTPF_OK;
  }
  smtpf_list_remove(&r->use);
  smtpf_list_append(&s->used, &r->use);
  smtpf_op_store(s->driver, op, SMTPF_STORE_FOUND, value_of(r));
  return SMTPF_OK;
}

static int is_legal(const smtpf_change *c)
{
  if (c->size < sizeof *c || c->key.n == 0 || c->key.n > KEY_MAX || c->value.n > VALUE_MAX)
    return 0;
  if (c->op == SMTPF_CHANGE_ADD)
    return c->value.n == NUMBER;
  return c->op == SMTPF_CHANGE_SET || c->op == SMTPF_CHANGE_SET_IF_ABSENT || c->op == SMTPF_CHANGE_DELETE;
}

/* All changes, or SMTPF_ENOMEM, SMTPF_EINVAL or SMTPF_ELIMIT and none. */
static int apply_all(store *s, const smtpf_change *changes, size_t n)
{
  size_t written = 0, done = 0;
  step *steps = n <= SIZE_MAX / sizeof *steps ? smtpf_mem_zalloc(s->mem, n * sizeof *steps) : NULL;
  if (!steps)
    return SMTPF_ENOMEM;
  int code = SMTPF_OK;
  for (; done < n && code == SMTPF_OK; done++) {
    code = apply(s, &changes[done], &steps[done]);
    written += steps[done].now ? cost(steps[done].now) : 0;
    if (code == SMTPF_OK && written > s->bound)
      code = SMTPF_ELIMIT;
  }
  if (code != SMTPF_OK)
    undo(s, steps, done);
  for (size_t i = 0; i < n && code == SMTPF_OK; i++)
    smtpf_mem_free(s->mem, steps[i].old);
  smtpf_mem_free(s->mem, steps);
  return code;
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  store *s = self;
  for (size_t i = 0; i < n; i++)
    if (!is_legal(&changes[i]))
      return SMTPF_EINVAL;
  int code = apply_all(s, changes, n);
  evict(s);
  smtpf_op_store(s->driver, op, code == SMTPF_OK ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self; /* nothing is ever under way */
  (void)op;
}

static void stop(void *self)
{
  store *s = self;
  if (!s)
    return;
  while (!smtpf_list_empty(&s->used))
    drop(s, SMTPF_OF(s->used.next, record, use));
  smtpf_map_free(&s->map);
  smtpf_heap_free(&s->expiring);
  smtpf_mem_free(s->mem, s);
}

const smtpf_store *smtpf_store_memory(void)
{
  static const smtpf_store table = {sizeof table, "memory", start, get, commit, cancel, stop, NULL};
  return &table;
}
