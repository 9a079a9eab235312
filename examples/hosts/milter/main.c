/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../common/host_policy.h"
#include "../../common/log.h"
#include "listener.h"

enum { LOOPS_MAX = 256, STOP_MS = 500 };

/* The running process. */
typedef struct process {
  const arguments *arguments;
  shared shared;
  settings *settings; /* the newest */
  loop *loops[LOOPS_MAX];
  int n;
} process;

/* Signals are taken by the main thread alone. Called before any thread is made. */
static void block_signals(sigset_t *set)
{
  sigemptyset(set);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, set, NULL);
  signal(SIGPIPE, SIG_IGN);
}

static void raise_descriptors(void)
{
  struct rlimit r;
  if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < r.rlim_max) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
}

static int write_pid(const char *path)
{
  FILE *f = fopen(path, "w");
  int ok = f && fprintf(f, "%ld\n", (long)getpid()) > 0;
  if (f && fclose(f))
    ok = 0;
  if (!ok)
    log_text("error", "pid-file", "why", strerror(errno));
  return ok;
}

/* Tells where it listens: the port may have been chosen by the system, or the socket by systemd. */
static void say_ready(const process *p)
{
  char line[MILTER_LISTEN_MAX * (ADDRESS_TEXT + 1) + 1];
  size_t n = 0;
  for (size_t i = 0; i < p->shared.listeners; i++) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char at[ADDRESS_TEXT];
    if (getsockname(p->shared.listener[i].item.fd, (struct sockaddr *)&sa, &len))
      continue;
    if (p->shared.listener[i].path[0]) /* it was made under another name */
      snprintf(at, sizeof at, "unix:%s", p->shared.listener[i].path);
    else
      address_format((const struct sockaddr *)&sa, at, sizeof at);
    n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "", at);
  }
  log_line("info", "ready", (log_field[]){{"listen", {line, n}}, {NULL, {NULL, 0}}});
  line[n++] = '\n';
  if (p->arguments->ready_fd >= 0) {
    if (write(p->arguments->ready_fd, line, n) < 0)
      log_text("warning", "ready-fd", "why", strerror(errno));
    close(p->arguments->ready_fd);
  }
}

/* ---- signals ------------------------------------------------------------------------------------------- */

/* The loops serve on meanwhile: only this thread reads. */
static void reload(process *p)
{
  settings *s = NULL;
  smtpf_error err = {.size = sizeof err};
  if (settings_load(&s, p->arguments, &err) != SMTPF_OK) {
    host_policy_complain(&err, "reload-failed");
    return;
  }
  for (int i = 0; i < p->n; i++)
    loop_reload(p->loops[i], s);
  settings_unref(p->settings);
  p->settings = s;
  log_text("info", "reloaded", "policy", p->arguments->policy ? p->arguments->policy : "(none)");
}

static void wake_all(process *p)
{
  for (int i = 0; i < p->n; i++)
    loop_wake(p->loops[i]);
}

/* No more connections; those that are there go on to their end, or to the next signal. */
static void stop(process *p)
{
  const struct timespec pause = {0, 1000000};
  atomic_store(&p->shared.draining, 1);
  wake_all(p);
  for (int ms = 0; ms < STOP_MS && atomic_load(&p->shared.stopped) < p->n; ms++)
    nanosleep(&pause, NULL);
  listener_stop(&p->shared);
}

static int next_signal(const sigset_t *signals, const struct timespec *within)
{
  int which;
  do
    which = within ? sigtimedwait(signals, NULL, within) : sigwaitinfo(signals, NULL);
  while (which < 0 && errno == EINTR);
  return which;
}

static void serve(process *p, const sigset_t *signals)
{
  const struct timespec look = {0, 50000000};
  int which;
  while ((which = next_signal(signals, NULL)) == SIGHUP)
    reload(p);
  log_line("info", "draining", NULL);
  stop(p);
  while (atomic_load(&p->shared.connections) > 0)
    if ((which = next_signal(signals, &look)) > 0 && which != SIGHUP) {
      atomic_store(&p->shared.draining, 2);
      wake_all(p);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int start_loops(process *p)
{
  for (; p->n < p->settings->threads && p->n < LOOPS_MAX; p->n++) {
    const int r = loop_start(&p->loops[p->n], &p->shared, p->settings);
    if (r != SMTPF_OK) {
      log_text("error", "cannot-start", "why", smtpf_strerror(r));
      return 0;
    }
  }
  return 1;
}

static int run(process *p, const sigset_t *signals)
{
  p->shared.arguments = p->arguments;
  const int ok = !listener_open(&p->shared, p->settings) && start_loops(p) &&
                 (!p->arguments->pid_file || write_pid(p->arguments->pid_file));
  if (ok) {
    say_ready(p);
    serve(p, signals);
  }
  atomic_fetch_or(&p->shared.draining, 1);
  wake_all(p);
  for (int i = 0; i < p->n; i++)
    loop_join(p->loops[i]);
  listener_close(&p->shared);
  if (ok && p->arguments->pid_file)
    unlink(p->arguments->pid_file);
  log_line("info", "stopped", NULL);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_lint(void *user, const char *file, int line, smtpf_str what)
{
  (void)user;
  printf("%s:%d: %.*s\n", file ? file : "(command line)", line, (int)what.n, what.p);
}

static int check(const process *p)
{
  const unsigned ours =
      SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_EDIT;
  smtpf_engine_lint(p->settings->engine, ours, print_lint, NULL);
  return printf("policy is good: %s\n", p->arguments->policy ? p->arguments->policy : "(none)") < 0 ? EXIT_FAILURE
                                                                                                    : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
  static process p;
  arguments a;
  sigset_t signals;
  smtpf_error err = {.size = sizeof err};
  int status = options_read(&a, argc, argv);
  if (status < 0) {
    p.arguments = &a;
    if (a.log)
      log_form(!strcmp(a.log, "json"));
    block_signals(&signals);
    raise_descriptors();
    if (settings_load(&p.settings, &a, &err) != SMTPF_OK) {
      host_policy_complain(&err, "policy-failed");
      status = EXIT_FAILURE;
    } else {
      log_form(p.settings->log_json);
      status = a.check ? check(&p) : run(&p, &signals);
    }
    settings_unref(p.settings);
  }
  options_free(&a);
  return status;
}
