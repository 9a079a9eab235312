/* SPDX-License-Identifier: MIT
 *
 * Learns what the next hop offers before the first client is greeted, so that nothing is announced that it lacks.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/log.h"
#include "hop.h"

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(int fd, short events, int64_t until)
{
  struct pollfd p = {.fd = fd, .events = events};
  int64_t left = until - now_ms();
  return left > 0 && poll(&p, 1, (int)left) > 0;
}

static int say(int fd, const char *verb, smtpf_str arg)
{
  char line[600];
  int n = smtpf_smtpc_command(verb, arg, line, sizeof line);
  return n > 0 && send(fd, line, (size_t)n, MSG_NOSIGNAL) == n;
}

/* One whole reply. What came with it is lost: the other side speaks one reply at a time here. */
static int hear(int fd, smtpf_smtpc *codec, int64_t until, smtpf_smtpc_reply *reply, char *room, size_t cap)
{
  while (wait_for(fd, POLLIN, until)) {
    ssize_t n = recv(fd, room, cap, 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (n <= 0)
      return 0;
    const char *p = room;
    size_t left = (size_t)n;
    int r = smtpf_smtpc_next(codec, &p, &left, reply);
    if (r != SMTPF_PENDING)
      return r == SMTPF_OK && reply->code / 100 == 2;
  }
  return 0;
}

/* NULL, or why there is nothing to be learnt. */
static const char *converse(int fd, const settings *s, const server *at, smtpf_smtpc *codec, int64_t until,
                            smtpf_smtpc_reply *r)
{
  char room[4096];
  int error = 0;
  socklen_t len = sizeof error;
  if (!wait_for(fd, POLLOUT, until))
    return "cannot be connected in time";
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) || error)
    return strerror(error ? error : errno);
  if (!hear(fd, codec, until, r, room, sizeof room))
    return "does not greet with 2xx";
  if (!say(fd, at->at.lmtp ? "LHLO" : "EHLO", s->smtpd.hostname) || !hear(fd, codec, until, r, room, sizeof room))
    return at->at.lmtp ? "does not answer LHLO with 2xx" : "does not answer EHLO with 2xx";
  return NULL;
}

static const char *probe(const settings *s, route *r, const server *at, int64_t until)
{
  smtpf_smtpc *codec = NULL;
  smtpf_smtpc_reply reply;
  uint64_t size = 0;
  int fd = socket(at->at.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const char *why;
  if (fd < 0 || (connect(fd, (const struct sockaddr *)&at->at.sa, at->at.len) && errno != EINPROGRESS))
    why = strerror(errno);
  else if (smtpf_smtpc_new(&codec, 0, NULL) != SMTPF_OK)
    why = strerror(ENOMEM);
  else
    why = converse(fd, s, at, codec, until, &reply);
  if (!why) {
    const unsigned extensions = smtpf_smtpc_extensions(reply.text, &size);
    route_learn(r, extensions, size);
    (void)say(fd, "QUIT", (smtpf_str){0});
  }
  if (fd >= 0)
    close(fd);
  smtpf_smtpc_free(codec);
  return why;
}

/* All servers have an equal share of the time. */
void hop_probe(settings *s, int ms)
{
  const int64_t end = now_ms() + ms;
  for (size_t i = 0; i < s->routes.n; i++) {
    route *r = &s->routes.route[i];
    const char *why = "";
    for (size_t k = 0; k < r->n && why; k++) {
      const int64_t now = now_ms(), left = (int64_t)((s->routes.n - i - 1) + (r->n - k));
      why = probe(s, r, &r->server[k], now + (end - now) / left);
      if (why)
        log_line(
            "warning", "next-hop-unknown",
            (log_field[]){{"address", smtpf_str_of(r->server[k].name)}, {"why", smtpf_str_of(why)}, {NULL, {NULL, 0}}});
    }
  }
}
