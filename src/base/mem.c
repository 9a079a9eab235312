/* SPDX-License-Identifier: MIT */
#include "mem.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *user, size_t n)
{
  (void)user;
  return malloc(n);
}

static void *default_realloc(void *user, void *p, size_t n)
{
  (void)user;
  return realloc(p, n);
}

static void default_free(void *user, void *p)
{
  (void)user;
  free(p);
}

const smtpf_mem smtpf_mem_default = {sizeof(smtpf_mem), NULL, default_alloc, default_realloc, default_free};

smtpf_mem smtpf_mem_or_default(const smtpf_mem *mem)
{
  return mem ? *mem : smtpf_mem_default;
}

void *smtpf_mem_alloc(const smtpf_mem *mem, size_t n)
{
  return mem->alloc(mem->user, n ? n : 1);
}

void *smtpf_mem_zalloc(const smtpf_mem *mem, size_t n)
{
  void *p = smtpf_mem_alloc(mem, n);
  if (p)
    memset(p, 0, n);
  return p;
}

void smtpf_mem_free(const smtpf_mem *mem, void *p)
{
  if (p)
    mem->free(mem->user, p);
}

int smtpf_mem_grow(const smtpf_mem *mem, void **array, size_t *cap, size_t want, size_t size)
{
  if (want <= *cap)
    return SMTPF_OK;
  size_t n = *cap ? *cap : 4;
  while (n < want) {
    if (n > SIZE_MAX / 2)
      return SMTPF_ENOMEM;
    n *= 2;
  }
  if (n > SIZE_MAX / size)
    return SMTPF_ENOMEM;
  void *p = mem->realloc(mem->user, *array, n * size);
  if (!p)
    return SMTPF_ENOMEM;
  *array = p;
  *cap = n;
  return SMTPF_OK;
}
