/* SPDX-License-Identifier: MIT
 *
 * The next hop: it keeps count of the messages by the number in their header. Now and then it is slow, refuses, or goes
 * away in the middle; a message counts as arrived when its 250 is sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold.h"

enum { LINE_MAX_ = 4096, READ_MAX = 1 << 16, SLOW_MS = 900 };

typedef struct hop {
  item item;
  int in_data, in_header;
  long number; /* of the message; -1 while it is not known */
  size_t n;
  char line[LINE_MAX_];
} hop;

static item listener;

static int one_in(uint32_t n)
{
  return hold_random(n) == 0;
}

static void hop_close(hop *h)
{
  wheel_remove(&h->item.due);
  close(h->item.fd);
  free(h);
}

/* 0 when it is gone. */
static int say(hop *h, const char *reply)
{
  const size_t n = strlen(reply);
  if (send(h->item.fd, reply, n, MSG_NOSIGNAL) == (ssize_t)n)
    return 1;
  hop_close(h);
  return 0;
}

static int take(hop *h)
{
  if (!say(h, "250 2.0.0 kept\r\n"))
    return 0;
  if (h->number >= 0 && h->number < (long)hold.tally.messages) {
    hold.tally.arrived += !(hold.fate[h->number] & ARRIVED);
    hold.fate[h->number] |= ARRIVED;
  }
  return 1;
}

static void slow_end(item *it)
{
  take((hop *)(void *)it);
}

static int end_of_message(hop *h)
{
  h->in_data = 0;
  if (one_in(100))
    return say(h, "451 4.3.0 not now\r\n");
  if (one_in(300)) {
    hop_close(h);
    return 0;
  }
  if (one_in(50)) {
    hold_due(&h->item, SLOW_MS);
    return 1;
  }
  return take(h);
}

static int command(hop *h)
{
  switch (h->line[0] & 0x5f) {
  case 'E': return say(h, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n");
  case 'D':
    h->in_data = h->in_header = 1;
    h->number = -1;
    return say(h, "354 go on\r\n");
  case 'Q': say(h, "221 2.0.0 bye\r\n") ? hop_close(h) : (void)0; return 0;
  case 'X': return say(h, "502 5.5.1 no\r\n");
  default: return say(h, h->line[0] == 'R' && one_in(200) ? "450 4.2.0 not now\r\n" : "250 2.0.0 yes\r\n");
  }
}

static int line(hop *h)
{
  static const char mark[] = "X-Hold: ";
  if (!h->in_data)
    return command(h);
  if (h->n == 3 && !memcmp(h->line, ".\r\n", 3))
    return end_of_message(h);
  if (h->in_header && h->n > sizeof mark && !memcmp(h->line, mark, sizeof mark - 1))
    h->number = strtol(h->line + sizeof mark - 1, NULL, 10);
  if (h->n == 2)
    h->in_header = 0;
  return 1;
}

static int feed(hop *h, const char *p, size_t n)
{
  while (n) {
    const char *lf = memchr(p, '\n', n);
    const size_t used = lf ? (size_t)(lf - p) + 1 : n;
    if (h->n + used < sizeof h->line) /* of a longer one the beginning */
      memcpy(h->line + h->n, p, used), h->n += used;
    p += used;
    n -= used;
    if (!lf)
      return 1;
    h->line[h->n] = '\0';
    if (!line(h))
      return 0;
    h->n = 0;
  }
  return 1;
}

static void hop_event(item *it, uint32_t events)
{
  static char room[READ_MAX];
  hop *h = (hop *)(void *)it;
  (void)events;
  const ssize_t n = recv(it->fd, room, sizeof room, 0);
  if (n > 0)
    feed(h, room, (size_t)n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    hop_close(h);
}

static void welcome(item *it, uint32_t events)
{
  int fd;
  (void)events;
  while ((fd = accept4(it->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
    hop *h = calloc(1, sizeof *h);
    if (!h || hold_stream(fd))
      exit(2);
    h->item.fd = fd;
    h->item.event = hop_event;
    h->item.timer = slow_end;
    hold_watch(&h->item, EPOLLIN, EPOLL_CTL_ADD);
    say(h, "220 sink.example ESMTP\r\n");
  }
}

void sink_open(uint16_t port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  listener.event = welcome;
  setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
  if (bind(listener.fd, (struct sockaddr *)&a, sizeof a) || listen(listener.fd, 4096)) {
    perror("sink");
    exit(2);
  }
  hold_watch(&listener, EPOLLIN, EPOLL_CTL_ADD);
}
