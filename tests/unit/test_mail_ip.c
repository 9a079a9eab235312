/* SPDX-License-Identifier: MIT
 *
 * IP addresses and prefixes: RFC 4291 2.2, RFC 5952, RFC 5782. inet_pton(3) and inet_ntop(3) stand by as an oracle
 * here.
 */
#include <arpa/inet.h>
#include <smtpfilter/ext/mail.h>
#include <stdio.h>

#include "suites.h"

static const char *canonical(const char *text)
{
  static char out[SMTPF_IP_TEXT];
  smtpf_ip ip;
  if (smtpf_ip_parse(smtpf_str_of(text), &ip) != SMTPF_OK)
    return "refused";
  ck_assert_uint_eq(smtpf_ip_format(&ip, out), strlen(out));
  return out;
}

START_TEST(reading)
{
  const char *pairs[][2] = {
      {"192.0.2.1", "192.0.2.1"},
      {"[192.0.2.1]", "192.0.2.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"IPv6:2001:DB8::1", "2001:db8::1"},
      {"[ipv6:2001:DB8::1]", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"[IPv6:::FFFF:c000:201]", "192.0.2.1"},
      {"::192.0.2.1", "::c000:201"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
      {"0:0:1:0:0:0:1:0", "0:0:1::1:0"},
      {"1:0:0:2:0:0:3:4", "1::2:0:0:3:4"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"00ab:0:0:0:0:0:0:0", "ab::"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"", "refused"},
      {"[]", "refused"},
      {"192.0.2", "refused"},
      {"192.0.2.", "refused"},
      {"192.0.2.1.", "refused"},
      {"192.0.2.1.1", "refused"},
      {".192.0.2.1", "refused"},
      {"192..2.1", "refused"},
      {"192.0.2.01", "refused"},
      {"192.0.2.00", "refused"},
      {"192.0.2.256", "refused"},
      {"192.0.2.1000", "refused"},
      {"192.0.2.-1", "refused"},
      {"192.0.2.1 ", "refused"},
      {" 192.0.2.1", "refused"},
      {"0x7f.0.0.1", "refused"},
      {"[192.0.2.1", "refused"},
      {"192.0.2.1]", "refused"},
      {"[[::1]]", "refused"},
      {"IPv6:192.0.2.1", "refused"},
      {"IPv6:", "refused"},
      {"1:2:3:4:5:6:7", "refused"},
      {"1:2:3:4:5:6:7:8:9", "refused"},
      {"1:2:3:4:5:6:7:8::", "refused"},
      {"::1:2:3:4:5:6:7:8", "refused"},
      {"1::2::3", "refused"},
      {":::", "refused"},
      {":", "refused"},
      {":1::2", "refused"},
      {"1:2:", "refused"},
      {"1::2:", "refused"},
      {"12345::", "refused"},
      {"g::", "refused"},
      {"fe80::1%eth0", "refused"},
      {"1:2:3:4:5:6:7:192.0.2.1", "refused"},
      {"1:2:3:4:5:192.0.2.1", "refused"},
      {"::192.0.2.1:1", "refused"},
      {"::ffff:192.0.2.01", "refused"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    ck_assert_str_eq(canonical(pairs[i][0]), pairs[i][1]);
}
END_TEST

/* Random addresses, thinned so that runs of zeros occur, through our writer and reader and the system's. */
START_TEST(agrees_with_the_system)
{
  uint64_t seed = 5952;
  for (int i = 0; i < 20000; i++) {
    smtpf_ip ip = {.family = 6}, back, theirs = {.family = 6};
    uint64_t keep = next_random(&seed);
    for (int b = 0; b < 16; b++)
      ip.bytes[b] = (keep >> b / 2) & 1 ? (uint8_t)next_random(&seed) : 0;
    if (memcmp(ip.bytes, "\0\0\0\0\0\0\0\0\0\0", 10) == 0)
      continue; /* the system writes the last two groups of these dotted */
    char ours[SMTPF_IP_TEXT], system[INET6_ADDRSTRLEN];
    smtpf_ip_format(&ip, ours);
    MUST(inet_ntop(AF_INET6, ip.bytes, system, sizeof system));
    if (strcmp(ours, system) != 0)
      ck_abort_msg("%s is not %s", ours, system);
    MUST(smtpf_ip_parse(smtpf_str_of(ours), &back) == SMTPF_OK && smtpf_ip_equal(&ip, &back));
    /* One byte changed: both take it, or both refuse it. */
    size_t n = strlen(ours);
    ours[next_random(&seed) % n] = ":.0189afg"[next_random(&seed) % 9];
    int ok = inet_pton(AF_INET6, ours, theirs.bytes) == 1;
    int mine = smtpf_ip_parse(smtpf_str_of(ours), &back) == SMTPF_OK;
    if (ok != mine || (ok && back.family == 6 && !smtpf_ip_equal(&theirs, &back)))
      ck_abort_msg("%s", ours);
  }
}
END_TEST

START_TEST(agrees_with_the_system_on_ipv4)
{
  uint64_t seed = 791;
  for (int i = 0; i < 20000; i++) {
    char text[20];
    size_t n = 7 + next_random(&seed) % 9;
    for (size_t k = 0; k < n; k++)
      text[k] = "..0123456789"[next_random(&seed) % 12];
    text[n] = '\0';
    if (i % 2)
      snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(next_random(&seed) % 300),
               (unsigned)(next_random(&seed) % 256), (unsigned)(next_random(&seed) % 256),
               (unsigned)(next_random(&seed) % 260));
    smtpf_ip ours;
    uint8_t theirs[4];
    int ok = inet_pton(AF_INET, text, theirs) == 1;
    if (ok != (smtpf_ip_parse(smtpf_str_of(text), &ours) == SMTPF_OK) || (ok && memcmp(theirs, ours.bytes, 4) != 0))
      ck_abort_msg("%s", text);
  }
}
END_TEST

START_TEST(mapped_addresses_are_written_dotted)
{
  smtpf_ip ip = {.family = 6, .bytes = {[10] = 0xff, 0xff, 192, 0, 2, 1}};
  char out[SMTPF_IP_TEXT];
  ck_assert_uint_eq(smtpf_ip_format(&ip, out), 16);
  ck_assert_str_eq(out, "::ffff:192.0.2.1");
  ip.family = 0;
  ck_assert_uint_eq(smtpf_ip_format(&ip, out), 0);
  ck_assert_str_eq(out, "");
}
END_TEST

static const char *prefix(const char *text)
{
  static char out[SMTPF_IP_TEXT];
  smtpf_prefix p;
  if (smtpf_prefix_parse(smtpf_str_of(text), &p) != SMTPF_OK)
    return "refused";
  ck_assert_uint_eq(smtpf_prefix_format(&p, out), strlen(out));
  return out;
}

START_TEST(prefixes)
{
  const char *pairs[][2] = {
      {"192.0.2.0/24", "192.0.2.0/24"},
      {"192.0.2.1", "192.0.2.1/32"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"128.0.0.0/1", "128.0.0.0/1"},
      {"192.0.2.254/31", "192.0.2.254/31"},
      {"2001:db8::/32", "2001:db8::/32"},
      {"::/0", "::/0"},
      {"::1", "::1/128"},
      {"2001:db8:8000::/33", "2001:db8:8000::/33"},
      {"::ffff:192.0.2.0/120", "192.0.2.0/24"},
      {"::ffff:0:0/96", "0.0.0.0/0"},
      {"[IPv6:2001:db8::]/32", "2001:db8::/32"},
      {"192.0.2.1/24", "refused"},
      {"192.0.2.0/33", "refused"},
      {"192.0.2.0/", "refused"},
      {"192.0.2.0/024", "refused"},
      {"192.0.2.0/00", "refused"},
      {"192.0.2.0/-1", "refused"},
      {"192.0.2.0/24/24", "refused"},
      {"192.0.2.0 /24", "refused"},
      {"192.0.2/24", "refused"},
      {"/24", "refused"},
      {"", "refused"},
      {"128.0.0.0/0", "refused"},
      {"2001:db8::1/127", "refused"},
      {"2001:db8::/129", "refused"},
      {"::ffff:192.0.2.0/95", "refused"},
      {"::ffff:192.0.2.0/24", "refused"},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    ck_assert_str_eq(prefix(pairs[i][0]), pairs[i][1]);
}
END_TEST

/* Every length, with one bit flipped at every place. */
START_TEST(containment)
{
  uint64_t seed = 4632;
  for (int family = 4; family <= 6; family += 2) {
    unsigned bits = family == 4 ? 32 : 128;
    for (unsigned len = 0; len <= bits; len++) {
      smtpf_ip ip = {.family = (uint8_t)family};
      for (unsigned b = 0; b < bits / 8; b++)
        ip.bytes[b] = (uint8_t)next_random(&seed);
      smtpf_prefix p = {ip, (uint8_t)len};
      for (unsigned b = len; b < bits; b++)
        p.ip.bytes[b / 8] &= (uint8_t) ~(0x80 >> b % 8);
      ck_assert(smtpf_prefix_contains(&p, &ip));
      for (unsigned b = 0; b < bits; b++) {
        smtpf_ip other = ip;
        other.bytes[b / 8] ^= (uint8_t)(0x80 >> b % 8);
        MUST(smtpf_prefix_contains(&p, &other) == (b >= len) && !smtpf_ip_equal(&ip, &other));
      }
      ip.family = (uint8_t)(10 - family);
      ck_assert(!smtpf_prefix_contains(&p, &ip));
    }
  }
}
END_TEST

START_TEST(reverse_names)
{
  char out[300], zone[260];
  smtpf_ip ip;
  ck_assert_int_eq(smtpf_ip_parse(S("192.0.2.99"), &ip), SMTPF_OK);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S("zen.example"), out, sizeof out), 22);
  ck_assert_str_eq(out, "99.2.0.192.zen.example");
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S("zen.example"), out, 23), 22);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S("zen.example"), out, 22), SMTPF_ELIMIT);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S(""), out, sizeof out), SMTPF_EINVAL);
  memset(zone, 'z', sizeof zone);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, (smtpf_str){zone, 242}, out, sizeof out), 253);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, (smtpf_str){zone, 243}, out, sizeof out), SMTPF_ELIMIT);
  /* RFC 5782 2.4's own address */
  ck_assert_int_eq(smtpf_ip_parse(S("2001:db8:1:2:3:4:567:89ab"), &ip), SMTPF_OK);
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S("ugly.example.com"), out, sizeof out), 80);
  ck_assert_str_eq(out, "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com");
  ip.family = 0;
  ck_assert_int_eq(smtpf_ip_reverse(&ip, S("zen.example"), out, sizeof out), SMTPF_EINVAL);
}
END_TEST

Suite *smtpf_suite_mail_ip(void)
{
  Suite *s = suite_create("mail ip");
  const TTest *addresses[] = {reading, agrees_with_the_system, agrees_with_the_system_on_ipv4,
                              mapped_addresses_are_written_dotted, NULL};
  const TTest *others[] = {prefixes, containment, reverse_names, NULL};
  add_case(s, "addresses", addresses);
  add_case(s, "prefixes, reverse names", others);
  return s;
}
