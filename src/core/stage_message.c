/* SPDX-License-Identifier: MIT
 *
 * The message while it comes: data, body.
 */
#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "scan.h"
#include "step.h"
#include "will.h"

uint64_t smtpf_message_size(const struct smtpf_message *m)
{
  return m ? m->size : 0;
}

/* ---- data ---- */

static void count_field(void *user, const smtpf_header_field *field)
{
  smtpf_session *s = user;
  struct smtpf_message *m = s->message;
  m->received += smtpf_str_equal_nocase(field->name, SMTPF_LIT("Received"));
  m->marks += smtpf_str_equal_nocase(field->name, m->mark);
  smtpf_message_count(m, field->name);
  smtpf_trace_field(s, field);
}

static int begin_hash(smtpf_session *s)
{
  if (!s->engine->limits.lost_ack)
    return SMTPF_OK;
  s->message->hash = smtpf_arena_alloc(&s->transaction, sizeof *s->message->hash);
  if (!s->message->hash)
    return SMTPF_ENOMEM;
  smtpf_sha256_init(s->message->hash);
  return SMTPF_OK;
}

/* Only who reads the message may wish to edit it. */
static int begin_names(smtpf_session *s)
{
  if (!(s->engine->stages & (SMTPF_BODY | SMTPF_EOM)))
    return SMTPF_OK;
  s->message->names = smtpf_arena_alloc(&s->transaction, SMTPF_NAMES * sizeof *s->message->names);
  return s->message->names ? SMTPF_OK : SMTPF_ENOMEM;
}

int smtpf_session_spool(smtpf_session *s, int fd)
{
  if (fd < 0)
    return SMTPF_EINVAL;
  if (s->state != SMTPF_STATE_RCPT || s->pending)
    return SMTPF_ESTATE;
  s->spool_fd = fd;
  return SMTPF_OK;
}

int smtpf_session_data(smtpf_session *s)
{
  int r = smtpf_session_begin(s, SMTPF_EV_DATA);
  if (r != SMTPF_GO)
    return r;
  struct smtpf_message *m = s->message ? s->message : smtpf_arena_alloc(&s->transaction, sizeof *m);
  if (m) {
    *m = (struct smtpf_message){.mark = s->engine->tag_header, .seed = s->driver->seed};
    s->message = m;
  }
  if (!m || smtpf_trace_begin(s, count_field) != SMTPF_OK || begin_hash(s) != SMTPF_OK || begin_names(s) != SMTPF_OK)
    s->no_memory = 1;
  smtpf_session_drop_evidence(&s->of_transaction, SMTPF_DATA); /* of a DATA that was refused */
  for (size_t i = 0; i < s->n_rcpts; i++)
    smtpf_session_drop_evidence(&s->rcpts[i]->evidence, SMTPF_DATA);
  s->settlements = NULL;
  return smtpf_session_end(s, smtpf_session_examine(s, SMTPF_DATA));
}

static void go_on(smtpf_session *s)
{
  if (smtpf_scan_begin(s) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  s->state = SMTPF_STATE_DATA;
  smtpf_session_answer(s, (smtpf_reply){354, {"", 0}, SMTPF_LIT("end data with <CR><LF>.<CR><LF>")},
                       SMTPF_LIT("accept"));
}

/* What nobody would take, whatever its content, is refused here. */
static void data_decide(smtpf_session *s)
{
  if (s->no_memory || smtpf_will_judge_all(s) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  const smtpf_outcome *cause =
      &s->rcpts[0]->entry.outcome; /* or the first that waits: none of them is refused for good */
  int nobody = 1;
  for (size_t i = 0; i < s->n_rcpts; i++) {
    const smtpf_outcome *o = &s->rcpts[i]->entry.outcome;
    nobody &= o->act == SMTPF_ACT_REJECT || o->act == SMTPF_ACT_DEFER;
    if (o->act == SMTPF_ACT_DEFER && cause->act != SMTPF_ACT_DEFER)
      cause = o;
  }
  if (nobody) {
    smtpf_session_answer(s, smtpf_outcome_reply(s, cause, NULL), smtpf_outcome_rule(cause, &s->transaction));
    return;
  }
  if (s->settlements && !(s->can & SMTPF_CAN_SEE_BODY))
    smtpf_session_step(s, &smtpf_step_settle, go_on);
  else
    go_on(s);
}

void smtpf_data_decide(smtpf_session *s)
{
  smtpf_session_within_budget(s, data_decide);
}

/* ---- body ---- */

enum smtpf_flaw smtpf_message_flaw(const struct smtpf_message *m, const smtpf_limits *l)
{
  if (m->size > (uint64_t)l->message)
    return SMTPF_TOO_LARGE;
  if (m->header.bytes > (uint64_t)l->header)
    return SMTPF_HEADER_TOO_LARGE;
  return m->received > l->received ? SMTPF_LOOP : SMTPF_FINE;
}

static void read_piece(smtpf_session *s, const char *bytes, size_t n)
{
  struct smtpf_message *m = s->message;
  m->size = m->size > UINT64_MAX - n ? UINT64_MAX : m->size + n;
  if (m->flaw)
    return; /* its fate is known: only the end is waited for */
  if (m->hash)
    smtpf_sha256_add(m->hash, bytes, n);
  if (!m->header.ended)
    (void)smtpf_header_feed(&m->header, bytes, n);
  m->flaw = smtpf_message_flaw(m, &s->engine->limits);
  if (m->flaw)
    smtpf_scan_cancel(s);
}

int smtpf_session_body(smtpf_session *s, const void *bytes, size_t n, size_t *taken)
{
  if (s->driver->entered || s->pending)
    return SMTPF_EBUSY;
  if (s->state != SMTPF_STATE_DATA)
    return SMTPF_ESTATE;
  if (!(s->can & SMTPF_CAN_SEE_BODY)) /* nobody would look at it, and nobody would be told */
    return SMTPF_EUNSUPPORTED;
  *taken = n;
  if (s->scan) {
    const int r = smtpf_driver_enter(s->driver);
    if (r != SMTPF_OK)
      return r;
    if (!smtpf_list_empty(&s->answered))
      smtpf_run_resume(s); /* who was full may have room by now; only who waits for something may stay full */
    *taken = smtpf_scan_feed(s, bytes, n);
    smtpf_driver_leave(s->driver);
  }
  read_piece(s, bytes, *taken);
  if (*taken < n && !s->scan) { /* nobody reads it any more, hence nobody would ever ask for the rest */
    read_piece(s, (const char *)bytes + *taken, n - *taken);
    *taken = n;
  }
  return *taken < n ? SMTPF_PENDING : SMTPF_OK;
}
