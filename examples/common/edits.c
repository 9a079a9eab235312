/* SPDX-License-Identifier: MIT */
#include "edits.h"

#include <smtpfilter/ext/mail.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* ---- fields that go -------------------------------------------------------------------------------
 *
 * A sender chooses how many there are, and how many others: sorted by name and number, each field is looked up once. */

typedef struct removal {
  smtpf_str name;
  int occurrence;
  int seen;  /* the first of a name: how many fields have it so far, */
  size_t at; /* and which of its removals is the next, counted from itself */
} removal;

static int name_compare(smtpf_str a, smtpf_str b)
{
  if (a.n != b.n)
    return a.n < b.n ? -1 : 1;
  return strncasecmp(a.p, b.p, a.n);
}

static int removal_compare(const void *left, const void *right)
{
  const removal *a = left, *b = right;
  const int order = name_compare(a->name, b->name);
  return order ? order : (a->occurrence > b->occurrence) - (a->occurrence < b->occurrence);
}

/* NULL without memory. */
static removal *removals_new(const smtpf_verdict *v, size_t recipient, size_t *n)
{
  const size_t all = smtpf_verdict_edit_count(v);
  removal *list = calloc(all + 1, sizeof *list);
  smtpf_edit_info e;
  *n = 0;
  for (size_t i = 0; list && i < all; i++)
    if (edit_at(v, i, recipient, &e) && e.op == SMTPF_EDIT_DELETE && e.name.n)
      list[(*n)++] = (removal){.name = e.name, .occurrence = e.occurrence};
  if (list)
    qsort(list, *n, sizeof *list, removal_compare);
  return list;
}

/* Whether the next field of that name goes. */
static int is_removed(removal *list, size_t n, smtpf_str name)
{
  size_t from = 0, to = n;
  while (from < to) { /* the first that is not before it */
    const size_t mid = from + (to - from) / 2;
    if (name_compare(list[mid].name, name) < 0)
      from = mid + 1;
    else
      to = mid;
  }
  if (from == n || name_compare(list[from].name, name))
    return 0;
  removal *r = &list[from];
  r->seen++;
  while (from + r->at < n && !name_compare(r[r->at].name, name) && r[r->at].occurrence < r->seen)
    r->at++;
  return from + r->at < n && !name_compare(r[r->at].name, name) && r[r->at].occurrence == r->seen;
}

void edits_section(text *t, const smtpf_verdict *v, size_t recipient, smtpf_str section)
{
  smtpf_str rest = section;
  size_t n_removals;
  removal *list = removals_new(v, recipient, &n_removals);
  t->failed |= !list;
  while (list && rest.n) {
    smtpf_str field = field_cut(&rest);
    if (!is_removed(list, n_removals, field_name(field)))
      text_add(t, field);
  }
  free(list);
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
