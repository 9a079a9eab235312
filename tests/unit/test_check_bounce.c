/* SPDX-License-Identifier: MIT
 *
 * bounce, backscatter and sent_mark: what is marked, what a quoted mark proves and to whom, what is never refused.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/bounce.h"
#include "fake_check.h"
#include "piece_walk.h"

static smtpf_task t;
static char mark[BOUNCE_MARK_MAX + 1]; /* of `sent()` */
static const int64_t TODAY = 1700000000;

static void fresh(void)
{
  fake_reset();
  fake_set("bounce.keys", "a secret of this site");
  fake_set("hostnames", "mx.example.net");
  fake_set("local_domains", "example.net");
  fake_set("local_domains", "xn--bcher-kva.example.");
  fake_set("relay_domains", "example.edu");
  fake_set("own_networks", "198.51.100.0/24");
}

static int opened;

static void close_it(void)
{
  if (opened)
    fake_close(&t);
  opened = 0;
}

static void open_it(const smtpf_check *check)
{
  smtpf_error err = {.size = sizeof err};
  close_it();
  ck_assert_msg(fake_open(&t, check, &err) == SMTPF_OK, "%s", err.text);
  opened = 1;
  fake_client(&t, "192.0.2.1");
  t.ev.wall_s = TODAY;
}

/* ---- the mark ------------------------------------------------------------------------------------------ */

/* Marks a message of a sender; `mark` is the mark, empty when there is none. */
static void sent(const char *sender, const char *message)
{
  open_it(&smtpf_check_sent_mark);
  mark[0] = '\0';
  fake_sender(&t, sender);
  t.ev.own = 1;
  if (fake_run(&t, SMTPF_BODY) == SMTPF_PENDING) {
    for (size_t i = 0; message[i]; i++)
      ck_assert_uint_eq(fake_feed(&t, message + i, 1), 1);
    ck_assert_int_eq(fake_finish(&t), SMTPF_OK);
    ck_assert_uint_gt(t.n_edits, 0);
    ck_assert_str_eq(t.edits[t.n_edits - 1].name, "X-Smtpfilter-Sent");
    memcpy(mark, t.edits[t.n_edits - 1].value, sizeof mark);
  }
  ck_assert_uint_eq(t.n, 0);
}

static const char *again(const char *sender, const char *message)
{
  static char before[sizeof mark];
  memcpy(before, mark, sizeof mark);
  close_it();
  sent(sender, message);
  return before;
}

#define SENT(id) "From: Alice <alice@example.net>\r\nMessage-ID: " id "\r\n\r\nMessage-ID: <text@x>\r\n"

START_TEST(mark_form)
{
  sent("<alice@example.net>", SENT("<a@example.net>"));
  ck_assert_uint_eq(strlen(mark), 1 + 1 + 5 + 1 + 32);
  ck_assert(!strncmp(mark + 1, ".19675.", 7));
  ck_assert_uint_eq(t.n_edits, 1);
  ck_assert_int_eq(t.edits[0].op, SMTPF_EDIT_PREPEND);
  ck_assert_uint_eq(t.edits[0].recipient, 0);
  ck_assert_str_eq(mark, again("<ALICE@Example.NET>", SENT("<a@example.net>"))); /* without regard to case */
  ck_assert_str_eq(mark, again("<alice@example.net>", SENT("\r\n\t <a@example.net> (folded)")));
  ck_assert_str_ne(mark, again("<alice@example.net>", SENT("<b@example.net>")));
  ck_assert_str_ne(mark, again("<alice@example.net>", SENT("<A@example.net>"))); /* an identifier has its case */
  ck_assert_str_ne(mark, again("<bob@example.net>", SENT("<A@example.net>")));
  ck_assert_str_ne(mark, again("<bob@example.net>", "Subject: no identifier\r\n\r\n"));
  ck_assert_str_eq(mark, again("<bob@example.net>", "\r\nMessage-ID: <text@x>\r\n"));
  ck_assert_str_eq(mark, again("<bob@example.net>", "Subject: folded\r\n Message-ID: <subject@x>\r\n\r\n"));
  ck_assert_str_eq(mark, again("<bob@example.net>", "Subject: and no body"));
}
END_TEST

START_TEST(mark_replaced)
{
  sent("<alice@example.net>", "x-smtpfilter-sent: 1.1.0\r\nMessage-ID: <a@b>\r\nX-Smtpfilter-Sent:\r\n\r\n");
  ck_assert_uint_eq(t.n_edits, 2);
  ck_assert_int_eq(t.edits[0].op, SMTPF_EDIT_DELETE);
  ck_assert_int_eq(t.edits[0].occurrence, 0);
  sent("<alice@example.net>", "X-Smtpfilter-Sent:\r\n\r\n");
  ck_assert_uint_eq(t.n_edits, 2);
  sent("<alice@example.net>", "Message-ID: <a@b>\r\n\r\nX-Smtpfilter-Sent: 1.1.0\r\n");
  ck_assert_uint_eq(t.n_edits, 1);
}
END_TEST

START_TEST(not_marked)
{
  sent("<>", SENT("<a@example.net>"));
  ck_assert_str_eq(mark, "");
  t.ev.own = 0;
  fake_sender(&t, "<friend@example.org>");
  ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_OK);
  fake_reset(); /* no keys */
  open_it(&smtpf_check_sent_mark);
  ck_assert_ptr_null(t.self);
}
END_TEST

START_TEST(no_crypto)
{
  open_it(&smtpf_check_sent_mark);
  fake_sender(&t, "<alice@example.net>");
  t.ev.own = 1;
  t.hmac = SMTPF_EUNSUPPORTED;
  ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_PENDING);
  fake_finish(&t);
  ck_only(&t, SMTPF_UNKNOWN, "no-crypto");
}
END_TEST

START_TEST(bad_keys)
{
  smtpf_error err = {.size = sizeof err};
  const smtpf_check *checks[] = {&smtpf_check_bounce, &smtpf_check_sent_mark};
  for (size_t i = 0; i < 2; i++) {
    fake_reset();
    fake_set("bounce.keys", "fifteen letters");
    ck_assert_int_eq(fake_open(&t, checks[i], &err), SMTPF_EPARSE);
    ck_assert_ptr_null(strstr(err.text, "letters"));
    fake_reset();
    fake_set("bounce.mark", "X Mark");
    ck_assert_int_eq(fake_open(&t, checks[i], &err), SMTPF_EPARSE);
  }
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* ---- bounces ------------------------------------------------------------------------------------------- */

static void piece(void *user, const smtpf_piece *p)
{
  fake_piece(user, p);
}

/* One recipient, and a message from the null sender. */
static void comes(const char *sender, const char *to, const char *message)
{
  open_it(&smtpf_check_bounce);
  fake_sender(&t, sender);
  fake_recipient(&t, to);
  t.ev.mailbox = t.recipient.address;
  t.recipients[0] = t.recipients[0] ? t.recipients[0] : "canonical@example.net";
  ck_assert_int_eq(fake_run(&t, SMTPF_RCPT), SMTPF_OK);
  if (fake_run(&t, SMTPF_BODY) != SMTPF_PENDING)
    return;
  ck_assert_uint_eq(fake_feed(&t, message, strlen(message)), strlen(message));
  piece_walk(smtpf_str_of(message), 0, piece, &t);
  ck_assert_int_eq(fake_finish(&t), SMTPF_OK);
  ck_assert_uint_eq(t.seen, strlen(message));
}

static char bounce_room[16384];

/* A bounce that quotes what was sent, in a form with one %s. */
static const char *quoting(const char *form, const char *header)
{
  char with[8300];
  (void)snprintf(with, sizeof with, "X-Smtpfilter-Sent: %s\r\n%s", mark, header);
  const char *at = strstr(form, "%s");
  snprintf(bounce_room, sizeof bounce_room, "%.*s%s%s", (int)(at - form), form, with, at + 2);
  return bounce_room;
}

#define HEADER "Received: from desk by mx.example.net\r\nFrom: Alice\r\nMessage-ID: <a@example.net>\r\n"
#define OTHER                                                                                                          \
  "Received: from pc ([203.0.113.9]) by mail.example.com\r\nFrom: <spam@example.com>\r\nMessage-ID: "                  \
  "<x@example.com>\r\n"
#define REPORT                                                                                                         \
  "From: MAILER-DAEMON@example.org\r\nContent-Type: multipart/report;\r\n\treport-type=delivery-status; "              \
  "boundary=b\r\n\r\n--b\r\n\r\nfailed\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"                        \
  "Reporting-MTA: dns; mx.example.org\r\nOriginal-Envelope-Id: e\r\n\r\n"                                              \
  "Original-Recipient: rfc822; bob@example.org\r\nFinal-Recipient: rfc822;\r\n robert@example.org\r\n"                 \
  "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 no\r\n\r\nFinal-Recipient: rfc822; c@d\r\n"           \
  "Status: 4.0.0\r\n--b\r\n"
#define WITH_MESSAGE REPORT "Content-Type: message/rfc822\r\n\r\n%s\r\ntext\r\n--b--\r\n"
#define WITH_HEADERS REPORT "Content-Type: text/rfc822-headers\r\n\r\n%s--b--\r\n"
#define AS_TEXT "Subject: failure\r\n\r\nHi. No.\r\n\r\n--- Below\r\n\r\n%s\r\ntext\r\n"

static const char *const forms[] = {
    WITH_MESSAGE,
    WITH_HEADERS,
    AS_TEXT,
    REPORT "\r\n%s--b--\r\n",                                                         /* a part of text */
    "Content-Type: multipart/report; boundary=none\r\n\r\n%s\r\n",                    /* nothing but a preamble */
    "Content-Type: multipart/report\r\n\r\n%s\r\n",                                   /* no boundary: a leaf */
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n%s\r\n",               /* an epilogue */
    "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n", /* a bounce in a bounce */
};
enum { FORMS = sizeof forms / sizeof *forms };

START_TEST(proven)
{
  sent("<alice@example.net>", SENT("<a@example.net>"));
  comes("<>", "<alice@example.net>", quoting(forms[_i], HEADER));
  ck_only(&t, SMTPF_CLEAR, "proven");
  ck_assert_uint_eq(t.findings[0].recipient, 1);
  comes("<>", "<alice@example.net>", quoting(forms[_i], "Subject: x\r\n")); /* without its identifier */
  ck_only(&t, SMTPF_HIT, "unproven");
}
END_TEST

/* However it is quoted. */
START_TEST(proven_quoted)
{
  static const char *const before[] = {"> ", "    ", "\t", " | ", ">> "};
  const char *q = before[_i];
  char text[2048];
  sent("<alice@example.net>", SENT("<a@example.net>"));
  close_it();
  snprintf(
      text, sizeof text,
      "Subject: failure\r\n\r\nReason: unknown\r\n%sMessage-ID:\r\n%s <a@example.net>\r\n%sX-Smtpfilter-Sent: %s\r\n",
      q, q, q, mark);
  comes("<>", "<alice@example.net>", text);
  ck_only(&t, SMTPF_CLEAR, "proven");
}
END_TEST

START_TEST(proves_to_its_sender)
{
  sent("<alice@example.net>", SENT("<a@example.net>"));
  comes("<>", "<bob@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_HIT, "unproven");
  t.recipients[0] = NULL;
  comes("<>", "<Alice@Example.Net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_CLEAR, "proven");
  close_it(); /* mail was sent with the name the directory knows, and the bounce comes to another */
  sent("<canonical@example.net>", SENT("<a@example.net>"));
  comes("<>", "<alias@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_CLEAR, "proven");
}
END_TEST

START_TEST(another_identifier)
{
  sent("<alice@example.net>", SENT("<other@example.net>"));
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_HIT, "unproven");
  close_it(); /* marked without one, and somebody has added it since */
  sent("<alice@example.net>", "Subject: x\r\n\r\n");
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_CLEAR, "proven");
}
END_TEST

START_TEST(made_up)
{
  static const char *const marks[] = {"",
                                      "1",
                                      "1.19675",
                                      "1.19675.",
                                      "x.19675.00000000000000000000000000000000",
                                      "1.19675.0000000000000000000000000000000",
                                      "1.99999999.00000000000000000000000000000000",
                                      "1.19675.00000000000000000000000000000000 more"};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    memcpy(mark, marks[i], strlen(marks[i]) + 1);
    comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
    ck_only(&t, SMTPF_HIT, "unproven");
    close_it();
  }
  sent("<alice@example.net>", SENT("<a@example.net>"));
  mark[strlen(mark) - 1] ^= 1;
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_HIT, "unproven");
}
END_TEST

static void aged(int64_t days, int kind, const char *code)
{
  open_it(&smtpf_check_bounce);
  fake_sender(&t, "<>");
  fake_recipient(&t, "<alice@example.net>");
  t.ev.mailbox = t.recipient.address;
  t.recipients[0] = "alice@example.net";
  t.ev.wall_s = TODAY + days * 86400;
  fake_run(&t, SMTPF_RCPT);
  ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_PENDING);
  piece_walk(smtpf_str_of(bounce_room), 1, piece, &t);
  fake_finish(&t);
  ck_only(&t, kind, code);
}

START_TEST(age)
{
  sent("<alice@example.net>", SENT("<a@example.net>"));
  quoting(WITH_MESSAGE, HEADER);
  aged(0, SMTPF_CLEAR, "proven");
  aged(14, SMTPF_CLEAR, "proven");
  aged(15, SMTPF_HIT, "expired");
  aged(-1, SMTPF_CLEAR, "proven"); /* another server's clock */
  aged(-2, SMTPF_HIT, "expired");
  fake_set("bounce.max_age", "36h");
  aged(2, SMTPF_CLEAR, "proven");
  aged(3, SMTPF_HIT, "expired");
}
END_TEST

START_TEST(keys_change)
{
  sent("<alice@example.net>", SENT("<a@example.net>"));
  close_it();
  fake_reset();
  for (int i = 0; i < 12; i++) { /* some with the same digit */
    char key[] = "a newer secret: 0";
    key[sizeof key - 2] = (char)('a' + i);
    fake_set("bounce.keys", key);
  }
  fake_set("local_domains", "example.net");
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_HIT, "unproven");
  fake_set("bounce.keys", "a secret of this site");
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_CLEAR, "proven");
}
END_TEST

START_TEST(signed_address)
{
  static const struct {
    int signature, kind;
    const char *code;
  } rows[] = {{SMTPF_SIGNATURE_NONE, SMTPF_HIT, "unproven"},
              {SMTPF_SIGNATURE_GOOD, SMTPF_CLEAR, "signed"},
              {SMTPF_SIGNATURE_EXPIRED, SMTPF_HIT, "expired"},
              {SMTPF_SIGNATURE_BAD, SMTPF_HIT, "unproven"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    memset(&t, 0, sizeof t);
    open_it(&smtpf_check_bounce);
    fake_sender(&t, "<>");
    t.recipients[0] = "alice@example.net";
    t.signatures[0] = rows[i].signature;
    ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_PENDING);
    fake_finish(&t);
    ck_only(&t, rows[i].kind, rows[i].code);
    ck_assert_uint_eq(t.findings[0].flags, rows[i].kind == SMTPF_HIT ? SMTPF_FINDING_REFUSE : 0);
    ck_assert_int_eq(t.findings[0].score, 0);
    close_it();
  }
}
END_TEST

/* The mark is tried only so often; what was not tried is not known. */
START_TEST(too_many_marks)
{
  char text[8192] = "Subject: x\r\n\r\n";
  size_t n = strlen(text);
  sent("<alice@example.net>", SENT("<a@example.net>"));
  close_it();
  for (int i = 0; i < 40; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "Message-ID: <%d@x>\r\nX-Smtpfilter-Sent: %s\r\n\r\n", i, mark);
  comes("<>", "<alice@example.net>", text);
  ck_only(&t, SMTPF_UNKNOWN, "marks");
  ck_assert_int_le(t.hmacs, 64);
}
END_TEST

START_TEST(unreadable)
{
  comes("<>", "<alice@example.net>", "Content-Type: text/plain\r\nContent-Transfer-Encoding: x-secret\r\n\r\nx\r\n");
  ck_only(&t, SMTPF_UNKNOWN, "encoding-unknown");
  sent("<alice@example.net>", SENT("<a@example.net>"));
  open_it(&smtpf_check_bounce);
  t.hmac = SMTPF_EIO;
  fake_sender(&t, "<>");
  t.recipients[0] = "alice@example.net";
  ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_PENDING);
  piece_walk(smtpf_str_of(quoting(AS_TEXT, HEADER)), 0, piece, &t);
  fake_finish(&t);
  ck_only(&t, SMTPF_UNKNOWN, "hmac");
}
END_TEST

START_TEST(not_looked_at)
{
  comes("<friend@example.org>", "<alice@example.net>", "x");
  ck_assert(t.status == SMTPF_OK && t.n == 0);
  t.ev.own = 1;
  fake_sender(&t, "<>");
  ck_assert_int_eq(fake_run(&t, SMTPF_BODY), SMTPF_OK);
  fake_reset(); /* without keys nothing could be proven */
  fake_set("local_domains", "example.net");
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_assert(t.status == SMTPF_OK && t.n == 0);
  fake_set("batv.keys", "some key of BATV's own");
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, HEADER));
  ck_only(&t, SMTPF_HIT, "unproven");
}
END_TEST

/* ---- not ours ------------------------------------------------------------------------------------------ */

static int not_ours(const char *header)
{
  static const struct smtpf_task none;
  t = none;
  mark[0] = '\0';
  comes("<>", "<alice@example.net>", quoting(WITH_MESSAGE, header));
  const smtpf_str fact = smtpf_task_fact(&t, BOUNCE_FACT_NOT_OURS);
  ck_only(&t, SMTPF_HIT, fact.n ? "not-ours" : "unproven");
  close_it();
  return fact.n == 1 && fact.p[0] == '1';
}

START_TEST(whose)
{
  ck_assert(not_ours(OTHER));
  ck_assert(!not_ours(HEADER));
  ck_assert(!not_ours("From: <spam@example.com>\r\nMessage-ID: <x@example.com>\r\nTo: x\r\n")); /* no Received */
  ck_assert(!not_ours("Received: by mail.example.com\r\nSubject: x\r\n"));                      /* whose, then? */
  ck_assert(!not_ours(OTHER "Received: from mail.example.com by MX.Example.Net; now\r\n"));
  ck_assert(!not_ours(OTHER "Received: from x ([198.51.100.9])\r\n\tby relay.example.com\r\n"));
  ck_assert(!not_ours(OTHER "Received: from x ([IPv6:::ffff:198.51.100.9]) by relay.example.com\r\n"));
  ck_assert(!not_ours(OTHER "Received: from x (198.51.100.9) by relay.example.com\r\n"));
  ck_assert(!not_ours(OTHER "Return-Path: <alice@example.net>\r\n"));
  ck_assert(!not_ours(OTHER "Sender: <list@lists.example.net>\r\n"));
  ck_assert(!not_ours(OTHER "X-Original-To: <x@example.edu>\r\n"));
  ck_assert(!not_ours(OTHER "Resent-From: x@xn--bcher-kva.example\r\n"));
  ck_assert(not_ours(OTHER "Received: by notexample.net with x\r\n"));
  ck_assert(not_ours(OTHER "Received: by example.net.example.com with x\r\n"));
  ck_assert(not_ours(OTHER "Subject: example.net\r\nTo: <bob@example.net>\r\n"));
}
END_TEST

/* Of a block that was too long to be looked at whole nothing is said. */
START_TEST(cut)
{
  char header[8192] = OTHER "Received: from ";
  size_t n = strlen(header);
  memset(header + n, 'a', 5000);
  memcpy(header + n + 5000, " x\r\n", 5);
  t = (struct smtpf_task){0};
  mark[0] = '\0';
  comes("<>", "<alice@example.net>", quoting(AS_TEXT, header));
  ck_only(&t, SMTPF_HIT, "unproven");
}
END_TEST

/* Daemons with a name are read, and never refused. */
START_TEST(daemons)
{
  static const char *const senders[] = {"<MAILER-DAEMON@example.org>", "<postmaster@example.org>"};
  for (size_t i = 0; i < 2; i++) {
    comes(senders[i], "<alice@example.net>", quoting(WITH_MESSAGE, OTHER));
    ck_assert(t.status == SMTPF_OK && t.n == 0);
    ck_assert(smtpf_str_equal_nocase(smtpf_task_fact(&t, BOUNCE_FACT_NOT_OURS), SMTPF_LIT("1")));
    close_it();
  }
}
END_TEST

START_TEST(scores)
{
  fake_set("bounce.not_ours", "2.5");
  open_it(&smtpf_check_backscatter);
  ck_assert_int_eq(fake_run(&t, SMTPF_EOM), SMTPF_OK);
  ck_assert_uint_eq(t.n, 0);
  smtpf_task_fact_set(&t, BOUNCE_FACT_NOT_OURS, SMTPF_LIT("01"), 0);
  fake_run(&t, SMTPF_EOM);
  ck_only(&t, SMTPF_HIT, "not-ours");
  ck_assert_int_eq(t.findings[0].score, 2500);
  ck_assert_uint_eq(t.findings[0].recipient, 2);
  ck_assert_uint_eq(t.findings[0].flags, 0);
  close_it();
  fake_reset();
  fake_set("bounce.not_ours", "off");
  open_it(&smtpf_check_backscatter);
  ck_assert_ptr_null(t.self);
}
END_TEST

/* ---- the report ---------------------------------------------------------------------------------------- */

static bounce_reader reader;
static size_t blocks;

static void on_block(void *user, const bounce_block *b)
{
  (void)user;
  blocks += bounce_block_fields(b) >= 2;
}

static void read_piece(void *user, const smtpf_piece *p)
{
  bounce_reader_piece(user, p);
}

static int kind_of(const char *message)
{
  blocks = 0;
  bounce_reader_init(&reader, NULL, SMTPF_LIT(""), on_block, NULL);
  piece_walk(smtpf_str_of(message), 3, read_piece, &reader);
  bounce_reader_end(&reader);
  return reader.kind;
}

static void said(int field, const char *text)
{
  ck_assert_uint_eq(reader.report[field].n, strlen(text));
  ck_assert(!memcmp(reader.report[field].p, text, strlen(text)));
}

START_TEST(report)
{
  mark[0] = '\0';
  ck_assert_int_eq(kind_of(quoting(WITH_HEADERS, HEADER)), BOUNCE_DELIVERY_STATUS);
  ck_assert_uint_eq(reader.recipients, 2);
  ck_assert_uint_eq(blocks, 1);
  said(BOUNCE_REPORTING_MTA, "dns; mx.example.org");
  said(BOUNCE_ENVELOPE_ID, "e");
  said(BOUNCE_ORIGINAL_RECIPIENT, "rfc822; bob@example.org");
  said(BOUNCE_FINAL_RECIPIENT, "rfc822; robert@example.org");
  said(BOUNCE_ACTION, "failed");
  said(BOUNCE_STATUS, "5.1.1");
  said(BOUNCE_DIAGNOSTIC, "smtp; 550 no");
  comes("<>", "<alice@example.net>", bounce_room);
  ck_assert_str_eq(t.findings[0].detail,
                   "delivery-status: failed 5.1.1 for rfc822; robert@example.org by dns; mx.example.org");
}
END_TEST

START_TEST(kinds)
{
  static const struct {
    int kind;
    const char *message;
  } rows[] = {
      {BOUNCE_NONE, "Subject: lunch\r\n\r\nNote: at twelve\r\nFrom: here\r\n"},
      {BOUNCE_QUOTES, "Subject: x\r\n\r\nFrom: a\r\nTo: b\r\n"},
      {BOUNCE_QUOTES, "Content-Type: message/rfc822\r\n\r\nFrom: a\r\nTo: b\r\n\r\n"},
      {BOUNCE_DELIVERY_STATUS, "Content-Type: multipart/report; boundary=b; REPORT-TYPE = \"delivery-status\"\r\n\r\n"},
      {BOUNCE_DELIVERY_STATUS, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                               "Content-Type: message/global-delivery-status\r\n\r\nAction: failed\r\n"},
      {BOUNCE_NONE, "Content-Type: multipart/mixed; boundary=b; report-type=delivery-status\r\n\r\n"},
      {BOUNCE_NONE, "Content-Type: multipart/report; boundary=b; x-report-type=delivery-status\r\n\r\n"},
      {BOUNCE_DISPOSITION, "Content-Type: multipart/report; report-type=disposition-notification\r\n\r\n"},
      {BOUNCE_FEEDBACK, "Content-Type: multipart/report;report-type=feedback-report;boundary=b\r\n\r\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(kind_of(rows[i].message) == rows[i].kind, "%zu: %s", i, bounce_kind_name(reader.kind));
}
END_TEST

Suite *bounce_suite(void)
{
  Suite *s = suite_create("bounce");
  TCase *c = tcase_create("bounce");
  tcase_add_checked_fixture(c, fresh, close_it);
  tcase_add_test(c, mark_form);
  tcase_add_test(c, mark_replaced);
  tcase_add_test(c, not_marked);
  tcase_add_test(c, no_crypto);
  tcase_add_test(c, bad_keys);
  tcase_add_loop_test(c, proven, 0, FORMS);
  tcase_add_loop_test(c, proven_quoted, 0, 5);
  tcase_add_test(c, proves_to_its_sender);
  tcase_add_test(c, another_identifier);
  tcase_add_test(c, made_up);
  tcase_add_test(c, age);
  tcase_add_test(c, keys_change);
  tcase_add_test(c, signed_address);
  tcase_add_test(c, too_many_marks);
  tcase_add_test(c, unreadable);
  tcase_add_test(c, not_looked_at);
  tcase_add_test(c, whose);
  tcase_add_test(c, cut);
  tcase_add_test(c, daemons);
  tcase_add_test(c, scores);
  tcase_add_test(c, report);
  tcase_add_test(c, kinds);
  suite_add_tcase(s, c);
  return s;
}
