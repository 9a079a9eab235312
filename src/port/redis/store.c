/* SPDX-License-Identifier: MIT
 *
 * The store on Redis, for several servers that share what they know. What it promises is in redis.h, in
 * smtpfilter.conf(5), and in docs/decisions/0017-hiredis.md. Whatever goes wrong, an operation fails within its
 * deadline: the core then knows nothing, and mail passes.
 */
#include "base/mem.h"
#include "port/store/change.h"
#include "redis.h"

static void stop(void *self)
{
  smtpf_redis *s = self;
  if (!s)
    return;
  s->stopping = 1;
  const smtpf_op timers[] = {s->deadline, s->ask_timer, s->again_timer};
  for (size_t i = 0; i < 3; i++)
    if (timers[i])
      smtpf_driver_timer_cancel(s->driver, timers[i]);
  for (size_t i = 0; i < s->n_nodes; i++)
    smtpf_redis_link_close(s->nodes[i], NULL); /* gives back every call */
  smtpf_redis_flush(s);
  for (size_t i = 0; i < s->n_nodes; i++)
    smtpf_mem_free(s->mem, s->nodes[i]);
  smtpf_redis_rests_free(s);
  smtpf_redis_tls_stop(s);
  smtpf_mem_free(s->mem, s->nodes);
  smtpf_mem_free(s->mem, s->slots);
  smtpf_mem_free(s->mem, s);
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  (void)shared;
  smtpf_redis *s = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->driver = driver;
  s->mem = smtpf_driver_mem(driver);
  smtpf_list_init(&s->running);
  smtpf_list_init(&s->waiting);
  smtpf_list_init(&s->again);
  int r = smtpf_redis_settings_read(&s->settings, smtpf_driver_engine(driver));
  if (r == SMTPF_OK)
    r = smtpf_redis_tls_start(s);
  if (r == SMTPF_OK)
    r = smtpf_redis_nodes_start(s);
  if (r != SMTPF_OK) {
    stop(s);
    return r;
  }
  *self = s;
  return SMTPF_OK;
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  return smtpf_key_legal(key) ? smtpf_redis_get(self, op, key) : SMTPF_EINVAL;
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  return smtpf_changes_check(changes, n) == SMTPF_OK ? smtpf_redis_commit(self, op, changes, n) : SMTPF_EINVAL;
}

static int scan(void *self, smtpf_op op, smtpf_str cursor, size_t most)
{
  return smtpf_redis_scan_start(self, op, cursor, most);
}

/* What is under way comes back and finds no token. */
static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

/* Nobody is there, and somebody was looked for in vain. */
static void stats(void *self, smtpf_stat_fn fn, void *user)
{
  const smtpf_redis *s = self;
  int up = 0, down = 0;
  for (size_t i = 0; i < s->n_nodes; i++) {
    up |= s->nodes[i]->state == SMTPF_REDIS_UP && !s->nodes[i]->is_sentinel;
    down |= s->nodes[i]->told_down;
  }
  fn(user, "store.down", down && !up);
}

const smtpf_store *smtpf_store_redis(void)
{
  static const smtpf_store table = {sizeof table, "redis", start, get, commit, cancel, stop, scan, stats};
  return &table;
}
