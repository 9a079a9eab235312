/* SPDX-License-Identifier: MIT */
#include "print.h"

#include <string.h>

const char *print_kind(int kind)
{
  return kind == SMTPF_HIT ? "hit" : kind == SMTPF_CLEAR ? "clear" : "unknown";
}

static smtpf_str of(const char *s)
{
  return s ? (smtpf_str){s, strlen(s)} : (smtpf_str){0};
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void member(text *t, const char *name, smtpf_str value)
{
  text_char(t, '"');
  text_cstr(t, name);
  text_cstr(t, "\":");
  text_json(t, value);
}

static void evidence_json(text *t, const smtpf_verdict *v)
{
  text_cstr(t, ",\"evidence\":[");
  for (size_t i = 0, n = smtpf_verdict_evidence_count(v); i < n; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e))
      break;
    text_cstr(t, i ? ",{" : "{");
    member(t, "check", of(e.check));
    text_char(t, ',');
    member(t, "stage", of(smtpf_stage_name(e.stage)));
    text_char(t, ',');
    member(t, "kind", of(print_kind(e.kind)));
    text_char(t, ',');
    member(t, "code", e.code);
    text_cstr(t, ",\"score\":");
    text_milli(t, e.score);
    text_char(t, ',');
    member(t, "detail", e.detail);
    text_char(t, '}');
  }
  text_char(t, ']');
}

static void recipients_json(text *t, const smtpf_verdict *v)
{
  text_cstr(t, ",\"recipients\":[");
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r))
      break;
    text_cstr(t, i ? ",{" : "{");
    member(t, "address", r.address);
    text_char(t, ',');
    member(t, "disposition", of(smtpf_disposition_name(r.disposition)));
    text_char(t, ',');
    member(t, "dsn", of(smtpf_dsn_name(r.dsn)));
    if (r.dsn_to.n) {
      text_char(t, ',');
      member(t, "dsn_to", r.dsn_to);
    }
    text_char(t, ',');
    member(t, "reason", r.reason);
    if (r.overridden)
      text_cstr(t, ",\"overridden\":true");
    text_char(t, '}');
  }
  text_char(t, ']');
}

void print_verdict_json(text *t, print_event e, const smtpf_verdict *v, unsigned flags)
{
  member(t, "event", of(e.name));
  text_char(t, ',');
  member(t, "arg", e.arg);
  text_cstr(t, ",\"reply\":{\"code\":");
  text_int(t, smtpf_verdict_code(v));
  text_char(t, ',');
  member(t, "enhanced", smtpf_verdict_enhanced(v));
  text_char(t, ',');
  member(t, "text", smtpf_verdict_text(v));
  text_cstr(t, "},\"delay_ms\":");
  text_int(t, smtpf_verdict_delay(v));
  text_char(t, ',');
  member(t, "rule", smtpf_verdict_rule(v));
  if (flags & PRINT_EVIDENCE)
    evidence_json(t, v);
  if (flags & PRINT_RECIPIENTS)
    recipients_json(t, v);
}

/* ---- text -------------------------------------------------------------------------------------- */

static void pair(text *t, const char *name, smtpf_str value)
{
  text_char(t, ' ');
  text_cstr(t, name);
  text_char(t, '=');
  text_quoted(t, value);
}

static void evidence_text(text *t, const smtpf_verdict *v)
{
  for (size_t i = 0, n = smtpf_verdict_evidence_count(v); i < n; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e))
      break;
    text_cstr(t, " [");
    text_cstr(t, smtpf_stage_name(e.stage));
    pair(t, "check", of(e.check));
    pair(t, print_kind(e.kind), e.code);
    text_cstr(t, " score=");
    text_milli(t, e.score);
    if (e.detail.n)
      pair(t, "detail", e.detail);
    text_cstr(t, " us=");
    text_int(t, e.elapsed_us);
    text_char(t, ']');
  }
}

static void recipients_text(text *t, const smtpf_verdict *v)
{
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r))
      break;
    text_cstr(t, " to=");
    text_quoted(t, r.address);
    pair(t, "disposition", of(smtpf_disposition_name(r.disposition)));
    pair(t, "dsn", of(smtpf_dsn_name(r.dsn)));
    if (r.dsn_to.n)
      pair(t, "dsn_to", r.dsn_to);
    if (r.reason.n)
      pair(t, "reason", r.reason);
  }
}

void print_verdict_text(text *t, print_event e, const smtpf_verdict *v, unsigned flags)
{
  text_cstr(t, "event=");
  text_cstr(t, e.name);
  if (e.arg.n)
    pair(t, "arg", e.arg);
  text_cstr(t, " reply=");
  text_int(t, smtpf_verdict_code(v));
  if (smtpf_verdict_enhanced(v).n)
    pair(t, "status", smtpf_verdict_enhanced(v));
  if (smtpf_verdict_text(v).n)
    pair(t, "text", smtpf_verdict_text(v));
  if (smtpf_verdict_delay(v)) {
    text_cstr(t, " delay_ms=");
    text_int(t, smtpf_verdict_delay(v));
  }
  if (smtpf_verdict_rule(v).n)
    pair(t, "rule", smtpf_verdict_rule(v));
  if (flags & PRINT_EVIDENCE)
    evidence_text(t, v);
  if (flags & PRINT_RECIPIENTS)
    recipients_text(t, v);
}
