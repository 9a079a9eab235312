/* SPDX-License-Identifier: MIT
 *
 * report: the line that a host logs about a verdict; the same words in the same order in every host. Between its two
 * halves a host puts what is its own.
 */
#ifndef COMMON_REPORT_H
#define COMMON_REPORT_H

#include <smtpfilter/smtpfilter.h>

#include "print.h"
#include "text.h"

/* `log_verdicts`: which verdicts get one. */
enum report_which { REPORT_ALL, REPORT_REFUSED, REPORT_NONE };

/* What `SECTION.log_verdicts` says. */
enum report_which report_which(const smtpf_engine *e, const char *section);

enum { REPORT_UNDATED = -1 }; /* for a log that has the time of its own: the line begins with a space */

typedef struct report {
  enum report_which which;
  int64_t wall_s; /* or REPORT_UNDATED */
  int refused;    /* by the verdict, or by somebody behind us */
  const smtpf_session *session;
  smtpf_str client; /* its address */
  smtpf_str tls;    /* the protocol; empty without TLS */
} report;

/* Begins a line: time and level, then what all lines have. 1, or 0 when there is to be none. */
int report_begin(text *t, const report *r);
/* Whether a verdict is none that accepts. */
int report_is_refused(const smtpf_verdict *v);
/* The verdict, and the end of the line. `flags`: print_flag. */
void report_end(text *t, print_event e, const smtpf_verdict *v, unsigned flags);
/* For who cannot take a longer one: a line of text that was cut ends with "...". */
void report_cut(text *t, size_t longest);

#endif
