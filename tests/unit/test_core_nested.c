/* SPDX-License-Identifier: MIT
 *
 * Two scans of one message by a scanner that serves one while it is fed for the other, as one does that has a single
 * queue for all.
 */
#include <stdlib.h>
#include <string.h>

#include "core_scanning.h"
#include "test_core.h"

static struct nested {
  smtpf_driver *driver;
  smtpf_op ops[2];
  char text[2][MOST];
  size_t n[2], opened, answered;
  int inside, over;
} N;

static int nested_start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  (void)shared;
  (void)settings;
  N.driver = driver;
  *self = &N;
  return SMTPF_OK;
}

static int nested_open(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  (void)self;
  (void)request;
  N.ops[N.opened] = op;
  *scan = &N.n[N.opened++];
  return SMTPF_OK;
}

/* The second is fed inside the first alone, little by little; what is left of it at the end. */
static size_t nested_feed(void *scan, const char *bytes, size_t n)
{
  const size_t i = (size_t)((size_t *)scan - N.n);
  if (i && !N.over)
    n = !N.inside ? 0 : n < 100 ? n : 100;
  if (!i) {
    N.inside = 1;
    (void)smtpf_op_scan_room(N.driver, N.ops[1]);
    N.inside = 0;
  }
  memcpy(N.text[i] + N.n[i], bytes, n);
  N.n[i] += n;
  return n;
}

static int nested_finish(void *scan)
{
  const size_t i = (size_t)((size_t *)scan - N.n);
  const smtpf_scan_result r = {.size = sizeof r, .status = SMTPF_SCAN_CLEAN, .seen = UINT64_MAX};
  N.over = 1;
  if (!i)
    ck_assert_int_eq(smtpf_op_scan_room(N.driver, N.ops[1]), SMTPF_OK);
  return smtpf_op_scanned(N.driver, N.ops[i], &r);
}

static void nested_close(void *scan)
{
  (void)scan;
}

static const smtpf_scanner nested_type = {
    sizeof nested_type, "nested",      NULL,         0,    NULL, nested_start, nested_open,
    nested_feed,        nested_finish, nested_close, NULL, NULL};

static int ask_twice(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_scan_request rq = {.size = sizeof rq, .scanner = SMTPF_LIT("n"), .event = ev};
  (void)self;
  for (uint32_t tag = 0; tag < 2; tag++) {
    ck_assert_int_eq(smtpf_task_scan(t, &rq, tag), SMTPF_OK);
    ck_assert_int_eq(smtpf_task_scan_finish(t, tag), SMTPF_OK); /* long before there is an end */
  }
  return SMTPF_PENDING;
}

static int want_no_more(void *self, smtpf_task *t)
{
  (void)self;
  (void)t;
  return SMTPF_PENDING;
}

static int hear_twice(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  ck_assert_int_eq(a->scan->status, SMTPF_SCAN_CLEAN);
  if (++N.answered < 2)
    return SMTPF_PENDING;
  smtpf_task_seen(t, a->scan->seen);
  return smtpf_task_clear(t, "clean");
}

START_TEST(one_is_fed_inside_another)
{
  const size_t n = 100000;
  memset(&N, 0, sizeof N);
  scanning_begin();
  world_set(&scanning_world, "spool.memory", "0");
  ck_assert_int_eq(smtpf_config_add_scanner(scanning_world.cfg, &nested_type, NULL), SMTPF_OK);
  world_set(&scanning_world, "scanners[\"n\"].type", "nested");
  smtpf_check *c = &scanning_world.checks[scanning_world.n_checks - 1];
  c->run = ask_twice;
  c->finish = want_no_more;
  c->resume = hear_twice;
  char *m = scanning_message(n);
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, m, n, 30000);
  const uint64_t before = scanning_world.now_ns;
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_eq(scanning_world.now_ns, before);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
  for (size_t i = 0; i < 2; i++) {
    ck_assert_uint_eq(N.n[i], n);
    ck_assert_mem_eq(N.text[i], m, n);
  }
  free(m);
  scanning_close(s);
}
END_TEST

/* ---- the same about very many
 * ------------------------------------------------------------------------------------------
 */

enum { MANY = 60 };

static int say_of_each(void *self, smtpf_task *t, const smtpf_event *ev)
{
  static char detail[4000];
  smtpf_finding f = {
      .size = sizeof f, .kind = SMTPF_HIT, .code = "found", .score = 1, .detail = {detail, sizeof detail}};
  (void)self;
  memset(detail, 'd', sizeof detail);
  for (f.recipient = 1; f.recipient <= ev->recipients; f.recipient++)
    ck_assert_int_eq(smtpf_task_report(t, &f), SMTPF_OK);
  return SMTPF_OK;
}

/* Without memory the message would be put off, again and again, by no budget (promise L7). */
START_TEST(what_is_found_about_many_is_kept_once)
{
  scanning_begin();
  world_set(&scanning_world, "limits.transaction_memory", "128k");
  scanning_world.checks[scanning_world.n_checks - 1].run = say_of_each;
  smtpf_session *s = scanning_data(CAN, MANY);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  for (size_t i = 0; i < MANY; i++)
    ck_assert_int_eq(world_disposition(s, i), SMTPF_DELIVERED);
  scanning_close(s);
}
END_TEST

TCase *nested_cases(void)
{
  TCase *c = tcase_create("nested");
  tcase_add_test(c, one_is_fed_inside_another);
  tcase_add_test(c, what_is_found_about_many_is_kept_once);
  return c;
}
