/* SPDX-License-Identifier: MIT
 *
 * The library in Exim's process. The engine outlives a client where the daemon has loaded it before it forked
 * (smtpf_preload): the children have it then, and need not read the policy.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../../common/host_policy.h"
#include "../../common/report.h"
#include "asker.h"

static struct {
  smtpf_engine *engine;
  smtpf_driver *driver;
  smtpf_session *session;
  char path[1024]; /* the engine's policy, and what its file was then */
  struct stat file;
  int in_header;
  exim_log *log;
  text client, tls; /* what its lines say of it */
} x;

/* ---- the policy ------------------------------------------------------------------------------------------- */

static int is_loaded(const char *path, const struct stat *now)
{
  return x.engine && strcmp(x.path, path) == 0 && now->st_ino == x.file.st_ino && now->st_size == x.file.st_size &&
         now->st_mtim.tv_sec == x.file.st_mtim.tv_sec && now->st_mtim.tv_nsec == x.file.st_mtim.tv_nsec;
}

/* Nobody looks at a process's standard error. */
static int complain(exim_log *log, const char *where, int line, const char *why)
{
  char room[1024];
  if (line)
    snprintf(room, sizeof room, " %s:%d: %s", where, line, why);
  else
    snprintf(room, sizeof room, " %s: %s", where, why);
  log(room);
  return 0;
}

static int load(const char *path, exim_log *log)
{
  const host_policy from = {.file = path};
  smtpf_error err = {.size = sizeof err};
  smtpf_engine *engine = NULL;
  struct stat now;
  if (strlen(path) >= sizeof x.path)
    return complain(log, path, 0, "too long a path");
  if (stat(path, &now))
    return complain(log, path, 0, strerror(errno));
  if (is_loaded(path, &now))
    return 1;
  if (host_policy_load(&engine, &from, &err) != SMTPF_OK)
    complain(log, err.file[0] ? err.file : path, err.line, err.text);
  if (!engine && !(x.engine && strcmp(x.path, path) == 0))
    return 0;
  x.file = now;
  if (!engine) /* the old one serves on */
    return 1;
  smtpf_engine_unref(x.engine);
  x.engine = engine;
  memcpy(x.path, path, strlen(path) + 1);
  return 1;
}

/* ---- life --------------------------------------------------------------------------------------------------- */

static void close_session(void)
{
  if (x.session)
    smtpf_session_abort(x.session);
  smtpf_session_free(x.session);
  smtpf_driver_free(x.driver);
  x.session = NULL;
  x.driver = NULL;
  text *const texts[] = {&x.client, &x.tls};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    text_free(texts[i]);
}

/* Checks have deadlines of their own: no event waits longer. */
static int open_session(const char *path, int timeout_s, int join, exim_log *log)
{
  const unsigned more = join ? SMTPF_CAN_JOIN_ONLY : SMTPF_CAN_REPLY_PER_RCPT;
  const smtpf_session_options o = {.size = sizeof o,
                                   .protocol = SMTPF_SMTP,
                                   .capabilities = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY | SMTPF_CAN_EDIT |
                                                   SMTPF_CAN_DROP_RCPT | more};
  (void)timeout_s;
  close_session();
  x.log = log;
  if (!load(path, log))
    return 0;
  int r = smtpf_driver_new(&x.driver, x.engine, NULL);
  if (r == SMTPF_OK)
    r = smtpf_session_new(&x.session, x.driver, &o);
  if (r == SMTPF_OK)
    return 1;
  close_session();
  return complain(log, path, 0, r == SMTPF_EIO ? "what it names cannot be opened: look at `store`" : smtpf_strerror(r));
}

/* ---- log lines ------------------------------------------------------------------------------------------------ */

static void note(text *t, smtpf_str s)
{
  text_clear(t);
  text_add(t, s);
}

/* What lines say of the client. */
static void remember(const exim_event *e)
{
  if (e->kind == EXIM_CONNECT)
    note(&x.client, e->peer->address);
  if (e->kind == EXIM_TLS)
    note(&x.tls, e->first);
}

static print_event name_of(const exim_event *e)
{
  static const char *const names[] = {
      [EXIM_CONNECT] = "connect", [EXIM_HELO] = "helo", [EXIM_TLS] = "starttls", [EXIM_AUTH] = "auth",
      [EXIM_MAIL] = "mail",       [EXIM_RCPT] = "rcpt", [EXIM_DATA] = "data",    [EXIM_END] = "end-of-message"};
  const smtpf_str arg = e->kind == EXIM_CONNECT                       ? text_str(&x.client)
                        : e->kind == EXIM_TLS || e->kind == EXIM_DATA ? (smtpf_str){NULL, 0}
                        : e->kind == EXIM_AUTH                        ? e->second
                                                                      : e->first;
  return (print_event){names[e->kind], arg};
}

/* Exim has 8 KiB for a line with its own front, and writes nothing of one that is longer. */
enum { LONGEST = 7168 };

static void report_verdict(const exim_event *e, const smtpf_verdict *v)
{
  const report r = {.which = report_which(x.engine, "exim"),
                    .wall_s = REPORT_UNDATED,
                    .refused = report_is_refused(v),
                    .session = x.session,
                    .client = text_str(&x.client),
                    .tls = text_str(&x.tls)};
  text t = {0};
  if (report_begin(&t, &r)) {
    report_end(&t, name_of(e), v, e->kind == EXIM_END ? PRINT_RECIPIENTS : 0U);
    report_cut(&t, LONGEST);
    t.n -= t.n > 0; /* its LF */
    text_char(&t, 0);
    if (!t.failed)
      x.log(t.p);
  }
  text_free(&t);
}

/* ---- events --------------------------------------------------------------------------------------------------- */

static int event(const exim_event *e)
{
  smtpf_session *s = x.session;
  switch (e->kind) {
  case EXIM_CONNECT: return smtpf_session_connect(s, e->peer);
  case EXIM_HELO: return smtpf_session_helo(s, e->plain ? SMTPF_GREET_HELO : SMTPF_GREET_EHLO, e->first);
  case EXIM_TLS: return smtpf_session_starttls(s, e->first, e->second);
  case EXIM_AUTH: return smtpf_session_auth(s, e->first, e->second);
  case EXIM_MAIL: return smtpf_session_mail(s, e->first, e->second);
  case EXIM_RCPT: return smtpf_session_rcpt(s, e->first, e->second);
  case EXIM_DATA: x.in_header = 1; return smtpf_session_data(s);
  default: (void)smtpf_session_queue_id(s, e->first); return smtpf_session_eom(s);
  }
}

/* Waits for the verdict of an event; NULL when there is none. */
static const smtpf_verdict *verdict_of(int result)
{
  if (result == SMTPF_PENDING)
    result = smtpf_session_wait(x.session, -1);
  return result == SMTPF_OK ? smtpf_session_verdict(x.session) : NULL;
}

static int give(smtpf_str s)
{
  while (s.n) {
    size_t taken = 0;
    int r = smtpf_session_body(x.session, s.p, s.n, &taken);
    s = (smtpf_str){s.p + taken, s.n - taken};
    if (r == SMTPF_PENDING)
      r = smtpf_session_wait(x.session, -1);
    if (r != SMTPF_OK)
      return 0;
  }
  return 1;
}

static int give_body(smtpf_str s)
{
  const int first = x.in_header;
  x.in_header = 0;
  return (!first || give(SMTPF_LIT("\r\n"))) && give(s);
}

static int give_field(smtpf_str s)
{
  int good = 1;
  while (good && s.n) {
    const char *lf = memchr(s.p, '\n', s.n);
    const size_t n = lf ? (size_t)(lf - s.p) : s.n;
    good = give((smtpf_str){s.p, n}) && (!lf || give(SMTPF_LIT("\r\n")));
    s = (smtpf_str){s.p + n + (lf != NULL), s.n - n - (lf != NULL)};
  }
  return good;
}

static int tell(const exim_event *e, exim_answer *a)
{
  if (e->kind == EXIM_END && !give_body((smtpf_str){"", 0}))
    return 0;
  remember(e);
  const smtpf_verdict *v = verdict_of(event(e));
  if (!v)
    return 0;
  report_verdict(e, v);
  if (smtpf_verdict_delay(v) > 0)
    poll(NULL, 0, (int)smtpf_verdict_delay(v));
  *a = (exim_answer){smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v)};
  return 1;
}

static void forget(void)
{
  smtpf_session_reset(x.session);
}

/* ---- the verdict ---------------------------------------------------------------------------------------------- */

static int same(smtpf_str a, smtpf_str b)
{
  return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static void reply_to(smtpf_str path, exim_answer *a)
{
  const smtpf_verdict *v = smtpf_session_verdict(x.session);
  *a = (exim_answer){smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v)};
  for (size_t i = 0, n = smtpf_verdict_recipient_count(v); i < n; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) != SMTPF_OK || !same(r.path, path))
      continue;
    if (r.reply_code)
      *a = (exim_answer){r.reply_code, r.enhanced, r.text};
    return;
  }
}

/* `DELETE` counts fields as they came: from the last, so that the numbers stay true. */
static void apply(const exim_changes *to)
{
  const smtpf_verdict *v = smtpf_session_verdict(x.session);
  const size_t n = smtpf_verdict_edit_count(v);
  for (int deletes = 1; deletes >= 0; deletes--)
    for (size_t i = n; i-- > 0;) {
      smtpf_edit_info e = {.size = sizeof e};
      if (smtpf_verdict_edit(v, deletes ? i : n - 1 - i, &e) == SMTPF_OK && (e.op == SMTPF_EDIT_DELETE) == deletes &&
          e.recipient == SMTPF_ALL)
        to->edit(e.op, e.name, e.value, e.occurrence);
    }
  for (size_t i = 0, all = smtpf_verdict_recipient_count(v); i < all; i++) {
    smtpf_recipient_info r = {.size = sizeof r};
    if (smtpf_verdict_recipient(v, i, &r) == SMTPF_OK && (r.disposition == SMTPF_DISCARDED || r.known))
      to->drop(r.path);
  }
}

extern const exim_asker smtpf_exim_inside;
__attribute__((visibility("default"))) const exim_asker smtpf_exim_inside = {
    .open = open_session,
    .load = load,
    .tell = tell,
    .field = give_field,
    .body = give_body,
    .reply_to = reply_to,
    .apply = apply,
    .forget = forget,
    .close = close_session,
};
