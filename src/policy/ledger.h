/* SPDX-License-Identifier: MIT
 *
 * ledger: outcomes of all recipients and what the host can do -> one disposition each and the reply.
 *
 * At end of message, where one reply must serve all:
 *
 *   some outcome is defer            -> 4xx, everyone is deferred: nobody can be lost by waiting
 *   all outcomes are reject          -> 5xx, everyone is rejected
 *   some reject, others do not       -> 2xx; a reject becomes the strongest act that loses nothing:
 *                                       quarantine of that copy, else tag; named as overridden
 *   quarantine that the host cannot  -> tag, named as overridden
 *
 * With a reply for each recipient (LMTP, PRDR) each outcome stands alone. Nothing here discards (promise
 * L3). Dispositions are provisional until commit (promise L1).
 */
#ifndef SMTPF_POLICY_LEDGER_H
#define SMTPF_POLICY_LEDGER_H

#include "judge.h"

/* One recipient's entry. */
typedef struct smtpf_entry {
  smtpf_outcome outcome;
  uint8_t disposition; /* smtpf_disposition; 0 while open */
  uint8_t final;       /* can no longer change */
  uint8_t overridden;  /* the outcome could not be kept */
  uint8_t dsn;         /* smtpf_dsn */
} smtpf_entry;

/* A reply, as smtpf_act: ACCEPT, DEFER or REJECT; `cause` is the index of the entry that gives its words. */
typedef struct smtpf_decision {
  int act;
  size_t cause;
} smtpf_decision;

/* Sets every entry's disposition and DSN permission. `capabilities` are smtpf_capability bits. */
smtpf_decision smtpf_ledger_decide(smtpf_entry *const *entries, size_t n, unsigned capabilities, int null_sender);

/* Closes one open entry by what the host reports (smtpf_commit_result). */
void smtpf_ledger_commit(smtpf_entry *entry, int result);

/* Closes every open entry alike: DEFERRED or REJECTED. */
void smtpf_ledger_close_all(smtpf_entry *const *entries, size_t n, int disposition);

/* Whether some entry is still open. */
int smtpf_ledger_open(smtpf_entry *const *entries, size_t n);

/* The final reply when all are closed: any deferred -> DEFER, else any rejected -> REJECT, else ACCEPT.
 * Rejected beside taken copies is REJECT: the client then tells its sender, where a 2xx would tell nobody. With a
 * reply for `each` recipient a refusal is told there, and the final reply (PRDR) is ACCEPT as long as one copy is
 * taken. */
smtpf_decision smtpf_ledger_settle(smtpf_entry *const *entries, size_t n, int each);

/* What one entry is answered where each recipient has a reply of its own. */
int smtpf_ledger_reply(const smtpf_entry *entry);

#endif
