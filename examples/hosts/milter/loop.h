/* SPDX-License-Identifier: MIT
 *
 * loop: one thread and its connections.
 */
#ifndef MILTER_LOOP_H
#define MILTER_LOOP_H

#include "settings.h"

enum { ITEM_CONNECTION = ITEM_OWN };

typedef struct loop {
  server_loop base;
  ring connections, dead;
} loop;

/* Of new connections. */
static inline settings *loop_settings(const loop *l)
{
  return (settings *)(void *)l->base.settings;
}

#endif
