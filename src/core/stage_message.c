/* SPDX-License-Identifier: MIT
 *
 * The message: data, body, end of message, commit.
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

/* ---- judging everyone ---- */

static int line_up(smtpf_session *s)
{
  smtpf_entry **v = smtpf_arena_alloc(&s->transaction, s->n_rcpts * sizeof(smtpf_entry *));
  for (size_t i = 0; v && i < s->n_rcpts; i++)
    v[i] = &s->rcpts[i]->entry;
  s->message->entries = v;
  return v ? SMTPF_OK : SMTPF_ENOMEM;
}

/* Every recipient's outcome, by all that is known now; then the whole message's evidence is in view. */
static int judge_all(smtpf_session *s)
{
  smtpf_view view;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (smtpf_will_judge(s, s->rcpts[i]) != SMTPF_OK)
      return SMTPF_ENOMEM;
  return smtpf_session_look(s, NULL, 1, &view);
}

/* ---- data ---- */

static void count_field(void *user, const smtpf_header_field *field)
{
  struct smtpf_message *m = user;
  m->received += smtpf_str_equal_nocase(field->name, SMTPF_LIT("Received"));
  m->marks += smtpf_str_equal_nocase(field->name, m->mark);
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

int smtpf_session_data(smtpf_session *s)
{
  int r = smtpf_session_begin(s, SMTPF_EV_DATA);
  if (r != SMTPF_GO)
    return r;
  struct smtpf_message *m = s->message ? s->message : smtpf_arena_alloc(&s->transaction, sizeof *m);
  if (m) {
    *m = (struct smtpf_message){.mark = s->engine->tag_header};
    smtpf_header_init(&m->header, m->room, sizeof m->room, count_field, m);
    s->message = m;
  }
  if (!m || begin_hash(s) != SMTPF_OK)
    s->no_memory = 1;
  smtpf_session_drop_evidence(&s->of_transaction, SMTPF_DATA); /* of a DATA that was refused */
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
  if (s->no_memory || judge_all(s) != SMTPF_OK) {
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

/* Runs `then` by all that is known, and, where somebody is to be put off electively, by whether that may be. */
static void within_budget(smtpf_session *s, smtpf_step_fn then)
{
  size_t elective = 0, missing = 0;
  if (judge_all(s) != SMTPF_OK) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  for (size_t i = 0; i < s->n_rcpts; i++) {
    const smtpf_entry *e = &s->rcpts[i]->entry;
    elective += !e->known && e->outcome.rule == SMTPF_RULE_ELECTIVE;
    missing += !e->known && e->outcome.rule == SMTPF_RULE_MISSING;
  }
  const int all_deferred_anyway = missing && !(s->can & SMTPF_CAN_REPLY_PER_RCPT);
  if (elective && !all_deferred_anyway)
    smtpf_session_step(s, &smtpf_step_budget, then);
  else
    then(s);
}

void smtpf_data_decide(smtpf_session *s)
{
  within_budget(s, data_decide);
}

/* ---- body ---- */

static enum smtpf_flaw find_flaw(const struct smtpf_message *m, const smtpf_limits *l)
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
  m->flaw = find_flaw(m, &s->engine->limits);
  if (m->flaw)
    smtpf_scan_cancel(s);
}

int smtpf_session_body(smtpf_session *s, const void *bytes, size_t n, size_t *taken)
{
  if (s->driver->entered || s->pending)
    return SMTPF_EBUSY;
  if (s->state != SMTPF_STATE_DATA)
    return SMTPF_ESTATE;
  *taken = n;
  if (s->scan) {
    const int r = smtpf_driver_enter(s->driver);
    if (r != SMTPF_OK)
      return r;
    *taken = smtpf_scan_feed(s, bytes, n);
    smtpf_driver_leave(s->driver);
  }
  read_piece(s, bytes, *taken);
  return *taken < n ? SMTPF_PENDING : SMTPF_OK;
}

/* ---- end of message ---- */

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

/* All who read the message are done: those checks follow that look at it as a whole. */
static void scanned(smtpf_session *s)
{
  (void)smtpf_session_examine(s, SMTPF_EOM);
}

static int finish_scan(smtpf_session *s)
{
  if (s->scan && smtpf_scan_finish(s) == SMTPF_PENDING) {
    s->then = scanned;
    s->pending = 1;
    return SMTPF_PENDING;
  }
  return smtpf_session_examine(s, SMTPF_EOM);
}

int smtpf_session_eom(smtpf_session *s)
{
  int r = smtpf_session_begin(s, SMTPF_EV_EOM);
  if (r != SMTPF_GO)
    return r;
  smtpf_header_finish(&s->message->header);
  s->driver->stats[SMTPF_STAT_MESSAGES]++;
  s->message->flaw = s->message->flaw ? s->message->flaw : find_flaw(s->message, &s->engine->limits);
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

/* Everybody's outcome is known, and who may wait. */
static void join(smtpf_session *s)
{
  if (s->no_memory || line_up(s) != SMTPF_OK || judge_all(s) != SMTPF_OK) {
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
    within_budget(s, join);
}

void smtpf_eom_decide(smtpf_session *s)
{
  if (s->message->hash) {
    smtpf_sha256_end(s->message->hash, s->message->digest);
    smtpf_session_step(s, &smtpf_step_known, with_known);
  } else {
    within_budget(s, join);
  }
}

/* ---- commit ---- */

static int commit_one(smtpf_rcpt *rcpt, int result)
{
  static const char *const why[] = {"", "", "could not be made durable", "refused by the next hop"};
  if (rcpt->entry.final)
    return SMTPF_ENOTFOUND;
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
      (void)commit_one(s->rcpts[i], result);
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
