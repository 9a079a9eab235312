/* SPDX-License-Identifier: MIT
 *
 * stage: what `walk` plays on: the real session, with a clock, a store and two checks that a test sets. All that
 * outlives a connection is in one flat structure, so that a test can go back to where it was.
 */
#ifndef SMTPF_TESTS_STAGE_H
#define SMTPF_TESTS_STAGE_H

#include <smtpfilter/ext/check.h>
#include <smtpfilter/smtpfilter.h>

enum { STAGE_RECORDS = 12, STAGE_KEY = 64, STAGE_VALUE = 64 };

enum scanner { SCANNER_CLEAN, SCANNER_DOWN, SCANNER_SPAM, SCANNER_STATES };

typedef struct stage_record {
  char key[STAGE_KEY], value[STAGE_VALUE];
  uint32_t n_key, n_value; /* n_key 0: free */
  int64_t expires;
} stage_record;

/* The world between two connections. */
typedef struct stage_world {
  stage_record records[STAGE_RECORDS];
  int64_t wall_s;
  int32_t store_down, scanner;
} stage_world;

typedef struct stage_setting {
  const char *name;
  unsigned capabilities;
  int protocol, lost_ack, greylist;
} stage_setting;

/* The engine and driver for a setting. What is set in `world` holds at once. */
void stage_open(const stage_setting *setting, stage_world *world);
void stage_close(void);
smtpf_session *stage_session(const stage_setting *setting);

/* Ends the event `r` of a session: its reply code. */
int stage_code(smtpf_session *s, int r);

#endif
