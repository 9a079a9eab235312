/* SPDX-License-Identifier: MIT
 *
 * The Redis store before a cluster, and before a master that a Sentinel names.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>

#include "redis_world.h"

static redis_server nodes[3];

static void cluster_setup(void)
{
  redis_start_cluster(nodes);
  n_options = 0;
  option("store.redis.servers", nodes[1].address);
  option("store.redis.cluster", "1");
  option("store.redis.timeout", "500");
  option("store.redis.prefix", "t:");
  store_open();
}

static void cluster_teardown(void)
{
  store_close();
  for (size_t i = 0; i < 3; i++)
    redis_stop(&nodes[i]);
}

enum { KEYS = 60 };

static const char *key(int i)
{
  static char names[KEYS][8];
  snprintf(names[i], sizeof names[i], "k%02d", i);
  return names[i];
}

static int commit_all(const char *value)
{
  smtpf_change all[KEYS];
  for (int i = 0; i < KEYS; i++)
    all[i] = change(SMTPF_CHANGE_SET, key(i), value);
  return commit(all, KEYS);
}

START_TEST(a_commit_is_spread_over_all_nodes)
{
  ck_assert_int_eq(commit_all("v"), SMTPF_STORE_DONE);
  for (int i = 0; i < KEYS; i++)
    ck_assert_str_eq(get(key(i)), "v");
  for (size_t i = 0; i < 3; i++)
    ck_assert_str_ne(redis_say(&nodes[i], "DBSIZE"), ":0");
  ck_assert_int_eq(one(add("n", 3)), SMTPF_STORE_DONE);
  ck_assert_int_eq(number("n"), 3);
  ck_assert_str_eq(driver->log, "");
}
END_TEST

/* One slot for all: all or none, whatever the number of keys. */
START_TEST(a_prefix_with_a_tag_keeps_all_together)
{
  store_close();
  n_options--;
  option("store.redis.prefix", "{t}:");
  store_open();
  ck_assert_int_eq(commit_all("v"), SMTPF_STORE_DONE);
  size_t empty = 0;
  for (size_t i = 0; i < 3; i++)
    empty += strcmp(redis_say(&nodes[i], "DBSIZE"), ":0") == 0;
  ck_assert_uint_eq(empty, 2);
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "new"), change(SMTPF_CHANGE_SET, "b", "text"), add("b", 1)};
  ck_assert_int_eq(commit(all, 3), SMTPF_STORE_FAILED);
  ck_assert_str_eq(get("a"), "-");
}
END_TEST

static size_t scan_all(unsigned seen[KEYS], size_t most)
{
  char cursor[64];
  size_t n_cursor = 0, failed = 0;
  memset(seen, 0, KEYS * sizeof *seen);
  for (int status = SMTPF_STORE_MORE, i = 0; status == SMTPF_STORE_MORE; i++) {
    ck_assert_int_lt(i, 1000);
    fake_forget(driver);
    status = status_of(smtpf_store_redis()->scan(self, 1, (smtpf_str){cursor, n_cursor}, most), 5000);
    const fake_result *r = fake_op(driver, 1);
    failed += status != SMTPF_STORE_MORE && status != SMTPF_STORE_DONE;
    for (size_t k = 0; k < r->n_stored; k++)
      seen[atoi(r->stored[k].key.p + 1) % KEYS]++;
    memcpy(cursor, r->cursor, n_cursor = r->n_cursor);
  }
  return failed;
}

START_TEST(a_scan_goes_over_all_nodes)
{
  unsigned seen[KEYS];
  ck_assert_int_eq(commit_all("v"), SMTPF_STORE_DONE);
  ck_assert_uint_eq(scan_all(seen, 7), 0);
  for (int i = 0; i < KEYS; i++)
    ck_assert_uint_eq(seen[i], 1);
}
END_TEST

/* ---- a slot that moves -------------------------------------------------------------------------------- */

static int slot_of(const char *name)
{
  char words[64];
  snprintf(words, sizeof words, "CLUSTER KEYSLOT t:%s", name);
  return atoi(redis_say(&nodes[0], words) + 1);
}

static size_t owner_of(int slot)
{
  return slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2;
}

static void tell(size_t node, int slot, const char *what, const char *id)
{
  char words[160];
  snprintf(words, sizeof words, "CLUSTER SETSLOT %d %s %s", slot, what, id);
  const char *answer = redis_say(&nodes[node], words);
  ck_assert_msg(strcmp(answer, "+OK") == 0, "%s: %s", words, answer);
}

START_TEST(a_slot_that_moves_is_followed)
{
  char ids[3][64], words[160];
  const int slot = slot_of("k00");
  const size_t from = owner_of(slot), to = (from + 1) % 3;
  for (size_t i = 0; i < 3; i++)
    snprintf(ids[i], sizeof ids[i], "%s", redis_say(&nodes[i], "CLUSTER MYID"));
  ck_assert_int_eq(set("k00", "one"), SMTPF_STORE_DONE);
  tell(to, slot, "IMPORTING", ids[from]);
  tell(from, slot, "MIGRATING", ids[to]);
  ck_assert_str_eq(get("k00"), "one"); /* still there */
  snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %d t:k00 0 2000", nodes[to].port);
  ck_assert_str_eq(redis_say(&nodes[from], words), "+OK");
  ck_assert_str_eq(get("k00"), "one"); /* ASK */
  ck_assert_int_eq(set("k00", "two"), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("k00"), "two");
  tell(to, slot, "NODE", ids[to]);
  tell(from, slot, "NODE", ids[to]);
  ck_assert_str_eq(get("k00"), "two"); /* MOVED */
  ck_assert_int_eq(set("k00", "three"), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("k00"), "three");
  run(1500); /* the new map */
  ck_assert_str_eq(get("k00"), "three");
  ck_assert_str_eq(driver->log, "");
}
END_TEST

/* A commit of two keys while one of them is here and the other there already: it waits until they are together. */
START_TEST(a_commit_waits_for_a_slot_on_its_way)
{
  char ids[3][64], words[160];
  store_close();
  n_options -= 2;
  option("store.redis.timeout", "2000");
  option("store.redis.prefix", "{t}:");
  store_open();
  const int slot = atoi(redis_say(&nodes[0], "CLUSTER KEYSLOT {t}:a") + 1);
  const size_t from = owner_of(slot), to = (from + 1) % 3;
  for (size_t i = 0; i < 3; i++)
    snprintf(ids[i], sizeof ids[i], "%s", redis_say(&nodes[i], "CLUSTER MYID"));
  smtpf_change both[] = {change(SMTPF_CHANGE_SET, "a", "one"), change(SMTPF_CHANGE_SET, "b", "one")};
  ck_assert_int_eq(commit(both, 2), SMTPF_STORE_DONE);
  tell(to, slot, "IMPORTING", ids[from]);
  tell(from, slot, "MIGRATING", ids[to]);
  snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %d {t}:a 0 2000", nodes[to].port);
  ck_assert_str_eq(redis_say(&nodes[from], words), "+OK");
  both[0].value = both[1].value = SMTPF_LIT("two");
  fake_forget(driver);
  ck_assert_int_eq(smtpf_store_redis()->commit(self, 1, both, 2), SMTPF_OK);
  run(300);
  ck_assert_int_eq(fake_op(driver, 1)->completions, 0);
  snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %d {t}:b 0 2000", nodes[to].port);
  ck_assert_str_eq(redis_say(&nodes[from], words), "+OK");
  ck_assert_int_eq(status_of(SMTPF_OK, 3000), SMTPF_STORE_DONE);
  ck_assert_str_eq(get("a"), "two");
  ck_assert_str_eq(get("b"), "two");
  ck_assert_str_eq(driver->log, "");
}
END_TEST

/* What stays apart fails at its deadline, and is given back when the store goes before. */
START_TEST(a_commit_waits_no_longer_than_its_deadline)
{
  char ids[3][64], words[160];
  store_close();
  n_options--;
  option("store.redis.prefix", "{t}:");
  store_open();
  const int slot = atoi(redis_say(&nodes[0], "CLUSTER KEYSLOT {t}:a") + 1);
  const size_t from = owner_of(slot), to = (from + 1) % 3;
  for (size_t i = 0; i < 3; i++)
    snprintf(ids[i], sizeof ids[i], "%s", redis_say(&nodes[i], "CLUSTER MYID"));
  smtpf_change both[] = {change(SMTPF_CHANGE_SET, "a", "one"), change(SMTPF_CHANGE_SET, "b", "one")};
  ck_assert_int_eq(commit(both, 2), SMTPF_STORE_DONE);
  tell(to, slot, "IMPORTING", ids[from]);
  tell(from, slot, "MIGRATING", ids[to]);
  snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %d {t}:a 0 2000", nodes[to].port);
  ck_assert_str_eq(redis_say(&nodes[from], words), "+OK");
  const int64_t begin = now_ms();
  ck_assert_int_eq(commit(both, 2), SMTPF_STORE_FAILED);
  ck_assert_int_ge(now_ms() - begin, 400);
  ck_assert_int_lt(now_ms() - begin, 3000);
  fake_forget(driver);
  ck_assert_int_eq(smtpf_store_redis()->commit(self, 1, both, 2), SMTPF_OK);
  run(100);
}
END_TEST

START_TEST(a_node_that_is_stuck_takes_only_its_slots)
{
  int of[3] = {-1, -1, -1};
  for (int i = 0; i < KEYS; i++)
    of[owner_of(slot_of(key(i)))] = i;
  ck_assert_int_eq(commit_all("v"), SMTPF_STORE_DONE);
  kill(nodes[2].pid, SIGSTOP);
  const int64_t begin = now_ms();
  ck_assert_int_eq(get_status(key(of[2])), SMTPF_STORE_FAILED);
  ck_assert_int_lt(now_ms() - begin, 1500);
  ck_assert_str_eq(get(key(of[0])), "v");
  ck_assert_str_eq(get(key(of[1])), "v");
  ck_assert_int_eq(commit_all("w"), SMTPF_STORE_FAILED);
  ck_assert_str_eq(get(key(of[0])), "v"); /* one part had nowhere to go: none was sent */
  run(2000);
  smtpf_change two[] = {change(SMTPF_CHANGE_SET, key(of[0]), "w"), change(SMTPF_CHANGE_SET, key(of[1]), "w")};
  ck_assert_int_eq(commit(two, 2), SMTPF_STORE_DONE);
  ck_assert_str_eq(get(key(of[1])), "w");
  kill(nodes[2].pid, SIGCONT);
  int status = 0;
  for (const int64_t end = now_ms() + 15000; now_ms() < end && status != SMTPF_STORE_DONE; run(50))
    status = commit_all("x");
  ck_assert_int_eq(status, SMTPF_STORE_DONE);
  ck_assert_str_eq(get(key(of[2])), "x");
}
END_TEST

/* Two that send us to each other for ever: bounded, and a failure. */
START_TEST(a_circle_is_left)
{
  char address[32], map[128], moved[64];
  static const char sha[] = "$40\r\n0123456789012345678901234567890123456789\r\n";
  int port;
  for (int kind = 0; kind < 3; kind++) {
    const int target = redis_free_port();
    snprintf(map, sizeof map, "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%d\r\n", target);
    snprintf(moved, sizeof moved, "-%s 0 :%d\r\n", kind ? "ASK" : "MOVED", target);
    const smtpf_str says[] = {
        {sha, sizeof sha - 1}, smtpf_str_of(kind == 2 ? "*1\r\n:1\r\n" : map), smtpf_str_of(moved)};
    const pid_t pid = redis_fake(&port, says, 3);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    n_options = 0;
    option("store.redis.servers", address);
    option("store.redis.cluster", "1");
    option("store.redis.timeout", "300");
    store_open();
    const int64_t begin = now_ms();
    ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
    ck_assert_int_lt(now_ms() - begin, 1000);
    run(1200);
    ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
    store_close();
    redis_fake_stop(pid);
  }
}
END_TEST

/* ---- Sentinel ----------------------------------------------------------------------------------------- */

START_TEST(the_master_that_a_sentinel_names)
{
  redis_server master, replica, sentinel;
  char port[16];
  redis_start(&master, NULL);
  snprintf(port, sizeof port, "%d", master.port);
  const char *const more[] = {"--replicaof", "127.0.0.1", port, NULL};
  redis_start(&replica, more);
  redis_start_sentinel(&sentinel, &master);
  n_options = 0;
  option("store.redis.servers", "127.0.0.1:1"); /* a Sentinel that is gone */
  option("store.redis.servers", sentinel.address);
  option("store.redis.sentinel", "mail");
  option("store.redis.timeout", "500");
  option("store.redis.prefix", "smtpf:");
  store_open();
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  for (int i = 0; i < 600 && strcmp(redis_say(&sentinel, "SENTINEL REPLICAS mail"), "*1") != 0; i++)
    run(50);
  for (int i = 0; i < 600 && strcmp(redis_say(&replica, "EXISTS smtpf:a"), ":1") != 0; i++)
    run(50);
  run(1000);
  kill(master.pid, SIGSTOP); /* neither gone nor there */
  int64_t begin = now_ms();
  ck_assert_int_eq(set("a", "two"), SMTPF_STORE_FAILED);
  ck_assert_int_lt(now_ms() - begin, 1500);
  ck_assert(comes_back(40000));
  ck_assert_int_eq(set("a", "three"), SMTPF_STORE_DONE);
  ck_assert_str_eq(redis_say(&replica, "EXISTS smtpf:a"), ":1");
  ck_assert_str_eq(get("a"), "three");
  store_close();
  kill(master.pid, SIGCONT);
  redis_stop(&sentinel);
  redis_stop(&replica);
  redis_stop(&master);
}
END_TEST

START_TEST(sentinels_that_know_nothing)
{
  static const char *const answers[] = {"*-1\r\n",
                                        "*2\r\n$9\r\nlocalhost\r\n$4\r\n6379\r\n",
                                        "*1\r\n$1\r\na\r\n",
                                        ":1\r\n",
                                        "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n",
                                        "-ERR no\r\n",
                                        "",
                                        "$5000\r\n"};
  char address[32];
  int port;
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    const smtpf_str says[] = {SMTPF_LIT("+PONG\r\n"), smtpf_str_of(answers[i])};
    const pid_t pid = redis_fake(&port, says, 2);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    n_options = 0;
    option("store.redis.servers", address);
    option("store.redis.sentinel", "mail");
    option("store.redis.timeout", "300");
    store_open();
    ck_assert_msg(get_status("a") == SMTPF_STORE_FAILED, "%s", answers[i]);
    run(200);
    ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
    ck_assert_ptr_nonnull(strstr(driver->log, "store-down"));
    store_close();
    redis_fake_stop(pid);
  }
}
END_TEST

int main(void)
{
  if (!redis_is_there()) {
    puts("SKIP no redis-server");
    return 77;
  }
  Suite *suite = suite_create("port: Redis store, cluster and Sentinel");
  TCase *t = tcase_create("cluster"), *u = tcase_create("alone");
  tcase_set_timeout(t, 120);
  tcase_set_timeout(u, 120);
  tcase_add_checked_fixture(t, cluster_setup, cluster_teardown);
  tcase_add_test(t, a_commit_is_spread_over_all_nodes);
  tcase_add_test(t, a_prefix_with_a_tag_keeps_all_together);
  tcase_add_test(t, a_scan_goes_over_all_nodes);
  tcase_add_test(t, a_slot_that_moves_is_followed);
  tcase_add_test(t, a_commit_waits_for_a_slot_on_its_way);
  tcase_add_test(t, a_commit_waits_no_longer_than_its_deadline);
  tcase_add_test(t, a_node_that_is_stuck_takes_only_its_slots);
  tcase_add_test(u, a_circle_is_left);
  tcase_add_test(u, the_master_that_a_sentinel_names);
  tcase_add_test(u, sentinels_that_know_nothing);
  suite_add_tcase(suite, t);
  suite_add_tcase(suite, u);
  return port_run(suite);
}
