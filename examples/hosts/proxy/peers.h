/* SPDX-License-Identifier: MIT
 *
 * peers: how many connections each client has: one IPv4 address, or one IPv6 /64. Shared by all threads; one short
 * lock at accept and one at close.
 */
#ifndef PROXY_PEERS_H
#define PROXY_PEERS_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct peer_key {
  uint64_t high, low;
} peer_key;

typedef struct peer_slot {
  peer_key key;
  uint32_t count; /* 0: free */
} peer_slot;

typedef struct peers {
  pthread_mutex_t lock;
  peer_slot *slots; /* open addressing, linear; a power of two */
  size_t cap, used;
  int64_t total;
  uint64_t seed;
} peers;

void peers_init(peers *p, uint64_t seed);
void peers_free(peers *p);
peer_key peers_key(const struct sockaddr *sa);
/* Counts one more, unless `total_max` or (when not 0) `each_max` would be passed. 1 when it may stay. */
int peers_enter(peers *p, peer_key key, int64_t total_max, int64_t each_max);
void peers_leave(peers *p, peer_key key);

#endif
