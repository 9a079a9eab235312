/* SPDX-License-Identifier: MIT
 *
 * Strings, numbers, bounded formatting, errors.
 */
#include "base/error.h"
#include "base/str.h"
#include "suites.h"

START_TEST(comparing)
{
  ck_assert(smtpf_str_equal(S("a"), S("a")));
  ck_assert(!smtpf_str_equal(S("a"), S("A")));
  ck_assert(!smtpf_str_equal(S("a"), S("ab")));
  ck_assert(smtpf_str_equal((smtpf_str){NULL, 0}, S("")));
  ck_assert(smtpf_str_equal_nocase(S("aZ[\xc3"), S("Az[\xc3")));
  ck_assert(!smtpf_str_equal_nocase(S("@"), S("`"))); /* 0x20 apart, no letters */
  ck_assert(!smtpf_str_equal_nocase(S("["), S("{")));
  ck_assert(!smtpf_str_equal_nocase(S("a"), S("")));
  ck_assert_int_lt(smtpf_str_compare(S("a"), S("b")), 0);
  ck_assert_int_gt(smtpf_str_compare(S("ab"), S("a")), 0);
  ck_assert_int_gt(smtpf_str_compare(S("\xff"), S("a")), 0);
  ck_assert_int_eq(smtpf_str_compare(S(""), (smtpf_str){NULL, 0}), 0);
  ck_assert(smtpf_str_starts(S("abc"), S("ab")));
  ck_assert(smtpf_str_starts(S("abc"), S("")));
  ck_assert(!smtpf_str_starts(S("a"), S("ab")));
  ASSERT_STR(smtpf_str_of(NULL), "");
  ASSERT_STR(smtpf_str_of("x"), "x");
}
END_TEST

START_TEST(cutting)
{
  ASSERT_STR(smtpf_str_trim(S(" \t\r\na b\n ")), "a b");
  ASSERT_STR(smtpf_str_trim(S(" \r\n")), "");
  ASSERT_STR(smtpf_str_trim(S("")), "");
  smtpf_str rest = S("a,,b");
  ASSERT_STR(smtpf_str_cut(&rest, ','), "a");
  ASSERT_STR(smtpf_str_cut(&rest, ','), "");
  ck_assert_ptr_nonnull(rest.p);
  ASSERT_STR(smtpf_str_cut(&rest, ','), "b");
  ck_assert(rest.p == NULL && rest.n == 0);
  ASSERT_STR(smtpf_str_cut(&rest, ','), "");
  rest = S("a,");
  ASSERT_STR(smtpf_str_cut(&rest, ','), "a");
  ck_assert(rest.p != NULL && rest.n == 0);
}
END_TEST

START_TEST(numbers)
{
  const struct {
    smtpf_str text;
    uint64_t max;
    int result;
    uint64_t value;
  } cases[] = {
      {S("0"), 0, SMTPF_OK, 0},
      {S("7"), 7, SMTPF_OK, 7},
      {S("8"), 7, SMTPF_EPARSE, 0},
      {S("007"), 7, SMTPF_OK, 7},
      {S("18446744073709551615"), UINT64_MAX, SMTPF_OK, UINT64_MAX},
      {S("18446744073709551616"), UINT64_MAX, SMTPF_EPARSE, 0},
      {S("99999999999999999999"), UINT64_MAX, SMTPF_EPARSE, 0},
      {S("184467440737095516150"), UINT64_MAX, SMTPF_EPARSE, 0},
      {S("4294967296"), UINT32_MAX, SMTPF_EPARSE, 0},
      {S(""), 9, SMTPF_EPARSE, 0},
      {S("+1"), 9, SMTPF_EPARSE, 0},
      {S("-1"), 9, SMTPF_EPARSE, 0},
      {S(" 1"), 9, SMTPF_EPARSE, 0},
      {S("1 "), 9, SMTPF_EPARSE, 0},
      {S("1x"), 9, SMTPF_EPARSE, 0},
      {S("1\0"), 9, SMTPF_EPARSE, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint64_t v = 12345;
    ck_assert_msg(smtpf_str_uint(cases[i].text, cases[i].max, &v) == cases[i].result, "%s", cases[i].text.p);
    ck_assert_uint_eq(v, cases[i].result == SMTPF_OK ? cases[i].value : 12345);
  }
}
END_TEST

static char room[128];

static smtpf_out fresh(size_t cap)
{
  smtpf_out o;
  memset(room, '#', sizeof room);
  smtpf_out_init(&o, room, cap);
  return o;
}

START_TEST(writing_numbers)
{
  smtpf_out o = fresh(sizeof room);
  smtpf_out_uint(&o, 0);
  smtpf_out_char(&o, ' ');
  smtpf_out_uint(&o, UINT64_MAX);
  smtpf_out_char(&o, ' ');
  smtpf_out_int(&o, INT64_MIN);
  smtpf_out_char(&o, ' ');
  smtpf_out_int(&o, INT64_MAX);
  smtpf_out_char(&o, ' ');
  smtpf_out_hex(&o, 0xbeef, 6);
  ASSERT_STR(smtpf_out_done(&o), "0 18446744073709551615 -9223372036854775808 9223372036854775807 00beef");
  const struct {
    int64_t v;
    const char *text;
  } milli[] = {{0, "0"},       {10000, "10"},  {2500, "2.5"},       {-1, "-0.001"},
               {-500, "-0.5"}, {1050, "1.05"}, {-12345, "-12.345"}, {INT64_MIN, "-9223372036854775.808"}};
  for (size_t i = 0; i < sizeof milli / sizeof *milli; i++) {
    o = fresh(sizeof room);
    smtpf_out_milli(&o, milli[i].v);
    ck_assert(smtpf_str_equal(smtpf_out_done(&o), smtpf_str_of(milli[i].text)));
  }
}
END_TEST

START_TEST(writing_escaped)
{
  smtpf_out o = fresh(sizeof room);
  smtpf_out_escaped(&o, S("a\\b\r\n\0\x7f\xc3 ~"));
  ASSERT_STR(smtpf_out_done(&o), "a\\\\b\\x0d\\x0a\\x00\\x7f\\xc3 ~");
  o = fresh(sizeof room);
  smtpf_out_printable(&o, S("a\r\n\tb\0\xc3"), 0);
  ASSERT_STR(smtpf_out_done(&o), "a???b??");
  o = fresh(sizeof room);
  smtpf_out_printable(&o, S("a\r\nb"), 1);
  ASSERT_STR(smtpf_out_done(&o), "a?\nb");
}
END_TEST

/* Whatever the room: never a byte beyond it, the front of the whole text, and `full` exactly when something is missing.
 */
START_TEST(writing_never_overruns)
{
  static const char whole[] = "abcdef12345-678.5ff\\x0a?\n";
  for (size_t cap = 0; cap <= sizeof whole; cap++) {
    smtpf_out o = fresh(cap);
    smtpf_out_str(&o, S("abc"));
    smtpf_out_cstr(&o, "def");
    smtpf_out_uint(&o, 12345);
    smtpf_out_int(&o, -678);
    smtpf_out_cstr(&o, ".5");
    smtpf_out_hex(&o, 255, 2);
    smtpf_out_escaped(&o, S("\n"));
    smtpf_out_printable(&o, S("\r\n"), 1);
    size_t n = cap < sizeof whole - 1 ? cap : sizeof whole - 1;
    ck_assert_uint_eq(o.n, n);
    ck_assert_int_eq(memcmp(room, whole, n), 0);
    ck_assert_int_eq(o.full, cap < sizeof whole - 1);
    for (size_t i = cap; i < sizeof room; i++)
      ck_assert_int_eq(room[i], '#');
  }
}
END_TEST

START_TEST(errors)
{
  smtpf_error e = {.size = sizeof e};
  ck_assert_int_eq(SMTPF_ERROR(&e, SMTPF_EPARSE, "policy.conf", 7, S("bad \x01 "), S("value")), SMTPF_EPARSE);
  ck_assert_int_eq(e.code, SMTPF_EPARSE);
  ck_assert_int_eq(e.line, 7);
  ck_assert_str_eq(e.file, "policy.conf");
  ck_assert_str_eq(e.text, "bad \\x01 value");
  ck_assert_int_eq(SMTPF_ERROR(NULL, SMTPF_EIO, NULL, 0, S("x")), SMTPF_EIO);
  static char lengthy[5000];
  memset(lengthy, 'x', sizeof lengthy - 1);
  ck_assert_int_eq(SMTPF_ERROR(&e, SMTPF_EIO, lengthy, 0, smtpf_str_of(lengthy)), SMTPF_EIO);
  ck_assert_uint_eq(strlen(e.file), sizeof e.file - 1);
  ck_assert_uint_eq(strlen(e.text), sizeof e.text - 1);
  for (int code = SMTPF_EUNSUPPORTED; code <= SMTPF_PENDING; code++)
    ck_assert_str_ne(smtpf_strerror(code), smtpf_strerror(4711));
  ck_assert_ptr_nonnull(smtpf_strerror(4711));
}
END_TEST

Suite *smtpf_suite_base_str(void)
{
  Suite *s = suite_create("base str");
  const TTest *strings[] = {comparing, cutting, numbers, NULL};
  const TTest *writing[] = {writing_numbers, writing_escaped, writing_never_overruns, errors, NULL};
  add_case(s, "strings", strings);
  add_case(s, "writing", writing);
  return s;
}
