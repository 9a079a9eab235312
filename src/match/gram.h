/* SPDX-License-Identifier: MIT
 *
 * gram: the first pass over a text. Each factor is found by one gram of it, some bytes that stand together. A bitmap
 * says of each place of the text whether its gram may be one of those; few are, and for them a table leads to the
 * factors, which are then compared byte by byte. Grams are of two kinds, each with a bitmap of its own:
 *
 *     words   four bytes with bit 5 set, so that the case of letters does not matter: for literals
 *     shapes  five bytes, each one of sixteen kinds (a digit, white space, ...): for digits, hexadecimal numbers and
 * such
 */
#ifndef SMTPF_MATCH_GRAM_H
#define SMTPF_MATCH_GRAM_H

#include <smtpfilter/types.h>

#include "match/factor.h"

/* A factor, and whose it is. */
typedef struct smtpf_gram_factor {
  uint32_t pattern;
  uint32_t first_set; /* its sets stand in the index one behind the other */
  uint8_t n;
  uint8_t at; /* where in it its gram begins */
} smtpf_gram_factor;

typedef struct smtpf_gram_link {
  uint32_t gram, factor;
} smtpf_gram_link;

typedef struct smtpf_gram_slot {
  uint32_t gram;
  uint32_t first, n; /* its links; n is 0 in an empty slot */
} smtpf_gram_slot;

/* The grams of one kind. */
typedef struct smtpf_gram_table {
  smtpf_gram_link *links; /* sorted by gram once it is built */
  size_t n_links, links_cap;
  uint64_t *bitmap;
  unsigned bits; /* the bitmap has 2^bits */
  smtpf_gram_slot *slots;
  size_t n_slots; /* a power of two */
} smtpf_gram_table;

typedef struct smtpf_gram_index {
  const smtpf_mem *mem;
  smtpf_gram_factor *factors;
  size_t n_factors, factors_cap;
  smtpf_bytes *sets;
  size_t n_sets, sets_cap;
  smtpf_gram_table words, shapes;
} smtpf_gram_index;

/* A pass over p[from, n), and who is told of the factors. */
typedef struct smtpf_gram_pass {
  const smtpf_gram_index *g;
  const char *p;
  size_t from, n;
  void (*hit)(void *user, uint32_t pattern, size_t at);
  void *user;
} smtpf_gram_pass;

void smtpf_gram_init(smtpf_gram_index *g, const smtpf_mem *mem);
void smtpf_gram_free(smtpf_gram_index *g);

/* Adds a factor of a pattern. SMTPF_OK or SMTPF_ENOMEM; then smtpf_gram_cut() takes back what the pattern added. */
int smtpf_gram_add(smtpf_gram_index *g, const smtpf_factor *f, const smtpf_pool_set *pool, uint32_t pattern);
void smtpf_gram_cut(smtpf_gram_index *g, const smtpf_gram_index *was);

/* Makes bitmaps and tables. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_gram_build(smtpf_gram_index *g);

/* Calls `hit` for each place of a factor in p[from, n), in no order. */
void smtpf_gram_scan(const smtpf_gram_index *g, const char *p, size_t from, size_t n,
                     void (*hit)(void *user, uint32_t pattern, size_t at), void *user);

#endif
