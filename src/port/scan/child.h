/* SPDX-License-Identifier: MIT
 *
 * scan_child: a program as a child of this process, with nothing but what it is given: arguments, environment, one
 * descriptor to read from and one to write to, limits. It leads a process group of its own, which ends with it.
 */
#ifndef SMTPF_PORT_SCAN_CHILD_H
#define SMTPF_PORT_SCAN_CHILD_H

#include <stdint.h>
#include <sys/types.h>

typedef struct smtpf_child_spec {
  char *const *argv; /* argv[0]: an absolute path */
  char *const *envp; /* all of its environment */
  uint64_t memory;   /* bytes of address space */
  uint64_t cpu_s;    /* seconds of CPU time */
} smtpf_child_spec;

typedef struct smtpf_child {
  pid_t pid;
  int pidfd;     /* readable when it has ended; -1: this kernel has none, ask smtpf_child_reap() now and then */
  int in;        /* write what it is to read here; -1: it was given a file */
  int in_reader; /* the other end, ours: writing never finds nobody, and what was not read can be counted */
  int out;       /* read what it writes here */
} smtpf_child;

/* Starts it; standard input is `file`, or a pipe when that is -1. Our ends do not block. SMTPF_OK or SMTPF_EIO. A
 * program that cannot be executed exits with 127. */
int smtpf_child_start(smtpf_child *c, const smtpf_child_spec *spec, int file);
/* Ends it and whatever it has started. */
void smtpf_child_kill(const smtpf_child *c);
/* SMTPF_OK: it has ended and is gone, *status as waitpid(2) has it; SMTPF_PENDING: it runs; SMTPF_ENOTFOUND: somebody
 * else has taken its status. `wait`: until it has ended. */
int smtpf_child_reap(smtpf_child *c, int wait, int *status);
/* Bytes that it has not read. */
int smtpf_child_unread(const smtpf_child *c);
/* It has all of its input. */
void smtpf_child_close_input(smtpf_child *c);
void smtpf_child_close(smtpf_child *c);

#endif
