/* SPDX-License-Identifier: MIT
 *
 * Environments. LMDB must not open a file twice in one process: closing the second would drop the locks of the first.
 * So all drivers of a process share one, found by its folder. After fork(2) the child leaves what it inherited alone.
 */
#define _GNU_SOURCE
#include "lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static smtpf_lmdb *environments; /* registry */

/* Longer than any record's key. */
static const char format_key[] = "smtpfilter store: the format of what is here, little-endian, 4 bytes";

int smtpf_lmdb_same_process(const smtpf_lmdb *env)
{
  return smtpf_process_same(&env->process);
}

/* ---- opening -------------------------------------------------------------------------------------- */

static int read_format(MDB_txn *txn, MDB_dbi dbi, uint32_t *out)
{
  MDB_val key = {sizeof format_key - 1, (void *)(uintptr_t)format_key}, value;
  int rc = mdb_get(txn, dbi, &key, &value);
  if (rc != 0)
    return rc;
  if (value.mv_size != 4)
    return MDB_INVALID;
  const unsigned char *p = value.mv_data;
  *out = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
  return 0;
}

/* Only into an empty database: another program's is left alone. */
static int write_format(MDB_txn *txn, MDB_dbi dbi)
{
  unsigned char bytes[4] = {SMTPF_LMDB_FORMAT};
  MDB_val key = {sizeof format_key - 1, (void *)(uintptr_t)format_key}, value = {sizeof bytes, bytes};
  MDB_stat stat;
  int rc = mdb_stat(txn, dbi, &stat);
  if (rc == 0 && stat.ms_entries > 0)
    return MDB_INVALID;
  return rc == 0 ? mdb_put(txn, dbi, &key, &value, 0) : rc;
}

static int check_format(smtpf_lmdb *env, const char **why)
{
  MDB_txn *txn;
  uint32_t format = SMTPF_LMDB_FORMAT;
  int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
  if (rc == 0) {
    rc = mdb_dbi_open(txn, NULL, 0, &env->dbi);
    if (rc == 0)
      rc = read_format(txn, env->dbi, &format);
    mdb_txn_abort(txn);
  }
  if (rc == MDB_NOTFOUND && (rc = mdb_txn_begin(env->mdb, NULL, 0, &txn)) == 0) {
    rc = read_format(txn, env->dbi, &format); /* another process may have been quicker */
    if (rc == MDB_NOTFOUND)
      rc = write_format(txn, env->dbi);
    if (rc == 0)
      rc = mdb_txn_commit(txn);
    else
      mdb_txn_abort(txn);
  }
  if (rc == MDB_INVALID)
    *why = "it is not a store of this library";
  if (rc != 0 || format == SMTPF_LMDB_FORMAT)
    return rc;
  *why = format > SMTPF_LMDB_FORMAT
             ? "it was written by a newer version of this library: export it there, import it here"
             : "it was written by an older version of this library: export it there, import it here";
  return MDB_VERSION_MISMATCH;
}

int smtpf_lmdb_open(smtpf_lmdb *env, const char **why)
{
  const smtpf_lmdb_options *o = &env->options;
  const char *ignored;
  char file[SMTPF_LMDB_PATH + 16];
  int dead;
  why = why ? why : &ignored;
  snprintf(file, sizeof file, "%s/store.mdb", o->path);
  int rc = mdb_env_create(&env->mdb);
  if (rc != 0) {
    env->mdb = NULL;
    return rc;
  }
  rc = mdb_env_set_mapsize(env->mdb, o->map_size);
  if (rc == 0)
    rc = mdb_env_set_maxreaders(env->mdb, o->readers);
  if (rc == 0)
    rc = mdb_env_open(env->mdb, file, MDB_NOSUBDIR | MDB_NOTLS | (o->batch ? MDB_NOSYNC : 0u), 0600);
  if (rc == 0) {
    (void)mdb_reader_check(env->mdb, &dead);
    rc = check_format(env, why);
  }
  if (rc != 0) {
    mdb_env_close(env->mdb);
    env->mdb = NULL;
  }
  return rc;
}

/* ---- the registry --------------------------------------------------------------------------------- */

static void release(smtpf_lmdb *env)
{
  if (env->mdb)
    mdb_env_close(env->mdb);
  smtpf_process_end(&env->process);
  pthread_mutex_destroy(&env->work);
  pthread_mutex_destroy(&env->lock);
  pthread_cond_destroy(&env->wake);
  pthread_cond_destroy(&env->idle);
  smtpf_mem_free(&smtpf_mem_default, env);
}

/* What all drivers share lives as long as the last of them, so not in the memory of one. */
static int create(smtpf_lmdb **out, const smtpf_lmdb_options *options, const struct stat *folder, const char **why)
{
  pthread_condattr_t clock;
  smtpf_lmdb *env = smtpf_mem_zalloc(&smtpf_mem_default, sizeof *env);
  if (!env)
    return ENOMEM;
  env->refs = 1;
  env->dev = folder->st_dev;
  env->ino = folder->st_ino;
  env->options = *options;
  smtpf_process_begin(&env->process);
  smtpf_list_init(&env->drivers);
  smtpf_lmdb_queue_init(&env->queue);
  pthread_mutex_init(&env->work, NULL);
  pthread_mutex_init(&env->lock, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&env->wake, &clock);
  pthread_cond_init(&env->idle, &clock);
  pthread_condattr_destroy(&clock);
  int rc = smtpf_lmdb_open(env, why);
  if (rc == 0)
    rc = smtpf_lmdb_writer_start(env);
  if (rc != 0) {
    release(env);
    return rc;
  }
  *out = env;
  return 0;
}

static int find_or_create(smtpf_lmdb **out, const smtpf_lmdb_options *options, const char **why)
{
  struct stat folder;
  if (mkdir(options->path, 0700) != 0 && errno != EEXIST)
    return errno;
  if (stat(options->path, &folder) != 0)
    return errno;
  for (smtpf_lmdb *e = environments; e; e = e->next)
    if (e->dev == folder.st_dev && e->ino == folder.st_ino && smtpf_lmdb_same_process(e)) {
      e->refs++;
      *out = e;
      return 0;
    }
  int rc = create(out, options, &folder, why);
  if (rc != 0)
    return rc;
  (*out)->next = environments;
  environments = *out;
  return 0;
}

static void log_failure(const smtpf_lmdb_driver *d, const smtpf_lmdb_options *o, int rc, const char *why)
{
  const smtpf_log_field fields[] = {{"path", smtpf_str_of(o->path)},
                                    {"cause", smtpf_str_of(why ? why : mdb_strerror(rc))}};
  smtpf_driver_log(d->driver, SMTPF_LOG_ERROR, "store-failed", fields, 2);
}

int smtpf_lmdb_attach(smtpf_lmdb_driver *d, const smtpf_lmdb_options *options)
{
  const char *why = NULL;
  pthread_mutex_lock(&registry);
  int rc = find_or_create(&d->env, options, &why);
  if (rc == 0) {
    pthread_mutex_lock(&d->env->lock);
    smtpf_list_append(&d->env->drivers, &d->in_env);
    pthread_mutex_unlock(&d->env->lock);
  }
  pthread_mutex_unlock(&registry);
  if (rc != 0)
    log_failure(d, options, rc, why);
  return rc == 0 ? SMTPF_OK : rc == ENOMEM ? SMTPF_ENOMEM : SMTPF_EIO;
}

void smtpf_lmdb_detach(smtpf_lmdb_driver *d)
{
  smtpf_lmdb *env = d->env, **p = &environments;
  pthread_mutex_lock(&env->lock);
  while (d->under_way)
    pthread_cond_wait(&env->idle, &env->lock);
  smtpf_list_remove(&d->in_env);
  if (d->txn)
    mdb_txn_abort(d->txn);
  d->txn = NULL;
  pthread_mutex_unlock(&env->lock);
  pthread_mutex_lock(&registry);
  if (--env->refs == 0) {
    while (*p != env)
      p = &(*p)->next;
    *p = env->next;
    smtpf_lmdb_writer_stop(env);
    release(env);
  }
  pthread_mutex_unlock(&registry);
}
