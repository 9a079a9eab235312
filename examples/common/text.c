/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int text_room(text *t, size_t n)
{
  if (n <= t->cap - t->n)
    return 1;
  size_t want = t->cap ? t->cap : 512;
  while (want - t->n < n && want <= SIZE_MAX / 2)
    want *= 2;
  char *p = want - t->n < n ? NULL : realloc(t->p, want);
  if (!p) {
    t->failed = 1;
    return 0;
  }
  t->p = p;
  t->cap = want;
  return 1;
}

void text_add(text *t, smtpf_str s)
{
  if (s.n && text_room(t, s.n)) {
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
  }
}

void text_cstr(text *t, const char *s)
{
  text_add(t, (smtpf_str){s, strlen(s)});
}

void text_char(text *t, char c)
{
  if (text_room(t, 1))
    t->p[t->n++] = c;
}

void text_int(text *t, int64_t v)
{
  char room[24];
  size_t i = sizeof room;
  uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  do
    room[--i] = (char)('0' + u % 10);
  while (u /= 10);
  if (v < 0)
    room[--i] = '-';
  text_add(t, (smtpf_str){room + i, sizeof room - i});
}

void text_milli(text *t, int64_t v)
{
  if (v < 0)
    text_char(t, '-');
  uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  text_int(t, (int64_t)(u / 1000));
  unsigned rest = (unsigned)(u % 1000);
  if (!rest)
    return;
  text_char(t, '.');
  for (unsigned unit = 100; rest; unit /= 10) {
    text_char(t, (char)('0' + rest / unit));
    rest %= unit;
  }
}

static void hex2(text *t, const char *lead, unsigned char c)
{
  static const char digit[] = "0123456789abcdef";
  text_cstr(t, lead);
  text_char(t, digit[c >> 4]);
  text_char(t, digit[c & 15]);
}

/* Length of the UTF-8 sequence at the front of `s`, 0 when it is none (RFC 3629 4). */
static size_t utf8_length(smtpf_str s)
{
  const unsigned char *p = (const unsigned char *)s.p;
  size_t n = p[0] < 0x80                   ? 1
             : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
             : (p[0] & 0xf0) == 0xe0       ? 3
             : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                           : 0;
  if (!n || n > s.n)
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
      (p[0] == 0xf4 && p[1] > 0x8f))
    return 0;
  return n;
}

/* How many bytes at the front of `s` stand for themselves in JSON. */
static size_t plain_length(smtpf_str s)
{
  size_t n = 0;
  while (n < s.n && s.p[n] >= ' ' && s.p[n] <= '~' && s.p[n] != '"' && s.p[n] != '\\')
    n++;
  return n;
}

void text_json(text *t, smtpf_str s)
{
  text_char(t, '"');
  while (s.n) {
    size_t n = plain_length(s);
    if (n) {
      text_add(t, (smtpf_str){s.p, n});
      s = (smtpf_str){s.p + n, s.n - n};
      continue;
    }
    unsigned char c = (unsigned char)*s.p;
    n = utf8_length(s);
    if (c == '"' || c == '\\') {
      text_char(t, '\\');
      text_char(t, (char)c);
    } else if (c == '\n') {
      text_cstr(t, "\\n");
    } else if (c < 0x20 || c == 0x7f) {
      hex2(t, "\\u00", c);
    } else if (n) {
      text_add(t, (smtpf_str){s.p, n});
    } else {
      text_cstr(t, "\\ufffd");
    }
    n = n ? n : 1;
    s = (smtpf_str){s.p + n, s.n - n};
  }
  text_char(t, '"');
}

/* In quotes; at most four bytes for each. */
static void quote(text *t, smtpf_str s)
{
  static const char digit[] = "0123456789abcdef";
  if (s.n > (SIZE_MAX - 2) / 4 || !text_room(t, 4 * s.n + 2))
    return;
  char *to = t->p + t->n;
  *to++ = '"';
  for (size_t i = 0; i < s.n; i++) {
    const unsigned char c = (unsigned char)s.p[i];
    if (c < ' ' || c > '~') {
      *to++ = '\\';
      *to++ = 'x';
      *to++ = digit[c >> 4];
      *to++ = digit[c & 15];
      continue;
    }
    if (c == '"' || c == '\\')
      *to++ = '\\';
    *to++ = (char)c;
  }
  *to++ = '"';
  t->n = (size_t)(to - t->p);
}

void text_quoted(text *t, smtpf_str s)
{
  int plain = s.n > 0;
  for (size_t i = 0; i < s.n && plain; i++)
    plain = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '"' && s.p[i] != '=' && s.p[i] != '\\';
  if (plain)
    text_add(t, s);
  else
    quote(t, s);
}

static void two(text *t, int v)
{
  text_char(t, (char)('0' + v / 10 % 10));
  text_char(t, (char)('0' + v % 10));
}

static void clock_time(text *t, const struct tm *tm)
{
  two(t, tm->tm_hour);
  text_char(t, ':');
  two(t, tm->tm_min);
  text_char(t, ':');
  two(t, tm->tm_sec);
}

void text_time(text *t, int64_t wall_s)
{
  struct tm tm;
  time_t at = (time_t)wall_s;
  if (!gmtime_r(&at, &tm))
    return;
  text_int(t, tm.tm_year + 1900);
  text_char(t, '-');
  two(t, tm.tm_mon + 1);
  text_char(t, '-');
  two(t, tm.tm_mday);
  text_char(t, 'T');
  clock_time(t, &tm);
  text_char(t, 'Z');
}

void text_date(text *t, int64_t wall_s)
{
  static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct tm tm;
  time_t at = (time_t)wall_s;
  if (!gmtime_r(&at, &tm))
    return;
  text_cstr(t, days[tm.tm_wday]);
  text_cstr(t, ", ");
  two(t, tm.tm_mday);
  text_char(t, ' ');
  text_cstr(t, months[tm.tm_mon]);
  text_char(t, ' ');
  text_int(t, tm.tm_year + 1900);
  text_char(t, ' ');
  clock_time(t, &tm);
  text_cstr(t, " +0000");
}

void text_set(text *t, smtpf_str s)
{
  text_clear(t);
  text_add(t, s);
}

void text_clear(text *t)
{
  t->n = 0;
  t->failed = 0;
}

void text_free(text *t)
{
  free(t->p);
  *t = (text){0};
}
