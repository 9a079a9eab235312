/* SPDX-License-Identifier: MIT
 *
 * The type of scanner `spamd`: SpamAssassin's daemon, by the SPAMC protocol 1.5; SYMBOLS gives score, threshold and the
 * names of the rules. A connection serves one message. spamd begins when it has all of it, and has few processes: they
 * are not kept waiting for a client that sends slowly. So the message is sent when it is complete, with its length,
 * without which spamd would take one that was cut short for whole.
 */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "pool.h"
#include "port/port.h"
#include "spamd_reply.h"

enum { PORT = 783, USER_MAX = 320 };

/* What spamd says of itself, by sysexits.h, rather than of this message or its user. */
enum { EX_UNAVAILABLE = 69, EX_OSERR = 71, EX_TEMPFAIL = 75, EX_TIMEOUT = 79 };

typedef struct spamd_scan {
  smtpf_scan_talk talk; /* first */
  const smtpf_mem *mem;
  smtpf_scan_pool *pool;
  smtpf_op op;
  int open;            /* talk is */
  uint64_t size, sent; /* of the message */
  size_t user_n;
  char user[USER_MAX];
  smtpf_spamd_reply reply;
} spamd_scan;

static spamd_scan *of(smtpf_scan_talk *talk)
{
  return (spamd_scan *)(void *)talk;
}

/* ---- the protocol ----------------------------------------------------------------------------------------------- */

static int connected(smtpf_scan_talk *talk, int fresh)
{
  spamd_scan *scan = of(talk);
  char room[USER_MAX + 100];
  smtpf_out o;
  (void)fresh;
  scan->sent = 0;
  smtpf_spamd_reply_init(&scan->reply);
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, "SYMBOLS SPAMC/1.5\r\nContent-length: ");
  smtpf_out_uint(&o, scan->size);
  if (scan->user_n) {
    smtpf_out_cstr(&o, "\r\nUser: ");
    smtpf_out_str(&o, (smtpf_str){scan->user, scan->user_n});
  }
  smtpf_out_cstr(&o, "\r\n\r\n");
  return !o.full && smtpf_scan_talk_say(talk, o.p, o.n) ? SMTPF_OK : SMTPF_ENOMEM;
}

static size_t feed(smtpf_scan_talk *talk, const char *bytes, size_t n)
{
  const size_t took = smtpf_scan_talk_pass(talk, bytes, n);
  of(talk)->sent += took;
  return took;
}

static int finish(smtpf_scan_talk *talk)
{
  const spamd_scan *scan = of(talk);
  if (scan->sent != scan->size)
    return scan->sent ? SMTPF_EIO : SMTPF_PENDING;
  smtpf_scan_talk_last(talk);
  return SMTPF_OK;
}

/* `127.0.0.1:783: 6/5: GTUBE,NO_RECEIVED` */
static void judged(smtpf_scan_talk *talk)
{
  const spamd_scan *scan = of(talk);
  const smtpf_spamd_reply *reply = &scan->reply;
  char room[SMTPF_SPAMD_SYMBOLS + 200];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, smtpf_scan_talk_server(talk)->text);
  smtpf_out_cstr(&o, ": ");
  smtpf_out_milli(&o, reply->score);
  smtpf_out_char(&o, '/');
  smtpf_out_milli(&o, reply->threshold);
  if (reply->symbols.n) {
    smtpf_out_cstr(&o, ": ");
    smtpf_out_str(&o, reply->symbols);
  }
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = reply->spam ? SMTPF_SCAN_HIT : SMTPF_SCAN_CLEAN,
                               .name = reply->spam ? SMTPF_LIT("spam") : SMTPF_LIT(""),
                               .scored = 1,
                               .score = reply->score,
                               .seen = scan->size,
                               .detail = smtpf_out_done(&o)};
  smtpf_scan_talk_done(talk, &r, 0);
}

/* It could not. What it says of itself may be otherwise elsewhere; what it says of the request is the same there. */
static void refused(smtpf_scan_talk *talk)
{
  const smtpf_spamd_reply *reply = &of(talk)->reply;
  if (reply->code == EX_UNAVAILABLE || reply->code == EX_OSERR || reply->code == EX_TEMPFAIL) {
    smtpf_scan_talk_fail(talk, "error", reply->text, 1);
    return;
  }
  char room[SMTPF_SPAMD_SYMBOLS + 200];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, smtpf_scan_talk_server(talk)->text);
  smtpf_out_cstr(&o, ": ");
  smtpf_out_str(&o, reply->text);
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = SMTPF_SCAN_UNKNOWN,
                               .cause = reply->code == EX_TIMEOUT ? "timeout" : "error",
                               .detail = smtpf_out_done(&o)};
  smtpf_scan_talk_done(talk, &r, 0);
}

static size_t read_reply(smtpf_scan_talk *talk, const char *bytes, size_t n, int ended)
{
  spamd_scan *scan = of(talk);
  size_t used;
  const int progress = smtpf_spamd_reply_feed(&scan->reply, bytes, n, &used);
  (void)ended; /* cut short: the pool says so */
  if (progress == SMTPF_SPAMD_MORE)
    return used;
  if (progress == SMTPF_SPAMD_GARBAGE)
    smtpf_scan_talk_fail(talk, "garbage", SMTPF_LIT("no answer of spamd's"), 1);
  else if (scan->reply.code != 0)
    refused(talk);
  else if (used < n)
    smtpf_scan_talk_fail(talk, "garbage", SMTPF_LIT("more than an answer"), 1);
  else if (scan->sent != scan->size || !smtpf_scan_talk_drained(talk)) /* it knows the length: finish adds nothing */
    smtpf_scan_talk_fail(talk, "garbage", SMTPF_LIT("an answer before it had read all"), 1);
  else
    judged(talk);
  return 0;
}

/* ---- the type --------------------------------------------------------------------------------------------------- */

static int check(const smtpf_section *settings, smtpf_error *err)
{
  return smtpf_scan_servers_check(settings, PORT, err);
}

static int start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  static const smtpf_scan_protocol protocol = {connected, feed, finish, read_reply};
  smtpf_scan_pool *pool;
  (void)shared;
  const int r = smtpf_scan_pool_start(&pool, driver, settings, &protocol, PORT);
  if (r == SMTPF_OK)
    *self = pool;
  return r;
}

/* 1 when it can stand in a line of the protocol. */
static int is_line(smtpf_str s)
{
  for (size_t i = 0; i < s.n; i++)
    if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
      return 0;
  return s.n <= USER_MAX;
}

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  const smtpf_mem *mem = smtpf_driver_mem(smtpf_scan_pool_driver(self));
  if (!is_line(request->user))
    return SMTPF_EINVAL;
  spamd_scan *s = smtpf_mem_zalloc(mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->mem = mem;
  s->pool = self;
  s->op = op;
  s->user_n = request->user.n;
  if (s->user_n)
    memcpy(s->user, request->user.p, s->user_n);
  *scan = s;
  return SMTPF_OK;
}

static size_t feed_scan(void *scan, const char *bytes, size_t n)
{
  spamd_scan *s = scan;
  if (s->open)
    return smtpf_scan_talk_feed(&s->talk, bytes, n);
  s->size += n;
  return n;
}

/* From here on the library has the message for us, as often as it takes. */
static int finish_scan(void *scan)
{
  spamd_scan *s = scan;
  int r = SMTPF_OK;
  if (!s->open) {
    r = smtpf_scan_talk_open(&s->talk, s->pool, s->op);
    s->open = r == SMTPF_OK;
  }
  return r == SMTPF_OK ? smtpf_scan_talk_finish(&s->talk) : r;
}

static void close_scan(void *scan)
{
  spamd_scan *s = scan;
  if (s->open)
    smtpf_scan_talk_close(&s->talk);
  smtpf_mem_free(s->mem, s);
}

static void stop(void *self)
{
  smtpf_scan_pool_stop(self);
}

const smtpf_scanner *smtpf_scanner_spamd(void)
{
  static const smtpf_scanner scanner = {
      .size = sizeof scanner,
      .name = "spamd",
      .check = check,
      .start = start,
      .open = open_scan,
      .feed = feed_scan,
      .finish = finish_scan,
      .close = close_scan,
      .stop = stop,
      .stats = smtpf_scan_pool_stats,
  };
  return &scanner;
}
