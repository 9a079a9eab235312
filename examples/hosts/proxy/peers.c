/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void peers_init(peers *p, uint64_t seed)
{
  *p = (peers){.seed = seed};
  pthread_mutex_init(&p->lock, NULL);
}

void peers_free(peers *p)
{
  free(p->slots);
  pthread_mutex_destroy(&p->lock);
}

peer_key peers_key(const struct sockaddr *sa)
{
  peer_key k = {0};
  if (sa->sa_family == AF_INET) {
    k.low = ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
    k.high = 1;
  } else if (sa->sa_family == AF_INET6) {
    const unsigned char *b = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint32_t v4;
    memcpy(&v4, b + 12, sizeof v4);
    if (!memcmp(b, mapped, sizeof mapped))
      k = (peer_key){1, v4};
    else
      memcpy(&k.low, b, sizeof k.low), k.high = 2;
  }
  return k;
}

static size_t place(const peers *p, peer_key k)
{
  uint64_t h = (k.low ^ p->seed) * 0x9e3779b97f4a7c15u;
  h ^= (h >> 32) ^ k.high;
  h *= 0xd6e8feb86659fd93u;
  return (size_t)(h ^ (h >> 32)) & (p->cap - 1);
}

/* The slot of `k`, or the free one where it would go. */
static peer_slot *find(const peers *p, peer_key k)
{
  for (size_t i = place(p, k);; i = (i + 1) & (p->cap - 1)) {
    peer_slot *s = &p->slots[i];
    if (!s->count || (s->key.high == k.high && s->key.low == k.low))
      return s;
  }
}

static int grow(peers *p)
{
  if (p->used * 2 < p->cap)
    return 1;
  peers old = *p;
  size_t cap = old.cap ? old.cap * 2 : 256;
  peer_slot *slots = calloc(cap, sizeof *slots);
  if (!slots)
    return 0;
  p->slots = slots;
  p->cap = cap;
  for (size_t i = 0; i < old.cap; i++)
    if (old.slots[i].count)
      *find(p, old.slots[i].key) = old.slots[i];
  free(old.slots);
  return 1;
}

int peers_enter(peers *p, peer_key key, int64_t total_max, int64_t each_max)
{
  pthread_mutex_lock(&p->lock);
  int ok = p->total < total_max && grow(p);
  peer_slot *s = ok ? find(p, key) : NULL;
  if (s && each_max && s->count >= each_max)
    ok = 0;
  if (ok) {
    if (!s->count)
      p->used++;
    s->key = key;
    s->count++;
    p->total++;
  }
  pthread_mutex_unlock(&p->lock);
  return ok;
}

/* Closes the gap that a freed slot leaves in its run. */
static void close_gap(peers *p, size_t gap)
{
  for (size_t i = (gap + 1) & (p->cap - 1); p->slots[i].count; i = (i + 1) & (p->cap - 1)) {
    size_t home = place(p, p->slots[i].key);
    if (((i - home) & (p->cap - 1)) >= ((i - gap) & (p->cap - 1))) {
      p->slots[gap] = p->slots[i];
      p->slots[i].count = 0;
      gap = i;
    }
  }
}

void peers_leave(peers *p, peer_key key)
{
  pthread_mutex_lock(&p->lock);
  peer_slot *s = p->cap ? find(p, key) : NULL;
  if (s && s->count) {
    p->total--;
    if (!--s->count) {
      p->used--;
      close_gap(p, (size_t)(s - p->slots));
    }
  }
  pthread_mutex_unlock(&p->lock);
}
