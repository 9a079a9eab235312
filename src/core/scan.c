/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include "content_reader.h"
#include "driver.h"
#include "message.h"
#include "scanning.h"
#include "session.h"

static int is_reading(const smtpf_task *t)
{
  return t->state == SMTPF_TASK_READING;
}

/* ---- begin ----------------------------------------------------------------------------------------------------------
 */

/* Whatever belongs to the message that was read, or was given up. */
static void put_away(smtpf_session *s)
{
  smtpf_content_end(s);
  smtpf_scanning_reset(s);
}

int smtpf_scan_begin(smtpf_session *s)
{
  const smtpf_engine *e = s->engine;
  smtpf_scan_cancel(s);
  if (!(e->stages & SMTPF_BODY) || !(s->can & SMTPF_CAN_SEE_BODY))
    return SMTPF_OK;
  struct smtpf_run *r = smtpf_run_begin(s, e->n_checks, SMTPF_BODY);
  if (!r)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < e->n_checks; i++)
    if (e->checks[i].check->stages & SMTPF_BODY)
      smtpf_run_add(s, r, &e->checks[i], i);
  s->scan = r;
  s->scan_at = 0;
  for (size_t i = 0; i < r->n; i++)
    smtpf_task_start(&r->tasks[i]);
  if (smtpf_content_begin(s, r) == SMTPF_OK)
    return SMTPF_OK;
  smtpf_scan_cancel(s);
  return SMTPF_ENOMEM;
}

/* ---- feed -----------------------------------------------------------------------------------------------------------
 */

/* Offers a task what it has not had. Afterwards it is as far as `taken` says, or full before that. */
static void offer(smtpf_task *t, uint64_t at, const char *bytes, size_t n)
{
  const smtpf_opened *o = t->opened;
  const uint64_t had = t->fed - at;
  if (!o->check->feed) {
    t->fed = at + n; /* it has scanners read, or asks for pieces */
    return;
  }
  if (had >= n || t->full)
    return;
  const size_t rest = n - (size_t)had;
  size_t took = o->check->feed(o->self, t, bytes + had, rest);
  took = took < rest ? took : rest;
  t->fed += took;
  t->full = took < rest;
  if (t->full && is_reading(t))
    smtpf_task_wait(t); /* not for ever: the client waits with it */
}

size_t smtpf_scan_feed(smtpf_session *s, const char *bytes, size_t n)
{
  struct smtpf_run *r = s->scan;
  size_t least = n;
  for (size_t i = 0; i < r->n; i++) {
    smtpf_task *t = &r->tasks[i];
    if (!is_reading(t))
      continue;
    offer(t, s->scan_at, bytes, n);
    if (is_reading(t) && t->fed - s->scan_at < least)
      least = (size_t)(t->fed - s->scan_at);
  }
  s->scan_at += least;
  s->body_waits = least < n;
  smtpf_content_feed(s, bytes, least);
  smtpf_scanning_feed(s, bytes, least);
  return least;
}

/* ---- finish ---------------------------------------------------------------------------------------------------------
 */

/* What a check calls clear although it has not seen all of it is not known. */
static void judge_clear(smtpf_session *s, smtpf_task *t)
{
  if (t->seen >= smtpf_message_size(s->message))
    return;
  int clear = 0;
  for (smtpf_evidence *e = t->first; e; e = e->next)
    clear |= e->kind == SMTPF_CLEAR;
  if (clear)
    smtpf_task_fail(t, "partial");
}

static void gather(smtpf_session *s)
{
  struct smtpf_run *r = s->scan;
  for (size_t i = 0; i < r->n; i++)
    judge_clear(s, &r->tasks[i]);
  s->scan = NULL;
  put_away(s);
  smtpf_run_gather(s, r);
}

static int lowest_tier(const struct smtpf_run *r)
{
  int tier = INT32_MAX;
  for (size_t i = 0; i < r->n; i++)
    if (r->tasks[i].state != SMTPF_TASK_DONE && r->tasks[i].opened->check->tier < tier)
      tier = r->tasks[i].opened->check->tier;
  return tier;
}

static void finish_one(smtpf_task *t)
{
  const smtpf_opened *o = t->opened;
  t->state = SMTPF_TASK_ASLEEP; /* it reads no more: from now on it has a deadline, and something to wait for */
  smtpf_task_said(t, o->check->finish ? o->check->finish(o->self, t) : SMTPF_OK);
}

int smtpf_scan_finish(smtpf_session *s)
{
  struct smtpf_run *r = s->scan;
  smtpf_content_finish(s);
  smtpf_scanning_complete(s);
  for (;;) {
    const int tier = lowest_tier(r);
    if (tier == INT32_MAX) {
      gather(s);
      return SMTPF_OK;
    }
    for (size_t i = 0; i < r->n; i++)
      if (is_reading(&r->tasks[i]) && r->tasks[i].opened->check->tier == tier)
        finish_one(&r->tasks[i]);
    smtpf_run_resume(s);
    for (size_t i = 0; i < r->n; i++)
      if (r->tasks[i].state == SMTPF_TASK_ASLEEP)
        return SMTPF_PENDING;
  }
}

int smtpf_scan_continue(smtpf_session *s)
{
  smtpf_run_resume(s);
  if (s->event == SMTPF_EV_EOM && s->pending)
    return smtpf_scan_finish(s);
  if (!s->body_waits)
    return SMTPF_PENDING;
  s->body_waits = 0;
  return SMTPF_OK;
}

void smtpf_scan_cancel(smtpf_session *s)
{
  struct smtpf_run *r = s->scan;
  s->scan = NULL;
  s->body_waits = 0;
  if (r)
    smtpf_run_drop(s, r); /* closes scans, which look at what is put away next */
  put_away(s);
}
