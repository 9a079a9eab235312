/* SPDX-License-Identifier: MIT
 *
 * The step `budget` (promise L7): reads what each recipient has been put off by this sender, and when the deferral will
 * be given, writes it down before it is answered, with what checks have noted. What cannot be read or written leaves no
 * deferral; what is noted is written also where nobody is put off.
 */
#include "base/str.h"
#include "driver.h"
#include "policy/budget.h"
#include "step.h"
#include "will.h"

static int key_of(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_key *out)
{
  *out = smtpf_key_budget(s, rcpt);
  return 1;
}

static void take(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_answer *a)
{
  if (a->store != SMTPF_STORE_ABSENT &&
      (a->store != SMTPF_STORE_FOUND || smtpf_budget_read(&rcpt->deferrals, a->value) != SMTPF_OK))
    return;
  rcpt->allowance = (uint8_t)smtpf_budget_state_of(&rcpt->deferrals, &s->engine->limits.budget, s->driver->wall_s);
}

static const smtpf_reader reader = {key_of, take};

/* Until all is read and written, nobody may be put off. */
static void withhold(smtpf_session *s)
{
  const smtpf_subjects all = smtpf_step_subjects(s);
  for (size_t i = 0; i < all.n; i++) {
    all.v[i]->deferrals = (smtpf_budget){0};
    all.v[i]->allowance = all.v[i]->entry.budget = SMTPF_BUDGET_UNREADABLE;
  }
}

static void grant(smtpf_session *s)
{
  const smtpf_subjects all = smtpf_step_subjects(s);
  for (size_t i = 0; i < all.n; i++)
    all.v[i]->entry.budget = all.v[i]->allowance;
}

/* A copy that is known has nothing to wait for. With one reply for all, who must not be put off keeps the others from
 * it. */
static int will_be_put_off(const smtpf_session *s, const smtpf_rcpt *rcpt)
{
  if (rcpt->allowance != SMTPF_BUDGET_LEFT || rcpt->entry.known)
    return 0;
  return s->stage == SMTPF_RCPT || !(s->can & SMTPF_CAN_REPLY_PER_RCPT) ||
         rcpt->entry.outcome.rule == SMTPF_RULE_ELECTIVE;
}

static size_t how_many(const smtpf_session *s, smtpf_subjects all)
{
  const int each = s->stage != SMTPF_RCPT && (s->can & SMTPF_CAN_REPLY_PER_RCPT);
  size_t n = 0, settled = 0;
  for (size_t i = 0; i < all.n; i++) {
    n += will_be_put_off(s, all.v[i]) != 0;
    settled += all.v[i]->entry.known;
  }
  return each || n + settled == all.n ? n : 0;
}

/* The record of one more deferral, in memory of the task. */
struct record {
  smtpf_key key;
  char value[SMTPF_BUDGET_BYTES];
};

static smtpf_change charge_one(smtpf_session *s, smtpf_rcpt *rcpt, struct record *r)
{
  const smtpf_budget_limits *l = &s->engine->limits.budget;
  smtpf_budget_charge(&rcpt->deferrals, l, s->driver->wall_s);
  r->key = smtpf_key_budget(s, rcpt);
  return (smtpf_change){.size = sizeof(smtpf_change),
                        .op = SMTPF_CHANGE_SET,
                        .key = smtpf_key_str(&r->key),
                        .value = smtpf_budget_write(&rcpt->deferrals, r->value),
                        .expires = s->driver->wall_s + l->memory_s};
}

static int charge(smtpf_task *t)
{
  smtpf_session *s = t->session;
  const smtpf_subjects all = smtpf_step_subjects(s);
  const size_t most = how_many(s, all), noted = smtpf_step_count(s->notes);
  if (!most && !noted) {
    grant(s);
    return SMTPF_OK;
  }
  smtpf_change *changes = smtpf_task_alloc(t, (most + noted) * sizeof *changes);
  struct record *records = smtpf_task_alloc(t, most * sizeof *records);
  if (!changes || !records)
    return SMTPF_ENOMEM;
  size_t n = smtpf_step_settle_list(s->notes, changes, 0), charged = 0;
  for (size_t i = 0; i < all.n && charged < most; i++)
    if (will_be_put_off(s, all.v[i]))
      changes[n++] = charge_one(s, all.v[i], &records[charged++]);
  *smtpf_task_slot(t) = NULL; /* what is answered next is the charge */
  const int r = smtpf_task_commit(t, changes, n, 0);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  withhold(t->session);
  const int r = smtpf_step_read(t, &reader);
  return r == SMTPF_OK ? charge(t) : r;
}

static int resume(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  if (*smtpf_task_slot(t)) {
    const int r = smtpf_step_read_on(t, &reader, a);
    return r == SMTPF_OK ? charge(t) : r;
  }
  if (a->store == SMTPF_STORE_DONE)
    grant(t->session);
  else
    smtpf_session_log(t->session, SMTPF_LOG_WARNING, "not-remembered", "store", SMTPF_LIT("failed"));
  return SMTPF_OK;
}

static const smtpf_check check = {.size = sizeof check, .name = "budget", .run = run, .resume = resume};
const smtpf_opened smtpf_step_budget = {&check, NULL};

/* ---- for all recipients ---- */

void smtpf_session_within_budget(smtpf_session *s, smtpf_step_fn then)
{
  size_t elective = 0, missing = 0;
  if (smtpf_will_judge_all(s) != SMTPF_OK) {
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
  else if (s->notes)
    smtpf_session_step(s, &smtpf_step_note, then);
  else
    then(s);
}
