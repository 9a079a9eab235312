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

/* Numbers, where each text begins and the last one ends, the texts. */
static void row(struct room *r, const int64_t *numbers, size_t n, const smtpf_str *texts, size_t n_texts)
{
  int64_t at = 0;
  put(r, numbers, n * sizeof *numbers);
  put(r, &at, sizeof at);
  for (size_t i = 0; i < n_texts; i++) {
    at += (int64_t)texts[i].n;
    put(r, &at, sizeof at);
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

static void verdict(struct room *r, const smtpf_verdict *v)
{
  int64_t head[SMTPFPY_HEAD];
  head[SMTPFPY_ACTION] = smtpf_verdict_action(v);
  head[SMTPFPY_CODE] = smtpf_verdict_code(v);
  head[SMTPFPY_DELAY] = smtpf_verdict_delay(v);
  head[SMTPFPY_CLOSES] = smtpf_verdict_closes(v);
  head[SMTPFPY_STAGE] = smtpf_verdict_stage(v);
  head[SMTPFPY_RECIPIENTS] = (int64_t)smtpf_verdict_recipient_count(v);
  head[SMTPFPY_EDITS] = (int64_t)smtpf_verdict_edit_count(v);
  head[SMTPFPY_EVIDENCE] = (int64_t)smtpf_verdict_evidence_count(v);
  const smtpf_str texts[] = {smtpf_verdict_enhanced(v), smtpf_verdict_text(v), smtpf_verdict_rule(v)};
  row(r, head, SMTPFPY_HEAD, texts, sizeof texts / sizeof *texts);
  for (int64_t i = 0; i < head[SMTPFPY_RECIPIENTS]; i++)
    recipient(r, v, (size_t)i);
  for (int64_t i = 0; i < head[SMTPFPY_EDITS]; i++)
    edit(r, v, (size_t)i);
  for (int64_t i = 0; i < head[SMTPFPY_EVIDENCE]; i++)
    evidence(r, v, (size_t)i);
}

size_t smtpfpy_session_verdict(const smtpf_session *s, char *out, size_t cap)
{
  struct room r = {out, 0, cap};
  const smtpf_verdict *v = smtpf_session_verdict(s);
  if (v)
    verdict(&r, v);
  return r.n;
}

static smtpf_str address(const smtpf_ip *ip)
{
  return (smtpf_str){ip ? (const char *)ip->bytes : NULL, !ip || !ip->family ? 0 : ip->family == 4 ? 4 : 16};
}

size_t smtpfpy_event(const smtpf_event *ev, char *out, size_t cap)
{
  static const smtpf_path none = {0};
  struct room r = {out, 0, cap};
  const smtpf_path *from = ev->sender ? ev->sender : &none, *to = ev->recipient ? ev->recipient : &none;
  const int64_t numbers[] = {ev->stage,
                             ev->protocol,
                             ev->early_talk,
                             ev->own,
                             ev->tls,
                             ev->greeting,
                             (int64_t)ev->recipients,
                             (int64_t)ev->failed_recipients,
                             (int64_t)ev->message_size,
                             (int64_t)ev->now_ns,
                             ev->wall_s,
                             ev->signature,
                             from->form,
                             from->quoted,
                             from->utf8,
                             to->form,
                             to->quoted,
                             to->utf8};
  const smtpf_str texts[] = {address(ev->client), address(ev->local),   ev->rdns,    ev->identity,   ev->helo,
                             ev->sender_params,   ev->recipient_params, ev->mailbox, ev->returns_to, from->address,
                             from->local_part,    from->domain,         to->address, to->local_part, to->domain};
  row(&r, numbers, sizeof numbers / sizeof *numbers, texts, sizeof texts / sizeof *texts);
  return r.n;
}
