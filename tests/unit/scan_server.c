/* SPDX-License-Identifier: MIT
 *
 * The server that can go wrong in every way: enough of clamd's protocol to be one when it does not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scan_world.h"

enum { WORD, HEAD, CHUNK, WAIT_FD, ANSWERING };

static void close_conn(fake_server *s, fake_conn *c)
{
  if (c->fd < 0)
    return;
  close(c->fd);
  c->fd = -1;
  s->open--;
}

static void say(fake_conn *c, const char *bytes, size_t n)
{
  ck_assert(send(c->fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n || errno == EPIPE || errno == ECONNRESET);
}

static void answer(fake_conn *c, const char *words)
{
  char line[400];
  int n =
      c->session ? snprintf(line, sizeof line, "%u: %s", c->scans, words) : snprintf(line, sizeof line, "%s", words);
  say(c, line, (size_t)n + 1);
}

static void judge(fake_server *s, fake_conn *c)
{
  const char *subject = c->by_fd ? "fd[9]" : "stream";
  char line[80];
  c->answered++;
  s->streams++;
  if (s->way == FAKE_HALF_LINE) {
    say(c, "1: stream: O", 12);
    close_conn(s, c);
    return;
  }
  if (s->way == FAKE_GARBAGE) {
    say(c, s->words, strlen(s->words) + 1);
    return;
  }
  snprintf(line, sizeof line, c->evil ? "%s: Test.Evil FOUND" : "%s: OK", subject);
  answer(c, line);
  c->evil = 0;
  memset(c->tail, 0, sizeof c->tail);
  c->state = WORD;
  if (s->way == FAKE_ONE_EACH)
    close_conn(s, c);
}

static void look_for_evil(fake_conn *c, const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    memmove(c->tail, c->tail + 1, 3);
    c->tail[3] = p[i];
    c->evil |= memcmp(c->tail, "EVIL", 4) == 0;
  }
}

static void end_of_stream(fake_server *s, fake_conn *c)
{
  c->state = ANSWERING;
  c->done = 1;
  if (s->way == FAKE_DEAF || s->way == FAKE_DIES || (s->way == FAKE_LATE && !s->gate))
    return;
  c->done = 0;
  judge(s, c);
}

static void word(fake_conn *c)
{
  if (strcmp(c->word, "zIDSESSION") == 0) {
    c->session = 1;
  } else if (strcmp(c->word, "zINSTREAM") == 0 || strcmp(c->word, "zFILDES") == 0) {
    c->by_fd = c->word[1] == 'F';
    c->state = c->by_fd ? WAIT_FD : HEAD;
    c->scans++;
    c->stream = 0;
    c->head_n = 0;
    c->done = 0;
  } else {
    ck_abort_msg("a word that clamd does not know: %s", c->word);
  }
  c->word_n = 0;
}

/* Takes some of the bytes. */
static size_t take(fake_server *s, fake_conn *c, const char *p, size_t n)
{
  if (c->state == WORD) {
    ck_assert_uint_lt(c->word_n, sizeof c->word);
    c->word[c->word_n++] = *p;
    if (!*p)
      word(c);
    return 1;
  }
  if (c->state == HEAD) {
    c->head[c->head_n++] = (unsigned char)*p;
    if (c->head_n < 4)
      return 1;
    c->chunk = (uint32_t)c->head[0] << 24 | (uint32_t)c->head[1] << 16 | (uint32_t)c->head[2] << 8 | c->head[3];
    c->head_n = 0;
    c->state = CHUNK;
    if (c->chunk == 0)
      end_of_stream(s, c);
    return 1;
  }
  ck_assert_int_eq(c->state, CHUNK); /* nothing is said while an answer is due */
  const size_t k = n < c->chunk ? n : c->chunk;
  look_for_evil(c, p, k);
  c->chunk -= (uint32_t)k;
  c->stream += k;
  if (!c->chunk)
    c->state = HEAD;
  return k;
}

static void file(fake_server *s, fake_conn *c, int fd)
{
  char bytes[4096];
  ssize_t n;
  ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
  while ((n = read(fd, bytes, sizeof bytes)) > 0)
    look_for_evil(c, bytes, (size_t)n);
  close(fd);
  c->passed++;
  end_of_stream(s, c);
}

static void on_bytes(fake_server *s, fake_conn *c)
{
  static char bytes[65536];
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec v = {bytes, sizeof bytes};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  const ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    close_conn(s, c);
    return;
  }
  c->read += (uint64_t)n;
  const struct cmsghdr *head = CMSG_FIRSTHDR(&m);
  for (size_t at = 0; at < (size_t)n && c->fd >= 0;)
    if (c->state == WAIT_FD) {
      int fd;
      ck_assert_ptr_nonnull(head);
      memcpy(&fd, CMSG_DATA(head), sizeof fd);
      at++;
      file(s, c, fd);
    } else {
      at += take(s, c, bytes + at, (size_t)n - at);
    }
  if (c->fd >= 0 && (s->way == FAKE_DIES || (s->way == FAKE_DIES_ONCE && s->accepted == 1)) && c->read >= s->after)
    close_conn(s, c);
  if (c->fd >= 0 && s->way == FAKE_LIMIT && c->stream > s->after) {
    answer(c, "INSTREAM size limit exceeded. ERROR");
    close_conn(s, c);
  }
}

static void accept_all(fake_server *s)
{
  int fd;
  while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    size_t i = 0;
    while (i < WORLD_CONNS && s->conns[i].fd >= 0)
      i++;
    ck_assert_uint_lt(i, WORLD_CONNS);
    s->conns[i] = (fake_conn){.fd = fd};
    s->accepted++;
    s->open++;
    s->most_open = s->open > s->most_open ? s->open : s->most_open;
    if (s->way == FAKE_EARLY)
      say(&s->conns[i], "1: stream: OK", 14);
  }
}

void fake_server_turn(fake_server *s)
{
  if (s->listener < 0)
    return;
  accept_all(s);
  for (size_t i = 0; i < WORLD_CONNS; i++) {
    fake_conn *c = &s->conns[i];
    if (c->fd < 0)
      continue;
    if (s->way == FAKE_LATE && s->gate && c->done) {
      c->done = 0;
      judge(s, c);
    }
    if (c->fd >= 0 && s->way != FAKE_SILENT && s->way != FAKE_EARLY)
      on_bytes(s, c);
  }
}

static int listen_tcp(fake_server *s)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (s->address[0])
    a.sin_port = htons((uint16_t)atoi(strchr(s->address, ':') + 1));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
  snprintf(s->address, sizeof s->address, "127.0.0.1:%u", ntohs(a.sin_port));
  return fd;
}

static int listen_unix(fake_server *s)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  snprintf(a.sun_path, sizeof a.sun_path, "%s", s->address + 5);
  unlink(a.sun_path);
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  return fd;
}

void scan_world_start_server(scan_world *w, fake_server *s)
{
  (void)w;
  s->listener = s->tcp ? listen_tcp(s) : listen_unix(s);
  ck_assert_int_eq(listen(s->listener, 64), 0);
}

void scan_world_stop_server(fake_server *s)
{
  if (s->listener >= 0)
    close(s->listener);
  s->listener = -1;
  for (size_t i = 0; i < WORLD_CONNS; i++)
    close_conn(s, &s->conns[i]);
}

fake_server *scan_world_server(scan_world *w, int tcp, int way)
{
  fake_server *s = &w->servers[w->n_servers++];
  memset(s, 0, sizeof *s);
  s->tcp = tcp;
  s->way = way;
  for (size_t i = 0; i < WORLD_CONNS; i++)
    s->conns[i].fd = -1;
  if (!tcp)
    snprintf(s->address, sizeof s->address, "unix:%s/%zu", w->folder, w->n_servers);
  scan_world_start_server(w, s);
  scan_world_append(w, "servers", s->address);
  return s;
}
