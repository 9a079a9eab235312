/* SPDX-License-Identifier: MIT
 *
 * policy_echo: a policy server that only answers: it finds the attributes, as any server must, and says DUNNO. What
 * protocol and system calls cost. One thread, epoll.
 *
 *     policy_echo PORT|/PATH
 */
#define _GNU_SOURCE
#include <sys/un.h>

#include "net.h"

enum { ROOM = 16384, EVENTS = 64 };

struct client {
  int fd;
  size_t n;
  char in[ROOM];
};

static int listen_unix(const char *path)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  memcpy(a.sun_path, path, strlen(path) + 1);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
    net_fail(path);
  return fd;
}

/* Attributes of a whole request; 0 when it is not whole. */
static int attributes(const struct client *c)
{
  int found = 0;
  if (c->n < 2 || c->in[c->n - 1] != '\n' || c->in[c->n - 2] != '\n')
    return 0;
  for (const char *p = c->in, *end = c->in + c->n - 1, *line; p < end; p = line + 1) {
    line = memchr(p, '\n', (size_t)(end + 1 - p));
    found += memchr(p, '=', (size_t)(line - p)) != NULL;
  }
  return found;
}

static void serve(int epfd, struct client *c)
{
  static const char answer[] = "action=DUNNO\n\n";
  const ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
  if (n <= 0) {
    net_watch(epfd, EPOLL_CTL_DEL, c->fd, 0, NULL);
    close(c->fd);
    free(c);
    return;
  }
  c->n += (size_t)n;
  if (!attributes(c))
    return;
  c->n = 0;
  if (send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
    perror("send");
}

int main(int argc, char **argv)
{
  if (argc != 2)
    return 2;
  const int listener = argv[1][0] == '/' ? listen_unix(argv[1]) : net_listen(argv[1]);
  const int epfd = epoll_create1(EPOLL_CLOEXEC);
  net_watch(epfd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
  for (;;) {
    struct epoll_event events[EVENTS];
    const int n = epoll_wait(epfd, events, EVENTS, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) {
        serve(epfd, events[i].data.ptr);
        continue;
      }
      const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
      struct client *c = fd < 0 ? NULL : calloc(1, sizeof *c);
      if (!c)
        continue;
      c->fd = fd;
      net_nodelay(fd);
      net_watch(epfd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
  }
}
