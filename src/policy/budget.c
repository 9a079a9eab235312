/* SPDX-License-Identifier: MIT */
#include "budget.h"

#include "judge.h"

static int64_t get(const char *p)
{
  uint64_t v = 0;
  for (int i = 8; i-- > 0;)
    v = v << 8 | (unsigned char)p[i];
  return (int64_t)v;
}

static void put(char *p, int64_t value)
{
  uint64_t v = (uint64_t)value;
  for (int i = 0; i < 8; i++, v >>= 8)
    p[i] = (char)(v & 0xff);
}

int smtpf_budget_read(smtpf_budget *out, smtpf_str record)
{
  if (record.n != SMTPF_BUDGET_BYTES)
    return SMTPF_EPARSE;
  const smtpf_budget b = {get(record.p), get(record.p + 8), get(record.p + 16)};
  if (b.count < 1 || b.first_s < 0 || b.last_s < b.first_s)
    return SMTPF_EPARSE;
  *out = b;
  return SMTPF_OK;
}

smtpf_str smtpf_budget_write(const smtpf_budget *b, char room[SMTPF_BUDGET_BYTES])
{
  put(room, b->count);
  put(room + 8, b->first_s);
  put(room + 16, b->last_s);
  return (smtpf_str){room, SMTPF_BUDGET_BYTES};
}

/* Silent for so long that the next deferral begins anew. A clock that went back does not make it so. */
static int is_over(const smtpf_budget *b, const smtpf_budget_limits *l, int64_t now_s)
{
  return !b->count || now_s - b->last_s >= l->memory_s;
}

int smtpf_budget_state_of(const smtpf_budget *b, const smtpf_budget_limits *l, int64_t now_s)
{
  if (is_over(b, l, now_s))
    return l->count > 0 ? SMTPF_BUDGET_LEFT : SMTPF_BUDGET_SPENT;
  return b->count >= l->count || now_s - b->first_s >= l->time_s ? SMTPF_BUDGET_SPENT : SMTPF_BUDGET_LEFT;
}

void smtpf_budget_charge(smtpf_budget *b, const smtpf_budget_limits *l, int64_t now_s)
{
  if (is_over(b, l, now_s))
    *b = (smtpf_budget){1, now_s, now_s};
  else if (now_s - b->last_s >= l->wait_s || b->last_s - now_s >= l->wait_s) { /* also where the clock went back */
    b->count++;
    b->last_s = now_s;
    b->first_s = b->first_s < now_s ? b->first_s : now_s;
  }
}
