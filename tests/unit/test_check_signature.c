/* SPDX-License-Identifier: MIT
 *
 * signed_address, unsigned_bounce; and what relay and recipient make of signatures.
 */
#include "fake_check.h"

#include <string.h>

static smtpf_task t;

static void fresh(void)
{
  fake_reset();
  fake_set("local_domains", "example.net");
  fake_set("srs.domain", "f.example.net");
}

static void open_check(const smtpf_check *c)
{
  ck_assert_int_eq(fake_open(&t, c, NULL), SMTPF_OK);
  fake_client(&t, "192.0.2.1");
  fake_local(&t, "198.51.100.1");
  fake_sender(&t, "<>");
}

/* A recipient that proves something. */
static void to(const char *recipient, int signature, const char *mailbox, const char *returns_to)
{
  fake_recipient(&t, recipient);
  t.ev.signature = signature;
  if (mailbox)
    t.ev.mailbox = smtpf_str_of(mailbox);
  t.ev.returns_to = smtpf_str_of(returns_to);
  fake_run(&t, SMTPF_RCPT);
}

/* ---- signed_address -----------------------------------------------------------------------------------------------
 */

START_TEST(idle_without_keys)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_signed_address, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
  ck_assert_int_eq(fake_open(&t, &smtpf_check_unsigned_bounce, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
  fake_set("srs.keys", "key");
  ck_assert_int_eq(fake_open(&t, &smtpf_check_unsigned_bounce, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

START_TEST(what_is_said)
{
  static const struct {
    int signature, own, kind;
    const char *returns_to, *sender, *code;
    int reply;
    const char *enhanced;
  } cases[] = {
      {SMTPF_SIGNATURE_GOOD, 0, SMTPF_CLEAR, "a@a.example", "<>", "srs", 0, NULL},
      {SMTPF_SIGNATURE_GOOD, 0, SMTPF_CLEAR, NULL, "<>", "batv", 0, NULL},
      {SMTPF_SIGNATURE_GOOD, 0, SMTPF_CLEAR, NULL, "<a@b.example>", "batv", 0, NULL},
      {SMTPF_SIGNATURE_GOOD, 0, SMTPF_HIT, "a@a.example", "<a@b.example>", "not-a-bounce", 550, "5.7.1"},
      {SMTPF_SIGNATURE_GOOD, 1, SMTPF_HIT, "a@a.example", "<a@b.example>", "not-a-bounce", 550, "5.7.1"},
      {SMTPF_SIGNATURE_EXPIRED, 0, SMTPF_HIT, NULL, "<>", "expired", 550, "5.1.1"},
      {SMTPF_SIGNATURE_BAD, 0, SMTPF_HIT, NULL, "<a@b.example>", "forged", 550, "5.1.1"},
      {SMTPF_SIGNATURE_UNKNOWN, 0, SMTPF_UNKNOWN, NULL, "<>", "crypto", 451, "4.3.0"},
      {99, 0, SMTPF_UNKNOWN, NULL, "<>", "crypto", 451, "4.3.0"},
  };
  fake_set("srs.key_file", "/somewhere");
  open_check(&smtpf_check_signed_address);
  fake_sender(&t, cases[_i].sender);
  t.ev.own = cases[_i].own;
  to("<x@example.net>", cases[_i].signature, NULL, cases[_i].returns_to);
  ck_only(&t, cases[_i].kind, cases[_i].code);
  ck_assert_int_eq(t.findings[0].reply, cases[_i].reply);
  ck_assert_pstr_eq(t.findings[0].enhanced, cases[_i].enhanced);
  fake_close(&t);
}
END_TEST

START_TEST(nothing_to_say)
{
  fake_set("batv.keys", "key");
  fake_set("srs.null_sender_only", "false");
  open_check(&smtpf_check_signed_address);
  to("<x@example.net>", SMTPF_SIGNATURE_NONE, NULL, NULL);
  ck_assert_uint_eq(t.n, 0);
  fake_sender(&t, "<a@b.example>");
  to("<x@example.net>", SMTPF_SIGNATURE_GOOD, NULL, "a@a.example");
  ck_only(&t, SMTPF_CLEAR, "srs");
  fake_close(&t);
}
END_TEST

/* ---- relay, recipient ---------------------------------------------------------------------------------------------
 */

START_TEST(relay_takes_what_was_signed)
{
  static const struct {
    const char *path;
    int signature;
    const char *returns_to, *code, *class;
  } cases[] = {
      {"<SRS0=a/b%c=d@f.example.net>", SMTPF_SIGNATURE_GOOD, "c=d@a.example", "returns", "returns"},
      {"<SRS0=a/b%c=d@f.example.net>", SMTPF_SIGNATURE_BAD, NULL, "address-hack", "refused"},
      {"<SRS0=ab=c=d@F.example.net>", SMTPF_SIGNATURE_BAD, NULL, "local", "local"},
      {"<postmaster@f.example.net>", SMTPF_SIGNATURE_NONE, NULL, "local", "local"},
      {"<x%y@example.net>", SMTPF_SIGNATURE_GOOD, NULL, "local", "local"},
      {"<x%y@example.net>", SMTPF_SIGNATURE_NONE, NULL, "address-hack", "refused"},
      {"<x@g.f.example.net>", SMTPF_SIGNATURE_NONE, NULL, "denied", "foreign"},
  };
  open_check(&smtpf_check_relay);
  to(cases[_i].path, cases[_i].signature, NULL, cases[_i].returns_to);
  ck_assert_uint_eq(t.n, 1);
  ck_assert_str_eq(t.findings[0].code, cases[_i].code);
  ck_assert_str_eq(t.facts[0].value, cases[_i].class);
  fake_close(&t);
}
END_TEST

START_TEST(recipient_asks_about_the_mailbox)
{
  open_check(&smtpf_check_recipient);
  smtpf_task_fact_set(&t, "relay.class", SMTPF_LIT("local"), 0);
  to("<prvs=0123abcdef=bob@example.net>", SMTPF_SIGNATURE_GOOD, "bob@example.net", NULL);
  ck_assert_int_eq(t.status, SMTPF_PENDING);
  fake_directory(&t, "bob@example.net", SMTPF_DIRECTORY_EXISTS, NULL);
  ck_only(&t, SMTPF_CLEAR, "exists");
  to("<prvs=0123abcdef=bob@example.net>", SMTPF_SIGNATURE_BAD, NULL, NULL);
  ck_only(&t, SMTPF_CLEAR, "signature");
  fake_close(&t);
}
END_TEST

/* ---- unsigned_bounce ----------------------------------------------------------------------------------------------
 */

START_TEST(unsigned_at_data)
{
  fake_set("batv.keys", "key");
  open_check(&smtpf_check_unsigned_bounce);
  to("<bob@example.net>", SMTPF_SIGNATURE_NONE, NULL, NULL);
  ck_assert_uint_eq(t.n, 0);
  t.recipients[0] = "bob@example.net";
  t.recipients[1] = "carol@example.net";
  t.recipients[2] = "dora@relayed.example";
  t.signatures[1] = SMTPF_SIGNATURE_GOOD;
  fake_run(&t, SMTPF_DATA);
  ck_only(&t, SMTPF_HIT, "unsigned");
  ck_assert_uint_eq(t.findings[0].recipient, 1);
  ck_assert_uint_eq(t.findings[0].flags, SMTPF_FINDING_REFUSE);
  ck_assert_int_eq(t.findings[0].reply, 550);
  t.ev.own = 1;
  fake_run(&t, SMTPF_DATA);
  ck_assert_uint_eq(t.n, 0);
  t.ev.own = 0;
  fake_sender(&t, "<a@b.example>");
  fake_run(&t, SMTPF_DATA);
  ck_assert_uint_eq(t.n, 0);
  fake_close(&t);
}
END_TEST

START_TEST(unsigned_at_rcpt)
{
  fake_set("batv.key_file", "/somewhere");
  fake_set("batv.refuse", "rcpt");
  open_check(&smtpf_check_unsigned_bounce);
  to("<bob@example.net>", SMTPF_SIGNATURE_NONE, NULL, NULL);
  ck_only(&t, SMTPF_HIT, "unsigned");
  ck_assert_uint_eq(t.findings[0].recipient, 0);
  to("<prvs=0123abcdef=bob@example.net>", SMTPF_SIGNATURE_GOOD, "bob@example.net", NULL);
  ck_assert_uint_eq(t.n, 0);
  to("<Postmaster>", SMTPF_SIGNATURE_NONE, NULL, NULL);
  ck_assert_uint_eq(t.n, 0);
  t.recipients[0] = "bob@example.net";
  fake_run(&t, SMTPF_DATA);
  ck_assert_uint_eq(t.n, 0);
  fake_close(&t);
}
END_TEST

Suite *signature_suite(void)
{
  Suite *s = suite_create("check_signature");
  TCase *c = tcase_create("signature");

  tcase_add_checked_fixture(c, fresh, NULL);
  tcase_add_test(c, idle_without_keys);
  tcase_add_loop_test(c, what_is_said, 0, 9);
  tcase_add_test(c, nothing_to_say);
  tcase_add_loop_test(c, relay_takes_what_was_signed, 0, 7);
  tcase_add_test(c, recipient_asks_about_the_mailbox);
  tcase_add_test(c, unsigned_at_data);
  tcase_add_test(c, unsigned_at_rcpt);
  suite_add_tcase(s, c);
  return s;
}
