/* SPDX-License-Identifier: MIT
 *
 * The type of scanner `icap`: RESPMOD to a server of RFC 3507, while the message comes. What a server wishes (OPTIONS)
 * is asked once in its TTL. With a preview it sees the first bytes and says whether it wants the rest; one that does
 * not is asked again, without a preview: what it has not seen is not clean. Connections are kept.
 */
#include "icap.h"

#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "base/str.h"
#include "pool.h"
#include "port/port.h"

enum {
  PORT = 1344,
  TTL = 3600, /* seconds wishes hold, where a server does not say */
  TTL_MAX = 86400,
  CHUNK = 1 << 20, /* most bytes of one */
};

/* What a server wishes. */
typedef struct icap_wishes {
  const smtpf_scan_server *server; /* NULL: no more of them */
  uint64_t until;                  /* driver's nanoseconds; 0: not known */
  int64_t preview;
  int may_204;
  char istag[SMTPF_ICAP_ISTAG];
} icap_wishes;

typedef struct icap {
  smtpf_scan_pool *pool;
  smtpf_str service;
  int preview;
  icap_wishes wishes[SMTPF_SCAN_SERVERS];
} icap;

enum state {
  ASKING,  /* OPTIONS */
  SHOWING, /* the preview is collected */
  WAITING, /* does it want the rest? */
  SENDING, /* all of it */
  SENT,
};

typedef struct icap_scan {
  smtpf_scan_talk talk; /* first */
  const smtpf_mem *mem;
  icap *type;
  icap_wishes *wishes; /* of the server it is with */
  int state, finished, empty;
  int begun, begun_early; /* the answer: before all was sent */
  uint64_t sent;          /* of the message, in this request */
  size_t chunk;           /* bytes that are still to come of the one that was announced */
  smtpf_sha256 message, answer;
  smtpf_icap_reply reply;
  size_t shown, show; /* bytes of the preview: collected, asked for */
  size_t client_n, session_n;
  char client[48], session[64], preview[SMTPF_ICAP_PREVIEW];
} icap_scan;

static icap_scan *of(smtpf_scan_talk *talk)
{
  return (icap_scan *)(void *)talk;
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

static icap_wishes *wishes_of(icap *type, const smtpf_scan_server *server)
{
  icap_wishes *w = type->wishes;
  while (w->server && w->server != server)
    w++; /* there are no more servers than places */
  w->server = server;
  return w;
}

static smtpf_icap_request request(const icap_scan *scan)
{
  const smtpf_scan_server *server = scan->wishes->server;
  return (smtpf_icap_request){.server = smtpf_str_of(server->text),
                              .local = server->local,
                              .service = scan->type->service,
                              .client = {scan->client, scan->client_n},
                              .session = {scan->session, scan->session_n},
                              .preview = -1,
                              .size = -1};
}

static int say(smtpf_scan_talk *talk, smtpf_str s)
{
  return smtpf_scan_talk_say(talk, s.p, s.n) ? SMTPF_OK : SMTPF_ENOMEM;
}

/* `1a` CRLF */
static int say_chunk(smtpf_scan_talk *talk, size_t n)
{
  char room[20];
  int digits = 1;
  smtpf_out o;
  while (digits < 8 && n >> (4 * digits))
    digits++;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_hex(&o, n, digits);
  smtpf_out_cstr(&o, "\r\n");
  return say(talk, smtpf_out_done(&o));
}

/* What was collected of the message, as a chunk. */
static int say_shown(smtpf_scan_talk *talk)
{
  const icap_scan *scan = of(talk);
  if (!scan->shown)
    return SMTPF_OK;
  return say_chunk(talk, scan->shown) == SMTPF_OK && say(talk, (smtpf_str){scan->preview, scan->shown}) == SMTPF_OK &&
                 say(talk, SMTPF_LIT("\r\n")) == SMTPF_OK
             ? SMTPF_OK
             : SMTPF_ENOMEM;
}

/* RESPMOD, up to the message. */
static int say_respmod(smtpf_scan_talk *talk, int preview)
{
  icap_scan *scan = of(talk);
  char room[SMTPF_ICAP_REQUEST];
  smtpf_icap_request q = request(scan);
  if (scan->finished)
    q.size = (int64_t)smtpf_op_scan_size(smtpf_scan_pool_driver(talk->pool), talk->op);
  if (preview)
    q.preview = (int64_t)scan->show;
  scan->state = preview ? SHOWING : SENDING;
  scan->begun = scan->begun_early = 0;
  smtpf_icap_reply_init(&scan->reply);
  smtpf_sha256_init(&scan->answer);
  return say(talk, (smtpf_str){room, smtpf_icap_write_respmod(room, &q)});
}

/* The server's wishes are known. */
static int begin(smtpf_scan_talk *talk)
{
  icap_scan *scan = of(talk);
  const int64_t wish = scan->wishes->preview;
  scan->show = wish < SMTPF_ICAP_PREVIEW ? (size_t)(wish > 0 ? wish : 0) : SMTPF_ICAP_PREVIEW;
  return say_respmod(talk, scan->type->preview && wish >= 0);
}

static int connected(smtpf_scan_talk *talk, int fresh)
{
  icap_scan *scan = of(talk);
  char room[SMTPF_ICAP_REQUEST];
  (void)fresh;
  scan->wishes = wishes_of(scan->type, smtpf_scan_talk_server(talk));
  scan->sent = scan->chunk = scan->shown = 0;
  scan->empty = 0;
  smtpf_sha256_init(&scan->message);
  if (smtpf_driver_now(smtpf_scan_pool_driver(talk->pool)) < scan->wishes->until)
    return begin(talk);
  scan->state = ASKING;
  smtpf_icap_reply_init(&scan->reply);
  smtpf_scan_talk_hold(talk, 1);
  const smtpf_icap_request q = request(scan);
  return say(talk, (smtpf_str){room, smtpf_icap_write_options(room, &q)});
}

/* ---- the message ------------------------------------------------------------------------------------------------ */

/* A chunk is announced as large as what there is to send. What the socket does not take of it is offered again. */
static size_t send_chunks(smtpf_scan_talk *talk, const char *bytes, size_t n)
{
  icap_scan *scan = of(talk);
  size_t took = 0, sent;
  do {
    if (!scan->chunk) {
      const size_t size = n - took < CHUNK ? n - took : CHUNK;
      if (say_chunk(talk, size) != SMTPF_OK)
        break;
      scan->chunk = size;
    }
    sent = smtpf_scan_talk_pass(talk, bytes + took, n - took < scan->chunk ? n - took : scan->chunk);
    scan->chunk -= sent;
    took += sent;
    if (!scan->chunk)
      (void)say(talk, SMTPF_LIT("\r\n")); /* all before it is on its way: there is room */
  } while (sent && took < n);
  return took;
}

/* Collects the preview; with the first byte behind it, the server is asked. */
static size_t show(smtpf_scan_talk *talk, const char *bytes, size_t n)
{
  icap_scan *scan = of(talk);
  const size_t left = scan->show - scan->shown, took = n < left ? n : left;
  if (took)
    memcpy(scan->preview + scan->shown, bytes, took);
  scan->shown += took;
  if (took == n)
    return took;
  scan->state = WAITING;
  smtpf_scan_talk_hold(talk, 1);
  (void)say_shown(talk); /* nothing else waits: there is room */
  (void)say(talk, SMTPF_LIT("0\r\n\r\n"));
  (void)smtpf_scan_talk_pass(talk, NULL, 0);
  return took;
}

static size_t feed(smtpf_scan_talk *talk, const char *bytes, size_t n)
{
  icap_scan *scan = of(talk);
  if (scan->state != SHOWING && scan->state != SENDING)
    return 0;
  const size_t took = scan->state == SHOWING ? show(talk, bytes, n) : send_chunks(talk, bytes, n);
  if (took)
    smtpf_sha256_add(&scan->message, bytes, took);
  scan->sent += took;
  return took;
}

static int finish(smtpf_scan_talk *talk)
{
  icap_scan *scan = of(talk);
  switch (scan->state) {
  case ASKING: scan->empty = 1; return SMTPF_OK; /* nothing of a message was held back: there is none */
  case SHOWING:
    scan->state = SENT;
    return say_shown(talk) == SMTPF_OK ? say(talk, SMTPF_LIT("0; ieof\r\n\r\n")) : SMTPF_ENOMEM;
  case SENDING: scan->state = SENT; return scan->chunk ? SMTPF_EIO : say(talk, SMTPF_LIT("0\r\n\r\n"));
  default: return SMTPF_EIO;
  }
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void fail(smtpf_scan_talk *talk, const char *cause, smtpf_str why, int blame)
{
  smtpf_scan_talk_fail(talk, cause, why, blame);
}

/* The server says what it wishes. 1: the scan goes on. */
static int wished(smtpf_scan_talk *talk)
{
  icap_scan *scan = of(talk);
  const smtpf_icap_reply *r = &scan->reply;
  icap_wishes *w = scan->wishes;
  const int64_t ttl = r->ttl < 0 ? TTL : r->ttl > TTL_MAX ? TTL_MAX : r->ttl ? r->ttl : 1;
  if (r->code != 200 || !r->respmod) {
    fail(talk, "error", r->code == 200 ? SMTPF_LIT("it offers no RESPMOD") : r->reason, 1);
    return 0;
  }
  w->until = smtpf_driver_now(smtpf_scan_pool_driver(talk->pool)) + (uint64_t)ttl * UINT64_C(1000000000);
  w->preview = r->preview;
  w->may_204 = r->allow_204;
  memcpy(w->istag, r->istag, sizeof w->istag);
  if (begin(talk) == SMTPF_OK && (!scan->empty || finish(talk) == SMTPF_OK))
    return 1;
  fail(talk, "memory", SMTPF_LIT(""), 0);
  return 0;
}

/* It has seen the preview, and wants the rest, or not: then it must look at the whole all the same. */
static int previewed(smtpf_scan_talk *talk)
{
  icap_scan *scan = of(talk);
  if (scan->reply.code == 100) {
    scan->state = SENDING;
    scan->begun = scan->begun_early = 0;
    smtpf_icap_reply_init(&scan->reply);
    return 1;
  }
  if (say_respmod(talk, 0) == SMTPF_OK && say_shown(talk) == SMTPF_OK)
    return 1;
  fail(talk, "memory", SMTPF_LIT(""), 0);
  return 0;
}

static void result(smtpf_scan_talk *talk, const smtpf_icap_verdict *v, int keep)
{
  const icap_scan *scan = of(talk);
  char room[200];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, smtpf_scan_talk_server(talk)->text);
  if (v->why.n) {
    smtpf_out_cstr(&o, ": ");
    smtpf_out_str(&o, v->why);
  }
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = v->meaning == SMTPF_ICAP_MEANS_CLEAN ? SMTPF_SCAN_CLEAN
                                         : v->meaning == SMTPF_ICAP_MEANS_HIT ? SMTPF_SCAN_HIT
                                                                              : SMTPF_SCAN_UNKNOWN,
                               .name = v->name,
                               .cause = v->cause,
                               .seen = scan->sent,
                               .detail = smtpf_out_done(&o)};
  smtpf_scan_talk_done(talk, &r, keep);
}

static void judge(smtpf_scan_talk *talk, int keep)
{
  icap_scan *scan = of(talk);
  unsigned char message[SMTPF_SHA256_BYTES], answer[SMTPF_SHA256_BYTES];
  smtpf_sha256_end(&scan->message, message);
  smtpf_sha256_end(&scan->answer, answer);
  const smtpf_icap_circumstances how = {.sent = !scan->begun_early && smtpf_scan_talk_sent(talk),
                                        .may_204 = scan->wishes->may_204,
                                        .unchanged = memcmp(message, answer, sizeof message) == 0};
  const smtpf_icap_verdict v = smtpf_icap_judge(&scan->reply, &how);
  if (scan->reply.istag[0] && strcmp(scan->reply.istag, scan->wishes->istag) != 0)
    scan->wishes->until = 0; /* it is not what it was: ask again */
  if (v.meaning == SMTPF_ICAP_MEANS_FAILED)
    fail(talk, v.cause, v.why, v.blame);
  else
    result(talk, &v, keep && how.sent);
}

/* An answer is whole. 1: it was not the last one of this scan. */
static int answered(smtpf_scan_talk *talk, int keep)
{
  icap_scan *scan = of(talk);
  const int code = scan->reply.code;
  if (scan->state == ASKING)
    return wished(talk);
  if (scan->state == WAITING && (code == 100 || (code == 204 && !scan->reply.found)))
    return previewed(talk);
  judge(talk, keep);
  return 0;
}

static size_t read_reply(smtpf_scan_talk *talk, const char *bytes, size_t n, int ended)
{
  icap_scan *scan = of(talk);
  size_t at = 0, used;
  smtpf_str piece;
  int progress = SMTPF_ICAP_MORE;
  if (n && !scan->begun) {
    scan->begun = 1;
    scan->begun_early = scan->state != SENT || !smtpf_scan_talk_sent(talk);
  }
  while (progress == SMTPF_ICAP_MORE && at < n) {
    progress = smtpf_icap_reply_feed(&scan->reply, bytes + at, n - at, &used, &piece);
    if (piece.n)
      smtpf_sha256_add(&scan->answer, piece.p, piece.n);
    at += used;
  }
  if (progress == SMTPF_ICAP_MORE)
    return at;
  if (progress == SMTPF_ICAP_GARBAGE)
    fail(talk, "garbage", SMTPF_LIT("no answer of ICAP's"), 1);
  else if (at < n)
    fail(talk, "garbage", SMTPF_LIT("more than an answer"), 1);
  else if (answered(talk, !ended && !scan->reply.close)) {
    (void)smtpf_scan_talk_pass(talk, NULL, 0);
    if (scan->state != SENT)
      smtpf_scan_talk_hold(talk, 0);
    return at;
  }
  return 0;
}

/* ---- the type --------------------------------------------------------------------------------------------------- */

static int check(const smtpf_section *settings, smtpf_error *err)
{
  const smtpf_str service = smtpf_section_string(settings, "service");
  if (!smtpf_icap_service_valid(service))
    return smtpf_section_fail(settings, "service", err, SMTPF_EINVAL, "no name of a service:", service,
                              "printable characters without blanks, as in `avscan`");
  return smtpf_scan_servers_check(settings, PORT, err);
}

static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  static const smtpf_scan_protocol protocol = {connected, feed, finish, read_reply};
  const smtpf_mem *mem = smtpf_driver_mem(driver);
  (void)shared;
  icap *type = smtpf_mem_zalloc(mem, sizeof *type);
  if (!type)
    return SMTPF_ENOMEM;
  type->service = smtpf_section_string(settings, "service");
  type->preview = smtpf_section_number(settings, "preview") != 0;
  const int r = smtpf_scan_pool_start(&type->pool, driver, settings, &protocol, PORT);
  if (r == SMTPF_OK)
    *self = type;
  else
    smtpf_mem_free(mem, type);
  return r;
}

static size_t copied(char *room, size_t cap, smtpf_str s)
{
  const size_t n = s.n < cap ? s.n : cap;
  if (n)
    memcpy(room, s.p, n);
  return n;
}

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *asked, void **scan)
{
  icap *type = self;
  const smtpf_mem *mem = smtpf_driver_mem(smtpf_scan_pool_driver(type->pool));
  icap_scan *s = smtpf_mem_zalloc(mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->mem = mem;
  s->type = type;
  if (asked->event)
    s->client_n = copied(s->client, sizeof s->client, asked->event->client_text);
  s->session_n = copied(s->session, sizeof s->session, asked->session);
  *scan = s;
  return smtpf_scan_talk_open(&s->talk, type->pool, op);
}

static size_t feed_scan(void *scan, const char *bytes, size_t n)
{
  return smtpf_scan_talk_feed(scan, bytes, n);
}

static int finish_scan(void *scan)
{
  icap_scan *s = scan;
  s->finished = 1;
  return smtpf_scan_talk_finish(&s->talk);
}

static void close_scan(void *scan)
{
  icap_scan *s = scan;
  smtpf_scan_talk_close(&s->talk);
  smtpf_mem_free(s->mem, s);
}

static void stop(void *self)
{
  icap *type = self;
  const smtpf_mem *mem = smtpf_driver_mem(smtpf_scan_pool_driver(type->pool));
  smtpf_scan_pool_stop(type->pool);
  smtpf_mem_free(mem, type);
}

static void stats(void *self, smtpf_stat_fn fn, void *user)
{
  smtpf_scan_pool_stats(((icap *)self)->pool, fn, user);
}

const smtpf_scanner *smtpf_scanner_icap(void)
{
  static const smtpf_option options[] = {
      {"scanners[name].service", SMTPF_OPTION_STRING, "avscan", 0, 0, NULL,
       "Type icap: name of the service, the path of its URL."},
      {"scanners[name].preview", SMTPF_OPTION_BOOL, "true", 0, 1, NULL,
       "Type icap: whether a server that wishes so sees the beginning of a message first. One that wants no more of it "
       "is sent the whole all the same: what it has not seen is not clean."},
  };
  static const smtpf_scanner table = {sizeof table, "icap",     options,   sizeof options / sizeof *options,
                                      check,        start,      open_scan, feed_scan,
                                      finish_scan,  close_scan, stop,      stats};
  return &table;
}
