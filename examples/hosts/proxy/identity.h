/* SPDX-License-Identifier: MIT
 *
 * identity: tells the next hop who the client is: Postfix's XCLIENT and XFORWARD extensions.
 */
#ifndef PROXY_IDENTITY_H
#define PROXY_IDENTITY_H

#include <smtpfilter/types.h>

#include "../../common/text.h"

/* What a client is called. Empty strings are unknown. */
typedef struct identity_of {
  smtpf_str name, address, helo, id;
  smtpf_str login;       /* who it has proved to be (AUTH) */
  smtpf_str destination; /* our address, as it sees us */
  unsigned port, destination_port;
  int esmtp, lmtp, secured;
  int withheld; /* servers are not told address and name: they may trust them, and must not */
} identity_of;

/* The attributes a next hop lists after `keyword` in its EHLO reply, as bits; 0 when it has no such line. */
unsigned identity_attributes(smtpf_str ehlo, const char *keyword);

/* Appends one command line: `keyword` with the attributes it wants, values in xtext (RFC 3461 4). */
void identity_command(text *t, const char *keyword, unsigned attributes, const identity_of *who);

#endif
