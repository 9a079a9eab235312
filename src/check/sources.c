/* SPDX-License-Identifier: MIT */
#include "sources.h"

static int trusts(const smtpf_section *s)
{
  return smtpf_section_count(s, "forwarders") || smtpf_section_count(s, "lists");
}

int sources_expected(const smtpf_section *policy)
{
  int some = smtpf_section_count(policy, "backup_mx") || smtpf_section_count(policy, "forwarders");
  for (size_t i = 0; !some && i < smtpf_section_count(policy, "profiles"); i++)
    some = trusts(smtpf_section_at(policy, "profiles", i));
  for (size_t i = 0; !some && i < smtpf_section_count(policy, "recipients"); i++)
    some = trusts(smtpf_section_at(policy, "recipients", i));
  return some;
}

/* Its place, from 1; it is new when it is the last. */
static size_t place_of(sources *s, const smtpf_source *source)
{
  size_t i = 0;
  while (i < s->n && !smtpf_ip_equal(&s->v[i].ip, &source->ip))
    i++;
  s->v[i] = *source;
  s->n += i == s->n;
  return i + 1;
}

int sources_find(smtpf_task *t, sources *out)
{
  const size_t n = smtpf_task_event(t)->recipients;
  sources s = {.recipients = n};
  s.v = smtpf_task_alloc(t, n * sizeof *s.v);
  s.of = smtpf_task_alloc(t, n * sizeof *s.of);
  if (!s.v || !s.of)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < n; i++) {
    smtpf_source source = {.size = sizeof source};
    if (smtpf_task_source(t, i + 1, &source) == SMTPF_OK)
      s.of[i] = place_of(&s, &source);
    else
      s.blind++;
  }
  *out = s;
  return SMTPF_OK;
}

int sources_report(smtpf_task *t, const sources *s, size_t i, const smtpf_finding *f)
{
  smtpf_finding own = *f;
  int r = SMTPF_OK;
  own.flags &= ~(unsigned)(SMTPF_FINDING_REFUSE | SMTPF_FINDING_OPEN_RELAY);
  own.detail = SMTPF_JOIN(t, f->detail, f->detail.n ? SMTPF_LIT(" ") : SMTPF_LIT(""), SMTPF_LIT("source "),
                          s->v[i].text, SMTPF_LIT(" behind "), smtpf_task_event(t)->client_text);
  if (own.kind == SMTPF_HIT && own.score > 0 && !smtpf_task_fact(t, SOURCES_LISTED).n)
    r = smtpf_task_fact_set(t, SOURCES_LISTED, s->v[i].text, 0);
  if (r == SMTPF_OK && s->n == 1 && !s->blind)
    return smtpf_task_report(t, &own);
  for (size_t k = 0; r == SMTPF_OK && k < s->recipients; k++)
    if (s->of[k] == i + 1) {
      own.recipient = k + 1;
      r = smtpf_task_report(t, &own);
    }
  return r;
}
