/* SPDX-License-Identifier: MIT
 *
 * What a part's header section makes of it:
 *
 *     type               | encoding           | room in the stack | boundary | the part is
 *     multipart/x        | any                | yes               | yes      | MULTIPART, read as it stands
 *     multipart/x        | any                | no                | any      | LEAF as it stands, TOO_DEEP
 *     multipart/x        | any                | yes               | no       | LEAF as it stands, NO_BOUNDARY
 *     message/rfc822,    | identity           | yes               |          | MESSAGE
 *     message/global     | identity           | no                |          | LEAF, TOO_DEEP
 *                        | base64, qp, uu     | any               |          | LEAF, decoded, ENCODING_ILLEGAL
 *     other              | any                | any               |          | LEAF, decoded
 */
#include <string.h>

#include "mail/charset.h"
#include "mail/content.h"
#include "mail/mime_walk.h"

enum { SEEN_TYPE = 1, SEEN_ENCODING = 2, SEEN_DISPOSITION = 4, BOUNDARY_USUAL = 70 };

static smtpf_str lower_end(smtpf_out *o, size_t begin)
{
  for (size_t i = begin; i < o->n; i++)
    o->p[i] = smtpf_lower(o->p[i]);
  return (smtpf_str){o->p + begin, o->n - begin};
}

/* A parameter's value in the part's room. */
static smtpf_str param(smtpf_mime *m, const smtpf_content *c, smtpf_str name, int words)
{
  const size_t begin = m->text.n;
  unsigned flags;
  const int found = smtpf_content_param(c->params, name, words, &m->text, &flags);
  if (flags & ~(unsigned)SMTPF_CONTENT_EXTENDED)
    smtpf_mime_note(m, SMTPF_MIME_PARAM_BAD);
  if (!found)
    return (smtpf_str){NULL, 0};
  return (smtpf_str){m->text.p + begin, m->text.n - begin};
}

/* The boundary goes where the level's will stand, if there is a level. */
static void take_boundary(smtpf_mime *m, const smtpf_content *c)
{
  unsigned flags;
  smtpf_out out;
  if (m->depth == m->limits.depth || !smtpf_str_starts(m->part.type, SMTPF_LIT("multipart/")))
    return;
  const uint32_t at = smtpf_mime_boundary_end(m);
  smtpf_out_init(&out, m->boundaries + at, m->limits.boundary - at);
  if (!smtpf_content_param(c->params, SMTPF_LIT("boundary"), 0, &out, &flags))
    return;
  if (flags & ~(unsigned)SMTPF_CONTENT_EXTENDED)
    smtpf_mime_note(m, SMTPF_MIME_PARAM_BAD);
  if (out.full || out.n > BOUNDARY_USUAL)
    smtpf_mime_note(m, SMTPF_MIME_BOUNDARY_LONG);
  while (out.n && (out.p[out.n - 1] == ' ' || out.p[out.n - 1] == '\t'))
    out.n--;
  m->boundary = out.full ? 0 : (uint32_t)out.n;
}

static void take_type(smtpf_mime *m, smtpf_str value)
{
  smtpf_content c;
  const size_t begin = m->text.n;
  smtpf_content_read(value, &c);
  if (c.type.n && c.subtype.n) {
    smtpf_out_str(&m->text, c.type);
    smtpf_out_char(&m->text, '/');
    smtpf_out_str(&m->text, c.subtype);
    m->part.type = lower_end(&m->text, begin);
  } else {
    smtpf_mime_note(m, SMTPF_MIME_TYPE_BAD);
    m->part.type = SMTPF_LIT("text/plain");
  }
  m->part.charset_name = param(m, &c, SMTPF_LIT("charset"), 0);
  m->part.name = param(m, &c, SMTPF_LIT("name"), 1);
  take_boundary(m, &c);
}

static void take_disposition(smtpf_mime *m, smtpf_str value)
{
  smtpf_content c;
  const size_t begin = m->text.n;
  smtpf_content_read(value, &c);
  smtpf_out_str(&m->text, c.type);
  m->part.disposition = lower_end(&m->text, begin);
  m->part.filename = param(m, &c, SMTPF_LIT("filename"), 1);
}

static void take_encoding(smtpf_mime *m, smtpf_str value)
{
  static const struct {
    smtpf_str name;
    uint8_t encoding;
  } known[] = {
      {{"7bit", 4}, SMTPF_MIME_IDENTITY},        {{"8bit", 4}, SMTPF_MIME_IDENTITY},
      {{"binary", 6}, SMTPF_MIME_IDENTITY},      {{"base64", 6}, SMTPF_MIME_BASE64},
      {{"quoted-printable", 16}, SMTPF_MIME_QP}, {{"x-uuencode", 10}, SMTPF_MIME_UU},
      {{"uuencode", 8}, SMTPF_MIME_UU},          {{"x-uue", 5}, SMTPF_MIME_UU},
  };
  smtpf_content c;
  smtpf_content_read(value, &c);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (smtpf_str_equal_nocase(c.type, known[i].name)) {
      m->part.encoding = known[i].encoding;
      return;
    }
  }
  smtpf_mime_note(m, SMTPF_MIME_ENCODING_UNKNOWN);
}

/* 1 when this is the first field of its name. */
static int first(smtpf_mime *m, const smtpf_header_field *f, smtpf_str name, uint8_t seen)
{
  if (!smtpf_str_equal_nocase(f->name, name))
    return 0;
  if (m->seen & seen) {
    smtpf_mime_note(m, SMTPF_MIME_FIELD_TWICE);
    return 0;
  }
  m->seen |= seen;
  return 1;
}

static void on_field(void *user, const smtpf_header_field *field)
{
  smtpf_mime *m = user;
  smtpf_header_field f = *field;
  f.offset += m->part.header;
  m->here = f.offset;
  if (m->handler.field)
    m->handler.field(m->user, m->part.index, &f);
  if (f.flags & SMTPF_HEADER_TRUNCATED)
    smtpf_mime_note(m, SMTPF_MIME_FIELD_CUT);
  if (f.flags & SMTPF_HEADER_HIGH)
    smtpf_mime_note(m, SMTPF_MIME_HEADER_HIGH);
  if (f.flags & SMTPF_HEADER_CONTROL)
    smtpf_mime_note(m, SMTPF_MIME_HEADER_CONTROL);
  if (f.flags & SMTPF_HEADER_MALFORMED)
    smtpf_mime_note(m, SMTPF_MIME_HEADER_BAD);
  if (f.name.n < 12 || smtpf_lower(f.name.p[0]) != 'c')
    return;
  if (first(m, &f, SMTPF_LIT("Content-Type"), SEEN_TYPE))
    take_type(m, f.value);
  else if (first(m, &f, SMTPF_LIT("Content-Disposition"), SEEN_DISPOSITION))
    take_disposition(m, f.value);
  else if (first(m, &f, SMTPF_LIT("Content-Transfer-Encoding"), SEEN_ENCODING))
    take_encoding(m, f.value);
  if (m->text.full)
    smtpf_mime_note(m, SMTPF_MIME_TEXT_CUT);
}

int smtpf_mime_part_open(smtpf_mime *m, uint64_t offset)
{
  if (m->parts == m->limits.parts)
    return SMTPF_ELIMIT;
  m->part = (smtpf_mime_part){
      .index = m->parts++,
      .parent = m->depth ? m->levels[m->depth - 1].part : 0,
      .depth = m->depth,
      .header = offset,
      .type = SMTPF_LIT("text/plain"),
  };
  if (m->depth && m->levels[m->depth - 1].digest)
    m->part.type = SMTPF_LIT("message/rfc822");
  m->seen = 0;
  m->boundary = 0;
  m->text.n = 0;
  m->text.full = 0;
  m->mode = SMTPF_MIME_IN_HEADER;
  smtpf_header_init(&m->header, m->header.room, m->limits.field, on_field, m);
  return SMTPF_OK;
}

/* What the table at the head says. */
static void decide(smtpf_mime *m)
{
  smtpf_mime_part *p = &m->part;
  const int encoded = p->encoding != SMTPF_MIME_IDENTITY;
  if (smtpf_str_starts(p->type, SMTPF_LIT("multipart/"))) {
    if (encoded)
      smtpf_mime_note(m, SMTPF_MIME_ENCODING_ILLEGAL);
    p->encoding = SMTPF_MIME_IDENTITY;
    if (m->depth == m->limits.depth)
      smtpf_mime_note(m, SMTPF_MIME_TOO_DEEP);
    else if (!m->boundary)
      smtpf_mime_note(m, SMTPF_MIME_NO_BOUNDARY);
    else
      p->kind = SMTPF_MIME_MULTIPART;
  } else if (smtpf_str_equal(p->type, SMTPF_LIT("message/rfc822")) ||
             smtpf_str_equal(p->type, SMTPF_LIT("message/global"))) {
    if (encoded)
      smtpf_mime_note(m, SMTPF_MIME_ENCODING_ILLEGAL);
    else if (m->depth == m->limits.depth)
      smtpf_mime_note(m, SMTPF_MIME_TOO_DEEP);
    else
      p->kind = SMTPF_MIME_MESSAGE;
  }
}

void smtpf_mime_part_known(smtpf_mime *m, uint64_t body)
{
  smtpf_mime_part *p = &m->part;
  p->body = m->here = body;
  p->charset = (uint8_t)(p->charset_name.n ? smtpf_charset_named(p->charset_name) : SMTPF_CHARSET_UTF8);
  if (m->header.bytes > m->limits.header)
    smtpf_mime_note(m, SMTPF_MIME_HEADER_LONG);
  decide(m);
  if (m->handler.begin)
    m->handler.begin(m->user, p);
  smtpf_mime_data_begin(m);
  m->mode = SMTPF_MIME_IN_LEAF;
  if (p->kind == SMTPF_MIME_LEAF)
    return;
  const uint32_t at = smtpf_mime_boundary_end(m);
  smtpf_mime_level *level = &m->levels[m->depth++];
  *level = (smtpf_mime_level){.part = p->index, .defects = p->defects, .at = at, .kind = p->kind};
  if (p->kind == SMTPF_MIME_MESSAGE) {
    if (smtpf_mime_part_open(m, body) != SMTPF_OK)
      smtpf_mime_lose(m);
    return;
  }
  level->n = m->boundary;
  level->digest = (uint8_t)smtpf_str_equal(p->type, SMTPF_LIT("multipart/digest"));
  smtpf_mime_reach(m);
  m->mode = SMTPF_MIME_OUTSIDE;
}
