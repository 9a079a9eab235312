/* SPDX-License-Identifier: MIT
 *
 * match: sets of PCRE2 patterns, many of them over one text in about one pass. May call base and PCRE2; does no I/O and
 * reads no clock. Nothing below a check calls it, and checks reach it through ext/pattern.h alone.
 *
 *     syntax*.c   reads a pattern: what must its matches hold (factors), where, and how long can they be
 *     factor.c    sequences of byte sets, and which of them are rare in mail
 *     gram.c      the first pass: finds the factors of all patterns in a text
 *     set.c       a set: add, seal
 *     room.c      one attempt of one pattern, within limits
 *     scan.c      one block of text: first pass, attempts, report
 *     stream.c    a text in pieces: blocks at fixed places
 */
#ifndef SMTPF_MATCH_MATCH_H
#define SMTPF_MATCH_MATCH_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <smtpfilter/ext/pattern.h>

#include "match/factor.h"
#include "match/gram.h"
#include "match/syntax.h"

/* One pattern of a set. Immutable after seal. */
typedef struct smtpf_pattern {
  pcre2_code *code;
  uint64_t least, most; /* bytes from a match's start to the start of its factor; most may be SMTPF_ENDLESS */
  uint64_t reach;       /* bytes an attempt can look at from its start on; SMTPF_ENDLESS: unknown */
  uint32_t behind;      /* bytes it can look back */
  uint8_t jit;          /* compiled to machine code */
  uint8_t always;       /* has no factor */
  uint8_t utf;
  uint8_t exotic; /* `ſ` or the Kelvin sign may stand for `s` or `k` */
  uint8_t verbs;  /* attempts depend on each other: they may not be made apart */
} smtpf_pattern;

struct smtpf_patterns {
  smtpf_mem mem;
  pcre2_general_context *general;
  pcre2_compile_context *compile;
  smtpf_pattern *v;
  size_t n, cap;
  smtpf_gram_index grams;
  uint32_t *always; /* indexes, ascending */
  size_t n_always;
  uint32_t *exotic; /* those that a text with such a letter makes always tried */
  size_t n_exotic;
  uint32_t behind; /* the most of all */
  int utf;         /* some pattern is */
  int sealed;
};

/* What a scan knows of one pattern. */
typedef struct smtpf_attempts {
  size_t first, last; /* starts that were tried last; first > last: none */
  size_t from, to;    /* of the match */
  const char *cause;
  uint8_t seen;   /* in `touched` */
  uint8_t result; /* smtpf_pattern_result, or 0 */
} smtpf_attempts;

struct smtpf_pattern_room {
  smtpf_mem mem;
  smtpf_pattern_limits limits;
  pcre2_general_context *general;
  pcre2_match_context *context;
  pcre2_match_data *data;
  pcre2_jit_stack *stack;
  smtpf_attempts *v; /* of each pattern, zero between scans */
  size_t cap;
  uint32_t *touched;
  size_t touched_cap, n_touched;
  uint64_t *found; /* a bit for each pattern with a result; zero between scans */
  size_t found_cap;
  uint64_t tries; /* left; UINT64_MAX: no bound */
  int busy;
};

/* A piece of a text that is matched at a time. */
typedef struct smtpf_block {
  const char *p;
  size_t n;
  size_t whole; /* n without an incomplete UTF-8 character at the end */
  size_t from;  /* matches begin here or later; what is before is only looked back at */
  size_t next;  /* open: matches that begin here or later will be seen again, with more text behind them */
  int open;     /* more text follows */
} smtpf_block;

/* Tries a pattern at the places from `first` to `last`. 0: no match begins there; else a smtpf_pattern_result, and
 * from, to or cause in *out. */
int smtpf_pattern_attempt(smtpf_pattern_room *room, const smtpf_pattern *p, const smtpf_block *b, size_t first,
                          size_t last, smtpf_attempts *out);

/* The place of the UTF-8 character that p[at] is inside of, not before `least`. */
size_t smtpf_utf_start(const char *p, size_t at, size_t least);

/* Makes the room large enough for a set. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_pattern_room_fit(smtpf_pattern_room *room, const smtpf_patterns *set);

/* Scans a block for the patterns in `mask` (NULL: all) that are not in `done` (NULL: none). Leaves results in the room:
 * smtpf_block_report() tells them, and empties it. */
void smtpf_block_scan(const smtpf_patterns *set, smtpf_pattern_room *room, const smtpf_block *b, const uint64_t *mask,
                      const uint64_t *done);
/* `base` is the place of b->p in the text. `done` gets a bit for each that was told, if not NULL. 1: found() ended it.
 */
int smtpf_block_report(const smtpf_patterns *set, smtpf_pattern_room *room, const smtpf_block *b, uint64_t base,
                       uint64_t *done, smtpf_pattern_found found, void *user);

#endif
