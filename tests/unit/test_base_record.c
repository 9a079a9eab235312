/* SPDX-License-Identifier: MIT
 *
 * Records that merge: what they say, what they refuse, and that the order of joining does not matter.
 */
#include <smtpfilter/ext/record.h>

#include "suites.h"

enum { KIND = 3 };

/* Records of the loops are small: fields of few ids whose kinds often disagree. */
typedef struct sample {
  char room[SMTPF_RECORD_MAX];
  smtpf_str bytes;
} sample;

static smtpf_str usual(char *room, size_t cap)
{
  smtpf_record r;
  smtpf_str out = {NULL, 0};
  smtpf_record_begin(&r, room, cap, KIND);
  smtpf_record_number(&r, 1, SMTPF_JOIN_MIN, -5);
  smtpf_record_number(&r, 2, SMTPF_JOIN_MAX, INT64_MAX);
  smtpf_record_count(&r, 4, 7, 10);
  smtpf_record_count(&r, 4, UINT64_MAX, 5);
  smtpf_record_text(&r, 255, S("a@example.org"));
  return smtpf_record_end(&r, &out) == SMTPF_OK ? out : (smtpf_str){NULL, 0};
}

START_TEST(what_is_written_is_read)
{
  char room[200];
  const smtpf_str r = usual(room, sizeof room);
  int64_t v = 42;
  ck_assert_int_eq(smtpf_record_kind(r), KIND);
  ck_assert_int_eq(smtpf_record_read(r, 1, &v), SMTPF_OK);
  ck_assert_int_eq(v, -5);
  ck_assert_int_eq(smtpf_record_read(r, 2, &v), SMTPF_OK);
  ck_assert(v == INT64_MAX);
  ck_assert_int_eq(smtpf_record_read(r, 3, &v), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_record_read(r, 4, &v), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_record_read(r, 0, &v), SMTPF_ENOTFOUND);
  ck_assert(v == INT64_MAX);
  ck_assert_int_eq(smtpf_record_total(r, 4), 15);
  ck_assert_int_eq(smtpf_record_total(r, 1), 0);
  ck_assert_int_eq(smtpf_record_of_node(r, 4, UINT64_MAX), 5);
  ck_assert_int_eq(smtpf_record_of_node(r, 4, 8), 0);
  ASSERT_STR(smtpf_record_read_text(r, 255), "a@example.org");
  ASSERT_STR(smtpf_record_read_text(r, 4), "");
}
END_TEST

START_TEST(totals_saturate)
{
  char room[200];
  smtpf_record r;
  smtpf_str out;
  smtpf_record_begin(&r, room, sizeof room, 1);
  smtpf_record_count(&r, 1, 0, INT64_MAX);
  smtpf_record_count(&r, 1, 1, INT64_MAX);
  smtpf_record_count(&r, 2, 0, INT64_MIN);
  smtpf_record_count(&r, 2, 1, -1);
  ck_assert_int_eq(smtpf_record_end(&r, &out), SMTPF_OK);
  ck_assert(smtpf_record_total(out, 1) == INT64_MAX);
  ck_assert(smtpf_record_total(out, 2) == INT64_MIN);
}
END_TEST

/* Each of these writes must break the record. */
static int breaks(int which)
{
  static const smtpf_str lengthy = {"", 0};
  char room[SMTPF_RECORD_MAX + 8];
  smtpf_record r;
  smtpf_str out = {NULL, 0};
  smtpf_record_begin(&r, room, which == 0 ? 3 : sizeof room, which == 1 ? 0 : which == 2 ? 256 : KIND);
  smtpf_record_number(&r, 5, SMTPF_JOIN_MIN, 1);
  smtpf_record_count(&r, 6, 9, 1);
  if (which == 3)
    smtpf_record_number(&r, 6, SMTPF_JOIN_MIN, 1);
  if (which == 4)
    smtpf_record_number(&r, 4, SMTPF_JOIN_MIN, 1);
  if (which == 5)
    smtpf_record_number(&r, 7, SMTPF_JOIN_TEXT, 1);
  if (which == 6)
    smtpf_record_count(&r, 6, 9, 2);
  if (which == 7)
    smtpf_record_count(&r, 6, 8, 2);
  if (which == 8)
    smtpf_record_text(&r, 256, lengthy);
  for (uint64_t node = 10; which == 9 && node < 300; node++)
    smtpf_record_count(&r, 6, node, 1);
  if (which == 10)
    smtpf_record_text(&r, 0, lengthy);
  return smtpf_record_end(&r, &out) == SMTPF_ELIMIT && out.p == NULL;
}

START_TEST(what_cannot_be_written)
{
  for (int which = 0; which <= 10; which++)
    ck_assert_msg(breaks(which), "write %d was taken", which);
  ck_assert(!breaks(11));
}
END_TEST

START_TEST(it_fits_or_it_does_not)
{
  char room[200];
  const size_t n = usual(room, sizeof room).n;
  for (size_t cap = 0; cap < n; cap++)
    ck_assert_uint_eq(usual(room, cap).n, 0);
  ck_assert_uint_eq(usual(room, n).n, n);
}
END_TEST

START_TEST(other_bytes_are_no_record)
{
  char room[200], bytes[200];
  const smtpf_str r = usual(room, sizeof room);
  for (size_t n = 0; n < r.n; n++)
    ck_assert_int_eq(smtpf_record_kind((smtpf_str){r.p, n}), 0);
  ck_assert_int_eq(smtpf_record_kind((smtpf_str){r.p, r.n + 1}), 0);
  static const struct {
    size_t at;
    unsigned char byte;
  } faults[] = {{0, 'K'}, {1, 2}, {2, 0}, {3, 0}, {3, 5}, {4, 0}, {4, 2},
                {5, 0},   {5, 3}, {5, 5}, {6, 7}, {7, 1}, {16, 1}};
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    memcpy(bytes, r.p, r.n);
    bytes[faults[i].at] = (char)faults[i].byte;
    ck_assert_msg(!smtpf_record_kind((smtpf_str){bytes, r.n}), "byte %zu", faults[i].at);
  }
  memcpy(bytes, r.p, r.n);
  memset(bytes + 4 + 2 * 12 + 4 + 16, 0, 8); /* the second node is not behind the first */
  ck_assert_int_eq(smtpf_record_kind((smtpf_str){bytes, r.n}), 0);
}
END_TEST

/* ---- joining -------------------------------------------------------------------------------------- */

static smtpf_str text_of(uint64_t random)
{
  static const char letters[] = "abcabcab";
  return (smtpf_str){letters + random % 3, random / 3 % 5};
}

static void make(sample *s, uint64_t *state)
{
  smtpf_record r;
  smtpf_record_begin(&r, s->room, sizeof s->room, KIND);
  for (int id = 1; id <= 6; id++) {
    const uint64_t x = next_random(state);
    const int how = (int)(x >> 60) % 5;
    const int64_t v = (int64_t)(x % 7) - 3;
    if (how == SMTPF_JOIN_MIN || how == SMTPF_JOIN_MAX)
      smtpf_record_number(&r, id, how, v);
    else if (how == SMTPF_JOIN_TEXT)
      smtpf_record_text(&r, id, text_of(x >> 8));
    for (uint64_t node = 0; how == SMTPF_JOIN_NODES && node < 4; node++)
      if (x >> (20 + node) & 1)
        smtpf_record_count(&r, id, node, (int64_t)(x >> (30 + 3 * node) & 7) - 3);
  }
  MUST(smtpf_record_end(&r, &s->bytes) == SMTPF_OK);
  MUST(smtpf_record_kind(s->bytes) == KIND);
}

static void join(sample *out, const sample *a, const sample *b)
{
  MUST(smtpf_record_join(a->bytes, b->bytes, out->room, sizeof out->room, &out->bytes) == SMTPF_OK);
  MUST(smtpf_record_kind(out->bytes) == KIND);
}

static int same(const sample *a, const sample *b)
{
  return a->bytes.n == b->bytes.n && memcmp(a->bytes.p, b->bytes.p, a->bytes.n) == 0;
}

START_TEST(the_order_of_joining_does_not_matter)
{
  uint64_t state = 20240601;
  static sample a, b, c, ab, ba, bc, left, right, again;
  for (int i = 0; i < 50000; i++) {
    make(&a, &state);
    make(&b, &state);
    make(&c, &state);
    join(&ab, &a, &b);
    join(&ba, &b, &a);
    MUST(same(&ab, &ba)); /* commutative */
    join(&bc, &b, &c);
    join(&left, &ab, &c);
    join(&right, &a, &bc);
    MUST(same(&left, &right)); /* associative */
    join(&again, &a, &a);
    MUST(same(&again, &a)); /* idempotent */
    join(&again, &ab, &b);
    MUST(same(&again, &ab)); /* what is in it already changes nothing */
  }
}
END_TEST

START_TEST(what_a_join_says)
{
  char rooms[3][200];
  smtpf_record r;
  smtpf_str a = usual(rooms[0], sizeof rooms[0]), b, out;
  int64_t v;
  smtpf_record_begin(&r, rooms[1], sizeof rooms[1], KIND);
  smtpf_record_number(&r, 1, SMTPF_JOIN_MIN, -6);
  smtpf_record_number(&r, 2, SMTPF_JOIN_MAX, 0);
  smtpf_record_number(&r, 3, SMTPF_JOIN_MAX, 77);
  smtpf_record_count(&r, 4, 6, 1);
  smtpf_record_count(&r, 4, 7, 9);
  smtpf_record_text(&r, 255, S("a@example.com"));
  ck_assert_int_eq(smtpf_record_end(&r, &b), SMTPF_OK);
  ck_assert_int_eq(smtpf_record_join(a, b, rooms[2], sizeof rooms[2], &out), SMTPF_OK);
  ck_assert(smtpf_record_read(out, 1, &v) == SMTPF_OK && v == -6);
  ck_assert(smtpf_record_read(out, 2, &v) == SMTPF_OK && v == INT64_MAX);
  ck_assert(smtpf_record_read(out, 3, &v) == SMTPF_OK && v == 77);
  ck_assert_int_eq(smtpf_record_of_node(out, 4, 6), 1);
  ck_assert_int_eq(smtpf_record_of_node(out, 4, 7), 10);
  ck_assert_int_eq(smtpf_record_total(out, 4), 16);
  ASSERT_STR(smtpf_record_read_text(out, 255), "a@example.com");
}
END_TEST

START_TEST(what_cannot_be_joined)
{
  char rooms[3][200];
  smtpf_record r;
  smtpf_str a = usual(rooms[0], sizeof rooms[0]), other, out = {NULL, 0};
  smtpf_record_begin(&r, rooms[1], sizeof rooms[1], KIND + 1);
  ck_assert_int_eq(smtpf_record_end(&r, &other), SMTPF_OK);
  ck_assert_int_eq(smtpf_record_join(a, other, rooms[2], sizeof rooms[2], &out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_record_join(a, S("J"), rooms[2], sizeof rooms[2], &out), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_record_join((smtpf_str){NULL, 0}, a, rooms[2], sizeof rooms[2], &out), SMTPF_EINVAL);
  for (size_t cap = 0; cap < a.n; cap++)
    ck_assert_int_eq(smtpf_record_join(a, a, rooms[2], cap, &out), SMTPF_ELIMIT);
  ck_assert_ptr_null(out.p);
  ck_assert_int_eq(smtpf_record_join(a, a, rooms[2], a.n, &out), SMTPF_OK);
}
END_TEST

Suite *smtpf_suite_base_record(void)
{
  Suite *s = suite_create("base record");
  const TTest *bytes[] = {what_is_written_is_read, totals_saturate,           what_cannot_be_written,
                          it_fits_or_it_does_not,  other_bytes_are_no_record, NULL};
  const TTest *joining[] = {the_order_of_joining_does_not_matter, what_a_join_says, what_cannot_be_joined, NULL};
  add_case(s, "bytes", bytes);
  add_case(s, "joining", joining);
  return s;
}
