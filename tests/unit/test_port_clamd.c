/* SPDX-License-Identifier: MIT
 *
 * What needs no server: addresses, answers of clamd, settings.
 */
#include <string.h>

#include "port/scan/clamd.h"
#include "port/scan/pool.h"
#include "port_run.h"
#include "scan_world.h"

static scan_world W;

START_TEST(addresses)
{
  static const struct {
    const char *text, *form;
  } rows[] = {
      {"unix:/run/clamd.ctl", "unix:/run/clamd.ctl"},
      {"192.0.2.1:3310", "192.0.2.1:3310"},
      {"192.0.2.1", "192.0.2.1:99"},
      {"[2001:db8::1]:3310", "[2001:db8::1]:3310"},
      {"[2001:db8::1]", "[2001:db8::1]:99"},
      {"2001:db8::1", "[2001:db8::1]:99"},
      {"unix:", NULL},
      {"unix:relative", NULL},
      {"", NULL},
      {"localhost:3310", NULL},
      {"scanner.example", NULL},
      {"192.0.2.1:0", NULL},
      {"192.0.2.1:65536", NULL},
      {"192.0.2.1:", NULL},
      {":3310", NULL},
      {"192.0.2.256:1", NULL},
      {"/run/clamd.ctl", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_scan_server s;
    const int r = smtpf_scan_server_parse(&s, (smtpf_str){rows[i].text, strlen(rows[i].text)}, 99);
    ck_assert_msg((r == SMTPF_OK) == (rows[i].form != NULL), "%s", rows[i].text);
    if (rows[i].form)
      ck_assert_str_eq(s.text, rows[i].form);
  }
}
END_TEST

START_TEST(answers)
{
  static const struct {
    const char *text;
    int kind;
    uint32_t id;
    const char *words;
  } rows[] = {
      {"stream: OK", SMTPF_CLAMD_CLEAN, 0, ""},
      {"12: stream: OK", SMTPF_CLAMD_CLEAN, 12, ""},
      {"fd[10]: OK", SMTPF_CLAMD_CLEAN, 0, ""},
      {"stream: Win.Test.EICAR_HDB-1 FOUND", SMTPF_CLAMD_HIT, 0, "Win.Test.EICAR_HDB-1"},
      {"3: fd[10]: A b FOUND", SMTPF_CLAMD_HIT, 3, "A b"},
      {"INSTREAM size limit exceeded. ERROR", SMTPF_CLAMD_TOO_LARGE, 0, NULL},
      {"1: INSTREAM size limit exceeded. ERROR", SMTPF_CLAMD_TOO_LARGE, 1, NULL},
      {"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", SMTPF_CLAMD_TOO_LARGE, 0, NULL},
      {"Can't create temporary file ERROR", SMTPF_CLAMD_ERROR, 0, "Can't create temporary file"},
      {"stream: Can't open file or directory ERROR", SMTPF_CLAMD_ERROR, 0, "stream: Can't open file or directory"},
      {"COMMAND READ TIMED OUT", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"UNKNOWN COMMAND", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"stream: ok", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"stream: OK ", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"stream:OK", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {" stream: OK", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"OK", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {": OK", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"stream:  FOUND", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"99999999999: stream: OK", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"stream: O\tK FOUND", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {" ERROR", SMTPF_CLAMD_GARBAGE, 0, NULL},
      {"", SMTPF_CLAMD_GARBAGE, 0, NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_clamd_reply r;
    const size_t n = strlen(rows[i].text);
    ck_assert_uint_eq(smtpf_clamd_reply_read((smtpf_str){rows[i].text, n}, &r), 0); /* no end yet */
    ck_assert_uint_eq(smtpf_clamd_reply_read((smtpf_str){rows[i].text, n + 1}, &r), n + 1);
    ck_assert_msg(r.kind == rows[i].kind && r.id == rows[i].id, "%s: kind %d id %u", rows[i].text, r.kind, r.id);
    if (rows[i].words)
      ck_assert_msg(r.text.n == strlen(rows[i].words) && memcmp(r.text.p, rows[i].words, r.text.n) == 0, "%s: %.*s",
                    rows[i].text, (int)r.text.n, r.text.p);
  }
}
END_TEST

START_TEST(settings_are_looked_at)
{
  static const char *const bad[] = {"localhost", "192.0.2.1:x", "unix:x"};
  for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
    smtpf_error err = {.size = sizeof err};
    scan_world_init(&W);
    scan_world_set(&W, "type", "clamd");
    if (i < sizeof bad / sizeof *bad)
      scan_world_append(&W, "servers", bad[i]);
    ck_assert_int_eq(smtpf_engine_new(&W.engine, W.cfg, &err), SMTPF_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "server"));
    scan_world_end(&W);
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port_clamd");
  TCase *c = tcase_create("pure");
  tcase_add_test(c, addresses);
  tcase_add_test(c, answers);
  tcase_add_test(c, settings_are_looked_at);
  suite_add_tcase(s, c);
  return port_run(s);
}
