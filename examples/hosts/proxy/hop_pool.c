/* SPDX-License-Identifier: MIT */
#include "hop_pool.h"

#include <string.h>

/* Nothing is outstanding: into the pool, or away. */
static void settle(hop *h)
{
  loop *l = h->loop;
  if (h->soiled || h->messages >= h->settings->pool_messages || (int64_t)l->pool_count >= h->settings->pool ||
      h->settings != loop_settings(l) || l->base.drain_until) {
    hop_leave(h);
    return;
  }
  h->idle_since = l->base.now_ms;
  l->pool_count++;
  ring_remove(&h->link);
  ring_append(&l->pool, &h->link);
}

/* ---- as an owner: the hop is its own ---------------------------------------------------------------- */

static void go_on(void *owner, size_t leg)
{
  (void)owner;
  (void)leg;
}

static void answered(void *owner, size_t leg, int expect, const smtpf_smtpc_reply *r)
{
  hop *h = owner;
  (void)leg;
  (void)expect;
  (void)r;
  if (!h->expects)
    settle(h);
}

static void lost(void *owner, size_t leg, const char *why, int how)
{
  (void)owner;
  (void)leg;
  (void)why;
  (void)how;
}

static void refused(void *owner, size_t leg, const smtpf_smtpc_reply *r)
{
  (void)owner;
  (void)leg;
  (void)r;
}

static void nobody(const void *owner, identity_of *who)
{
  (void)owner;
  *who = (identity_of){0};
}

static const hop_owner kept = {
    .ready = go_on, .reply = answered, .lost = lost, .refused = refused, .writable = go_on, .identity = nobody};

/* What is said next would be a message's first line, or its reply could not be noted. */
static int takes_no_command(const hop *h)
{
  return h->data_open || h->expects == sizeof h->expect || memchr(h->expect, EXPECT_DATA, h->expects);
}

void pool_release(hop *h)
{
  h->is.told = &kept;
  h->is.owner = h;
  if (h->state != HOP_READY || takes_no_command(h) || hop_waits(h) || h->soiled || !h->is.server) {
    hop_leave(h); /* an open transaction ends with QUIT (RFC 5321 4.1.1.10) */
    return;
  }
  if (h->mail_open) {
    h->mail_open = 0;
    hop_send(h, SMTPF_LIT("RSET\r\n"), (char[]){EXPECT_RSET, 0});
  }
  if (!h->expects)
    settle(h);
}

/* ---- out of it again -------------------------------------------------------------------------------- */

/* The one that was used last. */
static hop *idle(loop *l, const server *at)
{
  for (ring *r = l->pool.prev; r != &l->pool; r = r->prev) {
    hop *h = RING_OF(r, hop, link);
    if (h->is.server == at)
      return h;
  }
  return NULL;
}

hop *pool_take(loop *l, const hop_for *is)
{
  hop *h = idle(l, is->server);
  if (!h)
    return NULL;
  l->pool_count--;
  ring_remove(&h->link);
  ring_append(&l->hops, &h->link);
  h->idle_since = 0;
  h->reused = 1;
  hop_give(h, is);
  return h;
}

void pool_sweep(loop *l)
{
  for (ring *r = l->pool.next, *next; r != &l->pool; r = next) {
    hop *h = RING_OF(r, hop, link);
    next = r->next;
    if (l->base.drain_until || h->settings != loop_settings(l) ||
        l->base.now_ms - h->idle_since >= h->settings->pool_age_ms)
      hop_leave(h);
  }
}
