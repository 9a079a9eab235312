/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "../../common/log.h"
#include "filter.h"

enum { PATH_ROOM = 1100, ANSWER_ROOM = 1200 };

static int is(smtpf_str s, const char *word)
{
  return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

/* ---- clients ----------------------------------------------------------------------------------------- */

static client **bucket(filter *f, smtpf_str id)
{
  unsigned h = 5381;
  for (size_t i = 0; i < id.n; i++)
    h = h * 33 + (unsigned char)id.p[i];
  return &f->clients[h % HASH];
}

static client *find(filter *f, smtpf_str id)
{
  client *c = *bucket(f, id);
  while (c && !is(id, c->id))
    c = c->next;
  return c;
}

static void drop(client *c)
{
  client **at = bucket(c->filter, smtpf_str_of(c->id));
  while (*at != c)
    at = &(*at)->next;
  *at = c->next;
  if (c->delay)
    smtpf_driver_timer_cancel(c->filter->driver, c->delay);
  smtpf_session_abort(c->session);
  smtpf_session_free(c->session);
  message_end(c);
  text *const texts[] = {&c->request, &c->rdns, &c->address, &c->local, &c->tls, &c->identity, &c->enhanced, &c->reply};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    text_free(texts[i]);
  free(c);
}

static client *make(filter *f, smtpf_str id)
{
  client *c = id.n <= ID_MAX ? calloc(1, sizeof *c) : NULL;
  const int junk = host_number(f->engine, "opensmtpd.junk", 0) != 0;
  const smtpf_session_options o = {.size = sizeof o,
                                   .user = c,
                                   .protocol = SMTPF_SMTP,
                                   .capabilities = SMTPF_CAN_DELAY | SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT |
                                                   (junk ? (unsigned)SMTPF_CAN_QUARANTINE : 0U)};
  if (!c || smtpf_session_new(&c->session, f->driver, &o) != SMTPF_OK) {
    free(c);
    return NULL;
  }
  c->filter = f;
  memcpy(c->id, id.p, id.n);
  spool_init(&c->message.spool, &f->cache);
  client **at = bucket(f, id);
  c->next = *at;
  *at = c;
  return c;
}

void event_forget_all(filter *f)
{
  for (size_t i = 0; i < HASH; i++)
    while (f->clients[i])
      drop(f->clients[i]);
}

/* A path for a bare address. */
static smtpf_str path(smtpf_str address, char room[PATH_ROOM])
{
  const size_t n = address.n <= PATH_ROOM - 2 ? address.n : PATH_ROOM - 2; /* cut, it is refused for its length */
  room[0] = '<';
  if (n)
    memcpy(room + 1, address.p, n);
  room[n + 1] = '>';
  return (smtpf_str){room, n + 2};
}

/* ---- answers ----------------------------------------------------------------------------------------- */

static void answer_line(filter *f, const smtpf_opensmtpd_line *line, int code, smtpf_str enhanced, smtpf_str reply,
                        int closes)
{
  char room[ANSWER_ROOM];
  const int n = smtpf_opensmtpd_answer(line, code, enhanced, reply, closes, room, sizeof room);
  text_add(&f->out, (smtpf_str){room, n > 0 ? (size_t)n : 0});
}

/* The request that waits is answered, and waits no more. */
static void answer(client *c, int code, smtpf_str enhanced, smtpf_str reply, int closes)
{
  smtpf_opensmtpd_line line = {.size = sizeof line};
  if (smtpf_opensmtpd_read(text_str(&c->request), &line) == SMTPF_OK)
    answer_line(c->filter, &line, code, enhanced, reply, closes);
  text_clear(&c->request);
  c->asked = NOTHING;
}

void event_answer_failure(client *c)
{
  answer(c, 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("cannot be decided now, try again later"), 0);
}

/* What smtpd calls this recipient where the client wrote another name: a mailbox behind a signature (BATV). */
static int rewrite(client *c, const smtpf_verdict *v)
{
  char room[ANSWER_ROOM], path_room[PATH_ROOM];
  smtpf_recipient_info r = {.size = sizeof r};
  smtpf_opensmtpd_line line = {.size = sizeof line};
  const size_t n = smtpf_verdict_recipient_count(v);
  if (c->asked != RCPT || smtpf_verdict_code(v) >= 400 || !n || smtpf_verdict_recipient(v, n - 1, &r) != SMTPF_OK ||
      !r.address.n || smtpf_opensmtpd_read(text_str(&c->request), &line) != SMTPF_OK ||
      smtpf_str_equal_nocase(r.address, line.rest))
    return 0;
  const int length = smtpf_opensmtpd_rewrite(&line, path(r.address, path_room), room, sizeof room);
  if (length < 0 || !text_room(&c->filter->out, (size_t)length))
    return 0;
  text_add(&c->filter->out, (smtpf_str){room, (size_t)length});
  text_clear(&c->request);
  c->asked = NOTHING;
  return 1;
}

static void answer_verdict(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  if (rewrite(c, v))
    return;
  answer(c, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v), smtpf_verdict_closes(v));
}

static void delay_over(void *user)
{
  client *c = user;
  c->delay = 0;
  answer_verdict(c);
}

static void conclude(client *c)
{
  report_verdict(c, c->told);
  const int64_t ms = smtpf_verdict_delay(smtpf_session_verdict(c->session));
  if (ms <= 0 || smtpf_driver_timer(c->filter->driver, ms, delay_over, c, &c->delay) != SMTPF_OK)
    answer_verdict(c);
}

/* What `commit` is answered is known: smtpd gets the message back, and then asks. */
void event_message_done(client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  report_verdict(c, LINE);
  c->code = smtpf_verdict_code(v);
  text_set(&c->enhanced, smtpf_verdict_enhanced(v));
  text_set(&c->reply, smtpf_verdict_text(v));
  message_return(c, c->code < 400);
}

static void answer_commit(client *c)
{
  if (c->code) {
    answer(c, c->code, text_str(&c->enhanced), text_str(&c->reply), 0);
  } else { /* whatever the verdict's line said */
    log_text("error", "message-failed", "id", c->id);
    event_answer_failure(c);
  }
  c->code = 0;
}

/* ---- what the session is told ------------------------------------------------------------------------- */

static int tell_connect(client *c)
{
  const smtpf_peer peer = {.size = sizeof peer,
                           .address = text_str(&c->address),
                           .port = (uint16_t)c->port,
                           .local_address = text_str(&c->local),
                           .local_port = (uint16_t)c->local_port,
                           .rdns = text_str(&c->rdns)};
  return smtpf_session_connect(c->session, &peer);
}

/* Of own accord: each once. */
static int tell_news(client *c)
{
  int r;
  if (c->tls.n && !c->tls_told) {
    const smtpf_str protocol = report_protocol(c);
    smtpf_str cipher = {c->tls.p + protocol.n, c->tls.n - protocol.n};
    if (cipher.n)
      cipher = (smtpf_str){cipher.p + 1, cipher.n - 1};
    r = smtpf_session_starttls(c->session, protocol, cipher);
    c->told = TLS;
    c->tls_told = 1;
  } else {
    r = smtpf_session_auth(c->session, (smtpf_str){"", 0}, text_str(&c->identity));
    text_clear(&c->identity);
    c->told = AUTH;
  }
  return r;
}

static int tell_asked(client *c)
{
  smtpf_opensmtpd_line line = {.size = sizeof line};
  smtpf_str rest;
  char room[PATH_ROOM];
  c->told = c->asked;
  if (smtpf_opensmtpd_read(text_str(&c->request), &line) != SMTPF_OK)
    return SMTPF_EPARSE;
  rest = line.rest; /* the last field: a `|` in it is its own */
  switch (c->asked) {
  case CONNECT: return tell_connect(c);
  case HELO: return smtpf_session_helo(c->session, SMTPF_GREET_HELO, rest);
  case EHLO: return smtpf_session_helo(c->session, SMTPF_GREET_EHLO, rest);
  case MAIL: return smtpf_session_mail(c->session, path(rest, room), (smtpf_str){"", 0});
  case RCPT: return smtpf_session_rcpt(c->session, path(rest, room), (smtpf_str){"", 0});
  default: return smtpf_session_data(c->session);
  }
}

static int is_refused(const client *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  return v && smtpf_verdict_code(v) >= 400;
}

/* Tells what is to be told until something must be waited for, or what was asked is decided. */
static void go_on(client *c)
{
  while (c->asked) {
    const int news = c->asked != CONNECT && ((c->tls.n && !c->tls_told) || c->identity.n);
    const int r = news ? tell_news(c) : tell_asked(c);
    if (r == SMTPF_PENDING)
      return;
    if (r != SMTPF_OK) {
      event_answer_failure(c);
      return;
    }
    if (!news || is_refused(c)) {
      conclude(c);
      return;
    }
  }
}

void event_ready(void *user, smtpf_session *session)
{
  client *c = smtpf_session_user(session);
  (void)user;
  if (c->told == LINE)
    message_feed(c);
  else if ((c->told == TLS || c->told == AUTH) && !is_refused(c))
    go_on(c);
  else if (c->asked)
    conclude(c);
}

/* ---- lines -------------------------------------------------------------------------------------------- */

static enum step step_of(smtpf_str phase)
{
  static const struct {
    const char *phase;
    enum step step;
  } phases[] = {{"connect", CONNECT}, {"helo", HELO}, {"ehlo", EHLO},      {"mail-from", MAIL},
                {"rcpt-to", RCPT},    {"data", DATA}, {"data-line", LINE}, {"commit", COMMIT}};
  for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
    if (is(phase, phases[i].phase))
      return phases[i].step;
  return NOTHING;
}

/* A line of the message is not answered as such: lines are given back when the verdict is there. */
static void take_data_line(client *c, const smtpf_opensmtpd_line *line, smtpf_str whole)
{
  if (c->told != LINE) {
    c->told = LINE;
    message_begin(c);
  }
  if (!c->request.n)
    text_set(&c->request, whole); /* session and token of the answer */
  message_line(c, line->rest);
}

static void take_request(filter *f, const smtpf_opensmtpd_line *line, smtpf_str whole)
{
  client *c = find(f, line->session);
  const enum step step = step_of(line->name);
  if (c && step == LINE) {
    take_data_line(c, line, whole);
    return;
  }
  if (!c && step == LINE) { /* its end is refused */
    message_pass(f, line);
    return;
  }
  if (!c || !step || c->asked) { /* nobody we have memory for, or a phase that we did not ask for */
    answer_line(f, line, c && !step ? 250 : 451, SMTPF_LIT("4.3.0"), SMTPF_LIT("try again later"), 0);
    return;
  }
  text_set(&c->request, whole);
  c->asked = step;
  if (c->request.failed)
    event_answer_failure(c);
  else if (step == COMMIT)
    answer_commit(c);
  else
    go_on(c);
}

static void take_connect(filter *f, const smtpf_opensmtpd_line *line)
{
  smtpf_str rest = line->rest, name = {"", 0}, proved = {"", 0}, source = {"", 0}, target = {"", 0}, address;
  client *c = find(f, line->session);
  if (c)
    drop(c);
  c = make(f, line->session);
  if (!c)
    return;
  smtpf_opensmtpd_field(&rest, &name);
  smtpf_opensmtpd_field(&rest, &proved);
  smtpf_opensmtpd_field(&rest, &source);
  smtpf_opensmtpd_field(&rest, &target);
  if (is(proved, "pass"))
    text_set(&c->rdns, name);
  smtpf_opensmtpd_address(source, &address, &c->port);
  text_set(&c->address, address);
  smtpf_opensmtpd_address(target, &address, &c->local_port);
  text_set(&c->local, address);
}

static void take_tls(client *c, smtpf_str told)
{
  text_set(&c->tls, told);
  c->tls_told = 0;
}

/* `USER|RESULT`, and since 0.7 `RESULT|USER`. */
static void take_auth(client *c, const smtpf_opensmtpd_line *line)
{
  enum { RESULT_FIRST = 7 };
  static const char result[] = "pass";
  const size_t n = sizeof result - 1;
  smtpf_str s = line->rest;
  if (line->version >= RESULT_FIRST) {
    if (s.n > n && memcmp(s.p, result, n) == 0 && s.p[n] == '|')
      text_set(&c->identity, (smtpf_str){s.p + n + 1, s.n - n - 1});
  } else if (s.n > n && memcmp(s.p + s.n - n, result, n) == 0 && s.p[s.n - n - 1] == '|') {
    text_set(&c->identity, (smtpf_str){s.p, s.n - n - 1});
  }
}

/* smtpd itself refused what we would have taken. `MESSAGE|RESULT|ADDRESS`. */
static void take_result(client *c, const smtpf_opensmtpd_line *line, int stage)
{
  smtpf_str rest = line->rest, id, result;
  if (smtpf_opensmtpd_field(&rest, &id) != SMTPF_OK || smtpf_opensmtpd_field(&rest, &result) != SMTPF_OK ||
      is(result, "ok") || is_refused(c))
    return;
  smtpf_session_overrule(c->session, stage, is(result, "permfail") ? 550 : 451);
}

static void take_report(filter *f, const smtpf_opensmtpd_line *line)
{
  if (is(line->name, "link-connect")) {
    take_connect(f, line);
    return;
  }
  client *c = find(f, line->session);
  if (!c)
    return;
  if (is(line->name, "link-disconnect"))
    drop(c);
  else if (is(line->name, "link-tls"))
    take_tls(c, line->rest);
  else if (is(line->name, "link-auth"))
    take_auth(c, line);
  else if (is(line->name, "tx-mail"))
    take_result(c, line, SMTPF_MAIL);
  else if (is(line->name, "tx-rcpt"))
    take_result(c, line, SMTPF_RCPT);
  else if (is(line->name, "tx-reset") && !c->asked)
    smtpf_session_reset(c->session);
}

static void take_config(filter *f, const smtpf_opensmtpd_line *line)
{
  static const char *const reports[] = {"link-connect", "link-disconnect", "link-tls", "link-auth",
                                        "tx-mail",      "tx-rcpt",         "tx-reset"};
  static const char *const phases[] = {"connect", "helo", "ehlo",      "mail-from",
                                       "rcpt-to", "data", "data-line", "commit"};
  if (!is(line->name, "ready") || f->ready)
    return;
  f->ready = 1;
  for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
    text_cstr(&f->out, "register|report|smtp-in|");
    text_cstr(&f->out, reports[i]);
    text_char(&f->out, '\n');
  }
  for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
    text_cstr(&f->out, "register|filter|smtp-in|");
    text_cstr(&f->out, phases[i]);
    text_char(&f->out, '\n');
  }
  text_cstr(&f->out, "register|ready\n");
}

void event_line(filter *f, smtpf_str line)
{
  smtpf_opensmtpd_line l = {.size = sizeof l};
  if (smtpf_opensmtpd_read(line, &l) != SMTPF_OK)
    return; /* of another subsystem, or of a protocol that nobody registered for */
  if (l.kind == SMTPF_OPENSMTPD_FILTER)
    take_request(f, &l, line);
  else if (l.kind == SMTPF_OPENSMTPD_REPORT)
    take_report(f, &l);
  else
    take_config(f, &l);
}
