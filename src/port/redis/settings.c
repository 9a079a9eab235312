/* SPDX-License-Identifier: MIT
 *
 * What the policy says of Redis. It was looked at when the policy was loaded (redis_policy.c); here it is copied, since
 * the engine may go before the store does.
 */
#include <string.h>

#include <smtpfilter/engine.h>

#include "base/str.h"
#include "redis.h"

static int64_t number_of(const smtpf_engine *engine, const char *path, int64_t otherwise)
{
  int64_t v;
  return smtpf_engine_number(engine, path, &v) == SMTPF_OK ? v : otherwise;
}

/* A text in the room, with a NUL behind it. */
static int text_of(smtpf_redis_settings *s, smtpf_out *o, const smtpf_engine *engine, const char *path, smtpf_str *out)
{
  smtpf_str v;
  (void)s;
  *out = (smtpf_str){"", 0};
  if (smtpf_engine_option(engine, path, 0, &v) != SMTPF_OK)
    return SMTPF_OK;
  const size_t begin = o->n;
  smtpf_out_str(o, v);
  smtpf_out_char(o, '\0');
  *out = (smtpf_str){o->p + begin, v.n};
  return o->full ? SMTPF_ELIMIT : SMTPF_OK;
}

static int texts_of(smtpf_redis_settings *s, const smtpf_engine *engine)
{
  const struct {
    const char *path;
    smtpf_str *to;
  } rows[] = {
      {"store.redis.username", &s->username}, {"store.redis.password", &s->password},
      {"store.redis.sentinel", &s->sentinel}, {"store.redis.sentinel_password", &s->sentinel_password},
      {"store.redis.prefix", &s->prefix},     {"store.redis.tls_ca", &s->tls_ca},
      {"store.redis.tls_cert", &s->tls_cert}, {"store.redis.tls_key", &s->tls_key},
      {"store.redis.tls_name", &s->tls_name},
  };
  smtpf_out o;
  smtpf_out_init(&o, s->room, sizeof s->room);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (text_of(s, &o, engine, rows[i].path, rows[i].to) != SMTPF_OK)
      return SMTPF_ELIMIT;
  return s->prefix.n > SMTPF_REDIS_PREFIX ? SMTPF_ELIMIT : SMTPF_OK;
}

int smtpf_redis_settings_read(smtpf_redis_settings *s, const smtpf_engine *engine)
{
  smtpf_str text;
  memset(s, 0, sizeof *s);
  while (smtpf_engine_option(engine, "store.redis.servers", s->n_servers, &text) == SMTPF_OK) {
    if (s->n_servers == SMTPF_REDIS_SERVERS)
      return SMTPF_ELIMIT;
    if (smtpf_redis_address_parse(text, &s->servers[s->n_servers++]) != SMTPF_OK)
      return SMTPF_EINVAL;
  }
  s->database = number_of(engine, "store.redis.database", 0);
  s->timeout_ms = number_of(engine, "store.redis.timeout", 1000);
  s->requests = number_of(engine, "store.redis.requests", 1000);
  s->cluster = number_of(engine, "store.redis.cluster", 0) != 0;
  s->tls = number_of(engine, "store.redis.tls", 0) != 0;
  return s->n_servers ? texts_of(s, engine) : SMTPF_EINVAL;
}
