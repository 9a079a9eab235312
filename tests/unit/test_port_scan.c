/* SPDX-License-Identifier: MIT
 *
 * Scanners that ask a server, through the type `clamd`: a server that is well, and each way in which one is not. Never
 * clean by silence.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "port/scan/pool.h"
#include "port_run.h"
#include "scan_world.h"

static scan_world W;
static char large[1200000];

#define MAIL "Subject: x\r\n\r\nhello\r\n"
#define EVIL "Subject: x\r\n\r\nEVIL\r\n"

static void begin(const char *timeout)
{
  scan_world_init(&W);
  scan_world_set(&W, "timeout", timeout);
  memset(large, 'a', sizeof large);
  for (size_t i = 70; i < sizeof large; i += 72)
    memcpy(large + i, "\r\n", 2);
  memcpy(large, "Subject: x\r\n\r\n", 14);
}

static fake_server *one(int tcp, int way, const char *timeout)
{
  begin(timeout);
  fake_server *s = scan_world_server(&W, tcp, way);
  return s;
}

#define EXPECT(o, st, c)                                                                                               \
  do {                                                                                                                 \
    const outcome *o_ = (o);                                                                                           \
    ck_assert_msg(o_->status == (st) && strcmp(o_->cause, (c)) == 0, "status %d cause `%s` detail `%s`", o_->status,   \
                  o_->cause, o_->detail);                                                                              \
  } while (0)
#define CLEAN(o, n)                                                                                                    \
  do {                                                                                                                 \
    const outcome *clean_ = (o);                                                                                       \
    EXPECT(clean_, SMTPF_SCAN_CLEAN, "");                                                                              \
    ck_assert_uint_eq(clean_->seen, (n));                                                                              \
  } while (0)
#define UNKNOWN(o, c) EXPECT(o, SMTPF_SCAN_UNKNOWN, c)

/* ---- a server that is well -------------------------------------------------------------------------------------- */

START_TEST(clean_and_found)
{
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  const outcome *o = scan_world_scan(&W, MAIL, sizeof MAIL - 1);
  CLEAN(o, sizeof MAIL - 1);
  ck_assert_str_eq(o->detail, s->address);
  o = scan_world_scan(&W, EVIL, sizeof EVIL - 1);
  EXPECT(o, SMTPF_SCAN_HIT, "");
  ck_assert_str_eq(o->name, "Test.Evil");
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_eq(s->accepted, 1); /* one session */
  ck_assert_int_eq(s->streams, 3);
  scan_world_end(&W);
}
END_TEST

START_TEST(empty_and_large)
{
  fake_server *s = one(_i, FAKE_CLAMD, "20s");
  scan_world_start(&W, "clamd");
  CLEAN(scan_world_scan(&W, "", 0), 0);
  CLEAN(scan_world_scan(&W, large, sizeof large), sizeof large);
  memcpy(large + sizeof large - 10, "EVIL", 4);
  EXPECT(scan_world_scan(&W, large, sizeof large), SMTPF_SCAN_HIT, "");
  ck_assert_int_eq(s->streams, 3);
  scan_world_end(&W);
}
END_TEST

/* A server that reads slowly makes the message wait in the spool, and gets every byte of it. */
START_TEST(back_pressure)
{
  fake_server *s = one(_i, FAKE_SILENT, "20s");
  scan_world_start(&W, "clamd");
  smtpf_session *x = scan_world_session(&W);
  scan_world_body(&W, x, large, sizeof large);
  for (int i = 0; i < 10; i++)
    scan_world_turn(&W, 5);
  scan_world_finish(x);
  ck_assert_uint_eq(W.n_outcomes, 0);
  s->way = FAKE_CLAMD;
  ck_assert(scan_world_until(&W, 1, 10000));
  CLEAN(&W.outcomes[0], sizeof large);
  ck_assert_int_eq(s->accepted, 1);
  smtpf_session_free(x);
  scan_world_end(&W);
}
END_TEST

START_TEST(byte_by_byte)
{
  one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  smtpf_session *x = scan_world_session(&W);
  for (size_t i = 0; i < sizeof EVIL - 1; i++) {
    scan_world_body(&W, x, &EVIL[i], 1);
    scan_world_turn(&W, 0);
  }
  scan_world_finish(x);
  ck_assert(scan_world_until(&W, 1, 5000));
  EXPECT(&W.outcomes[0], SMTPF_SCAN_HIT, "");
  smtpf_session_free(x);
  scan_world_end(&W);
}
END_TEST

START_TEST(by_descriptor)
{
  fake_server *s = one(0, FAKE_CLAMD, "5s");
  scan_world_set(&W, "descriptor", "true");
  scan_world_start(&W, "clamd");
  const int before = scan_world_fds();
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  memcpy(large + sizeof large - 10, "EVIL", 4);
  EXPECT(scan_world_scan(&W, large, sizeof large), SMTPF_SCAN_HIT, "");
  ck_assert_int_eq(s->conns[0].passed, 2);
  ck_assert_int_le(scan_world_fds(), before + 2); /* the kept connection, its two ends */
  scan_world_end(&W);
}
END_TEST

/* Over TCP a descriptor means nothing. */
START_TEST(descriptor_needs_a_unix_socket)
{
  fake_server *s = one(1, FAKE_CLAMD, "5s");
  scan_world_set(&W, "descriptor", "true");
  scan_world_start(&W, "clamd");
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_eq(s->conns[0].passed, 0);
  scan_world_end(&W);
}
END_TEST

/* ---- each way to fail ------------------------------------------------------------------------------------------- */

static const struct {
  int way;
  uint64_t after;
  const char *words, *cause;
} faults[] = {
    {FAKE_SILENT, 0, NULL, "timeout"},
    {FAKE_DEAF, 0, NULL, "timeout"},
    {FAKE_LATE, 0, NULL, "timeout"},
    {FAKE_DIES, 1, NULL, "closed"},
    {FAKE_DIES, 40000, NULL, "closed"},
    {FAKE_HALF_LINE, 0, NULL, "closed"},
    {FAKE_EARLY, 0, NULL, "garbage"},
    {FAKE_GARBAGE, 0, "what?", "garbage"},
    {FAKE_GARBAGE, 0, "2: stream: OK", "garbage"},
    {FAKE_GARBAGE, 0, "1: stream: OK\n", "garbage"},
    {FAKE_GARBAGE, 0, "", "garbage"},
    {FAKE_GARBAGE, 0, "HTTP/1.1 400 Bad Request", "garbage"},
    {FAKE_GARBAGE, 0, "1: stream: FOUND", "garbage"},
    {FAKE_GARBAGE, 0, "1: Can't allocate memory ERROR", "error"},
    {FAKE_GARBAGE, 0, "1: stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND", "too-large"},
    {FAKE_LIMIT, 50000, NULL, "too-large"},
};

START_TEST(faults_are_unknown)
{
  fake_server *s = one(_i & 1, faults[_i / 2].way, "150ms");
  s->after = faults[_i / 2].after;
  s->words = faults[_i / 2].words;
  scan_world_start(&W, "clamd");
  UNKNOWN(scan_world_scan(&W, large, 300000), faults[_i / 2].cause);
  scan_world_end(&W);
}
END_TEST

START_TEST(refused)
{
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  scan_world_stop_server(s);
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "refused");
  ck_assert_ptr_nonnull(strstr(W.outcomes[0].detail, s->address));
  scan_world_end(&W);
}
END_TEST

/* An answer without an end, larger than there is room for. */
START_TEST(endless_answer)
{
  static char words[20000];
  fake_server *s = one(_i, FAKE_GARBAGE, "5s");
  memset(words, 'x', sizeof words - 1);
  s->words = words;
  scan_world_start(&W, "clamd");
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "garbage");
  scan_world_end(&W);
}
END_TEST

/* It restarts while a message is with it: another connection is made for the next one. */
START_TEST(restarts)
{
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  scan_world_stop_server(s);
  scan_world_start_server(&W, s);
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1); /* the kept one was dead */
  s->way = FAKE_DIES;
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "closed");
  s->way = FAKE_CLAMD;
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  scan_world_end(&W);
}
END_TEST

/* clamd closes a session that was idle too long just when the next scan begins. */
START_TEST(kept_connection_dies_when_it_is_used)
{
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  s->way = FAKE_SILENT;
  smtpf_session *x = scan_world_session(&W);
  scan_world_body(&W, x, MAIL, sizeof MAIL - 1);
  scan_world_finish(x);
  close(s->conns[0].fd);
  s->conns[0].fd = -1;
  s->open--;
  s->way = FAKE_CLAMD;
  ck_assert(scan_world_until(&W, 2, 5000));
  CLEAN(&W.outcomes[1], sizeof MAIL - 1);
  ck_assert_int_eq(s->accepted, 2);
  smtpf_session_free(x);
  scan_world_end(&W);
}
END_TEST

START_TEST(closes_after_each)
{
  fake_server *s = one(_i, FAKE_ONE_EACH, "5s");
  scan_world_start(&W, "clamd");
  for (int i = 0; i < 5; i++)
    CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_eq(s->streams, 5);
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 0);
  scan_world_end(&W);
}
END_TEST

/* ---- several servers -------------------------------------------------------------------------------------------- */

START_TEST(one_of_three_is_down)
{
  begin("5s");
  for (int i = 0; i < 3; i++)
    scan_world_server(&W, _i, FAKE_CLAMD);
  scan_world_start(&W, "clamd");
  scan_world_stop_server(&W.servers[1]);
  for (int i = 0; i < 12; i++)
    CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_ge(W.servers[0].streams, 4); /* the load is spread */
  ck_assert_int_ge(W.servers[2].streams, 4);
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 1); /* said once */
  scan_world_end(&W);
}
END_TEST

static const int others[] = {FAKE_DIES, FAKE_HALF_LINE, FAKE_EARLY, FAKE_GARBAGE};

/* Nothing was judged: the next one is asked, from the first byte on. */
START_TEST(another_server_is_tried)
{
  begin("10s");
  fake_server *bad = scan_world_server(&W, _i & 1, others[_i / 2]);
  scan_world_server(&W, _i & 1, FAKE_CLAMD);
  bad->after = 100000;
  bad->words = "nonsense";
  scan_world_start(&W, "clamd");
  for (int i = 0; i < 2; i++) {
    memcpy(large + sizeof large - 10, "EVIL", 4);
    EXPECT(scan_world_scan(&W, large, sizeof large), SMTPF_SCAN_HIT, "");
  }
  ck_assert_int_ge(bad->accepted, 1);
  ck_assert_int_eq(W.servers[1].streams, 2);
  scan_world_end(&W);
}
END_TEST

/* A message that is too large for one is not shown to the next: it has been judged. */
START_TEST(too_large_is_an_answer)
{
  begin("5s");
  for (int i = 0; i < 2; i++)
    scan_world_server(&W, _i, FAKE_LIMIT)->after = 50000;
  scan_world_start(&W, "clamd");
  UNKNOWN(scan_world_scan(&W, large, sizeof large), "too-large");
  ck_assert_int_eq(W.servers[0].accepted + W.servers[1].accepted, 1);
  scan_world_end(&W);
}
END_TEST

START_TEST(breaker_opens_and_closes)
{
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_start(&W, "clamd");
  scan_world_stop_server(s);
  while (!scan_world_logged(&W, "scanner-down")) {
    ck_assert_uint_lt(W.n_outcomes, SMTPF_SCAN_FAILURES);
    UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "refused");
  }
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "down");
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 1);
  ck_assert_int_eq(scan_world_logged(&W, "cause=refused"), 1);
  scan_world_advance(&W, SMTPF_SCAN_BACKOFF + 1); /* one probe, and it is still down */
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "refused");
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "down");
  scan_world_start_server(&W, s);
  UNKNOWN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), "down");
  scan_world_advance(&W, 2 * SMTPF_SCAN_BACKOFF + 1);
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 1);
  ck_assert_int_eq(scan_world_logged(&W, "scanner-up"), 1);
  scan_world_end(&W);
}
END_TEST

/* ---- many at once ----------------------------------------------------------------------------------------------- */

enum { MANY = 40 };

START_TEST(connections_are_bounded)
{
  static smtpf_session *x[MANY];
  fake_server *s = one(_i, FAKE_LATE, "30s");
  scan_world_set(&W, "connections", "4");
  scan_world_start(&W, "clamd");
  for (int i = 0; i < MANY; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], MAIL, sizeof MAIL - 1);
    scan_world_finish(x[i]);
  }
  for (int i = 0; i < 20; i++)
    scan_world_turn(&W, 2);
  ck_assert_uint_eq(W.n_outcomes, 0);
  ck_assert_int_eq(s->open, 4);
  s->gate = 1;
  ck_assert(scan_world_until(&W, MANY, 20000));
  for (int i = 0; i < MANY; i++) {
    CLEAN(&W.outcomes[i], sizeof MAIL - 1);
    smtpf_session_free(x[i]);
  }
  ck_assert_int_eq(s->most_open, 4);
  ck_assert_int_eq(s->accepted, 4);
  scan_world_end(&W);
}
END_TEST

/* Clients that never end their message leave room for those that do. */
START_TEST(slow_clients_hold_up_nobody)
{
  static smtpf_session *x[MANY];
  fake_server *s = one(_i, FAKE_CLAMD, "5s");
  scan_world_set(&W, "connections", "4");
  scan_world_start(&W, "clamd");
  for (int i = 0; i < MANY; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], MAIL, sizeof MAIL - 1);
  }
  CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
  ck_assert_int_le(s->most_open, 4);
  for (int i = 0; i < 5; i++)
    scan_world_turn(&W, 2);
  const int before = s->open;
  scan_world_advance(&W, SMTPF_SCAN_PATIENCE + 1); /* what they had is taken from them, */
  for (int i = 0; i < 20; i++)
    scan_world_turn(&W, 2);
  ck_assert_int_eq(s->open, before - 2);
  ck_assert_uint_eq(W.n_outcomes, 1);
  scan_world_advance(&W, 600000); /* however slow: their time is not the server's */
  for (int i = 0; i < MANY; i++) {
    scan_world_body(&W, x[i], EVIL, sizeof EVIL - 1);
    scan_world_finish(x[i]);
  }
  ck_assert(scan_world_until(&W, MANY + 1, 20000)); /* and they are scanned, whole, */
  for (int i = 0; i < MANY; i++) {
    EXPECT(&W.outcomes[1 + i], SMTPF_SCAN_HIT, "");
    ck_assert_uint_eq(W.outcomes[1 + i].seen, sizeof MAIL + sizeof EVIL - 2);
    smtpf_session_free(x[i]);
  }
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 0); /* and the server was not blamed */
  scan_world_end(&W);
}
END_TEST

/* Who has been failed by one server and waits for another one keeps nobody from the first. */
START_TEST(who_waits_for_one_server_holds_up_nobody)
{
  smtpf_session *x[3];
  fake_server *late = one(0, FAKE_LATE, "30s"), *other = scan_world_server(&W, 0, FAKE_DIES);
  other->after = 5;
  scan_world_set(&W, "connections", "1");
  scan_world_start(&W, "clamd");
  for (int i = 0; i < 3; i++) {
    if (i == 2)
      other->way = FAKE_CLAMD;
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], MAIL, sizeof MAIL - 1);
    scan_world_finish(x[i]);
    for (int k = 0; k < 10; k++)
      scan_world_turn(&W, 2);
  }
  ck_assert_int_eq(late->open, 1);
  ck_assert(scan_world_until(&W, 1, 5000));
  CLEAN(&W.outcomes[0], sizeof MAIL - 1);
  late->gate = 1;
  ck_assert(scan_world_until(&W, 3, 5000));
  for (int i = 0; i < 3; i++) {
    CLEAN(&W.outcomes[i], sizeof MAIL - 1);
    smtpf_session_free(x[i]);
  }
  scan_world_end(&W);
}
END_TEST

/* Those that wait for a connection wait no longer than the scan may take. */
START_TEST(waiting_is_bounded_too)
{
  smtpf_session *x[6];
  fake_server *s = one(_i, FAKE_DEAF, "2s");
  scan_world_set(&W, "connections", "2");
  scan_world_start(&W, "clamd");
  for (int i = 0; i < 6; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], MAIL, sizeof MAIL - 1);
    scan_world_finish(x[i]);
  }
  scan_world_turn(&W, 5);
  scan_world_advance(&W, 2001);
  ck_assert(scan_world_until(&W, 6, 5000));
  for (int i = 0; i < 6; i++) {
    UNKNOWN(&W.outcomes[i], "timeout");
    smtpf_session_free(x[i]);
  }
  ck_assert_int_le(s->accepted, 4);
  scan_world_end(&W);
}
END_TEST

/* A session that ends in the middle takes its scan with it, wherever that is. */
START_TEST(given_up)
{
  static const int ways[] = {FAKE_CLAMD, FAKE_SILENT, FAKE_DEAF, FAKE_LATE};
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
    for (int at = 0; at < 4; at++) {
      one(_i, ways[way], "5s");
      scan_world_set(&W, "connections", "2");
      scan_world_start(&W, "clamd");
      smtpf_session *x[3];
      for (int i = 0; i < 3; i++) {
        x[i] = scan_world_session(&W);
        if (at > 0)
          scan_world_body(&W, x[i], large, 400000);
        if (at > 1)
          scan_world_turn(&W, 1);
        if (at > 2)
          scan_world_finish(x[i]);
      }
      scan_world_turn(&W, 1);
      for (int i = 0; i < 3; i++)
        smtpf_session_free(x[i]);
      W.servers[0].way = FAKE_CLAMD;
      W.n_outcomes = 0;
      CLEAN(scan_world_scan(&W, MAIL, sizeof MAIL - 1), sizeof MAIL - 1);
      scan_world_end(&W);
    }
}
END_TEST

/* 500 scans that wait: little memory, few sockets. */
START_TEST(slow_scans_are_cheap)
{
  enum { SLOW = 500 };
  static smtpf_session *x[SLOW];
  fake_server *s = one(0, FAKE_LATE, "600s");
  scan_world_set(&W, "connections", "8");
  scan_world_start(&W, "clamd");
  const int fds = scan_world_fds();
  for (int i = 0; i < SLOW; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], MAIL, sizeof MAIL - 1);
    scan_world_finish(x[i]);
    if (i % 50 == 0)
      scan_world_turn(&W, 0);
  }
  ck_assert_int_le(scan_world_fds() - fds, 2 * 8);
  s->gate = 1;
  ck_assert(scan_world_until(&W, SLOW, 30000));
  for (int i = 0; i < SLOW; i++) {
    CLEAN(&W.outcomes[i], sizeof MAIL - 1);
    smtpf_session_free(x[i]);
  }
  scan_world_end(&W);
}
END_TEST

/* ---- no memory -------------------------------------------------------------------------------------------------- */

/* Whatever allocation fails: an outcome that is right, or unknown, or no scan; never one that is wrong. */
START_TEST(any_allocation_may_fail)
{
  for (long at = 1; at < 400; at++) {
    fake_server *s = one(0, FAKE_CLAMD, "1s");
    scan_world_start(&W, "clamd");
    (void)s;
    smtpf_session *x = scan_world_session(&W);
    W.fail_at = W.allocations + at;
    scan_world_body(&W, x, EVIL, sizeof EVIL - 1);
    scan_world_finish(x);
    const int there = scan_world_until(&W, 1, 300);
    const int reached = W.allocations >= W.fail_at;
    W.fail_at = 0;
    if (there)
      ck_assert_int_ne(W.outcomes[0].status, SMTPF_SCAN_CLEAN);
    smtpf_session_free(x);
    scan_world_end(&W);
    if (!reached)
      break;
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port_scan");
  TCase *well = tcase_create("well"), *fault = tcase_create("faults"), *many = tcase_create("many");
  tcase_set_timeout(well, 120);
  tcase_set_timeout(fault, 120);
  tcase_set_timeout(many, 240);
  tcase_add_loop_test(well, clean_and_found, 0, 2);
  tcase_add_loop_test(well, empty_and_large, 0, 2);
  tcase_add_loop_test(well, back_pressure, 0, 2);
  tcase_add_loop_test(well, byte_by_byte, 0, 2);
  tcase_add_test(well, by_descriptor);
  tcase_add_test(well, descriptor_needs_a_unix_socket);
  tcase_add_loop_test(fault, faults_are_unknown, 0, 2 * (int)(sizeof faults / sizeof *faults));
  tcase_add_loop_test(fault, refused, 0, 2);
  tcase_add_loop_test(fault, endless_answer, 0, 2);
  tcase_add_loop_test(fault, restarts, 0, 2);
  tcase_add_loop_test(fault, kept_connection_dies_when_it_is_used, 0, 2);
  tcase_add_loop_test(fault, closes_after_each, 0, 2);
  tcase_add_loop_test(fault, one_of_three_is_down, 0, 2);
  tcase_add_loop_test(fault, another_server_is_tried, 0, 8);
  tcase_add_loop_test(fault, too_large_is_an_answer, 0, 2);
  tcase_add_loop_test(fault, breaker_opens_and_closes, 0, 2);
  tcase_add_test(many, who_waits_for_one_server_holds_up_nobody);
  tcase_add_loop_test(many, connections_are_bounded, 0, 2);
  tcase_add_loop_test(many, slow_clients_hold_up_nobody, 0, 2);
  tcase_add_loop_test(many, waiting_is_bounded_too, 0, 2);
  tcase_add_loop_test(many, given_up, 0, 2);
  tcase_add_test(many, slow_scans_are_cheap);
  tcase_add_test(many, any_allocation_may_fail);
  suite_add_tcase(s, well);
  suite_add_tcase(s, fault);
  suite_add_tcase(s, many);
  return port_run(s);
}
