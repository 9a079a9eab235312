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

#include "hop_dialogue.h"
#include "hop_tls.h"

/* ---- closing ----------------------------------------------------------------------------------- */

void hop_close(hop *h)
{
  if (h->state == HOP_DEAD)
    return;
  if (h->idle_since)
    h->loop->pool_count--;
  if (h->probing)
    server_unknown(h->is.server);
  h->probing = 0;
  h->state = HOP_DEAD;
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

/* What it is counted as: targets are whoever is forwarded to. */
static const char *hop_metric(const hop *h)
{
  return h->is.server ? h->is.server->name : "target";
}

/* The connection failed: its owner is told. */
static void lost(hop *h, const char *why)
{
  int how = h->reused || h->messages ? LOST_REUSED : h->state == HOP_READY ? LOST_READY : LOST_NEW;
  if (h->state == HOP_TLS && hop_tls_failed(h, why))
    how = LOST_TLS;
  if (how == LOST_NEW)
    metrics_count(h->loop->base.metrics, METRICS_HOP_FAILURES, hop_metric(h), NULL);
  if (h->is.server && how == LOST_NEW && !h->identified) { /* once told of a client, it may be that client it refuses */
    server_failed(h->is.server, h->loop->base.now_ms, h->settings->hop_retry_ms, why);
    h->probing = 0;
  }
  hop_close(h);
  h->is.told->lost(h->is.owner, h->is.leg, why, how);
}

static void set_deadline(hop *h, int64_t ms)
{
  h->deadline = h->loop->base.now_ms + ms;
  if (h->until && h->deadline > h->until)
    h->deadline = h->until;
}

static int64_t reply_ms(const hop *h)
{
  return !h->is.server ? h->settings->forward_ms : h->settings->hop_ms;
}

static int64_t final_ms(const hop *h)
{
  return !h->is.server ? h->settings->forward_final_ms : h->settings->hop_final_ms;
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

void hop_leave(hop *h)
{
  if (!h->data_open && !hop_waits(h) && h->state == HOP_READY) {
    send_or_keep(h, "QUIT\r\n", 6);
    conduit_finish(&h->wire);
  }
  hop_close(h);
}

/* ---- getting ready ------------------------------------------------------------------------------ */

static void ready(hop *h)
{
  if (!h->reused)
    metrics_count(h->loop->base.metrics, METRICS_HOP_READY, hop_metric(h), h->wire.tls ? "yes" : "no");
  if (h->is.server) {
    h->until = 0;
    h->probing = 0;
    server_good(h->is.server);
  }
  h->is.told->ready(h->is.owner, h->is.leg);
}

static void handshake(hop *h)
{
  set_deadline(h, reply_ms(h));
  if (hop_tls_start(h))
    lost(h, "TLS cannot be begun");
}

/* The server is well, and wants nothing of this client. */
static void refused(hop *h, const smtpf_smtpc_reply *r)
{
  server_good(h->is.server);
  hop_close(h);
  h->is.told->refused(h->is.owner, h->is.leg, r);
}

/* Does what the dialogue says is next, after a reply where there was one. */
static void go_on(hop *h, dialogue_step step, const smtpf_smtpc_reply *r, text *line)
{
  switch (step.next) {
  case DIALOGUE_SAY:
    set_deadline(h, reply_ms(h));
    send_or_keep(h, line->p, line->n);
    break;
  case DIALOGUE_HANDSHAKE: handshake(h); break;
  case DIALOGUE_READY: ready(h); break;
  case DIALOGUE_REFUSED: refused(h, r); break;
  default: lost(h, step.why);
  }
  text_free(line);
}

void hop_give(hop *h, const hop_for *is)
{
  text line = {0};
  h->is = *is;
  if (!dialogue_uses_xclient(h))
    return;
  h->identified = 0;
  go_on(h, dialogue_identify(h, &line), NULL, &line);
}

/* ---- receiving ---------------------------------------------------------------------------------- */

static void reply(hop *h, const smtpf_smtpc_reply *r)
{
  text line = {0};
  if (h->state != HOP_READY) {
    go_on(h, dialogue_heard(h, r, &line), r, &line);
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
  if (h->is.server && what == EXPECT_FINAL) /* over a kept connection nothing else tells */
    server_good(h->is.server);
  h->is.told->reply(h->is.owner, h->is.leg, what, r);
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
    if (h->state == HOP_TLS && e == EAGAIN && conduit_up(&h->wire)) {
      text line = {0};
      go_on(h, dialogue_secured(h, &line), NULL, &line);
    }
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
  if (events & EPOLLOUT && h->state == HOP_READY && !hop_waits(h))
    h->is.told->writable(h->is.owner, h->is.leg);
}

/* ---- a new one ---------------------------------------------------------------------------------- */

hop *hop_connect(loop *l, settings *s, const hop_for *is, const address *to, int64_t within_ms)
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
  h->is = *is;
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
  h->deadline = h->until = l->base.now_ms + within_ms;
  ring_append(&l->hops, &h->link);
  return h;
}

void hop_sweep(loop *l)
{
  for (ring *r = l->hops.next, *next; r != &l->hops; r = next) {
    hop *h = RING_OF(r, hop, link);
    next = r->next;
    if ((h->state == HOP_READY && !h->expects && !h->data_open) || l->base.now_ms < h->deadline)
      continue;
    const char *why = h->state == HOP_CONNECTING ? "took too long to connect" : "took too long to answer";
    if (h->is.server)
      server_failed(h->is.server, l->base.now_ms, h->settings->hop_retry_ms, why);
    lost(h, why);
  }
}
