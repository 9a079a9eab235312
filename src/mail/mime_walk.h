/* SPDX-License-Identifier: MIT
 *
 * mime_walk: what the files of the walker share.
 *
 *     mime.c         lines: which are delimiters; what goes where
 *     mime_part.c    a part's header section: what it is
 *     mime_data.c    a part's body: decoded, gathered, handed over
 */
#ifndef SMTPF_MAIL_MIME_WALK_H
#define SMTPF_MAIL_MIME_WALK_H

#include "mail/mime.h"

enum smtpf_mime_mode { SMTPF_MIME_IN_HEADER = 0, SMTPF_MIME_IN_LEAF, SMTPF_MIME_OUTSIDE, SMTPF_MIME_LOST };

/* Names a defect of the part being read, once. */
void smtpf_mime_note(smtpf_mime *m, uint32_t defect);

/* There may be no more parts: the rest is outside. */
void smtpf_mime_lose(smtpf_mime *m);

/* What `reach` says, anew. */
void smtpf_mime_reach(smtpf_mime *m);

/* Where in the room for boundaries the next one goes. */
static inline uint32_t smtpf_mime_boundary_end(const smtpf_mime *m)
{
  return m->depth ? m->levels[m->depth - 1].at + m->levels[m->depth - 1].n : 0;
}

/* ---- mime_part.c ---- */

/* A part begins at `offset`, within the innermost level. SMTPF_OK, or SMTPF_ELIMIT when there may be no more. */
int smtpf_mime_part_open(smtpf_mime *m, uint64_t offset);
/* Its header section is complete: `body` follows. Reports it. */
void smtpf_mime_part_known(smtpf_mime *m, uint64_t body);

/* ---- mime_data.c ---- */

void smtpf_mime_data_begin(smtpf_mime *m);
void smtpf_mime_data(smtpf_mime *m, const char *p, size_t n);
/* The body is complete. */
void smtpf_mime_data_end(smtpf_mime *m);
/* Hands over what was gathered. */
void smtpf_mime_data_flush(smtpf_mime *m);

#endif
