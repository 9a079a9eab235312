/* SPDX-License-Identifier: MIT */
#include <smtpfilter/wire.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "mail/reply.h"
#include "wire/line.h"

enum { REPLY_MAX_DEFAULT = 16384 };

/* The client's side of one connection. A reply is put together in `text`: `done` bytes of lines joined by LF, without
 * codes, and behind them the line that is being read, as it came. */
struct smtpf_smtpc {
  smtpf_mem mem;
  smtpf_line text;
  uint32_t done;
  uint32_t read; /* bytes of this reply so far, with its codes and line ends */
  uint32_t reply_max;
  uint16_t code;      /* of this reply, 0 before its first line */
  uint8_t enhanced_n; /* of the first line's status code */
  uint8_t given;      /* what `text` holds has been given out */
  int8_t broken;      /* the error that was said, and will be again */
  char enhanced[9];   /* `5.ddd.ddd` */
};

int smtpf_smtpc_new(smtpf_smtpc **out, uint32_t reply_max, const smtpf_mem *mem)
{
  smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_smtpc *c = smtpf_mem_zalloc(&m, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  c->mem = m;
  c->reply_max = reply_max && reply_max <= INT32_MAX ? reply_max : REPLY_MAX_DEFAULT;
  *out = c;
  return SMTPF_OK;
}

void smtpf_smtpc_free(smtpf_smtpc *c)
{
  if (!c)
    return;
  smtpf_mem mem = c->mem;
  smtpf_line_drop(&c->text, &mem);
  smtpf_mem_free(&mem, c);
}

/* Moves input behind what is there, up to an LF. SMTPF_OK when there was one. */
static int gather(smtpf_smtpc *c, const char **in, size_t *n)
{
  const char *lf = memchr(*in, '\n', *n);
  size_t used = lf ? (size_t)(lf + 1 - *in) : *n;
  if (used > c->reply_max - c->read)
    return SMTPF_ELIMIT;
  if (smtpf_line_room(&c->text, &c->mem, c->text.n + used) != SMTPF_OK)
    return SMTPF_ENOMEM;
  memcpy(c->text.p + c->text.n, *in, used);
  c->text.n += (uint32_t)used;
  c->read += (uint32_t)used;
  *in += used;
  *n -= used;
  return lf ? SMTPF_OK : SMTPF_PENDING;
}

/* Puts a line's text where the line was, which was longer. What is neither printable nor beyond ASCII becomes `?`. */
static void join(smtpf_smtpc *c, smtpf_str text)
{
  char *p = c->text.p + c->done;
  if (c->code)
    *p++ = '\n';
  for (size_t i = 0; i < text.n; i++) {
    unsigned char b = (unsigned char)text.p[i];
    *p++ = b == '\t' ? ' ' : b < ' ' || b == 0x7f ? '?' : (char)b;
  }
  c->done = c->text.n = (uint32_t)(p - c->text.p);
}

/* The line that was gathered. *more is 1 when the reply goes on. */
static int take(smtpf_smtpc *c, int *more)
{
  smtpf_str line = {c->text.p + c->done, c->text.n - c->done}, text, enhanced;
  int code;
  if (line.n < 2 || line.p[line.n - 2] != '\r')
    return SMTPF_EPARSE;
  line.n -= 2;
  if (smtpf_reply_line(line, &code, more, &text) != SMTPF_OK || (c->code && c->code != code))
    return SMTPF_EPARSE;
  if (smtpf_enhanced_parse(text, code, &enhanced, &text) && !c->code && enhanced.n <= sizeof c->enhanced) {
    memcpy(c->enhanced, enhanced.p, enhanced.n);
    c->enhanced_n = (uint8_t)enhanced.n;
  }
  join(c, text);
  c->code = (uint16_t)code;
  return SMTPF_OK;
}

static void begin(smtpf_smtpc *c)
{
  smtpf_line_drop(&c->text, &c->mem);
  c->done = c->read = 0;
  c->code = 0;
  c->enhanced_n = c->given = 0;
}

int smtpf_smtpc_next(smtpf_smtpc *c, const char **in, size_t *n, smtpf_smtpc_reply *reply)
{
  if (c->given)
    begin(c);
  int r = c->broken ? c->broken : SMTPF_PENDING, more = 1;
  while (r == SMTPF_PENDING && *n) {
    r = gather(c, in, n);
    if (r == SMTPF_OK)
      r = take(c, &more);
    if (r == SMTPF_OK && more)
      r = SMTPF_PENDING;
  }
  if (r == SMTPF_OK) {
    c->given = 1;
    *reply = (smtpf_smtpc_reply){c->code, {c->enhanced, c->enhanced_n}, {c->text.p, c->text.n}};
  } else if (r == SMTPF_EPARSE || r == SMTPF_ELIMIT) {
    c->broken = (int8_t)r;
  }
  return r;
}

/* ---- commands ----------------------------------------------------------------------------------- */

static int is_safe(smtpf_str s)
{
  return !s.n || (!memchr(s.p, '\r', s.n) && !memchr(s.p, '\n', s.n) && !memchr(s.p, '\0', s.n));
}

int smtpf_smtpc_command(const char *verb, smtpf_str arg, char *out, size_t cap)
{
  smtpf_str v = smtpf_str_of(verb);
  if (!v.n || !is_safe(v) || !is_safe(arg))
    return SMTPF_EINVAL;
  smtpf_out o;
  smtpf_out_init(&o, out, cap);
  smtpf_out_str(&o, v);
  if (arg.n) {
    smtpf_out_char(&o, ' ');
    smtpf_out_str(&o, arg);
  }
  smtpf_out_str(&o, SMTPF_LIT("\r\n"));
  return o.full ? SMTPF_ELIMIT : (int)o.n;
}
