/* SPDX-License-Identifier: MIT
 *
 * loop: one thread: an epoll set that nests the driver's, the connections in it, and their timeouts. What is closed
 * during a turn is freed at its end, so that no event of the same turn meets a dead connection. A client that may go
 * on is put on the `resume` ring and run once the events have been dealt with: nothing re-enters.
 */
#ifndef PROXY_LOOP_H
#define PROXY_LOOP_H

#include <pthread.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

#include "../../common/ring.h"
#include "../../common/spool.h"
#include "../../common/text.h"
#include "peers.h"
#include "settings.h"

#define LOOP_BUFFER (128 * 1024)
#define LOOP_REPLIES (16 * SMTPF_REPLY_MAX)

/* What an epoll event points to: the first member of everything in the set. */
enum item_kind { ITEM_LISTENER = 1, ITEM_DRIVER, ITEM_WAKE, ITEM_CLIENT, ITEM_HOP };
typedef struct item {
  int kind;
  int fd;
} item;

typedef struct listening {
  item item;
  address at;
} listening;

/* The process, shared by all threads. */
typedef struct shared {
  const arguments *arguments;
  listening listener[PROXY_LISTEN_MAX]; /* read-only once threads run */
  size_t listeners;
  peers peers;
  atomic_int_fast64_t spooled; /* bytes of messages that are held now */
  atomic_uint_fast64_t loud;   /* copies for which the next hop could not be told that no DSN may be sent */
  atomic_int draining;
} shared;

typedef struct loop {
  shared *shared;
  pthread_t thread;
  int epoll;
  item wake, driver_item;
  smtpf_driver *driver;
  settings *settings;               /* of new connections */
  _Atomic(settings *) next;         /* a reload's, waiting to be taken */
  ring clients, resume, pool, hops; /* hops: those that are not idle */
  ring dead_clients, dead_hops;
  ring lookups; /* of targets' servers, that the driver has not answered */
  size_t client_count, pool_count;
  int64_t now_ms, wall_s, swept_ms; /* of this turn */
  int64_t drain_until;              /* 0 while not draining */
  int listening;
  spool_cache chunks;
  text log;
  char in[LOOP_BUFFER];  /* what a client just sent */
  char out[LOOP_BUFFER]; /* what a hop is about to be sent */
  char hop_in[16384];    /* what a hop just sent */
  size_t replies_n;
  char replies[LOOP_REPLIES]; /* what a client is about to be sent */
} loop;

/* Makes a loop and starts its thread. SMTPF_OK or a negative result. */
int loop_start(loop **out, shared *sh, settings *s);
/* Any thread: gives the loop another policy, a reference of which is taken. */
void loop_reload(loop *l, settings *s);
/* Any thread: makes it look at `draining`. */
void loop_wake(loop *l);
/* Waits for the thread to end, and frees. */
void loop_join(loop *l);

/* Puts a descriptor into the set: edge-triggered, both directions. 0, or -1 with errno. */
int loop_watch(loop *l, item *it);
/* Begins (1) or stops (0) to take new connections. 0, or -1 with errno. */
int loop_listen(loop *l, int on);

#endif
