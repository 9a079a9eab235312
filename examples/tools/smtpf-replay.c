/* SPDX-License-Identifier: MIT
 *
 * smtpf-replay: the command line. See smtpf-replay(1).
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

enum { EXIT_CHANGED = 1, EXIT_USAGE = 2, EXIT_TROUBLE = 3 };

struct command {
  struct replay_options options;
  const char *dns, *store, *diff;
  int json, lint;
  smtpf_zone *zone;
  struct replay_script *scripts;
  size_t n_scripts;
  text out;
};

static void usage(FILE *to)
{
  fputs("usage: smtpf-replay [-c POLICY] [--dns ZONEFILE] [--store DIR] [--now EPOCH] [--host CAPABILITIES]\n"
        "                    [--json] [--diff OTHER_POLICY] SCRIPT...\n"
        "       smtpf-replay --lint [--host CAPABILITIES] [-c] POLICY...\n",
        to);
}

static int complain(const char *what, const char *value)
{
  fprintf(stderr, "smtpf-replay: %s%s%s\n", what, value ? ": " : "", value ? value : "");
  return EXIT_USAGE;
}

static int read_now(const char *s, int64_t *out)
{
  char *end = NULL;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  if (errno || end == s || *end || v < 1)
    return complain("--now: expected seconds since 1970", s);
  *out = v;
  return 0;
}

static int read_host(const char *s, struct replay_host *out)
{
  text error = {0};
  int bad = replay_host_parse(out, s, &error);
  if (bad)
    complain("--host", replay_cstr(&error));
  text_free(&error);
  return bad ? EXIT_USAGE : 0;
}

static int read_options(int argc, char **argv, struct command *c)
{
  static const struct option longs[] = {{"dns", required_argument, NULL, 'd'},  {"store", required_argument, NULL, 's'},
                                        {"now", required_argument, NULL, 'n'},  {"host", required_argument, NULL, 'h'},
                                        {"diff", required_argument, NULL, 'D'}, {"json", no_argument, NULL, 'j'},
                                        {"lint", no_argument, NULL, 'l'},       {"help", no_argument, NULL, 'H'},
                                        {"version", no_argument, NULL, 'V'},    {NULL, 0, NULL, 0}};
  int o, bad = 0;
  while (!bad && (o = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
    switch (o) {
    case 'c': c->options.policy = optarg; break;
    case 'd': c->dns = optarg; break;
    case 's': c->store = optarg; break;
    case 'n': bad = read_now(optarg, &c->options.now); break;
    case 'h': bad = read_host(optarg, &c->options.host); break;
    case 'D': c->diff = optarg; break;
    case 'j': c->json = 1; break;
    case 'l': c->lint = 1; break;
    case 'H': usage(stdout); exit(0);
    case 'V': printf("smtpf-replay %s\n", smtpf_version()); exit(0);
    default: usage(stderr); bad = EXIT_USAGE;
    }
  }
  return bad;
}

static int load_zone(struct command *c)
{
  text source = {0};
  size_t line = 0;
  int result = replay_read(&source, c->dns);
  if (result)
    result = complain(c->dns, strerror(errno));
  else if ((result = smtpf_zone_new(&c->zone, text_str(&source), NULL, &line)) != SMTPF_OK) {
    fprintf(stderr, "%s:%zu: expected NAME [TTL] TYPE RDATA or NAME [TYPE] NXDOMAIN|NODATA|SERVFAIL|TIMEOUT\n", c->dns,
            line);
    result = EXIT_USAGE;
  }
  text_free(&source);
  c->options.zone = c->zone;
  return result;
}

static int load_script(struct replay_script *script, const char *name)
{
  text source = {0}, error = {0};
  const char *slash = strrchr(name, '/');
  char *folder = slash ? replay_strdup(name, (size_t)(slash - name)) : NULL;
  int bad = replay_read(&source, name);
  if (bad)
    complain(name, strerror(errno));
  else if ((bad = replay_script_read(script, name, slash && !*folder ? "/" : folder, text_str(&source), &error)) != 0)
    complain(replay_cstr(&error), NULL);
  text_free(&source);
  text_free(&error);
  free(folder);
  return bad ? EXIT_USAGE : 0;
}

static void print_text(void *user, const struct replay_record *r)
{
  struct command *c = user;
  replay_record_text(&c->out, r);
}

static void print_json(void *user, const struct replay_record *r)
{
  struct command *c = user;
  replay_record_json(&c->out, r);
}

static void flush(struct command *c)
{
  if (c->out.n)
    fwrite(c->out.p, 1, c->out.n, stdout);
  text_clear(&c->out);
}

static int diff_script(struct command *c, const struct replay_script *script)
{
  smtpf_error err = {.size = sizeof err};
  int changes = replay_diff(&c->out, &c->options, c->diff, script, c->json, &err);
  flush(c);
  if (changes >= 0)
    return changes ? EXIT_CHANGED : 0;
  text message = {0};
  replay_error(&message, script->name, changes, &err);
  complain(replay_cstr(&message), NULL);
  text_free(&message);
  return EXIT_TROUBLE;
}

static int play_script(struct command *c, struct replay *r, const struct replay_script *script)
{
  int result = replay_play(r, script);
  flush(c);
  if (result == SMTPF_OK)
    return 0;
  complain(r->fault.n ? replay_cstr(&r->fault) : smtpf_strerror(result), NULL);
  return EXIT_TROUBLE;
}

/* The worst that happened; a change found by --diff does not end the run. */
static int each_script(struct command *c, struct replay *r)
{
  int worst = 0;
  for (size_t i = 0; i < c->n_scripts && worst <= EXIT_CHANGED; i++) {
    int result = c->diff ? diff_script(c, &c->scripts[i]) : play_script(c, r, &c->scripts[i]);
    if (result > worst)
      worst = result;
  }
  return worst;
}

static int open_and_play(struct command *c)
{
  struct replay r;
  smtpf_error err = {.size = sizeof err};
  int result = replay_open(&r, &c->options, &err);
  if (result == SMTPF_OK) {
    result = each_script(c, &r);
  } else {
    text message = {0};
    replay_error(&message, c->options.policy, result, &err);
    complain(replay_cstr(&message), NULL);
    text_free(&message);
    result = EXIT_CHANGED;
  }
  replay_close(&r);
  return result;
}

/* All scripts are read first: their checks are registered before the policy is loaded. */
static int play_all(struct command *c, char **names, size_t n)
{
  const struct replay_script **list = replay_alloc((n + 1) * sizeof *list);
  int result = 0;
  c->scripts = replay_alloc(n * sizeof *c->scripts);
  for (; !result && c->n_scripts < n; c->n_scripts++) {
    list[c->n_scripts] = &c->scripts[c->n_scripts];
    result = load_script(&c->scripts[c->n_scripts], names[c->n_scripts]);
  }
  c->options.scripts = list;
  c->options.sink = c->json ? print_json : print_text;
  c->options.user = c;
  if (!result)
    result = c->diff ? each_script(c, NULL) : open_and_play(c);
  while (c->n_scripts)
    replay_script_free(&c->scripts[--c->n_scripts]);
  free(c->scripts);
  free(list);
  return result;
}

static int lint_all(struct command *c, char **names)
{
  int problems = c->options.policy ? replay_lint(&c->out, c->options.policy, c->options.host.capabilities) : 0;
  for (; *names; names++)
    problems += replay_lint(&c->out, *names, c->options.host.capabilities);
  flush(c);
  return problems ? EXIT_CHANGED : 0;
}

int main(int argc, char **argv)
{
  struct command c = {.options = {.now = REPLAY_NOW, .wait = REPLAY_SYNC}};
  text error = {0};
  if (replay_host_parse(&c.options.host, "proxy", &error))
    return EXIT_TROUBLE;
  int result = read_options(argc, argv, &c);
  if (result)
    return result;
  if (optind == argc && !(c.lint && c.options.policy)) {
    usage(stderr);
    return EXIT_USAGE;
  }
  if (c.lint) {
    result = lint_all(&c, argv + optind);
  } else {
    if (c.dns)
      result = load_zone(&c);
    if (!result && c.store && !(c.options.store = replay_store_open(c.store, &error)))
      result = complain(replay_cstr(&error), NULL);
    if (!result)
      result = play_all(&c, argv + optind, (size_t)(argc - optind));
    if (!result && !c.diff && c.options.store && replay_store_save(c.options.store))
      result = complain("cannot write the store", strerror(errno));
    replay_store_close(c.options.store);
  }
  smtpf_zone_free(c.zone);
  text_free(&c.out);
  text_free(&error);
  if (fflush(stdout) || ferror(stdout))
    return complain("cannot write", NULL) + 1;
  return result;
}
