/* SPDX-License-Identifier: MIT
 *
 * series: numbers by family and labels. A table has at most METRICS_SERIES of each family: what comes beyond them is
 * counted under `other`. Between the files of metrics.
 */
#ifndef COMMON_METRICS_SERIES_H
#define COMMON_METRICS_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "metrics.h"

enum { SERIES_COUNTER, SERIES_GAUGE, SERIES_HISTOGRAM };
enum { SERIES_SUM, SERIES_MOST };

typedef struct series_family {
  const char *name; /* without the prefix that all have, without `_total` */
  int type;
  const char *unit;
  int join;
  const char *label[METRICS_LABELS];
  const char *help;
} series_family;

extern const series_family series_families[METRICS_FAMILY_COUNT];
/* Upper bounds of a histogram's buckets, in microseconds; the last one is without end. */
extern const uint64_t series_bounds[METRICS_BUCKETS - 1];

typedef struct series {
  int family;
  char *labels; /* `check="virus",kind="hit"`, as they stand in the text */
  uint64_t hash;
  uint64_t value; /* of seconds: in microseconds. Of a histogram: the sum */
  uint64_t bucket[METRICS_BUCKETS];
} series;

typedef struct series_table {
  series *v;
  size_t n, cap;
  uint32_t *slot; /* by hash: index + 1 */
  size_t slots;
  size_t of[METRICS_FAMILY_COUNT]; /* how many of each */
} series_table;

void series_free(series_table *t);
/* The one with these labels, made when there is none. NULL without memory. */
series *series_of(series_table *t, int family, const smtpf_str label[METRICS_LABELS]);
/* Takes a family away. */
void series_drop(series_table *t, int family);
/* All of `from` into `to`, as their families are joined. 0 without memory. */
int series_join(series_table *to, const series_table *from);
/* In the order of families and labels. */
void series_sort(series_table *t);
/* One measured time. */
void series_observe(series *s, uint64_t microseconds);

#endif
