/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "journal.h"
#include "port/port.h"

typedef struct reader {
  smtpf_journal_index *x;
  smtpf_map by_key;
  smtpf_link group; /* promises of a group whose end has not been seen */
} reader;

static void drop_all(const smtpf_mem *mem, smtpf_link *ring)
{
  while (!smtpf_list_empty(ring)) {
    smtpf_journal_open *o = SMTPF_OF(ring->next, smtpf_journal_open, link);
    smtpf_list_remove(&o->link);
    smtpf_mem_free(mem, o);
  }
}

static smtpf_str copy(char **at, smtpf_str s)
{
  smtpf_str out = {*at, s.n};
  if (s.n)
    memcpy(*at, s.p, s.n);
  *at += s.n;
  return out;
}

static smtpf_journal_open *make(const smtpf_mem *mem, const smtpf_record *r)
{
  size_t key = r->message.n + 1 + r->recipient.n;
  smtpf_journal_open *o = smtpf_mem_zalloc(mem, sizeof *o + key + r->sender.n + r->memory.n);
  if (!o)
    return NULL;
  char *at = o->bytes;
  o->promise = (smtpf_promise){sizeof(smtpf_promise), .disposition = r->disposition, .wall_s = r->wall_s};
  o->promise.message = copy(&at, r->message);
  *at++ = '\0';
  o->promise.recipient = copy(&at, r->recipient);
  o->promise.sender = copy(&at, r->sender);
  o->promise.memory = copy(&at, r->memory);
  o->key = (smtpf_str){o->bytes, key};
  smtpf_list_init(&o->link);
  return o;
}

/* The group counts. A promise made twice is open once. */
static int take_group(reader *d)
{
  while (!smtpf_list_empty(&d->group)) {
    smtpf_journal_open *o = SMTPF_OF(d->group.next, smtpf_journal_open, link);
    smtpf_journal_open *old = smtpf_map_get(&d->by_key, o->key);
    if (smtpf_map_set(&d->by_key, o->key, o) != SMTPF_OK)
      return SMTPF_ENOMEM;
    smtpf_list_remove(&o->link);
    smtpf_list_append(&d->x->open, &o->link);
    d->x->stats.promised++;
    d->x->stats.open += !old;
    if (old) {
      smtpf_list_remove(&old->link);
      smtpf_mem_free(d->x->mem, old);
    }
  }
  return SMTPF_OK;
}

static int promise(reader *d, const smtpf_record *r)
{
  smtpf_journal_open *o = make(d->x->mem, r);
  if (!o)
    return SMTPF_ENOMEM;
  smtpf_list_append(&d->group, &o->link);
  return r->more ? SMTPF_OK : take_group(d);
}

static int settle(reader *d, const smtpf_record *r)
{
  char key[SMTPF_JOURNAL_MESSAGE_MAX + 1 + SMTPF_JOURNAL_ADDRESS_MAX];
  if (take_group(d) != SMTPF_OK)
    return SMTPF_ENOMEM;
  memcpy(key, r->message.p, r->message.n);
  key[r->message.n] = '\0';
  memcpy(key + r->message.n + 1, r->recipient.p, r->recipient.n);
  smtpf_journal_open *o = smtpf_map_remove(&d->by_key, (smtpf_str){key, r->message.n + 1 + r->recipient.n});
  if (!o)
    return SMTPF_OK;
  smtpf_list_remove(&o->link);
  smtpf_mem_free(d->x->mem, o);
  d->x->stats.settled++;
  d->x->stats.open--;
  return SMTPF_OK;
}

static int damage(reader *d, const smtpf_found *f, const smtpf_journal_visitor *visitor)
{
  smtpf_journal_stats *s = &d->x->stats;
  if (s->damages++ == 0)
    s->damage_offset = f->offset;
  s->damaged += f->length;
  if (take_group(d) != SMTPF_OK)
    return SMTPF_ENOMEM;
  return visitor && visitor->damage ? visitor->damage(visitor->user, f->offset, f->length) : SMTPF_OK;
}

static int walk(reader *d, smtpf_walk *scan, const smtpf_journal_visitor *visitor)
{
  smtpf_found f;
  int step, r = SMTPF_OK;
  while (r == SMTPF_OK && (step = smtpf_walk_next(scan, &f)) != SMTPF_WALK_END) {
    switch (step) {
    case SMTPF_WALK_RECORD:
      r = f.record.type == SMTPF_RECORD_PROMISE ? promise(d, &f.record) : settle(d, &f.record);
      break;
    case SMTPF_WALK_DAMAGE: r = damage(d, &f, visitor); break;
    case SMTPF_WALK_TORN:
      drop_all(d->x->mem, &d->group);
      d->x->stats.torn = f.length;
      break;
    default: r = step;
    }
  }
  return r;
}

int smtpf_journal_index_read(smtpf_journal_index *x, const smtpf_mem *mem, int fd, uint64_t size,
                             const smtpf_journal_visitor *visitor)
{
  reader d = {.x = x};
  uint64_t seed[2];
  smtpf_walk scan;
  *x = (smtpf_journal_index){.mem = mem, .stats = {.size = sizeof x->stats, .bytes = size}};
  smtpf_list_init(&x->open);
  smtpf_list_init(&d.group);
  if (smtpf_random_system()->fill(NULL, seed, sizeof seed) != SMTPF_OK)
    return SMTPF_EIO;
  smtpf_map_init(&d.by_key, mem, seed);
  int r = smtpf_walk_init(&scan, mem, fd, 0, size);
  if (r == SMTPF_OK)
    r = walk(&d, &scan, visitor);
  smtpf_walk_free(&scan);
  drop_all(mem, &d.group);
  smtpf_map_free(&d.by_key);
  return r;
}

void smtpf_journal_index_free(smtpf_journal_index *x)
{
  drop_all(x->mem, &x->open);
}
