/* SPDX-License-Identifier: MIT */
#include "op.h"

#include <string.h>

#include "base/mem.h"

enum { BLOCK = 32 };

void smtpf_ops_init(smtpf_op_table *t, const smtpf_mem *mem)
{
  *t = (smtpf_op_table){.mem = mem};
}

void smtpf_ops_free(smtpf_op_table *t)
{
  for (size_t i = 0; i < t->n; i++)
    smtpf_mem_free(t->mem, t->blocks[i]);
  smtpf_mem_free(t->mem, t->blocks);
  t->blocks = NULL;
  t->n = t->cap = 0;
  t->free = 0;
}

/* Slots never move: others point into them. */
static int add_block(smtpf_op_table *t)
{
  void *array = t->blocks;
  if (t->n >= UINT32_MAX / BLOCK - 1)
    return SMTPF_ELIMIT;
  int r = smtpf_mem_grow(t->mem, &array, &t->cap, t->n + 1, sizeof *t->blocks);
  t->blocks = array;
  if (r != SMTPF_OK)
    return r;
  smtpf_op_slot *block = smtpf_mem_zalloc(t->mem, BLOCK * sizeof *block);
  if (!block)
    return SMTPF_ENOMEM;
  for (uint32_t i = BLOCK; i-- > 0;) {
    block[i].place = (uint32_t)t->n * BLOCK + i;
    block[i].generation = 1;
    block[i].next_free = t->free;
    t->free = block[i].place + 1;
  }
  t->blocks[t->n++] = block;
  return SMTPF_OK;
}

smtpf_op_slot *smtpf_op_take(smtpf_op_table *t, int use)
{
  if (!t->free && add_block(t) != SMTPF_OK)
    return NULL;
  const uint32_t place = t->free - 1;
  smtpf_op_slot *s = &t->blocks[place / BLOCK][place % BLOCK];
  t->free = s->next_free;
  const uint32_t generation = s->generation;
  memset(s, 0, sizeof *s);
  s->place = place;
  s->generation = generation;
  s->use = (uint8_t)use;
  smtpf_list_init(&s->in_task);
  smtpf_list_init(&s->in_queue);
  return s;
}

void smtpf_op_give(smtpf_op_table *t, smtpf_op_slot *s)
{
  smtpf_list_remove(&s->in_task);
  smtpf_list_remove(&s->in_queue);
  s->use = SMTPF_OP_FREE;
  s->generation++;
  s->next_free = t->free;
  t->free = s->place + 1;
}

smtpf_op smtpf_op_token(const smtpf_op_slot *s)
{
  return (smtpf_op)s->generation << 32 | (s->place + 1);
}

smtpf_op_slot *smtpf_op_find(const smtpf_op_table *t, smtpf_op op, int use)
{
  const uint32_t place = (uint32_t)op - 1;
  if (!(uint32_t)op || place / BLOCK >= t->n)
    return NULL;
  smtpf_op_slot *s = &t->blocks[place / BLOCK][place % BLOCK];
  return s->use == use && s->generation == (uint32_t)(op >> 32) ? s : NULL;
}
