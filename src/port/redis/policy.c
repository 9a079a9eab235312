/* SPDX-License-Identifier: MIT
 *
 * What a policy that names Redis must say, looked at when it is loaded.
 */
#include "base/error.h"
#include "base/str.h"
#include "redis.h"

static int fail(const smtpf_section *policy, const char *name, smtpf_error *err, const char *what, smtpf_str value,
                const char *expected)
{
  return smtpf_section_fail(policy, name, err, SMTPF_EINVAL, what, value, expected);
}

static int check_servers(const smtpf_section *policy, smtpf_error *err)
{
  static const char *const name = "store.redis.servers";
  const size_t n = smtpf_section_count(policy, name);
  const int several = smtpf_section_number(policy, "store.redis.cluster") != 0 ||
                      smtpf_section_string(policy, "store.redis.sentinel").n > 0;
  smtpf_redis_address a;
  if (!n)
    return fail(policy, name, err, "missing", (smtpf_str){"", 0}, "the server's `address:port` or `unix:/path`");
  for (size_t i = 0; i < n; i++) {
    const smtpf_str text = smtpf_section_string_at(policy, name, i);
    if (smtpf_redis_address_parse(text, &a) != SMTPF_OK)
      return fail(policy, name, err, "not a server's address", text,
                  "`address:port`, `[address]:port` or `unix:/path`, the address literal");
    if (several && !a.port)
      return fail(policy, name, err, "Sentinels and clusters are asked by address", text, "`address:port`");
  }
  if (n > 1 && !several)
    return fail(policy, name, err, "several servers", smtpf_section_string_at(policy, name, 1),
                "one, or `sentinel` or `cluster` beside them");
  return SMTPF_OK;
}

int smtpf_redis_policy(const smtpf_section *policy, smtpf_error *err)
{
  const int cluster = smtpf_section_number(policy, "store.redis.cluster") != 0;
  const smtpf_str prefix = smtpf_section_string(policy, "store.redis.prefix");
  const smtpf_str sentinel = smtpf_section_string(policy, "store.redis.sentinel");
  if (cluster && sentinel.n)
    return fail(policy, "store.redis.sentinel", err, "a cluster needs no Sentinels", sentinel, "one of the two");
  if (cluster && smtpf_section_number(policy, "store.redis.database"))
    return fail(policy, "store.redis.database", err, "a cluster has database 0 alone", (smtpf_str){"", 0}, "0");
  if (smtpf_section_string(policy, "store.redis.username").n && !smtpf_section_string(policy, "store.redis.password").n)
    return fail(policy, "store.redis.username", err, "a username without a password",
                smtpf_section_string(policy, "store.redis.username"), "both");
  if (prefix.n > SMTPF_REDIS_PREFIX)
    return fail(policy, "store.redis.prefix", err, "too long", prefix, "at most 64 bytes");
  const int r = smtpf_redis_tls_policy(policy, err);
  return r == SMTPF_OK ? check_servers(policy, err) : r;
}
