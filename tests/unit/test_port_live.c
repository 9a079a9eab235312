/* SPDX-License-Identifier: MIT
 *
 * All default ports together under the real driver: a policy file, epoll, c-ares, a DNS list on loopback.
 */
#define _GNU_SOURCE
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <smtpfilter/ext/check.h>
#include <smtpfilter/smtpfilter.h>

#include "base/str.h"
#include "port/port.h"
#include "port_dns_server.h"
#include "port_run.h"

enum { PATIENCE = 20000, MANY = 60 };

static dns_server ours, rbldnsd;
static smtpf_driver *driver;

static void start_servers(void)
{
  ours = dns_server_start();
  rbldnsd = dns_server_rbldnsd();
}

static void stop_servers(void)
{
  dns_server_stop(&ours);
  dns_server_stop(&rbldnsd);
}

/* A driver whose policy asks bl.example at this port. */
static void open_driver(unsigned dns_port)
{
  char path[] = "/tmp/smtpf-live-XXXXXX";
  smtpf_config *cfg;
  smtpf_engine *engine;
  smtpf_error err = {.size = sizeof err};
  int fd = mkstemp(path);
  FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
  ck_assert_ptr_nonnull(f);
  fprintf(f,
          "local_domains = [ \"example.net\" ];\n"
          "resolver = { servers = [ \"127.0.0.1:%u\" ]; timeout = \"200ms\"; tries = 4; };\n"
          "dnslists = ( { zone = \"bl.example\"; timeout = \"10s\"; codes = ( { match = \"127.0.0.2\"; score = 20.0; } "
          "); } );\n",
          dns_port);
  ck_assert_int_eq(fclose(f), 0);
  ck_assert_int_eq(smtpf_config_new(&cfg, NULL), SMTPF_OK);
  int r = smtpf_config_load(cfg, path, &err);
  remove(path);
  ck_assert_msg(r == SMTPF_OK, "%s:%d: %s", err.file, err.line, err.text);
  ck_assert_msg(smtpf_engine_new(&engine, cfg, &err) == SMTPF_OK, "%s", err.text);
  smtpf_config_free(cfg);
  ck_assert_int_eq(smtpf_driver_new(&driver, engine, NULL), SMTPF_OK);
  smtpf_engine_unref(engine);
}

static int open_on_rbldnsd(const char *test)
{
  if (rbldnsd.pid <= 0) {
    printf("SKIP %s: %s\n", test, rbldnsd.why);
    return 0;
  }
  open_driver(rbldnsd.port);
  return 1;
}

/* ---- one client ----------------------------------------------------------------------------------------- */

typedef struct client {
  smtpf_session *s;
  char address[24];
  int step;
  int code; /* of the reply to RCPT */
  char text[200];
} client;

/* Tells the next event; SMTPF_OK when its verdict is there at once. */
static int tell(client *c)
{
  const smtpf_peer peer = {.size = sizeof peer, .address = smtpf_str_of(c->address), .port = 40000};
  switch (c->step++) {
  case 0: return smtpf_session_connect(c->s, &peer);
  case 1: return smtpf_session_helo(c->s, SMTPF_GREET_EHLO, SMTPF_LIT("mail.example.org"));
  case 2: return smtpf_session_mail(c->s, SMTPF_LIT("<a@example.org>"), SMTPF_LIT(""));
  default: return smtpf_session_rcpt(c->s, SMTPF_LIT("<b@example.net>"), SMTPF_LIT(""));
  }
}

/* Looks at the verdict; 1 when it was the last. */
static int look(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->s);
  ck_assert_ptr_nonnull(v);
  if (c->step < 4 && smtpf_verdict_action(v) == SMTPF_ACCEPT)
    return 0;
  c->code = smtpf_verdict_code(v);
  snprintf(c->text, sizeof c->text, "%.*s", (int)smtpf_verdict_text(v).n, smtpf_verdict_text(v).p);
  return 1;
}

static client open_client(int last)
{
  client c = {.step = 0};
  snprintf(c.address, sizeof c.address, "192.0.2.%d", last);
  ck_assert_int_eq(smtpf_session_new(&c.s, driver, NULL), SMTPF_OK);
  return c;
}

/* A whole conversation, waiting for each verdict. */
static client talk(int last)
{
  client c = open_client(last);
  do {
    int r = tell(&c);
    if (r == SMTPF_PENDING)
      r = smtpf_session_wait(c.s, PATIENCE);
    ck_assert_int_eq(r, SMTPF_OK);
  } while (!look(&c));
  smtpf_session_free(c.s);
  return c;
}

START_TEST(a_listed_client_is_refused)
{
  if (!open_on_rbldnsd("a_listed_client_is_refused"))
    return;
  client c = talk(7);
  ck_assert_int_eq(c.code, 250);
  c = talk(1);
  ck_assert_int_eq(c.code, 550);
  ck_assert_msg(strstr(c.text, "Listed, see http://bl.example/?192.0.2.1") != NULL, "%s", c.text);
  smtpf_driver_free(driver);
}
END_TEST

START_TEST(a_dead_list_refuses_nobody)
{
  open_driver(ours.port); /* it is silent about these names */
  client c = talk(1);
  ck_assert_int_ne(c.code / 100, 5);
  smtpf_driver_free(driver);
}
END_TEST

/* ---- many clients, one descriptor in a loop of the host's --------------------------------------------------- */

static client clients[MANY];
static int finished;

static void go_on(client *c)
{
  while (tell(c) == SMTPF_OK)
    if (look(c)) {
      finished++;
      return;
    }
}

static void on_ready(void *user, smtpf_session *s)
{
  (void)user;
  for (int i = 0; i < MANY; i++)
    if (clients[i].s == s) {
      if (look(&clients[i]))
        finished++;
      else
        go_on(&clients[i]);
    }
}

START_TEST(many_clients_by_callback)
{
  if (!open_on_rbldnsd("many_clients_by_callback"))
    return;
  smtpf_driver_set_ready(driver, on_ready, NULL);
  finished = 0;
  for (int i = 0; i < MANY; i++) {
    clients[i] = open_client(i + 1);
    go_on(&clients[i]);
  }
  struct pollfd p = {smtpf_driver_fd(driver), POLLIN, 0};
  for (int rounds = 0; finished < MANY && rounds < 10000; rounds++) {
    ck_assert_int_eq(poll(&p, 1, PATIENCE), 1); /* this descriptor alone, its timers too */
    ck_assert_int_ge(smtpf_driver_process(driver), 0);
  }
  ck_assert_int_eq(finished, MANY);
  for (int i = 0; i < MANY; i++) {
    ck_assert_int_eq(clients[i].code, i + 1 == 7 ? 250 : 550);
    smtpf_session_free(clients[i].s);
  }
  smtpf_driver_free(driver);
}
END_TEST

static void *wake(void *user)
{
  usleep(20000);
  return smtpf_driver_wake(user) == SMTPF_OK ? NULL : user;
}

START_TEST(another_thread_wakes_the_loop)
{
  pthread_t thread;
  void *bad;
  open_driver(ours.port);
  struct pollfd p = {smtpf_driver_fd(driver), POLLIN, 0};
  ck_assert_int_eq(poll(&p, 1, 0), 0);
  ck_assert_int_eq(pthread_create(&thread, NULL, wake, driver), 0);
  ck_assert_int_eq(poll(&p, 1, PATIENCE), 1);
  ck_assert_int_eq(pthread_join(thread, &bad), 0);
  ck_assert_ptr_null(bad);
  ck_assert_int_eq(smtpf_driver_process(driver), 0);
  ck_assert_int_eq(poll(&p, 1, 0), 0);
  smtpf_driver_free(driver);
}
END_TEST

/* Sessions that go while questions are open leave nothing behind. */
START_TEST(a_driver_ends_with_questions_open)
{
  open_driver(ours.port);
  client c = open_client(1);
  while (tell(&c) == SMTPF_OK)
    ck_assert(!look(&c));
  smtpf_session_free(c.s);
  client d = open_client(2);
  while (tell(&d) == SMTPF_OK)
    ck_assert(!look(&d));
  smtpf_driver_free(driver); /* and the session with it */
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: live");
  TCase *t = tcase_create("all");
  tcase_set_timeout(t, 90);
  tcase_add_unchecked_fixture(t, start_servers, stop_servers);
  tcase_add_test(t, a_listed_client_is_refused);
  tcase_add_test(t, a_dead_list_refuses_nobody);
  tcase_add_test(t, many_clients_by_callback);
  tcase_add_test(t, another_thread_wakes_the_loop);
  tcase_add_test(t, a_driver_ends_with_questions_open);
  suite_add_tcase(s, t);
  return port_run(s);
}
