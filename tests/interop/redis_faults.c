/* SPDX-License-Identifier: MIT
 *
 * redis-faults: mail with greylisting on Redis, while Redis is restarted, paused, full; and on a cluster while a part
 * of its slots moves and a node is stopped. Many sessions at a time; senders come again every six minutes of a
 * simulated clock. A case is one letter, or one thing that must hold of a fault:
 *
 *   - every letter is taken in the end, after few tries: nobody is put off for ever;
 *   - what is taken stays taken: its commit, told while the store fails, ends in a 2xx;
 *   - a letter that meets a server that is known to be gone is taken at its first try: mail passes;
 *   - no event takes longer than the store's deadlines allow;
 *   - when the fault is over, strangers are put off again, once.
 *
 *     redis_faults [LETTERS]     in each wave; last line: one line of JSON
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <smtpfilter/ext/port.h>
#include <smtpfilter/smtpfilter.h>

#include "unit/redis_server.h"

enum {
  LETTERS_MAX = 1000,
  TRIES_MAX = 5,
  TIMEOUT_MS = 300,
  DEADLINE_MS = 6 * TIMEOUT_MS + 2000, /* of one event: a few operations one after the other, and a slow machine */
  RETRY_S = 360,
  PATIENCE_MS = 20000,
};

enum { TO_CONNECT, TO_GREET, TO_MAIL, TO_RCPT, TO_DATA, TO_BODY, TO_COMMIT, TO_END };

typedef struct letter {
  int number, step, tries, taken;
  smtpf_session *session;
  int64_t asked; /* ms at which its event was told */
} letter;

static struct {
  smtpf_driver *driver;
  letter letters[LETTERS_MAX];
  size_t n, open, ended;
  int64_t wall;
  int next_number;
  size_t cases, failed, tried, deferred, passed;
  int64_t slowest;
} W;

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void expect(int holds, const char *fault, const char *what)
{
  W.cases++;
  W.failed += !holds;
  if (!holds)
    printf("FAIL %s: %s\n", fault, what);
}

/* ---- a letter ------------------------------------------------------------------------------------------- */

static int tell(letter *l)
{
  static const char body[] = "Subject: hello\r\n\r\nhello\r\n";
  char text[64];
  size_t taken;
  const smtpf_peer peer = {.size = sizeof peer, .address = {text, 0}};
  smtpf_peer p = peer;
  l->asked = now_ms();
  switch (l->step) {
  case TO_CONNECT:
    p.address.n = (size_t)snprintf(text, sizeof text, "10.%d.%d.1", l->number / 250, l->number % 250);
    return smtpf_session_connect(l->session, &p);
  case TO_GREET: return smtpf_session_helo(l->session, SMTPF_GREET_EHLO, SMTPF_LIT("client.example"));
  case TO_MAIL:
    snprintf(text, sizeof text, "<u%d@sender.example>", l->number);
    return smtpf_session_mail(l->session, (smtpf_str){text, strlen(text)}, SMTPF_LIT(""));
  case TO_RCPT: return smtpf_session_rcpt(l->session, SMTPF_LIT("<bob@example.net>"), SMTPF_LIT(""));
  case TO_DATA: return smtpf_session_data(l->session);
  case TO_BODY:
    if (smtpf_session_body(l->session, body, sizeof body - 1, &taken) != SMTPF_OK)
      return SMTPF_EIO;
    return smtpf_session_eom(l->session);
  case TO_COMMIT: return smtpf_session_commit(l->session, SMTPF_ALL, SMTPF_COMMIT_OK);
  default: return SMTPF_EINVAL;
  }
}

static void end(letter *l, int taken)
{
  smtpf_session_free(l->session);
  l->session = NULL;
  l->taken = taken;
  W.open--;
  W.ended++;
}

/* The verdict of the event is there: the next one, until a pending one or the end. */
static void go_on(letter *l)
{
  for (;;) {
    const smtpf_verdict *v = smtpf_session_verdict(l->session);
    const int64_t took = now_ms() - l->asked;
    const int code = v ? smtpf_verdict_code(v) : 0;
    if (took > W.slowest)
      W.slowest = took;
    if (l->step == TO_COMMIT) {
      expect(code / 100 == 2, "letter", "a copy that was taken was not answered 2xx");
      end(l, 1);
      return;
    }
    if (code / 100 == 5 || code == 0)
      expect(0, "letter", "refused for good");
    if (code / 100 > 3) {
      W.deferred++;
      end(l, 0);
      return;
    }
    l->step++;
    const int r = tell(l);
    if (r == SMTPF_PENDING)
      return;
    if (r != SMTPF_OK) {
      expect(0, "letter", "an event was not taken");
      end(l, 0);
      return;
    }
  }
}

static void on_ready(void *user, smtpf_session *s)
{
  (void)user;
  go_on(smtpf_session_user(s));
}

static void begin(letter *l)
{
  const smtpf_session_options o = {
      .size = sizeof o, .capabilities = SMTPF_CAN_REPORT_COMMIT | SMTPF_CAN_SEE_BODY | SMTPF_CAN_QUARANTINE, .user = l};
  l->step = TO_CONNECT;
  l->tries++;
  W.tried++;
  if (smtpf_session_new(&l->session, W.driver, &o) != SMTPF_OK) {
    expect(0, "letter", "no session");
    return;
  }
  W.open++;
  const int r = tell(l);
  if (r == SMTPF_OK)
    go_on(l);
  else if (r != SMTPF_PENDING)
    end(l, 0);
}

/* ---- waves ------------------------------------------------------------------------------------------------ */

static void pump(int64_t ms)
{
  struct pollfd p = {.fd = smtpf_driver_fd(W.driver), .events = POLLIN};
  poll(&p, 1, (int)ms);
  smtpf_driver_process(W.driver);
}

/* Every letter that is not taken tries once, 40 at a time; `half` is called when half of them have. */
static void try_all(void (*half)(void))
{
  const int64_t limit = now_ms() + 60000;
  size_t next = 0, waiting = 0;
  W.ended = 0;
  for (size_t i = 0; i < W.n; i++)
    waiting += !W.letters[i].taken;
  while (W.ended < waiting && now_ms() < limit) {
    for (; next < W.n && W.open < 40; next++)
      if (!W.letters[next].taken)
        begin(&W.letters[next]);
    pump(20);
    if (half && W.ended >= waiting / 2) {
      half();
      half = NULL;
    }
  }
  expect(W.ended == waiting, "wave", "a session hangs");
  W.wall += RETRY_S;
}

static void strangers(size_t n)
{
  W.n = n;
  memset(W.letters, 0, sizeof W.letters);
  for (size_t i = 0; i < n; i++)
    W.letters[i].number = W.next_number++;
}

static size_t taken(void)
{
  size_t n = 0;
  for (size_t i = 0; i < W.n; i++)
    n += W.letters[i].taken != 0;
  return n;
}

static void each_is_taken(const char *fault)
{
  for (int i = 0; i < TRIES_MAX && taken() < W.n; i++)
    try_all(NULL);
  for (size_t i = 0; i < W.n; i++)
    expect(W.letters[i].taken && W.letters[i].tries <= TRIES_MAX, fault, "a letter is put off for ever");
}

static void on_status(void *user, int status, smtpf_str value)
{
  (void)value;
  *(int *)user = status;
}

/* Until every one of some keys, which are on all nodes, can be written again. */
static int comes_back(void)
{
  for (const int64_t limit = now_ms() + PATIENCE_MS; now_ms() < limit;) {
    int well = 0;
    for (char key = 'a'; key <= 'z'; key++) {
      const smtpf_change c = {sizeof c, SMTPF_CHANGE_SET, {&key, 1}, SMTPF_LIT("x"), 0};
      int status = 0;
      (void)smtpf_driver_commit(W.driver, &c, 1, on_status, &status);
      while (!status && now_ms() < limit)
        pump(20);
      well += status == SMTPF_STORE_DONE;
    }
    if (well == 26)
      return 1;
    pump(50);
  }
  return 0;
}

/* Other letters in between; those of the wave keep their places. */
static void aside(const char *fault, size_t n, int gone)
{
  static letter held[LETTERS_MAX];
  const size_t n_held = W.n;
  memcpy(held, W.letters, sizeof held);
  strangers(n);
  try_all(NULL);
  if (gone) {
    expect(taken() == W.n, fault, "a letter was put off though nothing could be known of it");
    W.passed += taken();
  } else {
    each_is_taken(fault);
  }
  memcpy(W.letters, held, sizeof held);
  W.n = n_held;
}

/* What a fault is. */
typedef struct fault {
  const char *name;
  void (*on)(void), (*off)(void);
  int (*busy)(void); /* 1 while it goes on by itself; NULL: never */
  int gone;          /* nothing at all can be known of anybody */
} fault;

/* The fault comes in the middle of a wave and goes in the middle of the next. */
static void show(const fault *f, size_t n)
{
  printf("%-28s", f->name);
  fflush(stdout);
  const int64_t began = now_ms();
  const size_t deferred = W.deferred;
  strangers(n);
  try_all(f->on);
  for (int i = 0; i < 10; i++)
    pump(20);
  if (f->gone)
    aside(f->name, n / 2, 1);
  while (f->busy && f->busy())
    aside(f->name, n / 2, 0);
  try_all(f->off);
  each_is_taken(f->name);
  expect(comes_back(), f->name, "the store does not come back");
  strangers(n / 2);
  try_all(NULL);
  expect(taken() == 0, f->name, "afterwards strangers are not put off");
  each_is_taken(f->name);
  printf("%5lld ms, %zu put off\n", (long long)(now_ms() - began), W.deferred - deferred);
}

/* ---- faults ----------------------------------------------------------------------------------------------- */

static redis_server nodes[3];

static void restart(void)
{
  redis_restart(&nodes[0], NULL);
}
static void pause_it(void)
{
  kill(nodes[0].pid, SIGSTOP);
}
static void continue_it(void)
{
  kill(nodes[0].pid, SIGCONT);
}
static void fill(void)
{
  redis_say(&nodes[0], "CONFIG SET maxmemory 1");
}
static void make_room(void)
{
  redis_say(&nodes[0], "CONFIG SET maxmemory 0");
}
static void stop_node(void)
{
  kill(nodes[2].pid, SIGSTOP);
}
static void continue_node(void)
{
  kill(nodes[2].pid, SIGCONT);
}

static pid_t mover;

/* A third of the first node's slots go to the second while mail comes in. */
static void move_slots(void)
{
  char from[64], to[64];
  snprintf(from, sizeof from, "%s", redis_say(&nodes[0], "CLUSTER MYID"));
  snprintf(to, sizeof to, "%s", redis_say(&nodes[1], "CLUSTER MYID"));
  fflush(stdout);
  mover = fork();
  if (mover == 0) {
    if (!freopen("/dev/null", "w", stdout))
      _exit(126);
    execlp("redis-cli", "redis-cli", "--cluster", "reshard", nodes[0].address, "--cluster-from", from, "--cluster-to",
           to, "--cluster-slots", "1800", "--cluster-yes", (char *)NULL);
    _exit(127);
  }
}

static int slots_are_moving(void)
{
  int status = -1;
  if (mover > 0 && waitpid(mover, &status, WNOHANG) == 0)
    return 1;
  expect(status == 0, "cluster, slots move", "redis-cli did not move them");
  return 0;
}

/* ---- the library ------------------------------------------------------------------------------------------ */

static uint64_t mono(void *user)
{
  struct timespec t;
  (void)user;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t wall(void *user)
{
  (void)user;
  return W.wall;
}

static const smtpf_clock clock_port = {sizeof clock_port, NULL, mono, wall};

static int open_driver(const char *server, const char *cluster, smtpf_zone *zone)
{
  char timeout[16];
  snprintf(timeout, sizeof timeout, "%dms", TIMEOUT_MS);
  const char *const options[][2] = {{"profiles[\"default\"].greylist", "true"},
                                    {"greylist.identity", "prefix"},
                                    {"greylist.auto_allow", "0"},
                                    {"lost_ack.enable", "true"},
                                    {"store.type", "redis"},
                                    {"store.redis.timeout", timeout},
                                    {"store.redis.cluster", cluster}};
  smtpf_config *cfg = NULL;
  smtpf_engine *engine = NULL;
  smtpf_error err = {.size = sizeof err};
  const smtpf_ports ports = {
      .size = sizeof ports, .clock = &clock_port, .resolver = smtpf_resolver_zone(), .resolver_shared = zone};
  int r = smtpf_config_new(&cfg, NULL);
  for (size_t i = 0; r == SMTPF_OK && i < sizeof options / sizeof *options; i++)
    r = smtpf_config_set(cfg, options[i][0], options[i][1], &err);
  if (r == SMTPF_OK)
    r = smtpf_config_append(cfg, "store.redis.servers", server, &err);
  if (r == SMTPF_OK)
    r = smtpf_config_append(cfg, "local_domains", "example.net", &err);
  if (r == SMTPF_OK)
    r = smtpf_engine_new(&engine, cfg, &err);
  if (r == SMTPF_OK)
    r = smtpf_driver_new(&W.driver, engine, &ports);
  if (r != SMTPF_OK)
    printf("FAIL %s\n", err.text);
  else
    smtpf_driver_set_ready(W.driver, on_ready, NULL);
  smtpf_engine_unref(engine);
  smtpf_config_free(cfg);
  return r == SMTPF_OK;
}

static void one_server(size_t n, smtpf_zone *zone)
{
  redis_start(&nodes[0], NULL);
  if (open_driver(nodes[0].address, "false", zone)) {
    show(&(fault){"restarted", restart, NULL, NULL, 0}, n);
    show(&(fault){"paused", pause_it, continue_it, NULL, 1}, n);
    show(&(fault){"out of memory", fill, make_room, NULL, 1}, n);
  } else {
    expect(0, "one server", "no driver");
  }
  smtpf_driver_free(W.driver);
  redis_stop(&nodes[0]);
}

static void cluster(size_t n, smtpf_zone *zone)
{
  redis_start_cluster(nodes);
  if (open_driver(nodes[0].address, "true", zone)) {
    show(&(fault){"cluster, slots move", move_slots, NULL, slots_are_moving, 0}, n);
    show(&(fault){"cluster, a node stopped", stop_node, continue_node, NULL, 0}, n);
  } else {
    expect(0, "cluster", "no driver");
  }
  smtpf_driver_free(W.driver);
  for (size_t i = 0; i < 3; i++)
    redis_stop(&nodes[i]);
}

int main(int argc, char **argv)
{
  const int wanted = argc > 1 ? atoi(argv[1]) : 16;
  const size_t n = wanted > 3 && wanted <= LETTERS_MAX ? (size_t)wanted : 16;
  smtpf_zone *zone = NULL;
  size_t line;
  if (!smtpf_store_redis() || !redis_is_there()) {
    puts("SKIP no hiredis, or no redis-server");
    return 77;
  }
  W.wall = 1700000000;
  if (smtpf_zone_new(&zone, SMTPF_LIT(""), NULL, &line) != SMTPF_OK)
    return 2;
  one_server(n, zone);
  cluster(n, zone);
  smtpf_zone_free(zone);
  expect(W.slowest <= DEADLINE_MS, "all", "an event took longer than the deadlines of the store allow");
  printf("{\"name\":\"redis-faults\",\"cases\":%zu,\"failed\":%zu,\"tries\":%zu,\"put_off\":%zu,"
         "\"passed_while_gone\":%zu,\"store_timeout_ms\":%d,\"slowest_event_ms\":%lld}\n",
         W.cases, W.failed, W.tried, W.deferred, W.passed, TIMEOUT_MS, (long long)W.slowest);
  return W.failed != 0;
}
