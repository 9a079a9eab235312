/* SPDX-License-Identifier: MIT
 *
 * One attempt of one pattern. PCRE2 counts backtracking anew at each place of the text, so a limit alone bounds a
 * place, not a text. Hence two: first a low one, which nearly every attempt keeps. Where it is exceeded the places are
 * tried in small groups, and few groups may use the high limit. What a text can cost is then a small multiple of its
 * length and a constant.
 */
#include <string.h>

#include "base/mem.h"
#include "match/match.h"

enum {
  LOW = 256,        /* backtracking points at a place, first */
  GROUP = 256,      /* places tried together afterwards */
  DEAR = 16,        /* groups that may use the high limit */
  RETRIES = 16,     /* matches of one block that its end leaves open */
  NO_TRIES = -1000, /* beside PCRE2's errors: the room grants none */
  STACK = 32768,    /* bytes of stack compiled code begins with */
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

static uint32_t or_default(uint32_t value, uint32_t usual)
{
  return value ? value : usual;
}

static int set_limits(smtpf_pattern_room *room, const smtpf_pattern_limits *limits)
{
  const smtpf_pattern_limits none = {0};
  if (limits && limits->size != sizeof *limits)
    return SMTPF_EINVAL;
  limits = limits ? limits : &none;
  room->limits.match = or_default(limits->match, 20000);
  room->limits.depth = or_default(limits->depth, 5000);
  room->limits.heap = or_default(limits->heap, 4096);
  room->limits.jit_stack = or_default(limits->jit_stack, 262144);
  return room->limits.jit_stack < STACK ? SMTPF_EINVAL : SMTPF_OK;
}

static int fill(smtpf_pattern_room *room)
{
  uint32_t jit = 0;
  room->general = pcre2_general_context_create(take, give, &room->mem);
  if (!room->general)
    return SMTPF_ENOMEM;
  room->context = pcre2_match_context_create(room->general);
  room->data = pcre2_match_data_create(1, room->general);
  if (!room->context || !room->data)
    return SMTPF_ENOMEM;
  pcre2_set_depth_limit(room->context, room->limits.depth);
  pcre2_set_heap_limit(room->context, room->limits.heap);
  if (pcre2_config(PCRE2_CONFIG_JIT, &jit) != 0 || !jit)
    return SMTPF_OK;
  room->stack = pcre2_jit_stack_create(STACK, room->limits.jit_stack, room->general);
  if (!room->stack)
    return SMTPF_ENOMEM;
  pcre2_jit_stack_assign(room->context, NULL, room->stack);
  return SMTPF_OK;
}

int smtpf_pattern_room_new(smtpf_pattern_room **out, const smtpf_pattern_limits *limits, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_pattern_room *room = smtpf_mem_zalloc(&m, sizeof *room);
  if (!room)
    return SMTPF_ENOMEM;
  room->mem = m;
  room->tries = UINT64_MAX;
  int r = set_limits(room, limits);
  if (r == SMTPF_OK)
    r = fill(room);
  if (r != SMTPF_OK) {
    smtpf_pattern_room_free(room);
    return r;
  }
  *out = room;
  return SMTPF_OK;
}

void smtpf_pattern_room_free(smtpf_pattern_room *room)
{
  if (!room)
    return;
  pcre2_jit_stack_free(room->stack);
  pcre2_match_data_free(room->data);
  pcre2_match_context_free(room->context);
  pcre2_general_context_free(room->general);
  const smtpf_mem mem = room->mem;
  smtpf_mem_free(&mem, room->v);
  smtpf_mem_free(&mem, room->touched);
  smtpf_mem_free(&mem, room->found);
  smtpf_mem_free(&mem, room);
}

uint64_t smtpf_pattern_room_tries(smtpf_pattern_room *room, uint64_t tries)
{
  const uint64_t left = room->tries;
  room->tries = tries;
  return left;
}

int smtpf_pattern_room_fit(smtpf_pattern_room *room, const smtpf_patterns *set)
{
  size_t words = smtpf_patterns_mask_words(set), cap = room->cap, found = room->found_cap;
  if (smtpf_mem_grow(&room->mem, (void **)&room->touched, &room->touched_cap, set->n, sizeof *room->touched) !=
          SMTPF_OK ||
      smtpf_mem_grow(&room->mem, (void **)&room->v, &cap, set->n, sizeof *room->v) != SMTPF_OK)
    return SMTPF_ENOMEM;
  for (; room->cap < cap; room->cap++)
    room->v[room->cap] = (smtpf_attempts){0};
  if (smtpf_mem_grow(&room->mem, (void **)&room->found, &found, words, sizeof *room->found) != SMTPF_OK)
    return SMTPF_ENOMEM;
  for (; room->found_cap < found; room->found_cap++)
    room->found[room->found_cap] = 0;
  return SMTPF_OK;
}

size_t smtpf_utf_start(const char *p, size_t at, size_t least)
{
  size_t back = at - least < 3 ? at - least : 3;
  while (back-- && ((unsigned char)p[at] & 0xc0) == 0x80)
    at--;
  return at;
}

struct subject {
  const char *p;
  size_t n;
  uint32_t options;
};

static int once(smtpf_pattern_room *room, const smtpf_pattern *p, const struct subject *s, size_t first, size_t last,
                uint32_t limit)
{
  pcre2_set_match_limit(room->context, limit);
  pcre2_set_offset_limit(room->context, last);
  PCRE2_SPTR text = (PCRE2_SPTR)s->p;
  return p->jit ? pcre2_jit_match(p->code, text, s->n, first, s->options, room->data, room->context)
                : pcre2_match(p->code, text, s->n, first, s->options, room->data, room->context);
}

/* Whether the high limit may be used at so many groups of places. */
static int granted(smtpf_pattern_room *room, size_t tries)
{
  if (room->tries == UINT64_MAX)
    return 1;
  if (room->tries < tries)
    return 0;
  room->tries -= tries;
  return 1;
}

static int in_groups(smtpf_pattern_room *room, const smtpf_pattern *p, const struct subject *s, size_t first,
                     size_t last)
{
  int r = PCRE2_ERROR_NOMATCH, dear = DEAR;
  for (size_t at = first; at <= last && r == PCRE2_ERROR_NOMATCH; at += GROUP) {
    size_t end = last - at < GROUP ? last : at + GROUP - 1, begin = at;
    if (p->utf && at < s->n)
      begin = smtpf_utf_start(s->p, at, first);
    r = once(room, p, s, begin, end, LOW);
    if (r == PCRE2_ERROR_MATCHLIMIT && dear--)
      r = granted(room, 1) ? once(room, p, s, begin, end, room->limits.match) : NO_TRIES;
    if (last - at < GROUP)
      break;
  }
  return r;
}

static int try(smtpf_pattern_room *room, const smtpf_pattern *p, const struct subject *s, size_t first, size_t last)
{
  const uint32_t high = room->limits.match;
  int r = once(room, p, s, first, last, high < LOW ? high : LOW);
  if (r != PCRE2_ERROR_MATCHLIMIT || high <= LOW)
    return r;
  if (!p->verbs)
    return in_groups(room, p, s, first, last);
  return granted(room, (last - first) / GROUP + 1) ? once(room, p, s, first, last, high) : NO_TRIES;
}

static const char *cause_of(int r)
{
  switch (r) {
  case NO_TRIES: return "tries-limit";
  case PCRE2_ERROR_MATCHLIMIT: return "match-limit";
  case PCRE2_ERROR_DEPTHLIMIT: return "depth-limit";
  case PCRE2_ERROR_HEAPLIMIT:
  case PCRE2_ERROR_NOMEMORY: return "heap-limit";
  case PCRE2_ERROR_JIT_STACKLIMIT: return "stack-limit";
  default: return "error";
  }
}

static int partly(smtpf_pattern_room *room, const smtpf_pattern *p, const struct subject *s, size_t at, uint32_t limit)
{
  pcre2_set_match_limit(room->context, limit);
  pcre2_set_offset_limit(room->context, PCRE2_UNSET);
  return pcre2_match(p->code, (PCRE2_SPTR)s->p, s->n, at,
                     PCRE2_PARTIAL_HARD | PCRE2_NO_JIT | (p->verbs ? 0u : PCRE2_ANCHORED), room->data, room->context);
}

/* Whether the match that was found at `at` is one whatever text follows: it did not look at the block's end. */
static int stands(smtpf_pattern_room *room, const smtpf_pattern *p, const struct subject *s, size_t at)
{
  const uint32_t high = room->limits.match;
  if (p->reach <= s->n - at)
    return 1;
  int r = partly(room, p, s, at, high < LOW ? high : LOW);
  if (r == PCRE2_ERROR_MATCHLIMIT && high > LOW)
    r = granted(room, 1) ? partly(room, p, s, at, high) : NO_TRIES;
  return r >= 0 ? 1 : r == PCRE2_ERROR_PARTIAL || r == PCRE2_ERROR_NOMATCH ? 0 : r;
}

static int limit(smtpf_attempts *out, const char *cause)
{
  out->cause = cause;
  return SMTPF_PATTERN_LIMIT;
}

int smtpf_pattern_attempt(smtpf_pattern_room *room, const smtpf_pattern *p, const smtpf_block *b, size_t first,
                          size_t last, smtpf_attempts *out)
{
  struct subject s = {b->p, p->utf ? b->whole : b->n, b->open ? PCRE2_NOTEOL : 0};
  const PCRE2_SIZE *at = pcre2_get_ovector_pointer(room->data);
  last = last < s.n ? last : s.n;
  if (!p->verbs && p->reach < s.n && last < s.n - (size_t)p->reach) { /* nobody looks at what is behind */
    s.n = last + (size_t)p->reach;
    s.options = 0;
  }
  for (int i = 0; first <= last; i++) {
    if (p->utf && first < s.n)
      first = smtpf_utf_start(s.p, first, b->from);
    int r = try(room, p, &s, first, last);
    if (r == PCRE2_ERROR_NOMATCH)
      return 0;
    if (r < 0)
      return limit(out, cause_of(r));
    size_t from = p->verbs ? first : at[0];
    int sure = b->open ? stands(room, p, &s, from) : 1;
    if (sure < 0)
      return limit(out, cause_of(sure));
    if (sure) {
      out->from = at[0];
      out->to = at[1] < at[0] ? at[0] : at[1];
      return SMTPF_PATTERN_HIT;
    }
    if (from >= b->next || p->verbs)
      return 0;
    if (i == RETRIES)
      return limit(out, "overlap-limit");
    first = from + 1;
    while (p->utf && first < s.n && ((unsigned char)s.p[first] & 0xc0) == 0x80)
      first++;
  }
  return 0;
}
