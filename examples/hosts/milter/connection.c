/* SPDX-License-Identifier: MIT */
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/log.h"

enum { READ_BYTES = 16 * 1024, KEEP_BYTES = 1024 }; /* an idle connection keeps no more than that of each buffer */
enum { STALL_MS = 60000 };                          /* how long an MTA may leave our answers unread */
enum { UNREAD_MAX = 64 * 1024 };                    /* and how much of them */

/* ---- life ------------------------------------------------------------------------------------------- */

void connection_new(loop *l, int fd, int family)
{
  const int one = 1;
  connection *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    server_dismiss(&l->base);
    return;
  }
  if (family != AF_UNIX)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->item = (item){ITEM_CONNECTION, fd};
  c->loop = l;
  c->settings = settings_ref(loop_settings(l));
  c->deadline = l->base.now_ms + c->settings->idle_ms;
  ring_init(&c->resume);
  ring_append(&l->connections, &c->link);
  l->base.count++;
  if (server_watch_input(&l->base, &c->item)) {
    connection_failure(c, "epoll_ctl", strerror(errno));
    connection_close(c);
  }
}

void connection_close(connection *c)
{
  if (c->dead)
    return;
  c->dead = 1;
  dialog_forget(c);
  close(c->item.fd);
  server_dismiss(&c->loop->base);
  c->loop->base.count--;
  ring_remove(&c->resume);
  ring_remove(&c->link);
  ring_append(&c->loop->dead, &c->link);
}

void connection_free(connection *c)
{
  text *const texts[] = {&c->in,       &c->out, &c->macros,        &c->piece,    &c->sender,
                         &c->identity, &c->tls, &c->late.enhanced, &c->late.text};
  ring_remove(&c->link);
  settings_unref(c->settings);
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    text_free(texts[i]);
  free(c);
}

void connection_failure(connection *c, const char *what, const char *why)
{
  log_line("warning", "failure",
           (log_field[]){{"client", {c->client, strlen(c->client)}}, {what, {why, strlen(why)}}, {NULL, {NULL, 0}}});
}

/* ---- output ----------------------------------------------------------------------------------------- */

char *connection_room(connection *c, size_t n)
{
  if (!c->dead && text_room(&c->out, n))
    return c->out.p + c->out.n;
  connection_close(c);
  return NULL;
}

void connection_wrote(connection *c, int n)
{
  if (n < 0) { /* half an answer is none: the MTA does what it is told for a filter that is gone */
    connection_failure(c, "answer", smtpf_strerror(n));
    connection_close(c);
    return;
  }
  c->out.n += (size_t)n;
}

static void give_back(text *t)
{
  if (t->cap > KEEP_BYTES)
    text_free(t);
  else
    text_clear(t);
}

static int unread(const connection *c)
{
  return c->out.n > c->out_at;
}

/* Told of room from now on. */
static void await_room(connection *c)
{
  if (!c->blocked && server_watch_output(&c->loop->base, &c->item)) {
    connection_failure(c, "epoll_ctl", strerror(errno));
    connection_close(c);
  }
  c->blocked = 1;
}

static void flush(connection *c)
{
  while (!c->dead && unread(c)) {
    const ssize_t w = send(c->item.fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);
    if (w > 0) {
      c->out_at += (size_t)w;
    } else if (errno == EAGAIN) {
      await_room(c);
      return;
    } else if (errno != EINTR) {
      connection_close(c);
    }
  }
  c->out_at = 0;
  if (!c->dead)
    give_back(&c->out);
}

/* ---- input ------------------------------------------------------------------------------------------ */

/* More bytes. 1 when some came. */
static int fill(connection *c)
{
  if (c->in_at) {
    memmove(c->in.p, c->in.p + c->in_at, c->in.n - c->in_at);
    c->in.n -= c->in_at;
    c->in_at = 0;
  }
  const size_t wanted = smtpf_milter_wanted(text_str(&c->in));
  const size_t room = wanted > c->in.n + READ_BYTES ? wanted - c->in.n : READ_BYTES;
  while (c->readable) {
    if (!text_room(&c->in, room)) {
      connection_close(c);
      return 0;
    }
    const ssize_t r = recv(c->item.fd, c->in.p + c->in.n, room, 0);
    if (r > 0) {
      c->in.n += (size_t)r;
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
  return 0;
}

/* Deals with packets until there is none, or something must be waited for. */
static void take(connection *c)
{
  while (!c->dead && !c->closing && c->wait == WAIT_NONE && c->out.n - c->out_at < UNREAD_MAX) {
    smtpf_milter_packet p = {.size = sizeof p};
    const smtpf_str have = {c->in.p + c->in_at, c->in.n - c->in_at};
    const int n = smtpf_milter_read(have, SMTPF_MILTER_PACKET_MAX, &p);
    if (n < 0) {
      connection_failure(c, "packet", smtpf_strerror(n));
      connection_close(c);
      return;
    }
    if (!n) {
      flush(c); /* what follows may be long in coming */
      if (c->dead || unread(c) || !fill(c))
        break;
      continue;
    }
    c->command = (unsigned char)p.command;
    if (!dialog_take(c, &p))
      break;
    c->in_at += (size_t)n;
    c->step = STEP_PREPARE;
  }
  if (!c->dead && c->in_at == c->in.n && c->wait == WAIT_NONE) {
    c->in_at = 0;
    give_back(&c->in);
  }
}

static void turn(connection *c)
{
  if (!c->dead && c->wait == WAIT_NONE)
    take(c);
  flush(c);
  c->deadline = c->loop->base.now_ms + (unread(c) ? STALL_MS : c->settings->idle_ms);
  if (!c->dead && c->closing && !unread(c))
    connection_close(c);
}

/* ---- events ------------------------------------------------------------------------------------------- */

void connection_event(connection *c, uint32_t events)
{
  if (c->dead)
    return;
  if (events & (EPOLLIN | EPOLLRDHUP))
    c->readable = 1;
  if (events & EPOLLRDHUP)
    c->hung_up = 1;
  /* An MTA that is gone waits for no verdict. */
  if (events & (EPOLLHUP | EPOLLERR) || (c->hung_up && c->wait != WAIT_NONE)) {
    connection_close(c);
    return;
  }
  turn(c);
}

void connection_resume(connection *c)
{
  if (!c->dead && ring_empty(&c->resume))
    ring_append(&c->loop->base.resume, &c->resume);
}

void connection_ready(connection *c)
{
  c->woken = 1;
  connection_resume(c);
}

void connection_go_on(connection *c)
{
  if (c->dead)
    return;
  if ((c->wait == WAIT_VERDICT && c->woken) || (c->wait == WAIT_DELAY && c->delayed))
    c->wait = WAIT_NONE;
  turn(c);
}

void connection_sweep(loop *l)
{
  for (ring *r = l->connections.next, *next; r != &l->connections; r = next) {
    connection *c = RING_OF(r, connection, link);
    next = r->next;
    const int over = l->base.drain_until && (l->base.now_ms >= l->base.drain_until || c->spent);
    if (over || (l->base.now_ms >= c->deadline && c->wait == WAIT_NONE))
      connection_close(c);
  }
}
