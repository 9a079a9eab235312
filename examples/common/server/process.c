/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../log.h"
#include "../notify.h"
#include "parts.h"

enum { STOP_MS = 500 };

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
    log_line("error", "pid-file",
             (log_field[]){{"file", smtpf_str_of(path)}, {"why", smtpf_str_of(strerror(errno))}, {NULL, {NULL, 0}}});
  return ok;
}

/* Tells where it listens: the port may have been chosen by the system, or the socket by systemd. */
static void say_ready(const server_process *p)
{
  char line[SERVER_LISTEN_MAX * (ADDRESS_TEXT + 1) + 1];
  size_t n = 0;
  for (size_t i = 0; i < p->listeners; i++) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char at[ADDRESS_TEXT];
    if (getsockname(p->listener[i].item.fd, (struct sockaddr *)&sa, &len))
      continue;
    if (p->listener[i].path[0]) /* it was made under another name */
      snprintf(at, sizeof at, "unix:%s", p->listener[i].path);
    else
      address_format((const struct sockaddr *)&sa, at, sizeof at);
    n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? " " : "", at);
  }
  log_line("info", "ready", (log_field[]){{"listen", {line, n}}, {NULL, {NULL, 0}}});
  line[n++] = '\n';
  if (p->arguments.ready_fd >= 0) {
    if (write(p->arguments.ready_fd, line, n) < 0)
      log_text("warning", "ready-fd", "why", strerror(errno));
    close(p->arguments.ready_fd);
  }
}

/* ---- policies -------------------------------------------------------------------------------------------- */

static const char *policy_name(const server_process *p)
{
  return p->arguments.policy.file ? p->arguments.policy.file : "(none)";
}

static server_settings *load(const server_process *p, const char *complaint)
{
  server_settings *s = NULL;
  smtpf_error err = {.size = sizeof err};
  if (server_settings_load(&s, p->program, &p->arguments, &err) != SMTPF_OK)
    host_policy_complain(&err, complaint);
  return s;
}

static int prepare(const server_process *p, server_settings *s)
{
  return !p->program->prepare || p->program->prepare(s);
}

static int same_listen(const server_settings *a, const server_settings *b)
{
  int same = a->listens == b->listens;
  for (size_t i = 0; same && i < a->listens; i++)
    same = !memcmp(&a->listen[i].sa, &b->listen[i].sa, sizeof a->listen[i].sa) &&
           a->listen[i].lmtp == b->listen[i].lmtp && a->listen[i].tls == b->listen[i].tls &&
           a->listen[i].proxied == b->listen[i].proxied;
  return same;
}

/* The loops serve on meanwhile: only this thread reads. One that fails changes nothing. */
static void reload(server_process *p)
{
  server_settings *s = load(p, "reload-failed");
  const int starts = s && s->privileges.execute && !p->may_execute;
  if (starts || (s && !prepare(p, s))) {
    log_text("error", "reload-failed", starts ? "why" : "policy",
             starts ? "a scanner of type command needs a new start: programs cannot be executed any more"
                    : policy_name(p));
    server_settings_unref(s);
    s = NULL;
  }
  metrics_count(p->counted, METRICS_RELOADS, s ? "taken" : "failed", NULL);
  if (!s)
    return;
  if (!same_listen(s, p->settings) || s->threads != p->settings->threads)
    log_text("warning", "reload", "note", "where it listens and its threads take effect at the next start");
  for (int i = 0; i < p->n; i++)
    server_loop_reload(p->loops[i], s);
  server_settings_unref(p->settings);
  p->settings = s;
  log_text("info", "reloaded", "policy", policy_name(p));
}

/* ---- signals ------------------------------------------------------------------------------------------- */

static void wake_all(server_process *p)
{
  for (int i = 0; i < p->n; i++)
    server_loop_wake(p->loops[i]);
}

/* No more connections; those that are there go on to their end, or to the next signal. */
static void stop(server_process *p)
{
  const struct timespec pause = {0, 1000000};
  atomic_store(&p->draining, 1);
  wake_all(p);
  for (int ms = 0; ms < STOP_MS && atomic_load(&p->stopped) < p->n; ms++)
    nanosleep(&pause, NULL);
  server_listen_stop(p);
}

static int next_signal(const sigset_t *signals, const struct timespec *within)
{
  int which;
  do
    which = within ? sigtimedwait(signals, NULL, within) : sigwaitinfo(signals, NULL);
  while (which < 0 && errno == EINTR);
  return which;
}

static void serve(server_process *p, const sigset_t *signals)
{
  const struct timespec look = {0, 20000000};
  int which;
  while ((which = next_signal(signals, NULL)) == SIGHUP) {
    notify_reloading();
    reload(p);
    notify_ready();
  }
  log_line("info", "draining", NULL);
  notify_stopping();
  stop(p);
  while (atomic_load(&p->running) > 0)
    if ((which = next_signal(signals, &look)) > 0 && which != SIGHUP) {
      atomic_store(&p->draining, 2);
      wake_all(p);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int start_loops(server_process *p)
{
  int r = SMTPF_OK;
  while (r == SMTPF_OK && p->n < p->settings->threads && p->n < SERVER_LOOPS_MAX) {
    r = server_loop_new(&p->loops[p->n], p, p->settings);
    p->n += r == SMTPF_OK;
  }
  for (int i = 0; r == SMTPF_OK && i < p->n; i++)
    r = server_loop_start(p->loops[i]);
  if (r != SMTPF_OK)
    log_text("error", "cannot-start", "why", smtpf_strerror(r));
  return r == SMTPF_OK;
}

/* Opens where metrics are asked for. 0 when it cannot be. */
static int count(server_process *p)
{
  const char *where = p->settings->metrics;
  if (where && metrics_open(&p->metrics, where, p->program->name))
    return 0;
  p->counted = metrics_part_new(p->metrics, NULL);
  return 1;
}

static int drop_privileges(server_process *p)
{
  const char *failed = privileges_drop(&p->settings->privileges);
  p->may_execute = p->settings->privileges.execute || p->settings->privileges.keep_calls;
  if (failed)
    log_text("error", "privileges", failed, strerror(errno));
  return !failed;
}

/* What only root may do comes first; what is made from then on belongs to the user that it goes on as. */
static int begin(server_process *p)
{
  const char *pid_file = p->arguments.pid_file;
  if (server_listen(p, p->settings) || !count(p) || (pid_file && !write_pid(pid_file)))
    return 0;
  if (drop_privileges(p) && prepare(p, p->settings) && start_loops(p) && !metrics_start(p->metrics))
    return 1;
  if (pid_file)
    unlink(pid_file);
  return 0;
}

static int run(server_process *p, const sigset_t *signals)
{
  const char *pid_file = p->arguments.pid_file;
  const int ok = begin(p);
  if (ok) {
    say_ready(p);
    notify_ready();
    serve(p, signals);
  }
  atomic_fetch_or(&p->draining, 1);
  wake_all(p);
  for (int i = 0; i < p->n; i++)
    server_loop_join(p->loops[i]);
  for (int i = 0; i < p->n; i++)
    server_loop_free(p->loops[i]);
  server_listen_close(p);
  metrics_close(p->metrics);
  if (ok && pid_file)
    unlink(pid_file);
  if (p->program->stopped)
    p->program->stopped(p);
  else
    log_line("info", "stopped", NULL);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_lint(void *user, const char *file, int line, smtpf_str what)
{
  (void)user;
  printf("%s:%d: %.*s\n", file ? file : "(command line)", line, (int)what.n, what.p);
}

static int check(const server_process *p)
{
  smtpf_engine_lint(p->settings->engine, p->settings->capabilities, print_lint, NULL);
  return printf("policy is good: %s\n", policy_name(p)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int server_main(server_process *p, const server_program *program, int argc, char **argv)
{
  sigset_t signals;
  p->program = program;
  int status = server_arguments_read(&p->arguments, program, argc, argv);
  if (status < 0) {
    status = EXIT_FAILURE;
    if (p->arguments.log)
      log_form(!strcmp(p->arguments.log, "json"));
    block_signals(&signals);
    raise_descriptors();
    p->settings = load(p, "policy-failed");
    if (p->settings) {
      log_form(p->settings->log_json);
      status = p->arguments.check ? check(p) : run(p, &signals);
    }
    server_settings_unref(p->settings);
  }
  server_arguments_free(&p->arguments);
  return status;
}
