/* SPDX-License-Identifier: MIT
 *
 * A context of hiredis on a driver: its socket is watched there, its time is the link's. hiredis trusts its server; we
 * do not. A reply to no question would end in an assertion, an array of 2^31 elements in as much memory, a bulk string
 * in as many bytes of buffer as it says: all three are stopped here, by our own makers of reply objects and by a look
 * at the buffer. What is stopped closes the connection.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "redis.h"

enum {
  OBJECTS_MAX = 200000,         /* in one reply: the map of a cluster whose slots are all by themselves */
  BUFFER_MAX = 4 * 1024 * 1024, /* bytes of a reply that is not complete */
};

#if HIREDIS_MAJOR >= 1
typedef size_t array_count;
#else
typedef int array_count;
#endif

static void set_cause(smtpf_redis_link *link, const char *cause)
{
  smtpf_out o;
  smtpf_out_init(&o, link->cause, sizeof link->cause - 1);
  smtpf_out_printable(&o, smtpf_str_of(cause && *cause ? cause : "connection closed"), 0);
  link->cause[o.n] = '\0';
}

/* ---- reply objects ------------------------------------------------------------------------------------ */

/* hiredis's own makers, when this object may be made: someone waits for the reply it belongs to, and it is not one of
 * too many. Else NULL, and hiredis gives up the connection. */
static const redisReplyObjectFunctions *makers_for(const redisReadTask *task)
{
  smtpf_redis_link *link = task->privdata;
  if (!task->parent) {
    link->n_objects = 0;
    if (!link->context || !link->context->replies.head)
      return NULL;
  }
  return ++link->n_objects <= OBJECTS_MAX ? &link->objects : NULL;
}

static void *make_string(const redisReadTask *task, char *p, size_t n)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f ? f->createString(task, p, n) : NULL;
}

static void *make_array(const redisReadTask *task, array_count n)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f && n <= OBJECTS_MAX ? f->createArray(task, n) : NULL;
}

static void *make_integer(const redisReadTask *task, long long v)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f ? f->createInteger(task, v) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f ? f->createNil(task) : NULL;
}

/* Kinds of RESP3, which nobody has asked for. */
#if HIREDIS_MAJOR >= 1
static void *make_double(const redisReadTask *task, double v, char *p, size_t n)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f ? f->createDouble(task, v, p, n) : NULL;
}

static void *make_bool(const redisReadTask *task, int v)
{
  const redisReplyObjectFunctions *f = makers_for(task);
  return f ? f->createBool(task, v) : NULL;
}
#endif

static void guard(smtpf_redis_link *link)
{
  static redisReplyObjectFunctions ours = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = make_double,
    .createBool = make_bool,
#endif
    .freeObject = freeReplyObject,
  };
  redisReader *reader = link->context->c.reader;
  link->objects = *reader->fn;
  reader->fn = &ours;
  reader->privdata = link;
}

/* ---- on the driver -------------------------------------------------------------------------------------- */

/* hiredis writes with write(2): to a server that is gone this is SIGPIPE, which is not ours to ignore for the whole
 * process. */
static void write_quietly(redisAsyncContext *context)
{
  static const struct timespec now = {0, 0};
  struct sigaction set;
  sigset_t pipe, before, pending;
  if (sigaction(SIGPIPE, NULL, &set) == 0 && set.sa_handler == SIG_IGN) {
    redisAsyncHandleWrite(context);
    return;
  }
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigemptyset(&pending);
  sigpending(&pending);
  const int was_pending = sigismember(&pending, SIGPIPE);
  const int blocked = pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0;
  redisAsyncHandleWrite(context);
  while (blocked && !was_pending && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) &&
         sigtimedwait(&pipe, NULL, &now) < 0)
    ;
  if (blocked)
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_ready(void *user, int fd, unsigned events)
{
  smtpf_redis_link *link = user;
  (void)fd;
  if (link->context && (events & SMTPF_FD_READ))
    redisAsyncHandleRead(link->context);
  if (link->context && (events & SMTPF_FD_WRITE))
    write_quietly(link->context);
  if (link->context && link->context->c.reader->len > BUFFER_MAX) {
    set_cause(link, "a reply of more bytes than any we ask for");
    smtpf_redis_context_close(link);
  }
  if (!link->context && link->state != SMTPF_REDIS_IDLE && link->state != SMTPF_REDIS_WAITING)
    smtpf_redis_link_lost(link);
}

/* Without memory for the watch nothing is seen, and deadlines end what waits. */
static void watch(smtpf_redis_link *link, unsigned events)
{
  if (events == link->events)
    return;
  link->events = events;
  (void)smtpf_driver_watch(link->store->driver, link->fd, events, on_ready, link);
}

static void add_read(void *user)
{
  watch(user, ((smtpf_redis_link *)user)->events | SMTPF_FD_READ);
}

static void del_read(void *user)
{
  watch(user, ((smtpf_redis_link *)user)->events & ~(unsigned)SMTPF_FD_READ);
}

static void add_write(void *user)
{
  watch(user, ((smtpf_redis_link *)user)->events | SMTPF_FD_WRITE);
}

static void del_write(void *user)
{
  watch(user, ((smtpf_redis_link *)user)->events & ~(unsigned)SMTPF_FD_WRITE);
}

/* hiredis frees the context. */
static void cleanup(void *user)
{
  smtpf_redis_link *link = user;
  watch(link, 0);
  if (link->context)
    set_cause(link, link->context->errstr);
  link->context = NULL;
}

static void attach(smtpf_redis_link *link, redisAsyncContext *context)
{
  link->context = context;
  link->fd = context->c.fd;
  link->events = 0;
  context->ev.data = link;
  context->ev.addRead = add_read;
  context->ev.delRead = del_read;
  context->ev.addWrite = add_write;
  context->ev.delWrite = del_write;
  context->ev.cleanup = cleanup;
  guard(link);
}

/* ---- opening, sending, closing -------------------------------------------------------------------------- */

int smtpf_redis_context_open(smtpf_redis_link *link)
{
  const smtpf_redis_address *a = &link->address;
  redisAsyncContext *context = a->port ? redisAsyncConnect(a->host, a->port) : redisAsyncConnectUnix(a->host);
  if (!context || context->err) {
    set_cause(link, context ? context->errstr : "no memory");
    if (context)
      redisAsyncFree(context);
    return SMTPF_EIO;
  }
  attach(link, context);
  if (link->store->settings.tls && smtpf_redis_tls_begin(link) != SMTPF_OK) {
    set_cause(link, context->c.errstr[0] ? context->c.errstr : "TLS");
    smtpf_redis_context_close(link);
    return SMTPF_EIO;
  }
  return SMTPF_OK;
}

void smtpf_redis_context_close(smtpf_redis_link *link)
{
  redisAsyncContext *context = link->context;
  if (!context)
    return;
  watch(link, 0);
  link->context = NULL;
  context->ev.data = NULL;
  context->ev.addRead = context->ev.delRead = context->ev.addWrite = context->ev.delWrite = context->ev.cleanup = NULL;
  redisAsyncFree(context); /* inside one of its callbacks: when that returns */
}

static void on_reply(redisAsyncContext *context, void *reply, void *user)
{
  smtpf_redis_call *call = user;
  (void)context;
  call->fn(call, reply);
}

int smtpf_redis_send(smtpf_redis_link *link, smtpf_redis_call *call, smtpf_str command)
{
  if (!link->context)
    return SMTPF_EIO;
  return redisAsyncFormattedCommand(link->context, on_reply, call, command.p, command.n) == REDIS_OK ? SMTPF_OK
                                                                                                     : SMTPF_EIO;
}
