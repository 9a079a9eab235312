/* SPDX-License-Identifier: MIT
 *
 * reload: a new policy is read on a thread of its own, so that a big one pauses nobody; one that fails changes nothing.
 */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include "loop.h"

#define LOOPS_MAX 256

/* The running process. */
typedef struct process {
  const arguments *arguments;
  shared shared;
  settings *settings; /* the newest; of the main thread once no loader runs */
  loop *loops[LOOPS_MAX];
  int n;
  pthread_t loader;
  int loading, again; /* a loader was started; another SIGHUP came meanwhile */
  atomic_int loaded;  /* it is done */
} process;

/* Logs what is wrong with a policy: file, line, what was expected. */
void reload_complain(const smtpf_error *err, const char *event);
/* Begins to read the policy anew, or notes that it must be read once more. */
void reload_begin(process *p);
/* Takes up what a loader left. Blocks when `wait`. */
void reload_end(process *p, int wait);

#endif
