/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "fake_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static smtpf_task t;
static char file[] = "/tmp/test_check_addrlist.XXXXXX";

static void fresh(void)
{
  int fd;
  fake_reset();
  memcpy(file + sizeof file - 7, "XXXXXX", 6);
  fd = mkstemp(file);
  ck_assert_int_ge(fd, 0);
  close(fd);
}

static void done(void)
{
  unlink(file);
}

static void write_file(const char *text, size_t n)
{
  FILE *f = fopen(file, "wb");
  ck_assert_ptr_nonnull(f);
  ck_assert_uint_eq(fwrite(text, 1, n, f), n);
  ck_assert_int_eq(fclose(f), 0);
}

static void open_lists(void)
{
  smtpf_error err = {.size = sizeof err};
  ck_assert_msg(fake_open(&t, &smtpf_check_addrlist, &err) == SMTPF_OK, "%s", err.text);
}

static void from(const char *client)
{
  fake_client(&t, client);
  fake_run(&t, SMTPF_CONNECT);
}

START_TEST(entries)
{
  fake_set("addrlists[block].entries", "192.0.2.0/24");
  fake_set("addrlists[block].entries", "192.0.2.128/25");
  fake_set("addrlists[block].entries", "2001:db8::/32");
  open_lists();
  from("192.0.2.1");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_int_eq(t.findings[0].score, 10000);
  ck_assert_uint_eq(t.findings[0].flags, 0);
  ck_assert_str_eq(t.findings[0].detail, "block 192.0.2.0/24");
  ck_assert_str_eq(t.findings[0].text, "192.0.2.1 is blocked here");
  from("192.0.2.200");
  ck_assert_str_eq(t.findings[0].detail, "block 192.0.2.128/25");
  from("2001:db8:1::1");
  ck_assert_str_eq(t.findings[0].detail, "block 2001:db8::/32");
  from("192.0.3.1");
  ck_only(&t, SMTPF_CLEAR, "not-listed");
  from("2001:db9::1");
  ck_only(&t, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
}
END_TEST

/* Each list speaks for itself, in the policy's order. */
START_TEST(several)
{
  fake_set("addrlists[friends].entries", "192.0.2.1");
  fake_set("addrlists[friends].score", "-5.5");
  fake_set("addrlists[trap].entries", "192.0.2.0/24");
  fake_set("addrlists[trap].refuse", "true");
  fake_set("addrlists[trap].score", "0");
  fake_set("addrlists[trap].text", "wrote to our trap");
  fake_set("addrlists[other].entries", "198.51.100.0/24");
  open_lists();
  from("192.0.2.1");
  ck_assert_uint_eq(t.n, 2);
  ck_assert_int_eq(t.findings[0].score, -5500);
  ck_assert_str_eq(t.findings[0].text, "");
  ck_finding(&t, 1, SMTPF_HIT, "listed");
  ck_assert_uint_eq(t.findings[1].flags, SMTPF_FINDING_REFUSE);
  ck_assert_str_eq(t.findings[1].text, "192.0.2.1 wrote to our trap");
  fake_close(&t);
}
END_TEST

START_TEST(zero_score)
{
  fake_set("addrlists[watched].entries", "192.0.2.1");
  fake_set("addrlists[watched].score", "0");
  open_lists();
  from("192.0.2.1");
  ck_only(&t, SMTPF_HIT, "listed");
  ck_assert_str_eq(t.findings[0].text, "");
  fake_close(&t);
}
END_TEST

START_TEST(exempt)
{
  fake_set("addrlists[block].entries", "0.0.0.0/0");
  open_lists();
  fake_run(&t, SMTPF_CONNECT);
  ck_only(&t, SMTPF_CLEAR, "exempt");
  t.ev.own = 1;
  from("192.0.2.1");
  ck_only(&t, SMTPF_CLEAR, "exempt");
  fake_close(&t);
}
END_TEST

START_TEST(from_file)
{
  static const char text[] = "# our list\r\n\n192.0.2.0/24 a comment\n2001:db8::/32 ; another\n198.51.100.7";

  write_file(text, sizeof text - 1);
  fake_set("addrlists[block].file", file);
  fake_set("addrlists[block].entries", "203.0.113.9");
  open_lists();
  from("192.0.2.77");
  ck_only(&t, SMTPF_HIT, "listed");
  from("198.51.100.7"); /* the last line, without an end */
  ck_only(&t, SMTPF_HIT, "listed");
  from("203.0.113.9");
  ck_only(&t, SMTPF_HIT, "listed");
  from("198.51.100.8");
  ck_only(&t, SMTPF_CLEAR, "not-listed");
  fake_close(&t);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* Bigger than one read; every address in it is found, its neighbour is not. */
START_TEST(big_file)
{
  const size_t n = 100000;
  char *text = malloc(n * 20), address[32];
  size_t len = 0;

  for (size_t i = 0; i < n; i++)
    len += (size_t)sprintf(text + len, "10.%zu.%zu.%zu/32\n", i >> 16, i >> 8 & 255, i << 1 & 255);
  write_file(text, len);
  free(text);
  fake_set("addrlists[block].file", file);
  open_lists();
  for (size_t i = 0; i < n; i += 999) {
    snprintf(address, sizeof address, "10.%zu.%zu.%zu", i >> 16, i >> 8 & 255, i << 1 & 255);
    from(address);
    ck_only(&t, SMTPF_HIT, "listed");
    snprintf(address, sizeof address, "10.%zu.%zu.%zu", i >> 16, i >> 8 & 255, (i << 1 & 255) + 1);
    from(address);
    ck_only(&t, SMTPF_CLEAR, "not-listed");
  }
  fake_close(&t);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* Every allocation on the way from the file to the trie refused: no list, or, where only its packing failed, a whole
 * one. */
START_TEST(file_without_memory)
{
  static const char text[] = "192.0.2.0/24\n198.51.100.7\n";
  long n, whole = 0;

  write_file(text, sizeof text - 1);
  fake_set("addrlists[block].file", file);
  open_lists();
  n = fake_count;
  fake_close(&t);
  for (long i = 1; i <= n; i++) {
    fake_reset();
    fake_set("addrlists[block].file", file);
    fake_fail_at = i;
    int r = fake_open(&t, &smtpf_check_addrlist, NULL);
    if (r == SMTPF_OK) {
      whole++;
      from("192.0.2.1");
      ck_finding(&t, 0, SMTPF_HIT, "listed");
      from("198.51.100.7");
      ck_finding(&t, 0, SMTPF_HIT, "listed");
      fake_close(&t);
    } else {
      ck_assert_int_eq(r, SMTPF_ENOMEM);
    }
    ck_assert_int_eq(fake_live, 0);
  }
  ck_assert_int_lt(whole, n);
}
END_TEST

START_TEST(bad_file)
{
  static const char text[] = "192.0.2.0/24\n# fine\n192.0.2.1/24\n";
  smtpf_error err = {.size = sizeof err};

  write_file(text, sizeof text - 1);
  fake_set("addrlists[block].file", file);
  ck_assert_int_eq(fake_open(&t, &smtpf_check_addrlist, &err), SMTPF_EPARSE);
  ck_assert_str_eq(err.file, file);
  ck_assert_int_eq(err.line, 3);
  ck_assert_int_eq(err.code, SMTPF_EPARSE);
  ck_assert_ptr_nonnull(strstr(err.text, "192.0.2.0/24"));
  ck_assert_int_eq(fake_open(&t, &smtpf_check_addrlist, NULL), SMTPF_EPARSE);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* A name that does not fit the error is cut, not overrun. */
START_TEST(long_name)
{
  char name[290] = "/tmp";
  smtpf_error err = {.size = sizeof err};
  size_t n = 4;

  write_file("bad\n", 4);
  while (n + sizeof file < 285) {
    memcpy(name + n, "/.", 2);
    n += 2;
  }
  memcpy(name + n, file + 4, sizeof file - 4);
  fake_set("addrlists[block].file", name);
  ck_assert_int_eq(fake_open(&t, &smtpf_check_addrlist, &err), SMTPF_EPARSE);
  ck_assert_uint_eq(strlen(err.file), sizeof err.file - 1);
  ck_assert_mem_eq(err.file, name, sizeof err.file - 1);
}
END_TEST

START_TEST(bad_policy)
{
  static const struct {
    const char *path, *value, *path2, *value2;
    int result;
    const char *told;
  } v[] = {
      {"addrlists[a].file", "/nonexistent/list", NULL, NULL, SMTPF_EIO, "/nonexistent/list"},
      {"addrlists[a].file", "/", NULL, NULL, SMTPF_EIO, "cannot read"},
      {"addrlists[a].entries", "192.0.2.1/24", NULL, NULL, SMTPF_EPARSE, "192.0.2.1/24"},
      {"addrlists[a].entries", "host.example", NULL, NULL, SMTPF_EPARSE, "entries"},
      {"addrlists[a].score", "1", NULL, NULL, SMTPF_EINVAL, "empty"},
      {"addrlists[a].score", "-1", "addrlists[a].refuse", "true", SMTPF_EINVAL, "negative"},
  };
  smtpf_error err = {.size = sizeof err};

  fake_set(v[_i].path, v[_i].value);
  if (v[_i].path2)
    fake_set(v[_i].path2, v[_i].value2);
  ck_assert_int_eq(fake_open(&t, &smtpf_check_addrlist, &err), v[_i].result);
  ck_assert_msg(strstr(err.text, v[_i].told) != NULL, "%s", err.text);
  ck_assert_int_eq(fake_live, 0);
}
END_TEST

/* ---- lists that others made (SMTPF_SHARED/data/lists-ip), against a linear scan ---- */

static smtpf_prefix prefixes[10000];
static size_t n_prefixes;

/* Reads a list the slow way, adds it to the policy as well; 0 when it is not there. */
static int list_of_others(const char *name)
{
  const char *shared = getenv("SMTPF_SHARED"), *root = getenv("top_srcdir");
  char path[600], option[100], line[200];
  FILE *f;

  if (shared)
    snprintf(path, sizeof path, "%s/data/lists-ip/%s", shared, name);
  else
    snprintf(path, sizeof path, "%s/../shared/data/lists-ip/%s", root ? root : ".", name);
  f = fopen(path, "r");
  if (!f)
    return 0;
  while (fgets(line, sizeof line, f) && n_prefixes < sizeof prefixes / sizeof prefixes[0])
    if (line[0] != '#' && line[0] != '\n') {
      smtpf_str text = {line, strcspn(line, " \r\n")};
      ck_assert_int_eq(smtpf_prefix_parse(text, &prefixes[n_prefixes++]), SMTPF_OK);
    }
  fclose(f);
  ck_assert_uint_lt(strlen(path), 300);
  snprintf(option, sizeof option, "addrlists[%s].file", name);
  fake_set(option, path);
  return 1;
}

static int scan(const smtpf_ip *ip)
{
  for (size_t i = 0; i < n_prefixes; i++)
    if (smtpf_prefix_contains(&prefixes[i], ip))
      return 1;
  return 0;
}

START_TEST(lists_of_others)
{
  size_t listed = 0, looked = 0;

  if (!list_of_others("ipsum-level4.txt") || !list_of_others("drop-excerpt.netset")) {
    printf("SKIP lists_of_others: no folder SMTPF_SHARED/data/lists-ip\n");
    return;
  }
  open_lists();
  for (size_t i = 0; i < n_prefixes; i++)
    for (int k = -1; k <= 1; k++, looked++) { /* the address and its neighbours */
      char text[SMTPF_IP_TEXT];
      smtpf_ip ip = prefixes[i].ip;
      ip.bytes[3] = (uint8_t)(ip.bytes[3] + k);
      smtpf_ip_format(&ip, text);
      from(text);
      ck_assert_msg(t.findings[0].kind == (scan(&ip) ? SMTPF_HIT : SMTPF_CLEAR), "%s", text);
      listed += t.findings[0].kind == SMTPF_HIT;
    }
  printf("%zu prefixes, %zu addresses, %zu of them listed\n", n_prefixes, looked, listed);
  ck_assert_uint_gt(listed, n_prefixes - 1);
  ck_assert_uint_lt(listed, looked);
  fake_close(&t);
}
END_TEST

START_TEST(idle)
{
  ck_assert_int_eq(fake_open(&t, &smtpf_check_addrlist, NULL), SMTPF_OK);
  ck_assert_ptr_null(t.self);
}
END_TEST

Suite *addrlist_suite(void)
{
  Suite *s = suite_create("check_addrlist");
  TCase *c = tcase_create("addrlist");
  tcase_set_timeout(c, 120);

  tcase_add_checked_fixture(c, fresh, done);
  tcase_add_test(c, entries);
  tcase_add_test(c, several);
  tcase_add_test(c, zero_score);
  tcase_add_test(c, exempt);
  tcase_add_test(c, from_file);
  tcase_add_test(c, big_file);
  tcase_add_test(c, file_without_memory);
  tcase_add_test(c, bad_file);
  tcase_add_test(c, long_name);
  tcase_add_loop_test(c, bad_policy, 0, 6);
  tcase_add_test(c, lists_of_others);
  tcase_add_test(c, idle);
  suite_add_tcase(s, c);
  return s;
}
