/* SPDX-License-Identifier: MIT
 *
 * model: a store against a plain table that knows what the words mean: random changes, time that passes, restarts;
 * every answer must be equal.
 *
 *     model OPERATIONS [PATH=VALUE...]     options of the policy; `store.path=.` stands for a folder of its own
 *
 * Changes go out many at a time, as from many sessions; then as many records are read. What a restart loses is asked of
 * the store's kind: memory loses all, any other nothing. Prints one line of JSON.
 */
#include "world.h"

#include <smtpfilter/ext/record.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 2000, ROUND = 64, CHANGES = 3, RESTART = 200, SCAN = 100 };

/* A record as the table knows it: text, number, or first-seen, last-seen and counts of three nodes. */
enum { NOTHING, NUMBER, MERGED };
typedef struct entry {
  int kind;
  int64_t number, first, last, counts[3], expires;
} entry;

typedef struct model {
  world world;
  entry table[KEYS];
  uint64_t state;
  int forgets; /* a restart loses all */
  size_t done, wrong, gets, restarts, scanned;
} model;

/* ---- bytes ---------------------------------------------------------------------------------------- */

static smtpf_str key_of(size_t i, char room[SMTPF_RECORD_MAX])
{
  return (smtpf_str){room, (size_t)snprintf(room, 65, "key %zu %.*s", i, (int)(i % 50),
                                            "..................................................")};
}

static smtpf_str number_bytes(int64_t v, char *room)
{
  for (size_t i = 0; i < 8; i++)
    room[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_str){room, 8};
}

static smtpf_str merged_bytes(const entry *e, char *room)
{
  smtpf_record r;
  smtpf_str out = {NULL, 0};
  smtpf_record_begin(&r, room, SMTPF_RECORD_MAX, 9);
  smtpf_record_number(&r, 1, SMTPF_JOIN_MIN, e->first);
  smtpf_record_number(&r, 2, SMTPF_JOIN_MAX, e->last);
  for (uint64_t node = 0; node < 3; node++)
    if (e->counts[node] > 0)
      smtpf_record_count(&r, 3, node, e->counts[node]);
  WORLD_MUST(smtpf_record_end(&r, &out) == SMTPF_OK);
  return out;
}

static smtpf_str bytes_of(const entry *e, char *room)
{
  return e->kind == MERGED ? merged_bytes(e, room) : number_bytes(e->number, room);
}

/* ---- the table ------------------------------------------------------------------------------------ */

static int is_live(const entry *e, int64_t wall)
{
  return e->kind != NOTHING && (!e->expires || e->expires >= wall);
}

static int64_t least(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static void merge(entry *e, const entry *with)
{
  e->first = least(e->first, with->first);
  e->last = most(e->last, with->last);
  for (size_t i = 0; i < 3; i++)
    e->counts[i] = most(e->counts[i], with->counts[i]);
  e->expires = e->expires && with->expires ? most(e->expires, with->expires) : 0;
}

static void apply(entry *e, int op, const entry *with, int64_t wall)
{
  if (!is_live(e, wall))
    e->kind = NOTHING;
  if (op == SMTPF_CHANGE_DELETE) {
    e->kind = NOTHING;
  } else if (op == SMTPF_CHANGE_JOIN && e->kind == MERGED) {
    merge(e, with);
  } else if (op != SMTPF_CHANGE_SET_IF_ABSENT || e->kind == NOTHING) {
    const int64_t before = op == SMTPF_CHANGE_ADD && e->kind == NUMBER ? e->number : 0;
    *e = *with;
    e->number += before;
  }
}

/* Whether the change cannot be made: then none of its commit is. */
static int is_fault(const entry *e, int op, int64_t wall)
{
  char room[SMTPF_RECORD_MAX];
  return op == SMTPF_CHANGE_ADD && is_live(e, wall) && e->kind == MERGED && bytes_of(e, room).n != 8;
}

/* ---- one round ------------------------------------------------------------------------------------ */

typedef struct asked {
  model *m;
  int want; /* smtpf_store_status */
} asked;

static void committed(void *user, int status, smtpf_str value)
{
  asked *a = user;
  (void)value;
  a->m->done++;
  a->m->wrong += status != a->want;
}

static entry random_entry(model *m, int op)
{
  const uint64_t x = world_random(&m->state);
  const int64_t wall = m->world.wall;
  entry e = {.kind = op == SMTPF_CHANGE_JOIN || (op != SMTPF_CHANGE_ADD && x & 1) ? MERGED : NUMBER};
  e.number = (int64_t)(x >> 8 & 0xffff) - 0x8000;
  e.first = (int64_t)(x >> 8 & 0xffff);
  e.last = (int64_t)(x >> 16 & 0xffff);
  for (size_t i = 0; i < 3; i++)
    e.counts[i] = (int64_t)(x >> (24 + 4 * i) & 7);
  e.expires = x >> 40 & 3 ? wall - 5 + (int64_t)(x >> 42 & 0xfff) : 0;
  if (e.kind == MERGED)
    e.number = 0;
  return e;
}

/* A commit of one to three changes; the table is changed when it can be made as a whole. */
static size_t commit_one(model *m, asked *a)
{
  smtpf_change changes[CHANGES];
  char keys[CHANGES][SMTPF_RECORD_MAX], values[CHANGES][SMTPF_RECORD_MAX];
  entry before[CHANGES];
  size_t at[CHANGES], n = 1 + world_random(&m->state) % CHANGES, made = 0;
  *a = (asked){m, SMTPF_STORE_DONE};
  for (size_t i = 0; i < n; i++) {
    const uint64_t x = world_random(&m->state);
    const int op = 1 + (int)(x % 5);
    const entry e = random_entry(m, op);
    at[i] = x >> 8 & 1 ? x >> 9 & 63 : (x >> 9) % KEYS; /* half of it on few keys */
    changes[i] = (smtpf_change){sizeof changes[i], op, key_of(at[i], keys[i]), bytes_of(&e, values[i]), e.expires};
    if (a->want == SMTPF_STORE_FAILED)
      continue;
    before[i] = m->table[at[i]];
    if (is_fault(&m->table[at[i]], op, m->world.wall)) {
      a->want = SMTPF_STORE_FAILED;
      continue;
    }
    apply(&m->table[at[i]], op, &e, m->world.wall);
    made = i + 1;
  }
  while (a->want == SMTPF_STORE_FAILED && made-- > 0)
    m->table[at[made]] = before[made];
  WORLD_MUST(smtpf_driver_commit(m->world.driver, changes, n, committed, a) == SMTPF_OK);
  return n;
}

static void compare(model *m, size_t i)
{
  char key[SMTPF_RECORD_MAX], room[SMTPF_RECORD_MAX], want[SMTPF_RECORD_MAX];
  size_t n;
  const entry *e = &m->table[i];
  const int status = world_get(&m->world, key_of(i, key), room, &n);
  m->gets++;
  if (!is_live(e, m->world.wall)) {
    m->wrong += status != SMTPF_STORE_ABSENT;
    return;
  }
  const smtpf_str bytes = bytes_of(e, want);
  m->wrong += status != SMTPF_STORE_FOUND || n != bytes.n || memcmp(room, bytes.p, n) != 0;
}

/* ---- scans, time, restarts ------------------------------------------------------------------------ */

typedef struct scan {
  size_t answers, live;
  int status;
  char cursor[64];
  size_t n;
} scan;

static void found(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  scan *s = user;
  (void)records;
  s->answers++;
  s->status = status;
  s->live += n;
  s->n = cursor.n;
  if (cursor.n)
    memcpy(s->cursor, cursor.p, cursor.n);
}

/* Nothing changes meanwhile: as many records as are live. (A store may give one twice: then more.) */
static void compare_all(model *m)
{
  scan s = {.status = SMTPF_STORE_MORE};
  size_t live = 0;
  for (size_t i = 0; i < KEYS; i++) {
    live += (size_t)is_live(&m->table[i], m->world.wall);
    compare(m, i);
  }
  while (s.status == SMTPF_STORE_MORE) {
    const size_t before = s.answers;
    WORLD_MUST(smtpf_driver_scan(m->world.driver, (smtpf_str){s.cursor, s.n}, SCAN, found, &s) == SMTPF_OK);
    world_until(&m->world, &s.answers, before + 1);
  }
  m->wrong += s.status != SMTPF_STORE_DONE || s.live < live;
  m->scanned += s.live;
}

static void run(model *m, size_t operations)
{
  static asked asked_of[ROUND];
  for (size_t round = 0, made = 0; made < operations; round++) {
    const size_t before = m->done;
    for (size_t i = 0; i < ROUND; i++)
      made += commit_one(m, &asked_of[i]);
    world_until(&m->world, &m->done, before + ROUND);
    for (size_t i = 0; i < ROUND; i++, made++)
      compare(m, world_random(&m->state) % KEYS);
    m->world.wall += (int64_t)(world_random(&m->state) % 40);
    (void)smtpf_driver_process(m->world.driver); /* looks at the clock */
    if (round % RESTART == RESTART - 1) {
      compare_all(m);
      world_restart(&m->world);
      m->restarts++;
      if (m->forgets)
        memset(m->table, 0, sizeof m->table);
      compare_all(m);
    }
  }
  compare_all(m);
}

int main(int argc, char **argv)
{
  static model m;
  world_options options = {.n = 0};
  char folder[200] = "", path[256];
  if (argc < 2)
    world_die("model OPERATIONS [PATH=VALUE...]");
  const size_t operations = (size_t)strtoull(argv[1], NULL, 10);
  m.state = 4711;
  m.forgets = 1;
  for (int i = 2; i < argc && options.n < WORLD_OPTIONS; i++) {
    const char *text = argv[i];
    if (strcmp(text, "store.path=.") == 0) {
      world_folder(folder, sizeof folder);
      snprintf(path, sizeof path, "store.path=%s", folder);
      text = path;
    }
    m.forgets &= strncmp(text, "store.type=", 11) != 0 || strcmp(text, "store.type=memory") == 0;
    options.text[options.n++] = text;
  }
  world_open(&m.world, &options, 1700000000);
  run(&m, operations);
  world_close(&m.world);
  if (folder[0])
    world_remove(folder);
  printf(
      "{\"name\":\"greylist-model\",\"operations\":%zu,\"failed\":%zu,\"gets\":%zu,\"scanned\":%zu,\"restarts\":%zu}\n",
      operations, m.wrong, m.gets, m.scanned, m.restarts);
  return m.wrong != 0;
}
