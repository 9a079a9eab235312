/* SPDX-License-Identifier: MIT
 *
 * smtpf-milter: a mail filter for Postfix and Sendmail on the public headers. How the files hang together:
 *
 *     main ── listener                  the process: signals, sockets, policies
 *       └─ loop                         one thread: epoll, driver, timeouts
 *            └─ connection              the MTA's: packets in and out
 *                 └─ dialog ── message, changes     what a packet is to the session; what the verdict is to the MTA
 *
 * settings: one loaded policy: the engine and what the program itself reads out of it. Frozen and counted; every
 * connection keeps the one it began with.
 */
#ifndef MILTER_SETTINGS_H
#define MILTER_SETTINGS_H

#include <smtpfilter/smtpfilter.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "../../common/address.h"

enum { MILTER_LISTEN_MAX = 16 };

/* What the command line said; lasts as long as the process. */
typedef struct arguments {
  const char *policy;                    /* -c */
  const char *listen[MILTER_LISTEN_MAX]; /* --listen, over the policy's */
  size_t listens;
  const char **set; /* --set PATH=VALUE, over the policy's */
  size_t sets;
  const char *pid_file;
  const char *log; /* --log, NULL for the policy's */
  int threads;     /* --threads, 0 for the policy's */
  int ready_fd;    /* -1 for none */
  int check, explain;
} arguments;

enum log_verdicts { LOG_ALL, LOG_REFUSED, LOG_NONE };

typedef struct settings {
  atomic_uint refs;
  smtpf_engine *engine;
  address listen[MILTER_LISTEN_MAX];
  size_t listens;
  mode_t socket_mode;
  gid_t socket_group; /* (gid_t)-1: as it comes */
  int threads, log_json, log_verdicts, explain;
  int64_t connections, idle_ms, progress_ms, drain_ms;
} settings;

/* Reads the policy. SMTPF_OK, or a negative result with `err` filled. */
int settings_load(settings **out, const arguments *a, smtpf_error *err);
settings *settings_ref(settings *s);
void settings_unref(settings *s);

/* Fills `a`. -1 to go on, else the exit status. */
int options_read(arguments *a, int argc, char **argv);
void options_free(arguments *a);

#endif
