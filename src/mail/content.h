/* SPDX-License-Identifier: MIT
 *
 * content: values of Content-Type and Content-Disposition (RFC 2045 5.1, RFC 2183) with their parameters, which may be
 * cut into segments and carry a charset (RFC 2231). Values are unfolded. Broken ones are read as mail user agents read
 * them, and flagged.
 */
#ifndef SMTPF_MAIL_CONTENT_H
#define SMTPF_MAIL_CONTENT_H

#include "base/str.h"

typedef struct smtpf_content {
  smtpf_str type;    /* `text`, or `attachment`; empty when there is none */
  smtpf_str subtype; /* `plain`; empty when there is none */
  smtpf_str params;  /* what follows */
} smtpf_content;

/* All strings point into `value`. */
void smtpf_content_read(smtpf_str value, smtpf_content *out);

enum smtpf_content_flag {
  SMTPF_CONTENT_EXTENDED = 1, /* in the form of RFC 2231 */
  SMTPF_CONTENT_WORDS = 2,    /* encoded words, which do not belong there (RFC 2047 section 5) */
  SMTPF_CONTENT_TWICE = 4,    /* given more than once, or in more than one form: mail user agents will differ */
  SMTPF_CONTENT_BAD = 8,      /* does not follow the grammar */
  SMTPF_CONTENT_CHARSET = 16, /* a charset that is not known: bytes were kept */
  SMTPF_CONTENT_GAP = 32,     /* segments are missing, or too many */
};

/* Writes a parameter's value as UTF-8. Of several forms `name*` counts before `name*0` before `name`, of equal ones
 * the first. `words` 1: encoded words are decoded, as in file names. `flags` gets smtpf_content_flag. 1 when there is
 * one. */
int smtpf_content_param(smtpf_str params, smtpf_str name, int words, smtpf_out *out, unsigned *flags);

/* Takes blanks and comments (RFC 5322 CFWS) off the front. Of an open comment all that follows is part. */
smtpf_str smtpf_skip_cfws(smtpf_str s);

/* Length of the quoted string in front of `s`, which begins with `"`, with its quotes; *closed is 0 when its end is
 * missing, and the length then s.n. */
size_t smtpf_quoted_span(smtpf_str s, int *closed);

/* Writes what a quoted string's inside means: `\` before `"` or `\` is dropped; others stay, as in `C:\file`. */
void smtpf_unquote(smtpf_str inside, smtpf_out *out);

#endif
