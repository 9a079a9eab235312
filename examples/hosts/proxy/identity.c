/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <smtpfilter/ext/mail.h>
#include <string.h>

enum { COMMAND_MAX = 512 }; /* RFC 5321 4.5.3.1.4 */

enum {
  NAME = 1 << 0,
  ADDR = 1 << 1,
  PORT = 1 << 2,
  HELO = 1 << 3,
  PROTO = 1 << 4,
  SOURCE = 1 << 5,
  IDENT = 1 << 6,
  LOGIN = 1 << 7,
  DESTADDR = 1 << 8,
  DESTPORT = 1 << 9
};

static const struct {
  const char *word;
  unsigned bit;
} words[] = {{"NAME", NAME},     {"ADDR", ADDR},   {"PORT", PORT},   {"HELO", HELO},         {"PROTO", PROTO},
             {"SOURCE", SOURCE}, {"IDENT", IDENT}, {"LOGIN", LOGIN}, {"DESTADDR", DESTADDR}, {"DESTPORT", DESTPORT}};

/* The front of *rest up to `sep`. */
static smtpf_str cut(smtpf_str *rest, char sep)
{
  const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
  smtpf_str front = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
  size_t used = front.n + (at != NULL);
  *rest = (smtpf_str){rest->p + used, rest->n - used};
  return front;
}

unsigned identity_attributes(smtpf_str ehlo, const char *keyword)
{
  while (ehlo.n) {
    smtpf_str line = cut(&ehlo, '\n');
    if (!smtpf_str_equal_nocase(cut(&line, ' '), smtpf_str_of(keyword)))
      continue;
    unsigned bits = 0;
    while (line.n) {
      smtpf_str word = cut(&line, ' ');
      for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (smtpf_str_equal_nocase(word, smtpf_str_of(words[i].word)))
          bits |= words[i].bit;
    }
    return bits;
  }
  return 0;
}

static void xtext(text *t, smtpf_str s)
{
  static const char digit[] = "0123456789ABCDEF";
  for (size_t i = 0; i < s.n; i++) {
    unsigned char c = (unsigned char)s.p[i];
    if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
      text_char(t, (char)c);
    } else {
      text_char(t, '+');
      text_char(t, digit[c >> 4]);
      text_char(t, digit[c & 15]);
    }
  }
}

static void attribute(text *t, const char *word, const char *prefix, smtpf_str value, size_t most)
{
  text_char(t, ' ');
  text_cstr(t, word);
  text_char(t, '=');
  size_t from = t->n;
  text_cstr(t, prefix);
  xtext(t, value);
  if (!value.n || t->n - from > most) {
    t->n = from;
    text_cstr(t, "[UNAVAILABLE]");
  }
}

static void attribute_ip(text *t, const char *word, smtpf_str ip, size_t most)
{
  const int six = ip.n && memchr(ip.p, ':', ip.n) != NULL;
  attribute(t, word, six ? "IPV6:" : "", ip, most);
}

static void attribute_number(text *t, const char *word, unsigned n, size_t most)
{
  text digits = {0};
  if (n)
    text_int(&digits, n);
  attribute(t, word, "", text_str(&digits), most);
  text_free(&digits);
}

/* Values that are longer than `most` are told as unknown. */
static void command(text *t, const char *keyword, unsigned attributes, const identity_of *who, size_t most)
{
  text_cstr(t, keyword);
  if (attributes & NAME)
    attribute(t, "NAME", "", who->name, most);
  if (attributes & ADDR)
    attribute_ip(t, "ADDR", who->address, most);
  if (attributes & PORT)
    attribute_number(t, "PORT", who->port, most);
  if (attributes & PROTO)
    attribute(t, "PROTO", "", who->esmtp ? SMTPF_LIT("ESMTP") : SMTPF_LIT("SMTP"), most);
  if (attributes & HELO)
    attribute(t, "HELO", "", who->helo, most);
  if (attributes & LOGIN)
    attribute(t, "LOGIN", "", who->login, most);
  if (attributes & DESTADDR)
    attribute_ip(t, "DESTADDR", who->destination, most);
  if (attributes & DESTPORT)
    attribute_number(t, "DESTPORT", who->destination_port, most);
  if (attributes & IDENT)
    attribute(t, "IDENT", "", who->id, most);
  if (attributes & SOURCE)
    text_cstr(t, " SOURCE=REMOTE");
  text_cstr(t, "\r\n");
}

void identity_command(text *t, const char *keyword, unsigned attributes, const identity_of *who)
{
  const size_t from = t->n;
  identity_of told = *who;
  if (who->withheld) {
    told.name = told.address = (smtpf_str){0};
    told.port = 0;
  }
  command(t, keyword, attributes, &told, 180);
  if (t->n - from <= COMMAND_MAX)
    return;
  t->n = from;
  command(t, keyword, attributes, &told, 60);
}
