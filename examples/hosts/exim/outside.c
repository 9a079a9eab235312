/* SPDX-License-Identifier: MIT
 *
 * smtpf-milter, asked as an MTA asks it. Whatever goes wrong (nobody there, silence, bytes that are not the protocol's)
 * ends the connection: then nothing can be decided.
 */
#include <errno.h>
#include <smtpfilter/milter.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../common/text.h"
#include "asker.h"

enum { FLUSH_AT = 64 * 1024, REPLY_MAX = 8192 };

/* What Exim can be asked for, and what need not be said. */
static const smtpf_milter_terms offer = {
    SMTPF_MILTER_VERSION, SMTPF_MILTER_CAN_ADDHDRS | SMTPF_MILTER_CAN_CHGHDRS | SMTPF_MILTER_CAN_DELRCPT,
    SMTPF_MILTER_NR_HDR | SMTPF_MILTER_NR_EOH | SMTPF_MILTER_NR_BODY | SMTPF_MILTER_HDR_LEADSPC};

static struct {
  int fd; /* -1: none */
  text in, out;
  size_t in_at;
  text tls, auth; /* macros: strings */
  text changes;   /* of the message: packets, as they came */
  int in_mail, in_header;
  int discarded;
  exim_answer last;
  char room[REPLY_MAX], enhanced[16], one[REPLY_MAX];
} x = {.fd = -1};

/* ---- bytes ------------------------------------------------------------------------------------------------- */

static int broken(void)
{
  if (x.fd >= 0)
    close(x.fd);
  x.fd = -1;
  return 0;
}

static int flush(void)
{
  for (size_t at = 0; at < x.out.n && x.fd >= 0;) {
    const ssize_t n = send(x.fd, x.out.p + at, x.out.n - at, MSG_NOSIGNAL);
    if (n > 0)
      at += (size_t)n;
    else if (errno != EINTR)
      return broken();
  }
  text_clear(&x.out);
  return x.fd >= 0;
}

static int send_packet(const smtpf_milter_packet *p)
{
  const size_t cap = p->name.n + p->value.n + p->rest.n + 32;
  if (x.fd < 0 || !text_room(&x.out, cap))
    return broken();
  const int n = smtpf_milter_write(p, x.out.p + x.out.n, cap);
  if (n < 0)
    return broken();
  x.out.n += (size_t)n;
  return x.out.n < FLUSH_AT || flush();
}

static int receive(void)
{
  enum { LEAST = 4096 };
  if (x.in_at) {
    memmove(x.in.p, x.in.p + x.in_at, x.in.n - x.in_at);
    x.in.n -= x.in_at;
    x.in_at = 0;
  }
  if (!text_room(&x.in, LEAST))
    return broken();
  ssize_t n;
  do
    n = recv(x.fd, x.in.p + x.in.n, LEAST, 0);
  while (n < 0 && errno == EINTR);
  if (n <= 0) /* gone, or silent for too long */
    return broken();
  x.in.n += (size_t)n;
  return 1;
}

/* The next packet, which stays where it is until the next one is read, and how long it is. */
static int response(smtpf_milter_response *r, smtpf_str *packet)
{
  while (x.fd >= 0) {
    const smtpf_str bytes = {x.in.p + x.in_at, x.in.n - x.in_at};
    *r = (smtpf_milter_response){.size = sizeof *r};
    const int n = bytes.n ? smtpf_milter_read_reply(bytes, SMTPF_MILTER_PACKET_MAX, r) : 0;
    if (n < 0)
      return broken();
    if (n > 0) {
      *packet = (smtpf_str){bytes.p, (size_t)n};
      x.in_at += (size_t)n;
      if (r->reply != SMTPF_MILTER_PROGRESS)
        return 1;
    } else if (!receive()) {
      return 0;
    }
  }
  return 0;
}

/* ---- answers ------------------------------------------------------------------------------------------------ */

static int answer(int code, smtpf_str enhanced, smtpf_str words)
{
  x.last = (exim_answer){code, enhanced, words};
  return 1;
}

/* The reply's code has been seen by the codec; strings that outlive the packet are kept beside it. */
static int parts(smtpf_str reply, char room[REPLY_MAX], exim_answer *a)
{
  smtpf_str enhanced, words;
  const int code = smtpf_milter_reply_parts(reply, &enhanced, &words, room, REPLY_MAX);
  if (code < 0 || enhanced.n >= sizeof x.enhanced)
    return 0;
  if (enhanced.n)
    memcpy(x.enhanced, enhanced.p, enhanced.n);
  *a = (exim_answer){code, {x.enhanced, enhanced.n}, words};
  return 1;
}

/* What ends an answer. A refusal in no words of its own is none that smtpf-milter gives. */
static int take_answer(const smtpf_milter_response *r)
{
  switch (r->reply) {
  case SMTPF_MILTER_DISCARD: x.discarded = 1; return answer(250, (smtpf_str){"", 0}, (smtpf_str){"", 0});
  case SMTPF_MILTER_CONTINUE: return answer(250, (smtpf_str){"", 0}, (smtpf_str){"", 0});
  case SMTPF_MILTER_REPLYCODE: return parts(r->value, x.room, &x.last) || broken();
  default: return broken();
  }
}

static int ask(const smtpf_milter_packet *p)
{
  smtpf_milter_response r;
  smtpf_str packet;
  return send_packet(p) && flush() && response(&r, &packet) && take_answer(&r);
}

static int is_change(int reply)
{
  return reply == SMTPF_MILTER_ADDHEADER || reply == SMTPF_MILTER_INSHEADER || reply == SMTPF_MILTER_CHGHEADER ||
         reply == SMTPF_MILTER_DELRCPT || reply == SMTPF_MILTER_RCPTREPLY;
}

static int ask_end(void)
{
  smtpf_milter_response r;
  smtpf_str packet;
  if (!send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_BODYEOB}) || !flush())
    return 0;
  x.in_mail = 0;
  while (response(&r, &packet)) {
    if (!is_change(r.reply))
      return take_answer(&r);
    text_add(&x.changes, packet);
    if (x.changes.failed)
      return broken();
  }
  return 0;
}

/* ---- life ----------------------------------------------------------------------------------------------------- */

static void forget(void)
{
  if (x.in_mail)
    (void)send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_ABORT});
  x.in_mail = x.in_header = x.discarded = 0;
  text_clear(&x.changes);
}

static void close_connection(void)
{
  if (x.fd >= 0 && send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_QUIT}))
    (void)flush();
  (void)broken();
  text_free(&x.in);
  text_free(&x.out);
  text_free(&x.tls);
  text_free(&x.auth);
  text_free(&x.changes);
  x.in_at = 0;
  x.in_mail = 0;
}

static int dial(const char *path, int timeout_s)
{
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  const struct timeval time = {.tv_sec = timeout_s};
  errno = ENAMETOOLONG;
  if (strlen(path) >= sizeof sa.sun_path)
    return 0;
  memcpy(sa.sun_path, path, strlen(path) + 1);
  x.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return x.fd >= 0 && !setsockopt(x.fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) &&
         !setsockopt(x.fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) &&
         !connect(x.fd, (const struct sockaddr *)&sa, sizeof sa);
}

/* Which filter is there shows in what it agrees to: no other one knows of replies for each recipient. */
static int open_connection(const char *path, int timeout_s, int join, exim_log *log)
{
  smtpf_milter_terms terms = offer;
  smtpf_milter_response r;
  smtpf_str packet;
  close_connection();
  terms.actions |= join ? SMTPF_MILTER_JOIN_ONLY : SMTPF_MILTER_CAN_RCPTREPLY;
  if (!dial(path, timeout_s)) {
    char room[1200];
    snprintf(room, sizeof room, " unix:%s: %s", path, strerror(errno));
    log(room); /* of verdicts smtpf-milter has one of its own */
    return broken();
  }
  if (send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_OPTNEG, .offer = terms}) && flush() &&
      response(&r, &packet) && r.reply == SMTPF_MILTER_OPTNEG && r.terms.actions == terms.actions &&
      r.terms.protocol == terms.protocol)
    return 1;
  return broken();
}

static int nothing_to_load(const char *where, exim_log *log)
{
  (void)where;
  (void)log;
  return 1;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void macro(text *t, const char *name, smtpf_str value)
{
  if (!value.n || memchr(value.p, '\0', value.n))
    return;
  text_cstr(t, name);
  text_char(t, '\0');
  text_add(t, value);
  text_char(t, '\0');
}

static int send_macros(int command, const text *t)
{
  return !t->n ||
         send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_MACRO, .stage = command, .rest = text_str(t)});
}

static int ask_connect(const smtpf_peer *peer)
{
  const smtpf_str unknown = SMTPF_LIT("unknown");
  char port[8];
  text t = {0};
  const int n = snprintf(port, sizeof port, "%u", (unsigned)peer->local_port);
  macro(&t, "{daemon_addr}", peer->local_address);
  macro(&t, "{daemon_port}", (smtpf_str){port, peer->local_port ? (size_t)n : 0});
  const int six = peer->address.n && memchr(peer->address.p, ':', peer->address.n);
  const smtpf_milter_packet p = {.command = SMTPF_MILTER_CONNECT,
                                 .name = peer->rdns.n ? peer->rdns : unknown,
                                 .family = !peer->address.n ? SMTPF_MILTER_FAMILY_UNKNOWN
                                           : six            ? SMTPF_MILTER_FAMILY_INET6
                                                            : SMTPF_MILTER_FAMILY_INET,
                                 .port = peer->port,
                                 .value = peer->address};
  const int good = !t.failed && send_macros(SMTPF_MILTER_CONNECT, &t) && ask(&p);
  text_free(&t);
  return good;
}

static int ask_helo(const exim_event *e)
{
  text t = {0};
  text_add(&t, text_str(&x.tls));
  macro(&t, "r", e->plain ? SMTPF_LIT("SMTP") : SMTPF_LIT("ESMTP"));
  const int good = !t.failed && send_macros(SMTPF_MILTER_HELO, &t) &&
                   ask(&(smtpf_milter_packet){.command = SMTPF_MILTER_HELO, .name = e->first});
  text_free(&t);
  return good;
}

/* Told with the greeting, or the sender, that follows. */
static int keep(text *t, const char *first, const char *second, const exim_event *e)
{
  text_clear(t);
  macro(t, first, e->first);
  macro(t, second, e->second);
  return t->failed ? broken() : answer(250, (smtpf_str){"", 0}, (smtpf_str){"", 0});
}

/* Parameters are strings there. */
static int ask_path(int command, const exim_event *e)
{
  text t = {0};
  for (smtpf_str rest = e->second; rest.n;) {
    const char *blank = memchr(rest.p, ' ', rest.n);
    const size_t n = blank ? (size_t)(blank - rest.p) : rest.n;
    text_add(&t, (smtpf_str){rest.p, n});
    if (n)
      text_char(&t, '\0');
    rest = (smtpf_str){rest.p + n + (blank != NULL), rest.n - n - (blank != NULL)};
  }
  const int good = !t.failed && ask(&(smtpf_milter_packet){.command = command, .name = e->first, .rest = text_str(&t)});
  text_free(&t);
  return good;
}

static int ask_data(void)
{
  x.in_header = 1;
  return ask(&(smtpf_milter_packet){.command = SMTPF_MILTER_DATA});
}

static int end_header(void)
{
  const int was = x.in_header;
  x.in_header = 0;
  return !was || send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_EOH});
}

static int send_id(smtpf_str id)
{
  text t = {0};
  macro(&t, "i", id);
  const int good = !t.failed && send_macros(SMTPF_MILTER_BODYEOB, &t);
  text_free(&t);
  return good;
}

static int event(const exim_event *e)
{
  switch (e->kind) {
  case EXIM_CONNECT: return ask_connect(e->peer);
  case EXIM_HELO: return ask_helo(e);
  case EXIM_TLS: return keep(&x.tls, "{tls_version}", "{cipher}", e);
  case EXIM_AUTH: return keep(&x.auth, "{auth_type}", "{auth_authen}", e);
  case EXIM_MAIL: x.in_mail = 1; return send_macros(SMTPF_MILTER_MAIL, &x.auth) && ask_path(SMTPF_MILTER_MAIL, e);
  case EXIM_RCPT: return ask_path(SMTPF_MILTER_RCPT, e);
  case EXIM_DATA: return ask_data();
  default: return end_header() && send_id(e->first) && ask_end();
  }
}

static int tell(const exim_event *e, exim_answer *a)
{
  if (!event(e))
    return broken();
  *a = x.last;
  return 1;
}

static int give_field(smtpf_str s)
{
  const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
  if (!colon)
    return broken();
  const smtpf_str name = {s.p, (size_t)(colon - s.p)};
  smtpf_str value = {colon + 1, s.n - name.n - 1};
  if (value.n && value.p[value.n - 1] == '\n')
    value.n--;
  return send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_HEADER, .name = name, .value = value});
}

static int give_body(smtpf_str s)
{
  int good = end_header();
  while (good && s.n) {
    const size_t n = s.n < SMTPF_MILTER_CHUNK ? s.n : SMTPF_MILTER_CHUNK;
    good = send_packet(&(smtpf_milter_packet){.command = SMTPF_MILTER_BODY, .rest = {s.p, n}});
    s = (smtpf_str){s.p + n, s.n - n};
  }
  return good;
}

/* ---- what was decided -------------------------------------------------------------------------------------------- */

/* The next of the message's changes; 0 at the end. */
static int next_change(size_t *at, smtpf_milter_response *r)
{
  *r = (smtpf_milter_response){.size = sizeof *r};
  if (*at >= x.changes.n)
    return 0;
  const int n = smtpf_milter_read_reply((smtpf_str){x.changes.p + *at, x.changes.n - *at}, SMTPF_MILTER_PACKET_MAX, r);
  *at += n > 0 ? (size_t)n : x.changes.n;
  return n > 0;
}

static void reply_to(smtpf_str path, exim_answer *a)
{
  smtpf_milter_response r;
  *a = x.last;
  for (size_t at = 0; next_change(&at, &r);)
    if (r.reply == SMTPF_MILTER_RCPTREPLY && r.name.n == path.n && !strncasecmp(r.name.p, path.p, path.n)) {
      smtpf_str enhanced, words;
      const int code = smtpf_milter_reply_parts(r.value, &enhanced, &words, x.one, sizeof x.one);
      if (code > 0)
        *a = (exim_answer){code, enhanced, words};
    }
}

/* A value keeps the blank before it. */
static void apply_field(const exim_changes *to, const smtpf_milter_response *r)
{
  const int op = r->reply == SMTPF_MILTER_INSHEADER   ? SMTPF_EDIT_PREPEND
                 : r->reply == SMTPF_MILTER_ADDHEADER ? SMTPF_EDIT_APPEND
                                                      : SMTPF_EDIT_DELETE;
  const size_t blank = r->value.n && r->value.p[0] == ' ';
  to->edit(op, r->name, (smtpf_str){r->value.p + blank, r->value.n - blank}, (int)r->index);
}

static void apply(const exim_changes *to)
{
  smtpf_milter_response r;
  if (x.discarded)
    to->drop((smtpf_str){"", 0});
  for (size_t at = 0; next_change(&at, &r);)
    if (r.reply == SMTPF_MILTER_DELRCPT)
      to->drop(r.name);
    else if (r.reply != SMTPF_MILTER_RCPTREPLY)
      apply_field(to, &r);
}

const exim_asker exim_outside = {
    .open = open_connection,
    .load = nothing_to_load,
    .tell = tell,
    .field = give_field,
    .body = give_body,
    .reply_to = reply_to,
    .apply = apply,
    .forget = forget,
    .close = close_connection,
};
