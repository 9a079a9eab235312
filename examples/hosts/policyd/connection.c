/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/log.h"
#include "policyd.h"

/* ---- life ------------------------------------------------------------------------------------------- */

/* A thread serves it from now on. */
static void begin(connection *c, loop *l)
{
  c->loop = l;
  c->home = NULL;
  c->deadline = l->base.now_ms + loop_settings(l)->idle_ms;
  ring_append(&l->connections, &c->link);
  l->base.count++;
  if (server_watch_input(&l->base, &c->item)) {
    log_text("error", "failure", "epoll_ctl", strerror(errno));
    connection_close(c);
  }
}

void connection_new(loop *l, int fd)
{
  const int one = 1;
  connection *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    server_dismiss(&l->base);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* a Unix socket has none, which does no harm */
  c->item = (item){ITEM_CONNECTION, fd};
  ring_init(&c->resume);
  ring_init(&c->link);
  begin(c, l);
}

void connection_close(connection *c)
{
  if (c->dead)
    return;
  c->dead = 1;
  if (c->about)
    instance_leave(c->about);
  if (c->delay)
    smtpf_driver_timer_cancel(c->loop->base.driver, c->delay);
  close(c->item.fd);
  server_dismiss(&c->loop->base);
  c->loop->base.count--;
  ring_remove(&c->resume);
  ring_remove(&c->link);
  ring_append(&c->loop->dead, &c->link);
}

void connection_free(connection *c)
{
  ring_remove(&c->link);
  free(c);
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

/* Postfix asks one thing at a time: what does not fit the socket's buffer is sent to somebody who does not read. */
void connection_send(connection *c, const char *bytes, size_t n)
{
  if (!c->dead && send(c->item.fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
    connection_close(c);
}

/* More bytes. 1 when some came. */
static int fill(connection *c)
{
  const size_t room = sizeof c->in - c->n;
  while (c->readable && room) {
    const ssize_t r = recv(c->item.fd, c->in + c->n, room, 0);
    if (r > 0) {
      c->n += (size_t)r;
      if ((size_t)r < room && !c->hung_up)
        c->readable = 0; /* drained: the next arrival is a new event */
      return 1;
    }
    if (r < 0 && errno == EINTR)
      continue;
    c->readable = 0;
    if (!r || errno != EAGAIN)
      c->closing = 1;
  }
  if (!room) /* of which no request can be made */
    c->closing = 1;
  return 0;
}

static int is_waiting(const connection *c)
{
  return c->dead || c->home || c->taken;
}

static void turn(connection *c)
{
  do
    request_next(c);
  while (!is_waiting(c) && !c->closing && fill(c));
  if (!is_waiting(c)) {
    c->deadline = c->loop->base.now_ms + loop_settings(c->loop)->idle_ms;
    if (c->closing)
      connection_close(c);
  }
}

/* ---- events ------------------------------------------------------------------------------------------- */

/* Who has only shut down its side may still wait for an answer. */
void connection_event(connection *c, uint32_t events)
{
  if (c->dead || c->home)
    return;
  if (events & (EPOLLHUP | EPOLLERR)) {
    connection_close(c);
    return;
  }
  if (events & (EPOLLIN | EPOLLRDHUP))
    c->readable = 1;
  if (events & EPOLLRDHUP)
    c->hung_up = 1;
  if (!is_waiting(c))
    turn(c);
}

void connection_resume(connection *c)
{
  if (!c->dead && ring_empty(&c->resume))
    ring_append(&c->loop->base.resume, &c->resume);
}

void connection_go_on(connection *c)
{
  if (c->dead)
    return;
  if (c->taken)
    request_go_on(c);
  if (!is_waiting(c))
    turn(c);
}

/* While it drains, what has been asked already is answered, and what is under way may be decided. */
void connection_sweep(loop *l)
{
  const int64_t now = l->base.now_ms;
  for (ring *r = l->connections.next, *next; r != &l->connections; r = next) {
    connection *c = RING_OF(r, connection, link);
    next = r->next;
    if (l->base.drain_until && !c->taken) {
      c->readable = 1;
      turn(c);
    }
    if (c->dead)
      continue;
    const int rests = !c->taken && !(c->about && instance_is_under_way(c->about));
    if (l->base.drain_until ? now >= l->base.drain_until || rests : now >= c->deadline && !c->taken)
      connection_close(c);
  }
}

/* ---- from thread to thread ------------------------------------------------------------------------------ */

/* By another part of the hash than the bucket. Threads that drain may have ended. */
int connection_is_home(connection *c, smtpf_str name)
{
  const server_process *p = c->loop->base.process;
  if (p->n < 2 || !name.n || name.n >= sizeof c->about->name || c->loop->base.drain_until)
    return 1;
  loop *home = loop_of(p->loops[instance_hash(name) / BUCKETS % (uint32_t)p->n]);
  if (home == c->loop)
    return 1;
  if (c->about)
    instance_free(c->loop, c->about);
  c->home = home;
  ring_remove(&c->link);
  ring_append(&c->loop->leaving, &c->link);
  return 0;
}

void connection_leave(loop *l)
{
  while (!ring_empty(&l->leaving)) {
    connection *c = RING_OF(l->leaving.next, connection, link);
    loop *home = c->home;
    server_unwatch(&l->base, &c->item);
    ring_remove(&c->resume);
    ring_remove(&c->link);
    l->base.count--;
    pthread_mutex_lock(&home->lock);
    ring_append(&home->arriving, &c->link);
    pthread_mutex_unlock(&home->lock);
    server_loop_wake(&home->base);
  }
}

static connection *next_arrival(loop *l)
{
  connection *c = NULL;
  pthread_mutex_lock(&l->lock);
  if (!ring_empty(&l->arriving)) {
    c = RING_OF(l->arriving.next, connection, link);
    ring_remove(&c->link);
  }
  pthread_mutex_unlock(&l->lock);
  return c;
}

void connection_arrive(loop *l)
{
  for (connection *c; (c = next_arrival(l)) != NULL;) {
    begin(c, l);
    connection_resume(c);
  }
}
