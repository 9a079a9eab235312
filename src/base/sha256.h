/* SPDX-License-Identifier: MIT
 *
 * sha256: FIPS 180-4. For keys of stored records: fixed in size, the same in every process, and such that nobody can
 * make one message pass for another.
 */
#ifndef SMTPF_BASE_SHA256_H
#define SMTPF_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SMTPF_SHA256_BYTES = 32, SMTPF_SHA256_BLOCK = 64 };

typedef struct smtpf_sha256 {
  uint32_t h[8];
  uint64_t bytes;                          /* taken so far */
  unsigned char block[SMTPF_SHA256_BLOCK]; /* the part of a block that is not hashed yet */
} smtpf_sha256;

void smtpf_sha256_init(smtpf_sha256 *c);
void smtpf_sha256_add(smtpf_sha256 *c, const void *bytes, size_t n);

/* The digest of what was added. The context is used up. */
void smtpf_sha256_end(smtpf_sha256 *c, unsigned char out[SMTPF_SHA256_BYTES]);

/* ---- how blocks are done; for the tests too ---- */

extern const uint32_t smtpf_sha256_k[64];

void smtpf_sha256_portable(uint32_t h[8], const unsigned char *p, size_t blocks);
/* By the processor's instructions. 0, and nothing is done, when it has none. */
int smtpf_sha256_native(uint32_t h[8], const unsigned char *p, size_t blocks);

#endif
