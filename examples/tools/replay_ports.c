/* SPDX-License-Identifier: MIT
 *
 * Virtual clock, fixed random, virtual poller. Time moves only by @advance, and by waiting for a deadline, which takes
 * no time at all: the clock jumps to it.
 */
#include <stdlib.h>

#include "replay.h"

static uint64_t mono_ns(void *user)
{
  const struct replay_clock *c = user;
  return c->mono_ns;
}

static int64_t wall_s(void *user)
{
  const struct replay_clock *c = user;
  return c->wall_start + (int64_t)(c->mono_ns / 1000000000u);
}

void replay_ports_clock(smtpf_clock *out, struct replay_clock *clock)
{
  *out = (smtpf_clock){sizeof *out, clock, mono_ns, wall_s};
}

/* splitmix64: the same bytes in every run. */
static int fill(void *user, void *out, size_t n)
{
  struct replay_random *r = user;
  unsigned char *p = out;
  for (size_t i = 0; i < n; i++) {
    r->state += 0x9e3779b97f4a7c15u;
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    p[i] = (unsigned char)((z ^ (z >> 31)) & 0xff);
  }
  return SMTPF_OK;
}

void replay_ports_random(smtpf_random *out, struct replay_random *random)
{
  *out = (smtpf_random){sizeof *out, random, fill};
}

/* ---- poller --------------------------------------------------------------------------------------------------- */

static int start(void *shared, void **self)
{
  struct replay_poller *p = shared;
  p->armed_at_ns = -1;
  p->woken = 0;
  p->idle_waits = 0;
  *self = p;
  return SMTPF_OK;
}

static int set(void *self, int fd, unsigned events)
{
  (void)self;
  (void)fd;
  return events ? SMTPF_EUNSUPPORTED : SMTPF_OK; /* nothing here has a descriptor */
}

static int arm(void *self, int64_t in_ms)
{
  struct replay_poller *p = self;
  p->armed_at_ns = in_ms < 0 ? -1 : (int64_t)p->clock->mono_ns + in_ms * 1000000;
  return SMTPF_OK;
}

static int wait_for(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap)
{
  struct replay_poller *p = self;
  (void)ready;
  (void)cap;
  int64_t now = (int64_t)p->clock->mono_ns;
  int64_t until = timeout_ms < 0 ? -1 : now + timeout_ms * 1000000;
  if (p->woken) {
    p->woken = 0;
    return 0;
  }
  if (p->armed_at_ns >= 0 && (until < 0 || p->armed_at_ns < until))
    until = p->armed_at_ns;
  if (until > now) {
    p->clock->mono_ns = (uint64_t)until;
    p->idle_waits = 0;
  } else if (++p->idle_waits > 100000) {
    fputs("smtpf-replay: the library waits for something that cannot happen\n", stderr);
    abort();
  }
  if (p->armed_at_ns <= (int64_t)p->clock->mono_ns)
    p->armed_at_ns = -1; /* it rings once */
  return 0;
}

static int fd(void *self)
{
  (void)self;
  return -1;
}

static int wake(void *self)
{
  struct replay_poller *p = self;
  p->woken = 1;
  return SMTPF_OK;
}

static int64_t pid(void *self)
{
  (void)self;
  return 1;
}

static void stop(void *self)
{
  (void)self;
}

const smtpf_poller replay_poller = {sizeof(smtpf_poller), "virtual", start, set, arm, wait_for, fd, wake, pid, stop};
