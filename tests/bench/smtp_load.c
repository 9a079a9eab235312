/* SPDX-License-Identifier: MIT
 *
 * smtp_load: sends mail as fast as it is taken, each message over a connection of its own, a command at a time, and
 * says how long messages took, from the connection to the last reply. Message i is from client, sender and recipient i
 * modulo KEYS; the clients are addresses of the loopback network. Prints one JSON object.
 *
 *     smtp_load PORT SESSIONS COUNT SIZE KEYS
 */
#define _GNU_SOURCE
#include <errno.h>

#include "net.h"

enum { EVENTS = 64, ROOM = 2048, LINE = 256 };

enum phase { BANNER, HELLO, MAIL, RCPT, DATA, MESSAGE, QUIT };

typedef struct client {
  int fd;
  enum phase phase;
  unsigned long key;
  size_t n;
  double begun;
  char in[ROOM];
} client;

static uint16_t port;
static unsigned long total, keys, sent, done, later, refused;
static char *text;
static size_t size;
static double *took;
static int epfd;

static void begin(client *c)
{
  c->key = sent++ % keys;
  c->phase = BANNER;
  c->n = 0;
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)c->key % 1000 * 67)};
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
  c->begun = net_seconds();
  if (bind(c->fd, (const struct sockaddr *)&from, sizeof from) ||
      connect(c->fd, (const struct sockaddr *)&to, sizeof to))
    net_fail("connect");
  net_nodelay(c->fd);
  net_watch(epfd, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void end(client *c)
{
  close(c->fd);
  c->fd = -1;
  took[done++] = net_seconds() - c->begun;
  if (sent < total)
    begin(c);
}

static void say(client *c, const char *bytes, size_t n)
{
  for (size_t at = 0; at < n;) {
    const ssize_t w = send(c->fd, bytes + at, n - at, MSG_NOSIGNAL);
    if (w <= 0)
      net_fail("send");
    at += (size_t)w;
  }
}

/* What follows the phase that has just been answered with yes. */
static void go_on(client *c)
{
  char line[LINE];
  int n = 0;
  switch (++c->phase) {
  case HELLO: n = snprintf(line, sizeof line, "EHLO mx%lu.sender.example\r\n", c->key % 100); break;
  case MAIL: n = snprintf(line, sizeof line, "MAIL FROM:<user%lu@sender%lu.example>\r\n", c->key, c->key % 50); break;
  case RCPT: n = snprintf(line, sizeof line, "RCPT TO:<user%lu@example.net>\r\n", c->key % 100); break;
  case DATA: n = snprintf(line, sizeof line, "DATA\r\n"); break;
  case MESSAGE: say(c, text, size); return;
  default: n = snprintf(line, sizeof line, "QUIT\r\n");
  }
  say(c, line, (size_t)n);
}

static void answered(client *c, int code)
{
  if (c->phase == QUIT) {
    end(c);
    return;
  }
  if (code >= 400) {
    later += code < 500;
    refused += code >= 500;
    c->phase = MESSAGE;
  }
  go_on(c);
}

/* One reply at a time: nothing is pipelined. */
static void heard(client *c)
{
  const ssize_t got = recv(c->fd, c->in + c->n, sizeof c->in - 1 - c->n, 0);
  if (got <= 0)
    net_fail("closed");
  c->n += (size_t)got;
  c->in[c->n] = '\0';
  if (c->in[c->n - 1] != '\n')
    return;
  const char *before = memrchr(c->in, '\n', c->n - 1), *last = before ? before + 1 : c->in;
  if (strlen(last) < 4 || last[3] == '-')
    return;
  c->n = 0;
  answered(c, atoi(last));
}

static void make_text(void)
{
  const int head = 200;
  text = malloc(size + ROOM);
  if (!text)
    net_fail("memory");
  size_t n =
      (size_t)snprintf(text, (size_t)head + LINE,
                       "From: User <user@sender.example>\r\nTo: <user@example.net>\r\nSubject: figures of the week\r\n"
                       "Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\n");
  for (size_t i = 0; n < size; i++)
    text[n++] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : i % 7 == 6 ? ' ' : (char)('a' + i * i % 26);
  memcpy(text + n, "\r\n.\r\n", 5);
  size = n + 5;
}

int main(int argc, char **argv)
{
  if (argc != 6)
    return 2;
  const unsigned long n = strtoul(argv[2], NULL, 10);
  client *clients = calloc(n, sizeof *clients);
  port = (uint16_t)strtoul(argv[1], NULL, 10);
  total = strtoul(argv[3], NULL, 10);
  size = strtoul(argv[4], NULL, 10);
  keys = strtoul(argv[5], NULL, 10);
  took = calloc(total, sizeof *took);
  epfd = epoll_create1(EPOLL_CLOEXEC);
  make_text();
  const double begun = net_seconds();
  for (unsigned long i = 0; i < n && sent < total; i++)
    begin(&clients[i]);
  while (done < total) {
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(epfd, events, EVENTS, 60000);
    if (ready <= 0)
      net_fail("no answer");
    for (int i = 0; i < ready; i++)
      heard(events[i].data.ptr);
  }
  const double all = net_seconds() - begun;
  qsort(took, total, sizeof *took, net_shorter);
  printf("{\"per_second\":%.1f,\"median_us\":%.0f,\"p99_us\":%.0f,\"later\":%lu,\"refused\":%lu}\n",
         (double)total / all, took[total / 2] * 1e6, took[total * 99 / 100] * 1e6, later, refused);
  return 0;
}
