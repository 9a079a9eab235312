/* SPDX-License-Identifier: MIT
 *
 * process: which process this is, asked often. A page that the kernel wipes in a child tells parent from child without
 * a system call; where there is none, getpid(2) does.
 */
#ifndef SMTPF_PORT_PROCESS_H
#define SMTPF_PORT_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

typedef struct smtpf_process {
  pid_t pid;
  int *alive; /* 0 in a child; NULL when the kernel cannot */
} smtpf_process;

void smtpf_process_begin(smtpf_process *p);
void smtpf_process_end(smtpf_process *p);

/* This process's id. */
int64_t smtpf_process_id(const smtpf_process *p);
/* False in a child of the one that began. */
int smtpf_process_same(const smtpf_process *p);

#endif
