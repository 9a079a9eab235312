/* SPDX-License-Identifier: MIT */
#include "tenure.h"

#include "base/mem.h"

static struct smtpf_tenure *of_engine(const smtpf_driver *d, const smtpf_engine *e)
{
  for (smtpf_link *l = d->tenures.next; l != &d->tenures; l = l->next) {
    struct smtpf_tenure *t = SMTPF_OF(l, struct smtpf_tenure, in_driver);
    if (t->engine == e)
      return t;
  }
  return NULL;
}

static void end(smtpf_driver *d, struct smtpf_tenure *t)
{
  smtpf_engine *e = t->engine;
  smtpf_list_remove(&t->in_driver);
  for (size_t i = 0; i < e->n_checks; i++)
    if (t->rooms[i].done && t->rooms[i].pointer)
      t->rooms[i].done(t->rooms[i].pointer);
  for (size_t i = 0; i < e->n_scanners; i++)
    if (t->instances[i] && e->scanners[i].type.scanner->stop)
      e->scanners[i].type.scanner->stop(t->instances[i]);
  smtpf_mem_free(&d->mem, t->instances);
  smtpf_mem_free(&d->mem, t);
  smtpf_engine_unref(e);
}

static struct smtpf_tenure *begin(smtpf_driver *d)
{
  const smtpf_engine *e = d->engine;
  struct smtpf_tenure *t = smtpf_mem_zalloc(&d->mem, sizeof *t + e->n_checks * sizeof *t->rooms);
  if (t && e->n_scanners && !(t->instances = smtpf_mem_zalloc(&d->mem, e->n_scanners * sizeof *t->instances))) {
    smtpf_mem_free(&d->mem, t);
    return NULL;
  }
  if (t) {
    t->engine = smtpf_engine_ref(d->engine);
    smtpf_list_append(&d->tenures, &t->in_driver);
  }
  return t;
}

struct smtpf_tenure *smtpf_tenure_enter(smtpf_driver *d)
{
  struct smtpf_tenure *t = of_engine(d, d->engine);
  if (!t)
    t = begin(d);
  if (t)
    t->sessions++;
  return t;
}

void smtpf_tenures_sweep(smtpf_driver *d)
{
  for (smtpf_link *l = d->tenures.next, *next; l != &d->tenures; l = next) {
    struct smtpf_tenure *t = SMTPF_OF(l, struct smtpf_tenure, in_driver);
    next = l->next;
    if (!t->sessions && t->engine != d->engine)
      end(d, t);
  }
}

void smtpf_tenure_leave(smtpf_driver *d, struct smtpf_tenure *t)
{
  t->sessions--;
  if (!t->sessions && t->engine != d->engine)
    end(d, t);
}

void smtpf_tenures_free(smtpf_driver *d)
{
  while (!smtpf_list_empty(&d->tenures))
    end(d, SMTPF_OF(d->tenures.next, struct smtpf_tenure, in_driver));
}

int smtpf_tenure_instance(smtpf_driver *d, struct smtpf_tenure *t, size_t scanner, void **out)
{
  const smtpf_scanner_entry *entry = &t->engine->scanners[scanner];
  int r = SMTPF_OK;
  if (!t->instances[scanner])
    r = entry->type.scanner->start(entry->type.shared, d, entry->settings, &t->instances[scanner]);
  if (r != SMTPF_OK)
    t->instances[scanner] = NULL;
  *out = t->instances[scanner];
  return r;
}

/* ---- counters ------------------------------------------------------------------------------------------ */

typedef struct prefixed {
  smtpf_stat_fn fn;
  void *user;
  smtpf_str scanner;
} prefixed;

/* What has no room is not told: half a name would be another's. */
static void with_prefix(void *user, const char *name, uint64_t value)
{
  const prefixed *p = user;
  char room[512];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room - 1);
  smtpf_out_cstr(&o, "scanner.");
  smtpf_out_str(&o, p->scanner);
  smtpf_out_char(&o, '.');
  smtpf_out_cstr(&o, name);
  room[o.n] = '\0';
  if (o.n < sizeof room - 1)
    p->fn(p->user, room, value);
}

void smtpf_tenures_stats(const smtpf_driver *d, smtpf_stat_fn fn, void *user)
{
  for (const smtpf_link *l = d->tenures.next; l != &d->tenures; l = l->next) {
    const struct smtpf_tenure *t = SMTPF_OF(l, struct smtpf_tenure, in_driver);
    for (size_t i = 0; i < t->engine->n_scanners && t->engine == d->engine; i++) {
      const smtpf_scanner_entry *entry = &t->engine->scanners[i];
      prefixed p = {fn, user, entry->name};
      if (t->instances[i] && entry->type.scanner->stats)
        entry->type.scanner->stats(t->instances[i], with_prefix, &p);
    }
  }
}
