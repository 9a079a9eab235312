/* SPDX-License-Identifier: MIT
 *
 * A text in pieces. Bytes are gathered until a window is full and more is known to follow; then the window is scanned,
 * and its last part stays, with what patterns may look back at before it.
 */
#include <string.h>

#include "base/mem.h"
#include "match/match.h"

enum { LEAST = 64, MOST = 1 << 24, WINDOW = 32768, OVERLAP = 4096 };

struct smtpf_pattern_stream {
  smtpf_mem mem;
  const smtpf_patterns *set;
  uint64_t *mask, *done; /* mask is NULL for all */
  char *p;
  size_t n, cap;
  size_t from;   /* where the window begins */
  uint64_t base; /* place of p[0] in the text */
  size_t window, overlap;
  int ended;   /* 0, or what every call returns */
  int stopped; /* nobody listens any more */
};

int smtpf_pattern_stream_new(smtpf_pattern_stream **out, const smtpf_patterns *set, const uint64_t *mask,
                             const smtpf_pattern_window *window, const smtpf_mem *mem)
{
  const smtpf_mem m = smtpf_mem_or_default(mem);
  const smtpf_pattern_window usual = {0};
  if (window && window->size != sizeof *window)
    return SMTPF_EINVAL;
  window = window ? window : &usual;
  size_t size = window->window ? window->window : WINDOW;
  size_t overlap = window->overlap ? window->overlap : size / 8 < OVERLAP ? size / 8 : OVERLAP;
  if (size < LEAST || size > MOST || overlap > size / 2)
    return SMTPF_EINVAL;
  if (!set->sealed)
    return SMTPF_ESTATE;
  const size_t words = smtpf_patterns_mask_words(set);
  smtpf_pattern_stream *s = smtpf_mem_zalloc(&m, sizeof *s + 2 * words * sizeof *s->mask);
  if (!s)
    return SMTPF_ENOMEM;
  uint64_t *bits = (uint64_t *)(void *)(s + 1);
  s->mem = m;
  s->set = set;
  s->done = bits;
  if (mask) {
    s->mask = bits + words;
    memcpy(s->mask, mask, words * sizeof *mask);
  }
  s->window = size;
  s->overlap = overlap;
  *out = s;
  return SMTPF_OK;
}

void smtpf_pattern_stream_free(smtpf_pattern_stream *s)
{
  if (!s)
    return;
  const smtpf_mem mem = s->mem;
  smtpf_mem_free(&mem, s->p);
  smtpf_mem_free(&mem, s);
}

void smtpf_pattern_stream_reset(smtpf_pattern_stream *s)
{
  memset(s->done, 0, smtpf_patterns_mask_words(s->set) * sizeof *s->done);
  smtpf_pattern_stream_next(s);
}

void smtpf_pattern_stream_next(smtpf_pattern_stream *s)
{
  s->n = s->from = 0;
  s->base = 0;
  s->ended = s->stopped = 0;
}

/* Bytes of p[0, n) that make whole characters, if it is UTF-8. */
static size_t whole(const char *p, size_t n)
{
  size_t start = n ? smtpf_utf_start(p, n - 1, 0) : 0;
  if (!n || (unsigned char)p[start] < 0xc0)
    return n;
  unsigned char c = (unsigned char)p[start];
  size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  return n - start < length ? start : n;
}

static void scan(smtpf_pattern_stream *s, smtpf_pattern_room *room, int open, smtpf_pattern_found found, void *user)
{
  smtpf_block b = {.p = s->n ? s->p : "", .n = s->n, .whole = s->n, .from = s->from, .open = open};
  if (open && s->set->utf)
    b.whole = whole(s->p, s->n);
  if (open)
    b.next = smtpf_utf_start(s->p, s->n - s->overlap, s->from);
  smtpf_block_scan(s->set, room, &b, s->mask, s->done);
  s->stopped = smtpf_block_report(s->set, room, &b, s->base, s->done, found, user);
  if (!open)
    return;
  size_t context = b.next < s->set->behind ? b.next : s->set->behind;
  size_t gone = b.next - context;
  memmove(s->p, s->p + gone, s->n - gone);
  s->n -= gone;
  s->base += gone;
  s->from = context;
}

static int ready(smtpf_pattern_stream *s, smtpf_pattern_room *room)
{
  if (room->busy)
    return SMTPF_EBUSY;
  if (s->ended)
    return s->ended;
  if (smtpf_pattern_room_fit(room, s->set) != SMTPF_OK)
    return s->ended = SMTPF_ENOMEM;
  return SMTPF_OK;
}

int smtpf_pattern_stream_feed(smtpf_pattern_stream *s, smtpf_pattern_room *room, smtpf_str bytes,
                              smtpf_pattern_found found, void *user)
{
  int r = ready(s, room);
  while (r == SMTPF_OK && bytes.n && !s->stopped) {
    if (s->n - s->from == s->window)
      scan(s, room, 1, found, user);
    size_t room_left = s->window - (s->n - s->from), n = bytes.n < room_left ? bytes.n : room_left;
    if (smtpf_mem_grow(&s->mem, (void **)&s->p, &s->cap, s->n + n, 1) != SMTPF_OK)
      return s->ended = SMTPF_ENOMEM;
    memcpy(s->p + s->n, bytes.p, n);
    s->n += n;
    bytes.p += n;
    bytes.n -= n;
  }
  return r;
}

int smtpf_pattern_stream_finish(smtpf_pattern_stream *s, smtpf_pattern_room *room, smtpf_pattern_found found,
                                void *user)
{
  int r = ready(s, room);
  if (r == SMTPF_OK && !s->stopped)
    scan(s, room, 0, found, user);
  if (r == SMTPF_OK)
    s->ended = SMTPF_ESTATE;
  return r;
}
