/* SPDX-License-Identifier: MIT
 *
 * What spamd and ICAP servers answer, as it is read: whole, cut short at every byte, and byte by byte; what ICAP is
 * asked; what its answers mean.
 */
#include <check.h>
#include <string.h>

#include "port/scan/icap.h"
#include "port/scan/spamd_reply.h"
#include "port_run.h"

#define CRLF "\r\n"

static int equal(smtpf_str s, const char *text)
{
  return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

/* ---- spamd ------------------------------------------------------------------------------------------------------ */

#define OK_LINE "SPAMD/1.1 0 EX_OK" CRLF

static int spamd(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t step)
{
  int progress = SMTPF_SPAMD_MORE;
  smtpf_spamd_reply_init(r);
  for (size_t at = 0, used; progress == SMTPF_SPAMD_MORE && at < n; at += used)
    progress = smtpf_spamd_reply_feed(r, bytes + at, n - at < step ? n - at : step, &used);
  return progress;
}

static const struct {
  const char *bytes;
  int progress, code, spam;
  int32_t score, threshold;
  const char *text;
} spamd_rows[] = {
    {OK_LINE "Content-length: 5" CRLF "Spam: True ; 6.0 / 5.0" CRLF CRLF "GTUBE", SMTPF_SPAMD_DONE, 0, 1, 6000, 5000,
     "GTUBE"},
    {OK_LINE "Spam: False ; -1.25 / 5" CRLF "content-LENGTH: 0" CRLF CRLF, SMTPF_SPAMD_DONE, 0, 0, -1250, 5000, ""},
    {OK_LINE "X: y" CRLF "Spam: Yes;1000.0/4.8999999999999995" CRLF "Content-length: 3" CRLF CRLF "A,B",
     SMTPF_SPAMD_DONE, 0, 1, 1000000, 4899, "A,B"},
    {OK_LINE "Content-length: 3" CRLF "Spam: False ; 0.0 / 5.0" CRLF CRLF "A\x01\n", SMTPF_SPAMD_DONE, 0, 0, 0, 5000,
     "A??"},
    {"SPAMD/1.0 76 Bad header line: x" CRLF, SMTPF_SPAMD_DONE, 76, 0, 0, 0, "Bad header line: x"},
    {"SPAMD/1.0 75" CRLF, SMTPF_SPAMD_DONE, 75, 0, 0, 0, ""},
    {OK_LINE "Content-length: 5" CRLF "Spam: True ; 6.0 / 5.0" CRLF CRLF "GTUB", SMTPF_SPAMD_MORE, 0, 0, 0, 0, NULL},
    {"", SMTPF_SPAMD_MORE, 0, 0, 0, 0, NULL},
    {"HTTP/1.1 200 OK" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {"SPAMD/1.1 0 EX_OK\n", SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {"SPAMD/1.1 -1 EX_OK" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {"SPAMD/1.1 999 EX_OK" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {"SPAMD/1.1" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Content-length: 0" CRLF CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; 0.0 / 5.0" CRLF CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: Maybe ; 0.0 / 5.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; nan / 5.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; 1. / 5.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; 3000000 / 5.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; 0.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Spam: False ; 0.0 / 5.0" CRLF "Spam: True ; 9.0 / 5.0" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Content-length: 1" CRLF "Content-length: 1" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "Content-length: 99999999999999999999" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
    {OK_LINE "no colon" CRLF, SMTPF_SPAMD_GARBAGE, 0, 0, 0, 0, NULL},
};

START_TEST(spamd_row)
{
  smtpf_spamd_reply r;
  const size_t n = strlen(spamd_rows[_i].bytes);
  for (size_t step = 1; step <= n + 1; step++) {
    ck_assert_int_eq(spamd(&r, spamd_rows[_i].bytes, n, step), spamd_rows[_i].progress);
    if (spamd_rows[_i].progress != SMTPF_SPAMD_DONE)
      continue;
    ck_assert_int_eq(r.code, spamd_rows[_i].code);
    ck_assert(equal(r.code ? r.text : r.symbols, spamd_rows[_i].text));
    if (r.code)
      continue;
    ck_assert_int_eq(r.spam, spamd_rows[_i].spam);
    ck_assert_int_eq(r.score, spamd_rows[_i].score);
    ck_assert_int_eq(r.threshold, spamd_rows[_i].threshold);
  }
  for (size_t cut = 0; spamd_rows[_i].progress == SMTPF_SPAMD_DONE && cut < n; cut++)
    ck_assert_int_eq(spamd(&r, spamd_rows[_i].bytes, cut, n), SMTPF_SPAMD_MORE);
}
END_TEST

START_TEST(spamd_says_much)
{
  static char bytes[8192];
  smtpf_spamd_reply r;
  const char head[] = OK_LINE "Content-length: 3500" CRLF "Spam: True ; 9.0 / 5.0" CRLF CRLF;
  memcpy(bytes, head, sizeof head - 1);
  for (size_t i = 0; i < 500; i++)
    memcpy(bytes + sizeof head - 1 + 7 * i, "SYMBOL,", 7);
  for (size_t step = 1; step < 4000; step += 333) {
    ck_assert_int_eq(spamd(&r, bytes, sizeof head - 1 + 3500, step), SMTPF_SPAMD_DONE);
    ck_assert(r.symbols.n <= SMTPF_SPAMD_SYMBOLS + 3 && r.symbols.n > 900);
    ck_assert(memcmp(r.symbols.p + r.symbols.n - 10, "SYMBOL,...", 10) == 0);
  }
  memset(bytes, 'x', sizeof bytes); /* a line without end */
  ck_assert_int_eq(spamd(&r, bytes, sizeof bytes, 100), SMTPF_SPAMD_GARBAGE);
  memcpy(bytes, OK_LINE, sizeof OK_LINE - 1); /* fields without end */
  size_t n = sizeof OK_LINE - 1;
  for (size_t i = 0; i < SMTPF_SPAMD_FIELDS + 2; i++, n += 6)
    memcpy(bytes + n, "a: b" CRLF, 6);
  ck_assert_int_eq(spamd(&r, bytes, n, n), SMTPF_SPAMD_GARBAGE);
}
END_TEST

/* ---- icap ------------------------------------------------------------------------------------------------------- */

#define ICAP_200 "ICAP/1.0 200 OK" CRLF
#define BODY_0 "Encapsulated: res-hdr=0, res-body=19" CRLF CRLF "HTTP/1.1 200 OK" CRLF CRLF

static int icap(smtpf_icap_reply *r, const char *bytes, size_t n, size_t step, int options, char *body, size_t *body_n)
{
  int progress = SMTPF_ICAP_MORE;
  smtpf_str piece;
  smtpf_icap_reply_init(r);
  r->respmod = options;
  *body_n = 0;
  for (size_t at = 0, used; progress == SMTPF_ICAP_MORE && at < n; at += used) {
    progress = smtpf_icap_reply_feed(r, bytes + at, n - at < step ? n - at : step, &used, &piece);
    ck_assert_uint_le(*body_n + piece.n, 64);
    if (piece.n)
      memcpy(body + *body_n, piece.p, piece.n);
    *body_n += piece.n;
  }
  return progress;
}

static const struct {
  const char *bytes;
  int progress, code, http, found;
  const char *name, *body;
} icap_rows[] = {
    {"ICAP/1.0 204 Unmodified" CRLF "ISTag: \"x\"" CRLF CRLF, SMTPF_ICAP_DONE, 204, 0, 0, "", ""},
    {"ICAP/1.0 204 No Content" CRLF "Encapsulated: null-body=0" CRLF CRLF, SMTPF_ICAP_DONE, 204, 0, 0, "", ""},
    {"ICAP/1.0 100 Continue" CRLF CRLF, SMTPF_ICAP_DONE, 100, 0, 0, "", ""},
    {"ICAP/1.0 404 Service not found" CRLF "Connection: close" CRLF CRLF, SMTPF_ICAP_DONE, 404, 0, 0, "", ""},
    {ICAP_200 BODY_0 "5" CRLF "hello" CRLF "6;a=\"b\"" CRLF " world" CRLF "0" CRLF CRLF, SMTPF_ICAP_DONE, 200, 200, 0,
     "", "hello world"},
    {ICAP_200 BODY_0 "00A" CRLF "0123456789" CRLF "0" CRLF "Trailer: x" CRLF CRLF, SMTPF_ICAP_DONE, 200, 200, 0, "",
     "0123456789"},
    {ICAP_200 "X-Infection-Found: Type=0; Resolution=2; Threat=Eicar-Test;" CRLF "X-Violations-Found: 1" CRLF
              "\tfile.exe" CRLF "\tOther" CRLF "\t0" CRLF "\t2" CRLF
              "Encapsulated: req-hdr=0, res-hdr=3, null-body=29" CRLF CRLF "x" CRLF "HTTP/1.0 403 Forbidden" CRLF CRLF,
     SMTPF_ICAP_DONE, 200, 403, SMTPF_ICAP_INFECTION, "Eicar-Test", ""},
    {ICAP_200 "X-Violations-Found: 2" CRLF " a.exe" CRLF " Exec\x01 file" CRLF " 9" CRLF " 0" CRLF " b" CRLF " c" CRLF
              "Encapsulated: null-body=0" CRLF CRLF,
     SMTPF_ICAP_DONE, 200, 0, SMTPF_ICAP_VIOLATION, "Exec? file", ""},
    {ICAP_200 "X-Virus-ID: Name" CRLF "X-Violations-Found: 1" CRLF " a" CRLF " Other" CRLF
              "Encapsulated: null-body=0" CRLF CRLF,
     SMTPF_ICAP_DONE, 200, 0, SMTPF_ICAP_INFECTION, "Name", ""},
    {ICAP_200 "X-Infection-Found: Type=2; Resolution=0; Threat=Bomb;" CRLF "X-Virus-ID: Bomb" CRLF
              "Encapsulated: null-body=0" CRLF CRLF,
     SMTPF_ICAP_DONE, 200, 0, SMTPF_ICAP_CONTAINER, "Bomb", ""},
    {ICAP_200 "X-Violations-Found: 0" CRLF "Encapsulated: null-body=0" CRLF CRLF, SMTPF_ICAP_DONE, 200, 0, 0, "", ""},
    /* cut short */
    {ICAP_200 BODY_0 "5" CRLF "hello" CRLF "0" CRLF, SMTPF_ICAP_MORE, 0, 0, 0, NULL, NULL},
    {ICAP_200 BODY_0 "5" CRLF "hell", SMTPF_ICAP_MORE, 0, 0, 0, NULL, NULL},
    {"ICAP/1.0 204 Unmodified" CRLF, SMTPF_ICAP_MORE, 0, 0, 0, NULL, NULL},
    /* no ICAP */
    {"HTTP/1.1 200 OK" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {"ICAP/1.0 2 OK" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {"ICAP/1.0 204 Unmodified\n\n", SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 " folded" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "nonsense" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: res-hdr=0" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: res-hdr=9, res-body=19" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: res-hdr=0, req-hdr=20, res-body=19" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: res-body=0, res-hdr=19" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: res-hdr=0, res-body=999999" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: req-hdr=0, req-body=0" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Encapsulated: null-body=0" CRLF "Encapsulated: null-body=0" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL,
     NULL},
    {ICAP_200 "Encapsulated: res-hdr=0, res-body=19" CRLF CRLF "SMTP/1.1 200 OK" CRLF CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0,
     NULL, NULL},
    {ICAP_200 BODY_0 "xyz" CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 BODY_0 "123456789" CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 BODY_0 CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 BODY_0 "5" CRLF "helloworld" CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
    {ICAP_200 "Preview: many" CRLF, SMTPF_ICAP_GARBAGE, 0, 0, 0, NULL, NULL},
};

START_TEST(icap_row)
{
  smtpf_icap_reply r;
  char body[64];
  size_t body_n;
  const size_t n = strlen(icap_rows[_i].bytes);
  for (size_t step = 1; step <= n + 1; step++) {
    ck_assert_int_eq(icap(&r, icap_rows[_i].bytes, n, step, 0, body, &body_n), icap_rows[_i].progress);
    if (icap_rows[_i].progress != SMTPF_ICAP_DONE)
      continue;
    ck_assert_int_eq(r.code, icap_rows[_i].code);
    ck_assert_int_eq(r.http, icap_rows[_i].http);
    ck_assert_int_eq(r.found, icap_rows[_i].found);
    ck_assert(equal(r.name, icap_rows[_i].name));
    ck_assert(equal((smtpf_str){body, body_n}, icap_rows[_i].body));
  }
  for (size_t cut = 0; icap_rows[_i].progress == SMTPF_ICAP_DONE && cut < n; cut++)
    ck_assert_int_eq(icap(&r, icap_rows[_i].bytes, cut, n, 0, body, &body_n), SMTPF_ICAP_MORE);
}
END_TEST

START_TEST(icap_options)
{
  static const char bytes[] = ICAP_200 "Methods: REQMOD , respmod" CRLF "Preview: 1024" CRLF "Allow: 206, 204" CRLF
                                       "Options-TTL: 60" CRLF "ISTag: \"W3E4R5U9-L2E4-2\"" CRLF "Connection: Close" CRLF
                                       "Encapsulated: opt-body=0" CRLF CRLF "1" CRLF "x" CRLF "0" CRLF CRLF;
  smtpf_icap_reply r;
  char body[64];
  size_t body_n;
  ck_assert_int_eq(icap(&r, bytes, sizeof bytes - 1, 1, 0, body, &body_n), SMTPF_ICAP_DONE);
  ck_assert(r.respmod && r.allow_204 && r.close && r.preview == 1024 && r.ttl == 60);
  ck_assert_str_eq(r.istag, "\"W3E4R5U9-L2E4-2\"");
  /* one that says nothing of itself */
  ck_assert_int_eq(icap(&r, "ICAP/1.0 204 -" CRLF CRLF, 18, 18, 0, body, &body_n), SMTPF_ICAP_DONE);
  ck_assert(!r.respmod && !r.allow_204 && !r.close && r.preview == -1 && r.ttl == -1 && !r.istag[0]);
}
END_TEST

START_TEST(icap_without_end)
{
  static char bytes[SMTPF_ICAP_LINES * 8 + 64];
  smtpf_icap_reply r;
  char body[64];
  size_t body_n, n = sizeof ICAP_200 - 1;
  memset(bytes, 'x', sizeof bytes);
  memcpy(bytes, ICAP_200 "a: ", n + 3);
  ck_assert_int_eq(icap(&r, bytes, n + 3, 7, 0, body, &body_n), SMTPF_ICAP_MORE);
  for (size_t i = 0; i < SMTPF_ICAP_LINES + 1; i++, n += 6)
    memcpy(bytes + n, "a: b" CRLF, 6);
  ck_assert_int_eq(icap(&r, bytes, n - 6, n, 0, body, &body_n), SMTPF_ICAP_MORE);
  ck_assert_int_eq(icap(&r, bytes, n, n, 0, body, &body_n), SMTPF_ICAP_GARBAGE);
  static char line[SMTPF_ICAP_LINE + 1];
  memset(line, 'x', sizeof line);
  ck_assert_int_eq(icap(&r, line, SMTPF_ICAP_LINE, 100, 0, body, &body_n), SMTPF_ICAP_MORE);
  ck_assert_int_eq(icap(&r, line, sizeof line, 100, 0, body, &body_n), SMTPF_ICAP_GARBAGE);
}
END_TEST

/* ---- what ICAP's answers mean ------------------------------------------------------------------------------------ */

static const struct {
  int code, http, found;
  const char *name;
  smtpf_icap_circumstances how; /* sent, may_204, unchanged */
  int meaning;
  const char *says; /* name or cause */
  int blame;
} meanings[] = {
    {204, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_CLEAN, NULL, 0},
    {204, 0, 0, "", {0, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "garbage", 1},
    {204, 0, SMTPF_ICAP_INFECTION, "A", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "garbage", 1},
    {200, 403, SMTPF_ICAP_INFECTION, "A", {1, 1, 0}, SMTPF_ICAP_MEANS_HIT, "A", 0},
    {200, 403, SMTPF_ICAP_INFECTION, "A", {0, 0, 0}, SMTPF_ICAP_MEANS_HIT, "A", 0},
    {200, 403, SMTPF_ICAP_INFECTION, "", {1, 1, 0}, SMTPF_ICAP_MEANS_HIT, "infected", 0},
    {200, 200, SMTPF_ICAP_VIOLATION, "", {1, 1, 0}, SMTPF_ICAP_MEANS_HIT, "violation", 0},
    {200, 200, SMTPF_ICAP_CONTAINER, "B", {1, 1, 0}, SMTPF_ICAP_MEANS_UNKNOWN, "unscanned", 0},
    {200, 200, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_HIT, "modified", 0},
    {200, 200, 0, "", {1, 1, 1}, SMTPF_ICAP_MEANS_UNKNOWN, "unscanned", 0},
    {200, 200, 0, "", {1, 0, 1}, SMTPF_ICAP_MEANS_CLEAN, NULL, 0},
    {200, 200, 0, "", {0, 0, 1}, SMTPF_ICAP_MEANS_UNKNOWN, "unscanned", 0},
    {200, 200, 0, "", {0, 0, 0}, SMTPF_ICAP_MEANS_FAILED, "garbage", 1},
    {200, 502, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "error", 0},
    {206, 200, 0, "", {1, 1, 1}, SMTPF_ICAP_MEANS_FAILED, "garbage", 1},
    {100, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "garbage", 1},
    {404, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "error", 1},
    {413, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_UNKNOWN, "too-large", 0},
    {500, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "error", 0},
    {503, 0, 0, "", {1, 1, 0}, SMTPF_ICAP_MEANS_FAILED, "error", 1},
};

START_TEST(icap_meaning)
{
  smtpf_icap_reply r;
  smtpf_icap_reply_init(&r);
  r.code = meanings[_i].code;
  r.http = meanings[_i].http;
  r.found = meanings[_i].found;
  r.name = (smtpf_str){meanings[_i].name, strlen(meanings[_i].name)};
  const smtpf_icap_verdict v = smtpf_icap_judge(&r, &meanings[_i].how);
  ck_assert_int_eq(v.meaning, meanings[_i].meaning);
  ck_assert_int_eq(v.blame, meanings[_i].blame);
  if (v.meaning == SMTPF_ICAP_MEANS_HIT)
    ck_assert(equal(v.name, meanings[_i].says));
  else if (v.meaning != SMTPF_ICAP_MEANS_CLEAN)
    ck_assert_str_eq(v.cause, meanings[_i].says);
}
END_TEST

/* ---- what ICAP is asked ------------------------------------------------------------------------------------------ */

START_TEST(icap_requests)
{
  char room[SMTPF_ICAP_REQUEST];
  smtpf_icap_request q = {
      .server = SMTPF_LIT("192.0.2.1:1344"), .service = SMTPF_LIT("avscan?a=b"), .preview = -1, .size = -1};
  ck_assert(equal((smtpf_str){room, smtpf_icap_write_options(room, &q)},
                  "OPTIONS icap://192.0.2.1:1344/avscan?a=b ICAP/1.0" CRLF "Host: 192.0.2.1:1344" CRLF
                  "User-Agent: libsmtpfilter" CRLF "Encapsulated: null-body=0" CRLF CRLF));
  ck_assert(equal((smtpf_str){room, smtpf_icap_write_respmod(room, &q)},
                  "RESPMOD icap://192.0.2.1:1344/avscan?a=b ICAP/1.0" CRLF "Host: 192.0.2.1:1344" CRLF
                  "User-Agent: libsmtpfilter" CRLF "Allow: 204" CRLF
                  "Encapsulated: req-hdr=0, res-hdr=57, res-body=106" CRLF CRLF "GET http://smtp.invalid/ HTTP/1.1" CRLF
                  "Host: smtp.invalid" CRLF CRLF "HTTP/1.1 200 OK" CRLF "Content-Type: message/rfc822" CRLF CRLF));
  q.local = 1;
  q.client = SMTPF_LIT("2001:db8::7\r\nEvil: x");
  q.session = SMTPF_LIT("a b/../c");
  q.preview = 0;
  q.size = 70000;
  ck_assert(equal((smtpf_str){room, smtpf_icap_write_respmod(room, &q)},
                  "RESPMOD icap://localhost/avscan?a=b ICAP/1.0" CRLF "Host: localhost" CRLF
                  "User-Agent: libsmtpfilter" CRLF "Allow: 204" CRLF "Preview: 0" CRLF
                  "X-Client-IP: 2001:db8::7Evil:x" CRLF "Encapsulated: req-hdr=0, res-hdr=62, res-body=134" CRLF CRLF
                  "GET http://smtp.invalid/ab..c HTTP/1.1" CRLF "Host: smtp.invalid" CRLF CRLF "HTTP/1.1 200 OK" CRLF
                  "Content-Type: message/rfc822" CRLF "Content-Length: 70000" CRLF CRLF));
  static const char long_name[] =
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
  q.service = SMTPF_LIT(long_name); /* the longest of everything fits */
  q.server = SMTPF_LIT(long_name);
  q.local = 0;
  q.session = SMTPF_LIT(long_name);
  q.client = SMTPF_LIT(long_name);
  q.preview = SMTPF_ICAP_PREVIEW;
  q.size = INT64_MAX;
  const size_t n = smtpf_icap_write_respmod(room, &q);
  ck_assert(n < sizeof room && memcmp(room + n - 4, CRLF CRLF, 4) == 0);
}
END_TEST

START_TEST(icap_services)
{
  ck_assert(smtpf_icap_service_valid(SMTPF_LIT("avscan")));
  ck_assert(smtpf_icap_service_valid(SMTPF_LIT("av/scan?mode=x")));
  ck_assert(!smtpf_icap_service_valid(SMTPF_LIT("")));
  ck_assert(!smtpf_icap_service_valid(SMTPF_LIT("/avscan")));
  ck_assert(!smtpf_icap_service_valid(SMTPF_LIT("av scan")));
  ck_assert(!smtpf_icap_service_valid(SMTPF_LIT("av\r\nscan")));
  ck_assert(!smtpf_icap_service_valid(SMTPF_LIT("\xc3\xa4")));
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: answers of scanners");
  TCase *spamd_case = tcase_create("spamd"), *icap_case = tcase_create("icap");
  tcase_add_loop_test(spamd_case, spamd_row, 0, sizeof spamd_rows / sizeof *spamd_rows);
  tcase_add_test(spamd_case, spamd_says_much);
  suite_add_tcase(s, spamd_case);
  tcase_add_loop_test(icap_case, icap_row, 0, sizeof icap_rows / sizeof *icap_rows);
  tcase_add_test(icap_case, icap_options);
  tcase_add_test(icap_case, icap_without_end);
  tcase_add_loop_test(icap_case, icap_meaning, 0, sizeof meanings / sizeof *meanings);
  tcase_add_test(icap_case, icap_requests);
  tcase_add_test(icap_case, icap_services);
  suite_add_tcase(s, icap_case);
  return port_run(s);
}
