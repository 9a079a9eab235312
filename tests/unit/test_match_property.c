/* SPDX-License-Identifier: MIT
 *
 * Whatever the patterns and the text: the set says what PCRE2 says pattern by pattern, and a stream says it too,
 * however it is cut.
 */
#include <check.h>

#include "match_random.h"
#include "match_suites.h"

enum { SETS = 400, PATTERNS = 24, TEXTS = 6 };

struct world {
  smtpf_patterns *set;
  smtpf_pattern_room *room;
  struct words pattern[PATTERNS];
  uint32_t flags[PATTERNS];
  uint32_t n;
};

static void fill(struct world *w, uint64_t *seed, int bounded)
{
  memset(w, 0, sizeof *w);
  ck_assert_int_eq(smtpf_patterns_new(&w->set, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_pattern_room_new(&w->room, NULL, NULL), SMTPF_OK);
  while (w->n < PATTERNS) {
    struct words *p = &w->pattern[w->n];
    p->n = 0;
    random_part(p, seed, 2, bounded);
    w->flags[w->n] =
        draw(seed, 64) & (SMTPF_PATTERN_CASELESS | SMTPF_PATTERN_MULTILINE | SMTPF_PATTERN_DOTALL | SMTPF_PATTERN_UTF);
    if (!bounded && draw(seed, 8) == 0)
      w->flags[w->n] |= SMTPF_PATTERN_EXTENDED;
    uint32_t index = 99;
    if (smtpf_patterns_add(w->set, (smtpf_str){p->p, p->n}, w->flags[w->n], &index, NULL, NULL) == SMTPF_OK) {
      ck_assert_uint_eq(index, w->n);
      w->n++;
    }
  }
  ck_assert_int_eq(smtpf_patterns_seal(w->set), SMTPF_OK);
}

static void empty(struct world *w)
{
  smtpf_patterns_free(w->set);
  smtpf_pattern_room_free(w->room);
}

static void hear_stream(struct world *w, smtpf_str text, size_t window, uint64_t *seed, struct heard *h)
{
  smtpf_pattern_window size = {sizeof size, (uint32_t)window, (uint32_t)window / 2};
  smtpf_pattern_stream *s;
  memset(h, 0, sizeof *h);
  ck_assert_int_eq(smtpf_pattern_stream_new(&s, w->set, NULL, &size, NULL), SMTPF_OK);
  while (text.n) {
    size_t n = 1 + draw(seed, 40);
    n = n < text.n ? n : text.n;
    ck_assert_int_eq(smtpf_pattern_stream_feed(s, w->room, (smtpf_str){text.p, n}, hear, h), SMTPF_OK);
    text.p += n;
    text.n -= n;
  }
  ck_assert_int_eq(smtpf_pattern_stream_finish(s, w->room, hear, h), SMTPF_OK);
  ck_assert_int_eq(h->twice, 0);
  smtpf_pattern_stream_free(s);
}

START_TEST(set_says_what_each_pattern_says)
{
  uint64_t seed = (uint64_t)_i * 7919 + 1;
  struct world w;
  fill(&w, &seed, 0);
  for (int t = 0; t < TEXTS; t++) {
    struct words text = {.n = 0};
    struct heard h;
    memset(&h, 0, sizeof h);
    random_text(&text, &seed, draw(&seed, 400));
    ck_assert_int_eq(smtpf_patterns_scan(w.set, w.room, (smtpf_str){text.p, text.n}, NULL, hear, &h), SMTPF_OK);
    ck_assert_int_eq(h.twice + h.unordered, 0);
    for (uint32_t i = 0; i < w.n; i++) {
      int want = alone((smtpf_str){w.pattern[i].p, w.pattern[i].n}, w.flags[i], (smtpf_str){text.p, text.n});
      if (want < 0 || h.result[i] == SMTPF_PATTERN_LIMIT)
        continue;
      ck_assert_msg((h.result[i] == SMTPF_PATTERN_HIT) == want,
                    "pattern `%.*s' flags %u: alone %d, in the set %d; text `%.*s'", (int)w.pattern[i].n,
                    w.pattern[i].p, (unsigned)w.flags[i], want, h.result[i], (int)text.n, text.p);
    }
  }
  empty(&w);
}
END_TEST

START_TEST(stream_says_it_however_cut)
{
  uint64_t seed = (uint64_t)_i * 104729 + 5;
  struct world w;
  fill(&w, &seed, 1);
  for (int t = 0; t < TEXTS; t++) {
    struct words text = {.n = 0};
    struct heard a, b;
    random_text(&text, &seed, 200 + draw(&seed, 1500));
    hear_stream(&w, (smtpf_str){text.p, text.n}, 400, &seed, &a);
    hear_stream(&w, (smtpf_str){text.p, text.n}, 400, &seed, &b);
    for (uint32_t i = 0; i < w.n; i++) {
      ck_assert_int_eq(a.result[i], b.result[i]);
      int want = alone((smtpf_str){w.pattern[i].p, w.pattern[i].n}, w.flags[i], (smtpf_str){text.p, text.n});
      if (want < 0 || a.result[i] == SMTPF_PATTERN_LIMIT)
        continue;
      if (a.result[i] && !want)
        ck_abort_msg("pattern `%.*s' flags %u: a match that is none", (int)w.pattern[i].n, w.pattern[i].p,
                     (unsigned)w.flags[i]);
      if (!a.result[i] && smtpf_patterns_reach(w.set, i) <= 200)
        ck_assert_msg(!want, "pattern `%.*s' flags %u: missed", (int)w.pattern[i].n, w.pattern[i].p,
                      (unsigned)w.flags[i]);
    }
  }
  empty(&w);
}
END_TEST

/* All characters whose other case is an ASCII letter: what src/match/scan.c looks for. */
START_TEST(only_two_characters_match_ascii_letters_in_another_case)
{
  for (unsigned c = 0x80; c < 0x110000; c++) {
    char p[4];
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (c >= 0xd800 && c < 0xe000)
      continue;
    for (size_t i = n; i-- > 1;)
      p[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 63));
    p[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> (6 * (n - 1)));
    static pcre2_code *code;
    static pcre2_match_data *data;
    int e;
    PCRE2_SIZE at;
    if (!code) {
      code = pcre2_compile((PCRE2_SPTR) "[a-z]", 5, PCRE2_UTF | PCRE2_CASELESS, &e, &at, NULL);
      data = pcre2_match_data_create(1, NULL);
    }
    int matches = pcre2_match(code, (PCRE2_SPTR)p, n, 0, PCRE2_NO_UTF_CHECK, data, NULL) > 0;
    ck_assert_msg(matches == (c == 0x17f || c == 0x212a), "U+%04X", c);
    if (c == 0x10ffff) {
      pcre2_code_free(code);
      pcre2_match_data_free(data);
    }
  }
}
END_TEST

Suite *match_property_suite(void)
{
  Suite *s = suite_create("match: property");
  TCase *t = tcase_create("equal");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, set_says_what_each_pattern_says, 0, SETS);
  tcase_add_loop_test(t, stream_says_it_however_cut, 0, SETS / 4);
  tcase_add_test(t, only_two_characters_match_ascii_letters_in_another_case);
  suite_add_tcase(s, t);
  return s;
}
