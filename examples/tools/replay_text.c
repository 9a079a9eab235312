/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

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

void replay_format(text *t, const char *format, ...)
{
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n > 0 && text_room(t, (size_t)n + 1)) {
    vsnprintf(t->p + t->n, (size_t)n + 1, format, again);
    t->n += (size_t)n;
  }
  va_end(again);
}

void replay_escaped(text *t, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c == '\\')
      text_cstr(t, "\\\\");
    else if (c >= 0x20 && c < 0x7f)
      text_char(t, s.p[i]);
    else
      replay_format(t, "\\x%02x", c);
  }
}

const char *replay_cstr(text *t)
{
  if (!text_room(t, 1))
    return "";
  t->p[t->n] = 0;
  return t->p;
}

int replay_read(text *t, const char *path)
{
  FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!f)
    return -1;
  char room[8192];
  size_t n;
  while ((n = fread(room, 1, sizeof room, f)) > 0)
    text_add(t, (smtpf_str){room, n});
  int bad = ferror(f);
  if (f != stdin)
    fclose(f);
  if (bad)
    errno = EIO;
  return bad ? -1 : 0;
}
