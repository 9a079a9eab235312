/* SPDX-License-Identifier: MIT
 *
 * smtpf_config_load(): a policy file in libconfig's syntax, each value handed to the core as text, with its place.
 *
 *   a = 1;                     option `a`
 *   g = { a = 1; };            option `g.a`
 *   a = [ "x", "y" ];          option `a`: set to x, then y appended; ( ) with scalars and one scalar alone do the same
 *   l = ( { key = "k"; a = 1; } );   option l["k"].a; the key member is required and comes once in a list
 *
 * Which names are lists of groups, and what an option accepts, only the core knows. Numbers travel as decimal text:
 * 0x1f is `31`, 010 is `10`, 10.0 is `10`; a float has at most three decimals, which is what scores have.
 */
#define _GNU_SOURCE
#include <libconfig.h>
#include <locale.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/config.h"
#include "policy_source.h"
#include "port.h"

enum {
  PATH_ROOM = 1024, /* of an option path, which also bounds how deep groups nest */
  NUMBER_ROOM = 32,
};

typedef struct walker {
  smtpf_config *cfg;
  const smtpf_policy_source *source;
  smtpf_error *err;
  smtpf_out path; /* room holds PATH_ROOM bytes and a NUL */
  char room[PATH_ROOM + 1];
} walker;

static int walk_members(walker *w, config_setting_t *group, const config_setting_t *but);

/* ---- paths and errors ------------------------------------------------------------------------------- */

static const char *path_text(walker *w)
{
  w->room[w->path.n] = '\0';
  return w->room;
}

static void cut_path(walker *w, size_t n)
{
  w->path.n = n;
  w->path.full = 0;
}

static smtpf_policy_source_piece place(const walker *w, const config_setting_t *s)
{
  return smtpf_policy_source_place(w->source, (int)config_setting_source_line(s));
}

static int fail(walker *w, const config_setting_t *at, int code, const char *what, smtpf_str detail)
{
  const smtpf_policy_source_piece p = place(w, at);
  return SMTPF_ERROR(w->err, code, p.file, p.line, smtpf_str_of(path_text(w)), SMTPF_LIT(": "), smtpf_str_of(what),
                     detail);
}

static int set(walker *w, const config_setting_t *at, smtpf_str value, int append)
{
  const smtpf_policy_source_piece p = place(w, at);
  return smtpf_config_set_at(w->cfg, path_text(w), value.p, append, p.file, p.line, w->err);
}

static int push_name(walker *w, const config_setting_t *member)
{
  if (w->path.n)
    smtpf_out_char(&w->path, '.');
  smtpf_out_cstr(&w->path, config_setting_name(member));
  return w->path.full ? fail(w, member, SMTPF_ENOTFOUND, "no such option: the name is too long", SMTPF_LIT(""))
                      : SMTPF_OK;
}

static int push_key(walker *w, const config_setting_t *at, smtpf_str key)
{
  smtpf_out_cstr(&w->path, "[\"");
  for (size_t i = 0; i < key.n; i++) {
    if (key.p[i] == '"' || key.p[i] == '\\')
      smtpf_out_char(&w->path, '\\');
    smtpf_out_char(&w->path, key.p[i]);
  }
  smtpf_out_cstr(&w->path, "\"]");
  return w->path.full ? fail(w, at, SMTPF_EINVAL, "the key is too long", SMTPF_LIT("")) : SMTPF_OK;
}

/* ---- scalars ---------------------------------------------------------------------------------------- */

/* Thousandths, without the locale and the rounding of printf(3). 0 when it has more decimals, or no end. */
static int float_text(double v, smtpf_out *o)
{
  if (!(v > -1e12 && v < 1e12))
    return 0;
  const int64_t milli = (int64_t)(v * 1000 + (v < 0 ? -0.5 : 0.5));
  const double off = v * 1000 - (double)milli, slack = 1e-9 + (v < 0 ? -v : v) * 1e-12;
  if (off > slack || off < -slack)
    return 0;
  smtpf_out_milli(o, milli);
  return 1;
}

/* The value as NUL-terminated text, in `room` or in the setting itself. */
static int scalar_text(walker *w, config_setting_t *s, char room[NUMBER_ROOM], smtpf_str *out)
{
  smtpf_out o;
  smtpf_out_init(&o, room, NUMBER_ROOM - 1);
  switch (config_setting_type(s)) {
  case CONFIG_TYPE_STRING: *out = smtpf_str_of(config_setting_get_string(s)); return SMTPF_OK;
  case CONFIG_TYPE_BOOL: smtpf_out_cstr(&o, config_setting_get_bool(s) ? "true" : "false"); break;
  case CONFIG_TYPE_INT: smtpf_out_int(&o, config_setting_get_int(s)); break;
  case CONFIG_TYPE_INT64: smtpf_out_int(&o, config_setting_get_int64(s)); break;
  case CONFIG_TYPE_FLOAT:
    if (float_text(config_setting_get_float(s), &o))
      break;
    return fail(w, s, SMTPF_EPARSE, "expected a number with at most three decimals", SMTPF_LIT(""));
  default: return fail(w, s, SMTPF_EPARSE, "expected one value", SMTPF_LIT(""));
  }
  room[o.n] = '\0';
  *out = smtpf_out_done(&o);
  return SMTPF_OK;
}

static int set_scalar(walker *w, config_setting_t *s, int append)
{
  char room[NUMBER_ROOM];
  smtpf_str value;
  int code = scalar_text(w, s, room, &value);
  return code == SMTPF_OK ? set(w, s, value, append) : code;
}

/* The first value replaces what was there, by default or from an earlier file. There is no way to say `nothing`. */
static int set_scalars(walker *w, config_setting_t *array, const smtpf_option *row, const smtpf_value *old)
{
  int n = config_setting_length(array), code = SMTPF_OK;
  if (!row)
    return fail(w, array, SMTPF_ENOTFOUND, "no such option", SMTPF_LIT(""));
  if (n == 0 && row->type != SMTPF_OPTION_LIST && (row->type != SMTPF_OPTION_STRINGS || row->deflt || (old && old->n)))
    return fail(w, array, SMTPF_EINVAL, "expected at least one value: an empty list does not undo what was set before",
                SMTPF_LIT(""));
  for (int i = 0; i < n && code == SMTPF_OK; i++)
    code = set_scalar(w, config_setting_get_elem(array, (unsigned)i), i > 0);
  return code;
}

/* ---- lists of groups -------------------------------------------------------------------------------- */

/* An element found before under the same key, or this one, noted. */
static int note_key(walker *w, config_setting_t *element, smtpf_str key, smtpf_map *seen)
{
  const config_setting_t *first = smtpf_map_get(seen, key);
  if (!first)
    return smtpf_map_set(seen, key, element) == SMTPF_OK
               ? SMTPF_OK
               : fail(w, element, SMTPF_ENOMEM, smtpf_strerror(SMTPF_ENOMEM), SMTPF_LIT(""));
  char room[300];
  smtpf_out o;
  const smtpf_policy_source_piece p = place(w, first);
  smtpf_out_init(&o, room, sizeof room);
  smtpf_out_cstr(&o, p.file);
  smtpf_out_char(&o, ':');
  smtpf_out_int(&o, p.line);
  return fail(w, element, SMTPF_EINVAL, "is there twice, first at ", smtpf_out_done(&o));
}

/* One element: its key goes into the path, and lives in `keys` as long as `seen` does. */
static int walk_element(walker *w, config_setting_t *element, smtpf_str key_name, smtpf_map *seen, smtpf_arena *keys)
{
  config_setting_t *key = NULL;
  char name[128], room[NUMBER_ROOM];
  smtpf_out o;
  smtpf_str value;
  smtpf_out_init(&o, name, sizeof name - 1);
  smtpf_out_str(&o, key_name);
  name[o.n] = '\0';
  if (config_setting_is_group(element))
    key = config_setting_get_member(element, name);
  if (!key)
    return fail(w, element, SMTPF_EPARSE, "expected a group with a member ", key_name);
  int code = scalar_text(w, key, room, &value);
  if (code == SMTPF_OK && value.n == 0)
    code = fail(w, key, SMTPF_EINVAL, "expected a text that is not empty: ", key_name);
  if (code == SMTPF_OK && smtpf_arena_copy(keys, value, &value) != SMTPF_OK)
    code = fail(w, key, SMTPF_ENOMEM, smtpf_strerror(SMTPF_ENOMEM), SMTPF_LIT(""));
  if (code == SMTPF_OK)
    code = push_key(w, key, value);
  if (code == SMTPF_OK)
    code = note_key(w, element, value, seen);
  if (code == SMTPF_OK)
    code = set(w, key, SMTPF_LIT(""), 0); /* makes it, should nothing else be in it */
  return code == SMTPF_OK ? walk_members(w, element, key) : code;
}

static int walk_list(walker *w, config_setting_t *list, smtpf_str key_name)
{
  static const uint64_t seed[2] = {0x706f6c69u, 0x6379u}; /* our own text: no peer chooses keys */
  const smtpf_mem *mem = &w->cfg->mem;
  const size_t n = w->path.n;
  smtpf_map seen;
  smtpf_arena keys;
  int code = SMTPF_OK;
  smtpf_map_init(&seen, mem, seed);
  smtpf_arena_init(&keys, mem, 4096, SMTPF_SOURCE_MAX);
  for (int i = 0; code == SMTPF_OK && i < config_setting_length(list); i++) {
    code = walk_element(w, config_setting_get_elem(list, (unsigned)i), key_name, &seen, &keys);
    cut_path(w, n);
  }
  smtpf_map_free(&seen);
  smtpf_arena_clear(&keys);
  return code;
}

/* ---- groups ----------------------------------------------------------------------------------------- */

typedef struct prefix {
  smtpf_str path;
  int found;
} prefix;

static void look_for_prefix(void *user, const smtpf_option_info *row)
{
  prefix *p = user;
  const size_t n = p->path.n;
  p->found |= smtpf_str_starts(smtpf_str_of(row->path), p->path) && row->path[n] == '.';
}

/* A group without members sets nothing; that it is misspelt must be found all the same. */
static int check_empty(walker *w, config_setting_t *group)
{
  prefix p = {smtpf_str_of(path_text(w)), 0};
  smtpf_config_each_option(w->cfg, look_for_prefix, &p);
  return p.found ? SMTPF_OK : fail(w, group, SMTPF_ENOTFOUND, "no such option", SMTPF_LIT(""));
}

/* A group may have the name of a list's element (`recipient`, `recipients`): the row decides, by the whole name. */
static int walk_member(walker *w, config_setting_t *s)
{
  const smtpf_option *row;
  const smtpf_value *old = smtpf_tree_find(&w->cfg->tree, smtpf_str_of(path_text(w)), &row);
  const int list = row && row->type == SMTPF_OPTION_LIST;
  switch (config_setting_type(s)) {
  case CONFIG_TYPE_LIST: return list ? walk_list(w, s, smtpf_option_key(row)) : set_scalars(w, s, row, old);
  case CONFIG_TYPE_ARRAY: return set_scalars(w, s, row, old);
  case CONFIG_TYPE_GROUP:
    if (list)
      return fail(w, s, SMTPF_EPARSE, "expected a list of groups: ( { ... }, { ... } )", SMTPF_LIT(""));
    return config_setting_length(s) ? walk_members(w, s, NULL) : check_empty(w, s);
  default: return set_scalar(w, s, 0);
  }
}

/* Every member of a group `but` one. */
static int walk_members(walker *w, config_setting_t *group, const config_setting_t *but)
{
  const size_t n = w->path.n;
  int code = SMTPF_OK;
  for (int i = 0; code == SMTPF_OK && i < config_setting_length(group); i++) {
    config_setting_t *member = config_setting_get_elem(group, (unsigned)i);
    if (member == but)
      continue;
    code = push_name(w, member);
    if (code == SMTPF_OK)
      code = walk_member(w, member);
    cut_path(w, n);
  }
  return code;
}

/* ---- the whole -------------------------------------------------------------------------------------- */

/* libconfig reads floats by the thread's locale, some versions change it and leave it changed: it is ours meanwhile. */
static int parse(config_t *tree, const char *text)
{
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (c == (locale_t)0)
    return SMTPF_ENOMEM;
  locale_t before = uselocale(c);
  int code = config_read_string(tree, text) == CONFIG_TRUE ? SMTPF_OK : SMTPF_EPARSE;
  uselocale(before);
  freelocale(c);
  return code;
}

static int load(smtpf_config *cfg, const smtpf_policy_source *source, smtpf_error *err)
{
  walker w = {.cfg = cfg, .source = source, .err = err};
  config_t tree;
  smtpf_out_init(&w.path, w.room, PATH_ROOM);
  config_init(&tree);
  int code = parse(&tree, source->text);
  if (code == SMTPF_OK) {
    code = walk_members(&w, config_root_setting(&tree), NULL);
  } else if (code == SMTPF_EPARSE) {
    const smtpf_policy_source_piece p = smtpf_policy_source_place(source, config_error_line(&tree));
    SMTPF_ERROR(err, code, p.file, p.line, smtpf_str_of(config_error_text(&tree)));
  } else {
    SMTPF_ERROR(err, code, NULL, 0, smtpf_str_of(smtpf_strerror(code)));
  }
  config_destroy(&tree);
  return code;
}

int smtpf_config_load(smtpf_config *cfg, const char *path, smtpf_error *err)
{
  smtpf_policy_source source;
  int code = smtpf_policy_source_read(&source, &cfg->mem, path, err);
  if (code == SMTPF_OK)
    code = load(cfg, &source, err);
  smtpf_policy_source_free(&source);
  return code;
}
