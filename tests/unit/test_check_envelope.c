/* SPDX-License-Identifier: MIT
 *
 * null_sender, relay, recipient: what a client asks for.
 */
#include "fake_check.h"

#include <stdio.h>
#include <string.h>

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
}

static void open_check(const smtpf_check *c)
{
  ck_assert_int_eq(fake_open(&t, c, NULL), SMTPF_OK);
  fake_client(&t, "192.0.2.1");
  fake_local(&t, "198.51.100.1");
}

static void to(const char *recipient)
{
  fake_recipient(&t, recipient);
  fake_run(&t, SMTPF_RCPT);
}

/* ---- null_sender ----------------------------------------------------------------------------------- */

START_TEST(null_one_recipient)
{
  open_check(&smtpf_check_null_sender);
  fake_sender(&t, "<>");
  to("<a@example.net>");
  ck_only(&t, SMTPF_CLEAR, "null-sender");
  t.ev.recipients = 1;
  to("<b@example.net>");
  ck_only(&t, SMTPF_HIT, "several-recipients");
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_REFUSE);
  ck_assert_int_eq(t.findings[0].reply, 550);
  ck_assert_str_eq(t.findings[0].enhanced, "5.5.3");
  fake_sender(&t, "<a@example.org>");
  t.ev.recipients = 100;
  to("<b@example.net>");
  ck_assert_uint_eq(t.n, 0);
  fake_close(&t);
}
END_TEST

START_TEST(null_limits)
{
  fake_set("null_sender.recipients", _i ? "3" : "0");
  open_check(&smtpf_check_null_sender);
  fake_sender(&t, "<>");
  t.ev.recipients = 2;
  to("<b@example.net>");
  ck_only(&t, SMTPF_CLEAR, "null-sender");
  t.ev.recipients = 3;
  to("<b@example.net>");
  ck_finding(&t, 0, _i ? SMTPF_HIT : SMTPF_CLEAR, _i ? "several-recipients" : "null-sender");
  fake_close(&t);
}
END_TEST

START_TEST(null_never_sends)
{
  fake_set("null_sender.never", "info@example.net");
  fake_set("null_sender.never", "@list.example");
  open_check(&smtpf_check_null_sender);
  fake_sender(&t, "<>");
  to("<INFO@Example.NET>");
  ck_only(&t, SMTPF_HIT, "never-sends");
  ck_assert_str_eq(t.findings[0].enhanced, "5.7.1");
  to("<anybody@list.example>");
  ck_only(&t, SMTPF_HIT, "never-sends");
  to("<info2@example.net>");
  ck_only(&t, SMTPF_CLEAR, "null-sender");
  to("<Postmaster>");
  ck_only(&t, SMTPF_CLEAR, "null-sender");
  fake_sender(&t, "<x@example.org>");
  to("<info@example.net>");
  ck_assert_uint_eq(t.n, 0);
  fake_close(&t);
}
END_TEST

START_TEST(null_bad_policy)
{
  static const char *const bad[] = {"info", "", "@", "@bad..example", "a b@example.net", "@example.net-"};
  smtpf_error err = {.size = sizeof err};

  fake_set("null_sender.never", bad[_i]);
  ck_assert_int_eq(fake_open(&t, &smtpf_check_null_sender, &err), SMTPF_EINVAL);
  ck_assert_ptr_nonnull(strstr(err.text, "null_sender.never"));
}
END_TEST

/* ---- relay ----------------------------------------------------------------------------------------- */

static const struct {
  const char *path, *code;
  int reply;
  const char *enhanced, *class;
} paths[] = {
    {"<user@example.net>", "local", 0, NULL, "local"},
    {"<user@EXAMPLE.NET>", "local", 0, NULL, "local"},
    {"<user@other.example>", "local", 0, NULL, "local"},
    {"<user@AZaz.EXAMPLE>", "local", 0, NULL, "local"},
    {"<user@backup.example>", "relay", 0, NULL, "relay"},
    {"<user@example.org>", "denied", 550, "5.7.1", "foreign"},
    {"<user@sub.example.net>", "denied", 550, "5.7.1", "foreign"},
    {"<user@net>", "denied", 550, "5.7.1", "foreign"},
    {"<user@[198.51.100.1]>", "denied", 550, "5.7.1", "foreign"},
    {"<user@[203.0.113.1]>", "denied", 550, "5.7.1", "foreign"},
    {"<Postmaster>", "local", 0, NULL, "local"},
    {"<user%example.org@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<example.org!user@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"user@example.org\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"</etc/passwd@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"|cat\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"\\|cat\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<!user@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<user!@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"\\a|\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\".hidden\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"\\.hidden\"@example.net>", "address-hack", 553, "5.1.3", "refused"},
    {"<\"\"@example.net>", "local", 0, NULL, "local"},
    {"<first.last+detail@example.net>", "local", 0, NULL, "local"},
    {"<\"first last\"@example.net>", "local", 0, NULL, "local"},
    {"<@a.example,@b.example:user@example.net>", "source-route", 553, "5.1.3", "refused"},
};

static void relay_policy(void)
{
  fake_set("local_domains", "example.net");
  fake_set("local_domains", "Other.Example.");
  fake_set("local_domains", "azAZ.example");
  fake_set("relay_domains", "backup.example");
}

START_TEST(relay_from_outside)
{
  relay_policy();
  open_check(&smtpf_check_relay);
  to(paths[_i].path);
  ck_only(&t, paths[_i].reply ? SMTPF_HIT : SMTPF_CLEAR, paths[_i].code);
  ck_assert_int_eq(t.findings[0].reply, paths[_i].reply);
  ck_assert_uint_eq(t.findings[0].flags, paths[_i].reply ? SMTPF_FINDING_REFUSE : 0);
  ck_assert_pstr_eq(t.findings[0].enhanced, paths[_i].enhanced);
  ck_assert_str_eq(t.facts[0].value, paths[_i].class);
  ck_assert_int_eq(t.facts[0].connection, 0);
  fake_close(&t);
}
END_TEST

START_TEST(relay_own)
{
  relay_policy();
  open_check(&smtpf_check_relay);
  t.ev.own = 1;
  to(paths[_i].path);
  ck_only(&t, SMTPF_CLEAR, "own");
  ck_assert_str_eq(t.facts[0].value, strcmp(paths[_i].class, "refused") ? paths[_i].class : "local");
  fake_close(&t);
}
END_TEST

/* With nothing configured everything is foreign; only `<Postmaster>` is not. */
START_TEST(relay_empty_policy)
{
  open_check(&smtpf_check_relay);
  to("<user@example.net>");
  ck_only(&t, SMTPF_HIT, "denied");
  to("<Postmaster>");
  ck_only(&t, SMTPF_CLEAR, "local");
  fake_close(&t);
}
END_TEST

START_TEST(relay_many_domains)
{
  char domain[64];

  for (int i = 0; i < 90; i++) {
    snprintf(domain, sizeof domain, "az%d.example", i);
    fake_set("local_domains", domain);
    fake_set("local_domains", domain); /* twice is once */
  }
  open_check(&smtpf_check_relay);
  for (int i = 0; i < 100; i++) {
    snprintf(domain, sizeof domain, "<u@AZ%d.example>", i);
    to(domain);
    ck_finding(&t, 0, i < 90 ? SMTPF_CLEAR : SMTPF_HIT, i < 90 ? "local" : "denied");
  }
  fake_close(&t);
}
END_TEST

START_TEST(relay_options)
{
  relay_policy();
  fake_set("relay.refuse_characters", "!");
  fake_set("relay.source_route", "ignore");
  fake_set("relay.literal", "true");
  open_check(&smtpf_check_relay);
  to("<user%example.org@example.net>");
  ck_only(&t, SMTPF_CLEAR, "local");
  to("<\".hidden\"@example.net>");
  ck_only(&t, SMTPF_CLEAR, "local");
  to("<a!b@example.net>");
  ck_only(&t, SMTPF_HIT, "address-hack");
  to("<@a.example:user@example.net>");
  ck_only(&t, SMTPF_CLEAR, "local");
  to("<user@[198.51.100.1]>");
  ck_only(&t, SMTPF_CLEAR, "local");
  to("<user@[198.51.100.2]>");
  ck_only(&t, SMTPF_HIT, "denied");
  fake_close(&t);
  fake_reset();
  relay_policy();
  fake_set("relay.refuse_characters", "");
  open_check(&smtpf_check_relay);
  to("<a!b@example.net>");
  ck_only(&t, SMTPF_CLEAR, "local");
  fake_close(&t);
}
END_TEST

/* ---- recipient ------------------------------------------------------------------------------------- */

static void class_is(const char *class)
{
  smtpf_task_fact_set(&t, "relay.class", smtpf_str_of(class), 0);
}

START_TEST(recipient_known)
{
  open_check(&smtpf_check_recipient);
  class_is("local");
  to("<user@example.net>");
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_directory(&t, "user@example.net", SMTPF_DIRECTORY_EXISTS, NULL);
  ck_only(&t, SMTPF_CLEAR, "exists");
  fake_close(&t);
}
END_TEST

START_TEST(recipient_absent)
{
  open_check(&smtpf_check_recipient);
  class_is("local");
  to("<user@example.net>");
  fake_directory(&t, "user@example.net", SMTPF_DIRECTORY_ABSENT, NULL);
  ck_only(&t, SMTPF_HIT, "absent");
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO);
  ck_assert_int_eq(t.findings[0].reply, 550);
  ck_assert_str_eq(t.findings[0].enhanced, "5.1.1");
  ck_assert_str_eq(t.findings[0].detail, "user@example.net");
  fake_close(&t);
}
END_TEST

static void deferred(const char *code, const char *detail)
{
  ck_only(&t, SMTPF_UNKNOWN, code);
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_DEFER);
  ck_assert_int_eq(t.findings[0].reply, 451);
  ck_assert_str_eq(t.findings[0].enhanced, "4.4.3");
  ck_assert_str_eq(t.findings[0].detail, detail);
}

/* Whatever goes wrong is 4xx: the directory says so, something it never should, silence, or no room to ask. */
START_TEST(recipient_unknown)
{
  open_check(&smtpf_check_recipient);
  class_is("local");
  to("<user@example.net>");
  fake_directory(&t, "user@example.net", SMTPF_DIRECTORY_UNKNOWN, "ldap down");
  deferred("directory", "ldap down");
  to("<user@example.net>");
  fake_directory(&t, "user@example.net", 77, NULL);
  deferred("directory", "");
  to("<user@example.net>");
  fake_timer(&t, 10000);
  deferred("timeout", "the directory did not answer in time");
  for (t.asked_max = 1; t.asked_max; t.asked_max = 0) {
    to("<user@example.net>");
    deferred("not-asked", smtpf_strerror(SMTPF_ELIMIT));
  }
  fake_close(&t);
}
END_TEST

START_TEST(recipient_not_asked)
{
  static const char *const classes[] = {"relay", "foreign", "refused", ""};

  open_check(&smtpf_check_recipient);
  for (size_t i = 0; i < 4; i++) {
    class_is(classes[i]);
    to("<user@example.net>");
    ck_only(&t, SMTPF_CLEAR, "not-local");
    ck_assert_uint_eq(t.asked, 0);
  }
  class_is("local");
  to("<Postmaster>");
  ck_only(&t, SMTPF_CLEAR, "postmaster");
  ck_assert_uint_eq(t.asked, 0);
  fake_close(&t);
  fake_set("directory.verify", "false");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_recipient, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

Suite *envelope_suite(void)
{
  const int n = (int)(sizeof paths / sizeof paths[0]);
  Suite *s = suite_create("check_envelope");
  TCase *c = tcase_create("envelope");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, null_one_recipient);
  tcase_add_loop_test(c, null_limits, 0, 2);
  tcase_add_test(c, null_never_sends);
  tcase_add_loop_test(c, null_bad_policy, 0, 6);
  tcase_add_loop_test(c, relay_from_outside, 0, n);
  tcase_add_loop_test(c, relay_own, 0, n);
  tcase_add_test(c, relay_empty_policy);
  tcase_add_test(c, relay_many_domains);
  tcase_add_test(c, relay_options);
  tcase_add_test(c, recipient_known);
  tcase_add_test(c, recipient_absent);
  tcase_add_test(c, recipient_unknown);
  tcase_add_test(c, recipient_not_asked);
  suite_add_tcase(s, c);
  return s;
}
