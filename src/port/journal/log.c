/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal.h"
#include "port/port.h"

enum { LOCK_PAUSE_MS = 2, REPLACED_MAX = 100 };

static int cut(int fd, off_t at)
{
  return ftruncate(fd, at);
}

const smtpf_journal_io smtpf_journal_io_system = {pwrite, fdatasync, cut};

int smtpf_journal_fail(const smtpf_journal_log *log, smtpf_error *err, int code, const char *what)
{
  return SMTPF_ERROR(err, code, log->path, 0, smtpf_str_of(what));
}

int smtpf_journal_sync_directory(const smtpf_journal_log *log)
{
  int fd = open(log->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return SMTPF_EIO;
  int r = fsync(fd);
  close(fd);
  return r == 0 ? SMTPF_OK : SMTPF_EIO;
}

smtpf_record smtpf_journal_record_of(const smtpf_promise *p, int more)
{
  return (smtpf_record){.type = SMTPF_RECORD_PROMISE,
                        .more = more,
                        .disposition = p->disposition,
                        .wall_s = p->wall_s,
                        .message = p->message,
                        .sender = p->sender,
                        .recipient = p->recipient,
                        .memory = p->memory};
}

/* ---- writing --------------------------------------------------------------------------------------- */

int smtpf_journal_write_all(const smtpf_journal_io *io, int fd, const char *p, size_t n, uint64_t at)
{
  while (n) {
    ssize_t done = io->pwrite(fd, p, n, (off_t)at);
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return SMTPF_EIO;
    p += done;
    n -= (size_t)done;
    at += (uint64_t)done;
  }
  return SMTPF_OK;
}

int smtpf_journal_append(smtpf_journal_log *log, const char *p, size_t n, int sync)
{
  if (smtpf_journal_write_all(log->io, log->fd, p, n, log->end) == SMTPF_OK && (!sync || log->io->sync(log->fd) == 0)) {
    log->end += n;
    log->syncs += sync != 0;
    return SMTPF_OK;
  }
  /* What cannot be cut off now, or comes back after a power failure, is looked at before the next record. */
  if (log->io->cut(log->fd, (off_t)log->end) == 0)
    (void)log->io->sync(log->fd);
  return SMTPF_EIO;
}

/* ---- opening and locking --------------------------------------------------------------------------- */

static void forget(smtpf_journal_log *log)
{
  if (log->fd >= 0)
    close(log->fd);
  log->fd = -1;
  log->locked = 0;
}

static int open_file(smtpf_journal_log *log, int flags, smtpf_error *err)
{
  struct stat st;
  int access = log->flags & SMTPF_JOURNAL_READ_ONLY ? O_RDONLY : O_RDWR;
  int fd = open(log->path, access | flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  if (fd < 0) {
    int gone = errno == ENOENT, denied = errno == EACCES || errno == EROFS;
    return smtpf_journal_fail(log, err, SMTPF_EIO,
                              gone     ? "no such journal, or no such directory"
                              : denied ? "permission denied"
                                       : "the journal cannot be opened");
  }
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    close(fd);
    return smtpf_journal_fail(log, err, SMTPF_EINVAL, "a journal is a file");
  }
  log->fd = fd;
  log->pid = getpid();
  log->end = 0;
  return SMTPF_OK;
}

/* Whether the path still leads to the file that is open; *gone when it leads nowhere. */
static int is_current(const smtpf_journal_log *log, struct stat *ours, int *gone)
{
  struct stat there;
  *gone = stat(log->path, &there) != 0;
  return !*gone && fstat(log->fd, ours) == 0 && ours->st_dev == there.st_dev && ours->st_ino == there.st_ino;
}

/* Locks the file that the path leads to; compaction may put another there before our open, and while we wait. */
static int lock_current(smtpf_journal_log *log, int how, int64_t patience_ms, struct stat *st, smtpf_error *err)
{
  if (log->fd >= 0 && log->pid != getpid())
    forget(log);
  int replaced = 0;
  for (int64_t waited = 0;;) {
    int r, gone;
    if (log->fd < 0 && (r = open_file(log, 0, err)) != SMTPF_OK)
      return r;
    log->locked = flock(log->fd, how | LOCK_NB) == 0;
    if (!log->locked && errno != EWOULDBLOCK && errno != EINTR)
      return smtpf_journal_fail(log, err, SMTPF_EIO, "the journal cannot be locked");
    int current = is_current(log, st, &gone);
    if (log->locked && current)
      return SMTPF_OK;
    if (!current)
      forget(log);
    if (gone)
      return smtpf_journal_fail(log, err, SMTPF_EIO, "the journal has been removed");
    if (!current && ++replaced < REPLACED_MAX)
      continue;
    if (waited >= patience_ms)
      return smtpf_journal_fail(log, err, SMTPF_ETIMEOUT, "somebody else holds the lock");
    poll(NULL, 0, LOCK_PAUSE_MS);
    waited += LOCK_PAUSE_MS;
  }
}

void smtpf_journal_unlock(smtpf_journal_log *log)
{
  if (log->locked)
    (void)flock(log->fd, LOCK_UN);
  log->locked = 0;
}

/* Walks what was added since, by others or by a write of ours that failed; cuts off a tail that was never whole. */
static int catch_up(smtpf_journal_log *log, uint64_t size, smtpf_error *err)
{
  smtpf_walk s;
  smtpf_found f;
  uint64_t end = size;
  int step = smtpf_walk_init(&s, &log->mem, log->fd, log->end, size);
  if (step != SMTPF_OK)
    return smtpf_journal_fail(log, err, step, smtpf_strerror(step));
  while ((step = smtpf_walk_next(&s, &f)) > 0)
    if (step == SMTPF_WALK_TORN)
      end = f.offset;
  smtpf_walk_free(&s);
  if (step == SMTPF_EPARSE)
    return smtpf_journal_fail(log, err, step, "not a journal, or damaged beyond recognition from offset 0");
  if (step == SMTPF_EUNSUPPORTED)
    return smtpf_journal_fail(log, err, step, "a journal of a later version");
  if (step < 0 || (end < size && log->io->cut(log->fd, (off_t)end) != 0))
    return smtpf_journal_fail(log, err, SMTPF_EIO, "the journal cannot be read, or its tail not cut off");
  log->end = end;
  return SMTPF_OK;
}

static int write_start(smtpf_journal_log *log, smtpf_error *err)
{
  char start[SMTPF_RECORD_START];
  smtpf_record_start(start);
  if (smtpf_journal_append(log, start, sizeof start, 1) != SMTPF_OK)
    return smtpf_journal_fail(log, err, SMTPF_EIO, "the journal cannot be written: is the disk full?");
  return SMTPF_OK;
}

int smtpf_journal_lock(smtpf_journal_log *log, int64_t patience_ms, smtpf_error *err)
{
  struct stat st;
  int r = lock_current(log, LOCK_EX, patience_ms, &st, err);
  if (r != SMTPF_OK)
    return r;
  uint64_t size = (uint64_t)st.st_size;
  int fresh = log->end == 0;
  if (size < log->end)
    log->end = 0;
  if (size != log->end)
    r = catch_up(log, size, err);
  if (r == SMTPF_OK && log->end == 0)
    r = write_start(log, err);
  /* Whoever made or replaced the file may have died before its name was on disk. */
  if (r == SMTPF_OK && fresh && smtpf_journal_sync_directory(log) != SMTPF_OK) {
    log->end = 0;
    r = smtpf_journal_fail(log, err, SMTPF_EIO, "the journal's directory cannot be synced");
  }
  if (r != SMTPF_OK)
    smtpf_journal_unlock(log);
  return r;
}

/* ---- the object ------------------------------------------------------------------------------------ */

/* A log with `path` and its directory copied, not yet open. */
static smtpf_journal_log *make(const char *path, unsigned flags, const smtpf_mem *given)
{
  smtpf_mem mem = smtpf_mem_or_default(given);
  size_t n = strlen(path);
  const char *slash = strrchr(path, '/');
  smtpf_str directory = slash ? (smtpf_str){path, slash == path ? 1 : (size_t)(slash - path)} : SMTPF_LIT(".");
  smtpf_journal_log *log = smtpf_mem_zalloc(&mem, sizeof *log + n + 1 + directory.n + 1);
  if (!log)
    return NULL;
  log->mem = mem;
  log->path = (char *)(log + 1);
  log->directory = log->path + n + 1;
  memcpy(log->path, path, n);
  memcpy(log->directory, directory.p, directory.n);
  log->io = &smtpf_journal_io_system;
  log->flags = flags;
  log->fd = -1;
  return log;
}

int smtpf_journal_again(smtpf_journal_log **out, const smtpf_journal_log *log, const smtpf_mem *mem)
{
  smtpf_journal_log *again = make(log->path, log->flags, mem);
  if (!again)
    return SMTPF_ENOMEM;
  again->io = log->io;
  *out = again;
  return SMTPF_OK;
}

int smtpf_journal_log_open(smtpf_journal_log **out, const char *path, unsigned flags, const smtpf_mem *mem,
                           smtpf_error *err)
{
  if (!out || !path || !*path || (flags & ~(unsigned)SMTPF_JOURNAL_READ_ONLY))
    return SMTPF_ERROR(err, SMTPF_EINVAL, path ? path : "", 0, smtpf_str_of(smtpf_strerror(SMTPF_EINVAL)));
  smtpf_journal_log *log = make(path, flags, mem);
  if (!log)
    return SMTPF_ERROR(err, SMTPF_ENOMEM, path, 0, smtpf_str_of(smtpf_strerror(SMTPF_ENOMEM)));
  int reads = (flags & SMTPF_JOURNAL_READ_ONLY) != 0;
  int r = open_file(log, reads ? 0 : O_CREAT, err);
  if (r == SMTPF_OK)
    r = reads ? smtpf_journal_log_read(log, NULL, NULL, err) : smtpf_journal_lock(log, SMTPF_JOURNAL_PATIENCE_MS, err);
  smtpf_journal_unlock(log);
  if (r != SMTPF_OK) {
    smtpf_journal_log_free(log);
    return r;
  }
  *out = log;
  return SMTPF_OK;
}

void smtpf_journal_log_free(smtpf_journal_log *log)
{
  if (!log)
    return;
  forget(log);
  smtpf_mem mem = log->mem;
  smtpf_mem_free(&mem, log);
}

int smtpf_journal_log_settle(smtpf_journal_log *log, smtpf_str message, smtpf_str recipient, int disposition)
{
  char bytes[SMTPF_RECORD_MAX];
  smtpf_record record = {.type = SMTPF_RECORD_SETTLE,
                         .disposition = disposition,
                         .wall_s = smtpf_clock_system()->wall_s(NULL),
                         .message = message,
                         .recipient = recipient};
  if (log->flags & SMTPF_JOURNAL_READ_ONLY)
    return SMTPF_ESTATE;
  if (!smtpf_record_legal(&record))
    return SMTPF_EINVAL;
  int r = smtpf_journal_lock(log, SMTPF_JOURNAL_PATIENCE_MS, NULL);
  if (r == SMTPF_OK)
    r = smtpf_journal_append(log, bytes, smtpf_record_write(&record, bytes), 0);
  smtpf_journal_unlock(log);
  return r;
}

int smtpf_journal_log_sync(smtpf_journal_log *log)
{
  if (log->flags & SMTPF_JOURNAL_READ_ONLY)
    return SMTPF_ESTATE;
  return log->fd < 0 || log->io->sync(log->fd) == 0 ? SMTPF_OK : SMTPF_EIO;
}

int smtpf_journal_log_read(smtpf_journal_log *log, const smtpf_journal_visitor *visitor, smtpf_journal_stats *out,
                           smtpf_error *err)
{
  smtpf_journal_index x;
  struct stat st;
  int r = lock_current(log, LOCK_SH, SMTPF_JOURNAL_PATIENCE_MS, &st, err);
  if (r != SMTPF_OK)
    return r;
  /* The length under the lock is between two writes, and nobody cuts below it: the lock is not needed to read. */
  smtpf_journal_unlock(log);
  r = smtpf_journal_index_read(&x, &log->mem, log->fd, (uint64_t)st.st_size, visitor);
  if (r < 0)
    (void)smtpf_journal_fail(log, err, r,
                             r == SMTPF_EPARSE         ? "not a journal, or damaged beyond recognition from offset 0"
                             : r == SMTPF_EUNSUPPORTED ? "a journal of a later version"
                                                       : smtpf_strerror(r));
  if (r == SMTPF_OK && out && out->size >= sizeof *out)
    *out = x.stats;
  for (smtpf_link *l = x.open.next; r == SMTPF_OK && visitor && visitor->open && l != &x.open; l = l->next)
    r = visitor->open(visitor->user, &SMTPF_OF(l, smtpf_journal_open, link)->promise);
  smtpf_journal_index_free(&x);
  return r;
}
