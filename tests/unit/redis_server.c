/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "free_port.h"

/* Servers are started outside tests too, where nothing of libcheck may be called. */
#define must(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                  \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

static void nap(long ms)
{
  const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

int redis_is_there(void)
{
  const char *path = getenv("PATH");
  char name[512];
  while (path && *path) {
    const size_t n = strcspn(path, ":");
    snprintf(name, sizeof name, "%.*s/redis-server", (int)n, path);
    if (access(name, X_OK) == 0)
      return 1;
    path += n + (path[n] == ':');
  }
  return 0;
}

int redis_free_port(void)
{
  const unsigned port = free_port(SOCK_STREAM);
  must(port != 0);
  return (int)port;
}

static int reach(int port)
{
  const struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const struct timeval limit = {5, 0};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0)
    return fd;
  close(fd);
  return -1;
}

/* Without its end. */
static void read_line(int fd, char *line, size_t cap)
{
  size_t n = 0;
  char c = 0;
  while (n + 1 < cap && recv(fd, &c, 1, 0) == 1 && c != '\n')
    if (c != '\r')
      line[n++] = c;
  line[n] = '\0';
}

const char *redis_say(const redis_server *s, const char *words)
{
  static char line[512];
  const int fd = reach(s->port);
  line[0] = '\0';
  if (fd < 0)
    return line;
  if (send(fd, words, strlen(words), MSG_NOSIGNAL) > 0 && send(fd, "\r\n", 2, MSG_NOSIGNAL) > 0) {
    read_line(fd, line, sizeof line);
    if (line[0] == '$' && line[1] != '-')
      read_line(fd, line, sizeof line);
  }
  close(fd);
  return line;
}

static void await(const redis_server *s)
{
  for (int i = 0; i < 500; i++) {
    const char *answer = redis_say(s, "PING");
    if (strcmp(answer, "+PONG") == 0 || strncmp(answer, "-NOAUTH", 7) == 0)
      return;
    must(waitpid(s->pid, NULL, WNOHANG) == 0);
    nap(20);
  }
  must(0);
}

static void launch(redis_server *s, const char *const *more)
{
  char port[16], socket_path[96], log[96];
  const char *argv[32] = {"redis-server", "--port",      port,      "--bind",    "127.0.0.1", "--unixsocket",
                          socket_path,    "--dir",       s->folder, "--save",    "",          "--appendonly",
                          "no",           "--daemonize", "no",      "--logfile", log};
  size_t n = 17;
  snprintf(port, sizeof port, "%d", s->port);
  snprintf(socket_path, sizeof socket_path, "%s/sock", s->folder);
  snprintf(log, sizeof log, "%s/log", s->folder);
  snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
  snprintf(s->unix_address, sizeof s->unix_address, "unix:%s/sock", s->folder);
  for (size_t i = 0; more && more[i]; i++)
    argv[n++] = more[i];
  s->pid = fork();
  must(s->pid >= 0);
  if (s->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  await(s);
}

void redis_start(redis_server *s, const char *const *more)
{
  memset(s, 0, sizeof *s);
  snprintf(s->folder, sizeof s->folder, "/tmp/smtpf-redis-XXXXXX");
  must(mkdtemp(s->folder) != NULL);
  s->port = redis_free_port();
  launch(s, more);
}

void redis_start_sentinel(redis_server *s, const redis_server *master)
{
  char name[96];
  memset(s, 0, sizeof *s);
  snprintf(s->folder, sizeof s->folder, "/tmp/smtpf-redis-XXXXXX");
  must(mkdtemp(s->folder) != NULL);
  s->port = redis_free_port();
  snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
  snprintf(name, sizeof name, "%s/sentinel.conf", s->folder);
  FILE *f = fopen(name, "w");
  must(f != NULL);
  fprintf(f,
          "port %d\nbind 127.0.0.1\nlogfile %s/log\nsentinel monitor mail 127.0.0.1 %d 1\n"
          "sentinel down-after-milliseconds mail 500\nsentinel failover-timeout mail 3000\n",
          s->port, s->folder, master->port);
  fclose(f);
  s->pid = fork();
  must(s->pid >= 0);
  if (s->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", name, "--sentinel", (char *)NULL);
    _exit(127);
  }
  await(s);
}

/* Three nodes with a third of the slots each, which have met. */
void redis_start_cluster(redis_server nodes[3])
{
  static const char *const shares[] = {"0 5460", "5461 10922", "10923 16383"};
  char words[128], bus[3][16];
  for (int i = 0; i < 3; i++) {
    snprintf(bus[i], sizeof bus[i], "%d", redis_free_port());
    const char *const more[] = {"--cluster-enabled",
                                "yes",
                                "--cluster-port",
                                bus[i],
                                "--cluster-node-timeout",
                                "1000",
                                "--cluster-require-full-coverage",
                                "no",
                                NULL};
    redis_start(&nodes[i], more);
    snprintf(words, sizeof words, "CLUSTER ADDSLOTSRANGE %s", shares[i]);
    must(strcmp(redis_say(&nodes[i], words), "+OK") == 0);
    snprintf(words, sizeof words, "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
    must(strcmp(redis_say(&nodes[i], words), "+OK") == 0);
  }
  for (int i = 1; i < 3; i++) {
    snprintf(words, sizeof words, "CLUSTER MEET 127.0.0.1 %d %s", nodes[0].port, bus[0]);
    must(strcmp(redis_say(&nodes[i], words), "+OK") == 0);
  }
  for (int i = 0, well = 0; well < 9; i++) { /* each node knows whose every third is */
    must(i < 1000);
    well = 0;
    for (int k = 0; k < 9; k++) {
      static const char *const asks[] = {"GET {b}", "GET {c}", "GET {a}"}; /* slots 3300, 7365, 15495 */
      const char *answer = redis_say(&nodes[k / 3], asks[k % 3]);
      well += strcmp(answer, "$-1") == 0 || strncmp(answer, "-MOVED", 6) == 0;
    }
    nap(20);
  }
}

static void end(redis_server *s)
{
  kill(s->pid, SIGKILL);
  waitpid(s->pid, NULL, 0);
}

void redis_restart(redis_server *s, const char *const *more)
{
  end(s);
  launch(s, more);
}

void redis_stop(redis_server *s)
{
  static const char *const names[] = {"sock", "log", "nodes.conf", "dump.rdb", "sentinel.conf"};
  char path[128];
  end(s);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", s->folder, names[i]);
    unlink(path);
  }
  rmdir(s->folder);
}

/* ---- a fake ------------------------------------------------------------------------------------------- */

static void serve(int fd, const smtpf_str *says, size_t n)
{
  char bytes[65536];
  for (size_t i = 0; recv(fd, bytes, sizeof bytes, 0) > 0; i += i + 1 < n) {
    if (!says[i].n)
      break;
    for (size_t sent = 0; sent < says[i].n;) {
      const ssize_t k = send(fd, says[i].p + sent, says[i].n - sent, MSG_NOSIGNAL);
      if (k <= 0)
        break;
      sent += (size_t)k;
    }
  }
  close(fd);
}

static int listener(int *port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t n = sizeof a;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
  must(listen(fd, 16) == 0);
  must(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
  *port = ntohs(a.sin_port);
  return fd;
}

pid_t redis_fake(int *port, const smtpf_str *says, size_t n)
{
  const int fd = listener(port);
  const pid_t pid = fork();
  must(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      const int client = accept(fd, NULL, NULL);
      if (client >= 0)
        serve(client, says, n);
    }
  }
  close(fd);
  return pid;
}

void redis_fake_stop(pid_t pid)
{
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}
