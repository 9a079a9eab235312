/* SPDX-License-Identifier: MIT
 *
 * Checks that read the message while it comes: every byte once and in order, however it is cut; who is slow slows the
 * host down; who has not seen all says nothing good.
 */
#include <stdlib.h>
#include <string.h>

#include "core_world.h"
#include "test_core.h"

enum { CAN = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_REPORT_COMMIT, MOST = 4096 };

static world W;

/* A check that keeps what it reads: at most `gulp` bytes before it rests for a millisecond; 0 for all. */
static struct reader {
  char text[MOST];
  size_t n, gulp, since;
  size_t blind; /* bytes it only pretends to have seen */
  int finished, ends_later;
  smtpf_finding finding;
} readers[2];

static struct reader *reader_of(void *self)
{
  return &readers[(script *)self - W.scripts];
}

static int begin(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)t;
  ck_assert_int_eq(ev->stage, SMTPF_BODY);
  return SMTPF_PENDING;
}

static size_t feed(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  struct reader *r = reader_of(self);
  size_t take = n;
  if (r->gulp && take > r->gulp - r->since)
    take = r->gulp - r->since;
  ck_assert_uint_le(r->n + take, MOST);
  memcpy(r->text + r->n, bytes, take);
  r->n += take;
  r->since += take;
  smtpf_task_seen(t, r->n - (r->blind < r->n ? r->blind : r->n));
  if (take < n)
    ck_assert_int_eq(smtpf_task_timer(t, 1, 7), SMTPF_OK);
  return take;
}

static int say(struct reader *r, smtpf_task *t)
{
  return smtpf_task_report(t, &r->finding);
}

static int finish(void *self, smtpf_task *t)
{
  struct reader *r = reader_of(self);
  r->finished++;
  if (!r->ends_later)
    return say(r, t);
  ck_assert_int_eq(smtpf_task_timer(t, 5, 9), SMTPF_OK);
  return SMTPF_PENDING;
}

static int wake(void *self, smtpf_task *t, const smtpf_answer *a)
{
  struct reader *r = reader_of(self);
  if (a->tag == 9)
    return say(r, t);
  r->since = 0;
  return SMTPF_PENDING;
}

static void begin_world(size_t n)
{
  memset(readers, 0, sizeof readers);
  world_init(&W);
  for (size_t i = 0; i < n; i++) {
    (void)world_check(&W, i ? "second" : "first", SMTPF_BODY, (int)i);
    smtpf_check *c = &W.checks[W.n_checks - 1];
    c->run = begin;
    c->resume = wake;
    c->feed = feed;
    c->finish = finish;
    c->family = SMTPF_FAMILY_CONTENT;
    c->failure = SMTPF_FINDING_ELECTIVE;
    readers[i].finding = (smtpf_finding){.size = sizeof(smtpf_finding), .kind = SMTPF_CLEAR, .code = "clean"};
  }
  world_start(&W);
}

static smtpf_session *in_data(void)
{
  smtpf_session *s = world_greeted(&W, CAN);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  return s;
}

/* Tells the message in pieces of `piece` bytes, waiting whenever somebody is full. How often it waited. */
static int tell(smtpf_session *s, const char *text, size_t piece)
{
  const size_t n = strlen(text);
  int waits = 0;
  for (size_t at = 0, taken; at < n; at += taken) {
    const size_t offer = n - at < piece ? n - at : piece;
    const int r = smtpf_session_body(s, text + at, offer, &taken);
    if (r == SMTPF_OK) {
      ck_assert_uint_eq(taken, offer);
      continue;
    }
    ck_assert_int_eq(r, SMTPF_PENDING);
    ck_assert_uint_lt(taken, offer);
    ck_assert_int_eq(smtpf_session_wait(s, 1000), SMTPF_OK);
    ck_assert_int_lt(++waits, 10000);
  }
  return waits;
}

static int end_message(smtpf_session *s)
{
  if (smtpf_session_eom(s) == SMTPF_PENDING)
    ck_assert_int_eq(smtpf_session_wait(s, 1000), SMTPF_OK);
  return world_code(s);
}

static void close_world(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&W);
}

static const char message[] = "Subject: x\r\n\r\nThe quick brown fox jumps over the lazy dog, twice.\r\n";

START_TEST(every_byte_once_however_it_is_cut)
{
  static const size_t pieces[] = {1, 2, 7, 30, sizeof message}, gulps[] = {0, 1, 5, 64};
  for (size_t p = 0; p < 5; p++)
    for (size_t g = 0; g < 4; g++)
      for (size_t h = 0; h < 4; h++) {
        begin_world(2);
        readers[0].gulp = gulps[g];
        readers[1].gulp = gulps[h];
        readers[1].ends_later = 1;
        smtpf_session *s = in_data();
        const int waits = tell(s, message, pieces[p]);
        ck_assert(waits > 0 || (g != 1 && g != 2 && h != 1 && h != 2) || pieces[p] == 1);
        ck_assert_int_eq(end_message(s), 250);
        for (size_t i = 0; i < 2; i++) {
          ck_assert_uint_eq(readers[i].n, sizeof message - 1);
          ck_assert_mem_eq(readers[i].text, message, sizeof message - 1);
          ck_assert_int_eq(readers[i].finished, 1);
        }
        close_world(s);
      }
}
END_TEST

START_TEST(a_hit_counts_and_clean_needs_all_of_it)
{
  begin_world(1);
  readers[0].finding.kind = SMTPF_HIT;
  readers[0].finding.score = 20000;
  smtpf_session *s = in_data();
  tell(s, message, 9);
  ck_assert_int_eq(end_message(s), 550);
  close_world(s);

  begin_world(1);
  readers[0].blind = 1; /* says clean, one byte short: unknown (promise L4); this world's store has no budget (L7) */
  s = in_data();
  tell(s, message, 9);
  ck_assert_int_eq(end_message(s), 250);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED);
  close_world(s);

  begin_world(1);
  readers[0].blind = 1;
  readers[0].finding.kind = SMTPF_HIT; /* a hit stays one, whatever was not seen */
  readers[0].finding.score = 20000;
  s = in_data();
  tell(s, message, 9);
  ck_assert_int_eq(end_message(s), 550);
  close_world(s);
}
END_TEST

START_TEST(who_never_goes_on_is_unknown)
{
  begin_world(1);
  readers[0].ends_later = 1;
  W.checks[0].finish = NULL; /* nothing is reported: neither clear nor hit */
  smtpf_session *s = in_data();
  tell(s, message, 9);
  ck_assert_int_eq(end_message(s), 250);
  close_world(s);
}
END_TEST

/* It is given up at every moment, with a timer running or not. */
START_TEST(given_up)
{
  for (int how = 0; how < 5; how++)
    for (size_t gulp = 0; gulp < 6; gulp += 5) {
      size_t taken;
      begin_world(2);
      readers[0].gulp = gulp;
      readers[0].ends_later = readers[1].ends_later = 1;
      smtpf_session *s = in_data();
      (void)smtpf_session_body(s, message, 20, &taken);
      if (how == 0)
        ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
      else if (how == 1)
        ck_assert_int_eq(smtpf_session_abort(s), SMTPF_OK);
      else if (how == 2)
        ck_assert_int_eq(smtpf_session_violation(s, 554, SMTPF_LIT("5.6.0"), SMTPF_LIT("no")), SMTPF_OK);
      else if (how == 3)
        ck_assert_int_eq(smtpf_session_eom(s), gulp ? SMTPF_ESTATE : SMTPF_PENDING); /* freed while it is waited for */
      else if (how == 4)
        ck_assert_int_eq(smtpf_session_quit(s), SMTPF_OK);
      if (how == 2 || how == 4) /* nothing is waited for any more */
        ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_OK);
      close_world(s);
    }
}
END_TEST

START_TEST(too_large_is_read_by_nobody)
{
  begin_world(1);
  world_end(&W);
  memset(readers, 0, sizeof readers);
  world_init(&W);
  world_set(&W, "limits.message", "1024");
  (void)world_check(&W, "first", SMTPF_BODY, 0);
  W.checks[0].run = begin;
  W.checks[0].feed = feed;
  world_start(&W);
  smtpf_session *s = in_data();
  for (int i = 0; i < 40; i++)
    tell(s, message, sizeof message);
  ck_assert_int_eq(end_message(s), 552);
  ck_assert_uint_lt(readers[0].n, 1200);
  ck_assert_int_eq(readers[0].finished, 0);
  close_world(s);
}
END_TEST

/* The piece that makes it too large is taken in part: nobody would ask for the rest any more. */
START_TEST(too_large_in_the_middle_of_a_piece)
{
  char large[1400];
  size_t taken = 0;
  memset(large, 'x', sizeof large);
  memcpy(large, "\r\n", 2);
  memset(readers, 0, sizeof readers);
  world_init(&W);
  world_set(&W, "limits.message", "1024");
  (void)world_check(&W, "first", SMTPF_BODY, 0);
  W.checks[0].run = begin;
  W.checks[0].feed = feed;
  W.checks[0].resume = wake;
  readers[0].gulp = 1200;
  world_start(&W);
  smtpf_session *s = in_data();
  ck_assert_int_eq(smtpf_session_body(s, large, sizeof large, &taken), SMTPF_OK);
  ck_assert_uint_eq(taken, sizeof large);
  ck_assert_int_eq(end_message(s), 552);
  close_world(s);
}
END_TEST

/* Who has not said that there is a message to see learns that nobody looks at it: it must not pass for clean. */
START_TEST(a_host_that_sees_no_message)
{
  size_t taken = 7;
  begin_world(1);
  smtpf_session *s = world_session(&W, SMTPF_CAN_EDIT, SMTPF_SMTP);
  ck_assert_int_eq(world_connect(s, "192.0.2.25"), SMTPF_OK);
  ck_assert_int_eq(world_helo(s, "mail.example.org"), SMTPF_OK);
  ck_assert_int_eq(world_mail(s, "<a@example.org>"), SMTPF_OK);
  ck_assert_int_eq(world_rcpt(s, "<b@example.net>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_body(s, message, sizeof message - 1, &taken), SMTPF_EUNSUPPORTED);
  ck_assert_uint_eq(taken, 7);
  ck_assert_uint_eq(readers[0].n, 0);
  ck_assert_int_eq(end_message(s), 250);
  close_world(s);
}
END_TEST

/* A finding that is lost while the message comes is not nothing found, whatever is said in between (promise L4). */
static int lose(void *self, smtpf_task *t, const smtpf_event *ev)
{
  smtpf_finding hit = finding_hit(20000);
  char detail[4096] = {0};
  (void)self;
  (void)ev;
  hit.detail = (smtpf_str){detail, sizeof detail};
  W.fail_at = W.allocations + 1;
  (void)smtpf_task_report(t, &hit);
  W.fail_at = 0;
  return SMTPF_PENDING;
}

START_TEST(a_finding_is_lost_on_the_way)
{
  for (int noop = 0; noop < 2; noop++) {
    begin_world(1);
    W.checks[0].run = lose;
    smtpf_session *s = in_data();
    tell(s, message, 9);
    if (noop) /* between two BDAT */
      ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_OK);
    ck_assert_int_eq(end_message(s), 451);
    ck_assert_int_eq(smtpf_session_reset(s), SMTPF_OK);
    W.checks[0].run = begin; /* the next one has nothing to do with it */
    readers[0].n = 0;
    ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
    EXPECT_CODE(s, 250);
    close_world(s);
  }
}
END_TEST

/* Waits for the store before it takes more than five bytes. */
static int ask(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  (void)ev;
  ck_assert_int_eq(smtpf_task_get(t, SMTPF_LIT("key"), 0), SMTPF_OK);
  return SMTPF_PENDING;
}

static size_t sip(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  struct reader *r = reader_of(self);
  (void)t;
  (void)bytes;
  const size_t take = r->gulp && n > r->gulp ? r->gulp : n;
  r->n += take;
  return take;
}

static int go_on(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)t;
  (void)a;
  reader_of(self)->gulp = 0;
  return SMTPF_PENDING;
}

static void answer_store(size_t i)
{
  ck_assert_int_eq(smtpf_op_store(W.driver, W.store_asked[i].op, SMTPF_STORE_ABSENT, (smtpf_str){NULL, 0}), SMTPF_OK);
}

/* An answer that came while the host was about to be told something else, or said something else, is not lost. */
START_TEST(an_answer_beside_another_event)
{
  for (int noop = 0; noop < 2; noop++) {
    size_t taken;
    begin_world(2);
    for (size_t i = 0; i < 2; i++) {
      W.checks[i].run = ask;
      W.checks[i].feed = sip;
      W.checks[i].resume = go_on;
      readers[i].gulp = 5;
    }
    W.hold = 1;
    smtpf_session *s = in_data();
    ck_assert_uint_eq(W.n_store, 2);
    if (noop) {
      answer_store(0);
      answer_store(1);
      ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_OK);
    } else {
      ck_assert_int_eq(smtpf_session_body(s, message, 20, &taken), SMTPF_PENDING);
      ck_assert_uint_eq(taken, 5);
      answer_store(0);
      ck_assert_int_eq(smtpf_driver_process(W.driver), 1);
      answer_store(1);
      ck_assert_ptr_eq(smtpf_driver_next(W.driver), s);
    }
    ck_assert_int_eq(smtpf_session_body(s, message, 15, &taken), SMTPF_OK);
    ck_assert_uint_eq(taken, 15);
    close_world(s);
  }
}
END_TEST

/* A port that never answers holds the client up no longer than check.timeout. */
START_TEST(a_port_that_never_answers)
{
  size_t taken;
  begin_world(1);
  W.checks[0].run = ask;
  W.checks[0].feed = sip;
  readers[0].gulp = 5;
  W.hold = 1;
  smtpf_session *s = in_data();
  ck_assert_int_eq(smtpf_session_body(s, message, 20, &taken), SMTPF_PENDING);
  ck_assert_uint_eq(taken, 5);
  ck_assert_int_eq(smtpf_session_wait(s, W.engine->limits.check_timeout + 1), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_body(s, message, 15, &taken), SMTPF_OK);
  ck_assert_uint_eq(world_stat(&W, "checks.timeout"), 1);
  W.hold = 0;
  ck_assert_int_eq(end_message(s), 250);
  ck_assert_int_eq(world_disposition(s, 0), SMTPF_TAGGED); /* unknown, and this world's store has no budget */
  close_world(s);
}
END_TEST

/* What a check may ask and leave at other stages it may here, whatever the session was told last. */
static int finish_asking(void *self, smtpf_task *t)
{
  const smtpf_change c = {.size = sizeof c, .op = SMTPF_CHANGE_DELETE, .key = SMTPF_LIT("key")};
  ck_assert_int_eq(smtpf_task_greylists(t), 0);
  ck_assert_int_eq(smtpf_task_settle(t, &c, 1), SMTPF_OK);
  return finish(self, t);
}

static size_t feed_asking(void *self, smtpf_task *t, const char *bytes, size_t n)
{
  const smtpf_change c = {.size = sizeof c, .op = SMTPF_CHANGE_DELETE, .key = SMTPF_LIT("key")};
  ck_assert_int_eq(smtpf_task_settle(t, &c, 1), SMTPF_OK);
  return feed(self, t, bytes, n);
}

START_TEST(who_reads_may_ask_what_others_may)
{
  size_t taken;
  begin_world(1);
  W.checks[0].feed = feed_asking;
  W.checks[0].finish = finish_asking;
  smtpf_session *s = in_data();
  ck_assert_int_eq(smtpf_session_body(s, message, 9, &taken), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_command(s, SMTPF_LIT("NOOP")), SMTPF_OK); /* between two BDAT */
  ck_assert_int_eq(smtpf_session_body(s, message + 9, sizeof message - 10, &taken), SMTPF_OK);
  ck_assert_int_eq(end_message(s), 250);
  close_world(s);
}
END_TEST

/* The ready callback says that the message may go on; the next piece is told inside it. */
static size_t told;
static void ready(void *user, smtpf_session *s)
{
  size_t taken;
  (void)user;
  while (told < sizeof message - 1) {
    const int r = smtpf_session_body(s, message + told, sizeof message - 1 - told, &taken);
    told += taken;
    if (r == SMTPF_PENDING)
      return;
  }
}

START_TEST(by_callback)
{
  begin_world(1);
  readers[0].gulp = 5;
  told = 0;
  smtpf_session *s = in_data();
  smtpf_driver_set_ready(W.driver, ready, NULL);
  ready(NULL, s);
  for (int i = 0; i < 100 && told < sizeof message - 1; i++) {
    W.now_ns += 2000000;
    ck_assert_int_ge(smtpf_driver_process(W.driver), 0);
  }
  ck_assert_uint_eq(readers[0].n, sizeof message - 1);
  smtpf_driver_set_ready(W.driver, NULL, NULL);
  ck_assert_int_eq(end_message(s), 250);
  close_world(s);
}
END_TEST

TCase *scan_cases(void)
{
  TCase *c = tcase_create("scan");
  tcase_set_timeout(c, 120);
  tcase_add_test(c, every_byte_once_however_it_is_cut);
  tcase_add_test(c, a_hit_counts_and_clean_needs_all_of_it);
  tcase_add_test(c, who_never_goes_on_is_unknown);
  tcase_add_test(c, given_up);
  tcase_add_test(c, a_host_that_sees_no_message);
  tcase_add_test(c, too_large_is_read_by_nobody);
  tcase_add_test(c, too_large_in_the_middle_of_a_piece);
  tcase_add_test(c, a_finding_is_lost_on_the_way);
  tcase_add_test(c, an_answer_beside_another_event);
  tcase_add_test(c, a_port_that_never_answers);
  tcase_add_test(c, who_reads_may_ask_what_others_may);
  tcase_add_test(c, by_callback);
  return c;
}
