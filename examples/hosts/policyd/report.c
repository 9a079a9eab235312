/* SPDX-License-Identifier: MIT
 *
 * Log lines about verdicts, and about what is lost.
 */
#include <smtpfilter/ext/mail.h>

#include "../../common/log.h"
#include "policyd.h"

static print_event event_of(const smtpf_delegation *q, enum step step)
{
  switch (step) {
  case CONNECT: return (print_event){"connect", q->client_address};
  case TLS: return (print_event){"starttls", {NULL, 0}};
  case HELO: return (print_event){"helo", q->helo_name};
  case AUTH: return (print_event){"auth", q->sasl_username};
  case MAIL: return (print_event){"mail", q->sender};
  case RCPT: return (print_event){"rcpt", q->recipient};
  case DATA: return (print_event){"data", {NULL, 0}};
  default: return (print_event){"end-of-message", q->queue_id};
  }
}

void report_verdict(const connection *c, enum step step)
{
  const instance *i = c->about;
  const server_settings *s = &i->settings->base;
  const smtpf_verdict *v = smtpf_session_verdict(i->session);
  const report r = {.which = s->log_verdicts,
                    .wall_s = c->loop->base.wall_s,
                    .refused = report_is_refused(v),
                    .session = i->session,
                    .client = c->request.client_address,
                    .tls = c->request.encryption_protocol};
  text *t = &c->loop->base.log;
  metrics_verdict(c->loop->base.metrics, v, 0);
  if (!report_begin(t, &r))
    return;
  if (i->name[0])
    log_member(t, "instance", smtpf_str_of(i->name));
  if (c->request.queue_id.n)
    log_member(t, "queue", c->request.queue_id);
  report_end(t, event_of(&c->request, step), v,
             (s->explain ? PRINT_EVIDENCE : 0U) | (step == MESSAGE ? PRINT_RECIPIENTS : 0U));
}

void report_lost(const instance *i, const char *what, smtpf_str detail)
{
  log_line("warning", "lost",
           (log_field[]){{"what", smtpf_str_of(what)},
                         {"instance", smtpf_str_of(i->name)},
                         {"session", smtpf_str_of(smtpf_session_id(i->session))},
                         {"detail", detail},
                         {NULL, {NULL, 0}}});
}
