/* SPDX-License-Identifier: MIT
 *
 * Between fork(2) and execve(2) nothing is called that POSIX does not allow there: the host may have threads.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <smtpfilter/types.h>

#include "child.h"

enum { NO_PROGRAM = 127, DESCRIPTORS = 4096 };

/* ---- in the child ----------------------------------------------------------------------------------------------- */

static int limits(const smtpf_child_spec *spec)
{
  const struct rlimit none = {0, 0}, cpu = {(rlim_t)spec->cpu_s, (rlim_t)spec->cpu_s},
                      memory = {(rlim_t)spec->memory, (rlim_t)spec->memory};
  return setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_CPU, &cpu) == 0 && setrlimit(RLIMIT_AS, &memory) == 0;
}

/* Whatever the host left open is none of its business. */
static void close_the_rest(void)
{
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
    return;
#endif
  for (int fd = 3; fd < DESCRIPTORS; fd++)
    (void)close(fd);
}

static void default_signals(void)
{
  sigset_t none;
  for (int s = 1; s < NSIG; s++)
    (void)signal(s, SIG_DFL);
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void become(const smtpf_child_spec *spec, int in, int out)
{
  const int null = open("/dev/null", O_WRONLY);
  /* Above the three, so that putting one in its place does not overwrite another. */
  const int from = fcntl(in, F_DUPFD, 3), to = fcntl(out, F_DUPFD, 3), away = fcntl(null, F_DUPFD, 3);
  default_signals();
  if (from < 0 || to < 0 || away < 0 || setpgid(0, 0) != 0 || dup2(from, 0) < 0 || dup2(to, 1) < 0 ||
      dup2(away, 2) < 0 || chdir("/") != 0)
    _exit(NO_PROGRAM);
  close_the_rest();
  if (!limits(spec))
    _exit(NO_PROGRAM);
  (void)execve(spec->argv[0], spec->argv, spec->envp);
  _exit(NO_PROGRAM);
}

/* ---- in this process -------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
  if (*fd >= 0)
    (void)close(*fd);
  *fd = -1;
}

static int no_wait(int fd)
{
  return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* No signal handler of the host's runs in the child: all are blocked until it has put its own in place. */
static pid_t fork_quietly(const smtpf_child_spec *spec, int in, int out)
{
  sigset_t all, before;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0)
    become(spec, in, out);
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  if (pid > 0)
    (void)setpgid(pid, pid); /* whoever is first */
  return pid;
}

int smtpf_child_start(smtpf_child *c, const smtpf_child_spec *spec, int file)
{
  int in[2] = {-1, -1}, out[2] = {-1, -1};
  *c = (smtpf_child){-1, -1, -1, -1, -1};
  if ((file < 0 && pipe2(in, O_CLOEXEC) != 0) || pipe2(out, O_CLOEXEC) != 0 || no_wait(out[0]) != 0 ||
      (file < 0 && no_wait(in[1]) != 0))
    goto failed;
  c->pid = fork_quietly(spec, file < 0 ? in[0] : file, out[1]);
  if (c->pid < 0)
    goto failed;
  close_fd(&out[1]);
  c->in = in[1];
  c->in_reader = in[0];
  c->out = out[0];
#ifdef SYS_pidfd_open
  c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0u); /* closed by execve(2) */
#endif
  return SMTPF_OK;
failed:
  close_fd(&in[0]);
  close_fd(&in[1]);
  close_fd(&out[0]);
  close_fd(&out[1]);
  return SMTPF_EIO;
}

void smtpf_child_kill(const smtpf_child *c)
{
  if (c->pid <= 0)
    return;
  (void)kill(-c->pid, SIGKILL);
  (void)kill(c->pid, SIGKILL);
}

int smtpf_child_reap(smtpf_child *c, int wait, int *status)
{
  siginfo_t info = {0};
  int r;
  if (c->pid <= 0)
    return SMTPF_ENOTFOUND;
  while ((r = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT | (wait ? 0 : WNOHANG))) != 0 && errno == EINTR)
    ;
  if (r == 0 && info.si_pid == 0)
    return SMTPF_PENDING;
  /* Its number is still its own: what it has left behind in its group goes with it. Once it is nobody's child any more,
   * the number may be a stranger's. */
  if (r == 0)
    (void)kill(-c->pid, SIGKILL);
  while (r == 0 && (r = waitpid(c->pid, status, 0) == c->pid ? 0 : -1) != 0 && errno == EINTR)
    r = 0;
  c->pid = -1;
  return r == 0 ? SMTPF_OK : SMTPF_ENOTFOUND;
}

int smtpf_child_unread(const smtpf_child *c)
{
  int n = 0;
  return c->in_reader >= 0 && ioctl(c->in_reader, FIONREAD, &n) == 0 ? n : 0;
}

void smtpf_child_close_input(smtpf_child *c)
{
  close_fd(&c->in);
}

void smtpf_child_close(smtpf_child *c)
{
  close_fd(&c->in);
  close_fd(&c->in_reader);
  close_fd(&c->out);
  close_fd(&c->pidfd);
}
