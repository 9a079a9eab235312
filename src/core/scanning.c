/* SPDX-License-Identifier: MIT */
#include "scanning.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "session.h"
#include "tenure.h"

/* RESULT_MOST has room for all the others. */
enum {
  RESULT_MOST = 1024 * 1024,
  NAME_LONGEST = 256,
  DETAIL_LONGEST = 4096,
  EDITS_MOST = 64,
  EDIT_NAME_LONGEST = 128,
  EDIT_VALUE_LONGEST = 4096
};

static struct smtpf_message_spool *spool_of(const smtpf_scanning *c)
{
  return c->slot->task->session->spool;
}

/* ---- its answer -----------------------------------------------------------------------------------------------------
 */

static void answer(smtpf_driver *d, smtpf_scanning *c)
{
  smtpf_list_remove(&c->in_spool);
  smtpf_driver_answered(d, c->slot);
}

static void answer_unknown(smtpf_driver *d, smtpf_scanning *c, const char *cause)
{
  c->result = (smtpf_scan_result){.size = sizeof c->result, .status = SMTPF_SCAN_UNKNOWN, .cause = cause};
  answer(d, c);
}

static int copy_front(smtpf_arena *a, smtpf_str text, size_t most, smtpf_str *out)
{
  text.n = text.n < most ? text.n : most;
  return smtpf_arena_copy(a, text, out);
}

/* An edit that nobody could make is left out: it must not look as if there were no memory. */
static int copy_edits(smtpf_scanning *c, const smtpf_scan_result *from)
{
  const size_t n = from->n_edits < EDITS_MOST ? from->n_edits : EDITS_MOST;
  c->result.n_edits = 0;
  if (!n)
    return SMTPF_OK;
  smtpf_scan_edit *own = smtpf_arena_alloc(&c->arena, n * sizeof *own);
  c->result.edits = own;
  for (size_t i = 0; own && i < n; i++) {
    const smtpf_scan_edit *e = &from->edits[i];
    smtpf_scan_edit *kept = &own[c->result.n_edits];
    if (e->name.n > EDIT_NAME_LONGEST || e->value.n > EDIT_VALUE_LONGEST)
      continue;
    *kept = *e;
    if (smtpf_arena_copy(&c->arena, e->name, &kept->name) != SMTPF_OK ||
        smtpf_arena_copy(&c->arena, e->value, &kept->value) != SMTPF_OK)
      return SMTPF_ENOMEM;
    c->result.n_edits++;
  }
  return own ? SMTPF_OK : SMTPF_ENOMEM;
}

int smtpf_op_scanned(smtpf_driver *d, smtpf_op op, const smtpf_scan_result *result)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_SCAN);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_scanning *c = slot->scanning;
  smtpf_scan_result r = {0};
  memcpy(&r, result, result->size < sizeof r ? result->size : sizeof r);
  r.size = sizeof r;
  if (r.status < SMTPF_SCAN_CLEAN || r.status > SMTPF_SCAN_UNKNOWN) {
    answer_unknown(d, c, "error"); /* promise L4: what nobody understands is not clean */
    return SMTPF_OK;
  }
  c->result = r;
  if (copy_front(&c->arena, r.name, NAME_LONGEST, &c->result.name) != SMTPF_OK ||
      copy_front(&c->arena, r.detail, DETAIL_LONGEST, &c->result.detail) != SMTPF_OK || copy_edits(c, &r) != SMTPF_OK) {
    slot->task->session->no_memory = 1;
    answer_unknown(d, c, "error");
  } else {
    answer(d, c);
  }
  return SMTPF_OK;
}

/* ---- feeding --------------------------------------------------------------------------------------------------------
 */

static int is_over(const smtpf_scanning *c)
{
  return c->slot->answered;
}

/* The scanner may make room for another scan inside, which is then fed too: these bytes must stand until it returns. */
static size_t offer(smtpf_driver *d, smtpf_scanning *c, smtpf_str bytes)
{
  char *const window = d->spool_window;
  d->spool_window = NULL;
  const size_t took = c->type->feed(c->scan, bytes.p, bytes.n);
  smtpf_mem_free(&d->mem, d->spool_window);
  d->spool_window = window;
  return took < bytes.n ? took : bytes.n;
}

/* What it has not had, as far as it takes it. Room that it makes meanwhile counts, unless it takes nothing twice. */
static void feed(smtpf_driver *d, smtpf_scanning *c)
{
  struct smtpf_message_spool *spool = spool_of(c);
  size_t took = 1, before;
  smtpf_str bytes;
  while (!is_over(c) && !c->full && !c->again && c->at < spool->bytes.size) {
    const int r = smtpf_spooled_look(&spool->bytes, c->at, &bytes);
    if (r != SMTPF_OK) {
      if (r == SMTPF_ENOMEM)
        c->slot->task->session->no_memory = 1;
      answer_unknown(d, c, "spool");
      return;
    }
    before = took;
    c->room = 0;
    took = offer(d, c, bytes);
    c->full = took < bytes.n && !(c->room && took + before);
    c->at += took;
  }
}

static void finish(smtpf_driver *d, smtpf_scanning *c)
{
  struct smtpf_message_spool *spool = spool_of(c);
  if (is_over(c) || c->again || c->finished || !c->wanted || !spool->complete || c->at < spool->bytes.size)
    return;
  c->finished = 1;
  if (c->type->finish(c->scan) != SMTPF_OK && !is_over(c))
    answer_unknown(d, c, "error");
}

/* Its own calls from within its functions are heard when they have returned. */
static void pump(smtpf_driver *d, smtpf_scanning *c)
{
  if (c->inside || !c->scan)
    return;
  c->inside = 1;
  do {
    if (c->again) {
      c->again = c->full = c->finished = 0;
      c->at = 0;
    }
    feed(d, c);
    finish(d, c);
  } while (c->again && !is_over(c));
  c->inside = 0;
}

int smtpf_op_scan_room(smtpf_driver *d, smtpf_op op)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_SCAN);
  if (!slot)
    return SMTPF_ENOTFOUND;
  slot->scanning->full = 0;
  slot->scanning->room = 1;
  pump(d, slot->scanning);
  return SMTPF_OK;
}

int smtpf_op_scan_again(smtpf_driver *d, smtpf_op op)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_SCAN);
  if (!slot)
    return SMTPF_ENOTFOUND;
  if (spool_of(slot->scanning)->bytes.failed)
    return SMTPF_EIO;
  slot->scanning->again = 1;
  pump(d, slot->scanning);
  return SMTPF_OK;
}

int smtpf_op_scan_fd(smtpf_driver *d, smtpf_op op)
{
  const smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_SCAN);
  return slot && spool_of(slot->scanning)->complete ? smtpf_spooled_fd(&spool_of(slot->scanning)->bytes) : -1;
}

uint64_t smtpf_op_scan_size(const smtpf_driver *d, smtpf_op op)
{
  const smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_SCAN);
  return slot ? spool_of(slot->scanning)->bytes.size : 0;
}

/* ---- the message ----------------------------------------------------------------------------------------------------
 */

void smtpf_scanning_reset(smtpf_session *s)
{
  struct smtpf_message_spool *spool = s->spool;
  s->spool = NULL;
  if (!spool)
    return;
  smtpf_spooled_free(&spool->bytes);
  smtpf_mem_free(&s->driver->mem, spool);
}

static void move_first(smtpf_link *from, smtpf_link *to)
{
  smtpf_link *l = from->next;
  smtpf_list_remove(l);
  smtpf_list_append(to, l);
}

/* Each scan once, although any of them may leave its ring meanwhile: whoever is answered does. */
static void each(smtpf_session *s, void (*fn)(smtpf_driver *, smtpf_scanning *))
{
  smtpf_link *scans = &s->spool->scans, visited;
  smtpf_list_init(&visited);
  while (!smtpf_list_empty(scans)) {
    smtpf_scanning *c = SMTPF_OF(scans->next, smtpf_scanning, in_spool);
    move_first(scans, &visited);
    fn(s->driver, c);
  }
  while (!smtpf_list_empty(&visited))
    move_first(&visited, scans);
}

static void give_up(smtpf_driver *d, smtpf_scanning *c)
{
  answer_unknown(d, c, "spool");
}

void smtpf_scanning_feed(smtpf_session *s, const char *bytes, size_t n)
{
  struct smtpf_message_spool *spool = s->spool;
  if (!spool || !n)
    return;
  if (smtpf_list_empty(&spool->scans)) {
    spool->lapsed = 1;
    return;
  }
  if (smtpf_spooled_add(&spool->bytes, bytes, n) != SMTPF_OK) {
    smtpf_session_log(s, SMTPF_LOG_ERROR, "spool-full", "path", s->engine->spool_path);
    each(s, give_up);
  } else {
    each(s, pump);
  }
}

void smtpf_scanning_complete(smtpf_session *s)
{
  if (!s->spool || s->spool->complete)
    return;
  s->spool->complete = 1;
  each(s, pump); /* some may have been waited for already */
}

/* ---- tasks ----------------------------------------------------------------------------------------------------------
 */

static int begin_spool(smtpf_session *s)
{
  struct smtpf_message_spool *spool = s->spool;
  if (spool)
    return spool->lapsed || spool->bytes.failed ? SMTPF_EINVAL : SMTPF_OK;
  if (s->scan_at)
    return SMTPF_EINVAL; /* the front of it is gone */
  spool = smtpf_mem_zalloc(&s->driver->mem, sizeof *spool);
  if (!spool) {
    s->no_memory = 1;
    return SMTPF_ENOMEM;
  }
  smtpf_spooled_init(&spool->bytes, s->driver, s->engine, s->spool_fd);
  smtpf_list_init(&spool->scans);
  s->spool = spool;
  return SMTPF_OK;
}

static smtpf_scanning *find(const smtpf_task *t, uint32_t tag)
{
  for (smtpf_link *l = t->ops.next; l != &t->ops; l = l->next) {
    const smtpf_op_slot *slot = SMTPF_OF(l, smtpf_op_slot, in_task);
    if (slot->kind == SMTPF_ANSWER_SCAN && slot->tag == tag)
      return slot->scanning;
  }
  return NULL;
}

static int open_scan(smtpf_session *s, size_t scanner, const smtpf_scan_request *request, smtpf_scanning *c)
{
  void *instance;
  int r = smtpf_tenure_instance(s->driver, s->tenure, scanner, &instance);
  c->type = s->engine->scanners[scanner].type.scanner;
  smtpf_arena_init(&c->arena, &s->driver->mem, (size_t)s->engine->limits.chunk, RESULT_MOST);
  if (r == SMTPF_OK) {
    smtpf_scan_request own = *request;
    own.session = smtpf_str_of(s->id);
    c->inside = 1;
    r = c->type->open(instance, smtpf_op_token(c->slot), &own, &c->scan);
    c->inside = 0;
    if (r != SMTPF_OK)
      c->scan = NULL;
  }
  return r;
}

int smtpf_task_scan(smtpf_task *t, const smtpf_scan_request *request, uint32_t tag)
{
  smtpf_session *s = t->session;
  smtpf_op_slot *slot;
  const size_t scanner = smtpf_engine_scanner(s->engine, request->scanner);
  if (t->run->event.stage != SMTPF_BODY)
    return SMTPF_EINVAL;
  if (scanner == SIZE_MAX)
    return SMTPF_ENOTFOUND;
  int r = begin_spool(s);
  if (r == SMTPF_OK)
    r = smtpf_task_open_op(t, SMTPF_ANSWER_SCAN, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  smtpf_scanning *c = smtpf_mem_zalloc(&s->driver->mem, sizeof *c);
  if (!c) {
    s->no_memory = 1;
    smtpf_task_close_op(t, slot);
    return SMTPF_ENOMEM;
  }
  slot->scanning = c;
  c->slot = slot;
  smtpf_list_append(&s->spool->scans, &c->in_spool);
  r = open_scan(s, scanner, request, c);
  if (r != SMTPF_OK && !is_over(c)) {
    if (r == SMTPF_ENOMEM)
      s->no_memory = 1;
    smtpf_scanning_close(s->driver, c);
    slot->scanning = NULL;
    smtpf_task_close_op(t, slot);
    return r == SMTPF_ENOMEM ? r : SMTPF_EIO;
  }
  pump(s->driver, c);
  return SMTPF_OK;
}

int smtpf_task_scan_finish(smtpf_task *t, uint32_t tag)
{
  smtpf_scanning *c = find(t, tag);
  if (!c)
    return SMTPF_ENOTFOUND;
  c->wanted = 1;
  pump(t->session->driver, c);
  return SMTPF_OK;
}

int smtpf_task_scan_cancel(smtpf_task *t, uint32_t tag)
{
  smtpf_scanning *c = find(t, tag);
  if (!c)
    return SMTPF_ENOTFOUND;
  smtpf_task_drop_op(t, c->slot);
  return SMTPF_OK;
}

void smtpf_scanning_close(smtpf_driver *d, smtpf_scanning *c)
{
  if (!c)
    return;
  smtpf_list_remove(&c->in_spool);
  if (c->scan)
    c->type->close(c->scan);
  smtpf_arena_clear(&c->arena);
  smtpf_mem_free(&d->mem, c);
}
