/* SPDX-License-Identifier: MIT
 *
 * Clauses are a word and a value; of comments only the one behind `from` says something: what name and address the
 * server saw, in one of these forms:
 *
 *     from helo ([192.0.2.1])                       the literal
 *     from helo (name [192.0.2.1])                  name and literal
 *     from helo (192.0.2.1), from helo (name 192.0.2.1 ...)
 *     from [192.0.2.1] (helo=name)                  the literal before the comment
 *     from name ([192.0.2.1] helo=name)
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

/* One word or bracketed value: up to blank, comment or `;`. */
static size_t span(smtpf_str s)
{
  size_t n = 0;
  if (*s.p == '<' || *s.p == '[') {
    const char *end = memchr(s.p, *s.p == '<' ? '>' : ']', s.n);
    return end ? (size_t)(end - s.p) + 1 : s.n;
  }
  while (n < s.n && !is_blank(s.p[n]) && s.p[n] != '(' && s.p[n] != ';')
    n++;
  return n + (n == 0);
}

static int is_bracket(char c)
{
  return c == '[' || c == ']' || c == ',' || c == ';';
}

/* Looks at each word of the comment behind `from`. */
static void read_seen(smtpf_str inside, smtpf_received *r)
{
  for (size_t at = 0, n; at < inside.n; at += n + 1) {
    for (n = 0; at + n < inside.n && !is_blank(inside.p[at + n]) && inside.p[at + n] != '(' &&
                inside.p[at + n] != ')' && !is_bracket(inside.p[at + n]);)
      n++;
    const smtpf_str word = {inside.p + at, n};
    smtpf_ip ip;
    if (!n)
      continue;
    if (smtpf_ip_parse(word, &ip) == SMTPF_OK) {
      r->ip = r->ip.family ? r->ip : ip;
    } else if (at == 0 && !r->rdns.n) {
      const int form = smtpf_domain_form(word);
      if (form == SMTPF_DOMAIN_QUALIFIED || form == SMTPF_DOMAIN_UNDERSCORE || form == SMTPF_DOMAIN_UTF8 ||
          form == SMTPF_DOMAIN_UNQUALIFIED)
        r->rdns = word;
    }
  }
}

/* What stands between here and the next word: blanks and comments. */
static smtpf_str skip(smtpf_str s, int of_from, smtpf_received *r)
{
  const smtpf_str after = smtpf_skip_cfws(s);
  if (of_from) {
    const smtpf_str gap = smtpf_str_trim((smtpf_str){s.p, s.n - after.n});
    if (gap.n > 1 && *gap.p == '(')
      read_seen(smtpf_str_trim(behind(gap, 1)), r);
  }
  return after;
}

/* Where the value of a clause goes; NULL when the word begins none, or a second one. */
static smtpf_str *clause(smtpf_str word, smtpf_received *r)
{
  const struct {
    smtpf_str name;
    smtpf_str *to;
  } known[] = {{{"from", 4}, &r->from}, {{"by", 2}, &r->by}, {{"via", 3}, &r->via},
               {{"with", 4}, &r->with}, {{"id", 2}, &r->id}, {{"for", 3}, &r->recipient}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (smtpf_str_equal_nocase(word, known[i].name))
      return known[i].to->p ? NULL : known[i].to;
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
  smtpf_ip ip;
  if (r.from.n > 1 && *r.from.p == '[' && smtpf_ip_parse(r.from, &ip) == SMTPF_OK)
    r.ip = ip;
  if (r.recipient.n > 1 && *r.recipient.p == '<')
    r.recipient = (smtpf_str){r.recipient.p + 1, r.recipient.n - 1 - (r.recipient.p[r.recipient.n - 1] == '>')};
  if (!r.from.n && !r.by.n)
    return SMTPF_EPARSE;
  *out = r;
  return SMTPF_OK;
}
