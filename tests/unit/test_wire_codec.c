/* SPDX-License-Identifier: MIT
 *
 * The codec around its commands: early talk, TLS, AUTH, LMTP, options, answers, memory.
 */
#include <stdio.h>

#include "wire/smtpd.h"
#include "wire_suites.h"

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
  ck_assert_ptr_nonnull(strstr(f.log, "COMMAND STARTTLS [] early")); /* so that the host can refuse it */
  smtpf_smtpd_tls(f.codec);
  size_t before = f.log_n;
  feed_give(&f, in, sizeof in - 1, FEED_WHOLE);
  feed_give(&f, tls, 10, FEED_WHOLE);
  ck_assert_str_eq(f.log + before,
                   "COMMAND EHLO [c]\n< 250-mx.example.net\\r\\n250-PIPELINING\\r\\n250-SIZE\\r\\n250-8BITMIME\\r\\n"
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
         GREETED "COMMAND AUTH [LOGIN]\n< 334 VXNlcm5hbWU6\\r\\n\nLINE \"dXNlcg==\"\n< 334 UGFzc3dvcmQ6\\r\\n\n"
                 "LINE \"last\"\n< 235 2.7.0 Authenticated\\r\\n\nCOMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n");
  expect(
      GREET "AUTH LOGIN\r\nab\ncd\r\n", GREETED
      "COMMAND AUTH [LOGIN]\n< 334 VXNlcm5hbWU6\\r\\n\nVIOLATION 500 5.5.2\n"
      "< 500 5.5.2 line must end in CRLF, not in a bare LF\\r\\n\nCOMMAND cd? []\n< 500 5.5.1 Unknown command\\r\\n\n");
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
    ck_assert_ptr_nonnull(strstr(log, n <= SMTPF_AUTH_LINE_MAX ? "COMMAND auth [PLAIN AAA" : "line too long"));
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
              GREETED "COMMAND XFORWARD [NAME=x]\n< 250 2.0.0 OK\\r\\n\n"
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
  expect_with(
      &o, in, sizeof in - 1,
      "< 220 mx.example.net LMTP\\r\\n\nCOMMAND EHLO? [c]\n< 500 5.5.1 Unknown command\\r\\n\n"
      "COMMAND LHLO [c]\n< 250-mx.example.net\\r\\n250-CHUNKING\\r\\n250 ENHANCEDSTATUSCODES\\r\\n\n" MAILED RCPTED("a")
          RCPTED("c") "COMMAND DATA []\n< 354 Go on\\r\\n\nBODY \"x\\r\\n\"\nEND last\n"
                      "< 250 2.0.0 Taken\\r\\n250 2.0.0 Taken\\r\\n\n" MAILED RCPTED(
                          "a") "COMMAND BDAT [1] 1\nBODY \"x\"\nEND chunk\n< 250 2.0.0 Taken\\r\\n\n"
                               "BODY \"\\r\\n\"\nEND last\n< 250 2.0.0 Taken\\r\\n\n" MAILED RCPTED("a")
                                   RCPTED("a") "COMMAND DATA []\n< 354 Go on\\r\\n\nVIOLATION 554 5.6.0\n"
                                               "< 554 5.6.0 message with a bare LF: lines must end in CRLF\\r\\n"
                                               "554 5.6.0 message with a bare LF: lines must end in CRLF\\r\\n\n");
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
  expect(GREET "QUIT\r\nNOOP\r\n", GREETED "COMMAND QUIT []\n< 221 2.0.0 Bye\\r\\n\n");
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

START_TEST(without_memory_nothing_is_lost)
{
  struct miser miser = {0, 0};
  smtpf_mem mem = miser_mem(&miser);
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c = NULL;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, &mem), SMTPF_ENOMEM);
  ck_assert_ptr_null(c);
  miser.left = 1;
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
      miser.left = 1;
      r = smtpf_smtpd_next(c, &in, &n, &ev);
      miser.left = 0;
    }
    ck_assert_int_eq(r, i == 0 ? SMTPF_PENDING : SMTPF_OK);
    if (i)
      ck_assert_int_gt(smtpf_smtpd_reply(c, 250, SMTPF_LIT(""), SMTPF_LIT(""), out, sizeof out), 0);
  }
  smtpf_smtpd_free(c);
  ck_assert_int_eq(miser.blocks, 0);
}
END_TEST

Suite *smtpf_suite_wire_codec(void)
{
  Suite *suite = suite_create("wire codec");
  const TTest *const tests[] = {early_talk,
                                early_while_the_answer_is_due,
                                starttls_drops_what_follows,
                                half_a_line_does_not_outlive_tls,
                                auth_exchange,
                                auth_lines_may_be_long,
                                long_challenge_is_one_line,
                                xclient_starts_anew,
                                lmtp_replies_for_each,
                                options_are_checked,
                                answers_are_due_once,
                                closed_is_closed,
                                replies_cannot_be_split,
                                idle_codec_is_small,
                                without_memory_nothing_is_lost,
                                NULL};
  add_case(suite, "codec", tests);
  return suite;
}
