/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/log.h"
#include "client.h"

#define BACKLOG 4096
#define ACCEPT_MAX 64 /* in one turn, so that other threads and other clients get theirs */

static int fail(const address *a, const char *what)
{
  char where[ADDRESS_TEXT];
  const char *why = strerror(errno);
  address_format((const struct sockaddr *)&a->sa, where, sizeof where);
  log_line("error", "cannot-listen",
           (log_field[]){{"address", {where, strlen(where)}},
                         {"call", {what, strlen(what)}},
                         {"why", {why, strlen(why)}},
                         {NULL, {NULL, 0}}});
  return -1;
}

/* A socket file that an earlier process left is in the way; anything else is not ours to remove. */
static void clear_path(const address *a)
{
  const char *path = ((const struct sockaddr_un *)(const void *)&a->sa)->sun_path;
  struct stat st;
  if (a->sa.ss_family == AF_UNIX && !lstat(path, &st) && S_ISSOCK(st.st_mode))
    unlink(path);
}

static int open_one(const address *a)
{
  int one = 1;
  int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail(a, "socket");
  clear_path(a);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (a->sa.ss_family == AF_INET6)
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (bind(fd, (const struct sockaddr *)&a->sa, a->len) || listen(fd, BACKLOG)) {
    int r = fail(a, "bind");
    close(fd);
    return r;
  }
  return fd;
}

int listener_open(shared *sh, const settings *s)
{
  for (size_t i = 0; i < s->listens; i++) {
    int fd = open_one(&s->listen[i]);
    if (fd < 0)
      return -1;
    sh->listener[sh->listeners++] = (listening){{ITEM_LISTENER, fd}, s->listen[i]};
  }
  return 0;
}

void listener_close(shared *sh)
{
  for (size_t i = 0; i < sh->listeners; i++) {
    close(sh->listener[i].item.fd);
    clear_path(&sh->listener[i].at);
  }
  sh->listeners = 0;
}

/* Too many: one line, and good-bye. What cannot be sent at once is not sent. */
static void turn_away(loop *l, int fd)
{
  char line[320];
  int n = snprintf(line, sizeof line, "421 4.7.0 %s too many connections, try again later\r\n", l->settings->hostname);
  if (n > 0 && send(fd, line, (size_t)n, MSG_NOSIGNAL) == n)
    shutdown(fd, SHUT_WR);
  close(fd);
}

void listener_accept(loop *l, const listening *from)
{
  for (int i = 0; i < ACCEPT_MAX && !l->drain_until; i++) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd = accept4(from->item.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        log_text("error", "cannot-accept", "why", strerror(errno));
        loop_listen(l, 0); /* until the next sweep: the connection would only be shown again */
      }
      return;
    }
    peer_key key = peers_key((const struct sockaddr *)&sa);
    const int64_t each = sa.ss_family == AF_UNIX ? 0 : l->settings->connections_per_client;
    if (peers_enter(&l->shared->peers, key, l->settings->connections, each))
      client_new(l, fd, (const struct sockaddr *)&sa, key, from->at.lmtp);
    else
      turn_away(l, fd);
  }
}
