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
 *
 * A scan goes by key: each answer looks at every record, which is right for what fits into one process's memory.
 */
#include <string.h>

#include <smtpfilter/engine.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "change.h"
#include "port/port.h"

enum {
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

static record *make(const store *s, const smtpf_stored *v)
{
  record *r = smtpf_mem_zalloc(s->mem, sizeof *r + v->key.n + v->value.n);
  if (!r)
    return NULL;
  memcpy(r->bytes, v->key.p, v->key.n);
  if (v->value.n)
    memcpy(r->bytes + v->key.n, v->value.p, v->value.n);
  r->key = (smtpf_str){r->bytes, v->key.n};
  r->n = v->value.n;
  r->expiry.at = (uint64_t)v->expires;
  smtpf_list_init(&r->use);
  return r;
}

static smtpf_stored stored(const record *r)
{
  return (smtpf_stored){sizeof(smtpf_stored), r->key, value_of(r), (int64_t)r->expiry.at};
}

static int apply(store *s, const smtpf_change *c, step *out)
{
  char room[SMTPF_VALUE_MAX];
  record *old = smtpf_map_get(&s->map, c->key), *now = NULL; /* not dropped, whatever it is: an undo may need it */
  const int live = old && !is_gone(s, old);
  smtpf_stored is = live ? stored(old) : (smtpf_stored){0}, becomes;
  const int effect = smtpf_change_effect(c, live ? &is : NULL, room, &becomes);
  if (effect <= 0)
    return effect;
  if (effect == SMTPF_EFFECT_PUT && !(now = make(s, &becomes)))
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
  if (!smtpf_key_legal(key))
    return SMTPF_EINVAL;
  record *r = find(s, key);
  if (!r) {
    smtpf_op_store(s->driver, op, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
    return SMTPF_OK;
  }
  smtpf_list_remove(&r->use);
  smtpf_list_append(&s->used, &r->use);
  char room[SMTPF_VALUE_MAX]; /* who is told may change the record */
  if (r->n)
    memcpy(room, value_of(r).p, r->n);
  smtpf_op_store(s->driver, op, SMTPF_STORE_FOUND, (smtpf_str){room, r->n});
  return SMTPF_OK;
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
  if (smtpf_changes_check(changes, n) != SMTPF_OK)
    return SMTPF_EINVAL;
  int code = apply_all(s, changes, n);
  evict(s);
  smtpf_op_store(s->driver, op, code == SMTPF_OK ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

/* The least keys behind a cursor, in order. */
typedef struct page {
  const record *at[SMTPF_SCAN_MAX];
  size_t n, most;
  int more; /* some did not fit */
} page;

static void into_page(page *p, const record *r)
{
  size_t low = 0, high = p->n;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (smtpf_str_compare(p->at[middle]->key, r->key) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  p->more |= p->n == p->most;
  if (low == p->most)
    return;
  p->n -= p->n == p->most;
  memmove(p->at + low + 1, p->at + low, (p->n - low) * sizeof p->at[0]);
  p->at[low] = r;
  p->n++;
}

/* The page as records in one piece of memory of their own: who is told of them may change the store. */
static char *copy_page(const store *s, const page *p, smtpf_stored *out)
{
  size_t n = 1, at = 0;
  for (size_t i = 0; i < p->n; i++)
    n += p->at[i]->key.n + p->at[i]->n;
  char *room = smtpf_mem_alloc(s->mem, n);
  for (size_t i = 0; i < p->n && room; i++) {
    const record *r = p->at[i];
    memcpy(room + at, r->bytes, r->key.n + r->n);
    out[i] = (smtpf_stored){sizeof *out, {room + at, r->key.n}, {room + at + r->key.n, r->n}, (int64_t)r->expiry.at};
    at += r->key.n + r->n;
  }
  return room;
}

static int scan(void *self, smtpf_op op, smtpf_str cursor, size_t most)
{
  store *s = self;
  smtpf_stored records[SMTPF_SCAN_MAX];
  page p = {{NULL}, 0, most < SMTPF_SCAN_MAX ? most : SMTPF_SCAN_MAX, 0};
  if (!most || cursor.n > SMTPF_KEY_MAX)
    return SMTPF_EINVAL;
  for (smtpf_link *l = s->used.next; l != &s->used; l = l->next) {
    const record *r = SMTPF_OF(l, record, use);
    if (!is_gone(s, r) && smtpf_str_compare(r->key, cursor) > 0)
      into_page(&p, r);
  }
  char *room = copy_page(s, &p, records);
  if (!room)
    return SMTPF_ENOMEM;
  const smtpf_str next = p.more ? records[p.n - 1].key : (smtpf_str){NULL, 0};
  smtpf_op_scan(s->driver, op, p.more ? SMTPF_STORE_MORE : SMTPF_STORE_DONE, records, p.n, next);
  smtpf_mem_free(s->mem, room);
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
  static const smtpf_store table = {sizeof table, "memory", start, get, commit, cancel, stop, scan, NULL};
  return &table;
}
