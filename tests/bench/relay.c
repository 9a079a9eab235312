/* SPDX-License-Identifier: MIT
 *
 * relay LISTEN TARGET: a TCP relay that does nothing else: the floor under which no proxy can be. What was read is
 * written to the other side at once; only what the other side does not take is kept, and then this side is not read.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "net.h"

enum { ROOM = 1 << 16 };

struct pair;

struct side {
  struct pair *pair;
  struct side *other;
  int fd;
  int eof;         /* nothing more will be read here */
  uint32_t events; /* watched */
  char *kept;      /* for this side to write */
  size_t from, to; /* of `kept` */
};

struct pair {
  struct side client, server;
  struct pair *next_dead;
  int dead;
};

static struct pair *dead; /* freed after the round of events, in which they may still be named */
static volatile sig_atomic_t stop;

static void on_term(int signo)
{
  (void)signo;
  stop = 1;
}

static void end(struct pair *p)
{
  if (p->dead)
    return;
  p->dead = 1;
  close(p->client.fd);
  close(p->server.fd);
  p->next_dead = dead;
  dead = p;
}

static void bury(void)
{
  while (dead) {
    struct pair *p = dead;
    dead = p->next_dead;
    free(p->client.kept);
    free(p->server.kept);
    free(p);
  }
}

/* Watches a side for what it can do: read when the other side has nothing kept, write when it has. */
static void watch(int epfd, struct side *s)
{
  uint32_t want = (s->from < s->to ? EPOLLOUT : 0) | (!s->eof && s->other->from == s->other->to ? EPOLLIN : 0);
  if (want != s->events) {
    s->events = want;
    net_watch(epfd, EPOLL_CTL_MOD, s->fd, want, s);
  }
}

/* Writes to `s`; what is not taken is kept. 0 when the connection is broken. */
static int push(struct side *s, const char *p, size_t n)
{
  ssize_t w = write(s->fd, p, n);
  if (w < 0 && errno != EAGAIN && errno != ENOTCONN)
    return 0;
  size_t rest = n - (w > 0 ? (size_t)w : 0);
  if (rest > 0) {
    if (!s->kept && !(s->kept = malloc(ROOM)))
      net_fail("malloc");
    memcpy(s->kept, p + n - rest, rest);
    s->from = 0;
    s->to = rest;
  }
  return 1;
}

static int flush(struct side *s)
{
  ssize_t w = write(s->fd, s->kept + s->from, s->to - s->from);
  if (w < 0)
    return errno == EAGAIN;
  s->from += (size_t)w;
  if (s->from == s->to) {
    s->from = s->to = 0;
    if (s->other->eof)
      shutdown(s->fd, SHUT_WR);
  }
  return 1;
}

static int pull(struct side *s)
{
  static char room[ROOM];
  ssize_t n = read(s->fd, room, sizeof room);
  if (n < 0)
    return errno == EAGAIN;
  if (n == 0) {
    s->eof = 1;
    if (s->other->from == s->other->to)
      shutdown(s->other->fd, SHUT_WR);
    return !s->other->eof;
  }
  return push(s->other, room, (size_t)n);
}

static void serve(int epfd, struct side *s, uint32_t events)
{
  if (s->pair->dead)
    return;
  int good = 1;
  if (events & EPOLLOUT && s->from < s->to)
    good = flush(s);
  if (good && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !s->eof && s->other->from == s->other->to)
    good = pull(s);
  if (!good || (s->eof && events & EPOLLERR)) {
    end(s->pair);
    return;
  }
  watch(epfd, s);
  watch(epfd, s->other);
}

static void welcome(int epfd, int listener, const struct sockaddr_in *target)
{
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct pair *p = calloc(1, sizeof *p);
    if (!p)
      net_fail("calloc");
    p->client = (struct side){.pair = p, .other = &p->server, .fd = fd, .events = EPOLLIN};
    p->server = (struct side){.pair = p, .other = &p->client, .fd = net_socket(), .events = EPOLLIN};
    net_nodelay(fd);
    net_nodelay(p->server.fd);
    if (connect(p->server.fd, (const struct sockaddr *)target, sizeof *target) && errno != EINPROGRESS)
      net_fail("connect");
    net_watch(epfd, EPOLL_CTL_ADD, fd, EPOLLIN, &p->client);
    net_watch(epfd, EPOLL_CTL_ADD, p->server.fd, EPOLLIN, &p->server);
  }
}

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: relay LISTEN TARGET\n");
    return 2;
  }
  struct sockaddr_in target = net_loopback(argv[2]);
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
  signal(SIGPIPE, SIG_IGN);
  int listener = net_listen(argv[1]), epfd = epoll_create1(EPOLL_CLOEXEC);
  net_watch(epfd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  puts("ready");
  fflush(stdout);
  while (!stop) {
    struct epoll_event ev[64];
    int n = epoll_wait(epfd, ev, 64, -1);
    for (int i = 0; i < n; i++) {
      if (ev[i].data.ptr)
        serve(epfd, ev[i].data.ptr, ev[i].events);
      else
        welcome(epfd, listener, &target);
    }
    bury();
  }
  return 0;
}
