/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../common/log.h"
#include "hop.h"
#include "listener.h"
#include "options.h"
#include "quarantine.h"
#include "reload.h"

#define PROBE_MS 2000

/* Signals are taken by the main thread alone. Called before any thread is made. */
static void block_signals(sigset_t *set)
{
  sigemptyset(set);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGHUP);
  sigaddset(set, SIGUSR1);
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

/* Tells where it listens: the port may have been chosen by the system. */
static void say_ready(const process *p)
{
  char line[PROXY_LISTEN_MAX * (ADDRESS_TEXT + 1) + 1];
  size_t n = 0;
  for (size_t i = 0; i < p->shared.listeners; i++) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char at[ADDRESS_TEXT];
    if (getsockname(p->shared.listener[i].item.fd, (struct sockaddr *)&sa, &len))
      continue;
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

static void serve(process *p, const sigset_t *signals)
{
  for (int done = 0; !done;) {
    int which = sigwaitinfo(signals, NULL);
    if (which == SIGHUP)
      reload_begin(p);
    else if (which == SIGUSR1)
      reload_end(p, 0);
    else
      done = which > 0 || errno != EINTR;
  }
  log_line("info", "draining", NULL);
  reload_end(p, 1);
  atomic_store(&p->shared.draining, 1);
}

static int start_loops(process *p)
{
  for (; p->n < p->settings->threads && p->n < LOOPS_MAX; p->n++) {
    int r = loop_start(&p->loops[p->n], &p->shared, p->settings);
    if (r) {
      log_text("error", "cannot-start", "why", smtpf_strerror(r));
      return 0;
    }
  }
  return 1;
}

static int run(process *p, const sigset_t *signals)
{
  uint64_t seed = 0;
  int ok = getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed;
  p->shared.arguments = p->arguments;
  peers_init(&p->shared.peers, seed);
  ok = ok && !listener_open(&p->shared, p->settings);
  if (ok && !hop_probe(p->settings, PROBE_MS))
    log_text("warning", "next-hop-unknown", "address", p->settings->hop_text);
  ok = ok && start_loops(p) && (!p->arguments->pid_file || write_pid(p->arguments->pid_file));
  if (ok) {
    say_ready(p);
    serve(p, signals);
  } else {
    atomic_store(&p->shared.draining, 1);
  }
  for (int i = 0; i < p->n; i++)
    loop_wake(p->loops[i]);
  for (int i = 0; i < p->n; i++)
    loop_join(p->loops[i]);
  listener_close(&p->shared);
  peers_free(&p->shared.peers);
  if (ok && p->arguments->pid_file)
    unlink(p->arguments->pid_file);
  text loud = {0};
  text_int(&loud, (int64_t)atomic_load(&p->shared.loud));
  log_line("info", "stopped", (log_field[]){{"dsn_unenforced", text_str(&loud)}, {NULL, {NULL, 0}}});
  text_free(&loud);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int load(process *p)
{
  smtpf_error err = {.size = sizeof err};
  if (settings_load(&p->settings, p->arguments, &err)) {
    reload_complain(&err, "policy-failed");
    return 0;
  }
  log_form(p->settings->log_json);
  if (p->arguments->check || !p->settings->quarantine_directory)
    return 1;
  int e = quarantine_open(p->settings->quarantine_directory);
  if (e)
    log_text("error", "quarantine", "why", strerror(e));
  return !e;
}

int main(int argc, char **argv)
{
  static process p;
  arguments a;
  sigset_t signals;
  int status = options_read(&a, argc, argv);
  if (status < 0) {
    p.arguments = &a;
    if (a.log)
      log_form(!strcmp(a.log, "json"));
    block_signals(&signals);
    raise_descriptors();
    if (!load(&p))
      status = EXIT_FAILURE;
    else if (a.check)
      status = printf("policy is good: %s\n", a.policy ? a.policy : "(none)") < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    else
      status = run(&p, &signals);
    settings_unref(p.settings);
  }
  options_free(&a);
  return status;
}
