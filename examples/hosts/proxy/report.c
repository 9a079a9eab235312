/* SPDX-License-Identifier: MIT
 *
 * Log lines about one client: verdicts, what became of copies, failures.
 */
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "../../common/log.h"
#include "client.h"
#include "transaction.h"

static print_event event_of(const client *c)
{
  static const char *const words[] = {
      [SMTPF_VERB_HELO] = "helo",       [SMTPF_VERB_EHLO] = "helo",         [SMTPF_VERB_LHLO] = "helo",
      [SMTPF_VERB_MAIL] = "mail",       [SMTPF_VERB_RCPT] = "rcpt",         [SMTPF_VERB_DATA] = "data",
      [SMTPF_VERB_BDAT] = "data",       [SMTPF_VERB_RSET] = "rset",         [SMTPF_VERB_NOOP] = "noop",
      [SMTPF_VERB_QUIT] = "quit",       [SMTPF_VERB_VRFY] = "vrfy",         [SMTPF_VERB_EXPN] = "expn",
      [SMTPF_VERB_HELP] = "help",       [SMTPF_VERB_AUTH] = "auth",         [SMTPF_VERB_STARTTLS] = "starttls",
      [SMTPF_VERB_XCLIENT] = "xclient", [SMTPF_VERB_XFORWARD] = "xforward", [SMTPF_VERB_UNKNOWN] = "command"};
  const transaction *t = c->offered ? c->offered : c->tx;
  if (!c->kind)
    return (print_event){"connect", {c->address, strlen(c->address)}};
  if (c->kind == KIND_TLS_FIRST || c->kind == KIND_TLS)
    return (print_event){"starttls", {0}};
  if (c->kind == KIND_AUTH)
    return (print_event){"auth", smtpf_str_of(c->login)};
  if (c->kind == KIND_XCLIENT || c->kind == KIND_LOGIN)
    return (print_event){c->kind == KIND_LOGIN ? "auth" : "xclient",
                         smtpf_str_of(c->kind == KIND_LOGIN ? c->login : c->address)};
  if (c->kind == SMTPF_SMTPD_END)
    return (print_event){"end-of-message", {c->id, strlen(c->id)}};
  if (c->kind == SMTPF_SMTPD_VIOLATION)
    return (print_event){"violation", {0}};
  print_event e = {c->kind == SMTPF_SMTPD_COMMAND && c->verb <= SMTPF_VERB_UNKNOWN ? words[c->verb] : "line", {0}};
  switch (c->verb) {
  case SMTPF_VERB_HELO:
  case SMTPF_VERB_EHLO:
  case SMTPF_VERB_LHLO: e.arg = smtpf_str_of(c->offered_helo ? c->offered_helo : c->helo); break;
  case SMTPF_VERB_MAIL: e.arg = t ? transaction_string(t, t->sender) : e.arg; break;
  case SMTPF_VERB_RCPT: e.arg = t ? transaction_string(t, t->asked.path) : e.arg; break;
  default: break;
  }
  return e;
}

/* What became of each copy at the next hop, where that is more than one word. */
static void log_copies(text *t, const transaction *tx)
{
  static const char *const results[] = {
      [0] = "", [SMTPF_COMMIT_OK] = "ok", [SMTPF_COMMIT_FAILED] = "failed", [SMTPF_COMMIT_REFUSED] = "refused"};
  text line = {0};
  for (size_t i = 0; i < tx->n; i++) {
    const recipient *r = &tx->rcpt[i];
    if (!r->open)
      continue;
    if (line.n)
      text_char(&line, ' ');
    text_add(&line, transaction_string(tx, r->path));
    if (r->destination == TO_FORWARD) {
      text_cstr(&line, "->");
      text_add(&line, transaction_string(tx, r->forward));
    }
    text_char(&line, '=');
    text_cstr(&line, results[r->result]);
    if (r->code) {
      text_char(&line, ':');
      text_int(&line, r->code);
    }
    if (r->group) {
      text_char(&line, '#');
      text_int(&line, r->group);
    }
  }
  log_member(t, "copies", text_str(&line));
  text_free(&line);
}

static smtpf_str protocol_of(const client *c)
{
  const tls *t = c->conduit.tls;
  return c->secured ? smtpf_str_of(t ? tls_protocol(t) : c->tls_protocol) : (smtpf_str){"", 0};
}

void client_log(client *c, const smtpf_verdict *v, int code)
{
  const server_settings *s = &c->settings->base;
  text *t = &c->loop->base.log;
  static const char *const speakers[] = {[BY_PROXY] = "proxy", [BY_HOP] = "next_hop", [BY_TARGET] = "target"};
  const report r = {.which = s->log_verdicts,
                    .wall_s = c->loop->base.wall_s,
                    .refused = report_is_refused(v) || code >= 400,
                    .session = c->session,
                    .client = smtpf_str_of(c->address),
                    .tls = protocol_of(c)};
  metrics_verdict(c->loop->base.metrics, v, c->kind == SMTPF_SMTPD_END ? 0 : code);
  const unsigned flags = (s->explain ? PRINT_EVIDENCE : 0U) | (c->kind == SMTPF_SMTPD_END ? PRINT_RECIPIENTS : 0U);
  if (!report_begin(t, &r))
    return;
  if (code) {
    log_member(t, speakers[c->tx->by], text_str(&c->tx->answer));
    text_cstr(t, log_is_json() ? ",\"final_code\":" : " final=");
    text_int(t, code);
  }
  if (code && c->kind == SMTPF_SMTPD_END && (c->tx->differ))
    log_copies(t, c->tx);
  if (code && c->kind == SMTPF_SMTPD_END && c->tx->loud) {
    text_cstr(t, log_is_json() ? ",\"dsn_unenforced\":" : " dsn_unenforced=");
    text_int(t, (int64_t)c->tx->loud);
  }
  report_end(t, event_of(c), v, flags);
}

void client_count_copies(client *c)
{
  static const char *const results[] = {
      [0] = "dropped", [SMTPF_COMMIT_OK] = "ok", [SMTPF_COMMIT_FAILED] = "failed", [SMTPF_COMMIT_REFUSED] = "refused"};
  const transaction *t = c->tx;
  for (size_t i = 0; i < t->n && c->loop->base.metrics; i++) {
    const recipient *r = &t->rcpt[i];
    const char *where = r->disposition == SMTPF_QUARANTINED ? "quarantine"
                        : r->destination == TO_FORWARD      ? "forward"
                                                            : "mailbox";
    if (r->open)
      metrics_count(c->loop->base.metrics, METRICS_COPIES, where, results[r->result]);
  }
}

static void log_failure(client *c, const char *event, const char *at, const char *what, const char *why)
{
  text *t = &c->loop->base.log;
  log_begin(t, c->loop->base.wall_s, "warning");
  log_member(t, "event", smtpf_str_of(event));
  if (c->session)
    log_member(t, "session", smtpf_str_of(smtpf_session_id(c->session)));
  log_member(t, "client", smtpf_str_of(c->address));
  if (at)
    log_member(t, "server", smtpf_str_of(at));
  log_member(t, what, smtpf_str_of(why));
  log_end(t);
}

void client_server_failed(client *c, const char *event, const char *at, const char *why)
{
  log_failure(c, event, at, "why", why);
}

void client_failure(client *c, const char *what, const char *why)
{
  log_failure(c, "failure", NULL, what, why);
}
