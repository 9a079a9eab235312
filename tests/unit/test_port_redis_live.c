/* SPDX-License-Identifier: MIT
 *
 * The Redis store as a policy names it, on a real driver: what does not load, and one round through the whole library.
 * In a build without hiredis: that a policy which names it says so.
 */
#define _GNU_SOURCE
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

#include "port_run.h"
#include "redis_server.h"

static char events[256];

static void on_log(void *user, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  (void)user;
  (void)level;
  (void)n;
  snprintf(events + strlen(events), sizeof events - strlen(events), "%s %.*s ", event, (int)fields[0].value.n,
           fields[0].value.p);
}

/* Options as `path=value`; those of servers are appended. */
static int load(const char *const *options, smtpf_engine **engine, smtpf_error *err)
{
  smtpf_config *cfg;
  char path[64];
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  smtpf_config_set_log(cfg, SMTPF_LOG_DEBUG, on_log, NULL);
  ck_assert_int_eq(smtpf_config_set(cfg, "store.type", "redis", err), SMTPF_OK);
  for (; *options; options++) {
    const char *value = strchr(*options, '=');
    snprintf(path, sizeof path, "store.redis.%.*s", (int)(value - *options), *options);
    const int r = strcmp(path, "store.redis.servers") == 0 ? smtpf_config_append(cfg, path, value + 1, err)
                                                           : smtpf_config_set(cfg, path, value + 1, err);
    ck_assert_msg(r == SMTPF_OK, "%s", *options);
  }
  const int r = smtpf_engine_new(engine, cfg, err);
  smtpf_config_free(cfg);
  return r;
}

static const struct {
  const char *options[5], *says;
} refused[] = {
    {{NULL}, "missing"},
    {{"servers=localhost:6379"}, "not a server's address"},
    {{"servers=127.0.0.1"}, "not a server's address"},
    {{"servers=127.0.0.1:0"}, "not a server's address"},
    {{"servers=127.0.0.1:70000"}, "not a server's address"},
    {{"servers=2001:db8::1:6379"}, "not a server's address"},
    {{"servers=[2001:db8::1]"}, "not a server's address"},
    {{"servers=unix:sock"}, "not a server's address"},
    {{"servers=127.0.0.1:1", "servers=127.0.0.1:2"}, "several servers"},
    {{"servers=unix:/sock", "cluster=true"}, "asked by address"},
    {{"servers=127.0.0.1:1", "cluster=true", "sentinel=mail"}, "needs no Sentinels"},
    {{"servers=127.0.0.1:1", "cluster=true", "database=1"}, "database 0"},
    {{"servers=127.0.0.1:1", "username=mail"}, "without a password"},
    {{"servers=127.0.0.1:1", "prefix=0123456789012345678901234567890123456789012345678901234567890123456789"},
     "too long"},
};

START_TEST(what_does_not_load)
{
  smtpf_engine *engine = NULL;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    smtpf_error err = {.size = sizeof err};
    const int r = load(refused[i].options, &engine, &err);
    ck_assert_msg(r == (smtpf_store_redis() ? SMTPF_EINVAL : SMTPF_EUNSUPPORTED), "%zu: %d", i, r);
    ck_assert_msg(strstr(err.text, smtpf_store_redis() ? refused[i].says : "no Redis store"), "%zu: %s", i, err.text);
    ck_assert_ptr_null(strstr(err.text, "secret"));
  }
}
END_TEST

START_TEST(what_loads)
{
  static const char *const good[][5] = {{"servers=127.0.0.1:1"},
                                        {"servers=[2001:db8::1]:6379", "database=3"},
                                        {"servers=unix:/run/redis/redis.sock", "password=secret", "username=mail"},
                                        {"servers=127.0.0.1:1", "servers=127.0.0.1:2", "sentinel=mail"},
                                        {"servers=127.0.0.1:1", "servers=127.0.0.1:2", "cluster=true"}};
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  for (size_t i = 0; i < sizeof good / sizeof *good && smtpf_store_redis(); i++) {
    ck_assert_msg(load(good[i], &engine, &err) == SMTPF_OK, "%s", err.text);
    smtpf_engine_unref(engine);
  }
}
END_TEST

/* ---- through the whole library ------------------------------------------------------------------------- */

typedef struct answer {
  int status;
  char value[16];
} answer;

static void on_answer(void *user, int status, smtpf_str value)
{
  answer *a = user;
  a->status = status;
  snprintf(a->value, sizeof a->value, "%.*s", (int)value.n, value.p ? value.p : "");
}

static void wait_for(smtpf_driver *d, const answer *a)
{
  for (int i = 0; i < 1000 && !a->status; i++) {
    struct pollfd p = {.fd = smtpf_driver_fd(d), .events = POLLIN};
    poll(&p, 1, 100);
    smtpf_driver_process(d);
  }
}

static uint64_t failures;

static void on_stat(void *user, const char *name, uint64_t value)
{
  (void)user;
  if (strcmp(name, "store.failed") == 0)
    failures = value;
}

START_TEST(a_policy_names_it)
{
  redis_server s;
  char servers[48];
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  smtpf_driver *d = NULL;
  if (!smtpf_store_redis() || !redis_is_there()) {
    puts("SKIP no hiredis, or no redis-server");
    return;
  }
  redis_start(&s, NULL);
  snprintf(servers, sizeof servers, "servers=%s", s.address);
  const char *const options[] = {servers, NULL};
  events[0] = '\0';
  ck_assert_msg(load(options, &engine, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_driver_new(&d, engine, NULL), SMTPF_OK);
  smtpf_engine_unref(engine);
  const smtpf_change c = {sizeof c, SMTPF_CHANGE_SET, SMTPF_LIT("key"), SMTPF_LIT("value"), 0};
  answer a = {0}, b = {0}, gone = {0};
  ck_assert_int_eq(smtpf_driver_commit(d, &c, 1, on_answer, &a), SMTPF_OK); /* at once: it waits for the connection */
  ck_assert_int_eq(smtpf_driver_get(d, c.key, on_answer, &b), SMTPF_OK);
  wait_for(d, &b);
  ck_assert_int_eq(a.status, SMTPF_STORE_DONE);
  ck_assert_int_eq(b.status, SMTPF_STORE_FOUND);
  ck_assert_str_eq(b.value, "value");
  ck_assert_str_eq(redis_say(&s, "EXISTS smtpf:key"), ":1");
  redis_stop(&s);
  ck_assert_int_eq(smtpf_driver_get(d, c.key, on_answer, &gone), SMTPF_OK);
  wait_for(d, &gone);
  ck_assert_int_eq(gone.status, SMTPF_STORE_FAILED);
  ck_assert_str_eq(events, "store-down redis ");
  smtpf_driver_stats(d, on_stat, NULL);
  ck_assert_uint_eq(failures, 1);
  smtpf_driver_free(d);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------------------ */

/* A certificate that is its own authority; 0 without the program openssl. */
static int certify(const char *key, const char *cert)
{
  int status = -1;
  const pid_t pid = fork();
  if (pid == 0) {
    if (!freopen("/dev/null", "w", stderr))
      _exit(126);
    execlp("openssl", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days",
           "2", "-subj", "/CN=redis.example.net", (char *)NULL);
    _exit(127);
  }
  return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* What becomes of a commit to a server whose certificate is `cert`, when `trusted` is trusted. */
static int over_tls(const char *key, const char *cert, const char *trusted)
{
  redis_server s;
  char port[16], servers[48], ca[80];
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  smtpf_driver *d = NULL;
  answer a = {0};
  const int number = redis_free_port();
  snprintf(port, sizeof port, "%d", number);
  snprintf(servers, sizeof servers, "servers=127.0.0.1:%d", number);
  snprintf(ca, sizeof ca, "tls_ca=%s", trusted);
  const char *const more[] = {"--tls-port",
                              port,
                              "--tls-cert-file",
                              cert,
                              "--tls-key-file",
                              key,
                              "--tls-ca-cert-file",
                              cert,
                              "--tls-auth-clients",
                              "no",
                              NULL};
  const char *const options[] = {servers, "tls=true", ca, NULL};
  redis_start(&s, more);
  ck_assert_msg(load(options, &engine, &err) == SMTPF_OK, "%s", err.text);
  ck_assert_int_eq(smtpf_driver_new(&d, engine, NULL), SMTPF_OK);
  smtpf_engine_unref(engine);
  const smtpf_change c = {sizeof c, SMTPF_CHANGE_SET, SMTPF_LIT("key"), SMTPF_LIT("value"), 0};
  ck_assert_int_eq(smtpf_driver_commit(d, &c, 1, on_answer, &a), SMTPF_OK);
  wait_for(d, &a);
  smtpf_driver_free(d);
  redis_stop(&s);
  return a.status;
}

START_TEST(tls)
{
  static const char *const asks[] = {"servers=127.0.0.1:1", "tls=true", "tls_ca=/nowhere", NULL};
  static const char *const vague[] = {"servers=127.0.0.1:1", "tls=true", NULL};
  char folder[] = "/tmp/smtpf-tls-XXXXXX", names[4][48];
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  const int r = load(asks, &engine, &err);
  if (r != SMTPF_OK) {
    ck_assert_int_eq(r, SMTPF_EUNSUPPORTED);
    puts("SKIP no TLS in this build");
    return;
  }
  smtpf_engine_unref(engine);
  ck_assert_int_eq(load(vague, &engine, &err), SMTPF_EINVAL);
  ck_assert_ptr_nonnull(mkdtemp(folder));
  for (int i = 0; i < 4; i++)
    snprintf(names[i], sizeof names[i], "%s/%d.pem", folder, i);
  if (certify(names[0], names[1]) && certify(names[2], names[3]) && redis_is_there()) {
    ck_assert_int_eq(over_tls(names[0], names[1], names[1]), SMTPF_STORE_DONE);
    ck_assert_int_eq(over_tls(names[0], names[1], names[3]), SMTPF_STORE_FAILED);
  } else {
    puts("SKIP no openssl, or no redis-server");
  }
  for (int i = 0; i < 4; i++)
    unlink(names[i]);
  rmdir(folder);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("port: Redis store, live");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, what_does_not_load);
  tcase_add_test(t, what_loads);
  tcase_add_test(t, a_policy_names_it);
  tcase_add_test(t, tls);
  suite_add_tcase(suite, t);
  return port_run(suite);
}
