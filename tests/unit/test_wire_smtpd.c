/* SPDX-License-Identifier: MIT
 *
 * The server codec, dialogue by dialogue: what went in, and what the log of wire_feed.h must say.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/smtpd.h"
#include "wire_feed.h"

#define BANNER "< 220 mx.example.net ESMTP\\r\\n\n"
#define HELO BANNER "COMMAND HELO [c]\n< 250 mx.example.net\\r\\n\n"
#define GREET "HELO c\r\n"
#define OPENED                                                                                                         \
  HELO "COMMAND MAIL [<a@b.example>]\n< 250 2.1.0 OK\\r\\n\nCOMMAND RCPT [<c@d.example>]\n< 250 2.1.5 OK\\r\\n\n"
#define OPEN GREET "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
#define MESSAGE OPENED "COMMAND DATA []\n< 354 Go on\\r\\n\n"
#define DATA OPEN "DATA\r\n"
#define TAKEN "END last\n< 250 2.0.0 Taken\\r\\n\n"

/* Log of `in` after what GREET logs, whole and by bytes. */
static void expect_with(const smtpf_smtpd_options *o, const char *in, size_t n, const char *want)
{
  static const int sizes[] = {FEED_WHOLE, 1, 7, 64, FEED_RANDOM};
  int bad = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *got = feed_log(o, in, n, sizes[i], &bad);
    if (strcmp(got, want) != 0)
      fprintf(stderr, "pieces of %d\nGOT\n%s\nWANT\n%s\n", sizes[i], got, want);
    ck_assert_str_eq(got, want);
    free(got);
  }
  ck_assert_int_eq(bad, 0);
}

static void expect(const char *in, const char *want)
{
  smtpf_smtpd_options o = feed_options();
  expect_with(&o, in, strlen(in), want);
}

/* One line after HELO gives this event. */
static void expect_event(const char *line, const char *event)
{
  smtpf_smtpd_options o = feed_options();
  char in[4096], want[4096];
  int bad = 0;
  snprintf(in, sizeof in, "%s%s", GREET, line);
  snprintf(want, sizeof want, "%s%s\n", HELO, event);
  for (int size = 0; size < 3; size++) {
    char *got = feed_log(&o, in, strlen(in), size, &bad);
    if (strncmp(got, want, strlen(want)) != 0)
      fprintf(stderr, "GOT\n%s\nWANT\n%s\n", got, want);
    ck_assert(strncmp(got, want, strlen(want)) == 0);
    free(got);
  }
}

/* ---- commands ----------------------------------------------------------------------------------- */

START_TEST(every_command)
{
  expect_event("EHLO [192.0.2.1]\r\n", "COMMAND EHLO [[192.0.2.1]]");
  expect_event("helo  a.example \r\n", "COMMAND helo [a.example]");
  expect_event("MAIL FROM:<>\r\n", "COMMAND MAIL [<>]");
  expect_event("mail from: <a@b.example>\r\n", "COMMAND mail [<a@b.example>]");
  expect_event("MAIL FROM:<a@b.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=x+3Dy AUTH=<>\r\n",
               "COMMAND MAIL [<a@b.example>] {SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=x+3Dy AUTH=<>}");
  expect_event("RCPT TO:<@x,@y:a@b.example>\r\n", "COMMAND RCPT [<@x,@y:a@b.example>]");
  expect_event("RCPT TO:<\"a> \\\" b\"@b.example> NOTIFY=SUCCESS,delay ORCPT=rfc822;a@b\r\n",
               "COMMAND RCPT [<\"a> \\x5c\" b\"@b.example>] {NOTIFY=SUCCESS,delay ORCPT=rfc822;a@b}");
  expect_event("DATA\r\n", "COMMAND DATA []");
  expect_event("rset \r\n", "COMMAND rset []");
  expect_event("NOOP whatever <it> is\r\n", "COMMAND NOOP [whatever <it> is]");
  expect_event("QUIT\r\n", "COMMAND QUIT []");
  expect_event("VRFY someone\r\n", "COMMAND VRFY [someone]");
  expect_event("EXPN list\r\n", "COMMAND EXPN [list]");
  expect_event("HELP\r\n", "COMMAND HELP []");
  expect_event("HELP MAIL\r\n", "COMMAND HELP [MAIL]");
  expect_event("GET / HTTP/1.1\r\n", "COMMAND GET? [/ HTTP/1.1]");
  expect_event("\r\n", "COMMAND ? []");
  expect_event("MAILX FROM:<a@b>\r\n", "COMMAND MAILX? [FROM:<a@b>]");
  expect_event("A MAIL\r\n", "COMMAND A? [MAIL]");
}
END_TEST

START_TEST(what_is_not_announced_is_unknown)
{
  expect_event("STARTTLS\r\n", "COMMAND STARTTLS? []");
  expect_event("XCLIENT ADDR=192.0.2.1\r\n", "COMMAND XCLIENT? [ADDR=192.0.2.1]");
  expect_event("LHLO c\r\n", "COMMAND LHLO? [c]");
}
END_TEST

START_TEST(brackets_are_added)
{
  expect_event("MAIL FROM:a@b.example\r\n", "COMMAND MAIL [<a@b.example>]");
  expect_event("RCPT TO: a@b.example NOTIFY=NEVER\r\n", "COMMAND RCPT [<a@b.example>] {NOTIFY=NEVER}");
  expect_event("MAIL FROM:a@b.example>\r\n", "VIOLATION 501 5.5.4");
  expect_event("MAIL FROM:a<b@c.example>\r\n", "VIOLATION 501 5.5.4");
}
END_TEST

START_TEST(bad_arguments)
{
  static const char *const lines[] = {"EHLO",          "HELO ",        "VRFY",           "EXPN",
                                      "DATA now",      "RSET x",       "QUIT x",         "MAIL",
                                      "MAIL FROM",     "MAIL FROM:",   "MAIL FROM: ",    "MAIL FROM:  <a@b>",
                                      "MAIL TO:<a@b>", "RCPT FROM:<>", "MAIL FROM:<a@b", "MAIL FROM:<a@b>x",
                                      "RCPT TO:<\"a>", "MAIL  FRO:<>", "BDAT",           "MAIL FROM:<a@b> SIZE=x",
                                      "MAIL FROM:<> SIZE=", "MAIL FROM:<> SIZE=1 SIZE=1", "MAIL FROM:<> SMTPUTF8=1",
                                      "MAIL FROM:<> RET=x", "MAIL FROM:<> ENVID=a+zz", "MAIL FROM:<> =",
                                      "RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "RCPT TO:<a@b> NOTIFY=,", "RCPT TO:<a@b> ORCPT=a"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    char line[128];
    snprintf(line, sizeof line, "%s\r\n", lines[i]);
    expect_event(line, "VIOLATION 501 5.5.4");
  }
}
END_TEST

START_TEST(parameters_not_announced)
{
  expect_event("MAIL FROM:<a@b> FOO=1\r\n", "VIOLATION 555 5.5.4");
  expect_event("MAIL FROM:<a@b> NOTIFY=NEVER\r\n", "VIOLATION 555 5.5.4");
  expect_event("RCPT TO:<a@b> SIZE=1\r\n", "VIOLATION 555 5.5.4");
  expect_event("MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "VIOLATION 555 5.5.4");
  smtpf_smtpd_options o = feed_options();
  o.extensions = 0;
  int bad = 0;
  static const char in[] = "MAIL FROM:<a@b> SIZE=1\r\nBDAT 0 LAST\r\nAUTH PLAIN\r\n";
  char *log = feed_log(&o, in, sizeof in - 1, FEED_WHOLE, &bad);
  ck_assert_str_eq(log, BANNER "VIOLATION 555 5.5.4\n< 555 Parameter not announced\\r\\n\n"
                               "COMMAND BDAT? [0 LAST]\n< 500 Unknown command\\r\\n\n"
                               "COMMAND AUTH? [PLAIN]\n< 500 Unknown command\\r\\n\n");
  free(log);
}
END_TEST

START_TEST(size_is_kept_to)
{
  smtpf_smtpd_options o = feed_options();
  o.message_max = 10;
  static const char in[] = "EHLO c\r\nMAIL FROM:<> SIZE=11\r\n" OPEN "DATA\r\n0123456\r\n89\r\n.\r\n" OPEN
                           "DATA\r\n01234567\r\n.\r\n";
  static const char mid[] = "COMMAND MAIL [<a@b.example>]\n< 250 2.1.0 OK\\r\\n\n"
                            "COMMAND RCPT [<c@d.example>]\n< 250 2.1.5 OK\\r\\n\nCOMMAND DATA []\n< 354 Go on\\r\\n\n";
  char want[4096];
  snprintf(want, sizeof want,
           BANNER "COMMAND EHLO [c]\n< 250-mx.example.net\\r\\n250-PIPELINING\\r\\n250-SIZE 10\\r\\n250-8BITMIME\\r\\n"
                  "250-SMTPUTF8\\r\\n250-DSN\\r\\n250-CHUNKING\\r\\n250-AUTH PLAIN LOGIN\\r\\n250 "
                  "ENHANCEDSTATUSCODES\\r\\n\n"
                  "VIOLATION 552 5.3.4\n< 552 5.3.4 Message too big: limit message_max\\r\\n\n"
                  "COMMAND HELO [c]\n< 250 mx.example.net\\r\\n\n%s"
                  "BODY \"0123456\\r\\n8\"\nVIOLATION 552 5.3.4\n< 552 5.3.4 Message too big: limit message_max\\r\\n\n"
                  "COMMAND HELO [c]\n< 250 mx.example.net\\r\\n\n%sBODY \"01234567\\r\\n\"\n" TAKEN,
           mid, mid);
  expect_with(&o, in, sizeof in - 1, want);
}
END_TEST

/* ---- lines -------------------------------------------------------------------------------------- */

START_TEST(bad_lines)
{
  smtpf_smtpd_options o = feed_options();
#define BAD_LINE(in, text)                                                                                             \
  expect_with(&o, GREET in "NOOP\r\n", sizeof(GREET in "NOOP\r\n") - 1,                                                \
              HELO "VIOLATION 500 5.5.2\n< 500 5.5.2 " text "\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n")
  BAD_LINE("NOOP\n", "Line must end in CRLF, not in a bare LF");
  BAD_LINE("\n", "Line must end in CRLF, not in a bare LF");
  BAD_LINE("NO\rOP\r\n", "Line with a bare CR");
  BAD_LINE("NOOP\r\r\n", "Line with a bare CR");
  BAD_LINE("NO\0OP\r\n", "Line with a NUL");
  BAD_LINE("NOOP \x07\r\n", "Line with a control character");
  BAD_LINE("NOOP \x7f\r\n", "Line with a control character");
  BAD_LINE("WHAT \xe9\r\n", "Command with bytes beyond ASCII");
}
END_TEST

START_TEST(bytes_beyond_ascii)
{
  expect_event("MAIL FROM:<\xc3\xa9@b.example> SMTPUTF8\r\n", "COMMAND MAIL [<\\xc3\\xa9@b.example>] {SMTPUTF8}");
  expect_event("EHLO \xc3\xa9\r\n", "VIOLATION 501 5.5.2");
  smtpf_smtpd_options o = feed_options();
  o.extensions &= ~(unsigned)SMTPF_EXT_SMTPUTF8;
  static const char in[] = GREET "MAIL FROM:<\xc3\xa9@b.example>\r\n";
  expect_with(&o, in, sizeof in - 1,
              HELO "VIOLATION 501 5.5.2\n< 501 5.5.2 Command with bytes beyond ASCII\\r\\n\n");
}
END_TEST

START_TEST(line_limit)
{
  smtpf_smtpd_options o = feed_options();
  o.line_max = 600;
  for (size_t n = 590; n < 1900; n += n < 610 ? 1 : 211) {
    char in[2100] = GREET "NOOP ";
    size_t at = strlen(in), line = 5;
    while (line < n - 2) {
      in[at++] = line % 100 == 99 && n > 610 ? '\n' : 'x'; /* a bare LF does not end what is too long already */
      if (in[at - 1] == '\n' && line < 600)
        in[at - 1] = 'x';
      line++;
    }
    memcpy(in + at, "\r\nNOOP\r\n", 9);
    char *log = feed_log(&o, in, at + 8, (int)(n % 3) * 7, &(int){0});
    if (n <= 600)
      ck_assert_ptr_nonnull(strstr(log, "COMMAND NOOP [xx"));
    else
      ck_assert_msg(strcmp(log, HELO "VIOLATION 500 5.5.2\n< 500 5.5.2 Line too long: limit line_max\\r\\n\n"
                                     "COMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n") == 0,
                    "%zu: %s", n, log);
    free(log);
  }
}
END_TEST

/* ---- messages ----------------------------------------------------------------------------------- */

START_TEST(dots)
{
  expect(DATA "a\r\n..b\r\n.c\r\n...\r\n.\r\nQUIT\r\n",
         MESSAGE "BODY \"a\\r\\n.b\\r\\nc\\r\\n..\\r\\n\"\n" TAKEN "COMMAND QUIT []\n< 221 2.0.0 Bye\\r\\n\n");
  expect(DATA ".\r\n", MESSAGE TAKEN);
  expect(DATA "\r\n.\r\n", MESSAGE "BODY \"\\r\\n\"\n" TAKEN);
  expect(DATA "x\r\n.\r\n.\r\n", MESSAGE "BODY \"x\\r\\n\"\n" TAKEN "COMMAND .? []\n< 500 5.5.1 Unknown command\\r\\n\n");
}
END_TEST

START_TEST(data_refused)
{
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  f.refuse[SMTPF_VERB_DATA] = 554;
  static const char in[] = DATA "NOOP\r\n";
  feed_give(&f, in, sizeof in - 1, 1);
  ck_assert_str_eq(f.log, OPENED "COMMAND DATA []\n< 554 5.7.1 As the test wants\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(forbidden_bytes)
{
  smtpf_smtpd_options o = feed_options();
#define FORBIDDEN(in, body, text)                                                                                      \
  expect_with(&o, DATA in "\r\n.\r\nQUIT\r\n", sizeof(DATA in "\r\n.\r\nQUIT\r\n") - 1,                                \
              MESSAGE body "VIOLATION 554 5.6.0\n< 554 5.6.0 " text "\\r\\n\nCOMMAND QUIT []\n< 221 2.0.0 Bye\\r\\n\n")
#define CR "Message with a bare CR: lines must end in CRLF"
#define LF "Message with a bare LF: lines must end in CRLF"
  FORBIDDEN("a\nb", "BODY \"a\"\n", LF);
  FORBIDDEN("a\rb", "BODY \"a\"\n", CR);
  FORBIDDEN("a\r\r\nb", "BODY \"a\"\n", CR);
  FORBIDDEN("a\r\n.\nb", "BODY \"a\\r\\n\"\n", LF);
  FORBIDDEN("a\r\n.\rb", "BODY \"a\\r\\n\"\n", CR);
  FORBIDDEN("a\r\n.\r\r\nb", "BODY \"a\\r\\n\"\n", CR);
  FORBIDDEN("a\0b", "BODY \"a\"\n", "Message with a NUL byte");
  FORBIDDEN("a\r\0\nb\nc", "BODY \"a\"\n", CR); /* the first is named */
  FORBIDDEN("\n.\r\nMAIL FROM:<x@y>\r", "", LF);
  o.line_ends = SMTPF_LINE_ENDS_NORMALISE;
  FORBIDDEN("a\nb\0", "BODY \"a\\r\\nb\"\n", "Message with a NUL byte");
}
END_TEST

START_TEST(normalised)
{
  smtpf_smtpd_options o = feed_options();
  o.line_ends = SMTPF_LINE_ENDS_NORMALISE;
#define NORMALISED(in, body)                                                                                           \
  expect_with(&o, DATA in "\r\n.\r\n", sizeof(DATA in "\r\n.\r\n") - 1, MESSAGE "BODY \"" body "\"\n" TAKEN)
  NORMALISED("a\nb", "a\\r\\nb\\r\\n");
  NORMALISED("a\rb", "a\\r\\nb\\r\\n");
  NORMALISED("a\r\r\nb", "a\\r\\n\\r\\nb\\r\\n");
  NORMALISED("a\n\rb", "a\\r\\n\\r\\nb\\r\\n");
  NORMALISED("a\n.\r\nb", "a\\r\\n.\\r\\nb\\r\\n"); /* a line of the message: stuffed again when sent on */
  NORMALISED("a\r\n.\nb", "a\\r\\n\\r\\nb\\r\\n");
  NORMALISED("a\r.\r\nb", "a\\r\\n.\\r\\nb\\r\\n");
}
END_TEST

START_TEST(long_lines_in_messages)
{
  smtpf_smtpd_options o = feed_options();
  o.text_line_max = 1000;
  char in[1200] = DATA;
  size_t at = strlen(in);
  memset(in + at, 'x', 999);
  memcpy(in + at + 999, "\r\n.\r\n", 5);
  int bad = 0;
  char *log = feed_log(&o, in, at + 1004, 7, &bad);
  ck_assert_ptr_nonnull(strstr(log, "VIOLATION 554 5.6.0\n< 554 5.6.0 Message with a line too long: limit text_line_max"));
  free(log);
}
END_TEST

/* ---- pipelining --------------------------------------------------------------------------------- */

/* The whole input in one read. */
static void expect_early(const char *in, const char *want)
{
  smtpf_smtpd_options o = feed_options();
  o.extensions |= SMTPF_EXT_STARTTLS;
  struct feed f;
  feed_open(&f, &o);
  f.flags = 1;
  feed_give(&f, in, strlen(in), FEED_WHOLE);
  char *events = f.log; /* without replies */
  size_t n = 0;
  for (char *line = f.log; *line;) {
    size_t k = strcspn(line, "\n") + 1;
    if (*line != '<') {
      memmove(events + n, line, k);
      n += k;
    }
    line += k;
  }
  events[n] = '\0';
  ck_assert_str_eq(events, want);
  feed_close(&f);
}

START_TEST(early_talk)
{
  expect_early("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n",
               "COMMAND EHLO [c]\nCOMMAND MAIL [<>] early\nCOMMAND RCPT [<a@b>]\nCOMMAND DATA []\n");
  expect_early("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\n",
               "COMMAND HELO [c]\nCOMMAND MAIL [<>] early\nCOMMAND RCPT [<a@b>] early\n");
  expect_early("EHLO c\r\n", "COMMAND EHLO [c]\n");
  expect_early("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nx\r\n.\r\nRSET\r\nNOOP\r\nRSET\r\n",
               "COMMAND EHLO [c]\nCOMMAND MAIL [<>] early\nCOMMAND RCPT [<a@b>]\nCOMMAND DATA []\nearly body\n"
               "BODY \"x\\r\\n\"\nEND last\nCOMMAND RSET []\nCOMMAND NOOP []\nCOMMAND RSET [] early\n");
  expect_early("EHLO c\r\nAUTH PLAIN\r\nlast\r\nVRFY x\r\nQUIT\r\nNOOP\r\n",
               "COMMAND EHLO [c]\nCOMMAND AUTH [PLAIN] early\nLINE \"last\" early\nCOMMAND VRFY [x] early\n"
               "COMMAND QUIT [] early\n");
  expect_early("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 2\r\nx\nBDAT 0 LAST\r\nRSET\r\n",
               "COMMAND EHLO [c]\nCOMMAND MAIL [<>] early\nCOMMAND RCPT [<a@b>]\nCOMMAND BDAT [2] 2\nBODY \"x\"\n"
               "VIOLATION 554 5.6.0\nVIOLATION 503 5.5.1\nCOMMAND RSET []\n");
}
END_TEST

START_TEST(early_while_the_answer_is_due)
{
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, NULL), SMTPF_OK);
  const char *in = "EHLO c\r\nNOOP\r\n";
  size_t n = 14;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_ESTATE); /* before the banner */
  ck_assert_uint_eq(n, 14);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  n = 8;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  ck_assert_int_eq(ev.pipelined, 1);
  ck_assert_uint_eq(n, 0);
  n = 6;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_ESTATE); /* before EHLO's reply */
  ck_assert_int_gt(smtpf_smtpd_reply(c, 250, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  ck_assert_int_eq(ev.verb, SMTPF_VERB_NOOP);
  ck_assert_int_eq(ev.pipelined, 1);
  smtpf_smtpd_free(c);
}
END_TEST

/* ---- TLS, AUTH, XCLIENT ------------------------------------------------------------------------- */

START_TEST(starttls_drops_what_follows)
{
  smtpf_smtpd_options o = feed_options();
  o.extensions |= SMTPF_EXT_STARTTLS;
  struct feed f;
  feed_open(&f, &o);
  f.flags = 1;
  static const char in[] = "EHLO c\r\n", tls[] = "STARTTLS\r\nMAIL FROM:<injected@b>\r\n", junk[] = "RSET\r\n";
  feed_give(&f, in, sizeof in - 1, FEED_WHOLE);
  feed_give(&f, tls, sizeof tls - 1, FEED_WHOLE);
  feed_give(&f, junk, sizeof junk - 1, FEED_WHOLE); /* before TLS is up */
  ck_assert_ptr_null(strstr(f.log, "injected"));
  ck_assert_ptr_null(strstr(f.log, "RSET"));
  smtpf_smtpd_tls(f.codec);
  size_t before = f.log_n;
  feed_give(&f, in, sizeof in - 1, FEED_WHOLE);
  feed_give(&f, tls, 10, FEED_WHOLE);
  ck_assert_str_eq(f.log + before,
                   "COMMAND EHLO [c] early\n< 250-mx.example.net\\r\\n250-PIPELINING\\r\\n250-SIZE\\r\\n250-8BITMIME\\r\\n"
                   "250-SMTPUTF8\\r\\n250-DSN\\r\\n250-CHUNKING\\r\\n250-AUTH PLAIN LOGIN\\r\\n"
                   "250 ENHANCEDSTATUSCODES\\r\\n\nCOMMAND STARTTLS? []\n< 500 5.5.1 Unknown command\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(half_a_line_does_not_outlive_tls)
{
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  feed_give(&f, "MAIL FROM:<in", 13, FEED_WHOLE);
  ck_assert_uint_gt(smtpf_smtpd_memory(f.codec), sizeof *f.codec);
  smtpf_smtpd_tls(f.codec);
  ck_assert_uint_eq(smtpf_smtpd_memory(f.codec), sizeof *f.codec);
  feed_give(&f, "NOOP\r\n", 6, FEED_WHOLE);
  ck_assert_str_eq(f.log, BANNER "COMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(auth_exchange)
{
  expect(GREET "AUTH LOGIN\r\ndXNlcg==\r\nlast\r\nNOOP\r\n",
         HELO "COMMAND AUTH [LOGIN]\n< 334 VXNlcm5hbWU6\\r\\n\nLINE \"dXNlcg==\"\n< 334 UGFzc3dvcmQ6\\r\\n\n"
              "LINE \"last\"\n< 235 2.7.0 Authenticated\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n");
  expect(GREET "AUTH LOGIN\r\nab\ncd\r\n",
         HELO "COMMAND AUTH [LOGIN]\n< 334 VXNlcm5hbWU6\\r\\n\nVIOLATION 500 5.5.2\n"
              "< 500 5.5.2 Line must end in CRLF, not in a bare LF\\r\\n\nCOMMAND cd? []\n< 500 5.5.1 Unknown command\\r\\n\n");
}
END_TEST

START_TEST(auth_lines_may_be_long)
{
  smtpf_smtpd_options o = feed_options();
  char in[16384];
  for (size_t n = 12286; n <= 12290; n++) {
    size_t at = (size_t)snprintf(in, sizeof in, "%sauth PLAIN ", GREET), begun = at - 11;
    memset(in + at, 'A', n);
    at = begun + n;
    memcpy(in + at - 2, "\r\nNOOP\r\n", 8);
    int bad = 0;
    char *log = feed_log(&o, in, at + 6, n & 1 ? 13 : FEED_WHOLE, &bad);
    ck_assert_ptr_nonnull(strstr(log, n <= SMTPF_AUTH_LINE_MAX ? "COMMAND auth [PLAIN AAA" : "Line too long"));
    ck_assert_ptr_nonnull(strstr(log, n <= SMTPF_AUTH_LINE_MAX ? "LINE \"NOOP\"" : "COMMAND NOOP"));
    free(log);
  }
}
END_TEST

START_TEST(long_challenge_is_one_line)
{
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX], text[2000];
  memset(text, 'A', sizeof text);
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, NULL), SMTPF_OK);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  const char *in = "AUTH GSSAPI\r\n";
  size_t n = 13;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 334, SMTPF_LIT(""), (smtpf_str){text, sizeof text}, out, sizeof out), 2006);
  smtpf_smtpd_free(c);
}
END_TEST

START_TEST(xclient_starts_anew)
{
  smtpf_smtpd_options o = feed_options();
  o.extensions |= SMTPF_EXT_XCLIENT | SMTPF_EXT_XFORWARD;
  static const char in[] = GREET "XFORWARD NAME=x\r\nXCLIENT ADDR=192.0.2.1\r\n";
  expect_with(&o, in, sizeof in - 1,
              HELO "COMMAND XFORWARD [NAME=x]\n< 250 2.0.0 OK\\r\\n\n"
                   "COMMAND XCLIENT [ADDR=192.0.2.1]\n< 220 mx.example.net ESMTP\\r\\n\n");
}
END_TEST

/* ---- LMTP --------------------------------------------------------------------------------------- */

START_TEST(lmtp_replies_for_each)
{
  smtpf_smtpd_options o = feed_options();
  o.protocol = SMTPF_LMTP;
  o.extensions = SMTPF_EXT_ENHANCEDSTATUSCODES | SMTPF_EXT_CHUNKING;
  static const char in[] = "EHLO c\r\nLHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\nDATA\r\nx\r\n.\r\n"
                           "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 1\r\nxBDAT 2 LAST\r\n\r\n"
                           "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n\n\r\n.\r\n";
#define MAILED "COMMAND MAIL [<>]\n< 250 2.1.0 OK\\r\\n\n"
#define RCPTED(a) "COMMAND RCPT [<" a "@b>]\n< 250 2.1.5 OK\\r\\n\n"
  expect_with(&o, in, sizeof in - 1,
              "< 220 mx.example.net LMTP\\r\\n\nCOMMAND EHLO? [c]\n< 500 5.5.1 Unknown command\\r\\n\n"
              "COMMAND LHLO [c]\n< 250-mx.example.net\\r\\n250-CHUNKING\\r\\n250 ENHANCEDSTATUSCODES\\r\\n\n" MAILED
              RCPTED("a") RCPTED("c") "COMMAND DATA []\n< 354 Go on\\r\\n\nBODY \"x\\r\\n\"\nEND last\n"
                                      "< 250 2.0.0 Taken\\r\\n250 2.0.0 Taken\\r\\n\n" MAILED RCPTED("a")
                                      "COMMAND BDAT [1] 1\nBODY \"x\"\nEND chunk\n< 250 2.0.0 Taken\\r\\n\n"
                                      "BODY \"\\r\\n\"\nEND last\n< 250 2.0.0 Taken\\r\\n\n" MAILED RCPTED("a")
              RCPTED("a") "COMMAND DATA []\n< 354 Go on\\r\\n\nVIOLATION 554 5.6.0\n"
                          "< 554 5.6.0 Message with a bare LF: lines must end in CRLF\\r\\n"
                          "554 5.6.0 Message with a bare LF: lines must end in CRLF\\r\\n\n");
}
END_TEST

/* ---- the codec itself --------------------------------------------------------------------------- */

START_TEST(options_are_checked)
{
  smtpf_smtpd *c = NULL;
  smtpf_smtpd_options o = feed_options(), bad;
  bad = o, bad.size = 0;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  bad = o, bad.line_max = 511;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  bad = o, bad.text_line_max = 999;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  bad = o, bad.hostname = SMTPF_LIT("mx\nSIZE 1");
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  bad = o, bad.protocol = 3;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  bad = o, bad.extensions = 1u << 20;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &bad, NULL), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpd_new(&c, NULL, NULL), SMTPF_EINVAL);
  ck_assert_ptr_null(c);
  smtpf_smtpd_free(NULL);
}
END_TEST

START_TEST(answers_are_due_once)
{
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c;
  char out[SMTPF_REPLY_MAX];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 199, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 600, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, 3), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_smtpd_answer(c, NULL, out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 250, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_smtpd_answer(c, NULL, out, sizeof out), SMTPF_ESTATE);
  smtpf_smtpd_free(c);
}
END_TEST

START_TEST(closed_is_closed)
{
  expect(GREET "QUIT\r\nNOOP\r\n", HELO "COMMAND QUIT []\n< 221 2.0.0 Bye\\r\\n\n");
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  f.refuse[SMTPF_VERB_NOOP] = 421;
  feed_give(&f, "NOOP\r\nNOOP\r\n", 12, 1);
  ck_assert_str_eq(f.log, BANNER "COMMAND NOOP []\n< 421 4.7.1 As the test wants\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(replies_cannot_be_split)
{
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX + 1];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, NULL), SMTPF_OK);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  const char *in = "NOOP\r\n";
  size_t n = 6;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  int r = smtpf_smtpd_reply(c, 550, SMTPF_LIT("5.7.1\r\n250"), SMTPF_LIT("no\r\n250 yes\n\0x"), out, sizeof out - 1);
  ck_assert_int_gt(r, 0);
  out[r] = '\0';
  ck_assert_str_eq(out, "550-no?\r\n550-250 yes\r\n550 ?x\r\n");
  smtpf_smtpd_free(c);
}
END_TEST

START_TEST(idle_codec_is_small)
{
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  static const char in[] = OPEN "MAIL FROM:long.and.split@across.reads.example\r\n";
  feed_give(&f, in, sizeof in - 1, 3);
  ck_assert_uint_le(smtpf_smtpd_memory(f.codec), 300);
  ck_assert_uint_le(f.held_max, 300 + 128);
  feed_close(&f);
}
END_TEST

/* ---- no memory ---------------------------------------------------------------------------------- */

static void *miser_realloc(void *user, void *p, size_t n)
{
  long *left = user;
  return (*left)-- > 0 ? realloc(p, n) : NULL;
}

static void *miser_alloc(void *user, size_t n)
{
  return miser_realloc(user, NULL, n);
}

static void miser_free(void *user, void *p)
{
  (void)user;
  free(p);
}

START_TEST(without_memory_nothing_is_lost)
{
  long left = 0;
  smtpf_mem mem = {sizeof mem, &left, miser_alloc, miser_realloc, miser_free};
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c = NULL;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, &mem), SMTPF_ENOMEM);
  ck_assert_ptr_null(c);
  left = 1;
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, &mem), SMTPF_OK);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  static const char *const parts[] = {"MAIL FR", "OM:a@b.example\r\n", "RCPT TO:c@d.example\r\n"};
  for (int i = 0; i < 3; i++) {
    const char *in = parts[i];
    size_t n = strlen(in);
    int r = smtpf_smtpd_next(c, &in, &n, &ev);
    if (i != 1) { /* a part of a line, and a line that needs brackets, want memory */
      ck_assert_int_eq(r, SMTPF_ENOMEM);
      ck_assert_uint_eq(n, strlen(parts[i]));
      left = 1;
      r = smtpf_smtpd_next(c, &in, &n, &ev);
      left = 0;
    }
    ck_assert_int_eq(r, i == 0 ? SMTPF_PENDING : SMTPF_OK);
    if (i)
      ck_assert_int_gt(smtpf_smtpd_reply(c, 250, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  }
  smtpf_smtpd_free(c);
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {
    every_command, what_is_not_announced_is_unknown, brackets_are_added, bad_arguments, parameters_not_announced,
    size_is_kept_to, bad_lines, bytes_beyond_ascii, line_limit, dots, data_refused, forbidden_bytes, normalised,
    long_lines_in_messages, early_talk, early_while_the_answer_is_due, starttls_drops_what_follows,
    half_a_line_does_not_outlive_tls, auth_exchange, auth_lines_may_be_long, long_challenge_is_one_line,
    xclient_starts_anew, lmtp_replies_for_each, options_are_checked, answers_are_due_once, closed_is_closed,
    replies_cannot_be_split, idle_codec_is_small, without_memory_nothing_is_lost};
  Suite *suite = suite_create("wire smtpd");
  TCase *c = tcase_create("smtpd");
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    tcase_add_test(c, tests[i]);
  suite_add_tcase(suite, c);
  SRunner *r = srunner_create(suite);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
