/* SPDX-License-Identifier: MIT
 *
 * Memory that is not there: one conversation with every kind of operation, again and again, with the i-th allocation
 * failing, and with all from the i-th on. Each accepted event has one verdict, nothing is refused for good that is not
 * without the failure, nothing is taken that was not examined, and nothing is left behind.
 */
#include <string.h>

#include "base/mem.h"
#include "core_world.h"
#include "test_core.h"

static world W;

enum { EVENTS = 16, COMMIT = 10 };

typedef struct talk {
  int code[EVENTS];
  size_t evidence[EVENTS]; /* that is not unknown */
  size_t n;
} talk;

static int asks_all(script *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_change change = {
      .size = sizeof change, .op = SMTPF_CHANGE_ADD, .key = SMTPF_LIT("k"), .value = SMTPF_LIT("12345678")};
  (void)self;
  (void)ev;
  int r = smtpf_task_alloc(t, 100) ? SMTPF_OK : SMTPF_ENOMEM;
  if (r == SMTPF_OK)
    r = smtpf_task_fact_set(t, "fact", SMTPF_LIT("value"), 1);
  if (r == SMTPF_OK)
    r = smtpf_task_fact_set(t, "fact", SMTPF_LIT("value"), 0);
  if (r == SMTPF_OK)
    r = smtpf_task_query(t, SMTPF_DNS_A, SMTPF_LIT("a.example"), 1);
  if (r == SMTPF_OK)
    r = smtpf_task_query(t, SMTPF_DNS_TXT, SMTPF_LIT("a.example"), 2);
  if (r == SMTPF_OK)
    r = smtpf_task_lookup(t, SMTPF_LIT("a@x.example"), 3);
  if (r == SMTPF_OK)
    r = smtpf_task_get(t, SMTPF_LIT("k"), 4);
  if (r == SMTPF_OK)
    r = smtpf_task_commit(t, &change, 1, 5);
  if (r == SMTPF_OK)
    r = smtpf_task_timer(t, 5, 6);
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static int wakes(script *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  /* Memory that ran out on the way must never read as `there is none`. */
  return a->tag == 6 ? smtpf_task_clear(t, "done") : SMTPF_PENDING;
}

/* One more event: 0 when the conversation is over. */
static int add(talk *t, smtpf_session *s, int r)
{
  if (r == SMTPF_PENDING)
    r = smtpf_session_wait(s, -1);
  ck_assert_int_eq(r, SMTPF_OK);
  const smtpf_verdict *v = smtpf_session_verdict(s);
  ck_assert_ptr_nonnull(v);
  ck_assert_uint_lt(t->n, EVENTS);
  smtpf_evidence_info e = {.size = sizeof e};
  for (size_t i = 0; smtpf_verdict_evidence(v, i, &e) == SMTPF_OK; i++)
    t->evidence[t->n] += e.kind != SMTPF_UNKNOWN;
  t->code[t->n++] = smtpf_verdict_code(v);
  smtpf_recipient_info info = {.size = sizeof info};
  for (size_t i = 0; i < smtpf_verdict_recipient_count(v); i++)
    ck_assert_int_eq(smtpf_verdict_recipient(v, i, &info), SMTPF_OK);
  smtpf_edit_info edit = {.size = sizeof edit};
  for (size_t i = 0; i < smtpf_verdict_edit_count(v); i++)
    ck_assert_int_eq(smtpf_verdict_edit(v, i, &edit), SMTPF_OK);
  return !smtpf_verdict_closes(v);
}

static void converse(talk *t, smtpf_session *s)
{
  if (!add(t, s, world_connect(s, "192.0.2.1")) || t->code[t->n - 1] != 220)
    return;
  add(t, s, world_helo(s, "client.example"));
  add(t, s, smtpf_session_starttls(s, SMTPF_LIT("TLSv1.3"), SMTPF_LIT("cipher")));
  add(t, s, world_helo(s, "client.example"));
  if (t->code[t->n - 1] != 250)
    return;
  add(t, s, smtpf_session_auth(s, SMTPF_LIT("PLAIN"), SMTPF_LIT("who")));
  add(t, s, world_mail(s, "<a@client.example>"));
  if (t->code[t->n - 1] != 250)
    return;
  add(t, s, world_rcpt(s, "<a@x.example>"));
  const int first = t->code[t->n - 1];
  add(t, s, world_rcpt(s, "<b@x.example>"));
  if (first != 250 && t->code[t->n - 1] != 250)
    return;
  (void)smtpf_session_queue_id(s, SMTPF_LIT("queue"));
  add(t, s, smtpf_session_data(s));
  if (t->code[t->n - 1] != 354)
    return;
  ck_assert_int_eq(world_body(s, "X-Smtpfilter: forged\r\nSubject: x\r\n\r\nbody\r\n"), SMTPF_OK);
  add(t, s, smtpf_session_eom(s));
  if (t->code[t->n - 1] != 250)
    return;
  add(t, s, smtpf_session_commit(s, SMTPF_ALL, SMTPF_COMMIT_OK));
  add(t, s, smtpf_session_violation(s, 500, SMTPF_LIT("5.5.2"), SMTPF_LIT("line too long")));
  add(t, s, smtpf_session_quit(s));
}

static void prepare(void)
{
  world_init(&W);
  script *all =
      world_check(&W, "all", SMTPF_CONNECT | SMTPF_HELO | SMTPF_MAIL | SMTPF_RCPT | SMTPF_DATA | SMTPF_EOM, 1);
  script *hit = world_check(&W, "hit", SMTPF_RCPT | SMTPF_EOM, 2);
  all->run = asks_all;
  all->resume = wakes;
  hit->run = script_report;
  hit->finding = finding_hit(4000);
  world_set(&W, "memory.chunk", "0");
  world_set(&W, "limits.session_time", "30d");
  world_start(&W);
  W.dns.ttl = 1;
}

/* The codes of a conversation whose i-th allocation fails; how many there were. */
static long one(talk *t, long fail_at, long fail_from)
{
  const smtpf_session_options o = {
      sizeof o, SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT, 0, NULL};
  smtpf_session *s = NULL;
  *t = (talk){.n = 0};
  prepare();
  W.allocations = 0;
  W.fail_at = fail_at;
  W.fail_from = fail_from;
  const int r = smtpf_session_new(&s, W.driver, &o);
  if (r == SMTPF_OK)
    converse(t, s);
  else
    ck_assert_int_eq(r, SMTPF_ENOMEM);
  const long n = W.allocations;
  W.fail_at = W.fail_from = 0;
  if (r == SMTPF_OK)
    ck_assert_int_eq(W.driver->delayed, 0);
  smtpf_session_free(s);
  world_end(&W);
  return n;
}

static void compare(const talk *usual, const talk *t, long i)
{
  int alike = 1; /* up to here: else there are fewer recipients to examine */
  for (size_t k = 0; k < t->n; k++) {
    const int code = t->code[k];
    alike &= code == usual->code[k];
    ck_assert_msg(code == usual->code[k] || (code >= 400 && code <= 499), "allocation %ld: event %zu is %d, not %d", i,
                  k, code, usual->code[k]);
    /* What was taken was examined as ever; a commit's verdict may explain less. */
    if (alike && k != COMMIT)
      ck_assert_msg(t->evidence[k] == usual->evidence[k], "allocation %ld: event %zu lost evidence", i, k);
    if (code != usual->code[k] && code != 450 && code != 451 && code != 421)
      ck_abort_msg("allocation %ld: %d", i, code);
  }
}

START_TEST(each_allocation_fails_once)
{
  static const int expected[] = {220, 250, 220, 250, 235, 250, 250, 250, 354, 250, 250, 500, 221};
  talk usual, t;
  const long n = one(&usual, 0, 0);
  ck_assert_uint_eq(usual.n, sizeof expected / sizeof *expected);
  ck_assert_int_eq(memcmp(usual.code, expected, sizeof expected), 0);
  ck_assert_uint_gt(usual.evidence[9], 5);
  ck_assert_int_gt(n, 100);
  long different = 0;
  for (long i = 1; i <= n; i++) {
    one(&t, i, 0);
    compare(&usual, &t, i);
    different += t.n != usual.n || memcmp(t.code, usual.code, sizeof t.code) != 0;
  }
  ck_assert_int_gt(different, n / 2);
  for (long i = 1; i <= n; i += 7) {
    one(&t, 0, i);
    compare(&usual, &t, i);
  }
}
END_TEST

/* Everything before the first session; how many allocations there were. */
static long build(long fail_at, int *result)
{
  static const char *const paths[][2] = {{"profiles[\"default\"].reject", "3"},
                                         {"profiles[\"b\"].inherit", "default"},
                                         {"recipients[\"a@x.example\"].profile", "b"},
                                         {"limits.errors", "4"}};
  smtpf_error err = {.size = sizeof err};
  int r = SMTPF_OK;
  world_init(&W);
  (void)world_check(&W, "all", SMTPF_CONNECT, 1);
  W.allocations = 0;
  W.fail_at = fail_at;
  for (size_t k = 0; r == SMTPF_OK && k < sizeof paths / sizeof *paths; k++)
    r = smtpf_config_set(W.cfg, paths[k][0], paths[k][1], &err);
  for (int k = 0; r == SMTPF_OK && k < 9; k++)
    r = smtpf_config_append(W.cfg, "local_domains", "x.example", &err);
  if (r == SMTPF_OK)
    r = smtpf_config_append(W.cfg, "own_networks", "192.0.2.0/24", &err);
  if (r == SMTPF_OK)
    r = world_try_start(&W);
  const long n = W.allocations;
  *result = r;
  W.fail_at = 0;
  if (r != SMTPF_OK)
    W.driver = NULL; /* what a port may have noted of it */
  world_end(&W);
  return n;
}

START_TEST(configuration_engine_and_driver)
{
  int r;
  const long n = build(0, &r);
  ck_assert_int_eq(r, SMTPF_OK);
  ck_assert_int_gt(n, 10);
  for (long i = 1; i <= n; i++) {
    build(i, &r);
    ck_assert_msg(r == SMTPF_ENOMEM, "allocation %ld: %d", i, r);
  }
  for (long i = 1;; i++) {
    smtpf_config *cfg = NULL;
    world_init(&W);
    W.allocations = 0;
    W.fail_at = i;
    r = smtpf_config_create(&cfg, &W.mem);
    ck_assert_int_eq(r == SMTPF_OK, cfg != NULL);
    smtpf_config_free(cfg);
    W.fail_at = 0;
    world_end(&W);
    if (r == SMTPF_OK)
      break;
    ck_assert_int_lt(i, 100);
  }
}
END_TEST

TCase *oom_cases(void)
{
  TCase *c = tcase_create("no memory");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, each_allocation_fails_once);
  tcase_add_test(c, configuration_engine_and_driver);
  return c;
}
