/* SPDX-License-Identifier: MIT
 *
 * journal_walk: walks the records of a journal file, hostile or not, in memory of one window.
 */
#ifndef SMTPF_PORT_JOURNAL_WALK_H
#define SMTPF_PORT_JOURNAL_WALK_H

#include "record.h"

typedef struct smtpf_walk {
  const smtpf_mem *mem;
  int fd;
  uint64_t at;    /* next record */
  uint64_t size;  /* the file ends here, for us */
  uint64_t group; /* where the group that is open began */
  int in_group;
  char *room; /* the window */
  uint64_t room_at;
  size_t room_n;
} smtpf_walk;

enum smtpf_walk_step {
  SMTPF_WALK_END = 0,
  SMTPF_WALK_RECORD,
  SMTPF_WALK_DAMAGE, /* bytes that are no record; a group that was open is to be counted, its end is lost */
  SMTPF_WALK_TORN,   /* bytes up to the end that were never a whole group; what was told of it does not count */
};

typedef struct smtpf_found {
  smtpf_record record; /* RECORD; strings valid until the next step */
  uint64_t offset, length;
} smtpf_found;

/* From `at`, 0 or a boundary, to `size`. SMTPF_OK or SMTPF_ENOMEM. */
int smtpf_walk_init(smtpf_walk *s, const smtpf_mem *mem, int fd, uint64_t at, uint64_t size);
void smtpf_walk_free(smtpf_walk *s);
/* smtpf_walk_step, or SMTPF_EIO, SMTPF_EPARSE (no header and not one record), SMTPF_EUNSUPPORTED (version). */
int smtpf_walk_next(smtpf_walk *s, smtpf_found *out);

#endif
