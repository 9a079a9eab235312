/* SPDX-License-Identifier: MIT */
#include "mail/encoded_word.h"

#include <string.h>

#include "mail/charset.h"
#include "mail/class.h"
#include "mail/decode.h"

enum { PIECE = 48 }; /* bytes decoded at a time */

/* One word of the text. */
struct word {
  smtpf_str charset, data;
  char encoding; /* `b` or `q` */
  size_t size;   /* of the whole */
};

struct reader {
  smtpf_out *out;
  smtpf_words *about;
  smtpf_charset_reader chars;
  int open; /* the last thing written was a word: chars may hold bytes */
};

/* Length of what a token may have in front of `s`. */
static size_t token(smtpf_str s)
{
  size_t n = 0;
  while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f && s.p[n] != '?' && s.p[n] != '=')
    n++;
  return n;
}

static smtpf_str behind(smtpf_str s, size_t n)
{
  return (smtpf_str){s.p + n, s.n - n};
}

/* Where the data in front of `s` ends, which is where `?=` stands. `=?` is no data: a word that was left open. s.n when
 * there is no end. */
static size_t data_end(smtpf_str s)
{
  for (size_t n = 0; n + 1 < s.n; n++) {
    if (s.p[n] != '?')
      continue;
    if (s.p[n + 1] == '=')
      return n;
    if (n && s.p[n - 1] == '=')
      break;
  }
  return s.n;
}

/* Reads the word in front of `s`, which begins with `=?`. 1 when there is one. What it looks at in vain ends where the
 * next word may begin, so that all of the text is looked at twice at most. */
static int word_read(smtpf_str s, struct word *w)
{
  const char *begin = s.p;
  s = behind(s, 2);
  size_t n = token(s);
  if (!n || n + 3 > s.n || s.p[n] != '?' || s.p[n + 2] != '?')
    return 0;
  const char *star = memchr(s.p, '*', n);
  w->charset = (smtpf_str){s.p, star ? (size_t)(star - s.p) : n};
  w->encoding = smtpf_lower(s.p[n + 1]);
  if (w->encoding != 'b' && w->encoding != 'q')
    return 0;
  s = behind(s, n + 3);
  n = data_end(s);
  if (n == s.n)
    return 0;
  w->data = (smtpf_str){s.p, n};
  w->size = (size_t)(s.p + n + 2 - begin);
  return 1;
}

static void put(struct reader *r, const char *p, size_t n)
{
  char utf8[SMTPF_CHARSET_ROOM(PIECE)];
  smtpf_out_str(r->out, (smtpf_str){utf8, smtpf_charset_feed(&r->chars, p, n, utf8)});
}

/* No word goes on: an unfinished character stays one. */
static void close_chars(struct reader *r)
{
  char utf8[SMTPF_CHARSET_ROOM(0)];
  if (r->open)
    smtpf_out_str(r->out, (smtpf_str){utf8, smtpf_charset_finish(&r->chars, utf8)});
  r->about->flags |= r->chars.bad ? SMTPF_WORDS_BAD : 0;
  r->open = 0;
}

static void put_base64(struct reader *r, smtpf_str data)
{
  char bytes[SMTPF_BASE64_ROOM(PIECE)];
  smtpf_base64 d = {0};
  while (data.n) {
    const size_t n = data.n < PIECE ? data.n : PIECE;
    put(r, bytes, smtpf_base64_feed(&d, data.p, n, bytes));
    data = behind(data, n);
  }
  put(r, bytes, smtpf_base64_finish(&d, bytes));
  r->about->flags |= d.flags & ~SMTPF_DECODE_CUT ? SMTPF_WORDS_BAD : 0;
}

static void put_q(struct reader *r, smtpf_str data)
{
  char bytes[PIECE];
  size_t n = 0;
  for (size_t i = 0; i < data.n; i++) {
    const int high = data.p[i] == '=' && data.n - i > 2 ? smtpf_hex_value(data.p[i + 1]) : -1;
    const int low = high >= 0 ? smtpf_hex_value(data.p[i + 2]) : -1;
    if (low >= 0) {
      bytes[n++] = (char)(high * 16 + low);
      i += 2;
    } else {
      r->about->flags |= data.p[i] == '=' ? SMTPF_WORDS_BAD : 0;
      bytes[n++] = data.p[i];
      if (data.p[i] == '_')
        bytes[n - 1] = ' ';
    }
    if (n == PIECE) {
      put(r, bytes, n);
      n = 0;
    }
  }
  put(r, bytes, n);
}

static void put_word(struct reader *r, const struct word *w)
{
  const int charset = smtpf_charset_named(w->charset);
  if (!r->open || r->chars.charset != charset) {
    close_chars(r);
    smtpf_charset_init(&r->chars, charset);
  }
  r->open = 1;
  if (!(r->about->flags & SMTPF_WORDS_FOUND))
    r->about->charset = w->charset;
  r->about->flags |= SMTPF_WORDS_FOUND | (charset == SMTPF_CHARSET_UNKNOWN ? SMTPF_WORDS_CHARSET : 0);
  if (w->encoding == 'b')
    put_base64(r, w->data);
  else
    put_q(r, w->data);
}

static void put_plain(struct reader *r, const char *p, size_t n)
{
  if (!n)
    return;
  close_chars(r);
  for (size_t i = 0; i < n; i++)
    r->about->flags |= smtpf_is_class(p[i], SMTPF_CLASS_HIGH) ? SMTPF_WORDS_HIGH : 0;
  smtpf_out_str(r->out, (smtpf_str){p, n});
}

/* 1 when there is nothing but white space. */
static int all_blank(const char *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r' && p[i] != '\n')
      return 0;
  return 1;
}

void smtpf_words_decode(smtpf_str text, smtpf_out *out, smtpf_words *about)
{
  smtpf_words unused;
  struct reader r = {.out = out, .about = about ? about : &unused};
  size_t plain = 0; /* where what is no word began */
  *r.about = (smtpf_words){.flags = 0};
  if (!text.n)
    return;
  for (size_t at = 0; at + 6 <= text.n;) {
    struct word w;
    const char *mark = memchr(text.p + at, '=', text.n - at - 1);
    if (!mark)
      break;
    at = (size_t)(mark - text.p);
    if (text.p[at + 1] != '?') {
      at++;
    } else if (word_read(behind(text, at), &w)) {
      if (!r.open || !all_blank(text.p + plain, at - plain))
        put_plain(&r, text.p + plain, at - plain);
      put_word(&r, &w);
      plain = at += w.size;
    } else {
      r.about->flags |= SMTPF_WORDS_ODD;
      at += 2;
    }
  }
  /* Blanks at the end count. */
  put_plain(&r, text.p + plain, text.n - plain);
  close_chars(&r);
}
