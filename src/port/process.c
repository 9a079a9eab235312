/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process.h"

#include <sys/mman.h>
#include <unistd.h>

void smtpf_process_begin(smtpf_process *p)
{
  void *page = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *p = (smtpf_process){getpid(), NULL};
  if (page == MAP_FAILED)
    return;
  if (madvise(page, sizeof(int), MADV_WIPEONFORK) != 0) {
    munmap(page, sizeof(int));
    return;
  }
  p->alive = page;
  *p->alive = 1;
}

void smtpf_process_end(smtpf_process *p)
{
  if (p->alive)
    munmap(p->alive, sizeof(int));
  p->alive = NULL;
}

int64_t smtpf_process_id(const smtpf_process *p)
{
  return (int64_t)(p->alive && *p->alive ? p->pid : getpid());
}

int smtpf_process_same(const smtpf_process *p)
{
  return p->alive ? *p->alive : p->pid == getpid();
}
