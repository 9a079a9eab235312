/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <smtpfilter/milter.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define BYTES(s) ((smtpf_str){(s), sizeof(s) - 1})
#define ck_is(s, want) ck_assert_msg(smtpf_str_equal((s), BYTES(want)), "%.*s", (int)(s).n, (s).p)

#define ROW(s)                                                                                                         \
  {                                                                                                                    \
    (s), sizeof(s) - 1                                                                                                 \
  }

static smtpf_milter_packet p;
static char room[SMTPF_MILTER_ANSWER_MAX];

static int read_bytes(smtpf_str bytes)
{
  p = (smtpf_milter_packet){.size = sizeof p};
  return smtpf_milter_read(bytes, SMTPF_MILTER_PACKET_MAX, &p);
}
#define read_packet(s) read_bytes(BYTES(s))

/* What was written, without its length, which is true. */
static smtpf_str written(int n)
{
  ck_assert_int_gt(n, 4);
  ck_assert_uint_eq(smtpf_milter_wanted((smtpf_str){room, (size_t)n}), (size_t)n);
  return (smtpf_str){room + 4, (size_t)n - 4};
}

/* ---- reading --------------------------------------------------------------------------------------- */

START_TEST(reads_connect)
{
  ck_assert_int_eq(read_packet("\0\0\0\x1c"
                               "Cmail.example\0004\x9c\x40"
                               "192.0.2.25\0"
                               "next"),
                   32);
  ck_assert_int_eq(p.command, SMTPF_MILTER_CONNECT);
  ck_is(p.name, "mail.example");
  ck_assert_int_eq(p.family, SMTPF_MILTER_FAMILY_INET);
  ck_assert_uint_eq(p.port, 40000);
  ck_is(p.value, "192.0.2.25");
  ck_assert_int_eq(read_packet("\0\0\0\x0d"
                               "Clocalhost\0"
                               "U"),
                   0); /* one byte is missing */
  ck_assert_int_eq(read_packet("\0\0\0\x0c"
                               "Clocalhost\0"
                               "U"),
                   16);
  ck_assert_int_eq(p.family, SMTPF_MILTER_FAMILY_UNKNOWN);
  ck_assert_uint_eq(p.value.n, 0);
}
END_TEST

START_TEST(reads_envelope)
{
  smtpf_str one;
  ck_assert_int_eq(read_packet("\0\0\0\x1b"
                               "M<a@example>\0SIZE=5\0BODY=7\0"),
                   31);
  ck_is(p.name, "<a@example>");
  ck_assert_int_eq(smtpf_milter_string(&p.rest, &one), SMTPF_OK);
  ck_is(one, "SIZE=5");
  ck_assert_int_eq(smtpf_milter_string(&p.rest, &one), SMTPF_OK);
  ck_is(one, "BODY=7");
  ck_assert_int_eq(smtpf_milter_string(&p.rest, &one), SMTPF_ENOTFOUND);
  ck_is(one, "BODY=7"); /* untouched */
}
END_TEST

START_TEST(reads_message)
{
  ck_assert_int_eq(read_packet("\0\0\0\x0d"
                               "LSubject\0 x\n\0"),
                   17);
  ck_is(p.name, "Subject");
  ck_is(p.value, " x\n");
  ck_assert_int_eq(read_packet("\0\0\0\5"
                               "Ba\0b\n"),
                   9);
  ck_is(p.rest, "a\0b\n");
  ck_assert_int_eq(read_packet("\0\0\0\1E"), 5);
  ck_assert_uint_eq(p.rest.n, 0);
}
END_TEST

START_TEST(reads_macros)
{
  ck_assert_int_eq(read_packet("\0\0\0\x29"
                               "DMi\0QID\0{auth_authen}\0alice\0{client_ad}\0\0"),
                   45);
  ck_assert_int_eq(p.stage, SMTPF_MILTER_MAIL);
  ck_is(smtpf_milter_macro(&p, "i"), "QID");
  ck_is(smtpf_milter_macro(&p, "auth_authen"), "alice");
  ck_assert_uint_eq(smtpf_milter_macro(&p, "client_ad").n, 0);
  ck_assert_uint_eq(smtpf_milter_macro(&p, "QID").n, 0); /* a value is no name */
  ck_assert_uint_eq(smtpf_milter_macro(&p, "auth").n, 0);
}
END_TEST

START_TEST(refuses)
{
  static const struct {
    smtpf_str bytes;
    int result;
  } rows[] = {
      {ROW("\0\0\0\0"), SMTPF_ELIMIT},                          /* no letter */
      {ROW("\0\x10\0\1B"), SMTPF_ELIMIT},                       /* more than 1 MiB, said before it comes */
      {ROW("\xff\xff\xff\xff"), SMTPF_ELIMIT},                  /* no number goes over */
      {ROW("\0\0\0\4Habc"), SMTPF_EPARSE},                      /* no end */
      {ROW("\0\0\0\4Ha\0b"), SMTPF_EPARSE},                     /* something behind it */
      {ROW("\0\0\0\1H"), SMTPF_EPARSE},                         /* nothing at all */
      {ROW("\0\0\0\3La\0"), SMTPF_EPARSE},                      /* a name alone */
      {ROW("\0\0\0\5Ma\0bc"), SMTPF_EPARSE},                    /* a parameter without end */
      {ROW("\0\0\0\1D"), SMTPF_EPARSE},                         /* macros for nothing */
      {ROW("\0\0\0\4DMi\0"), SMTPF_EPARSE},                     /* a name alone */
      {ROW("\0\0\0\5DMi\0x"), SMTPF_EPARSE},                    /* a value without end */
      {ROW("\0\0\0\3Ca\0"), SMTPF_EPARSE},                      /* no family */
      {ROW("\0\0\0\5Ca\0004\1"), SMTPF_EPARSE},                 /* half a port */
      {ROW("\0\0\0\7Ca\0004\0\0011"), SMTPF_EPARSE},            /* an address without end */
      {ROW("\0\0\0\x0cO\0\0\0\6\0\0\0\0\0\0\0"), SMTPF_EPARSE}, /* eleven bytes of options */
  };
  ck_assert_int_lt(_i, (int)(sizeof rows / sizeof *rows));
  ck_assert_int_eq(read_bytes(rows[_i].bytes), rows[_i].result);
  ck_assert_int_eq(p.command, 0); /* nothing was written */
}
END_TEST

START_TEST(waits_for_the_whole)
{
  static const char one[] = "\0\0\0\x0dLSubject\0 x\n";
  for (size_t n = 0; n < sizeof one; n++) {
    ck_assert_int_eq(read_bytes((smtpf_str){one, n}), n < 17 ? 0 : 17);
    ck_assert_uint_eq(smtpf_milter_wanted((smtpf_str){one, n}), n < 4 ? 0 : 17);
  }
  p.size = 8;
  ck_assert_int_eq(smtpf_milter_read((smtpf_str){one, 17}, SMTPF_MILTER_PACKET_MAX, &p), SMTPF_EINVAL);
}
END_TEST

START_TEST(does_not_know_letters)
{
  ck_assert_int_eq(read_packet("\0\0\0\3!ab"), 7);
  ck_assert_int_eq(p.command, '!');
}
END_TEST

/* ---- negotiation ----------------------------------------------------------------------------------- */

static const smtpf_str wishes[SMTPF_MILTER_STAGES] = {[SMTPF_MILTER_AT_MAIL] = {"i {x}", 5}};

static int negotiate(smtpf_str bytes, smtpf_milter_terms *t, size_t cap)
{
  ck_assert_int_eq(read_bytes(bytes), (int)bytes.n);
  return smtpf_milter_negotiate(&p, t, wishes, room, cap);
}
#define OFFER(version, actions, protocol) BYTES("\0\0\0\x0dO\0\0\0" version "\0\0" actions "\0" protocol)

START_TEST(agrees)
{
  smtpf_milter_terms t = {6, SMTPF_MILTER_CAN_ADDHDRS | SMTPF_MILTER_CAN_SETSYMLIST,
                          SMTPF_MILTER_NR_HDR | SMTPF_MILTER_HDR_LEADSPC};
  ck_is(written(negotiate(OFFER("\x07", "\x01\xff", "\x1f\xff\xff"), &t, sizeof room)),
        "O\0\0\0\6\0\0\1\1\0\x10\0\x80\0\0\0\2i {x}\0");
  ck_assert_uint_eq(t.protocol, SMTPF_MILTER_NR_HDR | SMTPF_MILTER_HDR_LEADSPC);
}
END_TEST

START_TEST(agrees_with_the_old)
{
  smtpf_milter_terms t = {6, 0x1ff, 0x1fffff};
  ck_is(written(negotiate(OFFER("\x02", "\0\x3f", "\0\0\x7f"), &t, sizeof room)), "O\0\0\0\2\0\0\0\x3f\0\0\0\x7f");
  ck_assert_uint_eq(t.version, 2);
  ck_assert_uint_eq(t.actions, 0x3f); /* no list of macros, since it would not be understood */
}
END_TEST

START_TEST(agrees_on_nothing)
{
  smtpf_milter_terms t = {6, 1, 2};
  ck_assert_int_eq(negotiate(OFFER("\x01", "\0\x0f", "\0\0\x3f"), &t, sizeof room), SMTPF_EUNSUPPORTED);
  ck_assert_int_eq(negotiate(OFFER("\x06", "\0\x0f", "\0\0\x3f"), &t, 16), SMTPF_ELIMIT);
  ck_assert_uint_eq(t.version, 6); /* untouched */
  ck_assert_int_eq(read_packet("\0\0\0\1Q"), 5);
  ck_assert_int_eq(smtpf_milter_negotiate(&p, &t, NULL, room, sizeof room), SMTPF_EINVAL);
}
END_TEST

/* ---- answers --------------------------------------------------------------------------------------- */

static smtpf_str answer(int code, const char *enhanced, const char *text)
{
  return written(smtpf_milter_answer(code, smtpf_str_of(enhanced), smtpf_str_of(text), room, sizeof room));
}

START_TEST(answers)
{
  ck_is(answer(250, "2.0.0", "fine"), "c");
  ck_is(answer(354, "", "go"), "c");
  ck_is(answer(550, "5.7.1", "100% no"), "y550 5.7.1 100%% no\0");
  ck_is(answer(451, "", "later"), "y451 4.0.0 later\0");
  ck_is(answer(550, "5.7.1", "one\ntwo\nthree"), "y550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\0");
  ck_is(answer(554, "5.7.1", ""), "y554 5.7.1 \0");
  ck_is(answer(554, "5.7.1", "a\r\xe9\x7f"), "y554 5.7.1 a???\0");
}
END_TEST

START_TEST(answers_are_bounded)
{
  static char long_text[200000];
  memset(long_text, '%', sizeof long_text - 1);
  ck_assert_uint_lt(answer(550, "5.7.1", long_text).n, 600);
  for (size_t i = 0; i < sizeof long_text - 1; i++)
    if (i % 600 == 0)
      long_text[i] = '\n';
  const smtpf_str all = answer(550, "5.7.1", long_text + 1);
  size_t lines = 1;
  for (size_t i = 0; i < all.n; i++)
    lines += all.p[i] == '\n';
  ck_assert_uint_eq(lines, 32);
  ck_assert_int_eq(smtpf_milter_answer(550, BYTES("5.7.1"), BYTES("abc"), room, 17), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_milter_answer(550, BYTES("5.7.1"), BYTES("abc"), room, 19), 19);
  ck_assert_int_eq(smtpf_milter_letter(SMTPF_MILTER_CONTINUE, room, 4), SMTPF_ELIMIT);
}
END_TEST

/* ---- changes --------------------------------------------------------------------------------------- */

START_TEST(changes_the_envelope)
{
  ck_is(written(smtpf_milter_envelope(SMTPF_MILTER_DELRCPT, BYTES("<b@x>"), BYTES(""), room, sizeof room)), "-<b@x>\0");
  ck_is(written(smtpf_milter_envelope(SMTPF_MILTER_CHGFROM, BYTES("<>"), BYTES("RET=HDRS"), room, sizeof room)),
        "e<>\0RET=HDRS\0");
  ck_is(written(smtpf_milter_envelope(SMTPF_MILTER_QUARANTINE, BYTES("why"), BYTES(""), room, sizeof room)), "qwhy\0");
  ck_assert_int_eq(smtpf_milter_envelope(SMTPF_MILTER_ADDRCPT, BYTES(""), BYTES(""), room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_milter_envelope(SMTPF_MILTER_ADDRCPT, BYTES("<a\0b>"), BYTES(""), room, sizeof room),
                   SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_milter_envelope(SMTPF_MILTER_ADDRCPT_PAR, BYTES("<a>"), BYTES("X\nY"), room, sizeof room),
                   SMTPF_EINVAL);
}
END_TEST

static smtpf_str header(int reply, uint32_t protocol, uint32_t index, const char *value)
{
  const smtpf_milter_terms t = {6, 0x1ff, protocol};
  return written(smtpf_milter_header(reply, &t, index, BYTES("X-A"), smtpf_str_of(value), room, sizeof room));
}

START_TEST(changes_the_header)
{
  ck_is(header(SMTPF_MILTER_INSHEADER, 0, 0, "v"), "i\0\0\0\0X-A\0v\0");
  ck_is(header(SMTPF_MILTER_INSHEADER, SMTPF_MILTER_HDR_LEADSPC, 258, "v"), "i\0\0\1\2X-A\0 v\0");
  ck_is(header(SMTPF_MILTER_ADDHEADER, 0, 7, "v"), "hX-A\0v\0");
  ck_is(header(SMTPF_MILTER_CHGHEADER, SMTPF_MILTER_HDR_LEADSPC, 2, ""), "m\0\0\0\2X-A\0\0");
  const smtpf_milter_terms t = {6, 0, 0};
  ck_assert_int_eq(smtpf_milter_header(SMTPF_MILTER_ADDHEADER, &t, 0, BYTES(""), BYTES("v"), room, 64), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_milter_header(SMTPF_MILTER_ADDHEADER, &t, 0, BYTES("X"), BYTES("a\nb"), room, 64),
                   SMTPF_EINVAL);
}
END_TEST

START_TEST(folds)
{
  char value[400] = "";
  for (int i = 0; i < 30; i++)
    strcat(value, i ? " 0123456789" : "0123456789");
  const smtpf_str all = header(SMTPF_MILTER_ADDHEADER, 0, 0, value);
  size_t line = 5, lines = 1, kept = 0;
  for (size_t i = 5; i + 1 < all.n; i++) {
    kept += all.p[i] != '\n';
    line = all.p[i] == '\n' ? 0 : line + 1;
    lines += all.p[i] == '\n';
    ck_assert_uint_le(line, 78);
    if (all.p[i] == '\n')
      ck_assert_int_eq(all.p[i + 1], ' ');
  }
  ck_assert_uint_gt(lines, 3);
  ck_assert_uint_eq(kept, strlen(value)); /* nothing but line ends was added */
}
END_TEST

START_TEST(replaces_the_body)
{
  static char much[SMTPF_MILTER_CHUNK + 1];
  ck_is(written(smtpf_milter_body(BYTES("a\0b"), room, sizeof room)), "ba\0b");
  ck_assert_int_eq(smtpf_milter_body((smtpf_str){much, sizeof much}, room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_milter_body((smtpf_str){much, sizeof much - 1}, room, sizeof room), SMTPF_ELIMIT);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("milter");
  TCase *reading = tcase_create("reading"), *writing = tcase_create("writing");
  tcase_add_test(reading, reads_connect);
  tcase_add_test(reading, reads_envelope);
  tcase_add_test(reading, reads_message);
  tcase_add_test(reading, reads_macros);
  tcase_add_loop_test(reading, refuses, 0, 15);
  tcase_add_test(reading, waits_for_the_whole);
  tcase_add_test(reading, does_not_know_letters);
  tcase_add_test(writing, agrees);
  tcase_add_test(writing, agrees_with_the_old);
  tcase_add_test(writing, agrees_on_nothing);
  tcase_add_test(writing, answers);
  tcase_add_test(writing, answers_are_bounded);
  tcase_add_test(writing, changes_the_envelope);
  tcase_add_test(writing, changes_the_header);
  tcase_add_test(writing, folds);
  tcase_add_test(writing, replaces_the_body);
  suite_add_tcase(suite, reading);
  suite_add_tcase(suite, writing);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
