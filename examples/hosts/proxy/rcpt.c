/* SPDX-License-Identifier: MIT
 *
 * The first half of a transaction: each RCPT that the policy accepts is put to the servers that its copies may go to,
 * the mailbox's and then that of the address it may be forwarded to; what they say is the client's answer.
 */
#include <stdlib.h>

#include "target.h"

/* ---- the recipient in question -------------------------------------------------------------------- */

void transaction_ask(transaction *t, smtpf_str path, smtpf_str params)
{
  t->asked = (recipient){0};
  t->asked.path = transaction_keep(t, path, 0);
  t->asked.params = transaction_keep(t, params, 0);
}

void transaction_unask(transaction *t)
{
  const recipient *a = &t->asked;
  if (a->path.n && !(a->sender.at > a->path.at && t->legs[a->leg].mail.at == a->sender.at))
    t->strings.n = a->path.at; /* unless an open transaction has its sender */
  t->asked = (recipient){0};
}

int transaction_keep_rcpt(transaction *t)
{
  if (t->n == t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 4;
    recipient *r = realloc(t->rcpt, cap * sizeof *r);
    if (!r) {
      t->legs[t->asked.home].stray = t->legs[t->asked.leg].stray = 1;
      return 0;
    }
    t->rcpt = r;
    t->cap = cap;
  }
  t->rcpt[t->n++] = t->asked;
  return 1;
}

/* ---- the answer ----------------------------------------------------------------------------------- */

/* The hop's reply as the answer. One that cannot be the last word here, such as a 354, is taken as a failure. */
static void set_reply(transaction *t, const smtpf_smtpc_reply *r, int good)
{
  char enhanced[12] = "";
  if (r->code / 100 == 3 || (r->code < 400 && !good)) {
    transaction_answer(t, 451, "4.4.2", SMTPF_LIT("next hop answered out of turn"), BY_PROXY);
    return;
  }
  if (r->enhanced.n < sizeof enhanced)
    memcpy(enhanced, r->enhanced.p, r->enhanced.n);
  transaction_answer(t, r->code, enhanced, r->text, BY_HOP);
}

/* ---- RCPT: the mailbox, then the address it may be forwarded to ----------------------------------- */

static int next_seat(const transaction *t)
{
  return t->at != t->asked.home || t->asked.seat[TO_MAILBOX].place ? TO_FORWARD : TO_MAILBOX;
}

static void put_rcpt(transaction *t, unsigned *missing)
{
  recipient *r = &t->asked;
  const int which = next_seat(t);
  transaction_send_rcpt(t, &r->seat[which], transaction_string(t, which == TO_FORWARD ? r->forward : r->mailbox),
                        transaction_string(t, r->params), 0, missing);
}

/* The answer, a target's or about one, is no good. The mailbox, which is open already, must get nothing; or everything,
 * where the client must not be refused for what others think of the mail. */
void rcpt_forward_refused(transaction *t)
{
  if (t->code >= 500 && copies_must_stay(&t->asked)) {
    t->asked.stays = 1;
    transaction_answer(t, 250, "2.1.5", SMTPF_LIT("recipient ok"), BY_PROXY);
  } else {
    t->legs[t->asked.home].stray = 1;
  }
}

/* What the mail needs and the server has not. The next hop had it when it was announced to the client; a target may
 * never have it. */
static void rcpt_missing(transaction *t, unsigned missing)
{
  smtpf_str words;
  const char *enhanced = transaction_missing(missing, &words);
  if (!transaction_leg(t)->target || !missing) {
    transaction_finish(t, 451, enhanced, words, BY_PROXY);
    return;
  }
  if (missing & SMTPF_EXT_SMTPUTF8)
    transaction_answer(t, 550, "5.6.7", SMTPF_LIT("mail for this recipient cannot have SMTPUTF8"), BY_PROXY);
  else
    transaction_answer(t, 550, "5.6.3", SMTPF_LIT("mail for this recipient cannot have 8BITMIME"), BY_PROXY);
  rcpt_forward_refused(t);
  transaction_end(t);
}

/* With MAIL before it where that is due: in one write when the server takes that. */
void rcpt_step(transaction *t)
{
  hop *h = transaction_leg(t)->hop;
  const int at_once = h->extensions & SMTPF_EXT_PIPELINING;
  const int to_target = transaction_leg(t)->target != NULL;
  const kept sender = to_target ? t->asked.sender : t->sender;
  /* a DSN with the body is for own clients: else the transaction would have to begin anew at the end of the message */
  const int quiet = to_target || (t->asked.origin != SMTPF_ORIGIN_OWN && !deliver_null_sender(t, sender));
  unsigned missing = 0;
  hop_cork(h);
  if (h->mail_open && !transaction_same_string(t, transaction_leg(t)->mail, sender)) {
    transaction_forget(t, t->at);
    h->mail_open = 0;
    hop_send(h, SMTPF_LIT("RSET\r\n"), (char[]){EXPECT_RSET, 0});
  }
  if (h->mail_open || ((at_once || !h->expects) && transaction_send_mail(t, sender, quiet, &missing) && at_once))
    put_rcpt(t, &missing);
  hop_uncork(h);
  if (!h->expects || missing)
    rcpt_missing(t, missing);
}

/* The client gets one reply for all, and two servers would decide it: neither could be told truly. Own clients cannot
 * send a recipient again. Targets of inline forwards are the session's to hold apart. */
static int goes_elsewhere(const transaction *t)
{
  const recipient *a = &t->asked, *r = t->rcpt;
  if (!t->n || t->each || t->settings->hops_together || a->origin == SMTPF_ORIGIN_OWN)
    return 0;
  return a->home != r->home || (!t->settings->forward_inline && a->leg != r->leg);
}

void transaction_rcpt(transaction *t, const smtpf_recipient_info *info)
{
  recipient *a = &t->asked;
  int failed = 0;
  t->code = 0;
  a->origin = (unsigned char)info->origin;
  /* behind a signature (BATV) or a source route is a shorter address, which alone the next hop knows */
  a->mailbox = info->address.n + 2 < a->path.n ? transaction_keep(t, info->address, 1) : a->path;
  failed = !transaction_hop_leg(t, transaction_string(t, a->mailbox), &a->home);
  a->leg = a->home;
  if (info->forward.n && !failed) {
    a->forward = transaction_keep(t, info->forward, 1);
    a->sender = transaction_path_is(t, t->sender, info->sender) ? t->sender : transaction_keep(t, info->sender, 1);
    failed = !transaction_forward_leg(t, info->forward, &a->leg);
  }
  if (failed || t->strings.failed) {
    text_clear(&t->answer);
    transaction_finish(t, 451, "4.3.0", SMTPF_LIT("out of memory"), BY_PROXY);
    return;
  }
  if (goes_elsewhere(t)) {
    text_clear(&t->answer);
    transaction_finish(t, t->settings->split_reply, "4.5.3",
                       SMTPF_LIT("send this recipient a message of its own: it goes to another server"), BY_PROXY);
    return;
  }
  t->goal = GOAL_RCPT;
  transaction_go(t, a->home);
}

/* The target's answer: its words, but for the address. */
static void target_answered(transaction *t, const smtpf_smtpc_reply *r, int good)
{
  set_reply(t, r, good);
  if (good)
    return;
  if (t->by == BY_HOP) {
    t->by = BY_TARGET;
    target_anonymise(t, r->text, &t->answer);
  }
  rcpt_forward_refused(t);
}

/* The next hop's answer to a forward. */
static void forward_answered(transaction *t, const smtpf_smtpc_reply *r)
{
  t->legs[t->asked.home].stray = 1; /* the mailbox is there already */
  if (r->code >= 500)               /* the hop's words name the address: nobody's business */
    transaction_answer(t, 550, "5.2.1", SMTPF_LIT("mail for this recipient cannot be delivered"), BY_HOP);
  else
    transaction_answer(t, 451, "4.2.1", SMTPF_LIT("mail for this recipient cannot be delivered now"), BY_PROXY);
}

/* The server's answer to one address. 1 when the other is to be put still. */
static int rcpt_answered(transaction *t, const smtpf_smtpc_reply *r)
{
  recipient *a = &t->asked;
  const int good = r->code / 100 == 2, which = a->seat[TO_FORWARD].asked ? TO_FORWARD : TO_MAILBOX;
  a->seat[which].asked = 0;
  if (good)
    a->seat[which].place = ++transaction_leg(t)->places;
  if (good && which == TO_MAILBOX && a->forward.n)
    return 1;
  if (transaction_leg(t)->target)
    target_answered(t, r, good);
  else if (which == TO_MAILBOX || good)
    set_reply(t, r, good);
  else
    forward_answered(t, r);
  return 0;
}

void rcpt_client_refused(transaction *t, const smtpf_smtpc_reply *r)
{
  if (t->at == t->asked.home)
    set_reply(t, r, 0);
  else
    forward_answered(t, r);
  transaction_end(t);
}

void rcpt_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  leg *l = transaction_leg(t);
  const int good = r->code / 100 == 2;
  int more = (expect == EXPECT_MAIL && good) || expect == EXPECT_RSET;
  if (expect == EXPECT_MAIL && !good) {
    if (l->target)
      target_answered(t, r, 0);
    else
      set_reply(t, r, 0);
    l->hop->mail_open = 0;
    l->mail_refused = 1;
  } else if (expect == EXPECT_RCPT && !l->mail_refused) {
    more = rcpt_answered(t, r);
  }
  if (l->hop->expects)
    return;
  if (!more) { /* a RCPT that went along with a refused MAIL has its reply now */
    l->mail_refused = 0;
    transaction_end(t);
  } else if (t->asked.seat[TO_MAILBOX].place && t->at == t->asked.home && t->asked.leg != t->asked.home) {
    transaction_go(t, t->asked.leg);
  } else {
    transaction_step(t);
  }
}
