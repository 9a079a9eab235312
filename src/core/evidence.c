/* SPDX-License-Identifier: MIT
 *
 * Scopes: what was found about the connection, the greeting, the transaction, one recipient; and the words checks leave
 * for each other. A finding belongs to the scope of the stage it was made at, or to the connection, or to a recipient,
 * when it says so.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"
#include "session.h"

/* ---- where things belong ---------------------------------------------------------------------------------------- */

smtpf_arena *smtpf_session_arena(smtpf_session *s, int stage)
{
  if (stage == SMTPF_CONNECT)
    return &s->connection;
  return stage == SMTPF_HELO ? &s->greeting_arena : &s->transaction;
}

static smtpf_scope *scope_of(smtpf_session *s, const smtpf_evidence *e)
{
  if (e->stage == SMTPF_CONNECT || (e->flags & SMTPF_FINDING_CONNECTION))
    return &s->of_connection;
  if (e->stage == SMTPF_HELO)
    return &s->of_greeting;
  if (e->recipient)
    return &s->rcpts[e->recipient - 1]->evidence;
  return e->stage == SMTPF_RCPT && s->rcpt ? &s->rcpt->evidence : &s->of_transaction;
}

void smtpf_session_add_evidence(smtpf_session *s, smtpf_evidence *e)
{
  smtpf_scope *scope = scope_of(s, e);
  e->next = NULL;
  if (scope->last)
    scope->last->next = e;
  else
    scope->first = e;
  scope->last = e;
}

void smtpf_session_drop_evidence(smtpf_scope *scope, int stage)
{
  smtpf_evidence **at = &scope->first;
  scope->last = NULL;
  while (*at && (*at)->stage != stage) {
    scope->last = *at;
    at = &(*at)->next;
  }
  *at = NULL;
}

void smtpf_session_event(smtpf_session *s, int stage, smtpf_event *out)
{
  *out = (smtpf_event){
      .size = sizeof *out,
      .stage = stage,
      .protocol = s->protocol,
      .early_talk = s->early_talk,
      .own = s->own,
      .tls = s->tls,
      .client = &s->client,
      .local = &s->local,
      .client_text = s->client_text,
      .rdns = s->rdns,
      .identity = s->identity,
      .greeting = s->greeting,
      .helo = s->helo,
      .sender = s->sender.form ? &s->sender : NULL,
      .sender_params = s->sender_params,
      .recipient = s->rcpt ? &s->rcpt->path : NULL,
      .recipient_params = s->rcpt ? s->rcpt->params : (smtpf_str){NULL, 0},
      .recipients = s->n_rcpts,
      .failed_recipients = s->refused_rcpts,
      .message_size = smtpf_message_size(s->message),
      .now_ns = s->driver->now_ns,
      .wall_s = s->driver->wall_s,
      .signature = s->rcpt ? s->rcpt->signature : 0,
      .mailbox = s->rcpt && s->rcpt->path.form == SMTPF_PATH_MAILBOX ? s->rcpt->address : (smtpf_str){"", 0},
      .returns_to = s->rcpt ? s->rcpt->returns_to : (smtpf_str){"", 0},
  };
}

/* ---- facts --------------------------------------------------------------------------------------------------------
 */

int smtpf_session_fact_set(smtpf_session *s, const char *name, smtpf_str value, int connection)
{
  const int greeting = connection && s->stage == SMTPF_HELO;
  smtpf_arena *a = smtpf_session_arena(s, greeting ? SMTPF_HELO : connection ? SMTPF_CONNECT : SMTPF_MAIL);
  smtpf_fact **list = greeting ? &s->greeting_facts : connection ? &s->facts : &s->transaction_facts;
  smtpf_fact *f = smtpf_arena_alloc(a, sizeof *f);
  if (!f || smtpf_arena_copy(a, value, &f->value) != SMTPF_OK)
    return SMTPF_ENOMEM;
  f->name = name;
  f->next = *list;
  *list = f;
  return SMTPF_OK;
}

smtpf_str smtpf_session_fact(const smtpf_session *s, const char *name)
{
  const smtpf_fact *lists[] = {s->transaction_facts, s->greeting_facts, s->facts};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    for (const smtpf_fact *f = lists[i]; f; f = f->next)
      if (strcmp(f->name, name) == 0)
        return f->value;
  return (smtpf_str){"", 0};
}

/* ---- what is in view ------------------------------------------------------------------------------------------------
 */

/* (stage, declaration) is the order. */
static int is_later(const smtpf_evidence *a, const smtpf_evidence *b)
{
  return a->stage != b->stage ? a->stage > b->stage : a->position > b->position;
}

/* Into the view, in order; with `recipient` what is about others is left out. */
static int see_those(smtpf_session *s, const smtpf_evidence *e, size_t recipient)
{
  for (; e; e = e->next) {
    if (e->recipient && recipient && e->recipient != recipient)
      continue;
    void *array = s->view;
    int r = smtpf_mem_grow(&s->driver->mem, &array, &s->cap_view, s->n_view + 1, sizeof *s->view);
    s->view = array;
    if (r != SMTPF_OK)
      return r;
    size_t i = s->n_view++;
    for (; i && is_later(s->view[i - 1], e); i--)
      s->view[i] = s->view[i - 1];
    s->view[i] = e;
  }
  return SMTPF_OK;
}

static int see(smtpf_session *s, const smtpf_scope *scope)
{
  return see_those(s, scope->first, 0);
}

int smtpf_session_look(smtpf_session *s, const smtpf_rcpt *rcpt, int all, smtpf_view *out)
{
  s->n_view = 0;
  int r = see(s, &s->of_connection);
  if (r == SMTPF_OK)
    r = see(s, &s->of_greeting);
  if (r == SMTPF_OK)
    r = see(s, &s->of_transaction);
  for (size_t i = 0; r == SMTPF_OK && !rcpt && all && i < s->n_rcpts; i++)
    r = see(s, &s->rcpts[i]->evidence);
  if (r == SMTPF_OK && rcpt)
    r = see(s, &rcpt->evidence);
  if (r != SMTPF_OK)
    s->n_view = 0;
  *out = (smtpf_view){s->view, s->n_view};
  return r;
}

/* The checks of the stage in progress; NULL when there are none. */
static const struct smtpf_run *in_progress(const smtpf_session *s)
{
  return s->run ? s->run : s->scan;
}

int smtpf_session_look_further(smtpf_session *s, int tier, size_t recipient, smtpf_view *out)
{
  const struct smtpf_run *run = in_progress(s);
  int r = SMTPF_OK;
  for (size_t i = 0; r == SMTPF_OK && run && i < run->n; i++)
    if (run->tasks[i].opened->check->tier < tier)
      r = see_those(s, run->tasks[i].first, recipient);
  if (r != SMTPF_OK)
    s->n_view = 0;
  *out = (smtpf_view){s->view, s->n_view};
  return r;
}

static int64_t sum(const smtpf_evidence *e)
{
  int64_t total = 0;
  for (; e; e = e->next)
    total += e->kind == SMTPF_UNKNOWN ? 0 : e->score;
  return total;
}

/* Also what the tiers cheaper than `tier` of the stage in progress have found: never by who was done first. */
int32_t smtpf_session_score_so_far(const smtpf_session *s, int tier)
{
  const struct smtpf_run *run = in_progress(s);
  int64_t total = sum(s->of_connection.first) + sum(s->of_greeting.first) + sum(s->of_transaction.first);
  for (size_t i = 0; run && i < run->n; i++)
    if (run->tasks[i].opened->check->tier < tier)
      total += sum(run->tasks[i].first);
  if (total >= SMTPF_SCORE_OFF)
    return SMTPF_SCORE_OFF - 1;
  return total < INT32_MIN ? INT32_MIN : (int32_t)total;
}
