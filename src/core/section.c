/* SPDX-License-Identifier: MIT */
#include "section.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

/* Doubles an arena array; the old one stays behind, which a policy can afford. */
static int grow(smtpf_arena *a, void **array, size_t *cap, size_t n, size_t size)
{
  if (n < *cap)
    return SMTPF_OK;
  size_t more = *cap ? *cap * 2 : 4;
  void *p = smtpf_arena_alloc(a, more * size);
  if (!p)
    return SMTPF_ENOMEM;
  if (n)
    memcpy(p, *array, n * size);
  *array = p;
  *cap = more;
  return SMTPF_OK;
}

static int append_text(smtpf_arena *a, smtpf_value *v, smtpf_str text)
{
  void *array = v->texts;
  smtpf_str copy;
  int r = grow(a, &array, &v->cap, v->n, sizeof *v->texts);
  v->texts = array;
  if (r == SMTPF_OK)
    r = smtpf_arena_copy(a, text, &copy);
  if (r == SMTPF_OK)
    v->texts[v->n++] = copy;
  return r;
}

static struct smtpf_section *new_section(smtpf_tree *t, smtpf_str prefix, smtpf_str key)
{
  struct smtpf_section *s = smtpf_arena_alloc(&t->arena, sizeof *s);
  if (!s)
    return NULL;
  s->tree = t;
  if (smtpf_arena_copy(&t->arena, prefix, &s->prefix) != SMTPF_OK ||
      smtpf_arena_copy(&t->arena, key, &s->key) != SMTPF_OK)
    return NULL;
  return s;
}

static void *arena_alloc(void *arena, size_t n)
{
  return smtpf_arena_alloc(arena, n);
}

static void arena_free(void *arena, void *p)
{
  (void)arena;
  (void)p;
}

int smtpf_tree_init(smtpf_tree *t, const smtpf_mem *mem, const smtpf_options *options)
{
  smtpf_arena_init(&t->arena, mem, 4096, SIZE_MAX / 2);
  t->in_arena = (smtpf_mem){sizeof(smtpf_mem), &t->arena, arena_alloc, NULL, arena_free};
  t->options = options;
  t->root = new_section(t, (smtpf_str){"", 0}, (smtpf_str){"", 0});
  return t->root ? SMTPF_OK : SMTPF_ENOMEM;
}

void smtpf_tree_free(smtpf_tree *t)
{
  smtpf_arena_clear(&t->arena);
  t->root = NULL;
}

static smtpf_value *value_of(const struct smtpf_section *s, smtpf_str name)
{
  for (size_t i = 0; i < s->n; i++)
    if (smtpf_str_equal(s->v[i]->name, name))
      return s->v[i];
  return NULL;
}

static smtpf_value *new_value(struct smtpf_section *s, smtpf_str name, const smtpf_option *row)
{
  smtpf_value *v = smtpf_arena_alloc(&s->tree->arena, sizeof *v);
  void *array = s->v;
  if (!v || smtpf_arena_copy(&s->tree->arena, name, &v->name) != SMTPF_OK ||
      grow(&s->tree->arena, &array, &s->cap, s->n, sizeof(smtpf_value *)) != SMTPF_OK)
    return NULL;
  v->row = row;
  smtpf_map_init(&v->by_key, &s->tree->in_arena, (const uint64_t[2]){1, 2});
  s->v = array;
  s->v[s->n++] = v;
  return v;
}

/* prefix "." name, and the row it stands for */
static const smtpf_option *row_of(const struct smtpf_section *s, smtpf_str name)
{
  char room[256];
  smtpf_out o;
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_str(&o, s->prefix);
  if (s->prefix.n)
    smtpf_out_char(&o, '.');
  smtpf_out_str(&o, name);
  return o.full ? NULL : smtpf_options_find(s->tree->options, smtpf_out_done(&o));
}

/* A list and one of its elements have names that differ by an s: `dnslists`, dnslist["zen.example"]. */
static const smtpf_option *list_row(const struct smtpf_section *s, smtpf_str *name, char room[128])
{
  const smtpf_option *row = row_of(s, *name);
  if (!row && name->n < 127) {
    memcpy(room, name->p, name->n);
    room[name->n] = 's';
    *name = (smtpf_str){room, name->n + 1};
    row = row_of(s, *name);
  }
  return row && row->type == SMTPF_OPTION_LIST ? row : NULL;
}

static struct smtpf_section *element(const smtpf_value *list, smtpf_str key)
{
  return list ? smtpf_map_get(&list->by_key, key) : NULL;
}

static struct smtpf_section *add_element(struct smtpf_section *s, smtpf_value *list, smtpf_str key)
{
  struct smtpf_section *e = new_section(s->tree, smtpf_str_of(list->row->path), key);
  void *array = list->sections;
  if (!e || grow(&s->tree->arena, &array, &list->cap, list->n, sizeof(struct smtpf_section *)) != SMTPF_OK ||
      smtpf_map_set(&list->by_key, e->key, e) != SMTPF_OK)
    return NULL;
  e->parent = s;
  e->list = list->name;
  list->sections = array;
  list->sections[list->n++] = e;
  return e;
}

/* ---- paths ---------------------------------------------------------------------------------------- */

/* One step of a path: a dotted name and, where it goes into a list, the element's key. */
struct step {
  smtpf_str name;
  smtpf_str key;
  int keyed;
  char room[256];
};

/* `["..."]` with backslash before quote and backslash. */
static int take_key(smtpf_str *rest, struct step *st)
{
  smtpf_out o;
  smtpf_out_init(&o, st->room, sizeof st->room);
  size_t i = 2;
  if (rest->n < 2 || rest->p[1] != '"')
    return SMTPF_EPARSE;
  for (; i < rest->n && rest->p[i] != '"'; i++) {
    if (rest->p[i] == '\\' && ++i == rest->n)
      return SMTPF_EPARSE;
    smtpf_out_char(&o, rest->p[i]);
  }
  if (o.full || i + 1 >= rest->n || rest->p[i + 1] != ']')
    return SMTPF_EPARSE;
  rest->p += i + 2;
  rest->n -= i + 2;
  st->key = smtpf_out_done(&o);
  st->keyed = 1;
  return SMTPF_OK;
}

/* SMTPF_OK with *rest behind the step (and its dot), SMTPF_EPARSE. */
static int take_step(smtpf_str *rest, struct step *st)
{
  size_t n = 0;
  while (n < rest->n && rest->p[n] != '[')
    n++;
  st->name = (smtpf_str){rest->p, n};
  st->keyed = 0;
  rest->p += n;
  rest->n -= n;
  if (!n)
    return SMTPF_EPARSE;
  if (!rest->n)
    return SMTPF_OK;
  int r = take_key(rest, st);
  if (r != SMTPF_OK || !rest->n)
    return r;
  if (rest->p[0] != '.' || rest->n == 1)
    return SMTPF_EPARSE;
  rest->p++;
  rest->n--;
  return SMTPF_OK;
}

/* Walks to the section a path ends in; *last is the name there, empty when the path ends with an element. With
 * `make` missing elements are made. */
static int walk(const smtpf_tree *t, smtpf_str path, int make, struct smtpf_section **out, struct step *last,
                smtpf_str file, int line)
{
  struct smtpf_section *s = t->root;
  for (;;) {
    int r = take_step(&path, last);
    if (r != SMTPF_OK)
      return r;
    if (!last->keyed) {
      *out = s;
      return path.n ? SMTPF_EPARSE : SMTPF_OK;
    }
    char room[128];
    smtpf_str name = last->name;
    const smtpf_option *row = list_row(s, &name, room);
    if (!row)
      return SMTPF_ENOTFOUND;
    smtpf_value *list = value_of(s, name);
    struct smtpf_section *e = element(list, last->key);
    if (!e && !make)
      return SMTPF_ENOTFOUND;
    if (!list)
      list = new_value(s, name, row);
    if (list && !e) {
      e = add_element(s, list, last->key);
      if (!e)
        return SMTPF_ENOMEM;
      e->file = list->file = file;
      e->line = list->line = line;
    }
    if (!e)
      return SMTPF_ENOMEM;
    s = e;
    if (!path.n) {
      last->name.n = 0;
      *out = s;
      return SMTPF_OK;
    }
  }
}

static int fail(smtpf_error *err, int code, smtpf_str file, int line, smtpf_str path, smtpf_str value,
                const smtpf_option *row)
{
  char room[256];
  if (!row)
    return SMTPF_ERROR(err, code, file.p, line, SMTPF_LIT("no such option: "), path);
  return SMTPF_ERROR(err, code, file.p, line, path, SMTPF_LIT(": "), value, SMTPF_LIT(": expected "),
                     smtpf_option_expected(row, room, sizeof room));
}

static int store(smtpf_tree *t, smtpf_value *v, smtpf_str value, int64_t number, int append)
{
  v->number = number;
  if (!append)
    v->n = 0;
  return append_text(&t->arena, v, value);
}

int smtpf_tree_set(smtpf_tree *t, smtpf_str path, smtpf_str value, int append, smtpf_str file, int line,
                   smtpf_error *err)
{
  struct smtpf_section *s;
  struct step last;
  smtpf_str where;
  if (smtpf_arena_copy(&t->arena, file, &where) != SMTPF_OK)
    return SMTPF_ENOMEM;
  int r = walk(t, path, 1, &s, &last, where, line);
  if (r == SMTPF_ENOMEM)
    return r;
  if (r != SMTPF_OK)
    return fail(err, r, where, line, path, value, NULL);
  if (!last.name.n)
    return SMTPF_OK; /* the element itself: it is there now */
  const smtpf_option *row = row_of(s, last.name);
  if (!row)
    return fail(err, SMTPF_ENOTFOUND, where, line, path, value, NULL);
  int64_t number = 0;
  r = row->type == SMTPF_OPTION_LIST || (append && row->type != SMTPF_OPTION_STRINGS)
          ? SMTPF_EPARSE
          : smtpf_option_parse(row, value, &number);
  smtpf_value *v = value_of(s, last.name);
  if (r == SMTPF_OK && row->type == SMTPF_OPTION_STRINGS && append && v && v->n >= (size_t)row->max)
    r = SMTPF_EINVAL;
  if (r != SMTPF_OK)
    return fail(err, r, where, line, path, value, row);
  if (!v)
    v = new_value(s, last.name, row);
  if (!v)
    return SMTPF_ENOMEM;
  v->file = where;
  v->line = line;
  return store(t, v, value, number, append);
}

const smtpf_option *smtpf_tree_list(const smtpf_tree *t, smtpf_str path)
{
  struct smtpf_section *s;
  struct step last;
  char room[128];
  if (walk(t, path, 0, &s, &last, (smtpf_str){NULL, 0}, 0) != SMTPF_OK || !last.name.n)
    return NULL;
  return list_row(s, &last.name, room);
}

const smtpf_value *smtpf_tree_find(const smtpf_tree *t, smtpf_str path, const smtpf_option **row)
{
  struct smtpf_section *s;
  struct step last;
  if (row)
    *row = NULL;
  if (walk(t, path, 0, &s, &last, (smtpf_str){NULL, 0}, 0) != SMTPF_OK || !last.name.n)
    return NULL;
  if (row)
    *row = row_of(s, last.name);
  return value_of(s, last.name);
}

/* ---- copying --------------------------------------------------------------------------------------- */

static int copy_section(struct smtpf_section *to, const struct smtpf_section *from, int depth)
{
  if (depth > 8)
    return SMTPF_ELIMIT;
  for (size_t i = 0; i < from->n; i++) {
    const smtpf_value *old = from->v[i];
    smtpf_value *v = new_value(to, old->name, old->row);
    if (!v || smtpf_arena_copy(&to->tree->arena, old->file, &v->file) != SMTPF_OK)
      return SMTPF_ENOMEM;
    v->number = old->number;
    v->line = old->line;
    for (size_t k = 0; k < old->n; k++) {
      struct smtpf_section *e = old->sections ? add_element(to, v, old->sections[k]->key) : NULL;
      if (e)
        e->line = old->sections[k]->line;
      if (e && smtpf_arena_copy(&to->tree->arena, old->sections[k]->file, &e->file) != SMTPF_OK)
        return SMTPF_ENOMEM;
      int r = e               ? copy_section(e, old->sections[k], depth + 1)
              : old->sections ? SMTPF_ENOMEM
                              : append_text(&to->tree->arena, v, old->texts[k]);
      if (r != SMTPF_OK)
        return r;
    }
  }
  return SMTPF_OK;
}

int smtpf_tree_copy(smtpf_tree *to, const smtpf_tree *from)
{
  return copy_section(to->root, from->root, 0);
}

/* ---- reading (ext/check.h) ------------------------------------------------------------------------- */

int smtpf_section_has(const smtpf_section *s, const char *name)
{
  return value_of(s, smtpf_str_of(name)) != NULL;
}

int64_t smtpf_section_number(const smtpf_section *s, const char *name)
{
  const smtpf_value *v = value_of(s, smtpf_str_of(name));
  const smtpf_option *row = v ? v->row : row_of(s, smtpf_str_of(name));
  int64_t number = 0;
  if (v)
    return v->number;
  if (row && row->deflt)
    (void)smtpf_option_parse(row, smtpf_str_of(row->deflt), &number);
  return number;
}

smtpf_str smtpf_section_string(const smtpf_section *s, const char *name)
{
  const smtpf_str n = smtpf_str_of(name);
  const smtpf_value *v = value_of(s, n);
  if (v && v->texts && v->n)
    return v->texts[0];
  const smtpf_option *row = row_of(s, n);
  if (row)
    return row->deflt ? smtpf_str_of(row->deflt) : SMTPF_LIT("");
  /* The key member has no row of its own. */
  smtpf_str tail = s->prefix;
  while (tail.n && s->prefix.p[tail.n - 1] != '[')
    tail.n--;
  smtpf_str key = {s->prefix.p + tail.n, s->prefix.n ? s->prefix.n - tail.n - 1 : 0};
  return s->prefix.n && smtpf_str_equal(key, n) ? s->key : SMTPF_LIT("");
}

size_t smtpf_section_count(const smtpf_section *s, const char *name)
{
  const smtpf_value *v = value_of(s, smtpf_str_of(name));
  return v ? v->n : 0;
}

smtpf_str smtpf_section_string_at(const smtpf_section *s, const char *name, size_t i)
{
  const smtpf_value *v = value_of(s, smtpf_str_of(name));
  return v && v->texts && i < v->n ? v->texts[i] : SMTPF_LIT("");
}

const smtpf_section *smtpf_section_at(const smtpf_section *s, const char *name, size_t i)
{
  const smtpf_value *v = value_of(s, smtpf_str_of(name));
  return v && v->sections && i < v->n ? v->sections[i] : NULL;
}

/* `dnslists["zen.example"].codes["127.0.0.2"].` */
static void write_path(smtpf_out *o, const smtpf_section *s)
{
  if (!s->parent)
    return;
  write_path(o, s->parent);
  smtpf_out_str(o, s->list);
  smtpf_out_cstr(o, "[\"");
  smtpf_out_escaped(o, s->key);
  smtpf_out_cstr(o, "\"].");
}

int smtpf_section_fail(const smtpf_section *s, const char *name, smtpf_error *err, int code, const char *what,
                       smtpf_str value, const char *expected)
{
  char room[256];
  smtpf_out path;
  const smtpf_value *v = value_of(s, smtpf_str_of(name));
  smtpf_out_init(&path, room, sizeof room);
  write_path(&path, s);
  smtpf_out_cstr(&path, name);
  return SMTPF_ERROR(err, code, v ? v->file.p : s->file.p, v ? v->line : s->line, smtpf_out_done(&path),
                     SMTPF_LIT(": "), smtpf_str_of(what), value.n ? SMTPF_LIT(": ") : SMTPF_LIT(""), value,
                     expected ? SMTPF_LIT(": expected ") : SMTPF_LIT(""), smtpf_str_of(expected));
}

const smtpf_mem *smtpf_section_mem(const smtpf_section *s)
{
  return s->tree->arena.mem;
}
