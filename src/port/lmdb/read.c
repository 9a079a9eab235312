/* SPDX-License-Identifier: MIT
 *
 * Reading. Each driver keeps one read transaction, with its slot in the readers' table, and renews it for every get:
 * the newest state, no lock, and no reader that stays long and makes the file grow. What was found is copied and the
 * transaction reset before anybody is told.
 */
#include "lmdb.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { LOOK_MAX = 4096 /* records one answer of a scan looks at, live or not */ };

static const uint64_t SECOND_NS = 1000000000u;

/* ---- the gate ------------------------------------------------------------------------------------- */

void smtpf_lmdb_enter(smtpf_lmdb_driver *d)
{
  smtpf_lmdb *env = d->env;
  for (;;) {
    atomic_store(&d->reading, 1);
    if (!atomic_load(&env->gate))
      return;
    atomic_store(&d->reading, 0);
    pthread_mutex_lock(&env->lock); /* whoever closed the gate holds it until it is open again */
    pthread_mutex_unlock(&env->lock);
  }
}

void smtpf_lmdb_leave(smtpf_lmdb_driver *d)
{
  atomic_store_explicit(&d->reading, 0, memory_order_release);
}

/* ---- a transaction -------------------------------------------------------------------------------- */

/* The first one takes a slot. None is free: those of processes that died are looked for, once a second. */
static int begin(smtpf_lmdb_driver *d)
{
  smtpf_lmdb *env = d->env;
  int dead = 0;
  if (!env->mdb)
    return MDB_PANIC;
  if (d->txn)
    return mdb_txn_renew(d->txn);
  int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &d->txn);
  if (rc == MDB_READERS_FULL && smtpf_driver_now(d->driver) - d->looked_ns > SECOND_NS) {
    d->looked_ns = smtpf_driver_now(d->driver);
    if (mdb_reader_check(env->mdb, &dead) == 0 && dead > 0)
      rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &d->txn);
  }
  if (rc != 0)
    d->txn = NULL;
  atomic_store(&env->slot_taken, 1);
  return rc;
}

static void end(smtpf_lmdb_driver *d, int rc)
{
  if (!d->txn)
    return;
  if (rc == 0 || rc == MDB_NOTFOUND) {
    mdb_txn_reset(d->txn);
  } else if (rc != MDB_MAP_RESIZED) { /* then it stays as it was before */
    mdb_txn_abort(d->txn);
    d->txn = NULL;
  }
}

static void note(smtpf_lmdb_driver *d, int rc)
{
  smtpf_lmdb *env = d->env;
  if (rc != 0)
    atomic_fetch_add(&env->counts.failures, 1);
  if (rc == MDB_PANIC || rc == MDB_CORRUPTED)
    atomic_store(&env->broken, 1);
  pthread_mutex_lock(&env->lock);
  smtpf_lmdb_health(env, &env->read_rc, rc, "store-unreadable", NULL);
  pthread_mutex_unlock(&env->lock);
}

/* ---- get ------------------------------------------------------------------------------------------ */

static int64_t expires_of(const unsigned char *p)
{
  uint64_t v = 0;
  for (size_t i = SMTPF_LMDB_HEAD; i-- > 0;)
    v = v << 8 | p[i];
  return (int64_t)v;
}

int smtpf_lmdb_unpack(const MDB_val *key, const MDB_val *value, smtpf_stored *out)
{
  const char *p = value->mv_data;
  if (value->mv_size < SMTPF_LMDB_HEAD || value->mv_size > SMTPF_LMDB_HEAD + SMTPF_VALUE_MAX)
    return 0;
  *out = (smtpf_stored){sizeof *out,
                        {key->mv_data, key->mv_size},
                        {p + SMTPF_LMDB_HEAD, value->mv_size - SMTPF_LMDB_HEAD},
                        expires_of(value->mv_data)};
  return 1;
}

int smtpf_lmdb_find(MDB_txn *txn, MDB_dbi dbi, smtpf_str key, smtpf_stored *out)
{
  MDB_val k = {key.n, (void *)(uintptr_t)key.p}, v;
  int rc = mdb_get(txn, dbi, &k, &v);
  if (rc != 0)
    return rc;
  return smtpf_lmdb_unpack(&k, &v, out) ? 0 : MDB_CORRUPTED;
}

int smtpf_lmdb_get(smtpf_lmdb_driver *d, smtpf_str key, char room[SMTPF_VALUE_MAX], size_t *n)
{
  const int64_t wall = smtpf_driver_wall(d->driver);
  smtpf_stored found;
  int status = SMTPF_STORE_ABSENT;
  atomic_store_explicit(&d->wall, wall, memory_order_relaxed);
  smtpf_lmdb_enter(d);
  int rc = begin(d);
  if (rc == 0)
    rc = smtpf_lmdb_find(d->txn, d->env->dbi, key, &found);
  if (rc == 0 && !smtpf_is_expired(found.expires, wall)) {
    memcpy(room, found.value.p, found.value.n);
    *n = found.value.n;
    status = SMTPF_STORE_FOUND;
  }
  end(d, rc);
  smtpf_lmdb_leave(d);
  if (rc == 0 || rc == MDB_NOTFOUND) {
    if (d->failed)
      note(d, 0);
    d->failed = 0;
    return status;
  }
  if (rc == MDB_MAP_RESIZED)
    return 0;
  d->failed = 1;
  note(d, rc);
  return SMTPF_STORE_FAILED;
}

/* ---- scan ----------------------------------------------------------------------------------------- */

typedef struct page {
  smtpf_stored at[SMTPF_SCAN_MAX];
  size_t n, most;
  char last[SMTPF_KEY_MAX]; /* the key looked at last */
  size_t n_last;
  int more;
  char *room;
} page;

static int collect(smtpf_lmdb_driver *d, MDB_cursor *c, smtpf_str cursor, page *p)
{
  MDB_val k = {cursor.n, (void *)(uintptr_t)cursor.p}, v;
  const int64_t wall = smtpf_driver_wall(d->driver);
  int rc = mdb_cursor_get(c, &k, &v, cursor.n ? MDB_SET_RANGE : MDB_FIRST);
  if (rc == 0 && cursor.n && k.mv_size == cursor.n && memcmp(k.mv_data, cursor.p, cursor.n) == 0)
    rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
  for (size_t looked = 0; rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
    if (k.mv_size > SMTPF_KEY_MAX)
      continue; /* ours, not a record */
    if (p->n == p->most || looked++ == LOOK_MAX) {
      p->more = 1;
      return 0;
    }
    memcpy(p->last, k.mv_data, k.mv_size);
    p->n_last = k.mv_size;
    if (smtpf_lmdb_unpack(&k, &v, &p->at[p->n]) && !smtpf_is_expired(p->at[p->n].expires, wall))
      p->n++;
  }
  return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Out of the map, while the transaction is open. */
static int copy_page(smtpf_lmdb_driver *d, page *p)
{
  size_t n = 1;
  for (size_t i = 0; i < p->n; i++)
    n += p->at[i].key.n + p->at[i].value.n;
  char *at = p->room = smtpf_mem_alloc(d->mem, n);
  if (!at)
    return SMTPF_ENOMEM;
  for (size_t i = 0; i < p->n; i++) {
    smtpf_stored *r = &p->at[i];
    memcpy(at, r->key.p, r->key.n);
    memcpy(at + r->key.n, r->value.p, r->value.n);
    r->key.p = at;
    r->value.p = at + r->key.n;
    at += r->key.n + r->value.n;
  }
  return SMTPF_OK;
}

int smtpf_lmdb_scan(smtpf_lmdb_driver *d, smtpf_op op, smtpf_str cursor, size_t most)
{
  page p = {.most = most < SMTPF_SCAN_MAX ? most : SMTPF_SCAN_MAX};
  MDB_cursor *c = NULL;
  int code = SMTPF_OK;
  smtpf_lmdb_enter(d);
  int rc = begin(d);
  if (rc == 0)
    rc = mdb_cursor_open(d->txn, d->env->dbi, &c);
  if (rc == 0)
    rc = collect(d, c, cursor, &p);
  if (rc == 0)
    code = copy_page(d, &p);
  if (c)
    mdb_cursor_close(c);
  end(d, rc);
  smtpf_lmdb_leave(d);
  if (rc == MDB_MAP_RESIZED)
    return SMTPF_EBUSY;
  if (rc != 0) {
    note(d, rc);
    return SMTPF_EIO;
  }
  if (code != SMTPF_OK)
    return code;
  const smtpf_str next = p.more ? (smtpf_str){p.last, p.n_last} : (smtpf_str){NULL, 0};
  smtpf_op_scan(d->driver, op, p.more ? SMTPF_STORE_MORE : SMTPF_STORE_DONE, p.at, p.n, next);
  smtpf_mem_free(d->mem, p.room);
  return SMTPF_OK;
}
