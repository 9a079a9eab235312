/* SPDX-License-Identifier: MIT */
#include "content_reader.h"

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"
#include "mail/encoded_word.h"
#include "mail/mime.h"
#include "mail/text.h"
#include "session.h"

struct smtpf_content_reader {
  struct smtpf_run *run;
  smtpf_arena arena; /* of the rest; what the walker needs is bounded by its limits */
  smtpf_mime mime;
  smtpf_text text;
  smtpf_part part;
  uint8_t is_text; /* the leaf being read */
  uint8_t ended;
  char *words; /* room for a field's value, decoded */
  size_t words_cap;
  char *utf8; /* room for a piece of text */
};

static void tell(struct smtpf_content_reader *c, smtpf_piece *piece)
{
  piece->size = sizeof *piece;
  for (size_t i = 0; i < c->run->n; i++) {
    smtpf_task *t = &c->run->tasks[i];
    if (t->opened->check->content && t->state != SMTPF_TASK_DONE)
      t->opened->check->content(t->opened->self, t, piece);
  }
}

/* ---- the walker's events --------------------------------------------------------------------------------------------
 */

static void on_field(void *user, uint32_t part, const smtpf_header_field *field)
{
  struct smtpf_content_reader *c = user;
  smtpf_out decoded;
  smtpf_out_init(&decoded, c->words, c->words_cap);
  smtpf_words_decode(field->value, &decoded, NULL);
  tell(c, &(smtpf_piece){.kind = SMTPF_PIECE_FIELD,
                         .index = part,
                         .name = field->name,
                         .bytes = smtpf_out_done(&decoded),
                         .raw = field->value});
}

static smtpf_part as_public(const smtpf_mime_part *p)
{
  return (smtpf_part){.size = sizeof(smtpf_part),
                      .index = p->index,
                      .parent = p->parent,
                      .depth = p->depth,
                      .holds_parts = p->kind != SMTPF_MIME_LEAF,
                      .type = p->type,
                      .charset = p->charset_name,
                      .disposition = p->disposition,
                      .filename = p->filename.n ? p->filename : p->name};
}

static int is_text(smtpf_str type)
{
  const smtpf_str text = SMTPF_LIT("text/");
  return (type.n > text.n && smtpf_str_equal((smtpf_str){type.p, text.n}, text)) ||
         smtpf_str_equal(type, SMTPF_LIT("application/xhtml+xml"));
}

static void on_begin(void *user, const smtpf_mime_part *part)
{
  struct smtpf_content_reader *c = user;
  c->part = as_public(part);
  c->is_text = part->kind == SMTPF_MIME_LEAF && is_text(part->type);
  if (c->is_text)
    smtpf_text_init(&c->text, part->type, part->charset);
  tell(c, &(smtpf_piece){.kind = SMTPF_PIECE_BEGIN, .index = part->index, .part = &c->part});
}

static void tell_text(struct smtpf_content_reader *c, size_t n)
{
  if (n)
    tell(c, &(smtpf_piece){.kind = SMTPF_PIECE_TEXT, .index = c->part.index, .part = &c->part, .bytes = {c->utf8, n}});
}

static void on_data(void *user, const smtpf_mime_part *part, smtpf_str bytes)
{
  struct smtpf_content_reader *c = user;
  tell(c, &(smtpf_piece){.kind = SMTPF_PIECE_DATA, .index = part->index, .part = &c->part, .bytes = bytes});
  if (c->is_text)
    tell_text(c, smtpf_text_feed(&c->text, bytes.p, bytes.n, c->utf8));
}

static void on_outside(void *user, uint32_t part, int where, smtpf_str bytes)
{
  (void)where;
  tell(user, &(smtpf_piece){.kind = SMTPF_PIECE_OUTSIDE, .index = part, .bytes = bytes});
}

static void on_end(void *user, uint32_t part, uint64_t offset)
{
  struct smtpf_content_reader *c = user;
  (void)offset;
  if (c->is_text && part == c->part.index) {
    tell_text(c, smtpf_text_finish(&c->text, c->utf8));
    c->is_text = 0;
  }
  tell(c, &(smtpf_piece){.kind = SMTPF_PIECE_END, .index = part});
}

static const char *defect_name(int defect)
{
  static const struct {
    int defect;
    const char *name;
  } table[] = {
      {SMTPF_MIME_NO_END, "no-end"},
      {SMTPF_MIME_NO_PARTS, "no-parts"},
      {SMTPF_MIME_NO_BOUNDARY, "no-boundary"},
      {SMTPF_MIME_BOUNDARY_LONG, "boundary-long"},
      {SMTPF_MIME_TOO_DEEP, "too-deep"},
      {SMTPF_MIME_TOO_MANY, "too-many"},
      {SMTPF_MIME_HEADER_LONG, "header-long"},
      {SMTPF_MIME_FIELD_CUT, "field-cut"},
      {SMTPF_MIME_TEXT_CUT, "text-cut"},
      {SMTPF_MIME_HEADER_HIGH, "header-high"},
      {SMTPF_MIME_HEADER_CONTROL, "header-control"},
      {SMTPF_MIME_HEADER_BAD, "header-bad"},
      {SMTPF_MIME_FIELD_TWICE, "field-twice"},
      {SMTPF_MIME_TYPE_BAD, "type-bad"},
      {SMTPF_MIME_PARAM_BAD, "param-bad"},
      {SMTPF_MIME_ENCODING_UNKNOWN, "encoding-unknown"},
      {SMTPF_MIME_ENCODING_ILLEGAL, "encoding-illegal"},
      {SMTPF_MIME_ENCODING_BAD, "encoding-bad"},
      {SMTPF_MIME_NUL, "nul"},
      {SMTPF_MIME_HEADER_OPEN, "header-open"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (table[i].defect == defect)
      return table[i].name;
  return "defect";
}

static void on_defect(void *user, uint32_t part, int defect, uint64_t offset)
{
  (void)offset;
  tell(user, &(smtpf_piece){.kind = SMTPF_PIECE_DEFECT, .index = part, .name = smtpf_str_of(defect_name(defect))});
}

/* ---- life -----------------------------------------------------------------------------------------------------------
 */

static int is_asked(const struct smtpf_run *r)
{
  for (size_t i = 0; i < r->n; i++)
    if (r->tasks[i].opened->check->content && r->tasks[i].state != SMTPF_TASK_DONE)
      return 1;
  return 0;
}

/* Room for everything. SMTPF_OK or SMTPF_ENOMEM. */
static int furnish(struct smtpf_content_reader *c)
{
  static const smtpf_mime_handler handler = {on_field, on_begin, on_data, on_outside, on_end, on_defect};
  const smtpf_mime_limits *l = &smtpf_mime_limits_default;
  void *room = smtpf_arena_alloc(&c->arena, smtpf_mime_room(l));
  c->words_cap = (size_t)l->field * 3;
  c->words = smtpf_arena_bytes(&c->arena, c->words_cap);
  c->utf8 = smtpf_arena_bytes(&c->arena, SMTPF_TEXT_ROOM((size_t)l->piece));
  if (!room || !c->words || !c->utf8)
    return SMTPF_ENOMEM;
  return smtpf_mime_init(&c->mime, l, room, &handler, c);
}

int smtpf_content_begin(smtpf_session *s, struct smtpf_run *r)
{
  if (!is_asked(r))
    return SMTPF_OK;
  struct smtpf_content_reader *c = smtpf_mem_zalloc(&s->driver->mem, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  c->run = r;
  smtpf_arena_init(&c->arena, &s->driver->mem, (size_t)s->engine->limits.chunk, SIZE_MAX);
  s->reader = c;
  return furnish(c);
}

void smtpf_content_feed(smtpf_session *s, const char *bytes, size_t n)
{
  if (s->reader && n)
    smtpf_mime_feed(&s->reader->mime, bytes, n);
}

void smtpf_content_finish(smtpf_session *s)
{
  struct smtpf_content_reader *c = s->reader;
  if (!c || c->ended)
    return;
  c->ended = 1;
  smtpf_mime_finish(&c->mime);
}

void smtpf_content_end(smtpf_session *s)
{
  struct smtpf_content_reader *c = s->reader;
  s->reader = NULL;
  if (!c)
    return;
  smtpf_arena_clear(&c->arena);
  smtpf_mem_free(&s->driver->mem, c);
}
