/* SPDX-License-Identifier: MIT
 *
 * The memory store.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "port_fake.h"
#include "port_run.h"

static const fake_option small[] = {{"store.memory", "20000"}};
static smtpf_driver *driver;
static const smtpf_store *port;
static void *self;

static void setup(void)
{
  driver = fake_new(small, 1);
  port = smtpf_store_memory();
  ck_assert_int_eq(port->start(NULL, driver, &self), SMTPF_OK);
}

static void teardown(void)
{
  port->stop(self);
  fake_free(driver);
}

/* The value of a key as text, `-` when it is absent. */
static const char *get(const char *key)
{
  static char text[4097];
  fake_forget(driver);
  ck_assert_int_eq(port->get(self, 1, smtpf_str_of(key)), SMTPF_OK);
  const fake_result *r = fake_op(driver, 1);
  ck_assert_int_eq(r->completions, 1);
  if (r->status == SMTPF_STORE_ABSENT)
    return "-";
  ck_assert_int_eq(r->status, SMTPF_STORE_FOUND);
  snprintf(text, sizeof text, "%.*s", (int)r->value.n, r->value.p);
  return text;
}

static int64_t number(const char *key)
{
  fake_forget(driver);
  ck_assert_int_eq(port->get(self, 1, smtpf_str_of(key)), SMTPF_OK);
  const fake_result *r = fake_op(driver, 1);
  ck_assert_int_eq(r->status, SMTPF_STORE_FOUND);
  ck_assert_uint_eq(r->value.n, 8);
  uint64_t v = 0;
  for (size_t i = 8; i-- > 0;)
    v = v << 8 | (unsigned char)r->value.p[i];
  return (int64_t)v;
}

static smtpf_change change(int op, const char *key, const char *value)
{
  return (smtpf_change){sizeof(smtpf_change), op, smtpf_str_of(key), smtpf_str_of(value), 0};
}

/* Up to four numbers may be in use at once. */
static smtpf_change add(const char *key, int64_t v)
{
  static char rooms[4][8];
  static unsigned next;
  char *room = rooms[next++ % 4];
  for (size_t i = 0; i < 8; i++)
    room[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_change){sizeof(smtpf_change), SMTPF_CHANGE_ADD, smtpf_str_of(key), {room, 8}, 0};
}

static int commit(const smtpf_change *changes, size_t n)
{
  fake_forget(driver);
  int r = port->commit(self, 1, changes, n);
  if (r != SMTPF_OK)
    return r;
  ck_assert_int_eq(fake_op(driver, 1)->completions, 1);
  return fake_op(driver, 1)->status;
}

static int one(smtpf_change c)
{
  return commit(&c, 1);
}

START_TEST(set_replaces)
{
  ck_assert_str_eq(get("a"), "-");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET, "a", "one")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "one");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET, "a", "three")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "three");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET, "a", "")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "");
}
END_TEST

START_TEST(set_if_absent_keeps)
{
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "one")), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "one");
}
END_TEST

START_TEST(delete_removes)
{
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET, "a", "one")), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(change(SMTPF_CHANGE_DELETE, "a", "")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "-");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_DELETE, "a", "")), SMTPF_STORE_DONE);
}
END_TEST

START_TEST(add_counts_and_saturates)
{
  ck_assert_int_eq(one(add("n", 5)), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(add("n", -7)), SMTPF_STORE_DONE);
  ck_assert_int_eq(number("n"), -2);
  ck_assert_int_eq(one(add("n", INT64_MAX)), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(add("n", INT64_MAX)), SMTPF_STORE_DONE);
  ck_assert_int_eq(number("n"), INT64_MAX);
  ck_assert_int_eq(one(add("m", INT64_MIN)), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(add("m", -1)), SMTPF_STORE_DONE);
  ck_assert_int_eq(number("m"), INT64_MIN);
}
END_TEST

START_TEST(expired_is_absent)
{
  smtpf_change c = change(SMTPF_CHANGE_SET, "a", "one");
  c.expires = driver->wall + 10;
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  driver->wall += 10;
  ck_assert_str_eq(get("a"), "one"); /* in its last second */
  driver->wall += 1;
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "two");
  driver->wall += 1000000000;
  ck_assert_str_eq(get("a"), "two"); /* 0 is never */
  smtpf_change n = add("n", 3);
  n.expires = driver->wall;
  ck_assert_int_eq(one(n), SMTPF_STORE_DONE);
  driver->wall++;
  ck_assert_str_eq(get("n"), "-");
  ck_assert_int_eq(one(add("n", 4)), SMTPF_STORE_DONE);
  ck_assert_int_eq(number("n"), 4);
  c.expires = -5; /* a clock before 1970 */
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "-");
}
END_TEST

START_TEST(changes_see_those_before_them)
{
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "one"), change(SMTPF_CHANGE_DELETE, "a", ""),
                        change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two"), add("n", 1), add("n", 2)};
  ck_assert_int_eq(commit(all, 5), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "two");
  ck_assert_int_eq(number("n"), 3);
  ck_assert_int_eq(commit(NULL, 0), SMTPF_STORE_DONE);
}
END_TEST

/* What the failing commits below must leave as it was. */
static void fill(void)
{
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "old"), change(SMTPF_CHANGE_SET, "text", "not a number"),
                        change(SMTPF_CHANGE_SET, "gone", "soon")};
  all[0].expires = driver->wall + 100;
  ck_assert_int_eq(commit(all, 3), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(add("n", 7)), SMTPF_STORE_DONE);
}

static void expect_filled(void)
{
  ck_assert_str_eq(get("a"), "old");
  ck_assert_str_eq(get("gone"), "soon");
  ck_assert_str_eq(get("new"), "-");
  ck_assert_str_eq(get("text"), "not a number");
  ck_assert_int_eq(number("n"), 7);
  driver->wall += 101;
  ck_assert_str_eq(get("a"), "-"); /* its expiry came back with it */
  driver->wall -= 101;
}

START_TEST(all_or_none)
{
  fill();
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "new"),
                        add("n", 1),
                        change(SMTPF_CHANGE_DELETE, "gone", ""),
                        change(SMTPF_CHANGE_SET, "new", "x"),
                        change(SMTPF_CHANGE_SET, "a", "newer"),
                        change(SMTPF_CHANGE_DELETE, "a", ""),
                        add("text", 1)};
  ck_assert_int_eq(commit(all, 7), SMTPF_STORE_FAILED);
  expect_filled();
}
END_TEST

START_TEST(all_or_none_when_memory_ends)
{
  fill();
  size_t failures = 0;
  smtpf_change all[16];
  char keys[12][8];
  all[0] = change(SMTPF_CHANGE_SET, "a", "new");
  all[1] = add("n", 1);
  all[2] = change(SMTPF_CHANGE_DELETE, "gone", "");
  all[3] = change(SMTPF_CHANGE_SET, "new", "x");
  for (int i = 4; i < 16; i++) { /* enough for the tables to grow */
    snprintf(keys[i - 4], sizeof keys[0], "k%d", i);
    all[i] = change(SMTPF_CHANGE_SET, keys[i - 4], "v");
    all[i].expires = driver->wall + 50;
  }
  for (long i = 1;; i++) {
    driver->fail_at = driver->allocations + i;
    int r = commit(all, 16);
    driver->fail_at = 0;
    if (r == SMTPF_STORE_DONE)
      break;
    ck_assert_int_eq(r, SMTPF_STORE_FAILED);
    failures++;
    expect_filled();
    smtpf_change again = change(SMTPF_CHANGE_SET, "a", "old"); /* expect_filled() let it expire */
    again.expires = driver->wall + 100;
    ck_assert_int_eq(one(again), SMTPF_STORE_DONE);
  }
  ck_assert_uint_ge(failures, 16);
  ck_assert_str_eq(get("a"), "new");
  ck_assert_int_eq(number("n"), 8);
  ck_assert_str_eq(get("k15"), "v");
}
END_TEST

START_TEST(misuse_is_refused)
{
  static char big[4097];
  smtpf_change c = change(SMTPF_CHANGE_SET, "", "x");
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  c.key = (smtpf_str){big, 65};
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  c.key = (smtpf_str){big, 64};
  c.value = (smtpf_str){big, 4097};
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  c.value = (smtpf_str){big, 4096};
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  c.op = SMTPF_CHANGE_ADD;
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  c.op = 0;
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  c.op = SMTPF_CHANGE_SET;
  c.size = 1;
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  ck_assert_int_eq(port->get(self, 1, (smtpf_str){NULL, 0}), SMTPF_EINVAL);
  ck_assert_int_eq(port->get(self, 1, (smtpf_str){big, 65}), SMTPF_EINVAL);
}
END_TEST

/* 2000 bytes of value: some nine fit the 20000 of the test's option. */
static void write_big(const char *key, int64_t expires)
{
  static char big[2000];
  smtpf_change c = change(SMTPF_CHANGE_SET, key, "");
  c.value = (smtpf_str){big, sizeof big};
  c.expires = expires;
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
}

START_TEST(the_least_recently_used_go_first)
{
  char key[8];
  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "k%d", i);
    write_big(key, 0);
  }
  ck_assert_str_ne(get("k0"), "-"); /* now the most recent */
  write_big("k9", 0);
  ck_assert_str_ne(get("k0"), "-");
  ck_assert_str_eq(get("k1"), "-");
  ck_assert_str_ne(get("k2"), "-");
}
END_TEST

START_TEST(the_expired_go_before_all_others)
{
  char key[8];
  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "k%d", i);
    write_big(key, i == 5 ? driver->wall + 10 : i == 6 ? driver->wall + 20 : driver->wall + 1000);
  }
  driver->wall += 30;
  write_big("k9", 0);
  ck_assert_str_ne(get("k0"), "-");
  driver->wall -= 30; /* so that a look alone does not drop them */
  ck_assert_str_eq(get("k5"), "-");
  ck_assert_str_ne(get("k6"), "-");
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
    all[i] = change(SMTPF_CHANGE_SET, keys[i], "");
    all[i].value = (smtpf_str){big, sizeof big};
  }
  ck_assert_int_eq(commit(all, 6), SMTPF_STORE_FAILED);
  ck_assert_str_ne(get("kept"), "-");
  ck_assert_str_eq(get("k0"), "-");
}
END_TEST

/* The same changes on the store and on a plain array must agree. */
START_TEST(agrees_with_a_model)
{
  enum { KEYS = 20 };
  struct {
    int there;
    int64_t value, expires;
  } model[KEYS] = {{0, 0, 0}};
  uint64_t state = 88172645463325252u;
  for (int step = 0; step < 20000; step++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    int k = (int)(state % KEYS), op = (int)(state / KEYS % 5);
    int64_t v = (int64_t)(state >> 40) - 1000, expires = state & 1 ? driver->wall + (int64_t)(state >> 20 & 31) : 0;
    char key[8];
    snprintf(key, sizeof key, "k%d", k);
    if (model[k].there && model[k].expires && model[k].expires < driver->wall)
      model[k].there = 0;
    if (op == 0) {
      driver->wall += (int64_t)(state >> 30 & 3);
      continue;
    }
    smtpf_change c = add(key, v);
    c.op = op;
    c.expires = expires;
    ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
    if (op == SMTPF_CHANGE_DELETE) {
      model[k].there = 0;
    } else if (op != SMTPF_CHANGE_SET_IF_ABSENT || !model[k].there) {
      model[k].value = (op == SMTPF_CHANGE_ADD && model[k].there ? model[k].value : 0) + v;
      model[k].expires = expires;
      model[k].there = 1;
    }
    if (model[k].there)
      ck_assert_int_eq(number(key), model[k].value);
    else
      ck_assert_str_eq(get(key), "-");
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: memory store");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, set_replaces);
  tcase_add_test(t, set_if_absent_keeps);
  tcase_add_test(t, delete_removes);
  tcase_add_test(t, add_counts_and_saturates);
  tcase_add_test(t, expired_is_absent);
  tcase_add_test(t, changes_see_those_before_them);
  tcase_add_test(t, all_or_none);
  tcase_add_test(t, all_or_none_when_memory_ends);
  tcase_add_test(t, misuse_is_refused);
  tcase_add_test(t, the_least_recently_used_go_first);
  tcase_add_test(t, the_expired_go_before_all_others);
  tcase_add_test(t, a_commit_beyond_the_bound_fails);
  tcase_add_test(t, agrees_with_a_model);
  suite_add_tcase(s, t);
  return port_run(s);
}
