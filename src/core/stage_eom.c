/* SPDX-License-Identifier: MIT
 *
 * The message once it is here: end of message, commit.
 *
 *   eom --scan--> EOM checks --known--> judge --budget--> join --> a provisional 2xx, or the last answer
 *   the last commit --promise--> --remember--> the last answer
 *
 * Words on arrows are steps (step.h) and tasks: any of them may leave the event pending.
 */
#include "base/str.h"
#include "driver.h"
#include "forward.h"
#include "message.h"
#include "scan.h"
#include "step.h"
#include "will.h"

/* ---- closing ---- */

/* Into the statistics, or with `by` -1 out of them again: the host's own refusal replaces what was counted. */
static void count_dispositions(smtpf_session *s, int by)
{
  static const int stat[] = {[SMTPF_DELIVERED] = SMTPF_STAT_DELIVERED,     [SMTPF_TAGGED] = SMTPF_STAT_TAGGED,
                             [SMTPF_QUARANTINED] = SMTPF_STAT_QUARANTINED, [SMTPF_DISCARDED] = SMTPF_STAT_DISCARDED,
                             [SMTPF_REJECTED] = SMTPF_STAT_REFUSED,        [SMTPF_DEFERRED] = SMTPF_STAT_POSTPONED,
                             [SMTPF_HANDED_OVER] = SMTPF_STAT_HANDED_OVER};
  for (size_t i = 0; i < s->n_rcpts; i++)
    s->driver->stats[stat[s->rcpts[i]->entry.disposition]] += (uint64_t)(int64_t)by;
}

/* The message's last answer has been given. */
static void close_message(smtpf_session *s)
{
  count_dispositions(s, 1);
  smtpf_scan_cancel(s); /* of a message that was given up while it came */
  s->state = SMTPF_STATE_GREETED;
  s->over = 1;
}

void smtpf_session_close_message(smtpf_session *s, int disposition)
{
  if (s->over)
    count_dispositions(s, -1);
  for (size_t i = 0; i < s->n_rcpts; i++) {
    smtpf_entry *e = &s->rcpts[i]->entry;
    if (smtpf_ledger_reply(e) == SMTPF_ACT_ACCEPT) /* who was refused already keeps its own refusal */
      e->final = 0;
    smtpf_ledger_close_all(&e, 1, disposition);
  }
  close_message(s);
}

void smtpf_message_refuse(smtpf_session *s, smtpf_reply reply, smtpf_str rule)
{
  for (size_t i = 0; i < s->n_rcpts; i++)
    s->rcpts[i]->reason = rule;
  const int rejected = reply.code >= 500 && !smtpf_session_ends_in_errors(s, reply.code);
  smtpf_session_close_message(s, rejected ? SMTPF_REJECTED : SMTPF_DEFERRED);
  smtpf_session_answer(s, reply, rule);
}

/* ---- end of message ---- */

/* All who read the message are done: those checks follow that look at it as a whole. */
static void scanned(smtpf_session *s)
{
  (void)smtpf_session_examine(s, SMTPF_EOM);
}

/* Where nothing was seen of the message, nothing is to be found in it. */
static int finish_scan(smtpf_session *s)
{
  if (!(s->can & SMTPF_CAN_SEE_BODY)) {
    smtpf_session_decide(s);
    return smtpf_session_result(s);
  }
  if (s->scan && smtpf_scan_finish(s) == SMTPF_PENDING) {
    s->then = scanned;
    s->pending = 1;
    return SMTPF_PENDING;
  }
  return smtpf_session_examine(s, SMTPF_EOM);
}

int smtpf_session_eom(smtpf_session *s)
{
  if (s->body_waits && !s->driver->entered && !s->pending)
    return SMTPF_ESTATE; /* the host holds a part of it */
  int r = smtpf_session_begin(s, SMTPF_EV_EOM);
  if (r != SMTPF_GO)
    return r;
  smtpf_header_finish(&s->message->header);
  s->driver->stats[SMTPF_STAT_MESSAGES]++;
  s->message->flaw = s->message->flaw ? s->message->flaw : smtpf_message_flaw(s->message, &s->engine->limits);
  s->stage = SMTPF_EOM;
  if (!s->message->flaw)
    return smtpf_session_end(s, finish_scan(s));
  smtpf_view view;
  if (smtpf_session_look(s, NULL, 1, &view) != SMTPF_OK)
    smtpf_session_answer_no_memory(s);
  else if (s->message->flaw == SMTPF_LOOP)
    smtpf_message_refuse(
        s, (smtpf_reply){554, SMTPF_LIT("5.4.6"), SMTPF_LIT("too many Received fields: a mail loop (limits.received)")},
        SMTPF_LIT("limits.received"));
  else if (s->message->flaw == SMTPF_HEADER_TOO_LARGE)
    smtpf_message_refuse(
        s, (smtpf_reply){552, SMTPF_LIT("5.3.4"), SMTPF_LIT("header section is larger than we take (limits.header)")},
        SMTPF_LIT("limits.header"));
  else
    smtpf_message_refuse(
        s, (smtpf_reply){552, SMTPF_LIT("5.3.4"), SMTPF_LIT("message is larger than we take (limits.message)")},
        SMTPF_LIT("limits.message"));
  return smtpf_session_end(s, SMTPF_OK);
}

/* ---- the verdict ---------------------------------------------------------------------------------------------------
 */

static void report(smtpf_session *s)
{
  for (size_t i = 0; i < s->n_rcpts; i++) {
    smtpf_rcpt *rcpt = s->rcpts[i];
    rcpt->reason = rcpt->entry.known ? SMTPF_LIT("taken before; only our reply was lost")
                                     : smtpf_outcome_rule(&rcpt->entry.outcome, &s->transaction);
    s->driver->stats[SMTPF_STAT_OVERRIDDEN] += rcpt->entry.overridden;
    s->driver->stats[SMTPF_STAT_KNOWN] += rcpt->entry.known;
    if (rcpt->entry.overridden)
      smtpf_session_log_overridden(s, rcpt);
  }
}

/* What was taken is remembered where that serves anything; the verdict does not depend on it. */
static void remember(smtpf_session *s, smtpf_step_fn then)
{
  if (s->engine->may_defer || s->engine->limits.lost_ack || smtpf_step_left_by_checks(s))
    smtpf_session_step(s, &smtpf_step_remember, then);
  else
    then(s);
}

static void nothing_to_commit(smtpf_session *s)
{
  s->no_memory = 0;
  close_message(s);
  SMTPF_ANSWER(s, 250, "2.0.0", "taken", "accept");
}

static int line_up(smtpf_session *s)
{
  smtpf_entry **v = smtpf_arena_alloc(&s->transaction, s->n_rcpts * sizeof(smtpf_entry *));
  for (size_t i = 0; v && i < s->n_rcpts; i++)
    v[i] = &s->rcpts[i]->entry;
  s->message->entries = v;
  return v ? SMTPF_OK : SMTPF_ENOMEM;
}

/* Everybody's outcome is known, and who may wait. */
static void join(smtpf_session *s)
{
  if (s->no_memory || line_up(s) != SMTPF_OK || smtpf_will_judge_all(s) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  smtpf_entry **entries = s->message->entries;
  const smtpf_decision d = smtpf_ledger_decide(entries, s->n_rcpts, s->can, s->sender.form == SMTPF_PATH_NULL);
  report(s);
  smtpf_session_own_replies(s);
  if (d.act != SMTPF_ACT_ACCEPT) {
    close_message(s);
    smtpf_session_answer(s, smtpf_outcome_reply(s, &entries[d.cause]->outcome, NULL), s->rcpts[d.cause]->reason);
  } else if (smtpf_message_edit(s) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
  } else if (smtpf_ledger_open(entries, s->n_rcpts)) {
    s->state = SMTPF_STATE_EOM;
    SMTPF_ANSWER(s, 250, "2.0.0", "taken", "accept");
  } else {
    remember(s, nothing_to_commit);
  }
}

static void with_known(smtpf_session *s)
{
  if (s->no_memory)
    smtpf_session_answer_no_memory(s);
  else
    smtpf_session_within_budget(s, join);
}

void smtpf_eom_decide(smtpf_session *s)
{
  if (s->message->hash) {
    smtpf_sha256_end(s->message->hash, s->message->digest);
    smtpf_session_step(s, &smtpf_step_known, with_known);
  } else {
    smtpf_session_within_budget(s, join);
  }
}

/* ---- commit ---- */

static int commit_one(smtpf_session *s, smtpf_rcpt *rcpt, int result)
{
  static const char *const why[] = {"", "", "could not be made durable", "refused by the next hop"};
  if (rcpt->entry.final)
    return SMTPF_ENOTFOUND;
  if (result == SMTPF_COMMIT_REFUSED)
    smtpf_forward_refused(s, rcpt);
  smtpf_ledger_commit(&rcpt->entry, result);
  if (result != SMTPF_COMMIT_OK)
    rcpt->reason = smtpf_str_of(why[result]);
  return SMTPF_OK;
}

static int can_commit(const smtpf_session *s, size_t recipient, int result)
{
  if (s->driver->entered || s->pending)
    return SMTPF_EBUSY;
  if (result < SMTPF_COMMIT_OK || result > SMTPF_COMMIT_REFUSED)
    return SMTPF_EINVAL;
  if (s->state != SMTPF_STATE_EOM || recipient == SMTPF_ALL)
    return SMTPF_OK;
  return recipient < s->n_rcpts && !s->rcpts[recipient]->entry.final ? SMTPF_OK : SMTPF_ENOTFOUND;
}

/* The answer once every copy's fate is known. */
static void answer_commits(smtpf_session *s)
{
  const int each = (s->can & SMTPF_CAN_REPLY_PER_RCPT) != 0; /* then each has its own answer */
  const smtpf_decision d = smtpf_ledger_settle(s->message->entries, s->n_rcpts, each);
  smtpf_view view;
  s->no_memory = 0;                            /* of a step whose result has been looked at */
  (void)smtpf_session_look(s, NULL, 1, &view); /* without memory the verdict explains less, and stays true */
  smtpf_session_own_replies(s);
  close_message(s);
  if (d.act == SMTPF_ACT_ACCEPT)
    SMTPF_ANSWER(s, 250, "2.0.0", "taken", "committed");
  else
    smtpf_session_answer(s, smtpf_session_commit_reply(s, d.act),
                         d.act == SMTPF_ACT_DEFER ? SMTPF_LIT("commit failed") : SMTPF_LIT("commit refused"));
}

/* Promise L1: a copy that is not in the journal, where there is one, is not told to be taken. */
static void with_journal(smtpf_session *s)
{
  for (size_t i = 0; i < s->n_rcpts && !s->message->promised; i++) {
    smtpf_rcpt *rcpt = s->rcpts[i];
    if (rcpt->entry.known || smtpf_ledger_reply(&rcpt->entry) != SMTPF_ACT_ACCEPT)
      continue;
    rcpt->entry.final = 0;
    smtpf_ledger_commit(&rcpt->entry, SMTPF_COMMIT_FAILED);
    rcpt->reason = SMTPF_LIT("could not be written into the journal");
  }
  s->no_memory = 0;
  remember(s, answer_commits);
}

int smtpf_session_commit(smtpf_session *s, size_t recipient, int result)
{
  int r = can_commit(s, recipient, result);
  if (r == SMTPF_OK)
    r = smtpf_session_begin(s, SMTPF_EV_COMMIT);
  if (r != SMTPF_GO)
    return r;
  smtpf_view view;
  s->stage = SMTPF_EOM;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (recipient == SMTPF_ALL || recipient == i)
      (void)commit_one(s, s->rcpts[i], result);
  if (smtpf_ledger_open(s->message->entries, s->n_rcpts)) {
    (void)smtpf_session_look(s, NULL, 1, &view);
    SMTPF_ANSWER(s, 250, "2.0.0", "taken in part", "commits are due");
  } else if (s->driver->ports.journal) {
    smtpf_session_step(s, &smtpf_step_promise, with_journal);
  } else {
    remember(s, answer_commits);
  }
  return smtpf_session_end(s, smtpf_session_result(s));
}
