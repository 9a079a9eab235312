/* SPDX-License-Identifier: MIT */
/**
 * @file ext/journal.h
 * The journal on disk: which copies of which messages a host that spools has promised, so that it finds them after a
 * crash. The port smtpf_journal_file() writes promises down before the client is told 2xx; the host closes each with
 * smtpf_journal_log_settle() once it has delivered the copy; smtpf-ledger(1) lists what is open. Stable within a minor
 * version.
 *
 * Nothing promised is lost silently. A promise completes with SMTPF_OK only when its record has been synced. At any
 * later time the file may be found
 * - to end inside a record, or inside a group of promises that were made together (a crash while it was written: that
 *   client was never told 2xx). This tail is cut off when the file is next opened for writing;
 * - to hold bytes that are no record, with or without records behind them (a disk's or a person's fault). They are told
 *   to every reader with their offset, never cut off, and all records behind them are read. Whether they held a promise
 *   nobody can know: the file is compacted without them only by SMTPF_JOURNAL_DROP_DAMAGE.
 *
 * Several processes may write to one file. Each write, and each compaction, holds an flock(2) on it; compaction puts a
 * new file in its place, which the others notice before they write again. The file system must be a local one. The file
 * must not be removed while somebody uses it: promises then fail, and clients are answered 4xx.
 */
#ifndef SMTPFILTER_EXT_JOURNAL_H
#define SMTPFILTER_EXT_JOURNAL_H

#include "../error.h"
#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct smtpf_journal_log smtpf_journal_log; /**< a journal file, open */

/** How a journal file is opened. */
enum smtpf_journal_flag {
  SMTPF_JOURNAL_READ_ONLY = 1 << 0,   /**< changes nothing, also no torn tail; the file must exist */
  SMTPF_JOURNAL_DROP_DAMAGE = 1 << 1, /**< compaction: leave out bytes that are no record */
};

/** Longest strings of a promise, in bytes; longer ones are refused with SMTPF_EINVAL. */
enum smtpf_journal_limit {
  SMTPF_JOURNAL_MESSAGE_MAX = 255,
  SMTPF_JOURNAL_ADDRESS_MAX = 1000,
  SMTPF_JOURNAL_MEMORY_MAX = 32,
};

/**
 * Opens a journal file; makes it, readable by its owner alone, when there is none.
 * @param[out] out  the log, owned by the caller; untouched on failure
 * @param path      copied. Its directory must exist, be writable, and stay what it is: the working directory may not
 *                  change under a relative path
 * @param flags     0 or SMTPF_JOURNAL_READ_ONLY
 * @param mem       allocator, copied; NULL for malloc(3)
 * @param[out] err  what is wrong; may be NULL
 * @return SMTPF_OK, SMTPF_EIO, SMTPF_EPARSE (not a journal), SMTPF_EUNSUPPORTED (of a later version), SMTPF_EINVAL,
 *         SMTPF_ETIMEOUT (somebody held the lock for 5 seconds) or SMTPF_ENOMEM. A damaged journal opens.
 * @note One thread at a time. Usable after fork(2) in parent and child. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_journal_log_open(smtpf_journal_log **out, const char *path, unsigned flags,
                                                      const smtpf_mem *mem, smtpf_error *err);

/** Closes the file and frees. Closes no promise. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_journal_log_free(smtpf_journal_log *log);

/** What a journal file holds. */
typedef struct smtpf_journal_stats {
  size_t size;            /**< sizeof(smtpf_journal_stats) */
  uint64_t bytes;         /**< length of the file */
  uint64_t promised;      /**< promises ever written to it since its last compaction, and those open then */
  uint64_t settled;       /**< closings that closed one */
  uint64_t open;          /**< promises that are open */
  uint64_t torn;          /**< bytes of a tail that was never whole; gone once the file is opened for writing */
  uint64_t damaged;       /**< bytes that are no record */
  uint64_t damages;       /**< in so many places */
  uint64_t damage_offset; /**< the first of them; 0 also when there is none */
} smtpf_journal_stats;

/** Receives what smtpf_journal_log_read() finds. A function that returns other than 0 ends it. NULL functions are not
 *  called. `open` may settle promises on the same log; nothing else may be done to the log meanwhile. */
typedef struct smtpf_journal_visitor {
  size_t size;                                                 /**< sizeof(smtpf_journal_visitor) */
  void *user;                                                  /**< passed back */
  int (*damage)(void *user, uint64_t offset, uint64_t length); /**< bytes that are no record; all before any promise */
  int (*open)(void *user, const smtpf_promise *promise); /**< an open promise, in the order they were made. Its strings
                                                              are valid during the call */
} smtpf_journal_visitor;

/**
 * Reads the whole file and tells what is open. Costs memory for what is open, and time for all.
 * @param log       the log
 * @param visitor   receiver; NULL to count only
 * @param[out] out  figures, set `size` first; NULL accepted
 * @param[out] err  what is wrong; may be NULL
 * @return SMTPF_OK, the visitor's value, SMTPF_EIO, SMTPF_EPARSE, SMTPF_EUNSUPPORTED, SMTPF_ETIMEOUT or SMTPF_ENOMEM.
 *         Since 0.1.
 */
SMTPF_API int smtpf_journal_log_read(smtpf_journal_log *log, const smtpf_journal_visitor *visitor,
                                     smtpf_journal_stats *out, smtpf_error *err);

/**
 * Closes a promise: says what became of the copy. It is written at once and synced with the next promise, or by
 * smtpf_journal_log_sync(): after a power failure between the two the pair is listed once more, so delivery must be
 * such that doing it again shows. Whether the pair is open is not looked at.
 * @param log          the log
 * @param message      as promised
 * @param recipient    as promised
 * @param disposition  smtpf_disposition: what became of it in the end
 * @return SMTPF_OK, SMTPF_EINVAL, SMTPF_ESTATE (read-only), SMTPF_EIO (full: the pair stays open), SMTPF_ETIMEOUT or
 *         SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_journal_log_settle(smtpf_journal_log *log, smtpf_str message, smtpf_str recipient, int disposition);

/** Syncs what was written. @return SMTPF_OK, SMTPF_ESTATE (read-only) or SMTPF_EIO. Since 0.1. */
SMTPF_API int smtpf_journal_log_sync(smtpf_journal_log *log);

/**
 * Writes a new file with the open promises alone and puts it in the old one's place. Others that write wait meanwhile.
 * @param log       the log
 * @param flags     0 or SMTPF_JOURNAL_DROP_DAMAGE
 * @param[out] err  what is wrong, with the offset of the first damage; may be NULL
 * @return SMTPF_OK; SMTPF_EPARSE (the file is damaged, and not to be dropped), SMTPF_ESTATE (read-only),
 *         SMTPF_EINVAL, SMTPF_EIO, SMTPF_EUNSUPPORTED, SMTPF_ETIMEOUT, SMTPF_ENOMEM. What is open is the same in any
 *         case. Since 0.1.
 */
SMTPF_API int smtpf_journal_log_compact(smtpf_journal_log *log, unsigned flags, smtpf_error *err);

/**
 * The journal port over a file: pass a log that is open for writing as `journal_shared`; each driver opens the file for
 * itself, the log is only read. It must outlive the drivers.
 *
 * Promises made in one turn of the loop share one write and one fdatasync(2), which blocks the driver's thread. They
 * complete inside smtpf_driver_process() or smtpf_session_wait(), never inside the call. On a full or failing disk all
 * of them fail, the file is cut back to what it was, and later ones work once there is room. Cancelled before it is
 * written, a promise never is. Since 0.1.
 */
SMTPF_API const smtpf_journal *smtpf_journal_file(void);

#ifdef __cplusplus
}
#endif
#endif
