/* SPDX-License-Identifier: MIT
 *
 * encoded_word: `=?charset?B?...?=` and `=?charset?Q?...?=` in header fields (RFC 2047, RFC 2231 section 5) as UTF-8.
 *
 * White space between adjacent words goes away, and what one word leaves unfinished of a character the next one of the
 * same charset completes. Words are found wherever they stand, and with blanks inside: mail user agents show them so,
 * whatever the RFC says.
 */
#ifndef SMTPF_MAIL_ENCODED_WORD_H
#define SMTPF_MAIL_ENCODED_WORD_H

#include "base/str.h"

enum smtpf_words_flag {
  SMTPF_WORDS_FOUND = 1,   /* at least one word was decoded */
  SMTPF_WORDS_CHARSET = 2, /* one has a charset that is not known: its bytes were kept */
  SMTPF_WORDS_BAD = 4,     /* one holds what its encoding or charset does not have */
  SMTPF_WORDS_HIGH = 8,    /* bytes above 0x7f outside of words: kept */
  SMTPF_WORDS_ODD = 16,    /* something looks like a word and is none: kept */
};

typedef struct smtpf_words {
  smtpf_str charset; /* of the first word, without a language; inside the text */
  unsigned flags;    /* smtpf_words_flag */
} smtpf_words;

/* Writes the unfolded `text` as UTF-8. What does not fit is dropped and out->full set. `about` may be NULL. */
void smtpf_words_decode(smtpf_str text, smtpf_out *out, smtpf_words *about);

#endif
