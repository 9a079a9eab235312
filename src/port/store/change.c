/* SPDX-License-Identifier: MIT */
#include "change.h"

#include <smtpfilter/ext/record.h>

enum { NUMBER = 8 /* bytes of a number */ };

static int is_legal(const smtpf_change *c)
{
  if (c->size < sizeof *c || !smtpf_key_legal(c->key) || c->value.n > SMTPF_VALUE_MAX)
    return 0;
  if (c->op == SMTPF_CHANGE_ADD)
    return c->value.n == NUMBER;
  if (c->op == SMTPF_CHANGE_JOIN)
    return smtpf_record_kind(c->value) != 0;
  return c->op == SMTPF_CHANGE_SET || c->op == SMTPF_CHANGE_SET_IF_ABSENT || c->op == SMTPF_CHANGE_DELETE;
}

int smtpf_changes_check(const smtpf_change *changes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!is_legal(&changes[i]))
      return SMTPF_EINVAL;
  return SMTPF_OK;
}

static int64_t number_of(smtpf_str v)
{
  uint64_t n = 0;
  for (size_t i = NUMBER; i-- > 0;)
    n = n << 8 | (unsigned char)v.p[i];
  return (int64_t)n;
}

static smtpf_str number_text(int64_t v, char *out)
{
  for (size_t i = 0; i < NUMBER; i++)
    out[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_str){out, NUMBER};
}

static int64_t add(int64_t a, int64_t b)
{
  if (b > 0 && a > INT64_MAX - b)
    return INT64_MAX;
  if (b < 0 && a < INT64_MIN - b)
    return INT64_MIN;
  return a + b;
}

static int64_t later(int64_t a, int64_t b)
{
  return !a || !b ? 0 : a > b ? a : b;
}

/* What is there and is no record of that kind is replaced. */
static int join(const smtpf_change *c, const smtpf_stored *old, char *room, smtpf_stored *out)
{
  int r = smtpf_record_join(old->value, c->value, room, SMTPF_VALUE_MAX, &out->value);
  if (r == SMTPF_EINVAL)
    return SMTPF_EFFECT_PUT;
  if (r != SMTPF_OK)
    return r;
  out->expires = later(old->expires, out->expires);
  return SMTPF_EFFECT_PUT;
}

int smtpf_change_effect(const smtpf_change *c, const smtpf_stored *old, char *room, smtpf_stored *out)
{
  *out = (smtpf_stored){sizeof *out, c->key, c->value, c->expires >= 0 ? c->expires : 1}; /* before 1970: gone */
  switch (c->op) {
  case SMTPF_CHANGE_DELETE: return old ? SMTPF_EFFECT_DELETE : SMTPF_EFFECT_NONE;
  case SMTPF_CHANGE_SET_IF_ABSENT: return old ? SMTPF_EFFECT_NONE : SMTPF_EFFECT_PUT;
  case SMTPF_CHANGE_ADD:
    if (old && old->value.n != NUMBER)
      return SMTPF_EINVAL;
    if (old)
      out->value = number_text(add(number_of(old->value), number_of(c->value)), room);
    return SMTPF_EFFECT_PUT;
  case SMTPF_CHANGE_JOIN: return old ? join(c, old, room, out) : SMTPF_EFFECT_PUT;
  default: return SMTPF_EFFECT_PUT;
  }
}
