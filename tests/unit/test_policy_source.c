/* SPDX-License-Identifier: MIT
 *
 * policy/source: the walk through Received fields. Rows are chains, from the top, of what the fields say; hosts in
 * 198.51.100.0/24 and 2001:db8:51::/48 are trusted, those in 192.0.2.0/24 our own, 198.51.100.1 is the client.
 */
#include <smtpfilter/ext/check.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "policy/source.h"
#include "test_policy.h"

static int host_of(const void *user, const smtpf_ip *ip)
{
  static const smtpf_prefix trusted[] = {{{4, {198, 51, 100}}, 24}, {{6, {0x20, 1, 0x0d, 0xb8, 0, 0x51}}, 48}};
  static const smtpf_prefix own = {{4, {192, 0, 2}}, 24};
  (void)user;
  if (smtpf_prefix_contains(&own, ip))
    return SMTPF_HOST_OWN;
  return smtpf_prefix_contains(&trusted[0], ip) || smtpf_prefix_contains(&trusted[1], ip);
}

/* What the walk says, as text: `203.0.113.9 2`, `inside`, `unclear`. */
static const char *walk(const char *const *fields, size_t n, size_t most, int whole)
{
  static char text[SMTPF_IP_TEXT + 32];
  static smtpf_hop hops[1200];
  const smtpf_ip client = {4, {198, 51, 100, 1}};
  size_t at = 77, trusted = 77;
  for (size_t i = 0; i < n; i++)
    hops[i] = smtpf_hop_read(smtpf_str_of(fields[i]), NULL);
  const smtpf_source_walk w = {&client, hops, n, most, whole, host_of, NULL};
  switch (smtpf_source_find(&w, &at, &trusted)) {
  case SMTPF_SOURCE_FOUND: {
    char ip[SMTPF_IP_TEXT];
    smtpf_ip_format(&hops[at].ip, ip);
    snprintf(text, sizeof text, "%s %zu", ip, trusted);
    return text;
  }
  case SMTPF_SOURCE_INSIDE: ck_assert(at == 77 && trusted == 77); return "inside";
  case SMTPF_SOURCE_UNCLEAR: ck_assert(at == 77 && trusted == 77); return "unclear";
  default: ck_abort_msg("no such end");
  }
}

#define FROM(ip) "from x (y [" ip "]) by z with ESMTP id 1"
#define LISTED FROM("203.0.113.9")

enum { FIELDS = 6 };
static const struct {
  const char *is, *fields[FIELDS];
} chains[] = {
    {"inside", {NULL}},
    {"203.0.113.9 1", {LISTED}},
    {"203.0.113.9 2", {FROM("198.51.100.7"), LISTED}},
    {"203.0.113.9 4", {FROM("198.51.100.7"), FROM("2001:db8:51::1"), FROM("IPv6:2001:db8:51::2"), LISTED}},
    {"2001:db8:66::1 1", {FROM("IPv6:2001:DB8:66::1")}},
    /* forged fields below are never looked at, not even those that would end the walk */
    {"203.0.113.9 1", {LISTED, FROM("198.51.100.7"), FROM("203.0.113.10")}},
    {"203.0.113.9 1", {LISTED, "from a by b by c", FROM("192.0.2.1")}},
    {"203.0.113.9 2", {FROM("198.51.100.7"), LISTED, FROM("198.51.100.8"), FROM("203.0.113.10")}},
    /* the same host, and its inside */
    {"203.0.113.9 1",
     {FROM("127.0.0.1"), FROM("10.1.2.3"), FROM("::1"), FROM("fd00::9"), FROM("198.51.100.1"), LISTED}},
    {"203.0.113.9 1", {FROM("172.31.255.255"), FROM("100.64.0.1"), FROM("169.254.9.9"), FROM("fe80::1"), LISTED}},
    {"172.32.0.0 1", {FROM("172.32.0.0"), LISTED}},
    {"100.128.0.0 1", {FROM("100.128.0.0"), LISTED}},
    {"11.0.0.1 1", {FROM("11.0.0.1"), LISTED}},
    {"::2 1", {FROM("::2"), LISTED}},
    {"fe00::1 1", {FROM("fe00::1"), LISTED}},
    {"203.0.113.9 1", {FROM("::ffff:127.0.0.1"), FROM("::ffff:203.0.113.9")}},
    /* without another host */
    {"203.0.113.9 1", {"by z with local id 1", "(qmail 5 invoked by uid 3)", "from root by z with local", LISTED}},
    {"203.0.113.9 1", {"by 2001:db8::7 with SMTP id 1", "by z (Postfix, from userid 5000) id 2", LISTED}},
    {"203.0.113.9 1", {"from z by z with LMTP id 1", "from z ([unix socket]) by z (Cyrus) with LMTP", LISTED}},
    {"inside", {"by z with local id 1", FROM("127.0.0.1")}},
    /* own, and users that a host knows */
    {"inside", {FROM("192.0.2.7"), LISTED}},
    {"inside", {"from laptop (y [203.0.113.9]) by z with ESMTPSA id 1"}},
    {"inside", {"from laptop (y [203.0.113.9]) by z with esmtpa id 1", LISTED}},
    {"inside", {"from [203.0.113.9] by web.example via HTTP; Thu, 01 Jan 2026 00:00:00 +0000"}},
    {"inside", {"from mail.example [203.0.113.9] by localhost with POP3 (fetchmail-6.4)", LISTED}},
    {"inside", {FROM("198.51.100.7"), "from [203.0.113.9] by web.example with HTTP"}},
    {"203.0.113.9 1", {"from x (y [203.0.113.9]) by z with ESMTPS id 1"}},
    /* what says nothing */
    {"unclear", {"from x by z with ESMTP id 1", LISTED}},
    {"unclear", {"from x by y with local (y [203.0.113.9]) by z with ESMTP id 1", LISTED}},
    {"unclear", {"from x (unknown [unknown]) by z with ESMTP", LISTED}},
    {"unclear", {FROM("198.51.100.7"), "from x (203.0.113.999) by z", LISTED}},
    /* the client's own words lead nowhere */
    {"203.0.113.9 1", {"from [198.51.100.7] (unknown [203.0.113.9]) by z with ESMTP"}},
    {"203.0.113.9 1", {"from unknown (HELO 127.0.0.1) (203.0.113.9) by z with SMTP"}},
    {"203.0.113.9 1", {"from [203.0.113.9] (helo=[198.51.100.7]) by z with esmtp (Exim 4)"}},
    {"203.0.113.9 1", {"from name (name [203.0.113.9]) (Client CN \"[203.0.113.9]\") by z"}},
    {"unclear", {"from name (name [203.0.113.9]) (Client CN \"[127.0.0.1]\") by z"}},
    {"unclear", {"from x([198.51.100.7]) (unknown [203.0.113.9]) by z with ESMTP", LISTED}},
    {"unclear", {"from x([203.0.113.9]) (192.0.2.77) by z with ESMTP", LISTED}},
    {"unclear", {"from ( (unknown [203.0.113.10]) by z (Postfix) with ESMTP", LISTED}},
    {"unclear", {"from x(\\ (unknown [203.0.113.10]) by z (Postfix) with LMTP", LISTED}},
};

START_TEST(chains_end_where_they_should)
{
  size_t n = 0;
  while (n < FIELDS && chains[_i].fields[n])
    n++;
  const char *is = walk(chains[_i].fields, n, 10, 1);
  ck_assert_msg(strcmp(is, chains[_i].is) == 0, "row %d: %s, expected %s", _i, is, chains[_i].is);
}
END_TEST

START_TEST(length_is_bounded)
{
  const char *fields[1100];
  for (size_t i = 0; i < 1100; i++)
    fields[i] = FROM("127.0.0.1");
  ck_assert_str_eq(walk(fields, 1100, 10, 1), "unclear");
  ck_assert_str_eq(walk(fields, 10, 10, 1), "inside");
  ck_assert_str_eq(walk(fields, 10, 10, 0), "unclear"); /* there are more that were not kept */
  fields[9] = LISTED;
  ck_assert_str_eq(walk(fields, 1100, 10, 1), "203.0.113.9 1");
  ck_assert_str_eq(walk(fields, 1100, 9, 1), "unclear");
  ck_assert_str_eq(walk(fields, 10, 10, 0), "203.0.113.9 1");
  for (size_t i = 0; i < 1100; i++)
    fields[i] = FROM("198.51.100.7"); /* two trusted hosts that name each other */
  ck_assert_str_eq(walk(fields, 1100, 32, 1), "unclear");
}
END_TEST

START_TEST(names_are_kept_and_never_looked_at)
{
  smtpf_str by = {NULL, 0};
  const smtpf_hop h = smtpf_hop_read(SMTPF_LIT("from helo.example (name.example [203.0.113.9]) by z.example"), &by);
  ck_assert(smtpf_str_equal(h.helo, SMTPF_LIT("helo.example")) && smtpf_str_equal(h.name, SMTPF_LIT("name.example")));
  ck_assert(smtpf_str_equal(by, SMTPF_LIT("z.example")));
  ck_assert_int_eq(h.kind, SMTPF_HOP_FROM);
  by = SMTPF_LIT("before");
  ck_assert_int_eq(smtpf_hop_read(SMTPF_LIT("nonsense"), &by).kind, SMTPF_HOP_LOCAL);
  ck_assert_uint_eq(by.n, 0);
}
END_TEST

TCase *source_cases(void)
{
  TCase *t = tcase_create("source");
  tcase_add_loop_test(t, chains_end_where_they_should, 0, (int)(sizeof chains / sizeof *chains));
  tcase_add_test(t, length_is_bounded);
  tcase_add_test(t, names_are_kept_and_never_looked_at);
  return t;
}
