/* SPDX-License-Identifier: MIT
 *
 * The connections of a scanner: how many, whose, which are idle, and who waits for one.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conn.h"

void smtpf_scan_pool_stats(void *pool, smtpf_stat_fn fn, void *user)
{
  smtpf_scan_pool *p = pool;
  smtpf_scan_servers_stats(&p->servers, fn, user);
}

smtpf_driver *smtpf_scan_pool_driver(const smtpf_scan_pool *pool)
{
  return pool->driver;
}

int smtpf_scan_pool_start(smtpf_scan_pool **out, smtpf_driver *driver, const smtpf_section *settings,
                          const smtpf_scan_protocol *protocol, unsigned port)
{
  const smtpf_mem *mem = smtpf_driver_mem(driver);
  smtpf_scan_pool *p = smtpf_mem_zalloc(mem, sizeof *p);
  if (!p)
    return SMTPF_ENOMEM;
  p->driver = driver;
  p->mem = mem;
  p->settings = settings;
  p->protocol = protocol;
  p->timeout_ms = smtpf_section_number(settings, "timeout");
  p->connect_ms = smtpf_section_number(settings, "connect_timeout");
  smtpf_list_init(&p->waiting);
  int r = smtpf_scan_servers_init(&p->servers, driver, settings, port);
  p->servers.most = (size_t)smtpf_section_number(settings, "connections");
  p->most = p->servers.n * p->servers.most;
  if (r == SMTPF_OK && p->most == 0)
    r = SMTPF_EINVAL;
  if (r == SMTPF_OK) {
    p->conns = smtpf_mem_zalloc(mem, p->most * sizeof *p->conns);
    r = p->conns ? SMTPF_OK : SMTPF_ENOMEM;
  }
  if (r == SMTPF_OK)
    *out = p;
  else
    smtpf_scan_pool_stop(p);
  return r;
}

void smtpf_scan_pool_stop(smtpf_scan_pool *p)
{
  if (!p)
    return;
  for (size_t i = 0; p->conns && i < p->most; i++) {
    if (p->conns[i])
      smtpf_scan_conn_close(p->conns[i]);
    smtpf_mem_free(p->mem, p->conns[i]);
  }
  smtpf_mem_free(p->mem, p->conns);
  smtpf_mem_free(p->mem, p);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

static int idle(const smtpf_scan_conn *c)
{
  return c && c->fd >= 0 && !c->talk;
}

/* The one of this server that was used last; its socket is the likeliest to be alive. */
static smtpf_scan_conn *idle_of(const smtpf_scan_pool *p, const smtpf_scan_server *server)
{
  smtpf_scan_conn *best = NULL;
  for (size_t i = 0; i < p->most; i++)
    if (idle(p->conns[i]) && p->conns[i]->server == server && (!best || p->conns[i]->idle_since > best->idle_since))
      best = p->conns[i];
  return best;
}

/* A closed one; or a new one; or the one that has been idle longest, closed. NULL without memory. */
static smtpf_scan_conn *closed_one(smtpf_scan_pool *p)
{
  smtpf_scan_conn *oldest = NULL;
  for (size_t i = 0; i < p->most; i++) {
    smtpf_scan_conn *c = p->conns[i];
    if (!c) {
      c = p->conns[i] = smtpf_mem_alloc(p->mem, sizeof *c);
      if (!c)
        return NULL;
      memset(c, 0, offsetof(smtpf_scan_conn, out));
      c->pool = p;
      c->fd = -1;
      return c;
    }
    if (c->fd < 0)
      return c;
    if (idle(c) && (!oldest || c->idle_since < oldest->idle_since))
      oldest = c;
  }
  if (oldest)
    smtpf_scan_conn_close(oldest);
  return oldest;
}

void smtpf_scan_pool_forget(smtpf_scan_pool *p, const smtpf_scan_server *server)
{
  for (size_t i = 0; i < p->most; i++)
    if (idle(p->conns[i]) && p->conns[i]->server == server)
      smtpf_scan_conn_close(p->conns[i]);
}

/* An open connection to a server, kept or new; NULL: talk->cause says why, and the server has been told. */
static smtpf_scan_conn *connection_to(smtpf_scan_talk *t, smtpf_scan_server *server)
{
  smtpf_scan_pool *p = t->pool;
  const char *why = "no memory";
  smtpf_scan_conn *c = idle_of(p, server);
  if (c)
    return c;
  c = closed_one(p);
  if (c)
    c->server = server;
  const int r = c ? smtpf_scan_conn_open(c, &why) : SMTPF_ENOMEM;
  if (r == SMTPF_OK)
    return c;
  smtpf_scan_talk_note(t, r == SMTPF_EIO ? "refused" : "resources", server, smtpf_str_of(why));
  if (r == SMTPF_EIO)
    smtpf_scan_server_bad(&p->servers, server, t->cause);
  else
    smtpf_scan_server_leave(&p->servers, server);
  return NULL;
}

int smtpf_scan_pool_take(smtpf_scan_talk *t)
{
  smtpf_scan_pool *p = t->pool;
  smtpf_scan_server *server;
  smtpf_scan_conn *c = NULL;
  while (!c) {
    server = smtpf_scan_server_choose(&p->servers, t->tried);
    if (!server) {
      if (!t->cause)
        smtpf_scan_talk_note(t, "down", NULL, SMTPF_LIT("every server is left alone for a while"));
      return 0;
    }
    c = connection_to(t, server);
    if (!c)
      t->tried |= smtpf_scan_server_bit(&p->servers, server);
  }
  const uint64_t now = smtpf_driver_now(p->driver);
  c->serial++;
  c->heard = 0;
  c->talk = t;
  t->conn = c;
  t->bound_at = now;
  t->connect_by = now + (uint64_t)p->connect_ms * 1000000;
  t->state = c->connecting ? SMTPF_SCAN_OPENING : SMTPF_SCAN_TALKING;
  p->in_use++;
  return 1;
}

void smtpf_scan_pool_give(smtpf_scan_talk *t, int end, int keep)
{
  smtpf_scan_pool *p = t->pool;
  smtpf_scan_conn *c = t->conn;
  if (end == SMTPF_SCAN_GOOD)
    smtpf_scan_server_good(&p->servers, c->server);
  else if (end == SMTPF_SCAN_BAD)
    smtpf_scan_server_bad(&p->servers, c->server, t->cause);
  else
    smtpf_scan_server_leave(&p->servers, c->server);
  t->conn = NULL;
  c->talk = NULL;
  p->in_use--;
  if (!keep || c->n_out || c->last || c->deaf) {
    smtpf_scan_conn_close(c);
    return;
  }
  c->serial++;
  c->used++;
  c->n_in = 0;
  c->idle_since = smtpf_driver_now(p->driver);
  smtpf_scan_conn_watch(c, 0);
}

/* The first that waits for a server which has room. */
static smtpf_scan_talk *next_waiting(const smtpf_scan_pool *p)
{
  for (smtpf_link *l = p->waiting.next; l != &p->waiting; l = l->next) {
    smtpf_scan_talk *t = SMTPF_OF(l, smtpf_scan_talk, in);
    if (!smtpf_scan_servers_full(&p->servers, t->tried))
      return t;
  }
  return NULL;
}

/* First come, first served; who waits for one server keeps nobody from another. Not from within itself: what ends while
 * it runs is seen by its loop. */
void smtpf_scan_pool_serve(smtpf_scan_pool *p)
{
  smtpf_scan_talk *t;
  if (p->serving)
    return;
  p->serving = 1;
  while ((t = next_waiting(p))) {
    smtpf_list_remove(&t->in);
    p->n_waiting--;
    if (smtpf_scan_pool_take(t))
      smtpf_scan_talk_begin(t);
    else
      smtpf_scan_talk_unknown(t);
  }
  p->serving = 0;
}

/* An idle connection on which something happens is of no use any more. */
void smtpf_scan_pool_event(void *conn, int fd, unsigned events)
{
  smtpf_scan_conn *c = conn;
  (void)fd;
  if (c->talk)
    smtpf_scan_talk_event(c->talk, events);
  else
    smtpf_scan_conn_close(c);
}
