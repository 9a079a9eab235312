/* SPDX-License-Identifier: MIT
 *
 * What a client is answered: events told to the session, verdicts acted upon.
 */
#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client.h"
#include "quarantine.h"
#include "transaction.h"

/* ---- answers ------------------------------------------------------------------------------------ */

/* One answer: the verdict's, or (`v` NULL) our own. */
typedef struct words {
  const smtpf_verdict *v;
  int code;
  smtpf_str enhanced, text;
} words;

static int write_words(client *c, const words *w, char *room, size_t cap)
{
  return w->v ? smtpf_smtpd_answer(c->codec, w->v, room, cap)
              : smtpf_smtpd_reply(c->codec, w->code, w->enhanced, w->text, room, cap);
}

/* With a reply for each recipient, one room may be too small: then all of it is made elsewhere. */
static void give(client *c, const words *w)
{
  char *room = client_reply_room(c);
  if (!room)
    return;
  int n = write_words(c, w, room, SMTPF_REPLY_MAX);
  if (n != SMTPF_ELIMIT) {
    client_replied(c, n);
    return;
  }
  const size_t cap = ((c->tx ? c->tx->n : 0) + 2) * SMTPF_REPLY_MAX;
  room = malloc(cap);
  n = room ? write_words(c, w, room, cap) : SMTPF_ENOMEM;
  if (n < 0)
    client_replied(c, n);
  else
    client_reply_long(c, room, (size_t)n);
  free(room);
}

void client_answer(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  give(c, &(words){.v = v});
  if (smtpf_verdict_closes(v) || c->fatal)
    c->closing = 1;
}

void client_answer_own(client *c, int code, smtpf_str enhanced, smtpf_str line)
{
  give(c, &(words){.code = code, .enhanced = enhanced, .text = line});
}

/* The transaction's answer, which is the next hop's or says why there is none. */
static void answer_transaction(client *c)
{
  client_answer_own(c, c->tx->code, smtpf_str_of(c->tx->enhanced), text_str(&c->tx->answer));
}

void client_forget(client *c)
{
  transaction_free(c->tx);
  transaction_free(c->offered);
  c->tx = c->offered = NULL;
  c->in_message = 0;
  free(c->helo);
  c->helo = NULL;
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
    client_answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory"));
    return;
  }
  transaction_free(c->tx);
  c->tx = c->offered;
  c->offered = NULL;
  client_answer(c);
}

/* The recipient has been accepted; its mail may go elsewhere instead of the mailbox. */
static void accepted_rcpt(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  const size_t n = smtpf_verdict_recipient_count(v);
  smtpf_recipient_info r = {.size = sizeof r};
  c->wait = WAIT_HOP;
  if (!n || smtpf_verdict_recipient(v, n - 1, &r))
    r = (smtpf_recipient_info){.size = sizeof r};
  transaction_rcpt(c->tx, &r);
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
    client_answer(c);
    return;
  case SMTPF_VERB_MAIL: accepted_mail(c); return;
  case SMTPF_VERB_RCPT: accepted_rcpt(c); return;
  case SMTPF_VERB_DATA:
  case SMTPF_VERB_BDAT:
    c->in_message = 1;
    c->message_until = c->loop->base.now_ms + c->settings->message_ms;
    client_answer(c);
    return;
  case SMTPF_VERB_RSET: drop_transaction(c); break;
  default: break;
  }
  client_answer(c);
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
void client_take_rdns(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  for (size_t i = 0, n = smtpf_verdict_evidence_count(v); i < n && !c->rdns; i++) {
    smtpf_evidence_info e = {.size = sizeof e};
    if (smtpf_verdict_evidence(v, i, &e) == SMTPF_OK && !strcmp(e.check, "iprev") &&
        smtpf_str_equal_nocase(e.code, SMTPF_LIT("pass")))
      c->rdns = copy(e.detail);
  }
}

/* The client may have spoken before the banner without our having waited for it. */
static void note_early_talk(client *c)
{
  char byte;
  if (c->held_n || (!c->conduit.tls && (c->readable || recv(c->item.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)))
    smtpf_session_early_talk(c->session);
}

static void banner(client *c)
{
  note_early_talk(c);
  client_take_rdns(c);
  if (c->tls_facts && smtpf_verdict_action(smtpf_session_verdict(c->session)) == SMTPF_ACCEPT)
    client_tell_tls(c);
  else
    client_answer(c);
}

static void deliver(client *c)
{
  snprintf(c->id, sizeof c->id, "%s.%x", smtpf_session_id(c->session), ++c->messages);
  smtpf_session_queue_id(c->session, smtpf_str_of(c->id));
  c->wait = WAIT_HOP;
  transaction_deliver(c->tx, smtpf_session_verdict(c->session), smtpf_str_of(c->id));
}

/* Somebody's copy was taken into quarantine, by the final verdict. */
static int is_quarantined(const smtpf_verdict *v)
{
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) == SMTPF_OK && r.disposition == SMTPF_QUARANTINED)
      return 1;
  }
  return 0;
}

/* The final verdict, after commit. The hop's own words go with it where they say the same and one reply serves all. */
static void committed(client *c, const smtpf_verdict *v)
{
  transaction *t = c->tx;
  const int code = smtpf_verdict_code(v);
  c->committed = 0;
  if (t->loud)
    atomic_fetch_add_explicit(&loop_shared(c->loop)->loud, t->loud, memory_order_relaxed);
  client_log(c, v, t->code);
  client_count_copies(c);
  if (t->quarantined[0] && !is_quarantined(v))
    quarantine_undo(t->quarantined);
  if (code / 100 == t->code / 100 && !smtpf_verdict_closes(v) && !t->each)
    answer_transaction(c);
  else
    client_answer(c);
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

/* Where each recipient has a reply, it is the next hop's about their copy, or says why there is none. What the target
 * of a forward said is remembered, whoever is told. */
static void tell_words(client *c, size_t from, size_t to)
{
  const transaction *t = c->tx;
  for (size_t i = from; i < to; i++) {
    const recipient *r = &t->rcpt[i];
    if (r->open && r->words.n && (t->each || copies_to_target(t, r)))
      (void)smtpf_session_hop_reply(c->session, i, copies_code(r), smtpf_str_of(r->enhanced),
                                    transaction_string(t, r->words));
  }
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
    tell_words(c, i, common ? t->n : i + 1);
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
  } else if (c->kind >= KIND_TLS_FIRST) {
    client_changed(c);
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
    client_answer(c);
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
    client_answer(c);
    return;
  }
  smtpf_session_overrule(c->session, SMTPF_RCPT, t->code);
  transaction_unask(t);
  answer_transaction(c);
}

void client_hop_answered(client *c)
{
  if (c->kind == SMTPF_SMTPD_COMMAND) {
    rcpt_answered(c);
    return;
  }
  c->commit_at = 0;
  commit(c);
}

/* ---- what the codec found ------------------------------------------------------------------------- */

static void identity(const void *owner, identity_of *who)
{
  const client *c = owner;
  *who = (identity_of){.name = smtpf_str_of(c->rdns),
                       .address = smtpf_str_of(c->address),
                       .helo = smtpf_str_of(c->helo),
                       .id = smtpf_str_of(smtpf_session_id(c->session)),
                       .login = smtpf_str_of(c->login),
                       .destination = smtpf_str_of(c->local),
                       .port = c->port,
                       .destination_port = c->local_port,
                       .esmtp = c->greeting != SMTPF_GREET_HELO,
                       .lmtp = c->lmtp,
                       .secured = c->secured,
                       .withheld = c->of_balancer};
}

static void resume(void *owner)
{
  client_resume(owner);
}

static void tell_of_server(void *owner, const char *event, const char *at, const char *why)
{
  client_server_failed(owner, event, at, why);
}

static void tell_failure(void *owner, const char *what, const char *why)
{
  client_failure(owner, what, why);
}

static transaction *offer(client *c, smtpf_str sender, smtpf_str params)
{
  static const transaction_owner told = {identity, resume, tell_of_server, tell_failure};
  return transaction_new(&(transaction_for){&told, c, c->loop, c->settings, c->session, client_answers_each(c, params)},
                         sender, params);
}

/* Keeps of an event what will be needed once its verdict is there; the event's own strings will be gone. */
static int remember(client *c, smtpf_smtpd_event *ev)
{
  c->kind = (unsigned char)ev->kind;
  c->verb = (unsigned char)ev->verb;
  if (ev->kind != SMTPF_SMTPD_COMMAND)
    return 1;
  if (ev->verb == SMTPF_VERB_MAIL) {
    transaction_free(c->offered);
    c->offered = offer(c, ev->arg, ev->params);
    return c->offered != NULL;
  }
  if (ev->verb == SMTPF_VERB_RCPT && c->tx)
    transaction_ask(c->tx, ev->arg, ev->params);
  if (ev->verb == SMTPF_VERB_HELO || ev->verb == SMTPF_VERB_EHLO || ev->verb == SMTPF_VERB_LHLO) {
    if (c->said_helo)
      ev->arg = smtpf_str_of(c->said_helo);
    char *name = copy(ev->arg);
    if (!name)
      return 0;
    free(c->offered_helo);
    c->offered_helo = name;
  }
  return 1;
}

void client_told(client *c, int r)
{
  if (r == SMTPF_PENDING) {
    c->wait = WAIT_VERDICT;
  } else if (r == SMTPF_OK) {
    client_verdict(c);
  } else {
    client_failure(c, "session", smtpf_strerror(r));
    client_answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("local failure, try again"));
  }
}

void client_found(client *c, smtpf_smtpd_event *ev)
{
  if (client_extend(c, ev))
    return;
  if (!remember(c, ev)) {
    client_answer_own(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("out of memory"));
    return;
  }
  if (ev->kind == SMTPF_SMTPD_END && !ev->last) { /* a chunk's end is the codec's own affair */
    client_answer(c);
    return;
  }
  int r = smtpf_smtpd_apply(c->codec, c->session, ev);
  if (r == SMTPF_EUNSUPPORTED)
    r = smtpf_session_command(c->session, ev->name);
  if (ev->kind == SMTPF_SMTPD_VIOLATION && ev->fatal)
    c->fatal = 1;
  client_told(c, r);
}
