/* SPDX-License-Identifier: MIT
 *
 * dns_packet: reads a DNS response (RFC 1035 4.1) as a resolver port must answer it. The bytes are hostile: every read
 * is bounded by the packet, every compression pointer goes backwards, counts are capped.
 */
#ifndef SMTPF_PORT_DNS_PACKET_H
#define SMTPF_PORT_DNS_PACKET_H

#include <smtpfilter/ext/port.h>

#include "base/arena.h"

enum {
  SMTPF_DNS_PACKET_RECORDS = 512, /* an answer section with more is nonsense */
  SMTPF_DNS_PACKET_ALIASES = 16,  /* longest chain of CNAMEs */
  SMTPF_DNS_TTL_NEGATIVE = 60,    /* of a negative answer without an SOA record (RFC 2308 5) */
  SMTPF_DNS_TTL_FAILURE = 5,      /* of SERVFAIL and TIMEOUT (RFC 2308 7 allows five minutes) */
};

/* Reads a response to the question (`name`, `type`). Whatever the bytes are, *out becomes a whole answer:
 * OK, NXDOMAIN or NODATA when they say so, SERVFAIL when they say anything else or nothing sensible.
 * Aliases are followed inside the answer section. Names come in presentation form without the last dot, what is not
 * plain ASCII escaped as in a master file (RFC 1035 5.1); TXT strings come joined, as they are.
 * Records lie in `arena`. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_dns_packet_read(const unsigned char *packet, size_t n, int type, smtpf_str name, smtpf_arena *arena,
                          smtpf_dns_answer *out);

/* An answer that is only a status, with the time it may be kept. */
smtpf_dns_answer smtpf_dns_answer_status(int status);

#endif
