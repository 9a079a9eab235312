/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../../common/log.h"
#include "connection.h"
#include "listener.h"

enum { EVENTS = 256, SWEEP_MS = 250 };

int loop_watch(loop *l, item *it)
{
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = it};
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, it->fd, &e);
}

static int watch_level(loop *l, item *it, uint32_t events)
{
  struct epoll_event e = {.events = events, .data.ptr = it};
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, it->fd, &e);
}

int loop_listen(loop *l, int on)
{
  if (on == l->listening)
    return 0;
  l->listening = on;
  for (size_t i = 0; i < l->shared->listeners; i++) {
    if (on && watch_level(l, &l->shared->listener[i].item, EPOLLIN | EPOLLEXCLUSIVE))
      return -1;
    if (!on)
      epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->shared->listener[i].item.fd, NULL);
  }
  return 0;
}

void loop_wake(loop *l)
{
  uint64_t one = 1;
  if (write(l->wake.fd, &one, sizeof one) < 0 && errno != EAGAIN)
    log_text("error", "failure", "wake", strerror(errno));
}

void loop_reload(loop *l, settings *s)
{
  settings_unref(atomic_exchange(&l->next, settings_ref(s)));
  loop_wake(l);
}

/* ---- the thread ---------------------------------------------------------------------------------- */

static void read_clock(loop *l)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  l->now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  l->wall_s = t.tv_sec;
}

/* Whether sessions can be made for a host like this one: a policy may ask for what no milter can do. */
static int trial(loop *l)
{
  smtpf_session *s = NULL;
  const smtpf_session_options o = {.size = sizeof o, .capabilities = SMTPF_CAN_SEE_BODY, .protocol = SMTPF_SMTP};
  const int r = smtpf_session_new(&s, l->driver, &o);
  smtpf_session_free(s);
  if (r == SMTPF_EUNSUPPORTED)
    log_text("error", "policy-failed", "what",
             "journal and lost_ack.enable need a host that is told what became of a message; an MTA does not tell");
  return r;
}

static void take_settings(loop *l)
{
  settings *s = atomic_exchange(&l->next, NULL);
  if (!s)
    return;
  smtpf_driver_set_engine(l->driver, s->engine);
  if (trial(l) != SMTPF_OK) { /* the old one serves on */
    smtpf_driver_set_engine(l->driver, l->settings->engine);
    settings_unref(s);
    return;
  }
  settings_unref(l->settings);
  l->settings = s;
}

static void begin_drain(loop *l)
{
  for (size_t i = 0; i < l->shared->listeners && l->listening; i++)
    listener_accept(l, &l->shared->listener[i]);
  loop_listen(l, 0);
  atomic_fetch_add(&l->shared->stopped, 1);
  l->drain_until = l->now_ms + l->settings->drain_ms;
}

static void woken(loop *l)
{
  uint64_t n;
  while (read(l->wake.fd, &n, sizeof n) > 0)
    continue;
  take_settings(l);
  const int draining = atomic_load(&l->shared->draining);
  if (draining && !l->drain_until)
    begin_drain(l);
  if (draining > 1)
    l->drain_until = l->now_ms;
  l->swept_ms = 0;
}

static void dispatch(loop *l, const struct epoll_event *e)
{
  item *it = e->data.ptr;
  switch (it->kind) {
  case ITEM_LISTENER: listener_accept(l, (const listening *)(const void *)it); break;
  case ITEM_DRIVER: smtpf_driver_process(l->driver); break;
  case ITEM_WAKE: woken(l); break;
  default: connection_event((connection *)(void *)it, e->events);
  }
}

static void resume_all(loop *l)
{
  while (!ring_empty(&l->resume)) {
    ring *r = l->resume.next;
    ring_remove(r);
    connection_go_on(RING_OF(r, connection, resume));
  }
}

static void bury(loop *l)
{
  while (!ring_empty(&l->dead))
    connection_free(RING_OF(l->dead.next, connection, link));
}

/* Timeouts, four times a second. */
static void sweep(loop *l)
{
  if (l->now_ms - l->swept_ms < SWEEP_MS)
    return;
  l->swept_ms = l->now_ms;
  connection_sweep(l);
  if (!l->drain_until)
    loop_listen(l, 1);
}

static void on_ready(void *user, smtpf_session *s)
{
  (void)user;
  connection_ready(smtpf_session_user(s));
}

static void *run(void *user)
{
  loop *l = user;
  struct epoll_event events[EVENTS];
  read_clock(l);
  while (!l->drain_until || l->count) {
    const int idle = !l->count && !l->drain_until && l->listening;
    const int n = epoll_wait(l->epoll, events, EVENTS, idle ? -1 : SWEEP_MS);
    if (n < 0 && errno != EINTR) {
      log_text("error", "failure", "epoll_wait", strerror(errno));
      break;
    }
    read_clock(l);
    for (int i = 0; i < n; i++)
      dispatch(l, &events[i]);
    resume_all(l);
    sweep(l);
    resume_all(l);
    bury(l);
    if (l->log.n)
      log_flush(&l->log);
  }
  return NULL;
}

/* ---- making and ending ---------------------------------------------------------------------------- */

static void loop_free(loop *l)
{
  while (!ring_empty(&l->connections))
    connection_close(RING_OF(l->connections.next, connection, link));
  bury(l);
  smtpf_driver_free(l->driver);
  settings_unref(l->settings);
  settings_unref(atomic_load(&l->next));
  text_free(&l->log);
  if (l->wake.fd >= 0)
    close(l->wake.fd);
  if (l->epoll >= 0)
    close(l->epoll);
  free(l);
}

static int set_up(loop *l)
{
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->wake = (item){ITEM_WAKE, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (l->epoll < 0 || l->wake.fd < 0 || watch_level(l, &l->wake, EPOLLIN))
    return SMTPF_EIO;
  int r = smtpf_driver_new(&l->driver, l->settings->engine, NULL);
  if (r == SMTPF_OK)
    r = trial(l);
  if (r != SMTPF_OK)
    return r;
  smtpf_driver_set_ready(l->driver, on_ready, l);
  l->driver_item = (item){ITEM_DRIVER, smtpf_driver_fd(l->driver)};
  if (l->driver_item.fd < 0 || watch_level(l, &l->driver_item, EPOLLIN))
    return SMTPF_EIO;
  return loop_listen(l, 1) ? SMTPF_EIO : SMTPF_OK;
}

int loop_start(loop **out, shared *sh, settings *s)
{
  loop *l = calloc(1, sizeof *l);
  if (!l)
    return SMTPF_ENOMEM;
  ring_init(&l->connections);
  ring_init(&l->resume);
  ring_init(&l->dead);
  l->shared = sh;
  l->settings = settings_ref(s);
  l->wake.fd = -1;
  int r = set_up(l);
  if (r == SMTPF_OK && pthread_create(&l->thread, NULL, run, l))
    r = SMTPF_EIO;
  if (r != SMTPF_OK) {
    loop_free(l);
    return r;
  }
  *out = l;
  return SMTPF_OK;
}

void loop_join(loop *l)
{
  pthread_join(l->thread, NULL);
  loop_free(l);
}
