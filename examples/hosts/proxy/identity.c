/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <smtpfilter/ext/mail.h>
#include <string.h>

#define VALUE_MAX 180 /* of an encoded value, so that no line passes 512 bytes; longer ones are told as unknown */

enum { NAME = 1 << 0, ADDR = 1 << 1, PORT = 1 << 2, HELO = 1 << 3, PROTO = 1 << 4, SOURCE = 1 << 5, IDENT = 1 << 6 };

static const struct {
  const char *word;
  unsigned bit;
} words[] = {{"NAME", NAME},   {"ADDR", ADDR},     {"PORT", PORT},  {"HELO", HELO},
             {"PROTO", PROTO}, {"SOURCE", SOURCE}, {"IDENT", IDENT}};

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

static void attribute(text *t, const char *word, const char *prefix, smtpf_str value)
{
  text_char(t, ' ');
  text_cstr(t, word);
  text_char(t, '=');
  size_t from = t->n;
  text_cstr(t, prefix);
  xtext(t, value);
  if (!value.n || t->n - from > VALUE_MAX) {
    t->n = from;
    text_cstr(t, "[UNAVAILABLE]");
  }
}

void identity_command(text *t, const char *keyword, unsigned attributes, const identity_of *who)
{
  text port = {0};
  if (who->port)
    text_int(&port, who->port);
  const int six = who->address.n && memchr(who->address.p, ':', who->address.n) != NULL;
  text_cstr(t, keyword);
  if (attributes & NAME)
    attribute(t, "NAME", "", who->name);
  if (attributes & ADDR)
    attribute(t, "ADDR", six ? "IPV6:" : "", who->address);
  if (attributes & PORT)
    attribute(t, "PORT", "", text_str(&port));
  if (attributes & PROTO)
    attribute(t, "PROTO", "", who->esmtp ? SMTPF_LIT("ESMTP") : SMTPF_LIT("SMTP"));
  if (attributes & HELO)
    attribute(t, "HELO", "", who->helo);
  if (attributes & IDENT)
    attribute(t, "IDENT", "", who->id);
  if (attributes & SOURCE)
    text_cstr(t, " SOURCE=REMOTE");
  text_cstr(t, "\r\n");
  text_free(&port);
}
