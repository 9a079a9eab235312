/* SPDX-License-Identifier: MIT
 *
 * The crypto port over OpenSSL's libcrypto.
 */
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "port/port.h"

static int hmac(void *shared, int algorithm, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  const EVP_MD *const md = algorithm == SMTPF_HMAC_SHA1 ? EVP_sha1() : EVP_sha256();
  unsigned n = 0;
  (void)shared;
  if ((algorithm != SMTPF_HMAC_SHA1 && algorithm != SMTPF_HMAC_SHA256) || key.n > INT_MAX)
    return SMTPF_EIO;
  /* Without bytes it still wants to be shown some: NULL would mean the key of the call before. */
  return HMAC(md, key.n ? key.p : "", (int)key.n, (const unsigned char *)(data.n ? data.p : ""), data.n, out, &n)
             ? SMTPF_OK
             : SMTPF_EIO;
}

const smtpf_crypto *smtpf_crypto_openssl(void)
{
  static const smtpf_crypto port = {sizeof port, "openssl", hmac};
  return &port;
}
