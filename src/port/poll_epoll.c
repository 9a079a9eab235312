/* SPDX-License-Identifier: MIT
 *
 * The poller for Linux. An epoll set holds the ports' descriptors, a timerfd for the next deadline and an eventfd for
 * smtpf_driver_wake(); the set's own descriptor is what a host puts into its loop.
 *
 * Everything is level-triggered: an event that does not fit the caller's array comes again. The poller keeps no list
 * of descriptors, the kernel has it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "port.h"
#include "process.h"

enum { BATCH = 64 }; /* events taken from the kernel at once */

typedef struct poller {
  int set;
  int timer;
  int event;
  smtpf_process process;
  int armed; /* saves the system call that would disarm a timer that is not armed */
} poller;

static void stop(void *self)
{
  poller *p = self;
  if (!p)
    return;
  if (p->set >= 0)
    close(p->set);
  if (p->timer >= 0)
    close(p->timer);
  if (p->event >= 0)
    close(p->event);
  smtpf_process_end(&p->process);
  smtpf_mem_free(&smtpf_mem_default, p);
}

static int set(void *self, int fd, unsigned events)
{
  poller *p = self;
  struct epoll_event e = {.data = {.fd = fd}};
  if (fd < 0)
    return SMTPF_EINVAL;
  if (!events) /* its owner may have closed it already, which took it out of the set */
    return epoll_ctl(p->set, EPOLL_CTL_DEL, fd, &e) == 0 || errno == ENOENT || errno == EBADF ? SMTPF_OK : SMTPF_EIO;
  e.events = ((events & SMTPF_FD_READ) ? EPOLLIN : 0u) | ((events & SMTPF_FD_WRITE) ? EPOLLOUT : 0u);
  if (epoll_ctl(p->set, EPOLL_CTL_ADD, fd, &e) == 0)
    return SMTPF_OK;
  if (errno == EEXIST && epoll_ctl(p->set, EPOLL_CTL_MOD, fd, &e) == 0)
    return SMTPF_OK;
  return errno == ENOMEM || errno == ENOSPC ? SMTPF_ENOMEM : SMTPF_EIO;
}

static int start(void *shared, void **self)
{
  (void)shared;
  poller *p = smtpf_mem_alloc(&smtpf_mem_default, sizeof *p);
  if (!p)
    return SMTPF_ENOMEM;
  p->set = epoll_create1(EPOLL_CLOEXEC);
  p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  p->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->armed = 0;
  smtpf_process_begin(&p->process);
  if (p->set < 0 || p->timer < 0 || p->event < 0 || set(p, p->timer, SMTPF_FD_READ) != SMTPF_OK ||
      set(p, p->event, SMTPF_FD_READ) != SMTPF_OK) {
    stop(p);
    return SMTPF_EIO;
  }
  *self = p;
  return SMTPF_OK;
}

/* A deadline of now must still fire, and the kernel takes zero for `disarm`: the least is one nanosecond. */
static int arm(void *self, int64_t in_ms)
{
  poller *p = self;
  struct itimerspec t = {.it_value = {0, 0}};
  if (in_ms < 0 && !p->armed)
    return SMTPF_OK;
  if (in_ms > INT_MAX)
    in_ms = INT_MAX;
  if (in_ms >= 0) {
    t.it_value.tv_sec = (time_t)(in_ms / 1000);
    t.it_value.tv_nsec = in_ms ? (long)(in_ms % 1000) * 1000000 : 1;
  }
  if (timerfd_settime(p->timer, 0, &t, NULL) != 0)
    return SMTPF_EIO;
  p->armed = in_ms >= 0;
  return SMTPF_OK;
}

/* Both descriptors count; reading resets them. Not readable any more is as good. */
static void drain(int fd)
{
  uint64_t count;
  while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
    ;
}

static unsigned bits(uint32_t events)
{
  unsigned r = 0;
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
    r |= SMTPF_FD_READ;
  if (events & (EPOLLOUT | EPOLLERR))
    r |= SMTPF_FD_WRITE;
  return r;
}

static int wait_ready(void *self, int64_t timeout_ms, smtpf_pollfd *ready, size_t cap)
{
  poller *p = self;
  struct epoll_event events[BATCH];
  int timeout = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
  /* No more than fit, our own two aside: the kernel rotates what it did not hand out to the front. */
  int most = cap > BATCH - 2 ? BATCH : (int)cap + 2;
  int got = epoll_wait(p->set, events, most, timeout);
  if (got < 0)
    return errno == EINTR ? 0 : SMTPF_EIO;
  size_t n = 0;
  for (int i = 0; i < got; i++) {
    int fd = events[i].data.fd;
    if (fd == p->event) {
      drain(fd);
    } else if (fd == p->timer) {
      drain(fd);
      p->armed = 0;
    } else if (n < cap) {
      ready[n++] = (smtpf_pollfd){fd, bits(events[i].events)};
    }
  }
  return (int)n;
}

static int set_fd(void *self)
{
  return ((poller *)self)->set;
}

/* From any thread and from signal handlers: one write(2), errno as it was. A counter that is full is readable. */
static int wake(void *self)
{
  const poller *p = self;
  const uint64_t one = 1;
  int saved = errno, r;
  while ((r = (int)write(p->event, &one, sizeof one)) < 0 && errno == EINTR)
    ;
  r = r > 0 || errno == EAGAIN ? SMTPF_OK : SMTPF_EIO;
  errno = saved;
  return r;
}

static int64_t pid(void *self)
{
  return smtpf_process_id(&((poller *)self)->process);
}

const smtpf_poller *smtpf_poller_epoll(void)
{
  static const smtpf_poller table = {sizeof table, "epoll", start, set, arm, wait_ready, set_fd, wake, pid, stop};
  return &table;
}
