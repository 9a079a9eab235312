/* SPDX-License-Identifier: MIT */
#include "sha256.h"

#include <string.h>

/* FIPS 180-4 4.2.2: the fractional parts of the cube roots of the first 64 primes. */
const uint32_t smtpf_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n)
{
  return x >> n | x << (32 - n);
}

static uint32_t get32(const unsigned char *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(unsigned char *p, uint32_t v)
{
  for (int i = 4; i-- > 0; v >>= 8)
    p[i] = (unsigned char)v;
}

/* One round of 6.2.2, step 3. The eight working variables keep their places; it is their names that move on. */
#define ROUND(a, b, c, d, e, f, g, h, t)                                                                               \
  do {                                                                                                                 \
    const uint32_t t1 =                                                                                                \
        (h) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((g) ^ ((e) & ((f) ^ (g)))) + smtpf_sha256_k[t] + w[t]; \
    (d) += t1;                                                                                                         \
    (h) = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (((a) & (b)) | ((c) & ((a) | (b))));                   \
  } while (0)

/* 6.2.2: one block. */
static void compress_one(uint32_t state[8], const unsigned char *block)
{
  uint32_t w[64];
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (size_t t = 0; t < 16; t++)
    w[t] = get32(block + 4 * t);
  for (size_t t = 16; t < 64; t++) {
    const uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    const uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  for (size_t t = 0; t < 64; t += 8) {
    ROUND(a, b, c, d, e, f, g, h, t);
    ROUND(h, a, b, c, d, e, f, g, t + 1);
    ROUND(g, h, a, b, c, d, e, f, t + 2);
    ROUND(f, g, h, a, b, c, d, e, t + 3);
    ROUND(e, f, g, h, a, b, c, d, t + 4);
    ROUND(d, e, f, g, h, a, b, c, t + 5);
    ROUND(c, d, e, f, g, h, a, b, t + 6);
    ROUND(b, c, d, e, f, g, h, a, t + 7);
  }
  const uint32_t add[8] = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; i++)
    state[i] += add[i];
}

void smtpf_sha256_portable(uint32_t h[8], const unsigned char *p, size_t blocks)
{
  for (; blocks; blocks--, p += SMTPF_SHA256_BLOCK)
    compress_one(h, p);
}

static void compress(uint32_t h[8], const unsigned char *p, size_t blocks)
{
  if (!smtpf_sha256_native(h, p, blocks))
    smtpf_sha256_portable(h, p, blocks);
}

void smtpf_sha256_init(smtpf_sha256 *c)
{
  *c = (smtpf_sha256){
      .h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void smtpf_sha256_add(smtpf_sha256 *c, const void *bytes, size_t n)
{
  const unsigned char *p = bytes;
  const size_t held = c->bytes % SMTPF_SHA256_BLOCK;
  if (!n)
    return;
  c->bytes += n;
  if (held) {
    const size_t room = SMTPF_SHA256_BLOCK - held, take = n < room ? n : room;
    memcpy(c->block + held, p, take);
    p += take;
    n -= take;
    if (take < room)
      return;
    compress(c->h, c->block, 1);
  }
  const size_t blocks = n / SMTPF_SHA256_BLOCK, rest = n % SMTPF_SHA256_BLOCK;
  if (blocks)
    compress(c->h, p, blocks);
  if (rest)
    memcpy(c->block, p + blocks * SMTPF_SHA256_BLOCK, rest);
}

void smtpf_sha256_end(smtpf_sha256 *c, unsigned char out[SMTPF_SHA256_BYTES])
{
  enum { LENGTH = 8, BEFORE = SMTPF_SHA256_BLOCK - LENGTH };
  const uint64_t bits = c->bytes * 8;
  size_t held = c->bytes % SMTPF_SHA256_BLOCK;
  c->block[held++] = 0x80;
  if (held > BEFORE) { /* the length does not fit behind it: a block of padding more */
    memset(c->block + held, 0, SMTPF_SHA256_BLOCK - held);
    compress(c->h, c->block, 1);
    held = 0;
  }
  memset(c->block + held, 0, BEFORE - held);
  put32(c->block + BEFORE, (uint32_t)(bits >> 32));
  put32(c->block + BEFORE + 4, (uint32_t)bits);
  compress(c->h, c->block, 1);
  for (size_t i = 0; i < 8; i++)
    put32(out + 4 * i, c->h[i]);
}
