/* SPDX-License-Identifier: MIT */
#include "fake_scanner.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake F;

typedef struct fake_scan {
  smtpf_driver *driver;
  smtpf_op op, timer;
  told does;
  uint64_t fed, since;
} fake_scan;

static const told usual = {.status = SMTPF_SCAN_CLEAN, .seen = -1};

static const told *told_for(const smtpf_scan_request *r)
{
  for (size_t i = 0; i < F.n; i++)
    if (smtpf_str_equal_nocase(r->scanner, smtpf_str_of(F.told[i].scanner)) &&
        (!F.told[i].user || smtpf_str_equal_nocase(r->user, smtpf_str_of(F.told[i].user))))
      return &F.told[i];
  return &usual;
}

static int fake_start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  ck_assert_ptr_eq(shared, &F);
  ck_assert_uint_gt(smtpf_section_string(settings, "name").n, 0);
  F.instances++;
  *self = driver;
  return SMTPF_OK;
}

static void fake_stop(void *self)
{
  (void)self;
  F.instances--;
}

static void say(fake_scan *s)
{
  const smtpf_scan_result r = {.size = sizeof r,
                               .status = s->does.status,
                               .name = smtpf_str_of(s->does.name),
                               .cause = s->does.cause,
                               .scored = s->does.scored,
                               .score = s->does.score,
                               .seen = s->does.seen < 0 ? s->fed : (uint64_t)s->does.seen};
  F.answered++;
  ck_assert_int_eq(smtpf_op_scanned(s->driver, s->op, &r), SMTPF_OK);
  if (s->does.when == TWICE)
    ck_assert_int_eq(smtpf_op_scanned(s->driver, s->op, &r), SMTPF_ENOTFOUND);
}

static void on_timer(void *user)
{
  fake_scan *s = user;
  s->timer = 0;
  if (s->does.gulp && s->since) {
    s->since = 0;
    ck_assert_int_eq(smtpf_op_scan_room(s->driver, s->op), SMTPF_OK);
  } else {
    say(s);
  }
}

static int fake_open(void *self, smtpf_op op, const smtpf_scan_request *r, void **scan)
{
  const told *t = told_for(r);
  const size_t at = strlen(F.log);
  int n = snprintf(F.log + at, sizeof F.log - at, "%.*s(%.*s)=", (int)r->scanner.n, r->scanner.p, (int)r->user.n,
                   r->user.n ? r->user.p : "");
  for (size_t i = 0; i < r->n_recipients; i++)
    n += snprintf(F.log + at + (size_t)n, sizeof F.log - at - (size_t)n, "%s%.*s", i ? "," : "",
                  (int)r->recipients[i].n, r->recipients[i].p);
  snprintf(F.log + at + (size_t)n, sizeof F.log - at - (size_t)n, " ");
  ck_assert_uint_gt(r->session.n, 0);
  ck_assert_int_eq(r->event->stage, SMTPF_BODY);
  if (t->when == CANNOT_OPEN)
    return SMTPF_EIO;
  fake_scan *s = calloc(1, sizeof *s);
  ck_assert_ptr_nonnull(s);
  *s = (fake_scan){.driver = self, .op = op, .does = *t};
  *scan = s;
  F.opened++;
  if (t->when == AT_OPEN)
    say(s);
  return SMTPF_OK;
}

static size_t fake_feed(void *scan, const char *bytes, size_t n)
{
  fake_scan *s = scan;
  ck_assert_ptr_nonnull(bytes);
  if (s->does.gulp && n > s->does.gulp - s->since) {
    n = s->does.gulp - s->since;
    if (!s->timer)
      ck_assert_int_eq(smtpf_driver_timer(s->driver, 0, on_timer, s, &s->timer), SMTPF_OK);
  }
  s->fed += n;
  s->since += n;
  F.fed += n;
  return n;
}

static int fake_finish(void *scan)
{
  fake_scan *s = scan;
  F.finished++;
  if (s->does.again) {
    s->does.again--;
    s->fed = 0;
    return smtpf_op_scan_again(s->driver, s->op);
  }
  ck_assert_uint_eq(s->fed, smtpf_op_scan_size(s->driver, s->op));
  s->since = 0;
  switch (s->does.when) {
  case AT_FINISH:
  case TWICE: say(s); return SMTPF_OK;
  case LATER: return smtpf_driver_timer(s->driver, 5, on_timer, s, &s->timer);
  case CANNOT_FINISH: return SMTPF_EIO;
  default: return SMTPF_OK;
  }
}

static void fake_close(void *scan)
{
  fake_scan *s = scan;
  if (s->timer)
    smtpf_driver_timer_cancel(s->driver, s->timer);
  F.closed++;
  free(s);
}

const smtpf_scanner fake_scanner = {.size = sizeof(smtpf_scanner),
                                    .name = "fake",
                                    .start = fake_start,
                                    .open = fake_open,
                                    .feed = fake_feed,
                                    .finish = fake_finish,
                                    .close = fake_close,
                                    .stop = fake_stop};
