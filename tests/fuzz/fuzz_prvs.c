/* SPDX-License-Identifier: MIT
 *
 * BATV: addresses of any bytes signed and verified. What is signed is a mailbox and comes back as it was, signed once
 * and not twice; no other verifies.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "forward/prvs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      abort();                                                                                                         \
  } while (0)

enum { NOW = 20000 * 86400 };

static int hmac(void *shared, int algorithm, smtpf_str key, smtpf_str data, unsigned char out[32])
{
  smtpf_sha256 c;
  (void)shared;
  (void)algorithm;
  smtpf_sha256_init(&c);
  smtpf_sha256_add(&c, key.p, key.n);
  smtpf_sha256_add(&c, data.p, data.n);
  smtpf_sha256_end(&c, out);
  return SMTPF_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const smtpf_crypto crypto = {sizeof crypto, "fuzz", hmac};
  static const smtpf_str keys[] = {{"a key of the fuzzer's", 21}, {"the one before", 14}};
  const smtpf_prvs prvs = {{&crypto, NULL, keys, 2}, 7};
  const smtpf_str text = {(const char *)data, size};
  char a[SMTPF_ADDRESS_ROOM], b[SMTPF_ADDRESS_ROOM];
  size_t n = 0, m = 0;
  int signature = -1;
  smtpf_path path;
  int r = smtpf_prvs_verify(&prvs, text, NOW, a, sizeof a, &n, &signature);
  MUST((r == SMTPF_OK) == (signature == SMTPF_SIGNATURE_GOOD) || r == SMTPF_ELIMIT);
  const int ours = signature == SMTPF_SIGNATURE_GOOD || signature == SMTPF_SIGNATURE_EXPIRED;
  r = smtpf_prvs_sign(&prvs, text, NOW, a, sizeof a, &n);
  MUST(r == SMTPF_OK || r == SMTPF_EPARSE || r == SMTPF_ELIMIT);
  if (r != SMTPF_OK)
    return 0;
  MUST(a[n] == '\0' && smtpf_mailbox_parse((smtpf_str){a, n}, &path) == SMTPF_OK);
  MUST(smtpf_prvs_verify(&prvs, (smtpf_str){a, n}, NOW, b, sizeof b, &m, &signature) == SMTPF_OK);
  MUST(ours || smtpf_str_equal((smtpf_str){b, m}, text));
  MUST(smtpf_prvs_sign(&prvs, (smtpf_str){a, n}, NOW, b, sizeof b, &m) == SMTPF_OK && m == n && memcmp(a, b, n) == 0);
  return 0;
}
