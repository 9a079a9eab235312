/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "parts.h"

#define PREFIX "smtpfilter_"

static const char *const types[] = {
    [SERIES_COUNTER] = "counter", [SERIES_GAUGE] = "gauge", [SERIES_HISTOGRAM] = "histogram"};

static void head(text *out, const char *name, const char *type, const char *unit, const char *help)
{
  text_cstr(out, "# TYPE " PREFIX);
  text_cstr(out, name);
  text_char(out, ' ');
  text_cstr(out, type);
  if (unit) {
    text_cstr(out, "\n# UNIT " PREFIX);
    text_cstr(out, name);
    text_char(out, ' ');
    text_cstr(out, unit);
  }
  text_cstr(out, "\n# HELP " PREFIX);
  text_cstr(out, name);
  text_char(out, ' ');
  text_cstr(out, help);
  text_cstr(out, ".\n");
}

/* Microseconds as seconds. */
static void seconds(text *out, uint64_t us)
{
  char room[40];
  const int n = snprintf(room, sizeof room, "%llu.%06llu", (unsigned long long)(us / 1000000),
                         (unsigned long long)(us % 1000000));
  text_add(out, (smtpf_str){room, (size_t)n});
}

/* `name{labels,more} `, each where there is one. */
static void sample(text *out, const char *name, const char *suffix, const char *labels, const char *more)
{
  text_cstr(out, PREFIX);
  text_cstr(out, name);
  text_cstr(out, suffix);
  if (*labels || *more) {
    text_char(out, '{');
    text_cstr(out, labels);
    if (*labels && *more)
      text_char(out, ',');
    text_cstr(out, more);
    text_char(out, '}');
  }
  text_char(out, ' ');
}

static void histogram(text *out, const series_family *f, const series *s)
{
  uint64_t so_far = 0;
  for (size_t k = 0; k < METRICS_BUCKETS; k++) {
    char bound[40] = "le=\"+Inf\"";
    if (k < METRICS_BUCKETS - 1)
      snprintf(bound, sizeof bound, "le=\"%llu.%03llu\"", (unsigned long long)(series_bounds[k] / 1000000),
               (unsigned long long)(series_bounds[k] / 1000 % 1000));
    so_far += s->bucket[k];
    sample(out, f->name, "_bucket", s->labels, bound);
    text_int(out, (int64_t)so_far);
    text_char(out, '\n');
  }
  sample(out, f->name, "_sum", s->labels, "");
  seconds(out, s->value);
  text_char(out, '\n');
  sample(out, f->name, "_count", s->labels, "");
  text_int(out, (int64_t)so_far);
  text_char(out, '\n');
}

static void one(text *out, const series_family *f, const series *s)
{
  if (f->type == SERIES_HISTOGRAM) {
    histogram(out, f, s);
    return;
  }
  sample(out, f->name, f->type == SERIES_COUNTER ? "_total" : "", s->labels, "");
  if (f->unit && f->unit[0] == 's')
    seconds(out, s->value);
  else
    text_int(out, (int64_t)s->value);
  text_char(out, '\n');
}

/* The second number of /proc/self/statm; 0 where there is none. */
static int64_t resident_pages(void)
{
  char line[128] = "";
  int64_t pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  const char *p = f && fgets(line, sizeof line, f) ? strchr(line, ' ') : NULL;
  for (p = p ? p + 1 : ""; *p >= '0' && *p <= '9'; p++)
    pages = pages * 10 + (*p - '0');
  if (f)
    fclose(f);
  return pages;
}

static void of_the_process(const metrics *m, text *out)
{
  head(out, "build", "info", NULL, "The program and its version");
  text_cstr(out, PREFIX "build_info{program=\"");
  text_cstr(out, m->program);
  text_cstr(out, "\",version=\"");
  text_cstr(out, smtpf_version());
  text_cstr(out, "\"} 1\n");
  head(out, "start_time_seconds", "gauge", "seconds", "When the program was started, as seconds since 1970");
  text_cstr(out, PREFIX "start_time_seconds ");
  text_int(out, m->started_s);
  text_char(out, '\n');
  const int64_t pages = resident_pages();
  if (!pages)
    return;
  head(out, "resident_memory_bytes", "gauge", "bytes", "Memory that the program has in use");
  text_cstr(out, PREFIX "resident_memory_bytes ");
  text_int(out, pages * sysconf(_SC_PAGESIZE));
  text_char(out, '\n');
}

void metrics_expose(const metrics *m, const series_table *t, text *out)
{
  of_the_process(m, out);
  for (size_t i = 0; i < t->n; i++) {
    const series *s = &t->v[i];
    const series_family *f = &series_families[s->family];
    if (!i || t->v[i - 1].family != s->family)
      head(out, f->name, types[f->type], f->unit, f->help);
    one(out, f, s);
  }
  text_cstr(out, "# EOF\n");
}
