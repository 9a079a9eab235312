/* SPDX-License-Identifier: MIT
 *
 * As much of HTTP as a scrape needs: one request a connection, GET or HEAD of /metrics, each step within a bound.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../address.h"
#include "../log.h"
#include "parts.h"

enum { REQUEST_MAX = 4096, REQUEST_MS = 3000, PAUSE_MS = 250, BACKLOG = 16 };

/* ---- one connection ------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 when it is too late, or all shall end. */
static int wait_for(const metrics *m, int fd, short events, int64_t until)
{
  struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = m->stop, .events = POLLIN}};
  const int64_t left = until - now_ms();
  return left > 0 && poll(p, 2, (int)left) > 0 && !p[1].revents;
}

/* The head of a request, as far as its empty line. Its length, or 0. */
static size_t hear(const metrics *m, int fd, char *room, int64_t until)
{
  size_t n = 0;
  while (n < REQUEST_MAX && wait_for(m, fd, POLLIN, until)) {
    const ssize_t got = recv(fd, room + n, REQUEST_MAX - n, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (got <= 0)
      return 0;
    n += (size_t)got;
    if (memmem(room, n, "\r\n\r\n", 4) || memmem(room, n, "\n\n", 2))
      return n;
  }
  return 0;
}

static void say(const metrics *m, int fd, const text *t, int64_t until)
{
  for (size_t at = 0; at < t->n && wait_for(m, fd, POLLOUT, until);) {
    const ssize_t n = send(fd, t->p + at, t->n - at, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return;
    at += n > 0 ? (size_t)n : 0;
  }
}

static int begins(const char *p, size_t n, const char *with)
{
  const size_t k = strlen(with);
  return n >= k && !memcmp(p, with, k);
}

/* Whether the request is for /metrics; what to answer. */
static const char *status_of(const char *request, size_t n, int *is_head)
{
  *is_head = begins(request, n, "HEAD ");
  if (!*is_head && !begins(request, n, "GET "))
    return "405 Method Not Allowed";
  request += *is_head ? 5 : 4;
  n -= *is_head ? 5 : 4;
  return begins(request, n, "/metrics ") || begins(request, n, "/metrics?") ? "200 OK" : "404 Not Found";
}

static void answer(metrics *m, const char *request, size_t n, text *out)
{
  int is_head;
  text body = {0};
  series_table all = {0};
  const char *status = status_of(request, n, &is_head);
  const int good = status[0] == '2';
  if (good && metrics_gather(m, &all))
    metrics_expose(m, &all, &body);
  if (good && (!body.n || body.failed)) {
    status = "503 Service Unavailable";
    text_clear(&body);
  }
  series_free(&all);
  text_cstr(out, "HTTP/1.1 ");
  text_cstr(out, status);
  text_cstr(out, status[0] == '2'   ? "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"
                 : status[2] == '5' ? "\r\nAllow: GET, HEAD"
                                    : "");
  text_cstr(out, "\r\nConnection: close\r\nContent-Length: ");
  text_int(out, (int64_t)body.n);
  text_cstr(out, "\r\n\r\n");
  if (!is_head)
    text_add(out, text_str(&body));
  text_free(&body);
}

static void serve(metrics *m, int fd)
{
  char request[REQUEST_MAX];
  text out = {0};
  const int64_t until = now_ms() + REQUEST_MS;
  const size_t n = hear(m, fd, request, until);
  if (n)
    answer(m, request, n, &out);
  if (out.n && !out.failed)
    say(m, fd, &out, until + REQUEST_MS);
  text_free(&out);
  shutdown(fd, SHUT_WR);
  close(fd);
}

static void *run(void *user)
{
  metrics *m = user;
  struct pollfd p[2] = {{.fd = m->fd, .events = POLLIN}, {.fd = m->stop, .events = POLLIN}};
  while (!p[1].revents) {
    if (poll(p, 2, -1) < 0 && errno != EINTR)
      break;
    const int fd = p[0].revents & POLLIN ? accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd >= 0)
      serve(m, fd);
    else if (p[0].revents && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
      poll(&p[1], 1, PAUSE_MS); /* the connection would only be shown again */
  }
  return NULL;
}

/* ---- the socket ------------------------------------------------------------------------------------------ */

static int complain(const char *where, const char *why)
{
  log_line("error", "cannot-listen",
           (log_field[]){{"metrics", smtpf_str_of(where)}, {"why", smtpf_str_of(why)}, {NULL, {NULL, 0}}});
  return -1;
}

/* A socket that an earlier process left is in the way; anything else is not ours to remove. */
static void clear_path(const char *path)
{
  struct stat st;
  if (*path && !lstat(path, &st) && S_ISSOCK(st.st_mode))
    unlink(path);
}

static int listen_at(metrics *m, const address *a)
{
  const int one = 1;
  if (a->sa.ss_family == AF_UNIX) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)&a->sa;
    memcpy(m->path, un->sun_path, sizeof m->path);
    clear_path(m->path);
  }
  m->fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (m->fd >= 0 && !m->path[0])
    setsockopt(m->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const mode_t old = umask(0117); /* for a group, such as the scraper's */
  const int r = m->fd < 0 || bind(m->fd, (const struct sockaddr *)&a->sa, a->len) || listen(m->fd, BACKLOG);
  umask(old);
  return r;
}

/* The port may have been chosen by the system. */
static void say_where(const metrics *m)
{
  struct sockaddr_storage sa;
  socklen_t len = sizeof sa;
  char at[ADDRESS_TEXT];
  if (getsockname(m->fd, (struct sockaddr *)&sa, &len))
    return;
  address_format((const struct sockaddr *)&sa, at, sizeof at);
  log_text("info", "metrics", "listen", at);
}

int metrics_open(metrics **out, const char *where, const char *program)
{
  address a;
  if (!address_parse(where, &a) || a.lmtp)
    return complain(where, "expected an address such as 127.0.0.1:9125, [::1]:9125 or unix:/run/smtpf-milter/metrics");
  metrics *m = calloc(1, sizeof *m);
  if (!m)
    return complain(where, strerror(ENOMEM));
  m->program = program;
  m->started_s = time(NULL);
  m->fd = -1;
  m->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&m->lock, NULL);
  pthread_cond_init(&m->answered, NULL);
  if (m->stop < 0 || listen_at(m, &a)) {
    complain(where, strerror(errno));
    metrics_close(m);
    return -1;
  }
  say_where(m);
  *out = m;
  return 0;
}

int metrics_start(metrics *m)
{
  if (!m)
    return 0;
  errno = pthread_create(&m->thread, NULL, run, m);
  m->running = !errno;
  return m->running ? 0 : complain("its thread", strerror(errno));
}

void metrics_close(metrics *m)
{
  const uint64_t one = 1;
  if (!m)
    return;
  if (m->running && write(m->stop, &one, sizeof one) == (ssize_t)sizeof one)
    pthread_join(m->thread, NULL);
  for (size_t i = 0; i < m->n; i++) {
    series_free(&m->part[i]->table);
    pthread_mutex_destroy(&m->part[i]->lock);
    free(m->part[i]);
  }
  if (m->fd >= 0)
    close(m->fd);
  clear_path(m->path);
  if (m->stop >= 0)
    close(m->stop);
  pthread_mutex_destroy(&m->lock);
  pthread_cond_destroy(&m->answered);
  free(m);
}
