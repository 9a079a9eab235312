/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

enum { LISTEN = 256, SET, PID_FILE, READY_FD, THREADS, CHECK, EXPLAIN, LOG, HELP, VERSION, OWN };
enum { OWN_MAX = 24 };

static const struct option common[] = {
    {"config", required_argument, NULL, 'c'},        {"listen", required_argument, NULL, LISTEN},
    {"set", required_argument, NULL, SET},           {"threads", required_argument, NULL, THREADS},
    {"pid-file", required_argument, NULL, PID_FILE}, {"ready-fd", required_argument, NULL, READY_FD},
    {"log", required_argument, NULL, LOG},           {"check", no_argument, NULL, CHECK},
    {"explain", no_argument, NULL, EXPLAIN},         {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
};

enum { COMMON = sizeof common / sizeof *common };

static int wrong(const server_program *p, const char *what, const char *value, const char *expected)
{
  fprintf(stderr, "%s: %s %s: expected %s\n", p->name, what, value, expected);
  return EXIT_FAILURE;
}

/* A descriptor, or -1. */
static int descriptor(const char *s)
{
  char *end;
  const long v = strtol(s, &end, 10);
  return *s >= '0' && *s <= '9' && !*end && v < 1 << 20 ? (int)v : -1;
}

int server_argument_set(server_arguments *a, const char *path, const char *how, const char *value, const char *unit)
{
  const size_t room = strlen(path) + strlen(how) + strlen(value) + strlen(unit) + 1;
  char **made = realloc(a->made, (a->policy.sets + 1) * sizeof *made);
  char *said = made ? malloc(room) : NULL;
  if (made)
    a->made = made;
  if (!said)
    return wrong(a->program, path, value, "memory");
  snprintf(said, room, "%s%s%s%s", path, how, value, unit);
  a->made[a->policy.sets++] = said;
  return -1;
}

/* Of the program's section. */
static int set(server_arguments *a, const char *name, const char *how, const char *value)
{
  char path[64];
  snprintf(path, sizeof path, "%s.%s", a->program->section, name);
  return server_argument_set(a, path, how, value, "");
}

/* The first address takes the place of the policy's, the others join it. */
int server_argument_listen(server_arguments *a, const char *where)
{
  return set(a, "listen", a->listens++ ? "+=" : "=", where);
}

static int take_own(server_arguments *a, const server_argument *own, const char *value)
{
  return own->path ? server_argument_set(a, own->path, "=", value, "") : a->program->argument(a, own->name, value);
}

static int take(server_arguments *a, int option, const char *value)
{
  const server_program *p = a->program;
  switch (option) {
  case 'c': a->policy.file = value; return -1;
  case LISTEN: return server_argument_listen(a, value);
  case SET: return server_argument_set(a, value, "", "", "");
  case PID_FILE: a->pid_file = value; return -1;
  case READY_FD: return (a->ready_fd = descriptor(value)) < 0 ? wrong(p, "--ready-fd", value, "a descriptor") : -1;
  case THREADS: return set(a, "threads", "=", value);
  case LOG: a->log = value; return set(a, "log", "=", value);
  case CHECK: a->check = 1; return -1;
  case EXPLAIN: a->explain = 1; return -1;
  case HELP: fputs(p->usage, stdout); return EXIT_SUCCESS;
  case VERSION: printf("%s %s\n", p->name, smtpf_version()); return EXIT_SUCCESS;
  default: break;
  }
  if (option >= OWN)
    return take_own(a, &p->arguments[option - OWN], value);
  fputs(p->usage, stderr);
  return EXIT_FAILURE;
}

int server_arguments_read(server_arguments *a, const server_program *p, int argc, char **argv)
{
  static const int takes[] = {required_argument, optional_argument, no_argument}; /* as server_argument.takes */
  struct option known[COMMON + OWN_MAX + 1] = {{0}};
  int option, status = -1;
  memcpy(known, common, sizeof common);
  for (int i = 0; p->arguments && p->arguments[i].name && i < OWN_MAX; i++)
    known[COMMON + i] = (struct option){p->arguments[i].name, takes[p->arguments[i].takes], NULL, OWN + i};
  *a = (server_arguments){.program = p, .ready_fd = -1};
  while (status < 0 && (option = getopt_long(argc, argv, "c:", known, NULL)) != -1)
    status = take(a, option, optarg);
  if (status < 0 && optind < argc)
    status = wrong(p, "argument", argv[optind], "none; see --help");
  a->policy.set = (const char *const *)a->made;
  a->policy.before = a->policy.file ? NULL : p->unconfigured;
  return status;
}

void server_arguments_free(server_arguments *a)
{
  for (size_t i = 0; i < a->policy.sets; i++)
    free(a->made[i]);
  free(a->made);
}
