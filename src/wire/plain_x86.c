/* SPDX-License-Identifier: MIT
 *
 * Each block is compared with itself and with the block one byte before it. A byte is odd when it is NUL, when it is LF
 * and the one before is not CR, or the other way round, or when it is a dot behind an LF. Line ends are then right
 * without one look at where they are.
 */
#include "wire/plain.h"

#ifdef SMTPF_PLAIN_X86

#include <immintrin.h>

/* A CR is found odd one byte late, by what follows it. */
static size_t before_cr(const char *p, size_t n)
{
  return n && p[n - 1] == '\r' ? n - 1 : n;
}

static inline __m128i odd16(const char *p)
{
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i before = _mm_loadu_si128((const __m128i *)(const void *)(p - 1));
  __m128i lf = _mm_set1_epi8('\n');
  __m128i ends = _mm_xor_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(before, _mm_set1_epi8('\r')));
  __m128i dots = _mm_and_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('.')), _mm_cmpeq_epi8(before, lf));
  return _mm_or_si128(_mm_or_si128(ends, dots), _mm_cmpeq_epi8(v, _mm_setzero_si128()));
}

static inline unsigned where16(const char *p)
{
  return (unsigned)_mm_movemask_epi8(odd16(p));
}

size_t smtpf_plain_span_sse2(const char *p, size_t n)
{
  if (n < 16)
    return smtpf_plain_span_bytes(p, n);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m128i a = _mm_or_si128(odd16(p + i), odd16(p + i + 16));
    __m128i b = _mm_or_si128(odd16(p + i + 32), odd16(p + i + 48));
    if (_mm_movemask_epi8(_mm_or_si128(a, b)))
      break;
  }
  for (; i + 16 <= n; i += 16) {
    unsigned m = where16(p + i);
    if (m)
      return before_cr(p, i + (unsigned)__builtin_ctz(m));
  }
  if (i < n) { /* the last block lies over the one before, which is known to be plain */
    unsigned m = where16(p + n - 16);
    if (m)
      return before_cr(p, n - 16 + (unsigned)__builtin_ctz(m));
  }
  return before_cr(p, n);
}

/* As signed bytes, what is below a space is a control character or above 0x7f. */
static inline __m128i unprintable16(const char *p)
{
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
}

int smtpf_plain_printable_sse2(const char *p, size_t n)
{
  if (n < 16)
    return smtpf_plain_printable_bytes(p, n);
  __m128i bad = unprintable16(p + n - 16);
  for (size_t i = 0; i + 16 < n; i += 16)
    bad = _mm_or_si128(bad, unprintable16(p + i));
  return !_mm_movemask_epi8(bad);
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i odd32(const char *p)
{
  __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
  __m256i before = _mm256_loadu_si256((const __m256i *)(const void *)(p - 1));
  __m256i lf = _mm256_set1_epi8('\n');
  __m256i ends = _mm256_xor_si256(_mm256_cmpeq_epi8(v, lf), _mm256_cmpeq_epi8(before, _mm256_set1_epi8('\r')));
  __m256i dots = _mm256_and_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('.')), _mm256_cmpeq_epi8(before, lf));
  return _mm256_or_si256(_mm256_or_si256(ends, dots), _mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
}

AVX2 size_t smtpf_plain_span_avx2(const char *p, size_t n)
{
  size_t i = 0;
  for (; i + 128 <= n; i += 128) {
    __m256i a = _mm256_or_si256(odd32(p + i), odd32(p + i + 32));
    __m256i b = _mm256_or_si256(odd32(p + i + 64), odd32(p + i + 96));
    if (_mm256_movemask_epi8(_mm256_or_si256(a, b)))
      break;
  }
  for (; i + 32 <= n; i += 32) {
    unsigned m = (unsigned)_mm256_movemask_epi8(odd32(p + i));
    if (m)
      return before_cr(p, i + (unsigned)__builtin_ctz(m));
  }
  if (i < n && n >= 32) {
    unsigned m = (unsigned)_mm256_movemask_epi8(odd32(p + n - 32));
    if (m)
      return before_cr(p, n - 32 + (unsigned)__builtin_ctz(m));
    return before_cr(p, n);
  }
  return i < n ? smtpf_plain_span_sse2(p, n) : before_cr(p, n);
}

#else
typedef int smtpf_plain_x86_is_empty; /* ISO C wants a declaration */
#endif
