/* SPDX-License-Identifier: MIT */
#include "incoming.h"

#include <stdio.h>
#include <string.h>

static int fail(smtpf_error *err, const host_policy *p, const char *path, const char *value, const char *expected)
{
  return host_policy_fail(err, SMTPF_EINVAL, p, path, value, expected);
}

static int read_networks(smtpf_trie **out, const smtpf_engine *e, const char *path, const host_policy *p,
                         smtpf_error *err)
{
  const char *v;
  if (smtpf_trie_new(out, NULL) != SMTPF_OK)
    return fail(err, p, path, "", "memory");
  for (size_t i = 0; (v = host_string(e, path, i)); i++) {
    smtpf_prefix network;
    if (smtpf_prefix_parse(smtpf_str_of(v), &network) != SMTPF_OK)
      return fail(err, p, path, v, "a network such as 192.0.2.0/24, or an address");
    if (smtpf_trie_add(*out, &network, 1) != SMTPF_OK)
      return fail(err, p, path, v, "memory");
  }
  return SMTPF_OK;
}

static int read_tls(incoming *in, const smtpf_engine *e, const host_policy *p, smtpf_error *err)
{
  static const char *const oldest[] = {"1.2", "1.3", NULL};
  tls_options o = {.minimum = 12 + host_choice(e, "proxy.tls_minimum", oldest),
                   .ciphers = host_string(e, "proxy.tls_ciphers", 0)};
  smtpf_error said = {.size = sizeof said};
  for (size_t i = 0; i < TLS_PAIRS; i++) {
    o.certificate[i] = host_string(e, "proxy.tls_certificate", i);
    o.key[i] = host_string(e, "proxy.tls_key", i);
  }
  in->tls_required = (int)host_number(e, "proxy.tls_required", 0);
  if (host_string(e, "proxy.tls_certificate", TLS_PAIRS))
    return fail(err, p, "proxy.tls_certificate", host_string(e, "proxy.tls_certificate", TLS_PAIRS),
                "at most four, of different kinds");
  if (!o.certificate[0])
    return in->tls_required ? fail(err, p, "proxy.tls_required", "true", "proxy.tls_certificate") : SMTPF_OK;
  if (tls_context_new(&in->tls, &o, &said) == SMTPF_OK)
    return SMTPF_OK;
  char why[sizeof said.text + 32];
  snprintf(why, sizeof why, "files that can be used (%s)", said.text[0] ? said.text : "no memory");
  return fail(err, p, "proxy.tls_certificate", o.certificate[0], why);
}

/* A listener that could never serve anybody is a mistake. */
static int look_at_listeners(const incoming *in, const server_settings *base, const host_policy *p, smtpf_error *err)
{
  for (size_t i = 0; i < base->listens; i++) {
    const address *a = &base->listen[i];
    if (a->tls && !in->tls)
      return fail(err, p, "proxy.listen", "tls:...", "proxy.tls_certificate for it");
    if (a->proxied && a->sa.ss_family != AF_UNIX && !smtpf_trie_count(in->proxies))
      return fail(err, p, "proxy.listen", "proxy:...", "proxy.proxy_protocol_from for it");
  }
  return SMTPF_OK;
}

int incoming_read(incoming *in, const server_settings *base, const host_policy *p, smtpf_error *err)
{
  const smtpf_engine *e = base->engine;
  int r = read_networks(&in->proxies, e, "proxy.proxy_protocol_from", p, err);
  if (r == SMTPF_OK)
    r = read_networks(&in->xclients, e, "proxy.xclient_from", p, err);
  if (r == SMTPF_OK)
    r = read_tls(in, e, p, err);
  if (host_number(e, "proxy.auth", 0))
    in->auth = "PLAIN LOGIN";
  if (r == SMTPF_OK && in->auth && !in->tls && !smtpf_trie_count(in->proxies))
    r = fail(err, p, "proxy.auth", "true", "proxy.tls_certificate: AUTH is offered under TLS alone");
  return r == SMTPF_OK ? look_at_listeners(in, base, p, err) : r;
}

void incoming_forget(incoming *in)
{
  tls_context_unref(in->tls);
  smtpf_trie_free(in->proxies);
  smtpf_trie_free(in->xclients);
}

int incoming_trusts(const smtpf_trie *networks, const char *who)
{
  smtpf_ip ip;
  return smtpf_ip_parse(smtpf_str_of(who), &ip) == SMTPF_OK && smtpf_trie_find(networks, &ip, NULL, NULL);
}
