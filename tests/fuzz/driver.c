/* SPDX-License-Identifier: MIT
 *
 * driver: runs a fuzz target without a fuzzer, so that its corpus is an ordinary test. Every file of the corpus is
 * given whole, then cut short at up to 64 places, each in memory of its exact size so that sanitizers see an overrun.
 *
 *     fuzz_X [FILE...]      without files: tests/fuzz/corpus/X below $srcdir
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 64, INPUT_MAX = 1 << 20 };

static void give(const uint8_t *data, size_t n)
{
  uint8_t *exact = malloc(n ? n : 1);
  if (!exact)
    abort();
  memcpy(exact, data, n);
  (void)LLVMFuzzerTestOneInput(exact, n);
  free(exact);
}

/* 1 when the file could be read. */
static int replay(const char *path)
{
  static uint8_t room[INPUT_MAX];
  FILE *f = fopen(path, "rb");
  if (!f)
    return 0;
  size_t n = fread(room, 1, sizeof room, f);
  fclose(f);
  give(room, n);
  size_t step = n / CUTS + 1;
  for (size_t cut = 0; cut < n; cut += step)
    give(room, cut);
  return 1;
}

/* `/x/.libs/lt-fuzz_line` -> `line` */
static const char *target(const char *program)
{
  const char *slash = strrchr(program, '/');
  const char *name = slash ? slash + 1 : program;
  const char *fuzz = strstr(name, "fuzz_");
  return fuzz ? fuzz + 5 : name;
}

static int skip_dots(const struct dirent *e)
{
  return e->d_name[0] != '.';
}

static void replay_folder(const char *name, int *good, int *bad)
{
  const char *srcdir = getenv("srcdir");
  char path[4096];
  struct dirent **entries;
  int head = snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s/", srcdir ? srcdir : ".", name);
  if (head < 0 || (size_t)head >= sizeof path)
    return;
  int n = scandir(path, &entries, skip_dots, alphasort);
  for (int i = 0; i < n; i++) {
    snprintf(path + head, sizeof path - (size_t)head, "%s", entries[i]->d_name);
    if (replay(path))
      (*good)++;
    else
      (*bad)++;
    free(entries[i]);
  }
  if (n >= 0)
    free(entries);
}

int main(int argc, char **argv)
{
  int good = 0, bad = 0;
  for (int i = 1; i < argc; i++) {
    if (replay(argv[i]))
      good++;
    else
      bad++;
  }
  if (argc < 2)
    replay_folder(target(argv[0]), &good, &bad);
  if (good + bad == 0) {
    printf("no corpus for %s\n", target(argv[0]));
    bad = 1;
  }
  printf("%d passed, %d failed, 0 skipped\n", good, bad);
  return bad != 0;
}
