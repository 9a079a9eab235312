/* SPDX-License-Identifier: MIT
 *
 * The scanner `rspamd` before servers that do as they should, and before servers that do not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rspamd_world.h"

static const char clean[] = "{\"action\":\"no action\",\"score\":-0.5,\"required_score\":15,\"symbols\":{}}";
static const char spam[] =
    "{\"action\":\"reject\",\"score\":20,\"required_score\":15,\"symbols\":{\"A\":{\"score\":20}}}";

static void is_unknown(const scan_run *r, const char *cause)
{
  ck_assert_int_eq(r->result.status, SMTPF_SCAN_UNKNOWN);
  ck_assert_str_eq(r->cause, cause);
  ck_assert_int_eq(r->result.scored, 0);
  ck_assert_uint_eq(r->result.n_edits, 0);
}

static void is_clean(const scan_run *r)
{
  ck_assert_str_eq(r->cause, "");
  ck_assert_int_eq(r->result.status, SMTPF_SCAN_CLEAN);
  ck_assert_int_eq(r->result.score, -500);
  ck_assert_uint_eq(r->result.seen, message_n);
}

/* ---- servers that do as they should ----------------------------------------------------------------------------- */

START_TEST(a_small_message_goes_with_its_length)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  is_clean(scan(20000));
  ck_assert(got_all(&servers[0]));
  ck_assert_int_eq(servers[0].seen->chunked, 0);
  ck_assert_int_eq(runs[0].agains, 0);
  char expected[200];
  snprintf(expected, sizeof expected, "%s: no action -0.5/15", servers[0].address);
  ck_assert_str_eq(runs[0].detail, expected);
}
END_TEST

START_TEST(the_envelope_goes_along)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  settings.settings_id = "strict";
  begin();
  is_clean(scan(20000));
  const http_server *s = &servers[0];
  ck_assert_int_eq(strncmp(s->seen->fields, "POST /checkv2 HTTP/1.1\r\n", 24), 0);
  ck_assert_str_eq(http_field(s, "IP", 0), "198.51.100.7");
  ck_assert_str_eq(http_field(s, "Hostname", 0), "c.example");
  ck_assert_str_eq(http_field(s, "Helo", 0), "he\?\?X: lo");
  ck_assert_ptr_null(http_field(s, "X", 0));
  ck_assert_str_eq(http_field(s, "From", 0), "<a@b.example>");
  ck_assert_str_eq(http_field(s, "Rcpt", 0), "<c@d.example>");
  ck_assert_str_eq(http_field(s, "Rcpt", 1), "<e@d.example>");
  ck_assert_ptr_null(http_field(s, "Rcpt", 2));
  ck_assert_str_eq(http_field(s, "User", 0), "someone");
  ck_assert_str_eq(http_field(s, "Deliver-To", 0), "class");
  ck_assert_str_eq(http_field(s, "Queue-Id", 0), "S1");
  ck_assert_str_eq(http_field(s, "Settings-ID", 0), "strict");
  ck_assert_str_eq(http_field(s, "User-Agent", 0), "libsmtpfilter/0.1.0");
  ck_assert_str_eq(http_field(s, "Content-Length", 0), "2000");
  ck_assert_ptr_null(http_field(s, "Expect", 0));
  ck_assert_ptr_null(http_field(s, "Content-Type", 0));
  ck_assert_ptr_null(http_field(s, "Cookie", 0));
}
END_TEST

START_TEST(a_hit_with_its_edits)
{
  server(0, 1, HTTP_ANSWERS, 200,
         "{\"action\":\"reject\",\"score\":20,\"milter\":{\"add_headers\":{\"X-A\":\"b\"},\"remove_headers\":{\"X-"
         "Twice\":-1}}}");
  begin();
  const scan_run *r = scan(20000);
  ck_assert_int_eq(r->result.status, SMTPF_SCAN_HIT);
  ck_assert_str_eq(r->name, "reject");
  ck_assert_int_eq(r->result.score, 20000);
  ck_assert_str_eq(r->edits, "3 X-Twice ;2 X-A b;");
  ck_assert_int_eq(strncmp(r->detail, servers[0].address, strlen(servers[0].address)), 0);
}
END_TEST

START_TEST(an_empty_message)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  message_n = 0;
  is_clean(scan(20000));
}
END_TEST

START_TEST(a_large_message_is_sent_while_it_comes)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(1000000);
  open_run(0);
  while (come < message_n) {
    come += 50000;
    feed_run(&runs[0]);
    completed(1, 2);
  }
  ck_assert_int_eq(servers[0].seen->connections, 1); /* already */
  all(0);
  ck_assert(completed(1, 20000));
  is_clean(&runs[0]);
  ck_assert(got_all(&servers[0]));
  ck_assert_int_eq(servers[0].seen->chunked, 1);
  ck_assert_int_eq(runs[0].agains, 0);
}
END_TEST

START_TEST(back_pressure_holds)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(8000000);
  is_clean(scan(10000));
  ck_assert(got_all(&servers[0]));
}
END_TEST

/* With all connections taken by half at most, a message that is still coming waits until it is complete. */
START_TEST(messages_that_come_leave_half_of_the_connections)
{
  settings.connections = 4;
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(300000);
  for (int i = 0; i < 6; i++)
    open_run(i);
  come = 200000;
  for (int i = 0; i < 6; i++)
    feed_run(&runs[i]);
  completed(1, 200);
  ck_assert_int_eq(servers[0].seen->connections, 2);
  for (int i = 5; i >= 0; i--)
    all(i);
  ck_assert(completed(6, 20000));
  for (int i = 0; i < 6; i++) {
    is_clean(&runs[i]);
    ck_assert_int_eq(runs[i].agains, i < 2 ? 0 : 1);
  }
  ck_assert_int_eq(servers[0].seen->requests, 6);
  ck_assert_int_le(servers[0].seen->connections, 4);
}
END_TEST

START_TEST(connections_are_kept)
{
  settings.connections = 2;
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  for (int i = 0; i < 20; i++)
    is_clean(scan(20000));
  ck_assert_int_eq(servers[0].seen->requests, 20);
  ck_assert_int_eq(servers[0].seen->connections, 1);
}
END_TEST

START_TEST(more_scans_than_connections_take_turns)
{
  settings.connections = 2;
  server(0, 0, HTTP_CLOSES, 200, clean);
  begin();
  for (int i = 0; i < 30; i++) {
    open_run(i);
    all(i);
  }
  ck_assert(completed(30, 20000));
  for (int i = 0; i < 30; i++)
    is_clean(&runs[i]);
  ck_assert_int_eq(servers[0].seen->requests, 30);
}
END_TEST

START_TEST(load_is_spread)
{
  for (int i = 0; i < 3; i++)
    server(i, i == 1, HTTP_ANSWERS, 200, clean);
  begin();
  for (int i = 0; i < 30; i++)
    is_clean(scan(20000));
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(servers[i].seen->requests, 10);
}
END_TEST

START_TEST(cancelled_anywhere)
{
  settings.connections = 2;
  server(0, 0, HTTP_SLOW, 200, clean);
  begin();
  make_message(300000);
  for (int i = 0; i < 40; i++) {
    for (int k = 0; k < 4; k++)
      open_run(k);
    come = (size_t)i * 8000 < message_n ? (size_t)i * 8000 : message_n;
    for (int k = 0; k < 4; k++) {
      runs[k].wanted = come == message_n;
      feed_run(&runs[k]);
    }
    completed(1, i % 7);
    for (int k = 0; k < 4; k++)
      close_run(k);
  }
  ck_assert_uint_eq(driver->completed, 0);
}
END_TEST

/* ---- servers that do not ---------------------------------------------------------------------------------------- */

START_TEST(refused)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  http_end(&servers[0]);
  begin();
  const scan_run *r = scan(20000);
  is_unknown(r, "refused");
  ck_assert_int_eq(strncmp(r->detail, servers[0].address, strlen(servers[0].address)), 0);
}
END_TEST

START_TEST(no_such_socket)
{
  server(0, 1, HTTP_ANSWERS, 200, clean);
  http_end(&servers[0]);
  unlink(servers[0].path);
  begin();
  is_unknown(scan(20000), "refused");
}
END_TEST

START_TEST(one_that_lets_nobody_in)
{
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t n = sizeof a;
  char address[40];
  int fds[8];
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ck_assert_int_eq(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
  ck_assert_int_eq(listen(fd, 0), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
  for (int i = 0; i < 8; i++) { /* its queue is full */
    fds[i] = socket(AF_INET, SOCK_STREAM | (i ? SOCK_NONBLOCK : 0), 0);
    (void)!connect(fds[i], (const struct sockaddr *)&a, sizeof a);
    usleep(10000);
  }
  snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(a.sin_port));
  settings.servers[0] = address;
  settings.n_servers = 1;
  settings.connect_timeout = 300;
  begin();
  const int64_t from = now_ms();
  is_unknown(scan(20000), "timeout");
  ck_assert_int_lt(now_ms() - from, 2500);
  for (int i = 0; i < 8; i++)
    close(fds[i]);
  close(fd);
}
END_TEST

START_TEST(accepts_and_says_nothing)
{
  settings.timeout = 300;
  server(0, 0, HTTP_SILENT, 200, clean);
  begin();
  const int64_t from = now_ms();
  is_unknown(scan(20000), "timeout");
  ck_assert_int_ge(now_ms() - from, 290);
}
END_TEST

START_TEST(accepts_and_reads_nothing)
{
  settings.timeout = 300;
  server(0, 0, HTTP_DEAF, 200, clean);
  begin();
  make_message(16000000);
  is_unknown(scan(20000), "timeout");
  ck_assert_uint_lt(runs[0].result.seen, message_n);
}
END_TEST

/* The client's time is not the server's. */
START_TEST(a_slow_client_costs_the_server_no_time)
{
  settings.timeout = 300;
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(200000);
  open_run(0);
  for (int i = 0; i < 4; i++) {
    come += 40000;
    feed_run(&runs[0]);
    completed(1, 150);
  }
  all(0);
  ck_assert(completed(1, 20000));
  is_clean(&runs[0]);
  ck_assert_int_eq(runs[0].agains, 0);
}
END_TEST

START_TEST(bad_servers)
{
  static const struct {
    int manner, status;
    const char *text, *cause;
  } all_of[] = {
      {HTTP_DIES_READING, 200, clean, "closed"},
      {HTTP_DIES_SAYING, 200, clean, "closed"},
      {HTTP_CUTS, 200, clean, "garbage"},
      {HTTP_EARLY, 200, clean, "garbage"},
      {HTTP_EARLY, 200, spam, "garbage"},
      {HTTP_RAW, 0, "", "closed"},
      {HTTP_RAW, 0, "OK\r\n", "garbage"},
      {HTTP_RAW, 0, "\xff\xfe\x01\x02\x03", "garbage"},
      {HTTP_RAW, 0, "HTTP/1.1 200 O", "closed"},
      {HTTP_RAW, 0, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{", "closed"},
      {HTTP_RAW, 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "closed"},
      {HTTP_RAW, 0, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "garbage"},
      {HTTP_RAW, 0, "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "error"},
      {HTTP_RAW, 0, "HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", "error"},
      {HTTP_ANSWERS, 200, "", "garbage"},
      {HTTP_ANSWERS, 200, "clean", "garbage"},
      {HTTP_ANSWERS, 200, "{}", "garbage"},
      {HTTP_ANSWERS, 204, clean, "error"},
      {HTTP_ANSWERS, 400, clean, "error"},
      {HTTP_ANSWERS, 403, "{\"error\":\"unauthorized\"}", "error"},
      {HTTP_ANSWERS, 500, "{\"error\":\"no\"}", "error"},
      {HTTP_ANSWERS, 503, spam, "error"},
      {HTTP_ANSWERS, 200, "{\"action\":\"soft reject\",\"score\":3}", "soft-reject"},
  };
  for (size_t i = 0; i < sizeof all_of / sizeof *all_of; i++) {
    world_open();
    server(0, (int)i % 2, all_of[i].manner, all_of[i].status, all_of[i].text);
    begin();
    make_message(all_of[i].manner == HTTP_EARLY ? 6000000 : i % 3 == 2 ? 200000 : 2000);
    const scan_run *r = scan(20000);
    ck_assert_msg(strcmp(r->cause, all_of[i].cause) == 0, "row %zu: %s, not %s (%s)", i, r->cause, all_of[i].cause,
                  r->detail);
    is_unknown(r, all_of[i].cause);
    world_close();
  }
  world_open();
}
END_TEST

START_TEST(an_answer_without_end)
{
  static char text[200000];
  memset(text, ' ', sizeof text - 1);
  server(0, 0, HTTP_ANSWERS, 200, text);
  begin();
  is_unknown(scan(20000), "garbage");
}
END_TEST

START_TEST(too_slow)
{
  settings.timeout = 100;
  server(0, 0, HTTP_SLOW, 200, clean);
  begin();
  is_unknown(scan(20000), "timeout");
  settings.timeout = 20000;
  is_clean(scan(20000));
}
END_TEST

START_TEST(another_server_when_nothing_was_judged)
{
  static const int manners[] = {HTTP_DIES_READING, HTTP_DIES_SAYING, HTTP_CUTS, HTTP_EARLY, HTTP_RAW};
  for (size_t i = 0; i < 2 * sizeof manners / sizeof *manners; i++) {
    world_open();
    server(0, 0, manners[i / 2], 200, clean);
    server(1, 0, HTTP_ANSWERS, 500, clean);
    server(2, 0, HTTP_ANSWERS, 200, clean);
    begin();
    make_message(manners[i / 2] == HTTP_EARLY ? 6000000 : i % 2 ? 300000 : 3000);
    is_clean(scan(20000));
    ck_assert_int_eq(servers[1].seen->requests, 1);
    ck_assert(got_all(&servers[2]));
    world_close();
  }
  world_open();
}
END_TEST

START_TEST(who_waits_for_one_server_holds_up_nobody)
{
  settings.connections = 1;
  server(0, 0, HTTP_SILENT, 200, clean);
  server(1, 0, HTTP_DIES_READING, 200, clean);
  begin();
  for (int i = 1; i < 3; i++) { /* 1 is with the silent one; 2, failed by the other, waits for it */
    open_run(i);
    all(i);
    ck_assert(!completed(1, 300));
  }
  http_restart(&servers[1], HTTP_ANSWERS, 200, clean);
  is_clean(scan(5000));
}
END_TEST

START_TEST(no_other_server_once_it_is_judged)
{
  server(0, 0, HTTP_ANSWERS, 200, "{\"action\":\"soft reject\",\"score\":3}");
  server(1, 0, HTTP_ANSWERS, 200, clean);
  begin();
  is_unknown(scan(20000), "soft-reject");
  ck_assert_int_eq(servers[1].seen->connections, 0);
}
END_TEST

START_TEST(one_of_three_is_down)
{
  for (int i = 0; i < 3; i++)
    server(i, 0, HTTP_ANSWERS, 200, clean);
  http_end(&servers[1]);
  begin();
  for (int i = 0; i < 30; i++)
    is_clean(scan(20000));
  ck_assert_ptr_nonnull(strstr(driver->log, "scanner-down"));
  http_restart(&servers[1], HTTP_ANSWERS, 200, clean);
  const int before = servers[1].seen->requests;
  for (const int64_t end = now_ms() + 5000; servers[1].seen->requests == before && now_ms() < end; completed(99, 50))
    is_clean(scan(20000));
  ck_assert_ptr_nonnull(strstr(driver->log, "scanner-up"));
  ck_assert_int_gt(servers[1].seen->requests, before);
}
END_TEST

START_TEST(all_are_left_alone)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  http_end(&servers[0]);
  begin();
  for (int i = 0; i < 3; i++)
    is_unknown(scan(20000), "refused");
  is_unknown(scan(20000), "down");
}
END_TEST

/* A kept connection that has died is no fault of the server's, and nobody notices. */
START_TEST(restarts)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  for (int i = 0; i < 10; i++) {
    is_clean(scan(20000));
    http_restart(&servers[0], HTTP_ANSWERS, 200, clean);
  }
  is_clean(scan(20000));
  ck_assert_str_eq(driver->log, "");
}
END_TEST

START_TEST(hangs_up_on_a_kept_connection)
{
  server(0, 0, HTTP_HANGS_UP, 200, clean);
  begin();
  for (int i = 0; i < 10; i++) {
    make_message(i % 2 ? 200000 : 2000);
    is_clean(scan(20000));
  }
  ck_assert_str_eq(driver->log, "");
}
END_TEST

START_TEST(dies_while_the_message_comes)
{
  server(0, 0, HTTP_DIES_READING, 200, clean);
  server(1, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(400000);
  open_run(0);
  for (int i = 0; i < 7; i++) {
    come += 50000;
    feed_run(&runs[0]);
    completed(1, 20);
  }
  all(0);
  ck_assert(completed(1, 20000));
  is_clean(&runs[0]);
  ck_assert(got_all(&servers[1]));
  ck_assert_int_eq(runs[0].agains, 1);
}
END_TEST

START_TEST(the_spool_fails)
{
  server(0, 0, HTTP_DIES_READING, 200, clean);
  server(1, 0, HTTP_ANSWERS, 200, clean);
  begin();
  make_message(400000);
  spool_fails = 1;
  is_unknown(scan(20000), "spool");
}
END_TEST

START_TEST(proxies_of_the_environment_are_not_asked)
{
  setenv("http_proxy", "http://127.0.0.1:1/", 1);
  setenv("ALL_PROXY", "http://127.0.0.1:1/", 1);
  server(0, 0, HTTP_ANSWERS, 200, clean);
  begin();
  is_clean(scan(20000));
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
}
END_TEST

/* Each allocation of ours fails once. */
START_TEST(without_memory)
{
  server(0, 0, HTTP_ANSWERS, 200, clean);
  long n = 0;
  for (long at = 1; at < 40; at++) {
    driver = fake_new(NULL, 0);
    driver->fail_at = at;
    make_message(at % 2 ? 200000 : 2000);
    come = 0;
    memset(runs, 0, sizeof runs);
    self = NULL;
    if (smtpf_scanner_rspamd()->start(NULL, driver, &settings, &self) == SMTPF_OK) {
      smtpf_event ev = {.size = sizeof ev};
      smtpf_scan_request q = {.size = sizeof q, .event = &ev};
      if (smtpf_scanner_rspamd()->open(self, 1, &q, &runs[0].scan) == SMTPF_OK) {
        all(0);
        ck_assert(completed(1, 9000));
        ck_assert(runs[0].result.status == SMTPF_SCAN_UNKNOWN || runs[0].result.seen == message_n);
        n += runs[0].result.status != SMTPF_SCAN_UNKNOWN;
      }
      close_run(0);
      smtpf_scanner_rspamd()->stop(self);
    }
    fake_free(driver);
    driver = NULL;
  }
  ck_assert_int_gt(n, 0);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port/rspamd");
  TCase *t = tcase_create("good");
  tcase_set_timeout(t, 60);
  tcase_add_checked_fixture(t, world_open, world_close);
  tcase_add_test(t, a_small_message_goes_with_its_length);
  tcase_add_test(t, the_envelope_goes_along);
  tcase_add_test(t, a_hit_with_its_edits);
  tcase_add_test(t, an_empty_message);
  tcase_add_test(t, a_large_message_is_sent_while_it_comes);
  tcase_add_test(t, back_pressure_holds);
  tcase_add_test(t, messages_that_come_leave_half_of_the_connections);
  tcase_add_test(t, connections_are_kept);
  tcase_add_test(t, more_scans_than_connections_take_turns);
  tcase_add_test(t, load_is_spread);
  tcase_add_test(t, cancelled_anywhere);
  tcase_add_test(t, proxies_of_the_environment_are_not_asked);
  suite_add_tcase(s, t);
  t = tcase_create("bad");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, world_open, world_close);
  tcase_add_test(t, refused);
  tcase_add_test(t, no_such_socket);
  tcase_add_test(t, one_that_lets_nobody_in);
  tcase_add_test(t, accepts_and_says_nothing);
  tcase_add_test(t, accepts_and_reads_nothing);
  tcase_add_test(t, a_slow_client_costs_the_server_no_time);
  tcase_add_test(t, bad_servers);
  tcase_add_test(t, an_answer_without_end);
  tcase_add_test(t, too_slow);
  tcase_add_test(t, another_server_when_nothing_was_judged);
  tcase_add_test(t, who_waits_for_one_server_holds_up_nobody);
  tcase_add_test(t, no_other_server_once_it_is_judged);
  tcase_add_test(t, one_of_three_is_down);
  tcase_add_test(t, all_are_left_alone);
  tcase_add_test(t, restarts);
  tcase_add_test(t, hangs_up_on_a_kept_connection);
  tcase_add_test(t, dies_while_the_message_comes);
  tcase_add_test(t, the_spool_fails);
  tcase_add_test(t, without_memory);
  suite_add_tcase(s, t);
  return port_run(s);
}
