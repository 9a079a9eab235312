/* SPDX-License-Identifier: MIT
 *
 * Replies: RFC 5321 4.2 and 4.5.3.1.5, RFC 2034, RFC 3463. What is written is exactly one reply, whatever went in.
 */
#include <smtpfilter/ext/mail.h>
#include <smtpfilter/wire.h>

#include "mail/reply.h"
#include "suites.h"

static char out[SMTPF_REPLY_MAX + 100];

static smtpf_str reply(int code, smtpf_str enhanced, smtpf_str text)
{
  int n = smtpf_reply_format(code, enhanced, text, out, SMTPF_REPLY_MAX);
  ck_assert_int_gt(n, 0);
  return (smtpf_str){out, (size_t)n};
}

/* Reads a whole reply as a client does. Fails unless it is one, of this code, in lines of 512 bytes at most. */
static unsigned one_reply(smtpf_str r, int want)
{
  unsigned lines = 0;
  int code, more = 1;
  while (r.n) {
    MUST(more);
    const char *end = memchr(r.p, '\n', r.n);
    MUST(end);
    size_t n = (size_t)(end - r.p) + 1;
    MUST(n >= 2 && n <= SMTPF_REPLY_LINE_MAX && end[-1] == '\r');
    MUST(smtpf_reply_line((smtpf_str){r.p, n - 2}, &code, &more, NULL) == SMTPF_OK && code == want);
    for (size_t i = 0; i < n - 2; i++)
      MUST(r.p[i] >= 0x20 && r.p[i] < 0x7f);
    r.p += n;
    r.n -= n;
    lines++;
  }
  ck_assert(!more);
  return lines;
}

START_TEST(writing)
{
  ASSERT_STR(reply(250, S("2.1.0"), S("Ok")), "250 2.1.0 Ok\r\n");
  ASSERT_STR(reply(250, S(""), S("Ok")), "250 Ok\r\n");
  ASSERT_STR(reply(250, S("2.0.0"), S("")), "250 2.0.0 \r\n");
  ASSERT_STR(reply(354, S("3.0.0"), S("go")), "354 go\r\n");
  ASSERT_STR(reply(250, S(""), S("mx.example\nPIPELINING\nSIZE 1")),
             "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 1\r\n");
  ASSERT_STR(reply(550, S("5.7.1"), S("one\ntwo\n")), "550-5.7.1 one\r\n550 5.7.1 two\r\n");
  ASSERT_STR(reply(550, S("5.7.1"), S("one\n\ntwo")), "550-5.7.1 one\r\n550-5.7.1 \r\n550 5.7.1 two\r\n");
  ASSERT_STR(reply(550, S(""), S("a\r\n250 injected\0\t\x7f\xc3\xb6")), "550-a?\r\n550 250 injected?????\r\n");
}
END_TEST

START_TEST(enhanced_codes_that_do_not_fit_are_left_out)
{
  const char *bad[] = {"2.7.1",  "4.7.1",    "5.7",      "5.7.",   "5..1", "5.7.1.",
                       "5.7.1 ", "5.7.1000", "5.1000.1", "5.07.1", "x",    "5.7.1\r\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ASSERT_STR(reply(550, smtpf_str_of(bad[i]), S("no")), "550 no\r\n");
  ASSERT_STR(reply(550, S("5.0.0"), S("no")), "550 5.0.0 no\r\n");
  ASSERT_STR(reply(450, S("4.999.999"), S("no")), "450 4.999.999 no\r\n");
}
END_TEST

START_TEST(arguments)
{
  int codes[] = {-1, 0, 99, 199, 600, 2500};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    ck_assert_int_eq(smtpf_reply_format(codes[i], S(""), S("x"), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_reply_format(250, S("2.0.0"), S("Ok"), out, 14), 14);
  for (size_t cap = 0; cap < 14; cap++)
    ck_assert_int_eq(smtpf_reply_format(250, S("2.0.0"), S("Ok"), out, cap), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_reply_format(250, S(""), S("a\nb"), out, 13), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_reply_format(250, S(""), S("a\nb"), out, 14), 14);
}
END_TEST

START_TEST(long_lines_are_wrapped)
{
  char text[2000];
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = i % 10 == 9 ? ' ' : 'w';
  smtpf_str r = reply(550, S("5.7.1"), (smtpf_str){text, sizeof text});
  ck_assert_uint_eq(one_reply(r, 550), 4);
  for (size_t i = 2; i < r.n; i++) /* broken at spaces only: no word is shorter than nine bytes */
    if (r.p[i] == '\r' && i + 2 < r.n)
      ck_assert(memcmp(r.p + i - 9, "wwwwwwwww", 9) == 0);

  memset(text, 'x', sizeof text);
  r = reply(550, S("5.7.1"), (smtpf_str){text, 501});
  ck_assert_uint_eq(one_reply(r, 550), 2);
  r = reply(550, S("5.7.1"), (smtpf_str){text, 500}); /* 4 + 6 + 500 + 2 */
  ck_assert_uint_eq(one_reply(r, 550), 1);
  ck_assert_uint_eq(r.n, SMTPF_REPLY_LINE_MAX);

  memset(text, ' ', sizeof text);
  one_reply(reply(550, S("5.7.1"), (smtpf_str){text, sizeof text}), 550);
}
END_TEST

START_TEST(the_whole_is_bounded)
{
  static char text[20000];
  memset(text, 'x', sizeof text);
  smtpf_str r = reply(550, S("5.7.1"), (smtpf_str){text, sizeof text});
  ck_assert_uint_eq(one_reply(r, 550), 8);
  memset(text, '\n', sizeof text);
  r = reply(550, S("5.7.1"), (smtpf_str){text, sizeof text});
  ck_assert_uint_gt(one_reply(r, 550), 300);
  ck_assert_uint_le(r.n, SMTPF_REPLY_MAX);
  ck_assert_int_eq(smtpf_reply_format(550, S(""), (smtpf_str){text, sizeof text}, out, SMTPF_REPLY_MAX - 1),
                   SMTPF_ELIMIT);
}
END_TEST

START_TEST(any_bytes_make_one_reply)
{
  uint64_t seed = 5321;
  char text[1500], enhanced[12];
  for (int i = 0; i < 1000; i++) {
    size_t n = next_random(&seed) % sizeof text, m = next_random(&seed) % sizeof enhanced;
    for (size_t k = 0; k < n; k++)
      text[k] = next_random(&seed) % 3 ? (char)next_random(&seed) : "\r\n 250-"[next_random(&seed) % 7];
    for (size_t k = 0; k < m; k++)
      enhanced[k] = "245.0123\r\n "[next_random(&seed) % 11];
    int code = 200 + (int)(next_random(&seed) % 400);
    one_reply(reply(code, (smtpf_str){enhanced, m}, (smtpf_str){text, n}), code);
  }
}
END_TEST

START_TEST(reading)
{
  int code = 7, more = 7;
  smtpf_str text = S("t");
  ck_assert_int_eq(smtpf_reply_line(S("250-first line"), &code, &more, &text), SMTPF_OK);
  ck_assert(code == 250 && more == 1);
  ASSERT_STR(text, "first line");
  ck_assert_int_eq(smtpf_reply_line(S("599 "), &code, &more, &text), SMTPF_OK);
  ck_assert(code == 599 && more == 0);
  ASSERT_STR(text, "");
  ck_assert_int_eq(smtpf_reply_line(S("200"), &code, &more, &text), SMTPF_OK);
  ck_assert(code == 200 && more == 0);
  ck_assert_int_eq(smtpf_reply_line(S("354 gr\xc3\xbc\xc3\x9f"), NULL, NULL, NULL), SMTPF_OK);
  const smtpf_str bad[] = {S(""),         S("25"),       S("199 x"),     S("600 x"),  S("2x0 x"),
                           S("250x"),     S("250\tx"),   S("2500 x"),    S(" 250 x"), S("250 a\rb"),
                           S("250 a\nb"), S("250 a\0b"), S("250 a\r\n"), S("-50 x")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_int_eq(smtpf_reply_line(bad[i], &code, &more, &text), SMTPF_EPARSE);
  ck_assert(code == 200 && more == 0);
}
END_TEST

START_TEST(enhanced_codes_are_read)
{
  smtpf_str enhanced = S("e"), rest = S("r");
  ck_assert_int_eq(smtpf_enhanced_parse(S("5.7.1 No"), 550, &enhanced, &rest), 1);
  ASSERT_STR(enhanced, "5.7.1");
  ASSERT_STR(rest, "No");
  ck_assert_int_eq(smtpf_enhanced_parse(S("4.999.123"), 0, &enhanced, &rest), 1);
  ASSERT_STR(enhanced, "4.999.123");
  ASSERT_STR(rest, "");
  ck_assert_int_eq(smtpf_enhanced_parse(S("2.0.0  Ok"), 250, &enhanced, NULL), 1);
  enhanced = S("e");
  const char *bad[] = {"",        "5",        "5.7.1No", "5.7.1.1 x",   "5.7.1000 x", "3.0.0 x",
                       "1.0.0 x", " 5.7.1 x", "5.7",     "192.0.2.1 x", "5.7.x"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(smtpf_enhanced_parse(smtpf_str_of(bad[i]), 0, &enhanced, &rest) == 0, "%s", bad[i]);
  ck_assert_int_eq(smtpf_enhanced_parse(S("4.7.1 No"), 550, &enhanced, &rest), 0);
  ASSERT_STR(enhanced, "e");
}
END_TEST

Suite *smtpf_suite_mail_reply(void)
{
  Suite *s = suite_create("mail reply");
  const TTest *written[] = {writing,
                            enhanced_codes_that_do_not_fit_are_left_out,
                            arguments,
                            long_lines_are_wrapped,
                            the_whole_is_bounded,
                            any_bytes_make_one_reply,
                            NULL};
  const TTest *read[] = {reading, enhanced_codes_are_read, NULL};
  add_case(s, "writing", written);
  add_case(s, "reading", read);
  return s;
}
