/* SPDX-License-Identifier: MIT
 *
 * The static resolver: a zone behind the resolver port. Answers inside the call; holds nothing of its own.
 */
#include "base/mem.h"
#include "base/str.h"
#include "name.h"
#include "port/port.h"
#include "zone.h"

typedef struct resolver {
  smtpf_driver *driver;
  const smtpf_zone *zone;
} resolver;

static int start(void *shared, smtpf_driver *driver, void **self)
{
  if (!shared)
    return SMTPF_EINVAL;
  resolver *r = smtpf_mem_alloc(smtpf_driver_mem(driver), sizeof *r);
  if (!r)
    return SMTPF_ENOMEM;
  *r = (resolver){driver, shared};
  *self = r;
  return SMTPF_OK;
}

static int query(void *self, smtpf_op op, int type, const char *name)
{
  const resolver *r = self;
  char folded[SMTPF_DNS_NAME_MAX + 1];
  size_t n;
  if (smtpf_dns_name_fold(smtpf_str_of(name), folded, &n) != SMTPF_OK)
    return SMTPF_EINVAL;
  smtpf_dns_answer answer;
  smtpf_zone_ask(r->zone, type, (smtpf_str){folded, n}, &answer);
  smtpf_op_dns(r->driver, op, &answer);
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self; /* nothing is ever under way */
  (void)op;
}

static void stop(void *self)
{
  resolver *r = self;
  if (r)
    smtpf_mem_free(smtpf_driver_mem(r->driver), r);
}

const smtpf_resolver *smtpf_resolver_zone(void)
{
  static const smtpf_resolver table = {sizeof table, "zone", start, query, cancel, stop};
  return &table;
}
