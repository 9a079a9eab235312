/* SPDX-License-Identifier: MIT
 *
 * The answer to one event: making it, reading it.
 */
#include <string.h>

#include "base/str.h"
#include "driver.h"
#include "scan.h"
#include "session.h"
#include "signature.h"

/* ---- making ---------------------------------------------------------------------------------------------------------
 */

static int action_of(int code)
{
  return code >= 500 ? SMTPF_REJECT : code >= 400 ? SMTPF_DEFER : SMTPF_ACCEPT;
}

static int may_be_delayed(const smtpf_session *s)
{
  return (s->capabilities & SMTPF_CAN_DELAY) && s->stage && s->stage <= SMTPF_RCPT &&
         s->driver->delayed < s->engine->limits.delay_sessions;
}

void smtpf_session_end_delay(smtpf_session *s)
{
  if (!s->delayed)
    return;
  s->delayed = 0;
  s->driver->delayed--;
  smtpf_timer_stop(&s->driver->timers, &s->delay_end);
}

static void delay_is_over(void *user)
{
  smtpf_session_end_delay(user);
}

/* Counted from the beginning of the stage: time a check took has already been waited. */
static int64_t delay_left(smtpf_session *s)
{
  int64_t wish = s->delay_asked;
  if (wish > s->engine->limits.delay_max)
    wish = s->engine->limits.delay_max;
  wish -= (int64_t)((s->driver->now_ns - s->stage_ns) / 1000000);
  if (wish <= 0 || !may_be_delayed(s))
    return 0;
  if (smtpf_timer_start(&s->driver->timers, &s->delay_end, smtpf_timer_at(s->driver->now_ns, wish), delay_is_over, s) !=
      SMTPF_OK)
    return 0;
  s->delayed = 1;
  s->driver->delayed++;
  s->driver->stats[SMTPF_STAT_DELAYS]++;
  return wish;
}

/* The answer to a message is never replaced: its client must learn what became of it. The next command meets 421. */
int smtpf_session_ends_in_errors(const smtpf_session *s, int code)
{
  const int ev = s->event;
  return code >= 500 && ev != SMTPF_EV_CONNECT && ev != SMTPF_EV_EOM && ev != SMTPF_EV_COMMIT &&
         s->errors + 1 >= s->engine->limits.errors;
}

void smtpf_session_answer(smtpf_session *s, smtpf_reply reply, smtpf_str rule)
{
  static const int stat[] = {
      [SMTPF_ACCEPT] = SMTPF_STAT_ACCEPTED, [SMTPF_DEFER] = SMTPF_STAT_DEFERRED, [SMTPF_REJECT] = SMTPF_STAT_REJECTED};
  const int last = smtpf_session_ends_in_errors(s, reply.code);
  s->errors += reply.code >= 500 && s->event != SMTPF_EV_CONNECT;
  if (last) {
    reply = (smtpf_reply){421, SMTPF_LIT("4.7.0"), SMTPF_LIT("too many errors (limits.errors)")};
    rule = SMTPF_LIT("limits.errors");
  }
  smtpf_verdict *v = &s->verdict;
  v->session = s;
  v->reply = reply;
  v->rule = rule;
  v->action = (uint8_t)action_of(reply.code);
  v->stage = (uint8_t)s->stage;
  v->n_evidence = s->n_view;
  v->recipients = s->n_rcpts > 0;
  v->closes = reply.code == 421 || reply.code == 221;
  v->delay = delay_left(s);
  s->accepted = v->action == SMTPF_ACCEPT ? s->stage : 0;
  if (v->closes) {
    if (s->event != SMTPF_EV_EOM && s->event != SMTPF_EV_COMMIT)
      smtpf_session_report_unclosed(s);
    smtpf_scan_cancel(s);
    s->state = SMTPF_STATE_CLOSED;
  }
  s->driver->stats[stat[v->action]]++;
  smtpf_session_log_verdict(s);
}

void smtpf_session_answer_no_memory(smtpf_session *s)
{
  const smtpf_reply reply = {s->event == SMTPF_EV_CONNECT || s->event == SMTPF_EV_REBIND ? 421 : 451,
                             SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory, try again later")};
  s->driver->stats[SMTPF_STAT_NO_MEMORY]++;
  s->n_view = 0;
  if (s->stage == SMTPF_RCPT && !s->rcpt_refused) {
    s->failed_rcpts++;
    s->rcpt_refused = 1;
  }
  if (s->stage == SMTPF_MAIL)
    s->over = 1;
  if (s->event == SMTPF_EV_EOM)
    smtpf_message_refuse(s, reply, SMTPF_LIT("out of memory"));
  else
    smtpf_session_answer(s, reply, SMTPF_LIT("out of memory"));
}

/* ---- reading (verdict.h) ---- */

int smtpf_verdict_action(const smtpf_verdict *v)
{
  return v->action;
}

int smtpf_verdict_code(const smtpf_verdict *v)
{
  return v->reply.code;
}

smtpf_str smtpf_verdict_enhanced(const smtpf_verdict *v)
{
  return v->reply.enhanced;
}

smtpf_str smtpf_verdict_text(const smtpf_verdict *v)
{
  return v->reply.text;
}

int64_t smtpf_verdict_delay(const smtpf_verdict *v)
{
  return v->delay;
}

int smtpf_verdict_closes(const smtpf_verdict *v)
{
  return v->closes;
}

int smtpf_verdict_stage(const smtpf_verdict *v)
{
  return v->stage;
}

smtpf_str smtpf_verdict_rule(const smtpf_verdict *v)
{
  return v->rule;
}

/* Members beyond the caller's size are not written. */
static int give(void *out, size_t caller, const void *full, size_t size)
{
  memcpy(out, full, caller < size ? caller : size);
  memcpy(out, &caller, sizeof caller);
  return SMTPF_OK;
}

size_t smtpf_verdict_evidence_count(const smtpf_verdict *v)
{
  return v->n_evidence;
}

int smtpf_verdict_evidence(const smtpf_verdict *v, size_t i, smtpf_evidence_info *out)
{
  if (i >= v->n_evidence)
    return SMTPF_ENOTFOUND;
  const smtpf_evidence *e = v->session->view[i];
  const smtpf_evidence_info info = {sizeof info, e->check,  e->stage, e->kind,      smtpf_str_of(e->code),
                                    e->score,    e->detail, e->text,  e->elapsed_us};
  return give(out, out->size, &info, sizeof info);
}

size_t smtpf_verdict_recipient_count(const smtpf_verdict *v)
{
  return v->recipients ? v->session->n_rcpts : 0;
}

/* A recipient's own words, where they differ from the message's. */
static smtpf_reply own_reply(const smtpf_verdict *v, const smtpf_rcpt *r)
{
  const int act = smtpf_ledger_reply(&r->entry);
  if (!r->entry.disposition || !(v->session->can & SMTPF_CAN_REPLY_PER_RCPT) || v->reply.code == 421)
    return v->reply;
  const int action = act == SMTPF_ACT_ACCEPT ? SMTPF_ACCEPT : act == SMTPF_ACT_DEFER ? SMTPF_DEFER : SMTPF_REJECT;
  if (r->hop.code && r->entry.final && action_of(r->hop.code) == action)
    return r->hop;
  if (act == SMTPF_ACT_ACCEPT)
    return (smtpf_reply){250, SMTPF_LIT("2.0.0"), SMTPF_LIT("taken")};
  if (r->own.code && action_of(r->own.code) == action)
    return r->own;
  if (action_of(v->reply.code) == action)
    return v->reply; /* refused with the whole message */
  if (act == SMTPF_ACT_DEFER)
    return (smtpf_reply){451, SMTPF_LIT("4.3.0"), r->reason.n ? r->reason : SMTPF_LIT("try again later")};
  return (smtpf_reply){554, SMTPF_LIT("5.0.0"), r->reason.n ? r->reason : SMTPF_LIT("refused")};
}

/* While it is open, by what is known so far, as its route is. */
static int changes_sender(const smtpf_rcpt *r)
{
  return r->entry.disposition ? r->entry.sender : r->entry.outcome.forward && r->entry.outcome.sender.n;
}

int smtpf_verdict_recipient(const smtpf_verdict *v, size_t i, smtpf_recipient_info *out)
{
  if (i >= smtpf_verdict_recipient_count(v))
    return SMTPF_ENOTFOUND;
  const smtpf_rcpt *r = v->session->rcpts[i];
  const smtpf_reply reply = own_reply(v, r);
  const smtpf_session *s = v->session;
  const smtpf_profile *p = r->entry.outcome.profile ? r->entry.outcome.profile : r->profile;
  const int forward = r->entry.disposition ? r->entry.forward : r->entry.outcome.forward;
  const smtpf_recipient_info info = {
      .size = sizeof info,
      .path = r->written,
      .address = r->address,
      .disposition = r->entry.disposition,
      .final = r->entry.final,
      .dsn = r->entry.dsn,
      .reason = r->reason,
      .overridden = r->entry.overridden,
      .reply_code = reply.code,
      .enhanced = reply.enhanced,
      .text = reply.text,
      .origin = r->origin,
      .wish = r->entry.disposition ? r->entry.wish : 0,
      .route = forward ? SMTPF_ROUTE_FORWARD : SMTPF_ROUTE_MAILBOX,
      .forward = forward ? p->forward : (smtpf_str){"", 0},
      .sender = changes_sender(r) ? r->entry.outcome.sender : smtpf_signature_sender_of(s, r),
      .fallback = p->fallback,
      .known = r->entry.known,
      .canonical = r->canonical,
      .dsn_to = r->entry.dsn && r->entry.dsn != SMTPF_DSN_NEVER ? s->sender.address : (smtpf_str){"", 0},
  };
  return give(out, out->size, &info, sizeof info);
}

size_t smtpf_verdict_edit_count(const smtpf_verdict *v)
{
  return v->session->n_edits;
}

int smtpf_verdict_edit(const smtpf_verdict *v, size_t i, smtpf_edit_info *out)
{
  if (i >= v->session->n_edits)
    return SMTPF_ENOTFOUND;
  const smtpf_edit *e = &v->session->edits[i];
  const smtpf_edit_info info = {sizeof info, e->op, e->name, e->value, e->occurrence, e->recipient};
  return give(out, out->size, &info, sizeof info);
}

/* ---- words ---- */

const char *smtpf_disposition_name(int disposition)
{
  static const char *const names[] = {"none",      "delivered", "tagged",   "quarantined",
                                      "discarded", "rejected",  "deferred", "handed-over"};
  return disposition > 0 && disposition < (int)(sizeof names / sizeof *names) ? names[disposition] : names[0];
}

const char *smtpf_origin_name(int origin)
{
  static const char *const names[] = {"none", "own", "backup-mx", "forwarder", "list", "stranger"};
  return origin > 0 && origin < (int)(sizeof names / sizeof *names) ? names[origin] : names[0];
}

const char *smtpf_dsn_name(int dsn)
{
  static const char *const names[] = {"none", "allowed", "headers-only", "never"};
  return dsn > 0 && dsn < (int)(sizeof names / sizeof *names) ? names[dsn] : names[0];
}

const char *smtpf_stage_name(int stage)
{
  switch (stage) {
  case SMTPF_CONNECT: return "connect";
  case SMTPF_HELO: return "helo";
  case SMTPF_MAIL: return "mail";
  case SMTPF_RCPT: return "rcpt";
  case SMTPF_DATA: return "data";
  case SMTPF_BODY: return "body";
  case SMTPF_EOM: return "end-of-message";
  default: return "none";
  }
}
