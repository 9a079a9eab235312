/* SPDX-License-Identifier: MIT
 *
 * What the tests of src/match share: an allocator that fails, a listener, patterns one by one, a generator.
 */
#ifndef SMTPF_TESTS_MATCH_WORLD_H
#define SMTPF_TESTS_MATCH_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "match/match.h"

/* An allocator that fails from its `left`th allocation on, and counts what is not given back. */
struct purse {
  long left, held;
};
static void *purse_alloc(void *user, size_t n)
{
  struct purse *p = user;
  if (p->left-- <= 0)
    return NULL;
  p->held++;
  return malloc(n);
}
static void *purse_realloc(void *user, void *old, size_t n)
{
  struct purse *p = user;
  if (p->left-- <= 0)
    return NULL;
  p->held += old == NULL;
  return realloc(old, n);
}
static void purse_free(void *user, void *p)
{
  struct purse *purse = user;
  purse->held -= p != NULL;
  free(p);
}
static inline smtpf_mem purse_mem(struct purse *p)
{
  return (smtpf_mem){sizeof(smtpf_mem), p, purse_alloc, purse_realloc, purse_free};
}

enum { HEARD = 64 };

/* What was reported. */
struct heard {
  int result[HEARD]; /* of each pattern */
  int twice, unordered, told;
  uint32_t last;
  uint64_t from[HEARD], to[HEARD];
  const char *cause;
};
static inline int hear(void *user, const smtpf_pattern_hit *hit)
{
  struct heard *h = user;
  if (hit->index >= HEARD)
    return 1;
  h->twice += h->result[hit->index] != 0;
  h->unordered += h->told && hit->index <= h->last;
  h->last = hit->index;
  h->told++;
  h->result[hit->index] = hit->result;
  h->from[hit->index] = hit->from;
  h->to[hit->index] = hit->to;
  h->cause = hit->cause ? hit->cause : h->cause;
  return 0;
}

/* A generator of numbers, the same everywhere. */
static inline unsigned draw(uint64_t *seed, unsigned below)
{
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(*seed >> 33) % below;
}

/* PCRE2 itself, without anything of ours: 1 matches, 0 does not, -1 a limit. */
static inline int alone(smtpf_str pattern, uint32_t flags, smtpf_str text)
{
  int code;
  PCRE2_SIZE at;
  uint32_t o =
      (flags & SMTPF_PATTERN_CASELESS ? PCRE2_CASELESS : 0u) |
      (flags & SMTPF_PATTERN_MULTILINE ? PCRE2_MULTILINE : 0u) | (flags & SMTPF_PATTERN_DOTALL ? PCRE2_DOTALL : 0u) |
      (flags & SMTPF_PATTERN_EXTENDED ? PCRE2_EXTENDED : 0u) | (flags & SMTPF_PATTERN_LITERAL ? PCRE2_LITERAL : 0u) |
      (flags & SMTPF_PATTERN_UTF ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : 0u);
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
  pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, o, &code, &at, context);
  pcre2_compile_context_free(context);
  if (!c)
    return 0;
  pcre2_match_data *d = pcre2_match_data_create(1, NULL);
  pcre2_match_context *limits = pcre2_match_context_create(NULL);
  pcre2_set_match_limit(limits, 1000000);
  pcre2_set_heap_limit(limits, 20000);
  pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
  int r = pcre2_match(c, (PCRE2_SPTR)(text.n ? text.p : ""), text.n, 0, 0, d, limits);
  pcre2_match_context_free(limits);
  pcre2_match_data_free(d);
  pcre2_code_free(c);
  return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

#endif
