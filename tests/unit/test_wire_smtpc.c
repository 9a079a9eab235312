/* SPDX-License-Identifier: MIT
 *
 * The client's side: replies read, commands written, dots stuffed.
 */
#include "mail/reply.h"
#include "wire/scan.h"
#include "wire_suites.h"

/* ---- replies ------------------------------------------------------------------------------------ */

/* Feeds by `size`; returns the last result, and the reply in *r. */
static int read_reply(smtpf_smtpc *c, const char *in, size_t n, size_t size, smtpf_smtpc_reply *r)
{
  int got = SMTPF_PENDING;
  while (n && got == SMTPF_PENDING) {
    size_t k = n < size ? n : size, left = k;
    char *exact = malloc(k);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, in, k);
    const char *p = exact;
    got = smtpf_smtpc_next(c, &p, &left, r);
    in += k - left;
    n -= k - left;
    free(exact);
  }
  return got;
}

static void expect_reply(smtpf_str in, int code, smtpf_str enhanced, smtpf_str text)
{
  for (size_t size = 1; size <= in.n; size += 1 + size / 2) {
    smtpf_smtpc *c;
    smtpf_smtpc_reply r;
    ck_assert_int_eq(smtpf_smtpc_new(&c, 0, NULL), SMTPF_OK);
    for (int twice = 0; twice < 2; twice++) {
      ck_assert_int_eq(read_reply(c, in.p, in.n, size, &r), SMTPF_OK);
      ck_assert_int_eq(r.code, code);
      ck_assert_int_eq(r.enhanced.n == enhanced.n && !memcmp(r.enhanced.p, enhanced.p, enhanced.n), 1);
      ck_assert_msg(r.text.n == text.n && (!text.n || !memcmp(r.text.p, text.p, text.n)), "%.*s", (int)r.text.n,
                    r.text.p);
    }
    smtpf_smtpc_free(c);
  }
}

START_TEST(replies)
{
  expect_reply(S("250 OK\r\n"), 250, S(""), S("OK"));
  expect_reply(S("250\r\n"), 250, S(""), S(""));
  expect_reply(S("250 \r\n"), 250, S(""), S(""));
  expect_reply(S("250-mx.example\r\n250-SIZE 10\r\n250 HELP\r\n"), 250, S(""), S("mx.example\nSIZE 10\nHELP"));
  expect_reply(S("550-5.7.1 first\r\n550-5.7.1\r\n550 5.7.1 last\r\n"), 550, S("5.7.1"), S("first\n\nlast"));
  expect_reply(S("451 4.7.100 later\r\n"), 451, S("4.7.100"), S("later"));
  expect_reply(S("550 4.7.1 of another class\r\n"), 550, S(""), S("4.7.1 of another class"));
  expect_reply(S("220 a\x01\x1b[m\tb\x7f\xc3\xa9\r\n"), 220, S(""), S("a??[m b?\xc3\xa9"));
  expect_reply(S("250-\r\n250-\r\n250 \r\n"), 250, S(""), S("\n\n"));
}
END_TEST

START_TEST(what_is_no_reply)
{
  static const smtpf_str bad[] = {{"hello\r\n", 7},
                                  {"\r\n", 2},
                                  {"25\r\n", 4},
                                  {"199 x\r\n", 7},
                                  {"600 x\r\n", 7},
                                  {"250x\r\n", 6},
                                  {"250 x\n", 6},
                                  {"250-a\r\n251 b\r\n", 14},
                                  {"250 a\0b\r\n", 9},
                                  {"250 a\rb\r\n", 9},
                                  {"250-a\r\nhello\r\n", 14},
                                  {"250 a\r\r\n", 8}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    for (size_t size = 1; size < 20; size += 6) {
      smtpf_smtpc *c;
      smtpf_smtpc_reply r;
      ck_assert_int_eq(smtpf_smtpc_new(&c, 0, NULL), SMTPF_OK);
      ck_assert_int_eq(read_reply(c, bad[i].p, bad[i].n, size, &r), SMTPF_EPARSE);
      ck_assert_int_eq(read_reply(c, "250 x\r\n", 7, size, &r), SMTPF_EPARSE); /* for good */
      smtpf_smtpc_free(c);
    }
}
END_TEST

START_TEST(replies_are_bounded)
{
  for (size_t size = 1; size < 30; size += 4) {
    smtpf_smtpc *c;
    smtpf_smtpc_reply r;
    ck_assert_int_eq(smtpf_smtpc_new(&c, 16, NULL), SMTPF_OK);
    ck_assert_int_eq(read_reply(c, "250-abc\r\n250 d\r\n", 16, size, &r), SMTPF_OK);
    ck_assert_int_eq(read_reply(c, "250-abc\r\n250 de\r\n", 17, size, &r), SMTPF_ELIMIT);
    smtpf_smtpc_free(c);
    ck_assert_int_eq(smtpf_smtpc_new(&c, 16, NULL), SMTPF_OK);
    ck_assert_int_eq(read_reply(c, "xxxxxxxxxxxxxxxxxxxxxxx", 23, size, &r), SMTPF_ELIMIT);
    smtpf_smtpc_free(c);
  }
  smtpf_smtpc_free(NULL);
}
END_TEST

START_TEST(replies_without_memory)
{
  struct miser miser = {0, 0};
  smtpf_mem mem = miser_mem(&miser);
  smtpf_smtpc *c = NULL;
  smtpf_smtpc_reply r;
  const char *in = "250 OK\r\n";
  size_t n = 8;
  ck_assert_int_eq(smtpf_smtpc_new(&c, 0, &mem), SMTPF_ENOMEM);
  ck_assert_ptr_null(c);
  miser.left = 1;
  ck_assert_int_eq(smtpf_smtpc_new(&c, 0, &mem), SMTPF_OK);
  ck_assert_int_eq(smtpf_smtpc_next(c, &in, &n, &r), SMTPF_ENOMEM);
  ck_assert_uint_eq(n, 8);
  miser.left = 1;
  ck_assert_int_eq(smtpf_smtpc_next(c, &in, &n, &r), SMTPF_OK);
  ASSERT_STR(r.text, "OK");
  ck_assert_int_eq(smtpf_smtpc_next(c, &in, &n, &r), SMTPF_PENDING);
  ck_assert_int_eq(miser.blocks, 1); /* the reply's memory is back */
  smtpf_smtpc_free(c);
  ck_assert_int_eq(miser.blocks, 0);
}
END_TEST

/* ---- extensions, commands ----------------------------------------------------------------------- */

START_TEST(extensions)
{
  uint64_t size = 7;
  ck_assert_uint_eq(smtpf_smtpc_extensions(S("SIZE 5 greets you"), &size), 0);
  ck_assert_uint_eq(size, 0);
  unsigned bits =
      smtpf_smtpc_extensions(S("mx\nsize 1000\nPipelining\n8BITMIME\nAUTH=LOGIN\nX-UNKNOWN 1\nENHANCEDSTATUSCODES\n"
                               "DSN\nCHUNKING\nSMTPUTF8\nSTARTTLS\nXCLIENT NAME ADDR\nXFORWARD NAME\nPRDR"),
                             &size);
  ck_assert_uint_eq(bits, (SMTPF_EXT_PRDR << 1) - 1);
  ck_assert_uint_eq(size, 1000);
  ck_assert_uint_eq(smtpf_smtpc_extensions(S("mx\nSIZE\nAUTH PLAIN"), &size), SMTPF_EXT_SIZE | SMTPF_EXT_AUTH);
  ck_assert_uint_eq(size, 0);
  ck_assert_uint_eq(smtpf_smtpc_extensions(S("mx\nSIZE 99999999999999999999"), NULL), SMTPF_EXT_SIZE);
  ck_assert_uint_eq(smtpf_smtpc_extensions(S(""), NULL), 0);
}
END_TEST

START_TEST(commands)
{
  char out[32];
  ck_assert_int_eq(smtpf_smtpc_command("QUIT", S(""), out, sizeof out), 6);
  ck_assert_mem_eq(out, "QUIT\r\n", 6);
  ck_assert_int_eq(smtpf_smtpc_command("MAIL", S("FROM:<a@b>"), out, sizeof out), 17);
  ck_assert_mem_eq(out, "MAIL FROM:<a@b>\r\n", 17);
  ck_assert_int_eq(smtpf_smtpc_command("MAIL", S("FROM:<a@b>"), out, 17), 17);
  ck_assert_int_eq(smtpf_smtpc_command("MAIL", S("FROM:<a@b>"), out, 16), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_smtpc_command("RCPT", S("TO:<a@b>\r\nDATA"), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpc_command("RCPT", S("TO:<a@b>\nDATA"), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpc_command("RCPT", S("TO:<a\0@b>"), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpc_command("QUIT\r\nX", S(""), out, sizeof out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_smtpc_command("", S(""), out, sizeof out), SMTPF_EINVAL);
}
END_TEST

/* ---- dots --------------------------------------------------------------------------------------- */

static void expect_stuffed(smtpf_str in, smtpf_str want)
{
  for (size_t piece = 1; piece <= in.n + 1; piece++)
    for (size_t cap = 1; cap < 20; cap++) {
      smtpf_dot d = {0};
      char got[128], end[5];
      size_t w = 0;
      for (size_t at = 0; at < in.n; at += piece) {
        const char *p = in.p + at;
        size_t n = in.n - at < piece ? in.n - at : piece;
        while (n)
          w += smtpf_dot_stuff(&d, &p, &n, got + w, cap);
      }
      size_t k = smtpf_dot_end(&d, end);
      memcpy(got + w, end, k);
      ck_assert_uint_eq(w + k, want.n);
      ck_assert_mem_eq(got, want.p, want.n);
      ck_assert_uint_eq(d.state, 0);
    }
}

START_TEST(stuffing)
{
  expect_stuffed(S(""), S(".\r\n"));
  expect_stuffed(S("a\r\n"), S("a\r\n.\r\n"));
  expect_stuffed(S("a"), S("a\r\n.\r\n"));
  expect_stuffed(S("a\r"), S("a\r\n.\r\n"));
  expect_stuffed(S("."), S("..\r\n.\r\n"));
  expect_stuffed(S("..\r\n.\r\na.b\r\n.c"), S("...\r\n..\r\na.b\r\n..c\r\n.\r\n"));
  expect_stuffed(S("a\n.\n"), S("a\n..\n.\r\n")); /* foreign line ends: nothing that could be taken for an end */
}
END_TEST

START_TEST(stuffed_and_read_again)
{
  static char in[3000], wire[7000], back[3000];
  uint64_t x = 521288629u;
  for (int round = 0; round < rounds(1500); round++) {
    size_t n = 0, size = next_random(&x) % 2900, w = 0, b = 0;
    while (n < size) {
      uint64_t r = next_random(&x) >> 16;
      if (r % 5 == 0 && n + 2 < size) {
        in[n++] = '\r';
        in[n++] = '\n';
      } else {
        in[n++] = r % 3 ? (char)('a' + r % 26) : '.';
      }
    }
    int whole = n == 0 || in[n - 1] == '\n';
    smtpf_dot d = {0};
    const char *p = in;
    size_t left = n;
    while (left)
      w += smtpf_dot_stuff(&d, &p, &left, wire + w, 1 + next_random(&x) % 400);
    char end[5];
    size_t k = smtpf_dot_end(&d, end);
    memcpy(wire + w, end, k);
    w += k;
    smtpf_scan s = {.line_max = 65536};
    smtpf_scan_start(&s, 1);
    smtpf_str piece;
    int r;
    for (p = wire; (r = smtpf_scan_next(&s, &p, &w, &piece)) == SMTPF_SCAN_PIECE; b += piece.n)
      memcpy(back + b, piece.p, piece.n);
    ck_assert_int_eq(r, SMTPF_SCAN_END);
    ck_assert_int_eq(s.bad, 0);
    ck_assert_uint_eq(w, 0);
    ck_assert_uint_eq(b, whole ? n : n + 2);
    ck_assert_mem_eq(back, in, n);
  }
}
END_TEST

Suite *smtpf_suite_wire_smtpc(void)
{
  Suite *suite = suite_create("wire smtpc");
  const TTest *const tests[] = {replies,
                                what_is_no_reply,
                                replies_are_bounded,
                                replies_without_memory,
                                extensions,
                                commands,
                                stuffing,
                                stuffed_and_read_again,
                                NULL};
  add_case(suite, "smtpc", tests);
  return suite;
}
