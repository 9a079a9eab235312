/* SPDX-License-Identifier: MIT
 *
 * trace: what is kept of a message's trace fields while its header section is read, for those who ask later: Received
 * fields as hops, where some recipient trusts the client (policy/source.h walks them); how many of them are our own;
 * which lists the message is from (List-Id, RFC 2919); in whose mailbox it was before (Delivered-To).
 */
#ifndef SMTPF_CORE_TRACE_H
#define SMTPF_CORE_TRACE_H

#include "mail/header.h"
#include "policy/source.h"

/* In the transaction arena. */
typedef struct smtpf_traces {
  char *room; /* of one field; NULL: names are all that is looked at */
  smtpf_hop *hops;
  size_t n_hops; /* the first Received fields */
  int64_t own;   /* Received fields that bear one of our names */
  int64_t delivered;
  uint64_t lists;    /* scopes that every List-Id field is in */
  uint8_t from_list; /* there is one */
} smtpf_traces;

struct smtpf_session;

/* The message begins: what is to be kept is known, and the reader of its header section gets its room. SMTPF_OK or
 * SMTPF_ENOMEM. */
int smtpf_trace_begin(struct smtpf_session *s, smtpf_header_fn *field);

/* Looks at a field. */
void smtpf_trace_field(struct smtpf_session *s, const smtpf_header_field *field);

/* Scopes whose lists the message is not from; 0 until its header section was read. */
uint64_t smtpf_trace_other_list(const struct smtpf_session *s);

#endif
