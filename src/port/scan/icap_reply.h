/* SPDX-License-Identifier: MIT
 *
 * scan_icap_reply: what an ICAP server answers (RFC 3507 4.3-4.5, 4.10). Pure, bounded; it may come byte by byte. One
 * that is cut short is never DONE.
 *
 *   ICAP/1.0 200 OK                                         status line
 *   X-Infection-Found: Type=0; Resolution=2; Threat=Name;   fields
 *   Encapsulated: res-hdr=0, res-body=19
 *
 *   HTTP/1.1 403 Forbidden                                  head of the response within, `res-body` bytes long
 *
 *   1a                                                      chunks of its body
 *   ...
 */
#ifndef SMTPF_PORT_SCAN_ICAP_REPLY_H
#define SMTPF_PORT_SCAN_ICAP_REPLY_H

#include <smtpfilter/types.h>

enum {
  SMTPF_ICAP_LINE = 2048,  /* bytes of a line, with its CRLF; a longer one is garbage */
  SMTPF_ICAP_LINES = 128,  /* of the fields, and of the trailer; more are garbage */
  SMTPF_ICAP_HEAD = 65536, /* bytes of the head within; more are garbage */
  SMTPF_ICAP_NAME = 128,   /* bytes that are kept of what was found */
  SMTPF_ICAP_ISTAG = 40,   /* RFC 3507 4.7: 32 and its quotes */
  SMTPF_ICAP_REASON = 64,  /* bytes that are kept of the status line's words */
};

enum smtpf_icap_progress {
  SMTPF_ICAP_GARBAGE = -1, /* it is no ICAP */
  SMTPF_ICAP_MORE = 0,     /* so far so good */
  SMTPF_ICAP_DONE = 1,     /* it is whole */
};

/* What a server says it has found. */
enum smtpf_icap_found {
  SMTPF_ICAP_NOTHING = 0,
  SMTPF_ICAP_INFECTION, /* X-Infection-Found of type 0, X-Virus-ID */
  SMTPF_ICAP_VIOLATION, /* X-Infection-Found of type 1, X-Violations-Found */
  SMTPF_ICAP_CONTAINER, /* X-Infection-Found of type 2: something it could not open */
};

typedef struct smtpf_icap_reply {
  int code;                     /* 100-599; 0: not yet */
  smtpf_str reason;             /* its words, printable */
  int http;                     /* status of the response within; 0: none */
  int found;                    /* smtpf_icap_found */
  smtpf_str name;               /* what: printable; empty when it was not said */
  int close;                    /* the connection ends with this answer */
  int allow_204;                /* OPTIONS: it may say 204 without a preview too */
  int respmod;                  /* OPTIONS: RESPMOD is among its methods */
  int64_t preview;              /* OPTIONS: bytes it wants to see first; -1: none */
  int64_t ttl;                  /* OPTIONS: seconds; -1: not said */
  char istag[SMTPF_ICAP_ISTAG]; /* NUL-terminated; empty: none */
  /* the parser's */
  int state, has_encapsulated, has_body, has_response, rank, violations;
  unsigned lines, folded;
  uint64_t head, response, at, chunk; /* the response's head begins at `response` of the `head` bytes within */
  char reason_room[SMTPF_ICAP_REASON], name_room[SMTPF_ICAP_NAME];
  size_t n;
  char line[SMTPF_ICAP_LINE];
} smtpf_icap_reply;

void smtpf_icap_reply_init(smtpf_icap_reply *r);

/* Takes bytes, at most up to the end of a piece of the body within, which is then in *piece (else empty), inside
 * `bytes`. *used says how many were taken. Call it again while it says MORE and bytes are left. */
int smtpf_icap_reply_feed(smtpf_icap_reply *r, const char *bytes, size_t n, size_t *used, smtpf_str *piece);

#endif
