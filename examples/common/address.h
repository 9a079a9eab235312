/* SPDX-License-Identifier: MIT
 *
 * address: where a host listens or connects to.
 */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include <sys/socket.h>

#define ADDRESS_TEXT 128 /* room for any address as text */

typedef struct address {
  struct sockaddr_storage sa;
  socklen_t len;
  int lmtp;    /* RFC 2033 is spoken there, else SMTP */
  int tls;     /* of a listener: TLS from the first byte on (RFC 8314 3) */
  int proxied; /* of a listener: a load balancer says first who the client is (PROXY protocol) */
} address;

/* `127.0.0.1:25`, `[::1]:25`, `unix:/path`, each perhaps after `lmtp:`. 1 when it is one. */
int address_parse(const char *name, address *out);
/* The same for listeners, perhaps with `proxy:` and then `tls:` in front of all. */
int address_parse_listener(const char *name, address *out);
/* The same way back, without `lmtp:`; `cap` ADDRESS_TEXT is always enough. */
void address_format(const struct sockaddr *sa, char *out, size_t cap);
/* Without port and brackets, empty for a Unix socket; returns the port. */
unsigned address_host(const struct sockaddr *sa, char *out, size_t cap);

#endif
