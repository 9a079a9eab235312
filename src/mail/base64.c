/* SPDX-License-Identifier: MIT
 *
 * What a byte does, by how many sextets of a group are held:
 *
 *     held | alphabet             | =                                      | white space | other
 *     0    | held                 | the second one of a padding, else odd  | nothing     | ALIEN
 *     1    | held                 | PADDING                                | nothing     | ALIEN
 *     2    | held                 | one byte out, group over, one = owed   | nothing     | ALIEN
 *     3    | three bytes out      | two bytes out, group over              | nothing     | ALIEN
 *
 * The alphabet behind a padding is odd as well, and begins a new group: some readers show it.
 */
#include <string.h>

#include "mail/decode.h"

enum { BLANK = 64, PAD = 65, ALIEN = 66 };

/* One row for sixteen bytes: the value of a letter of the alphabet, or the kind of byte. */
static const uint8_t value[256] = {
    /* clang-format off */
    66, 66, 66, 66, 66, 66, 66, 66, 66, 64, 64, 66, 66, 64, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    64, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 62, 66, 66, 66, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 66, 66, 65, 66, 66,
    66,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 66, 66, 66, 66, 66,
    66, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66, 66,
    /* clang-format on */
};

static size_t pad(smtpf_base64 *d, char *out)
{
  const unsigned held = d->n;
  if (held < 2) {
    if (held == 0 && d->owed)
      d->owed--;
    else
      d->flags |= SMTPF_DECODE_PADDING;
    return 0;
  }
  const uint32_t bits = d->bits << 6 * (4 - held);
  out[0] = (char)(bits >> 16);
  if (held == 3)
    out[1] = (char)(bits >> 8);
  d->n = 0;
  d->bits = 0;
  d->ended = 1;
  d->owed = held == 2;
  return held - 1;
}

/* One byte, whatever it is. */
static size_t slow(smtpf_base64 *d, char c, char *out)
{
  const uint8_t v = value[(unsigned char)c];
  if (v == PAD)
    return pad(d, out);
  if (v >= BLANK) {
    d->flags |= v == ALIEN ? SMTPF_DECODE_ALIEN : 0;
    return 0;
  }
  if (d->ended) {
    d->flags |= SMTPF_DECODE_PADDING;
    d->ended = d->owed = 0;
  }
  d->bits = d->bits << 6 | v;
  if (++d->n < 4)
    return 0;
  out[0] = (char)(d->bits >> 16);
  out[1] = (char)(d->bits >> 8);
  out[2] = (char)d->bits;
  d->n = 0;
  d->bits = 0;
  return 3;
}

size_t smtpf_base64_feed(smtpf_base64 *d, const char *p, size_t n, char *out)
{
  const unsigned char *in = (const unsigned char *)p, *end = in + n;
  char *to = out;
  while (in < end) {
    if (d->n == 0 && !d->ended) {
      for (; end - in >= 4; in += 4, to += 3) {
        const unsigned a = value[in[0]], b = value[in[1]], c = value[in[2]], e = value[in[3]];
        if ((a | b | c | e) >= BLANK)
          break;
        const uint32_t bits = a << 18 | b << 12 | c << 6 | e;
        to[0] = (char)(bits >> 16);
        to[1] = (char)(bits >> 8);
        to[2] = (char)bits;
      }
      if (in == end)
        break;
    }
    to += slow(d, (char)*in++, to);
  }
  return (size_t)(to - out);
}

size_t smtpf_base64_finish(smtpf_base64 *d, char *out)
{
  size_t n = 0;
  if (d->n || d->owed)
    d->flags |= SMTPF_DECODE_CUT;
  if (d->n > 1)
    n = pad(d, out);
  d->n = d->owed = 0;
  d->bits = 0;
  return n;
}
