/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../common/log.h"
#include "auth.h"
#include "client.h"
#include "hop_pool.h"
#include "quarantine.h"
#include "target.h"

enum { PROBE_MS = 2000 };

static const char usage[] =
    "usage: smtpf-proxy [-c POLICY] [--listen ADDRESS:PORT]... [--hop ADDRESS:PORT] [--threads N]\n"
    "                   [--set PATH=VALUE]... [--log text|json] [--explain] [--check]\n"
    "                   [--pid-file FILE] [--ready-fd N] [--help] [--version]\n";

static const server_argument own_arguments[] = {{"hop", "proxy.next_hop", ARGUMENT_VALUE},
                                                {NULL, NULL, ARGUMENT_VALUE}};

/* ---- a policy ------------------------------------------------------------------------------------------ */

static int prepare(server_settings *base)
{
  settings *s = (settings *)(void *)base;
  const int e = s->quarantine_directory ? quarantine_open(s->quarantine_directory) : 0;
  if (e)
    log_line("error", "quarantine",
             (log_field[]){{"directory", smtpf_str_of(s->quarantine_directory)},
                           {"why", smtpf_str_of(strerror(e))},
                           {NULL, {NULL, 0}}});
  else
    hop_probe(s, PROBE_MS);
  return !e;
}

/* ---- a loop -------------------------------------------------------------------------------------------- */

static loop *loop_of(const server_loop *l)
{
  return (loop *)(uintptr_t)l;
}

static int open_loop(server_loop *base)
{
  loop *l = loop_of(base);
  ring *const rings[] = {&l->clients,   &l->pool,    &l->hops,  &l->dead_clients,
                         &l->dead_hops, &l->lookups, &l->auths, &l->dead_auths};
  for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++)
    ring_init(rings[i]);
  return SMTPF_OK;
}

static void bury(server_loop *base)
{
  loop *l = loop_of(base);
  while (!ring_empty(&l->dead_clients))
    client_free(RING_OF(l->dead_clients.next, client, link));
  while (!ring_empty(&l->dead_hops))
    hop_free(RING_OF(l->dead_hops.next, hop, link));
  auth_bury(l);
}

static void close_loop(server_loop *base)
{
  loop *l = loop_of(base);
  while (!ring_empty(&l->clients))
    client_close(RING_OF(l->clients.next, client, link));
  while (!ring_empty(&l->hops))
    hop_close(RING_OF(l->hops.next, hop, link));
  while (!ring_empty(&l->pool))
    hop_close(RING_OF(l->pool.next, hop, link));
  bury(base);
}

static void free_loop(server_loop *base)
{
  target_forget_lookups(&loop_of(base)->lookups);
  spool_cache_free(&loop_of(base)->chunks);
}

/* One line in the place of the banner, and good-bye. What cannot be sent at once is not sent. */
static void turn_away(const settings *s, int fd, const char *enhanced, const char *why)
{
  char line[400];
  const int n = snprintf(line, sizeof line, "421 %s %s %s\r\n", enhanced, s->hostname, why);
  if (n > 0 && send(fd, line, (size_t)n, MSG_NOSIGNAL) == n)
    shutdown(fd, SHUT_WR);
  close(fd);
}

static void accepted(server_loop *base, const listening *from, int fd, const struct sockaddr *peer)
{
  loop *l = loop_of(base);
  const settings *s = loop_settings(l);
  const peer_key key = peers_key(peer);
  const int64_t each = peer->sa_family == AF_UNIX || from->at.proxied ? 0 : s->connections_per_client;
  const int fits = peers_enter(&loop_shared(l)->peers, key, base->settings->connections, each);
  metrics_count(base->metrics, METRICS_CONNECTIONS, fits ? "served" : "refused", NULL);
  if (fits)
    client_new(l, fd, peer, key, &from->at);
  else
    turn_away(s, fd, "4.7.0", "too many connections, try again later");
}

static void late(server_process *base, const listening *from, int fd)
{
  if (from->at.tls)
    close(fd);
  else
    turn_away((const settings *)(const void *)base->settings, fd, "4.3.2", "is shutting down");
}

static void event(server_loop *base, item *it, uint32_t events)
{
  (void)base;
  if (it->kind == ITEM_CLIENT)
    client_event((client *)(void *)it, events);
  else if (it->kind == ITEM_AUTH)
    auth_event(it, events);
  else if (((hop *)(void *)it)->state != HOP_DEAD)
    hop_event((hop *)(void *)it, events);
}

static void measure(server_loop *base)
{
  loop *l = loop_of(base);
  shared *all = loop_shared(l);
  const routes *r = &loop_settings(l)->routes;
  size_t busy = 0;
  for (const ring *h = l->hops.next; h != &l->hops; h = h->next)
    busy++;
  metrics_gauge(base->metrics, METRICS_HOPS, "busy", busy);
  metrics_gauge(base->metrics, METRICS_HOPS, "idle", l->pool_count);
  metrics_gauge(base->metrics, METRICS_SPOOL, NULL, (uint64_t)atomic_load(&all->spooled));
  metrics_gauge(base->metrics, METRICS_DSN_UNENFORCED, NULL, atomic_load(&all->loud));
  metrics_forget(base->metrics, METRICS_HOP_UP);
  for (size_t i = 0; i < r->n; i++)
    for (size_t k = 0; k < r->route[i].n; k++)
      metrics_gauge(base->metrics, METRICS_HOP_UP, r->route[i].server[k].name,
                    !atomic_load(&r->route[i].server[k].down_until));
}

static void ready(smtpf_session *session)
{
  client_session_ready(smtpf_session_user(session));
}

static void go_on(ring *link)
{
  client_go_on(RING_OF(link, client, resume));
}

/* A turn is only for those that this sends away: the others' deadlines stand. */
static void dismiss_all(loop *l, int now)
{
  for (ring *r = l->clients.next, *next; r != &l->clients; r = next) {
    client *c = RING_OF(r, client, link);
    const int was_closing = c->closing;
    next = r->next;
    client_dismiss(c, now);
    if (c->closing && !was_closing)
      client_turn(c);
  }
}

static void sweep(server_loop *base)
{
  loop *l = loop_of(base);
  pool_sweep(l);
  hop_sweep(l);
  auth_sweep(l);
  client_sweep(l);
  if (base->drain_until)
    dismiss_all(l, base->now_ms >= base->drain_until);
}

static int busy(const server_loop *base)
{
  const loop *l = loop_of(base);
  return !ring_empty(&l->hops) || !ring_empty(&l->pool);
}

/* ---- the process ----------------------------------------------------------------------------------------- */

static void stopped(server_process *base)
{
  const shared *s = (const shared *)(const void *)base;
  text loud = {0};
  text_int(&loud, (int64_t)atomic_load(&s->loud));
  log_line("info", "stopped", (log_field[]){{"dsn_unenforced", text_str(&loud)}, {NULL, {NULL, 0}}});
  text_free(&loud);
}

static const server_program program = {
    .name = "smtpf-proxy",
    .usage = usage,
    .section = "proxy",
    .listen = "127.0.0.1:2525",
    .listen_expected = settings_addresses,
    .arguments = own_arguments,
    .settings_size = sizeof(settings),
    .loop_size = sizeof(loop),
    .read = settings_read,
    .prepare = prepare,
    .forget = settings_forget,
    .open = open_loop,
    .close = close_loop,
    .free = free_loop,
    .accepted = accepted,
    .late = late,
    .event = event,
    .ready = ready,
    .go_on = go_on,
    .sweep = sweep,
    .busy = busy,
    .bury = bury,
    .measure = measure,
    .stopped = stopped,
};

int main(int argc, char **argv)
{
  static shared process;
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
    log_text("error", "failure", "getrandom", strerror(errno));
    return 1;
  }
  peers_init(&process.peers, seed);
  const int status = server_main(&process.base, &program, argc, argv);
  peers_free(&process.peers);
  return status;
}
