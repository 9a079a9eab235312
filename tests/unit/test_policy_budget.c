/* SPDX-License-Identifier: MIT
 *
 * budget: by number, by time, once a wait, forgotten after silence; and records nobody can have written.
 */
#include <string.h>

#include "policy/budget.h"
#include "policy/judge.h"
#include "test_policy.h"

static const smtpf_budget_limits limits = {.count = 3, .time_s = 1000, .wait_s = 100, .memory_s = 5000};

static int at(const smtpf_budget *b, int64_t now)
{
  return smtpf_budget_state_of(b, &limits, now);
}

START_TEST(by_number)
{
  smtpf_budget b = {0};
  ck_assert_int_eq(at(&b, 7000), SMTPF_BUDGET_LEFT);
  smtpf_budget_charge(&b, &limits, 7000);
  ck_assert_int_eq(b.count, 1);
  for (int i = 0; i < 12; i++)
    smtpf_budget_charge(&b, &limits, 7000 + 8 * i); /* a bot that does not wait */
  ck_assert_int_eq(b.count, 1);
  ck_assert_int_eq(b.last_s, 7000);
  smtpf_budget_charge(&b, &limits, 7099);
  ck_assert_int_eq(b.count, 1);
  smtpf_budget_charge(&b, &limits, 7100);
  ck_assert_int_eq(b.count, 2);
  ck_assert_int_eq(at(&b, 7100), SMTPF_BUDGET_LEFT);
  smtpf_budget_charge(&b, &limits, 7199);
  ck_assert_int_eq(b.count, 2);
  smtpf_budget_charge(&b, &limits, 7200);
  ck_assert_int_eq(b.count, 3);
  ck_assert_int_eq(b.first_s, 7000);
  ck_assert_int_eq(b.last_s, 7200);
  ck_assert_int_eq(at(&b, 7200), SMTPF_BUDGET_SPENT);
}
END_TEST

START_TEST(by_time)
{
  const smtpf_budget b = {1, 7000, 7000};
  ck_assert_int_eq(at(&b, 7999), SMTPF_BUDGET_LEFT);
  ck_assert_int_eq(at(&b, 8000), SMTPF_BUDGET_SPENT);
  ck_assert_int_eq(at(&b, 6000), SMTPF_BUDGET_LEFT); /* the clock went back */
  const smtpf_budget_limits none = {.count = 0, .time_s = 1000, .wait_s = 100, .memory_s = 5000},
                            one = {.count = 1, .time_s = 1000, .wait_s = 100, .memory_s = 5000};
  const smtpf_budget empty = {0};
  ck_assert_int_eq(smtpf_budget_state_of(&empty, &none, 7000), SMTPF_BUDGET_SPENT);
  ck_assert_int_eq(smtpf_budget_state_of(&empty, &one, 7000), SMTPF_BUDGET_LEFT);
  ck_assert_int_eq(smtpf_budget_state_of(&b, &one, 7000), SMTPF_BUDGET_SPENT);
}
END_TEST

START_TEST(silence)
{
  smtpf_budget b = {3, 7000, 7200};
  ck_assert_int_eq(at(&b, 12199), SMTPF_BUDGET_SPENT);
  ck_assert_int_eq(at(&b, 12200), SMTPF_BUDGET_LEFT);
  smtpf_budget_charge(&b, &limits, 12199);
  ck_assert_int_eq(b.count, 4);
  b = (smtpf_budget){3, 7000, 7200};
  smtpf_budget_charge(&b, &limits, 12200);
  ck_assert_int_eq(b.count, 1);
  ck_assert_int_eq(b.first_s, 12200);
  ck_assert_int_eq(b.last_s, 12200);
}
END_TEST

/* A record from a clock that was ahead, by a year, is a debt like another: the deferrals end. */
START_TEST(a_clock_that_went_back)
{
  const int64_t now = 7000, ahead = now + 365 * 86400;
  smtpf_budget b = {1, ahead, ahead};
  smtpf_budget_charge(&b, &limits, now);
  ck_assert_int_eq(b.count, 2);
  ck_assert_int_eq(b.first_s, now);
  ck_assert_int_eq(b.last_s, now);
  ck_assert_int_eq(at(&b, now), SMTPF_BUDGET_LEFT);
  smtpf_budget_charge(&b, &limits, now - 99); /* two hosts whose clocks differ by less than a wait */
  ck_assert_int_eq(b.count, 2);
  ck_assert_int_eq(b.last_s, now);
  smtpf_budget_charge(&b, &limits, now + 100);
  ck_assert_int_eq(b.first_s, now);
  ck_assert_int_eq(at(&b, now + 100), SMTPF_BUDGET_SPENT);
}
END_TEST

START_TEST(records)
{
  char room[SMTPF_BUDGET_BYTES + 1] = {[SMTPF_BUDGET_BYTES] = 'x'}, bad[SMTPF_BUDGET_BYTES];
  const smtpf_budget b = {0x0102, 0x01020304050607, 0x7102030405060708};
  static const unsigned char want[SMTPF_BUDGET_BYTES] = {2, 1, 0, 0, 0, 0, 0, 0, 7, 6, 5, 4,
                                                         3, 2, 1, 0, 8, 7, 6, 5, 4, 3, 2, 0x71};
  smtpf_budget out = {9, 9, 9};
  const smtpf_str r = smtpf_budget_write(&b, room);
  ck_assert_uint_eq(r.n, SMTPF_BUDGET_BYTES);
  ck_assert_int_eq(room[SMTPF_BUDGET_BYTES], 'x'); /* not one byte more */
  ck_assert_int_eq(memcmp(r.p, want, sizeof want), 0);
  ck_assert_int_eq(smtpf_budget_read(&out, (smtpf_str){room, SMTPF_BUDGET_BYTES - 1}), SMTPF_EPARSE);
  ck_assert_int_eq(out.count, 9);
  ck_assert_int_eq(smtpf_budget_read(&out, r), SMTPF_OK);
  ck_assert_int_eq(memcmp(&out, &b, sizeof b), 0);
  static const smtpf_budget nobody[] = {{0, 5, 5}, {-1, 5, 5}, {1, -1, 5}, {1, 5, 4}};
  static const smtpf_budget somebody[] = {{1, 0, 0}, {1, 5, 5}, {2, 5, 6}};
  for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++)
    ck_assert_int_eq(smtpf_budget_read(&out, smtpf_budget_write(&nobody[i], bad)), SMTPF_EPARSE);
  for (size_t i = 0; i < sizeof somebody / sizeof *somebody; i++)
    ck_assert_int_eq(smtpf_budget_read(&out, smtpf_budget_write(&somebody[i], bad)), SMTPF_OK);
}
END_TEST

TCase *budget_cases(void)
{
  TCase *c = tcase_create("budget");
  tcase_add_test(c, by_number);
  tcase_add_test(c, by_time);
  tcase_add_test(c, silence);
  tcase_add_test(c, a_clock_that_went_back);
  tcase_add_test(c, records);
  return c;
}
