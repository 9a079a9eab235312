/* SPDX-License-Identifier: MIT
 *
 * wire: sans-I/O codecs, bytes in and events out. May call base, mail and the public API of the session. Does no I/O,
 * reads no clock, knows no socket, and never sees the inside of core.
 *
 * command: one command line (RFC 5321 4.1.1, 4.1.2), read by itself: what it says, or why it says nothing.
 */
#ifndef SMTPF_WIRE_COMMAND_H
#define SMTPF_WIRE_COMMAND_H

#include <smtpfilter/session.h>
#include <smtpfilter/wire.h>
#include <string.h>

#include "wire/plain.h"

/* What a server has announced. */
typedef struct smtpf_announced {
  unsigned extensions; /* smtpf_extension */
  int lmtp;
  uint64_t message_max;
} smtpf_announced;

/* Nothing in it. Member by member: compilers clear a structure of this size by a string instruction, which costs as
 * much as reading a command. */
static inline void smtpf_event_clear(smtpf_smtpd_event *ev)
{
  const smtpf_str empty = {NULL, 0};
  ev->kind = ev->verb = 0;
  ev->name = ev->arg = ev->params = ev->body = empty;
  ev->chunk = 0;
  ev->last = ev->code = 0;
  ev->enhanced = ev->text = empty;
  ev->fatal = ev->pipelined = 0;
}

/* Turns the event into a violation. */
void smtpf_event_violate(smtpf_smtpd_event *ev, int code, smtpf_str enhanced, smtpf_str text);

/* What smtpf_line_check() does with a line that is not all printable ASCII and CRLF. */
int smtpf_line_judge(smtpf_str *line, int *high, smtpf_smtpd_event *ev);

/* Looks at the bytes of a line that ends in LF, and takes its line end off. 1 when all is well; else 0, and the event
 * is a violation: ended by a bare LF, or with a CR, NUL or other control character in it. *high is 1 when there are
 * bytes above 0x7f. */
static inline int smtpf_line_check(smtpf_str *line, int *high, smtpf_smtpd_event *ev)
{
  size_t n = line->n;
  if (n < 2 || line->p[n - 2] != '\r' || !smtpf_plain_printable(line->p, n - 2))
    return smtpf_line_judge(line, high, ev);
  line->n = n - 2;
  *high = 0;
  return 1;
}

/* Reads a line without its CRLF. The event becomes COMMAND or VIOLATION; all its strings point into the line. The path
 * of MAIL and RCPT is found, not judged, and may still lack its brackets. `high` is of smtpf_line_check(). 1 when
 * SMTPUTF8 is among the parameters of MAIL. */
void smtpf_command_parse(smtpf_str line, int high, const smtpf_announced *a, smtpf_smtpd_event *ev);

/* 1 when nothing may be sent behind this command before its reply has come (RFC 2920 3.1, RFC 3207 4, RFC 4954 4). */
int smtpf_verb_is_last(int verb);

/* Judges the parameters of MAIL or RCPT by what was announced. The event becomes a violation where they may not pass.
 */
void smtpf_params_check(smtpf_smtpd_event *ev, const smtpf_announced *a);

/* 1 when PRDR is among parameters that have passed. */
int smtpf_params_prdr(smtpf_str rest);

/* A word of up to eight bytes as a number, without regard to ASCII case; 0 for a longer one. Only letters and digits
 * are told apart for certain, from each other and from all printable bytes. */
static inline uint64_t smtpf_word(smtpf_str s)
{
  uint64_t w = 0;
  if (s.n > 8)
    return 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (s.n >= 4) { /* two halves that may overlap */
    uint32_t first, last;
    memcpy(&first, s.p, sizeof first);
    memcpy(&last, s.p + s.n - 4, sizeof last);
    return (first | (uint64_t)last << (8 * (s.n - 4))) & UINT64_C(0xdfdfdfdfdfdfdfdf);
  }
#endif
  for (size_t i = 0; i < s.n; i++)
    w |= (uint64_t)(s.p[i] & 0xdf) << (8 * i);
  return w;
}

/* The same of a literal in capitals, padded with 0. */
#define SMTPF_BYTE(c, i) ((uint64_t)((c)&0xdf) << (8 * (i)))
#define SMTPF_WORD(a, b, c, d, e, f, g, h)                                                                             \
  (SMTPF_BYTE(a, 0) | SMTPF_BYTE(b, 1) | SMTPF_BYTE(c, 2) | SMTPF_BYTE(d, 3) | SMTPF_BYTE(e, 4) | SMTPF_BYTE(f, 5) |   \
   SMTPF_BYTE(g, 6) | SMTPF_BYTE(h, 7))

#endif
