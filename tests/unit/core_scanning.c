/* SPDX-License-Identifier: MIT */
#include "core_scanning.h"

#include <stdlib.h>
#include <string.h>

world scanning_world;

/* ---- a scanner that a test scripts ---------------------------------------------------------------------------------
 */

struct fake F;

static int on_start(void *shared, smtpf_driver *driver, const smtpf_section *settings, void **self)
{
  ck_assert_ptr_eq(shared, &F);
  ck_assert(settings != NULL);
  F.starts++;
  F.driver = driver;
  *self = &F;
  return F.start_error;
}

static int on_open(void *self, smtpf_op op, const smtpf_scan_request *request, void **scan)
{
  ck_assert_ptr_eq(self, &F);
  ck_assert_uint_eq(request->session.n, 16);
  memcpy(F.user, request->user.p ? request->user.p : "", request->user.n);
  if (F.open_error)
    return F.open_error;
  F.opens++;
  F.op = op;
  F.n = 0;
  *scan = &F;
  return SMTPF_OK;
}

static void answer(void)
{
  F.result.size = sizeof F.result;
  if (!F.silent)
    ck_assert_int_eq(smtpf_op_scanned(F.driver, F.op, &F.result), SMTPF_OK);
}

static void on_timer(void *user)
{
  (void)user;
  F.since = 0;
  (void)smtpf_op_scan_room(F.driver, F.op);
}

static size_t on_feed(void *scan, const char *bytes, size_t n)
{
  ck_assert_ptr_eq(scan, &F);
  size_t take = F.gulp && n > F.gulp - F.since ? F.gulp - F.since : n;
  ck_assert_uint_le(F.n + take, MOST);
  memcpy(F.text + F.n, bytes, take);
  F.n += take;
  F.since += take;
  if (F.rewind_at && F.n >= F.rewind_at) {
    F.rewind_at = 0;
    F.n = 0;
    F.since = 0;
    ck_assert_int_eq(smtpf_op_scan_again(F.driver, F.op), SMTPF_OK);
  } else if (F.answers_at && F.n >= F.answers_at) {
    F.answers_at = 0;
    answer();
  } else if (take < n && F.room_inside) {
    F.room_inside--;
    F.since = 0;
    ck_assert_int_eq(smtpf_op_scan_room(F.driver, F.op), SMTPF_OK);
  } else if (take < n) {
    ck_assert_int_eq(smtpf_driver_timer(F.driver, 1, on_timer, NULL, &F.timer), SMTPF_OK);
  }
  return take;
}

static int on_finish(void *scan)
{
  ck_assert_ptr_eq(scan, &F);
  ck_assert_uint_eq(smtpf_op_scan_size(F.driver, F.op), F.n);
  F.finishes++;
  answer();
  return SMTPF_OK;
}

static void on_close(void *scan)
{
  ck_assert_ptr_eq(scan, &F);
  F.closes++;
}

static void on_stop(void *self)
{
  ck_assert_ptr_eq(self, &F);
  F.stops++;
}

static const smtpf_option fake_options[] = {
    {"scanners[name].colour", SMTPF_OPTION_STRING, "blue", 0, 0, NULL, "For the test."}};

static int on_check(const smtpf_section *settings, smtpf_error *err)
{
  const smtpf_str colour = smtpf_section_string(settings, "colour");
  return smtpf_str_equal(colour, SMTPF_LIT("none"))
             ? smtpf_section_fail(settings, "colour", err, SMTPF_EINVAL, "not a colour", colour, NULL)
             : SMTPF_OK;
}

static void on_stats(void *self, smtpf_stat_fn fn, void *user)
{
  (void)self;
  fn(user, "down.192.0.2.1:3310", 1);
}

const smtpf_scanner scanning_fake = {sizeof scanning_fake,
                                     "fake",
                                     fake_options,
                                     1,
                                     on_check,
                                     on_start,
                                     on_open,
                                     on_feed,
                                     on_finish,
                                     on_close,
                                     on_stop,
                                     on_stats};

/* ---- files of the spool, in memory
 * -----------------------------------------------------------------------------------
 */

struct files D;

static int file_open(void *shared, smtpf_str folder, int *fd)
{
  ck_assert_ptr_eq(shared, &D);
  ck_assert_uint_gt(folder.n, 0);
  if (D.full)
    return SMTPF_EIO;
  D.opens++;
  *fd = 77;
  return SMTPF_OK;
}

static int file_write(void *shared, int fd, uint64_t at, const void *bytes, size_t n)
{
  (void)shared;
  ck_assert_int_eq(fd, 77);
  ck_assert_uint_le(at + n, MOST);
  memcpy(D.bytes + at, bytes, n);
  return SMTPF_OK;
}

static int file_read(void *shared, int fd, uint64_t at, void *out, size_t n, size_t *got)
{
  (void)shared;
  (void)fd;
  *got = n > 1000 ? 1000 : n; /* short reads are read on */
  memcpy(out, D.bytes + at, *got);
  return SMTPF_OK;
}

static void file_close(void *shared, int fd)
{
  (void)shared;
  (void)fd;
  D.closes++;
}

static const smtpf_spool files = {sizeof files, "test", file_open, file_write, file_read, file_close};

/* ---- a check that has it scanned
 * -------------------------------------------------------------------------------------
 */

struct asker A;

static int ask(void *self, smtpf_task *t, const smtpf_event *ev)
{
  (void)self;
  ck_assert_int_eq(ev->stage, SMTPF_BODY);
  if (smtpf_task_certain(t, 0)) {
    A.skips++;
    return SMTPF_OK;
  }
  const smtpf_scan_request rq = {.size = sizeof rq, .scanner = SMTPF_LIT("s"), .event = ev, .user = SMTPF_LIT("ann")};
  A.result = smtpf_task_scan(t, &rq, 5);
  smtpf_task_patience(t, 90000);
  if (A.result != SMTPF_OK)
    return smtpf_task_unknown(t, "error", (smtpf_str){NULL, 0});
  return SMTPF_PENDING;
}

static int tell_result(void *self, smtpf_task *t, const smtpf_answer *a)
{
  (void)self;
  ck_assert_int_eq(a->kind, SMTPF_ANSWER_SCAN);
  ck_assert_uint_eq(a->tag, 5);
  const smtpf_scan_result *r = a->scan;
  smtpf_finding f = A.finding;
  f.size = sizeof f;
  f.recipient = A.recipient;
  f.detail = r->name;
  memcpy(A.last, r->name.p ? r->name.p : "", r->name.n);
  for (size_t i = 0; i < r->n_edits; i++)
    ck_assert_int_eq(
        smtpf_task_edit(t, r->edits[i].op, r->edits[i].name, r->edits[i].value, r->edits[i].occurrence, A.recipient),
        SMTPF_OK);
  switch (r->status) {
  case SMTPF_SCAN_HIT: f.kind = SMTPF_HIT; break;
  case SMTPF_SCAN_CLEAN: f = (smtpf_finding){.size = sizeof f, .kind = SMTPF_CLEAR, .code = "clean"}; break;
  default: f = (smtpf_finding){.size = sizeof f, .kind = SMTPF_UNKNOWN, .code = r->cause, .flags = A.unknown};
  }
  smtpf_task_seen(t, r->seen);
  (void)smtpf_task_report(t, &f);
  return SMTPF_OK;
}

static int want(void *self, smtpf_task *t)
{
  (void)self;
  if (A.cancels) {
    ck_assert_int_eq(smtpf_task_scan_cancel(t, 5), SMTPF_OK);
    ck_assert_int_eq(smtpf_task_scan_cancel(t, 5), SMTPF_ENOTFOUND);
    return SMTPF_OK;
  }
  const int r = smtpf_task_scan_finish(t, 5);
  return r == SMTPF_OK ? SMTPF_PENDING : SMTPF_OK; /* it has answered already */
}

static smtpf_check *asker_check(const char *name, int tier)
{
  (void)world_check(&scanning_world, name, SMTPF_BODY, tier);
  smtpf_check *c = &scanning_world.checks[scanning_world.n_checks - 1];
  c->run = ask;
  c->resume = tell_result;
  c->finish = want;
  c->family = SMTPF_FAMILY_CONTENT;
  c->failure = SMTPF_FINDING_ELECTIVE;
  return c;
}

void scanning_begin(void)
{
  memset(&F, 0, sizeof F);
  memset(&D, 0, sizeof D);
  memset(&A, 0, sizeof A);
  F.result.status = SMTPF_SCAN_CLEAN;
  F.result.seen = UINT64_MAX;
  A.finding = (smtpf_finding){.code = "virus", .score = 20000};
  world_init(&scanning_world);
  scanning_world.ports.spool = &files;
  scanning_world.ports.spool_shared = &D;
  (void)asker_check("asker", 3);
  ck_assert_int_eq(smtpf_config_add_scanner(scanning_world.cfg, &scanning_fake, &F), SMTPF_OK);
  world_set(&scanning_world, "scanners[\"s\"].type", "fake");
}

smtpf_session *scanning_data(unsigned capabilities, int recipients)
{
  world_start(&scanning_world);
  smtpf_session *s = world_greeted(&scanning_world, capabilities);
  ck_assert_int_eq(world_mail(s, "<from@client.example>"), SMTPF_OK);
  for (int i = 0; i < recipients; i++)
    ck_assert_int_eq(world_rcpt(s, i ? "<b@x.example>" : "<a@x.example>"), SMTPF_OK);
  ck_assert_int_eq(smtpf_session_data(s), SMTPF_OK);
  EXPECT_CODE(s, 354);
  return s;
}

void scanning_tell(smtpf_session *s, const char *text, size_t n, size_t piece)
{
  for (size_t at = 0, taken; at < n; at += taken) {
    ck_assert_int_eq(smtpf_session_body(s, text + at, n - at < piece ? n - at : piece, &taken), SMTPF_OK);
    scanning_world.now_ns += 100000;
    (void)smtpf_driver_process(scanning_world.driver);
  }
}

int scanning_end(smtpf_session *s)
{
  if (smtpf_session_eom(s) == SMTPF_PENDING)
    ck_assert_int_eq(smtpf_session_wait(s, 200000), SMTPF_OK);
  return world_code(s);
}

/* Everything that was opened is closed, once. */
void scanning_close(smtpf_session *s)
{
  smtpf_session_free(s);
  world_end(&scanning_world);
  ck_assert_int_eq(F.closes, F.opens);
  ck_assert_int_eq(F.stops, F.start_error ? 0 : F.starts);
  ck_assert_int_eq(D.closes, D.opens);
}

char *scanning_message(size_t n)
{
  char *m = malloc(n + 1);
  ck_assert_ptr_nonnull(m);
  memcpy(m, "Subject: x\r\n\r\n", 14);
  for (size_t i = 14; i < n; i++)
    m[i] = (i - 14) % 64 < 62 ? (char)('a' + (int)(i * i % 23)) : (i - 14) % 64 == 62 ? '\r' : '\n';
  m[n] = '\0';
  return m;
}
