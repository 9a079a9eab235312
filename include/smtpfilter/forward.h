/* SPDX-License-Identifier: MIT */
/**
 * @file forward.h
 * What happens to mail after us: envelope senders of what is forwarded (SRS), senders that can prove that a bounce is
 * one (BATV), and what the next server said when a forward failed.
 *
 * The verdict does all of this by itself: smtpf_recipient_info.sender is rewritten, a recipient with a good signature
 * is led back to the address behind it. These functions are for hosts whose queue rewrites addresses elsewhere, and for
 * reports that come after the session. All belong to the driver's thread; keys are the policy's.
 */
#ifndef SMTPFILTER_FORWARD_H
#define SMTPFILTER_FORWARD_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Room that every rewritten address fits into, with a NUL: RFC 5321 4.5.3.1.3 less the brackets. */
#define SMTPF_ADDRESS_ROOM 255

/** What a signed address proves. */
enum smtpf_signature {
  SMTPF_SIGNATURE_NONE = 0, /**< it bears none that we know */
  SMTPF_SIGNATURE_GOOD,     /**< one of our keys made it, and it is not too old */
  SMTPF_SIGNATURE_EXPIRED,  /**< one of our keys made it, too long ago */
  SMTPF_SIGNATURE_BAD,      /**< it has the form, and no key of ours made it */
  SMTPF_SIGNATURE_UNKNOWN,  /**< it has the form, and the crypto port failed */
};

/**
 * The envelope sender for a forward: `sender` rewritten to `srs.domain` (SRS0, or SRS1 for one that another forwarder
 * rewrote). The null sender, and senders of our own domains, stay as they are.
 * @param driver   the driver
 * @param sender   without brackets; empty for the null sender
 * @param[out] out NUL-terminated
 * @param cap      room, SMTPF_ADDRESS_ROOM for all
 * @param[out] n   length without the NUL; may be NULL
 * @return SMTPF_OK; SMTPF_EUNSUPPORTED (no `srs.domain`); SMTPF_EPARSE (not an address); SMTPF_ELIMIT (would be too
 *         long: forward with the sender's own); SMTPF_EIO (no HMAC). Since 0.1. The Sender Rewriting Scheme, 2003.
 */
SMTPF_API int smtpf_srs_forward(smtpf_driver *driver, smtpf_str sender, char *out, size_t cap, size_t *n);

/**
 * The address behind one that smtpf_srs_forward() made. @param driver,address,out,cap,n as there
 * @param[out] signature smtpf_signature; may be NULL
 * @return SMTPF_OK only when the signature is GOOD; SMTPF_ENOTFOUND (not one of ours, expired, or forged);
 *         SMTPF_EUNSUPPORTED; SMTPF_ELIMIT; SMTPF_EIO. Since 0.1.
 */
SMTPF_API int smtpf_srs_reverse(smtpf_driver *driver, smtpf_str address, char *out, size_t cap, size_t *n,
                                int *signature);

/**
 * Signs the envelope sender of mail that leaves (BATV, `prvs=KDDDSSSSSS=local@domain`), constant for one day.
 * @param driver,sender,out,cap,n as smtpf_srs_forward()
 * @return SMTPF_OK; SMTPF_EUNSUPPORTED (no `batv.keys`); SMTPF_EPARSE; SMTPF_ELIMIT; SMTPF_EIO. Since 0.1.
 *         draft-levine-smtp-batv-01.
 */
SMTPF_API int smtpf_batv_sign(smtpf_driver *driver, smtpf_str sender, char *out, size_t cap, size_t *n);

/** The address behind one that smtpf_batv_sign() made. Parameters and results as smtpf_srs_reverse(). Since 0.1. */
SMTPF_API int smtpf_batv_verify(smtpf_driver *driver, smtpf_str address, char *out, size_t cap, size_t *n,
                                int *signature);

/** Why the next server refused a forward. */
enum smtpf_forward_class {
  SMTPF_FORWARD_RECIPIENT = 1, /**< there is no such mailbox, or domain */
  SMTPF_FORWARD_SPAM,          /**< for what the message holds */
  SMTPF_FORWARD_POLICY,        /**< for who we are, or what it wants of senders (SPF, DMARC, lists) */
  SMTPF_FORWARD_OTHER,         /**< for anything else: size, loops, its own faults */
};

/** A forward that another server refused for good (5xx). */
typedef struct smtpf_forward_refusal {
  size_t size;         /**< sizeof(smtpf_forward_refusal) */
  smtpf_str recipient; /**< our recipient, canonical address */
  smtpf_str target;    /**< the address it was forwarded to */
  smtpf_str sender;    /**< envelope sender of the mail as it came, without brackets */
  smtpf_str client;    /**< address of the client that brought it, as text; empty when unknown */
  int code;            /**< reply code, 500-599 */
  smtpf_str enhanced;  /**< enhanced status code, or empty */
  smtpf_str text;      /**< the reply's text */
  int reason;          /**< smtpf_forward_class; 0: by code, enhanced code and text */
} smtpf_forward_refusal;

/** Called when the report has been written down, or could not be: SMTPF_OK or SMTPF_EIO. In smtpf_driver_process() or
 *  inside the call that reported. */
typedef void (*smtpf_forward_fn)(void *user, int result);

/**
 * Remembers that a forward was refused after we had taken the mail, so that equal mail is refused in the session, or
 * kept, as the recipient's `forward_failed` says: all mail to a target that does not exist, mail of the same client and
 * sender to one that called it spam. Kept in the store for `forward.remember`; hosts that answer with
 * smtpf_session_hop_reply() and smtpf_session_commit() need not call it.
 * @param driver   the driver
 * @param refusal  copied
 * @param fn,user  receiver; may be NULL
 * @return SMTPF_OK: `fn` is called once, unless the driver goes first; SMTPF_EINVAL; SMTPF_ENOMEM. Since 0.1. RFC 3463.
 */
SMTPF_API int smtpf_forward_report(smtpf_driver *driver, const smtpf_forward_refusal *refusal, smtpf_forward_fn fn,
                                   void *user);

/** The smtpf_forward_class of a reply, by its codes and text. Pure. Any thread. Since 0.1. RFC 3463, RFC 5321 4.2. */
SMTPF_API int smtpf_forward_classify(int code, smtpf_str enhanced, smtpf_str text);

#ifdef __cplusplus
}
#endif
#endif
