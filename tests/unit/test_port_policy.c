/* SPDX-License-Identifier: MIT
 *
 * Policy files: what they set, and what is said of those that are wrong.
 */
#define _GNU_SOURCE
#include <check.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <smtpfilter/engine.h>

#include "base/str.h"
#include "core/config.h"
#include "port_run.h"

static const smtpf_option rows[] = {
    {"t.int", SMTPF_OPTION_INT, "7", INT64_MIN, INT64_MAX, NULL, "An int."},
    {"t.score", SMTPF_OPTION_SCORE, "0", -1000000, 1000000000, NULL, "A score."},
    {"t.size", SMTPF_OPTION_SIZE, "0", 0, INT64_MAX, NULL, "A size."},
    {"t.bool", SMTPF_OPTION_BOOL, "false", 0, 1, NULL, "A bool."},
    {"t.text", SMTPF_OPTION_STRING, "", 0, 0, NULL, "A text."},
    {"t.texts", SMTPF_OPTION_STRINGS, NULL, 0, 4, NULL, "Texts."},
    {"t.full", SMTPF_OPTION_STRINGS, "a", 0, 4, NULL, "Texts with a default."},
    {"thing.max", SMTPF_OPTION_INT, "1", 0, 9, NULL, "A group with the name of one thing."},
    {"things[name]", SMTPF_OPTION_LIST, NULL, 0, 10, NULL, "Things."},
    {"things[name].score", SMTPF_OPTION_SCORE, "0", -1000000, 1000000000, NULL, "A thing's score."},
    {"things[name].parts[match]", SMTPF_OPTION_LIST, NULL, 0, 10, NULL, "A thing's parts."},
    {"things[name].parts[match].as", SMTPF_OPTION_STRING, "", 0, 0, NULL, "A part's word."},
};

static char folder[64], names[16][128];
static size_t n_names;
static smtpf_config *cfg;
static smtpf_error err;
static char said[900];

static void setup(void)
{
  snprintf(folder, sizeof folder, "/tmp/smtpf-policy-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  n_names = 0;
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_options(cfg, rows, sizeof rows / sizeof *rows), SMTPF_OK);
}

static void teardown(void)
{
  smtpf_config_free(cfg);
  for (size_t i = 0; i < n_names; i++)
    remove(names[i]);
  rmdir(folder);
}

/* Writes a file into the folder and returns its path. */
static const char *file(const char *name, const char *text, size_t n)
{
  ck_assert_uint_lt(n_names, sizeof names / sizeof *names);
  char *path = names[n_names++];
  snprintf(path, sizeof names[0], "%s/%s", folder, name);
  FILE *f = fopen(path, "w");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(text, 1, n, f), n);
  ck_assert_int_eq(fclose(f), 0);
  return path;
}

static int load_path(const char *path)
{
  err = (smtpf_error){.size = sizeof err};
  int r = smtpf_config_load(cfg, path, &err);
  const char *in = strncmp(err.file, folder, strlen(folder)) == 0 ? err.file + strlen(folder) + 1 : err.file;
  snprintf(said, sizeof said, "%s:%d: %s", in, err.line, err.text);
  ck_assert(r == SMTPF_OK || err.code == r);
  return r;
}

static int load(const char *text)
{
  return load_path(file("policy", text, strlen(text)));
}

static const smtpf_value *value(const char *path)
{
  const smtpf_value *v = smtpf_tree_find(&cfg->tree, smtpf_str_of(path), NULL);
  ck_assert_msg(v != NULL, "%s was not set", path);
  return v;
}

/* Asserts the texts of an option, joined by commas. */
static void expect(const char *path, const char *joined)
{
  char room[256];
  smtpf_out o;
  const smtpf_value *v = value(path);
  smtpf_out_init(&o, room, sizeof room - 1);
  for (size_t i = 0; i < v->n; i++) {
    if (i)
      smtpf_out_char(&o, ',');
    smtpf_out_str(&o, v->texts[i]);
  }
  room[o.n] = '\0';
  ck_assert_str_eq(room, joined);
}

START_TEST(scalars)
{
  ck_assert_int_eq(load("t = { int = -12; score = 2.5; size = \"4k\"; bool = TRUE; text = \"a\" \"b\\\"\"; };"),
                   SMTPF_OK);
  expect("t.int", "-12");
  ck_assert_int_eq(value("t.int")->number, -12);
  ck_assert_int_eq(value("t.score")->number, 2500);
  ck_assert_int_eq(value("t.size")->number, 4096);
  ck_assert_int_eq(value("t.bool")->number, 1);
  expect("t.text", "ab\"");
  ck_assert_int_eq(value("t.text")->line, 1);
  ck_assert(smtpf_str_equal(value("t.text")->file, smtpf_str_of(names[0])));
}
END_TEST

static const struct {
  const char *written;
  const char *text;
} numbers[] = {
    {"0", "0"},
    {"010", "10"},
    {"0x1f", "31"},
    {"2147483647", "2147483647"},
    {"-2147483648", "-2147483648"},
    {"2147483648L", "2147483648"},
    {"9223372036854775807L", "9223372036854775807"},
    {"10.0", "10"},
    {"-.5", "-0.5"},
    {"1e3", "1000"},
    {"0.001", "0.001"},
    {"12345.678", "12345.678"},
    {".123", "0.123"},
    {"1.5E+1", "15"},
};

START_TEST(numbers_are_decimal)
{
  char text[100];
  snprintf(text, sizeof text, "t = { text = %s; };", numbers[_i].written);
  ck_assert_msg(load(text) == SMTPF_OK, "%s", said);
  expect("t.text", numbers[_i].text);
}
END_TEST

START_TEST(the_locale_of_the_host_is_left_alone)
{
  locale_t before = uselocale((locale_t)0), other = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
  if (other == (locale_t)0) {
    printf("SKIP the_locale_of_the_host_is_left_alone: no locale C.UTF-8\n");
    return;
  }
  uselocale(other);
  ck_assert_int_eq(load("t = { score = 2.5; };"), SMTPF_OK);
  ck_assert(uselocale(before) == other);
  freelocale(other);
}
END_TEST

START_TEST(lists_of_texts)
{
  ck_assert_int_eq(load("t = { texts = [ \"a\", \"b\" ]; };"), SMTPF_OK);
  expect("t.texts", "a,b");
  ck_assert_int_eq(load("t = { texts = ( \"c\", 5 ); };"), SMTPF_OK); /* a later file replaces */
  expect("t.texts", "c,5");
  ck_assert_int_eq(load("t = { texts = \"d\"; };"), SMTPF_OK);
  expect("t.texts", "d");
}
END_TEST

START_TEST(an_empty_list)
{
  ck_assert_int_eq(load("t = { texts = []; };\nthings = ();"), SMTPF_OK);
  ck_assert_ptr_null(smtpf_tree_find(&cfg->tree, smtpf_str_of("t.texts"), NULL));
}
END_TEST

START_TEST(lists_of_groups)
{
  ck_assert_msg(load("things = (\n"
                     "  { name = \"a\"; score = 1.5;\n"
                     "    parts = ( { match = \"x\\\"\\\\y\"; as = \"odd\"; }, { as = \"behind\"; match = 5; } ); },\n"
                     "  { score = 2; name = \"b\"; },\n"
                     "  { name = \"only\"; }\n"
                     ");") == SMTPF_OK,
                "%s", said);
  ck_assert_int_eq(value("things[\"a\"].score")->number, 1500);
  ck_assert_int_eq(value("things[\"a\"].score")->line, 2);
  expect("things[\"a\"].parts[\"x\\\"\\\\y\"].as", "odd");
  expect("things[\"a\"].parts[\"5\"].as", "behind");
  ck_assert_int_eq(value("things[\"b\"].score")->line, 4);
  ck_assert_uint_eq(value("things")->n, 3);
  ck_assert_int_eq(load("things = ( { name = \"b\"; score = 3; } );\nthing = { max = 2; };"),
                   SMTPF_OK); /* a later file adds */
  ck_assert_int_eq(value("thing.max")->number, 2);
  ck_assert_int_eq(value("things[\"b\"].score")->number, 3000);
  ck_assert_uint_eq(value("things")->n, 3);
}
END_TEST

START_TEST(includes)
{
  char text[200];
  ck_assert_int_eq(mkdir((snprintf(text, sizeof text, "%s/d", folder), text), 0700), 0);
  file("d/inner", "# one\n\ntext = \"deep\";", 21);
  file("d/outer", "int = 3;\n@include \"inner\"\nbool = true;", strlen("int = 3;\n@include \"inner\"\nbool = true;"));
  snprintf(text, sizeof text,
           "# @include \"nothing\"\nt = {\n  @include \"d/outer\"\n  score = 4; };\n/* \n@include \"x\" */");
  ck_assert_msg(load(text) == SMTPF_OK, "%s", said);
  ck_assert_int_eq(value("t.int")->line, 1);
  ck_assert_int_eq(value("t.text")->line, 3);
  ck_assert(strstr(value("t.text")->file.p, "/d/inner") != NULL);
  ck_assert_int_eq(value("t.bool")->line, 3);
  ck_assert(strstr(value("t.bool")->file.p, "/d/outer") != NULL);
  ck_assert_int_eq(value("t.score")->line, 4);
  snprintf(text, sizeof text, "t = {\n@include \"%s/d/inner\"\n};", folder);
  ck_assert_msg(load(text) == SMTPF_OK, "%s", said);
  for (size_t i = 0; i < n_names; i++)
    remove(names[i]);
  rmdir((snprintf(text, sizeof text, "%s/d", folder), text));
}
END_TEST

static const struct {
  int code;
  const char *text;
  const char *said;
} faults[] = {
    {SMTPF_EPARSE, "t = { int = 1;\n", "policy:2: syntax error"},
    {SMTPF_EPARSE, "\nprofile = \"a\";\nprofile = \"b\";", "policy:3: duplicate setting name"},
    {SMTPF_ENOTFOUND, "\n\nnonsense = 1;", "policy:3: no such option: nonsense"},
    {SMTPF_ENOTFOUND, "nonsense = { deep = { x = 1; }; };", "policy:1: no such option: nonsense.deep.x"},
    {SMTPF_ENOTFOUND, "nonsense = { };", "policy:1: nonsense: no such option"},
    {SMTPF_ENOTFOUND, "nonsense = [ ];", "policy:1: nonsense: no such option"},
    {SMTPF_ENOTFOUND, "nonsense = ( { a = 1; } );", "policy:1: nonsense: no such option"},
    {SMTPF_EPARSE, "t = {\n int = \"x\"; };", "policy:2: t.int: x: expected a whole number"},
    {SMTPF_EPARSE, "t = { int = true; };", "policy:1: t.int: true: expected a whole number"},
    {SMTPF_EINVAL, "resolver = { tries = 99; };",
     "policy:1: resolver.tries: 99: expected a whole number, from 1 to 10"},
    {SMTPF_EPARSE, "resolver = { timeout = 3; };", "policy:1: resolver.timeout: 3: expected a time"},
    {SMTPF_EPARSE, "t = { score = 0.0001; };", "policy:1: t.score: expected a number with at most three decimals"},
    {SMTPF_EPARSE, "t = { score = 1e400; };", "policy:1: t.score: expected a number with at most three decimals"},
    {SMTPF_EPARSE, "t = {\n\n int = 2147483648; };", "policy:3: expected a number below 2^31, or one with L behind it"},
    {SMTPF_EPARSE, "t = { int = -2147483649; };", "policy:1: expected a number below 2^31"},
    {SMTPF_EPARSE, "t = { int = 0xffffffff; };", "policy:1: expected a number below 2^31"},
    {SMTPF_EPARSE, "t = { int = 9223372036854775808L; };", "policy:1: expected a number below 2^63"},
    {SMTPF_EPARSE, "t = { text = \"a\\x00b\"; };", "policy:1: \\\\x00: a text cannot hold NUL"},
    {SMTPF_EPARSE, "t = { text = \"a\n\n", "policy:1: text without closing quote"},
    {SMTPF_EPARSE, "\n/* t", "policy:2: comment without end"},
    {SMTPF_EPARSE, "t = { int = { a = 1; }; };", "no such option: t.int.a"},
    {SMTPF_EPARSE, "t = { int = [ 1, 2 ]; };", "policy:1: t.int: 2: expected a whole number"},
    {SMTPF_EINVAL, "t = { full = [ ]; };", "policy:1: t.full: expected at least one value"},
    {SMTPF_EINVAL, "t = { int = [ ]; };", "policy:1: t.int: expected at least one value"},
    {SMTPF_EINVAL, "t = { texts = [ \"1\", \"2\", \"3\", \"4\", \"5\" ]; };",
     "policy:1: t.texts: 5: expected a list of texts"},
    {SMTPF_EPARSE, "t = { texts = ( \"a\", { b = 1; } ); };", "policy:1: t.texts: expected one value"},
    {SMTPF_EPARSE, "t = { texts = ( ( \"a\" ) ); };", "policy:1: t.texts: expected one value"},
    {SMTPF_EPARSE, "things = { a = 1; };", "policy:1: things: expected a list of groups"},
    {SMTPF_EPARSE, "things = \"a\";", "policy:1: things: a: expected a list of groups"},
    {SMTPF_EPARSE, "things = [ \"a\" ];", "policy:1: things: a: expected a list of groups"},
    {SMTPF_EPARSE, "things = (\n \"a\" );", "policy:2: things: expected a group with a member name"},
    {SMTPF_EPARSE, "things = (\n { score = 1; } );", "policy:2: things: expected a group with a member name"},
    {SMTPF_EINVAL, "things = (\n {\n name = \"\"; } );", "policy:3: things: expected a text that is not empty: name"},
    {SMTPF_EPARSE, "things = ( { name = [ 1 ]; } );", "policy:1: things: expected one value"},
    {SMTPF_EINVAL, "things = ( { name = \"a\"; },\n { name = \"b\"; },\n { name = \"a\"; } );", "/policy:1"},
    {SMTPF_ENOTFOUND, "things = ( { name = \"a\";\n wrong = 1; } );", "policy:2: no such option: things[\"a\"].wrong"},
    {SMTPF_EIO, "\n@include \"missing\"", "policy:2: cannot read /"},
    {SMTPF_EIO, "@include \"/tmp\"", "policy:1: cannot read /tmp: it is a directory"},
    {SMTPF_EPARSE, "@include missing", "policy:1: expected @include \"FILE\""},
    {SMTPF_EPARSE, "@include \"missing\n", "policy:1: expected @include \"FILE\""},
    {SMTPF_EPARSE, "@include \"\"", "policy:1: expected @include \"FILE\""},
    {SMTPF_ELIMIT, "@include \"policy\"", "policy:1: includes within includes: too deep"},
};

START_TEST(faults_are_named_with_their_place)
{
  int r = load(faults[_i].text);
  ck_assert_msg(strstr(said, faults[_i].said) != NULL, "%s\nsaid: %s\nnot:  %s", faults[_i].text, said,
                faults[_i].said);
  if (faults[_i].code == SMTPF_EPARSE && r == SMTPF_ENOTFOUND)
    return; /* an option inside an option that is none */
  ck_assert_int_eq(r, faults[_i].code);
}
END_TEST

START_TEST(the_second_of_two_is_at_fault)
{
  ck_assert_int_eq(load("things = ( { name = \"a\"; },\n { name = \"b\"; },\n { name = \"a\"; } );"), SMTPF_EINVAL);
  ck_assert_int_eq(err.line, 3);
  ck_assert(strstr(err.text, "is there twice, first at ") != NULL);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
  char path[100];
  snprintf(path, sizeof path, "%s/nothing", folder);
  ck_assert_int_eq(load_path(path), SMTPF_EIO);
  ck_assert(strstr(said, "no such file") != NULL);
  ck_assert_int_eq(err.line, 0);
  ck_assert_int_eq(load_path(folder), SMTPF_EIO);
  ck_assert(strstr(said, "it is a directory") != NULL);
  ck_assert_int_eq(load_path(file("nul", "t = {\0};", 8)), SMTPF_EPARSE);
  ck_assert_int_eq(smtpf_config_load(cfg, path, NULL), SMTPF_EIO);
}
END_TEST

START_TEST(deep_groups_end)
{
  static char text[40000];
  size_t n = 0;
  for (int i = 0; i < 9000; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "a={");
  ck_assert_int_ne(load(text), SMTPF_OK);
}
END_TEST

/* An allocator whose allocation number `fail_at` fails. */
static long allocations, fail_at;

static void *test_alloc(void *user, size_t n)
{
  (void)user;
  return ++allocations == fail_at ? NULL : malloc(n);
}

static void *test_realloc(void *user, void *p, size_t n)
{
  (void)user;
  return ++allocations == fail_at ? NULL : realloc(p, n);
}

static void test_free(void *user, void *p)
{
  (void)user;
  free(p);
}

START_TEST(every_allocation_may_fail)
{
  const smtpf_mem mem = {sizeof mem, NULL, test_alloc, test_realloc, test_free};
  static const char text[] = "local_domains = [ \"a\", \"b\" ];\n"
                             "@include \"more\"\n"
                             "profiles = ( { name = \"x\"; reject = 3; }, { name = \"y\"; tag = 3.5; } );\n";
  file("more", "profile = \"x\";\n", 15);
  const char *path = file("policy", text, sizeof text - 1);
  int failures = 0, r = SMTPF_ENOMEM;
  for (long i = 1; r != SMTPF_OK; i++) {
    smtpf_config *c;
    fail_at = 0;
    ck_assert_int_eq(smtpf_config_new(&c, &mem), SMTPF_OK);
    allocations = 0;
    fail_at = i;
    err = (smtpf_error){.size = sizeof err};
    r = smtpf_config_load(c, path, &err);
    ck_assert(r == SMTPF_OK || (r == SMTPF_ENOMEM && err.code == r));
    failures += r != SMTPF_OK;
    smtpf_config_free(c);
  }
  ck_assert_int_gt(failures, 5);
}
END_TEST

START_TEST(the_policy_becomes_an_engine)
{
  smtpf_engine *engine;
  smtpf_str text;
  int64_t number;
  ck_assert_msg(
      load("local_domains = [ \"example.net\" ];\nresolver = { servers = [ \"127.0.0.1:5353\" ]; timeout = \"2s\"; };\n"
           "store = { memory = \"1m\"; };\n") == SMTPF_OK,
      "%s", said);
  ck_assert_msg(smtpf_engine_new(&engine, cfg, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_engine_option(engine, "resolver.servers", 0, &text), SMTPF_OK);
  ck_assert(smtpf_str_equal(text, SMTPF_LIT("127.0.0.1:5353")));
  ck_assert_int_eq(smtpf_engine_option(engine, "resolver.servers", 1, &text), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_engine_number(engine, "resolver.timeout", &number), SMTPF_OK);
  ck_assert_int_eq(number, 2000);
  ck_assert_int_eq(smtpf_engine_number(engine, "store.memory", &number), SMTPF_OK);
  ck_assert_int_eq(number, 1048576);
  smtpf_engine_unref(engine);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: policy file");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, scalars);
  tcase_add_loop_test(t, numbers_are_decimal, 0, (int)(sizeof numbers / sizeof *numbers));
  tcase_add_test(t, the_locale_of_the_host_is_left_alone);
  tcase_add_test(t, lists_of_texts);
  tcase_add_test(t, an_empty_list);
  tcase_add_test(t, lists_of_groups);
  tcase_add_test(t, includes);
  tcase_add_loop_test(t, faults_are_named_with_their_place, 0, (int)(sizeof faults / sizeof *faults));
  tcase_add_test(t, the_second_of_two_is_at_fault);
  tcase_add_test(t, files_that_cannot_be_read);
  tcase_add_test(t, deep_groups_end);
  tcase_add_test(t, every_allocation_may_fail);
  tcase_add_test(t, the_policy_becomes_an_engine);
  suite_add_tcase(s, t);
  return port_run(s);
}
