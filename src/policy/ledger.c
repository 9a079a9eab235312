/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <smtpfilter/session.h>

/* Promise L2: a DSN may be sent later only for a copy that was taken as its recipient wished, without a mark. */
static uint8_t dsn_permission(const smtpf_entry *e, int null_sender)
{
  if (null_sender || e->disposition != SMTPF_DELIVERED || e->outcome.act != SMTPF_ACT_ACCEPT)
    return SMTPF_DSN_NEVER;
  return e->outcome.score > 0 ? SMTPF_DSN_HEADERS_ONLY : SMTPF_DSN_ALLOWED;
}

static void set(smtpf_entry *e, int disposition, int overridden)
{
  e->disposition = (uint8_t)disposition;
  e->overridden = (uint8_t)overridden;
  e->final = disposition == SMTPF_REJECTED || disposition == SMTPF_DEFERRED;
}

static size_t count_act(smtpf_entry *const *entries, size_t n, int act)
{
  size_t c = 0;
  for (size_t i = 0; i < n; i++)
    c += entries[i]->outcome.act == act;
  return c;
}

static size_t find_act(smtpf_entry *const *entries, size_t n, int act)
{
  size_t i = 0;
  while (i < n && entries[i]->outcome.act != act)
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

/* The strongest act short of refusal, for a copy that will be taken. */
static void keep(smtpf_entry *e, unsigned capabilities, unsigned quarantine)
{
  const int act = e->outcome.act;
  if (act == SMTPF_ACT_ACCEPT)
    set(e, SMTPF_DELIVERED, 0);
  else if (act != SMTPF_ACT_TAG && (capabilities & quarantine))
    set(e, SMTPF_QUARANTINED, act != SMTPF_ACT_QUARANTINE);
  else if (capabilities & (SMTPF_CAN_EDIT | SMTPF_CAN_EDIT_PER_RCPT))
    set(e, SMTPF_TAGGED, act != SMTPF_ACT_TAG);
  else
    set(e, SMTPF_DELIVERED, 1);
}

/* A mark the host can put on the whole message only also lands on copies that did not ask for it. */
static void name_bystanders(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  if ((capabilities & SMTPF_CAN_EDIT_PER_RCPT) || find_disposition(entries, n, SMTPF_TAGGED) == n)
    return;
  for (size_t i = 0; i < n; i++)
    if (entries[i]->disposition == SMTPF_DELIVERED)
      entries[i]->overridden = 1;
}

/* What serves to quarantine: the whole message's only when every copy that is taken goes there. */
static unsigned quarantine_for(int all_alike)
{
  return SMTPF_CAN_QUARANTINE_PER_RCPT | (all_alike ? (unsigned)SMTPF_CAN_QUARANTINE : 0u);
}

static smtpf_decision decide_together(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  const size_t defer = find_act(entries, n, SMTPF_ACT_DEFER), refused = count_act(entries, n, SMTPF_ACT_REJECT);
  if (defer < n) {
    for (size_t i = 0; i < n; i++)
      set(entries[i], SMTPF_DEFERRED, entries[i]->outcome.act != SMTPF_ACT_DEFER);
    return (smtpf_decision){SMTPF_ACT_DEFER, defer};
  }
  if (n && refused == n) {
    for (size_t i = 0; i < n; i++)
      set(entries[i], SMTPF_REJECTED, 0);
    return (smtpf_decision){SMTPF_ACT_REJECT, 0};
  }
  const unsigned quarantine = quarantine_for(refused + count_act(entries, n, SMTPF_ACT_QUARANTINE) == n);
  for (size_t i = 0; i < n; i++)
    keep(entries[i], capabilities, quarantine);
  name_bystanders(entries, n, capabilities);
  return (smtpf_decision){SMTPF_ACT_ACCEPT, 0};
}

static smtpf_decision decide_each(smtpf_entry *const *entries, size_t n, unsigned capabilities)
{
  const size_t defer = find_act(entries, n, SMTPF_ACT_DEFER);
  const size_t refused = count_act(entries, n, SMTPF_ACT_REJECT) + count_act(entries, n, SMTPF_ACT_DEFER);
  const unsigned quarantine = quarantine_for(refused + count_act(entries, n, SMTPF_ACT_QUARANTINE) == n);
  for (size_t i = 0; i < n; i++)
    if (entries[i]->outcome.act == SMTPF_ACT_REJECT)
      set(entries[i], SMTPF_REJECTED, 0);
    else if (entries[i]->outcome.act == SMTPF_ACT_DEFER)
      set(entries[i], SMTPF_DEFERRED, 0);
    else
      keep(entries[i], capabilities, quarantine);
  name_bystanders(entries, n, capabilities);
  if (n && refused == n)
    return defer < n ? (smtpf_decision){SMTPF_ACT_DEFER, defer} : (smtpf_decision){SMTPF_ACT_REJECT, 0};
  return (smtpf_decision){SMTPF_ACT_ACCEPT, 0};
}

smtpf_decision smtpf_ledger_decide(smtpf_entry *const *entries, size_t n, unsigned capabilities, int null_sender)
{
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
