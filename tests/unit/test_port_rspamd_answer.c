/* SPDX-License-Identifier: MIT
 *
 * What a reply of rspamd means.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/scan/rspamd.h"
#include "port_run.h"

static smtpf_arena arena;
static smtpf_rspamd_names names;
static smtpf_scan_result result;

static void setup(void)
{
  smtpf_arena_init(&arena, &smtpf_mem_default, 1024, 1024 * 1024);
  memset(&names, 0, sizeof names);
}

static void teardown(void)
{
  smtpf_arena_clear(&arena);
}

static const smtpf_scan_result *read_status(const char *body, long status)
{
  char room[8192];
  const size_t n = strlen(body);
  ck_assert_uint_lt(n, sizeof room);
  memcpy(room, body, n);
  result.seen = 5;
  smtpf_rspamd_answer_read(&arena, room, n, status, &names, &result);
  ck_assert_uint_eq(result.seen, 5);
  return &result;
}

static const smtpf_scan_result *answer(const char *body)
{
  return read_status(body, 200);
}

static const char *text(smtpf_str s)
{
  static char rooms[4][1024];
  static unsigned next;
  char *room = rooms[next++ % 4];
  snprintf(room, sizeof rooms[0], "%.*s", (int)s.n, s.n ? s.p : "");
  return room;
}

/* `D name 1`, `P name: value`, `A name: value`, one behind the other. */
static const char *edits(const smtpf_scan_result *r)
{
  static char room[4096];
  size_t n = 0;
  room[0] = '\0';
  for (size_t i = 0; i < r->n_edits; i++) {
    const smtpf_scan_edit *e = &r->edits[i];
    ck_assert_uint_eq(e->size, sizeof *e);
    if (e->op == SMTPF_EDIT_DELETE)
      n += (size_t)snprintf(room + n, sizeof room - n, "D %s %d;", text(e->name), e->occurrence);
    else
      n += (size_t)snprintf(room + n, sizeof room - n, "%c %s: %s;", e->op == SMTPF_EDIT_PREPEND ? 'P' : 'A',
                            text(e->name), text(e->value));
  }
  return room;
}

START_TEST(reject_is_a_hit_with_its_score)
{
  const smtpf_scan_result *r =
      answer("{\"is_skipped\":false,\"score\":20.25,\"required_score\":15.0,\"action\":\"reject\",\"symbols\":{"
             "\"SMALL\":{\"score\":0.25},\"GREAT\":{\"score\":25.0},\"AGAINST\":{\"score\":-5}},"
             "\"messages\":{\"smtp_message\":\"go away\"}}");
  ck_assert_int_eq(r->status, SMTPF_SCAN_HIT);
  ck_assert_str_eq(text(r->name), "reject");
  ck_assert_int_eq(r->scored, 1);
  ck_assert_int_eq(r->score, 20250);
  ck_assert_str_eq(text(r->detail), "reject 20.25/15 \"go away\" GREAT(25) AGAINST(-5) SMALL(0.25)");
  r = answer("{\"score\":15,\"action\":\"discard\"}");
  ck_assert_int_eq(r->status, SMTPF_SCAN_HIT);
  ck_assert_str_eq(text(r->name), "discard");
}
END_TEST

/* Nothing but reject and discard refuses by itself; the score counts. */
START_TEST(every_other_action_is_a_score)
{
  static const char *const actions[] = {"no action",  "greylist",        "add header", "add_header",
                                        "Add Header", "rewrite subject", "quarantine", "a site's own",
                                        "rejected",   "reject_not",      "accept",     "reject "};
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
    char body[200];
    snprintf(body, sizeof body, "{\"score\":-7.1234,\"required_score\":15,\"action\":\"%s\"}", actions[i]);
    const smtpf_scan_result *r = answer(body);
    ck_assert_int_eq(r->status, SMTPF_SCAN_CLEAN);
    ck_assert_int_eq(r->scored, 1);
    ck_assert_int_eq(r->score, -7123);
    ck_assert_uint_eq(r->name.n, 0);
  }
}
END_TEST

START_TEST(soft_reject_is_unknown_and_has_no_score)
{
  const smtpf_scan_result *r =
      answer("{\"score\":99,\"action\":\"soft reject\",\"messages\":{\"smtp_message\":\"come again\"},"
             "\"milter\":{\"add_headers\":{\"X-A\":\"b\"}}}");
  ck_assert_int_eq(r->status, SMTPF_SCAN_UNKNOWN);
  ck_assert_str_eq(r->cause, "soft-reject");
  ck_assert_int_eq(r->scored, 0);
  ck_assert_int_eq(r->score, 0);
  ck_assert_uint_eq(r->n_edits, 0);
  ck_assert_str_eq(text(r->detail), "soft reject 99/0 \"come again\"");
}
END_TEST

/* Its own configuration says that its action is not to be carried out. */
START_TEST(no_action_takes_the_action_away)
{
  const smtpf_scan_result *r = answer("{\"score\":99,\"action\":\"reject\",\"milter\":{\"no_action\":true}}");
  ck_assert_int_eq(r->status, SMTPF_SCAN_CLEAN);
  ck_assert_int_eq(r->scored, 0);
  ck_assert_int_eq(answer("{\"action\":\"soft reject\",\"milter\":{\"no_action\":true}}")->status, SMTPF_SCAN_CLEAN);
  ck_assert_int_eq(answer("{\"action\":\"reject\",\"milter\":{\"no_action\":false}}")->status, SMTPF_SCAN_HIT);
}
END_TEST

START_TEST(what_is_no_answer_is_unknown)
{
  static const char *const garbage[] = {
      "",
      " ",
      "[]",
      "7",
      "null",
      "\"action\"",
      "<html>",
      "{",
      "{}",
      "{\"action\":\"no action\"",
      "{\"action\":\"no action\"} x",
      "{\"action\":7}",
      "{\"action\":null}",
      "{\"action\":\"\"}",
      "{\"action\":\"no action\",\"score\":\"7\"}",
      "{\"action\":\"no action\",\"score\":nan}",
      "{\"action\":\"no action\",\"score\":1e999}",
      "{\"action\":\"no action\",\"milter\":[]}",
      "{\"score\":0}",
      "{\"default\":{\"action\":\"no action\",\"score\":0}}",
  };
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
    const smtpf_scan_result *r = answer(garbage[i]);
    ck_assert_int_eq(r->status, SMTPF_SCAN_UNKNOWN);
    ck_assert_str_eq(r->cause, "garbage");
    ck_assert_int_eq(r->scored, 0);
    ck_assert_uint_eq(r->n_edits, 0);
  }
}
END_TEST

START_TEST(an_answer_cut_anywhere_is_unknown)
{
  static const char all[] =
      "{\"is_skipped\":false,\"score\":20.0,\"action\":\"reject\",\"symbols\":{\"A\":{\"score\":20.0"
      ",\"options\":[\"x\\\"y\"]}},\"messages\":{},\"milter\":{\"add_headers\":{\"X\":\"y\"}}}";
  char part[sizeof all];
  for (size_t n = 0; n + 1 < sizeof all; n++) {
    memcpy(part, all, n);
    part[n] = '\0';
    ck_assert_int_eq(answer(part)->status, SMTPF_SCAN_UNKNOWN);
  }
  ck_assert_int_eq(answer(all)->status, SMTPF_SCAN_HIT);
}
END_TEST

START_TEST(errors_are_unknown)
{
  const smtpf_scan_result *r = read_status("{\"error\":\"invalid command\",\"error_domain\":\"protocol-error\"}", 500);
  ck_assert_int_eq(r->status, SMTPF_SCAN_UNKNOWN);
  ck_assert_str_eq(r->cause, "error");
  ck_assert_str_eq(text(r->detail), "500 invalid command");
  ck_assert_str_eq(answer("{\"error\":\"busy\"}")->cause, "error");
  static const long statuses[] = {0, 100, 199, 201, 204, 301, 400, 403, 404, 413, 429, 500, 503, 999};
  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    r = read_status("{\"action\":\"no action\",\"score\":0}", statuses[i]);
    ck_assert_int_eq(r->status, SMTPF_SCAN_UNKNOWN);
    ck_assert_str_eq(r->cause, "error");
    ck_assert_str_eq(read_status("gateway", statuses[i])->cause, "error");
  }
}
END_TEST

/* Bytes of the message come back as they were. */
START_TEST(what_is_not_utf8_spoils_nothing)
{
  const smtpf_scan_result *r =
      answer("{\"action\":\"no action\",\"score\":1,\"symbols\":{\"A\":{\"score\":1,"
             "\"options\":[\"caf\xe9\",\"\xc3\xa9\",\"\xed\xa0\x80\",\"\xf5\x80\x80\x80\",\"\xc0\xaf\"]}},"
             "\"message-id\":\"\xff\"}");
  ck_assert_int_eq(r->status, SMTPF_SCAN_CLEAN);
  ck_assert_str_eq(text(r->detail), "no action 1/0 A(1)");
  ck_assert_int_eq(answer("{\"action\":\"no action\",\"score\":1,\"x\":\"\\u0000\"}")->status, SMTPF_SCAN_CLEAN);
  ck_assert_int_eq(answer("{\"action\":\"no action\",\"score\":99999999999999999999999}")->score, 1000000000);
}
END_TEST

START_TEST(fields_to_add)
{
  const smtpf_scan_result *r = answer(
      "{\"action\":\"no action\",\"score\":0,\"milter\":{\"add_headers\":{\"X-One\":\"one\","
      "\"X-Two\":{\"value\":\"two\",\"order\":0},\"X-Three\":[\"a\",{\"value\":\"b\",\"order\":1},{\"value\":\"c\"}],"
      "\"X-Four\":{\"value\":\"d\",\"index\":2},\"X-Last\":{\"value\":\"e\",\"order\":-1},"
      "\"X-Folded\":\" a\\r\\n\\tb\\n c\\u0007\xc3\xa9 \"}}}");
  ck_assert_str_eq(edits(r), "A X-One: one;P X-Two: two;A X-Three: a;P X-Three: b;A X-Three: c;P X-Four: d;"
                             "A X-Last: e;A X-Folded: a b c\?\?\?;");
  r = answer(
      "{\"action\":\"no action\",\"milter\":{\"add_headers\":{\"\":\"a\",\"a b\":\"c\",\"a:\":\"c\",\"a\\n\":\"c\","
      "\"n\":7,\"m\":null,\"o\":{},\"p\":{\"value\":7},\"q\":[[\"r\"]],\"X-Good\":\"\"}}}");
  ck_assert_str_eq(edits(r), "A X-Good: ;");
}
END_TEST

START_TEST(fields_to_remove)
{
  static const char message[] =
      "X-Last: 1\r\nSubject: x-last: 2\r\n folded: x\r\nx-LAST : 3\r\nX-Last: 4\r\n\r\nX-Last: 5\r\n";
  smtpf_rspamd_names_feed(&names, message, 7);
  smtpf_rspamd_names_feed(&names, message + 7, sizeof message - 1 - 7);
  ck_assert_uint_eq(smtpf_rspamd_names_count(&names, SMTPF_LIT("x-last")), 3);
  ck_assert_uint_eq(smtpf_rspamd_names_count(&names, SMTPF_LIT("folded")), 0);
  ck_assert_uint_eq(smtpf_rspamd_names_count(&names, SMTPF_LIT("Subject")), 1);
  const smtpf_scan_result *r =
      answer("{\"action\":\"no action\",\"milter\":{\"remove_headers\":{\"X-All\":0,\"X-Second\":2,\"X-Last\":-1,"
             "\"x-last\":-3,\"X-LAST\":-4,\"X-None\":-1,\"X-Some\":[1,3],\"X-Text\":\"1\",\"X-Much\":1e9}}}");
  ck_assert_str_eq(edits(r), "D X-All 0;D X-Second 2;D X-Last 3;D x-last 1;D X-None -1;D X-Some 1;D X-Some 3;");
}
END_TEST

START_TEST(subject_and_signatures)
{
  const smtpf_scan_result *r =
      answer("{\"action\":\"rewrite subject\",\"score\":7,\"subject\":\"*** offer\",\"dkim-signature\":\"v=1; a=b\"}");
  ck_assert_str_eq(edits(r), "P DKIM-Signature: v=1; a=b;D Subject 0;P Subject: *** offer;");
  r = answer("{\"action\":\"add header\",\"subject\":\"*** offer\",\"dkim-signature\":[\"v=1\",7,\"v=2\"]}");
  ck_assert_str_eq(edits(r), "P DKIM-Signature: v=1;P DKIM-Signature: v=2;");
}
END_TEST

START_TEST(edits_are_bounded)
{
  char body[8000];
  size_t n = (size_t)snprintf(body, sizeof body,
                              "{\"action\":\"rewrite subject\",\"subject\":\"s\",\"milter\":{\"add_headers\":{");
  for (int i = 0; i < 200; i++)
    n += (size_t)snprintf(body + n, sizeof body - n, "%s\"X-%d\":\"v\"", i ? "," : "", i);
  snprintf(body + n, sizeof body - n, "}}}");
  ck_assert_uint_eq(answer(body)->n_edits, SMTPF_RSPAMD_EDITS);
  ck_assert_str_eq(text(answer(body)->edits[SMTPF_RSPAMD_EDITS - 1].name), "X-63");
}
END_TEST

START_TEST(detail_is_bounded)
{
  char body[8000];
  size_t n = (size_t)snprintf(body, sizeof body, "{\"action\":\"no action\",\"score\":1,\"symbols\":{");
  for (int i = 0; i < 100; i++)
    n += (size_t)snprintf(body + n, sizeof body - n, "%s\"SYMBOL_OF_SOME_LENGTH_%d\":{\"score\":%d}", i ? "," : "", i,
                          i);
  snprintf(body + n, sizeof body - n, "}}");
  const smtpf_scan_result *r = answer(body);
  ck_assert_uint_le(r->detail.n, SMTPF_RSPAMD_DETAIL);
  ck_assert_ptr_nonnull(
      strstr(text(r->detail), "no action 1/0 SYMBOL_OF_SOME_LENGTH_99(99) SYMBOL_OF_SOME_LENGTH_98(98)"));
}
END_TEST

START_TEST(names_are_bounded)
{
  char line[40];
  for (int i = 0; i < 1000; i++) {
    const int n = snprintf(line, sizeof line, "X-%d: a\r\n", i % 500);
    smtpf_rspamd_names_feed(&names, line, (size_t)n);
  }
  ck_assert_uint_eq(names.n, SMTPF_RSPAMD_NAMES);
  ck_assert_uint_eq(smtpf_rspamd_names_count(&names, SMTPF_LIT("X-0")), 2);
  ck_assert_uint_eq(smtpf_rspamd_names_count(&names, SMTPF_LIT("X-499")), 0);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port/rspamd_answer");
  TCase *t = tcase_create("answer");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, reject_is_a_hit_with_its_score);
  tcase_add_test(t, every_other_action_is_a_score);
  tcase_add_test(t, soft_reject_is_unknown_and_has_no_score);
  tcase_add_test(t, no_action_takes_the_action_away);
  tcase_add_test(t, what_is_no_answer_is_unknown);
  tcase_add_test(t, an_answer_cut_anywhere_is_unknown);
  tcase_add_test(t, errors_are_unknown);
  tcase_add_test(t, what_is_not_utf8_spoils_nothing);
  tcase_add_test(t, fields_to_add);
  tcase_add_test(t, fields_to_remove);
  tcase_add_test(t, subject_and_signatures);
  tcase_add_test(t, edits_are_bounded);
  tcase_add_test(t, detail_is_bounded);
  tcase_add_test(t, names_are_bounded);
  suite_add_tcase(s, t);
  return port_run(s);
}
