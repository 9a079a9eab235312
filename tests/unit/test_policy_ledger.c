/* SPDX-License-Identifier: MIT
 *
 * ledger: every combination of outcomes for one to three recipients, every set of capabilities, both kinds of sender,
 * every commit result. The promises are stated here again, from the LAW, without a look at how the ledger does it.
 */
#include <check.h>
#include <smtpfilter/session.h>

#include "policy/ledger.h"
#include "test_policy.h"

enum { MOST = 3, CAPABILITIES = 1 << 10 };

typedef struct table {
  smtpf_entry e[MOST];
  smtpf_entry *v[MOST];
  size_t n;
  unsigned caps;
  int null_sender;
  int wish[MOST];
  smtpf_decision d;
} table;

/* ck_assert() writes at every call; here there are millions. */
#define HOLDS(what)                                                                                                    \
  do {                                                                                                                 \
    if (!(what))                                                                                                       \
      ck_abort_msg("does not hold: %s", #what);                                                                        \
  } while (0)

static const smtpf_profile profile = {.name = {"default", 7}};
static const uint8_t acts[] = {SMTPF_ACT_ACCEPT, SMTPF_ACT_TAG, SMTPF_ACT_QUARANTINE, SMTPF_ACT_DEFER,
                               SMTPF_ACT_REJECT};

static void outcome(smtpf_entry *e, int act)
{
  static const int32_t scores[] = {0, 0, 6000, 8000, 0, 0, 12000};
  *e = (smtpf_entry){
      .outcome = {.act = (uint8_t)act, .definite = (uint8_t)act, .score = scores[act], .profile = &profile}};
}

static size_t count(const table *t, int disposition)
{
  size_t c = 0;
  for (size_t i = 0; i < t->n; i++)
    c += t->e[i].disposition == disposition;
  return c;
}

static size_t wishes(const table *t, int act)
{
  size_t c = 0;
  for (size_t i = 0; i < t->n; i++)
    c += t->wish[i] == act;
  return c;
}

static int can(const table *t, unsigned capability)
{
  return (t->caps & capability) != 0;
}

static int refused(int disposition)
{
  return disposition == SMTPF_REJECTED || disposition == SMTPF_DEFERRED;
}

/* L1: one disposition each; nothing provisional where nobody will commit; a refusal is final. */
static void one_owner(const table *t)
{
  for (size_t i = 0; i < t->n; i++) {
    const smtpf_entry *e = &t->e[i];
    HOLDS(e->disposition >= SMTPF_DELIVERED);
    HOLDS(e->disposition <= SMTPF_HANDED_OVER);
    HOLDS(e->final == (refused(e->disposition) || !can(t, SMTPF_CAN_REPORT_COMMIT)));
    HOLDS(e->disposition != SMTPF_HANDED_OVER || !can(t, SMTPF_CAN_REPORT_COMMIT));
    HOLDS(e->disposition != SMTPF_DELIVERED || can(t, SMTPF_CAN_REPORT_COMMIT));
  }
  /* The one reply says what became of everyone, unless each has a reply of its own. */
  if (!can(t, SMTPF_CAN_REPLY_PER_RCPT)) {
    const size_t r = count(t, SMTPF_REJECTED), d = count(t, SMTPF_DEFERRED);
    HOLDS(r == (t->d.act == SMTPF_ACT_REJECT ? t->n : 0));
    HOLDS(d == (t->d.act == SMTPF_ACT_DEFER ? t->n : 0));
  } else if (t->d.act != SMTPF_ACT_ACCEPT) {
    HOLDS(count(t, SMTPF_REJECTED) + count(t, SMTPF_DEFERRED) == (t->n));
  }
}

/* L2: a report may go only to who wrote, about what nobody marked; never where the wish was to refuse. */
static void no_collateral_spam(const table *t)
{
  for (size_t i = 0; i < t->n; i++) {
    const smtpf_entry *e = &t->e[i];
    const int unmarked = e->disposition == SMTPF_DELIVERED || e->disposition == SMTPF_HANDED_OVER;
    HOLDS(e->dsn >= SMTPF_DSN_ALLOWED);
    HOLDS(e->dsn <= SMTPF_DSN_NEVER);
    if (t->null_sender || !unmarked || t->wish[i] != SMTPF_ACT_ACCEPT)
      HOLDS(e->dsn == SMTPF_DSN_NEVER);
    else
      HOLDS(e->dsn == SMTPF_DSN_ALLOWED);
  }
}

/* L3: nobody consented to a discard here. */
static void no_silent_loss(const table *t)
{
  HOLDS(count(t, SMTPF_DISCARDED) == 0);
}

/* L4: who could not be judged is never refused for good; 5xx for all only when all would refuse. */
static void no_refusal_from_an_error(const table *t)
{
  for (size_t i = 0; i < t->n; i++) {
    if (t->wish[i] == SMTPF_ACT_DEFER)
      HOLDS(t->e[i].disposition == SMTPF_DEFERRED);
    if (t->e[i].disposition == SMTPF_REJECTED)
      HOLDS(t->wish[i] == SMTPF_ACT_REJECT);
  }
  if (t->d.act == SMTPF_ACT_REJECT)
    HOLDS(wishes(t, SMTPF_ACT_REJECT) == (t->n));
  if (t->d.act != SMTPF_ACT_ACCEPT)
    HOLDS(t->wish[t->d.cause] == (t->d.act));
}

/* L6: whose wish was not kept is named; what the host cannot do is not asked of it. */
static void overridden_are_named(const table *t)
{
  static const int kept[] = {
      0, SMTPF_DELIVERED, SMTPF_TAGGED, SMTPF_QUARANTINED, SMTPF_DISCARDED, SMTPF_DEFERRED, SMTPF_REJECTED};
  const int can_tag = can(t, SMTPF_CAN_EDIT) || can(t, SMTPF_CAN_EDIT_PER_RCPT);
  const int mark_on_all = count(t, SMTPF_TAGGED) && !can(t, SMTPF_CAN_EDIT_PER_RCPT);
  size_t taken = 0;
  for (size_t i = 0; i < t->n; i++)
    taken += !refused(t->e[i].disposition);
  for (size_t i = 0; i < t->n; i++) {
    const smtpf_entry *e = &t->e[i];
    const int disposition = e->disposition == SMTPF_HANDED_OVER ? SMTPF_DELIVERED : e->disposition;
    const int bystander = mark_on_all && disposition == SMTPF_DELIVERED;
    HOLDS(e->overridden == (disposition != kept[t->wish[i]] || bystander));
    if (disposition == SMTPF_TAGGED)
      HOLDS(can_tag);
    if (disposition == SMTPF_QUARANTINED)
      HOLDS(can(t, SMTPF_CAN_QUARANTINE_PER_RCPT) ||
            (can(t, SMTPF_CAN_QUARANTINE) && count(t, SMTPF_QUARANTINED) == taken));
    /* The strongest act the host has: nobody who asked for quarantine merely gets a tag where it can be kept. */
    if (t->wish[i] == SMTPF_ACT_QUARANTINE && can(t, SMTPF_CAN_QUARANTINE_PER_RCPT) && !refused(disposition))
      HOLDS(disposition == SMTPF_QUARANTINED);
    if (t->wish[i] == SMTPF_ACT_QUARANTINE && can(t, SMTPF_CAN_QUARANTINE) && t->n == 1)
      HOLDS(disposition == SMTPF_QUARANTINED);
    if (t->wish[i] > SMTPF_ACT_ACCEPT && disposition == SMTPF_DELIVERED)
      HOLDS(!can_tag);
  }
}

static void all_promises(const table *t)
{
  one_owner(t);
  no_collateral_spam(t);
  no_silent_loss(t);
  no_refusal_from_an_error(t);
  overridden_are_named(t);
}

/* L1 after commits: what was not made durable is refused for now, and the last reply is no 2xx that hides it. */
static void commit(const table *before, unsigned code)
{
  table t = *before;
  int result[MOST];
  size_t bad = 0, failed = 0, refusals = 0;
  for (size_t i = 0; i < t.n; i++, code /= 3) {
    t.v[i] = &t.e[i];
    result[i] = (int)(code % 3) + SMTPF_COMMIT_OK;
    const smtpf_entry was = t.e[i];
    HOLDS(smtpf_ledger_open(t.v + i, 1) == (!was.final));
    smtpf_ledger_commit(&t.e[i], result[i]);
    const smtpf_entry *e = &t.e[i];
    HOLDS(e->final);
    if (was.final || result[i] == SMTPF_COMMIT_OK)
      HOLDS(e->disposition == was.disposition);
    else
      HOLDS(e->disposition == (result[i] == SMTPF_COMMIT_FAILED ? SMTPF_DEFERRED : SMTPF_REJECTED));
    if (refused(e->disposition))
      HOLDS(e->dsn == SMTPF_DSN_NEVER);
    failed += e->disposition == SMTPF_DEFERRED;
    refusals += e->disposition == SMTPF_REJECTED;
    const int reply = smtpf_ledger_reply(e);
    HOLDS(reply == (e->disposition == SMTPF_DEFERRED   ? SMTPF_ACT_DEFER
                    : e->disposition == SMTPF_REJECTED ? SMTPF_ACT_REJECT
                                                       : SMTPF_ACT_ACCEPT));
  }
  bad = failed + refusals;
  HOLDS(!smtpf_ledger_open(t.v, t.n));
  const smtpf_decision d = smtpf_ledger_settle(t.v, t.n, can(&t, SMTPF_CAN_REPLY_PER_RCPT));
  const int hides = can(&t, SMTPF_CAN_REPLY_PER_RCPT) && bad < t.n; /* each refusal has a reply of its own */
  if (!bad || hides)
    HOLDS(d.act == SMTPF_ACT_ACCEPT);
  else
    HOLDS(d.act == (failed ? SMTPF_ACT_DEFER : SMTPF_ACT_REJECT));
  smtpf_ledger_close_all(t.v, t.n, SMTPF_DEFERRED);
  HOLDS(count(&t, SMTPF_DEFERRED) == failed); /* what is final stays */
}

START_TEST(enumerate)
{
  static const unsigned power5[] = {1, 5, 25, 125}, power3[] = {1, 3, 9, 27};
  unsigned long cases = 0;
  for (size_t n = 1; n <= MOST; n++)
    for (unsigned code = 0; code < power5[n]; code++)
      for (unsigned caps = 0; caps < CAPABILITIES; caps++)
        for (int null_sender = 0; null_sender < 2; null_sender++, cases++) {
          table t = {.n = n, .caps = caps, .null_sender = null_sender};
          for (size_t i = 0, rest = code; i < n; i++, rest /= 5) {
            t.wish[i] = acts[rest % 5];
            outcome(&t.e[i], t.wish[i]);
            t.v[i] = &t.e[i];
          }
          t.d = smtpf_ledger_decide(t.v, n, caps, null_sender);
          all_promises(&t);
          for (unsigned results = 0; results < power3[n] && !null_sender; results++)
            commit(&t, results);
        }
  HOLDS(cases == (5 + 25 + 125) * (unsigned long)CAPABILITIES * 2);
}
END_TEST

START_TEST(a_score_short_of_a_mark_takes_the_body_out_of_the_report)
{
  smtpf_entry e = {.outcome = {.act = SMTPF_ACT_ACCEPT, .definite = SMTPF_ACT_ACCEPT, .score = 1, .profile = &profile}},
              *v = &e;
  (void)smtpf_ledger_decide(&v, 1, SMTPF_CAN_REPORT_COMMIT, 0);
  HOLDS(e.dsn == SMTPF_DSN_HEADERS_ONLY);
  e.outcome.score = -5;
  (void)smtpf_ledger_decide(&v, 1, SMTPF_CAN_REPORT_COMMIT, 0);
  HOLDS(e.dsn == SMTPF_DSN_ALLOWED);
}
END_TEST

TCase *ledger_cases(void)
{
  TCase *c = tcase_create("ledger");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, enumerate);
  tcase_add_test(c, a_score_short_of_a_mark_takes_the_body_out_of_the_report);
  return c;
}
