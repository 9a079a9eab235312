/* SPDX-License-Identifier: MIT */
#include "will.h"

#include "base/str.h"

/* ---- the client ----------------------------------------------------------------------------------------------------
 */

static int is_open_relay(smtpf_view view)
{
  for (size_t i = 0; i < view.n; i++)
    if (view.v[i]->kind == SMTPF_HIT && (view.v[i]->flags & SMTPF_FINDING_OPEN_RELAY))
      return 1;
  return 0;
}

static smtpf_standing standing_of(const smtpf_session *s, smtpf_view view)
{
  const smtpf_engine *e = s->engine;
  const smtpf_str checked = smtpf_session_fact(s, "iprev.name");
  return (smtpf_standing){
      .scopes = smtpf_engine_scopes(e, &s->client, s->identity.n > 0, s->identity, checked.n ? checked : s->rdns),
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
  return (smtpf_will){
      .profile = p,
      .origin = (uint8_t)smtpf_origin_of(client, p),
      .restricted = (uint8_t)(smtpf_origin_restricted(client, p, null_sender) ||
                              smtpf_origin_restricted(client, rcpt->profile, null_sender)),
      .entry = (uint8_t)smtpf_engine_entry(p, &s->sender, &s->client),
      .budget = rcpt->entry.budget,
      .sender = sender_of(s, rcpt, p),
  };
}

static int make_room(smtpf_session *s, smtpf_rcpt *rcpt, size_t n)
{
  if (rcpt->n_wills == n)
    return SMTPF_OK;
  rcpt->wills = smtpf_arena_alloc(&s->transaction, n * sizeof *rcpt->wills);
  rcpt->summaries = smtpf_arena_alloc(&s->transaction, n * sizeof *rcpt->summaries);
  if (!rcpt->wills || !rcpt->summaries)
    return SMTPF_ENOMEM;
  rcpt->n_wills = n;
  return SMTPF_OK;
}

int smtpf_will_party(smtpf_session *s, smtpf_rcpt *rcpt, smtpf_party *out)
{
  const size_t n = rcpt->n_members ? rcpt->n_members : 1;
  smtpf_view view;
  int r = smtpf_session_look(s, rcpt, 0, &view);
  if (r == SMTPF_OK)
    r = make_room(s, rcpt, n);
  if (r != SMTPF_OK)
    return r;
  const smtpf_standing client = standing_of(s, view);
  for (size_t i = 0; i < n; i++) {
    rcpt->wills[i] = will_of(s, rcpt, i, &client);
    rcpt->summaries[i] = smtpf_judge_summary(&rcpt->wills[i], view);
  }
  *out = (smtpf_party){rcpt->wills, rcpt->summaries, n};
  return SMTPF_OK;
}

static int same_will(const smtpf_will *a, const smtpf_will *b)
{
  return a->profile == b->profile && a->origin == b->origin && a->restricted == b->restricted && a->entry == b->entry &&
         a->budget == b->budget && smtpf_str_equal(a->sender, b->sender);
}

/* What weighs most differs only in words. */
static int same_summary(const smtpf_summary *a, const smtpf_summary *b)
{
  return a->score == b->score && a->refusable == b->refusable && !a->fact == !b->fact && !a->missing == !b->missing &&
         !a->elective == !b->elective && !a->unsure == !b->unsure && !a->tag == !b->tag && !a->barred == !b->barred &&
         a->unknown == b->unknown && a->unscanned == b->unscanned;
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

int smtpf_will_expects(const smtpf_session *s)
{
  const smtpf_engine *e = s->engine;
  if (!(e->stages & (SMTPF_DATA | SMTPF_BODY | SMTPF_EOM)))
    return SMTPF_EXPECT_NOTHING;
  if (e->apart)
    return SMTPF_EXPECT_APART;
  return e->doubts || e->n_scanners ? SMTPF_EXPECT_SCANS : SMTPF_EXPECT_CONTENT;
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
  const smtpf_outcome o = smtpf_judge(will, view);
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
