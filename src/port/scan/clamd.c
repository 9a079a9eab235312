/* SPDX-License-Identifier: MIT
 *
 * The type of scanner `clamd`: ClamAV's daemon, clamd(8). A message goes as a stream, in frames of a length (four
 * bytes, network order) and as many bytes, the last of length 0; or, to a server of this machine, as a descriptor. A
 * connection is a session (zIDSESSION) that serves one scan after the other.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "clamd.h"
#include "pool.h"
#include "port/port.h"

enum { PORT = 3310 };

typedef struct clamd {
  smtpf_scan_pool *pool;
  int by_descriptor;
} clamd;

typedef struct clamd_scan {
  smtpf_scan_talk talk; /* first */
  const smtpf_mem *mem;
  int by_descriptor, begun;
  size_t frame; /* bytes that are still to come of the one that was announced */
} clamd_scan;

static clamd_scan *of(smtpf_scan_talk *talk)
{
  return (clamd_scan *)(void *)talk;
}

static int say(smtpf_scan_talk *talk, smtpf_str words)
{
  return smtpf_scan_talk_say(talk, words.p, words.n + 1) ? SMTPF_OK : SMTPF_ENOMEM; /* with the NUL */
}

/* ---- the protocol ----------------------------------------------------------------------------------------------- */

static int connected(smtpf_scan_talk *talk, int fresh)
{
  clamd_scan *scan = of(talk);
  scan->begun = 0;
  scan->frame = 0;
  return fresh ? say(talk, SMTPF_LIT("zIDSESSION")) : SMTPF_OK;
}

/* A frame is announced as large as what there is to send. What the socket does not take of it is offered again, and
 * goes without another announcement. */
static size_t feed(smtpf_scan_talk *talk, const char *bytes, size_t n)
{
  clamd_scan *scan = of(talk);
  size_t took = 0, sent = 0;
  if (scan->by_descriptor && smtpf_scan_talk_server(talk)->local)
    return n;
  if (!scan->begun && say(talk, SMTPF_LIT("zINSTREAM")) != SMTPF_OK)
    return 0;
  scan->begun = 1;
  do {
    if (!scan->frame) {
      const uint32_t frame = n - took < UINT32_MAX ? (uint32_t)(n - took) : UINT32_MAX;
      const char head[4] = {(char)(frame >> 24), (char)(frame >> 16), (char)(frame >> 8), (char)frame};
      if (!smtpf_scan_talk_say(talk, head, sizeof head))
        break;
      scan->frame = frame;
    }
    sent = smtpf_scan_talk_pass(talk, bytes + took, n - took < scan->frame ? n - took : scan->frame);
    scan->frame -= sent;
    took += sent;
  } while (sent && took < n);
  return took;
}

static int finish_descriptor(smtpf_scan_talk *talk)
{
  const int fd = smtpf_scan_file_again(smtpf_op_scan_fd(smtpf_scan_pool_driver(talk->pool), talk->op));
  if (fd < 0) {
    of(talk)->by_descriptor = 0; /* so it goes as a stream */
    return SMTPF_PENDING;
  }
  const int sent = say(talk, SMTPF_LIT("zFILDES")) == SMTPF_OK && smtpf_scan_talk_pass_fd(talk, '\0', fd);
  (void)close(fd);
  return sent ? SMTPF_OK : SMTPF_EIO;
}

static int finish(smtpf_scan_talk *talk)
{
  clamd_scan *scan = of(talk);
  static const char end[4] = {0, 0, 0, 0};
  if (scan->by_descriptor && smtpf_scan_talk_server(talk)->local)
    return finish_descriptor(talk);
  if (!scan->begun && say(talk, SMTPF_LIT("zINSTREAM")) != SMTPF_OK)
    return SMTPF_ENOMEM;
  return !scan->frame && smtpf_scan_talk_say(talk, end, sizeof end) ? SMTPF_OK : SMTPF_ENOMEM;
}

static void found(smtpf_scan_talk *talk, int status, smtpf_str name, const char *cause, int keep)
{
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = status,
                               .name = name,
                               .cause = cause,
                               .seen = smtpf_op_scan_size(smtpf_scan_pool_driver(talk->pool), talk->op)};
  smtpf_scan_talk_done(talk, &r, keep);
}

/* `whole`: it is the answer to this request, it alone, and all of the message was there for it. */
static void answered(smtpf_scan_talk *talk, const smtpf_clamd_reply *reply, int whole, int keep)
{
  switch (reply->kind) {
  case SMTPF_CLAMD_CLEAN:
    if (whole)
      found(talk, SMTPF_SCAN_CLEAN, reply->text, NULL, keep);
    else
      smtpf_scan_talk_fail(talk, "garbage", SMTPF_LIT("OK before it had read all"), 1);
    break;
  case SMTPF_CLAMD_HIT: found(talk, SMTPF_SCAN_HIT, reply->text, NULL, keep && whole); break;
  case SMTPF_CLAMD_TOO_LARGE: found(talk, SMTPF_SCAN_UNKNOWN, (smtpf_str){"", 0}, "too-large", 0); break;
  case SMTPF_CLAMD_ERROR:
    smtpf_scan_talk_fail(talk, "error", reply->text, 0); /* perhaps of this message alone */
    break;
  default: smtpf_scan_talk_fail(talk, "garbage", reply->text, 1);
  }
}

static size_t read_reply(smtpf_scan_talk *talk, const char *bytes, size_t n, int ended)
{
  smtpf_clamd_reply reply;
  const size_t used = smtpf_clamd_reply_read((smtpf_str){bytes, n}, &reply);
  if (!used)
    return 0;
  if (reply.id && reply.id != smtpf_scan_talk_uses(talk))
    reply.kind = SMTPF_CLAMD_GARBAGE;
  answered(talk, &reply, used == n && smtpf_scan_talk_sent(talk), !ended && reply.id);
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
  (void)shared;
  clamd *c = smtpf_mem_zalloc(smtpf_driver_mem(driver), sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  c->by_descriptor = smtpf_section_number(settings, "descriptor") != 0;
  const int r = smtpf_scan_pool_start(&c->pool, driver, settings, &protocol, PORT);
  if (r == SMTPF_OK)
    *self = c;
  else
    smtpf_mem_free(smtpf_driver_mem(driver), c);
  return r;
}

static int open_scan(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  const clamd *c = self;
  const smtpf_mem *mem = smtpf_driver_mem(smtpf_scan_pool_driver(c->pool));
  (void)request;
  clamd_scan *s = smtpf_mem_zalloc(mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->mem = mem;
  s->by_descriptor = c->by_descriptor;
  *scan = s;
  return smtpf_scan_talk_open(&s->talk, c->pool, op);
}

static size_t feed_scan(void *scan, const char *bytes, size_t n)
{
  return smtpf_scan_talk_feed(scan, bytes, n);
}

static int finish_scan(void *scan)
{
  return smtpf_scan_talk_finish(scan);
}

static void close_scan(void *scan)
{
  clamd_scan *s = scan;
  smtpf_scan_talk_close(&s->talk);
  smtpf_mem_free(s->mem, s);
}

static void stop(void *self)
{
  clamd *c = self;
  const smtpf_mem *mem = smtpf_driver_mem(smtpf_scan_pool_driver(c->pool));
  smtpf_scan_pool_stop(c->pool);
  smtpf_mem_free(mem, c);
}

static void stats(void *self, smtpf_stat_fn fn, void *user)
{
  smtpf_scan_pool_stats(((clamd *)self)->pool, fn, user);
}

const smtpf_scanner *smtpf_scanner_clamd(void)
{
  static const smtpf_option options[] = {
      {"scanners[name].descriptor", SMTPF_OPTION_BOOL, "false", 0, 0, NULL,
       "Type clamd, a server on this machine (`unix:`): hand it the message as an open file instead of bytes. It must "
       "be "
       "allowed to read it."},
  };
  static const smtpf_scanner table = {sizeof table, "clamd",    options,   sizeof options / sizeof *options,
                                      check,        start,      open_scan, feed_scan,
                                      finish_scan,  close_scan, stop,      stats};
  return &table;
}
