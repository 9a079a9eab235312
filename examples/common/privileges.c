/* SPDX-License-Identifier: MIT */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- who it is ---------------------------------------------------------------------------------------- */

/* In this order: who is not root any more cannot change groups. */
static const char *become(const privileges *p)
{
  const gid_t gid = p->gid == (gid_t)-1 ? getegid() : p->gid;
  if (p->user ? initgroups(p->user, gid) : p->gid != (gid_t)-1 ? setgroups(1, &gid) : 0)
    return "setgroups";
  if (setresgid(gid, gid, gid))
    return "setresgid";
  if (p->user && setresuid(p->uid, p->uid, p->uid))
    return "setresuid";
  if (p->user && p->uid && (!setuid(0) || !seteuid(0))) { /* it would come back */
    errno = EPERM;
    return "leaving root";
  }
  return NULL;
}

static const char *change(const privileges *p)
{
  if (!p->user && p->gid == (gid_t)-1)
    return NULL;
  if (!geteuid())
    return become(p);
  if ((p->user && geteuid() != p->uid) || (p->gid != (gid_t)-1 && getegid() != p->gid)) {
    errno = EPERM;
    return "only root can change user and group";
  }
  return NULL;
}

/* ---- what it may ask of the kernel -------------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Leak checkers stop the process by ptrace, which is one of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef ARCHITECTURE
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef ARCHITECTURE
#endif
#endif

#ifdef ARCHITECTURE
/* The first start programs; other processes, the machine: a filter has no business with them. */
static const unsigned denied[] = {
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_unshare,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_userfaultfd,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_open_by_handle_at,
    SYS_acct,
    SYS_quotactl,
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
#endif
};

enum { STARTERS = 2, DENIED = sizeof denied / sizeof *denied, HEAD = 6, X32 = 0x40000000 };

static void restrict_calls(int execute)
{
  struct sock_filter f[HEAD + 2 * DENIED + 1] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32, 0, 1), /* the same calls by other numbers */
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  unsigned short n = HEAD;
  for (size_t i = execute ? STARTERS : 0; i < DENIED; i++) {
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i], 0, 1);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }
  f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {n, f};
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
#else
static void restrict_calls(int execute)
{
  (void)execute;
}
#endif

const char *privileges_drop(const privileges *p)
{
  const char *failed = change(p);
  if (failed)
    return failed;
  if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !p->keep_calls)
    restrict_calls(p->execute);
  return NULL;
}
