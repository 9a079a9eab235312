/* SPDX-License-Identifier: MIT */
#include "settings.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char settings_addresses[] = "an address such as 127.0.0.1:25, [::1]:25, lmtp:127.0.0.1:24 or lmtp:unix:/run/lmtp";

/* ---- TLS to servers ----------------------------------------------------------------------------- */

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

static int read_hop_tls(settings *s, const host_policy *p, smtpf_error *err)
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

/* ---- all ---------------------------------------------------------------------------------------- */

static int read_addresses(settings *s, const host_policy *p, smtpf_error *err)
{
  for (size_t i = 0; i < PROXY_SERVERS_MAX; i++) {
    const char *v = host_string(s->base.engine, "proxy.forward_servers", i);
    if (!v)
      break;
    if (!address_parse(v, &s->forward_servers[s->n_forward_servers++]))
      return host_policy_fail(err, SMTPF_EPARSE, p, "proxy.forward_servers", v, settings_addresses);
  }
  const int r = routes_load(&s->routes, s->base.engine, p, err);
  return r ? r : read_hop_tls(s, p, err);
}

static void read_numbers(settings *s)
{
  const smtpf_engine *e = s->base.engine;
  static const char *const identities[] = {"auto", "xclient", "xforward", "none", NULL};
  static const char *const forwards[] = {"hop", "inline", NULL};
  static const char *const fallbacks[] = {"defer", "hop", NULL};
  static const char *const line_ends[] = {"refuse", "normalise", NULL};
  s->identity = host_choice(e, "proxy.identity", identities);
  s->split = (int)host_number(e, "proxy.split", 1);
  s->prdr = (int)host_number(e, "proxy.prdr", 1);
  s->hops_together = (int)host_number(e, "proxy.hops_together", 0);
  s->split_reply = (int)host_number(e, "partition.reply", 452);
  s->forward_inline = host_choice(e, "proxy.forward", forwards);
  s->forward_to_hop = host_choice(e, "proxy.forward_fallback", fallbacks);
  s->forward_port = (unsigned)host_number(e, "proxy.forward_port", 25);
  s->forward_ms = host_number(e, "proxy.forward_timeout", 60000);
  s->forward_final_ms = host_number(e, "proxy.forward_final_timeout", 240000);
  s->connections_per_client = host_number(e, "proxy.connections_per_client", 0);
  s->idle_ms = host_number(e, "proxy.idle_timeout", 300000);
  s->command_ms = host_number(e, "proxy.command_timeout", 300000);
  s->data_ms = host_number(e, "proxy.data_timeout", 300000);
  s->message_ms = host_number(e, "proxy.message_timeout", 3600000);
  s->hop_connect_ms = host_number(e, "proxy.hop_connect_timeout", 30000);
  s->hop_ms = host_number(e, "proxy.hop_timeout", 240000);
  s->hop_retry_ms = host_number(e, "proxy.hop_retry", 30000);
  s->hop_final_ms = host_number(e, "proxy.hop_final_timeout", 540000);
  s->pool = host_number(e, "proxy.pool", 64);
  s->pool_age_ms = host_number(e, "proxy.pool_age", 10000);
  s->pool_messages = host_number(e, "proxy.pool_messages", 1000);
  s->spool_total = host_number(e, "proxy.spool_total", 0);
  s->spool_memory = (size_t)host_number(e, "proxy.spool_memory", 262144);
  s->smtpd.line_max = (uint32_t)host_number(e, "limits.line", 0);
  s->smtpd.text_line_max = (uint32_t)host_number(e, "limits.text_line", 0);
  s->smtpd.message_max = (uint64_t)host_number(e, "limits.message", 0);
  s->smtpd.line_ends = host_choice(e, "smtp.line_ends", line_ends) ? SMTPF_LINE_ENDS_NORMALISE : SMTPF_LINE_ENDS_REFUSE;
}

static int read_quarantine(settings *s, const host_policy *p, smtpf_error *err)
{
  s->quarantine_directory = host_string(s->base.engine, "quarantine.directory", 0);
  s->quarantine_redirect = host_string(s->base.engine, "quarantine.redirect", 0);
  s->spool_directory = host_string(s->base.engine, "proxy.spool_directory", 0);
  s->base.capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT | SMTPF_CAN_EDIT;
  if (s->split)
    s->base.capabilities |= SMTPF_CAN_DROP_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_SENDER_PER_RCPT;
  if (s->forward_inline)
    s->base.capabilities |= SMTPF_CAN_CUT_THROUGH;
  if (s->prdr)
    s->base.capabilities |= SMTPF_CAN_REPLY_PER_RCPT;
  const char *to = s->quarantine_directory ? NULL : s->quarantine_redirect;
  if (to && (strpbrk(to, "<> \t\r\n") || !strchr(to, '@') || strlen(to) > 254))
    return host_policy_fail(err, SMTPF_EINVAL, p, "quarantine.redirect", to, "an address such as spam@example.net");
  if (s->quarantine_directory || to)
    s->base.capabilities |= SMTPF_CAN_QUARANTINE | (s->split ? (unsigned)SMTPF_CAN_QUARANTINE_PER_RCPT : 0U);
  if (smtpf_engine_needs(s->base.engine) & SMTPF_CAN_QUARANTINE & ~s->base.capabilities)
    return host_policy_fail(err, SMTPF_EINVAL, p, "profiles", "quarantine",
                            "a place for it: quarantine.directory or quarantine.redirect");
  return SMTPF_OK;
}

static void read_hostname(settings *s)
{
  const char *name = host_string(s->base.engine, "hostnames", 0);
  if (name)
    snprintf(s->hostname, sizeof s->hostname, "%s", name);
  else if (gethostname(s->hostname, sizeof s->hostname - 1) || !s->hostname[0])
    snprintf(s->hostname, sizeof s->hostname, "localhost");
  s->smtpd.size = sizeof s->smtpd;
  s->smtpd.hostname = (smtpf_str){s->hostname, strlen(s->hostname)};
}

int settings_read(server_settings *base, const host_policy *p, smtpf_error *err)
{
  settings *s = (settings *)(void *)base;
  read_numbers(s);
  read_hostname(s);
  int r = incoming_read(&s->in, base, p, err);
  if (r == SMTPF_OK)
    r = read_addresses(s, p, err);
  return r != SMTPF_OK ? r : read_quarantine(s, p, err);
}

void settings_forget(server_settings *base)
{
  settings *s = (settings *)(void *)base;
  tls_context_unref(s->hop_tls);
  routes_free(&s->routes);
  incoming_forget(&s->in);
}
