/* SPDX-License-Identifier: MIT
 *
 * port_dns_server: name servers for the tests of the c-ares port, on loopback, on ports the system chooses. Each is a
 * child of this process, dies with it, and is ended by its pid.
 */
#ifndef SMTPF_TESTS_PORT_DNS_SERVER_H
#define SMTPF_TESTS_PORT_DNS_SERVER_H

#include <sys/types.h>

typedef struct dns_server {
  pid_t pid;       /* 0 when it could not be started */
  unsigned port;   /* UDP and TCP */
  char folder[64]; /* of its files, removed at the end */
  const char *why; /* not started: the reason */
} dns_server;

/* Answers by the first label of the question:
 *   good       A 192.0.2.1
 *   garbage    bytes that are no DNS
 *   short      six bytes
 *   forged     first with a wrong id, then to a wrong question, both 192.0.2.66; then as good
 *   servfail   SERVFAIL; refused: REFUSED
 *   truncated  TC over UDP; over TCP as good, with 100 records
 *   second     nothing to the first datagram of each name, then as good
 *   anything else: nothing */
dns_server dns_server_start(void);

/* rbldnsd with the zones bl.example (192.0.2.0/24, with 192.0.2.7 left out) and zone.example. */
dns_server dns_server_rbldnsd(void);

void dns_server_stop(dns_server *s);

#endif
