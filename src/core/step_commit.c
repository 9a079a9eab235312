/* SPDX-License-Identifier: MIT
 *
 * The steps around a message's last answer: `known` before it is judged; `promise` and `remember` once its copies are
 * durable. The client is told only after them: then a crash, or a connection that breaks before the reply is through,
 * leaves a trace by which no copy is lost and none is delivered twice.
 */
#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "step.h"

/* ---- known ----------------------------------------------------------------------------------------------------------
 */

static int known_key(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_key *out)
{
  *out = smtpf_key_message(s, rcpt, s->message->digest);
  return 1;
}

static void known_take(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_answer *a)
{
  (void)s;
  rcpt->entry.known = a->store == SMTPF_STORE_FOUND;
}

static const smtpf_reader known_reader = {known_key, known_take};

static int known_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  return smtpf_step_read(t, &known_reader);
}

static int known_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  return smtpf_step_read_on(t, &known_reader, a);
}

static const smtpf_check known = {.size = sizeof known, .name = "lost_ack", .run = known_run, .resume = known_resume};
const smtpf_opened smtpf_step_known = {&known, NULL};

/* ---- promise --------------------------------------------------------------------------------------------------------
 */

/* A copy the host holds now, because of this message. */
static int is_taken(const smtpf_rcpt *rcpt)
{
  return !rcpt->entry.known && smtpf_ledger_reply(&rcpt->entry) == SMTPF_ACT_ACCEPT;
}

static smtpf_str message_name(smtpf_task *t)
{
  const smtpf_session *s = t->session;
  char number[24];
  smtpf_out o;
  if (s->queue_id[0])
    return smtpf_str_of(s->queue_id);
  smtpf_out_init(&o, number, sizeof number);
  smtpf_out_char(&o, '.');
  smtpf_out_uint(&o, s->transactions);
  return SMTPF_JOIN(t, smtpf_str_of(s->id), smtpf_out_done(&o));
}

static int promise_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  smtpf_session *s = t->session;
  smtpf_promise *promises = smtpf_task_alloc(t, s->n_rcpts * sizeof *promises);
  smtpf_key *keys = smtpf_task_alloc(t, s->n_rcpts * sizeof *keys);
  const int remembers = s->engine->limits.lost_ack != 0;
  const smtpf_str name = message_name(t);
  size_t n = 0;
  if (!promises || !keys || !name.n)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (is_taken(s->rcpts[i]) && s->rcpts[i]->entry.disposition != SMTPF_DISCARDED) {
      if (remembers)
        keys[n] = smtpf_key_message(s, s->rcpts[i], s->message->digest);
      promises[n] = (smtpf_promise){.size = sizeof *promises,
                                    .message = name,
                                    .sender = s->sender.address,
                                    .recipient = s->rcpts[i]->canonical,
                                    .disposition = s->rcpts[i]->entry.disposition,
                                    .wall_s = s->driver->wall_s,
                                    .memory = remembers ? smtpf_key_str(&keys[n]) : (smtpf_str){NULL, 0}};
      n++;
    }
  if (!n) {
    s->message->promised = 1;
    return SMTPF_OK;
  }
  const int r = smtpf_task_promise(t, promises, n, 0);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int promise_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  t->session->message->promised = a->store == SMTPF_STORE_DONE;
  return SMTPF_OK;
}

static const smtpf_check promise = {
    .size = sizeof promise, .name = "journal", .run = promise_run, .resume = promise_resume};
const smtpf_opened smtpf_step_promise = {&promise, NULL};

/* ---- remember -------------------------------------------------------------------------------------------------------
 */

size_t smtpf_step_count(const smtpf_settlement *list)
{
  size_t n = 0;
  for (; list; list = list->next)
    n++;
  return n;
}

size_t smtpf_step_settle_list(const smtpf_settlement *list, smtpf_change *changes, size_t n)
{
  for (; list; list = list->next)
    changes[n++] = list->change;
  return n;
}

/* Of the message, when one of its copies is taken, and of those copies. */
static size_t settle_all(const smtpf_session *s, smtpf_change *changes, size_t n)
{
  int taken = 0;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (is_taken(s->rcpts[i])) {
      taken = 1;
      n = smtpf_step_settle_list(s->rcpts[i]->settlements, changes, n);
    }
  return taken ? smtpf_step_settle_list(s->settlements, changes, n) : n;
}

size_t smtpf_step_left_by_checks(const smtpf_session *s)
{
  size_t n = smtpf_step_count(s->settlements);
  for (size_t i = 0; i < s->n_rcpts; i++)
    n += smtpf_step_count(s->rcpts[i]->settlements);
  return n;
}

static int remember_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  smtpf_session *s = t->session;
  const smtpf_limits *l = &s->engine->limits;
  smtpf_change *changes = smtpf_task_alloc(t, (2 * s->n_rcpts + smtpf_step_left_by_checks(s)) * sizeof *changes);
  smtpf_key *keys = smtpf_task_alloc(t, 2 * s->n_rcpts * sizeof *keys);
  size_t n = 0;
  if (!changes || !keys)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < s->n_rcpts; i++) {
    const smtpf_rcpt *rcpt = s->rcpts[i];
    if (!is_taken(rcpt))
      continue;
    keys[n] = smtpf_key_budget(s, rcpt);
    changes[n] = (smtpf_change){.size = sizeof *changes, .op = SMTPF_CHANGE_DELETE, .key = smtpf_key_str(&keys[n])};
    n += s->engine->may_defer != 0;
    if (!l->lost_ack)
      continue;
    keys[n] = smtpf_key_message(s, rcpt, s->message->digest);
    changes[n] = (smtpf_change){.size = sizeof *changes,
                                .op = SMTPF_CHANGE_SET,
                                .key = smtpf_key_str(&keys[n]),
                                .value = smtpf_str_of(s->id),
                                .expires = s->driver->wall_s + l->lost_ack_memory / 1000};
    n++;
  }
  n = settle_all(s, changes, n);
  if (!n)
    return SMTPF_OK;
  const int r = smtpf_task_commit(t, changes, n, 0);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int remember_resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  if (a->store != SMTPF_STORE_DONE)
    smtpf_session_log(t->session, SMTPF_LOG_WARNING, "not-remembered", "store", SMTPF_LIT("failed"));
  return SMTPF_OK;
}

static const smtpf_check remember = {
    .size = sizeof remember, .name = "remember", .run = remember_run, .resume = remember_resume};
const smtpf_opened smtpf_step_remember = {&remember, NULL};

/* ---- settle ---------------------------------------------------------------------------------------------------------
 */

static int write_list(smtpf_task *t, const smtpf_settlement *list)
{
  smtpf_change *changes = smtpf_task_alloc(t, smtpf_step_count(list) * sizeof *changes);
  if (!changes)
    return SMTPF_ENOMEM;
  const int r = smtpf_task_commit(t, changes, smtpf_step_settle_list(list, changes, 0), 0);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int settle_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_session *s = t->session;
  (void)self;
  (void)ev;
  return write_list(t, s->stage == SMTPF_RCPT ? s->rcpt->settlements : s->settlements);
}

static const smtpf_check settled = {
    .size = sizeof settled, .name = "settle", .run = settle_run, .resume = remember_resume};
const smtpf_opened smtpf_step_settle = {&settled, NULL};

/* ---- note -----------------------------------------------------------------------------------------------------------
 */

static int note_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  return write_list(t, t->session->notes);
}

static const smtpf_check noted = {.size = sizeof noted, .name = "note", .run = note_run, .resume = remember_resume};
const smtpf_opened smtpf_step_note = {&noted, NULL};
