/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "policyd.h"

enum { EVENTS = 64, BACKLOG = 1024, ACCEPT_MAX = 64 };

static int watch(server *s, item *it)
{
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = it};
  return epoll_ctl(s->epoll, EPOLL_CTL_ADD, it->fd, &e);
}

/* ---- listening --------------------------------------------------------------------------------------- */

static int complain(const char *where)
{
  fprintf(stderr, "smtpf-policyd: cannot listen on %s: %s\n", where, strerror(errno));
  return -1;
}

static int bind_to(server *s, const struct sockaddr *sa, socklen_t len, const char *where)
{
  const int one = 1;
  if (s->n_listeners == LISTEN_MAX) {
    errno = E2BIG;
    return complain(where);
  }
  const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && sa->sa_family != AF_UNIX)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, sa, len) || listen(fd, BACKLOG)) {
    complain(where);
    if (fd >= 0)
      close(fd);
    return -1;
  }
  s->listeners[s->n_listeners] = (item){LISTENER, fd};
  return watch(s, &s->listeners[s->n_listeners++]) ? complain(where) : 0;
}

/* A socket that an earlier process left is in the way; anything else is not ours to remove. */
static void clear_path(const char *path)
{
  struct stat st;
  if (*path && !lstat(path, &st) && S_ISSOCK(st.st_mode))
    unlink(path);
}

int server_listen_unix(server *s, const char *path)
{
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof sa.sun_path) {
    errno = ENAMETOOLONG;
    return complain(path);
  }
  memcpy(sa.sun_path, path, strlen(path) + 1);
  clear_path(path);
  if (bind_to(s, (const struct sockaddr *)&sa, sizeof sa, path))
    return -1;
  memcpy(s->paths[s->n_listeners - 1], path, strlen(path) + 1);
  return chmod(path, 0666) ? complain(path) : 0; /* as Postfix's other side needs it; the folder says who gets there */
}

int server_listen_inet(server *s, const char *address)
{
  const char *colon = strrchr(address, ':');
  const smtpf_str host = colon ? (smtpf_str){address, (size_t)(colon - address)} : SMTPF_LIT("127.0.0.1");
  char *end;
  const unsigned long port = strtoul(colon ? colon + 1 : address, &end, 10);
  smtpf_ip ip;
  if (*end || port > 65535 || end == (colon ? colon + 1 : address) || smtpf_ip_parse(host, &ip) != SMTPF_OK) {
    errno = EINVAL;
    return complain(address);
  }
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  memcpy(&v4.sin_addr, ip.bytes, 4);
  memcpy(&v6.sin6_addr, ip.bytes, 16);
  return ip.family == 4 ? bind_to(s, (const struct sockaddr *)&v4, sizeof v4, address)
                        : bind_to(s, (const struct sockaddr *)&v6, sizeof v6, address);
}

int server_listen(server *s, smtpf_str where)
{
  static const char scheme[] = "unix:";
  return strncmp(where.p, scheme, sizeof scheme - 1) == 0 ? server_listen_unix(s, where.p + sizeof scheme - 1)
                                                          : server_listen_inet(s, where.p);
}

/* ---- connections ------------------------------------------------------------------------------------- */

static void accept_all(server *s, const item *from)
{
  const int one = 1;
  for (int i = 0; i < ACCEPT_MAX; i++) {
    const int fd = accept4(from->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
      return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* a Unix socket has none, which does no harm */
    connection *c = calloc(1, sizeof *c);
    if (!c) {
      close(fd);
      return;
    }
    c->item = (item){CONNECTION, fd};
    c->server = s;
    c->next = s->connections;
    if (c->next)
      c->next->previous = c;
    s->connections = c;
    s->open++;
    metrics_count(s->metrics, METRICS_CONNECTIONS, "served", NULL);
    if (watch(s, &c->item))
      connection_close(c);
  }
}

void connection_close(connection *c)
{
  server *s = c->server;
  if (c->dead)
    return;
  c->dead = 1;
  s->open--;
  if (c->about)
    instance_leave(c->about);
  if (c->delay)
    smtpf_driver_timer_cancel(s->driver, c->delay);
  close(c->item.fd);
  if (c->next)
    c->next->previous = c->previous;
  if (c->previous)
    c->previous->next = c->next;
  else
    s->connections = c->next;
  c->next = s->closed; /* freed when nothing of this turn can point to it */
  s->closed = c;
}

/* Postfix asks one thing at a time: what does not fit the socket's buffer is sent to somebody who does not read. */
void connection_send(connection *c, const char *bytes, size_t n)
{
  if (!c->dead && send(c->item.fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
    connection_close(c);
}

static void receive(connection *c)
{
  if (c->dead)
    return;
  if (c->n == sizeof c->in) { /* it asks on before it is answered */
    connection_close(c);
    return;
  }
  const ssize_t n = recv(c->item.fd, c->in + c->n, sizeof c->in - c->n, 0);
  if (n > 0) {
    c->n += (size_t)n;
    request_next(c);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    connection_close(c);
  }
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

static void take_signal(server *s)
{
  struct signalfd_siginfo info;
  while (read(s->signals.fd, &info, sizeof info) == (ssize_t)sizeof info)
    if (info.ssi_signo == SIGHUP)
      policy_reload(s);
    else
      s->done = 1;
}

static void dispatch(server *s, item *it)
{
  switch (it->kind) {
  case LISTENER: accept_all(s, it); break;
  case DRIVER: (void)smtpf_driver_process(s->driver); break;
  case SIGNALS: take_signal(s); break;
  default: receive((connection *)(void *)it); break;
  }
}

static void bury(server *s)
{
  for (connection *c = s->closed, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  s->closed = NULL;
}

int server_run(server *s)
{
  struct epoll_event events[EVENTS];
  s->driver_item = (item){DRIVER, smtpf_driver_fd(s->driver)};
  if (watch(s, &s->driver_item) || watch(s, &s->signals))
    return complain("epoll");
  while (!s->done) {
    const int n = epoll_wait(s->epoll, events, EVENTS, -1);
    if (n < 0 && errno != EINTR)
      return complain("epoll");
    for (int i = 0; i < n; i++)
      dispatch(s, events[i].data.ptr);
    bury(s);
    if (metrics_wanted(s->metrics)) {
      metrics_gauge(s->metrics, METRICS_CONNECTIONS_OPEN, NULL, s->open);
      metrics_answer(s->metrics);
    }
  }
  return 0;
}

void server_close(server *s)
{
  while (s->connections)
    connection_close(s->connections);
  instance_free_all(s);
  bury(s);
  for (size_t i = 0; i < s->n_listeners; i++) {
    close(s->listeners[i].fd);
    clear_path(s->paths[i]);
  }
  if (s->signals.fd > 0)
    close(s->signals.fd);
  if (s->epoll > 0)
    close(s->epoll);
}
