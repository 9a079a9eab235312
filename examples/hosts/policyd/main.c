/* SPDX-License-Identifier: MIT */
#include "policyd.h"

static const char usage[] = "usage: smtpf-policyd [-c POLICY] [--unix PATH]... [--inet [HOST:]PORT]...\n"
                            "                     [--listen ADDRESS:PORT|unix:/PATH]... [--threads N]\n"
                            "                     [--set PATH=VALUE]... [--log text|json] [--explain] [--check]\n"
                            "                     [--pid-file FILE] [--ready-fd N] [--help] [--version]\n"
                            "as postgrey has them:\n"
                            "                     [--delay SECONDS] [--max-age DAYS] [--retry-window DAYS|HOURSh]\n"
                            "                     [--auto-whitelist-clients[=N]] [--lookup-by-host]\n"
                            "                     [--whitelist-clients FILE] [--whitelist-recipients FILE]\n"
                            "                     [--dbdir DIRECTORY] [--ipv4cidr BITS] [--ipv6cidr BITS]\n"
                            "                     [--user USER] [--group GROUP]\n";

static const char addresses[] = "an address such as 127.0.0.1:10023, [::1]:10023 or unix:/run/smtpf-policyd/socket";

static int read_settings(server_settings *base, const host_policy *policy, smtpf_error *err)
{
  static const char *const states[] = {"data", "end-of-message", "never", NULL}; /* as enum decide */
  settings *s = (settings *)(void *)base;
  for (size_t i = 0; i < base->listens; i++)
    if (base->listen[i].lmtp || base->listen[i].tls || base->listen[i].proxied)
      return host_policy_fail(err, SMTPF_EPARSE, policy, "policyd.listen", "lmtp:", addresses);
  s->decide = (enum decide)host_choice(base->engine, "policyd.decide", states);
  const int64_t all = host_number(base->engine, "policyd.instances", 2000);
  s->instances = (size_t)((all + base->threads - 1) / base->threads);
  s->keep_ms = host_number(base->engine, "policyd.instance_timeout", 15 * 60 * 1000);
  s->idle_ms = host_number(base->engine, "policyd.idle_timeout", 60 * 60 * 1000);
  base->capabilities = instance_capabilities(s->decide);
  return SMTPF_OK;
}

/* ---- a loop ------------------------------------------------------------------------------------------ */

static int open_loop(server_loop *base)
{
  loop *l = loop_of(base);
  ring_init(&l->connections);
  ring_init(&l->dead);
  ring_init(&l->leaving);
  ring_init(&l->arriving);
  return pthread_mutex_init(&l->lock, NULL) ? SMTPF_ENOMEM : SMTPF_OK;
}

static void bury(server_loop *base)
{
  loop *l = loop_of(base);
  connection_leave(l);
  while (!ring_empty(&l->dead))
    connection_free(RING_OF(l->dead.next, connection, link));
}

static void close_all(ring *of)
{
  while (!ring_empty(of))
    connection_close(RING_OF(of->next, connection, link));
}

/* Other loops may have handed over until they ended, which all have. */
static void close_loop(server_loop *base)
{
  loop *l = loop_of(base);
  connection_arrive(l);
  close_all(&l->connections);
  close_all(&l->leaving);
  instance_free_all(l);
  bury(base);
}

static void free_loop(server_loop *base)
{
  pthread_mutex_destroy(&loop_of(base)->lock);
}

/* A policy may ask for what cannot be done for Postfix. */
static int trial(server_loop *l)
{
  return server_trial_untold(l, 0);
}

/* Postfix does for one connection more what it is told for a service that is gone. */
static void accepted(server_loop *l, const listening *from, int fd, const struct sockaddr *peer)
{
  (void)from;
  (void)peer;
  if (server_admit(l, fd))
    connection_new(loop_of(l), fd);
}

static void event(server_loop *l, item *it, uint32_t events)
{
  (void)l;
  connection_event((connection *)(void *)it, events);
}

static void ready(smtpf_session *session)
{
  const instance *i = smtpf_session_user(session);
  i->at->woken = 1;
  connection_resume(i->at);
}

static void woken(server_loop *l)
{
  connection_arrive(loop_of(l));
}

static void go_on(ring *link)
{
  connection_go_on(RING_OF(link, connection, resume));
}

static void sweep(server_loop *l)
{
  connection_sweep(loop_of(l));
  instance_expire(loop_of(l));
}

static int busy(const server_loop *l)
{
  return ((const loop *)(const void *)l)->instances.n > 0;
}

static const server_program program = {
    .name = "smtpf-policyd",
    .usage = usage,
    .section = "policyd",
    .listen = "127.0.0.1:10023",
    .listen_expected = addresses,
    .arguments = arguments,
    .argument = arguments_take,
    .unconfigured = alone,
    .settings_size = sizeof(settings),
    .loop_size = sizeof(loop),
    .read = read_settings,
    .open = open_loop,
    .close = close_loop,
    .free = free_loop,
    .trial = trial,
    .accepted = accepted,
    .event = event,
    .ready = ready,
    .woken = woken,
    .go_on = go_on,
    .sweep = sweep,
    .busy = busy,
    .bury = bury,
};

int main(int argc, char **argv)
{
  static server_process process;
  return server_main(&process, &program, argc, argv);
}
