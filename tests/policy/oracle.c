/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#define LAW(holds, what)                                                                                               \
  do {                                                                                                                 \
    if (!(holds))                                                                                                      \
      return what;                                                                                                     \
  } while (0)

/* ---- one judgement -------------------------------------------------------------------------------- */

static int taken_act(int act)
{
  return act == SMTPF_ACT_ACCEPT || act == SMTPF_ACT_TAG || act == SMTPF_ACT_QUARANTINE || act == SMTPF_ACT_DISCARD;
}

/* What the evidence comes to, counted without the judge. */
typedef struct tally {
  int64_t against;  /* sum of all scores */
  int64_t refusing; /* of those that may refuse */
  int envelope;     /* a fact about the envelope */
  int fact;         /* a fact of any kind */
  int own_fact;     /* a fact that holds for own clients */
  int missing;      /* an answer that is needed */
  int elective;     /* a wish to see the mail again, that this recipient and origin know */
  int unknown_elective;
  int keep;            /* not knowing asks for quarantine */
  int mark;            /* or for a mark */
  int virus;           /* a fact about the content */
  int unscanned;       /* a list or a scanner could not tell */
  int target;          /* something speaks against where the copy would go */
  int refusing_target; /* it is known to refuse, and the sender may be told so */
  int early;           /* that was known before the content was */
} tally;

/* Who only passes mail on is not what lists say of it; a bounce needs no proof for who asks for none. */
static int is_of_interest(const smtpf_will *w, const smtpf_evidence *e)
{
  const int passes_on = w->origin != SMTPF_ORIGIN_OWN && w->origin != SMTPF_ORIGIN_STRANGER;
  const int of_client = e->stage == SMTPF_CONNECT || e->stage == SMTPF_HELO || (e->flags & SMTPF_FINDING_CONNECTION);
  if (e->family == SMTPF_FAMILY_LIST && of_client && passes_on)
    return 0;
  if (e->family == SMTPF_FAMILY_BOUNCE)
    return w->bounces == SMTPF_BOUNCES_SIGNED;
  return e->family != SMTPF_FAMILY_PROOF || w->bounces == SMTPF_BOUNCES_PROVEN;
}

/* About the target of a forward. */
static void count_target(tally *t, const smtpf_will *w, const smtpf_evidence *e)
{
  if (e->kind != SMTPF_HIT || w->profile->route == SMTPF_WISH_MAILBOX)
    return;
  t->target = 1;
  if (!(e->flags & SMTPF_FINDING_REFUSE) || w->profile->forward_failed != SMTPF_FAILED_REFUSE ||
      (w->origin == SMTPF_ORIGIN_OWN && !(e->flags & SMTPF_FINDING_OWN_TOO)))
    return;
  t->refusing_target = 1;
  t->early |= e->stage == SMTPF_RCPT;
}

static void count_one(tally *t, const smtpf_will *w, const smtpf_evidence *e)
{
  const int silent = smtpf_profile_weight(w->profile, e->position) == 0;
  if (e->flags & SMTPF_FINDING_ROUTE) {
    count_target(t, w, e);
    return;
  }
  if (!is_of_interest(w, e))
    return;
  const int bounce = e->family == SMTPF_FAMILY_BOUNCE || e->family == SMTPF_FAMILY_PROOF;
  if (e->kind != SMTPF_UNKNOWN && !silent) {
    const int64_t s = (int64_t)e->score * (int64_t)smtpf_profile_weight(w->profile, e->position) / 100;
    const int declined = (e->family == SMTPF_FAMILY_LIST && !w->profile->reject_lists) ||
                         (e->family == SMTPF_FAMILY_CONTENT && !w->profile->reject_content);
    t->against += s;
    t->refusing += declined && s > 0 ? 0 : s;
  }
  /* A check that is silenced says nothing; but no wish makes a mailbox that does not exist. */
  const int heard = !silent || e->family == SMTPF_FAMILY_ENVELOPE;
  if (e->kind == SMTPF_HIT && (e->flags & SMTPF_FINDING_REFUSE) && heard) {
    t->fact = 1;
    t->envelope |= e->family == SMTPF_FAMILY_ENVELOPE;
    t->virus |= e->family == SMTPF_FAMILY_CONTENT || bounce;
    t->own_fact |= (e->flags & SMTPF_FINDING_OWN_TOO) != 0;
  }
  if ((e->flags & SMTPF_FINDING_DEFER) && heard)
    t->missing = 1;
  const int greylist = e->family == SMTPF_FAMILY_GREYLIST;
  const int concerns =
      w->origin != SMTPF_ORIGIN_OWN || (e->kind == SMTPF_UNKNOWN && (e->flags & SMTPF_FINDING_OWN_TOO));
  if ((e->flags & SMTPF_FINDING_ELECTIVE) && concerns && !silent &&
      (!greylist || (w->profile->greylist && w->origin == SMTPF_ORIGIN_STRANGER))) {
    t->elective = 1;
    t->unknown_elective |= e->kind == SMTPF_UNKNOWN;
  }
  t->keep |= concerns && !silent && (e->flags & SMTPF_FINDING_QUARANTINE);
  t->mark |= concerns && !silent && (e->flags & SMTPF_FINDING_TAG);
  if (e->kind == SMTPF_UNKNOWN && !silent &&
      (e->family == SMTPF_FAMILY_LIST || e->family == SMTPF_FAMILY_CONTENT || bounce))
    t->unscanned = 1;
}

static tally count(const smtpf_will *w, smtpf_view view)
{
  tally t = {0};
  for (size_t i = 0; i < view.n; i++)
    count_one(&t, w, view.v[i]);
  return t;
}

static const char *refused_lawfully(const smtpf_will *w, const tally *t, const smtpf_outcome *o)
{
  const int stranger = w->origin == SMTPF_ORIGIN_STRANGER;
  if (w->restricted || t->refusing_target)
    return NULL;
  if (w->origin == SMTPF_ORIGIN_OWN) {
    LAW(t->own_fact, "L5: own mail refused without a fact that holds for own clients");
    return NULL;
  }
  if (t->envelope || (t->fact && stranger))
    return NULL;
  LAW(stranger, "L5: refused for reputation, conduct or content, though not from a stranger");
  LAW(w->entry != SMTPF_ENTRY_ALLOW, "L6: refused against the recipient's allow entry");
  LAW(!t->missing, "L4: refused while an answer is missing");
  if (w->entry == SMTPF_ENTRY_DENY)
    return NULL;
  LAW(w->profile->reject != SMTPF_SCORE_OFF, "L6: refused for a score, though the recipient never rejects");
  LAW(t->refusing >= w->profile->reject, "L4: refused, and what was found does not reach the threshold");
  LAW(o->cause && o->cause->kind != SMTPF_UNKNOWN, "L4: the cause of a refusal is an unknown");
  return NULL;
}

static const char *deferred_lawfully(const smtpf_will *w, const tally *t, const smtpf_outcome *o)
{
  if (t->missing)
    return NULL;
  LAW(t->elective, "L7: deferred, and nothing asked for it");
  LAW(w->budget == SMTPF_BUDGET_LEFT, "L7: deferred electively without budget");
  LAW(taken_act(o->definite), "L7: the definite act of an elective deferral is no taking act");
  LAW(o->definite != SMTPF_ACT_DISCARD, "L3: an elective deferral ends in a discard");
  if (t->unknown_elective)
    LAW(o->definite == SMTPF_ACT_QUARANTINE || o->definite == SMTPF_ACT_TAG,
        "L7: what an unknown put off is neither quarantined nor tagged when the budget is spent");
  return NULL;
}

const char *oracle_outcome(const smtpf_will *w, smtpf_view view, const smtpf_outcome *o)
{
  const tally t = count(w, view);
  LAW(taken_act(o->act) || o->act == SMTPF_ACT_DEFER || o->act == SMTPF_ACT_REJECT, "L1: no act");
  LAW(!w->restricted || o->act == SMTPF_ACT_REJECT, "L2: taken for a recipient who is restricted");
  LAW(!t.own_fact || w->origin != SMTPF_ORIGIN_OWN || o->act == SMTPF_ACT_REJECT,
      "L2: taken against a fact that holds for own clients");
  LAW(!t.envelope || w->origin == SMTPF_ORIGIN_OWN || o->act == SMTPF_ACT_REJECT, "L2: taken, and known to bounce");
  LAW(!t.target || !o->forward, "L2: forwarded to who is known not to take it");
  LAW(!t.early || o->act == SMTPF_ACT_REJECT, "L2: let in for a target that is known to refuse it");
  LAW(!t.missing || !taken_act(o->act), "L4: taken without an answer that is needed");
  if (o->act == SMTPF_ACT_DISCARD || o->definite == SMTPF_ACT_DISCARD) {
    LAW(w->profile->discard != SMTPF_SCORE_OFF, "L3: discarded without consent");
    LAW(t.against >= w->profile->discard, "L3: discarded below the threshold consented to");
    LAW(w->origin != SMTPF_ORIGIN_OWN && w->entry != SMTPF_ENTRY_ALLOW, "L3: own or allowed mail discarded");
  }
  const char *broken = o->act == SMTPF_ACT_REJECT  ? refused_lawfully(w, &t, o)
                       : o->act == SMTPF_ACT_DEFER ? deferred_lawfully(w, &t, o)
                                                   : NULL;
  if (broken)
    return broken;
  if (taken_act(o->act) && t.unknown_elective && w->budget != SMTPF_BUDGET_LEFT && w->entry != SMTPF_ENTRY_ALLOW)
    LAW(o->act != SMTPF_ACT_ACCEPT && !o->forward, "L7: past the budget an unknown is read as clear");
  if (taken_act(o->act) && w->entry != SMTPF_ENTRY_ALLOW) {
    LAW(!(t.keep || t.mark) || (o->act != SMTPF_ACT_ACCEPT && !o->forward), "L4: what asks for doubt is read as clear");
    LAW(!t.keep || o->act != SMTPF_ACT_TAG || w->profile->quarantine == SMTPF_SCORE_OFF,
        "L4: tagged, and not knowing asks for quarantine");
  }
  if (taken_act(o->act) && t.virus && w->origin != SMTPF_ORIGIN_OWN && w->entry != SMTPF_ENTRY_ALLOW)
    LAW(o->act != SMTPF_ACT_ACCEPT && !o->forward,
        "L5: a fact about the content that may not refuse is read as nothing");
  LAW(o->refusable == (w->origin == SMTPF_ORIGIN_STRANGER), "L5: who may be refused");
  LAW(!o->forward || w->profile->route != SMTPF_WISH_MAILBOX, "L6: forwarded though the profile does not");
  if (o->forward && w->profile->route == SMTPF_WISH_FORWARD_NONSPAM)
    LAW(o->definite == SMTPF_ACT_ACCEPT && !t.unscanned, "L4: forwarded as no spam, and that is not known");
  LAW(!o->forward || o->definite == SMTPF_ACT_ACCEPT || o->definite == SMTPF_ACT_TAG, "L6: a kept copy is forwarded");
  if (w->profile->route == SMTPF_WISH_FORWARD && o->act == SMTPF_ACT_ACCEPT && !t.target)
    LAW(o->forward, "L6: not forwarded though the profile asks for it");
  return NULL;
}

int oracle_severity(int act)
{
  switch (act) {
  case SMTPF_ACT_ACCEPT: return 1;
  case SMTPF_ACT_TAG: return 2;
  case SMTPF_ACT_QUARANTINE: return 3;
  case SMTPF_ACT_DEFER: return 4;
  default: return 5;
  }
}

/* ---- one decision --------------------------------------------------------------------------------- */

static int can(const oracle_case *c, unsigned capability)
{
  return (c->capabilities & capability) != 0;
}

static int each(const oracle_case *c)
{
  return can(c, SMTPF_CAN_REPLY_PER_RCPT);
}

static int refused(int disposition)
{
  return disposition == SMTPF_REJECTED || disposition == SMTPF_DEFERRED;
}

static int is_elective(const smtpf_entry *e)
{
  return e->outcome.act == SMTPF_ACT_DEFER && e->outcome.rule == SMTPF_RULE_ELECTIVE;
}

static int is_missing(const smtpf_entry *e)
{
  return e->outcome.act == SMTPF_ACT_DEFER && e->outcome.rule != SMTPF_RULE_ELECTIVE;
}

/* What becomes of a copy: a host that cannot report has delivered what it took. */
static int fate(const smtpf_entry *e)
{
  return e->disposition == SMTPF_HANDED_OVER ? SMTPF_DELIVERED : e->disposition;
}

/* How many entries of the message in hand have this fate (0: any that is taken). */
static size_t with_fate(const oracle_case *c, int disposition)
{
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++)
    if (!c->before[i].known)
      n += disposition ? fate(&c->after[i]) == disposition : !refused(fate(&c->after[i]));
  return n;
}

static const char *lawful_refusal(const oracle_case *c, const smtpf_entry *b, const smtpf_entry *a)
{
  const smtpf_outcome *o = &b->outcome;
  if (a->disposition == SMTPF_REJECTED) {
    size_t rejecting = 0;
    for (size_t i = 0; i < c->n; i++)
      rejecting += !c->before[i].known && c->before[i].outcome.act == SMTPF_ACT_REJECT;
    LAW(o->act == SMTPF_ACT_REJECT || o->act == SMTPF_ACT_DISCARD, "L4: refused for good without that wish");
    if (o->act == SMTPF_ACT_DISCARD)
      LAW(o->refusable && !each(c) && rejecting, "L5: a discard became a refusal that is not legal, or not needed");
    return NULL;
  }
  size_t missing = 0, elective = 0, spent = 0;
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *e = each(c) ? b : &c->before[i];
    missing += !e->known && is_missing(e);
    elective += !e->known && is_elective(e);
    spent += !e->known && e->budget != SMTPF_BUDGET_LEFT;
  }
  LAW(missing || elective, "L7: deferred, and nobody asked for it");
  LAW(missing || !spent, "L7: deferred electively, and a budget is spent or unreadable");
  return NULL;
}

/* L2: who may be told later. */
static const char *lawful_dsn(const oracle_case *c, const smtpf_entry *b, const smtpf_entry *a)
{
  const smtpf_outcome *o = &b->outcome;
  LAW(a->dsn == SMTPF_DSN_ALLOWED || a->dsn == SMTPF_DSN_HEADERS_ONLY || a->dsn == SMTPF_DSN_NEVER, "L2: no DSN word");
  if (a->dsn == SMTPF_DSN_NEVER)
    return NULL;
  LAW(!c->null_sender, "L2: a report to the null sender");
  LAW(fate(a) == SMTPF_DELIVERED || (fate(a) == SMTPF_TAGGED && o->act == SMTPF_ACT_ACCEPT),
      "L2: a report about a copy that was marked, kept, dropped or refused");
  LAW(o->definite == SMTPF_ACT_ACCEPT, "L2: a report about mail that was not accepted as it came");
  LAW(a->dsn != SMTPF_DSN_ALLOWED || o->rule == SMTPF_RULE_OWN,
      "L2: a report with the body to who may not have sent it");
  return NULL;
}

/* What is asked of the host is what it can do. */
static const char *possible(const oracle_case *c)
{
  const size_t taken = with_fate(c, 0), dropped = with_fate(c, SMTPF_DISCARDED), tagged = with_fate(c, SMTPF_TAGGED),
               kept = with_fate(c, SMTPF_QUARANTINED), plain = with_fate(c, SMTPF_DELIVERED);
  if (dropped && dropped < taken)
    LAW(can(c, SMTPF_CAN_DROP_RCPT) || each(c), "L6: a drop of one copy that this host cannot do");
  if (kept)
    LAW(can(c, SMTPF_CAN_QUARANTINE_PER_RCPT) || (can(c, SMTPF_CAN_QUARANTINE) && kept + dropped == taken),
        "L6: a quarantine that this host cannot do");
  if (tagged)
    LAW(can(c, SMTPF_CAN_EDIT) || can(c, SMTPF_CAN_EDIT_PER_RCPT), "L6: a mark that this host cannot make");
  if (tagged && plain && !can(c, SMTPF_CAN_EDIT_PER_RCPT))
    for (size_t i = 0; i < c->n; i++)
      if (fate(&c->after[i]) == SMTPF_DELIVERED && !c->before[i].known)
        LAW(c->after[i].overridden, "L6: a copy is marked with the others, and nobody is told");
  size_t rewritten = 0, same = 0, on_the_way = 0;
  const smtpf_str *first = NULL;
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *a = &c->after[i];
    if (a->known || refused(fate(a)) || fate(a) == SMTPF_DISCARDED || fate(a) == SMTPF_QUARANTINED)
      continue;
    on_the_way++;
    if (!a->sender)
      continue;
    const smtpf_str *as = &a->outcome.sender;
    LAW(a->forward && as->n, "L6: another envelope sender for a copy that needs none");
    first = first ? first : as;
    rewritten++;
    same += as->n == first->n && as->p == first->p;
  }
  if (rewritten && !can(c, SMTPF_CAN_SENDER_PER_RCPT))
    LAW(rewritten == on_the_way && same == on_the_way, "L6: an envelope sender that this host cannot vary");
  return NULL;
}

/* The reply says of each recipient what became of it. */
static const char *one_reply(const oracle_case *c)
{
  const int act = c->decision.act;
  size_t here = 0, known = 0;
  for (size_t i = 0; i < c->n; i++)
    known += c->before[i].known;
  here = c->n - known;
  const size_t rejected = with_fate(c, SMTPF_REJECTED), deferred = with_fate(c, SMTPF_DEFERRED);
  LAW(c->decision.cause < c->n, "L8: the reply has no cause");
  LAW(act == SMTPF_ACT_ACCEPT || act == SMTPF_ACT_DEFER || act == SMTPF_ACT_REJECT, "L1: no reply");
  if (each(c)) {
    if (here)
      LAW((act == SMTPF_ACT_ACCEPT) == (known || rejected + deferred < here),
          "L6: the final reply denies what is taken");
    if (act == SMTPF_ACT_REJECT)
      LAW(rejected == here, "L4: a final refusal over one who was deferred");
    return NULL;
  }
  if (act == SMTPF_ACT_ACCEPT)
    LAW(!rejected && !deferred, "L6: a recipient is refused, and the one reply does not say so");
  if (act == SMTPF_ACT_REJECT)
    LAW(rejected == c->n, "L6: the one reply refuses who was not refused");
  if (act == SMTPF_ACT_DEFER)
    LAW(deferred == here, "L6: the one reply defers who was not deferred");
  return NULL;
}

static int wished(int act)
{
  static const int of[] = {
      0, SMTPF_DELIVERED, SMTPF_TAGGED, SMTPF_QUARANTINED, SMTPF_DISCARDED, SMTPF_DEFERRED, SMTPF_REJECTED};
  return of[act];
}

/* Whose wish was not kept is named; whose wish was kept is not. */
static const char *named(const oracle_case *c, const smtpf_entry *b, const smtpf_entry *a)
{
  const int put_off = fate(a) == SMTPF_DEFERRED;
  const int wish = wished(put_off ? b->outcome.act : b->outcome.definite), waits = b->budget == SMTPF_BUDGET_LEFT;
  const int route = !refused(fate(a)) && fate(a) != SMTPF_DISCARDED && fate(a) != SMTPF_QUARANTINED;
  const int goes = a->forward == b->outcome.forward;
  const int sent = !a->forward || !a->outcome.profile || (a->sender != 0) == (a->outcome.sender.n != 0);
  if (fate(a) != wish || (route && (!goes || !sent)))
    LAW(a->overridden, "L6: a wish was not kept, and nobody is told");
  else if (!(with_fate(c, SMTPF_TAGGED) && !can(c, SMTPF_CAN_EDIT_PER_RCPT)) && !(is_elective(b) && waits == !put_off))
    LAW(!a->overridden, "L6: a wish was kept, and it is called overridden");
  LAW(!a->forward || route, "L6: forwarded, and not taken");
  LAW(!a->forward || b->outcome.forward, "L6: forwarded, and nobody asked for it");
  if (is_elective(b) && b->outcome.unknown && fate(a) != SMTPF_DEFERRED && b->outcome.definite != SMTPF_ACT_ACCEPT)
    LAW(!a->forward, "L7: what an unknown put off is forwarded blindly");
  return NULL;
}

const char *oracle_ledger(const oracle_case *c)
{
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *b = &c->before[i], *a = &c->after[i];
    if (b->known) {
      LAW(a->disposition == b->disposition && a->final, "L1: a copy that was taken before is decided again");
      continue;
    }
    LAW(a->disposition >= SMTPF_DELIVERED && a->disposition <= SMTPF_HANDED_OVER, "L1: no disposition");
    LAW((a->disposition == SMTPF_HANDED_OVER) <= !can(c, SMTPF_CAN_REPORT_COMMIT),
        "L1: handed over by a host that reports");
    LAW((a->disposition == SMTPF_DELIVERED) <= can(c, SMTPF_CAN_REPORT_COMMIT), "L1: delivered, says who cannot know");
    LAW(a->final == (refused(a->disposition) || !can(c, SMTPF_CAN_REPORT_COMMIT)), "L1: final too early or never");
    LAW(fate(a) != SMTPF_DISCARDED || b->outcome.act == SMTPF_ACT_DISCARD, "L3: discarded without that wish");
    const char *broken = refused(fate(a)) ? lawful_refusal(c, b, a) : NULL;
    if (!broken)
      broken = lawful_dsn(c, b, a);
    if (!broken)
      broken = named(c, b, a);
    if (broken)
      return broken;
  }
  const char *broken = possible(c);
  return broken ? broken : one_reply(c);
}

const char *oracle_target(const smtpf_will *w, smtpf_view view, const smtpf_outcome *o, const smtpf_outcome *without)
{
  const tally t = count(w, view);
  if (!t.target || t.early)
    return NULL;
  if (!without->forward)
    LAW(o->act == without->act && !o->forward && !o->stays, "L2: a target counts where nothing goes there");
  else if (t.refusing_target)
    LAW(o->act == SMTPF_ACT_REJECT, "L2: taken, and known to be refused where it would go");
  else
    LAW(o->act == without->act && !o->forward && o->stays, "L2: not kept in the mailbox, and it cannot be forwarded");
  return NULL;
}

const char *oracle_one_server(const oracle_case *c)
{
  const smtpf_profile *first = NULL;
  size_t away = 0, here = 0;
  for (size_t i = 0; i < c->n; i++) {
    const smtpf_entry *a = &c->after[i];
    if (refused(fate(a)) || fate(a) == SMTPF_DISCARDED)
      continue;
    here += !a->forward;
    away += a->forward != 0;
    if (!a->forward)
      continue;
    first = first ? first : a->outcome.profile;
    LAW(each(c) || !can(c, SMTPF_CAN_CUT_THROUGH) || a->outcome.profile->forward.p == first->forward.p,
        "L6: one reply, and two targets decide about it");
  }
  LAW(!away || !here || each(c) || !can(c, SMTPF_CAN_CUT_THROUGH),
      "L6: one reply, and both a target and this host decide about it");
  return NULL;
}

const char *oracle_alone(const smtpf_entry *together, const smtpf_entry *alone)
{
  LAW(fate(together) == fate(alone) && together->forward == alone->forward && together->sender == alone->sender &&
          together->overridden == alone->overridden,
      "L6: partition let pass what the host cannot keep apart");
  return NULL;
}
