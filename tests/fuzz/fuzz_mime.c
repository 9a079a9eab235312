/* SPDX-License-Identifier: MIT
 *
 * The walker. The first two bytes choose the limits and how the rest is cut; what is told must be the same as for the
 * whole, within the limits, and every byte must come out that is no delimiter's.
 */
#include <stdlib.h>
#include <string.h>

#include "mail/mime.h"
#include "mail/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

static const smtpf_mime_limits limits[] = {
    {.depth = 3, .parts = 8, .header = 200, .field = 100, .text = 64, .boundary = 80, .piece = 512},
    {.depth = 0, .parts = 1, .header = 0, .field = 0, .text = 0, .boundary = 70, .piece = 512},
    {.depth = 16, .parts = 1000, .header = 65536, .field = 4096, .text = 512, .boundary = 300, .piece = 700},
};

/* What was told, as one number. */
struct digest {
  const smtpf_mime_limits *limits;
  uint64_t hash;
  uint32_t open, begun, ended;
  smtpf_text text;
};

static void mix(struct digest *d, const void *p, size_t n)
{
  const unsigned char *b = p;
  for (size_t i = 0; i < n; i++)
    d->hash = (d->hash ^ b[i]) * 1099511628211u;
  d->hash = (d->hash ^ n) * 1099511628211u;
}

static void mix_number(struct digest *d, uint64_t v)
{
  mix(d, &v, sizeof v);
}

static void on_field(void *user, uint32_t part, const smtpf_header_field *f)
{
  struct digest *d = user;
  MUST(f->value.n + f->name.n <= d->limits->field);
  mix_number(d, part);
  mix(d, f->name.p, f->name.n);
  mix(d, f->value.p, f->value.n);
  mix_number(d, f->offset);
}

static void on_begin(void *user, const smtpf_mime_part *p)
{
  struct digest *d = user;
  const smtpf_str strings[] = {p->type, p->charset_name, p->disposition, p->filename, p->name};
  MUST(p->index == d->begun && p->index < d->limits->parts && p->depth <= d->limits->depth);
  MUST(p->index == 0 || p->parent < p->index);
  MUST(p->depth == d->open && p->header <= p->body);
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
    mix(d, strings[i].p, strings[i].n);
  mix_number(d, p->header << 32 | p->body);
  mix_number(d, (uint64_t)p->kind << 8 | p->encoding);
  d->begun++;
  d->open++;
  smtpf_text_init(&d->text, p->type, p->charset);
}

static void on_data(void *user, const smtpf_mime_part *p, smtpf_str piece)
{
  struct digest *d = user;
  char *said = malloc(SMTPF_TEXT_ROOM(piece.n));
  MUST(said && p->index + 1 == d->begun && p->kind == SMTPF_MIME_LEAF);
  MUST(piece.n > 0 && piece.n <= d->limits->piece);
  mix(d, piece.p, piece.n);
  const size_t n = smtpf_text_feed(&d->text, piece.p, piece.n, said);
  MUST(n <= SMTPF_TEXT_ROOM(piece.n));
  mix(d, said, n);
  free(said);
}

static void on_outside(void *user, uint32_t part, int where, smtpf_str piece)
{
  struct digest *d = user;
  MUST(part < d->begun && piece.n > 0 && piece.n <= d->limits->piece);
  mix_number(d, (uint64_t)where);
  mix(d, piece.p, piece.n);
}

static void on_end(void *user, uint32_t part, uint64_t offset)
{
  struct digest *d = user;
  MUST(part < d->begun && d->open > 0);
  d->open--;
  d->ended++;
  mix_number(d, (uint64_t)part << 32 | offset);
}

static void on_defect(void *user, uint32_t part, int defect, uint64_t offset)
{
  struct digest *d = user;
  MUST(defect > 0 && (defect & (defect - 1)) == 0);
  mix_number(d, (uint64_t)part << 32 | (uint64_t)defect);
  mix_number(d, offset);
}

static uint64_t walk(const smtpf_mime_limits *l, const uint8_t *p, size_t n, size_t piece)
{
  const smtpf_mime_handler handler = {on_field, on_begin, on_data, on_outside, on_end, on_defect};
  struct digest d = {.limits = l};
  smtpf_mime m;
  void *room = malloc(smtpf_mime_room(l));
  MUST(room && smtpf_mime_init(&m, l, room, &handler, &d) == SMTPF_OK);
  for (size_t at = 0, step; at < n; at += step) {
    step = piece && piece < n - at ? piece : n - at;
    char *exact = malloc(step);
    MUST(exact);
    memcpy(exact, p + at, step);
    smtpf_mime_feed(&m, exact, step);
    free(exact);
  }
  smtpf_mime_finish(&m);
  free(room);
  MUST(m.bytes == n && d.open == 0 && d.ended == d.begun && d.begun == m.parts && d.begun > 0);
  return d.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < 2)
    return 0;
  const smtpf_mime_limits *l = &limits[data[0] % 3];
  const uint64_t whole = walk(l, data + 2, size - 2, 0);
  MUST(walk(l, data + 2, size - 2, data[1] % 32u + 1) == whole);
  MUST(walk(l, data + 2, size - 2, 1) == whole);
  return 0;
}
