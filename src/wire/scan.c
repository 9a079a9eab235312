/* SPDX-License-Identifier: MIT */
#include "wire/scan.h"

#include "wire/plain.h"

enum { LINE_START, TEXT, AFTER_CR, DOT, DOT_CR };

static const smtpf_str crlf = {"\r\n", 2};

void smtpf_scan_start(smtpf_scan *s, int dots)
{
  s->line = 0;
  s->state = LINE_START;
  s->bad = 0;
  s->dots = dots != 0;
}

static void spoil(smtpf_scan *s, int bad)
{
  if (!s->bad)
    s->bad = (uint8_t)bad;
}

static int give(const smtpf_scan *s, smtpf_str *piece, const char *p, size_t n)
{
  if (s->bad)
    return SMTPF_SCAN_MORE;
  *piece = (smtpf_str){p, n};
  return SMTPF_SCAN_PIECE;
}

/* A CR or LF that stands alone. The wire's line goes on behind it, so that no dot there is special. */
static int bare(smtpf_scan *s, int bad, smtpf_str *piece)
{
  s->state = TEXT;
  s->line = 0;
  if (!s->normalise)
    spoil(s, bad);
  return give(s, piece, crlf.p, crlf.n);
}

static size_t room(const smtpf_scan *s)
{
  return s->bad ? SIZE_MAX : (size_t)s->line_max - crlf.n - s->line;
}

/* What a stretch of plain text does to state and line. */
static void pass(smtpf_scan *s, const char *p, size_t n)
{
  size_t tail = smtpf_plain_tail(p, n);
  s->state = tail ? TEXT : LINE_START;
  if (!s->bad)
    s->line = (uint32_t)(tail < n ? tail : s->line + n);
}

/* How many bytes at `p` can be passed on as they are; state and line are moved along. Every stretch found by blocks has
 * at least one byte looked at here before it, and is no longer than what its first line may still grow. */
static size_t run(smtpf_scan *s, const char *p, size_t n)
{
  size_t i = 0;
  while (i < n) {
    char c = p[i];
    if (c == '\r') {
      if (i + 1 == n || p[i + 1] != '\n')
        break;
      i += 2;
      s->line = 0;
      s->state = LINE_START;
    } else {
      if (c == '\n' || c == '\0' || (c == '.' && s->state == LINE_START && s->dots) || !room(s))
        break;
      i++;
      s->line += s->bad ? 0u : 1u;
      s->state = TEXT;
    }
    size_t most = room(s);
    size_t k = smtpf_plain_span(p + i, n - i < most ? n - i : most);
    if (k)
      pass(s, p + i, k);
    i += k;
  }
  return i;
}

static int text(smtpf_scan *s, const char **p, const char *end, smtpf_str *piece)
{
  const char *from = *p;
  size_t n = run(s, from, (size_t)(end - from));
  *p += n;
  if (n)
    return give(s, piece, from, n);
  switch (*(*p)++) {
  case '\r': s->state = AFTER_CR; return SMTPF_SCAN_MORE;
  case '\n': return bare(s, SMTPF_BAD_LF, piece);
  case '\0': spoil(s, SMTPF_BAD_NUL); break;
  default: spoil(s, SMTPF_BAD_LINE); break;
  }
  s->state = TEXT;
  return SMTPF_SCAN_MORE;
}

static int after_cr(smtpf_scan *s, const char **p, smtpf_str *piece)
{
  if (**p != '\n')
    return bare(s, SMTPF_BAD_CR, piece);
  ++*p;
  s->state = LINE_START;
  s->line = 0;
  return give(s, piece, crlf.p, crlf.n);
}

static int after_dot(smtpf_scan *s, const char **p)
{
  if (**p != '\r') {
    s->state = TEXT;
  } else {
    ++*p;
    s->state = DOT_CR;
  }
  return SMTPF_SCAN_MORE;
}

static int after_dot_cr(smtpf_scan *s, const char **p, smtpf_str *piece)
{
  if (**p != '\n')
    return bare(s, SMTPF_BAD_CR, piece);
  ++*p;
  s->state = LINE_START;
  return SMTPF_SCAN_END;
}

int smtpf_scan_next(smtpf_scan *s, const char **in, size_t *n, smtpf_str *piece)
{
  const char *p = *in, *end = p + *n;
  int r = SMTPF_SCAN_MORE;
  while (p < end && r == SMTPF_SCAN_MORE) {
    if (s->state == LINE_START && *p == '.' && s->dots) {
      p++;
      s->state = DOT;
    } else if (s->state == AFTER_CR) {
      r = after_cr(s, &p, piece);
    } else if (s->state == DOT) {
      r = after_dot(s, &p);
    } else if (s->state == DOT_CR) {
      r = after_dot_cr(s, &p, piece);
    } else {
      r = text(s, &p, end, piece);
    }
  }
  *in = p;
  *n = (size_t)(end - p);
  return r;
}

int smtpf_scan_close(smtpf_scan *s, smtpf_str *piece)
{
  if (s->state != AFTER_CR)
    return SMTPF_SCAN_END;
  return bare(s, SMTPF_BAD_CR, piece) == SMTPF_SCAN_PIECE ? SMTPF_SCAN_PIECE : SMTPF_SCAN_END;
}
