/* SPDX-License-Identifier: MIT
 *
 * backscatter: a bounce of mail that was never here. Somebody has forged our address, somebody else has accepted that
 * mail and now returns it. What `bounce` has found by reading it is a score here, which counts for every recipient,
 * whatever he wishes of bounces.
 */
#include "bounce.h"

static const smtpf_option rows[] = {
    {"bounce.not_ours", SMTPF_OPTION_SCORE, "4", -1000000, INT32_MAX, NULL,
     "Score of a bounce that quotes the Received fields of a message, and its Message-ID or From, and none of them "
     "names "
     "us: `hostnames`, `local_domains`, `relay_domains`, `own_networks`. Bounces to signed addresses are left alone. "
     "Users who send with addresses of ours through other providers get such bounces too. `off` for no score."},
};

typedef struct backscatter {
  smtpf_mem mem;
  int32_t score;
} backscatter;

static int backscatter_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_mem *mem = smtpf_section_mem(policy);
  const int64_t score = smtpf_section_number(policy, "bounce.not_ours");
  (void)err;
  if (score == SMTPF_SCORE_OFF)
    return SMTPF_OK;
  backscatter *b = mem->alloc(mem->user, sizeof *b);
  if (!b)
    return SMTPF_ENOMEM;
  *b = (backscatter){*mem, (int32_t)score};
  *self = b;
  return SMTPF_OK;
}

static int backscatter_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const backscatter *b = self;
  const smtpf_str found = smtpf_task_fact(t, BOUNCE_FACT_NOT_OURS);
  int r = SMTPF_OK;
  (void)ev;
  for (size_t i = 0; r == SMTPF_OK && i < found.n; i++) {
    const smtpf_finding f = {.size = sizeof f,
                             .kind = SMTPF_HIT,
                             .code = "not-ours",
                             .score = b->score,
                             .text = SMTPF_LIT(BOUNCE_TEXT_NOT_OURS),
                             .recipient = i + 1};
    if (found.p[i] == '1')
      r = smtpf_task_report(t, &f);
  }
  return r;
}

static void backscatter_close(void *self)
{
  backscatter *b = self;
  if (b)
    b->mem.free(b->mem.user, b);
}

/* As `bounce`. */
static int backscatter_apart(const void *self)
{
  (void)self;
  return SMTPF_APART_JOIN;
}

/* It goes by what `bounce` has read. */
static int backscatter_reads(const void *self)
{
  (void)self;
  return SMTPF_READS_TRUSTED;
}

const smtpf_check smtpf_check_backscatter = {
    .size = sizeof(smtpf_check),
    .name = "backscatter",
    .family = SMTPF_FAMILY_CONTENT,
    .stages = SMTPF_EOM,
    .tier = 0,
    .options = rows,
    .n_options = sizeof rows / sizeof rows[0],
    .open = backscatter_open,
    .run = backscatter_run,
    .close = backscatter_close,
    .apart = backscatter_apart,
    .reads = backscatter_reads,
};
