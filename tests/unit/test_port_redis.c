/* SPDX-License-Identifier: MIT
 *
 * The Redis store before a real server: what the contract of stores says, and the script against the C it is the
 * twin of (store_change.c, base/record.c).
 */
#define _GNU_SOURCE
#include <stdlib.h>

#include <smtpfilter/ext/record.h>

#include "redis_world.h"
#include "store_contract.h"

static redis_server server;

static void setup(void)
{
  n_options = 0;
  option("store.redis.servers", server.unix_address);
  option("store.redis.prefix", "t*:");
  redis_say(&server, "FLUSHALL");
  store_open();
}

START_TEST(set_replaces)
{
  ck_assert_str_eq(get("a"), "-");
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "one");
  ck_assert_int_eq(set("a", "three"), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "three");
  ck_assert_int_eq(set("a", ""), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "");
}
END_TEST

START_TEST(set_if_absent_keeps_and_delete_removes)
{
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "one")), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "one");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_DELETE, "a", "")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "-");
  ck_assert_str_eq(redis_say(&server, "DBSIZE"), ":0");
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
  ck_assert(number("n") == INT64_MAX);
  ck_assert_int_eq(one(add("m", INT64_MIN)), SMTPF_STORE_DONE);
  ck_assert_int_eq(one(add("m", -1)), SMTPF_STORE_DONE);
  ck_assert(number("m") == INT64_MIN);
}
END_TEST

/* By our clock, which stands in 2023 here, whatever Redis thinks the time is. */
START_TEST(expired_is_absent)
{
  smtpf_change c = change(SMTPF_CHANGE_SET, "a", "one");
  c.expires = driver->wall + 10;
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  ck_assert_str_eq(redis_say(&server, "TTL t*:a"), ":86410");
  driver->wall += 10;
  ck_assert_str_eq(get("a"), "one"); /* in its last second */
  driver->wall += 1;
  ck_assert_str_eq(get("a"), "-");
  ck_assert_int_eq(one(change(SMTPF_CHANGE_SET_IF_ABSENT, "a", "two")), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "two");
  ck_assert_str_eq(redis_say(&server, "TTL t*:a"), ":-1");
  driver->wall += 1000000000;
  ck_assert_str_eq(get("a"), "two"); /* 0 is never */
  c.expires = -5;                    /* a clock before 1970 */
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "-");
  c.expires = INT64_MAX;
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "one");
}
END_TEST

START_TEST(all_or_none)
{
  smtpf_change first[] = {change(SMTPF_CHANGE_SET, "a", "old"), change(SMTPF_CHANGE_SET, "text", "not a number"),
                          add("n", 7)};
  ck_assert_int_eq(commit(first, 3), SMTPF_STORE_DONE);
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "new"),     add("n", 1),
                        change(SMTPF_CHANGE_DELETE, "text", ""),  change(SMTPF_CHANGE_SET, "new", "x"),
                        change(SMTPF_CHANGE_SET, "text", "none"), add("text", 1)};
  ck_assert_int_eq(commit(all, 6), SMTPF_STORE_FAILED);
  ck_assert_str_eq(get("a"), "old");
  ck_assert_str_eq(get("new"), "-");
  ck_assert_str_eq(get("text"), "not a number");
  ck_assert_int_eq(number("n"), 7);
  ck_assert_int_eq(commit(all, 4), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("text"), "-");
  ck_assert_int_eq(commit(NULL, 0), SMTPF_STORE_DONE);
}
END_TEST

START_TEST(what_is_not_ours_is_left_alone)
{
  redis_say(&server, "LPUSH t*:list x");
  redis_say(&server, "SET t*:text bare");
  ck_assert_int_eq(get_status("list"), SMTPF_STORE_FAILED);
  ck_assert_int_eq(get_status("text"), SMTPF_STORE_FAILED);
  ck_assert_int_eq(set("list", "x"), SMTPF_STORE_FAILED);
  ck_assert_int_eq(set("text", "x"), SMTPF_STORE_FAILED);
  ck_assert_str_eq(redis_say(&server, "LLEN t*:list"), ":1");
  ck_assert_str_eq(redis_say(&server, "STRLEN t*:text"), ":4");
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
  c.value = (smtpf_str){big, 4096};
  ck_assert_int_eq(one(c), SMTPF_STORE_DONE);
  ck_assert_int_eq(get_bytes(c.key), SMTPF_STORE_FOUND);
  ck_assert_uint_eq(fake_op(driver, 1)->value.n, 4096);
  c.op = 0;
  ck_assert_int_eq(one(c), SMTPF_EINVAL);
  ck_assert_int_eq(get_bytes((smtpf_str){big, 65}), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_store_redis()->scan(self, 1, (smtpf_str){NULL, 0}, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_store_redis()->scan(self, 1, (smtpf_str){"x", 1}, 5), SMTPF_EINVAL);
}
END_TEST

/* ---- the script is the twin of the C ------------------------------------------------------------------ */

static uint64_t seed = 88172645463325252u;

static size_t any(size_t n)
{
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (size_t)(seed % n);
}

/* Near each other, near the ends, or anywhere. */
static int64_t any_number(void)
{
  static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, 255, 256, INT64_MAX - 1, INT64_MAX};
  const size_t kind = any(3);
  (void)any(2);
  return kind == 0 ? (int64_t)any(4) : kind == 1 ? ends[any(9)] : (int64_t)seed;
}

static void any_field(smtpf_record *r, int id)
{
  char text[24];
  const size_t how = 1 + any(4), n = any(3);
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = (char)(any(3) ? 'a' + (char)any(2) : (char)any(256));
  if (how <= SMTPF_JOIN_MAX)
    smtpf_record_number(r, id, (int)how, any_number());
  else if (how == SMTPF_JOIN_TEXT)
    smtpf_record_text(r, id, (smtpf_str){text, any(sizeof text)});
  else
    for (uint64_t node = any(3) ? any(4) : seed, i = 0; i <= n && node <= UINT64_MAX - 4; i++, node += 1 + any(3))
      smtpf_record_count(r, id, node, any_number());
}

/* A record; one in eight has a byte that is not as it was, or is not as long. */
static smtpf_str any_value(char *room)
{
  smtpf_record r;
  smtpf_str out = {NULL, 0};
  do {
    smtpf_record_begin(&r, room, SMTPF_RECORD_MAX, 1 + (int)any(8) / 7);
    for (int id = 1 + (int)any(2); id < 6; id += 1 + (int)any(2))
      any_field(&r, id);
    if (any(40) == 0) {
      static const char filler[2100];
      smtpf_record_text(&r, 200 + (int)any(2), (smtpf_str){filler, sizeof filler});
    }
  } while (smtpf_record_end(&r, &out) != SMTPF_OK);
  if (any(8) == 0)
    room[any(out.n)] = (char)any(256);
  if (any(16) == 0)
    out.n = any(out.n);
  return out;
}

static void expect_same(smtpf_str key, void *memory)
{
  const int status = get_bytes(key);
  static char bytes[4096];
  const size_t n = fake_op(driver, 1)->value.n;
  memcpy(bytes, fake_op(driver, 1)->value.p, n);
  fake_forget(driver);
  ck_assert_int_eq(smtpf_store_memory()->get(memory, 1, key), SMTPF_OK);
  ck_assert_int_eq(status, fake_op(driver, 1)->status);
  if (status == SMTPF_STORE_FOUND) {
    ck_assert_uint_eq(n, fake_op(driver, 1)->value.n);
    ck_assert_mem_eq(bytes, fake_op(driver, 1)->value.p, n);
  }
}

/* Commits of one to four changes on few keys. */
static size_t any_commit(smtpf_change *changes, char rooms[][SMTPF_RECORD_MAX], char keys[][2])
{
  const size_t n = 1 + any(4);
  for (size_t i = 0; i < n; i++) {
    smtpf_change *c = &changes[i];
    *c = (smtpf_change){.size = sizeof *c, .op = 1 + (int)any(8), .key = {keys[any(6)], 1}};
    if (c->op > SMTPF_CHANGE_JOIN)
      c->op = SMTPF_CHANGE_JOIN;
    c->expires = any(2) ? 0 : driver->wall - 2 + (int64_t)any(12);
    do
      c->value = any_value(rooms[i]);
    while (c->op == SMTPF_CHANGE_JOIN && !smtpf_record_kind(c->value));
    if (c->op == SMTPF_CHANGE_ADD || (c->op != SMTPF_CHANGE_JOIN && any(3) == 0)) {
      const int64_t v = any_number();
      memcpy(rooms[i], &v, 8);
      c->value = (smtpf_str){rooms[i], 8};
    }
  }
  return n;
}

START_TEST(the_script_does_what_the_c_does)
{
  static char rooms[4][SMTPF_RECORD_MAX], keys[6][2] = {"a", "b", "c", "d", "e", "f"};
  smtpf_change changes[4];
  size_t done = 0, failed = 0;
  void *memory;
  ck_assert_int_eq(smtpf_store_memory()->start(NULL, driver, &memory), SMTPF_OK);
  const int rounds = getenv("SMTPF_VALGRIND") ? 1000 : 20000;
  for (int round = 0; round < rounds; round++) {
    if (any(4) == 0)
      driver->wall += (int64_t)any(3);
    const size_t n = any_commit(changes, rooms, keys);
    const int status = commit(changes, n);
    fake_forget(driver);
    ck_assert_int_eq(smtpf_store_memory()->commit(memory, 1, changes, n), SMTPF_OK);
    ck_assert_msg(status == fake_op(driver, 1)->status, "round %d: %d, in C %d", round, status,
                  fake_op(driver, 1)->status);
    done += status == SMTPF_STORE_DONE;
    failed += status == SMTPF_STORE_FAILED;
    for (size_t i = 0; i < n; i++)
      expect_same(changes[i].key, memory);
  }
  ck_assert_uint_gt(done, 300);
  ck_assert_uint_gt(failed, 20);
  smtpf_store_memory()->stop(memory);
}
END_TEST

/* ---- scans -------------------------------------------------------------------------------------------- */

enum { MANY = 700 };

/* Walks; how often each of the MANY records came, in seen[]. */
static size_t walk(size_t most, unsigned seen[MANY], int changing)
{
  char cursor[64], key[16];
  size_t n_cursor = 0, calls = 0;
  memset(seen, 0, MANY * sizeof *seen);
  for (int status = SMTPF_STORE_MORE; status == SMTPF_STORE_MORE; calls++) {
    ck_assert_uint_lt(calls, 20000);
    fake_forget(driver);
    status = status_of(smtpf_store_redis()->scan(self, 1, (smtpf_str){cursor, n_cursor}, most), 5000);
    const fake_result *r = fake_op(driver, 1);
    ck_assert(status == SMTPF_STORE_MORE || status == SMTPF_STORE_DONE);
    ck_assert_uint_le(r->n_stored, most);
    for (size_t i = 0; i < r->n_stored; i++) {
      int which;
      ck_assert_int_eq(sscanf(r->stored[i].key.p, "k%3d", &which), 1);
      ck_assert(which >= 0 && which < MANY);
      ck_assert_int_eq(r->stored[i].expires, driver->wall + which);
      ck_assert_int_eq(strncmp(r->stored[i].value.p, "v", r->stored[i].value.n), 0);
      seen[which]++;
    }
    memcpy(cursor, r->cursor, n_cursor = r->n_cursor);
    if (changing) {
      snprintf(key, sizeof key, "k%03zu", 2 * (calls % (MANY / 2)) + 1);
      ck_assert_int_eq(one(change(calls % 3 ? SMTPF_CHANGE_DELETE : SMTPF_CHANGE_SET, "other", "v")), SMTPF_STORE_DONE);
    }
  }
  return calls;
}

static void fill(void)
{
  char keys[100][16];
  smtpf_change changes[100];
  for (int i = 0; i < MANY; i += 100) {
    for (int k = 0; k < 100; k++) {
      snprintf(keys[k], sizeof keys[k], "k%03d", i + k);
      changes[k] = change(SMTPF_CHANGE_SET, keys[k], "v");
      changes[k].expires = driver->wall + i + k;
    }
    ck_assert_int_eq(commit(changes, 100), SMTPF_STORE_DONE);
  }
  redis_say(&server, "SET another x");
  redis_say(&server, "SET txx:k001 x"); /* what the pattern would match, were it not escaped */
  redis_say(&server, "LPUSH t*:list x");
}

START_TEST(a_scan_gives_all)
{
  static const size_t mosts[] = {1, 7, 32};
  unsigned seen[MANY];
  fill();
  for (size_t m = 0; m < 3; m++) {
    walk(mosts[m], seen, 0);
    for (int i = 0; i < MANY; i++)
      ck_assert_msg(seen[i] == 1, "%zu: %d came %u times", mosts[m], i, seen[i]);
  }
  driver->wall += 100;
  fake_forget(driver);
}
END_TEST

START_TEST(a_scan_gives_what_stays)
{
  char key[16], cursor[64];
  unsigned seen[MANY] = {0};
  size_t n_cursor = 0;
  fill();
  for (int round = 0, status = SMTPF_STORE_MORE; status == SMTPF_STORE_MORE; round++) {
    fake_forget(driver);
    status = status_of(smtpf_store_redis()->scan(self, 1, (smtpf_str){cursor, n_cursor}, 5), 5000);
    ck_assert(status == SMTPF_STORE_MORE || status == SMTPF_STORE_DONE);
    const fake_result *r = fake_op(driver, 1);
    for (size_t i = 0; i < r->n_stored; i++)
      seen[atoi(r->stored[i].key.p + 1) % MANY]++;
    memcpy(cursor, r->cursor, n_cursor = r->n_cursor);
    snprintf(key, sizeof key, "k%03d", 2 * (round % (MANY / 2)) + 1); /* the odd ones go */
    ck_assert_int_eq(one(change(SMTPF_CHANGE_DELETE, key, "")), SMTPF_STORE_DONE);
    if (round % 40 == 0) { /* a cursor of another process, or one whose rest is gone */
      store_close();
      store_open();
    }
  }
  for (int i = 0; i < MANY; i += 2)
    ck_assert_msg(seen[i] >= 1, "%d did not come", i);
}
END_TEST

/* ---- what every store must do ------------------------------------------------------------------------- */

static fake_option contract_options[] = {{"store.redis.servers", ""}, {"store.redis.prefix", "c:"}};
static void empty(void)
{
  redis_say(&server, "FLUSHALL");
}

static const contract_store contract = {smtpf_store_redis, contract_options, 2, empty, NULL};

int main(void)
{
  if (!redis_is_there()) {
    puts("SKIP no redis-server");
    return 77;
  }
  Suite *s = suite_create("port: Redis store");
  TCase *t = tcase_create("contract");
  redis_start(&server, NULL);
  tcase_add_checked_fixture(t, setup, store_close);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, set_replaces);
  tcase_add_test(t, set_if_absent_keeps_and_delete_removes);
  tcase_add_test(t, add_counts_and_saturates);
  tcase_add_test(t, expired_is_absent);
  tcase_add_test(t, all_or_none);
  tcase_add_test(t, what_is_not_ours_is_left_alone);
  tcase_add_test(t, misuse_is_refused);
  tcase_add_test(t, the_script_does_what_the_c_does);
  tcase_add_test(t, a_scan_gives_all);
  tcase_add_test(t, a_scan_gives_what_stays);
  suite_add_tcase(s, t);
  contract_options[0].value = server.address;
  contract_add(s, &contract);
  const int r = port_run(s);
  redis_stop(&server);
  return r;
}
