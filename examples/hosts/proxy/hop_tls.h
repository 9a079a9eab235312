/* SPDX-License-Identifier: MIT
 *
 * hop_tls: STARTTLS to servers (RFC 3207): whether, with whom, and what is believed.
 */
#ifndef PROXY_HOP_TLS_H
#define PROXY_HOP_TLS_H

#include "hop.h"

/* What is to be done now that a server has answered EHLO: say STARTTLS (1), nothing (0), or give up (-1). */
int hop_tls_due(const hop *h);
/* It said 220: 0, or -1 without memory or with a name that cannot be. */
int hop_tls_start(hop *h);
/* TLS did not come about. 1 when the next connection to this server shall do without. */
int hop_tls_failed(hop *h, const char *why);

#endif
