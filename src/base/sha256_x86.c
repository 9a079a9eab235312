/* SPDX-License-Identifier: MIT
 *
 * The processor's own rounds of SHA-256. The eight working variables lie in two registers, (a b e f) and (c d g h); an
 * instruction does two rounds, four words of the schedule are made at a time.
 */
#include "sha256.h"

#if defined __x86_64__ && (defined __GNUC__ || defined __clang__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

enum { UNKNOWN = 0, ABSENT, PRESENT };

static int look(void)
{
  enum { SHA = 1 << 29, SSSE3 = 1 << 9, SSE41 = 1 << 19 };
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSSE3) || !(c & SSE41))
    return ABSENT;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA) ? PRESENT : ABSENT;
}

/* Asking is slow, above all in a virtual machine. Threads that ask at once find the same. */
static int is_present(void)
{
  static atomic_int known = UNKNOWN;
  int is = atomic_load_explicit(&known, memory_order_relaxed);
  if (is == UNKNOWN)
    atomic_store_explicit(&known, is = look(), memory_order_relaxed);
  return is == PRESENT;
}

#define SHA_NI __attribute__((target("sha,sse4.1,ssse3")))

/* Words 16 and on, four of them: of the four before each of their predecessors. FIPS 180-4 6.2.2, step 1. */
SHA_NI static inline __m128i schedule(__m128i w0, __m128i w4, __m128i w8, __m128i w12)
{
  const __m128i w9 = _mm_alignr_epi8(w12, w8, 4);
  return _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), w9), w12);
}

SHA_NI static inline __m128i load(const void *p)
{
  return _mm_loadu_si128((const __m128i *)p);
}

SHA_NI static void compress(uint32_t h[8], const unsigned char *p, size_t blocks)
{
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i abef = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]);
  __m128i cdgh = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]);
  for (; blocks; blocks--, p += SMTPF_SHA256_BLOCK) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (size_t i = 0; i < 4; i++)
      w[i] = _mm_shuffle_epi8(load(p + 16 * i), big_endian);
    for (size_t i = 0; i < 16; i++) {
      const __m128i now = _mm_add_epi32(w[i % 4], load(smtpf_sha256_k + 4 * i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, now);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(now, 0x0e));
      if (i < 12)
        w[i % 4] = schedule(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4], w[(i + 3) % 4]);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  uint32_t at[2][4]; /* f e b a, h g d c */
  _mm_storeu_si128((__m128i *)at[0], abef);
  _mm_storeu_si128((__m128i *)at[1], cdgh);
  for (size_t i = 0; i < 2; i++) {
    h[i] = at[0][3 - i];
    h[2 + i] = at[1][3 - i];
    h[4 + i] = at[0][1 - i];
    h[6 + i] = at[1][1 - i];
  }
}

int smtpf_sha256_native(uint32_t h[8], const unsigned char *p, size_t blocks)
{
  if (!is_present())
    return 0;
  compress(h, p, blocks);
  return 1;
}

#else

int smtpf_sha256_native(uint32_t h[8], const unsigned char *p, size_t blocks)
{
  (void)h;
  (void)p;
  (void)blocks;
  return 0;
}

#endif
