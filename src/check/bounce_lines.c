/* SPDX-License-Identifier: MIT
 *
 * bounce_lines: header sections in text. Whoever returns a message quotes it as he likes: as a part, below a line of
 * dashes, indented, behind `>`. A block is a run of lines up to an empty one; what stands before its first field stands
 * before all of them, and a line that is no field, or stands further in, belongs to the field before it.
 */
#include "bounce.h"

/* In the order of enum bounce_field; `names`: the field may name who had the message. */
static const struct {
  const char *name;
  int names;
} known[BOUNCE_FIELDS] = {
    {"received", 1},     {"message-id", 1},    {"from", 1},        {"", 0},
    {"return-path", 1},  {"sender", 1},        {"resent-from", 1}, {"resent-message-id", 1},
    {"delivered-to", 1}, {"x-original-to", 1}, {"to", 0},          {"cc", 0},
    {"subject", 0},      {"date", 0},          {"reply-to", 0},    {"mime-version", 0},
    {"in-reply-to", 0},  {"x-mailer", 0},
};

static int row_of(const bounce_lines *l, smtpf_str name)
{
  if (l->mark.n && smtpf_str_equal_nocase(name, l->mark))
    return 3;
  for (int i = 0; i < BOUNCE_FIELDS; i++)
    if (known[i].name[0] && smtpf_str_equal_nocase(name, smtpf_str_of(known[i].name)))
      return i;
  return -1;
}

int bounce_block_fields(const bounce_block *b)
{
  int n = 0;
  for (uint32_t f = b->fields; f; f &= f - 1)
    n++;
  return n;
}

/* ---- fields ------------------------------------------------------------------------------------------ */

smtpf_str bounce_message_id(smtpf_str value)
{
  const char *open = value.n ? memchr(value.p, '<', value.n) : NULL;
  const size_t at = open ? (size_t)(open - value.p) : 0;
  const char *close = open ? memchr(open, '>', value.n - at) : NULL;
  if (close)
    return (smtpf_str){open, (size_t)(close + 1 - open)};
  value = bounce_trim(value);
  for (size_t i = 0; i < value.n; i++)
    if (bounce_blank(value.p[i]))
      value.n = i;
  return value;
}

/* Keeps a text with the block; at most `max` bytes of it. */
static void keep(bounce_block *b, smtpf_str *list, uint8_t *n, smtpf_str s, size_t max)
{
  if (!s.n)
    return;
  if (*n == BOUNCE_IDS || s.n > max) {
    b->cut = 1;
    return;
  }
  list[(*n)++] = (smtpf_str){b->text.p + b->text.n, s.n};
  bounce_put(&b->text, s);
}

static smtpf_str first_word(smtpf_str s)
{
  size_t n = 0;
  s = bounce_trim(s);
  while (n < s.n && !bounce_blank(s.p[n]))
    n++;
  return (smtpf_str){s.p, n};
}

void bounce_lines_field(bounce_lines *l, smtpf_str name, smtpf_str value)
{
  bounce_block *b = &l->now;
  if (l->field)
    l->field(l->user, name, bounce_trim(value));
  const int row = row_of(l, name);
  if (row < 0)
    return;
  b->fields |= UINT32_C(1) << row;
  if (known[row].names && l->names)
    b->ours |= (uint8_t)bounce_names_in(l->names, value);
  if (UINT32_C(1) << row == BOUNCE_MESSAGE_ID)
    keep(b, b->ids, &b->n_ids, bounce_message_id(value), BOUNCE_ID_MAX);
  if (UINT32_C(1) << row == BOUNCE_MARK)
    keep(b, b->marks, &b->n_marks, first_word(value), BOUNCE_MARK_MAX);
}

/* The field that was gathered from lines is complete. */
static void end_field(bounce_lines *l)
{
  const smtpf_str all = bounce_str(&l->gather);
  if (!l->name)
    return;
  l->now.cut |= l->gather.cut;
  bounce_lines_field(l, (smtpf_str){all.p, l->name}, (smtpf_str){all.p + l->name, all.n - l->name});
  l->name = l->gather.n = l->gather.cut = 0;
}

static void end_block(bounce_lines *l)
{
  end_field(l);
  if (l->now.fields && l->block)
    l->block(l->user, &l->now);
  l->now.fields = 0;
  l->now.ours = l->now.cut = l->now.n_ids = l->now.n_marks = 0;
  l->now.text.n = l->now.text.cut = 0;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static int is_quoting(char c)
{
  return bounce_blank(c) || c == '>' || c == '|';
}

/* Bytes of a field's name at the beginning of a line, without the colon; 0 when it is no field. */
static size_t field_name(smtpf_str s)
{
  size_t n = 0;
  while (n < s.n && n < 77 && s.p[n] > ' ' && s.p[n] < 0x7f && s.p[n] != ':')
    n++;
  const char first = n ? bounce_lower(s.p[0]) : ' ';
  return n < s.n && s.p[n] == ':' && first >= 'a' && first <= 'z' ? n : 0;
}

static void begin_field(bounce_lines *l, smtpf_str text, size_t name, size_t indent)
{
  end_field(l);
  if (!l->now.fields)
    l->indent = indent;
  l->name = name;
  bounce_put(&l->gather, (smtpf_str){text.p, name});
  bounce_put(&l->gather, (smtpf_str){text.p + name + 1, text.n - name - 1});
}

/* Whether a line that may be a field is one, and not more of the field before it. */
static int is_new_field(const bounce_lines *l, smtpf_str name, size_t indent)
{
  if (l->strict || (!l->now.fields && !l->name))
    return !l->strict || !indent;
  return indent <= l->indent || (!l->now.fields && row_of(l, name) >= 0);
}

static void end_line(bounce_lines *l)
{
  smtpf_str text = bounce_str(&l->line);
  size_t indent = 0;
  while (indent < text.n && (l->strict ? bounce_blank(text.p[indent]) : is_quoting(text.p[indent])))
    indent++;
  text = bounce_trim((smtpf_str){text.p + indent, text.n - indent});
  const size_t name = field_name(text);
  if (!text.n)
    end_block(l);
  else if (name && is_new_field(l, (smtpf_str){text.p, name}, indent))
    begin_field(l, text, name, indent);
  else if (l->name) {
    bounce_put(&l->gather, SMTPF_LIT(" "));
    bounce_put(&l->gather, text);
  }
  l->now.cut |= l->line.cut && l->name;
  l->line.n = l->line.cut = 0;
}

void bounce_lines_feed(bounce_lines *l, smtpf_str bytes)
{
  while (bytes.n) {
    size_t n = 0;
    while (n < bytes.n && bytes.p[n] != '\n' && bytes.p[n] != '\r')
      n++;
    bounce_put(&l->line, (smtpf_str){bytes.p, n});
    l->cr &= n == 0;
    if (n < bytes.n) { /* LF, CR or any number of CRs before an LF: one line end */
      if (!l->cr)
        end_line(l);
      l->cr = bytes.p[n] == '\r';
      n++;
    }
    bytes = (smtpf_str){bytes.p + n, bytes.n - n};
  }
}

void bounce_lines_end(bounce_lines *l)
{
  if (l->line.n)
    end_line(l);
  end_block(l);
  l->cr = 0;
}

void bounce_lines_init(bounce_lines *l, const bounce_names *names, smtpf_str mark)
{
  memset(l, 0, sizeof *l);
  l->names = names;
  l->mark = mark;
  l->line = (bounce_text){.p = l->line_room, .cap = sizeof l->line_room};
  l->gather = (bounce_text){.p = l->gather_room, .cap = sizeof l->gather_room};
  l->now.text = (bounce_text){.p = l->now.room, .cap = sizeof l->now.room};
}
