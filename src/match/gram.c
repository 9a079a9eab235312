/* SPDX-License-Identifier: MIT */
#include "match/gram.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
  LEAST_BITS = 12,
  MOST_BITS = 20,
  SPARSE = 6,  /* 2^SPARSE bits of a bitmap for each gram, if there is room */
  SOME = 1024, /* places looked at together */
};

#define FOLD UINT32_C(0x20202020)
#define SHAPE_BITS (SMTPF_KIND_BITS * SMTPF_SHAPE)
#define SHAPE_MASK ((UINT32_C(1) << SHAPE_BITS) - 1)

static void free_table(const smtpf_mem *mem, smtpf_gram_table *t)
{
  smtpf_mem_free(mem, t->links);
  smtpf_mem_free(mem, t->bitmap);
  smtpf_mem_free(mem, t->slots);
}

void smtpf_gram_init(smtpf_gram_index *g, const smtpf_mem *mem)
{
  memset(g, 0, sizeof *g);
  g->mem = mem;
}

void smtpf_gram_free(smtpf_gram_index *g)
{
  smtpf_mem_free(g->mem, g->factors);
  smtpf_mem_free(g->mem, g->sets);
  free_table(g->mem, &g->words);
  free_table(g->mem, &g->shapes);
}

void smtpf_gram_cut(smtpf_gram_index *g, const smtpf_gram_index *was)
{
  g->n_factors = was->n_factors;
  g->n_sets = was->n_sets;
  g->words.n_links = was->words.n_links;
  g->shapes.n_links = was->shapes.n_links;
}

/* ---- making it ----------------------------------------------------------------------------------------- */

static uint32_t word_of(const char *p)
{
  uint32_t gram;
  memcpy(&gram, p, sizeof gram);
  return gram | FOLD;
}

static uint32_t shape_of(const char *p)
{
  uint32_t gram = 0;
  for (int k = 0; k < SMTPF_SHAPE; k++)
    gram = gram << SMTPF_KIND_BITS | smtpf_byte_kind[(unsigned char)p[k]];
  return gram;
}

static uint32_t hash(uint32_t gram)
{
  return gram * UINT32_C(0x9e3779b1);
}

/* One byte for each value that the bytes of a set have in a gram; those of no set are all there are. */
static unsigned values(const smtpf_bytes *s, int shape, unsigned char out[128])
{
  smtpf_bytes have = {{0}};
  unsigned n = 0;
  for (unsigned c = 0; c < 256; c++) {
    unsigned char value = shape ? smtpf_byte_kind[c] : (unsigned char)(c | 0x20);
    if ((s && !smtpf_bytes_has(s, (unsigned char)c)) || smtpf_bytes_has(&have, value))
      continue;
    smtpf_bytes_add(&have, value);
    out[n++] = (unsigned char)c;
  }
  return n;
}

/* Every gram of a plan becomes a link. */
static int link_all(smtpf_gram_index *g, const smtpf_factor_plan *plan, const smtpf_bytes *sets)
{
  smtpf_gram_table *t = plan->shape ? &g->shapes : &g->words;
  const unsigned long_as = plan->shape ? SMTPF_SHAPE : SMTPF_WORD;
  unsigned char v[SMTPF_SHAPE][128];
  unsigned n[SMTPF_SHAPE], i[SMTPF_SHAPE] = {0};
  for (unsigned k = 0; k < long_as; k++)
    n[k] = values(k < plan->n ? &sets[plan->at + k] : NULL, plan->shape, v[k]);
  for (;;) {
    char bytes[SMTPF_SHAPE];
    for (unsigned k = 0; k < long_as; k++)
      bytes[k] = (char)v[k][i[k]];
    if (smtpf_mem_grow(g->mem, (void **)&t->links, &t->links_cap, t->n_links + 1, sizeof *t->links) != SMTPF_OK)
      return SMTPF_ENOMEM;
    t->links[t->n_links++] = (smtpf_gram_link){plan->shape ? shape_of(bytes) : word_of(bytes), (uint32_t)g->n_factors};
    unsigned k = 0;
    while (k < long_as && ++i[k] == n[k])
      i[k++] = 0;
    if (k == long_as)
      return SMTPF_OK;
  }
}

int smtpf_gram_add(smtpf_gram_index *g, const smtpf_factor *f, const smtpf_pool_set *pool, uint32_t pattern)
{
  smtpf_factor_plan plan;
  if (!smtpf_factor_look(f, pool, &plan))
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

static smtpf_gram_slot *slot_of(const smtpf_gram_table *t, uint32_t gram)
{
  size_t i = hash(gram) >> 7 & (t->n_slots - 1);
  while (t->slots[i].n && t->slots[i].gram != gram)
    i = (i + 1) & (t->n_slots - 1);
  return &t->slots[i];
}

static int build_table(const smtpf_mem *mem, smtpf_gram_table *t)
{
  if (!t->n_links)
    return SMTPF_OK;
  qsort(t->links, t->n_links, sizeof *t->links, by_gram);
  size_t grams = 0;
  for (size_t i = 0; i < t->n_links; i++)
    grams += !i || t->links[i].gram != t->links[i - 1].gram;
  for (t->bits = LEAST_BITS; t->bits < MOST_BITS && (size_t)1 << t->bits < grams << SPARSE;)
    t->bits++;
  for (t->n_slots = 16; t->n_slots < 2 * grams;)
    t->n_slots *= 2;
  smtpf_mem_free(mem, t->bitmap); /* of a first try that failed */
  smtpf_mem_free(mem, t->slots);
  t->bitmap = smtpf_mem_zalloc(mem, ((size_t)1 << t->bits) / 8);
  t->slots = smtpf_mem_zalloc(mem, t->n_slots * sizeof *t->slots);
  if (!t->bitmap || !t->slots)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < t->n_links; i++) {
    uint32_t h = hash(t->links[i].gram) >> (32 - t->bits);
    t->bitmap[h >> 6] |= UINT64_C(1) << (h & 63);
    smtpf_gram_slot *s = slot_of(t, t->links[i].gram);
    if (!s->n)
      *s = (smtpf_gram_slot){t->links[i].gram, (uint32_t)i, 0};
    s->n++;
  }
  return SMTPF_OK;
}

int smtpf_gram_build(smtpf_gram_index *g)
{
  int r = build_table(g->mem, &g->words);
  return r == SMTPF_OK ? build_table(g->mem, &g->shapes) : r;
}

/* ---- using it ------------------------------------------------------------------------------------------ */

/* The gram at `i` is in the bitmap: which factors stand there? */
static void look(const smtpf_gram_pass *s, const smtpf_gram_table *t, size_t i, uint32_t gram)
{
  const smtpf_gram_slot *slot = slot_of(t, gram);
  for (uint32_t k = 0; k < slot->n; k++) {
    const smtpf_gram_factor *f = &s->g->factors[t->links[slot->first + k].factor];
    if (i < s->from + f->at || i - f->at + f->n > s->n)
      continue;
    size_t at = i - f->at;
    const smtpf_bytes *sets = &s->g->sets[f->first_set];
    unsigned j = 0;
    while (j < f->n && smtpf_bytes_has(&sets[j], (unsigned char)s->p[at + j]))
      j++;
    if (j == f->n)
      s->hit(s->user, f->pattern, at);
  }
}

static unsigned in_bitmap(const smtpf_gram_table *t, uint32_t gram)
{
  uint32_t h = hash(gram) >> (32 - t->bits);
  return t->bitmap[h >> 6] >> (h & 63) & 1;
}

/* Places from `i` on whose grams lie before p[n]; `some` of them. They are gathered without a branch, few as they are.
 */
static void words(const smtpf_gram_pass *s, size_t i, size_t some)
{
  const smtpf_gram_table t = s->g->words;
  const char *p = s->p + i;
  uint16_t at[SOME];
  size_t found = 0;
  for (size_t k = 0; k < some; k++) {
    at[found] = (uint16_t)k;
    found += in_bitmap(&t, word_of(p + k));
  }
  for (size_t k = 0; k < found; k++)
    look(s, &s->g->words, i + at[k], word_of(p + at[k]));
}

static void shapes(const smtpf_gram_pass *s, size_t i, size_t some)
{
  const smtpf_gram_table t = s->g->shapes;
  const char *p = s->p + i;
  uint16_t at[SOME];
  size_t found = 0;
  uint32_t gram = shape_of(p) >> SMTPF_KIND_BITS;
  for (size_t k = 0; k < some; k++) {
    gram = (gram << SMTPF_KIND_BITS | smtpf_byte_kind[(unsigned char)p[k + SMTPF_SHAPE - 1]]) & SHAPE_MASK;
    at[found] = (uint16_t)k;
    found += in_bitmap(&t, gram);
  }
  for (size_t k = 0; k < found; k++)
    look(s, &s->g->shapes, i + at[k], shape_of(p + at[k]));
}

/* The last grams of a text are as if it went on with NUL. */
static void last(const smtpf_gram_pass *s, const smtpf_gram_table *t, uint32_t (*gram_of)(const char *p), size_t i)
{
  for (; i < s->n; i++) {
    char bytes[SMTPF_SHAPE] = {0};
    memcpy(bytes, s->p + i, s->n - i);
    uint32_t gram = gram_of(bytes);
    if (in_bitmap(t, gram))
      look(s, t, i, gram);
  }
}

static void pass(const smtpf_gram_pass *s, const smtpf_gram_table *t, unsigned long_as,
                 void (*some_of)(const smtpf_gram_pass *s, size_t i, size_t some), uint32_t (*gram_of)(const char *p))
{
  size_t i = s->from;
  if (!t->n_links)
    return;
  while (i + long_as <= s->n) {
    size_t left = s->n - i - long_as + 1, some = left < SOME ? left : SOME;
    some_of(s, i, some);
    i += some;
  }
  last(s, t, gram_of, i);
}

void smtpf_gram_scan(const smtpf_gram_index *g, const char *p, size_t from, size_t n,
                     void (*hit)(void *user, uint32_t pattern, size_t at), void *user)
{
  const smtpf_gram_pass s = {g, p, from, n, hit, user};
  pass(&s, &g->words, SMTPF_WORD, words, word_of);
  pass(&s, &g->shapes, SMTPF_SHAPE, shapes, shape_of);
}
