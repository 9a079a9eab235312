/* SPDX-License-Identifier: MIT */
/**
 * @file wire.h
 * Sans-I/O codecs for hosts that speak SMTP themselves: bytes in, events out; answers in, bytes out.
 *
 * Server side, the whole of a host's loop:
 *
 *     while (smtpf_smtpd_next(c, &in, &n, &ev) == SMTPF_OK) {     // in/n advance past what was used
 *       r = smtpf_smtpd_apply(c, s, &ev);                         // the event, told to the session
 *       if (r == SMTPF_PENDING) break;                            // go on when the verdict is ready
 *       if (ev.kind == SMTPF_SMTPD_BODY) continue;                // kept for delivery; has no answer
 *       if (ev.kind == SMTPF_SMTPD_END && ev.last && accepted)    // make the copies durable, then say so
 *         smtpf_session_commit(s, SMTPF_ALL, result);
 *       len = smtpf_smtpd_answer(c, smtpf_session_verdict(s), out, sizeof out);
 *       send(fd, out, len);
 *     }
 *
 * BDAT (RFC 3030) asks for its reply after the chunk, so a chunk that begins a message gives COMMAND, whose answer
 * writes nothing yet (0 bytes), then BODY pieces, then END. END with `last` 0 ends only the chunk: it is no event for
 * the session (smtpf_smtpd_apply() returns SMTPF_OK), and smtpf_smtpd_answer() writes the chunk's reply, a refused
 * BDAT's being the refusal it was given; the verdict is not read. Chunks that go on with a message give no COMMAND.
 *
 * Replies for each recipient. LMTP (RFC 2033): after the end of data, also where the last chunk was not wanted, as many
 * replies as recipients were accepted, in the order of their RCPTs. SMTP with SMTPF_EXT_PRDR announced and `PRDR` in
 * MAIL: 353, the same replies, and a final one, written in one go; a copy is ours where its own reply and the final one
 * are 2xx. One plain reply stands for all of it where the message broke the protocol, where the server closes (421) and
 * where the host answers by smtpf_smtpd_reply(); clients take that as if it had been said to everyone. What a client
 * makes of such replies is in smtpf_transfer, below.
 *
 * Only CRLF "." CRLF ends DATA. A bare CR, a bare LF or a NUL never reaches an event: by option they refuse the
 * message (default) or, for line ends, are normalised to CRLF.
 */
#ifndef SMTPFILTER_WIRE_H
#define SMTPFILTER_WIRE_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct smtpf_smtpd smtpf_smtpd; /**< the server's side of one SMTP connection (RFC 5321) */
typedef struct smtpf_smtpc smtpf_smtpc; /**< the client's side of one SMTP connection */

/** Extensions (RFC 1870, 2920, 3030, 3461, 6152, 6531, 2034, 3207, 4954, draft-hall-prdr-00), as bits. */
enum smtpf_extension {
  SMTPF_EXT_PIPELINING = 1 << 0,
  SMTPF_EXT_SIZE = 1 << 1,
  SMTPF_EXT_8BITMIME = 1 << 2,
  SMTPF_EXT_SMTPUTF8 = 1 << 3,
  SMTPF_EXT_ENHANCEDSTATUSCODES = 1 << 4,
  SMTPF_EXT_DSN = 1 << 5,
  SMTPF_EXT_CHUNKING = 1 << 6,
  SMTPF_EXT_STARTTLS = 1 << 7,
  SMTPF_EXT_AUTH = 1 << 8,
  SMTPF_EXT_XCLIENT = 1 << 9,
  SMTPF_EXT_XFORWARD = 1 << 10,
  SMTPF_EXT_PRDR = 1 << 11, /**< draft-hall-prdr-00: a reply for each recipient after the message; goes with a session
                                 that has SMTPF_CAN_REPLY_PER_RCPT */
};

/** What to do with bare CR and bare LF inside a message. */
enum smtpf_line_ends { SMTPF_LINE_ENDS_REFUSE = 1, SMTPF_LINE_ENDS_NORMALISE = 2 };

/** How a server codec behaves. */
typedef struct smtpf_smtpd_options {
  size_t size;            /**< sizeof(smtpf_smtpd_options) */
  smtpf_str hostname;     /**< for banner and EHLO; must outlive the codec */
  smtpf_str banner;       /**< text after the host name; empty for `ESMTP`; must outlive the codec */
  smtpf_str auth;         /**< mechanisms for the AUTH line, e.g. `PLAIN LOGIN`; must outlive the codec */
  unsigned extensions;    /**< smtpf_extension bits to announce; PRDR is left out under LMTP, which needs none */
  int protocol;           /**< smtpf_protocol; 0 for SMTP */
  int line_ends;          /**< smtpf_line_ends; 0 for refuse */
  uint32_t line_max;      /**< longest command line with CRLF; 0 for 2048, else at least 512 (RFC 5321 4.5.3.1.4) */
  uint32_t text_line_max; /**< longest line in a message with CRLF; 0 for 65536, else at least 1000 */
  uint64_t message_max;   /**< longest message, announced by SIZE and kept to; 0 for no figure */
} smtpf_smtpd_options;

/** What a server codec found. */
enum smtpf_smtpd_kind {
  SMTPF_SMTPD_COMMAND = 1,   /**< a whole command line; one that is not announced has the verb UNKNOWN */
  SMTPF_SMTPD_BODY = 2,      /**< a piece of the message, dots unstuffed */
  SMTPF_SMTPD_END = 3,       /**< end of message */
  SMTPF_SMTPD_VIOLATION = 4, /**< the line, or the message that has just ended, breaks the protocol */
  SMTPF_SMTPD_LINE = 5,      /**< a line of an AUTH exchange (RFC 4954), opaque; never logged */
};

/** Commands. */
enum smtpf_verb {
  SMTPF_VERB_HELO = 1,
  SMTPF_VERB_EHLO,
  SMTPF_VERB_LHLO,
  SMTPF_VERB_MAIL,
  SMTPF_VERB_RCPT,
  SMTPF_VERB_DATA,
  SMTPF_VERB_BDAT,
  SMTPF_VERB_RSET,
  SMTPF_VERB_NOOP,
  SMTPF_VERB_QUIT,
  SMTPF_VERB_VRFY,
  SMTPF_VERB_EXPN,
  SMTPF_VERB_HELP,
  SMTPF_VERB_AUTH,
  SMTPF_VERB_STARTTLS,
  SMTPF_VERB_XCLIENT,
  SMTPF_VERB_XFORWARD,
  SMTPF_VERB_UNKNOWN,
};

/** One event of a server codec. Strings are valid until the next call on this codec, or until the input goes away. */
typedef struct smtpf_smtpd_event {
  int kind;       /**< smtpf_smtpd_kind */
  int verb;       /**< COMMAND: smtpf_verb */
  smtpf_str name; /**< COMMAND: the verb as the client wrote it */
  smtpf_str
      arg; /**< COMMAND: the argument; MAIL and RCPT: the path with brackets (added where the client left them out) */
  smtpf_str params;   /**< MAIL and RCPT: what follows the path */
  smtpf_str body;     /**< BODY: the piece; LINE: the line without CRLF */
  uint64_t chunk;     /**< BDAT: its size */
  int last;           /**< BDAT: 1 with LAST; END: 1 when the message is complete, 0 when only a chunk of BDAT is */
  int code;           /**< VIOLATION: proposed reply */
  smtpf_str enhanced; /**< VIOLATION */
  smtpf_str text;     /**< VIOLATION */
  int fatal;          /**< VIOLATION: 1 when the connection must be closed after the reply */
  int pipelined;      /**< 1 when it was sent before the previous reply although it may not be (early talk); tell
                           smtpf_session_early_talk(), as smtpf_smtpd_apply() does. STARTTLS: also when anything came
                           behind it, which is dropped: then better refuse it, and close */
} smtpf_smtpd_event;

/**
 * A new server codec.
 * @param[out] out  the codec, owned by the caller; untouched on failure
 * @param options   copied, its strings are not
 * @param mem       allocator, copied; NULL for malloc(3)
 * @return SMTPF_OK, SMTPF_EINVAL or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_smtpd_new(smtpf_smtpd **out, const smtpf_smtpd_options *options,
                                               const smtpf_mem *mem);

/** Frees a codec. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_smtpd_free(smtpf_smtpd *c);

/**
 * Takes the next event out of the input. After every event but BODY the codec waits for an answer
 * (smtpf_smtpd_answer() or smtpf_smtpd_reply()) and gives no event until it has one.
 * @param c            the codec
 * @param[in,out] in   input; advanced past the bytes used. Parts of lines are kept by the codec.
 * @param[in,out] n    bytes left
 * @param[out] ev      the event
 * @return SMTPF_OK (an event), SMTPF_PENDING (more input needed), SMTPF_ESTATE (an answer is due) or
 *         SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_smtpd_next(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev);

/**
 * Tells a session what the codec found: the right event for the right command. AUTH, STARTTLS, XCLIENT,
 * XFORWARD and LINE are the host's own business and give SMTPF_EUNSUPPORTED.
 * @param c   the codec
 * @param s   the session
 * @param ev  the event. For BODY, what the session does not take is kept in `ev->body`, and the
 *            result is SMTPF_PENDING.
 * @return as the session's event; SMTPF_OK without a verdict for BODY. Since 0.1.
 */
SMTPF_API int smtpf_smtpd_apply(smtpf_smtpd *c, smtpf_session *s, smtpf_smtpd_event *ev);

/**
 * Writes the reply for a verdict (EHLO's list of extensions, the replies for each recipient after a message,
 * multi-line text) and lets the codec go on.
 * @param c    the codec
 * @param v    the verdict of the event that waits for an answer; at first, of CONNECT: the banner
 * @param out  room for the reply; SMTPF_REPLY_MAX is always enough, except after a message: with LMTP that for each
 *             accepted recipient, with PRDR for each and two more
 * @param cap  its size
 * @return bytes written, 0 when the reply comes later (BDAT), SMTPF_ELIMIT (`cap` too small, nothing changed),
 *         SMTPF_EINVAL (no verdict; or, where each recipient has a reply, a verdict that takes a message and has
 *         other recipients than were accepted here) or SMTPF_ESTATE (no answer is due, or at end of message a
 *         recipient would be told 2xx who is not committed: it must not be told yet). Since 0.1.
 */
SMTPF_API int smtpf_smtpd_answer(smtpf_smtpd *c, const smtpf_verdict *v, char *out, size_t cap);

/**
 * The same for an answer of the host's own, e.g. the next hop's. After a message it is for all recipients: with LMTP
 * it is written for each, with PRDR once.
 * @param c         the codec
 * @param code      200-599
 * @param enhanced  empty for none; left out where not announced or not fitting the code's class
 * @param text      lines separated by LF; bytes that are not printable are replaced by `?`
 * @param out,cap   as smtpf_smtpd_answer(). Since 0.1.
 */
SMTPF_API int smtpf_smtpd_reply(smtpf_smtpd *c, int code, smtpf_str enhanced, smtpf_str text, char *out, size_t cap);

/** Room that any one reply of ours fits into; see smtpf_smtpd_answer() for the replies after a message. */
#define SMTPF_REPLY_MAX 4096

/** Tells the codec that TLS is up: HELO is forgotten, STARTTLS no longer announced, input that is buffered is dropped.
 * Since 0.1. */
SMTPF_API void smtpf_smtpd_tls(smtpf_smtpd *c);

/** What is taken from now on, and announced to the next EHLO (smtpf_extension bits): where that depends on what the
 *  client did, e.g. AUTH only under TLS. STARTTLS is left out once TLS is up. Since 0.1. */
SMTPF_API void smtpf_smtpd_announce(smtpf_smtpd *c, unsigned extensions);

/** Bytes of memory the codec holds now. Since 0.1. */
SMTPF_API size_t smtpf_smtpd_memory(const smtpf_smtpd *c);

/* ---- client side ------------------------------------------------------------------------------ */

/** One whole reply of a server (RFC 5321 4.2). Strings are valid until the next call on this codec. */
typedef struct smtpf_smtpc_reply {
  int code;           /**< 200-599 */
  smtpf_str enhanced; /**< from the first line's text where it has one, else empty */
  smtpf_str text;     /**< lines joined by LF, without codes */
} smtpf_smtpc_reply;

/**
 * A new client codec.
 * @param[out] out   the codec, owned by the caller; untouched on failure
 * @param reply_max  longest reply in bytes, all lines; 0 for 16384
 * @param mem        allocator, copied; NULL for malloc(3)
 * @return SMTPF_OK or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_smtpc_new(smtpf_smtpc **out, uint32_t reply_max, const smtpf_mem *mem);

/** Frees a codec. NULL is accepted. Since 0.1. */
SMTPF_API void smtpf_smtpc_free(smtpf_smtpc *c);

/**
 * Takes the next reply out of what the server sent.
 * @return SMTPF_OK (a reply), SMTPF_PENDING (more needed), SMTPF_EPARSE (not SMTP: close), SMTPF_ELIMIT
 *         (longer than `reply_max`: close) or SMTPF_ENOMEM. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_smtpc_next(smtpf_smtpc *c, const char **in, size_t *n, smtpf_smtpc_reply *reply);

/**
 * The extensions in an EHLO reply's text.
 * @param text      smtpf_smtpc_reply.text
 * @param[out] size the SIZE figure, 0 when there is none; NULL accepted
 * @return smtpf_extension bits. Since 0.1.
 */
SMTPF_API unsigned smtpf_smtpc_extensions(smtpf_str text, uint64_t *size);

/**
 * Writes one command line, `verb arg CRLF`; refuses CR, LF and NUL in it.
 * @return bytes written, SMTPF_EINVAL or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_smtpc_command(const char *verb, smtpf_str arg, char *out, size_t cap);

/** State of dot-stuffing between pieces. Zero at the start of a message. */
typedef struct smtpf_dot {
  uint32_t state; /**< the codec's own */
} smtpf_dot;

/**
 * Dot-stuffs a piece of a message (RFC 5321 4.5.2).
 * @param d            the state
 * @param[in,out] in   advanced past what was used
 * @param[in,out] n    bytes left
 * @param out,cap      room
 * @return bytes written. Since 0.1.
 */
SMTPF_API size_t smtpf_dot_stuff(smtpf_dot *d, const char **in, size_t *n, char *out, size_t cap);

/** Writes what ends the message: CRLF where the last line lacks it, then a dot and CRLF. At most 5 bytes. Since 0.1. */
SMTPF_API size_t smtpf_dot_end(smtpf_dot *d, char out[5]);

/* ---- client side: who owns the copies after the end of data --------------------------------------- */

/** Which replies a server gives to the end of data. */
enum smtpf_transfer_kind {
  SMTPF_TRANSFER_SMTP = 1, /**< one for all (RFC 5321) */
  SMTPF_TRANSFER_LMTP = 2, /**< one for each recipient (RFC 2033) */
  SMTPF_TRANSFER_PRDR = 3, /**< MAIL had `PRDR`: 353, one for each, a final one; or one for all (draft-hall-prdr-00) */
};

/** What became of one recipient's copy. */
enum smtpf_fate {
  SMTPF_FATE_OPEN = 0,     /**< not decided yet */
  SMTPF_FATE_TAKEN = 1,    /**< the server owns it */
  SMTPF_FATE_DEFERRED = 2, /**< still the client's: try again later */
  SMTPF_FATE_REFUSED = 3,  /**< still the client's: for good */
};

#define SMTPF_TRANSFER_ALL ((size_t)-1)  /**< the reply is for all recipients */
#define SMTPF_TRANSFER_NONE ((size_t)-2) /**< the reply decides nothing (353) */

/**
 * The end of one message, seen by the client. In memory of the caller's, without allocation; the members are the
 * machine's own.
 *
 *     smtpf_transfer_begin(&t, SMTPF_TRANSFER_PRDR, codes, n);        // when `.` or BDAT LAST is sent
 *     for (r = SMTPF_PENDING; r == SMTPF_PENDING;) {
 *       if (next_reply(&reply) != SMTPF_OK) {                         // smtpf_smtpc_next(), reading as needed
 *         smtpf_transfer_lost(&t);
 *         break;
 *       }
 *       r = smtpf_transfer_feed(&t, reply.code, &i);                  // now keep the text for `i`, or for all
 *     }
 *     for (i = 0; i < n; i++) switch (smtpf_transfer_fate(&t, i)) ...
 *
 * A reply that is lost on its way leaves the server owning a copy which the client must try again: where the connection
 * ends before all replies came, a copy may exist twice afterwards. No client can avoid that without losing mail.
 */
typedef struct smtpf_transfer {
  uint16_t *codes; /**< the caller's: of each recipient the reply code that stands so far, 0 for none */
  size_t n;        /**< recipients accepted at RCPT */
  size_t next;     /**< whose reply comes next */
  int kind;        /**< smtpf_transfer_kind */
  int state;       /**< the machine's own */
} smtpf_transfer;

/**
 * Begins: the end of data has been sent, or is about to be. Replies to DATA, and to BDAT without LAST, are not part of
 * this; a server that refuses one of them has taken nothing.
 * @param[out] t  the machine
 * @param kind    smtpf_transfer_kind
 * @param codes   room for one code a recipient, kept until the machine is done with; NULL where `n` is 0
 * @param n       recipients accepted at RCPT, in that order. With 0 a server gives one reply, whatever the kind.
 * @return SMTPF_OK or SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API int smtpf_transfer_begin(smtpf_transfer *t, int kind, uint16_t *codes, size_t n);

/**
 * The next reply's code.
 * @param t               the machine
 * @param code            smtpf_smtpc_reply.code
 * @param[out] recipient  whose reply it is: an index, SMTPF_TRANSFER_ALL or SMTPF_TRANSFER_NONE; untouched on failure
 * @return SMTPF_PENDING (more replies to come), SMTPF_OK (that was the last), SMTPF_EPARSE (no such reply can come
 *         here: close; what is undecided is deferred) or SMTPF_ESTATE (all is decided already). Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_transfer_feed(smtpf_transfer *t, int code, size_t *recipient);

/** No reply will come any more (connection lost, timeout): what is undecided is deferred. Does nothing when all is
 * decided. Since 0.1. */
SMTPF_API void smtpf_transfer_lost(smtpf_transfer *t);

/** smtpf_fate of recipient `i`. Under LMTP it is known with its own reply, a 2xx under PRDR only with the final one.
 * OPEN when there is no such recipient. Since 0.1. */
SMTPF_API int smtpf_transfer_fate(const smtpf_transfer *t, size_t i);

/**
 * The code of the reply that decided for recipient `i`, 0 when it is open or the connection was lost. It is the
 * recipient's own reply, except under SMTP, and under PRDR where the own one was a 2xx: there it is the one for all,
 * whose text goes with it. Since 0.1.
 */
SMTPF_API int smtpf_transfer_code(const smtpf_transfer *t, size_t i);

/* ---- policy delegation -------------------------------------------------------------------------------- */

/** Most bytes of a request that is read. Postfix's own attributes are bounded far below. */
#define SMTPF_DELEGATION_MAX 16384

/** What Postfix asks a policy server (SMTPD_POLICY_README), as it wrote it. Strings point into the bytes; attributes
 *  that were not sent are empty, as are those whose value Postfix does not know (`unknown`). */
typedef struct smtpf_delegation {
  size_t size;                   /**< sizeof(smtpf_delegation) */
  int stage;                     /**< smtpf_stage of `protocol_state`; 0 for one that is none: VRFY, ETRN */
  int greeting;                  /**< smtpf_greeting of `protocol_name`: HELO for SMTP, EHLO for ESMTP; 0 without one */
  smtpf_str instance;            /**< the same for all requests of one message */
  smtpf_str client_address;      /**< as text */
  smtpf_str client_name;         /**< verified */
  smtpf_str client_port;         /**< as text */
  smtpf_str server_address;      /**< as text */
  smtpf_str server_port;         /**< as text */
  smtpf_str helo_name;           /**< HELO argument */
  smtpf_str sender;              /**< without brackets; empty for the null sender */
  smtpf_str recipient;           /**< without brackets; empty where there are none or several */
  smtpf_str recipient_count;     /**< as text; at DATA and later */
  smtpf_str message_size;        /**< `size` as text */
  smtpf_str queue_id;            /**< once there is one */
  smtpf_str sasl_method;         /**< AUTH mechanism */
  smtpf_str sasl_username;       /**< who has authenticated itself */
  smtpf_str encryption_protocol; /**< TLS version */
  smtpf_str encryption_cipher;   /**< TLS cipher */
} smtpf_delegation;

/**
 * Reads one request off the front of what a connection has given: lines `name=value`, ended by an empty line.
 * Attributes it does not know are skipped; of two with one name the last counts.
 * @param bytes     what is there
 * @param[out] out  set `size` first; written only when a whole request is there
 * @return how many bytes it took, 0 when more are needed, SMTPF_ELIMIT (longer than SMTPF_DELEGATION_MAX), SMTPF_EPARSE
 * (not `request=smtpd_access_policy`, a line without `=`, a NUL) or SMTPF_EINVAL. After an error: close. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_delegation_read(smtpf_str bytes, smtpf_delegation *out);

/**
 * Writes the answer: `DUNNO`, so that what else is configured has its say; `DEFER_IF_PERMIT` for 450 and 451, so that
 * a refusal by something else comes first; the reply itself for any other code. Lines of the text are joined by a
 * blank; what cannot stand in an answer becomes `?`.
 * @param code           reply code; below 400 for DUNNO
 * @param enhanced,text  as of a verdict
 * @param[out] room,cap  at least 64 bytes; a text that does not fit is cut
 * @return its length, or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_delegation_answer(int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap);

/**
 * Writes an answer that is another action of Postfix's access(5): `PREPEND`, `HOLD`, `DISCARD`. The text as
 * smtpf_delegation_answer() has it.
 * @param action         the word
 * @param text           what follows it; may be empty
 * @param[out] room,cap  at least 64 bytes; a text that does not fit is cut
 * @return its length, or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_delegation_action(smtpf_str action, smtpf_str text, char *room, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
