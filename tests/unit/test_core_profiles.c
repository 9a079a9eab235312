/* SPDX-License-Identifier: MIT
 *
 * Profiles and recipients: what is inherited, what replaces it, whose wishes are whose, and what does not load.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_world.h"
#include "test_core.h"

static world W;

static const smtpf_profile *profile(const char *name)
{
  return smtpf_engine_profile(W.engine, smtpf_str_of(name));
}

static const smtpf_profile *recipient(const char *address)
{
  return smtpf_engine_recipient(W.engine, smtpf_str_of(address));
}

static void expect_text(smtpf_str s, const char *text)
{
  ck_assert_msg(smtpf_str_equal(s, smtpf_str_of(text)), "`%.*s`, not `%s`", (int)s.n, s.n ? s.p : "", text);
}

START_TEST(a_profile_without_wishes)
{
  world_init(&W);
  world_start(&W);
  const smtpf_profile *p = W.engine->site;
  expect_text(p->name, "default");
  ck_assert_int_eq(p->reject, 10000);
  ck_assert_int_eq(p->quarantine, SMTPF_SCORE_OFF);
  ck_assert_int_eq(p->tag, 5000);
  ck_assert_int_eq(p->discard, SMTPF_SCORE_OFF);
  ck_assert_uint_eq(p->reject_lists, 1);
  ck_assert_uint_eq(p->reject_content, 1);
  ck_assert_uint_eq(p->greylist, 0);
  ck_assert_uint_eq(p->route, SMTPF_WISH_MAILBOX);
  ck_assert_uint_eq(p->null_sender, 1);
  ck_assert_uint_eq(p->fallback, SMTPF_FALLBACK_POSTMASTER);
  ck_assert_uint_eq(p->forward_failed, SMTPF_FAILED_REFUSE);
  ck_assert_uint_eq(p->bounces, SMTPF_BOUNCES_ALL);
  ck_assert_uint_eq(p->only_from | p->forwarders | p->lists, 0);
  ck_assert_uint_eq(p->forward.n + p->forward_sender.n + p->language.n, 0);
  ck_assert_uint_eq(p->n_allow + p->n_deny, 0);
  ck_assert_ptr_null(p->weights);
  ck_assert_uint_eq(smtpf_profile_weight(p, 0), 100);
  world_end(&W);
}
END_TEST

/* Every wish, as a profile's or as a recipient's: `prefix` is what stands before its name. */
static void wish_everything(const char *prefix)
{
  static const char *const wishes[][2] = {{"reject", "9"},
                                          {"quarantine", "7.5"},
                                          {"tag", "-1"},
                                          {"discard", "12.25"},
                                          {"reject_lists", "false"},
                                          {"reject_content", "false"},
                                          {"greylist", "true"},
                                          {"null_sender", "false"},
                                          {"route", "forward-nonspam"},
                                          {"forward", "a@y.example"},
                                          {"forward_sender", "b@x.example"},
                                          {"fallback", "quarantine"},
                                          {"forward_failed", "mailbox"},
                                          {"bounces", "proven"},
                                          {"language", "de"},
                                          {"weights[\"second\"].percent", "1000"}};
  static const char *const lists[][2] = {{"only_from", "s1"},   {"only_from", "s3"},      {"forwarders", "s2"},
                                         {"lists", "s3"},       {"allow", "A@X.example"}, {"allow", "192.0.2.0/24"},
                                         {"deny", "@Z.example"}};
  char path[100];
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
    snprintf(path, sizeof path, "%s.%s", prefix, wishes[i][0]);
    world_set(&W, path, wishes[i][1]);
  }
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    snprintf(path, sizeof path, "%s.%s", prefix, lists[i][0]);
    world_append(&W, path, lists[i][1]);
  }
}

static void expect_everything(const smtpf_profile *p)
{
  ck_assert_int_eq(p->reject, 9000);
  ck_assert_int_eq(p->quarantine, 7500);
  ck_assert_int_eq(p->tag, -1000);
  ck_assert_int_eq(p->discard, 12250);
  ck_assert_uint_eq(p->reject_lists, 0);
  ck_assert_uint_eq(p->reject_content, 0);
  ck_assert_uint_eq(p->greylist, 1);
  ck_assert_uint_eq(p->null_sender, 0);
  ck_assert_uint_eq(p->route, SMTPF_WISH_FORWARD_NONSPAM);
  ck_assert_uint_eq(p->fallback, SMTPF_FALLBACK_QUARANTINE);
  ck_assert_uint_eq(p->forward_failed, SMTPF_FAILED_MAILBOX);
  ck_assert_uint_eq(p->bounces, SMTPF_BOUNCES_PROVEN);
  expect_text(p->forward, "a@y.example");
  expect_text(p->forward_sender, "b@x.example");
  expect_text(p->language, "de");
  ck_assert_uint_eq(p->only_from, 5);
  ck_assert_uint_eq(p->forwarders, 2);
  ck_assert_uint_eq(p->lists, 4);
  ck_assert_uint_eq(p->n_allow, 2);
  expect_text(p->allow[0], "a@x.example");
  expect_text(p->allow[1], "192.0.2.0/24");
  ck_assert_uint_eq(p->n_deny, 1);
  expect_text(p->deny[0], "@z.example");
  ck_assert_uint_eq(smtpf_profile_weight(p, 0), 100);
  ck_assert_uint_eq(smtpf_profile_weight(p, 1), 1000);
}

static void scopes_and_checks(void)
{
  world_append(&W, "texts[\"de\"].refused", "abgewiesen"); /* a language that is named must be there */
  for (const char *const *s = (const char *const[]){"s1", "s2", "s3", NULL}; *s; s++) {
    char path[40];
    snprintf(path, sizeof path, "scopes[\"%s\"]", *s);
    world_set(&W, path, "");
  }
  world_check(&W, "first", SMTPF_CONNECT, 0);
  world_check(&W, "second", SMTPF_CONNECT, 0);
}

START_TEST(every_wish_is_inherited)
{
  world_init(&W);
  scopes_and_checks();
  world_set(&W, "profiles[\"grandchild\"].inherit", "child"); /* before those it inherits from */
  world_set(&W, "profiles[\"child\"].inherit", "all");
  wish_everything("profiles[\"all\"]");
  world_set(&W, "profiles[\"default\"]", "");
  world_set(&W, "recipients[\"shares@x.example\"].profile", "grandchild");
  world_start(&W);
  expect_everything(profile("all"));
  expect_everything(profile("child"));
  expect_everything(profile("grandchild"));
  expect_text(profile("grandchild")->name, "grandchild");
  ck_assert_ptr_eq(profile("grandchild")->allow, profile("all")->allow); /* once in memory */
  ck_assert_ptr_eq(profile("grandchild")->weights, profile("all")->weights);
  ck_assert_ptr_eq(recipient("shares@x.example"), profile("grandchild"));
  ck_assert_uint_eq(W.engine->n_profiles, 4);
  ck_assert_int_eq(W.engine->site->reject, 10000);
  world_end(&W);
}
END_TEST

START_TEST(every_wish_can_be_a_single_recipients)
{
  world_init(&W);
  scopes_and_checks();
  world_set(&W, "recipients[\"a@x.example\"]", "");
  wish_everything("recipients[\"b@x.example\"]");
  world_set(&W, "recipients[\"@x.example\"].quarantine", "3");
  world_start(&W);
  ck_assert_ptr_eq(recipient("a@x.example"), W.engine->site);
  expect_everything(recipient("b@x.example"));
  expect_everything(recipient("b+detail@x.example"));
  expect_text(recipient("b@x.example")->name, "default"); /* no address in what is told of it */
  ck_assert_int_eq(recipient("c@x.example")->quarantine, 3000);
  ck_assert_int_eq(recipient("c@x.example")->reject, 10000);
  ck_assert_int_eq(W.engine->site->quarantine, SMTPF_SCORE_OFF);
  ck_assert_ptr_null(W.engine->site->weights);
  ck_assert_ptr_eq(profile("default"), W.engine->site);
  ck_assert_uint_eq(W.engine->n_named, 1);
  ck_assert_uint_eq(W.engine->n_profiles, 3);
  ck_assert_uint_eq(smtpf_engine_needs(W.engine), SMTPF_CAN_QUARANTINE | SMTPF_CAN_EDIT);
  world_end(&W);
}
END_TEST

START_TEST(a_list_replaces_what_it_inherits)
{
  world_init(&W);
  scopes_and_checks();
  wish_everything("profiles[\"default\"]");
  world_set(&W, "profiles[\"child\"].inherit", "default");
  world_append(&W, "profiles[\"child\"].allow", "@other.example");
  world_append(&W, "profiles[\"child\"].only_from", "s2");
  world_set(&W, "profiles[\"child\"].weights[\"first\"].percent", "0");
  world_set(&W, "recipients[\"a@x.example\"].profile", "child");
  world_append(&W, "recipients[\"a@x.example\"].deny", "192.0.2.1");
  world_start(&W);
  const smtpf_profile *child = profile("child"), *a = recipient("a@x.example");
  ck_assert_uint_eq(child->n_allow, 1);
  expect_text(child->allow[0], "@other.example");
  ck_assert_uint_eq(child->only_from, 2);
  ck_assert_uint_eq(child->weights[0], 0);
  ck_assert_uint_eq(child->weights[1], 100);
  ck_assert_uint_eq(child->n_deny, 1);
  expect_everything(W.engine->site);
  ck_assert_ptr_ne(a, child);
  ck_assert_uint_eq(a->n_deny, 1);
  expect_text(a->deny[0], "192.0.2.1");
  ck_assert_ptr_eq(a->allow, child->allow);
  world_end(&W);
}
END_TEST

/* By the order of the checks that run under this policy. */
START_TEST(weights_follow_the_checks_that_run)
{
  world_init(&W);
  scopes_and_checks();
  world_check(&W, "third", SMTPF_CONNECT, 0);
  world_append(&W, "check.disable", "first");
  world_set(&W, "profiles[\"default\"].weights[\"first\"].percent", "10");
  world_set(&W, "profiles[\"default\"].weights[\"third\"].percent", "30");
  world_set(&W, "recipients[\"a@x.example\"].weights[\"second\"]", "");
  world_start(&W);
  ck_assert_uint_eq(W.engine->n_checks, 2);
  ck_assert_uint_eq(W.engine->site->weights[0], 100);
  ck_assert_uint_eq(W.engine->site->weights[1], 30);
  ck_assert_uint_eq(recipient("a@x.example")->weights[0], 100);
  ck_assert_uint_eq(recipient("a@x.example")->weights[1], 100);
  world_end(&W);
}
END_TEST

/* A profile may leave the address to who uses it; alone it keeps mail at home. */
START_TEST(a_route_needs_an_address)
{
  world_init(&W);
  world_set(&W, "profiles[\"default\"]", "");
  world_set(&W, "profiles[\"away\"].route", "forward");
  world_set(&W, "recipients[\"a@x.example\"].forward", "a@y.example");
  world_set(&W, "recipients[\"a@x.example\"].profile", "away");
  world_start(&W);
  ck_assert_uint_eq(profile("away")->route, SMTPF_WISH_MAILBOX);
  ck_assert_uint_eq(recipient("a@x.example")->route, SMTPF_WISH_FORWARD);
  expect_text(recipient("a@x.example")->forward, "a@y.example");
  world_end(&W);
}
END_TEST

/* ---- what does not load ----------------------------------------------------------------------------------------- */

typedef struct setting {
  const char *path, *value;
  int append;
} setting;

static int run_nothing(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  (void)ev;
  return SMTPF_OK;
}

/* The last setting, of some.conf:17, is at fault. */
static void expect_refused(const setting *settings, size_t n, int result, const char *words)
{
  static const smtpf_check vital = {
      .size = sizeof vital, .name = "vital", .stages = SMTPF_RCPT, .run = run_nothing, .failure = SMTPF_FINDING_DEFER};
  smtpf_engine *e = NULL;
  smtpf_error err = {.size = sizeof err};
  world_init(&W);
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &vital), SMTPF_OK);
  for (size_t i = 0; i < n && settings[i].path; i++)
    ck_assert_int_eq(smtpf_config_set_at(W.cfg, settings[i].path, settings[i].value, settings[i].append, "some.conf",
                                         i + 1 < n && settings[i + 1].path ? 3 : 17, NULL),
                     SMTPF_OK);
  const int r = smtpf_engine_new(&e, W.cfg, &err);
  ck_assert_msg(r == result, "%s: %d %s", settings[0].path, r, err.text);
  ck_assert_msg(strstr(err.text, words) != NULL, "%s: `%s` has no `%s`", settings[0].path, err.text, words);
  ck_assert_msg(strcmp(err.file, "some.conf") == 0 && err.line == 17, "%s: %s:%d", err.text, err.file, err.line);
  world_end(&W);
}

START_TEST(what_does_not_load)
{
  static const struct {
    setting settings[3];
    int result;
    const char *words;
  } rows[] = {
      {{{"profiles[\"default\"].fallback", "none", 0}}, SMTPF_EINVAL, "no DSN"},
      {{{"recipients[\"a@x.example\"].fallback", "none", 0}}, SMTPF_EINVAL, "expected quarantine or postmaster"},
      {{{"profiles[\"default\"].route", "forward", 0}}, SMTPF_EINVAL, "no address to forward to"},
      {{{"recipients[\"a@x.example\"].route", "forward-nonspam", 0}},
       SMTPF_EINVAL,
       "recipients[\"a@x.example\"].route"},
      {{{"profiles[\"default\"]", "", 0},
        {"recipients[\"a@x.example\"].profile", "p", 0},
        {"profiles[\"p\"].route", "forward", 0}},
       SMTPF_EINVAL,
       "profiles[\"p\"].route"},
      {{{"profiles[\"default\"].forward", "nowhere", 0}}, SMTPF_EPARSE, "not an address"},
      {{{"profiles[\"default\"].forward", "", 0}}, SMTPF_EPARSE, "not an address"},
      {{{"recipients[\"a@x.example\"].forward_sender", "<a@x.example>", 0}}, SMTPF_EPARSE, "not an address"},
      {{{"profiles[\"default\"].only_from", "s", 1}}, SMTPF_ENOTFOUND, "no such scope: s"},
      {{{"profiles[\"default\"].forwarders", "s", 1}}, SMTPF_ENOTFOUND, "no such scope: s"},
      {{{"recipients[\"a@x.example\"].lists", "s", 1}}, SMTPF_ENOTFOUND, "no such scope: s"},
      {{{"backup_mx", "s", 1}}, SMTPF_ENOTFOUND, "no such scope: s"},
      {{{"forwarders", "s", 1}}, SMTPF_ENOTFOUND, "no such scope: s"},
      {{{"profiles[\"default\"].allow", "nobody", 1}}, SMTPF_EPARSE, "not an entry: nobody"},
      {{{"profiles[\"default\"].deny", "192.0.2.1/24", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].deny", "@", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].deny", "", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].deny", "a b@", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].deny", "a@b@c.example", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].deny", "@192.0.2.1", 1}}, SMTPF_EPARSE, "not an entry"},
      {{{"profiles[\"default\"].weights[\"nothing\"].percent", "1", 0}}, SMTPF_ENOTFOUND, "no such check: nothing"},
      {{{"profiles[\"default\"].weights[\"vital\"].percent", "1", 0}}, SMTPF_EINVAL, "cannot be weighed: vital"},
      {{{"recipients[\"a@x.example\"].weights[\"vital\"]", "", 0}}, SMTPF_EINVAL, "cannot be weighed: vital"},
      {{{"recipients[\"a@x.example\"]", "", 0}, {"recipients[\"A@x.example\"]", "", 0}}, SMTPF_EINVAL, "named twice"},
      {{{"recipients[\"x\"].profile", "default", 0}}, SMTPF_EPARSE, "not an address: x"},
      {{{"scopes[\"s\"].networks", "192.0.2.1/24", 1}}, SMTPF_EPARSE, "not a network: 192.0.2.1/24"},
      {{{"scopes[\"s\"].identities", "", 1}}, SMTPF_EPARSE, "not an identity"},
      {{{"scopes[\"s\"].names", "-", 1}}, SMTPF_EPARSE, "not a domain"},
      {{{"scopes[\"s\"].names", "192.0.2.1", 1}}, SMTPF_EPARSE, "not a domain"},
      {{{"scopes[\"s\"].names", "[192.0.2.1]", 1}}, SMTPF_EPARSE, "not a domain"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    expect_refused(rows[i].settings, 3, rows[i].result, rows[i].words);
}
END_TEST

START_TEST(scopes_are_bits_of_a_word)
{
  static char paths[65][24];
  setting settings[65];
  for (size_t i = 0; i < 65; i++) {
    snprintf(paths[i], sizeof paths[i], "scopes[\"%d\"]", (int)i);
    settings[i] = (setting){paths[i], "", 0};
  }
  expect_refused(settings, 65, SMTPF_EINVAL, "at most 64 scopes");
  world_init(&W);
  for (size_t i = 0; i < 64; i++)
    world_set(&W, paths[i], "");
  world_append(&W, "backup_mx", "63");
  world_start(&W);
  ck_assert_uint_eq(W.engine->backup_mx, UINT64_C(1) << 63);
  world_end(&W);
}
END_TEST

/* Whichever allocation fails: the engine is not made, nothing is held, and the error says why. */
START_TEST(without_memory)
{
  long n = 0;
  for (int r = SMTPF_ENOMEM; r != SMTPF_OK; n++) {
    smtpf_engine *e = NULL;
    smtpf_error err = {.size = sizeof err};
    world_init(&W);
    for (int i = 0; i < 40; i++) {
      char path[64], text[32];
      snprintf(path, sizeof path, "scopes[\"s%d\"].networks", i);
      snprintf(text, sizeof text, "10.%d.0.0/16", i);
      world_append(&W, path, text);
      snprintf(path, sizeof path, "scopes[\"s%d\"].names", i);
      snprintf(text, sizeof text, "d%d.example", i);
      world_append(&W, path, text);
      snprintf(path, sizeof path, "profiles[\"p%d\"].deny", i);
      text[0] = '@';
      world_append(&W, path, text);
      snprintf(path, sizeof path, "recipients[\"a%d@x.example\"].tag", i);
      world_set(&W, path, "3");
    }
    world_set(&W, "profiles[\"default\"]", "");
    W.fail_at = W.allocations + 1 + n;
    r = smtpf_engine_new(&e, W.cfg, &err);
    W.fail_at = 0;
    ck_assert_msg(r == SMTPF_OK || (r == SMTPF_ENOMEM && !e && err.text[0]), "allocation %ld: %d %s", n, r, err.text);
    smtpf_engine_unref(e);
    world_end(&W);
  }
  ck_assert_int_gt(n, 30);
}
END_TEST

/* ---- a whole policy --------------------------------------------------------------------------------------------- */

static const char example[] =
    "local_domains = [ \"example.net\" ];\n"
    "resolver = { servers = [ \"127.0.0.1\" ]; timeout = \"3s\"; };\n"
    "dnslists = (\n"
    "  { zone = \"zen.example\";\n"
    "    codes = ( { match = \"127.0.0.2\";     score = 10.0; as = \"known spammer\"; },\n"
    "              { match = \"127.0.0.4-7\";   score = 8.0;  as = \"compromised host\"; },\n"
    "              { match = \"127.0.0.10-11\"; score = 6.0;  as = \"residential range\"; } ); } );\n"
    "scopes   = ( { name = \"department\"; networks = [ \"192.0.2.0/24\" ]; authenticated = true; } );\n"
    "profiles = ( { name = \"default\"; reject = 10.0; quarantine = 6.0; tag = 4.0; greylist = true; },\n"
    "             { name = \"wants-discard\"; inherit = \"default\"; discard = 15.0; } );\n"
    "recipients = ( { address = \"staff@example.net\"; only_from = [ \"department\" ]; },\n"
    "               { address = \"me@example.net\"; profile = \"wants-discard\"; forward = \"me@elsewhere.example\"; "
    "route = \"forward-nonspam\"; } );\n";

START_TEST(a_policy_that_uses_it_all)
{
  char path[] = "/tmp/smtpf-profiles-XXXXXX";
  const int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, example, sizeof example - 1), sizeof example - 1);
  close(fd);
  smtpf_config *cfg = NULL;
  smtpf_error err = {.size = sizeof err};
  W = (world){0};
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  ck_assert_msg(smtpf_config_load(cfg, path, &err) == SMTPF_OK, "%d: %s", err.line, err.text);
  ck_assert_msg(smtpf_engine_new(&W.engine, cfg, &err) == SMTPF_OK, "%d: %s", err.line, err.text);
  remove(path);
  smtpf_config_free(cfg);
  const smtpf_profile *staff = recipient("staff@example.net"), *me = recipient("me@example.net");
  smtpf_ip inside = {4, {192, 0, 2, 9}};
  ck_assert_uint_eq(staff->only_from, 1);
  ck_assert_uint_eq(staff->greylist, 1);
  ck_assert_int_eq(staff->discard, SMTPF_SCORE_OFF);
  ck_assert_int_eq(me->discard, 15000);
  ck_assert_int_eq(me->quarantine, 6000);
  ck_assert_uint_eq(me->only_from, 0);
  ck_assert_uint_eq(me->route, SMTPF_WISH_FORWARD_NONSPAM);
  ck_assert_uint_eq(smtpf_engine_scopes(W.engine, &inside, 0, SMTPF_LIT(""), SMTPF_LIT("")), 1);
  smtpf_engine_unref(W.engine);
}
END_TEST

TCase *profile_cases(void)
{
  TCase *c = tcase_create("profiles");
  tcase_add_test(c, a_profile_without_wishes);
  tcase_add_test(c, every_wish_is_inherited);
  tcase_add_test(c, every_wish_can_be_a_single_recipients);
  tcase_add_test(c, a_list_replaces_what_it_inherits);
  tcase_add_test(c, weights_follow_the_checks_that_run);
  tcase_add_test(c, a_route_needs_an_address);
  tcase_add_test(c, what_does_not_load);
  tcase_add_test(c, without_memory);
  tcase_add_test(c, scopes_are_bits_of_a_word);
  tcase_add_test(c, a_policy_that_uses_it_all);
  return c;
}
