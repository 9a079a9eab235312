/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "callout_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "port/port.h"

static world *here; /* whose check runs */

/* ---- the check that asks ------------------------------------------------------------------------------------------
 */

static int asks_open(void **self, const smtpf_section *policy, smtpf_error *err)
{
  (void)policy;
  (void)err;
  *self = here;
  return SMTPF_OK;
}

/* The place of a question is the local part of the sender. */
static size_t number_of(const smtpf_task *t)
{
  return (size_t)strtoul(smtpf_task_event(t)->sender->local_part.p, NULL, 10);
}

static int asks_run(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  smtpf_task_patience(t, 250000);
  const int r = smtpf_task_callout(t, ev->recipient->address, (smtpf_str){"", 0}, 1);
  if (r != SMTPF_OK) {
    world_answer *a = &here->answers[number_of(t)];
    a->known = 1;
    a->status = r;
  }
  return r == SMTPF_OK ? SMTPF_PENDING : r;
}

static void copy(char *out, size_t cap, smtpf_str text)
{
  snprintf(out, cap, "%.*s", (int)text.n, text.n ? text.p : "");
}

static int asks_resume(void *self, smtpf_task *t, const smtpf_answer *answer)
{
  const smtpf_callout_answer *c = answer->callout;
  world_answer *a = &here->answers[number_of(t)];
  (void)self;
  ck_assert_int_eq(answer->kind, SMTPF_ANSWER_CALLOUT);
  ck_assert_int_eq(a->known, 0);
  a->known = 1;
  a->status = c->status;
  a->code = c->code;
  copy(a->cause, sizeof a->cause, c->cause);
  copy(a->text, sizeof a->text, c->text);
  copy(a->enhanced, sizeof a->enhanced, c->enhanced);
  return smtpf_task_clear(t, "asked");
}

static const smtpf_check asks = {.size = sizeof(smtpf_check),
                                 .name = "asks",
                                 .stages = SMTPF_RCPT,
                                 .tier = 2,
                                 .open = asks_open,
                                 .run = asks_run,
                                 .resume = asks_resume};

/* ---- servers ------------------------------------------------------------------------------------------------------
 */

static int listen_at(unsigned host, unsigned port)
{
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(host)}};
  const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0)
    return fd;
  if (fd >= 0)
    (void)close(fd);
  return -1;
}

static unsigned port_of(int fd)
{
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
  return ntohs(a.sin_port);
}

void world_serve(world *w, size_t server, const char *const says[WORLD_SAYS])
{
  static const char *const well[WORLD_SAYS] = {"220 mx.t.example ESMTP\r\n",
                                               "250-mx.t.example\r\n250 PIPELINING\r\n",
                                               "250 2.1.0 ok\r\n",
                                               "250 2.1.5 fine\r\n",
                                               "250 2.0.0 ok\r\n",
                                               "221 2.0.0 bye\r\n",
                                               ""};
  world_server *s = &w->servers[server];
  if (s->listener < 0)
    s->listener = listen_at(INADDR_LOOPBACK + (unsigned)server, w->port);
  ck_assert_int_ge(s->listener, 0);
  memcpy(s->says, says ? says : well, sizeof s->says);
}

static void conn_close(world_server *s, world_conn *c)
{
  if (c->fd < 0)
    return;
  (void)close(c->fd);
  c->fd = -1;
  s->open--;
}

void world_close(world *w, size_t server)
{
  world_server *s = &w->servers[server];
  if (s->listener >= 0)
    (void)close(s->listener);
  s->listener = -1;
  for (size_t i = 0; i < WORLD_CONNS; i++)
    conn_close(s, &s->conns[i]);
}

static void conn_say(world_server *s, world_conn *c)
{
  c->saying = c->step < WORLD_SAYS ? s->says[c->step++] : NULL;
  c->out = 0;
  if (c->saying && !*c->saying)
    conn_close(s, c);
}

static void accept_all(world_server *s)
{
  for (size_t i = 0; s->listener >= 0 && i < WORLD_CONNS; i++) {
    world_conn *c = &s->conns[i];
    if (c->fd >= 0)
      continue;
    const int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
      return;
    *c = (world_conn){.fd = fd};
    s->accepted++;
    if (++s->open > s->most_open)
      s->most_open = s->open;
    conn_say(s, c);
  }
}

static int conn_read(world_server *s, world_conn *c)
{
  const ssize_t r = c->fd < 0 ? -1 : recv(c->fd, c->in + c->n, sizeof c->in - 1 - c->n, 0);
  if (r == 0)
    conn_close(s, c);
  if (r <= 0)
    return 0;
  c->n += (size_t)r;
  for (char *lf; c->fd >= 0 && (lf = memchr(c->in, '\n', c->n));) {
    const size_t line = (size_t)(lf + 1 - c->in), used = strlen(s->heard);
    snprintf(s->heard + used, sizeof s->heard - used, "%.*s|", (int)(line - 2), c->in);
    memmove(c->in, lf + 1, c->n -= line);
    conn_say(s, c);
  }
  return 1;
}

static void conn_write(world_server *s, world_conn *c)
{
  if (c->fd < 0 || !c->saying || !c->saying[c->out])
    return;
  size_t n = strlen(c->saying + c->out);
  if (s->bytes && n > s->bytes)
    n = s->bytes;
  const ssize_t r = send(c->fd, c->saying + c->out, n, MSG_NOSIGNAL);
  if (r > 0)
    c->out += (size_t)r;
}

/* ---- the world ----------------------------------------------------------------------------------------------------
 */

static void *count_alloc(void *user, size_t n)
{
  world *w = user;
  void *p = ++w->allocations == w->fail_at ? NULL : malloc(n);
  w->live += p != NULL;
  return p;
}

static void *count_realloc(void *user, void *p, size_t n)
{
  world *w = user;
  if (++w->allocations == w->fail_at)
    return NULL;
  void *q = realloc(p, n);
  w->live += q && !p;
  return q;
}

static void count_free(void *user, void *p)
{
  ((world *)user)->live -= p != NULL;
  free(p);
}

static uint64_t mono(void *user)
{
  const smtpf_clock *system = smtpf_clock_system();
  return system->mono_ns(system->user) + ((world *)user)->offset_ns;
}

static int64_t wall(void *user)
{
  return (int64_t)(mono(user) / 1000000000u);
}

static const char zone[] = "t.example MX 10 mx.t.example\n"
                           "mx.t.example A 127.0.0.1\n"
                           "u.example MX 10 mx.t.example\n"
                           "two.example MX 10 dead.two.example\n"
                           "two.example MX 20 mx.two.example\n"
                           "dead.two.example A 127.0.0.1\n"
                           "mx.two.example A 127.0.0.2\n"
                           "null.example MX 0 .\n"
                           "gone.example NXDOMAIN\n"
                           "broken.example SERVFAIL\n";

void world_init(world *w)
{
  memset(w, 0, sizeof *w);
  for (size_t s = 0; s < WORLD_SERVERS; s++) {
    w->servers[s].listener = -1;
    for (size_t i = 0; i < WORLD_CONNS; i++)
      w->servers[s].conns[i].fd = -1;
  }
  here = w;
  const smtpf_mem mem = {sizeof mem, w, count_alloc, count_realloc, count_free};
  ck_assert_int_eq(smtpf_config_new(&w->cfg, &mem), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_check(w->cfg, &asks), SMTPF_OK);
  w->servers[0].listener = listen_at(INADDR_LOOPBACK, 0);
  ck_assert_int_ge(w->servers[0].listener, 0);
  w->port = port_of(w->servers[0].listener);
  char port[16];
  snprintf(port, sizeof port, "%u", w->port);
  world_set(w, "callout.port", port);
  world_set(w, "hostnames", "ours.example");
  world_set(w, "check.disable", "early_talk");
  world_serve(w, 0, NULL);
}

void world_set(world *w, const char *option, const char *value)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(smtpf_config_set(w->cfg, option, value, &err) == SMTPF_OK, "%s: %s", option, err.text);
}

void world_start(world *w)
{
  static const char *const relays[] = {"t.example",    "u.example",    "two.example",
                                       "null.example", "gone.example", "broken.example"};
  const smtpf_clock clock = {sizeof clock, w, mono, wall};
  static smtpf_clock kept;
  smtpf_error err = {.size = sizeof err};
  size_t line;
  kept = clock;
  for (size_t i = 0; i < sizeof relays / sizeof *relays; i++)
    ck_assert_int_eq(smtpf_config_append(w->cfg, "relay_domains", relays[i], &err), SMTPF_OK);
  ck_assert_msg(smtpf_engine_new(&w->engine, w->cfg, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_zone_new(&w->zone, smtpf_str_of(zone), NULL, &line), SMTPF_OK);
  const smtpf_ports ports = {
      .size = sizeof ports, .clock = &kept, .resolver = smtpf_resolver_zone(), .resolver_shared = w->zone};
  ck_assert_int_eq(smtpf_driver_new(&w->driver, w->engine, &ports), SMTPF_OK);
}

void world_leave(world *w, size_t i)
{
  smtpf_session_free(w->sessions[i]);
  w->sessions[i] = NULL;
}

void world_end(world *w)
{
  for (size_t i = 0; i < w->n; i++)
    world_leave(w, i);
  for (size_t i = 0; i < WORLD_SERVERS; i++)
    world_close(w, i);
  smtpf_driver_free(w->driver);
  smtpf_engine_unref(w->engine);
  smtpf_config_free(w->cfg);
  smtpf_zone_free(w->zone);
  ck_assert_int_eq(w->live, 0);
}

size_t world_ask(world *w, const char *recipient)
{
  const smtpf_session_options o = {
      .size = sizeof o, .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_REPORT_COMMIT, .protocol = SMTPF_SMTP};
  const smtpf_peer peer = {.size = sizeof peer, .address = SMTPF_LIT("192.0.2.9")};
  const size_t i = w->n++;
  char sender[40], path[400];
  ck_assert_uint_lt(i, WORLD_ASKED);
  snprintf(sender, sizeof sender, "<%zu@origin.example>", i);
  snprintf(path, sizeof path, "<%s>", recipient);
  if (smtpf_session_new(&w->sessions[i], w->driver, &o) != SMTPF_OK) {
    w->sessions[i] = NULL;
    w->answers[i].known = 1;
    return i;
  }
  smtpf_session *s = w->sessions[i];
  int r = smtpf_session_connect(s, &peer);
  if (r >= 0)
    r = smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.origin.example"));
  if (r >= 0)
    r = smtpf_session_mail(s, smtpf_str_of(sender), SMTPF_LIT("SMTPUTF8"));
  if (r >= 0)
    r = smtpf_session_rcpt(s, smtpf_str_of(path), (smtpf_str){"", 0});
  if (r != SMTPF_PENDING)
    w->answers[i].known = 1;
  return i;
}

void world_turn(world *w)
{
  for (size_t k = 0; k < WORLD_SERVERS; k++) {
    world_server *s = &w->servers[k];
    for (size_t i = 0; i < WORLD_CONNS; i++) {
      while (conn_read(s, &s->conns[i]))
        ;
      conn_write(s, &s->conns[i]);
    }
    accept_all(s); /* behind the others: who has gone does not count any more */
    for (size_t i = 0; i < WORLD_CONNS; i++)
      conn_write(s, &s->conns[i]);
  }
  struct pollfd p = {smtpf_driver_fd(w->driver), POLLIN, 0};
  (void)poll(&p, 1, 1);
  ck_assert_int_ge(smtpf_driver_process(w->driver), 0);
  while (smtpf_driver_next(w->driver))
    ;
}

static size_t count(const world *w)
{
  size_t n = 0;
  for (size_t i = 0; i < w->n; i++)
    n += w->answers[i].known != 0;
  return n;
}

int world_until(world *w, size_t answers, int ms)
{
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do {
    world_turn(w);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (count(w) < answers && (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < ms);
  return count(w) >= answers;
}

void world_advance(world *w, int64_t ms)
{
  w->offset_ns += (uint64_t)ms * 1000000u;
}

const world_answer *world_answered(world *w, const char *recipient)
{
  const size_t i = world_ask(w, recipient);
  ck_assert_msg(world_until(w, w->n, 20000), "no answer about %s", recipient);
  return &w->answers[i];
}
