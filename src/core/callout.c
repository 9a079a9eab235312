/* SPDX-License-Identifier: MIT */
#include "callout.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"
#include "run.h"
#include "session.h"

/* Of what another server said. */
enum { TEXT_MAX = 512, WORD_MAX = 32 };

/* What is answered when there is no memory for the answer. */
static const smtpf_callout_answer no_memory = {
    .size = sizeof no_memory, .status = SMTPF_CALLOUT_UNKNOWN, .cause = {"memory", 6}};

static int start(smtpf_driver *d)
{
  const smtpf_callout *port = d->ports.callout;
  if (d->callout_up)
    return SMTPF_OK;
  if (!port)
    return SMTPF_EUNSUPPORTED;
  const int r = port->start ? port->start(d->ports.callout_shared, d, &d->callout) : SMTPF_OK;
  d->callout_up = r == SMTPF_OK;
  return r;
}

void smtpf_callout_stop(smtpf_driver *d)
{
  if (d->callout_up && d->ports.callout->stop)
    d->ports.callout->stop(d->callout);
  d->callout_up = 0;
}

void smtpf_callout_cancel(smtpf_driver *d, smtpf_op token)
{
  if (d->ports.callout->cancel)
    d->ports.callout->cancel(d->callout, token);
}

int smtpf_task_callout(smtpf_task *t, smtpf_str recipient, smtpf_str sender, uint32_t tag)
{
  smtpf_driver *d = t->session->driver;
  smtpf_op_slot *slot;
  int r = recipient.n ? start(d) : SMTPF_EINVAL;
  if (r == SMTPF_OK)
    r = smtpf_task_open_op(t, SMTPF_ANSWER_CALLOUT, tag, &slot);
  if (r != SMTPF_OK)
    return r;
  d->stats[SMTPF_STAT_CALLOUTS]++;
  const smtpf_op token = smtpf_op_token(slot);
  r = d->ports.callout->ask(d->callout, token, recipient, sender);
  if (r != SMTPF_OK) {
    /* A port that refuses to begin has answered: it could not be found out. */
    const smtpf_callout_answer unknown = {
        .size = sizeof unknown, .status = SMTPF_CALLOUT_UNKNOWN, .cause = SMTPF_LIT("not-asked")};
    (void)smtpf_op_callout(d, token, &unknown);
  }
  return SMTPF_OK;
}

/* ---- the answer ---- */

static void put(char **at, smtpf_str *text, size_t max)
{
  if (text->n > max)
    text->n = max;
  if (text->n)
    memcpy(*at, text->p, text->n);
  text->p = *at;
  *at += text->n;
}

/* One block: the answer and its texts. NULL without memory. */
static smtpf_callout_answer *copy(smtpf_driver *d, const smtpf_callout_answer *given)
{
  smtpf_callout_answer *a = smtpf_mem_zalloc(&d->mem, sizeof *a + TEXT_MAX + 2 * WORD_MAX);
  if (!a)
    return NULL;
  char *at = (char *)(a + 1);
  memcpy(a, given, given->size < sizeof *a ? given->size : sizeof *a);
  a->size = sizeof *a;
  put(&at, &a->enhanced, WORD_MAX);
  put(&at, &a->cause, WORD_MAX);
  put(&at, &a->text, TEXT_MAX);
  if (a->status < SMTPF_CALLOUT_ACCEPTED || a->status > SMTPF_CALLOUT_UNKNOWN)
    a->status = SMTPF_CALLOUT_UNKNOWN;
  return a;
}

int smtpf_op_callout(smtpf_driver *d, smtpf_op op, const smtpf_callout_answer *answer)
{
  smtpf_op_slot *slot = smtpf_op_open(d, op, SMTPF_ANSWER_CALLOUT);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_callout_answer *own = copy(d, answer);
  if (!own)
    slot->task->session->no_memory = 1;
  slot->copy = (char *)own;
  slot->callout = own ? own : &no_memory;
  d->stats[SMTPF_STAT_CALLOUTS_UNKNOWN] += slot->callout->status == SMTPF_CALLOUT_UNKNOWN;
  smtpf_driver_answered(d, slot);
  return SMTPF_OK;
}
