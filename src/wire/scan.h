/* SPDX-License-Identifier: MIT
 *
 * scan: a message as it comes over the wire, made into pieces that are safe to pass on.
 *
 *                  CR          LF                   `.`          another byte
 *   LINE_START     AFTER_CR    bare                 DOT          TEXT
 *   TEXT           AFTER_CR    bare                 TEXT         TEXT
 *   AFTER_CR       bare        LINE_START           bare         bare          the CR waits for its LF
 *   DOT            DOT_CR      bare                 TEXT         TEXT          the first dot is dropped
 *   DOT_CR         bare        end of message       bare         bare
 *
 * Only a proper CRLF leads to LINE_START, so that only CRLF `.` CRLF ends a message. What is forbidden (NUL, a line too
 * long, and by option a bare CR or LF) is never in a piece: with the first of it the message is `bad`, gives no
 * more pieces, and is read to its true end.
 */
#ifndef SMTPF_WIRE_SCAN_H
#define SMTPF_WIRE_SCAN_H

#include <smtpfilter/types.h>

enum smtpf_scan_bad {
  SMTPF_BAD_NUL = 1,
  SMTPF_BAD_CR,
  SMTPF_BAD_LF,
  SMTPF_BAD_LINE,   /* too long */
  SMTPF_BAD_SIZE,   /* set by the caller, like the next */
  SMTPF_BAD_CHUNKS, /* too many */
};

typedef struct smtpf_scan {
  uint32_t line;     /* bytes of the present line, without stuffed dot and CRLF */
  uint32_t line_max; /* with CRLF */
  uint8_t state;
  uint8_t bad;       /* smtpf_scan_bad, the first found; 0 while all is well */
  uint8_t normalise; /* bare CR and LF become CRLF */
  uint8_t dots;      /* stuffed, and ended by a dot: DATA, not BDAT */
} smtpf_scan;

enum smtpf_scan_result { SMTPF_SCAN_MORE, SMTPF_SCAN_PIECE, SMTPF_SCAN_END };

/* At the start of a message. `normalise` and `line_max` are kept. */
void smtpf_scan_start(smtpf_scan *s, int dots);

/* Takes a piece off the input. Pieces point into it, or to static memory. */
int smtpf_scan_next(smtpf_scan *s, const char **in, size_t *n, smtpf_str *piece);

/* The message ended by count (BDAT LAST): what is still held back. SMTPF_SCAN_PIECE or SMTPF_SCAN_END. */
int smtpf_scan_close(smtpf_scan *s, smtpf_str *piece);

#endif
