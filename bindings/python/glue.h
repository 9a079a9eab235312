/* SPDX-License-Identifier: MIT
 *
 * glue: what Python would do too slowly call by call: a verdict as one piece of bytes. Any thread that may read it.
 */
#ifndef SMTPFPY_GLUE_H
#define SMTPFPY_GLUE_H

#include <smtpfilter/smtpfilter.h>

/* Numbers at the front of a packed verdict; then the lengths of its three texts, then those. */
enum smtpfpy_head {
  SMTPFPY_ACTION,
  SMTPFPY_CODE,
  SMTPFPY_DELAY,
  SMTPFPY_CLOSES,
  SMTPFPY_STAGE,
  SMTPFPY_EVIDENCE,
  SMTPFPY_RECIPIENTS,
  SMTPFPY_EDITS,
  SMTPFPY_HEAD,
};

/* Writes a verdict as int64_t in the machine's order and texts: the head, then findings, recipients and edits, each its
 * numbers, the lengths of its texts, and those. Returns how many bytes it takes; at most `cap` are written. */
size_t smtpfpy_verdict_pack(const smtpf_verdict *v, char *out, size_t cap);

#endif
