/* SPDX-License-Identifier: MIT
 *
 * Commands, lines and messages, dialogue by dialogue: what went in, and what the log of wire_feed.h must say.
 */
#include <stdio.h>

#include "wire_suites.h"

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
  static const char *const lines[] = {"EHLO",
                                      "HELO ",
                                      "VRFY",
                                      "EXPN",
                                      "DATA now",
                                      "RSET x",
                                      "QUIT x",
                                      "MAIL",
                                      "MAIL FROM",
                                      "MAIL FROM:",
                                      "MAIL FROM: ",
                                      "MAIL FROM:  <a@b>",
                                      "MAIL TO:<a@b>",
                                      "RCPT FROM:<>",
                                      "MAIL FROM:<a@b",
                                      "MAIL FROM:<a@b>x",
                                      "RCPT TO:<\"a>",
                                      "MAIL  FRO:<>",
                                      "BDAT",
                                      "MAIL FROM:<a@b> SIZE=x",
                                      "MAIL FROM:<> SIZE=",
                                      "MAIL FROM:<> SIZE=1 SIZE=1",
                                      "MAIL FROM:<> SMTPUTF8=1",
                                      "MAIL FROM:<> RET=x",
                                      "MAIL FROM:<> ENVID=a+zz",
                                      "MAIL FROM:<> =",
                                      "RCPT TO:<a@b> NOTIFY=NEVER,DELAY",
                                      "RCPT TO:<a@b> NOTIFY=,",
                                      "RCPT TO:<a@b> ORCPT=a"};
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
  ck_assert_str_eq(log, BANNER "VIOLATION 555 5.5.4\n< 555 parameter not announced\\r\\n\n"
                               "COMMAND BDAT? [0 LAST]\n< 500 Unknown command\\r\\n\n"
                               "COMMAND AUTH? [PLAIN]\n< 500 Unknown command\\r\\n\n");
  free(log);
}
END_TEST

START_TEST(size_is_kept_to)
{
  smtpf_smtpd_options o = feed_options();
  o.message_max = 10;
  static const char in[] =
      "EHLO c\r\nMAIL FROM:<> SIZE=11\r\n" OPEN "DATA\r\n0123456\r\n89\r\n.\r\n" OPEN "DATA\r\n01234567\r\n.\r\n";
  static const char mid[] = "COMMAND MAIL [<a@b.example>]\n< 250 2.1.0 OK\\r\\n\n"
                            "COMMAND RCPT [<c@d.example>]\n< 250 2.1.5 OK\\r\\n\nCOMMAND DATA []\n< 354 Go on\\r\\n\n";
  char want[4096];
  snprintf(want, sizeof want,
           BANNER "COMMAND EHLO [c]\n< 250-mx.example.net\\r\\n250-PIPELINING\\r\\n250-SIZE 10\\r\\n250-8BITMIME\\r\\n"
                  "250-SMTPUTF8\\r\\n250-DSN\\r\\n250-CHUNKING\\r\\n250-AUTH PLAIN LOGIN\\r\\n250 "
                  "ENHANCEDSTATUSCODES\\r\\n\n"
                  "VIOLATION 552 5.3.4\n< 552 5.3.4 message is larger than we take (limits.message)\\r\\n\n"
                  "COMMAND HELO [c]\n< 250 mx.example.net\\r\\n\n%s"
                  "BODY \"0123456\\r\\n8\"\nVIOLATION 552 5.3.4\n< 552 5.3.4 message is larger than we take "
                  "(limits.message)\\r\\n\n"
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
              GREETED "VIOLATION 500 5.5.2\n< 500 5.5.2 " text "\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n")
  BAD_LINE("NOOP\n", "line must end in CRLF, not in a bare LF");
  BAD_LINE("\n", "line must end in CRLF, not in a bare LF");
  BAD_LINE("NO\rOP\r\n", "line with a bare CR");
  BAD_LINE("NOOP\r\r\n", "line with a bare CR");
  BAD_LINE("NO\0OP\r\n", "line with a NUL");
  BAD_LINE("NOOP \x07\r\n", "line with a control character");
  BAD_LINE("NOOP \x7f\r\n", "line with a control character");
  BAD_LINE("WHAT \xe9\r\n", "command with bytes beyond ASCII");
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
              GREETED "VIOLATION 501 5.5.2\n< 501 5.5.2 command with bytes beyond ASCII\\r\\n\n");
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
      ck_assert_msg(strcmp(log, GREETED "VIOLATION 500 5.5.2\n< 500 5.5.2 line too long (limits.line)\\r\\n\n"
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
  expect(DATA "x\r\n.\r\n.\r\n",
         MESSAGE "BODY \"x\\r\\n\"\n" TAKEN "COMMAND .? []\n< 500 5.5.1 Unknown command\\r\\n\n");
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
  ck_assert_str_eq(f.log, OPENED
                   "COMMAND DATA []\n< 554 5.7.1 As the test wants\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(forbidden_bytes)
{
  smtpf_smtpd_options o = feed_options();
#define FORBIDDEN(in, body, text)                                                                                      \
  expect_with(&o, DATA in "\r\n.\r\nQUIT\r\n", sizeof(DATA in "\r\n.\r\nQUIT\r\n") - 1,                                \
              MESSAGE body "VIOLATION 554 5.6.0\n< 554 5.6.0 " text                                                    \
                           "\\r\\n\nCOMMAND QUIT []\n< 221 2.0.0 Bye\\r\\n\n")
#define CR "message with a bare CR: lines must end in CRLF"
#define LF "message with a bare LF: lines must end in CRLF"
  FORBIDDEN("a\nb", "BODY \"a\"\n", LF);
  FORBIDDEN("a\rb", "BODY \"a\"\n", CR);
  FORBIDDEN("a\r\r\nb", "BODY \"a\"\n", CR);
  FORBIDDEN("a\r\n.\nb", "BODY \"a\\r\\n\"\n", LF);
  FORBIDDEN("a\r\n.\rb", "BODY \"a\\r\\n\"\n", CR);
  FORBIDDEN("a\r\n.\r\r\nb", "BODY \"a\\r\\n\"\n", CR);
  FORBIDDEN("a\0b", "BODY \"a\"\n", "message with a NUL byte");
  FORBIDDEN("a\r\0\nb\nc", "BODY \"a\"\n", CR); /* the first is named */
  FORBIDDEN("\n.\r\nMAIL FROM:<x@y>\r", "", LF);
  o.line_ends = SMTPF_LINE_ENDS_NORMALISE;
  FORBIDDEN("a\nb\0", "BODY \"a\\r\\nb\"\n", "message with a NUL byte");
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
  ck_assert_ptr_nonnull(
      strstr(log, "VIOLATION 554 5.6.0\n< 554 5.6.0 message with a line too long (limits.text_line)"));
  free(log);
}
END_TEST

Suite *smtpf_suite_wire_command(void)
{
  Suite *suite = suite_create("wire commands and messages");
  const TTest *const tests[] = {every_command,
                                what_is_not_announced_is_unknown,
                                brackets_are_added,
                                bad_arguments,
                                parameters_not_announced,
                                size_is_kept_to,
                                bad_lines,
                                bytes_beyond_ascii,
                                line_limit,
                                dots,
                                data_refused,
                                forbidden_bytes,
                                normalised,
                                long_lines_in_messages,
                                NULL};
  add_case(suite, "command", tests);
  return suite;
}
