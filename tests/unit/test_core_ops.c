/* SPDX-License-Identifier: MIT
 *
 * Operations: tokens that come late, twice or never; one question for many; answers kept by TTL and by number.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core_world.h"
#include "test_core.h"

static world W;

static smtpf_session *asks(const char *helo)
{
  smtpf_session *s = world_connected(&W, 0);
  ck_assert_int_eq(world_helo(s, helo), W.hold ? SMTPF_PENDING : SMTPF_OK);
  return s;
}

static script *start(void)
{
  world_init(&W);
  script *c = world_check(&W, "asks", SMTPF_HELO, 2);
  c->run = script_query;
  c->resume = script_hit;
  c->finding = finding_hit(1000);
  return c;
}

static int process(void)
{
  const int n = smtpf_driver_process(W.driver);
  while (smtpf_driver_next(W.driver))
    ;
  return n;
}

/* ---- the table ---- */

START_TEST(tokens_are_good_once)
{
  smtpf_op_table t;
  smtpf_op tokens[100];
  smtpf_op_slot *slots[100];
  smtpf_ops_init(&t, &smtpf_mem_default);
  for (int i = 0; i < 100; i++) {
    slots[i] = smtpf_op_take(&t, SMTPF_OP_TIMER);
    tokens[i] = smtpf_op_token(slots[i]);
    ck_assert_uint_ne(tokens[i], 0);
    for (int k = 0; k < i; k++)
      ck_assert_uint_ne(tokens[k], tokens[i]);
  }
  for (int i = 0; i < 100; i++) {
    ck_assert_ptr_eq(smtpf_op_find(&t, tokens[i], SMTPF_OP_TIMER), slots[i]);
    ck_assert_ptr_null(smtpf_op_find(&t, tokens[i], SMTPF_OP_TASK));
    smtpf_op_give(&t, slots[i]);
    ck_assert_ptr_null(smtpf_op_find(&t, tokens[i], SMTPF_OP_TIMER));
    ck_assert_ptr_null(smtpf_op_find(&t, tokens[i], SMTPF_OP_FREE));
  }
  ck_assert_ptr_null(smtpf_op_find(&t, 0, SMTPF_OP_TIMER));
  ck_assert_ptr_null(smtpf_op_find(&t, UINT64_MAX, SMTPF_OP_TIMER));
  ck_assert_ptr_null(smtpf_op_find(&t, (smtpf_op)1 << 32, SMTPF_OP_TIMER));
  smtpf_op_slot *s = smtpf_op_take(&t, SMTPF_OP_TASK);
  s->generation = UINT32_MAX; /* after four thousand million uses of one place */
  const smtpf_op last = smtpf_op_token(s);
  smtpf_op_give(&t, s);
  ck_assert_ptr_eq(smtpf_op_take(&t, SMTPF_OP_TASK), s);
  ck_assert_ptr_null(smtpf_op_find(&t, last, SMTPF_OP_TASK));
  ck_assert_uint_ne(smtpf_op_token(s), 0);
  ck_assert_ptr_eq(smtpf_op_find(&t, smtpf_op_token(s), SMTPF_OP_TASK), s);
  smtpf_ops_free(&t);
}
END_TEST

START_TEST(late_and_double_completions_do_nothing)
{
  (void)start();
  world_start(&W);
  W.hold = 1;
  smtpf_session *s = asks("a.example");
  const smtpf_dns_answer a = {.size = sizeof a, .status = SMTPF_DNS_NXDOMAIN};
  const smtpf_directory_answer d = {.size = sizeof d, .status = SMTPF_DIRECTORY_ABSENT};
  const smtpf_op op = world_dns_op(&W, 0);
  ck_assert_int_eq(smtpf_op_directory(W.driver, op, &d), SMTPF_ENOTFOUND); /* another kind */
  ck_assert_int_eq(smtpf_op_store(W.driver, op, SMTPF_STORE_FOUND, SMTPF_LIT("x")), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_op_dns(W.driver, op, &a), SMTPF_OK);
  ck_assert_int_eq(smtpf_op_dns(W.driver, op, &a), SMTPF_ENOTFOUND);
  ck_assert_int_eq(process(), 1);
  ck_assert_int_eq(smtpf_op_dns(W.driver, op, &a), SMTPF_ENOTFOUND);
  smtpf_session_free(s);
  ck_assert_int_eq(smtpf_op_dns(W.driver, op, &a), SMTPF_ENOTFOUND);
  world_end(&W);
}
END_TEST

/* ---- DNS ---- */

START_TEST(equal_questions_are_asked_once)
{
  (void)start();
  world_start(&W);
  W.hold = 1;
  smtpf_session *a = asks("Same.example"), *b = asks("same.EXAMPLE."), *c = asks("same.example"),
                *d = asks("other.example");
  ck_assert_uint_eq(W.n_dns, 2);
  ck_assert_str_eq(W.dns_asked[0].name, "same.example");
  ck_assert_uint_eq(world_stat(&W, "dns.joined"), 2);
  ck_assert_int_eq(smtpf_session_abort(a), SMTPF_OK); /* one who leaves does not take the question along */
  smtpf_session_free(b);
  ck_assert_uint_eq(W.cancelled, 0);
  smtpf_session_free(d); /* the only one does */
  ck_assert_uint_eq(W.cancelled, 1);
  world_dns(&W, 0, SMTPF_DNS_OK, 10);
  ck_assert_int_eq(process(), 1);
  EXPECT_CODE(c, 250);
  /* Asked again after everybody left: a new question. */
  d = asks("other.example");
  ck_assert_uint_eq(W.n_dns, 3);
  smtpf_session_free(a);
  smtpf_session_free(c);
  world_end(&W); /* with `d` still waiting */
  ck_assert_uint_eq(W.cancelled, 2);
}
END_TEST

START_TEST(answers_are_kept_by_their_ttl)
{
  (void)start();
  world_set(&W, "resolver.cache_max", "100s");
  world_start(&W);
  const smtpf_dns_record r = {.type = SMTPF_DNS_A, .text = SMTPF_LIT("text")};
  static const struct {
    int status;
    uint32_t ttl, kept_s;
  } rows[] = {{SMTPF_DNS_OK, 10, 10},         {SMTPF_DNS_OK, 0, 0},       {SMTPF_DNS_NXDOMAIN, 20, 20},
              {SMTPF_DNS_NODATA, 5, 5},       {SMTPF_DNS_SERVFAIL, 0, 0}, {SMTPF_DNS_OK, 86400, 100},
              {SMTPF_DNS_OK, UINT32_MAX, 100}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char name[32];
    snprintf(name, sizeof name, "n%zu.example", i);
    W.dns = (smtpf_dns_answer){sizeof W.dns, rows[i].status, rows[i].ttl, rows[i].status == SMTPF_DNS_OK, &r};
    const size_t before = W.dns_total;
    smtpf_session_free(asks(name));
    ck_assert_uint_eq(W.dns_total, before + 1);
    if (rows[i].kept_s) {
      W.now_ns += (uint64_t)rows[i].kept_s * 1000000000u - 1;
      smtpf_session_free(asks(name));
      ck_assert_uint_eq(W.dns_total, before + 1);
      W.now_ns += 1;
    }
    smtpf_session_free(asks(name));
    ck_assert_uint_eq(W.dns_total, before + 2);
  }
  world_end(&W);
}
END_TEST

START_TEST(the_least_used_answer_goes_first)
{
  (void)start();
  world_set(&W, "resolver.cache", "2");
  world_start(&W);
  W.dns = (smtpf_dns_answer){.size = sizeof W.dns, .status = SMTPF_DNS_NXDOMAIN, .ttl = 100};
  smtpf_session_free(asks("one.example"));
  smtpf_session_free(asks("two.example"));
  smtpf_session_free(asks("one.example"));
  smtpf_session_free(asks("three.example"));
  ck_assert_uint_eq(W.dns_total, 3);
  smtpf_session_free(asks("one.example"));
  ck_assert_uint_eq(W.dns_total, 3);
  smtpf_session_free(asks("two.example"));
  ck_assert_uint_eq(W.dns_total, 4);
  ck_assert_uint_eq(world_stat(&W, "dns.cached"), 2);
  world_end(&W);

  (void)start();
  world_set(&W, "resolver.cache", "0");
  world_start(&W);
  W.dns.ttl = 100;
  smtpf_session_free(asks("one.example"));
  smtpf_session_free(asks("one.example"));
  ck_assert_uint_eq(W.dns_total, 2);
  world_end(&W);
}
END_TEST

static char text_seen[64];

static int keeps_the_answer(script *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  ck_assert_ptr_nonnull(a->dns);
  const smtpf_str text = a->dns->records[a->dns->count - 1].text;
  /* The entry is pushed out of the cache while it is looked at. */
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_TXT, SMTPF_LIT("pushes.example"), 2), SMTPF_OK);
  snprintf(text_seen, sizeof text_seen, "%.*s", (int)text.n, text.p);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_TXT, SMTPF_LIT("pushes.again.example"), 3), SMTPF_OK);
  snprintf(text_seen, sizeof text_seen, "%.*s", (int)text.n, text.p);
  return SMTPF_OK;
}

START_TEST(an_answer_in_use_outlives_the_cache)
{
  script *c = start();
  c->resume = keeps_the_answer;
  world_set(&W, "resolver.cache", "1");
  world_start(&W);
  smtpf_dns_record many[300];
  for (size_t i = 0; i < 300; i++)
    many[i] = (smtpf_dns_record){.type = SMTPF_DNS_A, .text = SMTPF_LIT("the text")};
  W.dns = (smtpf_dns_answer){sizeof W.dns, SMTPF_DNS_OK, 100, 300, many};
  smtpf_session *s = asks("a.example");
  ck_assert_str_eq(text_seen, "the text");
  EXPECT_CODE(s, 250);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

static int asks_badly(script *self, smtpf_task *t, const smtpf_event *ev)
{
  char room[300];
  (void)self;
  (void)ev;
  memset(room, 'a', sizeof room);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, (smtpf_str){room, 254}, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, SMTPF_LIT(""), 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, SMTPF_LIT("."), 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, (smtpf_str){"a\0b", 3}, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, (smtpf_str){room, 253}, 1), SMTPF_OK);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, SMTPF_LIT("b.example"), 2), SMTPF_OK);
  ck_assert_int_eq(smtpf_task_query(t, SMTPF_DNS_A, SMTPF_LIT("c.example"), 3), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_task_timer(t, 10, 4), SMTPF_ELIMIT);
  *smtpf_task_slot(t) = self;
  return SMTPF_PENDING;
}

static int one_is_enough(script *self, smtpf_task *t, const smtpf_answer *a)
{
  ck_assert_ptr_eq(*smtpf_task_slot(t), self);
  ck_assert_uint_eq(a->tag, 2);
  return smtpf_task_clear(t, "enough"); /* the other question is cancelled */
}

START_TEST(names_and_number_of_questions_are_bounded)
{
  script *c = start();
  c->run = asks_badly;
  c->resume = one_is_enough;
  world_set(&W, "limits.operations", "2");
  world_start(&W);
  W.hold = 1;
  smtpf_session *s = asks("a.example");
  world_dns(&W, 1, SMTPF_DNS_OK, 1);
  ck_assert_int_eq(process(), 1);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(W.cancelled, 1);
  ck_assert_int_eq(c->resumes, 1);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

START_TEST(a_resolver_that_refuses_has_failed)
{
  (void)start();
  smtpf_resolver simple = *W.ports.resolver;
  simple.cancel = NULL; /* a port may have nothing to cancel */
  W.ports.resolver = &simple;
  world_start(&W);
  W.port_error = SMTPF_EIO;
  smtpf_session *s = asks("a.example");
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(world_stat(&W, "checks.unknown"), 1);
  W.port_error = 0;
  W.hold = 1;
  smtpf_session *b = asks("b.example");
  smtpf_session_free(b);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

/* ---- store, timer ---- */

static int gets(script *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_change change = {
      .size = sizeof change, .op = SMTPF_CHANGE_SET, .key = SMTPF_LIT("k"), .value = SMTPF_LIT("v")};
  (void)ev;
  self->finding.code = "";
  ck_assert_int_eq(smtpf_task_get(t, SMTPF_LIT("key"), 1), SMTPF_OK);
  ck_assert_int_eq(smtpf_task_commit(t, &change, 1, 2), SMTPF_OK);
  return SMTPF_PENDING;
}

static int got[3];

static int notes(script *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)t;
  ck_assert_int_eq(a->kind, SMTPF_ANSWER_STORE);
  got[a->tag] = a->store;
  if (a->store == SMTPF_STORE_FOUND)
    ck_assert(smtpf_str_equal(a->value, SMTPF_LIT("value")));
  return self->resumes % 2 ? SMTPF_PENDING : SMTPF_OK;
}

START_TEST(the_store_answers_or_has_failed)
{
  script *c = start();
  c->run = gets;
  c->resume = notes;
  world_start(&W);
  smtpf_session_free(asks("a.example"));
  ck_assert_int_eq(got[1], SMTPF_STORE_FOUND);
  ck_assert_int_eq(got[2], SMTPF_STORE_FOUND);
  W.port_error = SMTPF_EIO;
  smtpf_session_free(asks("a.example"));
  ck_assert_int_eq(got[1], SMTPF_STORE_FAILED);
  ck_assert_int_eq(got[2], SMTPF_STORE_FAILED);
  W.port_error = 0;
  W.hold = 1;
  smtpf_session *s = asks("a.example");
  const smtpf_op first = W.store_asked[0].op;
  ck_assert_int_eq(smtpf_op_store(W.driver, W.store_asked[1].op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0}), SMTPF_OK);
  ck_assert_int_eq(smtpf_op_store(W.driver, W.store_asked[1].op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0}),
                   SMTPF_ENOTFOUND);
  ck_assert_int_eq(process(), 0);
  ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK); /* with one operation open */
  ck_assert_uint_eq(W.cancelled, 1);
  ck_assert_int_eq(smtpf_op_store(W.driver, first, SMTPF_STORE_FOUND, SMTPF_LIT("x")), SMTPF_ENOTFOUND);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

START_TEST(a_check_that_never_wakes_is_cut_off_with_all_it_asked)
{
  script *c = start();
  c->run = gets;
  world_start(&W);
  W.hold = 1;
  smtpf_session *s = asks("a.example");
  ck_assert_int_eq(smtpf_session_wait(s, -1), SMTPF_OK);
  EXPECT_CODE(s, 250);
  ck_assert_uint_eq(W.cancelled, 2);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

static void watched(void *user, int fd, unsigned events)
{
  int *calls = user;
  ck_assert_int_eq(fd, 5);
  ck_assert_uint_eq(events, SMTPF_FD_WRITE);
  ++*calls;
}

START_TEST(ports_watch_descriptors)
{
  (void)start();
  world_start(&W);
  int calls = 0;
  smtpf_pollfd fds[2];
  ck_assert_int_eq(smtpf_driver_watch(W.driver, 5, 0, watched, &calls), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_watch(W.driver, -1, SMTPF_FD_READ, watched, &calls), SMTPF_EINVAL);
  ck_assert_uint_eq(smtpf_driver_fds(W.driver, fds, 2), 0);
  ck_assert_int_eq(smtpf_driver_watch(W.driver, 5, SMTPF_FD_READ, watched, &calls), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_watch(W.driver, 6, SMTPF_FD_READ, watched, &calls), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_watch(W.driver, 5, SMTPF_FD_WRITE, watched, &calls), SMTPF_OK);
  ck_assert_uint_eq(smtpf_driver_fds(W.driver, fds, 1), 2);
  ck_assert_int_eq(fds[0].fd, 5);
  ck_assert_uint_eq(fds[0].events, SMTPF_FD_WRITE);
  W.ready[0] = (smtpf_pollfd){5, SMTPF_FD_WRITE};
  W.ready[1] = (smtpf_pollfd){7, SMTPF_FD_READ}; /* nobody's */
  W.n_ready = 2;
  ck_assert_int_eq(process(), 0);
  ck_assert_int_eq(calls, 1);
  ck_assert_int_eq(smtpf_driver_watch(W.driver, 5, 0, NULL, NULL), SMTPF_OK);
  ck_assert_int_eq(process(), 0);
  ck_assert_int_eq(calls, 1);
  ck_assert_int_eq(smtpf_driver_wake(W.driver), SMTPF_OK);
  ck_assert_int_eq(W.wakes, 1);
  ck_assert_int_eq(smtpf_driver_fd(W.driver), -1);
  ck_assert_int_eq(smtpf_driver_deadline(W.driver), -1);
  ck_assert_int_ge(smtpf_driver_wall(W.driver), 1700000000);
  ck_assert_uint_eq(smtpf_driver_now(W.driver), W.now_ns);
  ck_assert_ptr_nonnull(smtpf_driver_mem(W.driver));
  world_end(&W);
}
END_TEST

static void keep_status(void *user, int status, smtpf_str value)
{
  (void)value;
  *(int *)user = status;
}

static void keep_count(void *user, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  (void)status;
  (void)records;
  (void)cursor;
  *(size_t *)user = n;
}

/* A program that only asks the store, and never turns the loop, must not live in the second it began. */
START_TEST(calls_of_a_program_read_the_clock)
{
  const smtpf_str key = {"key", 3};
  smtpf_change c = {.size = sizeof c, .op = SMTPF_CHANGE_SET, .key = key, .value = {"v", 1}};
  int status = 0;
  size_t n = 99;
  (void)start();
  W.ports.store = smtpf_store_memory();
  W.ports.store_shared = NULL;
  world_start(&W);
  const int64_t begun = smtpf_driver_wall(W.driver);
  W.wall += 100;
  c.expires = begun + 110;
  ck_assert_int_eq(smtpf_driver_commit(W.driver, &c, 1, keep_status, &status), SMTPF_OK);
  ck_assert_int_eq(status, SMTPF_STORE_DONE);
  ck_assert_int_eq(smtpf_driver_get(W.driver, key, keep_status, &status), SMTPF_OK);
  ck_assert_int_eq(status, SMTPF_STORE_FOUND);
  W.wall += 11;
  ck_assert_int_eq(smtpf_driver_scan(W.driver, (smtpf_str){NULL, 0}, 10, keep_count, &n), SMTPF_OK);
  ck_assert_uint_eq(n, 0);
  W.wall -= 5;
  ck_assert_int_eq(smtpf_driver_get(W.driver, key, keep_status, &status), SMTPF_OK);
  ck_assert_int_eq(status, SMTPF_STORE_FOUND);
  W.wall += 5;
  ck_assert_int_eq(smtpf_driver_get(W.driver, key, keep_status, &status), SMTPF_OK);
  ck_assert_int_eq(status, SMTPF_STORE_ABSENT);
  world_end(&W);
}
END_TEST

/* ---- a check's own ---- */

static smtpf_op own;
static int over;

static void count_over(void *user)
{
  (void)user;
  over++;
}

static int run_own(script *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  ck_assert_ptr_eq(smtpf_task_driver(t), W.driver);
  ck_assert_int_eq(smtpf_task_own(t, 9, count_over, NULL, &own), SMTPF_OK);
  return SMTPF_PENDING;
}

static int resume_own(script *self, smtpf_task *t, const smtpf_answer *a)
{
  ck_assert_int_eq(a->kind, SMTPF_ANSWER_OWN);
  ck_assert_uint_eq(a->tag, 9);
  return smtpf_task_report(t, &self->finding);
}

START_TEST(what_a_check_does_elsewhere_is_waited_for)
{
  script *c = start();
  c->run = run_own;
  c->resume = resume_own;
  over = 0;
  W.hold = 1;
  world_start(&W);
  smtpf_session *s = asks("mail.example.org");
  ck_assert_int_eq(process(), 0);
  ck_assert_int_eq(smtpf_op_own(W.driver, own), SMTPF_OK);
  ck_assert_int_eq(smtpf_op_own(W.driver, own), SMTPF_ENOTFOUND);
  ck_assert_ptr_null(smtpf_session_verdict(s));
  ck_assert_int_eq(process(), 1);
  ck_assert_ptr_nonnull(smtpf_session_verdict(s));
  ck_assert_int_eq(over, 0); /* it was answered */
  ck_assert_int_eq(smtpf_op_own(W.driver, own), SMTPF_ENOTFOUND);
  smtpf_session_free(s);
  s = asks("mail.example.org");
  ck_assert_int_eq(smtpf_op_own(W.driver, own), SMTPF_OK);
  smtpf_session_free(s); /* answered, and nobody looked */
  ck_assert_int_eq(over, 1);
  s = asks("mail.example.org");
  ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
  ck_assert_int_eq(over, 2);
  ck_assert_int_eq(smtpf_op_own(W.driver, own), SMTPF_ENOTFOUND);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

TCase *op_cases(void)
{
  TCase *c = tcase_create("ops");
  tcase_add_test(c, tokens_are_good_once);
  tcase_add_test(c, late_and_double_completions_do_nothing);
  tcase_add_test(c, equal_questions_are_asked_once);
  tcase_add_test(c, answers_are_kept_by_their_ttl);
  tcase_add_test(c, the_least_used_answer_goes_first);
  tcase_add_test(c, an_answer_in_use_outlives_the_cache);
  tcase_add_test(c, names_and_number_of_questions_are_bounded);
  tcase_add_test(c, a_resolver_that_refuses_has_failed);
  tcase_add_test(c, the_store_answers_or_has_failed);
  tcase_add_test(c, a_check_that_never_wakes_is_cut_off_with_all_it_asked);
  tcase_add_test(c, ports_watch_descriptors);
  tcase_add_test(c, calls_of_a_program_read_the_clock);
  tcase_add_test(c, what_a_check_does_elsewhere_is_waited_for);
  return c;
}
