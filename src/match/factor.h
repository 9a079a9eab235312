/* SPDX-License-Identifier: MIT
 *
 * factor: a short sequence of byte sets that every match of a pattern must hold. A literal is a factor whose sets have
 * one byte each (two where case does not matter).
 */
#ifndef SMTPF_MATCH_FACTOR_H
#define SMTPF_MATCH_FACTOR_H

#include <smtpfilter/types.h>

enum {
  SMTPF_FACTOR_MAX = 16,   /* sets of one factor */
  SMTPF_FACTORS_MAX = 256, /* factors of one pattern: one of them occurs */
  SMTPF_WORD = 4,          /* bytes of a gram that is a word */
  SMTPF_SHAPE = 5,         /* and of one that is a shape */
  SMTPF_KIND_BITS = 4,     /* a byte is of one of 16 kinds there */
  SMTPF_WORDS_MAX = 256,   /* words of one factor */
  SMTPF_WORDS_MANY = 4096, /* the same where its shapes are much more common */
  SMTPF_SHAPES_MAX = 8192, /* shapes of one factor */
};

#define SMTPF_ENDLESS UINT64_MAX

/* A set of bytes. */
typedef struct smtpf_bytes {
  uint64_t bits[4];
} smtpf_bytes;

static inline int smtpf_bytes_has(const smtpf_bytes *s, unsigned char c)
{
  return (int)(s->bits[c >> 6] >> (c & 63) & 1);
}
static inline void smtpf_bytes_add(smtpf_bytes *s, unsigned char c)
{
  s->bits[c >> 6] |= UINT64_C(1) << (c & 63);
}
void smtpf_bytes_range(smtpf_bytes *s, unsigned char first, unsigned char last);
void smtpf_bytes_invert(smtpf_bytes *s);
void smtpf_bytes_fold(smtpf_bytes *s); /* closes it under the case of ASCII letters */

typedef struct smtpf_factor {
  uint8_t n;
  uint16_t set[SMTPF_FACTOR_MAX]; /* indexes of the pattern's pool of sets */
} smtpf_factor;

/* A set, and what is known of it. */
typedef struct smtpf_pool_set {
  smtpf_bytes bytes;
  double chance;   /* how often a byte of mail is in it: 0 to 1, as a model of English text, HTML and headers has it */
  unsigned folded; /* how many values its bytes have once bit 5 is set in each */
  unsigned kinds;  /* of how many kinds they are */
  double kin;      /* chance of a byte of these kinds */
} smtpf_pool_set;

void smtpf_pool_set_init(smtpf_pool_set *out, const smtpf_bytes *s);

/* How the first pass shall look for a factor: by the rarest word in it, where there is one that is few; else by the
 * rarest shape. A short factor is looked for with any bytes behind it. */
typedef struct smtpf_factor_plan {
  uint8_t at;      /* first of the sets it is looked for by */
  uint8_t n;       /* how many they are */
  uint8_t shape;   /* 1: a shape */
  double chance;   /* that a place of a text has one of these grams */
  double complete; /* that a place of a text has the whole factor */
} smtpf_factor_plan;

extern const uint8_t smtpf_byte_kind[256];

/* 1 and the plan, or 0: the factor is of no use. */
int smtpf_factor_look(const smtpf_factor *f, const smtpf_pool_set *pool, smtpf_factor_plan *out);

#endif
