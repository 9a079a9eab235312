/* SPDX-License-Identifier: MIT
 *
 * Records that merge. Bytes are looked at as a whole before anything in them is believed: a record has one form, so
 * that a join with itself gives the same bytes. Joining is a walk over both at once, by ascending id.
 *
 * Why the order of joining does not matter: for each id the fields are ordered by `how` first, and the least one wins;
 * among equals of one `how` it is a minimum, a maximum, or a maximum for each node.
 */
#include <smtpfilter/ext/record.h>

#include <string.h>

#include "str.h"

enum {
  HEAD = 4,          /* bytes before the first field */
  FIELD = 4,         /* bytes before a field's value */
  NUMBER = 8,        /* bytes of a number */
  PAIR = 2 * NUMBER, /* node and number */
  MAGIC = 'J',
  VERSION = 1,
  BYTE_MAX = 255,
};

/* ---- numbers -------------------------------------------------------------------------------------- */

static unsigned byte_at(const char *p)
{
  return (unsigned char)*p;
}

static uint64_t read_number(const char *p)
{
  uint64_t low = 0, high = 0; /* written out, compilers see a load */
  low = byte_at(p) | byte_at(p + 1) << 8 | byte_at(p + 2) << 16 | (uint64_t)byte_at(p + 3) << 24;
  high = byte_at(p + 4) | byte_at(p + 5) << 8 | byte_at(p + 6) << 16 | (uint64_t)byte_at(p + 7) << 24;
  return high << 32 | low;
}

static void write_number(char *p, uint64_t v)
{
  for (size_t i = 0; i < NUMBER; i++)
    p[i] = (char)(unsigned char)(v >> (8 * i));
}

/* ---- reading -------------------------------------------------------------------------------------- */

typedef struct field {
  int id; /* 0 behind the last one: no field has it */
  int how;
  smtpf_str value;
  smtpf_str whole; /* with its head */
} field;

static int is_value(int how, smtpf_str v)
{
  if (how == SMTPF_JOIN_MIN || how == SMTPF_JOIN_MAX)
    return v.n == NUMBER;
  if (how == SMTPF_JOIN_TEXT)
    return 1;
  if (how != SMTPF_JOIN_NODES || v.n == 0 || v.n % PAIR != 0)
    return 0;
  for (size_t at = PAIR; at < v.n; at += PAIR)
    if (read_number(v.p + at) <= read_number(v.p + at - PAIR))
      return 0;
  return 1;
}

/* Takes the next field off *rest. 0 when the bytes are none. */
static int take(smtpf_str *rest, field *f)
{
  if (rest->n < FIELD)
    return 0;
  const size_t n = byte_at(rest->p + 2) | (size_t)byte_at(rest->p + 3) << 8;
  if (n > rest->n - FIELD)
    return 0;
  *f = (field){(int)byte_at(rest->p), (int)byte_at(rest->p + 1), {rest->p + FIELD, n}, {rest->p, FIELD + n}};
  *rest = (smtpf_str){rest->p + f->whole.n, rest->n - f->whole.n};
  return 1;
}

/* The kind of a record, and its field of an id where it has one; 0 for what is none. */
static int look(smtpf_str r, int id, field *found)
{
  if (r.n < HEAD || r.n > SMTPF_RECORD_MAX || r.p[0] != MAGIC || r.p[1] != VERSION)
    return 0;
  smtpf_str rest = {r.p + HEAD, r.n - HEAD};
  int last = 0;
  for (unsigned left = byte_at(r.p + 3); left > 0; left--) {
    field f;
    if (!take(&rest, &f) || f.id <= last || !is_value(f.how, f.value))
      return 0;
    last = f.id;
    if (f.id == id)
      *found = f;
  }
  return rest.n == 0 ? (int)byte_at(r.p + 2) : 0;
}

int smtpf_record_kind(smtpf_str r)
{
  field none;
  return look(r, 0, &none);
}

/* The fields of a record that is known to be one. */
static smtpf_str fields_of(smtpf_str r)
{
  return (smtpf_str){r.p + HEAD, r.n - HEAD};
}

static field next_of(smtpf_str *rest)
{
  field f = {0};
  (void)take(rest, &f);
  return f;
}

static field find(smtpf_str record, int id)
{
  field f = {0};
  return look(record, id, &f) ? f : (field){0};
}

int smtpf_record_read(smtpf_str record, int id, int64_t *out)
{
  const field f = find(record, id);
  if (f.how != SMTPF_JOIN_MIN && f.how != SMTPF_JOIN_MAX)
    return SMTPF_ENOTFOUND;
  *out = (int64_t)read_number(f.value.p);
  return SMTPF_OK;
}

static int64_t add(int64_t a, int64_t b)
{
  if (b > 0 && a > INT64_MAX - b)
    return INT64_MAX;
  if (b < 0 && a < INT64_MIN - b)
    return INT64_MIN;
  return a + b;
}

int64_t smtpf_record_total(smtpf_str record, int id)
{
  const field f = find(record, id);
  int64_t sum = 0;
  for (size_t at = 0; f.how == SMTPF_JOIN_NODES && at < f.value.n; at += PAIR)
    sum = add(sum, (int64_t)read_number(f.value.p + at + NUMBER));
  return sum;
}

int64_t smtpf_record_of_node(smtpf_str record, int id, uint64_t node)
{
  const field f = find(record, id);
  for (size_t at = 0; f.how == SMTPF_JOIN_NODES && at < f.value.n; at += PAIR)
    if (read_number(f.value.p + at) == node)
      return (int64_t)read_number(f.value.p + at + NUMBER);
  return 0;
}

smtpf_str smtpf_record_read_text(smtpf_str record, int id)
{
  const field f = find(record, id);
  return f.how == SMTPF_JOIN_TEXT ? f.value : (smtpf_str){NULL, 0};
}

/* ---- writing -------------------------------------------------------------------------------------- */

void smtpf_record_begin(smtpf_record *r, char *room, size_t cap, int kind)
{
  *r = (smtpf_record){room, 0, cap < SMTPF_RECORD_MAX ? cap : SMTPF_RECORD_MAX, 0};
  if (r->cap < HEAD || kind < 1 || kind > BYTE_MAX) {
    r->broken = 1;
    return;
  }
  room[0] = MAGIC;
  room[1] = VERSION;
  room[2] = (char)(unsigned char)kind;
  room[3] = 0;
  r->n = HEAD;
}

/* The field written last; id 0 without any. */
static field last_of(const smtpf_record *r)
{
  field last = {0};
  if (r->n < HEAD)
    return last;
  smtpf_str rest = fields_of((smtpf_str){r->p, r->n});
  for (field f = next_of(&rest); f.id; f = next_of(&rest))
    last = f;
  return last;
}

/* Where to write n more bytes, NULL when they do not fit. */
static char *extend(smtpf_record *r, size_t n)
{
  if (r->broken || n > r->cap - r->n) {
    r->broken = 1;
    return NULL;
  }
  char *at = r->p + r->n;
  r->n += n;
  return at;
}

static void set_length(char *head, size_t n)
{
  head[2] = (char)(unsigned char)n;
  head[3] = (char)(unsigned char)(n >> 8);
}

/* A new field with room for n bytes of value; NULL when it does not fit or is out of order. */
static char *begin_field(smtpf_record *r, int id, int how, size_t n)
{
  if (id < 1 || id > BYTE_MAX || id <= last_of(r).id)
    r->broken = 1;
  char *at = n <= SMTPF_RECORD_MAX ? extend(r, FIELD + n) : NULL;
  if (!at) {
    r->broken = 1;
    return NULL;
  }
  at[0] = (char)(unsigned char)id;
  at[1] = (char)how;
  set_length(at, n);
  r->p[3] = (char)(unsigned char)(byte_at(r->p + 3) + 1);
  return at + FIELD;
}

void smtpf_record_number(smtpf_record *r, int id, int how, int64_t value)
{
  if (how != SMTPF_JOIN_MIN && how != SMTPF_JOIN_MAX)
    r->broken = 1;
  char *at = begin_field(r, id, how, NUMBER);
  if (at)
    write_number(at, (uint64_t)value);
}

void smtpf_record_count(smtpf_record *r, int id, uint64_t node, int64_t value)
{
  const field last = last_of(r);
  char *at;
  if (!last.id || last.id != id || last.how != SMTPF_JOIN_NODES) {
    at = begin_field(r, id, SMTPF_JOIN_NODES, PAIR);
  } else {
    if (read_number(last.value.p + last.value.n - PAIR) >= node)
      r->broken = 1;
    at = extend(r, PAIR);
    if (at)
      set_length(r->p + (last.whole.p - r->p), last.value.n + PAIR);
  }
  if (!at)
    return;
  write_number(at, node);
  write_number(at + NUMBER, (uint64_t)value);
}

void smtpf_record_text(smtpf_record *r, int id, smtpf_str text)
{
  char *at = begin_field(r, id, SMTPF_JOIN_TEXT, text.n);
  if (at && text.n)
    memcpy(at, text.p, text.n);
}

int smtpf_record_end(smtpf_record *r, smtpf_str *out)
{
  if (r->broken)
    return SMTPF_ELIMIT;
  *out = (smtpf_str){r->p, r->n};
  return SMTPF_OK;
}

/* ---- joining -------------------------------------------------------------------------------------- */

static void write_field(smtpf_record *r, const field *f)
{
  char *at = begin_field(r, f->id, f->how, f->value.n);
  if (at && f->value.n)
    memcpy(at, f->value.p, f->value.n);
}

static void join_nodes(smtpf_record *r, const field *a, const field *b)
{
  const smtpf_str x = a->value, y = b->value;
  for (size_t i = 0, j = 0; i < x.n || j < y.n;) {
    const uint64_t nx = i < x.n ? read_number(x.p + i) : UINT64_MAX;
    const uint64_t ny = j < y.n ? read_number(y.p + j) : UINT64_MAX;
    const int has_x = i < x.n && (j >= y.n || nx <= ny), has_y = j < y.n && (i >= x.n || ny <= nx);
    const int64_t vx = has_x ? (int64_t)read_number(x.p + i + NUMBER) : INT64_MIN;
    const int64_t vy = has_y ? (int64_t)read_number(y.p + j + NUMBER) : INT64_MIN;
    smtpf_record_count(r, a->id, has_x ? nx : ny, vx > vy ? vx : vy);
    i += has_x ? PAIR : 0;
    j += has_y ? PAIR : 0;
  }
}

/* Two fields of one id. */
static void join_field(smtpf_record *r, const field *a, const field *b)
{
  if (a->how != b->how) {
    write_field(r, a->how < b->how ? a : b);
  } else if (a->how == SMTPF_JOIN_NODES) {
    join_nodes(r, a, b);
  } else if (a->how == SMTPF_JOIN_TEXT) {
    write_field(r, smtpf_str_compare(a->value, b->value) <= 0 ? a : b);
  } else {
    const int64_t x = (int64_t)read_number(a->value.p), y = (int64_t)read_number(b->value.p);
    write_field(r, (a->how == SMTPF_JOIN_MIN) == (x < y) ? a : b);
  }
}

int smtpf_record_join(smtpf_str a, smtpf_str b, char *room, size_t cap, smtpf_str *out)
{
  const int kind = smtpf_record_kind(a);
  smtpf_record r;
  if (!kind || smtpf_record_kind(b) != kind)
    return SMTPF_EINVAL;
  smtpf_record_begin(&r, room, cap, kind);
  smtpf_str rest_a = fields_of(a), rest_b = fields_of(b);
  field x = next_of(&rest_a), y = next_of(&rest_b);
  while (x.id || y.id) {
    if (x.id == y.id) {
      join_field(&r, &x, &y);
      x = next_of(&rest_a);
      y = next_of(&rest_b);
    } else if (x.id && (!y.id || x.id < y.id)) {
      write_field(&r, &x);
      x = next_of(&rest_a);
    } else {
      write_field(&r, &y);
      y = next_of(&rest_b);
    }
  }
  return smtpf_record_end(&r, out);
}
