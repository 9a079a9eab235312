/* SPDX-License-Identifier: MIT
 *
 * options-table: the options of the library, its checks and the host programs, for smtpfilter.conf(5).
 *
 *     options-table roff     a section of a manual page
 *     options-table tsv      path, type, default, least, greatest; for tests
 */
#include <inttypes.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <string.h>

#include "common/host_options.h"

struct table {
  char group[64]; /* of the row before */
};

static int is(const char *a, const char *b)
{
  return strcmp(a, b) == 0;
}

/* A number of a row in the words of the policy file. */
static void number(const char *type, int64_t v)
{
  static const struct unit {
    const char *type, *name;
    int64_t size;
  } units[] = {{"time", "d", 86400000}, {"time", "h", 3600000},   {"time", "m", 60000},   {"time", "s", 1000},
               {"time", "ms", 1},       {"size", "g", 1LL << 30}, {"size", "m", 1 << 20}, {"size", "k", 1 << 10}};
  if (is(type, "score")) {
    printf("%" PRId64 "%s", v / 1000, v % 1000 ? "." : "");
    if (v % 1000)
      printf("%03d", (int)(v < 0 ? -(v % 1000) : v % 1000));
    return;
  }
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
    if (v != 0 && is(type, units[i].type) && v % units[i].size == 0) {
      printf("%" PRId64 "%s", v / units[i].size, units[i].name);
      return;
    }
  printf("%" PRId64, v);
}

static int bounded(const char *type)
{
  return is(type, "int") || is(type, "time") || is(type, "size") || is(type, "score");
}

/* Text for roff: a backslash, a hyphen, a leading dot or quote mean something there; `x` is set in bold. */
static void roff(const char *s)
{
  int bold = 0;
  for (const char *p = s; *p; p++) {
    if (*p == '`') {
      fputs((bold = !bold) ? "\\fB" : "\\fR", stdout);
    } else if (*p == '\\') {
      fputs("\\e", stdout);
    } else if (*p == '-') {
      fputs("\\-", stdout);
    } else if ((*p == '.' || *p == '\'') && (p == s || p[-1] == '\n')) {
      printf("\\&%c", *p);
    } else {
      putchar(*p);
    }
  }
}

static void roff_row(void *user, const smtpf_option_info *row)
{
  struct table *t = user;
  size_t n = strcspn(row->path, ".[");
  if (strlen(t->group) != n || strncmp(t->group, row->path, n) != 0) {
    snprintf(t->group, sizeof t->group, "%.*s", (int)n, row->path);
    printf(".SS %s\n", t->group);
  }
  printf(".TP\n.B ");
  roff(row->path);
  printf("\n.I ");
  roff(row->type);
  if (row->deflt && *row->deflt) {
    printf("\n(default ");
    roff(row->deflt);
    printf(")");
  }
  if (bounded(row->type) && row->min < row->max) {
    printf("\n[");
    number(row->type, row->min);
    printf(" .. ");
    if (row->max < INT32_MAX || !is(row->type, "score"))
      number(row->type, row->max);
    printf("]");
  }
  printf("\n.br\n");
  roff(row->doc);
  putchar('\n');
}

static void tsv_row(void *user, const smtpf_option_info *row)
{
  (void)user;
  printf("%s\t%s\t%s\t%" PRId64 "\t%" PRId64 "\n", row->path, row->type, row->deflt ? row->deflt : "", row->min,
         row->max);
}

int main(int argc, char **argv)
{
  struct table t = {""};
  smtpf_config *cfg;
  if (argc != 2 || (!is(argv[1], "roff") && !is(argv[1], "tsv"))) {
    fprintf(stderr, "usage: options-table roff|tsv\n");
    return 2;
  }
  if (smtpf_config_new(&cfg, NULL) != SMTPF_OK)
    return 1;
  if (host_options_add(cfg) != SMTPF_OK)
    return 1;
  smtpf_config_each_option(cfg, is(argv[1], "roff") ? roff_row : tsv_row, &t);
  smtpf_config_free(cfg);
  return 0;
}
