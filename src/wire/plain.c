/* SPDX-License-Identifier: MIT */
#include "wire/plain.h"

#include <stdint.h>
#include <string.h>

size_t smtpf_plain_span_bytes(const char *p, size_t n)
{
  size_t i = 0;
  for (char before = p[-1]; i < n; before = p[i++]) {
    char c = p[i];
    if (c > '.')
      continue;
    if (c == '\0' || (c == '\n') != (before == '\r') || (c == '.' && before == '\n'))
      break;
    if (c == '\r' && (i + 1 == n || p[i + 1] != '\n'))
      break;
  }
  return i;
}

int smtpf_plain_printable_bytes(const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (p[i] < ' ' || p[i] > '~')
      return 0;
  return 1;
}

#ifdef SMTPF_PLAIN_X86

size_t smtpf_plain_span(const char *p, size_t n)
{
  return __builtin_cpu_supports("avx2") ? smtpf_plain_span_avx2(p, n) : smtpf_plain_span_sse2(p, n);
}

#else

size_t smtpf_plain_span(const char *p, size_t n)
{
  return smtpf_plain_span_bytes(p, n);
}

#endif

/* Eight bytes at a time, from the end: a byte of `x` is 0x80 where the text had an LF; lower bytes may be wrong by
 * the borrow, so the exact place is looked up by bytes. */
size_t smtpf_plain_tail(const char *p, size_t n)
{
  size_t i = n;
  while (i >= 8) {
    uint64_t x;
    memcpy(&x, p + i - 8, sizeof x);
    x ^= UINT64_C(0x0a0a0a0a0a0a0a0a);
    if ((x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080))
      break;
    i -= 8;
  }
  while (i && p[i - 1] != '\n')
    i--;
  return n - i;
}
