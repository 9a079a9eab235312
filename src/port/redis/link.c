/* SPDX-License-Identifier: MIT
 *
 * One connection: connecting and greeting within the deadline, the loss of it, and the wait until the next try, which
 * doubles with each failure and is never the same for two of us.
 */
#include <string.h>

#include "base/str.h"
#include "redis.h"

enum {
  WAIT_FIRST = 100, /* ms */
  WAIT_MAX = 10000,
  PEACE = 1000, /* ms up after which earlier failures are forgotten */
};

static void on_timer(void *user);

static void stop_timer(smtpf_redis_link *link)
{
  if (link->timer)
    smtpf_driver_timer_cancel(link->store->driver, link->timer);
  link->timer = 0;
}

/* Without memory for a timer nothing would ever happen again: what cannot be timed is idle, and tried when it is
 * wanted. */
static void start_timer(smtpf_redis_link *link, int64_t ms)
{
  stop_timer(link);
  if (smtpf_driver_timer(link->store->driver, ms, on_timer, link, &link->timer) == SMTPF_OK)
    return;
  link->timer = 0;
  if (link->state == SMTPF_REDIS_WAITING)
    link->state = SMTPF_REDIS_IDLE;
}

static void tell(smtpf_redis_link *link, int level, const char *event, const char *cause)
{
  const smtpf_log_field fields[] = {
      {"store", SMTPF_LIT("redis")}, {"server", smtpf_str_of(link->address.text)}, {"cause", smtpf_str_of(cause)}};
  smtpf_driver_log(link->store->driver, level, event, fields, cause ? 3 : 2);
}

void smtpf_redis_link_init(smtpf_redis_link *link, smtpf_redis *store)
{
  memset(link, 0, sizeof *link);
  link->store = store;
  link->fd = -1;
  smtpf_list_init(&link->sent);
}

int smtpf_redis_link_hopeful(const smtpf_redis_link *link)
{
  return link->failures == 0;
}

/* ---- greeting ------------------------------------------------------------------------------------------ */

static void greeted(smtpf_redis_link *link)
{
  stop_timer(link);
  link->state = SMTPF_REDIS_UP;
  link->up_since = smtpf_driver_now(link->store->driver);
  if (link->told_down)
    tell(link, SMTPF_LOG_NOTICE, "store-up", NULL);
  link->told_down = 0;
  smtpf_redis_changed(link);
}

/* What went wrong, if it is something that makes the server of no use; NULL when it will do. */
static const char *objection(smtpf_redis_link *link, size_t step, const redisReply *reply)
{
  const int error = smtpf_redis_error_of(reply);
  const smtpf_str text = smtpf_redis_text(reply);
  if (step == 3 && !link->is_sentinel) { /* SCRIPT LOAD: when it is forbidden, the script goes with each commit */
    link->sha[0] = '\0';
    if (reply->type == REDIS_REPLY_STRING && text.n == sizeof link->sha - 1)
      memcpy(link->sha, text.p, sizeof link->sha);
    return error == SMTPF_REDIS_UNFIT ? reply->str : NULL;
  }
  if (error)
    return reply->str;
  if (step == 2 && (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
                    !smtpf_str_equal(smtpf_redis_text(reply->element[0]), SMTPF_LIT("master"))))
    return "it is not the master";
  return NULL;
}

/* Each answer to the greeting in turn; the last one opens the door. */
static void on_greeting(smtpf_redis_call *call, const redisReply *reply, size_t step)
{
  smtpf_redis_link *link = SMTPF_OF(call, smtpf_redis_link, greeting[0]);
  if (!reply || link->state != SMTPF_REDIS_OPENING || !link->context)
    return; /* it is being closed */
  const char *cause = objection(link, step, reply);
  if (cause) {
    smtpf_redis_link_close(link, cause);
    return;
  }
  if (--link->greetings == 0)
    greeted(link);
}

static void on_auth(smtpf_redis_call *call, const redisReply *reply)
{
  on_greeting(call, reply, 0);
}

static void on_select(smtpf_redis_call *call, const redisReply *reply)
{
  on_greeting(call - 1, reply, 1);
}

static void on_role(smtpf_redis_call *call, const redisReply *reply)
{
  on_greeting(call - 2, reply, 2);
}

static void on_last(smtpf_redis_call *call, const redisReply *reply)
{
  on_greeting(call - 3, reply, 3);
}

static void say(smtpf_redis_link *link, size_t step, smtpf_redis_bytes *b)
{
  static void (*const receivers[])(smtpf_redis_call *, const redisReply *) = {on_auth, on_select, on_role, on_last};
  link->greeting[step].fn = receivers[step];
  link->greetings++;
  if (!b->broken && smtpf_redis_send(link, &link->greeting[step], (smtpf_str){b->p, b->n}) == SMTPF_OK) {
    b->n = 0;
    return;
  }
  b->broken = 1;
}

static void say_auth(smtpf_redis_link *link, smtpf_redis_bytes *b)
{
  const smtpf_redis_settings *set = &link->store->settings;
  const smtpf_str password = link->is_sentinel ? set->sentinel_password : set->password;
  const int named = !link->is_sentinel && set->username.n;
  if (!password.n)
    return;
  smtpf_redis_array(b, named ? 3 : 2);
  smtpf_redis_words(b, "AUTH");
  if (named)
    smtpf_redis_bulk(b, set->username);
  smtpf_redis_bulk(b, password);
  say(link, 0, b);
}

static int greet(smtpf_redis_link *link)
{
  const smtpf_redis_settings *set = &link->store->settings;
  smtpf_redis_bytes b = {.mem = link->store->mem};
  say_auth(link, &b);
  if (!link->is_sentinel && set->database) {
    smtpf_redis_array(&b, 2);
    smtpf_redis_words(&b, "SELECT");
    smtpf_redis_number(&b, (uint64_t)set->database);
    say(link, 1, &b);
  }
  if (!link->is_sentinel && set->sentinel.n) {
    smtpf_redis_array(&b, 1);
    smtpf_redis_words(&b, "ROLE");
    say(link, 2, &b);
  }
  smtpf_redis_array(&b, link->is_sentinel ? 1 : 3);
  smtpf_redis_words(&b, link->is_sentinel ? "PING" : "SCRIPT LOAD");
  if (!link->is_sentinel)
    smtpf_redis_script_bulk(&b);
  say(link, 3, &b);
  const int broken = b.broken;
  smtpf_redis_bytes_free(&b);
  return broken ? SMTPF_ENOMEM : SMTPF_OK;
}

/* ---- states -------------------------------------------------------------------------------------------- */

/* It was lost, or never came up. The cause is in the link. */
static void fail(smtpf_redis_link *link)
{
  smtpf_redis *s = link->store;
  const uint64_t up = link->state == SMTPF_REDIS_UP ? smtpf_driver_now(s->driver) - link->up_since : 0;
  stop_timer(link);
  /* A loss in peace is tried again at once, and requests wait for it; anything else is a failure. */
  link->failures = up > PEACE * UINT64_C(1000000) ? 0 : link->failures + 1;
  link->state = SMTPF_REDIS_IDLE;
  if (!link->told_down && link->failures)
    tell(link, SMTPF_LOG_WARNING, "store-down", link->cause);
  link->told_down |= link->failures > 0;
  smtpf_redis_changed(link);
}

void smtpf_redis_link_open(smtpf_redis_link *link)
{
  stop_timer(link);
  link->state = SMTPF_REDIS_OPENING;
  link->greetings = 0;
  if (smtpf_redis_context_open(link) != SMTPF_OK) {
    fail(link);
    return;
  }
  start_timer(link, link->store->settings.timeout_ms);
  if (greet(link) != SMTPF_OK)
    smtpf_redis_link_close(link, "no memory");
}

void smtpf_redis_link_lost(smtpf_redis_link *link)
{
  fail(link);
}

void smtpf_redis_link_close(smtpf_redis_link *link, const char *cause)
{
  smtpf_out o;
  const int was = link->state;
  if (cause) {
    smtpf_out_init(&o, link->cause, sizeof link->cause - 1);
    smtpf_out_printable(&o, smtpf_str_of(cause), 0);
    link->cause[o.n] = '\0';
  }
  stop_timer(link);
  link->state = SMTPF_REDIS_IDLE; /* its calls get NULL now: none is sent again on it */
  smtpf_redis_context_close(link);
  if (!cause || link->store->stopping)
    return;
  link->state = was;
  link->up_since = smtpf_driver_now(link->store->driver); /* whatever peace there was: this is a failure */
  fail(link);
}

void smtpf_redis_link_wait(smtpf_redis_link *link)
{
  const smtpf_random *random = smtpf_random_system();
  uint64_t noise = 0;
  int64_t most = link->failures ? WAIT_FIRST : 0;
  for (unsigned i = 1; i < link->failures && most < WAIT_MAX; i++)
    most *= 2;
  if (most > WAIT_MAX)
    most = WAIT_MAX;
  (void)random->fill(random->user, &noise, sizeof noise);
  link->state = SMTPF_REDIS_WAITING;
  start_timer(link, most / 2 + (int64_t)(noise % (uint64_t)(most / 2 + 1)));
}

static void on_timer(void *user)
{
  smtpf_redis_link *link = user;
  link->timer = 0;
  if (link->state == SMTPF_REDIS_OPENING) {
    smtpf_redis_link_close(link, "no answer in time");
  } else if (link->state == SMTPF_REDIS_WAITING) {
    link->state = SMTPF_REDIS_IDLE;
    smtpf_redis_retry(link);
  }
}
