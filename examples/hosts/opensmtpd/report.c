/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include <smtpfilter/ext/mail.h>

#include "../../common/log.h"
#include "filter.h"

/* smtpd keeps 64 KiB of what a filter says there. Of a line that does not fit it would read nothing more, ever: it
 * spins, and we wait for it, and all mail with us. */
enum { LONGEST = 32768 };

/* The last field of what smtpd asks. */
static print_event event_of(const client *c, enum step step)
{
  smtpf_opensmtpd_line line = {.size = sizeof line};
  const int asked = smtpf_opensmtpd_read(text_str(&c->request), &line) == SMTPF_OK;
  const smtpf_str rest = asked ? line.rest : (smtpf_str){"", 0};
  switch (step) {
  case TLS: return (print_event){"starttls", {NULL, 0}};
  case AUTH: return (print_event){"auth", {NULL, 0}};
  case CONNECT: return (print_event){"connect", text_str(&c->address)};
  case HELO:
  case EHLO: return (print_event){"helo", rest};
  case MAIL: return (print_event){"mail", rest};
  case RCPT: return (print_event){"rcpt", rest};
  case DATA: return (print_event){"data", {NULL, 0}};
  default: return (print_event){"end-of-message", {NULL, 0}};
  }
}

smtpf_str report_protocol(const client *c)
{
  const char *end = c->tls.n ? memchr(c->tls.p, ':', c->tls.n) : NULL;
  return (smtpf_str){c->tls.p, end ? (size_t)(end - c->tls.p) : c->tls.n};
}

void report_verdict(client *c, enum step step)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  const report r = {.which = report_which(c->filter->engine, "opensmtpd"),
                    .wall_s = (int64_t)time(NULL),
                    .refused = report_is_refused(v),
                    .session = c->session,
                    .client = text_str(&c->address),
                    .tls = c->tls_told ? report_protocol(c) : (smtpf_str){"", 0}};
  text *t = &c->filter->log;
  if (!report_begin(t, &r))
    return;
  log_member(t, "id", smtpf_str_of(c->id));
  report_end(t, event_of(c, step), v, step == LINE ? PRINT_RECIPIENTS : 0U);
  report_cut(t, LONGEST);
  log_flush(t);
}
