/* SPDX-License-Identifier: MIT */
#include "mail/text.h"

#include "base/str.h"

enum { PIECE = 256 };

void smtpf_text_init(smtpf_text *t, smtpf_str type, int charset)
{
  *t = (smtpf_text){.is_html = smtpf_str_equal_nocase(type, SMTPF_LIT("text/html")) ||
                               smtpf_str_equal_nocase(type, SMTPF_LIT("application/xhtml+xml"))};
  smtpf_charset_init(&t->chars, charset);
}

size_t smtpf_text_feed(smtpf_text *t, const char *p, size_t n, char *out)
{
  char utf8[SMTPF_CHARSET_ROOM(PIECE)];
  size_t written = 0;
  if (!t->is_html)
    return smtpf_charset_feed(&t->chars, p, n, out);
  for (size_t take; n; p += take, n -= take) {
    take = n < PIECE ? n : PIECE;
    written += smtpf_html_feed(&t->html, utf8, smtpf_charset_feed(&t->chars, p, take, utf8), out + written);
  }
  return written;
}

size_t smtpf_text_finish(smtpf_text *t, char *out)
{
  char utf8[SMTPF_CHARSET_ROOM(0)];
  if (!t->is_html)
    return smtpf_charset_finish(&t->chars, out);
  const size_t n = smtpf_html_feed(&t->html, utf8, smtpf_charset_finish(&t->chars, utf8), out);
  return n + smtpf_html_finish(&t->html, out + n);
}
