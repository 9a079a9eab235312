/* SPDX-License-Identifier: MIT
 *
 * The map. It is made large from the beginning and costs address space alone; still it may be too small one day, or
 * another process finds it so. Moving it needs that nobody in this process reads or writes: the caller holds `work`,
 * and the gate keeps readers out for the few microseconds it takes.
 */
#include "store_lmdb.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_ALARM = 80, SECOND_ALARM = 90 };

static const size_t CUSHION_MIN = (size_t)1 << 20;

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
  int rc = smtpf_lmdb_open(env, NULL);
  atomic_store(&env->broken, rc != 0);
  return rc;
}

int smtpf_lmdb_reopen(smtpf_lmdb *env)
{
  close_gate(env);
  int rc = begin_anew(env);
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

/* ---- alarms --------------------------------------------------------------------------------------- */

static int level_of(size_t used, size_t most)
{
  const size_t percent = most >= 100 ? used / (most / 100) : used * 100 / (most ? most : 1);
  return percent >= SECOND_ALARM ? SECOND_ALARM : percent >= FIRST_ALARM ? FIRST_ALARM : 0;
}

/* Told when it becomes worse, not each time. */
static void alarm_at(smtpf_lmdb *env, int *told, size_t used, size_t most, const char *event)
{
  char text[SMTPF_LMDB_TEXT];
  const int level = level_of(used, most);
  if (level > *told) {
    snprintf(text, sizeof text, "%zu of %zu", used, most);
    pthread_mutex_lock(&env->lock);
    smtpf_lmdb_say(env, SMTPF_LOG_WARNING, event, text);
    pthread_mutex_unlock(&env->lock);
  }
  *told = level;
}

/* Pages that were freed and will be used again. */
static size_t free_pages(MDB_txn *txn)
{
  MDB_cursor *c;
  MDB_val k, v;
  size_t n = 0, entry;
  if (mdb_cursor_open(txn, 0, &c) != 0)
    return 0;
  while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
    if (v.mv_size >= sizeof entry) {
      memcpy(&entry, v.mv_data, sizeof entry); /* how many numbers of pages follow */
      n += entry;
    }
  mdb_cursor_close(c);
  return n;
}

void smtpf_lmdb_measure_map(smtpf_lmdb *env)
{
  MDB_envinfo info;
  MDB_stat stat;
  MDB_txn *txn;
  if (!env->mdb || mdb_env_info(env->mdb, &info) != 0 || mdb_env_stat(env->mdb, &stat) != 0)
    return;
  size_t used = info.me_last_pgno + 1;
  const size_t most = env->options.map_max / stat.ms_psize;
  if (level_of(used, most) > 0 && mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0) {
    const size_t unused = free_pages(txn);
    used -= unused < used ? unused : used;
    mdb_txn_abort(txn);
  }
  alarm_at(env, &env->map_level, used, most, "store-filling");
}

static int count_line(const char *line, void *user)
{
  ++*(size_t *)user;
  (void)line;
  return 0;
}

void smtpf_lmdb_measure_readers(smtpf_lmdb *env)
{
  unsigned most;
  int dead;
  size_t lines = 0;
  if (!env->mdb || mdb_reader_check(env->mdb, &dead) != 0 || mdb_env_get_maxreaders(env->mdb, &most) != 0)
    return;
  (void)mdb_reader_list(env->mdb, count_line, &lines); /* the first line is a heading */
  alarm_at(env, &env->reader_level, lines ? lines - 1 : 0, most, "store-readers");
}
