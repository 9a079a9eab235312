/* SPDX-License-Identifier: MIT
 *
 * Records as JSON, one object a line (RFC 8259).
 */
#include <string.h>

#include "replay.h"

static void member(text *out, const char *name, const char *value)
{
  replay_format(out, "\"%s\":", name);
  text_json(out, smtpf_str_of(value));
}

static void write_reply(text *out, const struct replay_reply *r)
{
  replay_format(out, "\"reply\":");
  if (!r->code) {
    replay_format(out, "null");
    return;
  }
  replay_format(out, "{\"code\":%d,", r->code);
  member(out, "enhanced", r->enhanced);
  replay_format(out, ",");
  member(out, "text", r->text);
  replay_format(out, "}");
}

static void write_findings(text *out, const struct replay_record *r)
{
  static const char *const kinds[] = {"", "clear", "hit", "unknown"};
  replay_format(out, ",\"evidence\":[");
  for (size_t i = 0; i < r->n_findings; i++) {
    const struct replay_finding *f = &r->findings[i];
    replay_format(out, "%s{", i ? "," : "");
    member(out, "check", f->check);
    replay_format(out, ",");
    member(out, "code", f->code);
    replay_format(out, ",\"score\":");
    text_milli(out, f->score);
    replay_format(out, ",");
    member(out, "detail", f->detail);
    replay_format(out, ",\"stage\":\"%s\",\"kind\":\"%s\"}", smtpf_stage_name(f->stage),
                  f->kind >= 1 && f->kind <= 3 ? kinds[f->kind] : "");
  }
  replay_format(out, "]");
}

static void write_recipients(text *out, const struct replay_record *r)
{
  replay_format(out, ",\"recipients\":[");
  for (size_t i = 0; i < r->n_recipients; i++) {
    const struct replay_recipient *to = &r->recipients[i];
    replay_format(out, "%s{", i ? "," : "");
    member(out, "address", to->address);
    replay_format(out, ",\"disposition\":\"%s\",\"dsn\":\"%s\",", smtpf_disposition_name(to->disposition),
                  smtpf_dsn_name(to->dsn));
    if (*to->dsn_to) {
      member(out, "dsn_to", to->dsn_to);
      replay_format(out, ",");
    }
    member(out, "reason", to->reason);
    replay_format(out, ",\"origin\":\"%s\"", smtpf_origin_name(to->origin));
    if (to->wish)
      replay_format(out, ",\"wish\":\"%s\"", smtpf_disposition_name(to->wish));
    if (to->overridden)
      replay_format(out, ",\"overridden\":true");
    replay_format(out, ",\"route\":\"%s\"", replay_route_name(to->route));
    if (*to->forward) {
      replay_format(out, ",");
      member(out, "forward", to->forward);
    }
    replay_format(out, ",");
    member(out, "sender", to->sender);
    replay_format(out, ",\"fallback\":\"%s\"", replay_fallback_name(to->fallback));
    if (to->known)
      replay_format(out, ",\"known\":true");
    if (r->each) {
      replay_format(out, ",");
      write_reply(out, &to->reply);
    }
    replay_format(out, "}");
  }
  replay_format(out, "]");
}

/* An edit of one recipient's copy alone names it. */
static void write_edits(text *out, const struct replay_record *r)
{
  static const char *const ops[] = {"", "prepend", "append", "delete"};
  replay_format(out, ",\"edits\":[");
  for (size_t i = 0; i < r->n_edits; i++) {
    const struct replay_edit *e = &r->edits[i];
    replay_format(out, "%s{\"op\":\"%s\",", i ? "," : "", ops[e->op & 3]);
    member(out, "name", e->name);
    if (e->op == SMTPF_EDIT_DELETE) {
      replay_format(out, ",\"occurrence\":%d", e->occurrence);
    } else {
      replay_format(out, ",");
      member(out, "value", e->value);
    }
    if (e->recipient < r->n_recipients) {
      replay_format(out, ",");
      member(out, "recipient", r->recipients[e->recipient].address);
    }
    replay_format(out, "}");
  }
  replay_format(out, "]");
}

void replay_record_json(text *out, const struct replay_record *r)
{
  replay_format(out, "{\"event\":\"%s\",", r->event);
  member(out, "arg", r->arg);
  if (r->params && *r->params) {
    replay_format(out, ",");
    member(out, "params", r->params);
  }
  replay_format(out, ",");
  write_reply(out, &r->reply);
  replay_format(out, ",\"delay_ms\":%lld", (long long)r->delay_ms);
  if (r->closes)
    replay_format(out, ",\"closes\":true");
  replay_format(out, ",");
  member(out, "rule", r->rule);
  write_findings(out, r);
  if (strcmp(r->event, "end-of-message") == 0) {
    write_edits(out, r);
    write_recipients(out, r);
  }
  replay_format(out, "}\n");
}
