/* SPDX-License-Identifier: MIT */
#include "connection.h"

static const char usage[] = "usage: smtpf-milter [-c POLICY] [--listen ADDRESS:PORT|unix:/PATH]... [--threads N]\n"
                            "                    [--set PATH=VALUE]... [--log text|json] [--explain] [--check]\n"
                            "                    [--pid-file FILE] [--ready-fd N] [--help] [--version]\n";

static const char addresses[] = "an address such as 127.0.0.1:8891, [::1]:8891 or unix:/run/smtpf-milter/socket";

/* Before `refuse.stage` nothing is refused, and where the policy sets no delay nobody is kept waiting: the MTA need not
 * wait there for an answer. */
static uint32_t unanswered(const smtpf_engine *e)
{
  static const char *const stages[] = {"connect", "helo", "mail", "rcpt", NULL};
  static const char *const delays[] = {"delay.connect", "delay.helo", "delay.mail"};
  static const uint32_t answers[] = {SMTPF_MILTER_NR_CONN, SMTPF_MILTER_NR_HELO, SMTPF_MILTER_NR_MAIL};
  const int first = host_choice(e, "refuse.stage", stages);
  uint32_t none = 0;
  for (int i = 0; i < first && !host_number(e, "delay.on_hit", 0); i++)
    none |= host_number(e, delays[i], 0) ? 0 : answers[i];
  return none;
}

static int read_settings(server_settings *base, const host_policy *policy, smtpf_error *err)
{
  settings *s = (settings *)(void *)base;
  for (size_t i = 0; i < base->listens; i++)
    if (base->listen[i].lmtp || base->listen[i].tls || base->listen[i].proxied)
      return host_policy_fail(err, SMTPF_EPARSE, policy, "milter.listen", "lmtp:", addresses);
  s->idle_ms = host_number(base->engine, "milter.idle_timeout", 7200000);
  s->progress_ms = host_number(base->engine, "milter.progress", 10000);
  s->unanswered = unanswered(base->engine);
  base->capabilities =
      SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_DROP_RCPT | SMTPF_CAN_QUARANTINE | SMTPF_CAN_EDIT;
  return SMTPF_OK;
}

/* ---- a loop ------------------------------------------------------------------------------------------ */

static loop *loop_of(server_loop *l)
{
  return (loop *)(void *)l;
}

static int open_loop(server_loop *l)
{
  ring_init(&loop_of(l)->connections);
  ring_init(&loop_of(l)->dead);
  return SMTPF_OK;
}

static void bury(server_loop *l)
{
  while (!ring_empty(&loop_of(l)->dead))
    connection_free(RING_OF(loop_of(l)->dead.next, connection, link));
}

static void close_loop(server_loop *l)
{
  while (!ring_empty(&loop_of(l)->connections))
    connection_close(RING_OF(loop_of(l)->connections.next, connection, link));
  bury(l);
}

/* A policy may ask for what no milter can do. */
static int trial(server_loop *l)
{
  return server_trial_untold(l, SMTPF_CAN_SEE_BODY);
}

/* The MTA does for one connection more what it is told for a filter that is gone. */
static void accepted(server_loop *l, const listening *from, int fd, const struct sockaddr *peer)
{
  (void)from;
  if (server_admit(l, fd))
    connection_new(loop_of(l), fd, peer->sa_family);
}

static void event(server_loop *l, item *it, uint32_t events)
{
  (void)l;
  connection_event((connection *)(void *)it, events);
}

static void ready(smtpf_session *session)
{
  connection_ready(smtpf_session_user(session));
}

static void go_on(ring *link)
{
  connection_go_on(RING_OF(link, connection, resume));
}

static void sweep(server_loop *l)
{
  connection_sweep(loop_of(l));
}

static const server_program program = {
    .name = "smtpf-milter",
    .usage = usage,
    .section = "milter",
    .listen = "127.0.0.1:8891",
    .listen_expected = addresses,
    .settings_size = sizeof(settings),
    .loop_size = sizeof(loop),
    .read = read_settings,
    .open = open_loop,
    .close = close_loop,
    .trial = trial,
    .accepted = accepted,
    .event = event,
    .ready = ready,
    .go_on = go_on,
    .sweep = sweep,
    .bury = bury,
};

int main(int argc, char **argv)
{
  static server_process process;
  return server_main(&process, &program, argc, argv);
}
