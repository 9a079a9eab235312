/* SPDX-License-Identifier: MIT
 *
 * A mail server for many clients, whose poll set is its own: the driver's descriptors lie in it beside the clients',
 * and the driver's deadline bounds the wait. Messages that are taken are appended to a file. It ends with its standard
 * input.
 *
 *     06-poll POLICY PORT FILE
 */
#include <arpa/inet.h>
#include <poll.h>
#include <smtpfilter/smtpfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 64, DRIVER_FDS = 64 };

struct client {
  int fd, pending; /* pending: the last event is not through yet, so nothing more is read */
  smtpf_session *session;
  smtpf_smtpd *codec;
  smtpf_smtpd_event ev; /* the last one */
  char in[4096];
  size_t at, n; /* what was read and not taken up */
  char *message;
  size_t size;
  FILE *stream; /* writes to `message` */
};

static struct client clients[CLIENTS];
static FILE *mailbox;

static void leave(struct client *c)
{
  smtpf_session_abort(c->session);
  smtpf_session_free(c->session);
  smtpf_smtpd_free(c->codec);
  if (c->stream)
    fclose(c->stream);
  free(c->message);
  close(c->fd);
  *c = (struct client){.fd = -1};
}

/* The copy is durable before anybody is told 250. */
static int store(struct client *c)
{
  return fflush(c->stream) == 0 && fwrite(c->message, 1, c->size, mailbox) == c->size && fflush(mailbox) == 0 &&
         fsync(fileno(mailbox)) == 0;
}

/* The verdict is there: commit where it takes a message, else answer. A blocking write is enough for an example. */
static void answer(struct client *c)
{
  char reply[SMTPF_REPLY_MAX];
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  if (smtpf_verdict_stage(v) == SMTPF_EOM && c->stream) {
    const int taken = smtpf_verdict_action(v) == SMTPF_ACCEPT;
    const int result = taken && store(c) ? SMTPF_COMMIT_OK : SMTPF_COMMIT_FAILED;
    fclose(c->stream);
    c->stream = NULL;
    if (taken && smtpf_session_commit(c->session, SMTPF_ALL, result) == SMTPF_PENDING) {
      c->pending = 1;
      return;
    }
  }
  const int n = smtpf_smtpd_answer(c->codec, smtpf_session_verdict(c->session), reply, sizeof reply);
  const int closes = smtpf_verdict_closes(smtpf_session_verdict(c->session));
  if (n < 0 || (n > 0 && write(c->fd, reply, (size_t)n) != n) || closes)
    leave(c);
}

static void keep(struct client *c, smtpf_str piece)
{
  if (!c->stream) {
    free(c->message);
    c->message = NULL;
    c->stream = open_memstream(&c->message, &c->size);
  }
  if (c->stream)
    fwrite(piece.p, 1, piece.n, c->stream);
}

/* Tells the session the last event, or what it did not take of a piece of the message. */
static void tell(struct client *c)
{
  const int result = smtpf_smtpd_apply(c->codec, c->session, &c->ev);
  c->pending = result == SMTPF_PENDING;
  if (result != SMTPF_OK && result != SMTPF_PENDING)
    leave(c);
  else if (result == SMTPF_OK && c->ev.kind != SMTPF_SMTPD_BODY)
    answer(c);
}

/* Takes up what the client has said, until something must be waited for. */
static void go_on(struct client *c)
{
  while (c->fd >= 0 && !c->pending) {
    const char *p = c->in + c->at;
    size_t left = c->n - c->at;
    if (smtpf_smtpd_next(c->codec, &p, &left, &c->ev) != SMTPF_OK) {
      c->at = c->n = 0; /* parts of lines are kept by the codec */
      return;
    }
    c->at = c->n - left;
    if (c->ev.kind == SMTPF_SMTPD_BODY)
      keep(c, c->ev.body);
    tell(c);
  }
}

static void ready(void *user, smtpf_session *session)
{
  struct client *c = smtpf_session_user(session);
  (void)user;
  c->pending = 0;
  if (c->ev.kind == SMTPF_SMTPD_BODY)
    tell(c);
  else
    answer(c);
  go_on(c);
}

static void take(smtpf_driver *driver, int listener)
{
  static const smtpf_smtpd_options options = {.size = sizeof options, .hostname = {"mx.example.net", 14}};
  struct sockaddr_in from;
  socklen_t n = sizeof from;
  char text[INET_ADDRSTRLEN];
  size_t i = 0;
  const int fd = accept(listener, (struct sockaddr *)&from, &n);
  while (i < CLIENTS && clients[i].fd >= 0)
    i++;
  if (fd < 0 || i == CLIENTS) {
    if (fd >= 0)
      close(fd);
    return;
  }
  struct client *c = &clients[i];
  const smtpf_session_options mine = {
      .size = sizeof mine, .user = c, .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_REPORT_COMMIT};
  c->fd = fd;
  inet_ntop(AF_INET, &from.sin_addr, text, sizeof text);
  if (smtpf_session_new(&c->session, driver, &mine) || smtpf_smtpd_new(&c->codec, &options, NULL)) {
    leave(c);
    return;
  }
  const smtpf_peer peer = {.size = sizeof peer, .address = {text, strlen(text)}, .port = ntohs(from.sin_port)};
  if (smtpf_session_connect(c->session, &peer) == SMTPF_PENDING)
    c->pending = 1;
  else
    answer(c);
}

/* Everything in one set: standard input, the listener, the clients, the driver's. */
static void serve(smtpf_driver *driver, int listener)
{
  for (;;) {
    struct pollfd set[2 + CLIENTS + DRIVER_FDS] = {{STDIN_FILENO, POLLIN, 0}, {listener, POLLIN, 0}};
    smtpf_pollfd wanted[DRIVER_FDS];
    const size_t theirs = smtpf_driver_fds(driver, wanted, DRIVER_FDS);
    nfds_t n = 2;
    for (size_t i = 0; i < CLIENTS; i++, n++)
      set[n] = (struct pollfd){clients[i].pending ? -1 : clients[i].fd, POLLIN, 0};
    for (size_t i = 0; i < theirs && i < DRIVER_FDS; i++, n++)
      set[n] = (struct pollfd){
          wanted[i].fd,
          (short)((wanted[i].events & SMTPF_FD_READ ? POLLIN : 0) | (wanted[i].events & SMTPF_FD_WRITE ? POLLOUT : 0)),
          0};
    if (poll(set, n, (int)smtpf_driver_deadline(driver)) < 0 || set[0].revents)
      return;
    smtpf_driver_process(driver);
    for (size_t i = 0; i < CLIENTS; i++) {
      struct client *c = &clients[i];
      if (c->fd < 0 || c->pending || set[2 + i].fd != c->fd || !set[2 + i].revents)
        continue;
      const ssize_t got = read(c->fd, c->in, sizeof c->in);
      c->n = got > 0 ? (size_t)got : 0;
      c->at = 0;
      if (got > 0)
        go_on(c);
      else
        leave(c);
    }
    if (set[1].revents)
      take(driver, listener);
  }
}

static int listen_on(const char *port)
{
  struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
  socklen_t n = sizeof sa;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, CLIENTS) ||
      getsockname(fd, (struct sockaddr *)&sa, &n))
    return -1;
  printf("listening on 127.0.0.1:%u\n", ntohs(sa.sin_port));
  return fflush(stdout) ? -1 : fd;
}

int main(int argc, char **argv)
{
  smtpf_config *config = NULL;
  smtpf_engine *engine = NULL;
  smtpf_driver *driver = NULL;
  smtpf_error err = {.size = sizeof err};
  int listener = -1;

  for (size_t i = 0; i < CLIENTS; i++)
    clients[i].fd = -1;
  mailbox = argc == 4 ? fopen(argv[3], "ab") : NULL;
  if (!mailbox || smtpf_config_new(&config, NULL) || smtpf_config_load(config, argv[1], &err) ||
      smtpf_engine_new(&engine, config, &err) || smtpf_driver_new(&driver, engine, NULL) ||
      (listener = listen_on(argv[2])) < 0) {
    fprintf(stderr, "%s:%d: %s\n", err.file, err.line, err.text);
  } else {
    smtpf_driver_set_ready(driver, ready, NULL);
    serve(driver, listener);
  }
  for (size_t i = 0; i < CLIENTS; i++)
    if (clients[i].fd >= 0)
      leave(&clients[i]);
  smtpf_driver_free(driver);
  smtpf_engine_unref(engine);
  smtpf_config_free(config);
  return listener < 0 || fclose(mailbox);
}
