/* SPDX-License-Identifier: MIT
 *
 * glue: what Python would do too slowly member by member: a verdict, or what a check is told, as one piece of bytes.
 * A row is numbers (int64_t in the machine's order), where its texts begin and end, and those. Each function returns
 * how many bytes that takes; at most `cap` are written. On the thread that may read it.
 */
#ifndef SMTPFPY_GLUE_H
#define SMTPFPY_GLUE_H

#include <smtpfilter/smtpfilter.h>

#include <smtpfilter/ext/check.h>

/* Numbers at the front of a packed verdict; its three texts follow. */
enum smtpfpy_head {
  SMTPFPY_ACTION,
  SMTPFPY_CODE,
  SMTPFPY_DELAY,
  SMTPFPY_CLOSES,
  SMTPFPY_STAGE,
  SMTPFPY_RECIPIENTS,
  SMTPFPY_EDITS,
  SMTPFPY_EVIDENCE,
  SMTPFPY_HEAD,
};

/* The verdict of a session: the head, then recipients, edits and findings, a row each. 0: there is none. */
size_t smtpfpy_session_verdict(const smtpf_session *s, char *out, size_t cap);

/* What a check is told, as one row: `event.py` has the order. */
size_t smtpfpy_event(const smtpf_event *ev, char *out, size_t cap);

#endif
