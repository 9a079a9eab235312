/* SPDX-License-Identifier: MIT */
#include "mail/header.h"

#include <string.h>

#include "base/str.h"
#include "mail/class.h"

/* At the start of a line the reader must see one byte to know whether the field goes on. A CR is held back until
 * the byte behind it is known. */
enum { LINE_START, IN_LINE };

void smtpf_header_init(smtpf_header *h, char *room, size_t cap, smtpf_header_fn *field, void *user)
{
  *h = (smtpf_header){.room = room, .cap = cap, .field = field, .user = user};
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t';
}

static smtpf_str trim(smtpf_str s)
{
  while (s.n && is_blank(s.p[0])) {
    s.p++;
    s.n--;
  }
  while (s.n && is_blank(s.p[s.n - 1]))
    s.n--;
  return s;
}

static void keep(smtpf_header *h, const char *p, size_t n)
{
  size_t fits = h->cap - h->n;
  if (n > fits) {
    n = fits;
    h->truncated = 1;
  }
  if (n)
    memcpy(h->room + h->n, p, n);
  h->n += n;
}

/* Splits what was kept into name and value. */
static void split(smtpf_str text, smtpf_header_field *f)
{
  size_t name = 0, at;
  while (name < text.n && smtpf_is_class(text.p[name], SMTPF_CLASS_FTEXT))
    name++;
  for (at = name; at < text.n && is_blank(text.p[at]);)
    at++;
  if (name && at < text.n && text.p[at] == ':') {
    f->name = (smtpf_str){text.p, name};
    f->value = trim((smtpf_str){text.p + at + 1, text.n - at - 1});
    f->flags |= at > name ? SMTPF_HEADER_OBSOLETE : 0;
  } else {
    f->value = trim(text);
    f->flags |= SMTPF_HEADER_MALFORMED;
  }
}

static int has_high(const char *p, size_t n)
{
  uint64_t word, all = 0;
  for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
    memcpy(&word, p, sizeof word);
    all |= word;
  }
  for (; n; n--, p++)
    all |= (unsigned char)*p;
  return (all & 0x8080808080808080u) != 0;
}

/* Reports the field in `room`, which ended where `end` stands. */
static void report(smtpf_header *h, uint64_t end)
{
  if (end == h->begin)
    return;
  h->fields++;
  if (h->field) {
    smtpf_header_field f = {.offset = h->begin, .size = end - h->begin};
    f.flags = has_high(h->room, h->n) ? SMTPF_HEADER_HIGH : 0;
    if (h->n && (memchr(h->room, '\0', h->n) || memchr(h->room, '\r', h->n)))
      f.flags |= SMTPF_HEADER_CONTROL;
    f.flags |= h->truncated ? SMTPF_HEADER_TRUNCATED : 0;
    split((smtpf_str){h->room, h->n}, &f);
    h->field(h->user, &f);
  }
  h->n = 0;
  h->truncated = 0;
  h->begin = end;
}

/* The first byte of a line, at offset `at`: goes on, begins anew, or ends the section. */
static void start_line(smtpf_header *h, char c, uint64_t at)
{
  if (!is_blank(c))
    report(h, at);
  h->state = IN_LINE;
}

/* The part of a line before its LF, or before the end of the piece. */
static void take_text(smtpf_header *h, const char *p, size_t n)
{
  if (!n)
    return;
  if (h->cr) {
    keep(h, "\r", 1);
    h->cr = 0;
  }
  if (p[n - 1] == '\r') {
    h->cr = 1;
    n--;
  }
  keep(h, p, n);
}

size_t smtpf_header_feed(smtpf_header *h, const char *p, size_t n)
{
  size_t at = 0;
  while (at < n && !h->ended) {
    const char *line = p + at;
    const char *lf = memchr(line, '\n', n - at);
    const size_t len = lf ? (size_t)(lf - line) : n - at;
    const uint64_t offset = h->bytes;
    h->bytes += len + (lf != NULL);
    at += len + (lf != NULL);
    /* A CR held back from the piece before begins this line; one alone in this piece may yet belong to its end. */
    const size_t undecided = !h->cr && line[0] == '\r';
    if (h->state == LINE_START && len > undecided)
      start_line(h, h->cr ? '\r' : line[0], h->cr ? offset - 1 : offset);
    if (h->state == LINE_START && lf) {
      /* Nothing, or a CR alone, before the LF: the empty line. */
      report(h, h->cr ? offset - 1 : offset);
      h->ended = h->separated = 1;
      h->cr = 0;
      break;
    }
    take_text(h, line, len);
    if (lf) {
      h->cr = 0;
      h->state = LINE_START;
    }
  }
  return at;
}

void smtpf_header_settle(smtpf_header *h)
{
  if (!h->ended && h->state == LINE_START && !h->cr)
    report(h, h->bytes);
}

void smtpf_header_finish(smtpf_header *h)
{
  if (h->ended)
    return;
  if (h->cr) {
    if (h->state == LINE_START)
      start_line(h, '\r', h->bytes - 1);
    keep(h, "\r", 1);
    h->cr = 0;
  }
  report(h, h->bytes);
  h->ended = 1;
}
