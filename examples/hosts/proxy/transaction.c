/* SPDX-License-Identifier: MIT */
#include "transaction.h"

#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "hop_pool.h"
#include "target.h"

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

transaction *transaction_new(const transaction_for *is, smtpf_str sender, smtpf_str params)
{
  transaction *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->told = is->told;
  t->owner = is->owner;
  t->loop = is->loop;
  t->settings = is->settings;
  t->session = is->session;
  t->each = is->each != 0;
  spool_init(&t->spool, &t->loop->chunks);
  t->legs = calloc(1, sizeof *t->legs);
  t->n_legs = t->legs != NULL;
  if (t->legs)
    t->legs[0].route = &t->settings->routes.route[0];
  t->sender = transaction_keep(t, sender, 0);
  t->params = transaction_keep(t, params, 0);
  if (!t->legs || t->strings.failed) {
    transaction_free(t);
    return NULL;
  }
  return t;
}

static void unspool(transaction *t)
{
  if (t->spooled)
    atomic_fetch_sub_explicit(&loop_shared(t->loop)->spooled, t->spooled, memory_order_relaxed);
  t->spooled = 0;
  spool_clear(&t->spool);
}

void transaction_free(transaction *t)
{
  if (!t)
    return;
  for (size_t i = 0; i < t->n_legs; i++) {
    if (t->legs[i].hop)
      pool_release(t->legs[i].hop);
    target_free(t->legs[i].target);
  }
  outgoing_end(&t->out);
  unspool(t);
  text_free(&t->strings);
  text_free(&t->answer);
  free(t->legs);
  free(t->rcpt);
  free(t->groups);
  free(t->codes);
  free(t);
}

void transaction_body(transaction *t, smtpf_str piece)
{
  const int64_t n = (int64_t)piece.n, most = t->settings->spool_total;
  if (t->spool_error)
    return;
  t->spooled += n;
  const int64_t all = atomic_fetch_add_explicit(&loop_shared(t->loop)->spooled, n, memory_order_relaxed) + n;
  if (most && all > most)
    t->spool_error = ENOSPC;
  else
    t->spool_error = spool_add(&t->spool, piece.p, piece.n, t->settings->spool_memory, t->settings->spool_directory);
  if (t->spool_error) /* its end is waited for; until then it shall not be in others' way */
    unspool(t);
}

/* ---- the answer --------------------------------------------------------------------------------- */

void transaction_answer(transaction *t, int code, const char *enhanced, smtpf_str words, int by)
{
  size_t n = strlen(enhanced);
  t->code = code;
  t->by = by;
  if (n >= sizeof t->enhanced)
    n = 0;
  memcpy(t->enhanced, enhanced, n);
  t->enhanced[n] = 0;
  text_clear(&t->answer);
  text_add(&t->answer, words);
}

void transaction_end(transaction *t)
{
  t->goal = GOAL_NONE;
  t->told->resume(t->owner);
}

void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words, int by)
{
  transaction_answer(t, code, enhanced, words, by);
  transaction_end(t);
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

int transaction_send_mail(transaction *t, kept sender, int quiet, unsigned *missing)
{
  leg *l = transaction_leg(t);
  hop *h = l->hop;
  text line = {0};
  char expects[3] = {EXPECT_MAIL, 0, 0};
  if (h->attributes && !h->identified) {
    identity_of who;
    t->told->identity(t->owner, &who);
    identity_command(&line, "XFORWARD", h->attributes, &who);
    expects[0] = EXPECT_XFORWARD;
    expects[1] = EXPECT_MAIL;
  }
  const envelope e = {.path = transaction_string(t, sender),
                      .params = transaction_string(t, t->params),
                      .extensions = h->extensions,
                      .quiet = quiet,
                      .bare = l->target != NULL,
                      .prdr = t->each}; /* who answers for all at once is best served by one answer for all */
  *missing = envelope_mail(&line, &e);
  if (line.failed || *missing) {
    text_free(&line);
    return 0;
  }
  transaction_forget(t, t->at);
  h->mail_open = 1;
  l->mail = sender;
  l->mail_quiet = quiet != 0;
  l->mail_prdr = t->each && h->extensions & SMTPF_EXT_PRDR;
  l->mail_refused = 0;
  hop_send(h, text_str(&line), expects);
  text_free(&line);
  return 1;
}

int transaction_send_rcpt(transaction *t, seat *s, smtpf_str path, smtpf_str params, int silent, unsigned *missing)
{
  text line = {0};
  const leg *l = transaction_leg(t);
  const envelope e = {
      .path = path, .params = params, .extensions = l->hop->extensions, .quiet = silent, .bare = l->target != NULL};
  *missing = envelope_rcpt(&line, &e);
  if (line.failed || *missing) {
    text_free(&line);
    return 0;
  }
  *s = (seat){.asked = 1, .silent = silent || envelope_has(params, SMTPF_LIT("NOTIFY"), SMTPF_LIT("NEVER"))};
  hop_send(l->hop, text_str(&line), (char[]){EXPECT_RCPT, 0});
  text_free(&line);
  return 1;
}
