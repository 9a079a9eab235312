/* SPDX-License-Identifier: MIT
 *
 * log: lines on standard error, text or JSON. A thread gathers its lines in a text of its own and writes them at
 * the end of a turn; other threads write each line at once.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <smtpfilter/smtpfilter.h>

#include "text.h"

typedef struct log_field {
  const char *name;
  smtpf_str value;
} log_field;

/* The form of all lines: set once, before threads are started. */
void log_form(int json);
int log_is_json(void);

/* One line, written at once. `fields` end with a NULL name. */
void log_line(const char *level, const char *event, const log_field *fields);
/* A line whose one field is text. */
void log_text(const char *level, const char *event, const char *name, const char *value);
/* The library's own lines: smtpf_log_fn. */
void log_library(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n);

/* The head of a line, in `t`: time, level, and what follows is the caller's; then the end of it. */
void log_begin(text *t, int64_t wall_s, const char *level);
void log_member(text *t, const char *name, smtpf_str value);
void log_end(text *t);
/* Writes what was gathered to standard error and empties it. */
void log_flush(text *t);

#endif
