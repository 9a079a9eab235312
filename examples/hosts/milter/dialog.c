/* SPDX-License-Identifier: MIT
 *
 * What a packet is to the session, and what the verdict is to the MTA.
 *
 *   packet    told before it                      event           answer
 *   CONNECT   -                                   connect         the reply, where the MTA waits for one
 *   HELO      starttls, when the macros say so    helo            the reply, where the MTA waits for one
 *   MAIL      auth, when the macros say so        mail            the reply, where the MTA waits for one
 *   RCPT      -                                   rcpt, unless a refusal is owed from before
 *                                                                 the reply; none where the MTA has refused already
 *   DATA      -                                   data; eom, where nothing of the message is wanted
 *                                                                 the reply; ACCEPT, where it was
 *   HEADER    data, when there was no DATA        body            continue
 *   EOH       data, when there was no DATA        body            continue
 *   BODY      data, when there was no DATA        body            continue
 *   BODYEOB   data, when there was no DATA        body, eom       changes; the reply, or a refusal that came late
 *   ABORT     -                                   reset           -
 *   UNKNOWN   -                                   command         the reply
 */
#include <smtpfilter/ext/mail.h>
#include <string.h>

#include "connection.h"

enum { MACROS_MAX = 16 * 1024 };

/* The changes we may make, and what we need not hear or say. */
static const smtpf_milter_terms wanted = {
    SMTPF_MILTER_VERSION,
    SMTPF_MILTER_CAN_ADDHDRS | SMTPF_MILTER_CAN_CHGHDRS | SMTPF_MILTER_CAN_ADDRCPT | SMTPF_MILTER_CAN_DELRCPT |
        SMTPF_MILTER_CAN_QUARANTINE | SMTPF_MILTER_CAN_CHGFROM | SMTPF_MILTER_CAN_SETSYMLIST |
        SMTPF_MILTER_CAN_RCPTREPLY | SMTPF_MILTER_JOIN_ONLY,
    SMTPF_MILTER_NR_HDR | SMTPF_MILTER_NR_EOH | SMTPF_MILTER_NR_BODY | SMTPF_MILTER_KNOWS_SKIP | SMTPF_MILTER_RCPT_REJ |
        SMTPF_MILTER_HDR_LEADSPC};

#define MACROS(s)                                                                                                      \
  {                                                                                                                    \
    s, sizeof(s) - 1                                                                                                   \
  }
static const smtpf_str macros[SMTPF_MILTER_STAGES] = {
    [SMTPF_MILTER_AT_CONNECT] = MACROS("{daemon_addr} {daemon_port} {if_addr}"),
    [SMTPF_MILTER_AT_HELO] = MACROS("{tls_version} {cipher}"),
    [SMTPF_MILTER_AT_MAIL] = MACROS("i {auth_type} {auth_authen}"),
    [SMTPF_MILTER_AT_RCPT] = MACROS("i {rcpt_mailer} {rcpt_host}"),
    [SMTPF_MILTER_AT_DATA] = MACROS("i"),
    [SMTPF_MILTER_AT_EOM] = MACROS("i"),
};

/* ---- small things ------------------------------------------------------------------------------------ */

smtpf_str dialog_macro(const connection *c, const char *name)
{
  const smtpf_milter_packet p = {.command = SMTPF_MILTER_MACRO, .rest = text_str(&c->macros)};
  return c->macros_for == c->command ? smtpf_milter_macro(&p, name) : (smtpf_str){NULL, 0};
}

static int same(const text *t, smtpf_str s)
{
  return t->n == s.n && (!s.n || memcmp(t->p, s.p, s.n) == 0);
}

/* A recipient that the MTA refused by itself: its reply code, 0 for all others. Of the reply it tells the enhanced code
 * alone, in the place of the recipient's host. */
int dialog_refused_by_mta(const connection *c)
{
  if (c->command != SMTPF_MILTER_RCPT || !(c->terms.protocol & SMTPF_MILTER_RCPT_REJ) ||
      !smtpf_str_equal_nocase(dialog_macro(c, "rcpt_mailer"), SMTPF_LIT("error")))
    return 0;
  const smtpf_str enhanced = dialog_macro(c, "rcpt_host");
  return enhanced.n && enhanced.p[0] == '4' ? 450 : 550;
}

static int is_message(int command)
{
  return command == SMTPF_MILTER_HEADER || command == SMTPF_MILTER_EOH || command == SMTPF_MILTER_BODY ||
         command == SMTPF_MILTER_BODYEOB;
}

static void end_message(connection *c)
{
  c->mail = c->data = c->spared = 0;
  c->queue_id[0] = '\0';
  c->late.code = 0;
  text_free(&c->piece);
}

static void cancel_timers(connection *c)
{
  if (c->delay)
    smtpf_driver_timer_cancel(c->loop->base.driver, c->delay);
  if (c->progress)
    smtpf_driver_timer_cancel(c->loop->base.driver, c->progress);
  c->delay = c->progress = 0;
}

static void forget_client(connection *c)
{
  cancel_timers(c);
  smtpf_session_free(c->session);
  c->session = NULL;
  end_message(c);
  text_clear(&c->identity);
  text_clear(&c->tls);
  c->client[0] = '\0';
  c->delay_until = 0;
  c->over = 0;
}

void dialog_forget(connection *c)
{
  forget_client(c);
  c->macros_for = 0;
}

/* The queue id comes when the MTA has one: Postfix's after the first recipient. */
static void take_queue_id(connection *c)
{
  const smtpf_str id = dialog_macro(c, "i");
  if (!id.n || id.n >= sizeof c->queue_id || (strlen(c->queue_id) == id.n && !memcmp(c->queue_id, id.p, id.n)) ||
      smtpf_session_queue_id(c->session, id) != SMTPF_OK)
    return;
  memcpy(c->queue_id, id.p, id.n);
  c->queue_id[id.n] = '\0';
}

/* ---- the connection itself --------------------------------------------------------------------------- */

static void negotiate(connection *c, const smtpf_milter_packet *p)
{
  enum { ROOM = 2048 };
  char *room = connection_room(c, ROOM);
  if (!room)
    return;
  dialog_forget(c);
  c->terms = wanted;
  c->terms.protocol |= c->settings->unanswered;
  connection_wrote(c, smtpf_milter_negotiate(p, &c->terms, macros, room, ROOM));
  c->negotiated = 1;
}

static unsigned capabilities(const smtpf_milter_terms *t)
{
  const uint32_t header = SMTPF_MILTER_CAN_ADDHDRS | SMTPF_MILTER_CAN_CHGHDRS;
  unsigned can = SMTPF_CAN_SEE_BODY | SMTPF_CAN_DELAY;
  if (t->actions & SMTPF_MILTER_CAN_DELRCPT)
    can |= SMTPF_CAN_DROP_RCPT;
  if (t->actions & SMTPF_MILTER_CAN_QUARANTINE)
    can |= SMTPF_CAN_QUARANTINE;
  if ((t->actions & header) == header)
    can |= SMTPF_CAN_EDIT;
  if (t->actions & SMTPF_MILTER_CAN_RCPTREPLY)
    can |= SMTPF_CAN_REPLY_PER_RCPT;
  if (t->actions & SMTPF_MILTER_JOIN_ONLY)
    can |= SMTPF_CAN_JOIN_ONLY;
  return can;
}

static unsigned number(smtpf_str s)
{
  unsigned v = 0;
  for (size_t i = 0; i < s.n && i < 5 && s.p[i] >= '0' && s.p[i] <= '9'; i++)
    v = v * 10 + (unsigned)(s.p[i] - '0');
  return v;
}

static int tell_connect(connection *c, const smtpf_milter_packet *p)
{
  const smtpf_session_options o = {
      .size = sizeof o, .user = c, .protocol = SMTPF_SMTP, .capabilities = capabilities(&c->terms)};
  const int ip = p->family == SMTPF_MILTER_FAMILY_INET || p->family == SMTPF_MILTER_FAMILY_INET6;
  const smtpf_str sendmails = dialog_macro(c, "if_addr"), postfixs = dialog_macro(c, "daemon_addr");
  smtpf_peer peer = {.size = sizeof peer, .port = p->port, .local_address = sendmails.n ? sendmails : postfixs};
  peer.local_port = (uint16_t)number(dialog_macro(c, "daemon_port"));
  if (ip) {
    peer.address = p->value;
    /* A name that was not verified is `unknown` to Postfix, and to Sendmail the address in brackets. */
    if (p->name.n && p->name.p[0] != '[' && !smtpf_str_equal_nocase(p->name, SMTPF_LIT("unknown")))
      peer.rdns = p->name;
  }
  forget_client(c);
  c->spent = 0;
  smtpf_ip client; /* Sendmail writes `IPv6:0:0:0:0:0:0:0:1` */
  c->client[0] = '\0';
  if (smtpf_ip_parse(peer.address, &client) == SMTPF_OK)
    (void)smtpf_ip_format(&client, c->client);
  const int r = smtpf_session_new(&c->session, c->loop->base.driver, &o);
  return r != SMTPF_OK ? r : smtpf_session_connect(c->session, &peer);
}

static void keep_macros(connection *c, const smtpf_milter_packet *p)
{
  c->macros_for = p->rest.n <= MACROS_MAX ? p->stage : 0;
  if (c->macros_for)
    text_set(&c->macros, p->rest);
}

/* ---- telling ------------------------------------------------------------------------------------------- */

/* What the session must hear before the packet itself; SMTPF_OK when there is nothing. */
static int prepare(connection *c, int command)
{
  const smtpf_str tls = dialog_macro(c, "tls_version"), identity = dialog_macro(c, "auth_authen");
  if (command == SMTPF_MILTER_HELO && tls.n && !same(&c->tls, tls)) {
    text_set(&c->tls, tls);
    text_clear(&c->identity); /* RFC 3207 4.2 */
    return smtpf_session_starttls(c->session, tls, dialog_macro(c, "cipher"));
  }
  if (command == SMTPF_MILTER_MAIL && identity.n && !same(&c->identity, identity)) {
    text_set(&c->identity, identity);
    return smtpf_session_auth(c->session, dialog_macro(c, "auth_type"), identity);
  }
  if (is_message(command) && !c->data) { /* before version 4 there is no DATA */
    c->data = c->in_header = 1;
    return smtpf_session_data(c->session);
  }
  return SMTPF_OK;
}

/* A path, in brackets: Sendmail hands over what the client wrote. */
static smtpf_str path(connection *c, smtpf_str written)
{
  text *t = &c->piece;
  text_clear(t);
  if (written.n && written.p[0] == '<')
    return written;
  text_char(t, '<');
  text_add(t, written);
  text_char(t, '>');
  return text_str(t);
}

/* The parameters, with blanks between them. */
static smtpf_str params(text *t, smtpf_str rest)
{
  smtpf_str one;
  const size_t from = t->n;
  while (smtpf_milter_string(&rest, &one) == SMTPF_OK) {
    if (t->n > from)
      text_char(t, ' ');
    text_add(t, one);
  }
  return (smtpf_str){t->p + from, t->n - from};
}

static int tell_envelope(connection *c, const smtpf_milter_packet *p)
{
  const int is_mail = p->command == SMTPF_MILTER_MAIL;
  text args = {0};
  const smtpf_str given = params(&args, p->rest), whom = path(c, p->name);
  int r = SMTPF_ENOMEM;
  if (is_mail) {
    text_set(&c->sender, whom);
    c->mail = 1;
  }
  if (!args.failed && !c->piece.failed && !c->sender.failed)
    r = is_mail ? smtpf_session_mail(c->session, whom, given) : smtpf_session_rcpt(c->session, whom, given);
  text_free(&args);
  return r;
}

static int tell_command(connection *c, smtpf_str line)
{
  const char *blank = line.n ? memchr(line.p, ' ', line.n) : NULL;
  return smtpf_session_command(c->session, (smtpf_str){line.p, blank ? (size_t)(blank - line.p) : line.n});
}

static int tell_event(connection *c, const smtpf_milter_packet *p)
{
  switch (p->command) {
  case SMTPF_MILTER_CONNECT: return tell_connect(c, p);
  case SMTPF_MILTER_HELO: return smtpf_session_helo(c->session, SMTPF_GREET_EHLO, p->name);
  case SMTPF_MILTER_MAIL:
  case SMTPF_MILTER_RCPT: return tell_envelope(c, p);
  case SMTPF_MILTER_DATA: c->data = c->in_header = 1; return smtpf_session_data(c->session);
  case SMTPF_MILTER_BODYEOB: return c->late.code ? smtpf_session_reset(c->session) : smtpf_session_eom(c->session);
  case SMTPF_MILTER_ABORT: return smtpf_session_reset(c->session);
  default: return tell_command(c, p->name);
  }
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

static void progress_due(void *user)
{
  connection *c = user;
  c->progress = 0;
  answer_letter(c, SMTPF_MILTER_PROGRESS);
  if (c->dead)
    return;
  (void)smtpf_driver_timer(c->loop->base.driver, c->settings->progress_ms, progress_due, c, &c->progress);
  connection_resume(c);
}

/* 0, always: the packet is not done with. */
static int wait_for(connection *c, int what)
{
  c->wait = (unsigned char)what;
  c->woken = 0;
  if (c->command == SMTPF_MILTER_BODYEOB && !c->progress)
    (void)smtpf_driver_timer(c->loop->base.driver, c->settings->progress_ms, progress_due, c, &c->progress);
  return 0;
}

static void delay_over(void *user)
{
  connection *c = user;
  c->delay = 0;
  c->delayed = 1;
  connection_resume(c);
}

/* 1 when the verdict's delay has begun. Where nobody waits it is not paid, but what is left of it at the next answer.
 */
static int delays(connection *c)
{
  const int told_nothing = c->failed || !c->session || answer_is_late(c, c->command);
  const smtpf_verdict *v = c->delayed || told_nothing ? NULL : smtpf_session_verdict(c->session);
  const int64_t ms = v ? smtpf_verdict_delay(v) : 0, until = c->loop->base.now_ms + ms;
  if (c->delayed || c->command == SMTPF_MILTER_ABORT)
    return 0;
  if (c->delay_until < until)
    c->delay_until = until;
  if (answer_is_none(c, c->command))
    return 0;
  const int64_t left = c->delay_until - c->loop->base.now_ms;
  c->delay_until = 0;
  return left > 0 && smtpf_driver_timer(c->loop->base.driver, left, delay_over, c, &c->delay) == SMTPF_OK;
}

/* ---- a packet ------------------------------------------------------------------------------------------ */

/* Who does not keep to the protocol: nothing sensible can follow. */
static int stranger(connection *c)
{
  connection_failure(c, "packet", "not what an MTA may send here");
  connection_close(c);
  return 0;
}

/* Nobody asked yet: it is said at the end of the message. */
static void refused_early(connection *c, const smtpf_milter_packet *p)
{
  const smtpf_verdict *v = smtpf_session_verdict(c->session);
  if (!is_message(p->command) || c->late.code || !v || smtpf_verdict_code(v) < 400)
    return;
  answer_later(c, v);
  report_verdict(c, p, v);
}

/* The event is told. 0 when its verdict comes later. */
static int told(connection *c, int r)
{
  c->step = STEP_ANSWER;
  c->failed = r < 0;
  return r != SMTPF_PENDING;
}

static int finish(connection *c, const smtpf_milter_packet *p)
{
  if (delays(c))
    return wait_for(c, WAIT_DELAY);
  cancel_timers(c);
  answer_verdict(c, p);
  c->delayed = c->failed = 0;
  c->macros_for = 0;
  if (p->command == SMTPF_MILTER_BODYEOB || p->command == SMTPF_MILTER_ABORT)
    end_message(c);
  return !c->dead;
}

/* Sendmail says nothing of a message that its client took back before anything of it was answered. */
static void take_back(connection *c)
{
  if (smtpf_session_reset(c->session) == SMTPF_OK && smtpf_verdict_closes(smtpf_session_verdict(c->session)))
    c->over = 1;
  end_message(c);
}

/* What must be told before the packet. 0 when its verdict comes later. */
static int begin(connection *c, int command)
{
  c->fed = 0;
  c->step = STEP_PREPARED;
  if (!c->session)
    return 1;
  if (command == SMTPF_MILTER_MAIL && c->mail)
    take_back(c);
  take_queue_id(c);
  return prepare(c, command) != SMTPF_PENDING;
}

/* Nothing of this message is wanted: it ends here. Clients of our own do not know ACCEPT. */
static int is_spared(const connection *c, int command)
{
  const smtpf_verdict *v = c->session && !c->failed ? smtpf_session_verdict(c->session) : NULL;
  return command == SMTPF_MILTER_DATA && !c->late.code && v && smtpf_verdict_code(v) < 400 &&
         !(c->terms.actions & (SMTPF_MILTER_CAN_RCPTREPLY | SMTPF_MILTER_JOIN_ONLY)) &&
         !smtpf_session_wants_message(c->session);
}

static int spare(connection *c, const smtpf_milter_packet *p)
{
  report_verdict(c, p, smtpf_session_verdict(c->session));
  c->spared = 1;
  return told(c, smtpf_session_eom(c->session));
}

static int go_on(connection *c, const smtpf_milter_packet *p)
{
  static const smtpf_milter_packet end = {.size = sizeof end, .command = SMTPF_MILTER_BODYEOB};
  const int command = p->command;
  if (c->step == STEP_PREPARE && !begin(c, command))
    return wait_for(c, WAIT_VERDICT);
  if (c->step == STEP_PREPARED && c->session)
    refused_early(c, p);
  if (c->step == STEP_PREPARED)
    c->step = STEP_TELL;
  if (c->step == STEP_TELL && command == SMTPF_MILTER_RCPT && answer_is_late(c, command))
    c->step = STEP_ANSWER; /* without a sender there are no recipients */
  if (c->step == STEP_TELL && is_message(command)) {
    if (c->session && message_feed(c, p) == SMTPF_PENDING)
      return wait_for(c, WAIT_VERDICT);
    if (command != SMTPF_MILTER_BODYEOB) {
      answer_piece(c, command);
      return !c->dead;
    }
  }
  if (c->step == STEP_TELL && (c->session || command == SMTPF_MILTER_CONNECT) && !told(c, tell_event(c, p)))
    return wait_for(c, WAIT_VERDICT);
  if (!c->spared && is_spared(c, command) && !spare(c, p))
    return wait_for(c, WAIT_VERDICT);
  return finish(c, c->spared ? &end : p);
}

int dialog_take(connection *c, const smtpf_milter_packet *p)
{
  if (!c->negotiated && p->command != SMTPF_MILTER_OPTNEG)
    return stranger(c);
  switch (p->command) {
  case SMTPF_MILTER_OPTNEG: negotiate(c, p); return !c->dead;
  case SMTPF_MILTER_MACRO: keep_macros(c, p); return 1;
  case SMTPF_MILTER_QUIT: return c->closing = 1;
  case SMTPF_MILTER_QUIT_NC: dialog_forget(c); return c->spent = 1;
  case SMTPF_MILTER_ABORT: return !c->session || !c->mail || go_on(c, p);
  case SMTPF_MILTER_CONNECT:
  case SMTPF_MILTER_HELO:
  case SMTPF_MILTER_MAIL:
  case SMTPF_MILTER_RCPT:
  case SMTPF_MILTER_DATA:
  case SMTPF_MILTER_HEADER:
  case SMTPF_MILTER_EOH:
  case SMTPF_MILTER_BODY:
  case SMTPF_MILTER_BODYEOB:
  case SMTPF_MILTER_UNKNOWN: return go_on(c, p);
  default: return stranger(c);
  }
}
