/* SPDX-License-Identifier: MIT
 *
 *     CONNECT ── 220 ──> EHLO ── 250 ──┬───────────────────────────────────> EXCHANGE ── 334, 235, 4xx, 5xx
 *                                      └> STARTTLS ── 220 ──> TLS ──> EHLO ──┘
 *
 * A server that cannot be spoken with up to there gives way to the next one; from there on its word is the answer.
 */
#include "auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT, EHLO, STARTTLS, TLS, EXCHANGE };
enum { LINE_MOST = 12290 }; /* RFC 4954 4, with CRLF */

typedef struct auth {
  item item;
  conduit wire;
  ring link; /* in loop.auths, or loop.dead_auths */
  loop *loop;
  client *client; /* NULL: the exchange is over */
  smtpf_smtpc *codec;
  size_t server; /* of the first route */
  int state, code;
  int64_t deadline;
  const char *mechanism;
  int learned; /* the response that names who it is has been seen */
  char identity[256];
  char enhanced[16], text[600]; /* of the answer */
  size_t line_n;
  char line[LINE_MOST]; /* what is said first */
} auth;

/* ---- who it is about ------------------------------------------------------------------------------- */

static int base64_value(char c)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

/* As many bytes as there are before something that is no digit. */
static size_t decode(smtpf_str s, char *out, size_t cap)
{
  unsigned bits = 0, have = 0;
  size_t n = 0;
  for (size_t i = 0; i < s.n && base64_value(s.p[i]) >= 0; i++) {
    bits = bits << 6 | (unsigned)base64_value(s.p[i]);
    have += 6;
    if (have < 8)
      continue;
    have -= 8;
    if (n == cap)
      return 0;
    out[n++] = (char)(bits >> have & 255);
  }
  return n;
}

/* PLAIN: authorization identity, NUL, authentication identity, NUL, password (RFC 4616); LOGIN: the name comes first,
 * and what comes after it is a secret, also behind a name that cannot be kept. */
static void learn(auth *a, smtpf_str response)
{
  char room[1024];
  if (a->learned)
    return;
  a->learned = 1;
  const size_t n = decode(response, room, sizeof room - 1);
  room[n] = 0;
  const size_t first = strlen(room);
  const char *who = !strcmp(a->mechanism, "LOGIN") || first ? room : first < n ? room + first + 1 : "";
  if (strlen(who) < sizeof a->identity)
    snprintf(a->identity, sizeof a->identity, "%s", who);
  explicit_bzero(room, sizeof room);
}

/* ---- the connection -------------------------------------------------------------------------------- */

static void finish(auth *a)
{
  if (a->item.fd >= 0) {
    (void)conduit_write(&a->wire, "QUIT\r\n", 6);
    close(a->item.fd);
    a->item.fd = -1;
  }
  explicit_bzero(a->line, sizeof a->line);
  if (a->client)
    a->client->auth = NULL;
  a->client = NULL;
  ring_remove(&a->link);
  ring_append(&a->loop->dead_auths, &a->link);
}

static void answer(auth *a, int code, smtpf_str enhanced, smtpf_str words)
{
  a->code = code;
  snprintf(a->enhanced, sizeof a->enhanced, "%.*s", (int)enhanced.n, enhanced.p ? enhanced.p : "");
  snprintf(a->text, sizeof a->text, "%.*s", (int)words.n, words.p ? words.p : "");
  client_resume(a->client);
}

static void unknown(auth *a)
{
  answer(a, 454, SMTPF_LIT("4.7.0"), SMTPF_LIT("who you are cannot be asked now"));
}

static void say(auth *a, int state, const char *p, size_t n)
{
  a->state = state;
  a->deadline = a->loop->base.now_ms + a->client->settings->hop_ms;
  if (conduit_write(&a->wire, p, n) != (ssize_t)n)
    unknown(a);
}

static void connect_next(auth *a);

static void lost(auth *a, const char *why)
{
  const int before = a->state != EXCHANGE;
  const routes *all = &a->client->settings->routes;
  client_server_failed(a->client, "next-hop-failed", a->server ? all->route[0].server[a->server - 1].name : "", why);
  if (before)
    connect_next(a);
  else
    unknown(a);
}

static void greet(auth *a)
{
  char line[600];
  const int n = smtpf_smtpc_command("EHLO", a->client->settings->smtpd.hostname, line, sizeof line);
  if (n > 0)
    say(a, EHLO, line, (size_t)n);
  else
    unknown(a);
}

/* What EHLO was answered decides: TLS first, where the policy wants it; then AUTH. */
static void introduced(auth *a, const smtpf_smtpc_reply *r)
{
  const settings *s = a->client->settings;
  const route *first = &s->routes.route[0];
  const unsigned has = smtpf_smtpc_extensions(r->text, NULL);
  const int wants = !a->wire.tls && first->tls != HOP_TLS_NONE && s->hop_tls;
  if (wants && has & SMTPF_EXT_STARTTLS)
    say(a, STARTTLS, "STARTTLS\r\n", 10);
  else if (!a->wire.tls && first->tls >= HOP_TLS_ENCRYPT)
    lost(a, "offers no STARTTLS");
  else if (!(has & SMTPF_EXT_AUTH))
    lost(a, "offers no AUTH");
  else
    say(a, EXCHANGE, a->line, a->line_n);
}

static void start_tls(auth *a)
{
  const settings *s = a->client->settings;
  const route *first = &s->routes.route[0];
  char host[64] = "";
  address_host((const struct sockaddr *)&first->server[a->server - 1].at.sa, host, sizeof host);
  a->state = TLS;
  if (conduit_start(&a->wire, s->hop_tls, first->tls_name ? first->tls_name : host, first->tls == HOP_TLS_VERIFY))
    lost(a, "no TLS");
}

static void reply(auth *a, const smtpf_smtpc_reply *r)
{
  if (a->state == EXCHANGE) {
    const int odd = r->code < 300 && r->code != 235;
    if (odd || r->code == 421)
      unknown(a);
    else
      answer(a, r->code, r->enhanced, r->text);
  } else if (r->code / 100 != 2) {
    lost(a, "refuses the connection");
  } else if (a->state == CONNECT) {
    greet(a);
  } else if (a->state == EHLO) {
    introduced(a, r);
  } else if (a->state == STARTTLS) {
    start_tls(a);
  }
}

/* 1 while there may be more. */
static int hear(auth *a)
{
  char *room = a->loop->hop_in;
  const size_t asked = a->server; /* another one may have the same descriptor, and must not hear for this one */
  const ssize_t n = conduit_read(&a->wire, room, sizeof a->loop->hop_in);
  const int e = n < 0 ? errno : 0;
  if (e == EAGAIN) {
    if (a->state == TLS && conduit_up(&a->wire))
      greet(a);
    return 0;
  }
  if (n <= 0) {
    lost(a, e == EPROTO ? conduit_why(&a->wire) : e ? strerror(e) : "closed the connection");
    return 0;
  }
  const char *p = room;
  size_t left = (size_t)n;
  smtpf_smtpc_reply r;
  int got = SMTPF_PENDING;
  while (a->client && a->server == asked && !a->code && a->state != TLS &&
         (got = smtpf_smtpc_next(a->codec, &p, &left, &r)) == SMTPF_OK)
    reply(a, &r);
  if (a->server == asked && !a->code && (got < 0 || left))
    lost(a, "does not speak SMTP");
  return a->server == asked && !a->code;
}

void auth_event(item *it, uint32_t events)
{
  auth *a = (auth *)(void *)it;
  if (!a->client || a->item.fd < 0)
    return;
  if (events & EPOLLOUT && conduit_flush(&a->wire) < 0)
    lost(a, strerror(errno));
  while (a->client && !a->code && hear(a))
    continue;
}

static void disconnect(auth *a)
{
  conduit_free(&a->wire);
  smtpf_smtpc_free(a->codec);
  a->codec = NULL;
  if (a->item.fd >= 0)
    close(a->item.fd);
  a->item.fd = a->wire.fd = -1;
}

/* The next server of the first route; each is asked once. */
static void connect_next(auth *a)
{
  const settings *s = a->client->settings;
  const route *first = &s->routes.route[0];
  disconnect(a);
  while (a->server < first->n) {
    const address *to = &first->server[a->server++].at;
    const int fd = to->lmtp ? -1 : socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
      continue;
    a->item.fd = a->wire.fd = fd;
    a->state = CONNECT;
    a->deadline = a->loop->base.now_ms + s->hop_connect_ms;
    if ((!connect(fd, (const struct sockaddr *)&to->sa, to->len) || errno == EINPROGRESS) &&
        smtpf_smtpc_new(&a->codec, 0, NULL) == SMTPF_OK && !server_watch(&a->loop->base, &a->item))
      return;
    disconnect(a);
  }
  unknown(a);
}

/* ---- the client's side ------------------------------------------------------------------------------ */

/* What is refused for good counts as an error of the client's, so that nobody can guess for ever. */
static void refuse(client *c, int code, const char *enhanced, const char *words)
{
  if (code < 500) {
    client_answer_own(c, code, smtpf_str_of(enhanced), smtpf_str_of(words));
    return;
  }
  c->kind = SMTPF_SMTPD_VIOLATION;
  client_told(c, smtpf_session_violation(c->session, code, smtpf_str_of(enhanced), smtpf_str_of(words)));
}

static const char *known(smtpf_str word)
{
  static const char *const all[] = {"PLAIN", "LOGIN"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (smtpf_str_equal_nocase(word, smtpf_str_of(all[i])))
      return all[i];
  return NULL;
}

static void begin(client *c, smtpf_str arg)
{
  const char *blank = arg.n ? memchr(arg.p, ' ', arg.n) : NULL;
  const smtpf_str word = {arg.p, blank ? (size_t)(blank - arg.p) : arg.n};
  const smtpf_str initial = {blank ? blank + 1 : arg.p, blank ? arg.n - word.n - 1 : 0};
  const char *mechanism = known(word);
  auth *a = mechanism && arg.n + 8 < LINE_MOST ? calloc(1, sizeof *a) : NULL;
  if (!a) {
    refuse(c, mechanism ? 454 : 504, mechanism ? "4.3.0" : "5.5.4", mechanism ? "not now" : "no such mechanism");
    return;
  }
  a->item = (item){ITEM_AUTH, -1};
  a->wire.fd = -1;
  a->loop = c->loop;
  a->client = c;
  a->mechanism = mechanism;
  ring_append(&c->loop->auths, &a->link);
  c->auth = a;
  c->wait = WAIT_AUTH;
  a->line_n = (size_t)snprintf(a->line, sizeof a->line, "AUTH %s%s%.*s\r\n", mechanism, initial.n ? " " : "",
                               (int)initial.n, initial.n ? initial.p : "");
  if (initial.n)
    learn(a, initial);
  connect_next(a);
}

static void go_on(client *c, smtpf_str response)
{
  auth *a = c->auth;
  char line[LINE_MOST];
  if (!a || response.n + 2 >= sizeof line) {
    auth_end(c);
    refuse(c, 454, "4.7.0", "who you are cannot be asked now");
    return;
  }
  if (!smtpf_str_equal_nocase(response, SMTPF_LIT("*")))
    learn(a, response);
  memcpy(line, response.p, response.n);
  memcpy(line + response.n, "\r\n", 2);
  c->wait = WAIT_AUTH;
  if (a->code) /* the next hop did not wait for it */
    client_resume(c);
  else
    say(a, EXCHANGE, line, response.n + 2);
  explicit_bzero(line, sizeof line);
}

void auth_command(client *c, const smtpf_smtpd_event *ev)
{
  if (ev->kind == SMTPF_SMTPD_LINE)
    go_on(c, ev->body);
  else if (c->login || c->tx)
    refuse(c, 503, "5.5.1", c->tx ? "a transaction is open" : "you are known already");
  else
    begin(c, ev->arg);
}

int auth_has_answer(const client *c)
{
  return c->auth && c->auth->code;
}

void auth_answered(client *c)
{
  auth *a = c->auth;
  const int code = a->code;
  a->code = 0;
  if (code == 334) {
    client_answer_own(c, 334, (smtpf_str){NULL, 0}, smtpf_str_of(a->text));
    return;
  }
  char enhanced[sizeof a->enhanced], words[sizeof a->text];
  memcpy(enhanced, a->enhanced, sizeof enhanced);
  memcpy(words, a->text, sizeof words);
  if (code == 235 && a->identity[0]) {
    const char *mechanism = a->mechanism;
    c->login = strdup(a->identity);
    auth_end(c);
    c->kind = KIND_AUTH;
    client_told(c, smtpf_session_auth(c->session, smtpf_str_of(mechanism), smtpf_str_of(c->login)));
    return;
  }
  auth_end(c);
  refuse(c, code == 235 ? 535 : code, code == 235 ? "5.7.8" : enhanced, words);
}

void auth_end(client *c)
{
  if (c->auth)
    finish(c->auth);
}

/* ---- the loop's side --------------------------------------------------------------------------------- */

void auth_sweep(loop *l)
{
  for (ring *r = l->auths.next, *next; r != &l->auths; r = next) {
    auth *a = RING_OF(r, auth, link);
    next = r->next;
    if (!a->code && a->client->wait == WAIT_AUTH && l->base.now_ms >= a->deadline)
      lost(a, "took too long");
  }
}

void auth_bury(loop *l)
{
  while (!ring_empty(&l->dead_auths)) {
    auth *a = RING_OF(l->dead_auths.next, auth, link);
    ring_remove(&a->link);
    disconnect(a);
    free(a);
  }
}
