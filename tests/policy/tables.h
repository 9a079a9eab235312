/* SPDX-License-Identifier: MIT
 *
 * tables: the tables at the heads of judge.h, origin.h and ledger.h, read once more: what exactly must come out. Where
 * oracle.h says what may never be, this says what must be; it shares no code with src/policy either.
 */
#ifndef SMTPF_TESTS_TABLES_H
#define SMTPF_TESTS_TABLES_H

#include "oracle.h"

/* What the judge's table makes of a view. */
typedef struct table_line {
  int act, rule, definite, forward;
  int unknown, spent;
  int32_t score, threshold;
  const smtpf_evidence *cause, *target, *stays;
} table_line;

int table_origin(const smtpf_standing *client, const smtpf_profile *p);
int table_restricted(const smtpf_standing *client, const smtpf_profile *p, int null_sender);
int table_may_refuse(int origin, int family, unsigned flags);
table_line table_judge(const smtpf_will *will, smtpf_view view);
/* Of outcomes whose targets are still open. */
table_line table_members(const smtpf_outcome *outcomes, size_t n);

/* NULL, or what differs from the join's table. */
const char *table_ledger(const oracle_case *c);

/* 1 when these two may not be in one message, by the table of partition.h. */
int table_conflict(const smtpf_outcome *a, const smtpf_outcome *b, unsigned capabilities);

#endif
