/* SPDX-License-Identifier: MIT
 *
 * driver: one event loop's ports, caches, timers and queues. Sessions are on at most one of three rings: none,
 * `runnable` (a port has answered one of its checks), `ready` (its verdict is there and the host does not know yet).
 */
#ifndef SMTPF_CORE_DRIVER_H
#define SMTPF_CORE_DRIVER_H

#include <smtpfilter/driver.h>
#include <smtpfilter/ext/port.h>

#include "base/cache.h"
#include "base/heap.h"
#include "base/list.h"
#include "dns.h"
#include "engine.h"
#include "op.h"
#include "stats.h"

typedef struct smtpf_watch {
  int fd;
  unsigned events;
  smtpf_watch_fn fn;
  void *user;
} smtpf_watch;

struct smtpf_driver {
  smtpf_mem mem;
  smtpf_engine *engine; /* of new sessions */
  smtpf_ports ports;
  void *poller, *resolver, *directory, *store, *journal, *callout; /* what each `start` gave */
  int callout_up;                                                  /* it was started: somebody has asked */
  int64_t pid;
  uint64_t now_ns; /* at the entry of the public call in progress */
  int64_t wall_s;
  uint64_t armed; /* when the poller will wake us; UINT64_MAX: never */
  uint64_t seed[2];
  uint64_t session_count;
  int entered;    /* inside a public call: another one is re-entry */
  int processing; /* inside smtpf_driver_process(), also in its callbacks */
  smtpf_ready_fn ready_fn;
  void *ready_user;
  smtpf_heap timers;
  smtpf_op_table ops;
  smtpf_dns dns;
  smtpf_cache lookups; /* of the directory */
  smtpf_watch *watches;
  size_t n_watches, cap_watches;
  uint32_t *places; /* of each descriptor: one more than its index in watches; 0: none */
  size_t cap_places;
  smtpf_link sessions, runnable, ready;
  smtpf_link searches;     /* for mail hosts */
  smtpf_link reports;      /* of refused forwards */
  struct smtpf_run *spare; /* task lists for the next stages */
  size_t n_spare;
  smtpf_link tenures; /* of the engines in use */
  uint64_t spooled;   /* bytes of messages in memory */
  char *spool_window; /* of a spool file, for one look */
  int64_t delayed;    /* sessions whose verdict asks for a delay */
  uint64_t stats[SMTPF_STATS];
};

/* smtpf_driver_new() with every port given. */
int smtpf_driver_create(smtpf_driver **out, smtpf_engine *engine, const smtpf_ports *ports);

/* Every public call that does something is between these two. SMTPF_OK or SMTPF_EBUSY (re-entry). */
int smtpf_driver_enter(smtpf_driver *d);
void smtpf_driver_leave(smtpf_driver *d);

/* Begins a public call that may be made inside another, too: it reads the clock unless the other has. */
void smtpf_driver_call(smtpf_driver *d);

/* SMTPF_OK, or SMTPF_EFORK when this is not the process the driver was made in. */
int smtpf_driver_same_process(const smtpf_driver *d);

/* An operation has its answer: its session will look at it. */
void smtpf_driver_answered(smtpf_driver *d, smtpf_op_slot *slot);

/* Waits at most timeout_ms (negative: until something happens), then runs what is due, short of callbacks. */
int smtpf_driver_turn(smtpf_driver *d, int64_t timeout_ms);

#endif
