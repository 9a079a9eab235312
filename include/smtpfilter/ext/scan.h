/* SPDX-License-Identifier: MIT */
/**
 * @file ext/scan.h
 * Scanners: programs and services that judge a whole message. A type of scanner (`clamd`, `spamd`, a host's own) is a
 * table of functions; the policy's `scanners` list names instances of it, each with settings of its own. Stable within
 * a minor version.
 *
 *     start --open--> feed, feed, ... --finish--> smtpf_op_scanned() once: clean, hit, or unknown
 *                        \-> takes less: smtpf_op_scan_room() later, then the rest is fed
 *                        \-> smtpf_op_scan_again(): fed again from the first byte, e.g. to another server
 *                     smtpf_op_scanned() may come at any time after open has begun, before finish too
 *                     cancel: no completion is wanted any more
 *
 * The library keeps the message (`spool` group: memory, then an unlinked file), so a scanner may be as slow as its
 * timeout allows, begin again, or ask for the message as a descriptor. Functions of one driver run on its thread alone.
 */
#ifndef SMTPFILTER_EXT_SCAN_H
#define SMTPFILTER_EXT_SCAN_H

#include "../verdict.h"
#include "check.h"
#include "port.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a scan ended. Silence is none of them. */
enum smtpf_scan_status {
  SMTPF_SCAN_CLEAN = 1, /**< looked at, nothing found */
  SMTPF_SCAN_HIT,       /**< something was found: `name` */
  SMTPF_SCAN_UNKNOWN,   /**< could not be found out: `cause` */
};

/** A header edit that a scanner wishes. */
typedef struct smtpf_scan_edit {
  size_t size;     /**< sizeof(smtpf_scan_edit) */
  int op;          /**< smtpf_edit_op */
  smtpf_str name;  /**< field name */
  smtpf_str value; /**< for additions */
  int occurrence;  /**< DELETE: from 1; 0 for all fields of that name; -1 for the last */
} smtpf_scan_edit;

/** What a scanner says. */
typedef struct smtpf_scan_result {
  size_t size;                  /**< sizeof(smtpf_scan_result) */
  int status;                   /**< smtpf_scan_status */
  smtpf_str name;               /**< HIT: what, e.g. the virus's name */
  const char *cause;            /**< UNKNOWN: a short static word: `refused`, `timeout`, `garbage`, `too-large` */
  int scored;                   /**< 1: the scanner gives a score */
  int32_t score;                /**< that, in thousandths */
  uint64_t seen;                /**< bytes of the message it has really looked at: fewer than there are is not clean */
  smtpf_str detail;             /**< for the log: the server, its words */
  const smtpf_scan_edit *edits; /**< header edits it wishes */
  size_t n_edits;               /**< how many; the library takes at most 64 */
} smtpf_scan_result;

/** What a scanner is told. Valid during open. */
typedef struct smtpf_scan_request {
  size_t size;                 /**< sizeof(smtpf_scan_request) */
  smtpf_str scanner;           /**< name of the instance */
  const smtpf_event *event;    /**< client, HELO, sender; `recipients` says how many were accepted */
  const smtpf_str *recipients; /**< addresses this scan is for, without brackets */
  size_t n_recipients;         /**< how many */
  smtpf_str user;              /**< user whose settings the scanner is to use; empty for the site's */
  smtpf_str session;           /**< session id, for logs */
} smtpf_scan_request;

/** A type of scanner. Static. */
typedef struct smtpf_scanner {
  size_t size;                 /**< sizeof(smtpf_scanner) */
  const char *name;            /**< `clamd`: what `scanners[name].type` says */
  const smtpf_option *options; /**< its rows, with paths such as `scanners[name].colour` */
  size_t n_options;            /**< how many */
  /** Looks at an instance's settings when the policy is loaded; NULL when there is nothing to look at. */
  int (*check)(const smtpf_section *settings, smtpf_error *err);
  /** One instance on one driver, before its first scan; `settings` lives as long as *self. SMTPF_OK or an error. */
  int (*start)(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self);
  /** Begins a scan. SMTPF_OK (with *scan for the calls below) or an error, which is unknown. */
  int (*open)(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan);
  /** Takes bytes of the message, in order; returns how many. Fewer: smtpf_op_scan_room() says when to go on. */
  size_t (*feed)(void *scan, const char *bytes, size_t n);
  /** The message is complete, and all of it was taken. SMTPF_OK: smtpf_op_scanned() follows, or has come. */
  int (*finish)(void *scan);
  /** Ends a scan; always the last call for it, also after smtpf_op_scanned(). Frees. */
  void (*close)(void *scan);
  /** Ends an instance; no scan of it is open. */
  void (*stop)(void *self);
  /** Counters of an instance, for smtpf_driver_stats(), which puts `scanner`, a dot, the instance and a dot before
   * their names. One that asks servers has a counter `down`, a dot, the server, for each: 1 while it is left alone,
   * else 0. NULL: none. */
  void (*stats)(void *self, smtpf_stat_fn fn, void *user);
} smtpf_scanner;

/**
 * Registers a type of scanner, before the policy is loaded. One whose name is in use takes the place of that one.
 * @param cfg      the configuration
 * @param scanner  the type; lives as long as every engine that uses it
 * @param shared   handed to start. @return SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_add_scanner(smtpf_config *cfg, const smtpf_scanner *scanner, void *shared);

/** Completes a scan. The result is copied. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_scanned(smtpf_driver *driver, smtpf_op op, const smtpf_scan_result *result);
/** The scan can take more: feed is called, here or soon. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_scan_room(smtpf_driver *driver, smtpf_op op);
/** The scan wants the message from its first byte on, finish too. @return SMTPF_OK, SMTPF_ENOTFOUND or SMTPF_EIO. Since
 * 0.1. */
SMTPF_API int smtpf_op_scan_again(smtpf_driver *driver, smtpf_op op);
/**
 * The whole message as a file, once finish was called: it stands there from byte 0 on.
 * @return a descriptor that stays the library's and is good until the scan is closed; -1 when there is none. Since 0.1.
 */
SMTPF_API int smtpf_op_scan_fd(smtpf_driver *driver, smtpf_op op);
/** Bytes of the message so far; all of them once finish was called. 0 when the token is over. Since 0.1. */
SMTPF_API uint64_t smtpf_op_scan_size(const smtpf_driver *driver, smtpf_op op);

/* ---- for the check that asks -------------------------------------------------------------------- */

/**
 * Begins a scan of the message that is coming (stage BODY), by an instance of the policy's `scanners`. The library
 * feeds it what has come and what will come. The answer is SMTPF_ANSWER_SCAN; it comes after smtpf_task_scan_finish(),
 * unless the scanner knows earlier.
 * @param t        the task
 * @param request  copied where the scanner keeps it; `scanner` names the instance
 * @param tag      comes back with the answer
 * @return SMTPF_OK, SMTPF_ENOTFOUND (no such instance), SMTPF_EINVAL (another stage), SMTPF_ELIMIT, SMTPF_EIO (it
 * cannot begin) or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_task_scan(smtpf_task *t, const smtpf_scan_request *request, uint32_t tag);
/** The message is complete for this task (its `finish` was called): the scan with this tag may be finished too.
 *  @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_task_scan_finish(smtpf_task *t, uint32_t tag);
/** Ends a scan whose answer is not wanted any more. @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_task_scan_cancel(smtpf_task *t, uint32_t tag);

#ifdef __cplusplus
}
#endif
#endif
