/* SPDX-License-Identifier: MIT
 *
 * loop: one thread: an epoll set that nests the driver's, the connections in it, and their timeouts. What is closed
 * during a turn is freed at its end, so that no event of the same turn meets a dead connection. A connection that may
 * go on is put on the `resume` ring and run once the events have been dealt with: nothing re-enters.
 */
#ifndef MILTER_LOOP_H
#define MILTER_LOOP_H

#include <pthread.h>
#include <smtpfilter/ext/port.h>

#include "../../common/ring.h"
#include "../../common/text.h"
#include "settings.h"

/* What an epoll event points to: the first member of everything in the set. */
enum item_kind { ITEM_LISTENER = 1, ITEM_DRIVER, ITEM_WAKE, ITEM_CONNECTION };
typedef struct item {
  int kind;
  int fd;
} item;

typedef struct listening {
  item item;
  int inherited; /* from systemd: it stays open when we end */
  char path[ADDRESS_TEXT];
  dev_t device; /* of the path, so that a successor's is not removed */
  ino_t inode;
} listening;

/* The process, shared by all threads. */
typedef struct shared {
  const arguments *arguments;
  listening listener[MILTER_LISTEN_MAX]; /* read-only once threads run */
  size_t listeners;
  atomic_int_fast64_t connections;
  atomic_int draining; /* 1: to the end of what is open; 2: now */
  atomic_int stopped;  /* loops that take no more connections */
} shared;

typedef struct loop {
  shared *shared;
  pthread_t thread;
  int epoll;
  item wake, driver_item;
  smtpf_driver *driver;
  settings *settings;       /* of new connections */
  _Atomic(settings *) next; /* a reload's, waiting to be taken */
  ring connections, resume, dead;
  size_t count;
  int64_t now_ms, wall_s, swept_ms; /* of this turn */
  int64_t drain_until;              /* 0 while not draining */
  int listening;
  text log;
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
