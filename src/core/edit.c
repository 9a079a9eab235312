/* SPDX-License-Identifier: MIT
 *
 * Header edits: fields of our mark's name that came from outside go (`tag.foreign`); a copy that is tagged, whose
 * recipient's wish was overridden, or whose forward is suspended, gets one of ours:
 *
 *     X-Smtpfilter: tagged; score=12; dnslist=listed; wish=rejected                     headers vary: this copy's own
 *     X-Smtpfilter: tagged; score=12; dnslist=listed; overridden=2,3; id=0123456789abcdef    one header block for all
 *     X-Smtpfilter: delivered; score=0; forward=suspended; forward_target=refused       it stays here: the owner is
 * told
 *
 * A copy that is forwarded gets a Delivered-To field with its recipient's address, by which check `loop` knows it when
 * it comes back.
 *
 * Where all copies share the header block a recipient is named by its place among the accepted ones, which with the
 * session's id leads to the address in the log: an address would tell the others who else was written to.
 */
#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "session.h"

enum { VALUE_MAX = 200, NAMED_MAX = 16 };

int smtpf_rcpt_is_taken(const smtpf_rcpt *rcpt)
{
  return !rcpt->entry.known && rcpt->entry.disposition != SMTPF_DISCARDED &&
         smtpf_ledger_reply(&rcpt->entry) == SMTPF_ACT_ACCEPT;
}

/* It goes on to somewhere else, and may come back from there. */
static int is_forwarded(const smtpf_rcpt *rcpt)
{
  return smtpf_rcpt_is_taken(rcpt) && rcpt->entry.forward && rcpt->entry.disposition != SMTPF_QUARANTINED;
}

/* Names it as the mailbox it was in. Where headers do not vary, others would read who else was written to. */
static void sign_forwards(smtpf_session *s)
{
  size_t taken = 0;
  for (size_t i = 0; i < s->n_rcpts; i++)
    taken += (size_t)smtpf_rcpt_is_taken(s->rcpts[i]);
  if (!s->engine->limits.loop_mark || !(taken == 1 || (s->can & SMTPF_CAN_EDIT_PER_RCPT)))
    return;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (is_forwarded(s->rcpts[i]))
      s->edits[s->n_edits++] = (smtpf_edit){SMTPF_EDIT_PREPEND, 0, SMTPF_LIT("Delivered-To"), s->rcpts[i]->canonical,
                                            taken == 1 ? SIZE_MAX : i};
}

static int scores_alone(const smtpf_rcpt *rcpt)
{
  const smtpf_evidence *e = rcpt->evidence.first;
  while (e && !e->score)
    e = e->next;
  return e != NULL;
}

/* A mark that others read too says nothing that was found about this recipient alone. */
static void put_verdict(smtpf_out *o, const smtpf_rcpt *rcpt, int shared)
{
  const smtpf_outcome *outcome = &rcpt->entry.outcome;
  smtpf_out_cstr(o, smtpf_disposition_name(rcpt->entry.disposition));
  if (!shared || !scores_alone(rcpt)) {
    smtpf_out_cstr(o, "; score=");
    smtpf_out_milli(o, outcome->score);
  }
  if (outcome->cause && !(shared && smtpf_evidence_of_recipient(outcome->cause))) {
    smtpf_out_cstr(o, "; ");
    smtpf_out_cstr(o, outcome->cause->check);
    smtpf_out_char(o, '=');
    smtpf_out_cstr(o, outcome->cause->code);
  }
  if (outcome->stays && !shared) {
    smtpf_out_cstr(o, "; forward=suspended; ");
    smtpf_out_cstr(o, outcome->stays->check);
    smtpf_out_char(o, '=');
    smtpf_out_cstr(o, outcome->stays->code);
  }
}

/* A copy that is tagged, or that its recipient would else not understand. */
static int wants_mark(const smtpf_rcpt *rcpt)
{
  return smtpf_rcpt_is_taken(rcpt) &&
         (rcpt->entry.disposition == SMTPF_TAGGED || rcpt->entry.overridden || rcpt->entry.outcome.stays);
}

static void put_places(smtpf_out *o, const smtpf_session *s)
{
  size_t named = 0;
  for (size_t i = 0; i < s->n_rcpts && named < NAMED_MAX; i++) {
    if (!s->rcpts[i]->entry.overridden)
      continue;
    smtpf_out_cstr(o, named++ ? "," : "; overridden=");
    smtpf_out_uint(o, i + 1);
  }
  if (named) {
    smtpf_out_cstr(o, "; id=");
    smtpf_out_cstr(o, s->id);
  }
}

static void add(smtpf_session *s, const smtpf_out *value, size_t recipient)
{
  smtpf_edit *e = &s->edits[s->n_edits];
  *e = (smtpf_edit){SMTPF_EDIT_PREPEND, 0, s->engine->tag_header, {NULL, 0}, recipient};
  if (smtpf_arena_copy(&s->transaction, smtpf_out_done(value), &e->value) == SMTPF_OK)
    s->n_edits++;
  else
    s->no_memory = 1;
}

static void mark_each(smtpf_session *s)
{
  for (size_t i = 0; i < s->n_rcpts; i++) {
    const smtpf_rcpt *rcpt = s->rcpts[i];
    char room[VALUE_MAX];
    smtpf_out o;
    if (!wants_mark(rcpt))
      continue;
    smtpf_out_init(&o, room, sizeof room);
    put_verdict(&o, rcpt, 0);
    if (rcpt->entry.overridden) {
      smtpf_out_cstr(&o, "; wish=");
      smtpf_out_cstr(&o, smtpf_disposition_name(rcpt->entry.wish));
    }
    add(s, &o, i);
  }
}

/* The copy whose mark the message bears: a tagged one; without any, an overridden one, as long as nobody who wants
 * unmarked mail would get it. */
static const smtpf_rcpt *bearer(const smtpf_session *s)
{
  const smtpf_rcpt *overridden = NULL;
  int unmarked = 0;
  if (s->n_rcpts == 1)
    return wants_mark(s->rcpts[0]) ? s->rcpts[0] : NULL;
  for (size_t i = 0; i < s->n_rcpts; i++) {
    const smtpf_rcpt *rcpt = s->rcpts[i];
    if (!smtpf_rcpt_is_taken(rcpt))
      continue;
    if (rcpt->entry.disposition == SMTPF_TAGGED)
      return rcpt;
    if (rcpt->entry.overridden)
      overridden = overridden ? overridden : rcpt;
    else
      unmarked |= rcpt->entry.disposition != SMTPF_QUARANTINED;
  }
  return unmarked ? NULL : overridden;
}

static void mark_all(smtpf_session *s)
{
  const smtpf_rcpt *rcpt = bearer(s);
  char room[VALUE_MAX];
  smtpf_out o;
  if (!rcpt)
    return;
  smtpf_out_init(&o, room, sizeof room);
  put_verdict(&o, rcpt, s->n_rcpts > 1);
  put_places(&o, s);
  add(s, &o, SIZE_MAX);
}

int smtpf_message_marks_go(const smtpf_session *s)
{
  int go = !s->engine->tag_leaves;
  for (size_t i = 0; i < s->n_rcpts; i++)
    go |= wants_mark(s->rcpts[i]);
  return go;
}

int smtpf_message_edit(smtpf_session *s)
{
  const size_t foreign = smtpf_message_marks_go(s) ? (size_t)s->message->marks : 0;
  if (!(s->can & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT)))
    return SMTPF_OK;
  s->edits = smtpf_arena_alloc(&s->transaction, (foreign + 2 * s->n_rcpts + smtpf_wish_most(s)) * sizeof *s->edits);
  if (!s->edits)
    return SMTPF_ENOMEM;
  for (size_t i = foreign; i > 0; i--) /* from the last, so that the numbers of the others stay true */
    s->edits[s->n_edits++] = (smtpf_edit){SMTPF_EDIT_DELETE, (int)i, s->engine->tag_header, {"", 0}, SIZE_MAX};
  smtpf_wish_edits(s);
  sign_forwards(s);
  if (s->can & SMTPF_CAN_EDIT_PER_RCPT)
    mark_each(s);
  else
    mark_all(s);
  if (s->no_memory)
    s->n_edits = 0;
  return s->no_memory ? SMTPF_ENOMEM : SMTPF_OK;
}
