/* SPDX-License-Identifier: MIT
 *
 * class: which bytes the grammars of mail allow where, as bits of one table; and UTF-8.
 */
#ifndef SMTPF_MAIL_CLASS_H
#define SMTPF_MAIL_CLASS_H

#include <stddef.h>
#include <stdint.h>

enum smtpf_class_bit {
  SMTPF_CLASS_ATEXT = 0x01,  /* RFC 5322 3.2.3 */
  SMTPF_CLASS_LDH = 0x02,    /* letter, digit, hyphen: RFC 5321 Ldh-str, esmtp-keyword */
  SMTPF_CLASS_DOT = 0x04,    /* `.` */
  SMTPF_CLASS_HYPHEN = 0x08, /* `-` */
  SMTPF_CLASS_QTEXT = 0x10,  /* RFC 5321 qtextSMTP */
  SMTPF_CLASS_VALUE = 0x20,  /* RFC 5321 esmtp-value */
  SMTPF_CLASS_FTEXT = 0x40,  /* RFC 5322 3.6.8: header field names */
  SMTPF_CLASS_HIGH = 0x80,   /* above 0x7f */
};

extern const uint8_t smtpf_class[256];

static inline int smtpf_is_class(char c, unsigned bits)
{
  return (smtpf_class[(unsigned char)c] & bits) != 0;
}

/* Length of the well-formed UTF-8 sequence of two bytes or more in front of `p` (RFC 3629 section 4), 0 when there is
 * none. */
size_t smtpf_utf8_length(const char *p, size_t n);

#endif
