/* SPDX-License-Identifier: MIT
 *
 * The system's clock and random numbers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "port.h"

static uint64_t mono_ns(void *user)
{
  (void)user;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail: the clock exists and `t` is ours */
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t wall_s(void *user)
{
  (void)user;
  return (int64_t)time(NULL);
}

const smtpf_clock *smtpf_clock_system(void)
{
  static const smtpf_clock table = {sizeof table, NULL, mono_ns, wall_s};
  return &table;
}

/* Up to 256 bytes come at once or not at all; more may be cut short by a signal. */
static int fill(void *user, void *out, size_t n)
{
  (void)user;
  unsigned char *p = out;
  while (n) {
    ssize_t got = getrandom(p, n, 0);
    if (got < 0 && errno != EINTR)
      return SMTPF_EIO;
    if (got > 0) {
      p += got;
      n -= (size_t)got;
    }
  }
  return SMTPF_OK;
}

const smtpf_random *smtpf_random_system(void)
{
  static const smtpf_random table = {sizeof table, NULL, fill};
  return &table;
}
