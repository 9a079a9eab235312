/* SPDX-License-Identifier: MIT
 *
 * policy_source: the text of a policy file with its includes in place, and where each line of it comes from.
 *
 * libconfig gets text and never a file: its scanner ends the process when it is made to read a folder, looks for
 * includes in one folder only, and takes integers beyond 32 bits modulo 2^32 (docs/decisions/0005-libconfig.md). What
 * it would misread is found here and refused with its place.
 */
#ifndef SMTPF_PORT_POLICY_SOURCE_H
#define SMTPF_PORT_POLICY_SOURCE_H

#include <smtpfilter/error.h>

#include "base/arena.h"

enum {
  SMTPF_SOURCE_DEPTH = 10,              /* includes within includes */
  SMTPF_SOURCE_MAX = 128 * 1024 * 1024, /* bytes of the whole text */
};

/* From this line of the text on, lines are those of `file` from `line` on. */
typedef struct smtpf_policy_source_piece {
  int at;
  int line;
  const char *file;
} smtpf_policy_source_piece;

typedef struct smtpf_policy_source {
  const smtpf_mem *mem;
  smtpf_arena names; /* of files */
  char *text;        /* NUL-terminated */
  size_t n, cap;
  int lines; /* the last line of the text, from 1 */
  smtpf_policy_source_piece *pieces;
  size_t n_pieces, cap_pieces;
} smtpf_policy_source;

/* Reads a file: `@include "name"` at the beginning of a line is replaced by that file, taken relative to the one that
 * includes it. SMTPF_OK, SMTPF_EIO, SMTPF_EPARSE, SMTPF_ELIMIT or SMTPF_ENOMEM, with *err. Free it in any case. */
int smtpf_policy_source_read(smtpf_policy_source *s, const smtpf_mem *mem, const char *path, smtpf_error *err);
void smtpf_policy_source_free(smtpf_policy_source *s);

/* Where a line of the text comes from. */
smtpf_policy_source_piece smtpf_policy_source_place(const smtpf_policy_source *s, int line);

#endif
