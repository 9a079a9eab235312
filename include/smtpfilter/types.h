/* SPDX-License-Identifier: MIT */
/**
 * @file types.h
 * Words shared by every header: strings, results, stages, dispositions.
 *
 * Enumerations travel as `int` in signatures, so that their size is never part of the ABI. Zero is
 * never a verdict and never a disposition: a forgotten initialiser cannot read "accepted".
 */
#ifndef SMTPFILTER_TYPES_H
#define SMTPFILTER_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SMTPF_API __attribute__((visibility("default")))     /**< what the shared library exports */
#define SMTPF_USE_RESULT __attribute__((warn_unused_result)) /**< whose result must be looked at */
#else
#define SMTPF_API
#define SMTPF_USE_RESULT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** A counted string. Not NUL-terminated unless a function says so. `p` may be NULL when `n` is 0. */
typedef struct smtpf_str {
  const char *p; /**< first byte */
  size_t n;      /**< bytes */
} smtpf_str;

/** A string literal as an smtpf_str (C only). */
#define SMTPF_LIT(s) ((smtpf_str){(s), sizeof(s) - 1})

/** Results of functions: 0 done, 1 later, negative an error that left the object unchanged. */
enum smtpf_result {
  SMTPF_OK = 0,             /**< done; after a session event: a verdict is ready */
  SMTPF_PENDING = 1,        /**< accepted; the verdict comes later */
  SMTPF_EINVAL = -1,        /**< an argument is not legal */
  SMTPF_ENOMEM = -2,        /**< no memory, or an arena's hard cap was reached */
  SMTPF_ESTATE = -3,        /**< this call is not legal in this state (the table of session.h) */
  SMTPF_EBUSY = -4,         /**< re-entry, or an event is still pending */
  SMTPF_ENOTFOUND = -5,     /**< no such option, operation, recipient, file ... */
  SMTPF_ELIMIT = -6,        /**< a limit was reached */
  SMTPF_EPARSE = -7,        /**< text does not follow its grammar */
  SMTPF_EFORK = -8,         /**< the driver was made in another process */
  SMTPF_EIO = -9,           /**< a file, socket or database failed */
  SMTPF_ETIMEOUT = -10,     /**< time ran out; the operation is still pending */
  SMTPF_EUNSUPPORTED = -11, /**< this build or this port cannot do it */
};

/** The stages of one SMTP conversation (RFC 5321 section 3), as bits so that they form sets. */
enum smtpf_stage {
  SMTPF_CONNECT = 1 << 0, /**< the TCP connection, before the banner */
  SMTPF_HELO = 1 << 1,    /**< HELO, EHLO or LHLO */
  SMTPF_MAIL = 1 << 2,    /**< MAIL FROM */
  SMTPF_RCPT = 1 << 3,    /**< one RCPT TO */
  SMTPF_DATA = 1 << 4,    /**< DATA, or the first BDAT */
  SMTPF_BODY = 1 << 5,    /**< a piece of the message */
  SMTPF_EOM = 1 << 6,     /**< end of message */
};

/** What the host must do now. */
enum smtpf_action {
  SMTPF_ACCEPT = 1, /**< go on: a 2xx or 3xx reply */
  SMTPF_DEFER = 2,  /**< a 4xx reply */
  SMTPF_REJECT = 3, /**< a 5xx reply */
};

/** What became of one recipient's copy (promise L1: exactly one each). */
enum smtpf_disposition {
  SMTPF_DELIVERED = 1,   /**< taken, and delivered as it came */
  SMTPF_TAGGED = 2,      /**< taken, marked by a header field */
  SMTPF_QUARANTINED = 3, /**< taken, kept where a person can look at it */
  SMTPF_DISCARDED = 4,   /**< taken and dropped; only for who asked for it (promise L3) */
  SMTPF_REJECTED = 5,    /**< refused for good: the client owns it and tells its sender */
  SMTPF_DEFERRED = 6,    /**< refused for now: the client keeps it */
  SMTPF_HANDED_OVER = 7, /**< taken by a host that cannot report what became of it */
};

/** Whether a DSN about this recipient may be sent later (RFC 3464; promise L2). */
enum smtpf_dsn {
  SMTPF_DSN_ALLOWED = 1,      /**< yes */
  SMTPF_DSN_HEADERS_ONLY = 2, /**< yes, without the message's body (RFC 3462 text/rfc822-headers) */
  SMTPF_DSN_NEVER = 3,        /**< no: it would reach somebody who never wrote */
};

/** Who a client is to one recipient: decides which acts are legal (promise L5). */
enum smtpf_origin {
  SMTPF_ORIGIN_OWN = 1,   /**< authenticated, or from `own_networks` */
  SMTPF_ORIGIN_BACKUP_MX, /**< one of `backup_mx`: it has taken the mail already */
  SMTPF_ORIGIN_FORWARDER, /**< a trusted forwarder of the site's or the recipient's */
  SMTPF_ORIGIN_LIST,      /**< a mailing list the recipient subscribed to */
  SMTPF_ORIGIN_STRANGER,  /**< anybody else: the only one who may be refused for reputation or content */
};

/** Where a recipient's copy goes. */
enum smtpf_route {
  SMTPF_ROUTE_MAILBOX = 1, /**< to the recipient's mailbox here */
  SMTPF_ROUTE_FORWARD = 2, /**< to another address instead */
};

/** Who owns a copy whose delivery fails later, when no DSN may be sent (promise L2). */
enum smtpf_fallback {
  SMTPF_FALLBACK_QUARANTINE = 1, /**< keep it where a person can look at it */
  SMTPF_FALLBACK_POSTMASTER = 2, /**< send it to the postmaster */
};

/** What a host can vary or do; given when the session is made. */
enum smtpf_capability {
  SMTPF_CAN_REPLY_PER_RCPT = 1 << 0,      /**< one reply for each recipient after the message: always with LMTP; in
                                               SMTP it counts for messages whose MAIL has the parameter PRDR */
  SMTPF_CAN_DROP_RCPT = 1 << 1,           /**< remove a recipient after the message */
  SMTPF_CAN_EDIT_PER_RCPT = 1 << 2,       /**< header edits that differ between recipients */
  SMTPF_CAN_SENDER_PER_RCPT = 1 << 3,     /**< envelope sender that differs between recipients */
  SMTPF_CAN_QUARANTINE_PER_RCPT = 1 << 4, /**< quarantine one recipient's copy alone */
  SMTPF_CAN_QUARANTINE = 1 << 5,          /**< quarantine the message as a whole */
  SMTPF_CAN_SEE_BODY = 1 << 6,            /**< hands over the message's bytes */
  SMTPF_CAN_DELAY = 1 << 7,               /**< honours smtpf_verdict_delay() */
  SMTPF_CAN_REPORT_COMMIT = 1 << 8,       /**< calls smtpf_session_commit() */
  SMTPF_CAN_EDIT = 1 << 9,                /**< header edits on the message as a whole */
  SMTPF_CAN_CUT_THROUGH = 1 << 10,        /**< gives copies that are forwarded to the target's server while the client
                                               waits; its answer becomes the client's */
  SMTPF_CAN_JOIN_ONLY = 1 << 11,          /**< hears of all recipients at once and has one reply for all: nobody is put
                                               off alone to come again, wishes that differ are joined */
};

/** What one finding of a check says. */
enum smtpf_evidence_kind {
  SMTPF_CLEAR = 1,   /**< looked, and found nothing against it */
  SMTPF_HIT = 2,     /**< found what it looks for */
  SMTPF_UNKNOWN = 3, /**< could not find out; never read as clear, never a 5xx (promise L4) */
};

/** Severity of a log line. */
enum smtpf_log_level {
  SMTPF_LOG_ERROR = 1,   /**< something is broken and needs a person */
  SMTPF_LOG_WARNING = 2, /**< something failed and was coped with */
  SMTPF_LOG_NOTICE = 3,  /**< one line a verdict that refused */
  SMTPF_LOG_INFO = 4,    /**< one line a verdict */
  SMTPF_LOG_DEBUG = 5,   /**< every operation */
};

/**
 * The allocator of one configuration and of all that is made from it. All three functions are called
 * on the thread of the public call in progress; they must not call the library.
 */
typedef struct smtpf_mem {
  size_t size;                                     /**< sizeof(smtpf_mem) */
  void *user;                                      /**< passed back */
  void *(*alloc)(void *user, size_t n);            /**< like malloc(3) */
  void *(*realloc)(void *user, void *p, size_t n); /**< like realloc(3) */
  void (*free)(void *user, void *p);               /**< like free(3); accepts NULL */
} smtpf_mem;

typedef struct smtpf_config smtpf_config;   /**< what the postmaster wants; mutable, one thread */
typedef struct smtpf_engine smtpf_engine;   /**< the same, frozen; shared by all threads */
typedef struct smtpf_driver smtpf_driver;   /**< one event loop's ports, caches and timers */
typedef struct smtpf_session smtpf_session; /**< one SMTP connection */
typedef struct smtpf_verdict smtpf_verdict; /**< the answer to one event */

#ifdef __cplusplus
}
#endif
#endif
