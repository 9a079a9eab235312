/* SPDX-License-Identifier: MIT
 *
 * 50 messages at a time to one clamd: through sessions of the library, and by a client that does nothing but talk to
 * it, a connection for each message, as clamdscan does. Turn about, in one run, each the same number of messages.
 * Without clamd there is nothing to measure.
 */
#include <errno.h>
#include <poll.h>
#include <smtpfilter/smtpfilter.h>

#include <arpa/inet.h>
#include <sys/resource.h>

#include "unit/clamd_real.h"

enum { AT_ONCE = 50, MESSAGES = 1000, SIZE = 50000, ROUNDS = 7, SLOW = 500 };

static char message[SIZE];
static clamd_real real;

static void must(int holds, const char *what)
{
  if (holds)
    return;
  fprintf(stderr, "bench_scanner: %s (%s)\n", what, strerror(errno));
  clamd_stop(&real);
  exit(1);
}

static double seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- a client that does nothing else ---------------------------------------------------------------------------- */

typedef struct client {
  int fd;
  size_t at, n;
  char bytes[SIZE + 64];
} client;

static client clients[AT_ONCE];

static void begin(client *c)
{
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  const uint32_t size = htonl(SIZE), end = 0;
  snprintf(a.sun_path, sizeof a.sun_path, "%s", real.socket);
  c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
  must(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0, "connect");
  memcpy(c->bytes, "zINSTREAM", 10);
  memcpy(c->bytes + 10, &size, 4);
  memcpy(c->bytes + 14, message, SIZE);
  memcpy(c->bytes + 14 + SIZE, &end, 4);
  c->n = 18 + SIZE;
  c->at = 0;
}

/* 1 when its answer is there. */
static int go_on(client *c)
{
  char answer[100];
  ssize_t r;
  if (c->at < c->n) {
    r = send(c->fd, c->bytes + c->at, c->n - c->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    must(r > 0 || errno == EAGAIN, "send");
    c->at += r > 0 ? (size_t)r : 0;
    return 0;
  }
  r = recv(c->fd, answer, sizeof answer, 0);
  must(r == 11 && memcmp(answer, "stream: OK", 11) == 0, "answer");
  close(c->fd);
  return 1;
}

static double direct(void)
{
  struct pollfd p[AT_ONCE];
  int begun = AT_ONCE, done = 0;
  const double start = seconds();
  for (int i = 0; i < AT_ONCE; i++)
    begin(&clients[i]);
  while (done < MESSAGES) {
    for (int i = 0; i < AT_ONCE; i++)
      p[i] = (struct pollfd){clients[i].fd, clients[i].at < clients[i].n ? POLLOUT : POLLIN, 0};
    must(poll(p, AT_ONCE, 10000) > 0, "poll");
    for (int i = 0; i < AT_ONCE; i++) {
      if (p[i].fd < 0 || !p[i].revents || !go_on(&clients[i]))
        continue;
      done++;
      if (begun++ < MESSAGES)
        begin(&clients[i]);
      else
        clients[i].fd = -1;
    }
  }
  return MESSAGES / (seconds() - start);
}

/* ---- the library ------------------------------------------------------------------------------------------------ */

static void set(smtpf_config *cfg, const char *path, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  if (smtpf_config_set(cfg, path, value, &err) == SMTPF_OK)
    return;
  fprintf(stderr, "%s\n", err.text);
  must(0, path);
}

static smtpf_driver *driver_of(const char *connections, const char *descriptor, const char *server)
{
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_error err = {.size = sizeof err};
  must(smtpf_config_new(&cfg, NULL) == SMTPF_OK, "config");
  set(cfg, "local_domains", "x.example");
  set(cfg, "scanners[\"av\"].type", "clamd");
  set(cfg, "scanners[\"av\"].kind", "virus");
  set(cfg, "scanners[\"av\"].connections", connections);
  set(cfg, "scanners[\"av\"].descriptor", descriptor);
  must(smtpf_config_append(cfg, "scanners[\"av\"].servers", server, &err) == SMTPF_OK, err.text);
  set(cfg, "spool.path", real.folder);
  must(smtpf_engine_new(&engine, cfg, &err) == SMTPF_OK, err.text);
  must(smtpf_driver_new(&driver, engine, NULL) == SMTPF_OK, "driver");
  smtpf_engine_unref(engine);
  smtpf_config_free(cfg);
  return driver;
}

static void settled(smtpf_session *s, int r)
{
  must(r == SMTPF_OK || (r == SMTPF_PENDING && smtpf_session_wait(s, 10000) == SMTPF_OK), "event");
}

static smtpf_session *letter(smtpf_driver *d)
{
  smtpf_session *s;
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.1")};
  const smtpf_session_options options = {.size = sizeof options, .capabilities = SMTPF_CAN_SEE_BODY};
  size_t took = 0;
  must(smtpf_session_new(&s, d, &options) == SMTPF_OK, "session");
  settled(s, smtpf_session_connect(s, &peer));
  settled(s, smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("client.example")));
  settled(s, smtpf_session_mail(s, SMTPF_LIT("<>"), (smtpf_str){"", 0}));
  settled(s, smtpf_session_rcpt(s, SMTPF_LIT("<b@x.example>"), (smtpf_str){"", 0}));
  settled(s, smtpf_session_data(s));
  must(smtpf_session_body(s, message, SIZE, &took) == SMTPF_OK && took == SIZE, "body");
  must(smtpf_session_eom(s) >= SMTPF_OK, "end of message");
  return s;
}

/* `want`: the code every message is answered with; 0: as it comes. */
static int finished(smtpf_session *s, int want)
{
  const smtpf_verdict *v = smtpf_session_verdict(s);
  if (!v || smtpf_verdict_stage(v) != SMTPF_EOM)
    return 0;
  must(!want || smtpf_verdict_code(v) == want, "a message was not judged as it should be");
  smtpf_session_free(s);
  return 1;
}

static double library(smtpf_driver *d)
{
  smtpf_session *s[AT_ONCE];
  int begun = AT_ONCE, done = 0;
  const double start = seconds();
  for (int i = 0; i < AT_ONCE; i++)
    s[i] = letter(d);
  while (done < MESSAGES) {
    struct pollfd p = {smtpf_driver_fd(d), POLLIN, 0};
    must(poll(&p, 1, 10000) > 0, "poll");
    must(smtpf_driver_process(d) >= SMTPF_OK, "process");
    for (int i = 0; i < AT_ONCE; i++) {
      if (!s[i] || !finished(s[i], 250))
        continue;
      done++;
      s[i] = begun++ < MESSAGES ? letter(d) : NULL;
    }
  }
  return MESSAGES / (seconds() - start);
}

/* ---- 500 scans whose server never answers ----------------------------------------------------------------------- */

static long resident(void)
{
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  must(f && fscanf(f, "%*d %ld", &pages) == 1, "statm");
  fclose(f);
  return pages * sysconf(_SC_PAGESIZE);
}

static long slow_bytes(void)
{
  static smtpf_session *s[SLOW];
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  char server[140];
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(a.sun_path, sizeof a.sun_path, "%s/message", real.folder);
  snprintf(server, sizeof server, "unix:%s", a.sun_path);
  must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 100) == 0, "listen");
  smtpf_driver *d = driver_of("8", "false", server);
  const long before = resident();
  for (int i = 0; i < SLOW; i++)
    s[i] = letter(d);
  smtpf_driver_process(d);
  const long bytes = resident() - before;
  for (int i = 0; i < SLOW; i++)
    smtpf_session_free(s[i]);
  smtpf_driver_free(d);
  close(fd);
  unlink(a.sun_path);
  return bytes / SLOW;
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v)
{
  qsort(v, ROUNDS, sizeof *v, ascending);
  return v[ROUNDS / 2];
}

int main(void)
{
  enum { WAYS = 4 };
  const char *why = NULL;
  char address[140];
  double rate[WAYS][ROUNDS], ratio[WAYS][ROUNDS];
  const int there = clamd_start(&real, 4, &why);
  must(there, why);
  snprintf(address, sizeof address, "unix:%s", real.socket);
  memset(message, 'a', SIZE);
  memcpy(message, "Subject: x\r\n\r\n", 14);
  for (size_t i = 70; i < SIZE; i += 72)
    memcpy(message + i, "\r\n", 2);
  smtpf_driver *drivers[WAYS] = {NULL, driver_of("8", "false", address), driver_of("50", "false", address),
                                 driver_of("8", "true", address)};
  for (int round = 0; round < ROUNDS; round++)
    for (int way = 0; way < WAYS; way++) {
      rate[way][round] = way ? library(drivers[way]) : direct();
      ratio[way][round] = rate[way][round] / rate[0][round];
    }
  for (int way = 1; way < WAYS; way++)
    smtpf_driver_free(drivers[way]);
  printf("{\"name\": \"scanner\", \"library_vs_clamd\": %.3f, \"library_50_connections_vs_clamd\": %.3f, "
         "\"library_descriptor_vs_clamd\": %.3f, \"clamd_messages_per_second\": %.0f, \"library_messages_per_second\": "
         "%.0f, "
         "\"messages_at_once\": %d, \"message_bytes\": %d, \"slow_scan_bytes\": %ld}\n",
         median(ratio[1]), median(ratio[2]), median(ratio[3]), median(rate[0]), median(rate[1]), AT_ONCE, SIZE,
         slow_bytes());
  clamd_stop(&real);
  return 0;
}
