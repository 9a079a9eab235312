/* SPDX-License-Identifier: MIT
 *
 * enumerate: the promises L2-L6 over every combination of outcomes, origins, profiles, capability sets of the hosts,
 * budgets and failing checks, for one to three recipients (enumerate.h). `enumerate whole` takes all of them, else a
 * sample of the combinations of three.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enumerate.h"

enum { SHOWN = 2, KINDS = 64 };

int sheet_failed(tally_sheet *sheet, const char *broken)
{
  static struct {
    const char *broken;
    unsigned long long times;
  } seen[KINDS];
  size_t i = 0;
  sheet->failed++;
  while (i < KINDS - 1 && seen[i].broken && strcmp(seen[i].broken, broken) != 0)
    i++;
  seen[i].broken = broken;
  if (++seen[i].times > SHOWN)
    return 0;
  printf("FAIL %s\n", broken);
  if (getenv("SMTPF_FAIL_FAST")) /* mutate.py need not know more */
    exit(1);
  return 1;
}

const char *word_of_act(int act)
{
  static const char *const words[] = {"?", "accept", "tag", "quarantine", "discard", "defer", "reject"};
  return words[act > 0 && act <= SMTPF_ACT_REJECT ? act : 0];
}

const char *word_of_disposition(int disposition)
{
  static const char *const words[] = {"?",         "delivered", "tagged",   "quarantined",
                                      "discarded", "rejected",  "deferred", "handed over"};
  return words[disposition > 0 && disposition <= SMTPF_HANDED_OVER ? disposition : 0];
}

int main(int argc, char **argv)
{
  const int whole = argc > 1 && strcmp(argv[1], "whole") == 0;
  tally_sheet sheet = {.quick = whole ? 1 : 23};
  static const struct {
    const char *name;
    void (*run)(tally_sheet *);
  } parts[] = {{"judgements", enumerate_judge},
               {"members", enumerate_members},
               {"decisions", enumerate_ledger},
               {"conversations", enumerate_flow}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    const unsigned long long before = sheet.cases, bad = sheet.failed;
    parts[i].run(&sheet);
    printf("%-14s %10llu cases, %llu failed\n", parts[i].name, sheet.cases - before, sheet.failed - bad);
    fflush(stdout);
  }
  if (whole)
    printf("{\"name\":\"enumerate\",\"cases\":%llu,\"failed\":%llu,\"split\":%llu,\"rode_along\":%llu}\n", sheet.cases,
           sheet.failed, sheet.split, sheet.rode);
  else
    printf("%llu passed, %llu failed, 0 skipped\n", sheet.cases - sheet.failed, sheet.failed);
  return sheet.failed ? 1 : 0;
}
