/* SPDX-License-Identifier: MIT */
#include "option.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define ROW(path, type, deflt, min, max, words, doc) {path, SMTPF_OPTION_##type, deflt, min, max, words, doc},
const smtpf_option smtpf_core_options[] = {
#include "options.def"
};
#undef ROW
const size_t smtpf_core_options_count = sizeof smtpf_core_options / sizeof *smtpf_core_options;

void smtpf_options_init(smtpf_options *o, const smtpf_mem *mem)
{
  /* Paths come from the programmer, not from a peer: a fixed seed will do. */
  *o = (smtpf_options){.mem = mem};
  smtpf_map_init(&o->by_path, mem, (const uint64_t[2]){1, 2});
}

void smtpf_options_free(smtpf_options *o)
{
  smtpf_map_free(&o->by_path);
  smtpf_mem_free(o->mem, o->v);
  o->v = NULL;
  o->n = o->cap = 0;
}

static smtpf_str pattern_of(const smtpf_option *row)
{
  smtpf_str p = smtpf_str_of(row->path);
  if (row->type == SMTPF_OPTION_LIST)
    while (p.n && p.p[--p.n] != '[')
      ;
  return p;
}

smtpf_str smtpf_option_key(const smtpf_option *row)
{
  smtpf_str p = smtpf_str_of(row->path), head = pattern_of(row);
  return p.n > head.n + 2 ? (smtpf_str){p.p + head.n + 1, p.n - head.n - 2} : (smtpf_str){NULL, 0};
}

const smtpf_option *smtpf_options_find(const smtpf_options *o, smtpf_str pattern)
{
  const void *row = smtpf_map_get(&o->by_path, pattern);
  return row;
}

static int sound(const smtpf_option *row)
{
  int64_t number;
  if (!row->path || !*row->path || row->type < SMTPF_OPTION_BOOL || row->type > SMTPF_OPTION_LIST || !row->doc)
    return 0;
  if (row->type == SMTPF_OPTION_LIST)
    return smtpf_option_key(row).n > 0;
  if (row->type == SMTPF_OPTION_CHOICE && !row->words)
    return 0;
  return !row->deflt || row->type == SMTPF_OPTION_STRINGS ||
         smtpf_option_parse(row, smtpf_str_of(row->deflt), &number) == SMTPF_OK;
}

static int add_one(smtpf_options *o, const smtpf_option *row)
{
  if (!sound(row) || smtpf_options_find(o, pattern_of(row)))
    return SMTPF_EINVAL;
  void *v = o->v;
  int r = smtpf_mem_grow(o->mem, &v, &o->cap, o->n + 1, sizeof *o->v);
  if (r != SMTPF_OK)
    return r;
  o->v = v;
  r = smtpf_map_set(&o->by_path, pattern_of(row), (void *)(uintptr_t)row);
  if (r == SMTPF_OK)
    o->v[o->n++] = row;
  return r;
}

int smtpf_options_add(smtpf_options *o, const smtpf_option *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    int r = add_one(o, &rows[i]);
    if (r != SMTPF_OK) {
      smtpf_options_remove(o, rows, i);
      return r;
    }
  }
  return SMTPF_OK;
}

void smtpf_options_remove(smtpf_options *o, const smtpf_option *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    smtpf_map_remove(&o->by_path, pattern_of(&rows[i]));
    for (size_t k = 0; k < o->n; k++)
      if (o->v[k] == &rows[i]) {
        memmove(o->v + k, o->v + k + 1, (o->n - k - 1) * sizeof *o->v);
        o->n--;
      }
  }
}

int smtpf_options_replace(smtpf_options *o, const smtpf_option *old, size_t n_old, const smtpf_option *rows, size_t n)
{
  smtpf_options_remove(o, old, n_old);
  const int r = smtpf_options_add(o, rows, n);
  if (r != SMTPF_OK)
    (void)smtpf_options_add(o, old, n_old); /* fits again: the table has not shrunk */
  return r;
}

/* ---- values --------------------------------------------------------------------------------------- */

static int parse_bool(smtpf_str s, int64_t *out)
{
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (smtpf_str_equal_nocase(s, smtpf_str_of(words[i]))) {
      *out = (int64_t)(i & 1);
      return SMTPF_OK;
    }
  return SMTPF_EPARSE;
}

static int parse_choice(const char *words, smtpf_str s, int64_t *out)
{
  smtpf_str rest = smtpf_str_of(words);
  for (int64_t i = 0; rest.p; i++)
    if (smtpf_str_equal_nocase(smtpf_str_cut(&rest, '|'), s)) {
      *out = i;
      return SMTPF_OK;
    }
  return SMTPF_EPARSE;
}

struct unit {
  const char *suffix;
  int64_t factor;
};

/* Digits, then one of the units; the unit list ends with an empty suffix. */
static int parse_units(smtpf_str s, const struct unit *units, size_t n, int64_t *out)
{
  size_t digits = 0;
  uint64_t v;
  while (digits < s.n && smtpf_is_digit(s.p[digits]))
    digits++;
  smtpf_str suffix = {s.p + digits, s.n - digits};
  if (smtpf_str_uint((smtpf_str){s.p, digits}, INT64_MAX, &v) != SMTPF_OK)
    return SMTPF_EPARSE;
  for (size_t i = 0; i < n; i++)
    if (smtpf_str_equal_nocase(suffix, smtpf_str_of(units[i].suffix))) {
      if ((int64_t)v > INT64_MAX / units[i].factor)
        return SMTPF_EINVAL;
      *out = (int64_t)v * units[i].factor;
      return SMTPF_OK;
    }
  return SMTPF_EPARSE;
}

static int parse_time(smtpf_str s, int64_t *out)
{
  static const struct unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  if (smtpf_str_equal(s, SMTPF_LIT("0"))) {
    *out = 0;
    return SMTPF_OK;
  }
  return parse_units(s, units, sizeof units / sizeof *units, out);
}

static int parse_size(smtpf_str s, int64_t *out)
{
  static const struct unit units[] = {{"", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}};
  return parse_units(s, units, sizeof units / sizeof *units, out);
}

static int parse_int(smtpf_str s, int64_t *out)
{
  const int minus = s.n && s.p[0] == '-';
  uint64_t v;
  if (smtpf_str_uint((smtpf_str){s.p + minus, s.n - (size_t)minus}, INT64_MAX, &v) != SMTPF_OK)
    return SMTPF_EPARSE;
  *out = minus ? -(int64_t)v : (int64_t)v;
  return SMTPF_OK;
}

/* `-2.5` -> -2500; at most three decimals that are not zero. */
static int parse_score(smtpf_str s, int64_t *out)
{
  if (smtpf_str_equal_nocase(s, SMTPF_LIT("off"))) {
    *out = SMTPF_SCORE_OFF;
    return SMTPF_OK;
  }
  const int minus = s.n && s.p[0] == '-';
  smtpf_str rest = {s.p + minus, s.n - (size_t)minus}, whole = smtpf_str_cut(&rest, '.');
  const int fraction = whole.n < s.n - (size_t)minus;
  uint64_t v, milli = 0;
  if (smtpf_str_uint(whole, 1000000, &v) != SMTPF_OK || (fraction && rest.n == 0))
    return SMTPF_EPARSE;
  for (uint64_t unit = 100; rest.n; rest.p++, rest.n--, unit /= 10) {
    if (!smtpf_is_digit(rest.p[0]) || (unit == 0 && rest.p[0] != '0'))
      return SMTPF_EPARSE;
    milli += (uint64_t)(rest.p[0] - '0') * unit;
  }
  *out = (int64_t)(v * 1000 + milli) * (minus ? -1 : 1);
  return SMTPF_OK;
}

int smtpf_option_parse(const smtpf_option *row, smtpf_str text, int64_t *number)
{
  int r = SMTPF_OK;
  int64_t v = 0;
  for (size_t i = 0; i < text.n; i++)
    if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
      return SMTPF_EPARSE;
  switch (row->type) {
  case SMTPF_OPTION_BOOL: r = parse_bool(text, &v); break;
  case SMTPF_OPTION_INT: r = parse_int(text, &v); break;
  case SMTPF_OPTION_TIME: r = parse_time(text, &v); break;
  case SMTPF_OPTION_SIZE: r = parse_size(text, &v); break;
  case SMTPF_OPTION_SCORE: r = parse_score(text, &v); break;
  case SMTPF_OPTION_CHOICE: r = parse_choice(row->words, text, &v); break;
  default: return SMTPF_OK;
  }
  if (r != SMTPF_OK)
    return r;
  if (row->type != SMTPF_OPTION_CHOICE && row->type != SMTPF_OPTION_BOOL && (v < row->min || v > row->max))
    return SMTPF_EINVAL;
  *number = v;
  return SMTPF_OK;
}

const char *smtpf_option_type_name(const smtpf_option *row)
{
  static const char *const names[] = {"", "bool", "int", "time", "size", "score", "string", "strings", "", "list"};
  return row->type == SMTPF_OPTION_CHOICE ? row->words : names[row->type];
}

smtpf_str smtpf_option_expected(const smtpf_option *row, char *room, size_t cap)
{
  static const char *const what[] = {"",
                                     "true or false",
                                     "a whole number",
                                     "a time such as 250ms, 3s, 5m, 24h, 36d",
                                     "a size such as 4096, 64k, 10m",
                                     "a score such as 10 or 2.5",
                                     "text",
                                     "a list of texts",
                                     "one of ",
                                     "a list of groups"};
  smtpf_out o;
  smtpf_out_init(&o, room, cap);
  smtpf_out_cstr(&o, what[row->type]);
  if (row->type == SMTPF_OPTION_CHOICE) {
    smtpf_out_cstr(&o, row->words);
  } else if (row->type >= SMTPF_OPTION_INT && row->type <= SMTPF_OPTION_SCORE) {
    const int score = row->type == SMTPF_OPTION_SCORE;
    smtpf_out_cstr(&o, ", from ");
    (score ? smtpf_out_milli : smtpf_out_int)(&o, row->min);
    smtpf_out_cstr(&o, " to ");
    if (score && row->max == SMTPF_SCORE_OFF)
      smtpf_out_cstr(&o, "1000000, or off");
    else
      (score ? smtpf_out_milli : smtpf_out_int)(&o, row->max);
    smtpf_out_cstr(&o, row->type == SMTPF_OPTION_TIME ? " ms" : row->type == SMTPF_OPTION_SIZE ? " bytes" : "");
  }
  return smtpf_out_done(&o);
}
