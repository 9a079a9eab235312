/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <smtpfilter/session.h>

#include "base/str.h"

/* ---- looking over the entries that take part ------------------------------------------------------------------------
 */

static size_t count_act(smtpf_entry *const *entries, size_t n, int act)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += !entries[i]->known && entries[i]->outcome.act == act;
  return c;
}

static size_t count_known(smtpf_entry *const *entries, size_t n)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += entries[i]->known;
  return c;
}

static size_t find_act(smtpf_entry *const *entries, size_t n, int act)
{
  size_t i = 0;
  while (i < n && (entries[i]->known || entries[i]->outcome.act != act))
    i++;
  return i;
}

static size_t find_disposition(smtpf_entry *const *entries, size_t n, int disposition)
{
  size_t i = 0;
  while (i < n && entries[i]->disposition != disposition)
    i++;
  return i;
}

static int is_elective(const smtpf_entry *e)
{
  return !e->known && e->outcome.rule == SMTPF_RULE_ELECTIVE;
}

/* ---- one entry ------------------------------------------------------------------------------------------------------
 */

static int wish_of(const smtpf_outcome *o)
{
  static const uint8_t wishes[] = {[SMTPF_ACT_ACCEPT] = SMTPF_DELIVERED,       [SMTPF_ACT_TAG] = SMTPF_TAGGED,
                                   [SMTPF_ACT_QUARANTINE] = SMTPF_QUARANTINED, [SMTPF_ACT_DISCARD] = SMTPF_DISCARDED,
                                   [SMTPF_ACT_DEFER] = SMTPF_DEFERRED,         [SMTPF_ACT_REJECT] = SMTPF_REJECTED};
  return wishes[o->act];
}

static void set(smtpf_entry *e, int disposition)
{
  e->disposition = (uint8_t)disposition;
  e->overridden = e->disposition != e->wish;
  e->final = disposition == SMTPF_REJECTED || disposition == SMTPF_DEFERRED;
}

static void set_all(smtpf_entry *const *entries, size_t n, int disposition)
{
  for (size_t i = 0; i < n; i++)
    if (!entries[i]->known)
      set(entries[i], disposition);
}

/* No deferral is left for it: what it would be without. */
static void make_definite(smtpf_entry *e)
{
  e->outcome.act = e->outcome.definite;
  e->outcome.rule = SMTPF_RULE_SPENT;
}

/* ---- J5: what is taken
 * -------------------------------------------------------------------------------------------------- */

/* What the host can do to one copy of this message. */
typedef struct means {
  int drop, quarantine, edit;
} means;

/* The act that was wished, else the next weaker one that loses nothing. */
static void keep(smtpf_entry *e, const means *can)
{
  const int act = e->outcome.act;
  if (act == SMTPF_ACT_DISCARD && can->drop)
    set(e, SMTPF_DISCARDED);
  else if (act >= SMTPF_ACT_QUARANTINE && can->quarantine)
    set(e, SMTPF_QUARANTINED);
  else if (act >= SMTPF_ACT_TAG && can->edit)
    set(e, SMTPF_TAGGED);
  else
    set(e, SMTPF_DELIVERED);
}

/* Whether every copy that is taken and not dropped would be quarantined: nobody here wishes less. */
static int all_to_quarantine(smtpf_entry *const *entries, size_t n)
{
  return count_act(entries, n, SMTPF_ACT_ACCEPT) + count_act(entries, n, SMTPF_ACT_TAG) == 0;
}

static means means_for(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  means m;
  m.drop = (capabilities & (SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_DROP_RCPT)) ||
           count_act(entries, n, SMTPF_ACT_DISCARD) + count_known(entries, n) == n;
  m.quarantine = (capabilities & SMTPF_CAN_QUARANTINE_PER_RCPT) ||
                 ((capabilities & SMTPF_CAN_QUARANTINE) && all_to_quarantine(entries, n));
  m.edit = (capabilities & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT)) != 0;
  return m;
}

/* A mark the host can put on the whole message only also lands on copies that did not ask for it. */
static void name_bystanders(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  if ((capabilities & SMTPF_CAN_EDIT_PER_RCPT) || find_disposition(entries, n, SMTPF_TAGGED) == n)
    return;
  for (size_t i = 0; i < n; i++)
    if (entries[i]->disposition == SMTPF_DELIVERED && !entries[i]->known)
      entries[i]->overridden = 1;
}

/* ---- J5: where it goes
 * -------------------------------------------------------------------------------------------------- */

static int leaves_with_a_sender(const smtpf_entry *e)
{
  return !e->known && (e->disposition == SMTPF_DELIVERED || e->disposition == SMTPF_TAGGED);
}

static smtpf_str sender_of(const smtpf_entry *e)
{
  return e->forward ? e->outcome.sender : (smtpf_str){NULL, 0};
}

static int senders_differ(smtpf_entry *const *entries, size_t n)
{
  size_t first = n;
  for (size_t i = 0; i < n; i++) {
    if (!leaves_with_a_sender(entries[i]))
      continue;
    first = first < n ? first : i;
    if (!smtpf_str_equal(sender_of(entries[i]), sender_of(entries[first])))
      return 1;
  }
  return 0;
}

static void route(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  for (size_t i = 0; i < n; i++) {
    smtpf_entry *e = entries[i];
    e->forward = leaves_with_a_sender(e) && e->outcome.forward;
    e->sender = sender_of(e).n > 0;
  }
  if ((capabilities & SMTPF_CAN_SENDER_PER_RCPT) || !senders_differ(entries, n))
    return;
  for (size_t i = 0; i < n; i++)
    if (entries[i]->sender) {
      entries[i]->sender = 0;
      entries[i]->forward = entries[i]->outcome.profile->route == SMTPF_WISH_FORWARD;
      entries[i]->overridden = 1;
    }
}

/* ---- deciding
 * ------------------------------------------------------------------------------------------------------------ */

static smtpf_decision take(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  const means can = means_for(entries, n, capabilities);
  for (size_t i = 0; i < n; i++)
    if (!entries[i]->known && !entries[i]->disposition)
      keep(entries[i], &can);
  name_bystanders(entries, n, capabilities);
  route(entries, n, capabilities);
  return (smtpf_decision){SMTPF_ACT_ACCEPT, 0};
}

/* J2's condition: nobody who would have to wait has waited long enough. */
static int all_may_wait(smtpf_entry *const *entries, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!entries[i]->known && entries[i]->budget != SMTPF_BUDGET_LEFT)
      return 0;
  return 1;
}

static int all_may_be_refused(smtpf_entry *const *entries, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (entries[i]->known || (entries[i]->outcome.act != SMTPF_ACT_REJECT &&
                              (entries[i]->outcome.act != SMTPF_ACT_DISCARD || !entries[i]->outcome.refusable)))
      return 0;
  return 1;
}

static smtpf_decision decide_together(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  if (!all_may_wait(entries, n))
    for (size_t i = 0; i < n; i++)
      if (is_elective(entries[i]))
        make_definite(entries[i]);
  const size_t defer = find_act(entries, n, SMTPF_ACT_DEFER), reject = find_act(entries, n, SMTPF_ACT_REJECT);
  if (defer < n) {
    set_all(entries, n, SMTPF_DEFERRED);
    return (smtpf_decision){SMTPF_ACT_DEFER, defer};
  }
  if (reject < n && all_may_be_refused(entries, n)) {
    set_all(entries, n, SMTPF_REJECTED);
    return (smtpf_decision){SMTPF_ACT_REJECT, reject};
  }
  return take(entries, n, capabilities);
}

static smtpf_decision decide_each(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  for (size_t i = 0; i < n; i++) {
    smtpf_entry *e = entries[i];
    if (!e->known && e->outcome.act >= SMTPF_ACT_DEFER)
      set(e, e->outcome.act == SMTPF_ACT_DEFER ? SMTPF_DEFERRED : SMTPF_REJECTED);
  }
  const size_t defer = find_act(entries, n, SMTPF_ACT_DEFER);
  const size_t refused = count_act(entries, n, SMTPF_ACT_REJECT) + count_act(entries, n, SMTPF_ACT_DEFER);
  if (n && refused == n)
    return defer < n ? (smtpf_decision){SMTPF_ACT_DEFER, defer} : (smtpf_decision){SMTPF_ACT_REJECT, 0};
  return take(entries, n, capabilities);
}

/* Promise L2: a DSN may be sent later only for a copy that was taken as its recipient wished, without a mark, and in
 * full only to who is known to have sent it, about what stays here. */
static uint8_t dsn_permission(const smtpf_entry *e, int null_sender)
{
  const smtpf_outcome *o = &e->outcome;
  if (null_sender || e->disposition != SMTPF_DELIVERED || o->act != SMTPF_ACT_ACCEPT)
    return SMTPF_DSN_NEVER;
  return o->rule == SMTPF_RULE_OWN && !e->forward ? SMTPF_DSN_ALLOWED : SMTPF_DSN_HEADERS_ONLY;
}

smtpf_decision smtpf_ledger_decide(smtpf_entry *const *entries, size_t n, unsigned capabilities, int null_sender)
{
  for (size_t i = 0; i < n; i++) {
    smtpf_entry *e = entries[i];
    if (is_elective(e) && e->budget != SMTPF_BUDGET_LEFT)
      make_definite(e);
    e->forward = e->sender = e->overridden = 0;
    e->wish = (uint8_t)(e->known ? SMTPF_DELIVERED : wish_of(&e->outcome));
    e->disposition = e->known ? SMTPF_DELIVERED : 0;
    e->final = e->known;
  }
  const smtpf_decision d = capabilities & SMTPF_CAN_REPLY_PER_RCPT ? decide_each(entries, n, capabilities)
                                                                   : decide_together(entries, n, capabilities);
  for (size_t i = 0; i < n; i++) {
    entries[i]->dsn = dsn_permission(entries[i], null_sender);
    if (capabilities & SMTPF_CAN_REPORT_COMMIT)
      continue;
    if (entries[i]->disposition == SMTPF_DELIVERED)
      entries[i]->disposition = SMTPF_HANDED_OVER;
    entries[i]->final = 1;
  }
  return d;
}
static void close_as(smtpf_entry *e, int disposition)
{
  e->disposition = (uint8_t)disposition;
  e->dsn = SMTPF_DSN_NEVER;
  e->final = 1;
}

void smtpf_ledger_commit(smtpf_entry *e, int result)
{
  if (e->final)
    return;
  if (result == SMTPF_COMMIT_OK)
    e->final = 1;
  else
    close_as(e, result == SMTPF_COMMIT_REFUSED ? SMTPF_REJECTED : SMTPF_DEFERRED);
}

void smtpf_ledger_close_all(smtpf_entry *const *entries, size_t n, int disposition)
{
  for (size_t i = 0; i < n; i++)
    if (!entries[i]->final)
      close_as(entries[i], disposition);
}

int smtpf_ledger_open(smtpf_entry *const *entries, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!entries[i]->final)
      return 1;
  return 0;
}

static size_t count_refused(smtpf_entry *const *entries, size_t n)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += entries[i]->disposition == SMTPF_REJECTED || entries[i]->disposition == SMTPF_DEFERRED;
  return c;
}

smtpf_decision smtpf_ledger_settle(smtpf_entry *const *entries, size_t n, int each)
{
  if (each && count_refused(entries, n) < n)
    return (smtpf_decision){SMTPF_ACT_ACCEPT, 0};
  const size_t deferred = find_disposition(entries, n, SMTPF_DEFERRED);
  const size_t rejected = find_disposition(entries, n, SMTPF_REJECTED);
  if (deferred < n)
    return (smtpf_decision){SMTPF_ACT_DEFER, deferred};
  if (rejected < n)
    return (smtpf_decision){SMTPF_ACT_REJECT, rejected};
  return (smtpf_decision){SMTPF_ACT_ACCEPT, 0};
}

int smtpf_ledger_reply(const smtpf_entry *e)
{
  if (e->disposition == SMTPF_REJECTED)
    return SMTPF_ACT_REJECT;
  return e->disposition == SMTPF_DEFERRED ? SMTPF_ACT_DEFER : SMTPF_ACT_ACCEPT;
}
