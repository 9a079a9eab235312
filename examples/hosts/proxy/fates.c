/* SPDX-License-Identifier: MIT
 *
 * One group's message on its way to the next hop, and what its replies mean for each copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hop_pool.h"
#include "target.h"

/* ---- the message --------------------------------------------------------------------------------- */

void deliver_stream(transaction *t)
{
  hop *h = transaction_leg(t)->hop;
  while (!t->out.ended) {
    size_t n = outgoing_fill(&t->out, &t->spool, t->loop->out, sizeof t->loop->out);
    if (t->out.failed) { /* without the final dot the hop drops it */
      const int e = errno;
      hop_close(transaction_unhop(t, t->at));
      deliver_fail(t, e);
      return;
    }
    if (!hop_send_message(h, n))
      return;
  }
}

static int begin_transfer(transaction *t)
{
  const leg *l = transaction_leg(t);
  const int kind = l->hop->lmtp ? SMTPF_TRANSFER_LMTP : l->mail_prdr ? SMTPF_TRANSFER_PRDR : SMTPF_TRANSFER_SMTP;
  uint16_t *codes = realloc(t->codes, l->places * sizeof *codes);
  if (!codes)
    return ENOMEM;
  t->codes = codes;
  return smtpf_transfer_begin(&t->transfer, kind, codes, l->places) ? EINVAL : 0;
}

static void start(transaction *t)
{
  const group *g = &t->groups[t->current];
  leg *l = transaction_leg(t);
  outgoing_end(&t->out);
  int e = begin_transfer(t);
  if (!e)
    e = deliver_begin(t, &t->out, g->first, deliver_current(t), g->quarantine);
  l->hop->data_open = 1; /* even when nothing can be sent: it waits for a message */
  if (e) {
    hop_close(transaction_unhop(t, t->at));
    deliver_fail(t, e);
    return;
  }
  l->streaming = 1;
  t->begun = 1;
  if (l->target)
    target_streams(t);
  hop_send(l->hop, (smtpf_str){0}, (char[]){EXPECT_FINAL, 0});
  deliver_stream(t);
}

/* ---- what the hop says ----------------------------------------------------------------------------- */

typedef struct saying {
  int code;
  char enhanced[12];
  kept words;
} saying;

static saying say(transaction *t, const smtpf_smtpc_reply *r)
{
  saying s = {.code = r->code};
  if (transaction_leg(t)->target) {
    text line = {0};
    target_anonymise(t, r->text, &line);
    s.words = copies_words(t, text_str(&line));
    text_free(&line);
  } else {
    s.words = copies_words(t, r->text);
  }
  if (r->enhanced.n < sizeof s.enhanced)
    memcpy(s.enhanced, r->enhanced.p, r->enhanced.n);
  return s;
}

/* One of ours in place of the hop's. */
static void say_instead(transaction *t, saying *s, int code, const char *enhanced, smtpf_str words)
{
  *s = (saying){.code = code, .words = copies_words(t, words)};
  memcpy(s->enhanced, enhanced, strlen(enhanced));
}

/* What a refusal means for one copy. Of a quarantined copy it is never more than a failure of ours (promise L4). Of a
 * mailbox that the hop had accepted at RCPT, among others, too: the client comes again, and is told at RCPT. The words
 * about a forward name an address that is nobody's business. */
static void refuse(transaction *t, recipient *r, saying s, int at_rcpt)
{
  const group *g = &t->groups[t->current];
  const int to_target = transaction_leg(t)->target != NULL;
  int result = s.code >= 500 ? SMTPF_COMMIT_REFUSED : SMTPF_COMMIT_FAILED;
  if (g->quarantine) {
    say_instead(t, &s, 0, "4.3.0", SMTPF_LIT("quarantine is not available"));
    result = SMTPF_COMMIT_FAILED;
  } else if (s.code < 400) {
    say_instead(t, &s, 0, "4.4.2", SMTPF_LIT("next hop answered out of turn"));
  } else if (at_rcpt && !t->each && t->n > 1 && (to_target || r->destination == TO_MAILBOX)) {
    say_instead(t, &s, 0, "4.4.2", SMTPF_LIT("next hop refuses a recipient that it had accepted"));
    result = SMTPF_COMMIT_FAILED;
  } else if (to_target) {
    if (s.code >= 500 && copies_must_stay(r) && copies_keep(t, (size_t)(r - t->rcpt)))
      return;
  } else if (r->destination == TO_FORWARD) {
    say_instead(t, &s, s.code, s.code >= 500 ? "5.2.1" : "4.2.1",
                SMTPF_LIT("mail for this recipient cannot be delivered"));
  }
  copies_settle(r, result, s.code, s.enhanced, s.words);
}

static void refuse_group(transaction *t, const smtpf_smtpc_reply *r)
{
  const saying s = say(t, r);
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].group == deliver_current(t) && !t->rcpt[i].result)
      refuse(t, &t->rcpt[i], s, 0);
}

/* The member whose RCPT this reply is to: replies come in the order in which RCPTs were put. */
static recipient *asked_member(transaction *t)
{
  for (size_t i = 0; i < t->n; i++)
    if (t->rcpt[i].group == deliver_current(t) && t->rcpt[i].seat[t->rcpt[i].destination].asked)
      return &t->rcpt[i];
  return NULL;
}

static void rcpt_answered(transaction *t, const smtpf_smtpc_reply *r)
{
  const int good = r->code / 100 == 2;
  recipient *member = t->quarantine.asked ? NULL : asked_member(t);
  seat *s = member ? &member->seat[member->destination] : &t->quarantine;
  s->asked = 0;
  if (transaction_leg(t)->mail_refused)
    return;
  if (good)
    s->place = ++transaction_leg(t)->places;
  else if (member)
    refuse(t, member, say(t, r), 1);
  else
    refuse_group(t, r);
  if (!good)
    deliver_stop_if_failed(t);
}

/* Whether the hop will send somebody a DSN that must not be. */
static int stays_loud(const transaction *t, const recipient *r)
{
  return r->dsn == SMTPF_DSN_NEVER && !deliver_offers_dsn(t) && !deliver_null_sender(t, t->groups[t->current].sender);
}

/* The fate of the copy that has `place`, where it is known now. */
static void settle_place(transaction *t, uint32_t place, const saying *s)
{
  const int fate = smtpf_transfer_fate(&t->transfer, place - 1);
  for (size_t i = 0; i < t->n; i++) {
    recipient *r = &t->rcpt[i];
    if (r->group != deliver_current(t) || r->result)
      continue;
    if ((t->quarantine.place ? t->quarantine.place : r->seat[r->destination].place) != place)
      continue;
    if (fate == SMTPF_FATE_TAKEN) {
      r->loud = stays_loud(t, r) != 0;
      t->loud += r->loud;
      copies_settle(r, SMTPF_COMMIT_OK, s->code, s->enhanced, s->words);
    } else if (fate != SMTPF_FATE_OPEN) {
      refuse(t, r, *s, 0);
    }
  }
}

/* All of the message has left us. */
static int is_sent(const transaction *t)
{
  const hop *h = transaction_leg(t)->hop;
  return t->out.ended && !hop_waits(h);
}

static void message_over(transaction *t, int out_of_turn)
{
  hop *h = transaction_leg(t)->hop;
  transaction_leg(t)->streaming = 0;
  h->mail_open = 0;
  h->messages++;
  if (is_sent(t))
    h->data_open = 0;
  if (h->data_open || out_of_turn) { /* it answered before it had all, or what no server answers */
    h->soiled = 1;
    pool_release(transaction_unhop(t, t->at));
  }
  transaction_forget(t, t->at);
  deliver_group_over(t);
}

/* Nobody can have taken what they have not got: that counts as no answer. */
static void final(transaction *t, const smtpf_smtpc_reply *r)
{
  size_t whose = SMTPF_TRANSFER_NONE;
  const int early = r->code < 400 && !is_sent(t);
  const int more = early ? SMTPF_ESTATE : smtpf_transfer_feed(&t->transfer, r->code, &whose);
  if (more < 0)
    smtpf_transfer_lost(&t->transfer);
  const saying s = whose == SMTPF_TRANSFER_NONE && more >= 0 ? (saying){0} : say(t, r);
  for (uint32_t place = 1; place <= transaction_leg(t)->places && s.code; place++)
    if (more != SMTPF_PENDING || whose == SMTPF_TRANSFER_ALL || whose == place - 1)
      settle_place(t, place, &s);
  if (more == SMTPF_PENDING) {
    hop_send(transaction_leg(t)->hop, (smtpf_str){0}, (char[]){EXPECT_FINAL, 0});
    return;
  }
  message_over(t, more < 0);
}

void deliver_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  switch (expect) {
  case EXPECT_DATA:
    if (r->code == 354) {
      start(t);
      return;
    }
    refuse_group(t, r);
    break;
  case EXPECT_FINAL: final(t, r); return;
  case EXPECT_MAIL:
    if (r->code / 100 != 2) {
      transaction_leg(t)->hop->mail_open = 0;
      transaction_leg(t)->mail_refused = 1;
      refuse_group(t, r);
    }
    break;
  case EXPECT_RCPT: rcpt_answered(t, r); break;
  default: break;
  }
  if (!transaction_leg(t)->hop->expects)
    transaction_step(t);
}

void deliver_client_refused(transaction *t, const smtpf_smtpc_reply *r)
{
  refuse_group(t, r);
  deliver_group_over(t);
}

void deliver_refused(transaction *t)
{
  refuse_group(t, &(smtpf_smtpc_reply){.code = 550,
                                       .enhanced = SMTPF_LIT("5.2.1"),
                                       .text = SMTPF_LIT("mail for this recipient cannot be delivered")});
  deliver_group_over(t);
}

/* The server is gone, or was never there: then its other groups need not be tried. Without its last reply nobody knows
 * whether it took the message: the client keeps it. */
void deliver_lost(transaction *t, int began)
{
  const int to_target = transaction_leg(t)->target != NULL;
  const smtpf_str absent =
      to_target ? SMTPF_LIT("mail for this recipient cannot be delivered now") : SMTPF_LIT("next hop does not answer");
  if (began) {
    smtpf_transfer_lost(&t->transfer);
    copies_settle_rest(t, deliver_current(t), SMTPF_COMMIT_FAILED, 0, "4.4.2",
                       to_target ? SMTPF_LIT("connection lost while the message was delivered")
                                 : SMTPF_LIT("connection to next hop lost"));
    deliver_group_over(t);
    return;
  }
  for (size_t k = 0; k < t->n_groups; k++) {
    if (t->groups[k].leg != t->at)
      continue;
    copies_settle_rest(t, (uint32_t)k + 1, SMTPF_COMMIT_FAILED, 0, "4.4.1", absent);
    t->groups[k].done = 1;
  }
  deliver_group_over(t);
}
