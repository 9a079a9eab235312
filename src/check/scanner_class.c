/* SPDX-License-Identifier: MIT
 *
 * scanner_class: one scan for all recipients, or, where a scanner keeps settings of its users, one for each of them.
 * What they share they are scanned for once.
 */
#include "scanner.h"

static smtpf_str local_part(smtpf_str address)
{
  size_t n = address.n;
  while (n && address.p[n - 1] != '@')
    n--;
  return n ? (smtpf_str){address.p, n - 1} : address;
}

/* Whose settings count for recipient `i`. */
static smtpf_str user_of(const smtpf_task *t, const scanner_rules *r, size_t i)
{
  smtpf_str address = {"", 0}, profile = {"", 0};
  if (r->per == SCANNER_PER_MESSAGE || smtpf_task_recipient(t, i, &address, &profile) != SMTPF_OK)
    return (smtpf_str){"", 0};
  if (r->per == SCANNER_PER_PROFILE || r->user == SCANNER_USER_PROFILE)
    return profile;
  return r->user == SCANNER_USER_LOCAL_PART ? local_part(address) : address;
}

static int is_same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

/* Which of the `n` scans of this instance is for the user; a new one while there is room, else the site's. */
static size_t class_of(scanner_scan *scans, size_t *n, const scanner_rules *r, smtpf_str user)
{
  for (int full = 0;; full = 1, user = (smtpf_str){"", 0}) {
    for (size_t i = 0; i < *n; i++)
      if (is_same(scans[i].user, user))
        return i;
    if (*n < (size_t)r->classes || full) {
      scans[*n] = (scanner_scan){.rules = r, .user = user};
      return (*n)++;
    }
  }
}

static int share_out(scanner_scan *scans, size_t *n, smtpf_task *t, const scanner_rules *r, size_t recipients)
{
  size_t *class = smtpf_task_alloc(t, (recipients + 1) * sizeof *class);
  size_t *members = smtpf_task_alloc(t, (recipients + 1) * sizeof *members);
  if (!class || !members)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < recipients; i++) {
    class[i] = class_of(scans, n, r, user_of(t, r, i + 1));
    scans[class[i]].n_members++;
  }
  for (size_t k = 0; k < *n; k++) {
    scans[k].members = members;
    scans[k].for_all = *n == 1;
    for (size_t i = 0; i < recipients; i++)
      if (class[i] == k)
        *members++ = i + 1;
  }
  return SMTPF_OK;
}

/* Most scans an instance can have for so many recipients. */
static size_t most(const scanner_rules *r, size_t recipients)
{
  const size_t classes = r->per == SCANNER_PER_MESSAGE ? 1 : (size_t)r->classes + 1;
  return classes < recipients ? classes : recipients;
}

scanner_plan *scanner_plan_make(const scanner_set *set, smtpf_task *t, int own)
{
  const size_t recipients = smtpf_task_event(t)->recipients;
  scanner_plan *plan = smtpf_task_alloc(t, sizeof *plan);
  size_t room = 0;
  for (size_t i = 0; i < set->n; i++)
    room += most(&set->list[i], recipients);
  scanner_scan *scans = plan ? smtpf_task_alloc(t, (room + 1) * sizeof *scans) : NULL;
  if (!scans)
    return NULL;
  plan->scans = scans;
  for (size_t i = 0; i < set->n; i++) {
    size_t n = 0;
    if (own && !set->list[i].own_too)
      continue;
    if (share_out(scans + plan->n, &n, t, &set->list[i], recipients) != SMTPF_OK)
      return NULL;
    plan->n += n;
  }
  return plan;
}

const smtpf_str *scanner_addresses(smtpf_task *t, const scanner_scan *scan)
{
  smtpf_str *out = smtpf_task_alloc(t, (scan->n_members + 1) * sizeof *out);
  for (size_t i = 0; out && i < scan->n_members; i++)
    if (smtpf_task_recipient(t, scan->members[i], &out[i], NULL) != SMTPF_OK)
      out[i] = (smtpf_str){"", 0};
  return out;
}
