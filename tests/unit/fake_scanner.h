/* SPDX-License-Identifier: MIT
 *
 * A scanner that does as it is told, and keeps what it was asked for.
 */
#ifndef FAKE_SCANNER_H
#define FAKE_SCANNER_H

#include <smtpfilter/ext/scan.h>

enum { AT_FINISH, NEVER, AT_OPEN, LATER, TWICE, CANNOT_OPEN, CANNOT_FINISH };

typedef struct told {
  const char *scanner, *user; /* user: NULL for any */
  int when, status, scored;
  int32_t score;
  const char *name, *cause;
  int64_t seen; /* -1: all it was fed */
  size_t gulp;  /* bytes at a time; 0 for all */
  int again;    /* from byte 0, so many times */
} told;

extern struct fake {
  const told *told;
  size_t n;
  int opened, finished, closed, answered, instances;
  uint64_t fed;
  char log[1024]; /* what was opened: `scanner(user)=recipients ` */
} F;

extern const smtpf_scanner fake_scanner;

#endif
