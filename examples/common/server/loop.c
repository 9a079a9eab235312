/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../log.h"
#include "parts.h"

enum { EVENTS = 256, SWEEP_MS = 250 };

enum { INPUT = EPOLLIN | EPOLLRDHUP };

static int watch_edges(server_loop *l, item *it, int how, uint32_t events)
{
  struct epoll_event e = {.events = events | EPOLLET, .data.ptr = it};
  return epoll_ctl(l->epoll, how, it->fd, &e);
}

int server_watch(server_loop *l, item *it)
{
  return watch_edges(l, it, EPOLL_CTL_ADD, INPUT | EPOLLOUT);
}

int server_watch_input(server_loop *l, item *it)
{
  return watch_edges(l, it, EPOLL_CTL_ADD, INPUT);
}

int server_watch_output(server_loop *l, item *it)
{
  return watch_edges(l, it, EPOLL_CTL_MOD, INPUT | EPOLLOUT);
}

int server_unwatch(server_loop *l, item *it)
{
  return epoll_ctl(l->epoll, EPOLL_CTL_DEL, it->fd, NULL);
}

static int watch_level(server_loop *l, item *it, uint32_t events)
{
  struct epoll_event e = {.events = events, .data.ptr = it};
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, it->fd, &e);
}

int server_loop_listen(server_loop *l, int on)
{
  if (on == l->listening)
    return 0;
  l->listening = on;
  for (size_t i = 0; i < l->process->listeners; i++) {
    listening *it = &l->process->listener[i];
    if (on && watch_level(l, &it->item, EPOLLIN | EPOLLEXCLUSIVE))
      return -1;
    if (!on)
      server_unwatch(l, &it->item);
  }
  return 0;
}

void server_loop_wake(server_loop *l)
{
  uint64_t one = 1;
  if (write(l->wake.fd, &one, sizeof one) < 0 && errno != EAGAIN)
    log_text("error", "failure", "wake", strerror(errno));
}

void server_loop_reload(server_loop *l, server_settings *s)
{
  server_settings_unref(atomic_exchange(&l->next, server_settings_ref(s)));
  server_loop_wake(l);
}

/* ---- the thread ---------------------------------------------------------------------------------- */

static void read_clock(server_loop *l)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  l->now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  l->wall_s = t.tv_sec;
}

int server_trial_untold(server_loop *l, unsigned capabilities)
{
  smtpf_session *s = NULL;
  const smtpf_session_options o = {.size = sizeof o, .capabilities = capabilities, .protocol = SMTPF_SMTP};
  const int r = smtpf_session_new(&s, l->driver, &o);
  smtpf_session_free(s);
  if (r == SMTPF_EUNSUPPORTED)
    log_text("error", "policy-failed", "what",
             "journal and lost_ack.enable need a host that is told what became of a message; an MTA does not tell");
  return r;
}

static int is_served(server_loop *l)
{
  return !l->process->program->trial || l->process->program->trial(l) == SMTPF_OK;
}

/* A policy under which no session can be made changes nothing. */
static void take_settings(server_loop *l)
{
  server_settings *s = atomic_exchange(&l->next, NULL);
  if (!s)
    return;
  smtpf_driver_set_engine(l->driver, s->engine);
  if (!is_served(l)) {
    smtpf_driver_set_engine(l->driver, l->settings->engine);
    server_settings_unref(s);
    return;
  }
  server_settings_unref(l->settings);
  l->settings = s;
}

/* Whoever has connected already is served. */
static void begin_drain(server_loop *l)
{
  for (size_t i = 0; i < l->process->listeners && l->listening; i++)
    server_accept(l, &l->process->listener[i]);
  server_loop_listen(l, 0);
  atomic_fetch_add(&l->process->stopped, 1);
  l->drain_until = l->now_ms + l->settings->drain_ms;
}

static void woken(server_loop *l)
{
  uint64_t n;
  while (read(l->wake.fd, &n, sizeof n) > 0)
    continue;
  take_settings(l);
  if (l->process->program->woken)
    l->process->program->woken(l);
  const int draining = atomic_load(&l->process->draining);
  if (draining && !l->drain_until)
    begin_drain(l);
  if (draining > 1)
    l->drain_until = l->now_ms;
  l->swept_ms = 0;
}

static void dispatch(server_loop *l, const struct epoll_event *e)
{
  item *it = e->data.ptr;
  switch (it->kind) {
  case ITEM_LISTENER: server_accept(l, (const listening *)(const void *)it); break;
  case ITEM_DRIVER: smtpf_driver_process(l->driver); break;
  case ITEM_WAKE: woken(l); break;
  default: l->process->program->event(l, it, e->events);
  }
}

static void resume_all(server_loop *l)
{
  while (!ring_empty(&l->resume)) {
    ring *r = l->resume.next;
    ring_remove(r);
    l->process->program->go_on(r);
  }
}

static void sweep(server_loop *l)
{
  if (l->now_ms - l->swept_ms < SWEEP_MS)
    return;
  l->swept_ms = l->now_ms;
  l->process->program->sweep(l);
  if (!l->drain_until)
    server_loop_listen(l, 1);
}

static void on_ready(void *user, smtpf_session *s)
{
  const server_loop *l = user;
  l->process->program->ready(s);
}

static int is_idle(const server_loop *l)
{
  const server_program *p = l->process->program;
  return !l->count && !l->drain_until && l->listening && !(p->busy && p->busy(l));
}

static void measure(server_loop *l)
{
  metrics_gauge(l->metrics, METRICS_CONNECTIONS_OPEN, NULL, l->count);
  if (l->process->program->measure)
    l->process->program->measure(l);
  metrics_answer(l->metrics);
}

static void *run(void *user)
{
  server_loop *l = user;
  struct epoll_event events[EVENTS];
  read_clock(l);
  while (!l->drain_until || l->count) {
    const int n = epoll_wait(l->epoll, events, EVENTS, is_idle(l) ? -1 : SWEEP_MS);
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
    l->process->program->bury(l);
    if (metrics_wanted(l->metrics))
      measure(l);
    if (l->log.n)
      log_flush(&l->log);
  }
  atomic_fetch_sub(&l->process->running, 1);
  return NULL;
}

/* ---- making and ending ---------------------------------------------------------------------------- */

void server_loop_free(server_loop *l)
{
  const server_program *p = l->process->program;
  p->close(l);
  metrics_part_leave(l->metrics);
  smtpf_driver_free(l->driver);
  if (p->free)
    p->free(l);
  server_settings_unref(l->settings);
  server_settings_unref(atomic_load(&l->next));
  text_free(&l->log);
  if (l->wake.fd >= 0)
    close(l->wake.fd);
  if (l->epoll >= 0)
    close(l->epoll);
  free(l);
}

static int set_up(server_loop *l)
{
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->wake = (item){ITEM_WAKE, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (l->epoll < 0 || l->wake.fd < 0 || watch_level(l, &l->wake, EPOLLIN))
    return SMTPF_EIO;
  const int r = smtpf_driver_new(&l->driver, l->settings->engine, NULL);
  if (r != SMTPF_OK)
    return r;
  if (!is_served(l))
    return SMTPF_EUNSUPPORTED;
  l->metrics = metrics_part_new(l->process->metrics, l->driver);
  smtpf_driver_set_ready(l->driver, on_ready, l);
  l->driver_item = (item){ITEM_DRIVER, smtpf_driver_fd(l->driver)};
  if (l->driver_item.fd < 0 || watch_level(l, &l->driver_item, EPOLLIN))
    return SMTPF_EIO;
  return server_loop_listen(l, 1) ? SMTPF_EIO : SMTPF_OK;
}

int server_loop_new(server_loop **out, server_process *p, server_settings *s)
{
  server_loop *l = calloc(1, p->program->loop_size);
  if (!l)
    return SMTPF_ENOMEM;
  ring_init(&l->resume);
  l->process = p;
  l->settings = server_settings_ref(s);
  l->wake.fd = l->epoll = -1;
  int r = p->program->open(l);
  if (r == SMTPF_OK)
    r = set_up(l);
  if (r != SMTPF_OK) {
    server_loop_free(l);
    return r;
  }
  *out = l;
  return SMTPF_OK;
}

int server_loop_start(server_loop *l)
{
  atomic_fetch_add(&l->process->running, 1);
  l->started = !pthread_create(&l->thread, NULL, run, l);
  if (!l->started)
    atomic_fetch_sub(&l->process->running, 1);
  return l->started ? SMTPF_OK : SMTPF_EIO;
}

void server_loop_join(server_loop *l)
{
  if (l->started)
    pthread_join(l->thread, NULL);
}
