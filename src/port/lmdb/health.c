/* SPDX-License-Identifier: MIT
 *
 * What a postmaster wants to know before it hurts: alarms, said once each time it becomes worse, and counters.
 */
#include "lmdb.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_ALARM = 80, SECOND_ALARM = 90 };

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

void smtpf_lmdb_measure_map(smtpf_lmdb *env, int closely)
{
  MDB_envinfo info;
  MDB_stat stat;
  MDB_txn *txn;
  if (!env->mdb || mdb_env_info(env->mdb, &info) != 0 || mdb_env_stat(env->mdb, &stat) != 0)
    return;
  size_t used = info.me_last_pgno + 1;
  const size_t most = env->options.map_max / stat.ms_psize;
  const int level = level_of(used, most);
  if (!closely && (level == 0 || used <= env->measured_pages + most / 100))
    return; /* the pages that are free again are not counted after each commit */
  env->measured_pages = used;
  if (level > 0 && mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0) {
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

/* Slots that somebody holds; the first line is a heading. */
static size_t count_readers(MDB_env *mdb)
{
  size_t lines = 0;
  (void)mdb_reader_list(mdb, count_line, &lines);
  return lines ? lines - 1 : 0;
}

/* Slots ever taken cost nothing to know; whether their holders live is a system call for each process. */
void smtpf_lmdb_measure_readers(smtpf_lmdb *env, int closely)
{
  MDB_envinfo info;
  int dead;
  atomic_store(&env->slot_taken, 0);
  if (!env->mdb || mdb_env_info(env->mdb, &info) != 0)
    return;
  const unsigned most = info.me_maxreaders;
  if (!closely && level_of(info.me_numreaders, most) == 0)
    return;
  if (mdb_reader_check(env->mdb, &dead) != 0)
    return;
  alarm_at(env, &env->reader_level, count_readers(env->mdb), most, "store-readers");
}

/* ---- counters ------------------------------------------------------------------------------------- */

void smtpf_lmdb_stats(void *self, smtpf_stat_fn fn, void *user)
{
  smtpf_lmdb_driver *d = self;
  smtpf_lmdb *env = d->env;
  MDB_envinfo info = {0};
  MDB_stat stat = {0};
  unsigned most = 0;
  size_t used = 0;
  if (!smtpf_lmdb_same_process(env))
    return;
  smtpf_lmdb_enter(d);
  if (env->mdb) {
    (void)mdb_env_info(env->mdb, &info);
    (void)mdb_env_stat(env->mdb, &stat);
    (void)mdb_env_get_maxreaders(env->mdb, &most);
    used = count_readers(env->mdb);
  }
  const size_t map_max = env->options.map_max;
  smtpf_lmdb_leave(d);
  fn(user, "store.down", atomic_load(&env->broken) != 0);
  fn(user, "store.commits", atomic_load(&env->counts.commits));
  fn(user, "store.batches", atomic_load(&env->counts.batches));
  fn(user, "store.failures", atomic_load(&env->counts.failures));
  fn(user, "store.expired", atomic_load(&env->counts.expired));
  fn(user, "store.grown", atomic_load(&env->counts.grown));
  fn(user, "store.reopened", atomic_load(&env->counts.reopened));
  fn(user, "store.records", stat.ms_entries ? stat.ms_entries - 1 : 0); /* without the format */
  fn(user, "store.map_used", stat.ms_psize * (stat.ms_psize ? info.me_last_pgno + 1 : 0));
  fn(user, "store.map_max", map_max);
  fn(user, "store.readers_used", used);
  fn(user, "store.readers_max", most);
}
