/* SPDX-License-Identifier: MIT
 *
 * transcript: a conversation as a page for people that is also a test. Prose, and fenced blocks: `policy` (libconfig),
 * `rules` (a rule file, "@rules@" in the policy), `dns` (zone text), `script` (what the client does; smtpf-replay(1)),
 * `log` (what must come of it), `json` (the same as JSON lines; optional). Words behind `script` set the run:
 * `host=lmtp`, `now=1767225600`, `needs=crypto`.
 */
#ifndef TESTS_TRANSCRIPT_H
#define TESTS_TRANSCRIPT_H

#include "../../examples/tools/replay.h"

struct transcript {
  char *path, *folder;
  text page, policy, rules, dns, script, log, json, words;
  size_t log_at, log_end; /* the place of the log, or of the JSON lines, in the page */
  int has_log, has_json;
  struct replay_host host;
  int64_t now;
  int cannot;           /* this build lacks what it needs */
  char policy_file[64]; /* a temporary one; empty: no policy */
  char rules_file[64];  /* the same */
  smtpf_zone *zone;
  struct replay_script items;
  const struct replay_script *scripts[2]; /* that one, NULL */
};

/* 0, or -1 with what is wrong. Free it either way. */
int transcript_read(struct transcript *t, const char *path, text *error);
void transcript_free(struct transcript *t);

/* Options for replay_open(), without sink. */
struct replay_options transcript_options(const struct transcript *t);

/* Plays it and adds the log to `out` (JSON lines with `json`). 0, or -1 with what is wrong. */
int transcript_play(const struct transcript *t, int wait, size_t feed, int json, text *out, text *error);

/* Names of all transcripts: the arguments, or every *.md beside this test's source, sorted. NULL at the end. */
char **transcript_names(int argc, char **argv);
void transcript_names_free(char **names);

#endif
