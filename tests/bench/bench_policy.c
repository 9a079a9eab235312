/* SPDX-License-Identifier: MIT
 *
 * bench_policy: what the decision itself costs: the judge for each of three recipients with different wishes, then the
 * ledger; and the partition at RCPT. No allocation is possible: the functions are pure. Prints one JSON object: the
 * distribution over batches, in nanoseconds of processor time a decision.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policy/ledger.h"
#include "policy/partition.h"

enum { RCPTS = 3, FINDINGS = 12, BATCHES = 2000, EACH = 500 };

static const smtpf_profile profiles[RCPTS] = {
    {.name = {"plain", 5},
     .reject = 10000,
     .quarantine = 7000,
     .tag = 5000,
     .discard = SMTPF_SCORE_OFF,
     .reject_lists = 1,
     .reject_content = 1},
    {.name = {"discard", 7}, .reject = 10000, .quarantine = SMTPF_SCORE_OFF, .tag = 4000, .discard = 15000},
    {.name = {"forward", 7},
     .reject = SMTPF_SCORE_OFF,
     .quarantine = 6000,
     .tag = SMTPF_SCORE_OFF,
     .discard = SMTPF_SCORE_OFF,
     .route = SMTPF_WISH_FORWARD_NONSPAM,
     .forward = {"me@elsewhere.example", 20}},
};

static const unsigned capabilities[] = {
    SMTPF_CAN_EDIT | SMTPF_CAN_REPORT_COMMIT, SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_DROP_RCPT,
    SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT | SMTPF_CAN_REPORT_COMMIT};

static double now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* What a message has gathered: a few hits of each family, clears, an unknown; the last score varies. */
static void gather(smtpf_evidence *e, const smtpf_evidence **v)
{
  static const uint8_t families[] = {SMTPF_FAMILY_CLIENT, SMTPF_FAMILY_ENVELOPE, SMTPF_FAMILY_LIST,
                                     SMTPF_FAMILY_CONTENT};
  for (size_t i = 0; i < FINDINGS; i++) {
    e[i] = (smtpf_evidence){.check = "check",
                            .code = "code",
                            .kind = i % 3 ? SMTPF_CLEAR : SMTPF_HIT,
                            .score = i % 3 ? -100 : 1500,
                            .family = families[i % 4]};
    v[i] = &e[i];
  }
  e[7].kind = SMTPF_UNKNOWN;
  e[7].score = 0;
}

static size_t decide(smtpf_will *wills, smtpf_view view, unsigned caps)
{
  smtpf_entry entries[RCPTS], *v[RCPTS];
  for (size_t i = 0; i < RCPTS; i++) {
    entries[i] = (smtpf_entry){.outcome = smtpf_judge(&wills[i], view)};
    v[i] = &entries[i];
  }
  const smtpf_decision d = smtpf_ledger_decide(v, RCPTS, caps, 0);
  return (size_t)d.act + entries[0].disposition + entries[1].disposition + entries[2].disposition;
}

static size_t split(smtpf_will *wills, smtpf_view view, unsigned caps)
{
  smtpf_summary s[2] = {smtpf_judge_summary(&wills[0], view), smtpf_judge_summary(&wills[1], view)};
  const smtpf_party a = {&wills[0], &s[0], 1}, b = {&wills[1], &s[1], 1};
  return (size_t)smtpf_partition_joins(&a, &b, caps, 0);
}

static size_t measure(const char *name, size_t (*fn)(smtpf_will *, smtpf_view, unsigned), smtpf_evidence *e,
                      smtpf_view view)
{
  static double took[BATCHES];
  smtpf_will wills[RCPTS];
  size_t sum = 0;
  for (size_t i = 0; i < RCPTS; i++)
    wills[i] = (smtpf_will){.profile = &profiles[i], .origin = SMTPF_ORIGIN_STRANGER};
  for (size_t b = 0; b < BATCHES; b++) {
    const double begin = now_ns();
    for (size_t i = 0; i < EACH; i++) {
      e[FINDINGS - 1].score = (int32_t)((b * EACH + i) * 7919 % 20000);
      sum += fn(wills, view, capabilities[i % 3]);
    }
    took[b] = (now_ns() - begin) / EACH;
  }
  qsort(took, BATCHES, sizeof *took, by_value);
  printf(",\"%s_ns\":{\"median\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"worst_batch\":%.0f}", name, took[BATCHES / 2],
         took[BATCHES * 9 / 10], took[BATCHES * 99 / 100], took[BATCHES - 1]);
  return sum;
}

int main(void)
{
  smtpf_evidence e[FINDINGS];
  const smtpf_evidence *v[FINDINGS];
  gather(e, v);
  const smtpf_view view = {v, FINDINGS};
  printf("{\"name\":\"policy\",\"recipients\":%d,\"findings\":%d", RCPTS, FINDINGS);
  const size_t sum = measure("judge_and_ledger", decide, e, view) + measure("partition", split, e, view);
  printf(",\"checksum\":%zu}\n", sum);
  return 0;
}
