/* SPDX-License-Identifier: MIT
 *
 * core_scanning: a scanner, spool files and a check that has messages scanned, all scripted by a test.
 */
#ifndef SMTPF_TESTS_CORE_SCANNING_H
#define SMTPF_TESTS_CORE_SCANNING_H

#include <smtpfilter/ext/scan.h>

#include "core_world.h"

enum {
  CAN = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_REPORT_COMMIT,
  EACH = SMTPF_CAN_EDIT_PER_RCPT | SMTPF_CAN_REPLY_PER_RCPT | SMTPF_CAN_QUARANTINE_PER_RCPT,
  MOST = 200000
};

extern world scanning_world;
extern const smtpf_scanner scanning_fake;

struct fake {
  int starts, stops, opens, closes, finishes;
  int start_error, open_error;
  size_t gulp;         /* most bytes at once; 0: all */
  uint64_t rewind_at;  /* begins again once, when so much was read; 0: never */
  uint64_t answers_at; /* answers when so much was read; 0: at the end */
  int room_inside;     /* says from within feed that it can take more, so many times */
  int silent;
  smtpf_scan_result result;
  smtpf_driver *driver;
  smtpf_op op, timer;
  char text[MOST];
  size_t n, since;
  char user[32];
};
extern struct fake F;

struct files {
  char bytes[MOST];
  int opens, closes, full;
};
extern struct files D;

struct asker {
  smtpf_finding finding; /* for a hit */
  unsigned unknown;      /* flags of not knowing */
  size_t recipient;
  int result; /* of smtpf_task_scan() */
  int cancels, skips;
  char last[64];
  const char *edits;
};
extern struct asker A;

/* A world with the fake scanner `s` and a check that asks it. */
void scanning_begin(void);
/* Started, and a message to so many recipients has begun. */
smtpf_session *scanning_data(unsigned capabilities, int recipients);
/* Tells the message in pieces, and lets time pass. */
void scanning_tell(smtpf_session *s, const char *text, size_t n, size_t piece);
/* End of message; the reply code. */
int scanning_end(smtpf_session *s);
/* Everything that was opened is closed, once. */
void scanning_close(smtpf_session *s);
/* A message of n bytes, to be freed. */
char *scanning_message(size_t n);

#endif
