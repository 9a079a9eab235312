/* SPDX-License-Identifier: MIT
 *
 * The second half of a transaction: after an accepting verdict at end of message.
 */
#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "client.h"
#include "quarantine.h"
#include "transaction.h"

/* ---- the message's new fields -------------------------------------------------------------------- */

/* Envelope and reason, before a copy that goes into quarantine. */
static void quarantine_fields(transaction *t, const smtpf_verdict *v, text *out)
{
  const struct client *c = t->client;
  message_field(out, SMTPF_LIT("X-Quarantine-Id"), t->id);
  message_field(out, SMTPF_LIT("X-Quarantine-Client"), smtpf_str_of(c->address));
  message_field(out, SMTPF_LIT("X-Quarantine-Helo"), smtpf_str_of(c->helo));
  message_field(out, SMTPF_LIT("X-Quarantine-Sender"), transaction_string(t, 0, t->sender_n));
  message_field(out, SMTPF_LIT("X-Quarantine-Rule"), smtpf_verdict_rule(v));
  for (size_t i = 0; i < t->n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (t->rcpt[i].disposition != SMTPF_QUARANTINED || smtpf_verdict_recipient(v, i, &r))
      continue;
    message_field(out, SMTPF_LIT("X-Quarantine-Recipient"), transaction_string(t, t->rcpt[i].path, t->rcpt[i].path_n));
    if (r.reason.n)
      message_field(out, SMTPF_LIT("X-Quarantine-Reason"), r.reason);
  }
}

static int begin(transaction *t, outgoing *o, int quarantined)
{
  const struct client *c = t->client;
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  text extra = {0};
  smtpf_str params = transaction_string(t, t->sender_n, t->params_n), key, value;
  trace r = {.helo = smtpf_str_of(c->helo),
             .rdns = smtpf_str_of(c->rdns),
             .address = smtpf_str_of(c->address),
             .by = t->settings->smtpd.hostname,
             .with = c->greeting == SMTPF_GREET_EHLO ? "ESMTP" : "SMTP",
             .id = t->id,
             .wall_s = t->loop->wall_s};
  while (smtpf_param_next(&params, &key, &value) == SMTPF_OK)
    if (smtpf_str_equal_nocase(key, SMTPF_LIT("SMTPUTF8")))
      r.with = "UTF8SMTP";
  if (t->n == 1)
    r.for_path = transaction_string(t, t->rcpt[0].path, t->rcpt[0].path_n);
  if (quarantined)
    quarantine_fields(t, v, &extra);
  int e = extra.failed ? ENOMEM : outgoing_begin(o, &r, v, text_str(&extra), &t->spool);
  text_free(&extra);
  return e;
}

/* ---- quarantine ---------------------------------------------------------------------------------- */

static void finish_errno(transaction *t, int e)
{
  client_failure(t->client, "spool", strerror(e));
  if (e == ENOSPC || e == EDQUOT || e == EFBIG)
    transaction_finish(t, 452, "4.3.1", SMTPF_LIT("insufficient storage"));
  else
    transaction_finish(t, 451, "4.3.0", SMTPF_LIT("local failure, try again"));
}

static int keep_copy(transaction *t)
{
  outgoing o;
  int e = begin(t, &o, 1);
  if (e)
    return e;
  e = quarantine_keep(t->settings->quarantine_directory, t->id, &o, &t->spool, t->kept, sizeof t->kept);
  outgoing_end(&o);
  if (e)
    t->kept[0] = 0;
  return e;
}

/* ---- opening the hop's transaction as it must be -------------------------------------------------- */

static smtpf_str redirect_path(const transaction *t, char *room, size_t cap)
{
  smtpf_str to = smtpf_str_of(t->settings->quarantine_redirect);
  if (to.n + 2 > cap)
    return (smtpf_str){0};
  room[0] = '<';
  memcpy(room + 1, to.p, to.n);
  room[to.n + 1] = '>';
  return (smtpf_str){room, to.n + 2};
}

static int is_wanted(const transaction *t, size_t i)
{
  return t->goal == GOAL_DELIVER && t->rcpt[i].wanted;
}

/* The hop holds a recipient that must not have this copy. */
static int holds_others(const transaction *t)
{
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].at_hop && !is_wanted(t, i))
      return 1;
  return t->redirect_at_hop && t->goal != GOAL_REDIRECT;
}

static void forget(transaction *t)
{
  t->redirect_at_hop = 0;
  for (size_t i = 0; i < t->n; i++)
    t->rcpt[i].at_hop = 0;
}

/* Puts the next RCPT that the hop lacks. 0 when it has all. */
static int put_missing(transaction *t)
{
  char room[300];
  if (t->goal == GOAL_REDIRECT) {
    if (!t->redirect_at_hop)
      transaction_send_rcpt(t, redirect_path(t, room, sizeof room), (smtpf_str){0});
    return !t->redirect_at_hop;
  }
  for (size_t i = 0; i < t->n; i++) {
    recipient *r = &t->rcpt[i];
    if (is_wanted(t, i) && !r->at_hop) {
      t->asking = i;
      transaction_send_rcpt(t, transaction_string(t, r->path, r->path_n),
                            transaction_string(t, r->params, r->params_n));
      return 1;
    }
  }
  return 0;
}

void deliver_step(transaction *t)
{
  hop *h = t->hop;
  if (h->mail_open && holds_others(t)) {
    forget(t);
    h->mail_open = 0;
    hop_send(h, SMTPF_LIT("RSET\r\n"), (char[]){EXPECT_RSET, 0});
  } else if (!h->mail_open) {
    transaction_send_mail(t);
  } else if (!put_missing(t)) {
    hop_send(h, SMTPF_LIT("DATA\r\n"), (char[]){EXPECT_DATA, 0});
  }
}

/* ---- the message --------------------------------------------------------------------------------- */

void deliver_stream(transaction *t)
{
  hop *h = t->hop;
  h->deadline = t->loop->now_ms + t->settings->hop_final_ms;
  while (!t->out.ended) {
    size_t n = outgoing_fill(&t->out, &t->spool, t->loop->out, sizeof t->loop->out);
    if (t->out.failed) { /* without the final dot the hop drops it */
      t->hop = NULL;
      t->streaming = 0;
      hop_close(h);
      forget(t);
      finish_errno(t, errno);
      return;
    }
    if (!hop_send_message(h, n))
      return;
  }
}

static void start(transaction *t)
{
  outgoing_end(&t->out);
  int e = begin(t, &t->out, t->goal == GOAL_REDIRECT);
  t->hop->data_open = 1; /* even when nothing can be sent: it waits for a message */
  if (e) {
    hop_close(t->hop);
    t->hop = NULL;
    forget(t);
    finish_errno(t, e);
    return;
  }
  t->streaming = 1;
  hop_send(t->hop, (smtpf_str){0}, (char[]){EXPECT_FINAL, 0});
  deliver_stream(t);
}

/* What a refusal means: of a redirected copy never more than a failure of ours (L4); of one recipient among several,
 * too, since the client was told that it is good. */
static void refused(transaction *t, const smtpf_smtpc_reply *r, int one_of_many)
{
  if (t->goal == GOAL_REDIRECT)
    transaction_finish(t, 451, "4.3.0", SMTPF_LIT("quarantine is not available"));
  else if (one_of_many)
    transaction_finish(t, 451, "4.4.2", SMTPF_LIT("next hop refuses a recipient that it had accepted"));
  else
    transaction_finish_reply(t, r, 0);
}

static void final(transaction *t, const smtpf_smtpc_reply *r)
{
  hop *h = t->hop;
  t->streaming = 0;
  h->mail_open = 0;
  h->messages++;
  if (t->out.ended && h->out_at == h->out.n)
    h->data_open = 0;
  forget(t);
  if (r->code / 100 != 2) {
    refused(t, r, 0);
  } else if (t->goal == GOAL_REDIRECT) {
    t->goal = GOAL_NONE;
    for (size_t i = 0; i < t->n; i++)
      if (t->rcpt[i].wanted)
        t->goal = GOAL_DELIVER;
    if (t->goal) {
      transaction_step(t);
      return;
    }
    transaction_finish_reply(t, r, 1);
  } else {
    transaction_finish_reply(t, r, 1);
  }
  t->hop = NULL;
  hop_release(h);
}

void deliver_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  const int good = r->code / 100 == 2;
  switch (expect) {
  case EXPECT_DATA:
    if (r->code == 354)
      start(t);
    else
      refused(t, r, 0);
    return;
  case EXPECT_FINAL: final(t, r); return;
  case EXPECT_MAIL:
    if (!good) {
      t->hop->mail_open = 0;
      refused(t, r, 0);
      return;
    }
    break;
  case EXPECT_RCPT:
    if (!good) {
      refused(t, r, t->n > 1);
      return;
    }
    if (t->goal == GOAL_REDIRECT)
      t->redirect_at_hop = 1;
    else
      t->rcpt[t->asking].at_hop = 1;
    break;
  default: break;
  }
  transaction_step(t);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

void transaction_deliver(transaction *t, const smtpf_verdict *v, smtpf_str id)
{
  int quarantined = 0, wanted = 0;
  t->code = 0;
  t->id = id;
  t->fresh = 0;
  for (size_t i = 0; i < t->n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r))
      continue;
    t->rcpt[i].disposition = (unsigned char)r.disposition;
    t->rcpt[i].wanted = r.disposition == SMTPF_DELIVERED || r.disposition == SMTPF_TAGGED;
    wanted |= t->rcpt[i].wanted;
    quarantined |= r.disposition == SMTPF_QUARANTINED;
  }
  if (t->spool_error) {
    finish_errno(t, t->spool_error);
    return;
  }
  int e = quarantined && t->settings->quarantine_directory ? keep_copy(t) : 0;
  if (e) {
    finish_errno(t, e);
  } else if (quarantined && !t->settings->quarantine_directory) {
    t->goal = GOAL_REDIRECT;
    transaction_step(t);
  } else if (wanted) {
    t->goal = GOAL_DELIVER;
    transaction_step(t);
  } else {
    transaction_finish(t, 250, "2.0.0", SMTPF_LIT("Ok"));
  }
}
