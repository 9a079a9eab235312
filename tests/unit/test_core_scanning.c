/* SPDX-License-Identifier: MIT
 *
 * Scans of the message that is coming: a scanner gets every byte in order, from the spool, as slowly as it likes and as
 * often as it asks; it answers once; silence is never clean. Also pieces of content, wished edits, and what not knowing
 * may ask for.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_scanning.h"
#include "test_core.h"

/* ---- the cases
 * -------------------------------------------------------------------------------------------------------
 */

START_TEST(every_byte_in_order_however_slow)
{
  static const size_t sizes[] = {30, 16384, 16385, 100000}, pieces[] = {7, 5000, 200000}, gulps[] = {0, 1000, 40000};
  for (size_t z = 0; z < 4; z++)
    for (size_t p = z == 3; p < 3; p++)
      for (size_t g = 0; g < 3; g++) {
        scanning_begin();
        world_set(&scanning_world, "spool.memory", "32k");
        F.gulp = gulps[g];
        F.rewind_at = g == 1 ? sizes[z] / 2 : 0;
        char *m = scanning_message(sizes[z]);
        smtpf_session *s = scanning_data(CAN, 1);
        scanning_tell(s, m, sizes[z], pieces[p]);
        ck_assert_int_eq(scanning_end(s), 250);
        ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
        ck_assert_uint_eq(F.n, sizes[z]);
        ck_assert_mem_eq(F.text, m, sizes[z]);
        ck_assert_int_eq(F.finishes, 1);
        ck_assert_int_eq(D.opens, sizes[z] > 32768);
        ck_assert_str_eq(F.user, "ann");
        free(m);
        scanning_close(s);
        ck_assert_int_eq(F.starts, 1);
      }
}
END_TEST

START_TEST(a_hit_refuses_and_clean_needs_all_of_it)
{
  scanning_begin();
  F.result = (smtpf_scan_result){.status = SMTPF_SCAN_HIT, .name = SMTPF_LIT("Eicar")};
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 550);
  ck_assert_str_eq(A.last, "Eicar");
  scanning_close(s);

  scanning_begin();
  F.result.seen = 10; /* one byte short: unknown (promise L4), and no budget is readable in this world */
  s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED);
  scanning_close(s);

  scanning_begin();
  F.result.status = 99; /* what nobody understands is not clean */
  s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  A.unknown = SMTPF_FINDING_TAG;
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED);
  scanning_close(s);
}
END_TEST

START_TEST(it_may_know_before_the_end)
{
  scanning_begin();
  F.result = (smtpf_scan_result){.status = SMTPF_SCAN_HIT, .name = SMTPF_LIT("Early")};
  F.answers_at = 9;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nxxxxxxxxxxxxxxxxx\r\n", 27, 4);
  ck_assert_int_eq(F.closes, 1); /* nothing is kept for it any more */
  ck_assert_int_eq(scanning_end(s), 550);
  ck_assert_int_eq(F.finishes, 0);
  ck_assert_int_eq(smtpf_op_scanned(scanning_world.driver, F.op, &F.result), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_op_scan_room(scanning_world.driver, F.op), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_op_scan_again(scanning_world.driver, F.op), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_op_scan_fd(scanning_world.driver, F.op), -1);
  scanning_close(s);
}
END_TEST

START_TEST(silence_is_unknown)
{
  scanning_begin();
  F.silent = 1;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  const uint64_t before = scanning_world.now_ns;
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_ge(scanning_world.now_ns - before, UINT64_C(90000) * 1000000); /* its patience, not `check.timeout` */
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED);
  scanning_close(s);
}
END_TEST

START_TEST(no_room_in_the_spool_is_unknown)
{
  scanning_begin();
  world_set(&scanning_world, "spool.memory", "0");
  D.full = 1;
  A.unknown = SMTPF_FINDING_QUARANTINE;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_str_ne(world_last_log(&scanning_world, "spool-full"), "");
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED); /* the profile has no quarantine */
  scanning_close(s);

  scanning_begin(); /* a total that is used up sends the next message into a file */
  world_set(&scanning_world, "spool.total", "16k");
  F.gulp = 1;
  char *m = scanning_message(50000);
  smtpf_session *s1 = scanning_data(CAN, 1);
  scanning_tell(s1, m, 50000, 50000);
  ck_assert_int_eq(D.opens, 1);
  ck_assert_uint_eq(scanning_world.driver->spooled, 16384);
  F.gulp = 0;
  free(m);
  scanning_close(s1);
}
END_TEST

START_TEST(not_knowing_asks_for_quarantine_or_a_mark)
{
  static const struct {
    unsigned flags;
    const char *quarantine, *tag;
    int disposition;
  } rows[] = {
      {SMTPF_FINDING_QUARANTINE, "6", "5", SMTPF_QUARANTINED},
      {SMTPF_FINDING_QUARANTINE, "off", "5", SMTPF_TAGGED},
      {SMTPF_FINDING_TAG, "6", "5", SMTPF_TAGGED},
      {SMTPF_FINDING_TAG, "6", "off", SMTPF_TAGGED},
      {0, "6", "5", SMTPF_DELIVERED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    scanning_begin();
    world_set(&scanning_world, "profiles[\"default\"].quarantine", rows[i].quarantine);
    world_set(&scanning_world, "profiles[\"default\"].tag", rows[i].tag);
    F.result = (smtpf_scan_result){.status = SMTPF_SCAN_UNKNOWN, .cause = "refused"};
    A.unknown = rows[i].flags;
    smtpf_session *s = scanning_data(CAN, 1);
    scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
    ck_assert_int_eq(scanning_end(s), 250);
    ck_assert_int_eq(world_disposition(s, 0), rows[i].disposition);
    scanning_close(s);
  }
}
END_TEST

START_TEST(room_that_is_given_inside_feed)
{
  scanning_begin();
  F.gulp = 4;
  F.room_inside = INT_MAX;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nxxxxxxxxxxxxxxxxx\r\n", 27, 27);
  const uint64_t before = scanning_world.now_ns;
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_eq(scanning_world.now_ns, before); /* it waited for nothing */
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
  ck_assert_mem_eq(F.text, "A: b\r\n\r\nxxxxxxxxxxxxxxxxx\r\n", 27);
  scanning_close(s);
}
END_TEST

START_TEST(what_cannot_be_kept_is_left_out)
{
  static char long_value[300000];
  memset(long_value, 'v', sizeof long_value);
  smtpf_scan_edit edits[70];
  for (size_t i = 0; i < 70; i++)
    edits[i] = (smtpf_scan_edit){sizeof edits[i], SMTPF_EDIT_APPEND, SMTPF_LIT("X-Long"), {long_value, 4096}, 0};
  edits[0].value.n = sizeof long_value;
  scanning_begin();
  F.result = (smtpf_scan_result){.status = SMTPF_SCAN_CLEAN, .seen = UINT64_MAX, .edits = edits, .n_edits = 70};
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250); /* else this mail would be put off for ever, by no budget (promise L7) */
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 63);
  scanning_close(s);
}
END_TEST

START_TEST(who_cannot_begin_is_unknown)
{
  scanning_begin();
  F.open_error = SMTPF_EIO;
  smtpf_session *s = scanning_data(CAN, 1);
  ck_assert_int_eq(A.result, SMTPF_EIO);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  scanning_close(s);

  scanning_begin();
  F.start_error = SMTPF_EINVAL;
  s = scanning_data(CAN, 1);
  ck_assert_int_eq(A.result, SMTPF_EIO);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  scanning_close(s);
}
END_TEST

START_TEST(given_up_and_cancelled)
{
  scanning_begin();
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  scanning_close(s); /* in the middle of the message */

  scanning_begin();
  A.cancels = 1;
  s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  scanning_close(s);

  scanning_begin();
  F.silent = 1;
  s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_PENDING);
  smtpf_session_abort(s);
  ck_assert_int_eq(F.closes, 1);
  scanning_close(s);
}
END_TEST

START_TEST(an_engine_s_scanners_end_with_its_last_session)
{
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *other;
  scanning_begin();
  smtpf_session *s = scanning_data(CAN, 1);
  ck_assert_int_eq(smtpf_engine_new(&other, scanning_world.cfg, &err), SMTPF_OK);
  smtpf_driver_set_engine(scanning_world.driver, other);
  ck_assert_int_eq(F.stops, 0); /* its session goes on */
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  smtpf_session_free(s);
  ck_assert_int_eq(F.stops, 1);
  smtpf_engine_unref(other);
  world_end(&scanning_world);
  ck_assert_int_eq(F.starts, 1);
}
END_TEST

START_TEST(a_finding_about_one_recipient)
{
  scanning_begin();
  A.recipient = 2;
  F.result = (smtpf_scan_result){.status = SMTPF_SCAN_HIT, .name = SMTPF_LIT("x")};
  smtpf_session *s = scanning_data(CAN | EACH, 2);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  (void)scanning_end(s);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_DELIVERED);
  ck_assert_int_eq(world_disposition(s, 1), SMTPF_QUARANTINED); /* one reply for both */
  scanning_close(s);
}
END_TEST

static void expect_edit(const smtpf_session *s, size_t i, int op, const char *name, int occurrence)
{
  smtpf_edit_info e = {.size = sizeof e};
  ck_assert_int_eq(smtpf_verdict_edit(smtpf_session_verdict(s), i, &e), SMTPF_OK);
  ck_assert_int_eq(e.op, op);
  ck_assert_str_eq(e.name.p, name);
  ck_assert_int_eq(e.occurrence, occurrence);
  ck_assert_uint_eq(e.recipient, SIZE_MAX);
}

START_TEST(edits_that_a_scanner_wishes)
{
  static const char text[] = "X-Spam: 1\r\nTo: a\r\nx-spam: 2\r\nY: 1\r\nY: 2\r\nY: 3\r\nX-SPAM: 3\r\n\r\nx\r\n";
  const smtpf_scan_edit edits[] = {
      {sizeof *edits, SMTPF_EDIT_PREPEND, SMTPF_LIT("X-Spam"), SMTPF_LIT("no"), 0},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("Y"), SMTPF_LIT(""), 1},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("y"), SMTPF_LIT(""), -1},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("Y"), SMTPF_LIT(""), 3},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("Y"), SMTPF_LIT(""), 9},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("X-Spam"), SMTPF_LIT(""), 0},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("X-Spam"), SMTPF_LIT(""), 2},
      {sizeof *edits, SMTPF_EDIT_DELETE, SMTPF_LIT("Absent"), SMTPF_LIT(""), 0},
  };
  scanning_begin();
  F.result.edits = edits;
  F.result.n_edits = sizeof edits / sizeof *edits;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, text, sizeof text - 1, 5);
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 6);
  expect_edit(s, 0, SMTPF_EDIT_DELETE, "X-Spam", 3);
  expect_edit(s, 1, SMTPF_EDIT_DELETE, "X-Spam", 2);
  expect_edit(s, 2, SMTPF_EDIT_DELETE, "X-Spam", 1);
  expect_edit(s, 3, SMTPF_EDIT_DELETE, "y", 3);
  expect_edit(s, 4, SMTPF_EDIT_DELETE, "Y", 1);
  expect_edit(s, 5, SMTPF_EDIT_PREPEND, "X-Spam", 0);
  scanning_close(s);

  scanning_begin(); /* one recipient's edit, where headers are the same for all: left out */
  F.result.edits = edits;
  F.result.n_edits = 1;
  A.recipient = 2;
  s = scanning_data(CAN, 2);
  scanning_tell(s, text, sizeof text - 1, 5);
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 0);
  scanning_close(s);
}
END_TEST

static int wish_badly(void *self, smtpf_task *t, const smtpf_event *ev)
{
  const smtpf_str v = SMTPF_LIT("v");
  (void)self;
  (void)ev;
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT(""), v, 0, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT("A:"), v, 0, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT("A B"), v, 0, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT("A"), SMTPF_LIT("v\r\nB: c"), 0, 0), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_PREPEND, SMTPF_LIT("A"), v, 0, 2), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_task_edit(t, 9, SMTPF_LIT("A"), v, 0, 0), SMTPF_EINVAL);
  for (int i = 0; i < 64; i++)
    ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_APPEND, SMTPF_LIT("A"), v, 0, 0), SMTPF_OK);
  ck_assert_int_eq(smtpf_task_edit(t, SMTPF_EDIT_APPEND, SMTPF_LIT("A"), v, 0, 0), SMTPF_ELIMIT);
  return SMTPF_OK;
}

START_TEST(edits_that_are_none)
{
  scanning_begin();
  scanning_world.checks[0].run = wish_badly;
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  ck_assert_uint_eq(smtpf_verdict_edit_count(smtpf_session_verdict(s)), 64);
  scanning_close(s);
}
END_TEST

START_TEST(the_host_s_own_file)
{
  scanning_begin();
  memcpy(D.bytes, "A: b\r\n\r\nx\r\n", 11);
  world_start(&scanning_world);
  smtpf_session *s = world_greeted(&scanning_world, CAN);
  ck_assert_int_eq(smtpf_session_spool(s, 5), SMTPF_ESTATE);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_spool(s, -1), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_session_spool(s, 5), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  F.silent = 1;
  ck_assert_int_eq(smtpf_op_scan_fd(scanning_world.driver, F.op), -1); /* not whole yet */
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_PENDING);
  ck_assert_int_eq(smtpf_op_scan_fd(scanning_world.driver, F.op), 5);
  ck_assert_mem_eq(F.text, "A: b\r\n\r\nx\r\n", 11);
  ck_assert_int_eq(D.opens, 0);
  smtpf_session_abort(s);
  scanning_close(s);
}
END_TEST

START_TEST(a_file_for_who_asks)
{
  scanning_begin();
  F.silent = 1;
  char *m = scanning_message(40000);
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_tell(s, m, 40000, 999);
  ck_assert_int_eq(smtpf_session_eom(s), SMTPF_PENDING);
  ck_assert_int_eq(D.opens, 0);
  ck_assert_int_eq(smtpf_op_scan_fd(scanning_world.driver, F.op), 77);
  ck_assert_mem_eq(D.bytes, m, 40000);
  free(m);
  smtpf_session_abort(s);
  scanning_close(s);
}
END_TEST

/* The second tier is spared when the first has decided for everybody. */
START_TEST(virus_before_spam)
{
  scanning_begin();
  A.finding.flags = SMTPF_FINDING_REFUSE;
  F.result = (smtpf_scan_result){.status = SMTPF_SCAN_HIT, .name = SMTPF_LIT("x")};
  world_start(&scanning_world);
  smtpf_session *s = world_greeted(&scanning_world, CAN);
  (void)world_mail(s, "<from@client.example>");
  (void)world_rcpt(s, "<a@x.example>");
  (void)smtpf_session_data(s);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 550);
  ck_assert_int_eq(A.skips, 0);
  scanning_close(s);

  scanning_begin(); /* the recipient always takes mail from this sender: a score changes nothing */
  world_set(&scanning_world, "profiles[\"default\"].allow", "@client.example");
  s = scanning_data(CAN, 1);
  ck_assert_int_eq(A.skips, 1);
  ck_assert_int_eq(F.opens, 0);
  scanning_tell(s, "A: b\r\n\r\nx\r\n", 11, 3);
  ck_assert_int_eq(scanning_end(s), 250);
  scanning_close(s);
}
END_TEST

static void count_down(void *user, const char *name, uint64_t value)
{
  unsigned *told = user;
  *told += strcmp(name, "scanner.s.down.192.0.2.1:3310") == 0 && value == 1;
}

START_TEST(an_instance_has_counters)
{
  unsigned told = 0;
  scanning_begin();
  smtpf_session *s = scanning_data(CAN, 1);
  smtpf_driver_stats(scanning_world.driver, count_down, &told);
  ck_assert_uint_eq(told, 1);
  scanning_close(s);

  scanning_begin(); /* one that nothing has asked yet has none */
  told = 0;
  world_start(&scanning_world);
  smtpf_driver_stats(scanning_world.driver, count_down, &told);
  ck_assert_uint_eq(told, 0);
  world_end(&scanning_world);
}
END_TEST

START_TEST(instances_that_do_not_load)
{
  smtpf_error err = {.size = sizeof err};
  scanning_begin();
  world_set(&scanning_world, "scanners[\"s\"].type", "telepathy");
  ck_assert_int_eq(world_try_start(&scanning_world), SMTPF_ENOTFOUND);
  world_set(&scanning_world, "scanners[\"s\"].type", "fake");
  world_set(&scanning_world, "scanners[\"s\"].colour", "none");
  ck_assert_int_eq(world_try_start(&scanning_world), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_config_set(scanning_world.cfg, "scanners[\"s\"].colour", "red", &err), SMTPF_OK);
  const smtpf_scanner bad = {sizeof bad - 1, "bad", NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
  ck_assert_int_eq(smtpf_config_add_scanner(scanning_world.cfg, &bad, NULL), SMTPF_EINVAL);
  ck_assert_int_eq(smtpf_config_add_scanner(scanning_world.cfg, &scanning_fake, &F), SMTPF_OK); /* in its own place */
  smtpf_session *s = scanning_data(CAN, 1);
  scanning_close(s);
}
END_TEST

/* ---- pieces
 * ----------------------------------------------------------------------------------------------------------
 */

static char pieces_seen[4096];

static void on_piece(void *self, smtpf_task *t, const smtpf_piece *p)
{
  static const char *const kinds[] = {"?", "field", "begin", "data", "text", "end", "outside", "defect"};
  char line[600];
  (void)self;
  (void)t;
  ck_assert_uint_eq(p->size, sizeof *p);
  if (p->kind == SMTPF_PIECE_DATA)
    return; /* cut as the walker likes */
  const smtpf_str what = p->kind == SMTPF_PIECE_BEGIN ? p->part->type : p->bytes;
  snprintf(line, sizeof line, "%u %s %.*s %.*s\n", p->index, kinds[p->kind], (int)p->name.n, p->name.p ? p->name.p : "",
           (int)what.n, what.p ? what.p : "");
  ck_assert_uint_lt(strlen(pieces_seen) + strlen(line), sizeof pieces_seen);
  strcat(pieces_seen, line);
}

static int wait_for_all(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  (void)ev;
  return SMTPF_PENDING;
}

static int all_seen(void *self, smtpf_task *t)
{
  (void)self;
  smtpf_task_seen(t, UINT64_MAX);
  return smtpf_task_clear(t, "read");
}

START_TEST(pieces_are_the_same_however_it_is_cut)
{
  static const char text[] =
      "Subject: =?utf-8?Q?caf=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
      "--b\r\nContent-Type: text/html\r\n\r\n<p>V<b></b>I</p>\r\n"
      "--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n";
  char first[sizeof pieces_seen] = "";
  static const size_t cuts[] = {1, 7, 1000};
  for (size_t i = 0; i < 3; i++) {
    scanning_begin();
    pieces_seen[0] = '\0';
    scanning_world.checks[0].run = wait_for_all;
    scanning_world.checks[0].content = on_piece;
    scanning_world.checks[0].finish = all_seen;
    smtpf_session *s = scanning_data(CAN, 1);
    scanning_tell(s, text, sizeof text - 1, cuts[i]);
    ck_assert_int_eq(scanning_end(s), 250);
    scanning_close(s);
    if (!i)
      memcpy(first, pieces_seen, sizeof first);
    ck_assert_str_eq(pieces_seen, first);
  }
  ck_assert(strstr(first, "0 field Subject caf\xc3\xa9\n"));
  ck_assert(strstr(first, "0 begin  multipart/mixed\n"));
  ck_assert(strstr(first, "1 begin  text/html\n1 text  VI"));
  ck_assert(strstr(first, "2 text  hello\n2 end"));
}
END_TEST

TCase *scanning_cases(void)
{
  TCase *c = tcase_create("scanning");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, every_byte_in_order_however_slow);
  tcase_add_test(c, a_hit_refuses_and_clean_needs_all_of_it);
  tcase_add_test(c, it_may_know_before_the_end);
  tcase_add_test(c, silence_is_unknown);
  tcase_add_test(c, no_room_in_the_spool_is_unknown);
  tcase_add_test(c, not_knowing_asks_for_quarantine_or_a_mark);
  tcase_add_test(c, room_that_is_given_inside_feed);
  tcase_add_test(c, what_cannot_be_kept_is_left_out);
  tcase_add_test(c, who_cannot_begin_is_unknown);
  tcase_add_test(c, given_up_and_cancelled);
  tcase_add_test(c, an_engine_s_scanners_end_with_its_last_session);
  tcase_add_test(c, a_finding_about_one_recipient);
  tcase_add_test(c, edits_that_a_scanner_wishes);
  tcase_add_test(c, edits_that_are_none);
  tcase_add_test(c, the_host_s_own_file);
  tcase_add_test(c, a_file_for_who_asks);
  tcase_add_test(c, virus_before_spam);
  tcase_add_test(c, an_instance_has_counters);
  tcase_add_test(c, instances_that_do_not_load);
  tcase_add_test(c, pieces_are_the_same_however_it_is_cut);
  return c;
}
