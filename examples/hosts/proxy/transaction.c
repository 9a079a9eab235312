/* SPDX-License-Identifier: MIT */
#include "transaction.h"

#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

/* ---- what is kept ------------------------------------------------------------------------------- */

kept transaction_keep(transaction *t, smtpf_str s, int brackets)
{
  kept k = {(uint32_t)t->strings.n, 0};
  if (brackets)
    text_char(&t->strings, '<');
  text_add(&t->strings, s);
  if (brackets)
    text_char(&t->strings, '>');
  if (!t->strings.failed)
    k.n = (uint32_t)t->strings.n - k.at;
  return k;
}

transaction *transaction_new(struct client *c, smtpf_str sender, smtpf_str params)
{
  transaction *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->client = c;
  t->loop = c->loop;
  t->settings = c->settings;
  t->each = client_answers_each(c, params) != 0;
  spool_init(&t->spool, &c->loop->chunks);
  t->sender = transaction_keep(t, sender, 0);
  t->params = transaction_keep(t, params, 0);
  if (t->strings.failed) {
    transaction_free(t);
    return NULL;
  }
  return t;
}

static void unspool(transaction *t)
{
  if (t->spooled)
    atomic_fetch_sub_explicit(&t->loop->shared->spooled, t->spooled, memory_order_relaxed);
  t->spooled = 0;
  spool_clear(&t->spool);
}

void transaction_free(transaction *t)
{
  if (!t)
    return;
  if (t->hop)
    hop_release(t->hop);
  outgoing_end(&t->out);
  unspool(t);
  text_free(&t->strings);
  text_free(&t->answer);
  free(t->rcpt);
  free(t->groups);
  free(t->codes);
  free(t);
}

void transaction_identity(const transaction *t, identity_of *who)
{
  const struct client *c = t->client;
  *who = (identity_of){.name = smtpf_str_of(c->rdns),
                       .address = smtpf_str_of(c->address),
                       .helo = smtpf_str_of(c->helo),
                       .id = smtpf_str_of(smtpf_session_id(c->session)),
                       .port = c->port,
                       .esmtp = c->greeting != SMTPF_GREET_HELO};
}

void transaction_body(transaction *t, smtpf_str piece)
{
  const int64_t n = (int64_t)piece.n, most = t->settings->spool_total;
  if (t->spool_error)
    return;
  t->spooled += n;
  const int64_t all = atomic_fetch_add_explicit(&t->loop->shared->spooled, n, memory_order_relaxed) + n;
  if (most && all > most)
    t->spool_error = ENOSPC;
  else
    t->spool_error = spool_add(&t->spool, piece.p, piece.n, t->settings->spool_memory, t->settings->spool_directory);
  if (t->spool_error) /* its end is waited for; until then it shall not be in others' way */
    unspool(t);
}

int transaction_keep_rcpt(transaction *t)
{
  if (t->n == t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 4;
    recipient *r = realloc(t->rcpt, cap * sizeof *r);
    if (!r) {
      t->stray = t->hop != NULL;
      return 0;
    }
    t->rcpt = r;
    t->cap = cap;
  }
  if (!t->hop) /* lost since it answered */
    memset(t->asked.seat, 0, sizeof t->asked.seat);
  t->rcpt[t->n++] = t->asked;
  return 1;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void set_answer(transaction *t, int code, const char *enhanced, smtpf_str words, int by_hop)
{
  size_t n = strlen(enhanced);
  t->code = code;
  t->by_hop = by_hop;
  if (n >= sizeof t->enhanced)
    n = 0;
  memcpy(t->enhanced, enhanced, n);
  t->enhanced[n] = 0;
  text_clear(&t->answer);
  text_add(&t->answer, words);
}

static void finish(transaction *t)
{
  t->goal = GOAL_NONE;
  client_resume(t->client);
}

void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words, int by_hop)
{
  set_answer(t, code, enhanced, words, by_hop);
  finish(t);
}

/* The hop's reply as the answer. One that cannot be the last word here, such as a 354, is taken as a failure. */
static void set_reply(transaction *t, const smtpf_smtpc_reply *r, int good)
{
  char enhanced[12] = "";
  if (r->code / 100 == 3 || (r->code < 400 && !good)) {
    set_answer(t, 451, "4.4.2", SMTPF_LIT("next hop answered out of turn"), 0);
    return;
  }
  if (r->enhanced.n < sizeof enhanced)
    memcpy(enhanced, r->enhanced.p, r->enhanced.n);
  set_answer(t, r->code, enhanced, r->text, 1);
}

/* ---- MAIL and RCPT to the hop ------------------------------------------------------------------- */

/* The hop lost an extension since it was announced to the client: the client will see so when it comes again. */
const char *transaction_missing(unsigned missing, smtpf_str *words)
{
  if (missing & SMTPF_EXT_SMTPUTF8) {
    *words = SMTPF_LIT("next hop has no SMTPUTF8 now");
    return "4.6.7";
  }
  if (missing & SMTPF_EXT_8BITMIME) {
    *words = SMTPF_LIT("next hop has no 8BITMIME now");
    return "4.6.3";
  }
  *words = missing ? SMTPF_LIT("next hop has no DSN now") : SMTPF_LIT("out of memory");
  return missing ? "4.3.3" : "4.3.0";
}

void transaction_forget(transaction *t)
{
  t->places = 0;
  t->quarantine = (seat){0};
  t->stray = 0;
  memset(t->asked.seat, 0, sizeof t->asked.seat);
  for (size_t i = 0; i < t->n; i++)
    memset(t->rcpt[i].seat, 0, sizeof t->rcpt[i].seat);
}

int transaction_send_mail(transaction *t, kept sender, int quiet, unsigned *missing)
{
  hop *h = t->hop;
  text line = {0};
  char expects[3] = {EXPECT_MAIL, 0, 0};
  if (h->attributes && !h->identified) {
    identity_of who;
    transaction_identity(t, &who);
    identity_command(&line, "XFORWARD", h->attributes, &who);
    expects[0] = EXPECT_XFORWARD;
    expects[1] = EXPECT_MAIL;
  }
  const envelope e = {.path = transaction_string(t, sender),
                      .params = transaction_string(t, t->params),
                      .extensions = h->extensions,
                      .quiet = quiet,
                      .prdr = t->each}; /* who answers for all at once is best served by one answer for all */
  *missing = envelope_mail(&line, &e);
  if (line.failed || *missing) {
    text_free(&line);
    return 0;
  }
  transaction_forget(t);
  h->mail_open = 1;
  t->mail = sender;
  t->mail_quiet = quiet != 0;
  t->mail_prdr = t->each && h->extensions & SMTPF_EXT_PRDR;
  t->mail_refused = 0;
  hop_send(h, text_str(&line), expects);
  text_free(&line);
  return 1;
}

int transaction_send_rcpt(transaction *t, seat *s, smtpf_str path, smtpf_str params, int silent, unsigned *missing)
{
  text line = {0};
  const envelope e = {.path = path, .params = params, .extensions = t->hop->extensions, .quiet = silent};
  *missing = envelope_rcpt(&line, &e);
  if (line.failed || *missing) {
    text_free(&line);
    return 0;
  }
  *s = (seat){.asked = 1, .silent = silent || envelope_has(params, SMTPF_LIT("NOTIFY"), SMTPF_LIT("NEVER"))};
  hop_send(t->hop, text_str(&line), (char[]){EXPECT_RCPT, 0});
  text_free(&line);
  return 1;
}

/* ---- RCPT: the mailbox, then the address it may be forwarded to ----------------------------------- */

static void put_rcpt(transaction *t, unsigned *missing)
{
  recipient *r = &t->asked;
  const int which = r->seat[TO_MAILBOX].place ? TO_FORWARD : TO_MAILBOX;
  transaction_send_rcpt(t, &r->seat[which], transaction_string(t, which == TO_FORWARD ? r->forward : r->path),
                        transaction_string(t, r->params), 0, missing);
}

/* With MAIL before it where that is due: in one write when the hop takes that. */
static void rcpt_step(transaction *t)
{
  hop *h = t->hop;
  unsigned missing = 0;
  smtpf_str words;
  hop_cork(h);
  if (h->mail_open || (transaction_send_mail(t, t->sender, 0, &missing) && h->extensions & SMTPF_EXT_PIPELINING))
    put_rcpt(t, &missing);
  hop_uncork(h);
  if (!h->expects || missing) {
    const char *enhanced = transaction_missing(missing, &words);
    transaction_finish(t, 451, enhanced, words, 0);
  }
}

void transaction_step(transaction *t)
{
  if (!t->goal)
    return;
  if (!t->hop && !(t->hop = hop_acquire(t->loop, t, t->fresh))) {
    if (t->goal == GOAL_RCPT)
      transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop cannot be reached"), 0);
    else
      deliver_lost(t, 0);
    return;
  }
  if (t->hop->state != HOP_READY || t->hop->expects)
    return;
  if (t->goal == GOAL_RCPT)
    rcpt_step(t);
  else
    deliver_step(t);
}

void transaction_ask(transaction *t, smtpf_str path, smtpf_str params)
{
  t->asked = (recipient){0};
  t->asked.path = transaction_keep(t, path, 0);
  t->asked.params = transaction_keep(t, params, 0);
}

void transaction_unask(transaction *t)
{
  if (t->asked.path.n)
    t->strings.n = t->asked.path.at;
  t->asked = (recipient){0};
}

void transaction_rcpt(transaction *t, smtpf_str forward)
{
  t->code = 0;
  if (forward.n)
    t->asked.forward = transaction_keep(t, forward, 1);
  if (t->strings.failed) {
    text_clear(&t->answer);
    transaction_finish(t, 451, "4.3.0", SMTPF_LIT("out of memory"), 0);
    return;
  }
  t->goal = GOAL_RCPT;
  t->fresh = 0;
  transaction_step(t);
}

/* The hop's answer to one address. 1 when the other is to be put still. */
static int rcpt_answered(transaction *t, const smtpf_smtpc_reply *r)
{
  recipient *a = &t->asked;
  const int good = r->code / 100 == 2, which = a->seat[TO_FORWARD].asked ? TO_FORWARD : TO_MAILBOX;
  a->seat[which].asked = 0;
  if (good)
    a->seat[which].place = ++t->places;
  if (good && which == TO_MAILBOX && a->forward.n)
    return 1;
  if (which == TO_MAILBOX || good) {
    set_reply(t, r, good);
    return 0;
  }
  t->stray = 1;       /* the mailbox is there already */
  if (r->code >= 500) /* the hop's words name the address: nobody's business */
    set_answer(t, 550, "5.2.1", SMTPF_LIT("mail for this recipient cannot be delivered"), 1);
  else
    set_answer(t, 451, "4.2.1", SMTPF_LIT("mail for this recipient cannot be delivered now"), 0);
  return 0;
}

static void rcpt_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  const int good = r->code / 100 == 2;
  int more = expect == EXPECT_MAIL && good;
  if (expect == EXPECT_MAIL && !good) {
    set_reply(t, r, 0);
    t->hop->mail_open = 0;
    t->mail_refused = 1;
  } else if (expect == EXPECT_RCPT && !t->mail_refused) {
    more = rcpt_answered(t, r);
  }
  if (t->hop->expects)
    return;
  if (more) {
    transaction_step(t);
  } else { /* a RCPT that went along with a refused MAIL has its reply now */
    t->mail_refused = 0;
    finish(t);
  }
}

/* ---- from the hop ------------------------------------------------------------------------------- */

void transaction_hop_ready(transaction *t)
{
  transaction_step(t);
}

void transaction_hop_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  if (expect == EXPECT_XFORWARD)
    return; /* a courtesy: the mail goes without it */
  if (t->goal == GOAL_RCPT)
    rcpt_reply(t, expect, r);
  else if (t->goal)
    deliver_reply(t, expect, r);
  else if (expect == EXPECT_MAIL && r->code >= 400)
    t->hop->mail_open = 0;
}

void transaction_hop_lost(transaction *t, const char *why, int reused)
{
  const int began = t->streaming;
  t->hop = NULL;
  t->streaming = t->mail_refused = 0;
  transaction_forget(t);
  if (!t->goal)
    return;
  if (reused && !t->fresh && !began) { /* it may have been closed while it was idle */
    t->fresh = 1;
    transaction_step(t);
    return;
  }
  client_hop_failed(t->client, why);
  if (t->goal == GOAL_DELIVER)
    deliver_lost(t, began);
  else
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop does not answer"), 0);
}

void transaction_hop_writable(transaction *t)
{
  if (t->streaming)
    deliver_stream(t);
}
