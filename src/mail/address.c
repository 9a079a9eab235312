/* SPDX-License-Identifier: MIT */
#include "mail/address.h"

#include <string.h>

#include "base/str.h"
#include "mail/class.h"
#include "mail/domain.h"
#include "mail/ip.h"

/* Each span function returns how many bytes its rule takes in front of `s`, 0 when the rule does not fit there. */

/* Dot-string = Atom *("." Atom) */
static size_t dot_string(smtpf_str s, int *utf8)
{
  const char *p = s.p, *end = p + s.n, *atom = p;
  for (;;) {
    while (p < end && smtpf_is_class(*p, SMTPF_CLASS_ATEXT))
      p++;
    if (p < end && smtpf_is_class(*p, SMTPF_CLASS_HIGH)) {
      size_t n = smtpf_utf8_length(p, (size_t)(end - p));
      if (!n)
        return 0;
      *utf8 = 1;
      p += n;
      continue;
    }
    if (p == atom)
      return 0;
    if (p == end || *p != '.')
      return (size_t)(p - s.p);
    atom = ++p;
  }
}

/* quoted-pairSMTP's second byte */
static int is_printable(char c)
{
  return c >= ' ' && c <= '~';
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static size_t quoted_string(smtpf_str s, int *utf8)
{
  size_t at = 1;
  while (at < s.n && s.p[at] != '"') {
    size_t n = 1;
    if (s.p[at] == '\\') {
      if (at + 1 >= s.n || !is_printable(s.p[at + 1]))
        return 0;
      n = 2;
    } else if (!smtpf_is_class(s.p[at], SMTPF_CLASS_QTEXT)) {
      n = smtpf_utf8_length(s.p + at, s.n - at);
      if (!n)
        return 0;
      *utf8 = 1;
    }
    at += n;
  }
  return at < s.n ? at + 1 : 0;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent. The tag ends in a letter or digit. */
static int is_general(smtpf_str s)
{
  size_t tag = 0;
  while (tag < s.n && smtpf_is_class(s.p[tag], SMTPF_CLASS_LDH))
    tag++;
  if (!tag || s.p[tag - 1] == '-' || tag + 1 >= s.n || s.p[tag] != ':')
    return 0;
  for (size_t i = tag + 1; i < s.n; i++)
    if (!is_printable(s.p[i]) || memchr(" [\\]", s.p[i], 4))
      return 0;
  return 1;
}

/* address-literal. RFC 5321 4.1.3 lets `::` stand for two groups or more, where RFC 4291 is content with one. An IPv6
 * address that lacks its tag is no General-address-literal, although its first group could be read as one. */
static size_t address_literal(smtpf_str s)
{
  const char *close = memchr(s.p, ']', s.n);
  if (!close)
    return 0;
  smtpf_str inside = {s.p + 1, (size_t)(close - s.p) - 1};
  uint8_t bytes[16];
  int elided, ok;
  if (smtpf_ip_untag(&inside))
    ok = smtpf_ip_colons(inside, bytes, &elided) && elided != 1;
  else
    ok = smtpf_ip_dotted(inside, bytes) || (is_general(inside) && !smtpf_ip_colons(inside, bytes, &elided));
  return ok ? (size_t)(close - s.p) + 1 : 0;
}

/* ---- Mailbox = Local-part "@" ( Domain / address-literal ) -------------------------------------- */

/* What a mailbox is made of: bytes before and behind the `@`. */
struct box {
  size_t local, domain;
  int quoted, literal, utf8;
};

/* Every mailbox, by the grammar. 1 and *box written, or 0. */
static int any_box(smtpf_str s, struct box *box)
{
  struct box b = {0};
  if (!s.n)
    return 0;
  b.quoted = s.p[0] == '"';
  b.local = b.quoted ? quoted_string(s, &b.utf8) : dot_string(s, &b.utf8);
  if (!b.local || b.local > SMTPF_LOCAL_PART_MAX || b.local + 1 >= s.n || s.p[b.local] != '@')
    return 0;
  smtpf_str behind = {s.p + b.local + 1, s.n - b.local - 1};
  b.literal = behind.p[0] == '[';
  b.domain = b.literal ? address_literal(behind) : smtpf_domain_span(behind, &b.utf8);
  if (!b.domain || b.domain > SMTPF_DOMAIN_MAX || b.local + 1 + b.domain > SMTPF_PATH_MAX - 2)
    return 0;
  *box = b;
  return 1;
}

/* Nearly every mailbox, in one pass: an ASCII dot-string and a name so short that no label can be too long. A branch
 * for each byte and none for a dot: which bytes may not be neighbours is collected in `bad`. 0 when it is not of
 * this kind, which says nothing about its being legal. */
static inline int usual_box(smtpf_str s, struct box *box)
{
  const size_t local_end = s.n < SMTPF_LOCAL_PART_MAX + 1 ? s.n : SMTPF_LOCAL_PART_MAX + 1;
  unsigned c = 0, bad = 0, before = SMTPF_CLASS_DOT;
  size_t at = 0;
  for (; at < local_end; at++) {
    c = smtpf_class[(unsigned char)s.p[at]];
    if (!(c & (SMTPF_CLASS_ATEXT | SMTPF_CLASS_DOT)))
      break;
    bad |= c & before & SMTPF_CLASS_DOT;
    before = c;
  }
  bad |= before & SMTPF_CLASS_DOT;
  if (at == local_end || s.p[at] != '@' || bad)
    return 0;
  const size_t first = ++at;
  const size_t end = s.n - first < SMTPF_LABEL_MAX + 1 ? s.n : first + SMTPF_LABEL_MAX + 1;
  unsigned refused = SMTPF_CLASS_DOT | SMTPF_CLASS_HYPHEN; /* of the next byte */
  for (; at < end; at++) {
    c = smtpf_class[(unsigned char)s.p[at]];
    if (!(c & (SMTPF_CLASS_LDH | SMTPF_CLASS_DOT)))
      break;
    bad |= c & refused;
    /* Behind a dot neither dot nor hyphen, behind a hyphen no dot. */
    refused = (c & SMTPF_CLASS_DOT) * 3 | (c & SMTPF_CLASS_HYPHEN) >> 1;
  }
  if (at - first > SMTPF_LABEL_MAX || refused || bad || c & SMTPF_CLASS_HIGH)
    return 0;
  *box = (struct box){.local = first - 1, .domain = at - first};
  return 1;
}

/* The mailbox in front of `s`. 1 and *box written, or 0. */
static inline int mailbox(smtpf_str s, struct box *box)
{
  return usual_box(s, box) || any_box(s, box);
}

static inline void describe(smtpf_path *out, const char *p, const struct box *b, smtpf_str route)
{
  out->form = SMTPF_PATH_MAILBOX;
  out->address = (smtpf_str){p, b->local + 1 + b->domain};
  out->local_part = (smtpf_str){p, b->local};
  out->domain = (smtpf_str){p + b->local + 1, b->domain};
  out->route = route;
  out->quoted = b->quoted;
  out->literal = b->literal;
  out->utf8 = b->utf8;
}

/* ---- Path = "<" [ A-d-l ":" ] Mailbox ">" ------------------------------------------------------ */

/* A-d-l = At-domain *( "," At-domain ), without the colon behind it (RFC 5321 4.1.2, appendix C). */
static size_t source_route(smtpf_str s, int *utf8)
{
  for (size_t at = 0; at < s.n && s.p[at] == '@';) {
    size_t n = smtpf_domain_span((smtpf_str){s.p + at + 1, s.n - at - 1}, utf8);
    if (!n || n > SMTPF_DOMAIN_MAX)
      return 0;
    at += 1 + n;
    if (at == s.n || s.p[at] != ',')
      return at;
    at++;
  }
  return 0;
}

/* `<>` and `<Postmaster>`: how many bytes, 0 when it is neither or shorter than `least`. */
static size_t special_path(smtpf_str s, size_t least, smtpf_path *out)
{
  static const smtpf_str postmaster = {"postmaster", 10};
  smtpf_path path = {.form = SMTPF_PATH_NULL};
  size_t n = 2;
  if (s.p[1] != '>') {
    smtpf_str name = {s.p + 1, postmaster.n};
    n = postmaster.n + 2;
    if (s.n < n || s.p[n - 1] != '>' || !smtpf_str_equal_nocase(name, postmaster))
      return 0;
    path = (smtpf_path){.form = SMTPF_PATH_POSTMASTER, .address = name, .local_part = name};
  }
  if (n < least)
    return 0;
  *out = path;
  return n;
}

/* How many bytes the path takes, at least `least` of them; 0 and nothing written when there is none. */
static inline size_t take(smtpf_str text, size_t least, smtpf_path *out)
{
  if (text.n < 2 || text.p[0] != '<')
    return 0;
  struct box box;
  int utf8 = 0;
  size_t at = 1, route = 0;
  if (text.p[1] == '@') {
    route = source_route((smtpf_str){text.p + 1, text.n - 1}, &utf8);
    at += route;
    if (!route || at == text.n || text.p[at++] != ':')
      return 0;
  }
  if (!mailbox((smtpf_str){text.p + at, text.n - at}, &box))
    return route ? 0 : special_path(text, least, out);
  const size_t end = at + box.local + 1 + box.domain;
  if (end == text.n || text.p[end] != '>' || end + 1 > SMTPF_PATH_MAX || end + 1 < least)
    return 0;
  box.utf8 |= utf8;
  describe(out, text.p + at, &box, (smtpf_str){route ? text.p + 1 : NULL, route});
  return end + 1;
}

int smtpf_path_take(smtpf_str text, smtpf_path *out, size_t *used)
{
  size_t n = take(text, 0, out);
  if (!n)
    return SMTPF_EPARSE;
  *used = n;
  return SMTPF_OK;
}

int smtpf_path_parse(smtpf_str text, smtpf_path *out)
{
  return take(text, text.n, out) ? SMTPF_OK : SMTPF_EPARSE;
}

int smtpf_mailbox_parse(smtpf_str text, smtpf_path *out)
{
  struct box box;
  if (!mailbox(text, &box) || box.local + 1 + box.domain != text.n)
    return SMTPF_EPARSE;
  describe(out, text.p, &box, (smtpf_str){NULL, 0});
  return SMTPF_OK;
}
