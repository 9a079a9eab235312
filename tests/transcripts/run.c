/* SPDX-License-Identifier: MIT
 *
 * Replays every transcript: ports that answer at once and later, waiting and by callback; fed whole, by 7 bytes and by
 * 1 byte. Every log must be the one in the page.
 *
 *     run [--update] [FILE...]     --update writes the log into the page instead of comparing; read the diff
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transcript.h"

static int passed, failed, skipped;

static const struct {
  int wait;
  const char *name;
} waits[] = {{REPLAY_SYNC, "at once"}, {REPLAY_LATER, "waiting"}, {REPLAY_READY, "by callback"}};

static const size_t feeds[] = {0, 7, 1};

static void verdict(int ok, const struct transcript *t, const char *what, size_t feed)
{
  if (ok) {
    passed++;
    return;
  }
  failed++;
  printf("FAIL %s: %s, fed by %zu\n", t->path, what, feed);
}

/* The first line in which two logs differ. */
static void print_difference(const text *expected, const text *got)
{
  size_t i = 0, line = 0;
  while (i < expected->n && i < got->n && expected->p[i] == got->p[i])
    i++;
  for (line = i; line > 0 && got->n && line <= got->n && got->p[line - 1] != '\n';)
    line--;
  size_t a = line, b = line;
  while (a < expected->n && expected->p[a] != '\n')
    a++;
  while (b < got->n && got->p[b] != '\n')
    b++;
  printf("  expected: %.*s\n", (int)(a - line), line < expected->n ? expected->p + line : "");
  printf("  got:      %.*s\n", (int)(b - line), line < got->n ? got->p + line : "");
}

static int same(const text *a, const text *b)
{
  return a->n == b->n && (!a->n || memcmp(a->p, b->p, a->n) == 0);
}

static void compare(const struct transcript *t, int wait, const char *name, size_t feed, int json)
{
  text out = {0}, error = {0};
  const text *expected = json ? &t->json : &t->log;
  int bad = transcript_play(t, wait, feed, json, &out, &error);
  if (bad)
    printf("  %s\n", replay_cstr(&error));
  else if (!same(expected, &out)) {
    print_difference(expected, &out);
    bad = 1;
  }
  verdict(!bad, t, name, feed);
  text_free(&out);
  text_free(&error);
}

static void check(const struct transcript *t)
{
  if (!t->has_log && !t->has_json)
    verdict(0, t, "no log to compare with", 0);
  for (size_t w = 0; w < sizeof waits / sizeof *waits; w++)
    for (size_t f = 0; f < sizeof feeds / sizeof *feeds; f++) {
      if (t->has_log)
        compare(t, waits[w].wait, waits[w].name, feeds[f], 0);
      if (t->has_json)
        compare(t, waits[w].wait, waits[w].name, feeds[f], 1);
    }
}

static void update(const struct transcript *t)
{
  text out = {0}, error = {0};
  if (!t->has_log && !t->has_json)
    return;
  if (transcript_play(t, REPLAY_SYNC, 0, t->has_json, &out, &error)) {
    printf("%s\n", replay_cstr(&error));
    failed++;
  } else {
    FILE *f = fopen(t->path, "wb");
    if (f) {
      fwrite(t->page.p, 1, t->log_at, f);
      fwrite(out.p, 1, out.n, f);
      fwrite(t->page.p + t->log_end, 1, t->page.n - t->log_end, f);
    }
    if (!f || fclose(f)) {
      printf("%s: %s\n", t->path, strerror(errno));
      failed++;
    }
  }
  text_free(&out);
  text_free(&error);
}

int main(int argc, char **argv)
{
  int updating = argc > 1 && strcmp(argv[1], "--update") == 0;
  char **names = transcript_names(argc - updating, argv + updating);
  for (char **name = names; *name; name++) {
    struct transcript t;
    text error = {0};
    if (transcript_read(&t, *name, &error)) {
      printf("FAIL %s\n", replay_cstr(&error));
      failed++;
    } else if (t.cannot) {
      printf("SKIP %s: this build lacks what it needs\n", t.path);
      skipped++;
    } else if (updating) {
      update(&t);
    } else {
      check(&t);
    }
    text_free(&error);
    transcript_free(&t);
  }
  if (!*names) {
    printf("FAIL no transcripts found\n");
    failed++;
  }
  transcript_names_free(names);
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : 0;
}
