/* SPDX-License-Identifier: MIT
 *
 * scan_clamd: what clamd(8) answers. Pure, bounded, fuzzed.
 */
#ifndef SMTPF_PORT_SCAN_CLAMD_H
#define SMTPF_PORT_SCAN_CLAMD_H

#include <smtpfilter/types.h>

enum smtpf_clamd_kind {
  SMTPF_CLAMD_CLEAN = 1, /* `stream: OK` */
  SMTPF_CLAMD_HIT,       /* `stream: NAME FOUND` */
  SMTPF_CLAMD_TOO_LARGE, /* its limit of sizes, of a stream or within a scan: not looked at, or not at all of it */
  SMTPF_CLAMD_ERROR,     /* `... ERROR`: it could not */
  SMTPF_CLAMD_GARBAGE,
};

typedef struct smtpf_clamd_reply {
  int kind;       /* smtpf_clamd_kind */
  uint32_t id;    /* of the request within its session; 0 when there is none */
  smtpf_str text; /* HIT: the name; ERROR, GARBAGE: what was said */
} smtpf_clamd_reply;

/* Reads one answer that ends with NUL. Returns its length with the NUL, 0 when there is no NUL yet. */
size_t smtpf_clamd_reply_read(smtpf_str bytes, smtpf_clamd_reply *out);

#endif
