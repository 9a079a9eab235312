/* SPDX-License-Identifier: MIT */
#include "hop.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/log.h"
#include "client.h"
#include "hop_tls.h"
#include "transaction.h"

/* ---- closing ----------------------------------------------------------------------------------- */

void hop_close(hop *h)
{
  if (h->state == HOP_DEAD)
    return;
  if (!h->owner && h->idle_since)
    h->loop->pool_count--;
  if (h->probing)
    server_unknown(h->server);
  h->probing = 0;
  h->state = HOP_DEAD;
  h->owner = NULL;
  close(h->item.fd);
  ring_remove(&h->link);
  ring_append(&h->loop->dead_hops, &h->link);
}

void hop_free(hop *h)
{
  ring_remove(&h->link);
  conduit_free(&h->wire); /* why it failed has been told by now */
  smtpf_smtpc_free(h->codec);
  text_free(&h->out);
  settings_unref(h->settings);
  free(h);
}

/* Its server cannot be spoken with: others come before it for a while. */
static void mark_down(const settings *s, server *at, int64_t now, const char *why)
{
  if (server_failed(at, now, s->hop_retry_ms))
    log_line("warning", "hop-down",
             (log_field[]){{"server", {at->name, strlen(at->name)}}, {"why", {why, strlen(why)}}, {NULL, {NULL, 0}}});
}

/* What it is counted as: targets are whoever is forwarded to. */
static const char *hop_metric(const hop *h)
{
  return h->server ? h->server->name : "target";
}

/* The connection failed: its owner is told. */
static void lost(hop *h, const char *why)
{
  transaction *owner = h->owner;
  int how = h->reused || h->messages ? LOST_REUSED : h->state == HOP_READY ? LOST_READY : LOST_NEW;
  if (h->state == HOP_TLS && hop_tls_failed(h, why))
    how = LOST_TLS;
  if (how == LOST_NEW)
    metrics_count(h->loop->base.metrics, METRICS_HOP_FAILURES, hop_metric(h), NULL);
  if (h->server && how == LOST_NEW && !h->identified) { /* once told of a client, it may be that client it refuses */
    mark_down(h->settings, h->server, h->loop->base.now_ms, why);
    h->probing = 0;
  }
  hop_close(h);
  if (owner)
    transaction_hop_lost(owner, h->leg, why, how);
}

static void set_deadline(hop *h, int64_t ms)
{
  h->deadline = h->loop->base.now_ms + ms;
  if (h->until && h->deadline > h->until)
    h->deadline = h->until;
}

static int64_t reply_ms(const hop *h)
{
  return h->target ? h->settings->forward_ms : h->settings->hop_ms;
}

static int64_t final_ms(const hop *h)
{
  return h->target ? h->settings->forward_final_ms : h->settings->hop_final_ms;
}

/* ---- sending ------------------------------------------------------------------------------------ */

/* 1 when nothing is left, 0 when the rest must wait, -1 when the connection is gone. */
static int flush(hop *h)
{
  while (h->out_at < h->out.n) {
    ssize_t w = conduit_write(&h->wire, h->out.p + h->out_at, h->out.n - h->out_at);
    if (w < 0)
      return errno == EAGAIN ? 0 : -1;
    h->out_at += (size_t)w;
  }
  h->out_at = 0;
  if (h->out.cap > 4096)
    text_free(&h->out);
  text_clear(&h->out);
  return conduit_flush(&h->wire);
}

/* Sends at once what it can and keeps the rest. A broken connection shows itself at the next event. */
static int send_or_keep(hop *h, const char *p, size_t n)
{
  while (n && !h->corked && h->out_at == h->out.n) {
    ssize_t w = conduit_write(&h->wire, p, n);
    if (w < 0)
      break;
    p += w;
    n -= (size_t)w;
  }
  text_add(&h->out, (smtpf_str){p, n});
  if (h->out.failed) /* a gap must not be sent: the connection ends here, and its owner hears of it */
    shutdown(h->item.fd, SHUT_RDWR);
  return !hop_waits(h);
}

void hop_send(hop *h, smtpf_str bytes, const char *expects)
{
  for (; *expects && h->expects < sizeof h->expect; expects++)
    h->expect[h->expects++] = (unsigned char)*expects;
  set_deadline(h, expects[-1] == EXPECT_FINAL ? final_ms(h) : reply_ms(h));
  send_or_keep(h, bytes.p, bytes.n);
}

void hop_cork(hop *h)
{
  h->corked = 1;
}

void hop_uncork(hop *h)
{
  h->corked = 0;
  (void)flush(h); /* a broken connection shows itself at the next event */
}

int hop_send_message(hop *h, size_t n)
{
  set_deadline(h, final_ms(h));
  return send_or_keep(h, h->loop->out, n);
}

/* ---- getting ready ------------------------------------------------------------------------------ */

static void say(hop *h, int state, const char *verb, smtpf_str arg)
{
  char line[600];
  int n = smtpf_smtpc_command(verb, arg, line, sizeof line);
  h->state = state;
  set_deadline(h, reply_ms(h));
  if (n > 0)
    send_or_keep(h, line, (size_t)n);
}

/* It can be spoken with. */
static void mark_up(const hop *h)
{
  if (server_good(h->server))
    log_text("info", "hop-up", "server", h->server->name);
}

static void ready(hop *h)
{
  h->state = HOP_READY;
  if (!h->reused)
    metrics_count(h->loop->base.metrics, METRICS_HOP_READY, hop_metric(h), h->wire.tls ? "yes" : "no");
  if (h->server) {
    h->until = 0;
    h->probing = 0;
    mark_up(h);
  }
  if (h->owner)
    transaction_hop_ready(h->owner, h->leg);
}

static unsigned wants(const hop *h)
{
  unsigned offered = h->extensions & (SMTPF_EXT_XCLIENT | SMTPF_EXT_XFORWARD);
  if (h->target)
    return 0;
  switch (h->settings->identity) {
  case IDENTITY_XCLIENT: return SMTPF_EXT_XCLIENT;
  case IDENTITY_XFORWARD: return SMTPF_EXT_XFORWARD;
  case IDENTITY_NONE: return 0;
  default: return offered & SMTPF_EXT_XCLIENT ? SMTPF_EXT_XCLIENT : offered;
  }
}

/* Tells who the client is, where the next hop wants XCLIENT. Without an owner there is nobody to tell of. */
static void identify(hop *h)
{
  if (wants(h) != SMTPF_EXT_XCLIENT || h->identified || !h->owner) {
    ready(h);
    return;
  }
  identity_of who;
  text t = {0};
  transaction_identity(h->owner, &who);
  identity_command(&t, "XCLIENT", h->attributes, &who);
  h->state = HOP_XCLIENT;
  h->identified = 1;
  set_deadline(h, reply_ms(h));
  send_or_keep(h, t.p, t.n);
  text_free(&t);
}

static void learn(hop *h, smtpf_str ehlo)
{
  uint64_t size = 0;
  h->extensions = smtpf_smtpc_extensions(ehlo, &size);
  if (h->target)
    return; /* clients are offered what the next hop has */
  route_learn(h->route, h->extensions, size);
  /* Who it was told of cannot be told anew: it must not serve another client. */
  if (h->identified && !(h->extensions & SMTPF_EXT_XCLIENT))
    h->soiled = 1;
  unsigned want = wants(h);
  h->attributes = want ? identity_attributes(ehlo, want == SMTPF_EXT_XCLIENT ? "XCLIENT" : "XFORWARD") : 0;
}

/* What we call ourselves; after XCLIENT, what the client called itself, if a server can be expected to bear it. */
static smtpf_str greeting_name(const hop *h)
{
  identity_of who = {0};
  if (h->identified && h->owner)
    transaction_identity(h->owner, &who);
  for (size_t i = 0; i < who.helo.n; i++)
    if (who.helo.p[i] <= ' ' || who.helo.p[i] > '~')
      return h->settings->smtpd.hostname;
  return who.helo.n && who.helo.n < 256 ? who.helo : h->settings->smtpd.hostname;
}

/* EHLO is answered. */
static void introduced(hop *h)
{
  const int due = hop_tls_due(h);
  if (due > 0)
    say(h, HOP_STARTTLS, "STARTTLS", (smtpf_str){0});
  else if (due < 0)
    lost(h, h->plain ? "refused STARTTLS" : "does not offer STARTTLS");
  else if (!h->identified && wants(h) & ~h->extensions)
    lost(h, "does not offer the XCLIENT or XFORWARD that proxy.identity insists on");
  else
    identify(h);
}

static void starttls_answered(hop *h, const smtpf_smtpc_reply *r)
{
  if (r->code / 100 != 2) {
    h->plain = 1;
    introduced(h);
    return;
  }
  h->state = HOP_TLS;
  set_deadline(h, reply_ms(h));
  if (hop_tls_start(h))
    lost(h, "TLS cannot be begun");
}

/* A reply before the connection is ready. */
static void greeted(hop *h, const smtpf_smtpc_reply *r)
{
  const int good = r->code / 100 == 2;
  const smtpf_str name = greeting_name(h);
  switch (h->state) {
  case HOP_GREETING:
  case HOP_XCLIENT:
    if (good)
      say(h, HOP_EHLO, h->lmtp ? "LHLO" : "EHLO", name);
    else
      lost(h, h->state == HOP_XCLIENT ? "refused XCLIENT" : "refused the connection");
    return;
  case HOP_EHLO:
    if (!good && h->lmtp) {
      lost(h, "refused LHLO");
      return;
    }
    if (!good) {
      say(h, HOP_HELO, "HELO", name);
      return;
    }
    learn(h, r->text);
    introduced(h);
    return;
  case HOP_STARTTLS: starttls_answered(h, r); return;
  case HOP_TLS: lost(h, "spoke out of turn"); return;
  default:
    if (!good) {
      lost(h, "refused HELO");
      return;
    }
    if (h->route)
      route_learn(h->route, 0, 0);
    h->extensions = 0;
    introduced(h);
  }
}

/* ---- receiving ---------------------------------------------------------------------------------- */

static void settle(hop *h);

static void reply(hop *h, const smtpf_smtpc_reply *r)
{
  if (h->state != HOP_READY) {
    greeted(h, r);
    return;
  }
  if (!h->expects || r->code == 421) {
    lost(h, r->code == 421 ? "closed the connection (421)" : "spoke out of turn");
    return;
  }
  int what = h->expect[0];
  memmove(h->expect, h->expect + 1, --h->expects);
  if (r->code >= 400)
    h->soiled = 1;
  if (h->server && what == EXPECT_FINAL) /* over a kept connection nothing else tells */
    mark_up(h);
  if (h->owner)
    transaction_hop_reply(h->owner, h->leg, what, r);
  else if (!h->expects)
    settle(h);
}

/* What came, in plain. What a server says before TLS is up, on its way to be, anybody may have put there. */
static void hear(hop *h, const char *p, size_t left)
{
  smtpf_smtpc_reply r;
  int got = SMTPF_PENDING;
  while (h->state != HOP_DEAD && h->state != HOP_TLS && (got = smtpf_smtpc_next(h->codec, &p, &left, &r)) == SMTPF_OK)
    reply(h, &r);
  if (h->state == HOP_TLS && left)
    lost(h, "spoke before TLS was up");
  else if (h->state != HOP_DEAD && got < 0)
    lost(h, "does not speak SMTP");
}

static void receive(hop *h)
{
  while (h->state != HOP_DEAD) {
    ssize_t n = conduit_read(&h->wire, h->loop->hop_in, sizeof h->loop->hop_in);
    const int e = n < 0 ? errno : 0;
    if (h->state == HOP_TLS && e == EAGAIN && conduit_up(&h->wire)) /* what was said before is forgotten */
      say(h, HOP_EHLO, h->lmtp ? "LHLO" : "EHLO", greeting_name(h));
    if (e == EAGAIN)
      return;
    if (n <= 0) {
      lost(h, e == EPROTO ? conduit_why(&h->wire) : e ? strerror(e) : "closed the connection");
      return;
    }
    hear(h, h->loop->hop_in, (size_t)n);
    if (!h->wire.tls && (size_t)n < sizeof h->loop->hop_in)
      return; /* drained: the next arrival is a new event */
  }
}

void hop_event(hop *h, uint32_t events)
{
  if (h->state == HOP_CONNECTING) {
    int e = 0;
    socklen_t len = sizeof e;
    if (getsockopt(h->item.fd, SOL_SOCKET, SO_ERROR, &e, &len) || e) {
      lost(h, strerror(e ? e : errno));
      return;
    }
    if (!(events & EPOLLOUT))
      return;
    h->state = HOP_GREETING;
  }
  if (events & EPOLLOUT && hop_waits(h)) {
    int r = flush(h);
    if (r < 0) {
      lost(h, strerror(errno));
      return;
    }
  }
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    receive(h);
  if (events & EPOLLRDHUP && h->state != HOP_DEAD)
    receive(h);
  if (events & EPOLLOUT && h->state == HOP_READY && !hop_waits(h) && h->owner)
    transaction_hop_writable(h->owner, h->leg);
}

/* ---- a new one, an idle one, giving it back ------------------------------------------------------ */

static hop *connect_new(loop *l, settings *s, const address *to, int64_t within_ms)
{
  int one = 1;
  hop *h = calloc(1, sizeof *h);
  if (!h || smtpf_smtpc_new(&h->codec, 0, NULL)) {
    free(h);
    return NULL;
  }
  ring_init(&h->link);
  h->loop = l;
  h->settings = settings_ref(s);
  h->item = (item){ITEM_HOP, socket(to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  h->wire.fd = h->item.fd;
  if (h->item.fd >= 0)
    setsockopt(h->item.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (h->item.fd < 0 || (connect(h->item.fd, (const struct sockaddr *)&to->sa, to->len) && errno != EINPROGRESS) ||
      server_watch(&l->base, &h->item)) {
    const int e = errno;
    if (h->item.fd >= 0)
      close(h->item.fd);
    hop_free(h);
    errno = e;
    return NULL;
  }
  h->state = HOP_CONNECTING;
  h->lmtp = to->lmtp != 0;
  h->deadline = l->base.now_ms + within_ms;
  ring_append(&l->hops, &h->link);
  return h;
}

/* The idle connection to a server that was used last. */
static hop *idle(loop *l, const server *at)
{
  for (ring *r = l->pool.prev; r != &l->pool; r = r->prev) {
    hop *h = RING_OF(r, hop, link);
    if (h->server == at)
      return h;
  }
  return NULL;
}

static hop *reuse(hop *h, struct transaction *owner, size_t on)
{
  loop *l = h->loop;
  l->pool_count--;
  ring_remove(&h->link);
  ring_append(&l->hops, &h->link);
  h->idle_since = 0;
  h->leg = on;
  h->owner = owner;
  h->reused = 1;
  if (wants(h) == SMTPF_EXT_XCLIENT) {
    h->identified = 0;
    identify(h);
  }
  return h;
}

/* How long the next server may take to be ready: those that are left have an equal share of the time that is left. */
static int64_t share(const transaction *t, const leg *g)
{
  const settings *s = t->settings;
  size_t left = 1;
  for (size_t i = 0; i < g->route->n; i++)
    left += !(g->tried >> i & 1);
  const int64_t ms = (g->until - t->loop->base.now_ms) / (int64_t)left;
  return ms < 1 ? 1 : ms < s->hop_connect_ms ? ms : s->hop_connect_ms;
}

hop *hop_acquire(loop *l, struct transaction *owner, size_t on)
{
  leg *g = &owner->legs[on];
  int probing;
  for (server *at; (at = route_pick(g->route, &g->tried, l->base.now_ms, &probing));) {
    hop *h = g->fresh ? NULL : idle(l, at);
    if (h)
      return reuse(h, owner, on);
    h = connect_new(l, owner->settings, &at->at, share(owner, g));
    if (h) {
      h->owner = owner;
      h->leg = on;
      h->route = g->route;
      h->server = at;
      h->probing = probing != 0;
      h->until = h->deadline;
      return h;
    }
    const char *why = strerror(errno);
    mark_down(owner->settings, at, l->base.now_ms, why);
    client_hop_failed(owner->client, at->name, why);
  }
  return NULL;
}

hop *hop_connect(loop *l, struct transaction *owner, size_t on, const address *to, int64_t within_ms)
{
  hop *h = connect_new(l, owner->settings, to, within_ms);
  if (!h)
    return NULL;
  h->owner = owner;
  h->leg = on;
  h->target = 1;
  h->until = h->deadline;
  return h;
}

static void leave(hop *h)
{
  if (!h->data_open && !hop_waits(h) && h->state == HOP_READY) {
    send_or_keep(h, "QUIT\r\n", 6);
    conduit_finish(&h->wire);
  }
  hop_close(h);
}

/* Nothing is outstanding: into the pool, or away. */
static void settle(hop *h)
{
  loop *l = h->loop;
  if (h->soiled || h->messages >= h->settings->pool_messages || (int64_t)l->pool_count >= h->settings->pool ||
      h->settings != loop_settings(l) || l->base.drain_until) {
    leave(h);
    return;
  }
  h->idle_since = l->base.now_ms;
  l->pool_count++;
  ring_remove(&h->link);
  ring_append(&l->pool, &h->link);
}

/* What is said next would be a message's first line, or its reply could not be noted. */
static int takes_no_command(const hop *h)
{
  return h->data_open || h->expects == sizeof h->expect || memchr(h->expect, EXPECT_DATA, h->expects);
}

void hop_release(hop *h)
{
  h->owner = NULL;
  if (h->state != HOP_READY || takes_no_command(h) || hop_waits(h) || h->soiled || h->target) {
    leave(h); /* an open transaction ends with QUIT (RFC 5321 4.1.1.10) */
    return;
  }
  if (h->mail_open) {
    h->mail_open = 0;
    hop_send(h, SMTPF_LIT("RSET\r\n"), (char[]){EXPECT_RSET, 0});
  }
  if (!h->expects)
    settle(h);
}

void hop_sweep(loop *l)
{
  for (ring *r = l->pool.next, *next; r != &l->pool; r = next) {
    hop *h = RING_OF(r, hop, link);
    next = r->next;
    if (l->base.drain_until || h->settings != loop_settings(l) ||
        l->base.now_ms - h->idle_since >= h->settings->pool_age_ms)
      leave(h);
  }
  for (ring *r = l->hops.next, *next; r != &l->hops; r = next) {
    hop *h = RING_OF(r, hop, link);
    next = r->next;
    if ((h->state == HOP_READY && !h->expects && !h->data_open) || l->base.now_ms < h->deadline)
      continue;
    const char *why = h->state == HOP_CONNECTING ? "took too long to connect" : "took too long to answer";
    if (h->server)
      mark_down(h->settings, h->server, l->base.now_ms, why);
    lost(h, why);
  }
}
