/* SPDX-License-Identifier: MIT
 *
 * dns: answers are kept by TTL, and equal questions are asked once.
 *
 *   question --cached--> answered at once
 *            --in flight--> joins the waiters
 *            --else--> a flight: one question at the resolver port; its answer goes to every waiter and into the cache
 */
#ifndef SMTPF_CORE_DNS_H
#define SMTPF_CORE_DNS_H

#include <smtpfilter/ext/port.h>

#include "base/cache.h"
#include "base/list.h"
#include "base/map.h"
#include "op.h"

typedef struct smtpf_dns_entry {
  smtpf_cached cached; /* held by operations and the cache */
  uint8_t lost;        /* there was no memory for the answer */
  smtpf_dns_answer answer;
} smtpf_dns_entry;

typedef struct smtpf_dns {
  smtpf_cache cache; /* of smtpf_dns_entry */
  smtpf_map flights; /* key -> smtpf_dns_flight */
} smtpf_dns;

void smtpf_dns_init(smtpf_dns *dns, const smtpf_mem *mem, const uint64_t seed[2]);
void smtpf_dns_free(smtpf_driver *d);

/* Asks for the operation of a task or program. SMTPF_OK (it will be answered), SMTPF_EINVAL (no name) or SMTPF_ENOMEM.
 */
int smtpf_dns_ask(smtpf_driver *d, smtpf_op_slot *slot, int type, smtpf_str name);

/* The operation does not wait any more. */
void smtpf_dns_leave(smtpf_driver *d, smtpf_op_slot *slot);

void smtpf_dns_release(smtpf_driver *d, smtpf_dns_entry *entry); /* NULL is accepted */

#endif
