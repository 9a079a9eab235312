/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "callout.h"
#include "driver.h"
#include "lookup.h"
#include "scan.h"
#include "scanning.h"
#include "session.h"

/* ---- task lists, kept for the next stage --------------------------------------------------------------- */

enum { SPARE_MAX = 64 };

static struct smtpf_run *take(smtpf_driver *d, size_t n)
{
  struct smtpf_run *r = d->spare;
  if (r && r->room >= n) {
    d->spare = r->next;
    d->n_spare--;
    return r;
  }
  r = smtpf_mem_alloc(&d->mem, sizeof *r + n * sizeof *r->tasks);
  if (r)
    r->room = n;
  return r;
}

static void give(smtpf_driver *d, struct smtpf_run *r)
{
  smtpf_arena_clear(&r->scratch);
  if (d->n_spare >= SPARE_MAX) {
    smtpf_mem_free(&d->mem, r);
    return;
  }
  r->next = d->spare;
  d->spare = r;
  d->n_spare++;
}

void smtpf_runs_free(smtpf_driver *d)
{
  for (struct smtpf_run *r = d->spare, *next; r; r = next) {
    next = r->next;
    smtpf_mem_free(&d->mem, r);
  }
  d->spare = NULL;
  d->n_spare = 0;
}

/* ---- operations of a task -------------------------------------------------------------------------------- */

/* Frees what an operation holds. */
static void release(smtpf_driver *d, smtpf_op_slot *slot)
{
  smtpf_dns_leave(d, slot);
  smtpf_dns_release(d, slot->dns);
  smtpf_lookup_release(d, slot->lookup);
  smtpf_scanning_close(d, slot->scanning);
  smtpf_timer_stop(&d->timers, &slot->timer);
  smtpf_mem_free(&d->mem, slot->copy);
  smtpf_op_give(&d->ops, slot);
}

/* Nobody wants its answer any more. */
static void cancel(smtpf_driver *d, smtpf_op_slot *slot)
{
  const smtpf_op token = smtpf_op_token(slot);
  const int kind = slot->answered ? 0 : slot->kind;
  const smtpf_own_fn over = slot->kind == SMTPF_ANSWER_OWN ? slot->over : NULL;
  void *user = slot->over_user;
  release(d, slot);
  if (over)
    over(user);
  if (kind == SMTPF_ANSWER_DIRECTORY && d->ports.directory->cancel)
    d->ports.directory->cancel(d->directory, token);
  if (kind == SMTPF_ANSWER_STORE && d->ports.store->cancel)
    d->ports.store->cancel(d->store, token);
  if (kind == SMTPF_ANSWER_JOURNAL && d->ports.journal->cancel)
    d->ports.journal->cancel(d->journal, token);
  if (kind == SMTPF_ANSWER_CALLOUT)
    smtpf_callout_cancel(d, token);
}

void smtpf_task_drop_op(smtpf_task *t, smtpf_op_slot *slot)
{
  t->n_ops--;
  cancel(t->session->driver, slot);
}

static void end(smtpf_task *t)
{
  smtpf_driver *d = t->session->driver;
  while (!smtpf_list_empty(&t->ops))
    cancel(d, SMTPF_OF(t->ops.next, smtpf_op_slot, in_task));
  t->n_ops = 0;
  smtpf_timer_stop(&d->timers, &t->deadline);
  t->state = SMTPF_TASK_DONE;
}

/* The check could not do its work: it is unknown in the check's name, with what the check says that means. */
void smtpf_task_fail(smtpf_task *t, const char *cause)
{
  const smtpf_finding f = {.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = cause, .flags = t->opened->check->failure};
  end(t);
  t->session->driver->stats[SMTPF_STAT_UNKNOWN]++;
  (void)smtpf_task_report(t, &f);
}

static void deadline(void *user)
{
  smtpf_task *t = user;
  smtpf_session *s = t->session;
  s->driver->stats[SMTPF_STAT_TIMEOUTS]++;
  smtpf_task_fail(t, "timeout");
  if (smtpf_list_empty(&s->in_queue))
    smtpf_list_append(&s->driver->runnable, &s->in_queue);
}

void smtpf_task_wait(smtpf_task *t)
{
  smtpf_session *s = t->session;
  const uint64_t at = smtpf_timer_at(s->driver->now_ns, t->patience ? t->patience : s->engine->limits.check_timeout);
  if (!t->n_ops) {
    smtpf_task_fail(t, "stalled"); /* nothing would ever make it go on */
  } else if (!t->deadline.node.place &&
             smtpf_timer_start(&s->driver->timers, &t->deadline, at, deadline, t) != SMTPF_OK) {
    s->no_memory = 1;
    smtpf_task_fail(t, "error");
  }
}

/* What run or resume said. */
void smtpf_task_said(smtpf_task *t, int result)
{
  if (result == SMTPF_OK && !t->unsound) {
    end(t);
  } else if (result != SMTPF_PENDING) {
    if (result == SMTPF_ENOMEM)
      t->session->no_memory = 1;
    smtpf_task_fail(t, "error");
  } else if (t->state == SMTPF_TASK_READING || (t->state == SMTPF_TASK_WAITING && t->run->event.stage == SMTPF_BODY)) {
    t->state = SMTPF_TASK_READING; /* as long as the client takes; a deadline begins where the client waits for it */
    t->full = 0;
    smtpf_timer_stop(&t->session->driver->timers, &t->deadline);
  } else {
    t->state = SMTPF_TASK_ASLEEP;
    smtpf_task_wait(t);
  }
}

void smtpf_task_start(smtpf_task *t)
{
  smtpf_driver *d = t->session->driver;
  d->stats[SMTPF_STAT_CHECKS]++;
  t->started_ns = d->now_ns;
  smtpf_task_said(t, t->opened->check->run(t->opened->self, t, &t->run->event));
}

static void resume(smtpf_task *t, smtpf_op_slot *slot)
{
  const smtpf_check *check = t->opened->check;
  const smtpf_answer a = {.size = sizeof a,
                          .kind = slot->kind,
                          .tag = slot->tag,
                          .dns = slot->dns ? &slot->dns->answer : NULL,
                          .directory = slot->lookup ? &slot->lookup->answer : NULL,
                          .store = slot->store,
                          .value = slot->value,
                          .scan = slot->scanning ? &slot->scanning->result : NULL,
                          .callout = slot->callout};
  if (slot->dns && slot->dns->lost)
    t->session->no_memory = 1;
  /* It is not open any more, yet what it holds must outlive the call. */
  smtpf_list_remove(&slot->in_task);
  t->n_ops--;
  const int r = check->resume ? check->resume(t->opened->self, t, &a) : SMTPF_EINVAL;
  release(t->session->driver, slot);
  smtpf_task_said(t, r);
}

/* ---- the stage --------------------------------------------------------------------------------------------- */

void smtpf_run_resume(smtpf_session *s)
{
  while (!smtpf_list_empty(&s->answered)) {
    smtpf_op_slot *slot = SMTPF_OF(s->answered.next, smtpf_op_slot, in_queue);
    smtpf_list_remove(&slot->in_queue);
    resume(slot->task, slot);
  }
  smtpf_list_remove(&s->in_queue); /* nothing is left to run for */
}

static int lowest_tier(const struct smtpf_run *r)
{
  int tier = INT32_MAX;
  for (size_t i = 0; i < r->n; i++)
    if (r->tasks[i].state != SMTPF_TASK_DONE && r->tasks[i].opened->check->tier < tier)
      tier = r->tasks[i].opened->check->tier;
  return tier;
}

/* Every task of the cheapest tier that is not done is started; done when there is none left. */
static int advance(smtpf_session *s)
{
  struct smtpf_run *r = s->run;
  for (;;) {
    const int tier = lowest_tier(r);
    if (tier == INT32_MAX)
      return SMTPF_OK;
    for (size_t i = 0; i < r->n; i++)
      if (r->tasks[i].state == SMTPF_TASK_WAITING && r->tasks[i].opened->check->tier == tier)
        smtpf_task_start(&r->tasks[i]);
    smtpf_run_resume(s);
    for (size_t i = 0; i < r->n; i++)
      if (r->tasks[i].state == SMTPF_TASK_ASLEEP)
        return SMTPF_PENDING;
  }
}

void smtpf_run_gather(smtpf_session *s, struct smtpf_run *r)
{
  for (size_t i = 0; i < r->n; i++)
    for (smtpf_evidence *e = r->tasks[i].first, *next; e; e = next) {
      next = e->next;
      smtpf_session_add_evidence(s, e);
    }
  smtpf_message_wish(s, r);
  give(s->driver, r);
}

static void finish(smtpf_session *s)
{
  struct smtpf_run *r = s->run;
  s->run = NULL;
  smtpf_list_remove(&s->in_queue);
  smtpf_run_gather(s, r);
}

/* Room for the tasks of one stage. NULL without memory. */
struct smtpf_run *smtpf_run_begin(smtpf_session *s, size_t n, int stage)
{
  const smtpf_engine *e = s->engine;
  struct smtpf_run *r = take(s->driver, n);
  if (!r)
    return NULL;
  r->n = 0;
  smtpf_arena_init(&r->scratch, &s->driver->mem, (size_t)e->limits.chunk * 4, (size_t)e->limits.transaction_memory);
  smtpf_session_event(s, stage, &r->event);
  return r;
}

void smtpf_run_add(smtpf_session *s, struct smtpf_run *r, const smtpf_opened *opened, size_t position)
{
  smtpf_task *t = &r->tasks[r->n++];
  *t = (smtpf_task){.session = s, .run = r, .opened = opened, .position = (uint16_t)position};
  t->last = &t->first;
  t->last_edit = &t->edits;
  smtpf_list_init(&t->ops);
}

static int go(smtpf_session *s, struct smtpf_run *r)
{
  s->run = r;
  const int result = advance(s);
  if (result == SMTPF_OK)
    finish(s);
  return result;
}

int smtpf_run_start(smtpf_session *s, int stage)
{
  const smtpf_engine *e = s->engine;
  if (!(e->stages & (unsigned)stage))
    return SMTPF_OK;
  struct smtpf_run *r = smtpf_run_begin(s, e->n_checks, stage);
  if (!r)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < e->n_checks; i++)
    if (e->checks[i].check->stages & (unsigned)stage)
      smtpf_run_add(s, r, &e->checks[i], i);
  return go(s, r);
}

int smtpf_run_step(smtpf_session *s, const smtpf_opened *step)
{
  struct smtpf_run *r = smtpf_run_begin(s, s->engine->n_checks + 1, s->stage);
  if (!r)
    return SMTPF_ENOMEM;
  smtpf_run_add(s, r, step, s->engine->n_checks);
  return go(s, r);
}

int smtpf_run_continue(smtpf_session *s)
{
  if (!s->run && s->scan) {
    if (smtpf_scan_continue(s) != SMTPF_OK)
      return SMTPF_PENDING;
    if (!s->pending)
      return SMTPF_OK; /* the message may go on */
  } else {
    if (!s->run)
      return SMTPF_PENDING;
    smtpf_run_resume(s);
    if (advance(s) != SMTPF_OK)
      return SMTPF_PENDING;
    finish(s);
  }
  smtpf_session_decide(s);
  return smtpf_session_result(s);
}

void smtpf_run_drop(smtpf_session *s, struct smtpf_run *r)
{
  for (size_t i = 0; i < r->n; i++)
    end(&r->tasks[i]);
  smtpf_list_remove(&s->in_queue);
  give(s->driver, r);
}

void smtpf_run_cancel(smtpf_session *s)
{
  struct smtpf_run *r = s->run;
  s->then = NULL;
  s->run = NULL;
  if (r)
    smtpf_run_drop(s, r);
}
