/* SPDX-License-Identifier: MIT
 *
 * OpenSMTPD's filter protocol.
 */
#include <check.h>
#include <string.h>

#include <smtpfilter/ext/mail.h>
#include <smtpfilter/opensmtpd.h>

#include "port_run.h"

static int read_line(const char *line, smtpf_opensmtpd_line *l)
{
  *l = (smtpf_opensmtpd_line){.size = sizeof *l};
  return smtpf_opensmtpd_read(smtpf_str_of(line), l);
}

#define IS(s, expected)                                                                                                \
  do {                                                                                                                 \
    ck_assert_uint_eq((s).n, strlen(expected));                                                                        \
    ck_assert_mem_eq((s).p, expected, (s).n);                                                                          \
  } while (0)

START_TEST(lines)
{
  smtpf_opensmtpd_line l;
  smtpf_str field;
  ck_assert_int_eq(read_line("config|smtp-session-timeout|300", &l), SMTPF_OK);
  ck_assert_int_eq(l.kind, SMTPF_OPENSMTPD_CONFIG);
  IS(l.name, "smtp-session-timeout");
  IS(l.rest, "300");
  ck_assert_int_eq(read_line("config|ready", &l), SMTPF_OK);
  IS(l.name, "ready");
  ck_assert_int_eq(read_line("report|0.7|1795289452.8|smtp-in|tx-mail|63491a|d6ca|ok|a|b@c.example", &l), SMTPF_OK);
  ck_assert_int_eq(l.kind, SMTPF_OPENSMTPD_REPORT);
  ck_assert_int_eq(l.version, 7);
  IS(l.session, "63491a");
  ck_assert_int_eq(smtpf_opensmtpd_field(&l.rest, &field), SMTPF_OK);
  IS(field, "d6ca");
  ck_assert_int_eq(smtpf_opensmtpd_field(&l.rest, &field), SMTPF_OK);
  IS(l.rest, "a|b@c.example");
  ck_assert_int_eq(read_line("filter|1.0|1|smtp-in|data-line|s|t|", &l), SMTPF_OK);
  ck_assert_int_eq(l.version, 100);
  IS(l.token, "t");
  ck_assert_uint_eq(l.rest.n, 0);
  ck_assert_int_eq(smtpf_opensmtpd_field(&l.rest, &field), SMTPF_OK);
  ck_assert_int_eq(smtpf_opensmtpd_field(&l.rest, &field), SMTPF_ENOTFOUND);
}
END_TEST

START_TEST(what_is_none)
{
  static const struct {
    const char *line;
    int result;
  } rows[] = {
      {"", SMTPF_EPARSE},
      {"config", SMTPF_EPARSE},
      {"report|0.6|1|smtp-in", SMTPF_EPARSE},
      {"report|0.6|1|smtp-in|x", SMTPF_EPARSE},
      {"report|zero|1|smtp-in|x|s", SMTPF_EPARSE},
      {"report|0.6.1|1|smtp-in|x|s", SMTPF_EPARSE},
      {"filter|0.6|1|smtp-in|x|s", SMTPF_EPARSE},
      {"filter|0.6|1|smtp-in|x||t", SMTPF_EPARSE},
      {"filter|0.5|1|smtp-in|x|s|t", SMTPF_EUNSUPPORTED},
      {"filter|0.6|1|smtp-out|x|s|t", SMTPF_EUNSUPPORTED},
      {"Filter|0.6|1|smtp-in|x|s|t", SMTPF_EPARSE},
  };
  smtpf_opensmtpd_line l;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    ck_assert_msg(read_line(rows[i].line, &l) == rows[i].result, "%s", rows[i].line);
    ck_assert_int_eq(l.kind, 0);
  }
  l.size = 1;
  ck_assert_int_eq(smtpf_opensmtpd_read(SMTPF_LIT("config|ready"), &l), SMTPF_EINVAL);
}
END_TEST

START_TEST(addresses)
{
  static const struct {
    const char *text, *address;
    unsigned port;
  } rows[] = {
      {"198.51.100.7:1025", "198.51.100.7", 1025},
      {"[2001:db8::9]:1234", "2001:db8::9", 1234},
      {"unix:/run/smtpd.sock", "", 0},
      {"198.51.100.7", "", 0},
      {"198.51.100.7:99999", "", 0},
      {"", "", 0},
      {":25", "", 25},
      {"[]:25", "[]", 25},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    smtpf_str address;
    unsigned port;
    smtpf_opensmtpd_address(smtpf_str_of(rows[i].text), &address, &port);
    IS(address, rows[i].address);
    ck_assert_uint_eq(port, rows[i].port);
  }
}
END_TEST

static void answers(int code, const char *enhanced, const char *text, int closes, const char *expected)
{
  char room[128];
  smtpf_opensmtpd_line l;
  ck_assert_int_eq(read_line("filter|0.6|1|smtp-in|rcpt-to|s1|t1|a@b.example", &l), SMTPF_OK);
  const int n = smtpf_opensmtpd_answer(&l, code, smtpf_str_of(enhanced), smtpf_str_of(text), closes, room, sizeof room);
  ck_assert_int_eq(n, (int)strlen(expected));
  ck_assert_mem_eq(room, expected, (size_t)n);
}

START_TEST(written)
{
  char room[128], text[400];
  smtpf_opensmtpd_line l;
  answers(250, "2.1.5", "fine", 0, "filter-result|s1|t1|proceed\n");
  answers(550, "5.7.1", "no\nand no \x01", 0, "filter-result|s1|t1|reject|550 5.7.1 no and no ?\n");
  answers(421, "", "bye", 1, "filter-result|s1|t1|disconnect|421 bye\n");
  memset(text, 'x', sizeof text);
  ck_assert_int_eq(read_line("filter|0.6|1|smtp-in|rcpt-to|s1|t1|", &l), SMTPF_OK);
  int n = smtpf_opensmtpd_answer(&l, 550, SMTPF_LIT("5.7.1"), (smtpf_str){text, sizeof text}, 0, room, sizeof room);
  ck_assert_int_eq(n, sizeof room);
  ck_assert_int_eq(room[n - 1], '\n');
  ck_assert_int_eq(smtpf_opensmtpd_answer(&l, 250, SMTPF_LIT(""), SMTPF_LIT(""), 0, room, 127), SMTPF_ELIMIT);
  ck_assert_int_eq(read_line("config|ready", &l), SMTPF_OK);
  ck_assert_int_eq(smtpf_opensmtpd_answer(&l, 250, SMTPF_LIT(""), SMTPF_LIT(""), 0, room, sizeof room), SMTPF_EINVAL);
}
END_TEST

START_TEST(rewritten)
{
  static const char expected[] = "filter-result|s1|t1|rewrite|<a|b@c.example>\n";
  char room[64];
  smtpf_opensmtpd_line l;
  ck_assert_int_eq(read_line("filter|0.6|1|smtp-in|rcpt-to|s1|t1|x", &l), SMTPF_OK);
  const smtpf_str path = SMTPF_LIT("<a|b@c.example>");
  const int n = (int)sizeof expected - 1;
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, path, room, sizeof room), n);
  ck_assert_mem_eq(room, expected, (size_t)n);
  for (size_t cap = 0; cap < (size_t)n; cap++)
    ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, path, room, cap), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, path, room, (size_t)n), n);
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, SMTPF_LIT(""), room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, SMTPF_LIT("a\nb"), room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, SMTPF_LIT("a\x7f"), room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(read_line("report|0.6|1|smtp-in|x|s", &l), SMTPF_OK);
  ck_assert_int_eq(smtpf_opensmtpd_rewrite(&l, path, room, sizeof room), SMTPF_EINVAL);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("opensmtpd");
  TCase *t = tcase_create("opensmtpd");
  tcase_add_test(t, lines);
  tcase_add_test(t, what_is_none);
  tcase_add_test(t, addresses);
  tcase_add_test(t, written);
  tcase_add_test(t, rewritten);
  suite_add_tcase(s, t);
  return port_run(s);
}
