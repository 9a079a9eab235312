/* SPDX-License-Identifier: MIT
 *
 * loop: one thread and its connections; and what all threads share.
 */
#ifndef MILTER_LOOP_H
#define MILTER_LOOP_H

#include "settings.h"

enum { ITEM_CONNECTION = ITEM_OWN };

typedef struct shared {
  server_process base;
  atomic_int_fast64_t connections;
} shared;

typedef struct loop {
  server_loop base;
  ring connections, dead;
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
