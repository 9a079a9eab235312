/* SPDX-License-Identifier: MIT
 *
 * store_change: what the embedded stores share: which changes are legal, and what each makes of what is there. Pure.
 */
#ifndef SMTPF_PORT_STORE_CHANGE_H
#define SMTPF_PORT_STORE_CHANGE_H

#include <smtpfilter/ext/port.h>

enum {
  SMTPF_KEY_MAX = 64,
  SMTPF_VALUE_MAX = 4096,
  SMTPF_SCAN_MAX = 256, /* records in one answer of a scan, however many are asked for */
};

/* What becomes of the record. */
enum smtpf_effect {
  SMTPF_EFFECT_NONE = 0,
  SMTPF_EFFECT_PUT,    /* the value and its expiry are in *out */
  SMTPF_EFFECT_DELETE, /* it goes */
};

static inline int smtpf_key_legal(smtpf_str key)
{
  return key.n > 0 && key.n <= SMTPF_KEY_MAX;
}

/* A record is there for the whole second `expires` names. */
static inline int smtpf_is_expired(int64_t expires, int64_t wall)
{
  return expires && expires < wall;
}

/* SMTPF_OK or SMTPF_EINVAL. */
int smtpf_changes_check(const smtpf_change *changes, size_t n);

/* What a legal change makes of a live record; `old` is NULL when there is none. `out->value` lies in the change, in
 * `old` or in `room` (SMTPF_VALUE_MAX bytes). smtpf_effect, SMTPF_EINVAL (ADD to what is no number) or SMTPF_ELIMIT (a
 * join that does not fit). */
int smtpf_change_effect(const smtpf_change *change, const smtpf_stored *old, char *room, smtpf_stored *out);

#endif
