/* SPDX-License-Identifier: MIT
 *
 * The scan of a message, and the stretches found by blocks under it.
 */
#include "wire/plain.h"
#include "wire/scan.h"
#include "wire_suites.h"

enum { ROOM = 4096 };

/* Letters with, now and then, what matters: the thinner, the longer the plain stretches. */
static size_t nasty(char *p, size_t max, uint64_t *x, unsigned thin)
{
  static const char odd[] = {'\r', '\n', '.', '\0', '\n', '.', '\r', ' '};
  size_t n = 1 + next_random(x) % max;
  for (size_t i = 0; i < n; i++) {
    uint64_t r = next_random(x) >> 20;
    if (r % thin == 0) {
      p[i] = odd[(r / thin) % sizeof odd];
    } else if (r % thin == 1 && i + 2 < n) {
      p[i++] = '\r';
      p[i] = '\n';
      if (r % 3 == 0)
        p[++i] = '.';
    } else {
      p[i] = (char)('a' + r % 26);
    }
  }
  return n;
}

/* ---- plain -------------------------------------------------------------------------------------- */

/* The definition, read aloud: the longest stretch that is plain and does not part CR and LF. */
static size_t plain_by_definition(const char *p, size_t n)
{
  size_t i = 0;
  while (i < n) {
    char c = p[i], before = p[(ptrdiff_t)i - 1];
    if (c == '\0' || (c == '\n' && before != '\r') || (c == '.' && before == '\n'))
      break;
    if (c == '\r' && (i + 1 == n || p[i + 1] != '\n'))
      break;
    i++;
  }
  return i;
}

START_TEST(plain_is_what_it_says)
{
  uint64_t x = 88172645463325252u;
  char room[ROOM];
  for (int round = 0; round < 20000; round++) {
    static const size_t sizes[] = {5, 20, 40, 70, 140, 300, 1000};
    room[0] = "a\n."[round % 3];
    size_t n = nasty(room + 1, sizes[round % 7], &x, 2 + (unsigned)(next_random(&x) % 200));
    size_t want = plain_by_definition(room + 1, n);
    ck_assert_uint_eq(smtpf_plain_span_bytes(room + 1, n), want);
    ck_assert_uint_eq(smtpf_plain_span(room + 1, n), want);
#ifdef SMTPF_PLAIN_X86
    ck_assert_uint_eq(smtpf_plain_span_sse2(room + 1, n), want);
    if (__builtin_cpu_supports("avx2"))
      ck_assert_uint_eq(smtpf_plain_span_avx2(room + 1, n), want);
#endif
  }
}
END_TEST

START_TEST(plain_sees_every_place)
{
  char room[400];
  for (size_t n = 0; n < 300; n++)
    for (size_t at = 0; at < n; at++) {
      memset(room, 'x', sizeof room);
      room[1 + at] = '\0';
      ck_assert_uint_eq(smtpf_plain_span(room + 1, n), at);
    }
}
END_TEST

START_TEST(tail_counts_from_the_last_lf)
{
  char room[80];
  for (size_t n = 0; n < 70; n++) {
    memset(room, '\v', sizeof room);
    ck_assert_uint_eq(smtpf_plain_tail(room, n), n);
    for (size_t at = 0; at < n; at++) {
      room[at] = '\n'; /* those before it stay */
      ck_assert_uint_eq(smtpf_plain_tail(room, n), n - at - 1);
    }
  }
}
END_TEST

START_TEST(printable_sees_every_place)
{
  char room[80];
  for (size_t n = 1; n < 70; n++)
    for (size_t at = 0; at < n; at++)
      for (int c = 0; c < 256; c++) {
        memset(room, '~', sizeof room);
        room[at] = (char)c;
        int want = c >= ' ' && c <= '~';
        ck_assert_int_eq(smtpf_plain_printable(room, n), want);
        ck_assert_int_eq(smtpf_plain_printable_bytes(room, n), want);
      }
}
END_TEST

/* ---- the scan against a reader of single bytes that shares no code with it ---------------------- */

struct result {
  char body[2 * ROOM];
  size_t n;    /* of the body */
  size_t used; /* of the input */
  int ended, bad;
};

/* Where the message ends: the first CRLF `.` CRLF, or `.` CRLF in front. SIZE_MAX when it does not. */
static size_t find_end(const char *p, size_t n)
{
  for (size_t i = 0; i + 3 <= n; i++)
    if (memcmp(p + i, ".\r\n", 3) == 0 && (i == 0 || (i >= 2 && memcmp(p + i - 2, "\r\n", 2) == 0)))
      return i;
  return SIZE_MAX;
}

/* Only for messages that end. */
static void read_slowly(const char *p, size_t n, int normalise, size_t line_max, struct result *r)
{
  size_t end = find_end(p, n), line = 0;
  *r = (struct result){.ended = 1, .used = end + 3};
  for (size_t i = 0; i < end && !r->bad; i++) {
    int start = i == 0 || (i >= 2 && p[i - 2] == '\r' && p[i - 1] == '\n');
    if (start && p[i] == '.')
      continue;
    int pair = p[i] == '\r' && p[i + 1] == '\n';
    if (p[i] == '\0') {
      r->bad = SMTPF_BAD_NUL;
    } else if (pair || p[i] == '\r' || p[i] == '\n') {
      if (!pair && !normalise)
        r->bad = p[i] == '\r' ? SMTPF_BAD_CR : SMTPF_BAD_LF;
      else
        memcpy(r->body + r->n, "\r\n", 2);
      r->n += r->bad ? 0 : 2;
      line = 0;
      i += pair ? 1 : 0;
    } else if (++line + 2 > line_max) {
      r->bad = SMTPF_BAD_LINE;
    } else {
      r->body[r->n++] = p[i];
    }
  }
}

static void scan_in_pieces(const char *p, size_t n, int normalise, uint32_t line_max, uint64_t *x, size_t most,
                           struct result *r)
{
  smtpf_scan s = {.normalise = (uint8_t)normalise, .line_max = line_max};
  smtpf_scan_start(&s, 1);
  *r = (struct result){0};
  while (n && !r->ended) {
    size_t k = 1 + next_random(x) % most;
    k = k < n ? k : n;
    char *exact = malloc(k);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, p, k);
    const char *in = exact;
    size_t left = k;
    smtpf_str piece;
    int got;
    while ((got = smtpf_scan_next(&s, &in, &left, &piece)) == SMTPF_SCAN_PIECE) {
      ck_assert_uint_gt(piece.n, 0);
      memcpy(r->body + r->n, piece.p, piece.n);
      r->n += piece.n;
    }
    r->ended = got == SMTPF_SCAN_END;
    r->used += k - left;
    free(exact);
    p += k;
    n -= k;
  }
  r->bad = s.bad;
}

START_TEST(scan_agrees_with_a_slow_reader)
{
  static char message[ROOM + 8];
  static struct result want, got;
  uint64_t x = 4101842887655102017u;
  for (int round = 0; round < rounds(12000); round++) {
    static const size_t sizes[] = {12, 60, 200, 900, ROOM}, pieces[] = {1, 7, 64, 5000};
    size_t n = nasty(message, sizes[round % 5], &x, 2 + (unsigned)(next_random(&x) % 300));
    memcpy(message + n, "\r\n.\r\n", 5);
    n += 5;
    int normalise = round & 1;
    uint32_t line_max = round % 3 ? 1000 : 30;
    read_slowly(message, n, normalise, line_max, &want);
    scan_in_pieces(message, n, normalise, line_max, &x, pieces[round % 4], &got);
    ck_assert_int_eq(got.ended, 1);
    ck_assert_uint_eq(got.used, want.used);
    ck_assert_int_eq(got.bad, want.bad);
    ck_assert_uint_eq(got.n, want.n);
    ck_assert_mem_eq(got.body, want.body, want.n);
  }
}
END_TEST

START_TEST(line_limit_is_exact)
{
  static char message[2100];
  for (uint32_t over = 0; over < 2; over++)
    for (int head = 0; head < 2; head++) { /* with and without a stuffed dot, which does not count */
      size_t n = 0;
      if (head)
        message[n++] = '.';
      memset(message + n, 'x', 998 + over);
      n += 998 + over;
      memcpy(message + n, "\r\nshort\r\n.\r\n", 12);
      static struct result r;
      uint64_t x = 1;
      scan_in_pieces(message, n + 12, 0, 1000, &x, 300, &r);
      ck_assert_int_eq(r.ended, 1);
      ck_assert_int_eq(r.bad, over ? SMTPF_BAD_LINE : 0);
    }
}
END_TEST

START_TEST(bytes_behind_the_end_are_not_judged)
{
  for (size_t before = 0; before < 140; before++) { /* the end at every place of a block */
    char message[512];
    memset(message, 'a', before);
    memcpy(message + before, "\r\n.\r\n", 5);
    memset(message + before + 5, '\n', 200);
    message[before + 50] = '\0';
    const char *in = message;
    size_t n = before + 205;
    smtpf_scan s = {.line_max = 1000};
    smtpf_str piece;
    smtpf_scan_start(&s, 1);
    int r = smtpf_scan_next(&s, &in, &n, &piece);
    while (r == SMTPF_SCAN_PIECE)
      r = smtpf_scan_next(&s, &in, &n, &piece);
    ck_assert_int_eq(r, SMTPF_SCAN_END);
    ck_assert_int_eq(s.bad, 0);
    ck_assert_uint_eq(n, 200);
  }
}
END_TEST

Suite *smtpf_suite_wire_scan(void)
{
  Suite *suite = suite_create("wire scan");
  const TTest *const tests[] = {plain_is_what_it_says,
                                plain_sees_every_place,
                                tail_counts_from_the_last_lf,
                                printable_sees_every_place,
                                scan_agrees_with_a_slow_reader,
                                line_limit_is_exact,
                                bytes_behind_the_end_are_not_judged,
                                NULL};
  add_case(suite, "scan", tests);
  return suite;
}
