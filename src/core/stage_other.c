/* SPDX-License-Identifier: MIT
 *
 * What is no stage: reset, other commands, violations, quit; and what is no event: abort, overrule, queue id.
 */
#include <string.h>

#include "base/str.h"
#include "driver.h"
#include "mail/reply.h"
#include "scan.h"
#include "session.h"

/* ---- reset, quit --------------------------------------------------------------------------------------------------
 */

int smtpf_session_reset(smtpf_session *s)
{
  int r = smtpf_session_begin(s, SMTPF_EV_RESET);
  if (r != SMTPF_GO)
    return r;
  smtpf_session_drop_transaction(s);
  if (s->state > SMTPF_STATE_GREETED)
    s->state = SMTPF_STATE_GREETED;
  SMTPF_ANSWER(s, 250, "2.0.0", "ok", "accept");
  return smtpf_session_end(s, SMTPF_OK);
}

int smtpf_session_quit(smtpf_session *s)
{
  int r = smtpf_session_begin(s, SMTPF_EV_QUIT);
  if (r != SMTPF_GO)
    return r;
  SMTPF_ANSWER(s, 221, "2.0.0", "bye", "accept");
  return smtpf_session_end(s, SMTPF_OK);
}

/* ---- other commands ------------------------------------------------------------------------------------------------
 */

int smtpf_session_command(smtpf_session *s, smtpf_str verb)
{
  static const struct {
    smtpf_str verb;
    smtpf_reply reply;
  } known[] = {
      {{"NOOP", 4}, {250, {"2.0.0", 5}, {"ok", 2}}},
      {{"HELP", 4}, {214, {"2.0.0", 5}, {"see RFC 5321", 12}}},
      /* RFC 5321 7.3: neither confirms nor denies. */
      {{"VRFY", 4}, {252, {"2.1.5", 5}, {"cannot verify, but will take a message and try", 46}}},
      {{"EXPN", 4}, {502, {"5.5.1", 5}, {"not here", 8}}},
  };
  int r = smtpf_session_begin(s, SMTPF_EV_COMMAND);
  if (r != SMTPF_GO)
    return r;
  size_t i = 0;
  while (i < sizeof known / sizeof *known && !smtpf_str_equal_nocase(known[i].verb, verb))
    i++;
  if (i < sizeof known / sizeof *known)
    smtpf_session_answer(s, known[i].reply, SMTPF_LIT("command"));
  else
    SMTPF_ANSWER(s, 500, "5.5.1", "command not known", "command");
  return smtpf_session_end(s, SMTPF_OK);
}

int smtpf_session_violation(smtpf_session *s, int code, smtpf_str enhanced, smtpf_str text)
{
  if (code < 500 || code > 599 || (enhanced.n && !smtpf_enhanced_valid(enhanced, code)))
    return SMTPF_EINVAL;
  int r = smtpf_session_begin(s, SMTPF_EV_VIOLATION);
  if (r != SMTPF_GO)
    return r;
  smtpf_reply reply = {code, {NULL, 0}, {NULL, 0}};
  smtpf_arena *a = s->state >= SMTPF_STATE_MAIL ? &s->transaction : &s->greeting_arena;
  if (smtpf_arena_copy(a, enhanced, &reply.enhanced) != SMTPF_OK || smtpf_arena_copy(a, text, &reply.text) != SMTPF_OK)
    reply = (smtpf_reply){code, SMTPF_LIT("5.5.0"), SMTPF_LIT("protocol error")};
  if (s->state == SMTPF_STATE_DATA) {
    s->driver->stats[SMTPF_STAT_MESSAGES]++;
    s->stage = SMTPF_EOM;
    smtpf_message_refuse(s, reply, SMTPF_LIT("violation"));
  } else {
    smtpf_session_answer(s, reply, SMTPF_LIT("violation"));
  }
  return smtpf_session_end(s, SMTPF_OK);
}

/* ---- no events ---- */

void smtpf_session_report_unclosed(smtpf_session *s)
{
  if (s->state != SMTPF_STATE_EOM)
    return;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (!s->rcpts[i]->entry.final) {
      s->driver->stats[SMTPF_STAT_UNCLOSED]++;
      smtpf_session_log(s, SMTPF_LOG_WARNING, "unclosed", "to", s->rcpts[i]->address);
    }
}

int smtpf_session_abort(smtpf_session *s)
{
  if (s->state == SMTPF_STATE_CLOSED)
    return SMTPF_OK;
  int r = smtpf_driver_enter(s->driver);
  if (r != SMTPF_OK)
    return r;
  smtpf_run_cancel(s);
  smtpf_scan_cancel(s);
  smtpf_session_report_unclosed(s);
  smtpf_list_remove(&s->in_queue);
  smtpf_session_end_delay(s);
  s->pending = 0;
  s->verdict.action = 0;
  s->accepted = 0;
  s->state = SMTPF_STATE_CLOSED;
  return smtpf_session_end(s, SMTPF_OK);
}

/* The state the host's own refusal leads to, as if the verdict had been its. */
static void go_back(smtpf_session *s, int stage, int code)
{
  switch (stage) {
  case SMTPF_CONNECT: s->state = SMTPF_STATE_REFUSED; break;
  case SMTPF_HELO: s->state = SMTPF_STATE_CONNECTED; break;
  case SMTPF_MAIL:
    s->state = SMTPF_STATE_GREETED;
    s->over = 1;
    break;
  case SMTPF_RCPT:
    s->failed_rcpts++;
    s->refused_rcpts += code >= 500;
    if (--s->n_rcpts == 0)
      s->state = SMTPF_STATE_MAIL;
    s->rcpt_refused = s->cap_rcpts == s->cap_before_rcpt; /* what is behind it in the arena may be the list itself */
    break;
  case SMTPF_DATA: s->state = SMTPF_STATE_RCPT; break;
  default:
    for (size_t i = 0; i < s->n_rcpts; i++)
      s->rcpts[i]->reason = SMTPF_LIT("refused by the host");
    smtpf_session_close_message(s, code >= 500 ? SMTPF_REJECTED : SMTPF_DEFERRED);
    break;
  }
}

int smtpf_session_overrule(smtpf_session *s, int stage, int code)
{
  if (code < 400 || code > 599)
    return SMTPF_EINVAL;
  if (s->pending || s->driver->entered)
    return SMTPF_EBUSY;
  if (!stage || s->accepted != stage || s->event == SMTPF_EV_COMMIT)
    return SMTPF_ESTATE;
  s->accepted = 0;
  go_back(s, stage, code);
  if (code >= 500)
    s->errors++;
  smtpf_session_log(s, SMTPF_LOG_INFO, "overruled", "stage", smtpf_str_of(smtpf_stage_name(stage)));
  return SMTPF_OK;
}

int smtpf_session_hop_reply(smtpf_session *s, size_t recipient, int code, smtpf_str enhanced, smtpf_str text)
{
  char room[512];
  smtpf_out o;
  smtpf_reply copy = {code, {"", 0}, {"", 0}};
  if (code < 200 || code > 599 || code / 100 == 3 || (enhanced.n && !smtpf_enhanced_valid(enhanced, code)))
    return SMTPF_EINVAL;
  if (s->pending || s->driver->entered)
    return SMTPF_EBUSY;
  if (s->state != SMTPF_STATE_EOM)
    return SMTPF_ESTATE;
  if (recipient >= s->n_rcpts || s->rcpts[recipient]->entry.final)
    return SMTPF_ENOTFOUND;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_printable(&o, (smtpf_str){text.p, text.n < sizeof room ? text.n : sizeof room - 1}, 1);
  if (smtpf_arena_copy(&s->transaction, enhanced, &copy.enhanced) != SMTPF_OK ||
      smtpf_arena_copy(&s->transaction, smtpf_out_done(&o), &copy.text) != SMTPF_OK)
    return SMTPF_ENOMEM;
  s->rcpts[recipient]->hop = copy;
  return SMTPF_OK;
}

int smtpf_session_queue_id(smtpf_session *s, smtpf_str id)
{
  if (s->state == SMTPF_STATE_NEW || s->state == SMTPF_STATE_CLOSED)
    return SMTPF_ESTATE;
  if (id.n >= sizeof s->queue_id)
    return SMTPF_ELIMIT;
  if (id.n)
    memcpy(s->queue_id, id.p, id.n);
  s->queue_id[id.n] = '\0';
  return SMTPF_OK;
}
