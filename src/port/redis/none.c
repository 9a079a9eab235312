/* SPDX-License-Identifier: MIT
 *
 * In a build without hiredis, in the place of the Redis store: a policy that names it does not load.
 */
#include "port/port.h"

const smtpf_store *smtpf_store_redis(void)
{
  return NULL;
}

int smtpf_redis_policy(const smtpf_section *policy, smtpf_error *err)
{
  return smtpf_section_fail(policy, "store.type", err, SMTPF_EUNSUPPORTED, "this build has no Redis store",
                            SMTPF_LIT("redis"), "a build with hiredis (configure --with-hiredis)");
}
