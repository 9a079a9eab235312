/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include "host_policy.h"
#include "log.h"

enum report_which report_which(const smtpf_engine *e, const char *section)
{
  static const char *const words[] = {"all", "refused", "none", NULL}; /* as enum report_which */
  char path[64];
  snprintf(path, sizeof path, "%s.log_verdicts", section);
  return (enum report_which)host_choice(e, path, words);
}

int report_is_refused(const smtpf_verdict *v)
{
  return smtpf_verdict_action(v) != SMTPF_ACCEPT;
}

int report_begin(text *t, const report *r)
{
  const char *id = smtpf_session_id(r->session);
  if (r->which == REPORT_NONE || (r->which == REPORT_REFUSED && !r->refused))
    return 0;
  if (r->wall_s != REPORT_UNDATED)
    log_begin(t, r->wall_s, r->refused ? "notice" : "info");
  log_member(t, "session", (smtpf_str){id, strlen(id)});
  log_member(t, "client", r->client);
  if (r->tls.n)
    log_member(t, "tls", r->tls);
  return 1;
}

void report_end(text *t, print_event e, const smtpf_verdict *v, unsigned flags)
{
  text_char(t, log_is_json() ? ',' : ' ');
  if (log_is_json())
    print_verdict_json(t, e, v, flags);
  else
    print_verdict_text(t, e, v, flags);
  log_end(t);
}

void report_cut(text *t, size_t longest)
{
  if (t->n > longest) {
    t->n = longest;
    text_cstr(t, " ...\n");
  }
}
