/* SPDX-License-Identifier: MIT */
#include <smtpfilter/wire.h>
#include <string.h>

#include "wire/plain.h"

/* The states of smtpf_dot. Zero is the start of a message. A dot behind any LF is stuffed, also behind a bare one that
 * a host let in from elsewhere: a receiver that takes it for a line end shall find no end of message there. */
enum { AT_START, IN_LINE, BEHIND_CR };

/* How many of `n` bytes at `p` need no dot put in. At least one is looked at here, as smtpf_plain_span() asks. */
static size_t untouched(smtpf_dot *d, const char *p, size_t n)
{
  size_t i = 0;
  while (i < n && !(d->state == AT_START && p[i] == '.')) {
    char c = p[i++];
    d->state = c == '\n' ? AT_START : c == '\r' ? BEHIND_CR : IN_LINE;
    if (c != '\r') {
      size_t k = smtpf_plain_span(p + i, n - i);
      if (k)
        d->state = p[i + k - 1] == '\n' ? AT_START : IN_LINE;
      i += k;
    }
  }
  return i;
}

size_t smtpf_dot_stuff(smtpf_dot *d, const char **in, size_t *n, char *out, size_t cap)
{
  size_t w = 0;
  while (*n && w < cap) {
    size_t k = untouched(d, *in, *n < cap - w ? *n : cap - w);
    memcpy(out + w, *in, k);
    w += k;
    *in += k;
    *n -= k;
    if (*n && w < cap && d->state == AT_START && **in == '.') {
      out[w++] = '.';
      d->state = IN_LINE;
    }
  }
  return w;
}

size_t smtpf_dot_end(smtpf_dot *d, char out[5])
{
  static const char end[] = {'\r', '\n', '.', '\r', '\n'};
  size_t skip = d->state == AT_START ? 2 : d->state == BEHIND_CR ? 1 : 0;
  memcpy(out, end + skip, sizeof end - skip);
  d->state = AT_START;
  return sizeof end - skip;
}
