/* SPDX-License-Identifier: MIT
 *
 *     state   | byte                    | does
 *     TEXT    | <  &  white space       | -> OPEN, -> ENTITY, notes a gap
 *             | other                   | the gap and it go out
 *     OPEN    | letter / ?              | -> NAME
 *             | !                       | -> DECL
 *             | other                   | `<` goes out, then as in TEXT
 *     NAME    | letter, digit, first /  | gathered
 *             | other                   | -> ATTRS, then as there
 *     ATTRS   | quote right behind =    | nothing until the same quote
 *             | >                       | the tag is over: a line end, a script, or nothing; -> TEXT or RAW
 *     DECL    | --                      | -> COMMENT, when it comes first
 *             | >                       | -> TEXT
 *     COMMENT | -->                     | -> TEXT
 *     RAW     | </script or </style     | -> ATTRS, as that tag
 *     ENTITY  | letter, digit, first #  | gathered
 *             | ;                       | what it stands for goes out, -> TEXT
 *             | other, or too long      | what it stands for goes out, or its letters; then as in TEXT
 */
#include <string.h>

#include "base/str.h"
#include "mail/decode.h"
#include "mail/text.h"

enum { TEXT, OPEN, NAME, ATTRS, DECL, COMMENT, RAW, ENTITY };
enum { NO_GAP, BLANK, LINE };
enum { NOT_RAW, SCRIPT, STYLE };

static int is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static char *put(smtpf_html *h, const char *p, size_t n, char *to)
{
  if (h->gap != NO_GAP && h->begun)
    *to++ = h->gap == LINE ? '\n' : ' ';
  h->gap = NO_GAP;
  h->begun = 1;
  memcpy(to, p, n);
  return to + n;
}

static void gap(smtpf_html *h, uint8_t kind)
{
  h->gap = h->gap > kind ? h->gap : kind;
}

static char *text(smtpf_html *h, char c, char *to)
{
  h->state = TEXT;
  if (c == '<') {
    h->state = OPEN;
  } else if (c == '&') {
    h->state = ENTITY;
    h->n = 0;
  } else if (is_space(c)) {
    gap(h, BLANK);
  } else {
    to = put(h, &c, 1, to);
  }
  return to;
}

static smtpf_str word(const smtpf_html *h)
{
  return (smtpf_str){h->word, h->n};
}

/* 1 when the word is among `names`, which end with an empty one. */
static int among(const smtpf_html *h, const char (*names)[11])
{
  for (; **names; names++)
    if ((*names)[0] == h->word[0] && smtpf_str_equal(word(h), smtpf_str_of(*names)))
      return 1;
  return 0;
}

static void tag_over(smtpf_html *h)
{
  static const char lines[][11] = {"br", "p",  "div", "tr", "td", "th", "li", "ul", "ol",    "table", "hr",
                                   "h1", "h2", "h3",  "h4", "h5", "h6", "dt", "dd", "title", "body",  ""};
  const int closes = h->n && h->word[0] == '/';
  h->state = TEXT;
  if (h->word[0] == 's' && smtpf_str_equal(word(h), SMTPF_LIT("script")))
    h->raw = SCRIPT;
  else if (h->word[0] == 's' && smtpf_str_equal(word(h), SMTPF_LIT("style")))
    h->raw = STYLE;
  if (h->raw != NOT_RAW)
    h->state = RAW;
  if (closes) {
    h->n--;
    memmove(h->word, h->word + 1, h->n);
  }
  if (among(h, lines))
    gap(h, LINE);
  h->n = 0;
}

static void attrs(smtpf_html *h, char c)
{
  if (h->quote == '"' || h->quote == '\'')
    h->quote = c == (char)h->quote ? 0 : h->quote;
  else if (c == '>')
    tag_over(h);
  else if (h->quote == '=' && (c == '"' || c == '\''))
    h->quote = (uint8_t)c;
  else if (c == '=' || !is_space(c))
    h->quote = c == '=' ? '=' : 0;
}

static char *open(smtpf_html *h, char c, char *to)
{
  h->n = h->quote = 0;
  if (c == '!') {
    h->state = DECL;
  } else if (smtpf_is_alpha(c) || c == '/' || c == '?') {
    h->state = NAME;
    h->word[h->n++] = smtpf_lower(c);
  } else {
    to = put(h, "<", 1, to);
    to = text(h, c, to);
  }
  return to;
}

static void name(smtpf_html *h, char c)
{
  if (!smtpf_is_alnum(c)) {
    h->state = ATTRS;
    attrs(h, c);
  } else if (h->n < SMTPF_HTML_WORD) {
    h->word[h->n++] = smtpf_lower(c);
  }
}

/* `n` counts what is there of the end that is waited for. */
static void comment(smtpf_html *h, char c)
{
  if (c == '>' && h->n >= 2)
    h->state = TEXT;
  h->n = (uint8_t)(c != '-' ? 0 : h->n < 2 ? h->n + 1 : 2);
}

static void decl(smtpf_html *h, char c)
{
  if (c == '>') {
    h->state = TEXT;
  } else if (c == '-' && h->n < 2) {
    if (++h->n == 2)
      h->state = COMMENT;
  } else {
    h->n = 3;
  }
}

static void raw(smtpf_html *h, char c)
{
  const smtpf_str end = h->raw == SCRIPT ? SMTPF_LIT("</script") : SMTPF_LIT("</style");
  if (smtpf_lower(c) != end.p[h->n])
    h->n = c == '<';
  else
    h->n++;
  if (h->n < end.n)
    return;
  h->n = 0;
  h->raw = NOT_RAW;
  h->state = ATTRS;
}

/* What a numeric entity stands for; 0 when it is none. The numbers of the C1 controls mean windows-1252. */
static uint32_t numeric(smtpf_str digits)
{
  uint32_t c = 0;
  const int hex = digits.n > 1 && smtpf_lower(digits.p[0]) == 'x';
  for (size_t i = (size_t)hex; i < digits.n; i++) {
    const int v = smtpf_hex_value(digits.p[i]);
    if (v < 0 || (!hex && v > 9))
      return 0;
    c = c > 0x10ffff ? c : c * (hex ? 16 : 10) + (uint32_t)v;
  }
  if (c >= 0x80 && c < 0xa0)
    c = smtpf_charset_table(SMTPF_CHARSET_BYTES)[c - 0x80];
  return c ? c : digits.n ? 0xfffd : 0;
}

static uint32_t meaning(smtpf_str w)
{
  static const struct {
    char name[8];
    uint16_t c;
  } known[] = {{"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
               {"nbsp", ' '},      {"copy", 0xa9},    {"reg", 0xae},     {"euro", 0x20ac},  {"pound", 0xa3},
               {"hellip", 0x2026}, {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018}, {"rsquo", 0x2019},
               {"ldquo", 0x201c},  {"rdquo", 0x201d}, {"bull", 0x2022},  {"trade", 0x2122}, {"auml", 0xe4},
               {"ouml", 0xf6},     {"uuml", 0xfc},    {"szlig", 0xdf},   {"eacute", 0xe9},  {"egrave", 0xe8}};
  if (w.n && w.p[0] == '#')
    return numeric((smtpf_str){w.p + 1, w.n - 1});
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (smtpf_str_equal(w, smtpf_str_of(known[i].name)))
      return known[i].c;
  return 0;
}

/* The word is over. */
static char *entity_over(smtpf_html *h, char *to)
{
  char utf8[4];
  const uint32_t c = meaning(word(h));
  h->state = TEXT;
  if (c == ' ' || c == 0xa0) {
    gap(h, BLANK);
  } else if (c) {
    to = put(h, utf8, smtpf_utf8_put(c, utf8), to);
  } else {
    to = put(h, "&", 1, to);
    to = put(h, h->word, h->n, to);
  }
  return to;
}

static char *entity(smtpf_html *h, char c, char *to)
{
  if (h->n < SMTPF_HTML_WORD && (smtpf_is_alnum(c) || (c == '#' && h->n == 0))) {
    h->word[h->n++] = c;
    return to;
  }
  const int known = c == ';' && meaning(word(h));
  to = entity_over(h, to);
  return known ? to : text(h, c, to);
}

/* What a byte ends: a run of text, of a tag's inside. */
enum { ENDS_TEXT = 1, ENDS_TAG = 2 };
static const uint8_t ends[256] = {
    [' '] = ENDS_TEXT, ['\t'] = ENDS_TEXT, ['\r'] = ENDS_TEXT, ['\n'] = ENDS_TEXT, ['\f'] = ENDS_TEXT,
    ['<'] = ENDS_TEXT, ['&'] = ENDS_TEXT,  ['='] = ENDS_TAG,   ['>'] = ENDS_TAG,
};

/* Bytes in front that go the usual way of this state, *to with them. */
static size_t usual(smtpf_html *h, const char *p, size_t n, char **to)
{
  size_t usual = 0;
  const char *found;
  switch (h->state) {
  case TEXT:
    while (usual < n && !(ends[(unsigned char)p[usual]] & ENDS_TEXT))
      usual++;
    if (usual)
      *to = put(h, p, usual, *to);
    return usual;
  case ATTRS:
    if (h->quote == '"' || h->quote == '\'') {
      found = memchr(p, h->quote, n);
      return found ? (size_t)(found - p) : n;
    }
    while (!h->quote && usual < n && !(ends[(unsigned char)p[usual]] & ENDS_TAG))
      usual++;
    return usual;
  case COMMENT: found = memchr(p, '-', h->n ? 0 : n); return found ? (size_t)(found - p) : h->n ? 0 : n;
  case RAW: found = memchr(p, '<', h->n ? 0 : n); return found ? (size_t)(found - p) : h->n ? 0 : n;
  default: return 0;
  }
}

size_t smtpf_html_feed(smtpf_html *h, const char *p, size_t n, char *out)
{
  char *to = out;
  for (const char *end = p + n; p < end; p++) {
    p += usual(h, p, (size_t)(end - p), &to);
    if (p == end)
      break;
    switch (h->state) {
    case OPEN: to = open(h, *p, to); break;
    case NAME: name(h, *p); break;
    case ATTRS: attrs(h, *p); break;
    case DECL: decl(h, *p); break;
    case COMMENT: comment(h, *p); break;
    case RAW: raw(h, *p); break;
    case ENTITY: to = entity(h, *p, to); break;
    default: to = text(h, *p, to); break;
    }
  }
  return (size_t)(to - out);
}

size_t smtpf_html_finish(smtpf_html *h, char *out)
{
  if (h->state == ENTITY)
    return (size_t)(entity_over(h, out) - out);
  if (h->state == OPEN)
    return (size_t)(put(h, "<", 1, out) - out);
  return 0;
}
