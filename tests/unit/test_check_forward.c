/* SPDX-License-Identifier: MIT
 *
 * forward_target: what the DNS, the store and a callout say of where a recipient's mail goes.
 */
#include <string.h>

#include <smtpfilter/ext/target.h>

#include "fake_check.h"

static smtpf_task T;

/* The tags of the check, in the order in which it asks the store. */
enum { UNKNOWN = 4, SPAM, POLICY, KEPT };

static smtpf_task *begin(const char *forward)
{
  ck_assert_int_eq(fake_open(&T, &smtpf_check_forward_target, NULL), SMTPF_OK);
  fake_client(&T, "192.0.2.77");
  fake_sender(&T, "<Ann@Origin.Example>");
  fake_recipient(&T, "<bob@example.net>");
  T.ev.wall_s = 1000;
  T.forward = forward;
  fake_run(&T, SMTPF_RCPT);
  return &T;
}

static void end(void)
{
  fake_close(&T);
  ck_assert_int_eq(fake_live, 0);
  fake_reset();
}

static void store(const char *unknown, const char *spam, unsigned policy)
{
  const char count[8] = {(char)(policy & 0xff), (char)(policy >> 8 & 0xff), (char)(policy >> 16 & 0xff)};
  fake_store(&T, UNKNOWN, unknown ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, smtpf_str_of(unknown));
  fake_store(&T, SPAM, spam ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, smtpf_str_of(spam));
  fake_store(&T, POLICY, policy ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, (smtpf_str){count, sizeof count});
}

static void expect_refusal(const char *code, int reply, const char *enhanced)
{
  const fake_finding *f = &T.findings[0];
  ck_only(&T, SMTPF_HIT, code);
  ck_assert_int_eq(f->reply, reply);
  ck_assert_str_eq(f->enhanced, enhanced);
  ck_assert_uint_eq(f->flags, SMTPF_FINDING_REFUSE | SMTPF_FINDING_OWN_TOO | SMTPF_FINDING_ROUTE);
  ck_assert_ptr_nonnull(strstr(f->detail, "bob@target.example"));
  ck_assert_msg(!strstr(f->text, "target"), "the reply names it: %s", f->text);
}

START_TEST(who_does_not_forward_is_not_looked_at)
{
  fake_reset();
  begin(NULL);
  ck_assert_int_eq(T.status, SMTPF_OK);
  ck_assert_uint_eq(T.n + T.asked, 0);
  end();
}
END_TEST

START_TEST(the_domain_takes_mail)
{
  fake_reset();
  begin("bob@target.example");
  store(NULL, NULL, 0);
  ck_assert_int_eq(T.status, SMTPF_PENDING);
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  ck_only(&T, SMTPF_CLEAR, "ok");
  end();
  begin("bob@target.example"); /* its own address does */
  fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", SMTPF_DNS_NODATA);
  fake_dns_fails(&T, SMTPF_DNS_AAAA, "target.example", SMTPF_DNS_NODATA);
  store(NULL, NULL, 2);
  FAKE_DNS(&T, SMTPF_DNS_A, "target.example", "192.0.2.9");
  ck_only(&T, SMTPF_CLEAR, "ok");
  end();
  begin("bob@[192.0.2.9]"); /* a literal needs no DNS */
  store(NULL, NULL, 0);
  ck_only(&T, SMTPF_CLEAR, "ok");
  end();
}
END_TEST

START_TEST(the_domain_takes_none)
{
  fake_reset();
  begin("bob@target.example");
  store(NULL, NULL, 0);
  fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", SMTPF_DNS_NXDOMAIN);
  expect_refusal("target-domain", 550, "5.1.2");
  end();
  begin("bob@target.example");
  store(NULL, NULL, 0);
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "");
  expect_refusal("target-null-mx", 556, "5.1.10");
  end();
  begin("bob@target.example");
  store(NULL, NULL, 0);
  fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", SMTPF_DNS_NODATA);
  fake_dns_fails(&T, SMTPF_DNS_A, "target.example", SMTPF_DNS_NODATA);
  fake_dns_fails(&T, SMTPF_DNS_AAAA, "target.example", SMTPF_DNS_NXDOMAIN);
  expect_refusal("target-domain", 550, "5.1.2");
  end();
  begin("not an address");
  ck_only(&T, SMTPF_HIT, "target-syntax");
  ck_assert_uint_eq(T.asked, 0);
  end();
}
END_TEST

/* Whatever fails, and in whatever part: it is unknown, and refuses nobody (promise L4). */
START_TEST(what_fails_is_unknown)
{
  static const int failures[] = {SMTPF_DNS_SERVFAIL, SMTPF_DNS_TIMEOUT};
  fake_reset();
  for (size_t i = 0; i < 2; i++) {
    begin("bob@target.example");
    store(NULL, NULL, 0);
    fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", failures[i]);
    ck_only(&T, SMTPF_UNKNOWN, "dns");
    ck_assert_uint_eq(T.findings[0].flags, 0);
    end();
    begin("bob@target.example"); /* one address is not there, of the other nobody knows */
    store(NULL, NULL, 0);
    fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", SMTPF_DNS_NODATA);
    fake_dns_fails(&T, i ? SMTPF_DNS_A : SMTPF_DNS_AAAA, "target.example", failures[i]);
    fake_dns_fails(&T, i ? SMTPF_DNS_AAAA : SMTPF_DNS_A, "target.example", SMTPF_DNS_NODATA);
    ck_only(&T, SMTPF_UNKNOWN, "dns");
    end();
  }
  begin("bob@target.example");
  fake_store(&T, UNKNOWN, SMTPF_STORE_FAILED, SMTPF_LIT(""));
  fake_store(&T, SPAM, SMTPF_STORE_ABSENT, SMTPF_LIT(""));
  fake_store(&T, POLICY, SMTPF_STORE_FAILED, SMTPF_LIT(""));
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  ck_only(&T, SMTPF_UNKNOWN, "store");
  end();
}
END_TEST

START_TEST(what_is_remembered_refuses)
{
  fake_reset();
  begin("bob@target.example");
  store("550 5.1.1 no such user", NULL, 0);
  fake_dns_fails(&T, SMTPF_DNS_MX, "target.example", SMTPF_DNS_TIMEOUT); /* it is known without the DNS */
  expect_refusal("target-unknown", 550, "5.1.1");
  ck_assert_ptr_nonnull(strstr(T.findings[0].detail, "550 5.1.1 no such user"));
  end();
  begin("bob@target.example");
  store(NULL, "554 5.7.1 spam", 0);
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  expect_refusal("target-spam", 550, "5.7.1");
  end();
  static const unsigned counts[] = {3, 4, 0x100, 0x10000};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    begin("bob@target.example");
    store(NULL, NULL, counts[i]);
    FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
    expect_refusal("target-policy", 550, "5.7.1");
    end();
  }
}
END_TEST

START_TEST(a_reply_may_reveal_it)
{
  fake_reset();
  fake_set("forward.reveal", "true");
  begin("bob@target.example");
  store("550 5.1.1 no such user", NULL, 0);
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  ck_only(&T, SMTPF_HIT, "target-unknown");
  ck_assert_str_eq(T.findings[0].text, "the mailbox behind this recipient does not exist: bob@target.example: 550 "
                                       "5.1.1 no such user");
  end();
}
END_TEST

START_TEST(our_own_mailboxes_are_asked_of_the_directory)
{
  static const struct {
    int status, kind;
    const char *code;
  } rows[] = {{SMTPF_DIRECTORY_EXISTS, SMTPF_CLEAR, "ours"},
              {SMTPF_DIRECTORY_ABSENT, SMTPF_HIT, "target-unknown"},
              {SMTPF_DIRECTORY_UNKNOWN, SMTPF_UNKNOWN, "directory"}};
  fake_reset();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_int_eq(fake_open(&T, &smtpf_check_forward_target, NULL), SMTPF_OK);
    fake_sender(&T, "<>");
    fake_recipient(&T, "<bob@example.net>");
    T.forward = "carol@example.net";
    fake_run(&T, SMTPF_RCPT);
    ck_assert_uint_eq(T.asked, 1);
    fake_directory(&T, "carol@example.net", rows[i].status, NULL);
    ck_only(&T, rows[i].kind, rows[i].code);
    end();
  }
}
END_TEST

/* ---- callouts ---- */

static void begin_callout(const char *kept)
{
  fake_reset();
  fake_set("forward.callout", "true");
  begin("bob@target.example");
  store(NULL, NULL, 0);
  fake_store(&T, KEPT, kept ? SMTPF_STORE_FOUND : SMTPF_STORE_ABSENT, smtpf_str_of(kept));
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
}

static void call_out(int status, int code, const char *enhanced, const char *words)
{
  const smtpf_callout_answer a = {.size = sizeof a,
                                  .status = status,
                                  .code = code,
                                  .enhanced = smtpf_str_of(enhanced),
                                  .text = smtpf_str_of(status == SMTPF_CALLOUT_UNKNOWN ? "" : words),
                                  .cause = smtpf_str_of(status == SMTPF_CALLOUT_UNKNOWN ? words : "")};
  begin_callout(NULL);
  ck_assert_int_eq(T.status, SMTPF_PENDING);
  fake_callout(&T, "bob@target.example from ", &a);
}

static void expect_kept(const char *value, int64_t expires)
{
  unsigned char key[SMTPF_DIGEST_BYTES];
  smtpf_target_key(SMTPF_TARGET_CALLOUT, SMTPF_LIT("Bob@TARGET.example"), NULL, (smtpf_str){"", 0}, key);
  ck_assert_uint_eq(T.n_changes, 1);
  ck_assert_int_eq(T.changes[0].op, SMTPF_CHANGE_SET);
  ck_assert_mem_eq(T.changes[0].key.p, key, sizeof key);
  ck_assert_uint_eq(T.changes[0].value.n, strlen(value));
  ck_assert_mem_eq(T.changes[0].value.p, value, strlen(value));
  ck_assert_int_eq(T.changes[0].expires, expires);
}

START_TEST(a_callout_accepts)
{
  call_out(SMTPF_CALLOUT_ACCEPTED, 250, "2.1.5", "ok");
  ck_only(&T, SMTPF_CLEAR, "accepted");
  expect_kept("250 2.1.5 ok", 1000 + 86400);
  end();
}
END_TEST

START_TEST(a_callout_refuses)
{
  static const struct {
    int code;
    const char *enhanced, *text, *value;
  } rows[] = {{550, "5.1.1", "no such user", "550 5.1.1 no such user"},
              {550, "", "rejected", "550 rejected"},
              {553, "", "", "553"},
              {550, "5.7.1", "User unknown", "550 5.7.1 User unknown"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    call_out(SMTPF_CALLOUT_REFUSED, rows[i].code, rows[i].enhanced, rows[i].text);
    expect_refusal("target-unknown", 550, "5.1.1");
    expect_kept(rows[i].value, 1000 + 3 * 3600);
    end();
  }
}
END_TEST

/* Refused, yet not because there is no such mailbox; not answered; not asked. */
START_TEST(a_callout_that_fails_is_unknown)
{
  static const struct {
    int status, code;
    const char *enhanced, *words;
  } rows[] = {{SMTPF_CALLOUT_REFUSED, 554, "5.7.1", "client host blocked using dnsbl.example"},
              {SMTPF_CALLOUT_REFUSED, 550, "5.7.1", "we do not like you"},
              {SMTPF_CALLOUT_REFUSED, 552, "5.2.2", "mailbox full"},
              {SMTPF_CALLOUT_REFUSED, 554, "", "no"},
              {SMTPF_CALLOUT_UNKNOWN, 451, "4.7.1", "deferred"},
              {SMTPF_CALLOUT_UNKNOWN, 0, "", "timeout"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    call_out(rows[i].status, rows[i].code, rows[i].enhanced, rows[i].words);
    ck_only(&T, SMTPF_UNKNOWN, "callout");
    ck_assert_uint_eq(T.n_changes, 0);
    end();
  }
  fake_reset();
  fake_set("forward.callout", "true");
  begin("bob@target.example");
  store(NULL, NULL, 0);
  fake_store(&T, KEPT, SMTPF_STORE_ABSENT, SMTPF_LIT(""));
  T.asked_max = T.asked;
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  ck_only(&T, SMTPF_UNKNOWN, "not-asked");
  end();
}
END_TEST

START_TEST(what_a_callout_found_is_kept)
{
  begin_callout("250 2.1.5 ok");
  ck_only(&T, SMTPF_CLEAR, "accepted");
  end();
  begin_callout("550 5.1.1 no such user");
  expect_refusal("target-unknown", 550, "5.1.1");
  end();
}
END_TEST

START_TEST(options_are_looked_at)
{
  fake_reset();
  fake_set("forward.callout_sender", "no address");
  ck_assert_int_eq(fake_open(&T, &smtpf_check_forward_target, NULL), SMTPF_EINVAL);
  fake_reset();
  fake_set("forward.callout", "true");
  fake_set("forward.callout_sender", "probe@example.net");
  fake_set("forward.callout_good", "0s");
  fake_set("forward.suspend_after", "1");
  begin("bob@target.example");
  store(NULL, NULL, 0);
  fake_store(&T, KEPT, SMTPF_STORE_ABSENT, SMTPF_LIT(""));
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  const smtpf_callout_answer a = {.size = sizeof a, .status = SMTPF_CALLOUT_ACCEPTED, .code = 250};
  fake_callout(&T, "bob@target.example from probe@example.net", &a);
  ck_only(&T, SMTPF_CLEAR, "accepted");
  ck_assert_uint_eq(T.n_changes, 0);
  fake_run(&T, SMTPF_RCPT);
  store(NULL, NULL, 1);
  fake_store(&T, KEPT, SMTPF_STORE_ABSENT, SMTPF_LIT(""));
  FAKE_DNS(&T, SMTPF_DNS_MX, "target.example", "mx.target.example");
  expect_refusal("target-policy", 550, "5.7.1");
  end();
}
END_TEST

/* ---- keys ---- */

static void key_of(int kind, const char *target, const char *client, const char *sender, unsigned char *out)
{
  smtpf_ip ip = {0};
  if (client)
    ck_assert_int_eq(smtpf_ip_parse(smtpf_str_of(client), &ip), SMTPF_OK);
  smtpf_target_key(kind, smtpf_str_of(target), client ? &ip : NULL, smtpf_str_of(sender), out);
}

START_TEST(keys_are_about_what_they_say)
{
  unsigned char a[SMTPF_DIGEST_BYTES], b[SMTPF_DIGEST_BYTES];
  key_of(SMTPF_TARGET_SPAM, "bob@target.example", "192.0.2.1", "ann@example.org", a);
  key_of(SMTPF_TARGET_SPAM, "BOB@Target.example", "192.0.2.254", "Ann@example.org", b);
  ck_assert_mem_eq(a, b, sizeof a);
  key_of(SMTPF_TARGET_SPAM, "bob@target.example", "192.0.3.1", "ann@example.org", b);
  ck_assert_mem_ne(a, b, sizeof a);
  key_of(SMTPF_TARGET_SPAM, "bob@target.example", "192.0.2.1", "", b);
  ck_assert_mem_ne(a, b, sizeof a);
  key_of(SMTPF_TARGET_SPAM, "bob@target.example", "2001:db8::1", "", a);
  key_of(SMTPF_TARGET_SPAM, "bob@target.example", "2001:db8::2:0:0:1", "", b);
  ck_assert_mem_eq(a, b, sizeof a);
  for (int kind = SMTPF_TARGET_UNKNOWN; kind <= SMTPF_TARGET_CALLOUT; kind++)
    for (int other = kind + 1; other <= SMTPF_TARGET_CALLOUT; other++) {
      key_of(kind, "bob@target.example", NULL, "", a);
      key_of(other, "bob@target.example", NULL, "", b);
      ck_assert_mem_ne(a, b, sizeof a);
    }
}
END_TEST

Suite *forward_suite(void)
{
  Suite *s = suite_create("forward_target");
  TCase *c = tcase_create("all");
  tcase_add_test(c, who_does_not_forward_is_not_looked_at);
  tcase_add_test(c, the_domain_takes_mail);
  tcase_add_test(c, the_domain_takes_none);
  tcase_add_test(c, what_fails_is_unknown);
  tcase_add_test(c, what_is_remembered_refuses);
  tcase_add_test(c, a_reply_may_reveal_it);
  tcase_add_test(c, our_own_mailboxes_are_asked_of_the_directory);
  tcase_add_test(c, a_callout_accepts);
  tcase_add_test(c, a_callout_refuses);
  tcase_add_test(c, a_callout_that_fails_is_unknown);
  tcase_add_test(c, what_a_callout_found_is_kept);
  tcase_add_test(c, options_are_looked_at);
  tcase_add_test(c, keys_are_about_what_they_say);
  suite_add_tcase(s, c);
  return s;
}
