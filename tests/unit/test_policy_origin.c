/* SPDX-License-Identifier: MIT
 *
 * origin: who a client is, in the order of the table, and what each may be refused for.
 */
#include "policy/origin.h"
#include "test_policy.h"

enum { SITE = 2, FRIEND = 4, CLUB = 8, OFFICE = 16, BACKUP = 32 };

START_TEST(the_first_that_holds)
{
  const smtpf_profile p = {.forwarders = FRIEND, .lists = CLUB};
  const struct {
    smtpf_standing client;
    int origin;
  } rows[] = {
      {{.scopes = 0}, SMTPF_ORIGIN_STRANGER},
      {{.scopes = OFFICE}, SMTPF_ORIGIN_STRANGER},
      {{.scopes = CLUB}, SMTPF_ORIGIN_LIST},
      {{.scopes = CLUB | FRIEND}, SMTPF_ORIGIN_FORWARDER},
      {{.scopes = SITE}, SMTPF_ORIGIN_FORWARDER},
      {{.scopes = SITE | BACKUP}, SMTPF_ORIGIN_BACKUP_MX},
      {{.scopes = BACKUP, .own = 1}, SMTPF_ORIGIN_OWN},
      {{.scopes = BACKUP | SITE | CLUB, .open_relay = 1}, SMTPF_ORIGIN_STRANGER},
      {{.scopes = 0, .own = 1, .open_relay = 1}, SMTPF_ORIGIN_OWN},
      {{.scopes = CLUB, .other_list = CLUB}, SMTPF_ORIGIN_STRANGER},
      {{.scopes = CLUB, .other_list = FRIEND}, SMTPF_ORIGIN_LIST},
      {{.scopes = CLUB | FRIEND, .other_list = CLUB | FRIEND}, SMTPF_ORIGIN_FORWARDER},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_standing c = rows[i].client;
    c.backup_mx = BACKUP;
    c.forwarders = SITE;
    ck_assert_msg(smtpf_origin_of(&c, &p) == rows[i].origin, "row %zu", i);
  }
}
END_TEST

START_TEST(by_what_it_is_trusted)
{
  const smtpf_profile p = {.forwarders = FRIEND, .lists = CLUB};
  const struct {
    smtpf_standing client;
    uint64_t scopes;
  } rows[] = {
      {{.scopes = OFFICE}, 0},
      {{.scopes = CLUB | OFFICE}, CLUB},
      {{.scopes = CLUB, .other_list = CLUB}, 0},
      {{.scopes = CLUB | FRIEND}, FRIEND},
      {{.scopes = SITE | FRIEND | OFFICE}, SITE | FRIEND},
      {{.scopes = SITE | BACKUP | OFFICE}, BACKUP},
      {{.scopes = BACKUP, .own = 1}, 0},
      {{.scopes = SITE, .open_relay = 1}, SITE},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_standing c = rows[i].client;
    c.backup_mx = BACKUP;
    c.forwarders = SITE;
    ck_assert_msg(smtpf_origin_trust(&c, &p) == rows[i].scopes, "row %zu", i);
  }
}
END_TEST

START_TEST(only_from)
{
  const smtpf_profile anybody = {.null_sender = 1}, office = {.only_from = OFFICE},
                      bounces = {.only_from = OFFICE, .null_sender = 1};
  const smtpf_standing in = {.scopes = OFFICE | CLUB}, out = {.scopes = CLUB}, own = {.own = 1};
  ck_assert(!smtpf_origin_restricted(&out, &anybody, 0));
  ck_assert(!smtpf_origin_restricted(&in, &office, 0));
  ck_assert(smtpf_origin_restricted(&out, &office, 0));
  ck_assert(smtpf_origin_restricted(&own, &office, 0)); /* it is about the path, not about trust */
  ck_assert(smtpf_origin_restricted(&out, &office, 1));
  ck_assert(!smtpf_origin_restricted(&out, &bounces, 1));
  ck_assert(smtpf_origin_restricted(&out, &bounces, 0));
}
END_TEST

START_TEST(what_each_may_be_refused_for)
{
  for (int origin = SMTPF_ORIGIN_OWN; origin <= SMTPF_ORIGIN_STRANGER; origin++)
    for (int family = SMTPF_FAMILY_CLIENT; family <= SMTPF_FAMILY_PROOF; family++) {
      const int own = origin == SMTPF_ORIGIN_OWN, stranger = origin == SMTPF_ORIGIN_STRANGER;
      const int envelope = family == SMTPF_FAMILY_ENVELOPE;
      ck_assert_int_eq(smtpf_origin_may_refuse(origin, family, SMTPF_FINDING_REFUSE), stranger || (!own && envelope));
      ck_assert_int_eq(smtpf_origin_may_refuse(origin, family, SMTPF_FINDING_OWN_TOO), own || stranger || envelope);
      ck_assert_int_eq(smtpf_origin_may_refuse(origin, family, SMTPF_FINDING_ROUTE), !own);
      ck_assert_int_eq(smtpf_origin_may_reject(origin), stranger);
      ck_assert_int_eq(smtpf_origin_passes_on(origin), !own && !stranger);
    }
}
END_TEST

TCase *origin_cases(void)
{
  TCase *c = tcase_create("origin");
  tcase_add_test(c, the_first_that_holds);
  tcase_add_test(c, by_what_it_is_trusted);
  tcase_add_test(c, only_from);
  tcase_add_test(c, what_each_may_be_refused_for);
  return c;
}
