/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <string.h>

#include "mem.h"
#include "str.h"

static uint64_t rotl(uint64_t x, int b)
{
  return (x << b) | (x >> (64 - b));
}

static void sip_round(uint64_t v[4])
{
  v[0] += v[1];
  v[1] = rotl(v[1], 13) ^ v[0];
  v[0] = rotl(v[0], 32);
  v[2] += v[3];
  v[3] = rotl(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotl(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotl(v[1], 17) ^ v[2];
  v[2] = rotl(v[2], 32);
}

static uint64_t little_endian(const unsigned char *p, size_t n)
{
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++)
    v |= (uint64_t)p[i] << (8 * i);
  return v;
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t smtpf_siphash(const uint64_t seed[2], const void *bytes, size_t n)
{
  const unsigned char *p = bytes;
  uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                   seed[1] ^ 0x7465646279746573u};
  size_t left = n;
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t m = little_endian(p, 8);
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
  }
  uint64_t last = (uint64_t)n << 56 | (left ? little_endian(p, left) : 0);
  v[3] ^= last;
  sip_round(v);
  sip_round(v);
  v[0] ^= last;
  v[2] ^= 0xff;
  for (int i = 0; i < 4; i++)
    sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void smtpf_map_init(smtpf_map *m, const smtpf_mem *mem, const uint64_t seed[2])
{
  *m = (smtpf_map){.mem = mem, .seed = {seed[0], seed[1]}};
}

void smtpf_map_free(smtpf_map *m)
{
  smtpf_mem_free(m->mem, m->v);
  m->v = NULL;
  m->n = m->cap = 0;
}

/* The entry that holds `key`, or the free one where it belongs. There is always a free one. */
static smtpf_map_entry *locate(const smtpf_map *m, smtpf_str key, uint64_t hash)
{
  size_t i = (size_t)hash & (m->cap - 1);
  while (m->v[i].value && (m->v[i].hash != hash || !smtpf_str_equal(m->v[i].key, key)))
    i = (i + 1) & (m->cap - 1);
  return &m->v[i];
}

void *smtpf_map_get(const smtpf_map *m, smtpf_str key)
{
  return m->n ? locate(m, key, smtpf_siphash(m->seed, key.p, key.n))->value : NULL;
}

static int enlarge(smtpf_map *m)
{
  if (m->cap && m->n < m->cap / 4 * 3)
    return SMTPF_OK;
  smtpf_map bigger = *m;
  bigger.cap = m->cap ? m->cap * 2 : 8;
  if (bigger.cap > SIZE_MAX / sizeof *m->v)
    return SMTPF_ENOMEM;
  bigger.v = smtpf_mem_zalloc(m->mem, bigger.cap * sizeof *m->v);
  if (!bigger.v)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < m->cap; i++)
    if (m->v[i].value)
      *locate(&bigger, m->v[i].key, m->v[i].hash) = m->v[i];
  smtpf_mem_free(m->mem, m->v);
  *m = bigger;
  return SMTPF_OK;
}

int smtpf_map_set(smtpf_map *m, smtpf_str key, void *value)
{
  int r = enlarge(m);
  if (r != SMTPF_OK)
    return r;
  uint64_t hash = smtpf_siphash(m->seed, key.p, key.n);
  smtpf_map_entry *e = locate(m, key, hash);
  if (!e->value)
    m->n++;
  *e = (smtpf_map_entry){key, hash, value};
  return SMTPF_OK;
}

void *smtpf_map_remove(smtpf_map *m, smtpf_str key)
{
  if (!m->n)
    return NULL;
  smtpf_map_entry *e = locate(m, key, smtpf_siphash(m->seed, key.p, key.n));
  void *value = e->value;
  if (!value)
    return NULL;
  e->value = NULL;
  m->n--;
  /* Close the gap: whatever follows in the same run may have been pushed past it. */
  const size_t mask = m->cap - 1;
  for (size_t i = ((size_t)(e - m->v) + 1) & mask; m->v[i].value; i = (i + 1) & mask) {
    smtpf_map_entry moved = m->v[i];
    m->v[i].value = NULL;
    *locate(m, moved.key, moved.hash) = moved;
  }
  return value;
}

smtpf_map_entry *smtpf_map_next(const smtpf_map *m, size_t *i)
{
  while (*i < m->cap)
    if (m->v[(*i)++].value)
      return &m->v[*i - 1];
  return NULL;
}
