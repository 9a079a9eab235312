/* SPDX-License-Identifier: MIT
 *
 * journal_record: the bytes of a journal file. Pure: reads and writes memory, knows no file.
 *
 *   file     header, records
 *   header   `smtpfjnl`, version (4), CRC-32C of these (4)
 *   record   FF 4A 52 00, length of the payload (2), type (1), flags (1), CRC-32C of the payload (4), CRC-32C of the
 *            twelve bytes before (4), payload
 *   payload  wall seconds (8), disposition (1), length of memory (1), lengths of message, sender, recipient (2 each),
 *            message, sender, recipient, memory
 *
 * All numbers are little-endian. Message, sender and recipient hold no control character and no FF, so that no part of
 * them can be taken for the beginning of a record; memory holds any bytes, fewer than a record has. The head has a
 * checksum of its own: a record that was cut short (its head is right, or what there is of it) is told from one that
 * was damaged.
 */
#ifndef SMTPF_PORT_JOURNAL_RECORD_H
#define SMTPF_PORT_JOURNAL_RECORD_H

#include <smtpfilter/ext/journal.h>

enum {
  SMTPF_RECORD_VERSION = 1,
  SMTPF_RECORD_START = 16, /* bytes of the file's header */
  SMTPF_RECORD_HEAD = 16,
  SMTPF_RECORD_FIXED = 16, /* of the payload, before the strings */
  SMTPF_RECORD_MAX = SMTPF_RECORD_HEAD + SMTPF_RECORD_FIXED + SMTPF_JOURNAL_MESSAGE_MAX +
                     2 * SMTPF_JOURNAL_ADDRESS_MAX + SMTPF_JOURNAL_MEMORY_MAX,
};

enum smtpf_record_type { SMTPF_RECORD_PROMISE = 1, SMTPF_RECORD_SETTLE = 2 };

typedef struct smtpf_record {
  int type;
  int more; /* PROMISE: the next record belongs to the same group; all or none of it counts */
  int disposition;
  int64_t wall_s;
  smtpf_str message, sender, recipient, memory; /* SETTLE: no sender, no memory */
} smtpf_record;

/* What stands at a place of a file. */
enum smtpf_record_state {
  SMTPF_RECORD_WHOLE = 1,
  SMTPF_RECORD_CUT,   /* the beginning of one: the bytes end before it does */
  SMTPF_RECORD_SHORT, /* the same, but too few bytes to be sure */
  SMTPF_RECORD_BAD,
};

uint32_t smtpf_crc32c(const void *p, size_t n);

/* Whether it can be written: strings in bounds and clean, a message, a recipient, a disposition. */
int smtpf_record_legal(const smtpf_record *r);
size_t smtpf_record_size(const smtpf_record *r);
/* Writes a legal record; returns smtpf_record_size(). */
size_t smtpf_record_write(const smtpf_record *r, char *out);
/* Looks at `n` bytes, which are all that is left or at least SMTPF_RECORD_MAX. *out and *used only when WHOLE. */
int smtpf_journal_record_read(const char *p, size_t n, smtpf_record *out, size_t *used);

void smtpf_record_start(char out[SMTPF_RECORD_START]);
/* A file's header: WHOLE, SHORT (fewer bytes, right so far) or BAD; *version only when WHOLE. */
int smtpf_record_started(const char *p, size_t n, unsigned *version);

#endif
