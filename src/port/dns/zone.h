/* SPDX-License-Identifier: MIT
 *
 * zone: DNS data written by hand, for tests and for smtpf-replay(1). Built once, then read by any number of threads.
 *
 *   NAME [TTL] TYPE RDATA                                        A AAAA CNAME MX NS PTR TXT
 *   NAME [TTL] [TYPE] NXDOMAIN|NODATA|SERVFAIL|TIMEOUT           without TYPE: for all types that have no line
 *
 * One record a line, every line with its name. Comments begin with `;` or `#` where a word could begin. Names are
 * absolute, with or without the last dot. TXT takes one or more strings, with or without quotes, joined into one;
 * inside quotes `\"`, `\\` and `\DDD`. A name written `*.zone` is a wildcard (RFC 4592). What is not written does not
 * exist: a name that is absent is NXDOMAIN, a type that is absent at a name that is there, or has names below
 * it, is NODATA. An alias is followed up to 16 times; a longer chain is SERVFAIL.
 */
#ifndef SMTPF_PORT_ZONE_H
#define SMTPF_PORT_ZONE_H

#include <smtpfilter/ext/port.h>

#include "base/arena.h"
#include "base/map.h"

enum {
  SMTPF_ZONE_TTL = 3600,        /* of lines that give none */
  SMTPF_ZONE_TTL_NEGATIVE = 60, /* of what is absent, and of status lines that give none */
  SMTPF_ZONE_ANY = 0,           /* the type of a status that holds for the whole name */
};

/* All lines of one name and type. */
typedef struct smtpf_zone_set {
  struct smtpf_zone_set *next; /* another type of the same name */
  int type;                    /* smtpf_dns_type, or SMTPF_ZONE_ANY */
  int status;                  /* SMTPF_DNS_OK: the records below; else what the line says */
  uint32_t ttl;                /* least of all */
  size_t count, cap;
  smtpf_dns_record *records;
} smtpf_zone_set;

/* One name; an ancestor of other names may have no set (an empty non-terminal, RFC 8020). */
typedef struct smtpf_zone_node {
  smtpf_zone_set *sets;
} smtpf_zone_node;

struct smtpf_zone {
  smtpf_mem mem;
  smtpf_arena arena;
  smtpf_map nodes; /* folded name -> node */
};

/* The node of a folded name, made with its ancestors when it is new. NULL without memory. */
smtpf_zone_node *smtpf_zone_node_make(smtpf_zone *zone, smtpf_str name);

/* The set of a type at a node, NULL when there is none. */
smtpf_zone_set *smtpf_zone_set_find(const smtpf_zone_node *node, int type);

/* Answers a question for a folded name; the records belong to the zone. */
void smtpf_zone_ask(const smtpf_zone *zone, int type, smtpf_str name, smtpf_dns_answer *out);

#endif
