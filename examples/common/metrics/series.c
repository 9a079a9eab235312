/* SPDX-License-Identifier: MIT */
#include "series.h"

#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 80, LABELS_MAX = METRICS_LABELS * (2 * LABEL_MAX + 32) };

const series_family series_families[METRICS_FAMILY_COUNT] = {
#define SERIES_ROW(id, name, type, unit, join, a, b, c, help)                                                          \
  [METRICS_##id] = {name, SERIES_##type, unit, SERIES_##join, {a, b, c}, help},
    METRICS_FAMILIES(SERIES_ROW)
#undef SERIES_ROW
};

const uint64_t series_bounds[METRICS_BUCKETS - 1] = {1000,    5000,    10000,    50000,    100000,  500000,
                                                     1000000, 5000000, 10000000, 30000000, 60000000};

void series_free(series_table *t)
{
  for (size_t i = 0; i < t->n; i++)
    free(t->v[i].labels);
  free(t->v);
  free(t->slot);
  *t = (series_table){0};
}

/* ---- labels -------------------------------------------------------------------------------------------- */

/* A value as it stands between its quotes: what is not printable ASCII becomes `?`. */
static size_t write_value(char *out, smtpf_str value)
{
  size_t n = 0;
  for (size_t i = 0; i < value.n && i < LABEL_MAX; i++) {
    const char c = value.p[i];
    if (c == '"' || c == '\\')
      out[n++] = '\\';
    out[n++] = c < ' ' || c > '~' ? '?' : c;
  }
  return n;
}

static size_t write_labels(char *out, int family, const smtpf_str label[METRICS_LABELS])
{
  const series_family *f = &series_families[family];
  size_t n = 0;
  for (size_t i = 0; i < METRICS_LABELS && f->label[i]; i++) {
    const size_t name = strlen(f->label[i]);
    if (i)
      out[n++] = ',';
    memcpy(out + n, f->label[i], name);
    n += name;
    out[n++] = '=';
    out[n++] = '"';
    n += write_value(out + n, label[i]);
    out[n++] = '"';
  }
  out[n] = 0;
  return n;
}

static uint64_t hash_of(int family, const char *labels)
{
  uint64_t h = 0xcbf29ce484222325U ^ (uint64_t)family; /* FNV-1a */
  for (; *labels; labels++)
    h = (h ^ (unsigned char)*labels) * 0x100000001b3U;
  return h;
}

/* ---- the table --------------------------------------------------------------------------------------------- */

static int same(const series *s, int family, uint64_t hash, const char *labels)
{
  return s->hash == hash && s->family == family && !strcmp(s->labels, labels);
}

static series *find(const series_table *t, int family, uint64_t hash, const char *labels)
{
  for (size_t i = hash; t->slots && t->slot[i & (t->slots - 1)]; i++) {
    series *s = &t->v[t->slot[i & (t->slots - 1)] - 1];
    if (same(s, family, hash, labels))
      return s;
  }
  return NULL;
}

static void enter(series_table *t, size_t index)
{
  size_t i = t->v[index].hash;
  while (t->slot[i & (t->slots - 1)])
    i++;
  t->slot[i & (t->slots - 1)] = (uint32_t)index + 1;
}

static int grow(series_table *t)
{
  if (t->n < t->cap)
    return 1;
  const size_t cap = t->cap ? t->cap * 2 : 64;
  uint32_t *slot = calloc(cap * 2, sizeof *slot);
  series *v = slot ? realloc(t->v, cap * sizeof *v) : NULL;
  if (!v) {
    free(slot);
    return 0;
  }
  free(t->slot);
  t->v = v;
  t->cap = cap;
  t->slot = slot;
  t->slots = cap * 2;
  for (size_t i = 0; i < t->n; i++)
    enter(t, i);
  return 1;
}

static series *made(series_table *t, int family, uint64_t hash, const char *labels)
{
  char *kept = grow(t) ? strdup(labels) : NULL;
  if (!kept)
    return NULL;
  t->v[t->n] = (series){.family = family, .labels = kept, .hash = hash};
  enter(t, t->n);
  t->of[family]++;
  return &t->v[t->n++];
}

static series *by_labels(series_table *t, int family, const char *labels)
{
  const uint64_t hash = hash_of(family, labels);
  series *s = find(t, family, hash, labels);
  return s ? s : t->of[family] < METRICS_SERIES ? made(t, family, hash, labels) : NULL;
}

void series_drop(series_table *t, int family)
{
  size_t n = 0;
  if (!t->of[family])
    return;
  for (size_t i = 0; i < t->n; i++)
    if (t->v[i].family == family)
      free(t->v[i].labels);
    else
      t->v[n++] = t->v[i];
  t->n = n;
  t->of[family] = 0;
  memset(t->slot, 0, t->slots * sizeof *t->slot);
  for (size_t i = 0; i < n; i++)
    enter(t, i);
}

/* What has no room of its own. */
static series *other(series_table *t, int family)
{
  char room[LABELS_MAX];
  static const smtpf_str word[METRICS_LABELS] = {{"other", 5}, {"other", 5}, {"other", 5}};
  write_labels(room, family, word);
  const uint64_t hash = hash_of(family, room);
  series *s = find(t, family, hash, room);
  return s ? s : made(t, family, hash, room);
}

series *series_of(series_table *t, int family, const smtpf_str label[METRICS_LABELS])
{
  char room[LABELS_MAX];
  write_labels(room, family, label);
  series *s = by_labels(t, family, room);
  return s ? s : other(t, family);
}

int series_join(series_table *to, const series_table *from)
{
  for (size_t i = 0; i < from->n; i++) {
    const series *add = &from->v[i];
    series *s = by_labels(to, add->family, add->labels);
    if (!s)
      s = other(to, add->family);
    if (!s)
      return 0;
    if (series_families[add->family].join == SERIES_SUM)
      s->value += add->value;
    else if (s->value < add->value)
      s->value = add->value;
    for (size_t k = 0; k < METRICS_BUCKETS; k++)
      s->bucket[k] += add->bucket[k];
  }
  return 1;
}

static int before(const void *a, const void *b)
{
  const series *x = a, *y = b;
  return x->family != y->family ? (x->family > y->family) - (x->family < y->family) : strcmp(x->labels, y->labels);
}

void series_sort(series_table *t)
{
  if (t->n)
    qsort(t->v, t->n, sizeof *t->v, before);
  free(t->slot); /* it is only read from now on */
  t->slot = NULL;
  t->slots = t->cap = 0;
}

void series_observe(series *s, uint64_t microseconds)
{
  size_t k = 0;
  while (k < METRICS_BUCKETS - 1 && microseconds > series_bounds[k])
    k++;
  s->bucket[k]++;
  s->value += microseconds;
}
