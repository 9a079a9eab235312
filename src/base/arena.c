/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdalign.h>
#include <string.h>

#include "mem.h"

/* | next | size | used | bytes ... |  Requests are cut from the front of `bytes`. */
struct smtpf_arena_chunk {
  struct smtpf_arena_chunk *next;
  size_t size;
  size_t used;
  alignas(max_align_t) char bytes[];
};

void smtpf_arena_init(smtpf_arena *a, const smtpf_mem *mem, size_t chunk, size_t cap)
{
  *a = (smtpf_arena){.mem = mem, .chunk = chunk, .usual = chunk, .cap = cap};
}

void smtpf_arena_clear(smtpf_arena *a)
{
  smtpf_arena_back(a, (smtpf_arena_mark){NULL, 0, 0});
  a->usual = a->chunk;
}

smtpf_arena_mark smtpf_arena_here(const smtpf_arena *a)
{
  return (smtpf_arena_mark){a->first, a->first ? a->first->used : 0, a->held};
}

void smtpf_arena_back(smtpf_arena *a, smtpf_arena_mark mark)
{
  while (a->first != mark.first) {
    struct smtpf_arena_chunk *c = a->first;
    a->first = c->next;
    smtpf_mem_free(a->mem, c);
  }
  if (a->first)
    a->first->used = mark.used;
  a->held = mark.held;
}

static void *take(smtpf_arena *a, size_t n, size_t align)
{
  struct smtpf_arena_chunk *c = a->first;
  if (a->chunk && c) {
    size_t at = (c->used + align - 1) & ~(align - 1);
    if (at <= c->size && n <= c->size - at) {
      c->used = at + n;
      return c->bytes + at;
    }
  }
  const size_t head = sizeof *c, left = a->cap > a->held ? a->cap - a->held : 0;
  const size_t usual = a->usual > head ? a->usual - head : 0;
  size_t size = n > usual ? n : usual;
  if (left <= head || n > left - head)
    return NULL;
  if (size > left - head)
    size = left - head; /* the last chunk is as large as the cap allows */
  c = smtpf_mem_alloc(a->mem, head + size);
  if (!c)
    return NULL;
  c->size = size;
  c->used = n;
  c->next = a->first; /* newest first, always: that is what makes marks work */
  a->first = c;
  a->held += head + size;
  if (a->usual < a->chunk * 16)
    a->usual *= 2;
  return c->bytes;
}

void *smtpf_arena_alloc(smtpf_arena *a, size_t n)
{
  void *p = take(a, n, alignof(max_align_t));
  if (p)
    memset(p, 0, n);
  return p;
}

char *smtpf_arena_bytes(smtpf_arena *a, size_t n)
{
  return take(a, n, 1);
}

int smtpf_arena_copy(smtpf_arena *a, smtpf_str s, smtpf_str *out)
{
  char *p = s.n < SIZE_MAX ? smtpf_arena_bytes(a, s.n + 1) : NULL;
  if (!p)
    return SMTPF_ENOMEM;
  if (s.n)
    memcpy(p, s.p, s.n);
  p[s.n] = '\0';
  *out = (smtpf_str){p, s.n};
  return SMTPF_OK;
}
