/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <smtpfilter/session.h>
#include <smtpfilter/wire.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define REQUEST                                                                                                        \
  "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=mail.example.org\nqueue_id=\n"     \
  "sender=a=b@example.org\nrecipient=b@example.net\nrecipient_count=0\nclient_address=192.0.2.25\n"                    \
  "client_name=unknown\nreverse_client_name=x.example\ninstance=1.2.3\nsasl_method=plain\nsasl_username=alice\n"       \
  "size=12345\nencryption_protocol=TLSv1.3\nencryption_cipher=X\nclient_port=40000\nserver_address=192.0.2.1\n"        \
  "server_port=25\npolicy_context=\n\n"

static smtpf_delegation q;

static int read_text(const char *text, size_t n)
{
  q = (smtpf_delegation){.size = sizeof q};
  return smtpf_delegation_read((smtpf_str){text, n}, &q);
}

#define ck_is(s, want) ck_assert_msg(smtpf_str_equal((s), smtpf_str_of(want)), "%.*s", (int)(s).n, (s).p)

START_TEST(reads_attributes)
{
  static const char two[] = REQUEST REQUEST;
  ck_assert_int_eq(read_text(two, sizeof two - 1), (int)(sizeof(REQUEST) - 1));
  ck_assert_int_eq(q.stage, SMTPF_RCPT);
  ck_assert_int_eq(q.greeting, SMTPF_GREET_EHLO);
  ck_is(q.sender, "a=b@example.org");
  ck_is(q.recipient, "b@example.net");
  ck_is(q.client_address, "192.0.2.25");
  ck_is(q.client_name, "");
  ck_is(q.instance, "1.2.3");
  ck_is(q.helo_name, "mail.example.org");
  ck_is(q.sasl_username, "alice");
  ck_is(q.sasl_method, "plain");
  ck_is(q.message_size, "12345");
  ck_is(q.encryption_protocol, "TLSv1.3");
  ck_is(q.encryption_cipher, "X");
  ck_is(q.client_port, "40000");
  ck_is(q.server_address, "192.0.2.1");
  ck_is(q.server_port, "25");
  ck_is(q.recipient_count, "0");
  ck_is(q.queue_id, "");
}
END_TEST

START_TEST(waits_for_the_whole)
{
  static const char one[] = REQUEST;
  for (size_t n = 0; n < sizeof one - 1; n++)
    ck_assert_int_eq(read_text(one, n), 0);
  ck_assert_ptr_null(q.sender.p); /* and nothing is written before */
}
END_TEST

START_TEST(stages)
{
  static const struct {
    const char *state;
    int stage;
  } rows[] = {{"CONNECT", SMTPF_CONNECT},
              {"EHLO", SMTPF_HELO},
              {"HELO", SMTPF_HELO},
              {"MAIL", SMTPF_MAIL},
              {"DATA", SMTPF_DATA},
              {"END-OF-MESSAGE", SMTPF_EOM},
              {"VRFY", 0},
              {"ETRN", 0},
              {"rcpt", 0},
              {"", 0}};
  char text[128] = "request=smtpd_access_policy\nprotocol_state=";
  strcat(strcat(text, rows[_i].state), "\nprotocol_name=SMTP\n\n");
  ck_assert_int_eq(read_text(text, strlen(text)), (int)strlen(text));
  ck_assert_int_eq(q.stage, rows[_i].stage);
  ck_assert_int_eq(q.greeting, SMTPF_GREET_HELO);
}
END_TEST

START_TEST(refuses)
{
  static const struct {
    const char *text;
    size_t n;
  } rows[] = {{"\n", 1},
              {"sender=a\n\n", 10},
              {"request=other\n\n", 15},
              {"request=smtpd_access_policy\nsender\n\n", 36},
              {"request=smtpd_access_policy\nsender=a\0b\n\n", 40}};
  ck_assert_int_eq(read_text(rows[_i].text, rows[_i].n), SMTPF_EPARSE);
}
END_TEST

START_TEST(bounded)
{
  static char big[SMTPF_DELEGATION_MAX + 64];
  memset(big, 'x', sizeof big);
  memcpy(big, "request=", 8);
  ck_assert_int_eq(read_text(big, SMTPF_DELEGATION_MAX - 1), 0);
  ck_assert_int_eq(read_text(big, SMTPF_DELEGATION_MAX), SMTPF_ELIMIT);
  memcpy(big + SMTPF_DELEGATION_MAX, "\n\n", 2);
  ck_assert_int_eq(read_text(big, sizeof big), SMTPF_ELIMIT);
  q.size = 8;
  ck_assert_int_eq(smtpf_delegation_read(SMTPF_LIT(REQUEST), &q), SMTPF_EINVAL);
}
END_TEST

START_TEST(answers)
{
  static const struct {
    int code;
    const char *enhanced, *text, *answer;
  } rows[] = {{250, "2.1.5", "ok", "action=DUNNO\n\n"},
              {354, "", "go", "action=DUNNO\n\n"},
              {451, "4.7.1", "come back", "action=DEFER_IF_PERMIT 4.7.1 come back\n\n"},
              {452, "4.5.3", "apart", "action=452 4.5.3 apart\n\n"},
              {550, "5.1.1", "no\nsuch\r\x80", "action=550 5.1.1 no such??\n\n"},
              {421, "4.7.0", "", "action=421 4.7.0 \n\n"}};
  char room[64];
  const int n = smtpf_delegation_answer(rows[_i].code, smtpf_str_of(rows[_i].enhanced), smtpf_str_of(rows[_i].text),
                                        room, sizeof room);
  ck_assert_int_eq(n, (int)strlen(rows[_i].answer));
  ck_assert_int_eq(memcmp(room, rows[_i].answer, (size_t)n), 0);
}
END_TEST

START_TEST(actions)
{
  static const struct {
    const char *action, *text, *answer;
  } rows[] = {{"PREPEND", "X-Smtpfilter: tagged\r\n", "action=PREPEND X-Smtpfilter: tagged? \n\n"},
              {"HOLD", "", "action=HOLD\n\n"},
              {"DISCARD", "a\nb", "action=DISCARD a b\n\n"}};
  char room[64];
  const int n = smtpf_delegation_action(smtpf_str_of(rows[_i].action), smtpf_str_of(rows[_i].text), room, sizeof room);
  ck_assert_int_eq(n, (int)strlen(rows[_i].answer));
  ck_assert_int_eq(memcmp(room, rows[_i].answer, (size_t)n), 0);
}
END_TEST

START_TEST(cut)
{
  char room[64], text[200];
  memset(text, 'x', sizeof text);
  ck_assert_int_eq(smtpf_delegation_answer(550, SMTPF_LIT("5.7.1"), (smtpf_str){text, sizeof text}, room, sizeof room),
                   (int)sizeof room);
  ck_assert_int_eq(memcmp(room + 61, "x\n\n", 3), 0);
  ck_assert_int_eq(smtpf_delegation_answer(250, SMTPF_LIT(""), SMTPF_LIT(""), room, 63), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_delegation_action(SMTPF_LIT("PREPEND"), (smtpf_str){text, sizeof text}, room, sizeof room),
                   (int)sizeof room);
  ck_assert_int_eq(memcmp(room + 61, "x\n\n", 3), 0);
  ck_assert_int_eq(smtpf_delegation_action(SMTPF_LIT("HOLD"), SMTPF_LIT(""), room, 63), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_delegation_action((smtpf_str){text, 33}, SMTPF_LIT(""), room, sizeof room), SMTPF_ELIMIT);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("delegation");
  TCase *c = tcase_create("codec");
  tcase_add_test(c, reads_attributes);
  tcase_add_test(c, waits_for_the_whole);
  tcase_add_loop_test(c, stages, 0, 10);
  tcase_add_loop_test(c, refuses, 0, 5);
  tcase_add_test(c, bounded);
  tcase_add_loop_test(c, answers, 0, 6);
  tcase_add_loop_test(c, actions, 0, 3);
  tcase_add_test(c, cut);
  suite_add_tcase(s, c);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  const int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
