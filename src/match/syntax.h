/* SPDX-License-Identifier: MIT
 *
 * syntax: reads a pattern that PCRE2 has accepted, to learn what its matches must hold. It knows the common part of
 * pcre2pattern(3) and gives up on the rest: a pattern it gives up on is tried on every text. What it says is a bound:
 * a pattern may match less, never anything else.
 */
#ifndef SMTPF_MATCH_SYNTAX_H
#define SMTPF_MATCH_SYNTAX_H

#include <smtpfilter/ext/pattern.h>

#include "base/arena.h"
#include "match/factor.h"

enum { SMTPF_SETS_MAX = 512, SMTPF_SYNTAX_DEPTH = 64, SMTPF_SYNTAX_MEMORY = 4 << 20 };

/* What is known of a pattern. */
typedef struct smtpf_syntax {
  int known;             /* 0: it gave up; nothing below is filled but verbs */
  int verbs;             /* attempts at different places may depend on each other */
  int caseless;          /* somewhere, letters match either case */
  uint64_t reach;        /* bytes from a match's start to the last byte that is looked at; or SMTPF_ENDLESS */
  uint32_t nested;       /* look-behinds around each other, at most */
  uint64_t least, most;  /* bytes before the factor */
  smtpf_factor *factors; /* in the arena; one of them is in every match */
  size_t n_factors;      /* 0: none is known, or none is worth looking for */
  smtpf_pool_set *pool;  /* what the factors' sets are */
  size_t n_pool;
} smtpf_syntax;

/* Fills *out. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_syntax_read(smtpf_syntax *out, smtpf_str pattern, uint32_t flags, smtpf_arena *arena);

#endif
