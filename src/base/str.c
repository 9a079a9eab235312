/* SPDX-License-Identifier: MIT */
#include "str.h"

#include <string.h>

#include <smtpfilter/ext/mail.h>

int smtpf_str_equal(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int smtpf_str_equal_nocase(smtpf_str a, smtpf_str b)
{
  if (a.n != b.n)
    return 0;
  for (size_t i = 0; i < a.n; i++)
    if (smtpf_lower(a.p[i]) != smtpf_lower(b.p[i]))
      return 0;
  return 1;
}

smtpf_str smtpf_str_of(const char *s)
{
  return (smtpf_str){s, s ? strlen(s) : 0};
}

int smtpf_str_compare(smtpf_str a, smtpf_str b)
{
  size_t n = a.n < b.n ? a.n : b.n;
  int r = n ? memcmp(a.p, b.p, n) : 0;
  return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

smtpf_str smtpf_str_trim(smtpf_str s)
{
  while (s.n && is_blank(s.p[0])) {
    s.p++;
    s.n--;
  }
  while (s.n && is_blank(s.p[s.n - 1]))
    s.n--;
  return s;
}

int smtpf_str_starts(smtpf_str s, smtpf_str prefix)
{
  return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

smtpf_str smtpf_str_cut(smtpf_str *rest, char sep)
{
  smtpf_str piece = *rest;
  const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
  if (!at) {
    *rest = (smtpf_str){NULL, 0};
    return piece;
  }
  piece.n = (size_t)(at - rest->p);
  rest->n -= piece.n + 1;
  rest->p = at + 1;
  return piece;
}

int smtpf_str_uint(smtpf_str s, uint64_t max, uint64_t *out)
{
  uint64_t v = 0;
  if (s.n == 0)
    return SMTPF_EPARSE;
  for (size_t i = 0; i < s.n; i++) {
    if (!smtpf_is_digit(s.p[i]))
      return SMTPF_EPARSE;
    uint64_t d = (uint64_t)(s.p[i] - '0');
    if (d > max || v > (max - d) / 10)
      return SMTPF_EPARSE;
    v = v * 10 + d;
  }
  *out = v;
  return SMTPF_OK;
}

void smtpf_out_init(smtpf_out *o, char *room, size_t cap)
{
  *o = (smtpf_out){.p = room, .cap = cap};
}

void smtpf_out_str(smtpf_out *o, smtpf_str s)
{
  size_t n = s.n;
  if (n > o->cap - o->n) {
    n = o->cap - o->n;
    o->full = 1;
  }
  if (n)
    memcpy(o->p + o->n, s.p, n);
  o->n += n;
}

void smtpf_out_cstr(smtpf_out *o, const char *s)
{
  smtpf_out_str(o, smtpf_str_of(s));
}

void smtpf_out_char(smtpf_out *o, char c)
{
  if (o->n < o->cap)
    o->p[o->n++] = c;
  else
    o->full = 1;
}

void smtpf_out_uint(smtpf_out *o, uint64_t v)
{
  char b[20];
  size_t i = sizeof b;
  do
    b[--i] = (char)('0' + v % 10);
  while (v /= 10);
  smtpf_out_str(o, (smtpf_str){b + i, sizeof b - i});
}

void smtpf_out_int(smtpf_out *o, int64_t v)
{
  if (v < 0)
    smtpf_out_char(o, '-');
  smtpf_out_uint(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void smtpf_out_milli(smtpf_out *o, int64_t thousandths)
{
  uint64_t v = thousandths < 0 ? 0 - (uint64_t)thousandths : (uint64_t)thousandths;
  if (thousandths < 0)
    smtpf_out_char(o, '-');
  smtpf_out_uint(o, v / 1000);
  uint64_t rest = v % 1000;
  if (!rest)
    return;
  smtpf_out_char(o, '.');
  for (uint64_t unit = 100; rest; rest %= unit, unit /= 10)
    smtpf_out_char(o, (char)('0' + rest / unit));
}

void smtpf_out_hex(smtpf_out *o, uint64_t v, int digits)
{
  for (int i = digits - 1; i >= 0; i--)
    smtpf_out_char(o, "0123456789abcdef"[(v >> (4 * i)) & 15]);
}

void smtpf_out_escaped(smtpf_out *o, smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    if (c == '\\') {
      smtpf_out_cstr(o, "\\\\");
    } else if (c >= 0x20 && c < 0x7f) {
      smtpf_out_char(o, c);
    } else {
      smtpf_out_cstr(o, "\\x");
      smtpf_out_hex(o, (unsigned char)c, 2);
    }
  }
}

void smtpf_out_printable(smtpf_out *o, smtpf_str s, int lines)
{
  for (size_t i = 0; i < s.n; i++) {
    char c = s.p[i];
    smtpf_out_char(o, (c >= 0x20 && c < 0x7f) || (lines && c == '\n') ? c : '?');
  }
}
