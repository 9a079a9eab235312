/* SPDX-License-Identifier: MIT
 *
 * Bytes into the codec, its events into the session, verdicts out as records and back through the codec as replies:
 * what a host's loop does, without the sockets.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

/* Which event a command is. */
static void name_command(int verb, const char **event, const char **label)
{
  static const struct {
    int verb;
    const char *event, *label;
  } rows[] = {
      {SMTPF_VERB_HELO, "helo", "HELO"}, {SMTPF_VERB_EHLO, "helo", "EHLO"},  {SMTPF_VERB_LHLO, "helo", "LHLO"},
      {SMTPF_VERB_MAIL, "mail", "MAIL"}, {SMTPF_VERB_RCPT, "rcpt", "RCPT"},  {SMTPF_VERB_DATA, "data", "DATA"},
      {SMTPF_VERB_BDAT, "data", "BDAT"}, {SMTPF_VERB_RSET, "reset", "RSET"}, {SMTPF_VERB_QUIT, "quit", "QUIT"},
  };
  *event = "command";
  *label = "COMMAND";
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].verb == verb) {
      *event = rows[i].event;
      *label = rows[i].label;
    }
}

static void begin_command(struct replay *r, const smtpf_smtpd_event *ev, struct replay_record *rec)
{
  const char *event, *label;
  name_command(ev->verb, &event, &label);
  replay_begin(r, rec, event, label);
  text arg = {0};
  if (strcmp(event, "command") == 0) {
    text_add(&arg, ev->name);
    if (ev->arg.n)
      text_char(&arg, ' ');
  }
  text_add(&arg, ev->arg);
  rec->arg = replay_strdup(arg.p, arg.n);
  text_free(&arg);
  if (ev->verb == SMTPF_VERB_MAIL || ev->verb == SMTPF_VERB_RCPT)
    rec->params = replay_strdup(ev->params.p, ev->params.n);
}

static void finish(struct replay *r, struct replay_record *rec, const smtpf_verdict *v)
{
  if (smtpf_verdict_closes(v))
    r->over = 1;
  replay_record_reply(rec, v);
  replay_record_evidence(rec, v);
}

/* `<a@example.org>`, without its brackets. */
static void keep_sender(struct replay *r, const char *path)
{
  const size_t n = strlen(path);
  text_clear(&r->sender);
  if (n > 2)
    text_add(&r->sender, (smtpf_str){path + 1, n - 2});
}

static int command(struct replay *r, smtpf_smtpd_event *ev)
{
  struct replay_record rec, overruled = {0};
  begin_command(r, ev, &rec);
  int result = smtpf_smtpd_apply(r->codec, r->session, ev);
  result = replay_settle(r, result, rec.label);
  if (result != SMTPF_OK) {
    replay_record_clear(&rec);
    return result;
  }
  const smtpf_verdict *v = smtpf_session_verdict(r->session);
  int stage = smtpf_verdict_stage(v);
  finish(r, &rec, v);
  result = replay_overrule(r, stage, &overruled);
  if (result == SMTPF_OK)
    result = overruled.event ? replay_reply(r, overruled.reply.code, overruled.reply.text)
                             : replay_answer(r, v, rec.reply.code);
  if (ev->verb == SMTPF_VERB_MAIL && rec.reply.code < 400)
    keep_sender(r, rec.arg);
  r->in_message = ev->verb == SMTPF_VERB_DATA && rec.reply.code == 354 && !overruled.event;
  replay_emit(r, &rec);
  if (overruled.event)
    replay_emit(r, &overruled);
  return result;
}

/* A violation in a message ends it, and under LMTP that is said for each recipient. */
static int violated(struct replay *r, struct replay_record *rec)
{
  const smtpf_verdict *v = smtpf_session_verdict(r->session);
  if (!r->in_message)
    return replay_answer(r, v, rec->reply.code);
  struct replay_record message = {.reply = {.code = rec->reply.code}};
  replay_record_recipients(&message, v);
  int result = replay_answer_message(r, v, &message);
  replay_record_clear(&message);
  return result;
}

static int violation(struct replay *r, smtpf_smtpd_event *ev)
{
  struct replay_record rec;
  int fatal = ev->fatal;
  replay_begin(r, &rec, "violation", "VIOLATION");
  int result = replay_settle(r, smtpf_smtpd_apply(r->codec, r->session, ev), rec.label);
  if (result == SMTPF_OK) {
    finish(r, &rec, smtpf_session_verdict(r->session));
    result = violated(r, &rec);
    r->in_message = 0;
    r->over |= fatal;
    rec.closes |= fatal;
    replay_emit(r, &rec);
  }
  replay_record_clear(&rec);
  return result;
}

static int end_of_message(struct replay *r, smtpf_smtpd_event *ev)
{
  struct replay_record rec, overruled = {0};
  replay_begin(r, &rec, "end-of-message", "MESSAGE");
  r->in_message = 0;
  int result = replay_settle(r, smtpf_smtpd_apply(r->codec, r->session, ev), rec.label);
  if (result != SMTPF_OK) {
    replay_record_clear(&rec);
    return result;
  }
  const smtpf_verdict *v = smtpf_session_verdict(r->session);
  finish(r, &rec, v);
  replay_record_recipients(&rec, v);
  rec.sender = replay_strdup(r->sender.p, r->sender.n);
  result = replay_overrule(r, SMTPF_EOM, &overruled);
  if (overruled.event) {
    replay_record_recipients(&rec, smtpf_session_verdict(r->session));
    replay_record_overruled(&rec, overruled.reply.code, overruled.reply.text);
  } else if (result == SMTPF_OK)
    result = replay_commit(r, &rec);
  if (result == SMTPF_OK) {
    result = overruled.event ? replay_reply(r, overruled.reply.code, overruled.reply.text)
                             : replay_answer_message(r, smtpf_session_verdict(r->session), &rec);
  }
  replay_emit(r, &rec);
  if (overruled.event)
    replay_emit(r, &overruled);
  return result;
}

/* A piece of the message. What the session does not take at once is offered again after a turn of the driver. */
static int body(struct replay *r, smtpf_smtpd_event *ev)
{
  if (!(r->options.host.capabilities & SMTPF_CAN_SEE_BODY))
    return SMTPF_OK;
  for (int turn = 0; turn < 1000; turn++) {
    int result = smtpf_smtpd_apply(r->codec, r->session, ev);
    if (result == SMTPF_OK)
      return SMTPF_OK;
    if (result != SMTPF_PENDING)
      return replay_fault(r, "body", smtpf_strerror(result));
    int64_t due = smtpf_driver_deadline(r->driver);
    if (due > 0)
      r->clock.mono_ns += (uint64_t)due * 1000000u;
    smtpf_driver_process(r->driver);
  }
  return replay_fault(r, "body", "is not taken");
}

static int event(struct replay *r, smtpf_smtpd_event *ev)
{
  switch (ev->kind) {
  case SMTPF_SMTPD_COMMAND: return command(r, ev);
  case SMTPF_SMTPD_BODY: return body(r, ev);
  case SMTPF_SMTPD_VIOLATION: return violation(r, ev);
  case SMTPF_SMTPD_END:
    if (ev->last)
      return end_of_message(r, ev);
    if (smtpf_smtpd_apply(r->codec, r->session, ev) != SMTPF_OK)
      return replay_fault(r, "BDAT", "the end of a chunk is no event");
    return replay_answer(r, NULL, 0);
  default: return replay_fault(r, "codec", "an event that was not asked for");
  }
}

/* Without memory for the input a host has nothing left but to go. */
static int give_up(struct replay *r)
{
  struct replay_record rec;
  replay_begin(r, &rec, "abort", "ABORT");
  smtpf_session_abort(r->session);
  replay_end(r);
  replay_emit(r, &rec);
  return SMTPF_OK;
}

int replay_feed(struct replay *r, smtpf_str bytes)
{
  while (bytes.n && !r->over) {
    size_t piece = r->feed && r->feed < bytes.n ? r->feed : bytes.n;
    const char *p = bytes.p;
    size_t n = piece;
    int result = SMTPF_OK;
    while (!r->over && result == SMTPF_OK) {
      smtpf_smtpd_event ev;
      result = smtpf_smtpd_next(r->codec, &p, &n, &ev);
      if (result == SMTPF_OK)
        result = event(r, &ev);
      else if (result == SMTPF_ENOMEM)
        return give_up(r);
    }
    if (result == SMTPF_ENOMEM)
      return give_up(r);
    if (result < 0)
      return r->fault.n ? result : replay_fault(r, "codec", smtpf_strerror(result));
    if (result == SMTPF_PENDING && n)
      return replay_fault(r, "codec", "wants more although there is more");
    bytes.p += piece;
    bytes.n -= piece;
  }
  return SMTPF_OK;
}
