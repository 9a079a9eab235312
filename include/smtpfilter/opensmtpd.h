/* SPDX-License-Identifier: MIT */
/**
 * @file opensmtpd.h
 * OpenSMTPD's filter protocol (smtpd-filters(7)), 0.6 and later, as a codec: lines in, lines out. All functions are
 * pure; strings point into the line. Any thread.
 *
 *     config|KEY|VALUE                 config|ready                          -> register|..., register|ready
 *     report|VERSION|TIME|smtp-in|EVENT|SESSION|...                          no answer
 *     filter|VERSION|TIME|smtp-in|PHASE|SESSION|TOKEN|...                    -> filter-result, or filter-dataline
 */
#ifndef SMTPFILTER_OPENSMTPD_H
#define SMTPFILTER_OPENSMTPD_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a line is. */
enum smtpf_opensmtpd_kind {
  SMTPF_OPENSMTPD_CONFIG = 1, /**< `name` is the key, `rest` the value */
  SMTPF_OPENSMTPD_REPORT,     /**< `name` is the event: `link-connect`, `tx-rcpt` ... */
  SMTPF_OPENSMTPD_FILTER,     /**< `name` is the phase: `connect`, `rcpt-to`, `data-line` ...; must be answered */
};

/** One line. */
typedef struct smtpf_opensmtpd_line {
  size_t size;       /**< sizeof(smtpf_opensmtpd_line) */
  int kind;          /**< smtpf_opensmtpd_kind */
  int version;       /**< of the protocol: 6 for 0.6; 0 for CONFIG */
  smtpf_str name;    /**< key, event or phase */
  smtpf_str session; /**< REPORT, FILTER */
  smtpf_str token;   /**< FILTER: the same for all sessions that are in one phase */
  smtpf_str rest;    /**< what follows, fields separated by `|`: smtpf_opensmtpd_field() */
} smtpf_opensmtpd_line;

/**
 * Reads a line. @param line without its LF @param[out] out set `size` first; written only on success
 * @return SMTPF_OK; SMTPF_EPARSE (not such a line); SMTPF_EUNSUPPORTED (a protocol before 0.6, another subsystem than
 * smtp-in); SMTPF_EINVAL. Since 0.1.
 */
SMTPF_API SMTPF_USE_RESULT int smtpf_opensmtpd_read(smtpf_str line, smtpf_opensmtpd_line *out);

/** Takes the next field off the front. @return SMTPF_OK, or SMTPF_ENOTFOUND when nothing is left. Since 0.1. */
SMTPF_API int smtpf_opensmtpd_field(smtpf_str *rest, smtpf_str *field);

/** Splits `address:port` and `[address]:port`, also `unix:/path`, which has no address. @param text the field
 * @param[out] address empty when there is none @param[out] port 0 when there is none. Since 0.1. */
SMTPF_API void smtpf_opensmtpd_address(smtpf_str text, smtpf_str *address, unsigned *port);

/**
 * Writes the answer to a filter request, with its LF: `proceed` for a code below 400, else `reject` or, where the
 * connection is to be closed, `disconnect`. Lines of the text are joined by a blank; what cannot stand in a reply
 * becomes `?`.
 * @param line           the request
 * @param code           reply code
 * @param enhanced,text  as of a verdict
 * @param closes         1 for `disconnect`
 * @param[out] room,cap  at least 128 bytes; a text that does not fit is cut
 * @return its length; SMTPF_ELIMIT, SMTPF_EINVAL (not a filter request). Since 0.1.
 */
SMTPF_API int smtpf_opensmtpd_answer(const smtpf_opensmtpd_line *line, int code, smtpf_str enhanced, smtpf_str text,
                                     int closes, char *room, size_t cap);

/**
 * Writes the answer `rewrite` to a filter request, with its LF: smtpd goes on with another parameter in the place of
 * the client's: the argument of HELO and EHLO, the path of `mail-from` and `rcpt-to`.
 * @param line           the request
 * @param value          the parameter; paths with their brackets
 * @param[out] room,cap  its place
 * @return its length; SMTPF_ELIMIT (it does not fit: nothing is cut), SMTPF_EINVAL (not a filter request; an empty
 *         value, or one with what no line may hold). Since 0.1.
 */
SMTPF_API int smtpf_opensmtpd_rewrite(const smtpf_opensmtpd_line *line, smtpf_str value, char *room, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
