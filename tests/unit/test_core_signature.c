/* SPDX-License-Identifier: MIT
 *
 * Signed addresses between policy, driver and session: what a policy must say, what a host may ask, and what becomes of
 * addresses while there is no crypto, or it fails.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "check/checks.h"
#include "core_world.h"
#include "port/port.h"
#include "port_run.h"
#include "suites.h"

static world W;
static int crypto_fails;

static int hmac(void *shared, int algorithm, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  smtpf_sha256 c;
  ck_assert_ptr_eq(shared, &W);
  ck_assert(algorithm == SMTPF_HMAC_SHA1 || algorithm == SMTPF_HMAC_SHA256);
  if (crypto_fails)
    return SMTPF_EIO;
  smtpf_sha256_init(&c);
  smtpf_sha256_add(&c, key.p, key.n);
  smtpf_sha256_add(&c, data.p, data.n);
  smtpf_sha256_end(&c, out);
  return SMTPF_OK;
}

static const smtpf_crypto crypto = {sizeof crypto, "fake", hmac};

static void with_crypto(void)
{
  world_init(&W);
  W.cfg->read_file = smtpf_file_read;
  W.ports.crypto = &crypto;
  W.ports.crypto_shared = &W;
  crypto_fails = 0;
  W.wall = INT64_C(20000) * 86400;
  world_append(&W, "local_domains", "example.net");
}

static void with_keys(void)
{
  with_crypto();
  world_set(&W, "srs.domain", "f.example.net");
  world_append(&W, "srs.keys", "a key of sixteen");
  world_append(&W, "batv.keys", "another, as long");
}

/* ---- what a host may ask --------------------------------------------------------------------------------------------
 */

static char out[SMTPF_ADDRESS_ROOM];
static size_t n;

START_TEST(a_host_asks)
{
  char wrapped[SMTPF_ADDRESS_ROOM];
  int signature = -1;
  with_keys();
  world_start(&W);
  ck_assert_int_eq(smtpf_srs_forward(W.driver, S("alice@a.example"), out, sizeof out, &n), SMTPF_OK);
  ck_assert(strncmp(out, "SRS0=", 5) == 0 && strlen(out) == n);
  memcpy(wrapped, out, n + 1);
  ck_assert_int_eq(smtpf_srs_reverse(W.driver, smtpf_str_of(wrapped), out, sizeof out, NULL, &signature), SMTPF_OK);
  ck_assert_str_eq(out, "alice@a.example");
  ck_assert_int_eq(signature, SMTPF_SIGNATURE_GOOD);
  ck_assert_int_eq(smtpf_srs_reverse(W.driver, smtpf_str_of(wrapped), out, 4, NULL, NULL), SMTPF_ELIMIT);
  static const char *const stay[] = {"", "bob@example.net", "bob@EXAMPLE.net", "x@f.example.net"};
  for (size_t i = 0; i < sizeof stay / sizeof *stay; i++) {
    ck_assert_int_eq(smtpf_srs_forward(W.driver, smtpf_str_of(stay[i]), out, sizeof out, &n), SMTPF_OK);
    ck_assert_str_eq(out, stay[i]);
  }
  ck_assert_int_eq(smtpf_srs_forward(W.driver, S("alice"), out, sizeof out, &n), SMTPF_EPARSE);
  W.wall += INT64_C(22) * 86400;
  ck_assert_int_eq(smtpf_srs_reverse(W.driver, smtpf_str_of(wrapped), out, sizeof out, &n, &signature),
                   SMTPF_ENOTFOUND);
  ck_assert_int_eq(signature, SMTPF_SIGNATURE_EXPIRED);
  crypto_fails = 1;
  ck_assert_int_eq(smtpf_srs_reverse(W.driver, smtpf_str_of(wrapped), out, sizeof out, &n, &signature), SMTPF_EIO);
  ck_assert_int_eq(signature, SMTPF_SIGNATURE_EXPIRED);
  world_end(&W);
}
END_TEST

START_TEST(a_host_signs)
{
  char tagged[SMTPF_ADDRESS_ROOM];
  int signature = -1;
  with_keys();
  world_start(&W);
  ck_assert_int_eq(smtpf_batv_sign(W.driver, S("bob@example.net"), out, sizeof out, &n), SMTPF_OK);
  ck_assert_uint_eq(n, strlen("prvs=KDDDSSSSSS=bob@example.net"));
  memcpy(tagged, out, n + 1);
  W.wall += 80000; /* the same for all of the day */
  ck_assert_int_eq(smtpf_batv_sign(W.driver, S("bob@example.net"), out, sizeof out, &n), SMTPF_OK);
  ck_assert_str_eq(out, tagged);
  ck_assert_int_eq(smtpf_batv_verify(W.driver, smtpf_str_of(tagged), out, sizeof out, &n, &signature), SMTPF_OK);
  ck_assert_str_eq(out, "bob@example.net");
  ck_assert_int_eq(smtpf_batv_sign(W.driver, S(""), out, sizeof out, &n), SMTPF_OK);
  ck_assert_uint_eq(n, 0);
  ck_assert_int_eq(smtpf_batv_verify(W.driver, S("bob@example.net"), out, sizeof out, &n, &signature), SMTPF_ENOTFOUND);
  ck_assert_int_eq(signature, SMTPF_SIGNATURE_NONE);
  world_end(&W);
}
END_TEST

START_TEST(without_keys)
{
  with_crypto();
  world_start(&W);
  ck_assert_int_eq(smtpf_srs_forward(W.driver, S("a@a.example"), out, sizeof out, &n), SMTPF_EUNSUPPORTED);
  ck_assert_int_eq(smtpf_srs_reverse(W.driver, S("a@a.example"), out, sizeof out, &n, NULL), SMTPF_EUNSUPPORTED);
  ck_assert_int_eq(smtpf_batv_sign(W.driver, S("a@a.example"), out, sizeof out, &n), SMTPF_EUNSUPPORTED);
  ck_assert_int_eq(smtpf_batv_verify(W.driver, S("a@a.example"), out, sizeof out, &n, NULL), SMTPF_EUNSUPPORTED);
  world_end(&W);
}
END_TEST

/* ---- no crypto, or it fails
 * ------------------------------------------------------------------------------------------ */

START_TEST(keys_need_crypto)
{
  with_keys();
  W.ports.crypto = NULL;
  ck_assert_int_eq(world_try_start(&W), SMTPF_EUNSUPPORTED);
  ck_assert_ptr_nonnull(strstr(world_last_log(&W, "no-crypto"), "no crypto port"));
  world_end(&W);
}
END_TEST

static int send_to(smtpf_session *s, const char *recipient)
{
  ck_assert_int_eq(smtpf_session_rcpt(s, smtpf_str_of(recipient), S("")), SMTPF_OK);
  return world_code(s);
}

START_TEST(what_cannot_be_checked_is_put_off)
{
  char to[SMTPF_ADDRESS_ROOM + 2];
  with_keys();
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &smtpf_check_relay), SMTPF_OK);
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &smtpf_check_signed_address), SMTPF_OK);
  world_start(&W);
  ck_assert_int_eq(smtpf_srs_forward(W.driver, S("alice@a.example"), out, sizeof out, &n), SMTPF_OK);
  snprintf(to, sizeof to, "<%s>", out);
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(send_to(s, to), 250);
  crypto_fails = 1;
  ck_assert_int_eq(send_to(s, to), 451);
  ck_assert_int_eq(send_to(s, "<prvs=0123abcdef=bob@example.net>"), 451);
  ck_assert_int_eq(send_to(s, "<bob@example.net>"), 250);
  crypto_fails = 0;
  ck_assert_int_eq(send_to(s, "<prvs=0123abcdef=bob@example.net>"), 550);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

/* A reload that brings keys to a driver without crypto is told, and no mail is refused for it. */
START_TEST(keys_that_come_later)
{
  smtpf_engine *later = NULL;
  with_crypto();
  W.ports.crypto = NULL;
  world_start(&W);
  world_append(&W, "batv.keys", "another, as long");
  ck_assert_int_eq(smtpf_config_add_check(W.cfg, &smtpf_check_signed_address), SMTPF_OK);
  ck_assert_int_eq(smtpf_engine_new(&later, W.cfg, NULL), SMTPF_OK);
  smtpf_driver_set_engine(W.driver, later);
  smtpf_engine_unref(later);
  ck_assert_str_ne(world_last_log(&W, "no-crypto"), "");
  smtpf_session *s = world_greeted(&W, 0);
  ck_assert_int_eq(world_mail(s, "<>"), SMTPF_OK);
  ck_assert_int_eq(send_to(s, "<prvs=0123abcdef=bob@example.net>"), 451);
  ck_assert_int_eq(send_to(s, "<bob@example.net>"), 250);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

/* ---- policies
 * --------------------------------------------------------------------------------------------------------- */

START_TEST(policies_that_do_not_load)
{
  static const struct {
    const char *settings[3][2];
    const char *text;
  } cases[] = {
      {{{"srs.domain", "f.example.net"}}, "is not enough"},
      {{{"srs.keys", "a key of sixteen"}}, "is not enough"},
      {{{"srs.domain", "f.example.net"}, {"srs.keys", "not of sixteen."}}, "a key is too short"},
      {{{"srs.domain", "localhost"}, {"srs.keys", "a key of sixteen"}}, "not a domain"},
      {{{"srs.domain", "f.example.net"}, {"srs.keys", "a key of sixteen"}, {"srs.hash_min", "5"}}, "is more than"},
      {{{"batv.keys", "not of sixteen."}}, "a key is too short"},
      {{{"batv.key_file", "/nowhere/at/all"}}, "cannot be read"},
      {{{"batv.key_file", "/"}}, "cannot be read"},
      {{{"batv.key_file", "/dev/null"}}, "holds no key"},
      {{{"batv.key_file", "/dev/zero"}}, "cannot be read"},
      {{{"batv.exempt", "nobody"}}, "not an address"},
      {{{"batv.exempt", "@"}}, "not an address"},
  };
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  with_crypto();
  for (size_t i = 0; i < 3 && cases[_i].settings[i][0]; i++)
    world_set(&W, cases[_i].settings[i][0], cases[_i].settings[i][1]);
  ck_assert_int_ne(smtpf_engine_new(&engine, W.cfg, &err), SMTPF_OK);
  ck_assert_msg(strstr(err.text, cases[_i].text), "%s", err.text);
  ck_assert_ptr_null(strstr(err.text, "sixteen")); /* never the key itself */
  world_end(&W);
}
END_TEST

static char path[] = "/tmp/test_core_signature.XXXXXX";

static void warned(void *user, const char *file, int line, smtpf_str text)
{
  (void)file;
  (void)line;
  ck_assert_msg(text.n < 400, "%.*s", (int)text.n, text.p);
  ++*(int *)user;
}

START_TEST(keys_of_a_file)
{
  static const struct {
    mode_t mode;
    int warnings;
  } modes[] = {{0600, 0}, {0640, 0}, {0644, 1}, {0660, 1}};
  char name[sizeof path];
  int warnings = 0;
  memcpy(name, path, sizeof path);
  const int fd = mkstemp(name);
  static const char text[] = "# the first one signs\n\n  a key of the file's  \r\nthe one before that\n";
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, text, sizeof text - 1), (int)sizeof text - 1);
  ck_assert_int_eq(fchmod(fd, modes[_i].mode), 0);
  close(fd);
  with_crypto();
  world_append(&W, "batv.keys", "one of the policy");
  world_set(&W, "batv.key_file", name);
  world_start(&W);
  unlink(name);
  const smtpf_signer *s = &W.engine->signing.prvs.signer;
  ck_assert_uint_eq(s->n, 3);
  ASSERT_STR(s->keys[0], "one of the policy");
  ASSERT_STR(s->keys[1], "a key of the file's");
  ASSERT_STR(s->keys[2], "the one before that");
  smtpf_engine_lint_keys(W.engine, warned, &warnings);
  ck_assert_int_eq(warnings, modes[_i].warnings);
  ck_assert_int_eq(*world_last_log(&W, "policy") != 0, modes[_i].warnings);
  world_end(&W);
}
END_TEST

START_TEST(wishes_without_keys)
{
  int warnings = 0;
  with_crypto();
  world_set(&W, "profiles[\"default\"].batv", "true");
  world_start(&W);
  ck_assert_uint_ge(smtpf_engine_lint(W.engine, ~0u, warned, &warnings), 1);
  world_end(&W);
}
END_TEST

/* ---- the port
 * --------------------------------------------------------------------------------------------------------- */

/* RFC 2202 test cases 1 to 3, RFC 4231 test case 2. */
START_TEST(hmac_of_libcrypto)
{
  const smtpf_crypto *c = smtpf_crypto_openssl();
  unsigned char mac[32];
  static const char key[21] = "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b";
  if (!c) {
    printf("SKIP hmac_of_libcrypto: this build has no libcrypto\n");
    return;
  }
  ck_assert_int_eq(c->hmac(NULL, SMTPF_HMAC_SHA1, (smtpf_str){key, 20}, S("Hi There"), mac), SMTPF_OK);
  ck_assert_mem_eq(mac, "\xb6\x17\x31\x86\x55\x05\x72\x64\xe2\x8b\xc0\xb6\xfb\x37\x8c\x8e\xf1\x46\xbe\x00", 20);
  ck_assert_int_eq(c->hmac(NULL, SMTPF_HMAC_SHA1, S("Jefe"), S("what do ya want for nothing?"), mac), SMTPF_OK);
  ck_assert_mem_eq(mac, "\xef\xfc\xdf\x6a\xe5\xeb\x2f\xa2\xd2\x74\x16\xd5\xf1\x84\xdf\x9c\x25\x9a\x7c\x79", 20);
  ck_assert_int_eq(c->hmac(NULL, SMTPF_HMAC_SHA256, S("Jefe"), S("what do ya want for nothing?"), mac), SMTPF_OK);
  ck_assert_mem_eq(mac,
                   "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
                   "\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43",
                   32);
  ck_assert_int_eq(c->hmac(NULL, SMTPF_HMAC_SHA1, S(""), S(""), mac), SMTPF_OK);
  ck_assert_mem_eq(mac, "\xfb\xdb\x1d\x1b\x18\xaa\x6c\x08\x32\x4b\x7d\x64\xb7\x1f\xb7\x63\x70\x69\x0e\x1d", 20);
  ck_assert_int_eq(c->hmac(NULL, 3, S("k"), S("d"), mac), SMTPF_EIO);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("core_signature");
  TCase *c = tcase_create("signature");
  tcase_add_test(c, a_host_asks);
  tcase_add_test(c, a_host_signs);
  tcase_add_test(c, without_keys);
  tcase_add_test(c, keys_need_crypto);
  tcase_add_test(c, what_cannot_be_checked_is_put_off);
  tcase_add_test(c, keys_that_come_later);
  tcase_add_loop_test(c, policies_that_do_not_load, 0, 12);
  tcase_add_loop_test(c, keys_of_a_file, 0, 4);
  tcase_add_test(c, wishes_without_keys);
  tcase_add_test(c, hmac_of_libcrypto);
  suite_add_tcase(s, c);
  return port_run(s);
}
