/* SPDX-License-Identifier: MIT
 *
 * wire_feed: a server codec with a host that answers by heart, fed in pieces, and a log of what happened.
 *
 *     COMMAND verb [arg] {params}      BDAT adds its size
 *     BODY "text"                      all pieces up to the next event joined; escaped, long ones by length and hash
 *     END last | END chunk
 *     VIOLATION code enhanced fatal
 *     LINE "text"
 *     < reply, as it was written, escaped
 */
#ifndef SMTPF_TESTS_WIRE_FEED_H
#define SMTPF_TESTS_WIRE_FEED_H

#include <smtpfilter/wire.h>
#include <stdint.h>

enum { FEED_WHOLE = 0, FEED_RANDOM = -1 };

struct feed {
  smtpf_smtpd *codec;
  int refuse[SMTPF_VERB_UNKNOWN + 1]; /* by verb: the code it is answered with, 0 for the usual one */
  int flags;                          /* 1: log `pipelined`, which depends on how the input is cut */
  int keep_body;                      /* 1: `body` keeps all pieces, and the log has none */
  int bad_body;                       /* 1 when a BODY event held what it may not */
  size_t held_max;                    /* most memory the codec held while it waited for input */
  uint64_t seed;
  int before; /* last byte of the body, -1 at its start */
  char *body;
  size_t body_n, body_cap;
  char *log;
  size_t log_n, log_cap;
};

/* All extensions except those that depend on how the input is cut. */
smtpf_smtpd_options feed_options(void);

void feed_open(struct feed *f, const smtpf_smtpd_options *options);
void feed_close(struct feed *f);

/* Feeds in pieces of `size` bytes, each in memory of its exact size, or FEED_WHOLE or FEED_RANDOM. */
void feed_give(struct feed *f, const void *in, size_t n, int size);

/* Opens, gives the banner's answer, feeds, and returns the log; the caller frees it. */
char *feed_log(const smtpf_smtpd_options *options, const void *in, size_t n, int size, int *bad_body);

#endif
