/* SPDX-License-Identifier: MIT
 *
 * port_fake: a driver small enough to see through, for tests of one port at a time. It keeps what ports complete,
 * polls their descriptors with poll(2), counts memory and can make any allocation fail.
 */
#ifndef SMTPF_TESTS_PORT_FAKE_H
#define SMTPF_TESTS_PORT_FAKE_H

#include <smtpfilter/ext/port.h>

enum { FAKE_OPS = 4096, FAKE_RECORDS = 32, FAKE_TEXT = 600, FAKE_WATCHES = 64, FAKE_TIMERS = 128, FAKE_STORED = 32 };

/* What became of one operation; its token is its index + 1. */
typedef struct fake_result {
  int completions;
  int status;
  uint32_t ttl;
  size_t count; /* records of the answer */
  struct {
    smtpf_dns_record r;
    char text[FAKE_TEXT]; /* NUL added */
  } * records;
  smtpf_str value; /* of a store */
  char bytes[4096];
  smtpf_stored stored[FAKE_STORED]; /* of a scan */
  size_t n_stored, n_cursor;
  char cursor[64], page[8192];
} fake_result;

typedef struct fake_option {
  const char *path;
  const char *value; /* text; numbers are read from it */
} fake_option;

struct smtpf_driver {
  smtpf_mem mem;
  long allocations, frees;
  long fail_at; /* the allocation, from 1, that fails; 0 for none */
  int64_t wall;
  const fake_option *options;
  size_t n_options;
  struct {
    int fd;
    unsigned events;
    smtpf_watch_fn fn;
    void *user;
  } watches[FAKE_WATCHES];
  struct {
    smtpf_op token;
    uint64_t at;
    smtpf_timer_fn fn;
    void *user;
  } timers[FAKE_TIMERS];
  smtpf_op last_timer;
  fake_result results[FAKE_OPS];
  size_t completed;
  char log[1024];  /* events, each followed by a space; NUL-terminated */
  char cause[256]; /* the last one's `cause` */
};

smtpf_driver *fake_new(const fake_option *options, size_t n);
void fake_free(smtpf_driver *d);                                /* fails the test when something is still held */
const fake_result *fake_op(const smtpf_driver *d, smtpf_op op); /* what became of it */
void fake_forget(smtpf_driver *d);                              /* all tokens are fresh again */
size_t fake_watched(const smtpf_driver *d);                     /* how many descriptors */
/* Polls and fires timers until `completed` operations are complete; 0 when that took longer than `ms`. */
int fake_run(smtpf_driver *d, size_t completed, int64_t ms);

#endif
