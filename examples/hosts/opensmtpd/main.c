/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "filter.h"

static const char usage[] = "usage: smtpf-opensmtpd [-c POLICY] [--check]\n"
                            "started by smtpd(8): filter NAME proc-exec \"smtpf-opensmtpd -c POLICY\"\n";

static int read_arguments(filter *f, int *check, int argc, char **argv)
{
  enum { CHECK = 256, HELP, VERSION };
  static const struct option options[] = {{"check", no_argument, NULL, CHECK},
                                          {"help", no_argument, NULL, HELP},
                                          {"version", no_argument, NULL, VERSION},
                                          {NULL, 0, NULL, 0}};
  int option;
  while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1)
    switch (option) {
    case 'c': f->policy.file = optarg; break;
    case CHECK: *check = 1; break;
    case HELP: fputs(usage, stdout); exit(EXIT_SUCCESS);
    case VERSION: printf("smtpf-opensmtpd %s\n", smtpf_version()); exit(EXIT_SUCCESS);
    default: return 0;
    }
  return optind == argc;
}

static void reload(filter *f)
{
  smtpf_engine *engine = host_policy_engine(&f->policy);
  fprintf(stderr, "smtpf-opensmtpd: %s\n", engine ? "new policy" : "the old policy serves on");
  if (!engine)
    return;
  smtpf_driver_set_engine(f->driver, engine);
  smtpf_engine_unref(f->engine);
  f->engine = engine;
}

static void take_signal(filter *f, int fd)
{
  struct signalfd_siginfo info;
  if (read(fd, &info, sizeof info) != (ssize_t)sizeof info)
    return;
  if (info.ssi_signo == SIGHUP)
    reload(f);
  else
    f->done = 1;
}

/* Until smtpd closes our input, or somebody asks us to end. */
static void run(filter *f, int signals)
{
  enum { IN, OUT, DRIVER, SIGNALS, N };
  while (!f->done) {
    struct pollfd p[N] = {{STDIN_FILENO, POLLIN, 0},
                          {f->out.n ? STDOUT_FILENO : -1, POLLOUT, 0},
                          {smtpf_driver_fd(f->driver), POLLIN, 0},
                          {signals, POLLIN, 0}};
    if (poll(p, N, -1) < 0 && errno != EINTR)
      return;
    if (p[SIGNALS].revents)
      take_signal(f, signals);
    if (p[DRIVER].revents)
      smtpf_driver_process(f->driver);
    if (p[IN].revents && talk_read(f))
      return;
    if (talk_write(f))
      return;
  }
}

static int block_signals(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void free_filter(filter *f)
{
  event_forget_all(f);
  smtpf_driver_free(f->driver);
  smtpf_engine_unref(f->engine);
  spool_cache_free(&f->cache);
  text_free(&f->in);
  text_free(&f->out);
  text_free(&f->log);
}

int main(int argc, char **argv)
{
  static filter f = {.spool_folder = "/var/tmp"};
  int check = 0;
  if (!read_arguments(&f, &check, argc, argv)) {
    fputs(usage, stderr);
    return EXIT_FAILURE;
  }
  const int signals = block_signals();
  f.engine = host_policy_engine(&f.policy);
  if (!f.engine)
    return EXIT_FAILURE;
  const int r = check ? SMTPF_OK : smtpf_driver_new(&f.driver, f.engine, NULL);
  if (r != SMTPF_OK)
    fprintf(stderr, "smtpf-opensmtpd: %s\n", smtpf_strerror(r));
  if (check)
    printf("policy is good: %s\n", f.policy.file ? f.policy.file : "(defaults)");
  if (r == SMTPF_OK && !check) {
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    smtpf_driver_set_ready(f.driver, event_ready, &f);
    run(&f, signals);
  }
  free_filter(&f);
  return r == SMTPF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
