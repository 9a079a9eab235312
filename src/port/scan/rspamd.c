/* SPDX-License-Identifier: MIT
 *
 * The scanner type `rspamd`: POST /checkv2 with the envelope in header fields, the message behind them.
 *
 * rspamd begins when the message is complete, so a connection is worth little before. A message that fits into the
 * buffer is sent once it is complete, with its length. A longer one is sent while it comes (chunked) as long as half of
 * the connections are free and its client keeps talking; else its bytes are let go, and taken from the library's spool
 * once all have come. So slow clients hold up nobody.
 *
 *   GATHER --finish--> WAIT ---------> SEND --reply--> OVER
 *      | full, room       ^             |  \--failed--> WAIT (another server) or, still coming, PASS
 *      |------------------|-- SEND -----/
 *      \ full, no room ---|-> PASS --finish--> WAIT --> SEND, again from byte 0
 *
 * libcurl's callbacks touch the buffers alone. Whatever calls the library (`pump`) runs outside of them and outside of
 * the library's own calls.
 */
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "pool.h"
#include "port/port.h"
#include "rspamd.h"

enum {
  BUFFER = 64 * 1024,
  BUFFER_FIRST = 8 * 1024,
  ANSWER_FIRST = 4096,
  ARENA_CHUNK = 1024,
  ARENA_CAP = 2 * 1024 * 1024,
};

enum state { GATHER, PASS, WAIT, SEND, OVER };

typedef struct instance {
  smtpf_scan_servers servers; /* first */
  smtpf_driver *driver;
  const smtpf_section *settings;
  smtpf_rspamd_http *http;
  smtpf_link waiting;                       /* complete messages without a connection, the oldest first */
  smtpf_link telling;                       /* scans with something to tell the library */
  size_t n_waiting, n_running, connections; /* connections: to each server */
  smtpf_op work;
  size_t answer_max;
} instance;

typedef struct scan {
  instance *in;
  smtpf_op op;
  smtpf_link link; /* waiting or telling */
  int state;
  int complete;  /* finish was called, this time */
  int finished;  /* at some time */
  int whole;     /* all of the message is in the buffer */
  int blocked;   /* feed has said: not all */
  size_t queued; /* 1: among those that wait */
  char *buffer;  /* [at, n) is not yet sent */
  size_t at, n, cap;
  uint64_t fed, sent; /* bytes, this time */
  void *fields;
  smtpf_rspamd_names names;
  uint64_t counted; /* bytes that went through `names` */
  smtpf_rspamd_transfer *transfer;
  smtpf_scan_server *server; /* with a transfer */
  uint32_t tried;
  int fresh; /* a kept connection was dead */
  char *answer;
  size_t answer_n, answer_cap;
  const char *cause;
  char detail[240];                     /* what went wrong */
  char says[SMTPF_RSPAMD_DETAIL + 140]; /* what was said */
  uint64_t left_ns;                     /* time the servers may still take */
  uint64_t since;                       /* since when they take it; 0: it is not they we wait for */
  uint64_t fed_at;                      /* when the client said something last */
  smtpf_op timer;
  uint64_t timer_at;
} scan;

/* ---- time ------------------------------------------------------------------------------------------------------- */

static void on_timer(void *user);

static int server_is_awaited(const scan *s)
{
  return s->state == WAIT || (s->state == SEND && (s->complete || s->at < s->n));
}

/* Called whenever it may have changed for whom we wait. A timer that is set too early stays: it costs one call. */
static void keep_time(scan *s)
{
  const uint64_t now = smtpf_driver_now(s->in->driver);
  const int awaited = server_is_awaited(s);
  if (awaited && !s->since) {
    s->since = now;
  } else if (!awaited && s->since) {
    const uint64_t spent = now - s->since;
    s->left_ns -= spent < s->left_ns ? spent : s->left_ns;
    s->since = 0;
    s->fed_at = now;
  }
  if (!awaited && s->state != SEND)
    return;
  const uint64_t due = awaited ? s->since + s->left_ns : s->fed_at + (uint64_t)SMTPF_SCAN_PATIENCE * 1000000u;
  if (s->timer && s->timer_at <= due)
    return;
  if (s->timer)
    smtpf_driver_timer_cancel(s->in->driver, s->timer);
  s->timer = 0;
  s->timer_at = due;
  (void)smtpf_driver_timer(s->in->driver, due > now ? (int64_t)((due - now + 999999u) / 1000000u) : 0, on_timer, s,
                           &s->timer);
}

static void on_work(void *user);

/* Soon, outside of the call we are in. */
static void want_work(instance *in)
{
  if (!in->work)
    (void)smtpf_driver_timer(in->driver, 0, on_work, in, &in->work);
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static void unlist(scan *s)
{
  s->in->n_waiting -= s->queued;
  s->queued = 0;
  smtpf_list_remove(&s->link);
}

static void will_tell(scan *s)
{
  unlist(s);
  smtpf_list_append(&s->in->telling, &s->link);
  want_work(s->in);
}

/* The scan ends unknown. What a server said last tells more than that there is none left. */
static void give_up(scan *s, const char *cause)
{
  s->state = OVER;
  s->cause = s->cause ? s->cause : cause;
  keep_time(s);
  will_tell(s);
}

static void wait_for_turn(scan *s)
{
  s->state = WAIT;
  unlist(s);
  if (s->in->n_waiting == SMTPF_SCAN_WAITING) {
    give_up(s, "busy");
    return;
  }
  s->queued = 1;
  s->in->n_waiting++;
  smtpf_list_append(&s->in->waiting, &s->link);
  keep_time(s);
  want_work(s->in);
}

/* ---- transfers -------------------------------------------------------------------------------------------------- */

static void release(scan *s)
{
  smtpf_rspamd_transfer_close(s->transfer);
  s->transfer = NULL;
  s->server = NULL;
  s->in->n_running--;
}

/* The transfer is over, or is ended here, and nothing was judged. */
static void drop_transfer(scan *s, const char *cause, const char *text, int blame)
{
  smtpf_scan_servers *servers = &s->in->servers;
  smtpf_out o;
  smtpf_out_init(&o, s->detail, sizeof s->detail - 1);
  smtpf_out_cstr(&o, s->server->text);
  smtpf_out_cstr(&o, *text ? ": " : "");
  smtpf_out_printable(&o, smtpf_str_of(text), 0);
  s->detail[o.n] = '\0';
  s->cause = cause;
  if (blame)
    smtpf_scan_server_bad(servers, s->server, cause);
  else
    smtpf_scan_server_leave(servers, s->server);
  release(s);
  s->answer_n = 0;
  s->at = 0;
  s->n = s->whole ? s->n : 0;
}

/* The bytes that are still to come are let go; all of them will be asked for again. */
static void let_pass(scan *s)
{
  s->state = PASS;
  keep_time(s);
  if (s->blocked)
    will_tell(s);
}

/* Another server, or the same one when the connection was to blame. */
static void try_again(scan *s, const char *cause, const char *text, int blame, int stale)
{
  stale = stale && !s->fresh;
  s->fresh = stale;
  if (!stale)
    s->tried |= smtpf_scan_server_bit(&s->in->servers, s->server);
  drop_transfer(s, cause, text, blame);
  if (s->finished)
    wait_for_turn(s);
  else
    let_pass(s);
}

/* size -1: the message is still coming. SMTPF_OK, SMTPF_EBUSY (all servers have as much as they may), SMTPF_ENOTFOUND
 * (there is none) or SMTPF_ENOMEM. */
static int begin(scan *s, int64_t size)
{
  instance *in = s->in;
  char url[160];
  smtpf_out o;
  if (smtpf_scan_servers_full(&in->servers, s->tried))
    return SMTPF_EBUSY;
  smtpf_scan_server *server = smtpf_scan_server_choose(&in->servers, s->tried);
  if (!server)
    return SMTPF_ENOTFOUND;
  smtpf_out_init(&o, url, sizeof url - 1);
  smtpf_out_cstr(&o, "http://");
  smtpf_out_cstr(&o, server->local ? "localhost" : server->text);
  smtpf_out_cstr(&o, "/checkv2");
  url[o.n] = '\0';
  const smtpf_rspamd_request r = {
      .url = url,
      .unix_path = server->local ? server->text + 5 : NULL,
      .address = (const struct sockaddr *)(const void *)&server->address,
      .address_n = server->address_n,
      .fields = s->fields,
      .size = size,
      .connect_ms = smtpf_section_number(in->settings, "connect_timeout"),
      .fresh = s->fresh,
  };
  if (smtpf_rspamd_transfer_open(&s->transfer, in->http, &r, s) != SMTPF_OK) {
    smtpf_scan_server_leave(&in->servers, server);
    return SMTPF_ENOMEM;
  }
  s->server = server;
  s->sent = 0;
  s->state = SEND;
  in->n_running++;
  keep_time(s);
  return SMTPF_OK;
}

/* It is this scan's turn, and some server has room or there is none: from the buffer, or from byte 0. */
static void take_turn(scan *s)
{
  const int64_t size = s->whole ? (int64_t)s->n : (int64_t)smtpf_op_scan_size(s->in->driver, s->op);
  const int r = begin(s, size);
  unlist(s);
  if (r != SMTPF_OK) {
    give_up(s, r == SMTPF_ENOMEM ? "no-memory" : "down");
    return;
  }
  if (s->whole)
    return;
  s->complete = s->blocked = 0;
  s->fed = 0;
  if (smtpf_op_scan_again(s->in->driver, s->op) == SMTPF_EIO && s->transfer) {
    smtpf_scan_server_leave(&s->in->servers, s->server);
    release(s);
    s->cause = "spool";
    give_up(s, s->cause);
  }
}

/* ---- telling the library ---------------------------------------------------------------------------------------- */

/* The scan may be gone when this returns. */
static void tell(scan *s)
{
  instance *in = s->in;
  if (s->state != OVER) {
    if (s->blocked) {
      s->blocked = 0;
      smtpf_op_scan_room(in->driver, s->op);
    }
    return;
  }
  smtpf_scan_result r = {.size = sizeof r, .status = SMTPF_SCAN_UNKNOWN, .cause = s->cause};
  r.name = SMTPF_LIT("");
  r.seen = s->sent;
  r.detail = smtpf_str_of(s->detail);
  smtpf_op_scanned(in->driver, s->op, &r);
}

/* The first that need not wait any longer: who waits for one server keeps nobody from another. */
static scan *next_waiting(const instance *in)
{
  for (smtpf_link *l = in->waiting.next; l != &in->waiting; l = l->next)
    if (!smtpf_scan_servers_full(&in->servers, SMTPF_OF(l, scan, link)->tried))
      return SMTPF_OF(l, scan, link);
  return NULL;
}

static void pump(instance *in)
{
  for (scan *s;;) {
    if (!smtpf_list_empty(&in->telling)) {
      s = SMTPF_OF(in->telling.next, scan, link);
      unlist(s);
      tell(s);
    } else if ((s = next_waiting(in))) {
      take_turn(s);
    } else {
      return;
    }
  }
}

static void on_work(void *user)
{
  instance *in = user;
  in->work = 0;
  pump(in);
}

static void on_timer(void *user)
{
  scan *s = user;
  instance *in = s->in;
  const uint64_t now = smtpf_driver_now(in->driver);
  s->timer = 0;
  if (s->since && now - s->since >= s->left_ns) {
    if (s->transfer)
      drop_transfer(s, "timeout", "no answer in time", 1);
    give_up(s, s->state == WAIT ? "busy" : "timeout");
  } else if (s->state == SEND && !s->since && now - s->fed_at >= (uint64_t)SMTPF_SCAN_PATIENCE * 1000000u) {
    drop_transfer(s, NULL, "", 0);
    let_pass(s);
  } else {
    keep_time(s);
  }
  pump(in);
}

/* ---- what libcurl asks ------------------------------------------------------------------------------------------ */

static size_t on_read(void *user, char *room, size_t cap, int *more)
{
  scan *s = user;
  const size_t n = s->n - s->at < cap ? s->n - s->at : cap;
  *more = !s->complete;
  if (n)
    memcpy(room, s->buffer + s->at, n);
  s->at += n;
  s->sent += n;
  if (s->at == s->n && !s->whole)
    s->at = s->n = 0;
  if (s->blocked && s->n - s->at <= BUFFER / 2)
    will_tell(s);
  keep_time(s);
  return n;
}

static int on_write(void *user, const char *bytes, size_t n)
{
  scan *s = user;
  if (n > s->in->answer_max - s->answer_n)
    return 0;
  if (smtpf_mem_grow(smtpf_driver_mem(s->in->driver), (void **)&s->answer, &s->answer_cap, s->answer_n + n, 1) !=
      SMTPF_OK)
    return 0;
  memcpy(s->answer + s->answer_n, bytes, n);
  s->answer_n += n;
  return 1;
}

/* Nothing was judged: an error, or what is no answer. */
static int is_nothing(const smtpf_scan_result *r)
{
  return r->status == SMTPF_SCAN_UNKNOWN && strcmp(r->cause, "soft-reject") != 0;
}

/* `server: detail` */
static void name_server(scan *s, smtpf_scan_result *r)
{
  smtpf_out o;
  smtpf_out_init(&o, s->says, sizeof s->says);
  smtpf_out_cstr(&o, s->server->text);
  smtpf_out_cstr(&o, ": ");
  smtpf_out_str(&o, r->detail);
  r->detail = smtpf_out_done(&o);
}

static void on_done(void *user, const char *cause, const char *text, long status, int blame, int stale)
{
  scan *s = user;
  instance *in = s->in;
  smtpf_arena a;
  smtpf_scan_result r = {.size = sizeof r, .seen = s->sent};
  s->transfer = NULL;
  if (cause) {
    try_again(s, cause, text, blame, stale);
    return;
  }
  smtpf_arena_init(&a, smtpf_driver_mem(in->driver), ARENA_CHUNK, ARENA_CAP);
  smtpf_rspamd_answer_read(&a, s->answer, s->answer_n, status, &s->names, &r);
  if (is_nothing(&r)) {
    char words[200];
    smtpf_out o;
    smtpf_out_init(&o, words, sizeof words - 1);
    smtpf_out_str(&o, r.detail);
    words[o.n] = '\0';
    try_again(s, r.cause, words, status < 400 || status >= 500, 0);
  } else {
    name_server(s, &r);
    smtpf_scan_server_good(&in->servers, s->server);
    release(s);
    s->state = OVER;
    smtpf_op_scanned(in->driver, s->op, &r);
  }
  smtpf_arena_clear(&a);
}

static void on_idle(void *owner)
{
  pump(owner);
}

/* ---- a scan ----------------------------------------------------------------------------------------------------- */

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **out)
{
  instance *in = self;
  const smtpf_mem *mem = smtpf_driver_mem(in->driver);
  scan *s = smtpf_mem_zalloc(mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->in = in;
  s->op = op;
  smtpf_list_init(&s->link);
  s->left_ns = (uint64_t)smtpf_section_number(in->settings, "timeout") * 1000000u;
  if (smtpf_rspamd_fields(&s->fields, request, smtpf_section_string(in->settings, "settings_id")) != SMTPF_OK) {
    smtpf_mem_free(mem, s);
    return SMTPF_ENOMEM;
  }
  *out = s;
  return SMTPF_OK;
}

/* How much of n bytes has room in the buffer; without memory for it none. */
static size_t make_room(scan *s, size_t n)
{
  if (s->at) {
    memmove(s->buffer, s->buffer + s->at, s->n - s->at);
    s->n -= s->at;
    s->at = 0;
  }
  if (n > BUFFER - s->n)
    n = BUFFER - s->n;
  size_t want = s->cap > BUFFER_FIRST ? s->cap : BUFFER_FIRST;
  while (want < s->n + n)
    want *= 2;
  if (smtpf_mem_grow(smtpf_driver_mem(s->in->driver), (void **)&s->buffer, &s->cap, want, 1) != SMTPF_OK)
    n = s->cap - s->n < n ? s->cap - s->n : n;
  return n;
}

/* The buffer is full and there is more. */
static void overflow(scan *s)
{
  instance *in = s->in;
  if ((in->n_running + 1) * 2 <= in->connections * in->servers.n && begin(s, -1) == SMTPF_OK)
    return;
  s->state = PASS;
  s->n = 0;
}

static void count_names(scan *s, const char *bytes, size_t n)
{
  const uint64_t known = s->counted > s->fed ? s->counted - s->fed : 0;
  if (known >= n)
    return;
  smtpf_rspamd_names_feed(&s->names, bytes + known, n - (size_t)known);
  s->counted = s->fed + n;
}

static size_t feed(void *user, const char *bytes, size_t n)
{
  scan *s = user;
  size_t took = n;
  s->fed_at = smtpf_driver_now(s->in->driver);
  if (s->state == GATHER || s->state == SEND) {
    took = make_room(s, n);
    if (took)
      memcpy(s->buffer + s->n, bytes, took);
    s->n += took;
  }
  count_names(s, bytes, took);
  s->fed += took;
  if (s->state == GATHER && took < n) {
    overflow(s);
    return took + feed(s, bytes + took, n - took);
  }
  if (s->state == SEND) {
    s->blocked = took < n;
    keep_time(s);
    smtpf_rspamd_transfer_more(s->transfer);
  }
  return took;
}

static int finish(void *user)
{
  scan *s = user;
  s->finished = s->complete = 1;
  if (s->state == SEND) {
    keep_time(s);
    smtpf_rspamd_transfer_more(s->transfer);
  } else if (s->state == GATHER || s->state == PASS) {
    s->whole = s->state == GATHER;
    wait_for_turn(s);
  }
  return SMTPF_OK;
}

static void close_scan(void *user)
{
  scan *s = user;
  const smtpf_mem *mem = smtpf_driver_mem(s->in->driver);
  unlist(s);
  if (s->timer)
    smtpf_driver_timer_cancel(s->in->driver, s->timer);
  if (s->server)
    smtpf_scan_server_leave(&s->in->servers, s->server);
  if (s->server)
    release(s);
  if (!smtpf_list_empty(&s->in->waiting))
    want_work(s->in);
  smtpf_rspamd_fields_free(s->fields);
  smtpf_mem_free(mem, s->buffer);
  smtpf_mem_free(mem, s->answer);
  smtpf_mem_free(mem, s);
}

/* ---- an instance ------------------------------------------------------------------------------------------------ */

static int check(const smtpf_section *settings, smtpf_error *err)
{
  return smtpf_scan_servers_check(settings, SMTPF_RSPAMD_PORT, err);
}

static void stop(void *self)
{
  instance *in = self;
  smtpf_rspamd_http_stop(in->http);
  if (in->work)
    smtpf_driver_timer_cancel(in->driver, in->work);
  smtpf_mem_free(smtpf_driver_mem(in->driver), in);
}

static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  static const smtpf_rspamd_http_user calls = {on_read, on_write, on_done, on_idle};
  (void)shared;
  instance *in = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *in);
  if (!in)
    return SMTPF_ENOMEM;
  in->driver = driver;
  in->settings = settings;
  smtpf_list_init(&in->waiting);
  smtpf_list_init(&in->telling);
  in->connections = (size_t)smtpf_section_number(settings, "connections");
  in->answer_max = (size_t)smtpf_section_number(settings, "answer_limit");
  int r = smtpf_scan_servers_init(&in->servers, driver, settings, SMTPF_RSPAMD_PORT);
  in->servers.most = in->connections;
  if (r == SMTPF_OK)
    r = smtpf_rspamd_http_start(&in->http, driver, &calls, in, in->connections * in->servers.n);
  if (r != SMTPF_OK) {
    smtpf_mem_free(smtpf_driver_mem(driver), in);
    return r;
  }
  *self = in;
  return SMTPF_OK;
}

const smtpf_scanner *smtpf_scanner_rspamd(void)
{
  static const smtpf_scanner type = {
      sizeof type, "rspamd", smtpf_rspamd_rows,       SMTPF_RSPAMD_ROWS, check, start, open_scan, feed, finish,
      close_scan,  stop,     smtpf_scan_servers_stats};
  return &type;
}
