/* SPDX-License-Identifier: MIT
 *
 * rules: the form of the files, and what lint says of them.
 */
#include "ruleset_world.h"

#include <stdio.h>
#include <string.h>

/* ---- files ------------------------------------------------------------------------------------------------ */

START_TEST(no_files)
{
  fake_reset();
  ck_assert_int_eq(fake_open(&ruleset, &smtpf_check_rules, NULL), SMTPF_OK);
  ck_assert_ptr_null(ruleset.self);
}
END_TEST

START_TEST(nothing_in_files)
{
  ck_assert_int_eq(ruleset_load("# nothing\n\n   \t\n"), SMTPF_OK);
  ck_assert_ptr_null(ruleset.self);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

static const struct {
  const char *text;
  int line, code;
  const char *says;
} faults[] = {
    {"match text /x/\n", 1, SMTPF_EPARSE, "outside of a rule: match: expected rule NAME before it"},
    {"rule A\n match text /x/\n skore 1\n", 3, SMTPF_EPARSE, "no such word: skore"},
    {"rule 1A\n", 1, SMTPF_EPARSE, "not a name for a rule: 1A"},
    {"rule\n", 1, SMTPF_EPARSE, "not a name for a rule"},
    {"rule A B\n", 1, SMTPF_EPARSE, "not a name for a rule: A B"},
    {"rule A\n score 1\nrule B\n match text /x/\n", 1, SMTPF_EINVAL, "a rule without a condition: A"},
    {"rule A\n score 1\n", 1, SMTPF_EINVAL, "a rule without a condition: A"},
    {"rule A\n match txt /x/\n", 2, SMTPF_EPARSE, "no such place: txt"},
    {"rule A\n match header /x/\n", 2, SMTPF_EPARSE, "not a pattern"},
    {"rule A\n match header Sub:ject /x/\n", 2, SMTPF_EPARSE, "not a field name: Sub:ject"},
    {"rule A\n match text x\n", 2, SMTPF_EPARSE, "not a pattern: x"},
    {"rule A\n match text\n", 2, SMTPF_EPARSE, "not a pattern"},
    {"rule A\n match text /x\n", 2, SMTPF_EPARSE, "this pattern does not end: /x: expected a slash behind it"},
    {"rule A\n match text \"x\n", 2, SMTPF_EPARSE, "this pattern does not end: \"x: expected a quote behind it"},
    {"rule A\n match text //\n", 2, SMTPF_EPARSE, "an empty pattern, which matches everything"},
    {"rule A\n match text /x/q\n", 2, SMTPF_EPARSE, "no such flag: q"},
    {"rule A\n match text \"x\"s\n", 2, SMTPF_EPARSE, "no such flag: s"},
    {"rule A\n match text /(x/\n", 2, SMTPF_EPARSE, ", at the end of the pattern"},
    {"rule A\n match text /x)y/\n", 2, SMTPF_EPARSE, ", before: )y"},
    {"rule A\n match text /x/\n score\n", 3, SMTPF_EPARSE, "not a score"},
    {"rule A\n match text /x/\n score 1.\n", 3, SMTPF_EPARSE, "not a score: 1."},
    {"rule A\n match text /x/\n score .5\n", 3, SMTPF_EPARSE, "not a score: .5"},
    {"rule A\n match text /x/\n score 1.2345\n", 3, SMTPF_EPARSE, "not a score: 1.2345"},
    {"rule A\n match text /x/\n score 1000.001\n", 3, SMTPF_EPARSE, "not a score: 1000.001"},
    {"rule A\n match text /x/\n score 99999999999999999999\n", 3, SMTPF_EPARSE, "not a score"},
    {"rule A\n match text /x/\n score 1\n score 2\n", 4, SMTPF_EINVAL, "a second time in this rule: score"},
    {"rule A\n match text /x/\n text\n", 3, SMTPF_EPARSE, "a text fit for a reply"},
    {"rule A\n match text /x/\n text \xc3\xa4\n", 3, SMTPF_EPARSE, "a reply is printable ASCII: ??"},
    {"rule A\n match text /x/\n expires 2023-02-29\n", 3, SMTPF_EPARSE, "not a date: 2023-02-29"},
    {"rule A\n match text /x/\n expires 2023-13-01\n", 3, SMTPF_EPARSE, "not a date"},
    {"rule A\n match text /x/\n expires soon\n", 3, SMTPF_EPARSE, "not a date: soon: expected e.g. 2027-06-30"},
    {"rule A\n all\n", 2, SMTPF_EPARSE, "names of rules are missing"},
    {"rule A\n all B,C\n", 2, SMTPF_EPARSE, "not the name of a rule: B,C"},
    {"rule A\n match text /x/\n\nrule B\n not A\n any A C\n", 6, SMTPF_ENOTFOUND, "no such rule: C"},
    {"rule A\n match text /x/\nrule a\n match text /y/\n", 3, SMTPF_EINVAL, "a rule of this name is there already: a"},
    {"rule A\n all A\n", 2, SMTPF_EINVAL, "rules that refer to each other in a ring: A"},
    {"rule A\n all B\nrule B\n any C\nrule C\n match text /x/\n not A\n", 7, SMTPF_EINVAL, "in a ring: A"},
    {"rule A\n match text /x\x01y/\n", 2, SMTPF_EPARSE, "a control character"},
};

START_TEST(errors)
{
  const int code = ruleset_load(faults[_i].text);
  ck_assert_msg(code == faults[_i].code, "%s gives %d", faults[_i].text, code);
  ck_assert_int_eq(ruleset_err.code, code);
  ck_assert_str_eq(ruleset_err.file, ruleset_file);
  ck_assert_msg(ruleset_err.line == faults[_i].line, "%s: line %d", faults[_i].text, ruleset_err.line);
  ck_assert_msg(strstr(ruleset_err.text, faults[_i].says) != NULL, "%s says %s", faults[_i].text, ruleset_err.text);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

START_TEST(a_file_that_is_not_there)
{
  fake_set("rules.files", "/nonexistent/x.rules");
  ck_assert_int_eq(ruleset_load("rule A\n match text /x/\n"), SMTPF_EIO);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

START_TEST(duplicates_say_where)
{
  char where[100];
  ck_assert_int_eq(ruleset_load("\nrule A\n match text /x/\nrule A\n match text /y/\n"), SMTPF_EINVAL);
  snprintf(where, sizeof where, "already: A, in %s:2", ruleset_file);
  ck_assert_msg(strstr(ruleset_err.text, where) != NULL, "%s", ruleset_err.text);
}
END_TEST

START_TEST(overlap_of_more_than_half)
{
  fake_set("rules.window", "4096");
  fake_set("rules.overlap", "2049");
  ck_assert_int_eq(ruleset_load("rule A\n match text /x/\n"), SMTPF_EINVAL);
}
END_TEST

/* ---- lint ----------------------------------------------------------------------------------------------------- */

static char heard[4096];

static void hear(void *user, const char *name, int line, smtpf_str what)
{
  const size_t n = strlen(heard);
  (void)user;
  ck_assert_str_eq(name, ruleset_file);
  snprintf(heard + n, sizeof heard - n, "%d: %.*s\n", line, (int)what.n, what.p);
}

#define LONG "a match may be longer than rules.overlap, and be missed; say how often at most, as in \\w{1,30}\n"

static const struct {
  const char *text, *says;
} lints[] = {
    {"rule A\n match text /x/\n score 1\n", ""},
    {"rule A\n match text /x/\n score 1\n expires 2020-01-01\n", "1: rule A: it has expired, and is off\n"},
    {"rule A\n match text /x/\n", "1: rule A: it has no score, and no rule refers to it\n"},
    {"rule A\n match text /x*/\n score 1\n", "2: rule A: a pattern that matches no bytes at all, hence everything\n"},
    {"rule A\n match sender /^$/\n score 1\n", ""},
    {"rule A\n match text /x/\nrule B\n all A\n not A\n score 1\n",
     "3: rule B: it can never hit: what it needs excludes itself\n"},
    {"rule A\n match text /x/\nrule B\n match text /y/\n not A\nrule C\n all A B\n score 1\n",
     "6: rule C: it can never hit: what it needs excludes itself\n"},
    {"rule A\n match text /x/\n expires 2020-01-01\nrule B\n all A\n score 1\n",
     "1: rule A: it has expired, and is off\n5: rule B: it can never hit, for it needs A\n"},
    {"rule A\n match text /x/\n expires 2020-01-01\nrule D\n match text /y/\nrule B\n any A D\n score 1\n",
     "1: rule A: it has expired, and is off\n7: rule B: this one can never hit: A\n"},
    {"rule A\n match text /x/\n expires 2020-01-01\nrule B\n any A\n score 1\n",
     "1: rule A: it has expired, and is off\n4: rule B: it can never hit: what it needs excludes itself\n"
     "5: rule B: this one can never hit: A\n"},
    {"rule A\n match text /x/\n text hello\nrule B\n all A\n score 1\n",
     "1: rule A: it has a text and no score: nobody will see it\n"},
    {"rule A\n match text /ab+c/\n score 1\n", "2: rule A: " LONG},
    {"rule A\n match body /a.*b/\n score 1\n", "2: rule A: " LONG},
    {"rule A\n match body /a.{0,1030}b/\n score 1\n", "2: rule A: " LONG},
    {"rule A\n match text /a.{0,240}b/\n match body /a.{0,1000}b/\n match header A /a.*b/\n score 1\n", ""},
};

START_TEST(lint)
{
  ruleset_must_load(lints[_i].text);
  heard[0] = '\0';
  ruleset.check->lint(ruleset.self, 1700000000, hear, NULL);
  ck_assert_str_eq(heard, lints[_i].says);
  fake_close(&ruleset);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

TCase *ruleset_file_case(void)
{
  TCase *c = tcase_create("files");
  tcase_add_checked_fixture(c, ruleset_fresh, ruleset_done);
  tcase_add_test(c, no_files);
  tcase_add_test(c, nothing_in_files);
  tcase_add_loop_test(c, errors, 0, (int)(sizeof faults / sizeof faults[0]));
  tcase_add_test(c, a_file_that_is_not_there);
  tcase_add_test(c, duplicates_say_where);
  tcase_add_test(c, overlap_of_more_than_half);
  tcase_add_loop_test(c, lint, 0, (int)(sizeof lints / sizeof lints[0]));
  return c;
}
