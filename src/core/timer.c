/* SPDX-License-Identifier: MIT */
#include "timer.h"

uint64_t smtpf_timer_at(uint64_t now_ns, int64_t in_ms)
{
  if (in_ms <= 0)
    return now_ns;
  const uint64_t room = UINT64_MAX - now_ns;
  return (uint64_t)in_ms > room / 1000000 ? UINT64_MAX : now_ns + (uint64_t)in_ms * 1000000;
}

int smtpf_timer_start(smtpf_heap *timers, smtpf_timer *t, uint64_t at, void (*fn)(void *user), void *user)
{
  t->node.at = at;
  t->fn = fn;
  t->user = user;
  return smtpf_heap_add(timers, &t->node);
}

void smtpf_timer_stop(smtpf_heap *timers, smtpf_timer *t)
{
  smtpf_heap_remove(timers, &t->node);
}

void smtpf_timers_fire(smtpf_heap *timers, uint64_t now, size_t max)
{
  smtpf_heap_node *first;
  while (max-- && (first = smtpf_heap_first(timers)) && first->at <= now) {
    smtpf_timer *t = SMTPF_OF(first, smtpf_timer, node);
    smtpf_heap_remove(timers, first);
    t->fn(t->user);
  }
}
