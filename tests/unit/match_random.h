/* SPDX-License-Identifier: MIT
 *
 * Random patterns and texts over a small alphabet, so that they meet.
 */
#ifndef SMTPF_TESTS_MATCH_RANDOM_H
#define SMTPF_TESTS_MATCH_RANDOM_H

#include "match_world.h"

struct words {
  char p[4096];
  size_t n;
};

static inline void say(struct words *w, const char *s)
{
  size_t n = strlen(s);
  if (w->n + n < sizeof w->p) {
    memcpy(w->p + w->n, s, n);
    w->n += n;
  }
}

/* `bounded`: no match is longer than about 40 bytes, and nothing depends on how a text begins. */
static inline void random_part(struct words *w, uint64_t *seed, int depth, int bounded)
{
  static const char *const atoms[] = {
      "a",        "b",         "k",    "s",   "abk", "buy",  "viagra", "[a-c]", "[^ab]", "[k0-9]", "\\d",        "\\s",
      "\\w",      "\\W",       "\\b",  "\\B", ".",   "free", "now",    "1",     "\\.",   "[Aa@4]", "\\x41",      "-",
      "\xc3\xa9", "\\Qa.b\\E", "(?i)", "\\n", "$",   "^",    "[\\d.]", "\\D",   "\\R",   "s+",     "[[:alpha:]]"};
  static const char *const groups[] = {"(", "(?:", "(?>", "(?=", "(?!", "(?<n>", "(?i:", "(?|", "(?<=a|b", "(?<!k"};
  static const char *const times[] = {"?", "{2}", "{1,3}", "??", "?+", "{0,2}", "{3}", "*", "+", "*?", "++", "{2,}"};
  for (unsigned parts = 1 + draw(seed, 4); parts; parts--) {
    if (depth && draw(seed, 4) == 0) {
      unsigned g = draw(seed, 10);
      if (g == 5) /* a name may be there once */
        g = 0;
      say(w, groups[g]);
      if (g < 8) {
        random_part(w, seed, depth - 1, bounded);
        if (draw(seed, 2)) {
          say(w, "|");
          random_part(w, seed, depth - 1, bounded);
        }
      }
      say(w, ")");
      if (g >= 8 || g == 3 || g == 4)
        continue;
    } else {
      unsigned a = draw(seed, sizeof atoms / sizeof *atoms);
      say(w, atoms[a]);
      if (strchr("\\^$(", atoms[a][0]) && strchr("bB^$(", atoms[a][strlen(atoms[a]) > 1 ? 1 : 0]))
        continue;
      if (!strcmp(atoms[a], "(?i)") || !strcmp(atoms[a], "s+"))
        continue;
    }
    if (draw(seed, 4) == 0)
      say(w, times[draw(seed, bounded ? 7 : 12)]);
  }
}

static inline void random_text(struct words *w, uint64_t *seed, size_t n)
{
  static const char *const bits[] = {
      "a",        "b",   "k",   "s",    "K",      "S",    "A",   " ", "1",    "9",    ".",
      "-",        "\n",  "abk", "buy ", "viagra", "free", "now", "é", "\xff", "\xc3", "\xe2\x84\xaa",
      "\xc5\xbf", "a.b", "@4",  "\r\n"};
  while (w->n < n)
    say(w, bits[draw(seed, sizeof bits / sizeof *bits - (draw(seed, 4) ? 8 : 0))]);
  w->n = n;
}

#endif
