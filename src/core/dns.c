/* SPDX-License-Identifier: MIT */
#include "dns.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "call.h"
#include "driver.h"

enum { NAME_MAX_LENGTH = 253, KEY_MAX = 2 + NAME_MAX_LENGTH };

/* One question at the resolver. */
typedef struct smtpf_dns_flight {
  smtpf_op_slot *slot; /* the port's operation */
  smtpf_link waiters;
  smtpf_str key;
  char bytes[KEY_MAX + 1]; /* type, name, NUL */
} smtpf_dns_flight;

/* What everybody gets when there is no memory for an answer. Never freed. */
static const smtpf_dns_entry no_memory = {
    .cached = {.refs = 1}, .lost = 1, .answer = {sizeof(smtpf_dns_answer), SMTPF_DNS_SERVFAIL, 0, 0, NULL}};

void smtpf_dns_init(smtpf_dns *dns, const smtpf_mem *mem, const uint64_t seed[2])
{
  smtpf_cache_init(&dns->cache, mem, seed);
  smtpf_map_init(&dns->flights, mem, seed);
}

void smtpf_dns_release(smtpf_driver *d, smtpf_dns_entry *e)
{
  if (e && e != &no_memory)
    smtpf_cache_release(&d->dns.cache, &e->cached);
}

static void end_flight(smtpf_driver *d, smtpf_dns_flight *f)
{
  smtpf_map_remove(&d->dns.flights, f->key);
  smtpf_op_give(&d->ops, f->slot);
  smtpf_mem_free(&d->mem, f);
}

void smtpf_dns_free(smtpf_driver *d)
{
  size_t i = 0;
  for (smtpf_map_entry *m; (m = smtpf_map_next(&d->dns.flights, &i));)
    smtpf_mem_free(&d->mem, m->value);
  smtpf_map_free(&d->dns.flights);
  smtpf_cache_free(&d->dns.cache);
}

/* type, then the name in lower case without a trailing dot. 0 when it is no name. */
static size_t make_key(char *out, int type, smtpf_str name)
{
  if (name.n && name.p[name.n - 1] == '.')
    name.n--;
  if (!name.n || name.n > NAME_MAX_LENGTH || memchr(name.p, '\0', name.n))
    return 0;
  out[0] = (char)(type >> 8);
  out[1] = (char)type;
  for (size_t i = 0; i < name.n; i++)
    out[2 + i] = smtpf_lower(name.p[i]);
  out[2 + name.n] = '\0';
  return 2 + name.n;
}

/* Who asked gets the entry, and a reference to it: a task when its session runs, a program at once. */
static void give_answer(smtpf_driver *d, smtpf_op_slot *slot, smtpf_dns_entry *e)
{
  if (slot->use == SMTPF_OP_CALL) {
    smtpf_call_dns(d, slot, &e->answer);
    smtpf_dns_release(d, e);
    return;
  }
  slot->dns = e;
  smtpf_driver_answered(d, slot);
}

/* The flight is over before anybody is told: a program that is told may ask the same again. */
static void answer_waiters(smtpf_driver *d, smtpf_dns_flight *f, smtpf_dns_entry *e)
{
  smtpf_link waiters;
  smtpf_list_init(&waiters);
  while (!smtpf_list_empty(&f->waiters)) {
    smtpf_op_slot *slot = SMTPF_OF(f->waiters.next, smtpf_op_slot, in_queue);
    smtpf_list_remove(&slot->in_queue);
    smtpf_list_append(&waiters, &slot->in_queue);
    slot->flight = NULL;
  }
  end_flight(d, f);
  while (!smtpf_list_empty(&waiters)) {
    smtpf_op_slot *slot = SMTPF_OF(waiters.next, smtpf_op_slot, in_queue);
    smtpf_list_remove(&slot->in_queue);
    if (e != &no_memory)
      e->cached.refs++;
    give_answer(d, slot, e);
  }
}

static int start_flight(smtpf_driver *d, smtpf_op_slot *waiter, const char *key, size_t n)
{
  smtpf_dns_flight *f = smtpf_mem_zalloc(&d->mem, sizeof *f);
  smtpf_op_slot *slot = f ? smtpf_op_take(&d->ops, SMTPF_OP_FLIGHT) : NULL;
  if (!slot) {
    smtpf_mem_free(&d->mem, f);
    return SMTPF_ENOMEM;
  }
  memcpy(f->bytes, key, n + 1);
  f->key = (smtpf_str){f->bytes, n};
  f->slot = slot;
  slot->flight = f;
  smtpf_list_init(&f->waiters);
  if (smtpf_map_set(&d->dns.flights, f->key, f) != SMTPF_OK) {
    smtpf_op_give(&d->ops, slot);
    smtpf_mem_free(&d->mem, f);
    return SMTPF_ENOMEM;
  }
  waiter->flight = f;
  smtpf_list_append(&f->waiters, &waiter->in_queue);
  d->stats[SMTPF_STAT_DNS_ASKED]++;
  const smtpf_op token = smtpf_op_token(slot);
  int r =
      d->ports.resolver->query(d->resolver, token, (unsigned char)key[0] << 8 | (unsigned char)key[1], f->bytes + 2);
  if (r != SMTPF_OK) {
    const smtpf_dns_answer failed = {sizeof failed, SMTPF_DNS_SERVFAIL, 0, 0, NULL};
    (void)smtpf_op_dns(d, token, &failed);
  }
  return SMTPF_OK;
}

int smtpf_dns_ask(smtpf_driver *d, smtpf_op_slot *slot, int type, smtpf_str name)
{
  char key[KEY_MAX + 1];
  size_t n = make_key(key, type, name);
  if (!n)
    return SMTPF_EINVAL;
  smtpf_cached *kept = smtpf_cache_get(&d->dns.cache, (smtpf_str){key, n}, d->now_ns);
  if (kept) {
    d->stats[SMTPF_STAT_DNS_CACHED]++;
    give_answer(d, slot, SMTPF_OF(kept, smtpf_dns_entry, cached));
    return SMTPF_OK;
  }
  smtpf_dns_flight *f = smtpf_map_get(&d->dns.flights, (smtpf_str){key, n});
  if (!f)
    return start_flight(d, slot, key, n);
  d->stats[SMTPF_STAT_DNS_JOINED]++;
  slot->flight = f;
  smtpf_list_append(&f->waiters, &slot->in_queue);
  return SMTPF_OK;
}

void smtpf_dns_leave(smtpf_driver *d, smtpf_op_slot *slot)
{
  smtpf_dns_flight *f = slot->flight;
  if (!f)
    return;
  slot->flight = NULL;
  smtpf_list_remove(&slot->in_queue);
  if (!smtpf_list_empty(&f->waiters))
    return;
  const smtpf_op token = smtpf_op_token(f->slot);
  end_flight(d, f);
  if (d->ports.resolver->cancel)
    d->ports.resolver->cancel(d->resolver, token);
}

/* One block: the entry, its key, its records, their texts. */
static smtpf_dns_entry *copy_answer(smtpf_driver *d, smtpf_str key, const smtpf_dns_answer *a)
{
  enum { RECORDS_MAX = 256 };
  const size_t n = a->count < RECORDS_MAX ? a->count : RECORDS_MAX;
  size_t texts = key.n;
  for (size_t i = 0; i < n; i++)
    texts += a->records[i].text.n + 1;
  smtpf_dns_entry *e = smtpf_mem_zalloc(&d->mem, sizeof *e + n * sizeof *a->records + texts);
  if (!e)
    return NULL;
  smtpf_dns_record *records = (smtpf_dns_record *)(void *)(e + 1);
  char *at = (char *)(records + n);
  memcpy(at, key.p, key.n);
  smtpf_cached_init(&e->cached, (smtpf_str){at, key.n});
  at += key.n;
  for (size_t i = 0; i < n; i++) {
    records[i] = a->records[i];
    if (records[i].text.n)
      memcpy(at, a->records[i].text.p, records[i].text.n);
    records[i].text.p = at;
    at += records[i].text.n + 1;
  }
  e->answer = (smtpf_dns_answer){sizeof e->answer, a->status, a->ttl, n, records};
  return e;
}

static void keep(smtpf_driver *d, smtpf_dns_entry *e)
{
  const smtpf_limits *l = &d->engine->limits;
  int64_t ms = (int64_t)e->answer.ttl * 1000;
  if (ms > l->cache_max)
    ms = l->cache_max;
  if (ms > 0)
    smtpf_cache_keep(&d->dns.cache, &e->cached, smtpf_timer_at(d->now_ns, ms), (size_t)l->cache);
}

int smtpf_op_dns(smtpf_driver *d, smtpf_op op, const smtpf_dns_answer *answer)
{
  smtpf_op_slot *slot = smtpf_op_find(&d->ops, op, SMTPF_OP_FLIGHT);
  if (!slot)
    return SMTPF_ENOTFOUND;
  smtpf_dns_flight *f = slot->flight;
  smtpf_dns_entry *e = copy_answer(d, f->key, answer);
  if (e) {
    keep(d, e);
    answer_waiters(d, f, e);
    smtpf_dns_release(d, e);
  } else {
    answer_waiters(d, f, (smtpf_dns_entry *)(uintptr_t)&no_memory);
  }
  return SMTPF_OK;
}
