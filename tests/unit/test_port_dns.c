/* SPDX-License-Identifier: MIT
 *
 * Reading DNS responses: packets made here, and those other people made (SMTPF_SHARED/data/dns-cares).
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "port_packet.h"
#include "port_run.h"

enum { RESPONSE = 0x8180, CNAME = SMTPF_DNS_CNAME, SOA = 6 };

/* A packet under construction. */
static struct {
  unsigned char p[65536];
  size_t n;
} pkt;
static smtpf_arena arena;
static smtpf_dns_answer answer;

static void u16(unsigned v)
{
  pkt.p[pkt.n++] = (unsigned char)(v >> 8);
  pkt.p[pkt.n++] = (unsigned char)v;
}

static void u32(uint32_t v)
{
  u16(v >> 16);
  u16(v & 0xffff);
}

static void name(const char *s)
{
  smtpf_str rest = smtpf_str_of(s);
  while (rest.n) {
    smtpf_str label = smtpf_str_cut(&rest, '.');
    pkt.p[pkt.n++] = (unsigned char)label.n;
    memcpy(pkt.p + pkt.n, label.p, label.n);
    pkt.n += label.n;
  }
  pkt.p[pkt.n++] = 0;
}

static void head(unsigned flags, unsigned answers, unsigned authorities, const char *qname, int qtype)
{
  pkt.n = 0;
  u16(4711);
  u16(flags);
  u16(1);
  u16(answers);
  u16(authorities);
  u16(0);
  name(qname);
  u16((unsigned)qtype);
  u16(1);
}

/* The fixed part of a record; returns where RDATA begins, for end(). */
static size_t begin(const char *owner, int type, uint32_t ttl)
{
  name(owner);
  u16((unsigned)type);
  u16(1);
  u32(ttl);
  u16(0);
  return pkt.n;
}

static void end(size_t data)
{
  pkt.p[data - 2] = (unsigned char)((pkt.n - data) >> 8);
  pkt.p[data - 1] = (unsigned char)(pkt.n - data);
}

static void bytes(const char *p, size_t n)
{
  memcpy(pkt.p + pkt.n, p, n);
  pkt.n += n;
}

static void record_a(const char *owner, uint32_t ttl, const char *ip)
{
  size_t at = begin(owner, SMTPF_DNS_A, ttl);
  bytes(ip, 4);
  end(at);
}

static void record_name(const char *owner, int type, uint32_t ttl, const char *target)
{
  size_t at = begin(owner, type, ttl);
  name(target);
  end(at);
}

static void record_soa(uint32_t ttl, uint32_t minimum)
{
  size_t at = begin("example", SOA, ttl);
  name("ns.example");
  name("hostmaster.example");
  for (uint32_t i = 0; i < 4; i++)
    u32(i);
  u32(minimum);
  end(at);
}

static int read_as(int type, const char *asked)
{
  /* memory of the exact size, so that a sanitizer sees one byte too many */
  unsigned char *exact = malloc(pkt.n ? pkt.n : 1);
  ck_assert_ptr_nonnull(exact);
  memcpy(exact, pkt.p, pkt.n);
  ck_assert_int_eq(smtpf_dns_packet_read(exact, pkt.n, type, smtpf_str_of(asked), &arena, &answer), SMTPF_OK);
  free(exact);
  return answer.status;
}

static void expect_text(size_t i, const char *text)
{
  ck_assert_uint_lt(i, answer.count);
  ck_assert(smtpf_str_equal(answer.records[i].text, smtpf_str_of(text)));
}

static void setup(void)
{
  smtpf_arena_init(&arena, &smtpf_mem_default, 0, 1 << 20);
}

static void teardown(void)
{
  smtpf_arena_clear(&arena);
}

START_TEST(addresses)
{
  head(RESPONSE, 3, 0, "host.example", SMTPF_DNS_A);
  record_a("host.example", 300, "\300\0\2\1");
  record_a("HOST.Example", 60, "\300\0\2\2");
  record_a("other.example", 1, "\300\0\2\3"); /* not asked for */
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "host.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.count, 2);
  ck_assert_uint_eq(answer.ttl, 60);
  ck_assert_uint_eq(answer.records[0].ttl, 300);
  ck_assert_uint_eq(answer.records[0].ip.family, 4);
  ck_assert_uint_eq(answer.records[1].ip.bytes[3], 2);
  ck_assert_uint_eq(answer.records[1].ip.bytes[4], 0);
  head(RESPONSE, 1, 0, "host.example", SMTPF_DNS_AAAA);
  size_t at = begin("host.example", SMTPF_DNS_AAAA, 5);
  bytes(" \1\r\270\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_AAAA, "host.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.records[0].ip.family, 6);
  ck_assert_uint_eq(answer.records[0].ip.bytes[15], 1);
}
END_TEST

START_TEST(names_and_preferences)
{
  head(RESPONSE, 2, 0, "example", SMTPF_DNS_MX);
  size_t at = begin("example", SMTPF_DNS_MX, 5);
  u16(10);
  bytes("\2mx\300\14", 5); /* mx, then the question's name */
  end(at);
  at = begin("example", SMTPF_DNS_MX, 5);
  u16(65535);
  name(""); /* the root */
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_MX, "example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.records[0].preference, 10);
  expect_text(0, "mx.example");
  ck_assert_uint_eq(answer.records[1].preference, 65535);
  expect_text(1, "");
  head(RESPONSE, 1, 0, "1.2.0.192.in-addr.arpa", SMTPF_DNS_PTR);
  record_name("1.2.0.192.in-addr.arpa", SMTPF_DNS_PTR, 5, "Host.example");
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "1.2.0.192.in-addr.arpa"), SMTPF_DNS_OK);
  expect_text(0, "Host.example");
}
END_TEST

START_TEST(odd_bytes_of_names_are_escaped)
{
  head(RESPONSE, 1, 0, "p.example", SMTPF_DNS_PTR);
  size_t at = begin("p.example", SMTPF_DNS_PTR, 5);
  bytes("\7a.\\ \r\n\377\1b\0", 11);
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "p.example"), SMTPF_DNS_OK);
  expect_text(0, "a\\.\\\\\\032\\013\\010\\255.b");
}
END_TEST

START_TEST(strings_are_joined)
{
  head(RESPONSE, 2, 0, "t.example", SMTPF_DNS_TXT);
  size_t at = begin("t.example", SMTPF_DNS_TXT, 5);
  bytes("\3one\0\4 two", 10);
  end(at);
  at = begin("t.example", SMTPF_DNS_TXT, 5);
  end(at); /* no string at all: RFC 1035 asks for one, nothing breaks without */
  ck_assert_int_eq(read_as(SMTPF_DNS_TXT, "t.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.count, 2);
  expect_text(0, "one two");
  expect_text(1, "");
}
END_TEST

START_TEST(aliases_are_followed_in_any_order)
{
  head(RESPONSE, 3, 0, "a.example", SMTPF_DNS_A);
  record_name("a.example", CNAME, 100, "b.example");
  record_name("B.example", CNAME, 50, "c.example");
  record_a("c.example", 70, "\300\0\2\1");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "a.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.count, 1);
  ck_assert_uint_eq(answer.ttl, 50);
  head(RESPONSE, 3, 0, "a.example", SMTPF_DNS_A);
  record_a("c.example", 70, "\300\0\2\1");
  record_name("b.example", CNAME, 50, "c.example");
  record_name("a.example", CNAME, 100, "b.example");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "a.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.ttl, 50);
  head(RESPONSE, 1, 0, "a.example", CNAME); /* the alias itself was asked for */
  record_name("a.example", CNAME, 100, "b.example");
  ck_assert_int_eq(read_as(CNAME, "a.example"), SMTPF_DNS_OK);
  expect_text(0, "b.example");
}
END_TEST

START_TEST(a_circle_of_aliases_is_nonsense)
{
  head(RESPONSE, 2, 0, "a.example", SMTPF_DNS_A);
  record_name("a.example", CNAME, 100, "b.example");
  record_name("b.example", CNAME, 100, "a.example");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "a.example"), SMTPF_DNS_SERVFAIL);
}
END_TEST

START_TEST(denials)
{
  head(RESPONSE | 3, 0, 1, "n.example", SMTPF_DNS_A);
  record_soa(300, 30);
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "n.example"), SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(answer.ttl, 30);
  head(RESPONSE, 0, 1, "n.example", SMTPF_DNS_A);
  record_soa(20, 30);
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "n.example"), SMTPF_DNS_NODATA);
  ck_assert_uint_eq(answer.ttl, 20);
  head(RESPONSE, 0, 0, "n.example", SMTPF_DNS_A);
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "n.example"), SMTPF_DNS_NODATA);
  ck_assert_uint_eq(answer.ttl, 60);
  head(RESPONSE | 3, 1, 1, "n.example", SMTPF_DNS_A); /* the end of the chain does not exist */
  record_name("n.example", CNAME, 10, "gone.example");
  record_soa(300, 30);
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "n.example"), SMTPF_DNS_NXDOMAIN);
  ck_assert_uint_eq(answer.ttl, 10);
  ck_assert_uint_eq(answer.count, 0);
  head(RESPONSE, 1, 0, "n.example", SMTPF_DNS_A); /* only another type */
  record_name("n.example", SMTPF_DNS_PTR, 10, "x.example");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "n.example"), SMTPF_DNS_NODATA);
}
END_TEST

START_TEST(every_other_response_code_is_a_failure)
{
  for (unsigned rcode = 0; rcode < 16; rcode++) {
    head(RESPONSE | rcode, 1, 0, "x.example", SMTPF_DNS_A);
    record_a("x.example", 5, "\177\0\0\2");
    int expected = rcode == 0 ? SMTPF_DNS_OK : rcode == 3 ? SMTPF_DNS_NXDOMAIN : SMTPF_DNS_SERVFAIL;
    ck_assert_int_eq(read_as(SMTPF_DNS_A, "x.example"), expected);
    ck_assert_uint_le(answer.ttl, 5);
    ck_assert_uint_eq(answer.count, rcode == 0);
  }
}
END_TEST

START_TEST(only_the_question_asked)
{
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_A);
  record_a("x.example", 5, "\177\0\0\2");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "y.example"), SMTPF_DNS_SERVFAIL);
  ck_assert_int_eq(read_as(SMTPF_DNS_TXT, "x.example"), SMTPF_DNS_SERVFAIL);
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "x.example"), SMTPF_DNS_OK);
  pkt.p[2] &= 0x7f; /* a query */
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "x.example"), SMTPF_DNS_SERVFAIL);
}
END_TEST

START_TEST(a_ttl_of_32_bits_is_none)
{
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_A);
  record_a("x.example", 0x80000000u, "\177\0\0\2");
  ck_assert_int_eq(read_as(SMTPF_DNS_A, "x.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.ttl, 0);
}
END_TEST

START_TEST(wrong_lengths_are_nonsense)
{
  static const struct {
    int type;
    const char *data;
    size_t n;
  } bad[] = {
      {SMTPF_DNS_A, "\177\0\0", 3},
      {SMTPF_DNS_A, "\177\0\0\2\0", 5},
      {SMTPF_DNS_AAAA, "\177\0\0\2", 4},
      {SMTPF_DNS_MX, "\0", 1},
      {SMTPF_DNS_MX, "\0\1", 2},
      {SMTPF_DNS_MX, "\0\1\1a", 4},    /* the name does not end */
      {SMTPF_DNS_MX, "\0\1\1a\0x", 6}, /* and something behind it */
      {SMTPF_DNS_PTR, "\300", 1},      /* half a pointer */
      {SMTPF_DNS_PTR, "\300\1", 2},    /* into the header */
      {SMTPF_DNS_PTR, "\377\377", 2},  /* beyond the end */
      {SMTPF_DNS_PTR, "\100a\0", 3},   /* a reserved label type */
      {SMTPF_DNS_PTR, "", 0},
      {SMTPF_DNS_TXT, "\5abc", 4},
      {SMTPF_DNS_TXT, "\377", 1},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    head(RESPONSE, 1, 0, "x.example", bad[i].type);
    size_t at = begin("x.example", bad[i].type, 5);
    bytes(bad[i].data, bad[i].n);
    end(at);
    ck_assert_int_eq(read_as(bad[i].type, "x.example"), SMTPF_DNS_SERVFAIL);
  }
}
END_TEST

START_TEST(pointers_that_do_not_go_back_are_nonsense)
{
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_PTR);
  size_t at = begin("x.example", SMTPF_DNS_PTR, 5);
  bytes("\1a", 2);
  u16((unsigned)(0xc000 | at)); /* to itself */
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "x.example"), SMTPF_DNS_SERVFAIL);
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_PTR);
  at = begin("x.example", SMTPF_DNS_PTR, 5);
  u16((unsigned)(0xc000 | (at + 2))); /* forward */
  name("a");
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "x.example"), SMTPF_DNS_SERVFAIL);
}
END_TEST

START_TEST(a_name_longer_than_255_is_nonsense)
{
  char label[] = "123456789012345678901234567890123456789012345678901234567890";
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_PTR);
  size_t at = begin("x.example", SMTPF_DNS_PTR, 5);
  for (int i = 0; i < 4; i++) {
    pkt.p[pkt.n++] = 60;
    bytes(label, 60);
  }
  size_t last = pkt.n;
  bytes("\11"
        "123456789\0",
        11); /* 4 * 61 + 11 = 255 */
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "x.example"), SMTPF_DNS_OK);
  ck_assert_uint_eq(answer.records[0].text.n, 253);
  pkt.n = last;
  bytes("\0121234567890\0", 12);
  end(at);
  ck_assert_int_eq(read_as(SMTPF_DNS_PTR, "x.example"), SMTPF_DNS_SERVFAIL);
}
END_TEST

START_TEST(too_many_records_are_nonsense)
{
  for (unsigned n = SMTPF_DNS_PACKET_RECORDS; n <= SMTPF_DNS_PACKET_RECORDS + 1; n++) {
    head(RESPONSE, n, 0, "x.example", SMTPF_DNS_A);
    for (unsigned i = 0; i < n; i++)
      record_a("x.example", 5, "\177\0\0\2");
    int expected = n == SMTPF_DNS_PACKET_RECORDS ? SMTPF_DNS_OK : SMTPF_DNS_SERVFAIL;
    ck_assert_int_eq(read_as(SMTPF_DNS_A, "x.example"), expected);
  }
}
END_TEST

START_TEST(cut_anywhere_is_nonsense)
{
  head(RESPONSE, 2, 1, "a.example", SMTPF_DNS_MX);
  record_name("a.example", CNAME, 100, "b.example");
  size_t at = begin("b.example", SMTPF_DNS_MX, 5);
  u16(10);
  name("mx.example");
  end(at);
  size_t answers_end = pkt.n;
  record_soa(5, 5);
  size_t whole = pkt.n;
  for (pkt.n = 0; pkt.n <= whole; pkt.n++) {
    int expected = pkt.n < answers_end ? SMTPF_DNS_SERVFAIL : SMTPF_DNS_OK;
    ck_assert_int_eq(read_as(SMTPF_DNS_MX, "a.example"), expected);
  }
}
END_TEST

START_TEST(without_memory)
{
  smtpf_arena none;
  smtpf_arena_init(&none, &smtpf_mem_default, 0, 10);
  smtpf_dns_answer untouched = {.size = 77};
  head(RESPONSE, 1, 0, "x.example", SMTPF_DNS_A);
  record_a("x.example", 5, "\177\0\0\2");
  ck_assert_int_eq(smtpf_dns_packet_read(pkt.p, pkt.n, SMTPF_DNS_A, smtpf_str_of("x.example"), &none, &untouched),
                   SMTPF_ENOMEM);
  ck_assert_uint_eq(untouched.size, 77);
}
END_TEST

/* One packet of the collection, as it is and cut short everywhere, as the answer to its own question and to others. */
static void give(const char *path)
{
  static const int types[] = {SMTPF_DNS_A,  SMTPF_DNS_NS,  SMTPF_DNS_CNAME, SMTPF_DNS_PTR,
                              SMTPF_DNS_MX, SMTPF_DNS_TXT, SMTPF_DNS_AAAA};
  FILE *f = fopen(path, "rb");
  ck_assert_ptr_nonnull(f);
  pkt.n = fread(pkt.p, 1, sizeof pkt.p, f);
  fclose(f);
  char asked[SMTPF_DNS_NAME_MAX + 1];
  for (size_t whole = pkt.n, n = 0; n <= whole; n++) {
    size_t len = 0;
    int type = SMTPF_DNS_A;
    unsigned char *exact = malloc(n ? n : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, pkt.p, n);
    if (!packet_question(exact, n, asked, &len, &type))
      memcpy(asked, "x", len = 1);
    packet_check(exact, n, type, (smtpf_str){asked, len});
    for (size_t i = 0; n == whole && i < sizeof types / sizeof *types; i++)
      packet_check(exact, n, types[i], (smtpf_str){asked, len});
    free(exact);
  }
}

START_TEST(packets_of_others)
{
  char folder[600], path[1200];
  const char *shared = getenv("SMTPF_SHARED"), *root = getenv("top_srcdir");
  if (shared)
    snprintf(folder, sizeof folder, "%s/data/dns-cares/fuzzinput", shared);
  else
    snprintf(folder, sizeof folder, "%s/../shared/data/dns-cares/fuzzinput", root ? root : ".");
  DIR *d = opendir(folder);
  if (!d) {
    printf("SKIP packets_of_others: no folder SMTPF_SHARED/data/dns-cares\n");
    return;
  }
  int n = 0;
  for (const struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.')
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    give(path);
    n++;
  }
  closedir(d);
  printf("%d packets read\n", n);
  ck_assert_int_gt(n, 20);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("port: DNS packets");
  TCase *t = tcase_create("all");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_add_test(t, addresses);
  tcase_add_test(t, names_and_preferences);
  tcase_add_test(t, odd_bytes_of_names_are_escaped);
  tcase_add_test(t, strings_are_joined);
  tcase_add_test(t, aliases_are_followed_in_any_order);
  tcase_add_test(t, a_circle_of_aliases_is_nonsense);
  tcase_add_test(t, denials);
  tcase_add_test(t, every_other_response_code_is_a_failure);
  tcase_add_test(t, only_the_question_asked);
  tcase_add_test(t, a_ttl_of_32_bits_is_none);
  tcase_add_test(t, wrong_lengths_are_nonsense);
  tcase_add_test(t, pointers_that_do_not_go_back_are_nonsense);
  tcase_add_test(t, a_name_longer_than_255_is_nonsense);
  tcase_add_test(t, too_many_records_are_nonsense);
  tcase_add_test(t, cut_anywhere_is_nonsense);
  tcase_add_test(t, without_memory);
  tcase_add_test(t, packets_of_others);
  suite_add_tcase(s, t);
  return port_run(s);
}
