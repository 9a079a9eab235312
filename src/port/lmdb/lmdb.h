/* SPDX-License-Identifier: MIT
 *
 * store_lmdb: the store on disk. One LMDB environment for each folder in a process, shared by all its drivers; several
 * processes may have it open at once.
 *
 *     store_lmdb.c        the port: start, get, commit, stop, completions
 *     store_lmdb_env.c    environments: registry, fork, opening, format
 *     store_lmdb_read.c   reading, on the drivers' threads, without a lock
 *     store_lmdb_write.c  the writer: a thread that makes many commits one transaction, or the caller itself
 *     store_lmdb_apply.c  one transaction: what it holds, what becomes of it when it fails
 *     store_lmdb_map.c    the map: growing it, taking over another process's growth, opening anew
 *     store_lmdb_health.c alarms and counters
 *     store_lmdb_care.c   what is done now and then: expiry, sync, readers that died
 *
 * On disk: PATH/store.mdb, its unnamed database. Key: the record's key, 1-64 bytes. Value: `expires`, 8 bytes,
 * little-endian, then the record's value. One key longer than 64 bytes, so that no record can have it, holds the
 * format.
 *
 * Threads. A driver's reading needs no lock: it says `reading`, looks at `gate`, and goes on when that is open. Whoever
 * moves the map holds `lock`, closes the gate and waits until nobody reads (microseconds: nobody waits while reading).
 * `work` is held by whoever writes, so that one process has one write transaction. Order: work before lock.
 */
#ifndef SMTPF_PORT_STORE_LMDB_H
#define SMTPF_PORT_STORE_LMDB_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <smtpfilter/ext/port.h>

#include "base/list.h"
#include "port/process.h"
#include "port/store/change.h"

enum {
  SMTPF_LMDB_FORMAT = 1, /* of what is on disk */
  SMTPF_LMDB_HEAD = 8,   /* bytes before a value */
  SMTPF_LMDB_NOTICES = 8,
  SMTPF_LMDB_TEXT = 160,
  SMTPF_LMDB_PATH = 4096,
};

typedef struct smtpf_lmdb_options {
  char path[SMTPF_LMDB_PATH];
  size_t map_size, map_max;
  unsigned readers;
  int is_inline; /* no thread */
  int batch;     /* durability */
  int64_t sync_ms;
} smtpf_lmdb_options;

struct smtpf_lmdb;
struct smtpf_lmdb_driver;

/* A get or scan becomes a job when the writer must take over another process's map before it. */
enum smtpf_lmdb_job_kind { SMTPF_LMDB_COMMIT = 1, SMTPF_LMDB_GET, SMTPF_LMDB_SCAN };

/* What the writer is asked for. Made and freed on its driver's thread. */
typedef struct smtpf_lmdb_job {
  struct smtpf_lmdb_job *next;
  struct smtpf_lmdb_driver *driver;
  smtpf_op op;
  int kind;
  int status; /* smtpf_store_status; 0 while it may still succeed */
  int64_t wall;
  size_t most; /* SCAN */
  size_t n;
  smtpf_change *changes; /* behind this structure, and behind them their bytes */
} smtpf_lmdb_job;

typedef struct smtpf_lmdb_queue {
  smtpf_lmdb_job *first, **end;
} smtpf_lmdb_queue;

typedef struct smtpf_lmdb_driver {
  smtpf_link in_env; /* lock */
  struct smtpf_lmdb *env;
  smtpf_driver *driver;
  const smtpf_mem *mem;
  int fd;       /* eventfd: something is done, or to be logged */
  MDB_txn *txn; /* for reading, reset between gets; NULL when it has no slot yet */
  atomic_int reading;
  _Atomic int64_t wall;  /* what this driver last took the time for */
  uint64_t looked_ns;    /* when a free slot was looked for */
  int failed;            /* the last get did */
  smtpf_lmdb_queue done; /* lock */
  size_t under_way;      /* lock */
} smtpf_lmdb_driver;

typedef struct smtpf_lmdb_notice {
  int level;
  const char *event;
  char text[SMTPF_LMDB_TEXT];
} smtpf_lmdb_notice;

typedef struct smtpf_lmdb {
  struct smtpf_lmdb *next; /* registry */
  size_t refs;             /* registry */
  dev_t dev;
  ino_t ino;
  smtpf_process process;
  smtpf_lmdb_options options;

  MDB_env *mdb; /* work and gate; NULL when it could not be opened anew */
  MDB_dbi dbi;
  atomic_int gate;   /* closed: do not read */
  atomic_int broken; /* must be opened anew */

  pthread_mutex_t work, lock;
  pthread_cond_t wake;    /* with lock: the writer has something to do */
  pthread_cond_t idle;    /* with lock: a driver's jobs are done */
  smtpf_link drivers;     /* lock */
  smtpf_lmdb_queue queue; /* lock */
  size_t n_queue;         /* lock; jobs in it */
  size_t awaited;         /* lock; so many wake the writer, which waits for them; 0: it does not */
  int stopping;           /* lock */
  pthread_t thread;
  smtpf_lmdb_notice notices[SMTPF_LMDB_NOTICES]; /* lock */
  size_t n_notices;                              /* lock */
  int write_rc, read_rc, open_rc;                /* lock; the failure that was told of; 0: all is well */
  atomic_int slot_taken;                         /* readers must be counted anew */
  struct {
    _Atomic uint64_t commits, batches, failures, expired, grown, reopened;
  } counts;

  /* of whoever holds work */
  int map_level, reader_level; /* 0, 80 or 90 per cent: what was told */
  size_t measured_pages;       /* of the file, when its free ones were last counted */
  unsigned reopenings;         /* without peace between them */
  uint64_t reopened_ns, reopen_at_ns;
  int cushioned; /* the map is larger than `store.map_max`, so that something can be deleted */
  int dirty;     /* batch: something is not synced */
  int urgent;    /* the map is full: expire now */
  uint64_t synced_ns, swept_ns, checked_ns, measured_ns;
  char sweep_key[SMTPF_KEY_MAX];
  size_t sweep_n;
} smtpf_lmdb;

/* ---- store_lmdb_env.c ---- */

/* The environment of a folder, opened when this process has not opened it yet. SMTPF_OK, or an error that was logged.
 */
int smtpf_lmdb_attach(smtpf_lmdb_driver *d, const smtpf_lmdb_options *options);
/* Waits for the driver's jobs; the last driver closes the environment. */
void smtpf_lmdb_detach(smtpf_lmdb_driver *d);
/* False in a child of the process that opened it. */
int smtpf_lmdb_same_process(const smtpf_lmdb *env);
/* Opens env->mdb by its options, makes the folder and the format record when they are missing. 0 or LMDB's error;
 * *why, when it is not NULL, says more. */
int smtpf_lmdb_open(smtpf_lmdb *env, const char **why);

/* ---- store_lmdb_read.c ---- */

/* Between the two nobody moves the map, or opens the environment anew. */
void smtpf_lmdb_enter(smtpf_lmdb_driver *d);
void smtpf_lmdb_leave(smtpf_lmdb_driver *d);
/* smtpf_store_status with the value in `room`, or 0: smtpf_lmdb_adopt() is needed first. */
int smtpf_lmdb_get(smtpf_lmdb_driver *d, smtpf_str key, char room[SMTPF_VALUE_MAX], size_t *n);
/* SMTPF_EBUSY: the same. */
int smtpf_lmdb_scan(smtpf_lmdb_driver *d, smtpf_op op, smtpf_str cursor, size_t most);
/* The record that a key and value of the database are; 0 when they are none. */
int smtpf_lmdb_unpack(const MDB_val *key, const MDB_val *value, smtpf_stored *out);
/* For an open transaction: 0, MDB_NOTFOUND or LMDB's error; a record that is expired is found. */
int smtpf_lmdb_find(MDB_txn *txn, MDB_dbi dbi, smtpf_str key, smtpf_stored *out);

/* ---- store_lmdb_write.c ---- */

int smtpf_lmdb_writer_start(smtpf_lmdb *env);
void smtpf_lmdb_writer_stop(smtpf_lmdb *env);
/* Hands a job over; it is complete when this returns where there is no thread. */
void smtpf_lmdb_hand_over(smtpf_lmdb_job *job);
/* Whether some job of the driver is not done yet. */
int smtpf_lmdb_is_busy(smtpf_lmdb_driver *d);
void smtpf_lmdb_queue_init(smtpf_lmdb_queue *q);
void smtpf_lmdb_queue_add(smtpf_lmdb_queue *q, smtpf_lmdb_job *job);
/* Something to be logged by a driver, on its thread. Dropped when too many wait. */
void smtpf_lmdb_say(smtpf_lmdb *env, int level, const char *event, const char *text);
/* Tells of a failure once, and of its end. rc: LMDB's, 0 for success; *told: env->write_rc, read_rc or open_rc; why,
 * when it is not NULL, says more. */
void smtpf_lmdb_health(smtpf_lmdb *env, int *told, int rc, const char *what, const char *why);

/* ---- store_lmdb_apply.c: the caller holds work ---- */

/* Gives every job its status. */
void smtpf_lmdb_write(smtpf_lmdb *env, smtpf_lmdb_job *jobs);

/* ---- store_lmdb_map.c: the caller holds work ---- */

/* After MDB_MAP_FULL. For deletions it may go somewhat beyond `store.map_max`. 0 or LMDB's error. */
int smtpf_lmdb_grow(smtpf_lmdb *env, int deleting);
/* Back to `store.map_max` after deletions. */
void smtpf_lmdb_shrink(smtpf_lmdb *env);
/* After MDB_MAP_RESIZED: another process has grown the map. */
int smtpf_lmdb_adopt(smtpf_lmdb *env);
/* After what only a new beginning can mend. MDB_PANIC while it is too early for another try. */
int smtpf_lmdb_reopen(smtpf_lmdb *env);

/* ---- store_lmdb_health.c: the caller of the first two holds work ---- */

/* Says when map or reader slots run short. `closely`: pages that are free again, and slots of
 * processes that died, are not counted. */
void smtpf_lmdb_measure_map(smtpf_lmdb *env, int closely);
void smtpf_lmdb_measure_readers(smtpf_lmdb *env, int closely);
/* smtpf_store.stats */
void smtpf_lmdb_stats(void *self, smtpf_stat_fn fn, void *user);

/* ---- store_lmdb_care.c: the caller holds work ---- */

/* Whatever is due. Returns milliseconds until something is. */
int64_t smtpf_lmdb_care(smtpf_lmdb *env, uint64_t now_ns);
/* Without a thread: now and then a step of expiry somewhere. */
void smtpf_lmdb_care_inline(smtpf_lmdb *env, int64_t wall);

#endif
