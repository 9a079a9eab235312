/* SPDX-License-Identifier: MIT */
#include "transaction.h"

#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

/* ---- what is kept ------------------------------------------------------------------------------- */

smtpf_str transaction_string(const transaction *t, uint32_t at, uint32_t n)
{
  return (smtpf_str){t->strings.p + at, n};
}

static uint32_t keep(transaction *t, smtpf_str s, uint32_t *n)
{
  uint32_t at = (uint32_t)t->strings.n;
  text_add(&t->strings, s);
  *n = t->strings.failed ? 0 : (uint32_t)s.n;
  return at;
}

transaction *transaction_new(struct client *c, smtpf_str sender, smtpf_str params)
{
  transaction *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->client = c;
  t->loop = c->loop;
  t->settings = c->settings;
  spool_init(&t->spool, &c->loop->chunks);
  keep(t, sender, &t->sender_n);
  keep(t, params, &t->params_n);
  if (t->strings.failed) {
    transaction_free(t);
    return NULL;
  }
  return t;
}

void transaction_free(transaction *t)
{
  if (!t)
    return;
  if (t->hop)
    hop_release(t->hop);
  outgoing_end(&t->out);
  spool_clear(&t->spool);
  text_free(&t->strings);
  text_free(&t->answer);
  free(t->rcpt);
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
                       .esmtp = c->greeting == SMTPF_GREET_EHLO};
}

void transaction_body(transaction *t, smtpf_str piece)
{
  if (!t->spool_error)
    t->spool_error = spool_add(&t->spool, piece.p, piece.n, t->settings->spool_memory, t->settings->spool_directory);
}

int transaction_keep_rcpt(transaction *t)
{
  if (t->n == t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 4;
    recipient *r = realloc(t->rcpt, cap * sizeof *r);
    if (!r)
      return 0;
    t->rcpt = r;
    t->cap = cap;
  }
  t->asked.at_hop = t->hop != NULL;
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

void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words)
{
  set_answer(t, code, enhanced, words, 0);
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

void transaction_finish_reply(transaction *t, const smtpf_smtpc_reply *r, int good)
{
  set_reply(t, r, good);
  finish(t);
}

/* ---- MAIL and RCPT to the hop ------------------------------------------------------------------- */

/* Parameters that the hop understands, each with a blank before it. Returns an extension that is needed and not there.
 */
static unsigned params_for(text *out, smtpf_str params, unsigned extensions)
{
  smtpf_str key, value;
  unsigned missing = 0;
  while (smtpf_param_next(&params, &key, &value) == SMTPF_OK) {
    unsigned need = 0, optional = 0;
    if (smtpf_str_equal_nocase(key, SMTPF_LIT("SIZE")))
      need = optional = SMTPF_EXT_SIZE;
    else if (smtpf_str_equal_nocase(key, SMTPF_LIT("BODY"))) {
      need = SMTPF_EXT_8BITMIME;
      optional = smtpf_str_equal_nocase(value, SMTPF_LIT("7BIT")) ? need : 0;
    } else if (smtpf_str_equal_nocase(key, SMTPF_LIT("SMTPUTF8")))
      need = SMTPF_EXT_SMTPUTF8;
    else
      need = SMTPF_EXT_DSN; /* RET ENVID NOTIFY ORCPT */
    if (!(need & extensions)) {
      missing |= need & ~optional;
      continue;
    }
    text_char(out, ' ');
    text_add(out, key);
    if (value.n) {
      text_char(out, '=');
      text_add(out, value);
    }
  }
  return missing;
}

/* The hop lost an extension since it was announced to the client: the client will see so when it comes again. */
static void finish_missing(transaction *t, unsigned missing)
{
  if (missing & SMTPF_EXT_SMTPUTF8)
    transaction_finish(t, 451, "4.6.7", SMTPF_LIT("next hop has no SMTPUTF8 now"));
  else if (missing & SMTPF_EXT_8BITMIME)
    transaction_finish(t, 451, "4.6.3", SMTPF_LIT("next hop has no 8BITMIME now"));
  else
    transaction_finish(t, 451, "4.3.3", SMTPF_LIT("next hop has no DSN now"));
}

int transaction_send_mail(transaction *t)
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
  text_cstr(&line, "MAIL FROM:");
  text_add(&line, transaction_string(t, 0, t->sender_n));
  unsigned missing = params_for(&line, transaction_string(t, t->sender_n, t->params_n), h->extensions);
  text_cstr(&line, "\r\n");
  if (line.failed || missing) {
    text_free(&line);
    if (missing)
      finish_missing(t, missing);
    else
      transaction_finish(t, 451, "4.3.0", SMTPF_LIT("out of memory"));
    return 0;
  }
  h->mail_open = 1;
  t->mail_refused = 0;
  hop_send(h, text_str(&line), expects);
  text_free(&line);
  return 1;
}

int transaction_send_rcpt(transaction *t, smtpf_str path, smtpf_str params)
{
  text line = {0};
  text_cstr(&line, "RCPT TO:");
  text_add(&line, path);
  unsigned missing = params_for(&line, params, t->hop->extensions);
  text_cstr(&line, "\r\n");
  if (line.failed || missing) {
    text_free(&line);
    finish_missing(t, missing);
    return 0;
  }
  hop_send(t->hop, text_str(&line), (char[]){EXPECT_RCPT, 0});
  text_free(&line);
  return 1;
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* RCPT, with MAIL before it where that is due: in one write when the hop takes that. */
static void rcpt_step(transaction *t)
{
  hop *h = t->hop;
  smtpf_str path = transaction_string(t, t->asked.path, t->asked.path_n);
  smtpf_str params = transaction_string(t, t->asked.params, t->asked.params_n);
  hop_cork(h);
  if (h->mail_open || (transaction_send_mail(t) && h->extensions & SMTPF_EXT_PIPELINING))
    transaction_send_rcpt(t, path, params);
  hop_uncork(h);
}

void transaction_step(transaction *t)
{
  if (!t->goal)
    return;
  if (!t->hop && !(t->hop = hop_acquire(t->loop, t, t->fresh))) {
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop cannot be reached"));
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
  t->asked.path = keep(t, path, &t->asked.path_n);
  t->asked.params = keep(t, params, &t->asked.params_n);
}

void transaction_unask(transaction *t)
{
  if (t->asked.path_n)
    t->strings.n = t->asked.path;
  t->asked = (recipient){0};
}

void transaction_rcpt(transaction *t)
{
  t->code = 0;
  if (t->strings.failed) {
    text_clear(&t->answer);
    transaction_finish(t, 451, "4.3.0", SMTPF_LIT("out of memory"));
    return;
  }
  t->goal = GOAL_RCPT;
  t->fresh = 0;
  transaction_step(t);
}

static void rcpt_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
{
  const int good = r->code / 100 == 2;
  if (expect == EXPECT_MAIL && good) {
    transaction_step(t);
    return;
  }
  if (expect == EXPECT_MAIL) {
    set_reply(t, r, 0);
    t->hop->mail_open = 0;
    t->mail_refused = 1;
  } else if (!t->mail_refused) {
    set_reply(t, r, good);
  }
  if (!t->hop->expects) { /* a RCPT that went along with a refused MAIL has its reply now */
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
}

void transaction_hop_lost(transaction *t, const char *why, int reused)
{
  const int began = t->streaming;
  t->hop = NULL;
  t->streaming = t->redirect_at_hop = t->mail_refused = 0;
  for (size_t i = 0; i < t->n; i++)
    t->rcpt[i].at_hop = 0;
  if (!t->goal)
    return;
  if (reused && !t->fresh && !began) { /* it may have been closed while it was idle */
    t->fresh = 1;
    transaction_step(t);
    return;
  }
  client_hop_failed(t->client, why);
  if (began)
    transaction_finish(t, 451, "4.4.2", SMTPF_LIT("connection to next hop lost"));
  else
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop does not answer"));
}

void transaction_hop_writable(transaction *t)
{
  if (t->streaming)
    deliver_stream(t);
}
