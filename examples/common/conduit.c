/* SPDX-License-Identifier: MIT */
#include "conduit.h"

#include <errno.h>
#include <sys/socket.h>

/* A record holds at most RECORD bytes, of which all but the last may have been read before: so what one read of the
 * wire can make plain is that much more than what it brought. PIECE is how much is made of TLS at a time. */
enum { RECORD = 16384, WIRE = 32768, PIECE = 65536 };
/* More of the wire without one plain byte is no record and no flight of a handshake; more that waits for a peer who
 * does not read is no message of ours: it is somebody who keeps us busy. */
enum { NOTHING_MOST = 262144, WAITS_MOST = 4 * PIECE };

int conduit_start(conduit *c, tls_context *context, const char *name, int verify)
{
  return tls_new(&c->tls, context, name, verify) == SMTPF_OK && conduit_flush(c) >= 0 ? 0 : -1;
}

void conduit_free(conduit *c)
{
  tls_free(c->tls);
  c->tls = NULL;
}

static ssize_t receive(int fd, char *room, size_t cap)
{
  ssize_t n;
  do
    n = recv(fd, room, cap, 0);
  while (n < 0 && errno == EINTR);
  return n;
}

/* What is in one piece of the wire. A tls_end when it comes first. */
static ssize_t unwrap(conduit *c, const char *wire, size_t n, char *room, size_t cap)
{
  size_t got = 0;
  int r;
  while ((r = tls_read(c->tls, &wire, &n, room + got, cap - got)) > 0)
    got += (size_t)r;
  return got ? (ssize_t)got : r;
}

ssize_t conduit_read(conduit *c, char *room, size_t cap)
{
  char wire[WIRE];
  const size_t most = cap - RECORD < sizeof wire ? cap - RECORD : sizeof wire;
  size_t heard = 0;
  if (!c->tls)
    return receive(c->fd, room, cap);
  for (ssize_t r = unwrap(c, "", 0, room, cap);;) {
    if (r > 0)
      return r;
    if (r == TLS_CLOSED)
      return 0;
    if (r == TLS_FAILED) {
      conduit_flush(c); /* the alert, which says why */
      errno = EPROTO;
      return -1;
    }
    const ssize_t n = receive(c->fd, wire, most);
    if (n <= 0)
      return n;
    r = unwrap(c, wire, (size_t)n, room, cap);
    if (conduit_flush(c) < 0)
      return -1;
    heard += (size_t)n;
    if (!r && (heard > NOTHING_MOST || tls_out(c->tls).n > WAITS_MOST)) {
      errno = EBADMSG;
      return -1;
    }
  }
}

int conduit_flush(conduit *c)
{
  while (conduit_waits(c)) {
    const smtpf_str out = tls_out(c->tls);
    const ssize_t n = send(c->fd, out.p, out.n, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR)
      return errno == EAGAIN ? 0 : -1;
    tls_sent(c->tls, n > 0 ? (size_t)n : 0);
  }
  return 1;
}

static ssize_t write_plain(const conduit *c, const char *p, size_t n)
{
  ssize_t w;
  do
    w = send(c->fd, p, n, MSG_NOSIGNAL);
  while (w < 0 && errno == EINTR);
  return w;
}

ssize_t conduit_write(conduit *c, const char *p, size_t n)
{
  const size_t piece = n < PIECE ? n : PIECE;
  if (!c->tls)
    return write_plain(c, p, n);
  const int r = conduit_flush(c);
  if (r > 0 && tls_write(c->tls, p, piece) == SMTPF_OK)
    return conduit_flush(c) < 0 ? -1 : (ssize_t)piece;
  if (r >= 0)
    errno = r ? EPROTO : EAGAIN;
  return -1;
}

void conduit_finish(conduit *c)
{
  if (!c->tls)
    return;
  tls_close(c->tls);
  conduit_flush(c);
}

int conduit_waits(const conduit *c)
{
  return c->tls && tls_out(c->tls).n;
}

int conduit_up(const conduit *c)
{
  return !c->tls || tls_up(c->tls);
}

const char *conduit_why(const conduit *c)
{
  return c->tls ? tls_why(c->tls) : "";
}
