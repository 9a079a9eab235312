/* SPDX-License-Identifier: MIT */
#include "spool.h"

#include <string.h>

#include "base/mem.h"

enum { BLOCK = 16384, WINDOW = 65536 };

void smtpf_spooled_init(smtpf_spooled *sp, smtpf_driver *d, const smtpf_engine *e, int fd)
{
  *sp = (smtpf_spooled){.driver = d, .engine = e, .fd = fd, .of_host = fd >= 0, .whole = fd >= 0};
}

static void free_blocks(smtpf_spooled *sp)
{
  smtpf_driver *d = sp->driver;
  for (size_t i = 0; i < sp->n_blocks; i++)
    smtpf_mem_free(&d->mem, sp->blocks[i]);
  smtpf_mem_free(&d->mem, sp->blocks);
  d->spooled -= sp->n_blocks * BLOCK;
  sp->blocks = NULL;
  sp->n_blocks = sp->cap_blocks = 0;
}

void smtpf_spooled_free(smtpf_spooled *sp)
{
  const smtpf_ports *p = &sp->driver->ports;
  free_blocks(sp);
  if (sp->fd >= 0 && !sp->of_host)
    p->spool->close(p->spool_shared, sp->fd);
  sp->fd = -1;
}

/* ---- adding ---------------------------------------------------------------------------------------------------------
 */

static int may_add_block(const smtpf_spooled *sp)
{
  const smtpf_limits *l = &sp->engine->limits;
  return sp->n_blocks * BLOCK + BLOCK <= (uint64_t)l->spool_memory &&
         sp->driver->spooled + BLOCK <= (uint64_t)l->spool_total;
}

static int add_block(smtpf_spooled *sp)
{
  smtpf_driver *d = sp->driver;
  void *array = sp->blocks;
  const int r = smtpf_mem_grow(&d->mem, &array, &sp->cap_blocks, sp->n_blocks + 1, sizeof *sp->blocks);
  sp->blocks = array;
  char *block = r == SMTPF_OK ? smtpf_mem_alloc(&d->mem, BLOCK) : NULL;
  if (!block)
    return SMTPF_ENOMEM;
  sp->blocks[sp->n_blocks++] = block;
  d->spooled += BLOCK;
  return SMTPF_OK;
}

/* As much as memory takes. Once something is in the file the rest follows it. */
static size_t add_to_memory(smtpf_spooled *sp, const char *bytes, size_t n)
{
  size_t took = 0;
  while (took < n && sp->fd < 0) {
    const size_t used = (size_t)(sp->in_memory % BLOCK);
    if (sp->in_memory == (uint64_t)sp->n_blocks * BLOCK && (!may_add_block(sp) || add_block(sp) != SMTPF_OK))
      break;
    const size_t room = BLOCK - used, part = n - took < room ? n - took : room;
    memcpy(sp->blocks[sp->in_memory / BLOCK] + used, bytes + took, part);
    sp->in_memory += part;
    took += part;
  }
  return took;
}

static int open_file(smtpf_spooled *sp)
{
  const smtpf_ports *p = &sp->driver->ports;
  return sp->fd >= 0 ? SMTPF_OK : p->spool->open(p->spool_shared, sp->engine->spool_path, &sp->fd);
}

static int fail(smtpf_spooled *sp)
{
  sp->failed = 1;
  sp->whole = 0;
  free_blocks(sp);
  return SMTPF_EIO;
}

int smtpf_spooled_add(smtpf_spooled *sp, const char *bytes, size_t n)
{
  const smtpf_ports *p = &sp->driver->ports;
  if (sp->failed)
    return SMTPF_EIO;
  const size_t kept = sp->of_host ? n : add_to_memory(sp, bytes, n);
  if (kept < n && (open_file(sp) != SMTPF_OK ||
                   p->spool->write(p->spool_shared, sp->fd, sp->size + kept, bytes + kept, n - kept) != SMTPF_OK))
    return fail(sp);
  sp->size += n;
  return SMTPF_OK;
}

/* ---- reading --------------------------------------------------------------------------------------------------------
 */

static int has_window(smtpf_driver *d)
{
  if (!d->spool_window)
    d->spool_window = smtpf_mem_alloc(&d->mem, WINDOW);
  return d->spool_window != NULL;
}

/* What is in memory from `at` on. Of several blocks one piece is made: a copy costs less than a write for each. */
static smtpf_str look_at_memory(smtpf_spooled *sp, uint64_t at)
{
  smtpf_driver *d = sp->driver;
  const uint64_t rest = sp->in_memory - at, in_block = BLOCK - at % BLOCK;
  const char *first = sp->blocks[at / BLOCK] + at % BLOCK;
  if (rest <= in_block || !has_window(d))
    return (smtpf_str){first, (size_t)(rest < in_block ? rest : in_block)};
  const size_t n = (size_t)(rest < WINDOW ? rest : WINDOW);
  for (size_t got = 0, part; got < n; got += part) {
    const size_t place = (size_t)(at + got) % BLOCK;
    part = n - got < BLOCK - place ? n - got : BLOCK - place;
    memcpy(d->spool_window + got, sp->blocks[(at + got) / BLOCK] + place, part);
  }
  return (smtpf_str){d->spool_window, n};
}

int smtpf_spooled_look(smtpf_spooled *sp, uint64_t at, smtpf_str *out)
{
  smtpf_driver *d = sp->driver;
  if (sp->failed || at > sp->size)
    return SMTPF_EIO;
  if (at < sp->in_memory) {
    *out = look_at_memory(sp, at);
    return SMTPF_OK;
  }
  const uint64_t rest = sp->size - at;
  size_t got = 0;
  if (!has_window(d))
    return SMTPF_ENOMEM;
  if (rest && (d->ports.spool->read(d->ports.spool_shared, sp->fd, at, d->spool_window,
                                    (size_t)(rest < WINDOW ? rest : WINDOW), &got) != SMTPF_OK ||
               !got))
    return SMTPF_EIO;
  *out = (smtpf_str){d->spool_window, got};
  return SMTPF_OK;
}

int smtpf_spooled_fd(smtpf_spooled *sp)
{
  const smtpf_ports *p = &sp->driver->ports;
  if (sp->failed)
    return -1;
  if (sp->whole)
    return sp->fd;
  if (open_file(sp) != SMTPF_OK)
    return -1;
  for (uint64_t at = 0; at < sp->in_memory; at += BLOCK) {
    const uint64_t rest = sp->in_memory - at;
    if (p->spool->write(p->spool_shared, sp->fd, at, sp->blocks[at / BLOCK], (size_t)(rest < BLOCK ? rest : BLOCK)) !=
        SMTPF_OK)
      return -1;
  }
  sp->whole = 1;
  return sp->fd;
}
