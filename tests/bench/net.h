/* SPDX-License-Identifier: MIT
 *
 * net: the few socket calls and times that the bench programs share. Loopback only; any failure ends the program, with
 * its name.
 */
#ifndef SMTPF_BENCH_NET_H
#define SMTPF_BENCH_NET_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void net_fail(const char *what)
{
  perror(what);
  exit(2);
}

static inline struct sockaddr_in net_loopback(const char *port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
  return a;
}

static inline int net_socket(void)
{
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    net_fail("socket");
  return fd;
}

static inline void net_nodelay(int fd)
{
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static inline int net_listen(const char *port)
{
  int fd = net_socket();
  struct sockaddr_in a = net_loopback(port);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 1024))
    net_fail(port);
  return fd;
}

static inline void net_watch(int epfd, int op, int fd, uint32_t events, void *owner)
{
  struct epoll_event ev = {.events = events, .data.ptr = owner};
  if (epoll_ctl(epfd, op, fd, &ev))
    net_fail("epoll_ctl");
}

static inline double net_seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* For qsort: times, the shortest first. */
static inline int net_shorter(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

#endif
