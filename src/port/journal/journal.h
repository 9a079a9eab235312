/* SPDX-License-Identifier: MIT
 *
 * journal: the inside of a journal file that is open; what its parts share.
 *
 *   journal_log      opening, locking, appending, settling
 *   journal_read     what is open
 *   journal_compact  a new file in the old one's place
 *   journal_file     the port
 */
#ifndef SMTPF_PORT_JOURNAL_H
#define SMTPF_PORT_JOURNAL_H

#include <sys/types.h>

#include "base/list.h"
#include "walk.h"

/* What tests make fail. */
typedef struct smtpf_journal_io {
  ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
  int (*sync)(int fd); /* fdatasync(2) */
  int (*cut)(int fd, off_t at);
} smtpf_journal_io;

extern const smtpf_journal_io smtpf_journal_io_system;

struct smtpf_journal_log {
  smtpf_mem mem;
  char *path, *directory;
  const smtpf_journal_io *io;
  unsigned flags;
  int fd;         /* -1 when it must be opened again */
  int locked;     /* flock(2) is held */
  pid_t pid;      /* who opened `fd`: a child must not share its lock */
  uint64_t end;   /* up to here the file is known; appended to here */
  uint64_t syncs; /* how many succeeded */
};

enum { SMTPF_JOURNAL_PATIENCE_MS = 5000 };

/* A log on the same file, for another driver. SMTPF_OK or SMTPF_ENOMEM; it is opened at its first lock. */
int smtpf_journal_again(smtpf_journal_log **out, const smtpf_journal_log *log, const smtpf_mem *mem);

/* The file under its path, locked, a torn tail cut off, `end` where the next record belongs. SMTPF_OK, SMTPF_ETIMEOUT,
 * SMTPF_EIO, SMTPF_EPARSE, SMTPF_EUNSUPPORTED, SMTPF_ENOMEM. */
int smtpf_journal_lock(smtpf_journal_log *log, int64_t patience_ms, smtpf_error *err);
void smtpf_journal_unlock(smtpf_journal_log *log);

/* Locked: adds whole records. SMTPF_OK, or SMTPF_EIO and the file is as it was (or, when cutting it back fails too, it
 * holds some of them: a promise nobody was told of). */
int smtpf_journal_append(smtpf_journal_log *log, const char *p, size_t n, int sync);
int smtpf_journal_write_all(const smtpf_journal_io *io, int fd, const char *p, size_t n, uint64_t at);
smtpf_record smtpf_journal_record_of(const smtpf_promise *p, int more);
int smtpf_journal_sync_directory(const smtpf_journal_log *log);
/* Sets an error about the file. */
int smtpf_journal_fail(const smtpf_journal_log *log, smtpf_error *err, int code, const char *what);

/* What is open. */
typedef struct smtpf_journal_open {
  smtpf_link link;
  smtpf_str key; /* message, NUL, recipient */
  smtpf_promise promise;
  char bytes[];
} smtpf_journal_open;

typedef struct smtpf_journal_index {
  const smtpf_mem *mem;
  smtpf_link open; /* smtpf_journal_open, in the order they were made */
  smtpf_journal_stats stats;
} smtpf_journal_index;

/* Reads the first `size` bytes of `fd`; `damage` and `user` may be NULL. SMTPF_OK, what `damage` returned, or an error.
 * Free it in any case. */
int smtpf_journal_index_read(smtpf_journal_index *x, const smtpf_mem *mem, int fd, uint64_t size,
                             const smtpf_journal_visitor *visitor);
void smtpf_journal_index_free(smtpf_journal_index *x);

#endif
