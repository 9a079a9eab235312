/* SPDX-License-Identifier: MIT
 *
 * triplet: the mail number N of the greylist's benches: who sends it to whom. What policy_load asks about is what
 * bench_greylist puts into a store.
 */
#ifndef SMTPF_BENCH_TRIPLET_H
#define SMTPF_BENCH_TRIPLET_H

#include <stdint.h>
#include <stdio.h>

typedef struct triplet {
  uint64_t hash;
  char client[24], identity[24]; /* an address, and its network as the greylist writes it */
  char sender[64], recipient[64];
} triplet;

static inline uint64_t triplet_mix(uint64_t x)
{
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static inline void triplet_of(uint64_t n, triplet *t)
{
  const uint64_t h = t->hash = triplet_mix(n);
  const unsigned a = (unsigned)(h >> 8) & 255, b = (unsigned)(h >> 24) & 255, c = (unsigned)(h >> 32) & 255;
  snprintf(t->client, sizeof t->client, "10.%u.%u.%u", a, b, c);
  snprintf(t->identity, sizeof t->identity, "10.%u.%u.0/24", a, b);
  snprintf(t->sender, sizeof t->sender, "user%c%llu@sender%u.example", 'a' + (int)(h % 26), (unsigned long long)n,
           (unsigned)(h % 5000));
  snprintf(t->recipient, sizeof t->recipient, "rcpt%u@example.net", (unsigned)(h >> 16) % 2000);
}

#endif
