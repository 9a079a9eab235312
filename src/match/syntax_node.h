/* SPDX-License-Identifier: MIT
 *
 * syntax_node: what is known of a part of a pattern, and how parts make a whole.
 */
#ifndef SMTPF_MATCH_SYNTAX_NODE_H
#define SMTPF_MATCH_SYNTAX_NODE_H

#include "match/syntax.h"

/* Of the factors one occurs in every match, between `least` and `most` bytes behind the match's start. */
typedef struct smtpf_candidate {
  smtpf_factor *v;
  size_t n; /* 0: none */
  uint64_t least, most;
  double cost; /* expected, ns for each byte of text; a comparison, no promise */
} smtpf_candidate;

/* A part. `exact`: every match of the part is, byte for byte, in one of these sequences; none when n_exact is 0. */
typedef struct smtpf_node {
  uint64_t min, max; /* bytes of a match */
  smtpf_factor *exact;
  size_t n_exact;
  smtpf_candidate best;
} smtpf_node;

/* Parts one behind the other. */
typedef struct smtpf_chain {
  smtpf_node node;              /* min, max and best so far */
  smtpf_factor *run;            /* the last parts, as far as they are exact */
  size_t n_run;                 /* never 0 */
  uint64_t run_least, run_most; /* where the run begins */
  int whole;                    /* the run begins at the chain's start */
} smtpf_chain;

typedef struct smtpf_reader {
  const unsigned char *p;
  size_t n, i;
  smtpf_arena *arena;
  smtpf_pool_set *pool;
  size_t n_pool;
  int utf, caseless, dotall; /* the last two: from here on, perhaps */
  int extended;              /* in this group */
  int lost;                  /* gave up */
  int no_memory;
  int verbs;
  unsigned depth, behind, most_behind;
  uint64_t ahead; /* bytes that look-ahead may look at behind a match's end */
} smtpf_reader;

static inline uint64_t smtpf_sum(uint64_t a, uint64_t b)
{
  return a > SMTPF_ENDLESS - b ? SMTPF_ENDLESS : a + b;
}

/* Give up; returns 0. */
int smtpf_reader_lose(smtpf_reader *r);
int smtpf_reader_no_memory(smtpf_reader *r);

/* All of these: 1, or 0 when the reader gave up. */
int smtpf_node_empty(smtpf_reader *r, smtpf_node *out);                     /* matches nothing, takes no bytes */
int smtpf_node_set(smtpf_reader *r, const smtpf_bytes *s, smtpf_node *out); /* one byte */
void smtpf_node_any(uint64_t min, uint64_t max, smtpf_node *out);           /* nobody knows what */
int smtpf_chain_begin(smtpf_reader *r, smtpf_chain *c);
int smtpf_chain_add(smtpf_reader *r, smtpf_chain *c, const smtpf_node *x);
int smtpf_chain_repeat(smtpf_reader *r, smtpf_chain *c, const smtpf_node *x, uint64_t least, uint64_t most);
int smtpf_chain_end(smtpf_reader *r, smtpf_chain *c, smtpf_node *out);
int smtpf_node_either(smtpf_reader *r, smtpf_node *a, const smtpf_node *b); /* a := a or b */

/* syntax_class.c: behind a backslash, and behind `[`. */
int smtpf_read_escape(smtpf_reader *r, smtpf_node *out);
int smtpf_read_class(smtpf_reader *r, smtpf_node *out);
/* One character that stands for itself, at r->i. */
int smtpf_read_literal(smtpf_reader *r, smtpf_node *out);
int smtpf_read_byte(smtpf_reader *r, unsigned char c, smtpf_node *out);

#endif
