/* SPDX-License-Identifier: MIT
 *
 * Which connection a request belongs to, and what becomes of connections: one server, the master that Sentinels name,
 * or the nodes of a cluster.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "redis.h"

static smtpf_redis_link *add(smtpf_redis *s, const smtpf_redis_address *address)
{
  void *array = s->nodes;
  if (s->n_nodes == SMTPF_REDIS_NODES)
    return NULL;
  const int r = smtpf_mem_grow(s->mem, &array, &s->cap_nodes, s->n_nodes + 1, sizeof *s->nodes);
  s->nodes = array;
  smtpf_redis_link *link = r == SMTPF_OK ? smtpf_mem_alloc(s->mem, sizeof *link) : NULL;
  if (!link)
    return NULL;
  smtpf_redis_link_init(link, s);
  if (address)
    link->address = *address;
  s->nodes[s->n_nodes++] = link;
  return link;
}

smtpf_redis_link *smtpf_redis_node(smtpf_redis *s, const smtpf_redis_address *address)
{
  for (size_t i = 0; i < s->n_nodes; i++)
    if (strcmp(s->nodes[i]->address.text, address->text) == 0)
      return s->nodes[i];
  return add(s, address);
}

int smtpf_redis_nodes_start(smtpf_redis *s)
{
  const smtpf_redis_settings *set = &s->settings;
  for (size_t i = 0; i < set->n_servers; i++) {
    smtpf_redis_link *link = smtpf_redis_node(s, &set->servers[i]);
    if (!link)
      return SMTPF_ENOMEM;
    link->is_sentinel = set->sentinel.n > 0;
  }
  if (set->sentinel.n) {
    s->master = add(s, NULL);
    if (!s->master)
      return SMTPF_ENOMEM;
    smtpf_redis_sentinel_ask(s);
    return SMTPF_OK;
  }
  if (set->cluster) {
    s->slots = smtpf_mem_zalloc(s->mem, SMTPF_REDIS_SLOTS * sizeof *s->slots);
    if (!s->slots)
      return SMTPF_ENOMEM;
    s->map_wanted = 1;
  } else {
    s->master = s->nodes[0];
  }
  for (size_t i = 0; i < s->n_nodes; i++)
    smtpf_redis_link_open(s->nodes[i]);
  return SMTPF_OK;
}

/* What nobody waits for and nobody has tried is tried now. */
static void wake(smtpf_redis *s, smtpf_redis_link *link)
{
  if (link->state != SMTPF_REDIS_IDLE || s->stopping)
    return;
  if (s->settings.sentinel.n)
    smtpf_redis_sentinel_ask(s);
  else
    smtpf_redis_link_open(link);
}

smtpf_redis_link *smtpf_redis_route(smtpf_redis *s, const smtpf_redis_request *q, int *hope)
{
  smtpf_redis_link *link = q->target;
  *hope = 0;
  if (!link && s->settings.cluster) {
    if (!s->has_map)
      *hope = smtpf_redis_map_hopeful(s);
    else if (q->rank)
      link = smtpf_redis_map_node(s, q->rank - 1);
    else if (s->slots[q->slot])
      link = s->nodes[s->slots[q->slot] - 1];
  } else if (!link) {
    link = s->master;
  }
  if (!link)
    return NULL;
  wake(s, link);
  *hope = smtpf_redis_link_hopeful(link);
  return link;
}

void smtpf_redis_changed(smtpf_redis_link *link)
{
  smtpf_redis *s = link->store;
  if (s->stopping)
    return;
  if (s->settings.sentinel.n)
    smtpf_redis_sentinel_changed(link);
  else if (s->settings.cluster)
    smtpf_redis_map_changed(link);
  else if (link->state != SMTPF_REDIS_UP)
    smtpf_redis_link_wait(link);
  smtpf_redis_flush(s);
}

void smtpf_redis_retry(smtpf_redis_link *link)
{
  smtpf_redis *s = link->store;
  if (s->settings.sentinel.n)
    smtpf_redis_sentinel_ask(s);
  else if (!s->settings.cluster || link->in_map || s->map_wanted)
    smtpf_redis_link_open(link);
}

/* The same again within a minute is no news. */
void smtpf_redis_log_error(smtpf_redis *s, const smtpf_redis_link *link, int error, smtpf_str text)
{
  const uint64_t now = smtpf_driver_now(s->driver);
  if (error == s->last_error && now - s->told_at < UINT64_C(60000000000))
    return;
  s->last_error = error;
  s->told_at = now;
  const smtpf_log_field fields[] = {
      {"store", SMTPF_LIT("redis")}, {"cause", text}, {"server", smtpf_str_of(link ? link->address.text : "")}};
  smtpf_driver_log(s->driver, SMTPF_LOG_WARNING, "store-error", fields, 3);
}
