/* SPDX-License-Identifier: MIT */
/**
 * @file milter.h
 * A sans-I/O codec of the milter protocol, versions 2 to 6, the filter's side: packets in, packets out. It keeps no
 * state and allocates nothing: packets are read where they lie, and written into room of the caller's.
 *
 *     while ((n = smtpf_milter_read((smtpf_str){in, have}, SMTPF_MILTER_PACKET_MAX, &packet)) > 0) {
 *       ...                                            // tell the session, take its verdict
 *       len = smtpf_milter_answer(code, enhanced, text, out, sizeof out);
 *       send(fd, out, len);
 *       in += n, have -= n;
 *     }
 *
 * Every command is answered but MACRO, ABORT, QUIT and QUIT_NC, and those that SMTPF_MILTER_NR_... was agreed for. At
 * end of message changes are written first, then the answer. What Sendmail's libmilter does not write down is in
 * docs/guide/milter.md.
 */
#ifndef SMTPFILTER_MILTER_H
#define SMTPFILTER_MILTER_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMTPF_MILTER_VERSION 6            /**< the newest version of the protocol */
#define SMTPF_MILTER_CHUNK 65535          /**< most bytes of a body in one packet, unless more was agreed */
#define SMTPF_MILTER_PACKET_MAX (1 << 20) /**< most bytes any MTA sends in one packet */

/** Commands of the MTA (SMFIC_...), by their letters. */
enum smtpf_milter_command {
  SMTPF_MILTER_ABORT = 'A',   /**< the message is forgotten; the connection goes on */
  SMTPF_MILTER_BODY = 'B',    /**< a piece of the body */
  SMTPF_MILTER_CONNECT = 'C', /**< a client */
  SMTPF_MILTER_MACRO = 'D',   /**< macros for the command that comes next */
  SMTPF_MILTER_BODYEOB = 'E', /**< end of message, perhaps with a last piece */
  SMTPF_MILTER_HELO = 'H',    /**< HELO or EHLO */
  SMTPF_MILTER_QUIT_NC = 'K', /**< the client is gone; another one comes on the same connection */
  SMTPF_MILTER_HEADER = 'L',  /**< one header field */
  SMTPF_MILTER_MAIL = 'M',    /**< MAIL FROM */
  SMTPF_MILTER_EOH = 'N',     /**< end of the header section */
  SMTPF_MILTER_OPTNEG = 'O',  /**< what the MTA can do */
  SMTPF_MILTER_QUIT = 'Q',    /**< the client is gone, and so is the MTA */
  SMTPF_MILTER_RCPT = 'R',    /**< RCPT TO */
  SMTPF_MILTER_DATA = 'T',    /**< DATA */
  SMTPF_MILTER_UNKNOWN = 'U', /**< a command the MTA does not know */
};

/** Answers and changes (SMFIR_...), by their letters. */
enum smtpf_milter_reply {
  SMTPF_MILTER_ADDRCPT = '+',     /**< change: one more recipient */
  SMTPF_MILTER_DELRCPT = '-',     /**< change: one recipient less */
  SMTPF_MILTER_ADDRCPT_PAR = '2', /**< change: one more recipient, with ESMTP parameters */
  SMTPF_MILTER_SHUTDOWN = '4',    /**< answer: 421, and close */
  SMTPF_MILTER_ACCEPT = 'a',      /**< answer: take it, and ask no more about it */
  SMTPF_MILTER_REPLBODY = 'b',    /**< change: a piece of a new body */
  SMTPF_MILTER_CONTINUE = 'c',    /**< answer: go on */
  SMTPF_MILTER_DISCARD = 'd',     /**< answer: take the message and drop it */
  SMTPF_MILTER_CHGFROM = 'e',     /**< change: another envelope sender */
  SMTPF_MILTER_ADDHEADER = 'h',   /**< change: a header field at the end */
  SMTPF_MILTER_INSHEADER = 'i',   /**< change: a header field at a place; 0 is the top */
  SMTPF_MILTER_CHGHEADER = 'm',   /**< change: occurrence n of a name, from 1; an empty value deletes it */
  SMTPF_MILTER_PROGRESS = 'p',    /**< still at work; at end of message only */
  SMTPF_MILTER_QUARANTINE = 'q',  /**< change: hold the message, for this reason */
  SMTPF_MILTER_RCPTREPLY = 'R',   /**< of our own, where SMTPF_MILTER_CAN_RCPTREPLY was agreed: one recipient's reply */
  SMTPF_MILTER_REJECT = 'r',      /**< answer: 5xx in the MTA's words */
  SMTPF_MILTER_SKIP = 's',        /**< answer: no more pieces of the body; where SMTPF_MILTER_KNOWS_SKIP was agreed */
  SMTPF_MILTER_TEMPFAIL = 't',    /**< answer: 4xx in the MTA's words */
  SMTPF_MILTER_REPLYCODE = 'y',   /**< answer: this reply */
};

/** Changes an MTA allows and a filter will make (SMFIF_...), as bits. */
enum smtpf_milter_action {
  SMTPF_MILTER_CAN_ADDHDRS = 1 << 0,     /**< ADDHEADER, INSHEADER */
  SMTPF_MILTER_CAN_CHGBODY = 1 << 1,     /**< REPLBODY */
  SMTPF_MILTER_CAN_ADDRCPT = 1 << 2,     /**< ADDRCPT */
  SMTPF_MILTER_CAN_DELRCPT = 1 << 3,     /**< DELRCPT */
  SMTPF_MILTER_CAN_CHGHDRS = 1 << 4,     /**< CHGHEADER */
  SMTPF_MILTER_CAN_QUARANTINE = 1 << 5,  /**< QUARANTINE */
  SMTPF_MILTER_CAN_CHGFROM = 1 << 6,     /**< CHGFROM */
  SMTPF_MILTER_CAN_ADDRCPT_PAR = 1 << 7, /**< ADDRCPT_PAR */
  SMTPF_MILTER_CAN_SETSYMLIST = 1 << 8,  /**< the filter says which macros it wants */
  SMTPF_MILTER_CAN_RCPTREPLY = 1 << 24,  /**< of our own: a reply for each recipient of a message whose MAIL has the
                                              parameter PRDR. No MTA offers it; smtpf_exim.so does */
  SMTPF_MILTER_JOIN_ONLY = 1 << 25,      /**< of our own: all recipients share one reply, whatever is said at RCPT */
};

/** What need not be said (SMFIP_...), as bits. */
enum smtpf_milter_protocol {
  SMTPF_MILTER_NO_CONNECT = 1 << 0,   /**< CONNECT is not sent */
  SMTPF_MILTER_NO_HELO = 1 << 1,      /**< HELO is not sent */
  SMTPF_MILTER_NO_MAIL = 1 << 2,      /**< MAIL is not sent */
  SMTPF_MILTER_NO_RCPT = 1 << 3,      /**< RCPT is not sent */
  SMTPF_MILTER_NO_BODY = 1 << 4,      /**< BODY is not sent */
  SMTPF_MILTER_NO_HDRS = 1 << 5,      /**< HEADER is not sent */
  SMTPF_MILTER_NO_EOH = 1 << 6,       /**< EOH is not sent */
  SMTPF_MILTER_NR_HDR = 1 << 7,       /**< HEADER is not answered */
  SMTPF_MILTER_NO_UNKNOWN = 1 << 8,   /**< UNKNOWN is not sent */
  SMTPF_MILTER_NO_DATA = 1 << 9,      /**< DATA is not sent */
  SMTPF_MILTER_KNOWS_SKIP = 1 << 10,  /**< the MTA understands SKIP */
  SMTPF_MILTER_RCPT_REJ = 1 << 11,    /**< recipients that the MTA refused are sent too */
  SMTPF_MILTER_NR_CONN = 1 << 12,     /**< CONNECT is not answered */
  SMTPF_MILTER_NR_HELO = 1 << 13,     /**< HELO is not answered */
  SMTPF_MILTER_NR_MAIL = 1 << 14,     /**< MAIL is not answered */
  SMTPF_MILTER_NR_RCPT = 1 << 15,     /**< RCPT is not answered */
  SMTPF_MILTER_NR_DATA = 1 << 16,     /**< DATA is not answered */
  SMTPF_MILTER_NR_UNKNOWN = 1 << 17,  /**< UNKNOWN is not answered */
  SMTPF_MILTER_NR_EOH = 1 << 18,      /**< EOH is not answered */
  SMTPF_MILTER_NR_BODY = 1 << 19,     /**< BODY is not answered */
  SMTPF_MILTER_HDR_LEADSPC = 1 << 20, /**< values of header fields keep the blank before them, both ways */
  SMTPF_MILTER_MDS_256K = 1 << 28,    /**< packets of up to 256 KiB */
  SMTPF_MILTER_MDS_1M = 1 << 29,      /**< packets of up to 1 MiB */
};

/** Stages that macros are asked for (SMFIM_...). */
enum smtpf_milter_stage {
  SMTPF_MILTER_AT_CONNECT = 0,
  SMTPF_MILTER_AT_HELO,
  SMTPF_MILTER_AT_MAIL,
  SMTPF_MILTER_AT_RCPT,
  SMTPF_MILTER_AT_DATA,
  SMTPF_MILTER_AT_EOM,
  SMTPF_MILTER_AT_EOH,
  SMTPF_MILTER_STAGES, /**< how many there are */
};

/** How the address of a CONNECT is given. */
enum smtpf_milter_family {
  SMTPF_MILTER_FAMILY_UNKNOWN = 'U', /**< there is none */
  SMTPF_MILTER_FAMILY_UNIX = 'L',    /**< a path */
  SMTPF_MILTER_FAMILY_INET = '4',    /**< IPv4 */
  SMTPF_MILTER_FAMILY_INET6 = '6',   /**< IPv6, perhaps with `IPv6:` before it */
};

/** What two sides have agreed on, or one offers. */
typedef struct smtpf_milter_terms {
  uint32_t version;  /**< 2 to 6 */
  uint32_t actions;  /**< smtpf_milter_action bits */
  uint32_t protocol; /**< smtpf_milter_protocol bits */
} smtpf_milter_terms;

/** One command. Strings point into the bytes that were read and are followed by a NUL there, but for `rest` of BODY and
 *  BODYEOB. Members that a command does not have are empty. */
typedef struct smtpf_milter_packet {
  size_t size;              /**< sizeof(smtpf_milter_packet) */
  int command;              /**< smtpf_milter_command; a letter that is none of them is not refused here */
  smtpf_str name;           /**< CONNECT: the client's name; HELO: the argument; MAIL, RCPT: the path; HEADER: the name;
                                 UNKNOWN: the line */
  smtpf_str value;          /**< CONNECT: the address; HEADER: the value */
  smtpf_str rest;           /**< MAIL, RCPT: parameters; MACRO: names and values in turn: strings that each end in NUL,
                                 for smtpf_milter_string(); BODY, BODYEOB: bytes */
  int family;               /**< CONNECT: smtpf_milter_family */
  uint16_t port;            /**< CONNECT: the client's port */
  int stage;                /**< MACRO: the command (smtpf_milter_command) they are for */
  smtpf_milter_terms offer; /**< OPTNEG */
} smtpf_milter_packet;

/**
 * Reads one packet off the front of what a connection has given.
 * @param bytes     what is there
 * @param max       most bytes of a packet, without the four that say its length
 * @param[out] out  set `size` first; written only when a whole packet is there
 * @return how many bytes it took, 0 when more are needed, SMTPF_ELIMIT (longer than `max`, or of length 0),
 * SMTPF_EPARSE (not what such a command holds) or SMTPF_EINVAL. After an error: close. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_milter_read(smtpf_str bytes, uint32_t max, smtpf_milter_packet *out);

/**
 * How many bytes the packet at the front needs in all, once its first four are there.
 * @return 0 when those are not there yet. Since 0.1.
 */
SMTPF_API size_t smtpf_milter_wanted(smtpf_str bytes);

/**
 * Takes the next string of `rest`.
 * @param[in,out] rest  moved behind it
 * @param[out] out      without its NUL
 * @return SMTPF_OK or SMTPF_ENOTFOUND (there is no more). Since 0.1.
 */
SMTPF_API int smtpf_milter_string(smtpf_str *rest, smtpf_str *out);

/**
 * One macro of a MACRO packet.
 * @param packet  the packet
 * @param name    without braces: `i`, `auth_authen`
 * @return its value; empty when it was not sent. Since 0.1.
 */
SMTPF_API smtpf_str smtpf_milter_macro(const smtpf_milter_packet *packet, const char *name);

/**
 * Agrees on terms and writes the packet that says so: of what is wanted what is offered, and the older version.
 * @param offer         an OPTNEG packet
 * @param[in,out] terms what is wanted; what is agreed
 * @param macros        for each smtpf_milter_stage the macros that are wanted, separated by blanks, or empty for those
 *                      that the MTA is told to send by its own configuration; NULL for none
 * @param[out] room,cap at least 2048 bytes
 * @return its length, SMTPF_EUNSUPPORTED (a version before 2: close), SMTPF_EINVAL (no OPTNEG) or SMTPF_ELIMIT. Since
 *         0.1.
 */
SMTPF_API int smtpf_milter_negotiate(const smtpf_milter_packet *offer, smtpf_milter_terms *terms,
                                     const smtpf_str macros[SMTPF_MILTER_STAGES], char *room, size_t cap);

/** Writes an answer of one letter: ACCEPT, CONTINUE, DISCARD, PROGRESS, REJECT, SHUTDOWN, SKIP, TEMPFAIL. @return 5, or
 *  SMTPF_ELIMIT. Since 0.1. */
SMTPF_API int smtpf_milter_letter(int reply, char *room, size_t cap);

/**
 * Writes the answer for a reply: CONTINUE below 400, else REPLYCODE with `%` doubled, since Sendmail makes a format of
 * it. Without an enhanced status code it gets one that says nothing: Postfix takes none without.
 * @param code           reply code
 * @param enhanced,text  as of a verdict; at most 32 lines are written, and of each the first 512 bytes or so
 * @param[out] room,cap  SMTPF_MILTER_ANSWER_MAX is always enough
 * @return its length, or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_answer(int code, smtpf_str enhanced, smtpf_str text, char *room, size_t cap);

/** Room that any answer fits into. */
#define SMTPF_MILTER_ANSWER_MAX 20480

/**
 * Writes a change of the envelope: ADDRCPT, ADDRCPT_PAR, DELRCPT, CHGFROM; or QUARANTINE.
 * @param reply          which
 * @param path           the path with its brackets; QUARANTINE: the reason
 * @param params         ESMTP parameters, for ADDRCPT_PAR and CHGFROM; else empty
 * @param[out] room,cap  its place
 * @return its length, SMTPF_EINVAL (a NUL, CR or LF in it, or nothing) or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_envelope(int reply, smtpf_str path, smtpf_str params, char *room, size_t cap);

/**
 * Writes a change of the header section: ADDHEADER, INSHEADER, CHGHEADER.
 * @param reply          which
 * @param terms          what was agreed: whether a value begins with its blank
 * @param index          INSHEADER: the place; CHGHEADER: the occurrence
 * @param name           field name
 * @param value          field value, unfolded; long ones are folded at blanks. Empty with CHGHEADER: delete
 * @param[out] room,cap  its place
 * @return its length, SMTPF_EINVAL (a NUL, CR or LF in it, or no name) or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_header(int reply, const smtpf_milter_terms *terms, uint32_t index, smtpf_str name,
                                  smtpf_str value, char *room, size_t cap);

/**
 * Writes a piece of a new body (REPLBODY).
 * @param bytes          at most SMTPF_MILTER_CHUNK, with CRLF line ends
 * @param[out] room,cap  its place
 * @return its length, SMTPF_EINVAL (too long) or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_body(smtpf_str bytes, char *room, size_t cap);

/**
 * Writes one recipient's reply (SMTPF_MILTER_RCPTREPLY), before the answer at end of message.
 * @param path           the recipient's path, as it came
 * @param code           its reply code, 400-599
 * @param enhanced,text  as smtpf_milter_answer()
 * @param[out] room,cap  SMTPF_MILTER_ANSWER_MAX and the path are always enough
 * @return its length, SMTPF_EINVAL (a NUL, CR or LF in the path, or nothing) or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_rcpt_reply(smtpf_str path, int code, smtpf_str enhanced, smtpf_str text, char *room,
                                      size_t cap);

/* ---- the MTA's side ------------------------------------------------------------------------------------ */

/**
 * Writes a command as smtpf_milter_read() reads it: an MTA that asks a filter, or a test.
 * @param packet         its command and what that holds
 * @param[out] room,cap  the lengths of all its strings and 32 bytes are enough
 * @return its length, SMTPF_EINVAL (no such command, or a NUL in a string) or SMTPF_ELIMIT. Since 0.1.
 */
SMTPF_API int smtpf_milter_write(const smtpf_milter_packet *packet, char *room, size_t cap);

/** One packet of the filter's. Strings point into the bytes that were read; members that it does not have are empty. */
typedef struct smtpf_milter_response {
  size_t size;              /**< sizeof(smtpf_milter_response) */
  int reply;                /**< smtpf_milter_reply, or SMTPF_MILTER_OPTNEG; a letter that is neither is not refused */
  smtpf_milter_terms terms; /**< OPTNEG: what is agreed */
  uint32_t index;           /**< INSHEADER, CHGHEADER */
  smtpf_str name;           /**< header fields: the name; the envelope, RCPTREPLY: the path; QUARANTINE: the reason */
  smtpf_str value;          /**< header fields: the value; the envelope: parameters; REPLYCODE, RCPTREPLY: the reply, for
                                 smtpf_milter_reply_parts(); REPLBODY: bytes */
} smtpf_milter_response;

/** Reads one packet of the filter's off the front, as smtpf_milter_read(). Since 0.1. */
SMTPF_API SMTPF_USE_RESULT int smtpf_milter_read_reply(smtpf_str bytes, uint32_t max, smtpf_milter_response *out);

/**
 * Takes a reply apart: what smtpf_milter_answer() was given.
 * @param reply          `value` of a REPLYCODE or RCPTREPLY
 * @param[out] enhanced  in `reply`; empty when there is none
 * @param[out] text      in `room`, lines separated by LF; what does not fit is left out
 * @param[out] room,cap  its place
 * @return the code, 400-599, or SMTPF_EPARSE. Since 0.1.
 */
SMTPF_API int smtpf_milter_reply_parts(smtpf_str reply, smtpf_str *enhanced, smtpf_str *text, char *room, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
