/* SPDX-License-Identifier: MIT
 *
 * wants: whether a message that has been let in can still change anything. It cannot where no check reads it, every
 * copy is taken as it came and goes where it was addressed to, and nobody of its recipients knows marks, of which
 * forged ones would have to go.
 */
#include "driver.h"
#include "message.h"
#include "session.h"
#include "will.h"

/* Who has said PENDING at BODY wants to read it. What the others have found or asked for is judged with it. */
static int is_read(const smtpf_session *s)
{
  for (size_t i = 0; s->scan && i < s->scan->n; i++) {
    const smtpf_task *t = &s->scan->tasks[i];
    if (t->state != SMTPF_TASK_DONE || t->first || t->edits)
      return 1;
  }
  return s->engine->reads || s->message->hash || s->no_memory;
}

/* A mark that a sender forged would be taken for ours. */
static int knows_marks(const smtpf_session *s, const smtpf_profile *p)
{
  const int edits = (s->can & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT)) != 0;
  return edits && !s->engine->tag_leaves && (p->tag != SMTPF_SCORE_OFF || p->quarantine != SMTPF_SCORE_OFF);
}

static int marks_matter(const smtpf_session *s, const smtpf_rcpt *rcpt)
{
  int matter = !rcpt->n_members && knows_marks(s, rcpt->profile);
  for (size_t i = 0; i < rcpt->n_members; i++)
    matter |= knows_marks(s, rcpt->members[i]);
  return matter;
}

/* Taken as it came. From a client that is trusted the message says where it is really from. */
static int is_plain(smtpf_session *s, const smtpf_rcpt *rcpt)
{
  const smtpf_outcome *o = &rcpt->entry.outcome;
  smtpf_trust trust;
  if (o->act != SMTPF_ACT_ACCEPT || o->forward || o->stays || marks_matter(s, rcpt))
    return 0;
  smtpf_will_trust(s, rcpt, &trust);
  return !trust.by && !s->no_memory;
}

int smtpf_session_wants_message(smtpf_session *s)
{
  if (s->driver->entered || s->pending || s->state != SMTPF_STATE_DATA || !s->message || s->message->size)
    return 1;
  if (!(s->can & SMTPF_CAN_SEE_BODY))
    return 0;
  if (is_read(s) || s->signed_sender.n)
    return 1;
  size_t plain = 0;
  while (plain < s->n_rcpts && is_plain(s, s->rcpts[plain]))
    plain++;
  smtpf_view view;
  (void)smtpf_session_look(s, NULL, 1, &view); /* what the verdict shows */
  return plain < s->n_rcpts;
}
