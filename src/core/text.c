/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <string.h>

#include "mail/reply.h"

static const char *const names[SMTPF_FIELDS] = {"text",      "check",   "code", "client",   "sender",
                                                "recipient", "contact", "id",   "queue_id", "host"};

/* A piece of a line: words as they are, or a field. */
typedef struct piece {
  smtpf_str words;
  int field;    /* -1: words */
  int nonsense; /* braces that are no field */
} piece;

static int field_of(smtpf_str name)
{
  for (int i = 0; i < SMTPF_FIELDS; i++)
    if (smtpf_str_equal(name, smtpf_str_of(names[i])))
      return i;
  return -1;
}

/* The next piece of a line, which must not be empty. */
static piece next_piece(smtpf_str *rest)
{
  piece p = {.words = *rest, .field = -1};
  const char *brace = memchr(rest->p, '{', rest->n), *end;
  if (!brace) {
    *rest = (smtpf_str){NULL, 0};
    return p;
  }
  p.words.n = (size_t)(brace - rest->p);
  if (p.words.n == 0 && rest->n > 1 && brace[1] == '{') {
    p.words.n = 1;
    *rest = (smtpf_str){rest->p + 2, rest->n - 2};
    return p;
  }
  if (p.words.n == 0) {
    end = memchr(brace, '}', rest->n);
    p.words.n = end ? (size_t)(end - brace) + 1 : rest->n;
    if (end)
      p.field = field_of((smtpf_str){brace + 1, p.words.n - 2});
    p.nonsense = p.field < 0;
  }
  *rest = (smtpf_str){rest->p + p.words.n, rest->n - p.words.n};
  return p;
}

const char *smtpf_template_fault(smtpf_str line, unsigned fields, smtpf_str *where)
{
  *where = line;
  if (line.n > SMTPF_TEXT_TEMPLATE)
    return "a line of a text is too long";
  for (size_t i = 0; i < line.n; i++)
    if (line.p[i] < ' ' || line.p[i] > '~')
      return "replies are printable ASCII";
  for (smtpf_str rest = line; rest.n;) {
    const piece p = next_piece(&rest);
    *where = p.words;
    if (p.nonsense)
      return "no such field";
    if (p.field >= 0 && !(fields & (1u << p.field)))
      return "this field has no value here";
  }
  return NULL;
}

static void expand_line(smtpf_out *o, smtpf_str line, const smtpf_str *values)
{
  while (line.n) {
    const piece p = next_piece(&line);
    smtpf_out_printable(o, p.field < 0 ? p.words : values[p.field], 0);
  }
}

/* What a line of this length takes of a whole reply. */
static size_t cost(size_t n)
{
  return SMTPF_TEXT_HEAD + n + 2;
}

/* Adds one line, wrapped; 0 when it did not fit. */
static int add_line(smtpf_out *o, smtpf_str line, size_t *left)
{
  do {
    const smtpf_str part = smtpf_reply_wrap(&line, SMTPF_TEXT_LINE);
    if (cost(part.n) > *left)
      return 0;
    *left -= cost(part.n);
    if (*left != SMTPF_REPLY_MAX - cost(part.n))
      smtpf_out_char(o, '\n');
    smtpf_out_str(o, part);
  } while (line.n);
  return 1;
}

smtpf_str smtpf_template_expand(const smtpf_template *t, const smtpf_str values[SMTPF_FIELDS], char *room)
{
  char one[SMTPF_TEXT_MAX];
  smtpf_out all, line;
  size_t left = SMTPF_REPLY_MAX;
  smtpf_out_init(&all, room, SMTPF_TEXT_MAX);
  for (size_t i = 0; i < t->n; i++) {
    smtpf_out_init(&line, one, sizeof one);
    expand_line(&line, t->lines[i], values);
    if (!add_line(&all, smtpf_out_done(&line), &left))
      break;
  }
  return smtpf_out_done(&all);
}
