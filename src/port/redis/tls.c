/* SPDX-License-Identifier: MIT
 *
 * TLS for connections to Redis, as hiredis has it from 1.0 on (libhiredis_ssl, OpenSSL). The server's certificate is
 * always verified. hiredis verifies the chain and not the name: hence only an authority that is named, the site's own,
 * is trusted. OpenSSL initialises itself.
 */
#include "redis.h"

#include <hiredis/hiredis_ssl.h>

#include "base/str.h"

int smtpf_redis_tls_policy(const smtpf_section *policy, smtpf_error *err)
{
  const smtpf_str cert = smtpf_section_string(policy, "store.redis.tls_cert");
  if (smtpf_section_number(policy, "store.redis.tls") && !smtpf_section_string(policy, "store.redis.tls_ca").n)
    return smtpf_section_fail(policy, "store.redis.tls", err, SMTPF_EINVAL,
                              "whose certificates are trusted is not said", SMTPF_LIT("true"),
                              "`tls_ca`, an authority of your own");
  if (!cert.n == !smtpf_section_string(policy, "store.redis.tls_key").n)
    return SMTPF_OK;
  return smtpf_section_fail(policy, "store.redis.tls_cert", err, SMTPF_EINVAL, "certificate and key belong together",
                            cert, "`tls_cert` and `tls_key`");
}

static const char *or_null(smtpf_str s)
{
  return s.n ? s.p : NULL;
}

int smtpf_redis_tls_start(smtpf_redis *s)
{
  const smtpf_redis_settings *set = &s->settings;
  redisSSLContextError error;
  if (!set->tls)
    return SMTPF_OK;
  s->tls = redisCreateSSLContext(or_null(set->tls_ca), NULL, or_null(set->tls_cert), or_null(set->tls_key),
                                 or_null(set->tls_name), &error);
  if (s->tls)
    return SMTPF_OK;
  const smtpf_log_field fields[] = {{"store", SMTPF_LIT("redis")},
                                    {"cause", smtpf_str_of(redisSSLContextGetError(error))}};
  smtpf_driver_log(s->driver, SMTPF_LOG_ERROR, "store-tls", fields, 2);
  return SMTPF_EINVAL;
}

int smtpf_redis_tls_begin(smtpf_redis_link *link)
{
  return redisInitiateSSLWithContext(&link->context->c, link->store->tls) == REDIS_OK ? SMTPF_OK : SMTPF_EIO;
}

void smtpf_redis_tls_stop(smtpf_redis *s)
{
  redisFreeSSLContext(s->tls);
}
