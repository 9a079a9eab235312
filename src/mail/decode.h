/* SPDX-License-Identifier: MIT
 *
 * decode: content transfer encodings undone while the bytes arrive (RFC 2045 6.7, 6.8, and uuencode).
 *
 * Each decoder is a small struct that starts zeroed. Bytes go in, in pieces of any size, and come out into room that
 * the caller made large enough by the macro beside it; what comes out does not depend on the cuts. Nothing is an error:
 * what cannot be right is passed over or kept, as the tables in the .c files say, and flagged.
 */
#ifndef SMTPF_MAIL_DECODE_H
#define SMTPF_MAIL_DECODE_H

#include <smtpfilter/types.h>

/* What was odd. */
enum smtpf_decode_flag {
  SMTPF_DECODE_ALIEN = 1,   /* bytes that the encoding does not know */
  SMTPF_DECODE_PADDING = 2, /* base64: `=` where none belongs, or data behind the end */
  SMTPF_DECODE_CUT = 4,     /* ended within a group, an escape or a line */
  SMTPF_DECODE_LONG = 8,    /* a run of blanks or a line that is longer than what can be held */
};

/* ---- base64 (RFC 2045 6.8) ---- */

typedef struct smtpf_base64 {
  uint32_t bits;
  uint8_t n;     /* sextets in `bits` */
  uint8_t ended; /* padding was seen */
  uint8_t owed;  /* `=` that still belong to it */
  uint8_t flags; /* smtpf_decode_flag */
} smtpf_base64;

#define SMTPF_BASE64_ROOM(n) ((n) / 4 * 3 + 3)

/* Bytes written to `out`, which has SMTPF_BASE64_ROOM(n). */
size_t smtpf_base64_feed(smtpf_base64 *d, const char *p, size_t n, char *out);
/* The end: what an incomplete group holds, two bytes at most. */
size_t smtpf_base64_finish(smtpf_base64 *d, char *out);

/* ---- quoted-printable (RFC 2045 6.7) ---- */

enum { SMTPF_QP_BLANKS = 96 };

typedef struct smtpf_qp {
  uint8_t state;
  uint8_t blanks; /* held: they count only if something follows on the line */
  uint8_t over;   /* blanks of the same run went out, since they cannot all be held */
  uint8_t cr;     /* a CR is held */
  uint8_t flags;  /* smtpf_decode_flag */
  char first;     /* digit of an escape */
  char held[SMTPF_QP_BLANKS];
} smtpf_qp;

#define SMTPF_QP_ROOM(n) ((n) + SMTPF_QP_BLANKS + 4)

size_t smtpf_qp_feed(smtpf_qp *d, const char *p, size_t n, char *out);
/* The end: at most SMTPF_QP_ROOM(0). */
size_t smtpf_qp_finish(smtpf_qp *d, char *out);

/* ---- uuencode ---- */

enum { SMTPF_UU_LINE = 96 };

typedef struct smtpf_uu {
  uint8_t state; /* before `begin`, within, behind `end` */
  uint8_t n;     /* bytes of the line */
  uint8_t flags; /* smtpf_decode_flag */
  char line[SMTPF_UU_LINE];
} smtpf_uu;

#define SMTPF_UU_ROOM(n) ((n) + SMTPF_UU_LINE)

size_t smtpf_uu_feed(smtpf_uu *d, const char *p, size_t n, char *out);
/* The end: at most SMTPF_UU_ROOM(0). */
size_t smtpf_uu_finish(smtpf_uu *d, char *out);

/* ---- hexadecimal digits, for what is escaped with `=` or `%` ---- */

/* Its value in either case, or -1. */
int smtpf_hex_value(char c);

#endif
