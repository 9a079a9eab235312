/* SPDX-License-Identifier: MIT
 *
 * The journal port over a file. What sessions promise in one turn of the loop is gathered and written by a timer that
 * is due at once: one lock, one write, one sync for all of them. While another process holds the lock the batch waits,
 * and grows; the loop does not.
 */
#include <string.h>

#include "base/mem.h"
#include "journal.h"
#include "port/port.h"

enum { RETRY_MS = 2, NS_IN_MS = 1000000 };

typedef struct waiting {
  smtpf_op op;
  size_t at, n; /* its records in the batch */
} waiting;

typedef struct batch {
  char *bytes;
  size_t n, cap;
  waiting *ops;
  size_t n_ops, cap_ops;
  uint64_t since; /* monotonic nanoseconds of the first promise */
} batch;

typedef struct journal {
  smtpf_driver *driver;
  const smtpf_mem *mem;
  smtpf_journal_log *log;
  batch next;  /* gathered */
  batch spare; /* empty; its memory serves again */
  smtpf_op timer;
} journal;

static void flush(void *user);

static int arm(journal *j, int64_t in_ms)
{
  return j->timer ? SMTPF_OK : smtpf_driver_timer(j->driver, in_ms, flush, j, &j->timer);
}

/* Completions may promise again, or cancel what is gathered then: they find another batch. */
static void complete_all(journal *j, int result)
{
  batch done = j->next;
  j->next = j->spare;
  j->spare = (batch){0};
  for (size_t i = 0; i < done.n_ops; i++)
    (void)smtpf_op_journal(j->driver, done.ops[i].op, result);
  done.n = done.n_ops = 0;
  j->spare = done;
}

static void flush(void *user)
{
  journal *j = user;
  j->timer = 0;
  if (j->next.n_ops == 0)
    return;
  int r = smtpf_journal_lock(j->log, 0, NULL);
  if (r == SMTPF_ETIMEOUT) {
    uint64_t waited = smtpf_driver_now(j->driver) - j->next.since;
    if (waited < (uint64_t)SMTPF_JOURNAL_PATIENCE_MS * NS_IN_MS && arm(j, RETRY_MS) == SMTPF_OK)
      return;
  }
  if (r == SMTPF_OK)
    r = smtpf_journal_append(j->log, j->next.bytes, j->next.n, 1);
  smtpf_journal_unlock(j->log);
  complete_all(j, r == SMTPF_OK ? SMTPF_OK : SMTPF_EIO);
}

/* Their size as records, 0 when one of them is not legal. */
static size_t size_of(const smtpf_promise *promises, size_t n)
{
  size_t bytes = 0;
  for (size_t i = 0; i < n; i++) {
    smtpf_record r = smtpf_journal_record_of(&promises[i], 0);
    if (promises[i].size < sizeof promises[i] || !smtpf_record_legal(&r))
      return 0;
    bytes += smtpf_record_size(&r);
  }
  return bytes;
}

static int promise(void *self, smtpf_op op, const smtpf_promise *promises, size_t n)
{
  journal *j = self;
  batch *b = &j->next;
  size_t bytes = size_of(promises, n);
  if (bytes == 0)
    return SMTPF_EINVAL;
  if (smtpf_mem_grow(j->mem, (void **)&b->bytes, &b->cap, b->n + bytes, 1) != SMTPF_OK ||
      smtpf_mem_grow(j->mem, (void **)&b->ops, &b->cap_ops, b->n_ops + 1, sizeof *b->ops) != SMTPF_OK ||
      arm(j, 0) != SMTPF_OK)
    return SMTPF_ENOMEM;
  if (b->n_ops == 0)
    b->since = smtpf_driver_now(j->driver);
  b->ops[b->n_ops++] = (waiting){op, b->n, bytes};
  for (size_t i = 0; i < n; i++) {
    smtpf_record r = smtpf_journal_record_of(&promises[i], i + 1 < n);
    b->n += smtpf_record_write(&r, b->bytes + b->n);
  }
  return SMTPF_OK;
}

/* Nobody was told, nothing is on disk: its records are taken out of the batch. */
static void cancel(void *self, smtpf_op op)
{
  batch *b = &((journal *)self)->next;
  size_t i = 0;
  while (i < b->n_ops && b->ops[i].op != op)
    i++;
  if (i == b->n_ops)
    return;
  waiting gone = b->ops[i];
  memmove(b->bytes + gone.at, b->bytes + gone.at + gone.n, b->n - gone.at - gone.n);
  b->n -= gone.n;
  b->n_ops--;
  for (; i < b->n_ops; i++) {
    b->ops[i] = b->ops[i + 1];
    b->ops[i].at -= gone.n;
  }
}

static void stop(void *self)
{
  journal *j = self;
  if (!j)
    return;
  if (j->timer)
    (void)smtpf_driver_timer_cancel(j->driver, j->timer);
  smtpf_mem_free(j->mem, j->next.bytes);
  smtpf_mem_free(j->mem, j->next.ops);
  smtpf_mem_free(j->mem, j->spare.bytes);
  smtpf_mem_free(j->mem, j->spare.ops);
  smtpf_journal_log_free(j->log);
  smtpf_mem_free(j->mem, j);
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  const smtpf_journal_log *log = shared;
  if (!log || (log->flags & SMTPF_JOURNAL_READ_ONLY))
    return SMTPF_EINVAL;
  journal *j = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *j);
  if (!j)
    return SMTPF_ENOMEM;
  j->driver = driver;
  j->mem = smtpf_driver_mem(driver);
  int r = smtpf_journal_again(&j->log, log, j->mem);
  if (r == SMTPF_OK) {
    r = smtpf_journal_lock(j->log, SMTPF_JOURNAL_PATIENCE_MS, NULL);
    smtpf_journal_unlock(j->log);
  }
  if (r != SMTPF_OK) {
    stop(j);
    return r;
  }
  *self = j;
  return SMTPF_OK;
}

const smtpf_journal *smtpf_journal_file(void)
{
  static const smtpf_journal table = {sizeof table, "file", start, promise, cancel, stop};
  return &table;
}
