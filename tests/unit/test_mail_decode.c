/* SPDX-License-Identifier: MIT
 *
 * Transfer encodings, charsets and encoded words: the examples of the RFCs, what cannot be right, and every way to cut.
 */
#include "base/str.h"
#include "mail/charset.h"
#include "mail/decode.h"
#include "mail/encoded_word.h"
#include "suites.h"

enum kind { BASE64, QP, UU, CHARSET };

/* Decodes in pieces of `piece` bytes, each from and into memory of exactly the size it may use. */
static smtpf_str decode(enum kind kind, int charset, smtpf_str in, size_t piece, unsigned *flags)
{
  static char all[4096];
  smtpf_base64 base64 = {0};
  smtpf_qp qp = {0};
  smtpf_uu uu = {0};
  smtpf_charset_reader chars;
  size_t written = 0;
  smtpf_charset_init(&chars, charset);
  for (size_t at = 0, n; at <= in.n; at += n ? n : 1) {
    n = in.n - at < piece ? in.n - at : piece;
    const size_t room = kind == BASE64 ? SMTPF_BASE64_ROOM(n)
                        : kind == QP   ? SMTPF_QP_ROOM(n)
                        : kind == UU   ? SMTPF_UU_ROOM(n)
                                       : SMTPF_CHARSET_ROOM(n);
    char *from = malloc(n + 1), *to = malloc(room);
    MUST(from && to);
    if (n)
      memcpy(from, in.p + at, n);
    size_t out = 0;
    switch (kind) {
    case BASE64: out = n ? smtpf_base64_feed(&base64, from, n, to) : smtpf_base64_finish(&base64, to); break;
    case QP: out = n ? smtpf_qp_feed(&qp, from, n, to) : smtpf_qp_finish(&qp, to); break;
    case UU: out = n ? smtpf_uu_feed(&uu, from, n, to) : smtpf_uu_finish(&uu, to); break;
    case CHARSET: out = n ? smtpf_charset_feed(&chars, from, n, to) : smtpf_charset_finish(&chars, to); break;
    }
    MUST(out <= room && written + out <= sizeof all);
    memcpy(all + written, to, out);
    written += out;
    free(from);
    free(to);
  }
  *flags = kind == BASE64 ? base64.flags : kind == QP ? qp.flags : kind == UU ? uu.flags : chars.bad;
  return (smtpf_str){all, written};
}

#define DECODES(kind, charset, in, want, want_flags)                                                                   \
  do {                                                                                                                 \
    for (size_t piece_ = 1; piece_ <= sizeof(in); piece_++) {                                                          \
      unsigned flags_;                                                                                                 \
      ASSERT_STR(decode(kind, charset, S(in), piece_, &flags_), want);                                                 \
      ck_assert_uint_eq(flags_, want_flags);                                                                           \
    }                                                                                                                  \
  } while (0)

START_TEST(base64)
{
  DECODES(BASE64, 0, "", "", 0);
  DECODES(BASE64, 0, "Zg==", "f", 0);
  DECODES(BASE64, 0, "Zm8=", "fo", 0);
  DECODES(BASE64, 0, "Zm9v", "foo", 0);
  DECODES(BASE64, 0, "Zm9v\r\nYmFy\r\n", "foobar", 0);
  DECODES(BASE64, 0, "Zm9v YmE=\r\n\r\n", "fooba", 0);
  DECODES(BASE64, 0, "AP+/", "\0\xff\xbf", 0);
}
END_TEST

START_TEST(base64_odd)
{
  DECODES(BASE64, 0, "Zm9vYg", "foob", SMTPF_DECODE_CUT);
  DECODES(BASE64, 0, "Zm9vYg=", "foob", SMTPF_DECODE_CUT);
  DECODES(BASE64, 0, "Zm9vY", "foo", SMTPF_DECODE_CUT);
  DECODES(BASE64, 0, "Z-m9!v", "foo", SMTPF_DECODE_ALIEN);
  DECODES(BASE64, 0, "Zg==Zm9v", "ffoo", SMTPF_DECODE_PADDING);
  DECODES(BASE64, 0, "=Zm9v", "foo", SMTPF_DECODE_PADDING);
  DECODES(BASE64, 0, "Zm9v====", "foo", SMTPF_DECODE_PADDING);
  DECODES(BASE64, 0, "Z=m9v", "foo", SMTPF_DECODE_PADDING);
  DECODES(BASE64, 0, "Zm9v\0\x80", "foo", SMTPF_DECODE_ALIEN);
}
END_TEST

START_TEST(quoted_printable)
{
  DECODES(QP, 0, "", "", 0);
  /* RFC 2045 6.7 (5) */
  DECODES(QP, 0, "Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.",
          "Now's the time for all folk to come to the aid of their country.", 0);
  DECODES(QP, 0, "=46oo=3d=0A \t\r\nbar  \n", "Foo=\n\r\nbar\n", 0);
  DECODES(QP, 0, "a = \t\r\nb", "a b", 0);
  DECODES(QP, 0, "a b  ", "a b", 0);
  DECODES(QP, 0, "soft=", "soft", 0);
  DECODES(QP, 0, "bare \r cr\r", "bare \r cr\r", 0);
}
END_TEST

START_TEST(quoted_printable_odd)
{
  DECODES(QP, 0, "=zz=4 =4\r\n", "=zz=4 =4\r\n", SMTPF_DECODE_ALIEN);
  DECODES(QP, 0, "a==3D", "a==", SMTPF_DECODE_ALIEN);
  DECODES(QP, 0, "a= b", "a=b", SMTPF_DECODE_ALIEN);
  DECODES(QP, 0, "a=\rb", "ab", SMTPF_DECODE_ALIEN);
  DECODES(QP, 0, "a=4", "a=4", SMTPF_DECODE_CUT);
  char blanks[200];
  memset(blanks, ' ', sizeof blanks);
  unsigned flags;
  smtpf_str got = decode(QP, 0, (smtpf_str){blanks, sizeof blanks}, 7, &flags);
  ck_assert_uint_eq(got.n, 2 * SMTPF_QP_BLANKS);
  ck_assert_uint_eq(flags, SMTPF_DECODE_LONG);
}
END_TEST

START_TEST(uuencode)
{
  DECODES(UU, 0, "talk\nbegin 644 cat.txt\n#0V%T\n`\nend\nmore\n", "Cat", 0);
  DECODES(UU, 0, "begin 644 cat.txt\r\n#0V%T\r\n \r\nend\r\n", "Cat", 0);
  DECODES(UU, 0, "begin 644 x\n\"0V$\nend", "Ca", 0);
  DECODES(UU, 0, "begin 644 x\n#0V%T\n", "Cat", SMTPF_DECODE_CUT);
  DECODES(UU, 0, "begin 644 x\nM\nend\n", "", SMTPF_DECODE_ALIEN);
  DECODES(UU, 0, "no file", "", SMTPF_DECODE_CUT);
}
END_TEST

#define CHARS(name, in, want, bad) DECODES(CHARSET, smtpf_charset_named(S(name)), in, want, bad)
#define FFFD "\xef\xbf\xbd"

START_TEST(charsets)
{
  CHARS("us-ascii", "plain text that is longer than a word", "plain text that is longer than a word", 0);
  CHARS("UTF-8", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80.",
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80.", 0);
  CHARS("ISO-8859-1", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f", 0);
  CHARS("windows-1252", "\x80\x93\x81", "\xe2\x82\xac\xe2\x80\x9c\xc2\x81", 0);
  CHARS("iso-8859-15", "\xa4", "\xe2\x82\xac", 0);
  CHARS("koi8-r", "\xf0", "\xd0\x9f", 0);
  CHARS("windows-1251", "\xcf", "\xd0\x9f", 0);
  CHARS("iso-8859-7", "\xae", FFFD, 1);
  CHARS("UTF-16", "\xfe\xff\x20\xac\xd8\x3d\xde\x00", "\xe2\x82\xac\xf0\x9f\x98\x80", 0);
  CHARS("UTF-16", "\xff\xfe\xac\x20", "\xe2\x82\xac", 0);
  CHARS("UTF-16LE", "a\0b\0", "ab", 0);
  CHARS("UTF-16", "a\0b\0", "ab", 0);
  CHARS("UTF-16", "\0a\0b", "ab", 0);
  CHARS("UTF-16BE", "a\0", "\xe6\x84\x80", 0);
  CHARS("UTF-16BE", "\0a\xd8\x3d\0b\xde\0\0", "a" FFFD "b" FFFD FFFD, 1);
  CHARS("big5", "\xa4\x40", "\xa4\x40", 0);
  ck_assert_int_eq(smtpf_charset_named(S("big5")), SMTPF_CHARSET_UNKNOWN);
}
END_TEST

START_TEST(utf8_bad)
{
  CHARS("utf-8",
        "a\xff"
        "b",
        "a" FFFD "b", 1);
  CHARS("utf-8", "\xc3", FFFD, 1);
  CHARS("utf-8", "\xc3x", FFFD "x", 1);
  CHARS("utf-8", "\xe2\x82", FFFD FFFD, 1);
  CHARS("utf-8", "\xe0\x80\x80", FFFD FFFD FFFD, 1);
  CHARS("utf-8", "\xed\xa0\x80", FFFD FFFD FFFD, 1);
  CHARS("utf-8", "\xf0\x9f\x98\xc3\xa9", FFFD FFFD FFFD "\xc3\xa9", 1);
  CHARS("utf-8", "\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD, 1);
}
END_TEST

static smtpf_words about;

static smtpf_str words_n(smtpf_str text, size_t cap)
{
  static char room[512];
  smtpf_out out;
  smtpf_out_init(&out, room, cap);
  smtpf_words_decode(text, &out, &about);
  ck_assert_int_eq(out.full, cap < sizeof room);
  return smtpf_out_done(&out);
}

#define WORDS(in, want, want_flags)                                                                                    \
  do {                                                                                                                 \
    ASSERT_STR(words_n(S(in), 512), want);                                                                             \
    ck_assert_uint_eq(about.flags, want_flags);                                                                        \
  } while (0)

START_TEST(words)
{
  const unsigned found = SMTPF_WORDS_FOUND;
  WORDS("no word = at all", "no word = at all", 0);
  /* RFC 2047 section 8 */
  WORDS("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>", found);
  WORDS("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <k>", "Keld J\xc3\xb8rn Simonsen <k>", found);
  WORDS("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
        "If you can read this you understand the example.", found);
  WORDS("(=?ISO-8859-1?Q?a?=)", "(a)", found);
  WORDS("(=?ISO-8859-1?Q?a?= b)", "(a b)", found);
  WORDS("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)", found);
  WORDS("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)", found);
  WORDS("(=?ISO-8859-1?Q?a_b?=)", "(a b)", found);
  WORDS("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)", found);
  /* RFC 2231 section 5 */
  WORDS("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore", found);
  ASSERT_STR(about.charset, "US-ASCII");
  /* A character cut in two by the words around it. */
  WORDS("=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=", "\xc3\xa9", found);
  WORDS("=?utf-8?B?ww==?= =?utf-8?B?qQ==?=", "\xc3\xa9", found);
  WORDS("=?utf-8?Q?"
        "?=",
        "", found);
  WORDS("a =?utf-8?Q?b?= ", "a b ", found);
}
END_TEST

START_TEST(words_odd)
{
  const unsigned found = SMTPF_WORDS_FOUND;
  WORDS("=?utf-8?Q?two words?=", "two words", found);
  WORDS("=?utf-8?Q?a?=b=?utf-8?Q?c?=", "abc", found);
  WORDS("\"=?utf-8?Q?a?=\"", "\"a\"", found);
  WORDS("=?big5?B?pEA=?=", "\xa4\x40", found | SMTPF_WORDS_CHARSET);
  ASSERT_STR(about.charset, "big5");
  WORDS("=?utf-8?Q?=C3?= x", FFFD " x", found | SMTPF_WORDS_BAD);
  WORDS("=?utf-8?Q?=C3?= =?iso-8859-1?Q?=E9?=", FFFD "\xc3\xa9", found | SMTPF_WORDS_BAD);
  WORDS("=?utf-8?Q?=4?=", "=4", found | SMTPF_WORDS_BAD);
  WORDS("=?utf-8?B?YW_Jj?=", "abc", found | SMTPF_WORDS_BAD);
  WORDS("=?utf-8?B?YWJj", "=?utf-8?B?YWJj", SMTPF_WORDS_ODD);
  WORDS("=?utf-8?X?YWJj?=", "=?utf-8?X?YWJj?=", SMTPF_WORDS_ODD);
  WORDS("=?utf-8?Q?open =?utf-8?Q?b?=", "=?utf-8?Q?open b", found | SMTPF_WORDS_ODD);
  WORDS("=??Q?a?=", "=??Q?a?=", SMTPF_WORDS_ODD);
  WORDS("=?=?=?", "=?=?=?", SMTPF_WORDS_ODD);
  WORDS("caf\xe9", "caf\xe9", SMTPF_WORDS_HIGH);
  ASSERT_STR(words_n(S("=?utf-8?Q?abcdefgh?="), 5), "abcde");
}
END_TEST

/* A word longer than what is decoded at a time. */
START_TEST(words_long)
{
  char text[400] = "=?iso-8859-1?Q?", want[300];
  size_t n = 15, w = 0;
  for (int i = 0; i < 100; i++) {
    memcpy(text + n, "=E9", 3);
    n += 3;
    memcpy(want + w, "\xc3\xa9", 2);
    w += 2;
  }
  memcpy(text + n, "?=", 2);
  smtpf_str got = words_n((smtpf_str){text, n + 2}, 512);
  ck_assert(got.n == w && memcmp(got.p, want, w) == 0);
}
END_TEST

Suite *smtpf_suite_mail_decode(void)
{
  Suite *s = suite_create("decode");
  const TTest *const encodings[] = {base64, base64_odd, quoted_printable, quoted_printable_odd, uuencode, NULL};
  const TTest *const text[] = {charsets, utf8_bad, words, words_odd, words_long, NULL};
  add_case(s, "transfer encodings", encodings);
  add_case(s, "text", text);
  return s;
}
