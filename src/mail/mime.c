/* SPDX-License-Identifier: MIT
 *
 * Lines. What is a delimiter shows at a line's start, and the line end before a delimiter belongs to it: so both are
 * held back until they are known.
 *
 *     `--` boundary, then              | does
 *     end of line, blank, CR           | a part of that level begins
 *     `--`, then anything              | that level has no more parts
 *     anything else                    | no delimiter
 *
 * Of several boundaries that fit the longest counts, of equal ones the innermost; a level that has ended has none.
 * Levels within the one that fits end with it. A multipart's own delimiter also ends its header section, if nothing
 * else did.
 *
 *     mode      | a line goes to                     | ends with
 *     IN_HEADER | the header reader                  | an empty line, a delimiter
 *     IN_LEAF   | the decoder, then `data`           | a delimiter
 *     OUTSIDE   | `outside`: preamble or epilogue    | a delimiter
 *     LOST      | `outside`: beyond limits.parts     | the message
 */
#include "mail/mime.h"

#include <string.h>

#include "mail/mime_walk.h"

enum { LF = 1, CRLF = 2 }; /* as many bytes as they have */
enum { NOTHING = 0, OPENS, CLOSES };
enum { BOUNDARY_LEAST = 70, PIECE_LEAST = 512, SPARE = 128 };

const smtpf_mime_limits smtpf_mime_limits_default = {.depth = 16,
                                                     .parts = 1000,
                                                     .header = 256 * 1024,
                                                     .field = 16 * 1024,
                                                     .text = 4096,
                                                     .boundary = 4096,
                                                     .piece = 4096};

static size_t line_room(const smtpf_mime_limits *l)
{
  return (size_t)l->boundary + 4;
}

size_t smtpf_mime_room(const smtpf_mime_limits *l)
{
  return l->depth * sizeof(smtpf_mime_level) + l->boundary + line_room(l) + l->field + l->text + l->piece + SPARE;
}

int smtpf_mime_init(smtpf_mime *m, const smtpf_mime_limits *limits, void *room, const smtpf_mime_handler *handler,
                    void *user)
{
  const smtpf_mime_limits *l = limits ? limits : &smtpf_mime_limits_default;
  if (!l->parts || l->boundary < BOUNDARY_LEAST || l->piece < PIECE_LEAST)
    return SMTPF_EINVAL;
  char *at = room;
  *m = (smtpf_mime){.limits = *l, .handler = *handler, .user = user, .levels = room};
  m->boundaries = at += l->depth * sizeof(smtpf_mime_level);
  m->line = at += l->boundary;
  m->header.room = at += line_room(l);
  at += l->field;
  smtpf_out_init(&m->text, at, l->text);
  m->piece = at + l->text;
  m->line_start = 1;
  return smtpf_mime_part_open(m, 0);
}

static void tell(smtpf_mime *m, uint32_t part, uint32_t *seen, uint32_t defect)
{
  if (*seen & defect)
    return;
  *seen |= defect;
  m->defects |= defect;
  if (m->handler.defect)
    m->handler.defect(m->user, part, (int)defect, m->here);
}

void smtpf_mime_note(smtpf_mime *m, uint32_t defect)
{
  smtpf_mime_level *level = m->depth ? &m->levels[m->depth - 1] : NULL;
  if (level && (m->mode == SMTPF_MIME_OUTSIDE || m->mode == SMTPF_MIME_LOST))
    tell(m, level->part, &level->defects, defect);
  else
    tell(m, m->part.index, &m->part.defects, defect);
}

void smtpf_mime_lose(smtpf_mime *m)
{
  m->mode = SMTPF_MIME_LOST;
  m->reach = 0;
  smtpf_mime_note(m, SMTPF_MIME_TOO_MANY);
}

static void end(smtpf_mime *m, uint32_t part)
{
  if (m->handler.end)
    m->handler.end(m->user, part, m->here);
}

/* What is within the innermost level ends. */
static void end_inner(smtpf_mime *m)
{
  /* Twice at most: a message that begins where all ends has no header section, and is a leaf. */
  while (m->mode == SMTPF_MIME_IN_HEADER) {
    const uint64_t end_at = m->here;
    smtpf_header_finish(&m->header);
    smtpf_mime_part_known(m, m->part.header + m->header.bytes);
    m->here = end_at;
  }
  smtpf_mime_data_end(m);
  if (m->mode == SMTPF_MIME_IN_LEAF)
    end(m, m->part.index);
  if (m->mode != SMTPF_MIME_LOST)
    m->mode = SMTPF_MIME_OUTSIDE;
}

/* The innermost level ends. */
static void pop(smtpf_mime *m)
{
  smtpf_mime_level *level = &m->levels[--m->depth];
  if (level->kind == SMTPF_MIME_MULTIPART && !level->ended && m->mode != SMTPF_MIME_LOST)
    tell(m, level->part, &level->defects, level->begun ? SMTPF_MIME_NO_END : SMTPF_MIME_NO_PARTS);
  end(m, level->part);
}

static int waits(const smtpf_mime_level *level)
{
  return level->kind == SMTPF_MIME_MULTIPART && !level->ended;
}

void smtpf_mime_reach(smtpf_mime *m)
{
  uint32_t n = m->mode == SMTPF_MIME_IN_HEADER ? m->boundary : 0;
  for (uint32_t i = 0; i < m->depth; i++)
    if (waits(&m->levels[i]) && m->levels[i].n > n)
      n = m->levels[i].n;
  m->reach = n ? n + 4 : 0;
}

static void release(smtpf_mime *m)
{
  if (m->eol)
    smtpf_mime_data(m, m->eol == CRLF ? "\r\n" : "\n", m->eol);
  m->eol = 0;
}

/* Bytes of a line that is no delimiter, without its end. */
static void text(smtpf_mime *m, const char *p, size_t n)
{
  if (m->mode == SMTPF_MIME_IN_HEADER) {
    smtpf_header_feed(&m->header, p, n);
  } else if (n) {
    m->cr = p[n - 1] == '\r';
    smtpf_mime_data(m, p, n - m->cr);
  }
}

/* What the line in hand does to who waits for this boundary, by the table at the head. */
static int fits(const smtpf_mime *m, const char *boundary, size_t n)
{
  if (!n || m->held < n + 2 || memcmp(m->line + 2, boundary, n) != 0)
    return NOTHING;
  n += 2;
  if (m->held == n || m->line[n] == ' ' || m->line[n] == '\t' || m->line[n] == '\r')
    return OPENS;
  return m->held > n + 1 && m->line[n] == '-' && m->line[n + 1] == '-' ? CLOSES : NOTHING;
}

/* Whose delimiter the line in hand is: a level's number, or m->depth for the part whose header section is being read.
 * *does is NOTHING when it is none. */
static uint32_t whose(const smtpf_mime *m, int *does)
{
  uint32_t best = m->depth, length = 0;
  *does = NOTHING;
  if (m->held < 2 || m->line[1] != '-')
    return best;
  if (m->mode == SMTPF_MIME_IN_HEADER) {
    length = m->boundary;
    *does = fits(m, m->boundaries + smtpf_mime_boundary_end(m), length);
  }
  for (uint32_t i = m->depth; i-- > 0;) {
    const smtpf_mime_level *level = &m->levels[i];
    const int here = waits(level) ? fits(m, m->boundaries + level->at, level->n) : NOTHING;
    if (here != NOTHING && (*does == NOTHING || level->n > length)) {
      *does = here;
      best = i;
      length = level->n;
    }
  }
  return best;
}

static void delimiter(smtpf_mime *m, uint32_t at, int does)
{
  m->here = m->line_at - m->eol;
  m->eol = 0;
  if (at == m->depth) { /* its own, and its header section is still open */
    smtpf_header_finish(&m->header);
    smtpf_mime_note(m, SMTPF_MIME_HEADER_OPEN);
    smtpf_mime_part_known(m, m->line_at);
  }
  end_inner(m);
  while (m->depth > at + 1)
    pop(m);
  m->levels[at].begun = 1;
  m->levels[at].ended = does == CLOSES;
  m->after = (uint8_t)does;
  smtpf_mime_reach(m);
}

/* The line in hand is known as far as it matters. */
static void line_known(smtpf_mime *m)
{
  int does;
  const uint32_t at = whose(m, &does);
  m->line_start = 0;
  if (does != NOTHING) {
    delimiter(m, at, does);
  } else {
    release(m);
    text(m, m->line, m->held);
  }
  m->held = 0;
}

/* A line's first bytes. Returns what follows those it took. */
static const char *begin_line(smtpf_mime *m, const char *p, size_t n)
{
  if (!m->held) {
    m->line_at = m->bytes;
    if (*p == '-' && m->mode == SMTPF_MIME_IN_HEADER) { /* its own boundary may stand in the field before */
      smtpf_header_settle(&m->header);
      smtpf_mime_reach(m);
    }
    if (!m->reach || *p != '-') {
      m->line_start = 0;
      release(m);
      return p;
    }
  }
  n = n < m->reach - m->held ? n : m->reach - m->held;
  const char *lf = memchr(p, '\n', n);
  n = lf ? (size_t)(lf - p) : n;
  memcpy(m->line + m->held, p, n);
  m->held += (uint32_t)n;
  if (lf || m->held == m->reach || (m->held > 1 && m->line[1] != '-'))
    line_known(m);
  return p + n;
}

/* The LF in `p` behind which a delimiter may stand, or what follows is not known yet; NULL when there is none. */
static const char *last_line_end(const char *p, size_t n)
{
  const char *end = p + n, *lf;
  while ((lf = memchr(p, '\n', (size_t)(end - p))) && lf + 1 < end && lf[1] != '-')
    p = lf + 1;
  return lf;
}

/* Lines of a header section that are no delimiters, or the rest of one. */
static const char *header_lines(smtpf_mime *m, const char *p, size_t n)
{
  const char *lf = last_line_end(p, n);
  const size_t used = smtpf_header_feed(&m->header, p, lf ? (size_t)(lf + 1 - p) : n);
  m->line_start = lf != NULL;
  if (m->header.ended) {
    smtpf_mime_part_known(m, m->part.header + m->header.bytes);
    m->line_start = 1;
  }
  return p + used;
}

/* Lines of a body, and so on. */
static const char *body_lines(smtpf_mime *m, const char *p, size_t n)
{
  if (!m->reach) {
    smtpf_mime_data(m, p, n);
    return p + n;
  }
  const char *lf = last_line_end(p, n);
  if (m->cr && lf != p) {
    m->cr = 0;
    smtpf_mime_data(m, "\r", 1);
  }
  text(m, p, lf ? (size_t)(lf - p) : n);
  if (!lf)
    return p + n;
  m->eol = m->cr ? CRLF : LF;
  m->cr = 0;
  m->line_start = 1;
  return lf + 1;
}

/* A delimiter's line is over, and what follows it begins at `offset`. */
static void delimited(smtpf_mime *m, uint64_t offset)
{
  const int opens = m->after == OPENS;
  m->after = NOTHING;
  m->line_start = 1;
  if (opens && smtpf_mime_part_open(m, offset) != SMTPF_OK)
    smtpf_mime_lose(m);
}

void smtpf_mime_feed(smtpf_mime *m, const char *p, size_t n)
{
  for (const char *end_at = p + n, *next; p < end_at; m->bytes += (uint64_t)(next - p), p = next) {
    n = (size_t)(end_at - p);
    if (m->after) {
      const char *lf = memchr(p, '\n', n);
      next = lf ? lf + 1 : end_at;
      if (lf)
        delimited(m, m->bytes + (uint64_t)(next - p));
    } else if (m->line_start) {
      next = begin_line(m, p, n);
    } else if (m->mode == SMTPF_MIME_IN_HEADER) {
      next = header_lines(m, p, n);
    } else {
      next = body_lines(m, p, n);
    }
  }
}

void smtpf_mime_finish(smtpf_mime *m)
{
  if (m->held)
    line_known(m);
  if (m->after)
    delimited(m, m->bytes);
  if (m->cr)
    smtpf_mime_data(m, "\r", 1);
  m->cr = 0;
  release(m);
  m->here = m->bytes;
  end_inner(m);
  while (m->depth)
    pop(m);
}
