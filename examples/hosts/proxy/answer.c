/* SPDX-License-Identifier: MIT
 *
 * What a client is answered: events told to the session, verdicts acted upon.
 */
#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../common/print.h"
#include "client.h"
#include "log.h"
#include "quarantine.h"
#include "transaction.h"

/* ---- log ---------------------------------------------------------------------------------------- */

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

void client_log(client *c, const smtpf_verdict *v, int code)
{
  const settings *s = c->settings;
  text *t = &c->loop->log;
  const int by_hop = code && c->tx && c->tx->by_hop;
  const int refused = smtpf_verdict_action(v) != SMTPF_ACCEPT || code >= 400;
  if (s->log_verdicts == LOG_NONE || (s->log_verdicts == LOG_REFUSED && !refused))
    return;
  unsigned flags = (s->explain ? PRINT_EVIDENCE : 0U) | (c->kind == SMTPF_SMTPD_END ? PRINT_RECIPIENTS : 0U);
  log_begin(t, c->loop->wall_s, refused ? "notice" : "info");
  log_member(t, "session", smtpf_str_of(smtpf_session_id(c->session)));
  log_member(t, "client", smtpf_str_of(c->address));
  if (code) {
    log_member(t, by_hop ? "next_hop" : "proxy", text_str(&c->tx->answer));
    text_cstr(t, log_is_json() ? ",\"final_code\":" : " final=");
    text_int(t, code);
  }
  text_char(t, log_is_json() ? ',' : ' ');
  if (log_is_json())
    print_verdict_json(t, event_of(c), v, flags);
  else
    print_verdict_text(t, event_of(c), v, flags);
  log_end(t);
}

static void log_failure(client *c, const char *event, const char *what, const char *why)
{
  text *t = &c->loop->log;
  log_begin(t, c->loop->wall_s, "warning");
  log_member(t, "event", smtpf_str_of(event));
  if (c->session)
    log_member(t, "session", smtpf_str_of(smtpf_session_id(c->session)));
  log_member(t, "client", smtpf_str_of(c->address));
  log_member(t, what, smtpf_str_of(why));
  log_end(t);
}

void client_hop_failed(client *c, const char *why)
{
  log_failure(c, "next-hop-failed", "why", why);
}

void client_failure(client *c, const char *what, const char *why)
{
  log_failure(c, "failure", what, why);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void answer(client *c)
{
  char *room = client_reply_room(c);
  if (!room)
    return;
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  client_replied(c, smtpf_smtpd_answer(c->codec, v, room, SMTPF_REPLY_MAX));
  if (smtpf_verdict_closes(v) || c->fatal)
    c->closing = 1;
}

static void answer_own(client *c, int code, smtpf_str enhanced, smtpf_str words)
{
  char *room = client_reply_room(c);
  if (room)
    client_replied(c, smtpf_smtpd_reply(c->codec, code, enhanced, words, room, SMTPF_REPLY_MAX));
}

/* The transaction's answer, which is the next hop's or says why there is none. */
static void answer_transaction(client *c)
{
  answer_own(c, c->tx->code, smtpf_str_of(c->tx->enhanced), text_str(&c->tx->answer));
}

static void drop_transaction(client *c)
{
  transaction_free(c->tx);
  c->tx = NULL;
  c->in_message = 0;
}

/* ---- verdicts that let the mail go on ------------------------------------------------------------ */

static void take_helo(client *c)
{
  free(c->helo);
  c->helo = c->offered_helo;
  c->offered_helo = NULL;
}

static void accepted_mail(client *c)
{
  if (!c->offered) {
    smtpf_session_overrule(c->session, SMTPF_MAIL, 451);
    answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory"));
    return;
  }
  transaction_free(c->tx);
  c->tx = c->offered;
  c->offered = NULL;
  answer(c);
}

/* Where the mail of the recipient that has just been accepted may go instead of the mailbox; empty for nowhere. */
static smtpf_str forward_of(const client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  const size_t n = smtpf_verdict_recipient_count(v);
  smtpf_recipient_info r = {.size = sizeof r};
  return n && smtpf_verdict_recipient(v, n - 1, &r) == SMTPF_OK ? r.forward : (smtpf_str){0};
}

static void accepted_command(client *c)
{
  switch (c->verb) {
  case SMTPF_VERB_HELO:
  case SMTPF_VERB_EHLO:
  case SMTPF_VERB_LHLO:
    take_helo(c);
    c->greeting = c->verb == SMTPF_VERB_LHLO   ? SMTPF_GREET_LHLO
                  : c->verb == SMTPF_VERB_EHLO ? SMTPF_GREET_EHLO
                                               : SMTPF_GREET_HELO;
    drop_transaction(c);
    answer(c);
    return;
  case SMTPF_VERB_MAIL: accepted_mail(c); return;
  case SMTPF_VERB_RCPT:
    c->wait = WAIT_HOP;
    transaction_rcpt(c->tx, forward_of(c));
    return;
  case SMTPF_VERB_DATA:
  case SMTPF_VERB_BDAT:
    c->in_message = 1;
    c->message_until = c->loop->now_ms + c->settings->message_ms;
    answer(c);
    return;
  case SMTPF_VERB_RSET: drop_transaction(c); break;
  default: break;
  }
  answer(c);
}

static char *copy(smtpf_str s)
{
  char *p = malloc(s.n + 1);
  if (p) {
    memcpy(p, s.p, s.n);
    p[s.n] = 0;
  }
  return p;
}

/* The client's verified name, as the reverse lookup's check found it (RFC 8601 2.7.3). */
static void take_rdns(client *c, const smtpf_verdict *v)
{
  for (size_t i = 0, n = smtpf_verdict_evidence_count(v); i < n && !c->rdns; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e) == SMTPF_OK && !strcmp(e.check, "iprev") &&
        smtpf_str_equal_nocase(e.code, SMTPF_LIT("pass")))
      c->rdns = copy(e.detail);
  }
}

/* The client may have spoken before the banner without our having waited for it. */
static void banner(client *c)
{
  char byte;
  if (c->readable || recv(c->item.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
    smtpf_session_early_talk(c->session);
  take_rdns(c, smtpf_session_verdict(c->session));
  answer(c);
}

static void deliver(client *c)
{
  snprintf(c->id, sizeof c->id, "%s.%x", smtpf_session_id(c->session), ++c->messages);
  smtpf_session_queue_id(c->session, smtpf_str_of(c->id));
  c->wait = WAIT_HOP;
  transaction_deliver(c->tx, smtpf_session_verdict(c->session), smtpf_str_of(c->id));
}

/* The final verdict, after commit. The hop's own words go with it where they say the same and one reply serves all. */
static void committed(client *c, const smtpf_verdict *v)
{
  transaction *t = c->tx;
  const int code = smtpf_verdict_code(v);
  c->committed = 0;
  client_log(c, v, t->code);
  if (code >= 300 && !c->lmtp && t->quarantined[0])
    quarantine_undo(t->quarantined);
  if (code / 100 == t->code / 100 && !smtpf_verdict_closes(v) && !t->each)
    answer_transaction(c);
  else
    answer(c);
  drop_transaction(c);
}

/* One result for all that are open, else 0. */
static int common_result(const transaction *t)
{
  int result = 0;
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].open) {
      if (result && t->rcpt[i].result != result)
        return 0;
      result = t->rcpt[i].result;
    }
  return result;
}

/* Tells the session what became of the copies, those that are open from c->commit_at on. The last verdict is the final
 * one. */
static void commit(client *c)
{
  transaction *t = c->tx;
  const int common = c->commit_at ? 0 : common_result(t);
  c->committed = 1;
  while (c->commit_at < t->n) {
    const size_t i = c->commit_at++;
    if (!t->rcpt[i].open)
      continue;
    int r = smtpf_session_commit(c->session, common ? SMTPF_ALL : i, common ? common : t->rcpt[i].result);
    if (common)
      c->commit_at = t->n;
    if (r == SMTPF_PENDING) {
      c->wait = WAIT_VERDICT;
      return;
    }
    if (r != SMTPF_OK)
      client_failure(c, "commit", smtpf_strerror(r));
  }
  committed(c, smtpf_session_verdict(c->session)); /* where nothing was open, the one before */
}

void client_verdict(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  const int good = smtpf_verdict_action(v) == SMTPF_ACCEPT;
  const int64_t delay = c->delayed ? 0 : smtpf_verdict_delay(v);
  if (delay > 0 && client_delay(c, delay))
    return;
  c->delayed = 0;
  if (c->committed) {
    commit(c); /* what is left of it */
    return;
  }
  const int asks_hop = good && ((c->kind == SMTPF_SMTPD_END && c->tx) ||
                                (c->kind == SMTPF_SMTPD_COMMAND && c->verb == SMTPF_VERB_RCPT && c->tx));
  if (!asks_hop)
    client_log(c, v, 0);
  if (!c->kind) {
    banner(c);
  } else if (good && c->kind == SMTPF_SMTPD_COMMAND) {
    accepted_command(c);
  } else if (asks_hop) {
    deliver(c);
  } else {
    if (c->kind != SMTPF_SMTPD_COMMAND && c->in_message)
      drop_transaction(c);
    else if (c->kind == SMTPF_SMTPD_COMMAND && c->verb == SMTPF_VERB_RCPT && c->tx)
      transaction_unask(c->tx);
    transaction_free(c->offered);
    c->offered = NULL;
    answer(c);
  }
}

/* ---- the next hop has answered -------------------------------------------------------------------- */

static void rcpt_answered(client *c)
{
  transaction *t = c->tx;
  if (t->code / 100 == 2 && !transaction_keep_rcpt(t))
    t->code = 451;
  client_log(c, smtpf_session_verdict(c->session), t->code);
  if (t->code / 100 == 2) {
    answer(c);
    return;
  }
  smtpf_session_overrule(c->session, SMTPF_RCPT, t->code);
  transaction_unask(t);
  answer_transaction(c);
}

void client_hop_answered(client *c)
{
  transaction *t = c->tx;
  if (c->kind == SMTPF_SMTPD_COMMAND) {
    rcpt_answered(c);
    return;
  }
  c->commit_at = 0;
  commit(c);
}

/* ---- what the codec found ------------------------------------------------------------------------- */

/* Keeps of an event what will be needed once its verdict is there; the event's own strings will be gone. */
static int remember(client *c, const smtpf_smtpd_event *ev)
{
  c->kind = (unsigned char)ev->kind;
  c->verb = (unsigned char)ev->verb;
  if (ev->kind != SMTPF_SMTPD_COMMAND)
    return 1;
  if (ev->verb == SMTPF_VERB_MAIL) {
    transaction_free(c->offered);
    c->offered = transaction_new(c, ev->arg, ev->params);
    return c->offered != NULL;
  }
  if (ev->verb == SMTPF_VERB_RCPT && c->tx)
    transaction_ask(c->tx, ev->arg, ev->params);
  if (ev->verb == SMTPF_VERB_HELO || ev->verb == SMTPF_VERB_EHLO || ev->verb == SMTPF_VERB_LHLO) {
    char *name = copy(ev->arg);
    if (!name)
      return 0;
    free(c->offered_helo);
    c->offered_helo = name;
  }
  return 1;
}

void client_found(client *c, smtpf_smtpd_event *ev)
{
  if (!remember(c, ev)) {
    answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory"));
    return;
  }
  if (ev->kind == SMTPF_SMTPD_END && !ev->last) { /* a chunk's end is the codec's own affair */
    answer(c);
    return;
  }
  int r = smtpf_smtpd_apply(c->codec, c->session, ev);
  if (r == SMTPF_EUNSUPPORTED)
    r = smtpf_session_command(c->session, ev->name);
  if (ev->kind == SMTPF_SMTPD_VIOLATION && ev->fatal)
    c->fatal = 1;
  if (r == SMTPF_PENDING) {
    c->wait = WAIT_VERDICT;
  } else if (r == SMTPF_OK) {
    client_verdict(c);
  } else {
    client_failure(c, "session", smtpf_strerror(r));
    answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("local failure, try again"));
  }
}
