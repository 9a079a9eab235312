/* SPDX-License-Identifier: MIT
 *
 * line: lines out of a stream. A line that came in one read is given where it lies; only one that was split across
 * reads is put together, in memory that is taken for it and given back.
 */
#ifndef SMTPF_WIRE_LINE_H
#define SMTPF_WIRE_LINE_H

#include <smtpfilter/types.h>

typedef struct smtpf_line {
  char *p;
  uint32_t n;   /* bytes held */
  uint32_t cap; /* bytes of memory */
} smtpf_line;

/* Takes the next line, with its LF.
 * SMTPF_OK: *out, valid until smtpf_line_drop() or until the input goes away. SMTPF_PENDING: more input needed; what
 * there was is held. SMTPF_ELIMIT: `max` bytes and no LF among them; these are used up, nothing is held. SMTPF_ENOMEM:
 * nothing changed. */
int smtpf_line_take(smtpf_line *l, const smtpf_mem *mem, const char **in, size_t *n, size_t max, smtpf_str *out);

/* Makes room for `cap` bytes. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_line_room(smtpf_line *l, const smtpf_mem *mem, size_t cap);

/* Gives the memory back, overwritten: it may have held a password. */
void smtpf_line_drop(smtpf_line *l, const smtpf_mem *mem);

#endif
