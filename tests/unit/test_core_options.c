/* SPDX-License-Identifier: MIT
 *
 * Options: the table itself drives the test of its bounds; then paths, errors, and what a frozen copy is.
 */
#include <stdio.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

static int parse(const smtpf_option *row, const char *text, int64_t *out)
{
  return smtpf_option_parse(row, smtpf_str_of(text), out);
}

/* A number as the text of its type. */
static void write_number(const smtpf_option *row, int64_t v, char *room, size_t cap)
{
  if (row->type == SMTPF_OPTION_TIME)
    snprintf(room, cap, "%lldms", (long long)v);
  else if (row->type == SMTPF_OPTION_SCORE && v == SMTPF_SCORE_OFF)
    snprintf(room, cap, "off");
  else if (row->type == SMTPF_OPTION_SCORE)
    snprintf(room, cap, "%s%lld.%03lld", v < 0 ? "-" : "", (long long)(v < 0 ? -v : v) / 1000,
             (long long)(v < 0 ? -v : v) % 1000);
  else
    snprintf(room, cap, "%lld", (long long)v);
}

static int is_number(const smtpf_option *row)
{
  return row->type >= SMTPF_OPTION_INT && row->type <= SMTPF_OPTION_SCORE;
}

static void bounds(const smtpf_option *row)
{
  char room[64];
  int64_t v = -1;
  ck_assert_int_le(row->min, row->max);
  write_number(row, row->min, room, sizeof room);
  ck_assert_msg(parse(row, room, &v) == SMTPF_OK && v == row->min, "%s: least", row->path);
  write_number(row, row->max, room, sizeof room);
  ck_assert_msg(parse(row, room, &v) == SMTPF_OK && v == row->max, "%s: greatest", row->path);
  v = 42;
  write_number(row, row->min - 1, room, sizeof room);
  ck_assert_msg(parse(row, room, &v) < 0 && v == 42, "%s: below", row->path);
  if (row->max != SMTPF_SCORE_OFF || row->type != SMTPF_OPTION_SCORE) {
    write_number(row, row->max + 1, room, sizeof room);
    ck_assert_msg(parse(row, room, &v) == SMTPF_EINVAL && v == 42, "%s: above", row->path);
  }
  static const char *const wrong[] = {
      "",  "x", "1x",   "--1", "1 ",  " 1", "true", "0x10", "1e3", "99999999999999999999", "9223372036854775808",
      "-", ".", "1..2", "1,5", "\t1", "ms", "k",    "+1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    ck_assert_msg(parse(row, wrong[i], &v) < 0 && v == 42, "%s takes `%s`", row->path, wrong[i]);
}

START_TEST(the_table_keeps_its_own_bounds)
{
  size_t numbers = 0;
  for (size_t i = 0; i < smtpf_core_options_count; i++) {
    const smtpf_option *row = &smtpf_core_options[i];
    int64_t v = -1;
    ck_assert_msg(row->doc && strlen(row->doc) > 20 && row->doc[strlen(row->doc) - 1] == '.', "%s: doc", row->path);
    ck_assert_str_ne(smtpf_option_type_name(row), "");
    if (row->deflt && row->type != SMTPF_OPTION_STRINGS)
      ck_assert_msg(parse(row, row->deflt, &v) == SMTPF_OK, "%s: default", row->path);
    if (is_number(row)) {
      /* A recipient's wish has none: the profile's holds. */
      ck_assert_msg(!row->deflt == !strncmp(row->path, "recipients[", 11) || strstr(row->path, "percent"),
                    "%s: default", row->path);
      ck_assert_msg(!row->deflt || (v >= row->min && v <= row->max), "%s: default", row->path);
      bounds(row);
      numbers++;
    }
    if (row->type == SMTPF_OPTION_CHOICE || row->type == SMTPF_OPTION_BOOL) {
      ck_assert_int_eq(parse(row, "perhaps", &v), SMTPF_EPARSE);
      ck_assert_int_eq(parse(row, "", &v), SMTPF_EPARSE);
    }
    if (row->type == SMTPF_OPTION_STRING) {
      ck_assert_int_eq(parse(row, "any text", &v), SMTPF_OK);
      ck_assert_int_eq(parse(row, "two\nlines", &v), SMTPF_EPARSE);
      ck_assert_int_eq(parse(row, "\x7f", &v), SMTPF_EPARSE);
    }
    char room[300];
    ck_assert_uint_gt(smtpf_option_expected(row, room, sizeof room).n, 0);
  }
  ck_assert_uint_gt(numbers, 15);
}
END_TEST

START_TEST(values_as_people_write_them)
{
  static const struct {
    int type;
    const char *text;
    int64_t value;
  } rows[] = {
      {SMTPF_OPTION_BOOL, "TRUE", 1},         {SMTPF_OPTION_BOOL, "no", 0},
      {SMTPF_OPTION_BOOL, "on", 1},           {SMTPF_OPTION_TIME, "0", 0},
      {SMTPF_OPTION_TIME, "250ms", 250},      {SMTPF_OPTION_TIME, "3s", 3000},
      {SMTPF_OPTION_TIME, "5m", 300000},      {SMTPF_OPTION_TIME, "24h", 86400000},
      {SMTPF_OPTION_TIME, "36d", 3110400000}, {SMTPF_OPTION_SIZE, "4096", 4096},
      {SMTPF_OPTION_SIZE, "64k", 65536},      {SMTPF_OPTION_SIZE, "10M", 10485760},
      {SMTPF_OPTION_SIZE, "1g", 1073741824},  {SMTPF_OPTION_SCORE, "10", 10000},
      {SMTPF_OPTION_SCORE, "-2.5", -2500},    {SMTPF_OPTION_SCORE, "0.001", 1},
      {SMTPF_OPTION_SCORE, "1.2340", 1234},   {SMTPF_OPTION_SCORE, "OFF", SMTPF_SCORE_OFF},
      {SMTPF_OPTION_INT, "-7", -7},           {SMTPF_OPTION_CHOICE, "Two", 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const smtpf_option row = {"x", rows[i].type, NULL, INT64_MIN, INT64_MAX, "one|two", "doc"};
    int64_t v = -1;
    ck_assert_msg(parse(&row, rows[i].text, &v) == SMTPF_OK && v == rows[i].value, "%s", rows[i].text);
  }
  static const struct {
    int type;
    const char *text;
  } wrong[] = {{SMTPF_OPTION_TIME, "5"},           {SMTPF_OPTION_TIME, "106751991168d"},
               {SMTPF_OPTION_SIZE, "8589934592g"}, {SMTPF_OPTION_SCORE, "1000001"},
               {SMTPF_OPTION_SCORE, "1.2345"},     {SMTPF_OPTION_SCORE, "1."},
               {SMTPF_OPTION_SCORE, ".5"},         {SMTPF_OPTION_SCORE, "-off"},
               {SMTPF_OPTION_CHOICE, "one|two"},   {SMTPF_OPTION_INT, "1.0"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const smtpf_option row = {"x", wrong[i].type, NULL, INT64_MIN, INT64_MAX, "one|two", "doc"};
    int64_t v = -1;
    ck_assert_msg(parse(&row, wrong[i].text, &v) < 0 && v == -1, "%s", wrong[i].text);
  }
}
END_TEST

START_TEST(paths)
{
  static const struct {
    const char *path, *value;
    int append, result;
  } rows[] = {
      {"limits.line", "4096", 0, SMTPF_OK},
      {"limits.line", "1", 0, SMTPF_EINVAL},
      {"limits.line", "many", 0, SMTPF_EPARSE},
      {"limits.line", "4096", 1, SMTPF_EPARSE},
      {"limits.lin", "4096", 0, SMTPF_ENOTFOUND},
      {"limits", "4096", 0, SMTPF_ENOTFOUND},
      {"", "1", 0, SMTPF_EPARSE},
      {"local_domains", "x.example", 1, SMTPF_OK},
      {"profiles", "x", 0, SMTPF_EPARSE},
      {"profiles[\"a\"]", "", 0, SMTPF_OK},
      {"profiles[\"default\"]", "", 0, SMTPF_OK},
      {"recipient[\"a@b.example\"].profile", "a", 0, SMTPF_OK}, /* one of `recipients` */
      {"profile[\"a\"].reject", "1", 0, SMTPF_ENOTFOUND},       /* `profile` is an option itself */
      {"profiles[\"a\"].nothing", "1", 0, SMTPF_ENOTFOUND},
      {"profiles[\"a\"].reject", "x", 0, SMTPF_EPARSE},
      {"profiles[\"a\"]x", "1", 0, SMTPF_EPARSE},
      {"profiles[\"a\"].", "1", 0, SMTPF_EPARSE},
      {"profiles[\"a\"", "1", 0, SMTPF_EPARSE},
      {"profiles[\"a", "1", 0, SMTPF_EPARSE},
      {"profiles[\"a\\", "1", 0, SMTPF_EPARSE},
      {"profiles[a].reject", "1", 0, SMTPF_EPARSE},
      {"profiles[", "1", 0, SMTPF_EPARSE},
      {"[\"a\"]", "1", 0, SMTPF_EPARSE},
      {"profiles[\"q\\\"u\\\\o[te].\"].reject", "3", 0, SMTPF_OK},
      {"limits[\"x\"].line", "1", 0, SMTPF_ENOTFOUND},
      {"profiles[\"a\"].x[\"b\"].y", "1", 0, SMTPF_ENOTFOUND},
  };
  world_init(&W);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_error err = {.size = sizeof err};
    const int r = rows[i].append ? smtpf_config_append(W.cfg, rows[i].path, rows[i].value, &err)
                                 : smtpf_config_set(W.cfg, rows[i].path, rows[i].value, &err);
    ck_assert_msg(r == rows[i].result, "%s: %d, not %d", rows[i].path, r, rows[i].result);
    ck_assert_int_eq(err.code, r);
    ck_assert_int_eq(err.text[0] != '\0', r != SMTPF_OK);
    ck_assert_int_eq(smtpf_config_set(W.cfg, "limits.line", "1", NULL), SMTPF_EINVAL); /* nobody need listen */
  }
  char longest[400];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  ck_assert_int_eq(smtpf_config_set(W.cfg, longest, "1", NULL), SMTPF_ENOTFOUND);
  char key[500];
  snprintf(key, sizeof key, "profiles[\"%s\"].reject", longest);
  ck_assert_int_eq(smtpf_config_set(W.cfg, key, "1", NULL), SMTPF_EPARSE);
  smtpf_str name;
  ck_assert_int_eq(smtpf_config_list_key(W.cfg, "profiles", &name), SMTPF_OK);
  ck_assert(smtpf_str_equal(name, SMTPF_LIT("name")));
  ck_assert_int_eq(smtpf_config_list_key(W.cfg, "limits", &name), SMTPF_ENOTFOUND);
  world_start(&W);
  int64_t n = 0;
  ck_assert_int_eq(smtpf_engine_number(W.engine, "profiles[\"q\\\"u\\\\o[te].\"].reject", &n), SMTPF_OK);
  ck_assert_int_eq(n, 3000);
  world_end(&W);
}
END_TEST

START_TEST(lists_of_texts)
{
  const smtpf_option rows[] = {
      {"mine.few", SMTPF_OPTION_STRINGS, NULL, 0, 2, NULL, "At most two."},
      {"mine.list[key]", SMTPF_OPTION_LIST, NULL, 0, 10, NULL, "Elements."},
      {"mine.list[key].inner[deep]", SMTPF_OPTION_LIST, NULL, 0, 10, NULL, "Elements of elements."},
      {"mine.list[key].inner[deep].n", SMTPF_OPTION_INT, "5", 0, 9, NULL, "A number."},
      {"mine.choice", SMTPF_OPTION_CHOICE, "b", 0, 0, "a|b", "A word."},
  };
  world_init(&W);
  ck_assert_int_eq(smtpf_config_add_options(W.cfg, rows, 5), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_options(W.cfg, rows, 1), SMTPF_EINVAL); /* in use */
  world_append(&W, "mine.few", "one");
  world_append(&W, "mine.few", "two");
  ck_assert_int_eq(smtpf_config_append(W.cfg, "mine.few", "three", NULL), SMTPF_EINVAL);
  world_set(&W, "mine.few", "only");
  world_append(&W, "mine.few", "other");
  world_set(&W, "mine.list[\"k\"].inner[\"d\"].n", "7");
  world_set(&W, "mine.list[\"k\"].inner[\"e\"]", "");
  world_start(&W);
  smtpf_str t;
  int64_t n;
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.few", 1, &t), SMTPF_OK);
  ck_assert_str_eq(t.p, "other");
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.few", 2, &t), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.list", 0, &t), SMTPF_OK);
  ck_assert_str_eq(t.p, "k");
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.list", 1, &t), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.list[\"k\"].inner", 1, &t), SMTPF_OK);
  ck_assert_str_eq(t.p, "e");
  ck_assert_int_eq(smtpf_engine_option(W.engine, "mine.choice", 0, &t), SMTPF_OK);
  ck_assert_str_eq(t.p, "b");
  ck_assert_int_eq(smtpf_engine_number(W.engine, "mine.choice", &n), SMTPF_OK);
  ck_assert_int_eq(n, 1);
  ck_assert_int_eq(smtpf_engine_number(W.engine, "mine.few", &n), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_engine_number(W.engine, "mine.none", &n), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_engine_number(W.engine, "mine.list[\"k\"].inner[\"d\"].n", &n), SMTPF_OK);
  ck_assert_int_eq(n, 7);
  ck_assert_int_eq(smtpf_engine_number(W.engine, "mine.list[\"k\"].inner[\"e\"].n", &n), SMTPF_OK);
  ck_assert_int_eq(n, 5);
  const smtpf_section *root = W.engine->tree.root, *k = smtpf_section_at(root, "mine.list", 0);
  ck_assert_ptr_nonnull(k);
  ck_assert_ptr_null(smtpf_section_at(root, "mine.list", 1));
  ck_assert_uint_eq(smtpf_section_count(k, "inner"), 2);
  ck_assert(smtpf_str_equal(smtpf_section_string(k, "key"), SMTPF_LIT("k")));
  ck_assert(smtpf_str_equal(smtpf_section_string(smtpf_section_at(k, "inner", 1), "deep"), SMTPF_LIT("e")));
  ck_assert_uint_eq(smtpf_section_string(k, "no such").n, 0);
  ck_assert_ptr_eq(smtpf_section_mem(k), &W.engine->mem);
  world_end(&W);
}
END_TEST

START_TEST(rows_that_make_no_sense)
{
  const smtpf_option rows[] = {
      {NULL, SMTPF_OPTION_INT, "1", 0, 2, NULL, "doc"},
      {"", SMTPF_OPTION_INT, "1", 0, 2, NULL, "doc"},
      {"a", 0, "1", 0, 2, NULL, "doc"},
      {"a", 10, "1", 0, 2, NULL, "doc"},
      {"a", SMTPF_OPTION_INT, "3", 0, 2, NULL, "doc"},
      {"a", SMTPF_OPTION_INT, "x", 0, 2, NULL, "doc"},
      {"a", SMTPF_OPTION_CHOICE, "x", 0, 2, NULL, "doc"},
      {"a", SMTPF_OPTION_LIST, NULL, 0, 2, NULL, "doc"},
      {"a[]", SMTPF_OPTION_LIST, NULL, 0, 2, NULL, "doc"},
      {"a", SMTPF_OPTION_INT, "1", 0, 2, NULL, NULL},
      {"limits.line", SMTPF_OPTION_INT, "1", 0, 2, NULL, "d"},
      {"a", SMTPF_OPTION_CHOICE, "z", 0, 2, "x|y", "doc"},
  };
  world_init(&W);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const smtpf_option pair[] = {{"fine", SMTPF_OPTION_BOOL, "no", 0, 1, NULL, "doc"}, rows[i]};
    ck_assert_int_eq(smtpf_config_add_options(W.cfg, pair, 2), SMTPF_EINVAL); /* all or none */
    ck_assert_int_eq(smtpf_config_set(W.cfg, "fine", "yes", NULL), SMTPF_ENOTFOUND);
  }
  world_end(&W);
}
END_TEST

static void count_row(void *user, const smtpf_option_info *row)
{
  int *n = user;
  ck_assert_uint_eq(row->size, sizeof *row);
  ck_assert_ptr_nonnull(row->path);
  ck_assert_ptr_nonnull(row->doc);
  *n += strcmp(row->path, "check.b") == 0 ? 1000 : 1;
}

static int run_nothing(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  return smtpf_task_clear(t, "nothing");
}

START_TEST(a_check_replaced_brings_its_own_rows)
{
  static const smtpf_option a[] = {{"check.a", SMTPF_OPTION_BOOL, "no", 0, 1, NULL, "doc"}};
  static const smtpf_option b[] = {{"check.b", SMTPF_OPTION_BOOL, "no", 0, 1, NULL, "doc"}};
  static const smtpf_option used[] = {{"limits.line", SMTPF_OPTION_BOOL, "no", 0, 1, NULL, "doc"}};
  smtpf_check first = {
      .size = sizeof first, .name = "same", .stages = SMTPF_HELO, .run = run_nothing, .options = a, .n_options = 1};
  smtpf_check second = first, broken = first;
  second.options = b;
  broken.options = used;
  world_init(&W);
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &first), SMTPF_OK);
  world_set(&W, "check.a", "yes");
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &broken), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_config_set(W.cfg, "check.a", "no", NULL), SMTPF_OK); /* the first one is still there */
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &first), SMTPF_OK);          /* the same again */
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &second), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_set(W.cfg, "check.a", "no", NULL), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_config_set(W.cfg, "check.b", "yes", NULL), SMTPF_OK);
  int n = 0;
  smtpf_config_each_option(W.cfg, count_row, &n);
  ck_assert_int_eq(n, 1000 + (int)smtpf_core_options_count);
  smtpf_check bad = first;
  bad.size = 1;
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &bad), SMTPF_EINVAL);
  bad = first;
  bad.run = NULL;
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &bad), SMTPF_EINVAL);
  bad = first;
  bad.options = NULL;
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &bad), SMTPF_EINVAL);
  world_end(&W);
}
END_TEST

TCase *option_cases(void)
{
  TCase *c = tcase_create("option");
  tcase_add_test(c, the_table_keeps_its_own_bounds);
  tcase_add_test(c, values_as_people_write_them);
  tcase_add_test(c, paths);
  tcase_add_test(c, lists_of_texts);
  tcase_add_test(c, rows_that_make_no_sense);
  tcase_add_test(c, a_check_replaced_brings_its_own_rows);
  return c;
}
