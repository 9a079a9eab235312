/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <errno.h>
#include <string.h>

#include "../../common/edits.h"

#define HEADER_MAX (4U << 20)

/* What a peer said, fit for a header field: an atom, a domain or a literal. */
static void token(text *t, smtpf_str s)
{
  static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  for (size_t i = 0; i < s.n && i < 255; i++)
    text_char(t, s.p[i] && strchr(good, s.p[i]) ? s.p[i] : '?');
  if (!s.n)
    text_cstr(t, "unknown");
}

static void trace_field(text *t, const trace *r)
{
  text_cstr(t, "Received: from ");
  token(t, r->helo);
  text_cstr(t, " (");
  if (r->address.n) {
    token(t, r->rdns);
    text_cstr(t, memchr(r->address.p, ':', r->address.n) ? " [IPv6:" : " [");
    text_add(t, r->address);
    text_char(t, ']');
  } else {
    text_cstr(t, "local");
  }
  text_cstr(t, ")\r\n\tby ");
  text_add(t, r->by);
  text_cstr(t, " (smtpf-proxy) with ");
  text_cstr(t, r->with);
  text_cstr(t, " id ");
  text_add(t, r->id);
  if (r->for_path.n) {
    text_cstr(t, "\r\n\tfor ");
    text_add(t, r->for_path);
  }
  text_cstr(t, ";\r\n\t");
  text_date(t, r->wall_s);
  text_cstr(t, "\r\n");
}

/* ---- edits inside the header section ------------------------------------------------------------ */

/* The header section with what ends it, or as much as there is. 0 or an errno. */
static int header_read(const spool *s, text *out, size_t *section)
{
  char room[8192];
  const char *p;
  size_t n, scan = 0;
  while ((n = spool_at(s, out->n, room, sizeof room, &p))) {
    if (out->n > HEADER_MAX)
      return EFBIG;
    text_add(out, (smtpf_str){p, n});
    if (out->failed)
      return ENOMEM;
    if (out->n >= 2 && out->p[0] == '\r' && out->p[1] == '\n') {
      *section = 0;
      return 0;
    }
    const char *end = memmem(out->p + scan, out->n - scan, "\r\n\r\n", 4);
    if (end) {
      *section = (size_t)(end - out->p) + 2;
      return 0;
    }
    scan = out->n > 3 ? out->n - 3 : 0;
  }
  *section = out->n;
  return out->n == s->size ? 0 : EIO;
}

static int edit_section(outgoing *o, const smtpf_verdict *v, size_t recipient, const spool *s)
{
  text head = {0};
  size_t section = 0;
  int r = header_read(s, &head, &section);
  if (!r)
    edits_section(&o->prefix, v, recipient, (smtpf_str){head.p, section});
  o->from = section;
  text_free(&head);
  return r;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

int outgoing_begin(outgoing *o, const trace *t, const smtpf_verdict *v, size_t recipient, smtpf_str extra,
                   const spool *s)
{
  *o = (outgoing){0};
  text_add(&o->prefix, extra);
  trace_field(&o->prefix, t);
  const smtpf_str but = t->stays ? SMTPF_LIT("Delivered-To") : (smtpf_str){0};
  int r = edits_prepend(&o->prefix, v, recipient, but) ? edit_section(o, v, recipient, s) : 0;
  if (!r && o->prefix.failed)
    r = ENOMEM;
  if (r)
    outgoing_end(o);
  return r;
}

/* The next piece as it is. */
static smtpf_str piece(outgoing *o, const spool *s, char *room, size_t cap)
{
  if (o->prefix_at < o->prefix.n)
    return (smtpf_str){o->prefix.p + o->prefix_at, o->prefix.n - o->prefix_at};
  const char *p = NULL;
  size_t n = spool_at(s, o->from, room, cap, &p);
  o->failed = !n && o->from < s->size;
  return (smtpf_str){p, n};
}

static void consume(outgoing *o, size_t n)
{
  if (o->prefix_at < o->prefix.n)
    o->prefix_at += n;
  else
    o->from += n;
}

size_t outgoing_fill(outgoing *o, const spool *s, char *out, size_t cap)
{
  char room[16384];
  size_t used = 0;
  while (cap - used > 16 && !o->ended) {
    smtpf_str from = piece(o, s, room, sizeof room), rest = from;
    if (o->failed)
      return 0;
    if (!from.n) {
      used += smtpf_dot_end(&o->dot, out + used);
      o->ended = 1;
      break;
    }
    size_t n = smtpf_dot_stuff(&o->dot, &rest.p, &rest.n, out + used, cap - used);
    used += n;
    consume(o, from.n - rest.n);
    if (!n && rest.n == from.n)
      break;
  }
  return used;
}

size_t outgoing_plain(outgoing *o, const spool *s, char *out, size_t cap)
{
  char room[16384];
  smtpf_str from = piece(o, s, room, sizeof room);
  if (o->failed || !from.n)
    return 0;
  size_t n = from.n < cap ? from.n : cap;
  memcpy(out, from.p, n);
  consume(o, n);
  return n;
}

void outgoing_end(outgoing *o)
{
  text_free(&o->prefix);
}
