/* SPDX-License-Identifier: MIT
 *
 * Domain names and ESMTP parameters.
 */
#include <smtpfilter/ext/mail.h>

#include "suites.h"

START_TEST(forms)
{
  const struct {
    const char *text;
    int form;
  } cases[] = {
      {"mail.example.org", SMTPF_DOMAIN_QUALIFIED},
      {"mail.example.org.", SMTPF_DOMAIN_QUALIFIED},
      {"MAIL.Example", SMTPF_DOMAIN_QUALIFIED},
      {"1.2.3", SMTPF_DOMAIN_QUALIFIED},
      {"a.b-c.d", SMTPF_DOMAIN_QUALIFIED},
      {"xn--nxasmq6b.example", SMTPF_DOMAIN_QUALIFIED},
      {"localhost", SMTPF_DOMAIN_UNQUALIFIED},
      {"localhost.", SMTPF_DOMAIN_UNQUALIFIED},
      {"my_pc", SMTPF_DOMAIN_UNQUALIFIED},
      {"my_pc.example", SMTPF_DOMAIN_UNDERSCORE},
      {"_a.b", SMTPF_DOMAIN_UNDERSCORE},
      {"[192.0.2.1]", SMTPF_DOMAIN_LITERAL},
      {"[IPv6:2001:db8::1]", SMTPF_DOMAIN_LITERAL},
      {"192.0.2.1", SMTPF_DOMAIN_BARE_ADDRESS},
      {"2001:db8::1", SMTPF_DOMAIN_BARE_ADDRESS},
      {"b\xc3\xbc"
       "cher.example",
       SMTPF_DOMAIN_UTF8},
      {"", SMTPF_DOMAIN_BAD},
      {".", SMTPF_DOMAIN_BAD},
      {"..", SMTPF_DOMAIN_BAD},
      {"a..b", SMTPF_DOMAIN_BAD},
      {".a", SMTPF_DOMAIN_BAD},
      {"a.b..", SMTPF_DOMAIN_BAD},
      {"-a.b", SMTPF_DOMAIN_BAD},
      {"a-.b", SMTPF_DOMAIN_BAD},
      {"a.b-", SMTPF_DOMAIN_BAD},
      {"a b.c", SMTPF_DOMAIN_BAD},
      {"a.b/c", SMTPF_DOMAIN_BAD},
      {"b\xfc"
       "cher.example",
       SMTPF_DOMAIN_BAD},
      {"[192.0.2.1", SMTPF_DOMAIN_BAD},
      {"192.0.2.1]", SMTPF_DOMAIN_BAD},
      {"[]", SMTPF_DOMAIN_BAD},
      {"[mail.example]", SMTPF_DOMAIN_BAD},
      {"2001:db8", SMTPF_DOMAIN_BAD},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int form = smtpf_domain_form(smtpf_str_of(cases[i].text));
    ck_assert_msg(form == cases[i].form, "%s is %d, not %d", cases[i].text, form, cases[i].form);
  }
  ck_assert_int_eq(smtpf_domain_form(S("a\0.b")), SMTPF_DOMAIN_BAD);
}
END_TEST

START_TEST(lengths)
{
  char text[300];
  memset(text, 'a', sizeof text);
  ck_assert_int_eq(smtpf_domain_form((smtpf_str){text, 63}), SMTPF_DOMAIN_UNQUALIFIED);
  ck_assert_int_eq(smtpf_domain_form((smtpf_str){text, 64}), SMTPF_DOMAIN_BAD);
  for (size_t i = 50; i < sizeof text; i += 51)
    text[i] = '.';
  ck_assert_int_eq(smtpf_domain_form((smtpf_str){text, 253}), SMTPF_DOMAIN_QUALIFIED);
  text[254] = 'a';
  ck_assert_int_eq(smtpf_domain_form((smtpf_str){text, 256}), SMTPF_DOMAIN_BAD);
}
END_TEST

START_TEST(equal_and_within)
{
  ck_assert(smtpf_domain_equal(S("Mail.Example"), S("mail.example.")));
  ck_assert(!smtpf_domain_equal(S("mail.example"), S("mail.exampl")));
  ck_assert(smtpf_domain_equal(S(""), S("")));
  ck_assert(!smtpf_domain_equal(S("."), S("")));

  ck_assert(smtpf_domain_within(S("mail.example"), S("mail.example")));
  ck_assert(smtpf_domain_within(S("MX.mail.example."), S("Mail.Example")));
  ck_assert(smtpf_domain_within(S("a.b.mail.example"), S("mail.example.")));
  ck_assert(!smtpf_domain_within(S("xmail.example"), S("mail.example")));
  ck_assert(!smtpf_domain_within(S("example"), S("mail.example")));
  ck_assert(!smtpf_domain_within(S("mail.example"), S("")));
  ck_assert(!smtpf_domain_within(S(""), S("example")));
}
END_TEST

START_TEST(parameters)
{
  smtpf_str rest = S(" SIZE=12345 BODY=8BITMIME  SMTPUTF8 AUTH=<> X-1=a\xc3\xb6 "), key, value;
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_OK);
  ASSERT_STR(key, "SIZE");
  ASSERT_STR(value, "12345");
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_OK);
  ASSERT_STR(key, "BODY");
  ASSERT_STR(value, "8BITMIME");
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_OK);
  ASSERT_STR(key, "SMTPUTF8");
  ck_assert(value.p == NULL && value.n == 0);
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_OK);
  ASSERT_STR(key, "AUTH");
  ASSERT_STR(value, "<>");
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_OK);
  ASSERT_STR(key, "X-1");
  ASSERT_STR(value, "a\xc3\xb6");
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_ENOTFOUND);
  ck_assert_uint_eq(rest.n, 0);
  rest = (smtpf_str){NULL, 0};
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_ENOTFOUND);
}
END_TEST

START_TEST(broken_parameters)
{
  const char *bad[] = {"SIZE=", "=1", "-A=1", "A=b=c", "A=b\tc", "A_B", "A\t", "A=\xf6", "A=b\x7f", "A= b", "\tA"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    smtpf_str all = smtpf_str_of(bad[i]), rest = all, key = S("k"), value = S("v");
    ck_assert_msg(smtpf_param_next(&rest, &key, &value) == SMTPF_EPARSE, "%s", bad[i]);
    ck_assert(rest.p == all.p && rest.n == all.n);
    ASSERT_STR(key, "k");
    ASSERT_STR(value, "v");
  }
  smtpf_str rest = S("A=1\0B=2"), key, value;
  ck_assert_int_eq(smtpf_param_next(&rest, &key, &value), SMTPF_EPARSE);
}
END_TEST

Suite *smtpf_suite_mail_domain(void)
{
  Suite *s = suite_create("mail domain, parameters");
  const TTest *domains[] = {forms, lengths, equal_and_within, NULL};
  const TTest *params[] = {parameters, broken_parameters, NULL};
  add_case(s, "domain", domains);
  add_case(s, "parameters", params);
  return s;
}
