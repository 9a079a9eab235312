/* SPDX-License-Identifier: MIT
 *
 * One pass over the tokens of a mailbox. Until `<` shows which they are, words may be a name or an address: they are
 * gathered as both.
 *
 *     token        | outside of `<`                         | within
 *     word, quoted | name += it with a blank, address += it  | address += it
 *     comment      | kept, in case there is no other name    | nothing
 *     . @ [..]     | name, address += it                     | address += it
 *     <            | what was gathered is the name; within   | BAD
 *     >            | BAD                                     | outside; the address is complete
 *     :            | a group begins: forget what was gathered| a route ends: forget it; without a route address += it,
 * BAD ,            | the mailbox ends                        | part of a route words behind `>`: name += them, BAD ; |
 * the mailbox ends, and the group         | the mailbox ends, BAD
 */
#include <string.h>

#include "mail/charset.h"
#include "mail/class.h"
#include "mail/content.h"
#include "mail/encoded_word.h"
#include "mail/field.h"

struct reader {
  smtpf_out name, address; /* each half of the room */
  smtpf_str comment;
  unsigned flags;
  int within, complete, blank; /* `<` was seen; `>` was seen; the next word needs a blank before it */
  int words, ats;              /* outside of brackets: of the address; signs in it */
};

static smtpf_str behind(smtpf_str s, size_t n)
{
  return (smtpf_str){s.p + n, s.n - n};
}

static size_t literal_span(smtpf_str s)
{
  const char *end = memchr(s.p, ']', s.n);
  return end ? (size_t)(end - s.p) + 1 : s.n;
}

/* Length of the word in front: up to a special, a blank, a comment. */
static size_t word_span(smtpf_str s)
{
  size_t n = 0;
  while (n < s.n && !memchr(" \t\r\n()<>[]:;@,.\"", s.p[n], 16))
    n++;
  return n;
}

static void add_name(struct reader *r, smtpf_str token, int quoted)
{
  if (r->blank && r->name.n)
    smtpf_out_char(&r->name, ' ');
  r->blank = 0;
  if (quoted)
    smtpf_unquote(token, &r->name);
  else
    smtpf_out_str(&r->name, token);
}

static size_t quoted(struct reader *r, smtpf_str s)
{
  int closed;
  const size_t n = smtpf_quoted_span(s, &closed);
  const smtpf_str inside = {s.p + 1, n - 1 - (closed ? 1 : 0)};
  r->flags |= closed ? 0 : SMTPF_MAILBOX_BAD;
  if (!r->within || r->complete)
    add_name(r, inside, 1);
  if (!r->complete)
    smtpf_out_str(&r->address, (smtpf_str){s.p, n});
  return n;
}

static size_t plain(struct reader *r, smtpf_str s)
{
  size_t n = *s.p == '[' ? literal_span(s) : word_span(s);
  n += n == 0;
  r->ats += !r->within && *s.p == '@';
  if (!r->within || r->complete)
    add_name(r, (smtpf_str){s.p, n}, 0);
  if (!r->complete)
    smtpf_out_str(&r->address, (smtpf_str){s.p, n});
  else
    r->flags |= SMTPF_MAILBOX_BAD;
  return n;
}

/* `<`, `>` and `:`. */
static void bracket(struct reader *r, char c)
{
  if (c == '<') {
    r->flags |= r->within || r->complete ? SMTPF_MAILBOX_BAD : 0;
    r->within = 1;
    r->complete = 0;
    r->address.n = 0;
  } else if (c == '>') {
    r->flags |= r->within ? 0 : SMTPF_MAILBOX_BAD;
    r->complete |= r->within;
  } else if (r->within && !r->complete && r->address.n && r->address.p[0] == '@') {
    r->flags |= SMTPF_MAILBOX_ROUTE;
    r->address.n = 0;
  } else if (r->within) { /* `<mailto:...>` */
    r->flags |= SMTPF_MAILBOX_BAD;
    if (!r->complete)
      smtpf_out_char(&r->address, c);
  } else {
    r->flags |= SMTPF_MAILBOX_GROUP;
    r->name.n = r->address.n = 0;
    r->blank = r->ats = 0;
  }
}

/* Takes blanks and comments; the last comment's inside is kept. */
static smtpf_str skip(struct reader *r, smtpf_str s)
{
  const smtpf_str after = smtpf_skip_cfws(s);
  smtpf_str gap = smtpf_str_trim((smtpf_str){s.p, s.n - after.n});
  if (gap.n > 1 && gap.p[0] == '(')
    r->comment = (smtpf_str){gap.p + 1, gap.n - 1 - (gap.p[gap.n - 1] == ')')};
  r->blank |= after.n != s.n;
  return after;
}

/* Everything up to the end of one mailbox; returns what follows it. */
static smtpf_str read_one(struct reader *r, smtpf_str s)
{
  while (1) {
    s = skip(r, s);
    if (!s.n)
      break;
    const char c = *s.p;
    size_t n = 1;
    if (c == ';' || (c == ',' && (!r->within || r->complete)))
      return behind(s, 1);
    if (c == '<' || c == '>' || c == ':')
      bracket(r, c);
    else if (c == '"')
      n = quoted(r, s);
    else if (c == ')' || (c == ',' && r->within))
      r->flags |= c == ')' ? SMTPF_MAILBOX_BAD : 0;
    else
      n = plain(r, s);
    s = behind(s, n);
  }
  return s;
}

/* Decodes encoded words of the name; `text` becomes what is in `out`. */
static smtpf_str decoded(smtpf_str text, smtpf_out *out, unsigned *flags)
{
  smtpf_words about;
  const size_t begin = out->n;
  if (text.n < 2 || !memchr(text.p, '=', text.n))
    return text;
  smtpf_words_decode(text, out, &about);
  if (!(about.flags & SMTPF_WORDS_FOUND))
    return text;
  *flags |= SMTPF_MAILBOX_WORDS | (about.flags & SMTPF_WORDS_CHARSET ? SMTPF_MAILBOX_CHARSET : 0);
  return (smtpf_str){out->p + begin, out->n - begin};
}

static void settle(struct reader *r, smtpf_mailbox *out)
{
  smtpf_mailbox m = {.address = smtpf_out_done(&r->address)};
  smtpf_str name = smtpf_out_done(&r->name);
  if (r->within && !r->complete)
    r->flags |= SMTPF_MAILBOX_BAD;
  if (!r->within && r->ats) { /* an address alone */
    name.n = 0;
    r->flags |= r->ats > 1 ? SMTPF_MAILBOX_BAD : 0;
  } else if (!r->within) {
    m.address.n = 0;
    r->flags |= SMTPF_MAILBOX_NONE;
  }
  if (!name.n && r->comment.n) {
    name = r->comment;
    r->flags |= SMTPF_MAILBOX_COMMENT;
  }
  r->address.n = m.address.n;
  m.name = decoded(name, &r->address, &r->flags); /* the rest of the address's room */
  for (size_t i = m.address.n; i-- > 0 && !m.domain.p;)
    if (m.address.p[i] == '@')
      m.domain = behind(m.address, i + 1);
  m.flags = r->flags | (r->name.full || r->address.full ? SMTPF_MAILBOX_CUT : 0);
  *out = m;
}

int smtpf_mailbox_next(smtpf_str *rest, char *room, size_t cap, smtpf_mailbox *out)
{
  smtpf_str s = *rest;
  while (s.n) {
    struct reader r = {.within = 0};
    smtpf_out_init(&r.name, room, cap / 2);
    smtpf_out_init(&r.address, room + cap / 2, cap - cap / 2);
    s = read_one(&r, s);
    *rest = s;
    if (r.name.n || r.address.n || r.within) {
      settle(&r, out);
      return SMTPF_OK;
    }
  }
  *rest = s;
  return SMTPF_ENOTFOUND;
}
