/* SPDX-License-Identifier: MIT
 *
 * One connection to one host. Each step sends a command and takes exactly one reply; what comes out of turn ends it. A
 * server cannot make it longer than its steps, larger than a reply, or later than the question's deadline.
 *
 *   CONNECTING -> BANNER -> EHLO (-> HELO) -> MAIL -> RCPT: told -> RSET -> QUIT -> closed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "callout.h"

enum step { CONNECTING, BANNER, EHLO, HELO, MAIL, RCPT, RSET, QUIT };

enum { LINE_MAX = 700, READ_MAX = 4096 };

struct smtpf_callout_talk {
  smtpf_link in_port;
  smtpf_callouts *port;
  smtpf_callout_told fn; /* NULL: it has told */
  void *user;
  smtpf_callout_words words;
  smtpf_scan_server server;
  smtpf_smtpc *codec;
  int fd, step;
  unsigned events;   /* watched */
  unsigned extended; /* smtpf_extension */
  smtpf_op timer;    /* to connect, to leave */
  size_t n_out;
  char out[LINE_MAX];
};

static int is_ascii(smtpf_str s)
{
  size_t i = 0;
  while (i < s.n && (unsigned char)s.p[i] < 0x80)
    i++;
  return i == s.n;
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static void stop_timer(smtpf_callout_talk *t)
{
  if (t->timer)
    (void)smtpf_driver_timer_cancel(t->port->driver, t->timer);
  t->timer = 0;
}

void smtpf_callout_talk_drop(smtpf_callout_talk *t)
{
  smtpf_callouts *c = t->port;
  stop_timer(t);
  if (t->events)
    (void)smtpf_driver_watch(c->driver, t->fd, 0, NULL, NULL);
  (void)close(t->fd);
  smtpf_smtpc_free(t->codec);
  smtpf_list_remove(&t->in_port);
  smtpf_mem_free(c->mem, t);
  c->n_talks--;
}

void smtpf_callout_talks_drop(smtpf_callouts *c)
{
  while (!smtpf_list_empty(&c->talks))
    smtpf_callout_talk_drop(SMTPF_OF(c->talks.next, smtpf_callout_talk, in_port));
}

static void end(smtpf_callout_talk *t)
{
  smtpf_callouts *c = t->port;
  smtpf_callout_talk_drop(t);
  smtpf_callouts_serve(c);
}

static void tell(smtpf_callout_talk *t, const smtpf_callout_answer *a)
{
  const smtpf_callout_told fn = t->fn;
  t->fn = NULL;
  if (fn)
    fn(t->user, a);
}

static void fail(smtpf_callout_talk *t, const char *cause)
{
  const smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_UNKNOWN, .cause = smtpf_str_of(cause)};
  tell(t, &a);
  end(t);
}

static void too_late(void *user)
{
  smtpf_callout_talk *t = user;
  t->timer = 0;
  fail(t, "connect"); /* who is leaving has told before */
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void on_event(void *user, int fd, unsigned events);

static int watch(smtpf_callout_talk *t, unsigned events)
{
  if (events == t->events)
    return SMTPF_OK;
  const int r = smtpf_driver_watch(t->port->driver, t->fd, events, on_event, t);
  if (r == SMTPF_OK)
    t->events = events;
  return r;
}

/* Sends what waits. 0: the connection is of no use any more. */
static int flush(smtpf_callout_talk *t)
{
  ssize_t r = 0;
  while (t->n_out && ((r = send(t->fd, t->out, t->n_out, MSG_NOSIGNAL | MSG_DONTWAIT)) > 0 || errno == EINTR))
    if (r > 0) {
      t->n_out -= (size_t)r;
      memmove(t->out, t->out + r, t->n_out);
    }
  if (t->n_out && errno != EAGAIN && errno != EWOULDBLOCK)
    return 0;
  return watch(t, SMTPF_FD_READ | (t->n_out ? SMTPF_FD_WRITE : 0u)) == SMTPF_OK;
}

/* One command; `before` and `after` around its argument. 1, or 0. */
static int say(smtpf_callout_talk *t, int step, const char *verb, const char *before, smtpf_str arg, const char *after)
{
  char room[LINE_MAX];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, before);
  smtpf_out_str(&o, arg);
  smtpf_out_cstr(&o, after);
  const int n = o.full || t->n_out ? -1 : smtpf_smtpc_command(verb, smtpf_out_done(&o), t->out, sizeof t->out);
  if (n < 0)
    return 0;
  t->n_out = (size_t)n;
  t->step = step;
  return flush(t);
}

/* Our own name; without one, our address on this connection (RFC 5321 4.1.4). */
static int say_hello(smtpf_callout_talk *t, int step)
{
  const char *verb = step == EHLO ? "EHLO" : "HELO";
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage room;
  } own;
  socklen_t n = sizeof own;
  smtpf_ip ip = {0};
  smtpf_str name;
  char text[SMTPF_IP_TEXT];
  if (smtpf_engine_option(smtpf_driver_engine(t->port->driver), "hostnames", 0, &name) == SMTPF_OK && name.n)
    return say(t, step, verb, "", name, "");
  memset(&own, 0, sizeof own);
  if (getsockname(t->fd, &own.any, &n) == 0 && own.any.sa_family == AF_INET) {
    ip.family = 4;
    memcpy(ip.bytes, &own.in.sin_addr, 4);
  } else if (own.any.sa_family == AF_INET6) {
    ip.family = 6;
    memcpy(ip.bytes, &own.in6.sin6_addr, 16);
  }
  const size_t length = ip.family ? smtpf_ip_format(&ip, text) : 0;
  if (!length)
    return say(t, step, verb, "", SMTPF_LIT("localhost"), "");
  return say(t, step, verb, ip.family == 6 ? "[IPv6:" : "[", (smtpf_str){text, length}, "]");
}

/* RSET where a transaction is open, QUIT, and no longer than a while for both. */
static void leave(smtpf_callout_talk *t)
{
  const int open = t->step == RCPT;
  stop_timer(t);
  if (smtpf_driver_timer(t->port->driver, SMTPF_CALLOUT_LEAVE, too_late, t, &t->timer) != SMTPF_OK ||
      !say(t, open ? RSET : QUIT, open ? "RSET" : "QUIT", "", (smtpf_str){"", 0}, ""))
    end(t);
}

/* ---- hearing ----------------------------------------------------------------------------------------------------- */

/* It has said no, or not now, before RCPT could be asked: that is not about the recipient. */
static void turned_away(smtpf_callout_talk *t, const smtpf_smtpc_reply *reply)
{
  const smtpf_callout_answer a = {.size = sizeof a,
                                  .status = SMTPF_CALLOUT_UNKNOWN,
                                  .enhanced = reply->enhanced,
                                  .text = reply->text,
                                  .cause = reply->code >= 500 ? SMTPF_LIT("mail-refused") : SMTPF_LIT("deferred")};
  tell(t, &a);
  leave(t);
}

static void take_answer(smtpf_callout_talk *t, const smtpf_smtpc_reply *reply)
{
  smtpf_callout_answer a = {.size = sizeof a,
                            .status = SMTPF_CALLOUT_UNKNOWN,
                            .code = reply->code,
                            .enhanced = reply->enhanced,
                            .text = reply->text};
  if (reply->code >= 500)
    a.status = SMTPF_CALLOUT_REFUSED;
  else if (reply->code >= 400)
    a.cause = SMTPF_LIT("deferred");
  else
    a.status = SMTPF_CALLOUT_ACCEPTED;
  tell(t, &a);
  leave(t);
}

/* An answer that says no more than a word, while the connection is still good. */
static void give_up(smtpf_callout_talk *t, const char *cause)
{
  const smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_UNKNOWN, .cause = smtpf_str_of(cause)};
  tell(t, &a);
  leave(t);
}

static void say_mail(smtpf_callout_talk *t)
{
  const int utf8 = !is_ascii(t->words.recipient) || !is_ascii(t->words.sender);
  if (utf8 && !(t->extended & SMTPF_EXT_SMTPUTF8))
    give_up(t, "smtputf8");
  else if (!say(t, MAIL, "MAIL", "FROM:<", t->words.sender, utf8 ? "> SMTPUTF8" : ">"))
    fail(t, "closed");
}

static void go_on(smtpf_callout_talk *t, const smtpf_smtpc_reply *reply)
{
  int said = 1;
  switch (t->step) {
  case BANNER: said = say_hello(t, EHLO); break;
  case EHLO:
    t->extended = smtpf_smtpc_extensions(reply->text, NULL);
    say_mail(t);
    return;
  case HELO: say_mail(t); return;
  case MAIL: said = say(t, RCPT, "RCPT", "TO:<", t->words.recipient, ">"); break;
  default: break;
  }
  if (!said)
    fail(t, "closed");
}

/* One reply, to what was asked last. */
static void heard(smtpf_callout_talk *t, const smtpf_smtpc_reply *reply)
{
  if (t->step == QUIT || (t->step == RSET && !say(t, QUIT, "QUIT", "", (smtpf_str){"", 0}, "")))
    end(t);
  else if (t->step >= RSET)
    return;
  else if (reply->code / 100 == 3)
    fail(t, "garbage");
  else if (t->step == RCPT)
    take_answer(t, reply);
  else if (t->step == EHLO && reply->code >= 500 && say_hello(t, HELO))
    return;
  else if (reply->code >= 400)
    turned_away(t, reply);
  else
    go_on(t, reply);
}

static void hear(smtpf_callout_talk *t)
{
  char room[READ_MAX];
  smtpf_smtpc_reply reply;
  const char *p = room;
  const ssize_t got = recv(t->fd, room, sizeof room, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    return;
  if (got <= 0) {
    fail(t, "closed");
    return;
  }
  size_t n = (size_t)got;
  const int r = smtpf_smtpc_next(t->codec, &p, &n, &reply);
  if (r == SMTPF_OK && !n)
    heard(t, &reply);
  else if (r != SMTPF_PENDING) /* also a reply to what was not asked yet */
    fail(t, r == SMTPF_ENOMEM ? "memory" : "garbage");
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

/* SMTPF_OK: look at the step. Asking again is what tells for sure. */
static int connect_on(smtpf_callout_talk *t)
{
  int r;
  while ((r = connect(t->fd, (const struct sockaddr *)&t->server.address, t->server.address_n)) != 0 && errno == EINTR)
    ;
  if (r != 0 && (errno == EINPROGRESS || errno == EALREADY))
    return watch(t, SMTPF_FD_WRITE);
  if (r != 0 && errno != EISCONN)
    return SMTPF_EIO;
  t->step = BANNER;
  return watch(t, SMTPF_FD_READ);
}

static void on_event(void *user, int fd, unsigned events)
{
  smtpf_callout_talk *t = user;
  (void)fd;
  if (t->step == CONNECTING) {
    if (connect_on(t) != SMTPF_OK)
      fail(t, "connect");
    else if (t->step == BANNER)
      stop_timer(t); /* from here on the question's deadline counts */
    return;
  }
  if ((events & SMTPF_FD_WRITE) && t->n_out && !flush(t)) {
    fail(t, "closed");
    return;
  }
  if (events & ~(unsigned)SMTPF_FD_WRITE)
    hear(t);
}

int smtpf_callout_talk_start(smtpf_callout_talk **out, smtpf_callouts *c, const smtpf_scan_server *server,
                             int64_t connect_ms, const smtpf_callout_words *words, smtpf_callout_told fn, void *user)
{
  const int one = 1;
  smtpf_callout_talk *t = smtpf_mem_zalloc(c->mem, sizeof *t);
  if (!t)
    return SMTPF_ENOMEM;
  t->port = c;
  t->fn = fn;
  t->user = user;
  t->words = *words;
  t->server = *server;
  t->fd = socket(server->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (t->fd < 0) {
    smtpf_mem_free(c->mem, t);
    return SMTPF_EIO;
  }
  smtpf_list_append(&c->talks, &t->in_port);
  c->n_talks++;
  if (!server->local)
    (void)setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  int r = smtpf_smtpc_new(&t->codec, SMTPF_CALLOUT_REPLY_MAX, c->mem);
  if (r == SMTPF_OK)
    r = smtpf_driver_timer(c->driver, connect_ms, too_late, t, &t->timer);
  if (r == SMTPF_OK)
    r = connect_on(t);
  if (r != SMTPF_OK) {
    smtpf_callout_talk_drop(t);
    return r;
  }
  if (t->step == BANNER)
    stop_timer(t);
  *out = t;
  return SMTPF_OK;
}
