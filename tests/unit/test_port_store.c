/* SPDX-License-Identifier: MIT
 *
 * The memory store: the contract, its bound, and memory that ends.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "port_run.h"
#include "store_contract.h"

static const fake_option roomy[] = {{"store.memory", "1000000"}};
static const contract_store memory = {smtpf_store_memory, roomy, 1, NULL, NULL};
static const fake_option narrow[] = {{"store.memory", "20000"}};
static const contract_store small = {smtpf_store_memory, narrow, 1, NULL, NULL};

static void setup(void)
{
  contract_open(&small);
}

/* What the failing commits below must leave as it was. */
static void fill(void)
{
  smtpf_change all[] = {contract_change(SMTPF_CHANGE_SET, "a", "old"),
                        contract_change(SMTPF_CHANGE_SET, "text", "not a number"),
                        contract_change(SMTPF_CHANGE_SET, "gone", "soon")};
  all[0].expires = contract_driver->wall + 100;
  ck_assert_int_eq(contract_commit(all, 3), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_number("n", 7)), SMTPF_STORE_DONE);
}

static void expect_filled(void)
{
  ck_assert_str_eq(contract_get("a"), "old");
  ck_assert_str_eq(contract_get("gone"), "soon");
  ck_assert_str_eq(contract_get("new"), "-");
  ck_assert_str_eq(contract_get("text"), "not a number");
  ck_assert_int_eq(contract_get_number("n"), 7);
  contract_driver->wall += 101;
  ck_assert_str_eq(contract_get("a"), "-"); /* its expiry came back with it */
  contract_driver->wall -= 101;
}

START_TEST(all_or_none_when_memory_ends)
{
  fill();
  size_t failures = 0;
  smtpf_change all[16];
  char keys[12][8];
  all[0] = contract_change(SMTPF_CHANGE_SET, "a", "new");
  all[1] = contract_number("n", 1);
  all[2] = contract_change(SMTPF_CHANGE_DELETE, "gone", "");
  all[3] = contract_change(SMTPF_CHANGE_SET, "new", "x");
  for (int i = 4; i < 16; i++) { /* enough for the tables to grow */
    snprintf(keys[i - 4], sizeof keys[0], "k%d", i);
    all[i] = contract_change(SMTPF_CHANGE_SET, keys[i - 4], "v");
    all[i].expires = contract_driver->wall + 50;
  }
  for (long i = 1;; i++) {
    contract_driver->fail_at = contract_driver->allocations + i;
    int r = contract_commit(all, 16);
    contract_driver->fail_at = 0;
    if (r == SMTPF_STORE_DONE)
      break;
    ck_assert_int_eq(r, SMTPF_STORE_FAILED);
    failures++;
    expect_filled();
    smtpf_change again = contract_change(SMTPF_CHANGE_SET, "a", "old"); /* expect_filled() let it expire */
    again.expires = contract_driver->wall + 100;
    ck_assert_int_eq(contract_one(again), SMTPF_STORE_DONE);
  }
  ck_assert_uint_ge(failures, 16);
  ck_assert_str_eq(contract_get("a"), "new");
  ck_assert_int_eq(contract_get_number("n"), 8);
  ck_assert_str_eq(contract_get("k15"), "v");
}
END_TEST

/* 2000 bytes of value: some nine fit the 20000 of the test's option. */
static void write_big(const char *key, int64_t expires)
{
  static char big[2000];
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, key, "");
  c.value = (smtpf_str){big, sizeof big};
  c.expires = expires;
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
}

START_TEST(the_least_recently_used_go_first)
{
  char key[8];
  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "k%d", i);
    write_big(key, 0);
  }
  ck_assert_str_ne(contract_get("k0"), "-"); /* now the most recent */
  write_big("k9", 0);
  ck_assert_str_ne(contract_get("k0"), "-");
  ck_assert_str_eq(contract_get("k1"), "-");
  ck_assert_str_ne(contract_get("k2"), "-");
}
END_TEST

START_TEST(the_expired_go_before_all_others)
{
  char key[8];
  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "k%d", i);
    write_big(key, i == 5   ? contract_driver->wall + 10
                   : i == 6 ? contract_driver->wall + 20
                            : contract_driver->wall + 1000);
  }
  contract_driver->wall += 30;
  write_big("k9", 0);
  ck_assert_str_ne(contract_get("k0"), "-");
  contract_driver->wall -= 30; /* so that a look alone does not drop them */
  ck_assert_str_eq(contract_get("k5"), "-");
  ck_assert_str_ne(contract_get("k6"), "-");
}
END_TEST

START_TEST(a_commit_beyond_the_bound_fails)
{
  static char big[4096];
  smtpf_change all[6];
  char keys[6][8];
  write_big("kept", 0);
  for (int i = 0; i < 6; i++) {
    snprintf(keys[i], sizeof keys[0], "k%d", i);
    all[i] = contract_change(SMTPF_CHANGE_SET, keys[i], "");
    all[i].value = (smtpf_str){big, sizeof big};
  }
  ck_assert_int_eq(contract_commit(all, 6), SMTPF_STORE_FAILED);
  ck_assert_str_ne(contract_get("kept"), "-");
  ck_assert_str_eq(contract_get("k0"), "-");
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {all_or_none_when_memory_ends, the_least_recently_used_go_first,
                                the_expired_go_before_all_others, a_commit_beyond_the_bound_fails};
  Suite *s = suite_create("port: memory store");
  TCase *t = tcase_create("bounds");
  contract_add(s, &memory);
  tcase_add_checked_fixture(t, setup, contract_close);
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
    tcase_add_test(t, tests[i]);
  suite_add_tcase(s, t);
  return port_run(s);
}
