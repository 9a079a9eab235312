/* SPDX-License-Identifier: MIT
 *
 * incoming: what a policy says of how clients come: TLS, and whose word is taken for who they are.
 */
#ifndef PROXY_INCOMING_H
#define PROXY_INCOMING_H

#include <smtpfilter/ext/mail.h>

#include "../../common/server/server.h"
#include "../../common/tls.h"

typedef struct incoming {
  tls_context *tls; /* NULL: no STARTTLS is offered */
  int tls_required;
  const char *auth;               /* mechanisms that are offered under TLS; NULL: none */
  smtpf_trie *proxies, *xclients; /* who may speak the PROXY protocol, and XCLIENT */
} incoming;

/* Reads it; `base` says where it listens. SMTPF_OK, or a negative result with `err` filled. */
int incoming_read(incoming *in, const server_settings *base, const host_policy *policy, smtpf_error *err);
void incoming_forget(incoming *in);
/* 1 when an address, as text, is in one of them. */
int incoming_trusts(const smtpf_trie *networks, const char *who);

#endif
