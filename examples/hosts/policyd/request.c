/* SPDX-License-Identifier: MIT
 *
 * A request stands for all that has happened up to its stage. The session is told what it has not heard yet: connect,
 * TLS, HELO, AUTH, MAIL, RCPT, DATA. Requests with one `instance` are about one message and share a session.
 */
#include <string.h>

#include "policyd.h"

enum { PATH_MAX_BYTES = 1100 };

/* What a session is told, in this order. */
enum step { NOTHING = 0, CONNECT, TLS, HELO, AUTH, MAIL, RCPT, DATA };

/* The last of it for a request; NOTHING for those that are about nothing of ours. */
static int step_of(int stage)
{
  switch (stage) {
  case SMTPF_CONNECT: return CONNECT;
  case SMTPF_HELO: return HELO;
  case SMTPF_MAIL: return MAIL;
  case SMTPF_RCPT: return RCPT;
  case SMTPF_DATA: return DATA;
  default: return NOTHING;
  }
}

static int is(smtpf_str s, const char *text)
{
  return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

void request_forget(connection *c)
{
  smtpf_session_free(c->session);
  c->session = NULL;
  c->told = NOTHING;
  c->instance[0] = '\0';
}

/* ---- answers ----------------------------------------------------------------------------------------- */

static void answer(connection *c, int code, smtpf_str enhanced, smtpf_str text)
{
  char room[1024];
  int n = smtpf_delegation_answer(code, enhanced, text, room, sizeof room);
  memmove(c->in, c->in + c->taken, c->n - c->taken);
  c->n -= c->taken;
  c->taken = 0;
  connection_send(c, room, (size_t)n);
}

static void answer_verdict(connection *c)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  const int closes = smtpf_verdict_closes(v);
  answer(c, smtpf_verdict_code(v), smtpf_verdict_enhanced(v), smtpf_verdict_text(v));
  if (closes)
    request_forget(c);
}

static void delay_over(void *user)
{
  connection *c = user;
  c->delay = 0;
  answer_verdict(c);
  request_next(c);
}

/* 1 when it has been answered, 0 when that comes later. */
static int conclude(connection *c)
{
  const int64_t ms = smtpf_verdict_delay(smtpf_session_verdict(c->session));
  if (ms > 0 && smtpf_driver_timer(c->server->driver, ms, delay_over, c, &c->delay) == SMTPF_OK)
    return 0;
  answer_verdict(c);
  return 1;
}

/* ---- events -------------------------------------------------------------------------------------------- */

static unsigned number(smtpf_str s)
{
  unsigned v = 0;
  for (size_t i = 0; i < s.n && i < 5 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
    v = v * 10 + (unsigned)(s.p[i] - '0');
  return v;
}

static int tell_connect(connection *c)
{
  const smtpf_delegation *q = &c->request;
  const smtpf_peer peer = {.size = sizeof peer,
                           .address = q->client_address,
                           .port = (uint16_t)number(q->client_port),
                           .local_address = q->server_address,
                           .local_port = (uint16_t)number(q->server_port),
                           .rdns = q->client_name};
  return smtpf_session_connect(c->session, &peer);
}

/* An address between brackets. What is too long for any is cut, and refused as what it is then: without its end. */
static smtpf_str path(smtpf_str address, char room[PATH_MAX_BYTES])
{
  const int fits = address.n <= PATH_MAX_BYTES - 2;
  const size_t n = fits ? address.n : PATH_MAX_BYTES - 1;
  room[0] = '<';
  if (n)
    memcpy(room + 1, address.p, n);
  if (fits)
    room[1 + n] = '>';
  return (smtpf_str){room, 1 + n + (size_t)fits};
}

static int tell(connection *c, int step)
{
  const smtpf_delegation *q = &c->request;
  char room[PATH_MAX_BYTES];
  switch (step) {
  case CONNECT: return tell_connect(c);
  case TLS: return smtpf_session_starttls(c->session, q->encryption_protocol, q->encryption_cipher);
  case HELO: return smtpf_session_helo(c->session, q->greeting ? q->greeting : SMTPF_GREET_EHLO, q->helo_name);
  case AUTH: return smtpf_session_auth(c->session, q->sasl_method, q->sasl_username);
  case MAIL: return smtpf_session_mail(c->session, path(q->sender, room), (smtpf_str){"", 0});
  case RCPT: return smtpf_session_rcpt(c->session, path(q->recipient, room), (smtpf_str){"", 0});
  default: return smtpf_session_data(c->session);
  }
}

/* What comes next for this request; NOTHING when the session has been told all of it. */
static int next_step(const connection *c)
{
  const smtpf_delegation *q = &c->request;
  int next = c->told + 1;
  if (next == TLS && !q->encryption_protocol.n)
    next++;
  if (next == AUTH && !q->sasl_username.n)
    next++;
  return next <= step_of(q->stage) ? next : NOTHING;
}

static int is_refused(const connection *c)
{
  return smtpf_verdict_code(smtpf_session_verdict(c->session)) >= 400;
}

/* Tells the session the rest, or up to the first refusal. 1 when answered, 0 when that comes later. */
static int go_on(connection *c, int step)
{
  for (; step; step = next_step(c)) {
    const int r = tell(c, step);
    c->told = step;
    if (r == SMTPF_PENDING)
      return 0;
    if (r != SMTPF_OK) { /* out of memory, or an order that the protocol does not have: Postfix decides alone */
      request_forget(c);
      answer(c, 0, (smtpf_str){"", 0}, (smtpf_str){"", 0});
      return 1;
    }
    if (is_refused(c))
      break;
  }
  return conclude(c);
}

void request_ready(void *user, smtpf_session *session)
{
  connection *c = smtpf_session_user(session);
  (void)user;
  if (is_refused(c) ? conclude(c) : go_on(c, next_step(c)))
    request_next(c);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static int open_session(connection *c)
{
  const smtpf_session_options o = {
      .size = sizeof o, .user = c, .protocol = SMTPF_SMTP, .capabilities = SMTPF_CAN_DELAY};
  const smtpf_str name = c->request.instance;
  request_forget(c);
  if (smtpf_session_new(&c->session, c->server->driver, &o) != SMTPF_OK)
    return 0;
  if (name.n && name.n < sizeof c->instance) {
    memcpy(c->instance, name.p, name.n);
    c->instance[name.n] = '\0';
  }
  return 1;
}

/* What to begin with; NOTHING when there is nothing to ask. A message's recipients are told one after the other. */
static int begin(connection *c)
{
  const smtpf_delegation *q = &c->request;
  const int last = step_of(q->stage);
  const int same = c->session && c->instance[0] && is(q->instance, c->instance) && c->told != DATA;
  if (!last || (last == DATA && !q->recipient.n && !same) || (!same && !open_session(c)))
    return NOTHING;
  return same && c->told == RCPT && last == RCPT ? RCPT : next_step(c);
}

void request_next(connection *c)
{
  while (!c->taken && !c->dead) {
    c->request.size = sizeof c->request;
    const int n = smtpf_delegation_read((smtpf_str){c->in, c->n}, &c->request);
    if (n < 0)
      connection_close(c);
    if (n <= 0)
      return;
    c->taken = (size_t)n;
    const int step = begin(c);
    if (!step)
      answer(c, 0, (smtpf_str){"", 0}, (smtpf_str){"", 0});
    else if (!go_on(c, step))
      return;
  }
}
