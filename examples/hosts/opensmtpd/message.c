/* SPDX-License-Identifier: MIT
 *
 * smtpd hands over a message line by line, its own Received field first, and takes lines back. None goes back before
 * the verdict: what is refused is never queued, and edits come before the first line.
 */
#include <string.h>

#include <smtpfilter/ext/mail.h>

#include "../../common/edits.h"
#include "filter.h"

/* A message this small stays in memory. */
#define MEMORY_MAX (256U << 10)
/* What the header section may be for edits inside it; beyond, only fields before it are added. */
#define HEADER_MAX (1U << 20)
/* What smtpd's own field may be. */
#define OWN_MAX 8192

void message_begin(client *c)
{
  message *m = &c->message;
  spool_clear(&m->spool);
  text_clear(&m->own);
  *m = (message){.spool = m->spool, .own = m->own};
  c->code = 0;
}

void message_end(client *c)
{
  spool_clear(&c->message.spool);
  text_free(&c->message.own);
}

/* ---- in ------------------------------------------------------------------------------------------------ */

static void keep(client *c, smtpf_str bytes)
{
  message *m = &c->message;
  if (!m->failed && spool_add(&m->spool, bytes.p, bytes.n, MEMORY_MAX, c->filter->spool_folder))
    m->failed = 1;
}

/* smtpd's own field: the first one, with its continuation lines up to the date, which has a line of its own. What the
 * client begins with is no part of it, even when it begins with a blank. */
static int is_own(const message *m, smtpf_str line)
{
  static const char name[] = "Received:";
  const size_t n = m->own.n;
  if (!n)
    return line.n >= sizeof name - 1 && memcmp(line.p, name, sizeof name - 1) == 0;
  return line.n && (line.p[0] == ' ' || line.p[0] == '\t') && n + line.n < OWN_MAX;
}

/* Before its last line stands the semicolon (RFC 5321 4.4). */
static int ends_own(const text *own)
{
  return own->n >= 2 && memcmp(own->p + own->n - 2, ";\n", 2) == 0;
}

void message_line(client *c, smtpf_str line)
{
  message *m = &c->message;
  if (m->whole)
    return;
  if (line.n == 1 && line.p[0] == '.') {
    m->whole = 1;
  } else if (!m->begun && is_own(m, line)) {
    m->begun = ends_own(&m->own) != 0;
    text_add(&m->own, line);
    text_char(&m->own, '\n');
    return;
  } else {
    m->begun = 1;
    const size_t stuffed = line.n && line.p[0] == '.';
    keep(c, (smtpf_str){line.p + stuffed, line.n - stuffed});
    keep(c, SMTPF_LIT("\r\n"));
  }
  message_feed(c);
}

/* Gives the session pieces until it has all, or no appetite. */
static int feed(client *c)
{
  enum { BLOCK = 16384 };
  message *m = &c->message;
  char room[BLOCK];
  const char *p;
  size_t n, taken = 0;
  int r = SMTPF_OK;
  while (r == SMTPF_OK && m->fed < m->spool.size && (n = spool_at(&m->spool, m->fed, room, sizeof room, &p)) != 0) {
    r = smtpf_session_body(c->session, p, n, &taken);
    if (r == SMTPF_OK || r == SMTPF_PENDING)
      m->fed += taken;
  }
  return r == SMTPF_OK && m->fed < m->spool.size ? SMTPF_EIO : r;
}

void message_feed(client *c)
{
  message *m = &c->message;
  if (m->told) {
    event_message_done(c);
    return;
  }
  int r = m->failed ? SMTPF_EIO : feed(c);
  if (r == SMTPF_PENDING || (r == SMTPF_OK && !m->whole))
    return;
  if (r == SMTPF_OK) {
    m->told = 1;
    r = smtpf_session_eom(c->session);
  }
  if (r == SMTPF_OK) {
    event_message_done(c);
  } else if (r != SMTPF_PENDING) {
    m->failed = 1;
    if (m->whole) { /* `commit` will find no verdict: 4xx */
      c->code = 0;
      message_return(c, 0);
    }
  }
}

/* ---- out ----------------------------------------------------------------------------------------------- */

/* The whole line, or none of it: then the message is not what smtpd has, and must not be taken. */
static void put_line(client *c, smtpf_str line, int stuff)
{
  enum { AROUND = 32 }; /* the word, bars, a dot, the end */
  smtpf_opensmtpd_line l = {.size = sizeof l};
  text *out = &c->filter->out;
  if (smtpf_opensmtpd_read(text_str(&c->request), &l) != SMTPF_OK ||
      !text_room(out, AROUND + l.session.n + l.token.n + line.n)) {
    c->message.failed = 1;
    return;
  }
  text_cstr(out, "filter-dataline|");
  text_add(out, l.session);
  text_char(out, '|');
  text_add(out, l.token);
  text_char(out, '|');
  if (stuff && line.n && line.p[0] == '.')
    text_char(out, '.');
  text_add(out, line);
  text_char(out, '\n');
}

/* Whole lines of `bytes`, which end in LF or CRLF; returns how much they are. */
static size_t put_lines(client *c, smtpf_str bytes)
{
  size_t at = 0;
  const char *lf;
  while (at < bytes.n && (lf = memchr(bytes.p + at, '\n', bytes.n - at)) != NULL) {
    size_t n = (size_t)(lf - (bytes.p + at));
    const size_t next = at + n + 1;
    if (n && bytes.p[at + n - 1] == '\r')
      n--;
    put_line(c, (smtpf_str){bytes.p + at, n}, 1);
    at = next;
  }
  return at;
}

/* The message's bytes from `at` on; a line may lie in two pieces. 0 when they cannot all be had. */
static int put_rest(client *c, uint64_t at)
{
  enum { BLOCK = 16384 };
  const spool *s = &c->message.spool;
  char room[BLOCK];
  const char *p;
  text line = {0};
  size_t n;
  while (at < s->size && (n = spool_at(s, at, room, sizeof room, &p)) != 0) {
    text_add(&line, (smtpf_str){p, n});
    const size_t used = put_lines(c, text_str(&line));
    if (line.failed)
      break;
    memmove(line.p, line.p + used, line.n - used);
    line.n -= used;
    at += n;
    talk_write(c->filter);
  }
  text_free(&line);
  return at == s->size;
}

/* The header section with its lines, without the empty one. 0 when it is too large or cannot be read. */
static int read_header(const client *c, text *out)
{
  const spool *s = &c->message.spool;
  char room[8192];
  const char *p, *end = NULL;
  size_t n;
  while (!end && out->n < HEADER_MAX && (n = spool_at(s, out->n, room, sizeof room, &p)) != 0) {
    text_add(out, (smtpf_str){p, n});
    end = out->n >= 2 && memcmp(out->p, "\r\n", 2) == 0 ? out->p - 2 : memmem(out->p, out->n, "\r\n\r\n", 4);
  }
  if (end)
    out->n = (size_t)(end + 2 - out->p);
  return !out->failed && (end || out->n == s->size);
}

/* smtpd has nowhere to drop a message, and one place that is no inbox: where `maildir junk` puts what bears this field.
 * What a recipient wants dropped goes there too, and says so. */
static void junk(const client *c, text *fields, const smtpf_verdict *v)
{
  smtpf_recipient_info r = {.size = sizeof r};
  int held = 0, dropped = 0;
  for (size_t i = 0; smtpf_verdict_recipient(v, i, &r) == SMTPF_OK; i++) {
    held |= r.disposition == SMTPF_QUARANTINED;
    dropped |= r.disposition == SMTPF_DISCARDED;
  }
  if (held || dropped)
    edits_field(fields, SMTPF_LIT("X-Spam"), SMTPF_LIT("Yes"));
  const char *name = dropped ? host_string(c->filter->engine, "tag.header", 0) : NULL;
  if (name)
    edits_field(fields, smtpf_str_of(name), SMTPF_LIT("discarded; smtpd cannot drop a message"));
}

static int put_edited(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  text fields = {0}, header = {0};
  uint64_t from = 0;
  junk(c, &fields, v);
  /* The mark of a forward is for who forwards; smtpd's own delivery would take it for a loop. */
  if (edits_prepend(&fields, v, SMTPF_ALL, SMTPF_LIT("Delivered-To")) && read_header(c, &header)) {
    edits_section(&fields, v, SMTPF_ALL, text_str(&header));
    from = header.n;
  }
  const int whole = !fields.failed;
  put_lines(c, text_str(&fields));
  text_free(&fields);
  text_free(&header);
  return put_rest(c, from) && whole;
}

void message_return(client *c, int accepted)
{
  if (accepted) {
    put_lines(c, text_str(&c->message.own));
    if (!put_edited(c) || c->message.failed)
      c->code = 0; /* what smtpd has now is not the message: `commit` is answered 4xx */
  }
  put_line(c, SMTPF_LIT("."), 0);
  text_clear(&c->request);
  spool_clear(&c->message.spool);
  text_clear(&c->message.own);
  c->told = COMMIT;
}

void message_pass(filter *f, const smtpf_opensmtpd_line *line)
{
  text_cstr(&f->out, "filter-dataline|");
  text_add(&f->out, line->session);
  text_char(&f->out, '|');
  text_add(&f->out, line->token);
  text_char(&f->out, '|');
  text_add(&f->out, line->rest);
  text_char(&f->out, '\n');
}
