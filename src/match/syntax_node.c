/* SPDX-License-Identifier: MIT */
#include "match/syntax_node.h"

#include <string.h>

enum {
  PRODUCT_MAX = 64, /* sequences of a run */
  SOME_MORE = 3,    /* of one set, that need not be there, are spelt out */
};

int smtpf_reader_lose(smtpf_reader *r)
{
  r->lost = 1;
  return 0;
}

int smtpf_reader_no_memory(smtpf_reader *r)
{
  r->no_memory = 1;
  return smtpf_reader_lose(r);
}

static smtpf_factor *factors(smtpf_reader *r, size_t n)
{
  if (r->arena->held > SMTPF_SYNTAX_MEMORY) {
    smtpf_reader_lose(r);
    return NULL;
  }
  smtpf_factor *v = smtpf_arena_alloc(r->arena, n * sizeof *v);
  if (!v)
    smtpf_reader_no_memory(r);
  return v;
}

int smtpf_node_empty(smtpf_reader *r, smtpf_node *out)
{
  memset(out, 0, sizeof *out);
  out->exact = factors(r, 1);
  out->n_exact = 1;
  return out->exact != NULL;
}

void smtpf_node_any(uint64_t min, uint64_t max, smtpf_node *out)
{
  memset(out, 0, sizeof *out);
  out->min = min;
  out->max = max;
}

int smtpf_node_set(smtpf_reader *r, const smtpf_bytes *s, smtpf_node *out)
{
  size_t i = 0;
  while (i < r->n_pool && memcmp(&r->pool[i].bytes, s, sizeof *s) != 0)
    i++;
  if (i == SMTPF_SETS_MAX)
    return smtpf_reader_lose(r);
  if (i == r->n_pool)
    smtpf_pool_set_init(&r->pool[r->n_pool++], s);
  if (!smtpf_node_empty(r, out))
    return 0;
  out->exact->n = 1;
  out->exact->set[0] = (uint16_t)i;
  out->min = out->max = 1;
  return 1;
}

/* ---- which factors to look for ------------------------------------------------------------------------- */

/* Words are likelier than their letters: nothing is rarer than this. */
static double at_least(double chance, double least)
{
  return chance > least ? chance : least;
}

/* Grams cost a look each, factors an attempt each, one that begins at every place a match may begin. Where that is
 * anywhere, one factor in a text makes an attempt over all of it. Most of this was measured, the rest follows from it.
 */
static double cost_of(const smtpf_reader *r, const smtpf_candidate *c)
{
  double looks = 0, attempts = 0;
  for (size_t i = 0; i < c->n; i++) {
    smtpf_factor_plan plan;
    if (!smtpf_factor_look(&c->v[i], r->pool, &plan))
      return 1e9;
    looks += 15 * at_least(plan.chance, 2e-5);
    attempts += at_least(plan.complete, c->v[i].n > 4 ? 5e-6 : 2e-5);
  }
  double width = c->most == SMTPF_ENDLESS ? 1e9 : (double)(c->most - c->least);
  double each = attempts * (80 + 2 * width);
  double all = (attempts * 20000 < 1 ? attempts * 20000 : 1) * 0.5;
  return looks + (c->most == SMTPF_ENDLESS || each > all ? all : each);
}

/* Where `part` is in f, counted from 1; 0: nowhere. */
static unsigned within(const smtpf_factor *f, const smtpf_factor *part)
{
  for (unsigned at = 0; at + part->n <= f->n; at++)
    if (memcmp(f->set + at, part->set, part->n * sizeof *f->set) == 0)
      return at + 1;
  return 0;
}

/* A factor that holds another one need not be looked for: `1.5` is in `11.5`, a byte later. */
static int reduce(smtpf_reader *r, smtpf_candidate *c)
{
  if (c->n < 2 || c->n > PRODUCT_MAX)
    return 1;
  smtpf_factor *v = factors(r, c->n);
  if (!v)
    return 0;
  size_t n = 0;
  unsigned later = 0;
  for (size_t i = 0; i < c->n; i++) {
    unsigned found = 0;
    for (size_t j = 0; j < c->n && !found; j++)
      if (c->v[j].n > 1 && (c->v[j].n < c->v[i].n || (j < i && c->v[j].n == c->v[i].n)))
        found = within(&c->v[i], &c->v[j]);
    if (!found)
      v[n++] = c->v[i];
    else if (found - 1 > later)
      later = found - 1;
  }
  /* The one that is held may be held by what was dropped itself: as often as it gets shorter. */
  c->most = smtpf_sum(c->most, later ? SMTPF_FACTOR_MAX : 0);
  c->v = v;
  c->n = n;
  return 1;
}

static int offer(smtpf_reader *r, smtpf_candidate *best, smtpf_candidate c)
{
  if (!c.n)
    return 1;
  if (!reduce(r, &c))
    return 0;
  c.cost = cost_of(r, &c);
  if (c.cost < 1e8 && (!best->n || c.cost < best->cost))
    *best = c;
  return 1;
}

/* ---- parts one behind the other ------------------------------------------------------------------------ */

int smtpf_chain_begin(smtpf_reader *r, smtpf_chain *c)
{
  memset(c, 0, sizeof *c);
  if (!smtpf_node_empty(r, &c->node))
    return 0;
  c->run = c->node.exact;
  c->n_run = 1;
  c->whole = 1;
  return 1;
}

static int flush(smtpf_reader *r, smtpf_chain *c)
{
  return offer(r, &c->node.best, (smtpf_candidate){c->run, c->n_run, c->run_least, c->run_most, 0});
}

static int fits(const smtpf_factor *a, size_t na, const smtpf_factor *b, size_t nb)
{
  unsigned longest_a = 0, longest_b = 0;
  for (size_t i = 0; i < na; i++)
    longest_a = a[i].n > longest_a ? a[i].n : longest_a;
  for (size_t i = 0; i < nb; i++)
    longest_b = b[i].n > longest_b ? b[i].n : longest_b;
  return (na == 1 || nb == 1 || na * nb <= PRODUCT_MAX) && longest_a + longest_b <= SMTPF_FACTOR_MAX;
}

/* Every sequence of a, each followed by every one of b. */
static smtpf_factor *product(smtpf_reader *r, const smtpf_factor *a, size_t na, const smtpf_factor *b, size_t nb)
{
  smtpf_factor *v = factors(r, na * nb);
  for (size_t i = 0; v && i < na; i++)
    for (size_t j = 0; j < nb; j++) {
      smtpf_factor *f = &v[i * nb + j];
      *f = a[i];
      memcpy(f->set + f->n, b[j].set, b[j].n * sizeof *f->set);
      f->n = (uint8_t)(f->n + b[j].n);
    }
  return v;
}

int smtpf_chain_add(smtpf_reader *r, smtpf_chain *c, const smtpf_node *x)
{
  smtpf_node *node = &c->node;
  if (x->best.n) {
    smtpf_candidate moved = x->best;
    moved.least = smtpf_sum(moved.least, node->min);
    moved.most = smtpf_sum(moved.most, node->max);
    if (!offer(r, &node->best, moved))
      return 0;
  }
  if (x->n_exact && fits(c->run, c->n_run, x->exact, x->n_exact)) {
    c->run = product(r, c->run, c->n_run, x->exact, x->n_exact);
    c->n_run *= x->n_exact;
    node->min = smtpf_sum(node->min, x->min);
    node->max = smtpf_sum(node->max, x->max);
    return c->run != NULL;
  }
  if (!flush(r, c))
    return 0;
  c->whole = 0;
  if (x->n_exact) {
    c->run = x->exact;
    c->n_run = x->n_exact;
    c->run_least = node->min;
    c->run_most = node->max;
  }
  node->min = smtpf_sum(node->min, x->min);
  node->max = smtpf_sum(node->max, x->max);
  if (!x->n_exact) {
    c->run = factors(r, 1);
    c->n_run = 1;
    c->run_least = node->min;
    c->run_most = node->max;
  }
  return c->run != NULL;
}

int smtpf_chain_end(smtpf_reader *r, smtpf_chain *c, smtpf_node *out)
{
  if (!flush(r, c))
    return 0;
  *out = c->node;
  out->exact = c->whole ? c->run : NULL;
  out->n_exact = c->whole ? c->n_run : 0;
  return 1;
}

static uint64_t times(uint64_t a, uint64_t b)
{
  return a && b > (SMTPF_ENDLESS - 1) / a ? SMTPF_ENDLESS : a * b;
}

/* None, one, or more of them, up to `most`. */
static int up_to(smtpf_reader *r, const smtpf_node *x, uint64_t most, smtpf_node *out)
{
  if (!smtpf_node_empty(r, out))
    return 0;
  for (uint64_t n = 1; n <= most; n++) {
    smtpf_chain c;
    smtpf_node these;
    if (!smtpf_chain_begin(r, &c))
      return 0;
    for (uint64_t i = 0; i < n; i++)
      if (!smtpf_chain_add(r, &c, x))
        return 0;
    if (!smtpf_chain_end(r, &c, &these) || !smtpf_node_either(r, out, &these))
      return 0;
  }
  return 1;
}

int smtpf_chain_repeat(smtpf_reader *r, smtpf_chain *c, const smtpf_node *x, uint64_t least, uint64_t most)
{
  uint64_t done = 0;
  for (; done < least && done < SMTPF_FACTOR_MAX; done++)
    if (!smtpf_chain_add(r, c, x))
      return 0;
  if (most == done)
    return 1;
  smtpf_node rest;
  if (least == done && most - done <= (x->n_exact == 1 ? SOME_MORE : 1))
    return up_to(r, x, most - done, &rest) && smtpf_chain_add(r, c, &rest);
  uint64_t more = most == SMTPF_ENDLESS ? (x->max ? SMTPF_ENDLESS : 0) : times(x->max, most - done);
  smtpf_node_any(times(x->min, least - done), more, &rest);
  return smtpf_chain_add(r, c, &rest);
}

/* ---- parts instead of each other ----------------------------------------------------------------------- */

static smtpf_factor *both(smtpf_reader *r, const smtpf_factor *a, size_t na, const smtpf_factor *b, size_t nb)
{
  smtpf_factor *v = factors(r, na + nb);
  if (v) {
    memcpy(v, a, na * sizeof *v);
    memcpy(v + na, b, nb * sizeof *v);
  }
  return v;
}

int smtpf_node_either(smtpf_reader *r, smtpf_node *a, const smtpf_node *b)
{
  smtpf_candidate best = {0};
  if (a->best.n && b->best.n && a->best.n + b->best.n <= SMTPF_FACTORS_MAX) {
    smtpf_candidate c = {both(r, a->best.v, a->best.n, b->best.v, b->best.n), a->best.n + b->best.n,
                         a->best.least < b->best.least ? a->best.least : b->best.least,
                         a->best.most > b->best.most ? a->best.most : b->best.most, 0};
    if (!c.v || !offer(r, &best, c))
      return 0;
  }
  a->best = best;
  if (a->n_exact && b->n_exact && a->n_exact + b->n_exact <= SMTPF_FACTORS_MAX) {
    a->exact = both(r, a->exact, a->n_exact, b->exact, b->n_exact);
    a->n_exact += b->n_exact;
    if (!a->exact)
      return 0;
  } else {
    a->n_exact = 0;
  }
  a->min = a->min < b->min ? a->min : b->min;
  a->max = a->max > b->max ? a->max : b->max;
  return 1;
}
