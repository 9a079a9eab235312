/* SPDX-License-Identifier: MIT
 *
 * One scan and its way through the pool: spooled, waiting, connecting, talking, over. The time servers may take runs
 * only while it is they whom the scan waits for.
 */
#include <string.h>

#include "base/str.h"
#include "conn.h"

static void on_timer(void *user);
static void retry(smtpf_scan_talk *t);

/* ---- time ------------------------------------------------------------------------------------------------------- */

static uint64_t ns(int64_t ms)
{
  return (uint64_t)ms * UINT64_C(1000000);
}

static int for_client(const smtpf_scan_talk *t)
{
  return t->state == SMTPF_SCAN_TALKING && !t->ticking;
}

/* When something must be done about it; UINT64_MAX: never. */
static uint64_t due(const smtpf_scan_talk *t)
{
  uint64_t at = UINT64_MAX;
  if (t->ticking)
    at = t->since + t->left_ns;
  if (t->state == SMTPF_SCAN_OPENING && t->connect_by < at)
    at = t->connect_by;
  if (t->state == SMTPF_SCAN_OPENING && t->conn->again && t->again_at < at)
    at = t->again_at;
  if (for_client(t) && t->fed_at + ns(SMTPF_SCAN_PATIENCE) < at)
    at = t->fed_at + ns(SMTPF_SCAN_PATIENCE);
  return at;
}

/* One timer, armed for no later than that; one that comes too early is armed again. Without memory for it the deadline
 * of the check remains. */
static void plan(smtpf_scan_talk *t)
{
  smtpf_driver *d = t->pool->driver;
  const uint64_t at = due(t), now = smtpf_driver_now(d);
  if (at == UINT64_MAX || (t->timer && t->timer_at <= at))
    return;
  if (t->timer)
    smtpf_driver_timer_cancel(d, t->timer);
  const uint64_t in = at > now ? (at - now + 999999) / 1000000 : 0;
  t->timer_at = now + in * 1000000;
  if (smtpf_driver_timer(d, (int64_t)in, on_timer, t, &t->timer) != SMTPF_OK)
    t->timer = 0;
}

/* Called whenever it may be another one that is waited for. */
static void look_at_clock(smtpf_scan_talk *t)
{
  const uint64_t now = smtpf_driver_now(t->pool->driver);
  const int connected = t->state == SMTPF_SCAN_OPENING || t->state == SMTPF_SCAN_TALKING;
  const int ticking = t->state == SMTPF_SCAN_WAITING_FOR_ONE || (connected && (t->finished || t->blocked));
  if (ticking && !t->ticking) {
    t->since = now;
  } else if (!ticking && t->ticking) {
    const uint64_t spent = now - t->since;
    t->left_ns -= spent < t->left_ns ? spent : t->left_ns;
  }
  t->ticking = ticking;
  plan(t);
}

static void stop_timer(smtpf_scan_talk *t)
{
  if (t->timer)
    smtpf_driver_timer_cancel(t->pool->driver, t->timer);
  t->timer = 0;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void smtpf_scan_talk_note(smtpf_scan_talk *t, const char *cause, const smtpf_scan_server *server, smtpf_str detail)
{
  smtpf_out o;
  t->cause = cause;
  smtpf_out_init(&o, t->detail, sizeof t->detail - 1);
  smtpf_out_cstr(&o, server ? server->text : "");
  smtpf_out_cstr(&o, server && detail.n ? ": " : "");
  smtpf_out_printable(&o, detail, 0);
  t->detail[o.n] = '\0';
}

/* The last thing done to a talk: the library may close it inside. */
static void report(smtpf_scan_talk *t, const smtpf_scan_result *result)
{
  stop_timer(t);
  t->state = SMTPF_SCAN_OVER;
  (void)smtpf_op_scanned(t->pool->driver, t->op, result);
}

void smtpf_scan_talk_unknown(smtpf_scan_talk *t)
{
  const smtpf_scan_result r = {
      .size = sizeof r, .status = SMTPF_SCAN_UNKNOWN, .cause = t->cause, .detail = smtpf_str_of(t->detail)};
  report(t, &r);
}

void smtpf_scan_talk_done(smtpf_scan_talk *t, const smtpf_scan_result *result, int keep)
{
  smtpf_scan_pool *p = t->pool;
  smtpf_scan_result r = *result;
  if (!r.detail.n)
    r.detail = smtpf_str_of(t->conn->server->text);
  smtpf_scan_pool_give(t, SMTPF_SCAN_GOOD, keep);
  report(t, &r);
  smtpf_scan_pool_serve(p);
}

void smtpf_scan_talk_fail(smtpf_scan_talk *t, const char *cause, smtpf_str detail, int blame)
{
  smtpf_scan_pool *p = t->pool;
  smtpf_scan_talk_note(t, cause, t->conn->server, detail);
  t->tried |= smtpf_scan_server_bit(&p->servers, t->conn->server);
  smtpf_scan_pool_give(t, blame ? SMTPF_SCAN_BAD : SMTPF_SCAN_LEFT, 0);
  retry(t);
  smtpf_scan_pool_serve(p);
}

/* A kept connection was dead before it was used: nobody's fault, and so are its like. Once for each scan. */
static void stale(smtpf_scan_talk *t)
{
  smtpf_scan_pool *p = t->pool;
  const smtpf_scan_server *server = t->conn->server;
  smtpf_scan_talk_note(t, "closed", server, SMTPF_LIT("a kept connection"));
  t->stale++;
  smtpf_scan_pool_give(t, SMTPF_SCAN_LEFT, 0);
  smtpf_scan_pool_forget(p, server);
  retry(t);
  smtpf_scan_pool_serve(p);
}

/* ---- with and without a connection ------------------------------------------------------------------------------ */

/* The library may feed inside, and the talk be gone afterwards. */
static void room(smtpf_scan_talk *t)
{
  t->blocked = 0;
  look_at_clock(t);
  (void)smtpf_op_scan_room(t->pool->driver, t->op);
}

/* The same. */
static void resume(smtpf_scan_talk *t)
{
  if (t->finished || t->taken) {
    t->taken = 0;
    t->finished = t->blocked = t->complete = 0;
    look_at_clock(t);
    if (smtpf_op_scan_again(t->pool->driver, t->op) == SMTPF_EIO)
      smtpf_scan_talk_fail(t, "spool", SMTPF_LIT("the message cannot be read again"), 0);
  } else if (t->blocked) {
    room(t);
  }
}

/* What was sent to nobody comes from the spool once the message is complete. */
static void spool(smtpf_scan_talk *t)
{
  t->state = SMTPF_SCAN_SPOOLED;
  t->held = t->complete = 0;
  look_at_clock(t);
}

void smtpf_scan_talk_begin(smtpf_scan_talk *t)
{
  smtpf_scan_conn *c = t->conn;
  t->fed_at = t->bound_at;
  t->again_at = t->bound_at + ns(SMTPF_SCAN_AGAIN);
  t->held = t->complete = t->hearing = 0;
  if (!c->connecting) {
    if (t->pool->protocol->connected(t, !c->used) != SMTPF_OK) {
      smtpf_scan_talk_fail(t, "memory", (smtpf_str){"", 0}, 0);
      return;
    }
    (void)smtpf_scan_conn_send(c, NULL, 0);
  }
  smtpf_scan_conn_watch(c, 0);
  look_at_clock(t);
  if (!c->connecting)
    resume(t);
}

/* A connection, or the hope for one. `again`: it has had one, and does not wait behind the others. */
static void ask(smtpf_scan_talk *t, int again)
{
  smtpf_scan_pool *p = t->pool;
  if (!again)
    smtpf_scan_pool_serve(p);
  if (!smtpf_scan_servers_full(&p->servers, t->tried)) {
    if (smtpf_scan_pool_take(t))
      smtpf_scan_talk_begin(t);
    else
      smtpf_scan_talk_unknown(t);
  } else if (p->n_waiting < SMTPF_SCAN_WAITING) {
    t->state = SMTPF_SCAN_WAITING_FOR_ONE;
    if (!again)
      smtpf_scan_talk_note(t, "timeout", NULL, SMTPF_LIT("no connection was free"));
    smtpf_list_append(&p->waiting, &t->in);
    p->n_waiting++;
    look_at_clock(t);
  } else {
    smtpf_scan_talk_note(t, "busy", NULL, SMTPF_LIT("too many scans wait for a connection"));
    smtpf_scan_talk_unknown(t);
  }
}

/* Nothing was judged, and there is no connection any more. */
static void retry(smtpf_scan_talk *t)
{
  if (!t->finished) {
    spool(t);
    if (t->blocked)
      room(t);
    return;
  }
  ask(t, 1);
}

/* The message is complete and nobody has it. */
static void want(smtpf_scan_talk *t)
{
  const int again = t->wanted;
  if (!again)
    t->tried = 0; /* those that failed while the message came may be back; later each has one try */
  t->wanted = 1;
  ask(t, again);
}

/* ---- what the library calls ------------------------------------------------------------------------------------- */

int smtpf_scan_talk_open(smtpf_scan_talk *t, smtpf_scan_pool *pool, smtpf_op op)
{
  t->pool = pool;
  t->op = op;
  t->left_ns = ns(pool->timeout_ms);
  t->state = SMTPF_SCAN_SPOOLED;
  smtpf_list_init(&t->in);
  if (pool->in_use < pool->most / 2 && smtpf_list_empty(&pool->waiting) && smtpf_scan_pool_take(t))
    smtpf_scan_talk_begin(t);
  return SMTPF_OK;
}

size_t smtpf_scan_talk_feed(smtpf_scan_talk *t, const char *bytes, size_t n)
{
  size_t took = n;
  t->fed_at = smtpf_driver_now(t->pool->driver);
  if (t->state == SMTPF_SCAN_OPENING)
    took = 0;
  else if (t->state == SMTPF_SCAN_TALKING)
    took = t->held ? 0 : t->pool->protocol->feed(t, bytes, n);
  if (t->state == SMTPF_SCAN_OVER)
    return n;
  if (t->state == SMTPF_SCAN_SPOOLED)
    took = n; /* by now, if it was not before */
  t->taken += took;
  t->blocked = took < n;
  if (t->conn)
    smtpf_scan_conn_watch(t->conn, t->blocked && !t->held);
  look_at_clock(t);
  return took;
}

/* 1 while the talk is with this connection. */
static int hear(smtpf_scan_talk *t)
{
  smtpf_scan_conn *c = t->conn;
  const uint64_t serial = c->serial;
  int r;
  while ((r = smtpf_scan_conn_read(c)) != SMTPF_PENDING) {
    t->hearing = 1;
    const size_t n = t->pool->protocol->read(t, c->in, c->n_in, r != SMTPF_OK);
    if (c->serial != serial)
      return 0;
    t->hearing = 0;
    memmove(c->in, c->in + n, c->n_in - n);
    c->n_in -= n;
    if (r == SMTPF_OK && (n || c->n_in < sizeof c->in))
      continue;
    if (r == SMTPF_OK)
      smtpf_scan_talk_fail(t, "garbage", SMTPF_LIT("an answer without end"), 1);
    else if (c->used && !c->heard && !t->stale)
      stale(t);
    else
      smtpf_scan_talk_fail(t, "closed", SMTPF_LIT("before it had answered"), 1);
    return 0;
  }
  return 1;
}

int smtpf_scan_talk_finish(smtpf_scan_talk *t)
{
  t->finished = 1;
  if (t->state == SMTPF_SCAN_SPOOLED) {
    want(t);
  } else if (t->state == SMTPF_SCAN_OPENING) {
    look_at_clock(t);
  } else if (t->state == SMTPF_SCAN_TALKING && hear(t)) { /* what it said before the end is said too early */
    const int r = t->pool->protocol->finish(t);
    if (r == SMTPF_OK) {
      t->complete = 1;
      (void)smtpf_scan_conn_send(t->conn, NULL, 0);
      smtpf_scan_conn_watch(t->conn, 0);
      look_at_clock(t);
    } else if (r == SMTPF_PENDING) {
      resume(t);
    } else {
      smtpf_scan_talk_fail(t, "memory", (smtpf_str){"", 0}, 0);
    }
  }
  return SMTPF_OK;
}

void smtpf_scan_talk_close(smtpf_scan_talk *t)
{
  smtpf_scan_pool *p = t->pool;
  stop_timer(t);
  if (t->state == SMTPF_SCAN_WAITING_FOR_ONE) {
    smtpf_list_remove(&t->in);
    p->n_waiting--;
  }
  t->state = SMTPF_SCAN_OVER;
  if (t->conn) {
    smtpf_scan_pool_give(t, SMTPF_SCAN_LEFT, 0);
    smtpf_scan_pool_serve(p);
  }
}

/* ---- what the driver calls -------------------------------------------------------------------------------------- */

static void connecting(smtpf_scan_talk *t)
{
  const char *why = NULL;
  if (smtpf_scan_conn_try(t->conn, &why) != SMTPF_OK) {
    smtpf_scan_talk_fail(t, "refused", smtpf_str_of(why), 1);
  } else if (t->conn->connecting) {
    t->again_at = smtpf_driver_now(t->pool->driver) + ns(SMTPF_SCAN_AGAIN);
    smtpf_scan_conn_watch(t->conn, 0);
    plan(t);
  } else {
    t->state = SMTPF_SCAN_TALKING;
    smtpf_scan_talk_begin(t);
  }
}

void smtpf_scan_talk_event(smtpf_scan_talk *t, unsigned events)
{
  if (t->state == SMTPF_SCAN_OPENING) {
    connecting(t);
    return;
  }
  const int was_held = t->held;
  if ((events & SMTPF_FD_READ) && !hear(t))
    return;
  if (events & SMTPF_FD_WRITE)
    (void)smtpf_scan_conn_send(t->conn, NULL, 0);
  const int go_on = ((events & SMTPF_FD_WRITE) || was_held) && !t->conn->n_out && t->blocked && !t->held;
  smtpf_scan_conn_watch(t->conn, t->blocked && !t->held && !go_on);
  if (go_on)
    room(t);
}

/* The servers have had their time. One that was given little of it is not to blame. */
static void expire(smtpf_scan_talk *t)
{
  smtpf_scan_pool *p = t->pool;
  const uint64_t now = smtpf_driver_now(p->driver);
  if (t->conn) {
    const int blame = now - t->bound_at >= ns(p->timeout_ms) / 2;
    smtpf_scan_talk_note(t, "timeout", t->conn->server, SMTPF_LIT("no answer in time"));
    smtpf_scan_pool_give(t, blame ? SMTPF_SCAN_BAD : SMTPF_SCAN_LEFT, 0);
  } else {
    smtpf_list_remove(&t->in);
    p->n_waiting--;
  }
  smtpf_scan_talk_unknown(t);
  smtpf_scan_pool_serve(p);
}

static void on_timer(void *user)
{
  smtpf_scan_talk *t = user;
  smtpf_scan_pool *p = t->pool;
  const uint64_t now = smtpf_driver_now(p->driver);
  t->timer = 0;
  if (t->ticking && now >= t->since + t->left_ns) {
    expire(t);
  } else if (t->state == SMTPF_SCAN_OPENING && now >= t->connect_by) {
    smtpf_scan_talk_fail(t, "timeout", SMTPF_LIT("no connection in time"), 1);
  } else if (t->state == SMTPF_SCAN_OPENING && t->conn->again && now >= t->again_at) {
    connecting(t);
  } else if (for_client(t) && now >= t->fed_at + ns(SMTPF_SCAN_PATIENCE)) {
    smtpf_scan_pool_give(t, SMTPF_SCAN_LEFT, 0);
    spool(t);
    smtpf_scan_pool_serve(p);
  } else {
    plan(t);
  }
}

/* ---- what protocols call ---------------------------------------------------------------------------------------- */

int smtpf_scan_talk_say(smtpf_scan_talk *t, const char *bytes, size_t n)
{
  smtpf_scan_conn *c = t->conn;
  if (n > sizeof c->out - c->n_out)
    return 0;
  memcpy(c->out + c->n_out, bytes, n);
  c->n_out += n;
  return 1;
}

size_t smtpf_scan_talk_pass(smtpf_scan_talk *t, const char *bytes, size_t n)
{
  return smtpf_scan_conn_send(t->conn, bytes, n);
}

int smtpf_scan_talk_pass_fd(smtpf_scan_talk *t, char with, int fd)
{
  return smtpf_scan_conn_send_fd(t->conn, with, fd);
}

void smtpf_scan_talk_last(smtpf_scan_talk *t)
{
  t->conn->last = 1;
  (void)smtpf_scan_conn_send(t->conn, NULL, 0);
}

void smtpf_scan_talk_hold(smtpf_scan_talk *t, int held)
{
  t->held = held;
  if (!held && t->blocked && !t->hearing) /* else when what was read is off the table */
    room(t);
}

int smtpf_scan_talk_drained(const smtpf_scan_talk *t)
{
  return smtpf_scan_conn_drained(t->conn);
}

int smtpf_scan_talk_sent(const smtpf_scan_talk *t)
{
  return t->complete && smtpf_scan_conn_drained(t->conn);
}

unsigned smtpf_scan_talk_uses(const smtpf_scan_talk *t)
{
  return t->conn ? t->conn->used + 1 : 0;
}

const smtpf_scan_server *smtpf_scan_talk_server(const smtpf_scan_talk *t)
{
  return t->conn ? t->conn->server : NULL;
}
