/* SPDX-License-Identifier: MIT
 *
 * arena: many small things that die together, with a hard cap.
 *
 * Chunks come from the allocator; with `chunk` 0 every request is an allocation of its own, which is how
 * the tests make each of them fail. Nothing is freed alone. The cap counts bytes asked of the
 * allocator, so that what a peer can make us hold is bounded whatever it does.
 */
#ifndef SMTPF_BASE_ARENA_H
#define SMTPF_BASE_ARENA_H

#include <smtpfilter/types.h>

struct smtpf_arena_chunk;

typedef struct smtpf_arena {
  const smtpf_mem *mem;            /* outlives the arena */
  struct smtpf_arena_chunk *first; /* newest chunk */
  size_t chunk; /* size of the first chunk, each next one is twice as large; 0: one for each request */
  size_t usual; /* size of the next chunk */
  size_t cap;   /* most bytes it may hold */
  size_t held;  /* bytes it holds */
} smtpf_arena;

void smtpf_arena_init(smtpf_arena *a, const smtpf_mem *mem, size_t chunk, size_t cap);

/* Frees everything; the arena is empty and usable. */
void smtpf_arena_clear(smtpf_arena *a);

/* A point to go back to: what was taken after the mark is freed, what was before it stays. */
typedef struct smtpf_arena_mark {
  struct smtpf_arena_chunk *first;
  size_t used, held;
} smtpf_arena_mark;

smtpf_arena_mark smtpf_arena_here(const smtpf_arena *a);
void smtpf_arena_back(smtpf_arena *a, smtpf_arena_mark mark);

/* Aligned for any object; zeroed. NULL without memory or beyond the cap. */
void *smtpf_arena_alloc(smtpf_arena *a, size_t n);

/* Aligned for bytes only; not zeroed. */
char *smtpf_arena_bytes(smtpf_arena *a, size_t n);

/* Copies `s`, adds a NUL that is not counted. SMTPF_OK or SMTPF_ENOMEM; *out untouched on failure. */
int smtpf_arena_copy(smtpf_arena *a, smtpf_str s, smtpf_str *out);

#endif
