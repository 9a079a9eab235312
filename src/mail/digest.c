/* SPDX-License-Identifier: MIT */
#include <smtpfilter/ext/mail.h>

#include "base/sha256.h"

_Static_assert(SMTPF_DIGEST_BYTES == SMTPF_SHA256_BYTES, "the digest is SHA-256");

void smtpf_digest(const smtpf_str *parts, size_t n, unsigned char out[SMTPF_DIGEST_BYTES])
{
  smtpf_sha256 c;
  smtpf_sha256_init(&c);
  for (size_t i = 0; i < n; i++) {
    smtpf_sha256_add(&c, parts[i].p, parts[i].n);
    smtpf_sha256_add(&c, "", 1);
  }
  smtpf_sha256_end(&c, out);
}
