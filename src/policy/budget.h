/* SPDX-License-Identifier: MIT
 *
 * budget: a deferral is a debt (promise L7). Elective deferrals of all causes are counted together for one sender
 * identity and one recipient, at most one per greylist wait: a bot that retries twelve times in two seconds buys
 * nothing with it. Past the limit, by number or by time since the first, only a definite answer is left.
 *
 * The record is 24 bytes, little-endian: number (8), first and last deferral in wall seconds (8, 8).
 */
#ifndef SMTPF_POLICY_BUDGET_H
#define SMTPF_POLICY_BUDGET_H

#include <smtpfilter/types.h>

typedef struct smtpf_budget {
  int64_t count, first_s, last_s;
} smtpf_budget;

typedef struct smtpf_budget_limits {
  int64_t count;    /* deferrals */
  int64_t time_s;   /* since the first one */
  int64_t wait_s;   /* deferrals closer together than this count as one */
  int64_t memory_s; /* a record that has been silent for so long counts for nothing */
} smtpf_budget_limits;

enum { SMTPF_BUDGET_BYTES = 24 };

/* SMTPF_OK or SMTPF_EPARSE: a record that nobody can have written (UNREADABLE, not empty). */
int smtpf_budget_read(smtpf_budget *out, smtpf_str record);
smtpf_str smtpf_budget_write(const smtpf_budget *b, char room[SMTPF_BUDGET_BYTES]);

/* smtpf_budget_state at wall time `now_s`; all zero is no record. */
int smtpf_budget_state_of(const smtpf_budget *b, const smtpf_budget_limits *limits, int64_t now_s);

/* One more deferral, at `now_s`. */
void smtpf_budget_charge(smtpf_budget *b, const smtpf_budget_limits *limits, int64_t now_s);

#endif
