/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "port_dns_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "free_port.h"

enum { ROOM = 4096, HEADER = 12, TRIES = 20 };

static struct sockaddr_in loopback(unsigned port)
{
  struct sockaddr_in a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((uint16_t)port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static int listen_on(int type, unsigned *port)
{
  struct sockaddr_in a = loopback(*port);
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0 ||
      (type == SOCK_STREAM && listen(fd, 16) != 0)) {
    if (fd >= 0)
      close(fd);
    return -1;
  }
  *port = ntohs(a.sin_port);
  return fd;
}

/* ---- our own -------------------------------------------------------------------------------------------- */

/* Bytes of the header and the first question; 0 when it is none. */
static size_t question(const unsigned char *q, size_t n)
{
  size_t at = HEADER;
  while (at < n && q[at])
    at += q[at] + 1u;
  return at + 5 <= n ? at + 5 : 0;
}

/* A response to `q`: its question, `records` times 192.0.2.`last`. */
static size_t respond(const unsigned char *q, size_t end, unsigned flags, unsigned records, unsigned char last,
                      unsigned char *out)
{
  static const unsigned char a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2};
  memcpy(out, q, end);
  out[2] = (unsigned char)(flags >> 8);
  out[3] = (unsigned char)flags;
  out[6] = (unsigned char)(records >> 8);
  out[7] = (unsigned char)records;
  memset(out + 8, 0, 4);
  for (unsigned i = 0; i < records; i++) {
    memcpy(out + end, a, sizeof a);
    out[end + sizeof a] = last;
    end += sizeof a + 1;
  }
  return end;
}

static int is(const unsigned char *q, const char *label)
{
  return q[HEADER] == strlen(label) && memcmp(q + HEADER + 1, label, strlen(label)) == 0;
}

static void answer_datagram(int fd)
{
  unsigned char q[ROOM], out[ROOM];
  static unsigned seconds;
  struct sockaddr_in from;
  socklen_t from_n = sizeof from;
  ssize_t got = recvfrom(fd, q, sizeof q, 0, (struct sockaddr *)&from, &from_n);
  size_t end = got > HEADER ? question(q, (size_t)got) : 0, n = 0;
  if (!end)
    return;
#define SEND(size) (void)!sendto(fd, out, (size), 0, (struct sockaddr *)&from, from_n)
  if (is(q, "good") || (is(q, "second") && seconds++ > 0)) {
    n = respond(q, end, 0x8180, 1, 1, out);
  } else if (is(q, "servfail") || is(q, "refused")) {
    n = respond(q, end, is(q, "servfail") ? 0x8182 : 0x8185, 0, 0, out);
  } else if (is(q, "truncated")) {
    n = respond(q, end, 0x8380, 0, 0, out);
  } else if (is(q, "garbage")) {
    memset(out, 0xfe, 300);
    memcpy(out, q, 2); /* the right id is all that is right */
    n = 300;
  } else if (is(q, "short")) {
    memcpy(out, q, n = 6);
  } else if (is(q, "forged")) {
    n = respond(q, end, 0x8180, 1, 66, out);
    out[0] ^= 0xff;
    SEND(n);
    n = respond(q, end, 0x8180, 1, 66, out);
    out[HEADER + 1] = 'x';
    SEND(n);
    n = respond(q, end, 0x8180, 1, 1, out);
  }
  if (n)
    SEND(n);
#undef SEND
}

static void answer_stream(int listener)
{
  unsigned char q[ROOM], out[ROOM + 2];
  int fd = accept(listener, NULL, NULL);
  struct pollfd p = {fd, POLLIN, 0};
  size_t n = 0;
  while (fd >= 0 && n < sizeof q && poll(&p, 1, 2000) == 1) {
    ssize_t got = read(fd, q + n, sizeof q - n);
    if (got <= 0)
      break;
    n += (size_t)got;
    if (n < 2 || n < 2u + (size_t)(q[0] << 8 | q[1]))
      continue;
    size_t end = question(q + 2, n - 2);
    size_t size = end ? respond(q + 2, end, 0x8180, 100, 1, out + 2) : 0;
    out[0] = (unsigned char)(size >> 8);
    out[1] = (unsigned char)size;
    (void)!write(fd, out, 1); /* in two pieces */
    (void)!write(fd, out + 1, size + 1);
    n = 0;
  }
  if (fd >= 0)
    close(fd);
}

/* Datagrams and streams on one port: of one that is free for the former somebody may have the latter. */
static int listen_on_both(unsigned *port, int *datagrams, int *streams)
{
  for (int i = 0; i < TRIES; i++) {
    *port = 0;
    *datagrams = listen_on(SOCK_DGRAM, port);
    *streams = *datagrams < 0 ? -1 : listen_on(SOCK_STREAM, port);
    if (*streams >= 0)
      return 1;
    if (*datagrams >= 0)
      close(*datagrams);
  }
  return 0;
}

dns_server dns_server_start(void)
{
  dns_server s = {0, 0, "", "no socket"};
  int datagrams, streams;
  if (!listen_on_both(&s.port, &datagrams, &streams))
    return s;
  if ((s.pid = fork()) == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd p[2] = {{datagrams, POLLIN, 0}, {streams, POLLIN, 0}};
    while (poll(p, 2, 120000) > 0) { /* two quiet minutes end it in any case */
      if (p[0].revents)
        answer_datagram(datagrams);
      if (p[1].revents)
        answer_stream(streams);
    }
    _exit(0);
  }
  close(datagrams);
  close(streams);
  return s;
}

/* ---- rbldnsd -------------------------------------------------------------------------------------------- */

static const char *const files[][2] = {
    {"ip4set", "$SOA 300 ns.bl.example. hostmaster.bl.example. 1 3600 600 86400 60\n"
               "$NS 300 ns.bl.example.\n"
               ":127.0.0.2:Listed, see http://bl.example/?$\n"
               "192.0.2.0/24\n"
               "!192.0.2.7\n"},
    {"generic", "$SOA 300 ns.zone.example. hostmaster.zone.example. 1 3600 600 86400 60\n"
                "host A 192.0.2.55\n"
                "host TXT \"hello\"\n"
                "@ MX 10 mx.zone.example\n"},
};

static int write_files(const char *folder)
{
  char path[128];
  int ok = chmod(folder, 0755) == 0;
  for (size_t i = 0; ok && i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, files[i][0]);
    FILE *f = fopen(path, "w");
    ok = f && fputs(files[i][1], f) >= 0;
    ok = f && fclose(f) == 0 && ok;
  }
  return ok;
}

/* Asks until something comes back, five seconds at most. */
static int answers(unsigned port)
{
  static const unsigned char q[] = {0,   1,   1, 0,   0,   1,   0,   0,   0,   0,   0, 0, 4,  'z', 'o',
                                    'n', 'e', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 15, 0,   1};
  struct sockaddr_in a = loopback(port);
  unsigned char room[ROOM];
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), up = 0;
  if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
    for (int i = 0; i < 100 && !up; i++) {
      struct pollfd p = {fd, POLLIN, 0};
      (void)!send(fd, q, sizeof q, 0);
      up = poll(&p, 1, 50) == 1 && recv(fd, room, sizeof room, 0) > 0;
      if (!up)
        (void)poll(NULL, 0, 50); /* refused at once: nobody there yet */
    }
  if (fd >= 0)
    close(fd);
  return up;
}

/* 1 when rbldnsd is somewhere on PATH or among the system's daemons. */
static int find_rbldnsd(char *out, size_t cap)
{
  const char *path = getenv("PATH");
  for (const char *p = path ? path : ""; *p; p += strcspn(p, ":") + (p[strcspn(p, ":")] == ':')) {
    snprintf(out, cap, "%.*s/rbldnsd", (int)strcspn(p, ":"), p);
    if (access(out, X_OK) == 0)
      return 1;
  }
  snprintf(out, cap, "/usr/sbin/rbldnsd");
  return access(out, X_OK) == 0;
}

/* One try: until it is started, somebody else may take its port. */
static dns_server start_rbldnsd(const char *program)
{
  dns_server s = {0, free_port(SOCK_DGRAM), "", "no temporary folder"};
  char address[32];
  snprintf(s.folder, sizeof s.folder, "/tmp/smtpf-dns-XXXXXX");
  if (!s.port || !mkdtemp(s.folder) || !write_files(s.folder))
    return s;
  snprintf(address, sizeof address, "127.0.0.1/%u", s.port);
  s.pid = fork();
  if (s.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) {
      dup2(null, 1);
      dup2(null, 2);
    }
    const char *zones[] = {"bl.example:ip4set:ip4set", "zone.example:generic:generic"};
    if (geteuid() == 0) /* it refuses to run as root */
      execl(program, program, "-n", "-q", "-u", "nobody:nogroup", "-b", address, "-w", s.folder, zones[0], zones[1],
            (char *)NULL);
    else
      execl(program, program, "-n", "-q", "-b", address, "-w", s.folder, zones[0], zones[1], (char *)NULL);
    _exit(127);
  }
  if (s.pid > 0 && !answers(s.port))
    dns_server_stop(&s);
  return s;
}

dns_server dns_server_rbldnsd(void)
{
  dns_server s = {0, 0, "", "rbldnsd is not installed"};
  char program[512];
  for (int i = 0; i < 3 && s.pid <= 0 && find_rbldnsd(program, sizeof program); i++)
    s = start_rbldnsd(program);
  return s;
}

void dns_server_stop(dns_server *s)
{
  char path[128];
  if (s->pid > 0) {
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
  }
  for (size_t i = 0; s->folder[0] && i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "%s/%s", s->folder, files[i][0]);
    unlink(path);
  }
  if (s->folder[0])
    rmdir(s->folder);
  *s = (dns_server){0, 0, "", "it does not answer"};
}
