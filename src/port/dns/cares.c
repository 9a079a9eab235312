/* SPDX-License-Identifier: MIT
 *
 * The resolver for production: a c-ares channel for each driver (docs/decisions/0004-c-ares.md).
 *
 * c-ares sends, retries, changes servers, checks that an answer belongs to its question, and falls back to TCP; it
 * tells us which sockets to watch and when it wants to be called. What comes back is read by dns_packet.c, in every
 * version of c-ares from the same bytes. Only the DNS is asked: no hosts file, no search list, no aliases.
 *
 * What is sent in one go is limited: a socket holds some 270 small datagrams (Linux's default net.core.rmem_default),
 * ours the answers, the server's the questions, and what comes beyond is lost until the next try. Each answer makes
 * room for one more question, and each pause for a whole burst, so that questions nobody answers hold up none.
 *
 * An operation that was cancelled runs to its end; its completion finds no token and is dropped there.
 */
#define _GNU_SOURCE
#include <sys/select.h>
#include <sys/time.h>

#include <ares.h>
#include <string.h>

#include <smtpfilter/engine.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "name.h"
#include "packet.h"
#include "port/port.h"

/* From 1.28 on ares_query() is deprecated, and ares_timeout() does not look at every query. */
#define WITH_DNSREC (ARES_VERSION >= 0x011c00)

enum {
  DEFAULT_TIMEOUT = 3000, /* ms, one try */
  DEFAULT_TRIES = 2,
  EDNS_SIZE = 1232, /* fits an unfragmented IPv6 packet: larger answers come by TCP */
  ANSWER_CHUNK = 1024,
  ANSWER_CAP = 1024 * 1024,
  SERVERS_MAX = 1024, /* bytes of the list of servers */
  BURST = 128,        /* questions sent without an answer */
  PAUSE = 20,         /* ms until the next burst goes out, answers or not */
};

typedef struct resolver {
  smtpf_driver *driver;
  ares_channel channel;
  int timeout_ms;
  int stopping; /* completions are the destruction of the channel */
  smtpf_op timer;
  uint64_t due;       /* driver's nanoseconds at which `timer` fires */
  smtpf_link waiting; /* requests not yet sent, oldest first */
  unsigned burst;     /* sent since the last pause, less what was answered */
} resolver;

typedef struct request {
  smtpf_link waiting;
  resolver *r;
  smtpf_op op;
  int type;
  size_t n;
  char name[SMTPF_DNS_NAME_MAX + 1];
} request;

/* ---- waiting ------------------------------------------------------------------------------------------ */

static void send_waiting(resolver *r);
static void on_timer(void *user);

/* A timer that is set too early stays: it costs one call. None is set without queries. */
static void arm(resolver *r)
{
  struct timeval tv;
  int64_t ms = PAUSE;
  if (smtpf_list_empty(&r->waiting)) {
    if (!ares_timeout(r->channel, NULL, &tv))
      return;
    ms = (int64_t)tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000;
  }
  uint64_t due = smtpf_driver_now(r->driver) + (uint64_t)(ms > 0 ? ms : 0) * 1000000u;
  if (r->timer && r->due <= due)
    return;
  if (r->timer)
    smtpf_driver_timer_cancel(r->driver, r->timer);
  r->timer = 0;
  r->due = due;
  (void)smtpf_driver_timer(r->driver, ms > 0 ? ms : 0, on_timer, r,
                           &r->timer); /* without memory: the next event arms */
}

static void process(resolver *r, ares_socket_t readable, ares_socket_t writable)
{
  ares_process_fd(r->channel, readable, writable);
  send_waiting(r);
  arm(r);
}

static void on_timer(void *user)
{
  resolver *r = user;
  r->timer = 0;
  r->burst = 0;
  process(r, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_ready(void *user, int fd, unsigned events)
{
  process(user, (events & SMTPF_FD_READ) ? fd : ARES_SOCKET_BAD, (events & SMTPF_FD_WRITE) ? fd : ARES_SOCKET_BAD);
}

/* Without memory for the watch the answer is not seen, and the query ends by its timeout. */
static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
  resolver *r = user;
  unsigned events = (readable ? SMTPF_FD_READ : 0u) | (writable ? SMTPF_FD_WRITE : 0u);
  (void)smtpf_driver_watch(r->driver, fd, events, on_ready, r);
}

/* ---- asking ------------------------------------------------------------------------------------------- */

static int status_of(int code)
{
  switch (code) {
  case ARES_ENOTFOUND: return SMTPF_DNS_NXDOMAIN; /* without a packet: names c-ares never sends (RFC 7686) */
  case ARES_ENODATA: return SMTPF_DNS_NODATA;
  case ARES_ETIMEOUT: return SMTPF_DNS_TIMEOUT;
  default: return SMTPF_DNS_SERVFAIL;
  }
}

/* The request ends here, whatever came. */
static void complete(request *q, int code, const unsigned char *packet, size_t n)
{
  resolver *r = q->r;
  const smtpf_mem *mem = smtpf_driver_mem(r->driver);
  if (!r->stopping) {
    smtpf_arena arena;
    smtpf_arena_init(&arena, mem, ANSWER_CHUNK, ANSWER_CAP);
    smtpf_dns_answer answer = smtpf_dns_answer_status(status_of(code));
    if (packet && n &&
        smtpf_dns_packet_read(packet, n, q->type, (smtpf_str){q->name, q->n}, &arena, &answer) != SMTPF_OK)
      answer = smtpf_dns_answer_status(SMTPF_DNS_SERVFAIL);
    smtpf_op_dns(r->driver, q->op, &answer);
    smtpf_arena_clear(&arena);
  }
  r->burst -= r->burst > 0;
  smtpf_mem_free(mem, q);
}

#if WITH_DNSREC
static void on_answer(void *user, ares_status_t code, size_t timeouts, const ares_dns_record_t *record)
{
  unsigned char *packet = NULL;
  size_t n = 0;
  (void)timeouts;
  if (record && ares_dns_write((ares_dns_record_t *)record, &packet, &n) != ARES_SUCCESS)
    code = ARES_EBADRESP;
  complete(user, (int)code, packet, n);
  ares_free_string(packet);
}
#else
static void on_answer(void *user, int code, int timeouts, unsigned char *packet, int n)
{
  (void)timeouts;
  complete(user, code, packet, n > 0 ? (size_t)n : 0);
}
#endif

static void send_waiting(resolver *r)
{
  while (r->burst < BURST && !smtpf_list_empty(&r->waiting)) {
    request *q = SMTPF_OF(r->waiting.next, request, waiting);
    smtpf_list_remove(&q->waiting);
    r->burst++;
#if WITH_DNSREC
    ares_query_dnsrec(r->channel, q->name, ARES_CLASS_IN, (ares_dns_rec_type_t)q->type, on_answer, q, NULL);
#else
    ares_query(r->channel, q->name, 1, q->type, on_answer, q);
#endif
  }
}

static int query(void *self, smtpf_op op, int type, const char *name)
{
  resolver *r = self;
  request *q = smtpf_mem_alloc(smtpf_driver_mem(r->driver), sizeof *q);
  if (!q)
    return SMTPF_ENOMEM;
  if (type <= 0 || type > UINT16_MAX || smtpf_dns_name_fold(smtpf_str_of(name), q->name, &q->n) != SMTPF_OK) {
    smtpf_mem_free(smtpf_driver_mem(r->driver), q);
    return SMTPF_EINVAL;
  }
  q->r = r;
  q->op = op;
  q->type = type;
  smtpf_list_append(&r->waiting, &q->waiting);
  send_waiting(r);
  /* A new query is due after the timeout of one try; an earlier timer serves it too. */
  uint64_t latest = smtpf_driver_now(r->driver) + (uint64_t)r->timeout_ms * 1000000u;
  if (WITH_DNSREC || !smtpf_list_empty(&r->waiting) || !r->timer || r->due > latest)
    arm(r);
  return SMTPF_OK;
}

static void cancel(void *self, smtpf_op op)
{
  (void)self;
  (void)op;
}

/* ---- starting and stopping ---------------------------------------------------------------------------- */

/* The policy's `resolver.servers`, comma separated; empty when there are none. */
static int servers_of(const smtpf_engine *engine, char out[SERVERS_MAX])
{
  smtpf_out o;
  smtpf_str server;
  smtpf_out_init(&o, out, SERVERS_MAX - 1);
  for (size_t i = 0; engine && smtpf_engine_option(engine, "resolver.servers", i, &server) == SMTPF_OK; i++) {
    if (i)
      smtpf_out_char(&o, ',');
    smtpf_out_str(&o, server);
  }
  out[o.n] = '\0';
  return o.full ? SMTPF_ELIMIT : SMTPF_OK;
}

static int number_of(const smtpf_engine *engine, const char *path, int given, int otherwise)
{
  int64_t v;
  if (given > 0)
    return given;
  if (engine && smtpf_engine_number(engine, path, &v) == SMTPF_OK && v > 0)
    return v < INT32_MAX ? (int)v : INT32_MAX;
  return otherwise;
}

static void stop(void *self)
{
  resolver *r = self;
  if (!r)
    return;
  r->stopping = 1;
  if (r->channel)
    ares_destroy(r->channel); /* ends every query and every watch */
  if (r->timer)
    smtpf_driver_timer_cancel(r->driver, r->timer);
  while (!smtpf_list_empty(&r->waiting)) {
    request *q = SMTPF_OF(r->waiting.next, request, waiting);
    smtpf_list_remove(&q->waiting);
    smtpf_mem_free(smtpf_driver_mem(r->driver), q);
  }
  smtpf_mem_free(smtpf_driver_mem(r->driver), r);
}

/* ares_library_init() is for Windows; it counts without a lock, so that drivers of several threads must not call it. */
static int open_channel(resolver *r, const char *servers, int tries)
{
  struct ares_options o;
  char lookups[] = "b";
  memset(&o, 0, sizeof o);
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
             ARES_OPT_EDNSPSZ;
  o.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
  o.timeout = r->timeout_ms;
  o.tries = tries;
  o.lookups = lookups;
  o.sock_state_cb = on_socket;
  o.sock_state_cb_data = r;
  o.ednspsz = EDNS_SIZE;
#ifdef ARES_OPT_QUERY_CACHE
  mask |= ARES_OPT_QUERY_CACHE; /* the core caches; two caches would hide a change twice as long */
  o.qcache_max_ttl = 0;
#endif
  int code = ares_init_options(&r->channel, &o, mask);
  if (code != ARES_SUCCESS) {
    r->channel = NULL;
    return code == ARES_ENOMEM ? SMTPF_ENOMEM : SMTPF_EIO;
  }
  if (!*servers)
    return SMTPF_OK;
  code = ares_set_servers_ports_csv(r->channel, servers);
  return code == ARES_SUCCESS ? SMTPF_OK : code == ARES_ENOMEM ? SMTPF_ENOMEM : SMTPF_EINVAL;
}

static int start(void *shared, smtpf_driver *driver, void **self)
{
  static const smtpf_resolver_cares_options none = {.size = sizeof none};
  const smtpf_resolver_cares_options *given = shared ? shared : &none;
  const smtpf_engine *engine = smtpf_driver_engine(driver);
  char room[SERVERS_MAX] = "";
  int code;
  if (given->size < sizeof *given)
    return SMTPF_EINVAL;
  if (!given->servers && (code = servers_of(engine, room)) != SMTPF_OK)
    return code;
  resolver *r = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *r);
  if (!r)
    return SMTPF_ENOMEM;
  r->driver = driver;
  smtpf_list_init(&r->waiting);
  r->timeout_ms = number_of(engine, "resolver.timeout", given->timeout_ms, DEFAULT_TIMEOUT);
  int tries = number_of(engine, "resolver.tries", given->tries, DEFAULT_TRIES);
  code = open_channel(r, given->servers ? given->servers : room, tries);
  if (code != SMTPF_OK) {
    stop(r);
    return code;
  }
  *self = r;
  return SMTPF_OK;
}

const smtpf_resolver *smtpf_resolver_cares(void)
{
  static const smtpf_resolver table = {sizeof table, "c-ares", start, query, cancel, stop};
  return &table;
}
