/* SPDX-License-Identifier: MIT
 *
 * Records as JSON, one object a line (RFC 8259). Bytes that are no UTF-8 are written as the code point of their value.
 */
#include "replay.h"
#include <string.h>

/* Length of the UTF-8 sequence at `p` (RFC 3629), 0 when it is none. */
static size_t utf8(const unsigned char *p)
{
  static const struct {
    unsigned char first, last, low, high; /* first byte, bounds of the second */
    size_t n;
  } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
              {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
              {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (p[0] < rows[i].first || p[0] > rows[i].last || p[1] < rows[i].low || p[1] > rows[i].high)
      continue;
    for (size_t k = 2; k < rows[i].n; k++)
      if (p[k] < 0x80 || p[k] > 0xbf)
        return 0;
    return rows[i].n;
  }
  return 0;
}

void replay_json_string(struct replay_text *out, const char *s)
{
  const unsigned char *p = (const unsigned char *)(s ? s : "");
  replay_text_add(out, "\"", 1);
  while (*p) {
    size_t n = *p < 0x80 ? 1 : utf8(p);
    if (*p == '"' || *p == '\\')
      replay_text_format(out, "\\%c", *p);
    else if (*p == '\n')
      replay_text_add(out, "\\n", 2);
    else if (n == 0 || *p < 0x20 || *p == 0x7f)
      replay_text_format(out, "\\u%04x", *p);
    else
      replay_text_add(out, (const char *)p, n);
    p += n ? n : 1;
  }
  replay_text_add(out, "\"", 1);
}

static void member(struct replay_text *out, const char *name, const char *value)
{
  replay_text_format(out, "\"%s\":", name);
  replay_json_string(out, value);
}

static void write_reply(struct replay_text *out, const struct replay_reply *r)
{
  replay_text_format(out, "\"reply\":");
  if (!r->code) {
    replay_text_format(out, "null");
    return;
  }
  replay_text_format(out, "{\"code\":%d,", r->code);
  member(out, "enhanced", r->enhanced);
  replay_text_format(out, ",");
  member(out, "text", r->text);
  replay_text_format(out, "}");
}

static void write_findings(struct replay_text *out, const struct replay_record *r)
{
  static const char *const kinds[] = {"", "clear", "hit", "unknown"};
  replay_text_format(out, ",\"evidence\":[");
  for (size_t i = 0; i < r->n_findings; i++) {
    const struct replay_finding *f = &r->findings[i];
    replay_text_format(out, "%s{", i ? "," : "");
    member(out, "check", f->check);
    replay_text_format(out, ",");
    member(out, "code", f->code);
    replay_text_format(out, ",\"score\":");
    replay_text_points(out, f->score);
    replay_text_format(out, ",");
    member(out, "detail", f->detail);
    replay_text_format(out, ",\"stage\":\"%s\",\"kind\":\"%s\"}", smtpf_stage_name(f->stage),
                       f->kind >= 1 && f->kind <= 3 ? kinds[f->kind] : "");
  }
  replay_text_format(out, "]");
}

static void write_recipients(struct replay_text *out, const struct replay_record *r)
{
  replay_text_format(out, ",\"recipients\":[");
  for (size_t i = 0; i < r->n_recipients; i++) {
    const struct replay_recipient *to = &r->recipients[i];
    replay_text_format(out, "%s{", i ? "," : "");
    member(out, "address", to->address);
    replay_text_format(out, ",\"disposition\":\"%s\",\"dsn\":\"%s\",", smtpf_disposition_name(to->disposition),
                       smtpf_dsn_name(to->dsn));
    member(out, "reason", to->reason);
    if (to->overridden)
      replay_text_format(out, ",\"overridden\":true");
    if (r->lmtp) {
      replay_text_format(out, ",");
      write_reply(out, &to->reply);
    }
    replay_text_format(out, "}");
  }
  replay_text_format(out, "]");
}

void replay_record_json(struct replay_text *out, const struct replay_record *r)
{
  replay_text_format(out, "{\"event\":\"%s\",", r->event);
  member(out, "arg", r->arg);
  if (r->params && *r->params) {
    replay_text_format(out, ",");
    member(out, "params", r->params);
  }
  replay_text_format(out, ",");
  write_reply(out, &r->reply);
  replay_text_format(out, ",\"delay_ms\":%lld", (long long)r->delay_ms);
  if (r->closes)
    replay_text_format(out, ",\"closes\":true");
  replay_text_format(out, ",");
  member(out, "rule", r->rule);
  write_findings(out, r);
  if (strcmp(r->event, "end-of-message") == 0)
    write_recipients(out, r);
  replay_text_format(out, "}\n");
}
