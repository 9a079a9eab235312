/* SPDX-License-Identifier: MIT
 *
 * What checks may ask for and say (ext/check.h), and how ports complete it (ext/port.h).
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "call.h"
#include "driver.h"
#include "lookup.h"
#include "policy/judge.h"
#include "run.h"
#include "session.h"
#include "will.h"

/* ---- saying ------------------------------------------------------------------------------------------------- */

static int sound(const smtpf_finding *f)
{
  const int refuse = (f->flags & SMTPF_FINDING_REFUSE) != 0;
  const int defer = (f->flags & (SMTPF_FINDING_DEFER | SMTPF_FINDING_ELECTIVE)) != 0;
  if (f->size < sizeof *f || f->kind < SMTPF_CLEAR || f->kind > SMTPF_UNKNOWN || !f->code)
    return 0;
  if ((f->flags & (SMTPF_FINDING_QUARANTINE | SMTPF_FINDING_TAG)) && f->kind != SMTPF_UNKNOWN)
    return 0;
  const unsigned of_route = SMTPF_FINDING_ROUTE | SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO;
  if ((f->flags & SMTPF_FINDING_ROUTE) && (f->score || (f->flags & ~of_route)))
    return 0; /* about a place, neither about the mail nor about who brings it */
  /* Promise L4: only a hit may refuse, and what is unknown may at most defer. */
  if ((refuse && f->kind != SMTPF_HIT) || ((f->flags & SMTPF_FINDING_DEFER) && f->kind != SMTPF_UNKNOWN) ||
      ((f->flags & SMTPF_FINDING_ELECTIVE) && (refuse || f->kind == SMTPF_CLEAR)) ||
      (f->kind == SMTPF_UNKNOWN && f->score))
    return 0;
  return !f->reply || (refuse && f->reply >= 500 && f->reply <= 599) || (defer && f->reply >= 400 && f->reply <= 499);
}

static int is_same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

/* What was said before is not kept again: the same may be found about each of very many recipients. */
static int copy_or_share(smtpf_arena *a, smtpf_str text, smtpf_str before, smtpf_str *out)
{
  if (!before.p || !is_same(text, before))
    return smtpf_arena_copy(a, text, out);
  *out = before;
  return SMTPF_OK;
}

/* Fit for a reply: whatever a list's TXT or the client's own words hold, it cannot split the reply or add a line. */
static int copy_text(smtpf_arena *a, smtpf_str text, smtpf_str before, smtpf_str *out)
{
  enum { TEXT_MAX = 1024 };
  char room[TEXT_MAX];
  smtpf_out o;
  if (text.n > TEXT_MAX)
    text.n = TEXT_MAX;
  smtpf_out_init(&o, room, text.n);
  smtpf_out_printable(&o, text, 0);
  return copy_or_share(a, smtpf_out_done(&o), before, out);
}

/* What this task has reported last, where it is kept as long; else nothing. */
static const smtpf_evidence *last_of(const smtpf_task *t, const smtpf_finding *f)
{
  static const smtpf_evidence none = {0};
  const smtpf_evidence *last = t->first ? SMTPF_OF(t->last, smtpf_evidence, next) : &none;
  return (last->flags & SMTPF_FINDING_CONNECTION) == (f->flags & SMTPF_FINDING_CONNECTION) ? last : &none;
}

int smtpf_task_report(smtpf_task *t, const smtpf_finding *f)
{
  const int stage = t->run->event.stage;
  if (!sound(f) || f->recipient > t->session->n_rcpts || (f->recipient && stage <= SMTPF_RCPT) ||
      ((f->flags & SMTPF_FINDING_ROUTE) && stage < SMTPF_RCPT)) {
    t->unsound = 1; /* what it found is lost, which must not read as nothing found (promise L4) */
    return SMTPF_EINVAL;
  }
  smtpf_session *s = t->session;
  smtpf_arena *a = smtpf_session_arena(s, f->flags & SMTPF_FINDING_CONNECTION ? SMTPF_CONNECT : t->run->event.stage);
  const smtpf_evidence *last = last_of(t, f);
  smtpf_evidence *e = smtpf_arena_alloc(a, sizeof *e);
  if (!e || copy_or_share(a, f->detail, last->detail, &e->detail) != SMTPF_OK ||
      copy_text(a, f->text, last->text, &e->text) != SMTPF_OK) {
    s->no_memory = 1;
    return SMTPF_ENOMEM;
  }
  e->check = t->opened->check->name;
  e->code = f->code;
  e->enhanced = f->enhanced;
  e->score = f->score;
  e->reply = (uint16_t)f->reply;
  e->stage = (uint8_t)t->run->event.stage;
  e->kind = (uint8_t)f->kind;
  e->family = (uint8_t)t->opened->check->family;
  e->position = t->position;
  e->flags = (uint16_t)f->flags;
  e->recipient = (uint32_t)f->recipient;
  const uint64_t us = (s->driver->now_ns - t->started_ns) / 1000;
  e->elapsed_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
  *t->last = e;
  t->last = &e->next;
  return SMTPF_OK;
}

int smtpf_task_clear(smtpf_task *t, const char *code)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_CLEAR, .code = code};
  return smtpf_task_report(t, &f);
}

int smtpf_task_unknown(smtpf_task *t, const char *cause, smtpf_str detail)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = cause, .detail = detail};
  t->session->driver->stats[SMTPF_STAT_UNKNOWN]++;
  return smtpf_task_report(t, &f);
}

int smtpf_task_seen(smtpf_task *t, uint64_t bytes)
{
  t->seen = bytes;
  return SMTPF_OK;
}

int smtpf_task_delay(smtpf_task *t, int64_t ms)
{
  if (ms > t->session->delay_asked)
    t->session->delay_asked = ms;
  return SMTPF_OK;
}

int32_t smtpf_task_score(const smtpf_task *t)
{
  return smtpf_session_score_so_far(t->session, t->opened->check->tier);
}

/* ---- what is to be done when the mail is taken --------------------------------------------------------------- */

static int copy_change(smtpf_arena *a, const smtpf_change *from, smtpf_settlement **list)
{
  smtpf_settlement *own = smtpf_arena_alloc(a, sizeof *own);
  if (!own)
    return SMTPF_ENOMEM;
  own->change = *from;
  if (smtpf_arena_copy(a, from->key, &own->change.key) != SMTPF_OK ||
      smtpf_arena_copy(a, from->value, &own->change.value) != SMTPF_OK)
    return SMTPF_ENOMEM;
  own->next = *list;
  *list = own;
  return SMTPF_OK;
}

static int copy_changes(smtpf_session *s, const smtpf_change *changes, size_t n, smtpf_settlement **list)
{
  enum { KEY_MAX = 64, VALUE_MAX = 4096 };
  for (size_t i = 0; i < n; i++)
    if (changes[i].size < sizeof *changes || changes[i].op < SMTPF_CHANGE_SET || changes[i].op > SMTPF_CHANGE_JOIN ||
        !changes[i].key.n || changes[i].key.n > KEY_MAX || changes[i].value.n > VALUE_MAX)
      return SMTPF_EINVAL;
  for (size_t i = 0; i < n; i++)
    if (copy_change(&s->transaction, &changes[i], list) != SMTPF_OK) {
      s->no_memory = 1;
      return SMTPF_ENOMEM;
    }
  return SMTPF_OK;
}

int smtpf_task_settle(smtpf_task *t, const smtpf_change *changes, size_t n)
{
  smtpf_session *s = t->session;
  const int stage = t->run->event.stage; /* the session's is that of its last event */
  if (stage < SMTPF_RCPT)
    return SMTPF_EINVAL;
  return copy_changes(s, changes, n, stage == SMTPF_RCPT ? &s->rcpt->settlements : &s->settlements);
}

int smtpf_task_note(smtpf_task *t, const smtpf_change *changes, size_t n)
{
  const int stage = t->run->event.stage;
  if (stage != SMTPF_RCPT && stage != SMTPF_DATA)
    return SMTPF_EINVAL;
  return copy_changes(t->session, changes, n, &t->session->notes);
}

/* ---- looking ------------------------------------------------------------------------------------------------ */

int smtpf_task_greylists(const smtpf_task *t)
{
  smtpf_session *s = t->session;
  if (t->run->event.stage == SMTPF_RCPT)
    return smtpf_will_greylists(s, s->rcpt, t);
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (smtpf_will_greylists(s, s->rcpts[i], t))
      return 1;
  return 0;
}

const smtpf_event *smtpf_task_event(const smtpf_task *t)
{
  return &t->run->event;
}

void *smtpf_task_alloc(smtpf_task *t, size_t n)
{
  void *p = smtpf_arena_alloc(&t->run->scratch, n);
  if (!p)
    t->session->no_memory = 1;
  return p;
}

void **smtpf_task_slot(smtpf_task *t)
{
  return &t->slot;
}

int smtpf_task_fact_set(smtpf_task *t, const char *name, smtpf_str value, int connection)
{
  int r = smtpf_session_fact_set(t->session, name, value, connection);
  if (r == SMTPF_ENOMEM)
    t->session->no_memory = 1;
  return r;
}

smtpf_str smtpf_task_fact(const smtpf_task *t, const char *name)
{
  return smtpf_session_fact(t->session, name);
}

/* ---- asking ------------------------------------------------------------------------------------------------- */

int smtpf_task_open_op(smtpf_task *t, int kind, uint32_t tag, smtpf_op_slot **out)
{
  smtpf_session *s = t->session;
  if (t->n_ops >= s->engine->limits.operations)
    return SMTPF_ELIMIT;
  smtpf_op_slot *slot = smtpf_op_take(&s->driver->ops, SMTPF_OP_TASK);
  if (!slot) {
    s->no_memory = 1;
    return SMTPF_ENOMEM;
  }
  slot->task = t;
  slot->kind = (uint8_t)kind;
  slot->of_recipient = 0;
  slot->tag = tag;
  smtpf_list_append(&t->ops, &slot->in_task);
  t->n_ops++;
  *out = slot;
  return SMTPF_OK;
}

void smtpf_task_close_op(smtpf_task *t, smtpf_op_slot *slot)
{
  t->n_ops--;
  smtpf_op_give(&t->session->driver->ops, slot);
}

int smtpf_task_query(smtpf_task *t, int type, smtpf_str name, uint32_t tag)
{
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_DNS, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  r = smtpf_dns_ask(t->session->driver, slot, type, name);
  if (r == SMTPF_OK)
    return r;
  if (r == SMTPF_ENOMEM)
    t->session->no_memory = 1;
  smtpf_task_close_op(t, slot);
  return r;
}

int smtpf_task_lookup(smtpf_task *t, smtpf_str address, uint32_t tag)
{
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_DIRECTORY, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  const smtpf_rcpt *rcpt = t->session->rcpt;
  slot->of_recipient = rcpt && smtpf_str_equal_nocase(address, rcpt->address); /* the mailbox that is meant */
  smtpf_lookup_ask(t->session->driver, slot, address);
  return SMTPF_OK;
}

int smtpf_task_get(smtpf_task *t, smtpf_str key, uint32_t tag)
{
  smtpf_driver *d = t->session->driver;
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_STORE, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  const smtpf_op token = smtpf_op_token(slot);
  if (d->ports.store->get(d->store, token, key) != SMTPF_OK)
    (void)smtpf_op_store(d, token, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

int smtpf_task_commit(smtpf_task *t, const smtpf_change *changes, size_t n, uint32_t tag)
{
  smtpf_driver *d = t->session->driver;
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_STORE, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  const smtpf_op token = smtpf_op_token(slot);
  if (d->ports.store->commit(d->store, token, changes, n) != SMTPF_OK)
    (void)smtpf_op_store(d, token, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

int smtpf_task_promise(smtpf_task *t, const smtpf_promise *promises, size_t n, uint32_t tag)
{
  smtpf_driver *d = t->session->driver;
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_JOURNAL, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  const smtpf_op token = smtpf_op_token(slot);
  if (d->ports.journal->promise(d->journal, token, promises, n) != SMTPF_OK)
    (void)smtpf_op_journal(d, token, SMTPF_EIO);
  return SMTPF_OK;
}

static void timer_due(void *user)
{
  smtpf_op_slot *slot = user;
  smtpf_driver_answered(slot->task->session->driver, slot);
}

int smtpf_task_timer(smtpf_task *t, int64_t ms, uint32_t tag)
{
  smtpf_driver *d = t->session->driver;
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_TIMER, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  r = smtpf_timer_start(&d->timers, &slot->timer, smtpf_timer_at(d->now_ns, ms), timer_due, slot);
  if (r != SMTPF_OK) {
    t->session->no_memory = 1;
    smtpf_task_close_op(t, slot);
  }
  return r;
}

int smtpf_task_own(smtpf_task *t, uint32_t tag, smtpf_own_fn over, void *user, smtpf_op *out)
{
  smtpf_op_slot *slot;
  int r = smtpf_task_open_op(t, SMTPF_ANSWER_OWN, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  slot->over = over;
  slot->over_user = user;
  *out = smtpf_op_token(slot);
  return SMTPF_OK;
}

smtpf_driver *smtpf_task_driver(const smtpf_task *t)
{
  return t->session->driver;
}

int smtpf_task_hmac(smtpf_task *t, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  const smtpf_ports *ports = &t->session->driver->ports;
  if (!ports->crypto)
    return SMTPF_EUNSUPPORTED;
  return ports->crypto->hmac(ports->crypto_shared, SMTPF_HMAC_SHA256, key, data, out);
}

/* ---- completing (ext/port.h) -------------------------------------------------------------------------------- */

smtpf_op_slot *smtpf_op_open(const smtpf_driver *d, smtpf_op op, int kind)
{
  smtpf_op_slot *slot = smtpf_op_find(&d->ops, op, SMTPF_OP_TASK);
  return slot && slot->kind == kind && !slot->answered ? slot : NULL;
}

int smtpf_op_copy(smtpf_driver *d, smtpf_op_slot *slot, smtpf_str *text)
{
  char *at = slot->copy = smtpf_mem_alloc(&d->mem, text->n + 1);
  if (!at)
    return SMTPF_ENOMEM;
  if (text->n)
    memcpy(at, text->p, text->n);
  at[text->n] = '\0';
  text->p = at;
  return SMTPF_OK;
}

int smtpf_op_store(smtpf_driver *d, smtpf_op op, int status, smtpf_str value)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_STORE);
  d->stats[SMTPF_STAT_STORE_FAILED] += status == SMTPF_STORE_FAILED;
  if (!slot)
    return smtpf_call_answered(d, op, status, value);
  slot->store = status;
  slot->value = value;
  if (smtpf_op_copy(d, slot, &slot->value) != SMTPF_OK) {
    slot->store = SMTPF_STORE_FAILED;
    slot->value = (smtpf_str){NULL, 0};
    slot->task->session->no_memory = 1;
  }
  smtpf_driver_answered(d, slot);
  return SMTPF_OK;
}

int smtpf_op_journal(smtpf_driver *d, smtpf_op op, int result)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_JOURNAL);
  if (!slot)
    return SMTPF_ENOTFOUND;
  slot->store = result == SMTPF_OK ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED;
  smtpf_driver_answered(d, slot);
  return SMTPF_OK;
}

int smtpf_op_own(smtpf_driver *d, smtpf_op op)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_OWN);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_driver_answered(d, slot);
  return SMTPF_OK;
}
