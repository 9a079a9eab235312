/* SPDX-License-Identifier: MIT
 *
 * stores: which store a policy asks for.
 */
#ifndef SMTPF_PORT_STORES_H
#define SMTPF_PORT_STORES_H

#include <smtpfilter/error.h>
#include <smtpfilter/ext/check.h>
#include <smtpfilter/ext/port.h>

/* What `store.type` names; the memory store when nothing is said. */
const smtpf_store *smtpf_store_of_policy(const smtpf_engine *engine);

/* Refuses a policy whose store lacks what it needs. SMTPF_OK or an error with its place. */
int smtpf_store_check_policy(const smtpf_section *policy, smtpf_error *err);

#endif
