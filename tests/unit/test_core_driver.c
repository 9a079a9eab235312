/* SPDX-License-Identifier: MIT
 *
 * The driver: who is woken, when, and what may happen in a callback.
 */
#include <string.h>

#include "core_world.h"
#include "test_core.h"

static world W;

/* A world with one check that asks the DNS at HELO and waits for it. */
static world *asking(void)
{
  world_init(&W);
  script *c = world_check(&W, "asks", SMTPF_HELO, 2);
  c->run = script_query;
  c->resume = script_hit;
  c->finding = finding_hit(1000);
  world_start(&W);
  W.hold = 1;
  return &W;
}

/* A session that waits for its own question at HELO. */
static smtpf_session *pending(world *w, const char *name)
{
  smtpf_session *s = world_connected(w, 0);
  ck_assert_int_eq(world_helo(s, name), SMTPF_PENDING);
  ck_assert_ptr_null(smtpf_session_verdict(s));
  return s;
}

static void sleep_for(world *w, int64_t timeout_ms)
{
  if (timeout_ms > 0)
    w->now_ns += (uint64_t)timeout_ms * 1000000u;
}

/* ---- wait ---- */

static void answer_second_question(world *w, int64_t timeout_ms)
{
  if (w->n_dns == 2) {
    w->n_dns = 3; /* once */
    world_dns(w, 1, SMTPF_DNS_OK, 60);
    w->now_ns += 1000000;
    return;
  }
  sleep_for(w, timeout_ms);
}

START_TEST(wait_sleeps_while_another_is_ready)
{
  world *w = asking();
  smtpf_session *a = pending(w, "a.example"), *b = pending(w, "b.example");
  w->on_wait = answer_second_question;
  const uint64_t before = w->now_ns;
  ck_assert_int_eq(smtpf_session_wait(a, 1000), SMTPF_ETIMEOUT);
  ck_assert_uint_ge(w->now_ns, before + 1000000000u);
  ck_assert_int_le(w->waits, 4);
  EXPECT_CODE(b, 250); /* queued, not told */
  EXPECT_CODE(a, 0);   /* a timeout is no verdict */
  ck_assert_ptr_eq(smtpf_driver_next(w->driver), b);
  ck_assert_ptr_null(smtpf_driver_next(w->driver));
  w->on_wait = NULL;
  ck_assert_int_eq(smtpf_session_wait(a, -1), SMTPF_OK); /* as long as the check's own deadline takes */
  EXPECT_CODE(a, 250);
  ck_assert_ptr_null(smtpf_driver_next(w->driver));
  smtpf_session_free(a);
  smtpf_session_free(b);
  world_end(w);
}
END_TEST

START_TEST(wait_for_who_is_ready_takes_it_from_the_queue)
{
  world *w = asking();
  smtpf_session *a = pending(w, "a.example"), *b = pending(w, "b.example");
  w->on_wait = answer_second_question;
  ck_assert_int_eq(smtpf_session_wait(a, 10), SMTPF_ETIMEOUT);
  ck_assert_int_eq(smtpf_session_wait(b, 10), SMTPF_OK);
  ck_assert_ptr_null(smtpf_driver_next(w->driver));
  smtpf_session_free(a);
  smtpf_session_free(b);
  world_end(w);
}
END_TEST

static void answer_first(world *w, int64_t timeout_ms)
{
  (void)timeout_ms;
  if (w->n_dns == 1) {
    world_dns(w, 0, SMTPF_DNS_OK, 60);
    w->n_dns = 0;
  }
}

START_TEST(wait_of_nothing_looks_once)
{
  world *w = asking();
  smtpf_session *a = pending(w, "a.example");
  w->on_wait = answer_first;
  ck_assert_int_eq(smtpf_session_wait(a, 0), SMTPF_OK);
  EXPECT_CODE(a, 250);
  ck_assert_int_eq(smtpf_session_wait(a, 0), SMTPF_OK);
  smtpf_session_free(a);
  world_end(w);
}
END_TEST

START_TEST(wait_refuses)
{
  world *w = asking();
  smtpf_session *a = world_session(w, 0, SMTPF_SMTP);
  ck_assert_int_eq(smtpf_session_wait(a, 0), SMTPF_ESTATE);
  ck_assert_int_eq(world_connect(a, "192.0.2.1"), SMTPF_OK);
  ck_assert_int_eq(world_helo(a, "a.example"), SMTPF_PENDING);
  w->pid = 2;
  ck_assert_int_eq(smtpf_session_wait(a, 0), SMTPF_EFORK);
  ck_assert_int_eq(smtpf_driver_process(w->driver), SMTPF_EFORK);
  smtpf_session *b = NULL;
  ck_assert_int_eq(smtpf_session_new(&b, w->driver, NULL), SMTPF_EFORK);
  smtpf_driver_free(w->driver); /* does nothing: it is the parent's */
  ck_assert_int_eq(w->stops, 0);
  w->pid = 1;
  w->wait_error = SMTPF_EIO;
  w->on_wait = sleep_for;
  ck_assert_int_eq(smtpf_session_wait(a, 10), SMTPF_EIO);
  EXPECT_CODE(a, 0);
  smtpf_session_free(a);
  world_end(w);
}
END_TEST

/* ---- timers of ports and hosts ---- */

typedef struct ticker {
  world *w;
  smtpf_session *s;
  int fired, result, free_it;
} ticker;

static void tick(void *user)
{
  ticker *t = user;
  t->fired++;
  if (t->free_it) {
    smtpf_session_free(t->s);
    return;
  }
  if (t->s)
    t->result = smtpf_session_command(t->s, SMTPF_LIT("NOOP"));
}

START_TEST(a_timer_during_wait_may_not_tell_events)
{
  world *w = asking();
  smtpf_session *a = pending(w, "a.example"), *b = world_connected(w, 0);
  ticker t = {.w = w, .s = b};
  smtpf_op op;
  ck_assert_int_eq(smtpf_driver_timer(w->driver, 5, tick, &t, &op), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_wait(a, 100), SMTPF_ETIMEOUT);
  ck_assert_int_eq(t.fired, 1);
  ck_assert_int_eq(t.result, SMTPF_EBUSY);
  ck_assert_int_eq(smtpf_driver_timer_cancel(w->driver, op), SMTPF_ENOTFOUND);
  smtpf_session_free(a);
  smtpf_session_free(b);
  world_end(w);
}
END_TEST

START_TEST(a_timer_in_process_may_tell_events_and_free)
{
  world *w = asking();
  smtpf_session *a = pending(w, "a.example"), *b = world_connected(w, 0);
  ticker frees = {.w = w, .s = a, .free_it = 1}, tells = {.w = w, .s = b, .result = -99}, never = {.w = w};
  smtpf_op op, last;
  ck_assert_int_eq(smtpf_driver_timer(w->driver, 5, tick, &frees, &op), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_timer(w->driver, 5, tick, &tells, &op), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_timer(w->driver, 5, tick, &never, &last), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_timer_cancel(w->driver, last), SMTPF_OK);
  ck_assert_int_eq(smtpf_driver_timer_cancel(w->driver, last), SMTPF_ENOTFOUND);
  ck_assert_int_eq(smtpf_driver_deadline(w->driver), 5);
  ck_assert_int_eq(smtpf_driver_process(w->driver), 0);
  ck_assert_int_eq(frees.fired + tells.fired, 0);
  world_dns(w, 0, SMTPF_DNS_OK, 60); /* outside any call: who is freed had an answer */
  w->now_ns += 5000000;
  ck_assert_int_eq(smtpf_driver_process(w->driver), 0);
  ck_assert_int_eq(frees.fired, 1);
  ck_assert_int_eq(tells.fired, 1);
  ck_assert_int_eq(never.fired, 0);
  ck_assert_int_eq(tells.result, SMTPF_OK);
  ck_assert_ptr_null(smtpf_driver_next(w->driver)); /* it was freed when it was ready */
  smtpf_session_free(b);
  world_end(w);
}
END_TEST

/* ---- deadlines ---- */

static int kind_of(const smtpf_session *s, size_t i, smtpf_evidence_info *info)
{
  info->size = sizeof *info;
  ck_assert_int_eq(smtpf_verdict_evidence(smtpf_session_verdict(s), i, info), SMTPF_OK);
  return info->kind;
}

START_TEST(an_answer_that_is_here_is_not_late)
{
  world *w = asking();
  smtpf_session *a = world_connected(w, 0);
  ck_assert_int_eq(world_helo(a, "a.example"), SMTPF_PENDING);
  w->now_ns += UINT64_C(60) * 1000000000; /* the host was busy for a minute */
  world_dns(w, 0, SMTPF_DNS_OK, 60);
  ck_assert_int_eq(smtpf_driver_process(w->driver), 1);
  EXPECT_CODE(a, 250);
  ck_assert_uint_eq(world_stat(w, "checks.timeout"), 0);
  smtpf_session_free(a);
  world_end(w);
}
END_TEST

START_TEST(a_deadline_is_unknown_and_cancels_the_question)
{
  world_init(&W);
  script *c = world_check(&W, "asks", SMTPF_MAIL, 2);
  c->run = script_query;
  world_set(&W, "check.timeout", "200ms");
  world_start(&W);
  smtpf_session *s = world_greeted(&W, 0);
  W.hold = 1;
  ck_assert_int_eq(world_mail(s, "<a@b.example>"), SMTPF_PENDING);
  ck_assert_int_eq(world_rcpt(s, "<a@x.example>"), SMTPF_EBUSY);
  ck_assert_int_eq(W.armed_ms, 200);
  ck_assert_int_eq(smtpf_driver_deadline(W.driver), 200);
  W.now_ns += 199u * 1000000u;
  ck_assert_int_eq(smtpf_driver_process(W.driver), 0);
  W.now_ns += 1000000u;
  ck_assert_int_eq(smtpf_driver_process(W.driver), 1);
  ck_assert_ptr_eq(smtpf_driver_next(W.driver), s);
  EXPECT_CODE(s, 250);
  smtpf_evidence_info info;
  ck_assert_int_eq(kind_of(s, 0, &info), SMTPF_UNKNOWN);
  ck_assert_str_eq(info.code.p, "timeout");
  ck_assert_uint_ge(info.elapsed_us, 200000);
  ck_assert_uint_eq(W.cancelled, 1);
  ck_assert_uint_eq(world_stat(&W, "checks.timeout"), 1);
  ck_assert_uint_eq(world_stat(&W, "checks.unknown"), 1);
  ck_assert_int_eq(c->resumes, 0);
  smtpf_session_free(s);
  world_end(&W);
}
END_TEST

/* ---- the ready callback ---- */

typedef struct host {
  world *w;
  smtpf_session *s[4];
  int told[4], order[16], n;
  int what; /* to do when told */
  int result;
} host;

enum { NOTHING = 0, FREE_IT, FREE_THE_OTHER, NEXT_OK, NEXT_PENDING, RE_ENTER };

static void ready(void *user, smtpf_session *s)
{
  host *h = user;
  int i = 0;
  while (h->s[i] != s)
    i++;
  h->told[i]++;
  h->order[h->n++] = i;
  switch (h->what) {
  case FREE_IT:
    smtpf_session_free(s);
    h->s[i] = NULL;
    break;
  case FREE_THE_OTHER:
    smtpf_session_free(h->s[1 - i]);
    h->s[1 - i] = NULL;
    break;
  case NEXT_OK: h->result = smtpf_session_command(s, SMTPF_LIT("NOOP")); break;
  case NEXT_PENDING:
    h->result = smtpf_session_helo(s, SMTPF_GREET_EHLO, SMTPF_LIT("again.example"));
    if (h->n > 4)
      ck_abort_msg("told for ever");
    break;
  case RE_ENTER:
    h->result = smtpf_driver_process(h->w->driver);
    ck_assert_int_eq(smtpf_session_wait(s, 0), SMTPF_EBUSY);
    break;
  default: break;
  }
}

static void two_answered(host *h, int what)
{
  *h = (host){.w = asking(), .what = what};
  smtpf_driver_set_ready(h->w->driver, ready, h);
  h->s[0] = pending(h->w, "same.example");
  h->s[1] = pending(h->w, "same.example"); /* joins the question */
  ck_assert_uint_eq(h->w->n_dns, 1);
  ck_assert_int_eq(smtpf_session_wait(h->s[0], 0), SMTPF_EBUSY);
  world_dns(h->w, 0, SMTPF_DNS_OK, 60); /* outside any call */
  ck_assert_int_eq(h->n, 0);            /* never from there */
  ck_assert_int_eq(h->w->armed_ms, 0);
  ck_assert_int_eq(smtpf_driver_deadline(h->w->driver), 0);
}

static void end_host(host *h)
{
  for (int i = 0; i < 4; i++)
    smtpf_session_free(h->s[i]);
  world_end(h->w);
}

START_TEST(ready_is_told_once_each)
{
  host h;
  two_answered(&h, NOTHING);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  ck_assert_int_eq(h.told[0] + h.told[1], 2);
  ck_assert_int_eq(h.order[0], 0);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 0);
  end_host(&h);
}
END_TEST

START_TEST(ready_may_free_it)
{
  host h;
  two_answered(&h, FREE_IT);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  end_host(&h);
}
END_TEST

START_TEST(ready_may_free_another_that_is_ready)
{
  host h;
  two_answered(&h, FREE_THE_OTHER);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 1);
  ck_assert_int_eq(h.told[1], 0);
  end_host(&h);
}
END_TEST

START_TEST(ready_may_tell_the_next_event)
{
  host h;
  two_answered(&h, NEXT_OK);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  ck_assert_int_eq(h.result, SMTPF_OK);
  EXPECT_CODE(h.s[0], 250);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 0); /* that one is answered already */
  end_host(&h);
}
END_TEST

START_TEST(ready_may_tell_an_event_that_waits)
{
  host h;
  two_answered(&h, NEXT_PENDING);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  ck_assert_int_eq(h.result, SMTPF_PENDING);
  EXPECT_CODE(h.s[0], 0);
  h.what = NOTHING;
  world_dns(h.w, 1, SMTPF_DNS_NXDOMAIN, 0);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  EXPECT_CODE(h.s[1], 250);
  end_host(&h);
}
END_TEST

START_TEST(ready_may_not_process)
{
  host h;
  two_answered(&h, RE_ENTER);
  ck_assert_int_eq(smtpf_driver_process(h.w->driver), 2);
  ck_assert_int_eq(h.result, SMTPF_EBUSY);
  end_host(&h);
}
END_TEST

/* A check that calls the library as a host would: refused, everywhere. */
static int reenters(script *self, smtpf_task *t, const smtpf_event *ev)
{
  smtpf_session *s = W.of_test;
  size_t taken;
  (void)ev;
  self->resumes += smtpf_session_command(s, SMTPF_LIT("NOOP")) == SMTPF_EBUSY;
  self->resumes += smtpf_session_abort(s) == SMTPF_EBUSY;
  self->resumes += smtpf_session_body(s, "x", 1, &taken) == SMTPF_EBUSY;
  self->resumes += smtpf_session_overrule(s, SMTPF_CONNECT, 550) == SMTPF_EBUSY;
  self->resumes += smtpf_session_wait(s, 0) == SMTPF_EBUSY;
  self->resumes += smtpf_driver_process(W.driver) == SMTPF_EBUSY;
  return smtpf_task_clear(t, "done");
}

START_TEST(reentry_is_refused)
{
  world_init(&W);
  script *c = world_check(&W, "rude", SMTPF_HELO, 0);
  c->run = reenters;
  world_start(&W);
  smtpf_session *s = world_connected(&W, 0), *other = world_connected(&W, 0);
  W.of_test = other;
  ck_assert_int_eq(world_helo(s, "a.example"), SMTPF_OK);
  ck_assert_int_eq(c->resumes, 6);
  EXPECT_CODE(s, 250);
  EXPECT_CODE(other, 220);
  smtpf_session_free(s);
  smtpf_session_free(other);
  world_end(&W);
}
END_TEST

TCase *driver_cases(void)
{
  TCase *c = tcase_create("driver");
  tcase_add_test(c, wait_sleeps_while_another_is_ready);
  tcase_add_test(c, wait_for_who_is_ready_takes_it_from_the_queue);
  tcase_add_test(c, wait_of_nothing_looks_once);
  tcase_add_test(c, wait_refuses);
  tcase_add_test(c, a_timer_during_wait_may_not_tell_events);
  tcase_add_test(c, a_timer_in_process_may_tell_events_and_free);
  tcase_add_test(c, an_answer_that_is_here_is_not_late);
  tcase_add_test(c, a_deadline_is_unknown_and_cancels_the_question);
  tcase_add_test(c, ready_is_told_once_each);
  tcase_add_test(c, ready_may_free_it);
  tcase_add_test(c, ready_may_free_another_that_is_ready);
  tcase_add_test(c, ready_may_tell_the_next_event);
  tcase_add_test(c, ready_may_tell_an_event_that_waits);
  tcase_add_test(c, ready_may_not_process);
  tcase_add_test(c, reentry_is_refused);
  return c;
}
