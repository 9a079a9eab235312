/* SPDX-License-Identifier: MIT
 *
 * Header sections: RFC 5322 2.2 and the obsolete forms, cut into pieces of every size.
 */
#include "mail/header.h"

#include "base/str.h"
#include "suites.h"

/* Everything the reader says, as text: `[flags offset+size name: value]`. */
struct log {
  char room[8192];
  smtpf_out o;
};

static void note(void *user, const smtpf_header_field *f)
{
  struct log *log = user;
  smtpf_out_char(&log->o, '[');
  smtpf_out_uint(&log->o, f->flags);
  smtpf_out_char(&log->o, ' ');
  smtpf_out_uint(&log->o, f->offset);
  smtpf_out_char(&log->o, '+');
  smtpf_out_uint(&log->o, f->size);
  smtpf_out_char(&log->o, ' ');
  smtpf_out_str(&log->o, f->name);
  smtpf_out_cstr(&log->o, ": ");
  smtpf_out_str(&log->o, f->value);
  smtpf_out_char(&log->o, ']');
}

/* Feeds `text` in pieces of at most `piece` bytes, and adds how it ended: `fields bytes separated`. */
static smtpf_str read_all(struct log *log, smtpf_str text, size_t piece, size_t cap)
{
  static char room[4096];
  smtpf_header h;
  smtpf_out_init(&log->o, log->room, sizeof log->room);
  smtpf_header_init(&h, room, cap, note, log);
  size_t at = 0;
  while (at < text.n) {
    size_t n = text.n - at < piece ? text.n - at : piece;
    char exact[512];
    const char *p = text.p + at;
    if (n <= sizeof exact) /* somewhere else each time: nothing may be kept of the piece before */
      p = memcpy(exact + (at % 7 + n <= sizeof exact ? at % 7 : 0), p, n);
    size_t used = smtpf_header_feed(&h, p, n);
    at += used;
    if (used < n) {
      ck_assert(h.ended && h.separated);
      ck_assert_uint_eq(smtpf_header_feed(&h, text.p + at, text.n - at), 0);
      break;
    }
  }
  ck_assert_uint_eq(h.bytes, at);
  smtpf_header_finish(&h);
  ck_assert(h.ended);
  smtpf_header_finish(&h);
  smtpf_out_uint(&log->o, h.fields);
  smtpf_out_char(&log->o, ' ');
  smtpf_out_uint(&log->o, h.bytes);
  smtpf_out_char(&log->o, ' ');
  smtpf_out_uint(&log->o, h.separated);
  ck_assert(!log->o.full);
  return smtpf_out_done(&log->o);
}

static struct log first, other;

#define READS(text, want)                                                                                              \
  do {                                                                                                                 \
    for (size_t piece_ = 1; piece_ <= sizeof(text); piece_++)                                                          \
      ASSERT_STR(read_all(&first, S(text), piece_, 4096), want);                                                       \
  } while (0)

START_TEST(fields)
{
  READS("From: a@b\r\nTo: c@d\r\n\r\nbody", "[0 0+11 From: a@b][0 11+9 To: c@d]2 22 1");
  READS("From: a@b\nTo: c@d\n\nbody", "[0 0+10 From: a@b][0 10+8 To: c@d]2 19 1");
  READS("A:\r\nB:   \r\nC:x  \r\n\r\n", "[0 0+4 A: ][0 4+7 B: ][0 11+7 C: x]3 20 1");
  READS("Subject: one\r\n two\r\n\tthree\r\nX: y\r\n\r\n", "[0 0+28 Subject: one two\tthree][0 28+6 X: y]2 36 1");
  READS("Subject:\r\n one\r\n \r\n two\r\n\r\n", "[0 0+25 Subject: one  two]1 27 1");
}
END_TEST

START_TEST(ends)
{
  READS("", "0 0 0");
  READS("\r\n", "0 2 1");
  READS("\n", "0 1 1");
  READS("\r\nFrom: x\r\n", "0 2 1");
  READS("A: b", "[0 0+4 A: b]1 4 0");
  READS("A: b\r\n", "[0 0+6 A: b]1 6 0");
  READS("A: b\r", "[16 0+5 A: b\r]1 5 0");
  READS("A: b\r\n\r", "[0 0+6 A: b][17 6+1 : \r]2 7 0");
  READS("A: b\r\n\n", "[0 0+6 A: b]1 7 1");
}
END_TEST

START_TEST(odd_lines)
{
  READS("A : b\r\nC\t : d\r\n\r\n", "[4 0+7 A: b][4 7+8 C: d]2 17 1");
  READS("no colon\r\nA: b\r\n\r\n", "[1 0+10 : no colon][0 10+6 A: b]2 18 1");
  READS(": v\r\n two words: v\r\n\r\n", "[1 0+20 : : v two words: v]1 22 1");
  READS(" lost\r\nA: b\r\n\r\n", "[1 0+7 : lost][0 7+6 A: b]2 15 1");
  READS("two words: v\r\n\r\n", "[1 0+14 : two words: v]1 16 1");
  READS("\xc3\xb6: v\r\n\r\n", "[9 0+7 : \xc3\xb6: v]1 9 1");
  READS("A: \xc3\xb6\r\n\r\n", "[8 0+7 A: \xc3\xb6]1 9 1");
  READS("A: b\rc\r\n\r\n", "[16 0+8 A: b\rc]1 10 1");
  READS("A: b\r\r\n\r\r\n\r\n", "[16 0+7 A: b\r][17 7+3 : \r]2 12 1");
  READS("A: b\0c\r\n\r\n", "[16 0+8 A: b\0c]1 10 1");
  READS("\rA: b\r\n\r\n", "[17 0+7 : \rA: b]1 9 1");
  READS("From mbox Mon\nA: b\n\n", "[1 0+14 : From mbox Mon][0 14+5 A: b]2 20 1");
}
END_TEST

START_TEST(truncation)
{
  const smtpf_str text = S("Subject: 0123456789\r\n abcdef\r\nA: b\r\nVeryLongName: x\r\n\r\n");
  for (size_t piece = 1; piece <= text.n; piece++) {
    ASSERT_STR(read_all(&first, text, piece, 12), "[2 0+30 Subject: 012][0 30+6 A: b][3 36+17 : VeryLongName]3 55 1");
    ASSERT_STR(read_all(&first, text, piece, 13), "[2 0+30 Subject: 0123][0 30+6 A: b][2 36+17 VeryLongName: ]3 55 1");
    ASSERT_STR(read_all(&first, text, piece, 26),
               "[0 0+30 Subject: 0123456789 abcdef][0 30+6 A: b][0 36+17 VeryLongName: x]3 55 1");
    ASSERT_STR(read_all(&first, text, piece, 0), "[3 0+30 : ][3 30+6 : ][3 36+17 : ]3 55 1");
  }
}
END_TEST

/* A field that fits exactly is not truncated, whatever follows the CR. */
START_TEST(exactly_full)
{
  for (size_t piece = 1; piece < 8; piece++) {
    ASSERT_STR(read_all(&first, S("A: b\r\n\r\n"), piece, 4), "[0 0+6 A: b]1 8 1");
    ASSERT_STR(read_all(&first, S("A: b\rc\r\n\r\n"), piece, 4), "[2 0+8 A: b]1 10 1");
  }
}
END_TEST

START_TEST(any_bytes_any_pieces)
{
  uint64_t seed = 5322;
  char text[120];
  for (int i = 0; i < 2000; i++) {
    size_t n = next_random(&seed) % sizeof text, cap = next_random(&seed) % 40;
    for (size_t k = 0; k < n; k++)
      text[k] = "\r\n\r\n \t:aZ\0\xc3-"[next_random(&seed) % 12];
    smtpf_str whole = read_all(&first, (smtpf_str){text, n}, n + 1, cap);
    for (size_t piece = 1; piece < 6; piece++) {
      smtpf_str cut = read_all(&other, (smtpf_str){text, n}, piece, cap);
      ck_assert(whole.n == cut.n && memcmp(whole.p, cut.p, cut.n) == 0);
    }
  }
}
END_TEST

START_TEST(counting_only)
{
  smtpf_header h;
  smtpf_header_init(&h, NULL, 0, NULL, NULL);
  ck_assert_uint_eq(smtpf_header_feed(&h, "A: b\r\nC: d\r\n\r\nx", 15), 14);
  ck_assert(h.fields == 2 && h.bytes == 14 && h.separated);
}
END_TEST

Suite *smtpf_suite_mail_header(void)
{
  Suite *s = suite_create("mail header");
  const TTest *tests[] = {fields, ends, odd_lines, truncation, exactly_full, any_bytes_any_pieces, counting_only, NULL};
  add_case(s, "header", tests);
  return s;
}
