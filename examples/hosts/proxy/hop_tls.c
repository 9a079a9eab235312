/* SPDX-License-Identifier: MIT */
#include "hop_tls.h"

#include <string.h>

#include "../../common/log.h"
#include "hop.h"

const char *const hop_tls_words[] = {"none", "may", "encrypt", "verify", NULL};

/* ---- what a policy says ------------------------------------------------------------------------- */

static int at_least(const settings *s, int level)
{
  int found = s->forward_inline && s->forward_tls >= level;
  for (size_t i = 0; i < s->routes.n; i++)
    found |= s->routes.route[i].tls >= level;
  return found;
}

/* A certificate has the name of its server or its address; a Unix socket has neither. */
static int can_be_verified(const route *r)
{
  for (size_t i = 0; i < r->n && r->tls == HOP_TLS_VERIFY && !r->tls_name; i++)
    if (r->server[i].at.sa.ss_family == AF_UNIX)
      return 0;
  return 1;
}

int hop_tls_load(settings *s, const host_policy *p, smtpf_error *err)
{
  const smtpf_engine *e = s->base.engine;
  const tls_options o = {.client = 1,
                         .certificate = {host_string(e, "proxy.hop_tls_certificate", 0)},
                         .key = {host_string(e, "proxy.hop_tls_key", 0)},
                         .authorities = host_string(e, "proxy.hop_tls_authorities", 0)};
  s->forward_tls = host_choice(e, "proxy.forward_tls", hop_tls_words);
  for (size_t i = 0; i < s->routes.n; i++)
    if (!can_be_verified(&s->routes.route[i]))
      return host_policy_fail(err, SMTPF_EINVAL, p, "verify", s->routes.route[i].server[0].name,
                              "the name in the certificate, hop_tls_name or tls_name");
  if (!at_least(s, HOP_TLS_MAY))
    return SMTPF_OK;
  const int r = tls_context_new(&s->hop_tls, &o, err);
  return r == SMTPF_EUNSUPPORTED && !at_least(s, HOP_TLS_ENCRYPT) ? SMTPF_OK : r; /* what may be need not be */
}

void hop_tls_free(settings *s)
{
  tls_context_unref(s->hop_tls);
}

/* ---- one connection ------------------------------------------------------------------------------- */

static int level_of(const hop *h)
{
  return h->route ? h->route->tls : h->settings->forward_tls;
}

/* It failed with this server before, not long ago. */
static int is_broken(const hop *h)
{
  return h->server && h->loop->base.now_ms < atomic_load_explicit(&h->server->plain_until, memory_order_relaxed);
}

int hop_tls_due(const hop *h)
{
  const int level = level_of(h);
  if (h->wire.tls || level == HOP_TLS_NONE)
    return 0;
  if (level == HOP_TLS_MAY && (h->plain || !h->settings->hop_tls || is_broken(h)))
    return 0;
  if (h->extensions & SMTPF_EXT_STARTTLS && !h->plain)
    return 1;
  return level == HOP_TLS_MAY ? 0 : -1;
}

int hop_tls_start(hop *h)
{
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  char host[64] = "";
  const char *name = h->route ? h->route->tls_name : h->name;
  if (!name && !getpeername(h->item.fd, (struct sockaddr *)&sa, &len)) {
    address_host((const struct sockaddr *)&sa, host, sizeof host);
    name = host;
  }
  return conduit_start(&h->wire, h->settings->hop_tls, name, level_of(h) == HOP_TLS_VERIFY);
}

int hop_tls_failed(hop *h, const char *why)
{
  if (level_of(h) != HOP_TLS_MAY)
    return 0;
  if (h->server) {
    atomic_store(&h->server->plain_until, h->loop->base.now_ms + h->settings->hop_retry_ms);
    log_line("warning", "hop-tls-failed",
             (log_field[]){{"server", smtpf_str_of(h->server->name)}, {"why", smtpf_str_of(why)}, {NULL, {NULL, 0}}});
  }
  return 1;
}
