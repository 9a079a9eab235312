/* SPDX-License-Identifier: MIT
 *
 * The type of scanner `command`: programs that are well, and programs that are not. This test is its own program:
 * called with a word it behaves as that word says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "port/scan/command.h"
#include "port_run.h"
#include "scan_world.h"

#define MAIL "Subject: x\r\n\r\nhello\r\n"
#define EVIL "Subject: x\r\n\r\nEVIL\r\n"

extern char **environ;
static scan_world W;
static char large[900000], self[4096];

/* ---- the program ------------------------------------------------------------------------------------------------ */

static long read_all(int *evil)
{
  static char text[1 << 20];
  size_t n = 0;
  ssize_t r;
  while (n < sizeof text && (r = read(0, text + n, sizeof text - n)) > 0)
    n += (size_t)r;
  *evil = memmem(text, n, "EVIL", 4) != NULL;
  return (long)n;
}

static int other_descriptors(void)
{
  int n = 0;
  for (int fd = 3; fd < 256; fd++)
    n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

static int program(const char *word)
{
  int evil = 0;
  if (strcmp(word, "scan") == 0) {
    read_all(&evil);
    if (evil)
      puts("Test.Evil\nand more");
    return evil;
  }
  if (strcmp(word, "count") == 0)
    return (int)printf("%ld bytes\n", read_all(&evil)) * 0 + 1;
  if (strcmp(word, "world") == 0) { /* what it was given beside the message */
    char folder[64];
    read_all(&evil);
    printf("%d descriptors, %s, %s, %s\n", other_descriptors(), environ[0] ? environ[0] : "-",
           environ[0] && environ[1] ? environ[1] : "-", getcwd(folder, sizeof folder));
    return 1;
  }
  if (strcmp(word, "deaf") == 0)
    return 0; /* well, and has read nothing */
  if (strcmp(word, "sleep") == 0)
    return (int)sleep(600);
  if (strcmp(word, "family") == 0) { /* leaves a child behind that holds its output open */
    read_all(&evil);
    if (fork() == 0)
      sleep(600);
    return 0;
  }
  if (strcmp(word, "talk") == 0)
    for (;;)
      puts("a line that never ends to be followed by another");
  if (strcmp(word, "spin") == 0)
    for (volatile long i = 0;; i++)
      ;
  if (strcmp(word, "greedy") == 0) {
    read_all(&evil);
    void *volatile much = malloc((size_t)1 << 32); /* a compiler may leave out what nobody looks at */
    return much ? 0 : 9;
  }
  if (strcmp(word, "crash") == 0)
    raise(SIGABRT);
  return atoi(word);
}

/* ---- scans ------------------------------------------------------------------------------------------------------ */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 /* then the program itself needs terabytes of address space */
#else
#define SANITIZED 0
#endif

static void begin(const char *word)
{
  scan_world_init(&W);
  if (SANITIZED)
    scan_world_set(&W, "memory", "1000000g");
  scan_world_set(&W, "timeout", "20s");
  scan_world_append(&W, "command", self);
  scan_world_append(&W, "command", "--as");
  scan_world_append(&W, "command", word);
  memset(large, 'a', sizeof large);
  memcpy(large, "Subject: x\r\n\r\n", 14);
  for (size_t i = 70; i < sizeof large; i += 72)
    memcpy(large + i, "\r\n", 2);
}

static void end(void)
{
  scan_world_end(&W);
  ck_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nobody is left behind */
}

static const outcome *scan(const char *bytes, size_t n)
{
  return scan_world_scan(&W, bytes, n);
}

#define EXPECT(o, st, c, words)                                                                                        \
  do {                                                                                                                 \
    const outcome *o_ = (o);                                                                                           \
    const char *text_ = o_->status == SMTPF_SCAN_HIT ? o_->name : o_->detail;                                          \
    ck_assert_msg(o_->status == (st) && strcmp(o_->cause, (c)) == 0 && strstr(text_, (words)),                         \
                  "status %d cause `%s` name `%s` detail `%s`", o_->status, o_->cause, o_->name, o_->detail);          \
  } while (0)
#define UNKNOWN(o, c, words) EXPECT(o, SMTPF_SCAN_UNKNOWN, c, words)
#define HIT(o, words) EXPECT(o, SMTPF_SCAN_HIT, "", words)
#define CLEAN(o) EXPECT(o, SMTPF_SCAN_CLEAN, "", "")

static void descriptor_or_pipe(int descriptor)
{
  if (descriptor)
    scan_world_set(&W, "descriptor", "true");
  scan_world_start(&W, "command");
}

START_TEST(clean_and_found)
{
  begin("scan");
  descriptor_or_pipe(_i);
  const int fds = scan_world_fds();
  CLEAN(scan(MAIL, sizeof MAIL - 1));
  ck_assert_uint_eq(W.outcomes[0].seen, sizeof MAIL - 1);
  HIT(scan(EVIL, sizeof EVIL - 1), "Test.Evil");
  ck_assert_str_eq(W.outcomes[1].name, "Test.Evil");
  memcpy(large + sizeof large - 10, "EVIL", 4);
  HIT(scan(large, sizeof large), "Test.Evil");
  CLEAN(scan("", 0));
  ck_assert_int_eq(scan_world_fds(), fds);
  end();
}
END_TEST

/* Every byte arrives, although a pipe holds far less. */
START_TEST(all_of_it)
{
  begin("count");
  descriptor_or_pipe(_i);
  HIT(scan(large, sizeof large), "900000 bytes");
  end();
}
END_TEST

START_TEST(nothing_but_what_is_listed)
{
  begin("world");
  scan_world_append(&W, "environment", "LANG=C");
  ck_assert_int_eq(setenv("SECRET", "1", 1), 0);
  const int leak = open("/dev/null", 0); /* a descriptor of the host's that survives an exec */
  descriptor_or_pipe(_i);
  HIT(scan(MAIL, sizeof MAIL - 1), "0 descriptors, LANG=C, -, /");
  close(leak);
  end();
}
END_TEST

/* Well before it has read all: nobody knows. */
START_TEST(well_too_early)
{
  begin("deaf");
  scan_world_start(&W, "command");
  UNKNOWN(scan(MAIL, sizeof MAIL - 1), "garbage", "before it had read all");
  UNKNOWN(scan(large, sizeof large), "garbage", "before it had read all");
  end();
}
END_TEST

START_TEST(exit_statuses)
{
  static const struct {
    const char *status;
    int kind;
  } rows[] = {{"2", SMTPF_SCAN_UNKNOWN}, {"7", SMTPF_SCAN_HIT},      {"12", SMTPF_SCAN_HIT},
              {"13", SMTPF_SCAN_HIT},    {"14", SMTPF_SCAN_UNKNOWN}, {"1", SMTPF_SCAN_UNKNOWN}};
  begin(rows[_i].status);
  scan_world_set(&W, "exit_hit", "7,12-13");
  scan_world_start(&W, "command");
  const outcome *o = scan(MAIL, sizeof MAIL - 1);
  ck_assert_int_eq(o->status, rows[_i].kind);
  if (o->status == SMTPF_SCAN_HIT)
    ck_assert_str_eq(o->name, "unnamed");
  else
    ck_assert_str_eq(o->cause, "error");
  end();
}
END_TEST

START_TEST(limits)
{
  static const struct {
    const char *word, *option, *value, *cause, *words;
  } rows[] = {{"sleep", "timeout", "100ms", "timeout", "did not end in time"},
              {"talk", "output", "4k", "garbage", "more output"},
              {"spin", "cpu", "1s", "error", "signal"},
              {"greedy", "memory", "64m", "error", "exit status 9"},
              {"crash", "timeout", "5s", "error", "signal 6"}};
  if (SANITIZED && strcmp(rows[_i].option, "memory") == 0) {
    puts("SKIP memory: the program is built with a sanitizer");
    return;
  }
  begin(rows[_i].word);
  scan_world_set(&W, rows[_i].option, rows[_i].value);
  scan_world_start(&W, "command");
  UNKNOWN(scan(MAIL, sizeof MAIL - 1), rows[_i].cause, rows[_i].words);
  end();
}
END_TEST

START_TEST(no_such_program)
{
  scan_world_init(&W);
  scan_world_append(&W, "command", "/nonexistent/scanner");
  scan_world_start(&W, "command");
  UNKNOWN(scan(MAIL, sizeof MAIL - 1), "error", "exit status 127");
  end();
}
END_TEST

/* What it has started ends with it. */
START_TEST(family)
{
  begin("family");
  scan_world_start(&W, "command");
  CLEAN(scan(MAIL, sizeof MAIL - 1));
  end();
}
END_TEST

/* A host that has its children waited for by nobody loses their status; that is not clean. */
START_TEST(status_lost)
{
  begin("scan");
  signal(SIGCHLD, SIG_IGN);
  scan_world_start(&W, "command");
  UNKNOWN(scan(MAIL, sizeof MAIL - 1), "error", "somebody else");
  end();
  signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(few_at_once)
{
  enum { MANY = 12 };
  smtpf_session *x[MANY];
  begin("scan");
  scan_world_set(&W, "connections", "3");
  scan_world_start(&W, "command");
  for (int i = 0; i < MANY; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], EVIL, sizeof EVIL - 1);
    scan_world_finish(x[i]);
  }
  ck_assert(scan_world_until(&W, MANY, 20000));
  for (int i = 0; i < MANY; i++) {
    HIT(&W.outcomes[i], "Test.Evil");
    smtpf_session_free(x[i]);
  }
  end();
}
END_TEST

START_TEST(given_up)
{
  smtpf_session *x[4];
  begin("sleep");
  scan_world_set(&W, "connections", "2");
  scan_world_start(&W, "command");
  for (int i = 0; i < 4; i++) {
    x[i] = scan_world_session(&W);
    scan_world_body(&W, x[i], large, sizeof large);
    scan_world_finish(x[i]);
  }
  scan_world_turn(&W, 1);
  for (int i = 0; i < 4; i++)
    smtpf_session_free(x[i]);
  end();
}
END_TEST

START_TEST(settings_are_looked_at)
{
  static const struct {
    const char *option, *value;
  } rows[] = {{"command", "scanner"}, {"environment", "NAME"}, {"environment", "=value"}, {"exit_hit", "0"},
              {"exit_hit", "1,x"},    {"exit_clean", "256"},   {"exit_clean", "3-2"}};
  smtpf_error err = {.size = sizeof err};
  scan_world_init(&W);
  scan_world_set(&W, "type", "command");
  if (strcmp(rows[_i].option, "command") != 0)
    scan_world_append(&W, "command", "/bin/true");
  if (strncmp(rows[_i].option, "exit", 4) == 0)
    scan_world_set(&W, rows[_i].option, rows[_i].value);
  else
    scan_world_append(&W, rows[_i].option, rows[_i].value);
  ck_assert_int_eq(smtpf_engine_new(&W.engine, W.cfg, &err), SMTPF_EINVAL);
  ck_assert_ptr_nonnull(strstr(err.text, rows[_i].option));
  scan_world_end(&W);
}
END_TEST

int main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--as") == 0)
    return program(argv[2]);
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0)
    return EXIT_FAILURE;
  Suite *s = suite_create("port_command");
  TCase *c = tcase_create("command");
  tcase_set_timeout(c, 120);
  tcase_add_loop_test(c, clean_and_found, 0, 2);
  tcase_add_loop_test(c, all_of_it, 0, 2);
  tcase_add_loop_test(c, nothing_but_what_is_listed, 0, 2);
  tcase_add_test(c, well_too_early);
  tcase_add_loop_test(c, exit_statuses, 0, 6);
  tcase_add_loop_test(c, limits, 0, 5);
  tcase_add_test(c, no_such_program);
  tcase_add_test(c, family);
  tcase_add_test(c, status_lost);
  tcase_add_test(c, few_at_once);
  tcase_add_test(c, given_up);
  tcase_add_loop_test(c, settings_are_looked_at, 0, 7);
  suite_add_tcase(s, c);
  return port_run(s);
}
