/* SPDX-License-Identifier: MIT
 *
 * The writer. While one transaction is synced the next commits gather: they all become the next one. Completions go
 * back through each driver's eventfd, so that the core hears of them on its own thread. Signals are the host's, never
 * the writer's. With `store.writer = inline` the caller does it all itself.
 */
#define _GNU_SOURCE
#include "lmdb.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "port/port.h"

enum {
  GROUP_MAX = 1024,   /* commits in one transaction */
  LINGER_NS = 500000, /* longest wait for others */
};

/* ---- queues --------------------------------------------------------------------------------------- */

void smtpf_lmdb_queue_init(smtpf_lmdb_queue *q)
{
  q->first = NULL;
  q->end = &q->first;
}

void smtpf_lmdb_queue_add(smtpf_lmdb_queue *q, smtpf_lmdb_job *job)
{
  job->next = NULL;
  *q->end = job;
  q->end = &job->next;
}

/* The first of them, at most `most`; *n says how many. */
static smtpf_lmdb_job *take(smtpf_lmdb_queue *q, size_t most, size_t *n)
{
  smtpf_lmdb_job *first = q->first, **p = &q->first;
  for (*n = 0; *p && *n < most; ++*n)
    p = &(*p)->next;
  q->first = *p;
  *p = NULL;
  if (!q->first)
    q->end = &q->first;
  return first;
}

/* ---- back to the drivers (lock is held) ----------------------------------------------------------- */

static void ring(const smtpf_lmdb_driver *d)
{
  const uint64_t one = 1;
  while (write(d->fd, &one, sizeof one) < 0 && errno == EINTR)
    ;
}

static void give_back(smtpf_lmdb_job *jobs)
{
  for (smtpf_lmdb_job *job = jobs, *next; job; job = next) {
    smtpf_lmdb_driver *d = job->driver;
    next = job->next;
    if (!d->done.first)
      ring(d);
    smtpf_lmdb_queue_add(&d->done, job);
    d->under_way--;
  }
}

void smtpf_lmdb_say(smtpf_lmdb *env, int level, const char *event, const char *text)
{
  if (env->n_notices == SMTPF_LMDB_NOTICES)
    return;
  smtpf_lmdb_notice *n = &env->notices[env->n_notices++];
  const size_t length = strnlen(text, sizeof n->text - 1);
  n->level = level;
  n->event = event;
  memcpy(n->text, text, length);
  n->text[length] = '\0';
  if (!smtpf_list_empty(&env->drivers))
    ring(SMTPF_OF(env->drivers.next, smtpf_lmdb_driver, in_env));
}

void smtpf_lmdb_health(smtpf_lmdb *env, int *told, int rc, const char *what, const char *why)
{
  if (rc == *told)
    return;
  if (rc != 0)
    smtpf_lmdb_say(env, SMTPF_LOG_ERROR, what, why ? why : mdb_strerror(rc));
  else
    smtpf_lmdb_say(env, SMTPF_LOG_NOTICE, "store-recovered", mdb_strerror(*told));
  *told = rc;
}

/* ---- the thread ----------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
  return smtpf_clock_system()->mono_ns(NULL);
}

static void wait_for_work(smtpf_lmdb *env, int64_t ms)
{
  const uint64_t at = now_ns() + (uint64_t)ms * 1000000u;
  const struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
  pthread_cond_timedwait(&env->wake, &env->lock, &until);
}

/* Who was just told may write again at once, and who came meanwhile is there: so many are waited for, that all become
 * one transaction and not two by turns; no longer than a sixteenth of what a transaction takes. */
static void wait_for_others(smtpf_lmdb *env, size_t expected, uint64_t last_ns)
{
  const uint64_t ns = last_ns / 16 < LINGER_NS ? last_ns / 16 : LINGER_NS;
  if (ns < LINGER_NS / 50)
    return;
  const uint64_t at = now_ns() + ns;
  const struct timespec until = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
  env->awaited = expected;
  while (env->n_queue < expected && !env->stopping && pthread_cond_timedwait(&env->wake, &env->lock, &until) == 0)
    ;
  env->awaited = 0;
}

static void write_group(smtpf_lmdb *env, smtpf_lmdb_job *jobs)
{
  smtpf_lmdb_write(env, jobs);
  pthread_mutex_lock(&env->lock);
  give_back(jobs);
  pthread_cond_broadcast(&env->idle);
  pthread_mutex_unlock(&env->lock);
}

static void *run(void *user)
{
  smtpf_lmdb *env = user;
  int64_t idle_ms = 0;
  uint64_t last_ns = 0;
  size_t n = 0;
  pthread_mutex_lock(&env->lock);
  while (env->queue.first || !env->stopping) {
    const size_t expected = n + env->n_queue;
    if (!env->queue.first && idle_ms > 0)
      wait_for_work(env, idle_ms);
    if (env->queue.first)
      wait_for_others(env, expected, last_ns);
    smtpf_lmdb_job *jobs = take(&env->queue, GROUP_MAX, &n);
    env->n_queue -= n;
    pthread_mutex_unlock(&env->lock);
    pthread_mutex_lock(&env->work);
    const uint64_t begun = now_ns();
    if (jobs) {
      write_group(env, jobs);
      last_ns = now_ns() - begun;
    }
    idle_ms = smtpf_lmdb_care(env, now_ns());
    pthread_mutex_unlock(&env->work);
    pthread_mutex_lock(&env->lock);
  }
  pthread_mutex_unlock(&env->lock);
  if (env->dirty && env->options.batch && env->mdb)
    (void)mdb_env_sync(env->mdb, 1);
  return NULL;
}

int smtpf_lmdb_writer_start(smtpf_lmdb *env)
{
  sigset_t all, before;
  if (env->options.is_inline)
    return 0;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&env->thread, NULL, run, env);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

void smtpf_lmdb_writer_stop(smtpf_lmdb *env)
{
  if (env->options.is_inline)
    return;
  pthread_mutex_lock(&env->lock);
  env->stopping = 1;
  pthread_cond_signal(&env->wake);
  pthread_mutex_unlock(&env->lock);
  pthread_join(env->thread, NULL);
}

int smtpf_lmdb_is_busy(smtpf_lmdb_driver *d)
{
  pthread_mutex_lock(&d->env->lock);
  const int busy = d->under_way != 0;
  pthread_mutex_unlock(&d->env->lock);
  return busy;
}

/* ---- a job ---------------------------------------------------------------------------------------- */

void smtpf_lmdb_hand_over(smtpf_lmdb_job *job)
{
  smtpf_lmdb *env = job->driver->env;
  if (env->options.is_inline) {
    job->next = NULL;
    pthread_mutex_lock(&env->work);
    smtpf_lmdb_write(env, job);
    smtpf_lmdb_care_inline(env, job->wall);
    pthread_mutex_unlock(&env->work);
    return;
  }
  pthread_mutex_lock(&env->lock);
  smtpf_lmdb_queue_add(&env->queue, job);
  job->driver->under_way++;
  env->n_queue++;
  const int enough = env->awaited ? env->n_queue == env->awaited : env->n_queue == 1;
  pthread_mutex_unlock(&env->lock);
  if (enough) /* whoever is woken finds the lock free */
    pthread_cond_signal(&env->wake);
}
