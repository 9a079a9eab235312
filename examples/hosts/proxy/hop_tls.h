/* SPDX-License-Identifier: MIT
 *
 * hop_tls: STARTTLS to servers (RFC 3207): whether, with whom, and what is believed.
 */
#ifndef PROXY_HOP_TLS_H
#define PROXY_HOP_TLS_H

#include "settings.h"

struct hop;

enum hop_tls_level {
  HOP_TLS_NONE,
  HOP_TLS_MAY,     /* where it is offered and works; whom it is with is not looked at */
  HOP_TLS_ENCRYPT, /* always; whom it is with is not looked at */
  HOP_TLS_VERIFY   /* always, and with whom it should be with */
};

/* The words of the policy, in that order. */
extern const char *const hop_tls_words[];

/* Reads what programs need for it, once the routes are there. SMTPF_OK, or a negative result with `err` filled. */
int hop_tls_load(settings *s, const host_policy *p, smtpf_error *err);
void hop_tls_free(settings *s);

/* What is to be done now that a server has answered EHLO: say STARTTLS (1), nothing (0), or give up (-1). */
int hop_tls_due(const struct hop *h);
/* It said 220: 0, or -1 without memory or with a name that cannot be. */
int hop_tls_start(struct hop *h);
/* TLS did not come about. 1 when the next connection to this server shall do without. */
int hop_tls_failed(struct hop *h, const char *why);

#endif
