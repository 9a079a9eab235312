/* SPDX-License-Identifier: MIT
 *
 * scanning: scans of the message that is coming, as tasks ask for them (ext/scan.h). Each is an operation of its task,
 * fed from the session's spool, at a place of its own:
 *
 *     open --> FEEDING --feed takes less--> FULL --smtpf_op_scan_room--> FEEDING
 *              FEEDING --the task says so, the message is complete, all of it was fed--> finish --> FINISHED
 *              any     --smtpf_op_scan_again--> FEEDING, from byte 0
 *              any     --smtpf_op_scanned, or the spool fails--> answered; close when the task has looked
 */
#ifndef SMTPF_CORE_SCANNING_H
#define SMTPF_CORE_SCANNING_H

#include <smtpfilter/ext/scan.h>

#include "base/arena.h"
#include "run.h"
#include "spool.h"

struct smtpf_message_spool {
  smtpf_spooled bytes;
  smtpf_link scans;
  uint8_t complete; /* the message is */
  uint8_t lapsed;   /* nobody read it for a while: bytes are missing */
};

typedef struct smtpf_scanning {
  smtpf_link in_spool;
  smtpf_op_slot *slot;
  const smtpf_scanner *type;
  void *scan; /* the scanner's own; NULL until it was opened */
  uint64_t at;
  uint8_t full;      /* it takes no more for now */
  uint8_t room;      /* said so since it was fed last */
  uint8_t wanted;    /* the task wants its answer: finish */
  uint8_t finished;  /* told */
  uint8_t again;     /* from byte 0, as soon as its function returns */
  uint8_t inside;    /* one of its functions runs */
  smtpf_arena arena; /* of the result */
  smtpf_scan_result result;
} smtpf_scanning;

/* The message begins, or was given up. */
void smtpf_scanning_reset(smtpf_session *s);

/* The next bytes of the message; its end. */
void smtpf_scanning_feed(smtpf_session *s, const char *bytes, size_t n);
void smtpf_scanning_complete(smtpf_session *s);

/* The operation is over. */
void smtpf_scanning_close(smtpf_driver *d, smtpf_scanning *scanning);

#endif
