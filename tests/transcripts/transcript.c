/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
#include "transcript.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(text *error, const struct transcript *t, const char *what)
{
  replay_format(error, "%s: %s", t->path, what);
  return -1;
}

/* ---- the page ---------------------------------------------------------------------------------------- */

struct block {
  const char *name;
  text *into;
  int *has;
};

static int starts(const char *p, size_t n, const char *word)
{
  size_t k = strlen(word);
  return n >= k && memcmp(p, word, k) == 0 && (n == k || p[k] == ' ');
}

/* Copies the fenced blocks out of the page. */
static int cut_blocks(struct transcript *t, text *error)
{
  int scripts = 0;
  struct block blocks[] = {{"policy", &t->policy, NULL},  {"rules", &t->rules, NULL},
                           {"dns", &t->dns, NULL},        {"script", &t->script, &scripts},
                           {"log", &t->log, &t->has_log}, {"json", &t->json, &t->has_json}};
  const struct block *in = NULL;
  for (size_t at = 0; at < t->page.n;) {
    const char *p = t->page.p + at;
    const char *nl = memchr(p, '\n', t->page.n - at);
    size_t n = nl ? (size_t)(nl - p) : t->page.n - at;
    size_t next = at + n + (nl != NULL);
    if (in && n == 3 && memcmp(p, "```", 3) == 0) {
      if (in->into == &t->log || in->into == &t->json)
        t->log_end = at;
      in = NULL;
    } else if (in) {
      text_add(in->into, (smtpf_str){p, next - at});
    } else if (n > 3 && memcmp(p, "```", 3) == 0) {
      for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (starts(p + 3, n - 3, blocks[i].name))
          in = &blocks[i];
      if (!in)
        return fail(error, t, "a block that is none of policy, rules, dns, script, log, json");
      if (in->into->n)
        return fail(error, t, "a block twice");
      if (in->has)
        *in->has = 1;
      if (in->into == &t->log || in->into == &t->json)
        t->log_at = next;
      if (in->into == &t->script)
        text_add(&t->words, (smtpf_str){p + 9, n - 9});
    }
    at = next;
  }
  if (in || !scripts)
    return fail(error, t, in ? "a block without an end" : "no script");
  if (t->has_log && t->has_json)
    return fail(error, t, "both log and json");
  return 0;
}

/* The words behind `script`. */
static int read_words(struct transcript *t, text *error)
{
  if (replay_host_parse(&t->host, "proxy", error))
    return -1;
  t->now = REPLAY_NOW;
  char *words = replay_strdup(t->words.p, t->words.n), *rest = NULL;
  int bad = 0;
  for (char *w = strtok_r(words, " ", &rest); w && !bad; w = strtok_r(NULL, " ", &rest)) {
    if (strncmp(w, "host=", 5) == 0)
      bad = replay_host_parse(&t->host, w + 5, error);
    else if (strncmp(w, "now=", 4) == 0)
      t->now = strtoll(w + 4, NULL, 10);
    else if (strcmp(w, "needs=crypto") == 0)
      t->cannot = smtpf_crypto_openssl() == NULL;
    else
      bad = fail(error, t, "a word behind script that is neither host= nor now= nor needs=crypto");
  }
  free(words);
  return bad;
}

static int write_temporary(const struct transcript *t, char name[64], const char *ending, const text *what, text *error)
{
  static unsigned number;
  snprintf(name, 64, "transcript-%ld-%u.%s", (long)getpid(), number++, ending);
  FILE *f = fopen(name, "wb");
  if (!f)
    return fail(error, t, strerror(errno));
  size_t n = fwrite(what->p, 1, what->n, f);
  return fclose(f) || n != what->n ? fail(error, t, "cannot write a file") : 0;
}

/* The policy, which names the rules' file where it says "@rules@". */
static int write_policy(struct transcript *t, text *error)
{
  static const char word[] = "@rules@";
  if (t->rules.n && write_temporary(t, t->rules_file, "rules", &t->rules, error))
    return -1;
  const char *at = memmem(t->policy.p, t->policy.n, word, sizeof word - 1);
  if (at && t->rules.n) {
    const size_t before = (size_t)(at - t->policy.p), behind = before + sizeof word - 1;
    text named = {0};
    text_add(&named, (smtpf_str){t->policy.p, before});
    text_cstr(&named, t->rules_file);
    text_add(&named, (smtpf_str){t->policy.p + behind, t->policy.n - behind});
    text_free(&t->policy);
    t->policy = named;
  }
  return write_temporary(t, t->policy_file, "conf", &t->policy, error);
}

int transcript_read(struct transcript *t, const char *path, text *error)
{
  *t = (struct transcript){.path = replay_strdup(path, strlen(path))};
  const char *slash = strrchr(path, '/');
  t->folder = slash ? replay_strdup(path, (size_t)(slash - path)) : replay_strdup(".", 1);
  if (replay_read(&t->page, path))
    return fail(error, t, strerror(errno));
  if (cut_blocks(t, error) || read_words(t, error) || (t->policy.n && write_policy(t, error)))
    return -1;
  size_t line = 0;
  if (t->dns.n && smtpf_zone_new(&t->zone, text_str(&t->dns), NULL, &line) != SMTPF_OK) {
    replay_format(error, "%s: dns, line %zu", path, line);
    return -1;
  }
  t->scripts[0] = &t->items;
  return replay_script_read(&t->items, path, t->folder, text_str(&t->script), error);
}

void transcript_free(struct transcript *t)
{
  if (*t->policy_file)
    unlink(t->policy_file);
  if (*t->rules_file)
    unlink(t->rules_file);
  text *all[] = {&t->page, &t->policy, &t->rules, &t->dns, &t->script, &t->log, &t->json, &t->words};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    text_free(all[i]);
  smtpf_zone_free(t->zone);
  replay_script_free(&t->items);
  free(t->path);
  free(t->folder);
  *t = (struct transcript){0};
}

/* ---- playing ------------------------------------------------------------------------------------------- */

struct replay_options transcript_options(const struct transcript *t)
{
  return (struct replay_options){.policy = *t->policy_file ? t->policy_file : NULL,
                                 .zone = t->zone,
                                 .now = t->now,
                                 .host = t->host,
                                 .wait = REPLAY_SYNC,
                                 .scripts = t->scripts};
}

static void write_text(void *user, const struct replay_record *r)
{
  replay_record_text(user, r);
}

static void write_json(void *user, const struct replay_record *r)
{
  replay_record_json(user, r);
}

int transcript_play(const struct transcript *t, int wait, size_t feed, int json, text *out, text *error)
{
  struct replay_options o = transcript_options(t);
  struct replay r;
  smtpf_error err = {.size = sizeof err};
  o.wait = wait;
  o.feed = feed;
  o.sink = json ? write_json : write_text;
  o.user = out;
  int result = replay_open(&r, &o, &err);
  if (result != SMTPF_OK) {
    replay_error(error, o.policy, result, &err);
  } else if ((result = replay_play(&r, &t->items)) != SMTPF_OK) {
    text_cstr(error, r.fault.n ? replay_cstr(&r.fault) : smtpf_strerror(result));
  } else if (r.events != r.verdicts) {
    replay_format(error, "%zu events, %zu verdicts", r.events, r.verdicts);
    result = SMTPF_EINVAL;
  }
  replay_close(&r);
  return result == SMTPF_OK ? 0 : -1;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

char **transcript_names(int argc, char **argv)
{
  size_t n = 0, cap = argc > 1 ? (size_t)argc : 512;
  char **names = replay_alloc(cap * sizeof *names);
  for (int i = 1; i < argc; i++)
    names[n++] = replay_strdup(argv[i], strlen(argv[i]));
  if (argc > 1)
    return names;
  const char *root = getenv("srcdir");
  text folder = {0};
  replay_format(&folder, "%s/tests/transcripts", root ? root : ".");
  DIR *d = opendir(replay_cstr(&folder));
  for (struct dirent *e; d && n + 1 < cap && (e = readdir(d));) {
    size_t k = strlen(e->d_name);
    if (k < 4 || strcmp(e->d_name + k - 3, ".md") != 0)
      continue;
    text path = {0};
    replay_format(&path, "%s/%s", replay_cstr(&folder), e->d_name);
    names[n++] = replay_strdup(path.p, path.n);
    text_free(&path);
  }
  if (d)
    closedir(d);
  text_free(&folder);
  qsort(names, n, sizeof *names, by_name);
  return names;
}

void transcript_names_free(char **names)
{
  for (char **p = names; *p; p++)
    free(*p);
  free(names);
}
