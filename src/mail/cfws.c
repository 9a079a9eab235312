/* SPDX-License-Identifier: MIT
 *
 * What every structured field has: blanks, comments, quoted strings (RFC 5322 3.2). Comments nest; a counter follows.
 */
#include "mail/content.h"

static size_t comment_span(smtpf_str s)
{
  size_t depth = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] == '\\')
      i++;
    else if (s.p[i] == '(')
      depth++;
    else if (s.p[i] == ')' && --depth == 0)
      return i + 1;
  }
  return s.n;
}

smtpf_str smtpf_skip_cfws(smtpf_str s)
{
  while (s.n) {
    size_t n = 1;
    if (*s.p == '(')
      n = comment_span(s);
    else if (*s.p != ' ' && *s.p != '\t' && *s.p != '\r' && *s.p != '\n')
      break;
    s.p += n;
    s.n -= n;
  }
  return s;
}

size_t smtpf_quoted_span(smtpf_str s, int *closed)
{
  *closed = 0;
  for (size_t i = 1; i < s.n; i++) {
    if (s.p[i] == '\\') {
      i++;
    } else if (s.p[i] == '"') {
      *closed = 1;
      return i + 1;
    }
  }
  return s.n;
}

void smtpf_unquote(smtpf_str inside, smtpf_out *out)
{
  for (size_t i = 0; i < inside.n; i++) {
    if (inside.p[i] == '\\' && i + 1 < inside.n && (inside.p[i + 1] == '"' || inside.p[i + 1] == '\\'))
      i++;
    smtpf_out_char(out, inside.p[i]);
  }
}
