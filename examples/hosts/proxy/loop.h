/* SPDX-License-Identifier: MIT
 *
 * loop: one thread, its clients and its connections to servers; and what all threads share.
 */
#ifndef PROXY_LOOP_H
#define PROXY_LOOP_H

#include "../../common/conduit.h"
#include "../../common/spool.h"
#include "peers.h"
#include "settings.h"

#define LOOP_BUFFER (128 * 1024)
#define LOOP_REPLIES (16 * SMTPF_REPLY_MAX)

enum { ITEM_CLIENT = ITEM_OWN, ITEM_HOP, ITEM_AUTH };

typedef struct shared {
  server_process base;
  peers peers;
  atomic_int_fast64_t spooled; /* bytes of messages that are held now */
  atomic_uint_fast64_t loud;   /* copies for which the next hop could not be told that no DSN may be sent */
} shared;

typedef struct loop {
  server_loop base;         /* counts clients */
  ring clients, pool, hops; /* hops: those that are not idle */
  ring dead_clients, dead_hops;
  ring auths, dead_auths;
  ring lookups; /* of targets' servers, that the driver has not answered */
  size_t pool_count;
  spool_cache chunks;
  char in[LOOP_BUFFER];      /* what a client just sent */
  char out[LOOP_BUFFER];     /* what a hop is about to be sent */
  char hop_in[CONDUIT_ROOM]; /* what a hop just sent */
  size_t replies_n;
  char replies[LOOP_REPLIES]; /* what a client is about to be sent */
} loop;

static inline shared *loop_shared(const loop *l)
{
  return (shared *)(void *)l->base.process;
}

/* Of new connections. */
static inline settings *loop_settings(const loop *l)
{
  return (settings *)(void *)l->base.settings;
}

#endif
