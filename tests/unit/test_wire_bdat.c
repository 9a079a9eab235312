/* SPDX-License-Identifier: MIT
 *
 * BDAT (RFC 3030): chunks, what stands between them, refusals.
 */
#include <stdio.h>

#include "wire_suites.h"

#define CHUNK "END chunk\n< 250 2.0.0 Taken\\r\\n\n"
#define NOOPED "COMMAND NOOP []\n< 250 2.0.0 OK\\r\\n\n"
#define RESET "VIOLATION 503 5.5.1\n< 503 5.5.1 message was refused: send RSET\\r\\n\n"

START_TEST(chunks)
{
  expect(OPEN "BDAT 4\r\na\r\n.BDAT 3\r\n\r\n.bdat 4 last\r\nNOOPNOOP\r\n", OPENED
         "COMMAND BDAT [4] 4\nBODY \"a\\r\\n.\"\n" CHUNK "BODY \"\\r\\n.\"\n" CHUNK "BODY \"NOOP\"\n" TAKEN NOOPED);
  expect(OPEN "BDAT 0\r\nBDAT 0\r\nBDAT 0 LAST\r\nNOOP\r\n", OPENED "COMMAND BDAT [0] 0\n" CHUNK CHUNK TAKEN NOOPED);
  expect(OPEN "BDAT 0 LAST\r\nNOOP\r\n", OPENED "COMMAND BDAT [0 LAST] 0 last\n" TAKEN NOOPED);
  expect(OPEN "BDAT 5 LAST\r\n.\r\n\r\nNOOP\r\n",
         OPENED "COMMAND BDAT [5 LAST] 5 last\nBODY \".\\r\\n\\r\\n\"\n" TAKEN NOOPED);
}
END_TEST

START_TEST(a_line_end_may_be_parted_by_chunks)
{
  expect(OPEN "BDAT 2\r\na\rBDAT 2 LAST\r\n\nb",
         OPENED "COMMAND BDAT [2] 2\nBODY \"a\"\n" CHUNK "BODY \"\\r\\nb\"\n" TAKEN);
}
END_TEST

START_TEST(two_messages)
{
  expect(OPEN "BDAT 1 LAST\r\naMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 1 LAST\r\nb",
         OPENED "COMMAND BDAT [1 LAST] 1 last\nBODY \"a\"\n" TAKEN "COMMAND MAIL [<>]\n< 250 2.1.0 OK\\r\\n\n"
                "COMMAND RCPT [<a@b>]\n< 250 2.1.5 OK\\r\\n\nCOMMAND BDAT [1 LAST] 1 last\nBODY \"b\"\n" TAKEN);
}
END_TEST

START_TEST(forbidden_in_chunks)
{
  smtpf_smtpd_options o = feed_options();
#define REFUSED "VIOLATION 554 5.6.0\n< 554 5.6.0 message with a "
#define PROPER ": lines must end in CRLF\\r\\n\n"
#define IN_CHUNK(in, want) expect_with(&o, OPEN in, sizeof(OPEN in) - 1, OPENED want)
  IN_CHUNK("BDAT 3\r\na\nbBDAT 4\r\nRSETNOOP\r\nBDAT 0 LAST\r\nRSET\r\nNOOP\r\n",
           "COMMAND BDAT [3] 3\nBODY \"a\"\n" REFUSED "bare LF" PROPER RESET NOOPED RESET
           "COMMAND RSET []\n< 250 2.0.0 OK\\r\\n\n" NOOPED);
  IN_CHUNK("BDAT 2 LAST\r\na\rNOOP\r\n", "COMMAND BDAT [2 LAST] 2 last\nBODY \"a\"\n" REFUSED "bare CR" PROPER NOOPED);
  IN_CHUNK("BDAT 3 LAST\r\na\0bNOOP\r\n",
           "COMMAND BDAT [3 LAST] 3 last\nBODY \"a\"\n" REFUSED "NUL byte\\r\\n\n" NOOPED);
  o.line_ends = SMTPF_LINE_ENDS_NORMALISE;
  IN_CHUNK("BDAT 2\r\na\rBDAT 2 LAST\r\nb\r",
           "COMMAND BDAT [2] 2\nBODY \"a\"\n" CHUNK "BODY \"\\r\\nb\\r\\n\"\n" TAKEN);
}
END_TEST

START_TEST(refused_chunks_are_swallowed)
{
  static const int sizes[] = {FEED_WHOLE, 1, 7, FEED_RANDOM};
  static const char in[] = OPEN "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\nBDAT 0\r\n";
  for (size_t i = 0; i < 4; i++) {
    smtpf_smtpd_options o = feed_options();
    struct feed f;
    feed_open(&f, &o);
    f.refuse[SMTPF_VERB_BDAT] = 451;
    feed_give(&f, in, sizeof in - 1, sizes[i]);
    ck_assert_str_eq(f.log, OPENED "COMMAND BDAT [6] 6\nEND chunk\n< 451 4.7.1 As the test wants\\r\\n\n" RESET
                                   "COMMAND RSET []\n< 250 2.0.0 OK\\r\\n\n"
                                   "COMMAND BDAT [0] 0\nEND chunk\n< 451 4.7.1 As the test wants\\r\\n\n");
    feed_close(&f);
  }
}
END_TEST

START_TEST(closing_waits_for_the_chunk)
{
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  f.refuse[SMTPF_VERB_BDAT] = 421;
  static const char in[] = "BDAT 6\r\nQUIT\r\nNOOP\r\n";
  feed_give(&f, in, sizeof in - 1, 5);
  ck_assert_str_eq(f.log, BANNER "COMMAND BDAT [6] 6\nEND chunk\n< 421 4.7.1 As the test wants\\r\\n\n");
  feed_close(&f);
}
END_TEST

START_TEST(not_mixed_with_others)
{
  static const char *const others[] = {"MAIL FROM:<>", "RCPT TO:<a@b>", "DATA", "AUTH PLAIN"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    char in[512];
    snprintf(in, sizeof in, "%sBDAT 1\r\na%s\r\nBDAT 1 LAST\r\nb", OPEN, others[i]);
    expect(in, OPENED "COMMAND BDAT [1] 1\nBODY \"a\"\n" CHUNK
                      "VIOLATION 503 5.5.1\n< 503 5.5.1 message begun by BDAT is not complete\\r\\n\n" RESET);
  }
  expect(OPEN "BDAT 1\r\naNOOP\r\nBDAT 1 LAST\r\nb",
         OPENED "COMMAND BDAT [1] 1\nBODY \"a\"\n" CHUNK NOOPED "BODY \"b\"\n" TAKEN);
  expect(OPEN "BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nb",
         OPENED "COMMAND BDAT [1] 1\nBODY \"a\"\n" CHUNK
                "COMMAND RSET []\n< 250 2.0.0 OK\\r\\n\nCOMMAND BDAT [1 LAST] 1 last\nBODY \"b\"\n" TAKEN);
}
END_TEST

START_TEST(a_violation_between_chunks_spoils_the_message)
{
  expect(OPEN "BDAT 1\r\naNOOP\nBDAT 1 LAST\r\nb",
         OPENED "COMMAND BDAT [1] 1\nBODY \"a\"\n" CHUNK
                "VIOLATION 500 5.5.2\n< 500 5.5.2 line must end in CRLF, not in a bare LF\\r\\n\n" RESET);
}
END_TEST

START_TEST(sizes_that_cannot_be_read)
{
  static const char *const sizes[] = {"x",       "-1",     "1x", "99999999999999999999", "18446744073709551616",
                                      "1 FIRST", "1  LAST"};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char in[512];
    snprintf(in, sizeof in, "%sBDAT %s\r\nNOOP\r\n", OPEN, sizes[i]);
    expect(in, OPENED "VIOLATION 501 5.5.4 fatal\n< 501 5.5.4 syntax: BDAT size [LAST]\\r\\n\n");
  }
  expect(OPEN "BDAT\r\nNOOP\r\n", OPENED "VIOLATION 501 5.5.4\n< 501 5.5.4 syntax: BDAT size [LAST]\\r\\n\n" NOOPED);
}
END_TEST

START_TEST(too_many_chunks)
{
  smtpf_smtpd_options o = feed_options();
  struct feed f;
  feed_open(&f, &o);
  feed_give(&f, OPEN, sizeof OPEN - 1, FEED_WHOLE);
  for (int i = 0; i < 65535; i++)
    feed_give(&f, "BDAT 0\r\n", 8, FEED_WHOLE);
  ck_assert_ptr_null(strstr(f.log, "VIOLATION"));
  feed_give(&f, "BDAT 0\r\n", 8, FEED_WHOLE);
  ck_assert_ptr_nonnull(strstr(f.log, "VIOLATION 552 5.3.4"));
  feed_close(&f);
}
END_TEST

START_TEST(without_memory_a_refusal_is_short)
{
  struct miser miser = {1, 0};
  smtpf_mem mem = miser_mem(&miser);
  smtpf_smtpd_options o = feed_options();
  smtpf_smtpd *c;
  smtpf_smtpd_event ev;
  char out[SMTPF_REPLY_MAX];
  ck_assert_int_eq(smtpf_smtpd_new(&c, &o, &mem), SMTPF_OK);
  ck_assert_int_gt(smtpf_smtpd_reply(c, 220, S(""), S(""), out, sizeof out), 0);
  const char *in = "BDAT 2\r\nab";
  size_t n = 10;
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  ck_assert_int_eq(smtpf_smtpd_reply(c, 503, S("5.5.1"), S("no mail"), out, sizeof out), 0);
  ck_assert_int_eq(smtpf_smtpd_next(c, &in, &n, &ev), SMTPF_OK);
  ck_assert_int_eq(ev.kind, SMTPF_SMTPD_END);
  ck_assert_int_eq(ev.last, 0);
  ck_assert_int_eq(smtpf_smtpd_answer(c, NULL, out, 3), SMTPF_ELIMIT);
  int r = smtpf_smtpd_answer(c, NULL, out, sizeof out);
  ASSERT_STR(((smtpf_str){out, (size_t)r}), "503 refused\r\n");
  smtpf_smtpd_free(c);
}
END_TEST

Suite *smtpf_suite_wire_bdat(void)
{
  Suite *suite = suite_create("wire BDAT");
  const TTest *const tests[] = {chunks,
                                a_line_end_may_be_parted_by_chunks,
                                two_messages,
                                forbidden_in_chunks,
                                refused_chunks_are_swallowed,
                                closing_waits_for_the_chunk,
                                not_mixed_with_others,
                                a_violation_between_chunks_spoils_the_message,
                                sizes_that_cannot_be_read,
                                too_many_chunks,
                                without_memory_a_refusal_is_short,
                                NULL};
  add_case(suite, "bdat", tests);
  return suite;
}
