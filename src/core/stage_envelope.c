/* SPDX-License-Identifier: MIT
 *
 * The envelope: mail, rcpt.
 */
#include <string.h>

#include "base/str.h"
#include "driver.h"
#include "signature.h"
#include "step.h"
#include "will.h"

/* ---- what both have ---- */

/* Copies a path and parses the copy. SMTPF_OK, SMTPF_EPARSE or SMTPF_ENOMEM. */
static int take_path(smtpf_arena *a, smtpf_str text, smtpf_str *written, smtpf_path *path)
{
  enum { PATH_MAX_LENGTH = 1024 }; /* far beyond RFC 5321's 256: longer ones are not worth a copy */
  if (text.n > PATH_MAX_LENGTH)
    return SMTPF_EPARSE;
  int r = smtpf_arena_copy(a, text, written);
  return r == SMTPF_OK ? smtpf_path_parse(*written, path) : r;
}

/* The parameters that concern us. */
struct params {
  uint64_t size;
  int utf8, prdr;
};

/* SMTPF_OK or SMTPF_EPARSE. */
static int take_params(smtpf_str params, struct params *out)
{
  smtpf_str keyword, value;
  int r;
  while ((r = smtpf_param_next(&params, &keyword, &value)) == SMTPF_OK) {
    if (smtpf_str_equal_nocase(keyword, SMTPF_LIT("SIZE")) && smtpf_str_uint(value, INT64_MAX, &out->size) != SMTPF_OK)
      return SMTPF_EPARSE;
    out->utf8 |= smtpf_str_equal_nocase(keyword, SMTPF_LIT("SMTPUTF8"));
    out->prdr |= smtpf_str_equal_nocase(keyword, SMTPF_LIT("PRDR"));
  }
  return r == SMTPF_ENOTFOUND ? SMTPF_OK : r;
}

/* ---- mail ---- */

/* What RFC 5321 itself refuses. 1 when the event was answered. */
static int mail_is_wrong(smtpf_session *s, int parsed, smtpf_str params)
{
  struct params p = {0};
  const smtpf_limits *l = &s->engine->limits;
  if (parsed == SMTPF_ENOMEM)
    smtpf_session_answer_no_memory(s);
  else if (parsed != SMTPF_OK || s->sender.form == SMTPF_PATH_POSTMASTER)
    SMTPF_ANSWER(s, 501, "5.1.7", "bad sender address syntax", "syntax");
  else if (take_params(params, &p) != SMTPF_OK)
    SMTPF_ANSWER(s, 501, "5.5.4", "bad parameter syntax", "syntax");
  else if (p.size > (uint64_t)l->message)
    SMTPF_ANSWER(s, 552, "5.3.4", "message is larger than we take (limits.message)", "limits.message");
  else if (s->sender.utf8 && !p.utf8)
    SMTPF_ANSWER(s, 553, "5.6.7", "address needs SMTPUTF8", "syntax");
  else if (s->transactions >= l->transactions)
    SMTPF_ANSWER(s, 421, "4.7.0", "too many messages in this session (limits.transactions)", "limits.transactions");
  s->smtputf8 = (uint8_t)p.utf8;
  s->can = s->capabilities;
  if (s->protocol == SMTPF_SMTP && !p.prdr) /* draft-hall-prdr-00: only for who asks for it */
    s->can &= ~(unsigned)SMTPF_CAN_REPLY_PER_RCPT;
  return s->verdict.action != 0;
}

int smtpf_session_mail(smtpf_session *s, smtpf_str path, smtpf_str params)
{
  int r = smtpf_session_begin(s, SMTPF_EV_MAIL);
  if (r != SMTPF_GO)
    return r;
  smtpf_str written;
  r = take_path(&s->transaction, path, &written, &s->sender);
  if (mail_is_wrong(s, r, params)) {
    s->over = 1;
    return smtpf_session_end(s, SMTPF_OK);
  }
  if (smtpf_arena_copy(&s->transaction, params, &s->sender_params) != SMTPF_OK ||
      smtpf_signature_senders(s) != SMTPF_OK)
    s->no_memory = 1;
  s->failed_rcpts = 0;
  return smtpf_session_end(s, smtpf_session_examine(s, SMTPF_MAIL));
}

void smtpf_mail_decide(smtpf_session *s)
{
  smtpf_view view;
  if (smtpf_session_look(s, NULL, 0, &view) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  const smtpf_outcome o = smtpf_will_before_rcpt(s, view);
  if (s->engine->refuse_stage <= SMTPF_MAIL && (o.act == SMTPF_ACT_REJECT || o.act == SMTPF_ACT_DEFER)) {
    s->over = 1;
    smtpf_session_answer(s, smtpf_outcome_reply(s, &o, NULL), smtpf_outcome_rule(&o, &s->transaction));
    return;
  }
  s->transactions++;
  s->state = SMTPF_STATE_MAIL;
  SMTPF_ANSWER(s, 250, "2.1.0", "sender ok", "accept");
}

/* ---- rcpt ---- */

/* What belongs to a refused recipient goes with the next event: a dictionary attack must not fill the transaction. */
static void refuse_rcpt(smtpf_session *s)
{
  s->failed_rcpts++;
  s->refused_rcpts += s->verdict.reply.code >= 500;
  s->rcpt_refused = 1;
}

static int rcpt_is_wrong(smtpf_session *s, int parsed, smtpf_str params)
{
  struct params p = {0};
  if (parsed == SMTPF_ENOMEM)
    smtpf_session_answer_no_memory(s);
  else if (parsed != SMTPF_OK || s->rcpt->path.form == SMTPF_PATH_NULL)
    SMTPF_ANSWER(s, 501, "5.1.3", "bad recipient address syntax", "syntax");
  else if (take_params(params, &p) != SMTPF_OK)
    SMTPF_ANSWER(s, 501, "5.5.4", "bad parameter syntax", "syntax");
  else if (s->rcpt->path.utf8 && !s->smtputf8)
    SMTPF_ANSWER(s, 553, "5.6.7", "address needs SMTPUTF8", "syntax");
  else if (s->n_rcpts >= (size_t)s->engine->limits.recipients)
    SMTPF_ANSWER(s, 452, "4.5.3", "too many recipients (limits.recipients)", "limits.recipients");
  return s->verdict.action != 0;
}

/* local-part@domain, the domain in lower case (RFC 5321 2.4: only the domain is without regard to case). */
static int canonical(smtpf_arena *a, const smtpf_path *path, smtpf_str *out)
{
  int r = smtpf_arena_copy(a, path->address, out);
  if (r != SMTPF_OK || !path->domain.n)
    return r;
  char *domain = (char *)(uintptr_t)out->p + (out->n - path->domain.n);
  for (size_t i = 0; i < path->domain.n; i++)
    domain[i] = smtpf_lower(domain[i]);
  return SMTPF_OK;
}

static int note_rcpt(smtpf_session *s, smtpf_str params)
{
  smtpf_rcpt *rcpt = s->rcpt;
  int r = canonical(&s->transaction, &rcpt->path, &rcpt->address);
  if (r == SMTPF_OK)
    r = smtpf_arena_copy(&s->transaction, params, &rcpt->params);
  if (r == SMTPF_OK)
    r = smtpf_signature_read(s, rcpt);
  if (r != SMTPF_OK)
    return r;
  rcpt->canonical = rcpt->address;
  const smtpf_profile *own = smtpf_engine_recipient(s->engine, rcpt->address);
  rcpt->profile = own ? own : s->engine->site;
  return smtpf_signature_route(s, rcpt);
}

int smtpf_session_rcpt(smtpf_session *s, smtpf_str path, smtpf_str params)
{
  int r = smtpf_session_begin(s, SMTPF_EV_RCPT);
  if (r != SMTPF_GO)
    return r;
  s->before_rcpt = smtpf_arena_here(&s->transaction);
  s->facts_before_rcpt = s->transaction_facts;
  s->cap_before_rcpt = s->cap_rcpts;
  s->rcpt = smtpf_arena_alloc(&s->transaction, sizeof *s->rcpt);
  r = s->rcpt ? take_path(&s->transaction, path, &s->rcpt->written, &s->rcpt->path) : SMTPF_ENOMEM;
  if (rcpt_is_wrong(s, r, params)) {
    refuse_rcpt(s);
    return smtpf_session_end(s, SMTPF_OK);
  }
  if (note_rcpt(s, params) != SMTPF_OK)
    s->no_memory = 1;
  r = smtpf_session_examine(s, SMTPF_RCPT);
  return smtpf_session_end(s, r);
}

static int accept_rcpt(smtpf_session *s)
{
  if (s->n_rcpts == s->cap_rcpts) {
    const size_t cap = s->cap_rcpts ? s->cap_rcpts * 2 : 4;
    smtpf_rcpt **more = smtpf_arena_alloc(&s->transaction, cap * sizeof(smtpf_rcpt *));
    if (!more)
      return SMTPF_ENOMEM;
    if (s->n_rcpts)
      memcpy(more, s->rcpts, s->n_rcpts * sizeof(smtpf_rcpt *));
    s->rcpts = more;
    s->cap_rcpts = cap;
  }
  s->rcpts[s->n_rcpts++] = s->rcpt;
  s->state = SMTPF_STATE_RCPT;
  return SMTPF_OK;
}

static void refuse_by(smtpf_session *s, const smtpf_outcome *o)
{
  smtpf_session_answer(s, smtpf_outcome_reply(s, o, s->rcpt), smtpf_outcome_rule(o, &s->transaction));
  refuse_rcpt(s);
}

/* Holds a recipient against one that was accepted. */
static int fits(smtpf_session *s, smtpf_rcpt *accepted, const smtpf_party *own)
{
  smtpf_party other;
  if (smtpf_will_party(s, accepted, &other) != SMTPF_OK) {
    s->no_memory = 1;
    return 1;
  }
  if (s->engine->apart != SMTPF_APART_RECIPIENT && smtpf_will_alike(&other, own)) {
    s->rcpt->alike = 1;
    return 1;
  }
  return smtpf_will_joins(s, accepted, &other, s->rcpt, own);
}

/* 1 when this host cannot do to one message all that this recipient and those accepted before may come to wish. Who
 * wishes the same as another is held against nobody a second time. */
static int diverges(smtpf_session *s)
{
  smtpf_party own;
  smtpf_view view;
  int together = 1;
  if (!s->n_rcpts || (s->can & SMTPF_CAN_JOIN_ONLY))
    return 0;
  if (smtpf_will_party(s, s->rcpt, &own) != SMTPF_OK)
    s->no_memory = 1;
  s->rcpt->alike = 0;
  for (size_t i = 0; i < s->n_rcpts && together && !s->no_memory; i++)
    together = s->rcpts[i]->alike || fits(s, s->rcpts[i], &own);
  if (smtpf_session_look(s, s->rcpt, 0, &view) != SMTPF_OK)
    s->no_memory = 1;
  return !together;
}

static void split_off(smtpf_session *s)
{
  s->driver->stats[SMTPF_STAT_SPLIT]++;
  smtpf_session_answer(s,
                       (smtpf_reply){(int)s->engine->limits.partition_reply, SMTPF_LIT("4.5.3"),
                                     smtpf_text_words(s, SMTPF_TEXT_SPLIT, NULL, s->rcpt)},
                       SMTPF_LIT("partition"));
  refuse_rcpt(s);
}

static void answer_taken(smtpf_session *s)
{
  smtpf_session_answer(s, (smtpf_reply){250, SMTPF_LIT("2.1.5"), SMTPF_LIT("recipient ok")},
                       smtpf_outcome_rule(&s->rcpt->entry.outcome, &s->transaction));
}

/* Where nothing is heard of the message, this is the last word on the copy. */
static void take_rcpt(smtpf_session *s)
{
  if (s->no_memory || accept_rcpt(s) != SMTPF_OK) {
    refuse_rcpt(s);
    smtpf_session_answer_no_memory(s);
  } else if (s->rcpt->settlements && !(s->can & SMTPF_CAN_SEE_BODY)) {
    smtpf_session_step(s, &smtpf_step_settle, answer_taken);
  } else {
    answer_taken(s);
  }
}

/* It is known now whether this recipient may be put off. */
static void decide_within_budget(smtpf_session *s)
{
  const smtpf_outcome *o = &s->rcpt->entry.outcome;
  if (s->no_memory || smtpf_will_judge(s, s->rcpt) != SMTPF_OK)
    smtpf_session_answer_no_memory(s);
  else if (o->act == SMTPF_ACT_DEFER)
    refuse_by(s, o);
  else if (s->rcpt->entry.budget == SMTPF_BUDGET_LEFT && diverges(s))
    split_off(s);
  else
    take_rcpt(s);
}

/* Nobody is put off by choice: refused, or taken. */
static void decide_without_budget(smtpf_session *s)
{
  const smtpf_outcome *o = &s->rcpt->entry.outcome;
  if (s->no_memory)
    smtpf_session_answer_no_memory(s);
  else if (o->act == SMTPF_ACT_REJECT || o->act == SMTPF_ACT_DEFER)
    refuse_by(s, o);
  else
    take_rcpt(s);
}

/* Elective deferrals, by a finding or by the partition, ask for the budget first (promise L7). */
void smtpf_rcpt_decide(smtpf_session *s)
{
  const smtpf_outcome *o = &s->rcpt->entry.outcome;
  if (smtpf_will_judge(s, s->rcpt) != SMTPF_OK)
    smtpf_session_answer_no_memory(s);
  else if (o->rule == SMTPF_RULE_ELECTIVE || (o->act != SMTPF_ACT_REJECT && o->act != SMTPF_ACT_DEFER && diverges(s)))
    smtpf_session_step(s, &smtpf_step_budget, decide_within_budget);
  else if (s->notes)
    smtpf_session_step(s, &smtpf_step_note, decide_without_budget);
  else
    decide_without_budget(s);
}
