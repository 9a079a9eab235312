/* SPDX-License-Identifier: MIT
 *
 * The map of a cluster: which node owns which slot. Asked for at the start, and again, at most once a second, when it
 * proves wrong: MOVED, CLUSTERDOWN, a node that is lost. Whoever is up is asked; when nobody is, one after the other of
 * all nodes ever heard of, replicas too, which may be masters by now.
 */
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "redis.h"

enum { PAUSE = 1000 /* ms between two questions */ };

static void ask(smtpf_redis *s);

static void on_time(void *user)
{
  smtpf_redis *s = user;
  s->ask_timer = 0;
  if (s->asked)
    smtpf_redis_link_close(s->asked, "no answer in time");
  else if (s->map_wanted)
    ask(s);
}

static void start_timer(smtpf_redis *s, int64_t ms)
{
  if (s->ask_timer)
    smtpf_driver_timer_cancel(s->driver, s->ask_timer);
  if (smtpf_driver_timer(s->driver, ms, on_time, s, &s->ask_timer) != SMTPF_OK)
    s->ask_timer = 0;
}

int smtpf_redis_map_hopeful(const smtpf_redis *s)
{
  for (size_t i = 0; i < s->n_nodes; i++)
    if (smtpf_redis_link_hopeful(s->nodes[i]) && s->nodes[i]->state != SMTPF_REDIS_IDLE)
      return 1;
  return 0;
}

smtpf_redis_link *smtpf_redis_map_node(const smtpf_redis *s, size_t rank)
{
  for (size_t i = 0; i < s->n_nodes; i++)
    if (s->nodes[i]->in_map && s->nodes[i]->rank == rank)
      return s->nodes[i];
  return NULL;
}

/* ---- reading it --------------------------------------------------------------------------------------- */

/* `[address, port, ...]`; no address means the host that was asked. NULL when it is none we can reach. */
static smtpf_redis_link *node_of(smtpf_redis *s, const redisReply *r)
{
  smtpf_redis_address address;
  if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || r->element[1]->type != REDIS_REPLY_INTEGER ||
      r->element[1]->integer < 0)
    return NULL;
  smtpf_str host = smtpf_redis_text(r->element[0]);
  if (!host.n)
    host = smtpf_str_of(s->asked->address.host);
  if (smtpf_redis_address_of(host, (uint64_t)r->element[1]->integer, &address) != SMTPF_OK)
    return NULL;
  return smtpf_redis_node(s, &address);
}

static uint16_t number_of_node(const smtpf_redis *s, const smtpf_redis_link *link)
{
  size_t i = 0;
  while (s->nodes[i] != link)
    i++;
  return (uint16_t)(i + 1);
}

/* `[first, last, master, replicas ...]`. */
static int read_range(smtpf_redis *s, const redisReply *r)
{
  if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || r->element[0]->type != REDIS_REPLY_INTEGER ||
      r->element[1]->type != REDIS_REPLY_INTEGER)
    return SMTPF_EPARSE;
  const long long first = r->element[0]->integer, last = r->element[1]->integer;
  if (first < 0 || last < first || last >= SMTPF_REDIS_SLOTS)
    return SMTPF_EPARSE;
  smtpf_redis_link *master = node_of(s, r->element[2]);
  for (size_t i = 3; i < r->elements; i++)
    (void)node_of(s, r->element[i]);
  if (!master)
    return SMTPF_OK; /* these slots are nobody's */
  const uint16_t number = number_of_node(s, master);
  for (long long slot = first; slot <= last; slot++)
    s->slots[slot] = number;
  return SMTPF_OK;
}

static void rank_nodes(smtpf_redis *s)
{
  size_t ranks = 0;
  uint16_t before = 0;
  s->map_print = 1;
  for (size_t i = 0; i < s->n_nodes; i++)
    s->nodes[i]->in_map = 0;
  for (size_t slot = 0; slot < SMTPF_REDIS_SLOTS; slot++) {
    const uint16_t number = s->slots[slot];
    smtpf_redis_link *link = number ? s->nodes[number - 1] : NULL;
    if (link && !link->in_map) {
      link->in_map = 1;
      link->rank = ranks++;
    }
    if (number != before) {
      const uint64_t seed[2] = {s->map_print, slot};
      s->map_print = smtpf_siphash(seed, link ? link->address.text : "", link ? strlen(link->address.text) : 0);
    }
    before = number;
  }
}

static int read_map(smtpf_redis *s, const redisReply *r)
{
  if (r->type != REDIS_REPLY_ARRAY || r->elements == 0)
    return SMTPF_EPARSE;
  memset(s->slots, 0, SMTPF_REDIS_SLOTS * sizeof *s->slots);
  int code = SMTPF_OK;
  for (size_t i = 0; i < r->elements && code == SMTPF_OK; i++)
    code = read_range(s, r->element[i]);
  rank_nodes(s);
  return code;
}

/* ---- asking for it ------------------------------------------------------------------------------------ */

static void on_map(smtpf_redis_call *call, const redisReply *reply)
{
  smtpf_redis *s = SMTPF_OF(call, smtpf_redis, ask);
  smtpf_redis_link *from = s->asked;
  if (!reply || !from || s->stopping)
    return; /* the loss of the connection is told by itself */
  if (read_map(s, reply) == SMTPF_OK) {
    s->has_map = 1;
    s->map_wanted = 0;
  } else {
    smtpf_redis_log_error(s, from, SMTPF_REDIS_MAP,
                          reply->type == REDIS_REPLY_ERROR ? smtpf_redis_text(reply)
                                                           : SMTPF_LIT("no map of the cluster"));
    s->next++;
  }
  s->asked = NULL;
  start_timer(s, PAUSE);
  smtpf_redis_flush(s);
}

static smtpf_redis_link *who_is_up(smtpf_redis *s)
{
  for (size_t i = 0; i < s->n_nodes; i++) {
    smtpf_redis_link *link = s->nodes[(s->next + i) % s->n_nodes];
    if (link->state == SMTPF_REDIS_UP)
      return link;
  }
  return NULL;
}

static void ask(smtpf_redis *s)
{
  smtpf_redis_link *link = who_is_up(s);
  if (!link) {
    start_timer(s, PAUSE);
    link = s->nodes[s->next++ % s->n_nodes];
    if (link->state == SMTPF_REDIS_IDLE)
      smtpf_redis_link_open(link);
    return;
  }
  s->asked = link;
  s->map_at = smtpf_driver_now(s->driver);
  s->ask.fn = on_map;
  start_timer(s, s->settings.timeout_ms);
  if (smtpf_redis_send(link, &s->ask, SMTPF_LIT("*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n")) != SMTPF_OK)
    s->asked = NULL;
}

void smtpf_redis_map_refresh(smtpf_redis *s)
{
  s->map_wanted = 1;
  if (!s->asked && !s->ask_timer)
    ask(s);
}

void smtpf_redis_map_moved(smtpf_redis *s, uint16_t slot, smtpf_redis_link *to)
{
  if (!s->settings.cluster)
    return;
  s->slots[slot] = to ? number_of_node(s, to) : 0;
  s->map_print++; /* who scans must begin again */
  smtpf_redis_map_refresh(s);
}

void smtpf_redis_map_changed(smtpf_redis_link *link)
{
  smtpf_redis *s = link->store;
  if (link->state == SMTPF_REDIS_UP) {
    if (!s->has_map && !s->asked)
      ask(s);
    return;
  }
  if (link == s->asked) {
    s->asked = NULL;
    s->next++;
    start_timer(s, PAUSE);
  }
  if (link->in_map || !s->has_map)
    smtpf_redis_link_wait(link);
  smtpf_redis_map_refresh(s);
}
