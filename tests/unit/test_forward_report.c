/* SPDX-License-Identifier: MIT
 *
 * Reports of refused forwards: what is written into the store, who is told, and what a store that fails makes of it.
 */
#include <stdio.h>
#include <string.h>

#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/port.h>
#include <smtpfilter/ext/target.h>

#include "base/str.h"
#include "port_run.h"
#include "suites.h"

enum mode { WORKS, FAILS, REFUSES, HOLDS };

static struct {
  smtpf_engine *engine;
  smtpf_driver *driver;
  struct miser memory;
  int mode, gets, commits, op;
  char key[64], value[512], number[8];
  size_t key_n, value_n;
  int64_t expires;
  char log[2048];
  int told, result;
} W;

/* ---- a store of one record ---- */

static int start(void *shared, smtpf_driver *driver, void **self)
{
  (void)shared;
  W.driver = driver;
  *self = &W;
  return SMTPF_OK;
}

static int answer(smtpf_op op, int status, smtpf_str value)
{
  if (W.mode == REFUSES)
    return SMTPF_EIO;
  return W.mode == HOLDS ? SMTPF_OK
                         : smtpf_op_store(W.driver, op, W.mode == FAILS ? SMTPF_STORE_FAILED : status, value);
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  (void)self;
  ck_assert_uint_eq(key.n, SMTPF_DIGEST_BYTES);
  W.gets++;
  return answer(op, W.number[0] ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, (smtpf_str){W.number, 8});
}

static int commit(void *self, smtpf_op op, const smtpf_change *c, size_t n)
{
  (void)self;
  ck_assert_uint_eq(n, 1);
  W.commits++;
  W.op = c->op;
  memcpy(W.key, c->key.p, W.key_n = c->key.n);
  memcpy(W.value, c->value.p, W.value_n = c->value.n);
  W.expires = c->expires;
  if (c->op == SMTPF_CHANGE_ADD && W.mode == WORKS)
    W.number[0]++;
  return answer(op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0});
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

static void stop(void *self)
{
  (void)self;
}

static const smtpf_store store = {sizeof store, "one", start, get, commit, cancel, stop, NULL, NULL};

/* ---- the world ---- */

static uint64_t mono(void *user)
{
  (void)user;
  return 5000000000u;
}

static int64_t wall(void *user)
{
  (void)user;
  return 1000;
}

static const smtpf_clock clock_port = {sizeof clock_port, NULL, mono, wall};

static void log_line(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  const size_t at = strlen(W.log);
  smtpf_out o;
  (void)user;
  smtpf_out_init(&o, W.log + at, sizeof W.log - 1 - at);
  smtpf_out_int(&o, level);
  smtpf_out_char(&o, ' ');
  smtpf_out_cstr(&o, event);
  for (size_t i = 0; i < n; i++) {
    smtpf_out_char(&o, ' ');
    smtpf_out_cstr(&o, fields[i].name);
    smtpf_out_char(&o, '=');
    smtpf_out_str(&o, fields[i].value);
  }
  smtpf_out_char(&o, '\n');
}

static void begin(void)
{
  smtpf_config *cfg;
  smtpf_zone *zone;
  size_t line;
  memset(&W, 0, sizeof W);
  W.memory.left = 1000000;
  const smtpf_mem mem = miser_mem(&W.memory);
  ck_assert_int_eq(smtpf_zone_new(&zone, SMTPF_LIT(""), NULL, &line), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_new(&cfg, &mem), SMTPF_OK);
  smtpf_config_set_log(cfg, SMTPF_LOG_DEBUG, log_line, NULL);
  ck_assert_int_eq(smtpf_engine_new(&W.engine, cfg, NULL), SMTPF_OK);
  smtpf_config_free(cfg);
  W.log[0] = '\0';
  const smtpf_ports ports = {.size = sizeof ports,
                             .clock = &clock_port,
                             .resolver = smtpf_resolver_zone(),
                             .resolver_shared = zone,
                             .store = &store};
  ck_assert_int_eq(smtpf_driver_new(&W.driver, W.engine, &ports), SMTPF_OK);
  smtpf_zone_free(zone); /* nobody asks */
}

static void end(void)
{
  smtpf_driver_free(W.driver);
  smtpf_engine_unref(W.engine);
  ck_assert_int_eq(W.memory.blocks, 0);
}

static void told(void *user, int result)
{
  ck_assert_ptr_eq(user, &W);
  W.told++;
  W.result = result;
}

static smtpf_forward_refusal refusal(int reason)
{
  return (smtpf_forward_refusal){.size = sizeof(smtpf_forward_refusal),
                                 .recipient = SMTPF_LIT("bob@example.net"),
                                 .target = SMTPF_LIT("Bob@Target.example"),
                                 .sender = SMTPF_LIT("ann@example.org"),
                                 .client = SMTPF_LIT("192.0.2.77"),
                                 .code = 550,
                                 .enhanced = SMTPF_LIT("5.1.1"),
                                 .text = SMTPF_LIT("no\r\nsuch user"),
                                 .reason = reason};
}

static void report(int reason)
{
  const smtpf_forward_refusal f = refusal(reason);
  W.told = 0;
  ck_assert_int_eq(smtpf_forward_report(W.driver, &f, told, &W), SMTPF_OK);
}

static void expect_key(int kind)
{
  const smtpf_ip network = {4, {192, 0, 2, 1}};
  unsigned char key[SMTPF_DIGEST_BYTES];
  smtpf_target_key(kind, SMTPF_LIT("bob@target.example"), &network, SMTPF_LIT("Ann@example.org"), key);
  ck_assert_uint_eq(W.key_n, sizeof key);
  ck_assert_mem_eq(W.key, key, sizeof key);
  ck_assert_int_eq(W.expires, 1000 + 86400);
}

START_TEST(a_mailbox_that_is_not_there)
{
  begin();
  report(0);
  ck_assert_int_eq(W.told, 1);
  ck_assert_int_eq(W.result, SMTPF_OK);
  ck_assert_int_eq(W.op, SMTPF_CHANGE_SET);
  expect_key(SMTPF_TARGET_UNKNOWN);
  ck_assert_uint_eq(W.value_n, strlen("550 5.1.1 no??such user"));
  ck_assert_mem_eq(W.value, "550 5.1.1 no??such user", W.value_n);
  ck_assert_str_eq(W.log, "3 forward-suspended to=bob@example.net target=Bob@Target.example class=recipient reply=550 "
                          "5.1.1 no??such user\n");
  end();
}
END_TEST

START_TEST(spam_of_one_sender)
{
  begin();
  report(SMTPF_FORWARD_SPAM);
  expect_key(SMTPF_TARGET_SPAM);
  ck_assert_str_eq(W.log, ""); /* the forward goes on for others */
  end();
}
END_TEST

START_TEST(refusals_for_who_we_are_are_counted)
{
  begin();
  for (int i = 1; i <= 5; i++) {
    report(SMTPF_FORWARD_POLICY);
    ck_assert_int_eq(W.told, 1);
    ck_assert_int_eq(W.op, SMTPF_CHANGE_ADD);
    ck_assert_int_eq(W.number[0], i);
    ck_assert_int_eq(strstr(W.log, "class=policy") != NULL, i == 3); /* once, when it begins */
    W.log[0] = '\0';
  }
  expect_key(SMTPF_TARGET_POLICY);
  end();
}
END_TEST

START_TEST(other_refusals_are_forgotten)
{
  begin();
  report(SMTPF_FORWARD_OTHER);
  ck_assert_int_eq(W.told, 1);
  ck_assert_int_eq(W.result, SMTPF_OK);
  ck_assert_int_eq(W.gets + W.commits, 0);
  end();
}
END_TEST

START_TEST(a_store_that_fails)
{
  static const int modes[] = {FAILS, REFUSES};
  for (size_t i = 0; i < 2; i++)
    for (int reason = SMTPF_FORWARD_RECIPIENT; reason <= SMTPF_FORWARD_POLICY; reason++) {
      begin();
      W.mode = modes[i];
      report(reason);
      ck_assert_int_eq(W.told, 1);
      ck_assert_int_eq(W.result, SMTPF_EIO);
      ck_assert_ptr_null(strstr(W.log, "forward-suspended"));
      end();
    }
}
END_TEST

START_TEST(a_driver_takes_its_reports_along)
{
  begin();
  W.mode = HOLDS;
  report(SMTPF_FORWARD_RECIPIENT);
  report(SMTPF_FORWARD_POLICY);
  ck_assert_int_eq(W.told, 0);
  end();
  ck_assert_int_eq(W.told, 0);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
  begin();
  smtpf_forward_refusal bad[7];
  for (size_t i = 0; i < 7; i++)
    bad[i] = refusal(0);
  bad[0].size = 0;
  bad[1].target.n = 0;
  bad[2].code = 450;
  bad[3].code = 600;
  bad[4].reason = SMTPF_FORWARD_OTHER + 1;
  bad[5].reason = -1;
  bad[6].target.n = SMTPF_TARGET_ROOM + 1;
  for (size_t i = 0; i < 7; i++)
    ck_assert_int_eq(smtpf_forward_report(W.driver, &bad[i], told, &W), SMTPF_EINVAL);
  ck_assert_int_eq(W.told + W.commits, 0);
  smtpf_forward_refusal silent = refusal(0); /* nobody wants to know; a client nobody knows */
  silent.client = SMTPF_LIT("unknown");
  silent.sender.n = silent.text.n = silent.enhanced.n = 0;
  silent.reason = SMTPF_FORWARD_SPAM;
  ck_assert_int_eq(smtpf_forward_report(W.driver, &silent, NULL, NULL), SMTPF_OK);
  ck_assert_uint_eq(W.value_n, 3);
  end();
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
  long n = 0;
  for (int done = 0; !done; n++) {
    const smtpf_forward_refusal f = refusal(SMTPF_FORWARD_POLICY);
    begin();
    W.memory.left = n;
    const int r = smtpf_forward_report(W.driver, &f, told, &W);
    done = W.memory.left > 0;
    ck_assert(r == SMTPF_ENOMEM || r == SMTPF_OK);
    ck_assert_int_eq(W.told, r == SMTPF_OK);
    W.memory.left = 1000000;
    end();
  }
  ck_assert_int_gt(n, 1);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("forward_report");
  const TTest *const tests[] = {
      a_mailbox_that_is_not_there,    spam_of_one_sender,       refusals_for_who_we_are_are_counted,
      other_refusals_are_forgotten,   a_store_that_fails,       a_driver_takes_its_reports_along,
      what_makes_no_sense_is_refused, memory_runs_out_anywhere, NULL};
  add_case(s, "all", tests);
  return port_run(s);
}
