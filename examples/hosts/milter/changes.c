/* SPDX-License-Identifier: MIT
 *
 * What an accepting verdict asks of the MTA, in this order: hold the message; recipients that go, recipients that
 * come; another sender; fields that go, fields that come. Then go on, or drop it all where nobody wants it.
 *
 * The MTA counts a name's occurrences anew after each change, or does not: the last goes first, and what is added is
 * added after that.
 */
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"

static int get(const smtpf_verdict *v, size_t i, smtpf_recipient_info *out)
{
  *out = (smtpf_recipient_info){.size = sizeof *out};
  return smtpf_verdict_recipient(v, i, out) == SMTPF_OK;
}

static void envelope(connection *c, int change, smtpf_str path)
{
  const size_t cap = path.n + 16;
  char *room = connection_room(c, cap);
  if (room)
    connection_wrote(c, smtpf_milter_envelope(change, path, (smtpf_str){NULL, 0}, room, cap));
}

static void in_brackets(connection *c, int change, smtpf_str bare_path)
{
  text t = {0};
  text_char(&t, '<');
  text_add(&t, bare_path);
  text_char(&t, '>');
  if (t.failed)
    connection_close(c);
  else
    envelope(c, change, text_str(&t));
  text_free(&t);
}

static int equal(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

/* ---- recipients ---------------------------------------------------------------------------------------- */

static int is_forwarded(const smtpf_recipient_info *r)
{
  return r->route == SMTPF_ROUTE_FORWARD && r->forward.n &&
         (r->disposition == SMTPF_HANDED_OVER || r->disposition == SMTPF_TAGGED || r->disposition == SMTPF_DELIVERED);
}

static int allows(const connection *c, uint32_t actions)
{
  return (c->terms.actions & actions) == actions;
}

/* How many copies have this disposition. */
static size_t count(const smtpf_verdict *v, int disposition)
{
  size_t found = 0;
  smtpf_recipient_info r;
  for (size_t i = 0; get(v, i, &r); i++)
    found += r.disposition == disposition;
  return found;
}

static void quarantine(connection *c, const smtpf_verdict *v)
{
  smtpf_recipient_info r;
  for (size_t i = 0; get(v, i, &r); i++) {
    if (r.disposition != SMTPF_QUARANTINED)
      continue;
    envelope(c, SMTPF_MILTER_QUARANTINE, r.reason.n ? r.reason : SMTPF_LIT("held by policy"));
    return;
  }
}

static void recipients(connection *c, const smtpf_verdict *v)
{
  smtpf_recipient_info r;
  for (size_t i = 0; get(v, i, &r) && !c->dead; i++) {
    if (is_forwarded(&r) && !allows(c, SMTPF_MILTER_CAN_ADDRCPT | SMTPF_MILTER_CAN_DELRCPT)) {
      connection_failure(c, "forward", "this MTA lets nobody change recipients: the copy goes to the mailbox");
      continue;
    }
    if (r.disposition == SMTPF_DISCARDED || is_forwarded(&r))
      envelope(c, SMTPF_MILTER_DELRCPT, r.path);
    if (is_forwarded(&r))
      in_brackets(c, SMTPF_MILTER_ADDRCPT, r.forward);
  }
}

/* ---- the sender ---------------------------------------------------------------------------------------- */

/* Without its brackets. */
static smtpf_str bare(smtpf_str path)
{
  return path.n >= 2 && path.p[0] == '<' ? (smtpf_str){path.p + 1, path.n - 2} : path;
}

/* One message has one sender here: another one is set where all copies that go on have it. */
static void sender(connection *c, const smtpf_verdict *v)
{
  const smtpf_str came = bare(text_str(&c->sender));
  smtpf_str wanted = came;
  size_t taken = 0;
  int differ = 0;
  smtpf_recipient_info r;
  for (size_t i = 0; get(v, i, &r); i++) {
    if (r.disposition == SMTPF_DISCARDED)
      continue;
    differ |= taken && !equal(wanted, r.sender);
    wanted = r.sender;
    taken++;
  }
  if (!taken || equal(wanted, came))
    return;
  if (differ || !allows(c, SMTPF_MILTER_CAN_CHGFROM))
    connection_failure(c, "sender",
                       differ ? "copies that need different senders share one message: it keeps the one it had"
                              : "this MTA lets nobody change it: it stays as it was");
  else
    in_brackets(c, SMTPF_MILTER_CHGFROM, wanted);
}

/* ---- the header section -------------------------------------------------------------------------------- */

static int edit_at(const smtpf_verdict *v, size_t i, smtpf_edit_info *e)
{
  *e = (smtpf_edit_info){.size = sizeof *e};
  return smtpf_verdict_edit(v, i, e) == SMTPF_OK;
}

static void header(connection *c, const smtpf_edit_info *e)
{
  static const int changes[] = {[SMTPF_EDIT_PREPEND] = SMTPF_MILTER_INSHEADER,
                                [SMTPF_EDIT_APPEND] = SMTPF_MILTER_ADDHEADER,
                                [SMTPF_EDIT_DELETE] = SMTPF_MILTER_CHGHEADER};
  const size_t cap = e->name.n + 2 * e->value.n + 16; /* a fold for every blank, at most */
  char *room = connection_room(c, cap);
  if (room)
    connection_wrote(
        c, smtpf_milter_header(changes[e->op], &c->terms, (uint32_t)e->occurrence, e->name, e->value, room, cap));
}

typedef struct deletion {
  int occurrence;
  size_t at; /* in the verdict */
} deletion;

static int highest_first(const void *left, const void *right)
{
  const deletion *a = left, *b = right;
  return (a->occurrence < b->occurrence) - (a->occurrence > b->occurrence);
}

/* A sender chooses how many there are. */
static void deletions(connection *c, const smtpf_verdict *v)
{
  smtpf_edit_info e;
  size_t n = 0;
  deletion *list = calloc(smtpf_verdict_edit_count(v) + 1, sizeof *list);
  if (!list) {
    connection_close(c);
    return;
  }
  for (size_t i = 0; edit_at(v, i, &e); i++)
    if (e.op == SMTPF_EDIT_DELETE && e.occurrence > 0)
      list[n++] = (deletion){e.occurrence, i};
  qsort(list, n, sizeof *list, highest_first);
  for (size_t k = 0; k < n && !c->dead; k++)
    if (edit_at(v, list[k].at, &e))
      header(c, &e);
  free(list);
}

static void additions(connection *c, const smtpf_verdict *v)
{
  smtpf_edit_info e;
  for (size_t i = 0; edit_at(v, i, &e) && !c->dead; i++)
    if (e.op != SMTPF_EDIT_DELETE)
      header(c, &e);
}

void changes_replies(connection *c, const smtpf_verdict *v)
{
  smtpf_recipient_info r;
  if (!allows(c, SMTPF_MILTER_CAN_RCPTREPLY))
    return;
  for (size_t i = 0; get(v, i, &r) && !c->dead; i++) {
    if (r.reply_code < 400)
      continue;
    const size_t cap = SMTPF_MILTER_ANSWER_MAX + r.path.n;
    char *room = connection_room(c, cap);
    if (room)
      connection_wrote(c, smtpf_milter_rcpt_reply(r.path, r.reply_code, r.enhanced, r.text, room, cap));
  }
}

void changes_write(connection *c, const smtpf_verdict *v)
{
  const size_t discarded = count(v, SMTPF_DISCARDED);
  const int drop = discarded && discarded == smtpf_verdict_recipient_count(v);
  if (!drop) {
    quarantine(c, v);
    recipients(c, v);
    sender(c, v);
    deletions(c, v);
    additions(c, v);
  }
  char *room = connection_room(c, 16);
  if (room)
    connection_wrote(c, smtpf_milter_letter(drop ? SMTPF_MILTER_DISCARD : SMTPF_MILTER_CONTINUE, room, 16));
}
