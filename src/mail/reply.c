/* SPDX-License-Identifier: MIT */
#include "mail/reply.h"

#include <smtpfilter/wire.h>
#include <string.h>

#include "base/str.h"

/* ---- enhanced status codes ---------------------------------------------------------------------- */

/* Length of `1*3DIGIT` without leading zeros at `s.p + at`, 0 when there is none (RFC 3463 section 2). */
static size_t subcode(smtpf_str s, size_t at)
{
  size_t n = 0;
  while (at + n < s.n && smtpf_is_digit(s.p[at + n]))
    n++;
  return n > 3 || (n > 1 && s.p[at] == '0') ? 0 : n;
}

/* Length of the status code in front of `s`, 0 when there is none. */
static size_t status_code(smtpf_str s, int code)
{
  if (s.n < 5 || s.p[1] != '.' || (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
    return 0;
  if (code && s.p[0] - '0' != code / 100)
    return 0;
  size_t subject = subcode(s, 2);
  size_t dot = 2 + subject;
  if (!subject || dot >= s.n || s.p[dot] != '.')
    return 0;
  size_t detail = subcode(s, dot + 1);
  return detail ? dot + 1 + detail : 0;
}

int smtpf_enhanced_valid(smtpf_str enhanced, int code)
{
  return enhanced.n && status_code(enhanced, code) == enhanced.n;
}

int smtpf_enhanced_parse(smtpf_str text, int code, smtpf_str *enhanced, smtpf_str *rest)
{
  size_t n = status_code(text, code);
  if (!n || (n < text.n && text.p[n] != ' '))
    return 0;
  size_t skip = n < text.n ? n + 1 : n;
  *enhanced = (smtpf_str){text.p, n};
  if (rest)
    *rest = (smtpf_str){text.p + skip, text.n - skip};
  return 1;
}

/* ---- reading ------------------------------------------------------------------------------------ */

int smtpf_reply_line(smtpf_str line, int *code, int *more, smtpf_str *text)
{
  if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !smtpf_is_digit(line.p[1]) || !smtpf_is_digit(line.p[2]))
    return SMTPF_EPARSE;
  if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
    return SMTPF_EPARSE;
  if (memchr(line.p, '\r', line.n) || memchr(line.p, '\n', line.n) || memchr(line.p, '\0', line.n))
    return SMTPF_EPARSE;
  size_t skip = line.n > 3 ? 4 : 3;
  if (code)
    *code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
  if (more)
    *more = line.n > 3 && line.p[3] == '-';
  if (text)
    *text = (smtpf_str){line.p + skip, line.n - skip};
  return SMTPF_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

smtpf_str smtpf_reply_wrap(smtpf_str *rest, size_t room)
{
  if (rest->n <= room) {
    smtpf_str all = *rest;
    *rest = (smtpf_str){NULL, 0};
    return all;
  }
  size_t n = room;
  while (n && rest->p[n] != ' ')
    n--;
  size_t skip = n ? n + 1 : room; /* the space goes with the line end */
  smtpf_str piece = {rest->p, n ? n : room};
  *rest = (smtpf_str){rest->p + skip, rest->n - skip};
  return piece;
}

/* The whole reply, each line marked as not the last; *last is where the last line begins. 0 when room ran out. */
static int write_lines(smtpf_out *o, smtpf_str head, smtpf_str text, size_t *last)
{
  const size_t room = SMTPF_REPLY_LINE_MAX - 2 - head.n;
  do {
    smtpf_str line = smtpf_str_cut(&text, '\n');
    do {
      smtpf_str piece = smtpf_reply_wrap(&line, room);
      if (o->cap - o->n < head.n + piece.n + 2)
        return 0;
      *last = o->n;
      smtpf_out_str(o, head);
      smtpf_out_printable(o, piece, 0);
      smtpf_out_cstr(o, "\r\n");
    } while (line.n);
  } while (text.p);
  return 1;
}

int smtpf_reply_format(int code, smtpf_str enhanced, smtpf_str text, char *out, size_t cap)
{
  if (code < 200 || code > 599)
    return SMTPF_EINVAL;
  char room[16]; /* `250-2.999.999 ` */
  smtpf_out head;
  smtpf_out_init(&head, room, sizeof room);
  smtpf_out_uint(&head, (uint64_t)code);
  smtpf_out_char(&head, '-');
  if (smtpf_enhanced_valid(enhanced, code)) {
    smtpf_out_str(&head, enhanced);
    smtpf_out_char(&head, ' ');
  }
  if (text.n && text.p[text.n - 1] == '\n')
    text.n--;
  smtpf_out o;
  smtpf_out_init(&o, out, cap < SMTPF_REPLY_MAX ? cap : SMTPF_REPLY_MAX);
  size_t last = 0;
  if (!write_lines(&o, smtpf_out_done(&head), text, &last) && (o.n == 0 || cap < SMTPF_REPLY_MAX))
    return SMTPF_ELIMIT;
  out[last + 3] = ' ';
  return (int)o.n;
}
