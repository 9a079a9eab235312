/* SPDX-License-Identifier: MIT
 *
 * print: a verdict as JSON members or as a line of text; the same words in every program.
 */
#ifndef COMMON_PRINT_H
#define COMMON_PRINT_H

#include <smtpfilter/smtpfilter.h>

#include "text.h"

enum print_flag {
  PRINT_EVIDENCE = 1 << 0,   /* what each check found */
  PRINT_RECIPIENTS = 1 << 1, /* a disposition for each recipient; for end of message */
};

/* What happened: the stage's word, or the host's (`rset`, `quit`), with the client's argument. */
typedef struct print_event {
  const char *name;
  smtpf_str arg;
} print_event;

/* `"event":...,"arg":...,"reply":{...},"delay_ms":...[,"evidence":[...]][,"recipients":[...]]` without braces, so that
 * a program can put members of its own beside them. */
void print_verdict_json(text *t, print_event e, const smtpf_verdict *v, unsigned flags);

/* `event=... arg=... reply=... rule=...`, then a ` key=value` for each that `flags` ask for; one line, no LF. */
void print_verdict_text(text *t, print_event e, const smtpf_verdict *v, unsigned flags);

/* The word of an smtpf_evidence_kind. */
const char *print_kind(int kind);

#endif
