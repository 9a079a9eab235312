/* SPDX-License-Identifier: MIT
 *
 *     state  | byte     | does
 *     TEXT   | =        | lets held blanks go out, -> ESCAPE
 *            | SP TAB   | held
 *            | CR       | held
 *            | LF       | forgets held blanks, CR and LF go out
 *            | other    | held bytes and it go out
 *     ESCAPE | hex      | kept, -> HEX
 *            | SP TAB   | -> BLANKS
 *            | CR       | -> BREAK
 *            | LF       | -> TEXT: a soft line break
 *            | other    | `=` goes out, ALIEN, then as in TEXT
 *     HEX    | hex      | the byte goes out, -> TEXT
 *            | other    | `=` and the digit go out, ALIEN, then as in TEXT
 *     BLANKS | SP TAB   | nothing
 *            | CR, LF   | -> BREAK, TEXT
 *            | other    | `=` goes out, ALIEN, then as in TEXT
 *     BREAK  | LF       | -> TEXT
 *            | other    | ALIEN, then as in TEXT
 *
 * Digits in lower case are taken as well.
 */
#include <string.h>

#include "mail/decode.h"

enum { TEXT, ESCAPE, HEX, BLANKS, BREAK };

int smtpf_hex_value(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

static char *release(smtpf_qp *d, char *to)
{
  d->over = 0;
  if (d->blanks) {
    memcpy(to, d->held, d->blanks);
    to += d->blanks;
    d->blanks = 0;
  }
  if (d->cr)
    *to++ = '\r';
  d->cr = 0;
  return to;
}

/* Only now is it known that blanks which went out stood at the end of a line. */
static void end_line(smtpf_qp *d)
{
  if (d->over)
    d->flags |= SMTPF_DECODE_LONG;
  d->blanks = 0;
}

static char *text(smtpf_qp *d, char c, char *to)
{
  if (c == '\n') {
    end_line(d);
    to = release(d, to);
    *to++ = '\n';
    return to;
  }
  if (c == ' ' || c == '\t') {
    if (d->cr || d->blanks == SMTPF_QP_BLANKS) {
      const uint8_t over = !d->cr;
      to = release(d, to);
      d->over = over;
    }
    d->held[d->blanks++] = c;
    return to;
  }
  if (c == '\r' && !d->cr) {
    d->cr = 1;
    return to;
  }
  to = release(d, to);
  if (c == '\r')
    d->cr = 1;
  else if (c == '=')
    d->state = ESCAPE;
  else
    *to++ = c;
  return to;
}

/* The byte does not belong to what `=` began. */
static char *alien(smtpf_qp *d, char c, char *to)
{
  if (d->state != BREAK)
    *to++ = '=';
  if (d->state == HEX)
    *to++ = d->first;
  d->flags |= SMTPF_DECODE_ALIEN;
  d->state = TEXT;
  return text(d, c, to);
}

static char *escaped(smtpf_qp *d, char c, char *to)
{
  const int hex = smtpf_hex_value(c);
  if (c == '\n' && d->state != HEX) {
    d->state = TEXT;
  } else if (c == '\r' && (d->state == ESCAPE || d->state == BLANKS)) {
    d->state = BREAK;
  } else if ((c == ' ' || c == '\t') && (d->state == ESCAPE || d->state == BLANKS)) {
    d->state = BLANKS;
  } else if (hex >= 0 && d->state == ESCAPE) {
    d->first = c;
    d->state = HEX;
  } else if (hex >= 0 && d->state == HEX) {
    *to++ = (char)(smtpf_hex_value(d->first) * 16 + hex);
    d->state = TEXT;
  } else {
    to = alien(d, c, to);
  }
  return to;
}

static int is_plain(char c)
{
  return c != '=' && c != '\r' && c != '\n';
}

/* Bytes up to the next that means something, blanks among them. Those at a line's end, as far as it may be one, are
 * taken back: as many as would be held had they come one by one. */
static char *run(smtpf_qp *d, const char *p, size_t n, int open, char *to)
{
  size_t blanks = 0;
  memcpy(to, p, n);
  to += n;
  while (open && blanks < n && (p[n - 1 - blanks] == ' ' || p[n - 1 - blanks] == '\t'))
    blanks++;
  if (!blanks)
    return to;
  d->over = blanks > SMTPF_QP_BLANKS;
  d->blanks = (uint8_t)((blanks - 1) % SMTPF_QP_BLANKS + 1);
  to -= d->blanks;
  memcpy(d->held, to, d->blanks);
  return to;
}

size_t smtpf_qp_feed(smtpf_qp *d, const char *p, size_t n, char *out)
{
  const char *end = p + n;
  char *to = out;
  while (p < end) {
    if (d->state != TEXT) {
      to = escaped(d, *p++, to);
      continue;
    }
    if (!d->blanks && !d->cr) {
      const char *begin = p;
      while (p < end && is_plain(*p))
        p++;
      if (p > begin)
        to = run(d, begin, (size_t)(p - begin), p == end || *p != '=', to);
      if (p == end)
        break;
    }
    to = text(d, *p++, to);
  }
  return (size_t)(to - out);
}

size_t smtpf_qp_finish(smtpf_qp *d, char *out)
{
  char *to = out;
  if (d->state == HEX) {
    *to++ = '=';
    *to++ = d->first;
  }
  if (d->state == HEX)
    d->flags |= SMTPF_DECODE_CUT;
  end_line(d); /* the end of the part is one */
  to = release(d, to);
  d->state = TEXT;
  return (size_t)(to - out);
}
