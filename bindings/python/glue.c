/* SPDX-License-Identifier: MIT */
#include "glue.h"

#include <string.h>

struct room {
  char *p;
  size_t n, cap; /* n counts on beyond cap */
};

static void put(struct room *r, const void *bytes, size_t n)
{
  if (n && r->n <= r->cap && n <= r->cap - r->n)
    memcpy(r->p + r->n, bytes, n);
  r->n += n;
}

/* Numbers, the lengths of texts, the texts. */
static void row(struct room *r, const int64_t *numbers, size_t n, const smtpf_str *texts, size_t n_texts)
{
  put(r, numbers, n * sizeof *numbers);
  for (size_t i = 0; i < n_texts; i++) {
    const int64_t length = (int64_t)texts[i].n;
    put(r, &length, sizeof length);
  }
  for (size_t i = 0; i < n_texts; i++)
    put(r, texts[i].p, texts[i].n);
}

static void evidence(struct room *r, const smtpf_verdict *v, size_t i)
{
  smtpf_evidence_info e = {.size = sizeof e};
  if (smtpf_verdict_evidence(v, i, &e) != SMTPF_OK)
    e = (smtpf_evidence_info){.check = ""};
  const int64_t numbers[] = {e.stage, e.kind, e.score, e.elapsed_us};
  const smtpf_str texts[] = {{e.check, strlen(e.check)}, e.code, e.detail, e.text};
  row(r, numbers, sizeof numbers / sizeof *numbers, texts, sizeof texts / sizeof *texts);
}

static void recipient(struct room *r, const smtpf_verdict *v, size_t i)
{
  smtpf_recipient_info x = {.size = sizeof x};
  if (smtpf_verdict_recipient(v, i, &x) != SMTPF_OK)
    x = (smtpf_recipient_info){.size = sizeof x};
  const int64_t numbers[] = {x.disposition, x.final, x.dsn,   x.overridden, x.reply_code,
                             x.origin,      x.wish,  x.route, x.fallback,   x.known};
  const smtpf_str texts[] = {x.path,    x.address, x.reason,    x.enhanced, x.text,
                             x.forward, x.sender,  x.canonical, x.dsn_to};
  row(r, numbers, sizeof numbers / sizeof *numbers, texts, sizeof texts / sizeof *texts);
}

static void edit(struct room *r, const smtpf_verdict *v, size_t i)
{
  smtpf_edit_info e = {.size = sizeof e};
  if (smtpf_verdict_edit(v, i, &e) != SMTPF_OK)
    e = (smtpf_edit_info){.size = sizeof e};
  const int64_t numbers[] = {e.op, e.occurrence, e.recipient == SMTPF_ALL ? -1 : (int64_t)e.recipient};
  const smtpf_str texts[] = {e.name, e.value};
  row(r, numbers, sizeof numbers / sizeof *numbers, texts, sizeof texts / sizeof *texts);
}

size_t smtpfpy_verdict_pack(const smtpf_verdict *v, char *out, size_t cap)
{
  struct room r = {out, 0, cap};
  int64_t head[SMTPFPY_HEAD];
  head[SMTPFPY_ACTION] = smtpf_verdict_action(v);
  head[SMTPFPY_CODE] = smtpf_verdict_code(v);
  head[SMTPFPY_DELAY] = smtpf_verdict_delay(v);
  head[SMTPFPY_CLOSES] = smtpf_verdict_closes(v);
  head[SMTPFPY_STAGE] = smtpf_verdict_stage(v);
  head[SMTPFPY_EVIDENCE] = (int64_t)smtpf_verdict_evidence_count(v);
  head[SMTPFPY_RECIPIENTS] = (int64_t)smtpf_verdict_recipient_count(v);
  head[SMTPFPY_EDITS] = (int64_t)smtpf_verdict_edit_count(v);
  const smtpf_str texts[] = {smtpf_verdict_enhanced(v), smtpf_verdict_text(v), smtpf_verdict_rule(v)};
  row(&r, head, SMTPFPY_HEAD, texts, sizeof texts / sizeof *texts);
  for (int64_t i = 0; i < head[SMTPFPY_EVIDENCE]; i++)
    evidence(&r, v, (size_t)i);
  for (int64_t i = 0; i < head[SMTPFPY_RECIPIENTS]; i++)
    recipient(&r, v, (size_t)i);
  for (int64_t i = 0; i < head[SMTPFPY_EDITS]; i++)
    edit(&r, v, (size_t)i);
  return r.n;
}
