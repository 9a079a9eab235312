/* SPDX-License-Identifier: MIT */
#include "lmdb.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <smtpfilter/engine.h>

#include "base/mem.h"
#include "base/str.h"

/* ---- options -------------------------------------------------------------------------------------- */

static int64_t number_of(const smtpf_engine *engine, const char *path, int64_t otherwise)
{
  int64_t v;
  return engine && smtpf_engine_number(engine, path, &v) == SMTPF_OK ? v : otherwise;
}

static int is_word(const smtpf_engine *engine, const char *path, smtpf_str word)
{
  smtpf_str v;
  return engine && smtpf_engine_option(engine, path, 0, &v) == SMTPF_OK && smtpf_str_equal(v, word);
}

/* Whole pages, whatever their size here. */
static size_t pages(int64_t bytes)
{
  const size_t page = 65536;
  return ((size_t)bytes + page - 1) / page * page;
}

static int read_options(const smtpf_engine *engine, smtpf_lmdb_options *o)
{
  smtpf_str path;
  if (!engine || smtpf_engine_option(engine, "store.path", 0, &path) != SMTPF_OK || path.n == 0 ||
      path.n >= sizeof o->path)
    return SMTPF_EINVAL;
  memset(o, 0, sizeof *o);
  memcpy(o->path, path.p, path.n);
  o->map_size = pages(number_of(engine, "store.map_size", (int64_t)1 << 30));
  o->map_max = pages(number_of(engine, "store.map_max", (int64_t)1 << 36));
  if (o->map_max < o->map_size)
    o->map_max = o->map_size;
  o->readers = (unsigned)number_of(engine, "store.readers", 4096);
  o->sync_ms = number_of(engine, "store.sync", 1000);
  o->is_inline = is_word(engine, "store.writer", SMTPF_LIT("inline"));
  o->batch = is_word(engine, "store.durability", SMTPF_LIT("batch"));
  return SMTPF_OK;
}

/* ---- jobs ----------------------------------------------------------------------------------------- */

/* The job and all its bytes in one piece. */
static smtpf_lmdb_job *make_job(smtpf_lmdb_driver *d, smtpf_op op, int kind, const smtpf_change *changes, size_t n)
{
  size_t size = sizeof(smtpf_lmdb_job) + n * sizeof *changes;
  if (n > (SIZE_MAX - size) / (sizeof *changes + SMTPF_KEY_MAX + SMTPF_VALUE_MAX))
    return NULL;
  for (size_t i = 0; i < n; i++)
    size += changes[i].key.n + changes[i].value.n;
  smtpf_lmdb_job *job = smtpf_mem_alloc(d->mem, size);
  if (!job)
    return NULL;
  *job = (smtpf_lmdb_job){.driver = d, .op = op, .kind = kind, .n = n, .wall = smtpf_driver_wall(d->driver)};
  job->changes = (smtpf_change *)(void *)(job + 1);
  char *at = (char *)(job->changes + n);
  for (size_t i = 0; i < n; i++) {
    const smtpf_change *c = &changes[i];
    job->changes[i] = *c;
    job->changes[i].key.p = memcpy(at, c->key.p, c->key.n);
    at += c->key.n;
    job->changes[i].value.p = c->value.n ? memcpy(at, c->value.p, c->value.n) : NULL;
    at += c->value.n;
  }
  atomic_store_explicit(&d->wall, job->wall, memory_order_relaxed);
  return job;
}

static void complete(smtpf_lmdb_job *job)
{
  smtpf_lmdb_driver *d = job->driver;
  char room[SMTPF_VALUE_MAX];
  size_t n = 0;
  int status = job->status;
  if (job->kind == SMTPF_LMDB_SCAN) {
    const smtpf_str cursor = job->n ? job->changes[0].key : (smtpf_str){NULL, 0};
    if (status != SMTPF_STORE_DONE || smtpf_lmdb_scan(d, job->op, cursor, job->most) != SMTPF_OK)
      smtpf_op_scan(d->driver, job->op, SMTPF_STORE_FAILED, NULL, 0, (smtpf_str){NULL, 0});
  } else {
    if (job->kind == SMTPF_LMDB_GET && status == SMTPF_STORE_DONE)
      status = smtpf_lmdb_get(d, job->changes[0].key, room, &n);
    smtpf_op_store(d->driver, job->op, status ? status : SMTPF_STORE_FAILED, (smtpf_str){room, n});
  }
  smtpf_mem_free(d->mem, job);
}

static void log_notices(smtpf_lmdb_driver *d)
{
  smtpf_lmdb_notice notices[SMTPF_LMDB_NOTICES];
  smtpf_lmdb *env = d->env;
  pthread_mutex_lock(&env->lock);
  const size_t n = env->n_notices;
  memcpy(notices, env->notices, n * sizeof notices[0]);
  env->n_notices = 0;
  pthread_mutex_unlock(&env->lock);
  for (size_t i = 0; i < n; i++) {
    const smtpf_log_field fields[] = {{"path", smtpf_str_of(env->options.path)},
                                      {"cause", smtpf_str_of(notices[i].text)}};
    smtpf_driver_log(d->driver, notices[i].level, notices[i].event, fields, 2);
  }
}

/* With a thread it is completed later, through the eventfd. Without one what is to be logged is logged here: a process
 * that serves one connection may not come round again. */
static int submit(smtpf_lmdb_job *job)
{
  if (!job)
    return SMTPF_ENOMEM;
  smtpf_lmdb_driver *d = job->driver;
  const int is_inline = d->env->options.is_inline;
  smtpf_lmdb_hand_over(job);
  if (!is_inline)
    return SMTPF_OK;
  log_notices(d);
  complete(job);
  return SMTPF_OK;
}

static void on_done(void *user, int fd, unsigned events)
{
  smtpf_lmdb_driver *d = user;
  uint64_t count;
  (void)events;
  (void)!read(fd, &count, sizeof count);
  pthread_mutex_lock(&d->env->lock);
  smtpf_lmdb_job *job = d->done.first, *next;
  smtpf_lmdb_queue_init(&d->done);
  pthread_mutex_unlock(&d->env->lock);
  log_notices(d);
  for (; job; job = next) {
    next = job->next;
    complete(job);
  }
}

/* ---- the port ------------------------------------------------------------------------------------- */

static void stop(void *self)
{
  smtpf_lmdb_driver *d = self;
  if (!d)
    return;
  if (d->env && smtpf_lmdb_same_process(d->env)) { /* a child leaves all alone that it shares with its parent */
    smtpf_lmdb_detach(d);
    smtpf_driver_watch(d->driver, d->fd, 0, NULL, NULL);
    for (smtpf_lmdb_job *job = d->done.first, *next; job; job = next) {
      next = job->next;
      smtpf_mem_free(d->mem, job);
    }
  }
  close(d->fd);
  smtpf_mem_free(d->mem, d);
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  smtpf_lmdb_options options;
  (void)shared;
  int r = read_options(smtpf_driver_engine(driver), &options);
  if (r != SMTPF_OK)
    return r;
  smtpf_lmdb_driver *d = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *d);
  if (!d)
    return SMTPF_ENOMEM;
  d->driver = driver;
  d->mem = smtpf_driver_mem(driver);
  d->wall = smtpf_driver_wall(driver);
  smtpf_list_init(&d->in_env);
  smtpf_lmdb_queue_init(&d->done);
  d->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  r = d->fd < 0 ? SMTPF_EIO : smtpf_lmdb_attach(d, &options);
  if (r == SMTPF_OK) {
    r = smtpf_driver_watch(driver, d->fd, SMTPF_FD_READ, on_done, d);
    if (r == SMTPF_OK) {
      *self = d;
      return SMTPF_OK;
    }
    smtpf_lmdb_detach(d);
  }
  if (d->fd >= 0)
    close(d->fd);
  smtpf_mem_free(d->mem, d);
  return r;
}

static smtpf_change of_key(smtpf_str key)
{
  return (smtpf_change){sizeof(smtpf_change), SMTPF_CHANGE_DELETE, key, {NULL, 0}, 0};
}

static int get(void *self, smtpf_op op, smtpf_str key)
{
  smtpf_lmdb_driver *d = self;
  char room[SMTPF_VALUE_MAX];
  size_t n = 0;
  if (!smtpf_key_legal(key))
    return SMTPF_EINVAL;
  if (!smtpf_lmdb_same_process(d->env))
    return SMTPF_EFORK;
  const int status = smtpf_lmdb_get(d, key, room, &n);
  if (status) {
    smtpf_op_store(d->driver, op, status, (smtpf_str){room, n});
    return SMTPF_OK;
  }
  const smtpf_change c = of_key(key);
  return submit(make_job(d, op, SMTPF_LMDB_GET, &c, 1));
}

/* Debts that were never run up are deleted with each mail that is taken: who finds nothing to delete need not wake the
 * writer. Not while this driver has commits under way, which come first. */
static int is_done_already(smtpf_lmdb_driver *d, const smtpf_change *changes, size_t n)
{
  char room[SMTPF_VALUE_MAX];
  size_t ignored;
  for (size_t i = 0; i < n; i++)
    if (changes[i].op != SMTPF_CHANGE_DELETE)
      return 0;
  if (smtpf_lmdb_is_busy(d))
    return 0;
  for (size_t i = 0; i < n; i++)
    if (smtpf_lmdb_get(d, changes[i].key, room, &ignored) != SMTPF_STORE_ABSENT)
      return 0;
  return 1;
}

static int commit(void *self, smtpf_op op, const smtpf_change *changes, size_t n)
{
  smtpf_lmdb_driver *d = self;
  if (smtpf_changes_check(changes, n) != SMTPF_OK)
    return SMTPF_EINVAL;
  if (!smtpf_lmdb_same_process(d->env))
    return SMTPF_EFORK;
  if (is_done_already(d, changes, n)) {
    smtpf_op_store(d->driver, op, SMTPF_STORE_DONE, (smtpf_str){NULL, 0});
    return SMTPF_OK;
  }
  return submit(make_job(d, op, SMTPF_LMDB_COMMIT, changes, n));
}

static int scan(void *self, smtpf_op op, smtpf_str cursor, size_t most)
{
  smtpf_lmdb_driver *d = self;
  if (!most || cursor.n > SMTPF_KEY_MAX)
    return SMTPF_EINVAL;
  if (!smtpf_lmdb_same_process(d->env))
    return SMTPF_EFORK;
  const int r = smtpf_lmdb_scan(d, op, cursor, most);
  if (r != SMTPF_EBUSY)
    return r;
  const smtpf_change c = of_key(cursor);
  smtpf_lmdb_job *job = make_job(d, op, SMTPF_LMDB_SCAN, &c, cursor.n ? 1 : 0);
  if (job)
    job->most = most;
  return submit(job);
}

static void cancel(void *self, smtpf_op op)
{
  (void)self; /* what is under way is written; its token is over, so nobody hears of it */
  (void)op;
}

const smtpf_store *smtpf_store_lmdb(void)
{
  static const smtpf_store table = {sizeof table, "lmdb", start, get, commit, cancel, stop, scan, smtpf_lmdb_stats};
  return &table;
}
