/* SPDX-License-Identifier: MIT
 *
 * Requests: from an operation of the core to commands and back. An operation is finished once: by its answers, by a
 * failure, or by its deadline; its memory stays until hiredis has given back every call. Nothing is asked twice unless
 * the server says that it has not been done: MOVED, ASK, TRYAGAIN, NOSCRIPT.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "port/store/change.h"
#include "redis.h"

static void on_deadline(void *user);

/* ---- operations --------------------------------------------------------------------------------------- */

/* The timer of the operation that ends first; one that is set too early looks, and is set anew. */
static void arm(smtpf_redis *s)
{
  if (s->deadline || s->stopping || smtpf_list_empty(&s->running))
    return;
  const smtpf_redis_operation *first = SMTPF_OF(s->running.next, smtpf_redis_operation, in_running);
  const uint64_t now = smtpf_driver_now(s->driver);
  const int64_t ms = first->deadline > now ? (int64_t)((first->deadline - now + 999999) / 1000000) : 0;
  if (smtpf_driver_timer(s->driver, ms, on_deadline, s, &s->deadline) != SMTPF_OK)
    s->deadline = 0; /* the next operation arms */
}

smtpf_redis_operation *smtpf_redis_begin(smtpf_redis *s, smtpf_op op)
{
  if (s->n_operations >= (size_t)s->settings.requests)
    return NULL;
  smtpf_redis_operation *o = smtpf_mem_zalloc(s->mem, sizeof *o);
  if (!o)
    return NULL;
  o->store = s;
  o->op = op;
  o->deadline = smtpf_driver_now(s->driver) + (uint64_t)s->settings.timeout_ms * 1000000;
  o->requests = 1; /* whoever prepares it; given back by smtpf_redis_release() */
  s->n_operations++;
  smtpf_list_append(&s->running, &o->in_running);
  arm(s);
  return o;
}

void smtpf_redis_release(smtpf_redis_operation *o)
{
  smtpf_redis *s = o->store;
  if (--o->requests > 0)
    return;
  smtpf_list_remove(&o->in_running);
  smtpf_redis_scan_free(o);
  s->n_operations--;
  smtpf_mem_free(s->mem, o);
}

void smtpf_redis_finish(smtpf_redis_operation *o, int status, smtpf_str value)
{
  smtpf_redis *s = o->store;
  if (o->finished)
    return;
  o->finished = 1;
  smtpf_list_remove(&o->in_running);
  if (s->stopping)
    return;
  if (o->scan)
    smtpf_op_scan(s->driver, o->op, status, NULL, 0, (smtpf_str){NULL, 0});
  else
    smtpf_op_store(s->driver, o->op, status, value);
}

static void fail(smtpf_redis_operation *o)
{
  smtpf_redis_finish(o, SMTPF_STORE_FAILED, (smtpf_str){NULL, 0});
}

static void request_free(smtpf_redis_request *q)
{
  smtpf_redis_operation *o = q->operation;
  smtpf_list_remove(&q->in_list);
  smtpf_redis_bytes_free(&q->bytes);
  smtpf_mem_free(o->store->mem, q);
  smtpf_redis_release(o);
}

/* Without it the operation fails; what else it sent comes back in its time. */
static void give_up(smtpf_redis_request *q)
{
  fail(q->operation);
  request_free(q);
}

/* 1 when a server owes an answer to what is over; a request that was sent on late is given some time. */
static int is_stuck(const smtpf_redis_link *link, uint64_t now)
{
  if (smtpf_list_empty(&link->sent))
    return 0;
  const smtpf_redis_request *q = SMTPF_OF(link->sent.next, smtpf_redis_request, in_list);
  return q->operation->deadline <= now &&
         now - q->sent_at >= (uint64_t)link->store->settings.timeout_ms * (1000000 / 2);
}

/* Those that wait for a connection end here; a connection that owes an answer past its deadline is none. */
static void on_deadline(void *user)
{
  smtpf_redis *s = user;
  const uint64_t now = smtpf_driver_now(s->driver);
  s->deadline = 0;
  for (size_t i = 0; i < s->n_nodes; i++)
    if (is_stuck(s->nodes[i], now))
      smtpf_redis_link_close(s->nodes[i], "no answer in time");
  while (!smtpf_list_empty(&s->running)) {
    smtpf_redis_operation *o = SMTPF_OF(s->running.next, smtpf_redis_operation, in_running);
    if (o->deadline > now)
      break;
    fail(o);
  }
  smtpf_redis_flush(s);
  arm(s);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

/* To another node, as the server says. `once` (ASK): without believing that the slot is there from now on. */
static void redirect(smtpf_redis_request *q, smtpf_redis_link *from, const redisReply *reply, int once)
{
  smtpf_redis *s = q->operation->store;
  smtpf_redis_address address;
  uint16_t slot;
  smtpf_redis_link *to = NULL;
  if (s->settings.cluster && q->redirects++ < SMTPF_REDIS_REDIRECTS &&
      smtpf_redis_error_target(reply, &from->address, &slot, &address) == SMTPF_OK && slot == q->slot)
    to = smtpf_redis_node(s, &address);
  if (!once)
    smtpf_redis_map_moved(s, q->slot, to);
  if (!to) {
    give_up(q);
    return;
  }
  q->asking = once;
  smtpf_redis_dispatch_on(q, to);
}

static void on_again(void *user)
{
  smtpf_redis *s = user;
  s->again_timer = 0;
  smtpf_redis_flush(s);
}

/* Soon, and to whom the slot belongs then; its operation's deadline ends it. Nothing of it has been done. */
static void come_again(smtpf_redis_request *q)
{
  smtpf_redis *s = q->operation->store;
  if (!s->again_timer &&
      smtpf_driver_timer(s->driver, SMTPF_REDIS_AGAIN_MS, on_again, s, &s->again_timer) != SMTPF_OK) {
    s->again_timer = 0;
    give_up(q);
    return;
  }
  q->target = NULL;
  q->asking = 0;
  q->redirects = 0;
  smtpf_list_append(&s->again, &q->in_list);
}

static void on_error(smtpf_redis_request *q, smtpf_redis_link *link, int error, const redisReply *reply)
{
  smtpf_redis *s = q->operation->store;
  switch (error) {
  case SMTPF_REDIS_NOSCRIPT:
    if (q->form == SMTPF_REDIS_EVALSHA) { /* it was restarted, or somebody has emptied its scripts */
      q->form = SMTPF_REDIS_EVAL;
      smtpf_redis_dispatch_on(q, link);
      return;
    }
    break;
  case SMTPF_REDIS_MOVED: redirect(q, link, reply, 0); return;
  case SMTPF_REDIS_ASK: redirect(q, link, reply, 1); return;
  case SMTPF_REDIS_AGAIN: come_again(q); return;
  case SMTPF_REDIS_MAP: smtpf_redis_map_refresh(s); break;
  default: break;
  }
  smtpf_redis_log_error(s, link, error, smtpf_redis_text(reply));
  give_up(q);
  if (error == SMTPF_REDIS_REPLICA || error == SMTPF_REDIS_UNFIT)
    smtpf_redis_link_close(link, "it is not the server it was");
}

static void on_reply(smtpf_redis_call *call, const redisReply *reply)
{
  smtpf_redis_request *q = SMTPF_OF(call, smtpf_redis_request, call);
  smtpf_redis_link *link = q->link;
  smtpf_list_remove(&q->in_list);
  q->link = NULL;
  if (!reply) {
    give_up(q);
    return;
  }
  const int error = q->operation->finished ? 0 : smtpf_redis_error_of(reply);
  if (error && !(error == SMTPF_REDIS_OTHER && q->takes_errors)) {
    on_error(q, link, error, reply);
    return;
  }
  if (!q->operation->finished)
    q->done(q, reply);
  request_free(q);
}

/* ---- sending ------------------------------------------------------------------------------------------ */

smtpf_redis_request *smtpf_redis_request_new(smtpf_redis_operation *o, uint16_t slot)
{
  smtpf_redis_request *q = smtpf_mem_zalloc(o->store->mem, sizeof *q);
  if (!q)
    return NULL;
  q->call.fn = on_reply;
  q->operation = o;
  q->slot = slot;
  q->bytes.mem = o->store->mem;
  smtpf_list_init(&q->in_list);
  o->requests++;
  return q;
}

static void ignore(smtpf_redis_call *call, const redisReply *reply)
{
  (void)call;
  (void)reply;
}

static int send_asking(smtpf_redis_link *link)
{
  static smtpf_redis_call nobody = {ignore};
  return smtpf_redis_send(link, &nobody, SMTPF_LIT("*1\r\n$6\r\nASKING\r\n"));
}

/* The script's name, or the script itself, before its arguments. */
static int send_script(smtpf_redis_request *q, smtpf_redis_link *link)
{
  smtpf_redis_bytes b = {.mem = q->bytes.mem};
  const int named = q->form == SMTPF_REDIS_EVALSHA && link->sha[0];
  smtpf_redis_array(&b, 2 + q->arguments);
  smtpf_redis_words(&b, named ? "EVALSHA" : "EVAL");
  if (named)
    smtpf_redis_bulk(&b, smtpf_str_of(link->sha));
  else
    smtpf_redis_script_bulk(&b);
  smtpf_redis_raw(&b, (smtpf_str){q->bytes.p, q->bytes.n});
  const int r = b.broken ? SMTPF_ENOMEM : smtpf_redis_send(link, &q->call, (smtpf_str){b.p, b.n});
  smtpf_redis_bytes_free(&b);
  return r;
}

static void send_on(smtpf_redis_request *q, smtpf_redis_link *link)
{
  smtpf_list_remove(&q->in_list);
  q->link = link;
  q->sent_at = smtpf_driver_now(link->store->driver);
  int r = q->bytes.broken ? SMTPF_ENOMEM : SMTPF_OK;
  if (r == SMTPF_OK && q->asking)
    r = send_asking(link);
  if (r == SMTPF_OK && q->form == SMTPF_REDIS_WHOLE)
    r = smtpf_redis_send(link, &q->call, (smtpf_str){q->bytes.p, q->bytes.n});
  else if (r == SMTPF_OK)
    r = send_script(q, link);
  if (r != SMTPF_OK) {
    give_up(q);
    return;
  }
  smtpf_list_append(&link->sent, &q->in_list);
}

void smtpf_redis_dispatch_on(smtpf_redis_request *q, smtpf_redis_link *link)
{
  q->target = link;
  smtpf_redis_dispatch(q);
}

void smtpf_redis_dispatch(smtpf_redis_request *q)
{
  smtpf_redis *s = q->operation->store;
  int hope = 0;
  smtpf_redis_link *link = smtpf_redis_route(s, q, &hope);
  if (s->stopping || q->operation->finished || (!hope && !(link && link->state == SMTPF_REDIS_UP))) {
    give_up(q);
  } else if (link && link->state == SMTPF_REDIS_UP) {
    send_on(q, link);
  } else if (smtpf_list_empty(&q->in_list)) {
    smtpf_list_append(&s->waiting, &q->in_list);
  }
}

static void move_all(smtpf_link *from, smtpf_link *to)
{
  while (!smtpf_list_empty(from)) {
    smtpf_link *l = from->next;
    smtpf_list_remove(l);
    smtpf_list_append(to, l);
  }
}

/* Each one that waits is looked at once. */
void smtpf_redis_flush(smtpf_redis *s)
{
  smtpf_link old;
  smtpf_list_init(&old);
  move_all(&s->waiting, &old);
  if (!s->again_timer || s->stopping)
    move_all(&s->again, &old);
  while (!smtpf_list_empty(&old)) {
    smtpf_redis_request *q = SMTPF_OF(old.next, smtpf_redis_request, in_list);
    smtpf_list_remove(&q->in_list);
    smtpf_redis_dispatch(q);
  }
}

/* ---- get ---------------------------------------------------------------------------------------------- */

static void got(smtpf_redis_request *q, const redisReply *reply)
{
  smtpf_redis_operation *o = q->operation;
  smtpf_stored r;
  if (reply->type == REDIS_REPLY_NIL) {
    smtpf_redis_finish(o, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
  } else if (reply->type != REDIS_REPLY_STRING || smtpf_redis_record(smtpf_redis_text(reply), &r) != SMTPF_OK) {
    smtpf_redis_log_error(o->store, NULL, SMTPF_REDIS_OTHER, SMTPF_LIT("what is stored is no record of ours"));
    fail(o);
  } else if (smtpf_is_expired(r.expires, smtpf_driver_wall(o->store->driver))) {
    smtpf_redis_finish(o, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0});
  } else {
    smtpf_redis_finish(o, SMTPF_STORE_FOUND, r.value);
  }
}

int smtpf_redis_get(smtpf_redis *s, smtpf_op op, smtpf_str key)
{
  smtpf_redis_operation *o = smtpf_redis_begin(s, op);
  smtpf_redis_request *q = o ? smtpf_redis_request_new(o, smtpf_redis_slot(s->settings.prefix, key)) : NULL;
  if (q) {
    q->done = got;
    smtpf_redis_array(&q->bytes, 2);
    smtpf_redis_words(&q->bytes, "GET");
    smtpf_redis_key(&q->bytes, s->settings.prefix, key);
    smtpf_redis_dispatch(q);
  } else if (o) {
    fail(o);
  }
  if (!o)
    return SMTPF_ELIMIT;
  smtpf_redis_release(o);
  return SMTPF_OK;
}

/* ---- commit ------------------------------------------------------------------------------------------- */

static void committed(smtpf_redis_request *q, const redisReply *reply)
{
  smtpf_redis_operation *o = q->operation;
  if (reply->type != REDIS_REPLY_INTEGER || reply->integer != 1)
    fail(o);
  else if (--o->undone == 0)
    smtpf_redis_finish(o, SMTPF_STORE_DONE, (smtpf_str){NULL, 0});
}

/* The part of a commit that goes to one slot. */
static int send_part(smtpf_redis_operation *o, const smtpf_change *changes, size_t n, const uint16_t *slots,
                     uint16_t slot)
{
  smtpf_redis *s = o->store;
  smtpf_redis_request *q = smtpf_redis_request_new(o, slot);
  if (!q)
    return SMTPF_ENOMEM;
  q->done = committed;
  q->form = SMTPF_REDIS_EVALSHA;
  smtpf_redis_changes(&q->bytes, s->settings.prefix, changes, n, slots, slot, smtpf_driver_wall(s->driver),
                      &q->arguments);
  smtpf_redis_dispatch(q);
  return SMTPF_OK;
}

/* A slot that none before it has. */
static int is_first(const uint16_t *slots, size_t i)
{
  size_t k = 0;
  while (slots[k] != slots[i])
    k++;
  return k == i;
}

/* 1 when there is somebody to send it to, now or as soon as a connection is made. */
static int is_reachable(smtpf_redis *s, uint16_t slot)
{
  const smtpf_redis_request probe = {.slot = slot};
  int hope = 0;
  const smtpf_redis_link *link = smtpf_redis_route(s, &probe, &hope);
  return hope || (link && link->state == SMTPF_REDIS_UP);
}

/* All parts are under way before an answer can come; none is sent when it is known that one has nowhere to go. */
static int send_parts(smtpf_redis_operation *o, const smtpf_change *changes, size_t n, uint16_t *slots)
{
  int r = SMTPF_OK;
  for (size_t i = 0; i < n; i++)
    slots[i] = smtpf_redis_slot(o->store->settings.prefix, changes[i].key);
  for (size_t i = 0; i < n; i++)
    if (is_first(slots, i)) {
      o->undone++;
      if (!is_reachable(o->store, slots[i]))
        return SMTPF_EIO;
    }
  for (size_t i = 0; i < n && r == SMTPF_OK; i++)
    if (is_first(slots, i))
      r = send_part(o, changes, n, slots, slots[i]);
  return r;
}

int smtpf_redis_commit(smtpf_redis *s, smtpf_op op, const smtpf_change *changes, size_t n)
{
  smtpf_redis_operation *o = smtpf_redis_begin(s, op);
  int r = SMTPF_OK;
  if (!o)
    return SMTPF_ELIMIT;
  if (n == 0) {
    smtpf_redis_finish(o, SMTPF_STORE_DONE, (smtpf_str){NULL, 0});
  } else if (s->settings.cluster) {
    uint16_t *slots = n <= SIZE_MAX / sizeof *slots ? smtpf_mem_alloc(s->mem, n * sizeof *slots) : NULL;
    r = slots ? send_parts(o, changes, n, slots) : SMTPF_ENOMEM;
    smtpf_mem_free(s->mem, slots);
  } else {
    o->undone = 1;
    r = send_part(o, changes, n, NULL, 0);
  }
  if (r != SMTPF_OK)
    fail(o);
  smtpf_redis_release(o);
  return SMTPF_OK;
}
