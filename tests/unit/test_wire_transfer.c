/* SPDX-License-Identifier: MIT
 *
 * Who owns the copies: every sequence of replies for up to three recipients against the rules, read off the whole
 * sequence instead of followed reply by reply; and conversations as servers have them, in pieces.
 */
#include <stdio.h>

#include "wire_suites.h"

/* ---- the rules ---------------------------------------------------------------------------------- */

enum { N_MAX = 3, LENGTH_MAX = N_MAX + 3 };

/* A sequence of replies so far. */
struct story {
  int kind, codes[LENGTH_MAX];
  size_t n, length;
};

static int each_then_final(const struct story *s)
{
  return s->kind == SMTPF_TRANSFER_PRDR && s->length && s->codes[0] == 353;
}

static int each_only(const struct story *s)
{
  return s->kind == SMTPF_TRANSFER_LMTP && s->n;
}

static size_t replies_due(const struct story *s)
{
  return each_then_final(s) ? s->n + 2 : each_only(s) ? s->n : 1;
}

/* The first digit of the reply at a place, 0 where there is none. */
static int digit(const struct story *s, size_t at)
{
  return at < s->length ? s->codes[at] / 100 : 0;
}

static int own_digit(const struct story *s, size_t i)
{
  return each_then_final(s) ? digit(s, i + 1) : each_only(s) ? digit(s, i) : 0;
}

static int final_digit(const struct story *s)
{
  return each_then_final(s) ? digit(s, s->n + 1) : each_only(s) ? 0 : digit(s, 0);
}

/* The place of the first reply that cannot come there. */
static size_t out_of_step(const struct story *s)
{
  for (size_t k = 0; k < s->length; k++)
    if (digit(s, k) == 3 && !(k == 0 && each_then_final(s)))
      return k;
  return LENGTH_MAX;
}

enum { T = SMTPF_FATE_TAKEN, D = SMTPF_FATE_DEFERRED, R = SMTPF_FATE_REFUSED, O = SMTPF_FATE_OPEN };

/* What is known of recipient `i`. `over`: no reply will come any more. */
static int fate(const struct story *s, size_t i, int over)
{
  /* [own][final], each: none, 2xx, 4xx, 5xx */
  static const int smtp[4] = {O, T, D, R}, lmtp[4] = {O, T, D, R};
  static const int prdr[4][4] = {{O, T, D, R}, {O, T, D, R}, {D, D, D, D}, {R, R, R, R}};
  static const int place[6] = {0, 0, 1, 0, 2, 3};
  int own = place[own_digit(s, i)], final = place[final_digit(s)];
  int f = s->kind == SMTPF_TRANSFER_PRDR ? prdr[own][final] : each_only(s) ? lmtp[own] : smtp[final];
  return f == O && over ? D : f;
}

/* ---- the machine against them ------------------------------------------------------------------- */

static size_t whose(const struct story *s)
{
  size_t last = s->length - 1;
  if (each_then_final(s))
    return last == 0 ? SMTPF_TRANSFER_NONE : last <= s->n ? last - 1 : SMTPF_TRANSFER_ALL;
  return each_only(s) ? last : SMTPF_TRANSFER_ALL;
}

static void expect_fates(const smtpf_transfer *t, const struct story *s, int over)
{
  for (size_t i = 0; i < s->n; i++) {
    int f = fate(s, i, over), code = smtpf_transfer_code(t, i);
    ck_assert_int_eq(smtpf_transfer_fate(t, i), f);
    if (f == T || f == R)
      ck_assert_int_eq(code / 100, f == T ? 2 : 5);
    else
      ck_assert(code == 0 || (f == D && code / 100 == 4));
  }
  ck_assert_int_eq(smtpf_transfer_fate(t, s->n), SMTPF_FATE_OPEN);
  ck_assert_int_eq(smtpf_transfer_code(t, s->n), 0);
}

/* The same machine in memory of its own. */
static smtpf_transfer copy_of(const smtpf_transfer *t, uint16_t *codes)
{
  smtpf_transfer c = *t;
  for (size_t i = 0; i < t->n; i++)
    codes[i] = t->codes[i];
  c.codes = codes;
  return c;
}

static void expect_end(smtpf_transfer *t, const struct story *s)
{
  size_t who = 99;
  expect_fates(t, s, 1);
  ck_assert_int_eq(smtpf_transfer_feed(t, 550, &who), SMTPF_ESTATE);
  ck_assert_uint_eq(who, 99);
  smtpf_transfer_lost(t);
  expect_fates(t, s, 1);
}

/* All ways to go on from here. Returns how many sequences ended. */
static size_t explore(const smtpf_transfer *t, const struct story *s)
{
  static const int alphabet[] = {250, 251, 353, 354, 421, 450, 550, 554, 199, 600};
  uint16_t codes[N_MAX];
  smtpf_transfer c = copy_of(t, codes);
  smtpf_transfer_lost(&c);
  expect_end(&c, s);
  size_t ends = 1;
  for (size_t k = 0; k < sizeof alphabet / sizeof *alphabet; k++) {
    size_t who = 99;
    struct story next = *s;
    int code = alphabet[k], no_reply = code < 200 || code > 599;
    next.codes[next.length++] = no_reply ? 354 : code; /* as little at home */
    c = copy_of(t, codes);
    int r = smtpf_transfer_feed(&c, code, &who);
    if (out_of_step(&next) == s->length) {
      ck_assert_int_eq(r, SMTPF_EPARSE);
      ck_assert_uint_eq(who, 99);
      next.length--; /* it told us nothing */
      expect_end(&c, &next);
      ends++;
      continue;
    }
    ck_assert_uint_eq(who, whose(&next));
    if (next.length == replies_due(&next)) {
      ck_assert_int_eq(r, SMTPF_OK);
      expect_end(&c, &next);
      ends++;
    } else {
      ck_assert_int_eq(r, SMTPF_PENDING);
      expect_fates(&c, &next, 0);
      ends += explore(&c, &next);
    }
  }
  return ends;
}

START_TEST(every_sequence)
{
  size_t ends = 0;
  for (int kind = SMTPF_TRANSFER_SMTP; kind <= SMTPF_TRANSFER_PRDR; kind++)
    for (size_t n = 0; n <= N_MAX; n++) {
      smtpf_transfer t;
      uint16_t codes[N_MAX] = {7, 7, 7};
      struct story s = {.kind = kind, .n = n};
      ck_assert_int_eq(smtpf_transfer_begin(&t, kind, n ? codes : NULL, n), SMTPF_OK);
      expect_fates(&t, &s, 0);
      ends += explore(&t, &s);
    }
  ck_assert_uint_gt(ends, 3000);
}
END_TEST

START_TEST(what_cannot_begin)
{
  smtpf_transfer t = {.kind = 42};
  uint16_t codes[1];
  ck_assert_int_eq(smtpf_transfer_begin(&t, 0, codes, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_transfer_begin(&t, 4, codes, 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_transfer_begin(&t, SMTPF_TRANSFER_SMTP, NULL, 1), SMTPF_EINVAL);
  ck_assert_int_eq(t.kind, 42);
}
END_TEST

/* ---- conversations ------------------------------------------------------------------------------ */

/* Reads `in` by `piece` bytes into a transfer of three, as a client does. A word for each recipient. */
static const char *listen_to(int kind, const char *in, size_t piece)
{
  static const char *const words[] = {"open", "taken", "deferred", "refused"};
  static char said[64];
  smtpf_transfer t;
  uint16_t codes[3];
  smtpf_smtpc *c;
  smtpf_smtpc_reply reply;
  size_t left = strlen(in), who;
  int r = SMTPF_PENDING;
  ck_assert_int_eq(smtpf_transfer_begin(&t, kind, codes, 3), SMTPF_OK);
  ck_assert_int_eq(smtpf_smtpc_new(&c, 0, NULL), SMTPF_OK);
  while (left && r == SMTPF_PENDING) {
    size_t n = left < piece ? left : piece, k = n;
    while (r == SMTPF_PENDING && smtpf_smtpc_next(c, &in, &k, &reply) == SMTPF_OK)
      r = smtpf_transfer_feed(&t, reply.code, &who);
    left -= n;
  }
  smtpf_smtpc_free(c);
  smtpf_transfer_lost(&t);
  snprintf(said, sizeof said, "%s %s %s", words[smtpf_transfer_fate(&t, 0)], words[smtpf_transfer_fate(&t, 1)],
           words[smtpf_transfer_fate(&t, 2)]);
  return said;
}

START_TEST(conversations)
{
  static const struct {
    int kind;
    const char *in, *want;
  } talks[] = {
      {SMTPF_TRANSFER_SMTP, "250 2.0.0 OK\r\n", "taken taken taken"},
      {SMTPF_TRANSFER_SMTP, "554-5.7.1 no\r\n554 5.7.1 really\r\n", "refused refused refused"},
      {SMTPF_TRANSFER_SMTP, "250 2.0", "deferred deferred deferred"},
      {SMTPF_TRANSFER_LMTP, "250 a\r\n452-4.2.2 full\r\n452 4.2.2 b\r\n550 c\r\n", "taken deferred refused"},
      {SMTPF_TRANSFER_LMTP, "250 a\r\n421 closing\r\n", "taken deferred deferred"},
      {SMTPF_TRANSFER_PRDR, "353 go\r\n250 a\r\n450 b\r\n550 c\r\n250 some\r\n", "taken deferred refused"},
      /* Exim: all refused, and yet a 250 in the end */
      {SMTPF_TRANSFER_PRDR, "353 go\r\n550 a\r\n550 b\r\n450 c\r\n250 OK\r\n", "refused refused deferred"},
      {SMTPF_TRANSFER_PRDR, "353 go\r\n250 a\r\n250 b\r\n450 c\r\n550 no\r\n", "refused refused deferred"},
      {SMTPF_TRANSFER_PRDR, "353 go\r\n250 a\r\n550 b\r\n250 c\r\n451 disk\r\n", "deferred refused deferred"},
      {SMTPF_TRANSFER_PRDR, "353 go\r\n250 a\r\n550 b\r\n250 c\r\n", "deferred refused deferred"},
      {SMTPF_TRANSFER_PRDR, "250 one for all\r\n", "taken taken taken"},
      {SMTPF_TRANSFER_PRDR, "552 5.3.4 too big\r\n", "refused refused refused"},
      {SMTPF_TRANSFER_PRDR, "353 go\r\n250 a\r\n353 go\r\n250 c\r\n250 d\r\n", "deferred deferred deferred"},
  };
  for (size_t i = 0; i < sizeof talks / sizeof *talks; i++)
    for (size_t piece = 1; piece < 200; piece *= 7)
      ck_assert_str_eq(listen_to(talks[i].kind, talks[i].in, piece), talks[i].want);
}
END_TEST

Suite *smtpf_suite_wire_transfer(void)
{
  Suite *suite = suite_create("wire transfer");
  const TTest *const tests[] = {every_sequence, what_cannot_begin, conversations, NULL};
  add_case(suite, "transfer", tests);
  return suite;
}
