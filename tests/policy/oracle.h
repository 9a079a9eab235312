/* SPDX-License-Identifier: MIT
 *
 * oracle: the promises L2-L7 as assertions over what the policy functions made, written from the promises and from what
 * words mean, not from the code: it shares nothing with src/policy but the structures, and calls none of its functions.
 *
 *   oracle_outcome  one judgement
 *   oracle_ledger   one decision over all recipients
 *   oracle_target   one judgement beside the same without what is known of the forward's target
 *   oracle_alone    whether partition kept its word: together as alone
 *   oracle_one_server  likewise: where a target answers while the client waits, no other server has a say
 *
 * Each returns NULL, or which promise is broken and how.
 */
#ifndef SMTPF_TESTS_ORACLE_H
#define SMTPF_TESTS_ORACLE_H

#include "policy/ledger.h"

enum { ORACLE_MOST = 3 };

/* One decision: what went in (`before`) and what came out. */
typedef struct oracle_case {
  size_t n;
  unsigned capabilities;
  int null_sender;
  smtpf_entry before[ORACLE_MOST], after[ORACLE_MOST];
  smtpf_decision decision;
} oracle_case;

const char *oracle_outcome(const smtpf_will *will, smtpf_view view, const smtpf_outcome *outcome);
const char *oracle_ledger(const oracle_case *c);
const char *oracle_target(const smtpf_will *will, smtpf_view view, const smtpf_outcome *outcome,
                          const smtpf_outcome *without);
const char *oracle_one_server(const oracle_case *c);
const char *oracle_alone(const smtpf_entry *together, const smtpf_entry *alone);

/* How much an act takes away from who sent the mail; for comparisons. */
int oracle_severity(int act);

#endif
