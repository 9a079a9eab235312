/* SPDX-License-Identifier: MIT
 *
 * The second half of a transaction: after an accepting verdict at end of message. Quarantine first, where it can be
 * taken back; then one group of copies after the other, those that are most likely to be refused first. Where one reply
 * serves all, the first failure ends it: what is not sent yet is not sent, and the client comes again with all.
 */
#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/edits.h"
#include "hop_pool.h"
#include "quarantine.h"
#include "transaction.h"

/* ---- the message's new fields -------------------------------------------------------------------- */

/* Envelope and reason, before a copy that goes into quarantine. */
static void quarantine_fields(transaction *t, const identity_of *who, const smtpf_verdict *v, text *out)
{
  edits_field(out, SMTPF_LIT("X-Quarantine-Id"), t->id);
  edits_field(out, SMTPF_LIT("X-Quarantine-Client"), who->address);
  edits_field(out, SMTPF_LIT("X-Quarantine-Helo"), who->helo);
  edits_field(out, SMTPF_LIT("X-Quarantine-Sender"), transaction_string(t, t->sender));
  edits_field(out, SMTPF_LIT("X-Quarantine-Rule"), smtpf_verdict_rule(v));
  for (size_t i = 0; i < t->n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (t->rcpt[i].disposition != SMTPF_QUARANTINED || !t->rcpt[i].open || smtpf_verdict_recipient(v, i, &r))
      continue;
    edits_field(out, SMTPF_LIT("X-Quarantine-Recipient"), transaction_string(t, t->rcpt[i].path));
    if (r.reason.n)
      edits_field(out, SMTPF_LIT("X-Quarantine-Reason"), r.reason);
  }
}

/* What the Received field may name: the only recipient of this copy (RFC 5321 4.4), as the client wrote it. */
static smtpf_str only_member(const transaction *t, uint32_t of)
{
  const recipient *only = NULL;
  for (size_t i = 0; i < t->n; i++) {
    if (t->rcpt[i].group != of)
      continue;
    if (only)
      return (smtpf_str){0};
    only = &t->rcpt[i];
  }
  return only ? transaction_string(t, only->path) : (smtpf_str){0};
}

/* RFC 3848, RFC 6531 4.3: `S` under TLS, `A` authenticated. */
static void name_protocol(char *out, size_t cap, const transaction *t, const identity_of *who)
{
  const int utf8 = envelope_has(transaction_string(t, t->params), SMTPF_LIT("SMTPUTF8"), (smtpf_str){0});
  const int extended = who->esmtp;
  const char *name = who->lmtp ? (utf8 ? "UTF8LMTP" : "LMTP") : utf8 ? "UTF8SMTP" : extended ? "ESMTP" : "SMTP";
  snprintf(out, cap, "%s%s%s", name, extended && who->secured ? "S" : "", extended && who->login.n ? "A" : "");
}

int deliver_begin(transaction *t, outgoing *o, size_t first, uint32_t of, int quarantined)
{
  const smtpf_verdict *v = smtpf_session_verdict(t->session);
  text extra = {0};
  char with[16];
  identity_of who;
  t->told->identity(t->owner, &who);
  trace r = {.helo = who.helo,
             .rdns = who.name,
             .address = who.address,
             .by = t->settings->smtpd.hostname,
             .with = with,
             .id = t->id,
             .for_path = t->n == 1 ? transaction_string(t, t->rcpt[0].path) : only_member(t, of),
             .wall_s = t->loop->base.wall_s,
             .stays = t->rcpt[first].stays};
  name_protocol(with, sizeof with, t, &who);
  if (quarantined)
    quarantine_fields(t, &who, v, &extra);
  int e = extra.failed ? ENOMEM : outgoing_begin(o, &r, v, first, text_str(&extra), &t->spool);
  text_free(&extra);
  return e;
}

/* Leaves servers that no copy will be sent to any more. */
static void release(transaction *t)
{
  for (size_t on = 0; on < t->n_legs; on++) {
    size_t k = 0;
    while (k < t->n_groups && (t->groups[k].done || t->groups[k].leg != on))
      k++;
    if (k == t->n_groups && t->legs[on].hop)
      pool_release(transaction_unhop(t, on));
  }
}

/* ---- the end -------------------------------------------------------------------------------------- */

static void over(transaction *t)
{
  const recipient *r;
  copies_settle_rest(t, 0, SMTPF_COMMIT_OK, 0, "2.0.0", SMTPF_LIT("Ok")); /* dropped, or in the quarantine folder */
  r = copies_speaker(t);
  release(t);
  if (!r) /* nothing was open, or there is no memory for words */
    transaction_finish(t, 250, "2.0.0", SMTPF_LIT("Ok"), BY_PROXY);
  else
    transaction_finish(t, copies_code(r), r->enhanced, transaction_string(t, r->words),
                       !r->code                 ? BY_PROXY
                       : copies_to_target(t, r) ? BY_TARGET
                                                : BY_HOP);
}

void deliver_fail(transaction *t, int e)
{
  const int full = e == ENOSPC || e == EDQUOT || e == EFBIG;
  t->told->failure(t->owner, "spool", strerror(e));
  copies_settle_rest(t, 0, SMTPF_COMMIT_FAILED, 0, full ? "4.3.1" : "4.3.0",
                     full ? SMTPF_LIT("insufficient storage") : SMTPF_LIT("local failure, try again"));
  over(t);
}

/* ---- which group is next ---------------------------------------------------------------------------- */

static int rank(const transaction *t, const group *g)
{
  const hop *h = t->legs[g->leg].hop;
  if (g->quarantine)
    return 0;
  return t->rcpt[g->first].destination == TO_FORWARD ? 1 : !h || !h->mail_open ? 2 : 3;
}

static const group *best_group(const transaction *t)
{
  const group *best = NULL;
  for (size_t k = 0; k < t->n_groups; k++)
    if (!t->groups[k].done && (!best || rank(t, &t->groups[k]) < rank(t, best)))
      best = &t->groups[k];
  return best;
}

/* Somebody's copy has been taken here, or is about to be. */
static int some_taken(const transaction *t, const group *next)
{
  if (next && !t->legs[next->leg].target)
    return 1;
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].open && (t->rcpt[i].result == SMTPF_COMMIT_OK || t->rcpt[i].disposition == SMTPF_QUARANTINED))
      return 1;
  return 0;
}

/* One reply serves all, and cannot refuse some: what targets have refused stays here. */
static void keep_refused(transaction *t)
{
  if (t->each || !some_taken(t, best_group(t)))
    return;
  for (size_t i = 0; i < t->n; i++) {
    recipient *r = &t->rcpt[i];
    if (r->result != SMTPF_COMMIT_REFUSED || !copies_to_target(t, r))
      continue;
    r->result = 0;
    if (!copies_keep(t, i))
      copies_settle(r, SMTPF_COMMIT_FAILED, 0, "4.3.0", copies_words(t, SMTPF_LIT("out of memory")));
  }
}

/* The next group that is not done, or the end. */
static void next_group(transaction *t)
{
  keep_refused(t);
  const group *best = best_group(t);
  if (!best) {
    over(t);
    return;
  }
  t->current = (size_t)(best - t->groups);
  t->goal = GOAL_DELIVER;
  release(t);
  transaction_go(t, best->leg);
}

void deliver_stop_if_failed(transaction *t)
{
  for (size_t i = 0; i < t->n && !t->each; i++)
    if (t->rcpt[i].result == SMTPF_COMMIT_FAILED) {
      copies_settle_rest(t, 0, SMTPF_COMMIT_FAILED, 0, "4.3.0", (smtpf_str){0});
      for (size_t k = 0; k < t->n_groups; k++)
        t->groups[k].done = 1;
      return;
    }
}

void deliver_group_over(transaction *t)
{
  t->groups[t->current].done = 1;
  deliver_stop_if_failed(t);
  next_group(t);
}

/* ---- opening the hop's transaction as it must be -------------------------------------------------- */

static smtpf_str quarantine_path(const transaction *t, char *room, size_t cap)
{
  smtpf_str to = smtpf_str_of(t->settings->quarantine_redirect);
  if (to.n + 2 > cap)
    return (smtpf_str){0};
  room[0] = '<';
  memcpy(room + 1, to.p, to.n);
  room[to.n + 1] = '>';
  return (smtpf_str){room, to.n + 2};
}

int deliver_null_sender(const transaction *t, kept sender)
{
  return transaction_string(t, sender).n <= 2;
}

int deliver_offers_dsn(const transaction *t)
{
  return (transaction_leg(t)->hop->extensions & SMTPF_EXT_DSN) != 0;
}

static int is_silent(const transaction *t, const recipient *r)
{
  return r->dsn == SMTPF_DSN_NEVER && deliver_offers_dsn(t) && !deliver_null_sender(t, t->groups[t->current].sender);
}

static int is_wanted(const transaction *t, const recipient *r, int destination)
{
  return r->group == deliver_current(t) && !r->result && r->destination == (unsigned)destination &&
         !t->groups[t->current].quarantine;
}

/* What is open at the hop cannot serve this group: another envelope, or a recipient that must not have this copy. */
static int is_another(const transaction *t)
{
  const group *g = &t->groups[t->current];
  const leg *l = transaction_leg(t);
  if (l->stray || !transaction_same_string(t, l->mail, g->sender) ||
      (g->quiet && deliver_offers_dsn(t) && !l->mail_quiet) ||
      (t->at == t->quarantine_leg && t->quarantine.place && !g->quarantine))
    return 1;
  for (size_t i = 0; i < t->n; i++)
    for (int d = 0; d < DESTINATIONS; d++) {
      const seat *s = &t->rcpt[i].seat[d];
      if (s->place && copies_leg(&t->rcpt[i], d) == t->at &&
          (!is_wanted(t, &t->rcpt[i], d) || (is_silent(t, &t->rcpt[i]) && !s->silent)))
        return 1;
    }
  return 0;
}

static int put_one(transaction *t, recipient *r, unsigned *missing)
{
  char room[300];
  if (!r)
    return transaction_send_rcpt(t, &t->quarantine, quarantine_path(t, room, sizeof room), (smtpf_str){0}, 0, missing);
  return transaction_send_rcpt(t, &r->seat[r->destination],
                               transaction_string(t, r->destination == TO_FORWARD ? r->forward : r->mailbox),
                               transaction_string(t, r->params), is_silent(t, r), missing);
}

/* Puts the RCPTs that the hop lacks, as many as it takes at once. 0 when one cannot be put. */
static int put_missing(transaction *t, unsigned *missing)
{
  const hop *h = transaction_leg(t)->hop;
  const int at_once = h->extensions & SMTPF_EXT_PIPELINING ? (int)sizeof h->expect : 1;
  if (t->groups[t->current].quarantine)
    return t->quarantine.place || put_one(t, NULL, missing);
  for (size_t i = 0; i < t->n && (int)h->expects < at_once; i++) {
    recipient *r = &t->rcpt[i];
    if (is_wanted(t, r, (int)r->destination) && !r->seat[r->destination].place && !put_one(t, r, missing))
      return 0;
  }
  return 1;
}

static int all_settled(const transaction *t)
{
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].group == deliver_current(t) && !t->rcpt[i].result)
      return 0;
  return 1;
}

/* One step nearer to DATA. In one write what the hop takes at once. */
static int open_transaction(transaction *t, unsigned *missing)
{
  hop *h = transaction_leg(t)->hop;
  const group *g = &t->groups[t->current];
  const int at_once = h->extensions & SMTPF_EXT_PIPELINING;
  if (h->mail_open && is_another(t)) {
    transaction_forget(t, t->at);
    h->mail_open = 0;
    hop_send(h, SMTPF_LIT("RSET\r\n"), (char[]){EXPECT_RSET, 0});
    if (!at_once)
      return 1;
  }
  if (!h->mail_open && (!transaction_send_mail(t, g->sender, g->quiet, missing) || !at_once))
    return h->expects > 0 && !*missing;
  return put_missing(t, missing);
}

void deliver_step(transaction *t)
{
  unsigned missing = 0;
  if (all_settled(t)) {
    deliver_group_over(t);
    return;
  }
  hop *h = transaction_leg(t)->hop;
  hop_cork(h);
  const int ok = open_transaction(t, &missing);
  if (ok && !h->expects && transaction_leg(t)->places > 0)
    hop_send(h, SMTPF_LIT("DATA\r\n"), (char[]){EXPECT_DATA, 0});
  hop_uncork(h);
  if (ok)
    return;
  smtpf_str words;
  const char *enhanced = transaction_missing(missing, &words);
  copies_settle_rest(t, deliver_current(t), SMTPF_COMMIT_FAILED, 0, enhanced, words);
  h->soiled = 1; /* replies may be on their way */
  pool_release(transaction_unhop(t, t->at));
  deliver_group_over(t);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

/* One copy for all recipients whose mail is quarantined. */
static int keep_copy(transaction *t)
{
  outgoing o;
  size_t first = 0;
  while (first < t->n && !(t->rcpt[first].open && t->rcpt[first].disposition == SMTPF_QUARANTINED))
    first++;
  if (first == t->n || !t->settings->quarantine_directory)
    return 0;
  int e = deliver_begin(t, &o, first, 0, 1);
  if (e)
    return e;
  e = quarantine_keep(t->settings->quarantine_directory, t->id, &o, &t->spool, t->quarantined, sizeof t->quarantined);
  outgoing_end(&o);
  if (e)
    t->quarantined[0] = 0;
  else
    t->begun = 1;
  return e;
}

/* Quarantine is not to be had: those whose mail goes there are told so, alone where each has an answer. */
static void quarantine_failed(transaction *t, int e)
{
  const kept words = copies_words(t, SMTPF_LIT("quarantine is not available"));
  t->told->failure(t->owner, "quarantine", strerror(e));
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].disposition == SMTPF_QUARANTINED)
      copies_settle(&t->rcpt[i], SMTPF_COMMIT_FAILED, 0, "4.3.0", words);
  next_group(t);
}

void transaction_deliver(transaction *t, const smtpf_verdict *v, smtpf_str id)
{
  t->code = 0;
  t->id = id;
  int e = copies_sort(t, v);
  if (!e)
    e = t->spool_error;
  const int k = e ? 0 : keep_copy(t);
  if (e || (k && !t->each))
    deliver_fail(t, e ? e : k);
  else if (k)
    quarantine_failed(t, k);
  else
    next_group(t);
}
