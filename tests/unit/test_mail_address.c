/* SPDX-License-Identifier: MIT
 *
 * Paths and mailboxes: RFC 5321 4.1.2, 4.1.3, 4.5.3.1 and RFC 6531 3.3, each rule from both sides.
 */
#include <smtpfilter/ext/mail.h>

#include "mail/address.h"
#include "mail/class.h"
#include "suites.h"

static int path_ok(const char *text)
{
  smtpf_path p;
  return smtpf_path_parse(smtpf_str_of(text), &p) == SMTPF_OK;
}

static int mailbox_ok(const char *text)
{
  smtpf_path p;
  return smtpf_mailbox_parse(smtpf_str_of(text), &p) == SMTPF_OK;
}

START_TEST(classes_follow_the_grammars)
{
  const char *atext = "!#$%&'*+-/=?^_`{|}~";
  for (int c = 0; c < 256; c++) {
    int alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    unsigned want = 0;
    want |= alnum || (c && strchr(atext, c)) ? SMTPF_CLASS_ATEXT : 0;
    want |= alnum || c == '-' ? SMTPF_CLASS_LDH : 0;
    want |= c == '.' ? SMTPF_CLASS_DOT : 0;
    want |= c == '-' ? SMTPF_CLASS_HYPHEN : 0;
    want |= c >= 32 && c <= 126 && c != '"' && c != '\\' ? SMTPF_CLASS_QTEXT : 0;
    want |= c >= 33 && c <= 126 && c != '=' ? SMTPF_CLASS_VALUE : 0;
    want |= c >= 33 && c <= 126 && c != ':' ? SMTPF_CLASS_FTEXT : 0;
    want |= c >= 128 ? SMTPF_CLASS_HIGH : 0;
    ck_assert_msg(smtpf_class[c] == want, "byte %02x has class %02x, not %02x", c, smtpf_class[c], want);
  }
}
END_TEST

/* Every sequence of two to four bytes' lead and second byte against a decoder that works the other way round. */
START_TEST(utf8_is_what_rfc_3629_allows)
{
  for (unsigned lead = 0; lead < 256; lead++)
    for (unsigned second = 0; second < 256; second++) {
      char text[4] = {(char)lead, (char)second, (char)0xbf, (char)0x80};
      unsigned long cp = 0;
      size_t want = 0;
      if (lead >= 0xc0 && lead < 0xe0)
        want = 2, cp = (lead & 31u) << 6 | (second & 63u);
      else if (lead >= 0xe0 && lead < 0xf0)
        want = 3, cp = (lead & 15u) << 12 | (second & 63u) << 6 | 63u;
      else if (lead >= 0xf0 && lead < 0xf8)
        want = 4, cp = (lead & 7u) << 18 | (second & 63u) << 12 | 63u << 6;
      int shortest = want == 2 ? cp >= 0x80 : want == 3 ? cp >= 0x800 : cp >= 0x10000;
      if ((second & 0xc0) != 0x80 || !shortest || (cp >= 0xd800 && cp <= 0xdfff) || cp > 0x10ffff)
        want = 0;
      ck_assert_msg(smtpf_utf8_length(text, 4) == want, "%02x %02x", lead, second);
      for (size_t n = 0; n < want; n++)
        ck_assert_uint_eq(smtpf_utf8_length(text, n), 0);
    }
  ck_assert_uint_eq(smtpf_utf8_length("\xe2\x82\x28", 3), 0);
}
END_TEST

START_TEST(a_mailbox_is_described)
{
  smtpf_path p;
  ck_assert_int_eq(smtpf_path_parse(S("<First.Last@Mail.Example>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.form, SMTPF_PATH_MAILBOX);
  ASSERT_STR(p.address, "First.Last@Mail.Example");
  ASSERT_STR(p.local_part, "First.Last");
  ASSERT_STR(p.domain, "Mail.Example");
  ASSERT_STR(p.route, "");
  ck_assert_int_eq(p.quoted + p.literal + p.utf8, 0);

  ck_assert_int_eq(smtpf_path_parse(S("<\"a b\\\"@c\"@[IPv6:2001:db8::1]>"), &p), SMTPF_OK);
  ASSERT_STR(p.local_part, "\"a b\\\"@c\"");
  ASSERT_STR(p.domain, "[IPv6:2001:db8::1]");
  ck_assert_int_eq(p.quoted, 1);
  ck_assert_int_eq(p.literal, 1);

  ck_assert_int_eq(smtpf_path_parse(S("<@one.example,@two.example:a@b.example>"), &p), SMTPF_OK);
  ASSERT_STR(p.route, "@one.example,@two.example");
  ASSERT_STR(p.address, "a@b.example");

  ck_assert_int_eq(smtpf_mailbox_parse(S("a@b"), &p), SMTPF_OK);
  ASSERT_STR(p.domain, "b");
}
END_TEST

START_TEST(null_and_postmaster)
{
  smtpf_path p;
  ck_assert_int_eq(smtpf_path_parse(S("<>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.form, SMTPF_PATH_NULL);
  ASSERT_STR(p.address, "");
  ck_assert_int_eq(smtpf_path_parse(S("<pOsTmAsTeR>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.form, SMTPF_PATH_POSTMASTER);
  ASSERT_STR(p.local_part, "pOsTmAsTeR");
  ASSERT_STR(p.domain, "");
  ck_assert(!path_ok("<postmaster@>"));
  ck_assert(!path_ok("<postmasters>"));
  ck_assert(!path_ok("<postmaste>"));
  ck_assert(!path_ok("<abuse>"));
  ck_assert(!mailbox_ok("postmaster"));
  ck_assert(!mailbox_ok(""));
}
END_TEST

START_TEST(nothing_is_written_on_failure)
{
  smtpf_path p = {.form = 77};
  size_t used = 99;
  const char *bad[] = {"",       "<",       "a@b.example", "<a@b.example", "<a@b.example>x",  "<>x",          "<@r:>",
                       "<@r>",   "<@:a@b>", "<@r,:a@b>",   "<@r,a@b>",     "<@r:postmaster>", "<@[::1]:a@b>", "< a@b>",
                       "<a@b >", "<a @b>",  "<a@ b>",      "<a@b>>",       "<<a@b>>",         "<a@b@c>",      "<@b>",
                       "<a@>",   "<a>"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(smtpf_path_parse(smtpf_str_of(bad[i]), &p) == SMTPF_EPARSE && p.form == 77, "%s", bad[i]);
  ck_assert_int_eq(smtpf_mailbox_parse(S("a@b>"), &p), SMTPF_EPARSE);
  ck_assert_int_eq(smtpf_path_take(S("<a@b"), &p, &used), SMTPF_EPARSE);
  ck_assert(p.form == 77 && used == 99);
}
END_TEST

START_TEST(a_path_is_taken_off_the_front)
{
  smtpf_path p;
  size_t used;
  ck_assert_int_eq(smtpf_path_take(S("<\">\"@b.example> SIZE=1"), &p, &used), SMTPF_OK);
  ck_assert_uint_eq(used, 15);
  ASSERT_STR(p.local_part, "\">\"");
  ck_assert_int_eq(smtpf_path_take(S("<> BODY=7BIT"), &p, &used), SMTPF_OK);
  ck_assert_uint_eq(used, 2);
  ck_assert_int_eq(smtpf_path_take(S("<Postmaster> X"), &p, &used), SMTPF_OK);
  ck_assert_uint_eq(used, 12);
}
END_TEST

START_TEST(dot_strings)
{
  const char *good[] = {"a@b.c", "a.b.c@d", "!#$%&'*+-/=?^_`{|}~@x", "-@x", "0@0", "a@x-y.z", "a@xn--nxasmq6b.example"};
  const char *bad[] = {".a@b", "a.@b",   "a..b@c", "a b@c", "a\"b@c", "a,b@c",  "a(b)@c", "a@b.",
                       "a@.b", "a@b..c", "a@-b",   "a@b-",  "a@b-.c", "a@b.-c", "a@b_c",  "a@b c",
                       "a@",   "@b",     "a",      "a@b!c", "a@@b",   "\"\"a@b"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    ck_assert_msg(mailbox_ok(good[i]), "%s", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!mailbox_ok(bad[i]), "%s", bad[i]);
}
END_TEST

/* Each byte alone as a local part, quoted, behind a backslash, and in a domain. */
START_TEST(every_byte_everywhere)
{
  for (int c = 0; c < 256; c++) {
    char plain[] = "x?@b", quoted[] = "\"?\"@b", pair[] = "\"\\?\"@b", domain[] = "a@x?x";
    plain[1] = quoted[1] = pair[2] = domain[3] = (char)c;
    unsigned class = smtpf_class[c];
    smtpf_path p;
    ck_assert_int_eq(smtpf_mailbox_parse((smtpf_str){plain, 4}, &p) == SMTPF_OK, (class & SMTPF_CLASS_ATEXT) != 0);
    ck_assert_int_eq(smtpf_mailbox_parse((smtpf_str){quoted, 5}, &p) == SMTPF_OK, (class & SMTPF_CLASS_QTEXT) != 0);
    ck_assert_int_eq(smtpf_mailbox_parse((smtpf_str){pair, 6}, &p) == SMTPF_OK, c >= 32 && c <= 126);
    ck_assert_int_eq(smtpf_mailbox_parse((smtpf_str){domain, 5}, &p) == SMTPF_OK,
                     (class & (SMTPF_CLASS_LDH | SMTPF_CLASS_DOT)) != 0);
  }
}
END_TEST

START_TEST(utf8_addresses)
{
  smtpf_path p;
  ck_assert_int_eq(smtpf_path_parse(S("<j\xc3\xb6rg@b\xc3\xbc"
                                      "cher.example>"),
                                    &p),
                   SMTPF_OK);
  ck_assert_int_eq(p.utf8, 1);
  ck_assert_int_eq(smtpf_path_parse(S("<\"j\xc3\xb6rg\"@b.example>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.utf8, 1);
  ck_assert_int_eq(smtpf_path_parse(S("<@\xc3\xb6.example:a@b>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.utf8, 1);
  ck_assert_int_eq(smtpf_path_parse(S("<a@b.\xe4\xbe\x8b>"), &p), SMTPF_OK);
  ck_assert_int_eq(p.utf8, 1);
  ck_assert(!path_ok("<j\xf6rg@b.example>"));
  ck_assert(!path_ok("<a@b\xfc.example>"));
  ck_assert(!path_ok("<\"\xc0\x80\"@b>"));
  ck_assert(!path_ok("<a\xed\xa0\x80@b>"));
  ck_assert(!path_ok("<\"\\\xc3\xb6\"@b>"));
}
END_TEST

START_TEST(literals)
{
  const char *good[] = {"a@[192.0.2.1]",
                        "a@[255.255.255.255]",
                        "a@[IPv6:::]",
                        "a@[ipv6:2001:db8::1]",
                        "a@[IPv6:::ffff:192.0.2.1]",
                        "a@[x-tag:any!thing]",
                        "a@[Tag:1]",
                        "a@[IPv6:1:2:3:4:5:6:7:8]",
                        "a@[IPv6:1:2:3:4:5:6:192.0.2.1]",
                        "a@[IPv6:1::6:7]"};
  const char *bad[] = {"a@[]",
                       "a@[192.0.2]",
                       "a@[192.0.2.256]",
                       "a@[192.0.2.01]",
                       "a@[192.0.2.1",
                       "a@192.0.2.1]",
                       "a@[192.0.2.1]x",
                       "a@[2001:db8::1]",
                       "a@[IPv6:]",
                       "a@[IPv6:192.0.2.1]",
                       "a@[IPv6:1:2:3:4:5:6:7]",
                       "a@[IPv6:1:2:3:4:5:6:7:8:9]",
                       "a@[IPv6:1::2::3]",
                       "a@[IPv6::1:2]",
                       "a@[IPv6:1:2:]",
                       "a@[IPv6:12345::]",
                       "a@[IPv6:1:2:3:4:5:6:7::]",
                       "a@[tag-:x]",
                       "a@[tag:]",
                       "a@[:x]",
                       "a@[tag:a b]",
                       "a@[tag:a[b]",
                       "a@[tag:a\\b]",
                       "a@[tag:a]b]",
                       "a@[tag]",
                       "a@[IPv6:fe80::1%eth0]"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    ck_assert_msg(mailbox_ok(good[i]), "%s", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ck_assert_msg(!mailbox_ok(bad[i]), "%s", bad[i]);
}
END_TEST

/* `local` bytes, an at sign, labels of `label` bytes joined by dots to `domain` bytes; in brackets. */
static int sized(size_t local, size_t label, size_t domain, int quoted)
{
  char text[700];
  size_t n = 0;
  text[n++] = '<';
  for (size_t i = 0; i < local; i++)
    text[n++] = quoted && (i == 0 || i == local - 1) ? '"' : 'a';
  text[n++] = '@';
  for (size_t i = 0; i < domain; i++)
    text[n++] = i % (label + 1) == label ? '.' : 'd';
  text[n++] = '>';
  smtpf_path p;
  return smtpf_path_parse((smtpf_str){text, n}, &p) == SMTPF_OK;
}

START_TEST(lengths)
{
  ck_assert(sized(64, 63, 20, 0));
  ck_assert(!sized(65, 63, 20, 0));
  ck_assert(sized(64, 63, 20, 1));
  ck_assert(!sized(65, 63, 20, 1));
  ck_assert(sized(1, 63, 63, 0));
  ck_assert(!sized(1, 64, 64, 0));
  ck_assert(sized(1, 63, 64 + 63, 0));
  ck_assert(!sized(1, 64, 64 + 63, 0));
  ck_assert(sized(1, 60, 252, 0)); /* 256 with brackets */
  ck_assert(!sized(1, 60, 253, 0));
  ck_assert(sized(2, 60, 251, 0));
  ck_assert(!sized(2, 60, 252, 0));
  ck_assert(sized(64, 60, 189, 0));
  ck_assert(!sized(64, 60, 190, 0));
}
END_TEST

START_TEST(a_route_counts_for_the_length)
{
  char text[300] = "<@";
  for (size_t n = 100; n < 260; n++) {
    for (size_t i = 0; i < n; i++)
      text[2 + i] = i % 60 == 59 && i + 1 < n ? '.' : 'r';
    memcpy(text + 2 + n, ":a@b>", 6);
    smtpf_path p;
    ck_assert_int_eq(smtpf_path_parse((smtpf_str){text, n + 7}, &p) == SMTPF_OK, n + 7 <= 256);
  }
}
END_TEST

Suite *smtpf_suite_mail_address(void)
{
  Suite *s = suite_create("mail address");
  const TTest *tables[] = {classes_follow_the_grammars, utf8_is_what_rfc_3629_allows, NULL};
  const TTest *paths[] = {a_mailbox_is_described, null_and_postmaster, nothing_is_written_on_failure,
                          a_path_is_taken_off_the_front, NULL};
  const TTest *parts[] = {dot_strings, every_byte_everywhere, utf8_addresses, literals, NULL};
  const TTest *limits[] = {lengths, a_route_counts_for_the_length, NULL};
  add_case(s, "classes", tables);
  add_case(s, "paths", paths);
  add_case(s, "parts", parts);
  add_case(s, "lengths", limits);
  return s;
}
