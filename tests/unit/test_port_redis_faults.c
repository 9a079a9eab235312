/* SPDX-License-Identifier: MIT
 *
 * The Redis store when something is wrong: servers that are gone, stuck, full, locked, of another kind, or hostile.
 * Whatever it is, an operation ends once, within its deadline, and the store works again when the server does.
 */
#define _GNU_SOURCE
#include <signal.h>

#include "redis_world.h"

static redis_server s;

static void with(const char *address, const char *timeout)
{
  n_options = 0;
  option("store.redis.servers", address);
  option("store.redis.timeout", timeout);
  option("store.redis.prefix", "t:");
}

static void on_stat(void *user, const char *name, uint64_t value)
{
  if (!strcmp(name, "store.down"))
    *(uint64_t *)user = value;
}

START_TEST(without_a_server_it_fails_at_once)
{
  with("127.0.0.1:1", "2000");
  store_open();
  const int64_t begin = now_ms();
  ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
  ck_assert_int_eq(set("a", "b"), SMTPF_STORE_FAILED);
  ck_assert_int_eq(status_of((fake_forget(driver), smtpf_store_redis()->scan(self, 1, (smtpf_str){NULL, 0}, 5)), 5000),
                   SMTPF_STORE_FAILED);
  ck_assert_int_lt(now_ms() - begin, 2000);     /* not one deadline */
  ck_assert_str_eq(driver->log, "store-down "); /* once */
  uint64_t down = 2;
  smtpf_store_redis()->stats(self, on_stat, &down);
  ck_assert_uint_eq(down, 1);
  run(500);
  ck_assert_str_eq(driver->log, "store-down ");
  store_close();
  with("unix:/nowhere/sock", "2000");
  store_open();
  ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
  store_close();
}
END_TEST

START_TEST(a_restart_is_survived)
{
  uint64_t down = 2;
  redis_start(&s, NULL);
  with(s.address, "1000");
  store_open();
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  for (int i = 0; i < 3; i++) {
    redis_restart(&s, NULL);
    ck_assert(comes_back(15000));
    ck_assert_int_eq(set("a", "two"), SMTPF_STORE_DONE);
    ck_assert_str_eq(get("a"), "two");
  }
  smtpf_store_redis()->stats(self, on_stat, &down);
  ck_assert_uint_eq(down, 0);
  ck_assert_str_eq(redis_say(&s, "SCRIPT FLUSH"), "+OK");
  ck_assert_int_eq(set("a", "three"), SMTPF_STORE_DONE); /* NOSCRIPT: it is sent along */
  ck_assert_str_eq(get("a"), "three");
  store_close();
  redis_stop(&s);
}
END_TEST

/* The idle time of the server ends connections in peace: the next operation must not even notice. */
START_TEST(a_connection_closed_in_peace_is_made_anew)
{
  redis_start(&s, NULL);
  with(s.address, "1000");
  store_open();
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  run(1200);
  redis_say(&s, "CLIENT KILL TYPE normal");
  run(300);
  ck_assert_str_eq(get("a"), "one");
  ck_assert_str_eq(driver->log, "");
  store_close();
  redis_stop(&s);
}
END_TEST

START_TEST(a_stuck_server_holds_nobody_longer_than_the_deadline)
{
  redis_start(&s, NULL);
  with(s.address, "300");
  store_open();
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  kill(s.pid, SIGSTOP);
  int64_t begin = now_ms();
  fake_forget(driver);
  for (smtpf_op op = 1; op <= 20; op++)
    ck_assert_int_eq(smtpf_store_redis()->get(self, op, SMTPF_LIT("a")), SMTPF_OK);
  ck_assert(fake_run(driver, 20, 3000));
  ck_assert_int_lt(now_ms() - begin, 10 * 300); /* one deadline for all, not one for each */
  ck_assert_int_ge(now_ms() - begin, 290);
  begin = now_ms();
  for (int i = 0; i < 20; i++)
    ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED); /* who comes later does not wait at all */
  ck_assert_int_lt(now_ms() - begin, 10 * 300);            /* not half of what waiting would take */
  kill(s.pid, SIGCONT);
  ck_assert(comes_back(15000));
  ck_assert_str_eq(get("a"), "one");
  store_close();
  redis_stop(&s);
}
END_TEST

START_TEST(a_full_server_writes_nothing_and_reads_on)
{
  redis_start(&s, NULL);
  with(s.address, "1000");
  store_open();
  smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "new"), change(SMTPF_CHANGE_SET, "b", "new")};
  ck_assert_int_eq(set("a", "old"), SMTPF_STORE_DONE);
  redis_say(&s, "CONFIG SET maxmemory 1");
  ck_assert_int_eq(commit(all, 2), SMTPF_STORE_FAILED);
  ck_assert_int_eq(commit(all, 2), SMTPF_STORE_FAILED);
  ck_assert_str_eq(driver->log, "store-error "); /* once */
  ck_assert_str_eq(get("a"), "old");
  ck_assert_str_eq(get("b"), "-");
  redis_say(&s, "CONFIG SET maxmemory 0");
  ck_assert_int_eq(commit(all, 2), SMTPF_STORE_DONE);
  store_close();
  redis_stop(&s);
}
END_TEST

START_TEST(a_replica_is_no_store)
{
  redis_start(&s, NULL);
  with(s.address, "1000");
  store_open();
  ck_assert_int_eq(set("a", "old"), SMTPF_STORE_DONE);
  redis_say(&s, "REPLICAOF 127.0.0.1 1");
  ck_assert_int_eq(set("a", "new"), SMTPF_STORE_FAILED);
  redis_say(&s, "REPLICAOF NO ONE");
  ck_assert(comes_back(15000));
  ck_assert_int_eq(set("a", "new"), SMTPF_STORE_DONE);
  store_close();
  redis_stop(&s);
}
END_TEST

START_TEST(passwords)
{
  static const char *const locked[] = {"--requirepass", "secret", NULL};
  static const char *const given[] = {NULL, "wrong", "secret"};
  redis_start(&s, locked);
  for (size_t i = 0; i < 3; i++) {
    with(s.address, "1000");
    option("store.redis.database", "3");
    if (given[i])
      option("store.redis.password", given[i]);
    if (i == 2)
      option("store.redis.username", "default");
    store_open();
    ck_assert_int_eq(set("a", "b"), i == 2 ? SMTPF_STORE_DONE : SMTPF_STORE_FAILED);
    ck_assert_str_eq(driver->log, i == 2 ? "" : "store-down ");
    store_close();
  }
  redis_stop(&s);
}
END_TEST

START_TEST(requests_are_bounded)
{
  redis_start(&s, NULL);
  with(s.address, "300");
  option("store.redis.requests", "10");
  store_open();
  ck_assert_int_eq(set("a", "one"), SMTPF_STORE_DONE);
  kill(s.pid, SIGSTOP);
  fake_forget(driver);
  for (smtpf_op op = 1; op <= 10; op++)
    ck_assert_int_eq(smtpf_store_redis()->get(self, op, SMTPF_LIT("a")), SMTPF_OK);
  ck_assert_int_eq(smtpf_store_redis()->get(self, 11, SMTPF_LIT("a")), SMTPF_ELIMIT);
  ck_assert(fake_run(driver, 10, 3000));
  kill(s.pid, SIGCONT);
  ck_assert(comes_back(15000));
  fake_forget(driver);
  for (smtpf_op op = 1; op <= 10; op++)
    ck_assert_int_eq(smtpf_store_redis()->get(self, op, SMTPF_LIT("a")), SMTPF_OK);
  store_close(); /* with all of them under way */
  redis_stop(&s);
}
END_TEST

/* ---- hostile ------------------------------------------------------------------------------------------ */

static const char sha[] = "$40\r\n0123456789012345678901234567890123456789\r\n";

/* What a server may answer to a GET; each is a failure, none of them a crash, and none is believed. */
static const struct {
  const char *name, *says;
  size_t n;
} hostile[] = {
#define SAYS(name, text)                                                                                               \
  {                                                                                                                    \
    name, text, sizeof text - 1                                                                                        \
  }
    SAYS("integer", ":1\r\n"),
    SAYS("state", "+OK\r\n"),
    SAYS("array", "*1\r\n$1\r\na\r\n"),
    SAYS("empty array", "*0\r\n"),
    SAYS("nested", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
    SAYS("short record", "$3\r\n\1ab\r\n"),
    SAYS("another format", "$9\r\n\2\0\0\0\0\0\0\0\0\r\n"),
    SAYS("empty", "$0\r\n\r\n"),
    SAYS("no protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"),
    SAYS("negative length", "$-7\r\n"),
    SAYS("length of length", "$99999999999999999999999999\r\n"),
    SAYS("huge bulk", "$536870912\r\naaaa"),
    SAYS("huge array", "*2147483647\r\n"),
    SAYS("many arrays", "*1000000\r\n*1000000\r\n"),
    SAYS("moved without a cluster", "-MOVED 1 127.0.0.1:1\r\n"),
    SAYS("ask", "-ASK 1 127.0.0.1:1\r\n"),
    SAYS("no script", "-NOSCRIPT\r\n"),
    SAYS("error alone", "-\r\n"),
    SAYS("error", "-OOM \x1b[31m\1\r\n"),
    SAYS("loading", "-LOADING\r\n"),
    SAYS("two for one", ":1\r\n:2\r\n"),
    SAYS("a crowd for one", "$-1x\r\n+a\r\n+b\r\n*3\r\n:1\r\n"),
    SAYS("half", "$10\r\nabc"),
    SAYS("nothing", ""),
#undef SAYS
};

static void ask_hostile(size_t which)
{
  char address[32];
  int port;
  const smtpf_str says[] = {{sha, sizeof sha - 1}, {hostile[which].says, hostile[which].n}};
  const pid_t pid = redis_fake(&port, says, 2);
  snprintf(address, sizeof address, "127.0.0.1:%d", port);
  with(address, "200");
  store_open();
  const int64_t begin = now_ms();
  ck_assert_msg(get_status("a") == SMTPF_STORE_FAILED, "GET: %s", hostile[which].name);
  (void)comes_back(10); /* until it is there again */
  run(300);
  const int status = set("a", "b");
  ck_assert_msg(status == SMTPF_STORE_FAILED || strncmp(hostile[which].says, ":1\r\n", 4) == 0, "%s: %d",
                hostile[which].name, status);
  fake_forget(driver);
  ck_assert_int_eq(status_of(smtpf_store_redis()->scan(self, 1, (smtpf_str){NULL, 0}, 5), 5000), SMTPF_STORE_FAILED);
  ck_assert_int_lt(now_ms() - begin, 5000);
  store_close();
  redis_fake_stop(pid);
}

START_TEST(hostile_servers)
{
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
    ask_hostile(i);
}
END_TEST

/* More bytes of one reply than anything we ask for has; a reply that nobody has asked for. */
START_TEST(hostile_streams)
{
  static char flood[8 * 1024 * 1024];
  static const char early[] = "+surprise\r\n+and another\r\n";
  char address[32];
  int port;
  memset(flood, 'x', sizeof flood);
  memcpy(flood, "$500000000\r\n", 12);
  const smtpf_str says[2][2] = {{{sha, sizeof sha - 1}, {flood, sizeof flood}}, {{early, sizeof early - 1}, {"", 0}}};
  for (size_t i = 0; i < 2; i++) {
    const pid_t pid = redis_fake(&port, says[i], 2);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    with(address, i ? "500" : "5000");
    store_open();
    const int64_t begin = now_ms();
    ck_assert_int_eq(get_status("a"), SMTPF_STORE_FAILED);
    ck_assert_int_lt(now_ms() - begin, 4000); /* not the deadline */
    run(100);
    store_close();
    redis_fake_stop(pid);
  }
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------------- */

START_TEST(memory_ends)
{
  long i = 1, ended = 0;
  redis_start(&s, NULL);
  with(s.address, "1000");
  for (;; i++) {
    driver = fake_new(options, n_options);
    driver->fail_at = i;
    const int r = smtpf_store_redis()->start(NULL, driver, &self);
    if (r != SMTPF_OK) {
      ck_assert_int_eq(r, SMTPF_ENOMEM);
      fake_free(driver);
      continue;
    }
    smtpf_change all[] = {change(SMTPF_CHANGE_SET, "a", "x"), change(SMTPF_CHANGE_SET, "b", "y")};
    const int set_to = commit(all, 2), found = get_status("a");
    fake_forget(driver);
    const int scanned = status_of(smtpf_store_redis()->scan(self, 1, (smtpf_str){NULL, 0}, 5), 5000);
    ck_assert_msg(set_to && found && scanned, "allocation %ld: an operation never ended", i);
    ended += driver->fail_at == 0;
    const int over = driver->fail_at != 0;
    store_close();
    if (over)
      break;
  }
  ck_assert_int_gt(ended, 10);
  redis_stop(&s);
}
END_TEST

int main(void)
{
  if (!redis_is_there()) {
    puts("SKIP no redis-server");
    return 77;
  }
  Suite *suite = suite_create("port: Redis store, faults");
  TCase *t = tcase_create("faults");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, without_a_server_it_fails_at_once);
  tcase_add_test(t, a_restart_is_survived);
  tcase_add_test(t, a_connection_closed_in_peace_is_made_anew);
  tcase_add_test(t, a_stuck_server_holds_nobody_longer_than_the_deadline);
  tcase_add_test(t, a_full_server_writes_nothing_and_reads_on);
  tcase_add_test(t, a_replica_is_no_store);
  tcase_add_test(t, passwords);
  tcase_add_test(t, requests_are_bounded);
  tcase_add_test(t, hostile_servers);
  tcase_add_test(t, hostile_streams);
  tcase_add_test(t, memory_ends);
  suite_add_tcase(suite, t);
  return port_run(suite);
}
