/* SPDX-License-Identifier: MIT
 *
 * Answers of spamd: read at once, byte by byte and in pieces, the end is the same. What is whole holds what it must.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "port/scan/spamd_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

/* Reads it in pieces of `step`; returns how it ends, *at: how many bytes belong to it. */
static int in_steps(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t step, size_t *at)
{
  int progress = SMTPF_SPAMD_MORE;
  smtpf_spamd_reply_init(r);
  for (*at = 0; progress == SMTPF_SPAMD_MORE && *at < n;) {
    size_t used;
    const size_t piece = n - *at < step ? n - *at : step;
    char *copy = malloc(piece); /* so that a byte too far is seen */
    MUST(copy);
    memcpy(copy, bytes + *at, piece);
    progress = smtpf_spamd_reply_feed(r, copy, piece, &used);
    free(copy);
    MUST(used <= piece && (progress != SMTPF_SPAMD_MORE || used == piece));
    *at += used;
  }
  return progress;
}

static void whole(const smtpf_spamd_reply *r)
{
  MUST(r->code >= 0 && r->code <= 255);
  const smtpf_str text = r->code ? r->text : r->symbols;
  MUST(text.n <= sizeof r->room);
  for (size_t i = 0; i < text.n; i++)
    MUST(text.p[i] >= 0x20 && text.p[i] < 0x7f);
  if (r->code == 0)
    MUST((r->spam == 0 || r->spam == 1) && r->score <= 2000000999 && r->score >= -2000000999);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static smtpf_spamd_reply one, other;
  size_t end, end_other;
  const size_t steps[] = {1, 7, size ? 1 + size / 3 : 1};
  const int progress = in_steps(&one, (const char *)data, size, size ? size : 1, &end);
  if (progress == SMTPF_SPAMD_DONE)
    whole(&one);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    MUST(in_steps(&other, (const char *)data, size, steps[i], &end_other) == progress);
    if (progress != SMTPF_SPAMD_DONE)
      continue;
    MUST(end == end_other && one.code == other.code && one.spam == other.spam && one.score == other.score &&
         one.threshold == other.threshold);
    const smtpf_str a = one.code ? one.text : one.symbols, b = one.code ? other.text : other.symbols;
    MUST(a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0));
  }
  return 0;
}
