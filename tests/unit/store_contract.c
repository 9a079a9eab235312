/* SPDX-License-Identifier: MIT */
#include "store_contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <smtpfilter/ext/record.h>

#include "base/str.h"

enum { PATIENCE_MS = 20000, KEYS_MAX = 400 };

smtpf_driver *contract_driver;
const smtpf_store *contract_port;
void *contract_self;
static const contract_store *under_test;
static const contract_store *kinds[4];

void contract_open(const contract_store *store)
{
  contract_driver = fake_new(store->options, store->n_options);
  contract_port = store->port();
  ck_assert_int_eq(contract_port->start(NULL, contract_driver, &contract_self), SMTPF_OK);
}

void contract_close(void)
{
  contract_port->stop(contract_self);
  fake_free(contract_driver);
}

static void set_up(const contract_store *kind)
{
  under_test = kind;
  if (under_test->begin)
    under_test->begin();
  contract_open(under_test);
}

static void teardown(void)
{
  contract_close();
  if (under_test->end)
    under_test->end();
}

static void setup_0(void)
{
  set_up(kinds[0]);
}
static void setup_1(void)
{
  set_up(kinds[1]);
}
static void setup_2(void)
{
  set_up(kinds[2]);
}
static void setup_3(void)
{
  set_up(kinds[3]);
}

/* ---- asking --------------------------------------------------------------------------------------- */

static const fake_result *answer(void)
{
  ck_assert(fake_run(contract_driver, 1, PATIENCE_MS));
  ck_assert_int_eq(fake_op(contract_driver, 1)->completions, 1);
  return fake_op(contract_driver, 1);
}

static const fake_result *ask(const char *key)
{
  fake_forget(contract_driver);
  ck_assert_int_eq(contract_port->get(contract_self, 1, smtpf_str_of(key)), SMTPF_OK);
  return answer();
}

const char *contract_get(const char *key)
{
  static char text[4097];
  const fake_result *r = ask(key);
  if (r->status == SMTPF_STORE_FAILED)
    return "!";
  if (r->status == SMTPF_STORE_ABSENT)
    return "-";
  ck_assert_int_eq(r->status, SMTPF_STORE_FOUND);
  snprintf(text, sizeof text, "%.*s", (int)r->value.n, r->value.p);
  return text;
}

static int64_t number_in(const char *p)
{
  uint64_t v = 0;
  for (size_t i = 8; i-- > 0;)
    v = v << 8 | (unsigned char)p[i];
  return (int64_t)v;
}

int64_t contract_get_number(const char *key)
{
  const fake_result *r = ask(key);
  ck_assert_int_eq(r->status, SMTPF_STORE_FOUND);
  ck_assert_uint_eq(r->value.n, 8);
  return number_in(r->value.p);
}

smtpf_change contract_change(int op, const char *key, const char *value)
{
  return (smtpf_change){sizeof(smtpf_change), op, smtpf_str_of(key), smtpf_str_of(value), 0};
}

smtpf_change contract_number(const char *key, int64_t v)
{
  static char rooms[4][8];
  static unsigned next;
  char *room = rooms[next++ % 4];
  for (size_t i = 0; i < 8; i++)
    room[i] = (char)(unsigned char)((uint64_t)v >> (8 * i));
  return (smtpf_change){sizeof(smtpf_change), SMTPF_CHANGE_ADD, smtpf_str_of(key), {room, 8}, 0};
}

int contract_commit(const smtpf_change *changes, size_t n)
{
  fake_forget(contract_driver);
  int r = contract_port->commit(contract_self, 1, changes, n);
  return r == SMTPF_OK ? answer()->status : r;
}

int contract_one(smtpf_change c)
{
  return contract_commit(&c, 1);
}

int contract_set(const char *key, const char *value)
{
  return contract_one(contract_change(SMTPF_CHANGE_SET, key, value));
}

static int compare(const void *a, const void *b)
{
  return strcmp(a, b);
}

const char *contract_scan(size_t most)
{
  static char keys[KEYS_MAX][SMTPF_KEY_MAX + 1], text[KEYS_MAX * (SMTPF_KEY_MAX + 1) + 1];
  char cursor[SMTPF_KEY_MAX];
  size_t n = 0, n_cursor = 0, at = 0;
  int status = SMTPF_STORE_MORE;
  for (int page = 0; status == SMTPF_STORE_MORE; page++) {
    ck_assert_int_lt(page, 10 * KEYS_MAX);
    fake_forget(contract_driver);
    ck_assert_int_eq(contract_port->scan(contract_self, 1, (smtpf_str){cursor, n_cursor}, most), SMTPF_OK);
    const fake_result *r = answer();
    status = r->status;
    ck_assert(status == SMTPF_STORE_MORE || status == SMTPF_STORE_DONE);
    ck_assert_uint_le(r->n_stored, most);
    for (size_t i = 0; i < r->n_stored; i++) {
      ck_assert_uint_lt(n, KEYS_MAX);
      snprintf(keys[n++], sizeof keys[0], "%.*s", (int)r->stored[i].key.n, r->stored[i].key.p);
    }
    n_cursor = r->n_cursor;
    memcpy(cursor, r->cursor, n_cursor);
  }
  qsort(keys, n, sizeof keys[0], compare);
  text[0] = '\0';
  for (size_t i = 0; i < n; i++)
    if (i == 0 || strcmp(keys[i], keys[i - 1]) != 0) /* once at least: twice is allowed */
      at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", at ? " " : "", keys[i]);
  return text;
}

/* ---- one record ----------------------------------------------------------------------------------- */

START_TEST(set_replaces)
{
  ck_assert_str_eq(contract_get("a"), "-");
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "one");
  ck_assert_int_eq(contract_set("a", "three"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "three");
  ck_assert_int_eq(contract_set("a", ""), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "");
}
END_TEST

START_TEST(set_if_absent_keeps)
{
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "one")), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "one");
}
END_TEST

START_TEST(delete_removes)
{
  ck_assert_int_eq(contract_set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_DELETE, "a", "")), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "-");
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_DELETE, "a", "")), SMTPF_STORE_DONE);
}
END_TEST

START_TEST(add_counts_and_saturates)
{
  ck_assert_int_eq(contract_one(contract_number("n", 5)), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_number("n", -7)), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_get_number("n"), -2);
  ck_assert_int_eq(contract_one(contract_number("n", INT64_MAX)), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_number("n", INT64_MAX)), SMTPF_STORE_DONE);
  ck_assert(contract_get_number("n") == INT64_MAX);
  ck_assert_int_eq(contract_one(contract_number("m", INT64_MIN)), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_number("m", -1)), SMTPF_STORE_DONE);
  ck_assert(contract_get_number("m") == INT64_MIN);
}
END_TEST

START_TEST(any_bytes_are_a_key_and_a_value)
{
  char key[SMTPF_KEY_MAX], value[SMTPF_VALUE_MAX];
  for (size_t n = 1; n <= sizeof key; n += 21) {
    for (size_t i = 0; i < n; i++)
      key[i] = (char)(unsigned char)(255 - i * 37);
    for (size_t i = 0; i < sizeof value; i++)
      value[i] = (char)(unsigned char)(i * 7 + n);
    smtpf_change c = {sizeof c, SMTPF_CHANGE_SET, {key, n}, {value, sizeof value}, 0};
    ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
    fake_forget(contract_driver);
    ck_assert_int_eq(contract_port->get(contract_self, 1, c.key), SMTPF_OK);
    const fake_result *r = answer();
    ck_assert_int_eq(r->status, SMTPF_STORE_FOUND);
    ck_assert(r->value.n == sizeof value && memcmp(r->value.p, value, sizeof value) == 0);
  }
}
END_TEST

START_TEST(expired_is_absent)
{
  smtpf_driver *d = contract_driver;
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "one");
  c.expires = d->wall + 10;
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
  d->wall += 10;
  ck_assert_str_eq(contract_get("a"), "one"); /* in its last second */
  d->wall += 1;
  ck_assert_int_eq(contract_one(contract_change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "two");
  d->wall += 1000000000;
  ck_assert_str_eq(contract_get("a"), "two"); /* 0 is never */
  smtpf_change n = contract_number("n", 3);
  n.expires = d->wall;
  ck_assert_int_eq(contract_one(n), SMTPF_STORE_DONE);
  d->wall++;
  ck_assert_str_eq(contract_get("n"), "-");
  ck_assert_int_eq(contract_one(contract_number("n", 4)), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_get_number("n"), 4);
  c.expires = -5; /* a clock before 1970 */
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "-");
}
END_TEST

/* ---- records that merge --------------------------------------------------------------------------- */

/* JOIN of a record of one number and one count. */
static int join(const char *key, int kind, int64_t first_seen, uint64_t node, int64_t count, int64_t expires)
{
  char room[200];
  smtpf_record r;
  smtpf_change c = {sizeof c, SMTPF_CHANGE_JOIN, smtpf_str_of(key), {NULL, 0}, expires};
  smtpf_record_begin(&r, room, sizeof room, kind);
  smtpf_record_number(&r, 1, SMTPF_JOIN_MIN, first_seen);
  smtpf_record_count(&r, 2, node, count);
  ck_assert_int_eq(smtpf_record_end(&r, &c.value), SMTPF_OK);
  return contract_one(c);
}

START_TEST(join_merges)
{
  int64_t v;
  ck_assert_int_eq(join("a", 1, 100, 7, 3, 0), SMTPF_STORE_DONE);
  ck_assert_int_eq(join("a", 1, 90, 7, 2, 0), SMTPF_STORE_DONE);
  ck_assert_int_eq(join("a", 1, 95, 8, 5, 0), SMTPF_STORE_DONE);
  ck_assert_int_eq(join("a", 1, 95, 8, 5, 0), SMTPF_STORE_DONE); /* twice is once */
  smtpf_str r = ask("a")->value;
  ck_assert_int_eq(smtpf_record_read(r, 1, &v), SMTPF_OK);
  ck_assert_int_eq(v, 90);
  ck_assert_int_eq(smtpf_record_total(r, 2), 8);
}
END_TEST

START_TEST(join_replaces_what_is_no_such_record)
{
  ck_assert_int_eq(contract_set("a", "text"), SMTPF_STORE_DONE);
  ck_assert_int_eq(join("a", 1, 100, 7, 3, 0), SMTPF_STORE_DONE);
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 3);
  ck_assert_int_eq(join("a", 2, 100, 7, 1, 0), SMTPF_STORE_DONE);
  ck_assert_int_eq(smtpf_record_kind(ask("a")->value), 2);
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 1);
}
END_TEST

START_TEST(of_two_expiries_the_later_holds)
{
  smtpf_driver *d = contract_driver;
  ck_assert_int_eq(join("a", 1, 1, 1, 1, d->wall + 100), SMTPF_STORE_DONE);
  ck_assert_int_eq(join("a", 1, 1, 2, 1, d->wall + 10), SMTPF_STORE_DONE);
  d->wall += 50;
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 2);
  ck_assert_int_eq(join("a", 1, 1, 3, 1, d->wall + 100), SMTPF_STORE_DONE);
  d->wall += 60;
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 3);
  d->wall += 41;
  ck_assert_str_eq(contract_get("a"), "-");
  ck_assert_int_eq(join("a", 1, 1, 4, 1, d->wall + 10), SMTPF_STORE_DONE); /* what has expired is not joined */
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 1);
  ck_assert_int_eq(join("a", 1, 1, 5, 1, 0), SMTPF_STORE_DONE); /* never is later than any */
  ck_assert_int_eq(join("a", 1, 1, 6, 1, d->wall + 10), SMTPF_STORE_DONE);
  d->wall += 1000000;
  ck_assert_int_eq(smtpf_record_total(ask("a")->value, 2), 3);
}
END_TEST

/* ---- several changes ------------------------------------------------------------------------------ */

START_TEST(changes_see_those_before_them)
{
  smtpf_change all[] = {contract_change(SMTPF_CHANGE_SET, "a", "one"), contract_change(SMTPF_CHANGE_DELETE, "a", ""),
                        contract_change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two"), contract_number("n", 1),
                        contract_number("n", 2)};
  ck_assert_int_eq(contract_commit(all, 5), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "two");
  ck_assert_int_eq(contract_get_number("n"), 3);
  ck_assert_int_eq(contract_commit(NULL, 0), SMTPF_STORE_DONE);
}
END_TEST

START_TEST(all_or_none)
{
  smtpf_driver *d = contract_driver;
  smtpf_change first[] = {contract_change(SMTPF_CHANGE_SET, "a", "old"),
                          contract_change(SMTPF_CHANGE_SET, "text", "not a number"),
                          contract_change(SMTPF_CHANGE_SET, "gone", "soon")};
  first[0].expires = d->wall + 100;
  ck_assert_int_eq(contract_commit(first, 3), SMTPF_STORE_DONE);
  ck_assert_int_eq(contract_one(contract_number("n", 7)), SMTPF_STORE_DONE);
  smtpf_change all[] = {contract_change(SMTPF_CHANGE_SET, "a", "new"),
                        contract_number("n", 1),
                        contract_change(SMTPF_CHANGE_DELETE, "gone", ""),
                        contract_change(SMTPF_CHANGE_SET, "new", "x"),
                        contract_change(SMTPF_CHANGE_SET, "a", "newer"),
                        contract_change(SMTPF_CHANGE_DELETE, "a", ""),
                        contract_number("text", 1)};
  ck_assert_int_eq(contract_commit(all, 7), SMTPF_STORE_FAILED);
  ck_assert_str_eq(contract_get("a"), "old");
  ck_assert_str_eq(contract_get("gone"), "soon");
  ck_assert_str_eq(contract_get("new"), "-");
  ck_assert_str_eq(contract_get("text"), "not a number");
  ck_assert_int_eq(contract_get_number("n"), 7);
  d->wall += 101;
  ck_assert_str_eq(contract_get("a"), "-"); /* its expiry came back with it */
}
END_TEST

/* A commit that fails does not take those with it that are under way beside it. */
START_TEST(each_for_itself)
{
  ck_assert_int_eq(contract_set("text", "not a number"), SMTPF_STORE_DONE);
  fake_forget(contract_driver);
  char keys[50][8];
  for (int i = 0; i < 50; i++) {
    snprintf(keys[i], sizeof keys[0], "k%d", i);
    smtpf_change c[] = {contract_change(SMTPF_CHANGE_SET, keys[i], "v"), contract_number("text", 1)};
    const size_t n = i % 7 == 3 ? 2 : 1;
    ck_assert_int_eq(contract_port->commit(contract_self, (smtpf_op)i + 1, c, n), SMTPF_OK);
  }
  ck_assert(fake_run(contract_driver, 50, PATIENCE_MS));
  for (smtpf_op i = 0; i < 50; i++)
    ck_assert_int_eq(fake_op(contract_driver, i + 1)->status, i % 7 == 3 ? SMTPF_STORE_FAILED : SMTPF_STORE_DONE);
  for (int i = 0; i < 50; i++)
    ck_assert_str_eq(contract_get(keys[i]), i % 7 == 3 ? "-" : "v");
}
END_TEST

/* Many under way at once are made in the order they were asked for. */
START_TEST(in_their_order)
{
  char text[16];
  fake_forget(contract_driver);
  for (int i = 0; i < 200; i++) {
    snprintf(text, sizeof text, "%d", i);
    smtpf_change c[] = {contract_change(SMTPF_CHANGE_SET, "last", text), contract_number("sum", i)};
    ck_assert_int_eq(contract_port->commit(contract_self, (smtpf_op)i + 1, c, 2), SMTPF_OK);
  }
  ck_assert(fake_run(contract_driver, 200, PATIENCE_MS));
  for (smtpf_op i = 1; i <= 200; i++)
    ck_assert(fake_op(contract_driver, i)->completions == 1 && fake_op(contract_driver, i)->status == SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("last"), "199");
  ck_assert_int_eq(contract_get_number("sum"), 199 * 200 / 2);
}
END_TEST

/* Its token is over: nobody may hear of it in a way that does harm; what it wrote may be there or not. */
START_TEST(what_is_cancelled_does_no_harm)
{
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "one");
  fake_forget(contract_driver);
  ck_assert_int_eq(contract_port->commit(contract_self, 2, &c, 1), SMTPF_OK);
  contract_port->cancel(contract_self, 2);
  contract_port->cancel(contract_self, 77);
  fake_run(contract_driver, 1, 200);
  ck_assert_int_eq(contract_set("a", "two"), SMTPF_STORE_DONE);
  ck_assert_str_eq(contract_get("a"), "two");
}
END_TEST

START_TEST(misuse_is_refused)
{
  static char big[SMTPF_VALUE_MAX + 1];
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "", "x");
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.key = (smtpf_str){big, SMTPF_KEY_MAX + 1};
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.key = (smtpf_str){big, SMTPF_KEY_MAX};
  c.value = (smtpf_str){big, SMTPF_VALUE_MAX + 1};
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.value = (smtpf_str){big, SMTPF_VALUE_MAX};
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
  c.op = SMTPF_CHANGE_ADD;
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.op = SMTPF_CHANGE_JOIN; /* no record */
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.op = 0;
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.op = SMTPF_CHANGE_JOIN + 1;
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  c.op = SMTPF_CHANGE_SET;
  c.size = 1;
  ck_assert_int_eq(contract_one(c), SMTPF_EINVAL);
  ck_assert_int_eq(contract_port->get(contract_self, 1, (smtpf_str){NULL, 0}), SMTPF_EINVAL);
  ck_assert_int_eq(contract_port->get(contract_self, 1, (smtpf_str){big, SMTPF_KEY_MAX + 1}), SMTPF_EINVAL);
}
END_TEST

/* ---- scan ----------------------------------------------------------------------------------------- */

START_TEST(scan_gives_every_record)
{
  char key[8], want[1000] = "";
  size_t at = 0;
  ck_assert_str_eq(contract_scan(5), "");
  for (int i = 0; i < 60; i++) {
    snprintf(key, sizeof key, "k%02d", i);
    smtpf_change c = contract_change(SMTPF_CHANGE_SET, key, "v");
    c.expires = i % 10 == 4 ? contract_driver->wall - 1 : 0; /* these are not there */
    ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
    if (!c.expires)
      at += (size_t)snprintf(want + at, sizeof want - at, "%s%s", at ? " " : "", key);
  }
  for (size_t most = 1; most <= 31; most += 5)
    ck_assert_str_eq(contract_scan(most), want);
}
END_TEST

START_TEST(scan_says_what_is_in_a_record)
{
  smtpf_change c = contract_change(SMTPF_CHANGE_SET, "a", "one");
  c.expires = contract_driver->wall + 77;
  ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
  fake_forget(contract_driver);
  ck_assert_int_eq(contract_port->scan(contract_self, 1, (smtpf_str){NULL, 0}, 10), SMTPF_OK);
  const fake_result *r = answer();
  ck_assert_uint_eq(r->n_stored, 1);
  ck_assert_uint_eq(r->stored[0].size, sizeof(smtpf_stored));
  ck_assert(smtpf_str_equal(r->stored[0].key, SMTPF_LIT("a")));
  ck_assert(smtpf_str_equal(r->stored[0].value, SMTPF_LIT("one")));
  ck_assert_int_eq(r->stored[0].expires, c.expires);
  ck_assert_int_eq(contract_port->scan(contract_self, 2, (smtpf_str){NULL, 0}, 0), SMTPF_EINVAL);
}
END_TEST

/* ---- a model -------------------------------------------------------------------------------------- */

/* The same changes on the store and on a plain array must agree. */
START_TEST(agrees_with_a_model)
{
  enum { KEYS = 20, STEPS = 3000 };
  smtpf_driver *d = contract_driver;
  struct {
    int there;
    int64_t value, expires;
  } model[KEYS] = {{0, 0, 0}};
  uint64_t state = 88172645463325252u;
  for (int step = 0; step < STEPS; step++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    int k = (int)(state % KEYS), op = (int)(state / KEYS % 5);
    int64_t v = (int64_t)(state >> 40) - 1000, expires = state & 1 ? d->wall + (int64_t)(state >> 20 & 31) : 0;
    char key[8];
    snprintf(key, sizeof key, "k%d", k);
    if (model[k].there && model[k].expires && model[k].expires < d->wall)
      model[k].there = 0;
    if (op == 0) {
      d->wall += (int64_t)(state >> 30 & 3);
      continue;
    }
    smtpf_change c = contract_number(key, v);
    c.op = op;
    c.expires = expires;
    ck_assert_int_eq(contract_one(c), SMTPF_STORE_DONE);
    if (op == SMTPF_CHANGE_DELETE) {
      model[k].there = 0;
    } else if (op != SMTPF_CHANGE_SET_IF_ABSENT || !model[k].there) {
      model[k].value = (op == SMTPF_CHANGE_ADD && model[k].there ? model[k].value : 0) + v;
      model[k].expires = expires;
      model[k].there = 1;
    }
    if (model[k].there)
      ck_assert_int_eq(contract_get_number(key), model[k].value);
    else
      ck_assert_str_eq(contract_get(key), "-");
  }
}
END_TEST

void contract_add(Suite *suite, const contract_store *store)
{
  const TTest *const tests[] = {
      set_replaces,        set_if_absent_keeps,
      delete_removes,      add_counts_and_saturates,
      expired_is_absent,   any_bytes_are_a_key_and_a_value,
      join_merges,         join_replaces_what_is_no_such_record,
      all_or_none,         of_two_expiries_the_later_holds,
      each_for_itself,     changes_see_those_before_them,
      in_their_order,      what_is_cancelled_does_no_harm,
      misuse_is_refused,   scan_gives_every_record,
      agrees_with_a_model, scan_says_what_is_in_a_record,
  };
  static const SFun setups[] = {setup_0, setup_1, setup_2, setup_3};
  static size_t n;
  TCase *t = tcase_create("contract");
  if (n == sizeof setups / sizeof setups[0])
    abort();
  kinds[n] = store;
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, setups[n++], teardown);
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
    tcase_add_test(t, tests[i]);
  suite_add_tcase(suite, t);
}
