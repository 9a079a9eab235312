/* SPDX-License-Identifier: MIT
 *
 * How often one domain is asked. A bucket is one number, the time at which it is full again: asking moves that time by
 * the share of a minute that one question takes, and may not move it further than a minute ahead.
 */
#include <string.h>

#include "base/mem.h"
#include "callout.h"

static const uint64_t MINUTE_NS = UINT64_C(60000000000);

/* A bucket that is full and that nobody holds says nothing. */
static int is_idle(const smtpf_callout_domain *d, uint64_t now_ns)
{
  return !d->questions && !d->talks && d->next_ns <= now_ns;
}

static void sweep(smtpf_callouts *c)
{
  const uint64_t now_ns = smtpf_driver_now(c->driver);
  smtpf_callout_domain *idle[64];
  size_t n, i;
  do {
    n = i = 0;
    for (smtpf_map_entry *e; n < sizeof idle / sizeof *idle && (e = smtpf_map_next(&c->domains, &i));)
      if (is_idle(e->value, now_ns))
        idle[n++] = e->value;
    for (i = 0; i < n; i++) {
      smtpf_map_remove(&c->domains, idle[i]->name);
      smtpf_mem_free(c->mem, idle[i]);
    }
  } while (n == sizeof idle / sizeof *idle);
}

smtpf_callout_domain *smtpf_callout_domain_take(smtpf_callouts *c, smtpf_str name)
{
  smtpf_callout_domain *d = smtpf_map_get(&c->domains, name);
  if (!d) {
    if (c->domains.n >= SMTPF_CALLOUT_DOMAINS)
      sweep(c);
    d = c->domains.n < SMTPF_CALLOUT_DOMAINS ? smtpf_mem_zalloc(c->mem, sizeof *d + name.n + 1) : NULL;
    if (!d)
      return NULL;
    memcpy(d->bytes, name.p, name.n);
    d->name = (smtpf_str){d->bytes, name.n};
    if (smtpf_map_set(&c->domains, d->name, d) != SMTPF_OK) {
      smtpf_mem_free(c->mem, d);
      return NULL;
    }
  }
  d->questions++;
  return d;
}

void smtpf_callout_domain_give(smtpf_callouts *c, smtpf_callout_domain *d)
{
  (void)c;
  d->questions--;
}

int smtpf_callout_domain_may(smtpf_callout_domain *d, uint64_t now_ns, int64_t rate)
{
  const uint64_t share = MINUTE_NS / (uint64_t)rate;
  const uint64_t full = d->next_ns > now_ns ? d->next_ns : now_ns;
  if (full + share > now_ns + MINUTE_NS)
    return 0;
  d->next_ns = full + share;
  return 1;
}

void smtpf_callout_domains_free(smtpf_callouts *c)
{
  size_t i = 0;
  for (smtpf_map_entry *e; (e = smtpf_map_next(&c->domains, &i));)
    smtpf_mem_free(c->mem, e->value);
  smtpf_map_free(&c->domains);
}
