/* SPDX-License-Identifier: MIT
 *
 * A character of several bytes may be cut anywhere: bytes go through `held` one by one until they are a character, may
 * yet become one, or cannot. In the last case the first of them becomes U+FFFD and the rest is looked at anew.
 */
#include "mail/charset.h"

#include <string.h>

#include "mail/class.h"

enum { NOTHING = 0xfffd };

void smtpf_charset_init(smtpf_charset_reader *r, int charset)
{
  *r = (smtpf_charset_reader){.charset = (uint8_t)charset};
}

size_t smtpf_utf8_put(uint32_t c, char *out)
{
  if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
    c = NOTHING;
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3f));
  out[2] = (char)(0x80 | (c >> 6 & 0x3f));
  out[3] = (char)(0x80 | (c & 0x3f));
  return 4;
}

static size_t bad(smtpf_charset_reader *r, char *out)
{
  r->bad = 1;
  return smtpf_utf8_put(NOTHING, out);
}

static void shift(smtpf_charset_reader *r, uint8_t n)
{
  r->n = (uint8_t)(r->n - n);
  memmove(r->held, r->held + n, r->n);
}

/* Bytes a sequence has that begins with `c`; 0 when none does. */
static size_t utf8_need(unsigned char c)
{
  return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* 1 when the held bytes, fewer than needed, may yet become a character. */
static int utf8_may(const smtpf_charset_reader *r, size_t need)
{
  char whole[4] = {'\x80', '\x80', '\x80', '\x80'};
  memcpy(whole, r->held, r->n);
  return r->n < 2 || smtpf_utf8_length(whole, need) == need;
}

/* Takes what can be taken from the held bytes. */
static size_t utf8_drain(smtpf_charset_reader *r, char *out)
{
  size_t n = 0;
  while (r->n) {
    const size_t need = utf8_need((unsigned char)r->held[0]);
    if (need == 1 || (need && r->n >= need && smtpf_utf8_length(r->held, r->n) == need)) {
      memcpy(out + n, r->held, need);
      n += need;
      shift(r, (uint8_t)need);
    } else if (need && r->n < need && utf8_may(r, need)) {
      break;
    } else {
      n += bad(r, out + n);
      shift(r, 1);
    }
  }
  return n;
}

/* Copies the ASCII in front; how many bytes it is. */
static size_t ascii(const char *p, size_t n, char *out)
{
  size_t at = 0;
  for (uint64_t word; n - at >= sizeof word; at += sizeof word) {
    memcpy(&word, p + at, sizeof word);
    if (word & 0x8080808080808080u)
      break;
    memcpy(out + at, &word, sizeof word);
  }
  for (; at < n && !((unsigned char)p[at] & 0x80); at++)
    out[at] = p[at];
  return at;
}

/* A charset of single bytes. */
static size_t bytes(smtpf_charset_reader *r, const uint16_t *table, const char *p, size_t n, char *out)
{
  size_t at = 0, written = 0;
  while (at < n) {
    const size_t plain = ascii(p + at, n - at, out + written);
    written += plain;
    at += plain;
    if (at == n)
      break;
    const uint16_t c = table[(unsigned char)p[at++] - 0x80];
    written += c ? smtpf_utf8_put(c, out + written) : bad(r, out + written);
  }
  return written;
}

static size_t utf8(smtpf_charset_reader *r, const char *p, size_t n, char *out)
{
  size_t at = 0, written = 0;
  while (at < n) {
    if (!r->n) {
      const size_t plain = ascii(p + at, n - at, out + written);
      written += plain;
      at += plain;
      if (at == n)
        break;
    }
    r->held[r->n++] = p[at++];
    written += utf8_drain(r, out + written);
  }
  return written;
}

static uint32_t unit(const smtpf_charset_reader *r, unsigned at)
{
  const unsigned a = (unsigned char)r->held[at], b = (unsigned char)r->held[at + 1];
  return r->charset == SMTPF_CHARSET_UTF16LE ? b << 8 | a : a << 8 | b;
}

static size_t utf16_drain(smtpf_charset_reader *r, char *out)
{
  size_t n = 0;
  while (r->n >= 2) {
    uint32_t a = unit(r, 0);
    if (!r->begun && r->charset == SMTPF_CHARSET_UTF16 && a && a < 0x8000 && a % 0x100 == 0) {
      r->charset = SMTPF_CHARSET_UTF16LE; /* an ASCII character the wrong way round */
      a = unit(r, 0);
    }
    if (!r->begun && (a == 0xfeff || a == 0xfffe)) {
      if (a == 0xfffe)
        r->charset = r->charset == SMTPF_CHARSET_UTF16LE ? SMTPF_CHARSET_UTF16BE : SMTPF_CHARSET_UTF16LE;
      shift(r, 2);
    } else if (a < 0xd800 || a > 0xdfff) {
      n += smtpf_utf8_put(a, out + n);
      shift(r, 2);
    } else if (a > 0xdbff || (r->n == 4 && (unit(r, 2) < 0xdc00 || unit(r, 2) > 0xdfff))) {
      n += bad(r, out + n);
      shift(r, 2);
    } else if (r->n == 4) {
      n += smtpf_utf8_put(0x10000 + ((a - 0xd800) << 10) + (unit(r, 2) - 0xdc00), out + n);
      shift(r, 4);
    } else {
      break;
    }
    r->begun = 1;
  }
  return n;
}

size_t smtpf_charset_feed(smtpf_charset_reader *r, const char *p, size_t n, char *out)
{
  const uint16_t *table = smtpf_charset_table(r->charset);
  size_t written = 0;
  if (r->charset == SMTPF_CHARSET_UTF8)
    return utf8(r, p, n, out);
  if (r->charset == SMTPF_CHARSET_UNKNOWN) {
    if (n)
      memcpy(out, p, n);
    return n;
  }
  if (table)
    return bytes(r, table, p, n, out);
  for (size_t i = 0; i < n; i++) {
    r->held[r->n++] = p[i];
    written += utf16_drain(r, out + written);
  }
  return written;
}

size_t smtpf_charset_finish(smtpf_charset_reader *r, char *out)
{
  size_t n = 0;
  while (r->n) {
    n += bad(r, out + n);
    shift(r, 1);
    n += r->charset == SMTPF_CHARSET_UTF8 ? utf8_drain(r, out + n) : utf16_drain(r, out + n);
  }
  return n;
}
