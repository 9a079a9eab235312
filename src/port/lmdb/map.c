/* SPDX-License-Identifier: MIT
 *
 * The map. It is made large from the beginning and costs address space alone; still it may be too small one day, or
 * another process finds it so. Moving it needs that nobody in this process reads or writes: the caller holds `work`,
 * and the gate keeps readers out for the few microseconds it takes.
 */
#include "lmdb.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "port/port.h"

static const size_t CUSHION_MIN = (size_t)1 << 20;

/* Opening anew is tried at once, then less and less often until there has been peace for a while. */
static const uint64_t MS = 1000000u, WAIT_FIRST = 100, WAIT_MAX = 30000, PEACE = 120000;

/* ---- nobody reads --------------------------------------------------------------------------------- */

static void close_gate(smtpf_lmdb *env)
{
  pthread_mutex_lock(&env->lock);
  atomic_store(&env->gate, 1);
  for (smtpf_link *l = env->drivers.next; l != &env->drivers; l = l->next)
    while (atomic_load(&SMTPF_OF(l, smtpf_lmdb_driver, in_env)->reading))
      sched_yield();
}

static void open_gate(smtpf_lmdb *env)
{
  atomic_store(&env->gate, 0);
  pthread_mutex_unlock(&env->lock);
}

/* The gate is closed. */
static int begin_anew(smtpf_lmdb *env)
{
  for (smtpf_link *l = env->drivers.next; l != &env->drivers; l = l->next) {
    smtpf_lmdb_driver *d = SMTPF_OF(l, smtpf_lmdb_driver, in_env);
    if (d->txn)
      mdb_txn_abort(d->txn);
    d->txn = NULL;
  }
  if (env->mdb)
    mdb_env_close(env->mdb);
  env->mdb = NULL;
  const char *why = NULL;
  int rc = smtpf_lmdb_open(env, &why);
  atomic_store(&env->broken, rc != 0);
  atomic_fetch_add(&env->counts.reopened, 1);
  smtpf_lmdb_health(env, &env->open_rc, rc, "store-failed", why);
  return rc;
}

/* When the next try may be. */
static void plan_reopening(smtpf_lmdb *env, uint64_t now)
{
  uint64_t wait = WAIT_FIRST;
  if (now - env->reopened_ns > PEACE * MS)
    env->reopenings = 0;
  for (unsigned i = 0; i < env->reopenings && wait < WAIT_MAX; i++)
    wait *= 2;
  env->reopenings++;
  env->reopened_ns = now;
  env->reopen_at_ns = now + (wait < WAIT_MAX ? wait : WAIT_MAX) * MS;
}

int smtpf_lmdb_reopen(smtpf_lmdb *env)
{
  const uint64_t now = smtpf_clock_system()->mono_ns(NULL);
  if (now < env->reopen_at_ns)
    return MDB_PANIC;
  plan_reopening(env, now);
  close_gate(env);
  int rc = begin_anew(env);
  if (rc == 0)
    smtpf_lmdb_say(env, SMTPF_LOG_NOTICE, "store-reopened", "it could not go on as it was");
  open_gate(env);
  return rc;
}

/* LMDB gives the old map up before it has the new one: without it there is nothing to go back to but the file. */
static int set_size(smtpf_lmdb *env, size_t size)
{
  MDB_envinfo info;
  if (!env->mdb)
    return MDB_PANIC;
  close_gate(env);
  int rc = mdb_env_set_mapsize(env->mdb, size);
  if (rc != 0 && rc != EINVAL && begin_anew(env) == 0)
    rc = MDB_MAP_FULL;
  if (rc == 0 && mdb_env_info(env->mdb, &info) == 0)
    env->options.map_size = info.me_mapsize;
  open_gate(env);
  return rc;
}

/* ---- its size ------------------------------------------------------------------------------------- */

int smtpf_lmdb_adopt(smtpf_lmdb *env)
{
  return set_size(env, 0);
}

static void say_size(smtpf_lmdb *env)
{
  char text[SMTPF_LMDB_TEXT];
  snprintf(text, sizeof text, "%zu bytes of %zu", env->options.map_size, env->options.map_max);
  pthread_mutex_lock(&env->lock);
  smtpf_lmdb_say(env, SMTPF_LOG_NOTICE, "store-grown", text);
  pthread_mutex_unlock(&env->lock);
}

int smtpf_lmdb_grow(smtpf_lmdb *env, int deleting)
{
  const size_t cushion = env->options.map_max / 16 > CUSHION_MIN ? env->options.map_max / 16 : CUSHION_MIN;
  const size_t most = env->options.map_max + (deleting ? cushion : 0), is = env->options.map_size;
  if (is >= most)
    return MDB_MAP_FULL;
  int rc = set_size(env, deleting || is > most / 2 ? most : 2 * is);
  env->cushioned |= rc == 0 && deleting;
  if (rc == 0)
    atomic_fetch_add(&env->counts.grown, 1);
  if (rc == 0 && !deleting)
    say_size(env);
  return rc;
}

void smtpf_lmdb_shrink(smtpf_lmdb *env)
{
  if (env->cushioned)
    (void)set_size(env, env->options.map_max);
  env->cushioned = 0;
}
