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
      HOLDS(e->dsn == SMTPF_DSN_HEADERS_ONLY);
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

/* The body goes back to who is known to have sent it, and to nobody else, whatever speaks for him. */
START_TEST(the_body_is_for_own_clients)
{
  static const struct {
    int rule, forward, null, dsn;
    int32_t score;
  } rows[] = {
      {SMTPF_RULE_ACCEPT, 0, 0, SMTPF_DSN_HEADERS_ONLY, 0}, {SMTPF_RULE_ACCEPT, 0, 0, SMTPF_DSN_HEADERS_ONLY, -5},
      {SMTPF_RULE_ACCEPT, 0, 0, SMTPF_DSN_HEADERS_ONLY, 1}, {SMTPF_RULE_ALLOW, 0, 0, SMTPF_DSN_HEADERS_ONLY, 0},
      {SMTPF_RULE_ACCEPT, 1, 0, SMTPF_DSN_HEADERS_ONLY, 0}, {SMTPF_RULE_OWN, 0, 0, SMTPF_DSN_ALLOWED, 0},
      {SMTPF_RULE_OWN, 0, 0, SMTPF_DSN_ALLOWED, 1},         {SMTPF_RULE_OWN, 1, 0, SMTPF_DSN_HEADERS_ONLY, 0},
      {SMTPF_RULE_OWN, 0, 1, SMTPF_DSN_NEVER, 0},           {SMTPF_RULE_ACCEPT, 0, 1, SMTPF_DSN_NEVER, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_entry e = {.outcome = {.act = SMTPF_ACT_ACCEPT,
                                 .definite = SMTPF_ACT_ACCEPT,
                                 .rule = (uint8_t)rows[i].rule,
                                 .forward = (uint8_t)rows[i].forward,
                                 .score = rows[i].score,
                                 .profile = &profile}},
                *v = &e;
    (void)smtpf_ledger_decide(&v, 1, SMTPF_CAN_REPORT_COMMIT, rows[i].null);
    ck_assert_msg(e.dsn == rows[i].dsn, "row %zu: %d", i, e.dsn);
  }
}
END_TEST

/* ---- line by line --------------------------------------------------------------------------------------------------
 */

static const smtpf_profile away = {.name = {"away", 4}, .route = SMTPF_WISH_FORWARD, .forward = {"a@b", 3}},
                           as = {.name = {"as", 2},
                                 .route = SMTPF_WISH_FORWARD,
                                 .forward = {"a@b", 3},
                                 .forward_sender = {"s", 1}},
                           nonspam = {.name = {"nonspam", 7},
                                      .route = SMTPF_WISH_FORWARD_NONSPAM,
                                      .forward = {"a@b", 3},
                                      .forward_sender = {"s", 1}};

#define ENTRY(a, r)                                                                                                    \
  {                                                                                                                    \
    .outcome = {.act = SMTPF_ACT_##a, .rule = SMTPF_RULE_##r, .definite = SMTPF_ACT_##a, .profile = &profile }         \
  }

enum {
  COMMITS = SMTPF_CAN_REPORT_COMMIT,
  HEADERS = SMTPF_CAN_EDIT,
  KEEP = SMTPF_CAN_QUARANTINE,
  EACH = SMTPF_CAN_REPLY_PER_RCPT
};

START_TEST(the_join)
{
  const smtpf_entry accept = ENTRY(ACCEPT, ACCEPT), tag = ENTRY(TAG, TAG), keep = ENTRY(QUARANTINE, QUARANTINE),
                    refuse = ENTRY(REJECT, REJECT), missing = ENTRY(DEFER, MISSING);
  smtpf_entry drop = ENTRY(DISCARD, DISCARD), drop_strange = drop, later = ENTRY(DEFER, ELECTIVE), spent = accept,
              late = later, known = accept, unheard = missing;
  drop_strange.outcome.refusable = 1;
  later.outcome.definite = SMTPF_ACT_TAG;
  late = later;
  late.budget = SMTPF_BUDGET_SPENT;
  spent.budget = SMTPF_BUDGET_UNREADABLE;
  known.known = 1;
  unheard.budget = SMTPF_BUDGET_SPENT;
  enum {
    D = SMTPF_DELIVERED,
    T = SMTPF_TAGGED,
    Q = SMTPF_QUARANTINED,
    X = SMTPF_DISCARDED,
    R = SMTPF_REJECTED,
    L = SMTPF_DEFERRED
  };
  const struct {
    const char *row;
    smtpf_entry a, b;
    unsigned can;
    int act, cause, fate_a, fate_b, over_a, over_b;
  } rows[] = {
      {"J1", refuse, missing, HEADERS, SMTPF_ACT_DEFER, 1, L, L, 1, 0},
      {"J1 before J2", later, missing, HEADERS, SMTPF_ACT_DEFER, 0, L, L, 0, 0},
      {"J1 whatever the budget", spent, missing, HEADERS, SMTPF_ACT_DEFER, 1, L, L, 1, 0},
      {"J1 spent", accept, unheard, HEADERS, SMTPF_ACT_DEFER, 1, L, L, 1, 0},
      {"J2", accept, later, HEADERS, SMTPF_ACT_DEFER, 1, L, L, 1, 0},
      {"J2 spent for the other", spent, later, HEADERS, SMTPF_ACT_ACCEPT, 0, D, T, 1, 1},
      {"J2 spent for itself", accept, late, HEADERS, SMTPF_ACT_ACCEPT, 0, D, T, 1, 0},
      {"J3", refuse, refuse, HEADERS, SMTPF_ACT_REJECT, 0, R, R, 0, 0},
      {"J4", drop_strange, refuse, HEADERS, SMTPF_ACT_REJECT, 1, R, R, 1, 0},
      {"J4 not for a forwarder", drop, refuse, HEADERS | KEEP, SMTPF_ACT_ACCEPT, 0, Q, Q, 1, 1},
      {"J4 needs a refusal", drop_strange, drop_strange, HEADERS, SMTPF_ACT_ACCEPT, 0, X, X, 0, 0},
      {"J5 accept", accept, accept, HEADERS, SMTPF_ACT_ACCEPT, 0, D, D, 0, 0},
      {"J5 accept beside a mark", accept, tag, HEADERS, SMTPF_ACT_ACCEPT, 0, D, T, 1, 0},
      {"J5 tag", tag, accept, SMTPF_CAN_EDIT_PER_RCPT, SMTPF_ACT_ACCEPT, 0, T, D, 0, 0},
      {"J5 tag without means", tag, accept, 0, SMTPF_ACT_ACCEPT, 0, D, D, 1, 0},
      {"J5 quarantine", keep, accept, HEADERS | SMTPF_CAN_QUARANTINE_PER_RCPT, SMTPF_ACT_ACCEPT, 0, Q, D, 0, 0},
      {"J5 quarantine as tag", keep, accept, HEADERS | KEEP, SMTPF_ACT_ACCEPT, 0, T, D, 1, 1},
      {"J5 quarantine of all", keep, refuse, HEADERS | KEEP, SMTPF_ACT_ACCEPT, 0, Q, Q, 0, 1},
      {"J5 discard", drop, accept, SMTPF_CAN_DROP_RCPT, SMTPF_ACT_ACCEPT, 0, X, D, 0, 0},
      {"J5 discard as quarantine", drop, keep, HEADERS | KEEP, SMTPF_ACT_ACCEPT, 0, Q, Q, 1, 0},
      {"J5 discard beside quarantine", drop, keep, KEEP | SMTPF_CAN_DROP_RCPT, SMTPF_ACT_ACCEPT, 0, X, Q, 0, 0},
      {"J5 reject as tag", refuse, accept, HEADERS, SMTPF_ACT_ACCEPT, 0, T, D, 1, 1},
      {"known and refused", known, refuse, HEADERS | KEEP, SMTPF_ACT_ACCEPT, 0, D, Q, 0, 1},
      {"known and deferred", known, missing, HEADERS, SMTPF_ACT_DEFER, 1, D, L, 0, 0},
      {"known and dropped", known, drop, HEADERS, SMTPF_ACT_ACCEPT, 0, D, X, 0, 0},
      {"each", refuse, accept, EACH, SMTPF_ACT_ACCEPT, 0, R, D, 0, 0},
      {"each, all refused", refuse, missing, EACH, SMTPF_ACT_DEFER, 1, R, L, 0, 0},
      {"each, all rejected", refuse, refuse, EACH, SMTPF_ACT_REJECT, 0, R, R, 0, 0},
      {"each waits alone", spent, later, EACH | HEADERS, SMTPF_ACT_ACCEPT, 0, D, L, 0, 0},
      {"each, spent", accept, late, EACH | SMTPF_CAN_EDIT_PER_RCPT, SMTPF_ACT_ACCEPT, 0, D, T, 0, 0},
      {"each drops", drop, keep, EACH | KEEP, SMTPF_ACT_ACCEPT, 0, X, Q, 0, 0},
      {"each, quarantine beside a refusal", refuse, keep, EACH | KEEP, SMTPF_ACT_ACCEPT, 0, R, Q, 0, 0},
      {"each, known", known, refuse, EACH, SMTPF_ACT_ACCEPT, 0, D, R, 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_entry a = rows[i].a, b = rows[i].b, *v[] = {&a, &b};
    const smtpf_decision d = smtpf_ledger_decide(v, 2, rows[i].can | COMMITS, 0);
    ck_assert_msg(d.act == rows[i].act && (int)d.cause == rows[i].cause, "%s: reply %d, cause %zu", rows[i].row, d.act,
                  d.cause);
    ck_assert_msg(a.disposition == rows[i].fate_a && b.disposition == rows[i].fate_b, "%s: %d, %d", rows[i].row,
                  a.disposition, b.disposition);
    if (rows[i].b.outcome.rule == SMTPF_RULE_ELECTIVE && b.disposition != L)
      ck_assert_int_eq(b.outcome.rule, SMTPF_RULE_SPENT);
    else
      ck_assert_int_eq(b.outcome.rule, rows[i].b.outcome.rule);
    ck_assert_msg(a.overridden == rows[i].over_a && b.overridden == rows[i].over_b, "%s: overridden %d, %d",
                  rows[i].row, a.overridden, b.overridden);
  }
}
END_TEST

START_TEST(where_copies_go)
{
  const struct {
    const smtpf_profile *a, *b;
    unsigned can;
    int forward_a, sender_a, over_a, forward_b, sender_b, over_b;
  } rows[] = {
      {&profile, &away, 0, 0, 0, 0, 1, 0, 0},    {&as, &as, 0, 1, 1, 0, 1, 1, 0},
      {&as, &away, 0, 1, 0, 1, 1, 0, 0},         {&profile, &as, 0, 0, 0, 0, 1, 0, 1},
      {&profile, &nonspam, 0, 0, 0, 0, 0, 0, 1}, {&profile, &nonspam, SMTPF_CAN_SENDER_PER_RCPT, 0, 0, 0, 1, 1, 0},
      {&nonspam, &as, 0, 1, 1, 0, 1, 1, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_entry a = ENTRY(ACCEPT, ACCEPT), b = a, *v[] = {&a, &b};
    a.outcome.profile = rows[i].a;
    b.outcome.profile = rows[i].b;
    a.outcome.sender = rows[i].a->forward_sender;
    b.outcome.sender = rows[i].b->forward_sender;
    a.outcome.forward = a.outcome.profile->route != SMTPF_WISH_MAILBOX;
    b.outcome.forward = b.outcome.profile->route != SMTPF_WISH_MAILBOX;
    (void)smtpf_ledger_decide(v, 2, rows[i].can | COMMITS, 0);
    ck_assert_msg(a.forward == rows[i].forward_a && a.sender == rows[i].sender_a && a.overridden == rows[i].over_a,
                  "row %zu: first", i);
    ck_assert_msg(b.forward == rows[i].forward_b && b.sender == rows[i].sender_b && b.overridden == rows[i].over_b,
                  "row %zu: second", i);
    ck_assert_int_eq(a.dsn, SMTPF_DSN_HEADERS_ONLY);
  }
}
END_TEST

/* What an entry held before is forgotten; what was taken before is settled; what is open is closed, what is not stays.
 */
START_TEST(entries_begin_and_end)
{
  smtpf_entry a = ENTRY(ACCEPT, ACCEPT), b = a, *v[] = {&a, &b};
  a.forward = a.sender = a.overridden = a.final = 1;
  a.disposition = SMTPF_REJECTED;
  b.known = 1;
  (void)smtpf_ledger_decide(v, 2, COMMITS, 0);
  ck_assert(!a.forward && !a.sender && !a.overridden && !a.final);
  ck_assert_int_eq(a.disposition, SMTPF_DELIVERED);
  ck_assert(b.final && !b.overridden);
  ck_assert_int_eq(b.wish, SMTPF_DELIVERED);
  smtpf_ledger_close_all(v, 2, SMTPF_DEFERRED);
  ck_assert_int_eq(a.disposition, SMTPF_DEFERRED);
  ck_assert_int_eq(a.dsn, SMTPF_DSN_NEVER);
  ck_assert_int_eq(b.disposition, SMTPF_DELIVERED);
  a = b = (smtpf_entry){.disposition = SMTPF_DELIVERED};
  smtpf_ledger_close_all(v, 2, SMTPF_REJECTED);
  ck_assert(a.disposition == SMTPF_REJECTED && b.disposition == SMTPF_REJECTED);
  ck_assert(a.final && b.final);
}
END_TEST

START_TEST(settling)
{
  enum { D = SMTPF_DELIVERED, R = SMTPF_REJECTED, L = SMTPF_DEFERRED };
  const struct {
    int a, b, each, act, cause;
  } rows[] = {{D, D, 0, SMTPF_ACT_ACCEPT, 0}, {D, R, 0, SMTPF_ACT_REJECT, 1}, {R, L, 0, SMTPF_ACT_DEFER, 1},
              {D, L, 0, SMTPF_ACT_DEFER, 1},  {D, D, 1, SMTPF_ACT_ACCEPT, 0}, {D, R, 1, SMTPF_ACT_ACCEPT, 0},
              {R, L, 1, SMTPF_ACT_DEFER, 1},  {D, L, 1, SMTPF_ACT_ACCEPT, 0}, {R, R, 1, SMTPF_ACT_REJECT, 0},
              {R, R, 0, SMTPF_ACT_REJECT, 0}, {L, L, 1, SMTPF_ACT_DEFER, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_entry a = {.disposition = (uint8_t)rows[i].a, .final = 1},
                b = {.disposition = (uint8_t)rows[i].b, .final = 1}, *v[] = {&a, &b};
    const smtpf_decision d = smtpf_ledger_settle(v, 2, rows[i].each);
    ck_assert_msg(d.act == rows[i].act && (int)d.cause == rows[i].cause, "row %zu: %d by %zu", i, d.act, d.cause);
  }
}
END_TEST

TCase *ledger_cases(void)
{
  TCase *c = tcase_create("ledger");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, the_join);
  tcase_add_test(c, where_copies_go);
  tcase_add_test(c, entries_begin_and_end);
  tcase_add_test(c, settling);
  tcase_add_test(c, enumerate);
  tcase_add_test(c, the_body_is_for_own_clients);
  return c;
}
