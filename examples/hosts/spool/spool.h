/* SPDX-License-Identifier: MIT
 *
 * spool: what a host that spools does with its disk. Everything lies below one folder:
 *
 *     incoming/             files that are being written; of no account after a crash
 *     spool/ID              messages, from before the commit until their last copy is delivered
 *     mail/RECIPIENT/ID     delivered copies
 *     quarantine/RECIPIENT/ID
 *     journal               who was promised what, unless `journal.path` says where else
 *     memory                which copies were taken (memory.h)
 *
 * The journal alone says what is owed. A message without a promise in it was never answered for: its client still has
 * it. A copy is delivered by a rename, under the message's id: done twice it is done once.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include <smtpfilter/ext/journal.h>

#include "memory.h"

typedef struct spool {
  int incoming, messages, mail, quarantine; /* folders */
  smtpf_journal_log *journal;
  memory *memory;
  int64_t remember_s; /* how long, in seconds */
} spool;

/* Opens the folder, making what is missing, and what the policy says of it. 1 when done; else it has said why on
 * standard error. */
int spool_open(spool *s, const char *folder, const smtpf_engine *policy);
void spool_close(spool *s);

/* Writes a message. 1 when it is durable. */
int spool_keep(spool *s, const char *id, const char *bytes, size_t n);

/* Delivers what the journal says was promised of message `id`, or of every message when it is NULL, and then forgets
 * the messages of which nothing is owed any more. Of each copy it is remembered that it was taken: who died between the
 * promise and the library's own record of it did not tell the client, which sends it again. */
void spool_finish(spool *s, const char *id);

#endif
