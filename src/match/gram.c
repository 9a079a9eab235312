/* SPDX-License-Identifier: MIT */
#include "match/gram.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { LEAST_BITS = 12, MOST_BITS = 20, SPARSE = 5 }; /* 2^SPARSE bits for each gram, if there is room */

#define FOLD UINT32_C(0x20202020)

void smtpf_gram_init(smtpf_gram_index *g, const smtpf_mem *mem)
{
  memset(g, 0, sizeof *g);
  g->mem = mem;
}

void smtpf_gram_free(smtpf_gram_index *g)
{
  smtpf_mem_free(g->mem, g->factors);
  smtpf_mem_free(g->mem, g->sets);
  smtpf_mem_free(g->mem, g->links);
  smtpf_mem_free(g->mem, g->bitmap);
  smtpf_mem_free(g->mem, g->slots);
}

void smtpf_gram_cut(smtpf_gram_index *g, size_t factors, size_t sets, size_t links)
{
  g->n_factors = factors;
  g->n_sets = sets;
  g->n_links = links;
}

static uint32_t gram_of(const char *p)
{
  uint32_t gram;
  memcpy(&gram, p, sizeof gram);
  return gram | FOLD;
}

static uint32_t hash(uint32_t gram)
{
  return gram * UINT32_C(0x9e3779b1);
}

/* Writes the folded bytes of a set; those of no set are all there are. */
static unsigned values(const smtpf_bytes *s, unsigned char out[128])
{
  smtpf_bytes have = {{0}};
  unsigned n = 0;
  for (unsigned c = 0; c < 256; c++) {
    unsigned char f = (unsigned char)(c | 0x20);
    if ((s && !smtpf_bytes_has(s, (unsigned char)c)) || smtpf_bytes_has(&have, f))
      continue;
    smtpf_bytes_add(&have, f);
    out[n++] = f;
  }
  return n;
}

/* Every gram of a plan becomes a link. */
static int link_all(smtpf_gram_index *g, const smtpf_gram_plan *plan, const smtpf_bytes *sets)
{
  unsigned char v[SMTPF_GRAM][128];
  unsigned n[SMTPF_GRAM], i[SMTPF_GRAM] = {0};
  for (unsigned k = 0; k < SMTPF_GRAM; k++)
    n[k] = values(k < plan->n ? &sets[plan->at + k] : NULL, v[k]);
  for (;;) {
    char bytes[SMTPF_GRAM];
    for (unsigned k = 0; k < SMTPF_GRAM; k++)
      bytes[k] = (char)v[k][i[k]];
    if (smtpf_mem_grow(g->mem, (void **)&g->links, &g->links_cap, g->n_links + 1, sizeof *g->links) != SMTPF_OK)
      return SMTPF_ENOMEM;
    g->links[g->n_links++] = (smtpf_gram_link){gram_of(bytes), (uint32_t)g->n_factors};
    unsigned k = 0;
    while (k < SMTPF_GRAM && ++i[k] == n[k])
      i[k++] = 0;
    if (k == SMTPF_GRAM)
      return SMTPF_OK;
  }
}

int smtpf_gram_add(smtpf_gram_index *g, const smtpf_factor *f, const smtpf_pool_set *pool, uint32_t pattern)
{
  smtpf_gram_plan plan;
  if (!smtpf_factor_plan(f, pool, &plan))
    return SMTPF_EINVAL;
  if (smtpf_mem_grow(g->mem, (void **)&g->sets, &g->sets_cap, g->n_sets + f->n, sizeof *g->sets) != SMTPF_OK ||
      smtpf_mem_grow(g->mem, (void **)&g->factors, &g->factors_cap, g->n_factors + 1, sizeof *g->factors) != SMTPF_OK)
    return SMTPF_ENOMEM;
  smtpf_bytes *sets = &g->sets[g->n_sets];
  for (unsigned i = 0; i < f->n; i++)
    sets[i] = pool[f->set[i]].bytes;
  if (link_all(g, &plan, sets) != SMTPF_OK)
    return SMTPF_ENOMEM;
  g->factors[g->n_factors++] = (smtpf_gram_factor){pattern, (uint32_t)g->n_sets, f->n, plan.at};
  g->n_sets += f->n;
  return SMTPF_OK;
}

static int by_gram(const void *a, const void *b)
{
  const smtpf_gram_link *x = a, *y = b;
  if (x->gram != y->gram)
    return x->gram < y->gram ? -1 : 1;
  return x->factor < y->factor ? -1 : x->factor > y->factor;
}

static smtpf_gram_slot *slot_of(const smtpf_gram_index *g, uint32_t gram)
{
  size_t i = hash(gram) >> 7 & (g->n_slots - 1);
  while (g->slots[i].n && g->slots[i].gram != gram)
    i = (i + 1) & (g->n_slots - 1);
  return &g->slots[i];
}

int smtpf_gram_build(smtpf_gram_index *g)
{
  if (!g->n_links)
    return SMTPF_OK;
  qsort(g->links, g->n_links, sizeof *g->links, by_gram);
  size_t grams = 0;
  for (size_t i = 0; i < g->n_links; i++)
    grams += !i || g->links[i].gram != g->links[i - 1].gram;
  for (g->bits = LEAST_BITS; g->bits < MOST_BITS && (size_t)1 << g->bits < grams << SPARSE;)
    g->bits++;
  for (g->n_slots = 16; g->n_slots < 2 * grams;)
    g->n_slots *= 2;
  g->bitmap = smtpf_mem_zalloc(g->mem, ((size_t)1 << g->bits) / 8);
  g->slots = smtpf_mem_zalloc(g->mem, g->n_slots * sizeof *g->slots);
  if (!g->bitmap || !g->slots) {
    smtpf_mem_free(g->mem, g->bitmap);
    smtpf_mem_free(g->mem, g->slots);
    g->bitmap = NULL;
    g->slots = NULL;
    return SMTPF_ENOMEM;
  }
  for (size_t i = 0; i < g->n_links; i++) {
    uint32_t h = hash(g->links[i].gram) >> (32 - g->bits);
    g->bitmap[h >> 6] |= UINT64_C(1) << (h & 63);
    smtpf_gram_slot *s = slot_of(g, g->links[i].gram);
    if (!s->n)
      *s = (smtpf_gram_slot){g->links[i].gram, (uint32_t)i, 0};
    s->n++;
  }
  return SMTPF_OK;
}

struct pass {
  const smtpf_gram_index *g;
  const char *p;
  size_t from, n;
  void (*hit)(void *user, uint32_t pattern, size_t at);
  void *user;
};

/* The gram at `i` is in the bitmap: which factors stand there? */
static void look(const struct pass *s, size_t i, uint32_t gram)
{
  const smtpf_gram_index *g = s->g;
  const smtpf_gram_slot *slot = slot_of(g, gram);
  for (uint32_t k = 0; k < slot->n; k++) {
    const smtpf_gram_factor *f = &g->factors[g->links[slot->first + k].factor];
    if (i < s->from + f->at || i - f->at + f->n > s->n)
      continue;
    size_t at = i - f->at;
    const smtpf_bytes *sets = &g->sets[f->first_set];
    unsigned j = 0;
    while (j < f->n && smtpf_bytes_has(&sets[j], (unsigned char)s->p[at + j]))
      j++;
    if (j == f->n)
      s->hit(s->user, f->pattern, at);
  }
}

void smtpf_gram_scan(const smtpf_gram_index *g, const char *p, size_t from, size_t n,
                     void (*hit)(void *user, uint32_t pattern, size_t at), void *user)
{
  const struct pass s = {g, p, from, n, hit, user};
  if (!g->n_links)
    return;
  const uint64_t *bitmap = g->bitmap;
  const unsigned shift = 32 - g->bits;
  size_t i = from;
  for (; i + SMTPF_GRAM <= n; i++) {
    uint32_t gram = gram_of(p + i), h = hash(gram) >> shift;
    if (bitmap[h >> 6] >> (h & 63) & 1)
      look(&s, i, gram);
  }
  for (; i < n; i++) { /* the last grams are short */
    char bytes[SMTPF_GRAM] = {0};
    memcpy(bytes, p + i, n - i);
    uint32_t gram = gram_of(bytes), h = hash(gram) >> shift;
    if (bitmap[h >> 6] >> (h & 63) & 1)
      look(&s, i, gram);
  }
}
