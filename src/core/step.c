/* SPDX-License-Identifier: MIT */
#include "step.h"

#include "driver.h"

void smtpf_session_step(smtpf_session *s, const smtpf_opened *step, smtpf_step_fn then)
{
  s->then = then;
  const int r = smtpf_run_step(s, step);
  if (r == SMTPF_PENDING) {
    s->pending = 1;
    return;
  }
  if (r != SMTPF_OK)
    s->no_memory = 1;
  smtpf_session_decide(s);
}

smtpf_subjects smtpf_step_subjects(smtpf_session *s)
{
  return s->stage == SMTPF_RCPT ? (smtpf_subjects){&s->rcpt, 1} : (smtpf_subjects){s->rcpts, s->n_rcpts};
}

/* ---- reading a record for each ---- */

enum { AT_A_TIME = 16 };

struct progress {
  size_t next; /* subject to ask for */
  size_t open; /* answers that are due */
};

static int ask(smtpf_task *t, const smtpf_reader *reader, struct progress *p)
{
  smtpf_session *s = t->session;
  const smtpf_subjects all = smtpf_step_subjects(s);
  for (; p->next < all.n && p->open < AT_A_TIME; p->next++) {
    smtpf_key key;
    if (!reader->key(s, all.v[p->next], &key))
      continue;
    const int r = smtpf_task_get(t, smtpf_key_str(&key), (uint32_t)p->next);
    if (r == SMTPF_ELIMIT && p->open)
      break; /* `limits.operations` is less than we would ask at a time */
    if (r != SMTPF_OK)
      return r;
    p->open++;
  }
  return p->open ? SMTPF_PENDING : SMTPF_OK;
}

int smtpf_step_read(smtpf_task *t, const smtpf_reader *reader)
{
  struct progress *p = smtpf_task_alloc(t, sizeof *p);
  if (!p)
    return SMTPF_ENOMEM;
  *smtpf_task_slot(t) = p;
  return ask(t, reader, p);
}

int smtpf_step_read_on(smtpf_task *t, const smtpf_reader *reader, const smtpf_answer *a)
{
  struct progress *p = *smtpf_task_slot(t);
  reader->read(t->session, smtpf_step_subjects(t->session).v[a->tag], a);
  p->open--;
  return ask(t, reader, p);
}
