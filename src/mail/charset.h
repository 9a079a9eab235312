/* SPDX-License-Identifier: MIT
 *
 * charset: text in the charsets of mail turned into UTF-8 while it arrives (RFC 2046 4.1.2, RFC 2978).
 *
 * As everywhere else, `us-ascii` and `iso-8859-1` are read as what is really sent under these names: UTF-8, and
 * windows-1252. Bytes that mean nothing become U+FFFD. In a charset that is not known bytes stay what they are: the
 * caller sees so beforehand, from SMTPF_CHARSET_UNKNOWN.
 */
#ifndef SMTPF_MAIL_CHARSET_H
#define SMTPF_MAIL_CHARSET_H

#include <smtpfilter/types.h>

enum smtpf_charset {
  SMTPF_CHARSET_UNKNOWN = 0,
  SMTPF_CHARSET_UTF8,  /* us-ascii too */
  SMTPF_CHARSET_UTF16, /* by its mark; without one by what its first character looks like, else big endian */
  SMTPF_CHARSET_UTF16BE,
  SMTPF_CHARSET_UTF16LE,
  SMTPF_CHARSET_BYTES, /* this one and what follows: one byte a character, a table each */
};

/* By its name in any case; smtpf_charset, or more. */
int smtpf_charset_named(smtpf_str name);

/* What the upper half of a charset of single bytes means; NULL for the others. */
const uint16_t *smtpf_charset_table(int charset);

typedef struct smtpf_charset_reader {
  uint8_t charset;
  uint8_t n;     /* bytes held: a character that is not complete */
  uint8_t bad;   /* 1 when something became U+FFFD */
  uint8_t begun; /* of UTF-16: the mark's place is behind us */
  char held[4];
} smtpf_charset_reader;

#define SMTPF_CHARSET_ROOM(n) ((n)*3 + 12)

void smtpf_charset_init(smtpf_charset_reader *r, int charset);
/* Bytes written to `out`, which has SMTPF_CHARSET_ROOM(n). */
size_t smtpf_charset_feed(smtpf_charset_reader *r, const char *p, size_t n, char *out);
/* The end: at most SMTPF_CHARSET_ROOM(0). */
size_t smtpf_charset_finish(smtpf_charset_reader *r, char *out);

/* One character as UTF-8: 1-4 bytes. What is no character becomes U+FFFD. */
size_t smtpf_utf8_put(uint32_t c, char *out);

#endif
