/* SPDX-License-Identifier: MIT */
#include "key.h"

#include "base/str.h"

/* With its end: `ab` and `c` are not `a` and `bc`. */
static void add(smtpf_sha256 *c, smtpf_str text)
{
  smtpf_sha256_add(c, text.p, text.n);
  smtpf_sha256_add(c, "", 1);
}

static void add_lower(smtpf_sha256 *c, smtpf_str text)
{
  for (size_t i = 0; i < text.n; i++) {
    const char lower = smtpf_lower(text.p[i]);
    smtpf_sha256_add(c, &lower, 1);
  }
  smtpf_sha256_add(c, "", 1);
}

/* /24 of IPv4, /64 of IPv6: what one client can choose from. */
static void add_network(smtpf_sha256 *c, const smtpf_ip *ip)
{
  smtpf_sha256_add(c, &ip->family, 1);
  smtpf_sha256_add(c, ip->bytes, ip->family == 4 ? 3 : ip->family == 6 ? 8 : 0);
}

static smtpf_key end(smtpf_sha256 *c)
{
  smtpf_key key;
  smtpf_sha256_end(c, key.bytes);
  return key;
}

smtpf_key smtpf_key_budget(const smtpf_session *s, const smtpf_rcpt *rcpt)
{
  smtpf_sha256 c;
  smtpf_sha256_init(&c);
  add(&c, SMTPF_LIT("budget"));
  add_lower(&c, rcpt->canonical);
  if (s->sender.form == SMTPF_PATH_NULL)
    add_network(&c, &s->client);
  else
    add_lower(&c, s->sender.address);
  return end(&c);
}

smtpf_key smtpf_key_message(const smtpf_session *s, const smtpf_rcpt *rcpt,
                            const unsigned char digest[SMTPF_SHA256_BYTES])
{
  smtpf_sha256 c;
  smtpf_sha256_init(&c);
  add(&c, SMTPF_LIT("message"));
  add(&c, rcpt->address);
  add(&c, s->sender.address);
  smtpf_sha256_add(&c, digest, SMTPF_SHA256_BYTES);
  return end(&c);
}
