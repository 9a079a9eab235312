/* SPDX-License-Identifier: MIT
 *
 * Callouts: what a server may answer at each step, whatever else it may do, and how often it is asked.
 */
#include <stdio.h>
#include <string.h>

#include "callout_world.h"
#include "port_run.h"

static world W;

static world *begin(const char *const says[WORLD_SAYS])
{
  world_init(&W);
  if (says)
    world_serve(&W, 0, says);
  world_start(&W);
  return &W;
}

#define BANNER "220 mx ESMTP\r\n"
#define OK "250 ok\r\n"

static void expect(const world_answer *a, int status, int code, const char *cause)
{
  ck_assert_msg(a->status == status && a->code == code && strcmp(a->cause, cause) == 0, "%d %d %s (%s)", a->status,
                a->code, a->cause, a->text);
}

START_TEST(an_accepted_recipient)
{
  begin(NULL);
  const world_answer *a = world_answered(&W, "bob@t.example");
  expect(a, SMTPF_CALLOUT_ACCEPTED, 250, "");
  ck_assert_str_eq(a->enhanced, "2.1.5");
  ck_assert_str_eq(a->text, "fine");
  for (int i = 0; i < 200 && W.servers[0].open; i++)
    world_turn(&W);
  ck_assert_str_eq(W.servers[0].heard, "EHLO ours.example|MAIL FROM:<>|RCPT TO:<bob@t.example>|RSET|QUIT|");
  ck_assert_int_eq(W.servers[0].open, 0);
  world_end(&W);
}
END_TEST

/* A reply at each step: only a 5xx to RCPT is a refusal. */
START_TEST(a_reply_at_each_step)
{
  static const struct {
    const char *says[WORLD_SAYS];
    int status, code;
    const char *cause, *text;
  } rows[] = {
      {{BANNER, OK, OK, "550 5.1.1 no such user\r\n", OK, OK}, SMTPF_CALLOUT_REFUSED, 550, "", "no such user"},
      {{BANNER, OK, OK, "550-one\r\n550 two\r\n", OK, OK}, SMTPF_CALLOUT_REFUSED, 550, "", "one\ntwo"},
      {{BANNER, OK, OK, "251 elsewhere\r\n", OK, OK}, SMTPF_CALLOUT_ACCEPTED, 251, "", "elsewhere"},
      {{BANNER, OK, OK, "451 later\r\n", OK, OK}, SMTPF_CALLOUT_UNKNOWN, 451, "deferred", "later"},
      {{BANNER, OK, OK, "354 what\r\n"}, SMTPF_CALLOUT_UNKNOWN, 0, "garbage", ""},
      {{BANNER, OK, "550 not you\r\n", OK}, SMTPF_CALLOUT_UNKNOWN, 0, "mail-refused", "not you"},
      {{BANNER, OK, "421 later\r\n", OK}, SMTPF_CALLOUT_UNKNOWN, 0, "deferred", "later"},
      {{BANNER, "550 not you\r\n", "550 not you\r\n", OK}, SMTPF_CALLOUT_UNKNOWN, 0, "mail-refused", "not you"},
      {{BANNER, "502 what\r\n", OK, OK, "553 no\r\n", OK, OK}, SMTPF_CALLOUT_REFUSED, 553, "", "no"}, /* by HELO */
      {{"554 not you\r\n", OK}, SMTPF_CALLOUT_UNKNOWN, 0, "mail-refused", "not you"},
      {{"421 later\r\n", OK}, SMTPF_CALLOUT_UNKNOWN, 0, "deferred", "later"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    begin(rows[i].says);
    const world_answer *a = world_answered(&W, "bob@t.example");
    expect(a, rows[i].status, rows[i].code, rows[i].cause);
    ck_assert_str_eq(a->text, rows[i].text);
    world_end(&W);
  }
}
END_TEST

/* It closes, says nonsense, or speaks out of turn, at each step. */
START_TEST(what_is_no_smtp_is_unknown)
{
  static const char *const garbage[] = {"hello\r\n",          "250\n", "999 x\r\n", "250 a\r\n250 b\r\n",
                                        "250-a\r\n251 b\r\n", "\r\n",  "25",        "\x80\x81\r\n"};
  for (size_t step = 0; step < 4; step++) {
    const char *says[WORLD_SAYS] = {BANNER, OK, OK, OK, OK, OK};
    says[step] = "";
    begin(says);
    expect(world_answered(&W, "bob@t.example"), SMTPF_CALLOUT_UNKNOWN, 0, "closed");
    world_end(&W);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
      const char *other[WORLD_SAYS] = {BANNER, OK, OK, OK, OK, OK};
      other[step] = garbage[i];
      begin(other);
      const size_t q = world_ask(&W, "bob@t.example");
      if (strcmp(garbage[i], "25") == 0) { /* half a line, and then nothing */
        for (int k = 0; k < 30; k++)
          world_turn(&W);
        ck_assert_int_eq(W.answers[q].known, 0);
        world_advance(&W, 21000);
      }
      ck_assert(world_until(&W, 1, 20000));
      expect(&W.answers[q], SMTPF_CALLOUT_UNKNOWN, 0, strcmp(garbage[i], "25") == 0 ? "timeout" : "garbage");
      world_end(&W);
    }
  }
}
END_TEST

/* Ten thousand lines, one line without an end: cut off at a bound, long before the deadline. */
START_TEST(endless_replies_are_cut_off)
{
  static char lines[10000 * 8 + 32], line[100000];
  for (size_t i = 0; i < 10000; i++)
    memcpy(lines + 8 * i, "250-ab\r\n", 8);
  memcpy(lines + 80000, "250 end\r\n", 10);
  memset(line, 'a', sizeof line - 1);
  memcpy(line, "250 ", 4);
  for (size_t step = 0; step < 4; step++)
    for (int k = 0; k < 2; k++) {
      const char *says[WORLD_SAYS] = {BANNER, OK, OK, OK, OK, OK};
      says[step] = k ? line : lines;
      begin(says);
      expect(world_answered(&W, "bob@t.example"), SMTPF_CALLOUT_UNKNOWN, 0, "garbage");
      world_end(&W);
    }
}
END_TEST

/* One deadline for all of it, however the time is spent. */
START_TEST(who_says_nothing_is_unknown)
{
  for (size_t step = 0; step < 4; step++) {
    const char *says[WORLD_SAYS] = {BANNER, OK, OK, OK, OK, OK};
    says[step] = NULL;
    begin(says);
    const size_t q = world_ask(&W, "bob@t.example");
    for (int i = 0; i < 30; i++)
      world_turn(&W);
    world_advance(&W, 19000);
    world_turn(&W);
    ck_assert_int_eq(W.answers[q].known, 0);
    world_advance(&W, 2000);
    ck_assert(world_until(&W, 1, 20000));
    expect(&W.answers[q], SMTPF_CALLOUT_UNKNOWN, 0, "timeout");
    world_end(&W);
  }
}
END_TEST

START_TEST(drips_are_read_until_the_deadline)
{
  begin(NULL);
  W.servers[0].bytes = 1;
  expect(world_answered(&W, "bob@t.example"), SMTPF_CALLOUT_ACCEPTED, 250, "");
  const size_t q = world_ask(&W, "ann@t.example");
  for (int i = 0; i < 2000 && !W.answers[q].known; i++) {
    world_turn(&W);
    world_advance(&W, 500); /* a byte each half second */
  }
  expect(&W.answers[q], SMTPF_CALLOUT_UNKNOWN, 0, "timeout");
  world_end(&W);
}
END_TEST

/* A server that will not say goodbye holds a connection for a while, not for ever. */
START_TEST(goodbyes_are_bounded)
{
  const char *says[WORLD_SAYS] = {BANNER, OK, OK, OK, NULL};
  begin(says);
  expect(world_answered(&W, "bob@t.example"), SMTPF_CALLOUT_ACCEPTED, 250, "");
  for (int i = 0; i < 20; i++)
    world_turn(&W);
  ck_assert_int_eq(W.servers[0].open, 1);
  world_advance(&W, 2500);
  for (int i = 0; i < 20; i++)
    world_turn(&W);
  ck_assert_int_eq(W.servers[0].open, 0);
  world_end(&W);
}
END_TEST

/* ---- hosts ---- */

START_TEST(the_next_host_when_one_cannot_be_reached)
{
  world_init(&W);
  world_close(&W, 0);
  world_serve(&W, 1, NULL);
  world_start(&W);
  expect(world_answered(&W, "bob@two.example"), SMTPF_CALLOUT_ACCEPTED, 250, "");
  ck_assert_int_eq(W.servers[1].accepted, 1);
  expect(world_answered(&W, "bob@t.example"), SMTPF_CALLOUT_UNKNOWN, 0, "connect");
  world_end(&W);
}
END_TEST

/* What the best host said is what was said. */
START_TEST(no_other_host_is_asked_for_a_better_answer)
{
  const char *says[WORLD_SAYS] = {BANNER, OK, OK, "451 later\r\n", OK, OK};
  world_init(&W);
  world_serve(&W, 0, says);
  world_serve(&W, 1, NULL);
  world_start(&W);
  expect(world_answered(&W, "bob@two.example"), SMTPF_CALLOUT_UNKNOWN, 451, "deferred");
  ck_assert_int_eq(W.servers[1].accepted, 0);
  world_end(&W);
}
END_TEST

START_TEST(no_host_is_unknown)
{
  begin(NULL);
  expect(world_answered(&W, "bob@null.example"), SMTPF_CALLOUT_UNKNOWN, 0, "no-host");
  expect(world_answered(&W, "bob@gone.example"), SMTPF_CALLOUT_UNKNOWN, 0, "no-host");
  expect(world_answered(&W, "bob@broken.example"), SMTPF_CALLOUT_UNKNOWN, 0, "dns");
  ck_assert_int_eq(W.servers[0].accepted, 0);
  world_end(&W);
}
END_TEST

START_TEST(fixed_servers_stand_in)
{
  char server[40];
  world_init(&W);
  snprintf(server, sizeof server, "127.0.0.1:%u", W.port);
  world_set(&W, "callout.servers", server);
  world_set(&W, "callout.port", "9");
  world_start(&W);
  expect(world_answered(&W, "bob@gone.example"), SMTPF_CALLOUT_ACCEPTED, 250, "");
  world_end(&W);
  world_init(&W);
  world_set(&W, "callout.servers", "mx.example:25");
  ck_assert_int_eq(smtpf_engine_new(&W.engine, W.cfg, NULL), SMTPF_EINVAL);
  smtpf_config_free(W.cfg);
  world_close(&W, 0);
  ck_assert_int_eq(W.live, 0);
}
END_TEST

START_TEST(internationalised_addresses_need_a_server_that_takes_them)
{
  const char *says[WORLD_SAYS] = {BANNER, "250-mx\r\n250 SMTPUTF8\r\n", OK, OK, OK, OK};
  begin(NULL);
  expect(world_answered(&W, "b\xc3\xb6"
                            "b@t.example"),
         SMTPF_CALLOUT_UNKNOWN, 0, "smtputf8");
  world_end(&W);
  begin(says);
  expect(world_answered(&W, "b\xc3\xb6"
                            "b@t.example"),
         SMTPF_CALLOUT_ACCEPTED, 250, "");
  ck_assert_ptr_nonnull(strstr(W.servers[0].heard, "MAIL FROM:<> SMTPUTF8|"));
  world_end(&W);
}
END_TEST

/* ---- how often ---- */

START_TEST(equal_questions_are_one)
{
  begin(NULL);
  for (int i = 0; i < 20; i++)
    world_ask(&W, i % 2 ? "bob@t.example" : "bob@T.Example");
  world_leave(&W, 3);
  W.answers[3].known = 1;
  ck_assert(world_until(&W, 20, 20000));
  ck_assert_int_eq(W.servers[0].accepted, 1);
  for (size_t i = 0; i < 20; i++)
    if (i != 3)
      expect(&W.answers[i], SMTPF_CALLOUT_ACCEPTED, 250, "");
  world_end(&W);
}
END_TEST

static int asked_in(int n, int64_t apart_ms)
{
  int rates = 0;
  for (int i = 0; i < n; i++) {
    char name[40];
    snprintf(name, sizeof name, "u%zu@t.example", W.n);
    rates += strcmp(world_answered(&W, name)->cause, "rate") == 0;
    world_advance(&W, apart_ms);
  }
  return n - rates;
}

START_TEST(a_domain_is_asked_so_often_in_a_minute)
{
  begin(NULL);
  ck_assert_int_eq(asked_in(15, 0), 10);
  expect(world_answered(&W, "bob@u.example"), SMTPF_CALLOUT_ACCEPTED, 250, ""); /* another domain is another matter */
  world_advance(&W, 6000);                                                      /* a tenth of a minute: one more */
  ck_assert_int_eq(asked_in(2, 0), 1);
  world_advance(&W, 600000); /* idle as it may be, no more than a minute's worth */
  ck_assert_int_eq(asked_in(14, 0), 10);
  ck_assert_int_eq(asked_in(4, 6000), 3);
  world_end(&W);
}
END_TEST

START_TEST(connections_are_bounded)
{
  world_init(&W);
  world_set(&W, "callout.concurrent", "2");
  world_set(&W, "callout.connections", "3");
  world_start(&W);
  for (int i = 0; i < 6; i++) {
    char name[40];
    snprintf(name, sizeof name, "u%d@%c.example", i, i < 4 ? 't' : 'u');
    world_ask(&W, name);
  }
  ck_assert(world_until(&W, 6, 20000));
  ck_assert_int_le(W.servers[0].most_open, 3);
  ck_assert_int_eq(W.servers[0].accepted, 6);
  for (size_t i = 0; i < 6; i++)
    expect(&W.answers[i], SMTPF_CALLOUT_ACCEPTED, 250, "");
  world_end(&W);
}
END_TEST

START_TEST(who_waits_too_long_for_a_connection_is_told)
{
  const char *says[WORLD_SAYS] = {NULL};
  world_init(&W);
  world_set(&W, "callout.concurrent", "1");
  world_serve(&W, 0, says);
  world_start(&W);
  world_ask(&W, "a@t.example");
  world_turn(&W);
  world_advance(&W, 10000);
  world_ask(&W, "b@t.example");
  world_advance(&W, 9000);
  world_turn(&W);
  world_ask(&W, "c@t.example");
  world_advance(&W, 2000); /* the first is over; the second has a connection now */
  ck_assert(world_until(&W, 1, 20000));
  world_advance(&W, 19000);
  ck_assert(world_until(&W, 3, 20000));
  expect(&W.answers[0], SMTPF_CALLOUT_UNKNOWN, 0, "timeout");
  expect(&W.answers[1], SMTPF_CALLOUT_UNKNOWN, 0, "timeout");
  ck_assert_int_eq(W.answers[2].status, SMTPF_CALLOUT_UNKNOWN);
  world_end(&W);
}
END_TEST

/* ---- ends ---- */

/* At every moment of a callout: who asked leaves, or the driver goes. */
START_TEST(it_may_end_at_any_moment)
{
  for (int turns = 0; turns < 24; turns++)
    for (int driver = 0; driver < 2; driver++) {
      begin(NULL);
      W.servers[0].bytes = 8;
      const size_t q = world_ask(&W, "bob@t.example");
      for (int i = 0; i < turns; i++)
        world_turn(&W);
      if (!driver) {
        world_leave(&W, q);
        for (int i = 0; i < 5; i++)
          world_turn(&W);
      }
      world_end(&W);
    }
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
  long n = 1;
  int accepted = 0;
  for (; n < 400 && !accepted; n++) {
    begin(NULL);
    const size_t q = world_ask(&W, "warm@t.example"); /* what is kept from here on is not asked for again */
    ck_assert(world_until(&W, 1, 20000));
    (void)q;
    W.allocations = 0;
    W.fail_at = n;
    const size_t again = world_ask(&W, "bob@t.example");
    ck_assert(world_until(&W, 2, 20000));
    accepted = W.allocations < n;
    ck_assert(W.answers[again].status <= 0 || W.answers[again].status == SMTPF_CALLOUT_UNKNOWN ||
              W.answers[again].status == SMTPF_CALLOUT_ACCEPTED);
    W.fail_at = 0;
    world_end(&W);
  }
  ck_assert_int_eq(accepted, 1);
  ck_assert_int_gt(n, 10);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("callout");
  TCase *c = tcase_create("all");
  const TTest *const tests[] = {an_accepted_recipient,
                                a_reply_at_each_step,
                                what_is_no_smtp_is_unknown,
                                endless_replies_are_cut_off,
                                who_says_nothing_is_unknown,
                                drips_are_read_until_the_deadline,
                                goodbyes_are_bounded,
                                the_next_host_when_one_cannot_be_reached,
                                no_other_host_is_asked_for_a_better_answer,
                                no_host_is_unknown,
                                fixed_servers_stand_in,
                                internationalised_addresses_need_a_server_that_takes_them,
                                equal_questions_are_one,
                                a_domain_is_asked_so_often_in_a_minute,
                                connections_are_bounded,
                                who_waits_too_long_for_a_connection_is_told,
                                it_may_end_at_any_moment,
                                memory_runs_out_anywhere};
  tcase_set_timeout(c, 120);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    tcase_add_test(c, tests[i]);
  suite_add_tcase(s, c);
  return port_run(s);
}
