/* SPDX-License-Identifier: MIT
 *
 * The scanner types `spamd` and `icap`: a server that is well, and each way in which one is not. Never clean by
 * silence, nor by an answer to something else.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/scan/pool.h"
#include "port_run.h"
#include "scan_script.h"

static scan_world W;
static script_server S[3];
static char large[1200000];

#define GOOD "Subject: x\r\n\r\nhello, this is longer than a preview\r\n"
#define EVIL "Subject: x\r\n\r\nEVIL and longer than a preview\r\n"
#define GOOD_N (sizeof GOOD - 1)
#define EVIL_N (sizeof EVIL - 1)

static const char *const types[] = {"spamd", "icap"};

static void begin(const char *timeout)
{
  scan_world_init(&W);
  scan_world_set(&W, "timeout", timeout);
  memset(large, 'a', sizeof large);
  for (size_t i = 70; i < sizeof large; i += 72)
    memcpy(large + i, "\r\n", 2);
  memcpy(large, "Subject: x\r\n\r\n", 14);
}

static void begin_one(int protocol, int tcp, int way, const char *timeout)
{
  begin(timeout);
  script_init(&S[0], &W, protocol, tcp, way);
}

static void end(size_t n)
{
  for (size_t i = 0; i < n; i++)
    script_stop(&S[i]);
  scan_world_end(&W);
}

static const outcome *scan(const char *bytes, size_t n)
{
  return script_scan(&W, S, 1, bytes, n);
}

#define EXPECT(o, st, c)                                                                                               \
  do {                                                                                                                 \
    const outcome *o_ = (o);                                                                                           \
    ck_assert_msg(o_->status == (st) && strcmp(o_->cause, (c)) == 0, "status %d cause `%s` detail `%s`", o_->status,   \
                  o_->cause, o_->detail);                                                                              \
  } while (0)
#define CLEAN(o, n)                                                                                                    \
  do {                                                                                                                 \
    const outcome *k_ = (o);                                                                                           \
    EXPECT(k_, SMTPF_SCAN_CLEAN, "");                                                                                  \
    ck_assert_uint_eq(k_->seen, (n));                                                                                  \
  } while (0)
#define UNKNOWN(o, c) EXPECT(o, SMTPF_SCAN_UNKNOWN, c)

/* ---- both: a server that is well -------------------------------------------------------------------------------- */

START_TEST(clean_and_found)
{
  const int protocol = _i / 2;
  begin_one(protocol, _i % 2, SCRIPT_WELL, "30s");
  scan_world_start(&W, types[protocol]);
  const outcome *o = scan(GOOD, GOOD_N);
  CLEAN(o, GOOD_N);
  ck_assert(strncmp(o->detail, S[0].address, strlen(S[0].address)) == 0);
  o = scan(EVIL, EVIL_N);
  EXPECT(o, SMTPF_SCAN_HIT, "");
  ck_assert_str_eq(o->name, protocol == SCRIPT_SPAMD ? "spam" : "Test.Evil");
  ck_assert_int_eq(o->scored, protocol == SCRIPT_SPAMD);
  ck_assert_int_eq(o->score, protocol == SCRIPT_SPAMD ? 12500 : 0);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_uint_eq(S[0].got, GOOD_N);
  ck_assert_int_eq(S[0].requests, 3);
  ck_assert_int_eq(S[0].accepted, protocol == SCRIPT_SPAMD ? 3 : 1);
  ck_assert_int_eq(S[0].asked, protocol == SCRIPT_SPAMD ? 0 : 1);
  end(1);
}
END_TEST

START_TEST(empty_and_large)
{
  const int protocol = _i / 2;
  begin_one(protocol, _i % 2, SCRIPT_WELL, "60s");
  scan_world_start(&W, types[protocol]);
  CLEAN(scan("", 0), 0);
  CLEAN(scan(large, sizeof large), sizeof large);
  ck_assert_uint_eq(S[0].got, sizeof large);
  memcpy(large + sizeof large - 10, "EVIL", 4);
  EXPECT(scan(large, sizeof large), SMTPF_SCAN_HIT, "");
  end(1);
}
END_TEST

START_TEST(byte_by_byte)
{
  const int protocol = _i / 2;
  begin_one(protocol, _i % 2, SCRIPT_WELL, "30s");
  scan_world_start(&W, types[protocol]);
  smtpf_session *x = scan_world_session(&W);
  for (size_t i = 0; i < EVIL_N; i++) {
    scan_world_body(&W, x, &EVIL[i], 1);
    script_turn(&S[0]);
    scan_world_turn(&W, 0);
  }
  scan_world_finish(x);
  ck_assert(script_until(&W, S, 1, 1, 5000));
  EXPECT(&W.outcomes[0], SMTPF_SCAN_HIT, "");
  ck_assert_uint_eq(S[0].got, EVIL_N);
  smtpf_session_free(x);
  end(1);
}
END_TEST

/* ---- both: every way in which it is not ------------------------------------------------------------------------- */

static const struct {
  int protocol, way;
  size_t after;
  const char *words, *cause;
} faults[] = {
    {SCRIPT_SPAMD, SCRIPT_SILENT, 0, NULL, "timeout"},
    {SCRIPT_ICAP, SCRIPT_SILENT, 0, NULL, "timeout"},
    {SCRIPT_SPAMD, SCRIPT_DEAF, 0, NULL, "timeout"},
    {SCRIPT_ICAP, SCRIPT_DEAF, 0, NULL, "timeout"},
    {SCRIPT_SPAMD, SCRIPT_LATE, 0, NULL, "timeout"}, /* too slow */
    {SCRIPT_ICAP, SCRIPT_LATE, 0, NULL, "timeout"},
    {SCRIPT_SPAMD, SCRIPT_DIES, 1, NULL, "closed"},
    {SCRIPT_ICAP, SCRIPT_DIES, 1, NULL, "closed"},
    {SCRIPT_SPAMD, SCRIPT_DIES, 90, NULL, "closed"},
    {SCRIPT_SPAMD, SCRIPT_DIES, 500000, NULL, "closed"},
    {SCRIPT_ICAP, SCRIPT_DIES, 500000, NULL, "closed"},
    {SCRIPT_SPAMD, SCRIPT_HALF, 0, NULL, "closed"},
    {SCRIPT_ICAP, SCRIPT_HALF, 0, NULL, "closed"},
    {SCRIPT_SPAMD, SCRIPT_HALF, 10, NULL, "closed"},
    {SCRIPT_ICAP, SCRIPT_HALF, 10, NULL, "closed"},
    {SCRIPT_SPAMD, SCRIPT_HALF, 65, NULL, "closed"}, /* in the line of the score */
    {SCRIPT_SPAMD, SCRIPT_HALF, 68, NULL, "closed"}, /* in the symbols */
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "220 mail.example ESMTP\r\n", "garbage"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "HTTP/1.1 200 OK\r\n\r\n", "garbage"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "\xff\xfe\r\n", "garbage"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "\xff\xfe\r\n", "garbage"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n", "garbage"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; 0.0 / 5.0\r\n\r\nmore",
     "garbage"},
    {SCRIPT_SPAMD, SCRIPT_EARLY, 0, NULL, "garbage"},
    {SCRIPT_ICAP, SCRIPT_EARLY, 0, NULL, "garbage"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.0 75 Temporary failure\r\n", "error"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.0 69 Service Unavailable: x\r\n", "error"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.0 76 Bad header line: x\r\n", "error"},
    {SCRIPT_SPAMD, SCRIPT_WORDS, 0, "SPAMD/1.0 79 Timeout: x\r\n", "timeout"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 500 Server error\r\nConnection: close\r\n\r\n", "error"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 503 Overloaded\r\n\r\n", "error"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 413 Too large\r\n\r\n", "too-large"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 100 Continue\r\n\r\n", "garbage"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 204 Unmodified\r\n\r\nICAP/1.0 204 Unmodified\r\n\r\n", "garbage"},
    {SCRIPT_ICAP, SCRIPT_WORDS, 0, "ICAP/1.0 204 Unmodified\r\nX-Virus-ID: a\r\n\r\n", "garbage"},
    {SCRIPT_ICAP, SCRIPT_SAME, 0, NULL, "unscanned"},
    {SCRIPT_ICAP, SCRIPT_SAME_EARLY, 0, NULL, "unscanned"},
};

/* Nobody answers, and the time is over. */
static const outcome *scan_in_vain(void)
{
  smtpf_session *x = scan_world_session(&W);
  scan_world_body(&W, x, large, sizeof large);
  scan_world_finish(x);
  ck_assert(!script_until(&W, S, 1, 1, 100));
  scan_world_advance(&W, 31000);
  ck_assert(script_until(&W, S, 1, 1, 20000));
  smtpf_session_free(x);
  return &W.outcomes[0];
}

/* The message is larger than sockets hold, so that an early answer is early. */
START_TEST(fault)
{
  const int way = faults[_i].way;
  begin_one(faults[_i].protocol, 0, way, "30s");
  S[0].after = faults[_i].after;
  S[0].words = faults[_i].words;
  scan_world_start(&W, types[faults[_i].protocol]);
  const int vain = way == SCRIPT_SILENT || way == SCRIPT_DEAF || way == SCRIPT_LATE;
  UNKNOWN(vain ? scan_in_vain() : scan(large, sizeof large), faults[_i].cause);
  ck_assert(strstr(W.outcomes[0].detail, S[0].address) != NULL);
  ck_assert_int_eq(S[0].early > 0, way == SCRIPT_EARLY);
  if (way == SCRIPT_LATE) { /* and when it is not, it is believed again */
    S[0].gate = 1;
    CLEAN(scan(large, sizeof large), sizeof large);
  }
  end(1);
}
END_TEST

START_TEST(what_is_left)
{
  static char room[200000];
  const int tcp = _i, least = 4096;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  int fd[2];
  if (tcp) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    ck_assert(bind(listener, (struct sockaddr *)&a, n) == 0 && listen(listener, 1) == 0);
    ck_assert(getsockname(listener, (struct sockaddr *)&a, &n) == 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd[0], (struct sockaddr *)&a, n), 0);
    fd[1] = accept(listener, NULL, NULL);
    close(listener);
  } else {
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
  }
  const ssize_t sent = send(fd[0], room, tcp ? sizeof room : 10, MSG_DONTWAIT);
  ck_assert_int_gt(sent, 0);
  ck_assert_uint_gt(smtpf_scan_fd_left(fd[0]), 0);
  for (ssize_t got = 0, r; got < sent; got += r)
    ck_assert_int_gt(r = recv(fd[1], room, sizeof room, 0), 0);
  ck_assert_int_eq(send(fd[1], "", 1, 0), 1);
  ck_assert_int_eq(recv(fd[0], room, 1, 0), 1);
  ck_assert_uint_eq(smtpf_scan_fd_left(fd[0]), 0);
  ck_assert_uint_eq(smtpf_scan_fd_left(-1), 0);
  close(fd[0]);
  close(fd[1]);
}
END_TEST

START_TEST(refused_and_restarted)
{
  const int protocol = _i / 2;
  begin_one(protocol, _i % 2, SCRIPT_WELL, "30s");
  scan_world_start(&W, types[protocol]);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  script_stop(&S[0]);
  UNKNOWN(scan(GOOD, GOOD_N), "refused");
  script_start(&S[0]);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  script_stop(&S[0]); /* a kept connection is dead, and nobody's fault */
  script_start(&S[0]);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  end(1);
}
END_TEST

START_TEST(one_of_three_down)
{
  static const int ways[] = {SCRIPT_WELL, SCRIPT_DIES, SCRIPT_WORDS, SCRIPT_HALF, SCRIPT_EARLY};
  const int protocol = _i % 2;
  begin("30s");
  for (size_t i = 0; i < 3; i++)
    script_init(&S[i], &W, protocol, 0, i == 1 ? ways[_i / 2] : SCRIPT_WELL);
  S[1].after = 5;
  S[1].words = "nonsense\r\n";
  scan_world_start(&W, types[protocol]);
  if (_i / 2 == 0)
    script_stop(&S[1]);
  for (int i = 0; i < 12; i++) {
    const outcome *o = script_scan(&W, S, 3, large, sizeof large);
    CLEAN(o, sizeof large);
  }
  ck_assert(S[0].requests >= 4 && S[2].requests >= 4 && S[0].requests + S[2].requests == 12);
  ck_assert_int_eq(scan_world_logged(&W, "scanner-down"), 1);
  end(3);
}
END_TEST

/* The scan is given up, in every state. */
START_TEST(given_up)
{
  const int protocol = _i % 2;
  begin_one(protocol, 0, SCRIPT_LATE, "30s");
  scan_world_start(&W, types[protocol]);
  for (int turns = 0; turns < 6; turns++) {
    smtpf_session *x = scan_world_session(&W);
    scan_world_body(&W, x, GOOD, GOOD_N);
    for (int i = 0; i < turns; i++) {
      script_turn(&S[0]);
      scan_world_turn(&W, 1);
      if (i == 2)
        scan_world_finish(x);
    }
    smtpf_session_free(x);
  }
  S[0].gate = 1;
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  end(1);
}
END_TEST

/* Each allocation fails in turn: not once is it clean by that. */
START_TEST(no_memory)
{
  const int protocol = _i;
  begin_one(protocol, 0, SCRIPT_WELL, "30s");
  scan_world_start(&W, types[protocol]);
  for (long i = 1; i < 40; i++) {
    smtpf_session *x = scan_world_session(&W);
    const size_t before = W.n_outcomes;
    W.fail_at = W.allocations + i;
    size_t took;
    (void)smtpf_session_body(x, EVIL, EVIL_N, &took);
    (void)smtpf_session_eom(x);
    (void)script_until(&W, S, 1, before + 1, 100);
    W.fail_at = 0;
    ck_assert(W.n_outcomes == before || W.outcomes[before].status != SMTPF_SCAN_CLEAN);
    smtpf_session_free(x);
    if (W.n_outcomes > 30)
      break;
  }
  EXPECT(scan(EVIL, EVIL_N), SMTPF_SCAN_HIT, "");
  end(1);
}
END_TEST

/* ---- spamd ------------------------------------------------------------------------------------------------------ */

START_TEST(spamd_user)
{
  begin_one(SCRIPT_SPAMD, 0, SCRIPT_WELL, "30s");
  scan_world_start(&W, "spamd");
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_str_eq(S[0].user, "");
  ck_assert_ptr_null(strstr(S[0].head, "User:"));
  W.user = "someone@x.example";
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_str_eq(S[0].user, "someone@x.example");
  W.user = "evil\r\nContent-length: 0";
  const size_t before = W.n_outcomes;
  smtpf_session *x = scan_world_session(&W);
  scan_world_body(&W, x, GOOD, GOOD_N);
  scan_world_finish(x);
  for (int i = 0; i < 20; i++) {
    script_turn(&S[0]);
    scan_world_turn(&W, 1);
  }
  ck_assert_int_eq(S[0].requests, 2); /* it was not asked */
  ck_assert(W.n_outcomes == before || W.outcomes[before].status == SMTPF_SCAN_UNKNOWN);
  smtpf_session_free(x);
  end(1);
}
END_TEST

/* A client that sends slowly holds no process of spamd's. */
START_TEST(spamd_is_asked_at_the_end)
{
  begin_one(SCRIPT_SPAMD, 0, SCRIPT_WELL, "30s");
  scan_world_start(&W, "spamd");
  smtpf_session *x = scan_world_session(&W);
  scan_world_body(&W, x, GOOD, GOOD_N);
  for (int i = 0; i < 10; i++) {
    script_turn(&S[0]);
    scan_world_turn(&W, 1);
  }
  ck_assert_int_eq(S[0].accepted, 0);
  scan_world_finish(x);
  ck_assert(script_until(&W, S, 1, 1, 5000));
  CLEAN(&W.outcomes[0], GOOD_N);
  ck_assert_ptr_nonnull(strstr(W.outcomes[0].detail, ": 1.5/5: TEST"));
  ck_assert_int_eq(W.outcomes[0].scored, 1);
  ck_assert_int_eq(W.outcomes[0].score, 1500);
  smtpf_session_free(x);
  end(1);
}
END_TEST

/* What it says of itself: another is asked. What it says of the message: none. */
START_TEST(spamd_errors)
{
  begin("30s");
  for (size_t i = 0; i < 2; i++)
    script_init(&S[i], &W, SCRIPT_SPAMD, 0, SCRIPT_WORDS);
  S[0].words = S[1].words = "SPAMD/1.0 75 Temporary failure\r\n";
  scan_world_start(&W, "spamd");
  UNKNOWN(script_scan(&W, S, 2, GOOD, GOOD_N), "error");
  ck_assert_int_eq(S[0].requests + S[1].requests, 2);
  ck_assert_ptr_nonnull(strstr(W.outcomes[0].detail, "Temporary failure"));
  S[0].words = S[1].words = "SPAMD/1.0 67 No such user\r\n";
  UNKNOWN(script_scan(&W, S, 2, GOOD, GOOD_N), "error");
  ck_assert_int_eq(S[0].requests + S[1].requests, 3);
  ck_assert_ptr_nonnull(strstr(W.outcomes[1].detail, "No such user"));
  end(2);
}
END_TEST

/* ---- icap ------------------------------------------------------------------------------------------------------- */

#define OPTIONS_OF(more) "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\n" more "Encapsulated: null-body=0\r\n\r\n"

static void icap(const char *options, int way)
{
  begin_one(SCRIPT_ICAP, 0, way, "30s");
  S[0].options = options;
}

START_TEST(icap_previews)
{
  icap(NULL, SCRIPT_WELL);
  scan_world_start(&W, "icap");
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].previews, 1);
  CLEAN(scan("short", 5), 5); /* all of it is in the preview */
  CLEAN(scan("exactly sixteen!", 16), 16);
  CLEAN(scan("", 0), 0);
  ck_assert_int_eq(S[0].previews, 1);
  S[0].preview = SCRIPT_ENOUGH; /* it wants no more, and is made to look */
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].previews, 2);
  ck_assert_uint_eq(S[0].got, GOOD_N);
  ck_assert_ptr_null(strstr(S[0].head, "Preview:"));
  EXPECT(scan(EVIL, EVIL_N), SMTPF_SCAN_HIT, "");
  ck_assert_int_eq(S[0].accepted, 1);
  S[0].preview = SCRIPT_FOUND;
  EXPECT(scan(GOOD, GOOD_N), SMTPF_SCAN_HIT, "");
  ck_assert_uint_eq(W.outcomes[W.n_outcomes - 1].seen, 16);
  ck_assert_int_eq(S[0].asked, 1);
  end(1);
}
END_TEST

START_TEST(icap_without_preview)
{
  icap(_i ? OPTIONS_OF("Allow: 204\r\n") : NULL, SCRIPT_WELL);
  if (!_i)
    scan_world_set(&W, "preview", "false");
  scan_world_set(&W, "service", "echo?x=y");
  scan_world_start(&W, "icap");
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  EXPECT(scan(EVIL, EVIL_N), SMTPF_SCAN_HIT, "");
  ck_assert_int_eq(S[0].previews, 0);
  ck_assert_ptr_nonnull(strstr(S[0].head, "RESPMOD icap://localhost/echo?x=y ICAP/1.0\r\n"));
  ck_assert_ptr_nonnull(strstr(S[0].head, "X-Client-IP: 192.0.2.1\r\n"));
  end(1);
}
END_TEST

START_TEST(icap_preview_of_nothing)
{
  icap(OPTIONS_OF("Preview: 0\r\nAllow: 204\r\n"), SCRIPT_WELL);
  scan_world_start(&W, "icap");
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  CLEAN(scan("", 0), 0);
  EXPECT(scan(EVIL, EVIL_N), SMTPF_SCAN_HIT, "");
  ck_assert_int_eq(S[0].previews, 2);
  end(1);
}
END_TEST

/* One that has no 204 gives a clean message back. */
START_TEST(icap_gives_back)
{
  icap(OPTIONS_OF(""), SCRIPT_SAME);
  scan_world_start(&W, "icap");
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  CLEAN(scan("", 0), 0);
  S[0].way = SCRIPT_SAME_EARLY;
  UNKNOWN(scan(large, sizeof large), "unscanned");
  S[0].way = SCRIPT_OTHER;
  EXPECT(scan(GOOD, GOOD_N), SMTPF_SCAN_HIT, "");
  ck_assert_str_eq(W.outcomes[W.n_outcomes - 1].name, "modified");
  end(1);
}
END_TEST

START_TEST(icap_options_fail)
{
  static const struct {
    const char *options, *cause;
  } rows[] = {
      {"ICAP/1.0 404 Service not found\r\nConnection: close\r\n\r\n", "error"},
      {"ICAP/1.0 200 OK\r\nMethods: REQMOD\r\nEncapsulated: null-body=0\r\n\r\n", "error"},
      {"ICAP/1.0 204 -\r\n\r\n", "error"},
      {"ICAP/1.0 200 OK\r\nPreview: x\r\n\r\n", "garbage"},
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage"},
  };
  icap(rows[_i].options, SCRIPT_WELL);
  scan_world_start(&W, "icap");
  UNKNOWN(scan(GOOD, GOOD_N), rows[_i].cause);
  UNKNOWN(scan("", 0), rows[_i].cause);
  ck_assert_int_eq(S[0].requests, 0);
  end(1);
}
END_TEST

/* OPTIONS is asked again when its time is over, and when the service is not what it was. */
START_TEST(icap_options_are_kept)
{
  icap(OPTIONS_OF("Options-TTL: 60\r\nAllow: 204\r\nISTag: \"T-1\"\r\n"), SCRIPT_WELL);
  scan_world_start(&W, "icap");
  for (int i = 0; i < 5; i++)
    CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].asked, 1);
  scan_world_advance(&W, 61000);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].asked, 2);
  S[0].way = SCRIPT_WORDS;
  S[0].words = "ICAP/1.0 204 Unmodified\r\nISTag: \"T-2\"\r\n\r\n";
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].asked, 2);
  CLEAN(scan(GOOD, GOOD_N), GOOD_N);
  ck_assert_int_eq(S[0].asked, 3);
  end(1);
}
END_TEST

START_TEST(icap_services)
{
  static const char *const bad[] = {"", "/avscan", "av scan"};
  smtpf_error err = {.size = sizeof err};
  icap(NULL, SCRIPT_WELL);
  scan_world_set(&W, "type", "icap");
  scan_world_set(&W, "service", bad[_i]);
  ck_assert_int_eq(smtpf_engine_new(&W.engine, W.cfg, &err), SMTPF_EINVAL);
  ck_assert_ptr_nonnull(strstr(err.text, "service"));
  end(1);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: spamd and ICAP");
  TCase *well = tcase_create("well"), *ill = tcase_create("ill"), *spamd_case = tcase_create("spamd"),
        *icap_case = tcase_create("icap");
  TCase *const all[] = {well, ill, spamd_case, icap_case};
  for (size_t i = 0; i < 4; i++) {
    tcase_set_timeout(all[i], 120);
    suite_add_tcase(s, all[i]);
  }
  tcase_add_loop_test(well, clean_and_found, 0, 4);
  tcase_add_loop_test(well, empty_and_large, 0, 4);
  tcase_add_loop_test(well, byte_by_byte, 0, 4);
  tcase_add_loop_test(ill, fault, 0, sizeof faults / sizeof *faults);
  tcase_add_loop_test(ill, what_is_left, 0, 2);
  tcase_add_loop_test(ill, refused_and_restarted, 0, 4);
  tcase_add_loop_test(ill, one_of_three_down, 0, 10);
  tcase_add_loop_test(ill, given_up, 0, 2);
  tcase_add_loop_test(ill, no_memory, 0, 2);
  tcase_add_test(spamd_case, spamd_user);
  tcase_add_test(spamd_case, spamd_is_asked_at_the_end);
  tcase_add_test(spamd_case, spamd_errors);
  tcase_add_test(icap_case, icap_previews);
  tcase_add_loop_test(icap_case, icap_without_preview, 0, 2);
  tcase_add_test(icap_case, icap_preview_of_nothing);
  tcase_add_test(icap_case, icap_gives_back);
  tcase_add_loop_test(icap_case, icap_options_fail, 0, 5);
  tcase_add_test(icap_case, icap_options_are_kept);
  tcase_add_loop_test(icap_case, icap_services, 0, 3);
  return port_run(s);
}
