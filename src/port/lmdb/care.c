/* SPDX-License-Identifier: MIT
 *
 * What is done now and then, when nothing else is to do. Expiry walks the keys in small steps, round and round: a
 * record that has expired is absent already, taking it out only makes room. A step looks at a thousand records and
 * takes out what has expired in one short transaction; a store of a million is walked in a quarter of an hour.
 */
#include "lmdb.h"

#include <string.h>

#include "port/port.h"

enum {
  STEP = 1000,        /* records a step looks at */
  STEP_INLINE = 128,  /* the same when a client waits meanwhile */
  ONE_IN = 32,        /* commits without a thread take such a step */
  STEP_MS = 1000,     /* between steps */
  BUSY_MS = 20,       /* the same while steps find something */
  READERS_MS = 60000, /* between looks for readers that died */
  MEASURE_MS = 1000,  /* between looks at the map */
};

static const uint64_t MS = 1000000u;

/* ---- expiry --------------------------------------------------------------------------------------- */

/* One step from env->sweep_key on, inside a transaction. *found: records taken out. */
static int sweep_in(smtpf_lmdb *env, MDB_txn *txn, int64_t wall, size_t step, size_t *found)
{
  MDB_cursor *c;
  MDB_val k = {env->sweep_n, env->sweep_key}, v;
  size_t looked = 0;
  int rc = mdb_cursor_open(txn, env->dbi, &c);
  if (rc != 0)
    return rc;
  rc = mdb_cursor_get(c, &k, &v, env->sweep_n ? MDB_SET_RANGE : MDB_FIRST);
  for (; rc == 0 && looked < step; looked++, rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
    smtpf_stored r;
    if (k.mv_size > SMTPF_KEY_MAX || !smtpf_lmdb_unpack(&k, &v, &r) || !smtpf_is_expired(r.expires, wall))
      continue;
    if ((rc = mdb_cursor_del(c, 0)) != 0)
      break;
    ++*found;
  }
  env->sweep_n = 0;
  if (rc == 0 && k.mv_size <= SMTPF_KEY_MAX) {
    memcpy(env->sweep_key, k.mv_data, k.mv_size);
    env->sweep_n = k.mv_size;
  }
  mdb_cursor_close(c);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A full map must not keep from making room in it. */
static size_t sweep(smtpf_lmdb *env, int64_t wall, size_t step)
{
  MDB_txn *txn;
  size_t found = 0;
  if (!env->mdb || mdb_txn_begin(env->mdb, NULL, 0, &txn) != 0)
    return 0;
  int rc = sweep_in(env, txn, wall, step, &found);
  if (rc == 0 && found)
    rc = mdb_txn_commit(txn);
  else
    mdb_txn_abort(txn);
  env->dirty |= rc == 0 && found;
  if (rc == 0)
    atomic_fetch_add(&env->counts.expired, found);
  if (rc == MDB_MAP_FULL && smtpf_lmdb_grow(env, 1) == 0)
    return sweep(env, wall, step);
  smtpf_lmdb_shrink(env);
  return rc == 0 ? found : 0;
}

/* What all drivers agree has passed; 0 when none has said. */
static int64_t wall_of(smtpf_lmdb *env)
{
  int64_t least = 0;
  pthread_mutex_lock(&env->lock);
  for (smtpf_link *l = env->drivers.next; l != &env->drivers; l = l->next) {
    const int64_t wall = atomic_load_explicit(&SMTPF_OF(l, smtpf_lmdb_driver, in_env)->wall, memory_order_relaxed);
    if (l == env->drivers.next || wall < least)
      least = wall;
  }
  pthread_mutex_unlock(&env->lock);
  return least;
}

/* ---- what is due ---------------------------------------------------------------------------------- */

/* Whether `every` ms have passed since *last, which then is now. */
static int due(uint64_t *last, uint64_t now, uint64_t every)
{
  if (now - *last < every * MS)
    return 0;
  *last = now;
  return 1;
}

static void sync_batch(smtpf_lmdb *env)
{
  int rc = env->mdb ? mdb_env_sync(env->mdb, 1) : 0;
  env->dirty = rc != 0;
  if (rc == 0)
    return;
  pthread_mutex_lock(&env->lock);
  smtpf_lmdb_health(env, &env->write_rc, rc, "store-unwritable", NULL);
  pthread_mutex_unlock(&env->lock);
}

int64_t smtpf_lmdb_care(smtpf_lmdb *env, uint64_t now)
{
  const smtpf_lmdb_options *o = &env->options;
  if (atomic_load(&env->broken))
    (void)smtpf_lmdb_reopen(env);
  if (o->batch && env->dirty && due(&env->synced_ns, now, (uint64_t)o->sync_ms))
    sync_batch(env);
  smtpf_lmdb_measure_map(env, due(&env->measured_ns, now, MEASURE_MS));
  if (due(&env->checked_ns, now, READERS_MS))
    smtpf_lmdb_measure_readers(env, 1);
  else if (atomic_load(&env->slot_taken))
    smtpf_lmdb_measure_readers(env, 0);
  if (due(&env->swept_ns, now, env->urgent ? BUSY_MS : STEP_MS))
    env->urgent = sweep(env, wall_of(env), STEP) > 0 || (env->urgent && env->sweep_n);
  const int64_t next = env->urgent ? BUSY_MS : STEP_MS;
  return o->batch && env->dirty && o->sync_ms < next ? o->sync_ms : next;
}

void smtpf_lmdb_care_inline(smtpf_lmdb *env, int64_t wall)
{
  unsigned char bytes[9];
  const int urgent = env->urgent;
  env->urgent = 0;
  smtpf_lmdb_measure_map(env, 0);
  if (atomic_load(&env->slot_taken))
    smtpf_lmdb_measure_readers(env, 0);
  if (smtpf_random_system()->fill(NULL, bytes, sizeof bytes) != SMTPF_OK || (!urgent && bytes[8] % ONE_IN))
    return;
  memcpy(env->sweep_key, bytes, 8);
  env->sweep_n = 8;
  (void)sweep(env, wall, STEP_INLINE);
  smtpf_lmdb_measure_map(env, 1);
}
