/* SPDX-License-Identifier: MIT
 *
 * smtpd: the server's side of one connection. What it reads is its state; what it waits for is its due.
 *
 *   state       reads                               goes to
 *   COMMAND     a command line                      by the answer: DATA (354 to DATA), CHUNK (2xx, 3xx to BDAT),
 *                                                   SWALLOW (any other to BDAT), AUTH (334 to AUTH), TLS (220 to
 *                                                   STARTTLS), CLOSED (QUIT, 421, fatal), else COMMAND
 *   SKIP        and drops, to the next CRLF         COMMAND, by a violation: line too long
 *   AUTH        a line of the exchange              AUTH by 334, COMMAND by any other answer
 *   DATA        the message to CRLF `.` CRLF        COMMAND, by END or a violation
 *   CHUNK       `chunk` bytes of the message        COMMAND, by END or a violation
 *   SWALLOW     and drops `chunk` bytes             COMMAND, by END of the chunk or a violation
 *   TLS         and drops all: plain text that      COMMAND, by smtpf_smtpd_tls()
 *               came after STARTTLS is forged
 *   CLOSED      and drops all
 *
 * BDAT (RFC 3030) leaves a second state behind, between its chunks:
 *
 *   bdat        BDAT                     MAIL RCPT DATA AUTH STARTTLS   RSET HELO EHLO   end of message
 *   NONE        COMMAND; by its answer   COMMAND                        NONE             NONE
 *               OPEN or DEAD
 *   OPEN        the next chunk           503, DEAD                      NONE             NONE
 *   DEAD        swallowed, 503           MAIL: NONE if accepted         NONE
 *
 * A violation of any kind while OPEN leads to DEAD.
 *
 * Replies after the end of data, for n accepted recipients:
 *
 *                                    SMTP   PRDR asked by MAIL        LMTP, n > 0   LMTP, n = 0
 *   END last, by a verdict           1      353, n, final             n             1
 *   END last, by the host's reply    1      1                         n, all alike  1
 *   421                              1      1                         n             1
 *   violation in place of END last   1      1                         n             1
 *   BDAT LAST that was swallowed     1      1                         n, all alike  1
 */
#ifndef SMTPF_WIRE_SMTPD_H
#define SMTPF_WIRE_SMTPD_H

#include <smtpfilter/wire.h>

#include "wire/command.h"
#include "wire/line.h"
#include "wire/scan.h"

enum smtpf_smtpd_state {
  SMTPF_READ_COMMAND,
  SMTPF_READ_SKIP,
  SMTPF_READ_AUTH,
  SMTPF_READ_DATA,
  SMTPF_READ_CHUNK,
  SMTPF_READ_SWALLOW,
  SMTPF_READ_TLS,
  SMTPF_READ_CLOSED,
};

/* Which event waits for its answer. */
enum smtpf_smtpd_due {
  SMTPF_DUE_NOTHING,
  SMTPF_DUE_BANNER,
  SMTPF_DUE_COMMAND,
  SMTPF_DUE_LINE,
  SMTPF_DUE_VIOLATION, /* of a line */
  SMTPF_DUE_CHUNK,     /* END of a chunk, not of the message */
  SMTPF_DUE_MESSAGE,   /* END of the message, or a violation in its place */
};

enum smtpf_smtpd_bdat { SMTPF_BDAT_NONE, SMTPF_BDAT_OPEN, SMTPF_BDAT_DEAD };

struct smtpf_smtpd {
  smtpf_mem mem;
  smtpf_str hostname, banner, auth; /* the host's */
  uint64_t message_max;
  uint64_t message_n;  /* bytes of the message given */
  uint64_t chunk;      /* bytes of the chunk still to come */
  uint64_t chunk_size; /* of the whole chunk */
  smtpf_line line;     /* a line split across reads; after a refused BDAT its reply */
  smtpf_scan scan;
  uint32_t line_max;
  uint32_t recipients; /* accepted ones: LMTP and PRDR reply for each */
  uint16_t chunks;     /* of this message */
  uint16_t extensions;
  uint16_t refusal; /* code of the refused BDAT that is being swallowed, 0 for none */
  uint8_t verb;     /* of the due command */
  uint8_t state;
  uint8_t due;
  uint8_t bdat;
  unsigned lmtp : 1;
  unsigned extended : 1; /* greeted by EHLO or LHLO */
  unsigned secured : 1;  /* under TLS */
  unsigned alone : 1;    /* nothing may come before the due answer is given */
  unsigned early : 1;    /* but something did */
  unsigned fatal : 1;    /* close after the due answer */
  unsigned chunk_last : 1;
  unsigned each : 1;       /* LMTP: the due answer is one for each recipient */
  unsigned prdr_asked : 1; /* by the MAIL that waits for its answer */
  unsigned prdr : 1;       /* in this transaction */
  unsigned after_cr : 1;   /* SKIP: the last byte was CR */
};

enum { SMTPF_AUTH_LINE_MAX = 12288 }; /* RFC 4954 section 4 */

/* No transaction is open. */
void smtpf_smtpd_forget(smtpf_smtpd *c);

/* 1 when the client may send ahead of our replies (RFC 2920). */
int smtpf_smtpd_pipelining(const smtpf_smtpd *c);

#endif
