/* SPDX-License-Identifier: MIT
 *
 * One connection to a scanner's server: sockets that never block, writes that never raise SIGPIPE.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#include "base/str.h"
#include "conn.h"

static const char *words(int e)
{
  static const struct {
    int e;
    const char *words;
  } rows[] = {{ECONNREFUSED, "connection refused"},
              {ENOENT, "no such socket"},
              {EACCES, "permission denied"},
              {ETIMEDOUT, "no answer in time"},
              {EHOSTUNREACH, "unreachable"},
              {ENETUNREACH, "unreachable"},
              {EMFILE, "too many descriptors"},
              {ENFILE, "too many descriptors"},
              {ENOMEM, "no memory"},
              {ENOBUFS, "no memory"},
              {EADDRNOTAVAIL, "no local port"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].e == e)
      return rows[i].words;
  return "cannot connect";
}

/* Asking again is what tells for sure: a descriptor that was somebody else's a moment ago may be called writable. A
 * unix socket whose server's queue is full says EAGAIN, and nothing ever after. */
int smtpf_scan_conn_try(smtpf_scan_conn *c, const char **why)
{
  int r;
  while ((r = connect(c->fd, (const struct sockaddr *)&c->server->address, c->server->address_n)) != 0 &&
         errno == EINTR)
    ;
  const int e = r == 0 ? EISCONN : errno;
  c->again = e == EAGAIN && c->server->local;
  c->connecting = e == EINPROGRESS || e == EALREADY || c->again;
  if (c->connecting || e == EISCONN)
    return SMTPF_OK;
  *why = words(e);
  return SMTPF_EIO;
}

int smtpf_scan_conn_open(smtpf_scan_conn *c, const char **why)
{
  const int one = 1;
  c->fd = socket(c->server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) {
    *why = words(errno);
    return SMTPF_ENOMEM;
  }
  c->serial++;
  c->events = 0;
  c->used = 0;
  c->heard = c->last = c->shut = c->deaf = 0;
  c->n_out = c->n_in = 0;
  if (!c->server->local)
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int r = smtpf_scan_conn_try(c, why);
  if (r != SMTPF_OK)
    smtpf_scan_conn_close(c);
  return r;
}

void smtpf_scan_conn_close(smtpf_scan_conn *c)
{
  if (c->fd < 0)
    return;
  (void)smtpf_driver_watch(smtpf_scan_pool_driver(c->pool), c->fd, 0, NULL, NULL);
  (void)close(c->fd);
  c->fd = -1;
  c->events = 0;
  c->serial++;
}

void smtpf_scan_conn_watch(smtpf_scan_conn *c, int writable)
{
  unsigned events = SMTPF_FD_READ;
  if (c->connecting)
    events = c->again ? 0 : SMTPF_FD_WRITE;
  else if ((writable || c->n_out) && !c->deaf)
    events |= SMTPF_FD_WRITE;
  if (c->fd < 0 || events == c->events)
    return;
  /* Without memory for it the deadline ends the scan. */
  if (smtpf_driver_watch(smtpf_scan_pool_driver(c->pool), c->fd, events, smtpf_scan_pool_event, c) == SMTPF_OK)
    c->events = events;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

int smtpf_scan_file_again(int fd)
{
  char path[40];
  smtpf_out o;
  if (fd < 0)
    return -1;
  smtpf_out_init(&o, path, sizeof path - 1);
  smtpf_out_cstr(&o, "/proc/self/fd/");
  smtpf_out_uint(&o, (uint64_t)fd);
  path[o.n] = '\0';
  return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* Sends `m`, whose first piece is what waits; returns the bytes beyond that. */
static size_t send_all(smtpf_scan_conn *c, struct msghdr *m)
{
  ssize_t r;
  while ((r = sendmsg(c->fd, m, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EINTR)
    ;
  if (r < 0) {
    c->deaf = errno != EAGAIN && errno != EWOULDBLOCK;
    return 0;
  }
  const size_t old = (size_t)r < c->n_out ? (size_t)r : c->n_out;
  memmove(c->out, c->out + old, c->n_out - old);
  c->n_out -= old;
  return (size_t)r - old;
}

static void end_output(smtpf_scan_conn *c)
{
  if (!c->last || c->n_out || c->deaf)
    return;
  (void)shutdown(c->fd, SHUT_WR);
  c->last = 0;
  c->shut = 1;
}

size_t smtpf_scan_conn_send(smtpf_scan_conn *c, const char *bytes, size_t n)
{
  struct iovec v[2] = {{c->out, c->n_out}, {(void *)(uintptr_t)bytes, n}};
  struct msghdr m = {.msg_iov = c->n_out ? v : v + 1, .msg_iovlen = (c->n_out ? 1u : 0u) + (n ? 1u : 0u)};
  size_t sent = 0;
  if (c->fd < 0 || c->connecting)
    return 0;
  if (m.msg_iovlen && !c->deaf)
    sent = send_all(c, &m);
  end_output(c);
  return c->deaf ? n : sent; /* nobody takes the rest: what the other side said of it will be read */
}

int smtpf_scan_conn_send_fd(smtpf_scan_conn *c, char with, int fd)
{
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec v = {&with, 1};
  struct msghdr m = {
      .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  (void)smtpf_scan_conn_send(c, NULL, 0);
  if (c->fd < 0 || c->connecting || c->n_out || c->deaf || !c->server->local)
    return 0;
  memset(&control, 0, sizeof control);
  struct cmsghdr *head = CMSG_FIRSTHDR(&m);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  return send_all(c, &m) == 1;
}

size_t smtpf_scan_fd_left(int fd)
{
  int left = 0;
#ifdef SIOCOUTQ
  if (fd < 0 || ioctl(fd, SIOCOUTQ, &left) != 0 || left < 0)
    left = 0;
#endif
  return (size_t)left;
}

/* The end of our half counts as one byte in TCP, until it is acknowledged. */
int smtpf_scan_conn_drained(const smtpf_scan_conn *c)
{
  if (c->fd < 0 || c->connecting || c->deaf || c->n_out)
    return 0;
  return smtpf_scan_fd_left(c->fd) <= (c->shut && !c->server->local ? 1u : 0u);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

int smtpf_scan_conn_read(smtpf_scan_conn *c)
{
  ssize_t r;
  if (c->n_in == sizeof c->in)
    return SMTPF_PENDING;
  while ((r = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, MSG_DONTWAIT)) < 0 && errno == EINTR)
    ;
  if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return SMTPF_PENDING;
  if (r <= 0)
    return SMTPF_EIO;
  c->n_in += (size_t)r;
  c->heard = 1;
  return SMTPF_OK;
}
