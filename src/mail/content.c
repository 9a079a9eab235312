/* SPDX-License-Identifier: MIT
 *
 * One pass over all parameters gathers those of one name; then one of them, or its segments in order, is written.
 */
#include "mail/content.h"

#include <string.h>

#include "mail/charset.h"
#include "mail/decode.h"
#include "mail/encoded_word.h"

enum { SEGMENTS = 64, PIECE = 48 };

/* What stands between two `;`. */
struct param {
  smtpf_str name;  /* without what begins with `*` */
  smtpf_str value; /* of a quoted string the inside */
  int quoted;
  int segment;  /* its number, or -1 */
  int extended; /* `*` at the end of the name */
  int bad;
};

static smtpf_str behind(smtpf_str s, size_t n)
{
  return (smtpf_str){s.p + n, s.n - n};
}

/* Length of a word: up to blank, `(`, or one of `stop`. */
static size_t word(smtpf_str s, const char *stop)
{
  size_t n = 0;
  for (; n < s.n && s.p[n] != ' ' && s.p[n] != '\t' && s.p[n] != '\r' && s.p[n] != '\n' && s.p[n] != '('; n++)
    if (memchr(stop, s.p[n], strlen(stop)))
      break;
  return n;
}

void smtpf_content_read(smtpf_str value, smtpf_content *out)
{
  smtpf_content c = {.params = {0}};
  smtpf_str s = smtpf_skip_cfws(value);
  size_t n = word(s, "/;,");
  c.type = (smtpf_str){s.p, n};
  s = smtpf_skip_cfws(behind(s, n));
  if (s.n && *s.p == '/') {
    s = smtpf_skip_cfws(behind(s, 1));
    n = word(s, ";,");
    c.subtype = (smtpf_str){s.p, n};
    s = smtpf_skip_cfws(behind(s, n));
  }
  c.params = s;
  c.subtype.n = c.type.n ? c.subtype.n : 0;
  *out = c;
}

/* 1 when `s` looks like `name=`: the `;` before it is missing. */
static int begins_param(smtpf_str s)
{
  const size_t n = word(s, "=;\"");
  const smtpf_str rest = smtpf_skip_cfws(behind(s, n));
  return n && rest.n && *rest.p == '=';
}

static size_t to_semicolon(smtpf_str s)
{
  const char *semicolon = s.n ? memchr(s.p, ';', s.n) : NULL;
  return semicolon ? (size_t)(semicolon - s.p) : s.n;
}

/* The value in front of `s`; returns what follows it. */
static smtpf_str read_value(smtpf_str s, struct param *p)
{
  if (s.n && *s.p == '"') {
    int closed;
    const size_t n = smtpf_quoted_span(s, &closed);
    p->value = (smtpf_str){s.p + 1, n - 1 - (closed ? 1 : 0)};
    p->quoted = 1;
    p->bad |= !closed;
    s = smtpf_skip_cfws(behind(s, n));
  } else {
    const size_t n = word(s, ";");
    const smtpf_str more = smtpf_skip_cfws(behind(s, n));
    p->value = (smtpf_str){s.p, n};
    if (more.n && *more.p != ';' && !begins_param(more)) { /* blanks in a value that should be quoted */
      const size_t all = to_semicolon(s);
      p->value = smtpf_str_trim((smtpf_str){s.p, all});
      p->bad = 1;
      return behind(s, all);
    }
    s = smtpf_skip_cfws(behind(s, n));
  }
  if (s.n && *s.p != ';') {
    p->bad = 1;
    if (!begins_param(s))
      s = behind(s, to_semicolon(s));
  }
  return s;
}

/* Splits `name*3*`. */
static void read_name(smtpf_str name, struct param *p)
{
  const char *star = name.n ? memchr(name.p, '*', name.n) : NULL;
  p->name = name;
  p->segment = -1;
  p->extended = 0;
  if (!star)
    return;
  p->name.n = (size_t)(star - name.p);
  smtpf_str tail = behind(name, p->name.n + 1);
  if (!tail.n || tail.p[tail.n - 1] == '*') {
    p->extended = 1;
    tail.n -= tail.n != 0;
  }
  uint64_t number;
  if (tail.n && smtpf_str_uint(tail, 9999, &number) == SMTPF_OK)
    p->segment = (int)number;
  else if (tail.n)
    p->name = name; /* another parameter altogether */
}

/* Takes one parameter off the front of *rest. 0 when none is left. */
static int next_param(smtpf_str *rest, struct param *p)
{
  smtpf_str s = smtpf_skip_cfws(*rest);
  while (s.n && (*s.p == ';' || *s.p == ',' || *s.p == '='))
    s = smtpf_skip_cfws(behind(s, 1));
  *rest = s;
  if (!s.n)
    return 0;
  size_t n = word(s, "=;\"");
  n += n == 0; /* a stray quote or the like */
  *p = (struct param){.bad = 0};
  read_name((smtpf_str){s.p, n}, p);
  s = smtpf_skip_cfws(behind(s, n));
  if (s.n && *s.p == '=')
    s = read_value(smtpf_skip_cfws(behind(s, 1)), p);
  else
    p->bad = 1;
  *rest = s;
  return 1;
}

/* Takes `charset'language'` off the front of an extended value. */
static smtpf_str read_charset(smtpf_str value, smtpf_charset_reader *chars, unsigned *flags)
{
  const char *first = value.n ? memchr(value.p, '\'', value.n) : NULL;
  const size_t at = first ? (size_t)(first - value.p) : 0;
  const char *second = first ? memchr(first + 1, '\'', value.n - at - 1) : NULL;
  if (!second) {
    smtpf_charset_init(chars, SMTPF_CHARSET_UTF8);
    *flags |= SMTPF_CONTENT_BAD;
    return value;
  }
  const int charset = at ? smtpf_charset_named((smtpf_str){value.p, at}) : SMTPF_CHARSET_UTF8;
  smtpf_charset_init(chars, charset);
  *flags |= charset == SMTPF_CHARSET_UNKNOWN ? SMTPF_CONTENT_CHARSET : 0;
  return behind(value, (size_t)(second + 1 - value.p));
}

static void put_escaped(smtpf_str value, int quoted, smtpf_charset_reader *chars, smtpf_out *out, unsigned *flags)
{
  char utf8[SMTPF_CHARSET_ROOM(1)];
  for (size_t i = 0; i < value.n; i++) {
    if (quoted && value.p[i] == '\\' && i + 1 < value.n && (value.p[i + 1] == '"' || value.p[i + 1] == '\\'))
      i++;
    char c = value.p[i];
    if (c == '%') {
      const int high = value.n - i > 2 ? smtpf_hex_value(value.p[i + 1]) : -1;
      const int low = high >= 0 ? smtpf_hex_value(value.p[i + 2]) : -1;
      if (low >= 0) {
        c = (char)(high * 16 + low);
        i += 2;
      } else {
        *flags |= SMTPF_CONTENT_BAD;
      }
    }
    smtpf_out_str(out, (smtpf_str){utf8, smtpf_charset_feed(chars, &c, 1, utf8)});
  }
}

static void finish_chars(smtpf_charset_reader *chars, smtpf_out *out, unsigned *flags)
{
  char utf8[SMTPF_CHARSET_ROOM(0)];
  smtpf_out_str(out, (smtpf_str){utf8, smtpf_charset_finish(chars, utf8)});
  *flags |= chars->bad ? SMTPF_CONTENT_BAD : 0;
}

static void put_plain(const struct param *p, int words, smtpf_out *out, unsigned *flags)
{
  const size_t begin = out->n;
  smtpf_words about = {.flags = 0};
  if (words)
    smtpf_words_decode(p->value, out, &about);
  else
    smtpf_out_str(out, p->value);
  if (about.flags & SMTPF_WORDS_FOUND)
    *flags |= SMTPF_CONTENT_WORDS;
  *flags |= about.flags & SMTPF_WORDS_CHARSET ? SMTPF_CONTENT_CHARSET : 0;
  if (p->quoted) { /* in place: it only gets shorter */
    smtpf_out again;
    smtpf_out_init(&again, out->p + begin, out->n - begin);
    smtpf_unquote((smtpf_str){out->p + begin, out->n - begin}, &again);
    out->n = begin + again.n;
  }
}

/* Writes segments, which are in order. */
static void put_segments(const struct param *v, size_t n, int words, smtpf_out *out, unsigned *flags)
{
  smtpf_charset_reader chars;
  smtpf_charset_init(&chars, SMTPF_CHARSET_UTF8);
  for (size_t i = 0; i < n; i++) {
    smtpf_str value = v[i].value;
    if (v[i].segment != (int)i)
      *flags |= SMTPF_CONTENT_GAP;
    if (v[i].extended) {
      *flags |= SMTPF_CONTENT_EXTENDED;
      if (i == 0)
        value = read_charset(value, &chars, flags);
      put_escaped(value, v[i].quoted, &chars, out, flags);
    } else {
      finish_chars(&chars, out, flags);
      put_plain(&v[i], words, out, flags);
    }
  }
  finish_chars(&chars, out, flags);
}

struct found {
  struct param plain, extended; /* name.p NULL: none */
  struct param segments[SEGMENTS];
  size_t n; /* of them */
};

/* Puts a segment in its place; of two with one number the first counts. */
static void insert(struct found *f, const struct param *p, unsigned *flags)
{
  size_t at = f->n;
  while (at && f->segments[at - 1].segment > p->segment)
    at--;
  if (at && f->segments[at - 1].segment == p->segment) {
    *flags |= SMTPF_CONTENT_TWICE;
  } else if (f->n == SEGMENTS) {
    *flags |= SMTPF_CONTENT_GAP;
  } else {
    memmove(f->segments + at + 1, f->segments + at, (f->n - at) * sizeof *f->segments);
    f->segments[at] = *p;
    f->n++;
  }
}

static void gather(struct found *f, smtpf_str params, smtpf_str name, unsigned *flags)
{
  struct param p;
  f->plain.name.p = f->extended.name.p = NULL;
  f->n = 0;
  while (next_param(&params, &p)) {
    *flags |= p.value.p ? 0 : SMTPF_CONTENT_BAD; /* `name=a;.b`: part of a value, perhaps */
    if (!smtpf_str_equal_nocase(p.name, name))
      continue;
    *flags |= p.bad ? SMTPF_CONTENT_BAD : 0;
    struct param *one = p.extended ? &f->extended : &f->plain;
    if (p.segment >= 0)
      insert(f, &p, flags);
    else if (one->name.p)
      *flags |= SMTPF_CONTENT_TWICE;
    else
      *one = p;
  }
  if ((f->plain.name.p != NULL) + (f->extended.name.p != NULL) + (f->n != 0) > 1)
    *flags |= SMTPF_CONTENT_TWICE;
}

int smtpf_content_param(smtpf_str params, smtpf_str name, int words, smtpf_out *out, unsigned *flags)
{
  struct found f;
  *flags = 0;
  gather(&f, params, name, flags);
  if (f.extended.name.p) {
    f.extended.segment = 0;
    put_segments(&f.extended, 1, words, out, flags);
  } else if (f.n && (f.segments[0].segment == 0 || !f.plain.name.p)) {
    put_segments(f.segments, f.n, words, out, flags);
  } else if (f.plain.name.p) {
    put_plain(&f.plain, words, out, flags);
  } else {
    return 0;
  }
  return 1;
}
