/* SPDX-License-Identifier: MIT
 *
 * suites: the suites of base and mail, and what they share.
 */
#ifndef SMTPF_TESTS_SUITES_H
#define SMTPF_TESTS_SUITES_H

#include <check.h>
#include <smtpfilter/types.h>
#include <stdlib.h>
#include <string.h>

Suite *smtpf_suite_base_cache(void);
Suite *smtpf_suite_base_memory(void);
Suite *smtpf_suite_base_record(void);
Suite *smtpf_suite_base_str(void);
Suite *smtpf_suite_mail_address(void);
Suite *smtpf_suite_mail_decode(void);
Suite *smtpf_suite_mail_domain(void);
Suite *smtpf_suite_mail_field(void);
Suite *smtpf_suite_mail_header(void);
Suite *smtpf_suite_mail_ip(void);
Suite *smtpf_suite_mail_mime(void);
Suite *smtpf_suite_mail_reply(void);
Suite *smtpf_suite_mail_trie(void);

/* A case of a suite: the tests that follow, up to NULL. */
static inline void add_case(Suite *suite, const char *name, const TTest *const *tests)
{
  TCase *c = tcase_create(name);
  tcase_set_timeout(c, 120);
  for (; *tests; tests++)
    tcase_add_test(c, *tests);
  suite_add_tcase(suite, c);
}

/* A string literal, NULs and all. */
#define S(literal) ((smtpf_str){(literal), sizeof(literal) - 1})

/* Fails unless the counted string is exactly the literal. */
#define ASSERT_STR(str, literal)                                                                                       \
  do {                                                                                                                 \
    smtpf_str got_ = (str);                                                                                            \
    ck_assert_msg(got_.n == sizeof(literal) - 1 && (got_.n == 0 || memcmp(got_.p, literal, got_.n) == 0),              \
                  "`%.*s` is not `%s`", (int)got_.n, got_.p ? got_.p : "", literal);                                   \
  } while (0)

/* ck_assert() notes each place it passes; in loops of many turns only a failure is worth that. */
#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      ck_abort_msg("%s", #condition);                                                                                  \
  } while (0)

/* xorshift64*: the same numbers in every run. */
static inline uint64_t next_random(uint64_t *state)
{
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 2685821657736338717u;
}

/* An allocator that gives out `left` blocks and then no more. */
struct miser {
  long left;   /* successful requests still to come */
  long blocks; /* blocks that are out */
};

static inline void *miser_realloc(void *user, void *p, size_t n)
{
  struct miser *m = user;
  if (m->left <= 0)
    return NULL;
  m->left--;
  void *q = realloc(p, n);
  m->blocks += q && !p;
  return q;
}

static inline void *miser_alloc(void *user, size_t n)
{
  return miser_realloc(user, NULL, n);
}

static inline void miser_free(void *user, void *p)
{
  struct miser *m = user;
  m->blocks -= p != NULL;
  free(p);
}

static inline smtpf_mem miser_mem(struct miser *m)
{
  return (smtpf_mem){sizeof(smtpf_mem), m, miser_alloc, miser_realloc, miser_free};
}

#endif
