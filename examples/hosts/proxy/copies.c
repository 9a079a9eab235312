/* SPDX-License-Identifier: MIT
 *
 * What the verdict says of each copy, which copies leave as one, and what became of them.
 */
#include <errno.h>
#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

#define WORDS_MAX 2000 /* of a hop's reply */

/* ---- header edits that are a recipient's own ------------------------------------------------------ */

static uint64_t digest(uint64_t h, const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    h = (h ^ (unsigned char)p[i]) * 0x100000001b3U; /* FNV-1a */
  return h;
}

/* One for each recipient; 0 for no edits of its own. NULL without memory. */
static uint64_t *digests(const transaction *t, const smtpf_verdict *v)
{
  uint64_t *own = calloc(t->n + 1, sizeof *own);
  for (size_t i = 0, n = own ? smtpf_verdict_edit_count(v) : 0; i < n; i++) {
    smtpf_edit_info e = {.size = sizeof e};
    if (smtpf_verdict_edit(v, i, &e) || e.recipient >= t->n)
      continue;
    uint64_t h = own[e.recipient] ? own[e.recipient] : 0xcbf29ce484222325U;
    h = digest(h, (const char *)&e.op, sizeof e.op);
    h = digest(h, (const char *)&e.occurrence, sizeof e.occurrence);
    h = digest(h, e.name.p, e.name.n);
    h = digest(h, "", 1);
    own[e.recipient] = digest(h, e.value.p, e.value.n);
  }
  return own;
}

/* The next edit of recipient `r` alone, from `*i` on. 0 when there is none. */
static int next_own(const smtpf_verdict *v, size_t r, size_t *i, smtpf_edit_info *e)
{
  for (size_t n = smtpf_verdict_edit_count(v); *i < n;) {
    *e = (smtpf_edit_info){.size = sizeof *e};
    if (smtpf_verdict_edit(v, (*i)++, e) == SMTPF_OK && e->recipient == r)
      return 1;
  }
  return 0;
}

static int same_string(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && (!a.n || !memcmp(a.p, b.p, a.n));
}

static int same_edits(const smtpf_verdict *v, size_t a, size_t b)
{
  smtpf_edit_info x, y;
  for (size_t i = 0, j = 0;;) {
    const int more = next_own(v, a, &i, &x);
    if (more != next_own(v, b, &j, &y))
      return 0;
    if (!more)
      return 1;
    if (x.op != y.op || x.occurrence != y.occurrence || !same_string(x.name, y.name) || !same_string(x.value, y.value))
      return 0;
  }
}

/* ---- groups -------------------------------------------------------------------------------------- */

static uint32_t add_group(transaction *t, const group *g)
{
  group *p = realloc(t->groups, (t->n_groups + 1) * sizeof *p);
  if (!p)
    return 0;
  t->groups = p;
  p[t->n_groups++] = *g;
  return (uint32_t)t->n_groups;
}

/* The envelope sender of a copy: the client's own path unless the verdict names another, for a forward or for own mail
 * that is signed. */
static kept sender_of(transaction *t, const recipient *r, const smtpf_recipient_info *info)
{
  if (r->stays || transaction_path_is(t, t->sender, info->sender))
    return t->sender;
  return transaction_keep(t, info->sender, 1);
}

/* The group that a copy can join, from 1; 0 for none yet. Without `proxy.split` there is one for all that go by one
 * leg.
 */
static uint32_t find_group(const transaction *t, const smtpf_verdict *v, size_t i, kept sender, uint64_t edits)
{
  for (size_t k = 0; k < t->n_groups; k++) {
    const group *g = &t->groups[k];
    if (g->quarantine || g->done || g->leg != copies_leg(&t->rcpt[i], (int)t->rcpt[i].destination))
      continue;
    if (!t->settings->split)
      return (uint32_t)k + 1;
    if (g->edits == edits && t->rcpt[g->first].stays == t->rcpt[i].stays &&
        t->rcpt[g->first].destination == t->rcpt[i].destination &&
        same_string(transaction_string(t, g->sender), transaction_string(t, sender)) &&
        (!edits || same_edits(v, g->first, i)))
      return (uint32_t)k + 1;
  }
  return 0;
}

static int join_group(transaction *t, const smtpf_verdict *v, size_t i, kept sender, uint64_t edits)
{
  recipient *r = &t->rcpt[i];
  const uint32_t by = (uint32_t)copies_leg(r, (int)r->destination);
  r->group = find_group(t, v, i, sender, edits);
  if (!r->group)
    r->group = add_group(t, &(group){.first = i, .sender = sender, .leg = by, .edits = edits});
  if (!r->group || t->strings.failed)
    return ENOMEM;
  if (r->dsn == SMTPF_DSN_HEADERS_ONLY)
    t->groups[r->group - 1].quiet = 1;
  return 0;
}

/* The quarantine address is sent to with the null sender: what fails there later is not the sender's affair. */
static int join_quarantine(transaction *t, size_t i)
{
  for (size_t k = 0; k < t->n_groups && !t->rcpt[i].group; k++)
    if (t->groups[k].quarantine)
      t->rcpt[i].group = (uint32_t)k + 1;
  if (t->rcpt[i].group)
    return 0;
  const kept sender = transaction_keep(t, SMTPF_LIT(""), 1);
  const smtpf_str to = smtpf_str_of(t->settings->quarantine_redirect);
  if (!transaction_hop_leg(t, to, &t->quarantine_leg))
    return ENOMEM;
  t->rcpt[i].group = add_group(t, &(group){.first = i, .sender = sender, .leg = t->quarantine_leg, .quarantine = 1});
  return t->rcpt[i].group && !t->strings.failed ? 0 : ENOMEM;
}

/* Where the copy goes was perhaps asked of the hop at RCPT already. */
static int take_forward(transaction *t, recipient *r, smtpf_str forward)
{
  if (transaction_path_is(t, r->forward, forward))
    return 0;
  t->legs[r->leg].stray |= r->seat[TO_FORWARD].place != 0;
  r->seat[TO_FORWARD] = (seat){0};
  r->forward = transaction_keep(t, forward, 1);
  r->leg = r->home;
  return transaction_forward_leg(t, forward, &r->leg) ? 0 : ENOMEM;
}

static int sort_one(transaction *t, const smtpf_verdict *v, size_t i, uint64_t edits)
{
  recipient *r = &t->rcpt[i];
  smtpf_recipient_info info = {.size = sizeof info};
  if (smtpf_verdict_recipient(v, i, &info))
    return 0;
  r->disposition = (unsigned char)info.disposition;
  r->dsn = (unsigned char)info.dsn;
  r->open = !info.final && !info.known;
  r->origin = (unsigned char)info.origin;
  if (!r->open)
    return 0;
  switch (info.disposition) {
  case SMTPF_QUARANTINED: return t->settings->quarantine_directory ? 0 : join_quarantine(t, i);
  case SMTPF_DELIVERED:
  case SMTPF_TAGGED:
    r->destination = info.route == SMTPF_ROUTE_FORWARD && info.forward.n && !r->stays ? TO_FORWARD : TO_MAILBOX;
    if (r->destination == TO_FORWARD && take_forward(t, r, info.forward))
      return ENOMEM;
    return join_group(t, v, i, sender_of(t, r, &info), edits);
  default: return 0; /* dropped: its recipient asked for it */
  }
}

int copies_sort(transaction *t, const smtpf_verdict *v)
{
  uint64_t *own = digests(t, v);
  int e = own ? 0 : ENOMEM;
  for (size_t i = 0; i < t->n && !e; i++)
    e = sort_one(t, v, i, own[i]);
  free(own);
  t->differ = t->each || t->n_groups > 1;
  for (size_t i = 0; i < t->n; i++)
    t->differ |= t->rcpt[i].destination == TO_FORWARD;
  return e;
}

/* One of a group's members goes by another leg than its first: to others of that group who do, or alone. */
static int move(transaction *t, size_t i, size_t n_before)
{
  recipient *r = &t->rcpt[i];
  const group from = t->groups[r->group - 1];
  for (size_t k = n_before; k < t->n_groups; k++)
    if (t->groups[k].leg == r->leg && t->groups[k].edits == from.edits &&
        transaction_same_string(t, t->groups[k].sender, from.sender)) {
      r->group = (uint32_t)k + 1;
      return 1;
    }
  group g = from;
  g.first = i;
  g.leg = r->leg;
  r->group = add_group(t, &g);
  return r->group != 0;
}

int copies_reroute(transaction *t, size_t on)
{
  const size_t n_before = t->n_groups;
  if (t->asked.forward.n && t->asked.leg == on &&
      !transaction_hop_leg(t, transaction_string(t, t->asked.forward), &t->asked.leg))
    return 0;
  for (size_t i = 0; i < t->n; i++) {
    recipient *r = &t->rcpt[i];
    if (r->leg != on)
      continue;
    if (!transaction_hop_leg(t, transaction_string(t, r->forward), &r->leg))
      return 0;
    if (!r->group || r->result || r->destination != TO_FORWARD)
      continue;
    group *g = &t->groups[r->group - 1];
    if (g->leg == on && !g->done) {
      g->leg = r->leg;
      g->first = i;
    } else if (g->leg != r->leg && !g->done && !move(t, i, n_before)) {
      return 0;
    }
  }
  return 1;
}

int copies_keep(transaction *t, size_t i)
{
  recipient *r = &t->rcpt[i];
  const uint64_t edits = t->groups[r->group - 1].edits;
  r->destination = TO_MAILBOX;
  r->stays = 1;
  return !join_group(t, smtpf_session_verdict(t->session), i, t->sender, edits);
}

/* ---- what became of them -------------------------------------------------------------------------- */

kept copies_words(transaction *t, smtpf_str words)
{
  const int failed = t->strings.failed;
  const kept k = transaction_keep(t, (smtpf_str){words.p, words.n < WORDS_MAX ? words.n : WORDS_MAX}, 0);
  t->strings.failed = failed; /* words can be done without */
  return k;
}

void copies_settle(recipient *r, int result, int code, const char *enhanced, kept words)
{
  const size_t n = strlen(enhanced);
  if (!r->open || r->result)
    return;
  r->result = (unsigned char)result;
  r->code = (uint16_t)code;
  r->words = words;
  memcpy(r->enhanced, enhanced, n < sizeof r->enhanced ? n : 0);
  r->enhanced[n < sizeof r->enhanced ? n : 0] = 0;
}

void copies_settle_rest(transaction *t, uint32_t of, int result, int code, const char *enhanced, smtpf_str words)
{
  const kept k = copies_words(t, words);
  for (size_t i = 0; i < t->n; i++)
    if (!of || t->rcpt[i].group == of)
      copies_settle(&t->rcpt[i], result, code, enhanced, k);
}

int copies_code(const recipient *r)
{
  if (r->code)
    return r->code;
  if (r->result != SMTPF_COMMIT_FAILED)
    return 250;
  return strcmp(r->enhanced, "4.3.1") ? 451 : 452;
}

const recipient *copies_speaker(const transaction *t)
{
  static const int order[] = {SMTPF_COMMIT_FAILED, SMTPF_COMMIT_REFUSED, SMTPF_COMMIT_OK};
  const recipient *speaker = NULL;
  for (size_t k = 0; k < 3 && !speaker; k++)
    for (size_t i = 0; i < t->n; i++)
      if (t->rcpt[i].result == order[k] && (!speaker || (!speaker->words.n && t->rcpt[i].words.n)))
        speaker = &t->rcpt[i];
  return speaker;
}
