/* SPDX-License-Identifier: MIT
 *
 * greylist_memory: what the greylist's records say at a time, and what is written when.
 *
 *   triplet's record                          standing    what follows
 *   none, or none of ours                     new         written, first = now; expires with the window; put off
 *   first within the wait                     early       put off; nothing is written
 *   wait over, window not                     waited      let through; written when the mail is taken, passes + 1
 *   window over, never let through            new         replaced
 *   let through, last within the memory       known       let through; last is written when a day has passed
 *   let through, last before that             new         replaced
 *
 * A clock that was wrong must not put anybody off for long. `first` in the future: the mail is new, and the join keeps
 * the lesser of both times. `last` more than a day in the future: replaced by what is true now.
 */
#include "greylist.h"

#define DAY (24 * 3600)

static greylist_view look_at_known(const greylist_times *t, smtpf_str record, greylist_view v, int64_t now)
{
  int64_t last = now;
  (void)smtpf_record_read(record, SMTPF_GREYLIST_LAST, &last);
  if (now - last > t->memory) {
    v.standing = GREYLIST_NEW;
    v.restart = 1;
    v.passes = v.own_passes = 0;
    return v;
  }
  v.standing = GREYLIST_KNOWN;
  v.stale = now - last >= DAY;
  if (last - now > DAY)
    v.stale = v.restart = 1;
  return v;
}

greylist_view greylist_look(const greylist_times *t, int kind, smtpf_str record, uint64_t node, int64_t now)
{
  greylist_view v = {.standing = GREYLIST_NEW, .first = now};
  if (!record.n || smtpf_record_kind(record) != kind)
    return v;
  v.passes = smtpf_record_total(record, SMTPF_GREYLIST_PASSES);
  v.own_passes = smtpf_record_of_node(record, SMTPF_GREYLIST_PASSES, node);
  if (v.passes > 0)
    return look_at_known(t, record, v, now);
  if (smtpf_record_read(record, SMTPF_GREYLIST_FIRST, &v.first) != SMTPF_OK || v.first > now) {
    v.first = now;
    return v;
  }
  if (now - v.first < t->wait)
    v.standing = GREYLIST_EARLY;
  else if (now - v.first <= t->window)
    v.standing = GREYLIST_WAITED;
  else
    v.restart = 1;
  return v;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

smtpf_str greylist_key(const greylist_subject *about, unsigned char out[SMTPF_DIGEST_BYTES])
{
  if (about->kind == SMTPF_GREYLIST_CLIENT)
    smtpf_greylist_client_key(about->identity, out);
  else
    smtpf_greylist_triplet_key(about->identity, about->sender, about->recipient, out);
  return (smtpf_str){(const char *)out, SMTPF_DIGEST_BYTES};
}

/* `passes` is this node's; 0 for none. */
static int write_record(greylist_change *out, const greylist_subject *about, int64_t first, int64_t last, uint64_t node,
                        int64_t passes)
{
  smtpf_record r;
  smtpf_record_begin(&r, out->value, sizeof out->value, about->kind);
  smtpf_record_number(&r, SMTPF_GREYLIST_FIRST, SMTPF_JOIN_MIN, first);
  smtpf_record_number(&r, SMTPF_GREYLIST_LAST, SMTPF_JOIN_MAX, last);
  if (passes)
    smtpf_record_count(&r, SMTPF_GREYLIST_PASSES, node, passes);
  smtpf_record_text(&r, SMTPF_GREYLIST_IDENTITY, about->identity);
  if (about->kind == SMTPF_GREYLIST_TRIPLET) {
    smtpf_record_text(&r, SMTPF_GREYLIST_SENDER, about->sender);
    smtpf_record_text(&r, SMTPF_GREYLIST_RECIPIENT, about->recipient);
  }
  return smtpf_record_end(&r, &out->change.value);
}

static void address(greylist_change *out, const greylist_subject *about, int op, int64_t expires)
{
  out->change = (smtpf_change){.size = sizeof out->change, .op = op, .expires = expires};
  out->change.key = greylist_key(about, out->key);
}

int greylist_begin(greylist_change *out, const greylist_subject *about, const greylist_times *times,
                   const greylist_view *v, int64_t now)
{
  address(out, about, v->restart ? SMTPF_CHANGE_SET : SMTPF_CHANGE_JOIN, now + times->window);
  return write_record(out, about, now, now, 0, 0);
}

int greylist_renew(greylist_change *out, const greylist_subject *about, const greylist_times *times,
                   const greylist_view *v, int pass, uint64_t node, int64_t now)
{
  const int64_t own = v->own_passes + (pass != 0);
  address(out, about, v->restart ? SMTPF_CHANGE_SET : SMTPF_CHANGE_JOIN, now + times->memory);
  /* What is replaced keeps at least one pass: it is known. */
  return write_record(out, about, v->first < now ? v->first : now, now, node, own ? own : v->restart);
}

void greylist_spend(greylist_change *out, const greylist_subject *about)
{
  address(out, about, SMTPF_CHANGE_DELETE, 0);
}
