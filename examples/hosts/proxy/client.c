/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "auth.h"
#include "transaction.h"

#define LINGER_MS 2000
#define LINGER_DRAIN_MS 1000
#define OUT_KEEP 1024 /* room for unsent replies that an idle client may keep */

/* ---- closing ------------------------------------------------------------------------------------ */

void client_close(client *c)
{
  if (c->dead)
    return;
  c->dead = 1;
  if (c->delay)
    smtpf_driver_timer_cancel(c->loop->base.driver, c->delay);
  auth_end(c);
  transaction_free(c->tx);
  transaction_free(c->offered);
  c->tx = c->offered = NULL;
  smtpf_session_free(c->session);
  c->session = NULL;
  close(c->item.fd);
  peers_leave(&loop_shared(c->loop)->peers, c->peer);
  c->loop->base.count--;
  ring_remove(&c->resume);
  ring_remove(&c->link);
  ring_append(&c->loop->dead_clients, &c->link);
}

void client_free(client *c)
{
  ring_remove(&c->link);
  smtpf_smtpd_free(c->codec);
  settings_unref(c->settings);
  conduit_free(&c->conduit);
  free(c->helo);
  free(c->offered_helo);
  free(c->rdns);
  free(c->said_helo);
  free(c->login);
  free(c->held);
  text_free(&c->out);
  free(c);
}

/* ---- replies ------------------------------------------------------------------------------------ */

int client_unsent(const client *c)
{
  return c->out_at < c->out.n || conduit_waits(&c->conduit);
}

/* Sends what there is. 1 when all was taken, 0 when some must wait, -1 when the client is gone. */
static int push(client *c, const char *p, size_t n, size_t *sent)
{
  *sent = 0;
  while (*sent < n) {
    ssize_t w = conduit_write(&c->conduit, p + *sent, n - *sent);
    if (w < 0)
      return errno == EAGAIN ? 0 : -1;
    *sent += (size_t)w;
  }
  return 1;
}

/* Sends this turn's replies; keeps what does not go. */
void client_flush(client *c)
{
  loop *l = c->loop;
  size_t sent = 0, n = l->replies_n;
  l->replies_n = 0;
  if (!n || c->dead)
    return;
  int r = client_unsent(c) ? 0 : push(c, l->replies, n, &sent);
  if (r == 0)
    text_add(&c->out, (smtpf_str){l->replies + sent, n - sent});
  if (client_unsent(c))
    c->deadline = l->base.now_ms + c->settings->data_ms;
  if (r < 0 || c->out.failed)
    client_close(c);
}

/* Sends what was kept. */
static void flush_kept(client *c)
{
  size_t sent = 0;
  int r = conduit_flush(&c->conduit);
  if (r > 0 && c->out_at < c->out.n)
    r = push(c, c->out.p + c->out_at, c->out.n - c->out_at, &sent);
  c->out_at += sent;
  if (r < 0) {
    client_close(c);
    return;
  }
  if (sent)
    c->deadline = c->loop->base.now_ms + c->settings->data_ms;
  if (r > 0) {
    c->out_at = 0;
    text_clear(&c->out);
    if (c->out.cap > OUT_KEEP)
      text_free(&c->out);
  }
}

char *client_reply_room(client *c)
{
  if (LOOP_REPLIES - c->loop->replies_n < SMTPF_REPLY_MAX)
    client_flush(c);
  return c->dead ? NULL : c->loop->replies + c->loop->replies_n;
}

void client_replied(client *c, int n)
{
  if (n < 0) { /* the codec takes no answer: nothing sensible can follow */
    client_failure(c, "reply", smtpf_strerror(n));
    c->closing = 1;
    return;
  }
  c->loop->replies_n += (size_t)n;
}

void client_reply_long(client *c, const char *p, size_t n)
{
  while (n) {
    char *room = client_reply_room(c);
    const size_t piece = n < SMTPF_REPLY_MAX ? n : SMTPF_REPLY_MAX;
    if (!room)
      return;
    memcpy(room, p, piece);
    c->loop->replies_n += piece;
    p += piece;
    n -= piece;
  }
}

void client_last_words(client *c, const char *line)
{
  char *room = client_reply_room(c);
  if (!room)
    return;
  int n = snprintf(room, SMTPF_REPLY_MAX, "%.9s %s %s\r\n", line, c->settings->hostname, line + 10);
  client_replied(c, n);
  c->closing = 1;
}

static void linger(client *c)
{
  ssize_t n;
  do
    n = recv(c->item.fd, c->loop->in, sizeof c->loop->in, 0);
  while (n > 0 || (n < 0 && errno == EINTR));
  if (!n || errno != EAGAIN)
    client_close(c);
}

/* All has been said. The socket stays until the client closes too, and what it still says is read: closing over input
 * that nobody has read is a reset, which could overtake our last reply. */
static void finish(client *c)
{
  if (c->kind == SMTPF_SMTPD_COMMAND && c->verb == SMTPF_VERB_QUIT && !c->held_n) {
    client_close(c);
    return;
  }
  conduit_finish(&c->conduit);
  shutdown(c->item.fd, SHUT_WR);
  auth_end(c);
  transaction_free(c->tx);
  transaction_free(c->offered);
  c->tx = c->offered = NULL;
  smtpf_session_free(c->session);
  c->session = NULL;
  c->wait = WAIT_LINGER;
  c->deadline = c->loop->base.now_ms + (c->loop->base.drain_until ? LINGER_DRAIN_MS : LINGER_MS);
  linger(c);
}

/* ---- input -------------------------------------------------------------------------------------- */

void client_hold(client *c, const char *p, size_t n)
{
  if (c->held && p >= c->held && p < c->held + c->held_end) {
    c->held_at = (size_t)(p - c->held);
    c->held_n = n;
    return;
  }
  char *room = malloc(n);
  if (!room) {
    client_close(c);
    return;
  }
  memcpy(room, p, n);
  free(c->held);
  c->held = room;
  c->held_at = 0;
  c->held_n = c->held_end = n;
}

/* The rest of a piece of the body, and behind it what follows: the two may lie apart. */
static void hold_rest(client *c, smtpf_str rest, const char *p, size_t n)
{
  char *room = malloc(rest.n + n);
  if (!room) {
    client_close(c);
    return;
  }
  memcpy(room, rest.p, rest.n);
  memcpy(room + rest.n, p, n);
  free(c->held);
  c->held = room;
  c->held_at = 0;
  c->held_n = n;
  c->held_end = rest.n + n;
  c->rest_n = rest.n;
}

/* More input, when there is. */
static int fill(client *c, const char **p, size_t *n)
{
  loop *l = c->loop;
  free(c->held);
  c->held = NULL;
  c->held_at = c->held_n = 0;
  while (c->readable) {
    ssize_t r = conduit_read(&c->conduit, l->in, sizeof l->in);
    if (r < 0 && errno == EAGAIN) {
      c->readable = 0;
    } else if (r <= 0) {
      c->hung_up = 1;
      c->closing = 1;
      c->readable = 0;
    } else {
      if ((size_t)r < sizeof l->in && !c->hung_up && !c->conduit.tls)
        c->readable = 0; /* drained: the next arrival is a new event */
      *p = l->in;
      *n = (size_t)r;
      return 1;
    }
  }
  return 0;
}

static void body(client *c, smtpf_smtpd_event *ev)
{
  if (c->tx && c->in_message)
    transaction_body(c->tx, ev->body);
  if (smtpf_smtpd_apply(c->codec, c->session, ev) == SMTPF_PENDING)
    c->wait = WAIT_BODY;
}

/* Deals with input until it is used up or something must be waited for. */
static void take(client *c)
{
  const char *p = c->held ? c->held + c->held_at : "";
  size_t n = c->held_n;
  smtpf_smtpd_event ev;
  c->held_n = 0;
  while (!c->dead && !c->closing && c->wait == WAIT_NONE && !client_unsent(c)) {
    if (!n && !c->unasked && !fill(c, &p, &n))
      break;
    const size_t before = n;
    int r = smtpf_smtpd_next(c->codec, &p, &n, &ev);
    c->unasked = r == SMTPF_OK;
    if (r == SMTPF_OK || before > 0)
      c->partial = r == SMTPF_PENDING && !c->in_message;
    if (r == SMTPF_OK && ev.kind == SMTPF_SMTPD_BODY) {
      body(c, &ev);
      if (c->wait == WAIT_BODY) {
        hold_rest(c, ev.body, p, n);
        return;
      }
    } else if (r == SMTPF_OK) {
      client_found(c, &ev);
    } else if (r != SMTPF_PENDING) {
      client_last_words(c, "421 4.3.0 closing after a local failure");
    }
  }
  if (n && !c->dead && !c->closing)
    client_hold(c, p, n);
}

/* ---- turns -------------------------------------------------------------------------------------- */

/* How long the client has for what it must do next. */
static void set_deadline(client *c, int was_partial)
{
  const int64_t now = c->loop->base.now_ms;
  if (c->wait != WAIT_NONE || client_unsent(c))
    return;
  if (c->in_message) {
    c->deadline = now + c->settings->data_ms;
    if (c->deadline > c->message_until)
      c->deadline = c->message_until;
  } else if (!c->partial) {
    c->deadline = now + c->settings->idle_ms;
  } else if (!was_partial) {
    c->deadline = now + c->settings->command_ms;
  }
}

void client_turn(client *c)
{
  const int was_partial = c->partial;
  if (c->dead)
    return;
  if (c->wait == WAIT_NONE)
    take(c);
  if (!c->dead && c->loop->base.drain_until)
    client_dismiss(c, 0);
  client_flush(c);
  if (c->dead)
    return;
  if (c->closing && c->wait != WAIT_LINGER && !client_unsent(c))
    finish(c);
  else
    set_deadline(c, was_partial);
}

void client_event(client *c, uint32_t events)
{
  if (c->dead)
    return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    c->readable = 1;
  if (events & EPOLLRDHUP)
    c->hung_up = 1;
  if (events & (EPOLLHUP | EPOLLERR) && !(c->tx && c->tx->begun)) {
    client_close(c);
    return;
  }
  if (events & EPOLLOUT && client_unsent(c))
    flush_kept(c);
  if (c->dead)
    return;
  if (c->wait == WAIT_LINGER)
    linger(c);
  else if (c->wait == WAIT_HEADER || c->wait == WAIT_TLS)
    client_arrive(c);
  else if (c->wait == WAIT_NONE || c->closing)
    client_turn(c);
}

void client_resume(client *c)
{
  if (!c->dead && ring_empty(&c->resume))
    ring_append(&c->loop->base.resume, &c->resume);
}

static void offer_rest(client *c)
{
  size_t taken = 0;
  int r = smtpf_session_body(c->session, c->held + c->held_at, c->rest_n, &taken);
  if (r < 0)
    taken = c->rest_n; /* refused by the session: what follows tells */
  c->held_at += taken;
  c->rest_n -= taken;
  c->wait = c->rest_n ? WAIT_BODY : WAIT_NONE;
}

static void delay_over(void *user)
{
  client *c = user;
  c->delay = 0;
  c->delayed = 1;
  client_resume(c);
}

int client_delay(client *c, int64_t ms)
{
  if (smtpf_driver_timer(c->loop->base.driver, ms, delay_over, c, &c->delay) != SMTPF_OK)
    return 0;
  c->wait = WAIT_DELAY;
  return 1;
}

void client_go_on(client *c)
{
  if (c->dead)
    return;
  switch (c->wait) {
  case WAIT_HOP:
    if (c->tx && c->tx->code) {
      c->wait = WAIT_NONE;
      client_hop_answered(c);
    }
    break;
  case WAIT_VERDICT:
    if (smtpf_session_verdict(c->session)) {
      c->wait = WAIT_NONE;
      client_verdict(c);
    }
    break;
  case WAIT_DELAY:
    if (c->delayed) {
      c->wait = WAIT_NONE;
      client_verdict(c);
    }
    break;
  case WAIT_BODY: offer_rest(c); break;
  case WAIT_AUTH:
    if (auth_has_answer(c)) {
      c->wait = WAIT_NONE;
      auth_answered(c);
    }
    break;
  default: break;
  }
  client_turn(c);
}

void client_session_ready(client *c)
{
  if (c->wait == WAIT_VERDICT || c->wait == WAIT_BODY)
    client_resume(c);
}

/* Nothing is under way, and no mail would be lost. */
static int is_idle(const client *c)
{
  return !(c->tx && c->tx->n) && !c->offered && c->wait == WAIT_NONE && !c->held_n && !c->partial;
}

void client_dismiss(client *c, int now)
{
  if (c->dead || c->wait == WAIT_LINGER || (c->closing && !now))
    return;
  if (c->wait == WAIT_TLS || (c->wait == WAIT_HEADER && c->implicit_tls)) { /* nothing can be said yet */
    client_close(c);
    return;
  }
  if (!now && c->wait != WAIT_HEADER && !is_idle(c))
    return;
  if (!c->closing && !client_unsent(c))
    client_last_words(c, "421 4.3.2 is shutting down");
  c->closing = 1;
  if (!now && c->wait != WAIT_HEADER)
    return;
  client_flush(c);
  if (client_unsent(c)) /* it does not read */
    client_close(c);
  else if (!c->dead)
    finish(c);
}

void client_sweep(loop *l)
{
  for (ring *r = l->clients.next, *next; r != &l->clients; r = next) {
    client *c = RING_OF(r, client, link);
    next = r->next;
    if (c->dead || l->base.now_ms < c->deadline)
      continue;
    if (c->wait == WAIT_HEADER || c->wait == WAIT_TLS) {
      client_failure(c, c->wait == WAIT_TLS ? "tls" : "proxy-protocol", "timed out");
      client_close(c);
    } else if (c->wait == WAIT_LINGER || client_unsent(c)) {
      client_close(c);
    } else if (c->wait == WAIT_NONE) {
      client_last_words(c, "421 4.4.2 timed out");
      client_turn(c);
    }
  }
}

int client_answers_each(const client *c, smtpf_str params)
{
  return c->lmtp || (c->settings->prdr && envelope_has(params, SMTPF_LIT("PRDR"), (smtpf_str){0}));
}
