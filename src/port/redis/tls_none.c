/* SPDX-License-Identifier: MIT
 *
 * In a build whose hiredis has no TLS (all before 1.0): a policy that asks for it does not load.
 */
#include "redis.h"

int smtpf_redis_tls_policy(const smtpf_section *policy, smtpf_error *err)
{
  if (!smtpf_section_number(policy, "store.redis.tls"))
    return SMTPF_OK;
  return smtpf_section_fail(policy, "store.redis.tls", err, SMTPF_EUNSUPPORTED, "this build's hiredis has no TLS",
                            SMTPF_LIT("true"), "hiredis 1.0 or later with hiredis_ssl, or a tunnel");
}

int smtpf_redis_tls_start(smtpf_redis *s)
{
  return s->settings.tls ? SMTPF_EUNSUPPORTED : SMTPF_OK;
}

int smtpf_redis_tls_begin(smtpf_redis_link *link)
{
  (void)link;
  return SMTPF_EUNSUPPORTED;
}

void smtpf_redis_tls_stop(smtpf_redis *s)
{
  (void)s;
}
