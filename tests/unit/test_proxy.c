/* SPDX-License-Identifier: MIT
 *
 * smtpf-proxy's parts that can be looked at alone: texts, the count of connections, the spool, who the client is. What
 * the whole does is in tests/interop.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/common/edits.h"
#include "../../examples/common/spool.h"
#include "../../examples/common/text.h"
#include "../../examples/hosts/proxy/envelope.h"
#include "../../examples/hosts/proxy/identity.h"
#include "../../examples/hosts/proxy/message.h"
#include "../../examples/hosts/proxy/peers.h"
#include "port_run.h"

static void is(const text *t, const char *expected)
{
  ck_assert_uint_eq(t->n, strlen(expected));
  ck_assert_mem_eq(t->p, expected, t->n);
}

/* ---- text -------------------------------------------------------------------------------------- */

START_TEST(json_strings_are_json)
{
  const struct {
    smtpf_str in;
    const char *out;
  } rows[] = {{SMTPF_LIT("plain"), "\"plain\""},
              {SMTPF_LIT(""), "\"\""},
              {SMTPF_LIT("a\"b\\c\n\t\x7f"), "\"a\\\"b\\\\c\\n\\u0009\\u007f\""},
              {SMTPF_LIT("\xc3\xa9 \xf0\x9f\x93\xa7"), "\"\xc3\xa9 \xf0\x9f\x93\xa7\""},
              {SMTPF_LIT("\xff\xc3"), "\"\\ufffd\\ufffd\""},
              {SMTPF_LIT("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""}, /* a surrogate */
              {SMTPF_LIT("\xc0\xaf"), "\"\\ufffd\\ufffd\""},            /* too long a form */
              {SMTPF_LIT("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    text t = {0};
    text_json(&t, rows[i].in);
    is(&t, rows[i].out);
    text_free(&t);
  }
}
END_TEST

START_TEST(values_of_log_lines_stay_one_word)
{
  const struct {
    smtpf_str in;
    const char *out;
  } rows[] = {{SMTPF_LIT("plain"), "plain"},
              {SMTPF_LIT(""), "\"\""},
              {SMTPF_LIT("two words"), "\"two words\""},
              {SMTPF_LIT("a=b"), "\"a=b\""},
              {SMTPF_LIT("x\nevent=forged \"\\\xff"), "\"x\\x0aevent=forged \\\"\\\\\\xff\""}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    text t = {0};
    text_quoted(&t, rows[i].in);
    is(&t, rows[i].out);
    text_free(&t);
  }
}
END_TEST

START_TEST(numbers_and_times)
{
  text t = {0};
  text_int(&t, INT64_MIN);
  text_char(&t, ' ');
  text_milli(&t, -2500);
  text_char(&t, ' ');
  text_milli(&t, 10000);
  text_char(&t, ' ');
  text_milli(&t, 7);
  text_char(&t, ' ');
  text_time(&t, 951782400);
  text_char(&t, ' ');
  text_date(&t, 951782400);
  is(&t, "-9223372036854775808 -2.5 10 0.007 2000-02-29T00:00:00Z Tue, 29 Feb 2000 00:00:00 +0000");
  text_free(&t);
}
END_TEST

START_TEST(fields_are_folded_at_blanks_only)
{
  text t = {0};
  char value[600];
  for (size_t i = 0; i < sizeof value; i++)
    value[i] = i % 9 == 8 ? ' ' : 'x';
  edits_field(&t, SMTPF_LIT("X-Long"), (smtpf_str){value, sizeof value});
  size_t line = 0, folds = 0;
  for (size_t i = 0; i < t.n; i++) {
    if (t.p[i] == '\n') {
      ck_assert_uint_le(line, 80);
      ck_assert(i + 1 == t.n || t.p[i + 1] == ' ');
      folds++;
      line = 0;
    } else {
      line++;
    }
  }
  ck_assert_uint_gt(folds, 5);
  size_t at = 0;
  for (size_t i = strlen("X-Long: "); i < t.n; i++) /* unfolded (RFC 5322 2.2.3), it is the value again */
    if (t.p[i] != '\r' && t.p[i] != '\n')
      ck_assert_int_eq(t.p[i], value[at++]);
  ck_assert_uint_eq(at, sizeof value);
  text_free(&t);
}
END_TEST

/* ---- peers ------------------------------------------------------------------------------------- */

static peer_key key_of(const char *ip)
{
  struct sockaddr_in in = {.sin_family = AF_INET};
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
  if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
    return peers_key((const struct sockaddr *)&in);
  ck_assert_int_eq(inet_pton(AF_INET6, ip, &in6.sin6_addr), 1);
  return peers_key((const struct sockaddr *)&in6);
}

START_TEST(clients_are_told_apart)
{
  peer_key a = key_of("192.0.2.1"), b = key_of("::ffff:192.0.2.1"), c = key_of("192.0.2.2");
  peer_key d = key_of("2001:db8:1:2::1"), e = key_of("2001:db8:1:2:3::4"), f = key_of("2001:db8:1:3::1");
  ck_assert(a.high == b.high && a.low == b.low);
  ck_assert(a.low != c.low);
  ck_assert(d.high == e.high && d.low == e.low);
  ck_assert(d.low != f.low);
}
END_TEST

START_TEST(counts_agree_with_a_plain_table)
{
  enum { KEYS = 300, STEPS = 60000, EACH = 3, TOTAL = 500 };
  uint32_t count[KEYS] = {0};
  int64_t total = 0;
  peers p;
  peers_init(&p, 42);
  srand(7);
  for (int i = 0; i < STEPS; i++) {
    unsigned k = (unsigned)rand() % KEYS;
    peer_key key = {1, k * 65537U};
    if (rand() % 2) {
      int may = count[k] < EACH && total < TOTAL;
      ck_assert_int_eq(peers_enter(&p, key, TOTAL, EACH), may);
      count[k] += (unsigned)may;
      total += may;
    } else if (count[k]) {
      peers_leave(&p, key);
      count[k]--;
      total--;
    }
    ck_assert_int_eq(p.total, total);
  }
  for (unsigned k = 0; k < KEYS; k++)
    for (; count[k]; count[k]--)
      peers_leave(&p, (peer_key){1, k * 65537U});
  ck_assert_uint_eq(p.used, 0);
  peers_free(&p);
}
END_TEST

/* ---- spool ------------------------------------------------------------------------------------- */

START_TEST(a_spool_gives_back_what_it_was_given)
{
  static const size_t limits[] = {1, 4096, SPOOL_CHUNK, 100000, 1 << 20};
  spool_cache cache = {0};
  char *all = malloc(300000);
  srand(11);
  for (size_t i = 0; i < 300000; i++)
    all[i] = (char)rand();
  for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
    spool s;
    spool_init(&s, &cache);
    for (size_t at = 0, n; at < 300000; at += n) {
      n = (size_t)rand() % 20000;
      n = n > 300000 - at ? 300000 - at : n;
      ck_assert_int_eq(spool_add(&s, all + at, n, limits[k], "/tmp"), 0);
    }
    ck_assert_uint_eq(s.size, 300000);
    ck_assert_uint_le(s.in_memory, limits[k]);
    ck_assert_int_eq(s.fd >= 0, s.in_memory < 300000);
    char room[777];
    const char *p;
    size_t n;
    for (uint64_t at = 0; at < s.size; at += n) {
      n = spool_at(&s, at, room, sizeof room, &p);
      ck_assert_uint_gt(n, 0);
      ck_assert_mem_eq(p, all + at, n);
    }
    ck_assert_uint_eq(spool_at(&s, s.size, room, sizeof room, &p), 0);
    spool_clear(&s);
  }
  spool_cache_free(&cache);
  free(all);
}
END_TEST

START_TEST(a_spool_without_room_says_so)
{
  spool_cache cache = {0};
  spool s;
  spool_init(&s, &cache);
  ck_assert_int_ne(spool_add(&s, "0123456789", 10, 4, "/nonexistent/folder"), 0);
  spool_clear(&s);
  spool_cache_free(&cache);
}
END_TEST

/* ---- identity ---------------------------------------------------------------------------------- */

START_TEST(identity_tells_what_is_asked_for)
{
  const smtpf_str ehlo =
      SMTPF_LIT("sink\nPIPELINING\nxforward NAME ADDR port HELO\nXCLIENT ADDR PROTO\nXFORWARDED NAME");
  identity_of who = {.address = SMTPF_LIT("2001:db8::1"), .helo = SMTPF_LIT("a+b=c \r\nd"), .port = 25, .esmtp = 1};
  text t = {0};
  identity_command(&t, "XFORWARD", identity_attributes(ehlo, "XFORWARD"), &who);
  is(&t, "XFORWARD NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PORT=25 HELO=a+2Bb+3Dc+20+0D+0Ad\r\n");
  text_clear(&t);
  identity_command(&t, "XCLIENT", identity_attributes(ehlo, "XCLIENT"), &who);
  is(&t, "XCLIENT ADDR=IPV6:2001:db8::1 PROTO=ESMTP\r\n");
  ck_assert_uint_eq(identity_attributes(SMTPF_LIT("sink\nSIZE 10"), "XCLIENT"), 0);
  who.login = SMTPF_LIT("user@example.net");
  who.destination = SMTPF_LIT("192.0.2.1");
  who.destination_port = 587;
  text_clear(&t);
  identity_command(&t, "XCLIENT",
                   identity_attributes(SMTPF_LIT("sink\nXCLIENT DESTPORT LOGIN TTL DESTADDR"), "XCLIENT"), &who);
  is(&t, "XCLIENT LOGIN=user@example.net DESTADDR=192.0.2.1 DESTPORT=587\r\n");
  char longest[255];
  memset(longest, 'x', 170);
  who.helo = who.name = who.login = (smtpf_str){longest, 170};
  text_clear(&t);
  identity_command(&t, "XCLIENT", ~0U, &who);
  ck_assert_uint_le(t.n, 512);
  memset(longest, ' ', sizeof longest);
  who.helo = who.name = (smtpf_str){longest, sizeof longest};
  text_clear(&t);
  identity_command(&t, "XFORWARD", ~0U, &who);
  ck_assert_uint_le(t.n, 512);
  text_free(&t);
}
END_TEST

/* ---- envelope ---------------------------------------------------------------------------------- */

START_TEST(mail_and_rcpt_say_what_the_hop_can_hear)
{
  enum { ALL = SMTPF_EXT_SIZE | SMTPF_EXT_8BITMIME | SMTPF_EXT_SMTPUTF8 | SMTPF_EXT_DSN | SMTPF_EXT_PRDR };
  const struct {
    int rcpt;
    const char *params;
    unsigned extensions;
    int quiet, prdr;
    const char *line; /* NULL: something is missing */
    unsigned missing;
  } rows[] = {
      {0, "", 0, 0, 0, "MAIL FROM:<a@b>\r\n", 0},
      {0, "SIZE=10 BODY=7BIT", 0, 0, 0, "MAIL FROM:<a@b>\r\n", 0},
      {0, "SIZE=10 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x", ALL, 0, 0,
       "MAIL FROM:<a@b> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x\r\n", 0},
      {0, "BODY=8BITMIME SMTPUTF8", SMTPF_EXT_SIZE, 0, 0, NULL, SMTPF_EXT_8BITMIME | SMTPF_EXT_SMTPUTF8},
      {0, "ENVID=x", SMTPF_EXT_SIZE, 0, 0, NULL, SMTPF_EXT_DSN},
      {0, "ret=FULL ENVID=x", ALL, 1, 0, "MAIL FROM:<a@b> ENVID=x RET=HDRS\r\n", 0},
      {0, "", ALL, 1, 0, "MAIL FROM:<a@b> RET=HDRS\r\n", 0},
      {0, "", ALL & ~SMTPF_EXT_DSN, 1, 0, "MAIL FROM:<a@b>\r\n", 0},
      {0, "PRDR SIZE=1", ALL, 0, 0, "MAIL FROM:<a@b> SIZE=1\r\n", 0},
      {0, "PRDR SIZE=1", ALL, 0, 1, "MAIL FROM:<a@b> SIZE=1 PRDR\r\n", 0},
      {0, "PRDR", 0, 0, 1, "MAIL FROM:<a@b>\r\n", 0},
      {1, "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b", ALL, 0, 0, "RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b\r\n",
       0},
      {1, "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b", ALL, 1, 0, "RCPT TO:<a@b> ORCPT=rfc822;a@b NOTIFY=NEVER\r\n", 0},
      {1, "", ALL, 1, 0, "RCPT TO:<a@b> NOTIFY=NEVER\r\n", 0},
      {1, "", 0, 1, 0, "RCPT TO:<a@b>\r\n", 0},
      {1, "NOTIFY=DELAY", 0, 0, 0, NULL, SMTPF_EXT_DSN},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    text t = {0};
    const envelope e = {.path = SMTPF_LIT("<a@b>"),
                        .params = {rows[i].params, strlen(rows[i].params)},
                        .extensions = rows[i].extensions,
                        .quiet = rows[i].quiet,
                        .prdr = rows[i].prdr};
    const unsigned missing = rows[i].rcpt ? envelope_rcpt(&t, &e) : envelope_mail(&t, &e);
    ck_assert_uint_eq(missing, rows[i].missing);
    if (rows[i].line)
      is(&t, rows[i].line);
    text_free(&t);
  }
}
END_TEST

START_TEST(parameters_are_found)
{
  const smtpf_str params = SMTPF_LIT("BODY=8BITMIME notify=never SMTPUTF8");
  ck_assert(envelope_has(params, SMTPF_LIT("SMTPUTF8"), (smtpf_str){0}));
  ck_assert(envelope_has(params, SMTPF_LIT("NOTIFY"), SMTPF_LIT("NEVER")));
  ck_assert(!envelope_has(params, SMTPF_LIT("NOTIFY"), SMTPF_LIT("DELAY")));
  ck_assert(!envelope_has(params, SMTPF_LIT("PRDR"), (smtpf_str){0}));
  ck_assert(!envelope_has((smtpf_str){0}, SMTPF_LIT("PRDR"), (smtpf_str){0}));
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {json_strings_are_json,
                                values_of_log_lines_stay_one_word,
                                numbers_and_times,
                                fields_are_folded_at_blanks_only,
                                clients_are_told_apart,
                                counts_agree_with_a_plain_table,
                                a_spool_gives_back_what_it_was_given,
                                a_spool_without_room_says_so,
                                identity_tells_what_is_asked_for,
                                mail_and_rcpt_say_what_the_hop_can_hear,
                                parameters_are_found};
  Suite *s = suite_create("proxy");
  TCase *c = tcase_create("parts");
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
    tcase_add_test(c, tests[i]);
  suite_add_tcase(s, c);
  return port_run(s);
}
