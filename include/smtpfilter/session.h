/* SPDX-License-Identifier: MIT */
/**
 * @file session.h
 * One SMTP connection, told event by event.
 *
 * Every event returns SMTPF_OK (its verdict is ready: smtpf_session_verdict()), SMTPF_PENDING (it comes
 * later) or a negative error (misuse: nothing changed, no verdict). Every accepted event gets exactly
 * one verdict, whatever fails. What a client may do wrong is not misuse: RCPT before MAIL is accepted as
 * an event and its verdict is 503.
 *
 * A host tells what the client said; it need not track the sequence itself:
 *
 *     r = smtpf_session_rcpt(s, path, params);
 *     if (r == SMTPF_PENDING) r = smtpf_session_wait(s, timeout);
 *     v = smtpf_session_verdict(s);
 *
 * Functions that are events say so in their first word. What may be told when (go: it is judged; 503: the client's
 * fault, nothing changes; a dash: SMTPF_ESTATE, nothing changes and there is no verdict):
 *
 *               connect rebind starttls auth helo mail rcpt data body,eom commit reset command violation quit
 *     new         go      -       -      -    -    -    -    -      -      -      -      -        -      -
 *     refused     -       go      -      -   503  503  503  503     -      -     503    503       go     go
 *     connected   -       go      go     go   go  503  503  503     -      -      go     go       go     go
 *     greeted     -       go      go     go   go   go  503  503     -      -      go     go       go     go
 *     mail        -       go      go    503   go  503   go  503     -      -      go     go       go     go
 *     rcpt        -       go      go    503   go  503   go   go     -      -      go     go       go     go
 *     data        -       -       -     503  503  503  503  503     go     -      go     go       go     go
 *     eom         -       -       -      -    -    -    -    -      -      go     -      -        -      -
 *     closed      -       -       -      -    -    -    -    -      -      -      -      -        -      -
 *
 * An accepting verdict moves on: connect, rebind and starttls to `connected`; helo to `greeted`; mail, rcpt, data and
 * eom to their own; the last commit, an eom that leaves nothing to commit, reset and a violation within a message to
 * `greeted`. A refusing one leaves the state as it is, but: connect and rebind go to `refused`, helo to `connected`,
 * eom to `greeted`. After a verdict that closes (221, 421) it is `closed`. While an event is pending, every other one
 * is SMTPF_EBUSY.
 */
#ifndef SMTPFILTER_SESSION_H
#define SMTPFILTER_SESSION_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What kind of conversation, and what this host can do. */
typedef struct smtpf_session_options {
  size_t size;           /**< sizeof(smtpf_session_options) */
  unsigned capabilities; /**< smtpf_capability bits */
  int protocol;          /**< smtpf_protocol; 0 for SMTP */
  void *user;            /**< handed back by smtpf_session_user() */
} smtpf_session_options;

/** The protocol the client speaks. */
enum smtpf_protocol {
  SMTPF_SMTP = 1, /**< RFC 5321 */
  SMTPF_LMTP = 2, /**< RFC 2033: one reply for each recipient after the message */
};

/** Who is at the other end. Addresses are text: `192.0.2.1`, `2001:db8::1`, `IPv6:2001:db8::1`; an IPv4-mapped one is
 * taken for its IPv4 address. */
typedef struct smtpf_peer {
  size_t size;             /**< sizeof(smtpf_peer) */
  smtpf_str address;       /**< client address; empty when the host does not know it (a local pipe) */
  uint16_t port;           /**< client port, 0 when unknown */
  smtpf_str local_address; /**< our address, empty when unknown */
  uint16_t local_port;     /**< our port, 0 when unknown */
  smtpf_str rdns;          /**< verified client name when the host has one already, else empty */
} smtpf_peer;

/** How the client greeted. */
enum smtpf_greeting { SMTPF_GREET_HELO = 1, SMTPF_GREET_EHLO = 2, SMTPF_GREET_LHLO = 3 };

/** What a host reports for a copy it took. */
enum smtpf_commit_result {
  SMTPF_COMMIT_OK = 1,      /**< durable: on disk, or accepted by the next hop */
  SMTPF_COMMIT_FAILED = 2,  /**< not durable: the client is answered 4xx for it */
  SMTPF_COMMIT_REFUSED = 3, /**< the next hop refused it for good: the client is answered 5xx for it */
};

/** All recipients, in smtpf_session_commit(). */
#define SMTPF_ALL ((size_t)-1)

/**
 * A new session on a driver.
 * @param[out] out  the session, owned by the caller; untouched on failure
 * @param driver    outlives the session
 * @param options   copied; NULL for an SMTP host that sees the body, edits it and commits
 * @return SMTPF_OK, SMTPF_ENOMEM, SMTPF_EFORK, or SMTPF_EUNSUPPORTED: a journal or `lost_ack.enable` needs a host with
 *         SMTPF_CAN_REPORT_COMMIT. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_session_new(smtpf_session **out, smtpf_driver *driver,
                                                 const smtpf_session_options *options);

/** Frees a session, at any moment, also in the ready callback. Open operations are cancelled; what was promised and
 *  not committed is logged as `unclosed`. While the last commit is pending it is better to wait first, as for
 *  smtpf_session_abort(). NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_session_free(smtpf_session *s);

/** The `user` of the options. Since 0.1. */
SMTPF_API void *smtpf_session_user(const smtpf_session *s);

/** The session's id, as in the log: 16 characters, NUL-terminated, valid as long as the session. Since 0.1. */
SMTPF_API const char *smtpf_session_id(const smtpf_session *s);

/** Event: the client connected (before the banner). Once for each session. Since 0.1. */
SMTPF_API int smtpf_session_connect(smtpf_session *s, const smtpf_peer *peer);

/** Event: the client's identity changed (XCLIENT, PROXY): back to CONNECT, all evidence dropped. Since 0.1. */
SMTPF_API int smtpf_session_rebind(smtpf_session *s, const smtpf_peer *peer);

/**
 * Tells that the client spoke out of turn (before the banner, or pipelined what was not advertised).
 * Not an event: allowed at any time before QUIT, also while one is pending; the early-talk check reports it at
 * the next stage. @return SMTPF_OK or SMTPF_ESTATE. Since 0.1.
 */
SMTPF_API int smtpf_session_early_talk(smtpf_session *s);

/** Event: HELO, EHLO or LHLO (smtpf_greeting) with its argument (RFC 5321 4.1.1.1). Drops an open transaction. Since
 * 0.1. */
SMTPF_API int smtpf_session_helo(smtpf_session *s, int greeting, smtpf_str name);

/**
 * Event: TLS is up (RFC 3207): HELO and transaction are forgotten.
 * @param s         the session
 * @param protocol  e.g. `TLSv1.3`
 * @param cipher    e.g. `TLS_AES_256_GCM_SHA384`. Since 0.1.
 */
SMTPF_API int smtpf_session_starttls(smtpf_session *s, smtpf_str protocol, smtpf_str cipher);

/**
 * Event: the client authenticated itself to the host (RFC 4954). Never pass credentials.
 * @param s          the session
 * @param mechanism  e.g. `PLAIN`
 * @param identity   who it is now. Since 0.1.
 */
SMTPF_API int smtpf_session_auth(smtpf_session *s, smtpf_str mechanism, smtpf_str identity);

/**
 * Event: MAIL FROM (RFC 5321 4.1.1.2).
 * @param s       the session
 * @param path    the reverse-path with its brackets, `<>` for the null sender
 * @param params  ESMTP parameters, separated by spaces, or empty. Since 0.1.
 */
SMTPF_API int smtpf_session_mail(smtpf_session *s, smtpf_str path, smtpf_str params);

/** Event: RCPT TO (RFC 5321 4.1.1.3). Parameters as smtpf_session_mail(). Since 0.1. */
SMTPF_API int smtpf_session_rcpt(smtpf_session *s, smtpf_str path, smtpf_str params);

/**
 * The message that the next smtpf_session_data() begins will stand in this file of the host's, from byte 0 on: each
 * piece is there before smtpf_session_body() gets it. Scanners read it from there, and the library keeps no copy. No
 * event.
 * @param s   the session
 * @param fd  readable with pread(2); stays the host's, and open until the message's last answer
 * @return SMTPF_OK, SMTPF_ESTATE (no recipient, or the message has begun) or SMTPF_EINVAL (negative). Since 0.1.
 */
SMTPF_API int smtpf_session_spool(smtpf_session *s, int fd);

/** Event: DATA, or the first BDAT of a message (RFC 5321 4.1.1.4, RFC 3030). Since 0.1. */
SMTPF_API int smtpf_session_data(smtpf_session *s);

/**
 * A piece of the message (header section and body, CRLF line ends, dots unstuffed). Gives no verdict.
 * @param s           the session
 * @param bytes       the piece, not kept
 * @param n           its length
 * @param[out] taken  how many were taken; the rest must be offered again (back-pressure)
 * @return SMTPF_OK; SMTPF_PENDING when not all was taken, because a check that reads the message is behind: the ready
 *         callback, smtpf_driver_next() or smtpf_session_wait() says when to offer the rest, from `taken` on;
 *         SMTPF_ESTATE; SMTPF_EBUSY; SMTPF_EUNSUPPORTED without SMTPF_CAN_SEE_BODY: nothing would be looked at. Since
 * 0.1.
 */
SMTPF_API int smtpf_session_body(smtpf_session *s, const void *bytes, size_t n, size_t *taken);

/**
 * After an accepting verdict of DATA: whether the message can still change anything. 0 when every copy is taken as it
 * comes, whatever it holds: no check reads it, nothing is to be added, removed, held, dropped or sent elsewhere. A host
 * that need not hand over such a message tells smtpf_session_eom() at once, and its verdict is that of the message.
 *
 * Who does so answers by itself for the bounds that every mail server has: a size and a header section that are too
 * large, a mail loop (RFC 5321 6.3). Where the policy sets `limits.message`, `limits.header`, `limits.received`,
 * `loop.received` or `loop.own`, every message is wanted. What has been left to be done once the mail is taken
 * (smtpf_task_settle()) is done then, as for a host that sees no message at all. Not an event.
 * @return 1 or 0; 1 also at any other time. Since 0.1.
 */
SMTPF_API int smtpf_session_wants_message(smtpf_session *s);

/**
 * Event: end of message. An accepting verdict is provisional until smtpf_session_commit(): the host
 * now makes the copies durable (or passes them on), with smtpf_verdict's edits. Its own trace fields (Received,
 * Return-Path: RFC 5321 4.4) it puts above all of them. Without
 * SMTPF_CAN_REPORT_COMMIT it is final and the copies are `handed-over`. SMTPF_ESTATE also while a piece waits that
 * smtpf_session_body() did not take. Since 0.1.
 */
SMTPF_API int smtpf_session_eom(smtpf_session *s);

/**
 * Event: what became of copies. When the last open recipient is closed, the verdict is the final answer. Where one
 * reply serves all, a copy that failed makes it 4xx although others are durable, and the client will send those again:
 * a host that can should take all or none.
 * @param s          the session
 * @param recipient  index of the recipient (order of the accepted RCPTs, from 0), or SMTPF_ALL that are open
 * @param result     smtpf_commit_result
 * @return SMTPF_OK; SMTPF_ENOTFOUND (no such open recipient), SMTPF_EINVAL, SMTPF_ESTATE. Since 0.1.
 */
SMTPF_API int smtpf_session_commit(smtpf_session *s, size_t recipient, int result);

/**
 * Tells how the next hop answered for one copy, before its commit. Where each recipient has a reply of its own (LMTP,
 * PRDR), these words are that recipient's, provided that the commit says the same: 2xx OK, 4xx FAILED, 5xx REFUSED.
 * @param s          the session
 * @param recipient  as smtpf_session_commit(), not SMTPF_ALL
 * @param code       the next hop's reply code, not 3xx
 * @param enhanced   enhanced status code, or empty
 * @param text       copied, the first 500 bytes or so; what is not printable becomes `?`
 * @return SMTPF_OK, SMTPF_ENOTFOUND (no such open recipient), SMTPF_EINVAL, SMTPF_ESTATE, SMTPF_EBUSY or SMTPF_ENOMEM.
 *         Since 0.1.
 */
SMTPF_API int smtpf_session_hop_reply(smtpf_session *s, size_t recipient, int code, smtpf_str enhanced, smtpf_str text);

/** Event: RSET (RFC 5321 4.1.1.5): the transaction is forgotten. Since 0.1. */
SMTPF_API int smtpf_session_reset(smtpf_session *s);

/** Event: any other command (NOOP, VRFY, HELP, unknown ones): counted, limited, answered. `verb` is what the client
 * wrote. Since 0.1. */
SMTPF_API int smtpf_session_command(smtpf_session *s, smtpf_str verb);

/**
 * Event: the client broke the protocol in a way the host's codec found (line too long, bare LF, NUL,
 * bad parameter). Counted as an error; the verdict is the reply that is proposed here, or 421 once
 * the error limit is reached. During a message it refuses the message.
 * @param s         the session
 * @param code      reply code, 500-599
 * @param enhanced  enhanced status code, e.g. `5.5.2` (RFC 3463)
 * @param text      reply text. Since 0.1.
 */
SMTPF_API int smtpf_session_violation(smtpf_session *s, int code, smtpf_str enhanced, smtpf_str text);

/** Event: QUIT (RFC 5321 4.1.1.10). Since 0.1. */
SMTPF_API int smtpf_session_quit(smtpf_session *s);

/**
 * The connection is gone, at any moment; a pending event is cancelled. No verdict. What was promised
 * and not committed is logged as `unclosed`. Only smtpf_session_free() is legal afterwards.
 *
 * A host whose client goes away while smtpf_session_commit() is pending does better to wait for its verdict and abort
 * then: the copies are taken, and what is under way is writing that down (the journal's promise; debts paid, the
 * message remembered). Cut off, it may or may not have been written: a copy may be missing from the journal though the
 * host keeps it, and the client, which saw no reply, sends again what is then not recognised. The deadlines of journal
 * and store bound the wait.
 * @return SMTPF_OK, also when repeated. Since 0.1.
 */
SMTPF_API int smtpf_session_abort(smtpf_session *s);

/**
 * Tells that the host refused by itself what the last verdict accepted: the state goes back as
 * if the verdict had refused. At RCPT the recipient is dropped; at EOM all open ones are closed.
 * @param s      the session
 * @param stage  smtpf_stage of the event that is overruled
 * @param code   the reply code the host gave, 400-599
 * @return SMTPF_OK, SMTPF_ESTATE (that stage is not the last accepted event) or SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API int smtpf_session_overrule(smtpf_session *s, int stage, int code);

/**
 * Tells the host's queue id of the message, for the log. Legal at any time between connect and the end, also while an
 * event is pending; forgotten with the transaction. Before MAIL it is the coming message's.
 * @return SMTPF_OK, SMTPF_ELIMIT (64 bytes or more) or SMTPF_ESTATE. Since 0.1.
 */
SMTPF_API int smtpf_session_queue_id(smtpf_session *s, smtpf_str id);

/**
 * Blocks until the pending event has its verdict. For hosts without a ready callback; completions of
 * other sessions are only queued.
 * @param s           the session
 * @param timeout_ms  at most so long; negative for as long as the engine's own deadlines take
 * @return SMTPF_OK (verdict ready, now or before), SMTPF_ETIMEOUT (still pending, no verdict), SMTPF_EBUSY (a ready
 *         callback is set, or inside one), SMTPF_ESTATE (no event), SMTPF_EFORK. Since 0.1.
 */
SMTPF_API int smtpf_session_wait(smtpf_session *s, int64_t timeout_ms);

/** The verdict of the last event, valid until the next event; NULL while pending or before the first. Since 0.1. */
SMTPF_API const smtpf_verdict *smtpf_session_verdict(const smtpf_session *s);

/** Bytes of memory this session holds now. Since 0.1. */
SMTPF_API size_t smtpf_session_memory(const smtpf_session *s);

#ifdef __cplusplus
}
#endif
#endif
