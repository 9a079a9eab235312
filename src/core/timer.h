/* SPDX-License-Identifier: MIT
 *
 * timer: something to call at a monotonic time. It belongs to whatever it is embedded in.
 */
#ifndef SMTPF_CORE_TIMER_H
#define SMTPF_CORE_TIMER_H

#include "base/heap.h"
#include "base/list.h"

typedef struct smtpf_timer {
  smtpf_heap_node node;
  void (*fn)(void *user);
  void *user;
} smtpf_timer;

/* Milliseconds from now as a monotonic time, saturating; at least the next nanosecond. */
uint64_t smtpf_timer_at(uint64_t now_ns, int64_t in_ms);

int smtpf_timer_start(smtpf_heap *timers, smtpf_timer *t, uint64_t at, void (*fn)(void *user), void *user);
void smtpf_timer_stop(smtpf_heap *timers, smtpf_timer *t); /* harmless when it is not running */

/* Takes out and calls every timer due at `now`, at most `max`. */
void smtpf_timers_fire(smtpf_heap *timers, uint64_t now, size_t max);

#endif
