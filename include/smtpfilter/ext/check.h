/* SPDX-License-Identifier: MIT */
/**
 * @file ext/check.h
 * Checks: pluggable examiners. A check gathers evidence; it does not decide. Everything in src/check uses
 * this header and its two neighbours alone. Stable within a minor version.
 *
 *     run(task, event) --> report(...)                        --> SMTPF_OK       done
 *                      \-> query/lookup/get/timer (tag)       --> SMTPF_PENDING  sleep
 *     resume(task, answer) --> report, ask again, or nothing  --> SMTPF_OK done, SMTPF_PENDING sleep on
 *
 * `self` is shared by all threads: what `open` built is read-only afterwards. A task that returns an error,
 * misses its deadline or has nothing to wait for while it says SMTPF_PENDING is closed by the core, which
 * reports `unknown` in its name.
 */
#ifndef SMTPFILTER_EXT_CHECK_H
#define SMTPFILTER_EXT_CHECK_H

#include "../config.h"
#include "../engine.h"
#include "../error.h"
#include "../forward.h"
#include "../session.h"
#include "../types.h"
#include "../verdict.h"
#include "content.h"
#include "mail.h"
#include "port.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- options ------------------------------------------------------------------------------------ */

/** Types of options. */
enum smtpf_option_type {
  SMTPF_OPTION_BOOL = 1, /**< true, false */
  SMTPF_OPTION_INT,      /**< a count */
  SMTPF_OPTION_TIME,     /**< `250ms`, `3s`, `5m`, `24h`, `36d`; held in milliseconds */
  SMTPF_OPTION_SIZE,     /**< `4096`, `64k`, `10m`, `1g`; held in bytes */
  SMTPF_OPTION_SCORE,    /**< `10`, `-2.5`, `off`; held in thousandths */
  SMTPF_OPTION_STRING,   /**< text */
  SMTPF_OPTION_STRINGS,  /**< a list of texts */
  SMTPF_OPTION_CHOICE,   /**< one word of `words` */
  SMTPF_OPTION_LIST,     /**< a list of groups, each with a key: path `dnslists[zone]` */
};

/** The number an SMTPF_OPTION_SCORE has when it is `off`. */
#define SMTPF_SCORE_OFF INT32_MAX

/** One row of the option table. Static. */
typedef struct smtpf_option {
  const char *path;  /**< `greylist.wait`, `dnslists[zone].codes[match].score` */
  int type;          /**< smtpf_option_type */
  const char *deflt; /**< default as text; NULL for none */
  int64_t min;       /**< least value (numbers) */
  int64_t max;       /**< greatest value (numbers) */
  const char *words; /**< CHOICE: `a|b|c` */
  const char *doc;   /**< one paragraph for the manual */
} smtpf_option;

/** A group of options, read-only: the whole policy, or one element of a list. Lives as long as its engine. */
typedef struct smtpf_section smtpf_section;

/** 1 when the option was set, 0 when it would be its default. Since 0.1. */
SMTPF_API int smtpf_section_has(const smtpf_section *s, const char *name);
/** A number (count, ms, bytes, thousandths), a bool as 0 or 1, a choice as its index in `words`; or the default. Since
 * 0.1. */
SMTPF_API int64_t smtpf_section_number(const smtpf_section *s, const char *name);
/** A text, or the default, or the empty string; NUL-terminated. Since 0.1. */
SMTPF_API smtpf_str smtpf_section_string(const smtpf_section *s, const char *name);
/** How many elements a STRINGS or LIST option has. Since 0.1. */
SMTPF_API size_t smtpf_section_count(const smtpf_section *s, const char *name);
/** Element `i` of a STRINGS option; NUL-terminated; empty when there is none. Since 0.1. */
SMTPF_API smtpf_str smtpf_section_string_at(const smtpf_section *s, const char *name, size_t i);
/** Element `i` of a LIST option; NULL when there is none. Since 0.1. */
SMTPF_API const smtpf_section *smtpf_section_at(const smtpf_section *s, const char *name, size_t i);
/**
 * Fills `err` with the place where an option was set and a text made of up to three parts.
 * @return `code`, for `return smtpf_section_fail(...)`. Since 0.1.
 */
SMTPF_API int smtpf_section_fail(const smtpf_section *s, const char *name, smtpf_error *err, int code, const char *what,
                                 smtpf_str value, const char *expected);
/** The allocator of the configuration. Since 0.1. */
SMTPF_API const smtpf_mem *smtpf_section_mem(const smtpf_section *s);

/**
 * Registers options of the host's own, before the policy is loaded: one file serves checks and programs.
 * @param cfg      the configuration
 * @param options  static rows
 * @param n        how many
 * @return SMTPF_OK, SMTPF_EINVAL (a path in use) or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_add_options(smtpf_config *cfg, const smtpf_option *options, size_t n);

/* ---- events ------------------------------------------------------------------------------------- */

/** What is known when a check runs. Strings and pointers live until the transaction (or connection) ends. */
typedef struct smtpf_event {
  size_t size;                 /**< sizeof(smtpf_event) */
  int stage;                   /**< smtpf_stage */
  int protocol;                /**< smtpf_protocol */
  int early_talk;              /**< the client spoke out of turn */
  int own;                     /**< authenticated, or from `own_networks` */
  int tls;                     /**< TLS is up */
  const smtpf_ip *client;      /**< client address; family 0 when unknown */
  const smtpf_ip *local;       /**< our address; family 0 when unknown */
  smtpf_str client_text;       /**< canonical text of `client` */
  smtpf_str rdns;              /**< client name the host had verified; empty */
  smtpf_str identity;          /**< authenticated identity; empty */
  int greeting;                /**< smtpf_greeting; 0 before HELO */
  smtpf_str helo;              /**< HELO argument as written */
  const smtpf_path *sender;    /**< reverse-path; NULL before MAIL */
  smtpf_str sender_params;     /**< its ESMTP parameters */
  const smtpf_path *recipient; /**< forward-path of this RCPT; NULL at other stages */
  smtpf_str recipient_params;  /**< its ESMTP parameters */
  size_t recipients;           /**< accepted so far */
  size_t failed_recipients;    /**< refused so far, in the session */
  uint64_t message_size;       /**< bytes of the message so far */
  uint64_t now_ns;             /**< monotonic */
  int64_t wall_s;              /**< seconds since 1970 */
  int signature;               /**< smtpf_signature of the recipient's address (SRS, BATV) */
  smtpf_str mailbox;           /**< RCPT: the address that is meant: behind a good signature of BATV the one it was made
                                    of, else as `recipient` has it; empty for the address without a domain, postmaster */
  smtpf_str returns_to;        /**< RCPT: where an SRS address with a good signature leads back to; else empty */
} smtpf_event;

/* ---- tasks -------------------------------------------------------------------------------------- */

/** One run of one check at one stage. */
typedef struct smtpf_task smtpf_task;

/** What a finding may add to its score. */
enum smtpf_finding_flag {
  SMTPF_FINDING_REFUSE = 1 << 0,  /**< HIT: a fact that refuses by itself, whatever the thresholds (5xx in `reply`) */
  SMTPF_FINDING_DEFER = 1 << 1,   /**< UNKNOWN: without this answer the mail cannot be taken (4xx) */
  SMTPF_FINDING_OWN_TOO = 1 << 2, /**< REFUSE holds for own clients as well; so does what an UNKNOWN asks for */
  SMTPF_FINDING_CONNECTION =
      1 << 3,                      /**< it is about the connection, whatever the stage: it counts until the end of it */
  SMTPF_FINDING_ELECTIVE = 1 << 4, /**< HIT or UNKNOWN: the mail should come again (4xx in `reply`), as long as the
                                        deferral budget of sender and recipient lasts (promise L7): a greylist, a
                                        scanner that could not scan */
  SMTPF_FINDING_OPEN_RELAY = 1 << 5, /**< HIT: the client loses the trust a forwarder, backup MX or list has (promise
                                          L5): it is an open relay or proxy, or lets too much spam through */
  SMTPF_FINDING_QUARANTINE = 1 << 6, /**< UNKNOWN: a copy that would be taken is quarantined, or tagged by who has no
                                          quarantine: a scanner that could not scan */
  SMTPF_FINDING_TAG = 1 << 7,        /**< UNKNOWN: a copy that would be taken unmarked is tagged */
  SMTPF_FINDING_ROUTE = 1 << 8, /**< it is about where the copy would be forwarded to, and counts only for who forwards.
                                     HIT with REFUSE: refused, or kept in the mailbox, as `forward_failed` says: found
                                     at RCPT, always; later, if the copy would be forwarded. HIT without: the copy stays
                                     in the mailbox. UNKNOWN: nothing. No score, and no other flag but OWN_TOO; not
                                     before RCPT, and at RCPT where it can be known: partition does not foresee it */
};

/** What kind of evidence a check gives: profiles ask for, or decline, refusals and greylisting by kind. */
enum smtpf_family {
  SMTPF_FAMILY_CLIENT = 0,   /**< how the client behaves and who it says it is */
  SMTPF_FAMILY_ENVELOPE = 1, /**< whom it may write to: facts of this kind hold whoever the client is */
  SMTPF_FAMILY_LIST = 2,     /**< reputation: block and allow lists (`reject_lists`) */
  SMTPF_FAMILY_GREYLIST = 3, /**< elective deferral of strangers (`greylist`) */
  SMTPF_FAMILY_CONTENT = 4,  /**< what the message holds (`reject_content`) */
  SMTPF_FAMILY_BOUNCE = 5,   /**< mail with the null sender to an address that is not signed: counts, whatever it finds,
                                  only for who asked for it (`bounces` = `signed`) */
  SMTPF_FAMILY_PROOF = 6,    /**< bounces that neither come to a signed address nor quote mail that was sent from here:
                                  likewise (`bounces` = `proven`) */
};

/** One finding. */
typedef struct smtpf_finding {
  size_t size;          /**< sizeof(smtpf_finding) */
  int kind;             /**< smtpf_evidence_kind */
  const char *code;     /**< short word: `listed`, `pass`; static, or of the check's self. Authentication checks
                             use RFC 8601 words */
  int32_t score;        /**< thousandths; must be 0 unless kind is HIT or CLEAR */
  unsigned flags;       /**< smtpf_finding_flag */
  smtpf_str detail;     /**< for log and trace; copied */
  smtpf_str text;       /**< fit for a reply; copied */
  int reply;            /**< reply code with REFUSE (500-599) or DEFER (400-499); 0 for 550 or 451 */
  const char *enhanced; /**< enhanced status code with it; static; NULL for 5.7.1 or 4.7.1 */
  size_t recipient;     /**< after RCPT: which accepted recipient it is about, from 1, as smtpf_task_recipient() counts;
                             0: all of them, or that of the event */
} smtpf_finding;

/** Reports a finding; several are allowed. @return SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. Since 0.1. */
SMTPF_API int smtpf_task_report(smtpf_task *t, const smtpf_finding *f);
/** Reports that nothing was found. Since 0.1. */
SMTPF_API int smtpf_task_clear(smtpf_task *t, const char *code);
/** Reports that it could not be found out, and why. Since 0.1. */
SMTPF_API int smtpf_task_unknown(smtpf_task *t, const char *cause, smtpf_str detail);
/**
 * The sum, in thousandths, of what has been found so far for this connection, transaction and recipient: at earlier
 * stages and by the cheaper tiers of this one. For checks that act on suspicion, e.g. delays. Since 0.1.
 */
SMTPF_API int32_t smtpf_task_score(const smtpf_task *t);
/** Asks the host to delay the reply, from the beginning of the stage; the longest wish counts, `delay.max` bounds it.
 * Since 0.1. */
SMTPF_API int smtpf_task_delay(smtpf_task *t, int64_t ms);

/** BODY: tells how many bytes of the message have really been looked at; what was only received does not count. Since
 * 0.1. */
SMTPF_API int smtpf_task_seen(smtpf_task *t, uint64_t bytes);

/**
 * An accepted recipient, after RCPT. @param t the task @param i from 1 @param[out] address canonical, without brackets
 * @param[out] profile name of its profile; of several members' the first; either may be NULL
 * @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1.
 */
SMTPF_API int smtpf_task_recipient(const smtpf_task *t, size_t i, smtpf_str *address, smtpf_str *profile);
/**
 * BODY: 1 when nothing this check may still find would change what becomes of any copy, by what is known now and by
 * what the cheaper tiers have found in the message. `flags`: smtpf_finding_flag that its findings may carry, e.g.
 * REFUSE, OWN_TOO. Since 0.1.
 */
SMTPF_API int smtpf_task_certain(smtpf_task *t, unsigned flags);
/**
 * BODY: asks for a header edit of every copy that is taken, or of one recipient's. Hosts that cannot edit, or not for
 * one recipient, leave it out. Edits of checks come in the order of declaration, before the library's own mark.
 * @param t          the task
 * @param op         smtpf_edit_op
 * @param name       field name; copied
 * @param value      for additions: printable, one line after unfolding; copied
 * @param occurrence DELETE: from 1; 0 for all fields of that name; -1 for the last, -2 for the one before
 * @param recipient  from 1; 0 for all
 * @return SMTPF_OK, SMTPF_EINVAL (no field name, control characters), SMTPF_ELIMIT (more than 64) or SMTPF_ENOMEM.
 * Since 0.1.
 */
SMTPF_API int smtpf_task_edit(smtpf_task *t, int op, smtpf_str name, smtpf_str value, int occurrence, size_t recipient);
/** Gives this task more time than `check.timeout` from the moment the client waits for it. Since 0.1. */
SMTPF_API void smtpf_task_patience(smtpf_task *t, int64_t ms);
/**
 * Room for one pointer of this check on this driver, for what its thread needs again and again (match data). NULL at
 * first. `done` frees it when the driver goes, or the engine it was made for is replaced and over. Since 0.1.
 */
SMTPF_API void **smtpf_task_room(smtpf_task *t, void (*done)(void *));

/** The event this task runs for. Since 0.1. */
SMTPF_API const smtpf_event *smtpf_task_event(const smtpf_task *t);
/** Memory that lives until the stage is decided. Zeroed. NULL without memory. Since 0.1. */
SMTPF_API void *smtpf_task_alloc(smtpf_task *t, size_t n);
/** Joins `n` strings in memory of the task, NUL-terminated; the empty string without memory. Since 0.1. */
static inline smtpf_str smtpf_task_join(smtpf_task *t, const smtpf_str *parts, size_t n)
{
  smtpf_str out = {"", 0};
  size_t len = 0;
  for (size_t i = 0; i < n; i++)
    len += parts[i].n;
  char *p = (char *)smtpf_task_alloc(t, len + 1);
  if (!p)
    return out;
  out.p = p;
  for (size_t i = 0; i < n; i++) {
    if (parts[i].n)
      memcpy(p + out.n, parts[i].p, parts[i].n);
    out.n += parts[i].n;
  }
  return out;
}
/** The same with the strings as arguments (C only): `SMTPF_JOIN(t, zone, SMTPF_LIT(" "), address)`. */
#define SMTPF_JOIN(t, ...)                                                                                             \
  smtpf_task_join((t), (const smtpf_str[]){__VA_ARGS__}, sizeof((const smtpf_str[]){__VA_ARGS__}) / sizeof(smtpf_str))
/** Room for one pointer of the check's own, for the life of the task. Since 0.1. */
SMTPF_API void **smtpf_task_slot(smtpf_task *t);

/**
 * Leaves a word for later checks of this connection (`connection` 1) or transaction (0), e.g. `iprev.name`.
 * @param t     the task
 * @param name  static
 * @param value copied
 * @param connection 1 or 0. @return SMTPF_OK or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_task_fact_set(smtpf_task *t, const char *name, smtpf_str value, int connection);
/** Reads such a word; empty when there is none. Since 0.1. */
SMTPF_API smtpf_str smtpf_task_fact(const smtpf_task *t, const char *name);

/** Asks the DNS. `name` is copied; at most 253 bytes. @return SMTPF_OK, SMTPF_ELIMIT (too many open), SMTPF_EINVAL or
 * SMTPF_ENOMEM. Since 0.1. */
SMTPF_API int smtpf_task_query(smtpf_task *t, int type, smtpf_str name, uint32_t tag);
/** Asks the directory about an address. Since 0.1. */
SMTPF_API int smtpf_task_lookup(smtpf_task *t, smtpf_str address, uint32_t tag);
/** Reads a record of the store. Since 0.1. */
SMTPF_API int smtpf_task_get(smtpf_task *t, smtpf_str key, uint32_t tag);
/** Changes records of the store, all or none. Since 0.1. */
SMTPF_API int smtpf_task_commit(smtpf_task *t, const smtpf_change *changes, size_t n, uint32_t tag);
/**
 * Changes records of the store when the mail is taken, not before: by the verdict that makes a copy final, or, where
 * the host does not hand the message over, by the one that accepts the recipient or DATA. At RCPT: when this
 * recipient's copy is; at DATA and end of message: when some copy is. Mail that is refused, put off or given up changes
 * nothing. A store that fails then does not hinder the mail.
 * @param t          the task
 * @param changes,n  copied. @return SMTPF_OK, SMTPF_EINVAL (a stage before RCPT, a change no store takes) or
 * SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API int smtpf_task_settle(smtpf_task *t, const smtpf_change *changes, size_t n);
/**
 * Changes records of the store before this stage is answered, whatever the answer: what has been seen, not what became
 * of it. A deferral that an elective finding asks for waits for it: what is noted and the debt of the deferral are one
 * transaction, and when that fails nobody is put off.
 * @param t          the task, at RCPT or DATA
 * @param changes,n  copied. @return SMTPF_OK, SMTPF_EINVAL (another stage, a change no store takes) or SMTPF_ENOMEM.
 * Since 0.1.
 */
SMTPF_API int smtpf_task_note(smtpf_task *t, const smtpf_change *changes, size_t n);
/**
 * Whether a greylist's deferral would count here: some mailbox behind the recipient (later: behind some recipient) asks
 * for it, the client is a stranger to it, and nothing that earlier stages and cheaper tiers have found decides
 * otherwise for good. What is put off anyway counts too. A greylist keeps its history for such mail alone. Since 0.1.
 */
SMTPF_API int smtpf_task_greylists(const smtpf_task *t);
/**
 * Asks the server of a mailbox elsewhere whether it would take mail for it.
 * @param t         the task
 * @param recipient address without brackets; copied
 * @param sender    envelope sender to ask with; empty for the null sender; copied
 * @param tag       comes back with the answer (SMTPF_ANSWER_CALLOUT). @return as smtpf_task_query(). Since 0.1.
 */
SMTPF_API int smtpf_task_callout(smtpf_task *t, smtpf_str recipient, smtpf_str sender, uint32_t tag);

/** Where a message really came from, seen from one recipient: the first host that nobody behind us answers for. */
typedef struct smtpf_source {
  size_t size;    /**< sizeof(smtpf_source) */
  smtpf_ip ip;    /**< its address */
  smtpf_str text; /**< the same as text */
  smtpf_str helo; /**< what it called itself; may be empty */
  smtpf_str name; /**< its name as the trusted host saw it; may be empty, never believed */
  size_t hops;    /**< trusted hosts between it and us */
} smtpf_source;

/**
 * After the header section: the host that gave the message to the trusted forwarder, backup MX or list that brings it,
 * found by walking the Received fields through trusted hosts only (RFC 5321 4.4). Lists and sender policies of a
 * recipient who trusts the client are about this host.
 * @param t         the task
 * @param recipient from 1
 * @param[out] out  set `size` first; valid as long as the task
 * @return SMTPF_OK; SMTPF_ENOTFOUND: the client itself is the source (nobody trusts it), or the chain does not say
 * (none of these is to be blamed for what was found of the client). SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API int smtpf_task_source(const smtpf_task *t, size_t recipient, smtpf_source *out);
/**
 * Who the client is to a recipient, and what makes it so.
 * @param t          the task
 * @param recipient  0 at RCPT: that of the event; later from 1
 * @param[out] scope name of the scope by which the recipient trusts the client, also while it has lost that trust
 * (SMTPF_FINDING_OPEN_RELAY); empty for all others; may be NULL
 * @return smtpf_origin of smtpf_recipient_info, or 0 when there is no such recipient. Since 0.1.
 */
SMTPF_API int smtpf_task_origin(const smtpf_task *t, size_t recipient, smtpf_str *scope);

/** What the header section says of the way the message has come. */
typedef struct smtpf_trace {
  size_t size;     /**< sizeof(smtpf_trace) */
  size_t received; /**< Received fields */
  size_t own;      /**< of them, written under one of our `hostnames` */
  int delivered;   /**< 1: a Delivered-To field names the recipient: the message was in that mailbox before */
} smtpf_trace;

/**
 * After the header section: counts of its trace fields. Of Delivered-To fields the first 64 are looked at.
 * @param t         the task, at BODY after the header section, or at end of message
 * @param recipient from 1; 0 for none
 * @param[out] out  set `size` first. @return SMTPF_OK or SMTPF_EINVAL. Since 0.1. RFC 5321 4.4, 6.3.
 */
SMTPF_API int smtpf_task_trace(const smtpf_task *t, size_t recipient, smtpf_trace *out);

/** Where the recipient's copy would be forwarded to: at RCPT this one's (`recipient` 0), later the accepted one's of
 * this number, from 1. Of members' the first route. @return SMTPF_OK or SMTPF_ENOTFOUND (it stays here). Since 0.1. */
SMTPF_API int smtpf_task_forward(const smtpf_task *t, size_t recipient, smtpf_str *target);
/** 1 when the domain of an address is one of `local_domains`, or `srs.domain`. Since 0.1. */
SMTPF_API int smtpf_task_local(const smtpf_task *t, smtpf_str address);
/** What the address of an accepted recipient proved: smtpf_signature. @param t the task @param recipient from 1
 * @return SMTPF_SIGNATURE_NONE also where there is no such recipient. Since 0.1. */
SMTPF_API int smtpf_task_signature(const smtpf_task *t, size_t recipient);
/** HMAC-SHA256 (RFC 2104) by the crypto port, at once. @param t the task @param key,data any bytes @param[out] out 32
 * bytes @return SMTPF_OK, SMTPF_EUNSUPPORTED (no crypto port) or SMTPF_EIO. Since 0.1. */
SMTPF_API int smtpf_task_hmac(smtpf_task *t, smtpf_str key, smtpf_str data, unsigned char out[32]);
/** Sleeps. Since 0.1. */
SMTPF_API int smtpf_task_timer(smtpf_task *t, int64_t ms, uint32_t tag);

/** Called when an operation of a check's own ends without an answer: its task is over. It must not call the library. */
typedef void (*smtpf_own_fn)(void *user);
/**
 * Waits for what this check does elsewhere: in another event loop, in another language. smtpf_op_own() says that it is
 * done; until then the task sleeps, at most until its deadline.
 * @param t         the task
 * @param tag       comes back with the answer (SMTPF_ANSWER_OWN)
 * @param over,user told once, unless `resume` gets the answer: the task has ended and nobody waits any more; or NULL
 * @param[out] out  the token for smtpf_op_own(). @return as smtpf_task_query(). Since 0.1.
 */
SMTPF_API int smtpf_task_own(smtpf_task *t, uint32_t tag, smtpf_own_fn over, void *user, smtpf_op *out);
/** Completes it, on the driver's thread. `resume` follows, here or soon; or `over`, when the task ends before it.
 * @return SMTPF_OK or SMTPF_ENOTFOUND. Since 0.1. */
SMTPF_API int smtpf_op_own(smtpf_driver *driver, smtpf_op op);
/** The driver this task runs on. Since 0.1. */
SMTPF_API smtpf_driver *smtpf_task_driver(const smtpf_task *t);

/** Kinds of answers. */
enum smtpf_answer_kind {
  SMTPF_ANSWER_DNS = 1,
  SMTPF_ANSWER_DIRECTORY,
  SMTPF_ANSWER_STORE,
  SMTPF_ANSWER_TIMER,
  SMTPF_ANSWER_SCAN,
  SMTPF_ANSWER_CALLOUT,
  SMTPF_ANSWER_OWN,
};
struct smtpf_scan_result;
/** What a port answered. Valid during resume. */
typedef struct smtpf_answer {
  size_t size;                             /**< sizeof(smtpf_answer) */
  int kind;                                /**< smtpf_answer_kind */
  uint32_t tag;                            /**< as given when it was asked */
  const smtpf_dns_answer *dns;             /**< DNS */
  const smtpf_directory_answer *directory; /**< DIRECTORY */
  int store;                               /**< STORE: smtpf_store_status */
  smtpf_str value;                         /**< STORE: the value found */
  const struct smtpf_scan_result *scan;    /**< SCAN (ext/scan.h) */
  const smtpf_callout_answer *callout;     /**< CALLOUT */
} smtpf_answer;

/* ---- the check ---------------------------------------------------------------------------------- */

/** Between whom findings about one message may differ. */
enum smtpf_apart {
  SMTPF_APART_NEVER = 0, /**< they are about all recipients */
  SMTPF_APART_PROFILE,   /**< they are the same for all recipients of one profile */
  SMTPF_APART_RECIPIENT, /**< each recipient may have its own */
  SMTPF_APART_SOURCE,    /**< DATA and later: only recipients who trust the client get any, and those who see the same
                              source (smtpf_task_source()) the same */
  SMTPF_APART_JOIN,      /**< DATA and later: too seldom to split anybody for: what differs is joined at the end */
};

/** Which messages a check must have seen at their end. */
enum smtpf_reads {
  SMTPF_READS_EVERY = 0, /**< each */
  SMTPF_READS_TRUSTED,   /**< those alone that a client brings whom a recipient trusts (smtpf_task_origin()) or that are
                              forwarded, and those that a check has read at BODY */
};

/** A check. Static, or living as long as every engine that uses it. */
typedef struct smtpf_check {
  size_t size;      /**< sizeof(smtpf_check) */
  const char *name; /**< `dnslist`; letters, digits, hyphen, underscore */
  uint32_t stages;  /**< smtpf_stage bits */
  int tier;         /**< 0 local, 1 directory and store, 2 network, 3 content; a dearer tier waits for the cheaper */
  const smtpf_option *options; /**< its rows */
  size_t n_options;            /**< how many */
  int (*open)(void **self, const smtpf_section *policy,
              smtpf_error *err); /**< SMTPF_OK; with *self NULL the check is idle for this policy */
  int (*run)(void *self, smtpf_task *t, const smtpf_event *ev);    /**< SMTPF_OK, SMTPF_PENDING or an error */
  int (*resume)(void *self, smtpf_task *t, const smtpf_answer *a); /**< the same; NULL when it never sleeps */
  void (*close)(void *self);                                       /**< frees what open made */
  unsigned failure; /**< flags of the `unknown` the core reports when a task fails: 0; SMTPF_FINDING_DEFER
                         where mail must not be taken without this check (relay, recipient);
                         SMTPF_FINDING_ELECTIVE where it should come again as long as its budget lasts (a
                         scanner); SMTPF_FINDING_QUARANTINE, SMTPF_FINDING_TAG. A check whose own findings carry
                         the last two has them here too, or has scanners. SMTPF_FINDING_ROUTE, alone, for one that
                         looks at nothing but where mail goes */
  int family;       /**< smtpf_family */
  /** BODY: takes bytes of the message, once and in order, while it comes; returns how many. Fewer than `n`: the task
   * must be waiting for something (a port, a timer), after whose answer the rest is offered again: the client is slowed
   * down meanwhile. A check that has it lists SMTPF_BODY; its `run` says SMTPF_PENDING when it wants the message,
   * SMTPF_OK when not. Never called after the task is done. NULL: it does not read the message. */
  size_t (*feed)(void *self, smtpf_task *t, const char *bytes, size_t n);
  /** BODY: the message is complete. SMTPF_OK, SMTPF_PENDING (with something asked) or an error; NULL for SMTPF_OK. A
   * check that calls the message clear has told smtpf_task_seen() that it saw all of it, or it is unknown (`partial`).
   */
  int (*finish)(void *self, smtpf_task *t);
  /** BODY: takes what the message holds, piece by piece (ext/content.h), once everybody's `feed` took the bytes. It
   * cannot make the client wait. As with `feed`, `run` says SMTPF_PENDING when it wants the message. NULL: it does not.
   */
  void (*content)(void *self, smtpf_task *t, const smtpf_piece *piece);
  /** Says what cannot be meant, or no longer holds, though it loads: for the log when the policy is loaded, and for
   *  smtpf_engine_lint(). `wall_s` is the time of loading, 0 when nobody knows it. Any thread; NULL: nothing to say. */
  void (*lint)(const void *self, int64_t wall_s, smtpf_lint_fn say, void *user);
  /** smtpf_apart: whether what it finds in a message may be about single recipients, whom a host that cannot serve them
   *  each alone must then split at RCPT; asked once, when the policy is loaded. NULL: SMTPF_APART_NEVER. */
  int (*apart)(const void *self);
  void *user; /**< what `*self` is when `open` is called, for checks that are made at run time; NULL */
  /** EOM: smtpf_reads: in which messages it may find something; asked once, when the policy is loaded. What it wants at
   *  BODY its `run` says there. NULL: SMTPF_READS_EVERY. */
  int (*reads)(const void *self);
} smtpf_check;

/**
 * Registers a check, before the policy is loaded. Its rows become options. A check whose name is in use takes the
 * place of that one, in the order of evidence too, and its rows take the place of that one's rows.
 * @return SMTPF_OK, SMTPF_EINVAL (a row in use elsewhere, `size` unknown) or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_config_add_check(smtpf_config *cfg, const smtpf_check *check);

#ifdef __cplusplus
}
#endif
#endif
