/* SPDX-License-Identifier: MIT
 *
 * One block. The first pass tells where factors stand; each makes an attempt of its pattern at the few places where a
 * match with that factor could begin. Patterns without a factor are attempted everywhere.
 */
#include <string.h>

#include "match/match.h"

struct pass {
  const smtpf_patterns *set;
  smtpf_pattern_room *room;
  const smtpf_block *b;
  const uint64_t *mask, *done;
};

static int wanted(const struct pass *s, uint32_t i)
{
  uint64_t bit = UINT64_C(1) << (i & 63);
  return (!s->mask || s->mask[i >> 6] & bit) && (!s->done || !(s->done[i >> 6] & bit));
}

static void attempt(const struct pass *s, uint32_t i, size_t first, size_t last)
{
  smtpf_pattern_room *room = s->room;
  smtpf_attempts *a = &room->v[i];
  if (!a->seen) {
    a->seen = 1;
    room->touched[room->n_touched++] = i;
  }
  a->first = first;
  a->last = last;
  a->result = (uint8_t)smtpf_pattern_attempt(room, &s->set->v[i], s->b, first, last, a);
  if (a->result)
    room->found[i >> 6] |= UINT64_C(1) << (i & 63);
}

static void everywhere(const struct pass *s, uint32_t i)
{
  if (wanted(s, i) && !s->room->v[i].result)
    attempt(s, i, s->b->from, s->b->n);
}

/* A factor of pattern i stands at `at`. */
static void on_factor(void *user, uint32_t i, size_t at)
{
  const struct pass *s = user;
  const smtpf_pattern *p = &s->set->v[i];
  smtpf_attempts *a = &s->room->v[i];
  if (a->result || !wanted(s, i) || at < s->b->from + p->least)
    return;
  size_t first = s->b->from, last = at - (size_t)p->least;
  if (p->most == SMTPF_ENDLESS)
    last = s->b->n; /* once, for all factors */
  else if (at - first > p->most)
    first = at - (size_t)p->most;
  size_t begun = a->first;
  if (a->seen && first >= begun && first <= a->last) {
    if (last <= a->last)
      return;
    attempt(s, i, a->last + 1, last); /* what was tried, and what was added to it, are one range */
    a->first = begun;
    return;
  }
  attempt(s, i, first, last);
}

/* Whether a character is there that matches an ASCII letter where case does not matter: U+017F or U+212A. */
static int exotic(const smtpf_block *b)
{
  static const struct {
    unsigned char first;
    size_t n;
    char rest[3];
  } letters[] = {{0xc5, 1, "\xbf"}, {0xe2, 2, "\x84\xaa"}};
  for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
    for (const char *p = b->p, *end = b->p + b->n; p < end && (p = memchr(p, letters[k].first, (size_t)(end - p))); p++)
      if ((size_t)(end - p) > letters[k].n && memcmp(p + 1, letters[k].rest, letters[k].n) == 0)
        return 1;
  return 0;
}

void smtpf_block_scan(const smtpf_patterns *set, smtpf_pattern_room *room, const smtpf_block *b, const uint64_t *mask,
                      const uint64_t *done)
{
  struct pass s = {set, room, b, mask, done};
  smtpf_gram_scan(&set->grams, b->p, b->from, b->n, on_factor, &s);
  if (set->n_exotic && exotic(b))
    for (size_t k = 0; k < set->n_exotic; k++)
      everywhere(&s, set->exotic[k]);
  for (size_t k = 0; k < set->n_always; k++)
    everywhere(&s, set->always[k]);
}

static int tell(smtpf_pattern_room *room, const smtpf_block *b, uint32_t i, uint64_t base, smtpf_pattern_found found,
                void *user)
{
  const smtpf_attempts *a = &room->v[i];
  smtpf_pattern_hit hit = {.size = sizeof hit, .index = i, .result = a->result};
  if (a->result == SMTPF_PATTERN_HIT) {
    hit.from = base + a->from;
    hit.to = base + a->to;
    hit.text = (smtpf_str){b->p + a->from, a->to - a->from};
  } else {
    hit.cause = a->cause;
  }
  room->busy = 1;
  int stop = found(user, &hit);
  room->busy = 0;
  return stop;
}

int smtpf_block_report(const smtpf_patterns *set, smtpf_pattern_room *room, const smtpf_block *b, uint64_t base,
                       uint64_t *done, smtpf_pattern_found found, void *user)
{
  int stop = 0;
  for (size_t w = 0; w < smtpf_patterns_mask_words(set); w++) {
    for (uint64_t bits = room->found[w]; bits && !stop; bits &= bits - 1)
      stop = tell(room, b, (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(bits), base, found, user);
    if (done)
      done[w] |= room->found[w];
    room->found[w] = 0;
  }
  while (room->n_touched)
    room->v[room->touched[--room->n_touched]] = (smtpf_attempts){0};
  return stop != 0;
}

int smtpf_patterns_scan(const smtpf_patterns *set, smtpf_pattern_room *room, smtpf_str text, const uint64_t *mask,
                        smtpf_pattern_found found, void *user)
{
  const smtpf_block b = {.p = text.n ? text.p : "", .n = text.n, .whole = text.n};
  if (!set->sealed)
    return SMTPF_ESTATE;
  if (room->busy)
    return SMTPF_EBUSY;
  if (smtpf_pattern_room_fit(room, set) != SMTPF_OK)
    return SMTPF_ENOMEM;
  smtpf_block_scan(set, room, &b, mask, NULL);
  smtpf_block_report(set, room, &b, 0, NULL, found, user);
  return SMTPF_OK;
}
