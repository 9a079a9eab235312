/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <smtpfilter/milter.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static char room[SMTPF_MILTER_ANSWER_MAX];

#define LIT(s)                                                                                                         \
  {                                                                                                                    \
    s, sizeof(s) - 1                                                                                                   \
  }
#define ck_is(s, want) ck_assert_msg(smtpf_str_equal((s), (want)), "%.*s", (int)(s).n, (s).p)

/* ---- commands: what is written is what the filter reads --------------------------------------------------- */

static const smtpf_milter_packet commands[] = {
    {.command = SMTPF_MILTER_OPTNEG, .offer = {6, 0x1ff, 0x1fffff}},
    {.command = SMTPF_MILTER_CONNECT,
     .name = LIT("mail.example.org"),
     .family = SMTPF_MILTER_FAMILY_INET6,
     .port = 40000,
     .value = LIT("2001:db8::25")},
    {.command = SMTPF_MILTER_CONNECT, .name = LIT("unknown"), .family = SMTPF_MILTER_FAMILY_UNKNOWN},
    {.command = SMTPF_MILTER_MACRO, .stage = SMTPF_MILTER_MAIL, .rest = LIT("i\0Q1\0{auth_authen}\0joe\0")},
    {.command = SMTPF_MILTER_HELO, .name = LIT("mail.example.org")},
    {.command = SMTPF_MILTER_MAIL, .name = LIT("<a@example.org>"), .rest = LIT("SIZE=10\0PRDR\0")},
    {.command = SMTPF_MILTER_RCPT, .name = LIT("<b@example.net>")},
    {.command = SMTPF_MILTER_DATA},
    {.command = SMTPF_MILTER_HEADER, .name = LIT("Subject"), .value = LIT(" a\n\tb")},
    {.command = SMTPF_MILTER_EOH},
    {.command = SMTPF_MILTER_BODY, .rest = LIT("a\0b\r\n")},
    {.command = SMTPF_MILTER_BODYEOB},
    {.command = SMTPF_MILTER_ABORT},
    {.command = SMTPF_MILTER_UNKNOWN, .name = LIT("XYZZY now")},
    {.command = SMTPF_MILTER_QUIT_NC},
    {.command = SMTPF_MILTER_QUIT},
};

START_TEST(commands_come_back)
{
  const smtpf_milter_packet *p = &commands[_i];
  smtpf_milter_packet q = {.size = sizeof q};
  const int n = smtpf_milter_write(p, room, sizeof room);
  ck_assert_int_gt(n, 4);
  ck_assert_int_eq(smtpf_milter_read((smtpf_str){room, (size_t)n}, SMTPF_MILTER_PACKET_MAX, &q), n);
  ck_assert_int_eq(q.command, p->command);
  ck_is(q.name, p->name);
  ck_is(q.value, p->value);
  ck_is(q.rest, p->rest);
  ck_assert_int_eq(q.family, p->family);
  ck_assert_uint_eq(q.port, p->port);
  ck_assert_int_eq(q.stage, p->stage);
  ck_assert_int_eq(memcmp(&q.offer, &p->offer, sizeof q.offer), 0);
  for (size_t cap = 0; cap < (size_t)n; cap++) /* whole or not at all */
    ck_assert_int_eq(smtpf_milter_write(p, room, cap), SMTPF_ELIMIT);
}
END_TEST

START_TEST(refuses_commands)
{
  const smtpf_milter_packet none = {.command = 'z'}, nul = {.command = SMTPF_MILTER_HELO, .name = LIT("a\0b")};
  ck_assert_int_eq(smtpf_milter_write(&none, room, sizeof room), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_milter_write(&nul, room, sizeof room), SMTPF_EINVAL);
}
END_TEST

/* ---- what the filter says ----------------------------------------------------------------------------------- */

static smtpf_milter_response r;

static void read_all(int n)
{
  ck_assert_int_gt(n, 0);
  for (int i = 0; i < n; i++) {
    r = (smtpf_milter_response){.size = sizeof r};
    ck_assert_int_eq(smtpf_milter_read_reply((smtpf_str){room, (size_t)i}, SMTPF_MILTER_PACKET_MAX, &r), 0);
  }
  ck_assert_int_eq(smtpf_milter_read_reply((smtpf_str){room, (size_t)n}, SMTPF_MILTER_PACKET_MAX, &r), n);
}

START_TEST(changes_come_back)
{
  static const smtpf_milter_terms terms = {6, 0, SMTPF_MILTER_HDR_LEADSPC};
  const smtpf_str none = {"", 0};
  read_all(smtpf_milter_header(SMTPF_MILTER_INSHEADER, &terms, 3, SMTPF_LIT("X-A"), SMTPF_LIT("b"), room, sizeof room));
  ck_assert_int_eq(r.reply, SMTPF_MILTER_INSHEADER);
  ck_assert_uint_eq(r.index, 3);
  ck_is(r.name, SMTPF_LIT("X-A"));
  ck_is(r.value, SMTPF_LIT(" b"));
  read_all(smtpf_milter_header(SMTPF_MILTER_CHGHEADER, &terms, 2, SMTPF_LIT("X-A"), none, room, sizeof room));
  ck_assert(r.index == 2 && r.value.n == 0);
  read_all(smtpf_milter_header(SMTPF_MILTER_ADDHEADER, &terms, 0, SMTPF_LIT("X-A"), SMTPF_LIT("b"), room, sizeof room));
  ck_is(r.value, SMTPF_LIT(" b"));
  read_all(smtpf_milter_envelope(SMTPF_MILTER_DELRCPT, SMTPF_LIT("<b@example.net>"), none, room, sizeof room));
  ck_is(r.name, SMTPF_LIT("<b@example.net>"));
  read_all(smtpf_milter_envelope(SMTPF_MILTER_CHGFROM, SMTPF_LIT("<a@b>"), SMTPF_LIT("X=1"), room, sizeof room));
  ck_is(r.value, SMTPF_LIT("X=1"));
  read_all(smtpf_milter_body(SMTPF_LIT("a\0b"), room, sizeof room));
  ck_is(r.value, SMTPF_LIT("a\0b"));
  read_all(smtpf_milter_letter(SMTPF_MILTER_PROGRESS, room, sizeof room));
  ck_assert_int_eq(r.reply, SMTPF_MILTER_PROGRESS);
}
END_TEST

START_TEST(terms_come_back)
{
  smtpf_milter_packet offer = {.size = sizeof offer, .command = SMTPF_MILTER_OPTNEG, .offer = {6, 0x30001ff, 0x1fffff}};
  smtpf_milter_terms terms = {6, SMTPF_MILTER_CAN_RCPTREPLY | SMTPF_MILTER_CAN_SETSYMLIST, SMTPF_MILTER_NR_BODY};
  const smtpf_str macros[SMTPF_MILTER_STAGES] = {LIT("{daemon_addr}")};
  read_all(smtpf_milter_negotiate(&offer, &terms, macros, room, sizeof room));
  ck_assert_int_eq(r.reply, SMTPF_MILTER_OPTNEG);
  ck_assert_int_eq(memcmp(&r.terms, &terms, sizeof terms), 0);
  ck_assert_uint_eq(r.terms.actions, SMTPF_MILTER_CAN_RCPTREPLY | SMTPF_MILTER_CAN_SETSYMLIST);
}
END_TEST

START_TEST(replies_come_back)
{
  static const struct {
    int code;
    smtpf_str enhanced, text, status;
  } rows[] = {{550, LIT("5.7.1"), LIT("no"), LIT("5.7.1")},
              {451, LIT("4.7.1"), LIT("100%% sure\nsecond line %\nthird"), LIT("4.7.1")},
              {421, LIT(""), LIT("bye"), LIT("4.0.0")},
              {554, LIT("5.1.1"), LIT(""), LIT("5.1.1")},
              {552, LIT("5.3.4"), LIT("5.3.4 twice"), LIT("5.3.4")}};
  char words[256];
  smtpf_str enhanced, text;
  read_all(smtpf_milter_answer(rows[_i].code, rows[_i].enhanced, rows[_i].text, room, sizeof room));
  ck_assert_int_eq(r.reply, SMTPF_MILTER_REPLYCODE);
  ck_assert_int_eq(smtpf_milter_reply_parts(r.value, &enhanced, &text, words, sizeof words), rows[_i].code);
  ck_is(enhanced, rows[_i].status);
  ck_is(text, rows[_i].text);
  read_all(
      smtpf_milter_rcpt_reply(SMTPF_LIT("<b@c>"), rows[_i].code, rows[_i].enhanced, rows[_i].text, room, sizeof room));
  ck_assert_int_eq(r.reply, SMTPF_MILTER_RCPTREPLY);
  ck_is(r.name, SMTPF_LIT("<b@c>"));
  ck_assert_int_eq(smtpf_milter_reply_parts(r.value, &enhanced, &text, words, sizeof words), rows[_i].code);
  ck_is(text, rows[_i].text);
}
END_TEST

START_TEST(refuses_replies)
{
  static const smtpf_str rows[] = {LIT(""),
                                   LIT("55"),
                                   LIT("250 ok"),
                                   LIT("5x0 no"),
                                   LIT("550.5.7.1"),
                                   LIT("550-a\r\n551 b"),
                                   LIT("550-a\r\nfoo"),
                                   LIT("650 no")};
  char words[64];
  smtpf_str enhanced, text;
  ck_assert_int_eq(smtpf_milter_reply_parts(rows[_i], &enhanced, &text, words, sizeof words), SMTPF_EPARSE);
}
END_TEST

START_TEST(refuses_packets)
{
  static const struct {
    const char *bytes;
    size_t n;
    int result;
  } rows[] = {{"\0\0\0\0", 4, SMTPF_ELIMIT},          {"\1\0\0\0", 4, SMTPF_ELIMIT},
              {"\0\0\0\5m\0\0\0\1", 9, SMTPF_EPARSE}, {"\0\0\0\3+a\0", 7, 7},
              {"\0\0\0\3+ab", 7, SMTPF_EPARSE},       {"\0\0\0\6+a\0b\0c", 10, SMTPF_EPARSE},
              {"\0\0\0\4Ra\0b", 8, SMTPF_EPARSE},     {"\0\0\0\3yab", 7, SMTPF_EPARSE},
              {"\0\0\0\5O\0\0\0\6", 9, SMTPF_EPARSE}, {"\0\0\0\2?x", 6, 6}};
  r = (smtpf_milter_response){.size = sizeof r};
  ck_assert_int_eq(smtpf_milter_read_reply((smtpf_str){rows[_i].bytes, rows[_i].n}, SMTPF_MILTER_PACKET_MAX, &r),
                   rows[_i].result);
  r.size = 1;
  ck_assert_int_eq(smtpf_milter_read_reply((smtpf_str){rows[_i].bytes, rows[_i].n}, SMTPF_MILTER_PACKET_MAX, &r),
                   SMTPF_EINVAL);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("milter_client");
  TCase *c = tcase_create("codec");
  tcase_add_loop_test(c, commands_come_back, 0, (int)(sizeof commands / sizeof *commands));
  tcase_add_test(c, refuses_commands);
  tcase_add_test(c, changes_come_back);
  tcase_add_test(c, terms_come_back);
  tcase_add_loop_test(c, replies_come_back, 0, 5);
  tcase_add_loop_test(c, refuses_replies, 0, 8);
  tcase_add_loop_test(c, refuses_packets, 0, 10);
  suite_add_tcase(s, c);
  SRunner *runner = srunner_create(s);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
