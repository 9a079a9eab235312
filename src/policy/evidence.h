/* SPDX-License-Identifier: MIT
 *
 * policy: pure functions from evidence to dispositions. May call base; no I/O, no clock, no allocation.
 *
 *   evidence --judge--> outcome of each will --ledger--> disposition of each recipient --> reply
 *   origin     who the client is to a recipient, and which acts that leaves
 *   judge      what one recipient's wishes make of the evidence
 *   partition  whether two recipients can share one message at this host
 *   ledger     what becomes of every copy, and the reply
 *   budget     how long a sender may be put off
 *
 * evidence: one finding of one check, as the judge sees it.
 */
#ifndef SMTPF_POLICY_EVIDENCE_H
#define SMTPF_POLICY_EVIDENCE_H

#include <smtpfilter/ext/check.h>

typedef struct smtpf_evidence {
  struct smtpf_evidence *next; /* in its scope, ordered by (stage, declaration) */
  const char *check;           /* name of the check */
  const char *code;            /* short word */
  const char *enhanced;        /* with `reply`; NULL for the default */
  smtpf_str detail, text;
  int32_t score; /* thousandths */
  uint32_t elapsed_us;
  uint32_t recipient; /* it is about this accepted one alone, from 1; 0: all in its scope */
  uint16_t reply;     /* with REFUSE, DEFER or ELECTIVE; 0 for the default */
  uint16_t position;  /* of the check, among the engine's */
  uint16_t flags;     /* smtpf_finding_flag */
  uint8_t stage;      /* smtpf_stage */
  uint8_t kind;       /* smtpf_evidence_kind */
  uint8_t family;     /* smtpf_family */
} smtpf_evidence;

/* Found about one recipient alone: others must not be told. */
static inline int smtpf_evidence_of_recipient(const smtpf_evidence *e)
{
  return e->recipient || (e->stage == SMTPF_RCPT && !(e->flags & SMTPF_FINDING_CONNECTION));
}

/* About the client's own address, name or conduct, not about what it brings. */
static inline int smtpf_evidence_of_connection(const smtpf_evidence *e)
{
  return e->stage <= SMTPF_HELO || (e->flags & SMTPF_FINDING_CONNECTION);
}

/* The evidence in view of one decision, ordered by (stage, declaration). */
typedef struct smtpf_view {
  const smtpf_evidence *const *v;
  size_t n;
} smtpf_view;

#endif
