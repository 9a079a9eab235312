/* SPDX-License-Identifier: MIT
 *
 * smtpf-proxy: a before-queue proxy on the public headers. Each line may include and call what is below it, and is told
 * of what happens there through tables of hooks:
 *
 *     main ── common/server             the process: signals, sockets, policies, threads
 *     client ...                        what a client says and is answered
 *     transaction ... ── message        what servers are asked about whom
 *     hop ...                           a connection to a server: what it is told and answers
 *     loop, peers                       one thread, and what all share
 *     settings, routes, incoming        what the proxy itself reads out of a policy
 */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include "incoming.h"
#include "routes.h"

#define PROXY_SERVERS_MAX 16

enum identity { IDENTITY_AUTO, IDENTITY_XCLIENT, IDENTITY_XFORWARD, IDENTITY_NONE };

typedef struct settings {
  server_settings base;
  incoming in;
  smtpf_smtpd_options smtpd; /* extensions and size are filled in for each client */
  char hostname[256];
  routes routes;
  address forward_servers[PROXY_SERVERS_MAX]; /* instead of what the DNS says */
  size_t n_forward_servers;
  int identity, split, prdr;
  int hops_together;     /* one reply may stand for several next hops */
  int split_reply;       /* to a recipient for whom it may not */
  int forward_tls;       /* hop_tls_level */
  tls_context *hop_tls;  /* NULL: none is needed, or can be had */
  int forward_inline;    /* forwards go to the target's server while the client waits */
  int forward_to_hop;    /* to the next hop when that cannot be reached */
  unsigned forward_port; /* of servers that the DNS names */
  int64_t connections_per_client;
  int64_t idle_ms, command_ms, data_ms, message_ms, hop_connect_ms, hop_ms, hop_final_ms, hop_retry_ms;
  int64_t forward_ms, forward_final_ms;
  int64_t pool, pool_age_ms, pool_messages;
  size_t spool_memory;
  int64_t spool_total;
  const char *spool_directory, *quarantine_directory, *quarantine_redirect; /* the engine's; NULL when empty */
} settings;

static inline settings *settings_ref(settings *s)
{
  server_settings_ref(&s->base);
  return s;
}

static inline void settings_unref(settings *s)
{
  if (s)
    server_settings_unref(&s->base);
}

/* What an address looks like, for messages. */
extern const char settings_addresses[];

/* server_program.read. LMTP clients have SMTPF_CAN_REPLY_PER_RCPT beyond base.capabilities. */
int settings_read(server_settings *base, const host_policy *policy, smtpf_error *err);
/* server_program.forget. */
void settings_forget(server_settings *base);

#endif
