/* SPDX-License-Identifier: MIT
 *
 * privileges: gives up what a daemon has and does not need, once its sockets are open and before it has threads.
 */
#ifndef COMMON_PRIVILEGES_H
#define COMMON_PRIVILEGES_H

#include <sys/types.h>

typedef struct privileges {
  const char *user; /* goes on as this one; NULL: as it was started */
  uid_t uid;
  gid_t gid;      /* (gid_t)-1: that of the process */
  int keep_calls; /* 1: leaves system calls alone, for debuggers */
  int execute;    /* 1: programs are started (scanners of type `command`) */
} privileges;

/* NULL, or what could not be done; errno says why. Files that programs execute give no privileges any more, and system
 * calls that no mail filter makes (ptrace, mount, bpf ..., and execve unless it starts programs) fail with EPERM; where
 * the kernel cannot do one of these two, it is left out. */
const char *privileges_drop(const privileges *p);

#endif
