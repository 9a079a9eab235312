/* SPDX-License-Identifier: MIT
 *
 * lookup: answers of the directory port, kept by their TTL. What could not be found out is not kept: the next one who
 * asks may be luckier.
 */
#ifndef SMTPF_CORE_LOOKUP_H
#define SMTPF_CORE_LOOKUP_H

#include <smtpfilter/ext/port.h>

#include "base/cache.h"
#include "op.h"

typedef struct smtpf_lookup {
  smtpf_cached cached;
  smtpf_directory_answer answer;
} smtpf_lookup;

/* Asks for a task's operation; it will be answered. */
void smtpf_lookup_ask(smtpf_driver *d, smtpf_op_slot *slot, smtpf_str address);

void smtpf_lookup_release(smtpf_driver *d, smtpf_lookup *lookup); /* NULL is accepted */

#endif
