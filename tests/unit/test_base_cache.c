/* SPDX-License-Identifier: MIT
 *
 * base: the cache, and the hash its keys are made of elsewhere.
 */
#include <stdio.h>
#include <string.h>

#include "base/cache.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "suites.h"

/* ---- cache ---- */

typedef struct thing {
  smtpf_cached cached;
  char name[4];
} thing;

static const uint64_t seed[2] = {3, 4};

static smtpf_str key_of(const thing *t)
{
  return (smtpf_str){t->name, strlen(t->name)};
}

static thing *make(const smtpf_mem *mem, const char *name)
{
  thing *t = smtpf_mem_zalloc(mem, sizeof *t);
  ck_assert_ptr_nonnull(t);
  memcpy(t->name, name, strlen(name));
  smtpf_cached_init(&t->cached, key_of(t));
  return t;
}

static void put(smtpf_cache *c, const char *name, uint64_t expires, size_t most)
{
  thing *t = make(c->mem, name);
  smtpf_cache_keep(c, &t->cached, expires, most);
  smtpf_cache_release(c, &t->cached);
}

static int has(smtpf_cache *c, const char *name, uint64_t now)
{
  smtpf_cached *e = smtpf_cache_get(c, (smtpf_str){name, strlen(name)}, now);
  smtpf_cache_release(c, e);
  return e != NULL;
}

START_TEST(it_forgets_what_is_old_and_what_is_too_much)
{
  smtpf_cache c;
  smtpf_cache_init(&c, &smtpf_mem_default, seed);
  put(&c, "a", 100, 2);
  put(&c, "b", 100, 2);
  ck_assert(has(&c, "a", 99)); /* used: b is now the oldest */
  put(&c, "c", 200, 2);
  ck_assert(has(&c, "a", 99));
  ck_assert(!has(&c, "b", 99));
  ck_assert(!has(&c, "a", 100)); /* expired */
  ck_assert(has(&c, "c", 199));
  put(&c, "c", 300, 2); /* again: the newer one counts, and there is one */
  ck_assert(has(&c, "c", 250));
  ck_assert_uint_eq(c.map.n, 1);
  put(&c, "d", 300, 0); /* nothing may be kept */
  ck_assert(!has(&c, "d", 0));
  smtpf_cache_free(&c);
}
END_TEST

START_TEST(who_holds_a_thing_keeps_it)
{
  smtpf_cache c;
  smtpf_cache_init(&c, &smtpf_mem_default, seed);
  put(&c, "a", 100, 1);
  smtpf_cached *held = smtpf_cache_get(&c, SMTPF_LIT("a"), 0);
  put(&c, "b", 100, 1);
  ck_assert(!has(&c, "a", 0));
  ck_assert_str_eq(SMTPF_OF(held, thing, cached)->name, "a"); /* valgrind and ASan look here */
  smtpf_cache_release(&c, held);
  smtpf_cache_release(&c, NULL);
  smtpf_cache_free(&c);
}
END_TEST

/* ---- sha256: the examples of FIPS 180-4 and of NIST's test vectors ---- */

static void hex(const unsigned char digest[SMTPF_SHA256_BYTES], char out[65])
{
  for (size_t i = 0; i < SMTPF_SHA256_BYTES; i++) {
    out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  out[64] = '\0';
}

static void expect_digest(const char *bytes, size_t n, size_t times, const char *expected)
{
  unsigned char digest[SMTPF_SHA256_BYTES];
  char text[65];
  smtpf_sha256 c;
  smtpf_sha256_init(&c);
  for (size_t i = 0; i < times; i++)
    smtpf_sha256_add(&c, bytes, n);
  smtpf_sha256_end(&c, digest);
  hex(digest, text);
  ck_assert_str_eq(text, expected);
}

START_TEST(known_digests)
{
  char million[1000];
  memset(million, 'a', sizeof million);
  expect_digest("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  expect_digest("abc", 3, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, 1,
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  expect_digest(million, sizeof million, 1000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
END_TEST

START_TEST(however_it_is_cut)
{
  char bytes[200];
  unsigned char whole[SMTPF_SHA256_BYTES], cut[SMTPF_SHA256_BYTES];
  smtpf_sha256 c;
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)(i * 7);
  for (size_t n = 0; n <= sizeof bytes; n++) {
    smtpf_sha256_init(&c);
    smtpf_sha256_add(&c, bytes, n);
    smtpf_sha256_end(&c, whole);
    for (size_t at = 0; at <= n; at++) {
      smtpf_sha256_init(&c);
      smtpf_sha256_add(&c, bytes, at);
      smtpf_sha256_add(&c, bytes + at, n - at);
      smtpf_sha256_end(&c, cut);
      if (memcmp(whole, cut, sizeof cut) != 0)
        ck_abort_msg("%zu bytes cut at %zu", n, at);
    }
  }
}
END_TEST

/* Whichever way the processor allows, the digest is one. */
START_TEST(native_as_portable)
{
  unsigned char bytes[9 * SMTPF_SHA256_BLOCK];
  uint32_t x = 1;
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
  for (size_t blocks = 0; blocks < 9; blocks++)
    for (size_t at = 0; at < SMTPF_SHA256_BLOCK; at++) {
      uint32_t native[8], portable[8];
      for (size_t i = 0; i < 8; i++)
        native[i] = portable[i] = (x = x * 1664525 + 1013904223);
      if (!smtpf_sha256_native(native, bytes + at, blocks)) {
        puts("SKIP this processor has no instructions for SHA-256");
        return;
      }
      smtpf_sha256_portable(portable, bytes + at, blocks);
      ck_assert_mem_eq(native, portable, sizeof native);
    }
}
END_TEST

Suite *smtpf_suite_base_cache(void)
{
  Suite *s = suite_create("base_cache");
  TCase *c = tcase_create("cache");
  tcase_add_test(c, it_forgets_what_is_old_and_what_is_too_much);
  tcase_add_test(c, who_holds_a_thing_keeps_it);
  suite_add_tcase(s, c);
  TCase *h = tcase_create("sha256");
  tcase_add_test(h, known_digests);
  tcase_add_test(h, however_it_is_cut);
  tcase_add_test(h, native_as_portable);
  suite_add_tcase(s, h);
  return s;
}
