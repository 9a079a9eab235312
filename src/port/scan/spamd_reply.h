/* SPDX-License-Identifier: MIT
 *
 * scan_spamd_reply: what spamd answers to SYMBOLS (SPAMC protocol 1.5). Pure, bounded; it may come byte by byte. One
 * that is cut short is never DONE.
 *
 *   SPAMD/1.1 0 EX_OK            SPAMD/1.0 76 Bad header line: ...
 *   Content-length: 10
 *   Spam: True ; 6.0 / 5.0
 *
 *   GTUBE,WORD
 */
#ifndef SMTPF_PORT_SCAN_SPAMD_REPLY_H
#define SMTPF_PORT_SCAN_SPAMD_REPLY_H

#include <smtpfilter/types.h>

enum {
  SMTPF_SPAMD_LINE = 512,     /* bytes of a line, with its CRLF; a longer one is garbage */
  SMTPF_SPAMD_FIELDS = 64,    /* more are garbage */
  SMTPF_SPAMD_BODY = 1 << 20, /* bytes behind the head; more are garbage */
  SMTPF_SPAMD_SYMBOLS = 1000, /* bytes that are kept of them */
};

enum smtpf_spamd_progress {
  SMTPF_SPAMD_GARBAGE = -1, /* it is no answer of spamd's */
  SMTPF_SPAMD_MORE = 0,     /* so far so good */
  SMTPF_SPAMD_DONE = 1,     /* it is whole */
};

typedef struct smtpf_spamd_reply {
  int code;                 /* 0, or one of sysexits.h; -1: not yet */
  int spam;                 /* 1: above spamd's threshold, 0: not */
  int32_t score, threshold; /* thousandths */
  smtpf_str text;           /* code other than 0: its words. Cut, printable; in `room` */
  smtpf_str symbols;        /* the same; at the end of a symbol, when they are cut */
  char room[SMTPF_SPAMD_SYMBOLS + 4];
  /* the parser's */
  int state, has_spam, has_length, cut;
  unsigned fields;
  uint64_t length, body;
  size_t n;
  char line[SMTPF_SPAMD_LINE];
} smtpf_spamd_reply;

void smtpf_spamd_reply_init(smtpf_spamd_reply *r);

/* Takes bytes; *used says how many belong to the answer. smtpf_spamd_progress. */
int smtpf_spamd_reply_feed(smtpf_spamd_reply *r, const char *bytes, size_t n, size_t *used);

#endif
