/* SPDX-License-Identifier: MIT
 *
 * str: counted strings, ASCII without a locale, bounded formatting and numbers.
 */
#ifndef SMTPF_BASE_STR_H
#define SMTPF_BASE_STR_H

#include <smtpfilter/types.h>

int smtpf_str_equal(smtpf_str a, smtpf_str b);
int smtpf_str_equal_nocase(smtpf_str a, smtpf_str b); /* public, ext/mail.h */
smtpf_str smtpf_str_of(const char *s);                /* public, ext/mail.h */
int smtpf_str_compare(smtpf_str a, smtpf_str b);      /* bytewise, like memcmp */
smtpf_str smtpf_str_trim(smtpf_str s);                /* without SP, TAB, CR, LF at the ends */
int smtpf_str_starts(smtpf_str s, smtpf_str prefix);

/* Splits at the first `sep`: returns what is before it and moves *rest behind it. The last piece leaves
 * *rest empty with p NULL. */
smtpf_str smtpf_str_cut(smtpf_str *rest, char sep);

/* Decimal digits only, no sign, no blank, at most `max`. SMTPF_OK or SMTPF_EPARSE. */
int smtpf_str_uint(smtpf_str s, uint64_t max, uint64_t *out);

static inline char smtpf_lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline int smtpf_is_digit(char c)
{
  return c >= '0' && c <= '9';
}
static inline int smtpf_is_alpha(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline int smtpf_is_alnum(char c)
{
  return smtpf_is_digit(c) || smtpf_is_alpha(c);
}

/* A writer over caller's room that never overruns: what does not fit is dropped and `full` is set. */
typedef struct smtpf_out {
  char *p;
  size_t n;   /* bytes written */
  size_t cap; /* bytes that fit */
  int full;
} smtpf_out;

void smtpf_out_init(smtpf_out *o, char *room, size_t cap);
void smtpf_out_str(smtpf_out *o, smtpf_str s);
void smtpf_out_cstr(smtpf_out *o, const char *s);
void smtpf_out_char(smtpf_out *o, char c);
void smtpf_out_uint(smtpf_out *o, uint64_t v);
void smtpf_out_int(smtpf_out *o, int64_t v);
void smtpf_out_milli(smtpf_out *o, int64_t thousandths); /* 10000 -> `10`, 2500 -> `2.5`, -1 -> `-0.001` */
void smtpf_out_hex(smtpf_out *o, uint64_t v, int digits);
/* Printable ASCII as it is, anything else as \xHH, backslash as \\: for logs. */
void smtpf_out_escaped(smtpf_out *o, smtpf_str s);
/* The same rule for a reply or header: anything but printable ASCII (and LF when `lines`) becomes `?`. */
void smtpf_out_printable(smtpf_out *o, smtpf_str s, int lines);
static inline smtpf_str smtpf_out_done(const smtpf_out *o)
{
  return (smtpf_str){o->p, o->n};
}

#endif
