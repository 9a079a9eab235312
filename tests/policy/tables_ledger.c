/* SPDX-License-Identifier: MIT */
#include "tables.h"

static const int disposition_of[] = {0, SMTPF_DELIVERED, SMTPF_TAGGED, SMTPF_QUARANTINED, SMTPF_DISCARDED, SMTPF_DEFERRED, SMTPF_REJECTED};

/* What must become of one copy; `out` for those that take no part (known). */
typedef struct copy {
  int out, act, disposition, overridden, forward, sender;
  const smtpf_profile *p;
} copy;

typedef struct board {
  copy v[ORACLE_MOST];
  size_t n;
  unsigned caps;
  int act;
} board;

static int can(const board *b, unsigned capability)
{
  return (b->caps & capability) != 0;
}

/* How many copies that count here have this disposition. */
static size_t are(const board *b, int disposition)
{
  size_t c = 0;
  for (size_t i = 0; i < b->n; i++)
    c += !b->v[i].out && b->v[i].disposition == disposition;
  return c;
}

static size_t taken(const board *b)
{
  size_t c = 0;
  for (size_t i = 0; i < b->n; i++)
    c += !b->v[i].out;
  return c - are(b, SMTPF_REJECTED) - are(b, SMTPF_DEFERRED);
}

static void become(board *b, int from, int to, int overridden)
{
  for (size_t i = 0; i < b->n; i++)
    if (!b->v[i].out && b->v[i].disposition == from) {
      b->v[i].disposition = to;
      b->v[i].overridden |= overridden;
    }
}

static void all(board *b, int disposition)
{
  for (size_t i = 0; i < b->n; i++) {
    b->v[i].overridden = b->v[i].disposition != disposition;
    b->v[i].disposition = disposition;
  }
}

/* J5, line by line from the last: who falls to a weaker act joins those that asked for it. */
static void serve(board *b)
{
  const int each = can(b, SMTPF_CAN_REPLY_PER_RCPT);
  const int alone = can(b, SMTPF_CAN_DROP_RCPT) || each;
  if (!each)
    become(b, SMTPF_REJECTED, SMTPF_QUARANTINED, 1);
  if (!alone && are(b, SMTPF_DISCARDED) < taken(b))
    become(b, SMTPF_DISCARDED, SMTPF_QUARANTINED, 1);
  const int whole = can(b, SMTPF_CAN_QUARANTINE) && are(b, SMTPF_QUARANTINED) + are(b, SMTPF_DISCARDED) == taken(b);
  if (!can(b, SMTPF_CAN_QUARANTINE_PER_RCPT) && !whole)
    become(b, SMTPF_QUARANTINED, SMTPF_TAGGED, 1);
  if (!can(b, SMTPF_CAN_EDIT) && !can(b, SMTPF_CAN_EDIT_PER_RCPT))
    become(b, SMTPF_TAGGED, SMTPF_DELIVERED, 1);
  if (are(b, SMTPF_TAGGED) && !can(b, SMTPF_CAN_EDIT_PER_RCPT))
    for (size_t i = 0; i < b->n; i++)
      b->v[i].overridden |= b->v[i].disposition == SMTPF_DELIVERED && !b->v[i].out;
}

static int on_the_way(const copy *v)
{
  return !v->out && (v->disposition == SMTPF_DELIVERED || v->disposition == SMTPF_TAGGED);
}

static int same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && a.p == b.p; /* profiles of the tests share their strings */
}

static void send_on(board *b)
{
  const smtpf_str none = {0};
  const smtpf_str *first = NULL;
  int one = 1;
  for (size_t i = 0; i < b->n; i++) {
    copy *v = &b->v[i];
    if (!on_the_way(v)) {
      v->forward = v->sender = 0;
      continue;
    }
    v->sender = v->forward && v->p->forward_sender.n;
    const smtpf_str *s = v->sender ? &v->p->forward_sender : &none;
    one &= !first || same(*first, *s);
    first = first ? first : s;
  }
  for (size_t i = 0; i < b->n && !one && !can(b, SMTPF_CAN_SENDER_PER_RCPT); i++) {
    copy *v = &b->v[i];
    if (!v->sender)
      continue;
    v->sender = 0;
    v->overridden = 1;
    v->forward = v->p->route == SMTPF_WISH_FORWARD;
  }
}

static void open_board(board *b, const oracle_case *c)
{
  int spent = 0, missing = 0, elective = 0;
  const int each = (c->capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0;
  *b = (board){.n = c->n, .caps = c->capabilities};
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    if (e->known)
      continue;
    spent |= e->budget != SMTPF_BUDGET_LEFT;
    missing |= e->outcome.act == SMTPF_ACT_DEFER && e->outcome.rule != SMTPF_RULE_ELECTIVE;
    elective |= e->outcome.rule == SMTPF_RULE_ELECTIVE;
  }
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    copy *v = &b->v[i];
    const int gone = each ? e->budget != SMTPF_BUDGET_LEFT : spent && !missing;
    const int definite = e->outcome.rule == SMTPF_RULE_ELECTIVE && gone;
    v->out = e->known;
    v->act = definite ? e->outcome.definite : e->outcome.act;
    v->disposition = e->known ? e->disposition : disposition_of[v->act];
    v->p = e->outcome.profile;
    v->forward = e->outcome.forward;
    v->overridden = definite && !each && e->budget == SMTPF_BUDGET_LEFT; /* it would have waited */
  }
}

static void decide(board *b)
{
  const int each = can(b, SMTPF_CAN_REPLY_PER_RCPT);
  size_t here = 0;
  for (size_t i = 0; i < b->n; i++)
    here += !b->v[i].out;
  const size_t rejects = are(b, SMTPF_REJECTED), defers = are(b, SMTPF_DEFERRED);
  b->act = SMTPF_ACT_ACCEPT;
  if (each) {
    serve(b);
    if (here && rejects + defers == here)
      b->act = defers ? SMTPF_ACT_DEFER : SMTPF_ACT_REJECT;
  } else if (defers) {
    all(b, SMTPF_DEFERRED);
    b->act = SMTPF_ACT_DEFER;
  } else if (here && rejects == here) {
    b->act = SMTPF_ACT_REJECT;
  } else {
    serve(b);
  }
  send_on(b);
}

/* J4. */
static int told_rather_than_dropped(const oracle_case *c)
{
  size_t rejects = 0, drops = 0, here = 0;
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    here += !e->known;
    rejects += !e->known && e->outcome.act == SMTPF_ACT_REJECT;
    drops += !e->known && e->outcome.act == SMTPF_ACT_DISCARD && e->outcome.refusable;
  }
  return rejects && drops && rejects + drops == here && !(c->capabilities & SMTPF_CAN_REPLY_PER_RCPT);
}

static int lawful_dsn(const oracle_case *c, const copy *v, const smtpf_entry *before)
{
  if (c->null_sender || v->disposition != SMTPF_DELIVERED || v->act != SMTPF_ACT_ACCEPT)
    return SMTPF_DSN_NEVER;
  return before->outcome.score > 0 ? SMTPF_DSN_HEADERS_ONLY : SMTPF_DSN_ALLOWED;
}

const char *table_ledger(const oracle_case *c)
{
  board b;
  open_board(&b, c);
  if (told_rather_than_dropped(c)) {
    all(&b, SMTPF_REJECTED);
    send_on(&b);
    b.act = SMTPF_ACT_REJECT;
  } else {
    decide(&b);
  }
  if (c->decision.act != b.act)
    return "table: reply";
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *a = &c->after[i];
    const copy *v = &b.v[i];
    if (v->out)
      continue;
    const int fate = a->disposition == SMTPF_HANDED_OVER ? SMTPF_DELIVERED : a->disposition;
    if (fate != v->disposition)
      return "table: disposition";
    if ((a->overridden != 0) != (v->overridden != 0))
      return "table: overridden";
    if ((a->forward != 0) != v->forward || (a->sender != 0) != v->sender)
      return "table: route";
    if (a->wish != disposition_of[c->before[i].outcome.act])
      return "table: wish";
    if (a->dsn != lawful_dsn(c, v, &c->before[i]))
      return "table: DSN";
  }
  return NULL;
}

/* ---- partition.h ------------------------------------------------------------------------------------ */

static int reply_class(const smtpf_outcome *o)
{
  return o->act == SMTPF_ACT_REJECT ? 3 : o->act == SMTPF_ACT_DEFER ? 2 : 1;
}

int table_conflict(const smtpf_outcome *a, const smtpf_outcome *b, unsigned caps)
{
  const int each = (caps & SMTPF_CAN_REPLY_PER_RCPT) != 0;
  const int x = reply_class(a), y = reply_class(b);
  if (x != y)
    return !each;
  if (x != 1)
    return 0;
  const int drop_a = a->act == SMTPF_ACT_DISCARD, drop_b = b->act == SMTPF_ACT_DISCARD;
  if (drop_a || drop_b)
    return drop_a != drop_b && !each && !(caps & SMTPF_CAN_DROP_RCPT);
  const int keep_a = a->act == SMTPF_ACT_QUARANTINE, keep_b = b->act == SMTPF_ACT_QUARANTINE;
  if (keep_a != keep_b && !(caps & SMTPF_CAN_QUARANTINE_PER_RCPT))
    return 1;
  const int tag_a = a->act == SMTPF_ACT_TAG, tag_b = b->act == SMTPF_ACT_TAG;
  if (tag_a != tag_b && !(caps & SMTPF_CAN_EDIT_PER_RCPT))
    return 1;
  const smtpf_str none = {0};
  const smtpf_str s = a->forward ? a->profile->forward_sender : none, t = b->forward ? b->profile->forward_sender : none;
  return !same(s, t) && !(caps & SMTPF_CAN_SENDER_PER_RCPT);
}
