/* SPDX-License-Identifier: MIT */
/**
 * @file driver.h
 * One event loop: ports, caches, timers, and the queue of sessions whose verdict is ready.
 *
 * A driver and its sessions belong to one thread. smtpf_driver_wake() is the only function that another
 * thread may call. A driver made before fork(2) refuses to work in the child (SMTPF_EFORK).
 *
 * Two ways to wait, the same machine: poll smtpf_driver_fd() and call smtpf_driver_process() when it is
 * readable; or put smtpf_driver_fds() and smtpf_driver_deadline() into your own poll set.
 */
#ifndef SMTPFILTER_DRIVER_H
#define SMTPFILTER_DRIVER_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct smtpf_ports; /* ext/port.h */

/**
 * A new driver.
 * @param[out] out  the driver, owned by the caller; untouched on failure
 * @param engine    the policy of new sessions; a reference is taken
 * @param ports     what touches the outside (ext/port.h), copied; NULL, or NULL members, for the
 *                  defaults: epoll, system clock, system random, c-ares, memory store
 * @return SMTPF_OK, SMTPF_ENOMEM, SMTPF_EIO (a port could not start), SMTPF_EUNSUPPORTED (the policy has keys
 *         to sign addresses with, and there is no crypto port) or SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_driver_new(smtpf_driver **out, smtpf_engine *engine,
                                                const struct smtpf_ports *ports);

/**
 * Stops the ports and frees. Every session of it must have been freed before; those that were not are
 * aborted and freed here. NULL is accepted. In a child of the process that made it, nothing is done. Since 0.1.
 */
SMTPF_API void smtpf_driver_free(smtpf_driver *driver);

/** Gives new sessions another policy; open sessions keep theirs. Takes a reference. Since 0.1. */
SMTPF_API void smtpf_driver_set_engine(smtpf_driver *driver, smtpf_engine *engine);

/**
 * Called inside smtpf_driver_process() when a pending session's verdict is ready, or when smtpf_session_body() takes
 * more. In it the session may be told its next events, and be freed; only smtpf_driver_process() and
 * smtpf_session_wait() may not be called.
 */
typedef void (*smtpf_ready_fn)(void *user, smtpf_session *session);

/** Registers the ready callback; NULL to go back to smtpf_session_wait() and smtpf_driver_next(). Since 0.1. */
SMTPF_API void smtpf_driver_set_ready(smtpf_driver *driver, smtpf_ready_fn fn, void *user);

/**
 * Does what is due: sockets, timers, completions; then calls the ready callback for each session that
 * became ready. Never blocks.
 * @return the number of sessions the ready callback was told of, or without one, that wait for smtpf_driver_next();
 *         SMTPF_EBUSY inside a callback; SMTPF_EFORK.
 * Since 0.1.
 */
SMTPF_API int smtpf_driver_process(smtpf_driver *driver);

/** Without a ready callback: takes the next ready session from the queue, NULL when there is none. Since 0.1. */
SMTPF_API smtpf_session *smtpf_driver_next(smtpf_driver *driver);

/** One descriptor that is readable when smtpf_driver_process() has something to do; -1 when the port has none. Since
 * 0.1. */
SMTPF_API int smtpf_driver_fd(const smtpf_driver *driver);

/** Conditions of a descriptor. */
enum smtpf_fd_event { SMTPF_FD_READ = 1, SMTPF_FD_WRITE = 2 };

/** A descriptor to put into a poll set. */
typedef struct smtpf_pollfd {
  int fd;          /**< the descriptor */
  unsigned events; /**< smtpf_fd_event bits wanted */
} smtpf_pollfd;

/**
 * The descriptors to watch, for hosts that own the poll set. The set may change at every
 * smtpf_driver_process() and at every session event.
 * @return how many there are; at most `cap` are written. Since 0.1.
 */
SMTPF_API size_t smtpf_driver_fds(const smtpf_driver *driver, smtpf_pollfd *out, size_t cap);

/** Milliseconds until smtpf_driver_process() is due without any descriptor; -1 for never. Since 0.1. */
SMTPF_API int64_t smtpf_driver_deadline(smtpf_driver *driver);

/** Makes smtpf_driver_fd() readable. The only function another thread, or a signal handler, may call. Since 0.1. */
SMTPF_API int smtpf_driver_wake(smtpf_driver *driver);

/** Receives counters. */
typedef void (*smtpf_stat_fn)(void *user, const char *name, uint64_t value);

/** Calls `fn` for every counter of this driver, then for those of its store and of the scanners that its engine has
 *  used. What is left alone because it failed is told too: `store.down`, `scanner.NAME.down.SERVER`. New counters may
 *  appear in any version. Since 0.1. */
SMTPF_API void smtpf_driver_stats(const smtpf_driver *driver, smtpf_stat_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
