/* SPDX-License-Identifier: MIT
 *
 * Log lines about verdicts.
 */
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "../../common/log.h"
#include "connection.h"

static print_event event_of(const connection *c, const smtpf_milter_packet *p)
{
  switch (p->command) {
  case SMTPF_MILTER_CONNECT: return (print_event){"connect", smtpf_str_of(c->client)};
  case SMTPF_MILTER_HELO: return (print_event){"helo", p->name};
  case SMTPF_MILTER_MAIL: return (print_event){"mail", p->name};
  case SMTPF_MILTER_RCPT: return (print_event){"rcpt", p->name};
  case SMTPF_MILTER_DATA: return (print_event){"data", {NULL, 0}};
  case SMTPF_MILTER_BODYEOB: return (print_event){"end-of-message", smtpf_str_of(c->queue_id)};
  case SMTPF_MILTER_ABORT: return (print_event){"abort", {NULL, 0}};
  case SMTPF_MILTER_UNKNOWN: return (print_event){"command", p->name};
  default: return (print_event){"message", {NULL, 0}};
  }
}

void report_verdict(connection *c, const smtpf_milter_packet *p, const smtpf_verdict *v)
{
  const server_settings *s = &c->settings->base;
  metrics_verdict(c->loop->base.metrics, v, 0);
  text *t = &c->loop->base.log;
  const report r = {.which = s->log_verdicts,
                    .wall_s = c->loop->base.wall_s,
                    .refused = report_is_refused(v),
                    .session = c->session,
                    .client = smtpf_str_of(c->client),
                    .tls = text_str(&c->tls)};
  const unsigned flags =
      (s->explain ? PRINT_EVIDENCE : 0U) | (p->command == SMTPF_MILTER_BODYEOB ? PRINT_RECIPIENTS : 0U);
  if (!report_begin(t, &r))
    return;
  if (c->queue_id[0])
    log_member(t, "queue", smtpf_str_of(c->queue_id));
  if (dialog_refused_by_mta(c))
    log_member(t, "refused-by-mta", dialog_macro(c, "rcpt_host"));
  report_end(t, event_of(c, p), v, flags);
}
