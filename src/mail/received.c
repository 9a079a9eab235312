/* SPDX-License-Identifier: MIT
 *
 * Clauses are a word and a value; of comments only those between `from` and `by` say something: what name and address
 * the server saw, in one of these forms:
 *
 *     from helo ([192.0.2.1])                       the literal
 *     from helo (name [192.0.2.1])                  name and literal
 *     from helo (ident@name [192.0.2.1])
 *     from helo (192.0.2.1), from helo (name 192.0.2.1 ...)
 *     from name (HELO helo) (192.0.2.1)             in a comment of its own, or (user@192.0.2.1)
 *     from [192.0.2.1] (helo=name)                  the literal before the comment
 *     from name ([192.0.2.1] helo=name)
 *
 * Much of it the client has chosen: its HELO, its name, what its ident server says. So the address in a comment is
 * stronger than a literal before it, one in brackets is stronger than one without, the last of a comment than those
 * before, and nothing counts behind `HELO`, `helo=`, `ident=` in a comment, nor in comments within it.
 */
#include <string.h>

#include "mail/content.h"
#include "mail/field.h"

static smtpf_str behind(smtpf_str s, size_t n)
{
  return (smtpf_str){s.p + n, s.n - n};
}

static int is_blank(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word or path: up to blank, comment or `;`. */
static size_t span(smtpf_str s)
{
  size_t n = 0;
  if (*s.p == '<') {
    const char *end = memchr(s.p, '>', s.n);
    return end ? (size_t)(end - s.p) + 1 : s.n;
  }
  while (n < s.n && !is_blank(s.p[n]) && s.p[n] != '(' && s.p[n] != ';')
    n++;
  return n + (n == 0);
}

/* ---- what the server saw ------------------------------------------------------------------------------------------
 */

static int begins_nocase(smtpf_str word, smtpf_str front)
{
  return word.n >= front.n && smtpf_str_equal_nocase((smtpf_str){word.p, front.n}, front);
}

/* What follows such a word are the client's own. */
static int is_clients(smtpf_str word)
{
  return smtpf_str_equal_nocase(word, SMTPF_LIT("HELO")) || smtpf_str_equal_nocase(word, SMTPF_LIT("EHLO")) ||
         begins_nocase(word, SMTPF_LIT("helo=")) || begins_nocase(word, SMTPF_LIT("ident="));
}

static int is_name(smtpf_str word)
{
  const int form = smtpf_domain_form(word);
  return form == SMTPF_DOMAIN_QUALIFIED || form == SMTPF_DOMAIN_UNDERSCORE || form == SMTPF_DOMAIN_UTF8 ||
         form == SMTPF_DOMAIN_UNQUALIFIED;
}

/* Words of one comment, and those of comments within it. */
typedef struct words {
  smtpf_str rest;
  int depth;   /* of comments, at the word */
  char before; /* what stands before it */
} words;

static int is_between(char c)
{
  return is_blank(c) || c == '[' || c == ']' || c == ',' || c == ';' || c == '(' || c == ')';
}

/* The next word; empty at the end of the comment. */
static smtpf_str next_word(words *w)
{
  size_t n = 0;
  w->before = 0;
  for (; w->rest.n && is_between(*w->rest.p); w->rest = behind(w->rest, 1)) {
    w->before = *w->rest.p;
    w->depth += (w->before == '(') - (w->before == ')');
    if (w->depth <= 0) {
      w->rest = behind(w->rest, 1);
      return (smtpf_str){w->rest.p, 0};
    }
  }
  while (n < w->rest.n && !is_between(w->rest.p[n]))
    n++;
  const smtpf_str word = {w->rest.p, n};
  w->rest = behind(w->rest, n);
  return word;
}

/* What stands behind the `@` of `user@192.0.2.1`, as qmail writes it; else the whole. */
static smtpf_str without_user(smtpf_str word)
{
  size_t at = word.n;
  while (at && word.p[at - 1] != '@')
    at--;
  return behind(word, at);
}

/* Takes the comment that `gap` begins with off its front. */
static void read_comment(smtpf_str *gap, smtpf_received *r)
{
  words w = {.rest = *gap};
  smtpf_ip bare = {0}, bracketed = {0}, ip;
  int clients = 0, first = 1;
  for (smtpf_str word; (word = next_word(&w)).n; first = 0) {
    clients |= w.depth == 1 && is_clients(word);
    if (clients || w.depth > 1)
      continue;
    if (smtpf_ip_parse(w.before == '[' ? word : without_user(word), &ip) == SMTPF_OK)
      *(w.before == '[' ? &bracketed : &bare) = ip;
    else if (first && !r->rdns.n && is_name(word))
      r->rdns = word;
  }
  const smtpf_ip seen = bracketed.family ? bracketed : bare;
  r->twice |= seen.family && r->ip.family && !smtpf_ip_equal(&seen, &r->ip);
  if (!r->ip.family)
    r->ip = seen;
  *gap = w.rest;
}

static void read_seen(smtpf_str gap, smtpf_received *r)
{
  while (gap.n) {
    if (*gap.p == '(')
      read_comment(&gap, r);
    else
      gap = behind(gap, 1);
  }
}

/* `[192.0.2.1]`, `[192.0.2.1]:25` */
static void read_literal(smtpf_received *r)
{
  const char *end = r->from.n > 1 && *r->from.p == '[' ? memchr(r->from.p, ']', r->from.n) : NULL;
  smtpf_ip ip;
  if (end && (end + 1 == r->from.p + r->from.n || end[1] == ':') &&
      smtpf_ip_parse((smtpf_str){r->from.p, (size_t)(end + 1 - r->from.p)}, &ip) == SMTPF_OK)
    r->ip = ip;
}

/* ---- clauses ------------------------------------------------------------------------------------------------------
 */

/* What stands between here and the next word: blanks and comments. */
static smtpf_str skip(smtpf_str s, int of_from, smtpf_received *r)
{
  const smtpf_str after = smtpf_skip_cfws(s);
  if (of_from || (r->from.n && !r->by.n))
    read_seen((smtpf_str){s.p, s.n - after.n}, r);
  return after;
}

/* Where the value of a clause goes; NULL when the word begins none, or a second one. */
static smtpf_str *clause(smtpf_str word, smtpf_received *r)
{
  const struct {
    smtpf_str name;
    smtpf_str *to;
    int once;
  } known[] = {{{"from", 4}, &r->from, 1}, {{"by", 2}, &r->by, 1}, {{"via", 3}, &r->via, 0},
               {{"with", 4}, &r->with, 1}, {{"id", 2}, &r->id, 0}, {{"for", 3}, &r->recipient, 0}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (smtpf_str_equal_nocase(word, known[i].name)) {
      r->twice |= known[i].once && known[i].to->p;
      return known[i].to->p ? NULL : known[i].to;
    }
  return NULL;
}

static size_t last_semicolon(smtpf_str s)
{
  size_t at = s.n;
  while (at && s.p[at - 1] != ';')
    at--;
  return at;
}

int smtpf_received_parse(smtpf_str value, smtpf_received *out)
{
  smtpf_received r = {.dated = 0};
  const size_t semicolon = last_semicolon(value);
  smtpf_str s = value;
  if (semicolon) {
    r.dated = smtpf_date_parse(behind(value, semicolon), &r.date) == SMTPF_OK;
    s.n = semicolon - 1;
  }
  int of_from = 0;
  while ((s = skip(s, of_from, &r)).n) {
    size_t n = span(s);
    smtpf_str *to = clause((smtpf_str){s.p, n}, &r);
    of_from = 0;
    s = behind(s, n);
    if (!to)
      continue;
    of_from = to == &r.from;
    s = skip(s, of_from, &r);
    if (!s.n)
      break;
    n = span(s);
    *to = (smtpf_str){s.p, n};
    s = behind(s, n);
  }
  if (!r.ip.family)
    read_literal(&r);
  if (r.recipient.n > 1 && *r.recipient.p == '<')
    r.recipient = (smtpf_str){r.recipient.p + 1, r.recipient.n - 1 - (r.recipient.p[r.recipient.n - 1] == '>')};
  if (!r.from.n && !r.by.n)
    return SMTPF_EPARSE;
  *out = r;
  return SMTPF_OK;
}
