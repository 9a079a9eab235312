/* SPDX-License-Identifier: MIT */
#include "transaction.h"

#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
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
      hop_release(t->legs[i].hop);
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

void transaction_identity(const transaction *t, identity_of *who)
{
  const struct client *c = t->client;
  *who = (identity_of){.name = smtpf_str_of(c->rdns),
                       .address = smtpf_str_of(c->address),
                       .helo = smtpf_str_of(c->helo),
                       .id = smtpf_str_of(smtpf_session_id(c->session)),
                       .login = smtpf_str_of(c->login),
                       .destination = smtpf_str_of(c->local),
                       .port = c->port,
                       .destination_port = c->local_port,
                       .esmtp = c->greeting != SMTPF_GREET_HELO};
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

/* ---- the answer --------------------------------------------------------------------------------- */

static void set_answer(transaction *t, int code, const char *enhanced, smtpf_str words, int by)
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

static void finish(transaction *t)
{
  t->goal = GOAL_NONE;
  client_resume(t->client);
}

void transaction_finish(transaction *t, int code, const char *enhanced, smtpf_str words, int by)
{
  set_answer(t, code, enhanced, words, by);
  finish(t);
}

/* The hop's reply as the answer. One that cannot be the last word here, such as a 354, is taken as a failure. */
static void set_reply(transaction *t, const smtpf_smtpc_reply *r, int good)
{
  char enhanced[12] = "";
  if (r->code / 100 == 3 || (r->code < 400 && !good)) {
    set_answer(t, 451, "4.4.2", SMTPF_LIT("next hop answered out of turn"), BY_PROXY);
    return;
  }
  if (r->enhanced.n < sizeof enhanced)
    memcpy(enhanced, r->enhanced.p, r->enhanced.n);
  set_answer(t, r->code, enhanced, r->text, BY_HOP);
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

static void unseat(recipient *r, size_t on)
{
  for (int d = 0; d < DESTINATIONS; d++)
    if (copies_leg(r, d) == on)
      r->seat[d] = (seat){0};
}

void transaction_forget(transaction *t, size_t on)
{
  t->legs[on].places = 0;
  t->legs[on].stray = 0;
  if (on == t->quarantine_leg)
    t->quarantine = (seat){0};
  unseat(&t->asked, on);
  for (size_t i = 0; i < t->n; i++)
    unseat(&t->rcpt[i], on);
}

hop *transaction_unhop(transaction *t, size_t on)
{
  hop *h = t->legs[on].hop;
  t->legs[on].hop = NULL;
  t->legs[on].streaming = t->legs[on].mail_refused = 0;
  transaction_forget(t, on);
  return h;
}

int transaction_send_mail(transaction *t, kept sender, int quiet, unsigned *missing)
{
  leg *l = transaction_leg(t);
  hop *h = l->hop;
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
static void forward_refused(transaction *t)
{
  if (t->code >= 500 && copies_must_stay(&t->asked)) {
    t->asked.stays = 1;
    set_answer(t, 250, "2.1.5", SMTPF_LIT("recipient ok"), BY_PROXY);
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
    set_answer(t, 550, "5.6.7", SMTPF_LIT("mail for this recipient cannot have SMTPUTF8"), BY_PROXY);
  else
    set_answer(t, 550, "5.6.3", SMTPF_LIT("mail for this recipient cannot have 8BITMIME"), BY_PROXY);
  forward_refused(t);
  finish(t);
}

/* With MAIL before it where that is due: in one write when the server takes that. */
static void rcpt_step(transaction *t)
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

/* A connection for the current leg; 0 when there is none yet. */
static int connect_leg(transaction *t)
{
  leg *l = transaction_leg(t);
  if (l->target)
    return target_connect(t);
  l->hop = hop_acquire(t->loop, t, t->at);
  if (l->hop)
    return 1;
  if (t->goal == GOAL_RCPT)
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop cannot be reached"), BY_PROXY);
  else
    deliver_lost(t, 0);
  return 0;
}

void transaction_step(transaction *t)
{
  if (!t->goal || (!transaction_leg(t)->hop && !connect_leg(t)))
    return;
  const hop *h = transaction_leg(t)->hop;
  if (h->state != HOP_READY || h->expects)
    return;
  if (t->goal == GOAL_RCPT)
    rcpt_step(t);
  else
    deliver_step(t);
}

void transaction_go(transaction *t, size_t on)
{
  t->at = on;
  leg *l = transaction_leg(t);
  l->fresh = 0;
  l->until = t->loop->base.now_ms + t->settings->hop_ms;
  l->tried = l->hop && l->hop->server ? 1U << (l->hop->server - l->route->server) : 0;
  if (l->target)
    target_begin(t);
  transaction_step(t);
}

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
  forward_refused(t);
}

/* The next hop's answer to a forward. */
static void forward_answered(transaction *t, const smtpf_smtpc_reply *r)
{
  t->legs[t->asked.home].stray = 1; /* the mailbox is there already */
  if (r->code >= 500)               /* the hop's words name the address: nobody's business */
    set_answer(t, 550, "5.2.1", SMTPF_LIT("mail for this recipient cannot be delivered"), BY_HOP);
  else
    set_answer(t, 451, "4.2.1", SMTPF_LIT("mail for this recipient cannot be delivered now"), BY_PROXY);
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

static void rcpt_reply(transaction *t, int expect, const smtpf_smtpc_reply *r)
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
    finish(t);
  } else if (t->asked.seat[TO_MAILBOX].place && t->at == t->asked.home && t->asked.leg != t->asked.home) {
    transaction_go(t, t->asked.leg);
  } else {
    transaction_step(t);
  }
}

/* ---- a target out of reach ------------------------------------------------------------------------ */

void transaction_unreachable(transaction *t, int never)
{
  if (t->goal == GOAL_DELIVER && never) {
    deliver_refused(t);
  } else if (!never && t->settings->forward_to_hop && copies_reroute(t, t->at)) {
    transaction_go(t, t->goal == GOAL_RCPT ? t->asked.leg : t->groups[t->current].leg);
  } else if (t->goal == GOAL_DELIVER) {
    deliver_lost(t, 0);
  } else {
    set_answer(t, never ? 550 : 451, never ? "5.2.1" : "4.4.1",
               never ? SMTPF_LIT("mail for this recipient cannot be delivered")
                     : SMTPF_LIT("mail for this recipient cannot be delivered now"),
               BY_PROXY);
    forward_refused(t);
    finish(t);
  }
}

/* ---- from the hop ------------------------------------------------------------------------------- */

void transaction_hop_ready(transaction *t, size_t on)
{
  if (t->legs[on].target)
    target_ready(t, on);
  if (on == t->at)
    transaction_step(t);
}

void transaction_hop_reply(transaction *t, size_t on, int expect, const smtpf_smtpc_reply *r)
{
  if (expect == EXPECT_XFORWARD)
    return; /* a courtesy: the mail goes without it */
  if (on == t->at && t->goal == GOAL_RCPT)
    rcpt_reply(t, expect, r);
  else if (on == t->at && t->goal)
    deliver_reply(t, expect, r);
  else if (expect == EXPECT_MAIL && r->code >= 400)
    t->legs[on].hop->mail_open = 0;
}

static int has_more(const transaction *t, const leg *l)
{
  return l->target ? target_has_more(l->target) : t->loop->base.now_ms < l->until && route_has_more(l->route, l->tried);
}

void transaction_hop_lost(transaction *t, size_t on, const char *why, int how)
{
  leg *l = &t->legs[on];
  const server *at = l->hop->server;
  const int streaming = l->streaming;
  /* With its dot on its way, nobody knows whether it was taken: to send it again might double it. */
  const int began = streaming && t->out.ended && !hop_waits(l->hop);
  transaction_unhop(t, on);
  if (l->target)
    target_failed(t, on, why, how);
  if (!t->goal || on != t->at)
    return;
  if (l->target && !streaming) { /* perhaps the next server */
    transaction_step(t);
    return;
  }
  if (how == LOST_TLS ||
      (how == LOST_REUSED && !l->fresh && !streaming)) { /* perhaps it was closed while it was idle */
    l->fresh = 1;
    l->tried &= ~(1U << (at - l->route->server));
    transaction_step(t);
    return;
  }
  if (!l->target)
    client_hop_failed(t->client, at->name, why);
  if (!began && has_more(t, l)) {
    transaction_step(t);
    return;
  }
  if (t->goal == GOAL_DELIVER)
    deliver_lost(t, streaming);
  else
    transaction_finish(t, 451, "4.4.1", SMTPF_LIT("next hop does not answer"), BY_PROXY);
}

void transaction_hop_writable(transaction *t, size_t on)
{
  if (on == t->at && t->legs[on].streaming)
    deliver_stream(t);
}
