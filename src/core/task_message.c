/* SPDX-License-Identifier: MIT
 *
 * What checks that look at the message may ask for and say (ext/check.h): recipients, certainty, header edits.
 */
#include <smtpfilter/verdict.h>

#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "session.h"
#include "tenure.h"
#include "will.h"

int smtpf_task_recipient(const smtpf_task *t, size_t i, smtpf_str *address, smtpf_str *profile)
{
  const smtpf_session *s = t->session;
  if (!i || i > s->n_rcpts)
    return SMTPF_ENOTFOUND;
  const smtpf_rcpt *rcpt = s->rcpts[i - 1];
  if (address)
    *address = rcpt->canonical;
  if (profile)
    *profile = (rcpt->n_members ? rcpt->members[0] : rcpt->profile)->name;
  return SMTPF_OK;
}

int smtpf_task_local(const smtpf_task *t, smtpf_str address)
{
  return smtpf_engine_is_local(t->session->engine, address);
}

int smtpf_task_signature(const smtpf_task *t, size_t recipient)
{
  const smtpf_session *s = t->session;
  return recipient && recipient <= s->n_rcpts ? s->rcpts[recipient - 1]->signature : SMTPF_SIGNATURE_NONE;
}

int smtpf_task_certain(smtpf_task *t, unsigned flags)
{
  smtpf_session *s = t->session;
  size_t i = 1;
  while (i <= s->n_rcpts && smtpf_will_certain(s, i, t, flags))
    i++;
  return i > s->n_rcpts;
}

void smtpf_task_patience(smtpf_task *t, int64_t ms)
{
  t->patience = ms > t->session->engine->limits.check_timeout ? ms : 0;
}

void **smtpf_task_room(smtpf_task *t, void (*done)(void *))
{
  smtpf_room *room = &t->session->tenure->rooms[t->position];
  room->done = done;
  return &room->pointer;
}

/* ---- header edits ---------------------------------------------------------------------------------------------------
 */

static int is_field_name(smtpf_str name)
{
  for (size_t i = 0; i < name.n; i++)
    if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
      return 0;
  return name.n > 0;
}

/* One line: nothing a check or a scanner says can end a field and begin another. */
static int is_one_line(smtpf_str value)
{
  for (size_t i = 0; i < value.n; i++)
    if ((unsigned char)value.p[i] < ' ' && value.p[i] != '\t')
      return 0;
  return 1;
}

int smtpf_task_edit(smtpf_task *t, int op, smtpf_str name, smtpf_str value, int occurrence, size_t recipient)
{
  enum { EDITS_MOST = 64, VALUE_LONGEST = 4096, NAME_LONGEST = 128 };
  smtpf_session *s = t->session;
  if (t->run->event.stage < SMTPF_BODY || op < SMTPF_EDIT_PREPEND || op > SMTPF_EDIT_DELETE || !is_field_name(name) ||
      name.n > NAME_LONGEST || value.n > VALUE_LONGEST || !is_one_line(value) || recipient > s->n_rcpts)
    return SMTPF_EINVAL;
  if (s->message->n_wished >= EDITS_MOST)
    return SMTPF_ELIMIT;
  smtpf_wished_edit *w = smtpf_arena_alloc(&s->transaction, sizeof *w);
  if (!w || smtpf_arena_copy(&s->transaction, name, &w->edit.name) != SMTPF_OK ||
      smtpf_arena_copy(&s->transaction, value, &w->edit.value) != SMTPF_OK) {
    s->no_memory = 1;
    return SMTPF_ENOMEM;
  }
  w->edit.op = op;
  w->edit.occurrence = occurrence;
  w->edit.recipient = recipient && s->n_rcpts > 1 ? recipient - 1 : SIZE_MAX; /* nobody else would see it */
  s->message->n_wished++;
  *t->last_edit = w;
  t->last_edit = &w->next;
  return SMTPF_OK;
}
