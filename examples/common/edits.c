/* SPDX-License-Identifier: MIT */
#include "edits.h"

#include <smtpfilter/ext/mail.h>
#include <string.h>

#define FOLD_AT 76

void edits_field(text *t, smtpf_str name, smtpf_str value)
{
  text_add(t, name);
  text_char(t, ':');
  size_t column = name.n + 1;
  while (value.n) {
    const char *blank = memchr(value.p + 1, ' ', value.n - 1);
    size_t n = blank ? (size_t)(blank - value.p) : value.n;
    if (column > name.n + 1 && column + n > FOLD_AT && value.p[0] == ' ') {
      text_cstr(t, "\r\n");
      column = 0;
    } else if (column == name.n + 1 && value.p[0] != ' ') {
      text_char(t, ' ');
      column++;
    }
    text_add(t, (smtpf_str){value.p, n});
    column += n;
    value = (smtpf_str){value.p + n, value.n - n};
  }
  text_cstr(t, "\r\n");
}

/* The field at the front of `rest` with its continuation lines. */
static smtpf_str field_cut(smtpf_str *rest)
{
  size_t n = 0;
  do {
    const char *lf = memchr(rest->p + n, '\n', rest->n - n);
    n = lf ? (size_t)(lf - rest->p) + 1 : rest->n;
  } while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'));
  smtpf_str field = {rest->p, n};
  *rest = (smtpf_str){rest->p + n, rest->n - n};
  return field;
}

static smtpf_str field_name(smtpf_str field)
{
  const char *colon = memchr(field.p, ':', field.n);
  size_t n = colon ? (size_t)(colon - field.p) : 0;
  while (n && (field.p[n - 1] == ' ' || field.p[n - 1] == '\t'))
    n--;
  return (smtpf_str){field.p, n};
}

/* Edit `i`, when it is for all or for this recipient. */
static int edit_at(const smtpf_verdict *v, size_t i, size_t recipient, smtpf_edit_info *e)
{
  *e = (smtpf_edit_info){.size = sizeof *e};
  return smtpf_verdict_edit(v, i, e) == SMTPF_OK && (e->recipient == SMTPF_ALL || e->recipient == recipient);
}

static int is_deleted(const smtpf_verdict *v, size_t recipient, smtpf_str name, int occurrence)
{
  smtpf_edit_info e;
  for (size_t i = 0, n = smtpf_verdict_edit_count(v); i < n; i++)
    if (edit_at(v, i, recipient, &e) && e.op == SMTPF_EDIT_DELETE && e.occurrence == occurrence &&
        smtpf_str_equal_nocase(e.name, name))
      return 1;
  return 0;
}

/* How many fields of that name `all` has before `upto`. */
static int occurrences(smtpf_str all, const char *upto, smtpf_str name)
{
  int n = 0;
  while (all.n && all.p < upto)
    n += smtpf_str_equal_nocase(field_name(field_cut(&all)), name);
  return n;
}

void edits_section(text *t, const smtpf_verdict *v, size_t recipient, smtpf_str section)
{
  smtpf_str rest = section;
  while (rest.n) {
    smtpf_str field = field_cut(&rest), name = field_name(field);
    if (!name.n || !is_deleted(v, recipient, name, occurrences(section, field.p, name) + 1))
      text_add(t, field);
  }
  if (section.n && section.p[section.n - 1] != '\n')
    text_cstr(t, "\r\n");
  smtpf_edit_info e;
  for (size_t i = 0, n = smtpf_verdict_edit_count(v); i < n; i++)
    if (edit_at(v, i, recipient, &e) && e.op == SMTPF_EDIT_APPEND)
      edits_field(t, e.name, e.value);
}

int edits_prepend(text *t, const smtpf_verdict *v, size_t recipient, smtpf_str but)
{
  int inside = 0;
  smtpf_edit_info e;
  for (size_t i = smtpf_verdict_edit_count(v); i-- > 0;) { /* the last edit ends up first */
    if (!edit_at(v, i, recipient, &e))
      continue;
    if (e.op != SMTPF_EDIT_PREPEND)
      inside = 1;
    else if (!smtpf_str_equal_nocase(e.name, but))
      edits_field(t, e.name, e.value);
  }
  return inside;
}
