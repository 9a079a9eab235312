/* SPDX-License-Identifier: MIT
 *
 * plain: how much of a message can be passed on as it is, found a block at a time. Looks at bytes, keeps nothing.
 *
 * Plain is: no NUL, no CR without its LF, no LF without its CR, no dot behind an LF. Lengths of lines are the caller's.
 */
#ifndef SMTPF_WIRE_PLAIN_H
#define SMTPF_WIRE_PLAIN_H

#include <stddef.h>

/* How many of the `n` bytes at `p` are plain. May stop early, never too late, and never between CR and LF.
 * p[-1] is read: it must be there, and must not be CR. */
size_t smtpf_plain_span(const char *p, size_t n);

/* How many bytes stand behind the last LF of `n` bytes; `n` when there is none. */
size_t smtpf_plain_tail(const char *p, size_t n);

/* The same by plain C, for machines without vectors and for the ends of blocks. */
size_t smtpf_plain_span_bytes(const char *p, size_t n);
int smtpf_plain_printable_bytes(const char *p, size_t n);

#if defined(__GNUC__) && defined(__SSE2__)
#define SMTPF_PLAIN_X86 1
size_t smtpf_plain_span_sse2(const char *p, size_t n);
size_t smtpf_plain_span_avx2(const char *p, size_t n); /* only where the processor has it */
int smtpf_plain_printable_sse2(const char *p, size_t n);
#endif

/* 1 when all is printable ASCII. */
static inline int smtpf_plain_printable(const char *p, size_t n)
{
#ifdef SMTPF_PLAIN_X86
  return smtpf_plain_printable_sse2(p, n);
#else
  return smtpf_plain_printable_bytes(p, n);
#endif
}

#endif
