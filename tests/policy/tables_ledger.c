/* SPDX-License-Identifier: MIT */
#include "tables.h"

static const int disposition_of[] = {
    0, SMTPF_DELIVERED, SMTPF_TAGGED, SMTPF_QUARANTINED, SMTPF_DISCARDED, SMTPF_DEFERRED, SMTPF_REJECTED};

/* What must become of one copy; `out` for those that take no part (known). */
typedef struct copy {
  int out, act, wish, disposition, overridden, forward, sender;
  const smtpf_profile *p;
  smtpf_str as;
} copy;

typedef struct board {
  copy v[ORACLE_MOST];
  size_t n, known;
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

static void become(board *b, int from, int to)
{
  for (size_t i = 0; i < b->n; i++)
    if (!b->v[i].out && b->v[i].disposition == from)
      b->v[i].disposition = to;
}

static void all(board *b, int disposition)
{
  for (size_t i = 0; i < b->n; i++)
    b->v[i].disposition = disposition;
}

/* J5, line by line from the last: who falls to a weaker act joins those that asked for it. */
static void serve(board *b)
{
  const int each = can(b, SMTPF_CAN_REPLY_PER_RCPT);
  const int alone = can(b, SMTPF_CAN_DROP_RCPT) || each;
  if (!each)
    become(b, SMTPF_REJECTED, SMTPF_QUARANTINED);
  if (!alone && are(b, SMTPF_DISCARDED) < taken(b))
    become(b, SMTPF_DISCARDED, SMTPF_QUARANTINED);
  const int whole = can(b, SMTPF_CAN_QUARANTINE) && are(b, SMTPF_QUARANTINED) + are(b, SMTPF_DISCARDED) == taken(b);
  if (!can(b, SMTPF_CAN_QUARANTINE_PER_RCPT) && !whole)
    become(b, SMTPF_QUARANTINED, SMTPF_TAGGED);
  if (!can(b, SMTPF_CAN_EDIT) && !can(b, SMTPF_CAN_EDIT_PER_RCPT))
    become(b, SMTPF_TAGGED, SMTPF_DELIVERED);
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
    v->sender = v->forward && v->as.n;
    const smtpf_str *s = v->sender ? &v->as : &none;
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
  int spent = 0, missing = 0;
  const int each = (c->capabilities & SMTPF_CAN_REPLY_PER_RCPT) != 0;
  *b = (board){.n = c->n, .caps = c->capabilities};
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    if (e->known)
      continue;
    spent |= e->budget != SMTPF_BUDGET_LEFT;
    missing |= e->outcome.act == SMTPF_ACT_DEFER && e->outcome.rule != SMTPF_RULE_ELECTIVE;
  }
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    copy *v = &b->v[i];
    const int gone = each ? e->budget != SMTPF_BUDGET_LEFT : spent && !missing;
    const int elective_one = e->outcome.rule == SMTPF_RULE_ELECTIVE, definite = elective_one && gone;
    const int cannot_wait = elective_one && e->budget != SMTPF_BUDGET_LEFT;
    v->out = e->known;
    v->act = definite ? e->outcome.definite : e->outcome.act;
    v->wish = disposition_of[cannot_wait ? e->outcome.definite : e->outcome.act];
    v->disposition = e->known ? e->disposition : disposition_of[v->act];
    v->p = e->outcome.profile;
    v->as = e->outcome.sender;
    v->forward = e->outcome.forward;
    b->known += e->known;
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
    if (here && !b->known && rejects + defers == here)
      b->act = defers ? SMTPF_ACT_DEFER : SMTPF_ACT_REJECT;
  } else if (defers) {
    all(b, SMTPF_DEFERRED);
    b->act = SMTPF_ACT_DEFER;
  } else if (here && rejects == here && !b->known) { /* a copy that was taken is not refused by the way */
    b->act = SMTPF_ACT_REJECT;
  } else {
    serve(b);
  }
  send_on(b);
}

/* J4. */
static int told_rather_than_dropped(const oracle_case *c)
{
  size_t rejects = 0, drops = 0;
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = &c->before[i];
    rejects += !e->known && e->outcome.act == SMTPF_ACT_REJECT;
    drops += !e->known && e->outcome.act == SMTPF_ACT_DISCARD && e->outcome.refusable;
  }
  return rejects && drops && rejects + drops == c->n && !(c->capabilities & SMTPF_CAN_REPLY_PER_RCPT);
}

static int lawful_dsn(const oracle_case *c, const copy *v, const smtpf_entry *before)
{
  if (c->null_sender || v->disposition != SMTPF_DELIVERED || v->act != SMTPF_ACT_ACCEPT)
    return SMTPF_DSN_NEVER;
  const int known = before->outcome.rule == SMTPF_RULE_OWN;
  return known && !v->forward ? SMTPF_DSN_ALLOWED : SMTPF_DSN_HEADERS_ONLY;
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
    if ((a->overridden != 0) != (v->overridden || v->disposition != v->wish))
      return "table: overridden";
    if ((a->forward != 0) != v->forward || (a->sender != 0) != v->sender)
      return "table: route";
    if (a->wish != v->wish)
      return "table: wish";
    if (a->dsn != lawful_dsn(c, v, &c->before[i]))
      return "table: DSN";
  }
  return NULL;
}

/* ---- partition.h ------------------------------------------------------------------------------------ */

/* What is left of an act at a host that cannot do it to any copy. */
static int at_best(int act, unsigned caps)
{
  if (act == SMTPF_ACT_QUARANTINE && (caps & (SMTPF_CAN_QUARANTINE | SMTPF_CAN_QUARANTINE_PER_RCPT)) == 0)
    act = SMTPF_ACT_TAG;
  return act == SMTPF_ACT_TAG && (caps & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT)) == 0 ? SMTPF_ACT_ACCEPT : act;
}

/* Where the copy goes, when not to the mailbox. */
static smtpf_str goes_to(const smtpf_outcome *o, int act)
{
  const smtpf_str here = {0};
  return o->forward && act != SMTPF_ACT_QUARANTINE ? o->profile->forward : here;
}

static smtpf_str leaves_as(const smtpf_outcome *o, int act)
{
  const smtpf_str none = {0};
  return o->forward && act != SMTPF_ACT_QUARANTINE ? o->sender : none;
}

int table_conflict(const smtpf_outcome *a, const smtpf_outcome *b, unsigned caps)
{
  enum { TAKEN, DROPPED, REFUSED, PUT_OFF };
  static const int classes[] = {TAKEN, TAKEN, TAKEN, TAKEN, DROPPED, PUT_OFF, REFUSED};
  const int x = at_best(a->act, caps), y = at_best(b->act, caps);
  const int each = (caps & SMTPF_CAN_REPLY_PER_RCPT) != 0, drop = each || (caps & SMTPF_CAN_DROP_RCPT);
  if (classes[x] >= REFUSED || classes[y] >= REFUSED)
    return !each && classes[x] != classes[y];
  if (classes[x] == DROPPED || classes[y] == DROPPED)
    return !drop && classes[x] != classes[y];
  if ((x == SMTPF_ACT_QUARANTINE) != (y == SMTPF_ACT_QUARANTINE) && !(caps & SMTPF_CAN_QUARANTINE_PER_RCPT))
    return 1;
  const int header_block =
      (x == SMTPF_ACT_TAG) != (y == SMTPF_ACT_TAG) && x != SMTPF_ACT_QUARANTINE && y != SMTPF_ACT_QUARANTINE;
  if (header_block && !(caps & SMTPF_CAN_EDIT_PER_RCPT))
    return 1;
  const int as_another = !same(leaves_as(a, x), leaves_as(b, y));
  if ((caps & SMTPF_CAN_CUT_THROUGH) && !each && (as_another || !same(goes_to(a, x), goes_to(b, y))))
    return 1;
  return as_another && !(caps & SMTPF_CAN_SENDER_PER_RCPT);
}
