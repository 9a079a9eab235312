/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <stddef.h>

#include "driver.h"

static smtpf_op_slot *begin(smtpf_driver *d, void *user)
{
  smtpf_driver_call(d); /* stores decide by the wall clock what has expired */
  smtpf_op_slot *slot = smtpf_op_take(&d->ops, SMTPF_OP_CALL);
  if (slot) {
    slot->driver = d;
    slot->call_user = user;
  }
  return slot;
}

int smtpf_driver_get(smtpf_driver *d, smtpf_str key, smtpf_store_fn fn, void *user)
{
  smtpf_op_slot *slot = begin(d, user);
  if (!slot)
    return SMTPF_ENOMEM;
  slot->store_fn = fn;
  const smtpf_op token = smtpf_op_token(slot);
  if (d->ports.store->get(d->store, token, key) != SMTPF_OK)
    (void)smtpf_call_answered(d, token, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

int smtpf_driver_commit(smtpf_driver *d, const smtpf_change *changes, size_t n, smtpf_store_fn fn, void *user)
{
  smtpf_op_slot *slot = begin(d, user);
  if (!slot)
    return SMTPF_ENOMEM;
  slot->store_fn = fn;
  const smtpf_op token = smtpf_op_token(slot);
  if (d->ports.store->commit(d->store, token, changes, n) != SMTPF_OK)
    (void)smtpf_call_answered(d, token, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

int smtpf_driver_scan(smtpf_driver *d, smtpf_str cursor, size_t most, smtpf_scan_fn fn, void *user)
{
  const smtpf_store *store = d->ports.store;
  if (store->size < offsetof(smtpf_store, stats) || !store->scan)
    return SMTPF_EUNSUPPORTED;
  smtpf_op_slot *slot = begin(d, user);
  if (!slot)
    return SMTPF_ENOMEM;
  slot->scan_fn = fn;
  const smtpf_op token = smtpf_op_token(slot);
  if (store->scan(d->store, token, cursor, most) != SMTPF_OK)
    (void)smtpf_op_scan(d, token, SMTPF_STORE_FAILED, NULL, 0, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}

int smtpf_driver_query(smtpf_driver *d, int type, smtpf_str name, smtpf_dns_fn fn, void *user)
{
  smtpf_op_slot *slot = begin(d, user);
  if (!slot)
    return SMTPF_ENOMEM;
  slot->dns_fn = fn;
  int r = smtpf_dns_ask(d, slot, type, name);
  if (r != SMTPF_OK)
    smtpf_op_give(&d->ops, slot);
  return r;
}

/* ---- answers ---- */

void smtpf_call_dns(smtpf_driver *d, smtpf_op_slot *slot, const smtpf_dns_answer *answer)
{
  const smtpf_dns_fn fn = slot->dns_fn;
  void *user = slot->call_user;
  smtpf_op_give(&d->ops, slot);
  fn(user, answer);
}

int smtpf_call_answered(smtpf_driver *d, smtpf_op op, int status, smtpf_str value)
{
  smtpf_op_slot *slot = smtpf_op_find(&d->ops, op, SMTPF_OP_CALL);
  if (!slot || !slot->store_fn)
    return SMTPF_ENOTFOUND;
  const smtpf_store_fn fn = slot->store_fn;
  void *user = slot->call_user;
  smtpf_op_give(&d->ops, slot);
  fn(user, status, value);
  return SMTPF_OK;
}

int smtpf_op_scan(smtpf_driver *d, smtpf_op op, int status, const smtpf_stored *records, size_t n, smtpf_str cursor)
{
  smtpf_op_slot *slot = smtpf_op_find(&d->ops, op, SMTPF_OP_CALL);
  if (!slot || !slot->scan_fn)
    return SMTPF_ENOTFOUND;
  const smtpf_scan_fn fn = slot->scan_fn;
  void *user = slot->call_user;
  smtpf_op_give(&d->ops, slot);
  fn(user, status, records, n, cursor);
  return SMTPF_OK;
}
