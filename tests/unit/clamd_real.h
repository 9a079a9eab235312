/* SPDX-License-Identifier: MIT
 *
 * clamd_real: a clamd(8) with two signatures of ours, in a folder of its own, on loopback; ended by its number.
 */
#ifndef SMTPF_TESTS_CLAMD_REAL_H
#define SMTPF_TESTS_CLAMD_REAL_H

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The test file of EICAR, in two halves, so that no scanner takes this one for it. */
#define EICAR_FRONT "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-"
#define EICAR_BACK "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
#define CLAMD_MARKER "a marker that is a virus here"

typedef struct clamd_real {
  char folder[64], socket[100], conf[100], tcp[40];
  pid_t pid;
} clamd_real;

static inline const char *clamd_eicar(void)
{
  static char text[80];
  snprintf(text, sizeof text, "%s%s", EICAR_FRONT, EICAR_BACK);
  return text;
}

static inline int clamd_port(void)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
    abort();
  close(fd);
  return ntohs(a.sin_port);
}

static inline void clamd_signature(FILE *f, const char *name, const char *text)
{
  fprintf(f, "%s:0:*:", name);
  for (; *text; text++)
    fprintf(f, "%02x", (unsigned)(unsigned char)*text);
  fputc('\n', f);
}

static inline FILE *clamd_file(const clamd_real *c, const char *name)
{
  char path[160];
  snprintf(path, sizeof path, "%s/%s", c->folder, name);
  FILE *f = fopen(path, "w");
  if (!f)
    abort();
  return f;
}

static inline int clamd_on_path(const char *program)
{
  char command[100];
  snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
  return system(command) == 0;
}

static inline int clamd_listens(const clamd_real *c)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", c->socket);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const int r = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
  close(fd);
  return r;
}

/* 1 when it listens; 0: `why` says what is missing. */
static inline int clamd_start(clamd_real *c, int threads, const char **why)
{
  char path[160];
  memset(c, 0, sizeof *c);
  *why = "no clamd (Debian package clamav-daemon)";
  if (!clamd_on_path("clamd"))
    return 0;
  snprintf(c->folder, sizeof c->folder, "/tmp/clamd-real-XXXXXX");
  if (!mkdtemp(c->folder) || chmod(c->folder, 0755) != 0)
    abort();
  snprintf(path, sizeof path, "%s/db", c->folder);
  const int port = clamd_port();
  if (mkdir(path, 0755) != 0)
    abort();
  snprintf(c->socket, sizeof c->socket, "%s/socket", c->folder);
  snprintf(c->conf, sizeof c->conf, "%s/conf", c->folder);
  snprintf(c->tcp, sizeof c->tcp, "127.0.0.1:%d", port);
  FILE *f = clamd_file(c, "db/own.ndb");
  clamd_signature(f, "Own.Eicar", clamd_eicar());
  clamd_signature(f, "Own.Marker", CLAMD_MARKER);
  fclose(f);
  f = clamd_file(c, "conf");
  fprintf(
      f,
      "Foreground yes\nLocalSocket %s\nLocalSocketMode 666\nTCPSocket %d\nTCPAddr 127.0.0.1\nDatabaseDirectory %s/db\n"
      "OfficialDatabaseOnly no\nLogFile %s/log\nTemporaryDirectory %s\nStreamMaxLength 5M\nMaxThreads %d\n"
      "SelfCheck 0\nUser root\nMaxConnectionQueueLength 200\n",
      c->socket, port, c->folder, c->folder, c->folder, threads);
  fclose(f);
  c->pid = fork();
  if (c->pid == 0) {
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
      _exit(127);
    execlp("clamd", "clamd", "-c", c->conf, (char *)NULL);
    _exit(127);
  }
  *why = "clamd does not start here";
  for (int i = 0; i < 600 && waitpid(c->pid, NULL, WNOHANG) == 0; i++) {
    if (clamd_listens(c))
      return 1;
    nanosleep(&(struct timespec){0, 50000000}, NULL);
  }
  return 0;
}

static inline void clamd_stop(clamd_real *c)
{
  static const char *const files[] = {"db/own.ndb", "db", "conf", "log", "socket", "message"};
  char path[160];
  if (c->pid > 0) {
    kill(c->pid, SIGTERM);
    for (int i = 0; i < 100 && waitpid(c->pid, NULL, WNOHANG) == 0; i++)
      nanosleep(&(struct timespec){0, 50000000}, NULL);
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
  }
  for (size_t i = 0; c->folder[0] && i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", c->folder, files[i]);
    (void)remove(path);
  }
  if (c->folder[0])
    (void)rmdir(c->folder);
}

#endif
