/* SPDX-License-Identifier: MIT */
/**
 * @file verdict.h
 * The answer to one event: what to reply, what becomes of each recipient's copy, and why.
 *
 * A verdict belongs to its session and is valid until that session's next event; strings and rows
 * taken from it live as long. All functions are pure readers.
 */
#ifndef SMTPFILTER_VERDICT_H
#define SMTPFILTER_VERDICT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** smtpf_action. Since 0.1. */
SMTPF_API int smtpf_verdict_action(const smtpf_verdict *v);

/** The reply code, 200-599 (RFC 5321 4.2). Since 0.1. */
SMTPF_API int smtpf_verdict_code(const smtpf_verdict *v);

/** The enhanced status code, e.g. `5.7.1` (RFC 3463); empty where RFC 2034 has none (banner, EHLO, 354). Since 0.1. */
SMTPF_API smtpf_str smtpf_verdict_enhanced(const smtpf_verdict *v);

/** The reply's text without codes: printable, lines separated by a single LF, no LF at the end. Since 0.1. */
SMTPF_API smtpf_str smtpf_verdict_text(const smtpf_verdict *v);

/** Milliseconds to wait before the reply is sent; 0 for none, and always without SMTPF_CAN_DELAY. At most `delay.max`.
 * smtpf_driver_timer() of ext/port.h can do the waiting. Since 0.1. */
SMTPF_API int64_t smtpf_verdict_delay(const smtpf_verdict *v);

/** 1 when the connection must be closed after the reply (221, 421), else 0. Since 0.1. */
SMTPF_API int smtpf_verdict_closes(const smtpf_verdict *v);

/** smtpf_stage this verdict answers; 0 for events that are no stage (RSET, QUIT, NOOP ...). Since 0.1. */
SMTPF_API int smtpf_verdict_stage(const smtpf_verdict *v);

/** The rule that decided, in words, e.g. `score 10.0 >= profile default reject 10.0`. Since 0.1. */
SMTPF_API smtpf_str smtpf_verdict_rule(const smtpf_verdict *v);

/** One finding of one check. */
typedef struct smtpf_evidence_info {
  size_t size;         /**< sizeof(smtpf_evidence_info) */
  const char *check;   /**< the check's name, static */
  int stage;           /**< smtpf_stage at which it ran */
  int kind;            /**< smtpf_evidence_kind */
  smtpf_str code;      /**< short word: `listed`, `pass`, `timeout` */
  int32_t score;       /**< thousandths; negative speaks for the mail */
  smtpf_str detail;    /**< for the log */
  smtpf_str text;      /**< fit for a reply; may be empty */
  uint32_t elapsed_us; /**< microseconds from the check's start to its report */
} smtpf_evidence_info;

/** How many findings this verdict had before it. Since 0.1. */
SMTPF_API size_t smtpf_verdict_evidence_count(const smtpf_verdict *v);

/**
 * Finding `i`, ordered by (stage, declaration), never by arrival.
 * @param v         the verdict
 * @param i         from 0
 * @param[out] out  set `size` first; members beyond it are not written
 * @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1.
 */
SMTPF_API int smtpf_verdict_evidence(const smtpf_verdict *v, size_t i, smtpf_evidence_info *out);

/** One recipient of the message. */
typedef struct smtpf_recipient_info {
  size_t size;        /**< sizeof(smtpf_recipient_info) */
  smtpf_str path;     /**< as the client wrote it, with brackets */
  smtpf_str address;  /**< `local-part@domain`, domain in lower case; behind a good signature of BATV the mailbox */
  int disposition;    /**< smtpf_disposition; 0 at RCPT and DATA, where it is still open */
  int final;          /**< 1 when it can no longer change */
  int dsn;            /**< smtpf_dsn */
  smtpf_str reason;   /**< why */
  int overridden;     /**< 1 when this recipient's own wish could not be kept */
  int reply_code;     /**< this recipient's own reply (LMTP), else the message's */
  smtpf_str enhanced; /**< with it */
  smtpf_str text;     /**< with it */
  int origin;         /**< smtpf_origin: who the client is to this recipient */
  int wish;           /**< smtpf_disposition that this recipient's own profile asked for; 0 while open */
  int route;          /**< smtpf_route of a copy that is taken; while it is open, by what is known so far, so that a
                           host can ask whether the address is good */
  smtpf_str forward;  /**< FORWARD: the address the copy goes to; else empty */
  smtpf_str sender; /**< the envelope sender to deliver with, without brackets; empty for the null sender: the message's
                         own, or what `forward_sender`, SRS or BATV make of it */
  int fallback;     /**< smtpf_fallback: who owns the copy when it cannot be delivered later and `dsn` is `never` */
  int known;        /**< 1 when this very copy was taken before and only our reply was lost: never deliver it again */
  smtpf_str canonical; /**< what the directory calls this recipient; as `address` when it has no other name for it */
  smtpf_str dsn_to;    /**< whom a DSN may be sent to, without brackets: the sender as it came; empty with `never` */
} smtpf_recipient_info;

/** How many recipients were accepted in this transaction. Since 0.1. */
SMTPF_API size_t smtpf_verdict_recipient_count(const smtpf_verdict *v);

/**
 * Recipient `i`, in the order of the accepted RCPTs. Parameters and results as smtpf_verdict_evidence().
 *
 * After an accepting verdict at end of message a host makes those copies durable whose `final` is 0, each by its
 * disposition (a `discarded` one by dropping it) and route, and reports each with smtpf_session_commit(). The others
 * are settled: refused, or taken before (`known`). Since 0.1.
 */
SMTPF_API int smtpf_verdict_recipient(const smtpf_verdict *v, size_t i, smtpf_recipient_info *out);

/** What to do with a header field. */
enum smtpf_edit_op {
  SMTPF_EDIT_PREPEND = 1, /**< add before the first field */
  SMTPF_EDIT_APPEND = 2,  /**< add after the last field */
  SMTPF_EDIT_DELETE = 3,  /**< remove occurrence `occurrence` of `name` in the original */
};

/** One header edit. */
typedef struct smtpf_edit_info {
  size_t size;      /**< sizeof(smtpf_edit_info) */
  int op;           /**< smtpf_edit_op */
  smtpf_str name;   /**< field name */
  smtpf_str value;  /**< field value, unfolded, printable; empty for delete */
  int occurrence;   /**< from 1, counted in the message as it came; 0 for additions */
  size_t recipient; /**< for which recipient, or (size_t)-1 for all */
} smtpf_edit_info;

/** How many header edits there are (end of message only). Since 0.1. */
SMTPF_API size_t smtpf_verdict_edit_count(const smtpf_verdict *v);

/** Edit `i`, in the order in which they must be applied. Parameters and results as smtpf_verdict_evidence(). Since 0.1.
 */
SMTPF_API int smtpf_verdict_edit(const smtpf_verdict *v, size_t i, smtpf_edit_info *out);

/** The word for a disposition: `delivered`, `tagged`, ... Static; `none` for 0. Any thread. Since 0.1. */
SMTPF_API const char *smtpf_disposition_name(int disposition);

/** The word for an origin: `own`, `backup-mx`, `forwarder`, `list`, `stranger`. Static; `none` for 0. Any thread. Since
 * 0.1. */
SMTPF_API const char *smtpf_origin_name(int origin);

/** The word for a DSN permission: `allowed`, `headers-only`, `never`. Static. Any thread. Since 0.1. */
SMTPF_API const char *smtpf_dsn_name(int dsn);

/** The word for a stage: `connect`, `helo`, `mail`, `rcpt`, `data`, `body`, `end-of-message`. Static. Any thread. Since
 * 0.1. */
SMTPF_API const char *smtpf_stage_name(int stage);

#ifdef __cplusplus
}
#endif
#endif
