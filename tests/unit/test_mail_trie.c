/* SPDX-License-Identifier: MIT
 *
 * The prefix trie against a linear scan, and without memory.
 */
#include <smtpfilter/ext/mail.h>
#include <stdio.h>

#include "suites.h"

enum { MANY = 1200 };

static smtpf_prefix made[MANY];
static uint32_t values[MANY];
static size_t n_made;

static smtpf_prefix cut(smtpf_ip ip, unsigned len)
{
  for (unsigned b = len; b < (ip.family == 4 ? 32u : 128u); b++)
    ip.bytes[b / 8] &= (uint8_t) ~(0x80 >> b % 8);
  return (smtpf_prefix){ip, (uint8_t)len};
}

/* The longest prefix made so far that contains the address: by looking at all of them. */
static const smtpf_prefix *scan(const smtpf_ip *ip, uint32_t *value)
{
  const smtpf_prefix *best = NULL;
  for (size_t i = 0; i < n_made; i++)
    if (smtpf_prefix_contains(&made[i], ip) && (!best || made[i].len > best->len)) {
      best = &made[i];
      *value = values[i];
    }
  return best;
}

static int same(const smtpf_prefix *a, const smtpf_prefix *b)
{
  return a->len == b->len && smtpf_ip_equal(&a->ip, &b->ip);
}

static void check_address(const smtpf_trie *t, const smtpf_ip *ip)
{
  uint32_t want = 0, value = 0;
  smtpf_prefix match;
  const smtpf_prefix *best = scan(ip, &want);
  int found = smtpf_trie_find(t, ip, &value, &match);
  if (found == (best != NULL) && (!best || (same(best, &match) && value == want)) &&
      smtpf_trie_find(t, ip, NULL, NULL) == found)
    return;
  char text[SMTPF_IP_TEXT];
  smtpf_ip_format(ip, text);
  ck_abort_msg("%s", text);
}

/* The first and last address of a prefix and their neighbours outside, and one within. */
static void check_edges(const smtpf_trie *t, const smtpf_prefix *p, uint64_t *seed)
{
  const unsigned bits = p->ip.family == 4 ? 32 : 128;
  smtpf_ip first = p->ip, last = p->ip, within = p->ip;
  for (unsigned b = p->len; b < bits; b++) {
    last.bytes[b / 8] |= (uint8_t)(0x80 >> b % 8);
    if (next_random(seed) & 1)
      within.bytes[b / 8] |= (uint8_t)(0x80 >> b % 8);
  }
  smtpf_ip before = first, after = last;
  for (int i = (int)bits / 8 - 1; i >= 0 && before.bytes[i]-- == 0; i--)
    ;
  for (int i = (int)bits / 8 - 1; i >= 0 && ++after.bytes[i] == 0; i--)
    ;
  const smtpf_ip *all[] = {&first, &last, &within, &before, &after};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    check_address(t, all[i]);
}

/* A random address whose bits are mostly those of an earlier one, so that prefixes nest and share long ways. */
static smtpf_ip related(int family, uint64_t *seed)
{
  smtpf_ip ip = {.family = (uint8_t)family};
  const unsigned bits = family == 4 ? 32 : 128;
  if (n_made && next_random(seed) % 4)
    for (int tries = 0; tries < 8 && ip.bytes[0] == 0; tries++) {
      const smtpf_prefix *p = &made[next_random(seed) % n_made];
      if (p->ip.family == family)
        ip = p->ip;
    }
  unsigned from = (unsigned)(next_random(seed) % bits);
  for (unsigned b = from; b < bits; b++)
    if (next_random(seed) & 1)
      ip.bytes[b / 8] ^= (uint8_t)(0x80 >> b % 8);
  return ip;
}

static void fill(smtpf_trie *t, size_t n, uint64_t *seed)
{
  for (n_made = 0; n_made < n;) {
    int family = next_random(seed) % 2 ? 4 : 6;
    unsigned len = (unsigned)(next_random(seed) % (family == 4 ? 33 : 129));
    smtpf_prefix p = cut(related(family, seed), len);
    uint32_t value = (uint32_t)next_random(seed);
    size_t i = 0;
    while (i < n_made && !same(&made[i], &p))
      i++;
    MUST(smtpf_trie_add(t, &p, value) == SMTPF_OK);
    made[i] = p;
    values[i] = value;
    n_made += i == n_made;
    MUST(smtpf_trie_count(t) == n_made);
  }
}

START_TEST(agrees_with_a_linear_scan)
{
  const size_t sizes[] = {1, 2, 3, 10, 100, 400, MANY};
  for (size_t round = 0; round < 70; round++) {
    size_t n = sizes[round % 7];
    if (n > 100 && round > 6)
      continue;
    uint64_t seed = 1000 + round;
    smtpf_trie *t;
    ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
    fill(t, n, &seed);
    for (size_t i = 0; i < n_made; i++)
      check_edges(t, &made[i], &seed);
    for (int i = 0; i < 500; i++) {
      smtpf_ip ip = related(i % 2 ? 4 : 6, &seed);
      check_address(t, &ip);
    }
    smtpf_trie_free(t);
  }
}
END_TEST

/* All prefixes of one short range, in an order that goes up and down: every bitmap full. */
START_TEST(every_prefix_of_a_range)
{
  for (int family = 4; family <= 6; family += 2) {
    const unsigned end = family == 4 ? 32 : 128, order[] = {0, 9, 1, 8, 2, 7, 3, 6, 4, 5};
    smtpf_trie *t;
    ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
    n_made = 0;
    for (unsigned step = 0; step < 10; step++) {
      unsigned len = end - order[step];
      for (unsigned i = 0; i < 1u << (len - (end - 9)); i++) {
        smtpf_ip ip = {.family = (uint8_t)family, .bytes = {32, 1, 12, 184}};
        unsigned low = i << (end - len);
        ip.bytes[end / 8 - 2] |= (uint8_t)(low >> 8);
        ip.bytes[end / 8 - 1] = (uint8_t)low;
        made[n_made] = cut(ip, len);
        values[n_made] = (uint32_t)n_made;
        ck_assert_int_eq(smtpf_trie_add(t, &made[n_made], (uint32_t)n_made), SMTPF_OK);
        n_made++;
      }
    }
    ck_assert_uint_eq(smtpf_trie_count(t), n_made);
    uint64_t seed = 9;
    for (size_t i = 0; i < n_made; i++)
      check_edges(t, &made[i], &seed);
    smtpf_trie_free(t);
  }
}
END_TEST

START_TEST(empty_whole_and_illegal)
{
  smtpf_trie *t;
  smtpf_ip ip = {.family = 4, .bytes = {192, 0, 2, 1}}, none = {0};
  smtpf_prefix all4 = {{.family = 4}, 0}, all6 = {{.family = 6}, 0}, match;
  uint32_t value;
  ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_trie_find(t, &ip, &value, NULL), 0);
  ck_assert_int_eq(smtpf_trie_add(t, &all6, 6), SMTPF_OK);
  ck_assert_int_eq(smtpf_trie_find(t, &ip, &value, NULL), 0);
  ck_assert_int_eq(smtpf_trie_add(t, &all4, 4), SMTPF_OK);
  ck_assert_int_eq(smtpf_trie_find(t, &ip, &value, &match), 1);
  ck_assert(value == 4 && match.len == 0 && match.ip.family == 4);
  ck_assert_int_eq(smtpf_trie_find(t, &none, &value, NULL), 0);
  all4.len = 33;
  ck_assert_int_eq(smtpf_trie_add(t, &all4, 1), SMTPF_EINVAL);
  all6.len = 129;
  ck_assert_int_eq(smtpf_trie_add(t, &all6, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_trie_add(t, &(smtpf_prefix){0}, 1), SMTPF_EINVAL);
  ck_assert_uint_eq(smtpf_trie_count(t), 2);
  ck_assert_uint_lt(smtpf_trie_memory(t), 4096);
  smtpf_trie_free(t);
  smtpf_trie_free(NULL);
}
END_TEST

/* The i-th request fails, for every i: what was added before stays, nothing is half there, nothing leaks. */
START_TEST(without_memory)
{
  long failures = 0;
  for (long left = 0;; left++) {
    struct miser m = {.left = left};
    const smtpf_mem mem = miser_mem(&m);
    uint64_t seed = 77;
    smtpf_trie *t = NULL;
    int r = smtpf_trie_new(&t, &mem);
    for (n_made = 0; r == SMTPF_OK && n_made < 200; n_made++) {
      const unsigned i = (unsigned)n_made;
      made[i] = cut(related(i % 2 ? 4 : 6, &seed), i % 2 ? 9 + i % 24 : 30 + i % 99);
      values[n_made] = (uint32_t)n_made;
      size_t count = smtpf_trie_count(t);
      r = smtpf_trie_add(t, &made[n_made], values[n_made]);
      if (r == SMTPF_OK) /* an equal one was replaced */
        for (size_t k = 0; k < n_made; k++)
          if (same(&made[k], &made[n_made]))
            values[k] = values[n_made];
      if (r != SMTPF_OK) {
        ck_assert_uint_eq(smtpf_trie_count(t), count);
        for (size_t k = 0; k < n_made; k++)
          check_edges(t, &made[k], &seed);
        break;
      }
    }
    smtpf_trie_free(t);
    ck_assert_int_eq(m.blocks, 0);
    if (r == SMTPF_OK)
      break;
    ck_assert_int_eq(r, SMTPF_ENOMEM);
    failures++;
  }
  ck_assert_int_gt(failures, 20);
}
END_TEST

START_TEST(texts)
{
  smtpf_trie *t;
  size_t line = 99;
  smtpf_ip ip = {.family = 4, .bytes = {192, 0, 2, 200}};
  uint32_t value;
  ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_trie_add_text(t,
                                       S("# comment\r\n\r\n; another\n192.0.2.0/24 ; SBL1\r\n  198.51.100.7\tnote\n"
                                         "2001:db8::/32#x\n203.0.113.0/24"),
                                       7, &line),
                   SMTPF_OK);
  ck_assert_uint_eq(smtpf_trie_count(t), 4);
  ck_assert_uint_eq(line, 99);
  ck_assert_int_eq(smtpf_trie_find(t, &ip, &value, NULL), 1);
  ck_assert_uint_eq(value, 7);
  ck_assert_int_eq(smtpf_trie_add_text(t, S("\n192.0.2.1\nmail.example\n"), 8, &line), SMTPF_EPARSE);
  ck_assert_uint_eq(line, 3);
  ck_assert_int_eq(smtpf_trie_add_text(t, S("192.0.2.1/24"), 8, NULL), SMTPF_EPARSE);
  ck_assert_int_eq(smtpf_trie_add_text(t, S(""), 8, &line), SMTPF_OK);
  smtpf_trie_free(t);
}
END_TEST

/* Some of the prefixes made, as a text. */
static smtpf_str text_of(size_t from, size_t to)
{
  static char text[MANY * SMTPF_IP_TEXT];
  size_t n = 0;
  for (size_t i = from; i < to; i++) {
    n += smtpf_prefix_format(&made[i], text + n);
    text[n++] = '\n';
  }
  return (smtpf_str){text, n};
}

/* The end of a text packs the trie: what it says stays the same, it takes less, and it can grow again. */
START_TEST(packing)
{
  uint64_t seed = 31;
  smtpf_trie *t, *loose;
  ck_assert_int_eq(smtpf_trie_new(&loose, NULL), SMTPF_OK);
  fill(loose, MANY, &seed);
  ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
  for (size_t i = 0; i < MANY; i++)
    values[i] = 7;
  const size_t half = MANY / 2;
  ck_assert_int_eq(smtpf_trie_add_text(t, text_of(0, half), 7, NULL), SMTPF_OK);
  n_made = half;
  for (size_t i = 0; i < half; i += 5)
    check_edges(t, &made[i], &seed);
  ck_assert_int_eq(smtpf_trie_add_text(t, text_of(half, MANY), 7, NULL), SMTPF_OK);
  n_made = MANY;
  ck_assert_uint_eq(smtpf_trie_count(t), MANY);
  for (size_t i = 0; i < MANY; i += 5)
    check_edges(t, &made[i], &seed);
  ck_assert_uint_lt(smtpf_trie_memory(t), smtpf_trie_memory(loose));
  smtpf_trie_free(t);
  smtpf_trie_free(loose);
}
END_TEST

/* Packing that fails at its i-th request leaves the trie as it was. */
START_TEST(packing_without_memory)
{
  uint64_t seed = 32;
  for (long left = 0; left < 8; left++) {
    struct miser m = {.left = 1000000};
    const smtpf_mem mem = miser_mem(&m);
    smtpf_trie *t;
    ck_assert_int_eq(smtpf_trie_new(&t, &mem), SMTPF_OK);
    fill(t, 300, &seed);
    const size_t before = smtpf_trie_memory(t);
    m.left = left;
    ck_assert_int_eq(smtpf_trie_add_text(t, S("# nothing new\n"), 7, NULL), SMTPF_OK);
    ck_assert(left < 4 ? smtpf_trie_memory(t) == before : smtpf_trie_memory(t) < before);
    for (size_t i = 0; i < n_made; i++)
      check_edges(t, &made[i], &seed);
    smtpf_trie_free(t);
    ck_assert_int_eq(m.blocks, 0);
  }
}
END_TEST

/* Real lists, from the folder that SMTPF_SHARED names: each entry is found, and its neighbours as the text says. */
START_TEST(real_lists)
{
  const char *names[] = {"ipsum-level4.txt", "ipsum-level7.txt", "drop-excerpt.netset"};
  const char *shared = getenv("SMTPF_SHARED"), *source = getenv("top_srcdir");
  char folder[1024], path[1200];
  static char text[1 << 20];
  if (shared)
    snprintf(folder, sizeof folder, "%s/data/lists-ip", shared);
  else
    snprintf(folder, sizeof folder, "%s/../shared/data/lists-ip", source ? source : ".");
  size_t checked = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    FILE *f = fopen(path, "rb");
    if (!f) {
      printf("SKIP no %s below SMTPF_SHARED\n", names[i]);
      continue;
    }
    size_t n = fread(text, 1, sizeof text, f), line;
    fclose(f);
    smtpf_trie *t;
    ck_assert_int_eq(smtpf_trie_new(&t, NULL), SMTPF_OK);
    ck_assert_int_eq(smtpf_trie_add_text(t, (smtpf_str){text, n}, 1, &line), SMTPF_OK);
    n_made = 0;
    char *save = text;
    text[n < sizeof text ? n : sizeof text - 1] = '\0';
    for (char *p; (p = save) && *p;) {
      save = strchr(p, '\n');
      if (save)
        *save++ = '\0';
      p[strcspn(p, " \t\r;#")] = '\0';
      smtpf_prefix prefix;
      if (smtpf_prefix_parse(smtpf_str_of(p), &prefix) != SMTPF_OK)
        continue;
      checked++;
      if (n_made < MANY) {
        made[n_made] = prefix;
        values[n_made++] = 1;
      }
      ck_assert_int_eq(smtpf_trie_find(t, &prefix.ip, NULL, NULL), 1);
    }
    if (smtpf_trie_count(t) == n_made) { /* all of it fits the linear scan */
      uint64_t seed = 5;
      for (size_t k = 0; k < n_made; k++)
        check_edges(t, &made[k], &seed);
    }
    smtpf_trie_free(t);
  }
  printf("real lists: %zu entries looked up\n", checked);
}
END_TEST

Suite *smtpf_suite_mail_trie(void)
{
  Suite *s = suite_create("mail trie");
  const TTest *model[] = {agrees_with_a_linear_scan, every_prefix_of_a_range, empty_whole_and_illegal, NULL};
  const TTest *others[] = {without_memory, texts, packing, packing_without_memory, real_lists, NULL};
  add_case(s, "model", model);
  add_case(s, "memory, texts", others);
  return s;
}
