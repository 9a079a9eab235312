/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "scan_script.h"

#define CRLF "\r\n"
#define OWN_OPTIONS                                                                                                    \
  "ICAP/1.0 200 OK" CRLF "Methods: RESPMOD" CRLF "ISTag: \"T-1\"" CRLF "Options-TTL: 3600" CRLF "Preview: 16" CRLF     \
  "Allow: 204" CRLF "Encapsulated: null-body=0" CRLF CRLF
#define CLEAN_204 "ICAP/1.0 204 Unmodified" CRLF "ISTag: \"T-1\"" CRLF CRLF
#define HIT_200                                                                                                        \
  "ICAP/1.0 200 OK" CRLF "ISTag: \"T-1\"" CRLF "X-Infection-Found: Type=0; Resolution=2; Threat=Test.Evil;" CRLF       \
  "Encapsulated: res-hdr=0, res-body=26" CRLF CRLF "HTTP/1.0 403 Forbidden" CRLF CRLF "5" CRLF "sorry" CRLF            \
  "0" CRLF CRLF

/* ---- talking ---------------------------------------------------------------------------------------------------- */

static void drop(script_server *s, script_conn *c)
{
  if (c->fd >= 0)
    close(c->fd);
  s->closed += c->fd >= 0;
  free(c->in);
  free(c->body);
  free(c->out);
  *c = (script_conn){.fd = -1};
}

/* As much as the other side takes; it runs in the same thread. */
static void flush(script_conn *c)
{
  const ssize_t r = c->out_n ? send(c->fd, c->out, c->out_n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
  if (r > 0) {
    memmove(c->out, c->out + r, c->out_n - (size_t)r);
    c->out_n -= (size_t)r;
  }
}

static void tell(script_server *s, script_conn *c, const char *bytes, size_t n)
{
  if (s->way == SCRIPT_HALF)
    n = n < s->after ? n : s->after;
  c->out = realloc(c->out, c->out_n + n + 1);
  memcpy(c->out + c->out_n, bytes, n);
  c->out_n += n;
  flush(c);
  if (s->way == SCRIPT_HALF || s->way == SCRIPT_CLOSES)
    drop(s, c);
}

static void say(script_server *s, script_conn *c, const char *text)
{
  tell(s, c, text, strlen(text));
}

static void keep(script_conn *c, const char *bytes, size_t n)
{
  c->body = realloc(c->body, c->body_n + n + 1);
  memcpy(c->body + c->body_n, bytes, n);
  c->body_n += n;
}

static void eat(script_conn *c, size_t n)
{
  memmove(c->in, c->in + n, c->n - n);
  c->n -= n;
}

/* The head of a request in `s->head`; its length, or 0. */
static size_t head(script_server *s, const script_conn *c)
{
  const char *end = c->n ? memmem(c->in, c->n, CRLF CRLF, 4) : NULL;
  if (!end)
    return 0;
  const size_t n = (size_t)(end - c->in) + 4;
  snprintf(s->head, sizeof s->head, "%.*s", (int)n, c->in);
  return n;
}

static size_t number_of(const char *text, const char *name)
{
  const char *at = strstr(text, name);
  return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* ---- spamd ------------------------------------------------------------------------------------------------------ */

static const char *judgement(const char *body, size_t n)
{
  return n && memmem(body, n, "EVIL", 4)
             ? "SPAMD/1.1 0 EX_OK" CRLF "Content-length: 9" CRLF "Spam: True ; 12.5 / 5.0" CRLF CRLF "EVIL,TEST"
             : "SPAMD/1.1 0 EX_OK" CRLF "Content-length: 4" CRLF "Spam: False ; 1.5 / 5.0" CRLF CRLF "TEST";
}

static void spamd(script_server *s, script_conn *c)
{
  const size_t at = head(s, c);
  if (!at || c->answered)
    return;
  const size_t size = number_of(s->head, "Content-length: ");
  const char *user = strstr(s->head, "User: ");
  snprintf(s->user, sizeof s->user, "%.*s", user ? (int)strcspn(user + 6, CRLF) : 0, user ? user + 6 : "");
  const int whole = c->n - at >= size;
  if (s->way == SCRIPT_EARLY) {
    s->early = whole ? s->early : s->early + 1;
    c->answered = 1;
    say(s, c, judgement("", 0));
    return;
  }
  if (!whole || (s->way == SCRIPT_LATE && !s->gate) || s->way == SCRIPT_DEAF)
    return;
  s->requests++;
  s->got = c->n - at;
  c->answered = 1;
  say(s, c, s->way == SCRIPT_WORDS ? s->words : judgement(c->in + at, size));
  if (s->way != SCRIPT_HALF && s->way != SCRIPT_CLOSES)
    drop(s, c); /* as spamd does */
}

/* ---- icap ------------------------------------------------------------------------------------------------------- */

#define BACK "ICAP/1.0 200 OK" CRLF "Encapsulated: res-hdr=0, res-body=19" CRLF CRLF "HTTP/1.1 200 OK" CRLF CRLF

static void give_back(script_server *s, script_conn *c, const char *body, size_t n)
{
  char text[256];
  const char *first = s->way == SCRIPT_SAME_EARLY ? "" : BACK;
  if (!n) {
    snprintf(text, sizeof text, "%s0" CRLF CRLF, first);
    say(s, c, text);
    return;
  }
  const int k = snprintf(text, sizeof text, "%s%zx" CRLF, first, n);
  char *all = malloc((size_t)k + n + 7);
  memcpy(all, text, (size_t)k);
  memcpy(all + k, body, n);
  memcpy(all + k + n, CRLF "0" CRLF CRLF, 7);
  tell(s, c, all, (size_t)k + n + 7);
  free(all);
}

static void icap_answer(script_server *s, script_conn *c)
{
  const int evil = c->body_n && memmem(c->body, c->body_n, "EVIL", 4);
  s->requests++;
  s->got = c->body_n;
  if (s->way == SCRIPT_SAME || s->way == SCRIPT_SAME_EARLY)
    give_back(s, c, c->body, c->body_n);
  else if (s->way == SCRIPT_OTHER)
    give_back(s, c, "something else", 14);
  else
    say(s, c, s->way == SCRIPT_WORDS ? s->words : evil ? HIT_200 : CLEAN_204);
}

/* The chunks that are whole; 1 at the last one, *ieof as it says. */
static int chunks(script_conn *c, int *ieof)
{
  for (;;) {
    char *end, *line = c->n ? memmem(c->in, c->n, CRLF, 2) : NULL;
    if (!line)
      return 0;
    const size_t digits = (size_t)(line - c->in) + 2, size = strtoul(c->in, &end, 16);
    if (c->n < digits + size + 2)
      return 0;
    *ieof = memmem(c->in, digits, "ieof", 4) != NULL;
    keep(c, c->in + digits, size);
    eat(c, digits + size + 2);
    if (!size)
      return 1;
  }
}

static void previewed(script_server *s, script_conn *c)
{
  s->previews++;
  if (s->preview == SCRIPT_CONTINUE) {
    c->again = 1;
    say(s, c, "ICAP/1.0 100 Continue" CRLF CRLF);
  } else {
    c->answered = 0;
    c->body_n = 0;
    say(s, c, s->preview == SCRIPT_ENOUGH ? CLEAN_204 : HIT_200);
  }
}

static void respmod(script_server *s, script_conn *c)
{
  int ieof = 0;
  if (s->way == SCRIPT_EARLY && !c->again) {
    s->early++;
    c->again = 1;
    say(s, c, CLEAN_204);
    return;
  }
  if (s->way == SCRIPT_SAME_EARLY && !c->again) {
    c->again = 1;
    say(s, c, BACK);
  }
  if (!chunks(c, &ieof))
    return;
  if (!ieof && !c->again && strstr(s->head, "Preview: ")) {
    previewed(s, c);
    return;
  }
  c->again = c->answered = 0;
  if (s->way != SCRIPT_DEAF)
    icap_answer(s, c);
  c->body_n = 0;
}

static void icap(script_server *s, script_conn *c)
{
  if (!c->answered) { /* a request begins */
    const size_t at = head(s, c);
    if (!at)
      return;
    if (memcmp(c->in, "OPTIONS", 7) == 0) {
      s->asked++;
      eat(c, at);
      say(s, c, s->options ? s->options : OWN_OPTIONS);
      return;
    }
    const size_t within = number_of(s->head, "res-body=");
    if (c->n < at + within)
      return;
    eat(c, at + within);
    c->answered = 1;
  }
  if (s->way != SCRIPT_LATE || s->gate)
    respmod(s, c);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static void take(script_server *s, script_conn *c)
{
  ssize_t r = 1;
  flush(c);
  while (r > 0) {
    if (c->cap - c->n < 65536)
      c->in = realloc(c->in, c->cap = c->cap * 2 + 131072);
    r = recv(c->fd, c->in + c->n, 65536, MSG_DONTWAIT);
    c->n += (size_t)(r > 0 ? r : 0);
    c->total += (size_t)(r > 0 ? r : 0);
    if ((r < 0 && errno != EAGAIN) || (r == 0 && s->protocol == SCRIPT_ICAP) || /* spamd serves half a connection */
        (s->way == SCRIPT_DIES && c->total >= s->after)) {
      drop(s, c);
      return;
    }
  }
  for (size_t before = c->n + 1; c->fd >= 0 && c->n && c->n < before;) {
    before = c->n;
    (s->protocol == SCRIPT_SPAMD ? spamd : icap)(s, c);
  }
}

void script_turn(script_server *s)
{
  int fd;
  if (s->listener < 0)
    return;
  while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
    script_conn *c = s->conns;
    while (c < s->conns + 63 && c->fd >= 0)
      c++;
    drop(s, c);
    c->fd = fd;
    s->accepted++;
  }
  for (size_t i = 0; i < 64 && s->way != SCRIPT_SILENT; i++)
    if (s->conns[i].fd >= 0)
      take(s, &s->conns[i]);
}

void script_start(script_server *s)
{
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  socklen_t n = sizeof in;
  const int one = 1;
  const char *port = s->tcp ? strchr(s->address, ':') : NULL;
  s->listener = socket(s->tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (s->tcp) {
    in.sin_port = htons((uint16_t)(port ? strtoul(port + 1, NULL, 10) : 0));
    ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&in, sizeof in), 0);
    getsockname(s->listener, (struct sockaddr *)&in, &n);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", ntohs(in.sin_port));
  } else {
    snprintf(un.sun_path, sizeof un.sun_path, "%s", s->address + 5);
    unlink(un.sun_path);
    ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&un, sizeof un), 0);
  }
  ck_assert_int_eq(listen(s->listener, 64), 0);
}

void script_init(script_server *s, scan_world *w, int protocol, int tcp, int way)
{
  static int number;
  memset(s, 0, sizeof *s);
  for (size_t i = 0; i < 64; i++)
    s->conns[i].fd = -1;
  s->protocol = protocol;
  s->tcp = tcp;
  s->way = way;
  if (!tcp)
    snprintf(s->address, sizeof s->address, "unix:/tmp/scan-script-%d-%d", (int)getpid(), ++number);
  script_start(s);
  scan_world_append(w, "servers", s->address);
}

void script_stop(script_server *s)
{
  if (s->listener >= 0)
    close(s->listener);
  s->listener = -1;
  for (size_t i = 0; i < 64; i++)
    drop(s, &s->conns[i]);
  if (!s->tcp)
    unlink(s->address + 5);
}

static uint64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

int script_until(scan_world *w, script_server *servers, size_t n, size_t outcomes, int ms)
{
  const uint64_t end = now_ms() + (uint64_t)ms;
  while (w->n_outcomes < outcomes && now_ms() < end) {
    for (size_t i = 0; i < n; i++)
      script_turn(&servers[i]);
    scan_world_turn(w, 1);
  }
  return w->n_outcomes >= outcomes;
}

const outcome *script_scan(scan_world *w, script_server *servers, size_t n, const char *bytes, size_t size)
{
  const size_t before = w->n_outcomes;
  smtpf_session *s = scan_world_session(w);
  scan_world_body(w, s, bytes, size);
  scan_world_finish(s);
  ck_assert_msg(script_until(w, servers, n, before + 1, 20000), "no outcome");
  smtpf_session_free(s);
  return &w->outcomes[before];
}
