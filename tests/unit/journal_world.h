/* SPDX-License-Identifier: MIT
 *
 * journal_world: a journal in a folder of its own, and what tests ask of it in one line.
 */
#ifndef SMTPF_TESTS_JOURNAL_WORLD_H
#define SMTPF_TESTS_JOURNAL_WORLD_H

#define _GNU_SOURCE /* mkdtemp: include this first */

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "port/journal/journal.h"

#define WORLD_MEMORY ((smtpf_str){"\xff\0k", 3})

enum { WORLD_MAX = 65536, WORLD_TEXT = 32768 };

typedef struct world {
  char folder[64], path[96];
  char text[WORLD_TEXT]; /* of world_open_promises() */
  size_t n_text;
  uint64_t damage_from, damage_to; /* where it was told of */
} world;

static inline void world_begin(world *w)
{
  memset(w, 0, sizeof *w);
  snprintf(w->folder, sizeof w->folder, "journal-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(w->folder));
  snprintf(w->path, sizeof w->path, "%s/journal", w->folder);
}

static inline void world_end(world *w)
{
  char beside[128];
  snprintf(beside, sizeof beside, "%s.new", w->path);
  ck_assert_int_ne(access(beside, F_OK), 0);
  (void)unlink(w->path);
  ck_assert_int_eq(rmdir(w->folder), 0);
}

static inline size_t world_bytes(const world *w, char out[WORLD_MAX])
{
  FILE *f = fopen(w->path, "rb");
  ck_assert_ptr_nonnull(f);
  size_t n = fread(out, 1, WORLD_MAX, f);
  ck_assert_uint_lt(n, WORLD_MAX);
  fclose(f);
  return n;
}

static inline void world_put(const world *w, const char *bytes, size_t n)
{
  FILE *f = fopen(w->path, "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
  ck_assert_int_eq(fclose(f), 0);
}

static inline smtpf_journal_log *world_log(const world *w, unsigned flags)
{
  smtpf_journal_log *log = NULL;
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_journal_log_open(&log, w->path, flags, NULL, &err) == SMTPF_OK, "%s: %s", err.file, err.text);
  return log;
}

static inline int world_note(void *user, const smtpf_promise *p)
{
  world *w = user;
  w->n_text += (size_t)snprintf(w->text + w->n_text, sizeof w->text - w->n_text, "%.*s>%.*s ", (int)p->message.n,
                                p->message.p, (int)p->recipient.n, p->recipient.p);
  ck_assert_uint_lt(w->n_text, sizeof w->text);
  return 0;
}

static inline int world_damage(void *user, uint64_t offset, uint64_t length)
{
  world *w = user;
  if (w->damage_to == 0)
    w->damage_from = offset;
  w->damage_to = offset + length;
  return 0;
}

/* `MESSAGE>RECIPIENT ` of each that is open; *stats may be NULL. */
static inline const char *world_open(world *w, smtpf_journal_log *log, smtpf_journal_stats *stats)
{
  smtpf_journal_visitor v = {.size = sizeof v, .user = w, .damage = world_damage, .open = world_note};
  w->n_text = 0;
  w->text[0] = '\0';
  w->damage_from = w->damage_to = 0;
  if (stats)
    stats->size = sizeof *stats;
  ck_assert_int_eq(smtpf_journal_log_read(log, &v, stats, NULL), SMTPF_OK);
  return w->text;
}

/* Appends a group as a process would that dies behind the write. */
static inline void world_group(smtpf_journal_log *log, const char *message, const char *const *recipients, size_t n)
{
  char bytes[4096];
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    smtpf_record r = {SMTPF_RECORD_PROMISE,
                      i + 1 < n,
                      SMTPF_DELIVERED,
                      1700000000,
                      smtpf_str_of(message),
                      SMTPF_LIT("a@example.org"),
                      smtpf_str_of(recipients[i]),
                      WORLD_MEMORY};
    at += smtpf_record_write(&r, bytes + at);
  }
  ck_assert_int_eq(smtpf_journal_lock(log, 5000, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_journal_append(log, bytes, at, 0), SMTPF_OK);
  smtpf_journal_unlock(log);
}

static inline void world_settle(smtpf_journal_log *log, const char *message, const char *recipient)
{
  ck_assert_int_eq(smtpf_journal_log_settle(log, smtpf_str_of(message), smtpf_str_of(recipient), SMTPF_DELIVERED),
                   SMTPF_OK);
}

#endif
