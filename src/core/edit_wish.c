/* SPDX-License-Identifier: MIT
 *
 * The header edits that checks wish. Additions come in the order of declaration, behind all deletions: those of one
 * name from the last field to the first, so that the numbers of the others stay true.
 */
#include "base/map.h"
#include "base/str.h"
#include "driver.h"
#include "message.h"
#include "session.h"

/* ---- names of fields ------------------------------------------------------------------------------------------------
 */

/* Its place in the table, or a free one; NULL when it is in neither. */
static smtpf_name_count *place_of(const struct smtpf_message *m, smtpf_str name)
{
  enum { NAME_LONGEST = 128 };
  char lower[NAME_LONGEST];
  if (!m->names || name.n > sizeof lower)
    return NULL;
  for (size_t i = 0; i < name.n; i++)
    lower[i] = smtpf_lower(name.p[i]);
  const uint64_t hash = smtpf_siphash(m->seed, lower, name.n) | 1;
  for (size_t i = 0; i < SMTPF_NAMES; i++) {
    smtpf_name_count *c = &m->names[(hash / 2 + i) % SMTPF_NAMES];
    if (!c->name)
      c->name = hash;
    if (c->name == hash)
      return c;
  }
  return NULL;
}

void smtpf_message_count(struct smtpf_message *m, smtpf_str name)
{
  smtpf_name_count *c = place_of(m, name);
  if (c)
    c->count++;
}

size_t smtpf_message_counted(const struct smtpf_message *m, smtpf_str name)
{
  const smtpf_name_count *c = place_of(m, name);
  return c ? c->count : 0;
}

/* ---- what checks wish -----------------------------------------------------------------------------------------------
 */

void smtpf_message_wish(smtpf_session *s, const struct smtpf_run *r)
{
  if (!s->message)
    return;
  smtpf_wished_edit **last = &s->message->wished;
  while (*last)
    last = &(*last)->next;
  for (size_t i = 0; i < r->n; i++)
    if (r->tasks[i].edits) {
      *last = r->tasks[i].edits;
      last = r->tasks[i].last_edit;
    }
}

/* ---- what becomes of them -------------------------------------------------------------------------------------------
 */

/* For whom this host makes it: SIZE_MAX for all. 0 when it cannot, or nobody gets a copy. */
static int settle(const smtpf_session *s, size_t *recipient)
{
  if (*recipient == SIZE_MAX)
    return 1;
  if (!smtpf_rcpt_is_taken(s->rcpts[*recipient]))
    return 0;
  return (s->can & SMTPF_CAN_EDIT_PER_RCPT) != 0;
}

static int same_field(const smtpf_edit *a, const smtpf_edit *b)
{
  return a->op == b->op && smtpf_str_equal_nocase(a->name, b->name);
}

/* All fields of its name go, for the same copies, by one of the wishes before `end`, or since it is our mark's. */
static int goes_wholly(const smtpf_session *s, const smtpf_edit *e, const smtpf_wished_edit *end)
{
  for (const smtpf_wished_edit *w = s->message->wished; w != end; w = w->next)
    if (same_field(&w->edit, e) && !w->edit.occurrence &&
        (w->edit.recipient == SIZE_MAX || w->edit.recipient == e->recipient))
      return 1;
  return smtpf_str_equal_nocase(e->name, s->engine->tag_header) && smtpf_message_marks_go(s);
}

static void delete_all(smtpf_session *s, const smtpf_wished_edit *w)
{
  smtpf_edit e = w->edit;
  if (goes_wholly(s, &w->edit, w) || !settle(s, &e.recipient))
    return;
  for (size_t i = smtpf_message_counted(s->message, e.name); i > 0; i--) {
    e.occurrence = (int)i;
    s->edits[s->n_edits++] = e;
  }
}

/* Before those of its name that have smaller numbers. */
static void delete_one(smtpf_session *s, const smtpf_wished_edit *w)
{
  const int64_t count = (int64_t)smtpf_message_counted(s->message, w->edit.name);
  smtpf_edit e = w->edit;
  if (e.occurrence < 0)
    e.occurrence = (int)(count + 1 + e.occurrence);
  if (e.occurrence < 1 || e.occurrence > count || !settle(s, &e.recipient) || goes_wholly(s, &e, NULL))
    return;
  size_t at = 0;
  while (at < s->n_edits && !(same_field(&s->edits[at], &e) && s->edits[at].occurrence <= e.occurrence))
    at++;
  if (at < s->n_edits && s->edits[at].occurrence == e.occurrence &&
      (s->edits[at].recipient == SIZE_MAX || s->edits[at].recipient == e.recipient))
    return;
  for (size_t i = s->n_edits++; i > at; i--)
    s->edits[i] = s->edits[i - 1];
  s->edits[at] = e;
}

static void add(smtpf_session *s, const smtpf_wished_edit *w)
{
  smtpf_edit e = w->edit;
  e.occurrence = 0;
  if (settle(s, &e.recipient))
    s->edits[s->n_edits++] = e;
}

size_t smtpf_wish_most(const smtpf_session *s)
{
  size_t most = 0;
  for (const smtpf_wished_edit *w = s->message->wished; w; w = w->next)
    if (w->edit.op != SMTPF_EDIT_DELETE || w->edit.occurrence)
      most++;
    else if (!goes_wholly(s, &w->edit, w))
      most += smtpf_message_counted(s->message, w->edit.name);
  return most;
}

void smtpf_wish_edits(smtpf_session *s)
{
  const smtpf_wished_edit *first = s->message->wished;
  for (const smtpf_wished_edit *w = first; w; w = w->next)
    if (w->edit.op == SMTPF_EDIT_DELETE && !w->edit.occurrence)
      delete_all(s, w);
  for (const smtpf_wished_edit *w = first; w; w = w->next)
    if (w->edit.op == SMTPF_EDIT_DELETE && w->edit.occurrence)
      delete_one(s, w);
  for (const smtpf_wished_edit *w = first; w; w = w->next)
    if (w->edit.op != SMTPF_EDIT_DELETE)
      add(s, w);
}
