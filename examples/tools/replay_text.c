/* SPDX-License-Identifier: MIT */
#include "replay.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *replay_alloc(size_t n)
{
  void *p = calloc(1, n ? n : 1);
  if (!p) {
    fputs("smtpf-replay: out of memory\n", stderr);
    exit(3);
  }
  return p;
}

char *replay_strdup(const char *s, size_t n)
{
  char *p = replay_alloc(n + 1);
  if (n)
    memcpy(p, s, n);
  return p;
}

void replay_text_free(struct replay_text *t)
{
  free(t->p);
  *t = (struct replay_text){0};
}

static void make_room(struct replay_text *t, size_t n)
{
  if (t->n + n + 1 <= t->cap)
    return;
  size_t cap = t->cap ? t->cap : 256;
  while (cap < t->n + n + 1)
    cap *= 2;
  char *p = replay_alloc(cap);
  if (t->n)
    memcpy(p, t->p, t->n);
  free(t->p);
  t->p = p;
  t->cap = cap;
}

void replay_text_add(struct replay_text *t, const char *p, size_t n)
{
  make_room(t, n);
  if (n)
    memcpy(t->p + t->n, p, n);
  t->n += n;
  t->p[t->n] = 0;
}

void replay_text_str(struct replay_text *t, smtpf_str s)
{
  replay_text_add(t, s.p, s.n);
}

void replay_text_format(struct replay_text *t, const char *format, ...)
{
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n > 0) {
    make_room(t, (size_t)n);
    vsnprintf(t->p + t->n, (size_t)n + 1, format, again);
    t->n += (size_t)n;
  }
  va_end(again);
}

void replay_text_escaped(struct replay_text *t, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '\\')
      replay_text_add(t, "\\\\", 2);
    else if (c >= 0x20 && c < 0x7f)
      replay_text_add(t, &s.p[i], 1);
    else
      replay_text_format(t, "\\x%02x", c);
  }
}

void replay_text_points(struct replay_text *t, int64_t thousandths)
{
  uint64_t v = thousandths < 0 ? (uint64_t)0 - (uint64_t)thousandths : (uint64_t)thousandths;
  replay_text_format(t, "%s%llu", thousandths < 0 ? "-" : "", (unsigned long long)(v / 1000));
  unsigned rest = (unsigned)(v % 1000);
  if (!rest)
    return;
  char digits[4] = {(char)('0' + rest / 100), (char)('0' + rest / 10 % 10), (char)('0' + rest % 10), 0};
  size_t n = 3;
  while (digits[n - 1] == '0')
    digits[--n] = 0;
  replay_text_format(t, ".%s", digits);
}

int replay_text_file(struct replay_text *t, const char *path)
{
  FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!f)
    return -1;
  char room[8192];
  size_t n;
  while ((n = fread(room, 1, sizeof room, f)) > 0)
    replay_text_add(t, room, n);
  int bad = ferror(f);
  if (f != stdin)
    fclose(f);
  if (bad) {
    errno = EIO;
    return -1;
  }
  replay_text_add(t, "", 0);
  return 0;
}
