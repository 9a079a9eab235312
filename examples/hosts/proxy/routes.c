/* SPDX-License-Identifier: MIT */
#include "routes.h"

#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/log.h"

const char *const hop_tls_words[] = {"none", "may", "encrypt", "verify", NULL};

/* ---- reading the policy ------------------------------------------------------------------------ */

typedef struct reading {
  const smtpf_engine *engine;
  const host_policy *policy;
  smtpf_error *err;
} reading;

static int fail(const reading *in, int code, const char *path, const char *value, const char *expected)
{
  return host_policy_fail(in->err, code, in->policy, path, value, expected);
}

static int read_server(server *s, const reading *in, const char *path, const char *name)
{
  if (!address_parse(name, &s->at))
    return fail(in, SMTPF_EPARSE, path, name,
                "an address such as 127.0.0.1:25, [::1]:25, unix:/run/smtp, lmtp:127.0.0.1:24 or lmtp:unix:/run/lmtp");
  address_format((const struct sockaddr *)&s->at.sa, s->name, sizeof s->name);
  return SMTPF_OK;
}

static int read_servers(route *r, const reading *in, const char *path)
{
  int result = SMTPF_OK;
  const char *name;
  r->server = calloc(ROUTE_SERVERS_MAX, sizeof *r->server);
  if (!r->server)
    return fail(in, SMTPF_ENOMEM, path, "", "memory");
  while (!result && r->n < ROUTE_SERVERS_MAX && (name = host_string(in->engine, path, r->n)))
    result = read_server(&r->server[r->n++], in, path, name);
  return result || r->n ? result : fail(in, SMTPF_EINVAL, path, "", "at least one server");
}

/* What it says of TLS, else what `proxy.hop_tls` says. */
static void read_tls(route *r, const reading *in, const char *path)
{
  r->tls = host_choice(in->engine, host_string(in->engine, path, 0) ? path : "proxy.hop_tls", hop_tls_words);
}

static int read_route(route *r, const reading *in, const char *domain)
{
  char path[300];
  r->domain = domain;
  if (smtpf_domain_form(smtpf_str_of(domain + (domain[0] == '.'))) == SMTPF_DOMAIN_BAD || strpbrk(domain, "\"\\"))
    return fail(in, SMTPF_EINVAL, "proxy.routes", domain, "a domain, or with a dot before it all that is below it");
  snprintf(path, sizeof path, "proxy.routes[\"%s\"].tls", domain);
  read_tls(r, in, path);
  snprintf(path, sizeof path, "proxy.routes[\"%s\"].tls_name", domain);
  r->tls_name = host_string(in->engine, path, 0);
  snprintf(path, sizeof path, "proxy.routes[\"%s\"].servers", domain);
  return read_servers(r, in, path);
}

int routes_load(routes *r, const smtpf_engine *e, const host_policy *p, smtpf_error *err)
{
  const reading in = {e, p, err};
  const char *domain;
  size_t n = 0;
  while (host_string(e, "proxy.routes", n))
    n++;
  r->route = calloc(n + 1, sizeof *r->route);
  if (!r->route)
    return fail(&in, SMTPF_ENOMEM, "proxy.routes", "", "memory");
  read_tls(&r->route[0], &in, "proxy.hop_tls");
  r->route[0].tls_name = host_string(e, "proxy.hop_tls_name", 0);
  int result = read_servers(&r->route[r->n++], &in, "proxy.next_hop");
  while (!result && (domain = host_string(e, "proxy.routes", r->n - 1)))
    result = read_route(&r->route[r->n++], &in, domain);
  return result;
}

void routes_free(routes *r)
{
  for (size_t i = 0; i < r->n; i++)
    free(r->route[i].server);
  free(r->route);
  *r = (routes){0};
}

/* ---- which one ---------------------------------------------------------------------------------- */

static smtpf_str domain_of(smtpf_str path)
{
  size_t n = path.n;
  while (n && path.p[n - 1] != '@')
    n--;
  smtpf_str domain = {path.p + n, n ? path.n - n : 0};
  if (domain.n && domain.p[domain.n - 1] == '>')
    domain.n--;
  return domain;
}

/* How well a route serves a domain: 0 not at all; its own name above all, then the longest that it is below of. */
static size_t merit(const route *r, smtpf_str domain)
{
  const smtpf_str name = smtpf_str_of(r->domain);
  if (name.p[0] != '.')
    return smtpf_domain_equal(name, domain) ? SIZE_MAX : 0;
  const smtpf_str parent = {name.p + 1, name.n - 1};
  return smtpf_domain_within(domain, parent) && !smtpf_domain_equal(domain, parent) ? name.n : 0;
}

route *routes_find(const routes *r, smtpf_str path)
{
  const smtpf_str domain = domain_of(path);
  size_t best = 0, most = 0;
  for (size_t i = 1; i < r->n && domain.n; i++) {
    const size_t m = merit(&r->route[i], domain);
    if (m > most) {
      best = i;
      most = m;
    }
  }
  return &r->route[best];
}

/* ---- what they offer ------------------------------------------------------------------------------ */

void route_learn(route *r, unsigned extensions, uint64_t size)
{
  atomic_store_explicit(&r->extensions, extensions | ROUTE_KNOWN, memory_order_relaxed);
  atomic_store_explicit(&r->size, size, memory_order_relaxed);
}

unsigned routes_offer(const routes *r, uint64_t *size)
{
  unsigned all = ~0U, known = 0;
  *size = 0;
  for (size_t i = 0; i < r->n; i++) {
    const unsigned has = atomic_load_explicit(&r->route[i].extensions, memory_order_relaxed);
    const uint64_t most = atomic_load_explicit(&r->route[i].size, memory_order_relaxed);
    if (!(has & ROUTE_KNOWN))
      continue;
    known = 1;
    all &= has;
    if (most && (!*size || most < *size))
      *size = most;
  }
  return known ? all & ~ROUTE_KNOWN : 0;
}

/* ---- which of its servers ---------------------------------------------------------------------------- */

/* Nothing is against it, or its time has come and nobody else finds out. */
static int may_be_up(server *s, int64_t now, int *probing)
{
  const int64_t until = atomic_load_explicit(&s->down_until, memory_order_relaxed);
  *probing = 0;
  if (!until)
    return 1;
  *probing = now >= until && !atomic_exchange(&s->trying, 1);
  return *probing;
}

server *route_pick(const route *r, uint32_t *tried, int64_t now, int *probing)
{
  size_t best = r->n;
  int64_t soonest = INT64_MAX;
  for (size_t i = 0; i < r->n; i++) {
    if (*tried >> i & 1)
      continue;
    if (may_be_up(&r->server[i], now, probing)) {
      *tried |= 1U << i;
      return &r->server[i];
    }
    const int64_t until = atomic_load_explicit(&r->server[i].down_until, memory_order_relaxed);
    if (until < soonest) {
      soonest = until;
      best = i;
    }
  }
  if (best == r->n) /* all that are left are down: better than no try */
    return NULL;
  *tried |= 1U << best;
  return &r->server[best];
}

void server_failed(server *s, int64_t now, int64_t for_ms, const char *why)
{
  const int64_t before = atomic_exchange(&s->down_until, now + for_ms);
  atomic_store(&s->trying, 0);
  if (!before)
    log_line("warning", "hop-down",
             (log_field[]){{"server", smtpf_str_of(s->name)}, {"why", smtpf_str_of(why)}, {NULL, {NULL, 0}}});
}

void server_good(server *s)
{
  if (!atomic_load_explicit(&s->down_until, memory_order_relaxed))
    return;
  atomic_store(&s->trying, 0);
  if (atomic_exchange(&s->down_until, 0))
    log_text("info", "hop-up", "server", s->name);
}

void server_unknown(server *s)
{
  atomic_store(&s->trying, 0);
}
