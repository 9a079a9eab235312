/* SPDX-License-Identifier: MIT
 *
 * partition: whether two recipients can share one message at this host, or must be split now, at RCPT, while a
 * temporary reply costs nothing (promise L6).
 *
 * A class is what the host cannot vary per recipient:
 *
 *   reply class   taken (accept, tag, quarantine, discard), deferred, rejected    varies with REPLY_PER_RCPT
 *   discard       drop this copy alone                                            varies with DROP_RCPT, REPLY_PER_RCPT
 *   header block  tag beside another act that is taken                            varies with EDIT_PER_RCPT
 *   quarantine    quarantine beside another act that is taken                     varies with QUARANTINE_PER_RCPT
 *   sender        forwarded with another envelope sender beside what is not       varies with SENDER_PER_RCPT
 *   destination   where the target of a forward answers while the client waits    varies with REPLY_PER_RCPT
 *                 (CUT_THROUGH): forwarded to one address, as one sender, beside
 *                 what goes elsewhere, or stays: two servers decide about them
 *
 * What will be found later is not known: it adds some score to both. Outcomes are piecewise constant in it, hence every
 * interval between thresholds is tried once; for wills that would count it differently (weights, refusals by family),
 * and where each may be found something else, every outcome of the one is held against every outcome of the other. When
 * nothing more can be found, only what is known counts.
 *
 * Of own clients' mail nothing is expected but what is known, and their copies may go wherever they go: their programs
 * cannot send a recipient again.
 *
 * To share is not transitive where replies or drops vary: two that can each stand beside one who may be refused need
 * not stand each other once that one is gone. Hold a recipient against every one that was accepted.
 */
#ifndef SMTPF_POLICY_PARTITION_H
#define SMTPF_POLICY_PARTITION_H

#include "judge.h"

/* One recipient: its wills (one, or its members') and what is in view of each. */
typedef struct smtpf_party {
  const smtpf_will *wills;
  const smtpf_summary *summaries;
  size_t n;
} smtpf_party;

/* The recipient's outcome, by all its wills. */
smtpf_outcome smtpf_party_outcome(const smtpf_party *party);

/* 1 when the acts of two outcomes can be done to one message by a host with these capabilities. */
int smtpf_compatible(const smtpf_outcome *a, const smtpf_outcome *b, unsigned capabilities);

/* What may yet be found about the message. */
enum smtpf_expect {
  SMTPF_EXPECT_CONTENT = 0, /* scores, facts, unknowns, deferrals */
  SMTPF_EXPECT_NOTHING = 1, /* only what is known counts */
  SMTPF_EXPECT_SCANS = 2,   /* also unknowns that ask for quarantine or a mark */
  SMTPF_EXPECT_APART = 3,   /* the same, and not the same for both */
};

/* 1 when `later` may share the message with `first`, one that was accepted before; `expect`: smtpf_expect. */
int smtpf_partition_joins(const smtpf_party *first, const smtpf_party *later, unsigned capabilities, int expect);

#endif
