/* SPDX-License-Identifier: MIT
 *
 * Properties: however the input is cut, the events are the same; and whatever a client puts into a message, only CRLF
 * `.` CRLF ends it, and nothing passes that another server could take for an end.
 */
#include <stdio.h>

#include "wire_suites.h"

/* ---- the same events for every way to cut ------------------------------------------------------- */

enum { ROOM = 6000 };

static void put(char *to, size_t *n, const char *p, size_t k)
{
  if (*n + k <= ROOM) {
    memcpy(to + *n, p, k);
    *n += k;
  }
}

static const char *const words[] = {"EHLO c",
                                    "HELO c",
                                    "MAIL FROM:<a@b>",
                                    "MAIL FROM: a@b SIZE=10",
                                    "RCPT TO:<a@b>",
                                    "RCPT TO:c@d NOTIFY=NEVER",
                                    "DATA",
                                    "BDAT 10",
                                    "BDAT 3 LAST",
                                    "BDAT 0 LAST",
                                    "BDAT 0",
                                    "RSET",
                                    "NOOP",
                                    "VRFY x",
                                    "AUTH PLAIN",
                                    "last",
                                    "nonsense",
                                    ".",
                                    "..",
                                    "",
                                    "MAIL FROM:<\"a>b\"@c> X=1"};
static const char *const ends[] = {"\r\n", "\r\n", "\r\n",   "\r\n",   "\r\n",      "\r\n",
                                   "\n",   "\r",   "\r\r\n", "\n\r\n", "\r\n.\r\n", "\r\n.\n"};

#define PICK(list, x) ((list)[next_random(x) % (sizeof(list) / sizeof *(list))])

static size_t dialogue(char *to, uint64_t *x)
{
  size_t n = 0;
  put(to, &n, "EHLO c\r\n", 8);
  for (size_t lines = 5 + next_random(x) % 40; lines; lines--) {
    const char *word = PICK(words, x), *end = PICK(ends, x);
    put(to, &n, word, strlen(word));
    if (next_random(x) % 60 == 0)
      put(to, &n, "\0", 1);
    if (next_random(x) % 80 == 0)
      for (size_t i = next_random(x) % 80; i; i--)
        put(to, &n, "0123456789012345", 16);
    put(to, &n, end, strlen(end));
  }
  return n;
}

START_TEST(events_do_not_depend_on_the_cut)
{
  static const int sizes[] = {1, 7, 64, FEED_RANDOM};
  char in[ROOM];
  uint64_t x = 362436069u;
  for (int round = 0; round < rounds(800); round++) {
    smtpf_smtpd_options o = feed_options();
    o.line_ends = round % 2 ? SMTPF_LINE_ENDS_NORMALISE : SMTPF_LINE_ENDS_REFUSE;
    o.line_max = 512;
    o.text_line_max = 1000;
    o.message_max = round % 5 ? 0 : 25;
    size_t n = dialogue(in, &x);
    int bad = 0;
    char *want = feed_log(&o, in, n, FEED_WHOLE, &bad);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      char *got = feed_log(&o, in, n, sizes[i], &bad);
      ck_assert_str_eq(got, want);
      free(got);
    }
    ck_assert_int_eq(bad, 0);
    free(want);
  }
}
END_TEST

/* ---- smuggling ---------------------------------------------------------------------------------- */

struct seed {
  const char *p;
  size_t n;
};
#define SEED(s)                                                                                                        \
  {                                                                                                                    \
    s, sizeof(s) - 1                                                                                                   \
  }

static const struct seed marks[] = {
    SEED("\n"),     SEED("\r"),       SEED("\r\n"),         SEED("\n\r"),       SEED("\r\r\n"),     SEED("\r\0\n"),
    SEED("\0\r\n"), SEED("\r\n\0"),   SEED("\n\n"),         SEED("\r\r"),       SEED("\x0b"),       SEED("\x0c"),
    SEED("\x85"),   SEED("\xc2\x85"), SEED("\xe2\x80\xa8"), SEED("\x1e"),       SEED("\r \n"),      SEED("\r\n "),
    SEED("\n\r\n"), SEED("\r\n\n"),   SEED("\x8d\x8a"),     SEED("\r\x00\x0a"), SEED("\r\n\r\n\n"), SEED("")};
static const struct seed dots[] = {SEED("."),   SEED(".."),  SEED(". "),   SEED(" ."),
                                   SEED("\0."), SEED(".\0"), SEED("\xae"), SEED("\b.")};
enum { MARKS = sizeof marks / sizeof *marks, DOTS = sizeof dots / sizeof *dots };

/* 1 when CRLF `.` CRLF, the one true end, is among the bytes. */
static int has_end(const char *p, size_t n)
{
  for (size_t i = 0; i + 5 <= n; i++)
    if (memcmp(p + i, "\r\n.\r\n", 5) == 0)
      return 1;
  return 0;
}

static size_t occurrences(const char *in, const char *of)
{
  size_t n = 0;
  for (const char *p = in; (p = strstr(p, of)); p++)
    n++;
  return n;
}

/* What a host would send on, dots stuffed, must hold nothing a laxer server ends at: every LF has its CR and every CR
 * its LF, no NUL, and no dot alone on a line. */
static void check_onward(const char *body, size_t n)
{
  char out[2048];
  smtpf_dot d = {0};
  size_t w = smtpf_dot_stuff(&d, &body, &n, out, sizeof out);
  ck_assert_uint_eq(n, 0);
  ck_assert_ptr_null(memchr(out, '\0', w));
  for (size_t i = 0; i < w; i++) {
    ck_assert(out[i] != '\n' || (i && out[i - 1] == '\r'));
    ck_assert(out[i] != '\r' || (i + 1 < w && out[i + 1] == '\n'));
    if (out[i] == '.' && (i == 0 || out[i - 1] == '\n'))
      ck_assert(i + 1 < w && out[i + 1] == '.');
  }
}

static size_t smuggle(char *to, const struct seed *a, const struct seed *dot, const struct seed *b)
{
  static const char head[] = DATA "Subject: x\r\n\r\nbefore", tail[] =
                                                                  "MAIL FROM:<smuggled@x>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
                                                                  "smuggled\r\n.\r\nNOOP\r\n";
  size_t n = 0;
  put(to, &n, head, sizeof head - 1);
  put(to, &n, a->p, a->n);
  put(to, &n, dot->p, dot->n);
  put(to, &n, b->p, b->n);
  put(to, &n, tail, sizeof tail - 1);
  return n;
}

/* One message, whatever its parts. */
static void try_smuggling(int line_ends, const struct seed *a, const struct seed *dot, const struct seed *b)
{
  char in[ROOM];
  size_t n = smuggle(in, a, dot, b);
  size_t head = sizeof DATA - 1;
  if (has_end(in + head, n - head - 9 - 4)) /* in the attempt itself: a true end, not smuggled */
    return;
  for (int size = 0; size < 3; size++) {
    smtpf_smtpd_options o = feed_options();
    o.line_ends = line_ends;
    struct feed f;
    feed_open(&f, &o);
    f.keep_body = 1;
    feed_give(&f, in, n, size == 2 ? 7 : size);
    ck_assert_uint_eq(occurrences(f.log, "COMMAND MAIL"), 1);
    ck_assert_uint_eq(occurrences(f.log, "COMMAND DATA"), 1);
    ck_assert_uint_eq(occurrences(f.log, "END last") + occurrences(f.log, "VIOLATION 554"), 1);
    ck_assert_uint_eq(occurrences(f.log, "COMMAND NOOP"), 1);
    ck_assert_int_eq(f.bad_body, 0);
    if (strstr(f.log, "END last"))
      check_onward(f.body, f.body_n);
    feed_close(&f);
  }
}

START_TEST(nothing_else_ends_a_message)
{
  int tried = 0;
  for (size_t a = 0; a < MARKS; a++)
    for (size_t d = 0; d < DOTS; d++)
      for (size_t b = 0; b < MARKS; b++, tried++) {
        if (tried % (100 / rounds(100)))
          continue;
        try_smuggling(SMTPF_LINE_ENDS_REFUSE, &marks[a], &dots[d], &marks[b]);
        try_smuggling(SMTPF_LINE_ENDS_NORMALISE, &marks[a], &dots[d], &marks[b]);
      }
  ck_assert_int_ge(tried, 4000);
}
END_TEST

Suite *smtpf_suite_wire_chunks(void)
{
  Suite *suite = suite_create("wire cuts and smuggling");
  const TTest *const tests[] = {events_do_not_depend_on_the_cut, nothing_else_ends_a_message, NULL};
  add_case(suite, "chunks", tests);
  return suite;
}
