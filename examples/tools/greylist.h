/* SPDX-License-Identifier: MIT
 *
 * smtpf-greylist: what the greylist knows, by the same policy and store as the hosts, while they run.
 *
 *   smtpf-greylist.c   command line
 *   greylist_store.c   the store: records one after the other, changes
 *   greylist_entry.c   one record: what it says, which are wanted, how it is written
 *   greylist_list.c    list, show, stats, watch
 *   greylist_edit.c    allow, deny, forget, expire, export, import, merge
 */
#ifndef TOOLS_GREYLIST_H
#define TOOLS_GREYLIST_H

#include <smtpfilter/ext/greylist.h>
#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>

#include "../common/text.h"

/* Exit status; smtpf-greylist(1) promises them. */
enum { DONE = 0, NOTHING = 1, FAILED = 2 };

/* ---- greylist_store.c ---- */

typedef struct store {
  smtpf_engine *engine;
  smtpf_driver *driver;
  int64_t wait, window, memory; /* seconds, of the policy */
  uint64_t walked;              /* records looked at so far, and when that was last said */
  int64_t said_s;
  int failed;
} store;

/* 0, or FAILED after saying why. */
int store_open(store *s, const char *policy);
void store_close(store *s);

/* Receives every record of the greylist's; another result than 0 ends the walk with it. */
typedef int (*store_fn)(void *user, const smtpf_stored *record);
int store_walk(store *s, store_fn fn, void *user);

/* So many more have been dealt with: says so now and then, where somebody looks on; store_quiet() wipes it out. */
void store_progress(store *s, size_t n);
void store_quiet(store *s);

/* Waits so long, and lets the store go on meanwhile. */
void store_pause(store *s, long seconds);

/* SMTPF_STORE_FOUND, _ABSENT, _DONE or _FAILED. The value is copied into `room`. */
int store_get(store *s, smtpf_str key, text *room);
int store_change(store *s, const smtpf_change *changes, size_t n);

/* A status that is no answer: says so. FAILED. */
int store_complain(const char *what);

/* ---- greylist_entry.c ---- */

enum state { WAITING = 1, RIPE, KNOWN, LATE, SEEN, ALLOWED, DENIED };

typedef struct entry {
  int kind, state;
  int64_t first, last, passes, expires;
  smtpf_str key, identity, sender, recipient, value; /* in the record */
} entry;

typedef struct filter {
  const char *client, *sender, *recipient, *state; /* NULL: any; a text is looked for anywhere in it */
  int kind;                                        /* 0: both */
} filter;

/* 1 when it is a record of the greylist's. */
int entry_read(entry *out, const store *s, const smtpf_stored *record);
const char *entry_state(const entry *e);
int entry_is_state(const char *word);
int entry_fits(const entry *e, const filter *f);
void entry_print(text *t, const entry *e, int json);
int entry_flush(text *t);
void entry_hex(text *t, smtpf_str bytes);

/* ---- the commands ---- */

typedef struct request {
  const char *policy, *sort;
  filter filter;
  int json, reverse;
  char **words; /* what follows the command */
  int n_words;
} request;

int command_list(store *s, const request *q);
int command_show(store *s, const request *q);
int command_stats(store *s, const request *q);
int command_watch(store *s, const request *q);
int command_allow(store *s, const request *q);
int command_deny(store *s, const request *q);
int command_forget(store *s, const request *q);
int command_expire(store *s, const request *q);
int command_export(store *s, const request *q);
int command_import(store *s, const request *q);
int command_merge(store *s, const request *q);

#endif
