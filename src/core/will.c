/* SPDX-License-Identifier: MIT */
#include "will.h"

#include "base/str.h"
#include "trace.h"

/* ---- the client ----------------------------------------------------------------------------------------------------
 */

static int is_open_relay(smtpf_view view)
{
  for (size_t i = 0; i < view.n; i++)
    if (view.v[i]->kind == SMTPF_HIT && (view.v[i]->flags & SMTPF_FINDING_OPEN_RELAY) && !view.v[i]->recipient)
      return 1; /* what is about one recipient is about a host behind the client */
  return 0;
}

static smtpf_standing standing_of(const smtpf_session *s, smtpf_view view)
{
  const smtpf_engine *e = s->engine;
  const smtpf_str checked = smtpf_session_fact(s, "iprev.name");
  return (smtpf_standing){
      .scopes = smtpf_engine_scopes(e, &s->client, s->identity.n > 0, s->identity, checked.n ? checked : s->rdns) |
                smtpf_engine_helo_scopes(e, smtpf_session_fact(s, "helo.verified")),
      .other_list = smtpf_trace_other_list(s),
      .backup_mx = e->backup_mx,
      .forwarders = e->forwarders,
      .own = s->own,
      .open_relay = is_open_relay(view),
  };
}

smtpf_outcome smtpf_will_before_rcpt(smtpf_session *s, smtpf_view view)
{
  const smtpf_standing client = standing_of(s, view);
  const smtpf_will will = {.profile = s->engine->site,
                           .origin = (uint8_t)smtpf_origin_of(&client, s->engine->site),
                           .budget = SMTPF_BUDGET_UNREADABLE};
  return smtpf_judge(&will, view);
}

/* ---- a recipient ---------------------------------------------------------------------------------------------------
 */

/* The profile of a name, else the policy's for an address, else the site's. */
static const smtpf_profile *profile_for(smtpf_session *s, smtpf_str name, smtpf_str address)
{
  const smtpf_profile *p = name.n ? smtpf_engine_profile(s->engine, name) : NULL;
  if (name.n && !p)
    smtpf_session_log(s, SMTPF_LOG_WARNING, "unknown-profile", "profile", name);
  if (!p)
    p = smtpf_engine_recipient(s->engine, address);
  return p ? p : s->engine->site;
}

/* A member's own route makes a profile of its own, for this transaction. NULL without memory. */
static const smtpf_profile *profile_of_member(smtpf_session *s, const smtpf_directory_member *m)
{
  const smtpf_profile *base = profile_for(s, m->profile, m->address);
  if (!m->route && !m->forward.n)
    return base;
  smtpf_profile *own = smtpf_arena_alloc(&s->transaction, sizeof *own);
  if (!own)
    return NULL;
  *own = *base;
  if (m->forward.n && smtpf_arena_copy(&s->transaction, m->forward, &own->forward) != SMTPF_OK)
    return NULL;
  if (m->route == SMTPF_ROUTE_MAILBOX)
    own->route = SMTPF_WISH_MAILBOX;
  else if (own->route == SMTPF_WISH_MAILBOX && own->forward.n)
    own->route = SMTPF_WISH_FORWARD;
  return own;
}

static int take_members(smtpf_session *s, const smtpf_directory_answer *answer)
{
  smtpf_rcpt *rcpt = s->rcpt;
  rcpt->n_members = 0;
  if (!answer->n_members)
    return SMTPF_OK;
  rcpt->members = smtpf_arena_alloc(&s->transaction, answer->n_members * sizeof(const smtpf_profile *));
  if (!rcpt->members)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < answer->n_members; i++) {
    rcpt->members[i] = profile_of_member(s, &answer->members[i]);
    if (!rcpt->members[i])
      return SMTPF_ENOMEM;
  }
  rcpt->n_members = answer->n_members;
  return SMTPF_OK;
}

/* The directory's own word on a recipient's wishes is stronger than the policy's. */
void smtpf_session_directory_says(smtpf_session *s, const smtpf_directory_answer *answer)
{
  smtpf_rcpt *rcpt = s->rcpt;
  if (!rcpt || answer->status != SMTPF_DIRECTORY_EXISTS)
    return;
  if (answer->canonical.n && smtpf_arena_copy(&s->transaction, answer->canonical, &rcpt->canonical) != SMTPF_OK)
    s->no_memory = 1;
  if (answer->profile.n || answer->canonical.n)
    rcpt->profile = profile_for(s, answer->profile, rcpt->canonical);
  if (take_members(s, answer) != SMTPF_OK)
    s->no_memory = 1;
}

static const smtpf_profile *profile_at(const smtpf_rcpt *rcpt, size_t i)
{
  return rcpt->n_members ? rcpt->members[i] : rcpt->profile;
}

/* The envelope sender of what is forwarded, where it is another than the message's. A bounce stays one wherever it
 * goes: a report about it must not come back to anybody (RFC 5321 4.5.5). */
static smtpf_str sender_of(const smtpf_session *s, const smtpf_rcpt *rcpt, const smtpf_profile *p)
{
  const smtpf_str none = {NULL, 0};
  if (p->route == SMTPF_WISH_MAILBOX || s->sender.form == SMTPF_PATH_NULL || rcpt->returns_to.n)
    return none;
  const smtpf_str as = p->forward_sender.n ? p->forward_sender : s->forward_sender;
  return smtpf_str_equal(as, s->sender.address) ? none : as;
}

/* `only_from` is judged on what was written and on what is behind it. */
static smtpf_will will_of(const smtpf_session *s, const smtpf_rcpt *rcpt, size_t i, const smtpf_standing *client)
{
  const smtpf_profile *p = profile_at(rcpt, i);
  const int null_sender = s->sender.form == SMTPF_PATH_NULL;
  const int origin = smtpf_origin_of(client, p);
  return (smtpf_will){
      .profile = p,
      .origin = (uint8_t)origin,
      .restricted = (uint8_t)(smtpf_origin_restricted(client, p, null_sender) ||
                              smtpf_origin_restricted(client, rcpt->profile, null_sender)),
      .entry = (uint8_t)smtpf_engine_entry(p, &s->sender, &s->client, origin != SMTPF_ORIGIN_STRANGER),
      .budget = rcpt->entry.budget,
      .bounces = null_sender ? p->bounces : SMTPF_BOUNCES_ALL,
      .sender = sender_of(s, rcpt, p),
  };
}

/* Twice as much where the list a message is from may change who the client is. */
static int make_room(smtpf_session *s, smtpf_rcpt *rcpt, size_t n)
{
  const size_t room = s->engine->scopes.of_lists ? 2 * n : n;
  if (rcpt->n_wills == n)
    return SMTPF_OK;
  rcpt->wills = smtpf_arena_alloc(&s->transaction, room * sizeof *rcpt->wills);
  rcpt->summaries = smtpf_arena_alloc(&s->transaction, room * sizeof *rcpt->summaries);
  if (!rcpt->wills || !rcpt->summaries)
    return SMTPF_ENOMEM;
  rcpt->n_wills = n;
  return SMTPF_OK;
}

/* As it is known now, or with `turned` as it would be for a message that is from no list. */
static int party_of(smtpf_session *s, smtpf_rcpt *rcpt, int turned, smtpf_party *out)
{
  const size_t n = rcpt->n_members ? rcpt->n_members : 1, at = turned ? n : 0;
  smtpf_view view;
  int r = smtpf_session_look(s, rcpt, 0, &view);
  if (r == SMTPF_OK)
    r = make_room(s, rcpt, n);
  if (r != SMTPF_OK)
    return r;
  smtpf_standing client = standing_of(s, view);
  if (turned)
    client.other_list = s->engine->scopes.of_lists;
  for (size_t i = 0; i < n; i++) {
    rcpt->wills[at + i] = will_of(s, rcpt, i, &client);
    rcpt->summaries[at + i] = smtpf_judge_summary(&rcpt->wills[at + i], view);
  }
  *out = (smtpf_party){rcpt->wills + at, rcpt->summaries + at, n};
  return SMTPF_OK;
}

int smtpf_will_party(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_party *out)
{
  return party_of(s, rcpt, 0, out);
}

static int same_will(const smtpf_will *a, const smtpf_will *b)
{
  return a->profile == b->profile && a->origin == b->origin && a->restricted == b->restricted && a->entry == b->entry &&
         a->budget == b->budget && a->bounces == b->bounces && smtpf_str_equal(a->sender, b->sender);
}

/* What weighs most differs only in words. */
static int same_summary(const smtpf_summary *a, const smtpf_summary *b)
{
  return a->score == b->score && a->refusable == b->refusable && !a->fact == !b->fact && !a->missing == !b->missing &&
         !a->elective == !b->elective && !a->unsure == !b->unsure && !a->tag == !b->tag && !a->barred == !b->barred &&
         !a->target == !b->target && !a->stays == !b->stays && a->unknown == b->unknown && a->unscanned == b->unscanned;
}

int smtpf_will_alike(const smtpf_party *a, const smtpf_party *b)
{
  size_t i = 0;
  while (a->n == b->n && i < a->n && same_will(&a->wills[i], &b->wills[i]) &&
         same_summary(&a->summaries[i], &b->summaries[i]))
    i++;
  return a->n == b->n && i == a->n;
}

int smtpf_will_judge(smtpf_session *s, smtpf_rcpt *rcpt)
{
  smtpf_party party;
  int r = smtpf_will_party(s, rcpt, &party);
  if (r != SMTPF_OK)
    return r;
  rcpt->entry.outcome = smtpf_party_outcome(&party);
  rcpt->origin = party.wills[0].origin;
  return r;
}

/* ---- sharing a message ----------------------------------------------------------------------------------------------
 */

static int is_trust(int origin)
{
  return origin == SMTPF_ORIGIN_BACKUP_MX || origin == SMTPF_ORIGIN_FORWARDER || origin == SMTPF_ORIGIN_LIST;
}

static int some_trusts(const smtpf_party *p)
{
  size_t i = 0;
  while (i < p->n && !is_trust(p->wills[i].origin))
    i++;
  return i < p->n;
}

/* The same hosts: then both see the same source behind them. */
static int all_trust_as(const smtpf_party *p, const smtpf_profile *profile)
{
  size_t i = 0;
  while (i < p->n && p->wills[i].profile->forwarders == profile->forwarders &&
         p->wills[i].profile->lists == profile->lists)
    i++;
  return i == p->n;
}

/* smtpf_expect: what checks may yet find about the message, for these two. */
static int expects(const smtpf_session *s, const smtpf_party *a, const smtpf_party *b)
{
  const smtpf_engine *e = s->engine;
  const int sources = e->sources && (some_trusts(a) || some_trusts(b));
  const smtpf_profile *first = a->wills[0].profile;
  if (!(s->can & SMTPF_CAN_SEE_BODY))
    return SMTPF_EXPECT_NOTHING;
  if ((e->apart && e->awaits) || (sources && !(all_trust_as(a, first) && all_trust_as(b, first))))
    return SMTPF_EXPECT_APART;
  if (!e->awaits)
    return sources ? SMTPF_EXPECT_CONTENT : SMTPF_EXPECT_NOTHING;
  return e->doubts || e->n_scanners ? SMTPF_EXPECT_SCANS : SMTPF_EXPECT_CONTENT;
}

/* The party as it would be for mail that is not from the list it trusts, when that makes a difference. */
static int turned(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_party *now, smtpf_party *out)
{
  size_t i = 0;
  if (!s->engine->scopes.of_lists)
    return 0;
  if (party_of(s, rcpt, 1, out) != SMTPF_OK) {
    s->no_memory = 1;
    return 0;
  }
  while (i < now->n && now->wills[i].origin == out->wills[i].origin)
    i++;
  return i < now->n;
}

int smtpf_will_joins(smtpf_session *s, smtpf_rcpt *a, const smtpf_party *of_a, smtpf_rcpt *b, const smtpf_party *of_b)
{
  const int expect = expects(s, of_a, of_b);
  smtpf_party x, y;
  if (!smtpf_partition_joins(of_a, of_b, s->can, expect))
    return 0;
  const int a_turns = turned(s, a, of_a, &x), b_turns = turned(s, b, of_b, &y);
  const smtpf_profile *first = of_a->wills[0].profile;
  if (a_turns && b_turns && all_trust_as(of_a, first) && all_trust_as(of_b, first))
    return smtpf_partition_joins(&x, &y, s->can, expect); /* the same list: for both, or for neither */
  return (!a_turns || smtpf_partition_joins(&x, of_b, s->can, expect)) &&
         (!b_turns || smtpf_partition_joins(of_a, &y, s->can, expect)) &&
         (!(a_turns && b_turns) || smtpf_partition_joins(&x, &y, s->can, expect));
}

/* ---- who the client is ----------------------------------------------------------------------------------------------
 */

void smtpf_will_trust(smtpf_session *s, const smtpf_rcpt *rcpt, smtpf_trust *out)
{
  const size_t n = rcpt->n_members ? rcpt->n_members : 1;
  smtpf_view view;
  *out = (smtpf_trust){.origin = s->own ? SMTPF_ORIGIN_OWN : SMTPF_ORIGIN_STRANGER};
  if (smtpf_session_look(s, rcpt, 0, &view) != SMTPF_OK) {
    s->no_memory = 1;
    return;
  }
  const smtpf_standing client = standing_of(s, view);
  for (size_t i = 0; i < n && !out->by; i++) {
    const smtpf_profile *p = profile_at(rcpt, i);
    out->origin = smtpf_origin_of(&client, p);
    out->by = smtpf_origin_trust(&client, p);
    out->all = client.backup_mx | client.forwarders | p->forwarders | p->lists;
  }
  s->n_view = 0;
}

/* ---- greylists -----------------------------------------------------------------------------------------------------
 */

/* As if the task had asked for it and the budget were full. */
static int would_count(const smtpf_session *s, const smtpf_rcpt *rcpt, size_t i, const smtpf_standing *client,
                       smtpf_view view)
{
  smtpf_will will = will_of(s, rcpt, i, client);
  will.budget = SMTPF_BUDGET_LEFT;
  const smtpf_outcome o = smtpf_judge(&will, view);
  const int asked = will.profile->greylist && will.origin == SMTPF_ORIGIN_STRANGER;
  return asked && (o.rule == SMTPF_RULE_ELECTIVE || o.rule == SMTPF_RULE_MISSING);
}

int smtpf_will_greylists(smtpf_session *s, smtpf_rcpt *rcpt, const smtpf_task *t)
{
  const smtpf_evidence asks = {.kind = SMTPF_HIT,
                               .stage = (uint8_t)t->run->event.stage,
                               .position = t->position,
                               .family = (uint8_t)t->opened->check->family,
                               .flags = SMTPF_FINDING_ELECTIVE};
  const size_t n = rcpt->n_members ? rcpt->n_members : 1;
  const smtpf_evidence **known;
  smtpf_view view;
  int found = 0;
  if (smtpf_session_look(s, rcpt, 0, &view) != SMTPF_OK ||
      smtpf_session_look_further(s, t->opened->check->tier, 0, &view) != SMTPF_OK ||
      !(known = smtpf_arena_alloc(&t->run->scratch, (view.n + 1) * sizeof *known))) {
    s->no_memory = 1;
    return 0;
  }
  for (size_t i = 0; i < view.n; i++)
    known[i] = view.v[i];
  known[view.n] = &asks;
  view = (smtpf_view){known, view.n + 1};
  const smtpf_standing client = standing_of(s, view);
  for (size_t i = 0; i < n && !found; i++)
    found = would_count(s, rcpt, i, &client, view);
  s->n_view = 0;
  return found;
}

/* ---- what cannot change any more -----------------------------------------------------------------------------------
 */

static int is_certain(const smtpf_will *will, smtpf_view view, int family, unsigned flags)
{
  const smtpf_summary summary = smtpf_judge_summary(will, view);
  const smtpf_outcome o = smtpf_judge_by(will, &summary); /* whether a target refuses is for all members to say */
  if ((flags & SMTPF_FINDING_ROUTE) && o.forward)
    return 0;
  switch (o.rule) {
  case SMTPF_RULE_FACT:
  case SMTPF_RULE_RESTRICTED:
  case SMTPF_RULE_MISSING: return 1;
  case SMTPF_RULE_OWN: return !(flags & SMTPF_FINDING_OWN_TOO);
  case SMTPF_RULE_ALLOW:
  case SMTPF_RULE_DENY: /* a fact stands before them */
    return o.act == SMTPF_ACT_REJECT || !(flags & SMTPF_FINDING_REFUSE) ||
           !smtpf_origin_may_refuse(will->origin, family, flags);
  default: return 0;
  }
}

int smtpf_will_certain(smtpf_session *s, size_t recipient, const smtpf_task *t, unsigned flags)
{
  const smtpf_rcpt *rcpt = s->rcpts[recipient - 1];
  const size_t n = rcpt->n_members ? rcpt->n_members : 1;
  int certain = 1;
  smtpf_view view;
  if (smtpf_session_look(s, rcpt, 0, &view) != SMTPF_OK ||
      smtpf_session_look_further(s, t->opened->check->tier, recipient, &view) != SMTPF_OK) {
    s->no_memory = 1;
    return 0;
  }
  const smtpf_standing client = standing_of(s, view);
  for (size_t i = 0; i < n && certain; i++) {
    const smtpf_will will = will_of(s, rcpt, i, &client);
    certain = is_certain(&will, view, t->opened->check->family, flags);
  }
  s->n_view = 0;
  return certain;
}

int smtpf_will_judge_all(smtpf_session *s)
{
  smtpf_view view;
  for (size_t i = 0; i < s->n_rcpts; i++)
    if (smtpf_will_judge(s, s->rcpts[i]) != SMTPF_OK)
      return SMTPF_ENOMEM;
  return smtpf_session_look(s, NULL, 1, &view);
}
