/* SPDX-License-Identifier: MIT */
#include "piece_walk.h"

#include <stdlib.h>
#include <string.h>

#include "mail/mime.h"
#include "mail/text.h"

typedef struct walk {
  smtpf_mime mime;
  smtpf_text text;
  smtpf_part part;
  int is_text;
  char *utf8;
  void (*tell)(void *user, const smtpf_piece *piece);
  void *user;
} walk;

static void say(walk *w, smtpf_piece p)
{
  p.size = sizeof p;
  w->tell(w->user, &p);
}

static void on_field(void *user, uint32_t part, const smtpf_header_field *f)
{
  say(user,
      (smtpf_piece){.kind = SMTPF_PIECE_FIELD, .index = part, .name = f->name, .bytes = f->value, .raw = f->value});
}

static void on_begin(void *user, const smtpf_mime_part *p)
{
  walk *w = user;
  w->part = (smtpf_part){.size = sizeof w->part,
                         .index = p->index,
                         .parent = p->parent,
                         .depth = p->depth,
                         .holds_parts = p->kind != SMTPF_MIME_LEAF,
                         .type = p->type,
                         .charset = p->charset_name};
  w->is_text = p->kind == SMTPF_MIME_LEAF && p->type.n > 5 && !memcmp(p->type.p, "text/", 5);
  if (w->is_text)
    smtpf_text_init(&w->text, p->type, p->charset);
  say(w, (smtpf_piece){.kind = SMTPF_PIECE_BEGIN, .index = p->index, .part = &w->part});
}

static void say_text(walk *w, size_t n)
{
  if (n)
    say(w, (smtpf_piece){.kind = SMTPF_PIECE_TEXT, .index = w->part.index, .part = &w->part, .bytes = {w->utf8, n}});
}

static void on_data(void *user, const smtpf_mime_part *p, smtpf_str bytes)
{
  walk *w = user;
  say(w, (smtpf_piece){.kind = SMTPF_PIECE_DATA, .index = p->index, .part = &w->part, .bytes = bytes});
  if (w->is_text)
    say_text(w, smtpf_text_feed(&w->text, bytes.p, bytes.n, w->utf8));
}

static void on_outside(void *user, uint32_t part, int where, smtpf_str bytes)
{
  (void)where;
  say(user, (smtpf_piece){.kind = SMTPF_PIECE_OUTSIDE, .index = part, .bytes = bytes});
}

static void on_end(void *user, uint32_t part, uint64_t offset)
{
  walk *w = user;
  (void)offset;
  if (w->is_text && part == w->part.index) {
    say_text(w, smtpf_text_finish(&w->text, w->utf8));
    w->is_text = 0;
  }
  say(w, (smtpf_piece){.kind = SMTPF_PIECE_END, .index = part});
}

static void on_defect(void *user, uint32_t part, int defect, uint64_t offset)
{
  const char *name = defect == SMTPF_MIME_TOO_DEEP           ? "too-deep"
                     : defect == SMTPF_MIME_TOO_MANY         ? "too-many"
                     : defect == SMTPF_MIME_ENCODING_UNKNOWN ? "encoding-unknown"
                                                             : "defect";
  (void)offset;
  say(user, (smtpf_piece){.kind = SMTPF_PIECE_DEFECT, .index = part, .name = {name, strlen(name)}});
}

void piece_walk(smtpf_str message, size_t step, void (*tell)(void *user, const smtpf_piece *piece), void *user)
{
  static const smtpf_mime_handler handler = {on_field, on_begin, on_data, on_outside, on_end, on_defect};
  const smtpf_mime_limits *limits = &smtpf_mime_limits_default;
  walk w = {.tell = tell, .user = user};
  void *room = malloc(smtpf_mime_room(limits));
  w.utf8 = malloc(SMTPF_TEXT_ROOM((size_t)limits->piece));
  if (!room || !w.utf8 || smtpf_mime_init(&w.mime, limits, room, &handler, &w) != SMTPF_OK)
    abort();
  for (size_t i = 0; i < message.n;) {
    const size_t n = step && step < message.n - i ? step : message.n - i;
    smtpf_mime_feed(&w.mime, message.p + i, n);
    i += n;
  }
  smtpf_mime_finish(&w.mime);
  free(w.utf8);
  free(room);
}
