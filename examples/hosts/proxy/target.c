/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <netinet/in.h>
#include <stdlib.h>

enum servers { SERVERS_UNASKED, SERVERS_AWAITED, SERVERS_KNOWN, SERVERS_NEVER, SERVERS_UNKNOWN };

/* Outlives the target when the answer comes late; the loop frees what never gets one. */
struct lookup {
  ring link; /* in loop.lookups */
  target *target;
};

struct target {
  transaction *t;
  uint32_t on;    /* its leg */
  address at[16]; /* servers, the best first */
  size_t n, tried;
  unsigned plain; /* bits of those whose TLS does not work */
  char *host[16]; /* their names; NULL where they are addresses */
  int servers;
  int64_t until; /* loop.now_ms: to be spoken with */
  struct lookup *lookup;
  char name[ADDRESS_TEXT]; /* the server at hand */
  size_t n_domain;
  char domain[]; /* empty: the policy's servers. Its own: the recipient that it was made for may be refused */
};

/* ---- one for each domain -------------------------------------------------------------------------- */

static smtpf_str domain_of(smtpf_str of)
{
  size_t n = of.n;
  while (n && of.p[n - 1] != '@')
    n--;
  return (smtpf_str){of.p + n, of.n - n};
}

static smtpf_str leads_to(const target *g)
{
  return (smtpf_str){g->domain, g->n_domain};
}

static target *target_new(transaction *t, smtpf_str domain)
{
  target *g = calloc(1, sizeof *g + domain.n);
  if (!g)
    return NULL;
  g->t = t;
  g->n_domain = domain.n;
  if (domain.n)
    memcpy(g->domain, domain.p, domain.n);
  g->n = t->settings->n_forward_servers;
  memcpy(g->at, t->settings->forward_servers, g->n * sizeof g->at[0]);
  g->servers = g->n ? SERVERS_KNOWN : SERVERS_UNASKED;
  return g;
}

int target_leg(transaction *t, smtpf_str forward, uint32_t *on)
{
  const smtpf_str domain = t->settings->n_forward_servers ? (smtpf_str){0} : domain_of(forward);
  for (size_t i = 1; i < t->n_legs; i++)
    if (t->legs[i].target && smtpf_str_equal_nocase(leads_to(t->legs[i].target), domain)) {
      *on = (uint32_t)i;
      return 1;
    }
  target *g = target_new(t, domain);
  leg *l = g ? transaction_add_leg(t) : NULL;
  if (!l) {
    target_free(g);
    return 0;
  }
  l->target = g;
  *on = g->on = (uint32_t)(l - t->legs);
  return 1;
}

void target_free(target *g)
{
  if (g && g->lookup)
    g->lookup->target = NULL;
  for (size_t i = 0; g && i < g->n; i++)
    free(g->host[i]);
  free(g);
}

/* ---- its servers ---------------------------------------------------------------------------------- */

static address address_of(const smtpf_ip *ip, unsigned port)
{
  address a = {0};
  if (ip->family == 6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    memcpy(&in6->sin6_addr, ip->bytes, 16);
    a.len = sizeof *in6;
  } else {
    struct sockaddr_in *in = (struct sockaddr_in *)&a.sa;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    memcpy(&in->sin_addr, ip->bytes, 4);
    a.len = sizeof *in;
  }
  return a;
}

static void looked_up(void *user, int status, const smtpf_mail_host *hosts, size_t n)
{
  struct lookup *q = user;
  target *g = q->target;
  ring_remove(&q->link);
  free(q);
  if (!g)
    return;
  const int later = g->servers == SERVERS_AWAITED;
  g->lookup = NULL;
  switch (status) {
  case SMTPF_MAIL_HOSTS_OK: g->servers = SERVERS_KNOWN; break;
  case SMTPF_MAIL_HOSTS_NULL:
  case SMTPF_MAIL_HOSTS_ABSENT: g->servers = SERVERS_NEVER; break;
  default: g->servers = SERVERS_UNKNOWN;
  }
  for (size_t i = 0; i < n && g->n < sizeof g->at / sizeof g->at[0]; i++) {
    g->host[g->n] = hosts[i].name.n ? strndup(hosts[i].name.p, hosts[i].name.n) : NULL;
    g->at[g->n++] = address_of(&hosts[i].ip, g->t->settings->forward_port);
  }
  if (later && g->t->at == g->on)
    transaction_step(g->t);
}

static void look_up(target *g)
{
  loop *l = g->t->loop;
  struct lookup *q = calloc(1, sizeof *q);
  if (!q) {
    g->servers = SERVERS_UNKNOWN;
    return;
  }
  *q = (struct lookup){.target = g};
  ring_init(&q->link);
  ring_append(&l->lookups, &q->link);
  g->lookup = q;
  if (smtpf_driver_mail_hosts(l->base.driver, leads_to(g), looked_up, q) != SMTPF_OK) {
    ring_remove(&q->link);
    free(q);
    g->lookup = NULL;
    g->servers = SERVERS_UNKNOWN;
  } else if (g->servers == SERVERS_UNASKED) {
    g->servers = SERVERS_AWAITED;
  }
}

void target_forget_lookups(ring *all)
{
  while (!ring_empty(all)) {
    struct lookup *q = RING_OF(all->next, struct lookup, link);
    ring_remove(&q->link);
    free(q);
  }
}

/* ---- a connection --------------------------------------------------------------------------------- */

void target_begin(transaction *t)
{
  leg *l = transaction_leg(t);
  target *g = l->target;
  g->tried = 0;
  g->until = t->loop->base.now_ms + t->settings->forward_ms;
  if (g->servers == SERVERS_UNKNOWN)
    g->servers = SERVERS_UNASKED;
  if (l->hop)
    l->hop->until = g->until;
}

/* Every server that is left has an equal share of the time that is left. */
static hop *connect_next(target *g)
{
  transaction *t = g->t;
  const int64_t left = g->until - t->loop->base.now_ms;
  while (left > 0 && g->tried < g->n) {
    const address *a = &g->at[g->tried];
    const int64_t share = left / (int64_t)(g->n - g->tried);
    g->tried++;
    address_format((const struct sockaddr *)&a->sa, g->name, sizeof g->name);
    const hop_for is = {&transaction_hop_owner, t, g->on, NULL, NULL, g->host[g->tried - 1]};
    hop *h = hop_connect(t->loop, t->settings, &is, a, share ? share : 1);
    if (h) {
      h->plain = g->plain >> (g->tried - 1) & 1;
      return h;
    }
    t->told->server_failed(t->owner, "target-failed", g->name, "cannot be connected to");
  }
  return NULL;
}

int target_connect(transaction *t)
{
  leg *l = transaction_leg(t);
  target *g = l->target;
  if (g->servers == SERVERS_UNASKED)
    look_up(g);
  if (g->servers == SERVERS_AWAITED)
    return 0;
  l->hop = g->servers == SERVERS_KNOWN ? connect_next(g) : NULL;
  if (!l->hop)
    transaction_unreachable(t, g->servers == SERVERS_NEVER);
  return l->hop != NULL;
}

int target_has_more(const target *g)
{
  return g->tried < g->n && g->t->loop->base.now_ms < g->until;
}

void target_ready(transaction *t, size_t on)
{
  t->legs[on].hop->until = t->legs[on].target->until;
}

void target_failed(transaction *t, size_t on, const char *why, int how)
{
  target *g = t->legs[on].target;
  t->told->server_failed(t->owner, "target-failed", g->name, why);
  if (how == LOST_TLS)
    g->plain |= 1U << --g->tried;
}

void target_streams(transaction *t)
{
  transaction_leg(t)->hop->until = t->loop->base.now_ms + t->settings->forward_final_ms;
}

/* ---- what it says --------------------------------------------------------------------------------- */

static int begins_with(smtpf_str s, smtpf_str with)
{
  return with.n && s.n >= with.n && smtpf_str_equal_nocase((smtpf_str){s.p, with.n}, with);
}

static smtpf_str bare(smtpf_str path)
{
  return (smtpf_str){path.p + 1, path.n - 2};
}

/* What stands at the front of `said` and must not: its length, and what is written instead. */
static size_t hidden(const transaction *t, const recipient *r, smtpf_str said, smtpf_str *instead)
{
  if (!r->forward.n || r->leg != t->at)
    return 0;
  const smtpf_str private = bare(transaction_string(t, r->forward)), domain = domain_of(private);
  if (begins_with(said, private)) {
    *instead = bare(transaction_string(t, r->path));
    return private.n;
  }
  *instead = SMTPF_LIT("...");
  const size_t n = begins_with(said, domain) ? domain.n : 0;
  return !n && domain.n > 2 && domain.p[0] == '[' && begins_with(said, bare(domain)) ? domain.n - 2 : n;
}

void target_anonymise(const transaction *t, smtpf_str said, text *out)
{
  text_clear(out);
  while (said.n) {
    smtpf_str instead = {0};
    size_t n = hidden(t, &t->asked, said, &instead);
    for (size_t i = 0; i < t->n && !n; i++)
      n = hidden(t, &t->rcpt[i], said, &instead);
    text_add(out, n ? instead : (smtpf_str){said.p, 1});
    n += !n;
    said = (smtpf_str){said.p + n, said.n - n};
  }
}
