/* SPDX-License-Identifier: MIT */
#include "wire/smtpd.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { LINE_MAX_LEAST = 512, LINE_MAX_DEFAULT = 2048, TEXT_LINE_LEAST = 1000, TEXT_LINE_DEFAULT = 65536 };

/* ---- life --------------------------------------------------------------------------------------- */

static int is_one_line(smtpf_str s)
{
  return !s.n || (!memchr(s.p, '\n', s.n) && !memchr(s.p, '\r', s.n) && !memchr(s.p, '\0', s.n));
}

static int is_legal(const smtpf_smtpd_options *o)
{
  return o->protocol >= 0 && o->protocol <= SMTPF_LMTP && o->line_ends >= 0 &&
         o->line_ends <= SMTPF_LINE_ENDS_NORMALISE && (!o->line_max || o->line_max >= LINE_MAX_LEAST) &&
         (!o->text_line_max || o->text_line_max >= TEXT_LINE_LEAST) && o->extensions < SMTPF_EXT_PRDR << 1 &&
         o->line_max <= INT32_MAX && is_one_line(o->hostname) && is_one_line(o->banner) && is_one_line(o->auth);
}

int smtpf_smtpd_new(smtpf_smtpd **out, const smtpf_smtpd_options *options, const smtpf_mem *mem)
{
  if (!out || !options || !options->size)
    return SMTPF_EINVAL;
  smtpf_smtpd_options o = {0};
  memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  if (!is_legal(&o))
    return SMTPF_EINVAL;
  smtpf_mem m = smtpf_mem_or_default(mem);
  smtpf_smtpd *c = smtpf_mem_zalloc(&m, sizeof *c);
  if (!c)
    return SMTPF_ENOMEM;
  c->mem = m;
  c->hostname = o.hostname;
  c->banner = o.banner;
  c->auth = o.auth;
  c->message_max = o.message_max;
  c->line_max = o.line_max ? o.line_max : LINE_MAX_DEFAULT;
  c->scan.line_max = o.text_line_max ? o.text_line_max : TEXT_LINE_DEFAULT;
  c->scan.normalise = o.line_ends == SMTPF_LINE_ENDS_NORMALISE;
  c->lmtp = o.protocol == SMTPF_LMTP;
  smtpf_smtpd_announce(c, o.extensions);
  c->due = SMTPF_DUE_BANNER;
  c->alone = 1;
  *out = c;
  return SMTPF_OK;
}

void smtpf_smtpd_free(smtpf_smtpd *c)
{
  if (!c)
    return;
  smtpf_mem mem = c->mem;
  smtpf_line_drop(&c->line, &mem);
  smtpf_mem_free(&mem, c);
}

size_t smtpf_smtpd_memory(const smtpf_smtpd *c)
{
  return sizeof *c + c->line.cap;
}

void smtpf_smtpd_forget(smtpf_smtpd *c)
{
  c->bdat = SMTPF_BDAT_NONE;
  c->recipients = 0;
  c->prdr = 0;
}

void smtpf_smtpd_announce(smtpf_smtpd *c, unsigned extensions)
{
  const unsigned known = (SMTPF_EXT_PRDR << 1) - 1;
  const unsigned never = (c->lmtp ? (unsigned)SMTPF_EXT_PRDR : 0U) /* LMTP has replies for each recipient by itself */
                         | (c->secured ? (unsigned)SMTPF_EXT_STARTTLS : 0U);
  c->extensions = (uint16_t)(extensions & known & ~never);
}

void smtpf_smtpd_tls(smtpf_smtpd *c)
{
  smtpf_line_drop(&c->line, &c->mem);
  smtpf_smtpd_forget(c);
  c->secured = 1;
  c->extensions &= (uint16_t)~SMTPF_EXT_STARTTLS;
  c->extended = 0;
  c->state = SMTPF_READ_COMMAND;
  c->due = SMTPF_DUE_NOTHING;
  c->refusal = 0;
}

int smtpf_smtpd_pipelining(const smtpf_smtpd *c)
{
  return c->extended && (c->extensions & SMTPF_EXT_PIPELINING);
}

/* ---- events ------------------------------------------------------------------------------------- */

/* Every event leaves through here. `alone`: whatever is still in the input came too early. */
static int leave(smtpf_smtpd *c, smtpf_smtpd_event *ev, int due, int alone, size_t more)
{
  ev->pipelined = c->early;
  c->due = (uint8_t)due;
  c->each = due == SMTPF_DUE_MESSAGE;
  c->alone = alone != 0;
  c->early = alone && more;
  c->fatal = ev->fatal != 0;
  return SMTPF_OK;
}

static int violated(smtpf_smtpd *c, smtpf_smtpd_event *ev, size_t more)
{
  c->verb = 0;
  if (c->bdat == SMTPF_BDAT_OPEN)
    c->bdat = SMTPF_BDAT_DEAD;
  return leave(c, ev, SMTPF_DUE_VIOLATION, !smtpf_smtpd_pipelining(c), more);
}

static int too_long(smtpf_smtpd *c, smtpf_smtpd_event *ev, size_t more)
{
  c->state = SMTPF_READ_COMMAND;
  smtpf_event_violate(ev, 500, SMTPF_LIT("5.5.2"), SMTPF_LIT("line too long (limits.line)"));
  return violated(c, ev, more);
}

/* ---- command lines ------------------------------------------------------------------------------ */

/* AUTH may carry its initial response (RFC 4954 section 4). */
static size_t line_limit(const smtpf_smtpd *c, const char *in, size_t n)
{
  static const char auth[] = "auth ";
  if (c->line_max >= SMTPF_AUTH_LINE_MAX || !(c->extensions & SMTPF_EXT_AUTH) || c->line.n + n < c->line_max)
    return c->line_max;
  for (size_t i = 0; i < sizeof auth - 1; i++)
    if (smtpf_lower(i < c->line.n ? c->line.p[i] : in[i - c->line.n]) != auth[i])
      return c->line_max;
  return SMTPF_AUTH_LINE_MAX;
}

/* A path that came without brackets gets them, in a copy of the line: the byte before it is a colon or space, the one
 * behind it a space or CR. */
static int add_brackets(smtpf_smtpd *c, smtpf_str line, smtpf_smtpd_event *ev)
{
  if (!c->line.n) {
    if (smtpf_line_room(&c->line, &c->mem, line.n) != SMTPF_OK)
      return SMTPF_ENOMEM;
    memcpy(c->line.p, line.p, line.n);
    c->line.n = (uint32_t)line.n;
    ev->name.p = c->line.p + (ev->name.p - line.p);
    ev->arg.p = c->line.p + (ev->arg.p - line.p);
    if (ev->params.n)
      ev->params.p = c->line.p + (ev->params.p - line.p);
  }
  char *path = c->line.p + (ev->arg.p - c->line.p) - 1;
  path[0] = '<';
  path[ev->arg.n + 1] = '>';
  ev->arg = (smtpf_str){path, ev->arg.n + 2};
  return SMTPF_OK;
}

/* What the sequence of BDAT forbids. 1 when there is nothing against the command. */
static int in_sequence(const smtpf_smtpd *c, smtpf_smtpd_event *ev)
{
  if (c->bdat != SMTPF_BDAT_OPEN)
    return 1;
  switch (ev->verb) {
  case SMTPF_VERB_MAIL:
  case SMTPF_VERB_RCPT:
  case SMTPF_VERB_DATA:
  case SMTPF_VERB_AUTH:
  case SMTPF_VERB_STARTTLS:
    smtpf_event_violate(ev, 503, SMTPF_LIT("5.5.1"), SMTPF_LIT("message begun by BDAT is not complete"));
    return 0;
  default: return 1;
  }
}

/* A BDAT line. SMTPF_OK: an event; SMTPF_PENDING: no event, go on reading the chunk. */
static int begin_chunk(smtpf_smtpd *c, smtpf_smtpd_event *ev)
{
  c->chunk = c->chunk_size = ev->chunk;
  c->chunk_last = ev->last != 0;
  if (c->bdat == SMTPF_BDAT_NONE) {
    c->chunks = 0;
    return leave(c, ev, SMTPF_DUE_COMMAND, 0, 0);
  }
  if (c->bdat == SMTPF_BDAT_OPEN && ++c->chunks == UINT16_MAX)
    c->scan.bad = SMTPF_BAD_CHUNKS;
  c->state = c->bdat == SMTPF_BDAT_OPEN ? SMTPF_READ_CHUNK : SMTPF_READ_SWALLOW;
  smtpf_line_drop(&c->line, &c->mem);
  return SMTPF_PENDING;
}

static int take_command(smtpf_smtpd *c, smtpf_str whole, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  smtpf_announced a = {c->extensions, c->lmtp, c->message_max};
  smtpf_str line = whole;
  int high;
  if (!smtpf_line_check(&line, &high, ev))
    return violated(c, ev, *n);
  smtpf_command_parse(line, high, &a, ev);
  if (whole.n > c->line_max && ev->verb != SMTPF_VERB_AUTH)
    return too_long(c, ev, *n);
  if (ev->kind != SMTPF_SMTPD_COMMAND || !in_sequence(c, ev))
    return violated(c, ev, *n);
  c->verb = (uint8_t)ev->verb;
  if (ev->verb == SMTPF_VERB_BDAT)
    return begin_chunk(c, ev);
  if ((ev->verb == SMTPF_VERB_MAIL || ev->verb == SMTPF_VERB_RCPT) && ev->arg.p[0] != '<' &&
      add_brackets(c, whole, ev) != SMTPF_OK)
    return SMTPF_ENOMEM;
  c->prdr_asked = ev->verb == SMTPF_VERB_MAIL && smtpf_params_prdr(ev->params);
  leave(c, ev, SMTPF_DUE_COMMAND, smtpf_verb_is_last(ev->verb) || !smtpf_smtpd_pipelining(c), *n);
  if (ev->verb == SMTPF_VERB_STARTTLS) { /* what follows was sent by who knows whom */
    ev->pipelined |= *n > 0;
    c->early = 0;
    *in += *n;
    *n = 0;
  }
  return SMTPF_OK;
}

static int next_command(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  smtpf_str line, before = {*in, *n};
  int r = smtpf_line_take(&c->line, &c->mem, in, n, line_limit(c, *in, *n), &line);
  if (r == SMTPF_ELIMIT) {
    c->state = SMTPF_READ_SKIP;
    c->after_cr = (*in)[-1] == '\r';
    return SMTPF_PENDING;
  }
  if (r != SMTPF_OK)
    return r;
  r = take_command(c, line, in, n, ev);
  if (r == SMTPF_ENOMEM) { /* a copy was wanted, so the line still lies in the input */
    *in = before.p;
    *n = before.n;
  }
  return r;
}

static int next_skip(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  while (*n) {
    const char *lf = memchr(*in, '\n', *n);
    size_t used = lf ? (size_t)(lf + 1 - *in) : *n;
    int proper = lf && (used > 1 ? lf[-1] == '\r' : c->after_cr);
    *in += used;
    *n -= used;
    c->after_cr = (*in)[-1] == '\r';
    if (proper)
      return too_long(c, ev, *n);
  }
  return SMTPF_PENDING;
}

static int next_auth(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  smtpf_str line;
  int high;
  int r = smtpf_line_take(&c->line, &c->mem, in, n, SMTPF_AUTH_LINE_MAX, &line);
  if (r == SMTPF_ELIMIT) {
    c->state = SMTPF_READ_SKIP;
    c->after_cr = (*in)[-1] == '\r';
    return SMTPF_PENDING;
  }
  if (r != SMTPF_OK)
    return r;
  if (!smtpf_line_check(&line, &high, ev)) {
    c->state = SMTPF_READ_COMMAND;
    return violated(c, ev, *n);
  }
  ev->kind = SMTPF_SMTPD_LINE;
  ev->body = line;
  return leave(c, ev, SMTPF_DUE_LINE, 1, *n);
}

/* ---- the message -------------------------------------------------------------------------------- */

static void blame(const smtpf_smtpd *c, smtpf_smtpd_event *ev)
{
  static const struct {
    int code;
    const char *enhanced, *text;
  } words[] = {
      [SMTPF_BAD_NUL] = {554, "5.6.0", "message with a NUL byte"},
      [SMTPF_BAD_CR] = {554, "5.6.0", "message with a bare CR: lines must end in CRLF"},
      [SMTPF_BAD_LF] = {554, "5.6.0", "message with a bare LF: lines must end in CRLF"},
      [SMTPF_BAD_LINE] = {554, "5.6.0", "message with a line too long (limits.text_line)"},
      [SMTPF_BAD_SIZE] = {552, "5.3.4", "message is larger than we take (limits.message)"},
      [SMTPF_BAD_CHUNKS] = {552, "5.3.4", "message in more than 65535 chunks"},
  };
  int bad = c->scan.bad;
  smtpf_event_violate(ev, words[bad].code, smtpf_str_of(words[bad].enhanced), smtpf_str_of(words[bad].text));
}

/* The message is over, by its mark or by its last chunk; or only a chunk is. */
static int end(smtpf_smtpd *c, smtpf_smtpd_event *ev, int complete, size_t more)
{
  c->state = SMTPF_READ_COMMAND;
  ev->kind = SMTPF_SMTPD_END;
  ev->last = complete;
  if (c->scan.bad) {
    blame(c, ev);
    if (!complete)
      return violated(c, ev, more);
  }
  return leave(c, ev, complete ? SMTPF_DUE_MESSAGE : SMTPF_DUE_CHUNK, !smtpf_smtpd_pipelining(c), more);
}

/* Cuts a piece where the message would become too big. */
static int body(smtpf_smtpd *c, smtpf_str piece, smtpf_smtpd_event *ev)
{
  if (c->message_max && piece.n > c->message_max - c->message_n) {
    piece.n = (size_t)(c->message_max - c->message_n);
    piece.n -= piece.n && piece.p[piece.n - 1] == '\r';
    c->scan.bad = SMTPF_BAD_SIZE;
    if (!piece.n)
      return SMTPF_PENDING;
  }
  c->message_n += piece.n;
  ev->kind = SMTPF_SMTPD_BODY;
  ev->body = piece;
  ev->pipelined = c->early;
  c->early = 0;
  return SMTPF_OK;
}

static int next_data(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  smtpf_str piece;
  int r = smtpf_scan_next(&c->scan, in, n, &piece);
  if (r == SMTPF_SCAN_END)
    return end(c, ev, 1, *n);
  return r == SMTPF_SCAN_PIECE ? body(c, piece, ev) : SMTPF_PENDING;
}

static int next_chunk(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  smtpf_str piece;
  if (c->chunk) {
    size_t have = *n < c->chunk ? *n : (size_t)c->chunk;
    size_t left = have;
    int r = smtpf_scan_next(&c->scan, in, &left, &piece);
    c->chunk -= have - left;
    *n -= have - left;
    if (r == SMTPF_SCAN_PIECE)
      return body(c, piece, ev);
  }
  if (c->chunk)
    return SMTPF_PENDING;
  if (c->chunk_last && smtpf_scan_close(&c->scan, &piece) == SMTPF_SCAN_PIECE && body(c, piece, ev) == SMTPF_OK)
    return SMTPF_OK;
  return end(c, ev, c->chunk_last, *n);
}

/* The answer to BDAT LAST is one for each recipient under LMTP also where its chunk was not wanted. */
static int next_swallow(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  size_t used = *n < c->chunk ? *n : (size_t)c->chunk;
  *in += used;
  *n -= used;
  c->chunk -= used;
  if (c->chunk)
    return SMTPF_PENDING;
  c->state = SMTPF_READ_COMMAND;
  if (c->refusal) {
    ev->kind = SMTPF_SMTPD_END;
    leave(c, ev, SMTPF_DUE_CHUNK, !smtpf_smtpd_pipelining(c), *n);
  } else {
    smtpf_event_violate(ev, 503, SMTPF_LIT("5.5.1"), SMTPF_LIT("message was refused: send RSET"));
    violated(c, ev, *n);
  }
  c->each = c->chunk_last;
  return SMTPF_OK;
}

static int drop_all(const char **in, size_t *n)
{
  *in += *n;
  *n = 0;
  return SMTPF_PENDING;
}

static int step(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  switch (c->state) {
  case SMTPF_READ_COMMAND: return next_command(c, in, n, ev);
  case SMTPF_READ_SKIP: return next_skip(c, in, n, ev);
  case SMTPF_READ_AUTH: return next_auth(c, in, n, ev);
  case SMTPF_READ_DATA: return next_data(c, in, n, ev);
  case SMTPF_READ_CHUNK: return next_chunk(c, in, n, ev);
  case SMTPF_READ_SWALLOW: return next_swallow(c, in, n, ev);
  default: return drop_all(in, n);
  }
}

/* An empty chunk is over before another byte is read. */
static int has_more(const smtpf_smtpd *c, size_t n)
{
  return n || ((c->state == SMTPF_READ_CHUNK || c->state == SMTPF_READ_SWALLOW) && !c->chunk);
}

int smtpf_smtpd_next(smtpf_smtpd *c, const char **in, size_t *n, smtpf_smtpd_event *ev)
{
  if (c->due) {
    c->early |= c->alone && *n;
    return SMTPF_ESTATE;
  }
  int r = SMTPF_PENDING;
  while (r == SMTPF_PENDING && has_more(c, *n)) {
    smtpf_event_clear(ev);
    r = step(c, in, n, ev);
  }
  return r;
}
