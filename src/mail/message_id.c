/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "mail/class.h"
#include "mail/content.h"
#include "mail/field.h"

/* 1 when `s` is atoms between single dots. */
static int is_dot_atom(smtpf_str s)
{
  int dot = 1;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] == '.' ? dot : !smtpf_is_class(s.p[i], SMTPF_CLASS_ATEXT | SMTPF_CLASS_HIGH))
      return 0;
    dot = s.p[i] == '.';
  }
  return !dot;
}

/* 1 when `s` is `[` anything but brackets and blanks `]`. */
static int is_no_fold_literal(smtpf_str s)
{
  if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
    return 0;
  for (size_t i = 1; i + 1 < s.n; i++)
    if (s.p[i] <= ' ' || s.p[i] == '[' || s.p[i] == ']' || s.p[i] == '\\')
      return 0;
  return 1;
}

static unsigned judge(const smtpf_message_id *id)
{
  if (!id->left.n || !id->right.n)
    return SMTPF_MESSAGE_ID_BAD;
  if (is_dot_atom(id->left) && (is_dot_atom(id->right) || is_no_fold_literal(id->right)))
    return 0;
  for (size_t i = 0; i < id->whole.n; i++)
    if (memchr(" \t(\"", id->whole.p[i], 4))
      return SMTPF_MESSAGE_ID_OBSOLETE;
  return SMTPF_MESSAGE_ID_BAD;
}

int smtpf_message_id_next(smtpf_str *rest, smtpf_message_id *out)
{
  const smtpf_str s = smtpf_skip_cfws(*rest);
  smtpf_message_id id = {.flags = 0};
  if (!s.n) {
    *rest = s;
    return SMTPF_ENOTFOUND;
  }
  size_t begin = 0, end;
  if (*s.p == '<') {
    const char *close = memchr(s.p, '>', s.n);
    begin = 1;
    end = close ? (size_t)(close - s.p) : s.n;
    id.flags = close ? 0 : SMTPF_MESSAGE_ID_BAD;
    *rest = close ? (smtpf_str){close + 1, s.n - end - 1} : (smtpf_str){s.p + s.n, 0};
  } else {
    const char *open = memchr(s.p, '<', s.n);
    end = open ? (size_t)(open - s.p) : s.n;
    id.flags = SMTPF_MESSAGE_ID_BAD;
    *rest = (smtpf_str){s.p + end, s.n - end};
  }
  id.whole = smtpf_str_trim((smtpf_str){s.p + begin, end - begin});
  for (size_t i = id.whole.n; i-- > 0 && !id.right.p;) {
    if (id.whole.p[i] == '@') {
      id.left = (smtpf_str){id.whole.p, i};
      id.right = (smtpf_str){id.whole.p + i + 1, id.whole.n - i - 1};
    }
  }
  id.flags |= judge(&id);
  *out = id;
  return SMTPF_OK;
}
