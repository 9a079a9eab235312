/* SPDX-License-Identifier: MIT
 *
 * One transaction of many commits. A commit whose changes cannot be made (a number added to what is none) leaves
 * nothing of itself behind and does not take the others with it: when it has written already, the transaction begins
 * again without it. What fails for all (disk full, map full and not to be grown) fails for all; nothing of it is on
 * disk.
 */
#include "lmdb.h"

#include <string.h>

enum { TRIES_MAX = 64 /* growth, another's growth, a new beginning: each a few times at most */ };

/* ---- one commit ----------------------------------------------------------------------------------- */

static int put(MDB_txn *txn, MDB_dbi dbi, const smtpf_stored *r)
{
  MDB_val k = {r->key.n, (void *)(uintptr_t)r->key.p}, v = {SMTPF_LMDB_HEAD + r->value.n, NULL};
  int rc = mdb_put(txn, dbi, &k, &v, MDB_RESERVE);
  if (rc != 0)
    return rc;
  unsigned char *p = v.mv_data;
  for (size_t i = 0; i < SMTPF_LMDB_HEAD; i++)
    p[i] = (unsigned char)((uint64_t)r->expires >> (8 * i));
  if (r->value.n)
    memcpy(p + SMTPF_LMDB_HEAD, r->value.p, r->value.n);
  return 0;
}

/* Only SET need not know what is there. 0, LMDB's error, or one of ours (-1 and below): this commit alone fails. */
static int apply_change(MDB_txn *txn, MDB_dbi dbi, const smtpf_change *c, int64_t wall, int *wrote)
{
  char room[SMTPF_VALUE_MAX];
  smtpf_stored old, becomes;
  MDB_val k = {c->key.n, (void *)(uintptr_t)c->key.p};
  int rc = c->op == SMTPF_CHANGE_SET ? MDB_NOTFOUND : smtpf_lmdb_find(txn, dbi, c->key, &old);
  if (rc != 0 && rc != MDB_NOTFOUND)
    return rc;
  const int expired = rc == 0 && smtpf_is_expired(old.expires, wall);
  const int effect = smtpf_change_effect(c, rc == 0 && !expired ? &old : NULL, room, &becomes);
  if (effect < 0 || (effect == SMTPF_EFFECT_NONE && !expired))
    return effect;
  *wrote = 1;
  return effect == SMTPF_EFFECT_PUT ? put(txn, dbi, &becomes) : mdb_del(txn, dbi, &k, NULL);
}

static int apply_job(MDB_txn *txn, MDB_dbi dbi, const smtpf_lmdb_job *job, int *wrote)
{
  int rc = 0;
  for (size_t i = 0; i < job->n && rc == 0; i++)
    rc = apply_change(txn, dbi, &job->changes[i], job->wall, wrote);
  return rc;
}

static int is_ours(int rc)
{
  return rc < 0 && rc >= SMTPF_EUNSUPPORTED;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

static int waits(const smtpf_lmdb_job *job)
{
  return job->kind == SMTPF_LMDB_COMMIT && job->status == 0;
}

/* One attempt. MDB_BAD_TXN: begin again, a commit that could not be made has been marked. */
static int attempt(smtpf_lmdb *env, smtpf_lmdb_job *jobs, size_t *waiting)
{
  MDB_txn *txn;
  if (!env->mdb || atomic_load(&env->broken))
    return MDB_PANIC;
  int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
  if (rc != 0)
    return rc;
  *waiting = 0;
  for (smtpf_lmdb_job *job = jobs; job && rc == 0; job = job->next) {
    int wrote = 0;
    if (!waits(job))
      continue;
    rc = apply_job(txn, env->dbi, job, &wrote);
    if (is_ours(rc)) {
      job->status = SMTPF_STORE_FAILED;
      rc = wrote ? MDB_BAD_TXN : 0;
    } else {
      ++*waiting;
    }
  }
  if (rc == 0)
    return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return rc;
}

/* What is still open ends so; all are counted. */
static void finish(smtpf_lmdb *env, smtpf_lmdb_job *jobs, int status)
{
  for (smtpf_lmdb_job *job = jobs; job; job = job->next) {
    if (waits(job))
      job->status = status;
    if (job->status == SMTPF_STORE_FAILED)
      atomic_fetch_add(&env->counts.failures, 1);
    else if (job->kind == SMTPF_LMDB_COMMIT)
      atomic_fetch_add(&env->counts.commits, 1);
  }
}

static int only_deletes(const smtpf_lmdb_job *job)
{
  for (size_t i = 0; i < job->n; i++)
    if (job->changes[i].op != SMTPF_CHANGE_DELETE)
      return 0;
  return 1;
}

/* The map is full and may not grow: what only deletes goes on, the rest fails. Whether anything is left. */
static int leave_deletes(smtpf_lmdb_job *jobs)
{
  int left = 0;
  for (smtpf_lmdb_job *job = jobs; job; job = job->next)
    if (waits(job)) {
      if (only_deletes(job))
        left = 1;
      else
        job->status = SMTPF_STORE_FAILED;
    }
  return left;
}

/* Whether another attempt may do better. */
static int mend(smtpf_lmdb *env, smtpf_lmdb_job *jobs, int rc, int *deleting)
{
  if (rc == MDB_BAD_TXN)
    return 1;
  if (rc == MDB_MAP_RESIZED)
    return smtpf_lmdb_adopt(env) == 0;
  if (rc == MDB_PANIC)
    return smtpf_lmdb_reopen(env) == 0;
  if (rc != MDB_MAP_FULL)
    return 0;
  if (smtpf_lmdb_grow(env, *deleting) == 0)
    return 1;
  env->urgent = 1;
  if (*deleting || !leave_deletes(jobs))
    return 0;
  *deleting = 1;
  return smtpf_lmdb_grow(env, 1) == 0;
}

void smtpf_lmdb_write(smtpf_lmdb *env, smtpf_lmdb_job *jobs)
{
  size_t waiting = 0, tries = 0;
  int rc, deleting = 0;
  for (smtpf_lmdb_job *job = jobs; job; job = job->next)
    if (job->kind != SMTPF_LMDB_COMMIT)
      job->status = smtpf_lmdb_adopt(env) == 0 ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED;
  do {
    rc = attempt(env, jobs, &waiting);
  } while (rc != 0 && (rc == MDB_BAD_TXN || tries++ < TRIES_MAX) && mend(env, jobs, rc, &deleting));
  finish(env, jobs, rc == 0 ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED);
  smtpf_lmdb_shrink(env);
  env->dirty |= rc == 0;
  if (rc == 0 && waiting)
    atomic_fetch_add(&env->counts.batches, 1);
  pthread_mutex_lock(&env->lock);
  smtpf_lmdb_health(env, &env->write_rc, deleting ? MDB_MAP_FULL : rc, "store-unwritable", NULL);
  pthread_mutex_unlock(&env->lock);
}
