/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <smtpfilter/proxy.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) literal, sizeof(literal) - 1
#define V4                                                                                                             \
  "\xc0\x00\x02\x19"                                                                                                   \
  "\xc6\x33\x64\x01"                                                                                                   \
  "\x9c\x40"                                                                                                           \
  "\x00\x19" /* 192.0.2.25 198.51.100.1 40000 25 */
#define V6_A "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
#define V6_B "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x19"

static smtpf_proxy_header h;

static int read_bytes(const char *p, size_t n)
{
  h = (smtpf_proxy_header){.size = sizeof h, .version = -1};
  return smtpf_proxy_read((smtpf_str){p, n}, &h);
}

static const struct {
  const char *bytes;
  size_t n;
  const char *client, *local;
  unsigned client_port, local_port;
  int version, kind;
} good[] = {
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\r\n"), "192.0.2.25", "198.51.100.1", 40000, 25, 1, 1},
    {BYTES("PROXY TCP4 255.255.255.255 0.0.0.0 0 65535\r\n"), "255.255.255.255", "0.0.0.0", 0, 65535, 1, 1},
    {BYTES("PROXY TCP6 2001:DB8::7 2001:db8:0:0:0:0:0:1 1 2\r\n"), "2001:db8::7", "2001:db8::1", 1, 2, 1, 1},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.25 ::1 1 2\r\n"), "192.0.2.25", "::1", 1, 2, 1, 1},
    {BYTES("PROXY UNKNOWN\r\n"), "", "", 0, 0, 1, 3},
    {BYTES("PROXY UNKNOWN TCP4 192.0.2.25 what ever\r\n"), "", "", 0, 0, 1, 3},
    {BYTES(SIGNATURE "\x21\x11\x00\x0c" V4), "192.0.2.25", "198.51.100.1", 40000, 25, 2, 1},
    {BYTES(SIGNATURE "\x21\x21\x00\x24" V6_A V6_B "\x9c\x40\x00\x19"), "2001:db8::7", "2001:db8::1", 40000, 25, 2, 1},
    {BYTES(SIGNATURE "\x21\x21\x00\x24" MAPPED V6_B "\x9c\x40\x00\x19"), "192.0.2.25", "2001:db8::1", 40000, 25, 2, 1},
    {BYTES(SIGNATURE "\x20\x00\x00\x00"), "", "", 0, 0, 2, 2},
    {BYTES(SIGNATURE "\x20\x11\x00\x0c" V4), "", "", 0, 0, 2, 2}, /* LOCAL: its addresses are ignored */
    {BYTES(SIGNATURE "\x20\xff\x00\x01?"), "", "", 0, 0, 2, 2},   /* and its family */
    {BYTES(SIGNATURE "\x21\x00\x00\x00"), "", "", 0, 0, 2, 3},
    {BYTES(SIGNATURE "\x21\x00\x00\x03xyz"), "", "", 0, 0, 2, 3},
    {BYTES(SIGNATURE "\x21\x12\x00\x0c" V4), "", "", 0, 0, 2, 3}, /* UDP */
    {BYTES(SIGNATURE "\x21\x10\x00\x0c" V4), "", "", 0, 0, 2, 3},
};

/* Whole, and nothing before it is. */
START_TEST(reads_headers)
{
  for (size_t n = 0; n < good[_i].n; n++) {
    ck_assert_int_eq(read_bytes(good[_i].bytes, n), 0);
    ck_assert_int_eq(h.version, -1);
  }
  ck_assert_int_eq(read_bytes(good[_i].bytes, good[_i].n), (int)good[_i].n);
  ck_assert_int_eq(h.version, good[_i].version);
  ck_assert_int_eq(h.kind, good[_i].kind);
  ck_assert_str_eq(h.client, good[_i].client);
  ck_assert_str_eq(h.local_address, good[_i].local);
  ck_assert_uint_eq(h.client_port, good[_i].client_port);
  ck_assert_uint_eq(h.local_port, good[_i].local_port);
}
END_TEST

/* What follows is the client's. */
START_TEST(stops_at_its_end)
{
  char room[300];
  memcpy(room, good[_i].bytes, good[_i].n);
  memcpy(room + good[_i].n, "\r\nEHLO x\r\n", 10);
  ck_assert_int_eq(read_bytes(room, good[_i].n + 10), (int)good[_i].n);
}
END_TEST

static const struct {
  const char *bytes;
  size_t n;
} bad[] = {
    {BYTES("EHLO mail.example.org\r\n")},
    {BYTES("E")},
    {BYTES("\r\n\r\n\r")},
    {BYTES("proxy")},
    {BYTES("PROXY\t")},
    {BYTES("PROXY\r\n")},
    {BYTES("PROXY \r\n")},
    {BYTES("PROXY TCP4\r\n")},
    {BYTES("PROXY TCP5 192.0.2.25 198.51.100.1 40000 25\r\n")},
    {BYTES("PROXY tcp4 192.0.2.25 198.51.100.1 40000 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000 25 \r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000 25 6\r\n")},
    {BYTES("PROXY TCP4  192.0.2.25 198.51.100.1 40000 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 65536 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 040 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 -1 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.025 198.51.100.1 1 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.256 198.51.100.1 1 25\r\n")},
    {BYTES("PROXY TCP4 [192.0.2.25] 198.51.100.1 1 25\r\n")},
    {BYTES("PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 2001:db8::1 1 25\r\n")},
    {BYTES("PROXY TCP6 192.0.2.25 198.51.100.1 1 25\r\n")},
    {BYTES("PROXY TCP6 IPv6:2001:db8::7 2001:db8::1 1 25\r\n")},
    {BYTES("PROXY TCP6 2001:db8::7::1 2001:db8::1 1 25\r\n")},
    {BYTES("PROXY TCP6 2001:db8::7%eth0 2001:db8::1 1 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\n")},
    {BYTES("PROXY TCP4 192.0.2.25 198.51.100.1 40000 25\r\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25\r198.51.100.1 40000 25\r\n")},
    {BYTES("PROXY TCP4 192.0.2.25\0 198.51.100.1 40000 25\r\n")},
    {BYTES("PROXY UNKNOWN\n")},
    {BYTES(SIGNATURE "\x11")},                               /* version 1 */
    {BYTES(SIGNATURE "\x31")},                               /* version 3 */
    {BYTES(SIGNATURE "\x22")},                               /* neither LOCAL nor PROXY */
    {BYTES(SIGNATURE "\x21\x41\x00\x0c" V4)},                /* no such family */
    {BYTES(SIGNATURE "\x21\x13\x00\x0c" V4)},                /* no such protocol */
    {BYTES(SIGNATURE "\x21\x11\x00\x0b" V4)},                /* addresses that are cut off */
    {BYTES(SIGNATURE "\x21\x12\x00\x0b" V4)},                /* also where they are not wanted */
    {BYTES(SIGNATURE "\x21\x21\x00\x0c" V4)},                /* IPv4 as IPv6 */
    {BYTES(SIGNATURE "\x21\x31\x00\x0c" V4)},                /* AF_UNIX has 216 bytes */
    {BYTES(SIGNATURE "\x21\x11\x00\x0d" V4 "\x04")},         /* an extra that is cut off in its head */
    {BYTES(SIGNATURE "\x21\x11\x00\x0f" V4 "\x04\x00\x01")}, /* in its value */
    {BYTES(SIGNATURE "\x21\x11\x00\x0f" V4 "\x20\x00\x00")}, /* SSL without its head */
    {BYTES(SIGNATURE "\x21\x11\x00\x16" V4 "\x20\x00\x07\x01\0\0\0\0\x21\x00")}, /* an extra of SSL cut off */
    {BYTES(SIGNATURE "\x21\x11\x00\x10" V4 "\x03\x00\x01?")},                    /* a checksum of one byte */
    {BYTES(SIGNATURE "\x21\x11\x00\x13" V4 "\x03\x00\x04\x00\x00\x00\x00")},     /* one that does not fit */
};

START_TEST(refuses_others)
{
  ck_assert_int_eq(read_bytes(bad[_i].bytes, bad[_i].n), SMTPF_EPARSE);
  ck_assert_int_eq(h.version, -1);
}
END_TEST

START_TEST(refuses_long_lines)
{
  char line[200] = "PROXY UNKNOWN ";
  memset(line + 14, 'x', sizeof line - 14);
  ck_assert_int_eq(read_bytes(line, 106), 0);
  ck_assert_int_eq(read_bytes(line, 107), SMTPF_EPARSE);
  memcpy(line + 105, "\r\n", 2);
  ck_assert_int_eq(read_bytes(line, 107), 107);
  memcpy(line + 105, "x\r\n", 3);
  ck_assert_int_eq(read_bytes(line, sizeof line), SMTPF_EPARSE);
}
END_TEST

START_TEST(refuses_long_blocks)
{
  char block[16 + SMTPF_PROXY_MAX] = SIGNATURE "\x20\x00\x0f\xf0"; /* 4080 */
  ck_assert_int_eq(read_bytes(block, sizeof block), SMTPF_PROXY_MAX);
  ck_assert_int_eq(read_bytes(block, SMTPF_PROXY_MAX - 1), 0);
  block[15] = '\xf1';
  ck_assert_int_eq(read_bytes(block, 15), 0);
  ck_assert_int_eq(read_bytes(block, 16), SMTPF_ELIMIT);
}
END_TEST

/* Name that was asked for, checksum (by an implementation that is not ours), TLS. */
START_TEST(reads_extras)
{
  static const char bytes[] = SIGNATURE "\x21\x11\x00\x49" V4 "\x02\x00\x04mail"
                                        "\x03\x00\x04"
                                        "\x00\x00\x00\x00"
                                        "\x20\x00\x2c"
                                        "\x01\x00\x00\x00\x01"
                                        "\x21\x00\x07TLSv1.3"
                                        "\x23\x00\x16TLS_AES_256_GCM_SHA384"
                                        "\x24\x00\x01"
                                        "x";
  ck_assert_uint_eq(sizeof bytes - 1, 16 + 0x49);
  char room[sizeof bytes];
  smtpf_str rest, value;
  int type, seen = 0;
  memcpy(room, bytes, sizeof bytes);
  ck_assert_int_eq(read_bytes(room, sizeof bytes - 1), SMTPF_EPARSE); /* checksum 0 */
  memcpy(room + 16 + 12 + 7 + 3, "\x09\x13\x77\x82", 4);
  ck_assert_int_eq(read_bytes(room, sizeof bytes - 1), (int)sizeof bytes - 1);
  ck_assert(smtpf_str_equal(h.tls_protocol, SMTPF_LIT("TLSv1.3")));
  ck_assert(smtpf_str_equal(h.tls_cipher, SMTPF_LIT("TLS_AES_256_GCM_SHA384")));
  for (rest = h.extras; smtpf_proxy_extra(&rest, &type, &value) == SMTPF_OK; seen++)
    if (type == SMTPF_PROXY_AUTHORITY)
      ck_assert(smtpf_str_equal(value, SMTPF_LIT("mail")));
  ck_assert_int_eq(seen, 3);
  ck_assert_uint_eq(rest.n, 0);
  for (size_t i = 0; i < sizeof bytes - 1; i++) { /* each byte is under it, but the one that says that it is there */
    room[i] = (char)(room[i] ^ 0x10);
    const int r = read_bytes(room, sizeof bytes - 1);
    ck_assert_msg(r <= 0 || h.kind != SMTPF_PROXY_CLIENT || i == 16 + 12 + 7, "byte %zu", i);
    room[i] = (char)(room[i] ^ 0x10);
  }
}
END_TEST

START_TEST(refuses_a_struct_too_small)
{
  h = (smtpf_proxy_header){.size = sizeof h - 1};
  ck_assert_int_eq(smtpf_proxy_read(SMTPF_LIT("PROXY UNKNOWN\r\n"), &h), SMTPF_EINVAL);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("proxy protocol");
  TCase *t = tcase_create("header");
  tcase_add_loop_test(t, reads_headers, 0, sizeof good / sizeof good[0]);
  tcase_add_loop_test(t, stops_at_its_end, 0, sizeof good / sizeof good[0]);
  tcase_add_loop_test(t, refuses_others, 0, sizeof bad / sizeof bad[0]);
  tcase_add_test(t, refuses_long_lines);
  tcase_add_test(t, refuses_long_blocks);
  tcase_add_test(t, reads_extras);
  tcase_add_test(t, refuses_a_struct_too_small);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  const int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
