/* SPDX-License-Identifier: MIT
 *
 * Sentinels are asked who the master is, one after the other until one knows: at the start, when the master is lost,
 * when it says that it is a replica. Who is named must itself say that it is the master (the greeting asks it).
 */
#include "base/str.h"
#include "redis.h"

static void next(smtpf_redis *s);

static size_t sentinels(const smtpf_redis *s)
{
  return s->settings.n_servers;
}

static void asked_in_vain(smtpf_redis *s)
{
  s->asked = NULL;
  s->tried++;
  s->next++;
  next(s);
}

static void on_time(void *user)
{
  smtpf_redis *s = user;
  s->ask_timer = 0;
  if (s->asked)
    smtpf_redis_link_close(s->asked, "no answer in time");
}

static void done(smtpf_redis *s)
{
  if (s->ask_timer)
    smtpf_driver_timer_cancel(s->driver, s->ask_timer);
  s->ask_timer = 0;
}

static void on_master(smtpf_redis_call *call, const redisReply *reply)
{
  smtpf_redis *s = SMTPF_OF(call, smtpf_redis, ask);
  smtpf_redis_link *from = s->asked;
  smtpf_redis_address address;
  uint64_t port;
  if (!reply || !from || s->stopping)
    return; /* the loss of the connection is told by itself */
  done(s);
  const int named = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                    smtpf_str_uint(smtpf_redis_text(reply->element[1]), UINT16_MAX, &port) == SMTPF_OK &&
                    smtpf_redis_address_of(smtpf_redis_text(reply->element[0]), port, &address) == SMTPF_OK;
  smtpf_redis_link_close(from, NULL);
  if (!named) {
    asked_in_vain(s);
    return;
  }
  s->asked = NULL;
  s->master->address = address;
  smtpf_redis_link_open(s->master);
}

/* The Sentinel is up: the question. */
static void ask(smtpf_redis *s, smtpf_redis_link *link)
{
  smtpf_redis_bytes b = {.mem = s->mem};
  smtpf_redis_array(&b, 3);
  smtpf_redis_words(&b, "SENTINEL get-master-addr-by-name");
  smtpf_redis_bulk(&b, s->settings.sentinel);
  s->ask.fn = on_master;
  const int r = b.broken ? SMTPF_ENOMEM : smtpf_redis_send(link, &s->ask, (smtpf_str){b.p, b.n});
  smtpf_redis_bytes_free(&b);
  if (r != SMTPF_OK || smtpf_driver_timer(s->driver, s->settings.timeout_ms, on_time, s, &s->ask_timer) != SMTPF_OK)
    smtpf_redis_link_close(link, "no memory");
}

static void next(smtpf_redis *s)
{
  if (s->tried == sentinels(s)) {
    smtpf_redis_link_close(s->master, "no Sentinel names a master");
    return;
  }
  s->asked = s->nodes[s->next % sentinels(s)];
  smtpf_redis_link_open(s->asked);
}

void smtpf_redis_sentinel_ask(smtpf_redis *s)
{
  if (s->asked || s->master->state == SMTPF_REDIS_OPENING || s->master->state == SMTPF_REDIS_UP)
    return;
  s->tried = 0;
  next(s);
}

void smtpf_redis_sentinel_changed(smtpf_redis_link *link)
{
  smtpf_redis *s = link->store;
  if (link == s->master) {
    if (link->state != SMTPF_REDIS_UP)
      smtpf_redis_link_wait(link);
  } else if (link == s->asked && link->state == SMTPF_REDIS_UP) {
    ask(s, link);
  } else if (link == s->asked) {
    done(s);
    asked_in_vain(s);
  }
}
