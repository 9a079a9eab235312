/* SPDX-License-Identifier: MIT
 *
 * policy_load: asks a policy server as Postfix does, one request at a time on each connection, as fast as it answers.
 * Request i of a run is triplet FIRST + i, or, with LAST, FIRST + i modulo LAST - FIRST. Prints one JSON object.
 *
 *     policy_load PORT|/PATH CONNECTIONS REQUESTS FIRST [LAST]
 */
#define _GNU_SOURCE
#include <sys/un.h>

#include "net.h"
#include "triplet.h"

enum { EVENTS = 64, ROOM = 1024 };

struct client {
  int fd;
  size_t n;
  char in[ROOM];
};

static unsigned long long first, span, sent, dunno;

static int dial(const char *where)
{
  struct sockaddr_un u = {.sun_family = AF_UNIX};
  struct sockaddr_in in = net_loopback(where);
  const int unix_path = where[0] == '/';
  const int fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (unix_path)
    memcpy(u.sun_path, where, strlen(where) + 1);
  if (connect(fd, unix_path ? (struct sockaddr *)&u : (struct sockaddr *)&in, unix_path ? sizeof u : sizeof in))
    net_fail(where);
  net_nodelay(fd);
  return fd;
}

static void ask(struct client *c)
{
  char room[2048];
  triplet t;
  triplet_of(first + (span ? sent % span : sent), &t);
  const unsigned long long h = t.hash;
  sent++;
  const int n = snprintf(
      room, sizeof room,
      "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=mx%u.sender%u.example\nqueue_"
      "id=\n"
      "sender=%s\nrecipient=%s\nrecipient_count=0\nclient_address=%s\n"
      "client_name=unknown\nreverse_client_name=unknown\ninstance=%llx.%llx.0\nsasl_method=\nsasl_username=\n"
      "sasl_sender=\nsize=12345\nccert_subject=\nccert_issuer=\nccert_fingerprint=\nencryption_protocol=\n"
      "encryption_cipher=\nencryption_keysize=0\netrn_domain=\nstress=\nccert_pubkey_fingerprint=\nclient_port=25%u\n"
      "policy_context=\nserver_address=127.0.0.1\nserver_port=25\n\n",
      (unsigned)(h % 4), (unsigned)(h % 5000), t.sender, t.recipient, t.client, h, sent, (unsigned)(h % 100));
  if (send(c->fd, room, (size_t)n, MSG_NOSIGNAL) != n)
    net_fail("send");
}

int main(int argc, char **argv)
{
  if (argc < 5)
    return 2;
  const unsigned long n = strtoul(argv[2], NULL, 10), total = strtoul(argv[3], NULL, 10);
  struct client *clients = calloc(n, sizeof *clients);
  const int epfd = epoll_create1(EPOLL_CLOEXEC);
  unsigned long done = 0;
  first = strtoull(argv[4], NULL, 10);
  span = argc > 5 ? strtoull(argv[5], NULL, 10) - first : 0;
  for (unsigned long i = 0; i < n; i++) {
    clients[i].fd = dial(argv[1]);
    net_watch(epfd, EPOLL_CTL_ADD, clients[i].fd, EPOLLIN, &clients[i]);
  }
  const double begun = net_seconds();
  for (unsigned long i = 0; i < n && sent < total; i++)
    ask(&clients[i]);
  while (done < total) {
    struct epoll_event events[EVENTS];
    const int ready = epoll_wait(epfd, events, EVENTS, 60000);
    if (ready <= 0)
      net_fail("no answer");
    for (int i = 0; i < ready; i++) {
      struct client *c = events[i].data.ptr;
      const ssize_t got = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
      if (got <= 0)
        net_fail("closed");
      c->n += (size_t)got;
      if (c->n < 2 || memcmp(c->in + c->n - 2, "\n\n", 2) != 0)
        continue;
      dunno += !memcmp(c->in, "action=DUNNO", 12) || !memcmp(c->in, "action=PREPEND", 14);
      c->n = 0;
      done++;
      if (sent < total)
        ask(c);
    }
  }
  printf("{\"requests_per_second\":%.0f,\"let_through\":%llu}\n", (double)total / (net_seconds() - begun), dunno);
  return 0;
}
