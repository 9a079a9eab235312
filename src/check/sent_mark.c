/* SPDX-License-Identifier: MIT
 *
 * sent_mark: puts the mark on what our own clients send, so that a bounce that quotes it proves itself (`bounce`).
 * Reads the header section alone. Fields of that name that are there already, of earlier mail or made up, go. Finds
 * nothing against anybody.
 */
#include "bounce.h"

typedef struct mark_maker {
  smtpf_mem mem;
  bounce_keys *keys;
} mark_maker;

/* One message. */
typedef struct sent {
  uint8_t line_start, behind; /* where in the header section the bytes are */
  uint8_t had;                /* it came with a mark */
  smtpf_str id;               /* its first Message-ID, in `room` */
  bounce_lines lines;
  char room[BOUNCE_ID_MAX];
} sent;

static void mark_close(void *self)
{
  mark_maker *s = self;
  if (!s)
    return;
  bounce_keys_free(s->keys);
  s->mem.free(s->mem.user, s);
}

static int mark_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  bounce_keys *keys = NULL;
  const int r = bounce_keys_new(&keys, policy, err);
  if (r != SMTPF_OK || !keys)
    return r;
  mark_maker *s = mem->alloc(mem->user, sizeof *s);
  if (!s) {
    bounce_keys_free(keys);
    return SMTPF_ENOMEM;
  }
  *s = (mark_maker){*mem, keys};
  *self = s;
  return SMTPF_OK;
}

static void on_block(void *user, const bounce_block *b)
{
  sent *m = user;
  m->had |= (b->fields & BOUNCE_MARK) != 0;
  if (m->id.n || !b->n_ids)
    return;
  memcpy(m->room, b->ids[0].p, b->ids[0].n);
  m->id = (smtpf_str){m->room, b->ids[0].n};
}

static int mark_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const mark_maker *s = self;
  if (!ev->own || !ev->sender || ev->sender->form == SMTPF_PATH_NULL)
    return SMTPF_OK;
  sent *m = smtpf_task_alloc(t, sizeof *m);
  if (!m)
    return SMTPF_ENOMEM;
  bounce_lines_init(&m->lines, NULL, bounce_keys_field(s->keys));
  m->lines.strict = 1;
  m->lines.block = on_block;
  m->lines.user = m;
  m->line_start = 1;
  *smtpf_task_slot(t) = m;
  return SMTPF_PENDING;
}

/* Up to the empty line. */
static size_t header_bytes(sent *m, const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    if (p[i] == '\n' && m->line_start) {
      m->behind = 1;
      return i;
    }
    if (p[i] != '\r')
      m->line_start = p[i] == '\n';
  }
  return n;
}

static size_t mark_feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  sent *m = *smtpf_task_slot(t);
  (void)self;
  if (!m->behind)
    bounce_lines_feed(&m->lines, (smtpf_str){bytes, header_bytes(m, bytes, n)});
  return n;
}

static int mark_finish(void *self, smtpf_task *t)
{
  const mark_maker *s = self;
  sent *m = *smtpf_task_slot(t);
  const smtpf_str field = bounce_keys_field(s->keys);
  char room[BOUNCE_MARK_MAX];
  smtpf_str mark;
  bounce_lines_end(&m->lines);
  int r = m->had ? smtpf_task_edit(t, SMTPF_EDIT_DELETE, field, SMTPF_LIT(""), 0, 0) : SMTPF_OK;
  if (r != SMTPF_OK)
    return r;
  r = bounce_mark_make(s->keys, t, m->id, smtpf_task_event(t)->sender->address, room, &mark);
  if (r == SMTPF_OK)
    return smtpf_task_edit(t, SMTPF_EDIT_PREPEND, field, mark, 0, 0);
  return smtpf_task_unknown(t, r == SMTPF_EUNSUPPORTED ? "no-crypto" : "hmac", field);
}

/* It finds nothing. */
static int mark_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

const smtpf_check smtpf_check_sent_mark = {
    .size = sizeof(smtpf_check),
    .name = "sent_mark",
    .family = SMTPF_FAMILY_PROOF,
    .stages = SMTPF_BODY,
    .open = mark_open,
    .run = mark_run,
    .close = mark_close,
    .feed = mark_feed,
    .finish = mark_finish,
    .apart = mark_apart,
};
