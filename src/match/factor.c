/* SPDX-License-Identifier: MIT */
#include "match/factor.h"

void smtpf_bytes_range(smtpf_bytes *s, unsigned char first, unsigned char last)
{
  for (unsigned c = first; c <= last; c++)
    smtpf_bytes_add(s, (unsigned char)c);
}

void smtpf_bytes_invert(smtpf_bytes *s)
{
  for (int i = 0; i < 4; i++)
    s->bits[i] = ~s->bits[i];
}

void smtpf_bytes_fold(smtpf_bytes *s)
{
  const uint64_t letters = UINT64_C(0x07fffffe); /* `A` to `Z` in the half word of 0x40, `a` to `z` in that of 0x60 */
  uint64_t both = (s->bits[1] | s->bits[1] >> 32) & letters;
  s->bits[1] |= both | both << 32;
}

/* Of 10 000 bytes of mail, how many are this one: English prose, some HTML, headers, base64. Others: 2 each. */
static const uint16_t common[128] = {
    ['\t'] = 30, ['\n'] = 190, ['\r'] = 190, [' '] = 1300, ['!'] = 12,  ['"'] = 70,  ['#'] = 12,  ['$'] = 8,
    ['%'] = 12,  ['&'] = 20,   ['\''] = 25,  ['('] = 20,   [')'] = 20,  ['*'] = 12,  ['+'] = 20,  [','] = 75,
    ['-'] = 110, ['.'] = 120,  ['/'] = 130,  ['0'] = 130,  ['1'] = 110, ['2'] = 100, ['3'] = 70,  ['4'] = 65,
    ['5'] = 65,  ['6'] = 60,   ['7'] = 55,   ['8'] = 60,   ['9'] = 60,  [':'] = 60,  [';'] = 40,  ['<'] = 90,
    ['='] = 110, ['>'] = 100,  ['?'] = 15,   ['@'] = 15,   ['A'] = 70,  ['B'] = 45,  ['C'] = 50,  ['D'] = 45,
    ['E'] = 50,  ['F'] = 40,   ['G'] = 38,   ['H'] = 38,   ['I'] = 50,  ['J'] = 28,  ['K'] = 28,  ['L'] = 38,
    ['M'] = 42,  ['N'] = 42,   ['O'] = 42,   ['P'] = 45,   ['Q'] = 28,  ['R'] = 42,  ['S'] = 50,  ['T'] = 55,
    ['U'] = 38,  ['V'] = 30,   ['W'] = 36,   ['X'] = 28,   ['Y'] = 32,  ['Z'] = 26,  ['['] = 8,   ['\\'] = 4,
    [']'] = 8,   ['_'] = 30,   ['a'] = 520,  ['b'] = 120,  ['c'] = 260, ['d'] = 270, ['e'] = 790, ['f'] = 160,
    ['g'] = 150, ['h'] = 320,  ['i'] = 480,  ['j'] = 40,   ['k'] = 80,  ['l'] = 300, ['m'] = 200, ['n'] = 480,
    ['o'] = 530, ['p'] = 190,  ['q'] = 25,   ['r'] = 420,  ['s'] = 430, ['t'] = 600, ['u'] = 210, ['v'] = 80,
    ['w'] = 140, ['x'] = 50,   ['y'] = 130,  ['z'] = 35,   ['{'] = 6,   ['|'] = 6,   ['}'] = 6,   ['~'] = 4,
};

static double chance_of(const smtpf_bytes *s)
{
  unsigned sum = 0;
  for (unsigned c = 0; c < 256; c++)
    if (smtpf_bytes_has(s, (unsigned char)c))
      sum += c < 128 && common[c] ? common[c] : 2;
  double chance = sum / 10000.0;
  return chance > 1 ? 1 : chance;
}

static unsigned folded_of(const smtpf_bytes *s)
{
  uint64_t low = s->bits[0], high = s->bits[2]; /* 0x00-0x3f; 0x80-0xbf */
  unsigned n = 0;
  for (int half = 0; half < 2; half++) {
    const uint64_t w[2] = {half ? high : low, s->bits[half ? 3 : 1]};
    for (int i = 0; i < 2; i++)
      for (uint64_t bits = (w[i] | w[i] >> 32) & UINT64_C(0xffffffff); bits; bits &= bits - 1)
        n++;
  }
  return n;
}

void smtpf_pool_set_init(smtpf_pool_set *out, const smtpf_bytes *s)
{
  *out = (smtpf_pool_set){*s, chance_of(s), folded_of(s)};
}

int smtpf_factor_plan(const smtpf_factor *f, const smtpf_pool_set *pool, smtpf_gram_plan *out)
{
  if (f->n < 3)
    return 0;
  smtpf_gram_plan best = {0};
  best.complete = 1;
  for (unsigned i = 0; i < f->n; i++)
    best.complete *= pool[f->set[i]].chance;
  for (unsigned n = f->n < SMTPF_GRAM ? f->n : SMTPF_GRAM; n >= 3; n--) {
    for (unsigned at = 0; at + n <= f->n; at++) {
      uint64_t grams = n == 3 ? 128 : 1;
      double here = 1;
      for (unsigned i = at; i < at + n; i++) {
        grams *= pool[f->set[i]].folded;
        here *= pool[f->set[i]].chance;
      }
      if (grams > SMTPF_GRAMS_MAX / 2 || (best.n && here >= best.chance))
        continue;
      best.at = (uint8_t)at;
      best.n = (uint8_t)n;
      best.grams = (uint32_t)grams;
      best.chance = here;
    }
    if (best.n)
      break;
  }
  if (!best.n || !best.grams)
    return 0;
  *out = best;
  return 1;
}
