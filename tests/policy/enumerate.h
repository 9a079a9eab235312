/* SPDX-License-Identifier: MIT
 *
 * enumerate: every combination, and what is broken in any.
 */
#ifndef SMTPF_TESTS_ENUMERATE_H
#define SMTPF_TESTS_ENUMERATE_H

#include <stddef.h>

#include "cast.h"
#include "oracle.h"
#include "tables.h"

typedef struct tally_sheet {
  unsigned long long cases, failed;
  unsigned long long rode, split; /* recipients that rode along without budget; that were split off at RCPT */
  size_t quick;                   /* take every so-manieth combination of three; 1: all */
} tally_sheet;

void enumerate_judge(tally_sheet *sheet);
void enumerate_members(tally_sheet *sheet);
void enumerate_ledger(tally_sheet *sheet);
void enumerate_flow(tally_sheet *sheet);

/* Counts a failure; 1 when it is one of the first of its kind, which are printed. */
int sheet_failed(tally_sheet *sheet, const char *broken);

const char *word_of_act(int act);
const char *word_of_disposition(int disposition);

#endif
