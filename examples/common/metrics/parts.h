/* SPDX-License-Identifier: MIT
 *
 * parts: what the files of metrics say to each other.
 */
#ifndef COMMON_METRICS_PARTS_H
#define COMMON_METRICS_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "../text.h"
#include "series.h"

enum { METRICS_PARTS_MAX = 260 };

struct metrics_part {
  metrics *metrics;
  pthread_mutex_t lock; /* of all below */
  smtpf_driver *driver; /* NULL: it has left */
  series_table table;
  atomic_int wanted;
};

struct metrics {
  const char *program;
  int64_t started_s; /* wall time */
  metrics_part *part[METRICS_PARTS_MAX];
  size_t n;
  pthread_mutex_t lock; /* of `part`, and of `missing` */
  pthread_cond_t answered;
  int missing; /* parts that have not answered */

  int fd, stop; /* the socket, and an eventfd that ends the thread */
  char path[108];
  pthread_t thread;
  int running;
};

/* metrics.c: what all parts have, which are asked first. 0 without memory. */
int metrics_gather(metrics *m, series_table *out);
/* expose.c: the text. */
void metrics_expose(const metrics *m, const series_table *t, text *out);

#endif
