/* SPDX-License-Identifier: MIT
 *
 * smtpf-proxy: a before-queue proxy on the public headers. How the files hang together:
 *
 *     main ── reload, listener          the process: signals, sockets, policies
 *       └─ loop                         one thread: epoll, driver, timeouts
 *            ├─ client ── spool         what the client says and is answered
 *            │    └─ transaction ── message, quarantine
 *            └─ hop                     what the next hop is told and answers; idle connections
 *
 * settings: one loaded policy: the engine and what the proxy itself reads out of it. Frozen and counted; every
 * connection keeps the one it began with.
 */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include <smtpfilter/smtpfilter.h>
#include <stdatomic.h>

#include "../../common/address.h"

#define PROXY_LISTEN_MAX 16
#define PROXY_SERVERS_MAX 16

/* What the command line said; lasts as long as the process. */
typedef struct arguments {
  const char *policy;                   /* -c */
  const char *listen[PROXY_LISTEN_MAX]; /* --listen, over the policy's */
  size_t listens;
  const char *hop;  /* --hop, over the policy's */
  const char **set; /* --set PATH=VALUE, over the policy's */
  size_t sets;
  const char *pid_file;
  int threads;  /* --threads, 0 for the policy's */
  int ready_fd; /* -1 for none */
  int check;
  int explain;
  const char *log; /* --log, NULL for the policy's */
} arguments;

enum identity { IDENTITY_AUTO, IDENTITY_XCLIENT, IDENTITY_XFORWARD, IDENTITY_NONE };
enum log_verdicts { LOG_ALL, LOG_REFUSED, LOG_NONE };

typedef struct settings {
  atomic_uint refs;
  smtpf_engine *engine;
  smtpf_smtpd_options smtpd; /* extensions and size are filled in for each client */
  char hostname[256];
  address hop;
  char hop_text[ADDRESS_TEXT];
  address forward_servers[PROXY_SERVERS_MAX]; /* instead of what the DNS says */
  size_t n_forward_servers;
  address listen[PROXY_LISTEN_MAX];
  size_t listens;
  int identity, threads, log_json, log_verdicts, explain, split, prdr;
  int forward_inline;    /* forwards go to the target's server while the client waits */
  int forward_to_hop;    /* to the next hop when that cannot be reached */
  unsigned forward_port; /* of servers that the DNS names */
  int64_t connections, connections_per_client;
  int64_t idle_ms, command_ms, data_ms, message_ms, hop_connect_ms, hop_ms, hop_final_ms, drain_ms;
  int64_t forward_ms, forward_final_ms;
  int64_t pool, pool_age_ms, pool_messages;
  size_t spool_memory;
  int64_t spool_total;
  const char *spool_directory, *quarantine_directory, *quarantine_redirect; /* the engine's; NULL when empty */
  unsigned capabilities; /* of SMTP clients; LMTP ones have SMTPF_CAN_REPLY_PER_RCPT as well */
  /* What the next hop said to EHLO last; 0 while it has not been reached. */
  atomic_uint hop_extensions;
  atomic_uint_fast64_t hop_size;
} settings;

/* Reads the policy. SMTPF_OK, or a negative result with `err` filled. */
int settings_load(settings **out, const arguments *a, smtpf_error *err);
settings *settings_ref(settings *s);
void settings_unref(settings *s);

#endif
