/* SPDX-License-Identifier: MIT
 *
 * The type `clamd` before the real one, over a unix socket, over TCP and by descriptor: what clamdscan(1) says of the
 * same file is what we say. Without clamd it is skipped.
 */
#define _GNU_SOURCE
#include "clamd_real.h"
#include "port_run.h"
#include "scan_world.h"

static scan_world W;
static clamd_real real;
static char message[6 << 20];

static size_t build(int which)
{
  static const size_t fill[] = {0, 0, 0, 100000, 3 << 20, 5500000, 0};
  int n = snprintf(message, sizeof message, "From: a@client.example\r\nSubject: %d\r\n\r\n", which);
  size_t at = (size_t)n;
  for (size_t end = at + fill[which]; at < end; at += 72)
    memcpy(message + at, "a line of a text that is so long that it fills a line of an e-mail  ...\r\n", 73);
  message[at++] = '\r';
  message[at++] = '\n';
  if (which == 1 || which == 4)
    at += (size_t)sprintf(message + at, "%s\r\n", clamd_eicar());
  if (which == 2)
    at += (size_t)sprintf(message + at, "x " CLAMD_MARKER "\r\n");
  return which == 6 ? 0 : at;
}

/* 1 clean, 2 found (with the name), 3 neither. */
static int ask_clamdscan(size_t n, char *name, size_t room)
{
  char path[160], command[400], line[400] = "";
  FILE *f = clamd_file(&real, "message");
  ck_assert_uint_eq(fwrite(message, 1, n, f), n);
  fclose(f);
  snprintf(path, sizeof path, "%s/message", real.folder);
  snprintf(command, sizeof command, "clamdscan -c %s --stream --no-summary %s 2>&1", real.conf, path);
  f = popen(command, "r");
  ck_assert_ptr_nonnull(f);
  while (fgets(line, sizeof line, f)) {
    char *end = strstr(line, " FOUND");
    const char *begin = strstr(line, ": ");
    if (end && begin) {
      *end = '\0';
      snprintf(name, room, "%s", begin + 2);
    }
  }
  const int status = pclose(f);
  return WEXITSTATUS(status) == 0 ? SMTPF_SCAN_CLEAN : WEXITSTATUS(status) == 1 ? SMTPF_SCAN_HIT : SMTPF_SCAN_UNKNOWN;
}

START_TEST(as_clamdscan_says)
{
  char address[140], name[100] = "";
  snprintf(address, sizeof address, "unix:%s", real.socket);
  scan_world_init(&W);
  scan_world_append(&W, "servers", _i == 1 ? real.tcp : address);
  if (_i == 2)
    scan_world_set(&W, "descriptor", "true");
  scan_world_start(&W, "clamd");
  for (int which = 0; which < 7; which++) {
    const size_t n = build(which);
    if (which == 5 && _i == 2)
      continue; /* a limit of streams; a file has none */
    const outcome *o = scan_world_scan(&W, message, n);
    if (which == 5) { /* clamdscan would show it the front alone, and call that clean */
      ck_assert_int_eq(o->status, SMTPF_SCAN_UNKNOWN);
      ck_assert_str_eq(o->cause, "too-large");
      continue;
    }
    const int theirs = ask_clamdscan(n, name, sizeof name);
    ck_assert_msg(o->status == theirs, "message %d: %d (%s, %s), clamdscan %d", which, o->status, o->cause, o->detail,
                  theirs);
    ck_assert_int_eq(theirs, which == 1 || which == 2 || which == 4 ? SMTPF_SCAN_HIT : SMTPF_SCAN_CLEAN);
    ck_assert_uint_eq(o->seen, n);
    if (theirs == SMTPF_SCAN_HIT)
      ck_assert_str_eq(o->name, name);
  }
  scan_world_end(&W);
}
END_TEST

/* It is gone, and back. */
START_TEST(restart)
{
  const char *why;
  char address[140];
  clamd_real old = real;
  snprintf(address, sizeof address, "unix:%s", real.socket);
  scan_world_init(&W);
  scan_world_append(&W, "servers", address);
  scan_world_start(&W, "clamd");
  const size_t n = build(1);
  ck_assert_int_eq(scan_world_scan(&W, message, n)->status, SMTPF_SCAN_HIT);
  ck_assert_int_eq(kill(old.pid, SIGKILL), 0);
  ck_assert_int_eq(waitpid(old.pid, NULL, 0), old.pid);
  const outcome *o = scan_world_scan(&W, message, n);
  ck_assert_int_eq(o->status, SMTPF_SCAN_UNKNOWN);
  ck_assert_str_eq(o->cause, "refused");
  real.pid = 0;
  clamd_stop(&old);
  ck_assert(clamd_start(&real, 4, &why));
  scan_world_end(&W);
}
END_TEST

int main(void)
{
  const char *why;
  if (!clamd_start(&real, 4, &why) || !clamd_on_path("clamdscan")) {
    clamd_stop(&real);
    printf("SKIP %s\n", real.folder[0] && clamd_on_path("clamd") ? "no clamdscan, or clamd does not start" : why);
    return 77;
  }
  Suite *s = suite_create("port_clamd_live");
  TCase *c = tcase_create("live");
  tcase_set_timeout(c, 240);
  tcase_add_loop_test(c, as_clamdscan_says, 0, 3);
  tcase_add_test(c, restart);
  suite_add_tcase(s, c);
  SRunner *r = srunner_create(s);
  srunner_set_fork_status(r, CK_NOFORK); /* the server is this process's child */
  srunner_run_all(r, CK_NORMAL);
  const int failed = srunner_ntests_failed(r);
  srunner_free(r);
  clamd_stop(&real);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
