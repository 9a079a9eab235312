/* SPDX-License-Identifier: MIT
 *
 * Structured fields: parameters (RFC 2045, RFC 2231), mailboxes, dates, message identifiers, Received.
 */
#include "mail/field.h"

#include "mail/content.h"
#include "suites.h"

static unsigned flags;

/* The value of one parameter, from memory of its own. */
static smtpf_str param(smtpf_str value, smtpf_str name, size_t cap)
{
  static char room[256];
  char *exact = malloc(value.n);
  smtpf_content c;
  smtpf_out out;
  MUST(exact && cap <= sizeof room);
  memcpy(exact, value.p, value.n);
  smtpf_content_read((smtpf_str){exact, value.n}, &c);
  smtpf_out_init(&out, room, cap);
  const int found = smtpf_content_param(c.params, name, 1, &out, &flags);
  free(exact);
  return found ? smtpf_out_done(&out) : S("-");
}

#define PARAM(value, name, want, want_flags)                                                                           \
  do {                                                                                                                 \
    ASSERT_STR(param(S(value), S(name), 256), want);                                                                   \
    ck_assert_uint_eq(flags, want_flags);                                                                              \
  } while (0)

START_TEST(parameters)
{
  PARAM("text/plain; charset=us-ascii (Plain text)", "charset", "us-ascii", 0);
  PARAM("text/plain; charset=\"us-ascii\"", "CHARSET", "us-ascii", 0);
  PARAM("text/plain", "charset", "-", 0);
  PARAM("a/b;x=1;y=2", "y", "2", 0);
  PARAM("a/b; x=\"a\\\"b\\\\c;\" ; y=2", "x", "a\"b\\c;", 0);
  PARAM("a/b; name=\"C:\\dir\\file\"", "name", "C:\\dir\\file", 0);
  /* RFC 2231 3, 4, 4.1 */
  PARAM("message/external-body; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore/\"", "URL",
        "ftp://cs.utk.edu/pub/moore/", 0);
  PARAM("application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title", "This is ***fun***",
        SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; title*0*=us-ascii'en'This%20is%20even%20more%20; title*1*=%2A%2A%2Afun%2A%2A%2A%20; "
        "title*2=\"isn't it!\"",
        "title", "This is even more ***fun*** isn't it!", SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; n*1=b; n*0=a; n*2=c", "n", "abc", 0);
  PARAM("a/b; n*=iso-8859-1''%E9", "n", "\xc3\xa9", SMTPF_CONTENT_EXTENDED);
  /* A character of two bytes over two segments. */
  PARAM("a/b; n*0*=utf-8''%C3; n*1*=%A9", "n", "\xc3\xa9", SMTPF_CONTENT_EXTENDED);
}
END_TEST

START_TEST(parameters_odd)
{
  PARAM("a/b; n=\"=?utf-8?Q?caf=C3=A9?=\"", "n", "caf\xc3\xa9", SMTPF_CONTENT_WORDS);
  PARAM("a/b; n=one; n=two", "n", "one", SMTPF_CONTENT_TWICE);
  PARAM("a/b; n=plain.txt; n*=utf-8''real.exe", "n", "real.exe", SMTPF_CONTENT_TWICE | SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; n=my file.doc; x=y", "n", "my file.doc", SMTPF_CONTENT_BAD);
  PARAM("a/b; n=foo(1).pdf", "n", "foo(1).pdf", SMTPF_CONTENT_BAD);
  PARAM("a/b; n=file;.exe", "n", "file", SMTPF_CONTENT_BAD);
  PARAM("a/b; n=\"open", "n", "open", SMTPF_CONTENT_BAD);
  PARAM("a/b; n=\"a\"b.exe; x=y", "n", "a", SMTPF_CONTENT_BAD);
  PARAM("a/b x=1 y=2", "y", "2", 0);
  PARAM("a/b; x=1; ; y=2;", "y", "2", 0);
  PARAM("a/b x=1 y=2", "x", "1", SMTPF_CONTENT_BAD);
  PARAM("a/b; n*0=a; n*2=c", "n", "ac", SMTPF_CONTENT_GAP);
  PARAM("a/b; n*=nowhere", "n", "nowhere", SMTPF_CONTENT_BAD | SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; n*=big5''%A4", "n", "\xa4", SMTPF_CONTENT_CHARSET | SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; n*=utf-8''%zz", "n", "%zz", SMTPF_CONTENT_BAD | SMTPF_CONTENT_EXTENDED);
  PARAM("a/b; n=(((", "n", "", 0);
  ASSERT_STR(param(S("a/b; n=abcdef"), S("n"), 3), "abc");
  char many[2000] = "a/b";
  size_t n = 3;
  for (unsigned i = 0; i < 100; i++) {
    smtpf_out out;
    smtpf_out_init(&out, many + n, sizeof many - n);
    smtpf_out_cstr(&out, "; n*");
    smtpf_out_uint(&out, i);
    smtpf_out_cstr(&out, "=x");
    n += out.n;
  }
  ck_assert_uint_eq(param((smtpf_str){many, n}, S("n"), 256).n, 64);
  ck_assert_uint_eq(flags, SMTPF_CONTENT_GAP);
}
END_TEST

/* `name <address> flags;` for each. */
static smtpf_str mailboxes(smtpf_str list, size_t cap)
{
  static char text[1024];
  char room[512];
  smtpf_out out;
  smtpf_mailbox m;
  smtpf_out_init(&out, text, sizeof text);
  MUST(cap <= sizeof room);
  while (smtpf_mailbox_next(&list, room, cap, &m) == SMTPF_OK) {
    smtpf_out_str(&out, m.name);
    smtpf_out_cstr(&out, "<");
    smtpf_out_str(&out, m.address);
    smtpf_out_cstr(&out, ">");
    smtpf_out_str(&out, m.domain);
    smtpf_out_cstr(&out, " ");
    smtpf_out_uint(&out, m.flags);
    smtpf_out_cstr(&out, ";");
  }
  return smtpf_out_done(&out);
}

#define MAILBOXES(list, want) ASSERT_STR(mailboxes(S(list), 512), want)

START_TEST(mailbox_lists)
{
  MAILBOXES("", "");
  /* RFC 5322 A.1.2, A.1.3, A.5, A.6.1 */
  MAILBOXES("\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public<john.q.public@example.com>example.com 0;");
  MAILBOXES("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            "Mary Smith<mary@x.test>x.test 0;<jdoe@example.org>example.org 0;Who?<one@y.test>y.test 0;");
  MAILBOXES("A Group:Ed Jones <c@a.test>,joe@where.test;, a@b",
            "Ed Jones<c@a.test>a.test 8;<joe@where.test>where.test 0;<a@b>b 0;");
  MAILBOXES("Undisclosed recipients:;", "");
  MAILBOXES("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete<pete@silly.test>silly.test 0;");
  MAILBOXES("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
            "Mary Smith<mary@example.net>example.net 4;<jdoe@test.example>test.example 0;");
  MAILBOXES("a@b (The Name)", "The Name<a@b>b 16;");
  MAILBOXES("=?utf-8?Q?J=C3=B6rg?= =?utf-8?Q?_M?= <j@m>", "J\xc3\xb6rg M<j@m>m 32;");
  MAILBOXES("\"a@b\"@[192.0.2.1]", "<\"a@b\"@[192.0.2.1]>[192.0.2.1] 0;");
}
END_TEST

START_TEST(mailbox_lists_odd)
{
  MAILBOXES("only words", "only words<> 2;");
  MAILBOXES("\"PayPal <service@paypal.example>\" <x@evil.example>",
            "PayPal <service@paypal.example><x@evil.example>evil.example 0;");
  MAILBOXES("a@b <c@d>", "a@b<c@d>d 0;");
  MAILBOXES("<a@b> <c@d>", "<c@d>d 1;");
  MAILBOXES("<a@b", "<a@b>b 1;");
  MAILBOXES("\"open <a@b>", "open <a@b><> 3;");
  MAILBOXES("a@b@c", "<a@b@c>c 1;");
  MAILBOXES("<>", "<> 0;");
  MAILBOXES("<a@b> Name", "Name<a@b>b 1;");
  MAILBOXES("<mailto:a@b>", "<mailto:a@b>b 1;");
  ASSERT_STR(mailboxes(S("abcdefgh <abcdefgh@b>"), 8), "abcd<abcd> 128;");
}
END_TEST

static smtpf_date date;

#define DATE(text, want_epoch, want_zone, want_flags)                                                                  \
  do {                                                                                                                 \
    ck_assert_int_eq(smtpf_date_parse(S(text), &date), SMTPF_OK);                                                      \
    ck_assert_int_eq(date.epoch, want_epoch);                                                                          \
    ck_assert_int_eq(date.zone, want_zone);                                                                            \
    ck_assert_uint_eq(date.flags, want_flags);                                                                         \
  } while (0)
#define NO_DATE(text) ck_assert_int_eq(smtpf_date_parse(S(text), &date), SMTPF_EPARSE)

START_TEST(dates)
{
  DATE("Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360, 0);
  DATE("1 Jan 1970 00:00:00 +0000", 0, 0, 0);
  DATE("Thu, 29 Feb 2024 12:00 +0530", 1709188200, 330, 0);
  DATE("Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)", -27723480, -210, 0);
  DATE("21 Nov 97 09:55:06 GMT", 880106106, 0, SMTPF_DATE_OBSOLETE);
  DATE("Mon, 21 Nov 1997 09:55:06 -0600", 880127706, -360, SMTPF_DATE_WEEKDAY);
  DATE("31 Dec 2016 23:59:60 +0000", 1483228800, 0, 0);
  DATE("21 Nov 1997 09:55:06", 880106106, 0, SMTPF_DATE_ZONE);
  DATE("21 Nov 1997 09:55:06 -0600 tail", 880127706, -360, SMTPF_DATE_TAIL);
  DATE("21 Nov 1997 09:55:06 EST", 880124106, -300, SMTPF_DATE_OBSOLETE);
  NO_DATE("");
  NO_DATE("30 Feb 2024 00:00:00 +0000");
  NO_DATE("29 Feb 1900 00:00:00 +0000");
  NO_DATE("1 Foo 2024 00:00:00 +0000");
  NO_DATE("1 Jan 2024 24:00:00 +0000");
  NO_DATE("1 Jan 99999999 00:00:00 +0000");
}
END_TEST

/* `left@right flags;` for each. */
static smtpf_str ids(smtpf_str list)
{
  static char text[256];
  smtpf_out out;
  smtpf_message_id id;
  smtpf_out_init(&out, text, sizeof text);
  while (smtpf_message_id_next(&list, &id) == SMTPF_OK) {
    smtpf_out_str(&out, id.left);
    smtpf_out_cstr(&out, "|");
    smtpf_out_str(&out, id.right);
    smtpf_out_cstr(&out, " ");
    smtpf_out_uint(&out, id.flags);
    smtpf_out_cstr(&out, ";");
  }
  return smtpf_out_done(&out);
}

START_TEST(message_ids)
{
  ASSERT_STR(ids(S("")), "");
  ASSERT_STR(ids(S("<1234@local.machine.example>")), "1234|local.machine.example 0;");
  ASSERT_STR(ids(S("<a@b>\r\n (c) <c.d@[192.0.2.1]>")), "a|b 0;c.d|[192.0.2.1] 0;");
  ASSERT_STR(ids(S("<\"a b\"@c>")), "\"a b\"|c 2;");
  ASSERT_STR(ids(S("<a@b@c>")), "a@b|c 1;");
  ASSERT_STR(ids(S("<nothing>")), "| 1;");
  ASSERT_STR(ids(S("bare@id")), "bare|id 1;");
  ASSERT_STR(ids(S("<a@b")), "a|b 1;");
  ASSERT_STR(ids(S("<>")), "| 1;");
  ASSERT_STR(ids(S("x <a..b@c>")), "| 1;a..b|c 1;");
}
END_TEST

static smtpf_received trace;
static char ip_text[SMTPF_IP_TEXT];

static smtpf_str ip(void)
{
  return trace.ip.family ? (smtpf_str){ip_text, smtpf_ip_format(&trace.ip, ip_text)} : S("-");
}

#define RECEIVED(text, want_from, want_rdns, want_ip, want_by)                                                         \
  do {                                                                                                                 \
    ck_assert_int_eq(smtpf_received_parse(S(text), &trace), SMTPF_OK);                                                 \
    ASSERT_STR(trace.from, want_from);                                                                                 \
    ASSERT_STR(trace.rdns, want_rdns);                                                                                 \
    ASSERT_STR(ip(), want_ip);                                                                                         \
    ASSERT_STR(trace.by, want_by);                                                                                     \
  } while (0)

START_TEST(received)
{
  RECEIVED("from x.y.test by example.net via TCP with ESMTP id ABC12345 for <mary@example.net>; 21 Nov 1997 "
           "10:05:43 -0600",
           "x.y.test", "", "-", "example.net");
  ASSERT_STR(trace.via, "TCP");
  ASSERT_STR(trace.with, "ESMTP");
  ASSERT_STR(trace.id, "ABC12345");
  ASSERT_STR(trace.recipient, "mary@example.net");
  ck_assert(trace.dated && trace.date.epoch == 880128343);
  RECEIVED("from helo.example (name.example [192.0.2.1]) by b (Postfix) with SMTP id 1", "helo.example", "name.example",
           "192.0.2.1", "b");
  ck_assert(!trace.dated);
  RECEIVED("from helo (unknown [IPv6:2001:db8::1]) by b", "helo", "unknown", "2001:db8::1", "b");
  RECEIVED("from [192.0.2.7] (helo=friend) by b with esmtp (Exim 4)", "[192.0.2.7]", "", "192.0.2.7", "b");
  RECEIVED("from name.example ([192.0.2.9] helo=x) by b", "name.example", "", "192.0.2.9", "b");
  RECEIVED("from unknown (HELO friend) (192.0.2.3) by b with SMTP", "unknown", "", "192.0.2.3", "b");
  RECEIVED("by b with local id x", "", "", "-", "b");
  RECEIVED("(from root@localhost) by b", "", "", "-", "b");
  ck_assert(!trace.twice);
  RECEIVED("from a (evil) from c by d by e", "a", "evil", "-", "d");
  ck_assert(trace.twice);
  ck_assert_int_eq(smtpf_received_parse(S(""), &trace), SMTPF_EPARSE);
  ck_assert_int_eq(smtpf_received_parse(S("(qmail 1 invoked by uid 5); 20 May 2000 01:55:02 -0000"), &trace),
                   SMTPF_EPARSE);
}
END_TEST

/* The client writes what it likes where it may; the server's own word is the one that counts. */
START_TEST(received_forged)
{
  RECEIVED("from [198.51.100.9] (unknown [203.0.113.6]) by b", "[198.51.100.9]", "unknown", "203.0.113.6", "b");
  RECEIVED("from [198.51.100.9]x (unknown [203.0.113.6]) by b", "[198.51.100.9]x", "unknown", "203.0.113.6", "b");
  RECEIVED("from [198.51.100.9 (unknown [203.0.113.6]) by b", "[198.51.100.9", "unknown", "203.0.113.6", "b");
  RECEIVED("from x (198.51.100.9 [203.0.113.6]) by b", "x", "", "203.0.113.6", "b");
  RECEIVED("from x (IDENT:[198.51.100.9]@h.example [203.0.113.6]) by b", "x", "", "203.0.113.6", "b");
  RECEIVED("from x (h.example [203.0.113.6] (may be [198.51.100.9])) by b", "x", "h.example", "203.0.113.6", "b");
  RECEIVED("from x ([203.0.113.6] helo=[198.51.100.9]) by b", "x", "", "203.0.113.6", "b");
  RECEIVED("from x ([203.0.113.6]:4321 ident=[198.51.100.9] helo=[198.51.100.8]) by b", "x", "", "203.0.113.6", "b");
  RECEIVED("from [203.0.113.6]:4321 (helo=[198.51.100.9]) by b", "[203.0.113.6]:4321", "", "203.0.113.6", "b");
  RECEIVED("from unknown (HELO 198.51.100.9) (203.0.113.6) by b", "unknown", "", "203.0.113.6", "b");
  RECEIVED("from unknown (HELO [198.51.100.9]) (203.0.113.6) by b", "unknown", "", "203.0.113.6", "b");
  RECEIVED("from x (u [203.0.113.6]) (Client CN \"[198.51.100.9]\") by b", "x", "u", "203.0.113.6", "b");
  RECEIVED("from unknown (HELO x) (a@198.51.100.9@203.0.113.6 with login) by b", "unknown", "", "203.0.113.6", "b");
  RECEIVED("from x two words (u [203.0.113.6]) by b", "x", "u", "203.0.113.6", "b");
  ck_assert(!trace.twice);
  RECEIVED("from x by y with local (u [203.0.113.6]) by b with ESMTP", "x", "", "-", "y");
  ck_assert(trace.twice);
  RECEIVED("from x (u [203.0.113.6]) by b ([198.51.100.9]) with ESMTP", "x", "u", "203.0.113.6", "b");
  RECEIVED("from x (u [203.0.113.6", "x", "u", "203.0.113.6", "");
}
END_TEST

Suite *smtpf_suite_mail_field(void)
{
  Suite *s = suite_create("fields");
  const TTest *const content[] = {parameters, parameters_odd, NULL};
  const TTest *const others[] = {mailbox_lists, mailbox_lists_odd, dates, message_ids, received, received_forged, NULL};
  add_case(s, "parameters", content);
  add_case(s, "structured fields", others);
  return s;
}
