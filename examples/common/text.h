/* SPDX-License-Identifier: MIT
 *
 * examples/common: what the shipped programs share. Uses the public headers alone.
 *
 * text: a growing text for log lines and messages. Out of memory is remembered (`failed`), not reported at
 * each step: look once, at the end.
 */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <smtpfilter/types.h>

typedef struct text {
  char *p;
  size_t n, cap;
  int failed;
} text;

/* Makes room for `n` more bytes. 1 when there is room. */
int text_room(text *t, size_t n);
void text_add(text *t, smtpf_str s);
void text_cstr(text *t, const char *s);
void text_char(text *t, char c);
void text_int(text *t, int64_t v);
/* Thousandths as a decimal: 10000 -> 10, 2500 -> 2.5. */
void text_milli(text *t, int64_t v);
/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void text_json(text *t, smtpf_str s);
/* A value of a log line: as it is when it is plain, else in quotes, anything not printable as \xHH. */
void text_quoted(text *t, smtpf_str s);
/* 2024-05-01T12:00:00Z. */
void text_time(text *t, int64_t wall_s);
/* Thu, 01 May 2024 12:00:00 +0000 (RFC 5322 3.3). */
void text_date(text *t, int64_t wall_s);
/* In the place of what was there. */
void text_set(text *t, smtpf_str s);
void text_clear(text *t);
/* Gives the memory back. */
void text_free(text *t);
static inline smtpf_str text_str(const text *t)
{
  return (smtpf_str){t->p, t->n};
}

#endif
