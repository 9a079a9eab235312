/* SPDX-License-Identifier: MIT */
#include "match/factor.h"

#include <string.h>

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

/* Kinds that patterns tell apart. 0 is every byte that is not named. */
const uint8_t smtpf_byte_kind[256] = {
    ['\t'] = 1, ['\n'] = 1, ['\v'] = 1, ['\f'] = 1, ['\r'] = 1, [' '] = 1,  ['0'] = 2,  ['1'] = 2,  ['2'] = 2,
    ['3'] = 2,  ['4'] = 2,  ['5'] = 2,  ['6'] = 2,  ['7'] = 2,  ['8'] = 2,  ['9'] = 2,  ['a'] = 3,  ['b'] = 3,
    ['c'] = 3,  ['d'] = 3,  ['e'] = 3,  ['f'] = 3,  ['A'] = 3,  ['B'] = 3,  ['C'] = 3,  ['D'] = 3,  ['E'] = 3,
    ['F'] = 3,  ['g'] = 4,  ['h'] = 4,  ['i'] = 4,  ['j'] = 4,  ['k'] = 4,  ['l'] = 4,  ['m'] = 4,  ['n'] = 4,
    ['o'] = 4,  ['p'] = 4,  ['q'] = 4,  ['r'] = 4,  ['s'] = 4,  ['t'] = 4,  ['u'] = 4,  ['v'] = 4,  ['w'] = 4,
    ['x'] = 4,  ['y'] = 4,  ['z'] = 4,  ['G'] = 4,  ['H'] = 4,  ['I'] = 4,  ['J'] = 4,  ['K'] = 4,  ['L'] = 4,
    ['M'] = 4,  ['N'] = 4,  ['O'] = 4,  ['P'] = 4,  ['Q'] = 4,  ['R'] = 4,  ['S'] = 4,  ['T'] = 4,  ['U'] = 4,
    ['V'] = 4,  ['W'] = 4,  ['X'] = 4,  ['Y'] = 4,  ['Z'] = 4,  ['_'] = 5,  ['.'] = 6,  [','] = 7,  [';'] = 7,
    [':'] = 7,  ['-'] = 8,  ['~'] = 8,  ['/'] = 9,  ['\\'] = 9, ['|'] = 9,  ['<'] = 10, ['>'] = 10, ['('] = 11,
    [')'] = 11, ['['] = 11, [']'] = 11, ['{'] = 11, ['}'] = 11, ['$'] = 12, ['%'] = 12, ['#'] = 12, ['&'] = 12,
    ['!'] = 13, ['?'] = 13, ['*'] = 13, ['^'] = 13, ['='] = 14, ['+'] = 14, ['@'] = 15, ['"'] = 5,  ['\''] = 5,
    ['`'] = 5,
};

static void count_kinds(smtpf_pool_set *set)
{
  smtpf_bytes kinds = {{0}}, kin = {{0}};
  for (unsigned c = 0; c < 256; c++)
    if (smtpf_bytes_has(&set->bytes, (unsigned char)c) && !smtpf_bytes_has(&kinds, smtpf_byte_kind[c])) {
      smtpf_bytes_add(&kinds, smtpf_byte_kind[c]);
      set->kinds++;
    }
  for (unsigned c = 0; c < 256; c++)
    if (smtpf_bytes_has(&kinds, smtpf_byte_kind[c]))
      smtpf_bytes_add(&kin, (unsigned char)c);
  set->kin = chance_of(&kin);
}

void smtpf_pool_set_init(smtpf_pool_set *out, const smtpf_bytes *s)
{
  *out = (smtpf_pool_set){.bytes = *s, .chance = chance_of(s), .folded = folded_of(s)};
  count_kinds(out);
}

/* The rarest grams of `n` sets of a factor, if there are some that are few. */
static int rarest(const smtpf_factor *f, const smtpf_pool_set *pool, uint64_t most, int shape, smtpf_factor_plan *out)
{
  const unsigned whole = shape ? SMTPF_SHAPE : SMTPF_WORD, n = f->n < whole ? f->n : whole, missing = whole - n;
  for (unsigned at = 0; at + n <= f->n; at++) {
    uint64_t grams = 1;
    double chance = 1;
    for (unsigned i = 0; i < missing; i++)
      grams *= shape ? 1u << SMTPF_KIND_BITS : 128;
    for (unsigned i = at; i < at + n; i++) {
      grams *= shape ? pool[f->set[i]].kinds : pool[f->set[i]].folded;
      chance *= shape ? pool[f->set[i]].kin : pool[f->set[i]].chance;
    }
    if (!grams || grams > most || (out->n && chance >= out->chance))
      continue;
    *out = (smtpf_factor_plan){(uint8_t)at, (uint8_t)n, (uint8_t)shape, chance, out->complete};
  }
  return out->n != 0;
}

/* What stands in most mail, whatever its letters' chances say. */
static int usual(const smtpf_factor *f, const smtpf_pool_set *pool)
{
  static const char *const phrases[] = {
      "<a href=\"https://www.",
      "<a href=\"http://www.",
      "<p class=\"",
      "<div style=\"font-size: ",
      "<td width=\"",
      "<span>",
      "<table ",
      "<img src=\"",
      "name=\"",
      "filename=\"",
      " your ",
      " this is ",
      "From: ",
      "To: ",
      "Received: from ",
      "Subject: Re: ",
  };
  for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
    size_t n = strlen(phrases[i]);
    for (size_t at = 0; at + f->n <= n; at++) {
      unsigned k = 0;
      while (k < f->n && smtpf_bytes_has(&pool[f->set[k]].bytes, (unsigned char)phrases[i][at + k]))
        k++;
      if (k == f->n)
        return 1;
    }
  }
  return 0;
}

int smtpf_factor_look(const smtpf_factor *f, const smtpf_pool_set *pool, smtpf_factor_plan *out)
{
  smtpf_factor_plan plan = {.complete = 1};
  for (unsigned i = 0; i < f->n; i++)
    plan.complete *= pool[f->set[i]].chance;
  if (usual(f, pool) && plan.complete < 2e-3)
    plan.complete = 2e-3;
  smtpf_factor_plan shape = plan, many = plan;
  if (f->n < 2)
    return 0;
  int word = f->n > 2 && rarest(f, pool, SMTPF_WORDS_MAX, 0, &plan);
  if (!word && rarest(f, pool, SMTPF_SHAPES_MAX, 1, &shape))
    plan = shape;
  if (!word && f->n > 2 && rarest(f, pool, SMTPF_WORDS_MANY, 0, &many) && (!shape.n || many.chance * 8 < shape.chance))
    plan = many;
  *out = plan;
  return plan.n != 0;
}
