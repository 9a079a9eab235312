/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "driver.h"
#include "scan.h"
#include "tenure.h"

/*
 * State x event: the table of smtpfilter/session.h. SEQ is its 503: 503 5.5.1 (RFC 5321 4.1.4). REFUSED: only QUIT is
 * served after a 554 banner (RFC 5321 3.1). A refused HELO leads to CONNECTED: the new greeting has taken the place of
 * an older one. Abort, overrule and queue id are no events and have no column. In the order of smtpf_event_kind:
 * connect rebind starttls auth helo mail rcpt data body eom commit reset command violation quit.
 */
enum { MISUSE = 0, GO, SEQ };
static const uint8_t table[SMTPF_STATES][SMTPF_EVENTS] = {
    [SMTPF_STATE_NEW] = {GO},
    [SMTPF_STATE_REFUSED] = {0, GO, 0, 0, SEQ, SEQ, SEQ, SEQ, 0, 0, 0, SEQ, SEQ, GO, GO},
    [SMTPF_STATE_CONNECTED] = {0, GO, GO, GO, GO, SEQ, SEQ, SEQ, 0, 0, 0, GO, GO, GO, GO},
    [SMTPF_STATE_GREETED] = {0, GO, GO, GO, GO, GO, SEQ, SEQ, 0, 0, 0, GO, GO, GO, GO},
    [SMTPF_STATE_MAIL] = {0, GO, GO, SEQ, GO, SEQ, GO, SEQ, 0, 0, 0, GO, GO, GO, GO},
    [SMTPF_STATE_RCPT] = {0, GO, GO, SEQ, GO, SEQ, GO, GO, 0, 0, 0, GO, GO, GO, GO},
    [SMTPF_STATE_DATA] = {0, 0, 0, SEQ, SEQ, SEQ, SEQ, SEQ, GO, GO, 0, GO, GO, GO, GO},
    [SMTPF_STATE_EOM] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, GO, 0, 0, 0, 0},
};

/* ---- life ---------------------------------------------------------------------------------------------------- */

enum {
  DEFAULT_CAPABILITIES = SMTPF_CAN_SEE_BODY | SMTPF_CAN_EDIT | SMTPF_CAN_DELAY | SMTPF_CAN_REPORT_COMMIT,
};

static void make_id(smtpf_session *s)
{
  smtpf_driver *d = s->driver;
  const uint64_t count = ++d->session_count;
  smtpf_out o;
  smtpf_out_init(&o, s->id, sizeof s->id - 1);
  smtpf_out_hex(&o, smtpf_siphash(d->seed, &count, sizeof count), 16);
}

int smtpf_session_new(smtpf_session **out, smtpf_driver *d, const smtpf_session_options *options)
{
  int r = smtpf_driver_same_process(d);
  if (r != SMTPF_OK)
    return r;
  const unsigned capabilities = options ? options->capabilities : DEFAULT_CAPABILITIES;
  /* Promises that nobody would close, and memory of what nobody knows, are worse than none. */
  if ((d->ports.journal || d->engine->limits.lost_ack) && !(capabilities & SMTPF_CAN_REPORT_COMMIT))
    return SMTPF_EUNSUPPORTED;
  smtpf_session *s = smtpf_mem_zalloc(&d->mem, sizeof *s);
  if (!s)
    return SMTPF_ENOMEM;
  s->driver = d;
  s->tenure = smtpf_tenure_enter(d);
  if (!s->tenure) {
    smtpf_mem_free(&d->mem, s);
    return SMTPF_ENOMEM;
  }
  s->engine = smtpf_engine_ref(d->engine);
  s->spool_fd = -1;
  s->protocol = SMTPF_SMTP;
  s->capabilities = capabilities;
  if (options) {
    s->user = options->user;
    if (options->protocol)
      s->protocol = (uint8_t)options->protocol;
  }
  if (s->protocol == SMTPF_LMTP)
    s->capabilities |= SMTPF_CAN_REPLY_PER_RCPT;
  s->can = s->capabilities;
  const smtpf_limits *l = &s->engine->limits;
  const size_t chunk = (size_t)l->chunk;
  smtpf_arena_init(&s->connection, &d->mem, chunk, (size_t)l->connection_memory);
  smtpf_arena_init(&s->greeting_arena, &d->mem, chunk / 2, (size_t)l->connection_memory);
  smtpf_arena_init(&s->transaction, &d->mem, chunk * 2, (size_t)l->transaction_memory);
  smtpf_list_init(&s->in_queue);
  smtpf_list_init(&s->answered);
  smtpf_list_append(&d->sessions, &s->in_driver);
  make_id(s);
  d->stats[SMTPF_STAT_SESSIONS]++;
  *out = s;
  return SMTPF_OK;
}

void smtpf_session_free(smtpf_session *s)
{
  if (!s)
    return;
  smtpf_driver *d = s->driver;
  smtpf_run_cancel(s);
  smtpf_scan_cancel(s);
  smtpf_session_report_unclosed(s);
  smtpf_session_end_delay(s);
  smtpf_list_remove(&s->in_queue);
  smtpf_list_remove(&s->in_driver);
  smtpf_arena_clear(&s->connection);
  smtpf_arena_clear(&s->greeting_arena);
  smtpf_arena_clear(&s->transaction);
  smtpf_mem_free(&d->mem, s->view);
  smtpf_engine *engine = s->engine;
  smtpf_tenure_leave(d, s->tenure);
  smtpf_mem_free(&d->mem, s);
  smtpf_engine_unref(engine);
}

void *smtpf_session_user(const smtpf_session *s)
{
  return s->user;
}

const char *smtpf_session_id(const smtpf_session *s)
{
  return s->id;
}

const smtpf_verdict *smtpf_session_verdict(const smtpf_session *s)
{
  return s->verdict.action && !s->pending ? &s->verdict : NULL;
}

size_t smtpf_session_memory(const smtpf_session *s)
{
  return sizeof *s + s->connection.held + s->greeting_arena.held + s->transaction.held + s->cap_view * sizeof *s->view;
}

/* ---- forgetting ------------------------------------------------------------------------------------------------ */

void smtpf_session_drop_transaction(smtpf_session *s)
{
  smtpf_scan_cancel(s);
  smtpf_arena_clear(&s->transaction);
  s->of_transaction = (smtpf_scope){NULL, NULL};
  s->transaction_facts = NULL;
  s->sender = (smtpf_path){0};
  s->sender_params = s->forward_sender = s->signed_sender = (smtpf_str){NULL, 0};
  s->queue_id[0] = '\0';
  s->rcpts = NULL;
  s->rcpt = NULL;
  s->n_rcpts = s->cap_rcpts = 0;
  s->message = NULL;
  s->settlements = s->notes = NULL;
  s->edits = NULL;
  s->n_edits = 0;
  s->spool_fd = -1;
  s->over = s->smtputf8 = s->rcpt_refused = 0;
}

void smtpf_session_drop_greeting(smtpf_session *s)
{
  smtpf_session_drop_transaction(s);
  smtpf_arena_clear(&s->greeting_arena);
  s->of_greeting = (smtpf_scope){NULL, NULL};
  s->greeting_facts = NULL;
  s->helo = (smtpf_str){NULL, 0};
  s->greeting = 0;
}

void smtpf_session_drop_connection(smtpf_session *s)
{
  smtpf_session_drop_greeting(s);
  smtpf_arena_clear(&s->connection);
  s->of_connection = (smtpf_scope){NULL, NULL};
  s->facts = NULL;
  s->client_text = s->rdns = s->identity = (smtpf_str){NULL, 0};
  s->client = s->local = (smtpf_ip){0};
  s->own = s->tls = 0;
}

/* ---- one event --------------------------------------------------------------------------------------------------- */

/* What belongs to the last event only. */
static void forget_last_event(smtpf_session *s)
{
  smtpf_session_end_delay(s);
  s->notes = NULL;
  if (s->rcpt_refused) {
    s->transaction_facts = s->facts_before_rcpt;
    smtpf_arena_back(&s->transaction, s->before_rcpt);
    s->rcpt_refused = 0;
  }
  if (s->over)
    smtpf_session_drop_transaction(s);
  if (!s->body_waits)
    smtpf_list_remove(&s->in_queue); /* the host did not wait to be told */
  s->rcpt = NULL;
  s->no_memory = s->no_memory && s->scan; /* what was lost while the message came is lost at its end too */
  s->delay_asked = 0;
  s->n_view = 0;
  s->verdict = (smtpf_verdict){.session = s};
}

static int is_command(int event)
{
  return event != SMTPF_EV_CONNECT && event != SMTPF_EV_BODY && event != SMTPF_EV_EOM && event != SMTPF_EV_COMMIT;
}

/* Every limit on how much a client may say. 1 when one was reached, and answered. */
static int out_of_bounds(smtpf_session *s, int event)
{
  const smtpf_limits *l = &s->engine->limits;
  if (!is_command(event) || event == SMTPF_EV_QUIT)
    return 0;
  const uint64_t age_ms = (s->driver->now_ns - s->connected_ns) / 1000000;
  if (++s->commands > l->commands)
    SMTPF_ANSWER(s, 421, "4.7.0", "too many commands in this session (limits.commands)", "limits.commands");
  else if (age_ms > (uint64_t)l->session_time)
    SMTPF_ANSWER(s, 421, "4.4.2", "session took too long (limits.session_time)", "limits.session_time");
  else if (s->errors >= l->errors) /* the last one was a message's answer, or the host's own */
    SMTPF_ANSWER(s, 421, "4.7.0", "too many errors (limits.errors)", "limits.errors");
  else
    return 0;
  return 1;
}

int smtpf_session_begin(smtpf_session *s, int event)
{
  smtpf_driver *d = s->driver;
  if (d->entered || s->pending)
    return SMTPF_EBUSY;
  const int cell = table[s->state][event];
  if (cell == MISUSE)
    return SMTPF_ESTATE;
  int r = smtpf_driver_enter(d);
  if (r != SMTPF_OK)
    return r;
  d->stats[SMTPF_STAT_EVENTS]++;
  forget_last_event(s);
  s->event = (uint8_t)event;
  s->stage = 0;
  s->stage_ns = d->now_ns;
  if (out_of_bounds(s, event))
    return smtpf_session_end(s, SMTPF_OK);
  if (cell == GO)
    return SMTPF_GO;
  if (s->state == SMTPF_STATE_REFUSED)
    SMTPF_ANSWER(s, 503, "5.7.1", "refused at connection, only QUIT is served", "sequence");
  else if (s->state == SMTPF_STATE_CONNECTED)
    SMTPF_ANSWER(s, 503, "5.5.1", "HELO or EHLO first", "sequence");
  else if (event == SMTPF_EV_DATA && s->state == SMTPF_STATE_MAIL && s->failed_rcpts &&
           s->protocol == SMTPF_SMTP) /* RFC 2033 4.2: LMTP says 503 */
    SMTPF_ANSWER(s, 554, "5.5.1", "no valid recipients", "sequence");
  else
    SMTPF_ANSWER(s, 503, "5.5.1", "bad sequence of commands", "sequence");
  return smtpf_session_end(s, SMTPF_OK);
}

int smtpf_session_end(smtpf_session *s, int result)
{
  smtpf_driver_leave(s->driver);
  return result;
}

int smtpf_session_examine(smtpf_session *s, int stage)
{
  s->stage = stage;
  int r = s->no_memory ? SMTPF_OK : smtpf_run_start(s, stage);
  if (r == SMTPF_PENDING) {
    s->pending = 1;
    return r;
  }
  if (r != SMTPF_OK)
    s->no_memory = 1;
  smtpf_session_decide(s);
  return smtpf_session_result(s);
}

int smtpf_session_result(const smtpf_session *s)
{
  return s->pending ? SMTPF_PENDING : SMTPF_OK;
}

void smtpf_session_decide(smtpf_session *s)
{
  void (*const then)(smtpf_session *) = s->then;
  s->pending = 0;
  s->then = NULL;
  if (then) {
    then(s);
    return;
  }
  if (s->no_memory) {
    smtpf_session_answer_no_memory(s);
    return;
  }
  switch (s->stage) {
  case SMTPF_CONNECT: smtpf_connect_decide(s); break;
  case SMTPF_HELO: smtpf_helo_decide(s); break;
  case SMTPF_MAIL: smtpf_mail_decide(s); break;
  case SMTPF_RCPT: smtpf_rcpt_decide(s); break;
  case SMTPF_DATA: smtpf_data_decide(s); break;
  default: smtpf_eom_decide(s); break;
  }
}

/* For a verdict, or to go on with the message. */
static int is_waiting(const smtpf_session *s)
{
  return s->pending || s->body_waits;
}

int smtpf_session_wait(smtpf_session *s, int64_t timeout_ms)
{
  smtpf_driver *d = s->driver;
  if (d->ready_fn || d->processing || d->entered)
    return SMTPF_EBUSY;
  if (!is_waiting(s)) {
    smtpf_list_remove(&s->in_queue); /* told here, not by smtpf_driver_next() */
    return s->verdict.action ? SMTPF_OK : SMTPF_ESTATE;
  }
  int r = smtpf_driver_same_process(d);
  if (r == SMTPF_OK)
    r = smtpf_driver_enter(d);
  if (r != SMTPF_OK)
    return r;
  const uint64_t end = timeout_ms < 0 ? UINT64_MAX : smtpf_timer_at(d->now_ns, timeout_ms);
  do
    r = smtpf_driver_turn(d, end == UINT64_MAX ? -1 : (int64_t)((end - d->now_ns + 999999) / 1000000));
  while (is_waiting(s) && d->now_ns < end && r == SMTPF_OK);
  if (!is_waiting(s))
    smtpf_list_remove(&s->in_queue);
  smtpf_driver_leave(d);
  return !is_waiting(s) ? SMTPF_OK : r == SMTPF_OK ? SMTPF_ETIMEOUT : r;
}
