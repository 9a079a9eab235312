/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h> /* rename */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal.h"

enum { CHUNK = 64 * 1024 };

static const char suffix[] = ".new";

/* Writes what is open into `fd`, through a buffer. */
static int write_open(const smtpf_journal_log *log, const smtpf_journal_index *x, int fd)
{
  uint64_t at = 0;
  size_t n = SMTPF_RECORD_START;
  int r = SMTPF_OK;
  char *room = smtpf_mem_alloc(&log->mem, CHUNK);
  if (!room)
    return SMTPF_ENOMEM;
  smtpf_record_start(room);
  for (const smtpf_link *l = x->open.next; r == SMTPF_OK && l != &x->open; l = l->next) {
    smtpf_record record = smtpf_journal_record_of(&SMTPF_OF(l, smtpf_journal_open, link)->promise, 0);
    if (n + smtpf_record_size(&record) > CHUNK) {
      r = smtpf_journal_write_all(log->io, fd, room, n, at);
      at += n;
      n = 0;
    }
    n += smtpf_record_write(&record, room + n);
  }
  if (r == SMTPF_OK)
    r = smtpf_journal_write_all(log->io, fd, room, n, at);
  smtpf_mem_free(&log->mem, room);
  return r == SMTPF_OK && log->io->sync(fd) != 0 ? SMTPF_EIO : r;
}

/* The new file belongs to whom the old one did: a tool that root ran must not shut the host out. */
static int same_owner(int from, int to)
{
  struct stat a, b;
  if (fstat(from, &a) != 0 || fstat(to, &b) != 0)
    return SMTPF_EIO;
  if ((a.st_uid != b.st_uid || a.st_gid != b.st_gid) && fchown(to, a.st_uid, a.st_gid) != 0)
    return SMTPF_EIO;
  return fchmod(to, a.st_mode & 07777) == 0 ? SMTPF_OK : SMTPF_EIO;
}

static int replace(smtpf_journal_log *log, const smtpf_journal_index *x)
{
  size_t n = strlen(log->path);
  char *name = smtpf_mem_alloc(&log->mem, n + sizeof suffix);
  if (!name)
    return SMTPF_ENOMEM;
  memcpy(name, log->path, n);
  memcpy(name + n, suffix, sizeof suffix);
  unlink(name); /* somebody's who died over it: we hold the lock */
  int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int r = fd >= 0 ? same_owner(log->fd, fd) : SMTPF_EIO;
  if (r == SMTPF_OK)
    r = write_open(log, x, fd);
  if (r == SMTPF_OK && rename(name, log->path) != 0)
    r = SMTPF_EIO;
  if (fd >= 0 && r != SMTPF_OK)
    unlink(name);
  if (fd >= 0)
    close(fd);
  smtpf_mem_free(&log->mem, name);
  return r;
}

static int damaged(const smtpf_journal_log *log, const smtpf_journal_stats *s, smtpf_error *err)
{
  char room[64];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_uint(&o, s->damaged);
  smtpf_out_cstr(&o, " bytes are no record, the first at offset ");
  smtpf_out_uint(&o, s->damage_offset);
  return SMTPF_ERROR(err, SMTPF_EPARSE, log->path, 0, smtpf_out_done(&o));
}

int smtpf_journal_log_compact(smtpf_journal_log *log, unsigned flags, smtpf_error *err)
{
  smtpf_journal_index x;
  if (log->flags & SMTPF_JOURNAL_READ_ONLY)
    return smtpf_journal_fail(log, err, SMTPF_ESTATE, "the journal is open for reading only");
  if (flags & ~(unsigned)SMTPF_JOURNAL_DROP_DAMAGE)
    return smtpf_journal_fail(log, err, SMTPF_EINVAL, smtpf_strerror(SMTPF_EINVAL));
  int r = smtpf_journal_lock(log, SMTPF_JOURNAL_PATIENCE_MS, err);
  if (r != SMTPF_OK)
    return r;
  r = smtpf_journal_index_read(&x, &log->mem, log->fd, log->end, NULL);
  if (r == SMTPF_OK && x.stats.damages && !(flags & SMTPF_JOURNAL_DROP_DAMAGE))
    r = damaged(log, &x.stats, err);
  else if (r == SMTPF_OK && (r = replace(log, &x)) != SMTPF_OK)
    (void)smtpf_journal_fail(log, err, r, "the new journal cannot be written: is the disk full?");
  else if (r != SMTPF_OK)
    (void)smtpf_journal_fail(log, err, r, smtpf_strerror(r));
  /* Who writes next finds another file under the path, and syncs the directory before it promises anything. */
  else if (smtpf_journal_sync_directory(log) != SMTPF_OK)
    r = smtpf_journal_fail(log, err, SMTPF_EIO, "the journal's directory cannot be synced");
  smtpf_journal_unlock(log);
  smtpf_journal_index_free(&x);
  return r;
}
