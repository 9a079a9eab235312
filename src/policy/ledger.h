/* SPDX-License-Identifier: MIT
 *
 * ledger: outcomes of all recipients and what the host can do -> one disposition each and the reply.
 *
 * The join: one reply must serve all, at end of message. The first line that holds:
 *
 *   J1  some defer, not electively                    -> 4xx, all deferred: nobody is lost by waiting
 *   J2  some defer electively, budget left for all    -> 4xx, all deferred
 *       (budget spent or unreadable for one: every elective deferral becomes its definite act, and the join goes on)
 *   J3  all reject                                    -> 5xx, all rejected
 *   J4  all reject or discard, some reject, the       -> 5xx, all rejected: a refusal tells the sender, a discard
 *       discarding ones may be refused                   tells nobody; the discarding ones are overridden
 *   J5  else                                          -> 2xx, and for each copy what stands in the second table
 *
 *   accept       delivered; with a mark it did not ask for where another is tagged and headers do not vary: overridden
 *   tag          tagged; where the host cannot edit: delivered, overridden
 *   quarantine   quarantined; where the host cannot quarantine this copy alone and others are taken: as tag, overridden
 *   discard      discarded; where the host cannot drop this copy alone and others are taken: as quarantine, overridden
 *   reject       as quarantine, overridden
 *   forward      forwarded; where another envelope sender is needed, the host cannot vary it and not all have the same:
 *                kept in the mailbox (`forward-nonspam`), or forwarded with the original sender; overridden
 *
 * A copy that was taken before (`known`) takes no part, but no 5xx passes over it: J3 and J4 are then left out.
 *
 * With a reply for each recipient (LMTP, PRDR) every outcome stands alone, and a copy that is refused or discarded is
 * just not delivered; J5's lines hold for what is taken. A final reply covers all: all refused and some deferred ->
 * 4xx, all rejected -> 5xx, else 2xx. An elective deferral whose budget is spent or unreadable becomes its definite
 * act.
 *
 * A DSN is allowed later (promise L2) for what was accepted and delivered unmarked: without the body, for its sender
 * may be forged, and what it says is then somebody else's; with it for mail of our own clients that stays here. Never
 * to the null sender, nor for anything else.
 *
 * Where the budget is unreadable an elective deferral is treated as where it is spent (promise L7). Dispositions are
 * provisional until commit (promise L1). Quarantine of the whole message (QUARANTINE) serves when all copies that are
 * taken and not discarded go there.
 */
#ifndef SMTPF_POLICY_LEDGER_H
#define SMTPF_POLICY_LEDGER_H

#include "judge.h"

/* One recipient's entry. */
typedef struct smtpf_entry {
  smtpf_outcome outcome;
  uint8_t budget;      /* smtpf_budget_state */
  uint8_t known;       /* taken before (lost acknowledgement): settled, no part in the join */
  uint8_t wish;        /* smtpf_disposition the outcome asks for */
  uint8_t disposition; /* smtpf_disposition; 0 while open */
  uint8_t final;       /* can no longer change */
  uint8_t overridden;  /* the outcome could not be kept */
  uint8_t dsn;         /* smtpf_dsn */
  uint8_t forward;     /* the copy goes to the profile's forward address */
  uint8_t sender;      /* with the outcome's sender */
} smtpf_entry;

/* A reply, as smtpf_act: ACCEPT, DEFER or REJECT; `cause` is the index of the entry that gives its words. */
typedef struct smtpf_decision {
  int act;
  size_t cause;
} smtpf_decision;

/* Sets every entry's disposition, route and DSN permission. `capabilities` are smtpf_capability bits. */
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
