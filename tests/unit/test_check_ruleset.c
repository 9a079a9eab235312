/* SPDX-License-Identifier: MIT
 *
 * rules: what they look at, how they combine, what becomes evidence.
 */
#define _POSIX_C_SOURCE 200809L
#include "ruleset_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void begin(void)
{
  fake_client(&ruleset, "192.0.2.1");
  fake_sender(&ruleset, "<offers@example.com>");
  ruleset.ev.helo = SMTPF_LIT("mail.example.com");
  ruleset.ev.wall_s = 1700000000; /* 2023-11-14 */
  if (!ruleset.recipients[0])
    ruleset.recipients[0] = "user@example.net";
  ck_assert_int_eq(fake_run(&ruleset, SMTPF_BODY), SMTPF_PENDING);
}

static void field_of(uint32_t part, const char *name, const char *value, const char *raw)
{
  fake_piece(&ruleset, &(smtpf_piece){.size = sizeof(smtpf_piece),
                                      .kind = SMTPF_PIECE_FIELD,
                                      .index = part,
                                      .name = smtpf_str_of(name),
                                      .bytes = smtpf_str_of(value),
                                      .raw = smtpf_str_of(raw)});
}

static void field(const char *name, const char *value)
{
  field_of(0, name, value, value);
}

static void text_of(uint32_t index, const char *text, size_t n)
{
  const smtpf_part part = {.size = sizeof part, .index = index, .type = SMTPF_LIT("text/plain")};
  fake_piece(
      &ruleset,
      &(smtpf_piece){
          .size = sizeof(smtpf_piece), .kind = SMTPF_PIECE_TEXT, .index = index, .part = &part, .bytes = {text, n}});
}

static void end_of(uint32_t index)
{
  fake_piece(&ruleset, &(smtpf_piece){.size = sizeof(smtpf_piece), .kind = SMTPF_PIECE_END, .index = index});
}

static void text(const char *s)
{
  text_of(0, s, strlen(s));
}

static void finish(void)
{
  ck_assert_int_eq(fake_finish(&ruleset), SMTPF_OK);
}

/* Names of the rules that hit, in order; `?` before those that are not known. */
static const char *hits(void)
{
  static char room[4096];
  size_t n = 0;
  room[0] = '\0';
  for (size_t i = 0; i < ruleset.n; i++) {
    if (ruleset.findings[i].kind == SMTPF_CLEAR)
      continue;
    const int unknown = ruleset.findings[i].kind == SMTPF_UNKNOWN;
    const char *name = unknown ? ruleset.findings[i].detail : ruleset.findings[i].code;
    n += (size_t)snprintf(room + n, sizeof room - n, "%s%s%.*s", n ? " " : "", unknown ? "?" : "",
                          (int)strcspn(name, " "), name);
  }
  return room;
}

/* ---- places ----------------------------------------------------------------------------------------------- */

START_TEST(envelope)
{
  ruleset_must_load("rule CLIENT\r\n match client /^192\\.0\\.2\\./\r\n score 1\r\n"
                    "rule NAME\n match client-name /dyn/\n score 1\n"
                    "rule HELO\n match helo /^mail\\.EXAMPLE/i\n score 1\n"
                    "rule SENDER\n match sender \"offers@\"\n score 1\n"
                    "rule NULL\n match sender /^$/\n score 1\n"
                    "rule RCPT\n match recipient /^user@/\n score 1\n");
  begin();
  finish();
  ck_assert_str_eq(hits(), "CLIENT HELO SENDER RCPT");
  ck_assert_str_eq(ruleset.findings[3].detail, "recipient");
  ruleset.ev.rdns = SMTPF_LIT("dyn-1.example.com");
  begin();
  fake_sender(&ruleset, "<>");
  ck_assert_int_eq(fake_run(&ruleset, SMTPF_BODY), SMTPF_PENDING);
  finish();
  ck_assert_str_eq(hits(), "CLIENT NAME HELO NULL RCPT");
  fake_close(&ruleset);
}
END_TEST

START_TEST(verified_name_of_iprev)
{
  ruleset_must_load("rule NAME\n match client-name /^dyn/\n score 1\n");
  smtpf_task_fact_set(&ruleset, "iprev.name", SMTPF_LIT("dyn.example.com"), 1);
  begin();
  finish();
  ck_assert_str_eq(hits(), "NAME");
  fake_close(&ruleset);
}
END_TEST

START_TEST(fields)
{
  ruleset_must_load("rule SUBJECT\n match header subject /caf\xc3\xa9.$/i\n score 2.5\n text no coffee\n"
                    "rule RAW\n match raw-header Subject /^=\\?utf-8/i\n score -1\n"
                    "rule ANY\n match header * /^x-bulk: y/i\n score 0\n"
                    "rule PART\n match part Content-Type /\\.exe/\n score 1\n"
                    "rule OTHER\n match header X-Other /./\n score 1\n");
  begin();
  field_of(0, "Subject", "CAF\xc3\x89\xc3\xa4", "=?utf-8?q?x?=");
  field("X-Bulk", "yes");
  field_of(3, "Content-Type", "a/b; name=x.exe", "a/b; name=x.exe");
  field_of(3, "X-Other", "in a part", "in a part");
  finish();
  ck_assert_str_eq(hits(), "SUBJECT RAW ANY PART");
  ck_assert_str_eq(ruleset.findings[0].detail, "header subject");
  ck_assert_str_eq(ruleset.findings[0].text, "no coffee");
  ck_assert_int_eq(ruleset.findings[0].score, 2500);
  ck_assert_str_eq(ruleset.findings[0].code, "SUBJECT");
  ck_assert_int_eq(ruleset.findings[1].score, -1000);
  ck_assert_int_eq(ruleset.findings[2].score, 0);
  fake_close(&ruleset);
}
END_TEST

START_TEST(parts)
{
  smtpf_part part = {.size = sizeof part, .index = 2, .filename = SMTPF_LIT("invoice.pdf.exe")};
  ruleset_must_load("rule NAME\n match attachment /\\.pdf\\.exe$/i\n score 1\n"
                    "rule DEFECT\n match defect /^no-/\n score 1\n"
                    "rule TEXT\n match text /^one two$/\n score 1\n"
                    "rule SECOND\n match text /^three/\n score 1\n"
                    "rule ACROSS\n match text /two.*three/s\n score 1\n");
  begin();
  text_of(1, "one ", 4);
  text_of(1, "two", 3);
  end_of(1);
  fake_piece(&ruleset, &(smtpf_piece){sizeof(smtpf_piece), SMTPF_PIECE_BEGIN, 2, &part, {"", 0}, {"", 0}, {"", 0}});
  text_of(3, "three", 5);
  end_of(3);
  fake_piece(&ruleset,
             &(smtpf_piece){.size = sizeof(smtpf_piece), .kind = SMTPF_PIECE_DEFECT, .name = SMTPF_LIT("no-end")});
  finish();
  ck_assert_str_eq(hits(), "NAME DEFECT TEXT SECOND");
  fake_close(&ruleset);
}
END_TEST

/* The header is no body, however it is cut. */
START_TEST(body)
{
  static const char *const messages[] = {"A: b\r\nsecret: x\r\n\r\nopen\r\n\r\nmore", "A: b\nsecret: x\n\nopen\n\nmore",
                                         "\r\nopen\r\nmore"};
  ruleset_must_load("rule HEAD\n match body /secret/\n score 1\n"
                    "rule FIRST\n match body /^open\\r?\\n/\n score 1\n"
                    "rule LAST\n match body /more$/\n score 1\n");
  for (size_t i = 0; i < 3; i++)
    for (size_t step = 1; step < 9; step++) {
      const size_t n = strlen(messages[i]);
      begin();
      for (size_t at = 0; at < n; at += step)
        ck_assert_uint_eq(fake_feed(&ruleset, messages[i] + at, n - at < step ? n - at : step),
                          n - at < step ? n - at : step);
      finish();
      ck_assert_msg(!strcmp(hits(), "FIRST LAST"), "%zu by %zu: %s", i, step, hits());
    }
  fake_close(&ruleset);
}
END_TEST

START_TEST(clear)
{
  ruleset_must_load("rule A\n match text /nothing/\n score 1\n");
  begin();
  fake_feed(&ruleset, "Subject: x\r\n\r\nhello", 19);
  text("hello");
  finish();
  ck_only(&ruleset, SMTPF_CLEAR, "no-match");
  ck_assert_uint_eq(ruleset.seen, 19);
  ruleset.certain = 1;
  ck_assert_int_eq(fake_run(&ruleset, SMTPF_BODY), SMTPF_OK);
  ck_assert_uint_eq(ruleset.n, 0);
  fake_close(&ruleset);
}
END_TEST

/* ---- combinations ------------------------------------------------------------------------------------------ */

#define ABC                                                                                                            \
  "rule A\n match header A /./\nrule B\n match header B /./\nrule C\n match header C /./\n"                            \
  "rule U\n match header U /(a+)+$/\n"

static const struct {
  const char *condition, *holds; /* which of A, B, C are there; `u`: the one that cannot be known */
  int state;                     /* 1 hit, 0 clear, -1 not known: hence no hit */
} combinations[] = {
    {"all A B", "AB", 1},
    {"all A B", "A", 0},
    {"all A B", "", 0},
    {"any A B", "B", 1},
    {"any A B", "C", 0},
    {"not A B", "C", 1},
    {"not A B", "B", 0},
    {"not A", "", 1},
    {"all A\nnot B", "A", 1},
    {"all A\nnot B", "AB", 0},
    {"all A\nany B C", "AC", 1},
    {"all A\nany B C", "A", 0},
    {"all A\nany B C", "BC", 0},
    {"any A\nany B", "B", 1}, /* one `any` in two lines */
    {"match header C /./\nall A", "AC", 1},
    {"match header C /./\nall A", "C", 0},
    {"match header C /./\nnot A", "C", 1},
    {"match header C /./\nnot A", "AC", 0},
    {"all A U", "Au", -1},
    {"all A U", "u", 0},
    {"any A U", "Au", 1},
    {"any A U", "u", -1},
    {"not U", "u", -1},
    {"not A U", "Au", 0},
    {"all A\nnot U", "Au", -1},
};

START_TEST(combine)
{
  char text_[1000];
  snprintf(text_, sizeof text_, ABC "rule X\n%s\nscore 1\nrule Y\nnot X\nscore 1\n", combinations[_i].condition);
  ruleset_must_load(text_);
  begin();
  for (const char *p = combinations[_i].holds; *p; p++) {
    const char name[] = {*p, '\0'};
    if (*p == 'u')
      field("U", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    else
      field(name, "x");
  }
  finish();
  const char *expected = combinations[_i].state > 0            ? strchr(combinations[_i].holds, 'u') ? "X ?U" : "X"
                         : combinations[_i].state < 0          ? "?U"
                         : strchr(combinations[_i].holds, 'u') ? "Y ?U"
                                                               : "Y";
  ck_assert_msg(!strcmp(hits(), expected), "%s of %s: %s", combinations[_i].condition, combinations[_i].holds, hits());
  fake_close(&ruleset);
}
END_TEST

START_TEST(across_files_and_order)
{
  char second[] = "/tmp/test_check_ruleset.XXXXXX";
  const int fd = mkstemp(second);
  const char *more = "rule LOW\n match header L /./\n";
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, more, strlen(more)), (long)strlen(more));
  close(fd);
  fake_set("rules.files", second);
  ruleset_must_load("rule TOP\n all MID\n score 1\nrule MID\n all LOW\n score 2\n");
  unlink(second);
  begin();
  field("L", "x");
  finish();
  ck_assert_str_eq(hits(), "TOP MID");
  fake_close(&ruleset);
}
END_TEST

START_TEST(expired)
{
  ruleset_must_load("rule OLD\n match header A /./\n score 1\n expires 2023-11-14\n"
                    "rule NEW\n match header A /./\n score 1\n expires 2023-11-15\n"
                    "rule NOT\n match header A /./\n not OLD\n score 1\n");
  begin();
  field("A", "x");
  finish();
  ck_assert_str_eq(hits(), "NEW NOT");
  ruleset.ev.wall_s = 1699919999; /* a second before the day */
  ck_assert_int_eq(fake_run(&ruleset, SMTPF_BODY), SMTPF_PENDING);
  field("A", "x");
  finish();
  ck_assert_str_eq(hits(), "OLD NEW");
  fake_close(&ruleset);
}
END_TEST

/* ---- recipients --------------------------------------------------------------------------------------------- */

START_TEST(recipients)
{
  ruleset_must_load("rule SALES\n match recipient /^sales@/\n"
                    "rule OFFER\n match header Subject /offer/i\n score 1\n"
                    "rule TO_SALES\n all SALES\n score -1\n"
                    "rule TO_OTHERS\n all OFFER\n not SALES\n score 2\n"
                    "rule TO_ALL\n match recipient /@example\\.net$/\n score 3\n");
  ruleset.recipients[0] = "user@example.net";
  ruleset.recipients[1] = "sales@example.net";
  ruleset.recipients[2] = "third@example.net";
  begin();
  field("Subject", "Offer");
  finish();
  ck_assert_str_eq(hits(), "OFFER TO_ALL TO_OTHERS TO_SALES TO_OTHERS");
  ck_assert_uint_eq(ruleset.findings[0].recipient, 0);
  ck_assert_uint_eq(ruleset.findings[1].recipient, 0);
  ck_assert_uint_eq(ruleset.findings[2].recipient, 1);
  ck_assert_uint_eq(ruleset.findings[3].recipient, 2);
  ck_assert_uint_eq(ruleset.findings[4].recipient, 3);
  fake_close(&ruleset);
}
END_TEST

/* ---- bounds --------------------------------------------------------------------------------------------------- */

START_TEST(limit_is_named)
{
  ruleset_must_load("rule SLOW\n match header A /(a+)+$/\n score 5\n"
                    "rule OK\n match header A /^a/\n score 1\n");
  begin();
  field("A", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
  finish();
  ck_assert_str_eq(hits(), "OK ?SLOW");
  ck_assert_str_eq(ruleset.findings[1].code, "limit");
  ck_assert_str_eq(ruleset.findings[1].detail, "SLOW header A match-limit");
  ck_assert_uint_eq(ruleset.findings[1].flags, 0);
  begin(); /* what hit before is known */
  field("A", "aaa");
  field("A", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
  finish();
  ck_assert_str_eq(hits(), "SLOW OK");
  begin(); /* once too long: left alone for the rest of the message, in the next one not */
  field("A", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
  field("A", "aaa");
  finish();
  ck_assert_str_eq(hits(), "OK ?SLOW");
  begin();
  field("A", "aaa");
  finish();
  ck_assert_str_eq(hits(), "SLOW OK");
  fake_close(&ruleset);
}
END_TEST

/* Part after part, recipient after recipient: what took too long once is not tried again, and is known for none. */
START_TEST(left_alone)
{
  ruleset_must_load("rule SLOW\n match text /(a+)+$/\n score 1\nrule OK\n match text /^a/\n score 1\n"
                    "rule TO\n match recipient /^(a+)+$/\n score 1\nrule NOT_TO\n not TO\n score 1\n");
  ruleset.recipients[0] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  ruleset.recipients[1] = "aa";
  begin();
  text_of(1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 52);
  end_of(1);
  text_of(2, "aa", 2);
  end_of(2);
  finish();
  ck_assert_str_eq(hits(), "OK ?TO ?SLOW");
  fake_close(&ruleset);
}
END_TEST

/* Many patterns, each of which would take long: rules.tries bounds them together, message by message. */
START_TEST(tries_of_a_message)
{
  char rules[20 * 64];
  size_t n = 0;
  for (int i = 0; i < 20; i++)
    n += (size_t)snprintf(rules + n, sizeof rules - n, "rule R%d\n match header A /(a+|%c)+$/\n score 1\n", i, 'b' + i);
  fake_set("rules.tries", "5");
  ruleset_must_load(rules);
  for (int k = 0; k < 2; k++) {
    size_t tried = 0, refused = 0;
    begin();
    field("A", "baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
    finish();
    for (size_t i = 0; i < ruleset.n; i++) {
      tried += strstr(ruleset.findings[i].detail, " match-limit") != NULL;
      refused += strstr(ruleset.findings[i].detail, " tries-limit") != NULL;
    }
    ck_assert_msg(tried == 5 && refused == 15, "%zu tried, %zu not: %s", tried, refused, hits());
  }
  fake_close(&ruleset);
}
END_TEST

/* ---- line ends ------------------------------------------------------------------------------------------------ */

static const struct {
  const char *pattern, *text;
  int hits;
} line_ends[] = {
    {"/two$/m", "one two\r\nthree\r\n", 1},       {"/three$/", "one two\r\nthree\r\n", 1},
    {"/two$/", "one two\r\nthree\r\n", 0},        {"/^three/m", "one two\r\nthree\r\n", 1},
    {"/two\\nthree/", "one two\r\nthree\r\n", 1}, {"/two\\s{1,2}three/", "one two\r\nthree\r\n", 1},
    {"/two.three/s", "one two\r\nthree\r\n", 1},  {"/two\\R\\z/", "one two\r\n", 1},
    {"/^$/m", "one\r\n\r\ntwo\r\n", 1},           {"/two$/m", "one two\nthree\n", 1},
    {"/\\r/", "one two\r\nthree\r\n", 0},         {"/two\\rthree/", "one two\rthree\r\n", 1},
    {"/two\\r$/m", "one two\r\r\nthree\r\n", 1},  {"/two\\r\\z/", "one two\r", 1},
    {"/two$/m", "one two\rthree\r\n", 0},         {"/two\\r\\r\\n\\n/", "two\r\r\r\n\r\n", 1},
};

/* `$` stands before CR LF as before LF, in text and body, wherever the pieces are cut; a CR alone stays. */
START_TEST(lines)
{
  char rules[200];
  const char *s = line_ends[_i].text;
  const size_t n = strlen(s);
  snprintf(rules, sizeof rules, "rule TEXT\n match text %s\n score 1\nrule BODY\n match body %s\n score 1\n",
           line_ends[_i].pattern, line_ends[_i].pattern);
  ruleset_must_load(rules);
  for (size_t step = 1; step <= n; step++) {
    begin();
    fake_feed(&ruleset, "A: b\r\n\r\n", 8);
    for (size_t at = 0; at < n; at += step) {
      text_of(1, s + at, n - at < step ? n - at : step);
      fake_feed(&ruleset, s + at, n - at < step ? n - at : step);
    }
    end_of(1);
    finish();
    ck_assert_msg(!strcmp(hits(), line_ends[_i].hits ? "TEXT BODY" : ""), "%s by %zu: %s", line_ends[_i].pattern, step,
                  hits());
  }
  fake_close(&ruleset);
}
END_TEST

START_TEST(more_text_than_is_looked_at)
{
  static char big[3000];
  memset(big, 'x', sizeof big);
  memcpy(big + 100, "early", 5);
  memcpy(big + 2000, "late", 4);
  fake_set("rules.text", "1024");
  ruleset_must_load("rule EARLY\n match text /early/\n score 1\nrule LATE\n match text /late/\n score 1\n"
                    "rule ABSENT\n not LATE\n score 1\nrule SUBJECT\n match header Subject /x/\n score 1\n");
  begin();
  text_of(0, big, sizeof big);
  finish();
  ck_assert_str_eq(hits(), "EARLY ?text");
  ck_assert_str_eq(ruleset.findings[1].code, "partial");
  begin(); /* exactly as much is whole */
  text_of(0, big, 1024);
  finish();
  ck_assert_str_eq(hits(), "EARLY ABSENT");
  fake_close(&ruleset);
}
END_TEST

START_TEST(parts_nobody_looks_into)
{
  ruleset_must_load("rule A\n match text /x/\n score 1\n");
  begin();
  fake_piece(&ruleset,
             &(smtpf_piece){.size = sizeof(smtpf_piece), .kind = SMTPF_PIECE_DEFECT, .name = SMTPF_LIT("too-deep")});
  finish();
  ck_only(&ruleset, SMTPF_UNKNOWN, "partial");
  fake_close(&ruleset);
}
END_TEST

START_TEST(more_than_can_be_named)
{
  static char many[70 * 64];
  size_t n = 0;
  for (int i = 0; i < 70; i++)
    n += (size_t)snprintf(many + n, sizeof many - n, "rule R%d\n match header A /./\n score 0.5\n", i);
  ruleset_must_load(many);
  begin();
  field("A", "x");
  finish();
  ck_assert_uint_eq(ruleset.n, 65);
  ck_assert_str_eq(ruleset.findings[64].code, "more");
  ck_assert_str_eq(ruleset.findings[64].detail, "6 rules more");
  ck_assert_int_eq(ruleset.findings[64].score, 3000);
  fake_close(&ruleset);
}
END_TEST

/* Text comes piece by piece; what crosses windows is found. */
START_TEST(windows)
{
  static char big[40000];
  memset(big, '.', sizeof big);
  ruleset_must_load("rule A\n match text /needle +in/\n score 1\n");
  for (size_t at = 0; at + 12 < sizeof big; at += 911) {
    memcpy(big + at, "needle   in", 11);
    for (size_t step = 1777; step < sizeof big; step *= 3) {
      begin();
      for (size_t i = 0; i < sizeof big; i += step)
        text_of(1, big + i, sizeof big - i < step ? sizeof big - i : step);
      finish();
      ck_assert_msg(!strcmp(hits(), "A"), "at %zu by %zu", at, step);
    }
    memset(big + at, '.', 11);
  }
  fake_close(&ruleset);
}
END_TEST

Suite *ruleset_suite(void)
{
  Suite *s = suite_create("rules");
  TCase *c = tcase_create("rules");
  tcase_add_checked_fixture(c, ruleset_fresh, ruleset_done);
  tcase_set_timeout(c, 60);
  tcase_add_test(c, envelope);
  tcase_add_test(c, verified_name_of_iprev);
  tcase_add_test(c, fields);
  tcase_add_test(c, parts);
  tcase_add_test(c, body);
  tcase_add_test(c, clear);
  tcase_add_loop_test(c, combine, 0, (int)(sizeof combinations / sizeof combinations[0]));
  tcase_add_test(c, across_files_and_order);
  tcase_add_test(c, expired);
  tcase_add_test(c, recipients);
  tcase_add_test(c, limit_is_named);
  tcase_add_test(c, left_alone);
  tcase_add_test(c, tries_of_a_message);
  tcase_add_loop_test(c, lines, 0, (int)(sizeof line_ends / sizeof line_ends[0]));
  tcase_add_test(c, more_text_than_is_looked_at);
  tcase_add_test(c, parts_nobody_looks_into);
  tcase_add_test(c, more_than_can_be_named);
  tcase_add_test(c, windows);
  suite_add_tcase(s, ruleset_file_case());
  suite_add_tcase(s, c);
  return s;
}
