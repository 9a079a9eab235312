/* SPDX-License-Identifier: MIT
 *
 * The journal's file: its records, every cut, every flipped byte, and compaction.
 */
#include "journal_world.h"

#include "port_run.h"

static world w;
static smtpf_journal_log *log_;

static void setup(void)
{
  world_begin(&w);
  log_ = world_log(&w, 0);
}

static void teardown(void)
{
  smtpf_journal_log_free(log_);
  world_end(&w);
}

/* Three messages, six promises, one closed. `ends` are the places between which a cut tears something. */
static size_t fill(uint64_t ends[5])
{
  static const char *const two[] = {"b@example.net", "c@example.net"}, *const three[] = {"d@x", "e@x", "f@x"};
  ends[0] = log_->end;
  world_group(log_, "m1", two, 2);
  ends[1] = log_->end;
  world_group(log_, "m2", two, 1);
  ends[2] = log_->end;
  world_settle(log_, "m1", "c@example.net");
  ends[3] = log_->end;
  world_group(log_, "m3", three, 3);
  ends[4] = log_->end;
  return 5;
}

static const char *const after[] = {
    "",
    "m1>b@example.net m1>c@example.net ",
    "m1>b@example.net m1>c@example.net m2>b@example.net ",
    "m1>b@example.net m2>b@example.net ",
    "m1>b@example.net m2>b@example.net m3>d@x m3>e@x m3>f@x ",
};

START_TEST(checksum)
{
  ck_assert_uint_eq(smtpf_crc32c("123456789", 9), 0xe3069283);
  ck_assert_uint_eq(smtpf_crc32c("", 0), 0);
}
END_TEST

START_TEST(record_round_trip)
{
  char bytes[SMTPF_RECORD_MAX], message[SMTPF_JOURNAL_MESSAGE_MAX], address[SMTPF_JOURNAL_ADDRESS_MAX + 1];
  memset(message, 'm', sizeof message);
  memset(address, 'a', sizeof address);
  smtpf_record r = {SMTPF_RECORD_PROMISE,      1,         SMTPF_DISCARDED, -5,
                    {message, sizeof message}, {NULL, 0}, {address, 1000}, {"\xff\0k", 3}},
               back;
  size_t used;
  ck_assert(smtpf_record_legal(&r));
  size_t n = smtpf_record_write(&r, bytes);
  ck_assert_uint_eq(n, smtpf_record_size(&r));
  ck_assert_int_eq(smtpf_journal_record_read(bytes, n, &back, &used), SMTPF_RECORD_WHOLE);
  ck_assert_uint_eq(used, n);
  ck_assert(back.type == r.type && back.more == 1 && back.disposition == SMTPF_DISCARDED && back.wall_s == -5);
  ck_assert(smtpf_str_equal(back.message, r.message) && smtpf_str_equal(back.recipient, r.recipient));
  ck_assert_uint_eq(back.sender.n, 0);
  ck_assert(smtpf_str_equal(back.memory, r.memory));
  for (size_t cut = 0; cut < n; cut++)
    ck_assert_int_eq(smtpf_journal_record_read(bytes, cut, &back, &used),
                     cut < SMTPF_RECORD_HEAD ? SMTPF_RECORD_SHORT : SMTPF_RECORD_CUT);
}
END_TEST

START_TEST(record_refuses)
{
  smtpf_record good = {SMTPF_RECORD_PROMISE, 0,        SMTPF_DELIVERED, 0, SMTPF_LIT("m"), SMTPF_LIT("s"),
                       SMTPF_LIT("r"),       {NULL, 0}},
               r;
  char address[SMTPF_JOURNAL_ADDRESS_MAX + 1];
  memset(address, 'a', sizeof address);
  ck_assert(smtpf_record_legal(&good));
  static const smtpf_str bad[] = {{NULL, 0}, {"a\xff", 2}, {"a\0", 2}, {"a\n", 2}, {"\x7f", 1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    r = good;
    r.recipient = bad[i];
    ck_assert(!smtpf_record_legal(&r));
    r = good;
    r.message = bad[i];
    ck_assert(!smtpf_record_legal(&r));
  }
  r = good;
  r.sender = (smtpf_str){address, sizeof address};
  ck_assert(!smtpf_record_legal(&r));
  r = good;
  r.disposition = 0;
  ck_assert(!smtpf_record_legal(&r));
  r = good;
  r.memory = (smtpf_str){address, SMTPF_JOURNAL_MEMORY_MAX + 1};
  ck_assert(!smtpf_record_legal(&r));
  r = good;
  r.type = SMTPF_RECORD_SETTLE; /* a closing has no sender */
  ck_assert(!smtpf_record_legal(&r));
}
END_TEST

START_TEST(lists_and_settles)
{
  uint64_t ends[5];
  smtpf_journal_stats s;
  fill(ends);
  ck_assert_str_eq(world_open(&w, log_, &s), after[4]);
  ck_assert(s.promised == 6 && s.settled == 1 && s.open == 5 && s.damages == 0 && s.torn == 0 && s.bytes == ends[4]);
  world_settle(log_, "m9", "nobody@x"); /* closes nothing */
  world_settle(log_, "m3", "e@x");
  ck_assert_str_eq(world_open(&w, log_, &s), "m1>b@example.net m2>b@example.net m3>d@x m3>f@x ");
  ck_assert_uint_eq(s.settled, 2);
  world_group(log_, "m1", (const char *const[]){"b@example.net"}, 1); /* twice the same: once open */
  ck_assert_str_eq(world_open(&w, log_, &s), "m2>b@example.net m3>d@x m3>f@x m1>b@example.net ");
  ck_assert_int_eq(smtpf_journal_log_settle(log_, SMTPF_LIT(""), SMTPF_LIT("x"), 1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_journal_log_settle(log_, SMTPF_LIT("m1"), SMTPF_LIT("x"), 0), SMTPF_EINVAL);
}
END_TEST

START_TEST(read_only)
{
  uint64_t ends[5];
  smtpf_journal_log *r = NULL;
  fill(ends);
  r = world_log(&w, SMTPF_JOURNAL_READ_ONLY);
  ck_assert_str_eq(world_open(&w, r, NULL), after[4]);
  ck_assert_int_eq(smtpf_journal_log_settle(r, SMTPF_LIT("m1"), SMTPF_LIT("b@example.net"), 1), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_journal_log_compact(r, 0, NULL), SMTPF_ESTATE);
  ck_assert_int_eq(smtpf_journal_log_sync(r), SMTPF_ESTATE);
  smtpf_journal_log_free(r);
}
END_TEST

START_TEST(what_does_not_open)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_journal_log *log = NULL;
  char later[SMTPF_RECORD_START];
  ck_assert_int_eq(smtpf_journal_log_open(&log, "no-such-folder/journal", 0, NULL, &err), SMTPF_EIO);
  ck_assert_str_eq(err.file, "no-such-folder/journal");
  ck_assert_int_eq(smtpf_journal_log_open(&log, "no-such-journal", SMTPF_JOURNAL_READ_ONLY, NULL, &err), SMTPF_EIO);
  ck_assert_int_eq(smtpf_journal_log_open(&log, w.folder, SMTPF_JOURNAL_READ_ONLY, NULL, &err), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_journal_log_open(&log, "", 0, NULL, &err), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_journal_log_open(&log, w.path, 8, NULL, &err), SMTPF_EINVAL);
  world_put(&w, "From: somebody's mail\r\n", 23);
  ck_assert_int_eq(smtpf_journal_log_open(&log, w.path, 0, NULL, &err), SMTPF_EPARSE);
  smtpf_record_start(later);
  later[8] = 2;
  uint32_t crc = smtpf_crc32c(later, 12);
  for (int i = 0; i < 4; i++)
    later[12 + i] = (char)(crc >> 8 * i);
  world_put(&w, later, sizeof later);
  ck_assert_int_eq(smtpf_journal_log_open(&log, w.path, 0, NULL, &err), SMTPF_EUNSUPPORTED);
  ck_assert_int_eq(smtpf_journal_log_open(&log, w.path, SMTPF_JOURNAL_READ_ONLY, NULL, &err), SMTPF_EUNSUPPORTED);
  ck_assert_ptr_null(log);
}
END_TEST

/* Cut anywhere, the file holds what was whole before the cut; opening it for writing takes away the rest alone. */
START_TEST(every_cut)
{
  char bytes[WORLD_MAX];
  uint64_t ends[5];
  size_t whole = 0, n_ends = fill(ends), n = world_bytes(&w, bytes);
  ck_assert_uint_eq(n, ends[4]);
  for (size_t cut = 0; cut <= n; cut++) {
    smtpf_journal_stats s;
    while (whole + 1 < n_ends && ends[whole + 1] <= cut)
      whole++;
    world_put(&w, bytes, cut);
    smtpf_journal_log *r = world_log(&w, SMTPF_JOURNAL_READ_ONLY);
    ck_assert_str_eq(world_open(&w, r, &s), after[whole]);
    ck_assert_uint_eq(s.torn, cut < ends[0] ? cut : cut - ends[whole]);
    ck_assert_uint_eq(s.damages, 0);
    smtpf_journal_log_free(r);
    smtpf_journal_log *again = world_log(&w, 0);
    ck_assert_uint_eq(again->end, ends[whole]);
    world_group(again, "m7", (const char *const[]){"z@x"}, 1);
    ck_assert_int_eq(strncmp(world_open(&w, again, &s), after[whole], strlen(after[whole])), 0);
    ck_assert_str_eq(w.text + strlen(after[whole]), "m7>z@x ");
    ck_assert(s.torn == 0 && s.damages == 0);
    smtpf_journal_log_free(again);
  }
}
END_TEST

/* The same with zeros behind the cut: room that a file system gave and nobody wrote to. */
START_TEST(every_cut_with_zeros_behind)
{
  char bytes[WORLD_MAX];
  uint64_t ends[5];
  size_t n_ends = fill(ends);
  world_bytes(&w, bytes);
  for (size_t i = 0; i < n_ends; i++) {
    smtpf_journal_stats s;
    char with[WORLD_MAX] = {0};
    memcpy(with, bytes, ends[i]);
    world_put(&w, with, ends[i] + 5000);
    ck_assert_str_eq(world_open(&w, log_, &s), after[i]);
    ck_assert(s.torn == 5000 && s.damages == 0);
  }
  world_put(&w, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  smtpf_journal_log *again = world_log(&w, 0);
  ck_assert_str_eq(world_open(&w, again, NULL), "");
  ck_assert_uint_eq(again->end, SMTPF_RECORD_START);
  smtpf_journal_log_free(again);
}
END_TEST

/* Which promise a byte belongs to, as a bit in the order of the file; 0 for a closing. */
static unsigned promise_at(const char *bytes, size_t n, size_t place)
{
  smtpf_record r;
  size_t used, at = SMTPF_RECORD_START;
  for (unsigned bit = 1; at < n; at += used) {
    ck_assert_int_eq(smtpf_journal_record_read(bytes + at, n - at, &r, &used), SMTPF_RECORD_WHOLE);
    unsigned mine = r.type == SMTPF_RECORD_PROMISE ? bit : 0;
    if (place >= at && place < at + used)
      return mine;
    bit <<= mine != 0;
  }
  return 0;
}

static unsigned open_bits(const char *text)
{
  static const char *const all[] = {"m1>b@example.net ", "m1>c@example.net ", "m2>b@example.net ",
                                    "m3>d@x ",           "m3>e@x ",           "m3>f@x "};
  unsigned bits = 0;
  for (unsigned i = 0; i < 6; i++)
    bits |= strstr(text, all[i]) ? 1u << i : 0;
  return bits;
}

/* One flipped byte anywhere: told with its place, never cut off, and every other promise is still there. */
START_TEST(every_flipped_byte)
{
  static const unsigned char masks[] = {0x01, 0x80, 0xff};
  char bytes[WORLD_MAX], now[WORLD_MAX];
  uint64_t ends[5];
  fill(ends);
  size_t n = world_bytes(&w, bytes);
  for (size_t i = 0; i < n * 3; i++) {
    smtpf_journal_stats s;
    size_t at = i / 3;
    bytes[at] = (char)(bytes[at] ^ masks[i % 3]);
    world_put(&w, bytes, n);
    smtpf_journal_log *again = world_log(&w, 0);
    unsigned there = open_bits(world_open(&w, again, &s));
    bytes[at] = (char)(bytes[at] ^ masks[i % 3]);
    unsigned must = 0x3du & ~(at < ends[0] ? 0 : promise_at(bytes, n, at));
    ck_assert_msg((there & must) == must, "byte %zu ^ %02x: %s", at, masks[i % 3], w.text);
    ck_assert(s.damages == 1 && s.torn == 0 && w.damage_from <= at && w.damage_to > at);
    ck_assert_uint_eq(s.damage_offset, w.damage_from);
    world_group(again, "m7", (const char *const[]){"z@x"}, 1);
    ck_assert_ptr_nonnull(strstr(world_open(&w, again, &s), "m7>z@x "));
    ck_assert_uint_eq(s.damages, 1);
    ck_assert_uint_gt(world_bytes(&w, now), n);
    now[at] = bytes[at];
    ck_assert_mem_eq(now, bytes, n);
    smtpf_journal_log_free(again);
  }
}
END_TEST

/* A window's edges: many records in a file of several windows, some of them damaged; every other one is found. */
START_TEST(large_and_damaged)
{
  enum { RECORDS = 4000, HOLES = 7, HOLE = 1000, APART = 10007 };
  static uint64_t ends[RECORDS + 1];
  char name[16], bytes[SMTPF_RECORD_MAX];
  smtpf_journal_stats s = {.size = sizeof s};
  unsigned hit = 0;
  ck_assert_int_eq(smtpf_journal_lock(log_, 0, NULL), SMTPF_OK);
  ends[0] = log_->end;
  for (int i = 0; i < RECORDS; i++) {
    snprintf(name, sizeof name, "m%d", i);
    smtpf_record r = {SMTPF_RECORD_PROMISE, 0,        SMTPF_TAGGED, i, smtpf_str_of(name), SMTPF_LIT("s"),
                      SMTPF_LIT("r@x"),     {NULL, 0}};
    ck_assert_int_eq(smtpf_journal_append(log_, bytes, smtpf_record_write(&r, bytes), 0), SMTPF_OK);
    ends[i + 1] = log_->end;
  }
  smtpf_journal_unlock(log_);
  ck_assert_int_eq(smtpf_journal_log_read(log_, NULL, &s, NULL), SMTPF_OK);
  ck_assert(s.open == RECORDS && s.damages == 0);
  int fd = open(w.path, O_WRONLY);
  for (int shift = 0; shift < 20; shift++) {
    uint64_t first = ends[1000] + 17u * (unsigned)shift;
    memset(bytes, 0xff, HOLE); /* what a record begins with, but for the last byte */
    bytes[HOLE - 1] = 'x';
    for (unsigned h = 0; h < HOLES; h++)
      ck_assert_int_eq(pwrite(fd, bytes, HOLE, (off_t)(first + h * APART)), HOLE);
    hit = 0;
    for (int i = 0; i < RECORDS; i++)
      for (unsigned h = 0; h < HOLES; h++)
        hit += ends[i] < first + h * APART + HOLE && ends[i + 1] > ends[1000] + h * APART;
    ck_assert_int_eq(smtpf_journal_log_read(log_, NULL, &s, NULL), SMTPF_OK);
    ck_assert(s.damages == HOLES && s.damage_offset == ends[1000] && s.torn == 0);
    ck_assert_uint_eq(s.open, RECORDS - hit);
  }
  close(fd);
}
END_TEST

/* A record behind damage is found wherever a window ends. */
START_TEST(found_at_a_windows_edge)
{
  enum { WINDOW = 65536 };
  static char bytes[WINDOW + 4096];
  smtpf_journal_stats s;
  smtpf_record r = {SMTPF_RECORD_PROMISE, 0, 1, 5, SMTPF_LIT("m1"), SMTPF_LIT("s"), SMTPF_LIT("r@x"), {NULL, 0}};
  for (size_t begin = WINDOW - 60; begin < WINDOW + 5; begin++) {
    memset(bytes, 'x', sizeof bytes);
    smtpf_record_start(bytes);
    size_t n = begin + smtpf_record_write(&r, bytes + begin);
    world_put(&w, bytes, n);
    ck_assert_str_eq(world_open(&w, log_, &s), "m1>r@x ");
    ck_assert(s.damages == 1 && s.damage_offset == SMTPF_RECORD_START && s.damaged == begin - SMTPF_RECORD_START);
  }
}
END_TEST

START_TEST(compacts)
{
  uint64_t ends[5];
  smtpf_journal_stats s;
  struct stat st;
  fill(ends);
  ck_assert_int_eq(chmod(w.path, 0640), 0);
  smtpf_journal_log *other = world_log(&w, 0);
  ck_assert_int_eq(smtpf_journal_log_compact(log_, 0, NULL), SMTPF_OK);
  ck_assert_str_eq(world_open(&w, log_, &s), after[4]);
  ck_assert(s.promised == 5 && s.settled == 0 && s.bytes < ends[4]);
  ck_assert(stat(w.path, &st) == 0 && (st.st_mode & 0777) == 0640);
  world_group(other, "m7", (const char *const[]){"z@x"}, 1); /* had the old file open */
  world_settle(other, "m1", "b@example.net");
  ck_assert_str_eq(world_open(&w, log_, NULL), "m2>b@example.net m3>d@x m3>e@x m3>f@x m7>z@x ");
  smtpf_journal_log_free(other);
}
END_TEST

static int every_member(void *user, const smtpf_promise *p)
{
  (*(int *)user)++;
  ck_assert(p->size == sizeof *p && p->disposition == SMTPF_DELIVERED && p->wall_s == 1700000000);
  ck_assert(smtpf_str_equal(p->message, SMTPF_LIT("m1")) && smtpf_str_equal(p->recipient, SMTPF_LIT("r@x")));
  ck_assert(smtpf_str_equal(p->sender, SMTPF_LIT("a@example.org")) && smtpf_str_equal(p->memory, WORLD_MEMORY));
  return 0;
}

START_TEST(every_member_is_kept)
{
  int told = 0;
  smtpf_journal_visitor v = {.size = sizeof v, .user = &told, .open = every_member};
  world_group(log_, "m1", (const char *const[]){"r@x"}, 1);
  ck_assert_int_eq(smtpf_journal_log_read(log_, &v, NULL, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_journal_log_compact(log_, 0, NULL), SMTPF_OK);
  ck_assert_int_eq(smtpf_journal_log_read(log_, &v, NULL, NULL), SMTPF_OK);
  ck_assert_int_eq(told, 2);
}
END_TEST

START_TEST(compaction_keeps_damage)
{
  uint64_t ends[5];
  smtpf_error err = {.size = sizeof err};
  char bytes[WORLD_MAX], expected[64];
  smtpf_journal_stats s;
  fill(ends);
  size_t n = world_bytes(&w, bytes);
  bytes[ends[1] + 20] ^= 1;
  world_put(&w, bytes, n);
  snprintf(expected, sizeof expected, "%d bytes are no record, the first at offset %d", (int)(ends[2] - ends[1]),
           (int)ends[1]);
  ck_assert_int_eq(smtpf_journal_log_compact(log_, 0, &err), SMTPF_EPARSE);
  ck_assert_str_eq(err.text, expected);
  ck_assert_uint_eq(world_bytes(&w, bytes), n);
  ck_assert_int_eq(smtpf_journal_log_compact(log_, SMTPF_JOURNAL_DROP_DAMAGE, &err), SMTPF_OK);
  ck_assert_str_eq(world_open(&w, log_, &s), "m1>b@example.net m3>d@x m3>e@x m3>f@x ");
  ck_assert_uint_eq(s.damages, 0);
}
END_TEST

START_TEST(removed)
{
  ck_assert_int_eq(unlink(w.path), 0);
  ck_assert_int_eq(smtpf_journal_log_settle(log_, SMTPF_LIT("m"), SMTPF_LIT("r"), SMTPF_DELIVERED), SMTPF_EIO);
  ck_assert_int_ne(access(w.path, F_OK), 0); /* not made anew: what it held would be forgotten quietly */
  ck_assert_int_eq(smtpf_journal_log_compact(log_, 0, NULL), SMTPF_EIO);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("journal");
  TCase *c = tcase_create("file");
  tcase_add_checked_fixture(c, setup, teardown);
  tcase_set_timeout(c, 120);
  tcase_add_test(c, checksum);
  tcase_add_test(c, record_round_trip);
  tcase_add_test(c, record_refuses);
  tcase_add_test(c, lists_and_settles);
  tcase_add_test(c, read_only);
  tcase_add_test(c, what_does_not_open);
  tcase_add_test(c, every_cut);
  tcase_add_test(c, every_cut_with_zeros_behind);
  tcase_add_test(c, every_flipped_byte);
  tcase_add_test(c, large_and_damaged);
  tcase_add_test(c, found_at_a_windows_edge);
  tcase_add_test(c, compacts);
  tcase_add_test(c, every_member_is_kept);
  tcase_add_test(c, compaction_keeps_damage);
  tcase_add_test(c, removed);
  suite_add_tcase(s, c);
  return port_run(s);
}
