/* SPDX-License-Identifier: MIT
 *
 * Lines between `begin MODE NAME` and `end`. The first byte of a line says how many bytes it holds; four printable
 * bytes stand for three. Blanks get lost at a line's end: what its last group lacks stands for zeros, and a line that
 * lacks more is flagged.
 */
#include <string.h>

#include "mail/decode.h"

enum { BEFORE, WITHIN, BEHIND };

static uint32_t sextet(const smtpf_uu *d, size_t at)
{
  return at < d->n ? ((uint32_t)(unsigned char)d->line[at] - 32) & 63 : 0;
}

static size_t line(smtpf_uu *d, char *out)
{
  size_t written = 0;
  if (d->n && d->line[d->n - 1] == '\r')
    d->n--;
  if (d->state == BEFORE) {
    if (d->n >= 6 && memcmp(d->line, "begin ", 6) == 0)
      d->state = WITHIN;
  } else if (d->state == WITHIN && d->n == 3 && memcmp(d->line, "end", 3) == 0) {
    d->state = BEHIND;
  } else if (d->state == WITHIN && d->n) {
    const unsigned char c = (unsigned char)d->line[0];
    const size_t there = ((size_t)d->n + 2) / 4 * 3;
    size_t bytes = sextet(d, 0);
    if (c < 32 || c > 96 || bytes > there)
      d->flags |= SMTPF_DECODE_ALIEN;
    bytes = bytes < there ? bytes : there;
    for (size_t at = 1; written < bytes; at += 4) {
      const uint32_t bits = sextet(d, at) << 18 | sextet(d, at + 1) << 12 | sextet(d, at + 2) << 6 | sextet(d, at + 3);
      for (int shift = 16; shift >= 0 && written < bytes; shift -= 8)
        out[written++] = (char)(bits >> shift);
    }
  }
  d->n = 0;
  return written;
}

size_t smtpf_uu_feed(smtpf_uu *d, const char *p, size_t n, char *out)
{
  size_t written = 0;
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '\n') {
      written += line(d, out + written);
    } else if (d->n < SMTPF_UU_LINE) {
      d->line[d->n++] = p[i];
    } else if (d->state == WITHIN) {
      d->flags |= SMTPF_DECODE_LONG;
    }
  }
  return written;
}

size_t smtpf_uu_finish(smtpf_uu *d, char *out)
{
  const size_t written = d->n ? line(d, out) : 0;
  if (d->state != BEHIND)
    d->flags |= SMTPF_DECODE_CUT;
  return written;
}
