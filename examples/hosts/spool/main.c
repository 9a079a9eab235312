/* SPDX-License-Identifier: MIT
 *
 * A host that spools: an SMTP server on loopback that answers 250 only for what it will still know after a crash. One
 * thread, many clients: what they promise in one turn of the loop shares one sync of the journal.
 *
 *     spoold FOLDER [--port PORT] [-c POLICY] [--set PATH=VALUE]...
 *
 * Prints the port it listens on. Besides the library's options it knows `journal.path`, where the journal is
 * when it is not FOLDER/journal. It edits no header fields, so it does not say that it can.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <smtpfilter/ext/check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

enum { CLIENTS = 64 };

static const smtpf_option options[] = {
    {"journal.path", SMTPF_OPTION_STRING, "", 0, 0, NULL, "Where the journal is; empty for the folder."},
};

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
  (void)signal_number;
  stopping = 1;
}

/* ---- the loop -------------------------------------------------------------------------------------- */

typedef struct server {
  int listener;
  smtpf_driver *driver;
  spool spool;
  client *clients[CLIENTS];
} server;

static void ready(void *user, smtpf_session *session)
{
  (void)user;
  client_ready(smtpf_session_user(session));
}

static void take_client(server *v)
{
  struct sockaddr_in from;
  socklen_t n = sizeof from;
  char address[INET_ADDRSTRLEN] = "";
  size_t i = 0;
  int fd = accept(v->listener, (struct sockaddr *)&from, &n);
  while (i < CLIENTS && v->clients[i])
    i++;
  if (fd < 0)
    return;
  if (i == CLIENTS || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    close(fd);
    return;
  }
  inet_ntop(AF_INET, &from.sin_addr, address, sizeof address);
  v->clients[i] = client_new(fd, (smtpf_str){address, strlen(address)}, v->driver, &v->spool);
}

static void turn(server *v)
{
  struct pollfd set[CLIENTS + 2] = {{v->listener, POLLIN, 0}, {smtpf_driver_fd(v->driver), POLLIN, 0}};
  client *of[CLIENTS + 2];
  nfds_t n = 2;
  for (size_t i = 0; i < CLIENTS; i++)
    if (v->clients[i]) {
      /* Of a client whose verdict is due nothing is read; that it has gone is seen all the same. */
      set[n] = (struct pollfd){v->clients[i]->fd, v->clients[i]->waiting ? 0 : POLLIN, 0};
      of[n++] = v->clients[i];
    }
  if (poll(set, n, -1) < 0)
    return;
  for (nfds_t i = 2; i < n; i++)
    if (set[i].revents & (POLLERR | POLLHUP | POLLNVAL) && of[i]->waiting)
      of[i]->closed = 1;
    else if (set[i].revents)
      client_read(of[i]);
  if (set[0].revents)
    take_client(v);
  smtpf_driver_process(v->driver);
  for (size_t i = 0; i < CLIENTS; i++)
    if (v->clients[i] && v->clients[i]->closed) {
      client_free(v->clients[i]);
      v->clients[i] = NULL;
    }
}

/* ---- the beginning and the end --------------------------------------------------------------------- */

static int listen_on(uint16_t port)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t n = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
      bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, CLIENTS) != 0 ||
      getsockname(fd, (struct sockaddr *)&at, &n) != 0) {
    fprintf(stderr, "cannot listen: %s\n", strerror(errno));
    return -1;
  }
  printf("%u\n", (unsigned)ntohs(at.sin_port));
  fflush(stdout);
  return fd;
}

static int serve(smtpf_engine *engine, const char *folder, uint16_t port)
{
  server v = {.listener = -1};
  int good = spool_open(&v.spool, folder, engine);
  if (good)
    spool_finish(&v.spool, NULL); /* before anybody is served: what was promised before a crash */
  smtpf_ports ports = {.size = sizeof ports,
                       .store = memory_port(),
                       .store_shared = v.spool.memory,
                       .journal = smtpf_journal_file(),
                       .journal_shared = v.spool.journal};
  good = good && smtpf_driver_new(&v.driver, engine, &ports) == SMTPF_OK && (v.listener = listen_on(port)) >= 0;
  if (good)
    smtpf_driver_set_ready(v.driver, ready, NULL);
  while (good && !stopping)
    turn(&v);
  for (size_t i = 0; i < CLIENTS; i++)
    client_free(v.clients[i]);
  if (v.listener >= 0)
    close(v.listener);
  smtpf_driver_free(v.driver);
  spool_close(&v.spool);
  return good ? 0 : 1;
}

static int set_option(smtpf_config *config, char *pair, smtpf_error *err)
{
  char *value = strchr(pair, '=');
  if (!value)
    return SMTPF_EINVAL;
  *value++ = '\0';
  return smtpf_config_set(config, pair, value, err);
}

int main(int argc, char **argv)
{
  static const struct option words[] = {
      {"port", required_argument, NULL, 'p'}, {"set", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_error err = {.size = sizeof err};
  unsigned long port = 0;
  int option, r = smtpf_config_new(&config, NULL);
  if (r == SMTPF_OK)
    r = smtpf_config_add_options(config, options, sizeof options / sizeof *options);
  while (r == SMTPF_OK && (option = getopt_long(argc, argv, "c:", words, NULL)) != -1)
    switch (option) {
    case 'c': r = smtpf_config_load(config, optarg, &err); break;
    case 'p': port = strtoul(optarg, NULL, 10); break;
    case 's': r = set_option(config, optarg, &err); break;
    default: r = SMTPF_EINVAL;
    }
  if (r == SMTPF_OK && (optind + 1 != argc || port > 65535))
    r = SMTPF_EINVAL;
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&engine, config, &err);
  smtpf_config_free(config);
  if (r != SMTPF_OK) {
    fprintf(stderr, "%s:%d: %s\n", err.file, err.line, err.text[0] ? err.text : smtpf_strerror(r));
    return 2;
  }
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
  int status = serve(engine, argv[optind], (uint16_t)port);
  smtpf_engine_unref(engine);
  return status;
}
