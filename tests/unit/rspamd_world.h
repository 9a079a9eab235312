/* SPDX-License-Identifier: MIT
 *
 * rspamd_world: the scanner `rspamd` on the small driver of port_fake, before servers of http_server. What the core
 * does for a scan (spool, feed again, one answer) is done here in a few lines.
 */
#ifndef SMTPF_TESTS_RSPAMD_WORLD_H
#define SMTPF_TESTS_RSPAMD_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "http_server.h"
#include "port/port.h"
#include "port_fake.h"
#include "port_run.h"

enum { SCANS = 64, SERVERS = 4 };

struct smtpf_section {
  const char *servers[SERVERS];
  size_t n_servers;
  int64_t timeout, connect_timeout, connections, answer_limit;
  const char *settings_id;
};

typedef struct scan_run {
  void *scan;
  size_t at; /* bytes it was fed */
  int wanted, finished, again, full, inside, over, completions, agains;
  smtpf_scan_result result;
  char name[64], cause[64], detail[1024], edits[2048];
} scan_run;

static struct smtpf_section settings;
static http_server servers[SERVERS];
static smtpf_driver *driver;
static void *self;
static scan_run runs[SCANS];
static char *message;
static size_t message_n, come; /* bytes there are, bytes that have come */
static int spool_fails;

static inline int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what the scanner asks of the library ----------------------------------------------------------------------- */

int64_t smtpf_section_number(const smtpf_section *s, const char *name)
{
  if (strcmp(name, "timeout") == 0)
    return s->timeout;
  if (strcmp(name, "connect_timeout") == 0)
    return s->connect_timeout;
  if (strcmp(name, "connections") == 0)
    return s->connections;
  ck_assert_str_eq(name, "answer_limit");
  return s->answer_limit;
}

smtpf_str smtpf_section_string(const smtpf_section *s, const char *name)
{
  if (strcmp(name, "name") == 0)
    return SMTPF_LIT("spam");
  ck_assert_str_eq(name, "settings_id");
  return smtpf_str_of(s->settings_id);
}

size_t smtpf_section_count(const smtpf_section *s, const char *name)
{
  ck_assert_str_eq(name, "servers");
  return s->n_servers;
}

smtpf_str smtpf_section_string_at(const smtpf_section *s, const char *name, size_t i)
{
  ck_assert_str_eq(name, "servers");
  return smtpf_str_of(s->servers[i]);
}

int smtpf_section_fail(const smtpf_section *s, const char *name, smtpf_error *err, int code, const char *what,
                       smtpf_str value, const char *expected)
{
  (void)s;
  (void)name;
  (void)err;
  (void)what;
  (void)value;
  (void)expected;
  return code;
}

static inline void feed_run(scan_run *r)
{
  const smtpf_scanner *type = smtpf_scanner_rspamd();
  if (r->inside || !r->scan)
    return;
  r->inside = 1;
  do {
    if (r->again)
      r->again = r->full = r->finished = 0, r->at = 0;
    while (!r->over && !r->full && !r->again && r->at < come) {
      const size_t n = come - r->at < 30000 ? come - r->at : 30000;
      const size_t took = type->feed(r->scan, message + r->at, n);
      ck_assert_uint_le(took, n);
      r->full = took < n;
      r->at += took;
    }
    if (!r->over && !r->again && !r->finished && r->wanted && r->at == message_n) {
      r->finished = 1;
      ck_assert_int_eq(type->finish(r->scan), SMTPF_OK);
    }
  } while (r->again && !r->over);
  r->inside = 0;
}

static inline scan_run *run_of(smtpf_op op)
{
  ck_assert(op >= 1 && op <= SCANS);
  return runs[op - 1].scan || runs[op - 1].inside ? &runs[op - 1] : NULL;
}

uint64_t smtpf_op_scan_size(const smtpf_driver *d, smtpf_op op)
{
  (void)d;
  return run_of(op) ? come : 0;
}

int smtpf_op_scan_room(smtpf_driver *d, smtpf_op op)
{
  scan_run *r = run_of(op);
  (void)d;
  if (!r || r->over)
    return SMTPF_ENOTFOUND;
  r->full = 0;
  feed_run(r);
  return SMTPF_OK;
}

int smtpf_op_scan_again(smtpf_driver *d, smtpf_op op)
{
  scan_run *r = run_of(op);
  (void)d;
  if (!r || r->over)
    return SMTPF_ENOTFOUND;
  if (spool_fails)
    return SMTPF_EIO;
  r->again = 1;
  r->agains++;
  feed_run(r);
  return SMTPF_OK;
}

static inline void put(char *room, size_t cap, smtpf_str s)
{
  snprintf(room, cap, "%.*s", (int)s.n, s.n ? s.p : "");
}

int smtpf_op_scanned(smtpf_driver *d, smtpf_op op, const smtpf_scan_result *result)
{
  scan_run *r = run_of(op);
  size_t n = 0;
  ck_assert_ptr_nonnull(r);
  r->completions++;
  r->over = 1;
  r->result = *result;
  put(r->name, sizeof r->name, result->name);
  put(r->cause, sizeof r->cause, smtpf_str_of(result->cause ? result->cause : ""));
  put(r->detail, sizeof r->detail, result->detail);
  for (size_t i = 0; i < result->n_edits; i++)
    n += (size_t)snprintf(r->edits + n, sizeof r->edits - n, "%d %.*s %.*s;", result->edits[i].op,
                          (int)result->edits[i].name.n, result->edits[i].name.p, (int)result->edits[i].value.n,
                          result->edits[i].value.p);
  d->completed++;
  return SMTPF_OK;
}

/* ---- a world ---------------------------------------------------------------------------------------------------- */

static inline void make_message(size_t n)
{
  static const char front[] = "From: a@b.example\r\nX-Twice: 1\r\nX-Twice: 2\r\nSubject: s\r\n\r\n";
  free(message);
  message = malloc(n + sizeof front);
  ck_assert_ptr_nonnull(message);
  for (size_t i = 0; i < n; i++)
    message[i] = i < sizeof front - 1 ? front[i] : i % 72 == 71 ? '\n' : (char)('a' + i * 7 % 26);
  message_n = n;
  come = 0;
}

static inline void server(int i, int unix_socket, int manner, int status, const char *text)
{
  http_start(&servers[i], unix_socket, manner, status, text);
  settings.servers[i] = servers[i].address;
  settings.n_servers = (size_t)i + 1;
}

static inline void begin(void)
{
  driver = fake_new(NULL, 0);
  ck_assert_int_eq(smtpf_scanner_rspamd()->start(NULL, driver, &settings, &self), SMTPF_OK);
}

static inline void world_open(void)
{
  settings = (struct smtpf_section){{NULL}, 0, 20000, 5000, 8, 65536, ""};
  memset(runs, 0, sizeof runs);
  spool_fails = 0;
  make_message(2000);
}

static inline void close_run(int i)
{
  if (runs[i].scan)
    smtpf_scanner_rspamd()->close(runs[i].scan);
  runs[i].scan = NULL;
}

static inline void world_close(void)
{
  for (int i = 0; i < SCANS; i++)
    close_run(i);
  if (driver) {
    smtpf_scanner_rspamd()->stop(self);
    fake_free(driver);
  }
  driver = NULL;
  for (int i = 0; i < SERVERS; i++)
    http_free(&servers[i]);
  free(message);
  message = NULL;
}

static inline scan_run *open_run(int i)
{
  static const smtpf_str to[] = {{"c@d.example", 11}, {"e@d.example", 11}};
  smtpf_path sender = {.address = SMTPF_LIT("a@b.example")};
  smtpf_event ev = {.size = sizeof ev, .client_text = SMTPF_LIT("198.51.100.7"), .rdns = SMTPF_LIT("c.example")};
  ev.helo = SMTPF_LIT("he\r\nX: lo");
  ev.identity = SMTPF_LIT("someone");
  ev.sender = &sender;
  smtpf_scan_request q = {sizeof q, SMTPF_LIT("spam"), &ev, to, 2, SMTPF_LIT("class"), SMTPF_LIT("S1")};
  memset(&runs[i], 0, sizeof runs[i]);
  ck_assert_int_eq(smtpf_scanner_rspamd()->open(self, (smtpf_op)i + 1, &q, &runs[i].scan), SMTPF_OK);
  return &runs[i];
}

/* All has come, and the check wants the answer. */
static inline void all(int i)
{
  come = message_n;
  runs[i].wanted = 1;
  feed_run(&runs[i]);
}

static inline int completed(size_t n, int64_t ms)
{
  return fake_run(driver, n, ms);
}

/* A scan of the whole message. */
static inline const scan_run *scan(int64_t ms)
{
  close_run(0);
  driver->completed = 0;
  open_run(0);
  all(0);
  ck_assert(completed(1, ms));
  ck_assert_int_eq(runs[0].completions, 1);
  return &runs[0];
}

static inline int got_all(const http_server *s)
{
  return s->seen->body == message_n && s->seen->sum == http_sum(message, message_n);
}

#endif
