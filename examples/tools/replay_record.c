/* SPDX-License-Identifier: MIT
 *
 * Records: verdicts copied out, because a verdict lives only until its session's next event. And as text for people.
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static char *copy(smtpf_str s)
{
  return replay_strdup(s.p, s.n);
}

static void clear_reply(struct replay_reply *r)
{
  free(r->enhanced);
  free(r->text);
  *r = (struct replay_reply){0};
}

void replay_record_reply(struct replay_record *r, const smtpf_verdict *v)
{
  clear_reply(&r->reply);
  free(r->rule);
  r->reply = (struct replay_reply){smtpf_verdict_code(v), copy(smtpf_verdict_enhanced(v)), copy(smtpf_verdict_text(v))};
  r->delay_ms = smtpf_verdict_delay(v);
  r->closes = smtpf_verdict_closes(v);
  r->stage = smtpf_verdict_stage(v);
  r->rule = copy(smtpf_verdict_rule(v));
}

void replay_record_overruled(struct replay_record *r, int code, const char *reason)
{
  clear_reply(&r->reply);
  r->reply = (struct replay_reply){code, replay_strdup("", 0), replay_strdup(reason, strlen(reason))};
}

static void clear_evidence(struct replay_record *r)
{
  for (size_t i = 0; i < r->n_findings; i++) {
    free(r->findings[i].code);
    free(r->findings[i].detail);
  }
  free(r->findings);
  r->findings = NULL;
  r->n_findings = 0;
}

void replay_record_evidence(struct replay_record *r, const smtpf_verdict *v)
{
  clear_evidence(r);
  size_t n = smtpf_verdict_evidence_count(v);
  r->findings = replay_alloc(n * sizeof *r->findings);
  for (size_t i = 0; i < n; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e) != SMTPF_OK)
      break;
    r->findings[r->n_findings++] =
        (struct replay_finding){e.check, e.stage, e.kind, e.score, copy(e.code), copy(e.detail)};
  }
}

static void clear_recipients(struct replay_record *r)
{
  for (size_t i = 0; i < r->n_recipients; i++) {
    free(r->recipients[i].address);
    free(r->recipients[i].reason);
    free(r->recipients[i].forward);
    free(r->recipients[i].dsn_to);
    free(r->recipients[i].sender);
    clear_reply(&r->recipients[i].reply);
  }
  free(r->recipients);
  r->recipients = NULL;
  r->n_recipients = 0;
}

static void clear_edits(struct replay_record *r)
{
  for (size_t i = 0; i < r->n_edits; i++) {
    free(r->edits[i].name);
    free(r->edits[i].value);
  }
  free(r->edits);
  r->edits = NULL;
  r->n_edits = 0;
}

static void record_edits(struct replay_record *r, const smtpf_verdict *v)
{
  const size_t n = smtpf_verdict_edit_count(v);
  clear_edits(r);
  r->edits = replay_alloc(n * sizeof *r->edits);
  for (size_t i = 0; i < n; i++) {
    smtpf_edit_info in = {.size = sizeof in};
    if (smtpf_verdict_edit(v, i, &in) != SMTPF_OK)
      break;
    r->edits[r->n_edits++] = (struct replay_edit){in.op, in.occurrence, copy(in.name), copy(in.value), in.recipient};
  }
}

void replay_record_recipients(struct replay_record *r, const smtpf_verdict *v)
{
  clear_recipients(r);
  record_edits(r, v);
  size_t n = smtpf_verdict_recipient_count(v);
  r->recipients = replay_alloc(n * sizeof *r->recipients);
  for (size_t i = 0; i < n; i++) {
    smtpf_recipient_info in = {.size = sizeof in};
    if (smtpf_verdict_recipient(v, i, &in) != SMTPF_OK)
      break;
    r->recipients[r->n_recipients++] =
        (struct replay_recipient){.address = copy(in.address),
                                  .disposition = in.disposition,
                                  .dsn = in.dsn,
                                  .dsn_to = copy(in.dsn_to),
                                  .overridden = in.overridden,
                                  .origin = in.origin,
                                  .wish = in.wish,
                                  .route = in.route,
                                  .fallback = in.fallback,
                                  .known = in.known,
                                  .reason = copy(in.reason),
                                  .forward = copy(in.forward),
                                  .sender = copy(in.sender),
                                  .reply = {in.reply_code, copy(in.enhanced), copy(in.text)}};
  }
}

void replay_record_clear(struct replay_record *r)
{
  clear_reply(&r->reply);
  clear_evidence(r);
  clear_recipients(r);
  clear_edits(r);
  free(r->rule);
  free(r->arg);
  free(r->params);
  free(r->sender);
  *r = (struct replay_record){0};
}

/* ---- words ---- */

const char *replay_route_name(int route)
{
  return route == SMTPF_ROUTE_MAILBOX ? "mailbox" : route == SMTPF_ROUTE_FORWARD ? "forward" : "none";
}

const char *replay_fallback_name(int fallback)
{
  return fallback == SMTPF_FALLBACK_QUARANTINE   ? "quarantine"
         : fallback == SMTPF_FALLBACK_POSTMASTER ? "postmaster"
                                                 : "none";
}

/* ---- text -----------------------------------------------------------------------------------------------------------
 */

static void cstr(text *out, const char *s)
{
  replay_escaped(out, smtpf_str_of(s));
}

static void write_reply(text *out, const struct replay_reply *r)
{
  replay_format(out, "%d", r->code);
  if (r->enhanced && *r->enhanced)
    replay_format(out, " %s", r->enhanced);
  for (const char *p = r->text ? r->text : ""; *p;) {
    size_t n = strcspn(p, "\n");
    replay_format(out, p == r->text ? " " : " / ");
    replay_escaped(out, (smtpf_str){p, n});
    p += n + (p[n] == '\n');
  }
}

/* What was found at this stage, at the end of a message while it came too; the rest stands with the events before. */
static int is_of(const struct replay_record *r, const struct replay_finding *f)
{
  return f->stage == r->stage || (r->stage == SMTPF_EOM && f->stage == SMTPF_BODY);
}

static void write_findings(text *out, const struct replay_record *r)
{
  int any = 0;
  for (size_t i = 0; i < r->n_findings; i++) {
    const struct replay_finding *f = &r->findings[i];
    if (!is_of(r, f))
      continue;
    replay_format(out, "%s%s:", any++ ? " " : "    [", f->check);
    cstr(out, f->code);
    replay_format(out, "%s", f->kind == SMTPF_HIT ? "!" : f->kind == SMTPF_UNKNOWN ? "?" : "");
    if (f->score) {
      replay_format(out, f->score > 0 ? "+" : "");
      text_milli(out, f->score);
    }
  }
  if (any)
    replay_format(out, "]\n");
}

/* What goes without saying is not said: a stranger or an own client, the mailbox, the sender's own address. */
static void write_copy(text *out, const struct replay_record *r, const struct replay_recipient *to)
{
  cstr(out, to->address);
  replay_format(out, " %s, dsn %s", smtpf_disposition_name(to->disposition), smtpf_dsn_name(to->dsn));
  if (to->dsn == SMTPF_DSN_NEVER && to->fallback == SMTPF_FALLBACK_QUARANTINE)
    text_cstr(out, ", fallback quarantine");
  if (to->overridden)
    text_cstr(out, ", overridden");
  if (to->overridden && to->wish)
    replay_format(out, ", wish %s", smtpf_disposition_name(to->wish));
  if (to->origin != SMTPF_ORIGIN_STRANGER && to->origin != SMTPF_ORIGIN_OWN)
    replay_format(out, ", origin %s", smtpf_origin_name(to->origin));
  if (*to->forward) {
    text_cstr(out, ", forward ");
    cstr(out, to->forward);
  }
  if (r->sender && !smtpf_str_equal_nocase(smtpf_str_of(to->sender), smtpf_str_of(r->sender))) {
    text_cstr(out, ", sender ");
    cstr(out, *to->sender ? to->sender : "<>");
  }
  if (to->known)
    text_cstr(out, ", known");
}

static void write_recipients(text *out, const struct replay_record *r)
{
  for (size_t i = 0; i < r->n_recipients; i++) {
    const struct replay_recipient *to = &r->recipients[i];
    replay_format(out, "    ");
    write_copy(out, r, to);
    if (r->each) {
      replay_format(out, " -> ");
      write_reply(out, &to->reply);
    }
    if (*to->reason) {
      replay_format(out, " (");
      cstr(out, to->reason);
      replay_format(out, ")");
    }
    replay_format(out, "\n");
  }
}

static void write_edits(text *out, const struct replay_record *r)
{
  for (size_t i = 0; i < r->n_edits; i++) {
    const struct replay_edit *e = &r->edits[i];
    text_cstr(out, "    header");
    if (e->recipient < r->n_recipients) {
      text_cstr(out, " for ");
      cstr(out, r->recipients[e->recipient].address);
    }
    text_cstr(out, e->op == SMTPF_EDIT_DELETE ? " - " : " + ");
    cstr(out, e->name);
    if (e->op == SMTPF_EDIT_DELETE) {
      replay_format(out, " number %d", e->occurrence);
    } else {
      text_cstr(out, ": ");
      cstr(out, e->value);
    }
    text_cstr(out, "\n");
  }
}

/* Whether a rule says more than the reply. */
static int says_why(const char *rule)
{
  static const char *const plain[] = {"", "accept", "command", "committed", "violation"};
  for (size_t i = 0; rule && i < sizeof plain / sizeof *plain; i++)
    if (strcmp(rule, plain[i]) == 0)
      return 0;
  return rule != NULL;
}

void replay_record_text(text *out, const struct replay_record *r)
{
  replay_format(out, "%s", r->label);
  if (r->arg && *r->arg) {
    replay_format(out, " ");
    cstr(out, r->arg);
  }
  if (r->params && *r->params) {
    replay_format(out, " ");
    cstr(out, r->params);
  }
  if (r->reply.code) {
    replay_format(out, " -> ");
    write_reply(out, &r->reply);
  }
  if (r->delay_ms)
    replay_format(out, " after %lld ms", (long long)r->delay_ms);
  replay_format(out, "%s\n", r->closes ? " and close" : "");
  if (says_why(r->rule)) {
    replay_format(out, "    because ");
    cstr(out, r->rule);
    replay_format(out, "\n");
  }
  write_findings(out, r);
  write_edits(out, r);
  write_recipients(out, r);
}
