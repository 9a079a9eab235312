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

int report_begin(text *t, enum report_which which, int64_t wall_s, int refused, const smtpf_session *s,
                 smtpf_str client)
{
  const char *id = smtpf_session_id(s);
  if (which == REPORT_NONE || (which == REPORT_REFUSED && !refused))
    return 0;
  if (wall_s != REPORT_UNDATED)
    log_begin(t, wall_s, refused ? "notice" : "info");
  log_member(t, "session", (smtpf_str){id, strlen(id)});
  log_member(t, "client", client);
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
