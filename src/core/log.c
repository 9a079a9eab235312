/* SPDX-License-Identifier: MIT
 *
 * Log lines: through the policy's callback, silent without one. Bytes from the peer are escaped; credentials never come
 * here.
 */
#include "base/str.h"
#include "driver.h"
#include "session.h"

/* Each of six values that come from outside may quadruple, and the rest must still fit. */
enum { FIELDS_MAX = 16, VALUE_MAX = 256, ROOM = 7 * 4 * VALUE_MAX };

/* Collects fields; values are escaped into one room. */
struct line {
  smtpf_log_field fields[FIELDS_MAX];
  size_t n;
  smtpf_out out;
  char room[ROOM];
};

static int wanted(const smtpf_session *s, int level)
{
  return s->engine->log && level <= s->engine->log_level;
}

static void add(struct line *l, const char *name, smtpf_str value)
{
  if (l->n == FIELDS_MAX || !value.n)
    return;
  if (value.n > VALUE_MAX)
    value.n = VALUE_MAX;
  const size_t begin = l->out.n;
  smtpf_out_escaped(&l->out, value);
  l->fields[l->n++] = (smtpf_log_field){name, {l->room + begin, l->out.n - begin}};
}

static void clear(struct line *l)
{
  l->n = 0;
  smtpf_out_init(&l->out, l->room, sizeof l->room);
}

static void begin(struct line *l, const smtpf_session *s)
{
  clear(l);
  add(l, "session", smtpf_str_of(s->id));
  add(l, "client", s->client_text);
}

static void emit(const struct line *l, const smtpf_session *s, int level, const char *event)
{
  s->engine->log(s->engine->log_user, level, event, l->fields, l->n);
}

void smtpf_session_log(smtpf_session *s, int level, const char *event, const char *name, smtpf_str value)
{
  struct line l;
  if (!wanted(s, level))
    return;
  begin(&l, s);
  add(&l, name, value);
  emit(&l, s, level, event);
}

static const char *event_name(const smtpf_session *s)
{
  static const char *const names[] = {"connect", "rebind", "starttls", "auth",      "helo",
                                      "mail",    "rcpt",   "data",     "body",      "end-of-message",
                                      "commit",  "reset",  "command",  "violation", "quit"};
  return names[s->event];
}

static int level_of(const smtpf_session *s)
{
  if (s->verdict.action != SMTPF_ACCEPT)
    return s->no_memory ? SMTPF_LOG_ERROR : SMTPF_LOG_NOTICE;
  return s->event == SMTPF_EV_EOM || s->event == SMTPF_EV_COMMIT || s->event == SMTPF_EV_RCPT ? SMTPF_LOG_INFO
                                                                                              : SMTPF_LOG_DEBUG;
}

void smtpf_session_log_verdict(smtpf_session *s)
{
  const int level = level_of(s);
  struct line l;
  char number[24];
  smtpf_out o;
  if (!wanted(s, level))
    return;
  begin(&l, s);
  add(&l, "queue_id", smtpf_str_of(s->queue_id));
  add(&l, "helo", s->helo);
  if (s->sender.form)
    add(&l, "from", s->sender.form == SMTPF_PATH_NULL ? SMTPF_LIT("<>") : s->sender.address);
  if (s->rcpt)
    add(&l, "to", s->rcpt->address);
  smtpf_out_init(&o, number, sizeof number);
  smtpf_out_int(&o, s->verdict.reply.code);
  add(&l, "code", smtpf_out_done(&o));
  add(&l, "enhanced", s->verdict.reply.enhanced);
  add(&l, "text", s->verdict.reply.text);
  add(&l, "rule", s->verdict.rule);
  if (s->verdict.delay) {
    smtpf_out_init(&o, number, sizeof number);
    smtpf_out_int(&o, s->verdict.delay);
    add(&l, "delay_ms", smtpf_out_done(&o));
  }
  emit(&l, s, level, event_name(s));
}

void smtpf_session_log_overridden(smtpf_session *s, const smtpf_rcpt *rcpt)
{
  struct line l;
  if (!wanted(s, SMTPF_LOG_NOTICE))
    return;
  begin(&l, s);
  add(&l, "queue_id", smtpf_str_of(s->queue_id));
  add(&l, "to", rcpt->address);
  add(&l, "wish", smtpf_str_of(smtpf_disposition_name(rcpt->entry.wish)));
  add(&l, "disposition", smtpf_str_of(smtpf_disposition_name(rcpt->entry.disposition)));
  add(&l, "rule", rcpt->reason);
  emit(&l, s, SMTPF_LOG_NOTICE, "overridden");
}

void smtpf_driver_log(const smtpf_driver *d, int level, const char *event, const smtpf_log_field *fields, size_t n)
{
  const smtpf_engine *e = d->engine;
  struct line l;
  if (!e->log || level > e->log_level)
    return;
  clear(&l);
  for (size_t i = 0; i < n; i++)
    add(&l, fields[i].name, fields[i].value);
  e->log(e->log_user, level, event, l.fields, l.n);
}

/* ---- when a policy is loaded ------------------------------------------------------------------------------------ */

static void log_warning(void *user, const char *file, int line, smtpf_str text)
{
  const smtpf_engine *e = *(const smtpf_engine **)user;
  struct line l;
  char number[24];
  smtpf_out o;
  clear(&l);
  add(&l, "file", smtpf_str_of(file));
  smtpf_out_init(&o, number, sizeof number);
  smtpf_out_int(&o, line);
  add(&l, "line", smtpf_out_done(&o));
  add(&l, "text", text);
  e->log(e->log_user, SMTPF_LOG_NOTICE, "policy", l.fields, l.n);
}

void smtpf_engine_log_warnings(const smtpf_engine *e)
{
  if (!e->log || e->log_level < SMTPF_LOG_NOTICE)
    return;
  for (size_t i = 0; i < e->n_checks; i++)
    if (e->checks[i].check->lint)
      e->checks[i].check->lint(e->checks[i].self, e->loaded_s, log_warning, &e);
  smtpf_engine_lint_keys(e, log_warning, &e);
}
