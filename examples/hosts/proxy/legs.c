/* SPDX-License-Identifier: MIT
 *
 * The servers that a transaction speaks with: a leg for each next hop, by the domains of its recipients, and one for
 * each target. What is done goes on with the leg that is spoken with, whenever its connection is ready and nothing is
 * outstanding; another server takes the place of one that cannot be spoken with.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hop_pool.h"
#include "target.h"

/* ---- which there are ------------------------------------------------------------------------------ */

leg *transaction_add_leg(transaction *t)
{
  leg *legs = realloc(t->legs, (t->n_legs + 1) * sizeof *legs);
  if (!legs)
    return NULL;
  t->legs = legs;
  legs[t->n_legs] = (leg){0};
  return &legs[t->n_legs++];
}

int transaction_hop_leg(transaction *t, smtpf_str path, uint32_t *on)
{
  route *r = routes_find(&t->settings->routes, path);
  for (size_t i = 0; i < t->n_legs; i++)
    if (t->legs[i].route == r) {
      *on = (uint32_t)i;
      return 1;
    }
  leg *l = transaction_add_leg(t);
  if (!l)
    return 0;
  l->route = r;
  *on = (uint32_t)(l - t->legs);
  return 1;
}

int transaction_forward_leg(transaction *t, smtpf_str forward, uint32_t *on)
{
  return t->settings->forward_inline ? target_leg(t, forward, on) : transaction_hop_leg(t, forward, on);
}

static void unseat(recipient *r, size_t on)
{
  for (int d = 0; d < DESTINATIONS; d++)
    if (copies_leg(r, d) == on)
      r->seat[d] = (seat){0};
}

void transaction_forget(transaction *t, size_t on)
{
  t->legs[on].places = 0;
  t->legs[on].stray = 0;
  if (on == t->quarantine_leg)
    t->quarantine = (seat){0};
  unseat(&t->asked, on);
  for (size_t i = 0; i < t->n; i++)
    unseat(&t->rcpt[i], on);
}

hop *transaction_unhop(transaction *t, size_t on)
{
  hop *h = t->legs[on].hop;
  t->legs[on].hop = NULL;
  t->legs[on].streaming = t->legs[on].mail_refused = 0;
  transaction_forget(t, on);
  return h;
}

/* ---- what is done, and with whom ------------------------------------------------------------------- */

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

/* A connection to the first server of the current leg's route that has not been tried: an idle one unless the leg wants
 * a fresh one. NULL when there can be none. */
static hop *next_server(transaction *t)
{
  leg *g = transaction_leg(t);
  int probing;
  for (server *at; (at = route_pick(g->route, &g->tried, t->loop->base.now_ms, &probing));) {
    const hop_for is = {&transaction_hop_owner, t, t->at, g->route, at, NULL};
    hop *h = g->fresh ? NULL : pool_take(t->loop, &is);
    if (h) {
      if (probing) /* it need not say whether its server takes new ones: others may find out */
        server_unknown(at);
      return h;
    }
    h = hop_connect(t->loop, t->settings, &is, &at->at, share(t, g));
    if (h) {
      h->probing = probing != 0;
      return h;
    }
    const char *why = strerror(errno);
    server_failed(at, t->loop->base.now_ms, t->settings->hop_retry_ms, why);
    t->told->server_failed(t->owner, "next-hop-failed", at->name, why);
  }
  return NULL;
}

/* A connection for the current leg; 0 when there is none yet. */
static int connect_leg(transaction *t)
{
  leg *l = transaction_leg(t);
  if (l->target)
    return target_connect(t);
  l->hop = next_server(t);
  if (l->hop)
    return 1;
  if (t->goal == GOAL_RCPT)
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop cannot be reached"), BY_PROXY);
  else
    deliver_lost(t, 0);
  return 0;
}

void transaction_step(transaction *t)
{
  if (!t->goal || (!transaction_leg(t)->hop && !connect_leg(t)))
    return;
  const hop *h = transaction_leg(t)->hop;
  if (h->state != HOP_READY || h->expects)
    return;
  if (t->goal == GOAL_RCPT)
    rcpt_step(t);
  else
    deliver_step(t);
}

void transaction_go(transaction *t, size_t on)
{
  t->at = on;
  leg *l = transaction_leg(t);
  l->fresh = 0;
  l->until = t->loop->base.now_ms + t->settings->hop_ms;
  l->tried = l->hop && l->hop->is.server ? 1U << (l->hop->is.server - l->route->server) : 0;
  if (l->target)
    target_begin(t);
  transaction_step(t);
}

/* ---- a target out of reach ------------------------------------------------------------------------ */

void transaction_unreachable(transaction *t, int never)
{
  if (t->goal == GOAL_DELIVER && never) {
    deliver_refused(t);
  } else if (!never && t->settings->forward_to_hop && copies_reroute(t, t->at)) {
    transaction_go(t, t->goal == GOAL_RCPT ? t->asked.leg : t->groups[t->current].leg);
  } else if (t->goal == GOAL_DELIVER) {
    deliver_lost(t, 0);
  } else {
    transaction_answer(t, never ? 550 : 451, never ? "5.2.1" : "4.4.1",
                       never ? SMTPF_LIT("mail for this recipient cannot be delivered")
                             : SMTPF_LIT("mail for this recipient cannot be delivered now"),
                       BY_PROXY);
    rcpt_forward_refused(t);
    transaction_end(t);
  }
}

/* ---- from the hop ------------------------------------------------------------------------------- */

static void ready(void *owner, size_t on)
{
  transaction *t = owner;
  if (t->legs[on].target)
    target_ready(t, on);
  if (on == t->at)
    transaction_step(t);
}

static void reply(void *owner, size_t on, int expect, const smtpf_smtpc_reply *r)
{
  transaction *t = owner;
  if (expect == EXPECT_XFORWARD)
    return; /* a courtesy: the mail goes without it */
  if (on == t->at && t->goal == GOAL_RCPT)
    rcpt_reply(t, expect, r);
  else if (on == t->at && t->goal)
    deliver_reply(t, expect, r);
  else if (expect == EXPECT_MAIL && r->code >= 400)
    t->legs[on].hop->mail_open = 0;
}

static int has_more(const transaction *t, const leg *l)
{
  return l->target ? target_has_more(l->target) : t->loop->base.now_ms < l->until && route_has_more(l->route, l->tried);
}

/* The same server once more, over a new connection. */
static void again_afresh(transaction *t, const server *at)
{
  leg *l = transaction_leg(t);
  l->fresh = 1;
  l->tried &= ~(1U << (at - l->route->server));
  transaction_step(t);
}

static void lost(void *owner, size_t on, const char *why, int how)
{
  transaction *t = owner;
  leg *l = &t->legs[on];
  const server *at = l->hop->is.server;
  const int streaming = l->streaming;
  /* With its dot on its way, nobody knows whether it was taken: to send it again might double it. */
  const int began = streaming && t->out.ended && !hop_waits(l->hop);
  transaction_unhop(t, on);
  if (l->target)
    target_failed(t, on, why, how);
  if (!t->goal || on != t->at)
    return;
  if (l->target && !streaming) { /* perhaps the next server */
    transaction_step(t);
    return;
  }
  if (how == LOST_TLS ||
      (how == LOST_REUSED && !l->fresh && !streaming)) { /* perhaps it was closed while it was idle */
    again_afresh(t, at);
    return;
  }
  if (!l->target)
    t->told->server_failed(t->owner, "next-hop-failed", at->name, why);
  if (!began && has_more(t, l)) {
    transaction_step(t);
    return;
  }
  if (t->goal == GOAL_DELIVER)
    deliver_lost(t, streaming);
  else
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop does not answer"), BY_PROXY);
}

/* What a server says of the client is the answer, as what it says of a recipient is. */
static void refused(void *owner, size_t on, const smtpf_smtpc_reply *r)
{
  transaction *t = owner;
  const hop *h = transaction_unhop(t, on);
  if (on != t->at || !t->goal)
    return;
  if (h->reused) /* it may think so of the one before, or of so many on one connection */
    again_afresh(t, h->is.server);
  else if (t->goal == GOAL_RCPT)
    rcpt_client_refused(t, r);
  else
    deliver_client_refused(t, r);
}

static void writable(void *owner, size_t on)
{
  transaction *t = owner;
  if (on == t->at && t->legs[on].streaming)
    deliver_stream(t);
}

static void identity(const void *owner, identity_of *who)
{
  const transaction *t = owner;
  t->told->identity(t->owner, who);
}

const hop_owner transaction_hop_owner = {
    .ready = ready, .reply = reply, .lost = lost, .refused = refused, .writable = writable, .identity = identity};
