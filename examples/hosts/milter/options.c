/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings.h"

enum { LISTEN = 256, SET, PID_FILE, READY_FD, THREADS, CHECK, EXPLAIN, LOG, HELP, VERSION };

static const struct option known[] = {
    {"config", required_argument, NULL, 'c'},        {"listen", required_argument, NULL, LISTEN},
    {"set", required_argument, NULL, SET},           {"threads", required_argument, NULL, THREADS},
    {"pid-file", required_argument, NULL, PID_FILE}, {"ready-fd", required_argument, NULL, READY_FD},
    {"log", required_argument, NULL, LOG},           {"check", no_argument, NULL, CHECK},
    {"explain", no_argument, NULL, EXPLAIN},         {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},         {NULL, 0, NULL, 0}};

static const char usage[] = "usage: smtpf-milter [-c POLICY] [--listen ADDRESS:PORT|unix:/PATH]... [--threads N]\n"
                            "                    [--set PATH=VALUE]... [--log text|json] [--explain] [--check]\n"
                            "                    [--pid-file FILE] [--ready-fd N] [--help] [--version]\n";

static int wrong(const char *what, const char *value, const char *expected)
{
  fprintf(stderr, "smtpf-milter: %s %s: expected %s\n", what, value, expected);
  return EXIT_FAILURE;
}

/* A whole number from `min` to `max`, or -1. */
static int whole(const char *s, int min, int max)
{
  int v = 0;
  if (!*s)
    return -1;
  for (; *s; s++) {
    if (*s < '0' || *s > '9' || v > max / 10)
      return -1;
    v = v * 10 + (*s - '0');
  }
  return v >= min && v <= max ? v : -1;
}

static int add_set(arguments *a, const char *value)
{
  const char **p = realloc(a->set, (a->sets + 1) * sizeof *p);
  if (!p)
    return wrong("--set", value, "memory");
  a->set = p;
  a->set[a->sets++] = value;
  return -1;
}

static int take(arguments *a, int option, const char *value)
{
  switch (option) {
  case 'c': a->policy = value; return -1;
  case LISTEN:
    if (a->listens == MILTER_LISTEN_MAX)
      return wrong("--listen", value, "at most 16 addresses");
    a->listen[a->listens++] = value;
    return -1;
  case SET: return add_set(a, value);
  case PID_FILE: a->pid_file = value; return -1;
  case READY_FD: return (a->ready_fd = whole(value, 0, 1 << 20)) < 0 ? wrong("--ready-fd", value, "a descriptor") : -1;
  case THREADS: return (a->threads = whole(value, 1, 256)) < 0 ? wrong("--threads", value, "1 to 256") : -1;
  case LOG:
    a->log = value;
    return strcmp(value, "text") && strcmp(value, "json") ? wrong("--log", value, "text or json") : -1;
  case CHECK: a->check = 1; return -1;
  case EXPLAIN: a->explain = 1; return -1;
  case HELP: fputs(usage, stdout); return EXIT_SUCCESS;
  case VERSION: printf("smtpf-milter %s\n", smtpf_version()); return EXIT_SUCCESS;
  default: fputs(usage, stderr); return EXIT_FAILURE;
  }
}

int options_read(arguments *a, int argc, char **argv)
{
  int option;
  *a = (arguments){.ready_fd = -1};
  while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
    const int status = take(a, option, optarg);
    if (status >= 0)
      return status;
  }
  if (optind < argc)
    return wrong("argument", argv[optind], "none; see --help");
  return -1;
}

void options_free(arguments *a)
{
  free(a->set);
}
