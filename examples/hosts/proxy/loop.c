/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../common/log.h"
#include "client.h"
#include "hop.h"
#include "listener.h"
#include "target.h"

#define EVENTS 256
#define SWEEP_MS 250

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

static void take_settings(loop *l)
{
  settings *s = atomic_exchange(&l->next, NULL);
  if (!s)
    return;
  smtpf_driver_set_engine(l->driver, s->engine);
  settings_unref(l->settings);
  l->settings = s;
}

static void begin_drain(loop *l)
{
  l->drain_until = l->now_ms + l->settings->drain_ms;
  loop_listen(l, 0);
}

static void woken(loop *l)
{
  uint64_t n;
  while (read(l->wake.fd, &n, sizeof n) > 0)
    continue;
  take_settings(l);
  if (!l->drain_until && atomic_load(&l->shared->draining))
    begin_drain(l);
  l->swept_ms = 0;
}

static void dispatch(loop *l, const struct epoll_event *e)
{
  item *it = e->data.ptr;
  switch (it->kind) {
  case ITEM_LISTENER: listener_accept(l, (const listening *)(const void *)it); break;
  case ITEM_DRIVER: smtpf_driver_process(l->driver); break;
  case ITEM_WAKE: woken(l); break;
  case ITEM_CLIENT: client_event((client *)(void *)it, e->events); break;
  default:
    if (((hop *)(void *)it)->state != HOP_DEAD)
      hop_event((hop *)(void *)it, e->events);
  }
}

static void resume_all(loop *l)
{
  while (!ring_empty(&l->resume)) {
    ring *r = l->resume.next;
    ring_remove(r);
    client_go_on(RING_OF(r, client, resume));
  }
}

static void bury(loop *l)
{
  while (!ring_empty(&l->dead_clients))
    client_free(RING_OF(l->dead_clients.next, client, link));
  while (!ring_empty(&l->dead_hops))
    hop_free(RING_OF(l->dead_hops.next, hop, link));
}

static void dismiss_all(loop *l, int now)
{
  for (ring *r = l->clients.next, *next; r != &l->clients; r = next) {
    next = r->next;
    client_dismiss(RING_OF(r, client, link), now);
    client_turn(RING_OF(r, client, link));
  }
}

/* Timeouts, four times a second. */
static void sweep(loop *l)
{
  if (l->now_ms - l->swept_ms < SWEEP_MS)
    return;
  l->swept_ms = l->now_ms;
  hop_sweep(l);
  client_sweep(l);
  if (l->drain_until)
    dismiss_all(l, l->now_ms >= l->drain_until);
  else
    loop_listen(l, 1);
}

static int is_finished(const loop *l)
{
  return l->drain_until && !l->client_count;
}

static void on_ready(void *user, smtpf_session *s)
{
  (void)user;
  client_session_ready(smtpf_session_user(s));
}

static void *run(void *user)
{
  loop *l = user;
  struct epoll_event events[EVENTS];
  read_clock(l);
  while (!is_finished(l)) {
    const int idle =
        !l->client_count && ring_empty(&l->hops) && ring_empty(&l->pool) && !l->drain_until && l->listening;
    int n = epoll_wait(l->epoll, events, EVENTS, idle ? -1 : SWEEP_MS);
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
  while (!ring_empty(&l->clients))
    client_dismiss(RING_OF(l->clients.next, client, link), 1);
  while (!ring_empty(&l->hops))
    hop_close(RING_OF(l->hops.next, hop, link));
  while (!ring_empty(&l->pool))
    hop_close(RING_OF(l->pool.next, hop, link));
  bury(l);
  smtpf_driver_free(l->driver);
  target_forget_lookups(&l->lookups);
  spool_cache_free(&l->chunks);
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
  if (r)
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
  ring *const rings[] = {&l->clients, &l->resume, &l->pool, &l->hops, &l->dead_clients, &l->dead_hops, &l->lookups};
  for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++)
    ring_init(rings[i]);
  l->shared = sh;
  l->settings = settings_ref(s);
  l->wake.fd = -1;
  int r = set_up(l);
  if (!r && pthread_create(&l->thread, NULL, run, l))
    r = SMTPF_EIO;
  if (r) {
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
