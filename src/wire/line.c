/* SPDX-License-Identifier: MIT */
#include "wire/line.h"

#include <string.h>

#include "base/mem.h"

enum { FIRST_ROOM = 128 };

static void wipe(char *p, size_t n)
{
  for (volatile char *q = p; n; n--)
    *q++ = 0;
}

int smtpf_line_room(smtpf_line *l, const smtpf_mem *mem, size_t cap)
{
  if (cap <= l->cap)
    return SMTPF_OK;
  size_t want = l->cap ? l->cap : FIRST_ROOM;
  while (want < cap)
    want *= 2;
  char *p = smtpf_mem_alloc(mem, want);
  if (!p)
    return SMTPF_ENOMEM;
  if (l->n)
    memcpy(p, l->p, l->n);
  uint32_t n = l->n;
  smtpf_line_drop(l, mem);
  *l = (smtpf_line){p, n, (uint32_t)want};
  return SMTPF_OK;
}

void smtpf_line_drop(smtpf_line *l, const smtpf_mem *mem)
{
  if (l->p)
    wipe(l->p, l->cap);
  smtpf_mem_free(mem, l->p);
  *l = (smtpf_line){NULL, 0, 0};
}

int smtpf_line_take(smtpf_line *l, const smtpf_mem *mem, const char **in, size_t *n, size_t max, smtpf_str *out)
{
  if (!*n)
    return SMTPF_PENDING;
  size_t room = max - l->n;
  size_t look = *n < room ? *n : room;
  const char *lf = memchr(*in, '\n', look);
  size_t used = lf ? (size_t)(lf + 1 - *in) : look;
  int r = lf ? SMTPF_OK : used == room ? SMTPF_ELIMIT : SMTPF_PENDING;
  if (r == SMTPF_ELIMIT) {
    smtpf_line_drop(l, mem);
  } else if (r == SMTPF_OK && !l->n) {
    *out = (smtpf_str){*in, used};
  } else {
    if (smtpf_line_room(l, mem, l->n + used) != SMTPF_OK)
      return SMTPF_ENOMEM;
    memcpy(l->p + l->n, *in, used);
    l->n += (uint32_t)used;
    if (r == SMTPF_OK)
      *out = (smtpf_str){l->p, l->n};
  }
  *in += used;
  *n -= used;
  return r;
}
