/* SPDX-License-Identifier: MIT
 *
 * A request stands for all that has happened up to its state. The session is told what it has not heard yet: connect,
 * TLS, HELO, AUTH, MAIL, RCPT, DATA, and where `policyd.decide` says so, that the message is over: nothing of it will
 * be seen, so that all that can be known about it is known then.
 */
#include <string.h>

#include "policyd.h"

enum { PATH_MAX_BYTES = 1100 };

/* The last of what is told for a request; NOTHING for those that are about nothing of ours. */
static enum step step_of(enum decide decide, int stage)
{
  switch (stage) {
  case SMTPF_CONNECT: return CONNECT;
  case SMTPF_HELO: return HELO;
  case SMTPF_MAIL: return MAIL;
  case SMTPF_RCPT: return RCPT;
  case SMTPF_DATA: return decide == DECIDE_DATA ? MESSAGE : DATA;
  case SMTPF_EOM: return decide == DECIDE_NEVER ? DATA : MESSAGE;
  default: return NOTHING;
  }
}

static const smtpf_verdict *verdict(const connection *c)
{
  return smtpf_session_verdict(c->about->session);
}

/* ---- answers ----------------------------------------------------------------------------------------- */

static void delay_over(void *user)
{
  connection *c = user;
  c->delay = 0;
  c->delayed = 1;
  connection_resume(c);
}

static void conclude(connection *c, enum step step)
{
  const int64_t ms = c->delay_ms;
  c->delay_ms = 0;
  report_verdict(c, step);
  if (ms <= 0 || smtpf_driver_timer(c->loop->base.driver, ms, delay_over, c, &c->delay) != SMTPF_OK)
    answer_verdict(c);
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
  return smtpf_session_connect(c->about->session, &peer);
}

/* An address between brackets. What is too long for any is cut, and refused as what it is then: without its end. */
static smtpf_str path(smtpf_str mailbox, char room[PATH_MAX_BYTES])
{
  const int fits = mailbox.n <= PATH_MAX_BYTES - 2;
  const size_t n = fits ? mailbox.n : PATH_MAX_BYTES - 1;
  room[0] = '<';
  if (n)
    memcpy(room + 1, mailbox.p, n);
  if (fits)
    room[1 + n] = '>';
  return (smtpf_str){room, 1 + n + (size_t)fits};
}

static int tell(connection *c, enum step step)
{
  const smtpf_delegation *q = &c->request;
  char room[PATH_MAX_BYTES];
  switch (step) {
  case CONNECT: return tell_connect(c);
  case TLS: return smtpf_session_starttls(c->about->session, q->encryption_protocol, q->encryption_cipher);
  case HELO: return smtpf_session_helo(c->about->session, q->greeting ? q->greeting : SMTPF_GREET_EHLO, q->helo_name);
  case AUTH: return smtpf_session_auth(c->about->session, q->sasl_method, q->sasl_username);
  case MAIL: return smtpf_session_mail(c->about->session, path(q->sender, room), (smtpf_str){"", 0});
  case RCPT: return smtpf_session_rcpt(c->about->session, path(q->recipient, room), (smtpf_str){"", 0});
  case DATA: return smtpf_session_data(c->about->session);
  default: return smtpf_session_eom(c->about->session);
  }
}

/* Whether the session has taken this recipient. */
static int is_known(const connection *c, smtpf_str mailbox)
{
  char room[PATH_MAX_BYTES];
  const smtpf_str asked = path(mailbox, room);
  smtpf_recipient_info r = {.size = sizeof r};
  for (size_t i = 0; smtpf_verdict_recipient(verdict(c), i, &r) == SMTPF_OK; i++)
    if (r.path.n == asked.n && memcmp(r.path.p, asked.p, asked.n) == 0)
      return 1;
  return 0;
}

/* Whoever was not asked about may wish for something else; an only recipient is named. */
static int is_complete(connection *c)
{
  const size_t taken = number(c->request.recipient_count), known = smtpf_verdict_recipient_count(verdict(c));
  if (!known || taken > known + c->about->repeated || (c->request.recipient.n && !is_known(c, c->request.recipient)))
    c->about->incomplete = 1;
  return !c->about->incomplete;
}

/* What comes next for this request; NOTHING when the session has been told all of it. */
static enum step next_step(connection *c)
{
  const smtpf_delegation *q = &c->request;
  enum step next = c->about->told + 1;
  if (next == TLS && !q->encryption_protocol.n)
    next++;
  if (next == AUTH && !q->sasl_username.n)
    next++;
  if (next > step_of(c->about->settings->decide, q->stage) || (next >= DATA && !is_complete(c)))
    return NOTHING;
  return next;
}

/* What was refused is told again when it is asked about again. 1 when it was. */
static int take_verdict(connection *c)
{
  instance *i = c->about;
  const smtpf_verdict *v = verdict(c);
  const int64_t ms = smtpf_verdict_delay(v);
  if (ms > c->delay_ms)
    c->delay_ms = ms;
  if (smtpf_verdict_code(v) < 400)
    return 0;
  if (i->told == CONNECT)
    i->ends = 1;
  else if (i->told != RCPT && i->told != MESSAGE)
    i->told--;
  return 1;
}

/* Tells the session the rest, or up to the first refusal: `step`, or what follows on that which it has been told. */
static void go_on(connection *c, enum step step)
{
  enum step last = c->about->told;
  for (; step; step = next_step(c)) {
    const int r = tell(c, step);
    c->about->told = last = step;
    if (r == SMTPF_PENDING)
      return;
    if (r != SMTPF_OK) { /* out of memory, or an order that the protocol does not have: Postfix decides alone */
      c->about->ends = 1;
      answer_dunno(c);
      return;
    }
    if (take_verdict(c))
      break;
  }
  conclude(c, last);
}

void request_go_on(connection *c)
{
  const enum step told = c->about->told;
  const int delayed = c->delayed, woken = c->woken;
  c->delayed = c->woken = 0;
  if (delayed)
    answer_verdict(c);
  else if (woken && take_verdict(c))
    conclude(c, told);
  else if (woken)
    go_on(c, next_step(c));
}

/* ---- requests ------------------------------------------------------------------------------------------ */

/* Restrictions that name the service twice ask twice about one recipient, and a client may say it twice. */
static int is_last_recipient(const connection *c)
{
  char room[PATH_MAX_BYTES];
  const smtpf_verdict *v = verdict(c);
  const smtpf_str asked = path(c->request.recipient, room);
  smtpf_recipient_info r = {.size = sizeof r};
  const size_t n = smtpf_verdict_recipient_count(v);
  return n && smtpf_verdict_recipient(v, n - 1, &r) == SMTPF_OK && r.path.n == asked.n &&
         memcmp(r.path.p, asked.p, asked.n) == 0;
}

/* Whether the session of a message that is known has heard what cannot follow on this request. */
static int is_past(const instance *i, enum step last)
{
  return i->ends || (i->told > RCPT && last <= RCPT);
}

/* The first event of a request about recipients, data or the message; a message's recipients are told one by one. */
static enum step first_step(connection *c, enum step last)
{
  const enum step told = c->about->told;
  if (last != RCPT || told != RCPT)
    return next_step(c);
  if (!is_last_recipient(c))
    return RCPT;
  c->about->repeated++;
  return NOTHING;
}

static void take(connection *c)
{
  const smtpf_delegation *q = &c->request;
  enum step last = step_of(loop_settings(c->loop)->decide, q->stage);
  const int whole = last <= RCPT || q->recipient.n; /* else it does not say whom the message is for */
  int fresh = 0;
  if (!last || !instance_of(c, whole, &fresh)) {
    answer_dunno(c);
    return;
  }
  instance *i = c->about;
  i->asked = 1;
  last = step_of(i->settings->decide, q->stage);
  const int past = !fresh && is_past(i, last);
  fresh |= past && instance_renew(c->loop, i);
  if ((past && !fresh) || (fresh && !whole)) {
    answer_dunno(c);
    return;
  }
  if (q->queue_id.n && !fresh)
    (void)smtpf_session_queue_id(i->session, q->queue_id);
  const enum step step = first_step(c, last);
  if (step)
    go_on(c, step);
  else if (i->told == MESSAGE)
    answer_verdict(c);
  else
    answer_dunno(c);
}

void request_next(connection *c)
{
  while (!c->taken && !c->dead && !c->home) {
    c->request.size = sizeof c->request;
    const int n = smtpf_delegation_read((smtpf_str){c->in, c->n}, &c->request);
    if (n < 0)
      connection_close(c);
    if (n <= 0 || (step_of(DECIDE_DATA, c->request.stage) && !connection_is_home(c, c->request.instance)))
      return;
    c->taken = (size_t)n;
    take(c);
  }
}
