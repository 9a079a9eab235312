/* SPDX-License-Identifier: MIT
 *
 * sink PORT: an SMTP server that accepts everything and does nothing with it: the floor under which no server can be,
 * and the next hop behind the proxies that are measured. One write for each read, the message is searched for its end
 * and thrown away. On SIGTERM it prints how many messages it took and ends.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "net.h"

enum { LINE_MAX_ = 2048, READ_MAX = 1 << 18, REPLIES_MAX = 1 << 16 };

struct conn {
  int fd;
  int in_data;
  char tail[4]; /* in data: the last four bytes seen; they can hold the beginning of the end */
  size_t n;     /* of `line` */
  char line[LINE_MAX_];
};

static unsigned long messages, bytes;
static volatile sig_atomic_t stop;

static void on_term(int signo)
{
  (void)signo;
  stop = 1;
}

struct replies {
  size_t n;
  char text[REPLIES_MAX];
};

static void reply(struct replies *r, const char *text)
{
  size_t n = strlen(text);
  if (r->n + n <= sizeof r->text) {
    memcpy(r->text + r->n, text, n);
    r->n += n;
  }
}

/* 0 when the connection is to be closed. */
static int command(struct conn *c, const char *line, struct replies *r)
{
  switch (line[0] & 0x5f) {
  case 'E':
    reply(r, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600\r\n250 SMTPUTF8\r\n");
    break;
  case 'D':
    reply(r, "354 go on\r\n");
    c->in_data = 1;
    memcpy(c->tail, "xx\r\n", 4);
    break;
  case 'Q': reply(r, "221 2.0.0 bye\r\n"); return 0;
  case 'A':
  case 'X': reply(r, "502 5.5.1 no\r\n"); break;
  default: reply(r, "250 2.0.0 ok\r\n"); break;
  }
  return 1;
}

/* How many bytes of `p` belong to the message; its end included when it is there. */
static size_t data(struct conn *c, const char *p, size_t n, int *ended)
{
  char seam[8];
  size_t head = n < 4 ? n : 4;
  memcpy(seam, c->tail, 4);
  memcpy(seam + 4, p, head);
  const char *end = memmem(seam, 4 + head, "\r\n.\r\n", 5);
  size_t used = n;
  *ended = 0;
  if (end) {
    used = (size_t)(end - seam) + 5 - 4;
    *ended = 1;
  } else if ((end = memmem(p, n, "\r\n.\r\n", 5)) != NULL) {
    used = (size_t)(end - p) + 5;
    *ended = 1;
  } else if (n >= 4) {
    memcpy(c->tail, p + n - 4, 4);
  } else {
    memmove(c->tail, c->tail + n, 4 - n);
    memcpy(c->tail + 4 - n, p, n);
  }
  return used;
}

static int feed(struct conn *c, const char *p, size_t n, struct replies *r)
{
  while (n > 0) {
    if (c->in_data) {
      int ended;
      size_t used = data(c, p, n, &ended);
      p += used;
      n -= used;
      bytes += used;
      if (ended) {
        c->in_data = 0;
        messages++;
        reply(r, "250 2.0.0 taken\r\n");
      }
      continue;
    }
    const char *lf = memchr(p, '\n', n);
    size_t used = lf ? (size_t)(lf - p) + 1 : n;
    if (c->n + used > sizeof c->line)
      return 0;
    memcpy(c->line + c->n, p, used);
    c->n += used;
    p += used;
    n -= used;
    if (lf) {
      c->n = 0;
      if (!command(c, c->line, r))
        return 0;
    }
  }
  return 1;
}

static void serve(int epfd, struct conn *c)
{
  static char room[READ_MAX];
  static struct replies r;
  ssize_t n = read(c->fd, room, sizeof room);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  r.n = 0;
  int more = n > 0 && feed(c, room, (size_t)n, &r);
  if (r.n && write(c->fd, r.text, r.n) != (ssize_t)r.n)
    more = 0;
  if (!more) {
    epoll_ctl(epfd, EPOLL_CTL_DEL, c->fd, NULL);
    close(c->fd);
    free(c);
  }
}

static void welcome(int epfd, int listener)
{
  static const char banner[] = "220 sink.example ESMTP\r\n";
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
      net_fail("calloc");
    c->fd = fd;
    net_nodelay(fd);
    if (write(fd, banner, sizeof banner - 1) < 0) {
      close(fd);
      free(c);
      continue;
    }
    net_watch(epfd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
  }
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: sink PORT\n");
    return 2;
  }
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
        serve(epfd, ev[i].data.ptr);
      else
        welcome(epfd, listener);
    }
  }
  printf("messages %lu bytes %lu\n", messages, bytes);
  return 0;
}
