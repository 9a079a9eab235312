/* SPDX-License-Identifier: MIT
 *
 * Scans: SCAN on one node after the other, then the records of the keys it gave. Redis may give more keys than were
 * asked for; those wait here as a rest, under a number that stands in the cursor. A rest that is gone (there are few)
 * or is another process's costs nothing but time: its SCAN is asked again, and some records come twice.
 *
 * The cursor: rank of the node, Redis's cursor, number of the rest, print of the map. When the map of a cluster has
 * changed since, slots may have gone from where we have not been to where we were: the scan fails, and must begin anew.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/store/change.h"
#include "redis.h"

enum { KEYS_MAX = 100000, CURSOR = 28 };

typedef struct cursor {
  uint64_t rank, redis, print;
  uint32_t rest;
} cursor;

struct smtpf_redis_rest {
  cursor from;   /* `rest` is its number */
  uint64_t next; /* Redis's cursor behind it */
  size_t n, at;  /* keys, and how many have been told */
  uint32_t *ends;
  char *bytes;
};

typedef struct found {
  smtpf_stored record; /* size 0: it is gone meanwhile */
  char *bytes;
} found;

struct smtpf_redis_scan {
  smtpf_redis_operation *operation;
  cursor from;
  size_t most;
  smtpf_redis_rest *rest;
  size_t n, left; /* records asked for, and not come */
  found *found;
};

/* ---- cursors ------------------------------------------------------------------------------------------ */

static void put(char *p, uint64_t v, size_t n)
{
  for (size_t i = 0; i < n; i++)
    p[i] = (char)(unsigned char)(v >> (8 * i));
}

static uint64_t take(const char *p, size_t n)
{
  uint64_t v = 0;
  while (n-- > 0)
    v = v << 8 | (unsigned char)p[n];
  return v;
}

static smtpf_str cursor_text(const cursor *c, char room[CURSOR])
{
  put(room, c->rank, 8);
  put(room + 8, c->redis, 8);
  put(room + 16, c->print, 8);
  put(room + 24, c->rest, 4);
  return (smtpf_str){room, CURSOR};
}

static cursor cursor_of(smtpf_str s)
{
  cursor c = {0};
  if (s.n == CURSOR)
    c = (cursor){take(s.p, 8), take(s.p + 8, 8), take(s.p + 16, 8), (uint32_t)take(s.p + 24, 4)};
  return c;
}

/* ---- rests -------------------------------------------------------------------------------------------- */

static void rest_free(smtpf_redis *s, smtpf_redis_rest *r)
{
  if (!r)
    return;
  smtpf_mem_free(s->mem, r->ends);
  smtpf_mem_free(s->mem, r->bytes);
  smtpf_mem_free(s->mem, r);
}

void smtpf_redis_rests_free(smtpf_redis *s)
{
  for (size_t i = 0; i < SMTPF_REDIS_RESTS; i++)
    rest_free(s, s->rests[i]);
}

/* The place of a rest by its number. */
static smtpf_redis_rest **place_of(smtpf_redis *s, uint32_t number)
{
  return &s->rests[number % SMTPF_REDIS_RESTS];
}

/* Takes it out; NULL when it is another's. */
static smtpf_redis_rest *rest_take(smtpf_redis *s, const cursor *c)
{
  smtpf_redis_rest **place = place_of(s, c->rest), *r = *place;
  if (!c->rest || !r || r->from.rest != c->rest || r->from.rank != c->rank || r->from.redis != c->redis ||
      r->from.print != c->print)
    return NULL;
  *place = NULL;
  return r;
}

/* Keeps it for the next call, in the place of the one that waits longest. */
static void rest_keep(smtpf_redis *s, smtpf_redis_rest *r)
{
  if (!++s->rest_count)
    s->rest_count = 1;
  r->from.rest = s->rest_count;
  smtpf_redis_rest **place = place_of(s, r->from.rest);
  rest_free(s, *place);
  *place = r;
}

static smtpf_str key_at(const smtpf_redis_rest *r, size_t i)
{
  const size_t begin = i ? r->ends[i - 1] : 0;
  return (smtpf_str){r->bytes + begin, r->ends[i] - begin};
}

/* The keys of one SCAN without the prefix; what is no key of ours is left out. NULL without memory. */
static smtpf_redis_rest *rest_new(smtpf_redis *s, const redisReply *keys)
{
  const smtpf_str prefix = s->settings.prefix;
  smtpf_redis_rest *r = smtpf_mem_zalloc(s->mem, sizeof *r);
  size_t bytes = 1, at = 0;
  for (size_t i = 0; i < keys->elements; i++)
    bytes += smtpf_redis_text(keys->element[i]).n;
  if (!r || bytes > UINT32_MAX || !(r->ends = smtpf_mem_alloc(s->mem, (keys->elements + 1) * sizeof *r->ends)) ||
      !(r->bytes = smtpf_mem_alloc(s->mem, bytes))) {
    rest_free(s, r);
    return NULL;
  }
  for (size_t i = 0; i < keys->elements; i++) {
    const smtpf_str key = smtpf_redis_text(keys->element[i]);
    if (!smtpf_str_starts(key, prefix) || !smtpf_key_legal((smtpf_str){key.p + prefix.n, key.n - prefix.n}))
      continue;
    memcpy(r->bytes + at, key.p + prefix.n, key.n - prefix.n);
    at += key.n - prefix.n;
    r->ends[r->n++] = (uint32_t)at;
  }
  return r;
}

/* ---- answers ------------------------------------------------------------------------------------------ */

void smtpf_redis_scan_free(smtpf_redis_operation *o)
{
  smtpf_redis_scan *c = o->scan;
  if (!c)
    return;
  for (size_t i = 0; c->found && i < c->n; i++)
    smtpf_mem_free(o->store->mem, c->found[i].bytes);
  smtpf_mem_free(o->store->mem, c->found);
  rest_free(o->store, c->rest);
  smtpf_mem_free(o->store->mem, c);
  o->scan = NULL;
}

static void fail(smtpf_redis_operation *o)
{
  smtpf_redis_finish(o, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
}

/* Where the next call goes on. 0 behind the last record. */
static int next_of(smtpf_redis *s, smtpf_redis_scan *c, cursor *out)
{
  smtpf_redis_rest *r = c->rest;
  *out = r->from;
  if (r->at < r->n) {
    rest_keep(s, r);
    c->rest = NULL;
    *out = r->from;
    return 1;
  }
  out->rest = 0;
  out->redis = r->next;
  if (out->redis)
    return 1;
  out->rank++;
  return s->settings.cluster && smtpf_redis_map_node(s, out->rank) != NULL;
}

/* All records are here. */
static void tell(smtpf_redis_operation *o)
{
  smtpf_redis *s = o->store;
  smtpf_redis_scan *c = o->scan;
  smtpf_stored records[SMTPF_SCAN_MAX];
  char room[CURSOR];
  cursor next;
  size_t n = 0;
  if (s->settings.cluster && c->from.print != s->map_print) {
    fail(o);
    return;
  }
  for (size_t i = 0; i < c->n; i++)
    if (c->found[i].record.size)
      records[n++] = c->found[i].record;
  const int more = next_of(s, c, &next);
  o->finished = 1;
  smtpf_list_remove(&o->in_running);
  smtpf_op_scan(s->driver, o->op, more ? SMTPF_STORE_MORE : SMTPF_STORE_DONE, records, n,
                more ? cursor_text(&next, room) : (smtpf_str){NULL, 0});
}

/* One record, its key and value copied. What is none of ours, or has expired, is left out. */
static int keep(smtpf_redis *s, found *f, smtpf_str key, smtpf_str bytes)
{
  smtpf_stored r = {.size = sizeof r};
  if (!bytes.p || smtpf_redis_record(bytes, &r) != SMTPF_OK ||
      smtpf_is_expired(r.expires, smtpf_driver_wall(s->driver)))
    return SMTPF_OK;
  f->bytes = smtpf_mem_alloc(s->mem, key.n + r.value.n);
  if (!f->bytes)
    return SMTPF_ENOMEM;
  memcpy(f->bytes, key.p, key.n);
  if (r.value.n)
    memcpy(f->bytes + key.n, r.value.p, r.value.n);
  r.key = (smtpf_str){f->bytes, key.n};
  r.value.p = f->bytes + key.n;
  f->record = r;
  return SMTPF_OK;
}

static void on_record(smtpf_redis_request *q, const redisReply *reply)
{
  smtpf_redis_operation *o = q->operation;
  smtpf_redis_scan *c = o->scan;
  const smtpf_str bytes = reply->type == REDIS_REPLY_STRING ? smtpf_redis_text(reply) : (smtpf_str){NULL, 0};
  if (keep(o->store, &c->found[q->place], key_at(c->rest, c->rest->at - c->n + q->place), bytes) != SMTPF_OK)
    fail(o);
  else if (--c->left == 0)
    tell(o);
}

/* Asks for the next records of the rest, all on the node that named them: a slot that has gone since fails the scan. */
static void fetch(smtpf_redis_operation *o)
{
  smtpf_redis *s = o->store;
  smtpf_redis_scan *c = o->scan;
  smtpf_redis_rest *r = c->rest;
  const size_t begin = r->at;
  c->n = r->n - r->at < c->most ? r->n - r->at : c->most;
  c->left = c->n;
  r->at += c->n;
  if (!c->n) {
    tell(o);
    return;
  }
  c->found = smtpf_mem_zalloc(s->mem, c->n * sizeof *c->found);
  for (size_t i = 0; i < c->n && !o->finished; i++) {
    const smtpf_str key = key_at(r, begin + i);
    smtpf_redis_request *q = c->found ? smtpf_redis_request_new(o, smtpf_redis_slot(s->settings.prefix, key)) : NULL;
    if (!q) {
      fail(o);
      return;
    }
    q->done = on_record;
    q->place = i;
    q->rank = (size_t)r->from.rank + 1;
    q->takes_errors = 1; /* of another type: none of ours */
    smtpf_redis_array(&q->bytes, 2);
    smtpf_redis_words(&q->bytes, "GET");
    smtpf_redis_key(&q->bytes, s->settings.prefix, key);
    smtpf_redis_dispatch(q);
  }
}

static void on_keys(smtpf_redis_request *q, const redisReply *reply)
{
  smtpf_redis_operation *o = q->operation;
  smtpf_redis_scan *c = o->scan;
  uint64_t next;
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY ||
      reply->element[1]->elements > KEYS_MAX ||
      smtpf_str_uint(smtpf_redis_text(reply->element[0]), UINT64_MAX, &next) != SMTPF_OK) {
    fail(o);
    return;
  }
  c->rest = rest_new(o->store, reply->element[1]);
  if (!c->rest) {
    fail(o);
    return;
  }
  if (!c->from.print)
    c->from.print = o->store->map_print; /* the first call of all */
  c->rest->from = c->from;
  c->rest->next = next;
  fetch(o);
}

/* ---- asking ------------------------------------------------------------------------------------------- */

/* `prefix*`, with what means something in a pattern made harmless. */
static void pattern(smtpf_redis_bytes *b, smtpf_str prefix)
{
  char room[2 * SMTPF_REDIS_PREFIX + 1];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  for (size_t i = 0; i < prefix.n; i++) {
    if (memchr("*?[]\\^-", prefix.p[i], 7))
      smtpf_out_char(&o, '\\');
    smtpf_out_char(&o, prefix.p[i]);
  }
  smtpf_out_char(&o, '*');
  smtpf_redis_bulk(b, smtpf_out_done(&o));
}

static int ask(smtpf_redis_operation *o)
{
  smtpf_redis *s = o->store;
  const smtpf_redis_scan *c = o->scan;
  smtpf_redis_request *q = smtpf_redis_request_new(o, 0);
  if (!q)
    return SMTPF_ENOMEM;
  q->done = on_keys;
  q->rank = (size_t)c->from.rank + 1;
  smtpf_redis_array(&q->bytes, 6);
  smtpf_redis_words(&q->bytes, "SCAN");
  smtpf_redis_number(&q->bytes, c->from.redis);
  smtpf_redis_words(&q->bytes, "MATCH");
  pattern(&q->bytes, s->settings.prefix);
  smtpf_redis_words(&q->bytes, "COUNT");
  smtpf_redis_number(&q->bytes, c->most);
  smtpf_redis_dispatch(q);
  return SMTPF_OK;
}

int smtpf_redis_scan_start(smtpf_redis *s, smtpf_op op, smtpf_str text, size_t most)
{
  if (!most || (text.n && text.n != CURSOR))
    return SMTPF_EINVAL;
  const cursor from = cursor_of(text);
  if (from.print && s->settings.cluster && s->has_map && from.print != s->map_print)
    return SMTPF_ENOTFOUND;
  smtpf_redis_operation *o = smtpf_redis_begin(s, op);
  if (!o)
    return SMTPF_ELIMIT;
  o->scan = smtpf_mem_zalloc(s->mem, sizeof *o->scan);
  if (!o->scan) {
    o->finished = 1;
    smtpf_list_remove(&o->in_running);
    smtpf_redis_release(o);
    return SMTPF_ENOMEM;
  }
  o->scan->operation = o;
  o->scan->from = from;
  o->scan->most = most < SMTPF_SCAN_MAX ? most : SMTPF_SCAN_MAX;
  o->scan->rest = rest_take(s, &from);
  if (o->scan->rest)
    fetch(o);
  else if (ask(o) != SMTPF_OK)
    fail(o);
  smtpf_redis_release(o);
  return SMTPF_OK;
}
