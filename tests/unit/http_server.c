/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "http_server.h"

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 64 };

typedef struct peer {
  int fd;
  size_t n; /* bytes of the fields */
  char fields[HTTP_SEEN];
  int in_body, chunked, requests;
  long left; /* of the body or the chunk; -1: a chunk's size is to come */
  size_t body;
  unsigned sum;
  int trailer; /* the last chunk has come */
  char line[32];
  size_t line_n;
} peer;

unsigned http_sum(const char *bytes, size_t n)
{
  unsigned sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = sum * 31 + (unsigned char)bytes[i];
  return sum;
}

/* ---- the child -------------------------------------------------------------------------------------------------- */

static int say(int fd, const char *p, size_t n)
{
  while (n) {
    const ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
    if (r <= 0)
      return 0;
    p += r;
    n -= (size_t)r;
  }
  return 1;
}

/* 1 when the connection stays. */
static int answer(const http_server *s, peer *p)
{
  static char all[256 * 1024];
  char head[300];
  const size_t n = strlen(s->text);
  if (s->manner == HTTP_SILENT)
    return 1;
  if (s->manner == HTTP_SLOW)
    nanosleep(&(struct timespec){0, 300000000}, NULL);
  if (s->manner == HTTP_RAW) {
    say(p->fd, s->text, n);
    return 0;
  }
  if (s->manner == HTTP_CUTS)
    snprintf(head, sizeof head, "HTTP/1.1 %d said\r\n\r\n", s->status);
  else
    snprintf(head, sizeof head, "HTTP/1.1 %d said\r\n%sContent-Length: %zu\r\n\r\n", s->status,
             s->manner == HTTP_CLOSES ? "Connection: close\r\n" : "", n);
  const size_t head_n = strlen(head), text_n = s->manner == HTTP_DIES_SAYING || s->manner == HTTP_CUTS ? n / 2 : n;
  memcpy(all, head, head_n);
  memcpy(all + head_n, s->text, text_n < sizeof all - head_n ? text_n : sizeof all - head_n);
  say(p->fd, all, head_n + text_n);
  return s->manner == HTTP_ANSWERS || s->manner == HTTP_HANGS_UP || s->manner == HTTP_SLOW;
}

static int complete(const http_server *s, peer *p)
{
  s->seen->requests++;
  s->seen->body = p->body;
  s->seen->sum = p->sum;
  s->seen->chunked = p->chunked;
  const int fd = p->fd, requests = p->requests + 1;
  const int stays = answer(s, p);
  memset(p, 0, sizeof *p);
  p->fd = fd;
  p->requests = requests;
  return stays;
}

static int body_byte(const http_server *s, peer *p, char c)
{
  if (p->left > 0) {
    p->sum = p->sum * 31 + (unsigned char)c;
    p->body++;
    if (--p->left || p->chunked)
      return 1;
    return complete(s, p);
  }
  if (c != '\n') { /* a chunk's size, the line end behind a chunk, the trailer */
    if (c != '\r' && p->line_n + 1 < sizeof p->line)
      p->line[p->line_n++] = c;
    return 1;
  }
  p->line[p->line_n] = '\0';
  const size_t n = p->line_n;
  p->line_n = 0;
  if (!n)
    return p->trailer ? complete(s, p) : 1;
  p->left = strtol(p->line, NULL, 16);
  p->trailer = p->left == 0;
  return 1;
}

static int begin_body(const http_server *s, peer *p)
{
  const char *length = strcasestr(p->fields, "\r\nContent-Length:");
  p->fields[p->n] = '\0';
  memcpy(s->seen->fields, p->fields, p->n + 1);
  s->seen->n = p->n;
  p->in_body = 1;
  p->chunked = strcasestr(p->fields, "\r\nTransfer-Encoding: chunked") != NULL;
  p->left = p->chunked ? 0 : length ? atol(length + 17) : 0;
  if (s->manner == HTTP_EARLY) {
    answer(s, p);
    return 1;
  }
  return p->left == 0 && !p->chunked ? complete(s, p) : 1;
}

static int take(const http_server *s, peer *p, const char *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    if (!p->in_body) {
      if (p->n + 1 >= sizeof p->fields)
        return 0;
      p->fields[p->n++] = bytes[i];
      if (p->n >= 4 && memcmp(p->fields + p->n - 4, "\r\n\r\n", 4) == 0 && !begin_body(s, p))
        return 0;
    } else if (!body_byte(s, p, bytes[i])) {
      return 0;
    }
    if (s->manner == HTTP_DIES_READING && p->in_body && p->body > 20)
      return 0;
  }
  return !(s->manner == HTTP_HANGS_UP && p->requests && p->n);
}

static void drop(peer *p)
{
  close(p->fd);
  p->fd = -1;
}

static void serve(const http_server *s, int listener)
{
  static peer peers[CONNECTIONS];
  static char bytes[65536];
  for (int i = 0; i < CONNECTIONS; i++)
    peers[i].fd = -1;
  for (;;) {
    struct pollfd set[CONNECTIONS + 1];
    set[CONNECTIONS] = (struct pollfd){listener, POLLIN, 0};
    for (int i = 0; i < CONNECTIONS; i++)
      set[i] = (struct pollfd){s->manner == HTTP_DEAF && peers[i].in_body ? -1 : peers[i].fd, POLLIN, 0};
    if (poll(set, CONNECTIONS + 1, 60000) <= 0 || getppid() == 1)
      _exit(0);
    for (int i = 0; i < CONNECTIONS; i++) {
      if (set[i].fd < 0 || !set[i].revents)
        continue;
      const ssize_t n = recv(peers[i].fd, bytes, sizeof bytes, 0);
      if (n <= 0 || !take(s, &peers[i], bytes, (size_t)n))
        drop(&peers[i]);
    }
    if (!set[CONNECTIONS].revents)
      continue;
    for (int i = 0; i < CONNECTIONS; i++)
      if (peers[i].fd < 0) {
        memset(&peers[i], 0, sizeof peers[i]);
        peers[i].fd = accept(listener, NULL, NULL);
        s->seen->connections++;
        break;
      }
  }
}

/* ---- the parent ------------------------------------------------------------------------------------------------- */

static int listen_unix(const http_server *s)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(a.sun_path, sizeof a.sun_path, "%s", s->path);
  unlink(s->path);
  ck_assert_int_eq(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

static int listen_ip(http_server *s)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)s->port)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  socklen_t n = sizeof a;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  ck_assert_int_eq(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
  s->port = ntohs(a.sin_port);
  return fd;
}

static void run(http_server *s)
{
  const int fd = s->path[0] ? listen_unix(s) : listen_ip(s);
  ck_assert_int_eq(listen(fd, 64), 0);
  s->pid = fork();
  ck_assert_int_ge(s->pid, 0);
  if (s->pid == 0) {
    signal(SIGTERM, SIG_DFL);
    serve(s, fd);
  }
  close(fd);
  if (s->path[0])
    snprintf(s->address, sizeof s->address, "unix:%s", s->path);
  else
    snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
}

void http_start(http_server *s, int unix_socket, int manner, int status, const char *text)
{
  static unsigned count;
  memset(s, 0, sizeof *s);
  s->seen = mmap(NULL, sizeof *s->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ck_assert_ptr_ne(s->seen, MAP_FAILED);
  if (unix_socket)
    snprintf(s->path, sizeof s->path, "/tmp/smtpf-http-%ld-%u", (long)getpid(), count++);
  s->manner = manner;
  s->status = status;
  s->text = text;
  run(s);
}

void http_end(http_server *s)
{
  if (s->pid <= 0)
    return;
  kill(s->pid, SIGKILL);
  waitpid(s->pid, NULL, 0);
  s->pid = 0;
}

void http_restart(http_server *s, int manner, int status, const char *text)
{
  http_end(s);
  s->manner = manner;
  s->status = status;
  s->text = text;
  run(s);
}

void http_free(http_server *s)
{
  http_end(s);
  if (s->path[0])
    unlink(s->path);
  if (s->seen)
    munmap(s->seen, sizeof *s->seen);
  memset(s, 0, sizeof *s);
}

const char *http_field(const http_server *s, const char *name, int nth)
{
  static char value[2048];
  const size_t n = strlen(name);
  for (const char *p = strstr(s->seen->fields, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
    if (strncasecmp(p + 2, name, n) != 0 || p[2 + n] != ':' || nth-- > 0)
      continue;
    const char *from = p + 2 + n + 1;
    from += *from == ' ';
    snprintf(value, sizeof value, "%.*s", (int)strcspn(from, "\r"), from);
    return value;
  }
  return NULL;
}
