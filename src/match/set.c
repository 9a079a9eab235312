/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "match/match.h"

enum {
  ALL_FLAGS = SMTPF_PATTERN_CASELESS | SMTPF_PATTERN_MULTILINE | SMTPF_PATTERN_DOTALL | SMTPF_PATTERN_EXTENDED |
              SMTPF_PATTERN_UTF | SMTPF_PATTERN_LITERAL,
  NOT_LITERAL = SMTPF_PATTERN_MULTILINE | SMTPF_PATTERN_DOTALL | SMTPF_PATTERN_EXTENDED,
  FACTOR_FAR = 65536, /* starts further before a factor than this are not looked for near it */
};

static void *take(size_t n, void *user)
{
  const smtpf_mem *mem = user;
  return mem->alloc(mem->user, n);
}

static void give(void *p, void *user)
{
  const smtpf_mem *mem = user;
  if (p)
    mem->free(mem->user, p);
}

int smtpf_patterns_new(smtpf_patterns **out, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_patterns *set = smtpf_mem_zalloc(&m, sizeof *set);
  if (!set)
    return SMTPF_ENOMEM;
  set->mem = m;
  smtpf_gram_init(&set->grams, &set->mem);
  set->general = pcre2_general_context_create(take, give, &set->mem);
  set->compile = set->general ? pcre2_compile_context_create(set->general) : NULL;
  if (!set->compile) {
    smtpf_patterns_free(set);
    return SMTPF_ENOMEM;
  }
  pcre2_set_newline(set->compile, PCRE2_NEWLINE_LF);
  pcre2_set_bsr(set->compile, PCRE2_BSR_UNICODE);
  pcre2_set_max_pattern_length(set->compile, SMTPF_PATTERN_MAX);
  *out = set;
  return SMTPF_OK;
}

void smtpf_patterns_free(smtpf_patterns *set)
{
  if (!set)
    return;
  for (size_t i = 0; i < set->n; i++)
    pcre2_code_free(set->v[i].code);
  pcre2_compile_context_free(set->compile);
  pcre2_general_context_free(set->general);
  smtpf_gram_free(&set->grams);
  const smtpf_mem mem = set->mem;
  smtpf_mem_free(&mem, set->v);
  smtpf_mem_free(&mem, set->always);
  smtpf_mem_free(&mem, set->exotic);
  smtpf_mem_free(&mem, set);
}

static uint32_t compile_options(uint32_t flags)
{
  uint32_t o = PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
  o |= flags & SMTPF_PATTERN_CASELESS ? PCRE2_CASELESS : 0;
  o |= flags & SMTPF_PATTERN_MULTILINE ? PCRE2_MULTILINE : 0;
  o |= flags & SMTPF_PATTERN_DOTALL ? PCRE2_DOTALL : 0;
  o |= flags & SMTPF_PATTERN_EXTENDED ? PCRE2_EXTENDED : 0;
  o |= flags & SMTPF_PATTERN_UTF ? PCRE2_UTF | PCRE2_MATCH_INVALID_UTF : PCRE2_NEVER_UTF;
  if (flags & SMTPF_PATTERN_LITERAL)
    o = (o & ~(uint32_t)(PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF)) | PCRE2_LITERAL;
  return o;
}

static int fault(smtpf_error *err, int code, int pcre, size_t offset)
{
  PCRE2_UCHAR text[256] = {0};
  char room[24];
  smtpf_out where;
  pcre2_get_error_message(pcre, text, sizeof text);
  smtpf_out_init(&where, room, sizeof room);
  smtpf_out_uint(&where, offset);
  return SMTPF_ERROR(err, code, NULL, 0, SMTPF_LIT("at byte "), smtpf_out_done(&where), SMTPF_LIT(" of the pattern: "),
                     smtpf_str_of((const char *)text));
}

/* To machine code, where this machine may and can; PCRE2 interprets the pattern elsewhere, with the same answer. */
static void to_machine_code(smtpf_pattern *p)
{
  p->jit = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0;
}

static int look_behind(smtpf_pattern *p, const smtpf_syntax *s, smtpf_str pattern)
{
  uint32_t characters = 0;
  if (pcre2_pattern_info(p->code, PCRE2_INFO_MAXLOOKBEHIND, &characters) != 0)
    return SMTPF_EINVAL;
  uint64_t levels = 1 + (uint64_t)s->nested;
  for (size_t i = 0; !s->known && i + 1 < pattern.n; i++) /* at most so many are inside each other */
    levels += pattern.p[i] == '(' && (pattern.p[i + 1] == '?' || pattern.p[i + 1] == '*');
  uint64_t bytes = characters * levels * (p->utf ? 4 : 1) + 4;
  p->behind = bytes > 1 << 20 ? 1 << 20 : (uint32_t)bytes;
  return SMTPF_OK;
}

/* Takes what is known of the pattern; its factors go into the first pass. */
static int learn(smtpf_patterns *set, smtpf_pattern *p, const smtpf_syntax *s)
{
  const smtpf_gram_index was = set->grams;
  p->reach = s->known ? s->reach : SMTPF_ENDLESS;
  p->verbs = s->verbs != 0;
  p->exotic = p->utf && s->caseless;
  p->always = !s->n_factors;
  p->least = s->least;
  p->most = s->most > FACTOR_FAR ? SMTPF_ENDLESS : s->most;
  for (size_t i = 0; i < s->n_factors; i++)
    if (smtpf_gram_add(&set->grams, &s->factors[i], s->pool, (uint32_t)set->n) != SMTPF_OK) {
      smtpf_gram_cut(&set->grams, &was);
      return SMTPF_ENOMEM;
    }
  return SMTPF_OK;
}

int smtpf_patterns_add(smtpf_patterns *set, smtpf_str pattern, uint32_t flags, uint32_t *index, size_t *offset,
                       smtpf_error *err)
{
  if (set->sealed)
    return SMTPF_ERROR(err, SMTPF_ESTATE, NULL, 0, SMTPF_LIT("the set of patterns is sealed"));
  if (flags & ~(uint32_t)ALL_FLAGS || (flags & SMTPF_PATTERN_LITERAL && flags & NOT_LITERAL))
    return SMTPF_ERROR(err, SMTPF_EINVAL, NULL, 0, SMTPF_LIT("these flags of a pattern do not go together"));
  if (pattern.n > SMTPF_PATTERN_MAX || set->n == SMTPF_PATTERNS_MAX)
    return SMTPF_ERROR(err, SMTPF_ELIMIT, NULL, 0, SMTPF_LIT("the pattern is too long, or there are too many"));
  if (smtpf_mem_grow(&set->mem, (void **)&set->v, &set->cap, set->n + 1, sizeof *set->v) != SMTPF_OK)
    return SMTPF_ENOMEM;
  smtpf_pattern p = {0};
  int code = 0;
  PCRE2_SIZE at = 0;
  p.utf = (flags & SMTPF_PATTERN_UTF) != 0;
  p.code = pcre2_compile((PCRE2_SPTR)(pattern.n ? pattern.p : ""), pattern.n, compile_options(flags), &code, &at,
                         set->compile);
  if (!p.code && code == PCRE2_ERROR_HEAP_FAILED)
    return SMTPF_ENOMEM;
  if (!p.code) {
    if (offset)
      *offset = at;
    return fault(err, SMTPF_EPARSE, code, at);
  }
  to_machine_code(&p);
  smtpf_arena arena;
  smtpf_syntax s;
  smtpf_arena_init(&arena, &set->mem, 16384, 4 * (size_t)SMTPF_SYNTAX_MEMORY);
  int r = smtpf_syntax_read(&s, pattern, flags, &arena);
  if (r == SMTPF_OK)
    r = look_behind(&p, &s, pattern);
  if (r == SMTPF_OK)
    r = learn(set, &p, &s);
  smtpf_arena_clear(&arena);
  if (r != SMTPF_OK) {
    pcre2_code_free(p.code);
    return r;
  }
  if (index)
    *index = (uint32_t)set->n;
  set->v[set->n++] = p;
  return SMTPF_OK;
}

int smtpf_patterns_seal(smtpf_patterns *set)
{
  if (set->sealed)
    return SMTPF_ESTATE;
  size_t room = (set->n ? set->n : 1) * sizeof *set->always;
  uint32_t *always = smtpf_mem_alloc(&set->mem, room), *exotic = smtpf_mem_alloc(&set->mem, room);
  if (!always || !exotic || smtpf_gram_build(&set->grams) != SMTPF_OK) {
    smtpf_mem_free(&set->mem, always);
    smtpf_mem_free(&set->mem, exotic);
    return SMTPF_ENOMEM;
  }
  set->always = always;
  set->exotic = exotic;
  for (size_t i = 0; i < set->n; i++) {
    const smtpf_pattern *p = &set->v[i];
    if (p->always)
      always[set->n_always++] = (uint32_t)i;
    else if (p->exotic)
      exotic[set->n_exotic++] = (uint32_t)i;
    set->behind = p->behind > set->behind ? p->behind : set->behind;
    set->utf |= p->utf;
  }
  set->sealed = 1;
  return SMTPF_OK;
}

uint32_t smtpf_patterns_count(const smtpf_patterns *set)
{
  return (uint32_t)set->n;
}

size_t smtpf_patterns_mask_words(const smtpf_patterns *set)
{
  return (set->n + 63) / 64;
}

int smtpf_patterns_always(const smtpf_patterns *set, uint32_t index)
{
  return index < set->n && set->v[index].always;
}

size_t smtpf_patterns_reach(const smtpf_patterns *set, uint32_t index)
{
  if (index >= set->n || set->v[index].reach == SMTPF_ENDLESS)
    return SIZE_MAX;
  uint64_t reach = set->v[index].reach + set->v[index].behind;
  return reach > SIZE_MAX ? SIZE_MAX : (size_t)reach;
}
