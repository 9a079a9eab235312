/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int json_lines;

void log_form(int json)
{
  json_lines = json;
}

int log_is_json(void)
{
  return json_lines;
}

/* The time as text; made once a second. */
static smtpf_str stamp(int64_t wall_s)
{
  static _Thread_local int64_t of = -1;
  static _Thread_local char room[32];
  static _Thread_local size_t n;
  if (of != wall_s) {
    text t = {0};
    text_time(&t, wall_s);
    n = t.n < sizeof room ? t.n : 0;
    if (n)
      memcpy(room, t.p, n);
    of = wall_s;
    text_free(&t);
  }
  return (smtpf_str){room, n};
}

void log_begin(text *t, int64_t wall_s, const char *level)
{
  text_cstr(t, json_lines ? "{\"time\":\"" : "");
  text_add(t, stamp(wall_s));
  text_cstr(t, json_lines ? "\",\"level\":\"" : " ");
  text_cstr(t, level);
  if (json_lines)
    text_char(t, '"');
}

void log_member(text *t, const char *name, smtpf_str value)
{
  text_cstr(t, json_lines ? ",\"" : " ");
  text_cstr(t, name);
  text_cstr(t, json_lines ? "\":" : "=");
  if (json_lines)
    text_json(t, value);
  else
    text_quoted(t, value);
}

void log_end(text *t)
{
  text_cstr(t, json_lines ? "}\n" : "\n");
}

void log_flush(text *t)
{
  for (size_t at = 0; at < t->n;) {
    ssize_t w = write(STDERR_FILENO, t->p + at, t->n - at);
    if (w < 0 && errno == EINTR)
      continue;
    if (w <= 0)
      break;
    at += (size_t)w;
  }
  text_clear(t);
}

void log_line(const char *level, const char *event, const log_field *fields)
{
  text t = {0};
  log_begin(&t, (int64_t)time(NULL), level);
  log_member(&t, "event", (smtpf_str){event, strlen(event)});
  for (; fields && fields->name; fields++)
    log_member(&t, fields->name, fields->value);
  log_end(&t);
  log_flush(&t);
  text_free(&t);
}

void log_text(const char *level, const char *event, const char *name, const char *value)
{
  log_line(level, event, (log_field[]){{name, {value, strlen(value)}}, {NULL, {NULL, 0}}});
}

void log_library(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  (void)user;
  text t = {0};
  log_begin(&t, (int64_t)time(NULL),
            level == SMTPF_LOG_ERROR     ? "error"
            : level == SMTPF_LOG_WARNING ? "warning"
                                         : "notice");
  log_member(&t, "event", (smtpf_str){event, strlen(event)});
  for (size_t i = 0; i < n; i++)
    log_member(&t, fields[i].name, fields[i].value);
  log_end(&t);
  log_flush(&t);
  text_free(&t);
}
